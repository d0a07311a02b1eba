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
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ganscope.core.checks import integer, number
from ganscope.core.errors import ParameterError
from ganscope.core.outcome import Outcome, Verdict
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


class _Gap(NamedTuple):
    """Distance from a threshold, and the distance that counts as near."""

    distance: float
    near: float


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
    lost = _lost(x, np.asarray(target_mean, np.float64), scale, periodic)
    if lost is not None:
        return lost
    tail = math.ceil(TAIL * records)
    mean = {name: float(np.mean(series[-tail:])) for name, series in values.items()}
    soft = float(normalised_soft_coverage(mean["soft_coverage"], modes))
    motion, variation = float(values["wander"][-1]), _variation(values["spread"][-tail:])
    seen = f"soft coverage {soft:.3g} and spread {mean['spread']:.3g} over the last quarter of the run"
    if soft < COLLAPSED and mean["spread"] < NARROW:
        return _collapsed(soft, mean["spread"], motion, seen)
    distance_to_collapse = max(soft - COLLAPSED, mean["spread"] - NARROW)
    if soft < COMPLETE:
        reason = f"{seen}: some modes are lost, for good or now and then"
        gaps = (_Gap(COMPLETE - soft, NEAR_COVERAGE), _Gap(distance_to_collapse, NEAR_COVERAGE))
        verdict = _verdict(Outcome.COLLAPSED, "partially_collapsed", gaps, reason)
        if not _rises(normalised_soft_coverage(values["soft_coverage"][-tail:], modes)):
            return verdict
        rising = "the soft coverage still rises: in a longer run the modes may fill"
        return replace(verdict, reasons=(reason, rising), near_critical=True)
    if modes > 1 and mean["spread"] < POINT and mean["quality"] < SHARP:
        # a point between the modes belongs to all of them alike
        reason = f"{seen}, quality {mean['quality']:.3g}: a point between the modes"
        word = "hopping" if motion > HOPPING else "static"
        return _verdict(Outcome.COLLAPSED, f"collapsed/{word}", (_Gap(POINT - mean["spread"], POINT / 10),), reason)
    blurred, reasons = _blurred(mean["coverage"], mean["quality"])
    full = (_Gap(soft - COMPLETE, NEAR_COVERAGE),) if modes > 1 else ()
    moving = f"wander {motion:.3g} and relative variation of the spread {variation:.3g}"
    if motion > RESTLESS or variation > RESTLESS:
        word = "hopping" if motion > HOPPING else "orbiting"
        reason = f"{seen}; {moving}: more than {RESTLESS} is no rest"
        gaps = (*full, _Gap(max(motion, variation) - RESTLESS, NEAR_MOTION))
        return _verdict(Outcome.OSCILLATING, word + blurred, gaps, reason, *reasons)
    gaps = (*full, _Gap(RESTLESS - motion, NEAR_MOTION), _Gap(RESTLESS - variation, NEAR_MOTION))
    return _verdict(Outcome.CONVERGED, "converged" + blurred, gaps, f"{seen}; {moving}", *reasons)


def _rises(soft: Array) -> bool:
    """Whether the soft coverage goes up through all quarters of the tail, and at this pace would soon be complete."""
    quarters = np.array([part.mean() for part in np.array_split(soft, 4)])
    gained = float(quarters[-1] - quarters[0])
    return bool(np.all(np.diff(quarters) > 0)) and gained > NEAR_COVERAGE and quarters[-1] + 3 * gained > COMPLETE


def _one_per_record(name: str, values: npt.ArrayLike, records: int) -> Array:
    array = np.asarray(values, np.float64)
    if array.shape != (records,):
        raise ParameterError(name, array.shape, f"one value per record, shape ({records},)")
    return array


def _lost(x: Array, mean: Array, scale: float, periodic: bool) -> Verdict | None:
    """The verdict on a run that is not finite, or leaves the neighbourhood of the target.

    A start beyond the bound is no escape: then only the last quarter of the records counts.
    """
    finite = np.all(np.isfinite(x), axis=(1, 2))
    if not np.all(finite):
        reason = f"not finite from record {int(np.argmin(finite))} on"
        return Verdict(Outcome.DIVERGED, "nonfinite", math.nan, (reason,))
    if periodic:
        if np.max(np.abs(x)) <= LARGEST:
            return None
        return Verdict(
            Outcome.DIVERGED, "nonfinite", math.nan, (f"positions beyond {LARGEST:g} have lost their angle",)
        )
    with np.errstate(over="ignore"):  # beyond 1e154 the distance is infinite, and far enough
        away = np.max(np.sqrt(np.sum(np.square(x - mean), axis=2)), axis=1) / scale
    first = 0 if away[0] <= ESCAPED else len(x) - math.ceil(TAIL * len(x))
    farthest = float(np.max(away[first:]))
    if farthest <= ESCAPED:
        return None
    reason = f"a particle is {farthest:.3g} target scales from the target's mean; beyond {ESCAPED:g} it has escaped"
    return Verdict(Outcome.DIVERGED, "escaped", farthest / ESCAPED - 1, (reason,))


def _variation(spread: Array) -> float:
    """Standard deviation over mean; 0 for a cloud that is a point."""
    mean = float(np.mean(spread))
    return float(np.std(spread)) / mean if mean > POINT else 0.0


def _collapsed(soft: float, spread: float, motion: float, seen: str) -> Verdict:
    word, sign = ("hopping", ">") if motion > HOPPING else ("static", "<=")
    reason = f"{seen}, below {COLLAPSED} and {NARROW}; wander {motion:.3g} {sign} {HOPPING}"
    gaps = (_Gap(COLLAPSED - soft, NEAR_COVERAGE), _Gap(NARROW - spread, NEAR_COVERAGE))
    return _verdict(Outcome.COLLAPSED, f"collapsed/{word}", gaps, reason)


def _blurred(coverage: float, quality: float) -> tuple[str, tuple[str, ...]]:
    """What is added to the detail and to the reasons where modes are found but not resolved."""
    if coverage >= RESOLVED and quality >= SHARP:
        return "", ()
    seen = f"coverage {coverage:.3g} and quality {quality:.3g}, below {RESOLVED} or {SHARP}"
    return "/blurred", (f"{seen}: the modes are found but not resolved, which is not collapse",)


def _verdict(outcome: Outcome, detail: str, gaps: tuple[_Gap, ...], *reasons: str) -> Verdict:
    nearest = min(gaps, key=lambda gap: gap.distance / gap.near)
    near = nearest.distance < nearest.near
    return Verdict(outcome, detail, float(nearest.distance), reasons, near)
