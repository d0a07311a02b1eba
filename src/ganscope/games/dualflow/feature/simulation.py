"""Runs of a `FeatureGAN`: which engine makes them, and what is recorded."""

import math
import warnings
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ganscope.core.errors import NotApplicable, ParameterError
from ganscope.core.game import Request, Variable
from ganscope.core.parallel import cores, run_tasks
from ganscope.core.random import keys
from ganscope.dynamics.extrapolation import INTERRUPTED
from ganscope.games.dualflow.failures import (
    DomainTooSmall,
    NashNotConverged,
    NashWarning,
    ProxNotConverged,
    StepTooLarge,
)
from ganscope.games.dualflow.feature import engine, one_by_one
from ganscope.games.dualflow.feature.maps import HARMONIC, WAVES, FeatureMap
from ganscope.games.dualflow.feature.pair import TOO_LARGE, FeaturePair, mean_features
from ganscope.games.dualflow.feature.record import DIMENSIONS, Record, observed
from ganscope.games.dualflow.game import fail
from ganscope.games.dualflow.levels import (
    CODES,
    FLOW,
    IMPLICIT,
    NASH,
    NASH_ROUNDS,
    ORDERS,
    check_options,
    step_of,
    strides,
)

if TYPE_CHECKING:
    from ganscope.games.dualflow.feature.model import FeatureGAN

Array = npt.NDArray[np.float64]

# Numbers that one call of compiled code works through, some tenths of a second, and velocities of the flow in one.
_CALL, _EVALUATIONS = 3e8, 2000
# Coordinates beyond which a flow has left every bounded region.
_BOUND = 1e12


def trajectories(game: "FeatureGAN", request: Request) -> dict[str, Variable]:
    """Run a request and label the result."""
    options = check_options(request.options)
    _check(game, request, options)
    _warn(game, request)
    starts = np.repeat(_starts(game, request), request.replicas, axis=0)
    width = 0 if game.map is None else game.map.size
    record = Record(
        np.full((len(starts), len(request.schedule.times), *game.generated_points.shape), np.nan),
        np.full((len(starts), len(request.schedule.times), width), np.nan),
    )
    parts = [(one, lanes, _run(one, request, options, starts[lanes], lanes)) for one, lanes in _groups(game, request)]
    width = max(part.coefficients.shape[-1] for _, _, part in parts)
    record.coefficients = np.full((len(starts), len(request.schedule.times), width), np.nan)
    for _, lanes, part in parts:
        record.points[lanes] = part.points
        record.coefficients[lanes, :, : part.coefficients.shape[-1]] = part.coefficients
    variables: dict[str, Array] = {}
    for one, lanes, part in parts:
        with np.errstate(over="ignore", invalid="ignore"):  # of runs that blow up
            measured = observed(one, request, lanes, part)
        for name, values in measured.items():
            whole = variables.setdefault(name, np.full((len(starts), *values.shape[1:]), np.nan))
            whole[lanes] = values
    shape = (request.cells, request.replicas)
    labelled = {
        "generated_points": (("time", "point", "axis"), record.points),
        **{name: (DIMENSIONS.get(name, ("time",)), values) for name, values in variables.items()},
    }
    if game.map is not None:
        labelled["discriminator"] = (("time", "feature"), record.coefficients)
    return {name: (dims, values.reshape(*shape, *values.shape[1:])) for name, (dims, values) in labelled.items()}


def _warn(game: "FeatureGAN", request: Request) -> None:
    """Say so when the rounds of `nash` steps promise nothing."""
    if request.level != NASH or game.map is None or game.fast or request.over:
        return
    start = np.zeros(game.map.size)
    factor = _contraction(game, np.array(game.generated_points), start, request.step_size)
    if 1 <= factor < math.inf:
        text = f"contraction factor {factor:.3g} >= 1: the rounds of a nash step may not converge; reduce step_size"
        warnings.warn(text, NashWarning, stacklevel=5)


def _check(game: "FeatureGAN", request: Request, options: dict[str, Any]) -> None:
    """Refuse what a level cannot do with these features, before any work.

    Raises:
        NotApplicable: If the level is not made for them.
        ParameterError: If replicas are asked for and nothing is random.
    """
    level, entropy = request.level, bool(np.any(game.column(request, "entropy") > 0))
    batch = options.get("batch")
    noisy = entropy and level != FLOW and level not in IMPLICIT
    if request.replicas > 1 and batch is None and not noisy:
        raise ParameterError("replicas", request.replicas, "1: without batch and noise nothing is random")
    if batch is not None and (game.map is None or level == NASH):
        raise NotApplicable(f"batch is for schemes other than nash and features other than {game.name!r}")
    if entropy and game.axes > 1 and (level == FLOW or level in IMPLICIT):
        expected = (
            f"0 in {game.axes} dimensions at level {level!r}: only points on a line have entropy; explicit adds noise"
        )
        raise ParameterError("entropy", game.entropy, expected)
    if entropy and (level == FLOW or level in IMPLICIT):
        if game.fast and level in IMPLICIT:
            raise NotApplicable("entropy with fast = True has no proximal steps; use level flow or explicit")
        game.require_distinct()
    if game.clip is not None and level == FLOW:
        raise NotApplicable("the flow of a clipped discriminator is not smooth; use a scheme with a small step_size")
    if game.bandwidth_schedule is not None and game.fast and level in IMPLICIT:
        raise NotApplicable("bandwidth_schedule with fast = True has no proximal steps; use level explicit or flow")
    if game.name == "energy" and not game.fast and (level == FLOW or level in IMPLICIT):
        raise NotApplicable(
            f"features = 'energy' without fast has no level {level!r}: its force jumps; use sobolev1d or explicit"
        )
    on_a_line = game.axes == 1 and game.kernel is None
    confined = bool(np.any(game.column(request, "ridge") > 0))
    if game.name == "history" and not game.fast and level == FLOW and confined and not on_a_line:
        raise NotApplicable("the flow of a history has no ridge; use fourier or random features, or a scheme")


def _starts(game: "FeatureGAN", request: Request) -> Array:
    """First points of every cell; in order where forces depend on neighbours."""
    if "generated_points" in request.over:
        starts = np.array(request.over["generated_points"])
    else:
        starts = np.repeat(game.generated_points[None], request.cells, axis=0)
    entropy = np.any(game.column(request, "entropy") > 0)
    return np.sort(starts, axis=1) if entropy and game.axes == 1 else starts


def _groups(game: "FeatureGAN", request: Request) -> Iterator[tuple["FeatureGAN", npt.NDArray[np.int64]]]:
    """Lanes whose features are the same, with their game."""
    lanes = np.arange(request.cells * request.replicas).reshape(request.cells, request.replicas)
    if "bandwidth" not in request.over:
        yield game, lanes.ravel()
        return
    widths = request.over["bandwidth"]
    for bandwidth in np.unique(widths):
        yield game.replace(bandwidth=float(bandwidth)), lanes[widths == bandwidth].ravel()


def _run(
    game: "FeatureGAN", request: Request, options: dict[str, Any], starts: Array, lanes: npt.NDArray[np.int64]
) -> Record:
    rates = np.stack([game.column(request, name) for name in engine.RATES], axis=1)
    rates = np.ascontiguousarray(rates[lanes // request.replicas])
    if game.map is not None and not (game.fast and request.level in IMPLICIT):
        if request.level == FLOW:
            return _flow(game, request, options, starts, rates, lanes)
        return _schemes(game, request, options, starts, rates, lanes)
    points = np.full((len(starts), len(request.schedule.times), *starts.shape[1:]), np.nan)
    width = 0 if game.map is None else game.map.size
    for k, lane in enumerate(lanes):
        one = game.replace(**_own(game, request, int(lane) // request.replicas), generated_points=starts[k])
        try:
            states = (
                one_by_one.flow(one, request, options)
                if request.level == FLOW
                else one_by_one.scheme(one, request, options)
            )
            for n, state in states:
                points[k, n] = state
        except (StepTooLarge, ProxNotConverged, NashNotConverged) as error:
            fail(request, int(lane) // request.replicas, error)
    return Record(points, np.full((*points.shape[:2], width), np.nan))


def _own(game: "FeatureGAN", request: Request, cell: int) -> dict[str, Any]:
    """Numbers that differ between cells, of one cell."""
    return {name: float(values[cell]) for name, values in request.over.items() if name in game.numeric}


def _tuning(m: FeatureMap, game: "FeatureGAN") -> Array:
    """What `engine.tune` makes features of any bandwidth from."""
    if game.bandwidth_schedule is None:
        return np.empty((1, 0))
    if m.kind == WAVES:
        return np.ascontiguousarray(m.table * game.bandwidths[0])
    assert m.kind == HARMONIC
    return np.full((1, 1), math.pi / game.period)


def _first_coefficients(game: "FeatureGAN", starts: Array, rates: Array, target: Array) -> Array:
    m = game.map
    assert m is not None
    if isinstance(game.initial_discriminator, np.ndarray):
        return np.repeat(game.initial_discriminator[None], len(starts), axis=0)
    if game.initial_discriminator == "zero":
        return np.zeros((len(starts), m.size))
    gaps = np.stack([target - mean_features(m, points) for points in starts])
    return np.asarray(gaps / rates[:, engine.PENALTY, None])


def _failure(code: int, info: Array, game: "FeatureGAN", contraction: float) -> Exception | None:
    """The error for what became of a lane; None if that is no error."""
    if code == engine.TOO_LARGE:
        return StepTooLarge(TOO_LARGE)
    if code == engine.NO_PROX:
        return ProxNotConverged(int(info[0]), float(info[1]))
    if code == engine.NO_NASH:
        return NashNotConverged(NASH_ROUNDS, float(info[1]), contraction)
    if code == engine.OUTSIDE:
        return DomainTooSmall(
            f"points left the domain of the features, {game.domain[0]:.4g} to {game.domain[1]:.4g}; "
            f"take a half_period above {game.period:g}"
        )
    return None


def _schemes(
    game: "FeatureGAN", request: Request, options: dict[str, Any], starts: Array, rates: Array, lanes: Any
) -> Record:
    m = game.map
    assert m is not None
    target = mean_features(m, game.real)
    x, a = np.ascontiguousarray(starts), _first_coefficients(game, starts, rates, target)
    count = len(x)
    streams = np.zeros(count, np.uint64) if request.streams is None else request.streams.ravel()[lanes]
    philox = keys(request.seed, streams)
    bandwidths, paces = _schedule(game, request)
    solver = np.array([options.get("prox_tolerance", 0.0), options.get("prox_iterations", 0)], np.float64)
    status, info = np.zeros(count, np.int64), np.zeros((count, 2))
    records = list(strides(request))
    record = Record(
        np.full((count, len(records), *x.shape[1:]), np.nan), np.full((count, len(records), m.size), np.nan)
    )
    centre = np.broadcast_to(np.asarray(game.center, np.float64), (game.axes,)).copy()
    domain, real = np.array(game.domain), np.array(game.real)
    code, batch = CODES[request.level], options.get("batch") or 0
    work = x[0].size * max(1, m.size) * (20 if request.level in IMPLICIT else 2)

    def task(first: int, last: int) -> Callable[[Callable[[float], None]], None]:
        table, amplitudes = m.table.copy(), m.amplitudes.copy()
        most = max(1, int(_CALL / (work * (last - first))))

        def run(tick: Callable[[float], None]) -> None:
            done = 0
            for n, pieces in enumerate(records):
                for steps, step in pieces:
                    left = steps
                    while left:
                        now = min(left, most)
                        engine.advance(
                            first, last, done, now, step, code, options.get("order", ORDERS[0]) == ORDERS[0],
                            options.get("discriminator_steps", 1), game.fast, batch,
                            np.inf if game.clip is None else game.clip, solver, x, a, rates, philox, m.kind,
                            _tuning(m, game), table, amplitudes, m.geometry, bandwidths, paces, target, real, centre,
                            domain, status, info,
                        )  # fmt: skip
                        done, left = done + now, left - now
                        tick(float(now * (last - first)))
                alive = np.arange(first, last)[status[first:last] == engine.FINE]
                record.points[alive, n], record.coefficients[alive, n] = x[alive], a[alive]

        return run

    _share(task, count, request.level, float(count * max(1, int(request.schedule.iterations[-1]))))  # type: ignore[index]
    for lane in np.flatnonzero(status):
        factor = math.inf
        if status[lane] == engine.NO_NASH:
            factor = _contraction(game, x[lane], a[lane], request.step_size)
        error = _failure(int(status[lane]), info[lane], game, factor)
        if error is not None:
            fail(request, int(lanes[lane]) // request.replicas, error)
    return record


def _contraction(game: "FeatureGAN", x: Array, a: Array, step_size: float | None) -> float:
    return FeaturePair(game).contraction(x, a, step_of(step_size)) if not game.fast else math.inf


def _share(task: Any, count: int, label: str, total: float) -> None:
    edges = np.unique(np.linspace(0, count, min(count, cores()) + 1).astype(int))
    run_tasks([task(int(low), int(high)) for low, high in pairwise(edges)], label, total)


def _schedule(game: "FeatureGAN", request: Request) -> tuple[Array, Array]:
    """Bandwidth of every step and the factor of the generator's speed; empty without a schedule."""
    if game.bandwidth_schedule is None:
        return np.empty(0), np.empty(0)
    first, last = game.bandwidth_schedule
    steps = max(2, math.ceil(request.schedule.end / step_of(request.step_size) - 1e-9))
    widths = first * (last / first) ** (np.arange(steps) / (steps - 1))
    return widths, np.maximum(1.0, widths) ** 2


def _flow(
    game: "FeatureGAN", request: Request, options: dict[str, Any], starts: Array, rates: Array, lanes: Any
) -> Record:
    m = game.map
    assert m is not None
    target, times = mean_features(m, game.real), request.schedule.times
    coefficients = _first_coefficients(game, starts, rates, target)
    count, size = len(starts), starts[0].size
    record = Record(
        np.full((count, len(times), *starts.shape[1:]), np.nan), np.full((count, len(times), m.size), np.nan)
    )
    schedule = np.array([*game.bandwidth_schedule, request.schedule.end]) if game.bandwidth_schedule else np.empty(0)
    centre = np.broadcast_to(np.asarray(game.center, np.float64), (game.axes,)).copy()
    domain, status = np.array(game.domain), np.zeros(count, np.int64)

    def task(first: int, last: int) -> Callable[[Callable[[float], None]], None]:
        context = (
            m.kind, game.fast, _tuning(m, game), m.table.copy(), m.amplitudes.copy(), m.geometry, schedule, target,
            np.array(game.real), centre, game.axes,
        )  # fmt: skip

        def run(tick: Callable[[float], None]) -> None:
            for lane in range(first, last):
                y = starts[lane].ravel() if game.fast else np.concatenate([starts[lane].ravel(), coefficients[lane]])
                y, now, h = y.copy(), 0.0, 0.0
                for n, end in enumerate(times):
                    code = INTERRUPTED if now < end else 0
                    begun = now
                    while code == INTERRUPTED:
                        code, now, h = engine.flow(
                            y, now, h, end, rates[lane], context, options["tolerance"], _BOUND, _EVALUATIONS
                        )
                        tick(now - begun)
                        begun = now
                    points = y[:size].reshape(starts.shape[1:])
                    status[lane] = engine.where(points, domain) if code == 0 else engine.NONFINITE
                    if status[lane] != engine.FINE:
                        break
                    record.points[lane, n] = points
                    if not game.fast:
                        record.coefficients[lane, n] = y[size:]

        return run

    _share(task, count, FLOW, float(count * times[-1]))
    for lane in np.flatnonzero(status == engine.OUTSIDE):
        error = _failure(engine.OUTSIDE, np.zeros(2), game, math.inf)
        assert error is not None
        fail(request, int(lanes[lane]) // request.replicas, error)
    return record
