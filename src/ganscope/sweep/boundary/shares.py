r"""A boundary of chance: where half of the replicas have the second of two outcomes, with an honest error bar.

Along a lattice line the share of replicas with the second outcome is taken as logistic,

    p(t) = 1 / (1 + exp(-(t - t0) / w)),

and t0, w are fitted by maximum likelihood to all replicas on the line near the crossing. The standard error of t0 comes
from the Fisher information, and half the distance between the lattice points is added in quadrature. Replicas that
change their mind all at once have no width: then the error is half the interval in which they do.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from ganscope.sweep.boundary.crossings import Crossing, Segment, edges_of
from ganscope.sweep.boundary.refinement import Place, Refined, share_of

Array = npt.NDArray[np.float64]

_ITERATIONS = 50
# A line is followed until so many neighbouring points in a row are unanimous.
_UNANIMOUS = 2


@dataclass(frozen=True)
class Midpoint:
    """Where a share passes one half.

    Attributes:
        location: t0.
        error: Of the location, one standard error; half an interval if there is no width.
        width: w, 0 if all replicas change at once.
    """

    location: float
    error: float
    width: float


def midpoint(
    at: npt.ArrayLike, hits: npt.ArrayLike, trials: npt.ArrayLike, spacing: float | None = None
) -> Midpoint | None:
    """Where the chance of a hit passes one half, from counts of hits at places in increasing order.

    Args:
        at: Places, shape `[n]`.
        hits: How many trials hit, `[n]`.
        trials: How many there were, `[n]`.
        spacing: Distance of the places next to the crossing; None for the smallest distance.

    Returns:
        None if the share does not pass one half: all hit, none, or hits are no more frequent at one end.
    """
    t, k, n = (np.asarray(values, np.float64) for values in (at, hits, trials))
    if len(t) < 2 or not 0 < np.sum(k) < np.sum(n):
        return None
    rising = float(np.sum((t - np.mean(t)) * (k / n - np.mean(k / n))))
    if rising == 0:
        return None
    if rising < 0:
        k = n - k
    first, last = float(np.min(t[k > 0])), float(np.max(t[k < n]))
    if last <= first:  # no place has hits below a place with misses
        before, after = t[(k == 0) & (t <= first)], t[(k == n) & (t >= last)]
        low, high = float(before[-1] if len(before) else first), float(after[0] if len(after) else last)
        if low == high:
            return None
        return Midpoint((low + high) / 2, (high - low) / 2, 0.0)
    fitted = _fit(t, k, n)
    if fitted is None:
        return None
    location, width, error = fitted
    if not t[0] <= location <= t[-1]:
        return None
    half = (float(np.min(np.diff(t))) if spacing is None else spacing) / 2
    return Midpoint(location, math.hypot(error, half), width)


def _fit(t: Array, k: Array, n: Array) -> tuple[float, float, float] | None:
    """Location, width and standard error of the location by Newton steps on the logarithm of the likelihood."""
    middle, size = float(np.mean(t)), float(np.ptp(t))
    x = (t - middle) / size
    beta = np.array([0.0, 4.0])
    design = np.stack([np.ones_like(x), x], axis=1)

    def loss(b: Array) -> float:
        eta = design @ b
        return float(np.sum(n * np.logaddexp(0, eta) - k * eta))

    here = loss(beta)
    for _ in range(_ITERATIONS):
        p = expit(design @ beta)
        information = design.T @ ((n * p * (1 - p))[:, None] * design)
        if np.linalg.cond(information) > 1e14:
            return None
        step = np.linalg.solve(information, design.T @ (k - n * p))
        while loss(beta + step) > here + 1e-12 and np.max(np.abs(step)) > 1e-12:
            step /= 2
        beta = beta + step
        here = loss(beta)
        if np.max(np.abs(step)) < 1e-10:
            break
    a, b = float(beta[0]), float(beta[1])
    if b <= 0:
        return None
    covariance = np.linalg.inv(design.T @ ((n * expit(design @ beta) * expit(-(design @ beta)))[:, None] * design))
    slope = np.array([-1 / b, a / b**2])  # of the location -a / b
    error = math.sqrt(max(float(slope @ covariance @ slope), 0.0))
    return middle - size * a / b, size / b, size * error


def chance_curves(plane: Refined) -> list[Segment]:
    """The boundary between the plane's two outcomes as ordered pieces of fitted crossings.

    Raises:
        AssertionError: If the plane has no two outcomes.
    """
    assert plane.between is not None
    lines: tuple[dict[int, list[int]], dict[int, list[int]]] = ({}, {})
    for i, j in plane.labels:
        lines[0].setdefault(j, []).append(i)
        lines[1].setdefault(i, []).append(j)
    crossed: set[tuple[int, int, int, int]] = set()
    for cell in plane.leaves:
        if plane.is_mixed(cell):
            for (x, y), (u, v) in edges_of(plane, cell):
                crossed.add((0, y, x, u) if y == v else (1, x, y, v))
    found: list[Crossing] = []
    for axis in (0, 1):
        for line in sorted({edge[1] for edge in crossed if edge[0] == axis}):
            brackets = sorted(edge[2:] for edge in crossed if edge[:2] == (axis, line))
            found += _on_line(plane, axis, line, sorted(lines[axis][line]), brackets)
    return _ordered(found)


def _on_line(plane: Refined, axis: int, line: int, known: list[int], brackets: list[tuple[int, int]]) -> list[Crossing]:
    """The crossings of one line: one for every stretch of points on which the replicas disagree."""
    assert plane.between is not None
    share = np.array([share_of(plane.votes[_place(axis, line, t)], plane.between[1]) for t in known])
    replicas = len(next(iter(plane.votes.values())))
    index = {t: k for k, t in enumerate(known)}
    found, covered = [], -1
    for low, high in brackets:
        if index[high] <= covered:
            continue
        first, last = index[low], index[high]
        first, last = _grown(share, first, -1), _grown(share, last, 1)
        first = max(first, covered)
        covered = last
        t = np.array(known[first : last + 1], np.float64)
        hits = np.round(share[first : last + 1] * replicas)
        found_here = midpoint(t, hits, np.full(len(t), replicas), float(high - low))
        if found_here is not None:
            centre, error = found_here.location, found_here.error
            found.append(Crossing(axis, line, centre - error, centre + error, plane.between))
    return found


def _grown(share: Array, start: int, step: int) -> int:
    """The end of a stretch: the last of some unanimous points in a row, or the last point."""
    row, here = int(share[start] in (0.0, 1.0)), start
    while row < _UNANIMOUS and 0 <= here + step < len(share):
        here += step
        row = row + 1 if share[here] in (0.0, 1.0) else 0
    return here


def _place(axis: int, line: int, t: int) -> Place:
    return (t, line) if axis == 0 else (line, t)


def _ordered(crossings: list[Crossing]) -> list[Segment]:
    """Crossings in an order along the curve: always the nearest one that is left, from an end."""
    if not crossings:
        return []
    centres = np.array([crossing.centre for crossing in crossings])
    distance = np.hypot(*(centres[:, None, k] - centres[None, :, k] for k in (0, 1)))
    if len(crossings) > 1:
        nearest = np.sort(distance, axis=1)[:, 1]
        errors = np.array([(c.high - c.low) / 2 for c in crossings])
        reach = 6.0 * max(float(np.quantile(nearest, 0.9)), float(np.median(errors)))
    else:
        reach = 0.0
    left, segments = set(range(len(crossings))), []
    while left:
        start = min(left)
        for _ in range(2):  # the far end of a far end is an end of the curve
            walk = _walk(distance, left, start, reach)
            start = walk[-1]
        walk = _walk(distance, left, start, reach)
        left -= set(walk)
        segments.append(Segment([crossings[k] for k in walk], False))
    return sorted(segments, key=lambda segment: -len(segment.crossings))


def _walk(distance: Array, among: set[int], start: int, reach: float) -> list[int]:
    left, walk = set(among) - {start}, [start]
    while left:
        ahead = min(left, key=lambda k: (distance[walk[-1], k], k))
        if distance[walk[-1], ahead] > reach:
            break
        walk.append(ahead)
        left.remove(ahead)
    return walk
