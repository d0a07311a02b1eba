"""`ganscope show` of a sweep: what it says, and that what it exports is what there is."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from command_line import only_json, refused
from synthetic_sweeps import interrupted, synthetic_sweep, with_ledger

import ganscope as gs

GAME = gs.SolvableGAN(feature_variance=(5, 3))
OVER = {"data_noise": gs.linspace(0.2, 6, 6), "generator_lr": gs.logspace(0.01, 0.4, 5)}


@pytest.fixture(scope="module")
def both():
    return synthetic_sweep(GAME, OVER, "both", "ode", horizon=100)


@pytest.fixture(scope="module")
def noisy():
    over = {"data_noise": [1.0, 3.0], "dimension": [50]}
    sweep = synthetic_sweep(GAME, {"data_noise": [1.0, 3.0]}, "simulate", "chain", replicas=3, horizon=10, dimension=50)
    return sweep, over


@pytest.fixture
def running(both):
    done = np.ones((6, 5), bool)
    done[3, 1:] = False
    message = "the step was too large: " + "x" * 300
    return interrupted(both, done, [(0, 0), (5, 4), (1, 1)], message)


def test_show_tells_what_there_is(cli, both):
    gs.save(both, "map.zarr")
    result = cli("show", "map.zarr")
    assert result.exit_code == 0, result.output
    text = result.stdout
    assert max(map(len, text.splitlines())) <= 80
    assert Path("map.png").stat().st_size > 1000
    for part in ("measure both, level ode, horizon 100", "30 of 30 cells done", "logarithmic", "drawn in map.png"):
        assert part in text
    assert "--resume" not in text
    assert "failed" not in text
    for name, count in zip(*np.unique(both.outcome.values.astype(str), return_counts=True), strict=True):
        (line,) = [line for line in text.splitlines() if line.startswith(name)]
        predicted = int(np.sum(both.predicted_outcome.values == name))
        assert line.split()[1:5:3] == [str(predicted), str(count)]


def test_show_tells_how_far_a_sweep_is(cli, running):
    gs.save(running, "runs/map.zarr")
    text = cli("show", "runs/map.zarr").stdout
    assert max(map(len, text.splitlines())) <= 80
    assert "23 of 30 cells done, 3 failed, 4 missing" in text
    assert "ganscope sweep FILE.toml --out runs/map.zarr --resume" in text
    assert "failed 3 times, for example at data_noise = 0.2, generator_lr = 0.01: the step" in " ".join(text.split())
    assert Path("runs/map.png").exists()


def test_json_is_one_object_with_the_counts(cli, running):
    gs.save(running, "map.zarr")
    content = only_json(cli("show", "map.zarr", "--json", "--export", "out.csv"))
    assert content["cells"] == {"total": 30, "done": 23, "failed": 3, "missing": 4}
    assert content["axes"]["generator_lr"] == {"values": 5, "first": 0.01, "last": 0.4, "log": True}
    done = running.status.values == 1
    for side, name in (("outcomes", "outcome"), ("predicted_outcomes", "predicted_outcome")):
        found = dict(zip(*np.unique(running[name].values[done].astype(str), return_counts=True), strict=True))
        assert {key: value["count"] for key, value in content[side].items()} == found
        assert sum(value["share"] for value in content[side].values()) == pytest.approx(1)
    assert content["failures"][0]["count"] == 3
    assert content["failures"][0]["cell"] == {"data_noise": 0.2, "generator_lr": 0.01}
    assert content["picture"] == "map.png"
    assert content["exported"] == "out.csv"


def test_agreement_counts_cells_where_both_decide(cli, both):
    gs.save(both, "map.zarr")
    said = only_json(cli("show", "map.zarr", "--json"))["agreement"]
    agreement = both.agreement.values  # made beside the batch, cell by cell
    near = both.near_critical.values | both.predicted_near_critical.values
    assert said["decided"] == np.sum(agreement >= 0)
    assert said["agree"] == np.sum(agreement == 1)
    assert said["differ"] == np.sum(agreement == 0)
    assert said["outside"] == np.sum((agreement >= 0) & ~near)
    assert said["share"] == pytest.approx(np.mean(agreement[(agreement >= 0) & ~near]))
    assert said["share_of_done"] == pytest.approx(np.mean(agreement == 1))


def test_show_says_when_versions_are_mixed(cli, both):
    gs.save(with_ledger(both, [17]), "one.zarr")
    assert "THE CELLS" not in cli("show", "one.zarr").stdout
    gs.save(with_ledger(both, [17, 18]), "two.zarr")
    assert "2 VERSIONS OF THE CODE" in " ".join(cli("show", "two.zarr").stdout.split())
    assert only_json(cli("show", "two.zarr", "--json"))["codes"] == [f"{17:016x}", f"{18:016x}"]


def test_show_of_a_sweep_that_has_not_begun(cli, both):
    gs.save(interrupted(both, np.zeros((6, 5), bool)), "map.zarr")
    content = only_json(cli("show", "map.zarr", "--json"))
    assert content["cells"]["missing"] == 30
    assert content["agreement"]["share"] is None
    assert "0 of 30 cells done, 30 missing" in cli("show", "map.zarr").stdout


def test_the_picture_can_be_chosen(cli, both):
    gs.save(both, "map.zarr")
    assert cli("show", "map.zarr", "--x", "generator_lr", "--y", "data_noise", "--out", "a.png").exit_code == 0
    assert cli("show", "map.zarr", "--at", "data_noise=1", "--variable", "recovery[1]", "--out", "b.pdf").exit_code == 0
    assert Path("a.png").exists()
    assert Path("b.pdf").exists()


@pytest.mark.parametrize(
    "options, parts",
    [
        (["--export", "out.txt"], ["out.txt", ".nc", ".csv"]),
        (["--x", "nose"], ["nose", "data_noise"]),
        (["--at", "data_noise"], ["NAME=VALUE"]),
        (["--at", "data_noise=1", "--at", "data_noise=2"], ["every name once"]),
        (["--at", "data_noise=99"], ["0.2 to 6"]),
        (["--variable", "recover"], ["Did you mean 'recovery'"]),
        (["--export", "map.zarr/zarr.json/out.nc"], ["cannot write"]),
    ],
)
def test_bad_options_are_refused(cli, both, options, parts):
    gs.save(both, "map.zarr")
    result = cli("show", "map.zarr", *options)
    refused(result, *parts)
    assert not Path("out.txt").exists()


def test_options_of_sweeps_are_refused_for_runs(cli):
    gs.save(gs.simulate(gs.DiracGAN(), "flow", horizon=1), "run.zarr")
    refused(cli("show", "run.zarr", "--json"), "goes with a sweep")
    refused(cli("show", "run.zarr", "--x", "theta"), "goes with a sweep")
    assert cli("show", "run.zarr", "--export", "run.csv").exit_code == 0
    assert Path("run.csv").read_text().count("\n") == 202
    Path("folder").mkdir()
    refused(cli("show", "folder", "--export", "all.nc"), "folder")


def test_a_folder_with_sweeps_names_them(cli, both):
    gs.save(both, "runs/map.zarr")
    refused(cli("show", "runs"), "runs/map.zarr")


def test_a_store_needs_no_suffix(cli, both):
    gs.save(both, "runs/map")
    assert cli("show", "runs/map").exit_code == 0
    assert Path("runs/map.png").exists()


def test_a_boundary_is_shown(cli):
    curve = gs.continuation(GAME, "data_noise", (0.2, 6.0))
    gs.save(curve, "branch.zarr")
    text = cli("show", "branch.zarr").stdout
    assert "equilibrium against data_noise" in text
    assert text.count(" at data_noise = ") == curve.sizes["bifurcation"]
    assert Path("branch.png").exists()


# export


def test_netcdf_holds_the_same_data(running, tmp_path):
    gs.save(with_ledger(running, [17]), tmp_path / "map.zarr")
    store = gs.load(tmp_path / "map.zarr")
    path = gs.export(store, tmp_path / "map.nc")
    with xr.open_dataset(path, engine="scipy") as file:
        again = file.load()
    xr.testing.assert_equal(again, store.drop_vars(["ledger", "entry"]).load().astype(again.dtypes))
    assert again.attrs["sweep"] == running.attrs["sweep"]
    assert gs.from_json(again.attrs["game"]) == GAME
    assert again.near_critical.dtype == bool
    gs.plot(again, tmp_path / "map.png")
    assert not list(tmp_path.glob("*.part"))


def test_netcdf_holds_what_it_has_no_type_for(tmp_path):
    values = {
        "z": ("x", np.array([1 + 2j, np.nan])),
        "big": ("x", np.array([2**40, -1])),
        "huge": ("x", np.array([2**63 - 1, 0])),
        "unsigned": ("x", np.array([2**64 - 1, 0], np.uint64)),
        "small": ("x", np.array([3, 4], np.int8)),
        "flag": ("x", np.array([True, False])),
        "text": ("x", np.array(["", "größer"], object)),
        "none": ("x", np.array(["", ""], object)),
    }
    attrs = {"flag": True, "none": None, "list": ["a", {"b": 1}], "large": 2**40, "text": "ä", "number": 1.5}
    data = xr.Dataset(values, {"x": [2**40, 2]}, attrs)
    with xr.open_dataset(gs.export(data, tmp_path / "odd.nc"), engine="scipy") as file:
        again = file.load()
    np.testing.assert_array_equal(again.z_real + 1j * again.z_imaginary, data.z.values)
    np.testing.assert_array_equal(again.big, data.big)
    np.testing.assert_array_equal(again.x, data.x)
    assert again.huge.values.tolist() == [str(2**63 - 1), "0"]
    assert again.unsigned.values.tolist() == [str(2**64 - 1), "0"]
    assert again.text.values.tolist() == ["", "größer"]
    assert again.none.values.tolist() == ["", ""]
    assert again.flag.dtype == bool
    assert again.attrs["flag"] == "true"
    assert json.loads(again.attrs["list"]) == ["a", {"b": 1}]
    assert again.attrs["large"] == str(2**40)
    assert "none" not in again.attrs


def rows_of(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def number(text):
    return float(text) if text else np.nan


def test_a_table_has_a_row_per_cell(running, tmp_path):
    rows = rows_of(gs.export(running, tmp_path / "map.csv"))
    assert len(rows) == 30
    assert list(rows[0])[:2] == ["data_noise", "generator_lr"]
    for row, (i, j) in zip(rows, np.ndindex(6, 5), strict=True):
        cell = running.isel(data_noise=i, generator_lr=j)
        assert float(row["data_noise"]) == cell.data_noise.item()  # all digits
        assert row["outcome"] == cell.outcome.item()
        assert row["message"] == cell.message.item()
        assert int(row["status"]) == cell.status.item()
        np.testing.assert_array_equal(number(row["margin"]), cell.margin)
        for k in np.ndindex(2, 2):
            np.testing.assert_array_equal(number(row[f"P[{k[0]},{k[1]}]"]), cell.P.values[k])
        np.testing.assert_array_equal(number(row["recovery[1]"]), cell.recovery.values[1])


def test_a_table_has_a_row_per_replica(noisy, tmp_path):
    sweep, _ = noisy
    rows = rows_of(gs.export(sweep, tmp_path / "map.csv"))
    assert len(rows) == 6
    for row, (i, r) in zip(rows, np.ndindex(2, 3), strict=True):
        assert int(row["replica"]) == r
        assert row["outcome"] == sweep.outcome.values[i]
        assert float(row["q[0]"]) == sweep.q.values[i, r, 0]
        assert float(row["share"]) == sweep.share.values[i]


def test_a_large_table_is_written_in_blocks(tmp_path, monkeypatch, both):
    whole = gs.export(both, tmp_path / "a.csv").read_text()
    monkeypatch.setattr("ganscope.core.export._BLOCK", 1)
    assert gs.export(both, tmp_path / "b.csv").read_text() == whole


def test_a_table_of_a_run_and_of_complex_numbers(tmp_path):
    run = gs.simulate(gs.DiracGAN(), "flow", horizon=1)
    run = run.assign(z=("time", np.exp(1j * run.time.values)), alone=("other", [1.0, 2.0]), one=3)
    rows = rows_of(gs.export(run, tmp_path / "run.csv"))
    assert len(rows) == run.sizes["time"]
    assert float(rows[5]["z.imag"]) == np.sin(run.time.values[5])
    assert {row["one"] for row in rows} == {"3"}
    assert not any("alone" in name for name in rows[0])


def test_export_refuses_what_it_cannot_write(both, tmp_path):
    with pytest.raises(gs.ParameterError, match=r"\.nc"):
        gs.export(both, tmp_path / "map.xlsx")
    with pytest.raises(gs.ParameterError, match="data set"):
        gs.export({"a": 1}, tmp_path / "map.nc")
    with pytest.raises(gs.NotApplicable, match="columns"):
        gs.export(both.assign(wide=(("data_noise", "k"), np.zeros((6, 6000)))), tmp_path / "map.csv")
    (tmp_path / "file").write_text("")
    with pytest.raises(gs.StoreError, match="cannot write"):
        gs.export(both, tmp_path / "file" / "map.csv")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
