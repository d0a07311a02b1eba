r"""Compiled orbit of a cloud that has collapsed to one point, and of how it bends the discriminator.

A point on the circle moves up a discriminator that is trained against that point alone. Orbits from different starts
are lanes of vector code. Each step is the scheme `first_order` or `second_order` of `engine`, with the second half step
of the discriminator and the first one of the next step taken as one.
"""

import functools
import math
from typing import Any

from numba import carray  # type: ignore[attr-defined]

from ganscope.core.compiled import compiled, stack_doubles
from ganscope.core.elementary import sine_cosine64

# Orbits that one call follows: the least that are enough, or the most.
LANES = (16, 32, 64)
_TURNS = 1.0 / (2.0 * math.pi)
# Rows of the table of coefficients by wavenumber; the last three for the first step of an orbit.
DECAY, GAIN, TARGET, BEND, FIRST_DECAY, FIRST_GAIN = range(6)


@functools.cache
def follower(lanes: int) -> Any:
    """The compiled function that advances `lanes` orbits."""

    @compiled(fastmath={"contract"})
    def follow(second, shift, table, steps, skip, begins, x, d, out):
        """Advance orbits, adding up the slope's derivative by position along them.

        Args:
            second: Whether steps are of second order.
            shift: Mobility of the centre times the step size, one per lane.
            table: Coefficients by wavenumber, `[6, K]`.
            steps: Number of steps.
            skip: Steps before anything is added up.
            begins: Whether the orbit begins here.
            x: Positions of the lanes, `[lanes]`.
            d: Coefficients of the discriminator, `[2, K, lanes]`.
            out: Sums of the derivative, `[lanes]`.
        """
        modes = table.shape[1]
        c = carray(stack_doubles(lanes), (lanes,))
        s = carray(stack_doubles(lanes), (lanes,))
        re = carray(stack_doubles(lanes), (lanes,))
        im = carray(stack_doubles(lanes), (lanes,))
        slope = carray(stack_doubles(lanes), (lanes,))
        bend = carray(stack_doubles(lanes), (lanes,))
        for step in range(steps):
            for lane in range(lanes):
                s[lane], c[lane] = sine_cosine64(x[lane] * _TURNS)
            for lane in range(lanes):
                re[lane] = c[lane]
                im[lane] = s[lane]
                slope[lane] = 0.0
                bend[lane] = 0.0
            opens = begins and step == 0
            for k in range(modes):
                decay = table[FIRST_DECAY, k] if opens else table[DECAY, k]
                gain = table[FIRST_GAIN, k] if opens else table[GAIN, k]
                target, weight = table[TARGET, k], table[BEND, k]
                order = k + 1.0
                real, imaginary = d[0, k], d[1, k]
                for lane in range(lanes):
                    u = decay * real[lane] + gain * (target - re[lane])
                    v = decay * imaginary[lane] + gain * im[lane]
                    real[lane] = u
                    imaginary[lane] = v
                    slope[lane] -= weight * (u * im[lane] + v * re[lane])
                    bend[lane] -= weight * order * (u * re[lane] - v * im[lane])
                for lane in range(lanes):
                    turned = re[lane] * c[lane] - im[lane] * s[lane]
                    im[lane] = re[lane] * s[lane] + im[lane] * c[lane]
                    re[lane] = turned
            if second:
                for lane in range(lanes):
                    s[lane], c[lane] = sine_cosine64((x[lane] + 0.5 * shift[lane] * slope[lane]) * _TURNS)
                for lane in range(lanes):
                    re[lane] = c[lane]
                    im[lane] = s[lane]
                    slope[lane] = 0.0
                    bend[lane] = 0.0
                for k in range(modes):
                    weight, order = table[BEND, k], k + 1.0
                    real, imaginary = d[0, k], d[1, k]
                    for lane in range(lanes):
                        slope[lane] -= weight * (real[lane] * im[lane] + imaginary[lane] * re[lane])
                        bend[lane] -= weight * order * (real[lane] * re[lane] - imaginary[lane] * im[lane])
                    for lane in range(lanes):
                        turned = re[lane] * c[lane] - im[lane] * s[lane]
                        im[lane] = re[lane] * s[lane] + im[lane] * c[lane]
                        re[lane] = turned
            counts = 1.0 if step >= skip else 0.0
            for lane in range(lanes):
                x[lane] += shift[lane] * slope[lane]
                out[lane] += counts * bend[lane]

    return follow
