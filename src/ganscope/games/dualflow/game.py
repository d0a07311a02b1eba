"""What the dual flows have in common: speeds, levels, the pair of gradient flows behind a game, and its verdict."""

import abc
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from ganscope.core.checks import number, numbers_in, one_length
from ganscope.core.errors import ParameterError, unknown_name
from ganscope.core.game import Game, Request
from ganscope.core.outcome import Verdict, vote
from ganscope.games.dualflow.pair import Pair

Array = npt.NDArray[np.float64]

SPEEDS: dict[str, dict[str, Any]] = {"generator_lr": {"above": 0}, "discriminator_lr": {"above": 0}}


@dataclass(frozen=True)
class Tracked:
    """What the verdict on a run is made of.

    Attributes:
        distance: To the target or the equilibrium, shape `[records]`.
        size: Norm of the whole state, shape `[records]`.
        coordinates: What is watched for movement, shape `[records, coordinates]`; of laws the 10, 50 and 90 % quantiles
            along every axis.
        reference: The length that distances and movements are compared with.
        missing: Why part of the target counts as missing at the end, or None.
        period: Predicted period of the slowest rotation, NaN where there is none or it is unknown.
        algebraic: Whether an approach is known to follow a power of time.
    """

    distance: Array
    size: Array
    coordinates: Array
    reference: float
    missing: str | None = None
    period: float = np.nan
    algebraic: bool = False


class DualGame(Game):
    """A game that is a dual flow: two gradient flows, each in its own metric space.

    Subclasses are frozen dataclasses; `numeric` lists the parameters that are single numbers, with their ranges as
    `checks.number` takes them, and always contains `SPEEDS`.
    """

    numeric: ClassVar[Mapping[str, Mapping[str, Any]]] = SPEEDS
    verdict_options: ClassVar[tuple[str, ...]] = ("blowup", "settled", "trend", "moving")

    generator_lr: float
    discriminator_lr: float

    @abc.abstractmethod
    def pair(self) -> Pair:
        """The two gradient flows."""

    @abc.abstractmethod
    def states(self, run: Any) -> tuple[Array, Array]:
        """States of generator and discriminator of a single run, as `pair` takes them, with leading axis `records`."""

    @abc.abstractmethod
    def tracked(self, run: Any) -> Tracked:
        """What the verdict on a single run is made of."""

    def classify(self, run: Any, **options: Any) -> Verdict:
        from ganscope.games.dualflow import verdict

        if "replica" in run.dims:
            each = [run.isel(replica=k) for k in range(run.sizes["replica"])]
            return vote([verdict.classify(self, one, **options) for one in each])
        return verdict.classify(self, run, **options)

    def check_numbers(self) -> None:
        """Check the parameters that are single numbers and keep them as floats."""
        for name, bounds in self.numeric.items():
            object.__setattr__(self, name, number(name, getattr(self, name), **bounds))

    def check_cells(self, over: Mapping[str, Any]) -> tuple[dict[str, Array], int]:
        """Parameters that vary between cells: those that are numbers, and those that `check_varied` knows."""
        checked: dict[str, Array] = {}
        for name, values in over.items():
            if name in self.numeric:
                array = numbers_in(name, values, **self.numeric[name])
                if array.ndim != 1:
                    raise ParameterError(name, values, "a one-dimensional array, one value per cell")
            else:
                array = self.check_varied(name, values)
            checked[name] = array
        return checked, one_length(checked)

    def check_varied(self, name: str, values: Any) -> Array:
        """An array-valued parameter with a leading axis of cells; games that have some override this."""
        del values
        raise unknown_name("over", name, self.numeric)

    def column(self, request: Request, name: str) -> Array:
        """A numeric parameter of every cell of a request, shape `[cells]`."""
        if name in request.over:
            return np.asarray(request.over[name], np.float64)
        return np.full(request.cells, float(getattr(self, name)))


def fail(request: Request, cell: int, error: Exception) -> None:
    """A step that has no solution ends a single run by its error; in a batch the cell stays empty from there on.

    Raises:
        Exception: The error, unless the request is a batch.
    """
    if not request.over:
        raise error
    failures = request.notes.setdefault("failures", [])
    failures.append(f"cell {cell}: {error}")
