"""One task of a sweep, as any process carries it out: measure the cells of a tile and write them down.

Whoever runs tasks (this process, processes beside it, a cluster) calls `work`; the driver decides what to do with the
reports.
"""

import time
import uuid
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import cloudpickle
import numpy as np
import numpy.typing as npt

from ganscope.core.errors import ParameterError, StoreError
from ganscope.sweep.measures import FAILED, MISSING, Block, quietly
from ganscope.sweep.plan import Plan
from ganscope.sweep.store import FINISHED, PARTIAL, STATUS, SchemaChanged, SweepStore


@dataclass
class Job:
    """What every task of a sweep needs to know.

    Attributes:
        plan: The sweep.
        path: Of the store.
        code: Which version of the code computes, 64 bits.
        driver: Names the driver that works.
    """

    plan: Plan
    path: Path
    code: int
    driver: str = field(default_factory=lambda: uuid.uuid4().hex)
    _store: SweepStore | None = field(default=None, repr=False)

    def store(self, *, anew: bool = False) -> SweepStore:
        """The store, opened once in a process, or again to see what the driver has changed."""
        if self._store is None or anew:
            self._store = SweepStore(self.path)
            if self._store.attributes.get("driver") != self.driver:
                raise StoreError(f"{self.path} has another driver by now")
        return self._store

    def parameters(self, tile: int) -> int:
        """The number that names the parameters of a tile."""
        return self.plan.cells_digest(self.store().labels_of(tile))

    def without_store(self) -> "Job":
        """For another process, or for cells that belong to no tile."""
        return Job(self.plan, self.path, self.code, self.driver)


def pickled(job: Job) -> bytes:
    """A job as other processes read it.

    Raises:
        ParameterError: If the user's measure cannot be sent.
    """
    try:
        content: bytes = cloudpickle.dumps(job.without_store())
    except Exception as error:  # pickling raises many kinds
        raise ParameterError(
            "measure", job.plan.measure, f"a function that can be sent to other processes, or workers=0 ({error})"
        ) from None
    return content


@dataclass(frozen=True)
class Task:
    """Some work to do.

    Attributes:
        tile: Number of the tile; None for a trial, whose cells are measured and not written.
        rows: The cells of the tile to measure, by their places in it; None measures and writes all that are missing.
            For a trial the numbers of the cells.
    """

    tile: int | None
    rows: npt.NDArray[np.int64] | None = None


# What has become of a task.
WRITTEN, RETURNED, LATE, DIED, BROKEN = "written", "returned", "late", "died", "broken"


@dataclass
class Report:
    """What became of a task.

    Attributes:
        task: The task.
        state: `written`; `returned`, the block is for the driver to write; `late`, it took longer than its limit;
            `died`, its process did; `broken`, the machine or the disk refused.
        seconds: What it took.
        block: Results, if returned.
        counts: Cells by outcome, if written.
        message: If late, died or broken.
    """

    task: Task
    state: str
    seconds: float = 0.0
    block: Block | None = None
    counts: Counter[str] = field(default_factory=Counter)
    message: str = ""


# Seconds that a process may take beyond the limit of a task before it has measured a first cell: it imports, and
# compiles or loads what was compiled.
START = 60.0


def work(job: Job, task: Task) -> Report:
    """Carry out a task.

    Raises:
        OSError: If the store cannot be written.
    """
    begin = time.perf_counter()
    if task.tile is None:
        assert task.rows is not None
        block = quietly(job.plan, task.rows, {})
        return Report(task, RETURNED, time.perf_counter() - begin, block)
    store = job.store()
    cells = store.tiling.cells(task.tile)
    if task.rows is not None:
        block = quietly(job.plan, cells[task.rows], store.kinds)
        return Report(task, RETURNED, time.perf_counter() - begin, block)
    status = int(store.entry(task.tile)[STATUS])
    if status == PARTIAL:
        store = job.store(anew=True)
    if status == FINISHED:  # by a process that was thought lost
        return Report(task, WRITTEN, 0.0, counts=counted(store, task.tile))
    store.start(task.tile)
    block = store.read(task.tile) if status == PARTIAL else Block.empty(len(cells))
    missing = np.flatnonzero(block.status == MISSING)
    block.put(missing, quietly(job.plan, cells[missing], store.kinds))
    seconds = time.perf_counter() - begin
    for anew in (False, True):
        try:
            job.store(anew=anew).write(task.tile, block, job.parameters(task.tile), job.code, seconds)
            return Report(task, WRITTEN, seconds, counts=tally(block))
        except SchemaChanged:
            continue
    return Report(task, RETURNED, seconds, block)


def tally(block: Block) -> Counter[str]:
    """Cells by outcome; those without one as `done`, those that failed as `failed`."""
    finished = block.status != MISSING
    names = np.full(len(block), "done", object)
    dims, outcomes = block.columns.get("outcome", ((), names))
    if not dims and outcomes.dtype.kind == "O":  # a measure of the user's own may call anything an outcome
        names = outcomes.copy()
    names[block.status == FAILED] = "failed"
    return Counter(names[finished].tolist())


def counted(store: SweepStore, tile: int) -> Counter[str]:
    """The same of a tile in a store."""
    return tally(store.read(tile, "status", "outcome"))
