r"""What JAX computes for a real game, as pure functions of flat parameters; compiled once per set of user functions.

A `Program` is hashable, so that it can be a static argument of the module's compiled functions: two games that share
their functions and the shapes of their parameters share what was compiled, whatever their numbers.
"""

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ganscope.core.errors import ParameterError
from ganscope.diagnose.change import Change

Array = Any

# On an accelerator this many rows of a block are computed side by side; a processor is faster row by row.
_ACCELERATED_ROWS = 32


@dataclass(frozen=True)
class Structure:
    """How a flat vector becomes a tree of parameters: hashable, unlike the closure of `ravel_pytree`."""

    tree: Any
    shapes: tuple[tuple[int, ...], ...]

    @property
    def size(self) -> int:
        """Number of scalars."""
        return sum(int(np.prod(shape, dtype=int)) for shape in self.shapes)

    def unravel(self, flat: Array) -> Any:
        """The tree with the entries of a flat vector `[size]`, in its dtype."""
        leaves, start = [], 0
        for shape in self.shapes:
            size = int(np.prod(shape, dtype=int))
            leaves.append(flat[start : start + size].reshape(shape))
            start += size
        return jax.tree.unflatten(self.tree, leaves)


def structure_of(name: str, parameters: Any) -> Structure:
    """The structure of a tree of floating-point arrays.

    Raises:
        ParameterError: If the tree is empty or a leaf is anything else.
    """
    leaves, tree = jax.tree.flatten(parameters)
    if not leaves:
        raise ParameterError(name, parameters, "a tree (dictionary, list, ...) of arrays, at least one")
    for path, leaf in jax.tree_util.tree_flatten_with_path(parameters)[0]:
        dtype = getattr(leaf, "dtype", None)
        if dtype is None or not jnp.issubdtype(dtype, jnp.floating):
            place = jax.tree_util.keystr(path)
            raise ParameterError(
                name,
                f"leaf {place} of type {type(leaf).__name__}" + (f", {dtype}" if dtype is not None else ""),
                "floating-point arrays only: keep everything else in the functions (Equinox: eqx.partition first)",
            )
    return Structure(tree, tuple(tuple(leaf.shape) for leaf in leaves))


def flatten(parameters: Any, dtype: Any = np.float64) -> Any:
    """All leaves as one NumPy vector."""
    return np.concatenate([np.asarray(leaf, dtype).ravel() for leaf in jax.tree.leaves(parameters)])


def own_samples(batch: Any) -> Any:
    """The real samples of a batch: the batch itself, or its first entry (samples with labels, say)."""
    return batch[0] if isinstance(batch, tuple | list) else batch


@dataclass(frozen=True)
class Program:
    """The user's functions, and the structures of the players' parameters.

    Attributes:
        losses: (theta, phi, batch, z, key) -> (L_G, L_D), trees of parameters.
        generator: (theta, z) -> samples, or None.
        discriminator: (phi, x) -> scores, or None.
        penalty: Unit penalty (theta, phi, batch, z, key) -> scalar; "r1"; or None.
        other_penalty: A penalty of another kind that L_D contains, likewise, or None.
        real: batch -> real samples.
        structures: Of both players' parameters.
    """

    losses: Callable[..., Any]
    generator: Callable[..., Any] | None
    discriminator: Callable[..., Any] | None
    penalty: Callable[..., Any] | str | None
    other_penalty: Callable[..., Any] | None
    real: Callable[[Any], Any]
    generator_structure: Structure
    discriminator_structure: Structure

    @functools.cached_property
    def takes_instance_noise(self) -> bool:
        """Whether `losses` has a keyword argument `instance_noise`."""
        try:
            return "instance_noise" in inspect.signature(self.losses).parameters
        except (TypeError, ValueError):
            return False

    @property
    def penalty_known(self) -> bool:
        """Whether the unit penalty can be evaluated."""
        return callable(self.penalty) or (self.penalty == "r1" and self.discriminator is not None)

    def trees(self, theta: Array, phi: Array) -> tuple[Any, Any]:
        """Both players' parameters as trees."""
        return self.generator_structure.unravel(theta), self.discriminator_structure.unravel(phi)

    def samples(self, theta: Array, latents: Any) -> Array:
        """Generated samples `[count, d]`."""
        assert self.generator is not None  # callers ask `samples_known` first
        made = self.generator(self.generator_structure.unravel(theta), latents)
        return jnp.reshape(made, (made.shape[0], -1))

    def scores(self, phi: Array, samples: Array) -> Array:
        """One score per sample, `[count]`."""
        assert self.discriminator is not None
        scores = self.discriminator(self.discriminator_structure.unravel(phi), samples)
        return jnp.reshape(scores, (samples.shape[0], -1)).sum(axis=1)

    def unit_penalty(self, theta: Array, phi: Array, data: tuple[Any, Any, Any]) -> Array:
        """The penalty that gamma multiplies; R1 is half the mean squared gradient of the score at real samples."""
        if self.penalty == "r1":
            slopes = jax.grad(lambda x: self.scores(phi, x).sum())(self.real(data[0]))
            return 0.5 * jnp.mean(jnp.sum(jnp.reshape(slopes, (slopes.shape[0], -1)) ** 2, axis=1))
        assert callable(self.penalty)
        return self.penalty(*self.trees(theta, phi), *data)

    def both_losses(
        self, theta: Array, phi: Array, data: tuple[Any, Any, Any], change: "TracedChange"
    ) -> tuple[Array, Array]:
        """L_G and the changed L_D."""
        trees = self.trees(theta, phi)
        options = {"instance_noise": change.instance_noise} if change.noisy else {}
        generator_loss, discriminator_loss = self.losses(*trees, *data, **options)
        if change.adds:
            discriminator_loss = discriminator_loss + change.added * self.unit_penalty(theta, phi, data)
        if change.removes and self.other_penalty is not None:
            discriminator_loss = discriminator_loss - change.removed * self.other_penalty(*trees, *data)
        return generator_loss, discriminator_loss

    def generator_velocity(self, theta: Array, phi: Array, data: tuple[Any, Any, Any], change: "TracedChange") -> Array:
        """-grad_theta L_G."""
        return -jax.grad(lambda t: self.both_losses(t, phi, data, change)[0])(theta)

    def discriminator_velocity(
        self, theta: Array, phi: Array, data: tuple[Any, Any, Any], change: "TracedChange"
    ) -> Array:
        """-grad_phi L_D."""
        return -jax.grad(lambda p: self.both_losses(theta, p, data, change)[1])(phi)

    def velocity(
        self, theta: Array, phi: Array, data: tuple[Any, Any, Any], change: "TracedChange"
    ) -> tuple[Array, Array]:
        """Both players' velocities."""
        return self.generator_velocity(theta, phi, data, change), self.discriminator_velocity(theta, phi, data, change)


@jax.tree_util.register_pytree_node_class
@dataclass(frozen=True)
class TracedChange:
    """A `Change` whose numbers are traced and whose kind is static, so that an absent penalty costs nothing."""

    added: Array
    removed: Array
    instance_noise: Array
    adds: bool
    removes: bool
    noisy: bool

    @classmethod
    def of(cls, change: Change) -> "TracedChange":
        """A change, with the terms that are exactly zero left out."""
        parts = (change.added, change.removed, change.instance_noise)
        added, removed, noise = (np.asarray(part) for part in parts)
        return cls(added, removed, noise, *(part != 0 for part in parts))

    def tree_flatten(self) -> tuple[tuple[Array, Array, Array], tuple[bool, bool, bool]]:
        """Numbers, then the kind."""
        return (self.added, self.removed, self.instance_noise), (self.adds, self.removes, self.noisy)

    @classmethod
    def tree_unflatten(cls, kind: tuple[bool, bool, bool], numbers: tuple[Array, Array, Array]) -> "TracedChange":
        """The reverse."""
        return cls(*numbers, *kind)


def chunk(rows: int) -> int:
    """How many rows of a block are computed side by side."""
    return 1 if jax.default_backend() == "cpu" else min(rows, _ACCELERATED_ROWS)


def map_rows(function: Callable[[Array], Array], rows: Array, chunk: int) -> Array:
    """A linear function of every row; `chunk` rows at a time, which decides the memory."""
    if rows.shape[0] <= chunk:
        return jax.vmap(function)(rows)
    return jax.lax.map(function, rows, batch_size=chunk)


@functools.partial(jax.jit, static_argnums=0)
def losses(program: Program, theta: Array, phi: Array, data: Any, change: TracedChange) -> Any:
    """Both losses."""
    return program.both_losses(theta, phi, data, change)


@functools.partial(jax.jit, static_argnums=0)
def velocity(program: Program, theta: Array, phi: Array, data: Any, change: TracedChange) -> Any:
    """Both velocities."""
    return program.velocity(theta, phi, data, change)


@functools.partial(jax.jit, static_argnums=(0, 1))
def velocities(program: Program, kind: Any, theta: Array, phi: Array, data: Any, change: TracedChange) -> Array:
    """Velocities for stacked minibatches, `[number, n]`; their keys come as numbers, of a kind of generator."""

    def velocity(one: Any) -> Array:
        key = jax.random.wrap_key_data(one[2], impl=kind)
        return jnp.concatenate(program.velocity(theta, phi, (one[0], one[1], key), change))

    return jax.lax.map(velocity, data)


@functools.partial(jax.jit, static_argnums=0)
def outputs(program: Program, theta: Array, latents: Any) -> Array:
    """Samples `[count, d]`."""
    return program.samples(theta, latents)


@functools.partial(jax.jit, static_argnums=(0, 1))
def output_products(program: Program, chunk: int, theta: Array, latents: Any, rows: Array) -> Array:
    """Derivative of the samples along rows of the generator's parameters, `[k, count, d]`."""
    tangent = jax.linearize(lambda t: program.samples(t, latents), theta)[1]
    return map_rows(tangent, rows, chunk)


@functools.partial(jax.jit, static_argnums=(0, 1))
def output_gradients(program: Program, chunk: int, theta: Array, latents: Any, weights: Array) -> Array:
    """Gradient of weights . G(z_i) for every latent, `[count, n_G]`."""
    made, pull = jax.vjp(lambda t: program.samples(t, latents) @ weights, theta)
    return map_rows(lambda x: pull(x)[0], jnp.eye(made.shape[0], dtype=made.dtype), chunk)


@functools.partial(jax.jit, static_argnums=0)
def score_slopes(program: Program, theta: Array, phi: Array, data: Any, signs: Array) -> Any:
    """|grad_x D| at real samples, and a stochastic trace of its Hessian at generated ones."""
    slope = jax.grad(lambda x: program.scores(phi, x).sum())
    real = slope(program.real(data[0]))
    fakes = program.generator(program.generator_structure.unravel(theta), data[1])  # type: ignore[misc]
    signs = jnp.reshape(signs[:, : fakes[0].size], fakes.shape).astype(fakes.dtype)
    bent = jax.jvp(slope, (fakes,), (signs,))[1]
    norms = jnp.sqrt(jnp.sum(jnp.reshape(real, (real.shape[0], -1)) ** 2, axis=1))
    return norms, jnp.sum(jnp.reshape(bent * signs, (fakes.shape[0], -1)), axis=1)
