r"""Gaussian kernels as Fourier series: the periodised kernel, exact to rounding while all points stay in the box.

With period L per axis, frequencies 2 pi n / L up to |n| = cut L / (2 pi sigma), and weights

    (sigma sqrt(2 pi) / L)^d exp(-sigma^2 |omega|^2 / 2)

the error of the kernel is about exp(-pad^2 / 2) + exp(-cut^2 / 2) while no two points are further apart, along any
axis, than L - pad sigma. For a sum of Gaussians the largest sigma decides about pad and the smallest about cut.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from ganscope.core.compiled import compiled
from ganscope.games.kernel.kernels import RBF, Kernel, RBFSum
from ganscope.games.kernel.waves import Waves

Array = npt.NDArray[np.float64]

# pad = cut: machine precision.
_FULL = 8.0
MOST_AXES = 3
# `auto` does not take a larger grid.
MOST_FEATURES = 4000


def supports(kernel: Kernel, axes: int) -> bool:
    """Whether there is a grid for this kernel and dimension."""
    return isinstance(kernel, RBF | RBFSum) and axes <= MOST_AXES


def parts(kernel: Kernel) -> tuple[Array, Array]:
    """Bandwidths and weights of the Gaussians that a kernel consists of."""
    if isinstance(kernel, RBFSum):
        return np.asarray(kernel.bandwidths), np.asarray(kernel.weights)
    return np.array([kernel.bandwidth]), np.ones(1)


def cut_of(tolerance: float | None) -> float:
    """Cut and pad for an error of the kernel; None is machine precision."""
    return _FULL if tolerance is None else min(_FULL, max(2.0, math.sqrt(-2 * math.log(min(tolerance, 1.0) / 2))))


def sizes(bandwidths: Array, spread: Array, cut: float) -> tuple[Array, Array]:
    """Periods and largest wave numbers (whole, however large), shape `[cells, axes]`.

    Args:
        bandwidths: Shape `[cells, parts]`.
        spread: Largest distance of points along each axis, shape `[cells, axes]`.
        cut: Cut and pad.
    """
    period = spread + cut * bandwidths.max(axis=1)[:, None]
    counts = np.ceil(cut * period / (2 * math.pi * bandwidths.min(axis=1)[:, None]))
    return period, counts


def modes_of(counts: npt.NDArray[Any]) -> Array:
    """Number of modes of each cell: half of the grid, since opposite frequencies share one."""
    with np.errstate(over="ignore"):
        modes: Array = (counts[:, 0] + 1) * np.prod(2 * counts[:, 1:] + 1, axis=1)
    return modes


def grid(bandwidths: Array, weights: Array, period: Array, counts: npt.NDArray[np.int64]) -> Waves:
    """Frequencies and weights of the cells' grids; arguments as in `sizes`."""
    axes = period.shape[1]
    at = np.concatenate([[0], np.cumsum(modes_of(counts))]).astype(np.int64)
    frequencies = np.zeros(_padded(axes) * at[-1])
    spectrum = np.empty(at[-1])
    _fill(at, period, counts, bandwidths, weights, frequencies, spectrum)
    return Waves(at, frequencies, spectrum, 1.0 / period, counts)


def _padded(axes: int) -> int:
    return (axes + 3) // 4 * 4


@compiled
def _fill(at, period, counts, bandwidths, weights, frequencies, spectrum):
    """Mode k of a cell: wave numbers (0 .. c) for the first axis, (-c .. c) for the others, the last one fastest."""
    axes = period.shape[1]
    padded = (axes + 3) // 4 * 4
    n = np.zeros(axes, np.int64)
    for cell in range(len(period)):
        modes = at[cell + 1] - at[cell]
        for k in range(modes):
            rest = k
            for axis in range(axes - 1, 0, -1):
                width = 2 * counts[cell, axis] + 1
                n[axis] = rest % width - counts[cell, axis]
                rest //= width
            n[0] = rest
            leading, square = 0, 0.0
            for axis in range(axes):
                turns = n[axis] / period[cell, axis]
                frequencies[padded * at[cell] + axis * modes + k] = turns
                square += (2 * math.pi * turns) ** 2
                if leading == 0:
                    leading = n[axis]
            total = 0.0
            for part in range(len(weights)):
                sigma = bandwidths[cell, part]
                volume = 1.0
                for axis in range(axes):
                    volume *= sigma * math.sqrt(2 * math.pi) / period[cell, axis]
                total += weights[part] * volume * math.exp(-0.5 * sigma**2 * square)
            # Opposite frequencies are one mode: the first of a pair has the weight of both, the second none.
            spectrum[at[cell] + k] = total if leading == 0 else (2 * total if leading > 0 else 0.0)


def box_of(points: Any) -> Array:
    """Extent of points along each axis, shape `[..., axes]`, for points `[..., count, axes]`."""
    extent: Array = np.max(points, axis=-2) - np.min(points, axis=-2)
    return extent
