"""The naive transcription of the kernel model: against worked numbers, finite differences and itself."""

import numpy as np
import pytest
import reference_kernel as reference

KERNELS = {
    "rbf": reference.rbf(0.8),
    "rq": reference.rq(0.8, 1.7),
    "matern32": reference.matern32(0.9),
    "matern52": reference.matern52(0.9),
    "rbf_sum": reference.rbf_sum((0.5, 1.2), (0.3, 0.7)),
    "laplace": reference.laplace(1.1),
}
WORKED = {  # z after 1, 2, 3, 10, 20 steps; one point and one true point, rates .2 and .6, regularization 1.2
    "simultaneous": (0.5, 0.447050185845, 0.350444574709, -0.238172772055, 0.104733698331),
    "alternating": (0.447050185845, 0.356789651379, 0.244854425779, -0.118986632089, 0.026967111211),
    "extragradient": (0.447050185845, 0.364833471422, 0.268931594239, -0.064896174038, 0.008567112526),
    "optimistic": (0.5, 0.39410037169, 0.275608358261, -0.065262968812, 0.006552917571),
    "heavy_ball": (0.5, 0.447050185845, 0.328876701521, -0.261191487497, -0.080634487185),
}


def cloud(rng, d, real=4, generated=6):
    X, Z = rng.normal(size=(real, d)), rng.normal(size=(generated, d))
    return X, rng.dirichlet(np.full(real, 5.0)), Z, rng.dirichlet(np.full(generated, 5.0))


@pytest.mark.parametrize("name", KERNELS)
def test_slope_is_the_derivative_of_the_kernel(name):
    kernel, s, step = KERNELS[name], np.array([0.05, 0.4, 1.7, 6.0]), 1e-5
    slope = (kernel.value(s + step) - kernel.value(s - step)) / (2 * step)
    np.testing.assert_allclose(kernel.slope(s), slope, rtol=2e-6)  # central differences: step^2 plus rounding / step
    assert kernel.value(np.array(0.0)) == pytest.approx(1.0)


@pytest.mark.parametrize("method", reference.METHODS)
def test_worked_trajectories(method):
    one = np.ones(1)
    X, Z = np.zeros((1, 1)), np.full((1, 1), 0.5)
    beta = 0.2 if method == "heavy_ball" else 0.0
    run, _ = reference.run(X, one, Z, one, reference.rbf(1), 0.2, 0.6, 1.2, method, beta=beta, steps=20)
    np.testing.assert_allclose(run[[1, 2, 3, 10, 20], 0, 0], WORKED[method], atol=6e-13)
    assert reference.mmd2(X, one, Z, one, reference.rbf(1)) == pytest.approx(0.235006194831, abs=6e-13)


@pytest.mark.parametrize("name", KERNELS)
def test_best_function_solves_the_inner_problem(name):
    X, p, Z, q = cloud(np.random.default_rng(0), 2)
    kernel, lam = KERNELS[name], 0.7
    best = reference.best_function(X, p, Z, q, kernel, lam)
    mmd2 = reference.mmd2(X, p, Z, q, kernel)
    payoff = p @ best(X) - q @ best(Z) - lam / 2 * best.norm() ** 2
    assert payoff == pytest.approx(mmd2 / (2 * lam), rel=1e-12)
    # -q_j grad f*(z_j) is the gradient of that value.
    step, moved = 1e-6, Z.copy()
    moved[2, 1] += step
    up = reference.mmd2(X, p, moved, q, kernel)
    moved[2, 1] -= 2 * step
    down = reference.mmd2(X, p, moved, q, kernel)
    assert -q[2] * best.gradient(Z)[2, 1] == pytest.approx((up - down) / (2 * step) / (2 * lam), rel=1e-7, abs=1e-9)


def test_discriminator_reaches_the_best_one_when_points_hardly_move():
    X, p, Z, q = cloud(np.random.default_rng(1), 1)
    kernel = reference.rbf(0.7)
    path, f = reference.run(X, p, Z, q, kernel, 0.5, 1e-12, 1.5, "simultaneous", steps=60)
    best = reference.best_function(X, p, path[-1], q, kernel, 1.5)
    difference = reference.combine((1, f), (-1, best))
    assert difference.norm() < 1e-6  # the root of rounding in the squared norm; points move by 1e-11


@pytest.mark.parametrize("method", ["alternating", "simultaneous"])
@pytest.mark.parametrize("d", [1, 2])
def test_fourier_features_and_window_give_the_same_path(method, d):
    X, p, Z, q = cloud(np.random.default_rng(2), d)
    path, f = reference.run(X, p, Z, q, reference.rbf(0.8), 0.2, 0.6, 1.2, method, steps=30)
    grid = reference.grid_frequencies(0.8, d, 6.0)
    by_features, theta = reference.feature_loop(X, p, Z, q, grid, 0.2, 0.6, 1.2, 30, method)
    np.testing.assert_allclose(by_features, path, atol=1e-12)
    np.testing.assert_allclose(reference.features_of(Z, *grid) @ theta, f(Z), atol=1e-12)
    if method == "alternating":
        windowed = reference.windowed_loop(X, p, Z, q, 0.8, 0.2, 0.6, 1.2, 30, 30)
        np.testing.assert_allclose(windowed, path, atol=1e-12)


def test_flow_is_the_limit_of_small_steps():
    X, p, Z, q = cloud(np.random.default_rng(3), 1)
    for weighting, f0 in (("loss", "zero"), ("unit", "equilibrium")):
        end = reference.flow(X, p, Z, q, 0.8, 0.1, 0.2, 1.3, np.array([0.0, 1.0]), weighting, f0)[-1]
        coarse, fine = (
            reference.run(
                X, p, Z, q, reference.rbf(0.8), e, 2 * e, 1.3, "alternating", weighting, f0, 0.0, round(1 / e)
            )
            for e in (0.02, 0.01)
        )
        # First order: halving the steps halves the error, and extrapolation leaves the second order.
        errors = [np.abs(run[0][-1] - end).max() for run in (coarse, fine)]
        assert 1.8 < errors[0] / errors[1] < 2.2
        np.testing.assert_allclose(2 * fine[0][-1] - coarse[0][-1], end, atol=0.05 * errors[1])


def test_observables_of_a_drawing_by_hand():
    X = np.array([[0.0, 0.0], [4.0, 0.0], [0.0, 9.0]])
    Z = np.array([[0.3, 0.4], [4.0, 2.0], [4.0, -0.9], [-20.0, 0.0]])
    q = np.array([0.1, 0.2, 0.3, 0.4])
    np.testing.assert_allclose(reference.nearest_distances(X, Z), [0.5, 2.0, 0.9, 20.0])
    mass, free = reference.mass_per_neighbourhood(X, Z, q, 1.0)
    np.testing.assert_allclose([*mass, free], [0.1, 0.5, 0.0, 0.4])
    assert reference.covered(X, Z, 1.0) == 2
