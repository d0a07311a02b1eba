"""Engines of the kernel model: against worked numbers, the naive transcription, and each other."""

import functools
import tracemalloc
import warnings

import numpy as np
import pytest
import reference_kernel as reference
from hypothesis import given, settings
from hypothesis import strategies as st
from test_kernel_reference import WORKED

import ganscope as gs

RULES = reference.METHODS
EXACT = ("history", "fourier_grid")
WHOLE = 1e-15  # a history cut below rounding
MOMENTUM = {"heavy_ball": {"momentum": 0.2}}
# Four true points and eight generated ones, which spread and settle without chaos.
CORNERS = 1.5 * np.array([[-1.0, -1.0], [1.0, -1.0], [-1.0, 1.0], [1.0, 1.0]])


def random_game(seed, axes, kernel=None, real=4, generated=6, **parameters):
    """Unequal masses with the same sum, points a kernel width apart."""
    rng = np.random.default_rng(seed)
    points = {"real_points": rng.normal(size=(real, axes)), "generated_points": rng.normal(size=(generated, axes))}
    mass = {"real_mass": rng.dirichlet(np.full(real, 5.0)), "generated_mass": rng.dirichlet(np.full(generated, 5.0))}
    rates = {"regularization": 1.1, "generator_lr": 0.8, "discriminator_lr": 0.2}
    return gs.KernelGAN(**{**points, **mass, **rates, "kernel": kernel or gs.RBF(0.8), **parameters})


def corner_game(**parameters):
    start = np.random.default_rng(4).uniform(-2, 2, (8, 2))
    return gs.KernelGAN(CORNERS, start, **{"kernel": gs.RBF(0.6), "generator_lr": 1.0, **parameters})


def oracle(game, kernel, rule, iterations):
    return reference.run(
        np.array(game.real_points),
        np.array(game.real_mass),
        np.array(game.generated_points),
        np.array(game.generated_mass),
        kernel,
        game.discriminator_lr,
        game.generator_lr,
        game.regularization,
        rule,
        game.weighting,
        game.initial_discriminator,
        MOMENTUM.get(rule, {}).get("momentum", 0.0),
        iterations,
    )[0]


def simulate(game, rule, iterations, **options):
    return gs.simulate(game, "gda", rule=rule, iterations=iterations, **MOMENTUM.get(rule, {}), **options)


def quietly(function, *args, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function(*args, **options)


def assert_matches(run, game, kernel, path, atol):
    """Points and everything that is seen of them, at every iteration."""
    X, p, q = (np.array(v) for v in (game.real_points, game.real_mass, game.generated_mass))
    assert run.generated_points.dims == ("time", "point", "axis")
    np.testing.assert_allclose(run.generated_points, path, atol=atol, rtol=0)
    np.testing.assert_allclose(run.mmd2, [reference.mmd2(X, p, Z, q, kernel) for Z in path], atol=atol, rtol=0)
    np.testing.assert_allclose(run.distance, [reference.nearest_distances(X, Z) for Z in path], atol=atol, rtol=0)
    mass = [reference.mass_per_neighbourhood(X, Z, q, kernel.width)[0] for Z in path]
    np.testing.assert_allclose(run.mass, mass, atol=1e-15)  # sums of a few masses
    np.testing.assert_array_equal(run.covered, [reference.covered(X, Z, kernel.width) for Z in path])


@pytest.mark.parametrize("representation", ["auto", *EXACT])
@pytest.mark.parametrize("rule", RULES)
def test_worked_trajectories(rule, representation):
    game = gs.KernelGAN([[0.0]], [[0.5]], regularization=1.2, generator_lr=0.6, representation=representation)
    run = simulate(game, rule, 20, save_at=[0, 1, 2, 3, 10, 20], tolerance=WHOLE)
    np.testing.assert_array_equal(run.iteration, [0, 1, 2, 3, 10, 20])
    np.testing.assert_allclose(run.time, 0.2 * run.iteration, rtol=1e-15)
    # The numbers have twelve digits.
    np.testing.assert_allclose(run.generated_points[:, 0, 0], [0.5, *WORKED[rule]], atol=6e-13)
    assert float(run.mmd2[0]) == pytest.approx(0.235006194831, abs=6e-13)


@functools.cache
def solved(axes, rule, weighting, start):
    game = random_game(axes, axes, weighting=weighting, initial_discriminator=start)
    return game, oracle(game, reference.rbf(0.8), rule, 25)


@pytest.mark.parametrize("representation", EXACT)
@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("rule", RULES)
def test_every_rule_and_representation_follows_the_transcription(rule, axes, representation):
    for weighting, start in (("loss", "zero"), ("unit", "zero"), ("loss", "equilibrium"), ("unit", "equilibrium")):
        game, path = solved(axes, rule, weighting, start)
        # Wide enough for all visited points; a tolerance bounds the history's cut and the grid's error alike.
        room = {"box": 9.0} if representation == "fourier_grid" else {}
        run = simulate(game.replace(representation=representation), rule, 25, tolerance=WHOLE, **room)
        assert run.attrs["representation"] == representation
        # Rounding of 25 steps, a few growing modes included; the grid's own error is e^-32.
        assert_matches(run, game, reference.rbf(0.8), path, 1e-11)


KERNELS = {
    "RBF": (lambda: gs.RBF(0.7), reference.rbf(0.7)),
    "RationalQuadratic": (lambda: gs.RationalQuadratic(0.7, 1.7), reference.rq(0.7, 1.7)),
    "RationalQuadratic, default": (lambda: gs.RationalQuadratic(0.7), reference.rq(0.7, 1.0)),
    "Matern32": (lambda: gs.Matern32(1.1), reference.matern32(1.1)),
    "Matern52": (lambda: gs.Matern52(1.1), reference.matern52(1.1)),
    "RBFSum": (lambda: gs.RBFSum((0.5, 1.3), (0.3, 0.7)), reference.rbf_sum((0.5, 1.3), (0.3, 0.7))),
    "Laplace": (lambda: gs.Laplace(1.1), reference.laplace(1.1)),
}


@pytest.mark.parametrize("rule", ["alternating", "optimistic"])
@pytest.mark.parametrize("name", KERNELS)
def test_every_kernel_by_history(name, rule):
    make, kernel = KERNELS[name]
    game = quietly(random_game, 7, 2, make(), representation="history")
    run = quietly(simulate, game, rule, 25, tolerance=WHOLE)
    assert_matches(run, game, kernel, oracle(game, kernel, rule, 25), 1e-11)


@pytest.mark.parametrize("axes", [1, 2])
def test_sums_of_gaussians_on_the_grid(axes):
    make, kernel = KERNELS["RBFSum"]
    game = random_game(8, axes, make(), representation="fourier_grid")
    run = simulate(game, "extragradient", 25)
    assert_matches(run, game, kernel, oracle(game, kernel, "extragradient", 25), 1e-11)


def test_the_choice_of_the_representation():
    def chosen(axes, kernel, **parameters):
        return simulate(random_game(0, axes, kernel, **parameters), "alternating", 1).attrs["representation"]

    assert chosen(1, gs.RBF(0.8)) == chosen(2, gs.RBF(0.8)) == chosen(2, gs.RBFSum((0.7, 1.0))) == "fourier_grid"
    assert chosen(3, gs.RBF(0.8)) == chosen(2, gs.Matern32(1.0)) == chosen(1, gs.RationalQuadratic(1.0)) == "history"
    # A narrow kernel in a wide plane needs too many waves.
    wide = 20 * np.random.default_rng(0).normal(size=(4, 2))
    assert chosen(2, gs.RBF(0.1), real_points=wide) == "history"
    assert chosen(2, gs.RBF(0.8), representation="random_features") == "random_features"


@pytest.mark.parametrize("tolerance", [1e-5, 1e-7, 1e-9])
@pytest.mark.parametrize("rule", RULES)
def test_error_of_a_cut_history(rule, tolerance):
    game = corner_game(representation="history")
    whole, cut = (simulate(game, rule, 200, save_at=[200], tolerance=t).generated_points for t in (WHOLE, tolerance))
    error = float(abs(whole - cut).max())
    assert 0 < error < 20 * tolerance


@pytest.mark.parametrize("rule", RULES)
def test_grid_and_history_agree(rule):
    runs = [simulate(corner_game(representation=name), rule, 200, tolerance=WHOLE) for name in EXACT]
    # Machine precision, grown by 200 steps.
    np.testing.assert_allclose(runs[0].generated_points, runs[1].generated_points, atol=1e-12)


def test_error_of_random_features_is_halved_by_four_times_as_many():
    exact = simulate(corner_game(), "alternating", 30, save_at=[30]).generated_points

    def error(features):
        game = corner_game(representation="random_features", features=features)
        runs = [simulate(game, "alternating", 30, save_at=[30], seed=seed) for seed in range(32)]
        return np.mean([np.sqrt(((run.generated_points - exact) ** 2).mean()) for run in runs])

    few, some, many = error(512), error(2048), error(8192)
    # 32 seeds scatter by some 10 %; an error that fell like 1 / features or not at all is far outside.
    assert 1.5 < few / some < 2.8
    assert 1.5 < some / many < 2.8


@pytest.mark.parametrize("representation", EXACT)
@pytest.mark.parametrize("rule", RULES)
def test_weightings_differ_only_by_the_masses(rule, representation):
    loss = random_game(5, 2, generated=5, generated_mass=np.full(5, 0.2), representation=representation)
    unit = loss.replace(weighting="unit", generator_lr=loss.generator_lr * 0.2)
    runs = [simulate(game, rule, 25).generated_points for game in (loss, unit)]
    np.testing.assert_allclose(*runs, atol=1e-13)


@pytest.mark.parametrize("representation", EXACT)
@pytest.mark.parametrize("weighting, start", [("loss", "zero"), ("unit", "equilibrium")])
def test_flow_follows_the_transcription(weighting, start, representation):
    times = [0.0, 0.5, 1.0, 3.0]
    # The speed ratio counts, not the rates.
    game = random_game(
        3, 1, representation=representation, weighting=weighting, initial_discriminator=start, discriminator_lr=0.01
    ).replace(generator_lr=0.02)
    run = gs.simulate(game, "gda", rule="flow", horizon=3.0, save_at=times)
    masses = np.array(game.real_mass), np.array(game.generated_mass)
    points = np.array(game.real_points), np.array(game.generated_points)
    path = reference.flow(
        points[0], masses[0], points[1], masses[1], 0.8, 0.01, 0.02, 1.1, np.array(times), weighting, start
    )
    np.testing.assert_allclose(run.time, times)
    np.testing.assert_allclose(run.generated_points, path, atol=1e-8)  # order 4 at steps of 0.01


@pytest.mark.parametrize("seed", [0, 1])
def test_mass_mismatch_at_four_corners(seed):
    corners = 2 * np.sign(CORNERS)
    owner = np.repeat([0, 1, 2, 3], [1, 2, 2, 3])
    start = corners[owner] + np.random.default_rng(seed).uniform(-0.2, 0.2, (8, 2))
    game = gs.KernelGAN(corners, start, kernel=gs.RBF(0.5), generator_lr=1.0)
    run = simulate(game, "simultaneous", 2000)
    end = run.generated_points.values[-1]
    distance = run.distance.values[-1]
    assert distance[0] < 1e-9  # missing mass: an exact hit
    assert np.all((distance[1:5] > 0.015) & (distance[1:5] < 0.02))  # no missing mass: a power law
    triangle = end[5:] - end[5:].mean(axis=0)
    np.testing.assert_allclose(np.linalg.norm(triangle, axis=1), 0.31838071, atol=1e-8)
    assert float(run.mmd2[-1]) == pytest.approx(0.022938, abs=1e-6)
    np.testing.assert_allclose(run.mass[-1], [0.125, 0.25, 0.25, 0.375])
    assert int(run.covered[-1]) == 4


# Symmetries. Rounding of coordinates that were moved or turned, grown by 15 steps.
coordinates = st.floats(-3, 3, allow_nan=False, allow_subnormal=False)


@given(seed=st.integers(0, 10**6), shift=st.tuples(coordinates, coordinates), exact=st.sampled_from(EXACT))
def test_translation(seed, shift, exact):
    game = random_game(seed, 2, representation=exact)
    moved = game.replace(real_points=game.real_points + shift, generated_points=game.generated_points + shift)
    runs = [simulate(g, "alternating", 15) for g in (game, moved)]
    np.testing.assert_allclose(runs[1].generated_points, runs[0].generated_points + np.array(shift), atol=1e-11)
    np.testing.assert_allclose(runs[1].mmd2, runs[0].mmd2, atol=1e-11)


@given(seed=st.integers(0, 10**6), angle=st.floats(0, 6.3), exact=st.sampled_from(EXACT))
def test_rotation(seed, angle, exact):
    game = random_game(seed, 2, representation=exact)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    turned = game.replace(real_points=game.real_points @ turn, generated_points=game.generated_points @ turn)
    runs = [simulate(g, "simultaneous", 15) for g in (game, turned)]
    np.testing.assert_allclose(runs[1].generated_points, runs[0].generated_points.values @ turn, atol=1e-11)


@given(seed=st.integers(0, 10**6), exact=st.sampled_from(EXACT), rule=st.sampled_from(RULES))
def test_order_of_the_points_does_not_matter(seed, exact, rule):
    game = random_game(seed, 2, representation=exact)
    rng = np.random.default_rng(seed)
    real, generated = rng.permutation(4), rng.permutation(6)
    shuffled = game.replace(
        real_points=game.real_points[real],
        real_mass=game.real_mass[real],
        generated_points=game.generated_points[generated],
        generated_mass=game.generated_mass[generated],
    )
    run, other = simulate(game, rule, 15), simulate(shuffled, rule, 15)
    np.testing.assert_allclose(other.generated_points, run.generated_points.values[:, generated], atol=1e-11)
    np.testing.assert_allclose(other.mass, run.mass.values[:, real], atol=1e-15)


@given(seed=st.integers(0, 10**6), split=st.floats(0.1, 0.9))
@settings(max_examples=10)
def test_a_point_split_in_two_changes_nothing_under_unit_weighting(seed, split):
    game = random_game(seed, 1, weighting="unit", representation="history")
    twin = np.append(game.generated_points, game.generated_points[:1], axis=0)
    mass = np.append(game.generated_mass, split * game.generated_mass[0])
    mass[0] *= 1 - split
    runs = [simulate(g, "alternating", 15) for g in (game, game.replace(generated_points=twin, generated_mass=mass))]
    np.testing.assert_allclose(runs[1].generated_points[:, :6], runs[0].generated_points, atol=1e-12)


# Edges.


@pytest.mark.parametrize("representation", [*EXACT, "random_features"])
@pytest.mark.parametrize("case", ["forgets too much", "huge rates"])
def test_blow_up_is_a_result(case, representation):
    change = {"regularization": 15.0} if case == "forgets too much" else {"generator_lr": 1e200, "regularization": 0.1}
    game = quietly(corner_game, representation=representation, features=64, **change)
    run = quietly(simulate, game, "simultaneous", 1200)
    assert run.generated_points.shape == (201, 8, 2)
    largest = np.nan_to_num(abs(run.generated_points.values[-1]), nan=np.inf).max()
    assert largest > 1e6
    assert quietly(gs.classify, run).outcome == "diverged"


@pytest.mark.parametrize("representation", EXACT)
@pytest.mark.parametrize("rule", RULES)
def test_no_regularization(rule, representation):
    game = random_game(2, 2, regularization=0.0, representation=representation)
    # Nothing is forgotten, so nothing may be cut, however loose the tolerance.
    run = simulate(game, rule, 60, **({"tolerance": 1e-3} if representation == "history" else {}))
    assert_matches(run, game, reference.rbf(0.8), oracle(game, reference.rbf(0.8), rule, 60), 1e-10)


@pytest.mark.parametrize("representation", EXACT)
def test_alternating_steps_neither_grow_nor_decay_without_regularization(representation):
    # A distance so small that the frozen part of the discriminator, second order in it, does not pin the point.
    game = gs.KernelGAN([[0.0]], [[1e-4]], regularization=0.0, generator_lr=0.6, representation=representation)
    alternating = simulate(game, "alternating", 1500, save_at=range(1501)).distance
    # The two multipliers lie on the unit circle; the tilted ellipse reaches 1 / sqrt(1 - P / 4) of the start, P = .12.
    assert float(alternating[-300:].max()) == pytest.approx(1e-4 / np.sqrt(1 - 0.03), rel=1e-3)
    simultaneous = simulate(game, "simultaneous", 60, save_at=range(61)).distance
    # |multiplier|^2 = 1 + P.
    assert float(simultaneous[30:].max()) > 1e-4 * 1.12**15


@pytest.mark.parametrize("representation", EXACT)
@pytest.mark.parametrize("real, generated", [(1, 1), (1, 5), (7, 1), (3, 2)])
def test_few_points(real, generated, representation):
    game = random_game(1, 2, real=real, generated=generated, representation=representation)
    run = simulate(game, "optimistic", 25, tolerance=WHOLE)
    assert_matches(run, game, reference.rbf(0.8), oracle(game, reference.rbf(0.8), "optimistic", 25), 1e-11)


@pytest.mark.parametrize("name", [name for name in KERNELS if name != "Laplace"])
def test_coincident_points(name):
    make, kernel = KERNELS[name]
    game = random_game(11, 2, make(), representation="history")
    points = np.array(game.generated_points)
    points[1], points[2] = points[0], game.real_points[0]
    game = game.replace(generated_points=points)
    run = simulate(game, "extragradient", 25, tolerance=WHOLE)
    # A Matern 3/2 kernel has no third derivative where points meet: rounding grows faster.
    assert_matches(run, game, kernel, oracle(game, kernel, "extragradient", 25), 1e-10)


def test_a_point_on_its_true_point_rests():
    for make, _ in KERNELS.values():
        game = quietly(gs.KernelGAN, [[0.3, -1.2]], [[0.3, -1.2]], kernel=make(), representation="history")
        run = quietly(simulate, game, "alternating", 30)
        np.testing.assert_array_equal(run.distance, 0.0)
        np.testing.assert_allclose(run.mmd2, 0.0, atol=1e-15)


def test_many_axes():
    game = random_game(3, 64, gs.RBF(8.0), generator_lr=20.0)
    run = simulate(game, "alternating", 25, tolerance=WHOLE)
    assert run.attrs["representation"] == "history"
    assert_matches(run, game, reference.rbf(8.0), oracle(game, reference.rbf(8.0), "alternating", 25), 1e-11)


def test_numbers_are_points_on_a_line():
    line, column = (gs.KernelGAN(x, z) for x, z in (([0.0, 2.0], [0.5, 1.0]), ([[0.0], [2.0]], [[0.5], [1.0]])))
    np.testing.assert_array_equal(
        simulate(line, "alternating", 5).generated_points, simulate(column, "alternating", 5).generated_points
    )


# Records, batches, threads.


@pytest.mark.parametrize("representation", [*EXACT, "random_features"])
@pytest.mark.parametrize("rule", RULES)
def test_records_do_not_change_the_run(rule, representation):
    game = random_game(4, 2, representation=representation, features=64)
    every = simulate(game, rule, 70)
    np.testing.assert_array_equal(every.iteration, range(71))
    for save_at in ([0, 3, 7, 70], [70], [1, 2, 64, 65]):
        some = simulate(game, rule, 70, save_at=save_at)
        np.testing.assert_array_equal(some.iteration, save_at)
        for name in ("generated_points", "mmd2", "distance", "mass", "covered"):
            np.testing.assert_array_equal(some[name], every[name].values[save_at], err_msg=name)


def test_long_runs_keep_201_records():
    run = simulate(random_game(4, 1), "alternating", 2000)
    np.testing.assert_array_equal(run.iteration, np.linspace(0, 2000, 201))


@pytest.mark.parametrize("representation", [*EXACT, "random_features"])
@pytest.mark.parametrize("rule", RULES)
def test_a_cell_is_its_own_game(rule, representation):
    game = random_game(6, 2, representation=representation, features=64)
    rng = np.random.default_rng(0)
    over = {
        "generator_lr": np.array([0.3, 0.8, 1.5]),
        "regularization": np.array([0.6, 1.1, 2.0]),
        "bandwidth": np.array([0.5, 0.8, 1.3]),
        "discriminator_lr": np.array([0.1, 0.2, 0.35]),
        "generated_points": rng.normal(size=(3, 6, 2)),
    }
    groups = [list(over), *([name] for name in over)] if rule == "alternating" else [list(over)]
    for names in groups:
        part = {name: over[name] for name in names}
        run = gs.simulate_many(game, part, "gda", rule=rule, iterations=20, **MOMENTUM.get(rule, {}))
        assert run.generated_points.dims == ("cell", "time", "point", "axis")
        for cell in range(3):
            own = quietly(simulate, game.replace(**{name: values[cell] for name, values in part.items()}), rule, 20)
            for name in ("generated_points", "mmd2", "distance", "mass", "covered"):
                np.testing.assert_array_equal(run[name].values[cell], own[name].values, err_msg=f"{names}: {name}")


@pytest.mark.parametrize("representation", [*EXACT, "random_features"])
def test_threads_do_not_change_a_run(representation, monkeypatch):
    game = random_game(9, 2, real=50, generated=300, representation=representation, features=64)
    over = {"generator_lr": np.linspace(10.0, 40.0, 5)}
    runs = []
    for threads in ("1", "3"):
        monkeypatch.setenv("GANSCOPE_THREADS", threads)
        many = gs.simulate_many(game, over, "gda", iterations=12)
        runs.append([simulate(game, "alternating", 12).generated_points.values, many.generated_points.values])
    for one, other in zip(*runs, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("representation", EXACT)
def test_memory_stays_far_below_all_pairs_of_all_times(representation):
    rng = np.random.default_rng(0)
    game = gs.KernelGAN(rng.normal(size=(2000, 2)), rng.normal(size=(2000, 2)), representation=representation)
    simulate(random_game(0, 2, representation=representation), "alternating", 1)  # compiled outside the measurement
    tracemalloc.start()
    try:
        simulate(game, "alternating", 4, save_at=[4])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 200e6  # all pairs of true and generated points at 5 times would be 160 MB per axis


# What a user is told.


def test_masses_that_cannot_match_are_announced():
    with pytest.warns(UserWarning, match="real_mass sums to 1 and generated_mass to 0.9"):
        gs.KernelGAN([[0.0]], [[0.5]], generated_mass=[0.9])


def test_points_that_leave_the_box_are_announced():
    game = gs.KernelGAN([[0.0]], [[0.5]], regularization=1.2, generator_lr=0.6, representation="fourier_grid")
    with pytest.warns(UserWarning, match="box"):
        simulate(game, "simultaneous", 20, box=0.5)  # it swings to -0.24
    run = simulate(game, "simultaneous", 20, box=4.0, save_at=[1, 2, 3, 10, 20])  # warnings are errors here
    np.testing.assert_allclose(run.generated_points[:, 0, 0], WORKED["simultaneous"], atol=6e-13)


def test_laplace_runs_with_a_warning_and_has_no_spectrum():
    game = quietly(gs.KernelGAN, [[0.0]], [[0.5]], kernel=gs.Laplace(1.0))
    with pytest.warns(UserWarning, match="[Ll]aplace"):
        run = simulate(game, "alternating", 20)
    assert np.all(np.isfinite(run.generated_points))
    for rule in ("flow", "alternating"):
        with pytest.raises(gs.NotApplicable, match="not differentiable"):
            quietly(gs.spectrum, game, rule=rule)


BAD_GAMES = [
    ("real_points", {"real_points": [[np.nan]]}),
    ("real_points", {"real_points": np.zeros((0, 1))}),
    ("real_points", {"real_points": np.zeros((1, 1, 1))}),
    ("generated_points", {"generated_points": [[0.0, 1.0]]}),
    ("generated_points", {"generated_points": "points"}),
    ("generated_points", {"generated_points": [np.inf]}),
    ("real_mass", {"real_mass": [0.5, 0.5]}),
    ("real_mass", {"real_mass": [0.0]}),
    ("generated_mass", {"generated_mass": [-1.0]}),
    ("generated_mass", {"generated_mass": [np.nan]}),
    ("kernel", {"kernel": "rbf"}),
    ("kernel", {"kernel": {"name": "Gauss", "bandwidth": 1.0}}),
    ("bandwidth", {"kernel": {"name": "RBF", "bandwidth": 0.0}}),
    ("regularization", {"regularization": -0.1}),
    ("regularization", {"regularization": np.inf}),
    ("regularization", {"regularization": 0.0, "initial_discriminator": "equilibrium"}),
    ("generator_lr", {"generator_lr": 0.0}),
    ("generator_lr", {"generator_lr": np.nan}),
    ("discriminator_lr", {"discriminator_lr": -1.0}),
    ("discriminator_lr", {"discriminator_lr": "fast"}),
    ("weighting", {"weighting": "mass"}),
    ("initial_discriminator", {"initial_discriminator": "one"}),
    ("representation", {"representation": "rff"}),
    ("representation", {"representation": "fourier_grid", "real_points": np.eye(4), "generated_points": np.eye(4)}),
    ("representation", {"representation": "fourier_grid", "kernel": {"name": "Matern32", "bandwidth": 1.0}}),
    ("features", {"features": 7}),
    ("features", {"features": 0}),
]


@pytest.mark.parametrize("name, change", BAD_GAMES)
def test_bad_parameters_are_named(name, change):
    with pytest.raises(gs.ParameterError) as error:
        gs.KernelGAN(**{"real_points": [[0.0]], "generated_points": [[0.5]], **change})
    assert error.value.name == name
    assert str(error.value).startswith(f"{name} = ")


@pytest.mark.parametrize(
    "name, make",
    [
        ("bandwidth", lambda: gs.RBF(0.0)),
        ("bandwidth", lambda: gs.Matern32(-1.0)),
        ("bandwidth", lambda: gs.Matern52(np.inf)),
        ("bandwidth", lambda: gs.Laplace(np.nan)),
        ("bandwidth", lambda: gs.RationalQuadratic("1")),
        ("alpha", lambda: gs.RationalQuadratic(1.0, 0.0)),
        ("bandwidths", lambda: gs.RBFSum((1.0, 0.0))),
        ("bandwidths", lambda: gs.RBFSum(())),
        ("weights", lambda: gs.RBFSum((1.0, 2.0), (1.0,))),
        ("weights", lambda: gs.RBFSum((1.0, 2.0), (1.0, -1.0))),
    ],
)
def test_bad_kernels_are_named(name, make):
    with pytest.raises(gs.ParameterError) as error:
        make()
    assert error.value.name == name


@pytest.mark.parametrize(
    "name, options",
    [
        ("level", {"level": "sgd"}),
        ("rule", {"rule": "gda"}),
        ("momentum", {"rule": "heavy_ball", "momentum": 1.0}),
        ("momentum", {"rule": "heavy_ball", "momentum": -1.0}),
        ("momentum", {"rule": "alternating", "momentum": 0.2}),
        ("iterations", {"iterations": -1}),
        ("iterations", {"iterations": 2.5}),
        ("tolerance", {"tolerance": -1e-3}),
        ("tolerance", {"tolerance": np.nan}),
        ("box", {"box": 0.0}),
        ("box", {"box": np.nan}),
        ("option", {"moment": 0.1}),
    ],
)
def test_bad_options_are_named(name, options):
    with pytest.raises(gs.ParameterError) as error:
        gs.simulate(gs.KernelGAN([[0.0]], [[0.5]]), **{"level": "gda", "iterations": 5, **options})
    assert error.value.name == name


@pytest.mark.parametrize(
    "name, over",
    [
        ("over", {"sigma": np.ones(2)}),
        ("over", {"generator_lr": np.ones(2), "regularization": np.ones(3)}),
        ("regularization", {"regularization": np.array([1.0, -1.0])}),
        ("bandwidth", {"bandwidth": np.array([0.0])}),
        ("generated_points", {"generated_points": np.zeros((2, 3, 1))}),
    ],
)
def test_bad_cells_are_named(name, over):
    with pytest.raises(gs.ParameterError) as error:
        gs.simulate_many(gs.KernelGAN([[0.0]], [[0.5]]), over, "gda", iterations=5)
    assert error.value.name == name


def test_a_batch_may_mix_representations():
    game = gs.KernelGAN([[0.0, 0.0], [4.0, 0.0]], [[0.2, 0.2], [4.2, 0.2]])
    runs = gs.simulate_many(game, {"bandwidth": [1.0, 0.05]}, "gda", iterations=300)
    assert runs.attrs["representation"] == "fourier_grid and history"
    for cell, width in enumerate((1.0, 0.05)):
        alone = gs.simulate(game.replace(bandwidth=width), "gda", iterations=300)
        assert set(alone.data_vars) == set(runs.data_vars)
        assert gs.classify(runs.isel(cell=cell)).outcome == gs.classify(alone).outcome
    assert np.all(np.isnan(runs.discriminator_gap[1]))


def test_equal_masses_follow_the_number_of_points():
    game = gs.KernelGAN([[0.0], [1.0]], [[1.0], [2.0]])
    assert np.allclose(game.replace(generated_points=[[0.0], [1.0], [3.0]]).generated_mass, 1 / 3)
    with pytest.warns(UserWarning, match="sums to"):
        uneven = gs.KernelGAN([[0.0], [1.0]], [[1.0], [2.0]], generated_mass=[0.4, 0.4])
    with pytest.raises(gs.ParameterError, match="generated_mass"):
        uneven.replace(generated_points=[[0.0], [1.0], [3.0]])


@pytest.mark.parametrize(
    "settings, options, message",
    [
        (dict(representation="fourier_grid"), {"box": 1e5}, "a smaller box"),
        (dict(representation="fourier_grid", kernel=gs.RBF(1e-4)), {}, "'history'"),
        ({}, {"tolerance": 0.0}, "tolerance"),
        ({}, {"momentum": -1.0, "rule": "heavy_ball"}, r"\(-1, 1\)"),
        ({}, {"momentum": 0.1}, "no momentum"),
    ],
)
def test_what_cannot_be_simulated_is_refused_before_it_starts(settings, options, message):
    game = gs.KernelGAN([[0.0, 0.0], [4.0, 0.0]], [[0.2, 0.2], [4.2, 0.2]], **settings)
    with pytest.raises(gs.ParameterError, match=message):
        gs.simulate(game, "gda", iterations=20, **options)


def test_points_far_beyond_every_grid_are_simulated_all_the_same():
    run = gs.simulate(gs.KernelGAN([[0.0]], [[1e200]]), "gda", iterations=20)
    assert run.attrs["representation"] == "history"
    assert np.all(run.generated_points == 1e200)


def test_missing_parameters_in_json_are_named():
    with pytest.raises(gs.ParameterError, match="real_points"):
        gs.from_json('{"model": "kernel"}')


def test_a_run_is_judged_whatever_the_order_of_its_dimensions():
    run = gs.simulate(gs.KernelGAN([[0.0, 0.0], [4.0, 0.0]], [[0.2, 0.2], [4.2, 0.2]]), "gda", iterations=200)
    assert gs.classify(run.transpose("axis", "point", "time", "real_point")) == gs.classify(run)
    for part in (run.isel(point=0), run.isel(axis=[0])):
        with pytest.raises(gs.ParameterError, match="run"):
            gs.classify(part)
