"""`FeatureGAN`: its compiled engines against a literal transcription of the formulas, and what must never happen."""

import numpy as np
import pytest
import reference_dualflow as reference
from scipy.optimize import linear_sum_assignment
from scipy.stats import norm, uniform

import ganscope as gs
from ganscope.games.dualflow import schemes
from ganscope.games.dualflow.failures import DomainWarning, NashWarning
from ganscope.games.dualflow.feature import maps as feature_maps
from ganscope.games.dualflow.feature.laws import Mixture
from ganscope.games.dualflow.feature.limit import check_pairing

RNG = np.random.default_rng(3)
LINE = dict(real_points=RNG.normal(0.3, 1, 9), generated_points=RNG.normal(-0.5, 0.7, 7))
PLANE = dict(real_points=RNG.normal(0.3, 1, (9, 2)), generated_points=RNG.normal(-0.5, 0.7, (7, 2)))
# Game's features, those of the transcription, points, and how the two sets of coefficients are ordered.
MAPS = {
    "linear": (dict(features="linear", **LINE), reference.Linear(1)),
    "linear plane": (dict(features="linear", **PLANE), reference.Linear(2)),
    "quadratic": (dict(features="quadratic", **LINE), reference.Quadratic(1)),
    "quadratic plane": (dict(features="quadratic", **PLANE), reference.Quadratic(2)),
    "fourier": (dict(features="fourier", bandwidth=0.8, half_period=9.0, **LINE), reference.Fourier(0.8, 9.0)),
    "few harmonics": (dict(feature_count=5, half_period=9.0, **LINE), reference.Fourier(1.0, 9.0, 5)),
    "sobolev1d": (dict(features="sobolev1d", half_period=6.0, nodes=101, **LINE), reference.Sobolev(6.0, 101)),
    "random": (
        dict(features="random", feature_count=30, feature_seed=5, bandwidth=0.7, **PLANE),
        reference.Random.drawn(2, 30, 0.7, 5),
    ),
    "frequencies": (dict(features=[[0.3], [1.1]], **LINE), reference.Random(np.array([[0.3], [1.1]]))),
}
NAMES = {
    "explicit": "explicit",
    "explicit_sequential": "explicit_seq",
    "jko": "jko",
    "jko_sequential": "jko_seq",
    "nash": "nash",
}
KNOBS = dict(critic_penalty=0.7, ridge=0.3, center=0.2, generator_lr=0.9, discriminator_lr=1.7)


def transcription(game, features):
    knobs = dict(rho=game.critic_penalty, eta=(game.generator_lr, game.discriminator_lr), ridge=game.ridge)
    return reference.Reference(features, np.asarray(game.real), center=game.center, entropy=game.entropy, **knobs)


@pytest.mark.parametrize("name", MAPS)
@pytest.mark.parametrize("level", NAMES)
def test_every_scheme_follows_the_formulas(name, level):
    arguments, features = MAPS[name]
    game = gs.FeatureGAN(**arguments, **KNOBS)
    options = {}
    if level.endswith("sequential"):
        options["order"] = "discriminator_first"
    if level != "nash":
        options["discriminator_steps"] = 3
    theirs = dict(order=options.get("order", "generator_first"), n_disc=options.get("discriminator_steps", 1))
    run = gs.simulate(game, level, step_size=0.11, iterations=12, **options)
    x, a = np.array(game.generated_points), np.zeros(game.map.size)
    for _ in range(12):
        x, a = reference.step(transcription(game, features), NAMES[level], x, a, 0.11, **theirs)
    # rounding, and 1e-12 of the solvers, over 12 steps
    np.testing.assert_allclose(run.generated_points.values[-1], x, atol=3e-11)
    np.testing.assert_allclose(np.linalg.norm(run.discriminator.values[-1]), np.linalg.norm(a), atol=3e-11)


@pytest.mark.parametrize("name", MAPS)
@pytest.mark.parametrize("level", NAMES)
def test_the_pair_steps_as_the_engine_does(name, level):
    game = gs.FeatureGAN(**MAPS[name][0], **KNOBS)
    pair = game.pair()
    x, a = np.array(game.generated_points), np.zeros(game.map.size)
    for _ in range(4):
        x, a = schemes.step(pair, level, x, a, 0.1)
    run = gs.simulate(game, level, step_size=0.1, iterations=4)
    np.testing.assert_allclose(run.generated_points.values[-1], x, atol=1e-12)
    np.testing.assert_allclose(run.discriminator.values[-1], a, atol=1e-12)


@pytest.mark.parametrize("name", MAPS)
def test_the_flow_follows_the_formulas(name):
    arguments, features = MAPS[name]
    game = gs.FeatureGAN(**arguments, **KNOBS)
    run = gs.simulate(game, "flow", horizon=3, save_at=[0, 1.5, 3])
    x, _ = reference.flow(
        transcription(game, features), np.array(game.generated_points), np.zeros(game.map.size), [0, 1.5, 3]
    )
    # hat functions have kinks, on which the transcription's integrator is less exact
    np.testing.assert_allclose(run.generated_points.values, x, atol=1e-6 if name == "sobolev1d" else 1e-8)


@pytest.mark.parametrize("name", ["quadratic plane", "fourier", "random"])
def test_the_fast_limit_follows_the_formulas(name):
    arguments, features = MAPS[name]
    game = gs.FeatureGAN(**arguments, fast=True, **KNOBS)
    run = gs.simulate(game, "flow", horizon=2, save_at=[0, 2])
    x = reference.fast_flow(transcription(game, features), np.array(game.generated_points), [0, 2])
    np.testing.assert_allclose(run.generated_points.values, x, atol=1e-8)
    steps = gs.simulate(game, "explicit", step_size=0.05, iterations=3)
    z, oracle = np.array(game.generated_points), transcription(game, features)
    for _ in range(3):
        z = z - 0.05 * game.generator_lr * reference.fast_force(oracle, z)
    np.testing.assert_allclose(steps.generated_points.values[-1], z, atol=1e-12)


@pytest.mark.parametrize("level", ["explicit", "explicit_sequential", "jko", "jko_sequential"])
def test_a_history_is_the_gaussian_kernel_of_the_fourier_features(level):
    game = gs.FeatureGAN(**LINE, half_period=12.0, **KNOBS)
    same = game.replace(features="history", half_period=None)
    runs = [gs.simulate(g, level, step_size=0.07, iterations=40).generated_points.values for g in (game, same)]
    np.testing.assert_allclose(runs[1], runs[0], atol=1e-11)


def test_a_history_in_the_plane_follows_the_formulas_with_any_kernel():
    game = gs.FeatureGAN(**PLANE, features="history", bandwidth=0.8, discriminator_lr=2.0, critic_penalty=0.6)
    run = gs.simulate(game, "jko_sequential", step_size=0.1, iterations=15)
    oracle = reference.History(np.asarray(game.real), 0.8, 0.6, (1.0, 2.0))
    x, state = np.array(game.generated_points), []
    for _ in range(15):
        x, state = reference.step(oracle, "jko_seq", x, state, 0.1)
    np.testing.assert_allclose(run.generated_points.values[-1], x, atol=1e-11)
    other = game.replace(kernel=gs.Matern52(0.8))
    assert np.abs(gs.simulate(other, "explicit", iterations=15).generated_points.values[-1] - x).max() > 1e-3


def test_the_flow_of_a_history_is_that_of_the_features():
    game = gs.FeatureGAN(**LINE, half_period=12.0, discriminator_lr=1.3)
    times = [0.0, 1.0, 2.0]
    exact = gs.simulate(game, "flow", save_at=times).generated_points.values
    same = gs.simulate(game.replace(features="history", half_period=None), "flow", save_at=times, tolerance=1e-6)
    np.testing.assert_allclose(same.generated_points.values, exact, atol=1e-5)


@pytest.mark.parametrize("level", ["explicit", "jko"])
def test_the_fast_limit_of_a_history_is_that_of_the_features(level):
    game = gs.FeatureGAN(**LINE, half_period=12.0, fast=True)
    same = game.replace(features="history", half_period=None)
    runs = [gs.simulate(g, level, step_size=0.1, iterations=5).generated_points.values for g in (game, same)]
    # proximal steps of the limit are minimised to a gradient of 1e-10
    np.testing.assert_allclose(runs[1], runs[0], atol=1e-7)


def test_proximal_steps_of_the_fast_limit_solve_their_problem():
    game = gs.FeatureGAN(**LINE, half_period=12.0, fast=True, critic_penalty=0.8, ridge=0.1)
    pair = game.pair()
    x, nothing = np.array(game.generated_points), np.empty(0)
    z = pair.prox(0, x, nothing, 0.3, 1e-12, 100)
    residual = z - x + 0.3 * pair.gradient(0, z, nothing)
    assert np.abs(residual).max() < 1e-8
    moved = z + 1e-3 * RNG.normal(size=z.shape)
    cost = lambda w: np.mean((w - x) ** 2) / 0.6 + pair.energy(0, w, nothing)
    assert cost(z) < cost(moved)


def test_entropic_steps_follow_the_formulas():
    game = gs.FeatureGAN(LINE["real_points"], LINE["generated_points"], half_period=9.0, entropy=0.2, ridge=0.1)
    run = gs.simulate(game, "jko_sequential", step_size=0.1, iterations=10)
    x, a = np.sort(np.array(game.generated_points), axis=0), np.zeros(game.map.size)
    for _ in range(10):
        x, a = reference.step(transcription(game, reference.Fourier(1.0, 9.0)), "jko_seq", x, a, 0.1)
    np.testing.assert_allclose(run.generated_points.values[-1], x, atol=1e-10)


def test_the_flow_with_entropy_is_the_limit_of_its_steps():
    game = gs.FeatureGAN(LINE["real_points"], LINE["generated_points"], half_period=9.0, entropy=0.2, ridge=0.1)
    exact = gs.simulate(game, "flow", horizon=1).generated_points.values[-1]
    errors = [
        np.abs(gs.simulate(game, "jko_sequential", step_size=s, horizon=1).generated_points.values[-1] - exact).max()
        for s in (0.02, 0.01)
    ]
    assert 1.7 < errors[0] / errors[1] < 2.3


def test_a_bandwidth_schedule_follows_the_formulas():
    game = gs.FeatureGAN(**LINE, half_period=15.0, bandwidth_schedule=(3.0, 0.5), fast=True)
    run = gs.simulate(game, "explicit", step_size=0.05, iterations=30)
    harmonics = game.map.size // 2
    x = reference.scheduled(
        transcription(game, None), lambda ell: reference.Fourier(ell, 15.0, harmonics),
        np.array(game.generated_points), 0.05, 30, 3.0, 0.5,
    )  # fmt: skip
    np.testing.assert_allclose(run.generated_points.values[-1], x, atol=1e-12)


def test_a_schedule_of_one_bandwidth_is_none_but_for_the_speed():
    for features in ("fourier", "random"):
        game = gs.FeatureGAN(**LINE, features=features, half_period=9.0, bandwidth=0.8)
        plain = gs.simulate(game, "jko_sequential", iterations=20)
        same = gs.simulate(game.replace(bandwidth_schedule=(0.8, 0.8)), "jko_sequential", iterations=20)
        np.testing.assert_allclose(same.generated_points.values, plain.generated_points.values, atol=1e-12)
        flow = gs.simulate(game.replace(bandwidth_schedule=(0.8, 0.8)), "flow", horizon=1)
        np.testing.assert_allclose(
            flow.generated_points.values, gs.simulate(game, "flow", horizon=1).generated_points.values, atol=1e-8
        )


@pytest.mark.parametrize("count", [1, 5, 17, 40])
@pytest.mark.parametrize("features", ["fourier", "sobolev1d", "quadratic", "random", "history"])
def test_points_that_coincide_stay_together_to_the_last_bit(features, count):
    start = np.concatenate([np.full(count, 0.3), [1.7, -0.4]])
    game = gs.FeatureGAN(RNG.normal(size=12), start, features=features, half_period=9.0)
    for level in ("explicit", "jko_sequential") if features == "history" else ("explicit", "jko_sequential", "flow"):
        points = gs.simulate(game, level, horizon=4, step_size=None if level == "flow" else 0.1).generated_points.values
        assert np.ptp(points[:, :count], axis=1).max() == 0.0
        run = gs.simulate(game, level, horizon=4, step_size=None if level == "flow" else 0.1)
        assert np.all(run.atoms == 3)


def test_exact_quantiles_separate_points_that_coincide_at_once():
    game = gs.FeatureGAN([-1.0, 0.2, 1.1], np.zeros(6), features="energy", fast=True)
    for level in ("explicit", "jko", "flow"):
        run = gs.simulate(game, level, **({"save_at": [0, 0.01]} if level == "flow" else {"iterations": 1}))
        assert list(run.atoms.values) == [1, 6]


def test_quantiles_towards_a_uniform_law_relax_exponentially():
    game = gs.FeatureGAN(uniform(0, 1), np.full(50, 0.3), features="energy", fast=True, critic_penalty=2.0)
    u = (np.arange(50) + 0.5) / 50
    run = gs.simulate(game, "jko", step_size=0.2, iterations=20)
    np.testing.assert_allclose(run.generated_points.values[-1, :, 0], u + (0.3 - u) / 1.1**20, atol=1e-14)
    flow = gs.simulate(game, "flow", horizon=3, save_at=[0, 3])
    np.testing.assert_allclose(flow.generated_points.values[-1, :, 0], u + (0.3 - u) * np.exp(-1.5), atol=1e-9)


@pytest.mark.parametrize("ridge", [0.0, 0.4])
def test_quantiles_towards_points_follow_small_steps(ridge):
    game = gs.FeatureGAN(RNG.normal(size=11), RNG.normal(size=8), features="energy", fast=True, ridge=ridge, center=0.5)
    flow = gs.simulate(game, "flow", save_at=[0, 0.7, 2.5])
    steps = gs.simulate(game, "jko", step_size=2.5e-4, iterations=10**4, save_at=[0, 2800, 10**4])
    # first order in the step
    np.testing.assert_allclose(flow.generated_points.values, steps.generated_points.values, atol=2e-4)
    pair = game.pair()
    x = np.array(game.generated_points)
    z = pair.prox(0, x, np.empty(0), 0.3, 1e-12, 100)
    cost = lambda w: np.mean((w - x) ** 2) / 0.6 + pair.energy(0, w, np.empty(0))
    assert all(cost(z) <= cost(z + 1e-3 * RNG.normal(size=z.shape)) for _ in range(20))


def test_energy_forces_in_the_plane_follow_the_formulas():
    game = gs.FeatureGAN(**PLANE, features="energy", fast=True, critic_penalty=0.5)
    run = gs.simulate(game, "explicit", step_size=0.1, iterations=1)
    x = np.array(game.generated_points)
    expected = x + 0.1 * reference.energy_velocity(x, np.asarray(game.real), 0.5)
    np.testing.assert_allclose(run.generated_points.values[-1], expected, atol=1e-14)


def test_the_energy_discriminator_on_a_line_is_the_limit_of_hat_functions():
    fine = gs.FeatureGAN(**LINE, features="sobolev1d", half_period=5.0, nodes=40001, discriminator_lr=2.0)
    exact = fine.replace(features="energy", half_period=None, nodes=None)
    runs = [gs.simulate(g, "explicit", step_size=0.1, iterations=20).generated_points.values for g in (fine, exact)]
    # O(spacing), here 2.5e-4
    np.testing.assert_allclose(runs[1], runs[0], atol=2e-3)


def test_minibatches_are_reproducible_and_approach_the_flow():
    game = gs.FeatureGAN(reference.normal_quantiles(64), reference.normal_quantiles(64, 1.5, 0.5), half_period=8.0)
    exact = gs.simulate(game, "flow", horizon=1).generated_points.values[-1]
    errors = []
    for step in (0.04, 0.01):
        runs = gs.simulate(game, "explicit", step_size=step, horizon=1, batch=4, replicas=64, seed=1)
        again = gs.simulate(game, "explicit", step_size=step, horizon=1, batch=4, replicas=3, seed=1)
        np.testing.assert_array_equal(runs.generated_points.values[:3], again.generated_points.values)
        errors.append(np.sqrt(np.mean((runs.generated_points.values[:, -1] - exact) ** 2)))
    # RMS error of order step_size ** (1/2): a factor 2 for a quarter, give or take the scatter of 64 runs
    assert 1.6 < errors[0] / errors[1] < 2.5
    assert not np.array_equal(runs.generated_points.values[0], runs.generated_points.values[1])


def test_noise_has_the_variance_of_the_entropy():
    game = gs.FeatureGAN(np.zeros((1, 2)), np.zeros((4000, 2)), features="linear", entropy=0.3, discriminator_lr=1e-9)
    run = gs.simulate(game, "explicit", step_size=0.1, iterations=10, seed=4)
    # variance 2 entropy time per axis; 8000 numbers give it to 1.6 %
    assert run.generated_points.values[-1].var() == pytest.approx(0.6, rel=0.05)


def test_clipped_coefficients_stay_in_their_box():
    game = gs.FeatureGAN(**LINE, half_period=9.0, clip=0.05, discriminator_lr=5.0)
    run = gs.simulate(game, "jko_sequential", horizon=3)
    assert np.abs(run.discriminator.values).max() == 0.05
    with pytest.raises(gs.NotApplicable, match="not smooth"):
        gs.simulate(game, "flow", horizon=1)


def test_cells_equal_runs_of_their_own_games():
    game = gs.FeatureGAN(**LINE, features="fourier", entropy=0.1, ridge=0.2)
    over = {"discriminator_lr": [0.5, 2.0, 4.0], "bandwidth": [0.7, 1.0, 2.0], "critic_penalty": [1.0, 0.5, 2.0]}
    for level, options in (("explicit", dict(batch=3, seed=2)), ("jko", {}), ("flow", {})):
        many = gs.simulate_many(game, over, level, horizon=1, **options)
        for cell in range(3):
            one = game.replace(**{name: values[cell] for name, values in over.items()})
            run = gs.simulate(one, level, horizon=1, **options)
            np.testing.assert_array_equal(many.generated_points.values[cell], run.generated_points.values)


@pytest.mark.parametrize("half_period", [None, 12.0])
def test_cells_with_starts_of_their_own_equal_runs_of_their_games(half_period):
    game = gs.FeatureGAN(**LINE, half_period=half_period, critic_penalty=0.5)
    over = {
        "generated_points": RNG.normal(size=(3, 7, 1)) * [[[1.0]], [[1.5]], [[2.0]]],
        "generator_lr": [1.0, 2.0, 0.5],
    }
    for level in ("jko_sequential", "flow"):
        many = gs.simulate_many(game, over, level, horizon=1)
        for cell in range(3):
            one = game.replace(**{name: values[cell] for name, values in over.items()})
            run = gs.simulate(one, level, horizon=1)
            np.testing.assert_array_equal(many.generated_points.values[cell], run.generated_points.values)
            found, wanted = gs.classify(many.isel(cell=cell)), gs.classify(run)
            assert found == wanted


def test_steps_that_have_no_solution_say_so():
    game = gs.FeatureGAN([-2.0, 2.0], [0.1, 0.2], bandwidth=0.5, critic_penalty=0.05, discriminator_lr=50.0)
    with pytest.raises(gs.StepTooLarge, match="reduce step_size"):
        gs.simulate(game, "jko_sequential", step_size=2.0, iterations=20)
    many = gs.simulate_many(game, {"discriminator_lr": [50.0, 1e-3]}, "jko_sequential", step_size=2.0, iterations=20)
    assert np.isnan(many.generated_points.values[0, -1]).all()
    assert "StepTooLarge" not in str(many.attrs)
    assert np.isfinite(many.generated_points.values[1]).all()
    assert "cell 0" in many.attrs["failures"][0]
    with pytest.raises(gs.ProxNotConverged, match="after 1 iterations"):
        gs.simulate(gs.FeatureGAN(**LINE, half_period=9.0), "jko", step_size=0.1, iterations=20, prox_iterations=1)
    with (
        pytest.warns(NashWarning, match="contraction factor 37"),
        pytest.raises(gs.NashNotConverged, match="contraction factor"),
    ):
        gs.simulate(game.replace(features="linear", generator_lr=3.0), "nash", step_size=0.9, iterations=5)
    with pytest.raises(gs.DegenerateQuantiles, match="coincide"):
        gs.simulate(game.replace(generated_points=[0.1, 0.1], entropy=0.1), "jko", iterations=5)


def test_leaving_the_domain_is_an_error_and_nearing_it_a_warning():
    with pytest.warns(DomainWarning, match="half_period = 3 is too small"):
        gs.FeatureGAN([0.0], [1.0], half_period=3.0)
    with pytest.warns(DomainWarning):
        outside = gs.FeatureGAN([0.0], [4.0], features="sobolev1d", half_period=3.0)
    with pytest.raises(gs.DomainTooSmall):
        gs.simulate(outside, "explicit", iterations=3)
    game = gs.FeatureGAN(
        [0.0], [2.5], features="sobolev1d", half_period=3.0, initial_discriminator=np.linspace(0, 9, 641)
    )
    for level in ("explicit", "flow"):
        with pytest.raises(gs.DomainTooSmall, match="take a half_period above 3"):
            gs.simulate(game, level, horizon=5)


def test_a_pairing_that_is_not_optimal_is_refused():
    old = RNG.normal(size=(5, 2))
    check_pairing(old, 1.1 * old)
    with pytest.raises(gs.CouplingNotOptimal, match="reduce step_size"):
        check_pairing(old, old[[1, 0, 2, 3, 4]])
    # pointwise proximal steps keep the optimal pairing
    game = gs.FeatureGAN(**PLANE, features="random", feature_count=50, discriminator_lr=5.0)
    points = gs.simulate(game, "jko_sequential", step_size=0.05, iterations=50).generated_points.values
    cost = np.sum((points[0][:, None] - points[1][None]) ** 2, axis=-1)
    assert list(linear_sum_assignment(cost)[1]) == list(range(len(points[0])))


def test_a_run_that_blows_up_is_a_result():
    game = gs.FeatureGAN([0.0, 1.0], [3.0, 5.0], features="quadratic", generator_lr=50.0, discriminator_lr=50.0)
    run = gs.simulate(game, "explicit", step_size=1.0, iterations=200)
    assert np.isfinite(run.generated_points.values[0]).all()
    assert np.isnan(run.generated_points.values[-1]).all()
    assert gs.classify(run).outcome == "diverged"


def test_in_several_dimensions_a_run_that_blows_up_is_a_result_too():
    real = RNG.normal(size=(20, 2))
    game = gs.FeatureGAN(real, 0.5 * real + 1, features="quadratic", critic_penalty=0.0)
    run = gs.simulate(game, "explicit", step_size=1.0, iterations=300)
    assert gs.classify(run).outcome == "diverged"
    many = gs.simulate_many(game, {"generator_lr": [1e-4, 1.0]}, "explicit", step_size=1.0, iterations=300)
    assert np.isfinite(many.w2.values[0]).all()
    assert gs.classify(many.isel(cell=1)).outcome == "diverged"
    history = gs.FeatureGAN(**PLANE, features="history")
    assert gs.classify(gs.simulate(history, "explicit", step_size=3.0, iterations=1500)).outcome == "diverged"


@pytest.mark.parametrize("start", ["zero", "equilibrium"])
def test_the_flow_of_a_sum_of_kernels_is_that_of_their_features(start):
    game = gs.FeatureGAN(
        **LINE, half_period=12.0, bandwidth=[0.5, 1.0], discriminator_lr=2.0, critic_penalty=0.7,
        initial_discriminator=start,
    )  # fmt: skip
    runs = [gs.simulate(g, "flow", save_at=[0, 2]) for g in (game, game.replace(features="history", half_period=None))]
    np.testing.assert_allclose(runs[1].generated_points.values, runs[0].generated_points.values, atol=1e-8)
    np.testing.assert_allclose(runs[1].mmd.values, runs[0].mmd.values, atol=1e-8)


@pytest.mark.parametrize("kernel", [None, gs.Matern52(0.8)])
def test_the_flow_of_a_history_in_the_plane_is_the_limit_of_its_steps(kernel):
    width = [0.5, 1.0] if kernel is None else 1.0
    game = gs.FeatureGAN(**PLANE, features="history", bandwidth=width, kernel=kernel, discriminator_lr=2.0)
    flow = gs.simulate(game, "flow", save_at=[0, 1]).generated_points.values[-1]
    errors = []
    for step in (0.004, 0.002):
        run = gs.simulate(game, "explicit_sequential", step_size=step, horizon=1, save_at=[0, 1])
        errors.append(np.abs(run.generated_points.values[-1] - flow).max())
    assert 1.8 < errors[0] / errors[1] < 2.2


@pytest.mark.parametrize("level, options", [("flow", {}), ("explicit", {"step_size": 0.05})])
def test_a_schedule_does_not_depend_on_what_is_recorded(level, options):
    game = gs.FeatureGAN(**LINE, half_period=20.0, bandwidth_schedule=(3.0, 0.5), fast=True)
    runs = [gs.simulate(game, level, horizon=10, save_at=times, **options) for times in ([5.0], [5.0, 10.0])]
    np.testing.assert_allclose(
        runs[0].generated_points.values[0], runs[1].generated_points.values[0], atol=1e-9 if level == "flow" else 0
    )


LAW = Mixture((norm(-1, 0.5), norm(2, 0.3)), (1, 3))


@pytest.mark.parametrize(
    "game",
    [
        gs.FeatureGAN(**LINE, bandwidth=[0.5, 2.0], modes=[-1.0, 1.0], mode_radius=0.4),
        gs.FeatureGAN(**PLANE, features="history", kernel=gs.Matern32(0.7), center=[0.1, 0.2], ridge=0.1),
        gs.FeatureGAN(LAW, np.zeros(4), features="energy", fast=True),
        gs.FeatureGAN(norm(0, scale=2), [1.0, 2.0], initial_discriminator=np.zeros(2), features="quadratic"),
        gs.FeatureGAN(**PLANE, features=[[1.0, 0.0], [0.5, 0.5]], clip=0.3),
    ],
)
def test_games_come_back_from_json(game):
    again = gs.from_json(gs.to_json(game))
    assert (again == game and again.map is game.map) or np.array_equal(again.map.amplitudes, game.map.amplitudes)
    assert again != game.replace(generator_lr=2.0)


def test_laws_have_the_quantiles_of_their_distribution_functions():
    levels = np.linspace(0.01, 0.99, 40)
    np.testing.assert_allclose(LAW.cdf(LAW.ppf(levels)), levels, atol=1e-13)
    np.testing.assert_allclose(
        np.ravel(reference.bimodal_quantiles(64)),
        Mixture((norm(-2, 0.25), norm(2, 0.25))).ppf(reference.levels(64)),
        atol=1e-9,
    )


@pytest.mark.parametrize(
    "change, match",
    [
        (dict(real_points=[np.nan]), "real_points"),
        (dict(real_points=[[0.0, 1.0]]), "generated_points"),
        (dict(real_points={"distribution": "nrm"}), "real_points"),
        (dict(generated_points=[]), "generated_points"),
        (dict(generator_lr=0.0), "generator_lr"),
        (dict(discriminator_lr=-1.0), "discriminator_lr"),
        (dict(discriminator_lr=True), "discriminator_lr"),
        (dict(critic_penalty=-0.1), "critic_penalty"),
        (dict(critic_penalty=0.0, fast=True), "critic_penalty"),
        (dict(critic_penalty=0.0, initial_discriminator="equilibrium"), "critic_penalty"),
        (dict(ridge=-1.0), "ridge"),
        (dict(center=np.inf), "center"),
        (dict(center=[0.0, 1.0]), "center"),
        (dict(entropy=-1.0), "entropy"),
        (dict(entropy=1.0, generated_points=[0.0]), "entropy"),
        (dict(bandwidth=0.0), "bandwidth"),
        (dict(bandwidth=[]), "bandwidth"),
        (dict(half_period=0.0), "half_period"),
        (dict(features="forier"), "Did you mean 'fourier'"),
        (dict(features="fourier", real_points=np.zeros((2, 2)), generated_points=np.ones((2, 2))), "needs d = 1"),
        (dict(features=[[1.0, 2.0]]), "features"),
        (dict(features="linear", feature_count=3), "feature_count"),
        (dict(feature_count=0), "feature_count"),
        (dict(nodes=2), "nodes"),
        (dict(kernel=gs.RBF(1.0)), "kernel"),
        (dict(fast=1), "fast"),
        (dict(clip=0.0), "clip"),
        (dict(clip=1.0, fast=True), "clip"),
        (dict(bandwidth_schedule=(1.0,)), "bandwidth_schedule"),
        (dict(bandwidth_schedule=(1.0, 0.0)), "bandwidth_schedule"),
        (dict(bandwidth_schedule=(1.0, 2.0), features="linear"), "bandwidth_schedule"),
        (dict(initial_discriminator="best"), "initial_discriminator"),
        (dict(initial_discriminator=[1.0]), "initial_discriminator"),
        (dict(mode_radius=0.0), "mode_radius"),
        (dict(modes=[[0.0, 1.0]]), "modes"),
        (dict(feature_seed=-1), "feature_seed"),
    ],
)
def test_bad_parameters_are_named(change, match):
    with pytest.raises(gs.ParameterError, match=match):
        gs.FeatureGAN(**({"real_points": [0.0, 1.0], "generated_points": [0.5, 2.0]} | change))


@pytest.mark.parametrize(
    "level, options, match",
    [
        ("explicit", dict(discriminator_steps=0), "discriminator_steps"),
        ("explicit", dict(discriminator_steps=1001), "discriminator_steps"),
        ("explicit", dict(batch=0), "batch"),
        ("explicit", dict(step_size=0.0), "step_size"),
        ("explicit", dict(replicas=2), "replicas"),
        ("jko", dict(prox_tolerance=0.0), "prox_tolerance"),
        ("jko", dict(prox_iterations=0), "prox_iterations"),
        ("jko_sequential", dict(order="generator"), "Did you mean 'generator_first'"),
        ("flow", dict(tolerance=-1.0), "tolerance"),
        ("midpoint", {}, "level"),
        ("jko_seq", {}, "Did you mean 'jko_sequential'"),
        ("explicit", dict(horizon=0.01, step_size=0.02), "at least one iteration"),
    ],
)
def test_bad_settings_are_named(level, options, match):
    with pytest.raises(gs.ParameterError, match=match):
        gs.simulate(gs.FeatureGAN([0.0, 1.0], [0.5, 2.0]), level, **options)


def test_entropy_of_points_in_the_plane_is_noise_only():
    game = gs.FeatureGAN(**PLANE, features="random", entropy=0.1)
    gs.simulate(game, "explicit", iterations=3)
    for level in ("jko", "flow"):
        with pytest.raises(gs.ParameterError, match="explicit adds noise"):
            gs.simulate(game, level)


def test_the_feature_map_knows_its_kernel():
    x, z = RNG.normal(size=(5, 1)), RNG.normal(size=(6, 1))
    features = feature_maps.fourier(np.array([0.7]), 9.0, feature_maps.harmonics_needed(0.7, 9.0))
    expected = np.exp(-((x - z.T) ** 2) / 0.98)
    np.testing.assert_allclose(features.values(x) @ features.values(z).T, expected, atol=1e-13)
