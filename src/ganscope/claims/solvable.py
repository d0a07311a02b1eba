r"""Claims of the solvable model about its phases: which end the parameters select in the limit of infinite dimension.

Claims about fixed points stand in `solvable_points`, about finite dimension in `solvable_finite`, about real data in
`solvable_data`.
"""

import math
from typing import Any

import numpy as np

from ganscope.claims.claim import Evidence, claims_of
from ganscope.claims.confrontation import largest
from ganscope.claims.solvable_settings import (
    Array,
    within,
)
from ganscope.core.simulate import classify, predict, simulate, simulate_many
from ganscope.games.solvable import phases
from ganscope.games.solvable.model import SolvableGAN
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
    on_the_way = {
        k: np.concatenate([run.P.values.reshape(2, -1), run.q.values, run.r.values], axis=1)
        for k, run in before.items()
    }
    numbers: dict[str, tuple[list[Any], Any, float]] = {
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
            on_the_way[1],
            1e-4,
        ),
        "noise 4: P, q, r at 50 and 100": (
            [
                [0.329557, 0.002480, 0.001645, 0.100291, 0.468472, -0.000519, 0.087468, 0.000751],
                [0.684295, 0.004329, 0.000577, 0.100287, 0.238920, -0.000926, 0.109124, 0.000655],
            ],
            on_the_way[3],
            1e-4,
        ),
        "noise 2: recovery of the chain": ([0.945, 0.927], late[1].recovery.mean(("time", "replica")).values, 0.03),
        "noise 4: recovery of the chain": ([0.751, 0.119], late[3].recovery.mean(("time", "replica")).values, 0.03),
        "noise 1: rms q of the chain": ([0.39, 0.12], np.sqrt((late[0].q ** 2).mean(("time", "replica")).values), 0.05),
    }
    found: dict[str, dict[str, Any]] = {
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
