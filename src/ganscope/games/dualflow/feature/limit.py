r"""The limit of a fast discriminator: gradient flows of MMD^2 and of the energy distance.

    mu' = -generator_lr grad [ MMD^2 / (2 critic_penalty) + ridge |x - center|^2 / 2 ]

Only the generator is left; the discriminator's state is an empty array. A proximal step is a problem for all particles
together: it is solved with the pairing of old and new particles that keeps their numbers, and the pairing is checked.

References:
    Arbel, Korba, Salim, Gretton. Maximum mean discrepancy gradient flow. NeurIPS 2019.
"""

import abc
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment, minimize

from ganscope.core.game import Players
from ganscope.games.dualflow.failures import CouplingNotOptimal, ProxNotConverged
from ganscope.games.dualflow.feature.kernel_fields import KernelField, field_of
from ganscope.games.dualflow.feature.pair import discriminator_gradient, mean_features, space_of, targets
from ganscope.games.dualflow.pair import Pair
from ganscope.games.dualflow.spaces import Euclidean

if TYPE_CHECKING:
    from ganscope.games.dualflow.feature.model import FeatureGAN

Array = npt.NDArray[np.float64]

NOTHING = np.empty(0)
# Gradient at which the minimiser of a proximal problem counts as found, and the slack of the pairing.
_GRADIENT, _SLACK = 1e-10, 1e-10


def limit_of(game: "FeatureGAN") -> "LimitPair":
    """The generator's flow with the discriminator at its optimum."""
    if game.name == "energy" and game.axes == 1:
        from ganscope.games.dualflow.feature.quantile_flow import QuantilePair

        return QuantilePair(game)
    return FeatureLimit(game) if game.map is not None else KernelLimit(game)


class LimitPair(Pair):
    """A gradient flow of one player; the other one's state is empty.

    Args:
        game: Its parameters.
    """

    def __init__(self, game: "FeatureGAN") -> None:
        self.game = game
        self.spaces = Players(space_of(game.generated_points), Euclidean((0,)))
        self.speeds = Players(game.generator_lr, game.discriminator_lr)

    @abc.abstractmethod
    def discrepancy(self, x: Array) -> float:
        """Squared distance of the generated law from the real one."""

    @abc.abstractmethod
    def force(self, x: Array) -> Array:
        """Gradient of the best discriminator at the particles, times critic_penalty; shape `[N, d]`."""

    def energy(self, player: int, x: Array, y: Array) -> float:
        if player:
            return 0.0
        away = np.sum((x - np.asarray(self.game.center)) ** 2, axis=-1)
        return 0.5 * (self.discrepancy(x) / self.game.critic_penalty + self.game.ridge * float(np.mean(away)))

    def gradient(self, player: int, x: Array, y: Array) -> Array:
        if player:
            return NOTHING
        game = self.game
        return np.asarray(-self.force(x) / game.critic_penalty + game.ridge * (x - np.asarray(game.center)))

    def prox(self, player: int, x: Array, y: Array, step: float, tolerance: float, iterations: int) -> Array:
        if player:
            return NOTHING
        speed, count = step * self.game.generator_lr, len(x)

        def objective(flat: Array) -> tuple[float, Array]:
            z = flat.reshape(x.shape)
            value = np.sum((z - x) ** 2) / (2 * speed * count) + self.energy(0, z, y)
            # Euclidean gradients have a factor 1/N that those of the metric lack.
            slope = (z - x) / speed + self.gradient(0, z, y)
            return count * float(value), slope.ravel()

        start = self.descend(0, x, y, step)
        found = minimize(
            objective, start.ravel(), jac=True, method="L-BFGS-B",
            options={"gtol": _GRADIENT, "ftol": 0.0, "maxiter": 50 * iterations, "maxfun": 99 * iterations},
        )  # fmt: skip
        z = found.x.reshape(x.shape)
        residual = speed * float(np.max(np.abs(objective(found.x)[1])))
        if not residual <= max(tolerance, 1e-8) * (1 + float(np.max(np.abs(x)))):
            raise ProxNotConverged(int(found.nit), residual)
        check_pairing(x, z)
        return np.asarray(z)

    def convexity(self, player: int, x: Array, y: Array) -> float:
        return 0.0 if player else -np.inf

    def test_points(self, player: int) -> list[Array]:
        return [NOTHING] if player else targets(self.game)


def check_pairing(old: Array, new: Array) -> None:
    """Refuse a step after which some other pairing of old and new particles would be shorter.

    Raises:
        CouplingNotOptimal: If the best pairing is shorter than the given one by more than 1e-10 of it.
    """
    given = float(np.sum((old - new) ** 2))
    if old.shape[1] == 1:
        best = float(np.sum((np.sort(old[:, 0]) - np.sort(new[:, 0])) ** 2))
    else:
        cost = np.sum((old[:, None] - new[None]) ** 2, axis=-1)
        best = float(np.sum(cost[linear_sum_assignment(cost)]))
    if given - best > _SLACK * given + 1e-24:
        raise CouplingNotOptimal(
            "particles of a proximal step crossed: another pairing is shorter by "
            f"{1 - best / given:.3g} of the squared distance; reduce step_size"
        )


class FeatureLimit(LimitPair):
    """MMD^2 of finitely many features."""

    def __init__(self, game: "FeatureGAN") -> None:
        super().__init__(game)
        assert game.map is not None
        self.map, self.target = game.map, mean_features(game.map, game.real)

    def discrepancy(self, x: Array) -> float:
        return float(np.sum((mean_features(self.map, x) - self.target) ** 2))

    def force(self, x: Array) -> Array:
        return discriminator_gradient(self.map, x, self.target - mean_features(self.map, x))


class KernelLimit(LimitPair):
    """MMD^2 of a kernel, or the energy distance in several dimensions, without features."""

    def __init__(self, game: "FeatureGAN") -> None:
        super().__init__(game)
        self.field: KernelField = field_of(game)
        self.real = np.asarray(game.real)

    def _signed(self, x: Array) -> tuple[Array, Array]:
        weights = np.concatenate([np.full(len(self.real), 1 / len(self.real)), np.full(len(x), -1 / len(x))])
        return np.concatenate([self.real, x]), weights

    def discrepancy(self, x: Array) -> float:
        points, weights = self._signed(x)
        return float(weights @ self.field.values(points, points, weights))

    def force(self, x: Array) -> Array:
        return self.field.gradient(x, *self._signed(x))
