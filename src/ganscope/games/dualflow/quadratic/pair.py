"""The two gradient flows of a quadratic game, one player at a time: proximal steps are linear equations."""

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ganscope.core.game import Players
from ganscope.games.dualflow.failures import NoUniqueEquilibrium, StepTooLarge
from ganscope.games.dualflow.pair import Pair
from ganscope.games.dualflow.spaces import Euclidean

if TYPE_CHECKING:
    from ganscope.games.dualflow.quadratic.model import QuadraticGame

Array = npt.NDArray[np.float64]


class QuadraticPair(Pair):
    """The two gradient flows of a quadratic game."""

    def __init__(self, game: "QuadraticGame") -> None:
        self.game = game
        self.own = Players(game.A1, game.A2)
        self.cross = Players(game.B1, game.B2)
        self.linear = Players(game.c1, game.c2)
        self.spaces = Players(*(Euclidean((len(a),)) for a in self.own))
        self.speeds = Players(game.generator_lr, game.discriminator_lr)

    def energy(self, player: int, x: Array, y: Array) -> float:
        own, other = (x, y) if player == 0 else (y, x)
        slope = self.own[player] @ own / 2 + self.cross[player] @ other + self.linear[player]
        return float(own @ slope)

    def gradient(self, player: int, x: Array, y: Array) -> Array:
        own, other = (x, y) if player == 0 else (y, x)
        return np.asarray(self.own[player] @ own + self.cross[player] @ other + self.linear[player])

    def prox(self, player: int, x: Array, y: Array, step: float, tolerance: float, iterations: int) -> Array:
        del tolerance, iterations
        own, other = (x, y) if player == 0 else (y, x)
        rate = step * self.speeds[player]
        matrix = np.eye(len(own)) + rate * self.own[player]
        if np.linalg.eigvalsh(matrix)[0] <= 0:
            raise StepTooLarge(
                f"the proximal problem of the {Players._fields[player]} is not strictly convex: step_size = {step:g} "
                " times the speed times the negative curvature is 1 or more; reduce step_size"
            )
        return np.asarray(np.linalg.solve(matrix, own - rate * (self.cross[player] @ other + self.linear[player])))

    def convexity(self, player: int, x: Array, y: Array) -> float:
        del x, y
        return float(self.game.constants()[player])

    def test_points(self, player: int) -> list[Array]:
        try:
            return [self.game.equilibrium()[player]]
        except NoUniqueEquilibrium:
            return []

    def contraction(self, x: Array, y: Array, step: float) -> float:
        del x, y
        lam1, lam2, l12, l21 = self.game.constants()
        damping = (1 + step * self.speeds[0] * lam1) * (1 + step * self.speeds[1] * lam2)
        return float(step**2 * self.speeds[0] * self.speeds[1] * l12 * l21 / damping) if damping > 0 else np.inf
