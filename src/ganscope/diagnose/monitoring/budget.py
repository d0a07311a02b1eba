"""When a monitor may look: shares of training time, measured as it goes.

A reading is taken if, with its expected cost, the monitor's own time stays within its share of all time, itself
included. Before iteration 4000 (or the planned end, if that is earlier) the time until then counts, too: the early
readings, which predict best, are an advance that is repaid by then. The first reading of each kind compiles; it is
warm-up, counted apart.
"""

import math
import statistics
from collections import deque
from collections.abc import Callable

# By this iteration the advance is repaid.
ADVANCE_ENDS = 4000
# Expected costs may use this part of the budget; the rest is for costs that are higher than expected.
_CAUTION = 0.9
# Gaps between steps from which the time of an iteration is told, and as many as are needed for it.
_GAPS, _FEWEST_GAPS = 31, 3
_COSTS = 5


class Budget:
    """Time spent, and whether more may be.

    Args:
        share: Of all time that the monitor may take, in (0, 1].
        clock: Seconds.
        planned_iterations: Length of the run, None if unknown.
    """

    def __init__(self, share: float, clock: Callable[[], float], planned_iterations: int | None = None) -> None:
        self.share, self.clock = share, clock
        self.advance_ends = min(ADVANCE_ENDS, planned_iterations or ADVANCE_ENDS)
        self.own = self.warm_up = 0.0
        self._started: float | None = None
        self._left: float | None = None
        self._left_iteration = 0
        self._gaps: deque[float] = deque(maxlen=_GAPS)
        self._pace = math.inf  # the least time per iteration that has been seen
        self._costs: dict[str, deque[float]] = {}
        self._spent: dict[str, float] = {}

    def enter(self, iteration: int) -> float:
        """Note that a step of the monitor begins; returns the time."""
        now = self.clock()
        if self._started is None:
            self._started = now
        if self._left is not None and iteration > self._left_iteration:
            self._gaps.append((now - self._left) / (iteration - self._left_iteration))
        return now

    def leave(self, iteration: int, since: float) -> None:
        """Note that it ends, and took the time since then for itself."""
        now = self.clock()
        self.own += now - since
        self._left, self._left_iteration = now, iteration

    def account(self, kind: str, seconds: float, again: float | None = None) -> None:
        """Note what a reading took. The first one of a kind is warm-up, whole.

        Args:
            kind: Of the reading.
            seconds: Of this step's own time.
            again: What a first reading will cost the next time, if that is known.
        """
        costs = self._costs.setdefault(kind, deque(maxlen=_COSTS))
        if kind in self._spent:
            costs.append(seconds)
            self._spent[kind] += seconds
            return
        self._spent[kind] = 0.0
        self.warm_up += seconds
        self.own -= seconds  # which `leave` will count
        if again is not None:
            costs.append(again)

    def warm(self, kind: str) -> bool:
        """Whether a reading of this kind has been taken, so that everything it needs is compiled."""
        return kind in self._spent

    def cost(self, kind: str) -> float | None:
        """What a reading of this kind will cost at most, from the last ones; None if unknown."""
        return max(self._costs[kind]) if self._costs.get(kind) else None

    @property
    def total(self) -> float:
        """Seconds since the first step, warm-up apart."""
        return 0.0 if self._started is None else max(self.clock() - self._started - self.warm_up, 0.0)

    def overhead(self, since: float | None = None) -> float:
        """The monitor's share of all time so far, warm-up apart; with a step that is not over, since when it lasts."""
        total = self.total
        own = self.own + (self.clock() - since if since is not None else 0.0)
        return max(own, 0.0) / total if total > 0 else 0.0

    @property
    def iteration_time(self) -> float | None:
        """Seconds per training iteration, None while unknown."""
        return statistics.median(self._gaps) if len(self._gaps) >= _FEWEST_GAPS else None

    def allowance(self, iteration: int) -> float:
        """Seconds of own time that are within the budget now, the advance included.

        The iterations to come are expected to be as fast as the fastest ones were: what is advanced must be repaid.
        """
        time = self.total
        if iteration < self.advance_ends:
            self._pace = min(self._pace, self.iteration_time or math.inf)
            time += (self.advance_ends - iteration) * (self._pace if math.isfinite(self._pace) else 0.0)
        return self.share * time

    def affordable(self, kind: str, iteration: int, part: float = 1.0) -> bool:
        """Whether a reading of a kind may be taken.

        The first one is warm-up, and free; a second one of unknown cost is taken if there is anything left.

        Args:
            kind: Of the reading.
            iteration: Now.
            part: Of the budget that readings of this kind may use up among themselves.
        """
        if not self.warm(kind):
            return True
        cost = self.cost(kind) or 0.0
        allowance = _CAUTION * self.allowance(iteration)
        return self.own + cost < allowance and self._spent.get(kind, 0.0) + cost < part * allowance

    def interval(self, kind: str, part: float) -> int | None:
        """Iterations between readings that use this part of the budget in the long run; None while unknown."""
        cost, time = self.cost(kind), self.iteration_time
        if cost is None or not time:
            return None
        return max(1, math.ceil(cost / (part * _CAUTION * self.share * time)))
