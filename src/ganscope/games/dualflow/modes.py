"""The modes of a target: pieces of its cloud of points that stand apart."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial.distance import cdist

from ganscope.core.checks import number, real_array
from ganscope.core.errors import ParameterError

Array = npt.NDArray[np.float64]

# The edge that is cut must be this much longer than the next one.
_CLEAR = 2.5
# A piece has at least so many points, and this share of what it would have if all pieces were equal.
_FEWEST, _SHARE = 4, 0.1
# Up to so many distinct positions, or this share of the points, every position is a mode.
_FEW, _FEW_SHARE = 4, 1 / 8
# The radius of a mode in its standard deviations, and in distances of neighbours when it has no extent.
_DEVIATIONS, _BETWEEN = 3.0, 0.25


@dataclass(frozen=True)
class Modes:
    """The modes of a target.

    Attributes:
        centres: Shape `[modes, axes]`.
        weights: Share of the target's points that are nearest to each centre, shape `[modes]`.
        radius: A point this close to a centre belongs to the mode.
    """

    centres: Array
    weights: Array
    radius: float


def modes_of(real_points: Array, modes: Any = None, mode_radius: Any = None, length: float = 1.0) -> Modes:
    """The modes of a target.

    Found ones are the pieces into which the minimum spanning tree falls when its longest edges are cut, down to the
    place where the lengths of consecutive edges drop by the largest factor. A drop by less than 2.5, or pieces of a few
    points, count as no drop: then the target has one mode. When there are no more than 4 distinct points, or at least
    8 points at each position on average, every position is a mode.

    Args:
        real_points: The target, shape `[M, axes]`.
        modes: Centres, shape `[modes, axes]` (a list of numbers on a line), taken as they are; None finds them.
        mode_radius: None: 3 standard deviations of the modes per axis, pooled; for modes without extent a quarter of
            the smallest distance of two centres; for a single atom `length`.
        length: The radius of a single atom.

    Raises:
        ParameterError: If the centres or the radius do not fit.
    """
    axes = real_points.shape[1]
    if modes is None:
        label = _pieces(real_points)
        centres = np.stack([real_points[label == k].mean(axis=0) for k in range(int(label.max()) + 1)])
        centres = centres[np.lexsort(centres.T[::-1])]
    else:
        centres = real_array("modes", modes)
        centres = centres[:, None] if centres.ndim == 1 and axes == 1 else centres
        if centres.ndim != 2 or centres.shape[1] != axes or not len(centres):
            raise ParameterError("modes", f"shape {np.shape(modes)}", f"centres of shape (modes, {axes}), at least one")
    nearest = np.argmin(cdist(real_points, centres), axis=1)
    weights = np.bincount(nearest, minlength=len(centres)) / len(real_points)
    if mode_radius is not None:
        return Modes(centres, weights, number("mode_radius", mode_radius, above=0))
    # Around the mean of what is nearest, not around the centre: given centres need not be means.
    means = centres.copy()
    for k in np.unique(nearest):
        means[k] = real_points[nearest == k].mean(axis=0)
    deviation = math.sqrt(float(np.mean(np.square(real_points - means[nearest]))))
    if deviation > 1e-12 * (1 + float(np.max(np.abs(real_points)))):
        return Modes(centres, weights, _DEVIATIONS * deviation)
    if len(centres) > 1:
        apart = min(float(np.min(np.linalg.norm(np.delete(centres, k, 0) - c, axis=1))) for k, c in enumerate(centres))
        if apart > 0:
            return Modes(centres, weights, _BETWEEN * apart)
    return Modes(centres, weights, length)


def _pieces(points: Array) -> npt.NDArray[np.intp]:
    """Number of the piece that each point belongs to."""
    positions, where, copies = np.unique(points, axis=0, return_inverse=True, return_counts=True)
    where = where.ravel()
    if len(positions) <= max(_FEW, _FEW_SHARE * len(points)):
        return np.asarray(where, np.intp)
    first, second, lengths = _spanning_tree(positions)
    order = np.argsort(-lengths)
    sorted_lengths = lengths[order]
    drops = sorted_lengths[:-1] / sorted_lengths[1:]
    for last in np.argsort(-drops):
        if drops[last] <= _CLEAR:
            break
        kept = order[last + 1 :]
        graph = coo_array((np.ones(len(kept)), (first[kept], second[kept])), shape=(len(positions), len(positions)))
        count, label = connected_components(graph, directed=False)
        sizes = np.bincount(label, weights=copies)
        if sizes.min() >= max(_FEWEST, _SHARE * len(points) / count):
            return np.asarray(label[where], np.intp)
    return np.zeros(len(points), np.intp)


def _spanning_tree(points: Array) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], Array]:
    """Edges of the minimum spanning tree of distinct points, by Prim's algorithm: ends and lengths."""
    count = len(points)
    if points.shape[1] == 1:
        order = np.argsort(points[:, 0])
        return order[:-1], order[1:], np.diff(points[order, 0])
    # Points outside the tree stand first in these arrays, each with its nearest point of the tree.
    rest, nearest, squared = np.arange(1, count), np.zeros(count - 1, np.intp), np.full(count - 1, np.inf)
    coordinates = np.ascontiguousarray(points[1:].T)
    ends, lengths, new = np.empty((count - 1, 2), np.intp), np.empty(count - 1), 0
    for k in range(count - 1):
        size = count - 1 - k
        from_new = np.zeros(size)
        for axis, row in enumerate(coordinates):
            from_new += np.square(row[:size] - points[new, axis])
        closer = from_new < squared[:size]
        squared[:size][closer], nearest[:size][closer] = from_new[closer], new
        place = int(np.argmin(squared[:size]))
        new = int(rest[place])
        ends[k], lengths[k] = (nearest[place], new), math.sqrt(squared[place])
        for array in (rest, nearest, squared):
            array[place] = array[size - 1]
        coordinates[:, place] = coordinates[:, size - 1]
    return ends[:, 0], ends[:, 1], lengths
