r"""What is measured on clouds of points: modes and how they are covered, spread, atoms, distances to the target.

Every function is pure. Points have shape `[..., points, axes]`; leading axes, time among them, are kept. Records with a
coordinate that is not finite give NaN.

    energy distance     $E|X - Y| - E|X - X'|/2 - E|Y - Y'|/2$; on a line this is $\int (F_X - F_Y)^2 dx$
    sliced W2           root mean square of the W2 of projections, over 128 directions

References:
    Villani. Optimal Transport: Old and New. 2009.
    Szekely, Rizzo. Energy statistics: a class of statistics based on distances. 2013.
"""

import math

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from ganscope.analysis.distances import MAX_ASSIGNMENT
from ganscope.core.errors import ParameterError
from ganscope.games.dualflow.modes import Modes as Modes
from ganscope.games.dualflow.modes import modes_of as modes_of

Array = npt.NDArray[np.float64]

DIRECTIONS = 128
# Positions this close are one atom.
SAME = 1e-9
# Work that all records together may cost: cubed numbers of points of the assignments (some seconds), and pairs of
# points of the energy distance.
ASSIGNMENT_BUDGET, PAIR_BUDGET = 1e10, 2e9
# Numbers in one block of projections or distances.
_BLOCK = 1 << 22


def occupancy(points: Array, modes: Modes) -> Array:
    """Share of the points within the radius of each mode, shape `[..., modes]`."""
    with np.errstate(over="ignore", invalid="ignore"):
        near = [
            np.mean(np.sum(np.square(points - centre), axis=-1) <= modes.radius**2, axis=-1) for centre in modes.centres
        ]
    share = np.stack(near, axis=-1)
    share[~_finite(points)] = np.nan
    return share


def mass_coverage(occupied: Array, modes: Modes) -> Array:
    """Sum over modes of the smaller of occupancy and weight: 1 when nothing is missing.

    Args:
        occupied: Occupancies, shape `[..., modes]`.
        modes: The modes.

    Returns:
        Shape `[...]`.
    """
    return np.asarray(np.sum(np.minimum(occupied, modes.weights), axis=-1))


def total_variance(points: Array) -> Array:
    """Trace of the covariance, by the number of points, shape `[...]`."""
    with np.errstate(invalid="ignore", over="ignore"):
        centred = points - np.mean(points, axis=-2, keepdims=True)
        return np.asarray(np.mean(np.sum(np.square(centred), axis=-1), axis=-1))


def dispersion(points: Array, real_points: Array) -> Array:
    """Trace of the covariance over that of the target, shape `[...]`; NaN for a target that is one atom."""
    target = float(total_variance(real_points))
    return total_variance(points) / target if target > 0 else np.full(points.shape[:-2], np.nan)


def atoms(points: Array) -> npt.NDArray[np.int64]:
    """Number of distinct positions, shape `[...]`; chains of neighbours within 1e-9 are one position.

    A record with a coordinate that is not finite has 0.
    """
    records = points.reshape(-1, *points.shape[-2:])
    if points.shape[-1] == 1:
        with np.errstate(invalid="ignore"):
            counts = 1 + np.sum(np.diff(np.sort(records[..., 0], axis=-1), axis=-1) > SAME, axis=-1)
    else:
        counts = np.array([_labels(record)[-1] + 1 for record in records])
    counts = np.where(_finite(records), counts, 0)
    return counts.reshape(points.shape[:-2]).astype(np.int64)


def _labels(points: Array) -> npt.NDArray[np.int64]:
    """Sorted numbers of the positions: groups are cut at gaps along one axis after the other until nothing changes."""
    count, label = len(points), np.zeros(len(points), np.int64)
    groups = 0
    while True:
        for axis in range(points.shape[1]):
            order = np.lexsort((points[:, axis], label))
            with np.errstate(invalid="ignore"):
                apart = np.diff(points[order, axis]) > SAME
            label[order] = np.concatenate([[0], np.cumsum(apart | (np.diff(label[order]) > 0))])
        found = int(label.max(initial=0)) + 1
        if found in (groups, count):
            return np.sort(label)
        groups = found


def energy_distance(points: Array, real_points: Array) -> Array:
    """Energy distance of clouds to the target, the squared quantity of the module's first line, shape `[...]`.

    On a line by sorting; otherwise over all pairs of points, as long as all records together have at most 2e9 pairs.
    When they have more, only the first and the last record are computed and the others are NaN.

    Args:
        points: Shape `[..., N, axes]`.
        real_points: Shape `[M, axes]`.
    """
    records = points.reshape(-1, *points.shape[-2:])
    if points.shape[-1] == 1:
        return _energy_on_a_line(records[..., 0], real_points[:, 0]).reshape(points.shape[:-2])
    count, target = points.shape[-2], len(real_points)
    result = np.full(len(records), np.nan)
    inner = _mean_distance(real_points, real_points) / 2
    finite = _finite(records)
    for k in affordable(len(records), float(count * (count + target)), PAIR_BUDGET):
        if finite[k]:
            own = _mean_distance(records[k], records[k]) / 2
            result[k] = max(_mean_distance(records[k], real_points) - own - inner, 0.0)
    return result.reshape(points.shape[:-2])


def _energy_on_a_line(records: Array, real: Array) -> Array:
    """The integral of the squared difference of distribution functions; records `[T, N]`, real `[M]`."""
    result = np.empty(len(records))
    jumps = np.concatenate([np.full(records.shape[1], 1 / records.shape[1]), np.full(len(real), -1 / len(real))])
    rows = max(1, _BLOCK // len(jumps))
    for start in range(0, len(records), rows):
        some = records[start : start + rows]
        places = np.concatenate([some, np.broadcast_to(real, (len(some), len(real)))], axis=1)
        order = np.argsort(places, axis=1)
        height = np.cumsum(jumps[order], axis=1)[:, :-1]
        with np.errstate(invalid="ignore", over="ignore"):
            result[start : start + rows] = np.sum(
                height**2 * np.diff(np.take_along_axis(places, order, axis=1), axis=1), axis=1
            )
    return np.where(_finite(records[..., None]), result, np.nan)


def _mean_distance(x: Array, y: Array) -> float:
    rows = max(1, _BLOCK // len(y))
    return sum(float(np.sum(cdist(x[k : k + rows], y))) for k in range(0, len(x), rows)) / (len(x) * len(y))


def affordable(records: int, work: float, budget: float) -> list[int]:
    """The records that are computed when each costs so much: all, or the first and the last if all cost too much."""
    if records * work <= budget:
        return list(range(records))
    return sorted({0, records - 1})


def directions(axes: int, seed: int = 0) -> Array:
    """128 unit vectors, shape `[128, axes]`: at angles pi (k - 1/2) / 128 in the plane, random ones beyond."""
    if axes == 1:
        return np.ones((1, 1))
    if axes == 2:
        angle = np.pi * (np.arange(DIRECTIONS) + 0.5) / DIRECTIONS
        return np.stack([np.cos(angle), np.sin(angle)], axis=1)
    unit = np.random.default_rng(seed).standard_normal((DIRECTIONS, axes))
    return np.asarray(unit / np.linalg.norm(unit, axis=1, keepdims=True))


def sliced_w2_over_time(points: Array, real_points: Array, seed: int = 0) -> Array:
    """Sliced Wasserstein distance of order 2 of clouds to the target, shape `[...]`.

    Args:
        points: Shape `[..., N, axes]`.
        real_points: Shape `[M, axes]`.
        seed: Of the random directions in more than two dimensions.
    """
    records = points.reshape(-1, *points.shape[-2:])
    unit = directions(points.shape[-1], seed)
    target = np.sort(real_points @ unit.T, axis=0).T
    result = np.empty(len(records))
    rows = max(1, _BLOCK // (len(unit) * points.shape[-2]))
    for start in range(0, len(records), rows):
        with np.errstate(over="ignore", invalid="ignore"):
            lines = np.swapaxes(records[start : start + rows] @ unit.T, 1, 2)
        result[start : start + rows] = np.mean(_squares_on_lines(lines, target), axis=-1)
    return np.sqrt(result).reshape(points.shape[:-2])


def w2_over_time(points: Array, real_points: Array) -> Array:
    """Wasserstein distance of order 2 of clouds to the target, shape `[...]`, exact or NaN.

    On a line by sorting, for any numbers of points. In more dimensions by assignment: numbers of points that differ
    are repeated up to their least common multiple, which may be at most 2000 (NaN everywhere beyond). When the number
    of records times the cube of the number of points exceeds 1e10, only the first and the last record are computed
    and the others are NaN; `sliced_w2_over_time` has all of them.

    Args:
        points: Shape `[..., N, axes]`.
        real_points: Shape `[M, axes]`.

    Raises:
        ParameterError: If the axes do not fit.
    """
    if points.shape[-1] != real_points.shape[-1]:
        raise ParameterError("real_points", f"shape {real_points.shape}", f"{points.shape[-1]} axes, like the points")
    records = points.reshape(-1, *points.shape[-2:])
    if points.shape[-1] == 1:
        result = np.sqrt(_squares_on_lines(records[..., 0], np.sort(real_points[:, 0])))
        return result.reshape(points.shape[:-2])
    result = np.full(len(records), np.nan)
    size = math.lcm(records.shape[1], len(real_points))
    if size <= MAX_ASSIGNMENT:
        target = np.repeat(real_points, size // len(real_points), axis=0)
        finite = _finite(records)
        for k in affordable(len(records), float(size) ** 3, ASSIGNMENT_BUDGET):
            if finite[k]:
                cost = cdist(np.repeat(records[k], size // records.shape[1], axis=0), target, "sqeuclidean")
                if np.all(np.isfinite(cost)):  # squares of a run that blows up overflow
                    result[k] = np.sqrt(np.mean(cost[linear_sum_assignment(cost)]))
    return result.reshape(points.shape[:-2])


def _squares_on_lines(lines: Array, target: Array) -> Array:
    """Squared W2 of laws on lines, `[..., N]`, to sorted targets, `[M]` or one per line; shape `[...]`."""
    count, other = lines.shape[-1], target.shape[-1]
    ordered = np.sort(lines, axis=-1)
    with np.errstate(invalid="ignore", over="ignore"):
        if count == other:
            return np.asarray(np.mean(np.square(ordered - target), axis=-1))
        # Both quantile functions are constant between the joint levels, which are multiples of 1 / (count other).
        grid = np.union1d(np.arange(count + 1) * other, np.arange(other + 1) * count)
        left, weight = grid[:-1], np.diff(grid) / (count * other)
        return np.asarray(np.square(ordered[..., left // other] - target[..., left // count]) @ weight)


def _finite(points: Array) -> npt.NDArray[np.bool_]:
    return np.asarray(np.all(np.isfinite(points), axis=(-2, -1)))
