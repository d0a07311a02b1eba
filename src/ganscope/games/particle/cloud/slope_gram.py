r"""Inner products of a discriminator's values and slopes at given places, which is all that linear theory knows of it.

A discriminator that learns by gradient steps moves by dD(x) = sum_j K(x, y_j) dc_j with the kernel K of its parameters:
K(x, y) = dD(x)/dtheta . dD(y)/dtheta. With rows for slopes first (place by place), then for values,

    Gram = [ d_x d_y^T K    d_x K ]
           [ (d_y K)^T      K     ].

It comes from a kernel, from the parameters of a network of finite width, or from the kernel of an infinitely wide one.

References:
    Jacot, Gabriel, Hongler. Neural tangent kernel. NeurIPS 2018.
"""

import functools
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ganscope.core.errors import NotApplicable
from ganscope.games.kernel.kernels import Kernel
from ganscope.games.particle.generator.activations import unchecked_moments

if TYPE_CHECKING:
    from ganscope.games.particle.cloud.model import ParticleGAN

Array = npt.NDArray[np.float64]

# Numbers that the derivatives by all parameters may take, 0.8 GB.
_MOST_NUMBERS = 10**8
# Central differences of fourth order, in units of the step; their truncation and rounding errors are below 1e-8.
_OFFSETS, _WEIGHTS = np.array([-2.0, -1.0, 1.0, 2.0]), np.array([1.0, -8.0, 8.0, -1.0]) / 12.0
_STEP = 2.0**-9


def slope_gram(game: "ParticleGAN", points: Array, seed: int, infinite_width: bool) -> Array:
    """The Gram matrix of a game's discriminator, per unit of its learning rate.

    Args:
        game: The game.
        points: Places, shape `[n, d]`.
        seed: Of the initial network, where the discriminator is one of finite width.
        infinite_width: Take the kernel of an infinitely wide network instead.

    Returns:
        Shape `[n d + n, n d + n]`: slopes place by place, then values.

    Raises:
        NotApplicable: If slopes have no finite inner product, or the network is too large.
    """
    if isinstance(game.discriminator, Kernel):
        return kernel_gram(game.discriminator, points)
    if infinite_width:
        return wide_gram(game, points)
    return network_gram(game, points, seed)


def kernel_gram(kernel: Kernel, points: Array) -> Array:
    """The Gram matrix of a kernel of the distance."""
    kernel.require_differentiable()
    n, axes = points.shape
    apart = points[:, None] - points[None]
    slopes = -kernel.hessian(apart).transpose(0, 2, 1, 3).reshape(n * axes, n * axes)
    mixed = kernel.gradient(apart).transpose(0, 2, 1).reshape(n * axes, n)
    return np.block([[slopes, mixed], [mixed.T, kernel.value(apart)]])


def network_gram(game: "ParticleGAN", points: Array, seed: int) -> Array:
    """The Gram matrix of a network with its initial parameters."""
    import jax

    from ganscope.games.particle.cloud.discriminators import discriminator_of, start_of

    discriminator, start = discriminator_of(game), start_of(game, seed, 0)
    n, axes = points.shape
    if sum(p.size for p in map(np.asarray, start.parameters)) * n * (axes + 1) > _MOST_NUMBERS:
        expected = "fewer points, or width=inf"
        raise NotApplicable(f"the discriminator has too many parameters for its dense linearisation: {expected}")

    with jax.enable_x64(True):
        parameters = tuple(np.asarray(p, np.float64) for p in start.parameters)
        fixed = tuple(np.asarray(p, np.float64) for p in start.fixed)
        slopes, values = _rows(discriminator)(parameters, fixed, points)
        gram = np.zeros((n * (axes + 1), n * (axes + 1)))
        for slope, level, rate in zip(slopes, values, start.rates, strict=True):
            rows = np.concatenate([np.asarray(slope).reshape(n * axes, -1), np.asarray(level).reshape(n, -1)])
            gram += rate * (rows @ rows.T)
    return gram


@functools.cache
def _rows(discriminator: Any) -> Any:
    """Compiled derivatives by all parameters of the slopes `[n, d]` and values `[n]` of a network."""
    import jax

    def value(parameters: Any, fixed: Any, x: Any) -> Any:
        return discriminator(parameters, fixed, x[None])[0]

    def row(parameters: Any, fixed: Any, x: Any) -> Any:
        return jax.grad(value, argnums=2)(parameters, fixed, x), value(parameters, fixed, x)

    return jax.jit(jax.vmap(jax.jacrev(row), in_axes=(None, None, 0)))


def wide_gram(game: "ParticleGAN", points: Array) -> Array:
    """The Gram matrix of an infinitely wide network, by differences of its tangent kernel.

    Raises:
        NotApplicable: For relu, whose tangent kernel has no finite curvature where points meet.
    """
    activation = game.discriminator_activation
    if activation == "relu":
        raise NotApplicable(
            "the tangent kernel of an infinitely wide relu network has infinite slopes where points meet"
        )
    n, axes = points.shape
    scale = _STEP * max(1.0, float(np.max(np.abs(points))))
    moves = scale * (np.eye(axes)[:, None, :] * _OFFSETS[:, None])
    near = (points[:, None, None, :] + moves).reshape(-1, axes)
    size = float(game.input_size or axes)

    def kernel(x: Array, y: Array) -> Array:
        return tangent_kernel(
            x, y, game.discriminator_depth, activation, game.hidden_variance, game.bias_variance, size
        )

    weight = _WEIGHTS / scale
    both = kernel(near, near).reshape(n * axes, 4, n * axes, 4)
    slopes = np.einsum("ikjl,k,l->ij", both, weight, weight)
    mixed = np.einsum("ikj,k->ij", kernel(near, points).reshape(n * axes, 4, n), weight)
    return np.block([[slopes, mixed], [mixed.T, kernel(points, points)]])


def tangent_kernel(
    x: Array, y: Array, depth: int, activation: str, weight_variance: float, bias_variance: float, size: float
) -> Array:
    """Tangent kernel of an infinitely wide network between points `[n, d]` and `[m, d]`, shape `[n, m]`.

    The recursion is that of `network_kernel`, for inputs of different lengths; the first layer sees |x|^2 / `size`.

    References:
        Jacot, Gabriel, Hongler. Neural tangent kernel. NeurIPS 2018.
    """
    cross = weight_variance / size * (x @ y.T) + bias_variance
    first = np.broadcast_to((weight_variance / size * np.sum(x * x, axis=1) + bias_variance)[:, None], cross.shape)
    second = np.broadcast_to(weight_variance / size * np.sum(y * y, axis=1) + bias_variance, cross.shape)
    tangent = cross
    for _ in range(depth):
        averages = unchecked_moments(activation, first, second, cross, 0.0)
        own = unchecked_moments(activation, first, first, first, 0.0).values
        other = unchecked_moments(activation, second, second, second, 0.0).values
        tangent = weight_variance * (averages.values + averages.slopes * tangent) + bias_variance
        cross = weight_variance * averages.values + bias_variance
        first, second = weight_variance * own + bias_variance, weight_variance * other + bias_variance
    return np.asarray(tangent)


def range_factor(gram: Array) -> Array:
    """R with R R^T = `gram`, of as many columns as the matrix has directions above rounding."""
    values, vectors = np.linalg.eigh((gram + gram.T) / 2)
    kept = values > 1e-13 * max(float(values[-1]), math.ulp(0.0))
    result: Array = vectors[:, kept] * np.sqrt(values[kept])
    return result
