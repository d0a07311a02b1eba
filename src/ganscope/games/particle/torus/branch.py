"""Particles on a circle as a smooth field: positions and coefficients, at rest where `rest` says."""

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ganscope.core.checks import number, one_of
from ganscope.core.errors import ParameterError
from ganscope.core.smooth import SmoothField
from ganscope.games.particle.torus.fourier import rates
from ganscope.games.particle.torus.linear import blocks, jacobian, step_matrix
from ganscope.games.particle.torus.rest import moments, rest
from ganscope.games.particle.torus.simulation import DEFAULT_STEP, SCHEMES

if TYPE_CHECKING:
    from ganscope.games.particle.torus.model import TorusGAN

Array = npt.NDArray[np.float64]

_NEUTRAL = 1e-7


def smooth_field(
    game: "TorusGAN", level: str | None, rule: str | None, step_size: float | None, start: Any
) -> SmoothField:
    """The flow of (positions, Re D, Im D), or a scheme's step.

    `start` is an array of positions `[N]`, next to which the cloud rests, or None for the game's own. More particles
    than twice the frequencies have a continuum of resting places, which shows as neutral directions.
    """
    del level
    if rule not in (None, "flow"):
        one_of("rule", rule, ("flow", "alternating", *SCHEMES))
    sizes = [(game.particles,), (game.particles + 2 * game.frequencies,)]
    if start is not None and (np.shape(start) not in sizes or not np.all(np.isfinite(start))):
        raise ParameterError("start", start, f"positions of shape {sizes[0]}, or None")
    is_map = rule not in (None, "flow")
    if not is_map and step_size is not None:
        raise ParameterError("step_size", step_size, "nothing: the flow has no steps")
    step = number("step_size", DEFAULT_STEP if step_size is None else step_size, above=0)
    scheme = SCHEMES[0] if rule == "alternating" else str(rule)
    rate, count, frequencies = rates(game), game.particles, game.frequencies
    k, target = rate.wavenumber, np.ravel(rate.target)
    drive, friction = np.ravel(rate.drive), np.ravel(rate.friction)
    relative, mean = float(rate.relative[0]), float(rate.mean[0])

    def velocity(state: Array) -> Array:
        x, d = state[:count], state[count : count + frequencies] + 1j * state[count + frequencies :]
        change = drive * (target - moments(x, k)) - friction * d
        slopes = rate.slope * np.real(2j * np.exp(1j * x[:, None] * k) @ (k * d))
        moved = relative * (slopes - np.mean(slopes)) + mean * np.mean(slopes)
        return np.concatenate([moved, change.real, change.imag])

    def parts(state: Array) -> Any:
        return blocks(game, state[:count], state[count : count + frequencies] + 1j * state[count + frequencies :])

    def slope(state: Array) -> Array:
        return jacobian(parts(state))

    def values(state: Array) -> npt.NDArray[np.complex128]:
        matrix = step_matrix(parts(state), scheme, step) if is_map else slope(state)
        return np.linalg.eigvals(matrix).astype(np.complex128)

    if np.shape(start) == sizes[1]:
        point = np.asarray(start, np.float64)
    else:
        found = rest(game, game.initial_positions if start is None else np.asarray(start, np.float64))
        point = np.concatenate([found.positions, found.coefficients.real, found.coefficients.imag])
    size = float(np.max(np.abs(slope(point))))
    names = [f"positions[{i}]" for i in range(count)]
    names += [f"discriminator[{i}].{part}" for part in ("real", "imag") for i in range(frequencies)]
    neutral = _NEUTRAL * (min(size * step, 1.0) if is_map else size)
    return SmoothField(velocity, slope, values, is_map, point, tuple(names), 1.0, neutral)
