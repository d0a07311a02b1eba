"""Compiled loops of the clipped bilinear game: every scheme, over many cells."""

import numpy as np

from ganscope.core.compiled import compiled

# Codes of `levels.SCHEMES`, in their order; the midpoint rule does not know the box.
_EXPLICIT, _EXPLICIT_SEQUENTIAL, _JKO, _JKO_SEQUENTIAL, _NASH = range(5)
_MOST_ROUNDS = 200


@compiled
def _mean(omega):
    total = 0.0
    for j in range(len(omega)):
        total += omega[j]
    return total / len(omega)


@compiled
def _nash(theta, omega, clip, h1, h2):
    """The new theta: the zero of z - theta - h1 mean(clip(omega - h2 z)), which rises with slope 1 at least."""
    low, high = theta - 2.0 * h1 * clip, theta + 2.0 * h1 * clip
    z, last = theta, high - low
    for _ in range(_MOST_ROUNDS):
        total, free = 0.0, 0
        for j in range(len(omega)):
            moved = omega[j] - h2 * z
            if moved > clip:
                total += clip
            elif moved < -clip:
                total -= clip
            else:
                total += moved
                free += 1
        residual = z - theta - h1 * (total / len(omega))
        if residual > 0.0:
            high = z
        else:
            low = z
        new = z - residual / (1.0 + h1 * h2 * (free / len(omega)))
        if abs(new - z) <= 3e-16 * abs(new):
            return new
        if not (low < new and new < high and abs(new - z) <= 0.5 * last):
            new = 0.5 * (low + high)
        last = abs(new - z)
        z = new
    return z


@compiled
def run_scheme(scheme, generator_first, repeats, numbers, starts, counts, sizes, out):
    """A scheme in every cell; the energies are linear, so that a proximal step is a clipped explicit one.

    Args:
        scheme: Its code.
        generator_first: Who moves first in sequential schemes.
        repeats: Steps of the discriminator per step of the generator.
        numbers: clip, generator_lr and discriminator_lr, `[cells, 3]`.
        starts: theta and all omega, `[cells, 1 + K]`.
        counts, sizes: Before each record so many steps of such a size, then so many of another, both `[records, 2]`.
        out: Filled with theta and all omega, `[cells, records, 1 + K]`, NaN from the first on that is not finite.
    """
    size = starts.shape[1] - 1
    omega = np.empty(size)
    sequential = scheme in (_EXPLICIT_SEQUENTIAL, _JKO_SEQUENTIAL)
    for cell in range(len(starts)):
        clip, eta1, eta2 = numbers[cell, 0], numbers[cell, 1], numbers[cell, 2]
        theta = starts[cell, 0]
        for j in range(size):
            omega[j] = starts[cell, j + 1]
        alive = True
        for record in range(len(counts)):
            for part in range(2):
                h1, h2 = sizes[record, part] * eta1, sizes[record, part] * eta2
                for _ in range(counts[record, part] if alive else 0):
                    if scheme == _NASH:
                        theta = _nash(theta, omega, clip, h1, h2)
                        seen = theta
                    elif sequential and generator_first:
                        theta += h1 * _mean(omega)
                        seen = theta
                    else:
                        seen = theta
                        if not sequential:
                            theta += h1 * _mean(omega)
                    for _ in range(repeats):
                        for j in range(size):
                            omega[j] = min(max(omega[j] - h2 * seen, -clip), clip)
                    if sequential and not generator_first:
                        theta += h1 * _mean(omega)
                    if not abs(theta) < np.inf:
                        alive = False
                        break
            out[cell, record, 0] = theta if alive else np.nan
            for j in range(size):
                out[cell, record, j + 1] = omega[j] if alive else np.nan
