"""`ganscope show`: summarise saved runs and draw them again."""

from pathlib import Path

import xarray as xr

from ganscope.cli.folder import PICTURE
from ganscope.cli.output import say, table, wrapped
from ganscope.cli.predict import heading, outcome_line
from ganscope.cli.run import header, remarks, verdict_rows
from ganscope.core.errors import StoreError
from ganscope.core.results import game_of
from ganscope.core.simulate import classify, predict
from ganscope.core.store import load
from ganscope.figures.plot import plot


def show_path(path: Path, out: Path | None) -> int:
    """Show one run, all levels in a folder, or every folder of a folder with variants; returns the exit status."""
    if not path.exists():
        raise StoreError(f"{path} does not exist")
    if path.suffix == ".zarr":
        _show("", [path], out or path.with_suffix(".png"))
        return 0
    groups = {folder: sorted(folder.glob("*.zarr")) for folder in [path, *sorted(path.glob("*/"))]}
    groups = {folder: found for folder, found in groups.items() if found and folder.suffix != ".zarr"}
    if not groups:
        raise StoreError(f"{path} holds no saved runs (*.zarr)")
    if out is not None and len(groups) > 1:
        raise StoreError(f"{path} holds several variants: show one of them to draw it to {out}")
    for folder, found in groups.items():
        _show("" if folder == path else folder.name, found, out or folder / PICTURE)
    return 0


def _show(name: str, paths: list[Path], picture: Path) -> None:
    runs = {path.stem: load(path) for path in paths}
    games = {level: game_of(run) for level, run in runs.items()}
    first, game = next(iter(games.items()))
    for level, other in games.items():
        if other != game:
            raise StoreError(f"{paths[0].parent} holds runs of different games: {first} and {level}; show one of them")
    prediction = predict(game, first, runs[first].attrs.get("rule"), runs[first].attrs.get("step_size"))
    verdicts = {level: classify(run) for level, run in runs.items()}
    title = f"{name}: " if name else ""
    plot(list(runs.values()), picture, title=f"{title}predicted {outcome_line(prediction)}")
    say(heading(name, game))
    say()
    say(table(header(next(iter(runs.values()))), verdict_rows(runs, verdicts, []), left=3))
    for line in remarks(verdicts):
        say(wrapped(line, "  "))
    for level, run in runs.items():
        say(wrapped(f"{level}: {_sizes(run)}", "  "))
    say(wrapped(f"prediction: {outcome_line(prediction)}", "  "))
    say(f"drawn in {picture}")
    say()


def _sizes(run: xr.Dataset) -> str:
    """How long, how large, how often, and from which seed."""
    times = run.time.values
    parts = [f"{len(times)} records up to time {times[-1]:g}"]
    parts += [
        f"{name} {run.attrs[name]}" for name in ("dimension", "rule", "step_size", "replicas") if name in run.attrs
    ]
    return ", ".join([*parts, f"seed {run.attrs['seed']}", f"version {run.attrs['version']}"])
