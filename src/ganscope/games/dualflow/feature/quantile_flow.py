r"""The energy distance's flow on a line, exactly: quantiles that move on their own.

With the rank u_i = (i - 1/2) / N of each particle and the distribution function F of the real law,

    x_i' = generator_lr [ (u_i - F(x_i)) / critic_penalty - ridge (x_i - center) ]

which is the gradient flow of the squared energy distance over 2 critic_penalty. Particles that coincide have different
ranks and separate at once. Between real points F is constant and the motion an exponential (a straight line without
ridge); at a real point a particle may come to rest.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from scipy.integrate import solve_ivp

from ganscope.core.compiled import compiled
from ganscope.core.errors import NotApplicable
from ganscope.games.dualflow.feature.laws import rising_root
from ganscope.games.dualflow.feature.limit import NOTHING, LimitPair
from ganscope.games.dualflow.observables import energy_distance

if TYPE_CHECKING:
    from ganscope.games.dualflow.feature.model import FeatureGAN

Array = npt.NDArray[np.float64]


def ranks(x: Array) -> Array:
    """Ranks u of particles `[N, 1]`, shape `[N]`; equal ones are told apart by their numbers."""
    order = np.argsort(x[:, 0], kind="stable")
    result = np.empty(len(x))
    result[order] = (np.arange(len(x)) + 0.5) / len(x)
    return result


def _steps_of(points: Array) -> tuple[Array, Array]:
    """Distinct real points in order, and the distribution function just above each of them."""
    atoms, counts = np.unique(points, return_counts=True)
    return atoms, np.cumsum(counts) / len(points)


class QuantilePair(LimitPair):
    """The flow of quantiles, and its explicit and proximal steps.

    Args:
        game: Its parameters.
    """

    def __init__(self, game: "FeatureGAN") -> None:
        super().__init__(game)
        self.law = None if isinstance(game.real_points, np.ndarray) else game.real_points
        self.center = float(np.ravel(game.center)[0])
        if self.law is None:
            self.atoms, self.levels = _steps_of(np.asarray(game.real))

    def distribution(self, x: Array) -> Array:
        """F, at real points the middle of its jump."""
        if self.law is not None:
            return np.asarray(self.law.cdf(x))
        padded = np.concatenate([[0.0], self.levels])
        below = padded[np.searchsorted(self.atoms, x, "left")]
        return np.asarray((below + padded[np.searchsorted(self.atoms, x, "right")]) / 2)

    def discrepancy(self, x: Array) -> float:
        if self.law is not None:
            raise NotApplicable("the energy of a flow towards a distribution is not recorded; give its quantiles")
        return float(energy_distance(x, self.game.real))

    def force(self, x: Array) -> Array:
        return np.asarray((ranks(x) - self.distribution(x[:, 0]))[:, None])

    def prox(self, player: int, x: Array, y: Array, step: float, tolerance: float, iterations: int) -> Array:
        """The root of (1 + s ridge) z + (s / critic_penalty) F(z) = x + s (u / critic_penalty + ridge center)."""
        if player:
            return NOTHING
        game = self.game
        s = step * game.generator_lr
        weight, below = s / game.critic_penalty, 1 + s * game.ridge
        right = x[:, 0] + weight * ranks(x) + s * game.ridge * self.center
        if self.law is not None:
            law = self.law
            low, high = (right - weight) / below, right / below
            return rising_root(
                lambda z: below * z + weight * law.cdf(z), lambda z: below + weight * law.pdf(z), right, low, high
            )[:, None]
        levels = np.concatenate([[0.0], self.levels])
        reached = below * self.atoms + weight * levels[:-1]  # left side just below each real point
        passed = below * self.atoms + weight * levels[1:]
        k = np.searchsorted(passed, right, "left")
        free = (right - weight * levels[k]) / below
        at = np.minimum(k, len(self.atoms) - 1)
        rests = (k < len(self.atoms)) & (right >= reached[at])
        return np.where(rests, self.atoms[at], free)[:, None]

    def trajectory(self, times: Array, tolerance: float) -> Array:
        """The flow at increasing times, shape `[times, N, 1]`."""
        game = self.game
        start, u = np.asarray(game.generated_points)[:, 0], ranks(np.asarray(game.generated_points))
        if self.law is None:
            out = np.empty((len(times), len(start)))
            _follow(start, u, self.atoms, self.levels, game.generator_lr, 1 / game.critic_penalty, game.ridge,
                    self.center, np.asarray(times), out)  # fmt: skip
            return out[..., None]
        law = self.law

        def velocity(t: float, x: Array) -> Array:
            pull = (u - law.cdf(x)) / game.critic_penalty
            return np.asarray(game.generator_lr * (pull - game.ridge * (x - self.center)))

        end = float(times[-1])
        if end == 0:
            return np.repeat(start[None, :, None], len(times), axis=0)
        found: Any = solve_ivp(velocity, (0.0, end), start, "DOP853", times, rtol=tolerance, atol=tolerance)
        return np.asarray(found.y.T[..., None])


@compiled
def _drift(x, share, u, pull, ridge, center):
    return pull * (u - share) - ridge * (x - center)


@compiled
def _follow(start, u, atoms, levels, speed, pull, ridge, center, times, out):
    """Every quantile from real point to real point, to the given times."""
    count = len(atoms)
    for i in range(len(start)):
        x, now = start[i], 0.0
        # k real points lie below, or at, the particle
        k = 0
        while k < count and atoms[k] <= x:
            k += 1
        for record in range(len(times)):
            left = speed * (times[record] - now)
            while left > 0.0:
                above = levels[k - 1] if k else 0.0
                if k and x == atoms[k - 1]:
                    below = levels[k - 2] if k > 1 else 0.0
                    if _drift(x, above, u[i], pull, ridge, center) > 0.0:
                        share, up = above, True
                    elif _drift(x, below, u[i], pull, ridge, center) < 0.0:
                        share, up = below, False
                        k -= 1
                    else:
                        break  # at rest on a real point
                else:
                    share = above
                    up = _drift(x, share, u[i], pull, ridge, center) > 0.0
                drift = _drift(x, share, u[i], pull, ridge, center)
                if drift == 0.0:
                    break
                # up to the next real point in the direction of the drift, if it is ever reached
                bound = (atoms[k] if k < count else np.inf) if up else (atoms[k - 1] if k else -np.inf)
                if ridge > 0.0:
                    rest = x + drift / ridge
                    reached = bound < rest if up else bound > rest
                    needed = np.log((rest - x) / (rest - bound)) / ridge if reached else np.inf
                else:
                    rest = x
                    needed = (bound - x) / drift
                if needed > left:
                    x = rest + (x - rest) * np.exp(-ridge * left) if ridge > 0.0 else x + drift * left
                    break
                left -= needed
                x = bound
                if up:
                    k += 1
            now = times[record]
            out[record, i] = x
