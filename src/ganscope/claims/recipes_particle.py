r"""The data of the figures of particles on a ring: one recipe per figure, beside the claims that it illustrates.

Every recipe returns labelled data sets by name; `figures.particle` draws them. Sizes are arguments, so that a recipe
can be run small. Runs that several figures need are made once per process.

References:
    Durr, Mroueh, Tu, Wang. Effective dynamics of generative adversarial networks. Phys. Rev. X 13, 041004 (2023).
"""

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from ganscope.core.simulate import simulate, simulate_many
from ganscope.games.particle.cloud.angular import angular_spectrum, network_angle_kernel
from ganscope.games.particle.cloud.model import ACTIVATIONS, ParticleGAN
from ganscope.games.particle.generator.empirical import full_kernel
from ganscope.games.particle.generator.wide import WideGenerator

Array = npt.NDArray[np.float64]
Data = dict[str, xr.Dataset]

COUPLINGS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
DISCRIMINATORS = ("relu", "tanh", "sin")
# Where a seed mean crosses these values, a phase ends: soft coverage, coverage, and wander (upwards).
SOFT_LEVEL, HARD_LEVEL, WANDER_LEVEL = 0.6, 0.5, 0.25
# What a run is judged by: the mean over its last quarter; `wander` is of the last quarter by itself.
_AVERAGED = ("soft_coverage", "coverage", "entropy", "spread", "quality", "rigidity")
_TAIL, _EVERY = 0.75, 10


@functools.cache
def _scan(
    activation: str,
    mode_widths: tuple[float, ...],
    couplings: tuple[float, ...],
    replicas: int,
    iterations: int,
    changes: tuple[tuple[str, Any], ...] = (),
) -> xr.Dataset:
    """Order parameters at the end of runs on the ring, over `mode_width`, `coupling` and `replica`, in one batch."""
    game = ParticleGAN(discriminator_activation=activation, coupling=1.0, **dict(changes))
    widths, chi = (part.ravel() for part in np.meshgrid(mode_widths, couplings, indexing="ij"))
    over = {"coupling": chi, "mode_width": widths}
    saved = np.arange(0, iterations + 1, _EVERY)
    run = simulate_many(game, over, "particles", iterations=iterations, replicas=replicas, save_at=saved)
    shape = (len(mode_widths), len(couplings), replicas)
    names = ("mode_width", "coupling", "replica")
    found = {name: (names, values.reshape(shape)) for name, values in settled(run).items()}
    return xr.Dataset(found, {"mode_width": list(mode_widths), "coupling": list(couplings)})


def settled(run: xr.Dataset) -> dict[str, Array]:
    """Order parameters over the last quarter of runs, by name, with the leading axes of the run."""
    full = run if "replica" in run.dims else run.expand_dims("replica", axis=-1)
    last = full.sel(time=full.time >= _TAIL * full.time[-1])
    found = {name: last[name].mean("time", skipna=False) for name in _AVERAGED}
    found["wander"] = full.wander.isel(time=-1)
    return {name: values.transpose(..., "replica").values for name, values in found.items()}


def crossing(couplings: Array, values: Array, level: float, falling: bool = True) -> float:
    """Where values over couplings first fall (or rise) through a level, linear in the logarithm of the coupling.

    Infinite if they never do, 0 if they begin beyond it.
    """
    over = values - level if falling else level - values
    beyond = np.flatnonzero(over < 0)
    if len(beyond) == 0:
        return np.inf
    k = int(beyond[0])
    if k == 0:
        return 0.0
    share = over[k - 1] / (over[k - 1] - over[k])
    return float(couplings[k - 1] * (couplings[k] / couplings[k - 1]) ** share)


def boundary(couplings: Any, samples: Array, level: float, falling: bool = True) -> tuple[float, float]:
    """The crossing of the mean of samples `[coupling, replica]`, and its standard error as a factor, by the jackknife.

    The factor is NaN with a single replica, or if the mean without one of them does not cross.
    """
    chi, count = np.asarray(couplings, np.float64), samples.shape[1]
    found = crossing(chi, samples.mean(axis=1), level, falling)
    if count < 2 or not 0 < found < np.inf:
        return found, np.nan
    without = (samples.sum(axis=1, keepdims=True) - samples) / (count - 1)
    each = np.array([crossing(chi, column, level, falling) for column in without.T])
    if not np.all((each > 0) & np.isfinite(each)):
        return found, np.nan
    logs = np.log(each)
    return found, float(np.exp(np.sqrt((count - 1) * np.mean((logs - logs.mean()) ** 2))))


def order_parameters_against_coupling(
    couplings: Sequence[float] = COUPLINGS, discriminators: Sequence[str] = DISCRIMINATORS, mode_width: float = 0.05,
    replicas: int = 4, iterations: int = 800,
) -> Data:  # fmt: skip
    """F4: order parameters of the ring against the coupling number, for three discriminators.

    Returns:
        `order`: `soft_coverage`, `coverage`, `entropy`, `spread`, `quality`, `rigidity` and `wander` at the end of the
        runs, over `discriminator`, `coupling` and `replica`; over `discriminator` the coupling `critical` where the
        mean soft coverage falls below 0.6.
    """
    scans = [
        _scan(name, (mode_width,), tuple(couplings), replicas, iterations).isel(mode_width=0) for name in discriminators
    ]
    order = xr.concat(scans, xr.DataArray(list(discriminators), dims="discriminator", name="discriminator"))
    critical = [boundary(couplings, scan.soft_coverage.values, SOFT_LEVEL)[0] for scan in scans]
    order = order.assign(critical=("discriminator", critical))
    order.attrs = {"mode_width": mode_width, "iterations": iterations, "replicas": replicas}
    return {"order": order}


def phase_diagrams(
    couplings: Sequence[float] = COUPLINGS, mode_widths: Sequence[float] = (0.02, 0.05, 0.1, 0.2, 0.3),
    discriminators: Sequence[str] = DISCRIMINATORS, replicas: int = 2, iterations: int = 600,
    finer: tuple[float, int, int] | None = (0.05, 4, 800),
) -> Data:  # fmt: skip
    """F5: soft coverage over mode width and coupling number, for three discriminators.

    Args:
        couplings, mode_widths, discriminators, replicas, iterations: What is simulated.
        finer: A mode width whose runs are those of F4, with so many replicas and iterations; None for none.

    Returns:
        `phases`: `soft_coverage`, the mean over replicas, over `discriminator`, `mode_width` and `coupling`; over
        `discriminator` and `mode_width` the coupling `critical` at which it falls below 0.6, infinite beyond the last.
    """
    chi = tuple(couplings)
    shared = [width for width in mode_widths if finer is not None and width == finer[0]]
    others = tuple(width for width in mode_widths if width not in shared)
    soft, critical = [], []
    for name in discriminators:
        rows = {}
        if others:
            scan = _scan(name, others, chi, replicas, iterations)
            rows = {width: scan.soft_coverage.sel(mode_width=width).values for width in others}
        for width in shared:
            assert finer is not None
            rows[width] = _scan(name, (width,), chi, *finer[1:]).soft_coverage.values[0]
        soft.append([rows[width].mean(axis=1) for width in mode_widths])
        critical.append([crossing(np.asarray(chi), row, SOFT_LEVEL) for row in soft[-1]])
    names = ("discriminator", "mode_width")
    phases = xr.Dataset(
        {"soft_coverage": ((*names, "coupling"), np.array(soft)), "critical": (names, np.array(critical))},
        {"discriminator": list(discriminators), "mode_width": list(mode_widths), "coupling": list(chi)},
        {"replicas": replicas, "iterations": iterations} | ({"finer": list(finer)} if shared and finer else {}),
    )
    return {"phases": phases}


def angular_spectra(
    discriminators: Sequence[str] = ("relu", "tanh", "softplus", "sin"), harmonics: int = 24,
    mode_widths: Sequence[float] = (0.05, 0.2), networks: int = 16, couplings: Sequence[float] = COUPLINGS,
    replicas: int = 4, iterations: int = 800,
) -> Data:  # fmt: skip
    """F6: angular spectra of the discriminators' kernels beside the harmonics of the target, and where clouds collapse.

    Returns:
        `spectra`: over `discriminator` and `harmonic`, `kernel` of an infinitely wide network; over `network` too,
        `measured` of networks as wide as those of the runs. `target`: `share` of the ring's harmonics over `mode_width`
        and `multiple`, at `harmonic` over `multiple`. `boundary`: over `discriminator`, `ratio`, the kernel's harmonic
        of the modes over the first one, `first`, that one; the couplings `collapse` (soft coverage) and `motion`
        (wander) and their standard errors as factors, `collapse_error` and `motion_error`.
    """
    game = ParticleGAN()
    m = np.arange(harmonics + 1)
    modes = int(game.modes)
    kernel = np.array([_infinite(name, game, m) for name in discriminators])
    measured = np.array([_measured(name, game, m, networks) for name in discriminators])
    multiples = np.arange(modes, harmonics + 1, modes)
    share = np.exp(-0.5 * np.square(np.asarray(mode_widths)[:, None] * multiples))
    columns: dict[str, list[float]] = {n: [] for n in ("collapse", "collapse_error", "motion", "motion_error")}
    for name in discriminators:
        scan = _scan(name, (game.mode_width,), tuple(couplings), replicas, iterations).isel(mode_width=0)
        for kind, variable, level, falling in (
            ("collapse", "soft_coverage", SOFT_LEVEL, True),
            ("motion", "wander", WANDER_LEVEL, False),
        ):
            found, error = boundary(couplings, scan[variable].values, level, falling)
            columns[kind].append(found)
            columns[f"{kind}_error"].append(error)
    names, attrs = list(discriminators), {"modes": modes, "mode_width": game.mode_width, "replicas": replicas}
    spectra = xr.Dataset(
        {
            "kernel": (("discriminator", "harmonic"), kernel),
            "measured": (("discriminator", "network", "harmonic"), measured),
        },
        {"discriminator": names, "harmonic": m},
        {"width": game.discriminator_width, "depth": game.discriminator_depth, "bias_variance": game.bias_variance},
    )
    edges = xr.Dataset(
        {
            "ratio": ("discriminator", kernel[:, modes] / kernel[:, 1]),
            "first": ("discriminator", kernel[:, 1]),
            **{name: ("discriminator", values) for name, values in columns.items()},
        },
        {"discriminator": names},
        attrs | {"iterations": iterations},
    )
    target = xr.Dataset(
        {"share": (("mode_width", "multiple"), share)},
        {"mode_width": list(mode_widths), "harmonic": ("multiple", multiples)},
        attrs,
    )
    return {"spectra": spectra, "target": target, "boundary": edges}


def _infinite(activation: str, game: ParticleGAN, harmonics: npt.NDArray[np.int64]) -> Array:
    variance = ACTIVATIONS[activation]
    kernel = network_angle_kernel(
        game.discriminator_depth, activation, variance, game.bias_variance, game.axes, game.radius
    )
    return angular_spectrum(harmonics, kernel)


def _measured(activation: str, game: ParticleGAN, harmonics: npt.NDArray[np.int64], networks: int) -> Array:
    """Angular coefficients of the kernels of random networks of finite width, `[networks, harmonics]`."""
    network = WideGenerator(
        outputs=1,
        depth=game.discriminator_depth,
        activation=activation,
        width=game.discriminator_width,
        latent_dimension=2,
        weight_variance=ACTIVATIONS[activation],
        bias_variance=game.bias_variance,
    )
    # more points than twice the harmonics, so that those of the cusp of relu alias into none that counts
    angles = 2 * np.pi * np.arange(8 * len(harmonics)) / (8 * len(harmonics))
    points = game.radius * np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    waves = np.exp(1j * harmonics[:, None] * angles) / len(angles)
    found = np.empty((networks, len(harmonics)))
    for seed in range(networks):
        matrix = full_kernel(network.apply, network.initial(seed), points)[:, :, 0, 0]
        found[seed] = np.real(np.einsum("mi,ij,mj->m", waves, matrix, np.conj(waves)))
    return found


def boundary_shifts(
    penalties: Sequence[float] = (0.0, 0.05, 0.1, 0.3, 1.0), steps: Sequence[int] = (1, 2, 5),
    couplings: Sequence[float] = (4.0, 8.0, 16.0, 32.0, 64.0), replicas: int = 3, replicas_of_steps: int = 2,
    iterations: int = 800,
) -> Data:  # fmt: skip
    """F9: the critical coupling of the ring against the gradient penalty, and against the discriminator's steps.

    The runs with the default penalty and a single step are those of F4, with its couplings and replicas.

    Returns:
        `penalty` and `steps`: over `gradient_penalty` or `discriminator_steps`, the couplings `soft` and `hard` at
        which the mean soft coverage falls below 0.6 and the mean coverage below 0.5, infinite beyond the last, and
        their standard errors as factors, `soft_error` and `hard_error`.
    """
    data: Data = {}
    for kind, name, values, count in (
        ("penalty", "gradient_penalty", penalties, replicas),
        ("steps", "discriminator_steps", steps, replicas_of_steps),
    ):
        columns: dict[str, list[float]] = {n: [] for n in ("soft", "soft_error", "hard", "hard_error")}
        for value in values:
            usual = value == getattr(ParticleGAN(), name) and iterations == 800
            scan = (
                _scan("relu", (0.05,), COUPLINGS, 4, 800)
                if usual
                else _scan("relu", (0.05,), tuple(couplings), count, iterations, ((name, value),))
            ).isel(mode_width=0)
            for phase, variable, level in (("soft", "soft_coverage", SOFT_LEVEL), ("hard", "coverage", HARD_LEVEL)):
                found, error = boundary(scan.coupling.values, scan[variable].values, level)
                columns[phase].append(found)
                columns[f"{phase}_error"].append(error)
        data[kind] = xr.Dataset(
            {n: (name, column) for n, column in columns.items()},
            {name: list(values)},
            {"replicas": count, "iterations": iterations, "largest": max(couplings), "mode_width": 0.05},
        )
    return data


def snapshots(
    couplings: Sequence[float] = (1.0, 16.0, 64.0), iterations: Sequence[int] = (0, 50, 200, 800), seed: int = 0
) -> Data:
    """F10: particles on the ring at several couplings and times.

    Returns:
        `clouds`: `positions` over `coupling`, `iteration`, `particle` and `axis`, and `soft_coverage` over `coupling`
        and `iteration`; `centres` of the modes over `mode` and `axis`.
    """
    game = ParticleGAN(coupling=1.0)
    runs = [
        simulate(game.replace(coupling=chi), "particles", iterations=max(iterations), save_at=iterations, seed=seed)
        for chi in couplings
    ]
    names = ("coupling", "iteration")
    clouds = xr.Dataset(
        {
            "positions": ((*names, "particle", "axis"), np.stack([run.positions.values for run in runs])),
            "soft_coverage": (names, np.stack([run.soft_coverage.values for run in runs])),
            "centres": (("mode", "axis"), game.target.centres),
        },
        {"coupling": list(couplings), "iteration": list(iterations)},
        {"capture_radius": game.target.capture_radius, "mode_width": game.mode_width, "initial_std": game.initial_std},
    )
    return {"clouds": clouds}
