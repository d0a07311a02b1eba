"""Claims of the dual flows about pairs of runs: how two flows approach each other, and a scheme its flow."""

from collections import Counter
from typing import Any

import numpy as np
import xarray as xr
from scipy.linalg import eigh, expm

from ganscope.claims.claim import Evidence, claims_of
from ganscope.claims.confrontation import confront
from ganscope.claims.dualflow_settings import (
    Array,
    apart,
    game_of,
    normal_points,
    radius,
    random_games,
    scalar_game,
)
from ganscope.core.simulate import simulate, simulate_many
from ganscope.games.dualflow.collapse.local_modes import gaussian_constants
from ganscope.games.dualflow.feature.model import FeatureGAN
from ganscope.games.dualflow.quadratic.model import QuadraticGame, saddle_gap
from ganscope.games.dualflow.theory.rates import (
    comparison_matrix,
    comparison_rate,
    scheme_contraction,
    scheme_error_bound,
    zero_sum_rate,
)

claim = claims_of("dualflow")


@claim(
    "5",
    "Distances of two flows of a game are bounded, player by player, by the exponential of the comparison matrix, for "
    "energies of any convexity",
    source="derived",
    fast=True,
)
def comparison_theorem() -> Evidence:
    rng = np.random.default_rng(5)
    count, times = 200, np.linspace(0, 3, 31)
    excess, closest = [], np.inf
    drawn = random_games(rng, count, (-0.5, 2.0))
    game = game_of(drawn, 0)
    runs = [
        simulate_many(game, {**drawn, "initial": drawn["initial"] + shift}, "flow", save_at=times)
        for shift in (np.zeros((count, 5)), rng.normal(size=(count, 5)))
    ]
    moved = [runs[1][name].values - runs[0][name].values for name in ("generator", "discriminator")]
    distances = np.stack([np.linalg.norm(m, axis=-1) for m in moved], axis=-1)
    for cell in range(count):
        one = game_of(drawn, cell)
        matrix = comparison_matrix(*one.constants(), one.generator_lr, one.discriminator_lr)
        bound = np.einsum("tij,j->ti", expm(times[:, None, None] * matrix), distances[cell, 0])
        excess.append(float(np.max(distances[cell] - bound)))
        closest = min(closest, float(np.min(bound[1:] / distances[cell, 1:])))
    # in games of two numbers whose signs conspire, the distances are the bound itself
    lam1, lam2, l12, l21, eta1, eta2 = 0.4, -0.2, 0.9, 0.5, 0.7, 1.6
    sharp = QuadraticGame(lam1, -l12, lam2, -l21, generator_lr=eta1, discriminator_lr=eta2)
    path = simulate_many(sharp, {"initial": [[0.0, 0.0], [1.0, 0.3]]}, "flow", save_at=times)
    seen = np.stack([np.ptp(path[name].values[..., 0], axis=0) for name in ("generator", "discriminator")], axis=1)
    wanted = expm(times[:, None, None] * comparison_matrix(lam1, lam2, l12, l21, eta1, eta2)) @ seen[0]
    return confront(
        {
            "largest excess over the bound, 200 games": (1e-10, max(excess), "at most"),
            "smallest bound over distance": (1, closest, "at least"),
            "games whose distances are the bound": (0, float(np.max(np.abs(seen - wanted))), 1e-9),
        }
    )


@claim(
    "6",
    "Flows contract exactly if the product of the convexities exceeds that of the couplings, both energies being "
    "convex; then `jko` and `jko_sequential` contract at every step size, otherwise at none",
    source="derived",
    fast=True,
)
def small_gain_decides() -> Evidence:
    rng = np.random.default_rng(6)
    count, steps = 500, (0.03, 0.3, 3.0, 30.0)
    exceptions: Counter[str] = Counter()
    contracting = 0
    for step in steps:
        lam = rng.uniform(-0.5, 2.0, (2, count))
        lipschitz = rng.uniform(0.0, 2.0, (2, count))
        eta = rng.uniform(0.1, 3.0, (2, count))
        gain = (lam[0] > 0) & (lam[1] > 0) & (lam[0] * lam[1] > lipschitz[0] * lipschitz[1])
        contracting += int(np.sum(gain))
        exceptions["flow, theory"] += int(np.sum((comparison_rate(*lam, *lipschitz, *eta) < 0) != gain))
        # the game whose flow is the comparison itself
        games = {"A1": lam[0], "B1": -lipschitz[0], "A2": lam[1], "B2": -lipschitz[1]}
        games |= {"generator_lr": eta[0], "discriminator_lr": eta[1]}
        both = {name: np.repeat(values, 2) for name, values in games.items()}
        both["initial"] = np.tile(np.eye(2), (count, 1))
        for level in ("flow", "jko", "jko_sequential"):
            when: dict[str, Any] = {"save_at": [step]}
            if level != "flow":
                when = {"step_size": step, "iterations": 1, "save_at": [1]}
                factor = scheme_contraction(level, step, *lam, *lipschitz, *eta)
                exceptions[f"{level}, theory"] += int(np.sum((factor < 1) != gain))
            run = simulate_many(scalar_game(1.0), both, level, **when)
            ends = [run[name].values.reshape(count, 2) for name in ("generator", "discriminator")]
            exceptions[level] += int(np.sum((radius(np.stack(ends, axis=1)) < 1) != gain))
    return confront(
        {
            "games that contract, of 2000": (100, contracting, "at least"),
            "exceptions": (0, dict(exceptions), "exact"),
        }
    )


@claim(
    "7",
    "A kernel GAN with enough ridge forgets its start at the rate of its constants, whatever the coupling of its "
    "players",
    source="derived",
    fast=True,
)
def ridge_contracts() -> Evidence:
    eta, times = (1.0, 2.0), np.linspace(0, 6, 121)
    real = normal_points(32, 0.5, 0.7)
    game = FeatureGAN(
        real, normal_points(32, 2.0, 0.3), bandwidth=2.0, half_period=16.0, ridge=1.0, generator_lr=eta[0],
        discriminator_lr=eta[1],
    )  # fmt: skip
    assert game.map is not None
    other = game.replace(
        generated_points=normal_points(32, -1.0, 1.2),
        initial_discriminator=-0.3 * game.map.values(np.ones((1, 1)))[0],
    )
    runs = [simulate(g, "flow", save_at=times) for g in (game, other)]
    distance = apart(game, *runs)
    v = distance[:, 0] ** 2 / eta[0] + distance[:, 1] ** 2 / eta[1]
    largest = max(float(np.max(np.linalg.norm(game.states(run)[1], axis=1))) for run in runs)
    rows: dict[str, Any] = {}
    for name, size in (("before the run", None), ("from the largest discriminator seen", largest)):
        rate = gaussian_constants(2.0, 1.0, 1.0, size, *eta, initial_discriminator=0.3).rate
        share = float(np.max(v / (v[0] * np.exp(-2 * rate * times))))
        rows[f"V over its bound, constants {name}"] = 1 + 1e-12, share, "at most"
        rows[f"decay exponent of V, bound {name}"] = 2 * rate, float(np.log(v[0] / v[-1]) / times[-1]), "at least"
    rows["decay exponent of V"] = 2.3254, float(np.log(v[0] / v[-1]) / times[-1]), 1e-3
    rows["largest discriminator"] = 0.3426, largest, 1e-3
    return confront(rows)


@claim(
    "8",
    "The error of `jko` and `jko_sequential` stays under its bound at every step, and the bound halves with the step "
    "size",
    source="derived",
    fast=True,
)
def error_bound() -> Evidence:
    known = QuadraticGame(1.0, 0.8, 1.5, -0.8, initial=(2.0, -1.0))
    rng = np.random.default_rng(8)
    # convexity 2 to 3 beats couplings of norm 1
    drawn = random_games(rng, 10, (2.0, 3.0))
    for name in ("B1", "B2"):
        drawn[name] /= np.linalg.norm(drawn[name], ord=2, axis=(1, 2))[:, None, None]
    rows: dict[str, Any] = {}
    for level, errors, bounds in (
        ("jko", [0.07065, 0.03733], [0.9072, 0.7440]),
        ("jko_sequential", [0.08403, 0.05086], [0.8051, 0.6164]),
    ):
        seen, bound, shares = _errors_and_bounds(known, level, 0.1, 100)
        rows[f"{level}, largest errors of both players"] = errors, seen, [0.005 * e for e in errors]
        rows[f"{level}, their bounds"] = bounds, bound, [0.005 * e for e in bounds]
        halves = [np.divide(bound, _errors_and_bounds(known, level, tau, 1)[1]) for tau in (0.05, 0.025)]
        rows[f"{level}, bound over that of half and quarter steps"] = [2, 2, 4, 4], np.concatenate(halves), 0.02
        shares += [s for cell in range(10) for s in _errors_and_bounds(game_of(drawn, cell), level, 0.1, 40)[2]]
        rows[f"{level}, largest error over its bound, any step, 11 games"] = 1, max(shares), "at most"
    return confront(rows)


def _errors_and_bounds(
    game: QuadraticGame, level: str, step_size: float, steps: int
) -> tuple[list[float], list[float], list[float]]:
    """Largest errors of both players, their uniform bounds, and errors over the bounds for every number of steps."""
    times = step_size * np.arange(steps + 1)
    flow = simulate(game, "flow", save_at=times)
    run = simulate(game, level, step_size=step_size, iterations=steps, save_at=range(steps + 1))
    errors = apart(game, run, flow)[1:]
    shares = []
    for n, error in enumerate(errors, start=1):
        found = scheme_error_bound(game, level, step_size, n * step_size)
        shares += [error[0] / found.generator, error[1] / found.discriminator]
    uniform = scheme_error_bound(game, level, step_size, max(10.0, times[-1])).uniform
    assert uniform is not None
    shares += list(np.max(errors, axis=0) / np.array(uniform))
    return np.max(errors, axis=0).tolist(), list(uniform), [float(s) for s in shares]


@claim(
    "27",
    "The Nikaido-Isoda gap of zero-sum quadratic games decays exponentially: it lies between multiples of the squared "
    "distance to equilibrium, and decays at its rate",
    source="extension",
    fast=True,
)
def saddle_gap_decays() -> Evidence:
    count, times = 100, np.linspace(0, 5, 51)
    drawn = random_games(np.random.default_rng(27), count, (0.2, 2.0))
    drawn["B2"] = -np.swapaxes(drawn["B1"], 1, 2)
    runs = simulate_many(game_of(drawn, 0), drawn, "flow", save_at=times)
    direct, low, high, decay = [], [], [], []
    for cell in range(count):
        game, run = game_of(drawn, cell), runs.isel(cell=cell)
        gap = np.asarray(saddle_gap(game, run.generator.values, run.discriminator.values))
        direct.append(float(np.max(np.abs(gap - _best_responses(game, run)) / (1 + gap))))
        a1, a2, b = game.A1, game.A2, game.B1
        form = np.block(
            [
                [a1 + b @ np.linalg.solve(a2, b.T), np.zeros((2, 3))],
                [np.zeros((3, 2)), a2 + b.T @ np.linalg.solve(a1, b)],
            ]
        )
        speeds = np.repeat([game.generator_lr, game.discriminator_lr], (2, 3))
        ends = eigh(form / 2, np.diag(1 / speeds), eigvals_only=True)[[0, -1]]
        equilibrium = game.equilibrium()
        v = np.sum((run.generator.values - equilibrium.generator) ** 2, axis=1) / game.generator_lr
        v += np.sum((run.discriminator.values - equilibrium.discriminator) ** 2, axis=1) / game.discriminator_lr
        low.append(float(np.min(gap / v) / ends[0]))
        high.append(float(np.max(gap / v) / ends[1]))
        constants = game.constants()
        rate = zero_sum_rate(constants[0], constants[1], game.generator_lr, game.discriminator_lr)
        decay.append(float(np.max(gap / gap[0] * np.exp(2 * rate * times)) * ends[0] / ends[1]))
    return confront(
        {
            "gap, from best responses of both players": (0, max(direct), 1e-9),
            "smallest gap over c_lo V": (1 - 1e-6, min(low), "at least"),
            "largest gap over c_hi V": (1 + 1e-6, max(high), "at most"),
            "largest gap over its exponential bound": (1 + 1e-6, max(decay), "at most"),
        }
    )


def _best_responses(game: QuadraticGame, run: xr.Dataset) -> Array:
    """max over y of U(x, y) minus min over x of U(x, y) along a run, by solving for the best responses."""
    x, y = run.generator.values, run.discriminator.values

    def value(x: Array, y: Array) -> Any:
        own = np.einsum("ti,ij,tj->t", x, game.A1, x) / 2 + x @ game.c1 + np.einsum("ti,ij,tj->t", x, game.B1, y)
        return own - np.einsum("ti,ij,tj->t", y, game.A2, y) / 2 - y @ game.c2

    best_y = np.linalg.solve(game.A2, (x @ game.B1 - game.c2).T).T
    best_x = np.linalg.solve(game.A1, -(y @ game.B1.T + game.c1).T).T
    return np.asarray(value(x, best_y) - value(best_x, y))
