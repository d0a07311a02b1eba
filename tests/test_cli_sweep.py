"""`ganscope sweep`: from a file to a picture, what it refuses, and how an interrupted sweep goes on."""

import json
import os
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from command_line import ctrl_c, environment, only_json, refused, started
from typer.testing import CliRunner

import ganscope as gs
from ganscope.cli.experiment import read_sweep
from ganscope.cli.main import app
from ganscope.cli.progress import progress_bar
from ganscope.core.progress import report
from ganscope.sweep.execution import here
from ganscope.sweep.lock import locked

ROOT = Path(__file__).resolve().parent.parent
DIRAC = '[game]\nmodel = "dirac"\n[simulate]\nlevels = ["explicit", "nash"]\nstep_size = 0.1\nhorizon = 20\n'
SOLVABLE = '[game]\nmodel = "solvable"\nfeature_variance = [5, 3]\n[simulate]\nhorizon = 5\n'
KERNEL = '[game]\nmodel = "kernel"\nreal_points = [[-2.0], [2.0]]\ngenerated_points = [[-1.9], [2.1]]\n'
KERNEL += "[simulate]\niterations = 20\n"
VARIANTS = '[[variant]]\nname = "a"\ngame.loss = "saturating"\n[[variant]]\nname = "b"\nsimulate.level = "nash"\n'
GRID = "[sweep]\ngradient_penalty = { start = 0.0, stop = 2.0, num = 5 }\ngenerator_lr = [0.5, 1.0]\n"
BOTH = GRID + 'measure = "both"\n'
HERE = ("--workers", 0)


def swept(cli, text, *arguments):
    return only_json(cli("sweep", "x.toml", "--json", *HERE, *arguments, file=text))


# ----------------------------------------------------------------------------------------------------------------------
# What a file can ask for
# ----------------------------------------------------------------------------------------------------------------------


def test_a_file_becomes_the_same_sweep_as_a_call(cli):
    content = swept(cli, DIRAC + BOTH)
    over = {"gradient_penalty": np.linspace(0, 2, 5), "generator_lr": [0.5, 1.0]}
    called = gs.sweep(gs.DiracGAN(), over, "both", "explicit", horizon=20, step_size=0.1, workers=0)
    saved = gs.load("runs/x.zarr").load()
    book = ["ledger", "entry"]
    both = [data.drop_vars(book, errors="ignore").drop_attrs() for data in (saved, called)]
    xr.testing.assert_identical(*both)
    assert content["cells"] == {"total": 10, "done": 10, "failed": 0, "missing": 0}
    assert content["seed"] == 0
    assert (content["path"], content["picture"]) == ("runs/x.zarr", "runs/x.png")
    assert Path("runs/x.png").is_file()


def test_what_is_said_fits_on_the_screen(cli):
    result = cli("sweep", "x.toml", *HERE, file=DIRAC.replace('"dirac"', '"dirac"\ngradient_penalty = 0.7') + BOTH)
    assert result.exit_code == 0
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert "0.7" not in result.stdout  # what is varied has no one value
    for part in ("10 of 10 cells done", "theory and simulation agree", "drawn in runs/x.png"):
        assert part in result.stdout


@pytest.mark.parametrize(
    "head, grids, axes",
    [
        (DIRAC, 'level = ["explicit", "nash", "jko"]\n', {"level": ["explicit", "nash", "jko"]}),
        (DIRAC, 'step_size = [0.1, 0.2]\nloss = ["bilinear"]\n', {"step_size": [0.1, 0.2], "loss": ["bilinear"]}),
        (DIRAC, "initial = [[1, 0], [0, 1]]\n", {"initial": ["[1, 0]", "[0, 1]"]}),
        (DIRAC, 'gradient_penalty = "grid.npy"\n', {"gradient_penalty": [0.5, 1.0]}),
        (DIRAC, 'gradient_penalty = { values = "grid.csv" }\n', {"gradient_penalty": [0.5, 1.0]}),
        (DIRAC, "generator_lr = { start = 1, stop = 100, num = 3, log = true }\n", {"generator_lr": [1, 10, 100]}),
        (DIRAC, 'horizon = [10, 20]\nlevel = "nash"\n', {"horizon": [10, 20]}),
        (SOLVABLE, "feature_variance = { values = [[5, 3], [5, 1]] }\n", {"feature_variance": ["[5, 3]", "[5, 1]"]}),
        (SOLVABLE, 'level = "chain"\ndimension = [50, 100]\nreplicas = 2\n', {"dimension": [50, 100]}),
        (KERNEL, 'rule = ["simultaneous", "alternating"]\n', {"rule": ["simultaneous", "alternating"]}),
        (
            KERNEL,
            'kernel = [{ name = "RBF", bandwidth = 1.0 }, { name = "Laplace", bandwidth = 0.5 }]\n',
            {"kernel": ['{"bandwidth": 1.0, "name": "RBF"}', '{"bandwidth": 0.5, "name": "Laplace"}']},
        ),
    ],
)
def test_grids_of_all_kinds(cli, head, grids, axes):
    np.save("grid.npy", np.array([0.5, 1.0]))
    np.savetxt("grid.csv", [0.5, 1.0])
    content = swept(cli, f"{head}[sweep]\n{grids}")
    saved = gs.load("runs/x.zarr")
    assert list(content["axes"]) == list(axes)
    for name, values in axes.items():
        np.testing.assert_array_equal(saved[name].values, np.array(values, saved[name].dtype))
    assert content["cells"]["done"] == content["cells"]["total"]


def test_settings_come_from_the_section_then_from_simulate(tmp_path):
    path = tmp_path / "x.toml"
    path.write_text(DIRAC + "gradient_penalty = [1]\n".join(["[sweep]\n", "horizon = 9\n"]))
    assert read_sweep(path, None).arguments == {
        "measure": "simulate",
        "level": "explicit",
        "step_size": 0.1,
        "horizon": 9,
    }
    path.write_text(DIRAC + '[sweep]\nmeasure = "predict"\ngradient_penalty = [1]\ntime_limit = 3\n')
    asked = read_sweep(path, None)
    assert (asked.arguments, asked.time_limit) == ({"measure": "predict", "level": None, "step_size": 0.1}, 3)


def test_levels_on_an_axis_take_what_each_of_them_can_use(cli):
    text = SOLVABLE.replace("horizon", 'levels = ["ode", "chain"]\ndimension = 77\nhorizon')
    swept(cli, text + '[sweep]\nlevel = ["ode", "chain"]\ndata_noise = [1.0, 2.0]\n')
    saved = gs.load("runs/x.zarr").sel(level="chain", data_noise=2.0)
    run = gs.simulate(gs.SolvableGAN((5, 3), data_noise=2.0), "chain", dimension=77, horizon=5)
    np.testing.assert_array_equal(saved.P.values, run.P.values[-1])


def test_a_variant_is_chosen(cli):
    refused(cli("sweep", "x.toml", file=DIRAC + VARIANTS + GRID), "has variants: choose one with --variant, of a, b")
    refused(cli("sweep", "x.toml", "--variant", "c"), "of a, b, not 'c'")
    content = swept(cli, DIRAC + VARIANTS + GRID, "--variant", "b")
    assert (content["path"], content["level"]) == ("runs/x-b.zarr", "nash")
    refused(cli("sweep", "x.toml", "--variant", "a", file=DIRAC + GRID), "has no variants: --variant a")


def test_run_and_predict_ignore_the_section_and_say_so(cli):
    for command in ("run", "predict"):
        with pytest.warns(UserWarning, match=r"\[sweep\] is for the command sweep"):
            assert cli(command, "x.toml", file=DIRAC + GRID).exit_code in (0, 1)
    assert sorted(path.name for path in Path("runs").iterdir()) == ["x"]


def test_the_shipped_example_is_predicted_swept_and_drawn(cli):
    text = (ROOT / "examples/phase_diagram.toml").read_text()
    assert "ganscope sweep examples/phase_diagram.toml" in text
    content = swept(cli, text)
    assert content["cells"]["failed"] == content["cells"]["missing"] == 0
    assert {"converged", "oscillating", "collapsed", "uninformative"} <= set(content["outcomes"])
    assert content["agreement"]["share"] > 0.8


# ----------------------------------------------------------------------------------------------------------------------
# What is refused, before anything is computed
# ----------------------------------------------------------------------------------------------------------------------

ONE = "[sweep]\ngradient_penalty = [1, 2]\n"


@pytest.mark.parametrize(
    "section, parts",
    [
        ("", ["no section [sweep]"]),
        ("[sweep]\n", ["at least one grid"]),
        ("[sweep]\ngradient_penalty = []\n", ["[sweep] gradient_penalty", "a list that is not empty"]),
        ("[sweep]\ngradient_penalty = [1, 1.0]\n", ["number 1 and number 2 in the list are equal"]),
        ("[sweep]\ngradient_penalty = [nan, 1]\n", ["numbers without NaN"]),
        ("[sweep]\ngradient_penalty = [1, -1]\n", ["gradient_penalty = -1", ">= 0"]),
        ("[sweep]\ngradient_penalty = ['a']\n", ["gradient_penalty = 'a'"]),
        ("[sweep]\ngradient_penalty = 3\n", ["[sweep] gradient_penalty = 3: expected a list"]),
        ("[sweep]\ngradient_penalty = 'no.npy'\n", ["array file no.npy does not exist"]),
        ("[sweep]\ngradient_penalty = { start = 0, stop = 1 }\n", ["num is missing"]),
        ("[sweep]\ngradient_penalty = { start = 0, stop = 1, num = 0 }\n", ["num = 0", ">= 1"]),
        ("[sweep]\ngradient_penalty = { start = 0, stop = 1, num = 2.5 }\n", ["num = 2.5: expected an integer"]),
        ("[sweep]\ngradient_penalty = { start = 0, stop = 1, num = 3, log = true }\n", ["start = 0", "> 0"]),
        ("[sweep]\ngradient_penalty = { start = 0, stop = nan, num = 3 }\n", ["stop = nan"]),
        ("[sweep]\ngradient_penalty = { start = 0, stop = 1, num = 1000000000 }\n", ["at most a million values"]),
        ("[sweep]\ngradient_penalty = { value = [1] }\n", ["Did you mean 'values'?"]),
        ("[sweep]\ngradient_penalty = { values = [1], num = 1 }\n", ["num"]),
        ("[sweep]\ngradient_penalti = [1]\n", ["[sweep] key", "Did you mean 'gradient_penalty'?"]),
        (ONE + "measur = 'predict'\n", ["Did you mean 'measure'?"]),
        (ONE + "measure = 'predic'\n", ["Did you mean 'predict'?"]),
        (ONE + "level = 'nesh'\n", ["[sweep] level", "Did you mean 'nash'?"]),
        ("[sweep]\nlevel = ['explicit', 'nesh']\n", ["Did you mean 'nash'?"]),
        ("[sweep]\nlevel = ['nash', 'nash']\n", ["different values"]),
        ("[sweep]\nloss = ['bilinar']\n", ["Did you mean 'bilinear'?"]),
        ("[sweep]\nstep_size = [0.1, -0.1]\n", ["step_size = -0.1"]),
        (ONE + "replicas = 2\n", ["replicas = 2", "deterministic"]),
        (ONE + "seed = -1\n", ["seed = -1"]),
        (ONE + "time_limit = 'x'\n", ["time_limit = 'x'"]),
        ("[sweep]\nseed = [1, 2]\n", ["over = 'seed'"]),
        ("[sweep]\nhorizon = [1, 2]\nmeasure = 'predict'\n", ["horizon"]),
    ],
)
def test_a_section_that_makes_no_sense(cli, section, parts):
    refused(cli("sweep", "x.toml", file=DIRAC + section), *parts)
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    "options, parts",
    [
        (["--out", "x"], ["--out = 'x': expected a store, for example x.zarr"]),
        (["--workers", "-1"], ["workers = -1"]),
        (["--time-limit", "0"], ["time_limit = 0"]),
        (["--time-limit", "nan"], ["time_limit = nan"]),
        (["--time-limit", "5", "--workers", "0"], ["cannot be stopped"]),
        (["--retry"], ["--retry", "--resume with it"]),
        (["--any-version"], ["--any-version", "--resume with it"]),
        (["--force", "--resume"], ["not both"]),
        (["--scheduler", "local", "--workers", "0"], ["--workers = 0"]),
        (["--scheduler", "tcp://127.0.0.1:1", "--workers", "3"], ["--workers = 3", "who has its own"]),
        (["--variant", "a"], ["has no variants"]),
    ],
)
def test_options_that_make_no_sense(cli, options, parts):
    refused(cli("sweep", "x.toml", *options, file=DIRAC + GRID), *parts)
    assert not Path("runs").exists()


def test_a_billion_cells_want_to_be_confirmed(cli):
    grids = (
        "gradient_penalty = { start = 0, stop = 1, num = 32000 }\ngenerator_lr = { start = 1, stop = 2, num = 32000 }\n"
    )
    result = cli("sweep", "x.toml", *HERE, file=f"{DIRAC}[sweep]\n{grids}")
    refused(result, "32000 x 32000", "--yes", "GB", "1 worker")
    assert not Path("runs/x.zarr").exists()
    assert "--yes" in cli("sweep", "--help").stdout


# ----------------------------------------------------------------------------------------------------------------------
# Stores
# ----------------------------------------------------------------------------------------------------------------------


def test_an_existing_store_is_gone_on_with_or_replaced(cli):
    swept(cli, DIRAC + GRID)
    again = cli("sweep", "x.toml", *HERE)
    refused(again, "runs/x.zarr exists", "(ganscope sweep x.toml --out runs/x.zarr --resume --workers 0)", "--force")
    written = Path("runs/x.zarr/status/c/0/0").stat().st_mtime_ns
    assert swept(cli, DIRAC + GRID, "--resume")["cells"]["done"] == 10
    assert Path("runs/x.zarr/status/c/0/0").stat().st_mtime_ns == written
    assert swept(cli, DIRAC + GRID.replace("5 }", "9 }"), "--resume")["cells"]["done"] == 18
    refused(cli("sweep", "x.toml", "--resume", file=DIRAC + GRID), "cells that the new grid lacks")
    other = DIRAC.replace("horizon = 20", "horizon = 30") + GRID
    refused(cli("sweep", "x.toml", "--resume", file=other), "another experiment: its settings")
    assert swept(cli, other, "--force")["settings"]["horizon"] == 30


@pytest.mark.parametrize("option", ["--resume", "--force"])
def test_what_is_no_sweep_is_left_alone(cli, option):
    gs.save(gs.simulate(gs.DiracGAN(), "flow", horizon=1), "run.zarr")
    Path("file.zarr").write_text("mine")
    for name in ("run.zarr", "file.zarr"):
        refused(cli("sweep", "x.toml", "--out", name, option, file=DIRAC + GRID), f"{name} is not the store of a sweep")
    assert Path("file.zarr").read_text() == "mine"
    assert gs.load("run.zarr").attrs["level"] == "flow"


def test_damage_is_mended_and_said(cli):
    swept(cli, DIRAC + GRID)
    Path("runs/x.zarr/outcome/c/0/0").write_bytes(b"nonsense")
    with pytest.warns(UserWarning, match="1 of 1 tiles were damaged"):
        result = cli("sweep", "x.toml", "--resume", "--json", *HERE)
    assert only_json(result)["cells"]["done"] == 10


def test_results_of_another_version_are_kept_if_wanted(cli):
    swept(cli, DIRAC + GRID)
    (entry,) = Path("runs/x.zarr/ledger/c").glob("*/0")
    numbers = np.fromfile(entry, "<u8")
    numbers[2] = 0xABC
    numbers.tofile(entry)
    refused(
        cli("sweep", "x.toml", "--resume", *HERE), "another version of the code", "0000000000000abc", "--any-version"
    )
    content = swept(cli, DIRAC + GRID, "--resume", "--any-version")
    assert content["codes"] == ["0000000000000abc"]


def test_two_drivers_do_not_meet(cli):
    swept(cli, DIRAC + GRID)
    with locked(Path("runs/x.zarr").absolute()):
        for option in ("--resume", "--force"):
            refused(cli("sweep", "x.toml", option, *HERE), "is being written by")
    assert swept(cli, DIRAC + GRID, "--resume")["cells"]["done"] == 10


def test_failed_cells_are_told_and_tried_again_when_asked(cli, monkeypatch):
    work = here.work

    def sabotaged(job, task):
        done = work(job, task)
        if task.tile is not None:
            store = job.store()
            block = store.read(task.tile)
            block.status[3], block.message[3] = 2, "FloatingPointError: an accident"
            store.write(task.tile, block, job.parameters(task.tile), job.code, 1.0)
        return done

    monkeypatch.setattr(here, "work", sabotaged)
    result = cli("sweep", "x.toml", *HERE, file=DIRAC + GRID)
    assert "1 failed" in result.stdout
    assert "an accident" in result.stdout
    monkeypatch.setattr(here, "work", work)
    assert swept(cli, DIRAC + GRID, "--resume")["cells"]["failed"] == 1
    assert swept(cli, DIRAC + GRID, "--resume", "--retry")["cells"]["failed"] == 0


# ----------------------------------------------------------------------------------------------------------------------
# Interrupts, and what goes where
# ----------------------------------------------------------------------------------------------------------------------

SLOW = '[game]\nmodel = "solvable"\nfeature_variance = [5, 3]\n[simulate]\nlevel = "chain"\ndimension = 1000\n'
SLOW += "horizon = 100\nreplicas = 4\n[sweep]\n"
SLOW += "data_noise = { start = 0.5, stop = 6, num = 16 }\ngenerator_lr = [0.02, 0.04, 0.08, 0.1, 0.2, 0.3, 0.4, 0.5]\n"


@pytest.mark.parametrize(
    "options", [["--workers", "2", "--time-limit", "60"], ["--workers", "0"]], ids=["crew", "here"]
)
def test_ctrl_c_keeps_what_is_finished_and_says_how_to_go_on(tmp_path, options):
    (tmp_path / "x.toml").write_text(SLOW)
    err = ctrl_c(started(tmp_path, "sweep", "x.toml", *options, appears="runs/x.zarr/status/c/*/0"))
    (line,) = err.splitlines()
    kept, _, command = line.removeprefix("ganscope: interrupted; ").partition("; go on with: ")
    before, rest = kept.split(" ", 1)
    assert rest.startswith("of 128 cells are kept in ")
    assert rest.endswith("runs/x.zarr")
    program, *words = shlex.split(command)
    assert (program, words) == ("ganscope", ["sweep", "x.toml", "--out", "runs/x.zarr", "--resume", *options])
    saved = gs.load(tmp_path / "runs/x.zarr")
    assert int(before) <= int((saved.status == 1).sum()) < 128
    old = saved.ledger.values
    start = [sys.executable, "-c", "from ganscope.cli.main import main; main()"]
    done = subprocess.run([*start, *words, "--json"], cwd=tmp_path, env=environment(), text=True, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["cells"] == {"total": 128, "done": 128, "failed": 0, "missing": 0}
    finished = old[:, 0] == 1
    np.testing.assert_array_equal(gs.load(tmp_path / "runs/x.zarr").ledger.values[finished], old[finished])


def test_standard_output_is_for_the_result_whoever_prints(cli, monkeypatch, capfd):
    work = here.work

    def talkative(job, task):
        print("an engine speaks")
        os.write(1, b"and its library\n")
        return work(job, task)

    monkeypatch.setattr(here, "work", talkative)
    result = cli("sweep", "x.toml", "--json", *HERE, file=DIRAC + GRID)
    assert only_json(result)["cells"]["done"] == 10
    assert "an engine speaks" in result.stderr
    heard = capfd.readouterr()
    assert heard.out == ""
    assert "and its library" in heard.err


def test_the_progress_bar_has_two_lines_that_fit(monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("FORCE_COLOR", "1")
    with progress_bar(counted=True):
        for done in (0, 999_000):
            report("cells", done, 1_000_000, "undecided 282111, oscillating 168222, uninformative 135111, converged 17")
        time.sleep(0.3)
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", capsys.readouterr().err)
    lines = re.split(r"[\r\n]+", text)
    assert max(map(len, lines)) <= 80
    (bar,) = {line.split("━")[0].strip() for line in lines if "999000/" in line}
    assert bar == "cells  999000/1000000"
    assert any(line.startswith("undecided 282111, oscillating 168222") for line in lines)


def test_help_fits_and_names_what_matters():
    text = CliRunner().invoke(app, ["sweep", "--help"]).stdout
    assert max(map(len, text.splitlines())) <= 80
    for part in ("--resume", "--scheduler", "Ctrl-C", "ganscope show"):
        assert part in text
