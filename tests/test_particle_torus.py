"""Particles on a circle: engine against a naive transcription, linear theory, and the stability of collapse."""

import itertools
import json
import math
import warnings

import numpy as np
import pytest

import ganscope as gs
from ganscope.games.particle.torus import collapse
from ganscope.games.particle.torus.fourier import kernel_spectrum, rates
from ganscope.games.particle.torus.linear import blocks, jacobian, step_matrix
from ganscope.games.particle.torus.rest import moments, pairing, quantiles, rest
from ganscope.games.particle.torus.simulation import StepSizeWarning
from ganscope.games.particle.torus.wavenumbers import best_overall, waves


def naive_run(game, x, scheme, steps, dt):
    """The two schemes, written with matrices of complex exponentials."""
    k = np.arange(1, game.frequencies + 1)
    scaled = (game.bandwidth * k) ** 2
    kernel = {"gauss": np.exp(-scaled / 2), "power": (1 + scaled) ** -game.exponent, "flat": np.ones(len(k))}
    kernel = kernel[game.spectrum]
    centres = 2 * np.pi * np.arange(game.modes) / game.modes
    target = np.exp(-1j * np.outer(k, centres)).mean(axis=1) * np.exp(-((game.mode_width * k) ** 2) / 2)
    logistic = game.loss == "gan"
    slope = 0.5 if logistic else 1.0
    c = kernel * game.gradient_penalty * k**2 + game.regularization + (0.5 * kernel if logistic else 0.0)
    c = game.discriminator_lr * c
    h = dt if scheme == "first_order" else dt / 2
    decay = np.exp(-c * h)
    gain = np.array([(1 - p) / rate if rate > 0 else h for p, rate in zip(decay, c, strict=True)])

    def ascend(d, x):
        rho = np.exp(-1j * np.outer(k, x)).mean(axis=1)
        return decay * d + gain * slope * game.discriminator_lr * kernel * (target - rho)

    def velocity(x, d):
        g = slope * 2 * np.real((1j * k * d) @ np.exp(1j * np.outer(k, x)))
        return game.relative_mobility * (g - g.mean()) + game.mean_mobility * g.mean()

    d = np.zeros(len(k), complex)
    for _ in range(steps):
        d = ascend(d, x)
        if scheme == "first_order":
            x = x + dt * velocity(x, d)
        else:
            x = x + dt * velocity(x + dt / 2 * velocity(x, d), d)
            d = ascend(d, x)
    return x, d


def last(game, scheme, iterations, step_size, **more):
    run = gs.simulate(
        game, "particles", iterations=iterations, save_at=[iterations], step_size=step_size, scheme=scheme, **more
    )
    return run.positions[-1].values, run.discriminator[-1].values


def test_the_regression_case():
    # values worked out independently, given to 12 decimals
    i = np.arange(4)
    game = gs.TorusGAN(
        particles=4, frequencies=3, modes=2, mode_width=0.1, relative_mobility=0.05, mean_mobility=0.5,
        gradient_penalty=0.2, regularization=0.1, initial_positions=0.3 + 0.7 * i + 0.05 * i**2,
    )  # fmt: skip
    x, d = last(game, "first_order", 100, 0.05)
    np.testing.assert_allclose(x, [-0.171535015821, 0.420236408695, 2.370043306428, 3.343518689538], rtol=0, atol=1e-9)
    expected = [
        -0.194721011123 + 0.879204887889j, 0.504827479905 - 0.047531848164j, -0.096551784219 + 0.069093657078j
    ]  # fmt: skip
    np.testing.assert_allclose(d, expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("scheme", ["first_order", "second_order"])
@pytest.mark.parametrize(
    "changes",
    [
        dict(particles=2, frequencies=1, modes=1),
        dict(particles=63, frequencies=5, spectrum="flat", regularization=0.3, gradient_penalty=0.0),
        dict(particles=64, loss="gan"),
        dict(particles=65, spectrum="power", exponent=0.7, discriminator_lr=2.0),
        dict(particles=130, frequencies=40, relative_mobility=0.0, gradient_penalty=0.0),
        dict(particles=20, mean_mobility=0.0, modes=3, mode_width=0.4),
    ],
)
def test_engine_equals_a_naive_transcription(scheme, changes):
    # 60 steps: rounding grows by less than a thousand
    start = np.random.default_rng(1).normal(0.7, 2.0, changes["particles"])
    game = gs.TorusGAN(**changes, initial_positions=start)
    x, d = last(game, scheme, 60, 0.01)
    naive_x, naive_d = naive_run(game, start, scheme, 60, 0.01)
    np.testing.assert_allclose(x, naive_x, rtol=0, atol=1e-12)
    np.testing.assert_allclose(d, naive_d, rtol=0, atol=1e-12)


@pytest.mark.parametrize("scheme, order", [("first_order", 1), ("second_order", 2)])
def test_schemes_have_their_order(scheme, order):
    start = np.random.default_rng(2).normal(0.4, 0.8, 10)
    game = gs.TorusGAN(particles=10, modes=3, frequencies=4, initial_positions=start)
    ends = [last(game, scheme, n, 4.0 / n)[0] for n in (64, 128, 256, 512)]
    errors = [np.max(np.abs(b - a)) for a, b in itertools.pairwise(ends)]
    measured = np.log2(np.array(errors[:-1]) / errors[1:])
    assert np.all(np.abs(measured - order) < 0.2)


def test_a_batch_equals_single_runs_bit_for_bit():
    rng = np.random.default_rng(3)
    over = {
        "relative_mobility": rng.uniform(0.01, 0.1, 5),
        "mean_mobility": rng.uniform(0.1, 1, 5),
        "mode_width": np.array([0.05, 0.2, 0.05, 0.3, 0.0]),
        "bandwidth": rng.uniform(0.3, 0.8, 5),
        "discriminator_lr": rng.uniform(0.5, 2, 5),
        "gradient_penalty": rng.uniform(0, 1, 5),
        "regularization": np.array([0.0, 0.1, 0.2, 0.0, 0.5]),
        "exponent": rng.uniform(0.5, 2, 5),
    }
    base = gs.TorusGAN(particles=70, modes=3, frequencies=7, spectrum="power")
    for level in ("particles", "linear"):
        for more in ({"initial_std": rng.uniform(0.2, 2, 5)}, {"initial_positions": rng.normal(size=(5, 70))}):
            options = dict(horizon=1.0, replicas=2, seed=4)
            batch = gs.simulate_many(base, {**over, **more}, level, **options)
            for cell in range(5):
                game = base.replace(**{name: values[cell] for name, values in {**over, **more}.items()})
                single = gs.simulate(game, level, **options)
                for name in single.data_vars:
                    np.testing.assert_array_equal(batch[name].isel(cell=cell), single[name])


def test_records_do_not_change_a_run():
    game = gs.TorusGAN(particles=16, frequencies=4, modes=2)
    often = gs.simulate(game, "particles", iterations=300, seed=1)
    seldom = gs.simulate(game, "particles", iterations=300, save_at=[7, 300], seed=1)
    np.testing.assert_array_equal(often.positions.sel(time=seldom.time), seldom.positions)
    np.testing.assert_array_equal(often.discriminator.sel(time=seldom.time), seldom.discriminator)


def test_replicas_differ_by_their_random_starts():
    run = gs.simulate(gs.TorusGAN(particles=1000, initial_std=0.5), "particles", iterations=1, replicas=3)
    start = run.positions.isel(time=0).values
    # standard errors of mean and standard deviation of 3000 normals
    assert abs(start.mean()) < 4.5 * 0.5 / math.sqrt(3000)
    assert abs(start.std() - 0.5) < 4.5 * 0.5 / math.sqrt(6000)
    assert not np.any(start[0] == start[1])


# ------------------------------------------------------------------------------------------------ linear theory


def evenly_spaced(k, size, **changes):
    """An even circle, displaced in one wave; more modes than frequencies, so that the target looks even."""
    y = 2 * np.pi * np.arange(64) / 64
    given = dict(relative_mobility=0.5, mean_mobility=0.5, modes=64, frequencies=3) | changes
    return y, gs.TorusGAN(**given, initial_positions=y + size * np.cos(k * y))


@pytest.mark.parametrize(
    "k, penalty, expected", [(2, 1.0, [-0.7047, -1.7214]), (1, 0.5, [-0.2206 + 0.6266j, -0.2206 - 0.6266j])]
)
def test_eigenvalues_of_simulated_decay(k, penalty, expected):
    y, game = evenly_spaced(k, 1e-4, gradient_penalty=penalty)
    mode = int(k) - 1
    np.testing.assert_allclose(waves(game).eigenvalues[mode], expected, atol=5e-5)
    # the wave's amplitude obeys a recurrence whose roots are exp(eigenvalue * time)
    times = np.linspace(0, 4, 41)
    run = gs.simulate(game, "particles", horizon=4.0, save_at=times, step_size=0.0025)
    amplitude = (run.positions.values - y) @ np.cos(k * y)
    matrix = np.stack([amplitude[1:-1], amplitude[:-2]], axis=1)
    roots = np.roots([1, *-np.linalg.lstsq(matrix, amplitude[2:], rcond=None)[0]])
    measured = np.sort_complex(np.log(roots) / 0.1)
    np.testing.assert_allclose(measured, np.sort_complex(np.array(expected)), rtol=1e-3)


@pytest.mark.parametrize("loss", ["wgan", "gan"])
def test_closed_form_modes_are_eigenvalues_of_the_jacobian(loss):
    y, game = evenly_spaced(1, 0.0, gradient_penalty=0.3, regularization=0.07, frequencies=12, loss=loss)
    values = gs.spectrum(game, at=y).eigenvalues
    for pair in waves(game).eigenvalues:
        for value in pair:
            # each twice, for cosine and sine
            assert np.sum(np.abs(values - value) < 1e-9) >= 2
    assert np.sum(np.abs(values) < 1e-12) >= 64 - 24  # what the discriminator does not see


def test_penalties_that_damp_each_wavenumber_best():
    game = gs.TorusGAN(relative_mobility=0.5, frequencies=8)
    best = waves(game).best_gradient_penalty
    np.testing.assert_allclose(best[[0, 1, 2, 3]], [1.5054, 0.9079, 0.8273, 0.9611], atol=5e-5)
    assert best[7] == pytest.approx(9.65, abs=5e-3)
    power = waves(game.replace(spectrum="power")).best_gradient_penalty
    np.testing.assert_allclose(power[[0, 1, 2, 3, 7]], [1.5811, 1.0, 0.8498, 0.7906, 0.7289], atol=5e-5)
    three = game.replace(frequencies=3)
    penalty, rate, highest = best_overall(three, waves(three))
    # the exact optimum lies where the rates of wavenumbers 1 and 3 meet: next to 1.1555 and 0.5096, found on a grid
    assert highest == 3
    assert (penalty, rate) == (pytest.approx(1.1555, abs=3e-4), pytest.approx(0.5096, abs=3e-4))
    tried = [float(np.min(waves(three.replace(gradient_penalty=g)).rates)) for g in np.linspace(1.1, 1.2, 201)]
    assert max(tried) <= rate + 1e-12
    # rates at the best penalty, half and twice that: sqrt(ab), half of it, 2 - sqrt(3) of it
    for k in range(3):
        at = [float(waves(three.replace(gradient_penalty=f * best[k])).rates[k]) for f in (1, 0.5, 2)]
        frequency = waves(three).frequency[k]
        # at the best penalty both eigenvalues meet, and are good to the root of rounding
        np.testing.assert_allclose(np.array(at) / frequency, [1, 0.5, 2 - math.sqrt(3)], rtol=1e-7)


def test_time_to_match_is_shortest_at_an_intermediate_penalty():
    # squared mismatch down by 1e6 from a wave of each kind with amplitude 0.3; half-way steps resolve a factor 1.5
    y = 2 * np.pi * np.arange(64) / 64
    start = y + 0.3 * (np.cos(y) + np.cos(2 * y) / 2 + np.cos(3 * y) / 3)
    game = gs.TorusGAN(relative_mobility=0.5, mean_mobility=0.5, modes=64, frequencies=3, initial_positions=start)
    penalties = np.geomspace(0.1, 9.05, 9)
    run = gs.simulate_many(
        game,
        {"gradient_penalty": penalties},
        "particles",
        horizon=200,
        step_size=0.02,
        save_at=np.linspace(0, 200, 801),
    )
    k = np.arange(1, 4)
    rho = np.exp(-1j * k[:, None] * run.positions.values[:, :, None, :]).mean(axis=-1)
    mismatch = np.sum(kernel_spectrum("gauss", k.astype(float), 0.5, 1.0) * np.abs(rho) ** 2, axis=-1)
    above = mismatch > 1e-6 * mismatch[:, :1]
    times = run.time.values[np.array([np.flatnonzero(a)[-1] for a in above])]
    fastest = int(np.argmin(times))
    assert 1 / 1.5 < penalties[fastest] / 1.1555 < 1.5 * math.sqrt(penalties[1] / penalties[0])
    assert np.all(np.diff(times[: fastest + 1]) < 0)
    assert np.all(np.diff(times[fastest:]) > 0)
    assert times[0] > 5 * times[fastest]
    assert times[-1] > 5 * times[fastest]


@pytest.mark.parametrize("scheme", ["first_order", "second_order"])
@pytest.mark.parametrize("particles", [5, 32])
def test_multipliers_are_those_of_the_schemes(scheme, particles):
    """A step matrix against differences of the naive scheme: at a matched and at a balanced rest."""
    game = gs.TorusGAN(particles=particles, modes=2, frequencies=3, mode_width=0.2, regularization=0.1)
    found = rest(game)
    assert (found.mismatch == 0) == (particles == 32)
    part = blocks(game, found.positions, found.coefficients)
    exact = step_matrix(part, scheme, 0.1)
    # a second step of 1e-3 and the flow agree to first order in it
    small = (step_matrix(part, scheme, 1e-4) - np.eye(len(exact))) / 1e-4
    np.testing.assert_allclose(small, jacobian(part), atol=1e-3)
    radius = np.max(np.abs(np.linalg.eigvals(exact)))
    assert radius <= 1 + 1e-12
    multipliers = gs.spectrum(game, rule=scheme, step_size=0.1).multipliers
    assert np.abs(multipliers[0]) == pytest.approx(radius, abs=1e-12)
    np.testing.assert_array_equal(
        gs.spectrum(game, rule="alternating", scheme=scheme, step_size=0.1).multipliers, multipliers
    )


@pytest.mark.parametrize("particles", [5, 32, 64])
def test_linear_level_is_the_limit_of_small_displacements(particles):
    game = gs.TorusGAN(particles=particles, modes=2, frequencies=3, mode_width=0.2, regularization=0.1)
    found = rest(game)
    direction = np.random.default_rng(5).normal(size=particles)
    times = [0.0, 0.5, 3.0, 10.0]
    errors = []
    if found.mismatch == 0:
        for size in (2e-3, 1e-3):
            near = game.replace(initial_positions=found.positions + size * direction)
            linear = gs.simulate(near, "linear", save_at=times)
            particle = gs.simulate(near, "particles", save_at=times, step_size=0.001)
            assert float(abs(linear.discriminator - particle.discriminator).max()) < size**1.5
            errors.append(float(abs(linear.positions - particle.positions).max()))
        assert errors[0] < 1e-3
        assert 3 < errors[0] / errors[1] < 5  # quadratic in the displacement
    else:  # the discriminator starts at 0, which is no small displacement: check exp(A t) by its own derivative
        near = game.replace(initial_positions=found.positions + 1e-3 * direction)
        run = gs.simulate(near, "linear", save_at=[0.0, 1e-6, 2e-6])
        state = np.concatenate([run.positions.values, run.discriminator.real, run.discriminator.imag], axis=1)
        rest_state = np.concatenate([found.positions, found.coefficients.real, found.coefficients.imag])
        matrix = jacobian(blocks(game, found.positions, found.coefficients))
        np.testing.assert_allclose((state[2] - state[0]) / 2e-6, matrix @ (state[1] - rest_state), atol=1e-7)


def test_linear_level_follows_random_starts_in_any_order():
    game = gs.TorusGAN(particles=32, modes=2, frequencies=3, mode_width=0.5, initial_std=3.0)
    run = gs.simulate(game, "linear", horizon=2.0, replicas=2, save_at=[0.0, 1.0, 2.0])
    for replica in range(2):
        start = run.positions.isel(replica=replica, time=0).values
        places = rest(game).positions
        index, turns = pairing(places, start)
        own = places[index] + turns
        assert sorted(index) == list(range(32))
        matrix = jacobian(blocks(game, own, np.zeros(3, complex)))
        values, vectors = np.linalg.eig(matrix)
        state = np.concatenate([start - own, np.zeros(6)])
        at_two = np.real(vectors @ (np.exp(2 * values) * np.linalg.solve(vectors, state)))
        measured = run.positions.isel(replica=replica, time=2).values - own
        np.testing.assert_allclose(measured, at_two[:32], atol=1e-9)


@pytest.mark.parametrize("modes, width", [(1, 0.3), (2, 0.1), (3, 0.7), (5, 4.0), (4, 0.0), (2, 1e3)])
def test_quantiles_have_the_moments_of_the_target(modes, width):
    game = gs.TorusGAN(modes=modes, mode_width=width, frequencies=4)
    points = quantiles(modes, width, 60_000)
    # midpoint rule, whose error comes from the tails; 60000 is a multiple of all numbers of modes
    np.testing.assert_allclose(moments(points, np.arange(1.0, 5.0)), rates(game).target, atol=3e-5)


def test_rest_is_where_nothing_moves():
    for changes in (dict(), dict(particles=24), dict(modes=3, particles=20), dict(particles=5, modes=2)):
        game = gs.TorusGAN(**changes)
        found = rest(game)
        k = np.arange(1, game.frequencies + 1)
        slope = 2 * np.real(np.exp(1j * found.positions[:, None] * k) @ (1j * k * found.coefficients))
        rate = rates(game)
        drift = rate.drive * (rate.target - moments(found.positions, rate.wavenumber))
        drift = drift - rate.friction * found.coefficients
        assert np.max(np.abs(slope)) < 1e-8
        assert np.max(np.abs(drift)) < 1e-9


def test_nothing_rests_without_match_and_friction():
    game = gs.TorusGAN(particles=3, gradient_penalty=0.0)
    with pytest.raises(gs.NotApplicable, match="cannot match the target"):
        gs.spectrum(game)
    assert gs.predict(game.replace(initial_std=2.0)).outcome == "undecided"


# ------------------------------------------------------------------------------------------------ collapse


def row(modes=2, mode_width=0.1, spectrum="gauss", bandwidth=0.5, gradient_penalty=0.0, regularization=0.0):
    return gs.TorusGAN(
        modes=modes, mode_width=mode_width, spectrum=spectrum, bandwidth=bandwidth, gradient_penalty=gradient_penalty,
        regularization=regularization,
    )  # fmt: skip


@pytest.mark.parametrize("scheme", ["first_order", "second_order"])
@pytest.mark.parametrize("loss", ["wgan", "gan"])
def test_orbits_equal_those_of_a_cloud_at_one_point(scheme, loss):
    """The exponent along a short orbit, against two particles that start together and their discriminator."""
    game = gs.TorusGAN(
        particles=2, modes=2, mean_mobility=0.6, regularization=0.5, loss=loss, initial_positions=[0.2, 0.2]
    )
    steps = 30
    run = gs.simulate(game, "particles", iterations=steps, scheme=scheme)
    k = np.arange(1, 13)
    slope = 0.5 if loss == "gan" else 1.0

    def bend(x, d):
        return -2 * slope * np.real(np.sum(k**2 * d * np.exp(1j * k * x)))

    x, d = run.positions.values[:, 0], run.discriminator.values
    if scheme == "first_order":
        bends = [bend(x[n], d[n + 1]) for n in range(steps)]
    else:
        friction, drive = rates(game).friction, rates(game).drive
        decay = np.exp(-friction * 0.005)
        gain = drive * (1 - decay) / friction
        bends = []
        for n in range(steps):
            half = decay * d[n] + gain * (rates(game).target - np.exp(-1j * k * x[n]))
            middle = x[n] + 0.005 * 0.6 * slope * 2 * np.real(np.sum(1j * k * half * np.exp(1j * k * x[n])))
            bends.append(bend(middle, half))
    expected = np.mean(bends[10:])
    measured = gs.transverse_exponent(game, scheme=scheme, horizon=0.3, step_size=0.01, starts=[0.2])
    assert measured == pytest.approx(expected, rel=1e-9)


def test_exponents_of_the_worked_example():
    game = row(regularization=0.5)
    assert gs.transverse_exponent(game, 0.6) == pytest.approx(1.44, abs=0.05)
    assert gs.transverse_exponent(game, 1.6) == pytest.approx(-0.66, abs=0.02)
    # the scheme of first order over-estimates in proportion to its step: here while the sampling error is far below
    exact = gs.transverse_exponent(game, 1.6, step_size=0.01)
    excess = [gs.transverse_exponent(game, 1.6, scheme="first_order", step_size=h) - exact for h in (0.04, 0.02, 0.01)]
    np.testing.assert_allclose(np.divide(excess[:2], excess[1:]), 2, atol=0.4)


@pytest.mark.slow
@pytest.mark.parametrize(
    "game, expected, tolerance",
    [
        (row(regularization=0.5), 1.18, 0.12),
        (row(regularization=1.0), 4.70, 0.12),
        (row(regularization=0.5, mode_width=0.3), 2.34, 0.12),
        (row(regularization=0.5, mode_width=0.5), 9.0, 0.12),
        (row(regularization=0.5, modes=4), 2.73, 0.12),
        (row(gradient_penalty=0.3), 1.8, 0.15),
        (row(gradient_penalty=0.6), 7.6, 0.15),
        (row(gradient_penalty=0.3, bandwidth=0.7), 1.15, 0.12),
        (row(gradient_penalty=0.3, spectrum="power"), 1.50, 0.12),
    ],
)
def test_critical_mobilities_of_the_table(game, expected, tolerance):
    assert gs.critical_mobility(game) == pytest.approx(expected, rel=tolerance)


def test_critical_mobility_grows_with_width_and_number_of_modes():
    base = gs.critical_mobility(row(regularization=0.5))
    assert base == pytest.approx(1.18, rel=0.05)
    assert base < gs.critical_mobility(row(regularization=0.5, mode_width=0.3))
    assert base < gs.critical_mobility(row(regularization=0.5, modes=4))


def test_critical_mobility_scales_with_the_square_of_friction():
    game = row(regularization=0.5)
    # exact when mobilities grow fourfold and times halve, and when the discriminator's speed rescales time
    for mobility in (0.6, 1.6):
        slow = gs.transverse_exponent(game, mobility, horizon=20.0, step_size=0.01)
        twice = gs.transverse_exponent(game.replace(regularization=1.0), 4 * mobility, horizon=10.0, step_size=0.005)
        assert twice == pytest.approx(slow / 2, rel=1e-6)
        faster = gs.transverse_exponent(game.replace(discriminator_lr=3.0), 3 * mobility)
        assert faster == pytest.approx(gs.transverse_exponent(game, mobility), rel=0.2)
    assert gs.critical_mobility(game.replace(regularization=1.0)) / gs.critical_mobility(game) == pytest.approx(
        4, abs=0.8
    )


@pytest.mark.slow
def test_spread_of_a_collapsed_cloud_grows_at_the_predicted_rate():
    # first-order scheme on both sides; the start is small enough to stay linear for 200 units of time
    game = row(regularization=0.5).replace(particles=32, relative_mobility=0.01)
    mobilities = np.array([0.2, 0.8, 1.4, 4.0])
    expected = [0.0487, 0.01352, -0.00226, -0.0142]
    starts = np.stack([0.2 + 0.09 * j + 1e-6 * np.random.default_rng(6).normal(size=32) for j in range(6)])
    for mobility, value in zip(mobilities, expected, strict=True):
        predicted = 0.01 * gs.transverse_exponent(game, mobility, scheme="first_order", step_size=0.01)
        run = gs.simulate_many(
            game.replace(mean_mobility=mobility), {"initial_positions": starts}, "particles", horizon=200.0,
            scheme="first_order", save_at=np.linspace(0, 200, 601),
        )  # fmt: skip
        spread = run.positions.std("particle").values
        third = len(run.time) // 3
        growth = np.mean(np.log(spread[:, -1] / spread[:, third])) / float(run.time[-1] - run.time[third])
        assert predicted == pytest.approx(value, rel=0.12)
        assert growth == pytest.approx(predicted, rel=0.1)


def test_games_without_a_critical_mobility_say_so():
    free = collapse.critical_mobility(row())
    assert free.mean_mobility == 0
    assert "without gradient_penalty and regularization" in free.reason
    blind = collapse.critical_mobility(gs.TorusGAN(modes=13, frequencies=2, regularization=1.0), horizon=20.0)
    assert blind.mean_mobility == math.inf
    assert "torn apart" in blind.reason


# ------------------------------------------------------------------------------------------------ predictions, verdicts


@pytest.mark.parametrize(
    "factor, std, outcome",
    [(0.4, 0.01, "converged"), (2.0, 0.01, "collapsed"), (2.0, 2.0, "converged"), (0.4, 2.0, "converged")],
)
def test_predictions_agree_with_runs(factor, std, outcome):
    game = row(regularization=0.5, modes=3).replace(initial_std=std)
    game = game.replace(mean_mobility=factor * gs.critical_mobility(game))
    prediction = gs.predict(game)
    assert prediction.outcome == outcome
    assert (prediction.detail == "mode_collapse") == (outcome == "collapsed")
    assert gs.classify(gs.simulate(game, "particles", horizon=300, replicas=3)).outcome == outcome
    assert prediction.thresholds["critical_mobility"] * factor == pytest.approx(game.mean_mobility, rel=1e-6)
    assert prediction.margin == pytest.approx(-math.log(factor)) or std == 2.0
    assert not prediction.near_critical
    assert ("bistability" in " ".join(prediction.reasons)) == (factor == 2.0 and std == 2.0)
    json.dumps(prediction.to_dict(), allow_nan=False)


def test_predictions_near_the_transition_and_between_the_ends():
    game = row(regularization=0.5)
    game = game.replace(mean_mobility=1.05 * gs.critical_mobility(game), initial_std=0.01)
    assert gs.predict(game).near_critical
    middle = gs.predict(game.replace(mean_mobility=3.0, initial_std=0.7))
    assert (middle.outcome, middle.detail) == ("undecided", "bistable")


def test_other_predictions():
    swinging = gs.predict(gs.TorusGAN(gradient_penalty=0.0), level="linear")
    assert (swinging.outcome, swinging.detail) == ("oscillating", "orbiting")
    assert "40 of 64 directions are undetectable" in " ".join(swinging.reasons)
    settled = gs.predict(gs.TorusGAN(), level="linear")
    assert settled.outcome == "converged"
    assert settled.equilibria[0].label == "matched"
    assert settled.best["gradient_penalty"] == 2 * settled.best["gradient_penalty_without_half"]
    rigid = gs.predict(gs.TorusGAN(relative_mobility=0.0, initial_std=0.01))
    assert (rigid.outcome, rigid.detail) == ("collapsed", "mode_collapse")
    assert gs.TorusGAN(relative_mobility=0.0).coupling_number == math.inf
    with pytest.raises(gs.ParameterError, match="rule"):
        gs.predict(gs.TorusGAN(), rule="simultaneous")
    with pytest.raises(gs.ParameterError, match="step_size"):
        gs.predict(gs.TorusGAN(), level="linear", step_size=0.1)


def test_observables_use_distances_along_the_circle():
    # four particles on each of two modes, some of them turns away: everything is covered
    start = np.repeat([0.0, np.pi], 4) + 2 * np.pi * np.arange(-4, 4)
    game = gs.TorusGAN(particles=8, modes=2, mode_width=0.01, initial_positions=start)
    run = gs.simulate(game, "particles", iterations=1)
    first = run.isel(time=0)
    assert float(first.coverage) == 1
    assert float(first.quality) == 1
    assert float(first.entropy) == pytest.approx(1)
    assert float(first.spread) == pytest.approx(1)
    np.testing.assert_allclose(first.occupancy, 0.5)
    together = gs.simulate(game.replace(initial_positions=np.full(8, 7.0)), "particles", iterations=1).isel(time=0)
    assert float(together.spread) == pytest.approx(0, abs=1e-12)
    assert float(together.soft_coverage) == pytest.approx(0.5, abs=0.05)


def test_a_target_that_is_a_point_has_verdicts():
    game = gs.TorusGAN(particles=8, modes=1, mode_width=0.0, initial_std=0.05, regularization=0.5)
    assert gs.classify(gs.simulate(game, "particles", horizon=100)).outcome == "converged"


# ------------------------------------------------------------------------------------------------ parameters


@pytest.mark.parametrize(
    "name, value, text",
    [
        ("particles", 1, "an integer >= 2"),
        ("particles", 2.5, "an integer >= 2"),
        ("relative_mobility", -0.1, ">= 0"),
        ("mean_mobility", math.nan, ">= 0"),
        ("modes", 0, "an integer >= 1"),
        ("mode_width", -1, ">= 0"),
        ("spectrum", "gaussian", "Did you mean 'gauss'"),
        ("bandwidth", 0, "> 0"),
        ("frequencies", 0, "an integer >= 1"),
        ("discriminator_lr", 0, "> 0"),
        ("gradient_penalty", math.inf, ">= 0"),
        ("regularization", -1e-9, ">= 0"),
        ("exponent", 0, "> 0"),
        ("loss", "logistic", "one of gan, wgan"),
        ("initial_std", 0, "> 0"),
        ("initial_positions", [0.0, 1.0], r"shape \(64,\)"),
        ("initial_positions", [math.nan] * 64, "without NaN"),
    ],
)
def test_bad_parameters(name, value, text):
    with pytest.raises(gs.ParameterError, match=text) as caught:
        gs.TorusGAN(**{name: value})
    assert caught.value.name == name


def test_other_bad_arguments():
    with pytest.raises(gs.ParameterError, match="mean_mobility"):
        gs.TorusGAN(relative_mobility=0, mean_mobility=0)
    game = gs.TorusGAN(particles=4)
    with pytest.raises(gs.ParameterError, match="mean_mobility"):
        gs.simulate_many(
            game, {"mean_mobility": [1.0, 0.0], "relative_mobility": [1.0, 0.0]}, "particles", iterations=1
        )
    with pytest.raises(gs.ParameterError, match=r"\(cells, 4\)"):
        gs.simulate_many(game, {"initial_positions": np.zeros((3, 5))}, "particles", iterations=1)
    with pytest.raises(gs.ParameterError, match="over"):
        gs.simulate_many(game, {"spectrum": [1, 2]}, "particles", iterations=1)
    with pytest.raises(gs.ParameterError, match="second_order"):
        gs.simulate(game, "particles", iterations=1, scheme="third_order")
    with pytest.raises(gs.ParameterError, match="starts"):
        gs.transverse_exponent(game, starts=[])
    with pytest.raises(gs.ParameterError, match="at"):
        gs.spectrum(game, at=np.zeros(5))
    with pytest.raises(gs.NotApplicable, match="at rest"):
        gs.spectrum(game, at=(np.zeros(4), np.full(12, 1j)), rule="first_order")


def test_long_steps_warn_and_too_long_ones_are_refused():
    game = gs.TorusGAN(particles=4)
    k = np.arange(1, 13)
    fastest = math.sqrt(0.5 * np.sum(2 * k**2 * np.exp(-((0.5 * k) ** 2) / 2)))
    with pytest.warns(StepSizeWarning, match="step_size"):
        gs.simulate(game, "particles", iterations=1, step_size=0.51 / fastest)
    with pytest.raises(gs.ParameterError, match="step_size"):
        gs.simulate(game, "particles", iterations=1, step_size=2.01 / fastest)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        gs.simulate(game, "particles", iterations=1, step_size=0.49 / fastest)


def test_a_game_survives_json():
    game = gs.TorusGAN(particles=3, spectrum="power", exponent=0.5, initial_positions=[0.1, 2.0, -5.0], loss="gan")
    assert gs.from_json(gs.to_json(game)) == game
    assert game.spectrum == "power"
    assert game.replace(spectrum="flat").spectrum == "flat"


def test_a_critical_mobility_far_beyond_the_usual_is_found():
    game = gs.TorusGAN(modes=8, gradient_penalty=0.0, regularization=0.005)
    critical = gs.critical_mobility(game)
    assert 0.05 < critical < 0.5
    # orbits of the length that goes with this weak friction
    assert (
        gs.transverse_exponent(game, critical / 2, horizon=4000.0)
        > 0
        > gs.transverse_exponent(game, 2 * critical, horizon=4000.0)
    )
    prediction = gs.predict(game.replace(initial_std=0.02))
    assert prediction.outcome == gs.Outcome.COLLAPSED
    assert prediction.margin < 0


def test_a_cloud_that_has_become_a_point_rests():
    game = gs.TorusGAN(particles=8, modes=1, mode_width=0.0)
    assert gs.classify(gs.simulate(game, "particles")).outcome == gs.Outcome.CONVERGED


def test_without_friction_a_prediction_is_near_critical():
    assert gs.predict(gs.TorusGAN(gradient_penalty=0.0, initial_std=2.0)).near_critical


def test_unknown_options_of_the_collapse_are_named():
    for question in (gs.transverse_exponent, gs.critical_mobility):
        with pytest.raises(gs.ParameterError, match="horizon"):
            question(gs.TorusGAN(), horizn=3.0)


def test_both_names_of_the_flow_are_known():
    assert gs.predict(gs.TorusGAN(), rule="flow").outcome == gs.predict(gs.TorusGAN()).outcome
