"""Counter-based noise: Philox4x32-10 and Box-Muller normals, the same bits in every engine and on every thread.

A number is fixed by (seed, stream, step, index) and by nothing else: not by the order of evaluation, the tiling or
the number of threads. `stream` names what the noise is for (a hash of the game, the level and the replica).

    key      = mix(seed, stream)                                 64 bits
    counter  = (16 (index // 64) + index % 16, purpose, low word of step, high word of step)
    normals  = Box-Muller of words (0, 1) and (2, 3) of the block; (index // 16) % 4 picks one of the four

The order within 64 numbers is that in which a vector unit writes them.

`ganscope.core.random_jax` holds the same definition for JAX: the words are bit-equal, the normals agree to 3e-6.

References:
    Salmon, Moraes, Dror, Shaw. Parallel random numbers: as easy as 1, 2, 3. SC 2011.
"""

import hashlib
import math
from typing import Any

import numpy as np
import numpy.typing as npt

from ganscope.core.compiled import bits_of_float32, compiled, float32_of_bits, fused_multiply_add
from ganscope.core.errors import ParameterError

_u32, _u64, _f32, _i32 = np.uint32, np.uint64, np.float32, np.int32
_LOW = _u64(0xFFFFFFFF)

# What the numbers of one step are for: streams that must not overlap.
VECTOR_NOISE, SCALAR_NOISE, REJECTION, FRAME = 0, 1, 2, 3


@compiled(inline=True)
def philox4x32(x0, x1, x2, x3, k0, k1):
    """Four uint32 words from a counter (x0..x3) and a key (k0, k1): ten rounds of Philox.

    Words live in the lower halves of 64-bit integers, the upper halves are ignored: numba widens uint32 arithmetic to
    64 bits behind one's back, and the multiplier of a vector unit wants them there anyway.
    """
    x0, x1, x2, x3 = _u64(x0), _u64(x1), _u64(x2), _u64(x3)
    k0, k1 = _u64(k0), _u64(k1)
    for _ in range(10):
        p0 = (x0 & _LOW) * _u64(0xD2511F53)
        p1 = (x2 & _LOW) * _u64(0xCD9E8D57)
        x0 = (p1 >> _u64(32)) ^ x1 ^ k0
        x2 = (p0 >> _u64(32)) ^ x3 ^ k1
        x1 = p1
        x3 = p0
        k0 = k0 + _u64(0x9E3779B9)
        k1 = k1 + _u64(0xBB67AE85)
    return _u32(x0), _u32(x1), _u32(x2), _u32(x3)


@compiled(inline=True)
def box_muller(a, b):
    """Two float32 standard normals from two uint32 words; short polynomials that vectorise.

    The radius is sqrt(-2 log u) with u = (a + 1/2) / 2^32, so no normal exceeds 6.8. The angle uses 29 bits of `b`
    within an octant and three more for the octant.
    """
    u = fused_multiply_add(_f32(a), _f32(2.3283064e-10), _f32(1.1641532e-10))
    # log(u) = e log 2 + log(1 + x) with 1 + x in [sqrt(1/2), sqrt(2))
    shifted = _i32(bits_of_float32(u) + _i32(0x3F800000 - 0x3F3504F3))
    e = _f32(_i32(shifted >> _i32(23)) - _i32(127))
    x = float32_of_bits(_i32(_i32(shifted & _i32(0x7FFFFF)) + _i32(0x3F3504F3))) - _f32(1.0)
    p = _f32(7.0376836292e-2)
    p = fused_multiply_add(p, x, _f32(-1.1514610310e-1))
    p = fused_multiply_add(p, x, _f32(1.1676998740e-1))
    p = fused_multiply_add(p, x, _f32(-1.2420140846e-1))
    p = fused_multiply_add(p, x, _f32(1.4249322787e-1))
    p = fused_multiply_add(p, x, _f32(-1.6668057665e-1))
    p = fused_multiply_add(p, x, _f32(2.0000714765e-1))
    p = fused_multiply_add(p, x, _f32(-2.4999993993e-1))
    p = fused_multiply_add(p, x, _f32(3.3333331174e-1))
    square = x * x
    log_u = fused_multiply_add(square, fused_multiply_add(p, x, _f32(-0.5)), x)
    log_u = fused_multiply_add(e, _f32(0.69314718), log_u)
    radius = np.sqrt(max(_f32(-2.0) * log_u, _f32(0.0)))
    angle = _f32(_u32(b & _u32(0x1FFFFFFF))) * _f32(1.4629181e-09)  # [0, pi/4)
    t = angle * angle
    s = fused_multiply_add(_f32(-1.9515295891e-4), t, _f32(8.3321608736e-3))
    s = fused_multiply_add(s, t, _f32(-1.6666654611e-1))
    s = fused_multiply_add(s * t, angle, angle)
    c = fused_multiply_add(_f32(2.443315711809948e-5), t, _f32(-1.388731625493765e-3))
    c = fused_multiply_add(c, t, _f32(4.166664568298827e-2))
    c = fused_multiply_add(c, t, _f32(-0.5))
    c = fused_multiply_add(c, t, _f32(1.0))
    swap = _u32(b & _u32(0x20000000)) != _u32(0)
    first = s if swap else c
    second = c if swap else s
    first = float32_of_bits(_i32(bits_of_float32(first) ^ _i32(_u32(b & _u32(0x80000000)))))
    second = float32_of_bits(_i32(bits_of_float32(second) ^ _i32(_u32(_u32(b << _u32(1)) & _u32(0x80000000)))))
    return radius * first, radius * second


@compiled
def fill_normals(out, first_tile, purpose, step, k0, k1):
    """out[j] <- normal number 64 first_tile + j of the given step; len(out) a multiple of 64."""
    low, high = _u64(step) & _LOW, _u64(step) >> _u64(32)
    for tile in range(len(out) // 64):
        start = 64 * tile
        for i in range(16):
            x0, x1, x2, x3 = philox4x32(16 * (first_tile + tile) + i, purpose, low, high, k0, k1)
            n0, n1 = box_muller(x0, x1)
            n2, n3 = box_muller(x2, x3)
            out[start + i] = n0
            out[start + 16 + i] = n1
            out[start + 32 + i] = n2
            out[start + 48 + i] = n3


# Rows of the words of a tile of counters: the key, the step number, and two raw random words.
K0, K1, LOW, HIGH, RAW0, RAW1 = range(6)


@compiled
def fill_tile(normals, words, block, purpose):
    """One block of every counter of a tile: normals `[4, tile]` and the raw words behind the last two of them."""
    for u in range(normals.shape[1]):
        x0, x1, x2, x3 = philox4x32(block, purpose, words[LOW, u], words[HIGH, u], words[K0, u], words[K1, u])
        n0, n1 = box_muller(x0, x1)
        n2, n3 = box_muller(x2, x3)
        normals[0, u] = n0
        normals[1, u] = n1
        normals[2, u] = n2
        normals[3, u] = n3
        words[RAW0, u] = _u64(x2)
        words[RAW1, u] = _u64(x3)


def _mix(x: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """The finaliser of splitmix64, a bijection of 64-bit words that changes about half of the bits."""
    x = (x ^ (x >> _u64(30))) * _u64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> _u64(27))) * _u64(0x94D049BB133111EB)
    mixed: npt.NDArray[np.uint64] = x ^ (x >> _u64(31))
    return mixed


_GOLDEN = _u64(0x9E3779B97F4A7C15)


def check_seed(seed: Any) -> int:
    """A seed is an integer in [0, 2^64)."""
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or not 0 <= int(seed) < 2**64:
        raise ParameterError("seed", seed, "an integer in 0 .. 2^64 - 1")
    return int(seed)


def stream_of(text: str) -> int:
    """A 64-bit stream number from a text, for example a game's canonical JSON and a level."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def replica_streams(stream: int | npt.NDArray[np.uint64], replicas: int) -> npt.NDArray[np.uint64]:
    """Streams of the replicas of one run, shape `[..., replicas]`; replica 0 does not depend on how many there are."""
    base = np.asarray(stream, np.uint64)[..., None]
    return _mix(base + (np.arange(replicas, dtype=np.uint64) + _u64(1)) * _GOLDEN)


def keys(seed: int, streams: npt.ArrayLike) -> npt.NDArray[np.uint32]:
    """Philox keys, shape `[..., 2]`, for a seed and 64-bit streams."""
    mixed = _mix(_mix(np.array([seed], np.uint64) + _GOLDEN) ^ np.asarray(streams, np.uint64))
    return np.stack([(mixed & _u64(0xFFFFFFFF)).astype(np.uint32), (mixed >> _u64(32)).astype(np.uint32)], axis=-1)


def normal_float32(
    size: int, seed: int = 0, stream: int = 0, step: int = 0, purpose: int = VECTOR_NOISE
) -> npt.NDArray[np.float32]:
    """Standard normals number 0 .. size - 1 of a step of a stream, shape `[size]`, float32.

    Args:
        size: How many; the first ones do not depend on it.
        seed: Integer in 0 .. 2^64 - 1.
        stream: Integer in 0 .. 2^64 - 1, what the noise is for.
        step: Iteration number, 0 .. 2^64 - 1.
        purpose: Small integer that separates several uses within one step.

    Raises:
        ParameterError: If the seed is not an integer in its range.
    """
    k0, k1 = keys(check_seed(seed), np.uint64(stream))[0]
    out = np.empty(64 * math.ceil(size / 64), np.float32)
    fill_normals(out, 0, purpose, step, k0, k1)
    return out[:size]
