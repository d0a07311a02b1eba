r"""The verdict on a real GAN: what the run will do if it goes on as it is.

First match wins: non-finite or far away -> `diverged`; samples collapsed -> `collapsed`; nothing to learn from ->
`uninformative`; otherwise the score S, the predicted wander, or with a long enough record sqrt(predicted * observed):

    S > 2 threshold             `oscillating`; `diverged` if the linear growth is extreme and the wander grows already
    S < threshold / 2           `converged` if the samples are close to the data, otherwise `undecided`
    between                     `undecided`, leaning to a side of the threshold
    margin = ln(threshold / S)  positive on the converging side.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ganscope.core.checks import number
from ganscope.core.outcome import Outcome
from ganscope.diagnose.instruments.measurement import Measurement
from ganscope.diagnose.samples.history import History
from ganscope.diagnose.samples.present_state import NEAR, Finding, SampleSummary, broken, collapsed, uninformative
from ganscope.diagnose.theory import virtual
from ganscope.diagnose.theory.calibration import (
    CONVERGING,
    NOT_CONVERGING,
    Calibration,
    shipped_baseline,
    shipped_calibration,
)
from ganscope.diagnose.theory.hyper_parameters import features
from ganscope.diagnose.theory.words import wander_words

# Records from which the run's own wander counts.
ENOUGH_RECORDS = 40
SCORE_RANGE = (1e-4, 10.0)
# Growth over 1024 iterations, and of the observed wander per quarter of the window, from which a run runs away.
RUNAWAY, RUNAWAY_PER_QUARTER = 1e6, 3.0
# Scores within this factor of a border that decides could as well fall on its other side: batches scatter as much.
_SCATTER = 1.2


@dataclass(frozen=True)
class Judgement:
    """The verdict with what stands behind it.

    Attributes:
        outcome, detail: The verdict and its finer label.
        score: S in data radii; NaN where there is none.
        margin: ln(threshold / S), halved where the batches disagree on its sign.
        leaning: `converging` or `not converging`, or an empty text without a score.
        confidence: Measured share of such forecasts that were right; None where none was measured.
        confidence_source: Where it was measured, or why there is none.
        near_critical: A border that decides is within the scatter of the batches.
        reasons: Sentences with the numbers.
        risk: What may happen if the run does not settle.
        persistence: What the run's own recent wander would say: a leaning, or None without a history.
        hyper_parameters: Chance that a run with these hyper-parameters does not converge, by a regression fitted on the
            benchmark's runs; None without a measurement.
    """

    outcome: Outcome
    detail: str
    score: float
    margin: float
    leaning: str
    confidence: float | None
    confidence_source: str
    near_critical: bool
    reasons: tuple[str, ...]
    risk: str
    persistence: str | None
    hyper_parameters: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """As the report has it."""
        names = ("detail", "score", "margin", "leaning", "confidence", "confidence_source", "near_critical", "risk")
        told: dict[str, Any] = {"outcome": str(self.outcome)} | {name: getattr(self, name) for name in names}
        baselines = {"persistence": self.persistence, "hyper_parameters": self.hyper_parameters}
        return told | {"reasons": list(self.reasons), "baselines": baselines}


@dataclass(frozen=True)
class _Score:
    """S of the run and of every batch, and where it comes from."""

    value: float
    batches: tuple[float, ...]
    predicted: float
    observed: float
    text: str


def judge(
    measurements: Sequence[Measurement],
    samples: SampleSummary | None = None,
    history: History | None = None,
    *,
    finite: bool = True,
    progress: float | None = None,
    threshold: float = 0.1,
    horizon: int = virtual.HORIZON,
    collapse_risk: str | None = None,
    calibration: Calibration | None = None,
) -> Judgement:
    """The verdict on a checkpoint.

    Args:
        measurements: One per batch; none where nothing could be measured.
        samples: What is known about the present samples.
        history: Recent records of the outputs.
        finite: Whether losses and parameters are finite.
        progress: Share of the planned iterations done, if known.
        threshold: Of wander, in data radii; half and twice of it bound the undecided band.
        horizon: Iterations of the predicted wander, a power of two.
        collapse_risk: `low`, `raised` or `high`, from the generator's kernel.
        calibration: Measured confidences; None takes those of the project's benchmark.

    Raises:
        ParameterError: If the threshold is not positive.
    """
    number("threshold", threshold, above=0)
    calibration = calibration or shipped_calibration()
    finite = finite and all(_is_finite(one) for one in measurements)
    score = _score(measurements, history, horizon) if finite else None
    growth = math.nan
    if finite and measurements:
        growth = float(np.median([virtual.growth(one) for one in measurements]))
    finding = (
        broken(finite, samples, history)
        or collapsed(samples)
        or uninformative(measurements, samples, history, score.predicted if score else math.nan)
    )
    observed_now = finding is not None
    outcome, detail, why = finding or _scored(score, samples, history, growth, threshold)
    reasons = [why]
    margin, leaning, near, confidence = math.nan, "", False, None
    if score is not None:
        reasons.append(score.text)
        margin = math.log(threshold / score.value) if score.value > 0 else math.inf
        leaning = CONVERGING if margin >= 0 else NOT_CONVERGING
        disagree = min(score.batches) <= threshold < max(score.batches)
        if disagree:
            margin /= 2
            low, high = (wander_words(end(score.batches)) for end in (min, max))
            reasons.append(f"the batches disagree: {low} to {high} data radii")
        borders = (threshold / 2, threshold, 2 * threshold)
        near = not observed_now and (disagree or any(_close(score.value, border) for border in borders))
        confidence = None if observed_now else calibration.confidence(leaning, margin, progress)
    source = calibration.source
    if observed_now:
        source = "observed at the checkpoint: no calibration applies"
    elif confidence is None:
        source += ": no share was measured at this margin"
    return Judgement(
        outcome,
        detail,
        score.value if score else math.nan,
        margin,
        leaning,
        confidence,
        source,
        near,
        tuple(reasons),
        _risk(growth, collapse_risk),
        _persistence(history, threshold),
        _hyper_parameters(measurements),
    )


def _score(measurements: Sequence[Measurement], history: History | None, horizon: int) -> _Score | None:
    """S; None without a measurement or without a generator to call."""
    if not measurements or any(one.outputs is None for one in measurements):
        return None
    batches = np.array([virtual.forecast(one, horizon).predicted_wander for one in measurements])
    predicted, observed = float(np.median(batches)), math.nan
    text = f"predicted wander {wander_words(predicted)} data radii over {horizon} iterations"
    if len(batches) > 1:
        text += f" (batches {wander_words(batches.min())} to {wander_words(batches.max())})"
    if history is not None and history.records >= ENOUGH_RECORDS and history.finite:
        observed = history.observed_wander
        clipped = np.clip([predicted, observed, *batches], *SCORE_RANGE)
        value = math.sqrt(clipped[0] * clipped[1])
        batches = np.sqrt(clipped[2:] * clipped[1])
        text += f", observed wander {observed:.3g}: score {value:.3g}, their geometric mean"
    else:
        value = predicted
    return _Score(value, tuple(batches.tolist()), predicted, observed, text)


def _scored(
    score: _Score | None, samples: SampleSummary | None, history: History | None, growth: float, threshold: float
) -> Finding:
    if score is None:
        return Outcome.UNDECIDED, "no_score", "no wander could be predicted: no measurement, or no generator to call"
    value, low, high = score.value, threshold / 2, 2 * threshold
    if value > high:
        quarter = history.growth_per_quarter if history is not None else math.nan
        if 1024 * math.log(max(growth, 1e-300)) > math.log(RUNAWAY) and quarter >= RUNAWAY_PER_QUARTER:
            text = f"linear growth {growth:.6g} per iteration, and wander grows {quarter:.3g}-fold per quarter"
            return Outcome.DIVERGED, "growing", text + " of the record"
        return (
            Outcome.OSCILLATING,
            "wandering",
            f"score {wander_words(value)} is above {high:.3g}: the samples will not settle",
        )
    if value >= low:
        side = CONVERGING if value <= threshold else NOT_CONVERGING
        text = f"score {value:.3g} is between {low:.3g} and {high:.3g}, leaning to {side}"
        return Outcome.UNDECIDED, "near_threshold", text
    quiet = f"score {value:.3g} is below {low:.3g}"
    if samples is None or math.isnan(samples.energy_distance):
        return Outcome.UNDECIDED, "quiet", f"{quiet}: quiet, but the distance to the data is not known"
    if samples.energy_distance <= NEAR:
        text = f"{quiet} and the energy distance {samples.energy_distance:.3g} is at most {NEAR:g}"
        return Outcome.CONVERGED, "quiet", text
    text = f"{quiet}, energy distance {samples.energy_distance:.3g} above {NEAR:g}: quiet but not there, slow or stuck"
    return Outcome.UNDECIDED, "quiet_but_not_there", text


def _is_finite(measurement: Measurement) -> bool:
    norms = measurement.gradient_norms
    return bool(np.all(np.isfinite(measurement.jacobian)) and np.all(np.isfinite(norms)))


def _close(value: float, border: float) -> bool:
    return border / _SCATTER < value < border * _SCATTER


def _persistence(history: History | None, threshold: float) -> str | None:
    if history is None or math.isnan(history.observed_wander):
        return None
    return NOT_CONVERGING if history.observed_wander > threshold else CONVERGING


def _hyper_parameters(measurements: Sequence[Measurement]) -> float | None:
    if not measurements or not measurements[0].data_radius > 0:
        return None
    first = measurements[0]
    return shipped_baseline().chance(features(first.rule, first.gamma, first.data_radius))


def _risk(growth: float, collapse_risk: str | None) -> str:
    text = "Whether a run that does not settle oscillates, diverges or collapses is not predicted reliably"
    if not math.isnan(growth):
        text += f"; fastest linear growth at the virtual equilibrium {growth:.6g} per iteration"
    if collapse_risk is not None:
        text += f"; collapse risk from the generator's kernel: {collapse_risk} (unvalidated)"
    return text + "."
