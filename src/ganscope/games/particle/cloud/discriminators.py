r"""Discriminators as pure functions of their parameters: a network in the kernel parametrisation, or random features.

The network of `depth` hidden layers, all parameters starting as standard normals,

    h_1 = sqrt(weight_variance / input_size) W_1 x + sqrt(bias_variance) b_1,
    h_l = sqrt(weight_variance / width) W_l phi(h_{l-1}) + sqrt(bias_variance) b_l,

is held with the factors multiplied into the parameters; a gradient step on the standard normals is then one on the
products with the squared factor as its learning rate. Random features are D(x) = w . phi(x) with
phi_j(x) = sqrt(2 / features) cos(omega_j x + phase_j), w starting at 0.

Both are zero as functions at the start: the network counts from its frozen initial parameters.

References:
    Jacot, Gabriel, Hongler. Neural tangent kernel. NeurIPS 2018.
    Rahimi, Recht. Random features for large-scale kernel machines. NeurIPS 2007.
"""

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import numpy as np
import numpy.typing as npt
import scipy.special
import scipy.stats

from ganscope.games.particle.cloud import piecewise_linear
from ganscope.games.particle.cloud.noise import WEIGHTS, normals
from ganscope.games.particle.cloud.piecewise_linear import product
from ganscope.games.particle.generator.jax_activations import ACTIVATIONS, cos

if TYPE_CHECKING:
    from ganscope.games.particle.cloud.model import ParticleGAN

Parameters = tuple[Any, ...]


class Discriminator(NamedTuple):
    """How a discriminator is evaluated.

    Attributes:
        activation: Name of the network's activation, or "features".
        depth: Hidden layers of a network.
    """

    activation: str
    depth: int

    @property
    def is_network(self) -> bool:
        return self.activation != "features"

    def values_and_slopes(self, parameters: Parameters, fixed: Parameters, x: Any) -> tuple[Any, Any]:
        """Values `[n]` and gradients `[n, d]` at points `[n, d]`, before the initial function is subtracted."""
        if self.activation == "relu":
            values, slopes = piecewise_linear.values_and_slopes(parameters, x)
            return values, slopes

        def total(x: Any) -> tuple[Any, Any]:
            values = self(parameters, fixed, x)
            return values.sum(), values

        slopes, values = jax.grad(total, has_aux=True)(x)
        return values, slopes

    def __call__(self, parameters: Parameters, fixed: Parameters, x: Any) -> Any:
        """Values `[n]` at points `[n, d]`, before the initial function is subtracted."""
        if not self.is_network:
            omega, phase = fixed
            return cos(x @ omega + phase) @ parameters[0]
        phi = ACTIVATIONS[self.activation]
        hidden = phi(product(x, parameters[0]) + parameters[1])
        for layer in range(1, self.depth):
            hidden = phi(hidden @ parameters[2 * layer] + parameters[2 * layer + 1])
        return (hidden * parameters[-2]).sum(axis=1) + parameters[-1]


class Start(NamedTuple):
    """What a discriminator starts from.

    Attributes:
        parameters: What is learned; float32 arrays.
        rates: Learning rate of every array of `parameters`, in units of discriminator_lr.
        fixed: What is not learned.
    """

    parameters: Parameters
    rates: tuple[float, ...]
    fixed: Parameters


def discriminator_of(game: "ParticleGAN") -> Discriminator:
    """How a game's discriminator is evaluated."""
    if game.discriminator == "mlp":
        return Discriminator(game.discriminator_activation, game.discriminator_depth)
    return Discriminator("features", 0)


def start_of(game: "ParticleGAN", seed: int, stream: int) -> Start:
    """Initial parameters of a game's discriminator for one stream of noise."""
    if game.discriminator == "mlp":
        return _network_start(game, seed, stream)
    return _feature_start(game, seed, stream)


def _network_start(game: "ParticleGAN", seed: int, stream: int) -> Start:
    width, depth = game.discriminator_width, game.discriminator_depth
    sizes = [game.axes, *[width] * depth, 1]
    parameters, rates = [], []
    for layer in range(depth + 1):
        inputs = (game.input_size or game.axes) if layer == 0 else width
        for number, (shape, variance) in enumerate(
            [
                ((sizes[layer], sizes[layer + 1]), game.hidden_variance / inputs),
                ((sizes[layer + 1],), game.bias_variance),
            ]
        ):
            drawn = normals(shape, WEIGHTS, 2 * layer + number, seed, stream)
            parameters.append(np.float32(math.sqrt(variance)) * drawn)
            rates.append(variance)
    parameters[-2], parameters[-1] = parameters[-2][:, 0], parameters[-1][0]
    return Start(tuple(parameters), tuple(rates), ())


def _feature_start(game: "ParticleGAN", seed: int, stream: int) -> Start:
    count, kernel = game.features, game.discriminator
    gaussian = normals((count, game.axes), WEIGHTS, 0, seed, stream).astype(np.float64)
    uniform = scipy.special.ndtr(normals((3, count), WEIGHTS, 1, seed, stream).astype(np.float64))
    gammas = np.ones(count)
    if math.isfinite(kernel.mixing_shape):
        gammas = scipy.stats.gamma.ppf(uniform[0], kernel.mixing_shape)
    omega = kernel.frequencies(gaussian, gammas, uniform[1])
    fixed = (_single(omega.T), _single(2 * np.pi * uniform[2]))
    return Start((np.zeros(count, np.float32),), (2.0 / count,), fixed)


def _single(array: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    return np.ascontiguousarray(array, np.float32)
