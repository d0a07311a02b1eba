r"""Drift of the macroscopic state: the right-hand side of the limiting ODE, and the expectations that enter it.

With s = c'q + sqrt(eta_T z) e and its fake counterpart s~ = c~'r + sqrt(eta_G z) e~,

    A = E[f(s) c],   B = sqrt(eta_T / z) E[f(s) e],   F2 = E[f(s)^2],   Fs = E[f(s) s],   likewise with tildes,
    m_w = lambda h(z)            or, hard,   [Fs - Fs~ + (tau/2)(eta_T F2 + eta_G F2~)] / z
    m_j = lambda h(S_jj)         or, hard,   r_j A~_j / S_jj
    kappa = B - B~ - m_w,   D = diag(m_j)

    dP/dt = tau~ (q A~' - P D)
    dq/dt = tau (A - P A~ + kappa q)
    dr/dt = tau (P'A - S A~ + kappa r) + tau~ (z A~ - D r)
    dS/dt = tau~ (r A~' + A~ r' - S D - D S)
    dz/dt = 2 tau (Fs - Fs~ - m_w z) + tau^2 (eta_T F2 + eta_G F2~)

The term with tau^2 is the squared length of the noise in the discriminator's step; it survives the limit. Everything
here broadcasts over leading axes and runs on NumPy or JAX.

References:
    Wang, Hu, Lu. A Solvable High-Dimensional Model of GAN. NeurIPS 2019. Re-derived.
"""

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ganscope.core.errors import ParameterError
from ganscope.games.solvable.links import array_pair
from ganscope.games.solvable.packing import (
    DATA_NOISE,
    DISCRIMINATOR_LR,
    GENERATOR_LR,
    GENERATOR_NOISE,
    LINK_BIAS,
    REGULARIZATION,
    VARIANCES,
    Layout,
)

if TYPE_CHECKING:
    from ganscope.games.solvable.model import SolvableGAN

Array = npt.NDArray[np.float64]

NODES = 81
_MAX_RADEMACHER = 16


@functools.cache
def gauss_hermite(nodes: int = NODES) -> tuple[Array, Array]:
    """Nodes and weights of the expectation over a standard normal."""
    x, w = np.polynomial.hermite_e.hermegauss(nodes)
    return np.asarray(x, np.float64), np.asarray(w / w.sum(), np.float64)


def rademacher_signs(count: int) -> Array:
    """All sign patterns, shape `[2^count, count]`.

    Raises:
        ParameterError: If there are more than 2^16.
    """
    if count > _MAX_RADEMACHER:
        raise ParameterError(
            "latent", "rademacher", f"at most {_MAX_RADEMACHER} features for links other than quadratic"
        )
    bits = (np.arange(2**count)[:, None] >> np.arange(count)) & 1
    return np.asarray(1.0 - 2.0 * bits, np.float64)


class Moments(NamedTuple):
    """Expectations over one side's samples; `correlation` is A, `noise` is B, `square` F2, `product` Fs."""

    correlation: Any
    noise: Any
    square: Any
    product: Any


class Parts(NamedTuple):
    """What the drift is made of besides the state: shared by the SDE of the rows and the replica overlap.

    `decay` is kappa, `columns` the diagonal of D, `diffusion` eta_T F2 + eta_G F2~.
    """

    real: Moments
    fake: Moments
    decay: Any
    columns: Any
    diffusion: Any


def make_moments(xp: Any, link: Any, side: int, atoms: Array | None) -> Callable[..., Moments]:
    """`moments(overlap, variance, noise, z, bias)` for one side (0 real, 1 fake).

    `overlap` is q or r, `[..., d]`; `variance` `[..., d]`; `noise`, `z`, `bias` `[...]`. Latents are Gaussian, or the
    rows of `atoms` times sqrt(variance).
    """
    if isinstance(link, str) and link == "quadratic":

        def quadratic(overlap: Any, variance: Any, noise: Any, z: Any, bias: Any) -> Moments:
            second = (variance * overlap**2).sum(-1) + noise * z
            return Moments(variance * overlap, noise, second, second)

        return quadratic
    nodes, weights = gauss_hermite()

    def gaussian(overlap: Any, variance: Any, noise: Any, z: Any, bias: Any) -> Moments:
        f = array_pair(link, xp.asarray(bias)[..., None], xp)[side]
        spread = (variance * overlap**2).sum(-1) + noise * z
        s = xp.sqrt(spread)[..., None] * nodes
        value = f(s)
        product = (value * s * weights).sum(-1)
        slope = product / xp.where(spread > 0, spread, 1.0)
        return Moments(slope[..., None] * variance * overlap, slope * noise, (value**2 * weights).sum(-1), product)

    if atoms is None:
        return gaussian
    table = atoms

    def finite(overlap: Any, variance: Any, noise: Any, z: Any, bias: Any) -> Moments:
        f = array_pair(link, xp.asarray(bias)[..., None, None], xp)[side]
        latents = xp.sqrt(variance)[..., None, :] * table  # [..., atoms, d]
        signal = (latents * overlap[..., None, :]).sum(-1)
        s = signal[..., None] + xp.sqrt(noise * z)[..., None, None] * nodes
        value = f(s)
        share = 1.0 / len(table)
        mean = (value * weights).sum(-1)
        along = (value * nodes * weights).sum(-1).mean(-1)
        return Moments(
            (mean[..., None] * latents).sum(-2) * share,
            xp.sqrt(noise / z) * along,
            (value**2 * weights).sum(-1).mean(-1),
            (value * s * weights).sum(-1).mean(-1),
        )

    return finite


def make_drift(
    xp: Any,
    features: int,
    columns: int,
    hard: bool,
    link: Any,
    real_atoms: Array | None = None,
    fake_atoms: Array | None = None,
    small_rate_limit: bool = False,
) -> tuple[Callable[..., Any], Callable[..., Parts]]:
    """The drift `rate(x, parameters)` and its parts, as pure functions for NumPy or JAX.

    `x` is the packed state `[..., size]`, `parameters` the packed rows `[..., rows]` (last axis; see `packing`).
    With `small_rate_limit` the terms that vanish when both learning rates go to zero together are dropped: the
    discriminator's tau^2 term and its share in the hard constraint.
    """
    at = Layout(features, columns)
    real_moments = make_moments(xp, link, 0, real_atoms)
    fake_moments = make_moments(xp, link, 1, fake_atoms)
    keep_noise = 0.0 if small_rate_limit else 1.0

    def split(x: Any) -> tuple[Any, Any, Any, Any, Any]:
        lead = x.shape[:-1]
        return (
            x[..., : at.q].reshape(*lead, features, columns),
            x[..., at.q : at.r],
            x[..., at.r : at.S],
            x[..., at.S : at.z].reshape(*lead, columns, columns),
            x[..., at.z],
        )

    def norm_penalty(y: Any) -> Any:
        return xp.tanh(y - 1.0)

    def parts(x: Any, parameters: Any) -> Parts:
        _P, q, r, S, z = split(x)
        p = parameters
        bias = p[..., LINK_BIAS]
        data_noise, generator_noise = p[..., DATA_NOISE], p[..., GENERATOR_NOISE]
        real = real_moments(q, p[..., VARIANCES : VARIANCES + features], data_noise, z, bias)
        fake = fake_moments(r, p[..., VARIANCES + features :], generator_noise, z, bias)
        diffusion = data_noise * real.square + generator_noise * fake.square
        lengths = xp.diagonal(S, axis1=-2, axis2=-1)
        if hard:
            half_step = keep_noise * 0.5 * p[..., DISCRIMINATOR_LR]
            shrink = (real.product - fake.product + half_step * diffusion) / z
            damping = r * fake.correlation / lengths
        else:
            strength = p[..., REGULARIZATION]
            shrink = strength * norm_penalty(z)
            damping = strength[..., None] * norm_penalty(lengths)
        return Parts(real, fake, real.noise - fake.noise - shrink, damping, diffusion)

    def rate(x: Any, parameters: Any) -> Any:
        P, q, r, S, z = split(x)
        real, fake, decay, damping, diffusion = parts(x, parameters)
        tau = parameters[..., DISCRIMINATOR_LR]
        tau_g = parameters[..., GENERATOR_LR]
        A, A_fake = real.correlation, fake.correlation
        shrink = real.noise - fake.noise - decay  # m_w
        dP = tau_g[..., None, None] * (q[..., :, None] * A_fake[..., None, :] - P * damping[..., None, :])
        dq = tau[..., None] * (A - (P * A_fake[..., None, :]).sum(-1) + decay[..., None] * q)
        dr = tau[..., None] * (
            (P * A[..., :, None]).sum(-2) - (S * A_fake[..., None, :]).sum(-1) + decay[..., None] * r
        )
        dr = dr + tau_g[..., None] * (z[..., None] * A_fake - damping * r)
        grow = r[..., :, None] * A_fake[..., None, :] - S * damping[..., None, :]
        dS = tau_g[..., None, None] * (grow + xp.swapaxes(grow, -1, -2))
        dz = 2 * tau * (real.product - fake.product - shrink * z) + keep_noise * tau**2 * diffusion
        lead = x.shape[:-1]
        return xp.concatenate(
            [dP.reshape(*lead, -1), dq, dr, dS.reshape(*lead, -1), xp.broadcast_to(dz, lead)[..., None]], axis=-1
        )

    return rate, parts


def latent_atoms(game: "SolvableGAN") -> tuple[Array | None, Array | None]:
    """Finite supports of the latents in units of their deviation, real and fake; None where Gaussian.

    A quadratic link sees only covariances, so it needs none.
    """
    if game.link == "quadratic" or (isinstance(game.latent, str) and game.latent == "gaussian"):
        return None, None
    if isinstance(game.latent, str):
        return rademacher_signs(game.features), rademacher_signs(game.columns)
    return game.latent / np.sqrt(np.mean(game.latent**2, axis=0)), None


def game_drift(
    game: "SolvableGAN", xp: Any = np, small_rate_limit: bool = False
) -> tuple[Callable[..., Any], Callable[..., Parts]]:
    """Drift and parts for one game's structure."""
    real_atoms, fake_atoms = latent_atoms(game)
    return make_drift(xp, game.features, game.columns, game.hard, game.link, real_atoms, fake_atoms, small_rate_limit)


def drift(game: "SolvableGAN", x: Array) -> Array:
    """dx/dt of packed states `[..., size]` of a game."""
    rate, _ = game_drift(game)
    result: Array = rate(np.asarray(x, np.float64), game.rows()[:, 0])
    return result
