"""The command line on particles: experiment files of both games, with right and wrong input."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from command_line import environment, interrupted, only_json, refused

import ganscope as gs
from ganscope.cli.experiment import read_experiments

ROOT = Path(__file__).resolve().parent.parent
# Small, of one compiled structure for all tests.
RING = '[game]\nmodel = "particle"\nparticles = 8\ndiscriminator_width = 8\nreal_batch = 16\n'
TORUS = '[game]\nmodel = "torus"\nparticles = 8\nfrequencies = 3\nmodes = 2\nmode_width = 0.3\n'
NETWORK = "generator_width = 16\nlatent_dimension = 64\n"
# Two hidden layers of relu have this coupling with eight particles.
RELU = "same_kernel = 6\ncross_kernel = 1.3714173\n"
ORDER = ["coverage", "soft_coverage", "entropy", "spread", "quality", "wander"]
EXAMPLES = ["ring", "real_generator", "torus"]


def narrow(text):
    assert max(map(len, text.splitlines())) <= 80


def words(text):
    return " ".join(text.split())


GAMES = {
    "particle": (RING + RELU, f'levels = ["particles", "network"]\niterations = 100\n{NETWORK}'),
    "torus": (TORUS, 'levels = ["linear", "particles"]\nhorizon = 20\n'),
}


@pytest.mark.parametrize("model", GAMES)
def test_both_games_run_from_a_file(cli, model):
    game, simulate = GAMES[model]
    content = only_json(cli("run", "x.toml", "--json", file=f"{game}[simulate]\n{simulate}"))
    (experiment,) = read_experiments(Path("x.toml"))
    assert gs.from_json(json.dumps(content["game"])) == experiment.game
    for level, entry in content["runs"].items():
        run = gs.simulate(experiment.game, level, **experiment.levels[level])
        assert entry["outcome"] == gs.classify(run).outcome
        np.testing.assert_array_equal(entry["final"]["positions"], run.positions[-1])
        assert gs.load(entry["path"]).positions.equals(run.positions)
    text = cli("run", "x.toml").stdout
    narrow(text)
    assert "reused" in text
    assert "soft_coverage" in text
    for command in (("predict", "x.toml"), ("show", "runs/x")):
        result = cli(*command)
        assert result.exit_code == 0, result.output
        narrow(result.stdout)
    predicted = only_json(cli("predict", "x.toml", "--json"))["prediction"]
    assert predicted == json.loads(json.dumps(gs.predict(experiment.game, **experiment.about).to_dict()))


# What is compared


def test_levels_with_noise_of_their_own_are_compared_by_order_parameters(cli):
    file = f'{RING}{RELU}[simulate]\nlevels = ["network", "particles"]\niterations = 100\nreplicas = 2\n{NETWORK}'
    content = only_json(cli("run", "x.toml", "--json", file=file))["comparison"]["particles"]
    assert content["reference"] == "network"
    assert sorted(content["distances"]) == sorted(ORDER)
    network, particles = (gs.load(f"runs/x/{level}.zarr").mean("replica") for level in ("network", "particles"))
    for name in ORDER:
        distance = np.abs(network[name] - particles[name])
        assert content["distances"][name]["mean"] == pytest.approx(float(distance.mean()), rel=1e-12)
    assert "positions" not in cli("run", "x.toml").stdout


def test_levels_that_share_their_noise_are_compared_point_by_point(cli):
    file = f'{TORUS}[simulate]\nlevels = ["linear", "particles"]\nhorizon = 5\nreplicas = 3\n'
    content = only_json(cli("run", "x.toml", "--json", file=file))["comparison"]["particles"]
    linear, particles = (gs.load(f"runs/x/{level}.zarr") for level in ("linear", "particles"))
    # the records of the particles are finer: the line is drawn through those of linear theory
    fine = linear.positions.interp(time=particles.time.values)
    apart = np.sqrt(((particles.positions - fine.values) ** 2).sum("particle"))
    assert content["distances"]["positions"]["mean"] == pytest.approx(float(apart.mean()), rel=1e-9)
    assert float(apart.isel(time=0).max()) < 1e-15


def test_distances_shrink_beside_the_target(cli):
    """Linear theory is exact for small displacements: a tenth of them, a hundredth of the error."""
    even = 2 * np.pi * np.arange(8) / 8
    mean = []
    for size in (0.01, 0.001):
        start = (even + size * np.cos(3 * np.arange(8))).tolist()
        file = (
            f'[game]\nmodel = "torus"\nparticles = 8\nmodes = 8\nmode_width = 0\ninitial_positions = {start}\n'
            '[simulate]\nlevels = ["linear", "particles"]\nhorizon = 10\nsave_at = [0, 2, 4, 6, 8, 10]\n'
        )
        content = only_json(cli("run", "x.toml", "--json", "--force", file=file))["comparison"]["particles"]
        mean.append(content["distances"]["positions"]["mean"])
    assert 70 < mean[0] / mean[1] < 150


def test_undecided_predictions_do_not_disagree(cli):
    result = cli("run", "x.toml", file=f'{RING}[simulate]\nlevel = "particles"\niterations = 100\n')
    assert result.exit_code == 0
    text = words(result.stdout)
    assert "There is no theory of where particles end" in text
    assert "(ganscope predict says more)" in text
    assert "the outcomes agree" in text


def test_runs_that_end_otherwise_than_predicted_give_status_1(cli, monkeypatch):
    def wrong(game, level, **_):
        return dataclasses.replace(gs.predict(game, level), outcome=gs.Outcome.DIVERGED, near_critical=False)

    monkeypatch.setattr("ganscope.cli.run.predict", wrong)
    result = cli("run", "x.toml", file=f'{TORUS}initial_std = 1\n[simulate]\nlevel = "particles"\nhorizon = 200\n')
    assert "THE OUTCOMES DIFFER" in result.stdout
    assert result.exit_code == 1
    assert only_json(cli("run", "x.toml", "--json"))["agree"] is False


def test_steps_that_are_too_long_are_predicted_and_end_the_run(cli):
    steps = "coupling = 64\nrelative_step = 2\ndiscriminator_lr = 0.5\ngradient_penalty = 0\n"
    content = only_json(cli("run", "x.toml", "--json", file=f"{RING}{steps}[simulate]\niterations = 200\n"))
    assert content["prediction"]["detail"] == "diverging"
    assert content["runs"]["particles"]["detail"] == "nonfinite"
    assert content["runs"]["particles"]["final"]["soft_coverage"] is None
    assert content["agree"] is True


# What goes where


def test_options_go_to_the_levels_that_know_them(cli):
    simulate = f'levels = ["particles", "network"]\norder = "generator_first"\nmotion = "two_numbers"\n{NETWORK}'
    Path("x.toml").write_text(f"{RING}[simulate]\n{simulate}iterations = 5\n")
    (experiment,) = read_experiments(Path("x.toml"))
    assert {level: sorted(settings) for level, settings in experiment.levels.items()} == {
        "particles": ["iterations", "order"],
        "network": ["generator_width", "iterations", "latent_dimension", "motion", "order"],
    }


def test_the_scheme_of_a_torus_reaches_its_prediction(cli):
    file = f'{TORUS}[simulate]\nlevel = "particles"\nscheme = "first_order"\nhorizon = 2\n'
    predicted = only_json(cli("predict", "x.toml", "--json", file=file))["prediction"]
    game = read_experiments(Path("x.toml"))[0].game
    first, second = (gs.predict(game, "particles", scheme=s).to_dict() for s in ("first_order", "second_order"))
    assert predicted["rates"] == json.loads(json.dumps(first["rates"]))
    assert first["rates"] != second["rates"]


@pytest.mark.parametrize("suffix", ["npy", "csv"])
def test_points_labels_starts_and_kernels_from_files(tmp_path, suffix):
    rng = np.random.default_rng(0)
    arrays = {
        "real": rng.normal(size=(12, 3)),
        "classes": np.repeat([1.0, 2.0, 5.0], 4),
        "start": rng.normal(size=(8, 3)),
        "gamma": 0.2 + 0.8 * np.eye(8),
    }
    for name, array in arrays.items():
        place = tmp_path / f"{name}.{suffix}"
        np.save(place, array) if suffix == "npy" else np.savetxt(place, array, delimiter=",")
    (tmp_path / "x.toml").write_text(
        f'{RING}real_points = "real.{suffix}"\nlabels = "classes.{suffix}"\ninitial = "start.{suffix}"\n'
        f'generator_kernel = "gamma.{suffix}"\ndiscriminator = {{ name = "RBF", bandwidth = 0.7 }}\nfeatures = 64\n'
    )
    game = read_experiments(tmp_path / "x.toml")[0].game
    np.testing.assert_array_equal(game.real_points, arrays["real"])
    np.testing.assert_array_equal(game.labels, arrays["classes"])
    np.testing.assert_array_equal(game.initial, arrays["start"])
    np.testing.assert_array_equal(game.generator_kernel, arrays["gamma"])
    assert game.discriminator == gs.RBF(0.7)
    assert game.coupling_number == pytest.approx((1 + 7 * 0.2) / 0.8)


def test_only_chosen_parameters_are_listed(cli):
    text = words(cli("predict", "x.toml", file=RING + "coupling = 3\n").stdout)
    assert text.startswith("particle: particles 8; coupling 3; real_batch 16; discriminator_width 8 ")
    text = words(cli("predict", "x.toml", file='[game]\nmodel = "torus"\n[simulate]\nlevel = "linear"\n').stdout)
    assert text.startswith("torus: all parameters at their defaults prediction: ")
    assert "best_gradient_penalty [0.4761, 0.2871, 0.2616, 0.3039, 0.4267, 0.7072, 1.366, 3.052, ...]" in text


# Wrong input


@pytest.mark.parametrize(
    "file, parts",
    [
        (RING + "couplng = 3", ["[game] key = 'couplng'", "Did you mean 'coupling'?"]),
        (RING + "coupling = 0", ["coupling = 0", "> 0"]),
        (RING + "coupling = 3\ncross_kernel = 0.1", ["cross_kernel", "coupling is given"]),
        (RING + "cross_kernel = 2", ["cross_kernel = 2.0", "-0.1428571429 and 1", "positive semidefinite"]),
        (RING + "coupling = 3\ngenerator_lr = 1", ["generator_lr", "relative_step instead"]),
        (RING + 'penalty = "r3"', ["penalty", "gp1, none, r1, r12, r2, uniform"]),
        (RING + 'loss = "wgn"', ["loss", "Did you mean 'wgan'?"]),
        (RING + 'discriminator = "relu"', ["discriminator", "RBF(1.0)"]),
        (RING + 'discriminator_activation = "gelu"', ["discriminator_activation", "Did you mean 'relu'?"]),
        (RING + 'layout = "grid"', ["modes = 8", "a square number"]),
        (RING + "labels = [1, 2]", ["labels", "belong to real_points"]),
        (RING + 'real_points = "none.npy"', ["none.npy does not exist"]),
        (RING + "initial = [[1, 2]]", ["initial", "shape (8, 2)"]),
        (RING + "mode_width = nan", ["mode_width", "finite number >= 0"]),
        (TORUS + "relative_mobility = 0\nmean_mobility = 0", ["mean_mobility", "something must move"]),
        (TORUS + 'spectrum = "gaus"', ["spectrum", "Did you mean 'gauss'?"]),
        (TORUS + "initial_positions = [1, 2]", ["initial_positions", "(8,)"]),
        (TORUS + "coupling = 3", ["[game] key = 'coupling'", "relative_mobility"]),
        (TORUS + "frequencies = 0", ["frequencies"]),
    ],
)
@pytest.mark.parametrize("command", ["run", "predict"])
def test_a_bad_parameter_is_named_with_its_range(cli, command, file, parts):
    file = file if file.count("frequencies") < 2 else file.replace("frequencies = 3\n", "")
    file = file if file.count("mode_width") < 2 else file.replace("mode_width = 0.3\n", "")
    refused(cli(command, "x.toml", file=file), "x.toml: ", *parts)
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    "game, lines, parts",
    [
        (RING, 'level = "linear"', ["level", "network, particles"]),
        (RING, 'rule = "optimistic"', ["rule", "alternating, simultaneous"]),
        (RING, 'order = "critic_first"', ["order", "discriminator_first"]),
        (RING, 'motion = "network"', ["motion", "level particles cannot use it (network would)"]),
        (RING, 'level = "network"\nmotion = "networks"', ["motion", "Did you mean 'network'?"]),
        (RING, 'level = "network"\ngenerator_activation = "gelo"', ["generator_activation", "Did you mean 'gelu'?"]),
        (RING, 'level = "network"\ngenerator_width = 0', ["generator_width", ">= 1"]),
        (RING, 'level = "network"\nlatent_dimension = 1', ["latent_dimension", ">= 2"]),
        (RING, 'level = "network"\nwidth = 3', ["[simulate] key = 'width'", "Did you mean 'generator_width'?"]),
        (RING, "step_size = 3", ["step_size", "cannot use it"]),
        (RING, "replicas = 0", ["replicas", ">= 1"]),
        (RING + "discriminator_steps = 2\n", 'rule = "simultaneous"', ["rule", "discriminator_steps is 2"]),
        (TORUS, "step_size = 3", ["step_size", "at most", "largest frequency"]),
        (TORUS, 'scheme = "third"', ["scheme", "first_order, second_order"]),
        (TORUS, 'level = "linear"\nscheme = "first_order"', ["scheme", "particles would"]),
        (TORUS, 'level = "network"', ["level", "linear, particles"]),
        (TORUS, 'levels = ["linear", "particles"]\niterations = 9', ["level linear: iterations", "horizon instead"]),
    ],
)
def test_a_bad_setting_is_refused_before_any_work(cli, game, lines, parts):
    refused(cli("run", "x.toml", file=f"{game}[simulate]\n{lines}\n"), "x.toml: ", *parts)
    assert not Path("runs").exists()


def test_a_warning_is_said_once(tmp_path):
    file = f'{RING}coupling = 64\nmode_width = 0.5\npenalty = "gp1"\n[simulate]\nlevel = "network"\niterations = 3\n'
    (tmp_path / "x.toml").write_text(file + NETWORK)
    command = [sys.executable, "-m", "ganscope", "run", "x.toml", "--json"]
    done = subprocess.run(command, cwd=tmp_path, env=environment(), text=True, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["runs"]["network"]
    said = done.stderr.splitlines()
    assert [line.split()[:3] for line in said[:2]] == [
        ["ganscope:", "warning:", "mode_width"],
        ["ganscope:", "warning:", "penalty"],
    ]
    assert "has coupling 3.37 with 8 particles, the game 64" in said[2]
    assert len(said) == 3


def test_ctrl_c_keeps_what_is_finished_and_the_same_command_goes_on(tmp_path):
    (tmp_path / "x.toml").write_text(
        f'{RING}[simulate]\nlevel = "particles"\niterations = 100\n[[variant]]\nname = "short"\n[[variant]]\n'
        'name = "long"\nsimulate.iterations = 10_000_000\n'
    )
    err = interrupted(tmp_path, "runs/x/short/report.json", after=2.0)
    assert err == "ganscope: interrupted; finished levels are kept in runs/x; the same command goes on from there\n"
    assert (tmp_path / "runs/x/short/particles.zarr").exists()
    assert not (tmp_path / "runs/x/long/particles.zarr").exists()


# The shipped examples


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_shipped_experiments_are_read_and_say_what_to_notice(name):
    path = ROOT / "examples" / f"{name}.toml"
    assert len(read_experiments(path)) > 1
    assert f"#     ganscope run examples/{name}.toml" in path.read_text()
    assert "What to notice:" in path.read_text()
    assert max(map(len, path.read_text().splitlines())) <= 120


def test_the_numbers_in_the_generators_file_are_those_of_their_networks():
    for experiment in read_experiments(ROOT / "examples/real_generator.toml"):
        options = {
            n.removeprefix("generator_"): v for n, v in experiment.levels["network"].items() if "generator_" in n
        }
        options.pop("width")
        kernel = gs.network_kernel(**options)
        assert experiment.game.same_kernel == pytest.approx(kernel.same_kernel, rel=1e-7)
        assert experiment.game.cross_kernel == pytest.approx(kernel.cross_kernel, rel=1e-7)


def test_what_the_comments_of_the_torus_file_say(cli):
    result = cli("run", ROOT / "examples/torus.toml", "--out", "out")
    assert result.exit_code == 0, result.output
    narrow(result.stdout)
    variants = json.loads(Path("out/report.json").read_text())["variants"]
    runs = {name: variants[name]["runs"]["particles"] for name in variants}
    for name, run in runs.items():
        theory = run.get("prediction", variants[name]["prediction"])
        assert run["outcome"] == theory["outcome"] == ("collapsed" if name == "stuck" else "converged"), name
    critical = {name: part["prediction"]["thresholds"].get("critical_mobility") for name, part in variants.items()}
    assert critical["torn"] == critical["stuck"] == critical["broad"] == pytest.approx(1.175, abs=2e-3)
    assert critical["more_friction"] / critical["torn"] == pytest.approx(4.0, abs=0.05)
    assert critical["wide_modes"] > 2.4
    assert variants["matched"]["comparison"]["particles"]["distances"]["positions"]["largest"] < 0.01


@pytest.mark.slow
def test_what_the_comments_of_the_ring_file_say(cli):
    result = cli("run", ROOT / "examples/ring.toml", "--out", "out")
    assert result.exit_code == 0, result.output
    narrow(result.stdout)
    variants = json.loads(Path("out/report.json").read_text())["variants"]
    outcomes = {name: part["runs"]["particles"]["outcome"] for name, part in variants.items()}
    collapsed = dict.fromkeys(("narrow", "sines", "tight"), "collapsed")
    assert outcomes | collapsed | {"loose": "converged", "overshoot": "diverged"} == outcomes
    late = {}
    for name in variants:
        run = gs.load(f"out/{name}/particles.zarr")
        late[name] = float(run.soft_coverage.sel(time=slice(600, 800)).mean())
    assert late["loose"] > 0.95
    # means of three runs near the transition scatter: medium between 0.65 and 0.95 over ten sets of seeds
    assert late["narrow"] < 0.4
    assert late["narrow"] < late["medium"] - 0.2
    assert late["sines"] < late["medium"]
    assert late["tight"] < late["friction"]


@pytest.mark.slow
def test_what_the_comments_of_the_generators_file_say(cli):
    result = cli("run", ROOT / "examples/real_generator.toml", "--out", "out")
    assert result.exit_code == 0, result.output
    narrow(result.stdout)
    variants = json.loads(Path("out/report.json").read_text())["variants"]
    for name, outcome in (("free", "converged"), ("nearly rigid", "collapsed")):
        assert {run["outcome"] for run in variants[name]["runs"].values()} == {outcome}


def test_outcomes_that_differ_in_a_close_decision_are_not_said_to_agree(cli, monkeypatch):
    # nothing damps, which is critical by itself: theory says that the particles swing for ever
    file = '[game]\nmodel = "torus"\ngradient_penalty = 0\ninitial_std = 2.0\n[simulate]\nlevel = "particles"\n'
    verdict = gs.Verdict(gs.Outcome.CONVERGED, "converged", 0.1)
    monkeypatch.setattr("ganscope.cli.run.classify", lambda run: verdict)
    result = cli("run", "x.toml", file=file)
    assert result.exit_code == 0, result.output
    assert "the outcomes differ, but it is a close decision" in result.stdout
