"""Tools for every game: distances between point sets, Newton's method, bisection, pairing of eigenvalues."""

import numpy as np
import pytest
from scipy.stats import wasserstein_distance

from ganscope.analysis.bisection import bisect
from ganscope.analysis.distances import matched_distance, mmd_squared, sliced_w2, w2
from ganscope.analysis.newton import newton
from ganscope.analysis.pairing import largest_distance, pair
from ganscope.core.errors import NotApplicable, ParameterError


def gaussian(r):
    return np.exp(-0.5 * np.sum(r * r, axis=-1))


def test_mmd_in_blocks_equals_the_three_sums(monkeypatch):
    rng = np.random.default_rng(0)
    x, y, p, q = rng.normal(size=(30, 3)), rng.normal(size=(20, 3)), rng.uniform(1, 2, 30), rng.uniform(1, 2, 20)

    def gram(a, b):
        return gaussian(a[:, None] - b[None])

    direct = p @ gram(x, x) @ p - 2 * p @ gram(x, y) @ q + q @ gram(y, y) @ q
    monkeypatch.setattr("ganscope.analysis.distances._BLOCK", 7 * 50 * 3)
    # Sums of 2500 terms of size 1.
    assert mmd_squared(x, y, p, q, kernel=gaussian) == pytest.approx(direct, rel=1e-12)
    assert abs(mmd_squared(x, x[::-1], kernel=gaussian)) < 1e-15


def test_mmd_never_holds_all_differences():
    sizes = []

    def kernel(r):
        sizes.append(r.size)
        return gaussian(r)

    points = np.random.default_rng(0).normal(size=(1500, 10))
    mmd_squared(points, points[:700], kernel=kernel)
    assert max(sizes) <= 2**19


def test_mmd_on_a_line_with_two_points():
    # 2 (1 - exp(-1/2)), by hand.
    assert mmd_squared([0.0], [1.0], kernel=gaussian) == pytest.approx(2 - 2 * np.exp(-0.5), rel=1e-14)


def test_w2_on_a_line_agrees_with_the_linear_programme():
    rng = np.random.default_rng(1)
    x, y, p, q = rng.normal(size=7), rng.normal(size=5), rng.uniform(1, 2, 7), rng.uniform(1, 2, 5)
    p, q = p / p.sum(), q / q.sum()
    assert w2(x, y, p, q) == pytest.approx(np.sqrt(_transport_cost(x[:, None], y[:, None], p, q)), rel=1e-9)
    # Both are distances of quantile functions; for a shift every order gives the shift.
    assert w2(x, x + 0.7, p, p) == pytest.approx(wasserstein_distance(x, x + 0.7, p, p), rel=1e-12)


def _transport_cost(x, y, p, q):
    from scipy.optimize import linprog

    cost = np.sum(np.square(x[:, None] - y[None]), axis=-1)
    rows = np.kron(np.eye(len(p)), np.ones(len(q)))
    columns = np.kron(np.ones(len(p)), np.eye(len(q)))
    return linprog(cost.ravel(), A_eq=np.vstack([rows, columns]), b_eq=np.concatenate([p, q])).fun


def test_w2_by_assignment_agrees_with_the_linear_programme():
    rng = np.random.default_rng(2)
    x, y, p = rng.normal(size=(6, 2)), rng.normal(size=(6, 2)), np.full(6, 1 / 6)
    assert w2(x, y) == pytest.approx(np.sqrt(_transport_cost(x, y, p, p)), rel=1e-9)
    assert w2(x, x[::-1]) == 0


def test_w2_says_when_it_does_not_apply():
    with pytest.raises(NotApplicable, match="sliced_w2"):
        w2(np.zeros((2, 2)), np.zeros((3, 2)))
    with pytest.raises(NotApplicable, match="2000"):
        w2(np.zeros((2001, 2)), np.zeros((2001, 2)))
    with pytest.raises(ParameterError, match="y_mass"):
        w2([0.0], [1.0], [1.0], [2.0])
    with pytest.raises(ParameterError, match="axes"):
        w2(np.zeros((2, 2)), np.zeros((2, 3)))


def test_sliced_w2_of_a_shift_is_its_mean_projection():
    rng = np.random.default_rng(3)
    x, mass, shift = rng.normal(size=(9, 3)), rng.uniform(1, 2, 9), np.array([1.0, -2.0, 0.5])
    axes = np.eye(3)
    assert sliced_w2(x, x + shift, mass, mass, axes) == pytest.approx(np.sqrt(np.mean(shift**2)), rel=1e-12)
    # A mean over random directions, |shift|^2 / 3 of variance 4/45 |shift|^4: six standard errors.
    found = sliced_w2(x, x + shift, mass, mass, directions=4000) ** 2 / (shift @ shift)
    assert abs(found - 1 / 3) < 6 * np.sqrt(4 / 45 / 4000)
    assert sliced_w2(x, x + shift, seed=1) == sliced_w2(x, x + shift, seed=1) != sliced_w2(x, x + shift, seed=2)


def test_matched_distance_keeps_leading_axes():
    x = np.zeros((4, 2))
    path = np.arange(3)[:, None, None] * np.ones((4, 2))
    np.testing.assert_allclose(matched_distance(path, x), np.sqrt(8) * np.arange(3))
    with pytest.raises(ParameterError, match="points"):
        matched_distance(path, np.zeros((3, 2)))


def test_newton_finds_a_root_quadratically():
    root = newton(lambda x: x**2 - 2, lambda x: np.diag(2 * x), [1.0, -3.0])
    np.testing.assert_allclose(root.state, [np.sqrt(2), -np.sqrt(2)], rtol=1e-15)
    assert root.converged
    assert root.iterations <= 8
    assert root.residual < 1e-15


def test_newton_meets_a_continuum_next_to_its_start():
    # The unit circle: the shortest steps are radial, so the angle stays.
    start = 1.7 * np.array([np.cos(0.4), np.sin(0.4)])
    root = newton(lambda x: np.array([x @ x - 1]), lambda x: 2 * x[None, :], start)
    assert root.converged
    np.testing.assert_allclose(root.state, [np.cos(0.4), np.sin(0.4)], atol=1e-14)


def test_newton_is_quadratic_beside_a_continuum():
    # The gradient of (|x|^2 - 1)^2 in five axes: next to the sphere four directions are nearly neutral.
    axes, start = 5, np.array([1.0, 0.2, -0.3, 0.1, 0.4])
    root = newton(lambda x: (x @ x - 1) * x, lambda x: (x @ x - 1) * np.eye(axes) + 2 * np.outer(x, x), start)
    assert root.converged
    assert root.iterations <= 10
    np.testing.assert_allclose(root.state, start / np.linalg.norm(start), atol=1e-14)


def test_newton_halves_steps_that_overshoot():
    # Newton's own steps for arctan diverge from 2.
    root = newton(np.arctan, lambda x: np.diag(1 / (1 + x**2)), [2.0])
    assert root.converged
    assert abs(root.state[0]) < 1e-14


def test_newton_admits_that_there_is_no_root():
    assert not newton(lambda x: x**2 + 1, lambda x: np.diag(2 * x), [0.5]).converged
    assert not newton(lambda x: x * np.nan, lambda x: np.diag(x), [0.5]).converged


@pytest.mark.parametrize("log", [False, True])
def test_bisection_of_many_cells_at_once(log):
    edge, calls = np.array([0.02, 0.3, 7.0]), []

    def beyond(values):
        calls.append(values.shape)
        return values > edge

    found = bisect(beyond, 1e-3, np.array([10.0, 20.0, 30.0]), relative_tolerance=1e-9, log=log)
    np.testing.assert_allclose(found, edge, rtol=1e-9)
    assert set(calls) == {(3,)}
    # About log2(1e4 x 1e9) halvings on a linear scale, log2(log(1e4) x 1e9) on a logarithmic one.
    assert len(calls) < 50


def test_bisection_by_sign_and_where_nothing_changes():
    assert bisect(lambda x: 2.0 - x, 0, 5, 1e-12) == pytest.approx(2.0, rel=1e-12)
    found = bisect(lambda x: x > np.array([1.0, 9.0]), np.zeros(2), 4.0)
    assert found[0] == pytest.approx(1.0, rel=1e-6)
    assert np.isnan(found[1])
    with pytest.raises(ParameterError, match="low"):
        bisect(lambda x: x > 1, 0, 5, log=True)
    with pytest.raises(ParameterError, match="outcome"):
        bisect(lambda x: True, np.zeros(2), 1)
    # To the last bit, and through zero, it ends.
    assert bisect(lambda x: x > 0.1, 0, 1, relative_tolerance=1e-300) == pytest.approx(0.1, rel=1e-15)
    assert abs(bisect(lambda x: x > 0, -1, 1.5)) < 1e-29


def test_pairing_is_by_least_total_distance():
    a = np.array([1 + 1j, 1 - 1j, 0.5, 0.5])
    shuffled = a[[2, 0, 3, 1]] + 1e-9
    first, second = pair(a, shuffled)
    np.testing.assert_array_equal(first, a)
    np.testing.assert_allclose(second, a + 1e-9)
    assert largest_distance(a, shuffled) == pytest.approx(1e-9, rel=1e-6)
    assert largest_distance([], []) == 0
    with pytest.raises(ParameterError, match="as many"):
        pair([1], [1, 2])
