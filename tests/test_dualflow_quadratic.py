"""Quadratic games and the general theory: closed forms, engines and bounds against each other."""

import itertools

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.integrate import solve_ivp
from scipy.linalg import expm

import ganscope as gs
from ganscope.games.dualflow.levels import ORDERS, SCHEMES
from ganscope.games.dualflow.schemes import step as pair_step
from ganscope.games.dualflow.theory import steps
from ganscope.games.dualflow.theory.affine import affine_step, spectral_radius
from ganscope.games.dualflow.theory.rates import small_gain

SEQUENTIAL = ("explicit_sequential", "jko_sequential")
PROXIMAL = ("jko", "jko_sequential")
# strength, convexities, speeds, and the largest steps of explicit, explicit_sequential, jko, jko_sequential
WORKED = [
    ((2, 0.3, 0.5, 1, 1), (0.1927710843, 0.832467, 0.2077922078, 1.248051)),
    ((0.5, 1, 1, 1, 1), (1.6, 1.3333333333, np.inf, np.inf)),
    ((3, 0.2, 0.1, 0.5, 2), (0.0332594235, 0.634837, 0.0334075724, 0.701652)),
]


def scalar_game(strength, lam1, lam2, eta1=1.0, eta2=1.0, **more):
    return gs.QuadraticGame(lam1, strength, lam2, -strength, generator_lr=eta1, discriminator_lr=eta2, **more)


def random_game(rng, n=3, m=2, zero_sum=False, lowest=0.2, coupling=1.0):
    def convex(size):
        root = rng.normal(size=(size, size))
        return root @ root.T / size + lowest * np.eye(size)

    b = coupling * rng.normal(size=(n, m))
    other = -b.T if zero_sum else coupling * rng.normal(size=(m, n))
    linear = rng.normal(size=n), rng.normal(size=m)
    start = rng.normal(size=n), rng.normal(size=m)
    lrs = rng.uniform(0.3, 2, size=2)
    return gs.QuadraticGame(convex(n), b, convex(m), other, *linear, *lrs, initial=start)


def step_radius(game, scheme, tau, **options):
    return float(spectral_radius(affine_step(game.linearisation(), scheme, tau, **options)[0]))


def joint(run):
    return np.concatenate([run.generator.values, run.discriminator.values], axis=-1)


def test_comparison_rate_is_the_worked_number_and_an_eigenvalue():
    rate = gs.comparison_rate(1, 1.5, 0.8, 0.8)
    assert_allclose(rate, -0.4118472693, atol=1e-10)
    rng = np.random.default_rng(0)
    lam, lip, lr = rng.normal(size=(2, 50)), rng.uniform(0, 2, (2, 50)), rng.uniform(0.1, 3, (2, 50))
    matrices = gs.comparison_matrix(*lam, *lip, *lr)
    assert matrices.shape == (50, 2, 2)
    assert_allclose(gs.comparison_rate(*lam, *lip, *lr), np.linalg.eigvals(matrices).real.max(axis=-1), atol=1e-12)


@pytest.mark.parametrize("numbers, expected", WORKED)
def test_largest_steps_of_two_numbers(numbers, expected):
    game = scalar_game(*numbers)
    for scheme, value in zip(SCHEMES, (*expected, np.inf, np.inf), strict=True):
        assert_allclose(gs.largest_stable_step(scheme, *numbers), value, rtol=1e-6)
        assert_allclose(gs.largest_step(game, scheme), value, rtol=1e-6)
        if np.isfinite(value):
            assert step_radius(game, scheme, 0.999 * value) < 1 < step_radius(game, scheme, 1.001 * value)
        else:
            assert step_radius(game, scheme, 1e6) < 1


def test_closed_form_of_the_largest_step_equals_bisection(monkeypatch):
    rng = np.random.default_rng(1)
    for _ in range(10):
        n, m = rng.integers(1, 4, size=2)
        b = rng.normal(size=(n, m))
        lam1, lam2 = rng.uniform(0, 2, size=2)
        lrs = rng.uniform(0.3, 2, size=2)
        game = gs.QuadraticGame(lam1 * np.eye(n), b, lam2 * np.eye(m), -b.T, None, None, *lrs)
        closed = [gs.largest_step(game, scheme) for scheme in SCHEMES]
        with monkeypatch.context() as patch:
            patch.setattr(steps, "_modes", lambda linear: (np.zeros(1, bool), *np.ones((3, 1, 1))))
            for scheme, value in zip(SCHEMES, closed, strict=True):
                assert_allclose(gs.largest_step(game, scheme), value, rtol=1e-7)
                other = gs.largest_step(game, scheme, order="discriminator_first")
                assert_allclose(other, value, rtol=1e-7)


def test_largest_step_of_any_game_is_where_the_spectral_radius_passes_one():
    rng = np.random.default_rng(2)
    for _, (scheme, repeats) in itertools.product(range(4), itertools.product(SCHEMES[:4], (1, 3))):
        game = random_game(rng)
        largest = gs.largest_step(game, scheme, discriminator_steps=repeats)
        if np.any(np.linalg.eigvals(game.linearisation().jacobian).real > 0):
            assert largest == 0
        elif np.isfinite(largest):
            radius = [step_radius(game, scheme, f * largest, discriminator_steps=repeats) for f in (0.999, 1.001)]
            assert radius[0] < 1 < radius[1]
        else:
            taus = np.geomspace(1e-4, 1e6, 60)
            assert max(step_radius(game, scheme, t, discriminator_steps=repeats) for t in taus) < 1


def test_a_map_of_largest_steps_is_one_call():
    lam1, lam2 = np.linspace(0, 3, 100)[:, None], np.linspace(0, 6, 100)
    found = gs.largest_stable_step("jko_sequential", 2.0, lam1, lam2)
    assert found.shape == (100, 100)
    assert_array_equal(np.isinf(found), lam1 * lam2 >= 4)
    assert_allclose(found[7, 30], gs.largest_step(scalar_game(2.0, lam1[7, 0], lam2[30]), "jko_sequential"))


def test_undamped_limits_of_the_largest_step():
    assert [gs.largest_stable_step(s, 2.0) for s in SCHEMES] == [0, 1, 0, 1, np.inf, np.inf]
    # without coupling only each player's own damping counts
    assert gs.largest_stable_step("explicit", 0.0, 0.5, 2.0) == 1.0
    assert gs.largest_stable_step("explicit", 0.0) == np.inf
    # a player with negative curvature: nash has no step beyond 1 / curvature
    game = scalar_game(2.0, -0.25, 1.0)
    assert_allclose(gs.largest_step(game, "nash"), 4.0, rtol=1e-12)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_bilinear_moduli(scheme):
    for kappa in (0.0, 0.1, 1.0, 1.9, 2.0, 2.1, 5.0):
        game = scalar_game(2.0, 0, 0, 0.5, 3.0)
        tau = kappa / (2.0 * np.sqrt(1.5))
        # at 2 the multiplier -1 is double: good to the square root of rounding
        atol = 1e-6 if kappa == 2 else 1e-9
        for order in ORDERS:
            assert_allclose(step_radius(game, scheme, tau, order=order), gs.bilinear_modulus(scheme, kappa), atol=atol)
    assert gs.bilinear_modulus(scheme, np.ones((2, 3))).shape == (2, 3)


@pytest.mark.parametrize("order, sign", [(ORDERS[0], -1), (ORDERS[1], 1)])
@pytest.mark.parametrize("scheme", SEQUENTIAL)
def test_sequential_schemes_conserve_a_tilted_ellipse(scheme, order, sign):
    game = scalar_game(1.5, 0, 0, 0.5, 2.0, initial=(1, 0.3))
    run = gs.simulate(game, scheme, step_size=0.3, iterations=500, order=order)
    x, y = joint(run).T
    invariant = x**2 / 0.5 + y**2 / 2.0 + sign * 0.3 * 1.5 * x * y
    assert_allclose(invariant, invariant[0], rtol=1e-12)


def test_jko_is_explicit_in_bilinear_games():
    rng = np.random.default_rng(3)
    b = rng.normal(size=(3, 2))
    game = gs.QuadraticGame(np.zeros((3, 3)), b, np.zeros((2, 2)), -b.T, initial=rng.normal(size=5))
    for implicit, explicit in zip(PROXIMAL, ("explicit", "explicit_sequential"), strict=True):
        a, b = (joint(gs.simulate(game, s, step_size=0.05, horizon=5)) for s in (implicit, explicit))
        assert_allclose(a, b, atol=1e-12)


def test_flow_equals_a_numerical_solution():
    game = random_game(np.random.default_rng(4))
    j, b, _ = game.linearisation()
    times = np.array([0.0, 0.3, 2.0, 7.5])
    solved = solve_ivp(lambda t, z: j @ z + b, (0, 8), game.initial, "DOP853", times, rtol=1e-12, atol=1e-13)
    assert_allclose(joint(gs.simulate(game, "flow", save_at=times)), solved.y.T, rtol=1e-9, atol=1e-10)


def test_flow_of_two_numbers_equals_the_matrix_exponential():
    # turning, two real rates, critically damped, unstable, stiff, without equilibrium or far from it, nothing at all
    cases = [
        (0.3, 2, 0.5, -2, 1), (3, 0.5, 0.2, 0.5, 1), (2, 1, 0, -1, 1), (-1, 0.3, -0.5, 1, 1), (-1, 2, 0.5, -2, 1),
        (1, 1, 1, -1, 1e4), (1, 1, 1, 1, 1), (1, 1, 1, 1 - 1e-9, 1), (0, 1, 0, 0, 1), (0, 0, 0, 0, 1),
    ]  # fmt: skip
    times = np.array([0.0, 1e-3, 0.5, 3.0, 20.0])
    for a1, b1, a2, b2, speed in cases:
        game = gs.QuadraticGame(a1, b1, a2, b2, 0.7, -0.4, discriminator_lr=speed, initial=(1, -2))
        for g in (game, game.replace(c1=0, c2=0)):
            j, b, _ = g.linearisation()
            bordered = np.block([[j, b[:, None]], [np.zeros((1, 3))]])
            expected = [(expm(t * bordered) @ [1, -2, 1])[:2] for t in times]
            scale = np.maximum.accumulate(np.abs(expected).max(axis=1))[:, None]
            # the exponential itself is good to rounding times the size of its argument
            atol = 1e-13 * (1 + times[:, None] * np.abs(bordered).max())
            assert np.all(np.abs(joint(gs.simulate(g, "flow", save_at=times)) - expected) <= atol * scale)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_affine_steps_equal_the_players_own_steps(scheme):
    rng = np.random.default_rng(5)
    for n, m in ((1, 1), (3, 2)):
        game = random_game(rng, n, m)
        pair, tau = game.pair(), 0.07
        choices = [("generator_first", 1)]
        choices += [(order, k) for order in ORDERS for k in (1, 3)] if scheme not in ("nash", "midpoint") else []
        for order, repeats in choices:
            options = {"discriminator_steps": repeats} if scheme not in ("nash", "midpoint") else {}
            options |= {"order": order} if scheme in SEQUENTIAL else {}
            x, y = game.start
            states = [np.concatenate([x, y])]
            for size in [tau] * 14 + [0.02]:  # the last step ends at the horizon
                x, y = pair_step(pair, scheme, x, y, size, **options)
                states.append(np.concatenate([x, y]))
            run = gs.simulate(game, scheme, step_size=tau, horizon=1.0, **options)
            assert run.time.values[-1] == 1.0
            # the players' own nash and midpoint steps are iterations that stop at 1e-13 and 1e-12
            assert_allclose(joint(run), states, rtol=1e-11, atol=1e-11)


def test_the_pair_descends_its_energies():
    rng = np.random.default_rng(14)
    game = random_game(rng)
    pair, (x, y) = game.pair(), game.start
    for player in (0, 1):
        own, h = (x, y)[player], 1e-3

        def at(z, player=player):
            return (z, y) if player == 0 else (x, z)

        gradient = pair.gradient(player, x, y)
        for axis in np.eye(len(own)):
            # central differences are exact for quadratic energies
            slope = (pair.energy(player, *at(own + h * axis)) - pair.energy(player, *at(own - h * axis))) / (2 * h)
            assert_allclose(slope, gradient @ axis, atol=1e-10)
        new = pair.prox(player, x, y, 0.3, 1e-12, 100)
        # the minimum of the proximal problem is where the implicit step ends
        assert_allclose(new, own - 0.3 * pair.speeds[player] * pair.gradient(player, *at(new)), rtol=1e-12)
        assert_allclose(pair.gradient(player, *game.equilibrium()), 0, atol=1e-12)
        assert_allclose(pair.test_points(player), [game.equilibrium()[player]])
    lam1, lam2, l12, l21 = game.constants()
    assert (pair.convexity(0, x, y), pair.convexity(1, x, y)) == (lam1, lam2)
    product = 0.09 * pair.speeds[0] * pair.speeds[1] * l12 * l21
    expected = product / ((1 + 0.3 * pair.speeds[0] * lam1) * (1 + 0.3 * pair.speeds[1] * lam2))
    assert_allclose(pair.contraction(x, y, 0.3), expected)


def test_errors_of_the_schemes_in_a_damped_game():
    game = scalar_game(1, 0.2, 0.5, 1, 2, initial=(1, -0.5))
    exact = joint(gs.simulate(game, "flow", save_at=[4.0]))[0]
    expected = (2.259e-3, 1.071e-3, 3.285e-3, 1.540e-3, 2.219e-3, 4.207e-6)
    for scheme, value in zip(SCHEMES, expected, strict=True):
        errors = [
            np.linalg.norm(joint(gs.simulate(game, scheme, step_size=4 / n, horizon=4.0))[-1] - exact)
            for n in (400, 800)
        ]
        assert_allclose(errors[1], value, rtol=1e-3)
        order = np.log2(errors[0] / errors[1])
        assert abs(order - (2 if scheme == "midpoint" else 1)) < 0.1


def test_repeated_discriminator_steps_approach_the_flow_of_a_faster_discriminator():
    game = random_game(np.random.default_rng(6))
    fast = game.replace(discriminator_lr=3 * game.discriminator_lr)
    exact = joint(gs.simulate(fast, "flow", save_at=[2.0]))[0]
    for scheme in ("explicit", *SEQUENTIAL, "jko"):
        runs = [
            gs.simulate(game, scheme, step_size=s, horizon=2.0, save_at=[2.0], discriminator_steps=3)
            for s in (2e-3, 1e-3)
        ]
        errors = [np.linalg.norm(joint(run)[0] - exact) for run in runs]
        assert 0.9 < np.log2(errors[0] / errors[1]) < 1.1


@pytest.mark.parametrize(
    "scheme, observed, bound",
    [("jko", (0.07065, 0.03733), (0.9072, 0.7440)), ("jko_sequential", (0.08403, 0.05086), (0.8051, 0.6164))],
)
def test_error_bound_is_the_worked_number(scheme, observed, bound):
    game = scalar_game(0.8, 1, 1.5, initial=(2, -1))
    run = gs.simulate(game, scheme, step_size=0.1, horizon=10.0)
    exact = gs.simulate(game, "flow", save_at=run.time.values)
    errors = [float(abs(run[name] - exact[name]).max()) for name in ("generator", "discriminator")]
    assert_allclose(errors, observed, rtol=5e-3)
    found = gs.scheme_error_bound(game, scheme, 0.1, 10.0)
    assert_allclose(found.uniform, bound, rtol=5e-3)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("scheme", PROXIMAL)
def test_error_bound_holds_and_halves_with_the_step(scheme, order):
    rng = np.random.default_rng(7)
    for trial in range(6):
        # negative curvature in half of them: no uniform bound, a growing one all the same
        game = random_game(rng, lowest=0.6 if trial % 2 else -0.8, coupling=0.2)
        horizon, tau = 3.03, 0.1
        options = {"order": order} if scheme in SEQUENTIAL else {}
        run = gs.simulate(game, scheme, step_size=tau, horizon=horizon, **options)
        exact = gs.simulate(game, "flow", save_at=run.time.values)
        bound = gs.scheme_error_bound(game, scheme, tau, horizon, order=order)
        assert bound.steps == run.sizes["time"] - 1
        assert (bound.uniform is not None) == bool(small_gain(*game.constants()))
        for k, name in enumerate(("generator", "discriminator")):
            errors = np.linalg.norm(run[name].values - exact[name].values, axis=-1)
            assert np.all(errors <= (bound.generator, bound.discriminator)[k])
            if bound.uniform is not None:
                assert (bound.generator, bound.discriminator)[k] <= bound.uniform[k]
        finer = gs.scheme_error_bound(game, scheme, tau / 64, horizon, order=order)
        finest = gs.scheme_error_bound(game, scheme, tau / 128, horizon, order=order)
        assert_allclose(finer.generator / finest.generator, 2, rtol=0.02)


def test_two_flows_stay_within_the_comparison():
    rng = np.random.default_rng(8)
    for _ in range(20):
        game = random_game(rng, lowest=rng.uniform(-1, 1))
        other = game.replace(initial=rng.normal(size=5))
        times = np.linspace(0, 3, 16)
        runs = [gs.simulate(g, "flow", save_at=times) for g in (game, other)]
        apart = [np.linalg.norm(runs[0][k].values - runs[1][k].values, axis=-1) for k in ("generator", "discriminator")]
        delta = np.stack(apart, axis=-1)
        m = gs.comparison_matrix(*game.constants(), game.generator_lr, game.discriminator_lr)
        bound = np.array([expm(m * t) @ delta[0] for t in times])
        assert np.all(delta <= bound * (1 + 1e-10) + 1e-10)


def test_small_gain_decides_the_flow_and_both_proximal_schemes():
    rng = np.random.default_rng(9)
    lam, lip = rng.uniform(-0.5, 2, (2, 2000)), rng.uniform(0, 2, (2, 2000))
    lrs, tau = rng.uniform(0.1, 3, (2, 2000)), rng.uniform(0.01, 5, 2000)
    contracts = small_gain(*lam, *lip)
    assert 200 < contracts.sum() < 1800
    assert_array_equal(gs.comparison_rate(*lam, *lip, *lrs) < 0, contracts)
    for scheme in PROXIMAL:
        assert_array_equal(gs.scheme_contraction(scheme, tau, *lam, *lip, *lrs) < 1, contracts)


def test_scheme_contraction_is_the_root_of_its_iteration_and_holds_for_runs():
    lam, lip, lrs, tau = (0.5, 1.2), (0.4, 0.9), (1.5, 0.7), 0.8
    damped = np.diag([1 / (1 + tau * lrs[0] * lam[0]), 1 / (1 + tau * lrs[1] * lam[1])])
    pull = tau * np.array([[0, lrs[0] * lip[0]], [lrs[1] * lip[1], 0]])
    first, second = np.diag([1.0, 0.0]), np.diag([0.0, 1.0])
    moves = [own @ damped @ (np.eye(2) + pull) + other for own, other in ((first, second), (second, first))]
    found = [gs.scheme_contraction(s, tau, *lam, *lip, *lrs) for s in PROXIMAL]
    expected = [damped @ (np.eye(2) + pull), moves[1] @ moves[0]]
    assert_allclose(found, [np.abs(np.linalg.eigvals(m)).max() for m in expected], rtol=1e-12)
    game = random_game(np.random.default_rng(10), zero_sum=True)
    for tau in (0.05, 1.0, 20.0):
        v = gs.simulate(game, "nash", step_size=tau, iterations=20).lyapunov.values
        factor = gs.scheme_contraction("nash", tau, *game.constants(), game.generator_lr, game.discriminator_lr)
        assert np.all(np.sqrt(v[1:]) <= factor * np.sqrt(v[:-1]) * (1 + 1e-9) + 1e-12)
    with pytest.raises(gs.NotApplicable, match="explicit"):
        gs.scheme_contraction("explicit", 0.1, *lam, *lip)


def test_coupling_cancels_in_zero_sum_games():
    rng = np.random.default_rng(11)
    for _ in range(10):
        game = random_game(rng, zero_sum=True, coupling=3.0)
        run = gs.simulate(game, "flow", horizon=4.0)
        lam = game.constants()[:2]
        rate = gs.zero_sum_rate(*lam, game.generator_lr, game.discriminator_lr)
        v = run.lyapunov.values
        assert np.all(v <= v[0] * np.exp(-2 * rate * run.time.values) * (1 + 1e-9) + 1e-13)


def test_saddle_gap_is_what_the_players_can_gain_and_decays():
    rng = np.random.default_rng(12)
    for trial in range(100):
        game = random_game(rng, zero_sum=True)
        x, y = rng.normal(size=3), rng.normal(size=2)

        def payoff(x, y, game=game):
            own = x @ game.A1 @ x / 2 + game.c1 @ x
            return own + x @ game.B1 @ y - y @ game.A2 @ y / 2 - game.c2 @ y

        best_y = np.linalg.solve(game.A2, game.B1.T @ x - game.c2)
        best_x = -np.linalg.solve(game.A1, game.B1 @ y + game.c1)
        gap = payoff(x, best_y) - payoff(best_x, y)
        assert_allclose(gs.saddle_gap(game, x, y), gap, rtol=1e-9)
        assert_allclose(gs.saddle_gap(game, *game.equilibrium()), 0, atol=1e-20)
        run = gs.simulate(game, "flow", horizon=3.0)
        assert_allclose(run.saddle_gap.values[7], gs.saddle_gap(game, *(s[7] for s in game.states(run))), rtol=1e-12)
        b, speeds = game.B1, np.repeat([game.generator_lr, game.discriminator_lr], [3, 2])
        form = np.zeros((5, 5))
        form[:3, :3] = (game.A1 + b @ np.linalg.solve(game.A2, b.T)) / 2
        form[3:, 3:] = (game.A2 + b.T @ np.linalg.solve(game.A1, b)) / 2
        scale = np.linalg.eigvalsh(form * np.sqrt(np.outer(speeds, speeds)))
        rate = gs.zero_sum_rate(*game.constants()[:2], game.generator_lr, game.discriminator_lr)
        gaps, v = run.saddle_gap.values, run.lyapunov.values
        rounding = 1e-12 * gaps[0]
        assert np.all(gaps >= scale[0] * v * (1 - 1e-9) - rounding)
        assert np.all(gaps <= scale[-1] * v * (1 + 1e-9) + rounding)
        bound = scale[-1] / scale[0] * np.exp(-2 * rate * run.time.values) * gaps[0]
        assert np.all(gaps <= bound * (1 + 1e-9))
        if trial == 0:
            assert gs.saddle_gap(game, run.generator.values, run.discriminator.values).shape == (201,)
    for other in (scalar_game(1, 0, 1), gs.QuadraticGame(1, 1, 1, 1)):
        assert "saddle_gap" not in gs.simulate(other, "flow")
        with pytest.raises(gs.NotApplicable, match="zero-sum"):
            gs.saddle_gap(other, 1.0, 0.0)


@pytest.mark.parametrize("level", ["flow", *SCHEMES])
def test_a_batch_equals_single_runs_bit_for_bit(level):
    rng = np.random.default_rng(13)
    base = random_game(rng)
    games = [random_game(rng) for _ in range(5)]
    names = ("A1", "B1", "A2", "B2", "c1", "c2", "initial", "generator_lr", "discriminator_lr")
    over = {name: np.array([getattr(g, name) for g in games]) for name in names}
    how = {} if level == "flow" else {"step_size": 0.06}
    batch = gs.simulate_many(base, over, level, horizon=1.0, **how)
    scalars = gs.simulate_many(scalar_game(1, 0.3, 0.3), {"A1": [0.1, 0.2], "B1": [1, 2.0]}, level, horizon=1.0, **how)
    expected = gs.QuadraticGame(0.2, 2.0, 0.3, -1.0)
    for run, game, cell in ((batch, games[3], 3), (scalars, expected, 1)):
        one = run.isel(cell=cell)
        alone = gs.simulate(game, level, horizon=1.0, **how)
        for name in ("generator", "discriminator", "distance", "lyapunov"):
            assert_array_equal(one[name].values, alone[name].values)
        assert gs.from_json(alone.attrs["game"]) == game


def test_a_step_without_solution_stops_a_single_run_and_empties_a_cell():
    game = scalar_game(1, -1, 0.5)
    for scheme in (*PROXIMAL, "nash"):
        with pytest.raises(gs.StepTooLarge, match="step_size"):
            gs.simulate(game, scheme, step_size=1.0, horizon=5)
        runs = gs.simulate_many(game, {"A1": [-1.0, 0.5]}, scheme, step_size=1.0, horizon=5)
        assert runs.generator.values[0, 0, 0] == 1
        assert np.all(np.isnan(runs.generator.values[0, 1:]))
        assert np.all(np.isfinite(runs.generator.values[1]))
        assert gs.predict(game, scheme, step_size=1.0).outcome == "undecided"
    with pytest.raises(gs.StepTooLarge):
        pair_step(game.pair(), "jko", *game.start, 1.0)


def test_runs_that_overflow_keep_their_history():
    game = scalar_game(1, -1, -1)
    for level, how in (("flow", {}), ("explicit", {"step_size": 0.5})):
        values = joint(gs.simulate(game, level, horizon=2000.0, save_at=[0, 10, 1000, 2000], **how))
        assert_array_equal(np.isfinite(values[:, 0]), [True, True, False, False])


@pytest.mark.parametrize(
    "level, outcome, detail",
    [
        (None, "oscillating", "orbiting"),
        ("explicit", "diverged", "diverging"),
        ("jko", "diverged", "diverging"),
        ("explicit_sequential", "oscillating", "orbiting"),
        ("jko_sequential", "oscillating", "orbiting"),
        ("nash", "converged", "converge_oscillatory"),
        ("midpoint", "oscillating", "orbiting"),
    ],
)
def test_prediction_of_the_bilinear_game(level, outcome, detail):
    # also with more numbers on one side, where equilibria fill a line
    for b in (np.array([[2.0]]), np.array([[1.0, 2.0]])):
        n, m = b.shape
        prediction = gs.predict(gs.QuadraticGame(np.zeros((n, n)), b, np.zeros((m, m)), -b.T), level)
        assert (prediction.outcome, prediction.detail) == (outcome, detail)
        assert_allclose(prediction.thresholds["period"], 2 * np.pi / np.linalg.norm(b))
        assert len(prediction.equilibria) == (1 if n == m else 0)
        prediction.to_dict()


@pytest.mark.parametrize(
    "damping, level, step_size, detail",
    [
        (0, "explicit", 0.05, "diverging"),
        (0, "jko_sequential", 0.05, "orbiting"),
        (0, "nash", 0.05, "converging"),
        (0.5, "jko", 0.1, "converged"),
        (0, "jko_sequential", 2.1, "escaped"),
    ],
)
def test_verdicts_agree_with_predictions(damping, level, step_size, detail):
    game = scalar_game(1, 0, 0)
    runs = gs.simulate_many(game, {"A2": [0.1, damping]}, level, step_size=step_size, iterations=2000)
    verdict = gs.classify(runs.isel(cell=1))
    assert verdict.detail == detail
    assert verdict.outcome == gs.predict(game.replace(A2=damping), level, step_size=step_size).outcome


def test_prediction_of_damped_games_and_of_games_without_equilibrium():
    prediction = gs.predict(scalar_game(0.8, 1, 1.5))
    assert (prediction.outcome, prediction.margin) == ("converged", pytest.approx(1.25))
    assert prediction.rates["comparison"] == pytest.approx(-0.4118472693)
    assert prediction.thresholds["largest_step_explicit"] == gs.largest_stable_step("explicit", 0.8, 1, 1.5)
    assert gs.predict(scalar_game(0.8, -1, 0.5)).outcome == "diverged"
    assert gs.predict(scalar_game(2, 0.3, 0.5), "explicit", step_size=0.2).outcome == "diverged"
    assert gs.predict(scalar_game(2, 0.3, 0.5), "explicit", step_size=0.19).outcome == "converged"
    drift = gs.QuadraticGame(0, 0, 0, 0, c1=1)
    assert gs.predict(drift).outcome == "diverged"
    assert gs.predict(gs.QuadraticGame(0, 0, 0, 0)).outcome == "undecided"
    with pytest.raises(gs.NoUniqueEquilibrium, match="no equilibrium"):
        drift.equilibrium()
    run = gs.simulate(drift, "flow", horizon=2.0)
    assert_allclose(run.generator.values[-1], [-1.0])
    assert np.all(np.isnan(run.distance.values))
    assert np.all(np.isfinite(drift.tracked(run).distance))


def test_spectrum_of_flow_and_schemes():
    game = scalar_game(2, 0.3, 0.5)
    assert_allclose(np.sort(gs.spectrum(game).eigenvalues), np.sort(np.roots([1, 0.8, 0.15 + 4])))
    values = gs.spectrum(game, rule="jko_sequential", step_size=0.1, order="discriminator_first").multipliers
    assert_allclose(np.abs(values), 1 / np.sqrt(1.03 * 1.05))
    # so many small discriminator steps between two of the generator
    many = gs.spectrum(game, rule="explicit", step_size=0.1, discriminator_steps=4).multipliers
    hold = 0.95**4
    expected = np.linalg.eigvals([[0.97, -0.2], [2 * (1 - hold) / 0.5, hold]])
    assert_allclose(np.sort_complex(many), np.sort_complex(expected))


def test_games_keep_their_parameters():
    game = gs.QuadraticGame([[1, 0], [0, 2]], [[1], [2]], 1, [[0, 1]], initial=([1, 2], 3))
    assert_array_equal(game.initial, [1, 2, 3])
    assert gs.from_json(gs.to_json(game)) == game
    assert not game.A1.flags.writeable
    plain = scalar_game(1, 0, 0)
    assert_array_equal(plain.initial, [1, 0])
    assert gs.from_json(gs.to_json(plain)) == plain
    wide = plain.replace(A1=np.eye(2), B1=np.ones((2, 1)), B2=np.ones((1, 2)))
    assert_array_equal(wide.initial, [1, 1, 0])


@pytest.mark.parametrize(
    "change, name",
    [
        ({"A1": [[1, 2], [0, 1]]}, "A1"),
        ({"A1": np.nan}, "A1"),
        ({"A2": [1.0, 2.0]}, "A2"),
        ({"B1": [[1, 2]]}, "B1"),
        ({"B2": np.inf}, "B2"),
        ({"c1": [1, 2]}, "c1"),
        ({"c2": True}, "c2"),
        ({"generator_lr": 0}, "generator_lr"),
        ({"discriminator_lr": -1}, "discriminator_lr"),
        ({"initial": (1, 2, 3)}, "initial"),
        ({"initial": (1, np.nan)}, "initial"),
    ],
)
def test_bad_games_are_refused_by_name(change, name):
    with pytest.raises(gs.ParameterError, match=f"^{name} = "):
        gs.QuadraticGame(**{"A1": 1, "B1": 1, "A2": 1, "B2": -1, **change})


def test_bad_questions_are_refused():
    game = scalar_game(1, 1, 1)
    wrong = [
        lambda: gs.simulate_many(game, {"A1": np.ones((2, 2))}, "flow"),
        lambda: gs.simulate_many(game, {"A1": [1.0, np.nan]}, "flow"),
        lambda: gs.simulate_many(game, {"A3": [1.0]}, "flow"),
        lambda: gs.simulate(game, "jko", discriminator_steps=0),
        lambda: gs.simulate(game, "nash", order="generator_first"),
        lambda: gs.predict(game, step_size=0.1),
        lambda: gs.spectrum(game, rule="explict"),
        lambda: gs.spectrum(game, rule="explicit", momentum=0.5),
        lambda: gs.spectrum(game, rule="nash", discriminator_steps=2),
        lambda: gs.spectrum(game, step_size=0.1),
        lambda: gs.largest_step(game, "explict"),
        lambda: gs.largest_stable_step("explicit", 1.0, -1.0),
        lambda: gs.bilinear_modulus("jko", -0.1),
        lambda: gs.comparison_rate(1, 1, -0.1, 0),
        lambda: gs.comparison_rate(1, 1, 0, 0, 0),
        lambda: gs.scheme_error_bound(game, "jko", 0, 1),
        lambda: gs.saddle_gap(game, [1.0, 2.0], 0.0),
    ]
    for call in wrong:
        with pytest.raises(gs.ParameterError):
            call()
    for level in ("explicit", "nash"):
        with pytest.raises(gs.NotApplicable):
            gs.scheme_error_bound(game, level, 0.1, 1.0)
    with pytest.raises(gs.NotApplicable):
        gs.largest_step(game, "flow")
