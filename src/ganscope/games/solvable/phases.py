r"""Closed forms of the solvable GAN: thresholds of silent states, and fixed points with an active discriminator.

In a silent state with P = diag(p), S = I and latents that match the features, every feature has its own 2 x 2 block of
the matrix in `silence`, with

    trace_i = 2 tau g0 + tau~ Lambda_i
    det_i   = tau (Lambda_i + g0)(tau~ Lambda_i - tau Lambda_i + tau g0) + (tau p_i Lambda_i)^2

for the quadratic link under the hard constraint. The signs of trace and determinant give the thresholds. The fixed
points below `silent_mode` are those of that link and constraint.

Feature strengths and noise levels are variances; rates are per unit of time (one unit is `dimension` iterations). All
functions take plain numbers or arrays and broadcast, NaN standing for "there is none": they draw phase diagrams.

References:
    Wang, Hu, Lu. A Solvable High-Dimensional Model of GAN. NeurIPS 2019. Re-derived and extended.
"""

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ganscope.games.solvable.silence import Silence, noise_level

Array = npt.NDArray[np.float64]


def lower_threshold(about: Silence) -> Any:
    """Feature strength above which a silent discriminator sees a feature: -pull / real_slope.

    For the quadratic link (discriminator_lr / 2) noise_level.
    """
    return -about.pull / about.real_slope


def upper_threshold(about: Silence) -> Any:
    """Feature strength above which no silent state P = diag(p) is stable in that feature, whatever its overlap.

    -2 pull / (real_slope - fake_slope + speed_ratio length fake_slope): the trace changes sign. For the quadratic link
    (discriminator_lr^2 / generator_lr) noise_level / length. It is infinite where the denominator is not positive. For
    the quadratic link upper / lower = 2 / (speed_ratio length), so from speed_ratio length = 2 on there is no window
    between them: every feature that the discriminator sees is above both.

    With latents that match the features the trace of the whole matrix is the same for all silent states, whatever P and
    S: none of them is stable once the mean strength is above this threshold. While the mean is below it, one stronger
    feature may still be held by a silent state whose columns mix the features.
    """
    slope = about.real_slope - about.fake_slope + about.speed_ratio * about.length * about.fake_slope
    return np.where(slope > 0, -2.0 * about.pull / np.where(slope > 0, slope, 1.0), math.inf)


def critical_overlap(feature_variance: Any, about: Silence, latent_variance: Any = None) -> Array:
    """Overlap |p_i| above which a silent state is stable in feature i, given that the trace is negative.

    sqrt(max(0, (1 + g0 / Lambda)(1 - g0 / Lambda - speed_ratio))) for the quadratic link under the hard constraint:
    the determinant changes sign. The trace is negative below the upper threshold.

    Args:
        feature_variance: Strengths of the features.
        about: The linearisation about the silent states.
        latent_variance: Strengths of the matching generator columns; default the features' own.
    """
    real = about.real_slope * np.asarray(feature_variance)
    fake = about.fake_slope * np.asarray(feature_variance if latent_variance is None else latent_variance)
    squared = (1 + about.pull / real) * (1 - about.pull / fake - about.speed_ratio * about.length)
    result: Array = np.sqrt(np.maximum(0.0, squared))
    return result


def slow_overlap(feature_variance: Any, about: Silence, latent_variance: Any = None) -> Array:
    """Overlap with which a run ends when the generator is infinitely slow; other runs end between this and the
    critical overlap.

    sqrt(max(0, 1 - (lower threshold / feature_variance)^2)) for the quadratic link.
    """
    return critical_overlap(feature_variance, about._replace(speed_ratio=0.0), latent_variance)


def silent_mode(
    feature_variance: Any, overlap: Any, about: Silence, discriminator_lr: Any
) -> npt.NDArray[np.complex128]:
    """The two eigenvalues of one feature in the silent state P = diag(p), S = I, with latents that match the features.

    trace / 2 +- sqrt(trace^2 / 4 - det): while they are complex, the pair grows at trace / 2 and rotates.

    Returns:
        Shape `[..., 2]`, in inverse time; the one with the larger real part, or the positive frequency, first.
    """
    real = about.real_slope * np.asarray(feature_variance)
    fake = about.fake_slope * np.asarray(feature_variance)
    seen, made = real + about.pull, about.pull + (about.speed_ratio * about.length - 1.0) * fake
    half_trace = 0.5 * (seen + made)
    root = np.sqrt(half_trace**2 - seen * made - np.square(overlap) * real * fake + 0j)
    rate = np.asarray(discriminator_lr)[..., None]
    values: npt.NDArray[np.complex128] = rate * np.stack([half_trace + root, half_trace - root], axis=-1)
    return values


def discriminator_wins(feature_variance: Any, data_noise: Any, generator_noise: Any, discriminator_lr: Any) -> Array:
    """q of the fixed point where the discriminator holds one feature and the generator knows nothing: P = r = 0.

    q^2 = (1 + g0 / Lambda) / (1 + discriminator_lr data_noise / 2), above the lower threshold only. With a generator
    column to learn the feature it is a saddle. Under a soft penalty this is q^2 / z.
    """
    pull = -0.5 * np.asarray(discriminator_lr) * noise_level(data_noise, generator_noise)
    squared = (1 + pull / feature_variance) / (1 + 0.5 * np.asarray(discriminator_lr) * data_noise)
    return _root(squared, squared > 0)


def generator_locks(
    latent_variance: Any, data_noise: Any, generator_noise: Any, discriminator_lr: Any, generator_lr: Any
) -> Array:
    """r of the fixed point where a generator column holds the discriminator off the features: P = q = 0.

    r^2 = [(tau~ - tau) Lambda~ + tau g0] / [Lambda~ (tau~ - tau + tau^2 eta_G / 2)], for generators that are faster
    than the discriminator by more than a factor 1 + |g0| / Lambda~.
    """
    tau, excess = np.asarray(discriminator_lr), np.asarray(generator_lr) - discriminator_lr
    pull = -0.5 * tau * noise_level(data_noise, generator_noise)
    held = excess * latent_variance + tau * pull
    needed = latent_variance * (excess + 0.5 * tau**2 * generator_noise)
    squared = held / np.where(needed > 0, needed, math.inf)
    return _root(squared, (held > 0) & (squared <= 1))


class ActiveRecovery(NamedTuple):
    """Fixed points with a recovered feature that the discriminator still holds: q = P r. Last axis: larger r first."""

    P: Array
    q: Array
    r: Array


def active_recovery(
    feature_variance: Any, data_noise: Any, generator_noise: Any, discriminator_lr: Any, generator_lr: Any
) -> ActiveRecovery:
    """The two states with one feature recovered under an active discriminator, latents matching the features.

    With rho the speed ratio and x = r^2,

        a x (1 - x) - b x - c = 0,   P^2 = 1 - rho (1 - x),   q = P r,
        a = rho (1 + tau eta_T / 2),   b = tau (eta_T + eta_G) / 2,   c = -g0 / Lambda.

    They exist for (a - b)^2 >= 4 a c with a > b, where P is real. The one with the smaller r is unstable.

    Returns:
        P, q, r of shape `[..., 2]`, NaN where there is none.
    """
    coefficients = _active_quadratic(feature_variance, data_noise, generator_noise, discriminator_lr, generator_lr)
    a, b, c, rho = np.broadcast_arrays(*coefficients, np.divide(generator_lr, discriminator_lr))
    large, real = _larger_root(a, b, c)
    small = c / (a * np.where(large > 0, large, 1.0))  # the product of the roots is c / a
    x = np.stack([large, small], axis=-1)
    overlap = 1 - rho[..., None] * (1 - x)
    exists = real[..., None] & (x > 0) & (x <= 1) & (overlap >= 0)
    P, r = _root(overlap, exists), _root(x, exists)
    return ActiveRecovery(P, P * r, r)


def _active_quadratic(
    feature_variance: Any, data_noise: Any, generator_noise: Any, discriminator_lr: Any, generator_lr: Any
) -> tuple[Any, Any, Any]:
    """a, b, c of `active_recovery`."""
    tau = np.asarray(discriminator_lr)
    a = np.divide(generator_lr, tau) * (1 + 0.5 * tau * data_noise)
    b = 0.5 * tau * (np.asarray(data_noise) + generator_noise)
    return a, b, 0.5 * tau * noise_level(data_noise, generator_noise) / np.asarray(feature_variance)


def _larger_root(a: Any, b: Any, c: Any) -> tuple[Array, Any]:
    """The larger root x of a x (1 - x) - b x - c = 0, and whether it is real and positive."""
    square = (a - b) ** 2 - 4 * a * c
    return 0.5 * (a - b + np.sqrt(np.maximum(square, 0.0))) / a, (square >= 0) & (a > b)


def active_recovery_jacobian(
    feature_variance: Any, data_noise: Any, generator_noise: Any, discriminator_lr: Any, generator_lr: Any
) -> Array:
    """Jacobian of the drift of (P, q, r), with this one feature alone, at active recovery with the larger r.

    There q = P r and kappa = b Lambda r^2 - a Lambda q^2 + g0 = 0.

    Returns:
        Shape `[..., 3, 3]` in inverse time, NaN where there is no such state.
    """
    tau, tau_g, L = np.asarray(discriminator_lr), np.asarray(generator_lr), np.asarray(feature_variance)
    P, q, r = (value[..., 0] for value in active_recovery(L, data_noise, generator_noise, tau, tau_g))
    a, b = 1 + 0.5 * tau * data_noise, 1 - 0.5 * tau * generator_noise
    rows = [
        [-tau_g * L * r**2, tau_g * L * r, -tau_g * L * q],
        [-tau * L * r, tau * L * (1 - 2 * a * q**2), tau * L * (2 * b * q * r - P)],
        [tau * L * q, tau * L * (P - 2 * a * q * r), tau * L * (2 * b * r**2 - 1) + tau_g * L * (1 - 3 * r**2)],
    ]
    return np.stack([np.stack(np.broadcast_arrays(*row), axis=-1) for row in rows], axis=-2)


def active_recovery_attracts(
    feature_variance: Any, data_noise: Any, generator_noise: Any, discriminator_lr: Any, generator_lr: Any
) -> npt.NDArray[np.bool_]:
    """Whether, with this one feature alone, active recovery with the larger r exists and is linearly stable.

    Routh's criterion, trace < 0, det < 0 and det > trace * minors (the sum of the principal 2 x 2 minors), on
    `active_recovery_jacobian` over discriminator_lr feature_variance, whose entries multiply to polynomials in x = r^2
    and P^2.
    """
    tau, rho = np.asarray(discriminator_lr), np.divide(generator_lr, discriminator_lr)
    x, real = _larger_root(
        *_active_quadratic(feature_variance, data_noise, generator_noise, discriminator_lr, generator_lr)
    )
    y = 1 - rho * (1 - x)
    exists = real & (x > 0) & (x <= 1) & (y >= 0)
    a, b = 1 + 0.5 * tau * data_noise, 1 - 0.5 * tau * generator_noise
    first, last = 1 - 2 * a * x * y, 2 * b * x - 1 + rho * (1 - 3 * x)  # of q, and of r, on itself
    crossed = first * last - y * (2 * b * x - 1) * (1 - 2 * a * x)
    trace = rho * (1 - 4 * x) + 2 * x * (b - a * y)
    minors = rho * x * (2 * a * x * y - last + y) + crossed
    det = rho * x * (last - crossed + y * (1 + 2 * b * x - 2 * a * x - 2 * a * x * y))
    result: npt.NDArray[np.bool_] = exists & (trace < 0) & (det < 0) & (det > trace * minors)
    return result


def pinned_critical_overlap(
    feature_variance: Any,
    pinning_variance: Any,
    data_noise: Any,
    generator_noise: Any,
    discriminator_lr: Any,
    generator_lr: Any,
) -> Array:
    """Overlap |p_i| above which feature i is stable while the discriminator is pinned on an unmodelled feature.

    A visible feature without a generator column holds the discriminator at q_p = `discriminator_wins`. With
    m = pinning_variance / feature_variance, Routh's criterion gives

        p_i^2 > (1 - m)(1 + m - rho) + rho m q_p^2 [1 + (1 - m) / (2 m - rho)],   rho / 2 < m < 1.

    Returns:
        The overlap; 0 where any will do, infinity where none will: below m = rho / 2 the pair (q_i, r_i) grows, and
        above m = 1 the column leaves feature i for the stronger, pinning one.
    """
    L, pinning = np.asarray(feature_variance), np.asarray(pinning_variance)
    rho, m = np.divide(generator_lr, discriminator_lr), pinning / L
    held = discriminator_wins(pinning, data_noise, generator_noise, discriminator_lr) ** 2
    able = (2 * m > rho) & (m < 1)
    ratio = (1 - m) / np.where(able, 2 * m - rho, 1.0)
    squared = (1 - m) * (1 + m - rho) + rho * m * held * (1 + ratio)
    result: Array = np.where(np.isnan(held), np.nan, np.where(able, np.sqrt(np.maximum(squared, 0.0)), math.inf))
    return result


def _root(squared: Any, exists: Any) -> Array:
    result: Array = np.where(exists, np.sqrt(np.where(exists, squared, 0.0)), np.nan)
    return result
