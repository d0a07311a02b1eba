"""Linear theory of particles: coupling, friction, critical damping, linearisation, transverse exponent, prediction."""

import json
import math

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.flatten_util import ravel_pytree

from ganscope.analysis.linearisation import jacobian
from ganscope.analysis.pairing import largest_distance
from ganscope.core.errors import NotApplicable, ParameterError
from ganscope.core.outcome import Outcome
from ganscope.core.random import replica_streams
from ganscope.core.simulate import _stream, simulate
from ganscope.games.kernel.kernels import RBF, Laplace, RationalQuadratic
from ganscope.games.particle.cloud import training
from ganscope.games.particle.cloud.discriminators import discriminator_of, start_of
from ganscope.games.particle.cloud.linearisation import linearise, matched_spectrum, spectrum
from ganscope.games.particle.cloud.model import ParticleGAN
from ganscope.games.particle.cloud.prediction import predict
from ganscope.games.particle.cloud.slope_gram import kernel_gram, network_gram, wide_gram
from ganscope.games.particle.cloud.transverse import growth, transverse_exponent
from ganscope.games.particle.coupling import apply_coupling, mobilities, ratio_from_coupling
from ganscope.games.particle.damping import best_gradient_penalty, mode_rates, mode_spectrum
from ganscope.games.particle.discrete_modes import (
    best_friction,
    discrete_mode_multipliers,
    discrete_mode_radius,
    largest_stable_product,
)

positive = st.floats(0.01, 100)


# Coupling


def test_worked_mobilities():
    for given_, expected in (
        ((4, 2 / math.pi, 64), (0.0525528161, 0.6891725884, 13.1139040709)),
        ((6, 1.371417272565885, 48), (0.0964288068, 1.4678460794, 15.2220703312)),
    ):
        assert np.allclose(mobilities(*given_), expected, rtol=0, atol=6e-11)
    assert math.isclose(ratio_from_coupling(15, 64), 0.1794871795, abs_tol=6e-11)
    moved = apply_coupling([[1, 0], [0, 2], [-1, 1]], 4, 1, 0.5)
    assert np.allclose(moved, [[0.5, 0.5], [0, 1.5], [-0.5, 1.0]], rtol=0, atol=1e-15)


@given(same=positive, share=st.floats(0, 1), particles=st.integers(2, 40), lr=positive)
@settings(deadline=None, derandomize=True)
def test_mobilities_are_the_eigenvalues_of_the_kernel_matrix(same, share, particles, lr):
    cross = -same / (particles - 1) + share * same * particles / (particles - 1)
    matrix = np.full((particles, particles), cross) + (same - cross) * np.eye(particles)
    values = np.linalg.eigvalsh(lr / particles * matrix)
    speeds = mobilities(same, cross, particles, lr)
    expected = np.sort([speeds.mean, *[speeds.relative] * (particles - 1)])
    assert np.allclose(values, expected, rtol=1e-12, atol=1e-12 * same * lr)
    if speeds.relative > 0 and speeds.coupling > 0:
        assert math.isclose(ratio_from_coupling(speeds.coupling, particles), cross / same, rel_tol=1e-9, abs_tol=1e-12)
    slopes = np.random.default_rng(0).normal(size=(3, particles, 2))
    moved = lr / particles * np.einsum("ij,bjk->bik", matrix, slopes)
    assert np.allclose(apply_coupling(slopes, same, cross, lr), moved, rtol=1e-10, atol=1e-12 * same * lr)


def test_conventions_agree_on_the_coupling_number():
    mean, rescaled = mobilities(2.0, 0.5, 10, 0.3), mobilities(2.0, 0.5, 10, 0.3, convention="rescaled")
    assert np.allclose(rescaled, (0.75, 1 + 9 * 0.25, mean.coupling))
    assert mobilities(1.0, 1.0, 4) == (0, 1, math.inf)
    assert ratio_from_coupling(math.inf, 4) == 1


@pytest.mark.parametrize(
    "call, name",
    [
        (lambda: mobilities(0, 0, 4), "same_kernel"),
        (lambda: mobilities(1, 1.01, 4), r"cross_kernel.*-0\.3333333333 and 1"),
        (lambda: mobilities(1, -0.34, 4), "cross_kernel.*positive semidefinite"),
        (lambda: mobilities(1, math.nan, 4), "cross_kernel"),
        (lambda: mobilities(1, 0.1, 1), "particles = 1: expected an integer >= 2"),
        (lambda: mobilities(1, 0.1, 4, 0), "generator_lr"),
        (lambda: mobilities(1, 0.1, 4, 1, "both"), "convention"),
        (lambda: ratio_from_coupling(0, 4), "coupling"),
        (lambda: apply_coupling([1.0, 2.0], 1, 0.1), "gradients"),
    ],
)
def test_bad_couplings(call, name):
    with pytest.raises(ParameterError, match=name):
        call()


# Friction


@given(
    a=positive, b=positive, penalty=st.floats(0, 10), damping=st.floats(0, 10), loss=st.sampled_from(["wgan", "gan"])
)
@settings(deadline=None, derandomize=True)
def test_mode_spectrum_is_that_of_the_block(a, b, penalty, damping, loss):
    half = 1.0 if loss == "wgan" else 0.5
    block = [[0, half * a], [-half * b, -(b * penalty + damping)]]
    values = mode_spectrum(a, b, penalty, damping, loss)
    scale = np.abs(values).max()
    # A defective block has eigenvalues that are only good to the root of machine precision.
    assert largest_distance(values / scale, np.linalg.eigvals(block) / scale) < 1e-7
    assert values[0].real >= values[1].real
    assert values[0].imag >= 0


@given(a=positive, b=positive)
@settings(deadline=None, derandomize=True)
def test_critical_damping(a, b):
    best = best_gradient_penalty(a, b)
    rate = math.sqrt(a * b)
    assert math.isclose(best.gradient_penalty, 2 * math.sqrt(a / b), rel_tol=1e-9)
    assert math.isclose(best.rate, rate, rel_tol=1e-9)
    assert best.without_half == best.gradient_penalty / 2
    around = mode_rates(a, b, np.array([0.5, 2.0]) * best.gradient_penalty)
    assert np.allclose(around, [rate / 2, (2 - math.sqrt(3)) * rate], rtol=1e-9)


def test_worked_critical_damping():
    for a, b, penalty, rate in (
        (1.0, 1.0, 2.0, 1.0),
        (0.02, 0.1, 0.8944271910, 0.0447213595),
        (0.01, 0.15, 0.5163977795, 0.0387298335),
    ):
        best = best_gradient_penalty(a, b)
        assert math.isclose(best.gradient_penalty, penalty, abs_tol=6e-11)
        assert math.isclose(best.rate, rate, abs_tol=6e-11)
    assert math.isclose(mode_rates(1, 1, 4), 0.267949, abs_tol=1e-6)
    assert math.isclose(best_gradient_penalty(1, 2, 0.3).gradient_penalty, (2 * math.sqrt(2) - 0.3) / 2)
    assert best_gradient_penalty(1, 1, 3.0).gradient_penalty == 0
    assert math.isclose(best_gradient_penalty(1, 1, loss="gan").gradient_penalty, 1.0)


def test_worked_wavenumbers_of_a_circle():
    # Slopes of wavenumber k move by mobility m, and displacements drive them by discriminator_lr khat_k k^2.
    k = np.arange(1, 9)
    gauss, power = np.exp(-((0.5 * k) ** 2) / 2) * k**2, k**2 / (1 + (0.5 * k) ** 2)
    best = [best_gradient_penalty(0.5, b).gradient_penalty for b in gauss]
    assert np.allclose([*best[:4], best[7]], [1.5054, 0.9079, 0.8273, 0.9611, 9.65], rtol=0, atol=[5e-5] * 4 + [5e-3])
    best = [best_gradient_penalty(0.5, b).gradient_penalty for b in power[:5]]
    assert np.allclose(best[:4], [1.5811, 1.0, 0.8498, 0.7906], rtol=0, atol=5e-5)
    together = best_gradient_penalty(0.5, gauss[:3])
    assert math.isclose(together.gradient_penalty, 1.1555, abs_tol=5e-4)
    assert math.isclose(together.rate, 0.5096, abs_tol=5e-4)
    assert math.isclose(together.rates[0], together.rates[2], rel_tol=1e-12)  # a rising rate meets a falling one
    assert np.allclose(mode_spectrum(0.5, gauss[1], 1.0), [-0.7047, -1.7214], rtol=0, atol=5e-5)
    assert np.allclose(mode_spectrum(0.5, gauss[0], 0.5)[0], -0.2206 + 0.6266j, rtol=0, atol=5e-5)


@given(
    pairs=st.lists(st.tuples(positive, positive), min_size=1, max_size=6),
    damping=st.floats(0, 10),
    alike=st.sampled_from(["", "a", "b"]),
)
@settings(deadline=None, derandomize=True, max_examples=60)
def test_no_other_penalty_is_better_for_several_modes(pairs, damping, alike):
    a, b = np.array(pairs).T
    a, b = (a[0] if alike == "a" else a), (b[0] if alike == "b" else b)
    best = best_gradient_penalty(a, b, damping)
    tried = np.concatenate(
        [[0.0], np.geomspace(1e-4, 1e4, 2001), best.gradient_penalty * (1 + np.array([-1e-6, 1e-6]))]
    )
    rates = mode_rates(a, b, tried.reshape(-1, *[1] * max(np.ndim(a), np.ndim(b))), damping)
    slowest = rates.reshape(len(tried), -1).min(axis=1)
    assert slowest.max() <= best.rate * (1 + 1e-9)
    # At a critically damped mode the rate falls like the root of a rounding error.
    achieved = np.min(mode_rates(a, b, best.gradient_penalty, damping))
    assert math.isclose(achieved, best.rate, rel_tol=1e-6)


def test_modes_that_never_relax():
    best = best_gradient_penalty([1.0, 1.0, 0.0], [1.0, 0.0, 1.0])
    assert np.array_equal(best.undetectable, [False, True, False])
    assert (best.gradient_penalty, best.rate) == (2.0, 0.0)
    assert np.array_equal(best.rates, [1, 0, 0])
    alone = best_gradient_penalty(1.0, 0.0)
    assert alone.undetectable
    assert alone.rate == 0
    assert math.isnan(alone.gradient_penalty)


@pytest.mark.parametrize(
    "call, name",
    [
        (lambda: mode_spectrum(-1, 1), "a = -1"),
        (lambda: mode_spectrum(1, math.nan), "b = nan"),
        (lambda: mode_spectrum([1, 2], [1, 2, 3]), "shapes that go together"),
        (lambda: mode_spectrum(1, 1, loss="hinge"), "loss"),
        (lambda: best_gradient_penalty(1, 1, -0.1), "damping"),
        (lambda: best_gradient_penalty([], []), "at least one mode"),
        (lambda: discrete_mode_radius(1, 1, -1), "friction"),
        (lambda: discrete_mode_radius(1, 1, 0, 0), "discriminator_steps"),
        (lambda: discrete_mode_radius(1, 1, 0, 2, "simultaneous"), "discriminator_steps"),
        (lambda: discrete_mode_radius(1, 1, 0, 1, "jacobi"), "rule"),
        (lambda: best_friction(0, 1), "a = 0"),
    ],
)
def test_bad_modes(call, name):
    with pytest.raises(ParameterError, match=name):
        call()


# Discrete time


@given(a=st.floats(0, 3), b=st.floats(0, 3), friction=st.floats(0, 2.5), steps=st.integers(1, 9))
@settings(deadline=None, derandomize=True)
def test_discrete_modes_are_those_of_the_steps(a, b, friction, steps):
    learn, move = np.array([[1, 0], [-b, 1 - friction]]), np.array([[1, a], [0, 1]])
    for rule, matrix in (
        ("alternating", move @ np.linalg.matrix_power(learn, steps)),
        ("simultaneous", np.array([[1, a], [-b, 1 - friction]])),
    ):
        count = steps if rule == "alternating" else 1
        values = discrete_mode_multipliers(a, b, friction, count, rule)
        scale = max(1.0, np.abs(matrix).max())
        # A defective map has multipliers that are only good to the root of machine precision.
        assert largest_distance(values, np.linalg.eigvals(matrix)) < 1e-6 * scale
        assert math.isclose(discrete_mode_radius(a, b, friction, count, rule), np.abs(values).max())


def test_worked_discrete_modes():
    assert best_friction(0.5, 0.5) == pytest.approx((0.75, 0.5), abs=1e-12)
    assert math.isclose(discrete_mode_radius(0.5, 0.5, 0.75), 0.5, abs_tol=1e-7)
    assert math.isclose(discrete_mode_radius(0.02, 0.1, 0.05, 5), 0.9515685070, abs_tol=6e-11)
    values = discrete_mode_multipliers(0.02, 0.1, 0.05, 5)
    assert math.isclose(np.prod(values).real, 0.7737809375, abs_tol=1e-12)
    assert math.isclose(np.sum(values).real, 1.76473217, abs_tol=6e-9)
    assert math.isclose(discrete_mode_radius(0.3, 0.7), 1, rel_tol=1e-12)
    assert math.isclose(discrete_mode_radius(0.3, 0.7, rule="simultaneous"), math.sqrt(1 + 0.21), rel_tol=1e-12)


@pytest.mark.parametrize("steps", [1, 2, 3, 5])
@pytest.mark.parametrize("product", [0.01, 0.3, 0.95, 1.3, 1.9, 3.5])
def test_best_friction_and_stability_against_a_scan(product, steps):
    friction = np.linspace(0, 2, 4001)
    radius = discrete_mode_radius(product, 1.0, friction, steps)
    best = best_friction(product, 1.0, discriminator_steps=steps)
    assert best.radius <= radius.min() + 1e-9
    # Where two multipliers meet, the radius changes like the root of a rounding error.
    assert math.isclose(discrete_mode_radius(product, 1.0, best.friction, steps), best.radius, abs_tol=1e-6)
    limit = largest_stable_product(friction, steps)
    clear = (np.abs(product - limit) > 1e-6) & (friction > 0) & (friction < 2)
    assert np.array_equal((radius < 1)[clear], (product < limit)[clear])


@pytest.mark.parametrize("product", [0.01, 0.5, 0.95, 2.0, 3.9])
def test_best_friction_of_simultaneous_steps(product):
    best = best_friction(product, 1.0, "simultaneous")
    friction = np.linspace(0, 4, 4001)
    radius = discrete_mode_radius(product, 1.0, friction, 1, "simultaneous")
    assert best.radius <= radius.min() + 1e-9
    assert best == pytest.approx((2 * math.sqrt(product), abs(1 - math.sqrt(product))))
    limit = largest_stable_product(friction, rule="simultaneous")
    clear = (np.abs(product - limit) > 1e-6) & (product > 2 * friction - 4 + 1e-6)
    assert np.array_equal((radius < 1)[clear], (product < limit)[clear])
    assert largest_stable_product() == 4


# Linearisation

LINE = np.array([[0.0], [0.4], [1.5], [3.0]])


def test_worked_example_that_does_not_commute():
    kernel = RBF(0.8)
    hessian = kernel_gram(kernel, LINE)[:4, :4]
    result = matched_spectrum(3 * np.eye(4) + 1, hessian, 0.5, 1.0, 0.6, 0.02)
    assert len(result.values) == 8
    assert math.isclose(result.rate, 0.0486239660, abs_tol=6e-11)
    game = ParticleGAN(
        particles=4,
        same_kernel=4,
        cross_kernel=1,
        generator_lr=0.5,
        real_points=LINE,
        discriminator=kernel,
        discriminator_lr=1.0,
        gradient_penalty=0.6,
        regularization=0.02,
    )
    for again in (spectrum(game), spectrum(game, at=LINE[:, 0]), spectrum(game.replace(penalty="r12"))):
        assert largest_distance(again.values, result.values) < 1e-12
    measured = game.replace(same_kernel=None, cross_kernel=None, generator_kernel=3 * np.eye(4) + 1)
    assert largest_distance(spectrum(measured).values, result.values) < 1e-12


def test_matched_spectrum_of_commuting_modes_is_that_of_each():
    rng = np.random.default_rng(0)
    basis = np.linalg.qr(rng.normal(size=(5, 5)))[0]
    gammas, stiffnesses = rng.uniform(1, 3, 5), rng.uniform(0.1, 2, 5)
    gamma, hessian = basis * gammas @ basis.T, basis * stiffnesses @ basis.T
    flow = matched_spectrum(gamma, hessian, 0.7, 0.3, 0.4, 0.1)
    modes = mode_spectrum(0.7 * gammas / 5, 0.3 * stiffnesses / 5, 0.4, 0.03)
    assert largest_distance(flow.values, modes.ravel()) < 1e-12
    steps = matched_spectrum(gamma, hessian, 0.7, 0.3, 0.4, 0.1, rule="alternating", discriminator_steps=3)
    beta = 0.3 * stiffnesses / 5 * 0.4 + 0.03
    modes = discrete_mode_multipliers(0.7 * gammas / 5, 0.3 * stiffnesses / 5, beta, 3)
    assert largest_distance(steps.values, modes.ravel()) < 1e-12
    planar = matched_spectrum(gamma, np.kron(hessian, np.eye(2)), 0.7, 0.3, 0.4, 0.1)
    twice = matched_spectrum(np.kron(gamma, np.eye(2)), np.kron(hessian, np.eye(2)), 0.7, 0.3, 0.4, 0.1, particles=5)
    assert largest_distance(planar.values, np.repeat(flow.values, 2)) < 1e-12
    assert largest_distance(planar.values, twice.values) < 1e-12


def small_game(**changes):
    """Three particles against a network of 6 units, all real points in every step: nothing is random but its start."""
    points = np.array([[0.0, 0.2], [1.0, -0.3], [0.4, 1.1]])
    given_ = {
        "particles": 3,
        "coupling": 5.0,
        "relative_step": 0.3,
        "real_points": points,
        "real_batch": None,
        "initial": points,
        "discriminator_activation": "tanh",
        "discriminator_width": 6,
        "discriminator_depth": 1,
        "discriminator_lr": 0.4,
        "regularization": 0.05,
    }
    return ParticleGAN(**(given_ | changes))


def engine_jacobian(game, rule):
    """Jacobian of one iteration of the training engine in float64, in the particles and all weights, at rest."""
    start = start_of(game, 0, 0)
    schedule = "simultaneous" if rule == "simultaneous" else "discriminator_first"
    form = training.Form(
        discriminator_of(game), game.penalty, game.loss, game.discriminator_steps, schedule, training.TWO_NUMBERS
    )
    settings_ = training.Settings(
        game.relative_mobility, game.mean_mobility, game.discriminator_lr, game.gradient_penalty, game.regularization
    )
    points = game.real_points
    with jax.enable_x64(True):
        wide = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), (start, settings_))
        start, settings_ = wide
        fixed = training.Fixed(start.parameters, start.fixed, start.rates, np.stack(game.target.box), ())
        noise = training.Noise(points[None], np.zeros((1, 0, game.axes)))
        trace = training.Trace(np.zeros((1, *points.shape)), np.zeros((1, 2)))
        flat, restore = ravel_pytree((points, start.parameters))

        def iteration(z):
            x, parameters = restore(z)
            state = training.State(parameters, None, x)
            state, _ = training.program(form)(state, fixed, settings_, noise, trace, np.int64(1))
            return ravel_pytree((state.positions, state.parameters))[0]

        def iterations(stencil):
            rows = [iteration(z) for z in stencil.reshape(-1, flat.size)]
            return np.reshape(rows, stencil.shape)

        assert np.allclose(iteration(flat), flat)  # the matched configuration is at rest
        return jacobian(iterations, flat)


@pytest.mark.parametrize(
    "rule, changes",
    [
        ("alternating", {}),
        ("simultaneous", {}),
        ("alternating", {"penalty": "r2", "discriminator_steps": 3}),
        ("alternating", {"penalty": "r12", "coupling": 0.5}),
        ("simultaneous", {"penalty": "none"}),
        ("alternating", {"loss": "gan"}),
        ("simultaneous", {"loss": "gan", "regularization": 0.0}),
    ],
)
def test_spectrum_is_that_of_the_training_engine(rule, changes):
    game = small_game(**changes)
    engine = np.linalg.eigvals(engine_jacobian(game, rule))
    theory = spectrum(game, rule=rule).values
    nearest = np.abs(theory[:, None] - engine).min(axis=1)
    assert nearest.max() < 1e-7
    forgotten = (1 - game.discriminator_lr * game.regularization) ** game.discriminator_steps
    if game.loss == "wgan":  # everything else is forgetting of what no particle feels
        rest = np.abs(engine - forgotten) > 1e-5
        assert rest.sum() == np.sum(np.abs(theory - forgotten) > 1e-5)


def test_uniform_penalty_is_its_average_over_the_box():
    # A fine grid of equal weights in place of the nodes, in the full space of values and slopes.
    game = small_game(penalty="uniform", real_points=LINE, initial=None, particles=4, discriminator=RBF(0.8))
    low, high = game.target.box
    nodes = low + (high - low) * (np.arange(200)[:, None] + 0.5) / 200
    sites = np.concatenate([LINE, nodes])
    gram = kernel_gram(RBF(0.8), sites)[: len(sites), : len(sites)]
    n = len(LINE)
    lr, motion = game.discriminator_lr, game.relative_mobility * (np.eye(n) + (5.0 - 1) / n)
    size = n + len(sites)
    full = np.zeros((size, size))
    full[:n, n : 2 * n] = motion
    full[n:, :n] = -lr / n * gram[:, :n]
    full[n:, 2 * n :] = -lr * game.gradient_penalty / 200 * gram[:, n:]
    full[n:, n:] -= lr * game.regularization * np.eye(len(sites))
    theory = spectrum(game).values
    assert len(theory) == 2 * n
    # The midpoint rule with 200 nodes is good to 1e-4.
    assert np.abs(theory[:, None] - np.linalg.eigvals(full)).min(axis=1).max() < 1e-4


def test_values_and_slopes_of_a_kernel_against_differences():
    kernel, points = RationalQuadratic(0.7, 1.3), np.random.default_rng(0).normal(size=(3, 2))
    gram = kernel_gram(kernel, points)

    def values(x, y):
        return kernel.value(x[..., None, :] - y)

    def slopes_at(y):
        return np.moveaxis(jacobian(lambda x: values(x, y[..., None, :])[..., 0], points), -1, 0)

    for j in range(3):
        mixed = jacobian(lambda x, j=j: values(x, points[j : j + 1]), points)[:, 0]
        assert np.allclose(gram[:6, 6 + j].reshape(3, 2), mixed, atol=1e-9)
        for i in range(3):
            block = jacobian(
                lambda y, i=i: np.stack([kernel.gradient(points[i] - y)[..., axis] for axis in range(2)], axis=-1),
                points[j],
            )
            assert np.allclose(gram[2 * i : 2 * i + 2, 2 * j : 2 * j + 2], block, atol=1e-9)
    assert np.allclose(gram[6:, 6:], values(points, points))
    assert np.linalg.eigvalsh(gram)[0] > -1e-12


@pytest.mark.parametrize("activation", ["tanh", "sin", "erf", "softplus"])
def test_wide_networks_have_the_kernel_of_infinite_width(activation):
    game = small_game(discriminator_activation=activation, discriminator_width=256, discriminator_depth=2)
    points = game.real_points
    drawn = np.array([network_gram(game, points, seed) for seed in range(24)])
    error = drawn.std(axis=0, ddof=1) / math.sqrt(24)
    # The mean over networks differs from the limit by its standard error and by corrections of order 1 / width.
    limit = wide_gram(game, points)
    assert np.all(np.abs(drawn.mean(axis=0) - limit) < 4.5 * error + 0.03 * np.abs(limit).max())
    assert np.abs(limit - limit.T).max() < 1e-7


def test_places_shared_by_particles():
    # 12 particles on 4 places move, as far as they are seen, like 4 with the same mobilities.
    game = ParticleGAN(particles=12, coupling=6.0, real_points=LINE, discriminator=RBF(0.8), discriminator_lr=0.5)
    few = game.replace(particles=4)
    assert largest_distance(spectrum(game).values, spectrum(few).values) < 1e-14
    same, cross = 1.0, ratio_from_coupling(6.0, 12)
    matrix = np.full((12, 12), cross) + (same - cross) * np.eye(12)
    measured = game.replace(coupling=None, generator_kernel=matrix, relative_step=0.01)
    moving = [v for v in spectrum(measured).values if abs(v) > 1e-9]
    assert largest_distance(moving, spectrum(game).values) < 1e-9


def test_spectra_that_do_not_exist():
    with pytest.raises(NotApplicable, match="differentiable"):
        spectrum(ParticleGAN(discriminator=Laplace(1.0)))
    with pytest.raises(NotApplicable, match="relu"):
        spectrum(ParticleGAN(), width=math.inf)
    with pytest.raises(NotApplicable, match="too many"):
        spectrum(ParticleGAN(discriminator=RBF(1.0)), at=np.zeros((2000, 2)))
    for bad, name in (({"at": np.zeros((3, 3))}, "at"), ({"rule": "jacobi"}, "rule"), ({"width": 3}, "width")):
        with pytest.raises(ParameterError, match=name):
            spectrum(ParticleGAN(discriminator=RBF(1.0)), **bad)
    with pytest.raises(ParameterError, match="option"):
        spectrum(ParticleGAN(), momentum=0.3)
    with pytest.raises(ParameterError, match="rule"):
        spectrum(ParticleGAN(discriminator=RBF(1.0), discriminator_steps=2), rule="simultaneous")
    with pytest.raises(ParameterError, match="coupling_matrix"):
        matched_spectrum(np.eye(3), np.eye(4))


# Transverse exponent


@pytest.mark.parametrize("changes", [{"discriminator_activation": "tanh"}, {"loss": "gan", "discriminator": RBF(0.5)}])
def test_a_narrow_cloud_grows_as_its_tangent(changes):
    place, direction = np.array([[0.3, 0.12]]), np.array([[0.6, 0.8]])
    pair = np.concatenate([place + 5e-4 * direction, place - 5e-4 * direction])
    game = ParticleGAN(particles=2, coupling=16, initial=pair, real_batch=32, features=64, **changes)
    run = simulate(game, level="particles", iterations=150, seed=1)
    measured = np.log(np.linalg.norm(run.positions[:, 0] - run.positions[:, 1], axis=1))
    stream = int(replica_streams(_stream(game, "particles"), 1)[0])
    grown = np.cumsum(growth(game, game.mean_mobility, place, direction, 150, 1, stream))
    # Rounding of positions in single precision is 1e-4 of the distance; the orbit is followed before chaos tells.
    assert np.allclose(measured[1:] - measured[0], grown, rtol=5e-3, atol=3e-3)


def test_transverse_exponents_that_do_not_exist():
    with pytest.raises(NotApplicable, match="relu"):
        transverse_exponent(ParticleGAN())
    with pytest.raises(NotApplicable, match="differentiable"):
        transverse_exponent(ParticleGAN(discriminator=Laplace(1.0)))
    with pytest.raises(ParameterError, match="mean_mobility"):
        transverse_exponent(ParticleGAN(discriminator_activation="tanh"), 0.0)


def test_fast_rigid_clouds_stay_together():
    slow, fast = (
        transverse_exponent(ParticleGAN(discriminator_activation="tanh"), m, iterations=900, starts=3)
        for m in (0.02, 2.0)
    )
    assert slow > 0.1 > fast


# Prediction


def test_prediction_of_separate_targets():
    # Far apart, all motions have the stiffness discriminator_lr / (P bandwidth^2).
    points = np.array([[0.0, 0.0], [9.0, 0.0], [0.0, 9.0]])
    game = ParticleGAN(
        particles=3, coupling=10, relative_step=0.01, real_points=points, discriminator=RBF(0.5), discriminator_lr=0.3
    )
    result = predict(game)
    b = 0.3 / 3 / 0.25
    assert (result.outcome, result.detail, result.rule) == (Outcome.UNDECIDED, "unknown", "alternating")
    assert math.isclose(result.rates["mean_stiffness"], b, rel_tol=1e-9)
    assert math.isclose(result.rates["mean_product"], 0.1 * b, rel_tol=1e-9)
    assert math.isclose(result.rates["spectral_radius"], discrete_mode_radius(0.01, b, 0.3 * b), rel_tol=1e-9)
    assert math.isclose(result.best["gradient_penalty"], 2 * math.sqrt(0.01 / b), rel_tol=1e-9)
    assert math.isclose(result.best["mean_gradient_penalty"], 2 * math.sqrt(0.1 / b), rel_tol=1e-9)
    assert result.best["gradient_penalty_without_half"] == result.best["gradient_penalty"] / 2
    assert math.isclose(result.thresholds["mean_product"], 4 - 2 * 0.3 * b, rel_tol=1e-9)
    limit = result.thresholds["coupling"]
    assert spectrum(game.replace(coupling=0.99 * limit), rule="alternating").rate > 0
    assert spectrum(game.replace(coupling=1.01 * limit), rule="alternating").rate < 0
    assert any("no theory" in reason for reason in result.reasons)
    json.dumps(result.to_dict(), allow_nan=False)


def test_steps_that_are_too_long_are_not_mode_collapse():
    game = ParticleGAN(relative_step=0.2, discriminator_lr=0.2, gradient_penalty=0, coupling=64)
    result = predict(game)
    assert (result.outcome, result.detail) == (Outcome.DIVERGED, "diverging")
    assert "Discrete-time instability, not mode collapse" in result.reasons[0]
    assert result.rates["mean_product"] > result.thresholds["mean_product"] == 4
    assert predict(game.replace(relative_step=0.01)).outcome is Outcome.UNDECIDED
    run = simulate(game, level="particles", iterations=200, seed=0)
    assert not np.all(np.isfinite(run.positions))


def test_predictions_without_a_verdict():
    overdone = predict(ParticleGAN(gradient_penalty=60))
    assert overdone.outcome is Outcome.UNDECIDED
    assert "overshoots" in overdone.reasons[0]
    spiral = predict(ParticleGAN(discriminator=RBF(1.0), gradient_penalty=0), rule="simultaneous")
    assert spiral.outcome is Outcome.UNDECIDED
    assert "spirals" in spiral.reasons[0]
    assert predict(ParticleGAN(discriminator=Laplace(1.0))).detail == "unknown"
    assert predict(ParticleGAN(discriminator=RBF(1.0)), rule="flow").thresholds == {}
    with pytest.raises(ParameterError, match="step_size"):
        predict(ParticleGAN(), step_size=0.1)


def test_the_logistic_loss_halves_both_pushes():
    points = np.array([[0.0, 0.0], [9.0, 0.0]])
    game = ParticleGAN(
        particles=2, coupling=3, real_points=points, discriminator=RBF(0.5), discriminator_lr=0.3, loss="gan"
    )
    b = 0.3 / 2 / 0.25
    expected = np.repeat(mode_spectrum([0.01, 0.03], b, 0.3, loss="gan").ravel(), 2)
    assert largest_distance(linearise(game).spectrum(None).values, expected) < 1e-9
    assert math.isclose(predict(game).rates["mean_product"], 0.03 * b / 4, rel_tol=1e-9)


def test_the_best_penalty_for_dampings_that_differ_is_beaten_by_no_other():
    rng = np.random.default_rng(0)
    for count in (1, 2, 3, 5, 6) * 8:
        a, b, damping = 10 ** rng.uniform(-3, 1, count), 10 ** rng.uniform(-3, 1, count), rng.uniform(0, 2, count)
        best = best_gradient_penalty(a, b, damping)
        tried = np.linspace(0, 2 * float(np.max(2 * np.sqrt(a / b))), 4001)[:, None]
        assert best.rate >= mode_rates(a, b, tried, damping).min(axis=1).max() * (1 - 1e-12)
