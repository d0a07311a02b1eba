r"""A feature GAN beside the data: its modes, its limit of a fast discriminator, and the constants of its convergence.

Where the generator matches the data and the discriminator is 0, mode k of strength s_k^2 is a damped oscillator,

    z'' + critic_penalty discriminator_lr z' + generator_lr discriminator_lr s_k^2 z = 0

References:
    Turinici. Convergence dynamics of generative adversarial networks: the dual metric flows. 2020.
    Arbel, Korba, Salim, Gretton. Maximum mean discrepancy gradient flow. 2019.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ganscope.core.checks import number, real_array
from ganscope.core.errors import ParameterError
from ganscope.games.dualflow.collapse.smoothed import as_kernel, as_points

Array = npt.NDArray[np.float64]

# Strengths below this share of the largest one are neutral directions.
_NEUTRAL = 1e-12


@dataclass(frozen=True, eq=False)
class LocalModes:
    """Motion of a feature GAN beside an equilibrium where the generator matches the data.

    Attributes:
        strengths: s_k^2 in decreasing order, shape `[modes]`; neutral ones are left out.
        roots: Both roots of every mode, shape `[modes, 2]`, the slower one first.
        overdamped: Whether a mode does not oscillate, shape `[modes]`.
        best_penalty: The critic_penalty that damps a mode best, 2 s_k sqrt(generator_lr / discriminator_lr), `[modes]`.
        slow_rates: generator_lr s_k^2 / critic_penalty, what the slower root approaches for large penalties, `[modes]`.
    """

    strengths: Array
    roots: npt.NDArray[np.complex128]
    overdamped: npt.NDArray[np.bool_]
    best_penalty: Array
    slow_rates: Array


def local_modes(
    gram: Any, critic_penalty: float, generator_lr: float = 1.0, discriminator_lr: float = 1.0
) -> LocalModes:
    """Local modes at an equilibrium, from the Gram matrix of the gradients of the features.

    Args:
        gram: Mean over the points of the outer products of feature gradients, shape `[p, p]`, see
            `feature_gradient_gram`; `kernel_gradient_gram` has the same eigenvalues other than 0.
        critic_penalty: Of the discriminator, >= 0.
        generator_lr, discriminator_lr: Speeds, > 0.

    Raises:
        ParameterError: If an argument is out of its range or the matrix is not symmetric.

    References:
        Turinici (2020), whose setting this is; derived in docs/theory/dualflow.md.
    """
    matrix = real_array("gram", gram, ndim=2)
    if (
        matrix.size == 0
        or matrix.shape[0] != matrix.shape[1]
        or np.max(np.abs(matrix - matrix.T)) > 1e-10 * np.max(np.abs(matrix))
    ):
        raise ParameterError("gram", f"shape {matrix.shape}", "a symmetric matrix")
    penalty = number("critic_penalty", critic_penalty, at_least=0)
    slow = number("generator_lr", generator_lr, above=0)
    fast = number("discriminator_lr", discriminator_lr, above=0)
    values = np.linalg.eigvalsh(matrix)[::-1]
    if len(values) and values[-1] < -1e-8 * np.max(np.abs(values)):
        raise ParameterError("gram", f"eigenvalue {values[-1]:.4g}", "a positive semidefinite matrix")
    strengths = np.asarray(values[values > _NEUTRAL * max(float(values[0]), 0.0)], np.float64)
    damping = penalty * fast
    stiffness = slow * fast * strengths
    root = np.sqrt(damping**2 / 4 - stiffness + 0j)
    # the slow root without cancellation
    far = -(damping / 2 + root)
    near = np.where(root.imag == 0, stiffness / np.where(far == 0, 1.0, far), -damping / 2 + root)
    with np.errstate(divide="ignore"):
        rates = slow * strengths / penalty if penalty > 0 else np.full(len(strengths), np.inf)
    return LocalModes(
        strengths,
        np.stack([near, far], axis=1),
        damping > 2 * np.sqrt(stiffness),
        2 * np.sqrt(strengths * slow / fast),
        np.asarray(rates, np.float64),
    )


def feature_gradient_gram(gradients: Any) -> Array:
    """Mean over points of the outer products of the features' gradients, summed over axes.

    Args:
        gradients: Derivatives of the features at the points, shape `[points, axes, p]`.

    Returns:
        Shape `[p, p]`.
    """
    array = real_array("gradients", gradients, ndim=3)
    rows = array.reshape(-1, array.shape[2])
    result: Array = rows.T @ rows / len(array)
    return result


def kernel_gradient_gram(points: Any, kernel: Any) -> Array:
    """The same for a kernel: its mixed second derivatives between all points, over the number of points.

    Args:
        points: Shape `[N, d]`; a list of numbers is points on a line.
        kernel: A kernel, or the bandwidth of a Gaussian one.

    Returns:
        Shape `[N d, N d]`; its eigenvalues other than 0 are those of `feature_gradient_gram`.

    Raises:
        NotApplicable: If the kernel is not differentiable where points meet.

    References:
        Turinici (2020), whose setting this is; derived in docs/theory/dualflow.md.
    """
    array, kernel = as_points("points", points), as_kernel(kernel)
    count, axes = array.shape
    mixed = -kernel.hessian(array[:, None, :] - array[None, :, :])
    result: Array = mixed.transpose(0, 2, 1, 3).reshape(count * axes, count * axes) / count
    return result


def fast_limit(critic_penalty: float, generator_lr: float = 1.0) -> float:
    """Speed of the limit of a fast discriminator: generated points descend MMD^2 / 2 at this speed.

    The limit is the maximum mean discrepancy flow; the run differs from it by a distance of order 1 / discriminator_lr.

    Args:
        critic_penalty: Of the discriminator, > 0.
        generator_lr: Speed of the generator, > 0.

    Raises:
        ParameterError: If an argument is out of its range.

    References:
        Arbel, Korba, Salim, Gretton (2019).
    """
    return number("generator_lr", generator_lr, above=0) / number("critic_penalty", critic_penalty, above=0)


@dataclass(frozen=True)
class GaussianConstants:
    """Constants of a game with a Gaussian kernel, as the comparison theorems take them.

    Attributes:
        generator_convexity, discriminator_convexity: Moduli of convexity of the players' energies.
        generator_lipschitz, discriminator_lipschitz: Cross-Lipschitz constants.
        rate: The squared distance of two runs, d1^2 / generator_lr + d2^2 / discriminator_lr, is at most exp(-2 rate t)
            of what it was; a promise only if positive.
    """

    generator_convexity: float
    discriminator_convexity: float
    generator_lipschitz: float
    discriminator_lipschitz: float
    rate: float


def gaussian_constants(
    bandwidth: float,
    ridge: float,
    critic_penalty: float,
    largest_discriminator: float | None = None,
    generator_lr: float = 1.0,
    discriminator_lr: float = 1.0,
    initial_discriminator: float = 0.0,
) -> GaussianConstants:
    """Convexity, coupling and guaranteed rate of a game with the kernel exp(-r^2 / (2 bandwidth^2)).

    Args:
        bandwidth: Of the kernel, > 0.
        ridge: Confinement of the generator, >= 0.
        critic_penalty: Of the discriminator, > 0.
        largest_discriminator: Largest norm of the discriminator on the way; None takes the bound
            max(initial norm, sqrt(2) / critic_penalty), which holds always.
        generator_lr, discriminator_lr: Speeds, > 0.
        initial_discriminator: Norm of the discriminator at the start, >= 0.

    Raises:
        ParameterError: If an argument is out of its range.

    References:
        Turinici. Convergence dynamics of generative adversarial networks: the dual metric flows. 2020.
    """
    length = number("bandwidth", bandwidth, above=0)
    confinement = number("ridge", ridge, at_least=0)
    penalty = number("critic_penalty", critic_penalty, above=0)
    if largest_discriminator is None:
        largest = max(number("initial_discriminator", initial_discriminator, at_least=0), np.sqrt(2) / penalty)
    else:
        largest = number("largest_discriminator", largest_discriminator, at_least=0)
    slow = number("generator_lr", generator_lr, above=0)
    fast = number("discriminator_lr", discriminator_lr, above=0)
    convexity = confinement - np.sqrt(3) * largest / length**2
    return GaussianConstants(
        float(convexity), penalty, 1 / length, 1 / length, float(min(slow * convexity, fast * penalty))
    )
