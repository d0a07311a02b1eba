"""Runs of linear games: affine steps in a compiled loop, and the flow by the exponential of its matrix."""

from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.linalg import expm

from ganscope.core.compiled import compiled, writeable
from ganscope.core.game import Request
from ganscope.core.parallel import run_tasks
from ganscope.games.dualflow.game import fail
from ganscope.games.dualflow.levels import FLOW, check_options, step_of, strides
from ganscope.games.dualflow.theory.affine import Linear, affine_step, no_step

Array = npt.NDArray[np.float64]

# Multiplications that one call of compiled code does, and cells of one task.
_CALL, _TASK = 2.0**28, 64
# Matrix exponentials held in memory together.
_EXPONENTIALS = 2**16
# Determinant of two equations, relative to the square of their entries, from which on their solution is good.
_FAR = 1e-3


@compiled
def _advance(p, q, last_p, last_q, z, counts, last, out):
    """`out[k]` becomes the state after `counts[k]` further steps; with `last` the very last of them is another one.

    Stays at NaN once the state is not finite.
    """
    size = len(z)
    new = np.empty(size)
    for k in range(len(counts)):
        whole = counts[k]
        shorter = last and k == len(counts) - 1 and whole > 0
        if shorter:
            whole -= 1
        if size == 2:
            p00, p01, p10, p11, q0, q1 = p[0, 0], p[0, 1], p[1, 0], p[1, 1], q[0], q[1]
            x, y = z[0], z[1]
            for _ in range(whole):
                swap = p00 * x + (p01 * y + q0)
                y = p11 * y + (p10 * x + q1)
                x = swap
            z[0], z[1] = x, y
        else:
            for _ in range(whole):
                for i in range(size):
                    total = q[i]
                    for j in range(size):
                        total += p[i, j] * z[j]
                    new[i] = total
                for i in range(size):
                    z[i] = new[i]
        if shorter:
            for i in range(size):
                total = last_q[i]
                for j in range(size):
                    total += last_p[i, j] * z[j]
                new[i] = total
            for i in range(size):
                z[i] = new[i]
        finite = True
        for i in range(size):
            finite = finite and np.isfinite(z[i])
        if not finite:
            z[:] = np.nan
        for i in range(size):
            out[k, i] = z[i]


@compiled
def _advance_cells(p, q, last_p, last_q, z, counts, last, out):
    for cell in range(len(z)):
        _advance(p[cell], q[cell], last_p[cell], last_q[cell], z[cell], counts, last, out[cell])


def iterate(
    step: tuple[Array, Array], last_step: tuple[Array, Array] | None, start: Array, counts: npt.NDArray[np.int64]
) -> Array:
    """States of many affine iterations.

    Args:
        step: P, shape `[cells, N, N]`, and q, shape `[cells, N]`.
        last_step: The very last step, where it is another one.
        start: Shape `[cells, N]`.
        counts: How many steps are done before each record, after the record before.

    Returns:
        Shape `[cells, records, N]`; NaN from where a state is not finite.
    """
    cells, size = start.shape
    out = np.empty((cells, len(counts), size))
    z = np.array(start, np.float64, order="C")
    p, q = (writeable(np.ascontiguousarray(a)) for a in step)
    last_p, last_q = (p, q) if last_step is None else (writeable(np.ascontiguousarray(a)) for a in last_step)
    counts = writeable(np.ascontiguousarray(counts, np.int64))

    def work(rows: slice, tick: Any) -> None:
        width = len(z[rows])
        per_step = width * size * size
        begin = 0
        while begin < len(counts):
            # as many records as one call may take
            load = np.cumsum(counts[begin:] + 1) * per_step
            end = begin + max(1, int(np.searchsorted(load, _CALL)))
            last = last_step is not None and end >= len(counts)
            part = np.empty((width, min(end, len(counts)) - begin, size))
            _advance_cells(p[rows], q[rows], last_p[rows], last_q[rows], z[rows], counts[begin:end], last, part)
            out[rows, begin:end] = part
            tick(float(load[part.shape[1] - 1]))
            begin = end

    tasks = [partial(work, slice(first, first + _TASK)) for first in range(0, cells, _TASK)]
    run_tasks(tasks, "affine steps", float(cells * size * size * np.sum(counts + 1)))
    return out


@compiled
def _exponential_of_two(j, t):
    """The four entries of exp(J t) of a 2 x 2 matrix, row by row: J is its mean rate m plus a turn or a shear."""
    m, half = (j[0, 0] + j[1, 1]) / 2, (j[0, 0] - j[1, 1]) / 2
    square = half * half + j[0, 1] * j[1, 0]
    size = np.sqrt(abs(square))
    if square < 0:
        grown = np.exp(m * t)
        even, odd = grown * np.cos(size * t), grown * np.sin(size * t) / size
    elif size * t < 1:
        grown = np.exp(m * t)
        even, odd = grown * np.cosh(size * t), grown * (np.sinh(size * t) / size if size * t > 0 else t)
    else:
        # two real rates, the smaller one from the product of both
        product = j[0, 0] * j[1, 1] - j[0, 1] * j[1, 0]
        fast = m - size if m < 0 else m + size
        one, two = np.exp(fast * t), np.exp(product / fast * t)
        even = (one + two) / 2
        odd = (one - two) / (2 * size) if m >= 0 else (two - one) / (2 * size)
    return even + odd * half, odd * j[0, 1], odd * j[1, 0], even - odd * half


@compiled
def _flow_of_two(j, centre, start, times, out):
    for cell in range(len(start)):
        x, y = start[cell, 0] - centre[cell, 0], start[cell, 1] - centre[cell, 1]
        for k in range(len(times)):
            if times[k] == 0:
                out[cell, k, :] = start[cell, :]
            else:
                a, b, c, d = _exponential_of_two(j[cell], times[k])
                out[cell, k, 0] = centre[cell, 0] + (a * x + b * y)
                out[cell, k, 1] = centre[cell, 1] + (c * x + d * y)


def exact_flow(linear: Linear, start: Array, times: Array) -> Array:
    """The flow itself at given times, by the exponential of the matrix.

    Args:
        linear: Games, jacobian `[cells, N, N]`.
        start: Shape `[cells, N]`.
        times: Shape `[records]`.

    Returns:
        Shape `[cells, records, N]`; NaN from where a state is not finite.
    """
    j, b, _ = linear
    cells, size = start.shape
    out = np.empty((cells, len(times), size))
    closed = np.zeros(cells, bool)
    if size == 2:
        # in closed form around the equilibrium, unless that is far away or does not exist
        centre = np.zeros_like(start)
        with np.errstate(over="ignore", invalid="ignore"):
            determinant = j[:, 0, 0] * j[:, 1, 1] - j[:, 0, 1] * j[:, 1, 0]
            near = np.abs(determinant) > _FAR * np.max(np.abs(j), axis=(1, 2)) ** 2
        centre[near] = np.linalg.solve(j[near], -b[near, :, None])[..., 0]
        closed = near | np.all(b == 0, axis=1)
        part = np.empty((int(closed.sum()), len(times), 2))
        given = (j[closed], centre[closed], start[closed], times)
        _flow_of_two(*(writeable(np.ascontiguousarray(a, np.float64)) for a in given), part)
        out[closed] = part
    rest = np.flatnonzero(~closed)
    rows = max(1, _EXPONENTIALS // len(times))
    for first in range(0, len(rest), rows):
        here = rest[first : first + rows]
        out[here] = _by_exponential(j[here], b[here], start[here], times)
    return lost(out)


def _by_exponential(j: Array, b: Array, start: Array, times: Array) -> Array:
    # one more coordinate, constant in time, carries the offset; its size is that of the matrix
    cells, size = start.shape
    width = np.max(np.sum(np.abs(j), axis=-1), axis=-1)
    longest = np.max(np.abs(b), axis=-1)
    unit = np.where((longest > 0) & (width > 0), longest / np.where(width > 0, width, 1.0), 1.0)
    bordered = np.zeros((cells, size + 1, size + 1))
    bordered[:, :size, :size] = j
    bordered[:, :size, size] = b / unit[:, None]
    z = np.concatenate([start, unit[:, None]], axis=-1)
    with np.errstate(all="ignore"):
        grown = expm(times[None, :, None, None] * bordered[:, None])
        return np.asarray(np.einsum("ctij,cj->cti", grown[:, :, :size, :], z))


def lost(states: Array) -> Array:
    """States `[cells, records, N]` with NaN from the first record on that is not finite."""
    bad = np.logical_or.accumulate(~np.all(np.isfinite(states), axis=-1), axis=-1)
    states[bad] = np.nan
    return states


def trajectories(request: Request, linear: Linear, start: Array) -> Array:
    """States of all cells of a request, of the flow or a scheme.

    Args:
        request: The request.
        linear: The cells' games, jacobian `[cells, N, N]`.
        start: Shape `[cells, N]`.

    Returns:
        Shape `[cells, records, N]`.

    Raises:
        ParameterError: If an option of the level is out of its range.
        StepTooLarge: If a single run has a step without solution; in a batch the cell is NaN after its start.
    """
    if request.level == FLOW:
        check_options(request.options)
        return exact_flow(linear, start, request.schedule.times)
    options = check_options(request.options)
    how = {name: options[name] for name in ("order", "discriminator_steps") if name in options}
    plan = list(strides(request))
    shorter = len(plan[-1]) == 2
    counts = np.array([sum(count for count, _ in stride) for stride in plan], np.int64)
    step = affine_step(linear, request.level, step_of(request.step_size), **how)
    last_step = affine_step(linear, request.level, plan[-1][1][1], **how) if shorter else None
    for cell in np.flatnonzero(~np.all(np.isfinite(step[0]), axis=(-2, -1))):
        fail(request, int(cell), no_step(request.level, step_of(request.step_size)))
    return iterate(step, last_step, start, counts)
