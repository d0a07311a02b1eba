"""Outcomes at points of a plane of two parameters, many at once: by theory, by simulation, or by a user's function.

Points are cells of the grid of their coordinates, measured as a sweep measures its cells; only they are.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ganscope.core.checks import integer, one_of
from ganscope.core.errors import ParameterError, unknown_name
from ganscope.core.game import Game
from ganscope.core.outcome import Outcome
from ganscope.sweep.axes import Axis
from ganscope.sweep.boundary.refinement import Votes
from ganscope.sweep.measures import FAILED, Block, quietly
from ganscope.sweep.plan import Plan, make_plan, request_for

Array = npt.NDArray[np.float64]
Measure = Callable[[Game], Any]

# Cells in one call of `simulate_many`: the records of a run are kept until it has been judged.
_BATCH = 1024
_UNDECIDED = str(Outcome.UNDECIDED)


@dataclass(frozen=True)
class Direction:
    """A direction of the plane.

    Attributes:
        name: A parameter of the game, or an argument of `predict` or `simulate`, that is one number.
        low, high: Ends of the range.
        log: Whether equal distances are equal ratios.
        whole: Whether the parameter is an integer, to which values are rounded.
    """

    name: str
    low: float
    high: float
    log: bool
    whole: bool

    def value(self, share: Any) -> Any:
        """The value at a share 0 .. 1 of the range; the ends are exact."""
        s = np.asarray(share, np.float64)
        if self.log:
            inner = np.exp(np.log(self.low) * (1 - s) + np.log(self.high) * s)
        else:
            inner = self.low + (self.high - self.low) * s
        inner = np.where(s <= 0, self.low, np.where(s >= 1, self.high, inner))
        return np.round(inner) if self.whole else inner

    def given(self, value: float) -> float | int:
        """A value as a game takes it."""
        return int(value) if self.whole else float(value)


@dataclass
class Probe:
    """What decides the outcome of a point, checked when it is made.

    Attributes:
        game: The game whose parameters are varied.
        axes: The two directions.
        measure: `predict`, `simulate`, or a function of a game.
        level, rule, step_size, settings: As in `predict` or `simulate`; options among the settings.
        replicas, seed: As in `simulate`.
        failures: Messages of points that have no outcome: they count as undecided.

    Raises:
        ParameterError: If something is unknown or out of range, at any corner of the plane.
    """

    game: Game
    axes: tuple[Direction, Direction]
    measure: str | Measure
    level: str | None
    rule: str | None
    step_size: float | None
    settings: Mapping[str, Any]
    replicas: int
    seed: int
    failures: list[str] = field(default_factory=list)
    _known: dict[tuple[float, float], Votes] = field(default_factory=dict)
    _plan: Plan | None = None

    def __post_init__(self) -> None:
        corners = [self.values_at((x, y)) for x in (0.0, 1.0) for y in (0.0, 1.0)]
        if callable(self.measure):
            self.replicas = integer("replicas", self.replicas, at_least=1)
            self._refuse_settings()
            for corner in corners:
                self.game.replace(**corner)
            return
        if self.measure == "simulate" or self.level is not None:
            one_of("level", self.level, self.game.levels)
        settings = {"rule": self.rule, "step_size": self.step_size, **self.settings}
        over = {axis.name: [axis.given(axis.low), axis.given(axis.high)] for axis in self.axes}
        measure = one_of("measure", self.measure, ("predict", "simulate"))
        self._plan = make_plan(self.game, over, measure, self.level, self.replicas, self.seed, settings)
        self.replicas, self.seed = self._plan.replicas, self._plan.seed
        for corner in corners:
            request_for(self._plan, corner, {})
        middle = np.array([[self.values_at((0.5, 0.5))[axis.name] for axis in self.axes]])
        if self.measure == "predict":
            block = self._measured(self._plan, middle)
            kind, _, text = block.message[0].partition(": ")
            if kind in ("ParameterError", "TypeError"):  # rules and options are checked by the theory itself
                raise ParameterError("over", [axis.name for axis in self.axes], text)

    def _refuse_settings(self) -> None:
        for axis in self.axes:
            if axis.name not in self.game.parameter_names():
                raise unknown_name("over", axis.name, self.game.parameter_names())
        for name, value in {"rule": self.rule, "step_size": self.step_size, **self.settings}.items():
            if value is not None:
                raise ParameterError(name, value, "nothing: a measure of your own decides by the game alone")

    def values_at(self, place: tuple[float, float]) -> dict[str, float]:
        """Parameters at shares of both ranges."""
        return {axis.name: axis.given(axis.value(share)) for axis, share in zip(self.axes, place, strict=True)}

    @property
    def evaluations(self) -> int:
        """How many different games were asked."""
        return len(self._known)

    def asked(self) -> list[tuple[tuple[float, float], Votes]]:
        """Everything that was asked: values of both parameters, and the votes."""
        return list(self._known.items())

    def __call__(self, places: Sequence[tuple[float, float]]) -> list[Votes]:
        """The votes at shares (x, y) of both ranges; equal games are asked once."""
        first, second = (axis.value(np.array([place[k] for place in places])) for k, axis in enumerate(self.axes))
        keys = list(zip(first.tolist(), second.tolist(), strict=True))
        new = [key for key in dict.fromkeys(keys) if key not in self._known]
        for start in range(0, len(new), _BATCH):
            part = new[start : start + _BATCH]
            self._known.update(zip(part, self._ask(np.array(part)), strict=True))
        return [self._known[key] for key in keys]

    def _ask(self, points: Array) -> list[Votes]:
        """Votes at values `[n, 2]`."""
        if callable(self.measure):
            named = ({axis.name: axis.given(v) for axis, v in zip(self.axes, row, strict=True)} for row in points)
            return [self._own_votes(self.measure(self.game.replace(**point))) for point in named]
        assert self._plan is not None
        block = self._measured(self._plan, points)
        for row in np.flatnonzero(block.status == FAILED):
            place = ", ".join(f"{axis.name} {value:g}" for axis, value in zip(self.axes, points[row], strict=True))
            self.failures.append(f"{place}: {block.message[row]}")
        name = "replica_outcome" if self.replicas > 1 else "outcome"
        if name not in block.columns:
            return [(_UNDECIDED,) * self.replicas] * len(points)
        outcomes = block.columns[name][1].reshape(len(points), self.replicas)
        return [tuple(vote or _UNDECIDED for vote in votes) for votes in outcomes.tolist()]

    def _measured(self, plan: Plan, points: Array) -> Block:
        """The points as cells of the grid of their coordinates."""
        values, places = zip(*(np.unique(points[:, k], return_inverse=True) for k in (0, 1)), strict=True)
        grid = tuple(
            Axis(axis.name, tuple(axis.given(v) for v in own), own, {})
            for axis, own in zip(self.axes, values, strict=True)
        )
        shape = tuple(len(own) for own in values)
        return quietly(replace(plan, axes=grid), np.ravel_multi_index(places, shape), {})

    def _own_votes(self, answer: Any) -> Votes:
        given = (answer,) if isinstance(answer, str) else tuple(answer) if isinstance(answer, list | tuple) else ()
        if len(given) != self.replicas or not all(isinstance(vote, str) for vote in given):
            expected = "a text" if self.replicas == 1 else f"{self.replicas} texts, one per replica"
            raise ParameterError("measure", answer, f"a function of a game that returns {expected}")
        return tuple(str(vote) for vote in given)
