r"""Random features: a kernel as the mean of cosines at random frequencies drawn from its spectrum.

    K_hat(x, y) = (2 / features) sum_k cos(omega_k (x - y)),    features / 2 frequencies

It is exact at x = y, wrong by about features^(-1/2) elsewhere, and its curvature, a matrix, has a relative standard
deviation of 2 / sqrt(features) in one dimension for a Gaussian kernel. Theory for a run with random features must be
built from K_hat, which `FeatureKernel` offers.

References:
    Rahimi, Recht. Random features for large-scale kernel machines. NeurIPS 2007.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.special
import scipy.stats

from ganscope.core.random import normal_float32, stream_of
from ganscope.games.kernel.kernels import Kernel
from ganscope.games.kernel.waves import TURN, Waves

Array = npt.NDArray[np.float64]

_STREAM = stream_of("random features")


def draw(kernel: Kernel, axes: int, features: int, seed: int) -> tuple[Array, Array, Array]:
    """The random numbers that `Kernel.frequencies` turns into frequencies; the same for the same seed.

    They do not depend on the bandwidth.
    """
    count = features // 2
    normals = normal_float32(count * axes, seed, _STREAM, 0).astype(np.float64).reshape(count, axes)
    uniforms = scipy.special.ndtr(normal_float32(count, seed, _STREAM, 1).astype(np.float64))
    gammas = np.ones(count)
    if math.isfinite(kernel.mixing_shape):
        quantiles = scipy.special.ndtr(normal_float32(count, seed, _STREAM, 2).astype(np.float64))
        gammas = scipy.stats.gamma.ppf(quantiles, kernel.mixing_shape)
    return normals, gammas, uniforms


def waves(frequencies: Array, real: Any) -> Waves:
    """Waves of cells with as many frequencies each.

    Args:
        frequencies: Shape `[cells, modes, axes]`, in turns per unit of length.
        real: Precision of the engine.
    """
    cells, modes, axes = frequencies.shape
    padded = np.zeros((cells, (axes + 3) // 4 * 4, modes))
    padded[:, :axes] = np.swapaxes(frequencies, 1, 2)
    at = np.arange(cells + 1) * modes
    weights = np.full(cells * modes, 1.0 / modes)
    no_grid = np.zeros((cells, axes))
    return Waves(at, padded.astype(real).ravel(), weights, no_grid, no_grid.astype(np.int64))


@dataclass(frozen=True, eq=False)
class FeatureKernel:
    """The kernel that random features stand for.

    Attributes:
        frequencies: Shape `[features / 2, axes]`, in turns per unit of length.
    """

    frequencies: Array
    differentiable = True

    @classmethod
    def of(cls, kernel: Kernel, axes: int, features: int, seed: int) -> "FeatureKernel":
        """The kernel that a simulation with this seed stands for."""
        return cls(kernel.frequencies(*draw(kernel, axes, features, seed)) / TURN)

    @property
    def angular(self) -> Array:
        """Frequencies in radians per unit of length."""
        return TURN * self.frequencies

    @property
    def curvature(self) -> Array:
        """Matrix d_x d_y^T K at x = y, shape `[axes, axes]`."""
        return self.angular.T @ self.angular / len(self.frequencies)

    def value(self, r: Any) -> Array:
        """K_hat for differences `r`, shape `[..., axes]`."""
        result: Array = np.mean(np.cos(np.asarray(r) @ self.angular.T), axis=-1)
        return result

    def gradient(self, r: Any) -> Array:
        """Gradient in x for differences `r = x - y`, shape `[..., axes]`."""
        result: Array = -np.sin(np.asarray(r) @ self.angular.T) @ self.angular / len(self.frequencies)
        return result

    def hessian(self, r: Any) -> Array:
        """Hessian in x for differences `r`, shape `[..., axes, axes]`."""
        cosines = np.cos(np.asarray(r) @ self.angular.T)
        omega = self.angular
        result: Array = -np.einsum("...k,ka,kb->...ab", cosines, omega, omega, optimize=True) / len(omega)
        return result

    def require_differentiable(self) -> None:
        """Nothing to refuse: sums of cosines are smooth."""
