"""The program of a worker process: read the job, then carry out one task after the other."""

import contextlib
import ctypes
import pickle
import signal
import sys
from multiprocessing.connection import Connection

from ganscope.core.caches import prepare_jax

prepare_jax()

from ganscope.core.errors import StoreError  # noqa: E402
from ganscope.sweep.execution.work import BROKEN, Job, Report, work  # noqa: E402 - JAX must not be imported before


def _end_with_parent() -> None:
    """Ask the system to end this process when the driver dies; only Linux can."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


_PR_SET_PDEATHSIG = 1


def main(descriptor: int) -> None:
    """Serve the driver at the other end of a socket until it goes away."""
    _end_with_parent()
    connection = Connection(descriptor)
    try:
        paths, content = pickle.loads(connection.recv_bytes())
        sys.path[:] = paths
        try:
            job: Job = pickle.loads(content)
        except Exception as error:
            connection.send(f"{type(error).__name__}: {error}")
            return
        connection.send(None)
        while True:
            task = connection.recv()
            try:
                report = work(job, task)
            except (OSError, MemoryError, StoreError) as error:
                report = Report(task, BROKEN, message=f"{type(error).__name__}: {error}")
            connection.send(report)
    except (EOFError, OSError):  # the driver has gone
        return


if __name__ == "__main__":
    main(int(sys.argv[1]))
