"""Claims of the kernel model beyond the linear theory: where points end up that cannot rest on their true points."""

import math
from typing import Any

import numpy as np

from ganscope.analysis.linear_prediction import recurrence_roots
from ganscope.claims.claim import Evidence, claims_of
from ganscope.claims.confrontation import confront, confront_shares
from ganscope.claims.kernel_settings import (
    SMALL,
    Array,
    neighbourhood_game,
    unbalanced,
)
from ganscope.core.simulate import simulate
from ganscope.games.kernel.end_states import (
    algebraic_decay,
    collapse_escape_law,
    collapse_escape_rate,
    cycle_amplitude,
    propulsion_speed,
    propulsion_threshold,
    split_radius,
)
from ganscope.games.kernel.kernels import RBF
from ganscope.games.kernel.model import KernelGAN

claim = claims_of("kernel")


def _crowd(real_mass: float, generated_mass: float, points: int, axes: int, **parameters: Any) -> KernelGAN:
    """Points of equal mass scattered within a third of a bandwidth of one true point at the origin."""
    start = np.random.default_rng(points).uniform(-0.3, 0.3, (points, axes))
    mass = np.full(points, generated_mass / points)
    return unbalanced(np.zeros((1, axes)), start, real_mass=[real_mass], generated_mass=mass, **parameters)


@claim(
    "C9",
    "Too few generated points all reach their true point; too many settle around it on a regular simplex of known "
    "radius",
    source="extension",
    fast=True,
)
def settled_crowds() -> Evidence:
    rows: dict[str, Any] = {}
    rates = {"generator_lr": 3.0, "discriminator_lr": 0.8}
    for points, axes in ((1, 1), (2, 1), (3, 2), (4, 3)):
        run = simulate(_crowd(0.5, 0.3, points, axes, **rates), "gda", iterations=1500, save_at=[0, 1500])
        rows[f"{points} points, masses 0.5 and 0.3"] = 0, float(run.distance.values[-1].max()), 1e-6
    for worked, points, axes, p, q in (
        (0.38569725, 2, 1, 0.4, 0.5),
        (0.38569725, 2, 2, 0.4, 0.5),
        (0.63676142, 3, 2, 0.4, 0.6),
        (0.78293726, 4, 3, 0.3, 0.5),
    ):
        radius = split_radius(p, q, points, 1.0)
        run = simulate(_crowd(p, q, points, axes, **rates), "gda", iterations=4000, save_at=[0, 4000])
        found = run.distance.values[-1]
        name = f"{points} points on {axes} axes, masses {p} and {q}"
        rows[name] = worked, {"formula": radius, "nearest": found.min(), "farthest": found.max()}, 1e-6
    return confront(rows)


@claim(
    "C10",
    "With equal masses two points reach their true point only like iterations^(-1/2), with a known coefficient",
    source="extension",
    fast=True,
)
def algebraic_return() -> Evidence:
    slopes, coefficients = {}, {}
    for name, rule, given in (
        ("simultaneous", "simultaneous", {"generator_lr": 1.0}),
        ("alternating, bandwidth 0.7", "alternating", {"generator_lr": 0.4, "kernel": RBF(0.7), "regularization": 0.8}),
    ):
        game = _crowd(1.0, 1.0, 2, 1, **given).replace(generated_points=[0.5, -0.4])
        save_at = np.geomspace(5000, 20000, 60).round().astype(int)
        run = simulate(game, "gda", rule=rule, iterations=20000, save_at=save_at)
        away = np.abs(run.generated_points.values[:, :, 0]).mean(axis=1)
        slopes[name] = float(np.polyfit(np.log(save_at), np.log(away), 1)[0])
        known = algebraic_decay(1.0, game.kernel.curvature, game.regularization, game.generator_lr)
        coefficients[name] = float(away[-1] * math.sqrt(20000) / known)
    return confront(
        {
            "slope of log distance over log iterations, 5000 to 20000": (-0.5, slopes, 0.01),
            "distance x sqrt(20000) over the coefficient": (1, coefficients, 0.01),
        }
    )


@claim(
    "C16",
    "Past the spiral boundary a point circles its true point with a known amplitude: coupling P up to 1.1 a, "
    "a = discriminator_lr regularization up to 0.05",
    source="extension",
    fast=True,
)
def small_cycles() -> Evidence:
    rows: dict[str, Any] = {}
    for forgetting in (0.01, 0.03, 0.05):
        for ratio in (1.03, 1.1):
            discriminator_lr = 0.1
            strength = forgetting / discriminator_lr
            rates: dict[str, Any] = {
                "discriminator_lr": discriminator_lr,
                "generator_lr": ratio * strength,
                "regularization": strength,
            }
            known = float(cycle_amplitude(1.0, 1.0, strength, ratio * strength, discriminator_lr))
            game = neighbourhood_game(1.0, 1.0, **rates).replace(generated_points=[0.7 * known])
            steps = round(15 / (forgetting * (ratio - 1)))
            run = simulate(
                game, "gda", rule="simultaneous", iterations=steps, save_at=range(int(0.8 * steps), steps + 1, 3)
            )
            path = run.generated_points.values[:, 0, 0]
            rows[f"a = {forgetting}, P = {ratio} a"] = known, math.sqrt(2) * float(path.std())
    return confront_shares(rows, 0.05)


_FAR = -1e4


def _flight(speed_ratio: float, regularization: float, kick: float, lr: float, duration: float) -> Array:
    """Speed, per unit of time, in every tenth of the flight of a point of mass 1/2 far from all data.

    The kick is the mass of a second point beside it, which hardly moves; without a kick there is no such point.
    """
    game = unbalanced(
        [_FAR],
        [0.0, 0.5] if kick else [0.0],
        generated_mass=[0.5, kick] if kick else [0.5],
        regularization=regularization,
        discriminator_lr=lr,
        generator_lr=lr * speed_ratio,
        representation="history",
    )
    save_at = np.linspace(0, duration, 11)
    run = simulate(game, "gda", rule="simultaneous", save_at=save_at, tolerance=1e-8)
    speed: Array = np.abs(np.diff(run.generated_points.values[:, 0, 0])) * 10 / duration
    return speed


@claim(
    "C17",
    "A generated point far from all data flees its own trail at a known speed, if regularization is below "
    "mass sqrt(speed ratio curvature) and something kicks it",
    source="extension",
    fast=True,
)
def self_propulsion() -> Evidence:
    rows: dict[str, Any] = {}
    for worked, ratio, strength, duration in (
        (0.36562, 1.0, 0.2, 60.0),
        (0.50445, 2.0, 0.3, 40.0),
        (0.13378, 1.0, 0.45, 100.0),
    ):
        known = float(propulsion_speed(ratio, 0.5, 1.0, strength))
        found = float(_flight(ratio, strength, 1e-2, 0.02, duration)[-1])
        rows[f"speed, ratio {ratio:g}, regularization {strength}"] = worked, {"formula": known, "simulation": found}
    expected, measured, tolerance, passed = confront_shares(rows, 0.01)
    threshold = float(propulsion_threshold(1.0, 0.5, 1.0))
    # The threshold holds for simultaneous steps of any size.
    slow, fast = (_flight(1.0, share * threshold, 1e-3, 0.1, 1000.0) for share in (1.01, 0.99))
    still = _flight(1.0, 0.2, 0.0, 0.02, 20.0)
    rows = {
        "speed at regularization 0.55": (0, float(propulsion_speed(1.0, 0.5, 1.0, 0.55)), "exact"),
        "threshold": (0.5, threshold, 1e-12),
        "1 % above it: last speed over the largest": (0, float(slow[-1] / slow.max()), 0.01),
        "1 % below it: last speed over the largest": (1, float(fast[-1] / fast.max()), 0.01),
        "way without a kick": (0, float(still.sum()), "exact"),
    }
    more = confront(rows)
    return expected | more[0], measured | more[1], tolerance | more[2], passed and more[3]


@claim(
    "C18",
    "Points that stand together in the middle of the data part at a known rate, about bandwidth^-4 under wide kernels",
    source="extension",
    fast=True,
)
def escape_from_collapse() -> Evidence:
    real = np.array([[-1.0, 0.0], [1.0, 0.0]])
    rows: dict[str, Any] = {}
    for worked, width in ((0.5, 1.0), (0.0423, 2.0), (2.854e-3, 4.0), (1.819e-4, 8.0)):
        kernel = RBF(width)
        rate = collapse_escape_rate(real, [0.5, 0.5], kernel, 0.5, 1.0)
        start = SMALL * np.array([[0.5, 0.2], [-0.4, -0.3]])
        game = KernelGAN(real, start, kernel=kernel, generator_lr=1.0, initial_discriminator="equilibrium")
        steps = min(400, round(4 / rate))
        run = simulate(game, "gda", rule="simultaneous", iterations=steps, save_at=range(steps + 1))
        apart = run.generated_points.values[:, 0] - run.generated_points.values[:, 1]
        found = float(np.real(recurrence_roots(apart[:, 0], 1)[0])) - 1
        rows[f"bandwidth {width:g}: simulated rate over the formula"] = 1, found / rate, 1e-6
        rows[f"bandwidth {width:g}: formula over the worked rate"] = 1, rate / worked, 1e-3
        if width >= 4:
            law = collapse_escape_law(real, [0.5, 0.5], kernel, 0.5, 1.0)
            rows[f"bandwidth {width:g}: law of wide kernels over the simulated rate"] = 1, law / found, 0.03
    return confront(rows)
