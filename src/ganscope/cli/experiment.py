"""Experiment files: TOML with a game, how to simulate it, and variants of both.

    [game]                    # model, and the arguments of the game's constructor
    model = "solvable"
    feature_variance = [5, 3]

    [simulate]                # the arguments of `simulate`; one or more levels
    levels = ["ode", "chain"]
    dimension = 1000
    horizon = 400

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
    level: str | None = None


class _Range(_Table):
    start: float
    stop: float
    num: int = Field(ge=1)
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
        if document.sweep is not None:
            _check_sweep(document.sweep, document.game)
            warnings.warn(f"{path}: [sweep] does nothing in this command", stacklevel=2)
    except ValidationError as error:
        raise ExperimentError(path, _in_words(error)) from None
    except ParameterError as error:
        raise error if isinstance(error, ExperimentError) else ExperimentError(path, str(error)) from None
    names = [variant.name for variant in document.variant]
    for name in names:
        if names.count(name) > 1 or name in (".", "..") or "/" in name or "\\" in name or name.endswith(".zarr"):
            raise ExperimentError(path, f"[[variant]] name = {name!r}: expected different names, each fit for a folder")
    base = document.simulate.model_dump(exclude_unset=True)
    if not document.variant:
        return [_experiment(path, document.game, base, None)]
    return [_experiment(path, document.game, base, variant) for variant in document.variant]


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


def _check_sweep(sweep: _Sweep, game: Mapping[str, Any]) -> None:
    """The shape of a [sweep] section, which other commands ignore."""
    one_of("[sweep] measure", sweep.measure, ["predict", "simulate", "both"])
    cls = registry.game_class(game.get("model", ""))
    if sweep.level is not None:
        one_of("[sweep] level", sweep.level, cls.levels)
    grids = sweep.model_extra or {}
    settings = [name for name in _Simulate.model_fields if name != "levels"]
    options = [name for level in cls.levels.values() for name in level.options]
    _refuse_unknown("[sweep]", grids, ["measure", *settings, *options, *cls.parameter_names()])
    for name, grid in grids.items():
        if name not in cls.parameter_names():
            continue
        if isinstance(grid, list):
            grid = {"values": grid}
        if not isinstance(grid, dict):
            raise ParameterError(f"[sweep] {name}", grid, "a list, { values = [...] } or { start, stop, num }")
        try:
            (_Values if "values" in grid else _Range).model_validate(grid)
        except ValidationError as error:
            raise ParameterError("[sweep]", {name: grid}, f"a grid: {_in_words(error)}") from None


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
