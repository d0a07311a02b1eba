"""What a game is: parameters, levels at which it can be watched, and what theory knows about it."""

import abc
import dataclasses
import json
import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from ganscope.core import registry
from ganscope.core.errors import NotApplicable, ParameterError, unknown_name
from ganscope.core.outcome import Prediction, Predictions, Spectrum, Verdict, Verdicts
from ganscope.core.schedule import Schedule
from ganscope.core.smooth import SmoothField


class Players(NamedTuple):
    """Something that each player has, generator first everywhere."""

    generator: Any
    discriminator: Any


@dataclass(frozen=True)
class Level:
    """How closely a game can be watched, and what `simulate` needs to know about it.

    Attributes:
        rules: Update rules that it knows, the default one first; empty for a flow.
        stochastic: Whether replicas differ.
        paired: Whether they differ by their starts alone, which are those of every other level of this kind.
        dimensional: Whether it takes `dimension`, the ambient size of a finite run.
        steps_per_unit: Iterations per unit of time for a game, `dimension` and `step_size`; None without iterations.
        time_unit: The parameter that is the time of one iteration, where there is one.
        takes_step_size: Whether it takes `step_size`.
        shortens: Whether a horizon that is no multiple of the step size ends with a shorter step.
        default_iterations: Length of a run when nothing says it, in iterations; None: `default_horizon`.
        default_horizon: Length of a run when nothing says it, in time.
        options: Further keyword arguments of `simulate`, with their defaults.
    """

    rules: tuple[str, ...] = ()
    stochastic: bool = False
    paired: bool = False
    dimensional: bool = False
    steps_per_unit: Callable[[Any, int | None, float | None], float] | None = None
    time_unit: str | None = None
    takes_step_size: bool = False
    shortens: bool = False
    default_iterations: int | None = None
    default_horizon: float = 400.0
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Request:
    """A checked call of `simulate` or `simulate_many`, as a game's engine receives it.

    Attributes:
        level, rule, step_size, dimension, replicas, seed: As given, or the defaults.
        schedule: When to record.
        over: Parameters that differ between cells, checked, each with a leading axis of `cells`.
        cells: Number of cells.
        streams: Noise streams, shape `[cells, replicas]`, uint64.
        options: The level's further options.
        notes: What the engine wants to be known about the run; becomes attributes of the data set.
    """

    level: str
    rule: str | None
    step_size: float | None
    dimension: int | None
    replicas: int
    seed: int
    schedule: Schedule
    over: Mapping[str, npt.NDArray[np.float64]]
    cells: int
    streams: npt.NDArray[np.uint64] | None
    options: Mapping[str, Any]
    notes: dict[str, Any] = field(default_factory=dict)


# A variable of a run: names of its dimensions after cell and replica, and values `[cells, replicas, *dimensions]`.
Variable = tuple[tuple[str, ...], npt.NDArray[Any]]


class Game(abc.ABC):
    """A game between a generator and a discriminator; a frozen value, checked once when it is made.

    Subclasses are frozen dataclasses whose fields are the public parameters.
    """

    model: ClassVar[str]
    levels: ClassVar[Mapping[str, Level]]
    # Options of `predict` beyond level, rule and step size.
    prediction_options: ClassVar[tuple[str, ...]] = ()
    # Thresholds of `classify` that a caller may set.
    verdict_options: ClassVar[tuple[str, ...]] = ()
    # Parameters that follow another one while they are not given.
    followers: ClassVar[Mapping[str, str]] = {}

    @abc.abstractmethod
    def check_cells(self, over: Mapping[str, Any]) -> tuple[dict[str, npt.NDArray[np.float64]], int]:
        """Check parameters with one value per cell; returns them with leading axis `cells`, and the number of cells."""

    @abc.abstractmethod
    def trajectories(self, request: Request) -> dict[str, Variable]:
        """Simulate all cells and replicas of a request."""

    @abc.abstractmethod
    def predict(
        self, level: str | None = None, rule: str | None = None, step_size: float | None = None, **options: Any
    ) -> Prediction:
        """What theory says."""

    @abc.abstractmethod
    def classify(self, run: Any, **options: Any) -> Verdict:
        """The verdict on a run of this game."""

    def varied_parameters(self) -> tuple[str, ...]:
        """Parameters that `simulate_many` and `check_cells` can vary from cell to cell within one batch."""
        return ()

    def classify_cells(self, run: Any, **options: Any) -> Verdicts | None:
        """The verdicts on a run with a `cell` dimension, all at once; None where a game judges one run at a time."""
        del run, options
        return None

    def predict_cells(
        self, over: Mapping[str, Any], level: str | None, rule: str | None, step_size: float | None, **options: Any
    ) -> Predictions | None:
        """What theory says about many variants, all at once; None where a game predicts one at a time.

        `over` holds checked arrays with a leading axis of cells, as `check_cells` returns them.
        """
        del over, level, rule, step_size, options
        return None

    def recorded(self) -> "Game":
        """What a saved run can tell of its game: the game itself, or what is left of one that cannot be written down.

        It classifies runs and tells equal games from different ones.
        """
        return self

    def linear_spectrum(self, at: Any = None, rule: str | None = None, **options: Any) -> Spectrum:
        """Spectrum of the game's linearisation; games without one say so."""
        raise NotApplicable(f"{type(self).__name__} has no spectrum (at={at!r}, rule={rule!r}, {options})")

    def smooth_field(
        self, level: str | None = None, rule: str | None = None, step_size: float | None = None, start: Any = None
    ) -> SmoothField:
        """The motion near an equilibrium, for following it through parameters; games without one say so.

        `start` is a state in the game's own type, the label of a known equilibrium, or None for the game's choice.
        """
        del level, rule, step_size, start
        raise NotApplicable(
            f"{type(self).__name__} has no equilibrium that can be followed: its state at rest is not known as a zero "
            "of a smooth vector field"
        )

    @classmethod
    def fit(cls, data: Any, features: int | None = None, **options: Any) -> "Game":
        """A game whose parameters come from data; games that cannot be fitted say so."""
        del data, features, options
        raise NotApplicable(f"{cls.__name__} cannot be fitted to data")

    def encode(self, name: str, value: Any) -> Any:
        """One parameter as JSON can hold it."""
        if callable(value) or (isinstance(value, tuple) and any(callable(v) for v in value)):
            raise NotApplicable(f"{name} is a Python function: this game cannot be written to JSON")
        if hasattr(value, "to_dict"):
            return value.to_dict()
        if isinstance(value, np.ndarray):
            return value.tolist()
        if isinstance(value, tuple):
            return [self.encode(name, v) for v in value]
        if isinstance(value, float) and math.isinf(value):
            return "inf" if value > 0 else "-inf"
        return value

    @classmethod
    def decode(cls, name: str, value: Any) -> Any:
        """A parameter from what `encode` made of it."""
        del name
        return float(value) if isinstance(value, str) and value in ("inf", "-inf") else value

    @classmethod
    def parameter_names(cls) -> list[str]:
        """Names of the constructor's arguments."""
        return [f.name for f in dataclasses.fields(cls) if f.init]  # type: ignore[arg-type]

    def parameters(self) -> dict[str, Any]:
        """All parameters with the values in force, ready for JSON."""
        return {name: self.encode(name, getattr(self, name)) for name in self.parameter_names()}

    def replace(self, **changes: Any) -> Self:
        """The same game with some parameters changed; those that were never given follow along."""
        unknown = set(changes) - set(self.parameter_names())
        if unknown:
            raise unknown_name("parameter", sorted(unknown)[0], self.parameter_names())
        given = {name: getattr(self, name) for name in self.parameter_names() if name not in self.followed}
        return type(self)(**(given | changes))

    @property
    def followed(self) -> tuple[str, ...]:
        """Parameters that were not given and take their value from another one."""
        return getattr(self, "_followed", ())

    def settle_followers(self) -> None:
        """Give the parameters that were left None the value of the one they follow; call once, first."""
        followed = tuple(name for name in self.followers if getattr(self, name) is None)
        object.__setattr__(self, "_followed", followed)
        for name in followed:
            object.__setattr__(self, name, getattr(self, self.followers[name]))

    def stream_name(self) -> str:
        """One text for equal games, the name of their noise: canonical JSON, with functions by their names."""
        content: dict[str, Any] = {"model": self.model}
        for name in self.parameter_names():
            value = getattr(self, name)
            try:
                content[name] = self.encode(name, value)
            except NotApplicable:
                content[name] = [f"{f.__module__}.{f.__qualname__}" for f in value]
        return json.dumps(content, sort_keys=True, separators=(",", ":"))

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and all(
            np.array_equal(mine, theirs) if isinstance(mine, np.ndarray) else mine == theirs
            for mine, theirs in ((getattr(self, n), getattr(other, n)) for n in self.parameter_names())
        )

    def __hash__(self) -> int:
        return hash(self.stream_name())


def to_json(game: Game) -> str:
    """A game as JSON that `from_json` turns back into an equal one.

    Raises:
        NotApplicable: If a parameter is a Python function.
    """
    content: dict[str, Any] = {"model": game.model, **game.parameters()}
    if game.followed:
        content["follows"] = sorted(game.followed)
    return json.dumps(content, allow_nan=False)


def from_json(text: str) -> Game:
    """The game that `to_json` wrote.

    Raises:
        ParameterError: If the text is not JSON, names an unknown model or parameter, or a value is out of range.
    """
    try:
        content = json.loads(text)
    except (TypeError, ValueError) as error:
        raise ParameterError("game", text, f"JSON written by to_json ({error})") from None
    if not isinstance(content, dict) or "model" not in content:
        raise ParameterError("game", text, "a JSON object with the key 'model'")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # whoever made the game has been warned
        return game_from_dict(content)


def game_from_dict(content: Mapping[str, Any]) -> Game:
    """A game from a mapping with `model` and the constructor's arguments."""
    content = dict(content)
    cls = registry.game_class(content.pop("model"))
    followed = content.pop("follows", [])
    known = cls.parameter_names()
    for name in content:
        if name not in known:
            raise unknown_name("parameter", name, known)
    for parameter in dataclasses.fields(cls):
        optional = parameter.default is not dataclasses.MISSING or parameter.default_factory is not dataclasses.MISSING
        if parameter.init and not optional and parameter.name not in content:
            raise ParameterError(parameter.name, None, f"a value: model {cls.model} needs it")
    return cls(**{k: cls.decode(k, v) for k, v in content.items() if k not in followed})  # type: ignore[no-any-return]
