r"""Distances between weighted point sets.

Points have shape `[points, axes]`; a list of numbers is a set of points on a line. Masses have shape `[points]` and are
positive; None stands for equal masses of sum 1.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from ganscope.core.checks import integer, numbers_in, real_array
from ganscope.core.errors import NotApplicable, ParameterError

Array = npt.NDArray[np.float64]

# Up to so many points an assignment takes seconds.
MAX_ASSIGNMENT = 2000
# Numbers in one block of differences.
_BLOCK = 1 << 19


def mmd_squared(
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    x_mass: npt.ArrayLike | None = None,
    y_mass: npt.ArrayLike | None = None,
    *,
    kernel: Callable[[Array], Array],
) -> float:
    r"""Squared maximum mean discrepancy $p'K_{xx}p - 2 p'K_{xy}q + q'K_{yy}q$ of two weighted point sets.

    Computed block by block: differences of all pairs are never held at once.

    Args:
        x: Points, shape `[N, axes]`.
        y: Points, shape `[M, axes]`.
        x_mass: Masses p, shape `[N]`; they need not sum to 1.
        y_mass: Masses q, shape `[M]`.
        kernel: From differences of shape `[..., axes]` to shape `[...]`.

    Returns:
        The square; rounding can make it slightly negative, by about 1e-16 of the squared total mass.

    Raises:
        ParameterError: If shapes do not fit or a mass is not positive.

    References:
        Gretton, Borgwardt, Rasch, Schoelkopf, Smola. A kernel two-sample test. JMLR 13 (2012).
    """
    x, y = _two_sets(x, y)
    p, q = _mass("x_mass", x_mass, len(x)), _mass("y_mass", y_mass, len(y))
    # One set with signed masses: the three sums cancel block by block, not at the end.
    points, mass = np.concatenate([x, y]), np.concatenate([p, -q])
    rows = max(1, _BLOCK // points.size)
    total = 0.0
    for start in range(0, len(points), rows):
        block = slice(start, start + rows)
        total += float(mass[block] @ (kernel(points[block, None, :] - points[None, :, :]) @ mass))
    return total


def w2(
    x: npt.ArrayLike, y: npt.ArrayLike, x_mass: npt.ArrayLike | None = None, y_mass: npt.ArrayLike | None = None
) -> float:
    """Wasserstein distance of order 2 between two weighted point sets (a length, not its square).

    On a line for any masses of equal sum, by sorting; in more dimensions for as many points of equal masses on both
    sides, by assignment. Masses are scaled to sum 1.

    Args:
        x: Points, shape `[N, axes]`.
        y: Points, shape `[M, axes]`.
        x_mass: Masses, shape `[N]`.
        y_mass: Masses, shape `[M]`.

    Raises:
        NotApplicable: If there is no exact method here; `sliced_w2` always works.
        ParameterError: If shapes do not fit, a mass is not positive, or the sums differ by more than 1e-9 of them.

    References:
        Peyre, Cuturi. Computational optimal transport. 2019, sections 2.6 and 3.
    """
    x, y = _two_sets(x, y)
    p, q = _equal_sums(_mass("x_mass", x_mass, len(x)), _mass("y_mass", y_mass, len(y)))
    if x.shape[1] == 1:
        return float(_w2_on_lines(x, y, p, q)[0])
    if len(x) != len(y) or np.ptp(p) > 1e-9 * p[0] or np.ptp(q) > 1e-9 * q[0]:
        raise NotApplicable("exact w2 in more than one dimension needs as many points of equal masses; use sliced_w2")
    if len(x) > MAX_ASSIGNMENT:
        raise NotApplicable(f"exact w2 is for at most {MAX_ASSIGNMENT} points, not {len(x)}; use sliced_w2")
    cost = np.zeros((len(x), len(y)))
    for axis in range(x.shape[1]):
        cost += np.square(x[:, None, axis] - y[None, :, axis])
    return float(np.sqrt(np.mean(cost[linear_sum_assignment(cost)])))


def sliced_w2(
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    x_mass: npt.ArrayLike | None = None,
    y_mass: npt.ArrayLike | None = None,
    directions: Any = 128,
    seed: int = 0,
) -> float:
    """Root mean square, over directions, of the Wasserstein distance of order 2 of the projections.

    Args:
        x: Points, shape `[N, axes]`.
        y: Points, shape `[M, axes]`.
        x_mass: Masses, shape `[N]`, scaled to sum 1.
        y_mass: Masses, shape `[M]`, scaled to sum 1.
        directions: Unit vectors, shape `[directions, axes]`, or how many random ones.
        seed: Of the random directions.

    Raises:
        ParameterError: As `w2`, or if the directions do not fit.

    References:
        Bonneel, Rabin, Peyre, Pfister. Sliced and Radon Wasserstein barycenters of measures. 2015.
    """
    x, y = _two_sets(x, y)
    p, q = _equal_sums(_mass("x_mass", x_mass, len(x)), _mass("y_mass", y_mass, len(y)))
    if np.ndim(directions) == 0:
        count = integer("directions", directions, at_least=1)
        unit = np.random.default_rng(seed).standard_normal((count, x.shape[1]))
    else:
        unit = real_array("directions", directions, ndim=2)
        if unit.shape[1] != x.shape[1] or not np.all(np.any(unit != 0, axis=1)):
            raise ParameterError("directions", f"shape {unit.shape}", f"vectors other than 0 with {x.shape[1]} axes")
    unit = unit / np.linalg.norm(unit, axis=1, keepdims=True)
    return float(np.sqrt(np.mean(np.square(_w2_on_lines(x @ unit.T, y @ unit.T, p, q)))))


def matched_distance(x: npt.ArrayLike, y: npt.ArrayLike) -> Array:
    """Root of the summed squared distances between points of the same number, over the last two axes.

    Args:
        x: Shape `[..., points, axes]`, for example with a leading axis of time.
        y: Broadcast with `x`.

    Returns:
        Shape `[...]`.

    Raises:
        ParameterError: If the numbers of points or axes differ.
    """
    a, b = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if a.ndim < 2 or a.shape[-2:] != b.shape[-2:]:
        raise ParameterError("y", f"shape {b.shape}", f"(..., points, axes) as x, whose shape is {a.shape}")
    result: Array = np.sqrt(np.sum(np.square(a - b), axis=(-2, -1)))
    return result


def _w2_on_lines(x: Array, y: Array, p: Array, q: Array) -> Array:
    """Distances of the columns of x and y: both quantile functions are constant between the joint jumps."""
    result = np.empty(x.shape[1])
    for column in range(x.shape[1]):
        by_x, by_y = np.argsort(x[:, column], kind="stable"), np.argsort(y[:, column], kind="stable")
        up_to_x, up_to_y = np.cumsum(p[by_x]), np.cumsum(q[by_y])
        levels = np.sort(np.concatenate([up_to_x, up_to_y]))
        weight = np.diff(levels, prepend=0.0)
        middle = levels - weight / 2
        at_x = by_x[np.minimum(np.searchsorted(up_to_x, middle), len(by_x) - 1)]
        at_y = by_y[np.minimum(np.searchsorted(up_to_y, middle), len(by_y) - 1)]
        result[column] = np.sqrt(np.sum(weight * np.square(x[at_x, column] - y[at_y, column])))
    return result


def _two_sets(x: npt.ArrayLike, y: npt.ArrayLike) -> tuple[Array, Array]:
    first, second = _points("x", x), _points("y", y)
    if first.shape[1] != second.shape[1]:
        raise ParameterError("y", f"shape {second.shape}", f"{first.shape[1]} axes, like x")
    return first, second


def _points(name: str, value: npt.ArrayLike) -> Array:
    points = real_array(name, value)
    points = points[:, None] if points.ndim == 1 else points
    if points.ndim != 2 or points.size == 0:
        raise ParameterError(name, f"shape {points.shape}", "an array of shape (points, axes), at least one point")
    return points


def _mass(name: str, value: npt.ArrayLike | None, count: int) -> Array:
    return np.full(count, 1.0 / count) if value is None else numbers_in(name, value, shape=(count,), above=0)


def _equal_sums(p: Array, q: Array) -> tuple[Array, Array]:
    if abs(p.sum() - q.sum()) > 1e-9 * p.sum():
        raise ParameterError("y_mass", f"sum {q.sum():.10g}", f"the sum of x_mass, {p.sum():.10g}")
    return p / p.sum(), q / q.sum()
