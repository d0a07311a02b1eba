r"""Integration of smooth flows of any size to nearly full precision: extrapolated midpoint rule of order 12.

A step of length H is done by the modified midpoint rule with 2, 4, 6, 8, 10 and 12 substeps; the error of each is a
series in the square of the substep, so that polynomial extrapolation to substep 0 removes one term after another. The
last two extrapolated values differ by about the error of the step before the last term went.

References:
    Gragg. On extrapolation algorithms for ordinary initial value problems. SIAM J. Numer. Anal. 2, 1965.
    Bulirsch, Stoer. Numerical treatment of ordinary differential equations by extrapolation methods. 1966.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from ganscope.core.compiled import compiled

# Why an integration ended.
FINISHED, DIVERGED, TOO_MANY_STEPS, INTERRUPTED = 0, 1, 2, 3

_ROWS = 6
_EXPONENT = 1.0 / (2 * _ROWS - 1)
# Beyond this many steps an equation is given up.
_MAX_STEPS = 5_000_000


def integrator(velocity: Callable[..., Any], cache: bool = True) -> Any:
    """Compiled `solve(y, time, h, end, p, context, tolerance, bound, budget) -> (status, time, h)`.

    Args:
        velocity: Compiled `velocity(t, y, dy, p, context)`, which writes dy/dt into `dy`; `y` and `dy` are flat,
            `p` and `context` go through untouched. It must be smooth: at kinks the steps become small.
        cache: Whether the result may be kept on disk.

    The result moves `y` in place from `time` to `end`, beginning with a step of length `h` (0: it finds one), to an
    error per step of `tolerance` relative to the size of each component or 1, whichever is larger, measured as a root
    mean square. It ends early after `budget` calls of the velocity (INTERRUPTED: call it again), or where a component
    leaves `[-bound, bound]` or stops being a number (DIVERGED).
    """

    @compiled
    def substeps(t, y, first, h, count, p, context, a, b, slope, out):
        """The modified midpoint rule with an even number of substeps, into `out`."""
        size = len(y)
        small = h / count
        for i in range(size):
            a[i] = y[i]
            b[i] = y[i] + small * first[i]
        for k in range(1, count + 1):
            velocity(t + k * small, b, slope, p, context)
            for i in range(size):
                out[i] = 0.5 * (a[i] + b[i] + small * slope[i])
                swap = a[i] + 2.0 * small * slope[i]
                a[i] = b[i]
                b[i] = swap

    def solve(y, time, h, end, p, context, tolerance, bound, budget):
        size = len(y)
        table = np.empty((_ROWS, size))
        first, a, b, slope = np.empty(size), np.empty(size), np.empty(size), np.empty(size)
        calls, steps = 0, 0
        while time < end:
            if calls > budget:
                return INTERRUPTED, time, h
            velocity(time, y, first, p, context)
            calls += 1
            if h <= 0.0:
                scale = 0.0
                for i in range(size):
                    scale = max(scale, abs(first[i]) / (1.0 + abs(y[i])))
                h = min(end - time, 0.1 / scale if scale > 0.0 else 1.0)
            while True:
                steps += 1
                last = time + h >= end * (1.0 - 1e-15)
                step = end - time if last else h
                for row in range(_ROWS):
                    count = 2 * (row + 1)
                    substeps(time, y, first, step, count, p, context, a, b, slope, table[row])
                    calls += count
                    # extrapolate: table[row - j] is the entry j columns to the right
                    for j in range(1, row + 1):
                        other = 2 * (row - j + 1)
                        ratio = (count / other) ** 2 - 1.0
                        newer, older = table[row - j + 1], table[row - j]
                        if j == row and row == _ROWS - 1:
                            for i in range(size):
                                b[i] = newer[i]
                        for i in range(size):
                            older[i] = newer[i] + (newer[i] - older[i]) / ratio
                total, largest = 0.0, 0.0
                for i in range(size):
                    magnitude = max(abs(y[i]), abs(table[0, i]))
                    weighted = (table[0, i] - b[i]) / (tolerance * max(1.0, magnitude))
                    total += weighted * weighted
                    largest = max(largest, magnitude)
                error = np.sqrt(total / size)
                if error <= 1.0:
                    time = end if last else time + step
                    for i in range(size):
                        y[i] = table[0, i]
                    factor = min(4.0, 0.9 * (1.0 / max(error, 1e-30)) ** _EXPONENT)
                    if not last or factor < 1.0 or step >= h:
                        h = step * factor
                    break
                # the error may be no number at all
                h = step * (max(0.1, 0.9 * (1.0 / error) ** _EXPONENT) if error > 1.0 else 0.1)
                if h < 1e-13 * max(1.0, abs(time)):
                    return DIVERGED, time, h
            if not largest <= bound:
                return DIVERGED, time, h
            if steps > _MAX_STEPS:
                return TOO_MANY_STEPS, time, h
        return FINISHED, time, h

    return compiled(solve, cache=cache)
