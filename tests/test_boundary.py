"""Boundaries in a plane: refinement against known curves and closed forms, error bars of chance, and continuation."""

import math

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.special import expit

import ganscope as gs
from ganscope.sweep.boundary.crossings import curves
from ganscope.sweep.boundary.refinement import refine
from ganscope.sweep.boundary.shares import midpoint

# A game whose two speeds serve as coordinates x - 1 and y - 1 of a made-up plane.
PLANE = gs.DiracGAN()
SPEEDS, UNIT = ("generator_lr", "discriminator_lr"), ((1.0, 2.0), (1.0, 2.0))
SOLVABLE = gs.SolvableGAN(feature_variance=(5, 3))
NOISE_AND_SPEED = ("data_noise", "generator_lr")


def plane(rule, **arguments):
    """The boundary of a made-up outcome, a function of x and y in 0 .. 1."""
    return gs.boundary(
        PLANE, SPEEDS, UNIT, measure=lambda g: rule(g.generator_lr - 1, g.discriminator_lr - 1), **arguments
    )


def xy(curve):
    return curve.generator_lr.values - 1, curve.discriminator_lr.values - 1


def test_a_circle_is_one_closed_curve_at_full_resolution_and_little_cost():
    curve = plane(lambda x, y: "in" if math.hypot(x - 0.5, y - 0.5) < 0.3 else "out")
    x, y = xy(curve)
    off = np.abs(np.hypot(x - 0.5, y - 0.5) - 0.3)
    assert np.max(off) <= 0.5 / 1024 + 1e-12  # half an interval of the finest lattice
    assert curve.attrs["closed_segments"] == [0]
    assert set(curve.segment.values) == {0}
    assert curve.attrs["evaluations"] <= 0.03 * 1024**2
    assert curve.sizes["sample"] == curve.attrs["evaluations"]
    # in order: neighbours on the curve are neighbours in the plane, the last and the first as well
    assert np.max(np.hypot(np.diff(x, append=x[:1]), np.diff(y, append=y[:1]))) < 2 / 1024
    # every crossing of every lattice line is there: the number of crossings of a circle
    assert curve.sizes["point"] == pytest.approx(8 * 0.3 * 1024, abs=8)
    assert set(np.unique(curve.error_x)) == {0.0, 0.5 / 1024}
    assert np.all((curve.error_x > 0) != (curve.error_y > 0))


def test_a_boundary_is_followed_from_fine_cells_into_uniform_ones():
    # a bay of width 1/50 that no point of the coarse lattice sees, except where it opens
    def bay(x, y):
        return "sea" if y < 0.13 or (abs(x - 0.3) < 0.01 + 0.03 * (0.14 - min(y, 0.14)) and y < 0.8) else "land"

    curve = plane(bay, coarse=4, resolution=1 / 256)
    _, y = xy(curve)
    assert np.max(y) == pytest.approx(0.8, abs=1 / 256)
    assert len(set(curve.segment.values)) == 1


def test_three_outcomes_meet():
    def sectors(x, y):
        return "abc"[int(3 * (math.atan2(y - 0.47, x - 0.52) / (2 * math.pi) % 1.0))]

    curve = plane(sectors, resolution=1 / 128)
    pairs = {frozenset(pair) for pair in zip(curve.outcome_a.values, curve.outcome_b.values, strict=True)}
    assert pairs == {frozenset("ab"), frozenset("bc"), frozenset("ca")}
    assert len(set(curve.segment.values)) == 3
    one = plane(sectors, resolution=1 / 128, between=("b", "a"))
    assert set(one.outcome_a.values) == {"b"}
    assert set(one.outcome_b.values) == {"a"}
    assert one.attrs["evaluations"] < curve.attrs["evaluations"]


def test_two_components_are_two_segments():
    curve = plane(
        lambda x, y: "in" if min(math.hypot(x - 0.2, y - 0.3), math.hypot(x - 0.7, y - 0.6)) < 0.15 else "out"
    )
    assert curve.attrs["closed_segments"] == [0, 1]


def test_every_point_is_asked_once_and_in_batches():
    asked = []

    def evaluate(points):
        asked.append(list(points))
        return [("in" if i + 2 * j < 300 else "out",) for i, j in points]

    refined = refine(evaluate, 256, 16)
    everything = [point for batch in asked for point in batch]
    assert len(everything) == len(set(everything)) == len(refined.labels)
    assert len(asked) <= 1 + 2 * 4  # four halvings, and as many rounds for cells found from beside
    assert len(curves(refined)) == 1


@pytest.mark.parametrize("seed", range(8))
def test_leaves_around_a_random_boundary_are_of_the_finest_size(seed):
    # whatever the curve: a lattice edge between the two outcomes has fine cells on both sides
    waves = np.random.default_rng(seed).normal(size=(3, 4))

    def label(i, j):
        x, y = i / 128, j / 128
        return "a" if sum(w[0] * math.sin(9 * w[1] * x + 9 * w[2] * y + w[3]) for w in waves) < 0.3 else "b"

    refined = refine(lambda points: [(label(i, j),) for i, j in points], 128, 8)
    assert all(cell[2] == 1 for cell in refined.leaves if refined.is_mixed(cell))
    covered = sum(cell[2] ** 2 for cell in refined.leaves)
    assert covered == 128**2
    for segment in curves(refined):
        first, last = segment.crossings[0].centre, segment.crossings[-1].centre
        on_edge = [min(x, y, 128 - x, 128 - y) == 0 for x, y in (first, last)]
        assert segment.closed or all(on_edge)


def test_resolution_is_the_next_power_and_axes_may_be_logarithmic():
    game = gs.DiracGAN()
    curve = gs.boundary(
        game,
        SPEEDS,
        ((1e-3, 10.0), (1e-2, 1.0)),
        measure=lambda g: "fast" if g.generator_lr * g.discriminator_lr > 1e-2 else "slow",
        resolution=1 / 100,
        log=(True, True),
    )
    assert curve.attrs["resolution"] == 1 / 128
    x, y = curve.generator_lr.values, curve.discriminator_lr.values
    truth_x, truth_y = 1e-2 / y, 1e-2 / x
    along_x = curve.error_x.values > 0
    assert np.all(np.abs(x - truth_x)[along_x] <= curve.error_x.values[along_x] * (1 + 1e-9))
    assert np.all(np.abs(y - truth_y)[~along_x] <= curve.error_y.values[~along_x] * (1 + 1e-9))


def test_whole_parameters_are_rounded_and_asked_once():
    game = gs.TorusGAN()
    curve = gs.boundary(
        game,
        ("particles", "bandwidth"),
        ((2, 40), (0.1, 1.0)),
        measure=lambda g: "many" if g.particles >= 17 else "few",
        resolution=1 / 256,
    )
    along = curve.error_x.values > 0
    assert set(curve.particles.values[along]) == {16.5}
    assert curve.attrs["evaluations"] < curve.sizes["sample"]


def test_solvable_thresholds_at_full_resolution():
    curve = gs.boundary(SOLVABLE, NOISE_AND_SPEED, ((0.1, 6), (0.005, 0.3)), between=("oscillating", "converged"))
    assert curve.attrs["evaluations"] <= 0.03 * 1024**2
    # the stronger feature passes the upper threshold: 2 discriminator_lr^2 noise^2 / generator_lr = 5
    x, y = curve.data_noise.values, curve.generator_lr.values
    along = curve.error_x.values > 0
    truth = np.sqrt(5 * y / (2 * SOLVABLE.discriminator_lr**2))
    assert np.all(np.abs(x - truth)[along] <= curve.error_x.values[along] + 1e-12)
    assert along.sum() > 100


def test_simulated_steps_agree_with_the_largest_stable_step():
    game = gs.DiracGAN(gradient_penalty=0.5)
    curve = gs.boundary(
        game,
        ("step_size", "gradient_penalty"),
        ((0.1, 3), (0.1, 2)),
        ("converged", "diverged"),
        measure="simulate",
        level="explicit",
        iterations=2000,
        resolution=1 / 32,
        coarse=8,
    )
    along = curve.error_x.values > 0
    for step, error, gamma in zip(
        curve.step_size.values[along], curve.error_x.values[along], curve.gradient_penalty.values[along], strict=True
    ):
        truth = gs.largest_step(game.replace(gradient_penalty=float(gamma)), "explicit")
        # slow growth near the boundary needs longer runs than 2000 steps to be seen: twice the interval
        assert abs(step - truth) <= 3 * error


def test_no_boundary_is_an_empty_curve_that_says_why(tmp_path):
    curve = gs.boundary(SOLVABLE, NOISE_AND_SPEED, ((5.5, 6), (0.005, 0.3)), resolution=1 / 64)
    assert curve.sizes["point"] == 0
    assert "no boundary found" in curve.attrs["message"]
    assert "uninformative" in curve.attrs["message"]
    gs.save(curve, tmp_path / "curve.zarr")
    assert gs.load(tmp_path / "curve.zarr").attrs["message"] == curve.attrs["message"]


def test_a_boundary_that_fills_the_plane_is_given_up():
    curve = plane(lambda x, y: "ab"[hash((round(x * 4096), round(y * 4096))) % 2], most_evaluations=3000)
    assert curve.attrs["evaluations"] <= 3000
    assert "stopped at" in curve.attrs["message"]


def test_a_point_that_fails_is_undecided_and_the_rest_goes_on(monkeypatch):
    def moody(self, *args, **options):
        if 1.4 < self.generator_lr < 1.6:
            raise gs.NotApplicable("not here")
        return predict(self, *args, **options)

    def moody_batch(self, over, *args, **options):
        if np.any(abs(over["generator_lr"] - 1.5) < 0.1):
            raise gs.NotApplicable("one of them is not here")
        return predict_cells(self, over, *args, **options)

    predict, predict_cells = gs.DiracGAN.predict, gs.DiracGAN.predict_cells
    monkeypatch.setattr(gs.DiracGAN, "predict", moody)
    monkeypatch.setattr(gs.DiracGAN, "predict_cells", moody_batch)
    curve = gs.boundary(PLANE, SPEEDS, UNIT, resolution=1 / 16, coarse=8)
    assert "undecided" in set(curve.sample_outcome.values)
    assert "not here" in curve.attrs["failures"][0]


# Chance


def test_midpoint_of_a_logistic_share():
    # against the spread of many fits: location and its own standard error
    rng, at = np.random.default_rng(0), np.linspace(0, 1, 21)
    truth, width, trials = 0.43, 0.06, 16
    fits = [midpoint(at, rng.binomial(trials, expit((at - truth) / width)), np.full(21, trials)) for _ in range(400)]
    locations = np.array([fit.location for fit in fits])
    errors = np.sqrt(np.array([fit.error for fit in fits]) ** 2 - 0.025**2)
    assert abs(np.mean(locations) - truth) < 4 * np.std(locations) / 20
    assert np.std(locations) == pytest.approx(np.mean(errors), rel=0.15)  # 400 draws: 3.5 % each
    assert np.mean([fit.width for fit in fits]) == pytest.approx(width, rel=0.1)


def test_midpoint_of_counts_that_change_at_once():
    sharp = midpoint([0, 1, 2, 3], [0, 0, 8, 8], [8] * 4)
    assert (sharp.location, sharp.error, sharp.width) == (1.5, 0.5, 0.0)
    touched = midpoint([0, 1, 2, 3], [0, 3, 8, 8], [8] * 4)
    assert (touched.location, touched.error) == (1.0, 1.0)
    falling = midpoint([0, 1, 2, 3], [8, 8, 0, 0], [8] * 4)
    assert falling.location == 1.5
    assert midpoint([0, 1], [8, 8], [8, 8]) is None
    assert midpoint([0, 1, 2], [4, 0, 4], [8] * 3) is None


@pytest.mark.parametrize("replicas, width, coverage", [(16, 0.02, (0.6, 0.9)), (8, 0.003, (0.68, 1.0))])
def test_bars_of_a_stochastic_boundary_cover_the_truth(replicas, width, coverage):
    def truth(x):
        return 0.3 + 0.4 * x + 0.1 * np.sin(5 * x)

    inside = []
    for seed in range(6):
        rng = np.random.default_rng(seed)

        def votes(x, y, rng=rng):
            return ["b" if u < expit((y - truth(x)) / width) else "a" for u in rng.random(replicas)]

        curve = plane(votes, between=("a", "b"), replicas=replicas, resolution=1 / 256, coarse=16)
        x, y = xy(curve)
        known_x = np.array([brentq(lambda t, y=v: truth(t) - y, -2, 3) for v in y])
        along = curve.error_x.values > 0
        inside += list(
            np.where(along, np.abs(x - known_x) <= curve.error_x, np.abs(y - truth(x)) <= curve.error_y.values)
        )
        assert np.all((curve.error_x > 0) != (curve.error_y > 0))
        assert min(curve.error_x.min(), curve.error_y.min()) == 0
    # one standard error covers 68 %; half a lattice spacing in quadrature makes the bars longer, and where the share is
    # narrower than the lattice they are whole brackets. Bars of one run share points: about 150 are independent.
    assert coverage[0] <= np.mean(inside) <= coverage[1]


def test_refinement_stops_where_chance_decides():
    def votes(width):
        rng = np.random.default_rng(1)
        return lambda x, y: ["b" if u < expit((y - 0.52) / width) else "a" for u in rng.random(16)]

    numbers = dict(between=("a", "b"), replicas=16, resolution=1 / 512, coarse=16)
    wide, narrow = plane(votes(0.05), **numbers), plane(votes(1e-4), **numbers)
    assert wide.attrs["evaluations"] < 0.5 * narrow.attrs["evaluations"]
    assert np.median(wide.error_y) > 5 * np.median(narrow.error_y)


def test_replicas_of_a_finite_size_chain():
    game = gs.SolvableGAN(feature_variance=(5, 3), generator_lr=0.04)
    curve = gs.boundary(
        game,
        NOISE_AND_SPEED,
        ((2.0, 6.0), (0.03, 0.05)),
        ("collapsed", "uninformative"),
        measure="simulate",
        level="chain",
        dimension=2000,
        horizon=200,
        replicas=3,
        resolution=1 / 8,
        coarse=4,
    )
    # a chain loses the stronger feature near the threshold of the limit, 5 = discriminator_lr noise^2: a little earlier
    assert curve.sizes["point"] > 0
    assert np.median(curve.data_noise) == pytest.approx(5.0, abs=0.6)
    assert set(np.unique(curve.sample_share)) <= {0, 0.25, 0.5, 0.75, 1}


# Continuation


def kernel_game():
    return gs.KernelGAN(
        [[0.0]], [[0.0]], real_mass=[1.0], generated_mass=[1.0], discriminator_lr=0.2, kernel=gs.RBF(1.0)
    )


def assert_on_polyline(fine, coarse, names):
    """Every point of a refined curve lies within its own error bar of a followed curve."""
    x, y = (fine[name].values for name in names)
    known = [coarse[name].values for name in names]
    for k in range(len(x)):
        axis = 0 if fine.error_x[k] > 0 else 1
        at, line = ((x[k], y[k]), (y[k], x[k]))[axis]
        own, other = known[axis], known[1 - axis]
        pieces = np.flatnonzero((other[:-1] - line) * (other[1:] - line) <= 0)
        error = float((fine.error_x, fine.error_y)[axis][k])
        places = [np.interp(line, *_sorted(other[p : p + 2], own[p : p + 2])) for p in pieces]
        chord = 2e-3 * np.ptp(own)  # the followed points are joined by straight lines
        if line <= other.min() or line >= other.max():
            continue
        assert min(abs(place - at) for place in places) <= error + chord


def _sorted(x, y):
    order = np.argsort(x)
    return x[order], y[order]


def test_both_methods_agree_on_the_kernel_gan():
    names, ranges = ("regularization", "generator_lr"), ((0.2, 1.5), (0.1, 1.4))
    followed = gs.boundary(kernel_game(), names, ranges, rule="simultaneous", method="continue")
    # generator_lr = regularization, in closed form
    assert np.max(np.abs(followed.regularization - followed.generator_lr)) < 1e-8
    assert set(followed.bifurcation.values) == {"neimark_sacker"}
    asked = ("converged", "oscillating")
    refined = gs.boundary(kernel_game(), names, ranges, asked, rule="simultaneous", resolution=1 / 64, coarse=8)
    assert_on_polyline(refined, followed, names)
    assert {frozenset(p) for p in zip(followed.outcome_a.values, followed.outcome_b.values, strict=True)} == {
        frozenset(asked)
    }


def test_both_methods_agree_on_the_dirac_gan():
    game = gs.DiracGAN(gradient_penalty=0.5)
    names, ranges, asked = ("gradient_penalty", "step_size"), ((0.05, 2), (0.05, 3)), ("converged", "diverged")
    followed = gs.boundary(game, names, ranges, asked, level="explicit", method="continue")
    steps = [gs.largest_step(game.replace(gradient_penalty=float(g)), "explicit") for g in followed.gradient_penalty]
    assert np.max(np.abs(followed.step_size - steps)) < 1e-8
    assert set(followed.bifurcation.values) <= {"neimark_sacker", "flip"}
    refined = gs.boundary(game, names, ranges, asked, level="explicit", resolution=1 / 128)
    assert_on_polyline(refined, followed, names)
    assert followed.attrs["evaluations"] < refined.attrs["evaluations"]


def test_continuation_of_a_named_equilibrium():
    curve = gs.boundary(
        SOLVABLE, NOISE_AND_SPEED, ((0.1, 6), (0.005, 0.3)), method="continue", start="silent_perfect", coarse=16
    )
    truth = 2 * SOLVABLE.discriminator_lr**2 * curve.data_noise**2 / 5
    assert np.max(np.abs(curve.generator_lr - truth)) < 1e-8
    assert set(curve.bifurcation.values) == {"hopf"}


# Bad input


@pytest.mark.parametrize(
    "arguments, text",
    [
        (dict(over=("data_noise", "data_noise")), "two different names"),
        (dict(over=("data_nois", "generator_lr")), "Did you mean 'data_noise'"),
        (dict(over="data_noise"), "two names"),
        (dict(over=("feature_variance", "data_noise")), "one number"),
        (dict(over=("link", "data_noise")), "a number"),
        (dict(ranges=((6, 0.1), (0.005, 0.3))), "lower one first"),
        (dict(ranges=((0.1, math.nan), (0.005, 0.3))), "finite"),
        (dict(ranges=((0.1, 6), (-1, 0.3))), "generator_lr = -1"),
        (dict(ranges=((0.1, 6),)), "ranges"),
        (dict(between=("converged", "convergd")), "Did you mean 'converged'"),
        (dict(between=("converged", "converged")), "two different outcomes"),
        (dict(between="converged"), "two outcomes"),
        (dict(measure="predikt"), "Did you mean 'predict'"),
        (dict(measure="simulate", level="odd"), "level"),
        (dict(measure="simulate", level="ode", replicas=3), "deterministic"),
        (dict(measure="simulate", level="ode", horizon=-3), "horizon"),
        (dict(measure="simulate", level="ode", bogus=3), "bogus"),
        (dict(replicas=3), "no replicas"),
        (dict(resolution=0), "resolution"),
        (dict(resolution=2), "resolution"),
        (dict(resolution=math.nan), "resolution"),
        (dict(coarse=1.5), "coarse"),
        (dict(log=(True,)), "log"),
        (dict(log=(True, False), ranges=((0, 6), (0.005, 0.3))), "positive numbers"),
        (dict(method="bisect"), "method"),
        (dict(level="odee"), "level"),
        (dict(step_size=0.1), "step_size"),
        (dict(workers=0), "workers"),
        (dict(seed=-1), "seed"),
        (dict(start="silent_perfect"), "start"),
        (dict(method="continue", measure="simulate", level="ode"), "follows theory"),
        (dict(method="continue", start="nowhere"), "nowhere"),
        (dict(measure=lambda game: 3), "returns a text"),
    ],
)
def test_bad_input_is_refused(arguments, text):
    given = dict(over=NOISE_AND_SPEED, ranges=((0.1, 6), (0.005, 0.3)), resolution=1 / 64, coarse=4) | arguments
    with pytest.raises(gs.ParameterError, match=text):
        gs.boundary(SOLVABLE, **given)


def test_games_without_smooth_equilibria_say_so():
    with pytest.raises(gs.NotApplicable, match="ClippedGAN"):
        gs.boundary(
            gs.ClippedGAN(1.0), ("clip", "generator_lr"), ((0.5, 1), (0.5, 1)), resolution=1 / 8, method="continue"
        )
