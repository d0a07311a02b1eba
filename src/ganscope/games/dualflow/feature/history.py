r"""Discriminators in the space of any kernel, held as a sum over the clouds that the generator has been.

    D = sum_k w_k (m_real - m_k),      m_k(x) = mean of K(x, .) over cloud k

An implicit step multiplies the old weights by 1 / (1 + s critic_penalty), s = step_size discriminator_lr, and appends
s / (1 + s critic_penalty) with the cloud of now; an explicit one multiplies by 1 - s critic_penalty and appends s.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ganscope.core.errors import NotApplicable
from ganscope.core.game import Players
from ganscope.games.dualflow.failures import ProxNotConverged, StepTooLarge
from ganscope.games.dualflow.feature.kernel_fields import KernelField, field_of
from ganscope.games.dualflow.feature.pair import TOO_LARGE, space_of, targets
from ganscope.games.dualflow.pair import Pair
from ganscope.games.dualflow.spaces import Euclidean

if TYPE_CHECKING:
    from ganscope.games.dualflow.feature.model import FeatureGAN

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class History:
    """A discriminator: clouds `[clouds, N, d]` with their weights `[clouds]`, the oldest first."""

    clouds: Array
    weights: Array

    def scaled(self, factor: float, weight: float, cloud: Array, keep: float) -> "History":
        """All weights times a factor, the small ones dropped, and a new cloud appended."""
        with np.errstate(over="ignore", invalid="ignore"):  # of runs that blow up
            weights = self.weights * factor
        kept = np.abs(weights) >= keep
        return History(np.concatenate([self.clouds[kept], cloud[None]]), np.append(weights[kept], weight))

    def __sub__(self, other: Any) -> Any:
        raise TypeError("histories move by steps of their own")


def empty(points: Array) -> History:
    """The discriminator 0."""
    return History(np.empty((0, *points.shape)), np.empty(0))


class HistoryPair(Pair):
    """The dual flow of particles and a function in the space of a kernel; `y` is a `History`.

    Args:
        game: Its parameters.
    """

    def __init__(self, game: "FeatureGAN") -> None:
        self.game = game
        self.field: KernelField = field_of(game)
        self.spaces = Players(space_of(game.generated_points), Euclidean(()))
        self.speeds = Players(game.generator_lr, game.discriminator_lr)

    def start(self) -> History:
        """The discriminator at time 0."""
        points = np.asarray(self.game.generated_points)
        if self.game.starts_at_best:
            return empty(points).scaled(1.0, 1.0 / self.game.critic_penalty, points, 0.0)
        return empty(points)

    def _gradient_of(self, x: Array, y: History) -> Array:
        centres, weights = self._centres(y)
        return self.field.gradient(x, centres, weights)

    def _centres(self, y: History) -> tuple[Array, Array]:
        """All centres `[centres, d]` and their weights: real points first."""
        real, axes = self.game.real, self.game.axes
        count = y.clouds.shape[1]
        total = float(np.sum(y.weights))
        weights = np.concatenate([np.full(len(real), total / len(real)), np.repeat(-y.weights / count, count)])
        return np.concatenate([real, y.clouds.reshape(-1, axes)]), weights

    def energy(self, player: int, x: Array, y: Any) -> float:
        del player, x, y
        raise NotApplicable("the energies of a discriminator held as a history are not recorded")

    def gradient(self, player: int, x: Array, y: Any) -> Array:
        assert player == 0
        game = self.game
        return np.asarray(-self._gradient_of(x, y) + game.ridge * (x - np.asarray(game.center)))

    def descend(self, player: int, x: Array, y: Any, step: float) -> Any:
        if player == 0:
            return super().descend(player, x, y, step)
        s = step * self.speeds[1]
        return y.scaled(1 - s * self.game.critic_penalty, s, x, self.game.keep_tolerance)

    def prox(self, player: int, x: Array, y: Any, step: float, tolerance: float, iterations: int) -> Any:
        game = self.game
        if player:
            s = step * game.discriminator_lr
            below = 1 + s * game.critic_penalty
            return y.scaled(1 / below, s / below, x, game.keep_tolerance)
        centres, weights = self._centres(y)
        speed, scale, one = step * game.generator_lr, 1 + float(np.max(np.abs(x))), np.eye(game.axes)
        z = x - speed * self.gradient(0, x, y)
        size = np.inf
        for _ in range(iterations + 1):
            gradient, hessian = self.field.gradient_and_hessian(z, centres, weights)
            r = z - x - speed * (gradient - game.ridge * (z - np.asarray(game.center)))
            matrix = (1 + speed * game.ridge) * one - speed * hessian
            if np.min(np.linalg.eigvalsh(matrix)) <= 0:
                raise StepTooLarge(TOO_LARGE)
            size = float(np.max(np.abs(r)))
            if size <= tolerance * max(scale, float(np.max(np.abs(z)))):
                return z
            z = z - np.linalg.solve(matrix, r[..., None])[..., 0]
        raise ProxNotConverged(iterations, size)

    def convexity(self, player: int, x: Array, y: Any) -> float:
        raise NotApplicable("a discriminator held as a history has no known modulus of convexity")

    def test_points(self, player: int) -> list[Array]:
        return [] if player else targets(self.game)
