"""When a run is recorded: times, and the iterations they stand for."""

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ganscope.core.checks import integer, number, numbers_in
from ganscope.core.errors import ParameterError

# Every iteration is kept up to this many; longer runs keep RECORDS equally spaced ones.
EVERY_ITERATION_UP_TO = 1000
RECORDS = 201


@dataclass(frozen=True)
class Schedule:
    """Times at which the state is recorded, increasing, and the number of iterations done by then.

    Attributes:
        times: Shape `[records]`, in the game's time.
        iterations: Shape `[records]`, or None where there are no iterations.
        last_share: How much of a whole iteration the last one is.
        end: Length of the run in time, which may lie beyond the last record.
    """

    times: npt.NDArray[np.float64]
    iterations: npt.NDArray[np.int64] | None
    last_share: float = 1.0
    end: float = math.nan


def make_schedule(
    horizon: Any,
    iterations: Any,
    save_at: Any,
    *,
    per_unit: float | None,
    default_horizon: float,
    shortens: bool = False,
) -> Schedule:
    """The schedule of a run.

    A record at time t shows the state after floor(t * per_unit) iterations, so requested times are honoured exactly.

    Args:
        horizon: Length of the run in time; give it or `iterations`, or let `save_at` say it.
        iterations: Length of the run in iterations.
        save_at: Times to record (iteration numbers when `iterations` is given), increasing; None records every
            iteration up to 1000, otherwise 201 equally spaced times.
        per_unit: Iterations per unit of time, None where there are none.
        default_horizon: Used when nothing says how long.
        shortens: Whether a horizon between two iterations is reached by a shorter last one; otherwise the last record
            shows the iteration before.

    Raises:
        ParameterError: If both lengths are given, or a value is out of range.
    """
    if iterations is not None and horizon is not None:
        raise ParameterError("horizon", horizon, "either horizon (time) or iterations (steps), not both")
    if iterations is not None and per_unit is None:
        raise ParameterError("iterations", iterations, "horizon instead: this level has no iterations")
    if horizon is not None:
        horizon = number("horizon", horizon, above=0)
    if iterations is not None:
        iterations = integer("iterations", iterations, at_least=1)
    if save_at is not None:
        schedule = _at_given(save_at, horizon, iterations, per_unit)
        end = horizon
    else:
        end = horizon or default_horizon
        schedule = _by_default(end, iterations, per_unit)
    if shortens and per_unit is not None and iterations is None and end is not None:
        schedule = _reaching(schedule, end, per_unit)
    if iterations is not None:
        assert per_unit is not None
        end = iterations / per_unit
    return replace(schedule, end=float(schedule.times[-1]) if end is None else end)


def _by_default(horizon: float, iterations: int | None, per_unit: float | None) -> Schedule:
    if per_unit is None:
        return Schedule(np.linspace(0.0, horizon, RECORDS), None)
    count = iterations if iterations is not None else _steps(np.array(horizon), per_unit).item()
    if count < 1:
        raise ParameterError("horizon", horizon, f"at least one iteration, {1 / per_unit:g} units of time")
    if count <= EVERY_ITERATION_UP_TO:
        steps = np.arange(count + 1)
        return Schedule(steps / per_unit, steps)
    if iterations is not None:
        steps = np.round(np.linspace(0, count, RECORDS)).astype(np.int64)
        return Schedule(steps / per_unit, steps)
    times = np.linspace(0.0, horizon, RECORDS)
    return Schedule(times, _steps(times, per_unit))


def _reaching(schedule: Schedule, end: float, per_unit: float) -> Schedule:
    """A schedule that goes on to the very end of its horizon, by a last iteration that is shorter than the others."""
    assert schedule.iterations is not None
    whole = int(_steps(np.array(end), per_unit))
    share = end * per_unit - whole
    if share <= 1e-9 * max(1, whole):
        return schedule
    times, iterations = schedule.times, schedule.iterations
    if math.isclose(times[-1], whole / per_unit, rel_tol=1e-12) and len(times) == whole + 1:
        times, iterations = np.append(times, end), np.append(iterations, whole + 1)
    elif math.isclose(times[-1], end, rel_tol=1e-12):
        iterations = np.append(iterations[:-1], whole + 1)
    else:
        return schedule
    return Schedule(times, iterations, share)


def _at_given(save_at: Any, horizon: float | None, iterations: int | None, per_unit: float | None) -> Schedule:
    given = numbers_in("save_at", save_at, at_least=0)
    if given.ndim != 1 or len(given) == 0 or np.any(np.diff(given) <= 0):
        raise ParameterError("save_at", save_at, "a list of increasing times (or iteration numbers), at least one")
    end = iterations if iterations is not None else horizon
    if end is not None and given[-1] > end * (1 + 1e-12):
        raise ParameterError("save_at", save_at, f"times within the run, at most {end:g}")
    if iterations is not None:
        if np.any(given != np.floor(given)):
            raise ParameterError("save_at", save_at, "whole iteration numbers, since iterations is given")
        assert per_unit is not None
        return Schedule(given / per_unit, given.astype(np.int64))
    return Schedule(given, None if per_unit is None else _steps(given, per_unit))


def _steps(times: npt.NDArray[np.float64], per_unit: float) -> npt.NDArray[np.int64]:
    """floor(times * per_unit), where a product within rounding of an integer counts as that integer."""
    exact = times * per_unit
    nearest = np.round(exact)
    close = np.abs(exact - nearest) <= 1e-9 * np.maximum(1.0, nearest)
    return np.where(close, nearest, np.floor(exact)).astype(np.int64)
