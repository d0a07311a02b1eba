"""The folder of a run: which levels it holds, whose they are, and what may be written there."""

import contextlib
import json
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import xarray as xr

from ganscope.core.errors import ParameterError, StoreError
from ganscope.core.game import Game, from_json
from ganscope.core.plain import json_ready
from ganscope.core.store import load
from ganscope.core.version import package_version

REPORT, PICTURE = "report.json", "overview.png"
WAYS_OUT = "choose another --out, or pass --force to replace it"


def level_path(folder: Path, level: str) -> Path:
    """Where a level's run is kept."""
    return folder / f"{level}.zarr"


def settings_text(settings: Mapping[str, Any]) -> str:
    """The settings of a run as one text; equal settings give equal texts."""
    return json.dumps(json_ready(dict(settings)), sort_keys=True)


def prepare(folder: Path) -> None:
    """Make a folder and see that files can be written to it.

    Raises:
        StoreError: If not.
    """
    probe = folder / f".{uuid.uuid4().hex[:8]}.part"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"ganscope")
    except OSError as error:
        raise StoreError(f"cannot write to {folder}: {error.strerror or error}") from None
    finally:
        with contextlib.suppress(OSError):
            probe.unlink()


def stored_run(folder: Path, game: Game, level: str, settings: Mapping[str, Any]) -> xr.Dataset | None:
    """The run of a level that a folder already holds, if there is one.

    Raises:
        StoreError: If it is a run of another experiment or version, or no run at all.
    """
    path = level_path(folder, level)
    if not path.exists():
        return None
    try:
        run = load(path)
    except StoreError as error:
        raise StoreError(f"{error}; {WAYS_OUT}") from None
    differs = _difference(run, game) or _settings_difference(run, level, settings)
    if differs:
        raise StoreError(f"{path} holds another experiment ({differs}); {WAYS_OUT}")
    return run


def refuse_foreign(folder: Path, game: Game) -> None:
    """Refuse a folder with runs of another game, or with a report or picture that no run of this game made.

    Raises:
        StoreError: Naming the file.
    """
    for path in sorted(folder.glob("*.zarr")):
        try:
            differs = _difference(load(path), game)
        except StoreError:
            differs = "not a run"
        if differs:
            raise StoreError(f"{path} holds another experiment ({differs}); {WAYS_OUT}")
    report = read_report(folder)
    if report is None:
        for name in (REPORT, PICTURE):
            if (folder / name).exists():
                raise StoreError(f"{folder / name} was not made by ganscope run; {WAYS_OUT}")
    elif "game" not in report or _game_difference(json.dumps(report["game"]), game):
        raise StoreError(f"{folder / REPORT} is of another experiment; {WAYS_OUT}")


def read_report(folder: Path) -> dict[str, Any] | None:
    """The report that a folder holds, or None where there is nothing of the kind."""
    try:
        content = json.loads((folder / REPORT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) and "version" in content else None


def _difference(run: xr.Dataset, game: Game) -> str:
    """How a stored run differs from the present game and version, in words; empty if it does not."""
    if not {"game", "level", "settings", "version"} <= set(run.attrs):
        return "not saved by ganscope run"
    if run.attrs["version"] != package_version():
        return f"made by version {run.attrs['version']}, this is {package_version()}"
    return _game_difference(run.attrs["game"], game)


def _game_difference(text: str, game: Game) -> str:
    try:
        stored = from_json(text)
    except (ParameterError, StoreError) as error:
        return f"its game cannot be read: {error}"
    if stored == game:
        return ""
    if type(stored) is not type(game):
        return f"model {stored.model}"
    before, now = stored.parameters(), game.parameters()
    return "different " + ", ".join(name for name in now if before[name] != now[name])


def _settings_difference(run: xr.Dataset, level: str, settings: Mapping[str, Any]) -> str:
    if run.attrs["level"] != level:
        return f"level {run.attrs['level']}"
    before, now = json.loads(run.attrs["settings"]), json.loads(settings_text(settings))
    changed = sorted(name for name in {*before, *now} if before.get(name) != now.get(name))
    return f"different {', '.join(changed)}" if changed else ""
