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
from scipy.special import xlogy

from ganscope.core.checks import number, real_array
from ganscope.core.errors import ParameterError

Array = npt.NDArray[np.float64]

# Capture radius over the distance between neighbouring modes, if none is given.
CAPTURE_SHARE = 0.35
# Width of the soft assignment over the distance between neighbouring modes.
_SOFT_SHARE = 0.25
# A mode is covered if it captures this share of its even share of the particles: 1 / 4, in whole numbers.
COVERED = 4
# Rounding up to which a distance counts as equal to the capture radius, relative to the coordinates.
ROUNDING = 1e-12
# Coordinates beyond this have squares that cannot be represented.
LARGEST = 1e150
# Numbers held at once by one block of particles times modes.
_BLOCK = 2**21


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
    return OrderParameters(*(shaped(np.concatenate(parts), lead) for parts in zip(*blocks, strict=True)))


def _checked(positions: npt.ArrayLike, modes: npt.ArrayLike, period: float | None) -> tuple[Array, Array]:
    """Modes `[M, d]` and positions `[..., N, d]`."""
    centres = real_array("modes", modes)
    if centres.ndim not in (1, 2) or centres.size == 0:
        raise ParameterError("modes", modes, "the centres of the modes, shape [M, d], or [M] on a line")
    x = as_positions(positions)
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


def as_positions(positions: npt.ArrayLike) -> Array:
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
    reach = radius + ROUNDING * (radius + float(np.max(np.abs(centres))))
    captured = np.sqrt(nearest) <= reach
    counts = np.stack([np.sum(captured & (owner == m), axis=1) for m in range(count)], axis=1)
    occupancy = counts / particles
    coverage = np.mean(COVERED * count * counts >= particles, axis=1)
    entropy, kl = evenness(counts)
    soft = _soft_coverage(squares - nearest[:, None, :], separation)
    extent = trace_covariance(x, period)
    spread = extent / variance if variance > 0 else np.full(len(x), np.nan)
    result = (occupancy, coverage, entropy, kl, soft, spread, np.sum(counts, axis=1) / particles)
    for values in result:
        values[lost] = np.nan
    return result


def evenness(counts: npt.NDArray[np.int64]) -> tuple[Array, Array]:
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


def shaped(values: Array, lead: tuple[int, ...]) -> Any:
    return values.reshape((*lead, *values.shape[1:]))[()]
