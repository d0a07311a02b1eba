"""The random numbers of a run: where it starts, and the minibatches of real points of every step.

They are drawn outside the compiled step, since XLA would take longer to draw them than to use them, and depend on
(seed, stream, step) alone.
"""

import math

import numpy as np
import numpy.typing as npt

from ganscope.core.compiled import compiled
from ganscope.core.random import fill_normals, keys, philox4x32
from ganscope.games.particle.cloud.target import Target

_u64 = np.uint64
_f32 = np.float32

# What the numbers of a step are for; see ganscope.core.random.
CHOICE, NORMALS, UNIFORMS, WEIGHTS, START, LATENTS = 16, 17, 18, 19, 20, 21


@compiled
def _fill_words(out, purpose, step, k0, k1):
    """out[j] <- 32 random bits."""
    low, high = _u64(step) & _u64(0xFFFFFFFF), _u64(step) >> _u64(32)
    for block in range((len(out) + 3) // 4):
        words = philox4x32(block, purpose, low, high, k0, k1)
        for i in range(min(4, len(out) - 4 * block)):
            out[4 * block + i] = words[i]


@compiled
def _sample(out, sources, width, first, k0, k1):
    """out[t] <- the minibatch of draw number first + t: sources chosen at random, plus normals."""
    draws, batch, axes = out.shape
    words = np.empty(batch, np.uint64)
    normals = np.empty((batch * axes + 63) // 64 * 64, np.float32)
    count = _u64(len(sources))
    for t in range(draws):
        _fill_words(words, CHOICE, first + t, k0, k1)
        if width > 0:
            fill_normals(normals, 0, NORMALS, first + t, k0, k1)
        for i in range(batch):
            source = np.int64((words[i] * count) >> _u64(32))
            for axis in range(axes):
                value = sources[source, axis]
                if width > 0:
                    value += width * normals[i * axes + axis]
                out[t, i, axis] = value


@compiled
def _uniforms(out, first, k0, k1):
    """out[t] <- uniform numbers in (0, 1) of draw number first + t."""
    words = np.empty(out.shape[1], np.uint64)
    for t in range(len(out)):
        _fill_words(words, UNIFORMS, first + t, k0, k1)
        for i in range(len(words)):
            out[t, i] = (words[i] + 0.5) * 2.0**-32


def minibatches(
    target: Target, batch: int, first: int, draws: int, room: int, seed: int, stream: int
) -> npt.NDArray[np.float32]:
    """Real points of `draws` steps of the discriminator from number `first` on, shape `[room, batch, d]`."""
    out = np.zeros((room, batch, target.sources.shape[1]), np.float32)
    k0, k1 = keys(seed, np.uint64(stream))[0]
    _sample(out[:draws], np.array(target.sources), float(target.width), first, k0, k1)
    return out


def uniforms(size: int, first: int, draws: int, room: int, seed: int, stream: int) -> npt.NDArray[np.float32]:
    """Uniform numbers in (0, 1) of `draws` steps, shape `[room, size]`."""
    out = np.zeros((room, size), np.float32)
    k0, k1 = keys(seed, np.uint64(stream))[0]
    _uniforms(out[:draws], first, k0, k1)
    return out


def normals(shape: tuple[int, ...], purpose: int, number: int, seed: int, stream: int) -> npt.NDArray[np.float32]:
    """Standard normals of a run that are drawn once; `number` tells several tensors apart."""
    size = math.prod(shape)
    out = np.empty(-(-size // 64) * 64, np.float32)
    k0, k1 = keys(seed, np.uint64(stream))[0]
    fill_normals(out, 0, purpose, number, k0, k1)
    return out[:size].reshape(shape)
