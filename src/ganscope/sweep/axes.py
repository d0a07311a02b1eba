"""Axes of a sweep: what varies, over which values, and how the values are named in the result."""

import functools
import itertools
import json
import math
import numbers
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ganscope.core.errors import ParameterError
from ganscope.core.game import Game
from ganscope.core.grids import Grid
from ganscope.core.plain import json_ready

# Every value has a name in the store; more of them than this are a mistake.
_LONGEST = 1_000_000


@dataclass(frozen=True)
class Axis:
    """One axis of a grid.

    Attributes:
        name: A parameter of the game, or an argument of `simulate` such as `step_size` or `level`.
        values: The values, all different.
        labels: What the coordinate of the result holds: numbers, or texts for everything else; shape `[values]`.
        recipe: How the values were made, as JSON can hold it.
    """

    name: str
    values: tuple[Any, ...]
    labels: npt.NDArray[Any]
    recipe: Mapping[str, Any]

    def __len__(self) -> int:
        return len(self.values)

    @functools.cached_property
    def array(self) -> npt.NDArray[Any]:
        """The values as one array, for batches."""
        return np.array(self.values)

    def positions_in(self, labels: npt.NDArray[Any]) -> npt.NDArray[np.int64] | None:
        """Where this axis has the given labels; None if one of them is missing here."""
        mine = {label: k for k, label in enumerate(self.labels.tolist())}
        found = [mine.get(label) for label in labels.tolist()]
        return None if None in found else np.array(found, np.int64)


def make_axis(game: Game, name: str, values: Any) -> Axis:
    """An axis from what a user gave.

    Raises:
        ParameterError: If there is no value, a value occurs twice, or the values are no list.
    """
    if isinstance(values, str | bytes | Mapping) or not isinstance(values, Iterable):
        raise ParameterError(name, values, "a list of values, gs.linspace(...) or gs.logspace(...)")
    if isinstance(values, np.ndarray) and values.ndim == 0:
        raise ParameterError(name, values.item(), "a list of values, gs.linspace(...) or gs.logspace(...)")
    given = tuple(_plain(value) for value in itertools.islice(values, _LONGEST + 1))
    if len(given) > _LONGEST:
        raise ParameterError(name, f"more than {_LONGEST} values", f"at most {_LONGEST} values of one parameter")
    if not given:
        raise ParameterError(name, [], "at least one value")
    texts = [_text(game, name, value) for value in given]
    seen: dict[str, int] = {}
    for k, text in enumerate(texts):
        if text in seen:
            same = f"number {seen[text] + 1} and number {k + 1} in the list are equal"
            raise ParameterError(name, given[k], f"different values: {same}")
        seen[text] = k
    recipe = getattr(values, "recipe", None) if isinstance(values, Grid) else None
    if recipe is None:
        recipe = {"values": [json.loads(text) for text in texts]}
    return Axis(name, given, _labels(given, texts), recipe)


def _plain(value: Any) -> Any:
    """Scalars of NumPy and its kin as Python's own; there is only one zero."""
    if getattr(value, "ndim", None) == 0 and hasattr(value, "item"):
        value = value.item()
    return 0.0 if isinstance(value, float) and value == 0 else value


def _is_number(value: Any) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def _text(game: Game, name: str, value: Any) -> str:
    """One JSON text for equal values; numbers that are equal have the same."""
    if _is_number(value):
        value = float(value)
        if math.isnan(value):
            raise ParameterError(name, value, "numbers without NaN")
        return json.dumps(value if math.isfinite(value) else str(value))
    try:
        return json.dumps(json_ready(game.encode(name, value)), sort_keys=True)
    except TypeError:
        raise ParameterError(name, value, "numbers, texts, arrays, or parts of a game such as kernels") from None


def _labels(values: tuple[Any, ...], texts: list[str]) -> npt.NDArray[Any]:
    if all(_is_number(value) for value in values):
        whole = all(isinstance(value, numbers.Integral) for value in values)
        return np.array(values, np.int64 if whole else np.float64)
    return np.array([v if isinstance(v, str) else t for v, t in zip(values, texts, strict=True)], object)
