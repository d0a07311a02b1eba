"""Parameter values that would bring solvable GANs into their window of success."""

import math

import numpy as np
import numpy.typing as npt

from ganscope.games.solvable.cells import Cells
from ganscope.games.solvable.silence import noise_level, smallest_regularization, stationary_lengths

Array = npt.NDArray[np.float64]


def recommended(cells: Cells) -> dict[str, Array]:
    """Parameter values that would bring every feature into the window of success; for the quadratic link.

    Each entry changes one thing and leaves the rest of the game as it is:

        generator_lr_max       largest generator_lr for which no feature is above the upper threshold
        discriminator_lr_max   discriminator_lr below which every feature is above the lower threshold
        data_noise_low, data_noise_high   range of data_noise (generator_noise with it, if it follows) that does both
        data_noise             the geometric mean of the two noise levels
        added_noise            variance to add to real and generated samples alike to get there: 0 inside the range, NaN
                               above it (adding cannot lower the noise)
        regularization_min     smallest soft penalty that gives the discriminator a stationary length

    One value per cell, NaN where no value does. The range of noise is given under the hard constraint.
    """
    if cells.link != "quadratic":
        return {}
    noise = noise_level(cells.data_noise, cells.generator_noise)
    weakest, strongest = cells.feature_variance.min(-1), cells.feature_variance.max(-1)
    tau, tau_g = cells.discriminator_lr, cells.generator_lr
    with np.errstate(divide="ignore"):
        best = {"discriminator_lr_max": 2 * weakest / noise}
    if not cells.hard:
        z = stationary_lengths(cells)
        slowest = tau**2 * noise / (z * strongest)
        return {**best, "generator_lr_max": slowest, "regularization_min": smallest_regularization(cells)}
    low, high = strongest * tau_g / tau**2, 2 * weakest / tau
    target = np.sqrt(low * high)
    inside, below = (low <= noise) & (noise < high), (noise < low) & (low < high)
    return {
        **best,
        "generator_lr_max": tau**2 * noise / strongest,
        **_noise_range(cells, low, high, target),
        "added_noise": np.where(inside, 0.0, np.where(below, _added_noise(cells, target), math.nan)),
    }


def _noise_range(cells: Cells, low: Array, high: Array, target: Array) -> dict[str, Array]:
    """data_noise at which the noise level takes three values; NaN where the range is empty."""

    def data_noise(level: Array) -> Array:
        rest = level / 2 if cells.noise_follows else level - cells.generator_noise**2
        return np.sqrt(np.maximum(rest, 0.0))

    possible = (low < high) & (cells.noise_follows | (cells.generator_noise**2 < high))
    values = {"data_noise_low": low, "data_noise_high": high, "data_noise": target}
    return {name: np.where(possible, data_noise(value), math.nan) for name, value in values.items()}


def _added_noise(cells: Cells, level: Array) -> Array:
    """x with (data_noise + x)^2 + (generator_noise + x)^2 = level; NaN where there is none."""
    total, difference = cells.data_noise + cells.generator_noise, cells.data_noise - cells.generator_noise
    with np.errstate(invalid="ignore"):
        added: Array = 0.5 * (np.sqrt(2 * level - difference**2) - total)
    return added
