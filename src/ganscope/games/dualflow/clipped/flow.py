r"""The clipped bilinear game solved exactly, from event to event.

    theta' = generator_lr m,    m = mean of omega_j,    omega_j' = -discriminator_lr theta, stopped at +-clip

As long as theta keeps its sign, all omega_j move the same way, and those that have reached the wall wait there. With a
share f of them free, theta and m turn with angular speed sqrt(f generator_lr discriminator_lr); with f = 0 theta falls
linearly. Events are the arrival of further omega_j at the wall and the zeros of theta, where the wall lets go. What
has met at a wall stays together, so that the sorted omega_j are a window of separate ones between two blocks.

In coordinates a = |theta| w / generator_lr and b = m (mirrored where theta < 0), with w the angular speed, the motion
is a clockwise turn of the half plane a >= 0 from (a, b): an arrival lies at a height b*, a zero of theta at a = 0.
"""

import numpy as np

from ganscope.core.compiled import compiled

# What meets the wall at a smaller share of the squared speed than this only touches it.
_GRAZING = 1e-13


@compiled
def run_flow(numbers, starts, times, settle, out, summary):
    """The flow of every cell.

    Args:
        numbers: clip, generator_lr and discriminator_lr, `[cells, 3]`.
        starts: theta, and all omega in ascending order, `[cells, 1 + K]`.
        times: When to record, `[records]`, increasing.
        settle: Follow the motion, beyond the last record, until this many half turns have brought nothing to a wall, or
            a hundred times as many have passed; 0: end with the last record.
        out: Filled with theta and all omega, `[cells, records, 1 + K]`.
        summary: Filled with the time of the last release from a wall (0 if there was none), the amplitude
            sqrt(m^2 + (discriminator_lr / generator_lr) theta^2) and the width max omega - min omega at the end,
            `[cells, 3]`.
    """
    size = starts.shape[1] - 1
    v = np.empty(size)
    for cell in range(len(starts)):
        clip, eta1, eta2 = numbers[cell, 0], numbers[cell, 1], numbers[cell, 2]
        turning = np.sqrt(eta1) * np.sqrt(eta2)
        theta = starts[cell, 0]
        mean = 0.0
        for i in range(size):
            v[i] = starts[cell, i + 1]
            mean += v[i]
        mean /= size
        # omega_i = v[i] + shift for first <= i <= last; the others are where v[first], v[last] are
        first, last, shift = 0, size - 1, 0.0
        time, record, released, quiet, halves = 0.0, 0, 0.0, 0, 0
        down = theta > 0.0 or (theta == 0.0 and mean > 0.0)
        wall = -clip if down else clip
        # the free ones are low .. high; the others wait at the wall
        low, high, stuck = first, last, 0
        arrived = False
        while record < len(times) or (quiet < settle and halves < 100 * settle):
            if theta == 0.0 and mean == 0.0:  # nothing moves any more
                while record < len(times):
                    _write(out[cell, record], theta, v, shift, first, last, low, high, wall)
                    record += 1
                break
            # who is at the wall, or beyond it by rounding
            while low <= high and (v[low] + shift <= wall if down else v[high] + shift >= wall):
                stuck += _weight(low if down else high, first, last, size)
                low, high = (low + 1, high) if down else (low, high - 1)
                arrived = arrived or theta != 0.0
            share = (size - stuck) / size
            sign = 1.0 if down else -1.0
            if stuck == size:
                mean = wall
                w, a, b, reach = 0.0, abs(theta), clip, 0.0
                span = a / (eta1 * clip)
                hit = False
            else:
                w = turning * np.sqrt(share)
                a, b = abs(theta) * (w / eta1), sign * mean
                gap = v[low] + shift - wall if down else wall - v[high] - shift
                height = b - share * gap
                square = a * a + (b - height) * (b + height)
                hit = square > 0.0
                reach = np.sqrt(square) if hit else 0.0
                angle = np.arctan2(reach * b - height * a, a * reach + b * height) if hit else np.arctan2(a, -b)
                span = max(angle, 0.0) / w
            while record < len(times) and times[record] <= time + span:
                here, lag = _within(times[record] - time, w, a, b, eta1, share)
                _write(out[cell, record], sign * here, v, shift - sign * lag, first, last, low, high, wall)
                record += 1
            time += span
            if hit:
                theta = sign * reach * (eta1 / w)
                shift -= sign * gap
                mean = sign * height
                stuck += _weight(low if down else high, first, last, size)
                low, high = (low + 1, high) if down else (low, high - 1)
                arrived = arrived or square > _GRAZING * (a * a + b * b)
                continue
            # theta is 0: the wall lets go, as one block
            if stuck < size:
                lag = (b + np.hypot(a, b)) / share
                shift -= sign * lag
                mean = -sign * np.hypot(a, b)
            if stuck > 0:
                released = time if arrived else released
                if down:
                    first = low - 1
                    v[first] = wall - shift
                else:
                    last = high + 1
                    v[last] = wall - shift
            halves += 1
            quiet = 0 if arrived else quiet + 1
            arrived = False
            theta, down, wall = 0.0, not down, -wall
            low, high, stuck = first, last, 0
        summary[cell, 0] = released
        summary[cell, 1] = np.hypot(mean, theta * np.sqrt(eta2 / eta1))
        summary[cell, 2] = v[last] - v[first]


@compiled
def _weight(k, first, last, size):
    """How many omega move as the one with index k of the window first .. last."""
    if first == last:
        return size
    if k == first:
        return first + 1
    return size - last if k == last else 1


@compiled
def _within(t, w, a, b, eta1, share):
    """|theta| after a time t within a stretch, and how far the free ones have moved towards the wall."""
    if w == 0.0:
        return a - eta1 * b * t, 0.0
    s, half = np.sin(w * t), np.sin(0.5 * w * t)
    return (a * np.cos(w * t) + b * s) * (eta1 / w), (2.0 * b * half * half + a * s) / share


@compiled
def _write(row, theta, v, shift, first, last, low, high, wall):
    """theta and all omega into a record."""
    row[0] = theta
    clip = abs(wall)
    for i in range(len(v)):
        k = min(max(i, first), last)
        free = low <= k and k <= high
        row[i + 1] = min(max(v[k] + shift, -clip), clip) if free else wall
