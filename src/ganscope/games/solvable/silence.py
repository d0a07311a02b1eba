r"""Silent states of the solvable GAN, where the discriminator sees nothing, q = r = 0, and motion near them.

All of them are at rest, whatever P and S: a continuum, from P = 0 (nothing learned) to P = I (everything). Near one,

    d/dt (q, r) = M (q, r),   M = [[ tau (k_T Lambda + g0 I),    -tau k_G P Lambda~ ],
                                   [ tau k_T P' Lambda,     -tau k_G S Lambda~ + tau g0 I + tau~ (k_G z Lambda~ - D) ]]

    k_T = E f'(sqrt(eta_T z) e),   k_G = E f~'(sqrt(eta_G z) e),   g0 = -(tau / 2 z) (eta_T F2 + eta_G F2~)

with tau, tau~ the discriminator's and the generator's learning rate, eta_T, eta_G the noise variances of data and
generator, F2 = E f^2, and D = lambda diag h(S_jj) for a soft penalty. For the quadratic link k_T = k_G = 1 and
g0 = -(tau / 2)(eta_T^2 + eta_G^2); under the hard constraint z = 1 and D = 0. Latents enter through their covariance
alone. Rates are per unit of time (one unit is `dimension` iterations).

References:
    Wang, Hu, Lu. A Solvable High-Dimensional Model of GAN. NeurIPS 2019. Re-derived.
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

# Without noise the mean slope of a link is its slope at 0, here taken over so small a variance.
_TINY_VARIANCE = 1e-10
# Squared lengths, on either side of 1, that are searched for the stationary one.
_LONGER = 1.0 + np.geomspace(1e-6, 1e8, 400)
_SHORTER = 1.0 - np.append(np.geomspace(1e-6, 0.9, 100), 1.0 - np.geomspace(0.09, 1e-12, 200))


class NoStationaryLength(ParameterError):
    """The soft penalty is too weak to give a silent discriminator a length of its own.

    Attributes:
        grows: Whether the length grows without bound, rather than shrinking to 0.
    """

    def __init__(self, regularization: float, needed: float | None, grows: bool) -> None:
        self.grows = grows
        fate = "grow without bound" if grows else "shrink to 0"
        super().__init__(
            "regularization",
            regularization,
            ("a larger number" if needed is None else f"a number > {needed:.6g}")
            + f": with less, noise alone makes the discriminator {fate}. Infinity is the hard constraint; "
            + (
                "less data_noise lowers the limit"
                if grows
                else "a generator_noise nearer to data_noise lowers the limit"
            ),
        )


class Silence(NamedTuple):
    """What the linearisation about a silent state is made of; numbers or arrays.

    Attributes:
        pull: g0, the negative growth that the noise gives every overlap, in units of discriminator_lr.
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
    """The linearisation about the silent states of a game, of any link, hard or soft (at the stationary length).

    Raises:
        NoStationaryLength: See `stationary_length`.
    """
    stationary_length(game)
    return Silence(*(float(value) for value in silences(game)))


def silences(games: Any) -> Silence:
    """The same for one game or for `Cells`; NaN throughout where there is no stationary length."""
    length = stationary_lengths(games)
    (real_slope, real_square), (fake_slope, fake_square) = _averages(games, length)
    pull = (
        -0.5 * games.discriminator_lr * (games.data_noise * real_square + games.generator_noise * fake_square) / length
    )
    parts = pull, real_slope, fake_slope, length, np.divide(games.generator_lr, games.discriminator_lr)
    return Silence(*(np.where(np.isnan(length), math.nan, part) for part in parts))


def silent_matrix(game: "SolvableGAN", P: npt.ArrayLike, S: npt.ArrayLike | None = None) -> Array:
    """M, the linearisation of (q, r) about a silent state, in inverse time.

    Args:
        game: Any link, hard or soft; a soft discriminator has its stationary length.
        P: Overlaps of features and columns, `[features, columns]`.
        S: Overlaps of the columns; default the identity.

    Returns:
        Shape `[features + columns, features + columns]`, q first.

    Raises:
        NoStationaryLength: See `stationary_length`.
    """
    P = np.asarray(P, np.float64)
    stationary_length(game)
    return silent_matrices(game, P, np.eye(game.columns) if S is None else np.asarray(S, np.float64))


def silent_matrices(games: Any, P: Array, S: Array) -> Array:
    """`silent_matrix` for one game or for `Cells`, the latter with P and S `[cells, ...]`; NaN where there is none."""
    about = silences(games)
    rates = games.discriminator_lr, games.generator_lr, about.pull, about.length
    tau, tau_g, pull, length = (np.asarray(value)[..., None, None] for value in rates)
    real = np.asarray(about.real_slope)[..., None, None] * np.asarray(games.feature_variance)[..., None, :]
    fake = np.asarray(about.fake_slope)[..., None, None] * np.asarray(games.latent_variance)[..., None, :]
    pressed: Any = 0.0
    if not games.hard:
        excess = np.diagonal(S, axis1=-2, axis2=-1) - 1.0
        pressed = np.asarray(games.regularization)[..., None, None] * np.tanh(excess)[..., None, :]
    seen, made = np.eye(games.features), np.eye(games.columns)
    q_by_q = tau * ((real + pull) * seen)
    r_by_r = tau * (pull * made - S * fake) + tau_g * ((length * fake - pressed) * made)
    above = np.concatenate([q_by_q, -tau * P * fake], axis=-1)
    below = np.concatenate([tau * np.swapaxes(P, -1, -2) * real, r_by_r], axis=-1)
    return np.concatenate([above, below], axis=-2)


def stationary_length(game: "SolvableGAN") -> float:
    r"""Squared length z of a silent discriminator; 1 under the hard constraint.

    Under a soft one, noise stretches the discriminator until the penalty holds it,

        lambda tanh(z - 1) = eta_T k_T - eta_G k_G + (tau / 2 z)(eta_T F2 + eta_G F2~),

    which for the quadratic link is z = 1 + artanh([eta_T - eta_G + (tau / 2)(eta_T^2 + eta_G^2)] / lambda). For other
    links it is the first root on the side towards which a discriminator of length 1 starts to move.

    Raises:
        NoStationaryLength: If `regularization` is at or below the limit.
    """
    length = float(stationary_lengths(game))
    if math.isnan(length):
        needed = float(smallest_regularization(game)) if game.link == "quadratic" else None
        raise NoStationaryLength(game.regularization, needed, bool(grows(game)))
    return length


def stationary_lengths(games: Any) -> Array:
    """`stationary_length` of one game or of `Cells`; NaN where there is none."""
    if games.hard:
        return np.ones(np.shape(games.data_noise))
    if games.link != "quadratic":
        return (
            np.array([_first_root(one) for one in games]) if np.ndim(games.data_noise) else np.array(_first_root(games))
        )
    held = games.regularization > smallest_regularization(games)
    pressed = np.where(held, _stretch(games, 1.0) / games.regularization, 0.0)
    return np.where(held, 1.0 + np.arctanh(pressed), math.nan)


def grows(games: Any) -> Any:
    """Whether noise alone makes a silent discriminator of length 1 longer."""
    return _stretch(games, np.ones(np.shape(games.data_noise))) > 0


def _first_root(game: Any) -> float:
    """The first stationary length on the side towards which a discriminator of length 1 starts to move, or NaN."""
    stretch = float(_stretch(game, np.array(1.0)))

    def excess(length: Any) -> Any:
        return _stretch(game, np.asarray(length)) - game.regularization * np.tanh(length - 1.0)

    path = np.append(1.0, _LONGER if stretch > 0 else _SHORTER)
    passed = excess(path) * stretch <= 0
    if not np.any(passed):
        return math.nan
    first = int(np.argmax(passed))
    if first == 0:
        return 1.0
    low, high = sorted((path[first - 1], path[first]))
    return float(scipy.optimize.brentq(excess, low, high, xtol=1e-14, rtol=1e-14))


def smallest_regularization(games: Any) -> Any:
    """The `regularization` at or below which a silent discriminator with the quadratic link has no stationary length.

    data_noise - generator_noise + (discriminator_lr / 2) noise_level where that is positive. Where it is negative the
    discriminator would shrink to 0, against which the penalty pushes with at most tanh 1 of its strength.
    """
    stretch = _stretch(games, 1.0)
    return np.where(stretch > 0, stretch, -stretch / math.tanh(1.0))


def _stretch(game: Any, length: Any) -> Any:
    """Growth rate of a silent discriminator's squared length without penalty, in units of 2 discriminator_lr."""
    (real_slope, real_square), (fake_slope, fake_square) = _averages(game, length)
    noise = game.data_noise * real_square + game.generator_noise * fake_square
    drift = game.data_noise * real_slope - game.generator_noise * fake_slope
    return drift + 0.5 * game.discriminator_lr * noise / length


def _averages(game: Any, length: Any) -> tuple[tuple[Any, Any], tuple[Any, Any]]:
    """(E f', E f^2) over noise alone, for the real and the fake side, at squared lengths `[...]`."""
    if game.link == "quadratic":
        return (1.0, game.data_noise * length), (1.0, game.generator_noise * length)
    real, fake = array_pair(game.link, np.asarray(game.link_bias)[..., None])
    return _average(real, game.data_noise * length), _average(fake, game.generator_noise * length)


def _average(link: Any, variance: Array) -> tuple[Array, Array]:
    nodes, weights = gauss_hermite()
    deviation = np.sqrt(np.maximum(variance, _TINY_VARIANCE))[..., None]
    value = link(deviation * nodes)
    slope = (value * nodes * weights).sum(-1) / deviation[..., 0]  # E f'(s) = E[f(s) s] / var(s)
    return slope, (value**2 * weights).sum(-1)
