r"""The data of the dual flows' figures of laws: clouds of points against discriminators of many features.

Every recipe returns labelled data sets by name; `figures.dualflow_laws` draws them. Sizes are arguments, so that a
recipe can be run small.

References:
    Turinici. Convergence dynamics of generative adversarial networks: the dual metric flows. 2020.
    Arbel, Korba, Salim, Gretton. Maximum mean discrepancy gradient flow. NeurIPS 2019.
"""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from scipy.stats import norm

from ganscope.core.game import Players
from ganscope.core.simulate import simulate, simulate_many
from ganscope.games.dualflow.collapse.fate import dirac_fate, smoothed_modes
from ganscope.games.dualflow.failures import DomainWarning
from ganscope.games.dualflow.feature.laws import Mixture
from ganscope.games.dualflow.feature.model import FeatureGAN
from ganscope.games.dualflow.levels import (
    EXPLICIT,
    EXPLICIT_SEQUENTIAL,
    FLOW,
    JKO,
    JKO_SEQUENTIAL,
    NASH,
)
from ganscope.games.dualflow.variational import defect

Array = npt.NDArray[np.float64]
Data = dict[str, xr.Dataset]

# Two normal modes of the same weight, and how far from a centre a particle belongs to it.
CENTRES, STD, MODE_RADIUS = (-2.0, 2.0), 0.25, 0.75
_QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)


def normal_quantiles(mean: float, std: float, particles: int) -> Array:
    """Midpoint quantiles of a normal law, shape `[particles]`."""
    levels = (np.arange(particles) + 0.5) / particles
    return np.asarray(mean + std * norm.ppf(levels))


def two_modes(particles: int) -> Array:
    """Midpoint quantiles of two normal modes, shape `[particles]`."""
    law = Mixture(tuple(norm(centre, STD) for centre in CENTRES))
    return law.ppf((np.arange(particles) + 0.5) / particles)


def two_mode_game(particles: int = 64, start: tuple[float, float] = (2.0, 0.1), **parameters: Any) -> FeatureGAN:
    """A normal start, `(mean, std)`, against two modes."""
    return FeatureGAN(
        two_modes(particles), normal_quantiles(*start, particles), modes=list(CENTRES), mode_radius=MODE_RADIUS,
        **parameters,
    )  # fmt: skip


def kernel_game(particles: int = 64, **parameters: Any) -> FeatureGAN:
    """Two normal laws and a Gaussian kernel, the example of the kernel GAN."""
    return FeatureGAN(normal_quantiles(0.0, 1.0, particles), normal_quantiles(1.5, 0.5, particles), **parameters)


def fast_discriminator(
    discriminator_lrs: Sequence[float] = (1.0, 5.0, 20.0), horizon: float = 10.0, particles: int = 64,
    rates: Sequence[float] = (5.0, 10.0, 20.0, 40.0, 80.0), records: int = 101,
) -> Data:  # fmt: skip
    """F5: quantiles of a generator against discriminators of growing speed, and against the fastest possible.

    Returns:
        `dual`: over `discriminator_lr`, `time` and `level`, `quantile`; `limit`: the same with the discriminator at its
        optimum at all times. `distance`: over `rate`, a discriminator_lr, the W2 `distance` between the dual flow and
        the limit at time 1, from the best discriminator for the first points.
    """
    times, levels = np.linspace(0.0, horizon, records), np.array(_QUANTILES)
    game, fast = kernel_game(particles), kernel_game(particles, fast=True)
    run = simulate_many(game, {"discriminator_lr": discriminator_lrs}, FLOW, save_at=times)
    limit = simulate(fast, FLOW, save_at=times)
    near = simulate_many(
        kernel_game(particles, initial_discriminator="equilibrium"), {"discriminator_lr": rates}, FLOW, save_at=[1.0]
    )
    end = np.sort(simulate(fast, FLOW, save_at=[1.0]).generated_points.values[0, :, 0])
    apart = np.sqrt(np.mean((np.sort(near.generated_points.values[:, 0, :, 0], axis=-1) - end) ** 2, axis=-1))
    dual = np.quantile(run.generated_points.values[..., 0], levels, axis=-1)
    return {
        "dual": xr.Dataset(
            {"quantile": (("discriminator_lr", "time", "level"), np.moveaxis(dual, 0, -1))},
            {"discriminator_lr": list(discriminator_lrs), "time": times, "level": levels},
            {"particles": particles},
        ),
        "limit": xr.Dataset(
            {
                "quantile": (("time", "level"), np.quantile(limit.generated_points.values[..., 0], levels, axis=-1).T),
                "target": ("level", norm.ppf(levels)),
            },
            {"time": times, "level": levels},
        ),
        "distance": xr.Dataset({"distance": ("rate", apart)}, {"rate": list(rates)}),
    }


def critics(
    starts: Sequence[tuple[float, float]] = ((2.0, 0.1), (0.0, 2.0)), bandwidths: Sequence[float] = (0.5, 1.0, 2.0),
    horizon: float = 40.0, particles: int = 64, nodes: int = 321, records: int = 201,
) -> Data:  # fmt: skip
    """F6: two modes against discriminators of different metrics, from a start in one mode and from a broad one.

    Returns:
        By start, `near` and `broad` or numbers: over `critic` and `time`, `coverage` and `w2`, and `points` at the end,
        over `critic` and `particle`; `start` over `particle`.
    """
    times = np.linspace(0.0, horizon, records)
    data = {}
    for start in starts:
        base: dict[str, Any] = dict(particles=particles, start=start, discriminator_lr=20.0)
        runs = [simulate(two_mode_game(bandwidth=width, **base), FLOW, save_at=times) for width in bandwidths]
        sobolev = two_mode_game(features="sobolev1d", nodes=nodes, **base)
        runs.append(simulate(sobolev, EXPLICIT_SEQUENTIAL, step_size=0.02, save_at=times))
        names = [f"Gaussian kernel, bandwidth {width:g}" for width in bandwidths] + ["Sobolev"]
        data["start mean {:g}, std {:g}".format(*start)] = _over_time(runs, "critic", names) | {
            "start": ("particle", sobolev.generated_points[:, 0])
        }
    return {
        name: xr.Dataset(
            columns,
            {"critic": names, "time": times},
            {"particles": particles, "discriminator_lr": 20.0, "mode_radius": MODE_RADIUS},
        )
        for name, columns in data.items()
    }


def _over_time(runs: Sequence[xr.Dataset], name: str, labels: Sequence[Any]) -> dict[str, Any]:
    """Coverage and W2 over time, and the last points, of runs of two-mode games."""
    assert len(runs) == len(labels)
    return {
        "coverage": ((name, "time"), np.stack([run.mass_coverage.values for run in runs])),
        "w2": ((name, "time"), np.stack([run.w2.values for run in runs])),
        "points": ((name, "particle"), np.stack([np.sort(run.generated_points.values[-1, :, 0]) for run in runs])),
    }


def entropy(
    entropies: Sequence[float] = (0.0, 0.02, 0.05, 0.1), horizon: float = 80.0, step_size: float = 0.05,
    particles: int = 64, records: int = 201,
) -> Data:  # fmt: skip
    """F7: the start in one mode with a short kernel and entropy, without confinement.

    Returns:
        `runs`: over `entropy` and `time`, `coverage` and `w2`; over `entropy` and `particle`, the last `points`;
        `target` over `particle`.
    """
    game = two_mode_game(particles, bandwidth=0.5, discriminator_lr=5.0)
    times = np.linspace(0.0, horizon, records)
    many = simulate_many(game, {"entropy": entropies}, JKO_SEQUENTIAL, step_size=step_size, save_at=times)
    columns = _over_time([many.isel(cell=k) for k in range(len(entropies))], "entropy", list(entropies))
    data = xr.Dataset(
        columns | {"target": ("particle", game.real[:, 0])},
        {"entropy": list(entropies), "time": times},
        {"step_size": step_size, "particles": particles, "discriminator_lr": 5.0, "mode_radius": MODE_RADIUS},
    )
    return {"runs": data}


def step_defects(steps: Sequence[int] = (20, 40, 80), horizon: float = 2.0, particles: int = 64) -> Data:
    """F8: the defect in the variational inequalities of a dual flow against the step size.

    Returns:
        `defects`: over `scheme` and `steps`, `generator` and `discriminator`; the last scheme is `wrong speed`,
        `jko_sequential` tested with a generator_lr twice as large. `step_size` over `steps`.
    """
    game = kernel_game(particles)
    schemes = (EXPLICIT, JKO, JKO_SEQUENTIAL, NASH)
    wrong = game.replace(generator_lr=2.0)
    found = np.empty((len(schemes) + 1, len(steps), 2))
    for k, count in enumerate(steps):
        for i, level in enumerate(schemes):
            run = simulate(game, level, iterations=count, step_size=horizon / count, save_at=np.arange(count + 1))
            found[i, k] = defect(run)
            if level == JKO_SEQUENTIAL:
                found[-1, k] = defect(run, game=wrong)
    names = ("scheme", "steps")
    data = xr.Dataset(
        {player: (names, found[..., k]) for k, player in enumerate(Players._fields)}
        | {"step_size": ("steps", horizon / np.asarray(steps, np.float64))},
        {"scheme": [*schemes, "wrong speed"], "steps": list(steps)},
        {"horizon": horizon, "particles": particles},
    )
    return {"defects": data}


def point_positions(
    discriminator_lrs: Sequence[float] = (0.05, 0.2, 1.0, 3.0, 5.0, 20.0), horizon: float = 60.0,
    particles: int = 64, half_period: float = 32.0, records: int = 601,
) -> Data:  # fmt: skip
    """F9: a generator that is a single point, against discriminators of growing speed.

    Returns:
        `runs`: over `discriminator_lr` and `time`, `position`; over `discriminator_lr`, `range` of the position in the
        last third. Attributes: the `critical_ratio` of speeds, the `mode` that the point climbs to and all `modes`.
    """
    real = two_modes(particles)
    game = FeatureGAN(real, [0.5], bandwidth=0.5, half_period=half_period)
    times = np.linspace(0.0, horizon, records)
    run = simulate_many(game, {"discriminator_lr": discriminator_lrs}, FLOW, save_at=times)
    position = run.generated_points.values[:, :, 0, 0]
    fate = dirac_fate(real, 0.5, 1.0, start=[0.5])
    data = xr.Dataset(
        {
            "position": (("discriminator_lr", "time"), position),
            "range": ("discriminator_lr", np.ptp(position[:, times >= 2 * horizon / 3], axis=1)),
        },
        {"discriminator_lr": list(discriminator_lrs), "time": times},
        {
            "critical_ratio": fate.critical_speed_ratio,
            "mode": float(fate.mode[0]),
            "modes": sorted(smoothed_modes(real, 0.5)[:, 0].tolist()),
            "particles": particles,
        },
    )
    return {"runs": data}


def ring(
    particles: int = 256, horizon: float = 30.0, bandwidths: Sequence[float] = (0.3, 0.5), features: int = 512,
    records: int = 31,
) -> Data:  # fmt: skip
    """F11: a ring of eight modes in the plane, from one mode or from the centre, against different discriminators.

    Returns:
        By start, `mode` and `centre`: over `critic`, `particle` and `axis` the last `points`, over `critic` and `time`
        `coverage` and `sliced_w2`, over `particle` and `axis` `start` and `target`; `centres` over `mode` and `axis`.
    """
    angle = np.arange(8) * (np.pi / 4)
    centres = 2.0 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    rng = np.random.default_rng(0)
    target, centre, mode = (0.1 * rng.standard_normal((particles, 2)) for _ in range(3))
    target += centres[np.arange(particles) % 8]
    starts = {"mode": mode + centres[0], "centre": centre}
    names = ["energy distance", *(f"Gaussian kernel, bandwidth {width:g}" for width in bandwidths)]
    times = np.linspace(0.0, horizon, records)
    data = {}
    for name, start in starts.items():
        base: dict[str, Any] = dict(modes=centres, mode_radius=0.5)
        games = [FeatureGAN(target, start, features="energy", fast=True, **base)]
        games += [
            FeatureGAN(
                target,
                start,
                features="random",
                feature_count=features,
                feature_seed=7,
                bandwidth=width,
                discriminator_lr=5.0,
                **base,
            )
            for width in bandwidths
        ]
        runs = [simulate(game, EXPLICIT, step_size=0.05, save_at=times) for game in games]
        data[name] = xr.Dataset(
            {
                "points": (("critic", "particle", "axis"), np.stack([run.generated_points.values[-1] for run in runs])),
                "coverage": (("critic", "time"), np.stack([run.mass_coverage.values for run in runs])),
                "sliced_w2": (("critic", "time"), np.stack([run.sliced_w2.values for run in runs])),
                "start": (("particle", "axis"), start),
                "target": (("particle", "axis"), target),
                "centres": (("mode", "axis"), centres),
            },
            {"critic": names, "time": times},
            {"features": features, "particles": particles, "mode_radius": 0.5, "discriminator_lr": 5.0},
        )
    return data


def coarse_to_fine(
    schedules: Sequence[tuple[float, float]] = ((0.5, 0.5), (4.0, 0.5), (3.0, 0.3)),
    widths: Sequence[float] = (0.25, 0.5, 1.0, 2.0, 4.0), horizon: float = 40.0, particles: int = 64,
    half_period: float = 8.0, records: int = 201,
) -> Data:  # fmt: skip
    """F12: a bandwidth that shrinks during training, a fixed one, and a fixed sum of several, in the fast limit.

    Returns:
        `runs`: over `schedule` and `time`, `coverage` and `w2`; over `schedule` and `particle` the last `points`;
        `start` and `target` over `particle`; `first` and `last` over `schedule`, the ends of the bandwidth, NaN for the
        sum, whose features live on a circle of circumference 2 half_period.
    """
    times = np.linspace(0.0, horizon, records)
    games = [two_mode_game(particles, fast=True, bandwidth_schedule=(first, last)) for first, last in schedules]
    runs = [simulate(game, EXPLICIT, step_size=0.05, save_at=times) for game in games]
    names = [f"bandwidth {b:g}" if a == b else f"bandwidth {a:g} to {b:g}" for a, b in schedules]
    with warnings.catch_warnings():
        # the circle on which the numbers were published bends the widest kernels
        warnings.simplefilter("ignore", DomainWarning)
        several = two_mode_game(particles, fast=True, bandwidth=list(widths), half_period=half_period)
        runs.append(simulate(several, EXPLICIT, step_size=0.025, save_at=times))
    names.append("sum of bandwidths " + ", ".join(f"{width:g}" for width in widths))
    ends = np.array([*schedules, (np.nan, np.nan)])
    data = xr.Dataset(
        _over_time(runs, "schedule", names)
        | {
            "start": ("particle", several.generated_points[:, 0]),
            "target": ("particle", several.real[:, 0]),
            "first": ("schedule", ends[:, 0]),
            "last": ("schedule", ends[:, 1]),
        },
        {"schedule": names, "time": times},
        {"particles": particles, "mode_radius": MODE_RADIUS, "step_size": 0.05, "step_size_of_sum": 0.025},
    )
    return {"runs": data}
