"""Where the generated points are in relation to the true ones: distances, masses and coverage."""

from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from ganscope.core.compiled import compiled, writeable
from ganscope.core.parallel import cores, run_tasks

Array = npt.NDArray[np.float64]

_FAST = {"reassoc", "contract", "nsz", "arcp", "nnan"}
# A generated point belongs to its nearest true point within this many bandwidths, otherwise it is free.
REACH = 3.0


@compiled(fastmath=_FAST)
def _squares(point, real, s):
    axes = len(point)
    row, y = real[0], point[0]
    for k in range(len(s)):
        s[k] = (row[k] - y) * (row[k] - y)
    for axis in range(1, axes):
        row, y = real[axis], point[axis]
        for k in range(len(s)):
            s[k] += (row[k] - y) * (row[k] - y)


@compiled(fastmath=_FAST)
def _least(s):
    best = s[0]
    for k in range(1, len(s)):
        best = min(best, s[k])
    return best


@compiled
def _cover(s, square, seen):
    for k in range(len(s)):
        seen[k] = seen[k] | (s[k] <= square)


@compiled
def _observe(first, last, points, real, bandwidths, generated_mass, distance, mass, covered):
    """Records first..last of points `[records, M, axes]`, see `observe`."""
    count = real.shape[1]
    s = np.empty(count)
    seen = np.empty(count, np.bool_)
    for record in range(first, last):
        seen[:] = False
        mass[record] = 0.0
        sigma = bandwidths[record]
        whole = True
        for j in range(points.shape[1]):
            for axis in range(points.shape[2]):
                whole = whole and np.isfinite(points[record, j, axis])
        if not whole:
            distance[record] = np.nan
            mass[record] = np.nan
            covered[record] = np.nan
            continue
        for j in range(points.shape[1]):
            _squares(points[record, j], real, s)
            best = _least(s)
            distance[record, j] = np.sqrt(best)
            if best <= (REACH * sigma) ** 2:
                k = 0
                while s[k] > best:
                    k += 1
                mass[record, k] += generated_mass[j]
            if best <= sigma * sigma:
                _cover(s, sigma * sigma, seen)
        covered[record] = np.sum(seen)


def observe(points: Array, real_points: Array, generated_mass: Array, bandwidths: Any) -> tuple[Array, Array, Array]:
    """Distance to the nearest true point, mass near every true point, and number of covered true points.

    Args:
        points: Shape `[..., M, axes]`.
        real_points: Shape `[N, axes]`.
        generated_mass: Shape `[M]`.
        bandwidths: Bandwidth, a number or one per leading index `[...]`. A generated point counts for its nearest true
            point within three bandwidths; a true point is covered by a generated point within one.

    Returns:
        Shapes `[..., M]`, `[..., N]` and `[...]`; NaN where a point is not finite.
    """
    lead = points.shape[:-2]
    flat = writeable(np.ascontiguousarray(points.reshape(-1, *points.shape[-2:])))
    widths = np.array(np.broadcast_to(bandwidths, lead), np.float64).reshape(-1)
    real, masses = np.array(real_points.T, order="C"), writeable(generated_mass)
    records = len(flat)
    distance = np.empty((records, flat.shape[1]))
    mass, covered = np.empty((records, len(real_points))), np.empty(records)
    pieces = min(records, max(cores(), int(flat.size * len(real_points) // 100_000_000)))
    edges = np.linspace(0, records, pieces + 1).astype(int)

    def task(low: int, high: int) -> Any:
        def work(tick: Any) -> None:
            _observe(low, high, flat, real, widths, masses, distance, mass, covered)
            tick(high - low)

        return work

    run_tasks([task(low, high) for low, high in pairwise(edges)], "observing", records)
    return distance.reshape(*lead, -1), mass.reshape(*lead, -1), covered.reshape(lead)
