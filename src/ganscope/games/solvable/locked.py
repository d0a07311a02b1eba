r"""Active recovery of the solvable GAN: the discriminator holds a feature that its own column has learned, q = P r.

Under the hard constraint it is in closed form; under a soft penalty it is a root. For the quadratic link.
"""

import math
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import scipy.optimize

from ganscope.games.solvable import phases

if TYPE_CHECKING:
    from ganscope.games.solvable.cells import Cells
    from ganscope.games.solvable.model import SolvableGAN

Array = npt.NDArray[np.float64]

# Soft active recovery is looked for on so many squared lengths of the column.
_LENGTHS = 2000


def active_states(game: "SolvableGAN | Cells", variance: float) -> list[tuple[float, float, float, float, float]]:
    """(P, q, r, S, z) of active recovery of one feature, hard or soft, the larger r first; possibly none."""
    if not game.hard:
        return _soft_active_states(game, variance)
    noises = game.data_noise, game.generator_noise
    found = phases.active_recovery(variance, *noises, game.discriminator_lr, game.generator_lr)
    rows = np.stack([found.P, found.q, found.r], axis=-1)
    return [(float(P), float(q), float(r), 1.0, 1.0) for P, q, r in rows if np.isfinite(r)]


def _soft_active_states(game: "SolvableGAN | Cells", variance: float) -> list[tuple[float, float, float, float, float]]:
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
