"""Dormand-Prince 5(4) for many small ODEs at once: one equation per lane, each with its own step size.

A lane that finishes takes the next equation from the queue, so lanes never wait for each other, and LLVM turns every
loop over lanes into vector instructions. Arithmetic is strict: an equation gives the same bits alone or in company.

References:
    Dormand, Prince. A family of embedded Runge-Kutta formulae. J. Comput. Appl. Math. 6, 1980.
"""

import math
from typing import Any

import numpy as np
from numba import carray  # type: ignore[attr-defined]

from ganscope.core.compiled import compiled, stack_doubles

# Why an integration ended.
FINISHED, DIVERGED, TOO_MANY_STEPS = 0, 1, 2

# Beyond this many steps, some ten seconds, an equation is given up.
MAX_STEPS = 20_000_000


def integrator(rate: Any, size: int, rows: int, lanes: int, cache: bool) -> Any:
    """Compiled `solve(starts, parameters, times, rtol, atol, bound, out, status)`.

    Args:
        rate: Compiled `rate(y, slopes, parameters)`, all `[.., lanes]`, writing dy/dt of every lane into `slopes`.
        size: Number of components.
        rows: Number of parameters.
        lanes: Equations side by side.
        cache: Whether the result may be kept on disk.

    The result integrates equation `e` from `starts[e]` at time 0 with `parameters[:, e]`, and writes the state at each
    of the increasing `times` to `out[e]`, shape `[times, size]`. Where a component leaves `[-bound, bound]`, or the
    equation takes too many steps, the rest of `out[e]` is NaN and `status[e]` says which.
    """
    count, stages, row_count = size * lanes, 7 * size * lanes, rows * lanes

    @compiled(inline=True, cache=False)
    def combine(y, k, h, coefficients, target):
        """target = y + h (c_0 k_0 + c_1 k_1 + ...)"""
        for i in range(size):
            for lane in range(lanes):
                slope = 0.0
                for s in range(len(coefficients)):
                    slope += coefficients[s] * k[s, i, lane]
                target[i, lane] = y[i, lane] + h[lane] * slope

    def solve(starts, parameters, times, rtol, atol, bound, out, status):
        y = carray(stack_doubles(count), (size, lanes))
        trial = carray(stack_doubles(count), (size, lanes))
        k = carray(stack_doubles(stages), (7, size, lanes))
        p = carray(stack_doubles(row_count), (rows, lanes))
        t = carray(stack_doubles(lanes), (lanes,))
        h = carray(stack_doubles(lanes), (lanes,))
        step = carray(stack_doubles(lanes), (lanes,))
        error = carray(stack_doubles(lanes), (lanes,))
        largest = carray(stack_doubles(lanes), (lanes,))
        factor = carray(stack_doubles(lanes), (lanes,))
        equation = np.full(lanes, -1)
        record = np.zeros(lanes, np.int64)
        steps = np.zeros(lanes, np.int64)
        total, records = len(starts), len(times)
        waiting, running = 0, 0
        for lane in range(lanes):
            t[lane] = 0.0
            h[lane] = 0.0
            for i in range(size):
                y[i, lane] = starts[0, i]
            for i in range(rows):
                p[i, lane] = parameters[i, 0]
        refill = True
        while refill or running > 0:
            if refill:
                for lane in range(lanes):
                    while equation[lane] < 0 and waiting < total:
                        e = waiting
                        waiting += 1
                        record[lane] = 0
                        if times[0] == 0.0:
                            for i in range(size):
                                out[e, 0, i] = starts[e, i]
                            record[lane] = 1
                        status[e] = FINISHED
                        if record[lane] == records:
                            continue
                        for i in range(size):
                            y[i, lane] = starts[e, i]
                        for i in range(rows):
                            p[i, lane] = parameters[i, e]
                        equation[lane] = e
                        t[lane] = 0.0
                        h[lane] = 0.0
                        steps[lane] = 0
                        running += 1
                rate(y, k[0], p)
                for lane in range(lanes):
                    if equation[lane] >= 0 and steps[lane] == 0:
                        scale, slope = 0.0, 0.0
                        for i in range(size):
                            weight = 1.0 / (atol + rtol * abs(y[i, lane]))
                            scale += (y[i, lane] * weight) ** 2
                            slope += (k[0, i, lane] * weight) ** 2
                        h[lane] = 0.01 * math.sqrt(scale / slope) if slope > 0.0 and scale > 0.0 else 1e-6
                refill = False
                if running == 0:
                    break
            for lane in range(lanes):
                left = times[min(record[lane], records - 1)] - t[lane] if equation[lane] >= 0 else 0.0
                step[lane] = min(h[lane], left)
            combine(y, k, step, (1 / 5,), trial)
            rate(trial, k[1], p)
            combine(y, k, step, (3 / 40, 9 / 40), trial)
            rate(trial, k[2], p)
            combine(y, k, step, (44 / 45, -56 / 15, 32 / 9), trial)
            rate(trial, k[3], p)
            combine(y, k, step, (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729), trial)
            rate(trial, k[4], p)
            combine(y, k, step, (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656), trial)
            rate(trial, k[5], p)
            combine(y, k, step, (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84), trial)
            rate(trial, k[6], p)
            for lane in range(lanes):
                error[lane] = 0.0
                largest[lane] = 0.0
            for i in range(size):
                for lane in range(lanes):
                    defect = step[lane] * (
                        71 / 57600 * k[0, i, lane]
                        - 71 / 16695 * k[2, i, lane]
                        + 71 / 1920 * k[3, i, lane]
                        - 17253 / 339200 * k[4, i, lane]
                        + 22 / 525 * k[5, i, lane]
                        - 1 / 40 * k[6, i, lane]
                    )
                    magnitude = max(abs(y[i, lane]), abs(trial[i, lane]))
                    ratio = defect / (atol + rtol * magnitude)
                    error[lane] += ratio * ratio
                    largest[lane] = max(largest[lane], magnitude)
            for lane in range(lanes):
                # error^(-3/16), close to the usual -1/5, from square roots alone
                e = max(math.sqrt(error[lane] / size), 1e-10)
                fourth = math.sqrt(math.sqrt(e))
                factor[lane] = min(10.0, max(0.2, 0.9 * math.sqrt(math.sqrt(fourth)) / fourth))
            for lane in range(lanes):
                e = equation[lane]
                if e < 0:
                    continue
                steps[lane] += 1
                ended = FINISHED
                if error[lane] <= size:  # False for NaN
                    stop = times[record[lane]]
                    clipped = step[lane] < h[lane]
                    t[lane] = stop if clipped or t[lane] + step[lane] >= stop else t[lane] + step[lane]
                    h[lane] = max(h[lane], step[lane] * factor[lane]) if clipped else step[lane] * factor[lane]
                    for i in range(size):
                        y[i, lane] = trial[i, lane]
                        k[0, i, lane] = k[6, i, lane]
                    if largest[lane] > bound:
                        ended = DIVERGED
                    elif t[lane] >= stop:
                        for i in range(size):
                            out[e, record[lane], i] = y[i, lane]
                        record[lane] += 1
                else:
                    h[lane] = step[lane] * (factor[lane] if error[lane] > size else 0.1)
                    if h[lane] < 1e-14 * max(1.0, t[lane]):
                        ended = DIVERGED
                if ended == FINISHED and steps[lane] > MAX_STEPS:
                    ended = TOO_MANY_STEPS
                if ended != FINISHED:
                    status[e] = ended
                    for m in range(record[lane], records):
                        for i in range(size):
                            out[e, m, i] = np.nan
                    record[lane] = records
                if record[lane] == records:
                    equation[lane] = -1
                    running -= 1
                    refill = refill or waiting < total

    return compiled(solve, cache=cache)
