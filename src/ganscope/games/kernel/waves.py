r"""The discriminator as a sum of waves, and gradient descent-ascent with it, compiled for many cells at once.

A shift-invariant kernel K(x, y) = sum_k w_k cos(omega_k (x - y)) makes every discriminator a sum

    f(x) = sum_k u_k cos(omega_k x) + v_k sin(omega_k x),        |f|_H^2 = sum_k (u_k^2 + v_k^2) / w_k

so that its gradient descent is one on the coefficients, at a cost that does not grow with time:

    u_k  moves by  discriminator_lr w_k (sum_i p_i cos(omega_k x_i) - sum_j q_j cos(omega_k z_j)) - forgetting u_k

`fourier_grid` and `random_features` choose the frequencies. Waves on a grid are products of a few complex numbers,
random ones need a sine and a cosine each.

Numbers of modes differ between cells: cell `c` owns the modes `at[c]:at[c + 1]` of all flat arrays. Where there are k
numbers per mode, they stand one after another, each for all modes of the cell, from `k * at[c]` on.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ganscope.core.compiled import compiled
from ganscope.core.elementary import sine_cosine32, sine_cosine64
from ganscope.dynamics.rules import DISCRIMINATOR, GENERATOR, make_step

Array = npt.NDArray[np.float64]

_FAST = {"reassoc", "contract", "nsz", "arcp"}
# Points whose waves are made together, and summed in float32, before they enter a float64 sum.
BLOCK = 16
# Modes whose frequencies stay close at hand while the phases of a block of points are computed.
CHUNK = 128
TURN = 2 * np.pi
# Points further away than this have escaped.
FARTHEST = 1e12


class Waves(NamedTuple):
    """Frequencies of a batch of cells.

    Attributes:
        at: Shape `[cells + 1]`: where the modes of each cell begin in the flat arrays.
        frequencies: Flat, one number per axis and mode, in turns per unit of length, in the engine's precision; the
            number of axes is padded with zeros to a multiple of four.
        weights: Flat, one per mode: spectral weights w, summing to K(x, x) = 1 or so per cell.
        base: Shape `[cells, axes]`: grid spacing in turns per unit of length; unused by random frequencies.
        counts: Shape `[cells, axes]`: largest multiple of the spacing along each axis; 0 for random frequencies.
    """

    at: npt.NDArray[np.int64]
    frequencies: Array
    weights: Array
    base: Array
    counts: npt.NDArray[np.int64]


@compiled(fastmath=_FAST)
def _powers(turns, count, full, out):
    """out[0], out[1] = cos, sin of n * angle for n = 0 .. count, or -count .. count if `full`."""
    s, c = sine_cosine64(turns)
    middle = count if full else 0
    out[0, middle] = 1.0
    out[1, middle] = 0.0
    re, im = 1.0, 0.0
    for n in range(1, count + 1):
        re, im = re * c - im * s, re * s + im * c
        out[0, middle + n] = re
        out[1, middle + n] = im
        if full:
            out[0, middle - n] = re
            out[1, middle - n] = -im


@compiled(fastmath=_FAST)
def _waves_at(z, base, counts, tables, waves):
    """Cosines and sines of the grid's modes at one point, into waves[0] and waves[1]."""
    axes = len(z)
    for axis in range(axes):
        _powers(base[axis] * z[axis], counts[axis], axis > 0, tables[axis])
    cosines, sines = waves[0], waves[1]
    if axes == 1:
        for n in range(counts[0] + 1):
            cosines[n] = tables[0, 0, n]
            sines[n] = tables[0, 1, n]
        return
    last = axes - 1
    inner = 2 * counts[last] + 1
    middle = 2 * counts[1] + 1 if axes == 3 else 1
    inner_re, inner_im = tables[last, 0, :inner], tables[last, 1, :inner]
    k = 0
    for n in range(counts[0] + 1):
        for m in range(middle):
            re, im = tables[0, 0, n], tables[0, 1, n]
            if axes == 3:
                mre, mim = tables[1, 0, m], tables[1, 1, m]
                re, im = re * mre - im * mim, re * mim + im * mre
            row_c, row_s = cosines[k : k + inner], sines[k : k + inner]
            for i in range(inner):
                row_c[i] = re * inner_re[i] - im * inner_im[i]
                row_s[i] = re * inner_im[i] + im * inner_re[i]
            k += inner


@compiled(fastmath=_FAST)
def _add_scaled(waves, factor, sums):
    cosines, sines, first, second = waves[0], waves[1], sums[0], sums[1]
    for k in range(len(cosines)):
        first[k] += factor * cosines[k]
        second[k] += factor * sines[k]


@compiled
def _grid_gather(points, mass, context, waves, sums):
    """Waves of the grid at some points, shape `[points, 2, modes]`, and their sum, weighted by mass."""
    for j in range(len(points)):
        _waves_at(points[j], context[0], context[1], context[2], waves[j])
        _add_scaled(waves[j], mass[j], sums)


def _random_gather(real: Any, sine_cosine: Any) -> Any:
    @compiled(fastmath=_FAST)
    def four_axes(points, j, axis, frequencies, low, a, b, c, d):
        """Phases at four points from four axes, added to those before; every frequency is read once for all points."""
        axes = points.shape[1]
        f0, f1 = frequencies[axis, low:], frequencies[axis + 1, low:]
        f2, f3 = frequencies[axis + 2, low:], frequencies[axis + 3, low:]
        i0, i1, i2, i3 = axis, min(axis + 1, axes - 1), min(axis + 2, axes - 1), min(axis + 3, axes - 1)
        a0, a1, a2, a3 = real(points[j, i0]), real(points[j, i1]), real(points[j, i2]), real(points[j, i3])
        j += 1
        b0, b1, b2, b3 = real(points[j, i0]), real(points[j, i1]), real(points[j, i2]), real(points[j, i3])
        j += 1
        c0, c1, c2, c3 = real(points[j, i0]), real(points[j, i1]), real(points[j, i2]), real(points[j, i3])
        j += 1
        d0, d1, d2, d3 = real(points[j, i0]), real(points[j, i1]), real(points[j, i2]), real(points[j, i3])
        if axis == 0:
            for k in range(len(a)):
                p, q, r, s = f0[k], f1[k], f2[k], f3[k]
                a[k] = (a0 * p + a1 * q) + (a2 * r + a3 * s)
                b[k] = (b0 * p + b1 * q) + (b2 * r + b3 * s)
                c[k] = (c0 * p + c1 * q) + (c2 * r + c3 * s)
                d[k] = (d0 * p + d1 * q) + (d2 * r + d3 * s)
        else:
            for k in range(len(a)):
                p, q, r, s = f0[k], f1[k], f2[k], f3[k]
                a[k] += (a0 * p + a1 * q) + (a2 * r + a3 * s)
                b[k] += (b0 * p + b1 * q) + (b2 * r + b3 * s)
                c[k] += (c0 * p + c1 * q) + (c2 * r + c3 * s)
                d[k] += (d0 * p + d1 * q) + (d2 * r + d3 * s)

    @compiled(fastmath=_FAST)
    def one_axis(y, frequencies, a):
        for k in range(len(a)):
            a[k] += y * frequencies[k]

    @compiled(fastmath=_FAST)
    def turn_and_add(waves, factor, sums):
        """Phases, in waves[1], become cosines and sines, which are added to the sums."""
        cosines, sines, first, second = waves[0], waves[1], sums[0], sums[1]
        for k in range(len(cosines)):
            s, c = sine_cosine(sines[k])
            sines[k] = s
            cosines[k] = c
            first[k] += factor * c
            second[k] += factor * s

    @compiled
    def random_gather(points, mass, context, waves, sums):
        """Waves of arbitrary frequencies at some points, shape `[points, 2, modes]`, and their sum."""
        frequencies = context[3]
        count, axes = points.shape
        grouped = count // 4 * 4
        modes = waves.shape[2]
        for low in range(0, modes, CHUNK):
            high = min(modes, low + CHUNK)
            for j in range(0, grouped, 4):
                a, b = waves[j, 1, low:high], waves[j + 1, 1, low:high]
                c, d = waves[j + 2, 1, low:high], waves[j + 3, 1, low:high]
                for axis in range(0, axes, 4):
                    four_axes(points, j, axis, frequencies, low, a, b, c, d)
        for j in range(grouped, count):
            for k in range(modes):
                waves[j, 1, k] = 0
            for axis in range(axes):
                one_axis(real(points[j, axis]), frequencies[axis], waves[j, 1])
        for j in range(count):
            turn_and_add(waves[j], real(mass[j]), sums)

    return random_gather


class Engine(NamedTuple):
    """Compiled functions of one kind of waves and one precision."""

    advance: Any
    observe: Any
    means: Any
    real: Any


def _engine(gather: Any, real: Any, keeps_waves: bool) -> Engine:
    """The engine for a function that computes the waves at some points and sums them up.

    `keeps_waves`: whether waves cost so much that the generator uses those that the discriminator has just computed.
    """

    @compiled
    def add_waves(points, mass, context, total):
        """total += sum_j mass_j (cosines, sines) at the points; summed in blocks."""
        count, waves, part = len(points), context[4], context[5]
        for start in range(0, count, BLOCK):
            stop = min(count, start + BLOCK)
            here = waves[start:stop] if keeps_waves else waves[: stop - start]
            for side in range(2):
                for k in range(part.shape[1]):
                    part[side, k] = 0
            gather(points[start:stop], mass[start:stop], context, here, part)
            for side in range(2):
                for k in range(part.shape[1]):
                    total[side, k] += part[side, k]

    @compiled(fastmath=_FAST)
    def fill_slopes(waves, coefficients, slopes):
        cosines, sines, u, v = waves[0], waves[1], coefficients[0], coefficients[1]
        for k in range(len(cosines)):
            slopes[k] = v[k] * cosines[k] - u[k] * sines[k]

    @compiled(fastmath=_FAST)
    def dot(a, b):
        total = real(0)
        for k in range(len(a)):
            total += a[k] * b[k]
        return total

    @compiled(fastmath=_FAST)
    def dot_four(f0, f1, f2, f3, slopes, out):
        """out[i, n] = f_n . slopes_i for four points and four axes: every number is read once."""
        s0, s1, s2, s3 = slopes[0], slopes[1], slopes[2], slopes[3]
        zero = real(0)
        a0, a1, a2, a3, b0, b1, b2, b3 = zero, zero, zero, zero, zero, zero, zero, zero
        c0, c1, c2, c3, d0, d1, d2, d3 = zero, zero, zero, zero, zero, zero, zero, zero
        for k in range(len(f0)):
            p, q, r, s = f0[k], f1[k], f2[k], f3[k]
            a, b, c, d = s0[k], s1[k], s2[k], s3[k]
            a0 += a * p
            a1 += a * q
            a2 += a * r
            a3 += a * s
            b0 += b * p
            b1 += b * q
            b2 += b * r
            b3 += b * s
            c0 += c * p
            c1 += c * q
            c2 += c * r
            c3 += c * s
            d0 += d * p
            d1 += d * q
            d2 += d * r
            d3 += d * s
        out[0, 0], out[0, 1], out[0, 2], out[0, 3] = a0, a1, a2, a3
        out[1, 0], out[1, 1], out[1, 2], out[1, 3] = b0, b1, b2, b3
        out[2, 0], out[2, 1], out[2, 2], out[2, 3] = c0, c1, c2, c3
        out[3, 0], out[3, 1], out[3, 2], out[3, 3] = d0, d1, d2, d3

    @compiled
    def pull(points, coefficients, context, speeds, out):
        """out_j = speeds_j grad f(z_j), where the sum of waves was asked for at the same points just before."""
        count, axes = points.shape
        waves, frequencies, slopes, small = context[4], context[3], context[6], context[7]
        for side in range(2):
            for k in range(small.shape[1]):
                small[side, k] = coefficients[side, k]
        products = np.empty((4, 4), real)
        for start in range(0, count, 4):
            stop = min(count, start + 4)
            here = waves[start:stop] if keeps_waves else waves[: stop - start]
            if not keeps_waves:
                for j in range(start, stop):
                    _waves_at(points[j], context[0], context[1], context[2], here[j - start])
            for j in range(stop - start):
                fill_slopes(here[j], small, slopes[j])
            if stop - start == 4 and axes > 2:
                for axis in range(0, axes, 4):
                    f = frequencies
                    dot_four(f[axis], f[axis + 1], f[axis + 2], f[axis + 3], slopes, products)
                    for j in range(4):
                        for n in range(min(4, axes - axis)):
                            out[start + j, axis + n] = TURN * speeds[start + j] * products[j, n]
            else:
                for j in range(stop - start):
                    for axis in range(axes):
                        out[start + j, axis] = TURN * speeds[start + j] * dot(frequencies[axis], slopes[j])

    @compiled
    def velocity(part, g, d, vg, vd, context):
        """Both players' moves in an iteration; see `dynamics.rules.make_step`."""
        mass, speeds, weights, target, rates = context[8], context[9], context[10], context[11], context[12]
        axes = len(context[0])
        points, moves = g.reshape(-1, axes), vg.reshape(-1, axes)
        modes = len(weights)
        coefficients, change = d.reshape(2, modes), vd.reshape(2, modes)
        if part != GENERATOR:
            for i in range(len(vd)):
                vd[i] = 0.0
            add_waves(points, mass, context, change)
            for side in range(2):
                for k in range(modes):
                    difference = target[side, k] - change[side, k]
                    change[side, k] = rates[0] * weights[k] * difference - rates[1] * coefficients[side, k]
        if part != DISCRIMINATOR:
            pull(points, coefficients, context, speeds, moves)

    step = compiled(make_step(velocity))

    @compiled
    def within(points):
        """Whether all coordinates are finite, and small enough for the waves to be computed."""
        inside = True
        for i in range(len(points)):
            inside = inside and abs(points[i]) <= FARTHEST
        return inside

    @compiled
    def context_of(c, waves, mass, speeds, target, rates):
        """What the functions above need to know about cell c."""
        at, frequencies, weights, base, counts = waves
        low, high = at[c], at[c + 1]
        modes, axes = high - low, base.shape[1]
        padded = (axes + 3) // 4 * 4
        kept = len(mass) if keeps_waves else min(BLOCK, len(mass))
        return (
            base[c],
            counts[c],
            np.empty((axes, 2, 2 * np.max(counts[c]) + 1)),
            frequencies[padded * low : padded * high].reshape(padded, modes),
            np.empty((kept, 2, modes), real),
            np.empty((2, modes), real),
            np.empty((4, modes), real),
            np.empty((2, modes), real),
            mass,
            speeds[c],
            weights[low:high],
            target[2 * low : 2 * high].reshape(2, modes),
            rates[c],
        )

    @compiled
    def advance(first, last, rule, momenta, begins, steps, g, d, mg, md, extents, waves, mass, speeds, target, rates):
        """Cells first..last: `steps` iterations in place; the extents of all visited points grow along.

        `steps` differs between cells. A cell whose points leave every sensible region becomes NaN and stays so.
        """
        size, axes = g.shape[1], waves[3].shape[1]
        for c in range(first, last):
            low, high = waves[0][c], waves[0][c + 1]
            modes = high - low
            context = context_of(c, waves, mass, speeds, target, rates)
            vg, vd = np.empty(size), np.empty(2 * modes)
            here = d[2 * low : 2 * high]
            remember = md[:, 2 * low : 2 * high]
            for k in range(steps[c]):
                if not within(g[c]):
                    for i in range(size):
                        g[c, i] = np.nan
                    break
                step(rule, momenta[c], begins and k == 0, g[c], here, vg, vd, mg[:, c], remember, context)
                i = 0
                while i < size:
                    for axis in range(axes):
                        extents[c, 0, axis] = min(extents[c, 0, axis], g[c, i + axis])
                        extents[c, 1, axis] = max(extents[c, 1, axis], g[c, i + axis])
                    i += axes

    @compiled
    def means(first, last, points, mass, waves, out):
        """out <- sum_j mass_j (cosines, sines) at the points of every cell, or at common points."""
        nothing = np.empty((last, 1))
        for c in range(first, last):
            low, high = waves[0][c], waves[0][c + 1]
            context = context_of(c, waves, mass, nothing, out, nothing)
            total = out[2 * low : 2 * high].reshape(2, high - low)
            for i in range(2 * low, 2 * high):
                out[i] = 0.0
            add_waves(points[min(c, len(points) - 1)], mass, context, total)

    @compiled
    def observe(first, last, g, d, waves, mass, target, regularization, squares, gaps):
        """Squared MMD and squared norm of f - f* of every cell, f* the best discriminator at its points."""
        axes = waves[3].shape[1]
        at, weights = waves[0], waves[2]
        generated = np.empty(2 * at[-1])
        means(first, last, g.reshape(len(g), -1, axes), mass, waves, generated)
        for c in range(first, last):
            square, gap = 0.0, 0.0
            modes = at[c + 1] - at[c]
            for side in range(2):
                for k in range(modes):
                    w = weights[at[c] + k]
                    if w > 0.0:
                        i = 2 * at[c] + side * modes + k
                        difference = target[i] - generated[i]
                        square += w * difference * difference
                        off = d[i] - w * difference / regularization[c]
                        gap += off * off / w
            squares[c] = square
            gaps[c] = gap

    return Engine(advance, observe, means, real)


grid_engine = _engine(_grid_gather, np.float64, False)
double_engine = _engine(_random_gather(np.float64, sine_cosine64), np.float64, True)
single_engine = _engine(_random_gather(np.float32, sine_cosine32), np.float32, True)
