"""The command line: every command with right and wrong input, its files, its JSON and its exit status."""

import json
import math
import os
import subprocess
import sys
import tomllib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr
from command_line import environment, interrupted, only_json, refused

import ganscope as gs
from ganscope.claims import ClaimResult
from ganscope.cli import claims, doctor, figure, predict, run
from ganscope.cli.experiment import read_experiments
from ganscope.cli.output import shown, table
from ganscope.cli.progress import progress_bar
from ganscope.core.progress import report

EXAMPLES = sorted((Path(__file__).resolve().parent.parent / "examples").glob("*.toml"))
EXAMPLES = [path for path in EXAMPLES if "[sweep]" not in path.read_text()]
# Two features, two columns, quadratic link, hard constraint: one compiled structure for all tests.
GAME = '[game]\nmodel = "solvable"\n'
SHORT = '[simulate]\nlevels = ["ode", "chain"]\ndimension = 50\nhorizon = 5\n'
# In high dimension nothing would be learned; in dimension 20 mere chance makes an overlap.
CONTRARY = GAME + 'data_noise = 6\n[simulate]\nlevel = "chain"\ndimension = 20\nhorizon = 400\nreplicas = 4\n'


def leftovers(folder):
    return [path for path in Path(folder).rglob("*") if path.name.endswith((".part", ".old"))]


# The command itself


def test_help_imports_nothing_heavy():
    code = """
import sys
from ganscope.cli.main import app
try:
    app(["--help"], prog_name="ganscope")
except SystemExit as end:
    assert end.code == 0
heavy = {"numpy", "scipy", "numba", "jax", "xarray", "zarr", "pydantic", "rich", "matplotlib"} & set(sys.modules)
assert not heavy, heavy
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment())
    assert done.returncode == 0, done.stderr
    for name in ("run", "predict", "fit", "show", "claims", "figure", "doctor"):
        assert f"\n  {name} " in done.stdout


def test_every_command_has_help_within_80_columns(cli):
    for name in ("run", "predict", "fit", "show", "claims", "figure", "doctor"):
        result = cli(name, "--help")
        assert result.exit_code == 0
        assert max(map(len, result.stdout.splitlines())) <= 80


def test_version(cli):
    result = cli("--version")
    assert (result.exit_code, result.stdout) == (0, f"ganscope {gs.__version__}\n")


@pytest.mark.parametrize(
    "arguments, hint",
    [
        (["rnu"], "Did you mean 'run'"),
        (["run"], "Missing argument"),
        (["run", "x.toml", "--frobnicate"], "No such option"),
        (["fit", "digits", "--features", "two"], "Invalid value for '--features'"),
        (["sweep"], "Missing argument"),
        (["swep", "x.toml"], "Did you mean 'sweep'"),
    ],
)
def test_a_command_line_that_is_not_understood(cli, arguments, hint):
    result = cli(*arguments)
    assert result.exit_code == 2
    assert hint in result.stderr


def test_debug_shows_the_traceback(cli):
    assert "Traceback" not in cli("run", "x.toml").stderr
    result = cli("--debug", "run", "x.toml")
    assert result.exit_code == 2
    assert "Traceback" in result.stderr


@pytest.mark.parametrize(
    "error, status, text",
    [
        (KeyboardInterrupt(), 130, "ganscope: interrupted\n"),
        (MemoryError("364 TiB"), 2, "ganscope: error: not enough memory: 364 TiB\n"),
        (OSError(28, "No space left on device"), 2, "ganscope: error: [Errno 28] No space left on device\n"),
        (gs.NotApplicable("no theory\nof this"), 2, "ganscope: error: no theory of this\n"),
    ],
)
def test_foreseeable_errors_are_one_line(cli, monkeypatch, error, status, text):
    def fail(*_):
        raise error

    monkeypatch.setattr(predict, "predict_file", fail)
    result = cli("predict", "x.toml")
    assert (result.exit_code, result.stderr) == (status, text)


# Experiment files

GRAM = "the Gram matrix of vectors"
BAD_PARAMETERS = [
    ("feature_variance = []", "feature_variance", "one positive number per feature"),
    ("feature_variance = [5, 0]", "feature_variance", "finite numbers > 0"),
    ("feature_variance = [5, nan]", "feature_variance", "finite numbers > 0"),
    ("feature_variance = [5, inf]", "feature_variance", "finite numbers > 0"),
    ("feature_variance = [[5, 3]]", "feature_variance", "one positive number per feature"),
    ('feature_variance = "strong"', "feature_variance", "finite numbers > 0"),
    ("latent_variance = [5, -3]", "latent_variance", "finite numbers > 0"),
    ("latent_variance = []", "latent_variance", "one positive number per feature"),
    ("data_noise = -1", "data_noise", "a finite number >= 0"),
    ("data_noise = nan", "data_noise", "a finite number >= 0"),
    ("data_noise = inf", "data_noise", "a finite number >= 0"),
    ('data_noise = "low"', "data_noise", "a finite number >= 0"),
    ("data_noise = true", "data_noise", "a finite number >= 0"),
    ("generator_noise = -0.5", "generator_noise", "a finite number >= 0"),
    ("discriminator_lr = 0", "discriminator_lr", "a finite number > 0"),
    ("discriminator_lr = inf", "discriminator_lr", "a finite number > 0"),
    ("generator_lr = 0", "generator_lr", "a finite number > 0"),
    ("generator_lr = -0.04", "generator_lr", "a finite number > 0"),
    ("regularization = 0", "regularization", "a number > 0 (infinity allowed)"),
    ("regularization = nan", "regularization", "a number > 0 (infinity allowed)"),
    ('link = "sigmoid"', "link", "one of logistic, quadratic, tanh"),
    ('link = ["f", "g"]', "link", "a pair of callables"),
    ("link_bias = inf", "link_bias", "a finite number"),
    ('latent = "gausian"', "latent", "one of gaussian, rademacher. Did you mean 'gaussian'?"),
    ("latent = [[1, 1], [2, 1.5], [0, 4]]\nfeature_variance = [0.6, 1.7]", "latent", "mean 0"),
    ('initial = "randm"', "initial", "one of random. Did you mean 'random'?"),
    ("initial = { P = [[0.9, 0.9], [0.9, 0.9]], q = [0.1, 0.1] }", "initial state", GRAM),
    ("initial = { P = [[0.1, 0], [0, 0.1]], q = [0.1, 0.1], z = 2 }", "initial", "z = 1"),
    ("initial = { P = [[0.1], [0]], q = [0.1, 0.1] }", "initial", "P of shape (2, 2)"),
    ("initial = { P = [[0.1, 0], [0, 0.1]] }", "initial", "a table with q"),
    ("initial = { P = [[0.1, 0], [0, 0.1]], Q = [0.1, 0.1] }", "initial", "one of P, S, q, r, z"),
]
BAD_SETTINGS = [
    ("dimension = 4", "dimension", "an integer >= 5"),
    ("dimension = 0", "dimension", "an integer >= 1"),
    ("dimension = 10.5", "dimension", "an integer >= 1"),
    ('dimension = "big"', "dimension", "an integer >= 1"),
    ("horizon = 0", "horizon", "a finite number > 0"),
    ("horizon = inf", "horizon", "a finite number > 0"),
    ('horizon = "long"', "horizon", "a finite number > 0"),
    ("horizon = 5\niterations = 10", "horizon", "not both"),
    ("iterations = 0", "iterations", "an integer >= 1"),
    ("replicas = 0", "replicas", "an integer >= 1"),
    ("seed = -1", "seed", "an integer in 0 .. 2^64 - 1"),
    ("seed = 0.5", "seed", "an integer in 0 .. 2^64 - 1"),
    ("horizon = 5\nsave_at = [1, 9]", "save_at", "at most 5"),
    ("save_at = [2, 1]", "save_at", "increasing"),
    ('rule = "nash"', "rule", "one of alternating, simultaneous"),
    ("step_size = 0.1", "step_size", "level chain cannot use it"),
    ("rtol = 1e-6", "rtol", "level chain cannot use it (ode would)"),
]


@pytest.mark.parametrize("line, name, expected", BAD_PARAMETERS, ids=[p[0] for p in BAD_PARAMETERS])
@pytest.mark.parametrize("command", ["run", "predict"])
def test_a_bad_parameter_is_named_with_its_range(cli, command, line, name, expected):
    refused(cli(command, "x.toml", file=f"{GAME}{line}\n"), f"x.toml: {name} = ", expected)
    assert not Path("runs").exists()


@pytest.mark.parametrize("line, name, expected", BAD_SETTINGS, ids=[p[0] for p in BAD_SETTINGS])
def test_a_bad_setting_is_refused_before_any_work(cli, line, name, expected):
    refused(cli("run", "x.toml", file=f'{GAME}[simulate]\nlevel = "chain"\n{line}\n'), f"x.toml: {name} = ", expected)
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    "text, parts",
    [
        ("[game]\nmodel = \n", ["not valid TOML", "line 2"]),
        ("", ["the section [game] is missing"]),
        ("[gaem]\n" + GAME, ["'gaem'", "Did you mean 'game'?"]),
        ("game = 3\n", ["game = 3: expected a table"]),
        ("[game]\ndata_noise = 2\n", ["model = one of clipped, dirac, feature, kernel"]),
        ('[game]\nmodel = "solvabel"\n', ["Did you mean 'solvable'?"]),
        (GAME + "data_nois = 2\n", ["[game] key = 'data_nois'", "Did you mean 'data_noise'?"]),
        (GAME + "follows = []\n", ["[game] key = 'follows'"]),
        (GAME + "[simulate]\nhorizn = 2\n", ["[simulate] key = 'horizn'", "Did you mean 'horizon'?"]),
        (GAME + '[simulate]\nlevels = "ode"\n', ["simulate.levels = 'ode': expected a list"]),
        (GAME + "[simulate]\nlevels = [1]\n", ["simulate.levels number 1 = 1: expected a text"]),
        (GAME + "[simulate]\nlevels = []\n", ["not empty"]),
        (GAME + '[simulate]\nlevels = ["ode", "ode"]\n', ["every level once"]),
        (GAME + '[simulate]\nlevel = "oed"\n', ["Did you mean 'ode'?"]),
        (GAME + '[simulate]\nlevel = "ode"\nlevels = ["ode"]\n', ["not both"]),
        (GAME + '[simulate]\nlevel = "ode"\ndimension = 9\n', ["dimension = 9", "chain, sgd, sde would"]),
        (GAME + '[simulate]\nlevel = "ode"\niterations = 9\n', ["iterations = 9: expected horizon"]),
        (GAME + "[variant]\nname = 'a'\n", ["[[variant]]"]),
        (GAME + "[[variant]]\ngame.data_noise = 1\n", ["variant number 1.name is missing"]),
        (GAME + "[[variant]]\nname = 'a'\ngaem.data_noise = 1\n", ["[[variant]] = 'gaem'", "Did you mean 'game'?"]),
        (GAME + "[[variant]]\nname = 'a'\ngame.data_noise = -1\n", ["variant 'a': data_noise = -1", ">= 0"]),
        (GAME + "[[variant]]\nname = 'a'\n[[variant]]\nname = 'a'\n", ["different names"]),
        (GAME + "[[variant]]\nname = '../a'\n", ["fit for a folder"]),
        (GAME + "[sweep]\nmeasure = 'simulat'\n", ["[sweep] measure", "Did you mean 'simulate'?"]),
        (GAME + "[sweep]\ndata_nois = [1]\n", ["[sweep] key", "Did you mean 'data_noise'?"]),
        (GAME + "[sweep]\ndata_noise = 3\n", ["[sweep] data_noise = 3: expected a list"]),
        (GAME + "[sweep]\ndata_noise = { start = 1, stop = 2, nun = 3 }\n", ["Did you mean 'num'?"]),
        (GAME + "[sweep]\ndata_noise = { start = 1, stop = 'x', num = 3 }\n", ["stop = 'x': expected a number"]),
        (GAME + "latent = 'rows.npy'\n", ["array file rows.npy does not exist"]),
    ],
)
def test_a_file_that_makes_no_sense(cli, text, parts):
    refused(cli("run", "x.toml", file=text), "x.toml: ", *parts)
    assert not Path("runs").exists()


def test_a_file_that_cannot_be_read(cli, tmp_path):
    refused(cli("run", "nowhere.toml"), "nowhere.toml: there is no such file")
    refused(cli("run", tmp_path), "cannot be read")
    Path("x.toml").write_bytes(b"\xff\xfe\x00")
    refused(cli("run", "x.toml"), "UTF-8")


def test_arrays_are_read_from_files_beside_the_experiment(tmp_path):
    rows = np.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]]) * np.sqrt([5.0, 3.0])
    np.save(tmp_path / "rows.npy", rows)
    np.savetxt(tmp_path / "start.csv", 0.2 * np.eye(2), delimiter=",")
    (tmp_path / "x.toml").write_text(GAME + 'latent = "rows.npy"\ninitial = { P = "start.csv", q = [0.1, 0.1] }\n')
    (experiment,) = read_experiments(tmp_path / "x.toml")
    np.testing.assert_array_equal(experiment.game.latent, rows)
    np.testing.assert_array_equal(experiment.game.initial.P, 0.2 * np.eye(2))


@pytest.mark.parametrize("name, content", [("a.csv", b"x,y\nz,1\n"), ("a.csv", b""), ("a.npy", b"text")])
def test_an_array_file_without_numbers(cli, name, content):
    Path(name).write_bytes(content)
    refused(cli("run", "x.toml", file=GAME + f'latent = "{name}"\n'), f"array file {name}")


def test_a_pickled_array_is_not_loaded(cli):
    np.save("a.npy", np.array([{"a": 1}], object), allow_pickle=True)
    refused(cli("run", "x.toml", file=GAME + 'latent = "a.npy"\n'), "array file a.npy")


def test_a_level_gets_only_the_settings_it_takes(tmp_path):
    simulate = (
        '[simulate]\nlevels = ["ode", "chain"]\ndimension = 50\nreplicas = 2\nseed = 7\nrtol = 1e-7\nhorizon = 9\n'
    )
    (tmp_path / "x.toml").write_text(GAME + "regularization = inf\n" + simulate)
    (experiment,) = read_experiments(tmp_path / "x.toml")
    assert experiment.levels == {
        "ode": {"seed": 7, "rtol": 1e-7, "horizon": 9},
        "chain": {"dimension": 50, "replicas": 2, "seed": 7, "horizon": 9},
    }
    assert math.isinf(experiment.game.regularization)


def test_a_sweep_section_does_nothing_and_is_said_to(tmp_path):
    sweep = '[sweep]\nmeasure = "simulate"\nlevel = "ode"\nhorizon = 400\n'
    grids = "data_noise = { start = 0.1, stop = 6.0, num = 64 }\ngenerator_lr = { values = [0.01, 0.02] }\n"
    (tmp_path / "x.toml").write_text(GAME + sweep + grids + "discriminator_lr = [0.1]\n")
    with pytest.warns(UserWarning, match=r"\[sweep\] is for the command sweep and does nothing"):
        (experiment,) = read_experiments(tmp_path / "x.toml")
    assert (experiment.game, list(experiment.levels)) == (gs.SolvableGAN(), ["ode"])


def test_variants_change_arguments_of_the_game_and_of_the_simulation(tmp_path):
    first = '[[variant]]\nname = "a"\ngame.data_noise = 1\n'
    second = '[[variant]]\nname = "b"\nsimulate.level = "chain"\nsimulate.horizon = 7\n'
    (tmp_path / "x.toml").write_text(GAME + SHORT + first + second)
    a, b = read_experiments(tmp_path / "x.toml")
    assert (a.game.data_noise, list(a.levels)) == (1.0, ["ode", "chain"])
    assert b.levels == {"chain": {"dimension": 50, "horizon": 7}}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: p.stem)
def test_an_example_says_what_to_notice_and_can_be_predicted(cli, path):
    assert "What to notice:" in path.read_text()
    assert f"ganscope run examples/{path.name}" in path.read_text()
    content = only_json(cli("predict", path, "--json"))
    for entry in content.get("variants", {"": content}).values():
        assert entry["prediction"]["outcome"] in set(gs.Outcome)


# run and predict


def test_run_saves_reports_and_draws(cli):
    result = cli("run", "x.toml", "--json", file=GAME + SHORT + "replicas = 2\n")
    assert result.exit_code == 0, result.output
    content = only_json(result)
    assert list(content) == ["game", "prediction", "runs", "comparison", "agree", "version"]
    assert content["game"]["regularization"] == "inf"
    assert content["prediction"]["thresholds"]["lower"] == pytest.approx([0.8, 0.8])
    assert content == json.loads(Path("runs/x/report.json").read_text())
    assert list(content["runs"]) == ["ode", "chain"]
    for level, entry in content["runs"].items():
        saved = gs.load(entry["path"])
        assert entry["path"] == f"runs/x/{level}.zarr"
        assert gs.from_json(saved.attrs["game"]) == gs.SolvableGAN()
        np.testing.assert_array_equal(entry["final"]["recovery"], saved.recovery.isel(time=-1))
        assert entry["outcome"] == "undecided"
        assert entry["margin"] is None
        assert entry["seconds"] > 0
    assert np.shape(content["runs"]["chain"]["final"]["P"]) == (2, 2, 2)
    distance = gs.compare(gs.load("runs/x/chain.zarr"), gs.load("runs/x/ode.zarr")).attrs["summary"]
    assert content["comparison"]["chain"] == {"reference": "ode", "distances": distance}
    assert Path("runs/x/overview.png").read_bytes().startswith(b"\x89PNG")
    assert not leftovers(".")


def test_a_run_is_the_one_that_simulate_gives(cli):
    cli("run", "x.toml", file=GAME + SHORT + "seed = 3\n")
    expected = gs.simulate(gs.SolvableGAN(), "chain", dimension=50, horizon=5, seed=3)
    xr.testing.assert_equal(gs.load("runs/x/chain.zarr").load(), expected)


def test_the_text_reads_well_at_80_columns(cli):
    result = cli("run", "x.toml", file=GAME + SHORT + "replicas = 2\n")
    lines = result.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    starts = [line.split()[0] for line in lines if line.strip()]
    assert [s for s in starts if s in ("prediction", "ode", "chain")][:3] == ["prediction", "ode", "chain"]
    assert any(line.split()[:4] == ["1", "5", "0.8", "8"] for line in lines)
    assert "saved in runs/x: ode.zarr, chain.zarr, report.json, overview.png" in lines


def test_runs_that_are_there_are_reused_and_others_are_not_touched(cli):
    file = GAME + SHORT
    first = only_json(cli("run", "x.toml", "--json", file=file))
    again = only_json(cli("run", "x.toml", "--json"))
    assert [entry["reused"] for entry in again["runs"].values()] == [True, True]
    for content in (first, again):
        for entry in content["runs"].values():
            del entry["reused"]
    assert first == again
    assert "reused" in cli("run", "x.toml").stdout

    refused(cli("run", "x.toml", file=file.replace("horizon = 5", "horizon = 6")), "different horizon", "--force")
    refused(cli("run", "x.toml", file=file + "seed = 1\n"), "different seed", "--force")
    refused(cli("run", "x.toml", file=file.replace("[sim", "data_noise = 3\n[sim")), "different data_noise", "--out")
    refused(cli("run", "x.toml", file=GAME + "[[variant]]\nname = 'a'\n" + SHORT), "runs/x/report.json", "--force")
    assert json.loads(Path("runs/x/report.json").read_text())["runs"]["ode"]["final"] == first["runs"]["ode"]["final"]

    result = cli("run", "x.toml", "--force", file=file.replace("horizon = 5", "horizon = 6"))
    assert result.exit_code == 0
    assert "reused" not in result.stdout
    assert gs.load("runs/x/chain.zarr").time[-1] == 6
    assert not leftovers(".")


def test_a_level_can_be_added_later(cli):
    cli("run", "x.toml", file=GAME + SHORT.replace(', "chain"', "").replace("dimension = 50\n", ""))
    content = only_json(cli("run", "x.toml", "--json", file=GAME + SHORT))
    assert [entry["reused"] for entry in content["runs"].values()] == [True, False]


def test_a_run_of_another_version_is_refused(cli, monkeypatch):
    cli("run", "x.toml", file=GAME + SHORT)
    monkeypatch.setattr("ganscope.cli.folder.package_version", lambda: "99.0")
    refused(cli("run", "x.toml"), f"made by version {gs.__version__}, this is 99.0")


@pytest.mark.parametrize("name", ["ode.zarr", "report.json", "overview.png"])
def test_a_foreign_file_is_not_overwritten(cli, name):
    Path("out").mkdir()
    Path("out", name).write_text("mine")
    refused(cli("run", "x.toml", "--out", "out", file=GAME + SHORT), f"out/{name}", "--force")
    assert Path("out", name).read_text() == "mine"
    assert [path.name for path in Path("out").iterdir()] == [name]
    assert cli("run", "x.toml", "--out", "out", "--force").exit_code == 0


def test_a_folder_that_cannot_be_written(cli):
    Path("file").write_text("")
    for out in ("file", "file/deeper"):
        refused(cli("run", "x.toml", "--out", out, file=GAME + SHORT), f"cannot write to {out}")


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="this user may write anywhere")
def test_a_folder_without_permission(cli):
    Path("locked").mkdir(mode=0o500)
    refused(cli("run", "x.toml", "--out", "locked", file=GAME + SHORT), "cannot write to locked", "ermission")


def test_a_full_disk_leaves_nothing_half_written(cli, monkeypatch):
    write = xr.Dataset.to_zarr

    def fill_up(self, path, **options):
        if "chain" in str(path):
            Path(path).mkdir()
            (Path(path) / "half").write_text("")
            raise OSError(28, "No space left on device")
        return write(self, path, **options)

    monkeypatch.setattr(xr.Dataset, "to_zarr", fill_up)
    refused(cli("run", "x.toml", file=GAME + SHORT), "cannot write runs/x/chain.zarr: No space left on device")
    assert [path.name for path in Path("runs/x").iterdir()] == ["ode.zarr"]


def test_variants_run_into_folders_of_their_own(cli):
    variants = '[[variant]]\nname = "low"\ngame.data_noise = 1\n[[variant]]\nname = "high"\ngame.data_noise = 6\n'
    result = cli("run", "x.toml", "--json", file=GAME + SHORT + variants)
    content = only_json(result)
    assert list(content) == ["variants", "version"]
    assert list(content["variants"]) == ["low", "high"]
    assert content["variants"]["high"]["game"]["data_noise"] == 6
    assert content["variants"]["low"]["prediction"]["outcome"] == "oscillating"
    assert json.loads(Path("runs/x/report.json").read_text()) == content
    for name, part in content["variants"].items():
        assert part | {"version": content["version"]} == json.loads(Path(f"runs/x/{name}/report.json").read_text())
        assert part["runs"]["ode"]["path"] == f"runs/x/{name}/ode.zarr"
    text = cli("run", "x.toml").stdout
    assert "low\n===\n" in text
    assert "high\n====\n" in text


def test_the_status_is_1_when_outcomes_differ(cli):
    result = cli("run", "x.toml", "--json", file=CONTRARY)
    content = only_json(result)
    assert (content["prediction"]["outcome"], content["runs"]["chain"]["outcome"]) == ("uninformative", "collapsed")
    assert (content["agree"], result.exit_code) == (False, 1)
    text = cli("run", "x.toml")
    assert text.exit_code == 1
    assert "THE OUTCOMES DIFFER" in text.stdout


def test_undecided_and_near_critical_outcomes_contradict_nobody():
    def said(outcome, near=False):
        return gs.Verdict(gs.Outcome(outcome), "", 1.0, (), near)

    assert run.agree(said("converged"), said("converged"), said("undecided"))
    assert run.agree(said("converged"), said("oscillating", near=True))
    assert not run.agree(said("converged"), said("undecided"), said("oscillating"))


def test_a_run_that_diverges_is_a_result(cli):
    file = GAME + "regularization = 0.5\n" + '[simulate]\nlevel = "ode"\nhorizon = 400\n'
    content = only_json(cli("run", "x.toml", "--json", file=file))
    assert (content["prediction"]["outcome"], content["runs"]["ode"]["outcome"]) == ("diverged", "diverged")
    assert content["runs"]["ode"]["final"]["z"] is None


def test_predict_says_what_theory_says(cli):
    content = only_json(cli("predict", "x.toml", "--json", file=GAME + SHORT))
    assert list(content) == ["game", "prediction", "version"]
    expected = gs.predict(gs.SolvableGAN(), level="ode")
    assert content["prediction"]["outcome"] == expected.outcome
    assert content["prediction"]["level"] == "ode"
    text = cli("predict", "x.toml").stdout
    assert f"prediction: {expected.outcome} ({expected.detail})" in text
    assert max(map(len, text.splitlines())) <= 80
    assert not Path("runs").exists()


def test_ctrl_c_keeps_what_is_finished_and_the_same_command_goes_on(tmp_path):
    # The chain takes some seconds; the interrupt comes when the first level has been saved.
    simulate = '[simulate]\nlevels = ["ode", "chain"]\ndimension = 10_000\nhorizon = 400\nreplicas = 2\n'
    (tmp_path / "x.toml").write_text(GAME + simulate)
    err = interrupted(tmp_path, "runs/x/ode.zarr")
    assert err == "ganscope: interrupted; finished levels are kept in runs/x; the same command goes on from there\n"
    assert [path.name for path in (tmp_path / "runs/x").iterdir()] == ["ode.zarr"]
    assert gs.classify(gs.load(tmp_path / "runs/x/ode.zarr")).outcome == "converged"

    command = [sys.executable, "-m", "ganscope", "run", "x.toml", "--json"]
    second = subprocess.run(command, cwd=tmp_path, env=environment(), text=True, capture_output=True)
    assert second.returncode == 0, second.stderr
    runs = json.loads(second.stdout)["runs"]
    assert {level: entry["reused"] for level, entry in runs.items()} == {"ode": True, "chain": False}
    assert [entry["outcome"] for entry in runs.values()] == ["converged", "converged"]


def test_progress_goes_to_a_terminal_on_standard_error_and_nowhere_else(monkeypatch, capsys):
    with progress_bar("demo"):
        report("chain", 1, 2)
    assert capsys.readouterr() == ("", "")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    with progress_bar("demo"):
        report("chain", 1, 2)
    out, err = capsys.readouterr()
    assert out == ""
    assert "demo chain" in err


# show


def test_show_summarises_and_draws_again(cli):
    cli("run", "x.toml", file=GAME + SHORT + "replicas = 2\n")
    picture = Path("runs/x/overview.png")
    picture.unlink()
    text = cli("show", "runs/x").stdout
    assert picture.exists()
    assert max(map(len, text.splitlines())) <= 80
    assert "dimension 50" in text
    assert "undecided" in text
    assert cli("show", "runs/x/ode.zarr").exit_code == 0
    assert Path("runs/x/ode.png").exists()
    assert cli("show", "runs/x/ode.zarr", "--out", "here.png").exit_code == 0
    assert Path("here.png").exists()


def test_show_walks_through_variants(cli):
    variants = '[[variant]]\nname = "a"\n[[variant]]\nname = "b"\ngame.data_noise = 1\n'
    file = GAME + variants.replace("[[variant]]", SHORT + "[[variant]]", 1)
    assert cli("run", "x.toml", "--out", "out", file=file).exit_code == 0
    text = cli("show", "out").stdout
    assert "a\n=\n" in text
    assert "b\n=\n" in text
    refused(cli("show", "out", "--out", "one.png"), "several variants")


def test_show_refuses_what_is_no_run(cli):
    refused(cli("show", "nowhere"), "does not exist")
    Path("empty").mkdir()
    refused(cli("show", "empty"), "holds no saved runs")
    Path("odd.zarr").mkdir()
    refused(cli("show", "odd.zarr"), "odd.zarr")
    cli("run", "x.toml", file=GAME + SHORT)
    refused(cli("show", "runs/x", "--out", "x.toml/a.png"), "cannot write x.toml/a.png")


# fit


def samples(rows=400, seed=0):
    random = np.random.default_rng(seed)
    return random.standard_normal((rows, 2)) * [5, 4] @ np.eye(2, 6) + random.standard_normal((rows, 6))


def test_fit_of_the_digits_gives_the_window_of_noise(cli):
    pytest.importorskip("sklearn")
    content = only_json(cli("fit", "digits", "--json"))
    assert list(content) == ["game", "fit", "prediction", "window", "window_with_floor", "version"]
    np.testing.assert_allclose(content["fit"]["eigenvalues"][:6], [5, 4.573, 3.960, 2.824, 1.942, 1.651], atol=5e-4)
    assert content["fit"]["kept"] == 2
    assert content["window"]["low"] == pytest.approx(1.58, abs=5e-3)
    assert content["window"]["high"] == pytest.approx(4.78, abs=5e-3)
    text = cli("fit", "digits").stdout
    assert max(map(len, text.splitlines())) <= 80
    assert "between 1.581 and 4.782" in text


def test_digits_without_scikit_learn(cli, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    refused(cli("fit", "digits"), "ganscope[examples]")


@pytest.mark.parametrize("suffix", ["npy", "csv"])
def test_fit_reads_files_and_takes_options(cli, suffix):
    data = samples()
    np.save("data.npy", data) if suffix == "npy" else np.savetxt("data.csv", data, delimiter=",")
    arguments = ("--features", 2, "--noise", 0.5, "--scale", 0.5, "--generator-lr", 0.02)
    content = only_json(cli("fit", f"data.{suffix}", "--json", *arguments))
    game = gs.fit(gs.SolvableGAN, data, 2, scale=0.5, added_noise=0.5, generator_lr=0.02)
    assert gs.from_json(json.dumps(content["game"])) == game
    assert content["prediction"]["outcome"] == gs.predict(game).outcome


def test_fit_writes_an_experiment_that_runs(cli):
    np.save("data.npy", samples())
    result = cli("fit", "data.npy", "--features", 2, "--out", "fitted.toml")
    assert result.exit_code == 0, result.output
    (experiment,) = read_experiments(Path("fitted.toml"))
    assert experiment.game == gs.fit(gs.SolvableGAN, samples(), 2)
    assert tomllib.loads(Path("fitted.toml").read_text())["game"]["regularization"] == math.inf
    refused(cli("fit", "data.npy", "--out", "fitted.toml"), "fitted.toml exists")
    refused(cli("fit", "data.npy", "--out", "fitted.json"), "ends in .toml")
    refused(cli("fit", "data.npy", "--out", "data.npy/a.toml"), "cannot write data.npy/a.toml")


def holed():
    data = samples()
    data[3, 1] = np.nan
    return data


@pytest.mark.parametrize(
    "write, part",
    [
        (lambda: np.save("d.npy", holed()), "row 4, column 2"),
        (lambda: np.save("d.npy", samples()[:1]), "at least 2 rows"),
        (lambda: np.save("d.npy", samples()[0]), "two dimensions"),
        (lambda: np.save("d.npy", np.ones((10, 3))), "constant column"),
        (lambda: np.save("d.npy", np.array(["a", "b"])), "numbers"),
        (lambda: Path("d.npy").write_bytes(b""), ".npy"),
        (lambda: Path("d.npy").write_text("text"), ".npy"),
        (lambda: None, "an existing"),
    ],
)
def test_fit_refuses_data_it_cannot_use(cli, write, part):
    write()
    refused(cli("fit", "d.npy"), "data = ", part)


@pytest.mark.parametrize(
    "arguments, part",
    [
        (["--features", "0"], "features = 0: expected an integer >= 1"),
        (["--features", "7"], "features = 7: expected at most 6"),
        (["--noise", "-1"], "added_noise = -1.0: expected a finite number >= 0"),
        (["--noise", "nan"], "added_noise = nan"),
        (["--scale", "0"], "scale = 0.0: expected a finite number > 0"),
        (["--generator-lr", "0"], "generator_lr = 0.0: expected a finite number > 0"),
    ],
)
def test_fit_refuses_bad_options(cli, arguments, part):
    np.save("d.npy", samples())
    refused(cli("fit", "d.npy", *arguments), part)


# claims and figures


def test_claims_pass_and_are_told(cli):
    result = cli("claims", "solvable:S13", "--json")
    content = only_json(result)
    assert (result.exit_code, content["passed"], content["failed"]) == (0, 1, 0)
    assert content["claims"][0]["id"] == "solvable:S13"
    text = cli("claims", "solvable:S13")
    assert text.exit_code == 0
    assert text.stdout.startswith("pass  solvable:S13")
    assert text.stdout.rstrip().split("\n")[-1].startswith("1 of 1 claims hold")
    assert max(map(len, text.stdout.splitlines())) <= 80


def test_a_claim_that_fails_or_cannot_be_checked(cli, monkeypatch):
    def unavailable():
        raise gs.NotApplicable("needs scikit-learn")

    failed = ClaimResult("solvable:S98", "Two is three", {"two": 3.0}, {"two": 2.0}, 1e-9, False, 0.1)
    chosen = [SimpleNamespace(id=failed.id, run=lambda: failed), SimpleNamespace(id="solvable:S99", run=unavailable)]
    monkeypatch.setattr(claims, "select", lambda names, fast: chosen)
    content = only_json(result := cli("claims", "--json"))
    assert (result.exit_code, content["failed"]) == (1, 1)
    assert content["skipped"] == {"solvable:S99": "needs scikit-learn"}
    text = cli("claims")
    assert text.exit_code == 1
    for part in ("FAIL  solvable:S98", "two: expected 3; measured 2", "skip  solvable:S99", "FAILED: solvable:S98"):
        assert part in text.stdout


def test_unknown_claims_and_figures(cli):
    refused(cli("claims", "solvable:S999"), "solvable:S999")
    refused(cli("figure", "solvable:F99"), "figure = 'solvable:F99'", "solvable:F1")


def test_figures_are_listed_and_rebuilt(cli, monkeypatch):
    listed = cli("figure", "--list")
    assert listed.exit_code == 0
    assert listed.stdout.startswith("solvable:F1 ")

    def rebuild(name, out):
        path = out / f"{name.replace(':', '-')}.png"
        path.write_bytes(b"")
        return path

    monkeypatch.setattr(figure, "rebuild", rebuild)
    assert cli("figure", "solvable:F1", "--out", "a").stdout.split() == ["solvable:F1", "a/solvable-F1.png"]
    ours = [line for line in listed.stdout.splitlines() if line.startswith("solvable:")]
    assert len(cli("figure", "solvable").stdout.splitlines()) == len(ours)
    assert Path("figures/solvable-F1.png").exists()
    refused(cli("figure", "--out", "a/solvable-F1.png"), "cannot write to a/solvable-F1.png")


# doctor


def test_doctor_finds_this_machine_well(cli):
    result = cli("doctor", "--json")
    content = only_json(result)
    assert (result.exit_code, content["ok"], content["known_bad"]) == (0, True, [])
    assert set(content["canaries"].values()) == {"ok"}
    assert content["packages"]["numpy"] == np.__version__
    assert content["cores"] >= 1
    text = cli("doctor").stdout
    assert "all is well" in text


def test_doctor_fails_with_a_canary(cli, monkeypatch):
    monkeypatch.setattr(doctor, "philox4x32", lambda *counter: (1, 2, 3, 4))
    result = cli("doctor")
    assert result.exit_code == 1
    assert "FAILED: 00000001" in result.stdout
    assert "SOMETHING IS WRONG" in result.stdout


def test_doctor_knows_bad_versions(cli, monkeypatch):
    known = doctor.version_of
    monkeypatch.setattr(doctor, "version_of", lambda name: "0.11.0" if name == "jax" else known(name))
    result = cli("doctor")
    assert result.exit_code == 1
    assert "jax 0.11.0 computes wrong numbers" in result.stdout


# Text


def test_values_and_tables_are_shown_short():
    assert shown([1.0, math.nan, math.inf, None, True]) == "1, -, inf, -, yes"
    assert shown({"P": np.array([[0.123456, 1.0]])}) == "P [[0.1235, 1]]"
    assert table(["a", "number"], [["one", "1"], ["two", "22"]]) == "a    number\none       1\ntwo      22"
