"""Parameter values that would bring a solvable GAN into its window of success."""

import math
from typing import TYPE_CHECKING

from ganscope.games.solvable.silence import noise_level, smallest_regularization, stationary_length

if TYPE_CHECKING:
    from ganscope.games.solvable.model import SolvableGAN


def recommended(game: "SolvableGAN") -> dict[str, float]:
    """Parameter values that would bring every feature into the window of success; for the quadratic link.

    Each entry changes one thing and leaves the rest of the game as it is:

        generator_lr_max       largest generator_lr for which no feature is above the upper threshold
        discriminator_lr_max   discriminator_lr below which every feature is above the lower threshold
        data_noise_low, data_noise_high   range of data_noise (generator_noise with it, if it follows) that does both
        data_noise             the geometric mean of the two noise levels
        added_noise            variance to add to real and generated samples alike to get there: 0 inside the range, NaN
                               above it (adding cannot lower the noise)
        regularization_min     smallest soft penalty that gives the discriminator a stationary length

    NaN where no value does. The range of noise is given under the hard constraint.
    """
    if game.link != "quadratic":
        return {}
    noise = noise_level(game.data_noise, game.generator_noise)
    weakest, strongest = min(game.feature_variance), max(game.feature_variance)
    tau, tau_g = game.discriminator_lr, game.generator_lr
    best = {"discriminator_lr_max": float(2 * weakest / noise) if noise else math.inf}
    if not game.hard:
        needed = smallest_regularization(game)
        z = stationary_length(game) if game.regularization > needed else math.nan
        generator_lr = float(tau**2 * noise / (z * strongest))
        return {**best, "generator_lr_max": generator_lr, "regularization_min": needed}
    low, high = strongest * tau_g / tau**2, 2 * weakest / tau
    target = math.sqrt(low * high)
    inside = low <= noise < high
    return {
        **best,
        "generator_lr_max": float(tau**2 * noise / strongest),
        **_noise_range(game, low, high, target),
        "added_noise": 0.0 if inside else _added_noise(game, target) if noise < low < high else math.nan,
    }


def _noise_range(game: "SolvableGAN", low: float, high: float, target: float) -> dict[str, float]:
    """data_noise at which the noise level takes three values; NaN where the range is empty."""

    def data_noise(level: float) -> float:
        if "generator_noise" in game.followed:
            return math.sqrt(level / 2)
        rest = level - game.generator_noise**2
        return math.sqrt(rest) if rest >= 0 else 0.0

    possible = low < high and ("generator_noise" in game.followed or game.generator_noise**2 < high)
    values = {"data_noise_low": low, "data_noise_high": high, "data_noise": target}
    return {name: data_noise(value) if possible else math.nan for name, value in values.items()}


def _added_noise(game: "SolvableGAN", level: float) -> float:
    """x with (data_noise + x)^2 + (generator_noise + x)^2 = level."""
    total, difference = game.data_noise + game.generator_noise, game.data_noise - game.generator_noise
    return float(0.5 * (math.sqrt(2 * level - difference**2) - total))
