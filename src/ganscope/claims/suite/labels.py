"""What a finished run did, from its outputs at fixed latents: the observed class, and its distance from the data."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ganscope.claims.suite.targets import Target, distances, mean_distance
from ganscope.core.plain import json_ready

Array = npt.NDArray[np.float64]

# The last share of the records that is judged, and how many of them are compared with the data.
_LATE, _COMPARED = 0.25, 10


@dataclass(frozen=True)
class Observed:
    """What the last quarter of a run's records shows.

    Attributes:
        outcome: Observed class.
        wander: sqrt(sum of the variances over time of the centre of mass) / R.
        breathing: Standard deviation over mean of the spread.
        spread: tr Cov(generated) / tr Cov(data), mean.
        soft_coverage: Effective share of the modes, mean.
        energy_distance: 2 E|x-y| - E|x-x'| - E|y-y'|, over R, mean.
        motion: Root mean square displacement of single outputs over the window, over R.
    """

    outcome: str
    wander: float
    breathing: float
    spread: float
    soft_coverage: float
    energy_distance: float
    motion: float

    @property
    def score(self) -> float:
        """E = ln(energy distance / R + 0.01), that of a run far away if it broke down."""
        distance = self.energy_distance
        return math.log((min(distance, 20.0) if math.isfinite(distance) else 20.0) + 0.01)

    def to_dict(self) -> dict[str, object]:
        """Plain values."""
        return {**json_ready(self.__dict__), "score": self.score}


def observe(outputs: Array, target: Target) -> Observed:
    """Judge a run by the last quarter of its records.

    Args:
        outputs: `[records, count, d]`, at least two records.
        target: The data.
    """
    late = outputs[-max(math.ceil(_LATE * len(outputs)), 2) :]
    radius = target.radius
    far = np.linalg.norm(np.nan_to_num(late, nan=np.inf) - target.mean, axis=2)
    if not np.all(np.isfinite(late)) or far.max() > 20 * radius:
        return Observed("diverged", math.inf, math.inf, math.inf, math.nan, math.inf, math.inf)
    centre = late.mean(axis=1)
    spreads = late.var(axis=1).sum(axis=1) / radius**2
    compared = late[np.unique(np.linspace(0, len(late) - 1, _COMPARED).astype(int))]
    distance = float(np.mean([energy_distance(x, target.reals, target.apart) for x in compared])) / radius
    soft = float(np.mean([soft_coverage(x, target.modes) for x in compared]))
    wander = math.sqrt(float(centre.var(axis=0).sum())) / radius
    spread = float(spreads.mean())
    breathing = float(spreads.std() / max(spread, 1e-12))
    motion = math.sqrt(float(np.mean(np.sum((late[-1] - late[0]) ** 2, axis=1)))) / radius
    outcome = _outcome(wander, breathing, spread, soft, distance, motion)
    return Observed(outcome, wander, breathing, spread, soft, distance, motion)


def _outcome(wander: float, breathing: float, spread: float, soft: float, distance: float, motion: float) -> str:
    if spread < 0.05 or (soft < 0.35 and spread < 0.5):
        return "collapsed"
    if wander > 0.1 or breathing > 0.1:
        return "oscillating"
    if motion < 0.01 and distance > 0.2:
        return "uninformative"
    if soft < 0.6 or distance > 0.1:
        return "undecided"
    return "converged"


def wander_so_far(outputs: Array, radius: float) -> float:
    """Wander over the last half of the records."""
    late = outputs[len(outputs) // 2 :]
    if not np.all(np.isfinite(late)):
        return math.inf
    return math.sqrt(float(late.mean(axis=1).var(axis=0).sum())) / radius


def energy_distance(x: Array, y: Array, apart: float | None = None) -> float:
    """2 E|x-y| - E|x-x'| - E|y-y'| with unbiased means, at least 0; `apart` is the last term, if it is known."""
    last = mean_distance(y) if apart is None else apart
    return max(float(2 * distances(x, y).mean()) - mean_distance(x) - last, 0.0)


def soft_coverage(x: Array, modes: Array) -> float:
    """exp(entropy of the mean responsibilities) / modes, with Gaussian modes a quarter as wide as they lie apart."""
    apart = distances(modes, modes)
    width = float(apart[~np.eye(len(modes), dtype=bool)].min()) / 4
    logits = -(distances(x, modes) ** 2) / (2 * width**2)
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares = (weights / weights.sum(axis=1, keepdims=True)).mean(axis=0)
    return float(np.exp(-np.sum(shares * np.log(np.maximum(shares, 1e-300)))) / len(modes))
