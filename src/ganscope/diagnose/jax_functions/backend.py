"""A real game whose networks are JAX functions of trees of arrays."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from ganscope.core.errors import ParameterError
from ganscope.core.game import Players
from ganscope.diagnose.backend import Backend, Draw, Linearised, Point
from ganscope.diagnose.change import UNCHANGED, Change
from ganscope.diagnose.host_random import lent_streams
from ganscope.diagnose.jax_functions import programs as jax_programs
from ganscope.diagnose.jax_functions.linearised import JaxLinearised
from ganscope.diagnose.jax_functions.precision import precision
from ganscope.diagnose.jax_functions.programs import Program, TracedChange, chunk
from ganscope.diagnose.training import Trained, TrainingRequest

Array = npt.NDArray[np.float64]

# Minibatches whose velocities one call computes; more calls serve any number.
_MINIBATCHES = 4
# Data and latents are drawn in these numbers of rows, or multiples of the last, so that the user's own random functions
# compile for few shapes.
_POOLS = (512, 4096)


class JaxDraws(Sequence[Draw]):
    """Minibatches that stay stacked, `[number, ...]`, until one of them is looked at."""

    def __init__(self, data: tuple[Any, Any, Any], number: int) -> None:
        self.data, self._number = data, number

    def __len__(self) -> int:
        return self._number

    def __getitem__(self, place: Any) -> Any:
        if isinstance(place, slice):
            return [self[k] for k in range(*place.indices(self._number))]
        return self.one(place)

    def one(self, place: int) -> Draw:
        """A single minibatch."""
        batch, latents = (jax.tree.map(lambda a: a[place], part) for part in self.data[:2])
        return Draw(batch, latents, self.data[2][place])


class JaxBackend(Backend):
    """Networks, losses and data of a JAX game.

    Args:
        program: The user's functions.
        point: Flat parameters of the checkpoint, float64.
        data: (key, n) -> batch.
        latents: (key, n) -> latents.
        dtype: Of the user's own parameters, in which the game trains.
        precision: Of the instruments, float64 or float32.
    """

    name = "jax"

    def __init__(
        self,
        program: Program,
        point: Point,
        data: Callable[[Any, int], Any],
        latents: Callable[[Any, int], Any],
        dtype: Any = np.float32,
        precision: Any = np.float64,
    ) -> None:
        self.program, self.point = program, point
        self._data, self._latents = data, latents
        self.dtype, self.precision = np.dtype(dtype), np.dtype(precision)
        self.sizes = Players(program.generator_structure.size, program.discriminator_structure.size)
        self.samples_known = program.generator is not None
        self.scores_known = program.discriminator is not None
        self.penalty_known = program.penalty_known
        self.penalty_sees_generator = callable(program.penalty)
        self.noise_known = program.takes_instance_noise

    def at(self, point: Point) -> "JaxBackend":
        """The same game at another checkpoint."""
        return JaxBackend(self.program, point, self._data, self._latents, self.dtype, self.precision)

    def in_precision(self, dtype: Any) -> "JaxBackend":
        """The same game, measured in another precision."""
        return JaxBackend(self.program, self.point, self._data, self._latents, self.dtype, dtype)

    # Draws --------------------------------------------------------------------------------------------------------

    def draw(self, seed: int, count: int) -> Draw:
        """A minibatch."""
        return self.draws(seed, count, 1).one(0)

    def draws(self, seed: int, count: int, number: int) -> "JaxDraws":
        """Independent minibatches: one large draw, cut up."""
        batch = self._stacked("data", (seed, 0), count, number)
        latents = self._stacked("latents", (seed, 1), count, number)
        return JaxDraws((batch, latents, _keys(number, seed, 2)), number)

    def latents(self, seed: int, count: int) -> Any:
        """Latents alone."""
        return jax.tree.map(lambda a: a[0], self._stacked("latents", (seed, 1), count, 1))

    def called(self, name: str, key: Any, rows: int, seed: int) -> Any:
        """What the user's `data` or `latents` return, as NumPy arrays; global random streams are seeded for it."""
        source = self._data if name == "data" else self._latents
        with lent_streams(seed):
            return jax.tree.map(np.asarray, source(key, rows))

    def _stacked(self, name: str, entropy: tuple[int, int], count: int, number: int) -> Any:
        """`number` draws of `count` rows with a leading axis, all at once where every leaf has a row per sample."""
        rows = _pool(count * number)
        seeds = np.random.SeedSequence([*entropy, 0x686F7374]).generate_state(number + 1).tolist()
        whole = self.called(name, _keys(1, *entropy)[0], rows, seeds[-1])
        if all(leaf.ndim and len(leaf) == rows for leaf in jax.tree.leaves(whole)):
            return jax.tree.map(lambda a: self._wide(a[: count * number].reshape(number, count, *a.shape[1:])), whole)
        parts = [
            self.called(name, own, count, seed) for own, seed in zip(_keys(number, *entropy), seeds[:-1], strict=True)
        ]
        for part in parts:
            _check_rows(name, part, count)
        return jax.tree.map(lambda *own: self._wide(np.stack(own)), *parts)

    def _wide(self, values: Any) -> Any:
        return values.astype(self.precision) if jnp.issubdtype(values.dtype, jnp.floating) else values

    # Losses and velocities ----------------------------------------------------------------------------------------

    def losses(self, point: Point, draw: Draw, change: Change = UNCHANGED) -> Players:
        """Both losses as floats."""
        with precision(self.precision):
            pair = jax_programs.losses(self.program, *self._here(point), _data(draw), TracedChange.of(change))
            return Players(float(pair[0]), float(pair[1]))

    def velocity(self, point: Point, draw: Draw, change: Change = UNCHANGED) -> Players:
        """The velocity."""
        with precision(self.precision):
            pair = jax_programs.velocity(self.program, *self._here(point), _data(draw), TracedChange.of(change))
            return Players(*(np.asarray(part, np.float64) for part in pair))

    def velocities(self, point: Point, draws: Sequence[Draw], change: Change = UNCHANGED) -> Array:
        """The velocity for several minibatches."""
        told, here = TracedChange.of(change), self._here(point)
        with precision(self.precision):
            batch, latents, keys = draws.data if isinstance(draws, JaxDraws) else _stacked(draws)
            kind = jax.random.key_impl(keys)  # numbers are cut up faster than keys
            data = jax.tree.map(np.asarray, (batch, latents, jax.random.key_data(keys)))
            made = []
            for first in range(0, len(draws), _MINIBATCHES):
                # blocks of one size, the last one filled up with minibatches from the front
                places = np.arange(first, first + _MINIBATCHES) % len(draws)
                own = jax.tree.map(lambda a, places=places: a[places], data)
                made.append(np.asarray(jax_programs.velocities(self.program, kind, *here, own, told), np.float64))
        return np.concatenate(made)[: len(draws)]

    def linearise(self, point: Point, draw: Draw, change: Change = UNCHANGED) -> Linearised:
        """The derivative of the velocity."""
        velocity = functools.partial(self.velocity, point, draw, change)
        told = TracedChange.of(change)
        return JaxLinearised(self.program, self._here(point), _data(draw), told, self.precision, velocity)

    def _here(self, point: Point) -> tuple[Any, Any]:
        """A point's parameters in that precision."""
        return np.asarray(point.generator, self.precision), np.asarray(point.discriminator, self.precision)

    # Outputs ------------------------------------------------------------------------------------------------------

    def outputs(self, generator: Array, latents: Any) -> Array:
        """Generated samples."""
        with precision(self.precision):
            made = jax_programs.outputs(self.program, np.asarray(generator, self.precision), latents)
            return np.asarray(made, np.float64)

    def output_products(self, generator: Array, latents: Any, directions: Array) -> Array:
        """Derivative of the outputs along rows."""
        theta, rows = np.asarray(generator, self.precision), np.asarray(directions, self.precision)
        with precision(self.precision):
            made = jax_programs.output_products(self.program, chunk(len(rows)), theta, latents, rows)
            return np.asarray(made, np.float64)

    def output_gradients(self, generator: Array, latents: Any, weights: Array) -> Array:
        """Gradients of single outputs."""
        theta = np.asarray(generator, self.precision)
        with precision(self.precision):
            made = jax_programs.output_gradients(
                self.program, chunk(_most_rows(latents)), theta, latents, np.asarray(weights, self.precision)
            )
            return np.asarray(made, np.float64)

    def real_samples(self, draw: Draw) -> Array:
        """The real samples of a draw."""
        with lent_streams(0):
            real = np.asarray(self.program.real(draw.batch), np.float64)
        return real.reshape(len(real), -1)

    def score_slopes(self, point: Point, draw: Draw) -> tuple[Array, Array]:
        """Slopes of the score at real samples, traces of its Hessian at fakes."""
        shape = self.outputs(point.generator, draw.latents).shape
        signs = np.random.default_rng(0).integers(0, 2, shape) * 2.0 - 1.0
        with precision(self.precision):
            pair = jax_programs.score_slopes(
                self.program, *self._here(point), _data(draw), signs.astype(self.precision)
            )
            return np.asarray(pair[0], np.float64), np.asarray(pair[1], np.float64)

    def train(self, request: TrainingRequest) -> Trained:
        """Train by a rule."""
        from ganscope.diagnose.jax_functions.training import train  # it needs this module's draws

        return train(self, request)


def _keys(number: int, *entropy: int) -> Any:
    """Independent keys `[number]`, made without compiling anything."""
    words = np.random.SeedSequence(entropy).generate_state(2 * number).reshape(number, 2)
    return jax.random.wrap_key_data(jnp.asarray(words), impl="threefry2x32")


def _pool(rows: int) -> int:
    """The number of rows that is drawn when some are wanted."""
    return next((pool for pool in _POOLS if rows <= pool), -(-rows // _POOLS[-1]) * _POOLS[-1])


def _data(draw: Draw) -> tuple[Any, Any, Any]:
    return draw.batch, draw.latents, draw.key


def _stacked(draws: Sequence[Draw]) -> tuple[Any, Any, Any]:
    batch, latents = (
        jax.tree.map(lambda *rows: np.stack(rows), *(getattr(draw, part) for draw in draws))
        for part in ("batch", "latents")
    )
    return batch, latents, jnp.stack([draw.key for draw in draws])


def _check_rows(name: str, made: Any, count: int) -> None:
    """Refuse a draw in which nothing has the number of rows that was asked for; constants beside it may be there."""
    lengths = [len(leaf) for leaf in jax.tree.leaves(made) if leaf.ndim]
    if lengths and count not in lengths:
        raise ParameterError(
            name,
            f"a function that returned {lengths[0]} rows where n = {count}",
            "(key, n) -> n rows (data of a fixed number of rows: pass the arrays themselves)",
        )


def _most_rows(latents: Any) -> int:
    """The number of latents, or more where something longer stands beside them."""
    return max(len(leaf) for leaf in jax.tree.leaves(latents) if leaf.ndim)
