r"""States of the solvable GAN in which the discriminator holds what the generator has learned: q = P_j r_j, not silent.

One feature can be recovered by its own column (active recovery), or all columns can copy one feature. Under the hard
constraint active recovery is in closed form; the rest are roots. For the quadratic link.
"""

import math
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import scipy.optimize

from ganscope.analysis.linearisation import jacobian
from ganscope.core.errors import ParameterError
from ganscope.games.solvable import phases
from ganscope.games.solvable.state import MacroState
from ganscope.games.solvable.tangent import independent_numbers, on_numbers

if TYPE_CHECKING:
    from ganscope.games.solvable.model import SolvableGAN

Array = npt.NDArray[np.float64]

# What counts as at rest, and as a silent discriminator, for a root of Newton's method.
_AT_REST, _SILENT = 1e-11, 1e-3
_EFFORT = {"maxfev": 60}
# A soft equilibrium is followed from the hard one through these multiples of its penalty.
_SOFTENING = (100.0, 30.0, 10.0, 3.0, 1.7, 1.0)
# Soft active recovery is looked for on so many squared lengths of the column.
_LENGTHS = 2000


def active_states(game: "SolvableGAN", variance: float) -> list[tuple[float, float, float, float, float]]:
    """(P, q, r, S, z) of active recovery of one feature, hard or soft, the larger r first; possibly none."""
    if not game.hard:
        return _soft_active_states(game, variance)
    noises = game.data_noise, game.generator_noise
    found = phases.active_recovery(variance, *noises, game.discriminator_lr, game.generator_lr)
    rows = np.stack([found.P, found.q, found.r], axis=-1)
    return [(float(P), float(q), float(r), 1.0, 1.0) for P, q, r in rows if np.isfinite(r)]


def _soft_active_states(game: "SolvableGAN", variance: float) -> list[tuple[float, float, float, float, float]]:
    r"""Active recovery under a soft penalty: a root in the column's squared length S > 1.

    At rest  r^2 = S lambda h(S) / Lambda,  q = P r / S,  lambda h(z) = eta_T - eta_G - Lambda (S - 1)  and
    P^2 = S [1 - rho (z - r^2 / S)], which leaves dz/dt = 0.
    """
    tau, rho, lam = game.discriminator_lr, game.generator_lr / game.discriminator_lr, game.regularization
    eta_T, eta_G = game.data_noise, game.generator_noise

    def state(S: Array) -> tuple[Array, Array, Array, Array]:
        """P^2, q^2, r^2, z."""
        z = 1.0 + np.arctanh((eta_T - eta_G - variance * (S - 1.0)) / lam)
        r2 = S * lam * np.tanh(S - 1.0) / variance
        P2 = S * (1.0 - rho * (z - r2 / S))
        return P2, P2 * r2 / S**2, r2, z

    def balance(S: Array) -> Array:
        _, q2, r2, z = state(S)
        real, fake = variance * q2 + eta_T * z, variance * r2 + eta_G * z
        rate: Array = 2 * (real - fake - lam * np.tanh(z - 1.0) * z) + tau * (eta_T * real + eta_G * fake)
        return rate

    # z is real and positive for S - 1 between these two.
    low, high = max(0.0, (eta_T - eta_G - lam) / variance), (eta_T - eta_G + lam * math.tanh(1.0)) / variance
    if high <= low:
        return []
    grid = 1.0 + low + (high - low) * np.geomspace(1e-9, 1.0 - 1e-9, _LENGTHS)
    values = balance(grid)
    found = []
    for k in np.flatnonzero(values[:-1] * values[1:] < 0):
        S = float(scipy.optimize.brentq(balance, grid[k], grid[k + 1], xtol=1e-15, rtol=1e-15))
        P2, q2, r2, z = (float(value) for value in state(np.array(S)))
        if 0 <= P2 <= S and z > 0 and r2 <= S * z:
            found.append((math.sqrt(P2), math.sqrt(q2), math.sqrt(r2), S, z))
    return sorted(found, key=lambda row: -row[2])


def copying_state(game: "SolvableGAN") -> MacroState | None:
    """All generator columns copy the strongest feature, which the discriminator still holds: q = P_j r_j for each j.

    By Newton's method from the perfect copy P_j = q = r_j = S_jk = z = 1, which is at rest without noise; under a soft
    penalty from the hard state, along growing softness. None if that does not arrive at such a state. It is there at
    weak noise, and where it is stable runs were found to end in it (see `decision`): a mode collapse for good.
    """
    unit = np.eye(game.features)[int(np.argmax(game.feature_variance))]
    ones = np.ones(game.columns)
    state: MacroState | None = MacroState(np.outer(unit, ones), unit, ones, np.outer(ones, ones))
    for hardness in (math.inf,) if game.hard else (math.inf, *_SOFTENING):
        if state is not None:
            penalty = math.inf if math.isinf(hardness) else hardness * game.regularization
            state = _copying_near(game.replace(regularization=penalty, initial=None), state)
    return state


def _copying_near(game: "SolvableGAN", start: MacroState) -> MacroState | None:
    """The equilibrium with only the strongest feature that Newton's method reaches from a state."""
    at, columns, strongest = game.layout, game.columns, int(np.argmax(game.feature_variance))
    axes = independent_numbers(game)
    place = np.argmax(axes != 0, axis=1)
    other_P = (place < at.q) & (place // columns != strongest)
    other_q = (place >= at.q) & (place < at.r) & (place - at.q != strongest)
    rate, unfold, y = on_numbers(game, start, axes[~(other_P | other_q)])
    with np.errstate(all="ignore"):
        found = scipy.optimize.root(rate, y, jac=lambda y: jacobian(rate, y), tol=1e-13, options=_EFFORT).x
        arrived = np.abs(rate(found)).max() < _AT_REST
    state = MacroState.from_vector(unfold(found), game.features, columns)
    if not arrived or min(*np.abs(state.r), abs(state.q[strongest])) < _SILENT:
        return None
    try:
        return MacroState(state.P, state.q, state.r, state.S, state.z)
    except ParameterError:  # a root that no vectors realise
        return None
