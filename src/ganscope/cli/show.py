"""`ganscope show`: summarise saved runs and draw them again."""

from pathlib import Path

import xarray as xr

from ganscope.cli.folder import PICTURE
from ganscope.cli.output import say, table, wrapped
from ganscope.cli.predict import heading, outcome_line
from ganscope.cli.progress import progress_bar
from ganscope.cli.run import header, remarks, verdict_rows
from ganscope.core.errors import StoreError
from ganscope.core.results import game_of
from ganscope.core.simulate import classify, predict
from ganscope.core.store import load
from ganscope.figures.animation import animate
from ganscope.figures.plot import plot


def _target(out: Path | None) -> Path | None:
    """Where to draw: a file with a suffix.

    Raises:
        StoreError: If it is a folder.
    """
    if out is not None and out.is_dir():
        raise StoreError(f"{out} is a folder: give a file, for example {out / 'run.png'}")
    return out if out is None or out.suffix else out.with_suffix(".png")


def show_path(path: Path, out: Path | None) -> int:
    """Show one run, all levels in a folder, or every folder of a folder with variants; returns the exit status."""
    groups, out = _saved(path), _target(out)
    if path.suffix == ".zarr":
        _show("", [path], out or path.with_suffix(".png"))
        return 0
    if out is not None and len(groups) > 1:
        raise StoreError(f"{path} holds several variants: show one of them to draw it to {out}")
    for folder, found in groups.items():
        _show("" if folder == path else folder.name, found, out or folder / PICTURE)
    return 0


def animate_path(path: Path, out: Path | None) -> int:
    """Animate one run, or every run in a folder, each into a file of its own; returns the exit status."""
    paths = [run for found in _saved(path).values() for run in found]
    if out is not None and len(paths) > 1:
        names = ", ".join(str(run.relative_to(path)) for run in paths)
        raise StoreError(f"{path} holds several runs ({names}): animate one of them to write {out}")
    if out is not None and out.is_dir():
        raise StoreError(f"{out} is a folder: give a file, for example {out / 'run.gif'}")
    for run in paths:
        with progress_bar():
            film = animate(load(run), out or run.with_suffix(".gif"))
        say(f"animated in {film}")
    return 0


def _saved(path: Path) -> dict[Path, list[Path]]:
    """Saved runs by their folder: one run, those in a folder, or those in the folders of its variants."""
    if not path.exists():
        raise StoreError(f"{path} does not exist")
    if path.suffix == ".zarr":
        return {path.parent: [path]}
    groups = {folder: sorted(folder.glob("*.zarr")) for folder in [path, *sorted(path.glob("*/"))]}
    groups = {folder: found for folder, found in groups.items() if found and folder.suffix != ".zarr"}
    if not groups:
        raise StoreError(f"{path} holds no saved runs (*.zarr)")
    return groups


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
