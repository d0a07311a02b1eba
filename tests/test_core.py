"""The frame that every game shares: schedules, checks, saving, JSON, comparison, parallel work."""

import json
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ganscope as gs
from ganscope.core import checks, parallel, progress
from ganscope.core.errors import unknown_name
from ganscope.core.plain import to_json_text
from ganscope.core.schedule import make_schedule
from ganscope.core.store import write_text


def schedule(horizon=None, iterations=None, save_at=None, per_unit=100.0):
    return make_schedule(horizon, iterations, save_at, per_unit=per_unit, default_horizon=400.0)


def test_short_runs_keep_every_iteration_and_long_ones_201():
    short = schedule(iterations=1000)
    assert len(short.times) == 1001
    assert np.array_equal(short.iterations, np.arange(1001))
    long = schedule(horizon=100)
    assert len(long.times) == 201
    assert long.iterations[-1] == 10_000
    assert schedule().times[-1] == 400.0


@given(st.lists(st.floats(0, 1000), min_size=1, max_size=20, unique=True), st.integers(1, 10**9))
def test_saved_times_are_honoured_exactly(times, per_unit):
    times = sorted(times)
    result = schedule(save_at=times, per_unit=float(per_unit))
    assert np.array_equal(result.times, times)
    # The state at time t is the one after floor(t n) iterations, up to rounding of the product.
    exact = np.array(times) * per_unit
    assert np.all(result.iterations <= exact * (1 + 1e-9) + 1e-9)
    assert np.all(result.iterations > exact * (1 - 1e-9) - 1)


def test_decimal_times_fall_on_their_iterations():
    result = schedule(save_at=[0.1, 0.2, 0.3, 0.7], per_unit=10.0)
    assert list(result.iterations) == [1, 2, 3, 7]


@pytest.mark.parametrize(
    "arguments, text",
    [
        ({"horizon": 1, "iterations": 5}, "not both"),
        ({"horizon": 0}, "horizon = 0: expected a finite number > 0"),
        ({"horizon": np.nan}, "finite number"),
        ({"horizon": np.inf}, "finite number"),
        ({"horizon": 1e-9}, "at least one iteration"),
        ({"iterations": 2.5}, "an integer >= 1"),
        ({"iterations": 0}, "an integer >= 1"),
        ({"save_at": [2, 1]}, "increasing"),
        ({"save_at": []}, "increasing"),
        ({"save_at": [-1.0, 2.0]}, ">= 0"),
        ({"save_at": [1, 5], "horizon": 4}, "within the run"),
        ({"save_at": [0.5], "iterations": 4}, "whole iteration numbers"),
        ({"save_at": "soon"}, "save_at"),
        ({"iterations": 5, "per_unit": None}, "no iterations"),
    ],
)
def test_bad_schedules_are_refused(arguments, text):
    with pytest.raises(gs.ParameterError, match=text):
        schedule(**arguments)


@pytest.mark.parametrize("value", ["3", True, None, np.nan, [1, 2], {}, 1j])
def test_a_number_is_a_number(value):
    with pytest.raises(gs.ParameterError, match=r"x = .*expected a finite number"):
        checks.number("x", value)


def test_numbers_of_numpy_are_numbers():
    assert checks.number("x", np.float32(0.5)) == 0.5
    assert checks.number("x", np.array(2)) == 2.0
    assert checks.integer("n", 3.0) == 3


def test_an_unknown_name_gets_the_nearest_one():
    text = str(unknown_name("rule", "simultanous", ["simultaneous", "alternating"]))
    assert "Did you mean 'simultaneous'?" in text
    assert "alternating, simultaneous" in text


def test_simulate_refuses_what_a_level_cannot_do():
    game = gs.SolvableGAN()
    for arguments, text in [
        ({"level": "odes"}, "Did you mean 'ode'"),
        ({"level": "ode", "dimension": 10}, "level 'ode' has no dimension"),
        ({"level": "ode", "replicas": 2}, "deterministic"),
        ({"level": "ode", "rule": "alternating"}, "is a flow"),
        ({"level": "ode", "step_size": 0.1}, "no step size"),
        ({"level": "chain", "rule": "sequential"}, "alternating, simultaneous"),
        ({"level": "chain", "dimension": 4}, "dimension = 4: expected an integer >= 5"),
        ({"level": "sgd", "dimension": 4}, "dimension = 4: expected an integer >= 5"),
        ({"level": "chain", "dimension": 10.5}, "an integer"),
        ({"level": "chain", "replicas": 0}, "an integer >= 1"),
        ({"level": "chain", "seed": -1}, "seed"),
        ({"level": "ode", "rtoll": 1e-3}, "Did you mean 'rtol'"),
        ({"level": "ode", "rtol": 0.0}, "rtol"),
        ({"level": "sgd", "frame": "sign"}, "Did you mean 'signs'"),
    ]:
        with pytest.raises(gs.ParameterError, match=text):
            gs.simulate(game, **arguments)


def test_simulate_many_refuses_bad_cells():
    game = gs.SolvableGAN()
    for over, text in [
        ({}, "at least one parameter"),
        ({"noise": [1, 2]}, "Did you mean"),
        ({"data_noise": [1, -2]}, "numbers >= 0"),
        ({"data_noise": [1, np.nan]}, "numbers >= 0"),
        ({"data_noise": [1, 2], "generator_lr": [0.1]}, "one length"),
        ({"data_noise": []}, "at least 1"),
        ({"feature_variance": [1, 2]}, r"shape \(cells, 2\)"),
        ({"regularization": [1.0, 2.0]}, "all infinite"),
    ]:
        with pytest.raises(gs.ParameterError, match=text):
            gs.simulate_many(game, over, "ode")


def test_a_saved_run_comes_back_with_its_game(tmp_path):
    game = gs.SolvableGAN(data_noise=1.5, initial=gs.MacroState([[0.3, 0], [0, 0.2]], [0.1, 0.1]))
    run = gs.simulate(game, "chain", dimension=20, horizon=3, replicas=3, seed=5)
    path = gs.save(run, tmp_path / "deep" / "run.zarr")
    back = gs.load(path)
    assert back.identical(run) or np.array_equal(back.P.values, run.P.values)
    assert gs.from_json(back.attrs["game"]) == game
    assert (back.attrs["level"], back.attrs["seed"], back.attrs["version"]) == ("chain", "5", gs.__version__)
    assert [p.name for p in path.parent.iterdir()] == ["run.zarr"]


def test_nothing_is_overwritten_unasked_and_nothing_half_written_stays(tmp_path, monkeypatch):
    run = gs.simulate(gs.SolvableGAN(), "ode", horizon=1)
    path = gs.save(run, tmp_path / "run.zarr")
    with pytest.raises(gs.StoreError, match="exists"):
        gs.save(run, path)
    gs.save(run, path, overwrite=True)

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(type(run), "to_zarr", full)
    with pytest.raises(gs.StoreError, match="No space left"):
        gs.save(run, tmp_path / "second.zarr")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["run.zarr"]
    assert gs.load(path).sizes["time"] == 201


def test_loading_says_what_is_wrong(tmp_path):
    with pytest.raises(gs.StoreError, match="does not exist"):
        gs.load(tmp_path / "none.zarr")
    (tmp_path / "text.zarr").write_text("hello")
    with pytest.raises(gs.StoreError, match="not a saved run"):
        gs.load(tmp_path / "text.zarr")


def test_a_file_that_cannot_be_written_is_a_store_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(gs.StoreError, match="cannot write"):
        write_text(tmp_path / "file" / "below.txt", "x")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"model": "solvabel"}', '{"feature_variance": [1]}', "null"])
def test_bad_json_is_refused(text):
    with pytest.raises(gs.ParameterError):
        gs.from_json(text)


def test_json_is_strict_and_names_what_follows():
    game = gs.SolvableGAN(data_noise=3)
    content = json.loads(gs.to_json(game))
    assert content["regularization"] == "inf"
    assert content["generator_noise"] == 3.0
    assert gs.from_json(gs.to_json(game)).replace(data_noise=1.0).generator_noise == 1.0
    fixed = gs.SolvableGAN(data_noise=3, generator_noise=3)
    assert gs.from_json(gs.to_json(fixed)).replace(data_noise=1.0).generator_noise == 3.0
    assert game == fixed
    assert (
        to_json_text({"a": np.nan, "b": np.array([1.0, np.inf]), "c": 1j})
        == '{"a": null, "b": [1.0, null], "c": [0.0, 1.0]}'
    )


def test_compare_is_zero_for_a_run_with_itself_and_sees_a_difference():
    game = gs.SolvableGAN()
    ode = gs.simulate(game, "ode", horizon=5)
    assert all(v["largest"] == 0 for v in gs.compare(ode, ode).attrs["summary"].values())
    chain = gs.simulate(game, "chain", dimension=500, horizon=5, replicas=4)
    distance = gs.compare(chain, ode)
    assert distance.sizes == {"replica": 4, "time": 201}
    assert 0 < distance.attrs["summary"]["q"]["mean"] < 0.5
    with pytest.raises(gs.ParameterError, match="same game"):
        gs.compare(ode, gs.simulate(gs.SolvableGAN(data_noise=1), "ode", horizon=5))
    with pytest.raises(gs.ParameterError, match="overlap"):
        gs.compare(ode, gs.simulate(game, "ode", save_at=[10.0, 20.0]))


def test_classify_needs_a_run_of_one_cell_with_enough_records():
    game = gs.SolvableGAN()
    with pytest.raises(gs.ParameterError, match="made by simulate"):
        gs.classify("run")
    many = gs.simulate_many(game, {"data_noise": [1.0, 2.0]}, "ode", horizon=400)
    with pytest.raises(gs.ParameterError, match="one cell"):
        gs.classify(many)
    assert gs.classify(many.isel(cell=0)).outcome == "oscillating"
    assert gs.classify(many.isel(cell=1)).outcome == "converged"
    few = gs.classify(gs.simulate(game, "ode", save_at=np.linspace(0, 400, 99)))
    assert few.outcome == "undecided"
    assert "99 records" in few.reasons[0]
    short = gs.classify(gs.simulate(game, "ode", horizon=20))
    assert short.outcome == "undecided"
    assert "horizon too short" in short.reasons[0]


def test_grids_remember_how_they_were_made():
    grid = gs.linspace(0.1, 6, 64)
    assert grid.recipe == {"start": 0.1, "stop": 6.0, "num": 64}
    assert gs.logspace(0.01, 1, 5).recipe["log"]
    np.testing.assert_allclose(gs.logspace(0.01, 1, 3), [0.01, 0.1, 1])
    assert grid[:10].recipe is None
    with pytest.raises(gs.ParameterError, match="> 0"):
        gs.logspace(0, 1, 3)


def test_an_error_in_one_task_stops_the_others(monkeypatch):
    monkeypatch.setenv("GANSCOPE_THREADS", "2")
    reached = []

    def fails(tick):
        tick(1.0)
        raise RuntimeError("broken")

    def waits(tick):
        for k in range(1000):
            tick(1.0)
            reached.append(k)
            threading.Event().wait(0.01)

    with pytest.raises(RuntimeError, match="broken"):
        parallel.run_tasks([fails, waits], "test", 1001)
    assert len(reached) < 1000


def test_an_interrupt_stops_the_work(monkeypatch):
    monkeypatch.setenv("GANSCOPE_THREADS", "1")

    def interrupted(tick):
        tick(1.0)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        parallel.run_tasks([interrupted, interrupted], "test", 2)


def test_progress_is_reported_to_a_listener_only():
    heard = []
    with progress.listening(lambda label, done, total: heard.append((label, done, total))):
        gs.simulate(gs.SolvableGAN(), "chain", dimension=50, iterations=100)
    assert heard[-1] == ("chain", 100.0, 100.0)
    count = len(heard)
    gs.simulate(gs.SolvableGAN(), "chain", dimension=50, iterations=100)
    assert len(heard) == count


@pytest.mark.parametrize("dtype, lanes", [(np.float64, 20_000), (np.float32, 40_000)])
def test_the_known_bad_libraries_are_absent(dtype, lanes):
    """jax 0.10.2 and 0.11.0 miscompute a vmapped small matrix-vector product followed by a sum, on the CPU."""
    import jax
    import jax.numpy as jnp

    assert jax.__version__ not in ("0.10.2", "0.11.0")
    rng = np.random.default_rng(0)
    matrix, vectors = rng.integers(-3, 4, (4, 4)).astype(dtype), rng.integers(-3, 4, (lanes, 4)).astype(dtype)
    with jax.enable_x64(True):
        squares = jax.jit(jax.vmap(lambda v: ((jnp.asarray(matrix) @ v) ** 2).sum()))(jnp.asarray(vectors))
    assert np.array_equal(np.asarray(squares), ((vectors @ matrix.T) ** 2).sum(-1))
