"""Claims of the dual flows about their schemes: orders, moduli, largest steps, several steps, minibatches.

Distances of runs that theory bounds stand in `dualflow_comparison`, variational inequalities in `dualflow_variational`,
closed forms of single games in `dualflow_laws`, `dualflow_proximal` and `dualflow_moments`, mode collapse in
`dualflow_collapse` and `dualflow_recovery`.
"""

from typing import Any

import numpy as np

from ganscope.claims.claim import Evidence, claims_of
from ganscope.claims.confrontation import confront
from ganscope.claims.dualflow_settings import (
    FIVE,
    apart,
    kernel_game,
    order_of_convergence,
    radius,
    scalar_game,
    step_matrix,
)
from ganscope.core.simulate import simulate
from ganscope.games.dualflow.clipped.model import ClippedGAN
from ganscope.games.dualflow.dirac.model import DiracGAN
from ganscope.games.dualflow.lq.model import QuadraticGAN
from ganscope.games.dualflow.quadratic.model import QuadraticGame
from ganscope.games.dualflow.theory.steps import bilinear_modulus, largest_stable_step

claim = claims_of("dualflow")

# An order that counts as first: between 0.85 and 1.2.
FIRST_ORDER = (1.025, 0.175)


@claim(
    "1",
    "Training with vanishing learning rate has a limit: every scheme approaches the same dual flow, to first order in "
    "the step size and `midpoint` to second, for Dirac-GANs, the LQ-WGAN and a kernel GAN",
    source="paper",
    fast=True,
)
def one_limit() -> Evidence:
    target, spread = [[1.0, 0.0], [0.0, 2.0]], [[0.5, 0.1], [0.1, 0.3]]
    games: dict[str, Any] = {
        "Dirac-GAN, bilinear": DiracGAN("bilinear", initial=(1.0, 0.5)),
        "Dirac-GAN, saturating": DiracGAN("saturating", 0.3, initial=(1.0, 0.5)),
        "Dirac-GAN, nonsaturating": DiracGAN("nonsaturating", 0.3, initial=(1.0, 0.5)),
        "LQ-WGAN": QuadraticGAN([0.0, 0.0], target, [1.0, 0.0], spread),
        "kernel GAN": kernel_game(),
    }
    rows: dict[str, Any] = {}
    for name, game in games.items():
        orders = {level: order_of_convergence(game, level, 0.1, 2.0) for level in FIVE}
        rows[name] = FIRST_ORDER[0], orders, FIRST_ORDER[1]
        if "midpoint" in game.levels:
            rows[f"{name}, midpoint"] = 2, order_of_convergence(game, "midpoint", 0.1, 2.0), 0.1
    return confront(rows)


@claim(
    "2",
    "A step of the bilinear game multiplies distances by the closed form of its scheme: simultaneous ones spiral out, "
    "sequential ones orbit up to kappa = 2, `nash` spirals in, `midpoint` stays on the circle",
    source="derived",
    fast=True,
)
def bilinear_moduli() -> Evidence:
    rows: dict[str, Any] = {}
    for level in (*FIVE, "midpoint"):
        errors: list[float] = []
        at_two: list[float] = []
        for strength, eta1, eta2 in ((1.0, 1.0, 1.0), (-0.7, 0.5, 3.0), (2.5, 4.0, 0.1)):
            game = scalar_game(strength, generator_lr=eta1, discriminator_lr=eta2)
            for kappa in (0.01, 0.1, 0.5, 1.0, 1.9, 2.0, 2.1, 3.0):
                step = kappa / abs(strength) / np.sqrt(eta1 * eta2)
                orders = ("generator_first", "discriminator_first") if level.endswith("sequential") else (None,)
                for order in orders:
                    options = {} if order is None else {"order": order}
                    seen = radius(step_matrix(game, level, step, **options))
                    (at_two if kappa == 2 else errors).append(abs(seen - float(bilinear_modulus(level, kappa))))
        rows[level] = 0, max(errors), 1e-9
        rows[f"{level} at kappa = 2"] = 0, max(at_two), 1e-6
    return confront(rows)


@claim(
    "3",
    "Largest stable steps of damped zero-sum games are those of the closed forms: a step 0.1 % shorter contracts, one "
    "0.1 % longer does not",
    source="derived",
    fast=True,
)
def largest_steps() -> Evidence:
    rng = np.random.default_rng(3)
    drawn = [(2.0, 0.3, 0.5, 1.0, 1.0), (0.5, 1.0, 1.0, 1.0, 1.0), (3.0, 0.2, 0.1, 0.5, 2.0)]
    drawn += [tuple(row) for row in rng.uniform([0.1, 0.0, 0.0, 0.2, 0.2], [3, 2, 2, 3, 3], (30, 5))]
    drawn += [(1.5, 0.4, 0.0, 1.0, 2.0), (1.5, 0.0, 0.7, 2.0, 0.5)]
    rows: dict[str, Any] = {}
    for level in FIVE:
        below, above, unlimited, finite = [0.0], [np.inf], [0.0], 0
        for s, lam1, lam2, eta1, eta2 in drawn:
            game = scalar_game(s, (lam1, lam2), generator_lr=eta1, discriminator_lr=eta2)
            step = float(largest_stable_step(level, s, lam1, lam2, eta1, eta2))
            if np.isinf(step):
                unlimited += [radius(step_matrix(game, level, tau)) for tau in (0.1, 10.0, 1000.0)]
                continue
            finite += 1
            below.append(radius(step_matrix(game, level, 0.999 * step)))
            above.append(radius(step_matrix(game, level, 1.001 * step)))
        if finite:
            rows[f"{level}, largest radius - 1 at 0.1 % below"] = 0, max(below) - 1, "below"
            rows[f"{level}, smallest radius - 1 at 0.1 % above"] = 0, min(above) - 1, "above"
        if finite < len(drawn):
            rows[f"{level}, where every step is stable"] = 1, max(unlimited), "below"
    known = [largest_stable_step(level, 2, 0.3, 0.5) for level in FIVE[:4]]
    rows["s = 2, dampings 0.3 and 0.5"] = [0.1927710843, 0.832467, 0.2077922078, 1.248051], known, 1e-6
    return confront(rows)


@claim(
    "4",
    "Where both energies are linear, proximal steps are gradient steps: `jko` equals `explicit` and `jko_sequential` "
    "equals `explicit_sequential`",
    source="derived",
    fast=True,
)
def proximal_is_explicit() -> Evidence:
    rng = np.random.default_rng(4)
    coupling = rng.normal(size=(2, 3))
    start = rng.normal(size=5)
    games: dict[str, Any] = {
        "quadratic game of 2 and 3 numbers": QuadraticGame(
            np.zeros((2, 2)), coupling, np.zeros((3, 3)), -coupling.T, rng.normal(size=2), rng.normal(size=3),
            0.7, 1.6, start,
        ),
        "Dirac-GAN": DiracGAN(generator_lr=0.7, discriminator_lr=1.6, initial=(0.8, -0.3)),
        "clipped GAN": ClippedGAN(0.5, 0.7, 1.6, initial=(0.8, -0.3, 0.1, 0.4)),
    }  # fmt: skip
    rows: dict[str, Any] = {}
    for name, game in games.items():
        differences = {}
        for ending in ("", "_sequential"):
            runs = [simulate(game, f"{rule}{ending}", step_size=0.02, iterations=200) for rule in ("explicit", "jko")]
            differences[f"jko{ending}"] = float(np.max(apart(game, *runs)))
        rows[name] = 0, differences, 1e-12
    return confront(rows)


@claim(
    "22",
    "k discriminator steps per generator step approach the flow with discriminator_lr k times as large, to first "
    "order; minibatches leave it by a noise that shrinks with the root of the step size",
    source="derived",
    fast=True,
)
def several_steps_and_minibatches() -> Evidence:
    rows: dict[str, Any] = {}
    dirac = DiracGAN("saturating", 0.3, initial=(1.0, 0.5))
    games: dict[str, Any] = {"Dirac-GAN": dirac, "kernel GAN": kernel_game()}
    for name, game in games.items():
        for count in (2, 5):
            faster = game.replace(discriminator_lr=count * game.discriminator_lr)
            flow = simulate(faster, "flow", save_at=np.linspace(0, 2, 6), tolerance=1e-12)
            orders = {
                level: order_of_convergence(game, level, 0.1, 2.0, flow, discriminator_steps=count)
                for level in FIVE[:-1]
            }
            rows[f"{name}, order with {count} steps"] = FIRST_ORDER[0], orders, FIRST_ORDER[1]
    steps = (0.1, 0.05, 0.025, 0.0125)
    for level in ("explicit", "jko_sequential"):
        errors = [_minibatch_error(level, step) for step in steps]
        slope = float(np.polyfit(np.log(steps), np.log(errors), 1)[0])
        rows[f"minibatches of 2, exponent of the root mean square, {level}"] = 0.5, slope, 0.1
    return confront(rows)


def _minibatch_error(level: str, step_size: float) -> float:
    """Root mean square distance of minibatch runs from the flow at time 1, both players together."""
    game = kernel_game()
    flow = simulate(game, "flow", save_at=[0, 1])
    runs = simulate(game, level, step_size=step_size, save_at=[0, 1], batch=2, replicas=300, seed=22)
    x, a = runs.generated_points.values[:, -1, :, 0], runs.discriminator.values[:, -1]
    squares = np.mean((x - flow.generated_points.values[-1, :, 0]) ** 2, axis=1)
    squares += np.sum((a - flow.discriminator.values[-1]) ** 2, axis=1)
    return float(np.sqrt(np.mean(squares)))
