"""What theory says about many games of one kind: the same arrays for a batch of cells and for a single game."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ganscope.core.outcome import Outcome, Predictions

Array = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
# Numbers of the cells by name, `[cells]` or `[cells, count]`, and in which cells they are known.
Numbers = dict[str, tuple[Array, Flags]]

# What the labels mean, the same for every dual flow.
OUTCOMES = {
    "algebraic": Outcome.CONVERGED,
    "at_equilibrium": Outcome.CONVERGED,
    "converge_monotone": Outcome.CONVERGED,
    "converge_oscillatory": Outcome.CONVERGED,
    "converged": Outcome.CONVERGED,
    "cycling": Outcome.COLLAPSED,
    "diverging": Outcome.DIVERGED,
    "limit_cycle": Outcome.OSCILLATING,
    "no_step": Outcome.UNDECIDED,
    "no_unique_equilibrium": Outcome.UNDECIDED,
    "orbiting": Outcome.OSCILLATING,
    "settled": Outcome.COLLAPSED,
    "unknown": Outcome.UNDECIDED,
    "unstable": Outcome.UNDECIDED,
}
_TEXTS = {label: str(outcome) for label, outcome in OUTCOMES.items()}


@dataclass(frozen=True)
class Answers:
    """Predictions without reasons and equilibria.

    Attributes:
        detail: Labels, keys of `OUTCOMES`, shape `[cells]`, Python texts.
        margin, near: As in `Predictions`, shape `[cells]`.
        thresholds, rates, best: By name.
    """

    detail: npt.NDArray[np.object_]
    margin: Array
    near: Flags
    thresholds: Numbers = field(default_factory=dict)
    rates: Numbers = field(default_factory=dict)
    best: Numbers = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.detail)

    @property
    def heads(self) -> tuple[Outcome, str, float]:
        """Outcome, detail and margin of the only cell."""
        return OUTCOMES[self.detail[0]], str(self.detail[0]), float(self.margin[0])

    def predictions(self) -> Predictions:
        """The answers as every game gives them for its cells."""
        outcome = np.array([_TEXTS[label] for label in self.detail], object)
        return Predictions(outcome, self.detail, self.margin, self.near, self._numbers())

    def _numbers(self) -> dict[str, Array]:
        kinds = (("threshold", self.thresholds), ("rate", self.rates), ("best", self.best))
        found = {}
        for kind, numbers in kinds:
            for name, (values, known) in numbers.items():
                if known.any():
                    wide = known.reshape(-1, *[1] * (values.ndim - 1))
                    found[f"{kind}_{name}"] = np.where(wide, values, np.nan)
        return found


def everywhere(numbers: dict[str, Any], cells: int) -> Numbers:
    """Numbers that all cells have, given as one number or as arrays over cells."""
    every = np.ones(cells, bool)
    return {
        name: (np.broadcast_to(np.asarray(value, np.float64), (cells, *np.shape(value)[1:])), every)
        for name, value in numbers.items()
    }


def of_one(numbers: Numbers) -> dict[str, Any]:
    """The numbers of the only cell, as Python has them."""
    return {name: values[0].tolist() for name, (values, known) in numbers.items() if known[0]}


def chosen(cells: int, *rules: tuple[Any, str]) -> npt.NDArray[np.object_]:
    """Labels by the first condition that holds in each cell; conditions are arrays over cells, or one for all."""
    labels = np.empty(cells, object)
    for holds, label in reversed(rules):
        labels[np.broadcast_to(holds, cells)] = label
    return labels


def gathered(parts: Sequence[tuple[npt.NDArray[np.intp], Answers]], cells: int) -> Answers:
    """The answers about parts of the cells, given with their places, as those about all."""
    whole = Answers(np.empty(cells, object), np.empty(cells), np.empty(cells, bool))
    for which, part in parts:
        whole.detail[which], whole.margin[which], whole.near[which] = part.detail, part.margin, part.near
        for all_numbers, numbers in (
            (whole.thresholds, part.thresholds),
            (whole.rates, part.rates),
            (whole.best, part.best),
        ):
            for name, (values, known) in numbers.items():
                _gather(all_numbers, name, which, values, known, cells)
    return whole


def _gather(numbers: Numbers, name: str, which: npt.NDArray[np.intp], values: Array, known: Flags, cells: int) -> None:
    """Put the values of some cells in their places, wide enough for those who have most of them."""
    shape = (cells, *values.shape[1:])
    array, knows = numbers.get(name, (np.full(shape, np.nan), np.zeros(cells, bool)))
    if array.ndim == 2 and array.shape[1] < values.shape[1]:
        array = np.concatenate([array, np.full((cells, values.shape[1] - array.shape[1]), np.nan)], axis=1)
    if values.ndim == 1:
        array[which] = values
    else:
        array[which, : values.shape[1]] = values
    knows[which] = known
    numbers[name] = array, knows
