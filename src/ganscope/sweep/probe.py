"""Outcomes at points of a plane of two parameters, many at once: by theory, by simulation, or by a user's function."""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from ganscope.core.cells import classify_many, predict_many
from ganscope.core.checks import integer, number, one_of
from ganscope.core.errors import NotApplicable, ParameterError, unknown_name
from ganscope.core.game import Game
from ganscope.core.outcome import Outcome
from ganscope.core.random import check_seed
from ganscope.core.simulate import classify, make_request, predict, simulate, simulate_many
from ganscope.sweep.refinement import Votes

Array = npt.NDArray[np.float64]
Measure = Callable[[Game], Any]

MEASURES = ("predict", "simulate")
# Arguments of `simulate` that are numbers and may be an axis; options of a level that are numbers may, too.
_SIMULATED = ("horizon", "iterations", "step_size", "dimension")
_WHOLE = ("iterations", "dimension")
# Cells in one call of `simulate_many`: the records of a run are kept until it has been judged.
_BATCH = 1024


@dataclass(frozen=True)
class Axis:
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
        workers: Threads for games that are asked one at a time.
        failures: Messages of points that have no outcome: they count as undecided.

    Raises:
        ParameterError: If something is unknown or out of range, at any corner of the plane.
    """

    game: Game
    axes: tuple[Axis, Axis]
    measure: str | Measure
    level: str | None
    rule: str | None
    step_size: float | None
    settings: Mapping[str, Any]
    replicas: int
    seed: int
    workers: int = 1
    failures: list[str] = field(default_factory=list)
    _known: dict[tuple[float, float], Votes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.replicas, self.seed = integer("replicas", self.replicas, at_least=1), check_seed(self.seed)
        if not callable(self.measure):
            self.measure = one_of("measure", self.measure, MEASURES)
        if self.measure == "simulate" or self.level is not None:
            one_of("level", self.level, self.game.levels)
        if self.measure == "predict" and self.replicas > 1:
            raise ParameterError("replicas", self.replicas, "1: theory has no replicas")
        self._check_names()
        corners = [(x, y) for x in (0.0, 1.0) for y in (0.0, 1.0)]
        for corner in corners:
            self._check(self.values_at(corner))
        if self.measure == "predict":
            with contextlib.suppress(NotApplicable):  # rules and options are checked by the theory itself
                self._alone(self.values_at((0.5, 0.5)))

    def _check_names(self) -> None:
        parameters = {*self.game.parameter_names(), *self.game.varied_parameters()}
        options = self._options()
        settings = set() if callable(self.measure) else {"step_size", *options}
        if self.measure == "simulate":
            settings |= set(_SIMULATED)
        for axis in self.axes:
            if axis.name not in parameters and axis.name not in settings:
                raise unknown_name("over", axis.name, parameters | settings)
        if callable(self.measure):
            for name, value in {"rule": self.rule, "step_size": self.step_size, **self.settings}.items():
                if value is not None:
                    raise ParameterError(name, value, "nothing: a measure of your own decides by the game alone")
        known = {*options, "save_at", *_SIMULATED} if self.measure == "simulate" else options
        for name in self.settings:
            if name not in known:
                raise unknown_name("option", name, {*known, "level", "rule", "step_size"})
        for axis in self.axes:
            given = self.step_size if axis.name == "step_size" else self.settings.get(axis.name)
            if given is not None:
                raise ParameterError(axis.name, given, "either a value or an axis, not both")

    def _options(self) -> set[str]:
        if self.measure == "simulate":
            assert self.level is not None
            return set(self.game.levels[self.level].options)
        return set(self.game.prediction_options)

    def _check(self, values: Mapping[str, float]) -> None:
        """Refuse a point at which the game or the call would be refused."""
        game, settings = self._split(values)
        if self.measure == "simulate":
            assert self.level is not None
            shared = {name: settings.pop(name, None) for name in ("rule", "save_at", *_SIMULATED)}
            shared |= {"replicas": self.replicas, "seed": self.seed}
            make_request(game, self.level, {}, options=settings, **shared)
        elif settings.get("step_size") is not None:
            number("step_size", settings["step_size"], above=0)

    def values_at(self, place: tuple[float, float]) -> dict[str, float]:
        """Parameters at shares of both ranges."""
        return {axis.name: axis.given(axis.value(share)) for axis, share in zip(self.axes, place, strict=True)}

    def _split(self, values: Mapping[str, float]) -> tuple[Game, dict[str, Any]]:
        """The game at some values, and the arguments of its measure."""
        parameters = {*self.game.parameter_names(), *self.game.varied_parameters()}
        changes = {name: value for name, value in values.items() if name in parameters}
        rest = {name: value for name, value in values.items() if name not in parameters}
        settings = {"rule": self.rule, "step_size": self.step_size, **self.settings, **rest}
        return (self.game.replace(**changes) if changes else self.game), settings

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
        if new:
            self._known.update(zip(new, self._ask(np.array(new)), strict=True))
        return [self._known[key] for key in keys]

    def _ask(self, values: Array) -> list[Votes]:
        """Votes at values `[n, 2]`: one call for all that a batch can vary, one per value of the rest."""
        if callable(self.measure):
            return self._one_by_one(values)
        together = [k for k, axis in enumerate(self.axes) if axis.name in self._batched()]
        if not together:
            return self._one_by_one(values)
        apart = [k for k in (0, 1) if k not in together]
        answers: list[Votes] = [()] * len(values)
        groups = np.unique(values[:, apart], axis=0) if apart else np.zeros((1, 0))
        for group in groups:
            rows = np.flatnonzero(np.all(values[:, apart] == group, axis=1))
            for block in np.array_split(rows, -(-len(rows) // _BATCH)):
                for row, votes in zip(block, self._block(values[block], together, apart), strict=True):
                    answers[row] = votes
        return answers

    def _batched(self) -> set[str]:
        """Axes that one call can vary."""
        parameters = {*self.game.parameter_names(), *self.game.varied_parameters()}
        return parameters if self.measure == "predict" else set(self.game.varied_parameters())

    def _block(self, values: Array, together: list[int], apart: list[int]) -> list[Votes]:
        fixed = {self.axes[k].name: self.axes[k].given(values[0, k]) for k in apart}
        over = {self.axes[k].name: self._column(values[:, k], self.axes[k]) for k in together}
        game, settings = self._split(fixed)
        try:
            if self.measure == "predict":
                said = predict_many(game, over, self.level, **_given(settings))
                return [(str(outcome),) for outcome in said.outcome.values]
            assert self.level is not None
            run = simulate_many(game, over, self.level, replicas=self.replicas, seed=self.seed, **_given(settings))
            return _votes(run, self.replicas)
        except (ParameterError, NotApplicable, ArithmeticError, RuntimeError, np.linalg.LinAlgError):
            return self._one_by_one(values)  # one bad point must not take the others with it

    def _column(self, values: Array, axis: Axis) -> Any:
        return values.astype(np.int64) if axis.whole else values

    def _one_by_one(self, values: Array) -> list[Votes]:
        points = [
            {axis.name: axis.given(value) for axis, value in zip(self.axes, row, strict=True)}
            for row in values.tolist()
        ]
        if self.workers > 1:
            with ThreadPoolExecutor(self.workers) as pool:
                return list(pool.map(self._or_undecided, points))
        return [self._or_undecided(point) for point in points]

    def _or_undecided(self, point: Mapping[str, float]) -> Votes:
        try:
            return self._alone(point)
        except (ParameterError, NotApplicable, ArithmeticError, RuntimeError, np.linalg.LinAlgError) as error:
            if callable(self.measure):
                raise
            self.failures.append(f"{dict(point)}: {error}")
            return (str(Outcome.UNDECIDED),) * self.replicas

    def _alone(self, point: Mapping[str, float]) -> Votes:
        game, settings = self._split(point)
        if callable(self.measure):
            return self._own_votes(self.measure(game))
        if self.measure == "predict":
            return (str(predict(game, self.level, **_given(settings)).outcome),)
        assert self.level is not None
        run = simulate(game, self.level, replicas=self.replicas, seed=self.seed, **_given(settings))
        runs = [run.isel(replica=k) for k in range(self.replicas)] if self.replicas > 1 else [run]
        return tuple(str(classify(one).outcome) for one in runs)

    def _own_votes(self, answer: Any) -> Votes:
        given = (answer,) if isinstance(answer, str) else tuple(answer) if isinstance(answer, list | tuple) else ()
        if len(given) != self.replicas or not all(isinstance(vote, str) for vote in given):
            expected = "a text" if self.replicas == 1 else f"{self.replicas} texts, one per replica"
            raise ParameterError("measure", answer, f"a function of a game that returns {expected}")
        return tuple(str(vote) for vote in given)


def _given(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if value is not None}


def _votes(run: xr.Dataset, replicas: int) -> list[Votes]:
    if replicas == 1:
        return [(str(outcome),) for outcome in classify_many(run).outcome.values]
    each = [classify_many(run.isel(replica=k, drop=True)).outcome.values for k in range(replicas)]
    return [tuple(str(vote) for vote in votes) for votes in zip(*each, strict=True)]
