"""The parameters of many solvable GANs side by side, under the names that the game itself gives them.

What theory says depends on a game through these alone, so that a formula written for them holds for one game as well.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ganscope.games.solvable.packing import (
    DATA_NOISE,
    DISCRIMINATOR_LR,
    GENERATOR_LR,
    GENERATOR_NOISE,
    LINK_BIAS,
    REGULARIZATION,
    VARIANCES,
)

if TYPE_CHECKING:
    from ganscope.games.solvable.model import SolvableGAN

Array = npt.NDArray[np.float64]

_NUMBERS = {
    "discriminator_lr": DISCRIMINATOR_LR,
    "generator_lr": GENERATOR_LR,
    "data_noise": DATA_NOISE,
    "generator_noise": GENERATOR_NOISE,
    "regularization": REGULARIZATION,
    "link_bias": LINK_BIAS,
}


@dataclass(frozen=True)
class Cells:
    """Many games that differ in numbers only; iterated over, one by one with an array of no axes per number.

    Attributes:
        game: What they share: numbers of features and columns, hard or soft constraint, link, latents and start.
        rows: Their parameters as `packing` orders them, shape `[cells, rows]`.
        noise_follows: Whether `generator_noise` follows `data_noise`.
    """

    game: "SolvableGAN"
    rows: Array
    noise_follows: bool

    @classmethod
    def of(cls, game: "SolvableGAN", over: Mapping[str, Array] | None = None) -> "Cells":
        """A game's variants; without any, the game itself as the only one."""
        over = over or {}
        count = len(next(iter(over.values()))) if over else 1
        follows = "generator_noise" in game.followed and "generator_noise" not in over
        return cls(game, np.ascontiguousarray(game.rows(over, count).T), follows)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, which: Any) -> "Cells":
        return Cells(self.game, self.rows[which], self.noise_follows)

    def __iter__(self) -> Iterator["Cells"]:
        return (self[i] for i in range(len(self)))

    def __getattr__(self, name: str) -> Any:
        if name in _NUMBERS:
            return self.rows[..., _NUMBERS[name]]
        if name in ("features", "columns", "hard", "link"):
            return getattr(self.game, name)
        raise AttributeError(name)

    @property
    def feature_variance(self) -> Array:
        """Shape `[cells, features]`."""
        return self.rows[..., VARIANCES : VARIANCES + self.game.features]

    @property
    def latent_variance(self) -> Array:
        """Shape `[cells, columns]`."""
        return self.rows[..., VARIANCES + self.game.features :]
