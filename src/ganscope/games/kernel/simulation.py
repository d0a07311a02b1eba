"""Levels of the kernel GAN: how a run is made, in which representation, and what is recorded."""

import math
import warnings
from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ganscope.core.checks import number, one_of
from ganscope.core.compiled import writeable
from ganscope.core.errors import ParameterError
from ganscope.core.game import Level, Request, Variable
from ganscope.core.parallel import cores, run_tasks
from ganscope.dynamics.rules import CODES, EVALUATIONS, FLOW, RULES, check_momentum
from ganscope.games.kernel import fourier_grid, random_features
from ganscope.games.kernel.cells import Cells, Course, Record
from ganscope.games.kernel.good_minimum import disc_multipliers
from ganscope.games.kernel.history import History, window
from ganscope.games.kernel.kernels import RBF, Kernel, RBFSum, with_bandwidth
from ganscope.games.kernel.linear_level import run_linear
from ganscope.games.kernel.neighbourhoods import observe
from ganscope.games.kernel.sums import mmd_squared
from ganscope.games.kernel.waves import TURN, Engine, Waves, double_engine, grid_engine, single_engine

if TYPE_CHECKING:
    from ganscope.games.kernel.model import KernelGAN

Array = npt.NDArray[np.float64]

PRECISIONS = ("double", "single")
# Bound on what the dropped part of a history changes in the discriminator, while none is asked for.
_TOLERANCE = 1e-10
# Bandwidths over which points may spread for a larger box to be advised.
_NEAR = 1e3
# Room around the points, in bandwidths, in the boxes that `auto` tries one after another.
_ROOM = (2.0, 10.0, 40.0)
# From so many generated points on, `auto` suggests random features where it takes the history.
_MANY_POINTS = 300
# Random features work in float32 when there are more waves than this to compute per iteration.
_MANY_WAVES = 2**17
# Numbers that a batch of cells may take in memory, and waves that one call of compiled code computes.
_BATCH, _CALL = 2**25, 2**25
# Error of the flow while no tolerance is asked for; larger with a history, which makes every step dear.
_FLOW_ERROR, _LONG_FLOW_ERROR = 1e-9, 5e-8
# Modes of the largest Fourier grid.
_LARGEST_GRID = 5e6


def _per_unit(game: "KernelGAN", dimension: int | None, step_size: float | None) -> float:
    del dimension, step_size
    return 1.0 / game.discriminator_lr


LEVELS = {
    "gda": Level(
        (*RULES, FLOW),
        steps_per_unit=_per_unit,
        time_unit="discriminator_lr",
        default_iterations=1000,
        default_horizon=200.0,
        options={"momentum": 0.0, "tolerance": None, "box": None, "precision": None},
    ),
    "linear": Level(
        (*RULES, FLOW),
        steps_per_unit=_per_unit,
        time_unit="discriminator_lr",
        default_iterations=1000,
        default_horizon=200.0,
        options={"momentum": 0.0},
    ),
}


def check_representation(game: "KernelGAN") -> None:
    """Refuse a representation that cannot hold this game's discriminator.

    Raises:
        ParameterError: If the Fourier grid is asked for in more than three dimensions or for another kernel.
    """
    if game.representation != "fourier_grid":
        return
    if game.axes > fourier_grid.MOST_AXES:
        raise ParameterError(
            "representation", "fourier_grid", f"another one: fourier_grid needs d <= 3, not {game.axes}"
        )
    if not isinstance(game.kernel, RBF | RBFSum):
        raise ParameterError("representation", "fourier_grid", "another one: fourier_grid supports RBF and RBFSum")


def trajectories(game: "KernelGAN", request: Request) -> dict[str, Variable]:
    """Run a request and label the result."""
    options = dict(request.options)
    rule = request.rule or RULES[0]
    momentum = check_momentum(rule, options["momentum"])
    cells = _cells(game, request)
    if request.level == "linear":
        return _labelled(game, request, cells, run_linear(game, request, cells, rule, momentum))
    tolerance = None if options["tolerance"] is None else number("tolerance", options["tolerance"], above=0)
    box = None if options["box"] is None else number("box", options["box"], above=0)
    precision = None if options["precision"] is None else one_of("precision", options["precision"], PRECISIONS)
    if not game.kernel.differentiable:
        warnings.warn(
            f"kernel {type(game.kernel).__name__} has no gradient where points meet; 0 is used there", stacklevel=4
        )
    if len(cells) == 1 and rule != FLOW and np.max(np.abs(disc_multipliers(game.forgetting, rule, momentum))) > 1:
        warnings.warn(
            f"discriminator_lr times regularization is {game.forgetting:.3g}: the discriminator overshoots itself and "
            f"blows up under {rule} updates",
            stacklevel=4,
        )
    course = _course(game, request, cells, rule, momentum, _flow_step(tolerance, _FLOW_ERROR))
    record = Record.empty(len(cells), course.counts.shape[1], game.generated_points.shape)
    if game.representation == "random_features":
        request.notes["representation"] = "random_features"
        _with_features(game, cells, course, precision, request.seed, record)
        return _labelled(game, request, cells, record)
    waiting = np.arange(len(cells))
    if game.representation == "fourier_grid":
        waiting = _with_grid(game, cells, course, tolerance, box, record, waiting, None)
        request.notes["representation"] = "fourier_grid"
        return _labelled(game, request, cells, record)
    used = []
    if game.representation == "auto" and game.axes <= 2 and fourier_grid.supports(game.kernel, game.axes):
        for room in _ROOM if box is None else (None,):
            left = _with_grid(game, cells, course, tolerance, box, record, waiting, room)
            used += ["fourier_grid"] * (len(left) < len(waiting))
            waiting = left
            if len(waiting) == 0:
                break
    course = _course(game, request, cells, rule, momentum, _flow_step(tolerance, _LONG_FLOW_ERROR))
    for cell in waiting:
        record.put(cell, _with_history(game, cells[cell], course[cell], tolerance, precision))
    if len(waiting) and len(game.generated_points) > _MANY_POINTS:
        request.notes["suggestion"] = "representation='random_features' is faster, to percent accuracy"
    used += ["history"] * (len(waiting) > 0)
    request.notes["representation"] = " and ".join(dict.fromkeys(used))
    return _labelled(game, request, cells, record)


def _cells(game: "KernelGAN", request: Request) -> Cells:
    def values(name: str, own: Any) -> Array:
        return np.asarray(request.over.get(name, np.broadcast_to(own, (request.cells, *np.shape(own)))), np.float64)

    return Cells(
        values("bandwidth", game.bandwidth),
        values("regularization", game.regularization),
        values("generator_lr", game.generator_lr),
        values("discriminator_lr", game.discriminator_lr),
        values("generated_points", game.generated_points),
    )


def _flow_step(tolerance: float | None, error: float) -> float:
    """Largest product of the flow's fastest rate and a Runge-Kutta step, for an error per unit of that rate."""
    return min(0.5, float((120 * (error if tolerance is None else tolerance)) ** 0.25))


def _course(game: "KernelGAN", request: Request, cells: Cells, rule: str, momentum: float, flow_step: float) -> Course:
    count = len(cells)
    if rule != FLOW:
        assert request.schedule.iterations is not None
        counts = np.broadcast_to(request.schedule.iterations, (count, len(request.schedule.iterations)))
        return Course(counts, np.ones(counts.shape), rule, momentum)
    # The flow goes by equal Runge-Kutta steps from record to record.
    intervals = np.diff(request.schedule.times, prepend=0.0)
    fastest = _fastest_rate(game, cells)
    steps = np.ceil(fastest[:, None] * intervals / flow_step).astype(np.int64)
    pace = intervals / np.maximum(steps, 1) / cells.discriminator_lr[:, None]
    return Course(np.cumsum(steps, axis=1), pace, rule, momentum)


def _fastest_rate(game: "KernelGAN", cells: Cells) -> Array:
    """Bound on the rates of the flow, per unit of time: forgetting, rotation, and pinning to the discriminator."""
    speed = cells.generator_lr / cells.discriminator_lr * np.max(game.shares)
    mass = game.real_mass.sum() + game.generated_mass.sum()
    pull = speed * _curvature(game.kernel, cells.bandwidth) * mass
    with np.errstate(divide="ignore"):
        pinning = np.minimum(pull / cells.regularization, 10 * np.sqrt(pull))
    rate: Array = cells.regularization + np.sqrt(pull) + pinning
    return rate


def _curvature(kernel: Kernel, bandwidths: Array) -> Array:
    """Curvature of the kernel at other bandwidths; for a kernel without one, that of a Gaussian."""
    if not math.isfinite(kernel.curvature):
        return 1.0 / bandwidths**2
    result: Array = kernel.curvature * (kernel.bandwidth / bandwidths) ** 2
    return result


def _with_features(
    game: "KernelGAN", cells: Cells, course: Course, precision: str | None, seed: int, record: Record
) -> None:
    count = len(game.generated_points)
    many = count * game.features // 2 > _MANY_WAVES
    engine = single_engine if precision == "single" or (precision is None and many) else double_engine
    widths, which = np.unique(cells.bandwidth, return_inverse=True)
    noise = random_features.draw(game.kernel, game.axes, game.features, seed)
    frequencies = np.stack([with_bandwidth(game.kernel, width).frequencies(*noise) for width in widths]) / TURN
    size = game.features // 2 * (game.axes + 9)
    for part in _batches(len(cells), np.full(len(cells), size)):
        waves = random_features.waves(frequencies[which[part]], engine.real)
        found, _ = _run_waves(game, cells[part], course[part], engine, waves)
        record.put(part, found)


def _with_grid(
    game: "KernelGAN",
    cells: Cells,
    course: Course,
    tolerance: float | None,
    box: float | None,
    record: Record,
    waiting: npt.NDArray[np.int64],
    room: float | None,
) -> npt.NDArray[np.int64]:
    """Run the waiting cells on Fourier grids; returns those that need something else.

    Args:
        room: How far, in bandwidths, the points may spread beyond their initial spread; None: the box is given, or the
            grid was asked for, and points that leave it are reported.
    """
    auto = game.representation == "auto"
    values, which_value = np.unique(cells.bandwidth[waiting], return_inverse=True)
    bandwidths = np.stack([fourier_grid.parts(with_bandwidth(game.kernel, v))[0] for v in values])[which_value]
    weights = fourier_grid.parts(game.kernel)[1]
    real_low, real_high = game.real_points.min(axis=0), game.real_points.max(axis=0)
    start = cells.start[waiting]
    low, high = np.minimum(start.min(axis=1), real_low), np.maximum(start.max(axis=1), real_high)
    spread = high - low + (_ROOM[0] if room is None else room) * bandwidths.max(axis=1)[:, None]
    if box is not None:
        spread = np.full_like(spread, box)
    cut = fourier_grid.cut_of(tolerance)
    period, counts = fourier_grid.sizes(bandwidths, spread, cut)
    modes = fourier_grid.modes_of(counts)
    if not auto and np.max(modes) > _LARGEST_GRID:
        expected = f"a grid of at most {_LARGEST_GRID:.0e} modes: a smaller box, a wider kernel, or 'history'"
        raise ParameterError("representation", f"fourier_grid of {np.max(modes):.2g} modes", expected)
    fits = 2 * modes <= fourier_grid.MOST_FEATURES if auto else np.ones(len(waiting), np.bool_)
    chosen, left = np.flatnonzero(fits), [waiting[~fits]]
    for piece in _batches(len(chosen), (modes[chosen] * (game.axes + 9)).astype(np.int64)):
        part = chosen[piece]
        which = waiting[part]
        waves = fourier_grid.grid(bandwidths[part], weights, period[part], counts[part].astype(np.int64))
        found, extents = _run_waves(game, cells[which], course[which], grid_engine, waves)
        visited = np.maximum(extents[:, 1], real_high) - np.minimum(extents[:, 0], real_low)
        outside = ~np.all(visited <= spread[part] * (1 + 1e-12), axis=1)
        if auto and room is not None:
            left.append(which[outside])
            record.put(which[~outside], Record(found.points[~outside], found.mmd2[~outside], found.gap[~outside]))
            continue
        record.put(which, found)
        if np.any(outside):
            cell, axis = np.unravel_index(np.argmax(visited - spread[part]), visited.shape)
            size = np.max(visited[outside])
            near = size < _NEAR * float(np.max(bandwidths))
            enough = f"box={1.05 * size:.3g}" if near else "representation='history'"
            warnings.warn(
                f"generated points left the box of the Fourier grid: they spread over {visited[cell, axis]:.3g} along "
                f"axis {axis}, where {spread[part][cell, axis]:.3g} fit; repeat with {enough}",
                stacklevel=5,
            )
    return np.concatenate(left)


def _batches(count: int, sizes: npt.NDArray[np.int64]) -> Iterator[npt.NDArray[np.int64]]:
    """Consecutive cells that fit into memory together."""
    if count == 0:
        return
    group = np.cumsum(sizes) // _BATCH
    for value in np.unique(group):
        yield np.flatnonzero(group == value)


def _run_waves(game: "KernelGAN", cells: Cells, course: Course, engine: Engine, waves: Waves) -> tuple[Record, Array]:
    """One batch of cells in coefficients of waves; also the extents `[cells, 2, axes]` of all visited points."""
    count, records = len(cells), course.counts.shape[1]
    shape = game.generated_points.shape
    size = shape[0] * shape[1]
    modes = int(waves.at[-1])
    target, generated = np.empty(2 * modes), np.empty(2 * modes)
    mass, speeds = writeable(game.generated_mass), game.shares
    engine.means(0, count, writeable(game.real_points)[None], writeable(game.real_mass), waves, target)
    start = np.array(cells.start)
    g = start.reshape(count, size).copy()
    d = np.zeros(2 * modes)
    if game.initial_discriminator == "equilibrium":
        engine.means(0, count, start, mass, waves, generated)
        weights = np.concatenate([np.tile(w, 2) for w in np.split(waves.weights, waves.at[1:-1])])
        d = weights * (target - generated) / np.repeat(cells.regularization, 2 * np.diff(waves.at))
    remembered = 2 if course.rule == FLOW else int(course.rule in ("extragradient", "optimistic", "heavy_ball"))
    mg, md = np.zeros((remembered, count, size)), np.zeros((remembered, 2 * modes))
    rates = np.stack([cells.discriminator_lr, cells.discriminator_lr * cells.regularization], axis=1)
    moves = cells.generator_lr[:, None] * speeds
    extents = np.stack([cells.start.min(axis=1), cells.start.max(axis=1)], axis=1)
    momenta = np.full(count, course.momentum)
    found = Record.empty(count, records, shape)
    work = np.diff(waves.at) * shape[0] * EVALUATIONS[course.rule]
    edges = np.unique(np.searchsorted(np.cumsum(work), np.linspace(0, work.sum(), cores() + 1)[1:-1]))
    edges = np.unique([0, *edges, count])

    def task(first: int, last: int) -> Any:
        def run(tick: Any) -> None:
            done = np.zeros(count, np.int64)
            most = max(1, _CALL // max(1, int(work[first:last].sum())))
            begins = True
            for k in range(records):
                pace = course.pace[:, k, None]
                while True:
                    steps = np.minimum(course.counts[:, k] - done, most)
                    if not np.any(steps[first:last] > 0):
                        break
                    engine.advance(
                        first, last, CODES[course.rule], momenta, begins, steps, g, d, mg, md, extents, waves, mass,
                        pace * moves, target, pace * rates,
                    )  # fmt: skip
                    done += steps
                    begins = False
                    tick(float(steps[first:last].sum()))
                found.points[first:last, k] = g[first:last].reshape(-1, *shape)
                engine.observe(
                    first, last, g, d, waves, mass, target, cells.regularization, found.mmd2[:, k], found.gap[:, k]
                )

        return run

    pairs = list(pairwise(edges))
    run_tasks([task(int(a), int(b)) for a, b in pairs], course.rule, float(course.counts[:, -1].sum()))
    return found, extents


def _with_history(
    game: "KernelGAN", cell: Cells, course: Course, tolerance: float | None, precision: str | None
) -> Record:
    """One cell with its whole, or truncated, history."""
    kernel = with_bandwidth(game.kernel, float(cell.bandwidth))
    total, mass = int(course.counts[-1]), game.generated_mass
    rates = np.array([cell.discriminator_lr, cell.discriminator_lr * cell.regularization])
    lr, forgetting = rates * np.min(course.pace[course.pace > 0], initial=1.0)
    kept = window(course.rule, course.momentum, forgetting, lr, float(mass.sum()), tolerance or _TOLERANCE, total)
    history = History(
        kernel,
        (game.real_points, game.real_mass),
        (cell.start, mass),
        float(cell.regularization) if game.initial_discriminator == "equilibrium" else None,
        course.rule,
        course.momentum,
        (max(1, min(kept, total)) + 1) * EVALUATIONS[course.rule],
        np.float32 if precision == "single" else np.float64,
    )
    moves = game.shares * float(cell.generator_lr)
    found = Record.empty(1, len(course.counts), game.generated_points.shape)
    x_part = mmd_squared(kernel, game.real_points, game.real_mass, game.real_points[:1], np.zeros(1))

    def run(tick: Any) -> None:
        done = 0
        for k, steps in enumerate(course.counts):
            history.rates, history.speeds = rates * course.pace[k], moves * course.pace[k]
            while done < steps:
                history.advance()
                done += 1
                tick(1.0)
            points = history.points.copy()
            found.points[0, k] = points
            if np.all(np.isfinite(points)):
                found.mmd2[0, k] = mmd_squared(kernel, game.real_points, game.real_mass, points, mass, x_part)

    run_tasks([run], course.rule, float(total))
    return Record(found.points[0], found.mmd2[0], found.gap[0])


def _labelled(game: "KernelGAN", request: Request, cells: Cells, record: Record) -> dict[str, Variable]:
    """The variables of a run, with an axis for replicas."""
    distance, mass, covered = observe(record.points, game.real_points, game.generated_mass, cells.bandwidth[:, None])
    variables: dict[str, Variable] = {
        "generated_points": (("time", "point", "axis"), record.points),
        "mmd2": (("time",), record.mmd2),
        "distance": (("time", "point"), distance),
        "mass": (("time", "real_point"), mass),
        "covered": (("time",), covered),
    }
    # Not known with a history, and without regularization.
    gap = np.where(cells.regularization[:, None] > 0, record.gap, np.nan)
    variables["discriminator_gap"] = (("time",), np.sqrt(gap))
    return {name: (dims, values[:, None]) for name, (dims, values) in variables.items()}
