"""Measured kernels of a generator, as matrices."""

from typing import Any

import numpy as np
import numpy.typing as npt

from ganscope.core.checks import real_array
from ganscope.core.errors import ParameterError

Array = npt.NDArray[np.float64]


def kernel_matrix(value: Any, particles: int, axes: int) -> Array:
    """A measured kernel, checked: symmetric and positive semidefinite."""
    kernel = real_array("generator_kernel", value)
    shapes = ((particles, particles), (particles, particles, axes, axes))
    if kernel.shape not in shapes:
        raise ParameterError("generator_kernel", f"shape {kernel.shape}", f"shape {shapes[0]} or {shapes[1]}")
    matrix = kernel if kernel.ndim == 2 else kernel.transpose(0, 2, 1, 3).reshape(particles * axes, -1)
    scale = np.abs(matrix).max()
    if not np.allclose(matrix, matrix.T, atol=1e-5 * scale):
        raise ParameterError("generator_kernel", "not symmetric", "a symmetric matrix")
    if np.linalg.eigvalsh((matrix + matrix.T) / 2)[0] < -1e-5 * scale * len(matrix):
        raise ParameterError("generator_kernel", "with negative eigenvalues", "a positive semidefinite matrix")
    kernel.flags.writeable = False
    return kernel


def two_numbers(kernel: Array) -> tuple[float, float]:
    """Mean diagonal and off-diagonal kernel, averaged over outputs."""
    scalar = kernel if kernel.ndim == 2 else np.trace(kernel, axis1=2, axis2=3) / kernel.shape[2]
    same = float(np.mean(np.diag(scalar)))
    count = len(scalar)
    return same, float((scalar.sum() - np.trace(scalar)) / (count * (count - 1)))
