r"""The compiled training step: a discriminator that ascends, and outputs that climb it.

An iteration, with the discriminator first, is

    w   <- w + discriminator_lr (grad objective - regularization (w - initial w)), discriminator_steps times
    g_i <- gradient of f(D) at x_i
    x   <- moved by g: two mobilities, a kernel matrix, or a gradient step of a real network

One program is traced and compiled for a form of training (activation, depth, penalty, ...) and a set of shapes; numbers
such as rates and penalties are arguments, so that all settings and seeds run the same code. Everything is float32.
"""

import functools
import threading
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ganscope.games.particle.cloud.discriminators import Discriminator, Parameters
from ganscope.games.particle.generator.wide import WideGenerator

TWO_NUMBERS, KERNEL, NETWORK = "two_numbers", "kernel", "network"

# Points that are worked on together, at most and at least, where there are more.
_ROWS, _FEWEST_ROWS = 384, 64


class Form(NamedTuple):
    """What is compiled into a program, beyond the shapes of its arguments.

    Attributes:
        discriminator: How it is evaluated.
        penalty, loss: As in the game.
        discriminator_steps: Steps of the discriminator per iteration.
        schedule: "simultaneous", "discriminator_first" or "generator_first".
        motion: How particles answer to slopes: TWO_NUMBERS, KERNEL or NETWORK.
        generator: The network behind the particles, for motion NETWORK.
    """

    discriminator: Discriminator
    penalty: str
    loss: str
    discriminator_steps: int
    schedule: str
    motion: str
    generator: WideGenerator | None = None


class Settings(NamedTuple):
    """Numbers of a run, float32 scalars.

    Attributes:
        relative, mean: Mobilities of two-number motion; for the others `mean` is the generator's learning rate.
        discriminator_lr, gradient_penalty, regularization: As in the game.
    """

    relative: Any
    mean: Any
    discriminator_lr: Any
    gradient_penalty: Any
    regularization: Any


class State(NamedTuple):
    """What changes: the discriminator's parameters, the generator's (None without a network), the particles."""

    parameters: Parameters
    generator: Any
    positions: Any


class Fixed(NamedTuple):
    """What does not change.

    Attributes:
        initial: Initial parameters of the discriminator.
        features: Its frequencies and phases, if it has any.
        rates: Learning rates of its arrays, in units of discriminator_lr.
        box: Corners of the box of the "uniform" penalty, shape `[2, d]`.
        motion: Nothing, the kernel matrix, or latents, offset and scale of the network's outputs.
    """

    initial: Parameters
    features: Parameters
    rates: Any
    box: Any
    motion: Any


class Noise(NamedTuple):
    """Minibatches `[draws, batch, d]` of a stretch of steps, and uniform numbers `[draws, n, d]` where the penalty
    needs some; a single draw serves all steps."""

    real: Any
    uniform: Any


class Trace(NamedTuple):
    """What a stretch leaves behind, one row per iteration: positions, and mean |g|^2 and |mean g|^2 in `slopes`."""

    positions: Any
    slopes: Any


@functools.cache
def program(form: Form) -> Any:
    """The compiled function (state, fixed, settings, noise, trace, count) -> (state, trace).

    It does `count` iterations, at most as many as `trace` has rows.
    """

    def run(state: State, fixed: Fixed, settings: Settings, noise: Noise, trace: Trace, count: Any) -> Any:
        def iteration(k: Any, carry: tuple[State, Trace]) -> tuple[State, Trace]:
            state, trace = carry
            state, slopes = _iterate(form, state, fixed, settings, noise, k)
            mean = slopes.mean(axis=0)
            sizes = jnp.stack([(slopes * slopes).sum(axis=1).mean(), (mean * mean).sum()])
            return state, Trace(trace.positions.at[k].set(state.positions), trace.slopes.at[k].set(sizes))

        return jax.lax.fori_loop(0, count, iteration, (state, trace))

    return _compiled_once(run)


@functools.cache
def slopes_program(form: Form) -> Any:
    """The compiled function (parameters, fixed, x) -> slopes, see `slopes_of`."""
    return _compiled_once(functools.partial(slopes_of, form))


def _compiled_once(function: Any) -> Any:
    """A compiled function that threads do not compile twice: the first call for some shapes lets the others wait."""
    compiled, lock, known = jax.jit(function, compiler_options=_options()), threading.Lock(), set[Any]()

    def call(*arguments: Any) -> Any:
        shapes = tuple(np.shape(leaf) for leaf in jax.tree.leaves(arguments))
        if shapes in known:
            return compiled(*arguments)
        with lock:
            result = compiled(*arguments)
            known.add(shapes)
        return result

    return call


def _options() -> dict[str, Any]:
    """On a CPU every run keeps to one thread: runs are spread over threads, and bits do not depend on their number."""
    return {"xla_cpu_multi_thread_eigen": False} if jax.default_backend() == "cpu" else {}


def _iterate(form: Form, state: State, fixed: Fixed, settings: Settings, noise: Noise, k: Any) -> tuple[State, Any]:
    """One iteration, and the slopes `[N, d]` that moved the particles."""
    parameters, generator, x = state
    if form.schedule == "discriminator_first":
        parameters = learn(form, parameters, x, fixed, settings, noise, k)
    slopes = slopes_of(form, parameters, fixed, x)
    if form.schedule == "simultaneous":
        parameters = learn(form, parameters, x, fixed, settings, noise, k)
    generator, x = _move(form, generator, x, slopes, fixed, settings)
    if form.schedule == "generator_first":
        parameters = learn(form, parameters, x, fixed, settings, noise, k)
    return State(parameters, generator, x), slopes


def _move(form: Form, generator: Any, x: Any, slopes: Any, fixed: Fixed, settings: Settings) -> tuple[Any, Any]:
    """The generator's answer to slopes `[N, d]` at its outputs."""
    if form.motion == TWO_NUMBERS:
        mean = slopes.mean(axis=0)
        return generator, x + (settings.relative * (slopes - mean) + settings.mean * mean)
    if form.motion == KERNEL:
        moved = (fixed.motion @ slopes.reshape(fixed.motion.shape[1], -1)).reshape(x.shape)
        return generator, x + settings.mean / len(x) * moved
    assert form.generator is not None
    latents, offset, scale = fixed.motion
    outputs = functools.partial(form.generator.apply, latents=latents)
    _, pull_back = jax.vjp(outputs, generator)
    (gradient,) = pull_back(scale / len(x) * slopes)
    generator = jax.tree.map(lambda p, g: p + settings.mean * g, generator, gradient)
    return generator, offset + scale * outputs(generator)


def slopes_of(form: Form, parameters: Parameters, fixed: Fixed, x: Any) -> Any:
    """Gradient of f(D) at points `[n, d]`."""

    def of_block(block: Any) -> Any:
        values, slopes = _values_and_slopes(form, parameters, fixed, block)
        return slopes if form.loss == "wgan" else jax.nn.sigmoid(-values)[:, None] * slopes

    blocks = _blocks(x)
    return of_block(x) if len(blocks) == 1 else jax.lax.map(of_block, blocks).reshape(x.shape)


def _blocks(points: Any) -> Any:
    """Points `[n, d]` as `[blocks, rows, d]`: what is computed from a block stays in the cache."""
    rows = next((rows for rows in range(_ROWS, _FEWEST_ROWS, -1) if len(points) % rows == 0), len(points))
    return points.reshape(-1, min(rows, len(points)), points.shape[1])


def _values_and_slopes(form: Form, parameters: Parameters, fixed: Fixed, x: Any) -> tuple[Any, Any]:
    """D and its gradient at points `[n, d]`."""
    values, slopes = form.discriminator.values_and_slopes(parameters, fixed.features, x)
    if not form.discriminator.is_network:
        return values, slopes
    initial_values, initial_slopes = form.discriminator.values_and_slopes(fixed.initial, fixed.features, x)
    return values - initial_values, slopes - initial_slopes


def learn(
    form: Form, parameters: Parameters, x: Any, fixed: Fixed, settings: Settings, noise: Noise, k: Any
) -> Parameters:
    """All steps of the discriminator in an iteration."""

    def step(inner: Any, parameters: Parameters) -> Parameters:
        draw = k * form.discriminator_steps + inner
        real = jax.lax.dynamic_index_in_dim(noise.real, draw, keepdims=False)
        uniform = jax.lax.dynamic_index_in_dim(noise.uniform, draw, keepdims=False)
        gradient = gradient_of(form, parameters, x, real, uniform, fixed, settings.gradient_penalty)
        lr, decay = settings.discriminator_lr, settings.discriminator_lr * settings.regularization
        return tuple(
            p + (lr * rate * g - decay * (p - p0))
            for p, rate, g, p0 in zip(parameters, fixed.rates, gradient, fixed.initial, strict=True)
        )

    if form.discriminator_steps == 1:
        return step(0, parameters)
    result: Parameters = jax.lax.fori_loop(0, form.discriminator_steps, step, parameters)
    return result


def gradient_of(
    form: Form, parameters: Parameters, x: Any, real: Any, uniform: Any, fixed: Fixed, gradient_penalty: Any
) -> Parameters:
    """Gradient of what the discriminator ascends, without weight decay: the sum of its parts.

    Args:
        form: Loss and penalty.
        parameters: Of the discriminator.
        x: Particles, shape `[N, d]`.
        real: Minibatch, shape `[batch, d]`.
        uniform: Uniform numbers of the penalty, shape `[n, d]`; no rows where it needs none.
        fixed: As in a run.
        gradient_penalty: Strength of the penalty.
    """
    strength = gradient_penalty / 2
    share = {"r1": (1.0, 0.0), "r2": (0.0, 1.0), "r12": (0.5, 0.5)}.get(form.penalty, (0.0, 0.0))
    evaluate = functools.partial(_values_and_slopes, form, fixed=fixed)

    def on_real(parameters: Parameters, points: Any) -> Any:
        values, slopes = evaluate(parameters, x=points)
        gain = values if form.loss == "wgan" else -jax.nn.softplus(-values)
        return (gain - strength * share[0] * _square(slopes) if share[0] else gain).sum()

    def on_generated(parameters: Parameters, points: Any) -> Any:
        values, slopes = evaluate(parameters, x=points)
        gain = -values if form.loss == "wgan" else -jax.nn.softplus(values)
        return (gain - strength * share[1] * _square(slopes) if share[1] else gain).sum()

    parts = [(on_real, real), (on_generated, x)]
    if form.penalty == "uniform":
        low, high = fixed.box

        def on_box(parameters: Parameters, points: Any) -> Any:
            return -strength * _square(evaluate(parameters, x=points)[1]).sum()

        parts.append((on_box, low + (high - low) * uniform))
    elif form.penalty == "gp1":
        pairs = jnp.arange(len(uniform))
        a, b = x[pairs % len(x)], real[pairs % len(real)]

        def on_lines(parameters: Parameters, points: Any) -> Any:
            length = jnp.sqrt(_square(evaluate(parameters, x=points)[1]) + 1e-12)
            return -strength * ((length - 1) ** 2).sum()

        parts.append((on_lines, a + uniform[:, :1] * (b - a)))
    gradients = [_over_blocks(jax.grad(part), parameters, points) for part, points in parts]
    total: Parameters = jax.tree.map(lambda *of_parts: sum(of_parts), *gradients)
    return total


def _over_blocks(gradient: Any, parameters: Parameters, points: Any) -> Parameters:
    """Mean over points of a gradient that sums over the points it is given."""
    blocks, share = _blocks(points), 1.0 / len(points)
    if len(blocks) == 1:
        whole: Parameters = jax.tree.map(lambda g: share * g, gradient(parameters, points))
        return whole

    def add(k: Any, total: Parameters) -> Parameters:
        summed: Parameters = jax.tree.map(lambda t, g: t + share * g, total, gradient(parameters, blocks[k]))
        return summed

    result: Parameters = jax.lax.fori_loop(0, len(blocks), add, jax.tree.map(jnp.zeros_like, parameters))
    return result


def _square(slopes: Any) -> Any:
    return (slopes * slopes).sum(axis=1)
