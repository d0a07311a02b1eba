"""Theory of the solvable model: closed forms against worked numbers, the drift's own Jacobian and symmetries."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

import ganscope as gs
from ganscope.analysis.linearisation import jacobian
from ganscope.analysis.spectrum import spectrum_from_values, spectrum_of, stability_of
from ganscope.games.solvable import phases
from ganscope.games.solvable.copying import copying_state
from ganscope.games.solvable.drift import drift
from ganscope.games.solvable.locked import active_states
from ganscope.games.solvable.phase_rule import phase, phase_margin
from ganscope.games.solvable.silence import (
    NoStationaryLength,
    quadratic_silence,
    silence,
    silent_matrix,
    smallest_regularization,
    stationary_length,
)
from ganscope.games.solvable.state import recovery

floats = lambda low, high: st.floats(low, high, allow_nan=False, allow_infinity=False)


def same_spectrum(found, expected, atol):
    """Pair eigenvalues by least distance: sorting complex numbers is not stable under rounding."""
    left = list(np.asarray(expected, complex))
    assert len(found) == len(left)
    for value in np.asarray(found, complex):
        nearest = min(range(len(left)), key=lambda i: abs(left[i] - value))
        assert abs(left.pop(nearest) - value) <= atol, (found, expected)


def silent_state(game, P, S=None):
    length = stationary_length(game)
    return gs.MacroState(P, np.zeros(game.features), S=S, z=length)


# Linearisation and spectra.


def test_the_jacobian_is_exact_for_polynomials_of_degree_four():
    field = lambda x: np.stack([x[..., 0] ** 4 - x[..., 1], x[..., 0] * x[..., 1] ** 3], axis=-1)
    x, y = 0.7, -1.3
    exact = [[4 * x**3, -1.0], [y**3, 3 * x * y**2]]
    np.testing.assert_allclose(jacobian(field, [x, y]), exact, rtol=1e-12)


def test_the_jacobian_of_a_batch_is_the_batch_of_jacobians_in_one_call():
    calls = []

    def field(x):
        calls.append(x.shape)
        return np.stack([np.sin(x[..., 0] * x[..., 1]), np.exp(x[..., 1]), np.tanh(x[..., 0])], axis=-1)

    points = np.array([[[0.3, 2.0], [-1.0, 0.5]], [[0.0, 0.0], [30.0, -4.0]]])
    found = jacobian(field, points)
    assert len(calls) == 1
    x, y = points[..., 0], points[..., 1]
    exact = np.zeros((2, 2, 3, 2))
    exact[..., 0, 0], exact[..., 0, 1] = y * np.cos(x * y), x * np.cos(x * y)
    exact[..., 1, 1], exact[..., 2, 0] = np.exp(y), 1 / np.cosh(x) ** 2
    # sin(30 y) varies on a scale of 1/30, and the step is 4e-3: (4e-3 * 30)^4 / 30 of the slope.
    np.testing.assert_allclose(found[0], exact[0], rtol=2e-10, atol=1e-11)
    np.testing.assert_allclose(found[1, 0], exact[1, 0], rtol=2e-10, atol=1e-11)
    np.testing.assert_allclose(found[1, 1], exact[1, 1], rtol=1e-5, atol=1e-12)


@pytest.mark.parametrize(
    "values, is_map, label, rate, period, stability",
    [
        ([-1, -3], False, "stable_node", 1, math.inf, "stable"),
        ([-3, -1 + 2j, -1 - 2j], False, "stable_spiral", 1, math.pi, "stable"),
        ([2j, -2j, -1], False, "centre", 0, math.pi, "marginal"),
        ([2, -1], False, "saddle", -2, math.inf, "unstable"),
        ([2, 1j, -1j], False, "unstable_node", -2, math.inf, "unstable"),
        ([2, 0.5], False, "unstable_node", -2, math.inf, "unstable"),
        ([1 + 1j, 1 - 1j, -1], False, "unstable_spiral", -1, 2 * math.pi, "unstable"),
        ([0, 1e-12, -2], False, "stable_node", 2, math.inf, "stable"),
        ([0, 0], False, "centre", 0, math.inf, "marginal"),
        ([0.5, 1], True, "stable_node", math.log(2), math.inf, "stable"),
        ([-0.5, 0.1], True, "stable_node", math.log(2), 2, "stable"),
        ([0.5j, -0.5j], True, "stable_spiral", math.log(2), 4, "stable"),
        ([-1.0, 0.5], True, "centre", 0, 2, "marginal"),
        ([-2.0, 0.5], True, "saddle", -math.log(2), 2, "unstable"),
        ([2j, -2j], True, "unstable_spiral", -math.log(2), 4, "unstable"),
        ([0, 0], True, "stable_node", math.inf, math.inf, "stable"),
    ],
)
def test_labels_of_spectra(values, is_map, label, rate, period, stability):
    spectrum = spectrum_from_values(values, is_map=is_map)
    assert (spectrum.label, stability_of(spectrum)) == (label, stability)
    np.testing.assert_allclose([spectrum.rate, spectrum.period], [rate, period], atol=1e-12)
    size = np.abs(spectrum.values) if is_map else spectrum.values.real
    assert np.all(np.diff(size) <= 0)


def test_a_spectrum_belongs_to_its_matrix():
    spectrum = spectrum_of([[-0.1, -2.0], [2.0, -0.1]])
    np.testing.assert_allclose(spectrum.eigenvalues, [-0.1 + 2j, -0.1 - 2j], atol=1e-14)
    with pytest.raises(AttributeError, match="a flow has eigenvalues"):
        spectrum.multipliers  # noqa: B018


# Silent states.


@pytest.mark.parametrize(
    "noise, lower, upper, detail",
    [
        (2, 0.8, 8, "success/silent"),
        (1, 0.2, 2, "oscillating"),
        (4, 3.2, 32, "mode_collapse"),
        (3, 1.8, 18, "success/silent"),
        (5, 5, 50, "no_learning"),
    ],
)
def test_thresholds_and_phases_of_the_paper(noise, lower, upper, detail):
    prediction = gs.predict(gs.SolvableGAN(data_noise=noise))
    assert prediction.detail == detail
    np.testing.assert_allclose(prediction.thresholds["lower"], lower, rtol=1e-14)
    np.testing.assert_allclose(prediction.thresholds["upper"], upper, rtol=1e-14)


@pytest.mark.parametrize(
    "data_noise, generator_noise, detail",
    [
        (3, 1, "success/silent"),
        (0, 4, "success/silent"),
        (2, 0, "oscillating"),
        (0, 2, "oscillating"),
        (1, math.sqrt(3), "oscillating"),
    ],
)
def test_only_the_sum_of_the_squared_noises_matters(data_noise, generator_noise, detail):
    prediction = gs.predict(gs.SolvableGAN(data_noise=data_noise, generator_noise=generator_noise))
    assert prediction.detail == detail
    level = data_noise**2 + generator_noise**2
    np.testing.assert_allclose(prediction.thresholds["upper"], level, rtol=1e-14)  # tau^2 / tau~ = 1 here
    np.testing.assert_allclose(prediction.thresholds["lower"], 0.1 * level, rtol=1e-14)


def test_overlaps_at_which_silent_states_turn_stable():
    thresholds = gs.predict(gs.SolvableGAN()).thresholds
    np.testing.assert_allclose(thresholds["critical_overlap"], [0.897998, 0.884433], atol=5e-7)
    np.testing.assert_allclose(thresholds["slow_overlap"], [0.987117, 0.963789], atol=5e-7)
    slow = phases.slow_overlap(5.0, quadratic_silence(3, 3, 0.2, 0.04))
    assert abs(slow - 0.932952) < 5e-7


def test_growth_near_silent_states_at_worked_values():
    rates = gs.predict(gs.SolvableGAN()).rates
    perfect = [-0.06 + 0.435890j, -0.06 - 0.435890j, -0.1 + 0.261534j, -0.1 - 0.261534j]
    pairs = lambda name: [complex(*pair) for pair in rates[name]]
    same_spectrum(pairs("perfect_eigenvalues"), perfect, 5e-7)
    same_spectrum(pairs("uninformed_eigenvalues"), [0.84, 0.44, -0.96, -0.64], 1e-12)
    np.testing.assert_allclose(rates["uninformed_growth"], [0.84, 0.44])
    np.testing.assert_allclose(rates["perfect_growth"], [-0.06, -0.1])
    np.testing.assert_allclose(rates["perfect_frequency"], [0.435890, 0.261534], atol=5e-7)
    np.testing.assert_allclose(rates["perfect_period"], 2 * np.pi / np.array([0.435890, 0.261534]), rtol=2e-6)


@pytest.mark.parametrize("regularization", [math.inf, 5.0])
def test_a_silent_state_is_critical_at_the_critical_overlap(regularization):
    game = gs.SolvableGAN(regularization=regularization, generator_noise=1.5)
    critical = gs.predict(game).thresholds["critical_overlap"]
    growth = lambda overlaps: np.linalg.eigvals(silent_matrix(game, np.diag(overlaps)))
    at = growth(critical)
    assert np.sort(np.abs(at))[1] < 1e-9  # one zero for each feature
    assert growth(np.array(critical) + 1e-3).real.max() < 0
    below = growth(np.array(critical) - [1e-3, -1e-3]).real
    assert (below > 0).sum() == 1


CASES = {
    "hard": {},
    "soft": {"regularization": 7.0},
    "noiseless data": {"data_noise": 0.0, "generator_noise": 1.2},
    "hard tanh": {"link": "tanh"},
    "soft tanh": {"link": "tanh", "regularization": 4.0, "generator_noise": 0.5},
    "noiseless tanh": {"link": "tanh", "data_noise": 0.0, "generator_noise": 1.2},
    "hard logistic": {"link": "logistic"},
    "soft logistic": {"link": "logistic", "regularization": 3.0, "generator_noise": 1.0},
    "tanh, atoms": {"link": "tanh", "latent": "rademacher"},
    "more features": {"feature_variance": (5.0, 3.0, 1.0), "latent_variance": (4.0, 2.0)},
    "more columns": {"feature_variance": (5.0,), "latent_variance": (4.0, 2.0), "regularization": 7.0},
}


@pytest.mark.parametrize("name", CASES)
def test_the_matrix_of_silent_states_is_the_jacobian_of_the_drift(name):
    game = gs.SolvableGAN(**CASES[name])
    random = np.random.default_rng(3)
    P = random.uniform(-0.4, 0.4, (game.features, game.columns))
    S = np.eye(game.columns) + 0.2 * (np.ones((game.columns, game.columns)) - np.eye(game.columns))
    at, base = game.layout, silent_state(game, P, S).vector()

    def rate(y):
        x = np.broadcast_to(base, (*y.shape[:-1], at.size)).copy()
        x[..., at.q : at.S] = y
        return drift(game, x)[..., at.q : at.S]

    found = jacobian(rate, np.zeros(game.features + game.columns))
    # Without noise s = c'q has the scale of q itself, and the slope at 0 is told from its neighbours only to h^2. With
    # atoms the drift averages over noise alone, where 81 nodes give two formulas for E tanh' that differ by 4e-7.
    atol = {"noiseless tanh": 2e-6, "tanh, atoms": 3e-7}.get(name, 1e-9)
    np.testing.assert_allclose(silent_matrix(game, P, S), found, atol=atol)
    np.testing.assert_allclose(drift(game, base), 0.0, atol=1e-12)


def test_one_feature_has_the_eigenvalues_of_its_block():
    game = gs.SolvableGAN(feature_variance=(5.0, 3.0, 1.2), generator_noise=1.0, regularization=6.0)
    overlaps = np.array([0.9, 0.4, -0.2])
    blocks = phases.silent_mode(game.feature_variance, overlaps, silence(game), game.discriminator_lr)
    same_spectrum(blocks.ravel(), np.linalg.eigvals(silent_matrix(game, np.diag(overlaps))), 1e-12)


@pytest.mark.parametrize("regularization, length", [(2, 1.42365), (5, 1.16139), (20, 1.04002), (100, 1.00800)])
def test_length_of_a_soft_silent_discriminator(regularization, length):
    game = gs.SolvableGAN(feature_variance=5.0, data_noise=2, regularization=regularization)
    assert abs(stationary_length(game) - length) < 1e-5
    thresholds, hard = gs.predict(game).thresholds, gs.predict(game.replace(regularization=math.inf)).thresholds
    np.testing.assert_allclose(thresholds["upper"], np.array(hard["upper"]) / stationary_length(game))
    assert thresholds["lower"] == hard["lower"]


def length_or_failure(game):
    try:
        return stationary_length(game)
    except NoStationaryLength as failure:
        return failure


@given(
    link=st.sampled_from(["quadratic", "tanh", "logistic"]),
    noises=st.tuples(floats(0, 3), floats(0, 3)),
    regularization=floats(0.3, 30),
)
def test_the_stationary_length_is_where_the_discriminator_stops_growing(link, noises, regularization):
    game = gs.SolvableGAN(
        feature_variance=5.0, data_noise=noises[0], generator_noise=noises[1], regularization=regularization, link=link
    )
    growth = lambda z: drift(game, np.array([0.0, 0.0, 0.0, 1.0, z]))[-1]
    length = length_or_failure(game)
    if isinstance(length, float):
        assert length > 0
        assert abs(growth(length)) < 1e-10 * max(1.0, length)
    else:
        assert link == "quadratic" or not length.grows  # bounded slopes cannot stretch without end
        assert growth(50.0) > 0 if length.grows else growth(1e-6) < 0


def test_below_its_limit_a_soft_penalty_gives_no_length():
    game = gs.SolvableGAN(feature_variance=5.0, data_noise=4, regularization=3)
    with pytest.raises(
        gs.ParameterError, match=r"regularization = 3.0: expected a number > 3.2: .* grow without bound"
    ):
        stationary_length(game)
    prediction = gs.predict(game)
    assert (prediction.outcome, prediction.detail) == ("diverged", "diverging")
    assert prediction.thresholds["regularization"] == pytest.approx(3.2)
    assert prediction.best["regularization_min"] == pytest.approx(3.2)
    assert "data_noise" in prediction.reasons[0]
    shrinking = gs.SolvableGAN(data_noise=0.5, generator_noise=4.0, discriminator_lr=0.05, regularization=1.0)
    with pytest.raises(gs.ParameterError, match="shrink to 0"):
        stationary_length(shrinking)
    assert gs.predict(shrinking).outcome == "undecided"
    limit = smallest_regularization(shrinking)
    assert 0 < stationary_length(shrinking.replace(regularization=1.001 * limit)) < 0.1
    assert isinstance(length_or_failure(shrinking.replace(regularization=0.999 * limit)), NoStationaryLength)


# Other equilibria.


def labelled(prediction, label):
    return [e for e in prediction.equilibria if e.label == label]


def test_the_discriminator_wins_at_a_saddle():
    prediction = gs.predict(gs.SolvableGAN(feature_variance=5.0, data_noise=2))
    (wins,) = labelled(prediction, "discriminator_wins")
    assert abs(wins.state.q[0] - 0.836660) < 5e-7
    assert wins.stability == "unstable"
    assert wins.spectrum.label == "saddle"
    same_spectrum(wins.spectrum.eigenvalues, [0.07468, -1.87468, -1.68, 0, 0], 5e-6)


def test_active_recovery_of_one_feature():
    prediction = gs.predict(gs.SolvableGAN(feature_variance=5.0, data_noise=0.5, generator_lr=0.19))
    large, small = labelled(prediction, "active_recovery")
    numbers = lambda e: [e.state.P[0, 0], e.state.q[0], e.state.r[0]]
    np.testing.assert_allclose(numbers(large), [0.945538, 0.891250, 0.942585], atol=5e-7)
    np.testing.assert_allclose(numbers(small), [0.246413, 0.026175, 0.106224], atol=5e-7)
    assert (large.stability, small.stability) == ("stable", "unstable")
    assert (prediction.outcome, prediction.detail) == ("converged", "success/active")


@pytest.mark.parametrize("noises", [(0.5, 0.5), (0.1, 0.4), (0.0, 0.0)])
def test_the_jacobian_of_active_recovery_is_that_of_the_drift(noises):
    game = gs.SolvableGAN(5.0, data_noise=noises[0], generator_noise=noises[1], generator_lr=0.19)
    P, q, r = (v[0] for v in phases.active_recovery(5.0, *noises, 0.2, 0.19))
    field = lambda y: drift(game, np.concatenate([y, np.ones_like(y[..., :2])], axis=-1))[..., :3]
    found = phases.active_recovery_jacobian(5.0, *noises, 0.2, 0.19)
    np.testing.assert_allclose(found, jacobian(field, [P, q, r]), atol=1e-10)


def test_the_generator_locks_the_discriminator():
    game = gs.SolvableGAN(feature_variance=5.0, data_noise=0.5, discriminator_lr=0.1, generator_lr=0.5)
    (lock,) = labelled(gs.predict(game), "generator_locks")
    same_spectrum(lock.spectrum.eigenvalues, [-2.0755, 0.5755, -3.995, 0, 0], 5e-5)
    assert np.isnan(phases.generator_locks(5.0, 0.5, 0.5, 0.1, 0.1 * (1 + 0.025 / 5)))  # exists above this rate only
    assert np.isfinite(phases.generator_locks(5.0, 0.5, 0.5, 0.1, 0.1 * (1 + 0.026 / 5)))


def test_an_unmodelled_feature_pins_the_discriminator():
    assert abs(phases.pinned_critical_overlap(4, 2, 1.2, 1.2, 0.2, 0.05) - 0.8855) < 1e-4
    game = gs.SolvableGAN((4, 3, 2), (4, 3), data_noise=1.2, generator_lr=0.05)
    q = float(phases.discriminator_wins(2.0, 1.2, 1.2, 0.2))
    at = gs.MacroState([[0.95, 0], [0, 0.9], [0, 0]], [0, 0, q])
    assert np.abs(game.velocity(at).vector()).max() < 1e-12
    values = gs.spectrum(game, at).eigenvalues
    moving = values[np.abs(values) > 1e-6]
    expected = [-0.4625, -0.0687 + 0.2194j, -0.0687 - 0.2194j, -0.5414, -0.0543 + 0.1183j, -0.0543 - 0.1183j, -0.6848]
    same_spectrum(moving, expected, 8e-5)
    prediction = gs.predict(game)
    (pinned,) = labelled(prediction, "pinned")
    assert pinned.stability == "stable"
    assert prediction.outcome == "undecided"
    assert any("pinned" in reason for reason in prediction.reasons)
    overlaps = phases.pinned_critical_overlap(np.array([4, 3]), 2.0, 1.2, 1.2, 0.2, 0.05)
    np.testing.assert_allclose(prediction.thresholds["pinned_overlap"], [*overlaps, np.nan])


@given(strength=floats(0.3, 8), pinning=floats(0.3, 8), overlap=floats(0, 1), speed=floats(0.05, 1.9))
def test_the_pinned_overlap_is_where_the_modelled_feature_turns_stable(strength, pinning, overlap, speed):
    tau, noise = 0.2, 0.8
    held = float(phases.discriminator_wins(pinning, noise, noise, tau))
    critical = float(phases.pinned_critical_overlap(strength, pinning, noise, noise, tau, tau * speed))
    L, Lp, p = strength, pinning, overlap
    matrix = tau * np.array(
        [
            [L - Lp, -p * L, 0],
            [p * L, -L - Lp + speed * L, Lp * held],
            [0, speed * L * held, 0],
        ]
    )
    growth = np.linalg.eigvals(matrix).real.max()
    if abs(overlap - critical) > 1e-3 and abs(growth) > 1e-6:
        assert (growth < 0) == (overlap > critical)


GAMES = {
    "two features": {},
    "weak noise": {"data_noise": 0.3, "generator_lr": 0.1},
    "no noise": {"data_noise": 0.0},
    "fast generator": {"generator_lr": 0.9, "generator_noise": 0.4, "data_noise": 0.7},
    "collapse": {"feature_variance": (5.0, 1.0), "data_noise": 4.0},
    "copies": {"feature_variance": (6.8, 0.96), "data_noise": 0.3, "generator_lr": 0.2},
    "soft": {"data_noise": 0.3, "generator_noise": 0.5, "generator_lr": 0.1, "regularization": 20.0},
    "soft copies": {"feature_variance": (6.8, 0.96), "data_noise": 0.3, "generator_lr": 0.2, "regularization": 20.0},
    "unmodelled": {"feature_variance": (4.0, 3.0, 2.0), "latent_variance": (4.0, 3.0), "data_noise": 1.2},
    "spare column": {
        "feature_variance": (4.0,),
        "latent_variance": (4.0, 3.0),
        "data_noise": 0.1,
        "generator_lr": 0.3,
    },
    "other latents": {"latent_variance": (4.0, 6.0)},
    "soft unmodelled": {"feature_variance": (4.0, 2.0), "latent_variance": (4.0,), "regularization": 9.0},
    "tanh": {"link": "tanh", "generator_noise": 1.0, "regularization": 3.0},
}
EXPECTED_LABELS = {
    "weak noise": {"silent_uninformed", "silent_perfect", "discriminator_wins", "active_recovery"},
    "fast generator": {"generator_locks", "active_recovery"},
    "collapse": {"silent_collapsed"},
    "copies": {"active_collapse"},
    "soft": {"discriminator_wins", "active_recovery"},
    "soft copies": {"active_collapse"},
    "unmodelled": {"pinned"},
    "soft unmodelled": {"pinned"},
    "spare column": {"active_collapse", "active_recovery"},
    "tanh": {"silent_uninformed", "silent_perfect"},
}


@pytest.mark.parametrize("name", GAMES)
def test_the_ode_rests_at_every_equilibrium(name):
    game = gs.SolvableGAN(**GAMES[name])
    equilibria = gs.predict(game).equilibria
    assert {e.label for e in equilibria} >= EXPECTED_LABELS.get(name, set())
    for equilibrium in equilibria:
        gs.MacroState(**equilibrium.state.to_dict())  # a Gram matrix
        assert np.abs(game.velocity(equilibrium.state).vector()).max() < 1e-10, equilibrium.label
        values = equilibrium.spectrum.eigenvalues
        conserved = game.columns + 1 if game.hard else 0
        numbers = game.features * game.columns + game.features + game.columns * (game.columns + 3) // 2 + 1
        assert len(values) == numbers
        assert np.sum(values == 0) >= conserved


@pytest.mark.parametrize("name", ["two features", "soft", "unmodelled", "tanh"])
def test_silent_equilibria_have_the_spectrum_of_their_matrix(name):
    game = gs.SolvableGAN(**GAMES[name])
    for label, P in (("silent_uninformed", 0.0), ("silent_perfect", 1.0)):
        (silent,) = labelled(gs.predict(game), label)
        overlap = P * np.eye(game.features, game.columns)
        own = np.linalg.eigvals(silent_matrix(game, overlap))
        values = list(silent.spectrum.eigenvalues)
        for value in own:  # among all the others, which are 0, or negative for lengths
            values.pop(int(np.argmin(np.abs(np.array(values) - value))))
            assert np.abs(silent.spectrum.eigenvalues - value).min() < 1e-9
        assert np.all(np.real(values) < 1e-9)


def test_a_lone_soft_column_recovers_like_a_hard_one_at_strong_penalty():
    hard = gs.SolvableGAN(feature_variance=5.0, data_noise=0.5, generator_lr=0.19)
    soft = hard.replace(regularization=1e4)
    np.testing.assert_allclose(active_states(soft, 5.0), active_states(hard, 5.0), atol=2e-3)


@pytest.mark.parametrize("regularization", [math.inf, 30.0])
def test_copies_of_one_feature_attract_where_their_spectrum_says_so(regularization):
    game = gs.SolvableGAN(feature_variance=(6.8, 0.96), data_noise=0.3, generator_lr=0.2, regularization=regularization)
    state = copying_state(game)
    assert stability_of(gs.spectrum(game, state)) == "stable"
    rate = lambda t, x: drift(game, x)
    end = solve_ivp(rate, (0, 3000), game.start.vector(), method="LSODA", rtol=1e-8, atol=1e-10).y[:, -1]
    end = gs.MacroState.from_vector(end, 2, 2)
    np.testing.assert_allclose(recovery(end.P, end.S), recovery(state.P, state.S), atol=1e-6)
    np.testing.assert_allclose(np.abs(end.r), np.abs(state.r), atol=1e-6)
    prediction = gs.predict(game)
    assert (prediction.outcome, prediction.detail) == ("undecided", "active_lock_possible")
    assert any("copies" in reason for reason in prediction.reasons)


# Predictions.

# Phases of one feature of strength 5 at discriminator_lr 0.2; rows are speed ratios, columns noises. Where a run ends
# partly recovered ("p") the rule says success.
MAP_NOISES = (0.1, 0.25, 0.5, 0.75, 1, 1.5, 2, 3, 4, 6)
MAP = {0.05: "AOOOSSSSSN", 0.1: "AAOOOSSSSN", 0.2: "AAOOOOSSSN", 0.5: "AAAAAOOSSN", 1: "AAAAAAOOpN"}
LETTERS = {"A": "success/active", "O": "oscillating", "S": "success/silent", "p": "success/silent", "N": "no_learning"}
EITHER = {(0.2, 0.5), (0.05, 0.25)}


@pytest.mark.parametrize("ratio", MAP)
def test_phase_map_of_one_feature(ratio):
    for noise, letter in zip(MAP_NOISES, MAP[ratio], strict=True):
        game = gs.SolvableGAN(feature_variance=5.0, data_noise=noise, generator_lr=0.2 * ratio)
        detail = gs.predict(game).detail
        allowed = {LETTERS[letter]} | ({"success/active", "oscillating"} if (ratio, noise) in EITHER else set())
        assert detail in allowed, (ratio, noise)


@pytest.mark.parametrize("noise, detail", [(0.75, "oscillating"), (1.5, "oscillating"), (1.6, "success/silent")])
def test_one_feature_between_oscillation_and_silence(noise, detail):
    assert gs.predict(gs.SolvableGAN(feature_variance=5.0, data_noise=noise)).detail == detail


@pytest.mark.parametrize("noise", [0.05, 0.2, 0.5, 1.0])
def test_two_similar_features_oscillate_at_weak_noise(noise):
    assert gs.predict(gs.SolvableGAN(data_noise=noise)).detail == "oscillating"


def test_several_features_may_lock_one():
    lock = gs.predict(gs.SolvableGAN(feature_variance=(5, 0.1), data_noise=0.3))
    assert (lock.outcome, lock.detail) == ("undecided", "active_lock_possible")
    orbit = gs.predict(gs.SolvableGAN(feature_variance=(5, 1), data_noise=1, generator_lr=0.1))
    assert orbit.detail == "oscillating"
    assert bool(phases.active_recovery_attracts(5.0, 1, 1, 0.2, 0.1))  # though it would lock alone


def test_exactly_on_a_threshold_is_near_critical():
    on = gs.predict(gs.SolvableGAN(data_noise=5))
    assert (on.outcome, on.detail) == ("uninformative", "no_learning")
    assert on.near_critical
    assert on.margin < 1e-14
    off = gs.predict(gs.SolvableGAN(data_noise=6))
    assert not off.near_critical
    assert off.margin == pytest.approx(1 - 5 / 7.2)


@pytest.mark.parametrize("noise, generator_lr", [(0.5, 0.1), (0.45, 0.05), (0.75, 0.1)])
def test_the_margin_of_one_feature_ends_where_its_lock_does(noise, generator_lr):
    game = gs.SolvableGAN(5.0, data_noise=noise, generator_lr=generator_lr)
    here = gs.predict(game)
    assert here.detail in ("success/active", "oscillating")
    detail = lambda change: gs.predict(game.replace(feature_variance=5.0 * change)).detail
    near, far = 1 - 0.999 * here.margin, 1 - 1.001 * here.margin
    assert detail(near) == detail(1 / near) == here.detail
    assert {detail(far), detail(1 / far)} != {here.detail}


@pytest.mark.parametrize(
    "changes, reason",
    [
        ({"link": "tanh"}, "link is not quadratic"),
        ({"latent_variance": (5, 4)}, "latent_variance differs from feature_variance"),
        ({"latent_variance": (5,)}, "2 features and latent_variance 1 columns"),
        ({"feature_variance": (5, 5)}, "equal entries"),
        ({"generator_lr": 0.4}, "generator_lr / discriminator_lr is 2; the decision rule needs less than 2"),
        ({"initial": gs.MacroState([[0.1, 0], [0, 0.6]], [0.1, 0.1])}, "already recovers feature 2 to 0.6"),
        ({"initial": gs.MacroState([[0.1, 0], [0, 0.1]], [0, 0])}, "stationary"),
        ({"initial": gs.MacroState([[0.1, 0], [0, 0.1]], [0.1, 0])}, "feature 2, column 2 no overlap"),
    ],
)
def test_where_the_decision_rule_does_not_apply(changes, reason):
    prediction = gs.predict(gs.SolvableGAN(**changes))
    assert (prediction.outcome, prediction.detail) == ("undecided", "unknown")
    assert any(reason in sentence for sentence in prediction.reasons), prediction.reasons
    assert prediction.rates["uninformed_eigenvalues"]
    assert prediction.rates["perfect_eigenvalues"]
    for sentence in prediction.reasons:
        assert not any(symbol in sentence for symbol in ("eta", "Lam", "tau", "rho"))


def test_small_generic_starts_change_nothing(setting_w):
    plain = gs.predict(gs.SolvableGAN())
    for initial in (setting_w, "random", gs.MacroState([[0.1, 0], [0, 0.1]], [0.1, 0], [0, 0.05])):
        assert gs.predict(gs.SolvableGAN(initial=initial)).detail == plain.detail


def test_a_prediction_records_the_question_and_is_plain_data():
    game = gs.SolvableGAN()
    prediction = gs.predict(game, level="chain", rule="alternating")
    assert (prediction.level, prediction.rule, prediction.game) == ("chain", "alternating", game)
    text = json.dumps(prediction.to_dict())
    assert json.loads(text)["thresholds"]["upper"] == pytest.approx([8, 8])
    with pytest.raises(gs.ParameterError, match="level = 'odee': expected one of chain, ode, sde, sgd"):
        gs.predict(game, level="odee")
    with pytest.raises(gs.ParameterError, match="rule = 'optimistic'"):
        gs.predict(game, level="sgd", rule="optimistic")
    with pytest.raises(gs.ParameterError, match="expected nothing: level 'ode' has no step size"):
        gs.predict(game, step_size=0.1)


def test_recommended_values_lead_to_success():
    game = gs.SolvableGAN(data_noise=1.0)
    best = gs.predict(game).best
    assert best["generator_lr_max"] == pytest.approx(0.2**2 * 2 / 5)
    assert best["discriminator_lr_max"] == pytest.approx(2 * 3 / 2)
    np.testing.assert_allclose([best["data_noise_low"], best["data_noise_high"]], [math.sqrt(2.5), math.sqrt(15)])
    succeeds = lambda **changes: gs.predict(game.replace(**changes)).detail == "success/silent"
    assert succeeds(data_noise=best["data_noise"])
    assert succeeds(data_noise=game.data_noise + best["added_noise"])
    for name, inside in (("data_noise_low", 1.001), ("data_noise_high", 0.999)):
        assert succeeds(data_noise=best[name] * inside)
        assert not succeeds(data_noise=best[name] / inside)
    assert succeeds(generator_lr=best["generator_lr_max"] * 0.999)
    assert not succeeds(generator_lr=best["generator_lr_max"] * 1.001)
    # With noises of their own, both sides take the same added variance.
    uneven = gs.SolvableGAN(data_noise=0.5, generator_noise=1.5)
    added = gs.predict(uneven).best["added_noise"]
    assert added > 0
    assert gs.predict(uneven.replace(data_noise=0.5 + added, generator_noise=1.5 + added)).detail == "success/silent"
    assert (0.5 + added) ** 2 + (1.5 + added) ** 2 == pytest.approx(math.sqrt((5 * 1) * (2 * 3 / 0.2)))
    low = gs.predict(uneven).best["data_noise_low"]
    assert gs.predict(uneven.replace(data_noise=1.001 * low)).detail == "success/silent"
    # No noise gives a window when the strengths differ by more than the ratio of the thresholds.
    assert math.isnan(gs.predict(gs.SolvableGAN(feature_variance=(5, 0.4))).best["data_noise_low"])
    assert gs.predict(gs.SolvableGAN()).best["added_noise"] == 0
    soft = gs.SolvableGAN(data_noise=1.0, regularization=3.0)
    limit = gs.predict(soft).best["generator_lr_max"]
    assert gs.predict(soft.replace(generator_lr=0.999 * limit)).detail == "success/silent"
    assert gs.predict(soft.replace(generator_lr=1.001 * limit)).detail != "success/silent"


@pytest.mark.parametrize(
    "regularization, noise, generator_lr, label",
    [
        (2.0, 2.0, 0.04, "success"),  # upper threshold 5.6; 8 without the length
        (1.0, 2.0, 0.04, "oscillating"),  # 3.8
        (4.0, 4.0, 0.04, "mode_collapse"),
        (8.0, 6.0, 0.08, "no_learning"),
    ],
)
def test_the_decision_rule_holds_under_a_soft_penalty(regularization, noise, generator_lr, label):
    game = gs.SolvableGAN(data_noise=noise, generator_lr=generator_lr, regularization=regularization)
    prediction = gs.predict(game)
    assert prediction.detail.split("/")[0] == label
    times = np.linspace(0, 600, 601)
    rate = lambda t, x: drift(game, x)
    states = solve_ivp(rate, (0, 600), game.start.vector(), method="LSODA", t_eval=times, rtol=1e-7, atol=1e-9).y.T
    P, S = states[450:, :4].reshape(-1, 2, 2), states[450:, 8:12].reshape(-1, 2, 2)
    late = recovery(P, S)
    activity = states[450:, 4:6] / np.sqrt(states[450:, -1:])
    moves = max(np.ptp(late, axis=0).max(), np.ptp(activity, axis=0).max()) > 0.05
    found = {(True, True): "success", (True, False): "mode_collapse", (False, False): "no_learning"}
    assert ("oscillating" if moves else found[tuple(late[-1] >= 0.7)]) == label


# Properties.

STRENGTHS = st.lists(floats(0.1, 9), min_size=1, max_size=4, unique=True)


@given(strengths=STRENGTHS, noise=floats(0.2, 5), ratio=floats(0.05, 1.5), seed=st.integers(0, 10))
def test_the_order_of_features_does_not_matter(strengths, noise, ratio, seed):
    order = np.random.default_rng(seed).permutation(len(strengths))
    predict = lambda values: gs.predict(gs.SolvableGAN(values, data_noise=noise, generator_lr=0.2 * ratio))
    one, other = predict(tuple(strengths)), predict(tuple(np.array(strengths)[order]))
    assert (one.detail, one.near_critical) == (other.detail, other.near_critical)
    np.testing.assert_allclose(one.margin, other.margin, rtol=1e-9)
    for name in ("critical_overlap", "slow_overlap"):
        np.testing.assert_allclose(np.array(one.thresholds[name])[order], other.thresholds[name])


@given(
    signs=st.tuples(*[st.sampled_from([-1.0, 1.0])] * 3),
    regularization=st.sampled_from([math.inf, 6.0]),
    link=st.sampled_from(["quadratic", "tanh"]),
)
def test_spectra_do_not_see_signs(setting_w, signs, regularization, link):
    game = gs.SolvableGAN(regularization=regularization, link=link)
    flip, columns = signs[0], np.array(signs[1:])
    S = np.array([[1.0, 0.2], [0.2, 1.0]])
    start = gs.MacroState(setting_w.P, setting_w.q, setting_w.r, S)
    mirrored = gs.MacroState(
        setting_w.P * columns, flip * setting_w.q, flip * setting_w.r * columns, S * np.outer(columns, columns)
    )
    same_spectrum(gs.spectrum(game, start).eigenvalues, gs.spectrum(game, mirrored).eigenvalues, 1e-9)


@settings(max_examples=300)
@given(
    strengths=STRENGTHS,
    lower=floats(0.2, 3),
    width=floats(1.05, 20),
    flags=st.tuples(*[st.booleans()] * 5),
    seed=st.integers(0, 1000),
)
def test_the_margin_is_how_far_strengths_may_change(strengths, lower, width, flags, seed):
    values, locks, copying = np.array(strengths), np.array(flags[: len(strengths)]), flags[4]
    upper = lower * width
    here = phase(values, lower, upper, locks, copying)
    margin = phase_margin(values, lower, upper, locks, copying)
    assert margin <= 1
    random = np.random.default_rng(seed)
    distance = 0.999 * margin * random.uniform(0, 1, (50, len(values)))
    for change in np.where(random.random(distance.shape) < 0.5, 1 - distance, 1 / (1 - distance)):
        assert phase(values * change, lower, upper, locks, copying) == here
    reach = min(1.001 * margin + 1e-9, 1 - 1e-9)  # far enough: some corner of the box is in another phase
    steps = np.array([1 - reach, 1 / (1 - reach), 1.0])
    middle = np.clip(math.sqrt(lower * upper), values * (1 - reach), values / (1 - reach))
    corners = np.stack(np.meshgrid(*[np.append(v * steps, m) for v, m in zip(values, middle, strict=True)]), axis=-1)
    assert any(phase(corner, lower, upper, locks, copying) != here for corner in corners.reshape(-1, len(values)))


@given(strength=floats(0.2, 9), noises=st.tuples(floats(0, 4), floats(0, 4)), ratio=floats(0.02, 1.9))
def test_routh_and_the_full_spectrum_agree_on_active_recovery(strength, noises, ratio):
    game = gs.SolvableGAN(strength, data_noise=noises[0], generator_noise=noises[1], generator_lr=0.2 * ratio)
    states = active_states(game, strength)
    attracts = bool(phases.active_recovery_attracts(strength, *noises, 0.2, 0.2 * ratio))
    if not states:
        assert not attracts
        return
    P, q, r, S, z = states[0]
    spectrum = gs.spectrum(game, gs.MacroState([[P]], [q], [r], [[S]], z))
    if abs(spectrum.rate) > 1e-6 and min(np.abs(spectrum.values[np.abs(spectrum.values) > 0])) > 1e-5:
        assert attracts == (stability_of(spectrum) == "stable")


# Spectra at a point.


def test_the_spectrum_at_the_start_is_that_of_its_silent_state(setting_w):
    game = gs.SolvableGAN(initial=setting_w)
    spectrum = gs.spectrum(game)
    own = np.linalg.eigvals(silent_matrix(game, setting_w.P))
    same_spectrum(spectrum.eigenvalues, [*own, *np.zeros(8)], 1e-9)
    for rule in ("simultaneous", "alternating", "flow"):
        np.testing.assert_array_equal(gs.spectrum(game, rule=rule).eigenvalues, spectrum.eigenvalues)


def test_the_soft_spectrum_at_the_start_has_the_stationary_length(setting_w):
    game = gs.SolvableGAN(initial=setting_w, regularization=2.0)
    values = gs.spectrum(game).eigenvalues
    for value in np.linalg.eigvals(silent_matrix(game, setting_w.P)):
        assert np.abs(values - value).min() < 1e-9


def test_what_a_spectrum_cannot_be_asked():
    game = gs.SolvableGAN()
    with pytest.raises(gs.NotApplicable, match="rule = 'optimistic': the spectrum is that of the limiting ODE"):
        gs.spectrum(game, rule="optimistic")
    with pytest.raises(gs.ParameterError, match="momentum"):
        gs.spectrum(game, momentum=0.9)
    with pytest.raises(gs.ParameterError, match="a MacroState or None"):
        gs.spectrum(game, at=[0.1, 0.2])
    with pytest.raises(gs.ParameterError, match=r"P of shape \(2, 2\)"):
        gs.spectrum(game, at=gs.MacroState([[0.1]], [0.1]))
    with pytest.raises(gs.ParameterError, match="regularization = inf keeps"):
        gs.spectrum(game, at=gs.MacroState(np.eye(2) * 0.1, [0.1, 0.1], z=1.5))
    with pytest.raises(gs.NotApplicable, match="random start"):
        gs.spectrum(gs.SolvableGAN(initial="random"))
