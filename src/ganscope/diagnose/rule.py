r"""How the user's two optimizers move the players: what of it enters the linear theory.

Memory of a player with momentum or beta1 `b`, gradient step u (learning rate and preconditioner included):

    m <- b m + kappa u,   parameters <- parameters + m,   kappa = 1 (momentum) or 1 - b (Adam).

The preconditioner of Adam and RMSprop is p = 1 / (sqrt(nu / (1 - beta2^t)) + eps), frozen at the checkpoint; of other
optimizers it is 1.

References:
    Kingma, Ba. Adam: a method for stochastic optimization. ICLR 2015.
"""

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ganscope.core.checks import integer, number, one_of
from ganscope.core.errors import ParameterError

Array = npt.NDArray[np.float64]

KINDS = ("sgd", "momentum", "adam", "rmsprop")
ORDERS = ("alternating", "simultaneous")
# Adam's second moments of a run younger than this say little about the gradients to come.
YOUNG_STEPS = 20
# Preconditioners rest on at least this share of a player's largest root mean square gradient.
SECOND_MOMENT_FLOOR = 1e-3


@dataclass(frozen=True, eq=False)
class Player:
    """One player's optimizer.

    Args:
        kind: `sgd`, `momentum`, `adam` or `rmsprop`.
        learning_rate: A number, or one per parameter as a flat array in the order of the player's parameters.
        momentum: In [0, 1), of `momentum`, as PyTorch has it: m <- momentum m + gradient.
        beta1, beta2, eps: Of `adam`; beta2 and eps also of `rmsprop` (whose average PyTorch calls alpha).
        second_moment: Running mean of squared gradients, as stored (not corrected for its youth); a flat array, or
            whatever the game's own parameters look like. None: estimated from minibatches.
        step: Number of steps that `second_moment` has seen; None is as good as very many.
        first_moment: The memory at the checkpoint, as the optimizer stores it; None is zero.

    Raises:
        ParameterError: If a kind is unknown or a number out of range.
    """

    kind: str = "sgd"
    learning_rate: Any = 1e-3
    momentum: float = 0.0
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    second_moment: Any = None
    step: int | None = None
    first_moment: Any = None

    def __post_init__(self) -> None:
        one_of("kind", self.kind, KINDS)
        try:
            rate = np.asarray(self.learning_rate)
        except (TypeError, ValueError):
            rate = np.full(1, np.nan)
        numeric = rate.dtype.kind in "fiu" and rate.ndim <= 1
        if not (numeric and np.all(np.isfinite(rate)) and np.all(rate > 0)):
            raise ParameterError("learning_rate", self.learning_rate, "a finite number > 0, or one per parameter")
        for name in ("momentum", "beta1"):
            if not 0 <= number(name, getattr(self, name)) < 1:
                raise ParameterError(name, getattr(self, name), "a number in [0, 1)")
        if not 0 < number("beta2", self.beta2) < 1:
            raise ParameterError("beta2", self.beta2, "a number in (0, 1)")
        number("eps", self.eps, at_least=0)
        if self.step is not None:
            given: Any = self.step
            whole = given.item() if getattr(given, "ndim", None) == 0 else given  # optax counts in arrays
            object.__setattr__(self, "step", integer("step", whole, at_least=0))
        if self.kind == "sgd" and self.momentum > 0:
            object.__setattr__(self, "kind", "momentum")

    @property
    def adaptive(self) -> bool:
        """Whether gradients are divided by their root mean square."""
        return self.kind in ("adam", "rmsprop")

    @property
    def memory(self) -> float:
        """The factor of the memory, momentum or beta1."""
        return {"sgd": 0.0, "momentum": self.momentum, "adam": self.beta1, "rmsprop": self.momentum}[self.kind]

    @property
    def kappa(self) -> float:
        """What a gradient adds to the memory."""
        return 1.0 - self.beta1 if self.kind == "adam" else 1.0

    def replace(self, **changes: Any) -> "Player":
        """The same player with some fields changed."""
        return dataclasses.replace(self, **changes)


@dataclass(frozen=True, eq=False)
class UpdateRule:
    """One training iteration: `discriminator_steps` steps of the discriminator and one of the generator.

    Args:
        order: `alternating` (the generator sees the new discriminator) or `simultaneous`.
        discriminator_steps: At least 1; exactly 1 if simultaneous.
        generator, discriminator: The optimizers.

    Raises:
        ParameterError: If something is out of range, or several discriminator steps are asked for with simultaneous
            updates.
    """

    order: str = "alternating"
    discriminator_steps: int = 1
    generator: Player = Player()
    discriminator: Player = Player()

    def __post_init__(self) -> None:
        one_of("order", self.order, ORDERS)
        steps = integer("discriminator_steps", self.discriminator_steps, at_least=1)
        object.__setattr__(self, "discriminator_steps", steps)
        if self.order == "simultaneous" and steps > 1:
            raise ParameterError("discriminator_steps", steps, "1 where both players move simultaneously")
        for name in ("generator", "discriminator"):
            if not isinstance(getattr(self, name), Player):
                raise ParameterError(name, getattr(self, name), "a gs.Player(kind=..., learning_rate=...)")

    def replace(self, **changes: Any) -> "UpdateRule":
        """The same rule with some fields changed."""
        return dataclasses.replace(self, **changes)

    def to_dict(self) -> dict[str, Any]:
        """Plain values; a vector of learning rates as its smallest and largest."""
        return {
            "order": self.order,
            "discriminator_steps": self.discriminator_steps,
            "generator": _described(self.generator),
            "discriminator": _described(self.discriminator),
        }


def _described(player: Player) -> dict[str, Any]:
    rate = np.asarray(player.learning_rate, np.float64)
    told: dict[str, Any] = {"kind": player.kind}
    told["learning_rate"] = float(rate) if rate.ndim == 0 else [float(rate.min()), float(rate.max())]
    if player.kind in ("momentum", "rmsprop"):
        told["momentum"] = player.momentum
    if player.kind == "adam":
        told["beta1"] = player.beta1
    if player.adaptive:
        told |= {"beta2": player.beta2, "eps": player.eps, "step": player.step}
    return told


def preconditioner(player: Player, second_moment: Array | None) -> tuple[Array | float, bool]:
    r"""The frozen factor p of every gradient, and whether small second moments had to be floored.

    sqrt(nu) rests on SECOND_MOMENT_FLOOR of its largest entry: saturated losses leave second moments near zero, and
    preconditioners of 1e8 that say nothing about the steps to come.

    Args:
        player: The optimizer.
        second_moment: Flat, shape `[n]`, as stored; ignored unless the optimizer is adaptive.
    """
    if not player.adaptive or second_moment is None:
        return 1.0, False
    corrected = player.kind == "adam" and player.step is not None and player.step > 0
    youth = -math.expm1(player.step * math.log(player.beta2)) if corrected and player.step else 1.0
    root = np.sqrt(np.maximum(second_moment, 0.0) / youth)
    floor = SECOND_MOMENT_FLOOR * float(root.max(initial=0.0))
    floored = bool(np.any(root < floor))
    return 1.0 / (np.maximum(root, floor) + player.eps), floored


def scale(player: Player, second_moment: Array | None) -> tuple[Array | float, bool]:
    """Square roots of learning rate times preconditioner: a parameter's unit of length; and whether it was floored."""
    factor, floored = preconditioner(player, second_moment)
    return np.sqrt(np.asarray(player.learning_rate, np.float64) * factor), floored
