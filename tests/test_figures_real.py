"""Pictures of training runs of a real GAN: what their data say, and runs that break down."""

import subprocess
import sys

import numpy as np
import pytest
from command_line import environment
from small_gans import ring_game
from typer.testing import CliRunner

import ganscope as gs
from ganscope.cli.main import app
from ganscope.figures import style


@pytest.fixture(scope="module")
def game():
    return ring_game(rate=5e-3)


@pytest.fixture(scope="module")
def run(game):
    return gs.simulate(game, level="training", iterations=40, seed=1)


def points(axes):
    """What is drawn as points: rows x, y of every artist that has several."""
    return [np.asarray(line.get_xydata()).T for line in axes.lines if len(line.get_xdata()) > 2]


def test_the_panels_show_the_run(run, tmp_path):
    figure = gs.plot(run, tmp_path / "run.png")
    assert (tmp_path / "run.png").stat().st_size > 20_000
    places, distance, motion, gradients = figure.axes
    real, start, end = points(places)
    assert [cloud.shape[1] for cloud in (real, start, end)] == [512, 256, 256]
    # principal axes in data radii: centred, uncorrelated, variances that sum to one
    covariance = np.cov(real)
    assert abs(real.mean()) < 1e-12
    assert abs(covariance[0, 1]) < 1e-12
    assert covariance[0, 0] >= covariance[1, 1]
    assert np.trace(covariance) == pytest.approx(1.0, abs=1e-12)
    # a rotation and one scale keep distances
    moved = run.generated_points.isel(time=-1).values - run.generated_points.isel(time=0).values
    radius = np.sqrt(run.real_points.values.var(axis=0, ddof=1).sum())
    np.testing.assert_allclose(np.hypot(*(end - start)), np.hypot(*moved.T) / radius, rtol=1e-10)
    energy, spread = points(distance)
    np.testing.assert_allclose(energy[1], run.energy_distance)
    np.testing.assert_allclose(spread[1], run.spread)
    for drawn, player in zip(points(gradients), (0, 1), strict=True):
        np.testing.assert_allclose(drawn[1], run.gradient_norm[1:, player])
    centre = run.generated_points.mean("sample").values
    wander = np.sqrt(centre[-5:].var(axis=0).sum()) / radius  # over an eighth of 41 records
    assert points(motion)[0][1, -1] == pytest.approx(wander)
    assert "gradient_penalty = 0" in figure.legends[0].get_title().get_text()
    for axes in figure.axes:
        assert "[" in axes.get_xlabel()
        assert "[" in axes.get_ylabel()


def test_a_saved_run_is_shown_without_the_networks(run, tmp_path):
    """The file knows settings and samples: a verdict and a picture, and why there is no prediction."""
    gs.save(run, tmp_path / "run.zarr")
    result = CliRunner().invoke(app, ["show", str(tmp_path / "run.zarr")])
    assert result.exit_code == 0, result.output
    assert gs.classify(run).outcome in result.output
    assert "no prediction: the file of a run holds neither" in result.output
    assert max(map(len, result.output.replace(str(tmp_path), "").splitlines())) <= 80
    assert (tmp_path / "run.png").stat().st_size > 20_000


def test_runs_over_each_other_and_replicas(game, run):
    more = gs.simulate(game, level="training", iterations=40, seed=2, replicas=2, rule="simultaneous")
    figure = gs.plot([run, more], title="two")
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels[-2:] == ["alternating, seed 1", "simultaneous, seed 2, 2 replicas"]
    assert figure.get_suptitle() == "two"
    assert len(points(figure.axes[0])) == 4  # data, start, and the ends of both


def test_samples_on_a_line_are_histograms(run):
    figure = gs.plot(run.isel(axis=[0]))
    assert figure.axes[0].get_ylabel() == "density  [1 / R]"
    assert len(figure.axes[0].patches) == 3


def test_a_run_that_breaks_down_is_drawn_until_it_does():
    run = gs.simulate(ring_game("sgd", 40.0), level="training", iterations=60, seed=1)
    assert not np.isfinite(run.generated_points.values).all() or np.abs(run.generated_points.values).max() > 1e3
    with style.drawing():
        figure = gs.plot(run)
    crosses = [line for line in figure.axes[1].lines if line.get_marker() == "X"]
    assert len(crosses) == 2
    assert 0 < crosses[0].get_xdata()[0] < 60
    assert figure.axes[0].get_xlim()[1] < 4  # the data stay in view
    assert "breaks down" in [text.get_text() for text in figure.legends[0].get_texts()]


def test_a_run_of_a_single_record_has_a_picture(game):
    assert gs.plot(gs.simulate(game, level="training", iterations=3, save_at=[0])).axes


def test_a_prediction_points_to_the_diagnosis(game):
    with pytest.raises(gs.NotApplicable, match=r"plot what gs\.diagnose returns"):
        gs.plot(gs.predict(game))


def test_drawing_needs_no_engine():
    code = """
import sys
from ganscope.figures import real_runs
heavy = {"jax", "torch", "numba", "ganscope.diagnose"} & set(sys.modules)
assert not heavy, heavy
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment())
    assert done.returncode == 0, done.stderr
