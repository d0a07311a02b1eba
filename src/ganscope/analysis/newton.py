"""Newton's method for equilibria that may come in continua."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.linalg import svd

Array = npt.NDArray[np.float64]

STEP_TOLERANCE = 1e-14
MAX_ITERATIONS = 100
# Directions whose slope is below this share of the steepest one count as neutral: no step along them.
RCOND = 1e-12
# A step this small, relative to the scale, that no longer reduces the residual has met the rounding error.
_ROUNDING_STEP = 1e-7
_HALVINGS = 30
_EPSILON = float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class Root:
    """Where Newton's method stopped.

    Attributes:
        state: The point, shape `[n]`.
        residual: Largest component of the residual there.
        iterations: Steps taken.
        converged: Whether the steps became as small as asked for, or as rounding allows.
    """

    state: Array
    residual: float
    iterations: int
    converged: bool


def newton(
    residual: Callable[[Array], Array],
    jacobian: Callable[[Array], Array],
    start: npt.ArrayLike,
    scale: float = 1.0,
    rcond: float = RCOND,
    tolerance: float = 0.0,
) -> Root:
    """A zero of a residual by Newton's method with least squares.

    Steps are the shortest of those that solve the linear equations best, so that a continuum of zeros (a rotation, a
    translation) is met at a nearby point. Beside a continuum its directions are not quite neutral, and are damped in
    proportion to the residual, which keeps convergence quadratic. Steps reach no further than the scale along any
    direction, and one that does not reduce the residual is halved.

    Args:
        residual: From shape `[n]` to `[m]`.
        jacobian: Its Jacobian, from shape `[n]` to `[m, n]`.
        start: Shape `[n]`.
        scale: Length on which the residual varies. Stop at a step whose largest component is below 1e-14 of it (or
            below the rounding error of the point), after 100 steps, or when no part of a step reduces the residual.
        rcond: Singular values below this share of the largest count as zero.
        tolerance: Rounding error of the residual. A residual below it whose step is still long says that the point lies
            where nothing changes: it counts as converged and stays.

    Returns:
        Where it stopped, converged or not.

    References:
        Ben-Israel. A Newton-Raphson method for the solution of systems of equations. J. Math. Anal. Appl. 15 (1966).
        Yamashita, Fukushima. On the rate of convergence of the Levenberg-Marquardt method. Computing Suppl. 15 (2001).
    """
    x = np.array(start, np.float64)
    r = residual(x)
    for iteration in range(MAX_ITERATIONS):
        slope = jacobian(x)
        if not (np.all(np.isfinite(r)) and np.all(np.isfinite(slope))):
            return Root(x, float(np.max(np.abs(r), initial=0.0)), iteration, False)
        step = _step(slope, r, scale, rcond)
        length = float(np.max(np.abs(step), initial=0.0)) / scale
        size = float(np.max(np.abs(r), initial=0.0))
        if size <= tolerance and length > _ROUNDING_STEP:
            return Root(x, size, iteration, True)
        if length < max(STEP_TOLERANCE, _EPSILON * float(np.max(np.abs(x), initial=0.0)) / scale):
            return Root(x + step, float(np.max(np.abs(residual(x + step)), initial=0.0)), iteration + 1, True)
        accepted = _reduced(residual, x, r, step)
        if accepted is None:
            return Root(x, size, iteration, length < _ROUNDING_STEP)
        x, r = accepted
    return Root(x, float(np.max(np.abs(r), initial=0.0)), MAX_ITERATIONS, False)


def _step(slope: Array, r: Array, scale: float, rcond: float) -> Array:
    left, values, right = svd(slope, full_matrices=False, check_finite=False)
    kept = values > rcond * values[0]
    damping = float(np.max(np.abs(r))) / scale
    # values / (values^2 + damping^2), also where the squares cannot be represented
    with np.errstate(over="ignore", divide="ignore"):
        inverse = np.where(kept, 1.0 / (values + damping * (damping / np.where(kept, values, 1.0))), 0.0)
    step: Array = -right.T @ np.clip(inverse * (left.T @ r), -scale, scale)
    return step


def _reduced(residual: Callable[[Array], Array], x: Array, r: Array, step: Array) -> tuple[Array, Array] | None:
    """The first of step, step / 2, ... that makes the residual smaller; None if none does."""
    size = float(np.linalg.norm(r))
    for halving in range(_HALVINGS):
        ahead = x + step * 0.5**halving
        new = residual(ahead)
        if np.linalg.norm(new) < size:  # False for NaN
            return ahead, new
    return None
