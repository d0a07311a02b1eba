r"""What a dual flow is made of: two spaces, two speeds, and an energy for each player.

    generator_lr, discriminator_lr    speeds
    E1(x, y), E2(x, y)                what the generator lowers by x, and the discriminator by y

    x' = -generator_lr grad_x E1(x, y)        y' = -discriminator_lr grad_y E2(x, y)

with the gradients of each player's own metric. `schemes` steps any pair, `variational` tests any run of one.
"""

import abc

import numpy as np
import numpy.typing as npt

from ganscope.core.game import Players

Array = npt.NDArray[np.float64]


class Pair(abc.ABC):
    """A pair of gradient flows; `x` is the generator's state, `y` the discriminator's.

    Attributes:
        spaces: A space for each player.
        speeds: `generator_lr` and `discriminator_lr`.
    """

    spaces: Players  # of Euclidean
    speeds: Players  # of float

    @abc.abstractmethod
    def energy(self, player: int, x: Array, y: Array) -> float:
        """E1 (player 0, the generator) or E2 (player 1, the discriminator), up to a constant of the other's state."""

    @abc.abstractmethod
    def gradient(self, player: int, x: Array, y: Array) -> Array:
        """Metric gradient of a player's energy in its own state, in the shape of that state."""

    def descend(self, player: int, x: Array, y: Array, step: float) -> Array:
        """The player's explicit step of a given size from its state."""
        target = (x, y)[player] - step * self.speeds[player] * self.gradient(player, x, y)
        return np.asarray(self.spaces[player].nearest(target))

    @abc.abstractmethod
    def prox(self, player: int, x: Array, y: Array, step: float, tolerance: float, iterations: int) -> Array:
        """The player's proximal step from its state, the other one frozen.

        The minimiser z of d(z, own state)^2 / (2 step speed) + own energy at z.

        Args:
            player: 0 or 1.
            x, y: States; the player starts from its own.
            step: Step size, without the speed.
            tolerance, iterations: Of the solver, where there is one.

        Raises:
            StepTooLarge: If the problem is not strictly convex.
            ProxNotConverged: If the solver does not reach the tolerance.
        """

    @abc.abstractmethod
    def convexity(self, player: int, x: Array, y: Array) -> float:
        """A modulus of convexity of the player's energy in its own state, with the other one frozen as given."""

    @abc.abstractmethod
    def test_points(self, player: int) -> list[Array]:
        """Where the player should go: points of its space, the target or the equilibrium, that tests compare with."""

    def contraction(self, x: Array, y: Array, step: float) -> float:
        """Factor by which a round of the `nash` iteration shrinks distances; infinite if unknown."""
        del x, y, step
        return np.inf
