"""What can be seen at the checkpoint itself: runs that have left, collapsed, or have nothing to learn from."""

import math
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from ganscope.core.outcome import Outcome
from ganscope.diagnose.instruments.measurement import Measurement
from ganscope.diagnose.samples.collapse import POINT_SPREAD, collapse_rule
from ganscope.diagnose.samples.history import History

# Samples further than this many data radii from the data's mean have left.
ESCAPED = 20.0
# Predicted wander and rotation below which the discriminator is dead or saturated, never healthy.
DEAD_WANDER, DEAD_ROTATION = 1e-6, 1e-8
# Squared mean velocity over its minibatch variance from which minibatches are all alike, up to rounding.
NOISELESS = 1e10
# Energy distance to the data in data radii: below NEAR a quiet run has arrived; above FAR nothing may stand still.
NEAR, FAR = 0.1, 0.2

# Outcome, detail and the sentence that says why.
Finding = tuple[Outcome, str, str]


class SampleSummary(Protocol):
    """What the verdict looks at of generated samples; distances in data radii."""

    @property
    def spread(self) -> float: ...
    @property
    def knn_coverage(self) -> float: ...
    @property
    def soft_coverage(self) -> float | None: ...
    @property
    def energy_distance(self) -> float: ...
    @property
    def largest_excursion(self) -> float: ...
    @property
    def discriminator_slope(self) -> float: ...


def broken(finite: bool, samples: SampleSummary | None, history: History | None) -> Finding | None:
    """Non-finite numbers, or samples far away from the data."""
    if not finite:
        return Outcome.DIVERGED, "nonfinite", "losses, parameters or gradients are not finite"
    if history is not None and not history.finite:
        return Outcome.DIVERGED, "nonfinite", "recorded samples are not finite"
    if samples is None:
        return None
    excursion = samples.largest_excursion
    if not math.isfinite(excursion):
        return Outcome.DIVERGED, "nonfinite", "generated samples are not finite"
    if excursion > ESCAPED:
        far = f"a sample is {excursion:.3g} data radii from the mean of the data, more than {ESCAPED:g}"
        return Outcome.DIVERGED, "escaped", far
    return None


def collapsed(samples: SampleSummary | None) -> Finding | None:
    """Samples that leave most of the data out; without known modes, by nearest neighbours."""
    if samples is None:
        return None
    found, reasons = collapse_rule(samples.spread, samples.knn_coverage, samples.soft_coverage)
    if not found:
        return None
    return Outcome.COLLAPSED, "small_spread" if samples.spread < POINT_SPREAD else "missing_modes", reasons[0]


def uninformative(
    measurements: Sequence[Measurement],
    samples: SampleSummary | None,
    history: History | None,
    predicted_wander: float,
) -> Finding | None:
    """Nothing to learn from: a dead or saturated discriminator, or no gradient although the samples are far away.

    A predicted wander or a rotation of exactly 0 is never health; without minibatch noise there is no wander to
    predict.

    Args:
        measurements: One per batch.
        samples, history: What is known of the present samples and of the run.
        predicted_wander: Median over the batches; NaN where it is not known.
    """
    label = Outcome.UNINFORMATIVE
    if measurements:
        rotation = float(np.median([one.sigma[0] if one.modes else 0.0 for one in measurements]))
        if rotation < DEAD_ROTATION:
            text = f"saturated: the fastest rotation, {rotation:.3g} per iteration, is below {DEAD_ROTATION:g}"
            return label, "saturated", text
    if predicted_wander < DEAD_WANDER:
        if measurements and all(one.signal_to_noise > NOISELESS for one in measurements):
            return label, "no_noise", "the minibatches are all alike: without their noise no wander can be predicted"
        return label, "saturated", f"saturated: predicted wander {predicted_wander:.3g} is below {DEAD_WANDER:g}"
    if samples is None or not samples.energy_distance > FAR:
        return None
    away = f"with the samples {samples.energy_distance:.3g} data radii (energy distance) from the data"
    largest = history.largest_generator_gradient if history is not None else None
    if measurements and largest is not None:
        norm = float(np.median([one.gradient_norms[0] for one in measurements]))
        if norm < 1e-8 * largest:
            text = f"the generator's gradient {norm:.3g} is below 1e-8 of its largest, {away}"
            return label, "vanishing_gradient", text
    if samples.discriminator_slope < 1e-4:
        slope = f"the discriminator's mean slope times R, {samples.discriminator_slope:.3g}, is below 1e-4"
        return label, "flat_discriminator", f"{slope}, {away}"
    return None
