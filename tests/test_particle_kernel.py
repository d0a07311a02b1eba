"""Kernels of generators: Gaussian averages, wide-network predictions, measured kernels, angular spectra."""

import dataclasses
import math
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import ive

from ganscope.core.errors import NotApplicable, ParameterError
from ganscope.games.kernel.kernels import RBF, Laplace, Matern32
from ganscope.games.particle.cloud.angular import angular_spectrum, distance_angle_kernel, network_angle_kernel
from ganscope.games.particle.generator import jax_activations
from ganscope.games.particle.generator.activations import ACTIVATIONS, moments
from ganscope.games.particle.generator.empirical import (
    KernelMeasurementWarning,
    empirical_kernel,
    full_kernel,
    kernel_product,
)
from ganscope.games.particle.generator.network_kernel import KernelSpreadWarning, network_kernel, ntk
from ganscope.games.particle.generator.wide import WideGenerator

SMOOTH = [a for a in ACTIVATIONS if a not in ("relu", "leaky_relu", "linear")]


# Gaussian averages.


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_gaussian_averages_match_monte_carlo_with_the_functions_of_the_training_code(activation):
    q1, q2, c = 1.7, 0.6, -0.35
    noise = np.random.default_rng(1).normal(size=(2, 10**6))
    u = math.sqrt(q1) * noise[0]
    v = c / math.sqrt(q1) * noise[0] + math.sqrt(q2 - c**2 / q1) * noise[1]
    phi = jax_activations.jax_activation(activation, 0.2)
    slope = jax.vmap(jax.grad(phi))
    expected = moments(activation, q1, q2, c, 0.2)
    for f, exact in ((phi, expected.values), (slope, expected.slopes)):
        product = np.float64(f(jnp.float32(u))) * np.float64(f(jnp.float32(v)))
        error = product.std() / math.sqrt(len(u))
        assert abs(product.mean() - exact) < 4.5 * error + 1e-6


@pytest.mark.parametrize("activation", SMOOTH)
@pytest.mark.parametrize("q1, q2, cosine", [(0.5, 0.5, 1.0), (0.3, 0.6, -0.4), (0.4, 0.2, 0.9)])
def test_gaussian_averages_match_gauss_hermite_quadrature(activation, q1, q2, cosine):
    nodes, weights = np.polynomial.hermite_e.hermegauss(120)
    weights = np.outer(weights, weights) / (2 * np.pi)
    a, b = nodes[:, None], nodes[None, :]
    u = math.sqrt(q1) * a + 0 * b
    v = math.sqrt(q2) * (cosine * a + math.sqrt(1 - cosine**2) * b)
    with jax.enable_x64(True):
        phi = jax_activations.jax_activation(activation)
        orders = [phi, jax.grad(phi), jax.grad(jax.grad(phi))]
        tables = [[np.asarray(jax.vmap(jax.vmap(f))(jnp.asarray(x))) for x in (u, v)] for f in orders]
    exact = moments(activation, q1, q2, cosine * math.sqrt(q1 * q2))
    for (left, right), value in zip(tables, exact, strict=True):
        # Quadrature is the less accurate side: poles of tanh at distance pi / 2 slow it down.
        assert value == pytest.approx(np.sum(weights * left * right), rel=2e-8, abs=1e-9)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("q1, q2, cosine", [(1.3, 0.7, 0.4), (30.0, 80.0, -0.6), (1e6, 3e5, 0.9), (1e-3, 3e-3, 0.2)])
def test_each_average_is_the_derivative_of_the_one_before(activation, q1, q2, cosine):
    scale = math.sqrt(q1 * q2)
    step = 1e-4 * scale
    c = cosine * scale
    up, down = moments(activation, q1, q2, c + step), moments(activation, q1, q2, c - step)
    here = moments(activation, q1, q2, c)
    assert (up.values - down.values) / (2 * step) == pytest.approx(here.slopes, rel=1e-6, abs=1e-9 / scale)
    assert (up.slopes - down.slopes) / (2 * step) == pytest.approx(here.bends, rel=1e-6, abs=1e-10 / scale)


def test_limits_at_parallel_inputs_are_exact():
    q = np.array([1e-20, 0.3, 7.0, 1e20])
    same, opposite = moments("relu", q, q, q), moments("relu", q, q, -q)
    assert np.array_equal(same.values, q / 2)
    assert np.array_equal(same.slopes, np.full(4, 0.5))
    assert np.array_equal(opposite.slopes, np.zeros(4))
    assert np.all(np.abs(opposite.values) < 1e-15 * q)
    leaky = moments("leaky_relu", q, q, q, 0.3)
    assert leaky.values == pytest.approx((1 + 0.09) * q / 2, rel=1e-15)
    assert moments("leaky_relu", q, q, q, 1.0).values == pytest.approx(q, rel=1e-15)
    for activation in ACTIVATIONS:
        assert np.all(np.isfinite(moments(activation, q, q, q * (1 + 1e-12)).values))


def test_averages_of_large_variances_reach_the_limits_of_sign_step_and_relu():
    q, c = 1e16, -0.3e16
    angle = math.asin(-0.3)
    assert moments("tanh", q, q, c).values == pytest.approx(2 / math.pi * angle, rel=1e-12)
    assert moments("erf", q, q, c).values == pytest.approx(2 / math.pi * angle, rel=1e-12)
    assert moments("sigmoid", q, q, c).values == pytest.approx(0.25 + angle / (2 * math.pi), rel=1e-12)
    for activation in ("gelu", "softplus"):
        assert moments(activation, q, q, c) == pytest.approx(moments("relu", q, q, c), rel=1e-12)


# Kernels of wide networks.

WORKED = [
    (1, "relu", 2, 0, 4, 0.6366197724, 0.1591549431, 2),
    (2, "relu", 2, 0, 6, 1.3714172726, 0.2285695454, 1.9162261),
    (3, "relu", 2, 0, 8, 2.1207762136, 0.2650970267, 1.8251462),
    (10, "relu", 2, 0, 22, 6.9587534240, 0.3163069738, None),
    (100, "relu", 2, 0, 202, 55.0442514468, 0.2724962943, None),
    (1, "relu", 2, 0.1, 4.3, 0.8707251198, 0.2024942139, 2.0910030),
    (2, "relu", 2, 0.1, 6.6, 1.8001372924, 0.2727480746, 2.0796233),
    (1, "erf", 1, 0, 1.0339690891, 0, 0, 0.8488264),
    (1, "erf", 1, 0.2, None, None, 0.2628706405, None),
    (1, "tanh", 1.5, 0.1, 1.7425092, 0.1811724, 0.1039721, 1.2191260),
    (2, "tanh", 1.5, 0.1, 1.9454122, 0.2992601, 0.1538286, 1.1381651),
    (2, "gelu", 2, 0, 5.3874536, 0.8606785, 0.1597561, None),
    (2, "sin", 1, 0.1, 1.2039387, 0.2751938, 0.2285778, None),
]


@pytest.mark.parametrize("depth, activation, weights, biases, same, cross, ratio, slope", WORKED)
def test_worked_kernel_numbers(depth, activation, weights, biases, same, cross, ratio, slope):
    kernel = network_kernel(depth, activation, weights, biases)
    found = (kernel.same_kernel, kernel.cross_kernel, kernel.ratio, kernel.slope)
    for value, expected in zip(found, (same, cross, ratio, slope), strict=True):
        assert expected is None or value == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_kernel_numbers_are_those_of_the_kernel_between_latents(activation):
    kernel = network_kernel(3, activation, 1.3, 0.2, 0.7, 0.15)
    assert kernel.at(1.0) == pytest.approx(kernel.same_kernel, rel=1e-13)
    assert kernel.at(0.0) == pytest.approx(kernel.cross_kernel, rel=1e-13)
    assert kernel.ratio == pytest.approx(kernel.cross_kernel / kernel.same_kernel, rel=1e-13)
    step = 1e-4
    slope = (kernel.at(step) - kernel.at(-step)) / (2 * step)
    assert kernel.slope == pytest.approx(slope, rel=1e-7, abs=1e-9)
    assert kernel.relative_slope == pytest.approx(kernel.slope / kernel.same_kernel, rel=1e-13)


def test_the_kernel_of_two_inputs_takes_any_norms_and_shapes():
    q1, q2, cosine = np.array([[0.2], [1.5]]), np.array([0.4, 1.0, 3.0]), 0.3
    c = cosine * np.sqrt(q1 * q2)
    covariance, tangent = ntk(q1, q2, c, 2, "relu", 2.0, 0.0)
    assert covariance.shape == tangent.shape == (2, 3)
    # Without biases relu networks are homogeneous of degree one in each input.
    assert tangent == pytest.approx(network_kernel(2).at(cosine) * np.sqrt(q1 * q2), rel=1e-13)
    for activation in ACTIVATIONS:
        there = ntk(0.4, 1.1, 0.2, 3, activation, 1.2, 0.3)
        back = ntk(1.1, 0.4, 0.2, 3, activation, 1.2, 0.3)
        assert there == pytest.approx(back, rel=1e-12)
        kernel = network_kernel(3, activation, 1.2, 0.3, 0.8)
        assert ntk(0.8, 0.8, -0.4, 3, activation, 1.2, 0.3) == pytest.approx((kernel.nngp(-0.5), kernel.at(-0.5)))
    assert ntk(0.0, 1.0, 0.0, 2, "relu", 2.0, 0.0) == (0.0, 0.0)


def test_relu_has_kernel_twice_its_layers_and_its_ratio_peaks_at_eleven():
    kernels = [network_kernel(depth) for depth in range(1, 41)]
    assert [k.same_kernel for k in kernels] == pytest.approx([2 * (k.depth + 1) for k in kernels], rel=1e-13)
    best = max(kernels, key=lambda k: k.ratio)
    assert (best.depth, best.ratio) == (11, pytest.approx(0.3164374, abs=1e-7))
    assert network_kernel(300).ratio == pytest.approx(0.25930, abs=5e-6)
    # From the same recursion in 50 digits.
    assert network_kernel(10000).ratio == pytest.approx(0.2504174106123, rel=1e-8)


@pytest.mark.parametrize("activation", ["linear", "erf", "tanh", "sin"])
@pytest.mark.parametrize("depth", [1, 4, 200])
def test_odd_activations_without_biases_leave_particles_uncoupled(activation, depth):
    kernel = network_kernel(depth, activation, 1.1)
    assert kernel.cross_kernel == 0.0
    assert kernel.coupling(50) == 1.0
    assert network_kernel(depth, activation, 1.1, 0.1).cross_kernel > 0


@pytest.mark.parametrize("activation", ["relu", "tanh", "erf", "gelu", "softplus"])
def test_biases_increase_the_ratio(activation):
    ratios = [network_kernel(2, activation, 1.5, b).ratio for b in (0.0, 0.05, 0.2, 1.0, 5.0)]
    assert np.all(np.diff(ratios) > 0)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("weights, biases", [(0.5, 0.0), (2.0, 0.0), (2.0, 0.1), (20.0, 0.3)])
def test_deepest_networks_give_numbers_not_nonsense(activation, weights, biases):
    kernel = network_kernel(10000, activation, weights, biases)
    assert 0 <= kernel.ratio <= 1
    assert kernel.relative_slope >= 0
    assert kernel.coupling(64) >= 1
    assert not any(math.isnan(x) for x in (kernel.same_kernel, kernel.cross_kernel, kernel.slope))


def test_depth_neither_over_nor_underflows_the_ratio():
    # Without biases the variance of weights is a mere scale for relu and linear networks.
    reference = network_kernel(10000, "relu", 2.0)
    for weights in (0.5, 5.0):
        kernel = network_kernel(10000, "relu", weights)
        assert (kernel.ratio, kernel.relative_slope) == pytest.approx(
            (reference.ratio, reference.relative_slope), rel=1e-8
        )
    assert network_kernel(2000, "relu", 5.0).same_kernel == math.inf
    assert network_kernel(2000, "relu", 0.5).same_kernel == 0.0
    # Kernels that grow or shrink without bound behave as their limits, linear and relu.
    assert network_kernel(3000, "gelu", 5.0).ratio == pytest.approx(network_kernel(3000, "relu").ratio, rel=0.01)
    assert 0 < network_kernel(3000, "gelu", 1.0).ratio < 1
    with pytest.raises(ParameterError, match="weight_variance"):
        network_kernel(2000, "relu", 5.0).at(0.3)


def test_coupling_and_its_finite_size_corrections():
    kernel = network_kernel(1)
    assert kernel.coupling(64) == pytest.approx(13.1139040709, rel=1e-9)
    assert network_kernel(2).coupling(48) == pytest.approx(15.2220703312, rel=1e-9)
    assert kernel.rate_spread(64, 256) == pytest.approx(0.297, abs=5e-4)
    with pytest.warns(KernelSpreadWarning, match="latent_dimension"):
        assert network_kernel(2, "tanh", 1.5, 0.1).rate_spread(128, 256) == pytest.approx(0.489, abs=5e-4)
    assert network_kernel(2).cross_spread(16) == pytest.approx(0.479, abs=5e-4)
    assert kernel.fresh_coupling(64) == pytest.approx(20.37, abs=0.005)
    pool = kernel.effective_particles(64)
    assert pool == pytest.approx(64 * (kernel.same_kernel - kernel.cross_kernel) / kernel.slope, rel=1e-12)
    assert kernel.fresh_coupling(64) == pytest.approx(pool * kernel.ratio / (1 - kernel.ratio), rel=1e-12)
    assert network_kernel(1, "cos", 1.0).effective_particles(10) == math.inf
    rigid = network_kernel(500, "sigmoid")
    with pytest.raises(NotApplicable, match="rigid"):
        rigid.rate_spread(8, 512)


def test_coupling_with_fresh_latents_is_the_ratio_of_two_eigenvalues_on_the_sphere():
    # Eigenvalues of the kernel as an operator on the sphere, of degree 0 and 1: weight (1 - c^2)^((d - 3) / 2).
    kernel, dimension = network_kernel(1), 64
    cosines, weights = np.polynomial.legendre.leggauss(400)
    weights = weights * (1 - cosines**2) ** ((dimension - 3) / 2)
    values = kernel.at(cosines) * weights
    exact = values.sum() / (values * cosines).sum()
    assert exact == pytest.approx(20.9, abs=0.05)
    assert kernel.fresh_coupling(dimension) == pytest.approx(exact, rel=2 / dimension)


def test_spread_of_the_cross_kernel_over_random_pairs():
    kernel = network_kernel(2, "tanh", 1.5, 0.1)
    z = np.random.default_rng(0).normal(size=(2, 4000, 100))
    z /= np.linalg.norm(z, axis=2, keepdims=True)
    measured = kernel.at(np.sum(z[0] * z[1], axis=1)).std()
    assert measured == pytest.approx(kernel.cross_spread(100), rel=4.5 / math.sqrt(2 * 4000))


@pytest.mark.parametrize(
    "name, value",
    [
        ("depth", 0),
        ("depth", 10001),
        ("depth", 1.5),
        ("depth", True),
        ("depth", "2"),
        ("depth", math.nan),
        ("activation", "rely"),
        ("activation", None),
        ("weight_variance", 0),
        ("weight_variance", -1),
        ("weight_variance", math.inf),
        ("bias_variance", -0.1),
        ("bias_variance", math.nan),
        ("latent_norm", 0.0),
        ("latent_norm", 1e31),
        ("negative_slope", math.nan),
        ("negative_slope", "a"),
    ],
)
def test_bad_parameters_of_a_network_are_refused_by_name(name, value):
    with pytest.raises(ParameterError, match=f"^{name} = "):
        network_kernel(**{name: value})
    with pytest.raises(ParameterError, match=f"^{name} = "):
        WideGenerator(2, **{name: value})


def test_bad_arguments_of_a_kernel_are_refused_by_name():
    kernel = network_kernel()
    for call, name in (
        (lambda: kernel.coupling(1), "particles"),
        (lambda: kernel.rate_spread(2.5, 10), "particles"),
        (lambda: kernel.rate_spread(10, 1), "latent_dimension"),
        (lambda: kernel.cross_spread(0), "latent_dimension"),
        (lambda: kernel.effective_particles(None), "latent_dimension"),
        (lambda: kernel.at(1.1), "cosine"),
        (lambda: kernel.nngp([0.0, math.nan]), "cosine"),
        (lambda: ntk(-1.0, 1.0, 0.0), "q1"),
        (lambda: ntk(1.0, 1.0, 1.5), "c12"),
        (lambda: ntk(np.ones(2), np.ones(3), 0.0), "q1, q2, c12"),
        (lambda: moments("tan", 1.0, 1.0, 0.0), "activation"),
    ):
        with pytest.raises(ParameterError, match=f"^{name} = "):
            call()


# Activation functions for JAX.


@pytest.mark.parametrize("fast, exact", [(jax_activations.sin, np.sin), (jax_activations.cos, np.cos)])
def test_fast_sine_is_accurate_up_to_a_thousand_and_bounded_beyond(fast, exact):
    x = np.concatenate([np.linspace(-1000, 1000, 400_001), np.linspace(-7, 7, 100_001)]).astype(np.float32)
    for function in (fast, jax.jit(fast)):
        assert np.max(np.abs(np.float64(function(x)) - exact(np.float64(x)))) < 2e-7
    huge = np.asarray(fast(jnp.float32([1e9, -3e20, np.inf, np.nan])))
    assert np.all(np.abs(huge[:2]) <= 1)
    assert np.all(np.isnan(huge[2:]))


@pytest.mark.parametrize("name", ["sin", "cos", "softplus", "gelu", "tanh"])
def test_fast_functions_and_two_derivatives_match_double_precision(name):
    x = np.linspace(-9, 9, 2001)
    fast = jax_activations.ACTIVATIONS[name]
    plain = {"sin": jnp.sin, "cos": jnp.cos, "softplus": jax.nn.softplus, "tanh": jnp.tanh}
    exact = plain.get(name, lambda x: jax.nn.gelu(x, approximate=False))
    for order in range(3):
        f, g = fast, exact
        for _ in range(order):
            f, g = jax.grad(f), jax.grad(g)
        with jax.enable_x64(True):
            expected = np.asarray(jax.vmap(g)(jnp.asarray(np.float64(np.float32(x)))))
        assert np.max(np.abs(np.asarray(jax.vmap(f)(jnp.float32(x))) - expected)) < 2e-6


def test_derivatives_of_the_fast_sine_work_in_every_transformation():
    x = jnp.float32([0.3, -40.0, 2.0])
    value, tangent = jax.jvp(jax_activations.sin, (x,), (jnp.ones_like(x),))
    assert np.allclose(tangent, np.cos(np.float64(x)), atol=3e-6)  # the argument itself is rounded to 4e-6 at 40
    hessian = jax.hessian(lambda x: jnp.sum(jax_activations.sin(x)))(x)
    assert np.allclose(np.diag(hessian), -np.asarray(value), atol=1e-6)
    assert np.allclose(jax.jit(jax.vmap(jax.grad(jax.grad(jax_activations.cos))))(x), -np.cos(np.float64(x)), atol=3e-6)


# A wide generator.


def test_a_wide_generator_is_reproducible_and_its_latents_lie_on_the_sphere():
    generator = WideGenerator(3, depth=2, width=7, latent_dimension=5, latent_norm=0.4)
    first, second = generator.initial(3, 1), generator.initial(3, 1)
    assert [(w.shape, b.shape) for w, b in first] == [((5, 7), (7,)), ((7, 7), (7,)), ((7, 3), (3,))]
    leaves = jax.tree.leaves(first)
    assert all(np.array_equal(a, b) for a, b in zip(leaves, jax.tree.leaves(second), strict=True))
    assert all(leaf.dtype == np.float32 for leaf in leaves)
    assert not np.array_equal(first[0][0].ravel()[:7], first[1][0].ravel()[:7])
    assert not np.array_equal(generator.initial(3, 2)[0][0], first[0][0])
    z = generator.latents(11, 3, 1)
    assert np.array_equal(z[:4], generator.latents(4, 3, 1))
    assert np.sum(np.square(z, dtype=np.float64), axis=1) == pytest.approx(0.4 * 5, rel=1e-6)
    # Independent of the parameters of the same seed and stream.
    weights = generator.initial(3, 1)[0][0].reshape(7, 5)
    cosines = np.sum(z[:7] * weights, axis=1) / np.linalg.norm(weights, axis=1) / math.sqrt(2.0)
    assert np.max(np.abs(cosines)) < 0.99
    assert hash(generator) == hash(dataclasses.replace(generator))


def test_a_wide_generator_is_the_network_it_says():
    generator = WideGenerator(2, depth=2, activation="leaky_relu", width=6, latent_dimension=4, bias_variance=0.3,
                              weight_variance=1.7, negative_slope=0.2)  # fmt: skip
    parameters, z = generator.initial(0), generator.latents(3)
    h = z @ parameters[0][0] * math.sqrt(1.7 / 4) + math.sqrt(0.3) * parameters[0][1]
    for weights, biases in parameters[1:]:
        h = np.where(h > 0, h, 0.2 * h) @ weights * math.sqrt(1.7 / 6) + math.sqrt(0.3) * biases
    assert np.allclose(generator.apply(parameters, z), h, rtol=1e-5, atol=1e-6)
    assert generator.kernel() == network_kernel(2, "leaky_relu", 1.7, 0.3, 1.0, 0.2)
    with pytest.raises(ParameterError, match="latents"):
        generator.apply(parameters, z[:, :3])
    for name, value in (("outputs", 0), ("width", 0), ("latent_dimension", 1)):
        with pytest.raises(ParameterError, match=name):
            WideGenerator(**{"outputs": 1, name: value})


# Measured kernels.


@pytest.fixture(scope="module")
def small():
    """A narrow network, its parameters and latents, and its whole kernel from dense derivatives."""
    generator = WideGenerator(7, depth=2, width=20, latent_dimension=6, bias_variance=0.1)
    parameters, latents = generator.initial(1), generator.latents(9, 1)
    return generator, parameters, latents, dense_kernel(generator.apply, parameters, latents)


def dense_kernel(function, parameters, latents):
    derivative = jax.jacrev(lambda p: function(p, latents))(parameters)
    count = len(latents)
    rows = [np.asarray(leaf, np.float64) for leaf in jax.tree.leaves(derivative)]
    rows = np.concatenate([r.reshape(count, r.shape[1], -1) for r in rows], axis=2)
    return np.einsum("imp,jnp->ijmn", rows, rows)


def quietly(*args, **kwargs):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", KernelMeasurementWarning)
        return empirical_kernel(*args, **kwargs)


@pytest.mark.parametrize("rows_in_memory", [1, 10, 1000])
def test_the_whole_kernel_matches_dense_derivatives_however_little_memory(small, rows_in_memory):
    generator, parameters, latents, dense = small
    size = sum(leaf.size for leaf in jax.tree.leaves(parameters))
    measured = full_kernel(generator.apply, parameters, latents, memory=max(rows_in_memory * size * 4, 31752))
    assert np.allclose(measured, dense, atol=2e-6 * dense.max())
    scalar = quietly(generator.apply, parameters, latents, probes=2, memory=rows_in_memory * size * 4)
    again = quietly(generator.apply, parameters, latents, probes=2)
    assert np.allclose(scalar.matrix, again.matrix, rtol=1e-5, atol=1e-5)


def test_a_measured_kernel_summarises_the_whole_one(small):
    generator, parameters, latents, dense = small
    measured = quietly(generator.apply, parameters, latents, exact=True)
    matrix = np.trace(dense, axis1=2, axis2=3) / 7
    off = matrix[~np.eye(9, dtype=bool)]
    assert measured.exact
    assert np.allclose(measured.matrix, matrix, rtol=1e-5, atol=1e-5)
    assert (measured.same_kernel, measured.same_spread) == pytest.approx(
        (np.diag(matrix).mean(), np.diag(matrix).std())
    )
    assert (measured.cross_kernel, measured.cross_spread) == pytest.approx((off.mean(), off.std()), rel=1e-5)
    outputs = ~np.eye(7, dtype=bool)
    cross = np.sqrt(np.mean(dense[:, :, outputs] ** 2)) / measured.same_kernel
    assert measured.cross_output == pytest.approx(cross, rel=1e-5)
    assert measured.coupling == pytest.approx(
        (measured.same_kernel + 8 * measured.cross_kernel) / (measured.same_kernel - measured.cross_kernel)
    )
    assert measured.coupling_robust == pytest.approx(measured.coupling, rel=1e-9)
    with pytest.raises(ValueError, match="read-only"):
        measured.matrix[0, 0] = 1.0


def test_random_signs_estimate_the_kernel_without_bias(small):
    generator, parameters, latents, _ = small
    exact = quietly(generator.apply, parameters, latents, exact=True)
    runs = [quietly(generator.apply, parameters, latents, probes=3, seed=seed) for seed in range(40)]
    assert not runs[0].exact
    for name, power in (("same_kernel", 1), ("cross_kernel", 1), ("cross_output", 2)):
        values = np.array([getattr(run, name) ** power for run in runs])
        error = values.std(ddof=1) / math.sqrt(len(values))
        assert abs(values.mean() - getattr(exact, name) ** power) < 4.5 * error
    assert np.array_equal(runs[0].matrix, quietly(generator.apply, parameters, latents, probes=3, seed=0).matrix)
    assert not np.array_equal(runs[0].matrix, runs[1].matrix)


def test_one_probe_is_exact_where_outputs_do_not_share_parameters():
    # x = W phi(z) with fixed features: Gamma_ij = phi_i . phi_j times the identity of 12 outputs.
    z = np.random.default_rng(2).normal(size=(6, 4)).astype(np.float32)
    parameters = {"W": np.zeros((12, 4), np.float32), "steps": 3}
    measured = quietly(lambda p, z: z**3 @ p["W"].T, parameters, z, probes=1)
    assert not measured.exact
    assert np.allclose(measured.matrix, z.astype(np.float64) ** 3 @ (z.astype(np.float64) ** 3).T, rtol=1e-5, atol=1e-5)
    assert measured.cross_output < 1e-6


def test_generators_of_one_latent_and_of_many_give_the_same_kernel(small):
    generator, parameters, latents, _ = small
    batch = quietly(generator.apply, parameters, latents)
    single = quietly(lambda p, z: generator.apply(p, z[None])[0], parameters, latents)
    assert np.allclose(single.matrix, batch.matrix, rtol=1e-6)


def test_generators_that_couple_latents_are_differentiated_as_a_whole(small):
    generator, parameters, latents, _ = small

    def normalised(p, z):
        h = generator.apply(p, z)
        return (h - h.mean(axis=0)) / (h.std(axis=0) + 0.1)

    dense = dense_kernel(normalised, parameters, latents)
    assert np.allclose(full_kernel(normalised, parameters, latents), dense, atol=2e-6 * dense.max())


def test_the_kernel_times_a_vector_needs_no_kernel(small):
    generator, parameters, latents, dense = small
    v = np.random.default_rng(0).normal(size=(9, 7))
    moved = kernel_product(generator.apply, parameters, latents, v)
    assert np.allclose(moved, np.einsum("ijmn,jn->im", dense, v), atol=2e-6 * dense.max())
    # It is the motion in one small step of gradient ascent of sum_i v_i . x_i.
    gradient = jax.grad(lambda p: jnp.sum(v.astype(np.float32) * generator.apply(p, latents)))(parameters)
    step = 1e-3
    after = generator.apply(jax.tree.map(lambda p, g: p + step * g, parameters, gradient), latents)
    motion = (np.asarray(after) - np.asarray(generator.apply(parameters, latents))) / step
    assert np.max(np.abs(motion - moved)) < 0.05 * np.max(np.abs(moved))
    with pytest.raises(ParameterError, match="vectors"):
        kernel_product(generator.apply, parameters, latents, v[:, :3])


def test_a_preconditioner_weights_every_parameter(small):
    generator, parameters, latents, dense = small
    twice = jax.tree.map(lambda p: np.full(p.shape, 2.0, np.float32), parameters)
    assert np.allclose(full_kernel(generator.apply, parameters, latents, preconditioner=twice), 2 * dense, rtol=1e-5,
                       atol=1e-4)  # fmt: skip
    v = np.ones((9, 7))
    moved = kernel_product(generator.apply, parameters, latents, v, preconditioner=twice)
    assert np.allclose(moved, 2 * dense.sum(axis=(1, 3)), rtol=1e-5, atol=1e-3)
    for bad in (twice[:2], jax.tree.map(lambda p: -p, twice), jax.tree.map(lambda p: p.ravel()[:1], twice)):
        with pytest.raises(ParameterError, match="preconditioner"):
            full_kernel(generator.apply, parameters, latents, preconditioner=bad)


def test_drift_is_the_relative_change_of_the_kernel(small):
    generator, parameters, latents, _ = small
    before = quietly(generator.apply, parameters, latents)
    scaled = quietly(lambda p, z: math.sqrt(1.5) * generator.apply(p, z), parameters, latents)
    assert scaled.drift(before) == pytest.approx(0.5, rel=1e-5)
    assert before.drift(before) == 0.0
    with pytest.raises(ParameterError, match="other"):
        before.drift(quietly(generator.apply, parameters, latents[:4]))


def complaints(*args):
    with pytest.warns(KernelMeasurementWarning) as record:
        empirical_kernel(*args)
    return " ".join(str(w.message) for w in record)


def test_kernels_that_are_not_two_numbers_are_complained_about():
    one = WideGenerator(1, depth=1, width=64, latent_dimension=64)
    repeated = lambda p, z: jnp.tile(one.apply(p, z), 3)
    assert "between outputs" in complaints(repeated, one.initial(0), one.latents(6))
    few = WideGenerator(1, depth=1, activation="linear", width=256, latent_dimension=2)
    assert "more latent dimensions" in complaints(few.apply, few.initial(0), few.latents(12))
    wide = WideGenerator(1, depth=1, width=512, latent_dimension=256)
    latents = np.array(wide.latents(12))
    latents[0] *= 6
    assert "stand out" in complaints(wide.apply, wide.initial(0), latents)


@pytest.mark.parametrize(
    "name, change",
    [
        ("probes", {"probes": 0}),
        ("probes", {"probes": 1.5}),
        ("seed", {"seed": -1}),
        ("memory", {"memory": 0}),
        ("memory", {"memory": 100}),
        ("latents", {"latents": np.ones(6)}),
        ("latents", {"latents": np.ones((1, 6))}),
        ("latents", {"latents": np.ones((4, 5))}),
        ("latents", {"latents": np.full((4, 6), np.nan)}),
        ("latents", {"latents": "zeros"}),
        ("generator", {"generator": 3}),
        ("generator", {"generator": lambda p, z: jnp.ones((len(z), 2, 2)) * p[0][0][0, 0]}),
        ("generator", {"generator": lambda p, z: jnp.sum(z) * p[0][0][0, 0]}),
        ("generator", {"generator": lambda p, z: z[:, :2] / 0 * p[0][0][0, 0]}),
        ("generator", {"generator": lambda p, z: z}),
        ("parameters", {"parameters": [1, 2], "generator": lambda p, z: z}),
        ("parameters", {"parameters": np.ones(2) * 1j, "generator": lambda p, z: z}),
    ],
)
def test_bad_arguments_of_a_measurement_are_refused_by_name(small, name, change):
    generator, parameters, latents, _ = small
    arguments = {"generator": generator.apply, "parameters": parameters, "latents": latents, **change}
    with pytest.raises(ParameterError, match=f"^{name} = "):
        empirical_kernel(**arguments)


# Wide networks against their limit.


@pytest.mark.parametrize("depth, activation, weights, biases", [(1, "relu", 2.0, 0.0), (2, "tanh", 1.5, 0.1)])
def test_a_wide_network_has_the_two_numbers_of_its_limit(depth, activation, weights, biases):
    # Averaged over outputs and a few networks: one network's same_kernel scatters by several percent.
    generator = WideGenerator(16, depth, activation, 1024, 512, weights, biases)
    pool = 12
    runs = [
        empirical_kernel(generator.apply, generator.initial(s), generator.latents(pool, s), probes=1) for s in range(3)
    ]
    limit = generator.kernel()
    assert np.mean([run.same_kernel for run in runs]) == pytest.approx(limit.same_kernel, rel=0.02)
    assert np.mean([run.cross_kernel for run in runs]) == pytest.approx(limit.cross_kernel, rel=0.02)
    assert max(run.cross_output for run in runs) < 0.03


def test_the_spread_of_the_cross_kernel_falls_as_the_root_of_the_latent_dimension():
    dimensions = (8, 16, 32, 64)
    spreads = []
    for dimension in dimensions:
        generator = WideGenerator(1, 2, width=1024, latent_dimension=dimension)
        spreads.append(quietly(generator.apply, generator.initial(0), generator.latents(40, 1)).cross_spread)
    exponent = np.polyfit(np.log(dimensions), np.log(spreads), 1)[0]
    assert abs(exponent + 0.5) < 0.1
    predicted = [network_kernel(2).cross_spread(dimension) for dimension in dimensions]
    assert np.all(np.abs(np.divide(spreads, predicted) - 1) < 0.25)  # the finite width adds to it


def test_the_spread_of_the_same_kernel_falls_as_the_root_of_the_width():
    widths, networks = (32, 512), 150
    spreads = []
    for width in widths:
        generator = WideGenerator(1, 2, width=width, latent_dimension=64)
        rows = [full_kernel(generator.apply, generator.initial(s), generator.latents(4, s)) for s in range(networks)]
        spreads.append(np.concatenate([np.diagonal(r[:, :, 0, 0]) for r in rows]).std())
    exponent = np.log(spreads[1] / spreads[0]) / np.log(widths[1] / widths[0])
    # 150 independent networks: each spread is good to some 8 %, the exponent to 0.04.
    assert abs(exponent + 0.5) < 0.12
    assert spreads[1] * math.sqrt(512) == pytest.approx(15.2, rel=0.3)


def test_two_number_kernels_have_one_collective_and_many_equal_eigenvalues():
    kernel, count = network_kernel(2), 48
    gamma = np.full((count, count), kernel.cross_kernel) + (kernel.same_kernel - kernel.cross_kernel) * np.eye(count)
    rates = np.linalg.eigvalsh(gamma / count)
    assert rates[:-1] == pytest.approx(np.full(count - 1, 0.0964288068), rel=1e-9)
    assert rates[-1] == pytest.approx(1.4678460794, rel=1e-9)
    assert rates[-1] / rates[0] == pytest.approx(kernel.coupling(count), rel=1e-12)


# Angular spectra.


@pytest.mark.parametrize(
    "activation, weights, expected",
    [
        # c_1, c_4, c_8
        ("relu", 2.0, (0.67396111, 0.02736002, 0.00536489)),
        ("tanh", 1.5, (0.54381, 0.0030540, 4.380e-5)),
        ("sin", 1.0, (0.29262, 3.559e-4, 9.0e-8)),
    ],
)
def test_worked_angular_spectra(activation, weights, expected):
    spectrum = angular_spectrum([1, 4, 8], network_angle_kernel(2, activation, weights, 0.1))
    assert spectrum == pytest.approx(expected, rel=1e-3)


def test_worked_ratios_of_harmonics():
    for activation, weights, ratio in (("erf", 1.5, 1.51e-4), ("softplus", 2.0, 5.6e-8), ("relu", 2.0, 8.0e-3)):
        c1, c8 = angular_spectrum([1, 8], network_angle_kernel(2, activation, weights, 0.1))
        assert c8 / c1 == pytest.approx(ratio, rel=0.01)


@pytest.mark.parametrize("activation, biases, terms", [("relu", 0.0, 2**17), ("relu", 0.1, 2**17), ("gelu", 0.1, 512)])
def test_angular_spectra_match_sums_over_equally_spaced_angles(activation, biases, terms):
    kernel = network_angle_kernel(3, activation, 2.0, biases, fan_in=3, radius=1.4)
    orders = np.arange(10)
    summed = np.fft.rfft(kernel(2 * np.pi * np.arange(terms) / terms)).real[:10] / terms
    # The cusps of relu leave an error of the order of 1 / terms^2 to the sum.
    assert np.max(np.abs(angular_spectrum(orders, kernel) - summed)) < 1e-9 * summed[0]


def test_angular_spectra_of_kernels_of_the_distance():
    orders = np.array([[0, 1, 2], [5, 20, 80]])
    for bandwidth in (2.0, 0.3, 0.005):
        spectrum = angular_spectrum(orders, distance_angle_kernel(RBF(bandwidth), 1.5))
        exact = ive(orders, (1.5 / bandwidth) ** 2)  # exp(-a) I_m(a)
        assert np.max(np.abs(spectrum - exact)) < 1e-12 * exact[0, 0]
    for kernel in (Laplace(0.5), Matern32(0.2)):
        function = distance_angle_kernel(kernel)
        angles = 2 * np.pi * np.arange(2**16) / 2**16
        summed = np.fft.rfft(function(angles)).real / 2**16
        assert angular_spectrum(7, function) == pytest.approx(summed[7], abs=1e-8 * summed[0])
    assert angular_spectrum(3, lambda t: 1 + np.cos(3 * t)) == pytest.approx(0.5, rel=1e-13)


def test_bad_arguments_of_angular_spectra_are_refused_by_name():
    flat = np.ones_like
    for call, name in (
        (lambda: angular_spectrum(-1, flat), "harmonics"),
        (lambda: angular_spectrum(1.5, flat), "harmonics"),
        (lambda: angular_spectrum([1, 10**6], flat), "harmonics"),
        (lambda: angular_spectrum(1, lambda t: 1.0), "kernel_function"),
        (lambda: angular_spectrum(1, lambda t: np.nan * t), "kernel_function"),
        (lambda: network_angle_kernel(fan_in=0), "fan_in"),
        (lambda: network_angle_kernel(radius=-1), "radius"),
        (lambda: network_angle_kernel(activation="rel"), "activation"),
        (lambda: distance_angle_kernel("RBF"), "kernel"),
    ):
        with pytest.raises(ParameterError, match=f"^{name} = "):
            call()
