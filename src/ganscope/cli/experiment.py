"""Experiment files: TOML with a game, how to simulate it, and variants of both.

    [game]                    # model, and the arguments of the game's constructor
    model = "solvable"
    feature_variance = [5, 3]

    [simulate]                # the arguments of `simulate`; one or more levels
    levels = ["ode", "chain"]
    dimension = 1000
    horizon = 400

    [sweep]                   # for the command sweep: grids, one per axis, and what to measure on them
    measure = "simulate"
    data_noise = { start = 0.1, stop = 6.0, num = 64 }

    [[variant]]               # optional, any number: the same with some arguments changed
    name = "weak noise"
    game.data_noise = 1.0
    simulate.replicas = 2

Arrays stand inline or as the path of a `.npy` or `.csv` file, relative to the experiment file. Values are checked by
the game and by `simulate` themselves, so that a file and a Python call are refused with the same words.
"""

import tomllib
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ganscope.core import registry
from ganscope.core.checks import one_of
from ganscope.core.errors import ParameterError, StoreError, unknown_name
from ganscope.core.game import Game, Level, game_from_dict
from ganscope.core.grids import linspace, logspace


class ExperimentError(ParameterError):
    """An experiment file is missing, is not TOML, or asks for something impossible."""

    def __init__(self, path: Path, text: str) -> None:
        super().__init__("file", str(path), text)
        self.args = (f"{path}: {text}",)


@dataclass(frozen=True)
class Experiment:
    """A game and how to simulate it.

    Attributes:
        name: Name of the variant; empty in a file without variants.
        game: The game.
        levels: Arguments of `simulate` for each level asked for, in order; a level only gets what it takes.
    """

    name: str
    game: Game
    levels: Mapping[str, Mapping[str, Any]]

    @property
    def about(self) -> dict[str, Any]:
        """Arguments of `predict`: the first level, with its rule and step size."""
        return self.about_level(next(iter(self.levels)))

    def about_level(self, level: str) -> dict[str, Any]:
        """Arguments of `predict` for one of the levels."""
        settings = self.levels[level]
        asked = {"level": level, "rule": settings.get("rule"), "step_size": settings.get("step_size")}
        return asked | {name: settings[name] for name in self.game.prediction_options if name in settings}

    @property
    def apart(self) -> list[str]:
        """Levels after the first of which theory speaks on its own: those that step, as a flow does not."""
        steps = {level: self.game.levels[level].takes_step_size for level in self.levels}
        first, *others = steps
        return [level for level in others if steps[level] or steps[first]]


@dataclass(frozen=True)
class SweepFile:
    """What a file asks `sweep` to do.

    Attributes:
        game: The game.
        over: Values by name.
        arguments: Further arguments.
        time_limit: Of a cell, if the file has one.
    """

    game: Game
    over: Mapping[str, Any]
    arguments: Mapping[str, Any]
    time_limit: Any


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _Simulate(_Table):
    model_config = ConfigDict(extra="allow")  # a level's own options; checked when the level is known

    level: str | None = None
    levels: list[str] | None = Field(default=None, min_length=1)
    horizon: Any = None
    iterations: Any = None
    rule: Any = None
    step_size: Any = None
    dimension: Any = None
    replicas: Any = None
    seed: Any = None
    save_at: Any = None


class _Variant(_Table):
    name: str = Field(min_length=1)
    game: dict[str, Any] = Field(default_factory=dict)
    simulate: _Simulate = Field(default_factory=_Simulate)


class _Sweep(_Table):
    model_config = ConfigDict(extra="allow")  # one grid per parameter, and arguments of `simulate`

    measure: str = "simulate"
    time_limit: Any = None


class _Range(_Table):
    start: float
    stop: float
    num: int = Field(ge=1, le=10**6)
    log: bool = False


class _Values(_Table):
    values: list[Any] = Field(min_length=1)


class _Document(_Table):
    game: dict[str, Any]
    simulate: _Simulate = Field(default_factory=_Simulate)
    sweep: _Sweep | None = None
    variant: list[_Variant] = Field(default_factory=list)


def read_experiments(path: Path) -> list[Experiment]:
    """The experiments of a file: its variants, or the one that it is.

    Raises:
        ExperimentError: Naming the file and what is wrong in it.
    """
    try:
        document = _Document.model_validate(_read_toml(path))
    except ValidationError as error:
        raise ExperimentError(path, _in_words(error)) from None
    names = [variant.name for variant in document.variant]
    for name in names:
        if names.count(name) > 1 or name in (".", "..") or "/" in name or "\\" in name or name.endswith(".zarr"):
            raise ExperimentError(path, f"[[variant]] name = {name!r}: expected different names, each fit for a folder")
    base = document.simulate.model_dump(exclude_unset=True)
    chosen: list[_Variant | None] = [*document.variant] or [None]
    experiments = [_experiment(path, document.game, base, variant) for variant in chosen]
    for experiment in experiments:
        if document.sweep is not None:
            _sweep(path, experiment, document.sweep)  # what is wrong there is said here, too
    if document.sweep is not None:
        warnings.warn(f"{path}: [sweep] is for the command sweep and does nothing in this one", stacklevel=2)
    return experiments


def read_sweep(path: Path, variant: str | None) -> SweepFile:
    """The sweep that a file asks for.

    Args:
        path: The file.
        variant: Whose game is swept, where the file has variants.

    Raises:
        ExperimentError: Naming the file and what is wrong in it.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".* is for the command sweep")
        experiments = {experiment.name: experiment for experiment in read_experiments(path)}
    document = _Document.model_validate(_read_toml(path))
    if document.sweep is None:
        raise ExperimentError(path, "has no section [sweep], which says what to vary")
    if "" in experiments:
        if variant is not None:
            raise ExperimentError(path, f"has no variants: --variant {variant}")
        return _sweep(path, experiments[""], document.sweep)
    if variant not in experiments:
        given = "" if variant is None else f", not {variant!r}"
        raise ExperimentError(path, f"has variants: choose one with --variant, of {', '.join(experiments)}{given}")
    return _sweep(path, experiments[variant], document.sweep)


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as stream:
            return tomllib.load(stream)
    except FileNotFoundError:
        raise ExperimentError(path, "there is no such file") from None
    except OSError as error:
        raise ExperimentError(path, f"cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ExperimentError(path, "is not a text file in UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise ExperimentError(path, f"is not valid TOML: {error}") from None


def _experiment(path: Path, game: dict[str, Any], simulate: dict[str, Any], variant: _Variant | None) -> Experiment:
    own = {} if variant is None else variant.simulate.model_dump(exclude_unset=True)
    if {"level", "levels"} & set(own):
        simulate = {k: v for k, v in simulate.items() if k not in ("level", "levels")}
    name = "" if variant is None else variant.name
    try:
        made = _game(game | ({} if variant is None else variant.game), path.parent)
        return Experiment(name, made, _levels(made, _with_arrays(simulate | own, path.parent)))
    except (ParameterError, StoreError) as error:
        raise ExperimentError(path, f"variant {name!r}: {error}" if name else str(error)) from None


def _game(content: Mapping[str, Any], folder: Path) -> Game:
    if "model" not in content:
        raise ParameterError("[game]", dict(content), f"a table with model = one of {', '.join(registry.models())}")
    known = registry.game_class(content["model"]).parameter_names()
    _refuse_unknown("[game]", content, ["model", *known])
    return game_from_dict(_with_arrays(content, folder))


def _with_arrays(value: Any, folder: Path) -> Any:
    """The value with the names of array files replaced by what they hold, inside tables too."""
    if isinstance(value, Mapping):
        return {k: _with_arrays(v, folder) for k, v in value.items()}
    if isinstance(value, str) and value.endswith((".npy", ".csv")):
        return _read_array(folder / value)
    return value


def _read_array(path: Path) -> list[Any]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an empty file, which is refused below
            array = np.load(path, allow_pickle=False) if path.suffix == ".npy" else np.loadtxt(path, delimiter=",")
    except FileNotFoundError:
        raise StoreError(f"array file {path} does not exist") from None
    except (OSError, ValueError, EOFError) as error:
        raise StoreError(f"array file {path} cannot be read: {error}") from None
    if array.dtype.kind not in "fiu" or array.size == 0:
        raise StoreError(f"array file {path} holds no numbers (shape {array.shape}, {array.dtype})")
    numbers: list[Any] = np.atleast_1d(array).tolist()
    return numbers


def _levels(game: Game, simulate: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The settings of every level asked for; a setting that no level takes is refused."""
    if {"level", "levels"} <= set(simulate):
        raise ParameterError("level", simulate["level"], "either level or levels, not both")
    levels = simulate.get("levels") or [simulate.get("level") or next(iter(game.levels))]
    for level in levels:
        one_of("level", level, game.levels)
    if len(set(levels)) < len(levels):
        raise ParameterError("levels", levels, "every level once")
    settings = {name: value for name, value in simulate.items() if name not in ("level", "levels")}
    options = [name for level in game.levels.values() for name in level.options]
    _refuse_unknown("[simulate]", settings, [*_Simulate.model_fields, *options])
    for name, value in settings.items():
        if not any(_takes(game.levels[level], name, value) for level in levels):
            takers = [level for level, spec in game.levels.items() if _takes(spec, name, value)]
            hint = f" ({', '.join(takers)} would)" if takers else ""
            raise ParameterError(name, value, f"nothing: level {' and '.join(levels)} cannot use it{hint}")
    return {
        level: {name: value for name, value in settings.items() if _takes(game.levels[level], name, value)}
        for level in levels
    }


def _takes(level: Level, name: str, value: Any) -> bool:
    """Whether a level has a use for an argument of `simulate`."""
    if name == "rule":
        return bool(level.rules)
    if name == "step_size":
        return level.takes_step_size
    if name == "dimension":
        return level.dimensional
    if name == "replicas":
        return level.stochastic or value == 1
    return name in ("horizon", "iterations", "seed", "save_at") or name in level.options


def _sweep(path: Path, experiment: Experiment, section: _Sweep) -> SweepFile:
    """The arguments of `sweep`: the grids of the section, its settings, and those of [simulate] that it can use."""
    try:
        return _sweep_arguments(path, experiment, section)
    except (ParameterError, StoreError) as error:
        raise ExperimentError(path, str(error)) from None


def _sweep_arguments(path: Path, experiment: Experiment, section: _Sweep) -> SweepFile:
    game = experiment.game
    one_of("[sweep] measure", section.measure, ["predict", "simulate", "both"])
    options = [name for level in game.levels.values() for name in level.options]
    settings = [name for name in _Simulate.model_fields if name != "levels"]
    parameters = {*game.parameter_names(), *game.varied_parameters()}
    known = ["measure", "time_limit", *settings, *options, *game.prediction_options, *parameters]
    given = section.model_extra or {}
    _refuse_unknown("[sweep]", given, known)
    over, own = {}, {}
    for name, content in given.items():
        if name in parameters or (isinstance(content, list | dict) and name != "save_at"):
            over[name] = _grid(game, name, content, path.parent)
        else:
            own[name] = _with_arrays(content, path.parent)
    if not over:
        raise ParameterError("[sweep]", list(given), "at least one grid, such as NAME = { start, stop, num }")
    level = own.pop("level", None)
    if level is not None:
        one_of("[sweep] level", level, game.levels)
    first = level or next(iter(experiment.levels))
    if level is None and section.measure != "predict" and "level" not in over:
        level = first
    visited = over.get("level", [first])
    found = [experiment.levels[name] for name in visited if name in experiment.levels]
    shared = {k: v for settings in found or [next(iter(experiment.levels.values()))] for k, v in settings.items()}
    if section.measure == "predict":
        shared = {name: shared[name] for name in ("rule", "step_size", *game.prediction_options) if name in shared}
    shared = {name: value for name, value in shared.items() if name not in over and _takes_any(game, level, name)}
    return SweepFile(game, over, {"measure": section.measure, "level": level, **shared, **own}, section.time_limit)


def _takes_any(game: Game, level: str | None, name: str) -> bool:
    """Whether a setting of [simulate] is of use to the level that is swept, or to any if that varies."""
    levels = game.levels.values() if level is None else [game.levels[level]]
    return name in game.prediction_options or any(_takes(spec, name, None) for spec in levels)


def _grid(game: Game, name: str, content: Any, folder: Path) -> Any:
    """The values of an axis."""
    content = {"values": content} if isinstance(content, list | str) else content
    if not isinstance(content, dict):
        raise ParameterError(f"[sweep] {name}", content, "a list, { values = [...] } or { start, stop, num }")
    content = _with_arrays(content, folder)
    _refuse_unknown(f"[sweep] {name}", content, [*_Values.model_fields, *_Range.model_fields])
    try:
        if "values" in content:
            values = _Values.model_validate(content).values
            return [game.decode(name, value) for value in values]
        grid = _Range.model_validate(content)
    except ValidationError as error:
        raise ParameterError(f"[sweep] {name}", content, f"a grid: {_in_words(error)}") from None
    return (logspace if grid.log else linspace)(grid.start, grid.stop, grid.num)


def _refuse_unknown(section: str, given: Iterable[str], known: Iterable[str]) -> None:
    known = list(dict.fromkeys(known))
    for name in given:
        if name not in known:
            raise unknown_name(f"{section} key", name, known)


_IN_WORDS = {
    "dict_type": "a table",
    "model_type": "a table",
    "list_type": "a list",
    "string_type": "a text",
    "float_type": "a number",
    "int_type": "an integer",
    "bool_type": "true or false",
    "too_short": "a list that is not empty",
    "string_too_short": "a text that is not empty",
    "greater_than_equal": "a number >= 1",
    "less_than_equal": "at most a million values",
}


def _in_words(error: ValidationError) -> str:
    """The first thing that is wrong, with its place in the file."""
    first = min(error.errors(include_url=False), key=lambda e: e["type"] != "extra_forbidden")
    place = "".join(f" number {p + 1}" if isinstance(p, int) else f".{p}" for p in first["loc"]).lstrip(".")
    if first["type"] == "extra_forbidden":
        table = _Variant if "variant" in first["loc"] else _TABLES[error.title]
        *_, name = first["loc"]
        return str(unknown_name("key of [[variant]]" if table is _Variant else "key", name, table.model_fields))
    if first["type"] == "missing":
        return "the section [game] is missing" if place == "game" else f"{place} is missing"
    if place == "variant":
        return "variant: expected tables that begin with [[variant]]"
    return str(ParameterError(place, first["input"], _IN_WORDS.get(first["type"], first["msg"])))


_TABLES: dict[str, type[BaseModel]] = {table.__name__: table for table in (_Document, _Range, _Values)}
