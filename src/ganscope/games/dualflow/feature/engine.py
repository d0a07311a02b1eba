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
from ganscope.games.dualflow.feature.maps import HARMONIC, WAVES
from ganscope.games.dualflow.feature.sums import field, mean
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
# Coordinates beyond this count as infinite.
_FARTHEST = 1e300
# Share of a Newton step at which it is given up.
_SMALLEST_SHARE = 1e-15


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
def _copy(source, target):
    """Copy arrays of one shape; along one axis, so that vector instructions are used however few axes points have."""
    a, b = source.reshape(source.size), target.reshape(target.size)
    for i in range(len(a)):
        b[i] = a[i]


@compiled
def _gradient_step(x, grad, centre, speed, ridge, out):
    if ridge == 0.0:
        a, g, b = x.reshape(x.size), grad.reshape(x.size), out.reshape(x.size)
        for i in range(len(a)):
            b[i] = a[i] + speed * g[i]
        return
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
def _newton_step(z, hess, speed, ridge, weight, r):
    """Newton's step in place of the residual r; False if a problem is not strictly convex."""
    if weight > 0.0:
        return _tridiagonal_step(z, hess, speed, ridge, weight, r)
    convex = True
    for i in range(hess.shape[0]):
        for k in range(hess.shape[1]):
            for m in range(hess.shape[1]):
                hess[i, k, m] *= -speed
            hess[i, k, k] += 1.0 + speed * ridge
        convex = convex and _solve(hess[i], r[i])
    return convex


@compiled
def generate(
    implicit, kind, x, a, table, amplitudes, geometry, centre, speed, ridge, entropy, solver, out, info
):  # fmt: skip
    """The generator's move against fixed coefficients, into `out`: a gradient step, or a proximal step.

    Without entropy the proximal problems of different points are separate, and Newton's method starts from the gradient
    step. With entropy, points in a row push their neighbours: the steps are halved until the residual falls. The
    solver's only call of the field stands in one loop, since every further one costs seconds of compilation.
    """
    count, axes = x.shape
    bends = count if implicit else 1
    grad, hess = np.empty((count, axes)), np.empty((bends, axes, axes))
    trial, move = x.copy() if implicit else x, np.empty((count, axes))
    weight, scale, size, share, iteration = speed * entropy, 1.0 + _largest(x), math.inf, 1.0, 0
    if implicit and weight > 0.0 and not _increasing(x):
        return TIED
    begins = True
    while True:
        field(kind, trial, a, table, amplitudes, geometry, implicit, grad, hess)
        if begins and (not implicit or weight == 0.0):
            begins = False
            _gradient_step(x, grad, centre, speed, ridge, trial if implicit else out)
            if implicit:
                continue
            return FINE
        begins = False
        new_size = _residual(trial, x, grad, centre, speed, ridge, grad)
        if weight > 0.0:
            _gap_forces(trial, weight, grad)
            new_size = _largest(grad)
        if weight == 0.0 or new_size < size:
            size = new_size
            for i in range(count):
                for k in range(axes):
                    out[i, k] = trial[i, k]
                    move[i, k] = grad[i, k]
            info[0], info[1] = iteration, size
            if not _newton_step(out, hess, speed, ridge, weight, move):
                return TOO_LARGE
            if size <= solver[0] * max(scale, _largest(out)):
                return FINE
            if not math.isfinite(size):
                return NONFINITE
            iteration += 1
            share = 2.0
        if iteration > solver[1]:
            return NO_PROX
        while True:
            share *= 0.5
            if share < _SMALLEST_SHARE:
                return NO_PROX
            for i in range(count):
                for k in range(axes):
                    trial[i, k] = out[i, k] - share * move[i, k]
            if weight == 0.0 or _increasing(trial):
                break


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
def _distance(x, y):
    """Largest difference of two arrays of points."""
    result = 0.0
    for i in range(x.shape[0]):
        for k in range(x.shape[1]):
            result = max(result, abs(x[i, k] - y[i, k]))
    return result


@compiled
def where(x, limits):
    """Whether all points are finite and within the domain of the features."""
    low, high = max(limits[0], -_FARTHEST), min(limits[1], _FARTHEST)
    flat, inside, lost = x.reshape(x.size), 0, False
    for i in range(len(flat)):
        inside += (flat[i] >= low) & (flat[i] <= high)
    if inside == len(flat):
        return FINE
    for i in range(len(flat)):
        lost = lost or not abs(flat[i]) <= _FARTHEST
    return NONFINITE if lost else OUTSIDE


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
        centre, limits: Of the ridge; of the domain.
        status, info: What became of each lane; iterations and residual of its last solution.
    """
    count, axes, size = x.shape[1], x.shape[2], a.shape[1]
    phi, goal, new_a = np.empty(size), target.copy(), np.empty(size)
    new, moved, some = np.empty((count, axes)), np.empty((count, axes)), np.empty((batch, axes))
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
                pace *= paces[place]
            # In the order of the moves: the discriminator before the generator, both at once, or after it.
            rounds = NASH_ROUNDS + 1 if code == _NASH else 1
            early = fast or simultaneous or code == _NASH or not generator_first
            change, result, settled = math.inf, FINE, code != _NASH
            _copy(points, new)
            _copy(coefficients, new_a)
            for _ in range(rounds):
                for side in range(2):
                    if (side == 0) == early:
                        for law in range(0 if batch or len(bandwidths) else 1, 2):
                            whole, purpose, means = (new, _GENERATED_INDEX, phi) if law else (real, _REAL_INDEX, goal)
                            if batch:
                                _pick(whole, batch, purpose, n, k0, k1, some)
                            mean(kind, some if batch else whole, table, amplitudes, geometry, means)
                        for k in range(size):
                            new_a[k] = (goal[k] - phi[k]) / penalty if fast else coefficients[k]
                        if not fast:
                            _criticise(implicit, discriminator_steps, speed, penalty, clip, goal, phi, new_a)
                    elif not (settled and code == _NASH):
                        result = generate(
                            implicit, kind, points, coefficients if simultaneous and not fast else new_a, table,
                            amplitudes, geometry, centre, pace, ridge, entropy if implicit else 0.0, solver, moved,
                            info[lane],
                        )  # fmt: skip
                        if code == _NASH:
                            change = _distance(moved, new)
                        _copy(moved, new)
                # the last round of a nash step gives the discriminator the generator's final move
                if settled or result != FINE:
                    break
                settled = change < NASH_TOLERANCE * (1.0 + _largest(new))
            if code == _NASH and result in (FINE, NONFINITE) and not settled:
                result = NO_NASH
                info[lane, 0], info[lane, 1] = NASH_ROUNDS, change
            if entropy > 0.0 and not implicit:
                _add_noise(new, math.sqrt(2.0 * pace * entropy), n, k0, k1)
            if result == FINE:
                result = where(new, limits)
            status[lane] = result
            if result == FINE:
                _copy(new, points)
                _copy(new_a, coefficients)


@compiled
def _velocity(t, y, dy, p, context):
    """The flow: `y` holds the points, then the coefficients unless the discriminator is at its optimum."""
    kind, fast, base, table, amplitudes, geometry, schedule, target, real, centre, axes = context
    size = len(amplitudes)
    count = (len(y) - (0 if fast else size)) // axes
    points, moves = y[: count * axes].reshape(count, axes), dy[: count * axes].reshape(count, axes)
    phi, hess, optimum = np.empty(size), np.empty((1, axes, axes)), np.empty(size)
    pace = p[GENERATOR]
    goal = target.copy()
    if len(schedule):
        bandwidth = schedule[0] * (schedule[1] / schedule[0]) ** min(1.0, t / schedule[2])
        tune(kind, bandwidth, base, table, amplitudes)
        pace *= max(1.0, bandwidth) ** 2
    for law in range(0 if len(schedule) else 1, 2):
        mean(kind, points if law else real, table, amplitudes, geometry, phi if law else goal)
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
