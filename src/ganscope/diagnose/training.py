"""Training a real game by its own rule: what is asked for, and what comes back."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ganscope.core.game import Players
from ganscope.diagnose.change import UNCHANGED, Change
from ganscope.diagnose.rule import UpdateRule

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Memory:
    """What an optimizer remembers, one flat array or number per player, generator first.

    Attributes:
        first, second: First and second moments as the optimizers store them; zeros where there are none.
        steps: Steps that the second moments have seen.
    """

    first: Players
    second: Players
    steps: Players


@dataclass(frozen=True)
class TrainingRequest:
    """A checked request to train.

    Attributes:
        rule: The update rule; its `second_moment`, `first_moment` and `step` are not looked at.
        record_at: Increasing iteration numbers, from 0 (the start) on; the last one is the length of the run.
        batch_size: Of every minibatch.
        seed: Equal seeds give equal minibatches, whatever the rule and the change.
        start: Flat parameters.
        memory: The optimizers' memory at the start; None is none (a fresh optimizer).
        latents: Fixed latents whose outputs are recorded.
        change: Of the discriminator's loss.
    """

    rule: UpdateRule
    record_at: npt.NDArray[np.int64]
    batch_size: int
    seed: int
    start: Players
    memory: Memory | None
    latents: Any
    change: Change = UNCHANGED


@dataclass(frozen=True)
class Trained:
    """A training run.

    Attributes:
        outputs: Generated samples at the fixed latents, `[records, count, d]`; NaN from where the run broke down.
        gradient_norms: Norms of the players' last gradients before every record, `[records, 2]`.
        point, memory: The end.
        finite: Whether all parameters stayed finite.
    """

    outputs: Array
    gradient_norms: Array
    point: Players
    memory: Memory
    finite: bool
    notes: dict[str, Any] = field(default_factory=dict)
