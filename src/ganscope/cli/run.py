"""`ganscope run`: from an experiment file to prediction, runs, comparison, verdicts and a picture."""

import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import xarray as xr

from ganscope.cli.experiment import Experiment, ExperimentError, read_experiments
from ganscope.cli.folder import (
    PICTURE,
    REPORT,
    WAYS_OUT,
    level_path,
    prepare,
    read_report,
    refuse_foreign,
    settings_text,
    stored_run,
)
from ganscope.cli.output import print_json, say, shown, table, wrapped
from ganscope.cli.predict import collected, game_content, has_schemes, heading, outcome_line, thresholds_table
from ganscope.cli.progress import progress_bar
from ganscope.core.errors import NotApplicable, ParameterError, StoreError
from ganscope.core.game import Game
from ganscope.core.outcome import Outcome, Prediction, Verdict
from ganscope.core.plain import to_json_text
from ganscope.core.results import compare
from ganscope.core.simulate import classify, level_schedule, predict, simulate
from ganscope.core.store import save, write_text
from ganscope.core.version import package_version
from ganscope.figures.plot import plot
from ganscope.games.dualflow.failures import (
    CouplingNotOptimal,
    DegenerateQuantiles,
    DomainTooSmall,
    NashNotConverged,
    ProxNotConverged,
    StepTooLarge,
)

# A level whose steps have no solution: foreseeable, and nothing is wrong with the program.
FAILURES = (
    CouplingNotOptimal,
    DegenerateQuantiles,
    DomainTooSmall,
    NashNotConverged,
    ProxNotConverged,
    StepTooLarge,
)
# Final values of larger variables, such as every weight, stay in the saved run.
_LARGEST_FINAL = 1000
# Reasons that stand below a table; a prediction by itself lists all of its reasons.
_MOST_REASONS = 3
# What runs with different noise have in common, if they have it at all.
_ORDER_PARAMETERS = ("coverage", "soft_coverage", "entropy", "spread", "quality", "wander")


class Refused(Exception):
    """A level cannot be run with these settings."""


def run_file(path: Path, out: Path | None, as_json: bool, force: bool) -> int:
    """Run every experiment of a file; returns the exit status.

    Everything that can be refused is refused before the first run starts.
    """
    experiments = read_experiments(path)
    folder = out or Path("runs") / path.stem
    folders = {e.name: folder / e.name if e.name else folder for e in experiments}
    if experiments[0].name and not force:
        _refuse_other_report(folder)
    reports = {}
    try:
        for experiment in experiments:
            try:
                _check(experiment, folders[experiment.name], force)
            except Refused as error:
                variant = f"variant {experiment.name!r}: " if experiment.name else ""
                raise ExperimentError(path, f"{variant}{error}") from None
        for place in folders.values():
            prepare(place)
        for experiment in experiments:
            reports[experiment.name] = _run(experiment, folders[experiment.name], as_json, force)
    except KeyboardInterrupt:
        again = "the same command without --force" if force else "the same command"
        raise KeyboardInterrupt(f"finished levels are kept in {folder}; {again} goes on from there") from None
    content = {**collected(reports), "version": package_version()}
    if experiments[0].name:
        write_text(folder / REPORT, to_json_text(content) + "\n")
    if as_json:
        print_json(content)
    return int(not all(report["agree"] for report in reports.values()))


def _refuse_other_report(folder: Path) -> None:
    """The folder of a file with variants has a report of variants, or none."""
    if (folder / REPORT).exists() and "variants" not in (read_report(folder) or {}):
        raise StoreError(f"{folder / REPORT} is of another experiment; {WAYS_OUT}")


def _check(experiment: Experiment, folder: Path, force: bool) -> None:
    """Refuse bad settings and foreign folders before any work: every level that must be run takes no step first."""
    if not force:
        refuse_foreign(folder, experiment.game)
    for level, settings in experiment.levels.items():
        if not force and stored_run(folder, experiment.game, level, settings) is not None:
            continue
        try:
            _check_level(experiment.game, level, settings)
        except (ParameterError, NotApplicable, *FAILURES) as error:
            name = f"level {level}: " if len(experiment.levels) > 1 else ""
            raise Refused(f"{name}{error}") from None


def _check_level(game: Game, level: str, settings: Mapping[str, Any]) -> None:
    start = simulate(game, level, **{**settings, "save_at": [0.0]})
    length = (settings.get(name) for name in ("horizon", "iterations", "save_at"))
    rule, dimension = start.attrs.get("rule"), start.attrs.get("dimension")
    level_schedule(game, game.levels[level], rule, dimension, settings.get("step_size"), *length)


def _run(experiment: Experiment, folder: Path, quiet: bool, force: bool) -> dict[str, Any]:
    """Predict, simulate, compare, classify, save, draw and report one experiment."""
    prediction = predict(experiment.game, **experiment.about)
    theories = {level: predict(experiment.game, **experiment.about_level(level)) for level in experiment.apart}
    runs, reused = {}, []
    for level, settings in experiment.levels.items():
        run = None if force else stored_run(folder, experiment.game, level, settings)
        if run is not None:
            reused.append(level)
        runs[level] = _simulate(experiment, level, settings, folder) if run is None else run
    verdicts = {level: classify(run) for level, run in runs.items()}
    comparison = _comparison(experiment, runs)
    agreed = as_predicted(prediction, theories, verdicts)
    title = f"{experiment.name}: " if experiment.name else ""
    plot(list(runs.values()), folder / PICTURE, title=f"{title}predicted {outcome_line(prediction)}")
    report = {
        "game": game_content(experiment.game),
        "prediction": prediction.to_dict(),
        "runs": {
            level: verdicts[level].to_dict()
            | {
                "final": final_values(run),
                "seconds": run.attrs["seconds"],
                "path": str(level_path(folder, level)),
                "reused": level in reused,
            }
            | ({"prediction": theories[level].to_dict()} if level in theories else {})
            for level, run in runs.items()
        },
        "comparison": comparison,
        "agree": agreed,
    }
    write_text(folder / REPORT, to_json_text(report | {"version": package_version()}) + "\n")
    if not quiet:
        _tell(experiment, prediction, theories, runs, verdicts, reused)
        alike = all(
            Outcome.UNDECIDED in (theory.outcome, verdict.outcome) or theory.outcome == verdict.outcome
            for theory, verdict in ((theories.get(level, prediction), verdict) for level, verdict in verdicts.items())
        )
        _tell_comparison(comparison, agreed, alike)
        files = [level_path(folder, level).name for level in runs]
        say(wrapped(f"saved in {folder}: {', '.join([*files, REPORT, PICTURE])}", "  "))
        say()
    return report


def _simulate(experiment: Experiment, level: str, settings: Mapping[str, Any], folder: Path) -> xr.Dataset:
    """One level, saved."""
    with progress_bar(experiment.name):
        began = time.perf_counter()
        try:
            run = simulate(experiment.game, level, **settings)
        except FAILURES as error:
            variant = f"variant {experiment.name!r}, " if experiment.name else ""
            raise NotApplicable(f"{variant}level {level}: {error}") from error
        run.attrs["seconds"] = round(time.perf_counter() - began, 4)
    run.attrs["settings"] = settings_text(settings)
    save(run, level_path(folder, level), overwrite=True)
    return run


def _comparison(experiment: Experiment, runs: Mapping[str, xr.Dataset]) -> dict[str, Any]:
    """Distances of every level from the first one without noise of its own.

    If all have such noise, particles cannot be compared one by one, but order parameters can: averaged over replicas,
    with those of the first level.
    """
    levels = experiment.game.levels
    paired = all(levels[level].paired for level in runs)
    reference = next((level for level in runs if paired or not levels[level].stochastic), None)
    if reference is None:
        runs, reference = {level: _order_parameters(run) for level, run in runs.items()}, next(iter(runs))
    return {
        level: {"reference": reference, "distances": _distances(run, runs[reference], paired)}
        for level, run in runs.items()
        if level != reference and run.data_vars
    }


def _distances(run: xr.Dataset, reference: xr.Dataset, paired: bool) -> dict[str, dict[str, float]]:
    """Summaries of the distance from a reference; the mean over replicas where these belong together in pairs."""
    if not paired or "replica" not in run.dims:
        summary: dict[str, dict[str, float]] = compare(run, reference).attrs["summary"]
        return summary
    each = [_distances(run.isel(replica=k), reference.isel(replica=k), paired) for k in range(run.sizes["replica"])]
    return {name: {kind: sum(s[name][kind] for s in each) / len(each) for kind in each[0][name]} for name in each[0]}


def _order_parameters(run: xr.Dataset) -> xr.Dataset:
    """The order parameters of a run, averaged over replicas."""
    shared = run[[name for name in _ORDER_PARAMETERS if name in run]]
    return shared.mean("replica", keep_attrs=True) if "replica" in shared.dims else shared


def final_values(run: xr.Dataset) -> dict[str, Any]:
    """Values of the observables at the end, as nested lists; with replicas, one entry per replica."""
    end = run.isel(time=-1)
    return {
        str(name): end[name].values.tolist()
        for name, variable in run.data_vars.items()
        if "time" in variable.dims and end[name].size <= _LARGEST_FINAL * int(run.attrs.get("replicas", 1))
    }


def agree(*statements: Prediction | Verdict) -> bool:
    """Whether all outcomes that are neither undecided nor near critical are the same."""
    firm = {s.outcome for s in statements if s.outcome != Outcome.UNDECIDED and not s.near_critical}
    return len(firm) <= 1


def as_predicted(prediction: Prediction, theories: Mapping[str, Prediction], verdicts: Mapping[str, Verdict]) -> bool:
    """Whether every run ends as theory says: by its own prediction, or by that of the first level."""
    others = [verdict for level, verdict in verdicts.items() if level not in theories]
    return agree(prediction, *others) and all(agree(theory, verdicts[level]) for level, theory in theories.items())


def verdict_rows(runs: Mapping[str, xr.Dataset], verdicts: Mapping[str, Verdict], reused: list[str]) -> list[list[str]]:
    """A line per level: outcome, detail, margin, time taken, and what the observables say at the end."""
    rows = []
    for level, run in runs.items():
        verdict = verdicts[level]
        seconds = "reused" if level in reused else shown(run.attrs.get("seconds"), 3)
        rows.append([level, verdict.outcome, verdict.detail, shown(verdict.margin, 3), seconds, _end(run)[1]])
    return rows


def header(run: xr.Dataset) -> list[str]:
    """Titles of the columns of `verdict_rows`."""
    return ["level", "outcome", "detail", "margin", "seconds", _end(run)[0]]


def _end(run: xr.Dataset) -> tuple[str, str]:
    """What is worth a look at the end of a run, means over replicas: its name and its value."""
    end = run.isel(time=-1)
    end = end.mean("replica") if "replica" in end.dims else end
    if "recovery" in run:
        values = end.recovery.values
        text = " ".join("-" if math.isnan(v) else f"{v:.2f}" for v in values[:4]) + " ..." * (len(values) > 4)
        return "recovery", text
    if "covered" in run:
        mmd2 = float(end.mmd2)
        rounded = 0.0 if mmd2 < 0 else mmd2  # a square, but for rounding
        return "mmd2, covered", f"{shown(rounded, 2)}, {shown(float(end.covered))}/{run.sizes['real_point']}"
    if "soft_coverage" in run:
        return "soft_coverage", shown(float(end.soft_coverage), 3)
    if "mass_coverage" in run:
        return "w2, coverage", f"{shown(float(end.w2), 3)}, {shown(float(end.mass_coverage), 3)}"
    for name in ("w2", "distance", "radius", "amplitude"):
        if name in run:
            return name, shown(float(end[name]))
    return "", ""


def remarks(statements: Mapping[str, Prediction | Verdict]) -> list[str]:
    """Why something is undecided, and what is near critical."""
    why: dict[str, list[str]] = {}
    for name, statement in statements.items():
        if statement.outcome == Outcome.UNDECIDED:
            reasons = [reason.rstrip(".") for reason in statement.reasons[:_MOST_REASONS]]
            more = " (ganscope predict says more)" if len(statement.reasons) > _MOST_REASONS else ""
            why.setdefault("; ".join(reasons).replace(":; ", ": ") + more, []).append(name)
    lines = [f"{', '.join(names)}: {reasons}" for reasons, names in why.items()]
    near = [name for name, s in statements.items() if s.near_critical]
    return lines + ([f"near critical: {', '.join(near)}"] if near else [])


def _tell(
    experiment: Experiment,
    prediction: Prediction,
    theories: Mapping[str, Prediction],
    runs: Mapping[str, xr.Dataset],
    verdicts: Mapping[str, Verdict],
    reused: list[str],
) -> None:
    say(heading(experiment.name, experiment.game))
    say()
    say(thresholds_table(experiment.game, prediction))
    say()
    rows = verdict_rows(runs, verdicts, reused)
    titles = header(next(iter(runs.values())))
    if has_schemes(experiment.game):  # a column for theory, and none for the margin
        say(wrapped(f"prediction: {outcome_line(prediction)}", "  "))
        say()
        titles = [titles[0], "predicted", *titles[1:3], *titles[4:]]
        rows = [[row[0], theories.get(row[0], prediction).outcome, *row[1:3], *row[4:]] for row in rows]
    else:
        rows.insert(0, ["prediction", prediction.outcome, prediction.detail, shown(prediction.margin, 3), "", ""])
    say(table(titles, rows, left=4 if "predicted" in titles else 3))
    own = {f"theory of {level}": theory for level, theory in theories.items()}
    for line in remarks({"prediction": prediction, **own, **verdicts}):
        say(wrapped(line, "  "))
    say()


def _tell_comparison(comparison: Mapping[str, Any], agreed: bool, alike: bool) -> None:
    for level, entry in comparison.items():
        ordered = sorted(entry["distances"].items(), key=lambda item: item[0].lower())
        distances = ", ".join(f"{k} {shown(v['mean'], 2)}" for k, v in ordered if abs(v["mean"]) > 0)
        say(wrapped(f"mean distance {level} - {entry['reference']}: {distances}", "  "))
    agreement = "the outcomes agree" if alike else "the outcomes differ, but it is a close decision (near critical)"
    say(agreement if agreed else "THE OUTCOMES DIFFER")
