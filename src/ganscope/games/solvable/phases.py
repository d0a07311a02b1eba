r"""Closed forms of the solvable GAN: where the ODE rests, and which of its silent states attract.

In a silent state the discriminator sees nothing, q = r = 0. All of them are at rest, whatever P and S. Near one,

    d/dt (q, r) = M (q, r),   M = [[ tau (k_T Lambda + g0),      -tau k_G P Lambda~ ],
                                   [ tau k_T P' Lambda,   -tau k_G S Lambda~ + tau g0 + tau~ (k_G z Lambda~ - D) ]]

    k_T = E f'(sqrt(eta_T z) e),   k_G = E f~'(sqrt(eta_G z) e),   g0 = -(tau / 2 z) (eta_T F2 + eta_G F2~)

with tau, tau~ the discriminator's and the generator's learning rate, eta_T, eta_G the noise variances of data and
generator, F2 = E f^2 and D the soft penalty on the columns. For the quadratic link k_T = k_G = 1 and
g0 = -(tau / 2)(eta_T^2 + eta_G^2); under the hard constraint z = 1 and D = 0. With P = diag(p), S = I and
Lambda~ = Lambda the features separate into 2 x 2 blocks, which give the thresholds.

Feature strengths and noise levels are variances; rates are per unit of time (one unit is `dimension` iterations).
Functions of plain numbers broadcast, so that they draw phase diagrams; the fixed points with an active discriminator
are those of the quadratic link under the hard constraint.

References:
    Wang, Hu, Lu. A Solvable High-Dimensional Model of GAN. NeurIPS 2019. Re-derived and extended.
"""

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.optimize

from ganscope.core.errors import ParameterError
from ganscope.games.solvable.drift import gauss_hermite
from ganscope.games.solvable.links import array_pair

if TYPE_CHECKING:
    from ganscope.games.solvable.model import SolvableGAN

Array = npt.NDArray[np.float64]

# Without noise the mean slope of a link is its slope at 0, taken over this small a variance.
_TINY_VARIANCE = 1e-10
# Lengths of the soft discriminator that are searched for a root, as distances from 1 on either side.
_LONGER = 1.0 + np.geomspace(1e-6, 1e8, 400)
_SHORTER = np.geomspace(1.0, 1e-12, 400)[1:]


class Silence(NamedTuple):
    """What the linearisation about a silent state is made of; numbers or arrays.

    Attributes:
        pull: g0, the (negative) growth of an overlap that noise alone causes, in units of discriminator_lr.
        real_slope, fake_slope: k_T and k_G, mean slopes of the link; 1 for the quadratic one.
        length: z, squared length of the discriminator; 1 under the hard constraint.
        speed_ratio: generator_lr / discriminator_lr.
    """

    pull: Any
    real_slope: Any
    fake_slope: Any
    length: Any
    speed_ratio: Any


def noise_level(data_noise: Any, generator_noise: Any) -> Any:
    """data_noise^2 + generator_noise^2: all that silent states of the quadratic link know about the noise."""
    return np.square(data_noise) + np.square(generator_noise)


def quadratic_silence(
    data_noise: Any, generator_noise: Any, discriminator_lr: Any, generator_lr: Any, length: Any = 1.0
) -> Silence:
    """The linearisation for the quadratic link: pull = -(discriminator_lr / 2) noise_level, whatever the length."""
    pull = -0.5 * np.asarray(discriminator_lr) * noise_level(data_noise, generator_noise)
    return Silence(pull, 1.0, 1.0, length, np.divide(generator_lr, discriminator_lr))


def silence(game: "SolvableGAN") -> Silence:
    """The linearisation about the silent states of a game, at the discriminator's stationary length.

    Any link, hard or soft; only the covariance of the latents matters at this order.

    Raises:
        ParameterError: If the discriminator has no stationary length, see `stationary_length`.
    """
    length = stationary_length(game)
    real, fake = _mean_slope_and_square(game, 0, length), _mean_slope_and_square(game, 1, length)
    noise = game.data_noise * real[1] + game.generator_noise * fake[1]
    pull = -0.5 * game.discriminator_lr * noise / length
    return Silence(float(pull), float(real[0]), float(fake[0]), length, game.generator_lr / game.discriminator_lr)


def _mean_slope_and_square(game: "SolvableGAN", side: int, length: Any) -> tuple[Any, Any]:
    """E f' and E f^2 over the noise alone, for the real (0) or the fake side (1); `length` broadcasts."""
    link = array_pair(game.link, game.link_bias)[side]
    variance = np.asarray((game.data_noise, game.generator_noise)[side] * length)
    nodes, weights = gauss_hermite()
    deviation = np.sqrt(np.maximum(variance, _TINY_VARIANCE))[..., None]
    value = link(deviation * nodes)
    slope = (value * nodes * weights).sum(-1) / deviation[..., 0]  # E f' = E[f(s) s] / var(s)
    return slope, (value**2 * weights).sum(-1)


def stationary_length(game: "SolvableGAN") -> float:
    r"""Squared length z of a silent discriminator; 1 under the hard constraint.

    Under the soft constraint the noise stretches the discriminator until the penalty holds it,

        lambda h(z) = eta_T k_T - eta_G k_G + (tau / 2 z)(eta_T F2 + eta_G F2~),   h(z) = tanh(z - 1),

    which for the quadratic link is z = 1 + artanh([eta_T - eta_G + (tau / 2)(eta_T^2 + eta_G^2)] / lambda). For other
    links it is the first root in the direction in which a discriminator of length 1 starts to move.

    Raises:
        ParameterError: If `regularization` is too weak, so that the length grows without bound or shrinks to 0.
    """
    if game.hard:
        return 1.0
    stretch = _stretch(game, np.array(1.0))
    if game.link == "quadratic":
        needed = max(stretch, -stretch / math.tanh(1.0))
        if game.regularization <= needed:
            raise _no_length(game, stretch > 0, f"a number > {needed:.6g}")
        return 1.0 + math.atanh(stretch / game.regularization)

    def excess(length: Array) -> Any:
        return _stretch(game, length) - game.regularization * np.tanh(length - 1.0)

    path = _LONGER if stretch > 0 else _SHORTER
    crossed = excess(path) * stretch <= 0
    if stretch == 0:
        return 1.0
    if not np.any(crossed):
        raise _no_length(game, stretch > 0, "a larger number")
    first = int(np.argmax(crossed))
    bracket = sorted((path[first], path[first - 1] if first else 1.0))
    return float(scipy.optimize.brentq(excess, *bracket, xtol=1e-14, rtol=1e-14))


def _stretch(game: "SolvableGAN", length: Array) -> Any:
    """Growth rate of the discriminator's squared length under noise alone, over 2 discriminator_lr."""
    (real_slope, real_square), (fake_slope, fake_square) = (_mean_slope_and_square(game, s, length) for s in (0, 1))
    noise = game.data_noise * real_square + game.generator_noise * fake_square
    return (
        game.data_noise * real_slope - game.generator_noise * fake_slope + 0.5 * game.discriminator_lr * noise / length
    )


def _no_length(game: "SolvableGAN", grows: bool, expected: str) -> ParameterError:
    return ParameterError(
        "regularization",
        game.regularization,
        f"{expected}: below it the noise makes the discriminator {'grow without bound' if grows else 'shrink to 0'}; "
        "raise regularization (infinity is the hard constraint), or bring data_noise and generator_noise "
        + ("down" if grows else "together"),
    )


def silent_matrix(game: "SolvableGAN", P: npt.ArrayLike, S: npt.ArrayLike | None = None) -> Array:
    """M, the linearisation of (q, r) about a silent state, in inverse time; shape `[features + columns] * 2`.

    Args:
        game: Any link, hard or soft (then at the stationary length).
        P: Overlaps of features and columns.
        S: Overlaps of the columns; default the identity.
    """
    P = np.asarray(P, np.float64)
    S = np.eye(game.columns) if S is None else np.asarray(S, np.float64)
    about = silence(game)
    tau, tau_g = game.discriminator_lr, game.generator_lr
    Lam = about.real_slope * np.diag(game.feature_variance)
    Lam_g = about.fake_slope * np.diag(game.latent_variance)
    penalty = 0.0 if game.hard else game.regularization * np.tanh(np.diag(S) - 1.0)
    q_to_q = tau * (Lam + about.pull * np.eye(game.features))
    r_to_r = tau * (about.pull * np.eye(game.columns) - S @ Lam_g) + tau_g * (
        about.length * Lam_g - np.diag(penalty * np.ones(game.columns))
    )
    return np.block([[q_to_q, -tau * P @ Lam_g], [tau * P.T @ Lam, r_to_r]])


def lower_threshold(about: Silence) -> Any:
    """Feature strength above which a silent discriminator sees a feature: -pull / real_slope.

    (discriminator_lr / 2) noise_level for the quadratic link.
    """
    return -about.pull / about.real_slope


def upper_threshold(about: Silence) -> Any:
    """Feature strength above which no silent state that holds the feature attracts: the pair (q_i, r_i) has no trace
    to lose there.

    -2 pull / (real_slope - fake_slope + speed_ratio length fake_slope), that is
    (discriminator_lr^2 / generator_lr) noise_level / length for the quadratic link; infinite where the denominator is
    not positive. It lies above the lower threshold, so that there is a window of success, only while
    speed_ratio * length < 2; beyond that every visible feature is above it. Latents must match the features.
    """
    slope = about.real_slope - about.fake_slope + about.speed_ratio * about.length * about.fake_slope
    return np.where(slope > 0, -2.0 * about.pull / np.where(slope > 0, slope, 1.0), math.inf)


def critical_overlap(feature_variance: Any, about: Silence, latent_variance: Any = None) -> Any:
    """Overlap |p_i| above which a silent state attracts in feature i, if the feature is below the upper threshold.

    sqrt(max(0, (1 + g0 / Lambda)(1 - g0 / Lambda - speed_ratio))) for the quadratic link under the hard constraint.
    Below the upper threshold it is less than 1 (for speed ratios below 4).

    Args:
        feature_variance: Strengths of the features.
        about: The linearisation.
        latent_variance: Strengths of the matching columns; default the features' own.
    """
    real = about.real_slope * np.asarray(feature_variance)
    fake = about.fake_slope * np.asarray(feature_variance if latent_variance is None else latent_variance)
    squared = (1 + about.pull / real) * (1 - about.pull / fake - about.speed_ratio * about.length)
    return np.sqrt(np.maximum(0.0, squared))


def slow_overlap(feature_variance: Any, about: Silence, latent_variance: Any = None) -> Any:
    """Overlap at which a successful run ends when the generator is infinitely slow; runs end between the critical
    overlap and this.

    sqrt(1 - (lower threshold / feature_variance)^2) for the quadratic link, 0 for invisible features.
    """
    return critical_overlap(feature_variance, about._replace(speed_ratio=0.0), latent_variance)


def silent_mode(feature_variance: Any, overlap: Any, about: Silence, discriminator_lr: Any) -> Array:
    """The two eigenvalues of feature i in the silent state with P = diag(p), S = I, latents matching the features.

    trace / 2 +- sqrt(trace^2 / 4 - det). While they are complex they decay or grow at trace / 2 and rotate.

    Returns:
        Complex, shape `[..., 2]`, the one with the larger real part (or positive frequency) first; inverse time.
    """
    real = about.real_slope * np.asarray(feature_variance)
    fake = about.fake_slope * np.asarray(feature_variance)
    drive = about.pull + (about.speed_ratio * about.length - 1.0) * fake
    half_trace = 0.5 * (real + about.pull + drive)
    det = (real + about.pull) * drive + np.square(overlap) * real * fake
    root = np.sqrt(half_trace**2 - det + 0j)
    values: Array = np.asarray(discriminator_lr)[..., None] * np.stack([half_trace + root, half_trace - root], axis=-1)
    return values
