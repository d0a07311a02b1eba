"""Claims of the dual flows about the linear-quadratic GAN: its moments, its orbits, and generators of low rank."""

from typing import Any

import numpy as np

from ganscope.claims.claim import Evidence, claims_of
from ganscope.claims.confrontation import confront
from ganscope.claims.dualflow_settings import (
    normal_points,
    rotation,
)
from ganscope.core.simulate import simulate
from ganscope.games.dualflow.feature.model import FeatureGAN
from ganscope.games.dualflow.lq.model import QuadraticGAN
from ganscope.games.dualflow.lq.theory import critical_speed_ratio, orbit_period, turning_points

claim = claims_of("dualflow")


@claim(
    "15",
    "Quadratic discriminators see two moments: particles follow the moment equations; on a line the orbits conserve an "
    "invariant; a generator of rank one rests on a principal component above a critical speed ratio only",
    source="derived",
    fast=True,
)
def quadratic_moments() -> Evidence:
    rows: dict[str, Any] = {}
    real, start, times = normal_points(64), normal_points(64, 0.8, 0.5), np.linspace(0, 4, 9)
    speeds: dict[str, Any] = {"generator_lr": 0.8, "discriminator_lr": 1.3}
    for eta in ({}, speeds):
        name = "speeds 0.8 and 1.3" if eta else "speeds 1"
        particles = simulate(
            FeatureGAN(real, start, features="quadratic", critic_penalty=0.5, **eta), "flow", save_at=times
        )
        # the feature x^2 / 2 has the coefficient W
        moments = simulate(QuadraticGAN(0.0, np.var(real), start.mean(), np.var(start), **eta), "flow", save_at=times)
        points, a = particles.generated_points.values[..., 0], particles.discriminator.values
        rows[f"particles and moments, {name}"] = (
            0,
            {
                "mean": float(np.max(np.abs(points.mean(axis=1) - moments["mean"].values[:, 0]))),
                "variance": float(np.max(np.abs(points.var(axis=1) - moments.covariance.values[:, 0, 0]))),
                "w": float(np.max(np.abs(a[:, 0] - moments.linear.values[:, 0]))),
                "W": float(np.max(np.abs(a[:, 1] - moments.quadratic.values[:, 0, 0]))),
            },
            1e-6,
        )
        if not eta:
            found = [float(points[-1].mean()), float(points[-1].std()), *map(float, a[-1])]
            rows["mean, width, w, W at time 4"] = [-0.4014375918, 1.0750758276, 0.2877924, 0.1043192], found, 1e-6
    rows |= _invariant()
    rows |= _rank_one()
    return confront(rows)


def _invariant() -> dict[str, Any]:
    """Rows about orbits on a line without penalty."""
    rows: dict[str, Any] = {}
    for std, target, eta1, eta2 in ((0.5, 1.0, 1.0, 1.0), (0.9, 1.0, 0.5, 2.5), (2.0, 1.4, 1.5, 0.8)):
        game = QuadraticGAN(0.0, target**2, 0.0, std**2, critic_penalty=0.0, generator_lr=eta1, discriminator_lr=eta2)
        period = orbit_period(std, target, 0.0, eta1, eta2)
        run = simulate(game, "flow", save_at=np.linspace(0, period, 401), tolerance=1e-12)
        variance, w = run.covariance.values[:, 0, 0], run.quadratic.values[:, 0, 0]
        invariant = w**2 / (2 * eta2) + (variance - target**2 * np.log(variance)) / (4 * eta1)
        name = f"width {std:g}, data {target:g}, speeds {eta1:g} and {eta2:g}"
        rows[f"drift of the invariant, {name}"] = 0, float(np.ptp(invariant)), 1e-8
        rows[f"width after a period, {name}"] = std, float(np.sqrt(variance[-1])), 1e-7
        ends = [float(np.sqrt(variance.min())), float(np.sqrt(variance.max()))]
        rows[f"turning points, {name}"] = list(turning_points(std, target, 0.0, eta1, eta2)), ends, 1e-3
    return rows


def _rank_one() -> dict[str, Any]:
    """Rows about a generator of rank one beside the first principal component, disturbed along the second."""
    rows: dict[str, Any] = {}
    covariance = np.array([[1.0, 0.5], [0.5, 2.0]])
    values, vectors = np.linalg.eigh(covariance)
    for penalty, eta1, known in ((0.5, 1.0, 1.5857864), (1.0, 2.0, 0.3964466)):
        critical = critical_speed_ratio(covariance, 1, penalty)
        rows[f"critical ratio, critic_penalty {penalty:g}"] = known, critical, 1e-6
        for factor, bound, side in ((0.8, 0.05, "above"), (0.9, 0.05, "above"), (1.1, 1e-3, "below")):
            factor_start = np.sqrt(values[1]) * vectors[:, 1:] + 1e-3 * vectors[:, :1]
            game = QuadraticGAN(
                [0.0, 0.0], covariance, [0.0, 0.0], factor=factor_start, critic_penalty=penalty, generator_lr=eta1,
                discriminator_lr=factor * critical * eta1, initial_discriminator="equilibrium",
            )  # fmt: skip
            name = f"{factor:g} times critical, critic_penalty {penalty:g}"
            run = simulate(game, "flow", save_at=np.linspace(0, 300, 6001))
            missed = run.factor.values[:, :, 0] @ vectors[:, 0]
            late = float(np.max(np.abs(missed[-600:])))
            rows[f"late amplitude, {name}"] = bound, late, side
            if factor == 0.8 and penalty == 0.5:
                rows[f"the same, {name}"] = 0.4725, late, 0.004725
            wanted = -float(game.linear_spectrum().rate)
            rows[f"rate, {name}"] = wanted, rotation(missed[20:81], 0.05)[0], 0.15 * abs(wanted)
    return rows
