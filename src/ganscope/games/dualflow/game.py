"""What the dual flows have in common: speeds, levels, the pair of gradient flows behind a game, and its verdict."""

import abc
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from ganscope.core.checks import number, numbers_in, one_length
from ganscope.core.errors import ParameterError, unknown_name
from ganscope.core.game import Game, Request
from ganscope.core.outcome import Verdict, Verdicts, vote
from ganscope.core.results import stacked, varied_values
from ganscope.games.dualflow.pair import Pair

Array = npt.NDArray[np.float64]

SPEEDS: dict[str, dict[str, Any]] = {"generator_lr": {"above": 0}, "discriminator_lr": {"above": 0}}


@dataclass(frozen=True)
class Tracked:
    """What the verdict on a run is made of, or those on many runs: then all but `period` have a leading axis of runs.

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
    reference: Any
    missing: Any = None
    period: float = np.nan
    algebraic: Any = False

    def many(self) -> "Tracked":
        """One run as the only one of many."""
        distance, size, coordinates = (np.asarray(v)[None] for v in (self.distance, self.size, self.coordinates))
        reference, missing = np.array([self.reference]), np.array([self.missing], object)
        return Tracked(distance, size, coordinates, reference, missing, self.period, np.array([self.algebraic]))

    def one(self) -> "Tracked":
        """The only run of many."""
        distance, size, coordinates = self.distance[0], self.size[0], self.coordinates[0]
        reference, algebraic = float(self.reference[0]), bool(self.algebraic[0])
        return Tracked(distance, size, coordinates, reference, self.missing[0], self.period, algebraic)


class DualGame(Game):
    """A game that is a dual flow: two gradient flows, each in its own metric space.

    Subclasses are frozen dataclasses; `numeric` lists the parameters that are single numbers, with their ranges as
    `checks.number` takes them, and always contains `SPEEDS`; `arrays` lists those that a batch may vary beside them.
    """

    numeric: ClassVar[Mapping[str, Mapping[str, Any]]] = SPEEDS
    arrays: ClassVar[tuple[str, ...]] = ()
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
    def tracked_runs(self, run: Any) -> Tracked:
        """What the verdicts on all cells and replicas of a run are made of, one after the other; `period` left out."""

    def rotation(self, run: Any) -> float:
        """Predicted period of the slowest rotation of a single run, NaN where there is none or it is unknown."""
        del run
        return np.nan

    def tracked(self, run: Any) -> Tracked:
        """What the verdict on a single run is made of."""
        return replace(self.tracked_runs(run).one(), period=self.rotation(run))

    def classify(self, run: Any, **options: Any) -> Verdict:
        from ganscope.games.dualflow import verdict

        if "replica" in run.dims:
            each = [run.isel(replica=k) for k in range(run.sizes["replica"])]
            return vote([verdict.classify(self, one, **options) for one in each])
        return verdict.classify(self, run, **options)

    def classify_cells(self, run: Any, **options: Any) -> Verdicts:
        from ganscope.games.dualflow import verdict

        return verdict.classify_cells(self, run, **options)

    def check_numbers(self) -> None:
        """Check the parameters that are single numbers and keep them as floats."""
        for name, bounds in self.numeric.items():
            object.__setattr__(self, name, number(name, getattr(self, name), **bounds))

    def varied_parameters(self) -> tuple[str, ...]:
        return (*self.numeric, *self.arrays)

    def check_cells(self, over: Mapping[str, Any]) -> tuple[dict[str, Array], int]:
        """Parameters that vary between cells: those that are numbers, and those that `check_varied` checks."""
        checked: dict[str, Array] = {}
        for name, values in over.items():
            if name not in self.varied_parameters():
                raise unknown_name("over", name, self.varied_parameters())
            if name in self.numeric:
                array = numbers_in(name, values, **self.numeric[name])
                if array.ndim != 1:
                    raise ParameterError(name, values, "a one-dimensional array, one value per cell")
            else:
                array = self.check_varied(name, values)
            checked[name] = array
        return checked, one_length(checked)

    def check_varied(self, name: str, values: Any) -> Array:
        """A parameter that is no single number, with a leading axis of cells; games that have some override this."""
        del values
        raise unknown_name("over", name, self.numeric)

    def column(self, request: Request, name: str) -> Array:
        """A numeric parameter of every cell of a request, shape `[cells]`."""
        if name in request.over:
            return np.asarray(request.over[name], np.float64)
        return np.full(request.cells, float(getattr(self, name)))


def each_run(run: Any, name: str, *dims: str) -> Array:
    """A variable of all cells and replicas of a run, one after the other, shape `[runs, *dims]`."""
    values: Array = stacked(run, name, *dims)
    return values.reshape(-1, *values.shape[2:])


def varied_runs(run: Any) -> dict[str, Array]:
    """The parameters that differ between the cells of a run, for all cells and replicas one after the other."""
    varied = varied_values(run) if "cell" in run.dims else {}
    return {name: np.repeat(values, run.sizes.get("replica", 1), axis=0) for name, values in varied.items()}


def fail(request: Request, cell: int, error: Exception) -> None:
    """A step that has no solution ends a single run by its error; in a batch the cell stays empty from there on.

    Raises:
        Exception: The error, unless the request is a batch.
    """
    if not request.over:
        raise error
    failures = request.notes.setdefault("failures", [])
    failures.append(f"cell {cell}: {error}")
