r"""Compiled loops of the Dirac-GAN: exact or nearly exact flow, and every scheme, over many cells.

    bilinear         E1 = -theta psi                  E2 = theta psi + gamma psi^2 / 2
    saturating       E1 = -log(1 + exp(theta psi))    E2 = log(1 + exp(theta psi)) + gamma psi^2 / 2
    nonsaturating    E1 = log(1 + exp(-theta psi))    E2 = log(1 + exp(theta psi)) + gamma psi^2 / 2

A proximal step of either player minimises (z - own)^2 / (2 h) + sign log(1 + exp(a z)) + g z^2 / 2 with one sign and
numbers h, a, g, whose stationary point lies between own and own - h sign a, both divided by 1 + h g: Newton's method
within that bracket.
"""

import numpy as np

from ganscope.core.compiled import compiled
from ganscope.dynamics.extrapolation import FINISHED, INTERRUPTED, integrator

BILINEAR, SATURATING, NONSATURATING = 0, 1, 2
LOSSES = ("bilinear", "saturating", "nonsaturating")

# What became of a step.
DONE, TOO_LARGE, NO_PROX, NO_NASH = 0, 1, 2, 3

# Codes of `levels.SCHEMES`, in their order.
_EXPLICIT, _EXPLICIT_SEQUENTIAL, _JKO, _JKO_SEQUENTIAL, _NASH, _MIDPOINT = range(6)
_NASH_ROUNDS, _NASH_TOLERANCE = 500, 1e-13
# Where the integrator gives up, and after how many calls it comes back.
_BOUND, _BUDGET = 1e150, 1_000_000


@compiled
def logistic(v):
    """1 / (1 + exp(-v)), to full relative precision."""
    if v >= 0.0:
        return 1.0 / (1.0 + np.exp(-v))
    e = np.exp(v)
    return e / (1.0 + e)


@compiled
def gradient(player, loss, gamma, theta, psi):
    """dE1/dtheta (player 0) or dE2/dpsi (player 1)."""
    if player == 0:
        if loss == BILINEAR:
            return -psi
        if loss == SATURATING:
            return -psi * logistic(theta * psi)
        return -psi * logistic(-theta * psi)
    slope = 1.0 if loss == BILINEAR else logistic(theta * psi)
    return slope * theta + gamma * psi


@compiled
def prox(player, loss, gamma, theta, psi, h, tolerance, iterations):
    """Proximal step of a player, with h the step size times its speed.

    Returns:
        The new own state, what became of the step, and the residual (for NO_PROX).
    """
    own, other, g = (theta, psi, 0.0) if player == 0 else (psi, theta, gamma)
    a = -other if player == 0 and loss != SATURATING else other
    sign = -1.0 if player == 0 and loss == SATURATING else 1.0
    if loss == BILINEAR:
        return (own - h * a) / (1.0 + h * g), DONE, 0.0
    if sign < 0.0 and not h * a * a < 4.0:
        return np.nan, TOO_LARGE, np.nan
    stiff, push = 1.0 + h * g, h * sign * a
    # a little wider than the answer can be, so that it lies inside
    low, high = (own - max(2.0 * push, -push)) / stiff, (own - min(2.0 * push, -push)) / stiff
    z = (own - push * logistic(a * own)) / stiff
    residual, last = np.inf, high - low
    for _ in range(iterations):
        s = logistic(a * z)
        residual = stiff * z - own + push * s
        if residual > 0.0:
            high = z
        else:
            low = z
        new = z - residual / (stiff + push * a * s * (1.0 - s))
        # the second: rounding lets it come no closer
        if abs(residual) <= tolerance * (1.0 + abs(own)) or abs(new - z) <= 3e-16 * abs(new):
            return new, DONE, residual
        if not (low < new and new < high and abs(new - z) <= 0.5 * last):
            new = 0.5 * (low + high)
        last = abs(new - z)
        z = new
    return z, NO_PROX, residual


@compiled
def nash(loss, gamma, theta, psi, h1, h2, tolerance, iterations):
    """Both proximal problems at each other's solution.

    Returns:
        The new states, what became of the step, how many rounds or iterations it took, and what was left.
    """
    if loss == BILINEAR:
        both = 1.0 + h2 * gamma + h1 * h2
        return ((1.0 + h2 * gamma) * theta + h1 * psi) / both, (psi - h2 * theta) / both, DONE, 0, 0.0
    new_theta, change = theta, np.inf
    for _ in range(_NASH_ROUNDS):
        new_psi, status, residual = prox(1, loss, gamma, new_theta, psi, h2, tolerance, iterations)
        if status != DONE:
            return new_theta, new_psi, status, iterations, residual
        moved, status, residual = prox(0, loss, gamma, theta, new_psi, h1, tolerance, iterations)
        if status != DONE:
            return moved, new_psi, status, iterations, residual
        change = abs(moved - new_theta)
        new_theta = moved
        if change < _NASH_TOLERANCE * (1.0 + abs(new_theta)):
            new_psi, status, residual = prox(1, loss, gamma, new_theta, psi, h2, tolerance, iterations)
            return new_theta, new_psi, status, iterations, residual
    return new_theta, psi, NO_NASH, _NASH_ROUNDS, change


@compiled
def advance(scheme, loss, generator_first, repeats, gamma, theta, psi, h1, h2, tolerance, iterations):
    """One step of a scheme, h1 and h2 being the step size times the speeds; returns as `nash`."""
    if scheme == _NASH:
        return nash(loss, gamma, theta, psi, h1, h2, tolerance, iterations)
    if scheme == _MIDPOINT:
        # the midpoint is what a nash step of half the size reaches
        x, y, status, count, left = nash(loss, gamma, theta, psi, 0.5 * h1, 0.5 * h2, tolerance, iterations)
        return 2.0 * x - theta, 2.0 * y - psi, NO_PROX if status == NO_NASH else status, count, left
    implicit = scheme in (_JKO, _JKO_SEQUENTIAL)
    sequential = scheme in (_EXPLICIT_SEQUENTIAL, _JKO_SEQUENTIAL)
    status, left = DONE, 0.0
    x, y = theta, psi
    for turn in range(2):
        if (turn == 0) == generator_first:
            seen = y if sequential else psi
            if implicit:
                x, status, left = prox(0, loss, gamma, theta, seen, h1, tolerance, iterations)
            else:
                x = theta - h1 * gradient(0, loss, gamma, theta, seen)
        else:
            seen = x if sequential else theta
            for _ in range(repeats):
                if implicit:
                    y, status, left = prox(1, loss, gamma, seen, y, h2, tolerance, iterations)
                else:
                    y -= h2 * gradient(1, loss, gamma, seen, y)
                if status != DONE:
                    break
        if status != DONE:
            break
    return x, y, status, iterations, left


@compiled
def run_scheme(scheme, loss, generator_first, repeats, numbers, starts, counts, sizes, tolerance, iterations, out, end):
    """A scheme in every cell.

    Args:
        scheme, loss: Their codes.
        generator_first: Who moves first in sequential schemes.
        repeats: Steps of the discriminator per step of the generator.
        numbers: generator_lr, discriminator_lr and gradient_penalty, `[cells, 3]`.
        starts: theta and psi, `[cells, 2]`.
        counts, sizes: Before each record so many steps of such a size, then so many of another, both `[records, 2]`.
        tolerance, iterations: Of the solver of proximal steps.
        out: Filled with states `[cells, records, 2]`, NaN from the first on that is not finite or has no step.
        end: Filled with what became of the last step, iterations, what was left, theta, psi and the step size before
            it, `[cells, 6]`.
    """
    for cell in range(len(starts)):
        eta1, eta2, gamma = numbers[cell, 0], numbers[cell, 1], numbers[cell, 2]
        theta, psi = starts[cell, 0], starts[cell, 1]
        alive = True
        for record in range(len(counts)):
            for part in range(2):
                h1, h2 = sizes[record, part] * eta1, sizes[record, part] * eta2
                for _ in range(counts[record, part] if alive else 0):
                    x, y, status, count, left = advance(
                        scheme, loss, generator_first, repeats, gamma, theta, psi, h1, h2, tolerance, iterations
                    )
                    if status != DONE:
                        end[cell, 0], end[cell, 1], end[cell, 2] = status, count, left
                        end[cell, 3], end[cell, 4], end[cell, 5] = theta, psi, sizes[record, part]
                        alive = False
                        break
                    theta, psi = x, y
                    if not (abs(theta) < np.inf and abs(psi) < np.inf):
                        alive = False
                        break
            out[cell, record, 0] = theta if alive else np.nan
            out[cell, record, 1] = psi if alive else np.nan


@compiled
def _velocity(t, y, dy, p, loss):
    dy[0] = -p[0] * gradient(0, loss, p[2], y[0], y[1])
    dy[1] = -p[1] * gradient(1, loss, p[2], y[0], y[1])


_solve = integrator(_velocity)


@compiled
def run_flow(loss, numbers, starts, times, tolerance, out):
    """The flow of every cell; arguments as in `run_scheme`, `tolerance` as in `extrapolation`."""
    y = np.empty(2)
    for cell in range(len(starts)):
        y[0], y[1] = starts[cell, 0], starts[cell, 1]
        time, h, status = 0.0, 0.0, FINISHED
        for record in range(len(times)):
            if loss == BILINEAR:
                y[0], y[1] = _rotation(numbers[cell], starts[cell], times[record])
            elif times[record] > time and status == FINISHED:
                status = INTERRUPTED
                while status == INTERRUPTED:
                    status, time, h = _solve(y, time, h, times[record], numbers[cell], loss, tolerance, _BOUND, _BUDGET)
            out[cell, record, 0] = y[0] if status == FINISHED else np.nan
            out[cell, record, 1] = y[1] if status == FINISHED else np.nan


@compiled
def _rotation(numbers, start, t):
    """exp(J t) applied to a start, for J = ((0, eta1), (-eta2, -eta2 gamma)).

    exp(J t) = e^(r t) + f (J - r) for either root r, with f the divided difference of e^(r t) over the two roots; the
    right root for each player keeps a slow mode free of cancellation.
    """
    eta1, eta2, gamma = numbers[0], numbers[1], numbers[2]
    theta, psi = start[0], start[1]
    half = 0.5 * eta2 * gamma
    speed = np.sqrt(eta1) * np.sqrt(eta2)
    split = (half - speed) * (half + speed)
    if split >= 0.0:
        width = np.sqrt(split)
        fast = -half - width
        slow = -speed * (speed / (half + width))
        gap = slow - fast
        f = np.exp(slow * t) * (t if gap == 0.0 else -np.expm1(-gap * t) / gap)
        return (
            np.exp(slow * t) * theta + f * (eta1 * psi - slow * theta),
            np.exp(fast * t) * psi + f * (slow * psi - eta2 * theta),
        )
    frequency = np.sqrt(-split)
    decay = np.exp(-half * t)
    c, s = decay * np.cos(frequency * t), decay * np.sin(frequency * t) / frequency
    return c * theta + s * (half * theta + eta1 * psi), c * psi - s * (eta2 * theta + half * psi)
