r"""Sums of kernels over many centres, and their gradients, compiled; no array of points times centres is ever formed.

The centres go by in blocks that stay in the cache, four query points at a time.
"""

import math
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from ganscope.core.compiled import compiled, writeable
from ganscope.core.elementary import exponential32, exponential64
from ganscope.core.parallel import cores, run_tasks
from ganscope.games.kernel.kernels import GAUSSIANS, LAPLACE, MATERN32, MATERN52, RATIONAL, Kernel

Array = npt.NDArray[np.float64]

_FAST = {"reassoc", "contract", "nsz", "arcp"}
_BLOCK = 512
# Pairs of points in one call of compiled code, some tenths of a second.
_PAIRS = 20_000_000


def _sums(real: Any, exponential: Any) -> tuple[Any, Any]:
    """Compiled `slopes` and `values` for one precision."""

    @compiled(fastmath=_FAST)
    def gaussian(s, weights, height, rate, more, out):
        if more:
            for k in range(len(s)):
                out[k] += weights[k] * (height * exponential(-rate * s[k]))
        else:
            for k in range(len(s)):
                out[k] = weights[k] * (height * exponential(-rate * s[k]))

    @compiled(fastmath=_FAST)
    def rational(s, weights, height, rate, power, out):
        for k in range(len(s)):
            out[k] = weights[k] * (height * (real(1) + rate * s[k]) ** power)

    @compiled(fastmath=_FAST)
    def matern32(s, weights, rate, slope, out):
        for k in range(len(s)):
            u = np.sqrt(rate * s[k])
            e = weights[k] * exponential(-u)
            out[k] = real(-0.5) * rate * e if slope else (real(1) + u) * e

    @compiled(fastmath=_FAST)
    def matern52(s, weights, rate, slope, out):
        for k in range(len(s)):
            u = np.sqrt(rate * s[k])
            e = weights[k] * exponential(-u)
            out[k] = -rate / real(6) * (real(1) + u) * e if slope else (real(1) + u + u * u / real(3)) * e

    @compiled(fastmath=_FAST)
    def laplace(s, weights, rate, slope, out):
        for k in range(len(s)):
            distance = np.sqrt(s[k])
            e = weights[k] * exponential(-rate * distance)
            force = real(-0.5) * rate * e / distance if distance > real(0) else real(0)
            out[k] = force if slope else e

    @compiled
    def profile(family, constants, slope, s, weights, out):
        """out <- weights phi(s), or weights phi'(s) if `slope`."""
        if family == GAUSSIANS:
            for part in range(len(constants) // 2):
                height, rate = constants[2 * part], constants[2 * part + 1]
                gaussian(s, weights, real(-height * rate if slope else height), real(rate), part > 0, out)
        elif family == RATIONAL:
            alpha, rate = constants[0], constants[1]
            height, power = (-alpha * rate, -alpha - 1.0) if slope else (1.0, -alpha)
            rational(s, weights, real(height), real(rate), real(power), out)
        elif family == MATERN32:
            matern32(s, weights, real(constants[0]), slope, out)
        elif family == MATERN52:
            matern52(s, weights, real(constants[0]), slope, out)
        elif family == LAPLACE:
            laplace(s, weights, real(constants[0]), slope, out)

    @compiled(fastmath=_FAST)
    def four_axes(y, centres, low, axis, j, sa, sb):
        """Squares of the distances of two points along four axes, added to those before; centres are read once."""
        c0, c1 = centres[axis][low:], centres[axis + 1][low:]
        c2, c3 = centres[axis + 2][low:], centres[axis + 3][low:]
        a0, a1, a2, a3 = y[j, axis], y[j, axis + 1], y[j, axis + 2], y[j, axis + 3]
        b0, b1, b2, b3 = y[j + 1, axis], y[j + 1, axis + 1], y[j + 1, axis + 2], y[j + 1, axis + 3]
        if axis == 0:
            for k in range(len(sa)):
                p, q, r, t = c0[k], c1[k], c2[k], c3[k]
                sa[k] = ((a0 - p) * (a0 - p) + (a1 - q) * (a1 - q)) + ((a2 - r) * (a2 - r) + (a3 - t) * (a3 - t))
                sb[k] = ((b0 - p) * (b0 - p) + (b1 - q) * (b1 - q)) + ((b2 - r) * (b2 - r) + (b3 - t) * (b3 - t))
        else:
            for k in range(len(sa)):
                p, q, r, t = c0[k], c1[k], c2[k], c3[k]
                sa[k] += ((a0 - p) * (a0 - p) + (a1 - q) * (a1 - q)) + ((a2 - r) * (a2 - r) + (a3 - t) * (a3 - t))
                sb[k] += ((b0 - p) * (b0 - p) + (b1 - q) * (b1 - q)) + ((b2 - r) * (b2 - r) + (b3 - t) * (b3 - t))

    @compiled(fastmath=_FAST)
    def one_axis(y, centres, low, axis, j, sa, sb):
        c, a, b = centres[axis][low:], y[j, axis], y[j + 1, axis]
        if axis == 0:
            for k in range(len(sa)):
                sa[k] = (a - c[k]) * (a - c[k])
                sb[k] = (b - c[k]) * (b - c[k])
        else:
            for k in range(len(sa)):
                sa[k] += (a - c[k]) * (a - c[k])
                sb[k] += (b - c[k]) * (b - c[k])

    @compiled(fastmath=_FAST)
    def four_forces(y, centres, low, axis, w, out):
        """out_j += sum_k w_jk (y_j - c_k) for four points along four axes."""
        c0, c1 = centres[axis][low:], centres[axis + 1][low:]
        c2, c3 = centres[axis + 2][low:], centres[axis + 3][low:]
        for j in range(0, 4, 2):
            a0, a1, a2, a3 = y[j, axis], y[j, axis + 1], y[j, axis + 2], y[j, axis + 3]
            b0, b1, b2, b3 = y[j + 1, axis], y[j + 1, axis + 1], y[j + 1, axis + 2], y[j + 1, axis + 3]
            zero = real(0)
            f0, f1, f2, f3, g0, g1, g2, g3 = zero, zero, zero, zero, zero, zero, zero, zero
            wa, wb = w[j], w[j + 1]
            for k in range(len(wa)):
                p, q, r, t = c0[k], c1[k], c2[k], c3[k]
                u, v = wa[k], wb[k]
                f0 += u * (a0 - p)
                f1 += u * (a1 - q)
                f2 += u * (a2 - r)
                f3 += u * (a3 - t)
                g0 += v * (b0 - p)
                g1 += v * (b1 - q)
                g2 += v * (b2 - r)
                g3 += v * (b3 - t)
            out[j, axis] += f0
            out[j, axis + 1] += f1
            out[j, axis + 2] += f2
            out[j, axis + 3] += f3
            out[j + 1, axis] += g0
            out[j + 1, axis + 1] += g1
            out[j + 1, axis + 2] += g2
            out[j + 1, axis + 3] += g3

    @compiled(fastmath=_FAST)
    def one_force(y, centres, low, axis, w, out):
        c = centres[axis][low:]
        a, b, d, e = y[0, axis], y[1, axis], y[2, axis], y[3, axis]
        fa, fb, fd, fe = real(0), real(0), real(0), real(0)
        wa, wb, wd, we = w[0], w[1], w[2], w[3]
        for k in range(len(wa)):
            p = c[k]
            fa += wa[k] * (a - p)
            fb += wb[k] * (b - p)
            fd += wd[k] * (d - p)
            fe += we[k] * (e - p)
        out[0, axis] += fa
        out[1, axis] += fb
        out[2, axis] += fd
        out[3, axis] += fe

    @compiled
    def squares(y, centres, low, s):
        axes = y.shape[1]
        for j in range(0, 4, 2):
            for axis in range(0, axes - 3, 4):
                four_axes(y, centres, low, axis, j, s[j], s[j + 1])
            for axis in range(axes // 4 * 4, axes):
                one_axis(y, centres, low, axis, j, s[j], s[j + 1])

    @compiled
    def take_four(points, start, y):
        """The next four points; the last one stands in for those that are missing."""
        for j in range(4):
            for axis in range(points.shape[1]):
                y[j, axis] = points[min(start + j, len(points) - 1), axis]

    @compiled
    def slopes(points, centres, weights, family, constants, out):
        """out_j += sum_c weights_c phi'(|z_j - c|^2) (z_j - c), half of the gradient."""
        count, axes = points.shape
        size = len(weights)
        y, forces = np.empty((4, axes), real), np.empty((4, axes))
        for low in range(0, size, _BLOCK):
            high = min(size, low + _BLOCK)
            s, w = np.empty((4, high - low), real), np.empty((4, high - low), real)
            for start in range(0, count, 4):
                take_four(points, start, y)
                squares(y, centres, low, s)
                for j in range(4):
                    profile(family, constants, True, s[j], weights[low:high], w[j])
                forces[:] = 0.0
                for axis in range(0, axes - 3, 4):
                    four_forces(y, centres, low, axis, w, forces)
                for axis in range(axes // 4 * 4, axes):
                    one_force(y, centres, low, axis, w, forces)
                for j in range(min(4, count - start)):
                    out[start + j] += forces[j]

    @compiled
    def values(points, centres, weights, family, constants, out):
        """out_j += sum_c weights_c K(z_j, c)."""
        count, axes = points.shape
        size = len(weights)
        y = np.empty((4, axes), real)
        for low in range(0, size, _BLOCK):
            high = min(size, low + _BLOCK)
            s, w = np.empty((4, high - low), real), np.empty((4, high - low), real)
            for start in range(0, count, 4):
                take_four(points, start, y)
                squares(y, centres, low, s)
                for j in range(min(4, count - start)):
                    profile(family, constants, False, s[j], weights[low:high], w[j])
                    out[start + j] += np.sum(w[j])

    return slopes, values


_DOUBLE = _sums(np.float64, exponential64)
_SINGLE = _sums(np.float32, exponential32)


def kernel_gradient(kernel: Kernel, points: Array, centres: Any, weights: Any) -> Array:
    """Gradient of sum_c weights_c K(., c) at some points.

    Args:
        kernel: The kernel.
        points: Shape `[points, axes]`.
        centres: Shape `[axes, centres or more]`, C-contiguous; the precision of the work is theirs.
        weights: Shape `[centres]`, in the same precision; columns of `centres` beyond them do not count.

    Returns:
        Shape `[points, axes]`.
    """
    out = np.zeros(points.shape)
    _share(_pick(centres)[0], kernel, points, centres, weights, out)
    out *= 2.0
    return out


def kernel_values(kernel: Kernel, points: Array, centres: Any, weights: Any) -> Array:
    """sum_c weights_c K(z_j, c) at some points, shape `[points]`; arguments as in `kernel_gradient`."""
    out = np.zeros(len(points))
    _share(_pick(centres)[1], kernel, points, centres, weights, out)
    return out


def _pick(centres: Any) -> tuple[Any, Any]:
    return _SINGLE if centres.dtype == np.float32 else _DOUBLE


def _refuse(points: Array, centres: Any, weights: Any) -> None:
    if centres.shape[0] != points.shape[1] or centres.shape[1] < len(weights) or not centres.flags.c_contiguous:
        raise ValueError(f"centres of shape {centres.shape} for points {points.shape} and {len(weights)} weights")


def _share(function: Any, kernel: Kernel, points: Array, centres: Any, weights: Any, out: Array) -> None:
    """The compiled sum over all points, on all cores where that is worth it."""
    _refuse(points, centres, weights)
    points, centres, weights = writeable(points), writeable(centres), writeable(weights)
    count, size = len(points), max(1, len(weights))
    constants = kernel.constants
    if count * size < _PAIRS // 40:
        function(points, centres, weights, kernel.family, constants, out)
        return
    pieces = max(min(cores(), count), math.ceil(count * size / _PAIRS))
    edges = np.linspace(0, count, min(count, pieces) + 1).astype(int)

    def task(low: int, high: int) -> Any:
        def work(tick: Any) -> None:
            function(points[low:high], centres, weights, kernel.family, constants, out[low:high])
            tick(high - low)

        return work

    run_tasks([task(low, high) for low, high in pairwise(edges)], None, count)


def mmd_squared(kernel: Kernel, x: Array, x_mass: Array, z: Array, z_mass: Array, x_part: float | None = None) -> float:
    """Squared maximum mean discrepancy p'K_XX p - 2 p'K_XZ q + q'K_ZZ q of two weighted point sets.

    Args:
        kernel: The kernel.
        x, z: Points, shapes `[N, axes]` and `[M, axes]`.
        x_mass, z_mass: Masses, shapes `[N]` and `[M]`.
        x_part: The first term, if it is known already.
    """
    zt = np.ascontiguousarray(z.T)
    if x_part is None:
        x_part = float(x_mass @ kernel_values(kernel, x, np.ascontiguousarray(x.T), x_mass))
    cross = float(x_mass @ kernel_values(kernel, x, zt, z_mass))
    return x_part - 2 * cross + float(z_mass @ kernel_values(kernel, z, zt, z_mass))
