"""What a sweep will cost: a few cells are measured before the store is made, and decide the size of its tiles."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ganscope.core.errors import ParameterError
from ganscope.sweep.execution.work import RETURNED, Report, Task
from ganscope.sweep.measures import DONE, Block
from ganscope.sweep.plan import Plan, records_of
from ganscope.sweep.tiles import choose_tile

# A tile shall take about this long: long against the time to write it, short against the patience of a user.
TILE_SECONDS = 1.0
# Tiles for every worker, so that the last ones end together.
_TILES_PER_WORKER = 8
_SHORTEST_TILE = 0.2
# Memory for the records of one tile's runs.
_TILE_BYTES = 100e6
# Seconds of a cell of which nothing is known but that it failed.
_UNKNOWN = 0.05
# The first cell also compiles. Another one tells its cost, unless there are hardly any; of cheap ones, many do.
_WORTH_ANOTHER, _CHEAP = 10, 0.02
# Above one of these a sweep wants to be confirmed.
MANY_CELLS, MUCH_SPACE, LONG_TIME = 20_000_000, 20e9, 48 * 3600.0

# Runs a task and waits for its report.
Runner = Callable[[Task], Report]


@dataclass(frozen=True)
class Estimate:
    """What one cell costs.

    Attributes:
        seconds: Of one worker.
        size: Bytes of its results.
        block: The results of the trial, which name the variables; None if nothing came of it.
        cell: The cell that they are of.
    """

    seconds: float
    size: float
    block: Block | None
    cell: int | None


def try_cells(plan: Plan, run: Runner) -> Estimate:
    """Measure a few cells.

    Raises:
        ParameterError, NotApplicable: If none of a handful of cells all over the grid can be measured, for one reason.
    """
    report, tried = _first_that_works(plan, run)
    if report.block is None or (report.block.status != DONE).any():
        _refuse_if_hopeless(plan, tried)
        return Estimate(max(report.seconds, _UNKNOWN), 64.0, None, None)
    block, seconds = report.block, report.seconds
    size = float(sum(values.nbytes for _, values in block.columns.values())) + 16
    assert report.task.rows is not None
    cell = int(report.task.rows[0])
    for wanted in (1 if seconds > 0.2 else 16, 256):
        if (wanted > 1 and seconds > _CHEAP) or plan.cells < _WORTH_ANOTHER:
            break
        cells = _neighbours(plan, cell, wanted)
        again = run(Task(None, cells))
        if again.state != RETURNED:
            break
        seconds = again.seconds / len(cells)
    return Estimate(max(seconds, 1e-7), size, block, cell)


def _first_that_works(plan: Plan, run: Runner) -> tuple[Report, list[Report]]:
    """The report on the middle cell, or on one of the corners if that cannot be measured."""
    tried: list[Report] = []
    for cell in _samples(plan):
        report = run(Task(None, np.array([cell])))
        tried.append(report)
        if report.state == RETURNED and report.block is not None and (report.block.status == DONE).all():
            break
    return tried[-1], tried


def _samples(plan: Plan) -> list[int]:
    """The middle of the grid and up to eight of its corners."""
    places = [tuple(n // 2 for n in plan.shape)]
    for corner in range(min(8, 2 ** len(plan.shape))):
        places.append(tuple((n - 1) * (corner >> k & 1) for k, n in enumerate(plan.shape)))
    return list(dict.fromkeys(_number(plan, place) for place in places))


def _number(plan: Plan, place: tuple[int, ...]) -> int:
    number = 0
    for k, n in zip(place, plan.shape, strict=True):
        number = number * n + k
    return number


def _refuse_if_hopeless(plan: Plan, tried: list[Report]) -> None:
    """A built-in measure that refuses every sample for one reason was asked for the impossible."""
    said = {str(report.block.message[0]) if report.block is not None else report.message for report in tried}
    if isinstance(plan.measure, str) and len(said) == 1:
        (message,) = said
        kind, _, text = message.partition(": ")
        if kind in ("ParameterError", "NotApplicable", "TypeError"):
            raise ParameterError("over", [axis.name for axis in plan.axes], f"cells that can be measured; {text}")


def _neighbours(plan: Plan, cell: int, count: int) -> npt.NDArray[np.int64]:
    """Cells of the same batch as a cell, spread over the axes that a batch can vary."""
    place = [int(k) for k in np.unravel_index(cell, plan.shape)] if plan.cells < 2**62 else [0] * len(plan.shape)
    free = [k for k in range(len(plan.shape)) if k not in plan.grouped]
    if not free:
        return np.array([cell])
    rows = []
    for i in range(count):
        here = list(place)
        for order, k in enumerate(free):
            # multiples of irrational numbers spread over a box
            share = (0.5 + i * (math.sqrt((2, 3, 5, 7, 11)[order % 5]) % 1)) % 1
            here[k] = int(share * plan.shape[k])
        rows.append(_number(plan, tuple(here)))
    return np.unique(np.array(rows, np.int64))


def tile_for(plan: Plan, estimate: Estimate, workers: int, limit: float | None) -> tuple[int, ...]:
    """The shape of a tile, which stays well within a time limit."""
    share = plan.cells * estimate.seconds / (_TILES_PER_WORKER * workers)
    longest = TILE_SECONDS if limit is None else min(TILE_SECONDS, limit / 5)
    wanted = min(max(share, _SHORTEST_TILE), longest) / estimate.seconds
    most = int(_TILE_BYTES / (records_of(plan) * estimate.size))
    return choose_tile(plan.shape, plan.grouped, int(wanted), max(1, most))


def refuse_if_huge(plan: Plan, estimate: Estimate, workers: int) -> None:
    """Refuse what would take days or fill disks.

    Raises:
        ParameterError: With what it would cost.
    """
    seconds, size = plan.cells * estimate.seconds / workers, plan.cells * estimate.size
    if plan.cells > MANY_CELLS or size > MUCH_SPACE or seconds > LONG_TIME:
        cost = f"about {in_words(seconds)} on {workers} worker{'s' * (workers > 1)} and {size / 1e9:.2g} GB"
        raise ParameterError(
            "over", " x ".join(map(str, plan.shape)), f"fewer cells, or confirm=True (--yes) for {cost}"
        )


def in_words(seconds: float) -> str:
    """A length of time with one unit."""
    for unit, length in (("days", 86400.0), ("hours", 3600.0), ("minutes", 60.0)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.2g} seconds"
