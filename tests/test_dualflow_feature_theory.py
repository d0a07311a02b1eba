"""What `predict`, `spectrum` and the bounds say about a `FeatureGAN`, against runs and difference quotients."""

import numpy as np
import pytest
import reference_dualflow as reference
from scipy.stats import norm

import ganscope as gs
from ganscope.analysis.linearisation import jacobian
from ganscope.games.dualflow.feature import linearisation as local
from ganscope.games.dualflow.feature.laws import Mixture
from ganscope.games.dualflow.feature.pair import bend_bound, slope_bound

RNG = np.random.default_rng(8)
TWO_MODES = Mixture((norm(-2, 0.25), norm(2, 0.25))).ppf((np.arange(64) + 0.5) / 64)
LINE = dict(real_points=RNG.normal(0.3, 1, 6), generated_points=RNG.normal(-0.5, 0.7, 5), half_period=9.0)
PLANE = dict(real_points=RNG.normal(0.3, 1, (6, 2)), generated_points=RNG.normal(-0.5, 0.7, (5, 2)))
GAMES = {
    "fourier": gs.FeatureGAN(**LINE, bandwidth=0.9, ridge=0.2, discriminator_lr=1.4),
    "quadratic": gs.FeatureGAN(**PLANE, features="quadratic", critic_penalty=0.6),
    "random": gs.FeatureGAN(**PLANE, features="random", feature_count=20, generator_lr=0.7),
    "fast": gs.FeatureGAN(**LINE, bandwidth=0.9, fast=True, critic_penalty=0.5),
    "linear": gs.FeatureGAN(**PLANE, features="linear", critic_penalty=0.6),
}


def velocity(game, flat):
    """The flow in the coordinates of the linearisation: points over sqrt(N), then coefficients."""
    count, axes = game.generated_points.shape
    root = np.sqrt(count)
    pair = game.pair()
    x = root * flat[: count * axes].reshape(count, axes)
    if game.fast:
        return -game.generator_lr * pair.gradient(0, x, np.empty(0)).ravel() / root
    a = flat[count * axes :]
    first = -game.generator_lr * pair.gradient(0, x, a).ravel() / root
    return np.concatenate([first, -game.discriminator_lr * pair.gradient(1, x, a)])


@pytest.mark.parametrize("name", GAMES)
def test_the_linearisation_is_the_slope_of_the_flow(name):
    game = GAMES[name]
    points, a = np.array(game.generated_points), local.best_coefficients(game, np.array(game.generated_points))
    flat = points.ravel() / np.sqrt(len(points))
    flat = flat if game.fast else np.concatenate([flat, a])
    found = jacobian(lambda z: np.array([velocity(game, v) for v in z.reshape(-1, z.shape[-1])]).reshape(z.shape), flat)
    np.testing.assert_allclose(local.linearised(game, points, a).jacobian, found, atol=1e-8)
    values = gs.spectrum(game, at=points).eigenvalues
    np.testing.assert_allclose(np.sort(values.real), np.sort(np.linalg.eigvals(found).real), atol=1e-6)


def test_the_modes_of_matched_data_are_those_of_the_whole_linearisation():
    game = gs.FeatureGAN(LINE["real_points"], LINE["real_points"], half_period=9.0, critic_penalty=0.7)
    whole = gs.spectrum(game, at=game.real).eigenvalues
    few = gs.spectrum(game).eigenvalues
    for value in few:
        assert np.abs(whole - value).min() < 1e-7
    decay = np.abs(whole + 0.7) < 1e-9  # features that no motion of the points excites
    assert len(few) + decay.sum() == len(whole)
    same = gs.spectrum(game.replace(features="history", half_period=None)).eigenvalues
    np.testing.assert_allclose(same[: len(few)], few, atol=1e-9)


def test_worked_modes():
    game = gs.FeatureGAN(reference.normal_quantiles(32), reference.normal_quantiles(32), half_period=8.0)
    strengths = local.strengths(game)
    np.testing.assert_allclose(strengths[:3], [0.39779531, 0.35579579, 0.11127886], atol=1e-8)
    values = gs.spectrum(game).eigenvalues
    assert np.abs(values - (-0.5 + 0.38444156j)).min() < 1e-8
    slow = gs.spectrum(game.replace(critic_penalty=3.0)).eigenvalues
    assert np.abs(slow + 2.86095727).min() < 1e-8
    assert np.abs(slow + 0.13904273).min() < 1e-8


@pytest.mark.parametrize("level", ["explicit", "explicit_sequential", "jko", "jko_sequential"])
def test_steps_are_stable_up_to_the_largest_one(level):
    game = gs.FeatureGAN(
        reference.normal_quantiles(8), reference.normal_quantiles(8) + 1e-6, half_period=8.0, critic_penalty=0.3
    )
    largest = gs.largest_step(game, level)
    assert largest == pytest.approx(gs.predict(game).thresholds[f"largest_step_{level}"], rel=1e-9)
    for share in (0.95, 1.05):
        rate = gs.spectrum(game, rule=level, step_size=share * largest).rate
        assert (rate < 0) == (share > 1)
        run = gs.simulate(game, level, step_size=share * largest, iterations=int(8 / abs(rate)) if share > 1 else 300)
        growth = np.linalg.norm(run.discriminator.values, axis=1)
        assert (growth[-1] > 10 * growth[5]) == (share > 1)


@pytest.mark.parametrize("bandwidth, mode, product", [(0.5, 2.0, 2.564039), (1.0, 1.997881, 0.545655)])
def test_the_fate_of_a_point(bandwidth, mode, product):
    game = gs.FeatureGAN(TWO_MODES, [0.5], bandwidth=bandwidth, half_period=16.0)
    facts = gs.predict(game).thresholds
    assert facts["mode"][0] == pytest.approx(mode, abs=2e-6)
    assert facts["critical_speed_ratio"] == pytest.approx(product, abs=2e-6)
    for share, detail in ((1.15, "settled"), (0.85, "cycling")):
        one = game.replace(discriminator_lr=share * facts["critical_speed_ratio"], generated_points=[mode + 1e-3])
        prediction, run = gs.predict(one), gs.simulate(one, "flow", horizon=400)
        verdict = gs.classify(run)
        assert (prediction.outcome, prediction.detail) == ("collapsed", detail) == (verdict.outcome, verdict.detail)


def test_a_sum_of_kernels_changes_the_threshold_with_its_height():
    game = gs.FeatureGAN(TWO_MODES, [0.5], bandwidth=[0.5, 0.5], half_period=16.0)
    single = gs.predict(gs.FeatureGAN(TWO_MODES, [0.5], bandwidth=0.5, half_period=16.0)).thresholds
    double = gs.predict(game).thresholds
    # twice the kernel with penalty 1 is the kernel with half the penalty and twice the discriminator's speed
    assert double["critical_speed_ratio"] == pytest.approx(2 * single["critical_speed_ratio"], rel=1e-9)
    values = gs.spectrum(game.replace(generated_points=[0.5] * 3)).eigenvalues
    assert values[0].real == pytest.approx(gs.predict(game).rates["width_growth"], rel=1e-6)
    for share, label in ((0.9, "unstable"), (1.1, "stable")):
        one = game.replace(discriminator_lr=share * double["critical_speed_ratio"], generated_points=[2.0])
        assert gs.spectrum(one.replace(generated_points=[2.0])).label.startswith(label)


def test_bounds_dominate_the_error_of_proximal_steps():
    game = gs.FeatureGAN(
        0.5 + 0.7 * reference.normal_quantiles(16), 2 + 0.3 * reference.normal_quantiles(16), bandwidth=2.0,
        ridge=1.0, discriminator_lr=2.0,
    )  # fmt: skip
    for level in ("jko", "jko_sequential"):
        bounds = []
        for step in (0.1, 0.05):
            bound = gs.scheme_error_bound(game, level, step, 2.0)
            run = gs.simulate(game, level, step_size=step, horizon=2)
            flow = gs.simulate(game, "flow", save_at=run.time.values)
            x = np.sqrt(np.mean((run.generated_points.values - flow.generated_points.values) ** 2, axis=(1, 2)))
            a = np.linalg.norm(run.discriminator.values - flow.discriminator.values, axis=1)
            assert x.max() < bound.generator
            assert a.max() < bound.discriminator
            bounds.append(bound)
        assert 1.8 < bounds[0].generator / bounds[1].generator < 2.2


def test_contraction_with_a_ridge():
    base = dict(real_points=0.5 + 0.7 * reference.normal_quantiles(32), bandwidth=2.0, ridge=1.0, discriminator_lr=2.0)
    one = gs.FeatureGAN(generated_points=2 + 0.3 * reference.normal_quantiles(32), half_period=16.0, **base)
    start = -0.3 * one.map.values(np.array([[1.0]]))[0]
    other = gs.FeatureGAN(
        generated_points=-1 + 1.2 * reference.normal_quantiles(32),
        half_period=16.0,
        initial_discriminator=start,
        **base,
    )
    times = np.linspace(0, 6, 61)
    runs = [gs.simulate(game, "flow", save_at=times) for game in (one, other)]
    gap = runs[0].generated_points.values - runs[1].generated_points.values
    v = np.mean(gap**2, axis=(1, 2)) + np.sum((runs[0].discriminator - runs[1].discriminator).values ** 2, axis=1) / 2
    rate = gs.predict(one).rates["contraction"]
    assert rate > 0
    assert np.all(v <= v[0] * np.exp(-2 * rate * times) * (1 + 1e-9))
    # the observed exponent, by a transcription of the formulas: 2.3254
    assert np.log(v[0] / v[-1]) / 6 == pytest.approx(2.3254, abs=1e-4)


@pytest.mark.parametrize("name", ["fourier", "random", "quadratic", "linear"])
def test_bounds_on_slopes_and_curvatures_hold_and_are_sharp(name):
    game = GAMES[name]
    m = game.map
    x = RNG.normal(size=(200, m.axes)) * 3
    slopes = m.slopes(x)
    a = RNG.normal(size=m.size)
    difference = 1e-5 * np.eye(m.axes)
    second = np.stack([(m.slopes(x + d) - m.slopes(x - d)) @ a / 2e-5 for d in difference], axis=1)
    largest = np.linalg.eigvalsh((second + second.transpose(0, 2, 1)) / 2).max()
    assert largest <= bend_bound(m, a) * (1 + 1e-6)
    if name != "quadratic":
        assert np.linalg.norm(slopes, 2, axis=(1, 2)).max() <= slope_bound(m) * (1 + 1e-9)
    if name == "fourier":
        # the Gaussian kernel's own constants
        assert slope_bound(m) == pytest.approx(1 / 0.9, rel=1e-12)
        assert bend_bound(m, a) == pytest.approx(np.sqrt(3) * np.linalg.norm(a) / 0.81, rel=1e-9)


def test_starts_that_can_never_cover_the_target():
    too_few = gs.FeatureGAN(TWO_MODES, [1.0, 1.0], features="quadratic")
    assert gs.predict(too_few).outcome == "collapsed"
    line = gs.FeatureGAN(RNG.normal(size=(20, 2)), np.outer(RNG.normal(size=20), [1.0, 2.0]), features="quadratic")
    prediction = gs.predict(line)
    assert prediction.outcome == "collapsed"
    assert "rank 1 < 2" in prediction.reasons[0]
    run = gs.simulate(line, "jko_sequential", horizon=40, step_size=0.05)
    assert (
        np.linalg.matrix_rank(run.generated_points.values[-1] - run.generated_points.values[-1].mean(0), tol=1e-9) == 1
    )


def test_general_starts_have_no_theory_and_say_so():
    prediction = gs.predict(gs.FeatureGAN(TWO_MODES, RNG.normal(size=64)))
    assert prediction.outcome == "undecided"
    assert "no theory" in prediction.reasons[0]
    energy = gs.FeatureGAN(TWO_MODES, np.zeros(64), features="energy", fast=True)
    assert gs.predict(energy).outcome == "converged"
    assert gs.classify(gs.simulate(energy, "flow", horizon=400)).outcome == "converged"


def test_questions_without_an_answer():
    game = GAMES["fourier"]
    with pytest.raises(gs.NotApplicable, match="ridge"):
        gs.spectrum(game)
    with pytest.raises(gs.NotApplicable, match="history"):
        gs.spectrum(gs.FeatureGAN(**PLANE, features="history"), at=PLANE["real_points"])
    with pytest.raises(gs.NotApplicable, match="no bound"):
        gs.scheme_error_bound(GAMES["quadratic"], "jko", 0.1, 1.0)
    with pytest.raises(gs.ParameterError, match="level"):
        gs.predict(game, level="midpoint")
    with pytest.raises(gs.ParameterError, match="step_size"):
        gs.predict(game, step_size=0.1)
    with pytest.raises(gs.ParameterError, match="at"):
        gs.spectrum(game, at=np.zeros((3, 2)))


def test_a_collapsed_start_is_judged_by_the_scheme():
    game = gs.FeatureGAN(TWO_MODES, np.full(8, 2.1), bandwidth=0.5, discriminator_lr=5.0, half_period=12.0)
    for level in ("explicit", "jko", "jko_sequential", "nash"):
        assert gs.predict(game, level, step_size=0.02).detail == "settled"
        # steps without solution, and steps that leave the mode
        assert gs.predict(game, level, step_size=3.0).outcome == "undecided"
    assert gs.classify(gs.simulate(game, "jko", step_size=0.02, horizon=60)).detail == "settled"
    assert gs.predict(game, "jko", step_size=0.2).outcome == "undecided"
    assert gs.classify(gs.simulate(game, "jko", step_size=0.2, horizon=60)).detail == "cycling"


def test_quantiles_come_as_close_as_their_number_allows():
    real = RNG.normal(size=8)
    for count, level, step, outcome in (
        (8, "explicit", 0.02, "converged"), (16, "jko", 0.2, "converged"), (3, "jko", 0.2, "undecided"),
    ):  # fmt: skip
        game = gs.FeatureGAN(real, RNG.normal(size=count), features="energy", fast=True)
        assert gs.predict(game, level, step_size=step).outcome == outcome
        run = gs.simulate(game, level, step_size=step, horizon=400)
        assert (gs.classify(run).outcome == "converged") == (outcome == "converged")


def test_public_formulas_check_what_they_are_given():
    for call in (
        lambda: gs.bilinear_period(-1, 1),
        lambda: gs.bilinear_period(1, 1, penalty=np.nan),
        lambda: gs.saturating_period(1, 0, 0, 1),
        lambda: gs.saturating_period(True),
        lambda: gs.capture_time(3, 2, 1),
        lambda: gs.capture_time(3, 0, 0),
        lambda: gs.collapse_distance(np.eye(2), -1),
        lambda: gs.collapse_distance(-np.eye(2), 1),
        lambda: gs.critical_speed_ratio(np.eye(2), 1.5, 0.5),
        lambda: gs.critical_speed_ratio(np.eye(2), 1, 0.0),
        lambda: gs.spectrum(GAMES["fast"], rule="jko", at=GAMES["fast"].generated_points, nosuch=1),
        lambda: gs.largest_step(GAMES["linear"], "jko_seq"),
    ):
        with pytest.raises(gs.ParameterError):
            call()
    assert gs.capture_time(3, 0, 1) == pytest.approx(3.1682640342, abs=1e-9)
    assert gs.saturating_period(1.0) == pytest.approx(12.9652484, abs=1e-6)
    assert gs.largest_step(gs.QuadraticGAN(0, 1, 0, 0.5, critic_penalty=0.5), "explicit") == pytest.approx(
        0.5, abs=1e-6
    )
    assert str(gs.largest_step(gs.ClippedGAN(), "jko")) == "0.0"
