"""What the width of the kernel does to given points: learning rates, speed, and how far a start is captured.

A wide kernel pulls generated points from afar but blurs true points into each other, which makes some motions slow; a
narrow one converges fast and does not feel points beyond a few bandwidths.

References:
    Becker, Pandit, Rangan, Fletcher. Instability and Local Minima in GAN Training with Kernel Discriminators. 2022.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.spatial import cKDTree

from ganscope.core.plain import plain_dict
from ganscope.games.kernel import recommendation
from ganscope.games.kernel.data import Distances
from ganscope.games.kernel.equilibria import DENSE
from ganscope.games.kernel.good_minimum import (
    Stiffness,
    best_rates,
    conditioning,
    disc_multipliers,
    good_minimum,
    mode_multipliers,
)
from ganscope.games.kernel.linearisation import spectrum_at
from ganscope.games.kernel.model import KernelGAN
from ganscope.games.kernel.prediction import resting_place

# For a start far away: the discriminator's forgetting, and the share of the largest generator_lr that is stable under
# simultaneous updates and at which a distant point does not yet flee its own trail. (The fastest rates are those of
# small displacements; they throw distant points out of the kernel's reach.)
_CAUTIOUS_FORGETTING, _CAUTIOUS_SHARE = 0.2, 0.5
# A point so many bandwidths from a true point still feels a fifth of the largest force of a Gaussian kernel.
_CAPTURE = 2.5
# Slower than this share of the fastest mode is not resolved in double precision.
_NEUTRAL = 1e-13


@dataclass(frozen=True)
class Width:
    """A bandwidth and what it means for given points.

    Attributes:
        name: For example `min/3`, a third of the smallest distance between true points.
        bandwidth: The kernel's bandwidth.
        isolated: Whether true points are at least three bandwidths apart.
        conditioning: Largest over smallest stiffness with the generated points on the true ones.
        conditioning_is_a_bound: The slowest mode is slower than any that was resolved; `conditioning` is a lower bound.
        regularization, generator_lr: Given, or chosen for this bandwidth.
        spectral_radius: Per iteration, where training ends; NaN where that is unknown.
        iterations_per_decade: To come ten times closer; infinite if it never does.
        captures_within: Distance from a true point up to which a generated point is pulled in.
        captured: How many generated points start that close to a true point.
    """

    name: str
    bandwidth: float
    isolated: bool
    conditioning: float
    conditioning_is_a_bound: bool
    regularization: float
    generator_lr: float
    spectral_radius: float
    iterations_per_decade: float
    captures_within: float
    captured: int

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return plain_dict(asdict(self))


def usual_bandwidths(apart: Distances, further: Mapping[str, float] | None = None) -> dict[str, float]:
    """Bandwidths worth a look, increasing: from a fifth of the smallest distance to the median distance."""
    low, high = apart.smallest, apart.median
    named = {"min/5": low / 5, "min/3": low / 3, "min": low, "between": math.sqrt(low * high), "median": high}
    for name, value in (further or {}).items():
        if all(abs(value / known - 1) > 1e-9 for known in named.values()):
            named[name] = value
    return dict(sorted(named.items(), key=lambda item: item[1]))


def capturing_bandwidth(game: KernelGAN) -> tuple[float, str]:
    """The narrowest bandwidth that isolates the true points and still captures the start, and why, in words."""
    return recommendation.bandwidth(game)


def look(
    game: KernelGAN,
    name: str,
    apart: Distances,
    rule: str,
    regularization: float | None = None,
    generator_lr: float | None = None,
    from_afar: bool = False,
) -> tuple[Width, KernelGAN]:
    """What the game's bandwidth means, and the game with learning rates for it.

    Args:
        game: The game; its regularization and generator_lr are replaced.
        name: Name of the bandwidth.
        apart: Distances of the true points.
        rule: The update rule.
        regularization, generator_lr: None for those that converge fastest from nearby, or cautious ones if `from_afar`
            or if the generated points cannot match the data.
        from_afar: Whether the generated points start far from the true ones.
    """
    stand_in = KernelGAN(game.real_points, game.real_points, game.real_mass, game.real_mass, game.kernel)
    modes = conditioning(stand_in, game.real_points)
    matched = good_minimum(game) is not None
    fast = matched and not from_afar
    lr = game.discriminator_lr
    if regularization is None or generator_lr is None:
        if fast:
            regularization, generator_lr = _fastest(modes, rule, lr, regularization, generator_lr)
        else:
            regularization = _CAUTIOUS_FORGETTING / lr if regularization is None else regularization
            generator_lr = _cautious(game, modes, regularization) if generator_lr is None else generator_lr
    game = game.replace(regularization=regularization, generator_lr=generator_lr)
    radius = math.nan
    if matched:
        radius = _radius(modes, game, rule)
    elif game.generated_points.size <= DENSE:
        radius = math.exp(-spectrum_at(game, resting_place(game)[0], rule).rate)
    far, _ = cKDTree(game.real_points).query(game.generated_points)
    width = Width(
        name,
        game.bandwidth,
        apart.smallest >= 3 * game.bandwidth * (1 - 1e-12),
        modes.conditioning,
        not modes.certain,
        regularization,
        generator_lr,
        radius,
        math.log(10) / -math.log(radius) if 0 < radius < 1 else (0.0 if radius == 0 else math.inf),
        _CAPTURE * game.bandwidth,
        int(np.sum(far <= _CAPTURE * game.bandwidth)),
    )
    return width, game


def _cautious(game: KernelGAN, modes: Stiffness, regularization: float) -> float:
    """A generator_lr for starts far away."""
    stable = regularization / (modes.largest * float(game.generated_mass.max() / game.real_mass.max()))
    own = float(game.generated_mass.max()) ** 2 * float(game.kernel.curvature)
    at_rest = game.discriminator_lr * regularization**2 / own
    return _CAUTIOUS_SHARE * min(stable, at_rest)


def _radius(modes: Stiffness, game: KernelGAN, rule: str) -> float:
    """Spectral radius where the generated points lie on the true ones."""
    couplings = game.generator_lr * game.discriminator_lr * modes.values
    moving = np.abs(mode_multipliers(couplings, game.forgetting, rule))
    return float(max(moving.max(), np.abs(disc_multipliers(game.forgetting, rule)).max()))


def _fastest(
    modes: Stiffness, rule: str, lr: float, regularization: float | None, generator_lr: float | None
) -> tuple[float, float]:
    """Rates with the smallest spectral radius near the data, those that are given kept."""
    slowest = max(modes.smallest, _NEUTRAL * modes.largest)
    best = best_rates(modes.largest, slowest, rule)
    if regularization is None and generator_lr is None:
        return best["forgetting"] / lr, best["lr_product"] / lr
    ends = np.array([modes.largest, math.sqrt(modes.largest * slowest), slowest])

    def radius(forgetting: float, product: float) -> float:
        moving = np.abs(mode_multipliers(product * ends, forgetting, rule)).max()
        return float(max(moving, np.abs(disc_multipliers(forgetting, rule)).max()))

    if regularization is not None:
        share = lr * regularization
        tried = best["lr_product"] * np.geomspace(1e-4, 1e4, 1601)
        return regularization, float(min(tried, key=lambda product: radius(share, product))) / lr
    product = lr * float(generator_lr or 0.0)
    shares = np.geomspace(1e-6, 2.0, 1601)
    return float(min(shares, key=lambda share: radius(share, product))) / lr, product / lr
