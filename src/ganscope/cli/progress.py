"""A progress bar with the time left, on standard error, when that is a terminal."""

import contextlib
import sys
from collections.abc import Iterator
from typing import Any

from ganscope.core.progress import listening


@contextlib.contextmanager
def progress_bar(name: str = "", *, counted: bool = False) -> Iterator[None]:
    """Show the progress reports from within the block, after `name`; the bar goes away at its end.

    Notes stand on a line below; `counted` also says how many of how many.
    """
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TaskID,
        TaskProgressColumn,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class Bars(Progress):
        """Bars with their notes below, where these have the width of the terminal."""

        def get_renderables(self) -> Iterator[Any]:
            yield from super().get_renderables()
            for task in self.tasks:
                if task.fields["note"]:
                    yield Text(task.fields["note"], no_wrap=True, overflow="ellipsis")

    columns = [TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn()]
    if counted:
        columns.insert(1, MofNCompleteColumn())
    # one report may take minutes: the time left is told by the last half hour
    bars = Bars(
        *columns, console=Console(stderr=True), transient=True, redirect_stdout=False, speed_estimate_period=1800
    )
    shown: dict[str, TaskID] = {}

    def listener(label: str, done: float, total: float, note: str = "") -> None:
        if label not in shown:
            shown[label] = bars.add_task(f"{name} {label}".strip(), total=total, note="")
        bars.update(shown[label], completed=done, total=total, note=note)

    with bars, listening(listener):
        yield
