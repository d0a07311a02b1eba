"""The networks of the suite as pure functions of trees of arrays; games of a kind share one function object."""

import functools
import itertools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ganscope.claims.suite.distribution import LATENT_SIZE, Configuration

# Layers as (weights, biases); normalised hidden layers as (weights, biases, gains).
Layers = list[Any]
Apply = Callable[[Any, Any], Any]

_IMAGE = 8


def _activation(name: str) -> Callable[[Any], Any]:
    return jnp.tanh if name == "tanh" else functools.partial(jax.nn.leaky_relu, negative_slope=0.2)


def _gain(name: str) -> float:
    """Keeps the variance of activations through the layers."""
    return 1.0 if name == "tanh" else float(np.sqrt(2 / (1 + 0.2**2)))


def initial(configuration: Configuration, axes: int) -> tuple[Layers, Layers]:
    """Random parameters of both players, float32; biases are 0."""
    rng = np.random.default_rng(configuration.stream(0))
    if configuration.network == "conv":
        return _initial_convolutions(configuration, rng)
    hidden = [configuration.width] * configuration.depth
    generator = _initial_mlp([LATENT_SIZE, *hidden, axes], configuration.activation, rng)
    discriminator = _initial_mlp([axes, *hidden, 1], configuration.activation, rng)
    if configuration.network == "batchnorm":
        discriminator = [
            *((w, b, np.ones_like(b)) for w, b in discriminator[:-1]),
            discriminator[-1],
        ]
    return generator, discriminator


def _initial_mlp(sizes: list[int], activation: str, rng: np.random.Generator) -> Layers:
    layers = []
    for k, (into, out) in enumerate(itertools.pairwise(sizes)):
        gain = _gain(activation) if k < len(sizes) - 2 else 1.0
        weights = gain * rng.normal(size=(into, out)) / np.sqrt(into)
        layers.append((weights.astype(np.float32), np.zeros(out, np.float32)))
    return layers


def _initial_convolutions(configuration: Configuration, rng: np.random.Generator) -> tuple[Layers, Layers]:
    gain, channels = _gain(configuration.activation), configuration.width // 3

    def kernel(*shape: int) -> Any:
        return (gain * rng.normal(size=shape) / np.sqrt(np.prod(shape[:-1]))).astype(np.float32)

    def layer(*shape: int) -> Any:
        return kernel(*shape), np.zeros(shape[-1], np.float32)

    generator = [layer(LATENT_SIZE, 16 * channels), layer(3, 3, channels, channels), layer(3, 3, channels, 1)]
    discriminator = [layer(3, 3, 1, channels), layer(3, 3, channels, 2 * channels), layer(8 * channels, 1)]
    return generator, discriminator


@functools.cache
def generator_of(network: str, activation: str) -> Apply:
    """(theta, z) -> samples `[count, d]`."""
    phi = _activation(activation)
    if network == "conv":

        def images(theta: Layers, z: Any) -> Any:
            (w, b), (w1, b1), (w2, b2) = theta
            grown = phi(z @ w + b).reshape(z.shape[0], 4, 4, -1)
            large = jnp.repeat(jnp.repeat(grown, 2, axis=1), 2, axis=2)
            shown = _convolve(phi(_convolve(large, w1, 1) + b1), w2, 1) + b2
            return shown.reshape(z.shape[0], _IMAGE * _IMAGE)

        return images
    return _mlp(activation)


@functools.cache
def discriminator_of(network: str, activation: str) -> Apply:
    """(phi, x) -> scores `[count]`."""
    phi = _activation(activation)
    if network == "conv":

        def judge(parameters: Layers, x: Any) -> Any:
            (w, b), (w1, b1), (w2, b2) = parameters
            h = phi(_convolve(x.reshape(x.shape[0], _IMAGE, _IMAGE, 1), w, 2) + b)
            h = phi(_convolve(h, w1, 2) + b1)
            return (h.reshape(x.shape[0], -1) @ w2 + b2)[:, 0]

        return judge
    if network == "batchnorm":

        def normalised(parameters: Layers, x: Any) -> Any:
            for w, b, gain in parameters[:-1]:
                h = x @ w
                h = (h - h.mean(axis=0)) / jnp.sqrt(h.var(axis=0) + 1e-5)
                x = phi(gain * h + b)
            w, b = parameters[-1]
            return (x @ w + b)[:, 0]

        return normalised
    if network == "spectralnorm":
        plain = _mlp(activation)

        def bounded(parameters: Layers, x: Any) -> Any:
            return plain([(w / _spectral_norm(w), b) for w, b in parameters], x)[:, 0]

        return bounded
    mlp = _mlp(activation)
    return lambda parameters, x: mlp(parameters, x)[:, 0]


@functools.cache
def _mlp(activation: str) -> Apply:
    phi = _activation(activation)

    def apply(parameters: Layers, x: Any) -> Any:
        for w, b in parameters[:-1]:
            x = phi(x @ w + b)
        w, b = parameters[-1]
        return x @ w + b

    return apply


def _convolve(x: Any, kernel: Any, stride: int) -> Any:
    """A 3x3 convolution `[n, h, w, c] -> [n, h/stride, w/stride, c']` as one matrix product of patches.

    XLA's own one takes ten times as long on CPUs, where its derivatives are not prepared for small channels.
    """
    _, height, width, _ = x.shape
    padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    shifted = [padded[:, a : a + height : stride, b : b + width : stride] for a in range(3) for b in range(3)]
    return jnp.concatenate(shifted, axis=3) @ kernel.reshape(-1, kernel.shape[-1])


def _spectral_norm(weights: Any) -> Any:
    """Largest singular value; its singular vectors, by power iteration, are taken as constants, as is usual."""
    v = jnp.ones(weights.shape[1], weights.dtype)
    for _ in range(8):
        u = weights @ v
        u = u / (jnp.linalg.norm(u) + 1e-12)
        v = weights.T @ u
        v = v / (jnp.linalg.norm(v) + 1e-12)
    u, v = jax.lax.stop_gradient((u, v))
    return u @ weights @ v
