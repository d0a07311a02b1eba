"""A progress bar with the time left, on standard error, when that is a terminal."""

import contextlib
import sys
from collections.abc import Iterator

from ganscope.core.progress import listening


@contextlib.contextmanager
def progress_bar(name: str = "") -> Iterator[None]:
    """Show the progress reports from within the block, after `name`; the bar goes away at its end."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    bars = Progress(*columns, console=Console(stderr=True), transient=True, redirect_stdout=False)
    shown: dict[str, TaskID] = {}

    def listener(label: str, done: float, total: float, note: str = "") -> None:
        if label not in shown:
            shown[label] = bars.add_task(f"{name} {label}".strip(), total=total, note="")
        bars.update(shown[label], completed=done, total=total, note=note)

    with bars, listening(listener):
        yield
