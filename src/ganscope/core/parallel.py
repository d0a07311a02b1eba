"""Independent pieces of compiled work on all cores, with progress, and Ctrl-C between pieces of work.

Results never depend on how many threads there are: a task writes only into its own part of the output.
"""

import os
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait

from ganscope.core.progress import report

# A task works in short calls of compiled code and calls its argument with the amount of work done after each.
Task = Callable[[Callable[[float], None]], None]


def cores() -> int:
    """Threads to use: `GANSCOPE_THREADS`, or the cores that this process may use."""
    chosen = os.environ.get("GANSCOPE_THREADS", "")
    if chosen.isdigit() and int(chosen) > 0:
        return int(chosen)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _Cancelled(Exception):
    pass


def run_tasks(tasks: Sequence[Task], label: str | None, total: float) -> None:
    """Run the tasks; an interrupt or an error in one of them stops the others at their next report.

    Without a label nothing is reported: the tasks are part of something that reports itself.
    """
    done, lock, cancelled = [0.0], threading.Lock(), threading.Event()

    def tick(amount: float) -> None:
        if cancelled.is_set():
            raise _Cancelled
        with lock:
            done[0] += amount

    workers = min(cores(), len(tasks))
    if workers <= 1:

        def tick_and_report(amount: float) -> None:
            tick(amount)
            if label is not None:
                report(label, done[0], total)

        for task in tasks:
            task(tick_and_report)
        return
    with ThreadPoolExecutor(workers) as pool:
        futures = [pool.submit(task, tick) for task in tasks]
        try:
            while True:
                finished, unfinished = wait(futures, timeout=0.1, return_when=FIRST_EXCEPTION)
                if label is not None:
                    report(label, done[0], total)
                _raise_first(f.exception() for f in finished)
                if not unfinished:
                    return
        except BaseException:
            cancelled.set()
            for future in futures:
                future.cancel()
            raise


def _raise_first(errors: Iterable[BaseException | None]) -> None:
    for error in errors:
        if error is not None:
            raise error
