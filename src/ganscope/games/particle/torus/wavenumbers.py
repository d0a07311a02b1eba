r"""An evenly filled circle, mode by mode: the closed form of its linear theory.

Around evenly spaced particles, and a target that is even at all wavenumbers of the discriminator, a wave of
displacements of wavenumber k < N / 2 couples only to D_k. Its eigenvalues solve s^2 + friction_k s + frequency_k^2 = 0,

    frequency_k = k sqrt(relative_mobility slope drive_k),

so that with `regularization` 0 and the loss wgan the gradient penalty (2 / k) sqrt(relative_mobility /
(discriminator_lr K_k)) damps it critically. Beyond N / 2 waves are aliased.

References:
    Durr, Mroueh, Tu, Wang. Phys. Rev. X 13, 041004 (2023), for the penalty as friction; the modes are derived here.
"""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from ganscope.games.particle.damping import best_gradient_penalty, mode_spectrum
from ganscope.games.particle.torus.fourier import rates

if TYPE_CHECKING:
    from ganscope.games.particle.torus.model import TorusGAN

Array = npt.NDArray[np.float64]

# Kernel, relative to that of the first wavenumber, below which a wavenumber is hardly visible to the discriminator.
VISIBLE = 1e-2


class Waves(NamedTuple):
    """Modes of the evenly filled circle, one per wavenumber 1 .. min(K, (N - 1) / 2).

    Attributes:
        wavenumber: k.
        frequency: Angular frequency without friction, per unit of time.
        friction: Sum of both decay rates.
        stiffness: How much friction a unit of gradient penalty adds.
        eigenvalues: Both of them, `[modes, 2]`, the slower one first.
        rates: Decay rates, minus the larger real part.
        best_gradient_penalty: Damps critically; 0 where friction is too strong without it, NaN for an invisible mode.
        best_rates: Decay rates there.
    """

    wavenumber: Array
    frequency: Array
    friction: Array
    stiffness: Array
    eigenvalues: npt.NDArray[np.complex128]
    rates: Array
    best_gradient_penalty: Array
    best_rates: Array


def waves(game: "TorusGAN") -> Waves:
    """Modes of the evenly filled circle for a game, whatever its target is."""
    rate = rates(game)
    keep = rate.wavenumber < game.particles / 2
    k = rate.wavenumber[keep]
    drive, friction = np.ravel(rate.drive)[keep], np.ravel(rate.friction)[keep]
    squared = k**2 * game.relative_mobility * rate.slope * drive
    stiffness = k**2 * drive / rate.slope
    own = friction - stiffness * game.gradient_penalty
    with np.errstate(divide="ignore", invalid="ignore"):
        best = np.where(stiffness > 0, np.maximum(2 * np.sqrt(squared) - own, 0.0) / stiffness, np.nan)
    # off-diagonal entries k sqrt(mobility) and its like: only their product counts
    values = mode_spectrum(squared, 1.0, friction)
    return Waves(
        k,
        np.sqrt(squared),
        friction,
        stiffness,
        values,
        -values[:, 0].real,
        best,
        _rates(squared, own + stiffness * np.nan_to_num(best)),
    )


def _rates(squared: Array, friction: Array) -> Array:
    return np.asarray(-mode_spectrum(squared, 1.0, friction)[..., 0].real)


def best_overall(game: "TorusGAN", among: Waves, visible: float = VISIBLE) -> tuple[float, float, int]:
    """The gradient penalty at which the slowest visible wave decays fastest.

    Every rate rises up to the wave's own best penalty and falls beyond, so the slowest one has a single maximum.

    Args:
        game: The game.
        among: Its modes.
        visible: Waves count whose kernel is at least this share of that of wavenumber 1; 0 for all that have any.

    Returns:
        The penalty, the slowest rate there (per unit of time), and the largest wavenumber that counted; NaN, 0 and 0
        without relative motion.
    """
    seen = (among.stiffness >= visible * among.wavenumber**2 * among.stiffness[:1]) & (among.frequency > 0)
    if not np.any(seen):
        return np.nan, 0.0, 0
    squared, stiffness = among.frequency[seen] ** 2, among.stiffness[seen]
    own = np.maximum(among.friction[seen] - stiffness * game.gradient_penalty, 0.0)
    best = best_gradient_penalty(squared / stiffness, stiffness, own)
    return best.gradient_penalty, best.rate, int(among.wavenumber[seen][-1])
