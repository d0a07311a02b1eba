"""Update rules: steps against their definitions, and their linearisation against the steps."""

import math

import numpy as np
import pytest

import ganscope as gs
from ganscope.analysis.pairing import largest_distance
from ganscope.dynamics.rules import CODES, DISCRIMINATOR, GENERATOR, RULES, make_step, multipliers, update_map


def linear_step(J, size):
    """The step of every rule for the velocity J w."""

    def velocity(part, g, d, vg, vd, context):
        v = J @ np.concatenate([g, d])
        if part != DISCRIMINATOR:
            vg[:] = v[:size]
        if part != GENERATOR:
            vd[:] = v[size:]

    return make_step(velocity)


def trajectory(J, size, rule, start, steps, momentum=0.0):
    step = linear_step(J, size)
    g, d = start[:size].copy(), start[size:].copy()
    memory = [np.zeros((2, len(x))) for x in (g, d)]
    path = [start]
    for k in range(steps):
        step(CODES[rule], momentum, k == 0, g, d, np.zeros_like(g), np.zeros_like(d), *memory, None)
        path.append(np.concatenate([g, d]))
    return np.array(path)


@pytest.fixture
def game():
    rng = np.random.default_rng(0)
    return 0.3 * rng.standard_normal((5, 5)), 2, rng.standard_normal(5)


def test_steps_are_their_definitions(game):
    J, size, w = game
    first = [trajectory(J, size, rule, w, 3, 0.4 if rule == "heavy_ball" else 0.0) for rule in RULES]
    alternating, simultaneous, extragradient, optimistic, heavy = first
    d = w[size:] + (J @ w)[size:]
    g = w[:size] + (J @ np.concatenate([w[:size], d]))[:size]
    np.testing.assert_allclose(alternating[1], np.concatenate([g, d]), rtol=1e-14)
    np.testing.assert_allclose(simultaneous[1], w + J @ w, rtol=1e-14)
    np.testing.assert_allclose(extragradient[1], w + J @ (w + J @ w), rtol=1e-14)
    for path in (optimistic, heavy):
        np.testing.assert_allclose(path[1], w + J @ w, rtol=1e-14)
    a, b = optimistic[1:3]
    np.testing.assert_allclose(optimistic[3], b + 2 * J @ b - J @ a, rtol=1e-12)
    a, b = heavy[1:3]
    np.testing.assert_allclose(heavy[3], b + J @ b + 0.4 * (b - a), rtol=1e-12)


@pytest.mark.parametrize("rule", RULES)
def test_the_update_map_is_the_map_of_the_steps(game, rule):
    J, size, w = game
    momentum = 0.4 if rule == "heavy_ball" else 0.0
    path = trajectory(J, size, rule, w, 6, momentum)
    matrix = update_map(J, size, rule, momentum)
    state = np.concatenate([path[2], path[1]])[: len(matrix)]
    for k in range(3, 7):
        state = matrix @ state
        np.testing.assert_allclose(state[:5], path[k], rtol=1e-11, atol=1e-13)


def test_the_order_of_alternating_steps_changes_the_map_but_not_its_spectrum(game):
    J, size, _ = game
    maps = [update_map(J, size, "alternating", order=order) for order in ("discriminator", "generator")]
    assert np.abs(maps[0] - maps[1]).max() > 1e-3
    assert largest_distance(*(np.linalg.eigvals(m) for m in maps)) < 1e-12


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule != "alternating"])
def test_multipliers_are_functions_of_the_eigenvalues(game, rule):
    J, size, _ = game
    momentum = -0.3 if rule == "heavy_ball" else 0.0
    expected = np.linalg.eigvals(update_map(J, size, rule, momentum))
    assert largest_distance(multipliers(np.linalg.eigvals(J), rule, momentum).ravel(), expected) < 1e-12


def test_the_flow_has_order_four(game):
    J, size, w = game
    from scipy.linalg import expm

    errors = []
    for steps in (8, 16, 32):
        end = trajectory(J * (4.0 / steps), size, "flow", w, steps)[-1]
        errors.append(np.linalg.norm(end - expm(4.0 * J) @ w))
    orders = -np.diff(np.log2(errors))
    assert np.all(np.abs(orders - 4) < 0.2)


def test_rules_without_a_function_of_the_flow_and_bad_momenta_are_refused(game):
    J, size, _ = game
    with pytest.raises(gs.NotApplicable, match="alternating"):
        multipliers([0.1], "alternating")
    for momentum in (1.0, -1.0, math.nan):
        with pytest.raises(gs.ParameterError, match="momentum"):
            update_map(J, size, "heavy_ball", momentum)
    with pytest.raises(gs.ParameterError, match="no momentum"):
        update_map(J, size, "simultaneous", 0.1)
    with pytest.raises(gs.ParameterError, match="Did you mean 'optimistic'"):
        update_map(J, size, "optimist")
