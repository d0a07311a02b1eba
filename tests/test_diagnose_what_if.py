"""What-ifs against measurements made anew under the changed setting, and the advice that is read off them."""

import math

import numpy as np
import pytest
from diagnose_measurements import plain, random_measurement, rule_of, with_wander

import ganscope as gs
from ganscope.core.outcome import Outcome
from ganscope.diagnose.rule import Player, UpdateRule
from ganscope.diagnose.theory.advice import GRID, advise, gamma_sweep, predicted_gain
from ganscope.diagnose.theory.virtual import WANDER_CAP, decay, forecast
from ganscope.diagnose.theory.what_if import Setting, WhatIf, changed, evaluate, with_penalty
from ganscope.diagnose.theory.words import cost_words, wander_words


def measured(generator_lr, discriminator_lr, memory=0.0, kind="momentum", batch_size=128, gamma=0.4):
    """A measurement of one fixed raw game, whitened with its learning rates from scratch."""
    rng = np.random.default_rng(1)
    bare, penalty = rng.normal(size=(4, 4)), np.zeros((4, 4))
    root = rng.normal(size=(2, 2))
    penalty[2:, 2:] = -root @ root.T
    noise = rng.normal(size=(12, 4)) / math.sqrt(batch_size)
    rates = np.sqrt([generator_lr] * 2 + [discriminator_lr] * 2)
    both = np.outer(rates, rates)
    options = {"momentum": memory} if kind == "momentum" else {"beta1": memory}
    rule = UpdateRule(
        "alternating", 1, Player(kind, generator_lr, **options), Player(kind, discriminator_lr, **options)
    )
    return random_measurement(modes=2).replace(
        rule=rule,
        sigma=np.linalg.svd((both * bare)[:2, 2:], compute_uv=False),
        jacobian=both * (bare + gamma * penalty),
        without_penalty=both * bare,
        penalty=both * penalty,
        gamma=gamma,
        noise=noise * rates,
        outputs=rng.normal(size=(2, 5, 2)) * rates[0],
        batch_size=batch_size,
    )


def assert_same(one, other):
    assert one.gamma == other.gamma
    assert one.batch_size == other.batch_size
    for name in ("sigma", "jacobian", "without_penalty", "penalty", "outputs", "noise"):
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), rtol=1e-12, atol=1e-15, err_msg=name)
    told, expected = one.rule.to_dict(), other.rule.to_dict()
    for player in ("generator", "discriminator"):
        told[player]["learning_rate"] = pytest.approx(told[player]["learning_rate"], rel=1e-12)
    assert told == expected


@pytest.mark.parametrize(
    "setting, anew",
    [
        (Setting(), {}),
        (Setting(gradient_penalty=2.5), {"gamma": 2.5}),
        (Setting(gradient_penalty=0.0), {"gamma": 0.0}),
        (Setting(learning_rate_scale=0.3), {"generator_lr": 0.03, "discriminator_lr": 0.006}),
        (Setting(generator_lr=0.05), {"generator_lr": 0.05}),
        (Setting(discriminator_lr=0.5), {"discriminator_lr": 0.5}),
        (Setting(train_batch_size=32), {"batch_size": 32}),
        (Setting(momentum=0.5), {"memory": 0.5, "generator_lr": 0.05, "discriminator_lr": 0.01}),
        (Setting(momentum=0.5, generator_lr=0.2), {"memory": 0.5, "generator_lr": 0.2, "discriminator_lr": 0.01}),
        (
            Setting(gradient_penalty=1.0, learning_rate_scale=2.0, train_batch_size=512),
            {"gamma": 1.0, "generator_lr": 0.2, "discriminator_lr": 0.04, "batch_size": 512},
        ),
    ],
)
def test_a_changed_measurement_is_the_one_made_anew(setting, anew):
    given = {"generator_lr": 0.1, "discriminator_lr": 0.02}
    assert_same(changed(measured(**given), setting), measured(**(given | anew)))


def test_removing_momentum_keeps_the_effective_speed():
    heavy = measured(0.01, 0.002, memory=0.9)
    light = changed(heavy, Setting(momentum=0.0))
    assert_same(light, measured(0.1, 0.02, memory=0.0))
    adam = measured(0.01, 0.002, memory=0.9, kind="adam")
    assert_same(changed(adam, Setting(beta1=0.0)), measured(0.01, 0.002, memory=0.0, kind="adam"))
    # A slow mode moves as fast with as without memory.
    for one, other in ((heavy, light), (adam, changed(adam, Setting(beta1=0.0)))):
        rates = []
        for which in (one, other):
            slow = np.diag(np.diag(which.jacobian)) * 1e-4
            matrix = gs.update_map(slow, 2, which.rule)
            rates.append(np.sort(np.abs(np.linalg.eigvals(matrix)))[-4:] - 1)
        np.testing.assert_allclose(rates[0], rates[1], rtol=1e-2)


def test_order_and_steps_are_another_rule():
    one = measured(0.1, 0.02)
    assert changed(one, Setting(discriminator_steps=4)).rule.discriminator_steps == 4
    assert changed(one, Setting(order="simultaneous")).rule.order == "simultaneous"
    with pytest.raises(gs.ParameterError, match="discriminator_steps"):
        changed(one, Setting(order="simultaneous", discriminator_steps=2))
    for setting in (Setting(discriminator_steps=4), Setting(order="simultaneous")):
        assert evaluate(one, setting).predicted_wander != evaluate(one, Setting()).predicted_wander


def test_the_jacobian_is_affine_in_the_penalty():
    one = random_measurement(gamma=0.5)
    values = [with_penalty(one, gamma).jacobian for gamma in (0.0, 1.0, 2.0)]
    np.testing.assert_allclose(values[0] + values[2], 2 * values[1], rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(with_penalty(one, 0.5).jacobian, one.jacobian, rtol=1e-14, atol=1e-16)


def test_another_kind_of_penalty_is_replaced():
    one = random_measurement(gamma=0.0)
    other = one.replace(jacobian=one.jacobian + np.diag([0, 0, 0, -0.1, -0.1, -0.1]))
    np.testing.assert_array_equal(changed(other, Setting()).jacobian, other.jacobian)
    np.testing.assert_array_equal(changed(other, Setting(gradient_penalty=0.0)).jacobian, one.without_penalty)


@pytest.mark.parametrize(
    "values, name",
    [
        ({"gradient_penalty": -1.0}, "gradient_penalty"),
        ({"gradient_penalty": math.nan}, "gradient_penalty"),
        ({"generator_lr": 0.0}, "generator_lr"),
        ({"discriminator_lr": -1.0}, "discriminator_lr"),
        ({"learning_rate_scale": math.inf}, "learning_rate_scale"),
        ({"momentum": 1.0}, "momentum"),
        ({"beta1": -0.1}, "beta1"),
        ({"discriminator_steps": 0}, "discriminator_steps"),
        ({"discriminator_steps": 1.5}, "discriminator_steps"),
        ({"order": "both"}, "order"),
        ({"train_batch_size": 0}, "train_batch_size"),
        ({"instance_noise": -0.1}, "instance_noise"),
    ],
)
def test_bad_settings(values, name):
    with pytest.raises(gs.ParameterError, match=name):
        Setting(**values)


def test_what_ifs_that_do_not_apply():
    one = measured(0.1, 0.02)
    with pytest.raises(gs.NotApplicable, match="beta1"):
        changed(one, Setting(beta1=0.0))
    with pytest.raises(gs.NotApplicable, match="penalty"):
        changed(one.replace(penalty=None), Setting(gradient_penalty=1.0))
    vector = one.replace(rule=one.rule.replace(generator=Player("sgd", np.array([0.1, 0.2]))))
    with pytest.raises(gs.NotApplicable, match="generator_lr"):
        changed(vector, Setting(generator_lr=0.1))
    np.testing.assert_allclose(
        changed(vector, Setting(learning_rate_scale=0.5)).rule.generator.learning_rate, [0.05, 0.1]
    )
    with pytest.raises(gs.ParameterError, match="measurements"):
        evaluate([], Setting())
    blind = evaluate(one.replace(outputs=None), Setting())
    assert math.isnan(blind.predicted_wander)


def test_status_says_how_far_numbers_can_be_trusted():
    one = random_measurement(radius=2.0)
    expected = {0.0: "predicted", 4.0: "predicted", 4.1: "estimate", 12.0: "estimate", 12.1: "unvalidated"}
    for gamma, status in expected.items():
        assert evaluate(one, Setting(gradient_penalty=gamma)).status == status
    assert evaluate(one, Setting()).status == "predicted"
    for setting in (
        Setting(learning_rate_scale=0.3),
        Setting(discriminator_steps=2),
        Setting(momentum=0.2),
        Setting(instance_noise=0.1),
        Setting(gradient_penalty=1.0, learning_rate_scale=0.3),
    ):
        assert evaluate(one, setting).status == "estimate"
        assert evaluate(one, setting).note
    assert evaluate(one, Setting(gradient_penalty=1.0)).to_dict()["setting"] == {"gradient_penalty": 1.0}


def test_smaller_learning_rates_keep_the_orbit():
    one = random_measurement(gamma=2.0)
    setting = Setting(learning_rate_scale=0.1)
    bare = evaluate(one, setting)
    told = evaluate(one, setting, observed_wander=0.5, remaining_iterations=300)
    left = decay(changed(one, setting), 300, clamp=True)
    assert 0 < left < 1
    assert told.predicted_wander == pytest.approx(math.hypot(bare.predicted_wander, 0.5 * left), rel=1e-12)
    penalty = Setting(gradient_penalty=1.0)
    assert evaluate(one, penalty, observed_wander=0.5, remaining_iterations=300) == evaluate(one, penalty)


def test_medians_over_batches():
    batches = [random_measurement(seed=seed) for seed in range(3)]
    single = [evaluate(one, Setting()) for one in batches]
    together = evaluate(batches, Setting())
    assert together.predicted_wander == np.median([one.predicted_wander for one in single])
    assert together.horizon_cost == np.median([one.horizon_cost for one in single])


def single_mode(rotation=0.05, unit=0.05, radius=1.0, gamma=0.0, rule=None):
    """One rotating mode without friction of its own; the penalty damps it by `unit` per unit of gamma."""
    bare = np.array([[0.0, rotation], [-rotation, 0.0]])
    penalty = np.array([[0.0, 0.0], [0.0, -unit]])
    rng = np.random.default_rng(0)
    noise = 1e-6 * rng.normal(size=(24, 2))
    base = random_measurement(modes=1, rule=rule or rule_of("simultaneous"), radius=radius)
    return base.replace(
        sigma=np.array([rotation]),
        jacobian=bare + gamma * penalty,
        without_penalty=bare,
        penalty=penalty,
        gamma=gamma,
        noise=noise,
    )


@pytest.mark.parametrize("rotation", [0.02, 0.05, 0.1])
def test_a_single_mode_is_advised_about_critical_damping(rotation):
    """x' = sigma y, y' = -sigma x - c y from (1, 0) has the integral of x^2 (sigma/c + c/sigma) / (2 sigma).

    It is smallest at c = sigma, half of critical damping. Euler steps take away a friction of sigma^2.
    """
    unit = 2 * rotation  # critical damping at gamma = 1
    fine = gamma_sweep([single_mode(rotation, unit)], gammas=np.geomspace(0.1, 10, 201), advice_horizon=1024)
    # The integral is flat about its minimum: the discrete sum's may lie a few steps of 2.3 % away.
    assert fine.advised_unclipped == pytest.approx((rotation + rotation**2) / unit, rel=0.1)
    coarse = gamma_sweep([single_mode(rotation, unit)])
    assert coarse.advised_unclipped in (0.3, 1.0)
    assert coarse.advised_unclipped == coarse.gamma[int(np.argmin(coarse.horizon_cost))]


def test_advice_scales_with_the_squared_data_radius():
    one = random_measurement(seed=2, radius=1.0)
    scale = 7.0
    # x -> scale x: outputs and radius grow, the penalty's curvature shrinks; the whitened game is the same.
    other = one.replace(
        outputs=one.outputs * scale,
        data_radius=scale,
        penalty=one.penalty / scale**2,
        gamma=one.gamma * scale**2,
    )
    ours, theirs = gamma_sweep([one]), gamma_sweep([other])
    assert theirs.advised == pytest.approx(ours.advised * scale**2, rel=1e-12)
    np.testing.assert_allclose(theirs.horizon_cost, ours.horizon_cost, rtol=1e-8)
    np.testing.assert_allclose(theirs.predicted_wander, ours.predicted_wander, rtol=1e-8)
    assert ours.gamma_over_r2 == theirs.gamma_over_r2 == GRID


def test_advice_is_clipped_and_the_unclipped_value_kept():
    # Friction of its own: a penalty only slows the return.
    damped = single_mode(0.05, 1.0)
    damped = damped.replace(without_penalty=damped.without_penalty + np.diag([0.0, -0.1]), data_radius=2.0)
    low = gamma_sweep([damped])
    assert low.advised_unclipped < 0.3 * 4
    assert low.advised == pytest.approx(0.3 * 4)
    high = gamma_sweep([single_mode(0.05, 0.003)])
    assert high.advised_unclipped == 30.0
    assert high.advised == 10.0
    assert high.clip == (0.3, 10.0)
    told = high.to_dict()
    assert set(told) == {
        "gamma",
        "gamma_over_r2",
        "predicted_wander",
        "horizon_cost",
        "given",
        "advised",
        "advised_unclipped",
        "clip",
    }


def test_ties_and_infinities():
    still = single_mode(0.0, 0.05)
    assert gamma_sweep([still]).advised_unclipped == 0.0
    wild = single_mode(1e3, 1e-3)
    sweep = gamma_sweep([wild])
    assert all(cost == math.inf for cost in sweep.horizon_cost)
    assert math.isnan(sweep.advised_unclipped)
    assert sweep.advised == 1.0
    advice = advise([wild], Outcome.OSCILLATING, sweep)
    assert "finite" in advice[0].why
    blind = gamma_sweep([still.replace(outputs=None)])
    assert math.isnan(blind.advised_unclipped)
    assert advise([still.replace(outputs=None)], Outcome.UNDECIDED, blind) == ()
    # One batch on which the model runs away decides nothing.
    assert gamma_sweep([single_mode(0.05, 0.05), wild, single_mode(0.05, 0.05)]).advised_unclipped == 1.0


def test_bad_grids():
    for gammas in ((), (1.0, 0.5), (1.0, 1.0), (-1.0, 1.0), (math.nan,), "many"):
        with pytest.raises(gs.ParameterError, match="gammas"):
            gamma_sweep([single_mode()], gammas=gammas)
    with pytest.raises(gs.NotApplicable, match="penalty"):
        gamma_sweep([single_mode().replace(penalty=None)])


def test_a_cure_within_one_squared_radius_is_promised():
    one = with_wander(single_mode(0.05, 0.05, rule=rule_of()), 0.5)
    sweep = gamma_sweep([one])
    (advice,) = advise([one], Outcome.OSCILLATING, sweep)
    assert advice.parameter == "gradient_penalty"
    assert advice.value == 1.0
    assert advice.value_full_convention == 0.5
    assert advice.wording == "will"
    assert advice.verification == "not verified"
    cured = forecast(with_penalty(one, 1.0), clamp=True).predicted_wander
    assert f"0.5 -> {cured:.3g}" in advice.why
    # Beyond one squared radius it is a try.
    weaker = with_wander(single_mode(0.05, 0.015, rule=rule_of()), 0.5)
    (advice,) = advise([weaker], Outcome.OSCILLATING, gamma_sweep([weaker]))
    assert advice.value == 3.0
    assert advice.wording == "try"


def test_memory_and_rates_follow_where_the_penalty_is_not_enough():
    heavy = rule_of(kind="momentum", momentum=0.9)
    one = single_mode(0.05, 0.05, rule=heavy)
    # So much noise that none of the three changes brings the wander below the threshold.
    one = one.replace(noise=one.noise * 1e6)
    advice = advise([one], Outcome.OSCILLATING, gamma_sweep([one]))
    assert [entry.parameter for entry in advice] == ["gradient_penalty", "momentum", "learning_rate_scale"]
    assert [entry.wording for entry in advice] == ["try", "try", "try"]
    assert [entry.value for entry in advice[1:]] == [0.0, 0.3]
    mixed = one.replace(rule=UpdateRule("alternating", 1, plain("adam", beta1=0.5), plain("momentum", momentum=0.4)))
    advice = advise([with_wander(mixed, 1e4)], Outcome.OSCILLATING, None)
    assert [entry.parameter for entry in advice] == ["beta1", "learning_rate_scale"]
    light = one.replace(rule=rule_of(kind="adam", beta1=0.4))
    advice = advise([with_wander(light, 1e4)], Outcome.OSCILLATING, None)
    assert [entry.parameter for entry in advice] == ["learning_rate_scale"]


def test_leave_it():
    damped = with_wander(single_mode(0.05, 0.05, gamma=1.0), 0.01)
    (advice,) = advise([damped], Outcome.CONVERGED, gamma_sweep([damped]))
    assert (advice.wording, advice.parameter, advice.value) == ("leave it", "none", None)
    # A converging run that would gain is told so.
    loose = with_wander(single_mode(0.05, 0.05, gamma=0.05), 0.01)
    sweep = gamma_sweep([loose])
    gain = predicted_gain(sweep.given, evaluate([loose], Setting(gradient_penalty=sweep.advised)))
    assert gain > 0.05
    advice = advise([loose], Outcome.CONVERGED, sweep)
    assert advice[0].parameter == "gradient_penalty"
    (advice,) = advise([loose], Outcome.CONVERGED, None)
    assert advice.wording == "leave it"
    # The advised penalty is in force already and nothing else is wrong.
    (advice,) = advise([damped], Outcome.UNDECIDED, gamma_sweep([damped]))
    assert advice.wording == "leave it"
    assert advise([damped], Outcome.UNINFORMATIVE, gamma_sweep([damped])) == ()


def test_predicted_gain_of_infinite_costs():
    def cost(value):
        return WhatIf(Setting(), 1.0, value, "predicted", "")

    assert predicted_gain(cost(0.09), cost(0.04)) == pytest.approx(math.log(0.1 / 0.05))
    assert predicted_gain(cost(math.inf), cost(0.04)) == math.inf
    assert math.isnan(predicted_gain(cost(math.inf), cost(math.inf)))
    assert WANDER_CAP == 1e9


@pytest.mark.parametrize(
    "wander, text",
    [
        (0.0959, "0.0959"),
        (10.0, "10"),
        (10.1, "unstable [10.1]"),
        (6470.0, "unstable [6470]"),
        (1e9, "unstable [unbounded]"),
    ],
)
def test_a_wander_beyond_ten_data_radii_is_told_as_an_instability(wander, text):
    assert wander_words(wander) == text
    assert cost_words(wander**2).startswith("unstable") == text.startswith("unstable")
