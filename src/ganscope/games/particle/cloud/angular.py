r"""How stiff a discriminator is against patterns on a circle: the angular Fourier coefficients of its kernel.

A kernel that depends on the angle t between two points of a circle alone is

    K(t) = c_0 + sum over m >= 1 of 2 c_m cos(m t),     c_m = (1/pi) * integral over 0 <= t <= pi of K(t) cos(m t) dt,

and a discriminator trained by gradient ascent learns the m-th harmonic of a ring of points at the rate c_m: the
frequency principle in numbers. A ring of M modes differs from a uniform ring in harmonic M first.

Kernels of relu networks have a cusp at t = 0 (and at pi without biases), where sums over equally spaced angles converge
only as the inverse square of their number. On [0, pi], ends included, they are analytic, and so are Matern and Laplace
kernels, so that Gauss-Legendre quadrature of the half circle converges geometrically for all of them.

References:
    Rahaman et al. On the spectral bias of neural networks. ICML 2019.
    Durr, Mroueh, Tu, Wang. Effective dynamics of generative adversarial networks. Phys. Rev. X 13, 041004 (2023): the
    part of the discriminator's frequencies in mode collapse. The coefficients are this package's way to express it.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from ganscope.core.checks import integer, number
from ganscope.core.errors import NotApplicable, ParameterError
from ganscope.games.kernel.kernels import KERNELS, Kernel
from ganscope.games.particle.generator.network_kernel import ntk

Array = npt.NDArray[np.float64]

_NODES_PER_PANEL = 32
_FEWEST_PANELS, _MOST_PANELS = 2, 2**14
_TOLERANCE = 1e-12
_ACCEPTED = 1e-9
_HIGHEST_HARMONIC = 10_000


def network_angle_kernel(
    depth: int = 2,
    activation: str = "relu",
    weight_variance: float = 2.0,
    bias_variance: float = 0.1,
    fan_in: int = 2,
    radius: float = 1.0,
    negative_slope: float = 0.01,
) -> Callable[[Array], Array]:
    """The tangent kernel of a wide network between points of a circle, as a function of the angle.

    Args:
        depth: Hidden layers, 1 to 10000.
        activation: Name of the activation, see `network_kernel`.
        weight_variance: Variance scale of the weights, > 0.
        bias_variance: Variance scale of the biases, >= 0.
        fan_in: What squared norms are divided by in the first layer, >= 1: the dimension that the network counts.
        radius: Radius of the circle, > 0.
        negative_slope: Slope of `leaky_relu` for negative inputs.

    Returns:
        A function of angles, an array to an array of its shape, as `angular_spectrum` takes it.

    Raises:
        ParameterError: If a parameter is out of its range.

    References:
        Jacot, Gabriel, Hongler. Neural tangent kernel. NeurIPS 2018.
    """
    q = number("radius", radius, above=0) ** 2 / integer("fan_in", fan_in, at_least=1)
    options = (depth, activation, weight_variance, bias_variance, negative_slope)
    ntk(q, q, q, *options)

    def kernel(angle: Array) -> Array:
        result: Array = ntk(q, q, q * np.cos(angle), *options)[1]
        return result

    return kernel


def distance_angle_kernel(kernel: Kernel, radius: float = 1.0) -> Callable[[Array], Array]:
    """A kernel of the distance between points of a circle, as a function of the angle.

    Args:
        kernel: A kernel such as `RBF(0.5)`.
        radius: Radius of the circle, > 0.

    Returns:
        A function of angles, an array to an array of its shape, as `angular_spectrum` takes it.

    Raises:
        ParameterError: If it is not a kernel, or the radius is out of its range.
    """
    radius = number("radius", radius, above=0)
    if not isinstance(kernel, Kernel):
        raise ParameterError("kernel", kernel, f"one of {', '.join(KERNELS)}, for example RBF(1.0)")

    def of_angle(angle: Array) -> Array:
        return kernel.profile((2.0 * radius * np.sin(angle / 2)) ** 2)

    return of_angle


def angular_spectrum(harmonics: Any, kernel_function: Callable[[Array], Array]) -> Array:
    """Angular Fourier coefficients c_m = (1 / pi) integral_0^pi K(t) cos(m t) dt of a kernel on a circle.

    Args:
        harmonics: Whole numbers m >= 0, an array or one number.
        kernel_function: K of the angles between two points, an array of angles in [0, pi] to an array of that shape.

    Returns:
        c_m in the shape of `harmonics`, accurate to 1e-9 c_0 (usually to 1e-13); >= 0 for a positive kernel.

    Raises:
        ParameterError: If a harmonic is out of its range, or the kernel gives another shape or non-finite numbers.
        NotApplicable: If the kernel is too rough for this accuracy.
    """
    orders = _harmonics(harmonics)
    panels = _FEWEST_PANELS
    while panels * _NODES_PER_PANEL < 4 * int(np.max(orders, initial=0)):
        panels *= 2
    before = _quadrature(orders, kernel_function, panels)
    while True:
        panels *= 2
        now = _quadrature(orders, kernel_function, panels)
        scale, change = abs(now[0]), float(np.max(np.abs(now - before)))
        if change <= _TOLERANCE * scale or panels >= _MOST_PANELS:
            break
        before = now
    if not change <= _ACCEPTED * scale:
        raise NotApplicable(f"the kernel is too rough: its coefficients change by {change:.1e} at {panels} panels")
    result: Array = now[1:].reshape(orders.shape)
    return result


def _harmonics(harmonics: Any) -> npt.NDArray[np.int64]:
    values = np.asarray(harmonics)
    if values.dtype.kind not in "iu" or np.any(values < 0) or np.any(values > _HIGHEST_HARMONIC):
        raise ParameterError("harmonics", harmonics, f"whole numbers between 0 and {_HIGHEST_HARMONIC}")
    return values.astype(np.int64)


def _quadrature(orders: npt.NDArray[np.int64], kernel_function: Callable[[Array], Array], panels: int) -> Array:
    """Coefficient 0, then those of all orders, by Gauss-Legendre quadrature on equal panels of [0, pi]."""
    nodes, weights = np.polynomial.legendre.leggauss(_NODES_PER_PANEL)
    angles = (np.pi / panels * (np.arange(panels)[:, None] + 0.5 + 0.5 * nodes)).ravel()
    values = np.asarray(kernel_function(angles), np.float64)
    if values.shape != angles.shape or not np.all(np.isfinite(values)):
        raise ParameterError("kernel_function", kernel_function, "a function from an array of angles to finite numbers")
    weighted = values * np.tile(0.5 / panels * weights, panels)
    return np.array([weighted.sum(), *(np.dot(weighted, np.cos(m * angles)) for m in orders.ravel())])
