"""Order parameters of clouds of particles, and the verdict on a run."""

import math

import numpy as np
import pytest

from ganscope.core.errors import ParameterError
from ganscope.core.outcome import Outcome
from ganscope.games.particle.labelled import labelled_order_parameters
from ganscope.games.particle.motion import rigidity, wander
from ganscope.games.particle.order_parameters import order_parameters, trace_covariance
from ganscope.games.particle.verdict import classify_series, normalised_soft_coverage

ANGLES = 2 * np.pi * np.arange(8) / 8
RING = np.stack([np.cos(ANGLES), np.sin(ANGLES)], axis=1)


def uneven_cloud():
    """20 particles on mode 0, 8 on mode 1, 3 on mode 2, one at the origin."""
    counts = np.zeros(8, int)
    counts[:3] = 20, 8, 3
    return np.concatenate([np.repeat(RING, counts, axis=0), np.zeros((1, 2))])


def test_even_cloud():
    result = order_parameters(np.repeat(RING, 4, axis=0), RING, 0.2)
    assert result.coverage == result.quality == 1
    for value in (result.entropy, result.soft_coverage):
        assert math.isclose(value, 1, abs_tol=1e-12)
    assert math.isclose(result.spread, 1, abs_tol=1e-12)
    assert result.kl < 1e-12


def test_cloud_on_one_mode():
    result = order_parameters(np.repeat(RING[3:4], 32, axis=0), RING, 0.2)
    assert (result.coverage, result.entropy, result.spread) == (0.125, 0, 0)
    assert math.isclose(result.kl, 2.0794415417, abs_tol=1e-9)
    assert math.isclose(result.soft_coverage, 0.1257565935, abs_tol=1e-9)


def test_uneven_cloud():
    result = order_parameters(uneven_cloud(), RING, 0.2, target_variance=1.005)
    assert np.array_equal(result.occupancy, [0.625, 0.25, 0.09375, 0, 0, 0, 0, 0])
    assert result.coverage == 0.375
    for value, expected in (
        (result.entropy, 0.4127595293),
        (result.kl, 1.2211322298),
        (result.soft_coverage, 0.3319027559),
        (result.spread, 0.2514621274),
        (result.quality, 31 / 32),
    ):
        assert math.isclose(value, expected, abs_tol=1e-9)


def naive(x, modes, radius):
    """The definitions, particle by particle."""
    m, n = len(modes), len(x)
    separation = min(np.linalg.norm(a - b) for i, a in enumerate(modes) for b in modes[:i])
    counts, shares = np.zeros(m), np.zeros(m)
    for point in x:
        distance = np.linalg.norm(point - modes, axis=1)
        if distance.min() <= radius:
            counts[distance.argmin()] += 1
        weight = np.exp((distance.min() ** 2 - distance**2) / (2 * (separation / 4) ** 2))
        shares += weight / weight.sum() / n
    p = counts / counts.sum()
    entropy = -sum(v * math.log(v) for v in p if v > 0) / math.log(m)
    soft = math.exp(-sum(v * math.log(v) for v in shares)) / m
    return counts / n, np.mean(counts / n >= 0.25 / m), entropy, (1 - entropy) * math.log(m), soft


@pytest.mark.parametrize("dimension, modes, particles", [(1, 3, 17), (2, 8, 64), (3, 5, 40)])
def test_against_the_definitions(dimension, modes, particles):
    rng = np.random.default_rng(dimension)
    centres = rng.normal(size=(modes, dimension))
    x = centres[rng.integers(modes, size=particles)] + 0.04 * rng.normal(size=(particles, dimension))
    apart = np.linalg.norm(centres[:, None] - centres, axis=2)
    radius = 0.35 * apart[apart > 0].min()
    result = order_parameters(x, centres)
    for value, expected in zip(result[:5], naive(x, centres, radius), strict=True):
        assert np.allclose(value, expected, rtol=1e-12, atol=1e-14)
    extent, target = np.var(x, axis=0).sum(), np.var(centres, axis=0).sum()
    assert math.isclose(result.spread, extent / target, rel_tol=1e-12)


def test_a_particle_at_the_capture_radius_is_captured():
    # 0.1 + 0.2 is a little more than 0.3.
    assert order_parameters(np.array([0.1 + 0.2, 1.0]), np.array([0.0, 1.0]), 0.3).quality == 1
    assert order_parameters(np.array([0.3001, 1.0]), np.array([0.0, 1.0]), 0.3).quality == 0.5


def test_a_quarter_of_an_even_share_covers_a_mode():
    cloud = np.repeat(RING, [11, 1, 11, 9, 0, 0, 0, 0], axis=0)  # 32 particles: one is exactly a quarter of 32 / 8
    assert order_parameters(cloud, RING).coverage == 0.5


@pytest.mark.filterwarnings("error")
def test_every_cloud_of_a_batch_as_alone_to_the_bit():
    x = np.random.default_rng(0).normal(size=(7, 5, 64, 2))
    x[2, 3, 1, 0] = np.nan
    batch = order_parameters(x, RING, 0.2)
    assert batch.occupancy.shape == (7, 5, 8)
    for i, j in np.ndindex(7, 5):
        alone = order_parameters(x[i, j], RING, 0.2)
        for name in batch._fields:
            assert np.array_equal(getattr(batch, name)[i, j], getattr(alone, name), equal_nan=True)
    assert all(np.all(np.isnan(getattr(batch, name)[2, 3])) for name in batch._fields)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e300])
def test_lost_positions_are_nan_without_a_warning(bad):
    assert np.isnan(order_parameters(np.full((4, 2), bad), RING).soft_coverage)
    assert np.isnan(labelled_order_parameters(np.full((4, 2), bad), RING, np.arange(8), neighbours=1).entropy)


def test_one_mode():
    result = order_parameters(np.zeros((5, 2)), np.ones((1, 2)), capture_radius=0.5, target_variance=1.0)
    assert (result.coverage, result.entropy, result.kl, result.soft_coverage, result.quality) == (0, 0, 0, 1, 0)
    assert order_parameters(np.ones((5, 2)), np.ones((1, 2))).entropy == 1


def test_on_a_circle():
    period, modes = 3.0, np.array([0.0, 1.5])
    x = np.array([2.9, -0.1, 3.05, 1.4, 1.6 + 3])
    straight = np.array([-0.1, -0.1, 0.05, 1.4, 1.6])
    wrapped, flat = order_parameters(x, modes, 0.2, 1.0, period), order_parameters(straight, modes, 0.2, 1.0)
    assert np.array_equal(wrapped.occupancy, flat.occupancy)
    # A narrow cloud has the same covariance on the circle and on the line, up to (0.02 * 2 pi / 3)^2.
    narrow = 2.99 + 0.02 * np.array([-1.0, 1.0, 1.0, -1.0])
    assert math.isclose(order_parameters(narrow, modes, period=period, target_variance=1.0).spread, 4e-4, rel_tol=2e-3)
    even = order_parameters(np.arange(6) / 2, modes, period=period)
    assert math.isclose(even.spread, 1, rel_tol=1e-12)


@pytest.mark.parametrize(
    "arguments, name",
    [
        ((np.zeros((4, 3)), RING), "positions"),
        ((np.zeros(4), RING), "positions"),
        (("x", RING), "positions"),
        ((np.zeros((4, 2)), RING[[0, 0, 1]]), "modes"),
        ((np.zeros((4, 2)), np.full((2, 2), np.nan)), "modes"),
        ((np.zeros((4, 2)), RING, -1.0), "capture_radius"),
        ((np.zeros((4, 2)), RING, None, 0.0), "target_variance"),
        ((np.zeros((4, 2)), RING, None, None, 1.0), "period"),
    ],
)
def test_bad_arguments(arguments, name):
    with pytest.raises(ParameterError, match=name):
        order_parameters(*arguments)


def test_labelled_data():
    # Three tight clouds of 20 points; particles on two of them, 3 : 1, and one far away beside the third.
    rng = np.random.default_rng(0)
    centres = np.array([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]])
    points = np.repeat(centres, 20, axis=0) + 0.1 * rng.normal(size=(60, 2))
    labels = np.repeat(["a", "b", "c"], 20)
    x = np.concatenate([points[:6], points[20:22], [[0.0, 14.0]]])
    result = labelled_order_parameters(x, points, labels)
    assert np.allclose(result.occupancy, [6 / 9, 2 / 9, 1 / 9])
    assert result.coverage == 1
    assert math.isclose(result.quality, 8 / 9)
    shares = np.array([6, 2, 1]) / 9
    expected = math.exp(-np.sum(shares * np.log(shares))) / 3
    assert math.isclose(result.soft_coverage, expected, rel_tol=1e-12)
    assert math.isclose(result.spread, trace_covariance(x) / trace_covariance(points))
    assert (
        order_parameters(x[None], centres).soft_coverage.shape
        == labelled_order_parameters(x[None], points, labels)[4].shape
    )
    with pytest.raises(ParameterError, match="labels"):
        labelled_order_parameters(x, points, labels[:5])
    with pytest.raises(ParameterError, match="neighbours"):
        labelled_order_parameters(x, points, labels, neighbours=61)


def test_wander_is_the_deviation_of_the_centre_over_the_last_quarter():
    rng = np.random.default_rng(1)
    times = np.cumsum(rng.uniform(0.1, 2, 200))
    x = 100 + rng.normal(size=(3, 200, 16, 2))
    series = wander(times, x, 1.7)
    for k in (0, 1, 57, 199):
        window = times[: k + 1] >= 0.75 * times[k]
        expected = x.mean(axis=2)[:, : k + 1][:, window].std(axis=1).sum(axis=-1) / 1.7
        assert np.allclose(series[:, k], expected, rtol=1e-9, atol=1e-12)


@pytest.mark.filterwarnings("error")
def test_wander_is_nan_from_the_first_lost_record_on():
    x = np.random.default_rng(0).normal(size=(50, 4, 2))
    whole = wander(np.arange(50), x, 1.0)
    x[30:] = np.nan
    series = wander(np.arange(50), x, 1.0)
    assert np.array_equal(series[:30], whole[:30])
    assert np.all(np.isnan(series[30:]))


@pytest.mark.filterwarnings("error")
def test_rigidity():
    assert rigidity(np.ones((4, 2))) == 1
    assert math.isclose(rigidity(np.array([[1.0, 0], [0, 1]])), 0.5)
    assert np.isnan(rigidity(np.zeros((4, 2))))
    assert rigidity(np.ones((3, 4, 2))).shape == (3,)


def verdict(soft=1.0, spread=1.0, coverage=1.0, quality=1.0, wandering=0.0, x=0.0, records=120, modes=8, **more):
    """The verdict on constant (or given) series; `soft` runs from 0 to 1."""

    def series(value):
        return np.broadcast_to(np.asarray(value, float), (records,))

    positions = np.broadcast_to(np.asarray(x, float), (records, 4, 2))
    return classify_series(
        positions=positions,
        soft_coverage=(series(soft) * (modes - 1) + 1) / modes,
        spread=series(spread),
        coverage=series(coverage),
        quality=series(quality),
        wander=series(wandering),
        target_mean=np.zeros(2),
        scale=1.0,
        modes=modes,
        **more,
    )


def late(value, otherwise=0.0):
    """A series that takes a value in the last quarter only."""
    return np.where(np.arange(120) >= 90, value, otherwise)


WAVE = 1 + 0.2 * np.sin(np.arange(120))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "given, outcome, detail, near",
    [
        ({}, "converged", "converged", False),
        ({"soft": late(1.0), "spread": late(1.0)}, "converged", "converged", False),
        ({"soft": 0.3, "spread": 0.3, "wandering": 0.3}, "collapsed", "collapsed/hopping", False),
        ({"soft": 0.2, "spread": 0.3, "wandering": 0.2}, "collapsed", "collapsed/static", False),
        ({"soft": late(0.2, 1.0), "spread": late(0.2, 1.0)}, "collapsed", "collapsed/static", False),
        ({"soft": 0.34, "spread": 0.2}, "collapsed", "collapsed/static", True),
        ({"soft": 0.2, "spread": 0.6}, "collapsed", "partially_collapsed", False),
        ({"soft": 0.84}, "collapsed", "partially_collapsed", True),
        ({"wandering": 0.2}, "oscillating", "orbiting", False),
        ({"wandering": 0.3}, "oscillating", "hopping", False),
        ({"wandering": 0.11}, "oscillating", "orbiting", True),
        ({"spread": WAVE}, "oscillating", "orbiting", False),
        ({"wandering": 0.3, "quality": 0.4}, "oscillating", "hopping/blurred", False),
        ({"coverage": 0.8}, "converged", "converged/blurred", False),
        ({"soft": 0.0, "spread": 0.0, "modes": 1}, "converged", "converged", False),
        ({"x": 15.0}, "diverged", "escaped", False),
        ({"x": 13.0}, "converged", "converged", False),
        ({"x": 1e200}, "diverged", "escaped", False),
        ({"x": np.nan, "soft": np.nan}, "diverged", "nonfinite", False),
        ({"x": 15.0, "periodic": True}, "converged", "converged", False),
        ({"records": 99}, "undecided", "unknown", False),
    ],
)
def test_verdicts(given, outcome, detail, near):
    result = verdict(**given)
    assert (result.outcome, result.detail, result.near_critical) == (Outcome(outcome), detail, near)
    assert result.reasons
    assert np.isnan(result.margin) or result.margin > 0


def test_a_start_beyond_the_bound_is_no_escape():
    def at(distance):
        return np.broadcast_to(np.asarray(distance, float)[:, None, None], (120, 4, 2))

    assert verdict(x=at(np.where(np.arange(120) < 50, 30.0, 0.0))).outcome is Outcome.CONVERGED
    assert verdict(x=at(late(30.0, 30.0))).outcome is Outcome.DIVERGED
    assert verdict(x=at(np.where(np.arange(120) == 50, 30.0, 0.0))).outcome is Outcome.DIVERGED


def test_normalised_soft_coverage():
    assert np.allclose(normalised_soft_coverage([1 / 8, 1], 8), [0, 1])
    assert normalised_soft_coverage(1.0, 1) == 1


def test_a_run_that_is_still_filling_its_modes_is_near_critical():
    soft = np.linspace(0.3, 0.8, 400)
    steady = np.full(400, 0.6)
    for series, near in ((soft, True), (steady, False)):
        verdict = classify_series(
            positions=np.zeros((400, 8, 2)),
            soft_coverage=series,
            spread=np.ones(400),
            coverage=np.ones(400),
            quality=np.ones(400),
            wander=np.zeros(400),
            target_mean=np.zeros(2),
            scale=1.0,
            modes=8,
        )
        assert verdict.detail == "partially_collapsed"
        assert verdict.near_critical == near


def test_a_point_between_the_modes_has_covered_nothing():
    run = dict(
        positions=np.zeros((200, 8, 2)),
        soft_coverage=np.full(200, 0.99),
        spread=np.full(200, 1e-4),
        coverage=np.zeros(200),
        quality=np.zeros(200),
        wander=np.zeros(200),
        target_mean=np.zeros(2),
        scale=1.0,
        modes=8,
    )
    assert classify_series(**run).detail == "collapsed/static"
    assert classify_series(**(run | dict(wander=np.full(200, 0.4)))).detail == "collapsed/hopping"
    assert classify_series(**(run | dict(spread=np.ones(200)))).detail == "converged/blurred"
