"""What a sweep is to do: the game, the axes, the measure, and everything that `simulate` shall be told.

A plan is checked when it is made, names every cell by one number, and has an identity: two plans with equal identity
compute equal cells, whatever the grid, the tiles and the machine.
"""

import functools
import hashlib
import inspect
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cloudpickle
import numpy as np
import numpy.typing as npt

from ganscope.core.checks import integer, one_of
from ganscope.core.errors import NotApplicable, ParameterError, unknown_name
from ganscope.core.game import Game, Request, to_json
from ganscope.core.plain import json_ready
from ganscope.core.random import check_seed
from ganscope.core.schedule import EVERY_ITERATION_UP_TO
from ganscope.core.simulate import make_request
from ganscope.sweep.axes import Axis, make_axis

# A measure of the user's own: a run of one cell, with all its replicas, to named numbers, texts or arrays.
Measure = Callable[[Any], Mapping[str, Any]]

MEASURES = ("predict", "simulate", "both")
# Arguments of `simulate` that may be an axis; the options of a level may, too.
_SETTINGS = ("level", "rule", "step_size", "dimension", "horizon", "iterations", "save_at")


@dataclass(frozen=True)
class Plan:
    """A checked sweep.

    Attributes:
        game: The game whose parameters are varied.
        axes: In the order of the result's dimensions.
        batched: Names of the axes that one call of `simulate_many` can vary.
        measure: `predict`, `simulate`, `both`, or a function of a run.
        level: Of the simulation or the prediction; None is the prediction's default.
        settings: Further arguments of `simulate` (or `predict`) that all cells share.
        replicas, seed: Of `simulate`.
    """

    game: Game
    axes: tuple[Axis, ...]
    batched: tuple[str, ...]
    measure: str | Measure
    level: str | None
    settings: Mapping[str, Any]
    replicas: int
    seed: int

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of values of every axis."""
        return tuple(len(axis) for axis in self.axes)

    @property
    def cells(self) -> int:
        """Number of cells."""
        return int(np.prod([len(axis) for axis in self.axes], dtype=object))

    @property
    def simulates(self) -> bool:
        """Whether cells are simulated."""
        return self.measure != "predict"

    @property
    def grouped(self) -> list[int]:
        """Numbers of the axes that need a call for every value."""
        return [k for k, axis in enumerate(self.axes) if axis.name not in self.batched]

    def identity(self) -> dict[str, Any]:
        """What is measured, without the grid, as JSON can hold it."""
        try:
            game = json.loads(to_json(self.game))
        except NotApplicable:
            game = json.loads(self.game.stream_name())
        return {
            "game": game,
            "axes": [axis.name for axis in self.axes],
            "measure": measure_name(self.measure),
            "level": self.level,
            "settings": {name: json_ready(np.asarray(v).tolist()) for name, v in sorted(self.settings.items())},
            "replicas": self.replicas,
            "seed": self.seed,
        }

    def cells_digest(self, labels: Sequence[npt.NDArray[Any]]) -> int:
        """A number that names the parameters of a block of cells, given the labels that it has on every axis."""
        plain = [(own.astype(float) if own.dtype.kind in "iuf" else own).tolist() for own in labels]
        return digest(self._identity_text + json.dumps(plain))

    @functools.cached_property
    def _identity_text(self) -> str:
        return json.dumps(self.identity(), sort_keys=True)


def digest(text: str) -> int:
    """64 bits of a text."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def measure_name(measure: str | Measure) -> str:
    """The name of a measure; of a function also a digest of what it does and knows, so that an edited one is told."""
    if isinstance(measure, str):
        return measure
    name = f"{getattr(measure, '__module__', '')}.{getattr(measure, '__qualname__', type(measure).__qualname__)}"
    return f"{name} {digest(_described(measure)):016x}"


def _described(thing: Any, seen: tuple[int, ...] = ()) -> str:
    """What a function does: its source, and the values that it has captured, among which it may be itself."""
    if id(thing) in seen:
        return "itself"
    seen = (*seen, id(thing))
    if isinstance(thing, functools.partial):
        given = _content([thing.args, thing.keywords], seen)
        return f"partial({_described(thing.func, seen)}, {given})"
    if inspect.ismethod(thing):
        return f"{_described(thing.__func__, seen)} of {_described(thing.__self__, seen)}"
    if inspect.isfunction(thing):
        captured = dict(inspect.getclosurevars(thing).nonlocals)
        return f"{_source(thing)} {_content([captured, thing.__defaults__, thing.__kwdefaults__], seen)}"
    return f"{_source(type(thing))} {_content(getattr(thing, '__dict__', {}), seen)}"


def _source(thing: Any) -> str:
    try:
        return inspect.getsource(thing)
    except (OSError, TypeError):
        code = getattr(thing, "__code__", None)
        return f"{thing.__qualname__} {code.co_code!r} {code.co_names}" if code is not None else thing.__qualname__


def _content(value: Any, seen: tuple[int, ...]) -> str:
    """A text that is equal for equal values; functions among them are described."""
    if isinstance(value, list | tuple):
        return f"[{', '.join(_content(v, seen) for v in value)}]"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{k!r}: {_content(value[k], seen)}' for k in sorted(value, key=repr))}}}"
    if callable(value) and not isinstance(value, type):
        return _described(value, seen)
    try:
        return hashlib.blake2b(cloudpickle.dumps(value), digest_size=8).hexdigest()
    except Exception:  # pickling raises many kinds: a lock, say, is told by what it is alone
        return type(value).__qualname__


def make_plan(
    game: Game,
    over: Mapping[str, Any],
    measure: str | Measure,
    level: str | None,
    replicas: int,
    seed: int,
    settings: Mapping[str, Any],
) -> Plan:
    """Check everything that can be checked without computing a cell.

    Raises:
        ParameterError: If something is unknown, missing or out of range; of a bad value on an axis the axis is named.
    """
    if not isinstance(game, Game):
        raise ParameterError("game", type(game).__name__, "a game, such as gs.SolvableGAN(...)")
    if not isinstance(over, Mapping) or not over:
        raise ParameterError("over", over, "at least one parameter with its values: {name: values}")
    if not callable(measure):
        measure = one_of("measure", measure, MEASURES)
    replicas, seed = integer("replicas", replicas, at_least=1), check_seed(seed)
    settings = {name: value for name, value in settings.items() if value is not None}
    levels = _levels(game, over, level, measure)
    parameters = [*game.parameter_names(), *game.varied_parameters()]
    known = _known_settings(game, levels, measure)
    for name in over:
        if name not in parameters and name not in known:
            raise unknown_name("over", name, {*parameters, *known})
        if name in settings or (name == "level" and level is not None):
            raise ParameterError(name, settings.get(name, level), "either a value or an axis, not both")
    for name, value in settings.items():
        if name not in known and name in {*_SETTINGS, *(n for spec in game.levels.values() for n in spec.options)}:
            takes = "predict" if measure == "predict" else f"level {' or '.join(levels)}"
            raise ParameterError(name, value, f"nothing: {takes} takes {', '.join(sorted(known))}")
        if name not in known:
            raise unknown_name("option", name, known)
    if measure == "predict" and replicas > 1:
        raise ParameterError("replicas", replicas, "1: theory has no replicas")
    axes = tuple(make_axis(game, name, values) for name, values in over.items())
    plan = Plan(game, axes, (), measure, levels[0] if level is None and measure != "predict" else level, settings,
                replicas, seed)  # fmt: skip
    _check_values(plan)
    return Plan(**{**vars(plan), "batched": tuple(axis.name for axis in axes if _can_be_batched(plan, axis))})


def _levels(game: Game, over: Mapping[str, Any], level: str | None, measure: str | Measure) -> list[str]:
    """The levels that a sweep visits; for a simulation the game's first one by default."""
    if "level" in over:
        values = over["level"]
        given = [values] if isinstance(values, str) or not isinstance(values, Iterable) else list(values)
        return [one_of("level", name, game.levels) for name in given] or list(game.levels)[:1]
    if level is not None:
        return [one_of("level", level, game.levels)]
    return list(game.levels) if measure == "predict" else list(game.levels)[:1]


def _known_settings(game: Game, levels: list[str], measure: str | Measure) -> set[str]:
    """Arguments that the measure takes beside parameters of the game."""
    theory = {"level", "rule", "step_size", *game.prediction_options}
    if measure == "predict":
        return theory
    options = {name for level in levels for name in game.levels[level].options}
    return {*_SETTINGS, *options} | (theory if measure == "both" else set())


def split_settings(plan: Plan, settings: Mapping[str, Any], level: str | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """Arguments of `predict` and of `simulate` among the settings of some cells."""
    theory = {name: settings[name] for name in ("rule", "step_size", *plan.game.prediction_options) if name in settings}
    if level is None or not plan.simulates:
        return theory, {}
    spec = plan.game.levels[level]
    taken = {*_SETTINGS, *spec.options}
    if any(axis.name == "level" for axis in plan.axes):  # what another level of the axis takes is none of this one's
        useless = {"dimension": not spec.dimensional, "step_size": not spec.takes_step_size, "rule": not spec.rules}
        taken -= {name for name, drop in useless.items() if drop}
    return theory, {name: value for name, value in settings.items() if name in taken and name != "level"}


def records_of(plan: Plan) -> int:
    """Records of the run of a cell, which are in memory while it is judged; those of the first cell."""
    try:
        request = request_for(plan, {axis.name: axis.values[0] for axis in plan.axes}, {})
    except (ParameterError, NotApplicable):  # a cell that will fail
        return EVERY_ITERATION_UP_TO + 1
    return 1 if request is None else len(request.schedule.times)


def request_for(plan: Plan, changes: Mapping[str, Any], over: Mapping[str, Any]) -> Request | None:
    """Let `simulate` check the arguments of some cells without running them; None where nothing is simulated."""
    parameters = {name: v for name, v in changes.items() if name in _parameters(plan.game)}
    settings = {**plan.settings, **{name: v for name, v in changes.items() if name not in parameters}}
    level = settings.pop("level", plan.level)
    game = plan.game.replace(**parameters) if parameters else plan.game
    if not plan.simulates:
        if level is not None:
            one_of("level", level, plan.game.levels)
        if over:
            game.check_cells(over)
        return None
    given = split_settings(plan, settings, level)[1]
    named = ("horizon", "iterations", "rule", "step_size", "dimension", "save_at")
    horizon, iterations, rule, step_size, dimension, save_at = (given.pop(name, None) for name in named)
    return make_request(
        game, level, over, horizon, iterations, rule, step_size, dimension, plan.replicas, plan.seed, save_at, given
    )


def _parameters(game: Game) -> set[str]:
    return {*game.parameter_names(), *game.varied_parameters()}


def _check_values(plan: Plan) -> None:
    """Every value of an axis, with the first values of the others; an error that is not about the axis may pass."""
    first = {axis.name: axis.values[0] for axis in plan.axes}
    try:
        request_for(plan, first, {})
    except ParameterError as error:
        if error.name not in first:
            raise
    except NotApplicable:
        pass
    for axis in plan.axes:
        if axis.name in plan.game.varied_parameters() and _accepted(plan, axis):
            continue
        for value in axis.values:
            try:
                request_for(plan, {**first, axis.name: value}, {})
            except ParameterError as error:
                if error.name == axis.name or len(plan.axes) == 1:
                    raise
            except NotApplicable:
                continue


def _accepted(plan: Plan, axis: Axis) -> bool:
    """Whether all values pass the check of a batch at once."""
    try:
        plan.game.check_cells({axis.name: axis.array})
    except (ParameterError, ValueError):
        return False
    return True


def _can_be_batched(plan: Plan, axis: Axis) -> bool:
    """Whether one call can vary an axis: the game says so, and the values and the settings allow it."""
    if axis.name not in plan.game.varied_parameters() or not _accepted(plan, axis):
        return False
    others = {other.name: other.values[0] for other in plan.axes if other.name != axis.name}
    try:
        request_for(plan, others, {axis.name: axis.array[:2]})
    except (ParameterError, NotApplicable):
        return False
    return True
