"""Tasks in this process, one after the other, on the threads of the engines."""

from collections import deque

from ganscope.core.progress import unheard
from ganscope.sweep.execution.work import BROKEN, Job, Report, Task, work


class Here:
    """This process as an executor of tasks."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._waiting: deque[Task] = deque()

    @property
    def count(self) -> int:
        """One."""
        return 1

    @property
    def busy(self) -> bool:
        """Whether there are tasks under way."""
        return bool(self._waiting)

    @property
    def room(self) -> int:
        """How many more tasks to submit."""
        return 1 - len(self._waiting)

    def warm_up(self, cell: int) -> None:
        """Not needed: there is no time limit here."""

    def submit(self, task: Task) -> None:
        """Take on a task."""
        self._waiting.append(task)

    def wait(self, seconds: float) -> list[Report]:
        """Carry out one task."""
        del seconds
        if not self._waiting:
            return []
        task = self._waiting.popleft()
        try:
            with unheard():
                return [work(self._job, task)]
        except OSError as error:
            return [Report(task, BROKEN, message=f"{type(error).__name__}: {error}")]

    def close(self) -> None:
        """Nothing is left to end."""
