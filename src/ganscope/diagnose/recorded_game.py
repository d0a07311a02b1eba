"""What a saved run knows of the real GAN that was trained: settings and a digest of the weights, enough to judge it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NoReturn, Self

import numpy as np

from ganscope.core.checks import integer
from ganscope.core.errors import NotApplicable
from ganscope.core.game import Game, Level, Request, Variable
from ganscope.core.outcome import Prediction, Verdict
from ganscope.diagnose.rule import ORDERS, Player, UpdateRule


@dataclass(frozen=True, eq=False)
class RecordedGame(Game):
    """A real GAN without its functions and weights: runs of it can be classified, compared and drawn, no more.

    Args:
        backend: Library, `torch` or `jax`.
        weights: Digest of the checkpoint's parameters.
        generator_kind, discriminator_kind: The optimizers.
        other_penalty: Whether a penalty of another kind is in force.
        gradient_penalty, generator_lr, discriminator_lr, momentum, beta1, discriminator_steps, order, train_batch_size,
            instance_noise: Settings, as a what-if of the game names them; numbers up to 12 digits, since those of a
            what-if come of sums and products.
    """

    backend: str
    weights: str
    generator_kind: str
    discriminator_kind: str
    other_penalty: bool
    gradient_penalty: float
    generator_lr: float
    discriminator_lr: float
    momentum: float
    beta1: float
    discriminator_steps: int
    order: str
    train_batch_size: int | None
    instance_noise: float

    model: ClassVar[str] = "real"
    levels: ClassVar[Mapping[str, Level]] = {"training": Level(rules=ORDERS, stochastic=True)}

    def __post_init__(self) -> None:
        for name in ("gradient_penalty", "generator_lr", "discriminator_lr", "momentum", "beta1", "instance_noise"):
            object.__setattr__(self, name, float(f"{float(getattr(self, name)):.12g}"))
        for name in ("discriminator_steps", "train_batch_size"):
            if getattr(self, name) is not None:  # cells of a batch hold floats
                object.__setattr__(self, name, integer(name, getattr(self, name), at_least=1))

    @property
    def rule(self) -> UpdateRule:
        """How the players were trained, as far as it was written down."""
        players = (
            Player(kind, rate, beta1=self.beta1, momentum=self.momentum if kind in ("momentum", "rmsprop") else 0.0)
            for kind, rate in (
                (self.generator_kind, self.generator_lr),
                (self.discriminator_kind, self.discriminator_lr),
            )
        )
        return UpdateRule(self.order, self.discriminator_steps, *players)

    def recorded(self) -> "RecordedGame":
        """Itself."""
        return self

    def replace(self, **changes: Any) -> Self:
        """The record of a what-if, by the rules of the real game's own `replace`."""
        if "momentum" in changes:
            for name in ("generator_kind", "discriminator_kind"):
                if getattr(self, name) == "sgd":
                    changes.setdefault(name, "momentum")
        if "gradient_penalty" in changes:
            changes.setdefault("other_penalty", False)
        return super().replace(**changes)

    def classify(self, run: Any, **options: Any) -> Verdict:
        """What became of a training run, from its recorded samples."""
        from ganscope.diagnose.samples.observed import observed

        return observed(run, **options)

    def __eq__(self, other: object) -> bool:
        return super().__eq__(other.recorded() if isinstance(other, Game) else other)

    def __hash__(self) -> int:
        return super().__hash__()

    def check_cells(self, over: Mapping[str, Any]) -> tuple[dict[str, np.ndarray[Any, np.dtype[np.float64]]], int]:
        """Not without the game."""
        self._refuse()

    def trajectories(self, request: Request) -> dict[str, Variable]:
        """Not without the game."""
        self._refuse()

    def predict(
        self, level: str | None = None, rule: str | None = None, step_size: float | None = None, **options: Any
    ) -> Prediction:
        """Not without the game."""
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise NotApplicable(
            "the file of a run holds neither the functions nor the weights of a real game: its runs can be classified, "
            "compared and drawn; hand over the game itself for anything else"
        )
