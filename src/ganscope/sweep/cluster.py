"""Tasks on a Dask cluster, one future per tile; `scheduler="local"` starts one on this machine.

Workers write their tiles themselves, so the store must lie where all of them and the driver see it. A tile that Dask
runs again because it lost the worker that had finished it finds itself in the ledger and is not computed again.
"""

import contextlib
import functools
import pickle
import time
from collections.abc import Callable
from typing import Any

import cloudpickle

from ganscope.core.errors import NotApplicable, StoreError
from ganscope.sweep.work import BROKEN, DIED, LATE, Job, Report, Task, work

distributed: Any
try:
    import distributed
except ImportError:
    distributed = None

# Tasks per thread of the cluster that are with it at a time: one at work, one at hand. With a time limit there is
# none at hand, so that the time since a worker has a task is the time that it works on it.
_AHEAD, _AHEAD_WITH_LIMIT = 2, 1


@functools.lru_cache(maxsize=2)
def _job(content: bytes) -> Job:
    job: Job = pickle.loads(content)
    return job


def _carry_out(content: bytes, task: Task) -> Report:
    """What runs on a worker."""
    try:
        return work(_job(content), task)
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
                target = self._stack.enter_context(
                    distributed.LocalCluster(
                        n_workers=workers or 2, threads_per_worker=1, processes=True, dashboard_address=None,
                        silence_logs=50,
                    )
                )  # fmt: skip
            self._client: Any = distributed.Client(target, timeout="15s", set_as_default=False)
            self._stack.callback(self._close_client)
        except (OSError, TimeoutError, ValueError) as error:
            self._stack.close()
            raise StoreError(f"no Dask scheduler answers at {address}: {error}") from None
        self._content = cloudpickle.dumps(job.without_store())
        self._futures: dict[Any, Task] = {}
        self._begun: dict[Any, float] = {}
        self._serial = 0

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
        ahead = _AHEAD if self._limit is None else _AHEAD_WITH_LIMIT
        return ahead * self.count - len(self._futures)

    def submit(self, task: Task) -> None:
        """Take on a task."""
        self._serial += 1
        key = f"ganscope-tile-{task.tile}-{id(self):x}-{self._serial}"
        future = self._asked(
            functools.partial(self._client.submit, _carry_out, self._content, task, key=key, pure=False)
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
        running = {key: worker for worker, keys in self._asked(self._client.processing).items() for key in keys}
        now = time.monotonic()
        reports = []
        for future, task in list(self._futures.items()):
            if future.key not in running:
                self._begun.pop(future.key, None)
            elif now - self._begun.setdefault(future.key, now) > self._limit:
                del self._futures[future]
                future.cancel(force=True)
                worker = running[future.key]
                self._asked(functools.partial(self._client.restart_workers, [worker], raise_for_error=False))
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
