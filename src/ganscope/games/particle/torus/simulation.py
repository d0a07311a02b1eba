"""Runs of particles on a circle: the levels, their starts, and the time steps of level `particles`."""

import itertools
import math
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ganscope.core.checks import one_of
from ganscope.core.errors import ParameterError
from ganscope.core.game import Level, Request, Variable
from ganscope.core.parallel import Task, cores, run_tasks
from ganscope.core.random import keys
from ganscope.core.simulate import streams_of
from ganscope.games.particle.torus import engine
from ganscope.games.particle.torus.fourier import Rates, largest_frequency, rates, step_tables
from ganscope.games.particle.torus.observables import observed

if TYPE_CHECKING:
    from ganscope.games.particle.torus.model import TorusGAN

Array = npt.NDArray[np.float64]

SCHEMES = ("second_order", "first_order")
DEFAULT_STEP, DEFAULT_HORIZON = 0.01, 200.0
# Step size times the largest frequency: from here on steps are too coarse to trust, and too coarse to make sense.
COARSE, TOO_COARSE = 0.5, 2.0
# Particles times wavenumbers times steps that one call of compiled code may take.
_CALL = 1e8


class StepSizeWarning(UserWarning):
    """Time steps do not resolve the fastest swings of the particles."""


def _per_unit(game: Any, dimension: int | None, step_size: float | None) -> float:
    del game, dimension
    return 1.0 / step_of(step_size)


def step_of(step_size: float | None) -> float:
    """The step size in force."""
    return DEFAULT_STEP if step_size is None else step_size


LEVELS = {
    "particles": Level(
        ("alternating",),
        stochastic=True,
        paired=True,
        steps_per_unit=_per_unit,
        takes_step_size=True,
        default_horizon=DEFAULT_HORIZON,
        options={"scheme": SCHEMES[0]},
    ),
    "linear": Level(stochastic=True, paired=True, default_horizon=DEFAULT_HORIZON),
}


def check_step(rate: Rates, step: float, stacklevel: int = 5) -> None:
    """Warn of steps that do not resolve the fastest swings, and refuse those that make no sense.

    Raises:
        ParameterError: If the largest frequency times the step size exceeds 2.
    """
    fastest = float(np.max(largest_frequency(rate)))
    if fastest * step > TOO_COARSE:
        expected = f"a number > 0, at most {TOO_COARSE / fastest:.3g}: {TOO_COARSE:g} over the largest frequency"
        raise ParameterError("step_size", step, f"{expected}, sqrt(mean_mobility discriminator_lr sum 2 k^2 kernel_k)")
    if fastest * step >= COARSE:
        warnings.warn(
            f"step_size = {step:g} is long for the largest frequency, {fastest:.3g}: below {COARSE / fastest:.2g} "
            "the time steps resolve it",
            StepSizeWarning,
            stacklevel=stacklevel,
        )


def trajectories(game: "TorusGAN", request: Request) -> dict[str, Variable]:
    """Run a request and label the result."""
    rate = rates(game, dict(request.over))
    if request.level == "linear":
        from ganscope.games.particle.torus import linear

        positions, coefficients = linear.evolve(game, request, starts(game, request))
    else:
        positions, coefficients = _particles(game, request, rate)
    return observed(game, request, positions, coefficients)


def starts(game: "TorusGAN", request: Request) -> Array:
    """Where the particles start, `[cells, replicas, particles]`."""
    shape = (request.cells, request.replicas, game.particles)
    given = request.over.get("initial_positions", game.initial_positions)
    if given is not None:
        return np.array(np.broadcast_to(given if given.ndim == 1 else given[:, None, :], shape))
    # the same for every level, so that levels can be compared
    streams = streams_of(game, "start", request.over, request.cells, request.replicas)
    deviations = request.over.get("initial_std", np.full(request.cells, game.initial_std))
    out = np.empty((request.cells * request.replicas, game.particles))
    engine.draw_starts(keys(request.seed, streams.ravel()), np.array(deviations, np.float64), request.replicas, out)
    return out.reshape(shape)


def _particles(game: "TorusGAN", request: Request, rate: Rates) -> tuple[Array, npt.NDArray[np.complex128]]:
    scheme, step = one_of("scheme", request.options["scheme"], SCHEMES), step_of(request.step_size)
    check_step(rate, step, stacklevel=6)
    second = scheme == "second_order"
    cells, count, modes = request.cells, game.particles, game.frequencies
    decay, gain = step_tables(rate, step / 2 if second else step)
    tables = np.empty((cells, 4, modes))
    tables[:, engine.DECAY], tables[:, engine.GAIN], tables[:, engine.TARGET] = decay, gain, rate.target
    tables[:, engine.BEND] = 2 * rate.slope * rate.wavenumber
    shifts = np.empty((cells, 2))
    shifts[:, :1], shifts[:, 1:] = step * rate.relative, step * rate.mean
    lanes, records = cells * request.replicas, len(request.schedule.times)
    start = starts(game, request).reshape(lanes, count)
    x = np.concatenate([start, np.repeat(start[:, -1:], -count % engine.LANES, axis=1)], axis=1)
    d = np.zeros((lanes, 2, modes))
    out_x, out_d = np.empty((lanes, records, count)), np.empty((lanes, records, modes, 2))
    assert request.schedule.iterations is not None
    work = float(x.shape[1] * modes)
    steps, places = _segments(request.schedule.iterations, max(1, int(_CALL / work)))
    longest = work * float(steps.max(initial=1))
    pieces = min(lanes, max(4 * cores(), math.ceil(lanes * longest / _CALL)))
    stride = max(1, int(_CALL * pieces / (lanes * longest)))

    def task(first: int, last: int) -> Task:
        def advance(tick: Any) -> None:
            for k in range(0, len(steps), stride):
                part = slice(k, k + stride)
                engine.run(
                    second, count, request.replicas, shifts, tables, steps[part], places[part], x, d, out_x, out_d,
                    first, last,
                )  # fmt: skip
                tick(float(last - first) * float(steps[part].sum()))

        return advance

    bounds = np.linspace(0, lanes, pieces + 1).astype(int)
    tasks = [task(int(a), int(b)) for a, b in itertools.pairwise(bounds)]
    run_tasks(tasks, "particles", float(lanes) * float(steps.sum()))
    shape = (cells, request.replicas, records)
    return out_x.reshape(*shape, count), out_d.view(np.complex128).reshape(*shape, modes)


def _segments(iterations: npt.NDArray[np.int64], most: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Runs between records, cut into pieces of at most so many steps: their numbers of steps, and the record or -1."""
    gaps = np.diff(iterations, prepend=0)
    pieces = np.maximum(1, -(-gaps // most))
    steps = np.full(int(pieces.sum()), most, np.int64)
    ends = np.cumsum(pieces) - 1
    steps[ends] = gaps - (pieces - 1) * most
    places = np.full(len(steps), -1, np.int64)
    places[ends] = np.arange(len(iterations))
    return steps, places
