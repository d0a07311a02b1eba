"""`ganscope diagnose` and `show` of a diagnosis: factories of every wrong kind, settings, files, JSON, Ctrl-C."""

import contextlib
import json
import signal
import sys
from pathlib import Path

import numpy as np
import pytest
from command_line import ctrl_c, only_json, refused, started
from diagnosis_example import diagnosis_example
from typer.testing import CliRunner

import ganscope as gs
from ganscope.cli import diagnose as command
from ganscope.cli.main import app

# A generator that shifts and scales, a discriminator with three features: a second or two of measurement.
GAME = """
import jax, jax.numpy as jnp
import ganscope as gs


def generator(theta, z):
    return z * theta["scale"] + theta["shift"]


def discriminator(phi, x):
    return jnp.tanh(x @ phi["hidden"] + 0.1) @ phi["out"]


def losses(theta, phi, batch, z, key):
    fake = generator(theta, z)
    score = lambda x: discriminator(phi, x)
    slopes = jax.vmap(jax.grad(lambda x: discriminator(phi, x[None])[0]))(batch)
    loss_g = jnp.mean(jax.nn.softplus(-score(fake)))
    loss_d = jnp.mean(jax.nn.softplus(-score(batch))) + jnp.mean(jax.nn.softplus(score(fake)))
    return loss_g, loss_d + 0.3 * 0.5 * jnp.mean(jnp.sum(slopes**2, axis=1))


def game():
    print("talkative")
    return gs.RealGame(
        losses,
        {"scale": jnp.array([0.9, 1.1]), "shift": jnp.array([0.1, -0.2])},
        {"hidden": jnp.array([[0.5, -0.3, 0.2], [0.1, 0.4, -0.6]]), "out": jnp.array([0.7, -0.5, 0.3])},
        gs.UpdateRule(generator=gs.Player(learning_rate=0.05), discriminator=gs.Player(learning_rate=0.05)),
        lambda key, n: jax.random.normal(key, (n, 2)),
        2,
        generator=generator,
        discriminator=discriminator,
        gamma=0.3,
        train_batch_size=32,
    )
"""


class Fake:
    """What `diagnose` returns, as far as the command knows."""

    is_diagnosis = True

    def to_dict(self):
        return diagnosis_example()

    def save(self, path):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(json.dumps(self.to_dict()))


@pytest.fixture
def call(cli, monkeypatch):
    """The command with a diagnosis that takes no time; `source` becomes a.py, what was asked is in `asked`."""
    asked = {}

    def diagnose(game, **options):
        asked.update(options, game=game)
        return Fake()

    monkeypatch.setattr(command, "diagnose", diagnose)

    def run(*arguments, source=GAME):
        if source is not None:
            Path("a.py").write_text(source)
        return cli("diagnose", *arguments)

    run.asked = asked
    return run


def told(result):
    assert result.exit_code == 0, result.output
    assert max(map(len, result.stdout.splitlines())) <= 80
    return result.stdout


# What it says


def test_the_report_in_80_columns(call):
    out = told(call("a.py:game"))
    flat = " ".join(out.split())
    for part in (
        "VERDICT: oscillating (limit cycle)",
        "a factor 4.3 above the limit of 0.1 (margin -1.46)",
        "confidence 92 % (prototype suite)",
        "the score 0.43 is above 0.2",
        "collapse risk low (unvalidated)",
        "leading modes",
        "Set gradient penalty γ = 3.03 [1.52 without the 1/2]",
        "(confirmed)",
        "Try beta1 = 0: memory needs a minimum of friction (not verified)",
        "what if",
        "warning T3",
        "the advice is confirmed",
        "assumptions",
        "Cost: 0.41 s",
    ):
        assert part in flat
    assert "talkative" not in out
    assert call.asked["quick"] is False
    assert isinstance(call.asked["game"], gs.RealGame)


def test_json_is_the_report_alone(call):
    result = call("a.py:game", "--json", "--quick")
    assert only_json(result)["verdict"] == diagnosis_example()["verdict"]
    assert call.asked["quick"] is True


def test_settings_reach_the_diagnosis(call):
    told(call("a.py:game", "--seed", 7, "--set", "modes=3", "--set", "gammas=[0, 1, 3]", "--set", "dtype=float32",
              "--set", "full-spectrum=true"))  # fmt: skip
    expected = {"seed": 7, "modes": 3, "gammas": [0, 1, 3], "dtype": "float32", "full_spectrum": True}
    assert {name: call.asked[name] for name in expected} == expected


def test_pages_and_folders(call):
    out = told(call("a.py:game", "--html", "page.html", "--out", "kept"))
    assert "written to page.html" in out
    assert sorted(path.name for path in Path("kept").iterdir()) == ["diagnosis.html", "diagnosis.json"]
    assert Path("page.html").read_text() == Path("kept/diagnosis.html").read_text()
    call.asked.clear()
    refused(call("a.py:game", "--out", "kept"), "exists; choose another --out, or pass --force")
    assert not call.asked  # before anything was computed
    told(call("a.py:game", "--out", "kept", "--force"))
    told(call("a.py:game", "--html", "page.html"))  # a page is made anew


def test_a_factory_may_take_the_checkpoint(call):
    Path("last.npz").write_bytes(b"weights")
    source = GAME + "\ndef restored(checkpoint='none'):\n    print(checkpoint)\n    return game()\n"
    result = call("a.py:restored", "--checkpoint", "last.npz", source=source)
    assert "last.npz" in result.stderr
    assert "none" in call("a.py:restored", source=source).stderr


def test_modules_beside_the_file_are_found_and_nothing_stays_on_the_path(call):
    Path("sub").mkdir()
    Path("sub/beside_the_factory.py").write_text(GAME)
    before = list(sys.path)
    Path("sub/b.py").write_text("from beside_the_factory import game as made\ndef game():\n    return made()\n")
    told(call("sub/b.py:game"))
    assert sys.path == before
    sys.modules.pop("beside_the_factory")


def test_what_the_benchmark_did_not_cover_is_told_on_its_own_line(call, monkeypatch):
    report = diagnosis_example()
    report["verdict"] |= {"confidence": None, "confidence_source": "unvalidated: the benchmark had nothing with 9 axes"}
    report["spectrum"]["damping_ratio"][0] = -2.4
    report["what_if"][0]["predicted_wander"] = 6470.0
    monkeypatch.setattr(Fake, "to_dict", lambda self: report)
    out = told(call("a.py:game"))
    assert "confidence not stated (unvalidated)\nUnvalidated: the benchmark had nothing with 9 axes.\n" in out
    assert "driven: the discriminator's own curvature" in out
    assert "unstable [6470]" in out
    assert "unstable: the linear picture runs away" in out


# The log of a monitor

SIZES = {"backend": "jax", "sizes": [4, 9], "latents": 256}


def log_of(records, game=SIZES, **header):
    lines = [{"log": "ganscope monitor", "version": 1, "game": game} | header, *records]
    return "".join(f"{json.dumps(line)}\n" for line in lines)


def record(iteration, centre):
    return {"iteration": iteration, "margin": 0.3, "centre_of_mass": centre}


def test_the_log_of_a_monitor_becomes_the_history(call):
    lines = [record(20, [0.0, 1.0]), {"iteration": 20, "margin": 0.1}, record(40, [1.0, 1.0]), record(60, [2.0, "nan"])]
    lines = [lines[0], record(30, [9.0, 9.0]), record(40, [8.0, 8.0]), record(30, [0.5, 1.0]), *lines[2:]]
    Path("run.jsonl").write_text(log_of(lines) + '{"iteration": 80, "cent')  # torn by a crash
    told(call("a.py:game", "--history", "run.jsonl"))
    expected = [[[0.0, 1.0]], [[0.5, 1.0]], [[1.0, 1.0]], [[2.0, np.nan]]]
    np.testing.assert_array_equal(call.asked["history"], expected)
    assert Path("run.jsonl").read_text().endswith('"cent')  # the monitor may still be writing


@pytest.mark.parametrize(
    "content, part",
    [
        (None, "does not exist"),
        ("", "no log of a monitor"),
        ("iteration,margin\n1,2\n", "no log of a monitor, or a damaged one"),
        ('{"loss": 1}\n', "no log of a monitor: gs.Monitor(game, log='run.jsonl') writes one"),
        (log_of([], version=7), "a log of version 7"),
        (log_of([3]), "no reading of a monitor"),
        (log_of([{"iteration": 20}]), "holds no centres of mass"),
        (log_of([record(20, [1.0]), record(40, [1.0, 2.0])]), "damaged"),
        (log_of([record(20, [[1.0]])]), "damaged"),
    ],
)
def test_other_files_are_no_history(call, content, part):
    if content is not None:
        Path("run.jsonl").write_text(content)
    result = call("a.py:game", "--history", "run.jsonl", source="raise RuntimeError('imported')\n")
    refused(result, part)
    assert "imported" not in result.stderr


@pytest.mark.parametrize("game, part", [(SIZES | {"sizes": [4, 8]}, "[4, 8], not [4, 9]"), (None, "not told")])
def test_the_log_of_another_game_is_refused(call, game, part):
    Path("run.jsonl").write_text(log_of([record(20, [1.0, 2.0])], game=game))
    quiet = GAME.replace('print("talkative")', "pass")
    refused(call("a.py:game", "--history", "run.jsonl", source=quiet), "the log of another game", part)
    assert not call.asked


# Wrong input


@pytest.mark.parametrize(
    "place, source, parts",
    [
        ("a.py", GAME, ["expected a Python file, a colon and the name of a function"]),
        (":game", GAME, ["a colon"]),
        ("a.py:", GAME, ["a colon"]),
        ("a.py:game()", GAME, ["a colon"]),
        ("a.txt:game", GAME, ["a file that ends in .py"]),
        ("missing.py:game", GAME, ["missing.py does not exist"]),
        ("a.py:game", "\nimport not_to_be_found\n", ["a.py, line 2", "ModuleNotFoundError", "not_to_be_found"]),
        ("a.py:game", "x = 1\ndef game(:\n", ["a.py, line 2", "SyntaxError"]),
        ("a.py:game", "x = 1\n\n1 / 0\n", ["a.py, line 3", "ZeroDivisionError"]),
        ("a.py:game", "import sys\nsys.exit('bye')\n", ["a.py, line 2", "SystemExit", "bye"]),
        ("a.py:gane", GAME, ["has no function 'gane'", "Did you mean 'game'"]),
        ("a.py:game", "game = 3\n", ["game is 3 (int)", "a function that returns a gs.RealGame"]),
        ("a.py:game", "def game(width, depth=2):\n    pass\n", ["game(width) needs arguments"]),
        ("a.py:game", "def game(checkpoint):\n    pass\n", ["game(checkpoint) needs", "--checkpoint PATH"]),
        ("a.py:game", "def game():\n    return {'a': 1}\n", ["returned {'a': 1} (dict)", "expected a gs.RealGame"]),
        ("a.py:game", "def game():\n    pass\n", ["returned None", "expected a gs.RealGame"]),
        ("a.py:game", "def game():\n    x = 1\n    return x.y\n", ["a.py, line 3", "game()", "AttributeError"]),
        (
            "a.py:game",
            "import ganscope as gs\ndef game():\n    return gs.UpdateRule(order='sometimes')\n",
            ["order = 'sometimes'", "alternating"],
        ),
    ],
)
def test_wrong_factories(call, place, source, parts):
    refused(call(place, source=source), *parts)
    assert not call.asked


def test_wrong_checkpoints(call):
    quiet = GAME.replace('print("talkative")', "pass")
    refused(call("a.py:game", "--checkpoint", "no.npz", source=quiet), "no.npz does not exist")
    refused(call("a.py:game", "--checkpoint", ".", source=quiet), "is not a file")
    Path("text.npz").write_text("no weights")
    refused(call("a.py:game", "--checkpoint", "text.npz", source=quiet), "text.npz")
    np.savez("wrong.npz", generator=np.zeros(3), discriminator=np.zeros(9))
    refused(call("a.py:game", "--checkpoint", "wrong.npz", source=quiet), "generator", "4")
    assert not call.asked
    np.savez("right.npz", generator=np.arange(4.0), discriminator=np.arange(9.0))
    told(call("a.py:game", "--checkpoint", "right.npz", source=quiet))
    np.testing.assert_array_equal(call.asked["game"].backend.point.generator, np.arange(4.0))


@pytest.mark.parametrize(
    "arguments, parts",
    [
        (["--set", "modes"], ["--set = 'modes'", "NAME=VALUE"]),
        (["--set", "modes=3", "--set", "modes=4"], ["every name once"]),
        (["--set", "mode=3"], ["'mode'", "Did you mean 'modes'"]),
        (["--set", "horizon=1000"], ["horizon must be a power of two"]),
        (["--set", "noise_batches=3"], ["noise_batches must be at least 4"]),
        (["--set", "convention=both"], ["half"]),
        (["--seed", "-1"], ["seed = -1"]),
        (["--html", "page.pdf"], ["a file that ends in .html"]),
        (["--html", "."], ["is a folder"]),
        (["--out", "a.py"], ["is a file"]),
    ],
)
def test_wrong_options_are_told_before_the_file_is_imported(call, arguments, parts):
    result = call("a.py:game", *arguments, source="raise RuntimeError('imported')\n")
    refused(result, *parts)
    assert "imported" not in result.stderr


def test_an_error_in_the_users_losses_names_their_line(call, monkeypatch):
    def diagnose(game, **options):
        game()

    monkeypatch.setattr(command, "diagnose", diagnose)
    monkeypatch.setattr(command, "load_game", lambda place, checkpoint: vars(sys.modules["users_own"])["losses"])
    Path("a.py").write_text("def losses():\n    return 1 + 'one'\n")
    module = type(sys)("users_own")
    exec(compile(Path("a.py").read_text(), str(Path("a.py").resolve()), "exec"), vars(module))
    monkeypatch.setitem(sys.modules, "users_own", module)
    refused(call("a.py:losses", source=None), "a.py, line 2", "diagnosing the game", "TypeError")


def test_debug_shows_the_traceback(cli):
    Path("a.py").write_text("1 / 0\n")
    result = CliRunner().invoke(app, ["--debug", "diagnose", "a.py:game"])
    assert result.exit_code == 2
    assert "Traceback" in result.stderr
    assert "ZeroDivisionError" in result.stderr


# Saved diagnoses


def test_show_tells_a_saved_diagnosis_again(call, cli):
    out = told(call("a.py:game", "--out", "kept"))
    Path("kept/diagnosis.html").unlink()
    again = told(cli("show", "kept"))
    assert again.splitlines()[:30] == out.splitlines()[:30]
    assert "drawn in kept/diagnosis.html" in again
    assert "<svg" in Path("kept/diagnosis.html").read_text()
    told(cli("show", "kept/diagnosis.json", "--out", "picture.png"))
    assert Path("picture.png").read_bytes().startswith(b"\x89PNG")
    content = only_json(cli("show", "kept/diagnosis.json", "--json"))
    assert content["verdict"]["outcome"] == "oscillating"
    assert content["path"] == "kept/diagnosis.json"


@pytest.mark.parametrize(
    "content, arguments, part",
    [
        (None, [], "does not exist"),
        ("{", [], "is not a saved diagnosis"),
        ("[1]", [], "is not a saved diagnosis"),
        ('{"verdict": {"outcome": "nice"}, "spectrum": {}}', [], "is not a saved diagnosis"),
        ("good", ["--export", "x.csv"], "--export"),
        ("good", ["--x", "modes"], "--x"),
        ("good", ["--out", "x.txt"], "a file that ends in .html"),
    ],
)
def test_show_refuses_what_it_cannot_show(cli, content, arguments, part):
    if content is not None:
        Path("d.json").write_text(json.dumps(diagnosis_example()) if content == "good" else content)
    refused(cli("show", "d.json", *arguments), part)
    assert not list(Path().glob("*.html"))


# The whole way


def test_help_fits_and_names_the_command(cli):
    result = cli("diagnose", "--help")
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert "FILE.py:FACTORY" in result.stdout


def test_a_real_game_from_its_file_to_its_page(cli):
    Path("a.py").write_text(GAME)
    result = cli("diagnose", "a.py:game", "--quick", "--json", "--html", "page.html", "--out", "kept")
    content = only_json(result)
    assert content["verdict"]["outcome"] in set(gs.Outcome)
    assert content["game"]["gradient_penalty"] == pytest.approx(0.3)
    assert content["game"]["gradient_penalty_full_convention"] == pytest.approx(0.15)
    assert "talkative" in result.stderr
    assert "<svg" in Path("page.html").read_text()
    assert json.loads(Path("kept/diagnosis.json").read_text())["verdict"] == content["verdict"]
    assert "VERDICT" in told(cli("show", "kept"))
    assert gs.plot(json.loads(Path("kept/diagnosis.json").read_text())).axes


def test_a_monitors_own_log_counts_in_the_verdict(cli):
    """Written by a monitor of the same game, which stands still, so that the observed wander is 0."""
    Path("a.py").write_text(GAME.replace('print("talkative")', "pass"))
    names: dict = {}
    exec(compile(Path("a.py").read_text(), "a.py", "exec"), names)
    game = names["game"]()
    now = [0.0]  # readings take no time: the budget forbids none
    monitor = gs.Monitor(game, every=1, log="run.jsonl", clock=lambda: now[0], measure=lambda *_, **__: {})
    for second in range(45):
        now[0] = float(second)
        monitor.step(game.backend.point)
    content = only_json(cli("diagnose", "a.py:game", "--quick", "--json", "--history", "run.jsonl"))
    assert content["prediction"]["observed_wander"] == pytest.approx(0.0, abs=1e-12)
    assert "observed wander" in " ".join(content["verdict"]["reasons"])


def test_detached_samples_are_refused_with_the_advice(cli):
    Path("a.py").write_text(
        GAME.replace("score(fake)))\n    return", "score(jax.lax.stop_gradient(fake))))\n    return")
    )
    Path("a.py").write_text(Path("a.py").read_text().replace('print("talkative")', "pass"))
    refused(cli("diagnose", "a.py:game", "--quick"), "cannot be diagnosed", "T1", "remove detach/stop_gradient")


def test_ctrl_c_is_heard_where_a_library_swallows_it(call, monkeypatch):
    """The exception is lost, the next report of progress raises it again."""

    def diagnose(game, progress, **options):
        with contextlib.suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        progress("diagnosis", 1, 2)
        raise AssertionError("went on")

    monkeypatch.setattr(command, "diagnose", diagnose)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        result = call("a.py:game", "--html", "page.html", source=GAME.replace('print("talkative")', "pass"))
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
    assert (result.exit_code, result.stdout, result.stderr) == (130, "", "ganscope: interrupted\n")
    assert not Path("page.html").exists()


def test_ctrl_c_leaves_nothing_half_written(tmp_path):
    """Interrupted while the user's own code runs: status 130, one line, no file."""
    source = GAME + "\ndef slow():\n    import pathlib, time\n    pathlib.Path('started').touch()\n    time.sleep(60)\n"
    (tmp_path / "a.py").write_text(source)
    arguments = ["diagnose", "a.py:slow", "--html", "page.html", "--out", "kept", "--json"]
    err = ctrl_c(started(tmp_path, *arguments, appears="started"))
    assert err == "ganscope: interrupted\n"
    assert {path.name for path in tmp_path.iterdir()} <= {"a.py", "started", "__pycache__"}


def test_ctrl_c_that_a_finalizer_loses_is_pressed_again(tmp_path):
    """Python ignores an exception in a finalizer or in the callback of a weak reference, KeyboardInterrupt included."""
    source = (
        "\nimport signal, time\nclass Loses:\n    def __del__(self):\n        signal.raise_signal(signal.SIGINT)\n"
        "def slow():\n    Loses()\n    time.sleep(60)\n    open('went-on', 'w')\n"
    )
    (tmp_path / "a.py").write_text(GAME + source)
    process = started(tmp_path, "diagnose", "a.py:slow", appears="never")
    out, err = process.communicate()
    assert (process.returncode, out, err) == (130, "", "ganscope: interrupted\n")
    assert not (tmp_path / "went-on").exists()
