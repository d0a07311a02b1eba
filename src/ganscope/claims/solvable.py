r"""Claims of the solvable model about the limit of infinite dimension: phases, thresholds and fixed points.

Claims about runs of finite dimension stand in `solvable_finite`, those about real data in `solvable_data`.
"""

import math
from typing import Any

import numpy as np

from ganscope.analysis.linearisation import jacobian
from ganscope.claims.claim import Evidence, claims_of
from ganscope.claims.solvable_settings import Array, largest, within
from ganscope.core.errors import ParameterError
from ganscope.core.simulate import classify, predict, simulate, simulate_many, spectrum
from ganscope.games.solvable import phases
from ganscope.games.solvable.drift import drift
from ganscope.games.solvable.model import SolvableGAN
from ganscope.games.solvable.silence import quadratic_silence, silent_matrix, stationary_length
from ganscope.games.solvable.state import MacroState
from ganscope.games.solvable.verdict import labels

claim = claims_of("solvable")


@claim(
    "S5",
    "Moderate noise ends in success, weaker noise oscillates, stronger noise drops the weak feature, then both: "
    "two features (5, 3), prediction, ODE (time 400) and chain (dimension 1000, time 200) alike",
    source="paper",
    fast=True,
)
def regimes() -> Evidence:
    noises = (1, 2, 3, 4, 5)
    names = ("oscillating", "success/silent", "success/silent", "mode_collapse", "no_learning")
    games = [SolvableGAN(data_noise=noise) for noise in noises]
    runs = [simulate(game, "ode", horizon=400) for game in games]
    chains = {k: simulate(games[k], "chain", dimension=1000, horizon=200, replicas=3) for k in (0, 1, 3)}
    late = {k: run.isel(time=slice(150, None)) for k, run in chains.items()}
    before = {k: simulate(games[k], "ode", save_at=[50, 100]) for k in (1, 3)}
    on_the_way = {k: np.stack([run.P.values[:, i, j] for i, j in _ENTRIES], -1) for k, run in before.items()}
    numbers: dict[str, tuple[Any, Any, float]] = {
        "noise 2: P at 400": ([0.939365, 0.021443, -0.016468, 0.921388], runs[1].P.values[-1].ravel(), 1e-4),
        "noise 4: P at 400": ([0.745171, 0.004647, 0.000037, 0.100285], runs[3].P.values[-1].ravel(), 1e-4),
        "noise 3: recovery at 400": ([0.892, 0.777], runs[2].recovery.values[-1], 1e-3),
        "noise 5: recovery at 400": ([0.105, 0.100], runs[4].recovery.values[-1], 1e-3),
        "noise 1: largest |q| over 300..400": ([0.531, 0.538], np.abs(runs[0].q.values[150:]).max(0), 2e-3),
        "noise 2: P, q, r at 50 and 100": (
            [
                [0.937642, 0.023461, -0.049239, 0.102085, 0.013060, -0.384831, 0.083005, -0.021518],
                [0.939428, 0.025499, -0.010543, 0.588357, -0.003982, -0.699868, 0.001913, -0.247624],
            ],
            np.concatenate([on_the_way[1], before[1].q.values, before[1].r.values], axis=1),
            1e-4,
        ),
        "noise 4: P, q, r at 50 and 100": (
            [
                [0.329557, 0.002480, 0.001645, 0.100291, 0.468472, -0.000519, 0.087468, 0.000751],
                [0.684295, 0.004329, 0.000577, 0.100287, 0.238920, -0.000926, 0.109124, 0.000655],
            ],
            np.concatenate([on_the_way[3], before[3].q.values, before[3].r.values], axis=1),
            1e-4,
        ),
        "noise 2: recovery of the chain": ([0.945, 0.927], late[1].recovery.mean(("time", "replica")).values, 0.03),
        "noise 4: recovery of the chain": ([0.751, 0.119], late[3].recovery.mean(("time", "replica")).values, 0.03),
        "noise 1: rms q of the chain": ([0.39, 0.12], np.sqrt((late[0].q ** 2).mean(("time", "replica")).values), 0.05),
    }
    found = {
        "prediction": {str(noise): predict(game).detail for noise, game in zip(noises, games, strict=True)},
        "ode": {str(noise): classify(run).detail for noise, run in zip(noises, runs, strict=True)},
        "chain": {
            str(noises[k]): [classify(run.isel(replica=i)).detail for i in range(3)] for k, run in chains.items()
        },
    }
    label_of = {str(noise): name for noise, name in zip(noises, names, strict=True)}
    wanted = {"prediction": label_of, "ode": label_of, "chain": {n: [label_of[n]] * 3 for n in found["chain"]}}
    passed = found == wanted and all(within(value, aim, tolerance) for aim, value, tolerance in numbers.values())
    return (
        {**wanted, **{name: aim for name, (aim, _, _) in numbers.items()}},
        {**found, **{name: value for name, (_, value, _) in numbers.items()}},
        {"labels": "exact", **{name: tolerance for name, (_, _, tolerance) in numbers.items()}},
        passed,
    )


_ENTRIES = [(0, 0), (0, 1), (1, 0), (1, 1)]


@claim(
    "S5one",
    "One feature of strength 5 oscillates up to noise 1.5 and settles from 1.6 on (upper threshold 5.12), at overlaps "
    "that fall with the noise; very weak noise ends in active recovery",
    source="derived",
    fast=True,
)
def one_feature() -> Evidence:
    noises = np.array([0.2, 0.4, 0.5, 0.75, 1.0, 1.5, 1.6, 2.0, 3.0, 4.0, 5.1])
    names = ["success/active"] * 2 + ["oscillating"] * 4 + ["success/silent"] * 4 + ["no_learning"]
    game = SolvableGAN((5.0,))
    runs = simulate_many(game, {"data_noise": noises}, "ode", save_at=np.linspace(0, 3000, 30001))
    found = [classify(runs.isel(cell=k)).detail for k in range(len(noises))]
    orbit = runs.isel(cell=4, time=slice(-5000, None))
    P, q = orbit.P.values[:, 0, 0], orbit.q.values[:, 0]
    active = runs.isel(cell=0, time=-1)
    expected = {
        "labels": dict(zip(map(str, noises), names, strict=True)),
        "end of P at noise 2, 3, 4, 5.1": [0.940, 0.892, 0.745, 0.101],
        "P, q, r at noise 0.2": [0.9792, 0.8725, 0.8911],
        "period at noise 1": 23.2,
        "largest |q|, smallest and largest P at noise 1": [0.568, 0.926, 0.973],
        "active recovery is stable at noise 0.5, where this start oscillates": True,
    }
    measured = {
        "labels": dict(zip(map(str, noises), found, strict=True)),
        "end of P at noise 2, 3, 4, 5.1": runs.P.values[-4:, -1, 0, 0],
        "P, q, r at noise 0.2": np.abs([active.P.item(), active.q.item(), active.r.item()]),
        "period at noise 1": _period(orbit.time.values, q),
        "largest |q|, smallest and largest P at noise 1": [largest(q), P.min(), P.max()],
        "active recovery is stable at noise 0.5, where this start oscillates": bool(
            phases.active_recovery_attracts(5.0, 0.5, 0.5, game.discriminator_lr, game.generator_lr)
        ),
    }
    tolerances = (1e-3, 1e-4, 0.05, 1e-3)
    tolerance = {"labels": "exact", **dict(zip(list(expected)[1:5], tolerances, strict=True))}
    exact = [name for name in expected if name not in list(tolerance)[1:]]
    close = [within(measured[name], expected[name], tolerance[name]) for name in list(tolerance)[1:]]
    return expected, measured, tolerance, all(close) and all(measured[name] == expected[name] for name in exact)


def _period(times: Array, signal: Array) -> float:
    """Mean time between upward zero crossings."""
    up = np.flatnonzero((signal[:-1] < 0) & (signal[1:] >= 0))
    share = signal[up] / (signal[up] - signal[up + 1])
    return float(np.mean(np.diff(times[up] + share * (times[up + 1] - times[up]))))


# Rows: learning rate of the generator over the discriminator's; columns: noise. O oscillating, S success with a silent
# discriminator, A success with an active one, N nothing learned, p partial; * near a boundary, where both O and A
# attract.
_MAP_RATIOS = (0.05, 0.1, 0.2, 0.5, 1.0)
_MAP_NOISES = (0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)
_MAP = ("A*OOSSSSSN", "AAOOOSSSSN", "AA*OOOSSSN", "AAAAAOOSSN", "AAAAAAOOpN")
_LETTERS = {"success/silent": "S", "success/active": "A", "oscillating": "O", "no_learning": "N", "partial": "p"}


@claim(
    "S5map",
    "Phases of one feature (strength 5, discriminator_lr 0.2, start 0.1) over noise and the ratio of learning rates",
    source="derived",
    fast=True,
)
def phase_map() -> Evidence:
    ratios, noises = (axis.ravel() for axis in np.meshgrid(_MAP_RATIOS, _MAP_NOISES, indexing="ij"))
    over = {"generator_lr": 0.2 * ratios, "data_noise": noises}
    runs = simulate_many(SolvableGAN((5.0,)), over, "ode", save_at=np.linspace(0, 1600, 1601))
    signal = runs.q.values / np.sqrt(runs.z.values)[..., None]
    lengths = np.stack([runs.z.values, runs.S.values[..., 0, 0]], axis=-1)
    judged = labels(runs.time.values, runs.recovery.values, signal, lengths)
    letters = [_LETTERS.get(str(detail), "?") for detail in judged.detail]
    rows = ["".join(letters[k : k + len(_MAP_NOISES)]) for k in range(0, len(letters), len(_MAP_NOISES))]
    pairs = zip("".join(rows), "".join(_MAP), strict=True)
    passed = all(found == wanted or (wanted == "*" and found in "OA") for found, wanted in pairs)
    names = [f"ratio {ratio}" for ratio in _MAP_RATIOS]
    return (
        {"noise": list(_MAP_NOISES), **dict(zip(names, _MAP, strict=True))},
        dict(zip(names, rows, strict=True)),
        "exact; * is O or A",
        passed,
    )


@claim(
    "S6",
    "Only data_noise^2 + generator_noise^2 matters for the thresholds: features (5, 3), time 600",
    source="derived",
    fast=True,
)
def noise_level() -> Evidence:
    wanted = {(3.0, 1.0): "success/silent", (0.0, 4.0): "success/silent"}
    wanted |= {(2.0, 0.0): "oscillating", (0.0, 2.0): "oscillating", (1.0, math.sqrt(3)): "oscillating"}
    games = {pair: SolvableGAN(data_noise=pair[0], generator_noise=pair[1]) for pair in wanted}
    found = {pair: classify(simulate(game, "ode", horizon=600)).detail for pair, game in games.items()}
    predicted = {pair: predict(game).detail for pair, game in games.items()}
    windows = [predict(games[pair]).thresholds for pair in ((2.0, 0.0), (0.0, 2.0), (1.0, math.sqrt(3)))]
    spread = max(np.ptp([w[name][0] for w in windows]) for name in ("lower", "upper"))
    names = {pair: f"noise {pair[0]:.4g} and {pair[1]:.4g}" for pair in wanted}
    return (
        {**{names[pair]: wanted[pair] for pair in wanted}, "difference of thresholds at equal level": 0.0},
        {
            **{names[pair]: {"run": found[pair], "prediction": predicted[pair]} for pair in wanted},
            "difference of thresholds at equal level": float(spread),
        },
        {"labels": "exact", "difference": 1e-12},
        found == predicted == wanted and bool(spread <= 1e-12),
    )


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
    "S9",
    "When both learning rates go to zero together, noise has no influence and every run oscillates",
    source="derived",
    fast=True,
)
def small_rates() -> Evidence:
    factors = (1.0, 0.5, 0.25, 0.1, 0.02)
    found = {}
    for factor in factors:
        game = SolvableGAN(discriminator_lr=0.2 * factor, generator_lr=0.04 * factor)
        found[f"rates x {factor:g}"] = classify(simulate(game, "ode", horizon=400 / factor)).detail
    limit = simulate(SolvableGAN(data_noise=2.0), "ode", small_rate_limit=True)
    found["limit"] = classify(limit).detail
    first = limit.time.values[:51]
    others = [simulate(SolvableGAN(data_noise=x), "ode", save_at=first, small_rate_limit=True) for x in (0.5, 6.0)]
    difference = max(largest(run.P.values - limit.P.values[:51]) for run in others)
    wanted = dict.fromkeys(found, "oscillating") | {"rates x 1": "success/silent"}
    return (
        {**wanted, "difference of P up to 100 in the limit, noise 2, 0.5, 6": 0.0},
        {**found, "difference of P up to 100 in the limit, noise 2, 0.5, 6": difference},
        {"labels": "exact", "difference": 1e-6},
        found == wanted and difference <= 1e-6,
    )


@claim(
    "S13",
    "The point where the discriminator holds the feature and the generator knows nothing is a saddle: strength 5, noise 2",
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
