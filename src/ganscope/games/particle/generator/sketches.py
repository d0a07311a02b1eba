"""Products of derivatives of a generator's outputs with respect to its parameters, in bounded memory.

A row is the gradient, over all parameters, of one cotangent of one latent's output; kernels are products of rows. Rows
are made in small batches by vectorised reverse differentiation. As many as fit into memory are held; the others are
made again for every group of held ones.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from ganscope.core.errors import ParameterError

Array = npt.NDArray[np.float64]

# Rows made at once, and the most memory that they may take.
_MOST_ROWS, _BATCH_BYTES = 64, 2**26


class Model(NamedTuple):
    """A generator as this module sees it.

    Attributes:
        generator: The user's function, (parameters, latents) -> outputs.
        kind: "single" for a function of one latent, "batch" for one of many, "coupled" for one of many whose outputs
            depend on all latents at once, as with batch normalisation.
        tree: Structure of the parameters.
        fixed: Leaves that are not floating-point numbers, in the order of all leaves; None where one is.
    """

    generator: Callable[..., Any]
    kind: str
    tree: Any
    fixed: tuple[Any, ...]

    def outputs(self, leaves: list[Any], latents: Any) -> Any:
        """Outputs `[N, d]` of latents `[N, d_z]`."""
        moving = iter(leaves)
        full = [next(moving) if leaf is None else leaf.value for leaf in self.fixed]
        parameters = jax.tree.unflatten(self.tree, full)
        if self.kind == "single":
            return jax.vmap(lambda z: self.generator(parameters, z))(latents)
        return self.generator(parameters, latents)


class Leaf:
    """A leaf that is not differentiated, compared by identity so that it may be part of a compiled function's key."""

    def __init__(self, value: Any) -> None:
        self.value = value


@functools.partial(jax.jit, static_argnums=0)
def outputs(model: Model, leaves: list[Any], latents: Any) -> Any:
    """Outputs `[N, d]`."""
    return model.outputs(leaves, latents)


@functools.partial(jax.jit, static_argnums=0)
def _rows(model: Model, leaves: list[Any], weights: list[Any] | None, latents: Any, index: Any, cotangents: Any) -> Any:
    """Gradients `[rows, ...]` per leaf, for latents number `index` and cotangents `[rows, d]`."""

    def row(i: Any, cotangent: Any) -> Any:
        if model.kind == "coupled":
            output, pull_back = jax.vjp(lambda p: model.outputs(p, latents)[i], leaves)
        else:
            output, pull_back = jax.vjp(lambda p: model.outputs(p, latents[i][None])[0], leaves)
        gradient = pull_back(cotangent.astype(output.dtype))[0]
        return gradient if weights is None else jax.tree.map(lambda g, w: g * jnp.sqrt(w), gradient, weights)

    return jax.vmap(row)(index, cotangents)


@functools.partial(jax.jit, static_argnums=0)
def product(model: Model, leaves: list[Any], weights: list[Any] | None, latents: Any, vectors: Any) -> Any:
    """The kernel times vectors `[N, d]`, without the kernel: forward after reverse differentiation."""
    forward = lambda p: model.outputs(p, latents)
    gradient = jax.vjp(forward, leaves)[1](vectors)[0]
    if weights is not None:
        gradient = jax.tree.map(jnp.multiply, gradient, weights)
    return jax.jvp(forward, (leaves,), (gradient,))[1]


class Rows:
    """The rows of some cotangents.

    Args:
        model: The generator.
        leaves: Its floating-point parameters.
        weights: None, or positive factors of the same shapes: a preconditioner.
        latents: Shape `[N, d_z]`.
        index: Which latent each row belongs to, shape `[R]`.
        cotangents: Function of an array of row numbers that gives `[rows, d]`.
        memory: Bytes that held rows may take.
    """

    def __init__(
        self,
        model: Model,
        leaves: list[Any],
        weights: list[Any] | None,
        latents: Any,
        index: npt.NDArray[np.int64],
        cotangents: Callable[[npt.NDArray[np.int64]], npt.NDArray[np.float32]],
        memory: int,
    ) -> None:
        self.arguments = (model, leaves, weights, latents)
        self.index, self.cotangents = index, cotangents
        self.size = sum(int(np.size(leaf)) for leaf in leaves)
        self.dtype = np.result_type(*(leaf.dtype for leaf in leaves), np.float32)
        row_bytes = self.size * self.dtype.itemsize
        if row_bytes > memory:
            expected = f"at least {row_bytes}: the derivatives of one output by {self.size} parameters"
            raise ParameterError("memory", memory, expected)
        self.held = min(len(index), memory // row_bytes)
        self.batch = int(max(1, min(_MOST_ROWS, len(index), _BATCH_BYTES // row_bytes)))

    def _make(self, start: int, stop: int) -> list[npt.NDArray[Any]]:
        """Rows start .. stop - 1, leaf by leaf, flattened; short batches are filled up, so that one program serves."""
        numbers = np.minimum(np.arange(start, start + self.batch), len(self.index) - 1)
        gradients = _rows(*self.arguments, self.index[numbers], self.cotangents(numbers))
        return [np.asarray(g).reshape(self.batch, -1)[: stop - start] for g in gradients]

    def _batches(self, start: int, stop: int) -> list[tuple[int, int]]:
        return [(first, min(first + self.batch, stop)) for first in range(start, stop, self.batch)]

    def fill(self, start: int, stop: int, out: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Rows start .. stop - 1 in the first rows of `out`."""
        for first, last in self._batches(start, stop):
            column = 0
            for part in self._make(first, last):
                out[first - start : last - start, column : column + part.shape[1]] = part
                column += part.shape[1]
        return out[: stop - start]

    def gram(self) -> Array:
        """Inner products of all rows, shape `[R, R]`."""
        count = len(self.index)
        result = np.empty((count, count))
        buffer = np.empty((self.held, self.size), self.dtype)
        for start in range(0, count, self.held):
            stop = min(start + self.held, count)
            held = self.fill(start, stop, buffer)
            result[start:stop, start:stop] = held @ held.T
            for first, last in self._batches(stop, count):
                block, column = np.zeros((stop - start, last - first)), 0
                for part in self._make(first, last):
                    block += held[:, column : column + part.shape[1]] @ part.T
                    column += part.shape[1]
                result[start:stop, first:last] = block
                result[first:last, start:stop] = block.T
        return result
