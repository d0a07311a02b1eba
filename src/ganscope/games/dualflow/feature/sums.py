r"""Compiled means of features over points, and gradients and Hessians of discriminators at points.

    mean      Phi(mu) = (1/N) sum_i phi(x_i)
    field     grad D(x_i), and Hess D(x_i) if asked for, of D(x) = a . phi(x)

at a cost of N times the number of features, or less: harmonics are powers of one complex number, hat functions touch
two nodes. All points go through the same instructions, so that points that coincide stay together to the last bit.
"""

import math

import numpy as np
from numba import carray  # type: ignore[attr-defined]

from ganscope.core.compiled import compiled, stack_doubles
from ganscope.core.elementary import sine_cosine64
from ganscope.games.dualflow.feature.maps import HARMONIC, POLYNOMIAL, WAVES

_TURN = 2 * math.pi
# Points side by side in the loops over harmonics.
_LANES = 16


@compiled
def _polynomial_mean(x, out):
    count, axes = x.shape
    quadratic = len(out) > axes
    for i in range(count):
        for k in range(axes):
            out[k] += x[i, k]
            if quadratic:
                for m in range(axes):
                    out[axes + k * axes + m] += x[i, k] * x[i, m]


@compiled(fastmath={"contract"})
def _harmonic_mean(x, turns, out):
    """out += sums of 1, cosines and sines of all multiples of an angle."""
    count, harmonics = len(x), len(out) // 2
    sums = np.zeros((2, harmonics, _LANES))
    c = carray(stack_doubles(_LANES), (_LANES,))
    s = carray(stack_doubles(_LANES), (_LANES,))
    re = carray(stack_doubles(_LANES), (_LANES,))
    im = carray(stack_doubles(_LANES), (_LANES,))
    there = carray(stack_doubles(_LANES), (_LANES,))
    for start in range(0, count, _LANES):
        for lane in range(_LANES):
            there[lane] = 1.0 if start + lane < count else 0.0
            re[lane] = x[min(start + lane, count - 1), 0]
        for lane in range(_LANES):
            im[lane], re[lane] = sine_cosine64(turns * re[lane])
            c[lane] = re[lane]
            s[lane] = im[lane]
            re[lane] *= there[lane]
            im[lane] *= there[lane]
        for j in range(harmonics):
            cosines, sines = sums[0, j], sums[1, j]
            for lane in range(_LANES):
                cosines[lane] += re[lane]
                sines[lane] += im[lane]
                turned = re[lane] * c[lane] - im[lane] * s[lane]
                im[lane] = re[lane] * s[lane] + im[lane] * c[lane]
                re[lane] = turned
    out[0] += count
    for j in range(harmonics):
        for lane in range(_LANES):
            out[1 + j] += sums[0, j, lane]
            out[1 + harmonics + j] += sums[1, j, lane]


@compiled(fastmath={"contract", "reassoc", "nsz"})
def _phases(point, table, cosines, sines):
    for j in range(len(cosines)):
        cosines[j] = 0.0
    for axis in range(len(point)):
        row, y = table[axis], point[axis]
        for j in range(len(cosines)):
            cosines[j] += row[j] * y
    for j in range(len(cosines)):
        sines[j], cosines[j] = sine_cosine64(cosines[j])


@compiled
def _add(values, out):
    for j in range(len(values)):
        out[j] += values[j]


@compiled
def _waves_mean(x, table, out):
    count = table.shape[1]
    cosines, sines = np.empty(count), np.empty(count)
    for i in range(len(x)):
        _phases(x[i], table, cosines, sines)
        _add(cosines, out[:count])
        _add(sines, out[count:])


@compiled
def _sobolev_mean(x, first, spacing, out):
    """out += integrals of hat functions: full behind the point's cell, quadratic pieces at its two nodes."""
    nodes = len(out)
    full = np.zeros(nodes)
    for i in range(len(x)):
        place = (x[i, 0] - first) / spacing
        m = min(max(math.floor(place), 0), nodes - 2)
        s = min(max(place - m, 0.0), 1.0)
        full[m] += 1.0
        out[m] += 1.0 - 0.5 * (1.0 - s) * (1.0 - s)
        out[m + 1] += 0.5 * s * s
    behind = 0.0
    for k in range(nodes - 1, -1, -1):
        out[k] += behind
        behind += full[k]


@compiled
def mean(kind, x, table, amplitudes, geometry, out):
    """Mean features of points `[N, d]`, into `out[p]`."""
    for k in range(len(out)):
        out[k] = 0.0
    if kind == POLYNOMIAL:
        _polynomial_mean(x, out)
    elif kind == HARMONIC:
        _harmonic_mean(x, geometry[0], out)
    elif kind == WAVES:
        _waves_mean(x, table, out)
    else:
        _sobolev_mean(x, geometry[0], geometry[1], out)
    for k in range(len(out)):
        out[k] *= amplitudes[k] / len(x)


@compiled(fastmath={"contract"})
def _harmonic_field(x, turns, u, v, out):
    """out_i = sum_j u_j cos(j angle_i) + v_j sin(j angle_i), by Horner's rule for powers of one complex number."""
    count, harmonics = len(x), len(u)
    c = carray(stack_doubles(_LANES), (_LANES,))
    s = carray(stack_doubles(_LANES), (_LANES,))
    re = carray(stack_doubles(_LANES), (_LANES,))
    im = carray(stack_doubles(_LANES), (_LANES,))
    for start in range(0, count, _LANES):
        for lane in range(_LANES):
            c[lane] = x[min(start + lane, count - 1), 0]
        for lane in range(_LANES):
            s[lane], c[lane] = sine_cosine64(turns * c[lane])
            re[lane] = 0.0
            im[lane] = 0.0
        for j in range(harmonics - 1, -1, -1):
            for lane in range(_LANES):
                a = re[lane] + u[j]
                b = im[lane] - v[j]
                re[lane] = a * c[lane] - b * s[lane]
                im[lane] = a * s[lane] + b * c[lane]
        for lane in range(min(_LANES, count - start)):
            out[start + lane, 0] = re[lane]


@compiled
def _harmonic_slopes(x, a, amplitudes, turns, bend, out):
    """First derivatives, or second ones if `bend`, of a sum of harmonics."""
    harmonics = len(a) // 2
    u, v = np.empty(harmonics), np.empty(harmonics)
    for j in range(harmonics):
        k = _TURN * turns * (j + 1)
        cosine, sine = amplitudes[1 + j] * a[1 + j], amplitudes[1 + harmonics + j] * a[1 + harmonics + j]
        u[j] = -k * k * cosine if bend else k * sine
        v[j] = -k * k * sine if bend else -k * cosine
    _harmonic_field(x, turns, u, v, out)


@compiled(fastmath={"contract", "reassoc", "nsz"})
def _dot(a, b):
    total = 0.0
    for j in range(len(a)):
        total += a[j] * b[j]
    return total


@compiled(fastmath={"contract", "reassoc", "nsz"})
def _dot3(a, b, c):
    total = 0.0
    for j in range(len(a)):
        total += a[j] * b[j] * c[j]
    return total


@compiled
def _mix(cosines, sines, u, v, slopes, bends):
    """Derivatives of u cos + v sin with respect to the angle: the first one, and minus the second one."""
    for j in range(len(slopes)):
        c, s = cosines[j], sines[j]
        slopes[j] = v[j] * c - u[j] * s
        bends[j] = u[j] * c + v[j] * s


@compiled
def _waves_field(x, a, amplitudes, table, bend, gradient, hessian):
    count, axes, modes = len(x), x.shape[1], table.shape[1]
    cosines, sines, u, v = np.empty(modes), np.empty(modes), np.empty(modes), np.empty(modes)
    slopes, bends = np.empty(modes), np.empty(modes)
    for j in range(modes):
        u[j] = amplitudes[j] * a[j]
        v[j] = amplitudes[modes + j] * a[modes + j]
    for i in range(count):
        _phases(x[i], table, cosines, sines)
        _mix(cosines, sines, u, v, slopes, bends)
        for k in range(axes):
            gradient[i, k] = _TURN * _dot(slopes, table[k])
            if bend:
                for m in range(axes):
                    hessian[i, k, m] = -_TURN * _TURN * _dot3(bends, table[k], table[m])


@compiled
def _polynomial_field(x, a, amplitudes, bend, gradient, hessian):
    count, axes = x.shape
    quadratic = len(a) > axes
    for i in range(count):
        for k in range(axes):
            total = amplitudes[k] * a[k]
            for m in range(axes):
                slope = 0.0
                if quadratic:
                    one, other = axes + k * axes + m, axes + m * axes + k
                    slope = amplitudes[one] * a[one] + amplitudes[other] * a[other]
                    total += slope * x[i, m]
                if bend:
                    hessian[i, k, m] = slope
            gradient[i, k] = total


@compiled
def _sobolev_field(x, a, amplitudes, first, spacing, bend, gradient, hessian):
    """The derivative is the linear interpolant of the nodes' coefficients."""
    nodes = len(a)
    for i in range(len(x)):
        place = (x[i, 0] - first) / spacing
        m = min(max(math.floor(place), 0), nodes - 2)
        s = min(max(place - m, 0.0), 1.0)
        low, high = amplitudes[m] * a[m] / spacing, amplitudes[m + 1] * a[m + 1] / spacing
        gradient[i, 0] = low + s * (high - low)
        if bend:
            hessian[i, 0, 0] = (high - low) / spacing


@compiled
def field(kind, x, a, table, amplitudes, geometry, bend, gradient, hessian):
    """Gradient `[N, d]`, and with `bend` the Hessian `[N, d, d]`, of the discriminator at points `[N, d]`."""
    if kind == POLYNOMIAL:
        _polynomial_field(x, a, amplitudes, bend, gradient, hessian)
    elif kind == HARMONIC:
        _harmonic_slopes(x, a, amplitudes, geometry[0], False, gradient)
        if bend:
            _harmonic_slopes(x, a, amplitudes, geometry[0], True, hessian[:, :, 0])
    elif kind == WAVES:
        _waves_field(x, a, amplitudes, table, bend, gradient, hessian)
    else:
        _sobolev_field(x, a, amplitudes, geometry[0], geometry[1], bend, gradient, hessian)
