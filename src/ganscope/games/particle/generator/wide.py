r"""A wide generator: the network whose infinite-width kernel `network_kernel` computes, at a finite width.

    h^1 = sqrt(weight_variance / d_z) z W^1 + sqrt(bias_variance) b^1
    h^(l+1) = sqrt(weight_variance / width) phi(h^l) W^(l+1) + sqrt(bias_variance) b^(l+1),   output h^(depth + 1)

All entries of W and b start as standard normals (the tangent-kernel parametrisation), and latents lie on the sphere
|z|^2 = latent_norm d_z, since a spread of their norms would spread the kernel.

References:
    Jacot, Gabriel, Hongler. Neural tangent kernel. NeurIPS 2018.
"""

import itertools
import math
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from ganscope.core.checks import integer
from ganscope.core.errors import ParameterError
from ganscope.core.random import VECTOR_NOISE, normal_float32
from ganscope.games.particle.generator.jax_activations import jax_activation
from ganscope.games.particle.generator.network_kernel import NetworkKernel, network_kernel

Parameters = tuple[tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]], ...]

# What the random numbers of a stream are for: parameters are VECTOR_NOISE, tensor by tensor.
_LATENTS = 24


@dataclass(frozen=True)
class WideGenerator:
    """A multilayer perceptron in the tangent-kernel parametrisation.

    Args:
        outputs: Dimension d >= 1 of the outputs.
        depth: Hidden layers, 1 to 10000.
        activation: Name of the activation, see `network_kernel`.
        width: Units of each hidden layer, >= 1.
        latent_dimension: Dimension >= 2 of the latents.
        weight_variance: Variance scale of the weights, > 0.
        bias_variance: Variance scale of the biases, >= 0.
        latent_norm: Squared norm of the latents divided by their dimension, > 0.
        negative_slope: Slope of `leaky_relu` for negative inputs.

    Raises:
        ParameterError: If a parameter is out of its range.
    """

    outputs: int
    depth: int = 2
    activation: str = "relu"
    width: int = 512
    latent_dimension: int = 512
    weight_variance: float = 2.0
    bias_variance: float = 0.0
    latent_norm: float = 1.0
    negative_slope: float = 0.01

    def __post_init__(self) -> None:
        kernel = self.kernel()
        for name in ("depth", "weight_variance", "bias_variance", "latent_norm", "negative_slope"):
            object.__setattr__(self, name, getattr(kernel, name))
        for name, lowest in (("outputs", 1), ("width", 1), ("latent_dimension", 2)):
            object.__setattr__(self, name, integer(name, getattr(self, name), at_least=lowest))

    @property
    def layer_sizes(self) -> tuple[int, ...]:
        """Units of every layer, latents and outputs included."""
        return (self.latent_dimension, *[self.width] * self.depth, self.outputs)

    def initial(self, seed: int = 0, stream: int = 0) -> Parameters:
        """Standard normal parameters: (W `[inputs, units]`, b `[units]`) for each layer, float32.

        Args:
            seed: Integer in 0 .. 2^64 - 1.
            stream: Integer in 0 .. 2^64 - 1, what the network is for.

        Raises:
            ParameterError: If the seed is out of its range.
        """

        def normals(shape: tuple[int, ...], tensor: int) -> npt.NDArray[np.float32]:
            return normal_float32(math.prod(shape), seed, stream, tensor, VECTOR_NOISE).reshape(shape)

        sizes = self.layer_sizes
        return tuple(
            (normals((inputs, units), 2 * layer), normals((units,), 2 * layer + 1))
            for layer, (inputs, units) in enumerate(itertools.pairwise(sizes))
        )

    def latents(self, particles: int, seed: int = 0, stream: int = 0) -> npt.NDArray[np.float32]:
        """Latents uniform on the sphere |z|^2 = latent_norm d_z, shape `[particles, latent_dimension]`, float32.

        The first ones do not depend on how many there are.

        Args:
            particles: How many, >= 1.
            seed: Integer in 0 .. 2^64 - 1.
            stream: Integer in 0 .. 2^64 - 1, what the latents are for.

        Raises:
            ParameterError: If `particles` is not an integer >= 1, or the seed is out of its range.
        """
        shape = (integer("particles", particles, at_least=1), self.latent_dimension)
        z = normal_float32(math.prod(shape), seed, stream, 0, _LATENTS).reshape(shape).astype(np.float64)
        norms = np.linalg.norm(z, axis=1, keepdims=True)
        radius = math.sqrt(self.latent_norm * self.latent_dimension)
        return np.asarray(z * (radius / norms), np.float32)

    def apply(self, parameters: Any, latents: Any) -> Any:
        """Outputs `[N, outputs]` of latents `[N, latent_dimension]`; traced and differentiated by JAX.

        Args:
            parameters: As `initial` gives them.
            latents: Shape `[N, latent_dimension]`.

        Raises:
            ParameterError: If the latents have another shape.
        """
        if jnp.ndim(latents) != 2 or jnp.shape(latents)[1] != self.latent_dimension:
            expected = f"shape [N, {self.latent_dimension}]"
            raise ParameterError("latents", f"shape {jnp.shape(latents)}", expected)
        phi = jax_activation(self.activation, self.negative_slope)
        bias_scale = math.sqrt(self.bias_variance)
        h = jnp.asarray(latents)
        for layer, (weights, biases) in enumerate(parameters):
            scale = math.sqrt(self.weight_variance / self.layer_sizes[layer])
            h = scale * ((phi(h) if layer else h) @ weights) + bias_scale * biases
        return h

    def kernel(self) -> NetworkKernel:
        """The kernel of this generator at infinite width."""
        return network_kernel(
            self.depth,
            self.activation,
            self.weight_variance,
            self.bias_variance,
            self.latent_norm,
            self.negative_slope,
        )
