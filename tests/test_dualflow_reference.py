"""The slow reference for `FeatureGAN` reproduces numbers obtained elsewhere, and limits known in closed form."""

import numpy as np
import pytest
import reference_dualflow as ref
from scipy.integrate import solve_ivp
from scipy.optimize import brentq

MODES = np.array([[-2.0], [2.0]])


def benchmark(speed=1.0):
    """A Gaussian kernel of bandwidth 1 on a circle of length 16; from N(1.5, 0.5^2) towards N(0, 1)."""
    return ref.Reference(ref.Fourier(1.0, 8.0), ref.normal_quantiles(64), eta=(1.0, speed))


START = ref.normal_quantiles(64, 1.5, 0.5)


def test_flow_of_the_kernel_gan():
    game = benchmark()
    points, critic = (part[-1] for part in ref.flow(game, START, np.zeros(45), np.array([0.0, 2.0])))
    measured = points.mean(), points.std(), ref.w2_line(points, game.target), game.mmd(points), np.linalg.norm(critic)
    # all ten digits: integration errors are 1e-12
    assert measured == pytest.approx((1.1832720976, 0.8002355076, 1.2065883536, 0.5197209039, 0.5430220532), abs=2e-10)


@pytest.mark.parametrize("scheme", ["explicit", "explicit_seq", "jko", "jko_seq", "nash"])
def test_schemes_converge_to_the_flow_at_first_order(scheme):
    game = benchmark()
    end = ref.flow(game, START, np.zeros(45), np.array([0.0, 2.0]))[0][-1]
    errors = [ref.w2_line(ref.run(game, scheme, START, np.zeros(45), 2 / n, n)[0][-1], end) for n in (40, 80)]
    assert 0.97 < np.log2(errors[0] / errors[1]) < 1.04


@pytest.mark.parametrize("order", ["generator_first", "discriminator_first"])
def test_several_critic_steps_are_a_faster_critic(order):
    end = ref.flow(benchmark(3.0), START, np.zeros(45), np.array([0.0, 2.0]))[0][-1]
    options = {"order": order, "n_disc": 3}
    errors = [
        ref.w2_line(ref.run(benchmark(), "jko_seq", START, np.zeros(45), 2 / n, n, **options)[0][-1], end)
        for n in (40, 80)
    ]
    assert 0.8 < np.log2(errors[0] / errors[1]) < 1.2


def test_fast_critic_approaches_its_limit():
    limit = ref.fast_flow(benchmark(), START, np.array([0.0, 1.0]))[-1]
    for speed, distance in ((10, 0.014204), (40, 0.003666)):
        game = benchmark(speed)
        end = ref.flow(game, START, game.best(START), np.array([0.0, 1.0]))[0][-1]
        assert ref.w2_line(end, limit) == pytest.approx(distance, abs=1e-6)  # the printed digits


def test_gram_matrix_of_slopes():
    first = ref.Fourier(1.0, 8.0).first(ref.normal_quantiles(32))
    squares = np.linalg.eigvalsh(np.einsum("npd,nqd->pq", first, first) / 32)[::-1]
    assert squares[:3] == pytest.approx((0.39779531, 0.35579579, 0.11127886), abs=1e-8)


def test_two_runs_of_a_confined_kernel_gan_approach_each_other():
    game = ref.Reference(ref.Fourier(2.0, 8.0), ref.normal_quantiles(32, 0.5, 0.7), eta=(1.0, 2.0), ridge=1.0)
    times = np.linspace(0, 6, 61)
    phi = game.features.phi(np.ones((1, 1)))[0]
    x, a = ref.flow(game, ref.normal_quantiles(32, 2, 0.3), np.zeros(len(phi)), times)
    z, b = ref.flow(game, ref.normal_quantiles(32, -1, 1.2), 0.3 * phi, times)
    apart = np.mean((x - z) ** 2, axis=(1, 2)) + np.sum((a - b) ** 2, axis=1) / 2
    assert -np.log(apart[-1] / apart[0]) / 6 == pytest.approx(2.3254, abs=1e-4)
    largest = max(np.linalg.norm(a, axis=1).max(), np.linalg.norm(b, axis=1).max())
    assert largest == pytest.approx(0.34230, abs=1e-5)


def test_quadratic_critic():
    game = ref.Reference(ref.Quadratic(1), ref.normal_quantiles(64), rho=0.5)
    x, a = (part[-1] for part in ref.flow(game, ref.normal_quantiles(64, 0.8, 0.5), np.zeros(2), np.array([0, 4.0])))
    assert (x.mean(), x.std()) == pytest.approx((-0.4014375918, 1.0750758276), abs=1e-9)
    assert a == pytest.approx((-0.2877924, -0.1043192), abs=1e-7)
    assert ref.w2_line(x, game.target) == pytest.approx(0.4103313969, abs=1e-9)


def test_sobolev_critic():
    game = ref.Reference(ref.Sobolev(6.0, 241), ref.normal_quantiles(32))
    start, times = ref.normal_quantiles(32, 1.5, 0.5), np.array([0, 2.0])
    x = ref.flow(game, start, np.zeros(241), times, 1e-8, 1e-10)[0][-1]
    measured = x.mean(), x.std(), ref.w2_line(x, game.target), game.mmd(x)
    assert measured == pytest.approx((1.029313, 0.704303, 1.071350, 0.573773), abs=1e-5)
    assert ref.energy_distance_squared(x, game.target) ** 0.5 == pytest.approx(0.574260, abs=1e-5)


@pytest.mark.parametrize("scheme", ["explicit", "jko_seq"])
def test_history_is_the_kernel_critic(scheme):
    features, x, a = ref.Fourier(1.0, 8.0), START, np.zeros(45)
    game, history = benchmark(), ref.History(ref.normal_quantiles(64))
    assert features.phi(x) @ features.phi(x[:5]).T == pytest.approx(np.exp(-np.square(x - x[:5, 0]) / 2), abs=1e-13)
    z, state = x, []
    for _ in range(5):
        x, a = ref.step(game, scheme, x, a, 0.1)
        z, state = ref.step(history, scheme, z, state, 0.1)
    assert np.abs(x - z).max() < 1e-12


@pytest.mark.parametrize(
    "features",
    [ref.Linear(2), ref.Quadratic(2), ref.Fourier(0.7, 5.0), ref.Random.drawn(2, 5, 0.8, 3), ref.Sobolev(3.0, 13)],
)
def test_derivatives_of_features(features):
    rng, d = np.random.default_rng(0), features.axes
    x, h = rng.uniform(-2, 2, size=(6, d)), 1e-5
    for axis in range(d):
        shift = h * np.eye(d)[axis]
        slope = (features.phi(x + shift) - features.phi(x - shift)) / (2 * h)
        assert slope == pytest.approx(features.first(x)[:, :, axis], abs=1e-7)
        bend = (features.first(x + shift) - features.first(x - shift)) / (2 * h)
        assert bend == pytest.approx(features.second(x)[:, :, :, axis], abs=1e-5)


def test_entropic_steps_follow_the_gaussian_ones():
    def gaussian(std, tau, steps, eps=0.5):
        for _ in range(steps):
            std = (std + np.sqrt(std**2 + 4 * tau * eps * (1 + tau))) / (2 * (1 + tau))
        return std

    assert gaussian(0.3, 0.02, 100) == pytest.approx(0.7012491844, abs=1e-10)
    assert gaussian(0.3, 0.05, 40) == pytest.approx(0.7004267694, abs=1e-10)
    found = {}
    for count in (100, 200, 400):
        game = ref.Reference(ref.Linear(1), np.zeros((1, 1)), ridge=1.0, entropy=0.5)
        x = ref.normal_quantiles(count, 0.0, 0.3)
        for _ in range(40):
            x = game.prox(x, np.zeros(1), 0.05)
        found[count] = x.std()
    assert found[200] == pytest.approx(0.6986712377, abs=1e-9)
    assert abs(found[100] / gaussian(0.3, 0.05, 40) - 1) < 0.007
    assert abs(found[400] / gaussian(0.3, 0.05, 40) - 1) < 0.003


def test_energy_distance_steps_on_a_line():
    x, u = np.full(50, 0.3), ref.levels(50)
    for n in range(1, 6):
        x = ref.energy_quantile_step(lambda z: np.clip(z, 0, 1), x, 0.05)
        assert x == pytest.approx(u + (0.3 - u) / 1.05**n, abs=1e-14)


def test_energy_distance_flow_opens_the_gap():
    target, u = ref.bimodal_quantiles(64), ref.levels(64)
    flow = solve_ivp(
        lambda t, z: u - ref.mixture_cdf(z), (0, 40), np.zeros(64), "DOP853", [10, 20, 40], rtol=1e-10, atol=1e-10
    ).y.T
    assert [ref.coverage(x[:, None], MODES, 0.75) for x in flow] == [0.75, 0.875, 0.9375]
    assert [ref.w2_line(x, target) for x in flow] == pytest.approx([0.56140, 0.36106, 0.23386], abs=1e-5)


@pytest.mark.parametrize("ell, mode, sigma", [(0.5, 2.0, 2.564039), (1.0, 1.997881, 0.545655)])
def test_mode_of_the_smoothed_target(ell, mode, sigma):
    y = ref.bimodal_quantiles(64)[:, 0]

    def kernel(z):
        return np.exp(-((z - y) ** 2) / (2 * ell**2))

    place = brentq(lambda z: np.mean((z - y) * kernel(z)), 1.5, 2.5, xtol=1e-13)
    bend = np.mean(((place - y) ** 2 / ell**4 - 1 / ell**2) * kernel(place))
    assert (place, 1 / ell**2 + bend) == pytest.approx((mode, sigma), abs=1e-6)


@pytest.mark.parametrize(
    "ell, start, covered, distance",
    [
        (0.5, (2, 0.1), 0.594, 2.329),
        (1.0, (2, 0.1), 0.703, 2.020),
        (2.0, (2, 0.1), 0.625, 0.837),
        (0.5, (0, 2), 0.906, 0.539),
        (1.0, (0, 2), 0.906, 0.456),
        (2.0, (0, 2), 0.688, 0.561),
    ],
)
def test_collapse_by_bandwidth(ell, start, covered, distance):
    game = ref.Reference(ref.Fourier(ell, 8.0), ref.bimodal_quantiles(64), eta=(1.0, 20.0))
    x = ref.run(game, "explicit", ref.normal_quantiles(64, *start), np.zeros(game.features.p), 0.02, 2000)[0][-1]
    assert ref.coverage(x, MODES, 0.75) == pytest.approx(covered, abs=5.1e-4)
    assert ref.w2_line(x, game.target) == pytest.approx(distance, abs=6e-4)


def test_collapse_with_a_sobolev_critic():
    game = ref.Reference(ref.Sobolev(8.0, 321), ref.bimodal_quantiles(64), eta=(1.0, 20.0))
    x = ref.run(game, "explicit_seq", ref.normal_quantiles(64, 2, 0.1), np.zeros(321), 0.02, 2000)[0][-1]
    assert ref.coverage(x, MODES, 0.75) == pytest.approx(0.922, abs=5e-4)
    assert ref.w2_line(x, game.target) == pytest.approx(0.518, abs=6e-4)


@pytest.mark.parametrize("eps, covered, distance", [(0.0, 0.672, 2.281), (0.05, 0.703, 2.406)])
def test_entropy_is_no_cure(eps, covered, distance):
    game = ref.Reference(ref.Fourier(0.5, 8.0), ref.bimodal_quantiles(64), eta=(1.0, 5.0), entropy=eps)
    x = ref.run(game, "jko_seq", ref.normal_quantiles(64, 2, 0.1), np.zeros(game.features.p), 0.05, 1600)[0][-1]
    assert ref.coverage(x, MODES, 0.75) == pytest.approx(covered, abs=5.1e-4)
    assert ref.w2_line(x, game.target) == pytest.approx(distance, abs=6e-4)


@pytest.mark.parametrize(
    "bandwidths, covered, distance",
    [((0.5, 0.5), 0.594, 2.330), ((4.0, 0.5), 0.969, 0.153), ((3.0, 0.3), 0.969, 0.342)],
)
def test_coarse_to_fine(bandwidths, covered, distance):
    game = ref.Reference(None, ref.bimodal_quantiles(64))
    x = ref.scheduled(game, lambda ell: ref.Fourier(ell, 8.0), ref.normal_quantiles(64, 2, 0.1), 0.05, 800, *bandwidths)
    assert ref.coverage(x, MODES, 0.75) == pytest.approx(covered, abs=5.1e-4)
    assert ref.w2_line(x, game.target) == pytest.approx(distance, abs=6e-4)


def test_sum_of_bandwidths():
    y, x = ref.bimodal_quantiles(64), ref.normal_quantiles(64, 2, 0.1)
    games = [ref.Reference(ref.Fourier(ell, 8.0), y) for ell in (0.25, 0.5, 1, 2, 4)]
    for _ in range(1600):
        x = x - 0.025 * sum(ref.fast_force(game, x) for game in games)
    assert ref.coverage(x, MODES, 0.75) == pytest.approx(0.891, abs=5e-4)
    assert ref.w2_line(x, y) == pytest.approx(1.320, abs=6e-4)


def ring_data():
    rng = np.random.default_rng(0)
    y = ref.ring(rng)
    rng.normal(size=(256, 2))  # a cloud at the centre
    return y, ref.ring_modes()[0] + 0.1 * rng.normal(size=(256, 2))


@pytest.mark.slow
def test_ring_by_energy_distance():
    y, x = ring_data()
    for _ in range(600):
        x = x + 0.05 * ref.energy_velocity(x, y)
    assert ref.coverage(x, ref.ring_modes(), 0.5) == pytest.approx(0.83, abs=5e-3)
    assert ref.sliced_w2(x, y) == pytest.approx(0.094, abs=5e-4)


@pytest.mark.slow
def test_ring_by_random_features():
    y, x = ring_data()
    game = ref.Reference(ref.Random.drawn(2, 512, 0.5, 7), y, eta=(1.0, 5.0))
    a = np.zeros(1024)
    for _ in range(600):
        x = x - 0.05 * game.force(x, a)
        a = game.critic_implicit(a, x, 0.05)
    assert ref.coverage(x, ref.ring_modes(), 0.5) == pytest.approx(0.53, abs=5e-3)
    assert ref.sliced_w2(x, y) == pytest.approx(1.24, abs=5e-3)
