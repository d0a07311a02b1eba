r"""The state of the solvable GAN in which all generator columns copy one feature, which the discriminator still holds.

At rest with q = P_j r_j for every column j, and all other features forgotten. For the quadratic link everything then
follows from the damping m_j of the columns (m_j = lambda h(S_jj) for a soft penalty, Lambda~_j r_j^2 for the hard one):

    S_jj = 1 + artanh(m_j / lambda),   Lambda~_j r_j^2 = S_jj m_j,   kappa = sum_j Lambda~_j S_jj - Lambda,
    z = 1 + artanh((eta_T - eta_G - kappa) / lambda),   P_j = q S_jj / r_j,
    S_jk = r_j r_k (Lambda~_j + Lambda~_k) / (m_j + m_k),
    Lambda q^2 (2 + tau eta_T) = (2 - tau eta_G) sum_j Lambda~_j r_j^2 - z [2 kappa + tau (eta_T^2 + eta_G^2)]

and what remains of dr/dt = 0 is one equation for each column,

    0 = tau [Lambda Lambda~_j q^2 / m_j - sum_k Lambda~_k r_k^2 (Lambda~_j + Lambda~_k) / (m_j + m_k) + kappa]
        + tau~ (Lambda~_j z - m_j).
"""

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from ganscope.games.solvable.cells import Cells
from ganscope.games.solvable.packing import Layout
from ganscope.games.solvable.silence import noise_level
from ganscope.games.solvable.state import MacroState
from ganscope.games.solvable.tangent import attracts

if TYPE_CHECKING:
    from ganscope.games.solvable.model import SolvableGAN

Array = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

# What counts as at rest, relative to the terms that cancel, and as a silent discriminator.
_AT_REST, _SILENT = 1e-11, 1e-3
_NEWTON_STEPS = 30
# A soft equilibrium is followed from the hard one through these multiples of its penalty.
_SOFTENING = (100.0, 30.0, 10.0, 5.0, 3.0, 2.0, 1.5, 1.2, 1.0)
# Share of the penalty from which a column's damping starts at most.
_SOFT_START = 0.7
# Below this eigenvalue a Gram matrix is none of any vectors.
_NO_GRAM = -1e-10


class _Copy(NamedTuple):
    """The state that belongs to the columns' damping, the equations that are left, their slopes and their size."""

    q2: Array
    r2: Array
    lengths: Array
    z: Array
    left: Array
    slopes: Array
    size: Array


def copying_state(game: "SolvableGAN") -> MacroState | None:
    """All generator columns copy the strongest feature, which the discriminator still holds: q = P_j r_j for each j.

    By Newton's method from the perfect copy P_j = q = r_j = S_jk = z = 1, which is at rest without noise; under a soft
    penalty from the hard state, along growing softness. None if that does not arrive at such a state. It is there at
    weak noise, and where it is stable runs were found to end in it (see `decision`): a mode collapse for good.
    """
    states = copying_states(Cells.of(game))
    return MacroState.from_vector(states[0], game.features, game.columns) if np.isfinite(states[0, 0]) else None


def copies_attract(cells: Cells) -> Flags:
    """Whether the copying state exists and is linearly stable, `[cells]`."""
    states = copying_states(cells)
    stable = np.isfinite(states[:, 0])
    stable[stable] = attracts(cells.game, states[stable], cells.rows[stable])
    return stable


def copying_states(cells: Cells) -> Array:
    """Packed copying states `[cells, size]`; NaN where there is none."""
    weights = cells.latent_variance
    damping, found = weights.copy(), np.ones(len(cells), bool)  # m = Lambda~: the perfect copy, r = 1
    for hardness in (math.inf,) if cells.hard else (math.inf, *_SOFTENING):
        penalty = np.full(len(cells), math.inf) if math.isinf(hardness) else hardness * cells.regularization
        which = np.flatnonzero(found)
        start = np.minimum(damping[which], _SOFT_START * penalty[which, None])
        damping[which], found[which] = _newton(cells[which], penalty[which], start)
    states = np.full((len(cells), cells.game.layout.size), math.nan)
    which = np.flatnonzero(found)
    with np.errstate(all="ignore"):
        packed, real = _packed(cells[which], _copy(cells[which], cells.regularization[which], damping[which]))
    states[which[real]] = packed[real]
    return states


def _newton(cells: Cells, penalty: Array, damping: Array) -> tuple[Array, Flags]:
    """Damping of the columns at rest, and whether it was reached with a discriminator that is not silent."""
    arrived = np.zeros(len(cells), bool)
    running = np.arange(len(cells))
    with np.errstate(all="ignore"):
        for _ in range(_NEWTON_STEPS):
            now = _copy(cells[running], penalty[running], damping[running])
            close = np.abs(now.left).max(-1) < _AT_REST * now.size
            held = (now.q2 > _SILENT**2) & (now.r2 > _SILENT**2).all(-1)
            arrived[running[close & held]] = True
            usable = ~close & np.isfinite(now.slopes).all((-2, -1)) & (np.linalg.det(now.slopes) != 0)
            running = running[usable]
            if len(running) == 0:
                break
            step = np.linalg.solve(now.slopes[usable], now.left[usable, :, None])[..., 0]
            # at most half the way to where a column is not held, or is held by all of its penalty
            room = np.minimum(
                damping[running] / np.maximum(step, 0.0),
                (penalty[running, None] - damping[running]) / np.maximum(-step, 0.0),
            )
            damping[running] -= np.fmin(1.0, 0.5 * room.min(-1, keepdims=True)) * step
    return damping, arrived


def _copy(cells: Cells, penalty: Array, m: Array) -> _Copy:
    """What belongs to damping `m`, `[cells, columns]`, under a penalty that need not be the game's own."""
    weight, strength, lam = cells.latent_variance, cells.feature_variance.max(-1), penalty[:, None]
    tau, tau_g = cells.discriminator_lr, cells.generator_lr
    eta_T, eta_G = cells.data_noise, cells.generator_noise
    lengths, stretching = 1 + np.arctanh(m / lam), _arctanh_slope(m, lam)
    mass, growth = lengths * m, lengths + m * stretching  # Lambda~ r^2, and its slope along m
    kappa, kappa_slope = (weight * lengths).sum(-1) - strength, weight * stretching
    pressed = eta_T - eta_G - kappa
    z = 1 + np.arctanh(pressed / penalty)
    z_slope = -kappa_slope * _arctanh_slope(pressed, penalty)[:, None]
    noise = 2 * kappa + tau * noise_level(eta_T, eta_G)
    back, ahead = 2 - tau * eta_G, 2 + tau * eta_T
    held = (back * mass.sum(-1) - z * noise) / ahead  # Lambda q^2
    held_slope = (back[:, None] * growth - z_slope * noise[:, None] - 2 * z[:, None] * kappa_slope) / ahead[:, None]
    pull, drag = held[:, None] * weight / m, weight[:, :, None] + weight[:, None, :]
    share = drag / (m[:, :, None] + m[:, None, :])
    own = (mass[:, None, :] * share).sum(-1)
    left = tau[:, None] * (pull - own + kappa[:, None]) + tau_g[:, None] * (weight * z[:, None] - m)
    # slopes of equation j along m_k
    thinning = share / (m[:, :, None] + m[:, None, :])
    along = held_slope[:, None, :] * (weight / m)[:, :, None] - growth[:, None, :] * share + kappa_slope[:, None, :]
    along = along + mass[:, None, :] * thinning
    slopes = tau[:, None, None] * along + tau_g[:, None, None] * weight[:, :, None] * z_slope[:, None, :]
    direct = tau[:, None] * ((mass[:, None, :] * thinning).sum(-1) - pull / m) - tau_g[:, None]
    slopes = slopes + direct[:, :, None] * np.eye(m.shape[-1])
    size = tau * (strength + weight.sum(-1)) + tau_g * weight.max(-1)
    return _Copy(held / strength, mass / weight, lengths, z, left, slopes, size)


def _arctanh_slope(m: Array, penalty: Array) -> Array:
    """d artanh(m / penalty) / dm; 0 for an infinite one."""
    result: Array = 1 / (penalty * (1 - (m / penalty) ** 2))
    return result


def _packed(cells: Cells, copy: _Copy) -> tuple[Array, Flags]:
    """States as rows of numbers, and whether vectors realise them."""
    features, columns = cells.features, cells.columns
    at, count = Layout(features, columns), len(cells)
    q, r = np.sqrt(copy.q2), np.sqrt(copy.r2)
    weight, lengths = cells.latent_variance, copy.lengths
    mass = weight * copy.r2 / lengths  # m
    S = (
        r[:, :, None]
        * r[:, None, :]
        * (weight[:, :, None] + weight[:, None, :])
        / (mass[:, :, None] + mass[:, None, :])
    )
    P, q_row, gram = (
        np.zeros((count, features, columns)),
        np.zeros((count, features)),
        np.zeros((count, *[columns + 2] * 2)),
    )
    row = np.arange(count), np.argmax(cells.feature_variance, axis=-1)
    P[row], q_row[row] = q[:, None] * lengths / r, q
    gram[:, 0, 0], gram[:, 0, 1:-1], gram[:, 0, -1] = 1.0, P[row], q
    gram[:, 1:-1, 0], gram[:, 1:-1, 1:-1], gram[:, 1:-1, -1] = P[row], S, r
    gram[:, -1, 0], gram[:, -1, 1:-1], gram[:, -1, -1] = q, r, copy.z
    flat = P.reshape(count, at.q), q_row, r, S.reshape(count, columns**2), copy.z[:, None]
    packed = np.concatenate(flat, axis=-1)
    real = np.isfinite(packed).all(-1) & (copy.z > 0)
    real[real] = np.linalg.eigvalsh(gram[real])[:, 0] >= _NO_GRAM
    return packed, real
