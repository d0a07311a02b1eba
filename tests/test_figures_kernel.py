"""Pictures of the kernel GAN: what stands on them, and that the data of every figure say what theory says."""

import importlib
import types
import warnings

import numpy as np
import pytest
from matplotlib.collections import LineCollection, QuadMesh

import ganscope as gs
from ganscope import figures
from ganscope.claims import recipes_kernel as recipes
from ganscope.dynamics.rules import RULES
from ganscope.figures import kernel, plot, style

LINE = gs.KernelGAN([-2.0, 0.0, 2.5], [-2.3, 0.4, 2.2], generator_lr=1.5)


@pytest.fixture(scope="module")
def simulated():
    return gs.simulate(LINE, "gda", iterations=100)


@pytest.fixture(scope="module")
def linear():
    return gs.simulate(LINE, "linear", iterations=100)


@pytest.fixture(scope="module")
def square():
    return gs.simulate(recipes.square_start(), "gda", rule="simultaneous", iterations=300)


def curves(axes, records):
    """Lines of theory over all records."""
    return [line for line in axes.lines if line.get_linestyle() != "None" and len(line.get_xdata()) == records]


def dots(axes):
    return [line for line in axes.lines if line.get_linestyle() == "None" and line.get_marker() not in ("X", "_", "+")]


def crosses(axes):
    return [line for line in axes.lines if line.get_marker() == "X"]


def texts(figure):
    """The captions and legends of a figure."""
    found = [figure.get_supxlabel()]
    for legend in figure.legends:
        found += [legend.get_title().get_text(), *(text.get_text() for text in legend.get_texts())]
    return " ".join(" ".join(found).split())


def assert_axes_are_labelled(figure):
    for k, axes in enumerate(figure.axes):
        if axes.get_label() == "<colorbar>":
            assert "[" in axes.get_ylabel(), f"colour bar {k}"
            continue
        for shared, name in ((axes.get_shared_x_axes(), "get_xlabel"), (axes.get_shared_y_axes(), "get_ylabel")):
            labels = [getattr(other, name)() for other in shared.get_siblings(axes)]
            assert any("[" in text for text in labels), f"panel {k}: labels {labels} without a unit"
    assert figure.get_suptitle()


def test_points_on_a_line_against_time(simulated, linear):
    figure = gs.plot([simulated, linear])
    assert_axes_are_labelled(figure)
    where, discrepancy, mass = figure.axes
    assert len(curves(where, 101)) == len(dots(where)) == 3
    for j, (line, points) in enumerate(zip(curves(where, 101), dots(where), strict=True)):
        assert line.get_color() == points.get_color() == style.feature_colour(j)
        np.testing.assert_array_equal(line.get_ydata(), linear.generated_points.values[:, j, 0])
        expected = simulated.generated_points.sel(time=points.get_xdata()).values[:, j, 0]
        np.testing.assert_array_equal(points.get_ydata(), expected)
    assert {line.get_ydata()[0] for line in where.lines if len(line.get_xdata()) == 2} == {-2.0, 0.0, 2.5}
    (shown,) = dots(discrepancy)
    np.testing.assert_array_equal(shown.get_ydata(), np.maximum(simulated.mmd2.sel(time=shown.get_xdata()), 1e-17))
    assert discrepancy.get_yscale() == "log"
    np.testing.assert_allclose([bar.get_height() for bar in mass.patches], simulated.mass.values[-1])
    assert "3 true points and 3 generated points in 1 dimension, RBF with bandwidth = 1" in texts(figure)
    assert "gda, alternating" in texts(figure)
    assert "linear, alternating" in texts(figure)


def test_several_runs_have_one_colour_each(simulated):
    others = [gs.simulate(LINE, "gda", rule=rule, horizon=20) for rule in ("simultaneous", "flow")]
    figure = gs.plot([simulated, *others])
    where, discrepancy, mass = figure.axes
    assert len({line.get_color() for line in dots(where)}) == 3
    assert len({line.get_marker() for line in dots(discrepancy)}) == 3
    assert len(mass.patches) == 9
    assert "gda, flow" in texts(figure)


def test_paths_in_a_plane(square):
    figure = gs.plot([square, gs.simulate(recipes.square_start(), "linear", rule="simultaneous", iterations=300)])
    assert_axes_are_labelled(figure)
    where, _, mass = figure.axes
    drawn, theory = (c for c in where.collections if isinstance(c, LineCollection))
    for j, path in enumerate(drawn.get_segments()):
        np.testing.assert_array_equal(path, square.generated_points.values[:, j])
    assert drawn.get_linestyle() != theory.get_linestyle()
    start, end = dots(where)
    np.testing.assert_array_equal(start.get_xydata(), square.generated_points.values[0])
    np.testing.assert_array_equal(end.get_xydata(), square.generated_points.values[-1])
    np.testing.assert_allclose([bar.get_height() for bar in mass.patches], [0.125, 0.25, 0.25, 0.375])
    assert where.get_xlim()[1] - where.get_xlim()[0] == pytest.approx(where.get_ylim()[1] - where.get_ylim()[0])


def test_the_background_is_the_best_discriminator_at_the_end(square):
    game, where = recipes.square_start(), gs.plot(square).axes[0]
    (image,) = (c for c in where.collections if isinstance(c, QuadMesh))
    grid = image.get_coordinates()
    x, y = 0.5 * (grid[0, :-1, 0] + grid[0, 1:, 0]), 0.5 * (grid[:-1, 0, 1] + grid[1:, 0, 1])
    values = np.asarray(image.get_array()).reshape(len(y), len(x))

    def pull(points, mass):
        squares = (x[None, :, None] - points[:, 0]) ** 2 + (y[:, None, None] - points[:, 1]) ** 2
        return np.exp(-squares / (2 * 0.5**2)) @ mass

    expected = pull(game.real_points, game.real_mass) - pull(square.generated_points.values[-1], game.generated_mass)
    np.testing.assert_allclose(values, expected, atol=1e-12)


@pytest.mark.parametrize("count", [6, 60])
def test_distances_in_many_dimensions(count):
    rng = np.random.default_rng(0)
    real = rng.normal(size=(count, 4))
    game = gs.KernelGAN(real, real + 0.1 * rng.normal(size=real.shape), generator_lr=count)
    run = gs.simulate(game, "gda", iterations=30)
    figure = gs.plot(run)
    assert_axes_are_labelled(figure)
    where, _, share = figure.axes
    if count == 6:
        assert len(dots(where)) == 6
        np.testing.assert_array_equal(dots(where)[2].get_ydata(), run.distance.values[:, 2])
        assert len(share.patches) == 6
    else:
        (middle,) = dots(where)
        np.testing.assert_allclose(middle.get_ydata(), np.median(run.distance, axis=1))
        (covered,) = dots(share)
        np.testing.assert_allclose(covered.get_ydata(), run.covered.values / count)


@pytest.mark.parametrize("axes", [1, 2])
def test_many_points_are_one_faint_raster(axes):
    rng = np.random.default_rng(0)
    game = gs.KernelGAN(rng.normal(size=(200, axes)), rng.normal(size=(300, axes)), generator_lr=60.0,
                        representation="random_features", features=64)  # fmt: skip
    run = gs.simulate(game, "gda", iterations=20)
    figure = gs.plot(run)
    (paths,) = (c for c in figure.axes[0].collections if isinstance(c, LineCollection))
    assert len(paths.get_segments()) == 300
    assert paths.get_rasterized()
    assert paths.get_alpha() <= 0.3
    assert "64 random features" in texts(figure)
    assert "seed 0" in texts(figure)
    assert len(figure.axes[0].lines) < 10


def test_a_single_point_is_drawn():
    run = gs.simulate(gs.KernelGAN([0.0], [0.0]), "gda", iterations=1)
    assert_axes_are_labelled(gs.plot(run))


@pytest.mark.parametrize("name", ["line", "square"])
def test_a_run_that_blows_up_ends_at_a_cross(name, request, simulated):
    run = (simulated if name == "line" else request.getfixturevalue("square")).copy(deep=True)
    for variable in run.data_vars:
        run[variable][60:] = np.nan
    figure = gs.plot(run)
    assert_axes_are_labelled(figure)
    where, discrepancy, mass = figure.axes
    ends = np.concatenate([np.atleast_2d(line.get_xydata()) for line in crosses(where)])
    last = run.generated_points.values[59]
    expected = last if name == "square" else np.column_stack([np.full(3, run.time[59]), last[:, 0]])
    np.testing.assert_allclose(ends, expected)
    assert crosses(discrepancy)
    np.testing.assert_allclose([bar.get_height() for bar in mass.patches], run.mass.values[59])
    assert "a cross marks where values stop being finite" in texts(figure)


def test_a_run_without_finite_records_is_an_empty_picture(simulated, square):
    for run in (simulated, square):
        assert_axes_are_labelled(gs.plot(run.where(run.time < 0)))


def test_escaped_points_do_not_shrink_the_data(square):
    far = square.copy(deep=True)
    far.generated_points[50:, 0] = 1e5
    figure = gs.plot(far)
    assert np.ptp(figure.axes[0].get_xlim()) < 40
    assert "points leave the view" in texts(figure)


def test_masses_that_differ_are_said_once():
    with pytest.warns(UserWarning, match="real_mass sums to"):
        game = gs.KernelGAN([0.0], [0.3, -0.1], generated_mass=[0.4, 0.4])
    figure = gs.plot(gs.simulate(game, "gda", iterations=20))  # a warning here would be an error
    assert "masses 1 and 0.8" in texts(figure)


def test_points_near_no_true_point_have_a_bar_of_their_own():
    figure = gs.plot(gs.simulate(gs.KernelGAN([0.0, 9.0], [0.1, 30.0]), "gda", iterations=5))
    mass = figure.axes[2]
    assert [label.get_text() for label in mass.get_xticklabels()] == ["1", "2", "none"]
    np.testing.assert_allclose([bar.get_height() for bar in mass.patches], [0.5, 0.0, 0.5], atol=1e-12)


@pytest.mark.parametrize("rule", [*RULES, "flow"])
def test_predictions_show_the_spectrum(rule):
    prediction = gs.predict(LINE, rule=rule)
    figure = gs.plot(prediction)
    assert_axes_are_labelled(figure)
    values = np.asarray(prediction.equilibria[0].spectrum.values)
    found = np.concatenate([line.get_xydata() for line in dots(figure.axes[0])])
    np.testing.assert_allclose(np.sort_complex(found @ [1, 1j]), np.sort_complex(values))
    circle = list(curves(figure.axes[0], 361))
    assert len(circle) == (rule != "flow")
    assert str(prediction.outcome) in figure.get_suptitle()


def test_modes_are_marked_by_their_fate():
    figure = gs.plot(gs.predict(recipes.square_start()))
    assert "mode neutral" in texts(figure)
    assert "mode decays" in texts(figure)
    assert "leading modulus: 0.959" in figure.axes[1].get_title(loc="left")


@pytest.mark.parametrize(
    "game, panels",
    [
        (recipes.square_start(), 3),
        (gs.KernelGAN(np.eye(4), np.eye(4) + 0.1), 2),
        (gs.KernelGAN([0.0, 3.0], [0.5, 2.0], regularization=0.0), 3),
        (gs.KernelGAN([0.0, 3.0], [0.5, 2.0], kernel=gs.Laplace(1.0)), 3),
        (gs.KernelGAN([0.0, 3.0], [0.5, 2.0], kernel=gs.RBFSum((1.0, 2.0), (0.5, 0.5)), generator_lr=50.0), 3),
    ],
)
def test_predictions_are_drawn(game, panels):
    figure = gs.plot(gs.predict(game))
    assert_axes_are_labelled(figure)
    assert len(figure.axes) == panels


def test_games_without_pictures_are_refused():
    other = types.SimpleNamespace(model="none")
    with pytest.raises(gs.NotApplicable, match="no picture of predictions for SimpleNamespace"):
        plot._prediction(gs.Prediction(gs.Outcome.UNDECIDED, "unknown", 0.0, (), game=other), None)


def test_every_model_with_pictures_draws_both():
    for module in plot._PICTURES.values():
        drawn = importlib.import_module(module)
        assert callable(drawn.draw_runs)
        assert callable(drawn.draw_prediction)


def test_runs_of_other_games_are_refused(simulated):
    other = gs.simulate(LINE.replace(generator_lr=1.0), "gda", iterations=5)
    with pytest.raises(gs.ParameterError, match="runs of the same game"):
        gs.plot([simulated, other])


# Arguments that make a recipe quick, and the number of panels with their colour bars.
SMALL = {
    "kernel:F1": (dict(num=12), 6),
    "kernel:F2": (dict(num=30), 1),
    "kernel:F3": (dict(num=3, resolution=20, iterations=200), 3),
    "kernel:F4": (dict(num=21, num_simulated=2, iterations=100), 18),
    "kernel:F5": (dict(iterations=20), 2),
    "kernel:F6": (dict(iterations=300, pixels=21), 3),
    "kernel:F7": (dict(components=(2,), widths=(0.3,), iterations=80, num=5), 3),
    "kernel:F8": (dict(bandwidths=(0.8, 2.0), num=5), 1),
    "kernel:F9": (
        dict(iterations=40, tolerances=(1e-2,), grid_tolerances=(1e-4,), features=(64,), seeds=2, repeats=1),
        2,
    ),
    "kernel:F10": (dict(ratios=(1.2, 1.4), forgettings=(0.04,), iterations=500, records=50), 1),
    "kernel:F11": (dict(bandwidths=(1.0,), regularizations=(1.0, 0.1), iterations=30), 2),
}


def test_every_figure_of_the_catalogue_has_a_test():
    assert set(SMALL) == {name for name in figures.catalogue() if name.startswith("kernel:")}


@pytest.mark.parametrize("name", SMALL)
def test_published_figures_are_drawn(name, tmp_path, monkeypatch):
    if name == "kernel:F7":
        pytest.importorskip("sklearn")
    sizes, panels = SMALL[name]
    drawn = []
    write = style.write
    monkeypatch.setattr(style, "write", lambda figure, path: drawn.append(figure) or write(figure, path))
    path = figures.rebuild(name, tmp_path, **sizes)
    assert path.read_bytes().startswith(b"\x89PNG")
    (figure,) = drawn
    assert_axes_are_labelled(figure)
    assert len(figure.axes) == panels
    said = texts(figure) + " ".join(axes.get_title(loc="left") for axes in figure.axes)
    assert "discriminator_lr" in said
    assert all(axes.lines or axes.collections for axes in figure.axes)


def test_drawings_do_not_simulate():
    names = set(vars(kernel)) | set(vars(importlib.import_module("ganscope.figures.kernel_runs")))
    assert not names & {"simulate", "simulate_many", "equilibrium"}


def test_digits_need_scikit_learn(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "sklearn.datasets", None)
    with pytest.raises(gs.NotApplicable, match="scikit-learn"):
        recipes.digits(num=2)


def test_the_published_plane_grows_in_its_corner():
    plane = recipes.radius_maps()["map"]
    share = (plane.squared_radius > 1).mean(["regularization", "bandwidth"])
    np.testing.assert_allclose(share, [0.0957, 0.0145, 0.0016], atol=1e-9)
    assert float(plane.oscillates.mean()) == pytest.approx(0.4135, abs=1e-9)


def test_the_row_minimum_is_the_discriminators_own_decay():
    """Where the minimum of a row is flat it is 1 - discriminator_lr regularization, and so it ends at the tie."""
    plane = recipes.radius_maps(num=400, discriminator_lrs=(0.001,))["map"].isel(discriminator_lr=0)
    flat = (plane.flat_to - plane.flat_from).values > 0.05
    decay = (1 - 0.001 * plane.regularization.values) ** 2
    np.testing.assert_allclose(plane.squared_radius.min("bandwidth").values[flat], decay[flat], rtol=1e-12)
    inside = flat & (plane.tie.values < 1.0) & (plane.tie.values > 0.2)
    # The tie is exact for small rates; a cell is 0.0025 wide.
    np.testing.assert_allclose(plane.flat_to.values[inside], plane.tie.values[inside], atol=0.006)


def test_the_dominating_family_is_the_slowest():
    plane = recipes.dominating_family(num=40)["map"]
    place = gs.IsolatedNeighbourhood(1.0, 0.8, points=2, curvature=1.0, generator_lr=0.008, discriminator_lr=0.01,
                                     weighting="unit")  # fmt: skip
    for i, k in ((5, 30), (20, 10), (35, 3), (1, 1)):
        sigma, strength = float(plane.bandwidth[k]), float(plane.regularization[i])
        values = {"curvature": 1 / sigma**2, "regularization": strength}
        fields = {name: getattr(place, name) for name in place.__dataclass_fields__} | values
        radii = gs.IsolatedNeighbourhood(**fields).radii("simultaneous")
        slowest = max(("discriminator", "relative", "mean"), key=radii.get)
        assert recipes.FAMILIES[int(plane.family[i, k])].startswith(slowest)
        assert float(plane.radius[i, k]) == pytest.approx(radii["all"])


def test_simulated_phases_agree_with_theory():
    for name, one in recipes.phase_diagrams(num=5, resolution=5, iterations=1000).items():
        assert np.all(one.simulated.values == one.expected.values), name


def test_measured_multipliers_lie_on_the_locus():
    for name, one in recipes.root_locus(num=41, num_simulated=3).items():
        for r, k in np.ndindex(one.measured.shape[:2]):
            theory = one.multiplier.values[r, np.argmin(np.abs(one.value.values - one.run_value.values[k]))]
            roots = one.measured.values[r, k]
            for root in roots[np.isfinite(roots)]:
                # Runs start at 1e-6 bandwidths and are read up to 3e-3, where the kernel bends by 1e-5.
                assert np.nanmin(np.abs(theory - root)) < 3e-5, (name, RULES[r], root)
        assert np.isfinite(one.measured.values).any(axis=-1).mean() > 0.9, name


def test_simulated_decay_is_linear_from_small_starts():
    for one in recipes.decay(iterations=60, offset=1e-3).values():
        # The kernel bends by the square of the offset, 1e-6; distances pass through 0 on a line.
        scale = one.linear.max("iteration")
        np.testing.assert_allclose(one.simulated / scale, one.linear / scale, atol=1e-5)
        assert float(one.radius.sel(rule="simultaneous")) == pytest.approx({1.0: 0.93808315, 0.3: 0.95}[
            one.attrs["real_mass"]
        ])  # fmt: skip


def test_uneven_starts_settle_in_three_ways():
    data = recipes.mass_mismatch(pixels=5)
    end, theory = data["run"].distance.values[-1], data["discriminator"].attrs
    assert end[0] < 1e-12
    # The next order of the algebraic decay is a share of 1 / log of the time left: percents after 2000 iterations.
    np.testing.assert_allclose(end[1:5], theory["algebraic"] / np.sqrt(2000), rtol=0.1)
    np.testing.assert_allclose(end[5:], 0.31838071, rtol=1e-5)
    assert theory["split_radius"] == pytest.approx(0.31838071)


def test_digits_agree_with_theory():
    pytest.importorskip("sklearn")
    data = recipes.digits(components=(5,), widths=(0.2, 1.0), iterations=400, num=3)
    smallest, median = (data["theory"].attrs[name][0] for name in ("smallest", "median"))
    assert (round(smallest, 4), round(median, 4)) == (0.7760, 1.8880)
    simultaneous, alternating = data["simulated"].radius.values[:, 0]
    np.testing.assert_allclose(simultaneous, [0.948683, 0.959497], atol=2e-4)
    np.testing.assert_allclose(alternating, [0.894427, 0.961549], atol=2e-4)


def test_escape_takes_the_time_that_theory_says():
    data = recipes.escape(bandwidths=(2.0, 4.0), num=2)
    np.testing.assert_allclose(1 / data["simulated"].time, [0.0423, 2.854e-3], rtol=2e-3)


def test_representations_keep_their_tolerance():
    data = recipes.representations(
        iterations=200, tolerances=(1e-4, 1e-8), grid_tolerances=(1e-4, 1e-8), features=(128, 2048), seeds=4, repeats=1
    )
    for name in ("history", "fourier_grid"):
        assert np.all(data[name].error.values < 20 * data[name].setting.values)
    coarse, fine = data["random_features"].error.values
    assert 1.5 < coarse / fine < 12  # 4 in the mean for 16 times the features


def test_cycles_have_the_amplitude_of_theory():
    data = recipes.cycles(ratios=(0.9, 1.1), forgettings=(0.04,), iterations=8000, records=500)
    below, above = data["simulated"].amplitude.values[0]
    assert below < 1e-6
    assert above == pytest.approx(float(data["theory"].amplitude.sel(ratio=1.1)[0]), rel=0.05)


def test_one_point_follows_the_linear_theory_where_it_is_small():
    runs = recipes.single_point(bandwidths=(10.0,), regularizations=(1.0,), iterations=100)["runs"]
    # The start is a hundredth of a bandwidth: the kernel bends by 1e-4.
    np.testing.assert_allclose(runs.simulated, runs.linear, rtol=1e-3)


def test_recipes_speak_no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        recipes.phase_diagrams(num=2, resolution=2, iterations=50)
