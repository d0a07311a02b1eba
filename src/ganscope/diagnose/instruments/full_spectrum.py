r"""Eigenvalues of a real game's whole Jacobian: reported, never a verdict.

In whitened coordinates w = parameters / s, J = dF/dw with F = s v, and its eigenvalues are offsets of multipliers per
step. Away from an equilibrium the generator's own block alone puts eigenvalues on the right, in healthy runs too: they
tell of the growth over the next few iterations, not of the end of the run. Each eigenvector x therefore comes with its
visibility, rms |dG x_G| / R over latents: how far the samples move per unit of x.

References:
    Mescheder, Nowozin, Geiger. The numerics of GANs. NeurIPS 2017.
    Lehoucq, Sorensen, Yang. ARPACK users' guide. SIAM 1998.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ganscope.core.checks import integer, number
from ganscope.core.errors import ParameterError
from ganscope.core.progress import report
from ganscope.diagnose.backend import Backend
from ganscope.diagnose.change import UNCHANGED, Change
from ganscope.diagnose.instruments.arnoldi import LARGEST_DENSE, EigenPairs, eigenpairs, whole_matrix
from ganscope.diagnose.instruments.rotation import Whitening
from ganscope.diagnose.instruments.update_map import FLIP_ANGLE, memory_multipliers
from ganscope.diagnose.rule import UpdateRule

Array = npt.NDArray[np.float64]

# Latents at which an eigenvector's effect on the samples is followed.
VISIBILITY_LATENTS = 128
# An imaginary part below this share of the modulus is rounding.
_REAL = 1e-9
_SEED_APART = 11_003


@dataclass(frozen=True)
class Mode:
    """One eigenvalue, for a conjugate pair the upper one.

    Attributes:
        eigenvalue: Offset of the multiplier per step.
        residual: |J x - u x| of the unit eigenvector.
        visibility: rms |dG x_G| / R; None without a generator to call.
        label: `rotating`, `real`, or `flip` where the steps jump across a steep direction.
    """

    eigenvalue: complex
    residual: float
    visibility: float | None
    label: str

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "real": self.eigenvalue.real,
            "imaginary": self.eigenvalue.imag,
            "residual": self.residual,
            "visibility": self.visibility,
            "label": self.label,
        }


@dataclass(frozen=True)
class FullSpectrum:
    """Three ends of the spectrum from the first batch, and how the right end scatters over batches.

    Attributes:
        rightmost, largest, fastest: Modes by real part, modulus and imaginary part, the extreme one first.
        batches: Smallest, median and largest real part of the k-th rightmost eigenvalue over the batches.
        dense: Whether the matrix was made whole, so that nothing can have been missed.
        notes: What did not converge.
    """

    rightmost: tuple[Mode, ...]
    largest: tuple[Mode, ...]
    fastest: tuple[Mode, ...]
    batches: tuple[tuple[float, float, float], ...]
    dense: bool
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        ends = {name: [m.to_dict() for m in getattr(self, name)] for name in ("rightmost", "largest", "fastest")}
        rows = [dict(zip(("real_min", "real_median", "real_max"), row, strict=True)) for row in self.batches]
        return {**ends, "batches": rows, "dense": self.dense, "notes": list(self.notes)}


def full_spectrum(
    backend: Backend,
    rule: UpdateRule,
    unit: Whitening,
    data_radius: float,
    *,
    change: Change = UNCHANGED,
    batch_size: int = 512,
    batches: int = 3,
    eigenvalues: int = 8,
    krylov: int = 60,
    tol: float = 1e-6,
    restarts: int = 20,
    seed: int = 0,
) -> FullSpectrum:
    """Rightmost, largest and fastest eigenvalues of the whitened Jacobian.

    Games of up to 400 parameters are solved whole, larger ones by Arnoldi iteration: of those, eigenvalues that have
    not converged after some restarts are left out.

    Args:
        backend: The checkpoint.
        rule: The update rule, for the labels.
        unit: Whitening.
        data_radius: R.
        change: Of the discriminator's loss.
        batch_size: Samples of each batch, at least 8.
        batches: At least 1.
        eigenvalues: At each end of the spectrum, at least 1.
        krylov: Dimension of the search space, more than 2 eigenvalues + 1.
        tol: Relative accuracy, above 0.
        restarts: Of the iteration, at most.
        seed: Of batches and starts.

    Raises:
        ParameterError: If a number is out of range.

    References:
        Lehoucq, Sorensen, Yang. ARPACK users' guide. SIAM 1998.
    """
    check_settings(batch_size, batches, eigenvalues, krylov, tol)
    size = sum(backend.sizes)
    dense = size <= max(LARGEST_DENSE, krylov)
    found: dict[str, EigenPairs] = {}
    real_parts, notes = [], []
    for batch in range(batches):
        report("full spectrum", batch, batches)
        draw = backend.draw(seed + _SEED_APART + batch, batch_size)
        linearised = backend.linearise(backend.point, draw, change)
        products = lambda rows, of=linearised: of.products(rows * unit.both) * unit.both
        matrix = whole_matrix(products, size) if dense else None
        for which in ("LR", "LM", "LI") if batch == 0 else ("LR",):
            pairs = eigenpairs(products, size, which, eigenvalues, krylov, tol, restarts, seed, matrix)
            if not len(pairs.values):
                notes.append(f"no {which} eigenvalue of batch {batch} converged in {restarts} restarts")
            if batch == 0:
                found[which] = pairs
            if which == "LR":
                real_parts.append(np.sort(pairs.values.real)[::-1])
    report("full spectrum", batches, batches)
    ends = [tuple(_modes(backend, rule, unit, data_radius, found[which], seed)) for which in ("LR", "LM", "LI")]
    return FullSpectrum(ends[0], ends[1], ends[2], _scatter(real_parts), dense, tuple(notes))


def check_settings(batch_size: int, batches: int, eigenvalues: int, krylov: int, tol: float) -> None:
    """Refuse settings of the full spectrum that are out of range."""
    integer("batch_size", batch_size, at_least=8)
    integer("batches", batches, at_least=1)
    integer("eigenvalues", eigenvalues, at_least=1)
    if integer("krylov", krylov, at_least=1) <= 2 * eigenvalues + 1:
        raise ParameterError("krylov", krylov, f"more than 2 eigenvalues + 1 = {2 * eigenvalues + 1}")
    number("tol", tol, above=0)


def _scatter(rows: list[Array]) -> tuple[tuple[float, float, float], ...]:
    common = min(len(row) for row in rows)
    table = np.array([row[:common] for row in rows])
    return tuple((float(c.min()), float(np.median(c)), float(c.max())) for c in table.T)


def _modes(
    backend: Backend, rule: UpdateRule, unit: Whitening, radius: float, pairs: EigenPairs, seed: int
) -> list[Mode]:
    n_g = backend.sizes.generator
    seen: list[float | None] = [None] * len(pairs.values)
    if backend.samples_known and len(pairs.values):
        latents = backend.latents(seed + _SEED_APART, VISIBILITY_LATENTS)
        own = pairs.vectors[:, :n_g] * unit.generator
        # A pair of rows at a time: other numbers of rows would be other compiled programs.
        pairs_of_rows = (np.stack([vector.real, vector.imag]) for vector in own)
        moved = [backend.output_products(backend.point.generator, latents, rows) for rows in pairs_of_rows]
        squares = np.array([np.mean(np.sum(m**2, axis=(0, 2))) for m in moved])
        seen = [float(v) for v in np.sqrt(squares) / radius]
    return [
        Mode(complex(u), float(residual), visible, _label(complex(u), vector, n_g, rule))
        for u, residual, visible, vector in zip(pairs.values, pairs.residuals, seen, pairs.vectors, strict=True)
    ]


def _label(u: complex, vector: Any, n_g: int, rule: UpdateRule) -> str:
    """What a mode does under the memory of the player that it mostly moves."""
    player = rule.generator if np.linalg.norm(vector[:n_g]) ** 2 > 0.5 else rule.discriminator
    multiplier = memory_multipliers([u], player.memory, player.kappa)[0, 0]
    if abs(math.atan2(multiplier.imag, multiplier.real)) > FLIP_ANGLE:
        return "flip"
    return "rotating" if abs(u.imag) > _REAL * abs(u) else "real"
