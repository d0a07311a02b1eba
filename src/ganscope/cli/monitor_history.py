"""The run so far, from the log that a monitor wrote: centres of mass of the samples, record by record."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ganscope.core.errors import StoreError
from ganscope.diagnose.monitoring.log import FORMAT, VERSION, restored, superseded

Array = npt.NDArray[np.float64]

_CENTRE = "centre_of_mass"


def read_history(path: Path, game: Mapping[str, Any] | None = None) -> Array:
    """What a diagnosis takes of a monitor's log; the file is only read.

    Args:
        path: The log, one line of JSON per record. A last line that is not finished is left aside.
        game: Backend and sizes of the game, by the names of the log's first line; another game's log is refused.

    Returns:
        Centres of mass of the generated samples, `[records, 1, d]`: of their wander, centres say as much as samples.

    Raises:
        StoreError: If the file is missing or something else, of another game, or holds no centres of mass.
    """
    header, entries = _read(path)
    for name, value in (game or {}).items():
        said = header.get("game")
        if not isinstance(said, dict) or said.get(name) != value:
            raise StoreError(f"{path}: the log of another game: its {name} are {_of(said, name)}, not {value}")
    centres = [entry[_CENTRE] for entry in entries if _CENTRE in entry]
    if not centres:
        raise StoreError(f"{path}: this log holds no centres of mass: no records yet, or samples of more than 64 axes")
    try:
        rows = np.array(centres, np.float64)
    except (TypeError, ValueError):
        raise StoreError(f"{path}: damaged, its centres of mass are no points of one space") from None
    if rows.ndim != 2 or rows.size == 0:
        raise StoreError(f"{path}: damaged, its centres of mass are no points of one space")
    return rows[:, None]


def _of(said: Any, name: str) -> Any:
    return said.get(name) if isinstance(said, dict) else "not told"


def _read(path: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The first line of a log, and the records that were not superseded."""
    if not path.is_file():
        raise StoreError(f"{path} {'is not a file' if path.exists() else 'does not exist'}")
    try:
        text = path.read_text(encoding="utf-8")
        whole = text[: text.rfind("\n") + 1]
        first, *rest = [json.loads(line) for line in whole.splitlines()] or [None]
    except (OSError, ValueError) as error:
        raise StoreError(f"{path}: no log of a monitor, or a damaged one ({error})") from None
    if not isinstance(first, dict) or first.get("log") != FORMAT:
        raise StoreError(f"{path}: no log of a monitor: gs.Monitor(game, log={str(path)!r}) writes one")
    if first.get("version") != VERSION:
        raise StoreError(f"{path}: a log of version {first.get('version')}, not of {VERSION}")
    entries: list[dict[str, Any]] = []
    for entry in rest:
        if not isinstance(entry, dict) or not isinstance(entry.get("iteration"), int):
            raise StoreError(f"{path}: a line that is no reading of a monitor")
        entries = [*superseded(entries, entry["iteration"]), restored(entry)]
    return first, entries
