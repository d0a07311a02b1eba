"""One reading of a monitor, its score, and what it warns of.

With S the predicted wander, or its geometric mean with the observed one once there are 40 records, the margin is
ln(0.1 / S): positive on the side of converging runs.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

# Wander that divides; records from which on the observed one has a say; bounds within which wander counts.
THRESHOLD, ENOUGH_RECORDS, WANDER_RANGE = 0.1, 40, (1e-4, 10.0)
# A fall of the margin by more than this between two readings is a warning.
LARGEST_FALL = 1.0
# Below, the discriminator is dead or saturated, which is never health.
DEAD_WANDER = 1e-6


@dataclass(frozen=True)
class Reading:
    """What the monitor saw; None where something was not looked at this time.

    Attributes:
        iteration: Training iterations done.
        score, margin: S and ln(0.1 / S); of dear readings.
        predicted_wander, growth_virtual, sigma_1, zeta_1: Of dear readings: wander over the coming iterations in data
            radii, modulus of the leading multiplier, rotation per iteration and damping ratio of the leading mode.
        same_kernel, cross_kernel, coupling: Kernel of the generator; of dear readings.
        knn_coverage: Covered share of the data over that of held-back data; of dear readings.
        spread: Of the samples over that of the data, both traces of covariances.
        centre: Distance of the samples' mean from the data's, in data radii.
        speed: Root mean square move of the samples since the last record, in data radii.
        observed_wander: Of the centre of mass over the last 20 records, in data radii.
        wander_growth: Wander over the second half of these records over that of the first half.
        generator_gradient, discriminator_gradient: Norms of gradients that were handed over.
        signal_to_noise: |mean gradient|^2 over the trace of its covariance, both players together.
        overhead: The monitor's share of all time so far, warm-up apart.
        warnings: Sentences.
    """

    iteration: int
    score: float | None = None
    margin: float | None = None
    predicted_wander: float | None = None
    observed_wander: float | None = None
    growth_virtual: float | None = None
    sigma_1: float | None = None
    zeta_1: float | None = None
    same_kernel: float | None = None
    cross_kernel: float | None = None
    coupling: float | None = None
    knn_coverage: float | None = None
    spread: float | None = None
    centre: float | None = None
    speed: float | None = None
    wander_growth: float | None = None
    generator_gradient: float | None = None
    discriminator_gradient: float | None = None
    signal_to_noise: float | None = None
    overhead: float = 0.0
    warnings: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {f.name: getattr(self, f.name) for f in fields(self)} | {"warnings": list(self.warnings)}

    @classmethod
    def from_dict(cls, entry: Mapping[str, Any]) -> "Reading":
        """A reading from what `to_dict` made of it, other entries left aside."""
        values: dict[str, Any] = {name: value for name, value in entry.items() if name in FIELDS}
        return cls(**{**values, "warnings": tuple(values.get("warnings", ()))})


FIELDS = frozenset(f.name for f in fields(Reading))


def judged(found: Mapping[str, Any], before: Sequence[float], records: int) -> tuple[dict[str, float], list[str]]:
    """Score and margin of a dear reading, and the warnings that come of them.

    Args:
        found: What was measured, by the names of `Reading`.
        before: Margins of the earlier readings.
        records: Records of the samples so far.

    Returns:
        `score` and `margin`, nothing where there is no prediction or it means nothing; and sentences.
    """
    predicted, observed = found.get("predicted_wander"), found.get("observed_wander")
    if predicted is None or math.isnan(predicted):
        return {}, []
    if predicted < DEAD_WANDER:
        return {}, [f"predicted wander {predicted:.1g}: a dead or saturated discriminator, or no minibatch noise"]
    score = float(np.clip(predicted, *WANDER_RANGE))
    if observed is not None and records >= ENOUGH_RECORDS:
        score = math.sqrt(score * float(np.clip(observed, *WANDER_RANGE)))
    margin = math.log(THRESHOLD / score)
    told = []
    if before and margin < 0 and before[-1] < 0:
        told.append("early warning: two readings in a row say that the run will not converge")
    if before and before[-1] - margin > LARGEST_FALL:
        told.append(f"early warning: the margin fell from {before[-1]:.2f} to {margin:.2f}")
    return {"score": score, "margin": margin}, told
