r"""Compiled time steps of particles on a circle.

Particles stand in lanes of 64, enough for LLVM to keep the loops over lanes and make vector code of them: one sine and
cosine per particle, and all wavenumbers from powers of exp(i x).

    first_order     the discriminator over the whole step, the particles fixed; then the particles by an Euler step
    second_order    the discriminator over half a step; a midpoint step of the particles; the second half
"""

import math

import numpy as np
from numba import carray  # type: ignore[attr-defined]

from ganscope.core.compiled import compiled, stack_doubles
from ganscope.core.elementary import sine_cosine64
from ganscope.core.random import fill_normals

LANES = 64
_TURNS = 1.0 / (2.0 * math.pi)
# Rows of a table of coefficients by wavenumber.
DECAY, GAIN, TARGET, BEND = range(4)
_START_NOISE = 0


@compiled(fastmath={"contract"})
def _trigonometry(x, cosines, sines):
    for i in range(len(x)):
        sines[i], cosines[i] = sine_cosine64(x[i] * _TURNS)


@compiled(fastmath={"contract"})
def _moments(cosines, sines, count, sums, out):
    """out[0, k], out[1, k] <- means of cos((k + 1) x) and sin((k + 1) x) over the first `count` entries."""
    modes = out.shape[1]
    c = carray(stack_doubles(LANES), (LANES,))
    s = carray(stack_doubles(LANES), (LANES,))
    re = carray(stack_doubles(LANES), (LANES,))
    im = carray(stack_doubles(LANES), (LANES,))
    for k in range(modes):
        for lane in range(LANES):
            sums[k, 0, lane] = 0.0
            sums[k, 1, lane] = 0.0
    for start in range(0, count, LANES):
        for lane in range(LANES):
            there = 1.0 if start + lane < count else 0.0
            c[lane] = cosines[start + lane]
            s[lane] = sines[start + lane]
            re[lane] = there * c[lane]
            im[lane] = there * s[lane]
        for k in range(modes):
            even, odd = sums[k, 0], sums[k, 1]
            for lane in range(LANES):
                even[lane] += re[lane]
            for lane in range(LANES):
                odd[lane] += im[lane]
            for lane in range(LANES):
                turned = re[lane] * c[lane] - im[lane] * s[lane]
                im[lane] = re[lane] * s[lane] + im[lane] * c[lane]
                re[lane] = turned
    for k in range(modes):
        for part in range(2):
            total = 0.0
            for lane in range(LANES):
                total += sums[k, part, lane]
            out[part, k] = total / count


@compiled(fastmath={"contract"})
def _slopes(cosines, sines, pull, out):
    """out_i <- Re sum_k pull_k exp(i (k + 1) x_i), by Horner's rule."""
    modes = pull.shape[1]
    c = carray(stack_doubles(LANES), (LANES,))
    s = carray(stack_doubles(LANES), (LANES,))
    re = carray(stack_doubles(LANES), (LANES,))
    im = carray(stack_doubles(LANES), (LANES,))
    for start in range(0, len(out), LANES):
        for lane in range(LANES):
            c[lane] = cosines[start + lane]
            s[lane] = sines[start + lane]
            re[lane] = 0.0
            im[lane] = 0.0
        for k in range(modes - 1, -1, -1):
            real, imaginary = pull[0, k], pull[1, k]
            for lane in range(LANES):
                a = re[lane] + real
                b = im[lane] + imaginary
                re[lane] = a * c[lane] - b * s[lane]
                im[lane] = a * s[lane] + b * c[lane]
        for lane in range(LANES):
            out[start + lane] = re[lane]


@compiled
def _ascend(table, moments, d, pull):
    """The discriminator's step with the particles at rest, and the coefficients of the slope that it gives."""
    for k in range(d.shape[1]):
        d[0, k] = table[DECAY, k] * d[0, k] + table[GAIN, k] * (table[TARGET, k] - moments[0, k])
        d[1, k] = table[DECAY, k] * d[1, k] + table[GAIN, k] * moments[1, k]
        pull[0, k] = -table[BEND, k] * d[1, k]
        pull[1, k] = table[BEND, k] * d[0, k]


@compiled
def _move(x, slopes, count, relative, mean, share, out):
    """out <- x + share of a step of the particles along slopes that are coupled through their mean."""
    lanes = carray(stack_doubles(LANES), (LANES,))
    for lane in range(LANES):
        lanes[lane] = 0.0
    for start in range(0, count, LANES):
        for lane in range(LANES):
            lanes[lane] += slopes[start + lane] if start + lane < count else 0.0
    total = 0.0
    for lane in range(LANES):
        total += lanes[lane]
    common = total / count
    for i in range(len(x)):
        out[i] = x[i] + share * (relative * (slopes[i] - common) + mean * common)


@compiled
def run(second, count, replicas, shifts, tables, steps, records, x, d, out_x, out_d, first, last):
    """Advance trajectories `first` .. `last` - 1 over some segments of their run.

    Args:
        second: Whether to take `second_order` steps; the tables are then those of half a step.
        count: Number of particles.
        replicas: Trajectories per cell.
        shifts: Mobilities times the step size, relative and mean, `[cells, 2]`.
        tables: Coefficients by wavenumber, `[cells, 4, K]`.
        steps: Steps of each segment.
        records: Where its end is recorded, or -1.
        x: Positions, `[trajectories, padded]`, padded to full lanes.
        d: Coefficients of the discriminator, real and imaginary parts, `[trajectories, 2, K]`.
        out_x: Recorded positions, `[trajectories, records, count]`.
        out_d: Recorded coefficients, `[trajectories, records, K, 2]`.
    """
    padded, modes = x.shape[1], d.shape[2]
    cosines, sines, slopes = np.empty(padded), np.empty(padded), np.empty(padded)
    middle, sums = np.empty(padded), np.empty((modes, 2, LANES))
    moments, pull = np.empty((2, modes)), np.empty((2, modes))
    for lane in range(first, last):
        cell = lane // replicas
        table, state, coefficients = tables[cell], x[lane], d[lane]
        relative, mean = shifts[cell, 0], shifts[cell, 1]
        for segment in range(len(steps)):
            if steps[segment] > 0:
                _trigonometry(state, cosines, sines)
                _moments(cosines, sines, count, sums, moments)
            for _ in range(steps[segment]):
                _ascend(table, moments, coefficients, pull)
                _slopes(cosines, sines, pull, slopes)
                if second:
                    _move(state, slopes, count, relative, mean, 0.5, middle)
                    _trigonometry(middle, cosines, sines)
                    _slopes(cosines, sines, pull, slopes)
                _move(state, slopes, count, relative, mean, 1.0, state)
                _trigonometry(state, cosines, sines)
                _moments(cosines, sines, count, sums, moments)
                if second:
                    _ascend(table, moments, coefficients, pull)
            place = records[segment]
            if place >= 0:
                for i in range(count):
                    out_x[lane, place, i] = state[i]
                for k in range(modes):
                    out_d[lane, place, k, 0] = coefficients[0, k]
                    out_d[lane, place, k, 1] = coefficients[1, k]


@compiled
def draw_starts(keys, deviations, replicas, out):
    """Normal starts `[trajectories, padded]`, float32 draws of stream `keys[trajectory]`."""
    noise = np.empty((out.shape[1] + 63) // 64 * 64, np.float32)
    for lane in range(len(out)):
        fill_normals(noise, 0, _START_NOISE, 0, keys[lane, 0], keys[lane, 1])
        for i in range(out.shape[1]):
            out[lane, i] = deviations[lane // replicas] * noise[i]
