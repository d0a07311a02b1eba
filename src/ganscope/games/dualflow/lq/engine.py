r"""Compiled runs of the linear-quadratic GAN: its flow, and the schemes that step towards it.

The law of the generator is that of mean + L noise, so that a step of the generator is an affine map of the mean and of
the columns of L, and the rank of the covariance L L' never changes. A state is a flat vector

    mean [d], L [d, r], linear w [d], quadratic W [d, d]

and the numbers of a game are a flat vector too

    generator_lr, discriminator_lr, linear_penalty, quadratic_penalty, target mean [d], target second moment [d, d]
"""

import numpy as np

from ganscope.core.compiled import compiled
from ganscope.dynamics.extrapolation import FINISHED, INTERRUPTED, integrator

# What became of a cell.
DONE, BLOWN_UP, TOO_LARGE, NO_NASH = 0, 1, 2, 3
# A state beyond this counts as infinite.
_BOUND = 1e100
_BUDGET = 1_000_000_000


@compiled
def _discriminator_drift(y, at, p, d, r, dy):
    """Gradient of the payoff in w and W, without their penalties, written where they stand in `dy`."""
    w, quadratic = d + d * r, d + d * r + d
    for i in range(d):
        dy[w + i] = p[4 + i] - y[at + i]
        for j in range(i + 1):
            moment = y[at + i] * y[at + j]
            for c in range(r):
                moment += y[at + d + i * r + c] * y[at + d + j * r + c]
            drift = 0.5 * (p[4 + d + i * d + j] - moment)
            dy[quadratic + i * d + j] = drift
            dy[quadratic + j * d + i] = drift


@compiled
def _velocity(t, y, dy, p, sizes):
    d, r = sizes[0], sizes[1]
    w, quadratic = d + d * r, d + d * r + d
    for i in range(d):
        slope = y[w + i]
        for j in range(d):
            slope += y[quadratic + i * d + j] * y[j]
        dy[i] = p[0] * slope
        for c in range(r):
            slope = 0.0
            for j in range(d):
                slope += y[quadratic + i * d + j] * y[d + j * r + c]
            dy[d + i * r + c] = p[0] * slope
    _discriminator_drift(y, 0, p, d, r, dy)
    for i in range(d):
        dy[w + i] = p[1] * (dy[w + i] - p[2] * y[w + i])
    for i in range(d * d):
        dy[quadratic + i] = p[1] * (dy[quadratic + i] - p[3] * y[quadratic + i])


@compiled
def _line_velocity(t, y, dy, p, sizes):
    """On a line, with log |L| in the place of L: widths of any size are resolved."""
    dy[0] = p[0] * (y[3] * y[0] + y[2])
    dy[1] = p[0] * y[3]
    dy[2] = p[1] * (p[4] - y[0] - p[2] * y[2])
    dy[3] = p[1] * (0.5 * (p[5] - y[0] * y[0] - np.exp(2.0 * y[1])) - p[3] * y[3])


_solve = integrator(_velocity)
_solve_line = integrator(_line_velocity)


@compiled
def run_flow(start, numbers, sizes, times, tolerance, out, status):
    """The flow of every cell.

    In more than one dimension the entries of L are followed to the tolerance itself: a direction that gets narrower
    than that is not resolved.

    Args:
        start: States at time 0, `[cells, size]`.
        numbers: `[cells, ...]`, see the module.
        sizes: d and r.
        times: When to record, `[records]`.
        tolerance: Error per step, see `extrapolation`.
        out: Filled with states `[cells, records, size]`; what follows an end is left as it is.
        status: Filled with what became of each cell.
    """
    size = start.shape[1]
    y = np.empty(size)
    for cell in range(start.shape[0]):
        y[:] = start[cell]
        time, h = 0.0, 0.0
        status[cell] = DONE
        line = sizes[0] == 1 and sizes[1] == 1 and y[1] != 0.0
        if line:
            y[1] = np.log(abs(y[1]))
        for k in range(len(times)):
            if times[k] > time:
                state = INTERRUPTED
                while state == INTERRUPTED:
                    if line:
                        state, time, h = _solve_line(
                            y, time, h, times[k], numbers[cell], sizes, tolerance, _BOUND, _BUDGET
                        )
                    else:
                        state, time, h = _solve(y, time, h, times[k], numbers[cell], sizes, tolerance, _BOUND, _BUDGET)
                if state != FINISHED:
                    status[cell] = BLOWN_UP
                    break
            for i in range(size):
                out[cell, k, i] = y[i]
            if line:
                out[cell, k, 1] = np.copysign(np.exp(y[1]), start[cell, 1]) if time > 0.0 else start[cell, 1]


@compiled
def _move_generator(old, y, d, r, step, implicit, work, new):
    """Mean and L of `old` moved along the discriminator that `y` holds, into `new`.

    Returns:
        False where the proximal problem is not strictly convex.
    """
    w, quadratic = d + d * r, d + d * r + d
    columns = r + 1
    if not implicit:
        for i in range(d):
            slope = y[w + i]
            for j in range(d):
                slope += y[quadratic + i * d + j] * old[j]
            work[i] = old[i] + step * slope
            for c in range(r):
                slope = 0.0
                for j in range(d):
                    slope += y[quadratic + i * d + j] * old[d + j * r + c]
                work[d + i * r + c] = old[d + i * r + c] + step * slope
        for i in range(d * columns):
            new[i] = work[i]
        return True
    # Cholesky factor of 1 - step W, then two triangular systems for the mean and every column
    for i in range(d):
        for j in range(i + 1):
            entry = (1.0 if i == j else 0.0) - step * y[quadratic + i * d + j]
            for k in range(j):
                entry -= work[i * d + k] * work[j * d + k]
            if i > j:
                work[i * d + j] = entry / work[j * d + j]
            elif entry <= 0.0:
                return False
            else:
                work[i * d + i] = np.sqrt(entry)
    for c in range(columns):
        first, stride = (0, 1) if c == 0 else (d + c - 1, r)
        for i in range(d):
            entry = old[first + i * stride]
            if c == 0:
                entry += step * y[w + i]
            for k in range(i):
                entry -= work[i * d + k] * new[first + k * stride]
            new[first + i * stride] = entry / work[i * d + i]
        for i in range(d - 1, -1, -1):
            entry = new[first + i * stride]
            for k in range(i + 1, d):
                entry -= work[k * d + i] * new[first + k * stride]
            new[first + i * stride] = entry / work[i * d + i]
    return True


@compiled
def _move_discriminator(old, law, p, d, r, step, repeats, implicit, work, new):
    """w and W of `old` moved against the law that `law` holds, `repeats` times, into `new`."""
    w, end = d + d * r, d + d * r + d + d * d
    _discriminator_drift(law, 0, p, d, r, work)
    for i in range(w, end):
        penalty = p[2] if i < w + d else p[3]
        value = old[i]
        for _ in range(repeats):
            if implicit:
                value = (value + step * work[i]) / (1.0 + step * penalty)
            else:
                value = value + step * (work[i] - penalty * value)
        new[i] = value


@compiled
def _step(y, p, d, r, h, implicit, sequential, nash, critic_first, repeats, rounds, tolerance, work, old, change):
    """One step of a scheme, in place; says what became of it."""
    size, laws = len(y), d + d * r
    slow, fast = h * p[0], h * p[1]
    for i in range(size):
        old[i] = y[i]
    if not nash:
        if sequential and critic_first:
            _move_discriminator(old, old, p, d, r, fast, repeats, implicit, work, y)
            return DONE if _move_generator(old, y, d, r, slow, implicit, work, y) else TOO_LARGE
        if not _move_generator(old, old, d, r, slow, implicit, work, y):
            return TOO_LARGE
        _move_discriminator(old, y if sequential else old, p, d, r, fast, repeats, implicit, work, y)
        return DONE
    moved = np.empty(size)
    for _ in range(rounds):
        _move_discriminator(old, y, p, d, r, fast, 1, True, work, y)
        if not _move_generator(old, y, d, r, slow, True, work, moved):
            return TOO_LARGE
        largest, change[0] = 0.0, 0.0
        for i in range(laws):
            difference = abs(moved[i] - y[i])
            # a difference that is no number stays
            if not difference <= change[0]:
                change[0] = difference
            y[i] = moved[i]
            largest = max(largest, abs(y[i]))
        if change[0] < tolerance * (1.0 + largest):
            _move_discriminator(old, y, p, d, r, fast, 1, True, work, y)
            return DONE
        if not np.isfinite(change[0]):
            break
    return NO_NASH


@compiled
def run_scheme(start, numbers, sizes, counts, steps, flags, rounds, tolerance, out, status, change):
    """A scheme in every cell.

    Args:
        start, numbers, sizes, out, status: As in `run_flow`.
        counts, steps: How many steps of which size come before each record, one after the other, `[records, 2]`.
        flags: Whether proximal, sequential, nash, discriminator first (0 or 1), and steps of the discriminator.
        rounds, tolerance: Of the nash iteration.
        change: Filled with how far the last nash round of a cell moved, `[cells]`.
    """
    size = start.shape[1]
    d, r = sizes[0], sizes[1]
    y, old, work, last = np.empty(size), np.empty(size), np.empty(size + d * d), np.empty(1)
    for cell in range(start.shape[0]):
        y[:] = start[cell]
        status[cell] = DONE
        last[0] = 0.0
        for k in range(len(counts)):
            for part in range(2):
                for _ in range(counts[k, part]):
                    status[cell] = _step(
                        y,
                        numbers[cell],
                        d,
                        r,
                        steps[k, part],
                        flags[0] == 1,
                        flags[1] == 1,
                        flags[2] == 1,
                        flags[3] == 1,
                        flags[4],
                        rounds,
                        tolerance,
                        work,
                        old,
                        last,
                    )
                    if status[cell] != DONE:
                        break
                if status[cell] != DONE:
                    break
            finite = status[cell] == DONE
            for i in range(size):
                finite = finite and np.isfinite(y[i])
            if not finite:
                status[cell] = max(status[cell], BLOWN_UP)
                break
            for i in range(size):
                out[cell, k, i] = y[i]
        change[cell] = last[0]
