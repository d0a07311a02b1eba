"""Tasks in processes of this machine, which may be killed: by their time limit, by the system, by Ctrl-C.

The workers are fresh interpreters that never import the user's script; they talk to the driver over a socket, end when
the driver does, and do not hear Ctrl-C, which is the driver's business.
"""

import contextlib
import os
import pickle
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from multiprocessing.connection import Connection, wait

import cloudpickle
import numpy as np

from ganscope.core.errors import StoreError
from ganscope.core.parallel import cores
from ganscope.sweep.execution.work import DIED, LATE, START, Job, Report, Task, pickled

# A worker that cannot even start dies again and again.
_STARTS = 5


class _Worker:
    """One process and what it is doing."""

    def __init__(self, content: bytes, threads: int) -> None:
        mine, theirs = socket.socketpair()
        environment = os.environ | {"GANSCOPE_THREADS": str(threads)}
        for name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"):
            environment.setdefault(name, "1")
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "ganscope.sweep.execution.worker", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=sys.__stderr__.fileno() if sys.__stderr__ is not None else None,
                env=environment,
                start_new_session=True,
            )
        self.connection = Connection(mine.detach())
        self.task: Task | None = None
        self.first: Task | None = None
        self.ready = self.warm = False
        self.deadline = float("inf")
        self._content = content

    def greet(self) -> None:
        """Hand over the job."""
        self.connection.send_bytes(self._content)

    def give(self, task: Task, limit: float | None) -> None:
        self.task = task
        self.deadline = float("inf") if limit is None else time.monotonic() + limit
        self.connection.send(task)

    def end(self, grace: float = 0.0) -> int:
        """End the process and what it has started, at once or when it has not ended by itself; its exit status."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(grace)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.connection.close()
        return self.process.wait()


class Crew:
    """Worker processes on this machine; an executor of tasks."""

    def __init__(self, job: Job, count: int, limit: float | None) -> None:
        """Start the workers.

        Args:
            job: What they work on.
            count: How many processes.
            limit: Seconds that a task may take; None is no limit.
        """
        self._count, self._limit = count, limit
        self._content = cloudpickle.dumps((sys.path, pickled(job)))
        self._threads = max(1, cores() // count)
        self._workers: list[_Worker] = []
        self._waiting: deque[Task] = deque()
        self._failed_starts = 0
        self._first_cell: int | None = None
        for _ in range(count):
            self._hire()

    def _hire(self) -> None:
        worker = _Worker(self._content, self._threads)
        self._workers.append(worker)
        with contextlib.suppress(OSError):  # it may be dead already, which `wait` will find out
            worker.greet()

    @property
    def count(self) -> int:
        """Number of processes."""
        return self._count

    @property
    def busy(self) -> bool:
        """Whether there are tasks under way."""
        return bool(self._waiting) or self._at_work > 0

    @property
    def room(self) -> int:
        """How many more tasks to submit."""
        return self._count - len(self._waiting) - self._at_work

    @property
    def _at_work(self) -> int:
        return sum(worker.task is not None and worker.task is not worker.first for worker in self._workers)

    def warm_up(self, cell: int) -> None:
        """Let new processes measure this cell first, if there is a limit."""
        if self._limit is not None:
            self._first_cell = cell

    def submit(self, task: Task) -> None:
        """Take on a task."""
        self._waiting.append(task)

    def wait(self, seconds: float) -> list[Report]:
        """What has become of tasks, after at most so many seconds."""
        self._hand_out()
        timeout = min(seconds, max(0.0, min((w.deadline for w in self._workers), default=0.0) - time.monotonic()))
        heard = set(wait([worker.connection for worker in self._workers], timeout))
        reports = []
        for worker in list(self._workers):
            if worker.connection in heard:
                reports += self._hear(worker)
            elif time.monotonic() > worker.deadline:
                reports += self._bury(worker, LATE)
            elif worker.process.poll() is not None:  # something that it started keeps its socket open
                reports += self._bury(worker, DIED)
        self._hand_out()
        return reports

    def _hand_out(self) -> None:
        for worker in self._workers:
            if not worker.ready or worker.task is not None or not self._waiting:
                continue
            limit = self._limit
            if limit is not None and not worker.warm:
                limit += START
            if self._first_cell is not None and not worker.warm:
                task = worker.first = Task(None, np.array([self._first_cell]))
            else:
                task = self._waiting.popleft()
            try:
                worker.give(task, limit)
            except OSError:  # it died meanwhile: its connection reports that
                worker.task, worker.deadline = task, float("inf")

    def _hear(self, worker: _Worker) -> list[Report]:
        try:
            report = worker.connection.recv()
        except (EOFError, OSError, pickle.UnpicklingError):
            return self._bury(worker, DIED)
        if report is None:  # it has read the job and is ready
            worker.ready, self._failed_starts = True, 0
            return []
        if isinstance(report, str):
            raise StoreError(f"a worker cannot take the job: {report}")
        was_first = worker.task is worker.first
        worker.task, worker.deadline, worker.warm = None, float("inf"), True
        return [] if was_first else [report]

    def _bury(self, worker: _Worker, state: str) -> list[Report]:
        """Put a new worker in the place of one that died or is late."""
        task, first = worker.task, worker.first
        self._workers.remove(worker)
        status = worker.end(1.0 if state == DIED else 0.0)  # its socket may close before it has ended
        self._hire()
        how = signal.Signals(-status).name if status < 0 else f"exit status {status}"
        if task is None or task is first:
            self._failed_starts += 1
            if self._failed_starts >= _STARTS:
                raise StoreError(f"worker processes die when they start ({how})")
            return []
        what = f"its process died ({how})" if state == DIED else f"took longer than {self._limit:g} s"
        return [Report(task, state, message=what)]

    def close(self) -> None:
        """End the workers, and with them the tasks under way."""
        for worker in self._workers:
            worker.end()
        self._workers = []
