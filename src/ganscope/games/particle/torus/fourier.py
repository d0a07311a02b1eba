r"""The particle GAN on the circle, wavenumber by wavenumber.

With rho_k = mean_i exp(-i k x_i), p_k the same mean over the target, and K_k the kernel's spectrum,

    D_k'  = drive_k (p_k - rho_k) - friction_k D_k
    g_i   = slope D'(x_i),    x_i' = relative (g_i - mean g) + mean mean g

    loss      drive                     friction                                                       slope
    wgan      discriminator_lr K_k      discriminator_lr (K_k gradient_penalty k^2 + regularization)    1
    gan       half of that              discriminator_lr K_k / 2 more                                  1 / 2
"""

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from ganscope.games.particle.torus.model import TorusGAN

Array = npt.NDArray[np.float64]

SPECTRA = ("gauss", "power", "flat")
LOSSES = ("wgan", "gan")
PERIOD = 2 * math.pi


class Rates(NamedTuple):
    """Everything that a simulation or the theory needs; leading axes (cells) where parameters vary.

    Attributes:
        wavenumber: 1 .. K, shape `[K]`.
        kernel: Spectrum of the discriminator's kernel, `[..., K]`.
        target: Coefficients of the target, real since the target is even, `[..., K]`.
        drive: Speed of a coefficient per mismatch of target and particles, `[..., K]`.
        friction: Decay rate of a coefficient, `[..., K]`.
        relative, mean: Mobilities of relative motion and of the centre, `[..., 1]`.
        slope: What the loss makes of a unit slope.
    """

    wavenumber: Array
    kernel: Array
    target: Array
    drive: Array
    friction: Array
    relative: Array
    mean: Array
    slope: float


def rates(game: "TorusGAN", over: dict[str, Array] | None = None) -> Rates:
    """Rates of a game, or of many cells that vary its parameters; the leading axis of `over` leads here too."""
    columns = over or {}

    def column(name: str) -> Any:
        return columns[name][:, None] if name in columns else np.full(1, getattr(game, name))

    k = np.arange(1.0, game.frequencies + 1)
    kernel = kernel_spectrum(game.spectrum, k, column("bandwidth"), column("exponent"))
    # the modes' centres are evenly spaced, so only their multiples survive
    target = np.where(k % game.modes == 0, np.exp(-0.5 * (column("mode_width") * k) ** 2), 0.0)
    speed, penalty = column("discriminator_lr"), column("gradient_penalty") * k**2
    friction = speed * (kernel * penalty + column("regularization"))
    slope = 1.0
    if game.loss == "gan":
        slope, friction = 0.5, friction + 0.5 * speed * kernel
    drive = slope * speed * kernel
    return Rates(k, kernel, target, drive, friction, column("relative_mobility"), column("mean_mobility"), slope)


def kernel_spectrum(spectrum: str, wavenumber: Array, bandwidth: Any, exponent: Any) -> Array:
    """Spectrum of the discriminator's kernel.

    gauss: exp(-(bandwidth k)^2 / 2); power: (1 + (bandwidth k)^2)^-exponent; flat: 1.
    """
    scaled = (bandwidth * wavenumber) ** 2
    if spectrum == "gauss":
        return np.asarray(np.exp(-0.5 * scaled))
    if spectrum == "power":
        return np.asarray((1.0 + scaled) ** -exponent)
    return np.ones_like(scaled)


def step_tables(rate: Rates, step: float) -> tuple[Array, Array]:
    """Exact solution over one step with the particles at rest: D_k <- decay D_k + gain (p_k - rho_k), `[..., K]`."""
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(rate.friction > 0, -np.expm1(-rate.friction * step) / rate.friction, step)
    return np.exp(-rate.friction * step), rate.drive * share


def largest_frequency(rate: Rates) -> Array:
    """Angular frequency of the fastest swing: a cloud at one point, pushed to and fro by its own kernel, `[...]`."""
    stiffness = np.sum(2 * rate.wavenumber**2 * rate.drive * rate.slope, axis=-1)
    return np.asarray(np.sqrt(np.maximum(rate.mean, rate.relative)[..., 0] * stiffness))


def mode_centres(modes: int) -> Array:
    """Centres 2 pi m / modes of the target's modes."""
    return PERIOD * np.arange(modes) / modes


def target_variance(modes: int, mode_width: float) -> float:
    """Variance of the target on the unit circle in the plane, 1 - |p_1|^2: 1 unless there is a single mode."""
    return 1.0 if modes > 1 else -math.expm1(-(mode_width**2))
