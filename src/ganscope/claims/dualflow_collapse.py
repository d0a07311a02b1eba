"""Claims of the dual flows about mode collapse: what causes it, and where collapsed generators go."""

from typing import Any

import numpy as np

from ganscope.claims.claim import Evidence, claims_of
from ganscope.claims.confrontation import confront
from ganscope.claims.dualflow_settings import (
    TWO_MODES,
    levels,
    rotation,
    two_modes,
)
from ganscope.core.simulate import simulate
from ganscope.games.dualflow.collapse.fate import dirac_fate, mode_mean_switch
from ganscope.games.dualflow.collapse.smoothed import Smoothed
from ganscope.games.dualflow.feature.model import FeatureGAN

claim = claims_of("dualflow")


@claim(
    "11",
    "Points that coincide stay together under every smooth discriminator, so that a collapsed generator stays "
    "collapsed; ranks, the limit of the energy distance, separate them at the first step",
    source="derived",
    fast=True,
)
def support_is_kept() -> Evidence:
    rows: dict[str, Any] = {}
    rng = np.random.default_rng(11)
    for axes, kinds in ((1, ("fourier", "sobolev1d", "quadratic", "random")), (2, ("quadratic", "random"))):
        real = rng.normal(size=(20, axes))
        start = np.repeat(rng.normal(size=(2, axes)), 8, axis=0)
        for features in kinds:
            game = FeatureGAN(real, start, features=features, discriminator_lr=3.0)
            spread = {}
            for level in ("flow", "explicit", "jko_sequential", "nash"):
                when: dict[str, Any] = {} if level == "flow" else {"step_size": 0.02}
                run = simulate(game, level, save_at=[0, 10], **when)
                end = run.generated_points.values[-1]
                spread[level] = float(max(np.max(np.ptp(end[:8], axis=0)), np.max(np.ptp(end[8:], axis=0))))
            rows[f"spread of coincident points, {features}, d = {axes}"] = 0, spread, 1e-12
    exact = FeatureGAN(TWO_MODES.ppf(levels(64)), np.zeros(16), features="energy", fast=True)
    atoms = {
        level: float(simulate(exact, level, step_size=0.01, iterations=1).atoms[-1]) for level in ("explicit", "jko")
    }
    rows["places of 16 coincident points after one step by ranks"] = 16, atoms, "exact"
    return confront(rows)


@claim(
    "12",
    "A generator collapsed on a mode rests there if discriminator_lr / generator_lr exceeds a critical ratio, and "
    "cycles below it: a Hopf bifurcation with the rates of the closed form",
    source="derived",
    fast=True,
)
def hopf_threshold() -> Evidence:
    real = TWO_MODES.ppf(levels(64))
    rows: dict[str, Any] = {}
    for bandwidth, mode, ratio in ((0.5, 2.0, 2.564039), (1.0, 1.997881, 0.545655)):
        fate = dirac_fate(real, bandwidth, 1.0, start=[1.5])
        rows[f"mode and critical ratio, bandwidth {bandwidth:g}"] = (
            [mode, ratio],
            [float(fate.mode[0]), fate.critical_speed_ratio],
            1e-6,
        )
    for penalty, eta1 in ((1.0, 1.0), (0.8, 0.5)):
        critical = dirac_fate(real, 0.5, penalty, start=[1.5]).critical_speed_ratio
        for factor, bound, side in ((0.9, 0.05, "above"), (1.1, 1e-3, "below")):
            fate = dirac_fate(real, 0.5, penalty, eta1, factor * critical * eta1, start=[1.5])
            game = FeatureGAN(
                real, fate.mode + 1e-3, bandwidth=0.5, half_period=8.0, critic_penalty=penalty, generator_lr=eta1,
                discriminator_lr=factor * critical * eta1, initial_discriminator="equilibrium",
            )  # fmt: skip
            name = f"{factor:g} times critical, critic_penalty {penalty:g}, generator_lr {eta1:g}"
            run = simulate(game, "flow", save_at=np.linspace(0, 300, 3001))
            away = run.generated_points.values[:, 0, 0] - fate.mode[0]
            rows[f"late amplitude, {name}"] = bound, float(np.max(np.abs(away[-300:]))), side
            rate, frequency = rotation(away[10:61], 0.1)
            wanted = fate.eigenvalues[0]
            rows[f"rate, {name}"] = float(wanted.real), rate, 0.15 * abs(float(wanted.real))
            rows[f"frequency, {name}"] = abs(float(wanted.imag)), frequency, 0.15 * abs(float(wanted.imag))
    return confront(rows)


@claim(
    "13",
    "A tiny cloud around a mode widens exponentially at the rate of the closed form, whatever the speed of the "
    "discriminator: exact collapse is unstable to noise",
    source="derived",
    fast=True,
)
def widths_grow() -> Evidence:
    real = TWO_MODES.ppf(levels(64))
    rows: dict[str, Any] = {}
    for bandwidth, penalty, eta1, eta2 in ((0.5, 1.0, 1.0, 5.0), (0.5, 1.0, 1.0, 0.5), (1.0, 0.5, 2.0, 1.0)):
        fate = dirac_fate(real, bandwidth, penalty, eta1, eta2, start=[1.5])
        cloud = fate.mode[0] + 1e-7 * np.array([-1.0, -0.3, 0.2, 1.1])
        game = FeatureGAN(
            real, cloud - (cloud.mean() - fate.mode[0]), bandwidth=bandwidth, half_period=8.0, critic_penalty=penalty,
            generator_lr=eta1, discriminator_lr=eta2, initial_discriminator="equilibrium",
        )  # fmt: skip
        run = simulate(game, "flow", save_at=[0, 2], tolerance=1e-13)
        width = np.ptp(run.generated_points.values[..., 0], axis=1)
        name = f"rate, bandwidth {bandwidth:g}, critic_penalty {penalty:g}, speeds {eta1:g} and {eta2:g}"
        seen = float(np.log(width[1] / width[0]) / 2)
        rows[name] = fate.width_growth_rate, seen, 1e-3 * fate.width_growth_rate
    return confront(rows)


@claim(
    "14",
    "A collapsed generator goes to a mode if the bandwidth is below sqrt(c^2 - s^2), c half the distance of the modes "
    "and s their width, and to the mean between them otherwise",
    source="derived",
    fast=True,
)
def mode_or_mean() -> Evidence:
    rows: dict[str, Any] = {}
    for width in (0.25, 1.0):
        switch, real = mode_mean_switch(2.0, width), two_modes(width).ppf(levels(400))
        low, high = 1.0, 3.0
        while high - low > 1e-9:
            middle = (low + high) / 2
            valley = Smoothed(real, middle).hessian(np.zeros(1))[0, 0] > 0
            low, high = (middle, high) if valley else (low, middle)
        name = f"modes of width {width:g}"
        rows[f"bandwidth where the smoothed data are flat at the mean, {name}"] = switch, low, 0.02 * switch
        for factor, side in ((0.98, "above"), (1.02, "below")):
            game = FeatureGAN(real, [0.05], bandwidth=factor * switch, half_period=20.0, fast=True)
            end = simulate(game, "flow", save_at=[0, 100]).generated_points.values[-1, 0, 0]
            rows[f"place of a point from 0.05, bandwidth {factor:g} of the switch, {name}"] = 0.05, float(end), side
    return confront(rows)
