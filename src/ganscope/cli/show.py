"""`ganscope show`: summarise saved runs and sweeps, draw them again, and export them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import xarray as xr

from ganscope.cli.folder import PICTURE
from ganscope.cli.output import say, shown, table, wrapped
from ganscope.cli.predict import heading, outcome_line
from ganscope.cli.progress import progress_bar
from ganscope.cli.run import header, remarks, verdict_rows
from ganscope.cli.show_diagnosis import is_saved_diagnosis, show_diagnosis
from ganscope.cli.show_sweep import check_suffix, is_sweep, show_sweep
from ganscope.core.errors import NotApplicable, ParameterError, StoreError
from ganscope.core.export import export
from ganscope.core.results import game_of
from ganscope.core.simulate import classify, predict
from ganscope.core.store import load
from ganscope.figures.animation import animate
from ganscope.figures.curves import is_boundary, is_continuation, names_of
from ganscope.figures.plot import plot


def _target(out: Path | None) -> Path | None:
    """Where to draw: a file with a suffix.

    Raises:
        StoreError: If it is a folder.
    """
    if out is not None and out.is_dir():
        raise StoreError(f"{out} is a folder: give a file, for example {out / 'run.png'}")
    return out if out is None or out.suffix else out.with_suffix(".png")


def show_path(path: Path, out: Path | None, export_to: Path | None = None, as_json: bool = False, **view: Any) -> int:
    """Show a sweep, a diagnosis, one run, all levels in a folder, or every folder of a folder with variants.

    Args:
        path: A store or a folder of stores.
        out: Where to draw.
        export_to: A file `.nc` or `.csv` for what one store holds.
        as_json: Of a sweep or a diagnosis: print one JSON object.
        view: Of a sweep: what is drawn, as `draw_sweep` takes it.

    Returns:
        The exit status.
    """
    if is_saved_diagnosis(path):
        _refuse(False, {"export": export_to, **view})
        return show_diagnosis(path, out, as_json)
    out = _target(out)
    if _is_store(path):
        content = load(path)
        if is_sweep(content):
            return show_sweep(path, content, out, as_json=as_json, table_file=export_to, **view)
        _refuse(as_json, view)
        if export_to is not None:
            check_suffix(export_to)
            say(f"exported to {export(content, export_to)}")
        if is_boundary(content) or is_continuation(content):
            return _show_curve(path, content, out or path.with_suffix(".png"))
    elif export_to is not None:
        raise ParameterError("--export", str(export_to), f"nothing with a folder: show one of the stores in {path}")
    elif path.is_dir() and (sweeps := [found for found in sorted(path.glob("*.zarr")) if is_sweep(load(found))]):
        names = ", ".join(str(found) for found in sweeps)
        raise StoreError(f"{path} holds sweeps: show one of them ({names})")
    _refuse(as_json, view)
    groups = _saved(path)
    if _is_store(path):
        _show("", [path], out or path.with_suffix(".png"))
        return 0
    if out is not None and len(groups) > 1:
        raise StoreError(f"{path} holds several variants: show one of them to draw it to {out}")
    for folder, found in groups.items():
        _show("" if folder == path else folder.name, found, out or folder / PICTURE)
    return 0


def _is_store(path: Path) -> bool:
    """Whether a path is one store rather than a folder of them."""
    return path.suffix == ".zarr" or (path / "zarr.json").is_file()


def _refuse(as_json: bool, view: dict[str, Any]) -> None:
    """Options that only a sweep has.

    Raises:
        ParameterError: If there are any.
    """
    given = {"json": as_json or None, **view}
    for name, value in given.items():
        if value is not None:
            raise ParameterError(f"--{name}", value, "nothing: it goes with a sweep")


def read_places(texts: Sequence[str]) -> dict[str, str] | None:
    """Values of axes from texts such as `generator_lr=0.1`; None if there are none.

    Raises:
        ParameterError: If a text is something else, or a name occurs twice.
    """
    places: dict[str, str] = {}
    for text in texts:
        name, sign, value = (part.strip() for part in text.partition("="))
        if not sign or not name or not value or name in places:
            raise ParameterError("--at", text, "NAME=VALUE, every name once")
        places[name] = value
    return places or None


def _show_curve(path: Path, curve: xr.Dataset, picture: Path) -> int:
    """A boundary or a continued equilibrium: what it is, and its picture."""
    plot(curve, picture)
    over = " and ".join(names_of(curve))
    if is_boundary(curve):
        pieces = len(set(curve.segment.values.tolist()))
        say(wrapped(f"{path}: boundary over {over}, {curve.sizes['point']} points in {pieces} pieces", "  "))
        say(wrapped(f"{curve.attrs['evaluations']} evaluations; {curve.attrs.get('message') or 'complete'}", "  "))
    else:
        say(wrapped(f"{path}: equilibrium against {over}, {curve.sizes['point']} points", "  "))
        for kind, place in zip(curve.kind.values.tolist(), curve.location.values.tolist(), strict=True):
            say(f"  {kind} at {over} = {shown(place, 6)}")
    say(f"drawn in {picture}")
    say()
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
    about = runs[first].attrs
    try:
        predicted = outcome_line(predict(game, about["level"], about.get("rule"), about.get("step_size")))
    except NotApplicable as missing:  # the record of a real GAN holds no networks
        predicted, told = "", f"no prediction: {missing}"
    else:
        told = f"prediction: {predicted}"
    verdicts = {level: classify(run) for level, run in runs.items()}
    title = ": ".join(part for part in (name, predicted and f"predicted {predicted}") if part)
    plot(list(runs.values()), picture, title=title or None)
    say(heading(name, game))
    say()
    say(table(header(next(iter(runs.values()))), verdict_rows(runs, verdicts, []), left=3))
    for line in remarks(verdicts):
        say(wrapped(line, "  "))
    for level, run in runs.items():
        say(wrapped(f"{level}: {_sizes(run)}", "  "))
    say(wrapped(told, "  "))
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
