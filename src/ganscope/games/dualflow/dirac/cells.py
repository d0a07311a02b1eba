"""Many Dirac-GANs of one loss side by side, under the names that the game itself gives its parameters."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ganscope.games.dualflow.theory import orbits
from ganscope.games.dualflow.theory.affine import Linear

if TYPE_CHECKING:
    from ganscope.games.dualflow.dirac.model import DiracGAN

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Cells:
    """The parameters of the cells, `[cells]`; those of one game are the only cell.

    Attributes:
        loss: Of all of them.
        gradient_penalty, generator_lr, discriminator_lr: As in the game.
        initial: Shape `[cells, 2]`.
    """

    loss: str
    gradient_penalty: Array
    generator_lr: Array
    discriminator_lr: Array
    initial: Array

    @classmethod
    def of(cls, game: "DiracGAN", over: Mapping[str, Array] | None = None) -> "Cells":
        """A game's variants; without any, the game itself."""
        over = over or {}
        count = len(next(iter(over.values()))) if over else 1
        names = ("gradient_penalty", "generator_lr", "discriminator_lr")
        penalty, *speeds = (over.get(name, np.full(count, getattr(game, name))) for name in names)
        start = over.get("initial", np.broadcast_to(game.initial, (count, 2)))
        return cls(game.loss, penalty, speeds[0], speeds[1], start)

    def __len__(self) -> int:
        return len(self.initial)

    @property
    def slope(self) -> float:
        """Slope of the loss at the equilibrium: 1 for the bilinear one, 1/2 for the others."""
        return 1.0 if self.loss == "bilinear" else 0.5

    @property
    def penalised(self) -> npt.NDArray[np.bool_]:
        """Where there is a penalty."""
        return np.asarray(self.gradient_penalty > 0)

    @property
    def linear(self) -> Linear:
        """The games near the equilibrium (0, 0), where every loss but the bilinear one has half its slope."""
        jacobian = np.zeros((len(self), 2, 2))
        jacobian[:, 0, 1] = self.generator_lr * self.slope
        jacobian[:, 1, 0] = -self.discriminator_lr * self.slope
        jacobian[:, 1, 1] = -self.discriminator_lr * self.gradient_penalty
        return Linear(jacobian, np.zeros((len(self), 2)), 1)

    @property
    def turning(self) -> Array:
        """Angular speed of the bilinear game without a penalty."""
        return np.asarray(orbits.turning(self.generator_lr, self.discriminator_lr))

    @property
    def radius_squared(self) -> Array:
        """theta^2 / generator_lr + psi^2 / discriminator_lr at the start."""
        return np.asarray(
            orbits.radius_squared(self.initial[:, 0], self.initial[:, 1], self.generator_lr, self.discriminator_lr)
        )

    @property
    def period(self) -> Array:
        """Period of the flow; near the equilibrium, unless it is known on the orbit."""
        period = orbits.bilinear_periods(self.turning * self.slope, self.discriminator_lr * self.gradient_penalty / 2)
        if self.loss != "saturating":
            return period
        return np.where(self.penalised, period, orbits.saturating_periods(self.turning, self.radius_squared))

    @property
    def convex_step(self) -> Array:
        """Step size below which the saturating generator's proximal problem is convex on the whole first orbit."""
        if self.loss != "saturating":
            return np.full(len(self), np.inf)
        with np.errstate(divide="ignore", over="ignore"):
            return np.asarray(4 / (self.generator_lr * self.discriminator_lr * self.radius_squared))

    def cycle(self, step: float, growth: Array) -> Array:
        """Radius of the limit cycle of simultaneous steps that are too long; nothing where there is none.

        Args:
            step: Step size.
            growth: Growth of the linearised scheme per step, `[cells]`.
        """
        if self.loss == "nonsaturating":
            return orbits.nonsaturating_cycles(np.maximum(growth, 0.0) / step, self.turning)
        penalty = np.where(self.penalised, self.gradient_penalty, 1.0)
        return orbits.saturating_cycles(np.maximum(step * self.generator_lr / (4 * penalty), 1.0), self.turning)
