r"""The schemes of a `FeatureGAN` and its flow, compiled; `schemes.step` on `feature_pair` is the reference.

A lane is one trajectory: points x `[N, d]` and coefficients a `[p]`. Speeds and penalties differ between lanes, the
feature map is common to all of them.

    x moves by   generator_lr (grad D(x) - ridge (x - centre))
    a moves by   discriminator_lr (Phi(real) - Phi(x) - critic_penalty a)
"""

import math

import numpy as np

from ganscope.core.compiled import compiled
from ganscope.core.random import fill_normals, philox4x32
from ganscope.dynamics.extrapolation import integrator
from ganscope.games.dualflow.feature_maps import HARMONIC, WAVES
from ganscope.games.dualflow.feature_sums import field, mean
from ganscope.games.dualflow.levels import CODES, JKO, JKO_SEQUENTIAL, NASH, NASH_ROUNDS, NASH_TOLERANCE

# What became of a lane.
FINE, TOO_LARGE, NO_PROX, NO_NASH, OUTSIDE, NONFINITE, TIED = range(7)
# Columns of the table of rates.
GENERATOR, DISCRIMINATOR, PENALTY, RIDGE, ENTROPY = range(5)
RATES = ("generator_lr", "discriminator_lr", "critic_penalty", "ridge", "entropy")
# What random numbers are for.
_NOISE, _REAL_INDEX, _GENERATED_INDEX = 0, 8, 9

_JKO, _JKO_SEQUENTIAL, _NASH = CODES[JKO], CODES[JKO_SEQUENTIAL], CODES[NASH]
_EXPLICIT = CODES["explicit"]
# Halvings of a Newton step before it is given up.
_HALVINGS = 60


@compiled
def tune(kind, bandwidth, base, table, amplitudes):
    """Set a feature map to another bandwidth; `base` holds the frequencies for bandwidth 1, or pi / half_period."""
    if kind == WAVES:
        for k in range(table.shape[0]):
            for j in range(table.shape[1]):
                table[k, j] = base[k, j] / bandwidth
    elif kind == HARMONIC:
        harmonics = len(amplitudes) // 2
        total = 0.0
        for j in range(harmonics + 1):
            power = (2.0 if j else 1.0) * math.exp(-0.5 * (base[0, 0] * j * bandwidth) ** 2)
            total += power
            amplitudes[j] = power
        for j in range(harmonics + 1):
            amplitudes[j] = math.sqrt(amplitudes[j] / total)
            if j:
                amplitudes[harmonics + j] = amplitudes[j]


@compiled
def _largest(values):
    result = 0.0
    for i in range(values.shape[0]):
        for k in range(values.shape[1]):
            result = max(result, abs(values[i, k]))
    return result


@compiled
def _solve(matrix, vector):
    """Solve a small symmetric positive definite system in place; False if it is not positive definite."""
    n = len(vector)
    for i in range(n):
        for j in range(i + 1):
            total = matrix[i, j]
            for k in range(j):
                total -= matrix[i, k] * matrix[j, k]
            if i == j:
                if not total > 0.0:
                    return False
                matrix[i, i] = math.sqrt(total)
            else:
                matrix[i, j] = total / matrix[j, j]
    for i in range(n):
        for k in range(i):
            vector[i] -= matrix[i, k] * vector[k]
        vector[i] /= matrix[i, i]
    for i in range(n - 1, -1, -1):
        for k in range(i + 1, n):
            vector[i] -= matrix[k, i] * vector[k]
        vector[i] /= matrix[i, i]
    return True


@compiled
def _gradient_step(x, grad, centre, speed, ridge, out):
    for i in range(x.shape[0]):
        for k in range(x.shape[1]):
            out[i, k] = x[i, k] + speed * (grad[i, k] - ridge * (x[i, k] - centre[k]))


@compiled
def _residual(z, x, grad, centre, speed, ridge, out):
    """How far z is from the optimum of its proximal problem, into `out`; returns the largest entry."""
    _gradient_step(z, grad, centre, speed, ridge, out)
    largest = 0.0
    for i in range(x.shape[0]):
        for k in range(x.shape[1]):
            out[i, k] = 2.0 * z[i, k] - x[i, k] - out[i, k]
            size = abs(out[i, k])
            largest = size if not size <= largest else largest
    return largest


@compiled
def _gap_forces(z, weight, out):
    """out -= weight (1 / gap below - 1 / gap above): what the entropy of points in a row adds to a residual."""
    for i in range(len(z) - 1):
        force = weight / (z[i + 1, 0] - z[i, 0])
        out[i, 0] += force
        out[i + 1, 0] -= force


@compiled
def _increasing(z):
    rising = True
    for i in range(len(z) - 1):
        rising = rising and z[i + 1, 0] > z[i, 0]
    return rising


@compiled
def _tridiagonal_step(z, hess, speed, ridge, weight, r):
    """Newton's step for points in a row with entropy, in place of the residual r; False if not convex."""
    count = len(z)
    diagonal, off = np.empty(count), np.empty(count)
    for i in range(count):
        diagonal[i] = 1.0 + speed * (ridge - hess[i, 0, 0])
        off[i] = 0.0
    for i in range(count - 1):
        gap = z[i + 1, 0] - z[i, 0]
        bend = weight / (gap * gap)
        diagonal[i] += bend
        diagonal[i + 1] += bend
        off[i] = -bend
    for i in range(count):
        if not diagonal[i] > 0.0:
            return False
        if i + 1 < count:
            ratio = off[i] / diagonal[i]
            diagonal[i + 1] -= ratio * off[i]
            r[i + 1, 0] -= ratio * r[i, 0]
    for i in range(count - 1, -1, -1):
        if i + 1 < count:
            r[i, 0] -= off[i] * r[i + 1, 0]
        r[i, 0] /= diagonal[i]
    return True


@compiled
def _entropic_prox(kind, x, a, table, amplitudes, geometry, centre, speed, ridge, entropy, solver, out, info):
    """The proximal step of a law on a line with entropy, by Newton's method with halved steps."""
    count = len(x)
    grad, hess = np.empty((count, 1)), np.empty((count, 1, 1))
    r, trial, new_r = np.empty((count, 1)), np.empty((count, 1)), np.empty((count, 1))
    if not _increasing(x):
        return TIED
    weight, scale = speed * entropy, 1.0 + _largest(x)
    for i in range(count):
        out[i, 0] = x[i, 0]
    field(kind, out, a, table, amplitudes, geometry, True, grad, hess)
    _residual(out, x, grad, centre, speed, ridge, r)
    _gap_forces(out, weight, r)
    size = _largest(r)
    for iteration in range(int(solver[1])):
        info[0], info[1] = iteration, size
        if size <= solver[0] * scale:
            return FINE
        if not _tridiagonal_step(out, hess, speed, ridge, weight, r):
            return TOO_LARGE
        share = 1.0
        for _ in range(_HALVINGS):
            for i in range(count):
                trial[i, 0] = out[i, 0] - share * r[i, 0]
            if _increasing(trial):
                field(kind, trial, a, table, amplitudes, geometry, True, grad, hess)
                _residual(trial, x, grad, centre, speed, ridge, new_r)
                _gap_forces(trial, weight, new_r)
                if _largest(new_r) < size:
                    break
            share *= 0.5
        if not _largest(new_r) < size:
            return NO_PROX
        for i in range(count):
            out[i, 0] = trial[i, 0]
            r[i, 0] = new_r[i, 0]
        size = _largest(r)
    info[0], info[1] = solver[1], size
    return FINE if size <= solver[0] * scale else NO_PROX


@compiled
def _prox(kind, x, a, table, amplitudes, geometry, centre, speed, ridge, solver, out, info):
    """The proximal step of every point, by Newton's method: the problems of different points are separate."""
    count, axes = x.shape
    grad, hess, r = np.empty((count, axes)), np.empty((count, axes, axes)), np.empty((count, axes))
    field(kind, x, a, table, amplitudes, geometry, False, grad, hess)
    _gradient_step(x, grad, centre, speed, ridge, out)
    scale = 1.0 + _largest(x)
    for iteration in range(int(solver[1]) + 1):
        field(kind, out, a, table, amplitudes, geometry, True, grad, hess)
        size = _residual(out, x, grad, centre, speed, ridge, r)
        info[0], info[1] = iteration, size
        done = size <= solver[0] * max(scale, _largest(out))
        for i in range(count):
            for k in range(axes):
                for m in range(axes):
                    hess[i, k, m] *= -speed
                hess[i, k, k] += 1.0 + speed * ridge
            if not _solve(hess[i], r[i]):
                return TOO_LARGE
            if not done:
                for k in range(axes):
                    out[i, k] -= r[i, k]
        if done:
            return FINE
        if not math.isfinite(size):
            return NONFINITE
    return NO_PROX


@compiled
def _criticise(implicit, steps, speed, penalty, clip, target, phi, a):
    """The discriminator's steps against fixed mean features."""
    for _ in range(steps):
        for k in range(len(a)):
            pull = target[k] - phi[k]
            new = (
                (a[k] + speed * pull) / (1.0 + speed * penalty) if implicit else a[k] + speed * (pull - penalty * a[k])
            )
            a[k] = min(max(new, -clip), clip)


@compiled
def _pick(points, size, purpose, step, k0, k1, out):
    """A random subset with repetitions."""
    low, high = np.uint64(step) & np.uint64(0xFFFFFFFF), np.uint64(step) >> np.uint64(32)
    for i in range(size):
        w0, _, _, _ = philox4x32(i, purpose, low, high, k0, k1)
        chosen = min(int((np.float64(w0) + 0.5) * (len(points) / 4294967296.0)), len(points) - 1)
        for k in range(points.shape[1]):
            out[i, k] = points[chosen, k]


@compiled
def _add_noise(x, size, step, k0, k1):
    """x += size times standard normals."""
    count, axes = x.shape
    noise = np.empty((count * axes + 63) // 64 * 64, np.float32)
    fill_normals(noise, 0, _NOISE, step, k0, k1)
    for i in range(count):
        for k in range(axes):
            x[i, k] += size * noise[i * axes + k]


@compiled
def _where(x, limits):
    """Whether all points are finite and within the domain of the features."""
    for i in range(x.shape[0]):
        for k in range(x.shape[1]):
            if not math.isfinite(x[i, k]):
                return NONFINITE
            if x[i, k] < limits[0] or x[i, k] > limits[1]:
                return OUTSIDE
    return FINE


@compiled
def advance(
    first, last, begin, steps, step, code, generator_first, discriminator_steps, fast, batch, clip, solver,
    x, a, rates, keys, kind, base, table, amplitudes, geometry, bandwidths, paces, target, real, centre, limits,
    status, info,
):  # fmt: skip
    """Move lanes `first` to `last` by `steps` steps, in place.

    Args:
        begin: Steps done before.
        fast: Whether the discriminator is at its optimum before every move of the generator.
        batch: Points in a minibatch, 0 for all.
        clip: Largest coefficient of the discriminator.
        solver: Tolerance and largest number of iterations of proximal steps.
        x, a, rates, keys: Shapes `[lanes, N, d]`, `[lanes, p]`, `[lanes, 5]`, `[lanes, 2]`.
        base, table, amplitudes, geometry: The feature map, see `tune`; `table` and `amplitudes` are written to.
        bandwidths, paces: Bandwidth of every step and the factor of the generator's speed that goes with it; empty
            without a schedule.
        target, real: Mean features of the real points, and these points.
        centre: Of the ridge.
        limits: Domain of every lane, shape `[lanes, 2]`.
        status, info: What became of each lane; iterations and residual of its last solution.
    """
    count, axes, size = x.shape[1], x.shape[2], a.shape[1]
    phi, goal, new_a = np.empty(size), target.copy(), np.empty(size)
    grad, hess = np.empty((count, axes)), np.empty((1, axes, axes))
    new, moved = np.empty((count, axes)), np.empty((count, axes))
    some_real, some = np.empty((batch, axes)), np.empty((batch, axes))
    implicit = code in (_JKO, _JKO_SEQUENTIAL, _NASH)
    simultaneous = code in (_EXPLICIT, _JKO)
    for lane in range(first, last):
        points, coefficients = x[lane], a[lane]
        eta, speed = rates[lane, GENERATOR], rates[lane, DISCRIMINATOR] * step
        penalty, ridge, entropy = rates[lane, PENALTY], rates[lane, RIDGE], rates[lane, ENTROPY]
        k0, k1 = keys[lane, 0], keys[lane, 1]
        for n in range(begin, begin + steps):
            if status[lane] != FINE:
                break
            pace = eta * step
            if len(bandwidths):
                place = min(n, len(bandwidths) - 1)
                tune(kind, bandwidths[place], base, table, amplitudes)
                mean(kind, real, table, amplitudes, geometry, goal)
                pace *= paces[place]
            # In the order of the moves: the discriminator before the generator, both at once, or after it.
            rounds = NASH_ROUNDS if code == _NASH else 1
            change, result = math.inf, FINE
            for i in range(count):
                for k in range(axes):
                    new[i, k] = points[i, k]
            for k in range(size):
                new_a[k] = coefficients[k]
            early = fast or simultaneous or code == _NASH or not generator_first
            for _ in range(rounds):
                for side in range(2):
                    if (side == 0) == early:
                        if batch:
                            _pick(real, batch, _REAL_INDEX, n, k0, k1, some_real)
                            _pick(new, batch, _GENERATED_INDEX, n, k0, k1, some)
                            mean(kind, some_real, table, amplitudes, geometry, goal)
                        mean(kind, some if batch else new, table, amplitudes, geometry, phi)
                        if fast:
                            for k in range(size):
                                new_a[k] = (goal[k] - phi[k]) / penalty
                        else:
                            for k in range(size):
                                new_a[k] = coefficients[k]
                            _criticise(implicit, discriminator_steps, speed, penalty, clip, goal, phi, new_a)
                    else:
                        critic = coefficients if simultaneous and not fast else new_a
                        if implicit and entropy > 0.0:
                            result = _entropic_prox(
                                kind, points, critic, table, amplitudes, geometry, centre, pace, ridge, entropy,
                                solver, moved, info[lane],
                            )  # fmt: skip
                        elif implicit:
                            result = _prox(
                                kind, points, critic, table, amplitudes, geometry, centre, pace, ridge, solver, moved,
                                info[lane],
                            )  # fmt: skip
                        else:
                            field(kind, points, critic, table, amplitudes, geometry, False, grad, hess)
                            _gradient_step(points, grad, centre, pace, ridge, moved)
                        change = 0.0
                        for i in range(count):
                            for k in range(axes):
                                change = max(change, abs(moved[i, k] - new[i, k]))
                                new[i, k] = moved[i, k]
                if result != FINE or change < NASH_TOLERANCE * (1.0 + _largest(new)):
                    break
            if code == _NASH and result in (FINE, NONFINITE):
                if result == FINE and change < NASH_TOLERANCE * (1.0 + _largest(new)):
                    mean(kind, new, table, amplitudes, geometry, phi)
                    for k in range(size):
                        new_a[k] = coefficients[k]
                    _criticise(True, 1, speed, penalty, clip, goal, phi, new_a)
                else:
                    result = NO_NASH
                    info[lane, 0], info[lane, 1] = NASH_ROUNDS, change
            if entropy > 0.0 and not implicit:
                _add_noise(new, math.sqrt(2.0 * pace * entropy), n, k0, k1)
            if result == FINE:
                result = _where(new, limits[lane])
            status[lane] = result
            if result == FINE:
                for i in range(count):
                    for k in range(axes):
                        points[i, k] = new[i, k]
                for k in range(size):
                    coefficients[k] = new_a[k]


@compiled
def _velocity(t, y, dy, p, context):
    """The flow: `y` holds the points, then the coefficients unless the discriminator is at its optimum."""
    kind, fast, base, table, amplitudes, geometry, schedule, target, real, centre, axes = context
    size = len(amplitudes)
    count = (len(y) - (0 if fast else size)) // axes
    points, moves = y[: count * axes].reshape(count, axes), dy[: count * axes].reshape(count, axes)
    phi, hess, optimum = np.empty(size), np.empty((1, axes, axes)), np.empty(size)
    pace = p[GENERATOR]
    goal = target
    if len(schedule):
        bandwidth = schedule[0] * (schedule[1] / schedule[0]) ** min(1.0, t / schedule[2])
        tune(kind, bandwidth, base, table, amplitudes)
        goal = np.empty(size)
        mean(kind, real, table, amplitudes, geometry, goal)
        pace *= max(1.0, bandwidth) ** 2
    mean(kind, points, table, amplitudes, geometry, phi)
    if fast:
        for k in range(size):
            optimum[k] = (goal[k] - phi[k]) / p[PENALTY]
    else:
        rates = dy[count * axes :]
        for k in range(size):
            optimum[k] = y[count * axes + k]
            rates[k] = p[DISCRIMINATOR] * (goal[k] - phi[k] - p[PENALTY] * optimum[k])
    field(kind, points, optimum, table, amplitudes, geometry, False, moves, hess)
    for i in range(count):
        for k in range(axes):
            moves[i, k] = pace * (moves[i, k] - p[RIDGE] * (points[i, k] - centre[k]))
    if p[ENTROPY] > 0.0:
        for i in range(count - 1):
            force = pace * p[ENTROPY] / (points[i + 1, 0] - points[i, 0])
            moves[i, 0] -= force
            moves[i + 1, 0] += force


flow = integrator(_velocity)
