"""Many quadratic games at once: their fields, their equilibria, and how far states are from these."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ganscope.games.dualflow.theory.affine import Linear, solve
from ganscope.games.dualflow.theory.rates import Constants

Array = npt.NDArray[np.float64]


class Cells(NamedTuple):
    """The games of a batch, each array with a leading axis `[cells]`; z = (x, y).

    Attributes:
        linear: The flows.
        speeds: Speed of every coordinate, `[cells, N]`.
        start: `[cells, N]`.
        unique, exists: Whether there is one equilibrium, or any.
        centre: The equilibrium; where there is a continuum its point nearest to 0, where there is none the point at
            which both gradients are smallest.
        moving: Projection on the directions that are not along a continuum, `[cells, N, N]`.
    """

    matrix: Array
    offset: Array
    linear: Linear
    speeds: Array
    start: Array
    unique: npt.NDArray[np.bool_]
    exists: npt.NDArray[np.bool_]
    centre: Array
    moving: Array

    @classmethod
    def of(cls, matrix: Array, offset: Array, speeds: Array, start: Array, generator_size: int) -> "Cells":
        linear = Linear(-speeds[:, :, None] * matrix, -speeds * offset, generator_size)
        size = matrix.shape[-1]
        unique = np.linalg.matrix_rank(matrix) == size
        one = np.broadcast_to(np.eye(size), matrix.shape)
        centre = solve(np.where(unique[:, None, None], matrix, one), -offset[..., None])[..., 0]
        exists, moving = unique.copy(), one.copy()
        for cell in np.flatnonzero(~unique):
            inverse = np.linalg.pinv(matrix[cell], rcond=size * np.finfo(float).eps)
            centre[cell] = -inverse @ offset[cell]
            moving[cell] = inverse @ matrix[cell]
            left = np.linalg.norm(matrix[cell] @ centre[cell] + offset[cell])
            exists[cell] = left <= 1e-9 * np.linalg.norm(offset[cell])
        return cls(matrix, offset, linear, speeds, start, unique, exists, centre, moving)

    @property
    def constants(self) -> Constants:
        """Moduli of convexity and cross-Lipschitz constants, each `[cells]`."""
        n = self.linear.generator_size
        convexity = [np.linalg.eigvalsh(self.matrix[:, own, own])[:, 0] for own in (slice(0, n), slice(n, None))]
        cross = self.matrix[:, :n, n:], self.matrix[:, n:, :n]
        return Constants(*convexity, *(np.linalg.norm(block, 2, axis=(-2, -1)) for block in cross))

    @property
    def zero_sum(self) -> npt.NDArray[np.bool_]:
        """Whether the players' couplings are opposite, B2 = -B1'."""
        n = self.linear.generator_size
        return np.asarray(np.all(self.matrix[:, n:, :n] == -np.swapaxes(self.matrix[:, :n, n:], 1, 2), axis=(1, 2)))

    def displacements(self, states: Array) -> Array:
        """States `[cells, records, N]` seen from the nearest equilibrium; NaN where there is none."""
        away = states - self.centre[:, None]
        for cell in np.flatnonzero(~self.unique):
            away[cell] = np.einsum("ij,tj->ti", self.moving[cell], away[cell]) if self.exists[cell] else np.nan
        return away

    def distances(self, states: Array) -> tuple[Array, Array]:
        """Distance to equilibrium and the sum of squares over speeds, `[cells, records]` each."""
        with np.errstate(over="ignore", invalid="ignore"):
            squares = np.square(self.displacements(states))
            return np.sqrt(squares.sum(axis=-1)), (squares / self.speeds[:, None]).sum(axis=-1)

    def saddle_gaps(self, states: Array) -> Array:
        """`saddle_gap` along states `[cells, records, N]`; NaN where it does not apply."""
        n = self.linear.generator_size
        gaps = np.full(states.shape[:2], np.nan)
        lam1, lam2, _, _ = self.constants
        which = np.flatnonzero(self.zero_sum & (lam1 > 0) & (lam2 > 0) & self.unique)
        if len(which) == 0:
            return gaps
        matrix = self.matrix[which]
        a1, a2, b = matrix[:, :n, :n], matrix[:, n:, n:], matrix[:, :n, n:]
        bt = np.swapaxes(b, 1, 2)
        form = np.zeros_like(matrix)
        form[:, :n, :n] = a1 + b @ np.linalg.solve(a2, bt)
        form[:, n:, n:] = a2 + bt @ np.linalg.solve(a1, b)
        with np.errstate(over="ignore", invalid="ignore"):
            away = states[which] - self.centre[which, None]
            # a sum of two squares: no difference of large numbers near the equilibrium
            gaps[which] = np.einsum("cti,cij,ctj->ct", away, form, away, optimize=False) / 2
        return gaps


def no_equilibrium(cells: Cells) -> str:
    """Why the first of some games has no unique equilibrium."""
    many = "a continuum of equilibria" if cells.exists[0] else "no equilibrium"
    return f"the matrix [[A1, B1], [B2, A2]] is singular: the game has {many}"


def slowest_periods(values: npt.NDArray[np.complex128]) -> Array:
    """Period of the slowest rotation of flows with these eigenvalues, `[cells, n]`; infinite where nothing rotates."""
    imaginary = np.abs(values.imag)
    turning = imaginary > 1e-9 * np.abs(values).max(axis=-1, keepdims=True)
    slowest = np.where(turning, imaginary, np.inf).min(axis=-1)
    some = turning.any(axis=-1)
    return np.where(some, 2 * np.pi / np.where(some, slowest, 1.0), np.inf)
