"""The command line on kernel games: experiment files, and a user's own points, with right and wrong input."""

import json
import math
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from command_line import environment, interrupted, only_json, refused

import ganscope as gs
from ganscope.cli import predict, predict_data
from ganscope.cli.experiment import read_experiments
from ganscope.core.game import to_json
from ganscope.core.progress import listening
from ganscope.games.kernel import data
from ganscope.games.kernel.bandwidths import capturing_bandwidth, look, usual_bandwidths

POINTS = 'model = "kernel"\nreal_points = [[0, 0], [4, 0]]\ngenerated_points = [[0.2, 0.1], [3.9, -0.1]]\n'
GAME = f"[game]\n{POINTS}" + 'kernel = { name = "RBF", bandwidth = 0.8 }\n'
SHORT = '[simulate]\nlevels = ["gda", "linear"]\niterations = 200\n'
CORNERS = np.array([[-2.0, -2.0], [2.0, -2.0], [-2.0, 2.0], [2.0, 2.0]])


def narrow(text):
    assert max(map(len, text.splitlines())) <= 80


# Experiment files


def test_run_saves_compares_and_agrees_with_theory(cli):
    result = cli("run", "x.toml", "--json", file=GAME + SHORT)
    content = only_json(result)
    assert result.exit_code == 0
    assert content["prediction"]["outcome"] == "converged"
    assert content["prediction"]["rule"] == "alternating"
    game = read_experiments(Path("x.toml"))[0].game
    assert gs.from_json(json.dumps(content["game"])) == game
    for level, entry in content["runs"].items():
        assert entry["outcome"] == "converged"
        run = gs.load(entry["path"]).load()
        assert run.equals(gs.simulate(game, level, iterations=200))
        assert entry["final"]["covered"] == 2
        np.testing.assert_array_equal(entry["final"]["generated_points"], run.generated_points[-1])
    assert content["comparison"]["linear"]["reference"] == "gda"
    assert content["comparison"]["linear"]["distances"]["generated_points"]["final"] < 1e-3
    assert Path("runs/x/overview.png").read_bytes().startswith(b"\x89PNG")


def test_the_text_shows_the_distance_and_the_coverage_at_the_end(cli):
    result = cli("run", "x.toml", file=GAME + SHORT)
    narrow(result.stdout)
    lines = [line.split() for line in result.stdout.splitlines()]
    header = next(line for line in lines if line[:1] == ["level"])
    assert header[-2:] == ["mmd2,", "covered"]
    assert next(line for line in lines if line[:1] == ["gda"])[-1] == "2/2"
    assert "kernel RBF(bandwidth 0.8)" in " ".join(result.stdout.split())
    assert "reused" in cli("run", "x.toml").stdout
    text = cli("show", "runs/x").stdout
    narrow(text)
    assert "2/2" in text


def test_show_predicts_for_the_rule_of_the_run(cli):
    cli("run", "x.toml", file=GAME + "generator_lr = 9\n" + SHORT + 'rule = "simultaneous"\n')
    prediction = gs.predict(read_experiments(Path("x.toml"))[0].game, rule="simultaneous")
    assert prediction.outcome != "converged"
    text = cli("show", "runs/x").stdout
    assert f"prediction: {prediction.outcome} ({prediction.detail})" in text
    assert "rule simultaneous" in text


@pytest.mark.parametrize("suffix", ["npy", "csv"])
def test_points_are_read_from_files_beside_the_experiment(tmp_path, suffix):
    points = np.random.default_rng(0).normal(size=(6, 2))
    place = tmp_path / f"points.{suffix}"
    np.save(place, points) if suffix == "npy" else np.savetxt(place, points, delimiter=",")
    (tmp_path / "x.toml").write_text(
        f'[game]\nmodel = "kernel"\nreal_points = "{place.name}"\ngenerated_points = "{place.name}"\n'
    )
    (experiment,) = read_experiments(tmp_path / "x.toml")
    np.testing.assert_allclose(experiment.game.real_points, points, rtol=1e-15)
    assert experiment.game.kernel == gs.RBF(1.0)


def test_long_arrays_are_abbreviated():
    points = np.arange(60.0).reshape(30, 2)
    text = predict.heading("", gs.KernelGAN(points, points, kernel=gs.RationalQuadratic(2.0, 3.0)))
    assert "real_points (array of 30 rows)" in " ".join(text.split())
    assert "real_mass 0.03333 each" in " ".join(text.split())
    assert "RationalQuadratic(bandwidth 2, alpha 3)" in " ".join(text.split())
    narrow(text)


def test_predict_recommends_rates_for_the_bandwidth_they_belong_to(cli):
    result = cli("predict", "x.toml", file=GAME)
    narrow(result.stdout)
    words = " ".join(result.stdout.split())
    best = gs.predict(read_experiments(Path("x.toml"))[0].game).best
    assert f"recommended at the present bandwidth: regularization {best['regularization']:.4g}" in words
    assert f"recommended bandwidth: {best['bandwidth']:.4g}, with regularization" in words
    assert "rates of alternating updates: spectral_radius" in words
    content = only_json(cli("predict", "x.toml", "--json"))
    assert content["prediction"]["best"]["at_bandwidth"]["generator_lr"] > 0


def test_a_run_that_leaves_the_numbers_is_a_result(cli):
    # discriminator_lr * regularization > 2: the discriminator overshoots itself, for ever.
    file = GAME + "discriminator_lr = 3\n" + '[simulate]\nlevel = "gda"\niterations = 900\n'
    with pytest.warns(UserWarning, match="overshoots"):
        content = only_json(cli("run", "x.toml", "--json", file=file))
    assert (content["prediction"]["outcome"], content["runs"]["gda"]["outcome"]) == ("diverged", "diverged")
    assert content["agree"] is True


@pytest.mark.parametrize(
    "line, parts",
    [
        ("generator_lr = 0", ["generator_lr", "a finite number > 0"]),
        ("regularization = -1", ["regularization", "a finite number >= 0"]),
        ("real_mass = [1, 0]", ["real_mass", "> 0"]),
        ("real_mass = [1]", ["real_mass", "shape (2,)"]),
        ('weighting = "los"', ["weighting", "Did you mean 'loss'?"]),
        ('representation = "grid"', ["representation", "fourier_grid"]),
        ("features = 3", ["features", "even"]),
        ("real_point = [1]", ["[game] key = 'real_point'", "Did you mean 'real_points'?"]),
    ],
)
def test_a_bad_parameter_is_named_with_its_range(cli, line, parts):
    refused(cli("run", "x.toml", file=f"{GAME}{line}\n"), "x.toml: ", *parts)
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    "game, parts",
    [
        (POINTS + 'kernel = { name = "RBFF" }', ["kernel", "Did you mean 'RBF'?"]),
        (POINTS + 'kernel = { name = "RBF", bandwith = 1 }', ["bandwith", "Did you mean 'bandwidth'?"]),
        (POINTS + 'kernel = { name = "RBF", bandwidth = 0 }', ["bandwidth", "> 0"]),
        (POINTS + "kernel = 3", ["kernel", "RBF"]),
        (POINTS.replace("[3.9, -0.1]", "[3.9]"), ["generated_points"]),
        (POINTS.replace("[3.9, -0.1]", "[3.9, nan]"), ["generated_points", "without NaN"]),
        (POINTS.replace("[[0, 0], [4, 0]]", '"none.npy"'), ["none.npy does not exist"]),
        (POINTS.replace("[[0, 0], [4, 0]]", "[[0, 0, 0], [4, 0, 0]]"), ["d = 2 columns", "d = 3"]),
    ],
)
def test_a_bad_kernel_or_bad_points(cli, game, parts):
    refused(cli("run", "x.toml", file=f"[game]\n{game}\n"), "x.toml: ", *parts)


@pytest.mark.parametrize(
    "line, parts",
    [
        ('rule = "simultanous"', ["rule", "Did you mean 'simultaneous'?"]),
        ("momentum = 1", ["momentum"]),
        ("replicas = 2", ["replicas", "cannot use it"]),
        ("dimension = 5", ["dimension", "cannot use it"]),
        ("iterations = 0", ["iterations", "an integer >= 1"]),
    ],
)
def test_a_bad_setting_is_refused_before_any_work(cli, line, parts):
    refused(cli("run", "x.toml", file=f"{GAME}[simulate]\n{line}\n"), "x.toml: ", *parts)
    assert not Path("runs").exists()


def test_a_warning_is_one_line_on_standard_error(tmp_path):
    (tmp_path / "x.toml").write_text(GAME + "real_mass = [0.5, 0.6]\n")
    command = [sys.executable, "-m", "ganscope", "predict", "x.toml", "--json"]
    done = subprocess.run(command, cwd=tmp_path, env=environment(), text=True, capture_output=True)
    assert done.returncode == 0
    assert json.loads(done.stdout)["prediction"]
    assert done.stderr.startswith("ganscope: warning: real_mass sums to 1.1 and generated_mass to 1")
    assert all(line.startswith("ganscope: warning: ") for line in done.stderr.splitlines())


def test_ctrl_c_keeps_what_is_finished_and_the_same_command_goes_on(tmp_path):
    simulate = '[simulate]\nlevels = ["linear", "gda"]\niterations = 300_000\n'
    (tmp_path / "x.toml").write_text(GAME + "regularization = 0.01\n" + 'representation = "history"\n' + simulate)
    err = interrupted(tmp_path, "runs/x/linear.zarr")
    assert "the same command goes on from there" in err
    assert [path.name for path in (tmp_path / "runs/x").iterdir()] == ["linear.zarr"]


# A user's points


def test_points_from_the_digits_have_the_known_distances():
    pytest.importorskip("sklearn")
    for axes, smallest, median in ((2, 0.3047, 1.4066), (5, 0.7760, 1.8880), (10, 1.2048, 2.0003)):
        means, shares = data.digits(axes)
        apart = data.distances(means)
        assert (round(apart.smallest, 4), round(apart.median, 4)) == (smallest, median)
        assert (means.shape, round(shares.sum(), 12)) == ((10, axes), 1.0)
        assert (round(shares.min(), 4), round(shares.max(), 4)) == (0.0968, 0.1018)


def test_distances_against_all_pairs():
    points = np.random.default_rng(1).normal(size=(40, 3))
    pairs = np.linalg.norm(points[:, None] - points, axis=2)[np.triu_indices(40, 1)]
    found = data.distances(np.concatenate([points, points[:1]]))  # a copy does not count for the smallest
    assert found.smallest == pytest.approx(pairs.min())
    assert data.distances(points).median == pytest.approx(np.median(pairs))
    assert data.distances([[1.0, 2.0]]).smallest == math.inf
    many = np.random.default_rng(2).normal(size=(3500, 1))
    # The median distance of normal numbers is sqrt(2) * 0.6745; a subset of 3000 knows it to a percent or so.
    assert data.distances(many).median == pytest.approx(math.sqrt(2) * 0.6745, rel=0.04)
    assert data.distances(many) == data.distances(many)


def test_principal_components_keep_distances_and_order_variances():
    rows = np.random.default_rng(3).normal(size=(50, 4)) * [1, 5, 2, 3]
    scores = data.principal_components(rows, 4)
    np.testing.assert_allclose(data.distances(scores).median, data.distances(rows).median)
    assert np.all(np.diff(scores.var(axis=0)) < 0)
    np.testing.assert_allclose(scores.mean(axis=0), 0, atol=1e-12)
    with pytest.raises(gs.ParameterError, match="components = 5: expected at most 4"):
        data.principal_components(rows, 5)


def test_equal_points_become_one_with_their_masses_added():
    points, mass = data.distinct([[1.0, 0.0], [0.0, 2.0], [1.0, -0.0]])
    np.testing.assert_array_equal(points, [[1, 0], [0, 2]])
    np.testing.assert_allclose(mass, [2 / 3, 1 / 3])
    means, shares = data.class_means([[0.0], [2.0], [5.0]], [1, 1, 0])
    np.testing.assert_array_equal(means, [[5], [1]])
    np.testing.assert_allclose(shares, [1 / 3, 2 / 3])
    with pytest.raises(gs.ParameterError, match="one per point, 3"):
        data.class_means([[0.0], [2.0], [5.0]], [1, 1])


def test_starts_near_and_far():
    assert np.abs(data.starting_points(CORNERS) - CORNERS).max() < 4e-4
    assert np.unique(np.sign(data.starting_points(CORNERS, 2)), axis=0).shape == (2, 2)
    np.testing.assert_allclose(data.starting_points(CORNERS, 6)[4:], CORNERS[:2], atol=1e-3)
    far = data.starting_points(CORNERS + 10, 4000, "random", seed=1)
    np.testing.assert_allclose(far.mean(axis=0), 10, atol=0.15)  # 4.7 standard errors
    np.testing.assert_allclose(np.cov(far.T), 4 * np.eye(2), atol=0.45)  # 5 standard errors of a variance
    np.testing.assert_array_equal(data.starting_points(CORNERS, seed=3), data.starting_points(CORNERS, seed=3))


def test_a_width_is_what_predict_says_of_it():
    apart = data.distances(CORNERS)
    game = gs.KernelGAN(CORNERS, data.starting_points(CORNERS), kernel=gs.RBF(1.0))
    for rule in ("alternating", "simultaneous"):
        for name, bandwidth in usual_bandwidths(apart).items():
            width, tuned = look(game.replace(bandwidth=bandwidth), name, apart, rule)
            assert tuned.bandwidth == bandwidth
            best = gs.predict(game.replace(bandwidth=bandwidth), rule=rule).best
            assert width.regularization == pytest.approx(best["regularization"])
            assert width.generator_lr == pytest.approx(best["generator_lr"])
            assert width.conditioning == pytest.approx(best["conditioning"])
            # A double root: eigenvalues are good to the square root of rounding.
            assert width.spectral_radius == pytest.approx(best["spectral_radius"], abs=1e-6)
            assert width.isolated == (bandwidth <= 4 / 3 + 1e-9)


@pytest.mark.parametrize("given", ["regularization", "generator_lr"])
def test_rates_that_are_given_are_kept_and_the_other_one_fits(given):
    apart = data.distances(CORNERS)
    game = gs.KernelGAN(CORNERS, data.starting_points(CORNERS), kernel=gs.RBF(2.0))
    free, _ = look(game, "x", apart, "alternating")
    for factor in (0.5, 1.0):
        value = factor * getattr(free, given)
        width, tuned = look(game, "x", apart, "alternating", **{given: value})
        assert getattr(tuned, given) == value
        for other in (0.7, 1.4):  # no better one nearby
            name = {"regularization": "generator_lr", "generator_lr": "regularization"}[given]
            rates = {given: value, name: other * getattr(width, name)}
            assert look(game, "x", apart, "alternating", **rates)[0].spectral_radius >= width.spectral_radius - 1e-3


def test_cautious_rates_do_not_let_distant_points_flee():
    apart = data.distances(CORNERS)
    start = data.starting_points(CORNERS, None, "random", seed=1)
    width, tuned = look(gs.KernelGAN(CORNERS, start, kernel=gs.RBF(0.5)), "x", apart, "alternating", from_afar=True)
    ratio = tuned.generator_lr / tuned.discriminator_lr
    assert gs.propulsion_speed(ratio, 0.25, 4.0, tuned.regularization) == 0
    assert gs.predict(tuned.replace(generated_points=CORNERS)).outcome == "converged"
    assert width.captured < 4
    wide, _ = capturing_bandwidth(tuned)
    assert look(tuned.replace(bandwidth=wide), "x", apart, "alternating", from_afar=True)[0].captured == 4


def test_predict_digits_and_the_run_that_confirms_it(cli):
    pytest.importorskip("sklearn")
    result = cli("predict", "digits", "--components", 5, "--bandwidth", "min", "--out", "d.toml")
    assert result.exit_code == 0, result.output
    narrow(result.stdout)
    words = " ".join(result.stdout.split())
    assert "smallest 0.776, median 1.888" in words
    assert "wide kernels capture far starts, narrow ones converge fast" in words
    assert "*min" in words
    table = tomllib.loads(Path("d.toml").read_text())
    assert table["simulate"]["levels"] == ["gda", "linear"]
    (experiment,) = read_experiments(Path("d.toml"))
    means, shares = data.digits(5)
    np.testing.assert_array_equal(experiment.game.real_points, means)
    np.testing.assert_array_equal(experiment.game.real_mass, shares)
    assert experiment.game.bandwidth == data.distances(means).smallest
    content = only_json(cli("run", "d.toml", "--json"))
    assert content["agree"] is True
    assert content["prediction"]["outcome"] == content["runs"]["gda"]["outcome"] == "converged"
    # At the best rates the slowest root is double, k rho^k: compare with the linear level, not with a slope.
    run, linear = (gs.load(content["runs"][level]["path"]).generated_points.values for level in ("gda", "linear"))
    start = np.linalg.norm(run[0] - means)
    assert np.abs(run - linear).max() < 1e-3 * start
    assert np.linalg.norm(run[40] - means) < 1e-6 * start  # 0.595^40 = 1e-9, times the length of a double root's tail


def test_predict_data_as_json_with_every_option(cli):
    rows = np.random.default_rng(0).normal(size=(30, 3)) * [1, 100, 1]
    np.save("d.npy", rows)
    np.savetxt("l.csv", np.arange(30) % 5, fmt="%d")
    options = ("--standardize", "--components", 2, "--classes", "l.csv", "--bandwidth", 0.25, "--rule", "simultaneous")
    rates = ("--regularization", 0.8, "--generator-lr", 0.1, "--discriminator-lr", 0.3, "--kernel", "Matern52")
    content = only_json(cli("predict", "d.npy", "--json", *options, *rates))
    game = gs.from_json(json.dumps(content["game"]))
    scaled = data.principal_components((rows - rows.mean(0)) / rows.std(0), 2)
    np.testing.assert_allclose(game.real_points, data.class_means(scaled, np.arange(30) % 5)[0])
    assert game.kernel == gs.Matern52(0.25)
    assert (game.regularization, game.generator_lr, game.discriminator_lr) == (0.8, 0.1, 0.3)
    assert content["prediction"] == json.loads(json.dumps(gs.predict(game, rule="simultaneous").to_dict()))
    assert content["data"] | {"rows": 30, "dimension": 3, "points": 5, "axes": 2} == content["data"]
    assert content["at"] in content["bandwidths"]
    assert content["at"]["spectral_radius"] == pytest.approx(content["prediction"]["rates"]["spectral_radius"])
    assert [w["bandwidth"] for w in content["bandwidths"]] == sorted(w["bandwidth"] for w in content["bandwidths"])
    assert json.loads(to_json(game)) == content["game"]


def test_a_start_far_away_with_another_number_of_points(cli):
    np.savetxt("d.csv", CORNERS, delimiter=",", header="x,y", comments="")
    result = cli("predict", "d.csv", "--start", "random", "--generated", 8, "--seed", 2, "--out", "e.toml")
    assert result.exit_code == 0, result.output
    narrow(result.stdout)
    assert "captured, of 8" in result.stdout
    assert "learning rates are cautious" in result.stdout
    game = read_experiments(Path("e.toml"))[0].game
    np.testing.assert_array_equal(game.generated_points, data.starting_points(CORNERS, 8, "random", 2))
    np.testing.assert_allclose(game.generated_mass, 1 / 8)
    content = only_json(cli("run", "e.toml", "--json"))
    assert content["runs"]["gda"]["final"]["covered"] == 4


def test_written_experiments_are_not_overwritten(cli):
    np.save("d.npy", CORNERS)
    Path("e-true.npy").write_text("mine")
    refused(cli("predict", "d.npy", "--out", "e.toml"), "e-true.npy exists", "--force")
    assert not Path("e.toml").exists()
    assert cli("predict", "d.npy", "--out", "e.toml", "--force").exit_code == 0
    refused(cli("predict", "d.npy", "--out", "e.toml"), "e.toml exists")
    refused(cli("predict", "d.npy", "--out", "e.json"), "ends in .toml")


def test_repeated_rows_are_one_point(cli):
    np.save("d.npy", np.concatenate([CORNERS, CORNERS[:1]]))
    content = only_json(cli("predict", "d.npy", "--json"))
    assert content["data"]["points"] == 4
    assert content["game"]["real_mass"] == pytest.approx([0.4, 0.2, 0.2, 0.2])
    assert content["prediction"]["outcome"] == "converged"
    assert "1 equal to others" in " ".join(cli("predict", "d.npy").stdout.split())


def test_a_slowest_mode_that_is_only_bounded_is_said_so(cli, monkeypatch):
    # As for thousands of coordinates: only the ends of the spectrum are sought, by Lanczos iterations.
    monkeypatch.setattr("ganscope.games.kernel.good_minimum.DENSE", 10)
    np.save("d.npy", np.random.default_rng(0).uniform(-1, 1, size=(60, 2)))
    seen = []
    with listening(lambda label, done, total: seen.append((label, done / total))):
        result = cli("predict", "d.npy")
    assert result.exit_code == 0, result.output
    narrow(result.stdout)
    assert "numerically neutral: the slowest mode is slower than any that was resolved" in result.stdout
    assert ("bandwidths", 1.0) in seen
    widths = only_json(cli("predict", "d.npy", "--json"))["bandwidths"]
    assert (widths[0]["conditioning_is_a_bound"], widths[-1]["conditioning_is_a_bound"]) == (False, True)


def holed():
    rows = np.random.default_rng(0).normal(size=(9, 2))
    rows[3, 1] = np.nan
    return rows


@pytest.mark.parametrize(
    "write, parts",
    [
        (lambda: None, ["an existing .npy or .csv file"]),
        (lambda: np.save("d.npy", holed()), ["row 4, column 2"]),
        (lambda: np.save("d.npy", CORNERS[:1]), ["at least 2 rows"]),
        (lambda: np.save("d.npy", CORNERS[0]), ["two dimensions"]),
        (lambda: np.save("d.npy", np.array([["a", "b"]])), ["numbers"]),
        (lambda: np.save("d.npy", CORNERS * [1, 0]), ["constant column", "column 2"]),
        (lambda: np.save("d.npy", np.ones((5, 2))), ["constant column"]),
        (lambda: Path("d.npy").write_text("text"), [".npy"]),
        (lambda: np.save("d.npy", np.array([[{"a": 1}]], object), allow_pickle=True), [".npy"]),
    ],
)
def test_data_that_are_no_points(cli, write, parts):
    write()
    refused(cli("predict", "d.npy"), *parts)


def test_strings_in_a_table(cli):
    Path("d.csv").write_text("x,y\n1,2\n3,four\n")
    refused(cli("predict", "d.csv"), "row 2, column 2 is 'four'")


@pytest.mark.parametrize(
    "arguments, parts",
    [
        (("--start", "nearby"), ["--start", "Did you mean 'near'?"]),
        (("--kernel", "Laplace"), ["--kernel", "RBF"]),
        (("--rule", "flow"), ["--rule", "alternating"]),
        (("--bandwidth", "meidan"), ["bandwidth", "auto, median, min"]),
        (("--bandwidth", "0"), ["bandwidth"]),
        (("--bandwidth", "nan"), ["bandwidth"]),
        (("--bandwidth", "min/0"), ["bandwidth"]),
        (("--regularization", "0"), ["regularization", "> 0"]),
        (("--generator-lr", "fast"), ["generator_lr", "a number > 0, or auto"]),
        (("--discriminator-lr", "0"), ["discriminator_lr", "> 0"]),
        (("--generated", "0"), ["--generated", ">= 1"]),
        (("--components", "3"), ["components", "at most 2"]),
        (("--components", "0"), ["components", ">= 1"]),
        (("--classes", "none.npy"), ["--classes", "existing"]),
        (("--constant-columns", "drop"), ["constant_columns", "keep, refuse"]),
        (("--images",), ["--images", "digits"]),
        (("--seed", "-1"), ["seed"]),
    ],
)
def test_an_option_out_of_range(cli, arguments, parts):
    np.save("d.npy", CORNERS)
    refused(cli("predict", "d.npy", *arguments), *parts)


def test_labels_that_do_not_fit(cli):
    np.save("d.npy", CORNERS)
    np.save("l.npy", np.arange(3))
    refused(cli("predict", "d.npy", "--classes", "l.npy"), "one number per row of the data, 4")
    np.save("l.npy", np.zeros(4))
    refused(cli("predict", "d.npy", "--classes", "l.npy"), "at least two different labels")


def test_options_for_points_are_refused_beside_an_experiment(cli):
    refused(cli("predict", "x.toml", "--start", "near", file=GAME), "--start", "experiment file")
    refused(cli("predict", "x.toml", "--out", "y.toml"), "--out", "experiment file")
    refused(cli("predict", "digits", "--classes", "l.npy"), "--components")


def test_digits_without_scikit_learn(cli, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    refused(cli("predict", "digits"), "ganscope[examples]")


def test_help_names_the_defaults(cli):
    text = cli("predict", "--help").stdout
    narrow(text)
    for option in predict_data.Options.__dataclass_fields__:
        assert f"--{option.replace('_', '-')}" in text
