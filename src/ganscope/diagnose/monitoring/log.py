"""What a monitor writes down: one line of JSON per reading, which another process may go on with; and a table of it.

The first line says whose log it is. Lines are written whole and flushed; a last line that a crash has torn is cut off
when the log is opened again. Where a run went back to an earlier checkpoint, later lines supersede earlier ones.
"""

import json
import math
import os
import textwrap
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ganscope.core.errors import StoreError

FORMAT, VERSION = "ganscope monitor", 1
# Columns of the table: key, heading, format.
_COLUMNS = (
    ("iteration", "iter", "d"),
    ("margin", "margin", "+.2f"),
    ("predicted_wander", "predicted", ".2g"),
    ("observed_wander", "observed", ".2g"),
    ("spread", "spread", ".3f"),
    ("speed", "speed", ".2g"),
    ("sigma_1", "sigma", ".2g"),
    ("zeta_1", "zeta", ".2g"),
    ("knn_coverage", "cover", ".2f"),
    ("overhead", "cost", ".1%"),
)
_TEXTS = {math.inf: "inf", -math.inf: "-inf"}


class MonitorLog:
    """A log file, opened for going on with it.

    Args:
        path: The file; made if there is none.
        game: What identifies the game (plain values): another one is refused.

    Raises:
        StoreError: If the file is no log, is one of another game or version, or cannot be written.
    """

    def __init__(self, path: str | os.PathLike[str], game: Mapping[str, Any]) -> None:
        self.path = Path(path)
        header = {"log": FORMAT, "version": VERSION, "game": plain(dict(game))}
        try:
            text = self.path.read_bytes() if self.path.exists() else b""
            whole = text[: text.rfind(b"\n") + 1]
            self.entries = self._read(whole, header)
            self.path.parent.mkdir(parents=True, exist_ok=True)
            if len(whole) < len(text):
                os.truncate(self.path, len(whole))
            if not whole:
                self._append(header)
        except OSError as error:
            raise StoreError(f"{self.path}: the monitor's log cannot be opened ({error.strerror or error})") from None

    def write(self, entry: Mapping[str, Any]) -> None:
        """Append one entry.

        Raises:
            StoreError: If the disk refuses.
        """
        try:
            self._append(plain(dict(entry)))
        except OSError as error:
            raise StoreError(f"{self.path}: the monitor's log cannot be written ({error.strerror or error})") from None

    def _append(self, entry: Any) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry, allow_nan=False) + "\n")

    def _read(self, text: bytes, header: Mapping[str, Any]) -> list[dict[str, Any]]:
        if not text:
            if self.path.exists() and self.path.stat().st_size:
                raise StoreError(f"{self.path}: no log of a monitor; nothing was written to it")
            return []
        try:
            first, *rest = [json.loads(line) for line in text.decode("utf-8").splitlines()]
        except ValueError:
            raise StoreError(f"{self.path}: no log of a monitor, or a damaged one; nothing was written to it") from None
        if not isinstance(first, dict) or first.get("log") != FORMAT:
            raise StoreError(f"{self.path}: no log of a monitor; nothing was written to it")
        if first.get("version") != VERSION or first.get("game") != header["game"]:
            raise StoreError(
                f"{self.path}: the log of another game or version ({first.get('game')}, version "
                f"{first.get('version')}), not of {header['game']}, version {VERSION}; choose another file"
            )
        entries: list[dict[str, Any]] = []
        for entry in rest:
            if not isinstance(entry, dict) or not isinstance(entry.get("iteration"), int):
                raise StoreError(f"{self.path}: a line that is no reading; nothing was written to it")
            entries = [*superseded(entries, entry["iteration"]), restored(entry)]
        return entries


def superseded(entries: list[dict[str, Any]], iteration: int) -> list[dict[str, Any]]:
    """The entries that an entry at this iteration leaves standing."""
    while entries and entries[-1]["iteration"] >= iteration:
        entries = entries[:-1]
    return entries


def table(entries: Iterable[Mapping[str, Any]]) -> str:
    """Readings as an aligned table; a dash where nothing was measured, warnings below their row."""
    entries = list(entries)
    rows = [[_cell(entry.get(key), form) for key, _, form in _COLUMNS] for entry in entries]
    headings = [heading for _, heading, _ in _COLUMNS]
    widths = [max(map(len, column)) for column in zip(headings, *rows, strict=True)]

    def aligned(cells: Iterable[str]) -> str:
        return "  ".join(cell.rjust(width) for cell, width in zip(cells, widths, strict=True))

    lines = [aligned(headings)]
    for entry, cells in zip(entries, rows, strict=True):
        lines.append(aligned(cells))
        for warning in entry.get("warnings") or ():
            lines += textwrap.wrap(warning, 80, initial_indent="  ! ", subsequent_indent="    ")
    return "\n".join(lines)


def _cell(value: Any, form: str) -> str:
    return "-" if value is None else format(value, form)


def plain(value: Any) -> Any:
    """Values for strict JSON: NaN and infinities as texts."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return _TEXTS.get(value, "nan")
    return value.item() if hasattr(value, "item") else value


def restored(value: Any) -> Any:
    """What `plain` was made of."""
    if isinstance(value, dict):
        return {key: restored(item) for key, item in value.items()}
    if isinstance(value, list):
        return [restored(item) for item in value]
    return float(value) if isinstance(value, str) and value in ("inf", "-inf", "nan") else value
