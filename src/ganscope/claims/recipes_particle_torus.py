r"""The data of the figures of particles on a circle: friction, and the stability of a collapsed cloud.

Every recipe returns labelled data sets by name; `figures.particle_torus` draws them. Sizes are arguments, so that a
recipe can be run small.

References:
    Durr, Mroueh, Tu, Wang. Effective dynamics of generative adversarial networks. Phys. Rev. X 13, 041004 (2023).
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import xarray as xr

from ganscope.core.simulate import simulate_many
from ganscope.games.particle.collapse import transverse_exponent
from ganscope.games.particle.damping import best_gradient_penalty, mode_rates, mode_spectrum
from ganscope.games.particle.torus.fourier import kernel_spectrum
from ganscope.games.particle.torus.model import TorusGAN

Array = npt.NDArray[np.float64]
Data = dict[str, xr.Dataset]

# The circle on which friction is measured: even particles before a target that is even to the discriminator.
_MOBILITY, _BANDWIDTH, _WAVES = 0.5, 0.5, 3
# MMD^2 falls by this factor until a run counts as converged; displacements of its start add up to this amplitude.
FALL, AMPLITUDE = 1e-6, 0.3
_SMALL, _SAMPLE = 1e-4, 0.2


def _even_circle(particles: int) -> TorusGAN:
    return TorusGAN(
        particles=particles, relative_mobility=_MOBILITY, mean_mobility=_MOBILITY, modes=2 * _WAVES, mode_width=0.0,
        frequencies=_WAVES, bandwidth=_BANDWIDTH, gradient_penalty=1.0,
    )  # fmt: skip


def damping(
    penalties: Sequence[float] = (0.1, 0.2, 0.4, 0.75, 1.13, 1.8, 3.2, 5.4, 9.05),
    shown: Sequence[float] = (0.25, 0.5, 1.0, 2.0), replicas: int = 6, particles: int = 64, horizon: float = 250.0,
    num: int = 401,
) -> Data:  # fmt: skip
    """F7: rates, convergence times and eigenvalues of matched particles against the gradient penalty.

    Particles start evenly around the circle, displaced by waves of wavenumbers 1 .. 3 of amplitude 0.1 each, and count
    as converged when the squared MMD stays below a millionth of its start.

    Returns:
        `theory`: over `wavenumber` and `gradient_penalty`, `rate` and (over `pair` too) `eigenvalue`; its attributes
        hold the penalty `best` at which the slowest wave is fastest, and its `best_rate`. `times`: over
        `gradient_penalty` and `replica`, `time` of convergence, NaN beyond the horizon. `eigenvalues`: over
        `wavenumber`, `gradient_penalty` and `pair`, `measured` from runs with small displacements.
    """
    game = _even_circle(particles)
    k = np.arange(1.0, _WAVES + 1)
    # in units of displacements over k, a wave has the mobility m and the stiffness k^2 K_k
    stiffness = game.discriminator_lr * k**2 * kernel_spectrum("gauss", k, _BANDWIDTH, 1.0)
    best = best_gradient_penalty(_MOBILITY, stiffness)
    fine = np.geomspace(0.02, 20.0, num)
    names = ("wavenumber", "gradient_penalty")
    theory = xr.Dataset(
        {
            "rate": (names, mode_rates(_MOBILITY, stiffness[:, None], fine)),
            "eigenvalue": ((*names, "pair"), mode_spectrum(_MOBILITY, stiffness[:, None], fine)),
            "own_best": ("wavenumber", 2 * np.sqrt(_MOBILITY / stiffness)),
        },
        {"wavenumber": k.astype(int), "gradient_penalty": fine},
        {
            "best": best.gradient_penalty,
            "best_rate": best.rate,
            "mobility": _MOBILITY,
            "bandwidth": _BANDWIDTH,
            "particles": particles,
            "fall": FALL,
        },
    )
    return {
        "theory": theory,
        "times": _convergence_times(game, penalties, replicas, horizon),
        "eigenvalues": _measured_eigenvalues(game, shown, min(horizon, 8.0)),
    }


def _convergence_times(game: TorusGAN, penalties: Sequence[float], replicas: int, horizon: float) -> xr.Dataset:
    """Times after which MMD^2 stays below a share of its start, for displacements of random phases."""
    phases = np.random.default_rng(0).uniform(0.0, 2 * np.pi, (replicas, _WAVES))
    k = np.arange(1.0, _WAVES + 1)
    even = 2 * np.pi * np.arange(game.particles) / game.particles
    waves = np.cos(k[:, None] * even + phases[..., None]).sum(axis=1)
    starts = even + AMPLITUDE / _WAVES * waves
    over = {
        "gradient_penalty": np.repeat(np.asarray(penalties, np.float64), replicas),
        "initial_positions": np.tile(starts, (len(penalties), 1)),
    }
    run = simulate_many(game, over, "particles", save_at=np.arange(0.0, horizon, 0.2))
    weights = kernel_spectrum("gauss", k, _BANDWIDTH, 1.0)
    moments = np.stack([np.exp(-1j * n * run.positions.values).mean(axis=-1) for n in k])
    mmd2 = np.tensordot(weights, np.abs(moments) ** 2, axes=1)
    above = mmd2 >= FALL * mmd2[:, :1]
    last = above.shape[1] - 1 - np.argmax(above[:, ::-1], axis=1)
    ends = run.time.values[np.minimum(last + 1, above.shape[1] - 1)]
    found = np.where(last < above.shape[1] - 1, ends, np.nan).reshape(len(penalties), replicas)
    return xr.Dataset(
        {"time": (("gradient_penalty", "replica"), found)},
        {"gradient_penalty": list(penalties)},
        {"amplitude": AMPLITUDE, "fall": FALL},
    )


def _measured_eigenvalues(game: TorusGAN, penalties: Sequence[float], horizon: float) -> xr.Dataset:
    """Both eigenvalues of every wave, from the recurrence that its decay obeys between equally spaced records."""
    k = np.arange(1, _WAVES + 1)
    even = 2 * np.pi * np.arange(game.particles) / game.particles
    starts = even + _SMALL * np.cos(k[:, None] * even)
    over = {
        "gradient_penalty": np.tile(np.asarray(penalties, np.float64), _WAVES),
        "initial_positions": np.repeat(starts, len(penalties), axis=0),
    }
    records = int(horizon / _SAMPLE)
    run = simulate_many(game, over, "particles", save_at=_SAMPLE * np.arange(records + 1))
    found = np.empty((_WAVES * len(penalties), 2), np.complex128)
    for cell, values in enumerate(run.positions.values):
        n = k[cell // len(penalties)]
        wave = np.exp(-1j * n * values).mean(axis=-1).imag
        past = np.stack([wave[1:-1], -wave[:-2]], axis=1)
        (trace, determinant), *_ = np.linalg.lstsq(past, wave[2:], rcond=None)
        multipliers = np.roots([1.0, -trace, determinant]).astype(np.complex128)
        found[cell] = np.sort_complex(np.log(multipliers) / _SAMPLE)[::-1]
    shape = (_WAVES, len(penalties), 2)
    return xr.Dataset(
        {"measured": (("wavenumber", "gradient_penalty", "pair"), found.reshape(shape))},
        {"wavenumber": k, "gradient_penalty": list(penalties)},
        {"amplitude": _SMALL},
    )


# Targets and frictions whose collapsed clouds are followed: (modes, mode_width, gradient_penalty, regularization).
COLLAPSED = ((2, 0.1, 0.0, 0.5), (2, 0.3, 0.0, 0.5), (2, 0.1, 0.0, 1.0), (2, 0.1, 0.6, 0.0))


def transverse(
    settings: Sequence[tuple[int, float, float, float]] = COLLAPSED, low: float = 0.1, high: float = 16.0,
    num: int = 31, num_simulated: int = 7, starts: int = 4, horizon: float = 200.0, particles: int = 16,
    relative_mobility: float = 0.002,
) -> Data:  # fmt: skip
    """F8: mean curvature of the discriminator under a collapsed cloud, and how fast the spread of real clouds grows.

    Args:
        settings: Number of modes, their width, gradient penalty and regularization of every curve.
        low, high, num, num_simulated: Mean mobilities of theory and of the simulations.
        starts: Places at which clouds start; their scatter is the error bar.
        horizon: Length of a run, of which the first third is dropped.
        particles, relative_mobility: Of the clouds.

    Returns:
        `theory`: `exponent` over `setting` and `mean_mobility`. `simulated`: `growth`, the growth rate of the spread
        over relative_mobility, over `setting`, `mean_mobility` and `start`. Both with the settings over `setting`.
    """
    fine, coarse = np.geomspace(low, high, num), np.geomspace(low, high, num_simulated)
    columns = {
        name: ("setting", [setting[i] for setting in settings])
        for i, name in enumerate(("modes", "mode_width", "gradient_penalty", "regularization"))
    }
    games = [
        TorusGAN(
            particles=particles, relative_mobility=relative_mobility, modes=modes, mode_width=width,
            gradient_penalty=penalty, regularization=decay,
        )
        for modes, width, penalty, decay in settings
    ]  # fmt: skip
    exponent = [[transverse_exponent(game, float(m), horizon=horizon) for m in fine] for game in games]
    growth = [_growth(game, coarse, starts, horizon) for game in games]
    attrs = {"particles": particles, "relative_mobility": relative_mobility, "horizon": horizon, "starts": starts}
    names = ("setting", "mean_mobility")
    return {
        "theory": xr.Dataset({"exponent": (names, exponent), **columns}, {"mean_mobility": fine}, attrs),
        "simulated": xr.Dataset({"growth": ((*names, "start"), growth), **columns}, {"mean_mobility": coarse}, attrs),
    }


def _growth(game: TorusGAN, mobilities: Array, starts: int, horizon: float) -> Array:
    """Growth rate of the spread of almost collapsed clouds over their relative mobility, `[mobilities, starts]`."""
    noise = 1e-6 * np.random.default_rng(0).standard_normal(game.particles)
    places = 0.2 + 0.09 * np.arange(starts)
    clouds = places[:, None] + noise - noise.mean()
    growth = np.empty((len(mobilities), starts))
    for i, mobility in enumerate(mobilities.tolist()):
        step = horizon / np.ceil(horizon * 100 * np.sqrt(max(1.0, mobility)))
        first = step * np.round(horizon / 3 / step)
        own = game.replace(mean_mobility=mobility)
        run = simulate_many(own, {"initial_positions": clouds}, "particles", step_size=step, save_at=[first, horizon])
        spread = np.log(run.positions.values.std(axis=-1))
        growth[i] = (spread[:, 1] - spread[:, 0]) / (horizon - first)
    return growth / game.relative_mobility
