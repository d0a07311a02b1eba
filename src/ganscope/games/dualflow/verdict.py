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
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ganscope.core.checks import number
from ganscope.core.errors import ParameterError
from ganscope.core.outcome import Outcome, Verdict, Verdicts, undecided_cells, vote_of_cells

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


OUTCOMES = {
    "nonfinite": Outcome.DIVERGED,
    "escaped": Outcome.DIVERGED,
    "unknown": Outcome.UNDECIDED,
    "converged": Outcome.CONVERGED,
    "algebraic": Outcome.CONVERGED,
    "settled": Outcome.COLLAPSED,
    "cycling": Outcome.COLLAPSED,
    "diverging": Outcome.DIVERGED,
    "converging": Outcome.CONVERGED,
    "orbiting": Outcome.OSCILLATING,
    "stalled": Outcome.UNINFORMATIVE,
}


class Thresholds(NamedTuple):
    """What a caller may set; see `classify`."""

    blowup: float = 1e6
    settled: float = 0.01
    trend: float = 0.02
    moving: float = 0.05


class Judged(NamedTuple):
    """Labels of many runs and the numbers behind them, each of shape `[runs]`.

    Attributes:
        detail, margin, near: The label (a key of `OUTCOMES`), and the margin and the flag of the verdict.
        lost, beyond: First record that is not finite, or beyond the bound; the number of records if there is none.
        bound, largest: The bound on the size, and the largest finite size.
        first, last: Largest distances in the first and the last window, minus infinity where unknown.
        reference, limit: The reference length, and the distance that counts as none.
        algebraic: Whether the distance falls like a power of time.
        growth, steady: Growth of the logarithm of the distance, and whether it goes one way.
        movement, move: The largest movement, and what counts as one.
    """

    detail: npt.NDArray[Any]
    margin: Array
    near: npt.NDArray[np.bool_]
    lost: npt.NDArray[np.int64]
    beyond: npt.NDArray[np.int64]
    bound: Array
    largest: Array
    first: Array
    last: Array
    reference: Array
    limit: Array
    algebraic: npt.NDArray[np.bool_]
    growth: Array
    steady: npt.NDArray[np.bool_]
    movement: Array
    move: Array


def judge(tracked: "Tracked", times: Array, thresholds: Thresholds) -> Judged:
    """Labels of many runs at once, all recorded at the same times."""
    blowup, settled, trend, moving = thresholds
    size = np.asarray(tracked.size, np.float64)
    # records last, where they are many: reductions over a few coordinates in the last place are slow
    coordinates = np.ascontiguousarray(np.moveaxis(tracked.coordinates, -1, 0), np.float64)
    half = size.shape[1] // 2
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        finite = np.isfinite(size) & np.all(np.isfinite(coordinates), axis=0)
        bound = blowup * (1 + np.where(finite[:, 0], size[:, 0], 0.0))
        lost, beyond = _first(~finite), _first(finite & (size > bound[:, None]))
        largest = np.max(np.where(finite, size, -np.inf), axis=1)
        nonfinite = (lost < size.shape[1]) & (beyond >= lost)
        escaped = (beyond < size.shape[1]) & ~nonfinite

        distance = np.asarray(tracked.distance, np.float64)
        known = np.where(np.isfinite(distance), distance, -np.inf)[:, half:]
        windows = np.stack([np.max(part, axis=1) for part in np.array_split(known, WINDOWS, axis=1)], axis=1)
        first, last = windows[:, 0], windows[:, -1]
        unknown = ~(np.isfinite(first) & np.isfinite(last))
        reference = np.where(np.isfinite(tracked.reference), tracked.reference, 0.0)
        limit = _ZERO + settled * reference
        algebraic = tracked.algebraic | _are_powers(distance, times)
        movement = np.max(np.ptp(coordinates[..., half:], axis=-1), axis=0, initial=0.0)
        move = moving * reference
        moved, moves = np.where(move > 0, movement / move - 1, np.inf), movement > move
        missing = np.array([text is not None for text in tracked.missing], bool)
        growth = np.where(first > 0, np.log(last / first), np.inf)
        steady = _steady(windows, growth)
        kept = np.where((np.abs(growth) > trend) & ~steady, 0.0, growth)

        near_limit = np.abs(last / limit - 1) < _NEAR
        near_moved = near_limit | (np.abs(moved) < _NEAR)
        near_trend = near_limit | (np.abs(np.abs(growth) / trend - 1) < _NEAR)
        # the first that holds
        rules: list[tuple[Any, Any, Any, Any]] = [
            (nonfinite, "nonfinite", np.nan, False),
            (escaped, "escaped", np.log10(largest / bound), largest < bound * (1 + _NEAR)),
            (unknown, "unknown", np.nan, False),
            (last <= limit, np.where(algebraic, "algebraic", "converged"), 1 - last / limit, near_limit),
            (missing, np.where(moves, "cycling", "settled"), np.abs(moved), near_moved),
            (kept > trend, "diverging", kept - trend, near_trend),
            (kept < -trend, np.where(algebraic, "algebraic", "converging"), -kept - trend, near_trend),
            (moves, "orbiting", moved, near_trend | near_moved),
            (np.ones_like(moves), "stalled", -moved, near_trend | near_moved),
        ]
    detail, margin, near = np.empty(moves.shape, object), np.empty(moves.shape), np.empty(moves.shape, bool)
    for holds, *said in reversed(rules):
        for whole, values in zip((detail, margin, near), said, strict=True):
            np.copyto(whole, values, where=holds)
    found = lost, beyond, bound, largest, first, last, reference, limit, algebraic, growth, steady, movement, move
    return Judged(detail, margin, near, *found)


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
    thresholds = _checked(run, blowup, settled, trend, moving)
    if "replica" in run.dims:
        raise ParameterError(
            "run", f"{run.sizes['replica']} replicas", "one replica: select it with run.isel(replica=...)"
        )
    records = run.sizes["time"]
    if records < FEWEST_RECORDS:
        reason = f"The run has {records} records; a verdict needs at least {FEWEST_RECORDS}."
        return Verdict(Outcome.UNDECIDED, "unknown", math.nan, (reason,))
    tracked, times = game.tracked(run), np.asarray(run.time.values, np.float64)
    judged = judge(tracked.many(), times, thresholds)
    one = Judged(*(values[0] for values in judged))
    reasons = tuple(_reasons(one, tracked, times, thresholds))
    detail = str(one.detail)
    return Verdict(OUTCOMES[detail], detail, float(one.margin), reasons, bool(one.near))


def classify_cells(game: "DualGame", run: Any, **options: float) -> Verdicts:
    """The verdicts on all cells of a batch; replicas of a cell are judged one by one and vote.

    Raises:
        ParameterError: If a threshold is out of its range, or the run has no time.
    """
    thresholds = _checked(run, **Thresholds(**options)._asdict())
    if run.sizes["time"] < FEWEST_RECORDS:
        return undecided_cells(run.sizes["cell"])
    judged = judge(game.tracked_runs(run), np.asarray(run.time.values, np.float64), thresholds)
    outcome = np.empty(judged.detail.shape, object)
    for label, name in OUTCOMES.items():
        outcome[judged.detail == label] = str(name)
    said: tuple[Any, ...] = outcome, judged.detail, judged.margin, judged.near
    return vote_of_cells(*(values.reshape(run.sizes["cell"], -1) for values in said))


def _checked(run: Any, blowup: float, settled: float, trend: float, moving: float) -> Thresholds:
    blowup = number("blowup", blowup, above=1)
    settled, trend = number("settled", settled, above=0), number("trend", trend, above=0)
    moving = number("moving", moving, above=0)
    if "time" not in run.dims:
        raise ParameterError("run", list(run.dims), "a run with the dimension time")
    return Thresholds(blowup, settled, trend, moving)


def _first(condition: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Index of the first True of every row; the length of the row where there is none."""
    return np.asarray(np.where(condition.any(axis=1), condition.argmax(axis=1), condition.shape[1]))


def _reasons(one: Judged, tracked: "Tracked", times: Array, thresholds: Thresholds) -> list[str]:
    """What was measured on a single run, as far as it mattered; `one` holds numbers."""
    _, settled, trend, moving = thresholds
    detail = str(one.detail)
    if detail == "nonfinite":
        return [f"The state is not finite from time {times[one.lost]:g} on."]
    if detail == "escaped":
        return [
            f"The norm of the state exceeds {one.bound:.3g} (blowup times one plus its first value) from time "
            f"{times[one.beyond]:g} on; the largest finite one is {one.largest:.3g}."
        ]
    if detail == "unknown":
        return ["The distance to the target is not known in the second half of the run."]
    reasons = _short(tracked, times)
    reasons.append(
        f"The largest distance to the target in the last eighth of the run is {one.last:.4g}; settled means at most "
        f"{one.limit:.4g} (1e-6 plus settled = {settled:g} times the reference length {one.reference:.4g})."
    )
    if one.algebraic:
        reasons.append("The distance falls like a power of time.")
    if one.last <= one.limit:
        return reasons
    says_movement = (
        f"The tracked coordinate that moves most covers {one.movement:.4g} over the second half; moving means more "
        f"than {one.move:.4g} (moving = {moving:g} times the reference length)."
    )
    if tracked.missing is not None:
        return [*reasons, tracked.missing, says_movement]
    reasons.append(
        f"From the fifth to the last eighth of the run the logarithm of the distance changes by {one.growth:+.4g}; a "
        f"trend is more than {trend:g} in size."
    )
    if abs(one.growth) > trend and not one.steady:
        reasons.append("The distance goes up and down between them: that is no trend.")
    return [*reasons, says_movement] if detail in ("orbiting", "stalled") else reasons


def _steady(windows: Array, growth: Array) -> npt.NDArray[np.bool_]:
    """Whether the largest distances of all windows change in the direction of the whole, give or take a tenth of it."""
    told = np.all(np.isfinite(windows), axis=1) & (np.min(windows, axis=1) > 0)
    steps = np.diff(np.log(windows), axis=1) * np.copysign(1.0, growth)[:, None]
    return np.asarray(~told | np.all(steps >= -_BACK * np.abs(growth)[:, None], axis=1))


def _short(tracked: "Tracked", times: Array) -> list[str]:
    """A warning if the run is too short to tell growth and decay from rotation."""
    length = float(times[-1] - times[0])
    if not (np.isfinite(tracked.period) and length < _PERIODS * tracked.period):
        return []
    return [
        f"Warning: the run covers {length:.4g}, less than {_PERIODS} predicted periods of {tracked.period:.4g}; growth "
        "and decay may be parts of a rotation."
    ]


def _are_powers(distance: Array, times: Array) -> npt.NDArray[np.bool_]:
    """Which distances `[runs, records]` fall like a power of time, clearly rather than exponentially."""
    late = times >= times[0] + (times[-1] - times[0]) / 10
    d, t = distance[:, late], times[late]
    powers = np.zeros(len(d), bool)
    which = np.flatnonzero(np.all(np.isfinite(d), axis=1) & (np.min(d, axis=1) > _ZERO))
    if d.shape[1] < FEWEST_RECORDS // 2 or t[0] <= 0 or len(which) == 0:
        return powers
    log_d, log_t = np.log(d[which]).T, np.log(t)
    # Weights make every factor in time count alike.
    weight = np.sqrt(1 / t)
    power, residual = _lines(log_t, log_d, weight)
    _, other = _lines(t, log_d, weight)
    falls = -power * float(log_t[-1] - log_t[0]) > _FALL
    powers[which] = falls & (residual < np.minimum(_STRAIGHT, _STRAIGHTER * other))
    return powers


def _lines(x: Array, y: Array, weight: Array) -> tuple[Array, Array]:
    """Slopes of the weighted straight lines through points, y `[points, lines]`, and how far they miss."""
    slope, offset = np.polyfit(x, y, 1, w=weight)
    share = weight**2 / np.sum(weight**2)
    return slope, np.sqrt(share @ np.square(y - slope * x[:, None] - offset))
