"""The command line on dual flows: experiment files of the five games, with right and wrong input."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from command_line import environment, interrupted, only_json, refused

import ganscope as gs
from ganscope.cli.experiment import read_experiments
from ganscope.games.dualflow.feature.laws import Mixture

ROOT = Path(__file__).resolve().parent.parent
QUADRATIC = '[game]\nmodel = "quadratic"\nA1 = 0.3\nB1 = 2\nA2 = 0.5\nB2 = -2\n'
DIRAC = '[game]\nmodel = "dirac"\n'
POINTS = 'model = "feature"\ngenerated_points = [0.4, 0.5, 0.9]\n'
FEATURE = f"[game]\n{POINTS}real_points = [-1, 0, 1]\n"
GAMES = {
    "quadratic": QUADRATIC,
    "dirac": DIRAC,
    "clipped": '[game]\nmodel = "clipped"\ninitial = [0.9, [-0.3, 0, 0.3]]\n',
    "lq": '[game]\nmodel = "lq"\ntarget_mean = [0, 0]\ntarget_covariance = [[1, 0.5], [0.5, 2]]\nmean = [1, 0]\n'
    "factor = [[1], [0.3]]\n",
    "feature": FEATURE,
}


def narrow(text):
    assert max(map(len, text.splitlines())) <= 80


def words(text):
    return " ".join(text.split())


@pytest.mark.parametrize("model", GAMES)
def test_every_game_runs_from_a_file(cli, model):
    file = GAMES[model] + '[simulate]\nlevels = ["flow", "jko_sequential"]\nstep_size = 0.05\nhorizon = 8\n'
    content = only_json(cli("run", "x.toml", "--json", file=file))
    (experiment,) = read_experiments(Path("x.toml"))
    assert gs.from_json(json.dumps(content["game"])) == experiment.game
    assert content["prediction"]["level"] == "flow"
    own = content["runs"]["jko_sequential"]["prediction"]
    assert (own["level"], own["step_size"]) == ("jko_sequential", 0.05)
    for level, entry in content["runs"].items():
        step_size = {} if level == "flow" else {"step_size": 0.05}
        run = gs.simulate(experiment.game, level, horizon=8, **step_size)
        assert entry["outcome"] == gs.classify(run).outcome
        np.testing.assert_array_equal(
            entry["final"]["discriminator" if "discriminator" in run else "linear"],
            run["discriminator" if "discriminator" in run else "linear"][-1],
        )
    assert content["comparison"]["jko_sequential"]["reference"] == "flow"
    text = cli("run", "x.toml").stdout
    narrow(text)
    assert "reused" in text
    for command in (("predict", "x.toml"), ("show", "runs/x")):
        result = cli(*command)
        assert result.exit_code == 0, result.output
        narrow(result.stdout)
    predicted = only_json(cli("predict", "x.toml", "--json"))["prediction"]
    assert predicted == json.loads(json.dumps(gs.predict(experiment.game, level="flow").to_dict()))


def test_every_scheme_is_compared_with_its_own_prediction(cli):
    # 0.2 lies between the largest stable explicit step, 0.193, and that of jko, 0.208.
    file = QUADRATIC + '[simulate]\nlevels = ["flow", "explicit", "jko"]\nstep_size = 0.2\nhorizon = 400\n'
    result = cli("run", "x.toml", file=file)
    assert result.exit_code == 0, result.output
    rows = {line.split()[0]: line.split()[1:3] for line in result.stdout.splitlines() if line.strip()}
    assert rows["flow"] == rows["jko"] == ["converged", "converged"]
    assert rows["explicit"] == ["diverged", "diverged"]
    assert "largest stable step_size: explicit 0.1928" in words(result.stdout)
    assert "the outcomes agree" in result.stdout


def test_runs_that_end_otherwise_than_predicted_give_status_1(cli, monkeypatch):
    monkeypatch.setattr("ganscope.cli.run.predict", lambda game, level, **_: gs.predict(game, level, step_size=0.5))
    # It runs with 0.2 and is predicted for 0.5, where jko diverges.
    file = QUADRATIC + '[simulate]\nlevel = "jko"\nstep_size = 0.2\nhorizon = 400\n'
    result = cli("run", "x.toml", file=file)
    assert result.exit_code == 1
    assert "THE OUTCOMES DIFFER" in result.stdout
    assert only_json(cli("run", "x.toml", "--json"))["agree"] is False


def test_undecided_predictions_agree_with_everything(cli):
    result = cli("run", "x.toml", file=FEATURE + '[simulate]\nlevel = "flow"\nhorizon = 30\n')
    assert result.exit_code == 0
    assert "prediction: undecided (unknown)" in result.stdout


def test_predict_speaks_about_the_first_level_and_its_step(cli):
    file = DIRAC + '[simulate]\nlevels = ["nash", "flow"]\nstep_size = 0.5\n'
    content = only_json(cli("predict", "x.toml", "--json", file=file))["prediction"]
    assert (content["outcome"], content["level"], content["step_size"]) == ("converged", "nash", 0.5)
    assert content["thresholds"]["largest_step_nash"] is None  # infinity is not JSON
    text = words(cli("predict", "x.toml").stdout)
    assert "nash inf" in text
    assert "rates of level nash: spectral_radius 0.8944" in text
    assert "theory of" not in text
    # A flow after a scheme has a prediction of its own, too.
    content = only_json(cli("run", "x.toml", "--json"))
    assert content["runs"]["flow"]["prediction"]["outcome"] == content["runs"]["flow"]["outcome"] == "oscillating"
    assert "prediction" not in content["runs"]["nash"]


def test_options_go_to_the_levels_that_know_them(cli):
    file = DIRAC + (
        '[simulate]\nlevels = ["flow", "explicit", "explicit_sequential", "nash"]\nstep_size = 0.1\nhorizon = 4\n'
        'order = "discriminator_first"\ndiscriminator_steps = 3\n'
    )
    cli("run", "x.toml", file=file)
    (experiment,) = read_experiments(Path("x.toml"))
    assert {level: sorted(settings) for level, settings in experiment.levels.items()} == {
        "flow": ["horizon"],
        "explicit": ["discriminator_steps", "horizon", "step_size"],
        "explicit_sequential": ["discriminator_steps", "horizon", "order", "step_size"],
        "nash": ["horizon", "step_size"],
    }
    run = gs.load("runs/x/explicit_sequential.zarr").load()
    options = dict(order="discriminator_first", discriminator_steps=3)
    assert run.equals(gs.simulate(experiment.game, "explicit_sequential", step_size=0.1, horizon=4, **options))


def test_minibatches_and_replicas_vote(cli):
    file = FEATURE + '[simulate]\nlevels = ["flow", "explicit"]\nbatch = 2\nreplicas = 3\nseed = 1\nhorizon = 4\n'
    content = only_json(cli("run", "x.toml", "--json", file=file))
    run = gs.load("runs/x/explicit.zarr")
    assert run.sizes["replica"] == 3
    assert content["runs"]["explicit"]["outcome"] == gs.classify(run).outcome
    assert "of 3 replicas are" in content["runs"]["explicit"]["reasons"][0]
    assert len(content["runs"]["explicit"]["final"]["w2"]) == 3


def test_a_step_without_solution_is_told_and_what_is_finished_is_kept(cli):
    file = DIRAC + 'loss = "saturating"\ninitial = [1, 4]\n[simulate]\nlevels = ["flow", "jko"]\nstep_size = 0.5\n'
    refused(cli("run", "x.toml", file=file), "level jko: ", "step_size = 0.5 met psi = 4; reduce step_size")
    assert Path("runs/x/flow.zarr").exists()
    assert not Path("runs/x/jko.zarr").exists()


def test_a_run_that_leaves_the_numbers_is_a_result(cli):
    file = QUADRATIC + '[simulate]\nlevel = "explicit"\nstep_size = 3\nhorizon = 3000\n'
    content = only_json(cli("run", "x.toml", "--json", file=file))
    assert (content["prediction"]["outcome"], content["runs"]["explicit"]["outcome"]) == ("diverged", "diverged")
    assert content["runs"]["explicit"]["final"]["generator"] == [None]


# Arrays and laws


@pytest.mark.parametrize("suffix", ["npy", "csv"])
def test_points_and_frequencies_from_files(tmp_path, suffix):
    rng = np.random.default_rng(0)
    arrays = {"real": rng.normal(size=(6, 2)), "start": rng.normal(size=(4, 2)), "waves": rng.normal(size=(5, 2))}
    for name, array in arrays.items():
        place = tmp_path / f"{name}.{suffix}"
        np.save(place, array) if suffix == "npy" else np.savetxt(place, array, delimiter=",")
    (tmp_path / "x.toml").write_text(
        f'[game]\nmodel = "feature"\nreal_points = "real.{suffix}"\ngenerated_points = "start.{suffix}"\n'
        f'features = "waves.{suffix}"\n'
    )
    game = read_experiments(tmp_path / "x.toml")[0].game
    np.testing.assert_allclose(game.real_points, arrays["real"], rtol=1e-15)
    np.testing.assert_allclose(game.features, arrays["waves"], rtol=1e-15)
    assert game.map.size == 10


def test_matrices_from_files(tmp_path):
    matrix = np.array([[1.0, 0.5], [-0.3, 2.0]])
    np.save(tmp_path / "b.npy", matrix)
    (tmp_path / "x.toml").write_text(
        '[game]\nmodel = "quadratic"\nA1 = [[1, 0], [0, 1]]\nB1 = "b.npy"\nA2 = [[1, 0], [0, 1]]\n'
        "B2 = [[-1, 0.3], [-0.5, -2]]\ninitial = [[1, 2], [3, 4]]\n"
    )
    game = read_experiments(tmp_path / "x.toml")[0].game
    np.testing.assert_array_equal(game.B1, matrix)
    np.testing.assert_array_equal(game.initial, [1, 2, 3, 4])


def test_laws_are_told_by_their_names(cli):
    from scipy.stats import norm

    law = 'real_points = { distribution = "norm", arguments = [0, 1] }\n'
    two = '{ distribution = "norm", arguments = [-2, 0.25] }, { distribution = "expon", keywords = { scale = 2 } }'
    file = (
        f"[game]\n{POINTS}{law}"
        + '[[variant]]\nname = "one"\n[[variant]]\nname = "two"\n'
        + f"game.real_points = {{ mixture = [{two}], weights = [1, 3] }}\n"
    )
    text = words(cli("predict", "x.toml", file=file).stdout)
    assert "real_points norm(0, 1)" in text
    assert "real_points mixture of norm(-2, 0.25), expon(scale 2) with weights 0.25, 0.75" in text
    one, two = (experiment.game for experiment in read_experiments(Path("x.toml")))
    np.testing.assert_allclose(one.real[:, 0], norm.ppf([1 / 6, 1 / 2, 5 / 6]), rtol=1e-12, atol=1e-12)
    assert isinstance(two.real_points, Mixture)
    content = only_json(cli("predict", "x.toml", "--json"))["variants"]["two"]
    assert gs.from_json(json.dumps(content["game"])) == two


def test_parameters_at_their_defaults_are_not_listed(cli):
    text = words(cli("predict", "x.toml", file=FEATURE + "discriminator_lr = 5\n").stdout)
    assert "discriminator_lr 5" in text
    assert "keep_tolerance" not in text
    assert "ridge" not in text


@pytest.mark.parametrize("name", ["dirac_orbits", "quadratic_game", "lq_collapse", "feature_collapse", "clipped"])
def test_the_shipped_experiments_are_read_and_say_what_to_notice(name):
    path = ROOT / "examples" / f"{name}.toml"
    experiments = read_experiments(path)
    assert len(experiments) > 2
    assert f"#     ganscope run examples/{name}.toml" in path.read_text()
    assert "What to notice:" in path.read_text()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["dirac_orbits", "quadratic_game", "lq_collapse", "feature_collapse", "clipped"])
def test_the_shipped_experiments_end_as_predicted(cli, name):
    result = cli("run", ROOT / "examples" / f"{name}.toml", "--out", "out")
    assert result.exit_code == 0, result.output
    narrow(result.stdout)


def test_what_the_comments_of_the_examples_say(cli):
    cli("run", ROOT / "examples/feature_collapse.toml", "--out", "out")
    ends = {v: r["runs"] for v, r in json.loads(Path("out/report.json").read_text())["variants"].items()}
    coverage = {v: next(iter(runs.values()))["final"]["mass_coverage"] for v, runs in ends.items()}
    w2 = {v: next(iter(runs.values()))["final"]["w2"] for v, runs in ends.items()}
    assert w2["coarse_to_fine"] < w2["ranks"] < w2["kernel_2"] < w2["kernel_1"] < w2["short_kernel"]
    assert min(coverage["sobolev"], coverage["ranks"], coverage["coarse_to_fine"]) > 0.9
    assert coverage["short_kernel"] < coverage["entropy"] < 0.75
    assert abs(w2["entropy"] - w2["short_kernel"]) < 0.05


# Wrong input


@pytest.mark.parametrize(
    "file, parts",
    [
        (QUADRATIC + "C1 = 2", ["[game] key = 'C1'", "Did you mean 'c1'?"]),
        (QUADRATIC + "generator_lr = 0", ["generator_lr", "> 0"]),
        ('[game]\nmodel = "quadratic"\nA1 = [[1, 2], [0, 1]]\nB1 = [[1], [1]]\nA2 = 1\nB2 = [[1, 1]]', ["symmetric"]),
        ('[game]\nmodel = "quadratic"\nA1 = 1\nB1 = [[1, 2]]\nA2 = 1\nB2 = 1', ["B1", "shape (1, 1)"]),
        ('[game]\nmodel = "quadratic"\nA1 = 1\nB1 = 1\nA2 = 1', ["B2", "model quadratic needs it"]),
        ('[game]\nmodel = "quadratik"', ["Did you mean 'quadratic'?"]),
        (DIRAC + 'loss = "saturated"', ["loss", "Did you mean 'saturating'?"]),
        (DIRAC + "initial = [1, 2, 3]", ["initial", "two finite numbers"]),
        (DIRAC + "gradient_penalty = -1", ["gradient_penalty", ">= 0"]),
        ('[game]\nmodel = "clipped"\ninitial = [1, 2]', ["initial", "within [-clip, clip]"]),
        ('[game]\nmodel = "lq"\ntarget_mean = 0\ntarget_covariance = 1\nmean = 1', ["covariance and factor"]),
        ('[game]\nmodel = "lq"\ntarget_mean = 0\ntarget_covariance = -1\nmean = 1\nfactor = 1', ["target_covariance"]),
        (FEATURE + 'features = "fourrier"', ["features", "Did you mean 'fourier'?"]),
        (FEATURE + "features = [[1, 2]]", ["features", "shape (J, 1)"]),
        (FEATURE + "bandwidth = 0", ["bandwidth", "> 0"]),
        (FEATURE + "fast = true\ncritic_penalty = 0", ["critic_penalty", "fast = True"]),
        (FEATURE + 'fast = "yes"', ["fast", "True or False"]),
        (f'[game]\n{POINTS}real_points = "none.npy"', ["none.npy does not exist"]),
        (f"[game]\n{POINTS}real_points = {{ distribution = 'nrm' }}", ["real_points", "Did you mean 'norm'?"]),
        (f"[game]\n{POINTS}real_points = {{ distribuion = 'norm' }}", ["Did you mean 'distribution'?"]),
        (f"[game]\n{POINTS}real_points = {{ mixture = [], weight = [] }}", ["Did you mean 'weights'?"]),
        (f"[game]\n{POINTS}real_points = {{ distribution = 'norm', arguments = [0, -1] }}", ["admissible arguments"]),
        (f"[game]\n{POINTS}real_points = {{ mixture = [{{ distribution = 'norm' }}], weights = [1, 2] }}", ["weights"]),
        (f"[game]\n{POINTS}real_points = [[1, 2]]", ["generated_points", "2 columns"]),
    ],
)
def test_a_bad_game_is_named_with_what_is_expected(cli, file, parts):
    refused(cli("run", "x.toml", file=file + "\n"), "x.toml: ", *parts)
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    "lines, parts",
    [
        ('level = "explict"', ["Did you mean 'explicit'?"]),
        ('level = "flow"\nstep_size = 0.1', ["step_size", "level flow cannot use it (explicit,"]),
        ('levels = ["flow", "explicit"]\nstep_sise = 0.1', ["Did you mean 'step_size'?"]),
        ('levels = ["flow", "explicit"]\nstep_size = 0', ["level explicit: step_size = 0", "> 0"]),
        (
            'levels = ["flow", "nash"]\norder = "generator_first"',
            ["order", "explicit_sequential, jko_sequential would"],
        ),
        ('level = "jko_sequential"\norder = "critic_first"', ["order", "discriminator_first, generator_first"]),
        ('level = "jko"\ndiscriminator_steps = 0', ["discriminator_steps", ">= 1"]),
        ('levels = ["flow", "explicit"]\nreplicas = 3', ["replicas", "cannot use it"]),
        ('levels = ["flow", "explicit"]\niterations = 10', ["level flow: iterations", "horizon instead"]),
        ('level = "explicit"\nbatch = 3', ["[simulate] key = 'batch'"]),
        ('rule = "alternating"', ["rule", "cannot use it"]),
        ('levels = ["midpoint"]\ndimension = 3', ["dimension"]),
    ],
)
def test_a_bad_setting_is_refused_before_any_work(cli, lines, parts):
    refused(cli("run", "x.toml", file=f"{QUADRATIC}[simulate]\n{lines}\n"), "x.toml: ", *parts)
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    "lines, parts",
    [
        ("entropy = 0.1\n[simulate]\nlevels = ['flow', 'jko']", ["level flow: generated_points coincide"]),
        ("[simulate]\nlevel = 'explicit'\nreplicas = 2", ["replicas", "nothing is random"]),
        ("features = 'history'\n[simulate]\nlevel = 'explicit'\nbatch = 2", ["batch"]),
        ("[simulate]\nlevel = 'midpoint'", ["level", "explicit"]),
    ],
)
def test_what_a_level_cannot_do_with_these_features(cli, lines, parts):
    game = '[game]\nmodel = "feature"\ngenerated_points = [0.5, 0.5]\nreal_points = [-1, 1]\n'
    refused(cli("run", "x.toml", file=f"{game}{lines}\n"), "x.toml: ", *parts)
    assert not Path("runs").exists()


def test_a_warning_is_one_line_on_standard_error(tmp_path):
    (tmp_path / "x.toml").write_text(FEATURE + "half_period = 1\n")
    command = [sys.executable, "-m", "ganscope", "predict", "x.toml", "--json"]
    done = subprocess.run(command, cwd=tmp_path, env=environment(), text=True, capture_output=True)
    assert done.returncode == 0
    assert json.loads(done.stdout)["prediction"]
    assert done.stderr.startswith("ganscope: warning: half_period = 1 is too small")
    assert done.stderr.count("\n") == 1


def test_ctrl_c_keeps_what_is_finished(tmp_path):
    rng = np.random.default_rng(0)
    np.save(tmp_path / "p.npy", rng.normal(size=(5000, 2)))
    (tmp_path / "x.toml").write_text(
        '[game]\nmodel = "feature"\nreal_points = "p.npy"\ngenerated_points = "p.npy"\nfeatures = "random"\n'
        'discriminator_lr = 2\n[simulate]\nlevels = ["explicit", "flow"]\nhorizon = 0.02\n[[variant]]\nname = "short"\n'
        'simulate.level = "explicit"\n[[variant]]\nname = "long"\nsimulate.level = "explicit"\nsimulate.horizon = 1e4\n'
    )
    err = interrupted(tmp_path, "runs/x/short/report.json", after=1.0)
    assert "the same command goes on from there" in err
    assert not (tmp_path / "runs/x/long/explicit.zarr").exists()
