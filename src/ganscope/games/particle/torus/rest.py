r"""Where particles on a circle rest: the configuration that matches the target at every wavenumber.

A cloud is matched if rho_k = p_k for every wavenumber of the discriminator, which is then zero. There are as many
conditions as there are coefficients, 2 K, so that N > 2 K particles have a continuum of matched configurations. Where
there is none, the particles rest where the discriminator that balances its own friction,

    D_k = drive_k (p_k - rho_k) / friction_k,

has zero slope at every particle: at a least weighted mismatch sum_k drive_k / friction_k |p_k - rho_k|^2.
"""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import ndtr

from ganscope.analysis.newton import Root, newton
from ganscope.core.errors import NotApplicable
from ganscope.games.particle.torus.fourier import PERIOD, Rates, rates

if TYPE_CHECKING:
    from ganscope.games.particle.torus.model import TorusGAN

Array = npt.NDArray[np.float64]
Complex = npt.NDArray[np.complex128]

# Mismatch up to which a configuration counts as matched.
_MATCHED = 1e-9
# Slope left at the particles, relative to the largest that there could be, up to which they count as at rest.
_AT_REST = 1e-7
# Standard deviations of a mode that are followed around the circle.
_REACH = 9.0
# From this share of the distance between modes on, modes are so wide that they add up to an even target.
_EVEN = 1.5
_HALVINGS = 60


class Rest(NamedTuple):
    """A configuration at rest.

    Attributes:
        positions: Shape `[N]`, not wrapped.
        coefficients: Of the discriminator, complex, `[K]`.
        mismatch: Largest |p_k - rho_k|; 0 if matched.
    """

    positions: Array
    coefficients: Complex
    mismatch: float


def moments(positions: Array, wavenumber: Array) -> Complex:
    """rho_k = mean_i exp(-i k x_i)."""
    result: Complex = np.mean(np.exp(-1j * wavenumber[:, None] * positions), axis=1)
    return result


def moment_slopes(positions: Array, wavenumber: Array) -> Complex:
    """Derivatives of rho_k by the positions, `[K, N]`."""
    k = wavenumber[:, None]
    result: Complex = -1j * k * np.exp(-1j * k * positions) / len(positions)
    return result


def rest(game: "TorusGAN", start: Array | None = None) -> Rest:
    """The resting configuration next to a start, or else next to even quantiles of the target.

    The start counts if a matched configuration is so close to it that linear theory can lead there: no particle moves
    farther than 1 / K.

    Raises:
        NotApplicable: If nothing matches the target, and a wavenumber has no friction to balance the mismatch.
    """
    rate = rates(game)
    rate = rate._replace(target=np.ravel(rate.target), drive=np.ravel(rate.drive), friction=np.ravel(rate.friction))
    if start is not None:
        near = _matched(rate, start)
        if near.converged and float(np.max(np.abs(near.state - start))) <= 1 / game.frequencies:
            return _settled(rate, near.state)
    even = quantiles(game.modes, game.mode_width, game.particles)
    found = _matched(rate, even)
    state = found.state if found.converged else _balanced(rate, even)
    if start is not None:
        indices, turns = pairing(state, start)
        state = state[indices] + turns
    return _settled(rate, state)


def _matched(rate: Rates, start: Array) -> Root:
    """Newton's method for rho = p; converged only if it is matched."""
    k = rate.wavenumber
    # wavenumbers in proportion to the slopes that they make, so that none is lost in rounding
    weight = 1 / k

    def residual(x: Array) -> Array:
        gap = weight * (moments(x, k) - rate.target)
        return np.concatenate([gap.real, gap.imag])

    def jacobian(x: Array) -> Array:
        slopes = weight[:, None] * moment_slopes(x, k)
        return np.concatenate([slopes.real, slopes.imag])

    root = newton(residual, jacobian, start, scale=1 / float(k[-1]))
    matched = bool(np.max(np.abs(moments(root.state, k) - rate.target)) <= _MATCHED)
    return Root(root.state, root.residual, root.iterations, matched)


def _balanced(rate: Rates, start: Array) -> Array:
    """Least weighted mismatch, polished until the slopes vanish at all particles."""
    k = rate.wavenumber
    if np.any((rate.friction == 0) & (rate.drive > 0)):
        raise NotApplicable(
            f"{len(start)} particles cannot match the target at {len(k)} wavenumbers, and without gradient_penalty and "
            "regularization nothing balances the mismatch: the discriminator grows for ever"
        )
    stiffness = np.where(rate.drive > 0, rate.drive / np.where(rate.friction > 0, rate.friction, 1), 0.0)
    weight = np.sqrt(stiffness / np.max(stiffness))

    def residual(x: Array) -> Array:
        gap = weight * (moments(x, k) - rate.target)
        return np.concatenate([gap.real, gap.imag])

    def jacobian(x: Array) -> Array:
        slopes = weight[:, None] * moment_slopes(x, k)
        return np.concatenate([slopes.real, slopes.imag])

    def slope(x: Array) -> Array:
        return np.asarray(jacobian(x).T @ residual(x))

    def bend(x: Array) -> Array:
        r, gap = jacobian(x), weight**2 * (moments(x, k) - rate.target)
        own = -np.real(np.conj(gap) @ (k[:, None] ** 2 * np.exp(-1j * k[:, None] * x))) / len(x)
        return np.asarray(r.T @ r + np.diag(own))

    def mismatch(x: Array) -> float:
        return 0.5 * float(np.sum(residual(x) ** 2))

    # trust regions leave saddles, where Newton's method would stay
    least = minimize(mismatch, start, jac=slope, hess=bend, method="trust-exact", options={"gtol": 1e-9})
    root = newton(slope, bend, least.x, scale=1 / float(k[-1]))
    largest = float(np.sum(weight**2 * k)) / len(start)
    if np.max(np.abs(slope(root.state))) > _AT_REST * largest:
        raise NotApplicable("no configuration at rest was found next to even quantiles of the target")
    return root.state


def _settled(rate: Rates, positions: Array) -> Rest:
    gap = rate.target - moments(positions, rate.wavenumber)
    mismatch = float(np.max(np.abs(gap)))
    if mismatch <= _MATCHED:
        return Rest(positions, np.zeros(len(gap), np.complex128), 0.0)
    share = np.where(rate.drive > 0, rate.drive / np.where(rate.friction > 0, rate.friction, 1), 0.0)
    return Rest(positions, share * gap, mismatch)


def pairing(positions: Array, start: Array) -> tuple[npt.NDArray[np.intp], Array]:
    """Which resting place each particle of a start is nearest to, going round the circle in one order.

    Returns:
        Indices and multiples of the circle's length: particle i belongs to `positions[indices[i]] + turns[i]`.
    """
    ranks = np.argsort(np.mod(positions, PERIOD), kind="stable")
    order = np.argsort(np.mod(start, PERIOD), kind="stable")
    ranked, goal = np.mod(positions, PERIOD)[ranks], np.mod(start, PERIOD)[order]
    count = len(start)
    thrice = np.concatenate([ranked - PERIOD, ranked, ranked + PERIOD])
    windows = np.lib.stride_tricks.sliding_window_view(thrice, count)
    # squared distance, up to what all windows share
    shift = int(np.argmin(np.sum(windows**2, axis=1) - 2 * windows @ goal))
    indices, places = np.empty(count, np.intp), np.empty(count)
    indices[order] = ranks[(shift + np.arange(count)) % count]
    places[order] = windows[shift]
    turns = places - positions[indices] + start - np.mod(start, PERIOD)
    return indices, PERIOD * np.round(turns / PERIOD)


def quantiles(modes: int, mode_width: float, particles: int) -> Array:
    """Even quantiles of the target, (i + 1/2) / N: from half a mode distance below the first mode onwards."""
    level = (np.arange(particles) + 0.5) / particles
    apart = PERIOD / modes
    mode, share = np.divmod(level * modes, 1.0)
    if mode_width == 0:
        return np.asarray(apart * np.minimum(mode, modes - 1))
    if mode_width > _EVEN * apart:
        return np.asarray(PERIOD * level - apart / 2)
    # a cell around one mode sees the tails of all the others: one mode, wrapped around the cell's length
    wraps = np.arange(-1 - int(_REACH * mode_width / apart), 2 + int(_REACH * mode_width / apart))
    low, high = np.full(particles, -apart / 2), np.full(particles, apart / 2)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        below = np.sum(
            ndtr((middle[:, None] + apart * wraps) / mode_width) - ndtr(apart * (wraps - 0.5) / mode_width), axis=1
        )
        low, high = np.where(below < share, middle, low), np.where(below < share, high, middle)
    return np.asarray(apart * mode + (low + high) / 2)
