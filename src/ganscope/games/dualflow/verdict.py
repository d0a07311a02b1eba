r"""What became of a run of a dual flow; the first rule that holds decides.

    not finite                                            diverged, nonfinite
    size > blowup (1 + first size)                        diverged, escaped
    last distance <= 1e-6 + settled reference             converged, converged
    part of the target is missing                         collapsed, cycling if a coordinate moves, else settled
    log growth of the distance > trend                    diverged, diverging
    log growth of the distance < -trend                   converged, converging
    a coordinate moves by more than moving reference      oscillating, orbiting
    nothing of it                                         uninformative, stalled

Distances are the largest in each of four equal windows of the second half of the records: the last distance is that of
the last window, the growth is from the first to the last window. Movement is the largest range of a tracked coordinate
over the second half. An approach along a power of time is called algebraic instead of converged or converging.
"""

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ganscope.core.checks import number
from ganscope.core.errors import ParameterError
from ganscope.core.outcome import Outcome, Verdict

if TYPE_CHECKING:
    from ganscope.games.dualflow.game import DualGame, Tracked

Array = npt.NDArray[np.float64]

FEWEST_RECORDS = 100
WINDOWS = 4
# A distance below this is rounding or the integrator's tolerance, whatever the reference length.
_ZERO = 1e-6
# Orbits need so many predicted periods before growth and decay can be told from rotation.
_PERIODS = 4
# A number this close to its threshold, relative to it, makes the verdict near critical.
_NEAR = 0.05
# An approach is algebraic if log distance is a straight line in log time, over the last 90 % of the run, to this root
# mean square, by this factor better than it is a straight line in time, and falls by more than the last number.
_STRAIGHT, _STRAIGHTER, _FALL = 0.01, 0.1, 0.3
# Share of a trend that single windows may go back.
_BACK = 0.1


def classify(
    game: "DualGame", run: Any, blowup: float = 1e6, settled: float = 0.01, trend: float = 0.02, moving: float = 0.05
) -> Verdict:
    """The verdict on one run.

    Args:
        game: The game that made it.
        run: A data set made by `simulate`; records should be equally spaced.
        blowup: A state has escaped when its norm exceeds this times one plus its first norm, > 1.
        settled: A distance below this times the reference length (the first distance; for laws the standard deviation
            of the target) is none, > 0.
        trend: Growth of the logarithm of the distance that counts, > 0.
        moving: Movement that counts, in reference lengths, > 0.

    Returns:
        The verdict. Its margin is the distance of the deciding number from its threshold: in decades for `escaped`, in
        shares of the threshold for distances and movements, in logarithms for trends; it is near critical when a number
        that was compared lies within 5 % of its threshold.

    Raises:
        ParameterError: If a threshold is out of its range, or the run has no time or several replicas.
    """
    blowup = number("blowup", blowup, above=1)
    settled, trend = number("settled", settled, above=0), number("trend", trend, above=0)
    moving = number("moving", moving, above=0)
    if "time" not in run.dims:
        raise ParameterError("run", list(run.dims), "a run with the dimension time")
    if "replica" in run.dims:
        raise ParameterError(
            "run", f"{run.sizes['replica']} replicas", "one replica: select it with run.isel(replica=...)"
        )
    records = run.sizes["time"]
    if records < FEWEST_RECORDS:
        return _undecided(f"The run has {records} records; a verdict needs at least {FEWEST_RECORDS}.")
    tracked = game.tracked(run)
    times = np.asarray(run.time.values, np.float64)
    escaped = _escape(tracked, times, blowup)
    if escaped is not None:
        return escaped
    return _tail(tracked, times, settled, trend, moving)


def _undecided(reason: str) -> Verdict:
    return Verdict(Outcome.UNDECIDED, "unknown", math.nan, (reason,))


def _escape(tracked: "Tracked", times: Array, blowup: float) -> Verdict | None:
    """The verdict on a run that did not stay bounded."""
    size = np.asarray(tracked.size, np.float64)
    finite = np.isfinite(size) & np.all(np.isfinite(tracked.coordinates), axis=-1)
    limit = blowup * (1 + (float(size[0]) if finite[0] else 0.0))
    beyond = np.flatnonzero(finite & (size > limit))
    lost = np.flatnonzero(~finite)
    if len(lost) and not (len(beyond) and beyond[0] < lost[0]):
        reason = f"The state is not finite from time {times[lost[0]]:g} on."
        return Verdict(Outcome.DIVERGED, "nonfinite", math.nan, (reason,))
    if len(beyond):
        largest = float(np.max(size[finite]))
        reason = (
            f"The norm of the state exceeds {limit:.3g} (blowup times one plus its first value) from time "
            f"{times[beyond[0]]:g} on; the largest finite one is {largest:.3g}."
        )
        return Verdict(
            Outcome.DIVERGED, "escaped", math.log10(largest / limit), (reason,), largest < limit * (1 + _NEAR)
        )
    return None


def _tail(tracked: "Tracked", times: Array, settled: float, trend: float, moving: float) -> Verdict:
    """The verdict by the second half of the records."""
    half = len(times) // 2
    windows = np.array_split(np.asarray(tracked.distance, np.float64)[half:], WINDOWS)
    largest = [float(np.max(w[np.isfinite(w)], initial=-math.inf)) for w in windows]
    first, last = largest[0], largest[-1]
    if not (np.isfinite(first) and np.isfinite(last)):
        return _undecided("The distance to the target is not known in the second half of the run.")
    reference = tracked.reference if np.isfinite(tracked.reference) else 0.0
    reasons = [*_short(tracked, times)]
    near = False

    limit = _ZERO + settled * reference
    reasons.append(
        f"The largest distance to the target in the last eighth of the run is {last:.4g}; settled means at most "
        f"{limit:.4g} (1e-6 plus settled = {settled:g} times the reference length {reference:.4g})."
    )
    near |= abs(last / limit - 1) < _NEAR
    algebraic = tracked.algebraic or _is_power(tracked.distance, times)
    if algebraic:
        reasons.append("The distance falls like a power of time.")
    if last <= limit:
        detail = "algebraic" if algebraic else "converged"
        return Verdict(Outcome.CONVERGED, detail, 1 - last / limit, tuple(reasons), near)

    movement = float(np.max(np.ptp(np.asarray(tracked.coordinates, np.float64)[half:], axis=0), initial=0.0))
    move = moving * reference
    moves = movement > move
    moved = movement / move - 1 if move > 0 else math.inf
    says_movement = (
        f"The tracked coordinate that moves most covers {movement:.4g} over the second half; moving means more than "
        f"{move:.4g} (moving = {moving:g} times the reference length)."
    )
    if tracked.missing is not None:
        reasons += [tracked.missing, says_movement]
        near |= abs(moved) < _NEAR
        return Verdict(Outcome.COLLAPSED, "cycling" if moves else "settled", abs(moved), tuple(reasons), near)

    growth = math.log(last / first) if first > 0 else math.inf
    reasons.append(
        f"From the fifth to the last eighth of the run the logarithm of the distance changes by {growth:+.4g}; a trend "
        f"is more than {trend:g} in size."
    )
    near |= abs(abs(growth) / trend - 1) < _NEAR
    if abs(growth) > trend and not _steady(largest, growth):
        reasons.append("The distance goes up and down between them: that is no trend.")
        growth = 0.0
    if growth > trend:
        return Verdict(Outcome.DIVERGED, "diverging", growth - trend, tuple(reasons), near)
    if growth < -trend:
        detail = "algebraic" if algebraic else "converging"
        return Verdict(Outcome.CONVERGED, detail, -growth - trend, tuple(reasons), near)
    reasons.append(says_movement)
    near |= abs(moved) < _NEAR
    if moves:
        return Verdict(Outcome.OSCILLATING, "orbiting", moved, tuple(reasons), near)
    return Verdict(Outcome.UNINFORMATIVE, "stalled", -moved, tuple(reasons), near)


def _steady(largest: list[float], growth: float) -> bool:
    """Whether the largest distances of all windows change in the direction of the whole, give or take a tenth of it."""
    if not np.all(np.isfinite(largest)) or min(largest) <= 0:
        return True
    steps = np.diff(np.log(largest))
    return bool(np.all(steps * math.copysign(1.0, growth) >= -_BACK * abs(growth)))


def _short(tracked: "Tracked", times: Array) -> list[str]:
    """A warning if the run is too short to tell growth and decay from rotation."""
    length = float(times[-1] - times[0])
    if not (np.isfinite(tracked.period) and length < _PERIODS * tracked.period):
        return []
    return [
        f"Warning: the run covers {length:.4g}, less than {_PERIODS} predicted periods of {tracked.period:.4g}; growth "
        "and decay may be parts of a rotation."
    ]


def _is_power(distance: Array, times: Array) -> bool:
    """Whether a distance falls like a power of time, clearly rather than exponentially."""
    late = times >= times[0] + (times[-1] - times[0]) / 10
    d, t = np.asarray(distance, np.float64)[late], times[late]
    if len(d) < FEWEST_RECORDS // 2 or t[0] <= 0 or not np.all(np.isfinite(d)) or np.min(d) <= _ZERO:
        return False
    log_d, log_t = np.log(d), np.log(t)
    # Weights make every factor in time count alike.
    weight = np.sqrt(1 / t)
    power, residual = _line(log_t, log_d, weight)
    _, other = _line(t, log_d, weight)
    return -power * float(log_t[-1] - log_t[0]) > _FALL and residual < min(_STRAIGHT, _STRAIGHTER * other)


def _line(x: Array, y: Array, weight: Array) -> tuple[float, float]:
    """Slope of the weighted straight line through points, and their root mean square distance from it."""
    slope, offset = np.polyfit(x, y, 1, w=weight)
    share = weight**2 / np.sum(weight**2)
    return float(slope), float(np.sqrt(np.sum(share * np.square(y - slope * x - offset))))
