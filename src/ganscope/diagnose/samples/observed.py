"""What became of a training run, read off the samples at its fixed latents; the last quarter of the records counts."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ganscope.core.outcome import Outcome, Verdict
from ganscope.diagnose.samples.statistics import energy_distance, neighbour_numbers

Array = npt.NDArray[np.float64]

# Share of the records that is looked at, and how many of those are compared with the data.
_LATE, _COMPARED = 0.25, 10
FEWEST_RECORDS = 8
# Limits, in units of the data radius R where they are lengths.
_ESCAPED, _POINT, _THIN = 20.0, 0.05, 0.5
_COVERED_COLLAPSED, _COVERED = 1 / 3, 0.6
_WANDER = 0.1
_STILL, _FAR, _NEAR = 0.01, 0.2, 0.1


@dataclass(frozen=True)
class Statistics:
    """The last quarter of a run, lengths in units of R.

    Attributes:
        wander: Of the centre of mass, sqrt(sum of the variances over time).
        breathing: Standard deviation over mean of the spread.
        spread: tr Cov(generated) / tr Cov(data), mean over time.
        coverage: k-nearest-neighbour coverage, divided by that of other real samples.
        energy_distance: 2 E|x-y| - E|x-x'| - E|y-y'|, over R.
        motion: Root mean square displacement of single samples from the first to the last record.
        excursion: Largest distance of a sample from the data's mean.
    """

    wander: float
    breathing: float
    spread: float
    coverage: float
    energy_distance: float
    motion: float
    excursion: float


def observed(run: Any) -> Verdict:
    """The verdict on a training run.

    Args:
        run: A data set of level `training`, with `generated_points` and `real_points`.
    """
    outputs = np.asarray(run["generated_points"].transpose(..., "time", "sample", "axis").values, np.float64)
    real = np.asarray(run["real_points"].transpose(..., "real_sample", "axis").values, np.float64)
    if outputs.ndim > 3:
        from ganscope.core.outcome import vote

        rows = outputs.reshape(-1, *outputs.shape[-3:])
        data = np.broadcast_to(real, (*outputs.shape[:-3], *real.shape[-2:])).reshape(-1, *real.shape[-2:])
        return vote([judged(row, own) for row, own in zip(rows, data, strict=True)])
    return judged(outputs, real)


def judged(outputs: Array, real: Array) -> Verdict:
    """The verdict on records `[records, samples, d]` beside data `[count, d]`."""
    if len(outputs) < FEWEST_RECORDS:
        return Verdict(
            Outcome.UNDECIDED, "too_short", math.nan, (f"{len(outputs)} records, fewer than {FEWEST_RECORDS}",)
        )
    found = statistics(outputs, real)
    if found is None or found.excursion > _ESCAPED:
        why = "not finite" if found is None else f"a sample is {found.excursion:.3g} data radii from the data's mean"
        return Verdict(Outcome.DIVERGED, "nonfinite" if found is None else "escaped", math.nan, (why,))
    lengths = (
        f"wander {found.wander:.3g} R, spread {found.spread:.3g}, coverage {found.coverage:.3g}, "
        f"energy distance {found.energy_distance:.3g} R"
    )
    outcome, detail = _outcome(found)
    margin = math.log(_WANDER / max(found.wander, found.breathing, 1e-12))
    return Verdict(outcome, detail, margin, (lengths, "margin: ln(0.1 / wander)"), abs(margin) < 0.2)


def _outcome(found: Statistics) -> tuple[Outcome, str]:
    if found.spread < _POINT or (found.coverage < _COVERED_COLLAPSED and found.spread < _THIN):
        return Outcome.COLLAPSED, "point" if found.spread < _POINT else "missing_modes"
    if found.wander > _WANDER:
        return Outcome.OSCILLATING, "wandering"
    if found.breathing > _WANDER:
        return Outcome.OSCILLATING, "breathing"
    if found.motion < _STILL and found.energy_distance > _FAR:
        return Outcome.UNINFORMATIVE, "stalled"
    if found.coverage < _COVERED or found.energy_distance > _NEAR:
        return Outcome.UNDECIDED, "quiet_but_not_there"
    return Outcome.CONVERGED, "quiet"


def statistics(outputs: Array, real: Array) -> Statistics | None:
    """Statistics of the last quarter; None if something in it is not finite."""
    late = outputs[-max(math.ceil(_LATE * len(outputs)), 2) :]
    if not np.all(np.isfinite(late)) or np.max(np.abs(late)) > 1e100:
        return None
    mean = real.mean(axis=0)
    variance = float(real.var(axis=0, ddof=1).sum())
    radius = math.sqrt(variance)
    centre = late.mean(axis=1)
    spreads = late.var(axis=1, ddof=1).sum(axis=1) / variance
    chosen = late[np.unique(np.linspace(0, len(late) - 1, _COMPARED).astype(int))]
    half = len(real) // 2
    reference = max(neighbour_numbers(real[:half], real[half:], 5)[0], 1e-12)
    covered = np.mean([neighbour_numbers(one[:half], real[half:], 5)[0] for one in chosen]) / reference
    return Statistics(
        wander=math.sqrt(float(centre.var(axis=0).sum())) / radius,
        breathing=float(spreads.std() / max(float(spreads.mean()), 1e-12)),
        spread=float(spreads.mean()),
        coverage=float(covered),
        energy_distance=float(np.mean([energy_distance(one, real) for one in chosen])) / radius,
        motion=math.sqrt(float(np.mean(np.sum((late[-1] - late[0]) ** 2, axis=1)))) / radius,
        excursion=float(np.linalg.norm(late - mean, axis=2).max()) / radius,
    )
