r"""Claims of the solvable model about its fixed points: where they lie, and which of them attract."""

from typing import Any

import numpy as np

from ganscope.analysis.linearisation import jacobian
from ganscope.claims.claim import Evidence, claims_of
from ganscope.claims.confrontation import largest
from ganscope.claims.solvable_settings import (
    Array,
    within,
)
from ganscope.core.errors import ParameterError
from ganscope.core.simulate import classify, predict, simulate, simulate_many, spectrum
from ganscope.games.solvable import phases
from ganscope.games.solvable.drift import drift
from ganscope.games.solvable.model import SolvableGAN
from ganscope.games.solvable.silence import quadratic_silence, silent_matrix, stationary_length
from ganscope.games.solvable.state import MacroState

claim = claims_of("solvable")


@claim(
    "S7",
    "The linearisation about a silent state has an eigenvalue 0 exactly at the critical overlap; above it the state is "
    "stable, below it one eigenvalue is positive",
    source="derived",
    fast=True,
)
def critical_overlap() -> Evidence:
    games = [
        SolvableGAN(),
        SolvableGAN(data_noise=3.0),
        SolvableGAN(data_noise=3.0, generator_noise=1.0),
        SolvableGAN((4.0, 3.0, 2.5), data_noise=2.5, generator_lr=0.06),
        SolvableGAN((6.0, 4.5), data_noise=3.2, discriminator_lr=0.25, generator_lr=0.2),
    ]
    zero, error, above, below, positive = 0.0, 0.0, [], [], []
    for game in games:
        p = _critical(game)
        values = np.linalg.eigvals(silent_matrix(game, np.diag(p)))
        zero = max(zero, float(np.sort(np.abs(values))[: len(p)].max()))
        error = max(error, _matrix_error(game, np.diag(p)))
        above.append(float(np.linalg.eigvals(silent_matrix(game, np.diag(p + 1e-3))).real.max()))
        for i in range(len(p)):
            lowered = p + 1e-3 * np.where(np.arange(len(p)) == i, -1.0, 1.0)
            growth = np.linalg.eigvals(silent_matrix(game, np.diag(lowered))).real
            below.append(float(growth.max()))
            positive.append(int(np.sum(growth > 0)))
    measured = {
        "critical overlap at noise 2": _critical(games[0]),
        "largest |eigenvalue| that should be 0": zero,
        "difference from the Jacobian of the ODE": error,
        "largest growth 0.001 above": max(above),
        "smallest growth 0.001 below": min(below),
        "positive eigenvalues below": sorted(set(positive)),
    }
    expected = {
        "critical overlap at noise 2": [0.897998, 0.884433],
        "largest |eigenvalue| that should be 0": 0.0,
        "difference from the Jacobian of the ODE": 0.0,
        "largest growth 0.001 above": "negative",
        "smallest growth 0.001 below": "positive",
        "positive eigenvalues below": [1],
    }
    passed = (
        within(_critical(games[0]), [0.897998, 0.884433], 1e-6)
        and zero < 1e-9
        and error < 1e-9
        and max(above) < 0 < min(below)
        and set(positive) == {1}
    )
    return expected, measured, {"critical overlap": 1e-6, "eigenvalue": 1e-9, "difference": 1e-9}, passed


def _critical(game: SolvableGAN) -> Array:
    about = quadratic_silence(game.data_noise, game.generator_noise, game.discriminator_lr, game.generator_lr)
    return phases.critical_overlap(game.feature_variance, about)


def _matrix_error(game: SolvableGAN, P: Array) -> float:
    """Largest difference between the silent-state matrix and the slopes of the ODE's own right-hand side."""
    state = MacroState(P, np.zeros(game.features)).vector()
    block = slice(game.layout.q, game.layout.S)
    return largest(jacobian(lambda x: drift(game, x), state)[block, block] - silent_matrix(game, P))


@claim(
    "S8",
    "A slower generator ends at a larger overlap, up to a limit below 1: strength 5, noise 3, time 40 / generator_lr",
    source="derived",
    fast=True,
)
def slow_generator() -> Evidence:
    rates = (0.08, 0.04, 0.02, 0.01, 0.005, 0.0025)
    expected = [0.8561, 0.8923, 0.9120, 0.9223, 0.9276, 0.9303]
    games = [SolvableGAN((5.0,), data_noise=3.0, generator_lr=rate) for rate in rates]
    ends = [simulate(game, "ode", save_at=[40 / game.generator_lr]).P.item() for game in games]
    limit = float(phases.slow_overlap(5.0, quadratic_silence(3.0, 3.0, 0.2, 0.04)))
    between = all(_critical(game)[0] < end < limit for game, end in zip(games, ends, strict=True))
    names = [f"generator_lr {rate:g}" for rate in rates]
    return (
        {**dict(zip(names, expected, strict=True)), "limit": 0.932953, "between critical overlap and limit": True},
        {**dict(zip(names, ends, strict=True)), "limit": limit, "between critical overlap and limit": between},
        {"overlap": 1e-3, "limit": 1e-6},
        within(ends, expected, 1e-3) and within(limit, 0.932953, 1e-6) and between,
    )


@claim(
    "S13",
    "The point where the discriminator holds the feature and the generator knows nothing is a saddle: strength 5, "
    "noise 2",
    source="derived",
    fast=True,
)
def discriminator_wins() -> Evidence:
    game = SolvableGAN((5.0,))
    q = float(phases.discriminator_wins(5.0, 2.0, 2.0, game.discriminator_lr))
    state = MacroState([[0.0]], [q], [0.0])
    values = _moving(game, state)
    speed = largest(game.velocity(state).vector())
    expected = {"q": 0.836660, "eigenvalues": [0.07468, -1.68, -1.87468], "speed": 0.0}
    return (
        expected,
        {"q": q, "eigenvalues": values.real, "speed": speed},
        {"q": 1e-6, "eigenvalues": 1e-4, "speed": 1e-12},
        within(q, 0.836660, 1e-6) and within(values, expected["eigenvalues"], 1e-4) and speed < 1e-12,
    )


def _moving(game: SolvableGAN, state: MacroState) -> Any:
    """Eigenvalues at a state without the zeros of the conserved lengths and of continua, by decreasing real part."""
    values = spectrum(game, at=state).eigenvalues
    return values[np.abs(values) > 1e-5]


@claim(
    "S14",
    "Two states of active recovery; the one that holds the discriminator closer is stable: strength 5, noise 0.5, "
    "generator_lr 0.19",
    source="derived",
    fast=True,
)
def active_recovery() -> Evidence:
    game = SolvableGAN((5.0,), data_noise=0.5, generator_lr=0.19)
    found = phases.active_recovery(5.0, 0.5, 0.5, game.discriminator_lr, game.generator_lr)
    points = np.stack([found.P, found.q, found.r], axis=-1)
    states = [MacroState([[P]], [q], [r]) for P, q, r in points]
    growth = [float(_moving(game, state)[0].real) for state in states]
    speed = max(largest(game.velocity(state).vector()) for state in states)
    expected = [[0.945538, 0.891250, 0.942585], [0.246413, 0.026175, 0.106224]]
    return (
        {"P, q, r": expected, "growth": ["negative", "positive"], "speed": 0.0},
        {"P, q, r": points, "growth": growth, "speed": speed},
        {"P, q, r": 1e-6, "speed": 1e-12},
        within(points, expected, 1e-6) and growth[0] < 0 < growth[1] and speed < 1e-12,
    )


@claim(
    "S15",
    "A feature without a generator column pins the discriminator and ends the oscillation of the others: strengths "
    "(4, 3) and 2 unmodelled, generator_lr 0.05, time 600",
    source="extension",
    fast=True,
)
def pinned() -> Evidence:
    game = SolvableGAN((4.0, 3.0, 2.0), latent_variance=(4.0, 3.0), data_noise=1.2, generator_lr=0.05)
    noises = np.array([0.8, 1.2, 1.6, 2.0])
    runs = simulate_many(game, {"data_noise": noises}, "ode", horizon=600)
    held = phases.discriminator_wins(2.0, noises, noises, game.discriminator_lr)
    q = np.abs(runs.q.values[:, -1])
    movement = float(np.ptp(runs.recovery.values[:, -50:], axis=1).max())
    P = np.diag([0.95, 0.9, 0.0])[:, :2]
    values = _moving(game, MacroState(P, [0.0, 0.0, float(held[1])], [0.0, 0.0]))
    critical = float(phases.pinned_critical_overlap(4.0, 2.0, 1.2, 1.2, 0.2, 0.05))
    pairs = [-0.0543 + 0.1183j, -0.0543 - 0.1183j, -0.0687 + 0.2194j, -0.0687 - 0.2194j]
    expected = {
        "|q| of the unmodelled feature at noise 0.8, 1.2, 1.6, 2": held,
        "|q| of the others": 0.0,
        "movement of recovery over the last quarter": 0.0,
        "eigenvalues at P = (0.95, 0.9), noise 1.2": [*pairs, -0.4625, -0.5414, -0.6848],
        "critical overlap of the strong feature, noise 1.2": 0.8855,
    }
    measured = dict(zip(expected, (q[:, 2], largest(q[:, :2]), movement, values, critical), strict=True))
    tolerances = (1e-3, 1e-3, 1e-3, 1e-4, 1e-4)
    passed = all(within(measured[n], expected[n], t) for n, t in zip(expected, tolerances, strict=True))
    return expected, measured, dict(zip(expected, tolerances, strict=True)), passed


@claim(
    "S16",
    "A soft penalty holds a silent discriminator at a length of its own, or, below a limit, not at all: strength 5, "
    "noise 2; noise 4 at regularization 3",
    source="derived",
    fast=True,
)
def soft_length() -> Evidence:
    expected = {2.0: 1.42365, 5.0: 1.16139, 20.0: 1.04002, 100.0: 1.00800}
    silent = MacroState([[0.1]], [0.0], [0.0])
    game = SolvableGAN((5.0,), regularization=2.0, initial=silent)
    strengths = np.array(list(expected))
    ends = simulate_many(game, {"regularization": strengths}, "ode", save_at=[200.0]).z.values[:, 0]
    closed = [stationary_length(game.replace(regularization=strength)) for strength in expected]
    weak = game.replace(data_noise=4.0, regularization=3.0)
    try:
        refused = f"none: {stationary_length(weak)}"
    except ParameterError as error:
        refused = f"refused: {error.expected.split(':')[0]}"
    fate = {"prediction": str(predict(weak).outcome), "run": str(classify(simulate(weak, "ode")).outcome)}
    wanted = {"closed form": "refused: a number > 3.2", "prediction": "diverged", "run": "diverged"}
    names = [f"length at regularization {strength:g}" for strength in expected]
    found = {"closed form": refused, **fate}
    return (
        {**dict(zip(names, expected.values(), strict=True)), "noise 4, regularization 3": wanted},
        {
            **dict(zip(names, ([a, b] for a, b in zip(closed, ends, strict=True)), strict=True)),
            "noise 4, regularization 3": found,
        },
        {"length": 1e-5, "both by": ["closed form", "ODE at time 200"]},
        within(closed, list(expected.values()), 1e-5)
        and within(ends, list(expected.values()), 1e-5)
        and found == wanted,
    )
