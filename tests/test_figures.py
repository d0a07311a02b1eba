"""Pictures: what stands on them, what they refuse, and that every published figure can be drawn."""

import subprocess
import sys

import matplotlib
import numpy as np
import pytest
from matplotlib.container import ErrorbarContainer

import ganscope as gs
from ganscope import figures
from ganscope.claims import recipes_solvable as recipes
from ganscope.figures import solvable, style

GAME = gs.SolvableGAN()


@pytest.fixture(scope="module")
def limit():
    return gs.simulate(GAME, "ode", horizon=60)


@pytest.fixture(scope="module")
def chain():
    return gs.simulate(GAME, "chain", dimension=100, horizon=60, replicas=4)


@pytest.fixture(scope="module")
def diverged():
    """A limit whose penalty is too weak for its noise; the limit of small rates needs no compiled solver."""
    game = gs.SolvableGAN(data_noise=4.0, generator_noise=1.0, regularization=1.0)
    return gs.simulate(game, "ode", horizon=200, small_rate_limit=True)


def bars(axes):
    return [c for c in axes.containers if isinstance(c, ErrorbarContainer)]


def theory(axes):
    """Lines with more than two points: not the edges that mark a threshold."""
    return [line for line in axes.lines if line.get_linestyle() != "None" and len(line.get_xdata()) > 2]


def assert_axes_are_labelled(figure, named_rows=0):
    """Every axis, or one it is shared with, has a label with a unit; the first `named_rows` panels name their rows."""
    for k, axes in enumerate(figure.axes):
        labels = [
            [other.get_xlabel() for other in axes.get_shared_x_axes().get_siblings(axes)],
            [other.get_ylabel() for other in axes.get_shared_y_axes().get_siblings(axes)],
        ]
        for texts in labels[: 1 if k < named_rows else 2]:
            assert any("[" in text for text in texts), f"panel {k}: labels {texts} without a unit"
    assert figure.get_suptitle()


def captions(figure):
    texts = [figure.get_supxlabel()] + [legend.get_title().get_text() for legend in figure.legends]
    return " ".join(" ".join(texts).split())


def test_runs_show_theory_as_lines_and_simulation_as_points(limit, chain):
    figure = gs.plot([limit, chain])
    assert_axes_are_labelled(figure)
    overlaps, activity = figure.axes
    assert (len(theory(overlaps)), len(bars(overlaps))) == (4, 4)
    assert (len(theory(activity)), len(bars(activity))) == (2, 2)
    assert "feature_variance = (5, 3), data_noise = 2, discriminator_lr = 0.2, generator_lr = 0.04" in captions(figure)


def test_points_are_means_and_standard_deviations_of_the_replicas(limit, chain):
    activity = gs.plot([limit, chain]).axes[1]
    points, _, (stick,) = bars(activity)[0]
    times, means = points.get_data()
    expected = chain.activity.sel(time=times).isel(feature=0)
    np.testing.assert_allclose(means, expected.mean("replica"))
    heights = [np.ptp(segment[:, 1]) for segment in stick.get_segments()]
    np.testing.assert_allclose(heights, 2 * expected.std("replica"), atol=1e-12)


def test_a_feature_has_one_colour_everywhere(limit, chain):
    def colours(figure):
        return [line.get_color() for line in theory(figure.axes[1])]

    one, other = gs.plot(limit), gs.plot([chain, limit])
    assert colours(one) == colours(other) == [style.feature_colour(0), style.feature_colour(1)]
    window = gs.plot(gs.predict(GAME)).axes[0]
    dots = [line.get_color() for line in window.lines if line.get_marker() == "o"]
    assert dots == colours(one)


def test_a_single_simulation_is_dots_without_bars(chain):
    figure = gs.plot(chain.isel(replica=0))
    assert not bars(figure.axes[0])
    assert any(line.get_marker() == "o" for line in figure.axes[0].lines)


def test_many_columns_are_shown_as_recoveries():
    game = gs.SolvableGAN(feature_variance=(5, 4, 3))
    figure = gs.plot(gs.simulate(game, "ode", horizon=20, small_rate_limit=True))
    assert figure.axes[0].get_ylabel().startswith("recovery")
    assert len(theory(figure.axes[0])) == 3


def crosses(axes):
    return [(line.get_color(), *line.get_xdata()) for line in axes.lines if line.get_marker() == "X"]


def test_a_diverged_run_is_drawn_until_it_ends(diverged):
    finite = np.flatnonzero(np.isfinite(diverged.z.values))
    assert 1 < len(finite) < diverged.sizes["time"]
    figure = gs.plot(diverged)
    assert_axes_are_labelled(figure)
    lengths = figure.axes[2]
    assert lengths.get_yscale() == "log"
    assert (style.INK, float(diverged.time[finite[-1]])) in crosses(lengths)
    assert "a cross marks where values stop being finite" in captions(figure)


def test_replicas_that_end_early_leave_the_mean_of_the_others(chain):
    ended = chain.copy(deep=True)
    for name in ("P", "q", "r", "S", "z", "recovery", "activity"):
        ended[name][dict(replica=0, time=slice(40, None))] = np.nan
        ended[name][dict(replica=slice(1, None), time=slice(120, None))] = np.nan
    activity = gs.plot(ended).axes[1]
    times, means = bars(activity)[0][0].get_data()
    assert times[-1] <= float(chain.time[119])
    late = times > float(chain.time[40])
    survivors = chain.activity.isel(feature=0, replica=slice(1, None)).mean("replica").sel(time=times[late])
    np.testing.assert_allclose(means[late], survivors)
    assert (style.feature_colour(0), float(chain.time[119])) in crosses(activity)


def test_a_run_without_finite_records_is_an_empty_picture(limit):
    assert gs.plot(limit.where(limit.time < 0)).axes[0].lines


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"data_noise": 1.0},
        {"data_noise": 4.0},
        {"feature_variance": (4, 3, 2), "latent_variance": (4, 3), "data_noise": 1.2},
        {"feature_variance": 5.0, "data_noise": 0.2},
        {"data_noise": 4.0, "regularization": 3.0},
        {"link": "tanh"},
    ],
)
def test_predictions_are_drawn(changes):
    game = gs.SolvableGAN(**changes)
    figure = gs.plot(gs.predict(game))
    assert_axes_are_labelled(figure, named_rows=2)
    assert str(gs.predict(game).outcome) in figure.get_suptitle()
    strengths = [line.get_xdata()[0] for line in figure.axes[0].lines if line.get_marker() == "o"]
    np.testing.assert_allclose(strengths, game.feature_variance)


def test_window_of_a_prediction_stands_at_the_thresholds():
    window = gs.plot(gs.predict(GAME)).axes[0]
    edges = {round(line.get_xdata()[0], 9) for line in window.lines if len(line.get_xdata()) == 2}
    assert edges == {0.8, 8.0}


@pytest.mark.parametrize("thing", [None, 3, "run", [], [GAME], {"run": 1}])
def test_other_things_are_refused(thing):
    with pytest.raises(gs.ParameterError, match="a run made by simulate, a list of runs of one game, or a Prediction"):
        gs.plot(thing)


def test_runs_of_different_games_are_refused(limit):
    other = gs.simulate(GAME.replace(data_noise=1.0), "ode", horizon=10)
    with pytest.raises(gs.ParameterError, match="runs of the same game"):
        gs.plot([limit, other])


def test_many_cells_are_refused_with_advice():
    cells = gs.simulate_many(GAME, {"data_noise": [1.0, 2.0]}, "ode", horizon=10)
    with pytest.raises(gs.ParameterError, match=r"isel\(cell"):
        gs.plot(cells)


def test_runs_of_one_level_have_different_marks(chain):
    other = gs.simulate(GAME, "chain", dimension=40, horizon=60, replicas=2)
    marks = [container[0].get_marker() for container in bars(gs.plot([chain, other]).axes[1])]
    assert len(set(marks)) == 2


def test_saved_runs_are_drawn(chain, tmp_path):
    loaded = gs.load(gs.save(chain, tmp_path / "run.zarr"))
    assert len(bars(gs.plot(loaded).axes[0])) == 4


def test_title_is_the_callers(limit):
    assert gs.plot(limit, title="converged").get_suptitle() == "converged"


@pytest.mark.parametrize(
    "name, start", [("a.png", b"\x89PNG"), ("a.pdf", b"%PDF"), ("a.svg", b"<?xml"), ("a", b"\x89PNG")]
)
def test_format_follows_the_suffix(limit, tmp_path, name, start):
    gs.plot(limit, tmp_path / "new folder" / name)
    (written,) = (tmp_path / "new folder").iterdir()
    assert written.read_bytes().startswith(start)


def test_unknown_suffix_is_refused(limit, tmp_path):
    with pytest.raises(gs.ParameterError, match=r"Did you mean '\.png'"):
        gs.plot(limit, tmp_path / "a.pnk")
    assert not list(tmp_path.iterdir())


def test_writing_is_atomic(limit, tmp_path, monkeypatch):
    target = tmp_path / "a.png"
    target.write_bytes(b"old")

    def fail(*_):
        raise OSError("no space left")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(gs.StoreError, match="cannot write"):
        gs.plot(limit, target)
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]
    assert target.read_bytes() == b"old"


def test_the_users_settings_are_left_alone(limit):
    with matplotlib.rc_context({"axes.linewidth": 7.5, "font.size": 31.0}):
        before = dict(matplotlib.rcParams)
        figure = gs.plot(limit)
        assert dict(matplotlib.rcParams) == before
    assert figure.axes[0].spines["left"].get_linewidth() == 0.8


def test_pyplot_is_not_involved():
    code = (
        "import sys, ganscope as gs; gs.plot(gs.predict(gs.SolvableGAN())); "
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_catalogue_is_light():
    code = (
        "import sys; from ganscope.figures import catalogue; assert catalogue()['solvable:F1']; "
        "assert not {'matplotlib', 'numba', 'xarray'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# Arguments that make a recipe quick.
SMALL = {
    "solvable:F1": dict(horizon=20.0, dimension=50, replicas=3),
    "solvable:F2": dict(sgd_dimensions=(20, 50), chain_dimensions=(50, 100, 200), replicas=4),
    "solvable:F3": dict(num=10, duration=60.0),
    "solvable:F4": dict(num=11),
    "solvable:F5": dict(dimension=400),
    "solvable:F6": dict(horizon=4.0, dimension=60, pairs=2),
    "solvable:F7": dict(factors=(1.0, 0.5), horizon=20.0, dimension=50, replicas=3),
    "solvable:F8": dict(noises=(1.0, 4.0), horizon=20.0, replicas=2),
    "solvable:F9": dict(generator_lrs=(0.04, 0.08), dimension=50, replicas=3, num=5),
}


def test_every_figure_of_the_catalogue_has_a_test():
    assert set(SMALL) == {name for name in figures.catalogue() if name.startswith("solvable:")}


@pytest.mark.parametrize("name", SMALL)
def test_published_figures_are_drawn(name, tmp_path, monkeypatch):
    if name == "solvable:F8":
        pytest.importorskip("sklearn")
    drawn = []
    write = style.write
    monkeypatch.setattr(style, "write", lambda figure, path: drawn.append(figure) or write(figure, path))
    path = figures.rebuild(name, tmp_path, **SMALL[name])
    assert path == tmp_path / f"{name.replace(':', '-')}.png"
    assert path.read_bytes().startswith(b"\x89PNG")
    (figure,) = drawn
    assert_axes_are_labelled(figure)
    assert "discriminator_lr = 0.2" in captions(figure)
    for axes in figure.axes:
        assert theory(axes) or axes.lines
    simulated = [axes for axes in figure.axes if bars(axes) or axes.collections]
    assert simulated or name == "solvable:F4"  # F4 plays closed forms against a matrix: no noise


ONE_REPLICA = {
    "regimes": dict(horizon=5.0, dimension=20, replicas=1),
    "error_against_dimension": dict(sgd_dimensions=(20,), chain_dimensions=(50,), replicas=1),
    "small_rates": dict(factors=(1.0,), horizon=5.0, dimension=20, replicas=1),
    "end_points": dict(generator_lrs=(0.08,), dimension=20, replicas=1, num=3),
    "replica_overlap": dict(horizon=2.0, dimension=20, pairs=1),
}


@pytest.mark.parametrize("name", ONE_REPLICA)
def test_a_single_replica_is_enough(name):
    with style.drawing():
        figure = getattr(solvable, name)(getattr(recipes, name)(**ONE_REPLICA[name]))
    assert_axes_are_labelled(figure)


def test_unknown_figures_are_refused(tmp_path):
    with pytest.raises(gs.ParameterError, match="Did you mean 'solvable:F1'"):
        figures.rebuild("solvable:f1", tmp_path)


def test_phase_diagram_agrees_with_the_known_map():
    noises = [0.1, 0.5, 1.0, 2.0, 4.0, 6.0]
    silent, active, none = "success/silent", "success/active", "no_learning"
    known = {
        0.1: [active, "oscillating", "oscillating", silent, silent, none],
        1.0: [active, active, active, "oscillating", "partial", none],
    }
    for ratio, expected in known.items():
        game = gs.SolvableGAN(feature_variance=5.0, generator_lr=0.2 * ratio)
        assert list(recipes.judged(game, {"data_noise": noises}, 80.0)) == expected


def test_boundaries_of_the_phase_diagram_solve_their_conditions():
    diagram = recipes.phase_diagrams(num=2, duration=1.0)["speed"]
    noise, silent = diagram.noise.values, diagram.silent.values
    seen = np.isfinite(silent)
    # (discriminator_lr^2 / generator_lr) 2 noise^2 = feature_variance, at discriminator_lr = 0.2.
    np.testing.assert_allclose(0.2 * 2 * noise[seen] ** 2 / silent[seen], 5.0, rtol=1e-9)
    assert diagram.attrs["visible"] == pytest.approx(5.0)
    # Active recovery exists where a quadratic has a root: its discriminant vanishes on the boundary at weak noise.
    few = noise < 2.0
    a = diagram.active.values[few] * (1 + 0.1 * noise[few])
    b, c = 0.2 * noise[few], 0.2 * noise[few] ** 2 / 5.0
    np.testing.assert_allclose((a - b) ** 2, 4 * a * c, rtol=1e-6)


def test_turned_runs_share_their_start_and_agree_with_theory():
    data = recipes.replica_overlap(horizon=4.0, dimension=1000, pairs=4)
    twins, theory_ = data["sgd"], data["theory"]
    np.testing.assert_allclose(twins.discriminator_overlap.isel(time=0), 1.0, atol=1e-6)
    np.testing.assert_allclose(twins.generator_overlap.isel(pair=0, time=0), np.eye(2), atol=1e-6)
    expected = theory_.discriminator_overlap.sel(time=[1.0, 2.0, 4.0], method="nearest")
    np.testing.assert_allclose(expected, [0.72466, 0.64972, 0.67282], atol=1e-3)
    measured = twins.discriminator_overlap.mean("pair").sel(time=[1.0, 2.0, 4.0], method="nearest")
    np.testing.assert_allclose(measured, expected, atol=0.03)


def test_regimes_carry_their_verdict():
    data = recipes.regimes((2.0, 4.0), dimension=20, replicas=2)
    assert list(data["limit"].detail.values) == ["success/silent", "mode_collapse"]
    titles = [axes.get_title(loc="left") for axes in solvable.regimes(data).axes[:2]]
    assert [title.split(": ")[1] for title in titles] == ["success", "mode collapse"]
