"""The solvable game as a value: its parameters, its symmetries, and what data make of it."""

import numpy as np
import pytest
from conftest import packed
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_digits

import ganscope as gs
from ganscope.games.solvable.data import component_scores, describe
from ganscope.games.solvable.state import recovery

BAD = [
    ({"feature_variance": (5, -1)}, "feature_variance = .*numbers > 0"),
    ({"feature_variance": (5, np.nan)}, "feature_variance"),
    ({"feature_variance": ()}, "at least one"),
    ({"feature_variance": [[1, 2]]}, "one positive number per feature"),
    ({"feature_variance": "five"}, "feature_variance"),
    ({"latent_variance": (5, 0)}, "latent_variance = .*numbers > 0"),
    ({"data_noise": -0.1}, "data_noise = -0.1: expected a finite number >= 0"),
    ({"data_noise": np.inf}, "data_noise"),
    ({"generator_noise": -2}, "generator_noise = -2: expected a finite number >= 0"),
    ({"discriminator_lr": 0}, "discriminator_lr = 0: expected a finite number > 0"),
    ({"generator_lr": -0.04}, "generator_lr = -0.04: expected a finite number > 0"),
    ({"generator_lr": "fast"}, "generator_lr"),
    ({"regularization": 0}, "regularization = 0: expected a number > 0 .infinity allowed."),
    ({"regularization": np.nan}, "regularization"),
    ({"link": "tan"}, "logistic, quadratic, tanh. Did you mean 'tanh'"),
    ({"link": 3}, "a pair of callables"),
    ({"link": (np.sin,)}, "a pair of callables"),
    ({"link_bias": np.inf}, "link_bias"),
    ({"latent": "gauss"}, "Did you mean 'gaussian'"),
    ({"latent": np.ones((5, 2))}, "columns that vary"),
    ({"latent": np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 9.0]])}, "mean 0"),
    ({"latent": np.array([[1.0, 1.0], [-1.0, -1.0]])}, "uncorrelated"),
    ({"latent": np.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])}, "variances of the rows"),
    ({"latent": np.zeros(3)}, "samples, features"),
    ({"initial": "randm"}, "Did you mean 'random'"),
    ({"initial": 3}, "a MacroState"),
    ({"initial": gs.MacroState([[0.1]], [0.1])}, "P of shape"),
    ({"initial": gs.MacroState(0.1 * np.eye(2), [0.1, 0.1], z=1.1)}, "squared lengths"),
    ({"initial": gs.MacroState(0.1 * np.eye(2), [0.1, 0.1], S=1.2 * np.eye(2))}, "squared lengths"),
]


@pytest.mark.parametrize("parameters, text", BAD)
def test_bad_parameters_are_refused(parameters, text):
    with pytest.raises(gs.ParameterError, match=text):
        gs.SolvableGAN(**parameters)


@pytest.mark.parametrize(
    "arguments, text",
    [
        (([[1.2]], [0.1]), "Gram matrix"),
        (([[0.9]], [0.9], [0.0]), "Gram matrix"),
        (([[np.nan]], [0.1]), "P"),
        (([0.1], [0.1]), "P"),
        (([[0.1]], [0.1, 0.2]), "one per row of P"),
        (([[0.1]], [0.1], [0.1, 0.2]), "one per column of P"),
        (([[0.1]], [0.1], [0.1], [[1.0, 0.0]]), "symmetric"),
        (([[0.1]], [0.1], [0.01], [[1.0]], 0.0), "z = 0"),
    ],
)
def test_a_state_that_is_not_a_gram_matrix_is_refused(arguments, text):
    with pytest.raises(gs.ParameterError, match=text):
        gs.MacroState(*arguments)


def test_the_default_start():
    state = gs.SolvableGAN((5, 3, 2), (4, 3)).start
    np.testing.assert_array_equal(state.P, 0.1 * np.eye(3, 2))
    np.testing.assert_allclose(state.q, 0.1)
    np.testing.assert_allclose(state.r, [0.01, 0.01])
    assert state.z == 1.0
    with pytest.raises(gs.NotApplicable, match="random start"):
        _ = gs.SolvableGAN(initial="random").start


@given(
    st.lists(st.floats(0.1, 10), min_size=1, max_size=4),
    st.lists(st.floats(0.1, 10), min_size=1, max_size=4),
    st.floats(0, 5),
    st.floats(0.001, 1),
)
def test_json_rebuilds_any_game(features, latents, noise, rate):
    game = gs.SolvableGAN(features, latents, data_noise=noise, discriminator_lr=rate, regularization=7.5)
    again = gs.from_json(gs.to_json(game))
    assert again == game
    assert again.stream_name() == game.stream_name()
    assert hash(again) == hash(game)


STARTS = st.tuples(*[st.floats(-0.4, 0.4)] * 6)
SHORT = {"horizon": 10.0, "save_at": [2.0, 10.0]}


def start_of(values):
    return gs.MacroState(np.reshape(values[:4], (2, 2)), values[4:])


def parts(run):
    return {name: run[name].values for name in ("P", "q", "r", "S", "z")}


@given(STARTS, st.sampled_from(["quadratic", "tanh"]))
def test_turning_the_discriminator_round_changes_nothing_else(values, link):
    start = start_of(values)
    turned = gs.MacroState(start.P, -start.q, -start.r, start.S, start.z)
    one = parts(gs.simulate(gs.SolvableGAN(initial=start, link=link), "ode", **SHORT))
    other = parts(gs.simulate(gs.SolvableGAN(initial=turned, link=link), "ode", **SHORT))
    for name, sign in (("P", 1), ("q", -1), ("r", -1), ("S", 1), ("z", 1)):
        np.testing.assert_allclose(other[name], sign * one[name], atol=1e-10)


@given(STARTS)
def test_turning_a_generator_column_round_changes_nothing_else(values):
    start, flip = start_of(values), np.array([1.0, -1.0])
    turned = gs.MacroState(start.P * flip, start.q, start.r * flip, start.S * np.outer(flip, flip), start.z)
    one = parts(gs.simulate(gs.SolvableGAN(initial=start), "ode", **SHORT))
    other = parts(gs.simulate(gs.SolvableGAN(initial=turned), "ode", **SHORT))
    np.testing.assert_allclose(other["P"], one["P"] * flip, atol=1e-10)
    np.testing.assert_allclose(other["r"], one["r"] * flip, atol=1e-10)
    np.testing.assert_allclose(other["S"], one["S"] * np.outer(flip, flip), atol=1e-10)
    np.testing.assert_allclose(other["q"], one["q"], atol=1e-10)


@given(STARTS)
def test_features_and_columns_may_be_renamed(values):
    start, swap = start_of(values), [1, 0]
    game = gs.SolvableGAN((5, 3), (4, 2), initial=start)
    one = parts(gs.simulate(game, "ode", **SHORT))
    features = gs.MacroState(start.P[swap], start.q[swap], start.r, start.S, start.z)
    other = parts(gs.simulate(gs.SolvableGAN((3, 5), (4, 2), initial=features), "ode", **SHORT))
    np.testing.assert_allclose(other["P"], one["P"][:, swap], atol=1e-10)
    np.testing.assert_allclose(other["q"], one["q"][:, swap], atol=1e-10)
    columns = gs.MacroState(start.P[:, swap], start.q, start.r[swap], start.S[np.ix_(swap, swap)], start.z)
    other = parts(gs.simulate(gs.SolvableGAN((5, 3), (2, 4), initial=columns), "ode", **SHORT))
    np.testing.assert_allclose(other["P"], one["P"][:, :, swap], atol=1e-10)
    np.testing.assert_allclose(other["r"], one["r"][:, swap], atol=1e-10)


@given(STARTS)
def test_every_state_of_a_run_is_a_gram_matrix_and_keeps_the_constraint(values):
    run = gs.simulate(gs.SolvableGAN(initial=start_of(values)), "ode", horizon=40.0)
    for row in packed(run)[::20]:
        state = gs.MacroState.from_vector(row, 2, 2)
        assert np.linalg.eigvalsh(state.gram)[0] > -1e-7
        np.testing.assert_allclose(np.append(np.diag(state.S), state.z), 1.0, atol=1e-9)


def test_the_slow_generator_needs_no_noise_to_follow():
    """Without features in the noise, the start q = r = 0 stays for ever."""
    start = gs.MacroState(0.1 * np.eye(2), [0.0, 0.0])
    run = gs.simulate(gs.SolvableGAN(initial=start), "ode", horizon=50)
    np.testing.assert_array_equal(run.q.values, 0.0)
    np.testing.assert_allclose(run.P.values, np.broadcast_to(start.P, run.P.shape))


@given(st.integers(0, 10**6))
def test_recovery_is_the_length_of_the_projection(seed):
    rng = np.random.default_rng(seed)
    U = np.linalg.qr(rng.standard_normal((12, 3)))[0]
    V = rng.standard_normal((12, 2))
    basis = np.linalg.qr(V)[0]
    expected = np.linalg.norm(basis.T @ U, axis=0)
    np.testing.assert_allclose(recovery(U.T @ V, V.T @ V), expected, atol=1e-10)
    doubled = np.column_stack([V[:, 0], V[:, 0]])  # a collapsed generator spans one direction
    line = V[:, 0] / np.linalg.norm(V[:, 0])
    np.testing.assert_allclose(recovery(U.T @ doubled, doubled.T @ doubled), np.abs(line @ U), atol=1e-7)


def low_rank(samples=4000, dimension=20, seed=0):
    rng = np.random.default_rng(seed)
    axes = np.linalg.qr(rng.standard_normal((dimension, 2)))[0]
    return rng.standard_normal((samples, 2)) * np.sqrt([8.0, 4.0]) @ axes.T + np.sqrt(0.5) * rng.standard_normal(
        (samples, dimension)
    )


def test_fit_recovers_a_model_that_made_the_data():
    game = gs.fit(gs.SolvableGAN, low_rank(), scale=None)
    assert game.features == 2
    np.testing.assert_allclose(game.feature_variance, (8.0, 4.0), rtol=0.1)
    assert game.data_noise == pytest.approx(0.5, rel=0.03)
    assert game.generator_noise == game.data_noise


def test_fit_scales_and_adds_noise():
    report = describe(low_rank(), 2)
    assert report.eigenvalues[0] == pytest.approx(5.0)
    game = gs.fit(gs.SolvableGAN, low_rank(), 2, added_noise=1.0)
    assert game.data_noise == pytest.approx(report.noise_floor + 1.0)
    empirical = gs.fit(gs.SolvableGAN, low_rank(), 2, latent="empirical")
    np.testing.assert_allclose(empirical.feature_variance, report.feature_variance)


def test_digits_have_the_window_of_the_experiment():
    digits = load_digits().data
    report = describe(digits, 2)
    np.testing.assert_allclose(
        report.eigenvalues[:6] * 178.907 / 5, [178.907, 163.627, 141.710, 101.044, 69.474, 59.076], rtol=1e-4
    )
    np.testing.assert_allclose(report.window, (1.58, 4.78), atol=0.005)
    scores = component_scores(digits, 2)
    np.testing.assert_allclose((scores**2).mean(0), (5.0, 4.573), rtol=1e-4)


@pytest.mark.parametrize(
    "data, text",
    [
        (np.zeros((0, 3)), "at least 2 rows"),
        (np.ones((1, 3)), "at least 2 rows"),
        (np.ones(5), "two dimensions"),
        (np.array([[1.0, np.nan], [2.0, 3.0]]), "first in row 1, column 2"),
        (np.array([[1.0, np.inf], [2.0, 3.0]]), "first in row 1, column 2"),
        (np.array([[1.0, 2.0], [3.0, 2.0], [4.0, 2.0]]), "constant column.*column 2"),
        (np.zeros((5, 3)), "constant"),
        (np.array([["a", "b"], ["c", "d"]]), "array of numbers"),
        ("missing.csv", "an existing"),
    ],
)
def test_bad_data_are_refused(data, text):
    with pytest.raises(gs.ParameterError, match=text):
        gs.fit(gs.SolvableGAN, data)


@pytest.mark.parametrize(
    "content, text",
    [
        ("", "the file has none"),
        ("a,b\n", "the file has none"),
        ("1,2\n3\n", "row 2 has 1"),
        ("1,2\n3,x\n", "row 2, column 2 is 'x'"),
        ("1,2\n3,\n", "row 2, column 2 is a missing value"),
        ("1,2\n3,nan\n5,6\n", "first in row 2, column 2"),
        ("1,2\n3,2\n4,2\n", "constant column"),
        ("hello world", "the file has none"),
    ],
)
def test_bad_files_are_refused(content, text, tmp_path):
    path = tmp_path / "data.csv"
    path.write_text(content)
    with pytest.raises(gs.ParameterError, match=text):
        gs.fit(gs.SolvableGAN, path)


def test_pickles_are_not_loaded(tmp_path):
    path = tmp_path / "data.npy"
    np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(gs.ParameterError, match=r"\.npy format"):
        gs.fit(gs.SolvableGAN, path)


def test_a_csv_with_a_header_is_read(tmp_path):
    path = tmp_path / "data.csv"
    rows = low_rank(200, 4)
    path.write_text("a,b,c,d\n" + "\n".join(",".join(f"{v:.17g}" for v in row) for row in rows))
    assert gs.fit(gs.SolvableGAN, path, 2) == gs.fit(gs.SolvableGAN, rows, 2)


def test_a_tall_table_is_fitted():
    rng = np.random.default_rng(0)
    game = gs.fit(gs.SolvableGAN, rng.standard_normal((10**6, 3)) * [3, 1, 1], 1)
    assert game.features == 1


def test_a_component_inside_the_noise_cannot_be_a_feature():
    with pytest.raises(gs.ParameterError, match="rank"):
        describe(np.random.default_rng(0).standard_normal((5, 10)), 7)
    with pytest.raises(gs.ParameterError, match="the data decide"):
        gs.fit(gs.SolvableGAN, low_rank(), data_noise=1.0)
