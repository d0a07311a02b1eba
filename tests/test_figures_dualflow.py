"""Pictures of the dual flows: what stands on them, and that the data of every figure say what theory says."""

import importlib
import warnings

import numpy as np
import pytest
from matplotlib.collections import LineCollection

import ganscope as gs
from ganscope import figures
from ganscope.claims import recipes_dualflow as recipes
from ganscope.claims import recipes_dualflow_laws as laws
from ganscope.figures import style

ALL_MODELS = ("dirac", "quadratic", "clipped", "lq", "feature")
DIRAC = gs.DiracGAN("saturating")
SCALAR = gs.QuadraticGame(0.2, 1.0, 0.5, -1.0, initial=(1.0, -0.5))
VECTORS = gs.QuadraticGame(np.diag([1.0, 2.0, 3.0]), np.ones((3, 2)), np.eye(2), -np.ones((2, 3)))
CLIPPED = gs.ClippedGAN()
FIELD = gs.ClippedGAN(initial=(0.9, np.linspace(-0.3, 0.3, 11)))
LINE = gs.QuadraticGAN(0.0, 1.0, 0.0, 0.25, critic_penalty=0.0)
COLLAPSED = gs.QuadraticGAN([0, 0], [[1, 0.5], [0.5, 2]], [0, 0], factor=[[0.5], [0.1]], discriminator_lr=2.0)
CLOUD = laws.two_mode_game(16, bandwidth=0.5, discriminator_lr=5.0)
SINGLE = gs.FeatureGAN(laws.two_modes(16), [0.5], bandwidth=0.5)


def plane_game(**parameters):
    rng = np.random.default_rng(0)
    target = 0.1 * rng.normal(size=(12, 2)) + np.array([[1.0, 0.0], [-1.0, 0.0]])[np.arange(12) % 2]
    return gs.FeatureGAN(target, 0.1 * rng.normal(size=(12, 2)), **parameters)


GAMES = [DIRAC, SCALAR, VECTORS, CLIPPED, FIELD, LINE, COLLAPSED, CLOUD, SINGLE, plane_game(features="random")]
NAMES = ["dirac", "scalar", "vectors", "clipped", "field", "line", "collapsed", "cloud", "single", "plane"]


def texts(figure):
    """The captions and legends of a figure."""
    found = [figure.get_supxlabel()]
    for legend in figure.legends:
        found += [legend.get_title().get_text(), *(text.get_text() for text in legend.get_texts())]
    return " ".join(" ".join(found).split())


def curves(axes, records):
    return [line for line in axes.lines if line.get_linestyle() != "None" and len(line.get_xdata()) == records]


def crosses(axes):
    return [line for line in axes.lines if line.get_marker() == "X"]


def assert_axes_are_labelled(figure):
    for k, axes in enumerate(figure.axes):
        assert "[" in axes.get_xlabel(), f"panel {k} has no unit on x: {axes.get_xlabel()!r}"
        named = axes.get_ylabel() or [label.get_text() for label in axes.get_yticklabels()]
        assert named, f"panel {k} has neither a label nor names on y"
    assert figure.get_suptitle()


@pytest.fixture(scope="module", params=GAMES, ids=NAMES)
def runs(request):
    game = request.param
    made = [gs.simulate(game, "explicit", step_size=0.05, iterations=40), gs.simulate(game, "flow", horizon=2.0)]
    return game, made


def test_every_model_is_drawn(runs):
    game, made = runs
    for thing in (*made, made):
        figure = gs.plot(thing)
        assert_axes_are_labelled(figure)
        assert len(figure.axes) == 3
        assert f"discriminator_lr = {game.discriminator_lr:g}" in texts(figure)
    assert "explicit, step_size = 0.05" in texts(figure)
    assert "flow" in texts(figure)


def test_predictions_are_drawn(runs):
    game, _ = runs
    for level in ("flow", "explicit"):
        prediction = gs.predict(game, level=level)
        figure = gs.plot(prediction)
        assert_axes_are_labelled(figure)
        assert len(figure.axes) == 3
        assert str(prediction.outcome) in figure.get_suptitle()


def test_the_picture_of_a_prediction_shows_its_spectrum():
    prediction = gs.predict(SCALAR, level="jko", step_size=0.3)
    where, steps, _ = gs.plot(prediction).axes
    shown = next(line for line in where.lines if line.get_marker() == "o")
    values = np.asarray(prediction.equilibria[0].spectrum.values)
    np.testing.assert_allclose(shown.get_xydata() @ [1, 1j], values)
    widths = [bar.get_width() for bar in steps.patches]
    limits = [prediction.thresholds[f"largest_step_{n}"] for n in ("explicit", "explicit_sequential", "jko")]
    np.testing.assert_allclose(widths[:3], limits)


def test_the_flow_of_a_prediction_is_the_simulated_one():
    way = gs.plot(gs.predict(SCALAR)).axes[2]
    (line,) = (line for line in way.lines if len(line.get_xdata()) > 2)
    run = gs.simulate(SCALAR, "flow", horizon=20.0, save_at=np.linspace(0, 20, 2001))
    drawn, path = line.get_xydata(), np.column_stack([run.generator.values[:, 0], run.discriminator.values[:, 0]])
    # every drawn point lies on the simulated path, up to the distance between its records
    apart = np.linalg.norm(drawn[:200, None] - path[None], axis=-1).min(axis=1)
    assert apart.max() < 0.02


def test_a_dirac_run_shows_its_circle_and_its_radius():
    run = gs.simulate(DIRAC, "flow", horizon=15.0)
    plane, course, radius = gs.plot(run).axes
    circle = plane.lines[0].get_xydata()
    np.testing.assert_allclose(np.linalg.norm(circle, axis=1), 1.0)
    (path,) = curves(plane, 201)
    # the saturating flow stays on the circle through its start
    np.testing.assert_allclose(np.linalg.norm(path.get_xydata(), axis=1), 1.0, atol=1e-8)
    theta, psi = (line.get_ydata() for line in curves(course, 201))
    np.testing.assert_array_equal(theta, run.generator)
    np.testing.assert_array_equal(psi, run.discriminator)
    np.testing.assert_array_equal(curves(radius, 201)[0].get_ydata(), run.radius)


def test_schemes_are_points_and_the_flow_a_line():
    schemes = [gs.simulate(SCALAR, level, step_size=0.2, iterations=50) for level in ("jko", "nash")]
    figure = gs.plot([*schemes, gs.simulate(SCALAR, "flow", horizon=10.0)])
    marks = {line.get_marker() for line in figure.axes[2].lines if line.get_linestyle() == "None"}
    assert len(marks) == 2
    assert len(curves(figure.axes[2], 201)) == 2  # the flow and the bound of theory
    (bound,) = (line for line in figure.axes[2].lines if line.get_linestyle() == "--")
    flow = next(line for line in curves(figure.axes[2], 201) if line is not bound)
    assert np.all(flow.get_ydata() <= bound.get_ydata() * (1 + 1e-12))


def test_two_runs_of_one_scheme_differ():
    made = [gs.simulate(SCALAR, "jko", step_size=size, horizon=4.0) for size in (0.2, 0.4)]
    figure = gs.plot(made)
    assert "step_size = 0.2" in texts(figure)
    assert "step_size = 0.4" in texts(figure)
    shown = [line for line in figure.axes[2].lines if line.get_linestyle() == "None"]
    assert len({line.get_marker() for line in shown}) == len({line.get_color() for line in shown}) == 2


def test_a_run_that_blows_up_ends_at_a_cross():
    run = gs.simulate(gs.DiracGAN(), "explicit", step_size=1.0, iterations=3000)
    figure = gs.plot(run)
    plane, course, radius = figure.axes
    assert all(crosses(axes) for axes in (plane, course, radius))
    end = crosses(radius)[0].get_xydata()[0]
    # the radius grows by sqrt(2) per step, and one million is the last that is drawn; records are 15 steps apart
    assert 2 * np.log2(1e6) - 16 < end[0] <= 2 * np.log2(2e6)
    assert "leaves every bounded region" in texts(figure)


@pytest.mark.parametrize("name", ["scalar", "collapsed", "plane", "cloud"])
def test_runs_that_stop_being_finite_are_drawn(name):
    game = GAMES[NAMES.index(name)]
    run = gs.simulate(game, "explicit", step_size=0.05, iterations=40)
    for variable in run.data_vars:
        run[variable] = run[variable].astype(float)
        run[variable][25:] = np.nan
    figure = gs.plot(run)
    assert_axes_are_labelled(figure)
    assert crosses(figure.axes[0])
    assert "leaves every bounded region" in texts(figure)
    assert_axes_are_labelled(gs.plot(run.where(run.time < 0)))


def test_particles_on_a_line_are_paths():
    run = gs.simulate(laws.two_mode_game(32, bandwidth=0.5), "flow", horizon=5.0)
    where, distance, cover = gs.plot(run).axes
    (paths,) = (c for c in where.collections if isinstance(c, LineCollection))
    for j, path in enumerate(paths.get_segments()):
        np.testing.assert_array_equal(path[:, 1], run.generated_points.values[:, j, 0])
    drawn = [line.get_ydata() for line in curves(distance, 201)]
    for name, values in zip(("w2", "mmd", "discriminator_gap"), drawn, strict=True):
        np.testing.assert_array_equal(values, run[name])
    assert any(np.array_equal(line.get_ydata(), run.mass_coverage) for line in cover.lines)


def test_particles_in_a_plane_are_paths():
    run = gs.simulate(plane_game(features="energy", fast=True), "explicit", step_size=0.05, iterations=40)
    where = gs.plot(run).axes[0]
    (paths,) = (c for c in where.collections if isinstance(c, LineCollection))
    np.testing.assert_array_equal(paths.get_segments()[3], run.generated_points.values[:, 3])
    assert np.ptp(where.get_xlim()) == pytest.approx(np.ptp(where.get_ylim()))


def test_replicas_have_error_bars():
    run = gs.simulate(CLOUD, "explicit", step_size=0.05, iterations=40, batch=4, replicas=3)
    figure = gs.plot(run)
    assert "batch = 4, 3 replicas" in texts(figure)
    assert figure.axes[1].containers


def test_dimensions_beyond_the_plane_say_so():
    game = gs.FeatureGAN(np.eye(4), 0.1 * np.eye(4), features="quadratic")
    assert "of 4" in gs.plot(gs.simulate(game, "flow", horizon=1.0)).axes[0].get_xlabel()


# Arguments that make a recipe quick, and the number of panels.
SMALL = {
    "dualflow:F1": (dict(iterations=20), 4),
    "dualflow:F2": (dict(steps=(50, 100)), 1),
    "dualflow:F3": (dict(num=41, num_simulated=3, iterations=100), 2),
    "dualflow:F4": (dict(horizon=8.0, records=81), 3),
    "dualflow:F5": (dict(horizon=1.0, particles=8, records=11), 4),
    "dualflow:F6": (dict(horizon=0.4, particles=8, nodes=41, records=5), 6),
    "dualflow:F7": (dict(horizon=0.4, particles=8, records=5), 3),
    "dualflow:F8": (dict(steps=(10, 20), particles=8), 2),
    "dualflow:F9": (dict(horizon=6.0, particles=16, records=31), 3),
    "dualflow:F10": (dict(horizon=8.0, parameters=11, long=8.0, records=41), 4),
    "dualflow:F11": (dict(particles=16, horizon=0.5, features=32, records=3), 8),
    "dualflow:F12": (dict(horizon=0.5, particles=8, records=5), 4),
}


def test_every_figure_of_the_catalogue_has_a_test():
    assert set(SMALL) == {name for name in figures.catalogue() if name.startswith("dualflow:")}


@pytest.mark.parametrize("name", SMALL)
def test_figures_are_drawn(name, tmp_path, monkeypatch):
    sizes, panels = SMALL[name]
    drawn = []
    write = style.write
    monkeypatch.setattr(style, "write", lambda figure, path: drawn.append(figure) or write(figure, path))
    path = figures.rebuild(name, tmp_path, **sizes)
    assert path.read_bytes().startswith(b"\x89PNG")
    (figure,) = drawn
    assert_axes_are_labelled(figure)
    assert len(figure.axes) == panels
    assert "generator_lr" in texts(figure)
    assert all(axes.lines or axes.collections for axes in figure.axes)


def test_drawings_do_not_simulate():
    for name in ("dualflow", "dualflow_laws", "dualflow_runs", "dualflow_clouds", "dualflow_predictions"):
        drawn = vars(importlib.import_module(f"ganscope.figures.{name}"))
        assert not set(drawn) & {"simulate", "simulate_many"}


def test_recipes_speak_no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        laws.coarse_to_fine(horizon=0.1, particles=8, records=3)
        laws.critics(horizon=0.1, particles=8, nodes=21, records=3)


def test_bilinear_orbits_end_where_theory_says():
    runs = recipes.bilinear_orbits()["runs"]
    end = runs.radius.isel(iteration=-1)
    growth = 1.04**50
    np.testing.assert_allclose(end.sel(scheme=["explicit", "jko", "nash"]), [growth, growth, 1 / growth], rtol=1e-9)
    # the sequential schemes conserve x^2 + y^2 - step_size x y
    closed = runs.sel(scheme=["explicit_sequential", "jko_sequential"])
    kept = closed.x**2 + closed.y**2 - 0.2 * closed.x * closed.y
    np.testing.assert_allclose(kept, 1.0, atol=1e-12)


def test_errors_have_the_order_of_the_scheme():
    errors = recipes.scheme_errors()["errors"]
    finest = errors.error.sel(steps=800)
    expected = [2.259e-3, 1.071e-3, 3.285e-3, 1.540e-3, 2.219e-3, 4.207e-6]
    np.testing.assert_allclose(finest, expected, rtol=5e-4)
    order = np.log2(errors.error.sel(steps=400) / finest)
    np.testing.assert_allclose(order, [1, 1, 1, 1, 1, 2], atol=0.05)
    bounded = errors.sel(scheme=["jko", "jko_sequential"])
    assert bool((bounded.error <= bounded.bound).all())


def test_runs_begin_to_grow_at_the_largest_stable_step():
    data = recipes.largest_steps(num_simulated=9)
    theory = data["theory"].largest_step.sel(convexity=data["simulated"].convexity)
    measured, finite = data["simulated"].largest_step, theory < 100
    # the slowest growth that 2000 iterations resolve
    np.testing.assert_allclose(measured.values[finite], theory.values[finite], rtol=1e-3)
    assert np.all(np.isnan(measured.values[~finite]))
    assert np.all(np.isinf(theory.sel(scheme=["jko", "jko_sequential"], convexity=[14.0, 16.0])))


def test_widths_turn_where_theory_says():
    data = recipes.width_orbits()
    np.testing.assert_allclose(data["orbits"].highest.sel(start=0.5), 1.6083105988, atol=1e-9)
    free = data["runs"].sel(penalty=0.0)
    assert float(free["std"].sel(start=0.5).max()) == pytest.approx(1.60831, abs=1e-3)
    np.testing.assert_allclose(free.energy - free.energy.isel(time=0), 0.0, atol=1e-11)
    damped = data["runs"].sel(penalty=0.5)
    assert np.all(np.diff(damped.energy.values, axis=-1) <= 1e-12)
    np.testing.assert_allclose(damped["std"].isel(time=-1), 1.0, atol=1e-3)


def test_the_closed_orbit_is_that_of_the_flow():
    """Points of the simulated flow, put into the energy that the drawn orbit is a level set of."""
    data = recipes.width_orbits(stds=(0.7,), penalties=(0.0,), horizon=7.0)
    drawn, run = data["orbits"].isel(start=0), data["runs"].isel(start=0, penalty=0)

    def energy(one):
        return (one.quadratic**2 / 2 + (one["std"] ** 2 - 2 * np.log(one["std"])) / 4).values

    np.testing.assert_allclose(energy(drawn), energy(run)[0], atol=1e-12)
    for name in ("std", "quadratic"):
        np.testing.assert_allclose(drawn[name].max(), run[name].max(), atol=1e-3)
        np.testing.assert_allclose(drawn[name].min(), run[name].min(), atol=1e-3)


def test_a_fast_discriminator_approaches_the_limit():
    distance = laws.fast_discriminator(horizon=1.0, records=3)["distance"].distance
    expected = [0.014204, 0.007267, 0.003666, 0.001840]
    np.testing.assert_allclose(distance.sel(rate=[10, 20, 40, 80]), expected, rtol=1e-3)


def test_critics_cover_as_tabled():
    near, broad = laws.critics(records=3).values()
    np.testing.assert_allclose(near.coverage[:, -1], [0.594, 0.703, 0.625, 0.922], atol=6e-4)
    np.testing.assert_allclose(near.w2[:, -1], [2.329, 2.020, 0.837, 0.518], atol=6e-4)
    np.testing.assert_allclose(broad.coverage[:3, -1], [0.906, 0.906, 0.688], atol=6e-4)
    np.testing.assert_allclose(broad.w2[:3, -1], [0.539, 0.456, 0.561], atol=6e-4)


def test_entropy_is_no_cure():
    runs = laws.entropy(records=3)["runs"]
    np.testing.assert_allclose(runs.coverage[:, -1], [0.672, 0.703, 0.703, 0.594], atol=6e-4)
    np.testing.assert_allclose(runs.w2[:, -1], [2.281, 2.301, 2.406, 2.774], atol=6e-4)


def test_defects_halve_with_the_step():
    data = laws.step_defects()["defects"]
    explicit, jko, sequential = (data.sel(scheme=n) for n in ("explicit", "jko", "jko_sequential"))
    for one, player, expected in (
        (explicit, "generator", [0.0321, 0.0160, 0.0080]),
        (explicit, "discriminator", [0.0324, 0.0160, 0.0080]),
        (jko, "generator", [0.0296, 0.0153, 0.0078]),
        (jko, "discriminator", [0.0194, 0.0095, 0.0047]),
        (sequential, "generator", [0.0297, 0.0153, 0.0078]),
    ):
        np.testing.assert_allclose(one[player], expected, rtol=0.01)
    assert float(sequential.discriminator.max()) < 1e-9
    assert float(data.sel(scheme="nash").generator.max()) < 1e-9
    np.testing.assert_allclose(data.generator.sel(scheme="wrong speed"), [0.092, 0.113, 0.127], rtol=0.01)


def test_a_point_settles_above_the_critical_ratio_only():
    runs = laws.point_positions()["runs"]
    critical = runs.attrs["critical_ratio"]
    assert critical == pytest.approx(2.564039, abs=1e-6)
    settled = runs.discriminator_lr.values > critical
    np.testing.assert_allclose(runs.position.values[settled, -1], 2.0, atol=1e-3)
    assert np.all(runs["range"].values[settled] < 1e-3)
    assert np.all(runs["range"].values[~settled] > 0.5)
    assert float(runs["range"].sel(discriminator_lr=1.0)) == pytest.approx(0.94, abs=0.005)
    assert np.all(runs.position.sel(discriminator_lr=[0.05, 0.2]).isel(time=-1) > 8.0)


def test_clipped_runs_are_captured():
    data = recipes.clipping()
    scalar, field = data["scalar"], data["field"]
    assert scalar.attrs["capture_time"] == pytest.approx(3.1682640342, abs=1e-9)
    late = scalar.sel(time=slice(scalar.attrs["capture_time"], None))
    np.testing.assert_allclose(late.theta**2 + late.omega**2, 1.0, atol=1e-9)
    assert (float(field.width[-1]), float(field.amplitude[-1])) == pytest.approx((0.263, 0.854), abs=6e-4)
    np.testing.assert_allclose([field.width[-1], field.amplitude[-1]], [field.attrs[n] for n in ("width", "amplitude")])


def test_a_long_range_force_covers_the_ring():
    mode = laws.ring(records=2)["mode"]
    np.testing.assert_allclose(mode.coverage[:, -1], [0.83, 0.40, 0.53], atol=6e-3)
    np.testing.assert_allclose(mode.sliced_w2[:, -1], [0.094, 1.37, 1.24], atol=6e-3)


def test_coarse_to_fine_covers_what_a_fixed_width_misses():
    runs = laws.coarse_to_fine(records=3)["runs"]
    np.testing.assert_allclose(runs.coverage[:, -1], [0.594, 0.969, 0.969, 0.891], atol=6e-4)
    np.testing.assert_allclose(runs.w2[:, -1], [2.330, 0.153, 0.342, 1.320], atol=6e-4)


def test_every_model_has_pictures():
    from ganscope.figures import plot

    for model in ALL_MODELS:
        drawn = importlib.import_module(plot._PICTURES[model])
        assert callable(drawn.draw_runs)
        assert callable(drawn.draw_prediction)
