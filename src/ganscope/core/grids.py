"""Grids of parameter values that remember how they were made, so that a file can say it in one line."""

from typing import Any

import numpy as np
import numpy.typing as npt

from ganscope.core.checks import integer, number
from ganscope.core.errors import ParameterError


class Grid(np.ndarray[Any, np.dtype[np.float64]]):
    """A float64 array with the recipe it came from."""

    recipe: dict[str, Any] | None

    def __array_finalize__(self, source: Any) -> None:
        same = source is not None and getattr(source, "shape", None) == self.shape
        self.recipe = getattr(source, "recipe", None) if same else None


def _grid(values: npt.NDArray[np.float64], recipe: dict[str, Any]) -> Grid:
    grid: Grid = values.view(Grid)
    grid.recipe = recipe
    return grid


def linspace(start: float, stop: float, num: int) -> Grid:
    """`num` equally spaced values from `start` to `stop`, both included."""
    start, stop, num = number("start", start), number("stop", stop), integer("num", num, at_least=1)
    return _grid(np.linspace(start, stop, num), {"start": start, "stop": stop, "num": num})


def logspace(start: float, stop: float, num: int) -> Grid:
    """`num` values from `start` to `stop`, both included and positive, in equal ratios."""
    start, stop = number("start", start, above=0), number("stop", stop, above=0)
    num = integer("num", num, at_least=1)
    if num == 1 and start != stop:
        raise ParameterError("num", num, "at least 2 for different ends")
    return _grid(np.geomspace(start, stop, num), {"start": start, "stop": stop, "num": num, "log": True})
