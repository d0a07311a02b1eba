"""How a cloud moves as one body: how far its centre wanders, and how much of the push on it is common."""

from typing import Any

import numpy as np
import numpy.typing as npt

from ganscope.core.checks import number, real_array
from ganscope.core.errors import ParameterError
from ganscope.games.particle.order_parameters import as_positions

Array = npt.NDArray[np.float64]

# The window of `wander` begins at this share of the time so far.
_WINDOW = 0.75


def wander(times: npt.ArrayLike, positions: npt.ArrayLike, scale: float) -> Array:
    """How far the centre of mass moves about in the last quarter of the time so far, at every record.

    At record k: the standard deviation over the records with time >= 0.75 t_k, summed over the coordinates and divided
    by `scale`. The last value is that of the whole run.

    Args:
        times: Times of the records, increasing from 0 or later, shape `[T]`.
        positions: Particles, shape `[..., T, N, d]`; on a circle, not wrapped, so that going round counts.
        scale: Unit of length, the root of the trace of the target's covariance.

    Returns:
        Shape `[..., T]`; NaN from the first position on that is not finite.

    Raises:
        ParameterError: If shapes do not fit or `scale` is not positive.
    """
    scale = number("scale", scale, above=0)
    when = real_array("times", times, ndim=1)
    x = as_positions(positions)
    if x.ndim < 3 or x.shape[-3] != len(when):
        raise ParameterError("positions", x.shape, f"shape [..., {len(when)}, particles, coordinates], as times says")
    first = np.searchsorted(when, _WINDOW * when, side="left")
    number_of = np.arange(1, len(when) + 1) - first
    with np.errstate(invalid="ignore", over="ignore"):
        centre = np.stack([np.mean(np.ascontiguousarray(x[..., axis]), axis=-1) for axis in range(x.shape[-1])], -1)
        # Sums over windows are differences of running sums: in long double, from the first record.
        moved = (centre - centre[..., :1, :]).astype(np.longdouble)
        mean = _windows(moved, first) / number_of[:, None]
        square = _windows(moved * moved, first) / number_of[:, None]
        deviation = np.sqrt(np.maximum(square - mean * mean, 0)).astype(np.float64)
        total = deviation[..., 0].copy()
        for axis in range(1, deviation.shape[-1]):
            total += deviation[..., axis]
        result: Array = total / scale
        return result


def _windows(values: Any, first: npt.NDArray[np.intp]) -> Any:
    """Sums over the records `first[k]` to k, along the second axis from the end."""
    running = np.cumsum(values, axis=-2)
    before = np.take(running, np.maximum(first - 1, 0), axis=-2)
    return running - np.where((first > 0)[:, None], before, 0)


def rigidity(gradients: npt.ArrayLike) -> Any:
    """Share of the push on the particles that moves them as one body: |mean g|^2 / mean |g|^2.

    Args:
        gradients: Gradient of the discriminator at each particle, shape `[..., N, d]`.

    Returns:
        Shape `[...]`, 0 (all relative) to 1 (all alike); NaN where every gradient is zero, or one is not finite.
    """
    g = as_positions(gradients)
    common: Any = 0.0
    total: Any = 0.0
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        for axis in range(g.shape[-1]):
            column = np.ascontiguousarray(g[..., axis])
            common = common + np.square(np.mean(column, axis=-1))
            total = total + np.mean(np.square(column), axis=-1)
        share = np.divide(common, total)
        return np.where(np.isfinite(share), np.minimum(share, 1.0), np.nan)[()]
