"""Boundaries between outcomes in a plane of two parameters, without filling the plane."""

import math
from collections import Counter
from typing import Any

import numpy as np
import xarray as xr

from ganscope.core.checks import integer, number, one_of
from ganscope.core.errors import ParameterError
from ganscope.core.game import Game
from ganscope.core.outcome import Outcome
from ganscope.core.plain import to_json_text
from ganscope.core.progress import report, unheard
from ganscope.core.results import game_text
from ganscope.core.version import package_version
from ganscope.sweep.boundary.branches import check_game, check_range
from ganscope.sweep.boundary.crossings import Segment, curves
from ganscope.sweep.boundary.level_curves import critical_curves
from ganscope.sweep.boundary.probe import Direction, Measure, Probe
from ganscope.sweep.boundary.refinement import Refined, absorb_isolated, refine
from ganscope.sweep.boundary.shares import chance_curves

METHODS = ("refine", "continue")
_COARSE, _FINEST = 32, 30
# A boundary that fills the plane is given up at this share of all lattice points, or this many.
_MOST_SHARE, _MOST = 0.1, 20_000


def boundary(
    game: Game,
    over: tuple[str, str],
    ranges: tuple[tuple[float, float], tuple[float, float]],
    between: tuple[str, str] | None = None,
    measure: str | Measure = "predict",
    resolution: float = 1 / 1024,
    level: str | None = None,
    rule: str | None = None,
    step_size: float | None = None,
    *,
    horizon: float | None = None,
    iterations: int | None = None,
    dimension: int | None = None,
    save_at: Any = None,
    replicas: int = 1,
    seed: int = 0,
    coarse: int = _COARSE,
    log: tuple[bool, bool] = (False, False),
    method: str = "refine",
    start: Any = None,
    most_evaluations: int | None = None,
    **options: Any,
) -> xr.Dataset:
    r"""The curves on which the outcome changes in a plane of two parameters.

    `refine` starts from a coarse lattice and divides only cells whose corners differ, down to the resolution, following
    the boundary also into cells that looked uniform; a whole level of refinement is asked for at once. With replicas
    every replica is a vote, and the curve is where half of them have the second outcome: a logistic share is fitted
    along every lattice line that crosses it, and refinement stops where the lattice is finer than the share's width.

    `continue` is for smooth games and theory: it follows the curve on which the leading growth rate of an equilibrium
    vanishes, exact to about 1e-8 of the ranges, with far fewer evaluations. Without `between` it keeps every such
    curve, also where the predicted outcome is the same on both sides.

    Args:
        game: The game whose parameters are varied.
        over: Two different names: parameters that are single numbers, or numeric arguments of the measure such as
            `step_size` or `horizon`. Values of integer parameters are rounded.
        ranges: (low, high) of both.
        between: The two outcomes on the sides of the boundary; None for all boundaries (with replicas: between the two
            most frequent outcomes).
        measure: `predict`, `simulate`, or a function that turns a game into an outcome (any text; with replicas a list
            of texts).
        resolution: Width of the finest cells as a share of the ranges; taken as the next smaller power of 1/2.
        level: Of the prediction (default: its own) or of the simulation (default: the game's first).
        rule, step_size, horizon, iterations, dimension, save_at, seed, options: As in `predict` or `simulate`.
        replicas: Independent runs per point; 1 for theory and for deterministic levels.
        coarse: Cells of the first lattice along every axis; taken as the next larger power of 2. Regions thinner than
            its cells may be missed.
        log: Which axes are logarithmic.
        method: `refine` or `continue`.
        start: For `continue`: the equilibrium, as in `continuation`; followed from there where it is a state.
        most_evaluations: Stop refining before more points than this; None for a tenth of the full lattice, at least
            20 000. The attribute `message` says when it was reached.

    Returns:
        Over `point`, ordered along the curves: coordinates x and y under the parameters' names, `error_x` and `error_y`
        (half of the interval that brackets the boundary along x or y; with replicas one standard error with half the
        lattice spacing in quadrature: covers the truth at least about two times in three), `segment` (number of the
        connected piece), `outcome_a` and `outcome_b` on its two sides. A point lies on a line of the lattice: it is
        exact along one axis, and the error along that axis is 0. With `continue`, also `bifurcation` and `frequency`.
        Over `sample`, everything that was evaluated: `sample_NAME` of both parameters and `sample_outcome`, with
        replicas also `sample_share`, the share of the second outcome. Attributes: `evaluations`, `lattice` (points of
        the full lattice), `isolated` (single points of the finest lattice with an outcome of their own, such as
        marginal cases exactly on a boundary: they do not count for the curves), `closed_segments`, `failures` (the
        first messages of points that could not be decided), `message` (empty, or why the curve is empty or not
        complete), and the arguments.

    Raises:
        ParameterError: If something is unknown or out of range at any corner of the plane, before any work starts.
        NotApplicable: With `continue`, for a game whose equilibria cannot be followed.

    References:
        Allgower, Georg. Introduction to Numerical Continuation Methods. SIAM 2003.
    """
    check_game(game)
    method = one_of("method", method, METHODS)
    axes = _axes(game, over, ranges, log)
    between = _check_between(between, measure)
    size = _finest(resolution)
    coarse = min(_next_power(integer("coarse", coarse, at_least=1)), size)
    settings = {"horizon": horizon, "iterations": iterations, "dimension": dimension, "save_at": save_at, **options}
    settings = {name: value for name, value in settings.items() if value is not None}
    if most_evaluations is None:
        most_evaluations = max(_MOST, int(_MOST_SHARE * (size + 1) ** 2))
    most_evaluations = integer("most_evaluations", most_evaluations, at_least=1)
    if start is not None and method != "continue":
        raise ParameterError("start", start, "nothing: only method 'continue' follows an equilibrium")
    if method == "continue" and measure != "predict":
        raise ParameterError("measure", measure, "'predict': method 'continue' follows theory")
    if method == "continue" and options:
        raise ParameterError(next(iter(options)), next(iter(options.values())), "nothing with method 'continue'")
    if measure == "simulate" and level is None:
        level = next(iter(game.levels))
    probe = Probe(game, axes, measure, level, rule, step_size, settings, replicas, seed)
    attrs = {
        "over": list(over),
        "ranges": [list(map(float, ends)) for ends in ranges],
        "log": [int(axis.log) for axis in axes],
        "measure": measure if isinstance(measure, str) else getattr(measure, "__qualname__", type(measure).__name__),
        **{name: v for name, v in (("level", level), ("rule", rule), ("step_size", step_size)) if v is not None},
        "settings": to_json_text({name: np.asarray(value).tolist() for name, value in settings.items()}),
        "replicas": probe.replicas,
        "seed": str(probe.seed),
        "method": method,
        "coarse": coarse,
        "resolution": 1 / size,
        "version": package_version(),
        "game": game_text(game),
    }
    if method == "continue":
        return critical_curves(probe, between, coarse, start, attrs)
    return _refined(probe, between, size, coarse, most_evaluations, attrs)


def _refined(
    probe: Probe, between: tuple[str, str] | None, size: int, coarse: int, most: int, attrs: dict[str, Any]
) -> xr.Dataset:
    def evaluate(points: Any) -> Any:
        with unheard():
            return probe([(i / size, j / size) for i, j in points])

    def told(count: int, side: int) -> None:
        report("boundary", math.log2(size / side), max(math.log2(size), 1.0), f"{count} evaluations")

    if between is None and probe.replicas > 1:
        between = _most_frequent(evaluate, size, coarse)
    plane = refine(evaluate, size, coarse, between, most, told)
    outcomes = np.array(list(plane.labels.values()), object)
    isolated = absorb_isolated(plane)
    segments = chance_curves(plane) if probe.replicas > 1 and between is not None else curves(plane)
    message = "" if segments else _nothing(plane, between)
    if not plane.complete:
        message = f"refinement stopped at {len(plane.labels)} points: the boundary is known less well than asked for"
    data = _curve(probe.axes, segments, size)
    places = np.array(list(plane.labels), np.float64) / size
    for k, axis in enumerate(probe.axes):
        data[f"sample_{axis.name}"] = ("sample", np.asarray(axis.value(places[:, k])))
    data["sample_outcome"] = ("sample", outcomes)
    if probe.replicas > 1 and between is not None:
        shares = [votes.count(between[1]) / len(votes) for votes in plane.votes.values()]
        data["sample_share"] = ("sample", np.array(shares))
    attrs |= {
        "between": list(between) if between is not None else [],
        "evaluations": probe.evaluations,
        "lattice": (size + 1) ** 2,
        "isolated": isolated,
        "closed_segments": [k for k, segment in enumerate(segments) if segment.closed],
        "failures": probe.failures[:20],
        "message": message,
    }
    coords = {axis.name: data.pop(axis.name) for axis in probe.axes}
    return xr.Dataset(data, coords, attrs)


def _most_frequent(evaluate: Any, size: int, coarse: int) -> tuple[str, str] | None:
    """The two outcomes that a coarse lattice shows most often, in the order of their names."""
    step = size // coarse
    votes = evaluate([(i, j) for i in range(0, size + 1, step) for j in range(0, size + 1, step)])
    common = [name for name, _ in Counter(vote for some in votes for vote in some).most_common(2)]
    return (min(common), max(common)) if len(common) == 2 else None


def _nothing(plane: Refined, between: tuple[str, str] | None) -> str:
    seen = ", ".join(f"{name} {count}x" for name, count in Counter(plane.labels.values()).most_common())
    asked = f" between {between[0]} and {between[1]}" if between is not None else ""
    return f"no boundary{asked} found (regions thinner than a cell of the coarse lattice are missed); outcomes: {seen}"


def _curve(axes: tuple[Direction, Direction], segments: list[Segment], size: int) -> dict[str, Any]:
    """The curve's variables over `point`."""
    crossings = [crossing for segment in segments for crossing in segment.crossings]
    columns: dict[str, list[Any]] = {name: [] for name in ("x", "y", "error_x", "error_y", "outcome_a", "outcome_b")}
    for crossing in crossings:
        own, other = ("x", "y") if crossing.axis == 0 else ("y", "x")
        low, high = (float(axes[crossing.axis].value(end / size)) for end in (crossing.low, crossing.high))
        columns[own].append((low + high) / 2)
        columns[f"error_{own}"].append((high - low) / 2)
        columns[other].append(float(axes[1 - crossing.axis].value(crossing.line / size)))
        columns[f"error_{other}"].append(0.0)
        columns["outcome_a"].append(crossing.outcomes[0])
        columns["outcome_b"].append(crossing.outcomes[1])
    numbers = np.repeat(np.arange(len(segments)), [len(segment.crossings) for segment in segments])
    data: dict[str, Any] = {name: ("point", np.array(columns[name], np.float64)) for name in ("error_x", "error_y")}
    data |= {name: ("point", np.array(columns[name], object)) for name in ("outcome_a", "outcome_b")}
    data["segment"] = ("point", numbers.astype(np.int64))
    for name, axis in zip(("x", "y"), axes, strict=True):
        data[axis.name] = ("point", np.array(columns[name], np.float64))
    return data


def _axes(game: Game, over: Any, ranges: Any, log: Any) -> tuple[Direction, Direction]:
    if isinstance(over, str) or not isinstance(over, tuple | list) or len(over) != 2:
        raise ParameterError("over", over, "two names, of x and of y")
    if over[0] == over[1]:
        raise ParameterError("over", over, "two different names")
    if not isinstance(ranges, tuple | list | np.ndarray) or len(ranges) != 2:
        raise ParameterError("ranges", ranges, "((low, high), (low, high)) of x and of y")
    if isinstance(log, bool):
        log = (log, log)
    if not isinstance(log, tuple | list) or len(log) != 2 or not all(isinstance(flag, bool | np.bool_) for flag in log):
        raise ParameterError("log", log, "two truth values, of x and of y")
    axes = []
    for name, ends, logarithmic in zip(over, ranges, log, strict=True):
        if not isinstance(name, str):
            raise ParameterError("over", over, "two names, of x and of y")
        low, high = check_range("ranges", ends)
        if logarithmic and low <= 0:
            raise ParameterError("ranges", ends, f"positive numbers for {name}, whose axis is logarithmic")
        own = getattr(game, name, None) if name in game.parameter_names() else None
        if isinstance(own, np.ndarray | list | tuple) and np.size(own) != 1:
            raise ParameterError("over", name, "a parameter that is one number")
        if isinstance(own, str | bool):
            raise ParameterError("over", name, "a parameter that is a number")
        whole = name in ("iterations", "dimension") or (isinstance(own, int | np.integer))
        if whole and (low != round(low) or high != round(high)):
            raise ParameterError("ranges", ends, f"whole numbers for {name}")
        axes.append(Direction(name, low, high, bool(logarithmic), whole))
    return axes[0], axes[1]


def _check_between(between: Any, measure: Any) -> tuple[str, str] | None:
    if between is None:
        return None
    if isinstance(between, str) or not isinstance(between, tuple | list) or len(between) != 2:
        raise ParameterError("between", between, "two outcomes, or None")
    first, second = between
    for outcome in (first, second):
        if not isinstance(outcome, str):
            raise ParameterError("between", between, "two outcomes as texts")
        if not callable(measure):
            one_of("between", str(outcome), [str(known) for known in Outcome])
    if str(first) == str(second):
        raise ParameterError("between", between, "two different outcomes")
    return str(first), str(second)


def _finest(resolution: Any) -> int:
    """Cells of the finest lattice along an axis: the next power of two."""
    share = number("resolution", resolution, above=0)
    if share > 1 or share < 2.0**-_FINEST:
        raise ParameterError("resolution", resolution, f"a share of the ranges, from 2^-{_FINEST} to 1")
    return _next_power(math.ceil(1 / share - 1e-9))


def _next_power(count: int) -> int:
    return 1 << max(count - 1, 0).bit_length()
