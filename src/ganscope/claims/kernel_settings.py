"""What the kernel model's claims share: a neighbourhood far from all others, and how claims confront numbers."""

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ganscope.claims.claim import Evidence
from ganscope.games.kernel.isolated import IsolatedNeighbourhood
from ganscope.games.kernel.kernels import RBF
from ganscope.games.kernel.model import KernelGAN

Array = npt.NDArray[np.float64]
Complex = npt.NDArray[np.complex128]

RULES = ("simultaneous", "alternating", "extragradient", "optimistic", "heavy_ball")
# Displacement, in bandwidths, within which the relative error of linearisation is 1e-12.
SMALL = 1e-6


def momentum_of(rule: str) -> float:
    """The momentum that claims use: only one rule has any."""
    return 0.2 if rule == "heavy_ball" else 0.0


def unbalanced(*points: Any, **parameters: Any) -> KernelGAN:
    """A game whose masses may differ on purpose: it is one neighbourhood out of many."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="real_mass sums to")
        return KernelGAN(*points, **parameters)


def neighbourhood_game(real_mass: float, generated_mass: float, points: int = 1, **parameters: Any) -> KernelGAN:
    """One true point at 0 on a line and generated points of equal mass beside it, without any symmetry.

    The discriminator is the best one for them, so that only their displacement sets them in motion.
    """
    kernel = parameters.pop("kernel", RBF(1.0))
    start = SMALL * kernel.width * np.array([0.9, -0.5, 0.3])[:points]
    mass = np.full(points, generated_mass / points)
    given = {"real_mass": [real_mass], "generated_mass": mass, "kernel": kernel, "initial_discriminator": "equilibrium"}
    return unbalanced([0.0], start, **{**given, **parameters})


def neighbourhood_of(game: KernelGAN, curvature: float | None = None) -> IsolatedNeighbourhood:
    """The closed forms for a `neighbourhood_game`, if asked for with another curvature."""
    return IsolatedNeighbourhood(
        real_mass=float(game.real_mass.sum()),
        generated_mass=float(game.generated_mass.sum()),
        points=len(game.generated_mass),
        curvature=game.kernel.curvature if curvature is None else curvature,
        regularization=game.regularization,
        generator_lr=game.generator_lr,
        discriminator_lr=game.discriminator_lr,
        weighting=game.weighting,
    )


def confront(rows: Mapping[str, tuple[Any, Any, Any]]) -> Evidence:
    """A claim from rows of expected, measured and tolerance.

    Args:
        rows: By name; the measured side may be several results by name. A tolerance is absolute, or the text "exact".
    """
    passed = all(_holds(*row) for row in rows.values())
    expected, measured, tolerance = ({name: row[k] for name, row in rows.items()} for k in range(3))
    return expected, measured, tolerance, passed


def confront_shares(rows: Mapping[str, tuple[float, Any]], tolerance: float) -> Evidence:
    """A claim from rows of an expected number and measured ones, with one relative tolerance for all.

    Args:
        rows: By name; the measured side is a number, or several by name.
        tolerance: Share of the expected number.
    """
    expected, measured = ({name: row[k] for name, row in rows.items()} for k in range(2))
    errors = [
        abs(number / wanted - 1)
        for wanted, found in rows.values()
        for number in (found.values() if isinstance(found, Mapping) else [found])
    ]
    summary, error = "largest relative error", float(np.max(errors))
    return {**expected, summary: 0}, {**measured, summary: error}, {summary: tolerance}, error <= tolerance


def _holds(expected: Any, measured: Any, tolerance: Any) -> bool:
    if isinstance(measured, Mapping):
        return all(_holds(expected, value, tolerance) for value in measured.values())
    if tolerance == "exact":
        return bool(np.all(np.asarray(expected) == np.asarray(measured)))
    return bool(np.all(np.abs(np.subtract(measured, expected)) <= tolerance))


def largest(values: Any) -> float:
    """Largest absolute value."""
    return float(np.max(np.abs(values)))
