"""Predictions of the kernel GAN, verdicts on its runs, level `linear`, and that they agree."""

import contextlib
import json
import math

import numpy as np
import pytest

import ganscope as gs
from ganscope.analysis.linear_prediction import recurrence_roots
from ganscope.games.kernel.landscape import isolation
from ganscope.games.kernel.prediction import effective
from ganscope.games.kernel.verdict import local_motion

ONE = dict(kernel=gs.RBF(1.0), generator_lr=0.6, discriminator_lr=0.2, regularization=1.2)
CORNERS = [[-2.0, -2.0], [2.0, -2.0], [-2.0, 2.0], [2.0, 2.0]]


def one_point(start=0.5, **changes):
    return gs.KernelGAN([[0.0]], [[start]], **(ONE | changes))


def corners(counts=(1, 2, 2, 3), **changes):
    """Eight points near four corners: surplus at the last, none missing."""
    rng = np.random.default_rng(0)
    starts = [np.array(c) + rng.uniform(-0.3, 0.3, (n, 2)) for c, n in zip(CORNERS, counts, strict=True)]
    settings = dict(kernel=gs.RBF(0.5), generator_lr=1.0, regularization=1.0) | changes
    return gs.KernelGAN(CORNERS, np.concatenate(starts), **settings)


SLOW = one_point(generator_lr=0.03, regularization=3.0)
FAST = one_point(generator_lr=2.0)
NARROW = gs.KernelGAN([[0.0], [10.0]], [[0.1], [0.9]], kernel=gs.RBF(0.5))
FAR = gs.KernelGAN([[0.0], [1.0]], [[30.0], [60.0]], kernel=gs.RBF(0.5))
SCENES = {
    "approach": (one_point(), "alternating", 1000, "converged", "converge_oscillatory"),
    "overdamped": (SLOW, "alternating", 1000, "converged", "converge_monotone"),
    "cycle": (FAST, "simultaneous", 1000, "oscillating", None),
    "no cycle when alternating": (FAST, "alternating", 1000, "converged", "converge_oscillatory"),
    "split": (corners(), "alternating", 2000, "collapsed", "moved_to(split)"),
    "matched": (corners((1, 1, 1, 1)), "alternating", 2000, "converged", None),
    "missed": (NARROW, "alternating", 1000, "collapsed", "mode_collapse"),
    "too far": (FAR, "alternating", 1000, "uninformative", "stalled"),
    "overshoots": (one_point(regularization=12.0), "alternating", 300, "diverged", "diverging"),
    "flow": (one_point(), "flow", None, "converged", "converge_oscillatory"),
}


@pytest.mark.parametrize("scene", SCENES)
def test_prediction_and_run_agree(scene):
    game, rule, iterations, outcome, detail = SCENES[scene]
    prediction = gs.predict(game, rule=rule)
    length = {"horizon": 40.0} if iterations is None else {"iterations": iterations}
    warned = pytest.warns(UserWarning, match="overshoots") if scene == "overshoots" else contextlib.nullcontext()
    with warned:
        run = gs.simulate(game, "gda", rule=rule, **length)
    verdict = gs.classify(run)
    assert (prediction.outcome, verdict.outcome) == (outcome, outcome)
    if detail is not None:
        assert prediction.detail == detail
    assert prediction.reasons
    assert verdict.reasons


def test_the_measured_decay_is_the_predicted_one():
    game = corners((1, 1, 1, 1))
    prediction = gs.predict(game)
    run = gs.simulate(game, "gda", iterations=400)
    away = run.generated_points.values - prediction.equilibria[0].state
    distance = np.sqrt(np.sum(away**2, axis=(1, 2)))
    # A complex pair: its envelope, over many turns.
    slope = np.polyfit(np.arange(100, 300), np.log(distance[100:300]), 1)[0]
    assert -slope == pytest.approx(prediction.rates["per_iteration"], rel=2e-2)


@pytest.mark.parametrize("rule", ["alternating", "simultaneous"])
def test_the_limit_of_the_learning_rate_separates_phases(rule):
    game = one_point(start=1e-6)
    limit = gs.predict(game, rule=rule).thresholds["generator_lr"]
    below, above = (gs.predict(game.replace(generator_lr=f * limit), rule=rule) for f in (0.97, 1.03))
    assert below.outcome == "converged"
    assert above.outcome != "converged"
    growth = []
    for factor in (0.97, 1.03):
        run = gs.simulate(game.replace(generator_lr=factor * limit), "gda", rule=rule, iterations=600)
        path = np.abs(run.generated_points.values[:, 0, 0])
        growth.append(path[-100:].max() / path[100:200].max())
    assert growth[0] < 1 < growth[1]


@pytest.mark.parametrize("rule", ["extragradient", "optimistic"])
def test_the_searched_limit_is_the_closed_one(rule):
    # At a good minimum with one point: P = generator_lr discriminator_lr, and the boundary of the isolated formulas.
    game = one_point()
    limit = gs.predict(game, rule=rule).thresholds["generator_lr"]
    alone = gs.IsolatedNeighbourhood(
        1.0, 1.0, kernel=gs.RBF(1.0), regularization=1.2, generator_lr=0.6, discriminator_lr=0.2
    )
    assert limit == pytest.approx(alone.boundaries(rule)["generator_lr_limit"], rel=1e-6)


def test_recommended_rates_converge_faster_and_as_fast_as_promised():
    rng = np.random.default_rng(3)
    X = rng.standard_normal((4, 2))
    game = gs.KernelGAN(X, X + 1e-6 * rng.standard_normal(X.shape), kernel=gs.RBF(0.8), regularization=0.6)
    prediction = gs.predict(game)
    best = prediction.best
    tuned = game.replace(regularization=best["regularization"], generator_lr=best["generator_lr"])
    again = gs.predict(tuned)
    # The optimum is a double root, so its radius is good to the square root of rounding.
    assert again.rates["spectral_radius"] == pytest.approx(best["spectral_radius"], abs=1e-6)
    assert best["spectral_radius"] < prediction.rates["spectral_radius"]
    for factor in (0.8, 1.25):
        other = tuned.replace(generator_lr=factor * tuned.generator_lr)
        assert gs.predict(other).rates["spectral_radius"] > best["spectral_radius"] + 1e-3


def test_best_of_an_unmatched_game_is_a_minimum():
    game = gs.KernelGAN([[0.0], [1.0]], [[0.1], [0.9]], [0.6, 0.4], [0.5, 0.5], generator_lr=1.0)
    best = gs.predict(game).best
    radius = lambda **changes: gs.predict(game.replace(**changes)).rates["spectral_radius"]
    tuned = {"regularization": best["regularization"], "generator_lr": best["generator_lr"]}
    assert radius(**tuned) <= best["spectral_radius"] + 1e-6
    for name in tuned:
        for factor in (0.9, 1.1):
            assert radius(**(tuned | {name: factor * tuned[name]})) >= best["spectral_radius"] - 1e-6


def test_no_regularization_is_undecided_with_the_modes_known():
    game = one_point(regularization=0.0)
    prediction = gs.predict(game)
    assert prediction.outcome == "undecided"
    assert prediction.rates["spectral_radius"] == pytest.approx(1.0, abs=1e-12)
    grows = gs.predict(game, rule="simultaneous").rates["spectral_radius"]
    assert grows == pytest.approx(math.sqrt(1 + 0.6 * 0.2), rel=1e-12)
    with pytest.raises(gs.ParameterError, match="regularization"):
        gs.spectrum(game)


def test_a_kernel_without_gradient_has_no_theory():
    with pytest.warns(UserWarning, match="no gradient"):
        run = gs.simulate(one_point(kernel=gs.Laplace(1.0)), "gda", iterations=200)
    assert gs.classify(run).outcome in ("oscillating", "converged", "undecided")
    assert gs.predict(one_point(kernel=gs.Laplace(1.0))).outcome == "undecided"
    with pytest.raises(gs.NotApplicable, match="not differentiable"):
        gs.spectrum(one_point(kernel=gs.Laplace(1.0)))
    with pytest.raises(gs.NotApplicable, match="not differentiable"):
        gs.equilibrium(one_point(kernel=gs.Laplace(1.0)))


def test_predictions_are_strict_json_and_remember_what_was_asked():
    prediction = gs.predict(corners(), level="gda", rule="simultaneous")
    content = json.loads(json.dumps(prediction.to_dict(), allow_nan=False))
    assert content["rule"] == "simultaneous"
    assert content["level"] == "gda"
    assert content["equilibria"][0]["label"] == "split"


@pytest.mark.parametrize("bad", [{"rule": "alternate"}, {"level": "ode"}, {"step_size": 0.1}])
def test_a_wrong_question_is_refused(bad):
    with pytest.raises(gs.ParameterError, match=next(iter(bad))):
        gs.predict(one_point(), **bad)


def test_marginal_and_neutral_modes_are_never_called_unstable():
    # Two points on one of equal mass: their distance is neutral, and decays like a power of time.
    game = gs.KernelGAN([[0.0]], [[0.3], [-0.3]], [1.0], **(ONE | {"regularization": 1.0}))
    prediction = gs.predict(game)
    assert (prediction.outcome, prediction.detail) == ("converged", "algebraic")
    run = gs.simulate(game, "gda", iterations=20000)
    verdict = gs.classify(run)
    assert (verdict.outcome, verdict.detail) == ("converged", "algebraic")


@pytest.mark.parametrize("rule", ["alternating", "simultaneous", "extragradient", "optimistic", "heavy_ball", "flow"])
@pytest.mark.parametrize("initial", ["zero", "equilibrium"])
def test_the_linear_level_is_the_run_of_a_small_displacement(rule, initial):
    rng = np.random.default_rng(5)
    X = np.array([[0.0, 0.0], [1.5, 0.4], [-0.3, 1.8]])
    game = gs.KernelGAN(
        X, X + 1e-5 * rng.standard_normal(X.shape), regularization=1.1, generator_lr=0.9, initial_discriminator=initial
    )
    options = {"rule": rule, **({"momentum": 0.3} if rule == "heavy_ball" else {})}
    length = {"horizon": 12.0} if rule == "flow" else {"iterations": 60}
    exact, linear = (gs.simulate(game, level, **length, **options) for level in ("gda", "linear"))
    away = exact.generated_points.values - X
    error = np.abs(exact.generated_points.values - linear.generated_points.values)
    # The remainder is quadratic in a displacement of 1e-5 and vanishes by symmetry at second order.
    assert error.max() < 1e-4 * np.abs(away).max()
    assert gs.compare(linear, exact).attrs["summary"]["generated_points"]["largest"] < 1e-8


def test_linear_cells_are_their_own_games():
    game = one_point(0.1)
    runs = gs.simulate_many(game, {"generator_lr": [0.3, 0.6], "bandwidth": [1.0, 2.0]}, "linear", iterations=30)
    for k, (lr, width) in enumerate([(0.3, 1.0), (0.6, 2.0)]):
        alone = gs.simulate(game.replace(generator_lr=lr, bandwidth=width), "linear", iterations=30)
        np.testing.assert_array_equal(runs.generated_points[k], alone.generated_points)


def test_the_gap_is_the_norm_in_the_space_of_the_kernel():
    import reference_kernel as reference

    game = gs.KernelGAN([[0.0], [1.5]], [[0.3], [1.0]], regularization=0.7, representation="fourier_grid")
    run = gs.simulate(game, "gda", iterations=30)
    kernel = reference.rbf(1.0)
    mass = np.full(2, 0.5)
    X, Z = game.real_points, game.generated_points
    path, f = reference.run(X, mass, Z, mass, kernel, 0.2, 0.5, 0.7, "alternating", "loss", "zero", 0.0, 30)
    best = reference.best_function(X, mass, path[-1], mass, kernel, 0.7)
    gap = reference.combine((1.0, f), (-1.0, best)).norm()
    assert float(run.discriminator_gap[-1]) == pytest.approx(gap, rel=1e-9)


def test_single_precision_is_single_precision():
    rng = np.random.default_rng(2)
    X, Z = rng.standard_normal((40, 5)), rng.standard_normal((30, 5))
    for representation in ("history", "random_features"):
        game = gs.KernelGAN(X, Z, representation=representation, generator_lr=5.0, features=256)
        double, single = (gs.simulate(game, "gda", iterations=50, precision=p) for p in ("double", "single"))
        error = np.abs(double.generated_points - single.generated_points).values.max()
        assert 1e-9 < error < 1e-4
    with pytest.raises(gs.ParameterError, match="precision"):
        gs.simulate(game, "gda", iterations=5, precision="half")


def test_random_features_have_their_own_theory():
    game = one_point(1e-6, representation="random_features", features=64, initial_discriminator="equilibrium")
    run = gs.simulate(game, "gda", rule="simultaneous", iterations=60, seed=7, precision="double")
    roots = recurrence_roots(run.generated_points.values[:, 0], 2)
    own = effective(game, 7).kernel.curvature.item()
    expected = gs.IsolatedNeighbourhood(
        1.0, 1.0, curvature=own, regularization=1.2, generator_lr=0.6, discriminator_lr=0.2
    )
    mean = expected.families("simultaneous")["mean"]
    assert np.abs(np.sort_complex(roots) - np.sort_complex(mean)).max() < 1e-8
    values = gs.spectrum(game, rule="simultaneous", seed=7).multipliers
    assert min(abs(values - mean[0])) < 1e-10
    assert abs(own - 1) > 1e-3  # else the test could not tell the two kernels apart


def test_too_few_records_are_undecided():
    assert gs.classify(gs.simulate(one_point(), "gda", iterations=50)).outcome == "undecided"


def test_a_growing_perturbation_is_named_before_it_is_large():
    game = one_point(1e-9, generator_lr=1.3)
    verdict = gs.classify(gs.simulate(game, "gda", rule="simultaneous", iterations=400))
    assert (verdict.outcome, verdict.detail) == ("oscillating", "diverge_oscillatory")
    flipping = one_point(1e-9, generator_lr=17.7)
    verdict = gs.classify(gs.simulate(flipping, "gda", iterations=150))
    assert (verdict.outcome, verdict.detail) == ("oscillating", "flip")


def test_a_point_that_flees_its_trail_is_propelled():
    speed_ratio, lam = 1.0, 0.2
    rates = dict(generator_lr=0.02 * speed_ratio, discriminator_lr=0.02, regularization=lam)
    # The second point, of next to no mass, gives the kick.
    with pytest.warns(UserWarning, match="sums to"):
        game = gs.KernelGAN([[-500.0]], [[0.0], [1e-3]], [1.0], [0.5, 1e-9], **rates)
    run = gs.simulate(game, "gda", iterations=9000, save_at=np.arange(0, 9001, 30), tolerance=1e-8)
    verdict = gs.classify(run)
    assert (verdict.outcome, verdict.detail) == ("oscillating", "propelled")
    path = run.generated_points.values[:, 0, 0]
    speed = abs(path[-1] - path[-50]) / (49 * 30 * 0.02)
    assert speed == pytest.approx(gs.propulsion_speed(speed_ratio, 0.5, 1.0, lam), rel=2e-2)


def test_a_path_that_crosses_the_equilibrium_on_a_record_is_judged_all_the_same():
    k = np.arange(400)
    path = 4.5e-7 * 1.001**k * np.cos(np.pi / 2 * k)
    path[1] = 0.0
    motion = local_motion(one_point(4.5e-7), path[:, None, None], np.zeros((1, 1)), "simultaneous")
    assert motion.label == "diverge_oscillatory"
    assert np.abs(motion.multipliers[0]) == pytest.approx(1.001, rel=1e-9)


def test_masses_warn_once():
    with pytest.warns(UserWarning, match="sums to"):
        game = gs.KernelGAN([[0.0]], [[0.1]], [1.0], [0.5])
    assert gs.from_json(gs.to_json(game)) == game
    assert game.replace(generator_lr=0.1).generator_lr == 0.1
    with pytest.warns(UserWarning, match="sums to"):
        game.replace(generated_mass=[0.4])


def test_isolation_of_the_data():
    assert isolation(np.array([[0.0], [3.0], [3.5]])) == 0.5
    assert isolation(np.array([[1.0], [1.0]])) == math.inf


def test_recurrence_roots_find_the_modes():
    k = np.arange(60)
    modes = np.array([0.9 * np.exp(0.3j), 0.9 * np.exp(-0.3j)])
    series = (modes[0] ** k * (1 + 2j)).real
    assert np.abs(np.sort_complex(recurrence_roots(series, 2)) - np.sort_complex(modes)).max() < 1e-10
    assert np.all(np.isnan(recurrence_roots(np.zeros(30), 2)))
    assert np.all(np.isnan(recurrence_roots(series[:3], 2)))


@pytest.mark.parametrize("count", [1, 2, 6])
def test_neighbourhoods_far_from_each_other_do_not_matter_to_each_other(count):
    X = 4.0 * np.arange(count)[:, None] * [1.0, 0.0]
    mass = np.full(count, 0.25)
    game = gs.KernelGAN(X, X + 0.01, mass, mass, kernel=gs.RBF(0.5), generator_lr=5.0)
    prediction = gs.predict(game, rule="simultaneous")
    assert (prediction.outcome, prediction.detail) == ("oscillating", "diverge_oscillatory")
    assert gs.classify(gs.simulate(game, "gda", rule="simultaneous", iterations=2000)).outcome == "oscillating"


def test_momentum_reaches_the_prediction():
    game = one_point()
    plain, heavy = (gs.predict(game, rule="heavy_ball", momentum=m) for m in (0.0, 0.2))
    assert plain.rates["spectral_radius"] == pytest.approx(0.93808315, abs=1e-8)
    assert heavy.rates["spectral_radius"] == pytest.approx(0.98444227, abs=1e-8)
    with pytest.raises(gs.ParameterError, match="momentum"):
        gs.predict(game, rule="alternating", momentum=0.2)
    with pytest.raises(gs.ParameterError, match="Did you mean 'momentum'"):
        gs.predict(game, rule="heavy_ball", momentums=0.2)


def test_slow_modes_that_count_as_neutral_are_in_the_rates():
    # Two true points a thousandth of a bandwidth apart: pulling them apart takes for ever.
    game = gs.KernelGAN([[0.0], [1e-3]], [[0.0], [1e-3]])
    rates = gs.predict(game).rates
    assert 0 < rates["per_iteration"] < 1e-6
    assert rates["conditioning"] > 1e5


def test_hundreds_of_points_are_predicted_from_their_data():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 2))
    prediction = gs.predict(gs.KernelGAN(X, X + 0.1 * rng.normal(size=X.shape), kernel=gs.RBF(0.3), generator_lr=50.0))
    assert prediction.outcome == "converged"
    assert prediction.rates["spectral_radius"] < 1


def test_more_points_than_theory_follows_are_undecided_not_refused():
    rng = np.random.default_rng(0)
    game = gs.KernelGAN(rng.normal(size=(60, 40)), rng.normal(size=(50, 40)))
    prediction = gs.predict(game)
    assert prediction.outcome == "undecided"
    assert "1500 coordinates" in prediction.reasons[0]
    with pytest.raises(gs.NotApplicable, match="1500"):
        gs.equilibrium(game)
