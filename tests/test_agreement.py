"""The agreement of theory and simulation on phase diagrams: what is counted, and that files and definitions are one."""

import dataclasses
import warnings
from pathlib import Path

import numpy as np
import pytest
from command_line import only_json, refused

import ganscope as gs
from ganscope.cli.experiment import read_sweep
from ganscope.sweep.agreement.agreement import compute, count, within_margin
from ganscope.sweep.agreement.diagrams import Diagram, Margin, diagrams, select
from ganscope.sweep.plan import make_plan

ROOT = Path(__file__).resolve().parents[1]
KNOWN = diagrams()
QUICK = [name for name in KNOWN if not name.startswith("particle")]


def computed(diagram, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of single cells, at the coarse ends of the grids
        return compute(diagram, None, workers=0, **options)


@pytest.mark.parametrize("name", KNOWN)
def test_a_file_and_its_diagram_are_the_same_experiment(name):
    diagram = KNOWN[name]
    asked = read_sweep(ROOT / "examples" / "sweeps" / f"{diagram.stem}.toml", None)
    settings = {"replicas": 1, "seed": 0, **asked.arguments}
    first = [settings.pop(key) for key in ("measure", "level", "replicas", "seed")]
    file = make_plan(asked.game, asked.over, *first, settings)
    for over in (diagram.over, diagram.fast):
        own = make_plan(diagram.game, over, diagram.measure, diagram.level, diagram.replicas, 0, diagram.settings)
        assert own.identity() == file.identity()
        same = [
            mine.labels.tolist() == theirs.labels.tolist() for mine, theirs in zip(own.axes, file.axes, strict=True)
        ]
        assert all(same) == (over is diagram.over)
        assert own.cells == file.cells if over is diagram.over else own.cells < file.cells


def test_every_file_belongs_to_a_diagram():
    assert {path.stem for path in (ROOT / "examples" / "sweeps").glob("*.toml")} == {d.stem for d in KNOWN.values()}


@pytest.mark.parametrize("name", QUICK)
def test_a_fast_diagram_agrees(name):
    diagram = KNOWN[name]
    result = computed(diagram, fast=True)
    found = count(diagram, result)
    assert found.passed
    assert found.share >= diagram.least
    # counted once more, cell by cell
    near, agree, counted = within_margin(diagram, result), 0, 0
    for place in np.ndindex(result.status.shape):
        verdicts = [str(result[name].values[place]) for name in ("outcome", "predicted_outcome")]
        if result.status.values[place] == 1 and "undecided" not in verdicts and not near[place]:
            counted += 1
            agree += verdicts[0] == verdicts[1]
    assert (found.agree, found.counted) == (agree, counted)
    assert found.counted + found.near == found.decided
    assert sum(kind.cells for kind in found.differences) == counted - agree


@pytest.mark.parametrize("name", [name for name in KNOWN if KNOWN[name].margin is not None])
def test_a_margin_is_a_statement_of_theory(name):
    """It must not look at what the simulation found."""
    diagram = KNOWN[name]
    over = {axis: values[:2] for axis, values in diagram.fast.items()}
    short = {**diagram.settings, "horizon": 2.0}
    result = computed(dataclasses.replace(diagram, over=over, settings=short, replicas=1))
    covered = diagram.margin.covers(result)
    simulated = ["outcome", "detail", "margin", "near_critical", "agreement"]
    observed = [
        v for v in result.data_vars if not v.startswith(("predicted_", "threshold_", "rate_", "best_", "status"))
    ]
    assert set(simulated) <= set(observed)
    np.testing.assert_array_equal(diagram.margin.covers(result.drop_vars(observed)), covered)


def test_a_feature_that_is_learned_in_part_is_within_the_margin():
    """The overlap of active recovery and the critical one, against those that theory gives single games."""
    noises, rates = [0.5, 2.6, 3.0, 4.2], [0.04, 0.36]
    diagram = dataclasses.replace(KNOWN["solvable:noise-rate"], over={"data_noise": noises, "generator_lr": rates})
    result = computed(diagram)
    covered = diagram.margin.covers(result)
    for place in np.ndindex(covered.shape):
        said = gs.predict(diagram.game.replace(data_noise=noises[place[0]], generator_lr=rates[place[1]]))
        overlap = 1.0
        if said.detail == "success/silent":
            overlap = said.thresholds["critical_overlap"][0]
        if said.detail == "success/active":
            active = [rest.state for rest in said.equilibria if rest.label == "active_recovery"]
            overlap = max(abs(float(np.ravel(state.P)[0])) for state in active)
        assert covered[place] == (overlap < 0.7)
    assert 0 < covered.sum() < covered.size


def test_cells_without_a_step_fail_and_do_not_count():
    game = gs.DiracGAN(loss="saturating", gradient_penalty=0.5)
    over = {"generator_lr": [0.5, 4.0], "level": ["nash", "explicit_sequential"]}
    diagram = Diagram("dualflow:own", "", game, over, over, None, {"step_size": 3.0, "iterations": 200})
    result = computed(diagram)
    with pytest.raises(gs.NashNotConverged) as raised:
        gs.simulate(game.replace(generator_lr=4.0), "nash", step_size=3.0, iterations=200)
    assert result.status.values.tolist() == [[1, 1], [2, 1]]
    assert result.message.values[1, 0] == str(raised.value)
    found = count(diagram, result)
    assert (found.cells, found.failed) == (4, 1)
    assert found.decided <= 3


def test_differences_are_told_with_a_cell_of_their_own():
    """A diagram of which half the cells are made to differ, and one to lie in the margin."""
    game = gs.DiracGAN(gradient_penalty=0.5)
    over = {"generator_lr": [0.5, 1.0, 2.0, 4.0]}
    margin = Margin("the first cell", lambda result: np.arange(result.status.size) == 0)
    diagram = Diagram(
        "dualflow:own", "", game, over, over, "explicit", {"step_size": 0.01, "horizon": 100.0}, margin=margin
    )
    result = computed(diagram)
    assert count(diagram, result).share == 1
    assert (count(diagram, result).near, count(diagram, result).counted) == (1, 3)
    result.outcome.values[[0, 2]] = "diverged"
    result.detail.values[[0, 2]] = "escaped"
    result.agreement.values[[0, 2]] = 0
    found = count(diagram, result)
    assert (found.agree, found.counted, found.share_of_decided, found.passed) == (2, 3, 0.5, False)
    (kind,) = found.differences
    assert (kind.cells, kind.example, kind.simulated) == (1, {"generator_lr": 2.0}, "diverged, escaped")
    result.outcome.values[:] = "undecided"
    result.agreement.values[:] = -1
    assert count(diagram, result).share is None
    assert not count(diagram, result).passed


def test_diagrams_are_chosen_by_name_or_model():
    assert [one.name for one in select(["kernel", "kernel:rate-bandwidth"])] == [n for n in KNOWN if n[:6] == "kernel"]
    assert [one.name for one in select([])] == list(KNOWN)
    with pytest.raises(gs.ParameterError, match="kernel"):
        select(["kernl"])


def test_the_command_computes_goes_on_and_counts(cli, tmp_path):
    content = only_json(cli("agreement", "solvable:strength-noise", "--fast", "--workers", "0", "--json"))
    (one,) = content["diagrams"]
    assert content["passed"]
    assert one["counted"] + one["near"] == one["decided"]
    assert Path(one["picture"]).exists()
    store = tmp_path / "runs" / "agreement" / "solvable_strength_noise_fast.zarr"
    assert gs.load(store).status.size == one["cells"]
    again = cli("agreement", "solvable:strength-noise", "--fast")
    assert again.exit_code == 0
    assert f"{100 * one['share']:.1f} %" in again.stdout
    assert "level" not in gs.load(store).dims


def test_the_command_says_what_there_is_and_refuses_the_rest(cli, tmp_path):
    listed = cli("agreement", "--list", "particle")
    assert listed.exit_code == 0
    assert all((name in listed.stdout) == name.startswith("particle") for name in KNOWN)
    assert not (tmp_path / "runs").exists()
    refused(cli("agreement", "nothing"), "diagram", "kernel")
    refused(cli("agreement", "--write", "x.md", "--fast"), "--write")
    (tmp_path / "x.md").write_text("no place for numbers")
    refused(cli("agreement", "--write", "x.md"), "x.md")
    assert not (tmp_path / "runs").exists()


def test_a_document_gets_its_numbers_and_keeps_its_words(cli, tmp_path, monkeypatch):
    over = {"generator_lr": [1.0, 2.0], "level": ["explicit"]}
    tiny = Diagram("dualflow:tiny", "", gs.DiracGAN(gradient_penalty=0.5), over, over, None, {"step_size": 0.1})
    monkeypatch.setattr("ganscope.cli.agreement.select", lambda names: [tiny])
    page = tmp_path / "x.md"
    page.write_text("words @\n<!-- numbers: begin -->\nold\n<!-- numbers: end -->\nmore words\n")
    assert cli("agreement", "--write", page, "--workers", 0).exit_code == 0
    text = page.read_text()
    assert text.startswith("words @\n<!-- numbers: begin -->\n\n| diagram |")
    assert text.endswith("\n\n<!-- numbers: end -->\nmore words\n")
    assert "| dualflow:tiny | 2 | 2 | 0 | 2 | 2 | 100.0 % | 95.0 % |" in text
    assert "old" not in text
    monkeypatch.setattr("ganscope.cli.agreement.select", lambda names: [dataclasses.replace(tiny, least=1.1)])
    failed = cli("agreement", "dualflow")
    assert failed.exit_code == 1
    assert "TOO SMALL: dualflow:tiny" in failed.stdout


def test_the_document_names_every_diagram_and_its_bound():
    text = (ROOT / "docs" / "agreement.md").read_text(encoding="utf-8")
    for name, diagram in KNOWN.items():
        row = next(line for line in text.splitlines() if line.startswith(f"| {name} |"))
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        assert int(cells[1]) == np.prod([len(values) for values in diagram.over.values()])
        if diagram.least is not None:
            assert float(cells[6].rstrip(" %")) >= 100 * diagram.least
            assert float(cells[7].rstrip(" %")) == 100 * diagram.least
