r"""The two gradient flows of the linear-quadratic GAN, in the coordinates (mean, L) and (w, W).

The law of mean + L noise moves by affine maps only, and Euclidean steps of mean and L are Wasserstein steps of the law:
a gradient step, or a proximal one, moves every point x = mean + L noise along the discriminator's own gradient there.
The Euclidean distance of (mean, L) is that of the points with equal noise, W2 or more.
"""

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ganscope.core.game import Players
from ganscope.games.dualflow.failures import StepTooLarge
from ganscope.games.dualflow.lq.gaussian import factor_of
from ganscope.games.dualflow.pair import Pair
from ganscope.games.dualflow.spaces import Euclidean

if TYPE_CHECKING:
    from ganscope.games.dualflow.lq.model import QuadraticGAN

Array = npt.NDArray[np.float64]


class LqPair(Pair):
    """The pair of a `QuadraticGAN`; x is (mean, L) and y is (w, W), both flat."""

    def __init__(self, game: "QuadraticGAN") -> None:
        self.game = game
        self.d, self.r = game.axes, game.initial_factor.shape[1]
        self.speeds = Players(game.generator_lr, game.discriminator_lr)
        self.spaces = Players(Euclidean((self.d * (1 + self.r),)), Euclidean((self.d * (1 + self.d),)))

    def law(self, x: Array) -> tuple[Array, Array]:
        """Mean and factor."""
        return x[: self.d], x[self.d :].reshape(self.d, self.r)

    def coefficients(self, y: Array) -> tuple[Array, Array]:
        """w and W."""
        return y[: self.d], y[self.d :].reshape(self.d, self.d)

    def _surplus(self, x: Array) -> tuple[Array, Array]:
        """How much the moments x and x x' / 2 of the generator exceed those of the target."""
        mean, factor = self.law(x)
        game = self.game
        moment = factor @ factor.T + np.outer(mean, mean)
        wanted = game.target_covariance + np.outer(game.target_mean, game.target_mean)
        return mean - game.target_mean, (moment - wanted) / 2

    def energy(self, player: int, x: Array, y: Array) -> float:
        w, quadratic = self.coefficients(y)
        if player == 0:
            mean, factor = self.law(x)
            return float(-(w @ mean + mean @ quadratic @ mean / 2 + np.sum(factor * (quadratic @ factor)) / 2))
        first, second = self._surplus(x)
        penalty = self.game.linear_penalty * np.sum(w**2) + self.game.quadratic_penalty * np.sum(quadratic**2)
        return float(w @ first + np.sum(quadratic * second) + penalty / 2)

    def gradient(self, player: int, x: Array, y: Array) -> Array:
        w, quadratic = self.coefficients(y)
        if player == 0:
            mean, factor = self.law(x)
            return -np.concatenate([quadratic @ mean + w, (quadratic @ factor).ravel()])
        first, second = self._surplus(x)
        w_slope = first + self.game.linear_penalty * w
        return np.concatenate([w_slope, (second + self.game.quadratic_penalty * quadratic).ravel()])

    def prox(self, player: int, x: Array, y: Array, step: float, tolerance: float, iterations: int) -> Array:
        del tolerance, iterations  # closed forms
        w, quadratic = self.coefficients(y)
        h = step * self.speeds[player]
        if player == 1:
            first, second = self._surplus(x)
            new_w = (w - h * first) / (1 + h * self.game.linear_penalty)
            return np.concatenate([new_w, ((quadratic - h * second) / (1 + h * self.game.quadratic_penalty)).ravel()])
        mean, factor = self.law(x)
        matrix = np.eye(self.d) - h * quadratic
        if np.all(np.isfinite(matrix)) and np.linalg.eigvalsh(matrix)[0] <= 0:
            raise StepTooLarge(
                "the generator's proximal problem is not strictly convex: step_size * generator_lr times the largest "
                "eigenvalue of the discriminator's W reached 1; reduce step_size"
            )
        moved = np.linalg.solve(matrix, np.column_stack([mean + h * w, factor]))
        return np.concatenate([moved[:, 0], moved[:, 1:].ravel()])

    def convexity(self, player: int, x: Array, y: Array) -> float:
        if player == 1:
            return float(min(self.game.linear_penalty, self.game.quadratic_penalty))
        return -float(np.linalg.eigvalsh(self.coefficients(y)[1])[-1])

    def test_points(self, player: int) -> list[Array]:
        game = self.game
        if player == 1:
            return [np.zeros(self.d * (1 + self.d))]
        wanted = np.zeros((self.d, self.r))
        factor = factor_of(game.target_covariance)[:, : self.r]
        wanted[:, : factor.shape[1]] = factor
        return [np.concatenate([game.target_mean, wanted.ravel()])]

    def contraction(self, x: Array, y: Array, step: float) -> float:
        mean, factor = self.law(x)
        # how far (w + W m, W L) moves with (w, W)
        matrix = np.zeros((self.d + 1, self.r + 1))
        matrix[0, 0] = 1.0
        matrix[1:, 0], matrix[1:, 1:] = mean, factor
        if not (np.all(np.isfinite(matrix)) and np.all(np.isfinite(y))):
            return np.inf
        coupling = float(np.linalg.norm(matrix, 2))
        own = [1 + step * speed * self.convexity(player, x, y) for player, speed in enumerate(self.speeds)]
        product = step**2 * self.speeds[0] * self.speeds[1] * coupling**2
        return product / (own[0] * own[1]) if min(own) > 0 else np.inf
