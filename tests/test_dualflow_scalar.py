"""The games of two scalars: exact flows, compiled schemes against the reference, and what theory says about them."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import solve_ivp
from scipy.linalg import expm
from scipy.optimize import brentq

import ganscope as gs
from ganscope.games.dualflow.schemes import step as reference_step
from ganscope.games.dualflow.theory import orbits

SCHEMES = ("explicit", "explicit_sequential", "jko", "jko_sequential", "nash", "midpoint")
LOSSES = ("bilinear", "saturating", "nonsaturating")


def velocity(game, z):
    """The field in its textbook form."""
    theta, psi = z
    s = 1 / (1 + math.exp(-theta * psi))
    own, other = {"bilinear": (1, 1), "saturating": (s, s), "nonsaturating": (1 - s, s)}[game.loss]
    return [
        game.generator_lr * own * psi,
        game.discriminator_lr * (-other * theta - game.gradient_penalty * psi),
    ]


def end(run):
    return np.array([run.generator.values[-1], run.discriminator.values[-1]])


def iterate(game, scheme, steps, step_size, **options):
    """The reference schemes, applied to the game's pair."""
    pair, x, y = game.pair(), np.array([game.initial[0]]), np.atleast_1d(np.array(game.initial[1], float))
    for _ in range(steps):
        x, y = reference_step(pair, scheme, x, y, step_size, **options)
    return np.concatenate([x, y])


# ---- Dirac-GAN: the flow


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("penalty, lr", [(0.0, (1.0, 1.0)), (0.3, (2.0, 0.5)), (3.0, (0.4, 1.7))])
def test_the_flow_solves_its_equation(loss, penalty, lr):
    game = gs.DiracGAN(loss, penalty, *lr, initial=(1.2, -0.7))
    times = np.linspace(0, 12, 25)
    run = gs.simulate(game, "flow", save_at=times)
    exact = solve_ivp(lambda t, z: velocity(game, z), (0, 12), game.initial, "DOP853", times, rtol=1e-12, atol=1e-13).y
    np.testing.assert_allclose(np.stack([run.generator, run.discriminator]), exact, atol=2e-9)  # 25 steps of 1e-10


@pytest.mark.parametrize("penalty", [0.0, 0.3, 2 - 1e-9, 2.0, 2 + 1e-9, 7.0, 1e6])
def test_the_bilinear_flow_is_the_exponential_of_its_matrix(penalty):
    game = gs.DiracGAN("bilinear", penalty, 2.0, 2.0, initial=(1.0, -0.4))
    run = gs.simulate(game, "flow", save_at=[0.7, 5.0])
    for k, t in enumerate((0.7, 5.0)):
        exact = expm(t * np.array([[0, 2.0], [-2.0, -2.0 * penalty]])) @ game.initial
        np.testing.assert_allclose([run.generator[k], run.discriminator[k]], exact, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    "loss, expected", [("saturating", (0.21212963, -0.65469061)), ("nonsaturating", (-0.03376959, -0.51308363))]
)
def test_damped_flows_reach_the_worked_states(loss, expected):
    game = gs.DiracGAN(loss, 0.3, initial=(1, -0.5))
    np.testing.assert_allclose(end(gs.simulate(game, "flow", horizon=3)), expected, atol=1e-8)


@pytest.mark.parametrize("radius, period", [(0.5, 12.5909383), (1.0, 12.9652484), (1.5, 14.7173060)])
def test_the_saturating_orbit_closes_after_its_period(radius, period):
    game = gs.DiracGAN("saturating", initial=(0, radius))
    assert gs.predict(game).thresholds["period"] == pytest.approx(period, abs=1e-7)  # seven printed digits
    run = gs.simulate(game, "flow", save_at=[gs.predict(game).thresholds["period"]])
    np.testing.assert_allclose(end(run), game.initial, atol=1e-8)


@given(theta=st.floats(-2, 2), psi=st.floats(-2, 2), generator_lr=st.floats(0.2, 3), discriminator_lr=st.floats(0.2, 3))
def test_saturating_orbits_of_unequal_speeds_close_too(theta, psi, generator_lr, discriminator_lr):
    game = gs.DiracGAN("saturating", 0.0, generator_lr, discriminator_lr, initial=(theta, psi))
    period = orbits.saturating_period(theta, psi, generator_lr, discriminator_lr)
    if period < 200:
        run = gs.simulate(game, "flow", save_at=[period / 3, period])
        np.testing.assert_allclose(end(run), (theta, psi), atol=1e-6)
        np.testing.assert_allclose(
            run.radius, np.hypot(theta / generator_lr**0.5, psi / discriminator_lr**0.5), atol=1e-7
        )


def test_the_nonsaturating_flow_decays_like_a_power_of_time():
    run = gs.simulate(gs.DiracGAN("nonsaturating", initial=(1, 0.5)), "flow", save_at=[4000.0])
    assert 7.9 < 4000 * run.radius.values[0] ** 2 < 8.05
    game = gs.DiracGAN("nonsaturating", 0.0, 2.0, 0.7, initial=(1, 0.5))
    run = gs.simulate(game, "flow", save_at=[4e4])
    limit = gs.predict(game).thresholds["radius_squared_times_time"]
    assert 4e4 * run.radius.values[0] ** 2 == pytest.approx(limit, rel=0.002)  # corrections fall like 1 / t


# ---- Dirac-GAN: the schemes


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_compiled_schemes_are_the_reference_schemes(loss, scheme):
    game = gs.DiracGAN(loss, 0.3, 1.3, 0.7, initial=(1.1, -0.8))
    run = gs.simulate(game, scheme, step_size=0.2, iterations=60)
    np.testing.assert_allclose(end(run), iterate(game, scheme, 60, 0.2), rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("scheme", SCHEMES[:4])
@pytest.mark.parametrize("order", ["generator_first", "discriminator_first"])
def test_order_and_repeated_discriminator_steps(loss, scheme, order):
    game = gs.DiracGAN(loss, 0.2, 0.8, 0.6, initial=(0.9, 0.6))
    options = {"discriminator_steps": 3} | ({"order": order} if scheme.endswith("sequential") else {})
    run = gs.simulate(game, scheme, step_size=0.1, iterations=40, **options)
    np.testing.assert_allclose(end(run), iterate(game, scheme, 40, 0.1, **options), rtol=1e-10, atol=1e-11)


@given(
    loss=st.sampled_from(LOSSES[1:]),
    theta=st.floats(-20, 20),
    psi=st.floats(-20, 20),
    step=st.floats(1e-3, 100),
    penalty=st.floats(0, 5),
)
def test_a_proximal_step_is_stationary(loss, theta, psi, step, penalty):
    pair = gs.DiracGAN(loss, penalty).pair()
    x, y = np.array([theta]), np.array([psi])
    for player, (own, reach) in enumerate(((theta, abs(psi)), (psi, abs(theta) + penalty * abs(psi)))):
        if player == 0 and loss == "saturating" and step * psi**2 >= 4:
            with pytest.raises(gs.StepTooLarge, match="step_size"):
                pair.prox(player, x, y, step, 1e-12, 100)
            continue

        def slope(z, player=player, own=own):
            at = (np.array([z]), y) if player == 0 else (x, np.array([z]))
            return z - own + step * float(pair.gradient(player, *at)[0])

        low, high = own - step * reach - 1, own + step * reach + 1
        expected = brentq(slope, low, high, xtol=1e-13, rtol=1e-15)
        # a residual of 1e-12 (1 + |own|), where the slope can be as small as 1 - step psi^2 / 4
        bend = 1 - step * psi**2 / 4 if player == 0 and loss == "saturating" else 1.0
        found = float(pair.prox(player, x, y, step, 1e-12, 100)[0])
        assert abs(found - expected) <= 1e-10 * (1 + abs(own) + step * reach) / bend


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("scheme, order", [(s, 1) for s in SCHEMES[:5]] + [("midpoint", 2)])
def test_schemes_have_their_order(loss, scheme, order):
    game = gs.DiracGAN(loss, 0.3, 1.0, 2.0, initial=(1, -0.5))
    exact = end(gs.simulate(game, "flow", horizon=2))
    errors = [
        np.linalg.norm(end(gs.simulate(game, scheme, step_size=h, horizon=2)) - exact) for h in (0.02, 0.01, 0.005)
    ]
    assert abs(np.log2(errors[1] / errors[2]) - order) < 0.1


def test_proximal_and_explicit_steps_of_a_bilinear_game_are_the_same():
    game = gs.DiracGAN(initial=(1, -0.5))
    for implicit, explicit in (("jko", "explicit"), ("jko_sequential", "explicit_sequential")):
        runs = [gs.simulate(game, scheme, step_size=0.1, iterations=100) for scheme in (implicit, explicit)]
        assert max(abs(runs[0][v] - runs[1][v]).max() for v in ("generator", "discriminator")) < 1e-12


@pytest.mark.parametrize("lr, kappa", [((1.0, 1.0), 0.2), ((2.0, 0.5), 1.3), ((0.3, 4.0), 2.7)])
def test_multipliers_of_the_bilinear_game(lr, kappa):
    step = kappa / math.sqrt(lr[0] * lr[1])
    t = kappa**2 - 2
    sequential = 1.0 if kappa <= 2 else (t + math.sqrt(t * t - 4)) / 2
    out = math.sqrt(1 + kappa**2)
    expected = dict(zip(SCHEMES, (out, sequential, out, sequential, 1 / out, 1.0), strict=True))
    for scheme, modulus in expected.items():
        spectrum = gs.spectrum(gs.DiracGAN("bilinear", 0.0, *lr), rule=scheme, step_size=step)
        assert abs(spectrum.values[0]) == pytest.approx(modulus, abs=1e-9)
        run = gs.simulate(gs.DiracGAN("bilinear", 0.0, *lr, initial=(1, 0.3)), scheme, step_size=step, iterations=60)
        z = np.stack([run.generator, run.discriminator], axis=1)
        matrix = np.linalg.lstsq(z[:-1], z[1:], rcond=None)[0]  # the run obeys the same linear map
        assert np.max(np.abs(np.linalg.eigvals(matrix))) == pytest.approx(modulus, abs=1e-6)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("penalty", [0.3, 1.0, 5.0])
def test_largest_steps_are_where_the_spectral_radius_passes_one(loss, penalty):
    game = gs.DiracGAN(loss, penalty, 0.7, 1.6)
    for scheme in SCHEMES:
        limit = gs.predict(game).thresholds[f"largest_step_{scheme}"]
        assert limit == gs.largest_step(game, scheme)
        if math.isfinite(limit):
            assert abs(gs.spectrum(game, rule=scheme, step_size=0.999 * limit).values[0]) < 1
            assert abs(gs.spectrum(game, rule=scheme, step_size=1.001 * limit).values[0]) > 1


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("at", [(0.0, 0.0), (1.3, -0.4), (-0.6, -2.0)])
def test_the_spectrum_is_that_of_the_field(loss, at):
    game = gs.DiracGAN(loss, 0.4, 1.2, 0.7)
    h = 1e-5
    columns = [(np.array(velocity(game, at + h * e)) - velocity(game, at - h * e)) / (2 * h) for e in np.eye(2)]
    expected = np.sort_complex(np.linalg.eigvals(np.array(columns).T))
    np.testing.assert_allclose(np.sort_complex(gs.spectrum(game, at=at).values), expected, atol=1e-8)  # h^2


# ---- Dirac-GAN: predictions


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("level", ["flow", *SCHEMES])
@pytest.mark.parametrize("penalty", [0.0, 0.3, 3.0])
def test_predictions_come_true(loss, level, penalty):
    game = gs.DiracGAN(loss, penalty, initial=(1, 0.5))
    step = {} if level == "flow" else {"step_size": 0.1}
    promised = gs.predict(game, level, **step)
    verdict = gs.classify(gs.simulate(game, level, horizon=600, **step))
    assert verdict.outcome == promised.outcome, (verdict, promised)


@pytest.mark.parametrize("scheme", ["explicit", "jko"])
@pytest.mark.parametrize(
    "game",
    [
        gs.DiracGAN("nonsaturating", 0.0, 2.0, 0.5, initial=(0.3, 0.5)),
        gs.DiracGAN("saturating", 0.02, initial=(0.3, 0.5)),
    ],
    ids=["nonsaturating", "saturating"],
)
def test_too_long_steps_end_on_the_predicted_limit_cycle(game, scheme):
    radius = gs.predict(game, scheme, step_size=0.1).thresholds["limit_cycle_radius"]
    run = gs.simulate(game, scheme, step_size=0.1, iterations=60000, save_at=np.arange(59000, 60001))
    assert float(run.radius.mean()) == pytest.approx(
        radius, rel=0.06
    )  # the estimate is right to first order in the step


def test_the_critical_penalty_damps_best():
    for loss in LOSSES:
        game = gs.DiracGAN(loss, 0.0, 1.7, 0.4)
        best = gs.predict(game).best["gradient_penalty"]
        assert gs.predict(game).best["gradient_penalty_without_half"] == best / 2
        rates = [gs.spectrum(game.replace(gradient_penalty=f * best)).rate for f in (0.98, 1.0, 1.02)]
        assert rates[1] > max(rates[0], rates[2])


# ---- Dirac-GAN: the edges


@pytest.mark.parametrize("level", ["flow", *SCHEMES])
@pytest.mark.parametrize("loss", LOSSES)
def test_a_batch_is_its_single_runs(loss, level):
    game = gs.DiracGAN(loss, 0.1)
    over = {
        "gradient_penalty": [0.0, 0.4, 2.5],
        "generator_lr": [1.0, 0.6, 1.4],
        "discriminator_lr": [0.5, 1.0, 2.0],
        "initial": [[1.0, 0.5], [-0.3, 0.2], [0.4, -1.0]],
    }
    step = {} if level == "flow" else {"step_size": 0.07}
    many = gs.simulate_many(game, over, level, horizon=3.1, **step)
    for cell in range(3):
        single = gs.simulate(game.replace(**{k: v[cell] for k, v in over.items()}), level, horizon=3.1, **step)
        for name in ("generator", "discriminator", "radius"):
            assert np.array_equal(many[name].values[cell], single[name].values)
        assert gs.from_json(single.attrs["game"]) == game.replace(**{k: v[cell] for k, v in over.items()})


def test_the_last_step_is_shorter():
    game = gs.DiracGAN("saturating", 0.2, initial=(1, 0.5))
    run = gs.simulate(game, "jko_sequential", step_size=0.3, horizon=1.0)
    z = iterate(game, "jko_sequential", 3, 0.3)
    expected = iterate(game.replace(initial=tuple(z)), "jko_sequential", 1, 0.1)
    assert float(run.time[-1]) == 1.0
    np.testing.assert_allclose(end(run), expected, atol=1e-11)


def test_a_run_that_blows_up_is_kept():
    game = gs.DiracGAN(initial=(1, 0))
    run = gs.simulate(game, "explicit", step_size=100.0, iterations=400)
    finite = np.isfinite(run.generator.values)
    assert np.any(~finite)
    assert np.array_equal(finite, np.sort(finite)[::-1])
    assert gs.classify(run).outcome == "diverged"


def test_steps_without_solution():
    game = gs.DiracGAN("saturating", initial=(0.0, 3.0))
    with pytest.raises(gs.StepTooLarge, match="step_size"):
        gs.simulate(game, "jko", step_size=0.5, iterations=5)
    many = gs.simulate_many(game, {"initial": [[0.0, 3.0], [0.0, 0.5]]}, "jko", step_size=0.5, iterations=5)
    assert np.all(np.isnan(many.generator.values[0, 1:]))
    assert np.all(np.isfinite(many.generator.values[1]))
    assert len(many.attrs["failures"]) == 1
    with pytest.raises(gs.ProxNotConverged, match="prox_iterations"):
        gs.simulate(gs.DiracGAN("nonsaturating", initial=(3, 2)), "jko", step_size=5, prox_iterations=1)
    with pytest.raises(gs.NashNotConverged, match="contraction"):
        gs.simulate(gs.DiracGAN("nonsaturating", initial=(0.3, 0.2)), "nash", step_size=4.0)
    # a linear game is solved exactly, whatever the step
    run = gs.simulate(gs.DiracGAN(initial=(1, 0)), "nash", step_size=50.0, iterations=1)
    np.testing.assert_allclose(end(run), np.array([1, -50]) / 2501, rtol=1e-14)


@pytest.mark.parametrize(
    "wrong, name",
    [
        ({"loss": "hinge"}, "loss"),
        ({"gradient_penalty": -0.1}, "gradient_penalty"),
        ({"generator_lr": 0}, "generator_lr"),
        ({"discriminator_lr": math.nan}, "discriminator_lr"),
        ({"discriminator_lr": True}, "discriminator_lr"),
        ({"initial": (1, 2, 3)}, "initial"),
        ({"initial": (1, math.inf)}, "initial"),
        ({"initial": "origin"}, "initial"),
        ({"initial": 3.0}, "initial"),
    ],
)
def test_bad_parameters_of_the_dirac_gan(wrong, name):
    with pytest.raises(gs.ParameterError, match=name):
        gs.DiracGAN(**wrong)


def test_bad_requests():
    game = gs.DiracGAN()
    for arguments in (
        {"level": "sgd"},
        {"level": "explicit", "step_size": 0},
        {"level": "explicit_sequential", "order": "both_first"},
        {"level": "explicit", "discriminator_steps": 0},
        {"level": "explicit", "discriminator_steps": 1001},
        {"level": "jko", "prox_tolerance": 0},
        {"level": "nash", "discriminator_steps": 2},
        {"level": "flow", "step_size": 0.1},
    ):
        with pytest.raises(gs.ParameterError):
            gs.simulate(game, **arguments)
    for over in ({"initial": [1.0, 2.0]}, {"initial": [[1.0, 2.0, 3.0]]}, {"loss": ["bilinear"]}, {"clip": [1.0]}):
        with pytest.raises(gs.ParameterError):
            gs.simulate_many(game, over, "flow")
    with pytest.raises(gs.ParameterError, match="step_size"):
        gs.predict(game, step_size=0.1)
    with pytest.raises(gs.ParameterError, match="rule"):
        gs.predict(game, rule="alternating")
    with pytest.raises(gs.ParameterError, match="option"):
        gs.spectrum(game, rule="jko", momentum=0.1)
    with pytest.raises(gs.NotApplicable, match="equilibrium"):
        gs.spectrum(game, at=(1.0, 1.0), rule="jko")
    with pytest.raises(gs.ParameterError, match="midpoint"):
        gs.simulate(gs.ClippedGAN(), "midpoint")


# ---- the clipped game: the flow


@pytest.mark.parametrize(
    "game, state, capture",
    [
        (gs.ClippedGAN(), (-0.2888658706, 0.9573695777), 3.1682640342),
        (gs.ClippedGAN(0.5, 2.0, 0.5, initial=(2, 0)), (0.5806871386, 0.4070634002), 2.2556495832),
    ],
    ids=["equal", "unequal"],
)
def test_clipped_flows_reach_the_worked_states(game, state, capture):
    np.testing.assert_allclose(end(gs.simulate(game, "flow", save_at=[12.3])), state, atol=1e-9)
    prediction = gs.predict(game)
    assert prediction.thresholds["capture_time"] == pytest.approx(capture, abs=1e-9)
    assert (prediction.outcome, prediction.detail) == ("oscillating", "limit_cycle")
    # periodic from the capture on, at the amplitude of the wall
    times = capture + np.linspace(0.1, 30, 50)
    one = gs.simulate(game, "flow", save_at=times)
    two = gs.simulate(game, "flow", save_at=times + prediction.thresholds["period"])
    for name in ("generator", "discriminator"):
        np.testing.assert_allclose(one[name], two[name], atol=1e-9)
    np.testing.assert_allclose(one.amplitude, game.clip, rtol=1e-12)


@given(
    theta=st.floats(-4, 4),
    share=st.floats(-1, 1),
    clip=st.floats(0.2, 2),
    eta1=st.floats(0.3, 3),
    eta2=st.floats(0.3, 3),
)
def test_capture_from_anywhere(theta, share, clip, eta1, eta2):
    game = gs.ClippedGAN(clip, eta1, eta2, initial=(theta, share * clip))
    reach = orbits.clipped_amplitude(theta, share * clip, eta1, eta2)
    capture = orbits.capture_time(theta, share * clip, clip, eta1, eta2)
    run = gs.simulate(game, "flow", save_at=np.linspace(capture + 1e-9, capture + 20, 30))
    np.testing.assert_allclose(run.amplitude, min(reach, clip), rtol=1e-7, atol=1e-12)
    if reach > clip * (1 + 1e-6):
        assert gs.predict(game).thresholds["capture_time"] == pytest.approx(capture, abs=1e-9)
        before = gs.simulate(game, "flow", save_at=[0.999 * capture]).amplitude.values[0]
        assert before > clip * (1 + 1e-12) or capture < 1e-3


# ties, walls on both sides, a start at rest, a grazing start, one that meets no wall
MEAN_FIELDS = [
    (1.0, (0.9, np.linspace(-0.3, 0.3, 7))),
    (0.7, (-2.0, [0.7, -0.7, 0.2, 0.2, -0.1])),
    (0.7, (0.0, [0.7, 0.1, -0.7])),
    (0.5, (0.0, [-0.5, -0.5, 0.3])),
    (1.0, (0.0, [1.0])),
    (1.0, (1.0, [0.0])),
    (2.0, (0.5, [0.4, -0.2])),
    (0.4, (0.0, [0.4, -0.4])),
    (0.4, (1e-12, [0.4, -0.4, 0.1])),
]


@pytest.mark.parametrize("clip, initial", MEAN_FIELDS)
def test_the_event_driven_flow_is_the_limit_of_small_steps(clip, initial):
    game = gs.ClippedGAN(clip, 1.3, 0.8, initial=initial)
    times = np.linspace(0, 20, 41)
    exact = gs.simulate(game, "flow", save_at=times)
    errors = []
    for step in (1e-3, 1e-4):
        run = gs.simulate(game, "explicit_sequential", step_size=step, save_at=times)
        errors.append(max(float(abs(run[v] - exact[v]).max()) for v in ("generator", "discriminator")))
    assert errors[1] < 1e-4
    assert errors[1] < 0.11 * errors[0] + 1e-9  # first order
    assert np.all(np.abs(exact.discriminator) <= clip)


@pytest.mark.parametrize("clip, initial", MEAN_FIELDS)
def test_widths_never_grow_and_the_end_fits_the_box(clip, initial):
    game = gs.ClippedGAN(clip, initial=initial)
    run = gs.simulate(game, "flow", horizon=200)
    width, amplitude = run.width.values, run.amplitude.values
    assert np.all(np.diff(width) < 1e-12)
    assert 2 * amplitude[-1] + width[-1] <= 2 * clip + 1e-9 or amplitude[-1] < 1e-9  # at rest any width fits
    known = gs.predict(game).thresholds
    assert known["width"] == pytest.approx(width[-1], abs=1e-9)
    assert known["amplitude"] == pytest.approx(amplitude[-1], abs=1e-9)


def test_the_worked_mean_fields():
    omega = np.linspace(-0.3, 0.3, 201)
    game = gs.ClippedGAN(initial=(0.9, omega))
    for level, options in (("flow", {}), ("explicit_sequential", {"step_size": 1e-3})):
        run = gs.simulate(game, level, save_at=[60.0], **options)
        assert float(run.width[0]) == pytest.approx(0.2631, abs=2e-3)
        assert float(run.amplitude[0]) == pytest.approx(0.8536, abs=2e-3)
    run = gs.simulate(gs.ClippedGAN(initial=(3, np.linspace(-0.5, 0.5, 201))), "flow", save_at=[0.167, 0.170, 1.0])
    assert run.width.values[0] == pytest.approx(1.0, abs=1e-12)
    assert run.width.values[1] < 1 - 1e-3
    assert run.width.values[2] == 0


def test_omega_keeps_its_order():
    omega = [0.2, -0.3, 0.1, 0.1]
    run = gs.simulate(gs.ClippedGAN(initial=(0.1, omega)), "flow", save_at=[0.0, 0.5])
    np.testing.assert_array_equal(run.discriminator.values[0], omega)
    assert np.argsort(run.discriminator.values[1], kind="stable").tolist() == [1, 2, 3, 0]
    assert run.discriminator.dims == ("time", "parameter")
    assert gs.simulate(gs.ClippedGAN(), "flow").discriminator.dims == ("time",)


# ---- the clipped game: the schemes


@pytest.mark.parametrize("omega", [0.2, (0.9, -0.4, 0.1)], ids=["scalar", "mean_field"])
@pytest.mark.parametrize("scheme", ["jko", "jko_sequential", "nash"])
def test_compiled_clipped_schemes_are_the_reference_schemes(omega, scheme):
    game = gs.ClippedGAN(0.9, 1.2, 0.7, initial=(1.5, omega))
    sequential = [{"order": order, "discriminator_steps": 2} for order in ("generator_first", "discriminator_first")]
    for options in sequential if scheme == "jko_sequential" else [{}]:
        run = gs.simulate(game, scheme, step_size=0.1, iterations=100, **options)
        found = np.append(run.generator.values[-1], run.discriminator.values[-1])
        np.testing.assert_allclose(found, iterate(game, scheme, 100, 0.1, **options), atol=1e-11)
    if scheme != "nash":
        explicit = gs.simulate(game, scheme.replace("jko", "explicit"), step_size=0.1, iterations=100)
        same = gs.simulate(game, scheme, step_size=0.1, iterations=100)
        assert np.array_equal(explicit.discriminator, same.discriminator)


def test_a_nash_step_of_any_size_solves_both_problems():
    game = gs.ClippedGAN(0.9, 1.2, 0.7, initial=(1.5, (0.9, -0.4, 0.1)))
    for h in (0.1, 1.0, 30.0):
        run = gs.simulate(game, "nash", step_size=h, iterations=1)
        theta, omega = run.generator.values, run.discriminator.values
        assert theta[1] == pytest.approx(theta[0] + h * 1.2 * np.mean(omega[1]), abs=1e-12 * (1 + h))
        np.testing.assert_allclose(omega[1], np.clip(omega[0] - h * 0.7 * theta[1], -0.9, 0.9), atol=1e-12 * (1 + h))


@pytest.mark.parametrize("initial", [(3.0, 0.0), (0.5, 0.2), (0.9, (-0.3, 0.0, 0.3)), (0.0, 0.0)])
@pytest.mark.parametrize("level", ["flow", "explicit", "explicit_sequential", "jko", "jko_sequential", "nash"])
def test_clipped_predictions_come_true(initial, level):
    game = gs.ClippedGAN(initial=initial)
    step = {} if level == "flow" else {"step_size": 0.1}
    verdict = gs.classify(gs.simulate(game, level, horizon=200, **step))
    assert verdict.outcome == gs.predict(game, level, **step).outcome, verdict


@pytest.mark.parametrize("level", ["flow", "explicit", "jko_sequential", "nash"])
def test_a_clipped_batch_is_its_single_runs(level):
    game = gs.ClippedGAN(initial=(1.0, (0.2, -0.2)))
    over = {
        "clip": [0.5, 1.0, 2.0],
        "generator_lr": [1.0, 0.4, 2.0],
        "initial": [[1.0, 0.1, -0.4], [-2.0, 0.3, 0.3], [0.0, 2.0, -1.0]],
    }
    many = gs.simulate_many(game, over, level, horizon=9.0)
    for cell in range(3):
        single = gs.simulate(game.replace(**{k: v[cell] for k, v in over.items()}), level, horizon=9.0)
        for name in single.data_vars:
            assert np.array_equal(many[name].values[cell], single[name].values)
        assert gs.classify(many.isel(cell=cell)) == gs.classify(single)


@pytest.mark.parametrize(
    "wrong, name",
    [
        ({"clip": 0}, "clip"),
        ({"clip": math.inf}, "clip"),
        ({"generator_lr": -1}, "generator_lr"),
        ({"initial": (1.0, 1.5)}, "initial"),
        ({"initial": (1.0, [0.0, -1.01])}, "initial"),
        ({"initial": (1.0, math.nan)}, "initial"),
        ({"initial": (1.0,)}, "initial"),
        ({"initial": (1.0, [])}, "initial"),
        ({"initial": (1.0, [[0.1]])}, "initial"),
        ({"initial": ([1.0], 0.1)}, "initial"),
        ({"initial": "wall"}, "initial"),
    ],
)
def test_bad_parameters_of_the_clipped_gan(wrong, name):
    with pytest.raises(gs.ParameterError, match=name):
        gs.ClippedGAN(**wrong)


def test_a_batch_must_start_inside_every_box():
    game = gs.ClippedGAN(initial=(1.0, 0.8))
    with pytest.raises(gs.ParameterError, match="initial"):
        gs.simulate_many(game, {"clip": [1.0, 0.5]}, "flow")
    with pytest.raises(gs.ParameterError, match="initial"):
        gs.simulate_many(game, {"initial": [[1.0, 0.2, 0.3]]}, "flow")


@pytest.mark.parametrize(
    "game", [gs.DiracGAN("saturating", 0.2), gs.ClippedGAN(), gs.ClippedGAN(initial=(1, [0.1, 0.2]))]
)
def test_games_survive_json(game):
    again = gs.from_json(gs.to_json(game))
    assert again == game
    assert hash(again) == hash(game)
    assert gs.predict(again).to_dict() == gs.predict(game).to_dict()


def test_bounds_of_the_bilinear_game_dominate_its_errors():
    game = gs.DiracGAN(gradient_penalty=0.5, initial=(1.0, 0.3), discriminator_lr=2.0)
    for level in ("jko", "jko_sequential"):
        bound = gs.scheme_error_bound(game, level, 0.05, 3.0)
        run = gs.simulate(game, level, step_size=0.05, horizon=3.0)
        flow = gs.simulate(game, "flow", save_at=run.time.values)
        assert 0 < np.abs(run.generator - flow.generator).max() < bound.generator
        assert 0 < np.abs(run.discriminator - flow.discriminator).max() < bound.discriminator
    with pytest.raises(gs.NotApplicable, match="saturating"):
        gs.scheme_error_bound(game.replace(loss="saturating"), "jko", 0.05, 3.0)


@pytest.mark.parametrize("step_size", [0.55, 0.7])
def test_a_penalty_that_overshoots_promises_no_cycle(step_size):
    # the multiplier that grows is real and negative, 1 - gradient_penalty step_size < -1: no rotation to end on a cycle
    game = gs.DiracGAN("saturating", gradient_penalty=4.0)
    assert gs.predict(game, "explicit", step_size=step_size).detail == "unstable"
    assert gs.classify(gs.simulate(game, "explicit", step_size=step_size, horizon=400)).outcome == "diverged"
