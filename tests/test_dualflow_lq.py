"""The linear-quadratic GAN and the theory of collapse: worked numbers, closed forms, and engines against each other."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import solve_ivp
from scipy.linalg import sqrtm
from scipy.stats import norm

import ganscope as gs
from ganscope.games.dualflow import schemes
from ganscope.games.dualflow.collapse import energy_law, local_modes
from ganscope.games.dualflow.collapse import fate as collapse
from ganscope.games.dualflow.lq import theory
from ganscope.games.dualflow.lq.gaussian import entropic_gaussian_flow, gaussian_w2
from ganscope.games.dualflow.lq.state import LqState

SCHEMES = ("explicit", "explicit_sequential", "jko", "jko_sequential", "nash")
SKEWED = np.array([[1.0, 0.5], [0.5, 2.0]])
# Ratio of speeds above which a generator of rank one settles for SKEWED and critic_penalty 0.5.
CRITICAL = 1.5857864


def plane(**changes):
    """The game of the worked numbers in two dimensions."""
    start = dict(target_mean=[0, 0], target_covariance=np.diag([1.0, 2.0]), mean=[1, 0])
    return gs.QuadraticGAN(**(start | {"covariance": [[0.5, 0.1], [0.1, 0.3]]} | changes))


def oblique(**changes):
    """A game without any symmetry: means off 0, all numbers different."""
    start = dict(
        target_mean=[0.4, -0.2],
        target_covariance=[[1.2, 0.3], [0.3, 0.7]],
        mean=[-0.5, 0.6],
        covariance=[[0.4, -0.1], [-0.1, 0.9]],
        linear_penalty=0.3,
        quadratic_penalty=0.8,
        generator_lr=0.7,
        discriminator_lr=1.6,
        initial_discriminator=([0.1, -0.3], [[0.2, 0.05], [0.05, -0.1]]),
    )
    return gs.QuadraticGAN(**(start | changes))


def beside_component(speed, off=1e-3):
    """A generator of rank one next to the largest component, at a share of the critical ratio of speeds."""
    values, vectors = theory.principal_components(SKEWED)
    factor = np.sqrt(values[0]) * vectors[:, :1] + off * vectors[:, 1:]
    return gs.QuadraticGAN([0, 0], SKEWED, [0, 0], factor=factor, discriminator_lr=speed * CRITICAL)


# The flow.


def test_moments_in_two_dimensions_have_the_worked_values():
    end = gs.simulate(plane(), "flow", save_at=[3.0]).isel(time=-1)
    np.testing.assert_allclose(end["mean"], [-0.47431235, 0.00848996], atol=1e-8)
    np.testing.assert_allclose(end.covariance, [[0.69917960, -0.12753687], [-0.12753687, 3.70153871]], atol=1e-8)
    np.testing.assert_allclose(end.linear, [-0.0735904, 0.0264561], atol=1e-7)
    np.testing.assert_allclose(end.quadratic, [[0.21571353, -0.03447344], [-0.03447344, -0.24057756]], atol=1e-8)


def test_flow_is_the_moment_equation():
    game = oblique()
    target = game.target_covariance + np.outer(game.target_mean, game.target_mean)

    def moments(t, z):
        mean, cov, w, quadratic = z[:2], z[2:6].reshape(2, 2), z[6:8], z[8:].reshape(2, 2)
        return np.concatenate(
            [
                0.7 * (quadratic @ mean + w),
                0.7 * (quadratic @ cov + cov @ quadratic).ravel(),
                1.6 * (game.target_mean - mean - 0.3 * w),
                1.6 * ((target - cov - np.outer(mean, mean)) / 2 - 0.8 * quadratic).ravel(),
            ]
        )

    start = game.initial
    z0 = np.concatenate([start.mean, start.covariance.ravel(), start.linear, start.quadratic.ravel()])
    exact = solve_ivp(moments, (0, 5), z0, rtol=1e-11, atol=1e-12, method="DOP853").y[:, -1]
    end = gs.simulate(game, "flow", save_at=[5.0]).isel(time=0)
    found = np.concatenate([np.ravel(end[name]) for name in ("mean", "covariance", "linear", "quadratic")])
    np.testing.assert_allclose(found, exact, atol=1e-8)


def test_particles_that_follow_the_discriminator_have_the_same_moments():
    # every point moves along the gradient W x + w of the discriminator
    game = oblique()
    rng = np.random.default_rng(2)
    noise = rng.normal(size=(40, 2))
    noise -= noise.mean(axis=0)
    noise = noise @ np.linalg.inv(np.linalg.cholesky(noise.T @ noise / 40)).T
    points = game.mean + noise @ game.initial_factor.T
    target = game.target_covariance + np.outer(game.target_mean, game.target_mean)

    def velocity(t, z):
        x, w, quadratic = z[:80].reshape(40, 2), z[80:82], z[82:].reshape(2, 2)
        moment = x.T @ x / 40
        push = 1.6 * ((target - moment) / 2 - 0.8 * quadratic)
        pull = 1.6 * (game.target_mean - x.mean(axis=0) - 0.3 * w)
        return np.concatenate([0.7 * (x @ quadratic + w).ravel(), pull, push.ravel()])

    z0 = np.concatenate([points.ravel(), game.initial.linear, game.initial.quadratic.ravel()])
    x = solve_ivp(velocity, (0, 4), z0, rtol=1e-11, atol=1e-12, method="DOP853").y[:80, -1].reshape(40, 2)
    end = gs.simulate(game, "flow", save_at=[4.0]).isel(time=0)
    np.testing.assert_allclose(end["mean"], x.mean(axis=0), atol=1e-8)
    np.testing.assert_allclose(end.covariance, np.cov(x.T, bias=True), atol=1e-8)


def test_particles_on_a_line_have_the_worked_values():
    # 64 midpoint normal quantiles on both sides: their variance is the target's
    spread = float(np.std(norm.ppf((np.arange(64) + 0.5) / 64)))
    assert abs(spread - 0.9901069205) < 1e-10
    run = gs.simulate(gs.QuadraticGAN(0, spread**2, 0.8, (0.5 * spread) ** 2), "flow", save_at=[4.0]).isel(time=0)
    assert float(run["mean"][0]) == pytest.approx(-0.4014375918, abs=1e-8)
    assert float(run.covariance[0, 0]) ** 0.5 == pytest.approx(1.0750758276, abs=1e-8)
    np.testing.assert_allclose([run.linear[0], run.quadratic[0, 0]], [0.2877924, 0.1043192], atol=1e-7)
    assert float(run.w2) == pytest.approx(0.4103313969, abs=1e-8)


def test_invariant_holds_where_it_exists():
    line = gs.simulate(gs.QuadraticGAN(0, 1, 0, 0.25, critic_penalty=0), "flow", horizon=100)
    assert np.ptp(line.invariant.values) < 1e-8
    tilted = np.array([[0.5, 0.2], [0.2, 0.4]])
    # the same in all directions: any start; commuting: a start with the target's principal directions
    for target, covariance in ((2 * np.eye(2), tilted), (SKEWED, 0.3 * SKEWED + 0.1 * np.eye(2))):
        game = gs.QuadraticGAN([0, 0], target, [0, 0], covariance, critic_penalty=0, discriminator_lr=2.0)
        assert np.ptp(gs.simulate(game, "flow", horizon=50).invariant.values) < 1e-8
    for other in (
        plane(critic_penalty=0.0),
        gs.QuadraticGAN(0, 1, 0, 0.25),
        gs.QuadraticGAN([0, 0], SKEWED, [0, 0], tilted, critic_penalty=0),
    ):
        assert "invariant" not in gs.simulate(other, "flow", horizon=1)


def test_rank_is_kept_exactly_for_ever():
    # a moment equation would gain the second direction from rounding errors by t = 200
    for game in (
        gs.QuadraticGAN([0, 0], SKEWED, [0, 0], [[1.0, 0.0], [0.0, 0.0]], discriminator_lr=3.0),
        gs.QuadraticGAN([0, 0], SKEWED, [0, 0], factor=[[0.3, 0.6, 0.3], [0.1, 0.2, 0.1]], discriminator_lr=3.0),
    ):
        run = gs.simulate(game, "flow", horizon=500)
        values = np.linalg.eigvalsh(run.covariance.values)
        assert np.max(np.abs(values[:, 0])) < 1e-14
        assert float(run.w2[-1]) == pytest.approx(0.8904455, abs=1e-6)
        assert game.rank == 1
    point = gs.simulate(gs.QuadraticGAN([0, 0], SKEWED, [0.1, 0], np.zeros((2, 2))), "flow", horizon=20)
    assert not np.any(point.covariance)


def test_w2_is_the_gaussian_formula():
    rng = np.random.default_rng(1)
    for _ in range(5):
        a, b = rng.normal(size=(2, 3, 3))
        first, second = a @ a.T, b @ b.T
        root = sqrtm(first)
        cross = np.trace(np.real(sqrtm(root @ second @ root)))
        expected = np.sqrt(1.25 + np.trace(first) + np.trace(second) - 2 * cross)
        # the root of a difference: half the digits
        assert gaussian_w2([0, 0, 0], first, [1, 0, 0.5], second) == pytest.approx(expected, abs=1e-7)
    assert gaussian_w2(0, 1, 0, (1 + 1e-12) ** 2) == pytest.approx(1e-12, rel=1e-3)
    assert gaussian_w2([0, 0], np.diag([1.0, 0]), [0, 0], np.diag([0, 1.0])) == pytest.approx(np.sqrt(2))


# Schemes.


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("changes", [{}, {"covariance": None, "factor": [[0.7], [-0.4]]}], ids=["full", "rank one"])
def test_engine_steps_as_the_reference_does(scheme, changes):
    game = oblique(**changes)
    pair = game.pair()
    options = [{}] if scheme == "nash" else [{}, {"discriminator_steps": 3}]
    if "sequential" in scheme:
        options.append({"order": "discriminator_first", "discriminator_steps": 2})
    for chosen in options:
        run = gs.simulate(game, scheme, horizon=1.03, step_size=0.1, **chosen)
        xs, ys = game.states(run)
        assert run.time[-1] == pytest.approx(1.03)
        assert len(run.time) == 12
        x, y = xs[0], ys[0]
        for k, step in enumerate([0.1] * 10 + [0.03]):
            x, y = schemes.step(pair, scheme, x, y, step, **chosen)
            np.testing.assert_allclose(xs[k + 1], x, atol=1e-12)
            np.testing.assert_allclose(ys[k + 1], y, atol=1e-12)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_schemes_converge_to_the_flow_at_order_one(scheme):
    exact = gs.simulate(oblique(), "flow", save_at=[2.0]).covariance.values
    errors = []
    for step in (0.01, 0.005):
        run = gs.simulate(oblique(), scheme, save_at=[2.0], step_size=step)
        errors.append(np.linalg.norm(run.covariance.values - exact))
    assert 0.85 < np.log2(errors[0] / errors[1]) < 1.2


def test_repeated_discriminator_steps_approach_a_faster_discriminator():
    exact = gs.simulate(oblique(discriminator_lr=1.6 * 3), "flow", save_at=[2.0]).covariance.values
    errors = [
        np.linalg.norm(
            gs.simulate(oblique(), "jko_sequential", save_at=[2.0], step_size=h, discriminator_steps=3).covariance
            - exact
        )
        for h in (0.004, 0.002)
    ]
    assert 0.85 < np.log2(errors[0] / errors[1]) < 1.2


def test_gradients_of_the_pair_are_those_of_its_energies():
    game = oblique()
    pair = game.pair()
    rng = np.random.default_rng(0)
    x = rng.normal(size=6)
    symmetric = rng.normal(size=(2, 2))
    y = np.concatenate([rng.normal(size=2), (symmetric + symmetric.T).ravel()])
    for player, state in enumerate((x, y)):
        for k in range(6):
            ahead, behind = state.copy(), state.copy()
            ahead[k] += 1e-5
            behind[k] -= 1e-5
            ends = [pair.energy(player, *((s, y) if player == 0 else (x, s))) for s in (ahead, behind)]
            # quadratic energies: central differences have rounding errors only
            assert (ends[0] - ends[1]) / 2e-5 == pytest.approx(pair.gradient(player, x, y)[k], abs=1e-8)


@pytest.mark.parametrize("player", [0, 1])
def test_proximal_steps_are_stationary(player):
    game = oblique()
    pair = game.pair()
    x, y = (s[0] for s in game.states(gs.simulate(game, "jko", horizon=0.1)))
    own, speed = (x, y)[player], pair.speeds[player]
    new = pair.prox(player, x, y, 0.2, 1e-12, 100)
    at = (new, y) if player == 0 else (x, new)
    np.testing.assert_allclose((new - own) / (0.2 * speed) + pair.gradient(player, *at), 0, atol=1e-13)


def test_too_long_a_step_is_refused_and_leaves_a_batch_whole():
    game = gs.QuadraticGAN(0, 1, 0, 1, initial_discriminator=([0], [[4.0]]))
    with pytest.raises(gs.StepTooLarge, match="reduce step_size"):
        gs.simulate(game, "jko", horizon=2, step_size=0.5)
    with pytest.raises(gs.NashNotConverged, match="contraction"):
        gs.simulate(gs.QuadraticGAN(0, 1, 0.5, 1, critic_penalty=0), "nash", horizon=2.6, step_size=1.3)
    run = gs.simulate_many(game, {"generator_lr": [0.1, 1.0]}, "jko", horizon=2, step_size=0.5)
    assert np.all(np.isfinite(run.covariance[0]))
    assert np.isfinite(run.covariance[1, 0, 0, 0])
    assert np.all(np.isnan(run.covariance[1, 1:]))


def test_a_run_that_blows_up_keeps_its_history():
    run = gs.simulate(gs.QuadraticGAN(0, 1, 0, 4, critic_penalty=0), "explicit", horizon=400, step_size=2.0)
    assert np.all(np.isfinite(run.covariance[:2]))
    assert np.isnan(run.covariance[-1])
    assert np.isnan(run.w2[-1])


@pytest.mark.parametrize("level", ["flow", *SCHEMES])
def test_every_cell_of_a_batch_is_its_own_run_bit_for_bit(level):
    rng = np.random.default_rng(3)
    covariances = np.array([[[1.0, 0], [0, 0]], [[0.5, 0.1], [0.1, 0.3]], [[0.2, 0], [0, 0.2]]])
    over = {
        "critic_penalty": np.array([0.3, 0.6, 0.9]),
        "generator_lr": np.array([0.5, 1.0, 1.5]),
        "mean": rng.normal(size=(3, 2)) * 0.3,
        "covariance": covariances,
        "target_covariance": np.array([SKEWED, np.eye(2), np.diag([1.0, 0.0])]),
    }
    for game in (plane(), plane(quadratic_penalty=0.4), plane(initial_discriminator="equilibrium")):
        batch = gs.simulate_many(game, over, level, horizon=2)
        for k in range(3):
            own = game.replace(**{name: values[k] for name, values in over.items()})
            single = gs.simulate(own, level, horizon=2)
            for name in ("mean", "covariance", "linear", "quadratic", "w2", "distance"):
                np.testing.assert_array_equal(batch[name].isel(cell=k), single[name])
            used = single.sizes["column"]
            np.testing.assert_array_equal(batch.factor.isel(cell=k)[..., :used], single.factor)
            assert not np.any(batch.factor.isel(cell=k)[..., used:])


# Theory.


def test_orbits_on_a_line_have_the_worked_periods():
    np.testing.assert_allclose(theory.turning_points(0.5), [0.5, 1.6083105988], atol=1e-10)
    periods = [theory.orbit_period(std) for std in (0.5, 0.9, 0.99)]
    np.testing.assert_allclose(periods, [6.62003579, 6.29403947, 6.28329038], atol=1e-8)
    assert theory.orbit_period(1.0 + 1e-7) == pytest.approx(theory.small_period(), rel=1e-12)
    # either side of where the series takes over
    inside, outside = theory.orbit_period(1 + 0.9e-5), theory.orbit_period(1 + 1.1e-5)
    assert inside == pytest.approx(outside, rel=1e-9)


@given(
    std=st.floats(0.05, 3.0),
    target=st.floats(0.3, 2.0),
    quadratic=st.floats(-0.5, 0.5),
    slow=st.floats(0.3, 3.0),
    fast=st.floats(0.3, 3.0),
)
def test_orbits_close_after_their_period(std, target, quadratic, slow, fast):
    period = theory.orbit_period(std, target, quadratic, slow, fast)
    low, high = theory.turning_points(std, target, quadratic, slow, fast)
    game = gs.QuadraticGAN(
        0,
        target**2,
        0,
        std**2,
        critic_penalty=0,
        generator_lr=slow,
        discriminator_lr=fast,
        initial_discriminator=(0, quadratic),
    )
    run = gs.simulate(game, "flow", save_at=np.linspace(0, period, 400))
    stds = np.sqrt(run.covariance.values[:, 0, 0])
    # the orbit may be fast where it is narrow: the error of the end is that of the time, times the speed
    assert stds[-1] == pytest.approx(std, abs=1e-6)
    assert stds.min() >= low * (1 - 1e-7)
    assert stds.max() <= high * (1 + 1e-7)
    found = gs.predict(game).thresholds
    np.testing.assert_allclose([found["lowest_std"], found["highest_std"], found["period"]], [low, high, period])


def test_collapse_of_rank_one_has_the_worked_values():
    values, _ = theory.principal_components(SKEWED)
    np.testing.assert_allclose(values, [2.20710678, 0.79289322], atol=1e-8)
    assert theory.collapse_distance(SKEWED, 1) == pytest.approx(0.8904456, abs=1e-6)
    assert theory.critical_speed_ratio(SKEWED, 1, 0.5) == pytest.approx(1.5857864, abs=1e-7)
    assert theory.critical_speed_ratio(SKEWED, 1, 1.0) == pytest.approx(0.3964466, abs=1e-7)
    found = gs.predict(beside_component(1.2)).thresholds
    assert found["collapse_w2"] == pytest.approx(0.8904456, abs=1e-6)
    assert found["critical_speed_ratio"] == pytest.approx(1.5857864, abs=1e-6)


@pytest.mark.parametrize("rank", [1, 2])
def test_critical_ratio_is_where_the_jacobian_turns(rank):
    target = np.diag([2.0, 1.3, 0.6]) + 0.2 * np.ones((3, 3))
    factor = np.linalg.qr(np.random.default_rng(4).normal(size=(3, 3)))[0][:, :rank]
    game = gs.QuadraticGAN(np.zeros(3), target, np.zeros(3), factor=factor, critic_penalty=0.8)
    best = gs.predict(game).equilibria[0]
    assert best.label == "components " + ", ".join(str(k + 1) for k in range(rank))
    closed = theory.critical_speed_ratio(target, rank, 0.8)
    assert theory.critical_ratio_at(game.field(), best.state) == pytest.approx(closed, rel=1e-6)
    for share, stability in ((0.99, "unstable"), (1.01, "stable")):
        moved = game.replace(discriminator_lr=share * closed)
        assert gs.predict(moved).equilibria[0].stability == stability
        # no other choice of components holds at any speed
        assert all(other.stability == "unstable" for other in gs.predict(moved).equilibria[1:])


def test_equilibria_rest():
    for game in (oblique(), oblique(covariance=None, factor=[[0.7], [-0.4]]), beside_component(1.0)):
        field = game.field()
        for name, state in theory.equilibria(field, game.rank):
            assert np.max(np.abs(field.velocity(field.pack(state)))) < 1e-11, name


def test_collapsed_generator_settles_above_the_critical_ratio_and_wanders_below():
    _, vectors = theory.principal_components(SKEWED)
    times = np.linspace(200, 300, 1001)
    late = {}
    for share in (0.8, 0.9, 1.1):
        game = beside_component(share)
        factor = gs.simulate(game, "flow", save_at=times).factor.values[:, :, 0]
        late[share] = np.max(np.abs(factor @ vectors[:, 1]))
        assert gs.predict(game).outcome == gs.Outcome.COLLAPSED
        assert gs.predict(game).detail == ("settled" if share > 1 else "cycling")
    assert late[0.8] == pytest.approx(0.4725, rel=0.01)
    assert late[0.9] > 0.05
    assert late[1.1] < 1e-3


def test_mean_stands_in_for_a_missed_component_of_large_variance():
    # the second eigenvalue exceeds 2 quadratic_penalty / linear_penalty = 1
    game = gs.QuadraticGAN(
        [0, 0], np.diag([3.0, 2.0]), [0, 0.1], factor=[[1.0], [0.2]], critic_penalty=1.0, quadratic_penalty=0.5
    ).replace(discriminator_lr=40.0)
    prediction = gs.predict(game)
    assert prediction.detail == "settled"
    assert any("mean along 2" in reason for reason in prediction.reasons)
    end = gs.simulate(game, "flow", horizon=200).isel(time=-1)
    # square of the displacement: eigenvalue - 2 quadratic_penalty / linear_penalty
    np.testing.assert_allclose(np.abs(end["mean"]), [0, 1.0], atol=1e-6)
    np.testing.assert_allclose(end.covariance, [[3, 0], [0, 0]], atol=1e-6)


def test_spectrum_is_that_of_a_small_deviation():
    game = oblique(initial_discriminator="zero")
    spectrum = gs.spectrum(game)
    assert spectrum.label == "stable_spiral"
    near = game.replace(mean=game.target_mean + 1e-6, covariance=game.target_covariance)
    run = gs.simulate(near, "flow", save_at=[20.0, 60.0], tolerance=1e-14)
    distance = run["distance"].values
    # a beat of the rotating modes leaves a factor of order one
    assert np.log(distance[0] / distance[1]) / 40 == pytest.approx(spectrum.rate, rel=0.2)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_multipliers_are_those_of_the_steps_themselves(scheme):
    # the engine's own Jacobian by central differences, in the coordinates of the pair
    game = oblique()
    options = {} if scheme == "nash" else {"discriminator_steps": 2}
    if "sequential" in scheme:
        options["order"] = "discriminator_first"
    state = theory.equilibria(game.field(), 2)[0][1]
    rest = [state.mean, state.factor.ravel(), state.linear, state.quadratic.ravel()]
    z = np.concatenate(rest)
    pair = game.pair()

    def step(z):
        return np.concatenate(schemes.step(pair, scheme, z[:6], z[6:], 0.1, **options))

    columns = [(step(z + 1e-5 * e) - step(z - 1e-5 * e)) / 2e-5 for e in np.eye(12)]
    multipliers = np.linalg.eigvals(np.stack(columns, axis=1))
    found = gs.spectrum(game, at=state, rule=scheme, step_size=0.1, **options).multipliers
    # the pair's W has an antisymmetric part too, which only decays
    for value in found:
        assert np.min(np.abs(multipliers - value)) < 1e-6


@pytest.mark.parametrize("scheme", SCHEMES[:-1])
def test_largest_steps_are_where_multipliers_leave_the_circle(scheme):
    game = plane(mean=[0.1, 0])
    limit = gs.predict(game).thresholds[f"largest_step_{scheme}"]
    assert 0 < limit < np.inf
    radii = [np.max(np.abs(gs.spectrum(game, rule=scheme, step_size=s * limit).multipliers)) for s in (0.99, 1.01)]
    assert radii[0] <= 1 + 1e-9 < radii[1] - 1e-6
    assert gs.predict(game).thresholds["largest_step_nash"] == np.inf


def test_predictions_without_penalty_depend_on_the_scheme():
    game = gs.QuadraticGAN(0, 1, 0, 0.25, critic_penalty=0)
    details = {level: gs.predict(game, level).detail for level in game.levels}
    assert details == {
        "flow": "orbiting",
        "explicit": "unknown",
        "explicit_sequential": "orbiting",
        "jko": "unknown",
        "jko_sequential": "orbiting",
        "nash": "converged",
    }
    assert gs.predict(plane()).outcome == gs.Outcome.CONVERGED
    low = gs.QuadraticGAN([0, 0], SKEWED, [0, 0], factor=[[1], [0.3]], critic_penalty=0)
    assert gs.predict(low).detail == "cycling"
    assert gs.predict(low.replace(target_covariance=np.diag([1.0, 0.0]), critic_penalty=0.5)).detail == "converged"


def test_predictions_are_plain_data():
    for game in (plane(), beside_component(1.5), oblique(covariance=None, factor=[[1], [2.0]])):
        for level in ("flow", "jko_sequential"):
            content = gs.predict(game, level).to_dict()
            assert content["outcome"] in ("converged", "collapsed")
            assert content["equilibria"][0]["state"]["covariance"]


def test_tracked_says_what_is_missing():
    game = beside_component(1.5)
    tracked = game.tracked(gs.simulate(game, "flow", horizon=10))
    assert "rank 1" in tracked.missing
    assert tracked.reference == pytest.approx(np.sqrt(3))
    assert tracked.coordinates.shape == (201, 6)
    full = plane()
    run = gs.simulate(full, "flow", horizon=10)
    assert full.tracked(run).missing is None
    np.testing.assert_array_equal(full.tracked(run).distance, run.w2)
    line = gs.QuadraticGAN(0, 1, 0, 0.25, critic_penalty=0)
    assert line.tracked(gs.simulate(line, "flow")).period == pytest.approx(6.62003579)


# The game as a value.


def test_games_survive_json_and_replacement():
    for game in (plane(), oblique(), beside_component(1.1), gs.QuadraticGAN(0, 1, 0.5, 2)):
        again = gs.from_json(gs.to_json(game))
        assert again == game
        assert hash(again) == hash(game)
    assert plane() != plane(mean=[1, 1e-3])
    assert plane().replace(critic_penalty=2.0).linear_penalty == 2.0
    assert plane(linear_penalty=0.1).replace(critic_penalty=2.0).linear_penalty == 0.1
    swapped = plane().replace(factor=[[1.0], [0.0]])
    assert swapped.covariance is None
    assert swapped.replace(covariance=np.eye(2)).factor is None


@pytest.mark.parametrize(
    "changes, name",
    [
        ({"covariance": [[1, 0.2], [0.1, 1]]}, "covariance"),
        ({"covariance": [[1, 2], [2, 1]]}, "covariance"),
        ({"covariance": [[1, 0, 0], [0, 1, 0]]}, "covariance"),
        ({"covariance": -np.eye(2)}, "covariance"),
        ({"target_covariance": [[1, 2], [2, 1]]}, "target_covariance"),
        ({"covariance": None}, "covariance"),
        ({"factor": np.eye(2)}, "covariance"),
        ({"covariance": None, "factor": np.ones((3, 1))}, "factor"),
        ({"covariance": None, "factor": np.zeros((2, 0))}, "factor"),
        ({"mean": [1, 2, 3]}, "mean"),
        ({"mean": [np.nan, 0]}, "mean"),
        ({"target_mean": [[0, 0]]}, "target_mean"),
        ({"critic_penalty": -0.1}, "critic_penalty"),
        ({"linear_penalty": -1}, "linear_penalty"),
        ({"quadratic_penalty": np.inf}, "quadratic_penalty"),
        ({"generator_lr": 0}, "generator_lr"),
        ({"discriminator_lr": True}, "discriminator_lr"),
        ({"initial_discriminator": "one"}, "initial_discriminator"),
        ({"initial_discriminator": ([0, 0], [[0, 1], [0, 0]])}, "initial_discriminator"),
        ({"initial_discriminator": ([0, 0], np.eye(3))}, "initial_discriminator"),
        ({"initial_discriminator": "equilibrium", "linear_penalty": 0}, "linear_penalty"),
    ],
)
def test_bad_parameters_are_named(changes, name):
    with pytest.raises(gs.ParameterError, match=f"^{name} = "):
        plane(**changes)


def test_bad_requests_are_refused():
    for over in (
        {"covariance": [np.eye(2)], "factor": [np.eye(2)]},
        {"covariance": np.eye(2)},
        {"critic_penalty": [-1.0]},
        {"mean": [[1.0, 2.0, 3.0]]},
        {"means": [1.0]},
    ):
        with pytest.raises(gs.ParameterError):
            gs.simulate_many(plane(), over, "flow")
    with pytest.raises(gs.ParameterError, match="midpoint"):
        gs.simulate(plane(), "midpoint")
    with pytest.raises(gs.ParameterError):
        gs.spectrum(plane(), rule="nash", order="generator_first")
    with pytest.raises(gs.ParameterError):
        gs.predict(plane(), "flow", step_size=0.1)
    with pytest.raises(gs.NotApplicable, match="quadratic_penalty"):
        gs.spectrum(gs.QuadraticGAN([0, 0], SKEWED, [0, 0], factor=[[1], [0]], critic_penalty=0))
    assert isinstance(plane().initial, LqState)


# Normal laws with entropy.


def test_entropic_gaussian_steps_have_the_worked_values():
    std, coarse = 0.3, 0.3
    for _ in range(100):
        std = gs.entropic_gaussian_step(std, 0.02, 0.5, 1.0)
    for _ in range(40):
        coarse = gs.entropic_gaussian_step(coarse, 0.05, 0.5, 1.0)
    assert std == pytest.approx(0.7012491844, abs=1e-10)
    assert coarse == pytest.approx(0.7004267694, abs=1e-10)
    assert entropic_gaussian_flow(0.3, 2.0, 0.5, 1.0) == pytest.approx(0.7017767366, abs=1e-10)
    assert entropic_gaussian_flow(0.3, 2.0, 0.5) == pytest.approx(np.sqrt(0.09 + 2.0))
    steps = gs.entropic_gaussian_step([0.3, 0.0, 1.0], 0.02, [[0.5], [0.0]], 1.0)
    assert steps.shape == (2, 3)
    # without entropy a step only shrinks
    np.testing.assert_allclose(steps[1], np.array([0.3, 0.0, 1.0]) / 1.02)
    for bad in ({"std": -1}, {"step_size": 0}, {"entropy": -1}, {"ridge": np.nan}):
        with pytest.raises(gs.ParameterError):
            gs.entropic_gaussian_step(**(dict(std=1, step_size=1, entropy=1, ridge=1) | bad))


@given(std=st.floats(0.05, 3), step=st.floats(1e-3, 3), entropy=st.floats(0.01, 2), ridge=st.floats(0, 3))
def test_entropic_gaussian_step_minimises_its_energy(std, step, entropy, ridge):
    new = gs.entropic_gaussian_step(std, step, entropy, ridge)
    # slope of (s - std)^2 / (2 step) + ridge s^2 / 2 - entropy log s
    assert (new - std) / step + ridge * new - entropy / new == pytest.approx(
        0, abs=1e-9 * (1 + entropy / new + std / step)
    )


# Collapse of kernel GANs.


def two_modes(count=32, distance=2.0, std=0.25):
    quantiles = std * norm.ppf((np.arange(count) + 0.5) / count)
    return np.concatenate([quantiles - distance, quantiles + distance])


def test_local_modes_have_the_worked_values():
    points = norm.ppf((np.arange(32) + 0.5) / 32)
    modes = local_modes.local_modes(local_modes.kernel_gradient_gram(points, 1.0), 1.0)
    np.testing.assert_allclose(modes.strengths[:3], [0.39779531, 0.35579579, 0.11127886], atol=1e-8)
    np.testing.assert_allclose(modes.roots[0], [-0.5 + 0.38444156j, -0.5 - 0.38444156j], atol=1e-8)
    strong = local_modes.local_modes(local_modes.kernel_gradient_gram(points, gs.RBF(1.0)), 3.0)
    np.testing.assert_allclose(strong.roots[0], [-0.13904273, -2.86095727], atol=1e-8)
    assert not modes.overdamped[0]
    assert strong.overdamped[0]
    best = local_modes.local_modes(np.diag([0.7]), modes.best_penalty[0], 2.0, 0.5)
    np.testing.assert_allclose(best.best_penalty, 2 * np.sqrt(0.7 * 4))


def test_local_modes_of_features_and_of_their_kernel_agree():
    # cosines and sines of a few waves, and the kernel that they make
    rng = np.random.default_rng(0)
    points, waves = rng.normal(size=(7, 2)), rng.normal(size=(5, 2))
    phase = points @ waves.T
    gradients = np.concatenate([-np.sin(phase)[..., None] * waves, np.cos(phase)[..., None] * waves], axis=1)
    features = local_modes.feature_gradient_gram(gradients.transpose(0, 2, 1))
    difference = points[:, None] - points[None, :]
    mixed = np.einsum("nmj,ja,jb->namb", np.cos(difference @ waves.T), waves, waves).reshape(14, 14) / 7
    first, second = (local_modes.local_modes(gram, 0.4, 1.5, 2.0) for gram in (features, mixed))
    count = min(len(first.strengths), len(second.strengths))
    np.testing.assert_allclose(first.strengths[:count], second.strengths[:count], rtol=1e-9, atol=1e-12)
    root = first.roots
    np.testing.assert_allclose(root**2 + 0.8 * root + 3.0 * first.strengths[:, None], 0, atol=1e-12)


def test_a_collapsed_generator_climbs_to_the_worked_modes():
    points = two_modes()
    for bandwidth, place, strength in ((0.5, 2.0, 2.564039), (1.0, 1.997881, 0.545655)):
        fate = collapse.dirac_fate(points, bandwidth, 1.0, start=0.5)
        assert fate.mode[0] == pytest.approx(place, abs=1e-6)
        assert fate.sigma == pytest.approx(strength, abs=1e-6)
        assert fate.critical_speed_ratio == pytest.approx(strength, abs=1e-6)
        np.testing.assert_allclose(
            np.sort(collapse.smoothed_modes(points, bandwidth).ravel()), [-place, place], atol=1e-6
        )
    assert collapse.dirac_fate(points, 0.5, 1.0, start=-0.1).mode[0] == pytest.approx(-2.0, abs=1e-6)
    assert collapse.dirac_fate(points, 0.5, 1.0, start=50.0).mode[0] == pytest.approx(2.0, abs=1e-6)
    level = collapse.dirac_fate(points, 0.5, 1.0, start=0.0)
    assert not level.settles
    assert level.critical_speed_ratio == np.inf


@pytest.mark.parametrize("kernel", [gs.RBF(0.5), gs.Matern52(0.8), gs.RBFSum(bandwidths=(0.4, 1.5)), gs.Matern32(1.0)])
def test_critical_ratio_is_where_the_linear_motion_turns(kernel):
    rng = np.random.default_rng(1)
    points = rng.normal(size=(30, 2)) * [1.0, 0.5]
    fate = collapse.dirac_fate(points, kernel, 0.7, generator_lr=1.5, start=[0.3, 0.2])
    critical = fate.critical_speed_ratio
    for share, settles in ((0.999, False), (1.001, True)):
        now = collapse.dirac_fate(points, kernel, 0.7, 1.5, 1.5 * share * critical, start=[0.3, 0.2])
        assert now.settles == settles == (np.max(now.eigenvalues.real) < 0)
        # at the threshold the leading pair turns with the frequency of the bifurcation
        assert np.max(np.abs(now.eigenvalues[0].imag)) == pytest.approx(fate.hopf_frequency, rel=0.01)
        curvature, sigma = kernel.curvature, now.sigmas[-1]
        matrix = [[1.5 * sigma, -1.5], [1.5 * share * critical * curvature, -1.5 * share * critical * 0.7]]
        for value in np.linalg.eigvals(matrix):
            assert np.min(np.abs(now.eigenvalues - value)) < 1e-9
    assert fate.width_growth_rate == pytest.approx(1.5 * fate.sigma)
    assert fate.sigma == pytest.approx(0.7 * critical)


def test_point_and_cloud_move_as_predicted():
    # the discriminator in an exact finite representation: its slope and bend at the cloud come from all past clouds,
    # so integrate the equivalent flow in waves, periodic far from the points
    points, bandwidth, half = two_modes(8), 0.5, 8.0
    count = 140
    j = np.arange(-count, count + 1) * np.pi / half
    weight = np.exp(-((j * bandwidth) ** 2) / 2)
    weight /= weight.sum()
    target = np.exp(-1j * np.outer(points, j)).mean(axis=0)
    fate = collapse.dirac_fate(points, bandwidth, 1.0, 1.0, 4.0, start=1.5)
    assert fate.settles
    x0 = fate.mode[0]

    def velocity(t, z):
        x, a = z[:2].real, z[2:]
        slope = (np.exp(1j * np.outer(x, j)) @ (1j * j * weight * a)).real
        return np.concatenate([slope, 4.0 * (target - np.exp(-1j * np.outer(x, j)).mean(axis=0) - a)])

    rest = target - np.exp(-1j * j * x0)
    z0 = np.concatenate([[x0 + 1e-7, x0 - 1e-7], rest]).astype(complex)
    path = solve_ivp(velocity, (0, 2), z0, rtol=1e-10, atol=1e-15, t_eval=[0.5, 2.0]).y[:2].real
    width = path[0] - path[1]
    assert np.log(width[1] / width[0]) / 1.5 == pytest.approx(fate.width_growth_rate, rel=1e-3)


@pytest.mark.parametrize("distance, std", [(2.0, 0.25), (1.0, 0.6)])
def test_mode_mean_switch_is_where_the_middle_stops_being_a_minimum(distance, std):
    points = two_modes(400, distance, std)
    switch = collapse.mode_mean_switch(distance, std)
    assert switch == pytest.approx(np.sqrt(distance**2 - std**2))
    for share, count in ((0.98, 2), (1.02, 1)):
        modes = collapse.smoothed_modes(points, share * switch)
        assert len(modes) == count
    assert collapse.dirac_fate(points, 1.02 * switch, 1.0, start=0.3).mode[0] == pytest.approx(0, abs=1e-6)
    assert collapse.mode_mean_switch(0.5, 0.6) == 0.0


def test_modes_in_the_plane_are_found_and_climbed_to():
    rng = np.random.default_rng(5)
    centres = np.array([[2.0, 0.0], [-1.0, 1.7], [-1.0, -1.7]])
    points = np.concatenate([c + 0.2 * rng.normal(size=(40, 2)) for c in centres])
    modes = collapse.smoothed_modes(points, 0.6)
    assert len(modes) == 3
    assert all(np.min(np.linalg.norm(modes - c, axis=1)) < 0.1 for c in centres)
    fate = collapse.dirac_fate(points, 0.6, 1.0, start=[1.0, 0.3])
    assert np.min(np.linalg.norm(modes - fate.mode, axis=1)) < 1e-10
    assert fate.mode[0] > 1
    # on a line inside the plane both searches agree
    line = two_modes(6)
    flat = np.column_stack([line, np.zeros_like(line)])
    np.testing.assert_allclose(
        np.sort(collapse.smoothed_modes(flat, 0.5)[:, 0]), np.sort(collapse.smoothed_modes(line, 0.5)[:, 0]), atol=1e-9
    )
    with pytest.raises(gs.NotApplicable, match="Laplace"):
        collapse.smoothed_modes(points, gs.Laplace(1.0))


def test_support_says_what_can_never_be_undone():
    found = collapse.support_invariance([1.0, 1.0, 2.0])
    assert (found.atoms, found.atoms_kept, found.rank_kept) == (2, True, False)
    flat = collapse.support_invariance([[0, 0], [1, 1], [2, 2.0]], affine=True)
    assert (flat.rank, flat.rank_kept) == (1, True)
    assert not collapse.support_invariance([1.0, 1.0], smooth=False).atoms_kept


def test_coverage_by_the_energy_distance_follows_its_law():
    np.testing.assert_allclose(energy_law.coverage_law([10, 20, 40], 2.0, 0.75), [0.75, 0.875, 0.9375])
    # every quantile on its own: unequal weights, and a start off the middle
    levels = (np.arange(4000) + 0.5) / 4000
    weights, start, speed = (0.3, 0.7), 0.4, 1.7 / 0.6
    for time in (0.5, 3.0, 20.0):
        place = np.clip(start + speed * (levels - weights[0]) * time, -2, 2)
        covered = [min(np.mean(place <= -1.5), weights[0]), min(np.mean(place >= 1.5), weights[1])]
        law = energy_law.coverage_law(time, 2.0, 0.5, 1.7, 0.6, weights, start)
        # one quantile on either side
        assert law == pytest.approx(sum(covered), abs=2 / 4000)
    with pytest.raises(gs.ParameterError):
        energy_law.coverage_law(1.0, 2.0, 0.75, weights=(0.5, 0.6))


@pytest.mark.parametrize("start", [-0.7, 0.3, 2.5])
@pytest.mark.parametrize("level", [0.0, 0.1, 0.8, 1.0])
def test_quantiles_of_uniform_data_follow_their_equation(start, level):
    low, high = 0.2, 1.5
    path = solve_ivp(
        lambda t, x: 1.3 / 0.7 * (level - np.clip((x - low) / (high - low), 0, 1)),
        (0, 2.0),
        [start],
        rtol=1e-9,
        atol=1e-11,
        max_step=0.01,
    )
    found = energy_law.uniform_energy_quantiles(start, level, 2.0, low, high, 1.3, 0.7)
    assert found == pytest.approx(path.y[0, -1], abs=1e-6)


def test_gaussian_constants_have_the_worked_values():
    found = local_modes.gaussian_constants(2.0, 1.0, 1.0, 0.34230, 1.0, 2.0)
    assert found.generator_convexity == pytest.approx(0.85178, abs=1e-5)
    assert (found.discriminator_convexity, found.generator_lipschitz) == (1.0, 0.5)
    assert 2 * found.rate == pytest.approx(1.7036, abs=1e-4)
    bound = local_modes.gaussian_constants(2.0, 1.0, 1.0)
    assert bound.generator_convexity == pytest.approx(1 - np.sqrt(3) * np.sqrt(2) / 4)
    assert local_modes.fast_limit(0.5, 2.0) == 4.0
