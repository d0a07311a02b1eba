"""The kernel GAN's exact theory for any finite point set: linearisation, good minima, equilibria."""

import types
import warnings

import numpy as np
import pytest
from scipy.linalg import expm

from ganscope.analysis.linearisation import jacobian as numerical_jacobian
from ganscope.analysis.pairing import largest_distance
from ganscope.core.errors import NotApplicable, ParameterError
from ganscope.dynamics.rules import RULES, update_map
from ganscope.games.kernel import equilibria, good_minimum, linearisation, operators
from ganscope.games.kernel.kernels import RBF, Laplace, Matern32, Matern52, RationalQuadratic, RBFSum
from ganscope.games.kernel.linearisation import jacobian, spectrum_at

KERNELS = [RBF(0.8), RationalQuadratic(0.8, 1.3), Matern32(1.1), Matern52(1.1), RBFSum((0.5, 1.5), (0.3, 0.7))]
MOMENTUM = {rule: 0.3 if rule == "heavy_ball" else 0.0 for rule in RULES}


def make(real, generated=None, real_mass=None, generated_mass=None, **settings):
    """A kernel GAN whose masses may differ without a warning."""
    from ganscope.games.kernel.model import KernelGAN

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        generated = real if generated is None else generated
        return KernelGAN(real, generated, real_mass, generated_mass, **settings)


def radius(game, points, rule):
    return abs(spectrum_at(game, points, rule, MOMENTUM[rule]).multipliers[0])


# The operators ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda k: type(k).__name__)
@pytest.mark.parametrize("kept", [True, False])
def test_products_without_a_matrix_equal_the_matrix(kernel, kept, monkeypatch):
    # Far from the origin, with coinciding and nearly coinciding points, where expanded squares lose digits.
    rng = np.random.default_rng(0)
    points = rng.normal(size=(40, 3)) + 100
    points[3], points[5] = points[7], points[7] + 1e-9
    monkeypatch.setattr(operators, "_KEPT_POINTS", 4000 if kept else 0)
    monkeypatch.setattr(operators, "_BLOCK", 1 << 19 if kept else 150)
    gram = operators.GradientGram(kernel, points)
    matrix, v = gram.dense(), rng.normal(size=(40, 3))
    assert np.abs(matrix - matrix.T).max() == 0
    assert np.linalg.eigvalsh(matrix)[0] > -1e-13
    blocks = -kernel.hessian(points[:, None] - points)
    expected = np.einsum("jkce,ke->jc", blocks, v)
    scale = np.abs(expected).max()  # sums of 120 terms
    np.testing.assert_allclose(gram @ v, expected, atol=1e-14 * scale)
    np.testing.assert_allclose(gram @ v.ravel(), matrix @ v.ravel(), atol=1e-14 * scale)


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda k: type(k).__name__)
def test_sums_over_pairs_equal_the_broadcast_ones(kernel, monkeypatch):
    monkeypatch.setattr(operators, "_BLOCK", 100)
    rng = np.random.default_rng(1)
    at, points, weights = rng.normal(size=(9, 2)), rng.normal(size=(13, 2)), rng.normal(size=13)
    at[0] = points[0]
    r = at[:, None] - points
    np.testing.assert_allclose(operators.potential(kernel, at, points, weights), kernel.value(r) @ weights, atol=1e-14)
    force = np.einsum("i,jic->jc", weights, kernel.gradient(r))
    np.testing.assert_allclose(operators.force(kernel, at, points, weights), force, atol=1e-13)
    hessians = np.einsum("i,jice->jce", weights, kernel.hessian(r))
    np.testing.assert_allclose(operators.hessian_sum(kernel, at, points, weights), hessians, atol=1e-13)


def test_sums_take_kernels_that_only_know_differences(monkeypatch):
    rng = np.random.default_rng(2)
    kernel = Waves(rng.normal(size=(5, 2)), np.full(5, 0.2))
    at, points, weights = rng.normal(size=(9, 2)), rng.normal(size=(7, 2)), rng.normal(size=7)
    whole = [f(kernel, at, points, weights) for f in (operators.force, operators.hessian_sum, operators.potential)]
    monkeypatch.setattr(operators, "_BLOCK", 30)
    parts = [f(kernel, at, points, weights) for f in (operators.force, operators.hessian_sum, operators.potential)]
    for one, other in zip(whole, parts, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-14)
    gram, v = operators.GradientGram(kernel, at), rng.normal(size=18)
    np.testing.assert_allclose(gram @ v, gram.dense() @ v, atol=1e-13)


# The Jacobian against a map of features ------------------------------------------------------------------------------


class Waves:
    """A kernel as a weighted sum of cosines: what a discriminator with finitely many features has."""

    def __init__(self, frequencies, weights):
        self.frequencies, self.weights = frequencies, weights

    def require_differentiable(self):
        """Cosines are smooth."""

    @property
    def curvature(self):
        return (self.frequencies * self.weights[:, None]).T @ self.frequencies

    def value(self, r):
        return np.cos(r @ self.frequencies.T) @ self.weights

    def gradient(self, r):
        return -(np.sin(r @ self.frequencies.T) * self.weights) @ self.frequencies

    def hessian(self, r):
        outer = self.frequencies[:, :, None] * self.frequencies[:, None, :]
        return -np.einsum("...f,fce->...ce", np.cos(r @ self.frequencies.T) * self.weights, outer)


def features_of(kernel, points):
    """Features `[..., points, features]` and their gradients `[..., points, axes, features]`."""
    phase = points @ kernel.frequencies.T
    root = np.sqrt(kernel.weights)
    values = np.concatenate([np.cos(phase) * root, np.sin(phase) * root], -1)
    w = np.moveaxis(kernel.frequencies, 0, 1)
    slopes = np.concatenate([-np.sin(phase)[..., None, :] * w * root, np.cos(phase)[..., None, :] * w * root], -1)
    return values, slopes


def feature_velocity(game, kernel, z, theta):
    values, slopes = features_of(kernel, z)
    real = features_of(kernel, game.real_points)[0]
    force = np.einsum("...jcf,...f->...jc", slopes, theta)
    drift = game.real_mass @ real - np.einsum("j,...jf->...f", game.generated_mass, values)
    return game.speeds[:, None] * force, game.discriminator_lr * (drift - game.regularization * theta)


def feature_step(game, kernel, rule, momentum, w, before):
    """One iteration of flat states `[..., (z, theta)]`, written as in the papers."""
    count, axes = game.generated_points.shape
    n = count * axes

    def field(w):
        v = feature_velocity(game, kernel, w[..., :n].reshape(*w.shape[:-1], count, axes), w[..., n:])
        return np.concatenate([v[0].reshape(*w.shape[:-1], n), v[1]], -1)

    if rule == "alternating":
        w = np.concatenate([w[..., :n], (w + field(w))[..., n:]], -1)
        return np.concatenate([(w + field(w))[..., :n], w[..., n:]], -1)
    if rule == "simultaneous":
        return w + field(w)
    if rule == "extragradient":
        return w + field(w + field(w))
    if rule == "optimistic":
        return w + 2 * field(w) - field(before)
    return w + field(w) + momentum * (w - before)


def test_gradient_of_the_features_is_their_slope():
    kernel = Waves(np.random.default_rng(0).normal(size=(4, 2)), np.full(4, 0.25))
    z = np.array([0.3, -0.2])
    slope = numerical_jacobian(lambda z: features_of(kernel, z[..., None, :])[0][..., 0, :], z)
    np.testing.assert_allclose(features_of(kernel, z[None])[1][0].T, slope, atol=1e-11)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("weighting", ["loss", "unit"])
def test_the_exact_jacobian_is_that_of_the_map_of_features(rule, weighting):
    # 24 features, 3 points on the plane with unequal masses: y = B theta takes one map to the other.
    rng = np.random.default_rng(4)
    kernel = Waves(rng.normal(size=(12, 2)), np.full(12, 1 / 12))
    game = stand_in(
        rng.normal(size=(4, 2)), rng.normal(size=(3, 2)), [0.1, 0.2, 0.3, 0.4], [0.3, 0.5, 0.2], kernel, weighting
    )
    z, momentum = game.generated_points, MOMENTUM[rule]
    values, slopes = features_of(kernel, z)
    theta = game.real_mass @ features_of(kernel, game.real_points)[0] - game.generated_mass @ values
    w = np.concatenate([z.ravel(), theta / game.regularization])

    # The points are not at rest, so the rule is applied to the linear part of the field.
    size = len(w)
    field = numerical_jacobian(lambda w: feature_step(game, kernel, "simultaneous", 0.0, w, w), w) - np.eye(size)
    full = update_map(field, z.size, rule, momentum)
    exact = update_map(jacobian(game, z), z.size, rule, momentum)
    B = slopes.reshape(z.size, -1)
    T = np.block([[np.eye(z.size), np.zeros((z.size, 24))], [np.zeros((z.size, z.size)), B]])
    T = np.kron(np.eye(len(full) // size), T)
    assert np.abs(T @ full - exact @ T).max() < 1e-8
    # The rest of the spectrum is what the discriminator forgets where nothing looks at it.
    rest = good_minimum.disc_multipliers(game.forgetting, rule, momentum)
    padded = np.concatenate([np.linalg.eigvals(exact), np.repeat(rest, 24 - z.size)])
    assert largest_distance(np.linalg.eigvals(full), padded) < 1e-8


@pytest.mark.parametrize("rule", RULES)
def test_the_spectrum_at_an_equilibrium_is_that_of_the_map_itself(rule):
    rng = np.random.default_rng(5)
    kernel = Waves(rng.normal(size=(10, 1)), np.full(10, 0.1))
    game = stand_in([[0.0], [1.1]], [[0.1], [0.9]], [0.6, 0.4], [0.5, 0.5], kernel)
    z, momentum = equilibria.newton(game, game.generated_points).state, MOMENTUM[rule]
    values, _ = features_of(kernel, z)
    theta = (game.real_mass @ features_of(kernel, game.real_points)[0] - game.generated_mass @ values) / 1.0
    w = np.concatenate([z.ravel(), theta])
    size = len(w)
    if rule in ("optimistic", "heavy_ball"):

        def step(pair):
            now, before = pair[..., :size], pair[..., size:]
            return np.concatenate([feature_step(game, kernel, rule, momentum, now, before), now], -1)

        start = np.concatenate([w, w])
    else:

        def step(w):
            return feature_step(game, kernel, rule, momentum, w, w)

        start = w
    np.testing.assert_allclose(step(start), start, atol=1e-15)
    full = np.linalg.eigvals(numerical_jacobian(step, start))
    rest = good_minimum.disc_multipliers(game.forgetting, rule, momentum)
    found = spectrum_at(game, z, rule, momentum).multipliers
    assert len(found) == (len(full) - 20 * len(rest)) + (2 + 1) * len(rest)
    padded = np.concatenate([found, np.repeat(rest, 20 - 3)])
    assert largest_distance(full, padded) < 1e-8


def stand_in(real, generated, real_mass, generated_mass, kernel, weighting="loss"):
    """What the theory needs of a game, for kernels that a game does not take."""
    mass = np.array(generated_mass)
    return types.SimpleNamespace(
        real_points=np.array(real),
        generated_points=np.array(generated),
        real_mass=np.array(real_mass),
        generated_mass=mass,
        kernel=kernel,
        regularization=1.0,
        generator_lr=0.7,
        discriminator_lr=0.2,
        speeds=0.7 * (mass if weighting == "loss" else np.ones(len(mass))),
        forgetting=0.2,
        initial_discriminator="zero",
        require_regularization=lambda: None,
    )


# Worked numbers -------------------------------------------------------------------------------------------------------


def test_two_points_at_distance_one_are_a_good_minimum():
    game = make([0, 1], None, [0.6, 0.4], [0.6, 0.4], kernel=RBF(1.0), generator_lr=1.0)
    # The cross term 1 - r^2 vanishes: G = I.
    np.testing.assert_allclose(linearisation.gradient_gram(game, game.real_points), np.eye(2), atol=1e-15)
    np.testing.assert_allclose(linearisation.good_minimum_modes(game), [0.36, 0.16], rtol=1e-14)
    best = linearisation.best_rates(0.36, 0.16)
    assert best == pytest.approx({"forgetting": 0.96, "lr_product": 4.0, "spectral_radius": 0.2}, rel=1e-14)
    expected = {
        "simultaneous": 0.9338094,
        "alternating": 0.8944272,
        "extragradient": 0.8958929,
        "optimistic": 0.8965914,
    }
    for rule, value in expected.items():
        assert radius(game, game.real_points, rule) == pytest.approx(value, abs=5e-8)


def test_two_points_with_other_masses_rest_elsewhere():
    game = make([0, 1], None, [0.6, 0.4], [0.5, 0.5], kernel=RBF(1.0), generator_lr=1.0)
    for start in (None, [0, 1], [[-0.3], [0.7]]):
        found = equilibria.equilibrium(game, start)
        np.testing.assert_allclose(found.state.ravel(), [-0.105531243059, 0.863925675944], atol=1e-12)
        assert (found.label, found.stability) == ("minimum", "stable")
    assert equilibria.mmd_squared(game, found.state) == pytest.approx(4.530411e-4, rel=1e-6)
    assert radius(game, found.state, "simultaneous") == pytest.approx(0.92572993, abs=5e-9)
    assert radius(game, found.state, "alternating") == pytest.approx(0.89877723, abs=5e-9)


def test_the_error_of_isolation_falls_as_published():
    isolated = np.sqrt(1 - 0.18 + 0.2 * 1.5 * 0.25)  # |mu|^2 = 1 - a + P
    expected = {2: 1.6e-2, 3: 3.5e-3, 4: 2.0e-4, 5: 3.5e-6, 6: 2.1e-8, 7: 4e-11}
    for distance, error in expected.items():
        game = make([0, distance], generator_lr=1.5, regularization=0.9)
        assert error / 2 < radius(game, game.real_points, "simultaneous") - isolated < error * 2


@pytest.mark.parametrize("width, d, expected", [
    ("min / 5", 5, (1.11, 0.948683, 0.894427)),
    ("min / 3", 5, (1.20, 0.948683, 0.894427)),
    ("min", 5, (15.5, 0.959497, 0.961549)),
    ("median", 5, (3.2e3, 0.999842, 0.999842)),
    ("min", 10, (33.7, 0.983870, 0.984150)),
    ("median", 10, (349, 0.998556, 0.998558)),
])  # fmt: skip
def test_the_means_of_the_digits(width, d, expected):
    datasets = pytest.importorskip("sklearn.datasets")
    from scipy.spatial.distance import pdist

    digits = datasets.load_digits()
    images = digits.data / 16 - np.mean(digits.data / 16, axis=0)
    reduced = images @ np.linalg.svd(images, full_matrices=False)[2][:d].T
    means = np.array([reduced[digits.target == c].mean(axis=0) for c in range(10)])
    mass = np.array([np.mean(digits.target == c) for c in range(10)])
    distances = pdist(means)
    bandwidth = {"min": distances.min(), "median": np.median(distances)}[width.split()[0]]
    bandwidth /= float(width.split("/")[1]) if "/" in width else 1.0
    game = make(means, None, mass, mass, kernel=RBF(bandwidth))
    stiffness = linearisation.conditioning(game)
    game = game.replace(generator_lr=0.5 / stiffness.largest)
    assert stiffness.certain
    assert stiffness.conditioning == pytest.approx(expected[0], rel=0.02)  # published with two or three digits
    assert radius(game, means, "simultaneous") == pytest.approx(expected[1], abs=1e-6)
    assert radius(game, means, "alternating") == pytest.approx(expected[2], abs=1e-6)


# Good minima ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", [*RULES, None])
@pytest.mark.parametrize("weighting", ["loss", "unit"])
@pytest.mark.parametrize("kernel", KERNELS, ids=lambda k: type(k).__name__)
def test_the_modes_of_a_good_minimum_give_the_exact_spectrum(rule, weighting, kernel):
    rng = np.random.default_rng(6)
    mass = rng.uniform(0.5, 1.5, 5) / 5
    points = rng.normal(size=(5, 2))
    game = make(points, None, mass, mass, kernel=kernel, weighting=weighting, generator_lr=0.8, regularization=0.9)
    momentum = MOMENTUM.get(rule, 0.0)
    J = jacobian(game, points)
    matrix = J / game.discriminator_lr if rule is None else update_map(J, 10, rule, momentum)
    rest = good_minimum.disc_multipliers(game.forgetting, rule, momentum)
    rest = rest / game.discriminator_lr if rule is None else rest
    spectrum = spectrum_at(game, points, rule, momentum)
    values = spectrum.eigenvalues if rule is None else spectrum.multipliers
    # Double roots cost half the digits; near them a little less.
    assert largest_distance(values, np.concatenate([np.linalg.eigvals(matrix), rest])) < 1e-8


def test_unit_weighting_is_loss_weighting_with_a_rate_per_mass():
    points = np.random.default_rng(7).normal(size=(4, 2))
    loss, unit = (make(points, weighting=w, generator_lr=g) for w, g in (("loss", 2.0), ("unit", 0.5)))
    for rule in RULES:
        first, second = (spectrum_at(g, points, rule, MOMENTUM[rule]).multipliers for g in (loss, unit))
        assert largest_distance(first, second) < 1e-13


def test_the_best_rates_of_alternating_updates_are_the_best():
    # Against the numerical optimum, which knows only the multipliers.
    for kappa in (1.0, 1.5, 9.9, 349.0):
        for rule in ("alternating", "simultaneous"):
            best = linearisation.best_rates(kappa * 0.3, 0.3, rule)
            forgetting, coupling, radius = good_minimum._numerical_best(kappa, rule, 0.0)
            assert best["spectral_radius"] == pytest.approx(radius, abs=1e-9)
            assert best["forgetting"] == pytest.approx(forgetting, rel=1e-6)
            assert best["lr_product"] == pytest.approx(coupling / 0.3, rel=1e-6)
    assert linearisation.best_rates(9.9, 1.0)["spectral_radius"] == pytest.approx(0.5177, abs=1e-4)
    assert linearisation.best_rates(9.9, 1.0, "simultaneous")["spectral_radius"] == pytest.approx(0.905, abs=2e-3)


def test_the_best_rates_reach_their_radius_in_the_exact_spectrum():
    points = np.random.default_rng(8).normal(size=(4, 2))
    game = make(points)
    stiffness = linearisation.conditioning(game)
    for rule in RULES:
        best = linearisation.best_rates(stiffness.largest, stiffness.smallest, rule, MOMENTUM[rule])
        rates = dict(regularization=best["forgetting"] / 0.2, generator_lr=best["lr_product"] / 0.2)
        tuned = game.replace(discriminator_lr=0.2, **rates)
        momentum = MOMENTUM[rule]
        matrix = update_map(jacobian(tuned, points), points.size, rule, momentum)
        # A double root at the optimum: half the digits.
        assert np.abs(np.linalg.eigvals(matrix)).max() == pytest.approx(best["spectral_radius"], abs=2e-6)


def test_coinciding_points_make_the_matrix_singular_and_need_no_care():
    # Two true points in one place: the relative mode of their partners is neutral, the extra eigenvalue is -a.
    points = np.array([[0.0, 0.0], [0.0, 0.0], [1.5, 0.3]])
    game = make(points)
    modes = linearisation.good_minimum_modes(game)
    np.testing.assert_allclose(modes[-2:], 0, atol=1e-16)
    spectrum = spectrum_at(game, points, "alternating")
    matrix = update_map(jacobian(game, points), 6, "alternating")
    assert largest_distance(spectrum.multipliers, np.append(np.linalg.eigvals(matrix), 0.8)) < 1e-8
    assert linearisation.neutral_modes(game, points, spectrum) == 2
    assert spectrum.label.startswith("stable")
    assert np.isinf(linearisation.conditioning(game).conditioning) or not linearisation.conditioning(game).certain


@pytest.mark.parametrize("shape", [(1, 1), (6, 1), (1, 3), (3, 64)])
def test_any_number_of_points_and_axes(shape):
    points = np.random.default_rng(9).normal(size=shape)
    game = make(points, kernel=RBF(1.5))
    for rule in ("alternating", "simultaneous"):
        matrix = update_map(jacobian(game, points), points.size, rule)
        found = spectrum_at(game, points, rule).multipliers
        assert largest_distance(found, np.append(np.linalg.eigvals(matrix), 0.8)) < 1e-7  # nearly equal modes
    if shape[0] == 1:  # one isolated neighbourhood: |mu|^2 = 1 - a + P
        assert radius(game, points, "simultaneous") == pytest.approx(np.sqrt(0.8 + 0.2 * 0.5 / 1.5**2), rel=1e-14)


def test_a_permuted_start_gets_its_partners():
    points, mass = np.array([[0.0], [2.0], [4.0], [6.0]]), [0.1, 0.2, 0.1, 0.6]
    game = make(points, points[[3, 2, 0, 1]] + 0.1, mass, [0.6, 0.1, 0.1, 0.2])
    found = equilibria.equilibrium(game)
    np.testing.assert_array_equal(found.state, points[[3, 2, 0, 1]])
    assert found.label == "good_minimum"
    assert good_minimum.good_minimum(make(points, None, mass, [0.25] * 4)) is None
    # Two generated points may also share a true one.
    shared = make([0, 3], [0.0, 0.0, 3.0], [0.5, 0.5], [0.2, 0.3, 0.5])
    assert good_minimum.matches_data(shared, shared.generated_points)
    assert not good_minimum.matches_data(shared, np.array([[0.0], [3.0], [3.0]]))


@pytest.mark.parametrize("bandwidth, certain", [(0.7, True), (3.0, False)])
def test_both_ends_by_lanczos_agree_with_the_whole_decomposition(bandwidth, certain, monkeypatch):
    grid = np.stack(np.meshgrid(np.arange(15.0), np.arange(15.0)), -1).reshape(-1, 2)
    points = grid + 0.2 * np.random.default_rng(10).normal(size=grid.shape)
    game = make(points, kernel=RBF(bandwidth))
    whole = linearisation.conditioning(game)
    monkeypatch.setattr(good_minimum, "DENSE", 10)
    ends = linearisation.conditioning(game)
    assert ends.largest == pytest.approx(whole.largest, rel=1e-12)
    np.testing.assert_allclose(ends.values[:3], whole.values[:3], rtol=1e-9)
    assert ends.smallest >= whole.values[-1] * (1 - 1e-9)
    assert ends.certain == certain == (whole.conditioning < 1e3)
    if certain:
        assert ends.smallest == pytest.approx(whole.smallest, rel=1e-4)
    first = spectrum_at(game, points, "alternating")
    monkeypatch.setattr(good_minimum, "DENSE", 3000)
    second = spectrum_at(game, points, "alternating")
    if certain:
        assert abs(first.multipliers[0]) == pytest.approx(abs(second.multipliers[0]), abs=1e-6)
    else:
        assert abs(first.multipliers[0]) <= abs(second.multipliers[0]) + 1e-12  # a bound: the slowest is no faster


@pytest.mark.parametrize("rule", [*RULES, None])
def test_leading_values_by_arnoldi_are_those_of_the_matrix(rule):
    rng = np.random.default_rng(11)
    real = rng.normal(size=(8, 2)) * 2
    game = make(real, real[rng.integers(0, 8, 30)] + 0.2 * rng.normal(size=(30, 2)))
    points = equilibria.descend(game, game.generated_points)
    whole = linearisation._dense_values(game, points, rule, MOMENTUM.get(rule, 0.0))
    found = linearisation._leading_values(game, points, rule, MOMENTUM.get(rule, 0.0), 6)
    assert len(found) == 6
    for value in found:
        assert np.min(np.abs(whole - value)) < 1e-8
    size = (lambda v: v.real) if rule is None else np.abs
    assert np.max(size(found)) == pytest.approx(np.max(size(whole)), abs=1e-8)


# Equilibria -----------------------------------------------------------------------------------------------------------


def test_the_residual_and_its_slope_are_derivatives_of_the_distance():
    rng = np.random.default_rng(12)
    mass = np.array([0.2, 0.3, 0.6])
    for kernel in KERNELS:
        game = make(rng.normal(size=(4, 2)), rng.normal(size=(3, 2)), None, mass, kernel=kernel, regularization=0.7)
        z = game.generated_points.ravel()

        def height(z, game=game):
            flat = z.reshape(-1, 6)
            return np.array([equilibria.mmd_squared(game, v.reshape(3, 2)) for v in flat]).reshape(*z.shape[:-1], 1)

        def residual(z, game=game):
            flat = z.reshape(-1, 6)
            return np.array([equilibria.residual(game, v.reshape(3, 2)).ravel() for v in flat]).reshape(z.shape)

        slope = numerical_jacobian(height, z)[0]
        np.testing.assert_allclose(-2 * np.repeat(mass, 2) * residual(z), slope, atol=1e-10)
        bend = numerical_jacobian(residual, z)
        np.testing.assert_allclose(equilibria.residual_slope(game, z.reshape(3, 2)), bend, atol=1e-10)
        values = np.linalg.eigvals(-np.repeat(mass, 2)[:, None] * bend / 0.7)
        np.testing.assert_allclose(equilibria.stiffness(game, z.reshape(3, 2)), np.sort(values.real), atol=1e-9)


@pytest.mark.parametrize("m, d, p, q, expected, turns", [
    (2, 1, 0.4, 0.5, 0.38569725, 0),
    (3, 2, 0.4, 0.6, 0.63676142, 1),
    (4, 3, 0.3, 0.5, 0.78293726, 3),
    (3, 5, 0.4, 0.6, 0.63676142, 7),  # a plane in five axes and an angle in it
])  # fmt: skip
def test_surplus_points_split_into_a_simplex(m, d, p, q, expected, turns):
    game = make(np.zeros((1, d)), np.zeros((m, d)), [p], [q / m] * m)
    collapsed = equilibria.equilibrium(game, np.zeros((m, d)))
    assert (collapsed.label, collapsed.stability) == ("saddle", "unstable")
    # From the symmetric start: a seeded displacement lets it go.
    split = equilibria.equilibrium(game)
    np.testing.assert_allclose(np.linalg.norm(split.state, axis=1), expected, atol=1e-8)
    assert expected == pytest.approx(np.sqrt(2 * (m - 1) / (m + 1) * np.log(q / p)), abs=1e-8)
    assert (split.label, split.stability) == ("split", "stable")
    for rule in ("alternating", "simultaneous", None):
        spectrum = spectrum_at(game, split.state, rule)
        assert linearisation.neutral_modes(game, split.state, spectrum) == turns
        assert spectrum.label.startswith("stable")
    assert equilibria.flat_directions(game, split.state) == turns


def test_a_split_state_that_is_not_quite_at_rest_is_still_stable():
    game = make(np.zeros((1, 2)), np.zeros((3, 2)), [0.4], [0.2] * 3)
    rest = equilibria.equilibrium(game).state
    near = rest + 1e-7 * np.random.default_rng(0).normal(size=rest.shape)
    spectrum = spectrum_at(game, near, "alternating")
    assert linearisation.neutral_modes(game, near, spectrum) == 1
    assert spectrum.label.startswith("stable")


def test_points_in_one_place_escape_at_the_published_rate():
    # True points at (+-1, 0): u = (h / lambda) max eig (Hess A + curvature).
    expected = {1: 0.5, 2: 0.0423, 4: 2.854e-3, 8: 1.819e-4}
    for bandwidth, rate in expected.items():
        game = make([[-1, 0], [1, 0]], np.zeros((2, 2)), kernel=RBF(bandwidth), generator_lr=1.0)
        spectrum = spectrum_at(game, np.zeros((2, 2)), "simultaneous")
        largest = np.max(spectrum.multipliers.real)
        assert largest - 1 == pytest.approx(rate, rel=2e-3)
        assert equilibria.equilibrium(game, np.zeros((2, 2))).label == "saddle"


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda k: type(k).__name__)
def test_descent_ends_at_rest_for_every_kernel(kernel):
    rng = np.random.default_rng(13)
    game = make(rng.normal(size=(5, 2)) * 2, rng.normal(size=(3, 2)), kernel=kernel)
    found = equilibria.equilibrium(game)
    assert np.abs(equilibria.residual(game, found.state)).max() < 1e-12
    assert found.label in ("minimum", "split")
    assert equilibria.stiffness(game, found.state)[0] > 0
    assert equilibria.mmd_squared(game, found.state) < equilibria.mmd_squared(game, game.generated_points)


def test_equilibria_ignore_the_learning_rates():
    points = np.array([[0.2], [0.9]])
    slow = make([0, 1], points, [0.6, 0.4], [0.5, 0.5])
    fast = slow.replace(generator_lr=3.0, discriminator_lr=0.5, regularization=2.0)
    np.testing.assert_allclose(equilibria.equilibrium(slow).state, equilibria.equilibrium(fast).state, atol=1e-12)


def test_what_has_no_theory_is_refused():
    rough = make([0, 1], None, kernel=Laplace(1.0))
    for ask in (equilibria.equilibrium, linearisation.good_minimum_modes):
        with pytest.raises(NotApplicable, match="not differentiable"):
            ask(rough)
    free = make([0, 1], None, regularization=0.0)
    with pytest.raises(ParameterError, match="regularization"):
        spectrum_at(free, free.real_points)
    with pytest.raises(ParameterError, match="start"):
        equilibria.equilibrium(make([0, 1]), [[0, 1, 2]])
    with pytest.raises(ParameterError, match="rule"):
        spectrum_at(make([0, 1]), [0, 1], "alternate")
    with pytest.raises(ParameterError, match="momentum"):
        spectrum_at(make([0, 1]), [0, 1], "alternating", 0.2)
    with pytest.raises(NotApplicable, match="match"):
        linearisation.good_minimum_modes(make([0, 1], [0.0, 0.5, 1.0]))
    with pytest.raises(NotApplicable, match="neutral"):
        linearisation.best_rates(1.0, 0.0)


def test_masses_that_do_not_fit_leave_points_split_and_missing():
    # Eight points of mass 1/8 in four places of mass 1/4, placed 1, 2, 2, 3: a missing one, two pairs that balance, and
    # a surplus that stands on a triangle of radius sqrt(ln(q / p)) bandwidth.
    real = np.array([[-2.0, -2.0], [2.0, -2.0], [-2.0, 2.0], [2.0, 2.0]])
    place = np.repeat(np.arange(4), [1, 2, 2, 3])
    start = real[place] + np.random.default_rng(15).uniform(-0.2, 0.2, size=(8, 2))
    game = make(real, start, kernel=RBF(0.5), generator_lr=1.0)
    found = equilibria.equilibrium(game)
    np.testing.assert_allclose(found.state[:5], real[place[:5]], atol=1e-4)  # shifted by the other places
    triangle = found.state[5:] - found.state[5:].mean(axis=0)
    np.testing.assert_allclose(np.linalg.norm(triangle, axis=1), 0.31838071, atol=1e-6)
    assert (found.label, found.stability) == ("split", "stable")
    assert equilibria.mmd_squared(game, found.state) == pytest.approx(0.022938, abs=1e-6)
    # Two relative motions in each pair, and the triangle turns.
    assert linearisation.neutral_modes(game, found.state, found.spectrum) == 5


def test_balanced_points_find_the_bottom_of_their_flat_valley():
    # Forces fall with the cube of the distance: only putting the points on the true one ends the descent.
    game = make(np.zeros((1, 2)), [[0.3, 0.1], [-0.2, 0.1], [0.1, 0.2]], [1.0], [0.5, 0.25, 0.25])
    found = equilibria.equilibrium(game)
    np.testing.assert_array_equal(found.state, 0.0)
    assert (found.label, found.stability) == ("good_minimum", "stable")
    assert linearisation.neutral_modes(game, found.state, found.spectrum) == 4


def test_a_point_out_of_reach_rests_where_it_is():
    game = make([0.0, 1.0], [0.1, 60.0])
    found = equilibria.equilibrium(game, game.generated_points)
    assert found.state[1, 0] == 60.0
    assert equilibria.flat_directions(game, found.state) >= 1
    assert np.abs(equilibria.residual(game, found.state)).max() < 1e-13


def test_critical_damping_is_not_a_spiral():
    # P = a^2 / 4: a double root, which rounding splits into a pair with a tiny angle.
    game = make([0.3], generator_lr=0.2 / 4 / 1.0, regularization=1.0)
    for points in (game.real_points, game.real_points + 1e-11):  # the closed form, and the matrix
        spectrum = spectrum_at(game, points, "simultaneous")
        assert spectrum.label == "stable_node"
        assert abs(spectrum.multipliers[0]) == pytest.approx(0.9, abs=1e-6)


# Linear trajectories --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", [*RULES, "flow"])
@pytest.mark.parametrize("start", ["zero", "equilibrium"])
def test_linear_trajectories_are_powers_of_the_matrix(rule, start):
    game = make([0, 1], [0.05, 0.8], [0.6, 0.4], [0.5, 0.5], initial_discriminator=start)
    star, momentum = equilibria.equilibrium(game).state, MOMENTUM.get(rule, 0.0)
    numbers = [0, 1, 2, 3, 10, 50]
    found = linearisation.linear_trajectory(game, star, numbers, rule, momentum)
    y = -linearisation.discriminator_gradients(game, star)
    if start == "equilibrium":
        y = y + linearisation.discriminator_gradients(game, game.generated_points, at=star)
    state = np.concatenate([(game.generated_points - star).ravel(), y.ravel()])
    J = jacobian(game, star)
    matrix = expm(J) if rule == "flow" else update_map(J, 2, rule, momentum)
    # Rules with a memory start as if the step before had led to the same place.
    state = np.tile(state, len(matrix) // 4)
    for number, points in zip(numbers, found, strict=True):
        expected = np.linalg.matrix_power(matrix, number) @ state
        np.testing.assert_allclose((points - star).ravel(), expected[:2], atol=1e-14)
    if rule == "flow":
        halves = linearisation.linear_trajectory(game, star, [0.5, 1.25, 2.0], "flow")
        np.testing.assert_allclose((halves[1] - star).ravel(), (expm(1.25 * J) @ state)[:2], atol=1e-14)
        np.testing.assert_allclose(halves[2], found[2], atol=1e-14)
    else:
        with pytest.raises(ParameterError, match="iterations"):
            linearisation.linear_trajectory(game, star, [0.5], rule, momentum)


@pytest.mark.parametrize("rule", RULES)
def test_linear_trajectories_follow_the_map_of_features(rule):
    # The error is quadratic in the displacement: 1e-5 squared, times the number of steps.
    rng = np.random.default_rng(14)
    kernel = Waves(rng.normal(size=(10, 1)), np.full(10, 0.1))
    game = stand_in([[0.0], [1.1]], [[0.1], [0.9]], [0.6, 0.4], [0.5, 0.5], kernel)
    star, momentum = equilibria.newton(game, game.generated_points).state, MOMENTUM[rule]
    game.generated_points, game.initial_discriminator = star + np.array([[1e-5], [-2e-5]]), "equilibrium"
    values, _ = features_of(kernel, game.generated_points)
    theta = game.real_mass @ features_of(kernel, game.real_points)[0] - game.generated_mass @ values
    w = before = np.concatenate([game.generated_points.ravel(), theta])
    path = [w]
    for _ in range(30):
        w, before = feature_step(game, kernel, rule, momentum, w, before), w
        path.append(w)
    found = linearisation.linear_trajectory(game, star, range(31), rule, momentum)
    np.testing.assert_allclose(found[..., 0], np.array(path)[:, :2], atol=1e-9)
