r"""Order parameters of a cloud of particles in front of a target with modes: what of it is covered, and how evenly.

A particle is captured by the mode that is nearest to it, if it is within the capture radius. With o_m the share of
all particles that mode m captures, p = o / sum(o), and M modes,

    coverage  share of the modes with o_m >= 1 / (4 M)
    entropy   -sum p ln p / ln M           kl = (1 - entropy) ln M, the divergence of p from even shares
    quality   sum o_m
    spread    trace of the particles' covariance over the target's

Coverage jumps with the capture radius. The soft coverage is smooth: each particle belongs to mode m in proportion to
exp(-|x - mu_m|^2 / (2 s^2)), with s a quarter of the distance between neighbouring modes; exp(entropy) of the mean
shares, over M, is an effective share of modes, between 1 / M and 1.

The particle picture is that of Durr, Mroueh, Tu, Wang (Phys. Rev. X 13, 041004, 2023); these order parameters and
their constants are this package's choice.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree
from scipy.special import xlogy

from ganscope.core.checks import integer, number, real_array
from ganscope.core.errors import ParameterError

Array = npt.NDArray[np.float64]

# Capture radius over the distance between neighbouring modes, if none is given.
CAPTURE_SHARE = 0.35
# Width of the soft assignment over the distance between neighbouring modes.
_SOFT_SHARE = 0.25
# A mode is covered if it captures this share of its even share of the particles: 1 / 4, in whole numbers.
_COVERED = 4
# Rounding up to which a distance counts as equal to the capture radius, relative to the coordinates.
_ROUNDING = 1e-12
# Coordinates beyond this have squares that cannot be represented.
LARGEST = 1e150
# Numbers held at once by one block of particles times modes.
_BLOCK = 2**21
# Share of the data whose own nearest neighbour says what "close to the data" means.
_CLOSE = 0.99
# The window of `wander` begins at this share of the time so far.
_WINDOW = 0.75


class OrderParameters(NamedTuple):
    """Order parameters of one cloud, or of many; all NaN where a position is not finite.

    Attributes:
        occupancy: Share of all particles captured by each mode, shape `[..., modes]`.
        coverage: Share of the modes that capture at least a quarter of an even share of the particles, `[...]`.
        entropy: Evenness of the captured particles, 0 (one mode, or nothing captured) to 1 (all modes alike).
        kl: Divergence of the captured shares from even shares, in nats.
        soft_coverage: Effective share of the modes in use, 1 / modes to 1; smooth in the positions.
        spread: Trace of the particles' covariance (over the particles, without Bessel's correction) over the target's.
        quality: Share of the particles that are captured.
    """

    occupancy: Any
    coverage: Any
    entropy: Any
    kl: Any
    soft_coverage: Any
    spread: Any
    quality: Any


def order_parameters(
    positions: npt.ArrayLike,
    modes: npt.ArrayLike,
    capture_radius: float | None = None,
    target_variance: float | None = None,
    period: float | None = None,
) -> OrderParameters:
    r"""Order parameters of particles in front of a target whose modes are known.

    With one mode there is no neighbour: every particle belongs to it, `soft_coverage` is 1, `entropy` is 1 if
    anything is captured, and without a `capture_radius` everything is.

    Args:
        positions: Particles, shape `[..., N, d]` with any leading axes; `[..., N]` on a line if `modes` has one axis.
        modes: Centres of the modes, shape `[M, d]`, or `[M]` on a line; no two alike.
        capture_radius: Largest distance at which a mode captures, the distance itself included; None for 0.35 times
            the smallest distance between two modes. For modes of standard deviation sigma, three sigma if that is more.
        target_variance: Trace of the target's covariance, the unit of `spread`; None for that of the modes themselves,
            with equal weights. For Gaussian modes add d sigma^2.
        period: Length of a circle on which the particles live (one coordinate): distances are those along the circle,
            and covariances those of the points on a circle of that length in the plane.

    Returns:
        The order parameters, each with the leading axes of `positions` (`occupancy` with one axis more). `spread` is
        NaN where the target has no extent: one mode without `target_variance`.

    Raises:
        ParameterError: If shapes do not fit, modes coincide, or a number is out of range.

    References:
        The particles: Durr, Mroueh, Tu, Wang. Effective dynamics of generative adversarial networks.
        Phys. Rev. X 13, 041004 (2023).
    """
    centres, x = _checked(positions, modes, period)
    if period is not None:
        period = number("period", period, above=0)
    separation = _separation(centres, period)
    if capture_radius is not None:
        radius = number("capture_radius", capture_radius, at_least=0, infinite=True)
    else:
        radius = CAPTURE_SHARE * separation
    if target_variance is not None:
        variance = number("target_variance", target_variance, above=0)
    else:
        variance = float(trace_covariance(centres, period))
    lead, (particles, axes) = x.shape[:-2], x.shape[-2:]
    flat = x.reshape(-1, particles, axes)
    rows = max(1, _BLOCK // (particles * max(len(centres), axes)))
    blocks = [
        _measured(flat[i : i + rows], centres, radius, separation, variance, period)
        for i in range(0, max(1, len(flat)), rows)
    ]
    return OrderParameters(*(_shaped(np.concatenate(parts), lead) for parts in zip(*blocks, strict=True)))


def _checked(positions: npt.ArrayLike, modes: npt.ArrayLike, period: float | None) -> tuple[Array, Array]:
    """Modes `[M, d]` and positions `[..., N, d]`."""
    centres = real_array("modes", modes)
    if centres.ndim not in (1, 2) or centres.size == 0:
        raise ParameterError("modes", modes, "the centres of the modes, shape [M, d], or [M] on a line")
    x = _positions(positions)
    if centres.ndim == 1:
        centres = centres[:, None]
        if x.ndim == 1 or x.shape[-1] != 1:
            x = x[..., None]
    axes = centres.shape[1]
    if x.ndim < 2 or x.shape[-1] != axes or x.shape[-2] == 0:
        raise ParameterError(
            "positions", x.shape, f"shape [..., particles, {axes}], since modes has {axes} coordinates"
        )
    if period is not None and axes != 1:
        raise ParameterError("period", period, f"nothing (None): positions have {axes} coordinates, a circle has one")
    return centres, x


def _positions(positions: npt.ArrayLike) -> Array:
    """Real numbers, of which some may be NaN or infinite."""
    try:
        array = np.asarray(positions)
    except ValueError:
        array = np.asarray(None)
    if array.dtype.kind not in "fiu" or array.ndim == 0:
        raise ParameterError("positions", positions, "an array of real numbers, shape [..., particles, coordinates]")
    return np.asarray(array, np.float64)


def _separation(centres: Array, period: float | None) -> float:
    """Smallest distance between two modes; infinite if there is one."""
    apart = np.sqrt(_squared_distances(centres, centres, period))
    np.fill_diagonal(apart, np.inf)
    least = float(np.min(apart))
    if least == 0:
        raise ParameterError("modes", centres.tolist(), "modes of which no two coincide")
    return least


def _squared_distances(x: Array, centres: Array, period: float | None) -> Array:
    """Squared distances `[..., M, N]` of positions `[..., N, d]` from modes `[M, d]`."""
    result: Array = np.zeros((*x.shape[:-2], len(centres), x.shape[-2]))
    for axis in range(centres.shape[1]):
        apart = x[..., None, :, axis] - centres[:, None, axis]
        if period is not None:
            apart = apart - period * np.round(apart / period)
        result += apart * apart
    return result


def trace_covariance(positions: npt.ArrayLike, period: float | None = None) -> Any:
    """Trace of the covariance of points `[..., N, d]`, divided by N; on a circle, of the points in the plane.

    On a circle of length `period` this is (period / 2 pi)^2 (1 - |mean exp(2 pi i x / period)|^2): the usual variance
    for a narrow cloud, and (period / 2 pi)^2 for an even one.
    """
    x = np.asarray(positions, np.float64)
    if period is not None:
        radius = period / (2 * np.pi)
        x = radius * np.concatenate([np.cos(x / radius), np.sin(x / radius)], axis=-1)
    total: Any = 0.0
    for axis in range(x.shape[-1]):
        column = np.ascontiguousarray(x[..., axis])
        total = total + np.mean(np.square(column - np.mean(column, axis=-1, keepdims=True)), axis=-1)
    return total


def _measured(
    x: Array, centres: Array, radius: float, separation: float, variance: float, period: float | None
) -> tuple[Array, ...]:
    """The order parameters of a block of clouds `[rows, N, d]`, in the order of `OrderParameters`.

    All sums run along a contiguous last axis, so that a cloud's numbers do not depend on the block it is in.
    """
    count, particles = len(centres), x.shape[1]
    lost = ~np.all(np.abs(x) <= LARGEST, axis=(1, 2))
    x = np.where(lost[:, None, None], 0.0, x)
    squares = _squared_distances(x, centres, period)
    owner, nearest = np.argmin(squares, axis=1), np.min(squares, axis=1)
    reach = radius + _ROUNDING * (radius + float(np.max(np.abs(centres))))
    captured = np.sqrt(nearest) <= reach
    counts = np.stack([np.sum(captured & (owner == m), axis=1) for m in range(count)], axis=1)
    occupancy = counts / particles
    coverage = np.mean(_COVERED * count * counts >= particles, axis=1)
    entropy, kl = _evenness(counts)
    soft = _soft_coverage(squares - nearest[:, None, :], separation)
    extent = trace_covariance(x, period)
    spread = extent / variance if variance > 0 else np.full(len(x), np.nan)
    result = (occupancy, coverage, entropy, kl, soft, spread, np.sum(counts, axis=1) / particles)
    for values in result:
        values[lost] = np.nan
    return result


def _evenness(counts: npt.NDArray[np.int64]) -> tuple[Array, Array]:
    """Entropy and divergence from even shares of the counts `[rows, M]`."""
    modes, total = counts.shape[1], np.sum(counts, axis=1)
    nats = shares_entropy(counts / np.maximum(total, 1)[:, None])
    full = np.log(modes)
    entropy = np.minimum(nats / full, 1.0) if modes > 1 else np.ones(len(counts))
    entropy = np.where(total > 0, entropy, 0.0)
    return entropy, (1.0 - entropy) * full


def shares_entropy(shares: Array) -> Array:
    """-sum p ln p over the last axis, in nats."""
    result: Array = 0.0 - np.sum(xlogy(shares, shares), axis=-1)
    return result


def _soft_coverage(excess: Array, separation: float) -> Array:
    """Effective share of the modes, from squared distances beyond the nearest mode's, `[rows, M, N]`."""
    modes = excess.shape[1]
    if modes == 1:
        return np.ones(len(excess))
    weights = np.exp(-excess / (2 * (_SOFT_SHARE * separation) ** 2))
    total = weights[:, 0].copy()
    for m in range(1, modes):
        total += weights[:, m]
    shares = np.mean(weights / total[:, None, :], axis=2)
    return effective_share(shares)


def effective_share(shares: Array) -> Array:
    """exp(entropy) of shares over their number, between 1 / number and 1."""
    count = shares.shape[-1]
    result: Array = np.clip(np.exp(shares_entropy(shares)) / count, 1.0 / count, 1.0)
    return result


def _shaped(values: Array, lead: tuple[int, ...]) -> Any:
    return values.reshape((*lead, *values.shape[1:]))[()]


def labelled_order_parameters(
    positions: npt.ArrayLike,
    points: npt.ArrayLike,
    labels: npt.ArrayLike,
    neighbours: int = 5,
    target_variance: float | None = None,
) -> OrderParameters:
    """Order parameters of particles in front of labelled data, whose classes take the place of modes.

    Every particle gets the class that most of its nearest data points have (of several, the first one in sorted
    order), so that `occupancy` sums to 1 and `coverage`, `entropy` and `kl` follow by the formulas for modes. The soft
    coverage comes from the shares of the classes among those neighbours, averaged over the particles. `quality` is
    the share of particles that are as close to the data as the data are to each other: nearest data point no farther
    than the 99th percentile of the data's own nearest-neighbour distances.

    Args:
        positions: Particles, shape `[..., N, d]` with any leading axes.
        points: Data, shape `[n, d]`.
        labels: Class of each data point, shape `[n]`: numbers or texts.
        neighbours: How many nearest data points vote, at most n.
        target_variance: Trace of the target's covariance; None for that of the data.

    Returns:
        The order parameters; `occupancy` has one entry per class, in sorted order.

    Raises:
        ParameterError: If shapes do not fit or a number is out of range.
    """
    data = real_array("points", points, ndim=2)
    if len(data) < 2:
        raise ParameterError("points", data.shape, "data of shape [n, d], with at least two points")
    names = np.asarray(labels)
    if names.shape != (len(data),):
        raise ParameterError("labels", names.shape, f"one label per data point, shape ({len(data)},)")
    x = _positions(positions)
    if x.ndim < 2 or x.shape[-1] != data.shape[1] or x.shape[-2] == 0:
        raise ParameterError("positions", x.shape, f"shape [..., particles, {data.shape[1]}], like points")
    neighbours = integer("neighbours", neighbours, at_least=1)
    if neighbours > len(data):
        raise ParameterError("neighbours", neighbours, f"at most {len(data)}, the number of data points")
    if target_variance is not None:
        variance = number("target_variance", target_variance, above=0)
    else:
        variance = float(trace_covariance(data))
    lead, particles = x.shape[:-2], x.shape[-2]
    flat = x.reshape(-1, *x.shape[-2:])
    lost = ~np.all(np.abs(flat) <= LARGEST, axis=(1, 2))
    flat = np.where(lost[:, None, None], 0.0, flat)
    tree = cKDTree(data)
    close = float(np.quantile(tree.query(data, k=2)[0][:, 1], _CLOSE))
    distance, index = tree.query(flat, k=list(range(1, neighbours + 1)))
    classes, of_point = np.unique(names, return_inverse=True)
    votes = np.stack([np.sum(of_point[index] == c, axis=2) for c in range(len(classes))], axis=1)
    owner = np.argmax(votes, axis=1)
    counts = np.stack([np.sum(owner == c, axis=1) for c in range(len(classes))], axis=1)
    entropy, kl = _evenness(counts)
    result = (
        counts / particles,
        np.mean(_COVERED * len(classes) * counts >= particles, axis=1),
        entropy,
        kl,
        effective_share(np.mean(votes / neighbours, axis=2)),
        trace_covariance(flat) / variance if variance > 0 else np.full(len(flat), np.nan),
        np.mean(distance[..., 0] <= close * (1 + _ROUNDING), axis=1),
    )
    for values in result:
        values[lost] = np.nan
    return OrderParameters(*(_shaped(values, lead) for values in result))


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
    x = _positions(positions)
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
    g = _positions(gradients)
    common: Any = 0.0
    total: Any = 0.0
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        for axis in range(g.shape[-1]):
            column = np.ascontiguousarray(g[..., axis])
            common = common + np.square(np.mean(column, axis=-1))
            total = total + np.mean(np.square(column), axis=-1)
        share = np.divide(common, total)
        return np.where(np.isfinite(share), np.minimum(share, 1.0), np.nan)[()]
