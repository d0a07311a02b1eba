"""The derivative of a JAX game's velocity: linearised once for each of its parts, then applied to blocks of directions.

A linearisation is a tree whose leaves are what the linear map needs to remember of the point: it comes out of one
compiled program and goes into another, which serves any number of directions.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from ganscope.core.errors import ParameterError
from ganscope.core.game import Players
from ganscope.diagnose.backend import Linearised
from ganscope.diagnose.jax_functions.once import once
from ganscope.diagnose.jax_functions.precision import precision
from ganscope.diagnose.jax_functions.programs import Program, TracedChange, chunk, map_rows

Array = npt.NDArray[np.float64]
Tangent = Callable[[Any], Any]

# Directions go through a program in blocks of this many, the last one partly filled.
_BLOCK = 16
# Linearisations of one point are kept as long as they hold less than this many bytes together.
_KEPT_BYTES = 2**28


@functools.partial(jax.jit, static_argnums=0)
def _whole(program: Program, theta: Any, phi: Any, data: Any, change: TracedChange) -> Tangent:
    """J, from both players' parameters in one vector to both velocities."""
    size = theta.size
    losses = once(lambda t, p: program.both_losses(t, p, data, change))

    def velocity(both: Any) -> Any:
        t, p = both[:size], both[size:]
        return -jnp.concatenate([jax.grad(lambda t: losses(t, p)[0])(t), jax.grad(lambda p: losses(t, p)[1])(p)])

    return jax.linearize(once(velocity), jnp.concatenate([theta, phi]))[1]


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _block(program: Program, of: int, by: int, theta: Any, phi: Any, data: Any, change: TracedChange) -> Tangent:
    """d v_of / d parameters_by."""
    moving = (program.generator_velocity, program.discriminator_velocity)[of]

    def velocity(own: Any) -> Any:
        return moving(own, phi, data, change) if by == 0 else moving(theta, own, data, change)

    return jax.linearize(once(velocity), (theta, phi)[by])[1]


@functools.partial(jax.jit, static_argnums=0)
def _penalty(program: Program, theta: Any, phi: Any, data: Any) -> Tangent:
    """Derivative of -grad_phi of the unit penalty, from both players' parameters in one vector."""
    size = theta.size

    def descent(both: Any) -> Any:
        return -jax.grad(lambda p: program.unit_penalty(both[:size], p, data))(both[size:])

    return jax.linearize(descent, jnp.concatenate([theta, phi]))[1]


def _first_rows(function: Tangent, chunk: int, rows: Any, count: Any) -> Any:
    """A linear function of the first `count` rows, so that one program serves any number of them.

    Side by side, `chunk` rows at a time, the rest is computed, too.
    """
    if chunk > 1:
        return map_rows(function, rows, chunk)
    one = jax.eval_shape(function, rows[0])
    made = jnp.zeros((rows.shape[0], *one.shape), one.dtype)
    return jax.lax.fori_loop(0, count, lambda k, made: made.at[k].set(function(rows[k])), made)


@functools.partial(jax.jit, static_argnums=0)
def _applied(chunk: int, tangent: Tangent, rows: Any, count: Any) -> Any:
    """A linear map of rows."""
    return _first_rows(tangent, chunk, rows, count)


@functools.partial(jax.jit, static_argnums=0)
def _transposed(chunk: int, tangent: Tangent, like: Any, rows: Any, count: Any) -> Any:
    """The transpose of a linear map, which takes vectors like `like`, of rows."""
    transpose = jax.linear_transpose(tangent, like)
    return _first_rows(lambda x: transpose(x)[0], chunk, rows, count)


class JaxLinearised(Linearised):
    """Compiled products at one point."""

    def __init__(
        self,
        program: Program,
        here: tuple[Any, Any],
        data: tuple[Any, Any, Any],
        change: TracedChange,
        dtype: Any,
        velocity: Callable[[], Players],
    ) -> None:
        self._program, self._here, self._data, self._change = program, here, data, change
        self._dtype, self._velocity = dtype, velocity
        self._tangents: dict[Any, Tangent] = {}

    @functools.cached_property
    def velocity(self) -> Players:  # type: ignore[override]
        """The velocity itself."""
        return self._velocity()

    def products(self, directions: Array) -> Array:
        """J x."""
        return self._map(_applied, (_whole,), directions)

    def block_products(self, of: int, by: int, directions: Array) -> Array:
        """One block of J."""
        return self._map(_applied, (_block, of, by), directions)

    def mixed_adjoints(self, directions: Array) -> Array:
        """B^T x."""
        return self._map(_transposed, (_block, 0, 1), directions, self._here[1])

    def penalty_products(self, directions: Array) -> Array:
        """The unit penalty's own derivative."""
        if not self._program.penalty_known:
            raise ParameterError("penalty", None, "a unit penalty, or a discriminator of which to take R1")
        return self._map(_applied, (_penalty,), directions)

    def _map(self, function: Callable[..., Any], part: tuple[Any, ...], directions: Array, *like: Any) -> Array:
        """A block of directions through one part of the derivative."""
        rows = np.asarray(directions, self._dtype)

        def block(start: int) -> Array:
            own = rows[start : start + _BLOCK]
            count = len(own)
            if count < _BLOCK:
                own = np.concatenate([own, np.zeros((_BLOCK - count, rows.shape[1]), rows.dtype)])
            made = function(chunk(_BLOCK), tangent, *like, own, np.int32(count))
            return np.asarray(made, np.float64)[:count]

        with precision(self._dtype):
            tangent = self._tangent(part)
            return np.concatenate([block(start) for start in range(0, max(len(rows), 1), _BLOCK)])

    def _tangent(self, part: tuple[Any, ...]) -> Tangent:
        if part not in self._tangents:
            linearise, *which = part
            change = () if linearise is _penalty else (self._change,)
            made = linearise(self._program, *which, *self._here, self._data, *change)
            held = sum(leaf.nbytes for leaf in jax.tree.leaves([made, *self._tangents.values()]))
            if held > _KEPT_BYTES:
                self._tangents.clear()
            self._tangents[part] = made
        return self._tangents[part]
