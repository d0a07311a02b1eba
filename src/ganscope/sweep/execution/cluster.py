"""Tasks on a Dask cluster, one future per tile; `scheduler="local"` starts one on this machine.

Workers write their tiles themselves, so the store must lie where all of them and the driver see it. A tile that Dask
runs again because it lost the worker that had finished it finds itself in the ledger and is not computed again.
"""

import contextlib
import functools
import os
import pickle
import time
import uuid
from collections.abc import Callable
from typing import Any

import numpy as np

from ganscope.core.caches import prepare_jax
from ganscope.core.errors import NotApplicable, StoreError
from ganscope.core.parallel import cores
from ganscope.sweep.execution.work import BROKEN, DIED, LATE, START, Job, Report, Task, pickled, work

distributed: Any
try:
    import distributed
except ImportError:
    distributed = None

# Tasks per thread of the cluster that are with it at a time: one at work, one at hand.
_AHEAD = 2


@functools.lru_cache(maxsize=2)
def _job(content: bytes) -> Job:
    job: Job = pickle.loads(content)
    return job


_warm: set[bytes] = set()


def _carry_out(content: bytes, task: Task, first: int | None, topic: str) -> Report:
    """What runs on a worker, each thread of which is meant to be one thread.

    It tells the driver when the task begins, after it has imported and compiled what the `first` cell needs.
    """
    os.environ.setdefault("GANSCOPE_THREADS", "1")
    prepare_jax()
    try:
        job, worker = _job(content), distributed.get_worker()
        if first is not None and content not in _warm:
            work(job, Task(None, np.array([first])))
            _warm.add(content)
        worker.log_event(topic, (worker.get_current_task(), worker.address))
        return work(job, task)
    except (OSError, MemoryError, StoreError) as error:
        return Report(task, BROKEN, message=f"{type(error).__name__}: {error}")


class Cluster:
    """A Dask cluster; an executor of tasks."""

    def __init__(self, address: str, job: Job, workers: int | None, limit: float | None) -> None:
        """Connect.

        Args:
            address: Of the scheduler, or `local`.
            job: What is worked on.
            workers: Processes of a local cluster.
            limit: Seconds that a task may take; its worker is then restarted.

        Raises:
            NotApplicable: If Dask is not installed.
            StoreError: If the scheduler does not answer.
        """
        if distributed is None:
            raise NotApplicable("a sweep on Dask needs the extra 'distributed': pip install 'ganscope[distributed]'")
        self._stack = contextlib.ExitStack()
        self._limit = limit
        try:
            target: Any = address
            if address == "local":
                # in processes of their own: they must not import the user's script, as multiprocessing's would
                cluster = distributed.SubprocessCluster(
                    n_workers=workers or cores(),
                    threads_per_worker=1,
                    silence_logs=50,
                    scheduler_kwargs={"dashboard": False},
                    worker_kwargs={"dashboard": False},
                )
                target = self._stack.enter_context(cluster)
            self._client: Any = distributed.Client(target, timeout="15s", set_as_default=False)
            self._stack.callback(self._close_client)
        except (OSError, TimeoutError, ValueError, RuntimeError) as error:
            self._stack.close()
            raise StoreError(f"no Dask scheduler answers at {address}: {error}") from None
        self._content = pickled(job)
        self._futures: dict[Any, Task] = {}
        self._begun: dict[str, tuple[float, str]] = {}  # when, and on which worker
        self._serial = 0
        self._first: int | None = None
        self._topic = f"ganscope-{uuid.uuid4().hex}"
        if limit is not None:
            self._asked(functools.partial(self._client.subscribe_topic, self._topic, self._note_begin))

    def _note_begin(self, event: tuple[float, tuple[str, str]]) -> None:
        _, (key, worker) = event
        self._begun[key] = (time.monotonic(), worker)

    def warm_up(self, cell: int) -> None:
        """Let new processes measure this cell first, if there is a limit."""
        if self._limit is not None:
            self._first = cell

    @property
    def count(self) -> int:
        """Threads of the cluster, at least one."""
        threads: dict[str, int] = self._asked(self._client.nthreads)
        return max(1, sum(threads.values()))

    @property
    def busy(self) -> bool:
        """Whether there are tasks under way."""
        return bool(self._futures)

    @property
    def room(self) -> int:
        """How many more tasks to submit."""
        return _AHEAD * self.count - len(self._futures)

    def submit(self, task: Task) -> None:
        """Take on a task."""
        self._serial += 1
        key = f"ganscope-tile-{task.tile}-{id(self):x}-{self._serial}"
        future = self._asked(
            functools.partial(
                self._client.submit, _carry_out, self._content, task, self._first, self._topic, key=key, pure=False
            )
        )
        self._futures[future] = task

    def wait(self, seconds: float) -> list[Report]:
        """What has become of tasks, after at most so many seconds."""
        deadline = time.monotonic() + seconds
        while True:
            self._check_connection()
            ended = [future for future in self._futures if future.status not in ("pending",)]
            if ended or time.monotonic() > deadline:
                break
            time.sleep(0.005)
        reports = [self._report(future, self._futures.pop(future)) for future in ended]
        return reports + self._late()

    def _report(self, future: Any, task: Task) -> Report:
        self._begun.pop(future.key, None)
        if future.status == "finished":
            report: Report = self._asked(future.result)
            return report
        error = future.exception() if future.status == "error" else None
        if error is None or isinstance(error, distributed.KilledWorker):
            return Report(task, DIED, message="its process died")
        return Report(task, BROKEN, message=f"{type(error).__name__}: {error}")

    def _late(self) -> list[Report]:
        """Tasks beyond their limit: their workers are restarted, with whatever else these had at hand."""
        if self._limit is None or not self._futures:
            return []
        reports = []
        for future, task in list(self._futures.items()):
            begun, worker = self._begun.get(future.key, (time.monotonic(), ""))
            if time.monotonic() - begun <= self._limit + (START if self._first is None else 0.0):
                continue
            del self._futures[future], self._begun[future.key]
            future.cancel(force=True)
            with contextlib.suppress(KeyError, TimeoutError, ValueError):  # it may be dying of itself just now
                self._client.restart_workers([worker], raise_for_error=False)
            reports.append(Report(task, LATE, message=f"took longer than {self._limit:g} s"))
        return reports

    def _check_connection(self) -> None:
        if self._client.status not in ("running", "connecting") or self._client.scheduler is None:
            raise StoreError("the Dask scheduler has gone; what is finished is kept, go on with another one")

    def _asked(self, question: Callable[[], Any]) -> Any:
        """The answer of the scheduler."""
        self._check_connection()
        try:
            return question()
        except (OSError, TimeoutError, distributed.CancelledError) as error:
            raise StoreError(
                f"the Dask scheduler does not answer ({type(error).__name__}); go on with another"
            ) from None

    def _close_client(self) -> None:
        with contextlib.suppress(Exception):
            self._client.close(timeout=2)

    def close(self) -> None:
        """Give up what is under way."""
        with contextlib.suppress(Exception):
            if self._futures:
                self._client.cancel(list(self._futures), force=True)
        self._stack.close()
