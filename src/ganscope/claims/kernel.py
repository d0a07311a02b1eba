"""Claims of the kernel model about one isolated neighbourhood: its spectrum under every rule.

Boundaries and phases stand in `kernel_phases`, states beyond the linear theory in `kernel_end_states`, sets of several
true points in `kernel_points`, representations of the discriminator in `kernel_representations`, real data in
`kernel_data`.
"""

import itertools
import math
from typing import Any

import numpy as np

from ganscope.analysis.linear_prediction import recurrence_roots
from ganscope.analysis.pairing import largest_distance, pair
from ganscope.claims.claim import Evidence, claims_of
from ganscope.claims.confrontation import confront, largest
from ganscope.claims.kernel_settings import (
    RULES,
    Array,
    Complex,
    momentum_of,
    neighbourhood_game,
    neighbourhood_of,
)
from ganscope.core.simulate import simulate
from ganscope.dynamics.rules import update_map
from ganscope.games.kernel.kernels import RBF, Matern32, Matern52, RationalQuadratic, RBFSum
from ganscope.games.kernel.linearisation import jacobian
from ganscope.games.kernel.model import KernelGAN

claim = claims_of("kernel")


def _moves(game: KernelGAN, rule: str, iterations: int = 10) -> tuple[Array, Array]:
    """Displacement of the centre of mass `[records]`, and from it `[records, points]`, of a simulation."""
    run = simulate(game, "gda", rule=rule, iterations=iterations, momentum=momentum_of(rule))
    points = run.generated_points.values[..., 0]
    mean = points.mean(axis=1)
    return mean, points - mean[:, None]


def _error(found: Complex, wanted: Complex) -> float:
    a, b = pair(found, wanted)
    return float(np.max(np.abs(a - b) / np.abs(b)))


@claim(
    "C1",
    "Multipliers read off a simulation beside the true point are those of the closed form: five rules, one to three "
    "points, too little, equal and too much generated mass",
    source="paper",
    fast=True,
)
def local_spectra() -> Evidence:
    rows: dict[str, Any] = {}
    for rule in RULES:
        mean, relative = [0.0], [0.0]
        for points in (1, 2, 3):
            for generated_mass in (0.4, 0.5, 0.6):
                game = neighbourhood_game(
                    0.5, generated_mass, points, kernel=RBF(0.7), generator_lr=0.5 * points, discriminator_lr=0.6
                )
                wanted = neighbourhood_of(game).families(rule, momentum_of(rule))
                path, others = _moves(game, rule)
                mean.append(_error(recurrence_roots(path, len(wanted["mean"])), wanted["mean"]))
                if points > 1:
                    own = wanted["relative"][: len(wanted["relative"]) // (points - 1)]
                    if generated_mass == 0.5:  # neutral: nothing moves, so only the multiplier 1 shows
                        own = own[[np.argmax(np.abs(own))]]
                    relative.append(_error(recurrence_roots(others, len(own)), own))
        rows[rule] = 0, {"centre of mass": max(mean), "relative motion": max(relative)}, 1e-8
    return confront(rows)


@claim(
    "C6",
    "Under the flow and simultaneous steps the centre of mass oscillates exactly between two bandwidths in closed form",
    source="derived",
    fast=True,
)
def oscillation_band() -> Evidence:
    at_edges, sides = [0.0], []
    for p, q, points, strength, lr in ((1.0, 0.8, 1, 1.0, 0.5), (0.3, 0.45, 2, 0.6, 1.5), (0.5, 0.5, 3, 2.0, 0.3)):
        given = {"regularization": strength, "generator_lr": lr}
        low, high = neighbourhood_of(neighbourhood_game(p, q, points, **given)).oscillation_band()
        for edge, inwards in ((low, 1.001), (high, 0.999)):
            if edge == 0:  # equal masses oscillate under arbitrarily narrow kernels
                continue
            at_edges.append(_discriminant(neighbourhood_game(p, q, points, kernel=RBF(edge), **given)))
            inside = _discriminant(neighbourhood_game(p, q, points, kernel=RBF(edge * inwards), **given))
            outside = _discriminant(neighbourhood_game(p, q, points, kernel=RBF(edge / inwards), **given))
            sides.append(inside < 0 < outside)
    return confront(
        {
            "largest discriminant at the edges, of the squared trace": (0, largest(at_edges), 1e-9),
            "edges where it changes sign, from real outside to complex inside": (5, sum(sides), "exact"),
        }
    )


def _discriminant(game: KernelGAN) -> float:
    """Discriminant of the centre of mass over its squared trace, from the Jacobian of the points."""
    count = len(game.generated_points)
    matrix = jacobian(game, np.zeros((count, 1))).reshape(2, count, 2, count).sum(axis=(1, 3)) / count
    trace = np.trace(matrix)
    return float(1 - 4 * np.linalg.det(matrix) / trace**2)


@claim(
    "C11",
    "Only the curvature of a kernel matters in an isolated neighbourhood: five kernels of equal curvature have one "
    "spectrum",
    source="derived",
    fast=True,
)
def only_curvature() -> Evidence:
    gamma, weights, widths = 2.0, np.array([0.3, 0.7]), np.array([0.5, 1.5])
    widths = widths * math.sqrt(float(weights @ widths**-2.0) / gamma)
    kernels = (
        RBF(gamma**-0.5),
        RationalQuadratic(gamma**-0.5, 0.7),
        RBFSum(tuple(widths), tuple(weights)),
        Matern52(math.sqrt(5 / (3 * gamma))),
        Matern32(math.sqrt(3 / gamma)),
    )
    rows: dict[str, Any] = {}
    for kernel in kernels:
        exact, seen = [], []
        for points, q in ((1, 0.5), (2, 0.4), (1, 0.6)):
            game = neighbourhood_game(0.5, q, points, kernel=kernel, generator_lr=1.5 * points)
            known = neighbourhood_of(game, curvature=gamma)
            u = known.families("simultaneous")
            wanted = np.concatenate([np.tile(u["discriminator"], points - 1), u["relative"], u["mean"]])
            matrix = update_map(jacobian(game, np.zeros((points, 1))), points, "simultaneous")
            exact.append(largest_distance(np.linalg.eigvals(matrix), wanted))
            seen.append(_error(recurrence_roots(_moves(game, "simultaneous")[0], 2), u["mean"]))
        name = type(kernel).__name__
        rows[f"{name}, Jacobian"] = 0, max(exact), 1e-10
        # The third derivatives of this kernel jump at 0: its error is that of the displacement, not of its square.
        rows[f"{name}, simulation"] = 0, max(seen), 1e-6 if name == "Matern32" else 1e-9
    return confront(rows)


@claim(
    "C15",
    "Without regularization, equal masses: simultaneous steps diverge, alternating ones stay neutral, extragradient "
    "converges for sqrt(P) < 1, optimistic steps for sqrt(P) < 1/sqrt(3), P = product of rates, masses and curvature",
    source="extension",
    fast=True,
)
def without_regularization() -> Evidence:
    moduli: dict[str, Any] = {
        "simultaneous": lambda P: math.sqrt(1 + P),
        "alternating": lambda P: 1.0,
        "extragradient": lambda P: math.sqrt(1 - P + P**2),
        "optimistic": lambda P: math.sqrt((1 + math.sqrt(1 - 4 * P)) / 2),
    }
    rows: dict[str, Any] = {}
    for rule, modulus in moduli.items():
        for root in (0.2, 0.45):
            rows[f"{rule}, sqrt(P) = {root}"] = modulus(root**2), _unregularized(rule, root), 1e-6
    for rule, threshold in (("extragradient", 1.0), ("optimistic", 3**-0.5)):
        rows[f"{rule} at its threshold"] = 1, _unregularized(rule, threshold), 1e-6
        sides = [_unregularized(rule, factor * threshold) < 1 for factor in (0.99, 1.01)]
        rows[f"{rule} converges 1 % below and above"] = [True, False], sides, "exact"
    # Past P = 4 alternating updates diverge too.
    rows["alternating at sqrt(P) = 1.99 and 2.01"] = (
        [True, True],
        [
            abs(_unregularized("alternating", 1.99) - 1) < 1e-6,
            _unregularized("alternating", 2.01) > 1 + 1e-3,
        ],
        "exact",
    )
    return confront(rows)


def _unregularized(rule: str, root: float) -> float:
    """Largest modulus seen in a simulation without regularization; `root` is sqrt(P)."""
    game = neighbourhood_game(
        1.0, 1.0, regularization=0.0, generator_lr=root**2 / 0.2, discriminator_lr=0.2, initial_discriminator="zero"
    )
    return float(np.abs(recurrence_roots(_moves(game, rule)[0], 4 if rule == "optimistic" else 2)[0]))


@claim(
    "C21",
    "Weighting `unit` is weighting `loss` with generator_lr divided by the mass of a point: same runs under all rules",
    source="extension",
    fast=True,
)
def weightings() -> Evidence:
    start = np.random.default_rng(0).uniform(-2, 2, (6, 2))
    loss = KernelGAN([[-1.0, 0.0], [1.0, 0.5]], start, generator_lr=1.8, regularization=0.9)
    unit = loss.replace(weighting="unit", generator_lr=1.8 / 6)
    rows: dict[str, Any] = {}
    for rule in RULES:
        momentum = momentum_of(rule)
        runs = [simulate(game, "gda", rule=rule, iterations=200, momentum=momentum) for game in (loss, unit)]
        paths = [run.generated_points.values for run in runs]
        closed = [
            neighbourhood_of(neighbourhood_game(0.5, 0.4, 3, generator_lr=rate, weighting=name)).spectrum(
                rule, momentum
            )
            for rate, name in ((1.8, "loss"), (1.8 * 0.4 / 3, "unit"))
        ]
        rows[rule] = (
            0,
            {"runs": largest(paths[0] - paths[1]), "spectra": largest_distance(closed[0].values, closed[1].values)},
            1e-13,
        )
    return confront(rows)


@claim(
    "C22",
    "Simultaneous and alternating spectra differ by the product of the learning rates: halving both divides the "
    "difference by 4",
    source="derived",
    fast=True,
)
def first_order_agreement() -> Evidence:
    rows: dict[str, Any] = {}
    for name, p, q in (("equal masses", 1.0, 1.0), ("missing mass", 1.0, 0.8), ("surplus mass", 1.0, 1.2)):
        differences = []
        for factor in (1.0, 0.5, 0.25):
            rates: dict[str, Any] = {"discriminator_lr": 0.02 * factor, "generator_lr": 0.06 * factor}
            game = neighbourhood_game(p, q, regularization=1.2, **rates)
            found = [recurrence_roots(_moves(game, rule, 60)[0], 2) for rule in RULES[:2]]
            differences.append(largest_distance(*found))
        rows[name] = 4, [a / b for a, b in itertools.pairwise(differences)], 0.3
    return confront(rows)
