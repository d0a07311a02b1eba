r"""Sums over pairs of points that the theory of the kernel GAN needs, without a table of all differences.

With r = z_j - z_k and s = |r|^2, for a kernel phi(s),

    (G v)_j = sum_k d_x d_y^T K(z_j, z_k) v_k = - sum_k (2 phi'(s) v_k + 4 phi''(s) (r . v_k) r).

Squared distances and r . v_k come from the differences themselves: the expanded forms lose the second derivatives where
points nearly coincide. Points are held axis by axis, so that the loops over k run over consecutive numbers.
Kernels that are no function of the distance take part through their `gradient` and `hessian`, block by block.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from ganscope.core.compiled import compiled
from ganscope.games.kernel.kernels import Kernel
from ganscope.games.kernel.sums import kernel_gradient, kernel_values

Array = npt.NDArray[np.float64]

# Up to so many points the tables of phi' and phi'' are kept between products.
_KEPT_POINTS = 4000
# Numbers in one block.
_BLOCK = 1 << 19
_SUMS = {"reassoc", "contract", "nsz"}


@compiled(fastmath=_SUMS)
def _squared_distances(at, points, out):
    """Squared distances `[rows, count]` from `at` `[axes, rows]` to `points` `[axes, count]`."""
    axes, count = points.shape
    for j in range(at.shape[1]):
        row = out[j]
        for k in range(count):
            row[k] = 0.0
        for c in range(axes):
            here, other = at[c, j], points[c]
            for k in range(count):
                r = here - other[k]
                row[k] += r * r


@compiled(fastmath=_SUMS)
def _gram_rows(at, points, slope, bend, v, out):
    """Rows of G v: `at` `[axes, rows]`, `points` and `v` `[axes, count]`, `slope`, `bend` `[rows, count]`."""
    axes, count = points.shape
    along = np.empty(count)
    for j in range(at.shape[1]):
        for k in range(count):
            along[k] = 0.0
        for c in range(axes):
            here, other, vector = at[c, j], points[c], v[c]
            for k in range(count):
                along[k] += (here - other[k]) * vector[k]
        first, second = slope[j], bend[j]
        for k in range(count):
            along[k] *= 2.0 * second[k]
        for c in range(axes):
            here, other, vector = at[c, j], points[c], v[c]
            total = 0.0
            for k in range(count):
                total += first[k] * vector[k] + along[k] * (here - other[k])
            out[c, j] = -2.0 * total


@compiled(fastmath=_SUMS)
def _hessian_rows(at, points, weighted_slope, weighted_bend, out):
    """Sums of w (2 phi' I + 4 phi'' r r^T) into `out` `[rows, axes, axes]`."""
    axes, count = points.shape
    along = np.empty(count)
    for j in range(at.shape[1]):
        first, second = weighted_slope[j], weighted_bend[j]
        trace = 0.0
        for k in range(count):
            trace += first[k]
        for c in range(axes):
            here, other = at[c, j], points[c]
            for k in range(count):
                along[k] = second[k] * (here - other[k])
            for e in range(c + 1):
                there, another = at[e, j], points[e]
                total = 0.0
                for k in range(count):
                    total += along[k] * (there - another[k])
                out[j, c, e] = 4.0 * total
                out[j, e, c] = 4.0 * total
            out[j, c, c] += 2.0 * trace


def is_radial(kernel: Any) -> bool:
    """Whether a kernel is a function of the distance, which compiled code knows."""
    return isinstance(kernel, Kernel)


def _rows(count: int, size: int) -> Iterator[slice]:
    """Slices of at most 2^19 numbers, `size` in a row."""
    step = max(1, _BLOCK // max(1, size))
    for start in range(0, count, step):
        yield slice(start, min(start + step, count))


def _columns(points: Array) -> Array:
    return np.array(np.transpose(points), np.float64, order="C")


def squared_distances(at: Array, points: Array) -> Array:
    """Squared distances between two sets of points, shape `[len(at), len(points)]`, from their differences."""
    out = np.empty((len(at), len(points)))
    _squared_distances(_columns(at), _columns(points), out)
    return out


def potential(kernel: Any, at: Array, points: Array, weights: Array) -> Array:
    """sum_i w_i K(z_j, x_i) at the points `at`, shape `[len(at)]`."""
    if is_radial(kernel):
        return kernel_values(kernel, at, _columns(points), weights)
    out = np.empty(len(at))
    for block in _rows(len(at), points.size):
        out[block] = kernel.value(at[block, None, :] - points) @ weights
    return out


def force(kernel: Any, at: Array, points: Array, weights: Array) -> Array:
    """sum_i w_i grad K(z_j, x_i) at the points `at`, shape `[len(at), axes]`."""
    if is_radial(kernel):
        return kernel_gradient(kernel, at, _columns(points), weights)
    out = np.empty(at.shape)
    for block in _rows(len(at), points.size):
        out[block] = np.einsum("i,jic->jc", weights, kernel.gradient(at[block, None, :] - points))
    return out


def hessian_sum(kernel: Any, at: Array, points: Array, weights: Array) -> Array:
    """sum_i w_i Hess_x K(z_j, x_i) at the points `at`, shape `[len(at), axes, axes]`."""
    axes = points.shape[1]
    out = np.empty((len(at), axes, axes))
    if not is_radial(kernel):
        for block in _rows(len(at), points.size * axes):
            out[block] = np.einsum("i,jice->jce", weights, kernel.hessian(at[block, None, :] - points))
        return out
    sources = _columns(points)
    for block in _rows(len(at), len(points)):
        s = squared_distances(at[block], points)
        _hessian_rows(_columns(at[block]), sources, kernel.slope(s) * weights, kernel.bend(s) * weights, out[block])
    return out


class GradientGram:
    """The matrix G of inner products of the kernel's gradients, blocks d_x d_y^T K(z_j, z_k), as an operator.

    Args:
        kernel: A kernel that is differentiable where points meet.
        points: The points z, shape `[M, axes]`.
    """

    def __init__(self, kernel: Any, points: Array) -> None:
        self.kernel = kernel
        self.points = np.asarray(points, np.float64)
        self._columns = _columns(self.points)
        self._kept: tuple[Array, Array] | None = None
        if is_radial(kernel) and len(points) <= _KEPT_POINTS:
            s = squared_distances(self.points, self.points)
            self._kept = kernel.slope(s), kernel.bend(s)

    @property
    def size(self) -> int:
        """Number of rows, M x axes."""
        return int(self.points.size)

    def __matmul__(self, vector: Array) -> Array:
        """G v for `v` of shape `[M, axes]` or flat; the result has the same shape."""
        v = np.asarray(vector, np.float64).reshape(self.points.shape)
        out = self._radial(v) if is_radial(self.kernel) else self._general(v)
        return out.reshape(np.shape(vector))

    def _radial(self, v: Array) -> Array:
        count, axes = self.points.shape
        columns = _columns(v)
        out = np.empty((axes, count))
        for block in [slice(0, count)] if self._kept is not None else _rows(count, count):
            if self._kept is not None:
                slope, bend = self._kept
            else:
                s = squared_distances(self.points[block], self.points)
                slope, bend = self.kernel.slope(s), self.kernel.bend(s)
            part = np.empty((axes, block.stop - block.start))
            here = np.ascontiguousarray(self._columns[:, block])
            _gram_rows(here, self._columns, slope, bend, columns, part)
            out[:, block] = part
        return np.ascontiguousarray(out.T)

    def _general(self, v: Array) -> Array:
        out = np.empty_like(self.points)
        for block in _rows(len(self.points), self.points.size * self.points.shape[1]):
            blocks = self.kernel.hessian(self.points[block, None, :] - self.points)
            out[block] = -np.einsum("jkce,ke->jc", blocks, v)
        return out

    def dense(self) -> Array:
        """The matrix, shape `[M axes, M axes]`, symmetric positive semidefinite."""
        count, axes = self.points.shape
        result = np.empty((count, axes, count, axes))
        for block in _rows(count, self.points.size * axes):
            blocks = self.kernel.hessian(self.points[block, None, :] - self.points)
            result[block] = -blocks.transpose(0, 2, 1, 3)
        return result.reshape(count * axes, count * axes)
