r"""Particles coupled by two kernel numbers: how fast they move against each other, and how fast they move together.

The loss of a generator with a pool of N latents is an average, so that with slopes g_i of the discriminator at its
outputs x_i and the kernel Gamma of the generator

    dx_i/dt = (generator_lr / N) sum_j Gamma_ij g_j
            = relative (g_i - gbar) + mean gbar,     gbar = mean_j g_j

if Gamma is `same_kernel` on the diagonal and `cross_kernel` off it. The matrix Gamma / N then has two eigenvalues,

    relative = generator_lr (same_kernel - cross_kernel) / N              N - 1 times: displacements that sum to zero
    mean     = generator_lr (same_kernel + (N - 1) cross_kernel) / N      once: the centre of mass

and their ratio, the coupling number (1 + (N - 1) r) / (1 - r) with r = cross_kernel / same_kernel, says how strongly
the particles are tied together: 1 if they are free, infinite if they are one rigid body. A small r is a strong
coupling if there are many particles.

References:
    Durr, Mroueh, Tu, Wang. Effective dynamics of generative adversarial networks. Phys. Rev. X 13, 041004 (2023):
    the particles and their kernel. The two mobilities and the coupling number are worked out here.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ganscope.core.checks import integer, numbers_in, one_of, real_array
from ganscope.core.errors import ParameterError

Array = npt.NDArray[np.float64]

CONVENTIONS = ("mean", "rescaled")
# Rounding of kernel numbers that stand exactly on a bound.
_ROUNDING = 1e-12


class Mobilities(NamedTuple):
    """Distance per unit of time (or per step) and per slope of the discriminator.

    Attributes:
        relative: Of motion against the other particles.
        mean: Of the cloud as a whole.
        coupling: mean / relative, the coupling number; infinite for a rigid body.
    """

    relative: Any
    mean: Any
    coupling: Any


def mobilities(
    same_kernel: npt.ArrayLike,
    cross_kernel: npt.ArrayLike,
    particles: int,
    generator_lr: npt.ArrayLike = 1.0,
    convention: str = "mean",
) -> Mobilities:
    """Mobilities of relative and of common motion, from two kernel numbers.

    Args:
        same_kernel: Kernel of a particle with itself, > 0; a number or an array, as are the next and the learning rate.
        cross_kernel: Kernel of two different particles, between -same_kernel / (N - 1) and same_kernel.
        particles: Number N of particles, >= 2.
        generator_lr: Learning rate of the generator, > 0.
        convention: "mean": the generator's loss is the average over its pool. "rescaled": time is multiplied by
            particles / (generator_lr * same_kernel), so that the mobilities are 1 - r and 1 + (N - 1) r whatever the
            learning rate. The coupling number is the same in both.

    Returns:
        The mobilities, numbers or arrays.

    Raises:
        ParameterError: If a number is out of its range, the bounds of `cross_kernel` (those of a positive semidefinite
            kernel) included.

    References:
        Durr, Mroueh, Tu, Wang. Phys. Rev. X 13, 041004 (2023), for the particles.
    """
    count = integer("particles", particles, at_least=2)
    same, cross = _kernel_numbers(same_kernel, cross_kernel, count)
    speed = numbers_in("generator_lr", generator_lr, above=0)
    averaged = one_of("convention", convention, CONVENTIONS) == "mean"
    try:
        np.broadcast_shapes(speed.shape, same.shape)
    except ValueError:
        expected = f"a shape that goes with the kernel numbers' {same.shape}"
        raise ParameterError("generator_lr", speed.shape, expected) from None
    unit = speed / count if averaged else np.ones_like(speed) / same
    relative, mean = unit * (same - cross), unit * np.maximum(same + (count - 1) * cross, 0.0)
    with np.errstate(divide="ignore"):
        coupling = (same + (count - 1) * cross) / (same - cross)
    return Mobilities(relative[()], mean[()], np.maximum(coupling, 0.0)[()])


def _kernel_numbers(same_kernel: npt.ArrayLike, cross_kernel: npt.ArrayLike, particles: int) -> tuple[Array, Array]:
    same = numbers_in("same_kernel", same_kernel, above=0)
    cross = numbers_in("cross_kernel", cross_kernel)
    try:
        same, cross = np.broadcast_arrays(same, cross)
    except ValueError:
        raise ParameterError(
            "cross_kernel", cross.shape, f"a shape that goes with same_kernel's {same.shape}"
        ) from None
    lowest = -same / (particles - 1)
    slack = _ROUNDING * same
    if np.any(cross < lowest - slack) or np.any(cross > same + slack):
        text = "between -same_kernel / (particles - 1) and same_kernel"
        bounds = f"{lowest:.10g} and {same:.10g}" if same.ndim == 0 else "elementwise"
        raise ParameterError(
            "cross_kernel", cross_kernel, f"numbers {text} ({bounds}), so that the kernel is positive semidefinite"
        )
    return same, np.clip(cross, lowest, same)


def ratio_from_coupling(coupling: npt.ArrayLike, particles: int) -> Any:
    """The ratio cross_kernel / same_kernel that gives a coupling number: (coupling - 1) / (coupling + N - 1).

    Args:
        coupling: Coupling number, > 0, a number or an array; infinite for a rigid body.
        particles: Number N of particles, >= 2.

    Returns:
        The ratio, of the shape of `coupling`, between -1 / (N - 1) and 1.

    Raises:
        ParameterError: If a number is out of its range.

    References:
        Durr, Mroueh, Tu, Wang. Phys. Rev. X 13, 041004 (2023), for the particles.
    """
    count = integer("particles", particles, at_least=2)
    chi = numbers_in("coupling", coupling, above=0, infinite=True)
    finite = np.where(np.isinf(chi), 1.0, chi)
    return np.where(np.isinf(chi), 1.0, (finite - 1) / (finite + count - 1))[()]


def apply_coupling(
    gradients: npt.ArrayLike, same_kernel: float, cross_kernel: float, generator_lr: float = 1.0
) -> Array:
    """Velocities of particles, from the slopes of the discriminator at their places.

    One pass over the particles, without the kernel matrix.

    Args:
        gradients: Slopes, shape `[..., N, d]` with N >= 2 particles.
        same_kernel, cross_kernel, generator_lr: Numbers as in `mobilities`.

    Returns:
        Velocities, the shape of `gradients`.

    Raises:
        ParameterError: If a number is out of its range or `gradients` has another shape.

    References:
        Durr, Mroueh, Tu, Wang. Phys. Rev. X 13, 041004 (2023), for the particles.
    """
    given = np.asarray(gradients)
    if given.dtype.kind not in "fiu" or given.ndim < 2:
        raise ParameterError("gradients", given.shape, "real numbers of shape [..., particles, coordinates]")
    slopes = real_array("gradients", given)
    speeds = mobilities(same_kernel, cross_kernel, slopes.shape[-2], generator_lr)
    if np.ndim(speeds.mean) > 0:
        raise ParameterError("same_kernel", same_kernel, "numbers, not arrays, for the kernel and generator_lr")
    mean = np.mean(slopes, axis=-2, keepdims=True)
    result: Array = speeds.relative * (slopes - mean) + speeds.mean * mean
    return result
