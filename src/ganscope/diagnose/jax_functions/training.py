r"""Training a JAX game by its own rule: one compiled stretch of iterations, whatever the optimizers and rates.

Per step, with gradient g, memory m, second moment v and step number t (both optimizers' kinds in one formula, so that
one program serves them all; every hyper-parameter is an argument of it):

    momentum   m <- momentum m + g                    p <- p - lr m
    adam       m <- beta1 m + (1 - beta1) g           p <- p - lr m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) + eps)
               v <- beta2 v + (1 - beta2) g^2
    rmsprop    v <- beta2 v + (1 - beta2) g^2         p <- p - lr m
               m <- momentum m + g / (sqrt(v) + eps)

Minibatches are drawn outside, a chunk of iterations at once, keyed by iteration and inner step: changed rules and
losses see the same ones. Only the shapes, the losses and which penalties are there make a new program.

References:
    Kingma, Ba. Adam: a method for stochastic optimization. ICLR 2015.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from ganscope.core.game import Players
from ganscope.diagnose.jax_functions.backend import JaxBackend
from ganscope.diagnose.jax_functions.precision import precision
from ganscope.diagnose.jax_functions.programs import Program, TracedChange
from ganscope.diagnose.rule import Player
from ganscope.diagnose.training import Memory, Trained, TrainingRequest

# Minibatches are drawn for this many iterations at once; a buffer holds this many of the discriminator's, which 1 to 6
# steps per iteration divide, so that rules with other numbers of steps share a program.
_CHUNK = 60
# Marks the random stream of minibatches.
_STREAM = 0x62617463


class Rates(NamedTuple):
    """One player's optimizer as numbers; all of them may change without a new program."""

    learning_rate: Any
    memory: Any
    kappa: Any
    beta2: Any
    eps: Any
    adam: Any
    rmsprop: Any


class Side(NamedTuple):
    """One player on its way: parameters, memory, second moment, steps, norm of the last gradient."""

    parameters: Any
    first: Any
    second: Any
    steps: Any
    norm: Any


class Hyper(NamedTuple):
    """All numbers of a run."""

    generator: Rates
    discriminator: Rates
    discriminator_steps: Any
    simultaneous: Any
    change: TracedChange


def train(backend: JaxBackend, request: TrainingRequest) -> Trained:
    """Train from a point by a rule, in the precision of the user's own parameters.

    Args:
        backend: Losses, networks and data.
        request: What is asked for; `instance_noise` needs losses that take it.

    Returns:
        The run. It ends early where a number is no longer finite, with NaN for the records left out.
    """
    dtype, program = backend.dtype, backend.program
    rule = request.rule
    hyper = Hyper(
        _rates(rule.generator, dtype),
        _rates(rule.discriminator, dtype),
        np.int32(rule.discriminator_steps),
        np.bool_(rule.order == "simultaneous"),
        _cast(TracedChange.of(request.change), dtype),
    )
    sides = _start(request, dtype)
    latents = _cast(request.latents, dtype)
    minibatches = _Minibatches(backend, request)
    outputs: list[npt.NDArray[np.float64]] = []
    norms: list[tuple[float, float]] = []
    done = 0
    for record in request.record_at:
        while done < record:
            buffer, first, count = minibatches.at(done, int(record) - done)
            with precision(dtype):
                sides = _advance(program, hyper, sides, buffer, np.int32(first), np.int32(count))
            done += count
        if program.generator is not None:
            with precision(dtype):
                outputs.append(np.asarray(_samples(program, sides[0].parameters, latents), np.float64))
        norms.append((float(sides[0].norm), float(sides[1].norm)))
        if not _finite(norms[-1], *outputs[-1:]):
            break
    point, first_moments, second_moments = (
        Players(*(np.asarray(getattr(side, part), np.float64) for side in sides))
        for part in ("parameters", "first", "second")
    )
    memory = Memory(first_moments, second_moments, Players(*(int(side.steps) for side in sides)))
    records = len(request.record_at)
    shown = _filled(outputs, records) if outputs else np.full((records, 0, 0), np.nan)
    finite = _finite(norms[-1], *point, *outputs[-1:])
    return Trained(shown, _filled(norms, records), point, memory, finite, {"iterations": done})


def _finite(*values: Any) -> bool:
    return all(bool(np.all(np.isfinite(value))) for value in values)


def _filled(rows: Any, records: int) -> npt.NDArray[np.float64]:
    """Rows one above the other, NaN below the last one."""
    full = np.full((records, *np.shape(rows[0])), np.nan)
    full[: len(rows)] = rows
    return full


def _rates(player: Player, dtype: Any) -> Rates:
    numbers = (player.learning_rate, player.memory, player.kappa, player.beta2, player.eps)
    rate, memory, kappa, beta2, eps = (np.asarray(number, dtype) for number in numbers)
    adam, rmsprop = np.bool_(player.kind == "adam"), np.bool_(player.kind == "rmsprop")
    return Rates(rate, memory, kappa, beta2, eps, adam, rmsprop)


def _start(request: TrainingRequest, dtype: Any) -> tuple[Side, Side]:
    sides = []
    for k in (0, 1):
        parameters = np.asarray(request.start[k], dtype)
        nothing = np.zeros_like(parameters)
        memory = request.memory
        moments = (nothing, nothing) if memory is None else (memory.first[k], memory.second[k])
        steps = 0 if memory is None else memory.steps[k]
        first, second = (np.asarray(moment, dtype) for moment in moments)
        sides.append(Side(parameters, first, second, np.int32(steps), np.asarray(0, dtype)))
    return sides[0], sides[1]


def _cast(tree: Any, dtype: Any) -> Any:
    """Floating arrays of a tree in the training's precision, the others as they are."""

    def cast(leaf: Any) -> Any:
        leaf = np.asarray(leaf)
        return leaf.astype(dtype) if leaf.dtype.kind == "f" else leaf

    return jax.tree.map(cast, tree)


class _Minibatches:
    """Minibatches on their way: drawn by chunks of iterations, handed out in buffers of one shape."""

    def __init__(self, backend: JaxBackend, request: TrainingRequest) -> None:
        self.backend, self.size, self.seed = backend, request.batch_size, request.seed
        self.steps = request.rule.discriminator_steps
        self.room = max(_CHUNK // self.steps, 1)
        self.chunk = self.part = -1
        self.drawn: list[Any] = []
        self.held: Any = None

    def at(self, iteration: int, wanted: int) -> tuple[Any, int, int]:
        """A buffer that holds this iteration, its place there, and how many iterations can be made from it."""
        chunk, place = divmod(iteration, _CHUNK)
        part, offset = divmod(place, self.room)
        if chunk != self.chunk:
            self.drawn = [self._draw(chunk, inner) for inner in range(self.steps + 1)]
        if (chunk, part) != (self.chunk, self.part):
            self.held = self._buffer(part * self.room)
            self.chunk, self.part = chunk, part
        return self.held, offset, min(wanted, min((part + 1) * self.room, _CHUNK) - place)

    def _draw(self, chunk: int, inner: int) -> Any:
        """One inner step's minibatches of a chunk (inner step 0 is the generator's), arrays `[chunk, batch, ...]`."""
        source = np.random.SeedSequence([_STREAM, self.seed, chunk, inner])
        seed = int(source.generate_state(1)[0] >> 1)
        whole = self.backend.draw(seed, self.size * _CHUNK)
        data = (whole.batch, whole.latents)
        if all(np.ndim(leaf) and len(leaf) == self.size * _CHUNK for leaf in jax.tree.leaves(data)):
            cut = jax.tree.map(lambda leaf: leaf.reshape(_CHUNK, self.size, *leaf.shape[1:]), data)
        else:  # something in it has no row per sample
            single = self.backend.draws(seed, self.size, _CHUNK)
            cut = jax.tree.map(lambda *leaves: np.stack(leaves), *((d.batch, d.latents) for d in single))
        keys = np.asarray(jax.random.key_data(jax.random.split(whole.key, _CHUNK)))
        return *_cast(cut, self.backend.dtype), keys

    def _buffer(self, first: int) -> Any:
        """Minibatches from one iteration of the chunk on, the generator's and the discriminator's one after the other;
        filled up by repeating the last where a chunk ends."""
        of_generator = np.minimum(np.arange(first, first + _CHUNK), _CHUNK - 1)
        of_discriminator = np.minimum(np.arange(first, first + self.room), _CHUNK - 1)
        slots = np.minimum(np.arange(max(_CHUNK, self.steps)), self.room * self.steps - 1)

        def interleaved(*leaves: Any) -> Any:
            merged = np.stack([leaf[of_discriminator] for leaf in leaves], axis=1)
            return merged.reshape(-1, *leaves[0].shape[1:])[slots]

        own = jax.tree.map(lambda leaf: leaf[of_generator], self.drawn[0])
        with precision(self.backend.dtype):
            return jax.device_put((own, jax.tree.map(interleaved, *self.drawn[1:])))


@functools.partial(jax.jit, static_argnums=0)
def _samples(program: Program, theta: Any, latents: Any) -> Any:
    return program.samples(theta, latents)


@functools.partial(jax.jit, static_argnums=0)
def _advance(program: Program, hyper: Hyper, sides: tuple[Side, Side], buffer: Any, first: Any, count: Any) -> Any:
    """`count` iterations with the minibatches from number `first` of the buffer on."""

    def pick(tree: Any, k: Any) -> Any:
        batch, latents, key = jax.tree.map(lambda leaf: leaf[k], tree)
        return batch, latents, jax.random.wrap_key_data(key)

    def iteration(k: Any, sides: tuple[Side, Side]) -> tuple[Side, Side]:
        generator, before = sides
        theta = generator.parameters

        def inner(j: Any, side: Side) -> Side:
            data = pick(buffer[1], k * hyper.discriminator_steps + j)
            velocity = program.discriminator_velocity(theta, side.parameters, data, hyper.change)
            return _step(hyper.discriminator, side, -velocity)

        after = jax.lax.fori_loop(0, hyper.discriminator_steps, inner, before)
        seen = jnp.where(hyper.simultaneous, before.parameters, after.parameters)
        velocity = program.generator_velocity(theta, seen, pick(buffer[0], k), hyper.change)
        return _step(hyper.generator, generator, -velocity), after

    return jax.lax.fori_loop(first, first + count, iteration, sides)


def _step(rates: Rates, side: Side, gradient: Any) -> Side:
    """One optimizer step."""
    steps = side.steps + 1
    age = steps.astype(gradient.dtype)
    adaptive = rates.adam | rates.rmsprop
    second = jnp.where(adaptive, rates.beta2 * side.second + (1 - rates.beta2) * gradient**2, side.second)
    seen = jnp.where(rates.adam, 1 - rates.beta2**age, 1)
    root = jnp.sqrt(second / seen) + rates.eps
    first = rates.memory * side.first + rates.kappa * jnp.where(rates.rmsprop, gradient / root, gradient)
    outside = jnp.where(rates.adam, first / (1 - rates.memory**age) / root, first)
    return Side(side.parameters - rates.learning_rate * outside, first, second, steps, jnp.linalg.norm(gradient))
