"""Gradients of sums of kernels: of the kernel model's kernels, and of the energy distance's, minus the distance."""

import abc
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ganscope.core.compiled import compiled, writeable
from ganscope.core.errors import NotApplicable
from ganscope.games.kernel.kernels import Kernel
from ganscope.games.kernel.sums import kernel_gradient, kernel_values

if TYPE_CHECKING:
    from ganscope.games.dualflow.feature.model import FeatureGAN

Array = npt.NDArray[np.float64]

# Pairs of points whose Hessians are held at once.
_BLOCK = 1 << 18


class KernelField(abc.ABC):
    """What a sum of kernels does at points `[N, d]`, given centres `[C, d]` and weights `[C]`."""

    @abc.abstractmethod
    def gradient(self, x: Array, centres: Array, weights: Array) -> Array:
        """Gradient, shape `[N, d]`."""

    @abc.abstractmethod
    def values(self, x: Array, centres: Array, weights: Array) -> Array:
        """Values, shape `[N]`."""

    def gradient_and_hessian(self, x: Array, centres: Array, weights: Array) -> tuple[Array, Array]:
        """Gradient `[N, d]` and Hessian `[N, d, d]`.

        Raises:
            NotApplicable: If the kernel has no second derivatives.
        """
        raise NotApplicable("this discriminator has no second derivatives: use an explicit level")


class SmoothField(KernelField):
    """Sums of a kernel of the library times a factor."""

    def __init__(self, kernel: Kernel, height: float) -> None:
        self.kernel, self.height = kernel, height

    def gradient(self, x: Array, centres: Array, weights: Array) -> Array:
        return self.height * kernel_gradient(self.kernel, np.array(x), np.ascontiguousarray(centres.T), weights)

    def values(self, x: Array, centres: Array, weights: Array) -> Array:
        return self.height * kernel_values(self.kernel, np.array(x), np.ascontiguousarray(centres.T), weights)

    def gradient_and_hessian(self, x: Array, centres: Array, weights: Array) -> tuple[Array, Array]:
        count, axes = x.shape
        hessian = np.empty((count, axes, axes))
        rows = max(1, _BLOCK // len(centres))
        for start in range(0, count, rows):
            difference = x[start : start + rows, None, :] - centres[None]
            hessian[start : start + rows] = np.einsum("c,icab->iab", weights, self.kernel.hessian(difference))
        return self.gradient(x, centres, weights), self.height * hessian


@compiled
def _unit_forces(x, centres, weights, out):
    """out_i = sum_c weights_c (x_i - c) / |x_i - c|, where 0 / 0 counts as 0."""
    axes = x.shape[1]
    for i in range(len(x)):
        for k in range(axes):
            out[i, k] = 0.0
        for c in range(len(centres)):
            square = 0.0
            for k in range(axes):
                square += (x[i, k] - centres[c, k]) ** 2
            if square > 0.0:
                factor = weights[c] / np.sqrt(square)
                for k in range(axes):
                    out[i, k] += factor * (x[i, k] - centres[c, k])


class DistanceField(KernelField):
    """Sums of minus the distance, times a factor: half on a line, where it is the kernel of `sobolev1d`."""

    def __init__(self, axes: int) -> None:
        self.height = 0.5 if axes == 1 else 1.0

    def gradient(self, x: Array, centres: Array, weights: Array) -> Array:
        out = np.empty(x.shape)
        _unit_forces(np.array(x), writeable(np.ascontiguousarray(centres)), writeable(weights), out)
        return -self.height * out

    def values(self, x: Array, centres: Array, weights: Array) -> Array:
        rows, out = max(1, _BLOCK // max(1, len(centres))), np.empty(len(x))
        for start in range(0, len(x), rows):
            difference = x[start : start + rows, None, :] - centres[None]
            out[start : start + rows] = np.sqrt(np.sum(difference**2, axis=-1)) @ weights
        return -self.height * out


def field_of(game: "FeatureGAN") -> KernelField:
    """The field of a game whose discriminator is a history, or the energy distance's."""
    if game.name == "energy":
        return DistanceField(game.axes)
    assert game.metric is not None
    return SmoothField(game.metric, game.height)
