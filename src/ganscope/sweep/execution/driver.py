"""The loop of a sweep: hand out tiles, take reports, halve what hangs or dies, write what only the driver may write."""

from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from ganscope.core.errors import ParameterError, StoreError
from ganscope.core.progress import report as report_progress
from ganscope.sweep.execution.work import BROKEN, DIED, LATE, RETURNED, WRITTEN, Job, Report, Task, tally
from ganscope.sweep.measures import FAILED, MISSING, Block, failed

# A process may die for reasons that are not its cells': the same work is tried so often.
ATTEMPTS = 3


class Executor(Protocol):
    """Whoever carries out tasks."""

    @property
    def count(self) -> int:
        """Workers that carry out tasks at the same time."""

    @property
    def busy(self) -> bool:
        """Whether there are tasks under way."""

    @property
    def room(self) -> int:
        """How many more tasks to submit."""

    def warm_up(self, cell: int) -> None:
        """A cell that is known to be measurable: a new process measures it first, so that limits are fair."""

    def submit(self, task: Task) -> None:
        """Take on a task."""

    def wait(self, seconds: float) -> list[Report]:
        """What has become of tasks, after at most so many seconds."""

    def close(self) -> None:
        """End everything that is under way."""


@dataclass
class _Assembly:
    """A tile that is measured in parts, by the driver's order."""

    block: Block
    seconds: float = 0.0


@dataclass
class Driver:
    """The state of the loop.

    Attributes:
        job: What is done.
        executor: Who does it.
        done: Cells finished, also by earlier drivers.
        counts: The same by outcome.
    """

    job: Job
    executor: Executor
    done: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    _queue: deque[Task] = field(default_factory=deque)
    _parts: dict[int, _Assembly] = field(default_factory=dict)
    _deaths: Counter[tuple[int, bytes]] = field(default_factory=Counter)

    def run_one(self, task: Task) -> Report:
        """One task and its report; of a trial that dies the report says so."""
        self.executor.submit(task)
        while True:
            for report in self.executor.wait(1.0):
                if report.state == BROKEN:
                    raise StoreError(report.message)
                return report

    def run(self, tiles: Iterable[int]) -> None:
        """Finish the tiles.

        Raises:
            StoreError: If the store cannot be written; what was finished is kept.
        """
        self._queue.extend(Task(tile) for tile in tiles)
        self._say()
        while self._queue or self.executor.busy:
            while self._queue and self.executor.room > 0:
                self.executor.submit(self._queue.popleft())
            for report in self.executor.wait(0.2):
                self._take(report)
                self._say()

    def _say(self) -> None:
        counts = ", ".join(f"{name} {n}" for name, n in self.counts.most_common())
        report_progress("cells", self.done, self.job.plan.cells, counts)

    def _take(self, report: Report) -> None:
        assert report.task.tile is not None
        if report.state == WRITTEN:
            self._count(report.counts)
        elif report.state == BROKEN:
            raise StoreError(f"tile {report.task.tile} was not written: {report.message}")
        elif report.state == RETURNED and report.block is not None:
            if report.task.rows is None:
                self._write(report.task.tile, report.block, report.seconds)
            else:
                self._assemble(report.task.tile, report.task.rows, report.block, report.seconds)
        elif report.state in (LATE, DIED):
            self._again(report)

    def _count(self, counts: Counter[str]) -> None:
        self.counts += counts
        self.done += counts.total()

    def _again(self, report: Report) -> None:
        """Work that killed its process is tried again, then in halves; a cell alone becomes a failure."""
        tile, rows = report.task.tile, report.task.rows
        assert tile is not None
        if report.state == DIED:
            name = (tile, b"" if rows is None else rows.tobytes())
            self._deaths[name] += 1
            if self._deaths[name] < ATTEMPTS:
                self._queue.append(report.task)
                return
        if rows is None:
            block = self.job.store(anew=True).read(tile)
            rows = np.flatnonzero(block.status == MISSING)
            if len(rows) == 0:  # it was written before the process was stopped
                self._count(tally(block))
                return
            self._parts[tile] = _Assembly(block)
        if len(rows) == 1:
            often = f", {ATTEMPTS} times" if report.state == DIED else ""
            self._assemble(tile, rows, failed(1, report.message + often), report.seconds)
            return
        half = len(rows) // 2
        self._queue.extendleft(Task(tile, part) for part in (rows[half:], rows[:half]))

    def _assemble(self, tile: int, rows: npt.NDArray[np.int64], block: Block, seconds: float) -> None:
        assembly = self._parts[tile]
        try:
            assembly.block.put(rows, block)
        except ParameterError as error:
            assembly.block.put(rows, failed(len(rows), str(error)))
        assembly.seconds += seconds
        if (assembly.block.status != MISSING).all():
            self._write(tile, self._parts.pop(tile).block, assembly.seconds)

    def _write(self, tile: int, block: Block, seconds: float) -> None:
        store = self.job.store()
        try:
            try:
                store.extend(block)
            except ParameterError as error:  # another kind of value than the other tiles have
                wrong = block.status != FAILED
                block.status[wrong], block.message[wrong], block.columns = FAILED, str(error), {}
            store.start(tile)
            store.write(tile, block, self.job.parameters(tile), self.job.code, seconds)
        except OSError as error:
            raise StoreError(f"tile {tile} was not written: {error.strerror or error}") from None
        self._count(tally(block))
