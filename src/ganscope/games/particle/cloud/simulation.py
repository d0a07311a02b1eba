"""Runs of the particle GAN: every cell and replica through one compiled program, and what is recorded."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
import numpy.typing as npt

from ganscope.core.game import Request, Variable
from ganscope.core.parallel import run_tasks
from ganscope.games.particle.cloud import levels, network_level, noise, training
from ganscope.games.particle.cloud.discriminators import discriminator_of, start_of
from ganscope.games.particle.cloud.observables import observed

if TYPE_CHECKING:
    from ganscope.games.particle.cloud.model import ParticleGAN

Array = npt.NDArray[np.float64]
Single = npt.NDArray[np.float32]

# Iterations between two reports of progress, and numbers that a stretch of minibatches may hold.
_LONGEST, _NUMBERS = 250, 2**21


def trajectories(game: "ParticleGAN", request: Request) -> dict[str, Variable]:
    """Run a request and label the result."""
    rule = request.rule or levels.RULES[0]
    levels.check_rule(rule, game.discriminator_steps)
    options = levels.check_options(dict(request.options))
    schedule = "simultaneous" if rule == "simultaneous" else options["order"]
    iterations, streams = request.schedule.iterations, request.streams
    assert iterations is not None
    assert streams is not None
    cells = [game.replace(**{name: values[i] for name, values in request.over.items()}) for i in range(request.cells)]
    if request.level == levels.NETWORK:
        request.notes["network_coupling"] = network_level.check_coupling(cells[0], options)
    shape = (request.cells, request.replicas, len(iterations), game.particles, game.axes)
    positions, sizes = np.full(shape, np.nan), np.full((*shape[:3], 2), np.nan)

    def task(cell: int, replica: int) -> Any:
        def run(tick: Any) -> None:
            with jax.enable_x64(False), jax.default_matmul_precision("float32"):
                lane = lane_of(cells[cell], request, options, schedule, int(streams[cell, replica]))
                follow(lane, iterations, positions[cell, replica], sizes[cell, replica], tick)

        return run

    tasks = [task(cell, replica) for cell in range(request.cells) for replica in range(request.replicas)]
    run_tasks(tasks, request.level, float(len(tasks) * iterations[-1]))
    return observed(cells, request.schedule.times, positions, sizes)


@dataclass
class Lane:
    """One run of one game: its program, its state, and where its noise comes from."""

    game: "ParticleGAN"
    form: training.Form
    fixed: training.Fixed
    settings: training.Settings
    state: training.State
    seed: int
    stream: int

    def noise(self, first: int, count: int, room: int) -> training.Noise:
        """What `count` iterations from number `first` on draw, in arrays with room for more."""
        game, steps = self.game, self.game.discriminator_steps
        draws = (first * steps, count * steps, room * steps, self.seed, self.stream)
        if game.real_batch is None:
            real = game.target.sources.astype(np.float32)[None]
        else:
            real = noise.minibatches(game.target, game.real_batch, *draws)
        points = {"uniform": real.shape[1], "gp1": max(real.shape[1], game.particles)}.get(game.penalty, 0)
        if points == 0:
            return training.Noise(real, np.zeros((1, 0, game.axes), np.float32))
        uniform = noise.uniforms(points * game.axes, *draws)
        return training.Noise(real, uniform.reshape(len(uniform), points, game.axes))


def lane_of(game: "ParticleGAN", request: Request, options: dict[str, Any], schedule: str, stream: int) -> Lane:
    """The run of one cell and replica, ready to start."""
    start = start_of(game, request.seed, stream)
    if request.level == levels.NETWORK:
        motion = network_level.motion_of(game, options, request.seed, stream)
    else:
        motion = _particle_motion(game, request.seed, stream)
    form = training.Form(
        discriminator_of(game), game.penalty, game.loss, game.discriminator_steps, schedule, motion.kind, motion.network
    )
    box = np.stack(game.target.box).astype(np.float32)
    rates = tuple(np.float32(rate) for rate in start.rates)
    return Lane(
        game,
        form,
        training.Fixed(start.parameters, start.fixed, rates, box, motion.data),
        training.Settings(
            *(
                np.float32(value)
                for value in (
                    motion.relative,
                    motion.mean,
                    game.discriminator_lr,
                    game.gradient_penalty,
                    game.regularization,
                )
            )
        ),
        training.State(start.parameters, motion.generator, motion.positions),
        request.seed,
        stream,
    )


def _particle_motion(game: "ParticleGAN", seed: int, stream: int) -> network_level.Motion:
    if game.initial is not None:
        positions = game.initial.astype(np.float32)
    else:
        drawn = noise.normals((game.particles, game.axes), noise.START, 0, seed, stream)
        centre = np.zeros(game.axes) if game.real_points is None else game.target.mean
        positions = (centre + game.initial_std * drawn.astype(np.float64)).astype(np.float32)
    if game.generator_kernel is None:
        return network_level.Motion(
            training.TWO_NUMBERS, positions, game.relative_mobility, game.mean_mobility, (), None, None
        )
    return network_level.kernel_motion(game.generator_kernel, positions, game.kernel_speed)


def follow(lane: Lane, iterations: npt.NDArray[np.int64], positions: Array, sizes: Array, tick: Any) -> None:
    """Run a lane and keep what is asked for; a state that is no longer finite ends it.

    Args:
        lane: The run; its state moves on.
        iterations: Increasing numbers of iterations after which the state is kept.
        positions: Where positions go, shape `[records, N, d]`, filled with NaN.
        sizes: Where mean |g|^2 and |mean g|^2 go, shape `[records, 2]`, filled with NaN.
        tick: Called with the number of iterations done.
    """
    game, steps = lane.game, lane.game.discriminator_steps
    per_iteration = steps * (game.real_batch or 1) * game.axes + game.particles * game.axes
    longest = max(1, min(_LONGEST, _NUMBERS // per_iteration))
    run = training.program(lane.form)
    shape = lane.state.positions.shape
    trace = training.Trace(np.zeros((longest, *shape), np.float32), np.zeros((longest, 2), np.float32))
    total, done = int(iterations[-1]), 0
    if iterations[0] == 0:
        positions[0] = lane.state.positions
        slopes = np.asarray(
            training.slopes_program(lane.form)(lane.state.parameters, lane.fixed, lane.state.positions), np.float64
        )
        sizes[0] = np.mean(np.sum(slopes**2, axis=1)), np.sum(slopes.mean(axis=0) ** 2)
    while done < total:
        count = min(longest, total - done)
        state, trace = run(
            lane.state, lane.fixed, lane.settings, lane.noise(done, count, longest), trace, np.int32(count)
        )
        lane.state = state
        wanted = np.flatnonzero((iterations > done) & (iterations <= done + count))
        rows = iterations[wanted] - done - 1
        positions[wanted], sizes[wanted] = np.asarray(trace.positions)[rows], np.asarray(trace.slopes)[rows]
        done += count
        tick(float(count))
        if not np.all(np.isfinite(np.asarray(trace.positions)[count - 1])):
            _forget_after_the_first_loss(positions, sizes)
            tick(float(total - done))
            return


def _forget_after_the_first_loss(positions: Array, sizes: Array) -> None:
    """NaN from the first record on that holds something that is not finite."""
    lost = ~np.all(np.isfinite(positions), axis=(1, 2))
    if np.any(lost):
        first = int(np.argmax(lost))
        positions[first:], sizes[first:] = np.nan, np.nan
