"""The verdict on a run of particles, from its order parameters over the last quarter of the records.

The first that holds:

    diverged             a position is not finite, or farther than 20 scales from the target's mean
    collapsed            soft coverage below 0.35 and spread below 0.5; hopping if wander > 0.25, else static; or a
                         point between the modes (spread below 0.01, quality below 0.5)
    partially collapsed  soft coverage below 0.85: some modes are lost, for good or now and then
    oscillating          wander > 0.1, or the spread varies by more than 0.1 of itself
    converged            none of these

The scale is the root of the trace of the target's covariance. The soft coverage is rescaled here to run from 0 (one
mode) to 1 (all modes alike). Modes that are found but not resolved are `blurred`: coverage < 0.9 or quality < 0.5
although the soft coverage is full.

These rules are this package's choice, not a published classification.
"""

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ganscope.core.checks import integer, number
from ganscope.core.errors import ParameterError
from ganscope.core.outcome import Outcome, Verdict, Verdicts, undecided_cells, vote_of_cells
from ganscope.games.particle.order_parameters import LARGEST

Array = npt.NDArray[np.float64]

FEWEST_RECORDS = 100
# Share of the records that is averaged.
TAIL = 0.25
# Distance from the target's mean, in scales, beyond which a particle has escaped.
ESCAPED = 20.0
# Soft coverage (rescaled) and spread below which a cloud has collapsed; soft coverage below which modes are lost.
COLLAPSED, NARROW, COMPLETE = 0.35, 0.5, 0.85
# Wander above which a collapsed or oscillating cloud hops; wander and relative variation of the spread at rest.
HOPPING, RESTLESS = 0.25, 0.1
# Spread below which a cloud is a point, whose size has no variation to speak of, and which covers no modes by lying
# between them.
POINT = 1e-2
# Coverage and quality below which modes are blurred.
RESOLVED, SHARP = 0.9, 0.5
# How close to a threshold is near: in soft coverage and spread, and in wander and variation of the spread.
NEAR_COVERAGE, NEAR_MOTION = 0.05, 0.02


_BLURRED = "/blurred"
# Coordinates that are looked at in one go.
_BLOCK = 1 << 20
# Outcomes by the first part of the label.
_OUTCOMES = {
    "nonfinite": Outcome.DIVERGED,
    "escaped": Outcome.DIVERGED,
    "collapsed": Outcome.COLLAPSED,
    "partially_collapsed": Outcome.COLLAPSED,
    "hopping": Outcome.OSCILLATING,
    "orbiting": Outcome.OSCILLATING,
    "converged": Outcome.CONVERGED,
}


class Judged(NamedTuple):
    """Labels of many runs and the numbers behind them, each of shape `[runs]`.

    Attributes:
        detail, margin, near: The label, and the margin and the flag of the verdict.
        soft: Soft coverage over the last quarter, from 0 to 1.
        spread, coverage, quality: Likewise.
        motion, variation: Last value of `wander`, and relative variation of the spread.
        rising: Whether the soft coverage still rises.
        lost: First record that is not finite; the number of records if there is none.
        farthest: Distance from the target's mean, in scales.
    """

    detail: npt.NDArray[Any]
    margin: Array
    near: npt.NDArray[np.bool_]
    soft: Array
    spread: Array
    coverage: Array
    quality: Array
    motion: Array
    variation: Array
    rising: npt.NDArray[np.bool_]
    lost: npt.NDArray[np.int64]
    farthest: Array


def normalised_soft_coverage(soft_coverage: npt.ArrayLike, modes: int) -> Any:
    """Soft coverage rescaled from [1 / modes, 1] to [0, 1]; 1 for a target with one mode."""
    soft = np.asarray(soft_coverage, np.float64)
    if modes == 1:
        return np.where(np.isnan(soft), np.nan, 1.0)[()]
    return ((modes * soft - 1) / (modes - 1))[()]


def classify_series(
    *,
    positions: npt.ArrayLike,
    soft_coverage: npt.ArrayLike,
    spread: npt.ArrayLike,
    coverage: npt.ArrayLike,
    quality: npt.ArrayLike,
    wander: npt.ArrayLike,
    target_mean: npt.ArrayLike,
    scale: float,
    modes: int,
    periodic: bool = False,
) -> Verdict:
    """The verdict on one run.

    Args:
        positions: Particles at T records, shape `[T, N, d]`, or `[T, N]` on a line.
        soft_coverage: As `order_parameters` gives it, between 1 / modes and 1, shape `[T]`.
        spread: Trace of the particles' covariance over the target's, `[T]`.
        coverage, quality: As `order_parameters` gives them, `[T]`.
        wander: As `order_parameters.wander` gives it, `[T]`; the last value counts.
        target_mean: Mean of the target, shape `[d]` (or a number).
        scale: Root of the trace of the target's covariance, > 0.
        modes: Number of modes, or of classes.
        periodic: The particles live on a circle, from which nothing escapes.

    Returns:
        The outcome, with detail `nonfinite`, `escaped`, `collapsed/hopping`, `collapsed/static`,
        `partially_collapsed`, `hopping` or `orbiting` (both oscillating) or `converged`, and `/blurred` after the
        last three where it applies; `unknown` with fewer than 100 records. `margin` is the distance from the nearest
        threshold at which another rule would have decided, in the units of the order parameter there (for an escape:
        in bounds); NaN for a run that is not finite or has no verdict. `near_critical` if that is less than
        0.05 in soft coverage or spread, 0.02 in wander or in the variation of the spread.

    Raises:
        ParameterError: If shapes do not fit.
    """
    x = np.asarray(positions, np.float64)
    x = x[..., None] if x.ndim == 2 else x
    if x.ndim != 3:
        raise ParameterError("positions", x.shape, "shape [records, particles, coordinates] of one run")
    records = len(x)
    series = {"soft_coverage": soft_coverage, "spread": spread, "coverage": coverage, "quality": quality}
    values = {name: _one_per_record(name, given, records) for name, given in (series | {"wander": wander}).items()}
    scale, modes = number("scale", scale, above=0), integer("modes", modes, at_least=1)
    if records < FEWEST_RECORDS:
        reason = f"{records} records; a verdict needs at least {FEWEST_RECORDS}"
        return Verdict(Outcome.UNDECIDED, "unknown", math.nan, (reason,))
    rows = {name: array[None] for name, array in values.items()}
    mean = np.asarray(target_mean, np.float64)
    judged = judge(x[None], rows, mean[None], np.array([scale]), modes, periodic)
    one = Judged(*(array[0] for array in judged))
    detail = str(one.detail)
    reasons = tuple(_reasons(one, records))
    return Verdict(_OUTCOMES[detail.split("/")[0]], detail, float(one.margin), reasons, bool(one.near))


def classify_runs(
    positions: Array,
    series: dict[str, Array],
    target_mean: Array,
    scale: Array,
    modes: int,
    cells: int,
    periodic: bool = False,
) -> Verdicts:
    """The verdicts on many runs, as `classify_series` gives them; the runs of a cell stand together and vote.

    Args:
        positions: Shape `[runs, T, N, d]`.
        series: The other series of `classify_series` by name, each `[runs, T]`.
        target_mean: Shape `[runs, d]`.
        scale: Shape `[runs]`.
        modes, periodic: As there.
        cells: Number of cells.
    """
    if positions.shape[1] < FEWEST_RECORDS:
        return undecided_cells(cells)
    count = max(1, _BLOCK // max(1, positions[0].size))
    parts = []
    for start in range(0, len(positions), count):
        which = slice(start, start + count)
        few = {name: values[which] for name, values in series.items()}
        parts.append(judge(positions[which], few, target_mean[which], scale[which], modes, periodic))
    detail, margin, near = (np.concatenate([part[k] for part in parts]) for k in range(3))
    outcome = np.array([str(_OUTCOMES[label.split("/")[0]]) for label in detail], object)
    said: tuple[Any, ...] = outcome, detail, margin, near
    return vote_of_cells(*(values.reshape(cells, -1) for values in said))


def judge(
    x: Array, series: dict[str, Array], target_mean: Array, scale: Array, modes: int, periodic: bool = False
) -> Judged:
    """Labels of many runs at once; arguments as in `classify_runs`."""
    runs, records = x.shape[:2]
    tail = math.ceil(TAIL * records)
    late = {name: values[:, -tail:] for name, values in series.items()}
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        # beyond 1e154 the squared distance is infinite, and far enough
        finite = np.asarray(np.all(np.isfinite(x), axis=(2, 3)))
        lost = np.where(finite.all(axis=1), records, np.argmin(finite, axis=1))
        farthest = _farthest(x, target_mean, scale, tail) if not periodic else np.zeros(runs)
        angles_lost = periodic & (np.abs(x).max(axis=(1, 2, 3)) > LARGEST)
        soft = normalised_soft_coverage(late["soft_coverage"].mean(axis=1), modes)
        spread, coverage, quality = (late[name].mean(axis=1) for name in ("spread", "coverage", "quality"))
        motion, variation = series["wander"][:, -1], _variation(late["spread"])
        rising = _rises(normalised_soft_coverage(late["soft_coverage"], modes))
        hops = motion > HOPPING
        blurred = np.where((coverage >= RESOLVED) & (quality >= SHARP), "", _BLURRED)
        collapsed = np.where(hops, "collapsed/hopping", "collapsed/static")
        restless = np.char.add(np.where(hops, "hopping", "orbiting"), blurred)
        to_collapse = np.fmax(soft - COLLAPSED, spread - NARROW)
        full = ((soft - COMPLETE, NEAR_COVERAGE),) if modes > 1 else ()
        moved = (np.maximum(motion, variation) - RESTLESS, NEAR_MOTION)
        # the first that holds: when, the label, and the distances from thresholds, each with what counts as near
        rules: list[tuple[Any, Any, tuple[tuple[Array, float], ...]]] = [
            ((lost < records) | angles_lost, "nonfinite", ()),
            (farthest > ESCAPED, "escaped", ((farthest / ESCAPED - 1, 0.0),)),
            (
                (soft < COLLAPSED) & (spread < NARROW),
                collapsed,
                ((COLLAPSED - soft, NEAR_COVERAGE), (NARROW - spread, NEAR_COVERAGE)),
            ),
            (
                soft < COMPLETE,
                "partially_collapsed",
                ((COMPLETE - soft, NEAR_COVERAGE), (to_collapse, NEAR_COVERAGE)),
            ),
            # a point between the modes belongs to all of them alike
            (
                (modes > 1) & (spread < POINT) & (quality < SHARP),
                collapsed,
                ((POINT - spread, POINT / 10),),
            ),
            ((motion > RESTLESS) | (variation > RESTLESS), restless, (*full, moved)),
            (
                np.ones(runs, bool),
                np.char.add("converged", blurred),
                (*full, (RESTLESS - motion, NEAR_MOTION), (RESTLESS - variation, NEAR_MOTION)),
            ),
        ]
        detail, margin, near = np.empty(runs, object), np.empty(runs), np.empty(runs, bool)
        for holds, label, gaps in reversed(rules):
            distance, is_near = _nearest(gaps, runs)
            for whole, values in ((detail, label), (margin, distance), (near, is_near)):
                np.copyto(whole, values, where=holds)
        near |= (detail == "partially_collapsed") & rising
    return Judged(detail, margin, near, soft, spread, coverage, quality, motion, variation, rising, lost, farthest)


def _nearest(gaps: tuple[tuple[Array, float], ...], runs: int) -> tuple[Array, npt.NDArray[np.bool_]]:
    """Distance from the nearest threshold, measured by what counts as near there, and whether it is near."""
    if not gaps:
        return np.full(runs, np.nan), np.zeros(runs, bool)
    distances, nears = np.stack([gap[0] for gap in gaps]), np.array([gap[1] for gap in gaps])
    if len(gaps) == 1:
        return distances[0], distances[0] < nears[0]
    which = np.argmin(np.nan_to_num(distances / nears[:, None], nan=np.inf), axis=0)[None]
    distance = np.take_along_axis(distances, which, axis=0)[0]
    return distance, distance < nears[which[0]]


def _reasons(one: Judged, records: int) -> list[str]:
    """What was measured on a single run, as far as it mattered; `one` holds numbers."""
    detail = str(one.detail)
    if detail == "nonfinite":
        lost = f"not finite from record {one.lost} on"
        return [lost if one.lost < records else f"positions beyond {LARGEST:g} have lost their angle"]
    if detail == "escaped":
        far = f"a particle is {one.farthest:.3g} target scales from the target's mean"
        return [f"{far}; beyond {ESCAPED:g} it has escaped"]
    seen = f"soft coverage {one.soft:.3g} and spread {one.spread:.3g} over the last quarter of the run"
    if detail == "partially_collapsed":
        reasons = [f"{seen}: some modes are lost, for good or now and then"]
        if one.rising:
            reasons.append("the soft coverage still rises: in a longer run the modes may fill")
        return reasons
    if detail.startswith("collapsed") and one.soft >= COMPLETE:
        return [f"{seen}, quality {one.quality:.3g}: a point between the modes"]
    if detail.startswith("collapsed"):
        sign = ">" if one.motion > HOPPING else "<="
        return [f"{seen}, below {COLLAPSED} and {NARROW}; wander {one.motion:.3g} {sign} {HOPPING}"]
    reason = f"{seen}; wander {one.motion:.3g} and relative variation of the spread {one.variation:.3g}"
    reasons = [reason if detail.startswith("converged") else f"{reason}: more than {RESTLESS} is no rest"]
    if detail.endswith(_BLURRED):
        blurred = f"coverage {one.coverage:.3g} and quality {one.quality:.3g}, below {RESOLVED} or {SHARP}"
        reasons.append(f"{blurred}: the modes are found but not resolved, which is not collapse")
    return reasons


def _rises(soft: Array) -> npt.NDArray[np.bool_]:
    """Whether soft coverages `[runs, records]` go up through all quarters, and at this pace would soon be complete."""
    quarters = np.stack([part.mean(axis=1) for part in np.array_split(soft, 4, axis=1)], axis=1)
    gained, last = quarters[:, -1] - quarters[:, 0], quarters[:, -1]
    return np.asarray(
        np.all(np.diff(quarters, axis=1) > 0, axis=1) & (gained > NEAR_COVERAGE) & (last + 3 * gained > COMPLETE)
    )


def _one_per_record(name: str, values: npt.ArrayLike, records: int) -> Array:
    array = np.asarray(values, np.float64)
    if array.shape != (records,):
        raise ParameterError(name, array.shape, f"one value per record, shape ({records},)")
    return array


def _farthest(x: Array, mean: Array, scale: Array, tail: int) -> Array:
    """Largest distance of a particle from the target's mean, in scales, shape `[runs]`.

    A start beyond the bound is no escape: then only the last quarter of the records counts.
    """
    squares = np.sum(np.square(x - np.reshape(mean, (len(x), 1, 1, -1))), axis=3)
    away = np.sqrt(np.max(squares, axis=2)) / scale[:, None]
    return np.asarray(np.where(away[:, 0] <= ESCAPED, away.max(axis=1), away[:, -tail:].max(axis=1)))


def _variation(spread: Array) -> Array:
    """Standard deviation over mean along the records; 0 for a cloud that is a point."""
    mean = np.mean(spread, axis=1)
    return np.asarray(np.where(mean > POINT, np.std(spread, axis=1) / mean, 0.0))
