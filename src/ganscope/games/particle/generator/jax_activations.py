r"""Activation functions for JAX, in float32 as fast as a processor without a vector library allows.

XLA evaluates sin and cos on a processor by a scalar routine, eight times slower than the short polynomials below, and
softplus by two of them. The polynomials are for float32; other types get the library's functions.

    sin   |error| < 2e-7 for |x| < 1000; reduction by multiples of pi in three parts, whose first products are exact
    softplus = max(x, 0) + log(1 + e),  e = exp(-|x|),  log(1 + e) = 2 artanh(e / (2 + e))

Derivatives are given as functions of the same kind (sin' = cos, cos' = -sin, softplus' = sigmoid), so that gradients of
any order are as fast and as accurate.

References:
    Cody, Waite. Software manual for the elementary functions. 1980.
    Moshier. Cephes mathematical library, single precision, 1992, and Shibata, Petrogalli. SLEEF. IEEE TPDS 31, 1316
    (2020): the constants of sin.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

_PI_PARTS = (3.140625, 9.67502593994140625e-4, 1.509957990978376e-7)
_SIN = (2.6083159809786593e-06, -0.00019810690719168633, 0.00833307858556509, -0.16666659712791443)
_ARTANH = tuple(1.0 / (2 * n + 1) for n in range(8, -1, -1))


def _horner(coefficients: tuple[float, ...], x: Any) -> Any:
    result = jnp.float32(coefficients[0])
    for coefficient in coefficients[1:]:
        result = result * x + jnp.float32(coefficient)
    return result


def _is_single(x: Any) -> bool:
    return bool(jnp.result_type(x) == jnp.float32)


def _sine_about(x: Any, multiple: Any) -> Any:
    """sin(x - multiple pi), where that is at most pi / 2 in modulus."""
    for part in _PI_PARTS:
        x = x - multiple * jnp.float32(part)
    x = jnp.clip(x, -1.5708, 1.5708)  # huge arguments have no accuracy left, but their sine stays bounded
    square = x * x
    return x + x * square * _horner(_SIN, square)


def _sign(k: Any) -> Any:
    """(-1)^k for whole numbers k."""
    return 1 - 2 * (k - 2 * jnp.floor(k * jnp.float32(0.5)))


@jax.custom_jvp
def sin(x: Any) -> Any:
    """Sine, elementwise."""
    if not _is_single(x):
        return jnp.sin(x)
    k = jnp.round(x * jnp.float32(1 / np.pi))
    return _sign(k) * _sine_about(x, k)


@jax.custom_jvp
def cos(x: Any) -> Any:
    """Cosine, elementwise."""
    if not _is_single(x):
        return jnp.cos(x)
    k = jnp.floor(x * jnp.float32(1 / np.pi))
    return -_sign(k) * _sine_about(x, k + jnp.float32(0.5))


@jax.custom_jvp
def softplus(x: Any) -> Any:
    """log(1 + exp(x)), elementwise."""
    if not _is_single(x):
        return jax.nn.softplus(x)
    e = jnp.exp(-jnp.abs(x))
    ratio = e / (2 + e)
    return jnp.maximum(x, 0) + 2 * ratio * _horner(_ARTANH, ratio * ratio)


sin.defjvps(lambda t, value, x: cos(x) * t)
cos.defjvps(lambda t, value, x: -sin(x) * t)
softplus.defjvps(lambda t, value, x: jax.nn.sigmoid(x) * t)


def gelu(x: Any) -> Any:
    """x Phi(x) with the normal law's distribution function Phi, elementwise."""
    return x * (0.5 + 0.5 * jax.lax.erf(x * np.float32(np.sqrt(0.5)) if _is_single(x) else x * np.sqrt(0.5)))


def leaky_relu(x: Any, negative_slope: float = 0.01) -> Any:
    """x where it is positive, otherwise x times `negative_slope`, elementwise."""
    return jnp.where(x > 0, x, negative_slope * x)


def relu(x: Any) -> Any:
    """max(x, 0), elementwise, with derivative 0 at 0."""
    return jnp.where(x > 0, x, jnp.zeros_like(x))


def linear(x: Any) -> Any:
    """The identity."""
    return x


ACTIVATIONS: dict[str, Callable[[Any], Any]] = {
    "relu": relu,
    "leaky_relu": leaky_relu,
    "linear": linear,
    "erf": jax.lax.erf,
    "sin": sin,
    "cos": cos,
    "tanh": jnp.tanh,
    "gelu": gelu,
    "sigmoid": jax.nn.sigmoid,
    "softplus": softplus,
}


def jax_activation(name: str, negative_slope: float = 0.01) -> Callable[[Any], Any]:
    """An activation function by its name, see `ganscope.games.particle.generator.activations`."""
    if name == "leaky_relu":
        return functools.partial(leaky_relu, negative_slope=negative_slope)
    return ACTIVATIONS[name]
