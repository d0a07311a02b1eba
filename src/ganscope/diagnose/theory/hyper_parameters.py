"""What the hyper-parameters alone would say: a logistic regression fitted on the benchmark's runs.

It is a baseline to be shown beside the diagnosis. It was fitted; the diagnosis was not.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ganscope.diagnose.rule import KINDS, UpdateRule

Array = npt.NDArray[np.float64]

NAMES = (
    "ln generator_lr",
    "ln discriminator_lr",
    "memory",
    "ln (gradient_penalty / R^2 + 0.001)",
    "ln discriminator_steps",
    "simultaneous",
    *(f"generator {kind}" for kind in KINDS),
)


def features(rule: UpdateRule, gradient_penalty: float, data_radius: float) -> Array:
    """The hyper-parameters of a run as numbers, in the order of NAMES; of learning rates, the largest."""
    player = rule.generator
    numbers = [
        math.log(float(np.max(player.learning_rate))),
        math.log(float(np.max(rule.discriminator.learning_rate))),
        player.memory,
        math.log(gradient_penalty / data_radius**2 + 1e-3),
        math.log(rule.discriminator_steps),
        float(rule.order == "simultaneous"),
    ]
    return np.array([*numbers, *(float(player.kind == kind) for kind in KINDS)])


@dataclass(frozen=True)
class Baseline:
    """A fitted logistic regression on standardised features.

    Attributes:
        centre, scale: Of every feature in the runs that it was fitted on.
        weights: Intercept first.
    """

    centre: tuple[float, ...]
    scale: tuple[float, ...]
    weights: tuple[float, ...]

    def chance(self, known: Array) -> float:
        """Fitted chance that a run with these features does not converge."""
        standard = (known - np.array(self.centre)) / np.array(self.scale)
        logit = self.weights[0] + float(standard @ np.array(self.weights[1:]))
        return 0.5 * (1 + math.tanh(logit / 2))
