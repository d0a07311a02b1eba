"""The noise of `ganscope.core.random` for JAX: the same words, bit for bit, and the same normals to 3e-6.

Rounds run in a `fori_loop`: XLA on the CPU would otherwise recompute an unrolled Philox for every word that is used.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ganscope.core.random import VECTOR_NOISE, check_seed, keys

_M0, _M1, _W0, _W1 = 0xD2511F53, 0xCD9E8D57, 0x9E3779B9, 0xBB67AE85


def _wide_product(a: Any, b: int) -> tuple[Any, Any]:
    """High and low words of a 32 x 32 bit product, from 16-bit halves: JAX has no 64-bit integers by default."""
    a_low, a_high = a & 0xFFFF, a >> 16
    b_low, b_high = jnp.uint32(b & 0xFFFF), jnp.uint32(b >> 16)
    low = a_low * b_low
    middle = a_high * b_low + (low >> 16)
    cross = a_low * b_high + (middle & 0xFFFF)
    return a_high * b_high + (middle >> 16) + (cross >> 16), a * jnp.uint32(b)


def philox4x32(x0: Any, x1: Any, x2: Any, x3: Any, k0: Any, k1: Any) -> tuple[Any, Any, Any, Any]:
    """Four uint32 words from uint32 counters and a key; arguments broadcast."""
    words = jnp.broadcast_arrays(*(jnp.asarray(x, jnp.uint32) for x in (x0, x1, x2, x3, k0, k1)))

    def one_round(_: int, state: tuple[Any, ...]) -> tuple[Any, ...]:
        x0, x1, x2, x3, k0, k1 = state
        high0, low0 = _wide_product(x0, _M0)
        high1, low1 = _wide_product(x2, _M1)
        return high1 ^ x1 ^ k0, low1, high0 ^ x3 ^ k1, low0, k0 + jnp.uint32(_W0), k1 + jnp.uint32(_W1)

    result = jax.lax.fori_loop(0, 10, one_round, tuple(words))
    return result[0], result[1], result[2], result[3]


def box_muller(a: Any, b: Any) -> tuple[Any, Any]:
    """Two float32 standard normals from two uint32 words."""
    u = a.astype(jnp.float32) * jnp.float32(2.3283064e-10) + jnp.float32(1.1641532e-10)
    radius = jnp.sqrt(jnp.maximum(jnp.float32(-2.0) * jnp.log(u), jnp.float32(0.0)))
    angle = (b & jnp.uint32(0x1FFFFFFF)).astype(jnp.float32) * jnp.float32(1.4629181e-09)
    sine, cosine = jnp.sin(angle), jnp.cos(angle)
    swap = (b & jnp.uint32(0x20000000)) != 0
    first, second = jnp.where(swap, sine, cosine), jnp.where(swap, cosine, sine)
    first = jnp.where(b & jnp.uint32(0x80000000), -first, first)
    second = jnp.where(b & jnp.uint32(0x40000000), -second, second)
    return radius * first, radius * second


def normal_float32(size: int, seed: int = 0, stream: int = 0, step: int = 0, purpose: int = VECTOR_NOISE) -> Any:
    """Standard normals as `ganscope.core.random.normal_float32` gives them, as a JAX array `[size]`."""
    k0, k1 = keys(check_seed(seed), np.uint64(stream)).ravel()
    tiles = -(-size // 64)
    block = jnp.arange(16 * tiles, dtype=jnp.uint32)
    words = philox4x32(block, purpose, step & 0xFFFFFFFF, step >> 32, k0, k1)
    normals = [n.reshape(tiles, 16) for n in (*box_muller(words[0], words[1]), *box_muller(words[2], words[3]))]
    return jnp.concatenate(normals, axis=1).reshape(-1)[:size]
