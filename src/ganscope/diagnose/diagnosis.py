"""A diagnosis: everything that is known about a run, as one value that can be printed, saved and drawn."""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ganscope.core.errors import ParameterError
from ganscope.core.outcome import Outcome
from ganscope.core.store import appearing
from ganscope.diagnose.instruments.measurement import Measurement
from ganscope.diagnose.probes import Probe
from ganscope.diagnose.theory.advice import Advice, GammaSweep
from ganscope.diagnose.theory.verdict import Judgement
from ganscope.diagnose.theory.what_if import WhatIf


@dataclass(frozen=True, eq=False)
class Diagnosis:
    """What `diagnose` found.

    Attributes:
        outcome, detail, margin, confidence, confidence_source, leaning, reasons, risk: The verdict; margin is
            ln(threshold / score), positive on the converging side.
        score: Predicted wander in data radii, or its geometric mean with the observed one.
        predicted_wander: Median over the batches, in data radii.
        assumptions: Sentences that the numbers rest on.
        probes: What was probed beforehand.
        what_if: Predictions for changed settings.
        advice: What to do, in order.
        verification: Twin forks and forked races, as dictionaries; None where they were not run.
        measurements: The reduced games, one per batch.
        gamma_sweep: Predicted wander and horizon cost against the gradient penalty, or None.
        report: Everything, as plain values.
    """

    judgement: Judgement
    predicted_wander: float
    assumptions: tuple[str, ...]
    probes: tuple[Probe, ...]
    what_if: tuple[WhatIf, ...]
    advice: tuple[Advice, ...]
    verification: dict[str, Any]
    measurements: tuple[Measurement, ...]
    gamma_sweep: GammaSweep | None
    report: dict[str, Any]

    is_diagnosis = True

    @property
    def outcome(self) -> Outcome:
        """One of the common outcomes."""
        return self.judgement.outcome

    @property
    def detail(self) -> str:
        """The finer label."""
        return self.judgement.detail

    @property
    def score(self) -> float:
        """S, in data radii."""
        return self.judgement.score

    @property
    def margin(self) -> float:
        """ln(threshold / S)."""
        return self.judgement.margin

    @property
    def confidence(self) -> float | None:
        """Measured share of such forecasts that were right."""
        return self.judgement.confidence

    @property
    def confidence_source(self) -> str:
        """Where that was measured."""
        return self.judgement.confidence_source

    @property
    def leaning(self) -> str:
        """`converging` or `not converging`."""
        return self.judgement.leaning

    @property
    def near_critical(self) -> bool:
        """Whether a border that decides is close."""
        return self.judgement.near_critical

    @property
    def reasons(self) -> tuple[str, ...]:
        """Sentences with the numbers."""
        return self.judgement.reasons

    @property
    def risk(self) -> str:
        """What may happen if the run does not settle."""
        return self.judgement.risk

    @property
    def cost(self) -> dict[str, Any]:
        """Seconds, and how many training iterations they are worth."""
        cost: dict[str, Any] = self.report["cost"]
        return cost

    def to_dict(self) -> dict[str, Any]:
        """Plain values for strict JSON: floats are finite, or the texts "inf", "-inf" and "nan"."""
        told: dict[str, Any] = spelled(self.report)
        return told

    def save(self, path: str | Path) -> None:
        """Write the report as a JSON file, which `gs.report` and `ganscope show` read."""
        with appearing(Path(path)) as place:
            place.write_text(json.dumps(self.to_dict(), indent=1, allow_nan=False) + "\n", encoding="utf-8")

    def __str__(self) -> str:
        sure = "" if self.confidence is None else f" (right in {self.confidence:.0%} of such cases)"
        lines = [f"{self.outcome}: {self.detail}{sure}", *(f"  {reason}" for reason in self.reasons)]
        for advice in self.advice:
            if advice.value is not None:
                value = self._told(advice.value, advice.value_full_convention)
                lines.append(f"  {advice.wording} {advice.parameter} = {value} ({advice.verification})")
        return "\n".join(lines)

    def _told(self, value: float, full: float | None) -> str:
        """An advised value; of a gradient penalty in both conventions, the one that was asked for first."""
        if full is None:
            return f"{value:.4g}"
        if self.report["provenance"]["settings"]["convention"] == "full":
            return f"{full:.4g} without 1/2 [{value:.4g} with it]"
        return f"{value:.4g} [{full:.4g} without 1/2]"


def spelled(value: Any) -> Any:
    """The same with floats that JSON does not know as texts, and arrays as lists."""
    if isinstance(value, dict):
        return {str(name): spelled(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [spelled(entry) for entry in value]
    if hasattr(value, "tolist"):
        return spelled(value.tolist())
    if isinstance(value, complex):
        return [spelled(value.real), spelled(value.imag)]
    if isinstance(value, float) and not math.isfinite(value):
        return "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"
    return value


def read_report(path: str | Path) -> dict[str, Any]:
    """A saved diagnosis as plain values; the texts "inf" and "nan" stay texts.

    Raises:
        ParameterError: If the file is not one.
    """
    try:
        told = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ParameterError("path", str(path), f"a diagnosis written by save ({error})") from None
    if not isinstance(told, dict) or not {"verdict", "prediction", "probes"} <= set(told):
        raise ParameterError("path", str(path), "a diagnosis written by save")
    return told
