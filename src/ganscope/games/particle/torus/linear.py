r"""Linear theory of particles on a circle: Jacobian, multipliers of the time steps, and level `linear`.

With positions x and coefficients D displaced by (xi, Re d, Im d), M the mobilities, G_i the slope at particle i,

    xi' = M (H xi + B d),    d' = -drive R xi - friction d

where H = diag(dG_i/dx_i) vanishes where the target is matched, B holds dG/dD, and R the derivatives of rho.
"""

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.linalg import expm

from ganscope.analysis.spectrum import spectrum_of
from ganscope.core.checks import number, one_of, real_array
from ganscope.core.errors import NotApplicable, ParameterError, unknown_name
from ganscope.core.game import Request
from ganscope.core.outcome import Spectrum
from ganscope.games.particle.torus.fourier import Rates, rates, step_tables
from ganscope.games.particle.torus.rest import moment_slopes, pairing, rest
from ganscope.games.particle.torus.simulation import DEFAULT_STEP, SCHEMES

if TYPE_CHECKING:
    from ganscope.games.particle.torus.model import TorusGAN

Array = npt.NDArray[np.float64]
Complex = npt.NDArray[np.complex128]

# Rows of the matrices that level `linear` and spectra work with.
LARGEST = 3000
_NEUTRAL = 1e-9
# Slope at a particle, relative to the largest possible one, below which a point is at rest.
_AT_REST = 1e-6


class Blocks(NamedTuple):
    """The linearisation at a point: mobilities `[N, N]`, bends `[N]`, pulls `[N, 2 K]`, moments `[2 K, N]`, rates."""

    mobility: Array
    bend: Array
    pull: Array
    moments: Array
    drive: Array
    friction: Array
    rate: Rates


def blocks(game: "TorusGAN", positions: Array, coefficients: Complex) -> Blocks:
    """The linearisation of a game at a point."""
    size = len(positions) + 2 * game.frequencies
    if size > LARGEST:
        raise NotApplicable(f"{size} rows (particles and twice the frequencies): matrices go up to {LARGEST}")
    rate, count = rates(game), len(positions)
    k = rate.wavenumber
    waves = np.exp(1j * positions[:, None] * k)
    slopes = moment_slopes(positions, k)
    even = np.full((count, count), 1 / count)
    return Blocks(
        mobility=rate.relative * (np.eye(count) - even) + rate.mean * even,
        bend=-2 * rate.slope * np.real(waves @ (k**2 * coefficients)),
        pull=-2 * rate.slope * np.concatenate([k * waves.imag, k * waves.real], axis=1),
        moments=np.concatenate([slopes.real, slopes.imag]),
        drive=np.tile(np.ravel(rate.drive), 2),
        friction=np.tile(np.ravel(rate.friction), 2),
        rate=rate,
    )


def jacobian(part: Blocks) -> Array:
    """Jacobian of the flow by (x, Re D, Im D), shape `[N + 2 K, N + 2 K]`."""
    return np.block(
        [
            [part.mobility * part.bend, part.mobility @ part.pull],
            [-part.drive[:, None] * part.moments, -np.diag(part.friction)],
        ]
    )


def step_matrix(part: Blocks, scheme: str, step: float) -> Array:
    """One time step as a matrix, of the shape of the Jacobian."""
    count, size = len(part.bend), len(part.bend) + len(part.drive)
    second = scheme == "second_order"
    decay, gain = (np.tile(np.ravel(t), 2) for t in step_tables(part.rate, step / 2 if second else step))
    state = np.eye(size)
    x, d = state[:count], state[count:]
    d = decay[:, None] * d - gain[:, None] * (part.moments @ x)

    def slope(at: Array) -> Array:
        return np.asarray(part.mobility @ (part.bend[:, None] * at + part.pull @ d))

    if second:
        x = x + step * slope(x + 0.5 * step * slope(x))
        d = decay[:, None] * d - gain[:, None] * (part.moments @ x)
    else:
        x = x + step * slope(x)
    return np.concatenate([x, d])


def spectrum(game: "TorusGAN", at: Any = None, rule: str | None = None, **options: Any) -> Spectrum:
    """Eigenvalues of the flow, or multipliers of a scheme.

    Args:
        game: The game.
        at: Positions `[N]`, taken as matched (discriminator zero); positions and complex coefficients `[K]` in a pair;
            None for the resting configuration next to the game's own start.
        rule: None for the flow; `first_order` or `second_order`; `alternating` takes `scheme`.
        options: `step_size` (0.01), and `scheme` of `alternating`.

    Raises:
        NotApplicable: If a scheme is asked for at a point that is not at rest, or nothing is at rest.
        ParameterError: If a name, a shape or a value is wrong.
    """
    positions, coefficients = _point(game, at)
    if rule is None or rule == "flow":
        if options:
            name = next(iter(options))
            raise ParameterError(name, options[name], "nothing: the flow has no steps")
        return flow_spectrum(blocks(game, positions, coefficients))
    one_of("rule", rule, ("flow", "alternating", *SCHEMES))
    for name in options:
        if name not in ("step_size", "scheme") or (name == "scheme" and rule != "alternating"):
            raise unknown_name("option", name, ("step_size", "scheme") if rule == "alternating" else ("step_size",))
    scheme = one_of("scheme", options.get("scheme", SCHEMES[0]), SCHEMES) if rule == "alternating" else rule
    step = number("step_size", options.get("step_size", DEFAULT_STEP), above=0)
    k = np.arange(1, game.frequencies + 1)
    slope = np.real(2j * np.exp(1j * positions[:, None] * k) @ (k * coefficients))
    if at is not None and np.max(np.abs(slope)) > _AT_REST * float(np.sum(k * np.abs(coefficients))):
        raise NotApplicable("the multipliers of a scheme describe motion near a point at rest")
    return step_spectrum(blocks(game, positions, coefficients), scheme, step)


def flow_spectrum(part: Blocks) -> Spectrum:
    """Eigenvalues of the flow."""
    matrix = jacobian(part)
    return spectrum_of(matrix, neutral=max(_NEUTRAL * float(np.max(np.abs(matrix))), 1e-300))


def step_spectrum(part: Blocks, scheme: str, step: float) -> Spectrum:
    """Multipliers of a time step."""
    matrix = step_matrix(part, scheme, step)
    move = float(np.max(np.abs(matrix - np.eye(len(matrix)))))
    return spectrum_of(matrix, is_map=True, neutral=max(_NEUTRAL * min(move, 1.0), 1e-15))


def _point(game: "TorusGAN", at: Any) -> tuple[Array, Complex]:
    if at is None:
        found = rest(game, game.initial_positions)
        return found.positions, found.coefficients
    pair = isinstance(at, tuple | list) and len(at) == 2 and all(np.ndim(part) == 1 for part in at)
    positions = real_array("at", at[0] if pair else at, expected="positions, finite numbers")
    if positions.shape != (game.particles,):
        expected = f"positions of shape {(game.particles,)}, or positions and coefficients in a pair"
        raise ParameterError("at", f"shape {positions.shape}", expected)
    coefficients = np.zeros(game.frequencies, np.complex128)
    if pair:
        given = np.asarray(at[1])
        if given.shape != (game.frequencies,) or given.dtype.kind not in "fiuc" or not np.all(np.isfinite(given)):
            expected = f"finite complex coefficients of shape {(game.frequencies,)}"
            raise ParameterError("at", at[1], expected)
        coefficients = given.astype(np.complex128)
    return positions, coefficients


def evolve(game: "TorusGAN", request: Request, start: Array) -> tuple[Array, Complex]:
    """Exact linear motion from starts `[cells, replicas, N]` with the discriminator at 0, at the requested times."""
    times = request.schedule.times
    shape = (*start.shape[:2], len(times))
    positions = np.empty((*shape, game.particles))
    coefficients = np.empty((*shape, game.frequencies), np.complex128)
    for cell in range(request.cells):
        own = game.replace(**{name: values[cell] for name, values in request.over.items()})
        found = rest(own, own.initial_positions)
        matrix = jacobian(blocks(own, found.positions, found.coefficients))
        index = np.broadcast_to(np.arange(game.particles), start[cell].shape)
        places = np.broadcast_to(found.positions, start[cell].shape)
        if own.initial_positions is None:
            pairs = [pairing(found.positions, one) for one in start[cell]]
            index = np.stack([indices for indices, _ in pairs])
            places = found.positions[index] + np.stack([turns for _, turns in pairs])
        state = np.empty((request.replicas, len(matrix)))
        np.put_along_axis(state, index, start[cell] - places, axis=1)
        state[:, game.particles :] = np.concatenate([-found.coefficients.real, -found.coefficients.imag])
        gaps = _gaps(times)
        steps = {gap: _propagator(matrix, gap) for gap in np.unique(gaps)}
        for record, gap in enumerate(gaps):
            state = np.stack([steps[gap] @ one for one in state])
            positions[cell, :, record] = places + np.take_along_axis(state, index, axis=1)
            real, imaginary = np.split(state[:, game.particles :], 2, axis=1)
            coefficients[cell, :, record] = found.coefficients + real + 1j * imaginary
    return positions, coefficients


def _gaps(times: Array) -> Array:
    """Times between records; those that differ by rounding only are made equal, to need one matrix."""
    gaps = np.diff(times, prepend=0.0)
    coarse = np.round(gaps / max(float(times[-1]), 1e-300), 14)
    _, first, which = np.unique(coarse, return_index=True, return_inverse=True)
    return np.asarray(gaps[first][which])


def _propagator(matrix: Array, time: float) -> Array:
    return np.eye(len(matrix)) if time == 0 else np.asarray(expm(matrix * time))
