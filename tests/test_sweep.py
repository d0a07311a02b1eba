"""Sweeps: every cell is `simulate` of its own game, whatever the tiles, the order and the executor; stores are refused,
grown and mended as promised."""

import contextlib
import functools
import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import ganscope as gs
from ganscope.sweep import measures
from ganscope.sweep import sweep as sweep_module
from ganscope.sweep.execution import driver as driver_module
from ganscope.sweep.execution import trial
from ganscope.sweep.execution.work import Job, Task, work
from ganscope.sweep.lock import locked
from ganscope.sweep.plan import make_plan
from ganscope.sweep.store import ATTEMPTS, CODE, SEVERAL, STARTED, STATUS, SweepStore, create_store
from ganscope.sweep.theory import with_theory
from ganscope.sweep.tiles import Tiling, choose_tile

GAME = gs.SolvableGAN(feature_variance=(5, 3), data_noise=2.0)
OVER = {"data_noise": gs.linspace(0.5, 6, 5), "generator_lr": [0.02, 0.04, 0.08]}
ODE = dict(measure="simulate", level="ode", horizon=250)
CHAIN = dict(measure="simulate", level="chain", dimension=200, horizon=200, replicas=3, seed=7)


def same(one, other):
    """Two sweeps hold the same bits, apart from how often and how long their tiles were computed."""
    assert set(one.data_vars) - {"ledger"} == set(other.data_vars) - {"ledger"}
    for name in set(one.data_vars) - {"ledger"}:
        a, b = one[name].values, other[name].values
        assert a.dtype == b.dtype, name
        assert np.array_equal(a, b, equal_nan=a.dtype.kind in "fc"), name


@pytest.fixture(scope="module")
def ode_map():
    return gs.sweep(GAME, OVER, **ODE, workers=0)


@pytest.fixture
def small_tiles(monkeypatch):
    """Tiles of at most four cells, so that there are several."""

    def choose(shape, grouped, cells, at_most):
        return choose_tile(shape, grouped, 4, at_most)

    monkeypatch.setattr(trial, "choose_tile", choose)


# -- cells -------------------------------------------------------------------------------------------------------------


def test_a_cell_equals_simulate_of_its_game(ode_map):
    for i, j in ((0, 0), (2, 1), (4, 2)):
        game = GAME.replace(data_noise=float(ode_map.data_noise[i]), generator_lr=float(ode_map.generator_lr[j]))
        run = gs.simulate(game, "ode", horizon=250)
        verdict = gs.classify(run)
        cell = ode_map.isel(data_noise=i, generator_lr=j)
        for name in run.data_vars:
            assert np.array_equal(cell[name].values, run[name].values[-1]), name
        assert (cell.outcome.item(), cell.detail.item()) == (verdict.outcome, verdict.detail)
        assert cell.margin.item() == pytest.approx(verdict.margin, rel=1e-9, nan_ok=True)


def test_a_cell_with_replicas_equals_simulate_of_its_game():
    sweep = gs.sweep(GAME, {"generator_lr": [0.04, 0.08], "dimension": [100, 200]}, **{**CHAIN, "dimension": None})
    for i, j in ((0, 1), (1, 0)):
        game = GAME.replace(generator_lr=float(sweep.generator_lr[i]))
        dimension = int(sweep.dimension[j])
        run = gs.simulate(game, "chain", dimension=dimension, horizon=200, replicas=3, seed=7)
        cell = sweep.isel(generator_lr=i, dimension=j)
        assert np.array_equal(cell.recovery.values, run.recovery.values[:, -1])
        assert cell.outcome.item() == gs.classify(run).outcome
        votes = [gs.classify(run.isel(replica=k)).outcome for k in range(3)]
        assert cell.share.item() == pytest.approx(votes.count(cell.outcome.item()) / 3)


def test_predictions_and_agreement(ode_map):
    theory = gs.sweep(GAME, OVER, level="ode")
    both = gs.sweep(GAME, OVER, **{**ODE, "measure": "both"})
    for i in range(5):
        for j in range(3):
            game = GAME.replace(data_noise=float(both.data_noise[i]), generator_lr=float(both.generator_lr[j]))
            prediction = gs.predict(game, level="ode")
            here = dict(data_noise=i, generator_lr=j)
            assert theory.outcome.values[i, j] == prediction.outcome == both.predicted_outcome.values[i, j]
            assert theory.threshold_lower.isel(here).values == pytest.approx(prediction.thresholds["lower"])
            pair = (both.outcome.values[i, j], both.predicted_outcome.values[i, j])
            expected = -1 if "undecided" in pair else int(pair[0] == pair[1])
            assert both.agreement.values[i, j] == expected
    same(both[list(ode_map.data_vars)], ode_map)
    assert (both.agreement.values == 1).any()


def test_categories_arrays_and_settings_are_axes_too():
    dirac = gs.DiracGAN(gradient_penalty=0.3)
    sweep = gs.sweep(
        dirac, {"loss": ["bilinear", "saturating"], "level": ["explicit", "nash"], "step_size": [0.1, 0.4]},
        "simulate", horizon=60,
    )  # fmt: skip
    assert sweep.outcome.dims == ("loss", "level", "step_size")
    assert sweep.loss.values.tolist() == ["bilinear", "saturating"]
    run = gs.simulate(gs.DiracGAN("saturating", gradient_penalty=0.3), "nash", horizon=60, step_size=0.4)
    cell = sweep.sel(loss="saturating", level="nash", step_size=0.4)
    assert cell.generator.item() == run.generator.values[-1]
    strengths = gs.sweep(GAME, {"feature_variance": [[5, 3], [5, 1]], "data_noise": [1.0, 4.0]}, level="ode")
    assert strengths.feature_variance.values.tolist() == ["[5, 3]", "[5, 1]"]
    assert strengths.outcome.values[1, 1] == gs.predict(gs.SolvableGAN((5, 1), data_noise=4.0), level="ode").outcome
    kernels = {"kernel": [gs.RBF(0.5), gs.Matern52(1.0)], "generator_lr": [0.3, 1.0]}
    points = gs.KernelGAN([[0.0]], [[0.1]])
    found = gs.sweep(points, kernels, "simulate", "gda", iterations=150)
    alone = gs.simulate(points.replace(kernel=gs.Matern52(1.0), generator_lr=0.3), "gda", iterations=150)
    assert np.array_equal(found.generated_points.values[1, 0], alone.generated_points.values[-1])


def test_cells_of_different_size_are_padded():
    ring = gs.ParticleGAN(coupling=8.0)
    sweep = gs.sweep(ring, {"particles": [16, 8]}, "simulate", "particles", iterations=100)
    assert sweep.positions.shape == (2, 16, 2)
    assert np.isfinite(sweep.positions.values[0]).all()
    assert np.isnan(sweep.positions.values[1, 8:]).all()
    alone = gs.simulate(ring.replace(particles=8), "particles", iterations=100)
    assert np.array_equal(sweep.positions.values[1, :8], alone.positions.values[-1])


def test_a_learning_rate_that_is_the_time_of_an_iteration_varies_too():
    points = gs.KernelGAN([[0.0]], [[0.1]])
    sweep = gs.sweep(points, {"discriminator_lr": [0.1, 0.2]}, "simulate", "gda", horizon=30)
    alone = gs.simulate(points.replace(discriminator_lr=0.2), "gda", horizon=30)
    assert np.array_equal(sweep.generated_points.values[1], alone.generated_points.values[-1])


def test_an_axis_may_have_the_name_of_an_observable():
    points = gs.KernelGAN([[0.0]], [[0.1]])
    sweep = gs.sweep(points, {"generated_points": [[[0.1]], [[0.2]]]}, "simulate", "gda", iterations=120)
    alone = gs.simulate(points.replace(generated_points=[[0.2]]), "gda", iterations=120)
    assert np.array_equal(sweep.final_generated_points.values[1], alone.generated_points.values[-1])


def final_recovery(run):
    """A measure of a user's own."""
    if float(run.data_noise) > 5.5:
        raise ValueError("no such\n noise")
    late = run.recovery.values[-1]
    return {"least": late.min(), "which": "first" if late[0] > late[1] else "second", "all_of_it": late}


def test_a_measure_of_ones_own(ode_map):
    sweep = gs.sweep(GAME, OVER, final_recovery, "ode", horizon=250)
    known = ode_map.recovery.values[:4]
    assert np.array_equal(sweep.least.values[:4], known.min(-1))
    assert np.array_equal(sweep.all_of_it.values[:4], known)
    assert set(sweep.which.values[:4].ravel()) == {"first"}
    assert (sweep.status.values[:4] == measures.DONE).all()
    assert (sweep.status.values[4] == measures.FAILED).all()
    assert set(sweep.message.values[4]) == {"ValueError: no such noise"}
    assert np.isnan(sweep.least.values[4]).all()


@pytest.mark.parametrize(
    "measure, text",
    [
        (lambda run: 3, "a dict from names to numbers"),
        (lambda run: {"status": 1}, "other names than"),
        (lambda run: {"data_noise": 1}, "other names than"),
        (lambda run: {"a": object()}, "a number, a text, or an array"),
        (lambda run: {"not a name": 1}, "a dict from names"),
    ],
)
def test_a_measure_that_returns_something_else_fails_cell_by_cell(measure, text):
    sweep = gs.sweep(GAME, {"data_noise": [1.0, 2.0]}, measure, "ode", horizon=10)
    assert (sweep.status == measures.FAILED).all()
    assert all(text in message for message in sweep.message.values)


def test_values_that_are_not_finite_are_kept_and_said():
    measure = lambda run: {"a": 1.0, "b": float("nan") if float(run.data_noise) > 1.5 else 0.0}
    sweep = gs.sweep(GAME, {"data_noise": [1.0, 2.0]}, measure, "ode", horizon=10)
    assert (sweep.status == measures.DONE).all()
    assert sweep.message.values.tolist() == ["", "not finite: b"]


def test_one_kind_of_value_per_name():
    measure = lambda run: {"a": "text" if float(run.data_noise) > 2.5 else 0.0}  # the cell in the middle decides
    sweep = gs.sweep(GAME, {"data_noise": [3.0, 2.0, 1.0]}, measure, "ode", horizon=10)
    assert sweep.status.values.tolist() == [2, 1, 1]
    assert sweep.message.values[0] == "ParameterError: a = 'a text': expected a number, as in other cells"


def test_a_run_that_blows_up_is_a_result():
    games = {"step_size": [0.1, 3.0]}
    sweep = gs.sweep(gs.QuadraticGame([[1.0]], [[2.0]], [[1.0]], [[-2.0]]), games, "simulate", "explicit", horizon=2000)
    assert (sweep.status == measures.DONE).all()
    assert sweep.outcome.values.tolist() == ["converged", "diverged"]


# -- grids and bad input -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "over, more, text",
    [
        ({"data_noise": itertools.count(1)}, {}, "at most 1000000 values"),
        ({}, {}, "at least one parameter"),
        ({"data_noise": []}, {}, "at least one value"),
        ({"data_noise": [1, 2, 1.0]}, {}, "number 1 and number 3 in the list are equal"),
        ({"data_noise": 1.0}, {}, "a list of values"),
        ({"data_noise": "123"}, {}, "a list of values"),
        ({"data_noise": [1, float("nan")]}, {}, "without NaN"),
        ({"data_noise": [1, -1]}, {}, "data_noise = -1"),
        ({"data_noise": [1, "two"]}, {}, "data_noise = 'two'"),
        ({"noise": [1]}, {}, "Did you mean 'data_noise'"),
        ({"data_noise": [1]}, {"horizom": 3}, "Did you mean 'horizon'"),
        ({"data_noise": [1]}, {"level": "od"}, "Did you mean 'ode'"),
        ({"level": ["ode", "od"]}, {"level": None}, "Did you mean 'ode'"),
        ({"data_noise": [1]}, {"measure": "simulat"}, "Did you mean 'simulate'"),
        ({"data_noise": [1]}, {"replicas": 0}, "replicas = 0"),
        ({"data_noise": [1]}, {"replicas": 2}, "deterministic"),
        ({"data_noise": [1]}, {"seed": -1}, "seed = -1"),
        ({"data_noise": [1]}, {"dimension": 100}, "no dimension"),
        ({"data_noise": [1]}, {"measure": "predict", "horizon": 100}, "predict takes"),
        ({"data_noise": [1]}, {"workers": -1}, "workers = -1"),
        ({"data_noise": [1]}, {"time_limit": 0}, "time_limit = 0"),
        ({"data_noise": [1]}, {"time_limit": 1.0, "workers": 0}, "cannot be stopped"),
        ({"rule": ["simultaneous", "sideways"]}, {"level": "chain"}, "rule = 'sideways'"),
        ({"data_noise": [1]}, {"scheduler": "tcp://127.0.0.1:1"}, "a directory that the workers"),
        ({"level": ["ode"]}, {}, "either a value or an axis"),
    ],
)
def test_bad_input_is_refused_before_anything_is_measured(over, more, text, monkeypatch):
    monkeypatch.setattr(measures, "evaluate", lambda *_: pytest.fail("work has started"))
    with pytest.raises(gs.ParameterError, match=text):
        gs.sweep(GAME, over, **{"measure": "simulate", "level": "ode", **more})


def test_a_billion_cells_are_refused_with_what_they_would_cost(tmp_path):
    over = {"data_noise": gs.linspace(1, 6, 1000), "generator_lr": gs.linspace(0.01, 0.1, 1000)}
    over["discriminator_lr"] = gs.linspace(0.1, 0.3, 1000)
    with pytest.raises(gs.ParameterError, match=r"1000 x 1000 x 1000.*confirm=True.*(hours|days|minutes).*GB"):
        gs.sweep(GAME, over, "simulate", "ode", horizon=20, store=tmp_path / "s.zarr", workers=0)
    assert not list(tmp_path.iterdir())


def test_a_combination_that_is_no_game_fails_and_the_rest_goes_on():
    torus = gs.TorusGAN(particles=16, relative_mobility=0.01, mean_mobility=0.02)
    over = {"relative_mobility": [0.0, 0.01], "mean_mobility": [0.0, 0.02]}
    sweep = gs.sweep(torus, over, "simulate", "particles", iterations=120)
    with pytest.raises(gs.ParameterError) as raised:
        torus.replace(relative_mobility=0.0, mean_mobility=0.0)
    assert sweep.status.values.tolist() == [[2, 1], [1, 1]]
    assert sweep.message.values[0, 0] == f"ParameterError: {raised.value}"


@given(
    shape=st.lists(st.integers(1, 9), min_size=1, max_size=3),
    tile=st.lists(st.integers(1, 9), min_size=3, max_size=3),
)
def test_tiles_cover_a_grid_once(shape, tile):
    tiling = Tiling(tuple(shape), tuple(min(t, n) for t, n in zip(tile, shape, strict=False)))
    cells = np.concatenate([tiling.cells(k) for k in range(len(tiling))])
    assert sorted(cells) == list(range(int(np.prod(shape))))
    assert sorted(tiling.spread_out()) == list(range(len(tiling)))


@given(
    shape=st.lists(st.integers(1, 200), min_size=1, max_size=3), cells=st.integers(1, 10**5), most=st.integers(1, 10**4)
)
def test_tiles_are_about_as_large_as_wanted(shape, cells, most):
    tile = choose_tile(tuple(shape), [], cells, most)
    assert all(1 <= t <= n for t, n in zip(tile, shape, strict=True))
    size, wanted = np.prod(tile), min(cells, most, np.prod(shape))
    assert wanted / 8 <= size <= 4 * wanted


def test_axes_that_need_a_call_each_are_not_in_one_tile():
    assert choose_tile((64, 64), [0], 50, 10**6) == (1, 32)
    assert choose_tile((8, 4), [0], 16, 10**6) == (4, 4)


# -- stores ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [0, 2])
def test_the_store_holds_the_same_bits_whatever_the_tiles_and_the_processes(tmp_path, ode_map, small_tiles, workers):
    store = tmp_path / "runs" / "map.zarr"
    result = gs.sweep(GAME, OVER, **ODE, store=store, workers=workers)
    same(result, ode_map)
    same(gs.load(store), ode_map)
    with xr.open_zarr(store, consolidated=False) as plain:  # by nothing of ours
        assert plain.sizes["tile"] > 2
        assert np.array_equal(plain.recovery.values, ode_map.recovery.values)
    assert gs.from_json(result.attrs["game"]) == GAME
    assert json.loads(result.attrs["sweep"])["over"]["data_noise"] == {"start": 0.5, "stop": 6.0, "num": 5}
    assert not list(store.rglob("*.part"))


def test_random_numbers_do_not_depend_on_the_tiles_either(tmp_path, small_tiles):
    over = {"data_noise": [1.0, 2.0, 3.0], "generator_lr": [0.04, 0.08]}
    tiles = gs.sweep(GAME, over, **CHAIN, store=tmp_path / "s.zarr", workers=0)
    assert tiles.sizes["tile"] > 1
    backwards = {"generator_lr": [0.08, 0.04], "data_noise": [3.0, 1.0, 2.0]}
    turned = gs.sweep(GAME, backwards, **CHAIN, workers=0).transpose("data_noise", "generator_lr", ...)
    turned = turned.sortby("data_noise").sortby("generator_lr")
    for name in ("recovery", "q", "outcome"):
        assert np.array_equal(turned[name].values, tiles[name].values), name


def count_calls(run, log):
    with Path(log).open("a") as stream:
        stream.write(f"{float(run.data_noise)} {float(run.generator_lr)}\n")
    return {"noise": float(run.data_noise)}


class Counted:
    """A measure that writes down which cells it has seen."""

    def __init__(self, log):
        self.log = str(log)

    def __call__(self, run):
        with Path(self.log).open("a") as stream:
            stream.write(f"{float(run.data_noise)} {float(run.generator_lr)}\n")
        return {"noise": float(run.data_noise)}

    @property
    def seen(self):
        return Path(self.log).read_text().splitlines() if Path(self.log).exists() else []


def test_a_finished_store_is_not_computed_again(tmp_path):
    measure = Counted(tmp_path / "log")
    first = gs.sweep(GAME, OVER, measure, "ode", horizon=10, store=tmp_path / "s.zarr")
    seen = len(measure.seen)
    again = gs.sweep(GAME, OVER, measure, "ode", horizon=10, store=tmp_path / "s.zarr")
    assert len(measure.seen) == seen
    same(first, again)


def test_a_grown_grid_computes_only_the_new_cells(tmp_path, small_tiles):
    measure, store = Counted(tmp_path / "log"), tmp_path / "s.zarr"
    gs.sweep(GAME, OVER, measure, "ode", horizon=10, store=store, workers=0)
    Path(measure.log).unlink()
    larger = {"data_noise": gs.linspace(0.5, 6, 9), "generator_lr": [0.01, 0.02, 0.04, 0.08]}
    grown = gs.sweep(GAME, larger, measure, "ode", horizon=10, store=store, workers=0)
    old = {(noise, rate) for noise in OVER["data_noise"].tolist() for rate in OVER["generator_lr"]}
    new = {(noise, rate) for noise in larger["data_noise"].tolist() for rate in larger["generator_lr"]} - old
    assert {tuple(map(float, line.split())) for line in measure.seen} == new
    assert len(measure.seen) == len(new)
    assert np.array_equal(grown.noise.values, np.repeat(larger["data_noise"][:, None], 4, axis=1))
    assert (grown.status == measures.DONE).all()
    with pytest.raises(gs.StoreError, match="has cells that the new grid lacks: data_noise"):
        gs.sweep(GAME, OVER, measure, "ode", horizon=10, store=store, workers=0)


def test_a_grown_grid_holds_the_bits_of_a_new_one(tmp_path, small_tiles):
    gs.sweep(GAME, OVER, **ODE, store=tmp_path / "s.zarr", workers=0)
    larger = OVER | {"data_noise": [0.5, 1.0, *OVER["data_noise"][1:].tolist(), 6.5]}
    grown = gs.sweep(GAME, larger, **ODE, store=tmp_path / "s.zarr", workers=0)
    same(grown, gs.sweep(GAME, larger, **ODE, workers=0))


def test_a_replacement_that_was_interrupted_is_put_back(tmp_path):
    store = tmp_path / "s.zarr"
    gs.sweep(GAME, {"data_noise": [1.0]}, level="ode", store=store)
    os.rename(store, tmp_path / ".s.zarr.12345678.old")
    again = gs.sweep(GAME, {"data_noise": [1.0]}, level="ode", store=store)
    assert again.ledger.values[0, ATTEMPTS] == 1


@pytest.mark.parametrize(
    "change, text",
    [
        (dict(game=GAME.replace(discriminator_lr=0.3)), "its game is"),
        (dict(measure="both"), "its measure is"),
        (dict(horizon=300), "its settings is"),
        (dict(seed=3), "its seed is"),
        (dict(over={"data_noise": [1.0], "discriminator_lr": [0.2]}), "its axes is"),
    ],
)
def test_a_store_of_another_experiment_is_refused(tmp_path, change, text):
    common = dict(game=GAME, over={"data_noise": [1.0, 2.0], "generator_lr": [0.04]}, **ODE, store=tmp_path / "s.zarr")
    gs.sweep(**common)
    before = (tmp_path / "s.zarr" / "recovery" / "zarr.json").stat().st_mtime_ns
    with pytest.raises(gs.StoreError, match=f"another experiment: {text}"):
        gs.sweep(**{**common, **change})
    assert (tmp_path / "s.zarr" / "recovery" / "zarr.json").stat().st_mtime_ns == before


def test_another_measure_function_is_another_experiment(tmp_path):
    gs.sweep(GAME, {"data_noise": [1.0]}, lambda run: {"a": 1.0}, "ode", horizon=10, store=tmp_path / "s.zarr")
    with pytest.raises(gs.StoreError, match="its measure is"):
        gs.sweep(GAME, {"data_noise": [1.0]}, lambda run: {"a": 2.0}, "ode", horizon=10, store=tmp_path / "s.zarr")


def test_results_of_another_version_are_refused_or_kept_apart(tmp_path, monkeypatch, small_tiles):
    store = tmp_path / "s.zarr"
    gs.sweep(GAME, OVER, **ODE, store=store, workers=0)
    SweepStore(store).forget(0)
    monkeypatch.setattr(sweep_module, "code_digest", lambda: 42)
    with pytest.raises(gs.StoreError, match=r"another version of the code.*--force.*--any-version"):
        gs.sweep(GAME, OVER, **ODE, store=store, workers=0)
    mixed = gs.sweep(GAME, OVER, **ODE, store=store, workers=0, any_version=True)
    codes = mixed.ledger.sel(tile=slice(None), entry=mixed.entry == "code").values.ravel()
    assert codes[0] == 42
    assert 42 not in codes[1:]


def test_an_existing_store_is_refused_resumed_or_replaced(tmp_path):
    store = tmp_path / "s.zarr"
    gs.sweep(GAME, {"data_noise": [1.0]}, level="ode", store=store)
    with pytest.raises(gs.StoreError, match="exists; resume it"):
        gs.sweep(GAME, {"data_noise": [1.0]}, level="ode", store=store, resume=False)
    replaced = gs.sweep(GAME, {"data_noise": [3.0, 4.0]}, level="ode", store=store, resume=False, force=True)
    assert replaced.sizes["data_noise"] == 2
    assert [path.name for path in tmp_path.iterdir()] == ["s.zarr"]


def test_what_is_no_store_is_refused_and_left_alone(tmp_path):
    (tmp_path / "s.zarr").mkdir()
    (tmp_path / "s.zarr" / "precious").write_text("data")
    for force in (False, True):
        with pytest.raises(gs.StoreError, match="is not the store of a sweep"):
            gs.sweep(GAME, {"data_noise": [1.0]}, level="ode", store=tmp_path / "s.zarr", force=force)
    gs.save(gs.simulate(GAME, "ode", horizon=10), tmp_path / "run.zarr")
    with pytest.raises(gs.StoreError, match="is not the store of a sweep"):
        gs.sweep(GAME, {"data_noise": [1.0]}, level="ode", store=tmp_path / "run.zarr")
    assert (tmp_path / "s.zarr" / "precious").read_text() == "data"


def attempts(ledger, tile):
    return int(ledger[tile, ATTEMPTS])


@pytest.mark.parametrize("harm", ["deleted", "shortened", "flipped", "ledger", "parameters"])
def test_a_damaged_chunk_is_found_mended_and_said(tmp_path, ode_map, small_tiles, harm):
    store = tmp_path / "s.zarr"
    gs.sweep(GAME, OVER, **ODE, store=store, workers=0)
    chunk = store / "recovery" / "c" / "1" / "0" / "0"
    content = bytearray(chunk.read_bytes())
    if harm == "deleted":
        chunk.unlink()
    elif harm == "shortened":
        chunk.write_bytes(content[:-8])
    elif harm == "flipped":
        content[3] ^= 1
        chunk.write_bytes(content)
    elif harm == "parameters":  # of another tile
        (store / "ledger" / "c" / "1" / "0").write_bytes((store / "ledger" / "c" / "2" / "0").read_bytes())
    else:
        (store / "ledger" / "c" / "1" / "0").write_bytes(b"\x00" * 7)
    tiles = len(SweepStore(store).tiling)
    before = SweepStore(store).ledger()
    if harm == "ledger":
        again = gs.sweep(GAME, OVER, **ODE, store=store, workers=0)
    else:
        with pytest.warns(gs.SweepWarning, match=f"1 of {tiles} tiles were damaged"):
            again = gs.sweep(GAME, OVER, **ODE, store=store, workers=0)
    same(again, ode_map)
    after = SweepStore(store).ledger()
    others = [k for k in range(tiles) if attempts(before, k) == attempts(after, k)]
    assert len(others) == tiles - 1  # were left alone


def test_a_tile_killed_while_it_was_written_counts_for_nothing(tmp_path, ode_map, small_tiles):
    store = tmp_path / "s.zarr"
    gs.sweep(GAME, OVER, **ODE, store=store, workers=0)
    opened = SweepStore(store)
    opened.forget(1)
    opened.start(1)
    (store / "q" / "c").joinpath(*map(str, opened.tiling.corner(1)), "0").write_bytes(b"half")
    assert opened.entry(1)[STATUS] == STARTED
    same(gs.sweep(GAME, OVER, **ODE, store=store, workers=0), ode_map)
    assert SweepStore(store).entry(1)[ATTEMPTS] == 3


def test_failed_cells_stay_until_they_are_to_be_tried_again(tmp_path):
    store, flag = tmp_path / "s.zarr", tmp_path / "flag"

    def measure(run, flag=str(flag)):
        if float(run.data_noise) > 1.5 and not Path(flag).exists():
            raise RuntimeError("not today")
        return {"a": float(run.data_noise)}

    call = lambda **more: gs.sweep(GAME, {"data_noise": [1.0, 2.0]}, measure, "ode", horizon=10, store=store, **more)
    assert call().status.values.tolist() == [1, 2]
    flag.touch()
    assert call().status.values.tolist() == [1, 2]
    assert call(retry=True).status.values.tolist() == [1, 1]


def test_two_drivers_do_not_meet(tmp_path):
    store = tmp_path / "s.zarr"
    gs.sweep(GAME, {"data_noise": [1.0]}, level="ode", store=store)
    holder = subprocess.Popen(
        [sys.executable, "-c", f"""
import time
from pathlib import Path
from ganscope.sweep.lock import locked
with locked(Path({str(store)!r})):
    print("held", flush=True)
    time.sleep(60)
"""], stdout=subprocess.PIPE, text=True)  # fmt: skip
    try:
        assert holder.stdout.readline() == "held\n"
        for force in (False, True):
            with pytest.raises(gs.StoreError, match=f"is being written by process {holder.pid}"):
                gs.sweep(GAME, {"data_noise": [1.0, 2.0]}, level="ode", store=store, force=force)
    finally:
        holder.kill()
        holder.communicate()
    assert gs.sweep(GAME, {"data_noise": [1.0, 2.0]}, level="ode", store=store).sizes["data_noise"] == 2


def test_a_disk_that_refuses_stops_the_sweep_and_keeps_what_there_is(tmp_path, ode_map, small_tiles, monkeypatch):
    store, written = tmp_path / "s.zarr", []
    write = SweepStore.write

    def full(self, *arguments):
        if len(written) == 2:
            raise OSError(28, "No space left on device")
        written.append(arguments[0])
        write(self, *arguments)

    monkeypatch.setattr(SweepStore, "write", full)
    with pytest.raises(gs.StoreError, match="No space left on device"):
        gs.sweep(GAME, OVER, **ODE, store=store, workers=0)
    assert 0 < (gs.load(store).status.values == measures.DONE).sum() < 15
    monkeypatch.undo()
    same(gs.sweep(GAME, OVER, **ODE, store=store, workers=0), ode_map)
    assert SweepStore(store).ledger()[written, ATTEMPTS].tolist() == [1, 1]


def test_a_place_that_cannot_be_written_is_refused():
    with pytest.raises(gs.StoreError, match="cannot write"):
        gs.sweep(GAME, {"data_noise": [1.0]}, level="ode", store="/proc/s.zarr")


def test_a_process_of_an_earlier_driver_writes_no_more(tmp_path, small_tiles):
    measure, store = Counted(tmp_path / "log"), tmp_path / "s.zarr"
    plan = make_plan(GAME, OVER, measure, "ode", 1, 0, {"horizon": 10})
    gs.sweep(GAME, OVER, measure, "ode", horizon=10, store=store, workers=0)
    holder = SweepStore(store).attributes["driver"]
    opened = Job(plan, store, 1, holder).store()
    for force, over in ((False, {"data_noise": [0.5, 0.6, *OVER["data_noise"][1:].tolist()]}), (True, {})):
        gs.sweep(GAME, OVER | over, measure, "ode", horizon=10, store=store, workers=0, force=force)
        before = SweepStore(store).ledger()
        with pytest.raises(gs.StoreError, match="another driver"):
            work(Job(plan, store, 1, holder), Task(0))
        with pytest.raises(gs.StoreError, match="another driver"):
            opened.start(0)
        with pytest.raises(gs.StoreError, match="another driver"):
            opened.write(0, opened.read(0), 1, 1, 0.0)
        assert np.array_equal(SweepStore(store).ledger(), before)


def test_a_store_that_two_drivers_would_create_is_one_drivers(tmp_path):
    with locked(tmp_path / "s.zarr"), pytest.raises(gs.StoreError, match="is being written by process"):
        gs.sweep(GAME, {"data_noise": [1.0]}, level="ode", store=tmp_path / "s.zarr")
    assert not list(tmp_path.iterdir())


def test_a_copy_in_other_chunks_is_left_alone(tmp_path):
    sweep = gs.sweep(GAME, OVER, **ODE, store=tmp_path / "s.zarr")
    gs.save(sweep, tmp_path / "copy.zarr")
    with pytest.raises(gs.StoreError, match="a copy in other chunks"):
        gs.sweep(GAME, OVER, **ODE, store=tmp_path / "copy.zarr")
    same(gs.load(tmp_path / "copy.zarr"), sweep)


def test_coordinates_are_protected(tmp_path):
    gs.sweep(GAME, {"data_noise": [1.0, 2.0]}, level="ode", store=tmp_path / "s.zarr")
    chunk = tmp_path / "s.zarr" / "data_noise" / "c" / "0"
    content = chunk.read_bytes()
    for harm in (lambda: chunk.unlink(), lambda: (chunk.parent.parent / "zarr.json").unlink()):
        harm()
        with pytest.raises(gs.StoreError, match="is damaged"):
            gs.sweep(GAME, {"data_noise": [1.0, 2.0]}, level="ode", store=tmp_path / "s.zarr")
        chunk.write_bytes(content)
    anew = gs.sweep(GAME, {"data_noise": [1.0, 2.0]}, level="ode", store=tmp_path / "s.zarr", force=True)
    assert anew.data_noise.values.tolist() == [1.0, 2.0]


def test_what_a_measure_has_captured_tells_it_apart(tmp_path):
    def made(factor):
        return lambda run: {"x": factor * float(run.data_noise)}

    def scaled(run, factor):
        return {"x": factor * float(run.data_noise)}

    pairs = [
        (made(1.0), made(2.0), made(1.0)),
        tuple(functools.partial(scaled, factor=f) for f in (1.0, 2.0, 1.0)),
        (Counted(tmp_path / "a"), Counted(tmp_path / "b"), Counted(tmp_path / "a")),
    ]
    for number, (one, other, equal) in enumerate(pairs):
        call = lambda measure, number=number: gs.sweep(
            GAME, {"data_noise": [1.0]}, measure, "ode", horizon=10, store=tmp_path / f"{number}.zarr"
        )
        call(one)
        call(equal)
        with pytest.raises(gs.StoreError, match="its measure is"):
            call(other)


def test_measures_that_know_themselves_or_cannot_be_pickled_have_names(tmp_path):
    lock = threading.Lock()

    def recursive(run, depth=1):
        return {"x": float(lock.locked())} if depth == 0 else recursive(run, depth - 1)

    call = lambda: gs.sweep(
        GAME, {"data_noise": [1.0]}, recursive, "ode", horizon=10, store=tmp_path / "s.zarr", workers=0
    )
    assert call().x.values.tolist() == call().x.values.tolist() == [0.0]


def test_a_tile_of_two_versions_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(trial, "choose_tile", lambda shape, *_: (3,))
    store = tmp_path / "s.zarr"
    call = lambda values, **more: gs.sweep(GAME, {"data_noise": values}, level="ode", store=store, **more)
    call([1.0, 3.0, 5.0])
    monkeypatch.setattr(sweep_module, "code_digest", lambda: 42)
    mixed = call([1.0, 2.0, 3.0, 5.0], any_version=True)  # a tile of 1, 2 and 3, and one of 5 alone
    own = mixed.ledger.values[1, CODE]
    assert mixed.ledger.values[:, CODE].tolist() == [SEVERAL, own]
    assert own not in (SEVERAL, 42)
    with pytest.raises(gs.StoreError, match=r"another version.*several in one tile"):
        call([1.0, 2.0, 3.0, 5.0])


def test_a_tile_that_the_driver_writes_tells_of_two_versions_too(tmp_path):
    plan = make_plan(GAME, {"data_noise": [1.0, 2.0]}, lambda run: {"x": 1.0}, "ode", 1, 0, {"horizon": 10})
    store = create_store(tmp_path / "s.zarr", {"data_noise": plan.axes[0].labels}, (2,), {"sweep": "{}"})
    half, whole = (measures.evaluate(plan, np.arange(2)) for _ in range(2))
    half.status[1] = measures.MISSING
    store.extend(whole)
    store.write(0, half, 5, 42, 0.0)
    store.start(0)
    store.write(0, whole, 5, 43, 0.0)
    assert store.entry(0)[CODE] == SEVERAL


def test_a_store_reads_the_same_in_any_order_of_its_folder(ode_map, tmp_path):
    result = gs.sweep(GAME, OVER, **ODE, store=tmp_path / "s.zarr", workers=0)
    assert list(result.data_vars)[:3] == ["status", "message", "outcome"]
    (tmp_path / "t.zarr").mkdir()
    for entry in sorted((tmp_path / "s.zarr").iterdir(), reverse=True):
        os.rename(entry, tmp_path / "t.zarr" / entry.name)
    assert list(gs.load(tmp_path / "t.zarr").data_vars) == list(result.data_vars)


def test_force_keeps_the_old_store_until_there_is_a_new_one(tmp_path):
    store = tmp_path / "s.zarr"
    gs.sweep(GAME, {"data_noise": [1.0]}, level="ode", store=store)
    huge = {"data_noise": gs.linspace(1, 2, 10**5), "generator_lr": gs.linspace(0.01, 0.1, 10**5)}
    with pytest.raises(gs.ParameterError, match="confirm"):
        gs.sweep(GAME, huge, level="ode", store=store, force=True)
    with pytest.raises(gs.StoreError, match="no Dask scheduler answers"):
        gs.sweep(GAME, {"data_noise": [2.0]}, level="ode", store=store, force=True, scheduler="tcp://127.0.0.1:9")
    assert gs.load(store).data_noise.values.tolist() == [1.0]


def test_a_finished_store_in_a_folder_that_cannot_be_written_is_read(tmp_path, monkeypatch):
    store = tmp_path / "s.zarr"
    sweep = gs.sweep(GAME, {"data_noise": [1.0]}, level="ode", store=store)

    @contextlib.contextmanager
    def refuse(path):
        raise gs.StoreError(f"cannot write {path}: Read-only file system")
        yield

    monkeypatch.setattr(sweep_module, "locked", refuse)
    monkeypatch.setattr(os, "access", lambda *_: False)
    same(gs.sweep(GAME, {"data_noise": [1.0]}, level="ode", store=store), sweep)
    with pytest.raises(gs.StoreError, match="Read-only"):
        gs.sweep(GAME, {"data_noise": [1.0, 2.0]}, level="ode", store=store)


def test_left_over_files_are_removed(tmp_path):
    for name in (".s.zarr.1.part", ".s.zarr.2.old", ".s.zarr.3.old", ".s.zarr.4.grown"):
        (tmp_path / name).mkdir()
    gs.sweep(GAME, {"data_noise": [1.0]}, level="ode", store=tmp_path / "s.zarr")
    assert [path.name for path in tmp_path.iterdir()] == ["s.zarr"]


# -- cells that are odd ------------------------------------------------------------------------------------------------


def test_a_batch_that_is_refused_is_measured_cell_by_cell():
    points = gs.KernelGAN([[0.0]], [[0.1]])
    over = {"rule": ["flow", "simultaneous", "alternating"], "discriminator_lr": [0.1, 0.2]}
    sweep = gs.sweep(points, over, "simulate", "gda", horizon=30, workers=0)
    assert (sweep.status == measures.DONE).all()
    alone = gs.simulate(points.replace(discriminator_lr=0.2), "gda", rule="alternating", horizon=30)
    assert np.array_equal(sweep.generated_points.values[2, 1], alone.generated_points.values[-1])


@pytest.mark.parametrize("tile", [1, 100])
def test_kinds_of_values_do_not_depend_on_the_tiles(monkeypatch, tile):
    monkeypatch.setattr(trial, "choose_tile", lambda shape, *_: (min(tile, shape[0]),))

    def measure(run):
        noise = float(run.data_noise)
        return {
            "y": 1j if noise == 2.0 else noise,
            "z": np.float32(noise) if noise < 3 else np.int8(noise),
            "s": "\udc80",
        }

    sweep = gs.sweep(GAME, {"data_noise": [1.0, 2.0, 3.0, 4.0]}, measure, "ode", horizon=10, workers=0)
    assert sweep.status.values.tolist() == [1, 2, 1, 1]
    assert "a complex number" in sweep.message.values[1]
    assert sweep.z.dtype == float
    assert sweep.z.values[[0, 2, 3]].tolist() == [1.0, 3.0, 4.0]


def test_a_measure_may_call_anything_an_outcome_and_may_exit():
    def measure(run):
        if float(run.data_noise) == 3.0:
            raise SystemExit(3)
        return {"outcome": float(run.data_noise)}

    sweep = gs.sweep(GAME, {"data_noise": [1.0, 2.0, 3.0]}, measure, "ode", horizon=10, workers=0)
    assert sweep.status.values.tolist() == [1, 1, 2]
    assert sweep.message.values[2] == "SystemExit: 3"


def test_cells_without_a_result_do_not_count_as_disagreement():
    torus = gs.TorusGAN(particles=16, relative_mobility=0.01, mean_mobility=0.02)
    over = {"relative_mobility": [0.0, 0.01], "mean_mobility": [0.0, 0.02]}
    sweep = gs.sweep(torus, over, "both", "particles", iterations=120)
    assert sweep.status.values[0, 0] == measures.FAILED
    assert sweep.agreement.values[0, 0] == -1


def test_there_is_one_zero_and_scalars_of_any_library_are_numbers():
    with pytest.raises(gs.ParameterError, match="are equal"):
        gs.sweep(gs.DiracGAN(), {"gradient_penalty": [0.0, -0.0]}, level="explicit", step_size=0.1)
    sweep = gs.sweep(gs.DiracGAN(), {"gradient_penalty": xr.DataArray([0.0, 1.0])}, level="explicit", step_size=0.1)
    assert sweep.gradient_penalty.values.tolist() == [0.0, 1.0]
    assert gs.sweep(gs.DiracGAN(), {"level": np.array(["explicit", "nash"])}, step_size=0.1).sizes["level"] == 2


@pytest.mark.parametrize("what", [dict(store=5), dict(store=""), dict(store="x.zarr", scheduler=5)])
def test_paths_and_addresses_are_texts(tmp_path, monkeypatch, what):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(gs.ParameterError, match=r"(store|scheduler) = "):
        gs.sweep(GAME, {"data_noise": [1.0]}, level="ode", **what)


def test_a_measure_that_cannot_be_sent_is_refused():
    lock = threading.Lock()

    class Stubborn:
        def __call__(self, run):
            return {"locked": float(lock.locked())}

        def __reduce__(self):
            raise TypeError("no")

    with pytest.raises(gs.ParameterError, match="sent to other processes"):
        gs.sweep(GAME, {"data_noise": [1.0]}, Stubborn(), "ode", horizon=10, workers=1)


# -- processes ---------------------------------------------------------------------------------------------------------


def test_a_cell_that_hangs_or_kills_its_process_is_recorded():
    def measure(run):
        noise = float(run.data_noise)
        if noise == 2.0:
            time.sleep(600)
        if noise == 3.0:
            os.kill(os.getpid(), signal.SIGKILL)
        if noise == 4.0:
            raise ValueError("bad noise")
        return {"a": noise}

    over = {"data_noise": [1.0, 2.0, 3.0, 4.0, 5.0]}
    sweep = gs.sweep(GAME, over, measure, "ode", horizon=10, workers=2, time_limit=3.0)
    assert sweep.status.values.tolist() == [1, 2, 2, 2, 1]
    assert "took longer than 3 s" in sweep.message.values[1]
    assert "SIGKILL" in sweep.message.values[2]
    assert sweep.message.values[3] == "ValueError: bad noise"
    assert sweep.a.values[[0, 4]].tolist() == [1.0, 5.0]


def test_a_worker_that_dies_is_noticed_though_its_child_lives():
    def measure(run):
        if float(run.data_noise) == 2.0:
            if os.fork() == 0:
                time.sleep(60)
                os._exit(0)
            os._exit(3)
        return {"a": 1.0}

    sweep = gs.sweep(GAME, {"data_noise": [1.0, 2.0]}, measure, "ode", horizon=10, workers=1)
    assert sweep.status.values.tolist() == [1, 2]
    assert "exit status 3" in sweep.message.values[1]


def test_workers_do_not_import_the_users_script(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        """
import ganscope as gs
print("script runs")
game = gs.SolvableGAN(feature_variance=(5, 3))
measure = lambda run: {"a": float(run.data_noise)}
sweep = gs.sweep(game, {"data_noise": [1.0, 2.0]}, measure, "ode", horizon=10, workers=2)
print(sweep.a.values.tolist())
"""
    )
    said = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
    assert said.stdout.splitlines() == ["script runs", "[1.0, 2.0]"]


def test_a_finished_tile_is_not_computed_again_by_a_second_worker(tmp_path):
    measure = Counted(tmp_path / "log")
    plan = make_plan(GAME, OVER, measure, "ode", 1, 0, {"horizon": 10})
    attributes = {"sweep": "{}", "driver": "here"}
    create_store(tmp_path / "s.zarr", {axis.name: axis.labels for axis in plan.axes}, (5, 3), attributes)
    job = Job(plan, tmp_path / "s.zarr", 1, "here")
    report = work(job, Task(0))
    job.store(anew=True).extend(report.block)
    assert work(Job(plan, tmp_path / "s.zarr", 1, "here"), Task(0)).state == "written"
    seen = len(measure.seen)
    again = work(Job(plan, tmp_path / "s.zarr", 1, "here"), Task(0))
    assert (again.state, again.counts) == ("written", {"done": 15})
    assert len(measure.seen) == seen


def test_progress_is_counted_by_outcome(ode_map, monkeypatch):
    heard = []
    monkeypatch.setattr(driver_module, "report_progress", lambda *said: heard.append(said))
    gs.sweep(GAME, OVER, **ODE, workers=0)
    label, done, total, counts = heard[-1]
    assert (label, done, total) == ("cells", 15, 15)
    names, numbers = np.unique(ode_map.outcome.values, return_counts=True)
    assert dict(entry.rsplit(" ", 1) for entry in counts.split(", ")) == {
        str(name): str(number) for name, number in zip(names, numbers, strict=True)
    }


def test_ctrl_c_says_what_is_kept(tmp_path, small_tiles, monkeypatch, ode_map):
    store = tmp_path / "s.zarr"
    write = SweepStore.write

    def interrupt(self, number, *rest):
        write(self, number, *rest)
        raise KeyboardInterrupt

    monkeypatch.setattr(SweepStore, "write", interrupt)
    with pytest.raises(KeyboardInterrupt, match=r"of 15 cells are kept in"):
        gs.sweep(GAME, OVER, **ODE, store=store, workers=0)
    monkeypatch.undo()
    assert 0 < (gs.load(store).status.values == measures.DONE).sum() < 15
    same(gs.sweep(GAME, OVER, **ODE, store=store, workers=0), ode_map)
    monkeypatch.setattr(SweepStore, "write", interrupt)
    with pytest.raises(KeyboardInterrupt, match="nothing is kept"):
        gs.sweep(GAME, OVER, **ODE, workers=0)


# -- theory beside what was simulated ----------------------------------------------------------------------------------


def test_theory_joins_a_simulated_sweep_as_if_both_had_been_asked_for():
    over = {"data_noise": [1.0, 3.0, 6.0], "dimension": [100, 200], "generator_lr": [0.04, 0.08]}
    common = dict(level="chain", horizon=200, replicas=2)
    simulated, both = (gs.sweep(GAME, over, measure, **common, workers=0) for measure in ("simulate", "both"))
    joined = with_theory(simulated)
    same(joined, both)
    with pytest.raises(gs.NotApplicable, match="theory would take about"):
        with_theory(simulated, patience=1e-9)
    with pytest.raises(gs.NotApplicable, match="outcomes of simulations"):
        with_theory(gs.sweep(GAME, {"data_noise": [1.0]}, level="ode"))
