r"""The tangent kernel of a wide random network, and the two numbers that it takes for particles.

A network with `depth` hidden layers in the tangent-kernel parametrisation, all W and b entries N(0, 1):

    h^1 = sqrt(sw2 / d_z) W^1 z + sqrt(sb2) b^1,    h^(l+1) = sqrt(sw2 / n) W^(l+1) phi(h^l) + sqrt(sb2) b^(l+1)

with output h^(depth + 1) and |z|^2 = latent_norm d_z. As the width n grows, outputs become Gaussian with covariance
S (the NNGP kernel) and the sum over parameters of products of derivatives becomes T (the tangent kernel, NTK):

    S = T = sw2 z.z' / d_z + sb2,   then per hidden layer   S <- sw2 E[phi phi] + sb2,   T <- S + sw2 E[phi' phi'] T.

Latents of high dimension are all but orthogonal, so particles know only T of a latent with itself (`same_kernel`) and
of two orthogonal ones (`cross_kernel`).

References:
    Jacot, Gabriel, Hongler. Neural tangent kernel. NeurIPS 2018.
    Durr, Mroueh, Tu, Wang. Effective dynamics of generative adversarial networks. Phys. Rev. X 13, 041004 (2023).
    The formulas for finite latent dimension are derived here.
"""

import math
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ganscope.core.checks import integer, number, numbers_in
from ganscope.core.errors import NotApplicable, ParameterError
from ganscope.games.particle.generator.activations import (
    COSINE_SLACK,
    HOMOGENEOUS,
    LIKE_RELU,
    SLOPE_AT_ZERO,
    Moments,
    check_activation,
    check_covariance,
    unchecked_moments,
)

Array = npt.NDArray[np.float64]

MOST_LAYERS = 10_000
# Relative spread of the rates of relative motion beyond which two numbers no longer describe a generator.
LARGEST_SPREAD = 0.3
_LARGEST = 1e30
# Variances beyond which an activation is replaced by its limit; errors of that are below rounding.
_TINY, _HUGE = 1e-30, 1e30
# Relative difference of both kernel numbers below which rounding decides.
_RIGID = 1e-12


class KernelSpreadWarning(UserWarning):
    """The latent dimension is too small for the kernel of a generator to be two numbers."""


@dataclass(frozen=True)
class NetworkKernel:
    """The kernel of a wide generator, as `network_kernel` computes it.

    Args:
        depth: Hidden layers.
        activation: Name of the activation.
        weight_variance: Variance scale of the weights.
        bias_variance: Variance scale of the biases.
        latent_norm: Squared norm of the latents per dimension.
        negative_slope: Slope of `leaky_relu` for negative inputs.
        same_kernel: Tangent kernel of a latent with itself; infinite or 0 beyond the range of float64.
        cross_kernel: Tangent kernel of two orthogonal latents; infinite or 0 beyond the range of float64.
        ratio: cross_kernel / same_kernel, in [0, 1], right even where these are out of range.
        slope: Derivative of the tangent kernel by the cosine of two latents, at cosine 0.
        relative_slope: slope / same_kernel.
    """

    depth: int
    activation: str
    weight_variance: float
    bias_variance: float
    latent_norm: float
    negative_slope: float
    same_kernel: float
    cross_kernel: float
    ratio: float
    slope: float
    relative_slope: float

    def coupling(self, particles: int) -> float:
        """Mobility of the centre of mass over that of relative motion, (1 + (N - 1) ratio) / (1 - ratio).

        Args:
            particles: Number N >= 2 of particles.

        Returns:
            At least 1; infinite when the particles move as a rigid body.

        Raises:
            ParameterError: If `particles` is not an integer >= 2.
        """
        particles = integer("particles", particles, at_least=2)
        relative = 1.0 - self.ratio
        return (1.0 + (particles - 1) * self.ratio) / relative if relative > 0 else math.inf

    def cross_spread(self, latent_dimension: int) -> float:
        """Standard deviation of the cross kernel over pairs of latents on the sphere, slope / sqrt(latent_dimension).

        Args:
            latent_dimension: Dimension >= 2 of the latents.

        Returns:
            The standard deviation, in units of the kernel; the width of a network adds to it.

        Raises:
            ParameterError: If `latent_dimension` is not an integer >= 2.
        """
        return self.slope / math.sqrt(_latent_dimension(latent_dimension))

    def rate_spread(self, particles: int, latent_dimension: int) -> float:
        """Relative standard deviation of the N - 1 rates of relative motion at a finite latent dimension.

        It is slope / (same_kernel - cross_kernel) sqrt(N / latent_dimension) and 0 for the two-number kernel, which
        therefore needs many more latent dimensions than particles; a `KernelSpreadWarning` tells when it exceeds 0.3.

        Args:
            particles: Number N >= 2 of particles.
            latent_dimension: Dimension >= 2 of the latents.

        Returns:
            The relative standard deviation, 0.3 for rates of 1 +- 0.3.

        Raises:
            ParameterError: If an argument is out of its range.
            NotApplicable: If the particles move as a rigid body: there is no relative motion.
        """
        particles = integer("particles", particles, at_least=2)
        dimension = _latent_dimension(latent_dimension)
        spread = self.relative_slope / self._relative_part() * math.sqrt(particles / dimension)
        if spread > LARGEST_SPREAD:
            warnings.warn(
                f"relative rates of {particles} particles spread by {spread:.2g} at latent_dimension = {dimension}: "
                f"two kernel numbers describe the generator only below {LARGEST_SPREAD:g}; take fewer particles or "
                "a larger latent_dimension",
                KernelSpreadWarning,
                stacklevel=2,
            )
        return spread

    def effective_particles(self, latent_dimension: int) -> float:
        """Size of the pool of latents that fresh latents at every step amount to.

        It is latent_dimension (same_kernel - cross_kernel) / slope: with fresh latents, relative motion is linear in
        the latent and has mobility slope / latent_dimension per unit learning rate. Infinite for slope 0.

        Args:
            latent_dimension: Dimension >= 2 of the latents.

        Returns:
            A number of particles.

        Raises:
            ParameterError: If `latent_dimension` is not an integer >= 2.
            NotApplicable: If the particles move as a rigid body: there is no relative motion.
        """
        dimension = _latent_dimension(latent_dimension)
        return dimension * self._relative_part() / self.relative_slope if self.relative_slope > 0 else math.inf

    def fresh_coupling(self, latent_dimension: int) -> float:
        """Coupling number with fresh latents at every step, cross_kernel latent_dimension / slope.

        To leading order in 1 / latent_dimension; infinite for slope 0.

        Args:
            latent_dimension: Dimension >= 2 of the latents.

        Returns:
            The coupling number.

        Raises:
            ParameterError: If `latent_dimension` is not an integer >= 2.
        """
        dimension = _latent_dimension(latent_dimension)
        return self.ratio * dimension / self.relative_slope if self.relative_slope > 0 else math.inf

    def at(self, cosine: Any) -> Any:
        """Tangent kernel of two latents of a given cosine.

        Args:
            cosine: Between -1 and 1, a number or an array.

        Returns:
            The kernel, of the shape of `cosine`: `same_kernel` at 1, `cross_kernel` at 0.

        Raises:
            ParameterError: If a cosine is outside [-1, 1], or the kernel is beyond the range of float64.
        """
        return self._kernels(cosine)[1]

    def nngp(self, cosine: Any) -> Any:
        """Covariance of the outputs for two latents of a given cosine, over random networks.

        Args:
            cosine: Between -1 and 1, a number or an array.

        Returns:
            The covariance of one component of the output, of the shape of `cosine`.

        Raises:
            ParameterError: If a cosine is outside [-1, 1], or the kernel is beyond the range of float64.
        """
        return self._kernels(cosine)[0]

    def _kernels(self, cosine: Any) -> tuple[Any, Any]:
        cosine = numbers_in("cosine", cosine)
        if np.any(np.abs(cosine) > 1 + COSINE_SLACK):
            raise ParameterError("cosine", cosine, "numbers between -1 and 1")
        variances = np.full(cosine.shape, self.latent_norm)
        return ntk(
            variances,
            variances,
            self.latent_norm * np.clip(cosine, -1, 1),
            self.depth,
            self.activation,
            self.weight_variance,
            self.bias_variance,
            self.negative_slope,
        )

    def _relative_part(self) -> float:
        if self.ratio > 1.0 - _RIGID:
            raise NotApplicable(
                f"same_kernel and cross_kernel agree to rounding at depth {self.depth}: particles move as a rigid body"
            )
        return 1.0 - self.ratio


def _latent_dimension(value: Any) -> int:
    return integer("latent_dimension", value, at_least=2)


def _up_to(name: str, value: Any, *, above: float | None = None, at_least: float | None = None) -> float:
    result = number(name, value, above=above, at_least=at_least)
    if result > _LARGEST:
        raise ParameterError(name, value, f"a number of at most {_LARGEST:g}")
    return result


def _depth(value: Any) -> int:
    expected = f"an integer between 1 and {MOST_LAYERS}"
    try:
        depth = integer("depth", value, at_least=1)
    except ParameterError:
        raise ParameterError("depth", value, expected) from None
    if depth > MOST_LAYERS:
        raise ParameterError("depth", value, expected)
    return depth


class _Pair:
    """Gaussian averages for one layer, for a latent with itself and with an orthogonal one."""

    def __init__(self, activation: str, negative_slope: float) -> None:
        self.activation, self.negative_slope = activation, negative_slope
        self.latest: tuple[float, float, str] | None = None
        self.moments: Moments | None = None

    def __call__(self, variance: float, exponent: int, correlation: float) -> tuple[Moments, float, int]:
        """Averages, and the variance in the units 2^exponent that they are in.

        Where the activation is homogeneous, or so close to it that rounding hides the difference, units are free and
        no depth over- or underflows.
        """
        fraction, shift = math.frexp(variance)
        exponent += shift
        size = math.ldexp(fraction, max(min(exponent, 1000), -1000))
        name, gain = self.activation, 1.0
        if size < _TINY and name in SLOPE_AT_ZERO:
            name, gain = "linear", SLOPE_AT_ZERO[name] ** 2
        elif size > _HUGE and name in LIKE_RELU:
            name = "relu"
        if name not in HOMOGENEOUS:
            fraction, exponent = size, 0
        if self.moments is None or self.latest != (fraction, correlation, name):
            diagonal = np.full(2, fraction)
            covariance = np.array([fraction, correlation * fraction])
            averages = unchecked_moments(name, diagonal, diagonal, covariance, self.negative_slope)
            self.moments = Moments(*((gain * np.asarray(x)).tolist() for x in averages))
            self.latest = (fraction, correlation, name)
        return self.moments, fraction, exponent


def network_kernel(
    depth: int = 2,
    activation: str = "relu",
    weight_variance: float = 2.0,
    bias_variance: float = 0.0,
    latent_norm: float = 1.0,
    negative_slope: float = 0.01,
) -> NetworkKernel:
    """The two numbers of a wide generator's tangent kernel, and what follows from them.

    Components of the output are uncorrelated, each with this kernel. Without a bias of the read-out, subtract
    `bias_variance` from both numbers; an output multiplied by s multiplies both by s^2.

    Args:
        depth: Hidden layers, 1 to 10000.
        activation: `relu`, `leaky_relu`, `linear`, `erf`, `sin`, `cos`, `tanh`, `gelu`, `sigmoid` or `softplus`.
        weight_variance: Variance scale of the weights, > 0.
        bias_variance: Variance scale of the biases, >= 0.
        latent_norm: Squared norm of the latents divided by their dimension, > 0.
        negative_slope: Slope of `leaky_relu` for negative inputs.

    Returns:
        The two numbers, and methods for coupling, spread and other cosines.

    Raises:
        ParameterError: If a parameter is out of its range; variances and the norm go up to 1e30.

    References:
        Jacot, Gabriel, Hongler. Neural tangent kernel. NeurIPS 2018.
    """
    depth = _depth(depth)
    activation, negative_slope = check_activation("activation", activation, negative_slope)
    weight_variance = _up_to("weight_variance", weight_variance, above=0)
    bias_variance = _up_to("bias_variance", bias_variance, at_least=0)
    latent_norm = _up_to("latent_norm", latent_norm, above=0)

    # All by their size: correlation S/Q, tangent T_on / Q, ratio T_off / T_on, and derivatives by the cosine, of S / Q
    # and T_off / T_on. Variances Q are `variance` 2^`exponent`.
    variance, exponent = weight_variance * latent_norm + bias_variance, 0
    if variance == 0.0:
        raise ParameterError("latent_norm", latent_norm, "a number whose product with weight_variance is above 1e-308")
    ratio = correlation = bias_variance / variance
    relative_slope = correlation_slope = weight_variance * latent_norm / variance
    tangent, cross = 1.0, bias_variance
    averages = _Pair(activation, negative_slope)
    for _ in range(depth):
        (values, slopes, bends), variance, exponent = averages(variance, exponent, correlation)
        parallel = correlation
        bias = _scaled(bias_variance, -exponent)
        before, variance = variance, weight_variance * values[0] + bias
        covariance = weight_variance * values[1] + bias
        correlation = min(covariance / variance, 1.0)
        growth = weight_variance * before / variance
        tangent = 1.0 + growth * slopes[0] * tangent
        new, loss = 1.0 / tangent, slopes[1] / slopes[0]
        # At correlation 1 (to rounding) the slope has decayed below rounding too, while bends of relu are infinite.
        bend = bends[1] * before / slopes[0] * correlation_slope * ratio if parallel < 1.0 else 0.0
        correlation_slope *= growth * slopes[1]
        relative_slope = new * correlation_slope + (1.0 - new) * (loss * relative_slope + bend)
        ratio = min(new * correlation + (1.0 - new) * loss * ratio, 1.0)
        cross = _scaled(covariance, exponent) + weight_variance * slopes[1] * cross
    same = _scaled(variance * tangent, exponent)
    return NetworkKernel(
        depth,
        activation,
        weight_variance,
        bias_variance,
        latent_norm,
        negative_slope,
        same_kernel=same,
        cross_kernel=cross,
        ratio=ratio,
        slope=relative_slope * same if relative_slope else 0.0,
        relative_slope=relative_slope,
    )


def _scaled(value: float, exponent: int) -> float:
    """value 2^exponent, infinite or 0 beyond the range of float64."""
    try:
        return math.ldexp(value, exponent)
    except OverflowError:
        return math.copysign(math.inf, value)


def ntk(
    q1: Any,
    q2: Any,
    c12: Any,
    depth: int = 2,
    activation: str = "relu",
    weight_variance: float = 2.0,
    bias_variance: float = 0.0,
    negative_slope: float = 0.01,
) -> tuple[Any, Any]:
    """Kernels of a wide network for two inputs x, y of any norms, n the input dimension.

    Args:
        q1: |x|^2 / n, >= 0; arrays broadcast.
        q2: |y|^2 / n, >= 0.
        c12: x.y / n, at most sqrt(q1 q2) in modulus.
        depth: Hidden layers, 1 to 10000.
        activation: Name of the activation, see `network_kernel`.
        weight_variance: Variance scale of the weights, > 0.
        bias_variance: Variance scale of the biases, >= 0.
        negative_slope: Slope of `leaky_relu` for negative inputs.

    Returns:
        NNGP kernel (covariance of outputs over random networks) and tangent kernel, numbers or arrays.

    Raises:
        ParameterError: If a parameter is out of its range, or the kernel is beyond the range of float64.

    References:
        Jacot, Gabriel, Hongler. Neural tangent kernel. NeurIPS 2018.
    """
    depth = _depth(depth)
    activation, negative_slope = check_activation("activation", activation, negative_slope)
    weight_variance = _up_to("weight_variance", weight_variance, above=0)
    bias_variance = _up_to("bias_variance", bias_variance, at_least=0)
    q1, q2, c12 = check_covariance(q1, q2, c12)
    first, second, covariance = (weight_variance * x + bias_variance for x in (q1, q2, c12))
    same_norm = np.array_equal(first, second)
    tangent = covariance
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        for _ in range(depth):
            pair = unchecked_moments(activation, first, second, covariance, negative_slope)
            covariance = weight_variance * pair.values + bias_variance
            tangent = covariance + weight_variance * pair.slopes * tangent
            ones = unchecked_moments(activation, first, first, first, negative_slope).values
            others = ones if same_norm else unchecked_moments(activation, second, second, second, negative_slope).values
            first, second = weight_variance * ones + bias_variance, weight_variance * others + bias_variance
            # Rounding must not make two inputs more than parallel.
            largest = np.sqrt(first * second)
            covariance = np.clip(covariance, -largest, largest)
    if not (np.all(np.isfinite(tangent)) and np.all(np.isfinite(covariance))):
        expected = f"a value for which the kernel of {depth} layers stays below 1e150"
        raise ParameterError("weight_variance", weight_variance, expected)
    return (covariance[()], tangent[()]) if np.ndim(tangent) else (float(covariance), float(tangent))
