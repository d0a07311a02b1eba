"""`simulate`, `simulate_many`, `predict`, `classify`, `spectrum`: the same few verbs for every game."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from ganscope.core.checks import integer, number, one_of
from ganscope.core.errors import ParameterError, unknown_name
from ganscope.core.game import Game, Level, Request
from ganscope.core.outcome import Prediction, Spectrum, Verdict
from ganscope.core.random import check_seed, replica_streams, stream_of
from ganscope.core.results import game_of, run_dataset
from ganscope.core.schedule import Schedule, make_schedule


def simulate(
    game: Game,
    level: str,
    *,
    horizon: float | None = None,
    iterations: int | None = None,
    rule: str | None = None,
    step_size: float | None = None,
    dimension: int | None = None,
    replicas: int = 1,
    seed: int = 0,
    save_at: Any = None,
    **options: Any,
) -> xr.Dataset:
    """Simulate a game at one level of description.

    Args:
        game: The game.
        level: How closely to look; the game's `levels` lists the names.
        horizon: Length in the game's time; give it or `iterations` (or only `save_at`).
        iterations: Length in steps.
        rule: Update rule; None is the level's default.
        step_size: Time step, for levels that have one.
        dimension: Ambient dimension, for levels of finite size.
        replicas: Independent runs.
        seed: Integer; equal seeds give bit-equal runs whatever the number of threads.
        save_at: Increasing times to record (iteration numbers when `iterations` is given), honoured exactly. None
            keeps every iteration up to 1000, otherwise 201 equally spaced times.
        options: Further options of the level, for example `rtol` of `ode`.

    Returns:
        One variable per observable over `time`, with a leading `replica` dimension if `replicas` > 1; coordinate
        `iteration` where there are iterations; attributes `game` (see `from_json`), `level`, `seed`, `version`.
        A run that blows up is kept, with NaN from then on.

    Raises:
        ParameterError: If an argument is out of range, before any work starts.
    """
    request = make_request(
        game, level, {}, horizon, iterations, rule, step_size, dimension, replicas, seed, save_at, options
    )
    return run_dataset(game, request, game.trajectories(request), many=False)


def simulate_many(
    game: Game,
    over: Mapping[str, Any],
    level: str,
    *,
    horizon: float | None = None,
    iterations: int | None = None,
    rule: str | None = None,
    step_size: float | None = None,
    dimension: int | None = None,
    replicas: int = 1,
    seed: int = 0,
    save_at: Any = None,
    **options: Any,
) -> xr.Dataset:
    """Simulate many variants of a game in one compiled batch.

    Args:
        game: The game whose parameters are varied; parameters that it left to follow another one follow here too.
        over: Arrays with one value per cell, by parameter.
        level, horizon, ...: As in `simulate`. Every cell equals, bit for bit, `simulate` of its own game.

    Returns:
        As `simulate`, with a leading `cell` dimension that carries the varied parameters as coordinates.

    Raises:
        ParameterError: If a name is unknown, the arrays have different lengths, or a value is out of range.
    """
    if not over:
        raise ParameterError("over", over, "at least one parameter with its values")
    request = make_request(
        game, level, over, horizon, iterations, rule, step_size, dimension, replicas, seed, save_at, options
    )
    return run_dataset(game, request, game.trajectories(request), many=True)


def make_request(
    game: Game,
    level: str,
    over: Mapping[str, Any],
    horizon: Any,
    iterations: Any,
    rule: Any,
    step_size: Any,
    dimension: Any,
    replicas: Any,
    seed: Any,
    save_at: Any,
    options: Mapping[str, Any],
) -> Request:
    spec = game.levels[one_of("level", level, game.levels)]
    rule = check_rule(rule, level, spec)
    if step_size is not None:
        if not spec.takes_step_size:
            raise ParameterError("step_size", step_size, f"nothing: level {level!r} has no step size")
        step_size = number("step_size", step_size, above=0)
    if dimension is not None and not spec.dimensional:
        raise ParameterError("dimension", dimension, f"nothing: level {level!r} has no dimension")
    if spec.dimensional:
        dimension = integer("dimension", 1000 if dimension is None else dimension, at_least=1)
    replicas = integer("replicas", replicas, at_least=1)
    if replicas > 1 and not spec.stochastic:
        raise ParameterError("replicas", replicas, f"1: level {level!r} is deterministic")
    seed = check_seed(seed)
    for name in options:
        if name not in spec.options:
            raise unknown_name("option", name, [*spec.options, *_COMMON_OPTIONS])
    checked, cells = game.check_cells(over)
    if spec.time_unit in checked and rule != FLOW and iterations is None:
        raise ParameterError(
            "iterations", None, f"a number: {spec.time_unit} is the time of an iteration, and it differs"
        )
    schedule = level_schedule(game, spec, rule, dimension, step_size, horizon, iterations, save_at)
    streams = None
    if spec.stochastic:
        streams = streams_of(game, level, checked, cells, replicas)
    return Request(
        level,
        rule,
        step_size,
        dimension,
        replicas,
        seed,
        schedule,
        checked,
        cells,
        streams,
        {**spec.options, **options},
    )


def level_schedule(
    game: Game,
    spec: Level,
    rule: str | None,
    dimension: int | None,
    step_size: float | None,
    horizon: Any,
    iterations: Any,
    save_at: Any,
) -> Schedule:
    """When a run of a level is recorded; arguments as in `simulate`, checked here."""
    per_unit = None
    if spec.steps_per_unit is not None and rule != FLOW:
        per_unit = spec.steps_per_unit(game, dimension, step_size)
        if horizon is None and iterations is None and save_at is None:
            iterations = spec.default_iterations
    return make_schedule(
        horizon,
        iterations,
        save_at,
        per_unit=per_unit,
        default_horizon=spec.default_horizon,
        shortens=spec.shortens,
    )


# The rule of levels that know both iterations and the limit of small rates.
FLOW = "flow"
_COMMON_OPTIONS = ("horizon", "iterations", "rule", "step_size", "dimension", "replicas", "seed", "save_at")


def check_rule(rule: Any, level: str, spec: Level) -> str | None:
    """The update rule of a level, its default if None."""
    if rule is None:
        return spec.rules[0] if spec.rules else None
    if not spec.rules:
        if rule == "flow":
            return None
        raise ParameterError("rule", rule, f"nothing: level {level!r} is a flow")
    return one_of("rule", rule, spec.rules)


def streams_of(game: Game, purpose: str, over: Mapping[str, Any], cells: int, replicas: int) -> npt.NDArray[np.uint64]:
    """Noise streams `[cells, replicas]` for a purpose, such as a level: a hash of each cell's own game.

    A cell thus equals `simulate` of its game; noise that all levels shall share has a purpose of its own.
    """
    if not over:
        return replica_streams(np.array([_stream(game, purpose)], np.uint64), replicas)
    rows = [{name: values[i] for name, values in over.items()} for i in range(cells)]
    return replica_streams(np.array([_stream(game.replace(**row), purpose) for row in rows], np.uint64), replicas)


def _stream(game: Game, purpose: str) -> int:
    return stream_of(f"{game.stream_name()}|{purpose}")


def predict(
    game: Game, level: str | None = None, rule: str | None = None, step_size: float | None = None, **options: Any
) -> Prediction:
    """What theory says about a game without simulating it.

    Args:
        game: The game.
        level, rule, step_size: What the statement is about; None is the game's default, which its docstring states.
        options: Further options of the game's own, for example `momentum` of the rule heavy_ball.

    Raises:
        ParameterError: If the game has no such level, rule or option.
    """
    for name in options:
        if name not in game.prediction_options:
            raise unknown_name("option", name, ["level", "rule", "step_size", *game.prediction_options])
    return game.predict(level=level, rule=rule, step_size=step_size, **options)


def classify(run: xr.Dataset, **options: Any) -> Verdict:
    """The verdict on a run, by the rules of the game that made it.

    Fewer than 100 records, or a horizon too short for the game's slowest rate, give `undecided` with the reason.

    Args:
        run: A data set made by `simulate`.
        options: Thresholds that the game lets a caller set, for example `blowup` of the dual flows.

    Raises:
        ParameterError: If the data set does not carry its game, still has a `cell` dimension, or an option is unknown.
    """
    game = game_of(run)
    for name in options:
        if name not in game.verdict_options:
            raise unknown_name("option", name, game.verdict_options)
    return game.classify(run, **options)


def spectrum(game: Game, at: Any = None, rule: str | None = None, **options: Any) -> Spectrum:
    """Eigenvalues of the game's flow (`rule` None or "flow"), or multipliers of an update rule, at a point.

    Args:
        game: The game.
        at: The point, in the game's own state type; None is the equilibrium next to the game's own state.
        rule: None or "flow" for the flow, otherwise the name of an update rule.
        options: Options of the rule, for example `momentum`.

    Raises:
        NotApplicable: If the game has no linearisation of this kind.
    """
    return game.linear_spectrum(at=at, rule=None if rule == "flow" else rule, **options)


def fit(game_class: type[Game], data: Any, features: int | None = None, **options: Any) -> Game:
    """A game whose parameters come from data.

    Args:
        game_class: Class of the game, for example `SolvableGAN`.
        data: Array `[samples, dimension]`, or the path of a `.npy` or `.csv` file.
        features: How many principal components become features; None decides by the noise floor.
        options: Further options of the game's `fit`, and parameters of the game.

    Raises:
        NotApplicable: If the game cannot be fitted.
        ParameterError: If the data are not finite, have constant columns, or too few rows.
    """
    return game_class.fit(data, features, **options)
