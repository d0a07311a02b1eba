"""Verdicts on dual flows, variational inequalities, and what is measured on clouds of points."""

from types import SimpleNamespace

import numpy as np
import pytest
import reference_dualflow as ref
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import ganscope as gs
from ganscope.analysis import distances
from ganscope.games.dualflow import observables, variational, verdict
from ganscope.games.dualflow.game import Tracked
from ganscope.games.dualflow.modes import modes_of


def scalar_game(damping=0.0, **speeds):
    """Zero-sum game x y of two numbers, from (1, 0)."""
    return gs.QuadraticGame(0.0, 1.0, damping, -1.0, initial=([1.0], [0.0]), **speeds)


def judge(distance, *, movement=None, missing=None, period=np.nan, algebraic=False, horizon=20.0, **options):
    """The verdict on made-up records."""
    distance = np.asarray(distance, float)
    moving = np.zeros(len(distance)) if movement is None else movement
    tracked = Tracked(distance, np.hypot(distance, 1), moving[:, None], 1.0, missing, period, algebraic)
    run = xr.Dataset(coords={"time": np.linspace(0, horizon, len(distance))})
    return verdict.classify(SimpleNamespace(tracked=lambda run: tracked), run, **options)


STEADY = np.ones(400)
WAVE = np.sin(np.arange(400) / 3)


# ---------------------------------------------------------------------------------------------------------------------
# Verdicts


@pytest.mark.parametrize(
    "level, step_size, damping, outcome, detail",
    [
        ("explicit", 0.05, 0.0, "diverged", "diverging"),
        ("explicit", 0.2, 0.0, "diverged", "escaped"),
        ("jko_sequential", 0.05, 0.0, "oscillating", "orbiting"),
        ("nash", 0.05, 0.0, "converged", "converging"),
        ("nash", 0.2, 0.0, "converged", "converged"),
        ("jko", 0.1, 0.5, "converged", "converged"),
        ("jko_sequential", 2.1, 0.0, "diverged", "escaped"),
    ],
)
def test_verdicts_on_the_scalar_game(level, step_size, damping, outcome, detail):
    run = gs.simulate(scalar_game(damping), level, step_size=step_size, iterations=2000)
    found = gs.classify(run)
    assert (found.outcome, found.detail) == (outcome, detail)


@pytest.mark.parametrize(
    "arguments, outcome, detail",
    [
        ({"distance": 0.005 * STEADY, "missing": "A mode is empty."}, "converged", "converged"),
        ({"distance": STEADY, "missing": "A mode is empty."}, "collapsed", "settled"),
        ({"distance": STEADY, "missing": "A mode is empty.", "movement": WAVE}, "collapsed", "cycling"),
        ({"distance": np.linspace(1, 2, 400)}, "diverged", "diverging"),
        ({"distance": np.linspace(2, 1, 400)}, "converged", "converging"),
        ({"distance": STEADY, "movement": WAVE}, "oscillating", "orbiting"),
        ({"distance": STEADY}, "uninformative", "stalled"),
        ({"distance": np.exp(-np.linspace(0, 3, 400))}, "converged", "converging"),
        ({"distance": 1 / np.sqrt(0.01 + np.linspace(0, 20, 400))}, "converged", "algebraic"),
        ({"distance": np.linspace(2, 1, 400), "algebraic": True}, "converged", "algebraic"),
        ({"distance": np.where(np.arange(400) < 300, 1, np.nan)}, "diverged", "nonfinite"),
        ({"distance": np.where(np.arange(400) < 300, 1, 1e7)}, "diverged", "escaped"),
        ({"distance": STEADY[:99]}, "undecided", "unknown"),
    ],
)
def test_verdict_rules(arguments, outcome, detail):
    found = judge(**arguments)
    assert (found.outcome, found.detail) == (outcome, detail)
    assert found.reasons
    assert found.margin >= 0 or np.isnan(found.margin)


def test_thresholds_are_options():
    assert judge(0.03 * STEADY).outcome == "uninformative"
    assert judge(0.03 * STEADY, settled=0.05).outcome == "converged"
    assert judge(np.linspace(1, 2, 400), trend=1.0).outcome == "uninformative"
    assert judge(STEADY, movement=0.02 * WAVE).outcome == "uninformative"
    assert judge(STEADY, movement=0.02 * WAVE, moving=0.01).outcome == "oscillating"
    assert judge(np.where(np.arange(400) < 300, 1, 100), blowup=10).detail == "escaped"


@pytest.mark.parametrize(
    "name, value", [("blowup", 1.0), ("settled", 0.0), ("trend", -1.0), ("moving", np.nan), ("moving", True)]
)
def test_thresholds_are_checked(name, value):
    with pytest.raises(gs.ParameterError, match=name):
        judge(STEADY, **{name: value})


def test_margins_and_near_critical():
    assert judge(0.03 * STEADY, settled=0.06).margin == pytest.approx(0.5, abs=1e-4)
    assert not judge(0.03 * STEADY, settled=0.06).near_critical
    assert judge(0.03 * STEADY, settled=0.0301).near_critical
    assert judge(0.03 * STEADY, settled=0.0299).near_critical


def test_a_short_run_is_warned_about():
    assert any("4 predicted periods" in reason for reason in judge(STEADY, movement=WAVE, period=5.1).reasons)
    assert not any("periods" in reason for reason in judge(STEADY, movement=WAVE, period=4.9).reasons)


# ---------------------------------------------------------------------------------------------------------------------
# Variational inequalities


def game_of_two_planes(**speeds):
    return gs.QuadraticGame(
        [[1.0, 0.2], [0.2, -0.1]],
        [[0.3, 0.4], [0.5, -0.6]],
        [[0.7, 0.0], [0.0, 0.9]],
        [[0.1, -0.2], [-0.3, 0.4]],
        c1=[0.1, -0.2],
        initial=([1.0, 2.0], [-1.0, 0.5]),
        **{"generator_lr": 0.7, "discriminator_lr": 1.3, **speeds},
    )


@pytest.mark.parametrize("level", ["jko", "jko_sequential", "nash"])
def test_proximal_steps_have_a_certificate(level):
    run = gs.simulate(game_of_two_planes(), level, step_size=0.1, iterations=40)
    assert max(gs.certificate(run)) < 1e-12


def test_the_certificate_is_an_equality_for_round_energies():
    game = gs.QuadraticGame(0.8 * np.eye(2), np.ones((2, 1)), 0.5, [[-1.0, 0.3]], initial=([1.0, 0.0], [0.5]))
    run = gs.simulate(game, "jko_sequential", step_size=0.1, iterations=30)
    points = ([np.array([3.0, -1.0])], [np.array([0.7])])
    found = variational.certificates(run, test_points=points)
    assert found.sizes["time"] == 30
    assert float(abs(found).to_array().max()) < 1e-12


@pytest.mark.parametrize("order", ["generator_first", "discriminator_first"])
def test_the_certificate_looks_at_the_partner_that_the_step_used(order):
    run = gs.simulate(game_of_two_planes(), "jko_sequential", step_size=0.1, iterations=40, order=order)
    run.attrs["order"] = order
    assert max(gs.certificate(run)) < 1e-12
    run.attrs["order"] = {"generator_first": "discriminator_first"}.get(order, "generator_first")
    assert max(gs.certificate(run)) > 1e-3


def test_wrong_steps_have_no_certificate():
    run = gs.simulate(scalar_game(0.5), "jko_sequential", step_size=0.1, iterations=40)
    assert max(gs.certificate(run)) < 1e-12
    assert max(gs.certificate(run, step_size=0.05)) > 1e-2
    assert gs.certificate(run, game=scalar_game(0.5, generator_lr=2.0)).generator > 1e-2


def test_defect_by_hand():
    """One step of two numbers, with everything written out."""
    game = gs.QuadraticGame(0.5, 1.0, 0.25, -1.0, generator_lr=2.0, initial=([1.0], [0.5]))
    run = gs.simulate(game, "jko", step_size=0.1, iterations=1)
    x, y = run.generator.values[:, 0], run.discriminator.values[:, 0]
    z = 3.0

    def energy(x, y):
        return 0.25 * x**2 + x * y

    approach = ((x[1] - z) ** 2 - (x[0] - z) ** 2) / (2 * 0.1 * 2)
    used = approach + 0.25 * (x[1] - z) ** 2 + (x[1] - x[0]) ** 2 / (2 * 0.1 * 2) - energy(z, y[0]) + energy(x[1], y[0])
    new = approach + 0.25 * (x[1] - z) ** 2 - energy(z, y[1]) + energy(x[1], y[1])
    points = ([np.array([z])], [np.array([-1.0])])
    assert gs.certificate(run, test_points=points).generator == pytest.approx(used, abs=1e-14)
    assert gs.defect(run, test_points=points).generator == pytest.approx(max(0, new) / abs(x[1] - z), abs=1e-14)


def kernel_gan(**changes):
    real, generated = ref.normal_quantiles(64), ref.normal_quantiles(64, 1.5, 0.5)
    return gs.FeatureGAN(real, generated, bandwidth=1.0, half_period=8.0, feature_count=22, **changes)


# Defects of generator and discriminator with 20, 40 and 80 steps up to time 2.
DEFECTS = {
    "explicit": [(0.0321, 0.0324), (0.0160, 0.0160), (0.0080, 0.0080)],
    "jko": [(0.0296, 0.0194), (0.0153, 0.0095), (0.0078, 0.0047)],
    "jko_sequential": [(0.0297, 0), (0.0153, 0), (0.0078, 0)],
    "nash": [(0, 0), (0, 0), (0, 0)],
}


@pytest.mark.parametrize("level", DEFECTS)
def test_defects_of_the_kernel_gan(level):
    runs = [gs.simulate(kernel_gan(), level, step_size=2 / n, iterations=n) for n in (20, 40, 80)]
    found = variational.consistency(runs)
    # half a unit of the last digit that is known
    assert np.transpose(found.defects)[::-1] == pytest.approx(np.array(DEFECTS[level]), abs=5.1e-5)
    assert found.consistent


def test_defects_of_a_wrong_speed_stay():
    runs = [gs.simulate(kernel_gan(), "jko_sequential", step_size=2 / n, iterations=n) for n in (20, 40, 80)]
    found = variational.consistency(runs, game=kernel_gan(generator_lr=2.0))
    assert found.defects.generator[::-1] == pytest.approx([0.0923, 0.1125, 0.1271], abs=1e-4)
    assert not found.consistent


def test_certificate_of_the_kernel_gan():
    run = gs.simulate(kernel_gan(), "jko_sequential", step_size=0.05, iterations=40)
    assert max(gs.certificate(run)) < 1e-12
    # One step that goes twice as far, at each place of the run.
    points, worst = run.generated_points.values, -np.inf
    for n in range(40):
        wrong = run.isel(time=[n, n + 1]).assign_coords(iteration=("time", [0, 1])).copy(deep=True)
        wrong.generated_points[1] = 2 * points[n + 1] - points[n]
        tests = [points[0], ref.normal_quantiles(64), points[20], points[40]]
        found = gs.certificate(wrong, test_points=(tests, [np.zeros(45)]))
        worst = max(worst, found.generator)
    assert worst == pytest.approx(0.0630, abs=5e-5)


def test_what_has_no_inequality():
    game = scalar_game(0.5)
    with pytest.raises(gs.NotApplicable, match="flow"):
        gs.certificate(gs.simulate(game, "flow"))
    midpoint = gs.simulate(game, "midpoint", step_size=0.05, iterations=40)
    with pytest.raises(gs.NotApplicable, match="midpoint"):
        gs.certificate(midpoint)
    assert 0 < max(gs.defect(midpoint)) < 0.1
    with pytest.raises(gs.ParameterError, match="save_at"):
        gs.certificate(gs.simulate(game, "jko", iterations=40, save_at=[0, 20, 40]))
    run = gs.simulate(game, "jko", step_size=0.05, iterations=40)
    with pytest.raises(gs.ParameterError, match="test_points"):
        gs.defect(run, test_points=[1.0])
    with pytest.raises(gs.ParameterError, match="step_size"):
        gs.defect(run, step_size=0.0)
    with pytest.raises(gs.ParameterError, match="game"):
        gs.defect(run, game=gs.SolvableGAN())
    with pytest.raises(gs.ParameterError, match="three"):
        variational.consistency([run, run, run])
    with pytest.raises(gs.NotApplicable, match="fast"):
        gs.certificate(gs.simulate(kernel_gan(fast=True), "explicit", iterations=3))


# ---------------------------------------------------------------------------------------------------------------------
# Modes


def test_modes_of_well_known_targets():
    two = modes_of(ref.bimodal_quantiles(64))
    assert two.centres == pytest.approx(np.array([[-2.0], [2.0]]), abs=1e-9)
    assert two.weights.tolist() == [0.5, 0.5]
    assert two.radius == pytest.approx(0.75, rel=0.03)
    ring = modes_of(ref.ring(np.random.default_rng(0)))
    far = np.linalg.norm(ring.centres[:, None] - ref.ring_modes(), axis=-1).min(axis=1)
    assert len(ring.centres) == 8
    assert far.max() < 0.06  # three standard errors of a mean of 32
    assert ring.radius == pytest.approx(0.3, rel=0.1)
    assert len(modes_of(np.random.default_rng(1).normal(size=(200, 2))).centres) == 1


def test_modes_of_unequal_weight_and_of_atoms():
    rng = np.random.default_rng(0)
    cloud = np.concatenate([rng.normal(-2, 0.25, (200, 1)), rng.normal(2, 0.25, (56, 1))])
    assert modes_of(cloud).weights == pytest.approx([200 / 256, 56 / 256])
    atoms = modes_of(np.array([[0.0], [0.0], [1.0], [3.0]]))
    assert atoms.centres.ravel().tolist() == [0, 1, 3]
    assert (atoms.weights.tolist(), atoms.radius) == ([0.5, 0.25, 0.25], 0.25)
    assert modes_of(np.zeros((5, 2)), length=0.3).radius == 0.3
    assert len(modes_of(np.tile(ref.ring_modes(), (32, 1))).centres) == 8


def test_given_modes():
    given = modes_of(ref.bimodal_quantiles(64), modes=[2, -2.5], mode_radius=0.5)
    assert given.centres.ravel().tolist() == [2, -2.5]
    assert (given.weights.tolist(), given.radius) == ([0.5, 0.5], 0.5)
    with pytest.raises(gs.ParameterError, match="modes"):
        modes_of(np.zeros((4, 2)), modes=[[1.0, 2.0, 3.0]])
    with pytest.raises(gs.ParameterError, match="mode_radius"):
        modes_of(np.zeros((4, 2)), mode_radius=0)


def test_coverage():
    modes = modes_of(ref.bimodal_quantiles(64), mode_radius=0.75)
    points = np.stack([np.full((64, 1), 2.1), ref.bimodal_quantiles(64), np.zeros((64, 1)), np.full((64, 1), np.nan)])
    occupied = observables.occupancy(points, modes)
    assert occupied[:3].tolist() == [[0, 1], [0.5, 0.5], [0, 0]]
    assert observables.mass_coverage(occupied, modes)[:3].tolist() == [0.5, 1, 0]
    assert np.all(np.isnan(occupied[3]))


def test_dispersion_and_atoms():
    real = np.random.default_rng(0).normal(size=(50, 2))
    assert observables.dispersion(np.stack([real, 0.5 * real, 0 * real]), real) == pytest.approx([1, 0.25, 0])
    assert np.isnan(observables.dispersion(real[None], np.ones((3, 2)))).all()
    five = np.repeat(real[:5], 4, axis=0)
    five[::2] += 3e-10
    assert observables.atoms(np.stack([five, real[:20], np.full((20, 2), np.nan)])).tolist() == [5, 20, 0]
    assert observables.atoms(np.array([[0.0], [0.0], [1e-8], [1.0]])).tolist() == 3
    # on a lattice every coordinate is shared by several points
    lattice = np.stack(np.meshgrid(np.arange(5.0), np.arange(4.0)), axis=-1).reshape(-1, 2)
    assert observables.atoms(np.concatenate([lattice, lattice])) == 20


# ---------------------------------------------------------------------------------------------------------------------
# Distances


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 3), st.integers(0, 10**6))
def test_distances_over_time(count, other, axes, seed):
    rng = np.random.default_rng(seed)
    points, real = rng.normal(size=(3, count, axes)), rng.normal(size=(other, axes))
    copies, both = np.repeat(points, other, axis=1), np.repeat(real, count, axis=0)
    assert observables.w2_over_time(points, real) == pytest.approx([ref.w2(x, both) for x in copies], abs=1e-12)
    energy = [ref.energy_distance_squared(x, real) for x in points]
    assert observables.energy_distance(points, real) == pytest.approx(energy, abs=1e-12)
    if axes < 3:
        unit = np.ones((1, 1)) if axes == 1 else observables.directions(2)
        sliced = [distances.sliced_w2(x, real, directions=unit) for x in points]
        assert observables.sliced_w2_over_time(points, real) == pytest.approx(sliced, abs=1e-12)


def test_sliced_distance_in_the_plane_uses_fixed_directions():
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(20, 2)), rng.normal(size=(20, 2))
    assert float(observables.sliced_w2_over_time(x, y)) == pytest.approx(ref.sliced_w2(x, y), abs=1e-13)


def test_dear_distances_are_left_out_between_first_and_last():
    rng = np.random.default_rng(0)
    points, real = rng.normal(size=(3, 2, 2)), rng.normal(size=(2, 2))
    assert np.all(np.isfinite(observables.w2_over_time(points, real)))
    assert observables.affordable(10, 100.0, 1000.0) == list(range(10))
    assert observables.affordable(11, 100.0, 1000.0) == [0, 10]
    assert observables.affordable(1, 1e9, 1.0) == [0]
    assert np.all(np.isnan(observables.w2_over_time(np.zeros((2, 1500, 2)), np.zeros((1501, 2)))))


def test_distances_of_states_that_are_not_finite():
    points = np.array([[[0.0, 1.0], [2.0, 3.0]], [[np.nan, 1.0], [2.0, 3.0]], [[np.inf, 1.0], [2.0, 3.0]]])
    real = np.zeros((2, 2))
    for measure in (observables.w2_over_time, observables.energy_distance, observables.sliced_w2_over_time):
        found = measure(points, real)
        assert np.isfinite(found[0])
        assert not np.any(np.isfinite(found[1:]))
        assert not np.any(np.isfinite(measure(points[1:, :, :1], real[:, :1])))
    assert np.all(np.isnan(observables.occupancy(points, modes_of(real, modes=[[0.0, 0.0]], mode_radius=1.0))[1:]))
    assert not np.any(np.isfinite(observables.dispersion(points, np.eye(2))[1:]))


def test_a_horizon_between_two_steps_is_reached_by_a_shorter_one():
    game = gs.QuadraticGame(1.0, 0.5, 1.0, -0.5, initial=([1.0], [0.0]))
    run = gs.simulate(game, "explicit", step_size=0.3, horizon=1.0)
    np.testing.assert_allclose(run.time, [0, 0.3, 0.6, 0.9, 1.0])
    assert list(run.iteration.values) == [0, 1, 2, 3, 4]
    z = np.array([1.0, 0.0])
    jacobian = np.array([[-1.0, -0.5], [0.5, -1.0]])
    for step in (0.3, 0.3, 0.3, 0.1):
        z = z + step * jacobian @ z
    np.testing.assert_allclose([run.generator.values[-1, 0], run.discriminator.values[-1, 0]], z, rtol=1e-14)
    long = gs.simulate(game, "explicit", step_size=3e-4, horizon=1.0)
    assert (len(long.time), int(long.iteration[-1]), float(long.time[-1])) == (201, 3334, 1.0)
    asked = gs.simulate(game, "explicit", step_size=0.3, horizon=1.0, save_at=[0.5, 1.0])
    assert list(asked.iteration.values) == [1, 4]
    whole = gs.simulate(game, "explicit", step_size=0.1, horizon=0.3)
    assert int(whole.iteration[-1]) == 3
    with pytest.raises(gs.ParameterError, match="at least one iteration"):
        gs.simulate(game, "explicit", step_size=0.3, horizon=0.2)


def test_thresholds_of_the_verdict_are_checked_by_name():
    run = gs.simulate(gs.DiracGAN(), "flow", horizon=50)
    assert gs.classify(run).outcome == "oscillating"
    assert gs.classify(run, settled=2.0).outcome == "converged"
    with pytest.raises(gs.ParameterError, match="Did you mean 'settled'"):
        gs.classify(run, setled=1.0)
    with pytest.raises(gs.ParameterError, match="blowup"):
        gs.classify(run, blowup=0.5)


def test_certificates_take_any_stretch_of_consecutive_iterations():
    game = gs.FeatureGAN([0.0, 1.0, 2.0], [0.3, 0.5, 2.5])
    run = gs.simulate(game, "jko_sequential", step_size=0.1, iterations=20)
    assert max(gs.certificate(run.isel(time=slice(5, 9)))) < 1e-9
    # a doubled step of the generator, alone
    pair = run.isel(time=[7, 8]).copy(deep=True)
    points = pair.generated_points.values
    points[1] = points[0] + 2 * (points[1] - points[0])
    assert gs.certificate(pair).generator > 1e-4
    with pytest.raises(gs.ParameterError, match="iterations left out"):
        gs.certificate(run.isel(time=[3, 5]))
