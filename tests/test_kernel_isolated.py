"""Isolated neighbourhoods: closed forms against explicit matrices, boundaries and optima against searches."""

import math
from dataclasses import replace

import numpy as np
import pytest
import scipy.integrate
from hypothesis import assume, given
from hypothesis import strategies as st

from ganscope.core.errors import NotApplicable, ParameterError
from ganscope.dynamics.rules import RULES
from ganscope.games.kernel.end_states import (
    algebraic_decay,
    collapse_escape_law,
    collapse_escape_rate,
    collapse_point,
    cycle_amplitude,
    propulsion_speed,
    propulsion_threshold,
    split_radius,
)
from ganscope.games.kernel.isolated import IsolatedNeighbourhood
from ganscope.games.kernel.isolated_formulas import family_radii, stability_label
from ganscope.games.kernel.kernels import RBF, Laplace, Matern32, Matern52, RationalQuadratic, RBFSum

MAPS = [(rule, 0.0) for rule in RULES] + [("heavy_ball", 0.3), ("heavy_ball", -0.4)]
RULES_AND_FLOW = [*MAPS, (None, 0.0)]

floats = st.floats
parameters = {
    "p": floats(0.1, 2),
    "q": floats(0.1, 2),
    "m": st.integers(1, 4),
    "gamma": floats(0.2, 20),
    "strength": floats(0.2, 4),
    "generator_lr": floats(0.05, 3),
    "lr": floats(0.02, 0.5),
}


def neighbourhood(p, q, m=1, gamma=1.0, strength=1.0, generator_lr=0.5, lr=0.2, weighting="loss"):
    return IsolatedNeighbourhood(
        p,
        q,
        m,
        curvature=gamma,
        regularization=strength,
        generator_lr=generator_lr,
        discriminator_lr=lr,
        weighting=weighting,
    )


E1 = neighbourhood(1, 1, strength=1.2, generator_lr=0.6)
E2 = neighbourhood(0.3, 0.2, 2, gamma=4, strength=1.2, generator_lr=1.5)
E3 = neighbourhood(0.3, 0.35, strength=1.2, generator_lr=0.6)


def map_by_hand(game, rule, momentum=0.0):
    """One iteration on (displacements, slope, a discriminator mode that no point feels), written out rule by rule."""
    n = len(game.masses)
    J = np.zeros((n + 2, n + 2))
    for j, speed in enumerate(game.speeds):
        if game.surplus:
            J[j, j] = -speed * game.surplus * game.gamma / game.regularization
        J[j, n] = speed
        J[n, j] = -game.discriminator_lr * game.gamma * game.masses[j]
    J[n, n] = J[n + 1, n + 1] = -game.discriminator_lr * game.regularization
    one, zero = np.eye(n + 2), np.zeros((n + 2, n + 2))
    if rule is None:
        return J / game.discriminator_lr
    if rule == "simultaneous":
        return one + J
    if rule == "alternating":
        discriminator, generator = one.copy(), one.copy()
        discriminator[n:] += J[n:]
        generator[:n] += J[:n]
        return generator @ discriminator
    if rule == "extragradient":
        return one + J @ (one + J)
    if rule == "optimistic":
        return np.block([[one + 2 * J, -J], [one, zero]])
    return np.block([[(1 + momentum) * one + J, -momentum * one], [one, zero]])


def radius_by_hand(game, rule, momentum=0.0):
    values = np.linalg.eigvals(map_by_hand(game, rule, momentum))
    return math.exp(min(700.0, values.real.max() * game.discriminator_lr)) if rule is None else np.abs(values).max()


def distance(found, expected):
    """Largest distance between two lists of numbers, paired greedily by least distance."""
    left, worst = list(expected), 0.0
    assert len(found) == len(left)
    for value in found:
        gaps = np.abs(np.array(left) - value)
        worst = max(worst, gaps.min())
        left.pop(int(gaps.argmin()))
    return worst


# Worked numbers.


@pytest.mark.parametrize(
    "game, rule, momentum, family, expected",
    [
        (E1, "simultaneous", 0, "mean", 0.93808315),
        (E1, "alternating", 0, "mean", 0.87177979),
        (E1, "extragradient", 0, "mean", 0.82655913),
        (E1, "optimistic", 0, "mean", 0.82245708),
        (E1, "heavy_ball", 0.2, "mean", 0.98444227),
        (E1, "simultaneous", 0, "discriminator", 0.76),
        (E2, "simultaneous", 0, "mean", 0.86371292),
        (E2, "alternating", 0, "mean", 0.84970583),
        (E2, "extragradient", 0, "mean", 0.86542244),
        (E2, "optimistic", 0, "mean", 0.86663897),
        (E2, "simultaneous", 0, "relative", 0.95),
        (E2, "extragradient", 0, "relative", 0.9525),
        (E2, "optimistic", 0, "relative", 0.95249378),
        (E2, "simultaneous", 0, "all", 0.95),
    ],
)
def test_worked_radii(game, rule, momentum, family, expected):
    assert game.radii(rule, momentum)[family] == pytest.approx(expected, abs=6e-9)


def test_worked_multipliers():
    assert distance(E1.families("simultaneous")["mean"], [0.88 + 0.32496154j, 0.88 - 0.32496154j]) < 6e-9
    assert distance(E3.families("simultaneous")["mean"], [0.91210838, 0.85664162]) < 6e-9
    assert E3.stability("simultaneous") == "converge_monotone"
    assert E1.stability("simultaneous") == "converge_oscillatory"
    assert E1.stability() == "converge_oscillatory"


@pytest.mark.parametrize(
    "sigma, p, q, m, lr, strength, rule, name, expected",
    [
        (1, 1, 1, 1, 0.2, 0.8, "simultaneous", "spiral", 0.8),
        (0.5, 0.3, 0.3, 1, 0.3, 0.5, "simultaneous", "spiral", 1.3888889),
        (0.5, 0.3, 0.28, 1, 0.3, 0.9, "simultaneous", "spiral", 3.5567916),
        (0.5, 0.3, 0.4, 1, 0.3, 1.0, "simultaneous", "spiral", 0.98684211),
        (0.8, 0.5, 0.48, 2, 0.4, 0.9, "simultaneous", "spiral", 5.4),
        (1, 1, 1, 1, 0.2, 0.8, "alternating", "flip", 18.4),
        (0.5, 0.3, 0.3, 1, 0.3, 1.2, "alternating", "flip", 30.3703704),
        (1, 0.6, 0.4, 1, 0.3, 0.8, "alternating", "flip", 15.7142857),
        (1, 0.3, 0.45, 1, 0.3, 0.8, "alternating", "spiral", 3.7426901),
    ],
)
def test_worked_boundaries(sigma, p, q, m, lr, strength, rule, name, expected):
    game = neighbourhood(p, q, m, sigma**-2, strength, lr=lr)
    assert game.boundaries(rule)[f"generator_lr_{name}"] == pytest.approx(expected, rel=3e-8)


@pytest.mark.parametrize("p, q, expected", [(0.5, 0.8, 1.06305646), (0.5, 0.5, 0.1)])
def test_worked_regularization(p, q, expected):
    found = neighbourhood(p, q, generator_lr=0.4, lr=0.1).boundaries("simultaneous")
    assert found["regularization_spiral_high"] == pytest.approx(expected, rel=3e-8)
    assert found["regularization_stable_low"] == pytest.approx(expected, rel=3e-8)


@pytest.mark.parametrize("lr, unstable", [(0.1, 0.0957), (0.01, 0.0145), (0.001, 0.0016)])
def test_published_map_in_one_call(lr, unstable):
    # Three families, each of the points as fast as the total mass 0.8 makes it.
    sigma, strength = np.linspace(0.01, 1, 100)[:, None], np.linspace(0.01, 10, 100)
    settings = dict(points=2, curvature=sigma**-2, regularization=strength, discriminator_lr=lr)
    found = family_radii(1.0, 0.8, generator_lr=0.8 * lr, rule="simultaneous", weighting="unit", **settings)
    assert found.all.shape == (100, 100)
    assert np.mean(found.all > 1) == pytest.approx(unstable, abs=5e-5)
    low, high = np.transpose(
        [neighbourhood(1.0, 0.8, strength=s, generator_lr=0.2).oscillation_band() for s in strength]
    )
    assert np.mean((low < sigma) & (sigma < high)) == pytest.approx(0.4135, abs=5e-5)


# Closed forms against matrices.


@pytest.mark.parametrize("rule, momentum", RULES_AND_FLOW)
@pytest.mark.parametrize("weighting", ["loss", "unit"])
@given(**parameters)
def test_closed_forms_are_the_eigenvalues_of_the_matrices(
    rule, momentum, weighting, p, q, m, gamma, strength, generator_lr, lr
):
    game = neighbourhood(p, q, m, gamma, strength, generator_lr, lr, weighting)
    matrix = map_by_hand(game, rule, momentum)
    expected = np.linalg.eigvals(matrix)
    values = game.spectrum(rule, momentum).values
    # Double eigenvalues of matrices of this norm are good to the square root of rounding.
    tolerance = 1e-6 * max(1.0, np.abs(matrix).max())
    assert distance(values, expected) < tolerance
    # Sums over all eigenvalues are good to rounding.
    norm = 1e-12 * max(1.0, np.abs(matrix).max()) ** 2 * len(matrix) ** 2
    assert abs(np.sum(values) - np.trace(matrix)) < norm
    assert abs(np.sum(values**2) - np.trace(matrix @ matrix)) < norm
    families = game.families(rule, momentum)
    branches = 2 if rule in ("optimistic", "heavy_ball") else 1
    assert [len(families[name]) for name in ("discriminator", "relative", "mean")] == [
        branches,
        branches * (m - 1),
        2 * branches,
    ]
    # The radius of the flow is an exponential: an error of the eigenvalue is a relative one of the radius.
    radius, close = radius_by_hand(game, rule, momentum), 10 * tolerance
    assert game.radii(rule, momentum)["all"] == pytest.approx(radius, abs=close, rel=close if rule is None else None)


@pytest.mark.parametrize("rule, momentum", RULES_AND_FLOW)
@given(
    p=floats(0.1, 2),
    masses=st.lists(floats(0.05, 1), min_size=2, max_size=4),
    gamma=floats(0.2, 9),
    strength=floats(0.2, 4),
    generator_lr=floats(0.05, 2),
)
def test_unequal_masses(rule, momentum, p, masses, gamma, strength, generator_lr):
    game = IsolatedNeighbourhood(
        p, masses, curvature=gamma, regularization=strength, generator_lr=generator_lr, discriminator_lr=0.2
    )
    matrix = map_by_hand(game, rule, momentum)
    values = game.spectrum(rule, momentum).values
    assert distance(values, np.linalg.eigvals(matrix)) < 2e-6 * max(1.0, np.abs(matrix).max())
    assert abs(np.sum(values) - np.trace(matrix)) < 1e-11 * np.abs(matrix).max() * len(matrix)


@pytest.mark.parametrize("rule", ["simultaneous", "alternating"])
@given(
    p=floats(0.3, 2),
    masses=st.lists(st.sampled_from([0.1, 0.17, 0.3, 0.44]), min_size=2, max_size=4, unique=True),
    strength=floats(0.3, 4),
)
def test_secular_equation_against_the_matrix(rule, p, masses, strength):
    game = IsolatedNeighbourhood(p, masses, curvature=2.0, regularization=strength, discriminator_lr=0.3)
    assume(abs(game.surplus) > 1e-3)
    families = game.families(rule)
    u = np.concatenate([families["mean"], families["relative"]]) - 1
    # All eigenvalues are roots; the residual is rounding times the slope of the equation, large near its poles.
    step = 1e-7
    slope = np.abs(game.secular_equation(u + step, rule == "alternating")) / step
    assert np.all(np.abs(game.secular_equation(u, rule == "alternating")) < 1e-12 * (1 + slope) + 1e-11)
    # As a polynomial it has just these roots.
    b = game.speeds * game.gamma * game.surplus / game.regularization
    pull = game.discriminator_lr * game.gamma * game.masses * game.speeds
    polynomial = np.polymul([1, game.forgetting], np.poly(-b))
    for j in range(len(b)):
        weight = [1, 1] if rule == "alternating" else [1]
        polynomial = np.polyadd(polynomial, pull[j] * np.polymul(weight, np.poly(-np.delete(b, j))))
    assert distance(u, np.roots(polynomial)) < 1e-6


def test_nearly_equal_masses_have_nearly_the_families_of_equal_ones():
    equal = neighbourhood(0.5, 0.4, 3, 2.0)
    unequal = replace(equal, generated_mass=[0.4 / 3 - 1e-7, 0.4 / 3, 0.4 / 3 + 1e-7])
    assert not unequal.equal_speeds
    assert equal.equal_speeds
    for rule, momentum in RULES_AND_FLOW:
        for name, values in equal.families(rule, momentum).items():
            assert distance(unequal.families(rule, momentum)[name], values) < 1e-6


def test_masses_given_one_by_one_and_unit_weighting():
    one = neighbourhood(0.5, 0.3, 3, 2.0)
    listed = replace(one, generated_mass=[0.1, 0.1, 0.1], points=1)
    assert listed.points == 3
    assert distance(one.spectrum("alternating").values, listed.spectrum("alternating").values) < 1e-15
    unit = replace(one, generator_lr=0.05, weighting="unit")
    assert distance(one.spectrum("extragradient").values, unit.spectrum("extragradient").values) < 1e-13
    # With unit weighting points of different mass still move alike.
    uneven = replace(unit, generated_mass=[0.05, 0.1, 0.15])
    assert distance(uneven.spectrum("optimistic").values, unit.spectrum("optimistic").values) < 1e-13
    assert distance(uneven.spectrum("optimistic").values, np.linalg.eigvals(map_by_hand(uneven, "optimistic"))) < 1e-7


def test_only_the_curvature_of_a_kernel_matters():
    expected = neighbourhood(0.5, 0.4, 2, 2.5).spectrum("alternating").values
    width = 1 / math.sqrt(2.5)
    kernels = [
        RBF(width),
        RationalQuadratic(width, 0.7),
        Matern32(math.sqrt(3) * width),
        Matern52(math.sqrt(5 / 3) * width),
        RBFSum((1.0, 2.0)).scaled(width),
        {"name": "RBF", "bandwidth": width},
    ]
    for kernel in kernels:
        found = IsolatedNeighbourhood(0.5, 0.4, 2, kernel=kernel).spectrum("alternating").values
        assert distance(found, expected) < 1e-12


@pytest.mark.parametrize("rule, momentum", RULES_AND_FLOW)
def test_arrays_give_what_single_neighbourhoods_give(rule, momentum):
    rng = np.random.default_rng(0)
    n = 40
    p, q, gamma, strength, generator_lr, lr = (rng.uniform(0.1, 2, n) for _ in range(6))
    m = rng.integers(1, 4, n)
    for weighting in ("loss", "unit"):
        found = family_radii(p, q, m, gamma, strength, generator_lr, lr, rule, momentum, weighting)
        for i in range(n):
            single = neighbourhood(p[i], q[i], int(m[i]), gamma[i], strength[i], generator_lr[i], lr[i], weighting)
            for name, value in single.radii(rule, momentum).items():
                assert getattr(found, name)[i] == pytest.approx(value, rel=1e-13, nan_ok=True)


# Labels.


def test_labels():
    multipliers = np.array(
        [
            [0.5, 0.9],
            [0.5, -1.1],
            [0.6 + 0.6j, 0.6 - 0.6j],
            [0.8 + 0.8j, 0.8 - 0.8j],
            [1.0, 0.2],
            [0.6 + 0.8j, 0.6 - 0.8j],
        ]
    )
    assert list(stability_label(multipliers, True)) == [
        "converge_monotone",
        "diverge_monotone",
        "converge_oscillatory",
        "diverge_oscillatory",
        "marginal",
        "marginal",
    ]
    rates = np.array([[-3, -0.1], [0.1, -4], [-0.1 + 2j, -0.1 - 2j], [2j, -2j]])
    assert list(stability_label(rates, False)) == [
        "converge_monotone",
        "diverge_monotone",
        "converge_oscillatory",
        "marginal",
    ]


def test_a_flip_alternates_and_a_spiral_does_not():
    game = neighbourhood(1, 1, strength=0.8, generator_lr=18.5)
    assert game.stability("alternating") == "diverge_monotone"
    assert game.alternates("alternating")
    assert replace(game, generator_lr=18.39).stability("alternating") == "converge_monotone"
    spiral = replace(game, generator_lr=0.81)
    assert spiral.stability("simultaneous") == "diverge_oscillatory"
    assert not spiral.alternates("simultaneous")
    assert not spiral.alternates()
    assert replace(game, generator_lr=0.79).stability("simultaneous") == "converge_oscillatory"
    assert replace(game, generator_lr=0.8).stability("simultaneous") == "marginal"


def test_the_spectrum_says_the_same():
    assert E1.spectrum().label == "stable_spiral"
    assert E1.spectrum("simultaneous").is_map
    assert E2.spectrum("alternating").rate == pytest.approx(-math.log(0.95))
    surplus = neighbourhood(0.4, 0.5, 2)
    assert surplus.spectrum().label == "saddle"
    assert surplus.radii()["relative"] > 1
    assert surplus.stability() == "converge_oscillatory"  # of the centre of mass


# Boundaries.


def first_loss(game, name, rule, momentum, *, last=False):
    """Smallest (or largest) value of a parameter at which the radius of the matrices crosses 1; scan and bisection."""
    grid = np.geomspace(1e-4, 1e4, 1601)
    stable = [radius_by_hand(replace(game, **{name: x}), rule, momentum) <= 1 + 1e-9 for x in grid]
    changes = [i for i in range(len(grid) - 1) if stable[i] != stable[i + 1]]
    if not changes:
        return math.inf
    i = changes[-1 if last else 0]
    low, high, was = grid[i], grid[i + 1], stable[i]
    for _ in range(45):
        middle = math.sqrt(low * high)
        if (radius_by_hand(replace(game, **{name: middle}), rule, momentum) <= 1 + 1e-9) == was:
            low = middle
        else:
            high = middle
    return low


@pytest.mark.parametrize("rule, momentum", [*MAPS, ("flow", 0.0)])
@pytest.mark.parametrize(
    "game",
    [
        neighbourhood(1, 1, strength=0.8),
        neighbourhood(0.6, 0.4, 1, 2.0, 1.1, lr=0.3),
        neighbourhood(0.6, 0.4, 3, 2.0, 1.1, lr=0.3),
        neighbourhood(0.3, 0.45, 1, 1.0, 0.8, lr=0.3),
        neighbourhood(1.2, 1.15, 1, 3.0, 0.5, lr=0.4),
        neighbourhood(0.9, 0.2, 1, 3.0, 2.5, lr=0.25),
        neighbourhood(0.5, 0.45, 2, 1.0, 1.5, generator_lr=3.0, lr=0.2, weighting="unit"),
    ],
)
def test_limits_against_scans_of_matrices(game, rule, momentum):
    found = game.boundaries(rule, momentum)
    by_hand = None if rule == "flow" else rule
    limit = first_loss(game, "generator_lr", by_hand, momentum)
    unstable_at_once = radius_by_hand(replace(game, generator_lr=1e-4), by_hand, momentum) > 1 + 1e-9
    assert found["generator_lr_limit"] == pytest.approx(0.0 if unstable_at_once else limit, rel=1e-6)
    top = first_loss(game, "regularization", by_hand, momentum, last=True)
    low, high = found["regularization_stable_low"], found["regularization_stable_high"]
    if rule == "flow":
        assert high == math.inf
        # Flows lose their stability only to a surplus of generated mass.
        assert low == pytest.approx(0.0 if top == math.inf else top, rel=1e-6)
        return
    if high == math.inf:
        values = [
            radius_by_hand(replace(game, regularization=x), by_hand, momentum) for x in np.geomspace(1e-3, 1e3, 400)
        ]
        assert min(values) > 1
        return
    assert high == pytest.approx(top, rel=1e-6)
    inside = [(low * 1.001 or high * 1e-3, True), (high * 0.999, True)]
    for value, stable in [(low * 0.999, False), *inside, (high * 1.001, False)]:
        if value > 0:
            radius = radius_by_hand(replace(game, regularization=value), by_hand, momentum)
            assert (radius <= 1 + 1e-9) == stable


@pytest.mark.parametrize("rule, momentum", [*MAPS, ("flow", 0.0)])
@given(**{name: values for name, values in parameters.items() if name != "m"})
def test_the_centre_of_mass_is_on_the_unit_circle_at_its_boundaries(
    rule, momentum, p, q, gamma, strength, generator_lr, lr
):
    game = neighbourhood(p, q, 1, gamma, strength, generator_lr, lr)
    for name, value in game.boundaries(rule, momentum).items():
        kind = name.rsplit("_", 1)[0] if name.endswith(("low", "high")) else name
        if not kind.endswith(("_spiral", "_flip")) or not 0 < value < math.inf:
            continue
        field = kind.removesuffix("_spiral").removesuffix("_flip")
        mean = replace(game, **{field: value}).families(rule, momentum)["mean"]
        lead = mean[np.argmax(mean.real if rule == "flow" else np.abs(mean))]
        assert (lead.real if rule == "flow" else abs(lead) - 1) == pytest.approx(0, abs=2e-6)
        if kind.endswith("_flip"):
            assert abs(lead.real) == pytest.approx(1, abs=2e-6)


@pytest.mark.parametrize("rule", ["simultaneous", "alternating", "optimistic"])
def test_limits_of_unequal_masses(rule):
    game = IsolatedNeighbourhood(0.5, [0.1, 0.25], curvature=2.0, regularization=0.7, discriminator_lr=0.3)
    found = game.boundaries(rule)
    assert found["generator_lr_limit"] == pytest.approx(first_loss(game, "generator_lr", rule, 0.0), rel=1e-6)
    top = first_loss(game, "regularization", rule, 0.0, last=True)
    assert found["regularization_stable_high"] == pytest.approx(top, rel=1e-6)
    # A surplus of several points is unstable at every rate.
    parted = IsolatedNeighbourhood(0.3, [0.1, 0.25], curvature=2.0)
    assert parted.boundaries(rule)["generator_lr_limit"] == 0
    assert parted.boundaries(rule)["regularization_stable_low"] == math.inf


def test_surplus_points_part_at_every_rate():
    for rule in ("simultaneous", "alternating", "flow"):
        found = neighbourhood(0.4, 0.5, 2).boundaries(rule)
        assert found["generator_lr_relative"] == 0 == found["generator_lr_limit"]
        assert found["regularization_stable_low"] == math.inf


@given(p=floats(0.1, 2), q=floats(0.1, 2), strength=floats(0.2, 3), gamma=floats(0.2, 9), lr=floats(0.01, 0.3))
def test_edges_of_the_oscillation_band(p, q, strength, gamma, lr):
    game = neighbourhood(p, q, 1, gamma, strength, 0.7, lr)
    band = game.oscillation_band()
    for edge in band:
        if edge < 1e-3:
            continue
        a, b = lr * strength, 0.7 * q * (p - q) / (strength * edge**2)
        product = lr * 0.7 * q * p / edge**2
        assert (a + b) ** 2 == pytest.approx(4 * product, rel=1e-9)
    low, high = band
    assert low == pytest.approx(math.sqrt(0.7 * q / lr) * abs(math.sqrt(p) - math.sqrt(q)) / strength, abs=1e-12)
    for width, label in ((high * 1.01, "monotone"), (high * 0.99, "oscillatory"), (low * 1.01, "oscillatory")):
        if width > 1e-3 and low < 0.9 * high:
            assert replace(game, curvature=width**-2).stability().endswith(label)


# The unregularised discriminator.


def test_without_regularization():
    def radius(rule, product):
        return neighbourhood(1, 1, strength=0, generator_lr=product / 0.2).radii(rule)["mean"]

    for product in (0.05, 0.2, 0.6, 0.95):
        assert radius("simultaneous", product) == pytest.approx(math.sqrt(1 + product), abs=1e-13)
        assert radius("alternating", product) == pytest.approx(1, abs=1e-13)
        assert radius("extragradient", product) == pytest.approx(math.sqrt(1 - product + product**2), abs=1e-13)
        assert radius(None, product) == 1
    for product in (0.05, 0.2):
        assert radius("optimistic", product) == pytest.approx(
            math.sqrt((1 + math.sqrt(1 - 4 * product)) / 2), abs=1e-13
        )
    game = neighbourhood(1, 1, strength=0)
    products = {rule: 0.2 * game.boundaries(rule)["generator_lr_limit"] for rule in RULES}
    expected = {"simultaneous": 0, "alternating": 4, "extragradient": 1, "optimistic": 1 / 3, "heavy_ball": 0}
    assert products == pytest.approx(expected, rel=1e-12)
    assert game.boundaries("flow")["generator_lr_limit"] == math.inf
    assert game.stability("alternating") == "marginal"
    assert game.oscillation_band() == (0, math.inf)
    assert radius("optimistic", 1 / 3 + 1e-4) > 1 > radius("optimistic", 1 / 3 - 1e-4)
    # Sums of masses that differ by rounding only count as equal.
    rounded = IsolatedNeighbourhood(0.3, [0.1, 0.2], curvature=1.0, regularization=0)
    assert rounded.surplus == 0
    assert rounded.radii("extragradient")["relative"] == pytest.approx(1, abs=1e-14)


def test_without_regularization_masses_must_agree():
    game = neighbourhood(1, 0.9, strength=0)
    for ask in (game.spectrum, game.radii, game.boundaries, game.stability, game.oscillation_band, game.jacobian):
        with pytest.raises(ParameterError, match="regularization = 0"):
            ask()
    with pytest.raises(ParameterError, match="regularization = 0"):
        family_radii(1.0, [1.0, 0.9], regularization=[1.0, 0.0])


# Optima.


def brute_force(game, rule, momentum=0.0):
    """Smallest spectral radius over regularization and generator_lr, by grids around the claimed best and afar."""
    claimed = game.best(rule, momentum)
    lowest = math.inf
    for span, count in ((1e3, 401), (1.1, 201), (1.001, 101)):
        factors = np.geomspace(1 / span, span, count)
        found = family_radii(
            game.real_mass,
            game.total_generated_mass,
            game.points if game.surplus else 1,
            game.gamma,
            claimed["regularization"] * factors[:, None],
            claimed["generator_lr"] * factors,
            game.discriminator_lr,
            rule,
            momentum,
        ).all
        lowest = min(lowest, found.min())
    return claimed["spectral_radius"], lowest


@pytest.mark.parametrize("rule, momentum", MAPS)
@pytest.mark.parametrize(
    "p, q, m", [(1, 1, 1), (1, 1, 2), (0.5, 0.3, 1), (0.5, 0.6, 1), (0.5, 0.02, 1), (0.5, 0.3, 2), (0.5, 0.45, 3)]
)
def test_best_parameters_of_a_rule_against_a_search(rule, momentum, p, q, m):
    game = neighbourhood(p, q, m, 3.0, lr=0.15)
    claimed, lowest = brute_force(game, rule, momentum)
    # Nothing on the grid is better, and the claimed radius is reached. The best is a kink of square-root type.
    assert claimed <= lowest + 1e-7
    found = game.best(rule, momentum)
    there = replace(game, regularization=found["regularization"], generator_lr=found["generator_lr"])
    radii = there.radii(rule, momentum)
    reached = max(radii["discriminator"], radii["mean"]) if p == q else radii["all"]
    assert reached == pytest.approx(claimed, abs=3e-7)
    assert found["rate"] == (math.inf if claimed == 0 else pytest.approx(-math.log(claimed)))


def test_best_of_all_at_equal_masses():
    simultaneous = neighbourhood(1, 1).best("simultaneous")
    assert 0.2 * simultaneous["regularization"] == pytest.approx(4 / 3)
    assert 0.2 * simultaneous["generator_lr"] == pytest.approx(4 / 9)
    assert simultaneous["spectral_radius"] == pytest.approx(1 / 3)
    alternating = neighbourhood(1, 1).best("alternating")
    assert 0.2 * alternating["regularization"] == pytest.approx(1)
    assert 0.2 * alternating["generator_lr"] == pytest.approx(1)
    assert alternating["spectral_radius"] == 0


@pytest.mark.parametrize(
    "p, q, strength", [(1, 1, 1.0), (0.5, 0.3, 1.0), (0.5, 0.6, 1.0), (0.9, 0.1, 0.5), (0.9, 0.1, 3)]
)
def test_best_of_the_centre_of_mass_at_given_rates_against_a_search(p, q, strength):
    game = neighbourhood(p, q, 1, 2.0, strength)
    found = game.best("simultaneous")
    for free, given_name in (("regularization", "generator_lr"), ("generator_lr", "regularization")):
        value, radius = found[f"{free}_at_{given_name}"], found[f"mean_radius_at_{given_name}"]
        arguments = {"regularization": strength, "generator_lr": game.generator_lr}
        arguments[free] = value * np.geomspace(1e-3, 1e3, 60001)
        searched = family_radii(p, q, 1, 2.0, rule="simultaneous", **arguments).mean.min()
        assert radius <= searched + 1e-12
        # Critical damping: the radius at the claimed value is good to the square root of rounding.
        assert replace(game, **{free: value}).radii("simultaneous")["mean"] == pytest.approx(radius, abs=1e-6)
    if p == q:
        a, product = 0.2 * strength, 0.2 * game.generator_lr * 2.0
        assert found["generator_lr_at_regularization"] == pytest.approx(0.2 * strength**2 / 8)
        assert found["mean_radius_at_regularization"] == pytest.approx(1 - a / 2)
        assert found["regularization_at_generator_lr"] == pytest.approx(2 * math.sqrt(0.5 * 2 / 0.2))
        assert found["mean_radius_at_generator_lr"] == pytest.approx(1 - math.sqrt(product))


@pytest.mark.parametrize("p, q, m", [(1, 1, 1), (0.5, 0.3, 1), (0.5, 0.7, 1), (0.5, 0.3, 2), (1, 0.8, 4), (1, 1, 3)])
def test_best_regularization_of_the_flow(p, q, m):
    game = neighbourhood(p, q, m, 2.0, lr=1e-4, generator_lr=2e-4)
    found = game.best()
    strengths = found["regularization"] * np.geomspace(1e-2, 1e2, 40001)
    for rule in (None, "simultaneous"):  # the same for small steps
        by_points = family_radii(p, q, m, 2.0, strengths, 2e-4, 1e-4, rule)
        radii = by_points.all if p != q else np.maximum(by_points.mean, by_points.discriminator)
        assert strengths[np.argmin(radii)] == pytest.approx(found["regularization"], rel=1e-3)
        assert -math.log(radii.min()) / 1e-4 == pytest.approx(found["rate"], rel=1e-3)
    best = replace(game, regularization=found["regularization"]).radii()
    if m > 1 and p > q:
        assert best["discriminator"] == pytest.approx(best["relative"], rel=1e-12)
        assert found["regularization"] == pytest.approx(math.sqrt(2 * q / m * (p - q) * 2))
    else:
        expected = math.sqrt(2 * q / m * 2) * (math.sqrt(p) + math.sqrt(q))
        assert found["regularization"] == pytest.approx(expected)


def test_simultaneous_and_alternating_agree_to_first_order():
    gaps = []
    for scale in (1.0, 0.5, 0.25):
        game = neighbourhood(0.8, 0.6, 1, 1.0, 1.0, 0.04 * scale, 0.04 * scale)
        gaps.append(distance(game.families("simultaneous")["mean"], game.families("alternating")["mean"]))
    assert gaps[0] / gaps[1] == pytest.approx(4, abs=0.3)
    assert gaps[1] / gaps[2] == pytest.approx(4, abs=0.3)


# Unequal masses: which motion is the mean, and where it loses stability.


@pytest.mark.parametrize("rule, momentum", RULES_AND_FLOW)
def test_unequal_surplus_points_part_at_every_rate_however_slowly(rule, momentum):
    # At a millionth of this generator_lr the growth per iteration is below what counts as neutral.
    game = IsolatedNeighbourhood(
        0.43971708837919066,
        [0.021924586029213836, 0.32331269939498253, 0.1384515117929134],
        curvature=1.46,
        regularization=1.58,
        generator_lr=0.1335,
        discriminator_lr=0.254,
    )
    found = game.boundaries(rule, momentum)
    assert found["generator_lr_limit"] == 0
    assert found["regularization_stable_low"] == math.inf == found["regularization_stable_high"]
    for rate in (1e-3, 0.1, 10.0):
        assert radius_by_hand(replace(game, generator_lr=rate), rule, momentum) > 1


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e9])
def test_the_limit_of_unequal_masses_does_not_depend_on_the_rate_it_is_asked_at(scale):
    game = IsolatedNeighbourhood(0.5, [0.1, 0.25], curvature=2.0, regularization=0.7, discriminator_lr=0.3)
    expected = first_loss(game, "generator_lr", "simultaneous", 0.0)
    found = replace(game, generator_lr=0.5 * scale).boundaries("simultaneous")
    assert found["generator_lr_limit"] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("rule, momentum", RULES_AND_FLOW)
@pytest.mark.parametrize("m", [2, 20, 300])
def test_unequal_masses_without_surplus_have_an_exact_mean(rule, momentum, m):
    q = np.linspace(0.5, 1.5, m)
    game = IsolatedNeighbourhood(1.0, list(q / q.sum()), curvature=1.0)
    # The mass-weighted sum of the displacements and the slope move by themselves.
    two = np.array([[0, 0.5 * np.sum(game.masses**2)], [-0.2, -0.2]])
    if rule is None:
        matrix = two / 0.2
    elif rule == "optimistic":
        matrix = np.block([[np.eye(2) + 2 * two, -two], [np.eye(2), np.zeros((2, 2))]])
    elif rule == "heavy_ball":
        matrix = np.block([[(1 + momentum) * np.eye(2) + two, -momentum * np.eye(2)], [np.eye(2), np.zeros((2, 2))]])
    elif rule == "alternating":
        matrix = np.array([[1, two[0, 1]], [0, 1]]) @ np.array([[1, 0], [-0.2, 0.8]])
    else:
        matrix = np.eye(2) + two + (two @ two if rule == "extragradient" else 0)
    families = game.families(rule, momentum)
    assert distance(families["mean"], np.linalg.eigvals(matrix)) < 1e-12
    # Relative motion stands still: multiplier 1, with the memory of heavy_ball beside it.
    still = game.radii(rule, momentum)["relative"]
    assert still == 1
    assert game.stability(rule, momentum).startswith("converge")


def test_worked_means_without_surplus():
    def game(m):
        q = np.linspace(0.5, 1.5, m)
        return IsolatedNeighbourhood(1.0, list(q / q.sum()), curvature=1.0)

    assert game(20).radii("alternating")["mean"] == pytest.approx(0.96863, abs=5e-6)
    assert game(20).stability("alternating") == "converge_monotone"
    assert game(300).radii("simultaneous")["mean"] == pytest.approx(0.9981769, abs=5e-8)


@pytest.mark.parametrize("rule, momentum", MAPS)
def test_boundaries_and_optima_of_unequal_masses_without_surplus(rule, momentum):
    game = IsolatedNeighbourhood(0.6, [0.1, 0.2, 0.3], curvature=2.0, regularization=0.8, discriminator_lr=0.3)
    expected = first_loss(game, "generator_lr", rule, momentum)
    assert game.boundaries(rule, momentum)["generator_lr_limit"] == pytest.approx(expected, rel=1e-6)
    best = game.best(rule, momentum)
    there = replace(game, regularization=best["regularization"], generator_lr=best["generator_lr"])
    found = there.radii(rule, momentum)
    # A double root is good to the square root of rounding.
    assert max(found["mean"], found["discriminator"]) == pytest.approx(best["spectral_radius"], abs=3e-7)


@pytest.mark.parametrize("rule", ["simultaneous", "alternating"])
@pytest.mark.parametrize("m", [2, 3, 7, 20, 50])
def test_the_mean_of_unequal_masses_has_the_largest_share_of_slope_and_centre(rule, m):
    rng = np.random.default_rng(m)
    for surplus in (1e-12, 1e-8, 1e-3, 0.1, 0.3, -1e-8, -0.1, 0.2, 0.4, 0.25, 0.02, 0.6):
        q = rng.lognormal(0, 0.4, m)
        game = IsolatedNeighbourhood(
            1.0,
            list((1 - surplus) * q / q.sum()),
            curvature=float(rng.uniform(0.2, 9)),
            regularization=float(rng.uniform(0.2, 4)),
            generator_lr=float(rng.uniform(0.05, 3)),
            discriminator_lr=float(rng.uniform(0.02, 0.5)),
        )
        matrix = np.delete(np.delete(map_by_hand(game, rule), m + 1, 0), m + 1, 1)
        values, motions = np.linalg.eig(matrix)
        motions[-1] *= math.sqrt(game.generator_lr / (game.discriminator_lr * game.gamma))  # as long as displacements
        motions /= np.linalg.norm(motions, axis=0)
        share = np.abs(game.masses @ motions[:-1]) ** 2 / np.sum(game.masses**2) + np.abs(motions[-1]) ** 2
        chosen = np.sort(np.argsort(-share)[:2])
        families = game.families(rule)
        mean = families["mean"]
        turns = bool(np.any(np.abs(values.imag) > 1e-6))
        expected = values[np.abs(values.imag) > 1e-6] if turns else values[chosen]
        # Simple eigenvalues, at worst next to a collision.
        assert distance(mean, expected) < 1e-7
        # The others lie between the poles, whatever the arithmetic makes of a crowd: real, none of them twice.
        assert np.all(families["relative"].imag == 0)
        if rule == "simultaneous" and turns:
            poles = np.sort(-game.speeds * game.gamma * game.surplus / game.regularization)
            u = np.sort(families["relative"].real) - 1
            assert np.all((u > poles[:-1] - 1e-13) & (u < poles[1:] + 1e-13))


# Extreme values.


@pytest.mark.parametrize("name", ["regularization", "generator_lr", "curvature", "discriminator_lr"])
@pytest.mark.parametrize("value", [1e-300, 1e155, 1e300])
@pytest.mark.parametrize("masses", [1.0, 0.7, [0.4, 0.6], [0.2, 0.5]])
def test_extreme_values_give_numbers(name, value, masses):
    # Warnings are errors here, so overflow would show.
    values = {"real_mass": 1, "generated_mass": masses, "curvature": 1.0, name: value}
    game = IsolatedNeighbourhood(**values)
    for rule, momentum in RULES_AND_FLOW:
        assert not np.any(np.isnan(game.spectrum(rule, momentum).values))
        radii = game.radii(rule, momentum)
        assert not any(math.isnan(radii[family]) for family in ("discriminator", "mean", "all", "points"))
        assert game.stability(rule, momentum)
    if game.closed_form:
        for rule in (None, "simultaneous", "alternating"):
            assert not any(math.isnan(x) for x in game.boundaries(rule).values())
            assert not any(math.isnan(x) for x in game.best(rule).values())
        assert not any(math.isnan(x) for x in game.oscillation_band())
        if isinstance(masses, float):
            found = family_radii(1, masses, **{"curvature": 1.0, name: value}, rule="alternating")
            assert found.all == pytest.approx(game.radii("alternating")["all"], rel=1e-12)


def test_extreme_values_have_the_right_size():
    heavy = neighbourhood(1, 1, strength=1e300)
    assert heavy.best("simultaneous")["generator_lr_at_regularization"] == math.inf
    assert heavy.best("simultaneous")["mean_radius_at_regularization"] == pytest.approx(1e299)
    # u = -a and -P / a; extragradient squares them.
    assert distance(heavy.families("simultaneous")["mean"] / [-2e299, 1], [1, 1]) < 1e-12
    assert heavy.radii("extragradient")["mean"] == math.inf
    assert heavy.radii("optimistic")["mean"] == pytest.approx(4e299)
    fast = neighbourhood(1, 1, generator_lr=1e300)
    assert fast.radii("alternating")["mean"] == pytest.approx(2e299)
    assert np.abs(fast.families("simultaneous")["mean"]) == pytest.approx([math.sqrt(0.2e300)] * 2)
    assert fast.boundaries("alternating")["generator_lr_limit"] == pytest.approx(18)
    with pytest.raises(ParameterError, match=r"generator_lr = .*products"):
        neighbourhood(1, 1, gamma=1e300, generator_lr=1e300)
    assert family_radii(1, 1, curvature=1e300, generator_lr=[0.5, 1e300], rule="simultaneous").all[1] == math.inf


# Bad values.


@pytest.mark.parametrize(
    "changes, name",
    [
        ({"real_mass": 0}, "real_mass"),
        ({"real_mass": math.nan}, "real_mass"),
        ({"generated_mass": -1}, "generated_mass"),
        ({"generated_mass": []}, "generated_mass"),
        ({"generated_mass": [[1.0]]}, "generated_mass"),
        ({"generated_mass": [0.1, 0.0]}, "generated_mass"),
        ({"generated_mass": [0.1, 0.2], "points": 3}, "points"),
        ({"points": 0}, "points"),
        ({"points": 1.5}, "points"),
        ({"curvature": 0}, "curvature"),
        ({"curvature": math.inf}, "curvature"),
        ({"curvature": None}, "curvature"),
        ({"kernel": RBF(1.0)}, "curvature"),
        ({"curvature": None, "kernel": "RBF"}, "kernel"),
        ({"curvature": None, "kernel": {"name": "RBG", "bandwidth": 1}}, "kernel"),
        ({"regularization": -1}, "regularization"),
        ({"generator_lr": 0}, "generator_lr"),
        ({"discriminator_lr": math.inf}, "discriminator_lr"),
        ({"weighting": "none"}, "weighting"),
    ],
)
def test_bad_parameters_are_named(changes, name):
    with pytest.raises(ParameterError, match=f"^{name} = "):
        IsolatedNeighbourhood(**({"real_mass": 1.0, "generated_mass": 1.0, "curvature": 1.0} | changes))


def test_questions_without_an_answer():
    with pytest.raises(NotApplicable, match="Laplace"):
        IsolatedNeighbourhood(1, 1, kernel=Laplace(1.0))
    with pytest.raises(ParameterError, match="simultaneous"):
        E1.spectrum("simultanous")
    with pytest.raises(ParameterError, match="momentum"):
        E1.radii("alternating", 0.5)
    with pytest.raises(ParameterError, match="momentum"):
        E1.boundaries("heavy_ball", 1.0)
    uneven = IsolatedNeighbourhood(0.5, [0.1, 0.2], curvature=1.0)
    for ask in (uneven.best, uneven.oscillation_band):
        with pytest.raises(NotApplicable, match="different speeds"):
            ask()
    with pytest.raises(NotApplicable, match="part"):
        neighbourhood(0.4, 0.5, 2).best()


@pytest.mark.parametrize(
    "name", ["real_mass", "generated_mass", "points", "curvature", "regularization", "generator_lr", "discriminator_lr"]
)
def test_bad_arrays_are_named(name):
    good = {"real_mass": 1.0, "generated_mass": 0.8}
    for bad in (-1.0, math.nan, "x"):
        with pytest.raises(ParameterError, match=f"^{name} = "):
            family_radii(**(good | {name: np.array([1.0, bad]) if bad != "x" else bad}))
    with pytest.raises(ParameterError, match="rule"):
        family_radii(**good, rule="sgd")
    with pytest.raises(ParameterError, match="weighting"):
        family_radii(**good, weighting="sgd")
    with pytest.raises(ParameterError, match="points"):
        family_radii(**good, points=1.5)


# End states.


def gaussian_game_on_a_line(start, mass, generator_lr, lr, strength, real_mass=1.0):
    """Simultaneous steps of points around a true point at 0: the discriminator on a fine Fourier grid, width 1."""
    n = np.arange(1, 28)
    frequency = 2 * np.pi * n / 20.0
    weight = 2 * math.sqrt(2 * np.pi) / 20.0 * np.exp(-(frequency**2) / 2)  # the constant exerts no force
    cosine, sine = np.zeros(len(n)), np.zeros(len(n))
    z = np.array(start, float)
    path = [z.copy()]

    def step():
        nonlocal cosine, sine, z
        phase = np.multiply.outer(z, frequency)
        c, s = np.cos(phase), np.sin(phase)
        slope = -(s * frequency) @ (weight * cosine) + (c * frequency) @ (weight * sine)
        cosine = (1 - lr * strength) * cosine + lr * (real_mass - mass @ c)
        sine = (1 - lr * strength) * sine - lr * (mass @ s)
        z = z + generator_lr * mass * slope
        path.append(z.copy())

    return step, path


@pytest.mark.parametrize(
    "p, q, m, expected", [(0.4, 0.5, 2, 0.38569725), (0.4, 0.6, 3, 0.63676142), (0.3, 0.5, 4, 0.78293726)]
)
def test_worked_split_radii(p, q, m, expected):
    assert split_radius(p, q, m, 1.0) == pytest.approx(expected, abs=6e-9)
    assert split_radius(p, q, m, 3.0) == pytest.approx(3 * expected, abs=2e-8)
    # At rest there: the pull of the true point balances the push of the others, on a simplex in m axes.
    simplex = np.eye(m) - 1 / m
    z = simplex * expected / np.linalg.norm(simplex[0])
    kernel = RBF(1.0)
    force = p * kernel.gradient(z) - q / m * kernel.gradient(z[:, None] - z[None]).sum(axis=1)
    assert np.abs(force).max() < 1e-8
    assert split_radius(q, p, m, 1.0) == 0 == split_radius(p, q, 1, 1.0)
    assert split_radius([p, q], q, m, 1.0).shape == (2,)


def test_amplitude_of_the_cycle_past_the_spiral():
    strength, lr = 0.2, 0.2
    generator_lr = 1.1 * strength  # P / a = 1.1
    step, path = gaussian_game_on_a_line([0.05], np.array([1.0]), generator_lr, lr, strength)
    for _ in range(12000):
        step()
    amplitude = math.sqrt(2) * np.std(np.array(path)[-4000:, 0])
    expected = cycle_amplitude(1.0, 1.0, strength, generator_lr, lr)
    assert amplitude == pytest.approx(expected, rel=0.05)  # leading order in P / a - 1 and in a
    assert cycle_amplitude(1.0, 1.0, strength, [0.9 * strength, strength], lr) == pytest.approx([0, 0])


def test_algebraic_decay():
    step, path = gaussian_game_on_a_line([0.2, -0.2], np.array([0.5, 0.5]), 1.0, 0.2, 1.0)
    for _ in range(20000):
        step()
    z = np.array(path)[:, 0]
    coefficient = algebraic_decay(1.0, 1.0, 1.0, 1.0)
    slope = np.log(z[20000] / z[5000]) / math.log(4)
    assert slope == pytest.approx(-0.5, abs=0.01)
    # The start counts as iterations already done: 1 / z^2 grows by 1 / c^2 per iteration.
    growth = (z[20000] ** -2 - z[5000] ** -2) / 15000
    assert growth**-0.5 == pytest.approx(coefficient, rel=0.01)
    assert algebraic_decay(1.0, 1.0, 1.0, 0.5, weighting="unit") == pytest.approx(coefficient)
    with pytest.raises(NotApplicable):
        algebraic_decay(1.0, 1.0, 1.0, 1.0, points=3)


def test_propulsion():
    found = propulsion_speed([1, 2, 1, 1], 0.5, 1.0, [0.2, 0.3, 0.45, 0.55])
    assert found == pytest.approx([0.36562, 0.50445, 0.13378, 0], abs=6e-6)
    assert propulsion_threshold(1.0, 0.5, 1.0) == 0.5
    assert propulsion_threshold(2.0, 0.6, 3.0, points=2) == pytest.approx(0.6 * math.sqrt(3))
    assert propulsion_speed(4.0, 0.5, 2.0, 0.0) == 1.0
    assert propulsion_speed(4.0, 0.5, 2.0, 1e-9) == pytest.approx(1.0)


@given(ratio=floats(0.1, 10), mass=floats(0.1, 2), gamma=floats(0.1, 10), share=floats(0.01, 0.9999))
def test_propulsion_solves_its_equation(ratio, mass, gamma, share):
    strength = share * propulsion_threshold(ratio, mass, gamma)
    speed = propulsion_speed(ratio, mass, gamma, strength)
    # The integral over s = t / strength by Simpson's rule, finer than either decay.
    t = np.linspace(0, min(60.0, 12 * strength / (speed * math.sqrt(gamma))), 4001)
    integrand = t * np.exp(-t - gamma * (speed * t / strength) ** 2 / 2)
    integral = scipy.integrate.simpson(integrand, x=t) / strength**2
    assert ratio * mass**2 * gamma * integral == pytest.approx(1, rel=1e-8)


@pytest.mark.parametrize(
    "sigma, expected, digits", [(1, 0.5, 1e-12), (2, 0.0423, 5e-5), (4, 2.854e-3, 6e-7), (8, 1.819e-4, 6e-8)]
)
def test_worked_escape_rates(sigma, expected, digits):
    points = [[1.0, 0.0], [-1.0, 0.0]]
    found = collapse_escape_rate(points, [0.5, 0.5], RBF(sigma), speed=0.5, regularization=1.0)
    assert found == pytest.approx(expected, abs=digits)
    law = collapse_escape_law(points, [0.5, 0.5], RBF(sigma), speed=0.5, regularization=1.0)
    assert law == pytest.approx(0.5 * 1.5 / sigma**4)
    if sigma >= 4:
        assert found == pytest.approx(law, rel=0.03)


@pytest.mark.parametrize("kernel", [RBF(3.0), RationalQuadratic(3.0, 0.7), Matern52(6.0), RBFSum((2.0, 5.0))])
def test_escape_from_the_middle_of_uneven_data(kernel):
    points, mass = np.array([[0.0, 1.0], [2.0, 0.3], [1.0, -1.0]]), np.array([0.2, 0.3, 0.6])
    z = collapse_point(points, mass, kernel)
    assert np.abs(mass @ kernel.gradient(z - points)).max() < 1e-13
    assert np.abs(z - mass @ points / mass.sum()).max() > 1e-3  # not simply the mean
    # Two generated points near z: the Jacobian of their forces, by differences, has the rate of parting on it.
    speed, strength = 0.4, 1.3

    def force(both):
        both = both.reshape(2, 2)
        data = np.array([mass @ kernel.gradient(w - points) for w in both])
        others = 0.55 * (kernel.gradient(both - both[0]) + kernel.gradient(both - both[1]))
        return (speed / strength * (data - others)).ravel()

    # At rest the discriminator follows the common motion only; apart from it, the best one for both points at z stays.
    def apart(d):
        w = z + d
        rest = mass @ kernel.gradient(w - points) - mass.sum() * kernel.gradient(w - z)
        return speed / strength * rest

    h = 1e-5
    jacobian = np.column_stack([(apart(h * e) - apart(-h * e)) / (2 * h) for e in np.eye(2)])
    expected = np.linalg.eigvalsh((jacobian + jacobian.T) / 2)[-1]
    assert np.abs(force(np.concatenate([z, z]))).max() < 1e-12
    assert collapse_escape_rate(points, mass, kernel, speed, strength) == pytest.approx(expected, rel=1e-6)
    if not isinstance(kernel, Matern52):
        wide = kernel.scaled(40.0)
        law = collapse_escape_law(points, mass, wide, speed, strength)
        assert collapse_escape_rate(points, mass, wide, speed, strength) == pytest.approx(law, rel=0.03)


def test_bad_values_of_end_states():
    for call, name in [
        (lambda: split_radius(0, 1, 2, 1), "real_mass"),
        (lambda: split_radius(1, 0, 2, 1), "generated_mass"),
        (lambda: split_radius(1, 1, 2.5, 1), "points"),
        (lambda: split_radius(1, 1, 2, 0), "bandwidth"),
        (lambda: cycle_amplitude(1, 1, 0, 1, 1), "regularization"),
        (lambda: cycle_amplitude(1, 1, 1, 1, 1, "no"), "weighting"),
        (lambda: algebraic_decay(1, 0, 1, 1), "curvature"),
        (lambda: propulsion_speed(0, 1, 1, 1), "speed_ratio"),
        (lambda: propulsion_speed(1, 0, 1, 1), "generated_mass"),
        (lambda: propulsion_speed(1, 1, 0, 1), "curvature"),
        (lambda: propulsion_speed(1, 1, 1, -1), "regularization"),
        (lambda: propulsion_threshold(1, 1, 1, 0), "points"),
        (lambda: collapse_escape_rate([[0.0], [1.0]], [1.0], RBF(1), 1, 1), "real_mass"),
        (lambda: collapse_escape_rate([[0.0], [1.0]], [1.0, 1.0], RBF(1), 0, 1), "speed"),
        (lambda: collapse_escape_rate([[0.0], [1.0]], [1.0, 1.0], RBF(1), 1, 0), "regularization"),
        (lambda: collapse_escape_rate([[[0.0]]], [1.0], RBF(1), 1, 1), "real_points"),
    ]:
        with pytest.raises(ParameterError, match=f"^{name} = "):
            call()
    with pytest.raises(NotApplicable, match="Laplace"):
        collapse_escape_rate([0.0, 1.0], [0.5, 0.5], Laplace(1.0), 1, 1)
    with pytest.raises(NotApplicable, match="Matern32"):
        collapse_escape_law([0.0, 1.0], [0.5, 0.5], Matern32(1.0), 1, 1)
    with pytest.raises(NotApplicable, match="Newton"):
        collapse_point([0.0, 100.0], [0.5, 0.4], RBF(0.1))
