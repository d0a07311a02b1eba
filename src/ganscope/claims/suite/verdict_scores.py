"""Did the verdicts come true? Forecasts of "will not converge" at every checkpoint against the observed class."""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ganscope.claims.suite.distribution import LOSSES
from ganscope.claims.suite.statistics import Quality, logistic_forecast, quality
from ganscope.diagnose.theory.calibration import CONVERGING, NOT_CONVERGING, Cell

Array = npt.NDArray[np.float64]
Unit = Mapping[str, Any]

THRESHOLD = 0.1
ENOUGH_RECORDS = 40
OUTCOMES = ("converged", "oscillating", "diverged", "collapsed", "uninformative", "undecided")
ROUNDED = "predicted wander, hinges rounded"
PREDICTED, SCORE, WANDER, CLASS = "predicted wander", "score S", "own wander so far", "own class so far"
GRADIENT, RIGHTMOST, RADIUS = "gradient norm > median", "rightmost > 0", "map radius > 1"
HYPER, BOTH, MAJORITY = "hyper-parameters, fitted", "hyper-parameters and predicted wander, fitted", "majority"


def number(value: float | None) -> float:
    """A number of a unit; null stands for what is not finite."""
    return math.inf if value is None else float(value)


def outcome_of(observed: Mapping[str, Any], limit: float = THRESHOLD) -> str:
    """The observed class with another limit of wander and breathing."""
    from_here = observed["outcome"]
    if from_here in ("diverged", "collapsed"):
        return str(from_here)
    if number(observed["wander"]) > limit or number(observed["breathing"]) > limit:
        return "oscillating"
    if observed["motion"] < 0.01 and observed["energy_distance"] > 0.2:
        return "uninformative"
    if observed["soft_coverage"] < 0.6 or observed["energy_distance"] > 0.1:
        return "undecided"
    return "converged"


def score(predicted: float, so_far: Mapping[str, Any]) -> float:
    """S: the predicted wander, in geometric mean with the observed one once there are 40 records."""
    if so_far["records"] < ENOUGH_RECORDS:
        return predicted
    pair = np.clip([predicted, number(so_far["wander"])], 1e-4, 10.0)
    return math.sqrt(float(pair[0] * pair[1]))


@dataclass(frozen=True)
class Case:
    """One checkpoint of one run."""

    unit: Unit
    reading: Mapping[str, Any]

    @property
    def predicted(self) -> float:
        """Predicted wander."""
        return number(self.reading["predicted_wander"])

    @property
    def score(self) -> float:
        """S."""
        return score(self.predicted, self.reading["so_far"])

    def fails(self, limit: float = THRESHOLD) -> bool:
        """Whether the run ended anything but converged."""
        return outcome_of(self.unit["observed"], limit) != "converged"


def cases_at(units: Sequence[Unit], iteration: int) -> list[Case]:
    """Runs that were still finite at a checkpoint."""
    return [Case(u, reading) for u in units for reading in u["checkpoints"] if reading["iteration"] == iteration]


def classes(units: Sequence[Unit]) -> dict[str, int]:
    """How often every class was observed."""
    found = [u["observed"]["outcome"] for u in units]
    return {outcome: found.count(outcome) for outcome in OUTCOMES}


def qualities(cases: Sequence[Case], fitted: bool = True) -> dict[str, Quality]:
    """Every forecast's quality on the cases; those that need a record are left out where there is none."""
    truth = np.array([case.fails() for case in cases], bool)

    def column(of: str) -> Array:
        return np.array([number(case.reading[of]) for case in cases])

    predicted, norms = column("predicted_wander"), column("gradient_norm")
    scores = np.array([case.score for case in cases])
    table = {
        PREDICTED: quality(predicted, predicted > THRESHOLD, truth),
        SCORE: quality(scores, scores > THRESHOLD, truth),
    }
    if any("rounded" in case.reading for case in cases):
        wanders = [number(case.reading.get("rounded", case.reading)["predicted_wander"]) for case in cases]
        table[ROUNDED] = quality(wanders, np.array(wanders) > THRESHOLD, truth)
    pasts = [case.reading["so_far"] for case in cases]
    if pasts and all(past["observed"] is not None for past in pasts):
        wander = np.array([number(past["wander"]) for past in pasts])
        own = np.array([past["observed"]["outcome"] != "converged" for past in pasts])
        table[WANDER] = quality(wander, wander > THRESHOLD, truth)
        table[CLASS] = quality(own, own, truth)
    table[GRADIENT] = quality(norms, norms > np.median(norms) if len(norms) else [], truth)
    for name, key, limit in ((RIGHTMOST, "rightmost_reduced", 0.0), (RADIUS, "radius_full", 1.0)):
        table[name] = quality(column(key), column(key) > limit, truth)
    if fitted and min(truth.sum(), (~truth).sum()) >= 5:
        features = np.array([hyper_parameters(case.unit["configuration"]) for case in cases])
        wide = np.column_stack([features, np.log(np.clip(predicted, 1e-4, 10.0))])
        for name, known in ((HYPER, features), (BOTH, wide)):
            chances = logistic_forecast(known, truth)
            table[name] = quality(chances, chances > 0.5, truth)
    always = np.full(len(truth), truth.mean() >= 0.5 if len(truth) else False)
    table[MAJORITY] = quality(always, always, truth)
    return table


def hyper_parameters(configuration: Mapping[str, Any]) -> list[float]:
    """What one knows before training, as features."""
    chosen = configuration
    numbers = [
        math.log(chosen["generator_lr"]),
        math.log(chosen["discriminator_lr"]),
        chosen["memory"],
        math.log(chosen["gamma"] + 1e-3),
        math.log(chosen["discriminator_steps"]),
        math.log(chosen["width"]),
        math.log(chosen["batch_size"]),
    ]
    flags = [chosen["order"] == "simultaneous", chosen["activation"] == "tanh", chosen["penalty"] == "slope1"]
    flags += [chosen["loss"] == loss for loss in LOSSES]
    flags += [chosen["data"] == data for data in ("ring", "grid", "digits", "images")]
    flags += [chosen["optimizer"] == kind for kind in ("sgd", "momentum", "adam", "rmsprop")]
    return [*numbers, *map(float, flags)]


# Margins ln(threshold / S) between which forecasts are calibrated: a factor 2 and a factor 5 from the threshold.
MARGINS = (-math.inf, -math.log(5), -math.log(2), 0.0, math.log(2), math.log(5), math.inf)


@dataclass(frozen=True)
class Bin:
    """Forecasts with margins in a range: how many, and how many of the runs converged."""

    least: float
    most: float
    cases: int
    converged: int


def calibration(cases: Sequence[Case], edges: Sequence[float] = MARGINS) -> list[Bin]:
    """How often runs converged, by margin."""
    margins = np.array([math.log(THRESHOLD / max(case.score, 1e-300)) for case in cases])
    good = np.array([not case.fails() for case in cases], bool)
    bins = []
    for least, most in itertools.pairwise(edges):
        inside = (margins >= least) & (margins < most)
        bins.append(Bin(least, most, int(inside.sum()), int(good[inside].sum())))
    return bins


def sensitivity(cases: Sequence[Case], limits: Sequence[float]) -> dict[float, dict[float, float]]:
    """Balanced accuracy of S over a threshold, by the limit of the observed class, then by that threshold."""
    scores = np.array([case.score for case in cases])
    table: dict[float, dict[float, float]] = {}
    for limit in limits:
        truth = np.array([case.fails(limit) for case in cases], bool)
        table[limit] = {t: quality(scores, scores > t, truth).balanced_accuracy for t in limits}
    return table


def measured_cells(units: Sequence[Unit], iterations: Sequence[int], last: int) -> list[Cell]:
    """The calibration table that these units measure: shares of forecasts that were right, empty cells left out.

    Args:
        units: Finished ones.
        iterations: Checkpoints.
        last: Length of the runs.
    """
    cells = []
    for iteration in iterations:
        for found in calibration(cases_at(units, iteration)):
            converging = found.least >= 0
            right = found.converged if converging else found.cases - found.converged
            if found.cases:
                leaning = CONVERGING if converging else NOT_CONVERGING
                least, most = (found.least, found.most) if converging else (-found.most, -found.least)
                count = (found.cases, found.cases)
                cells.append(Cell(leaning, abs(least), most, iteration / last, right / found.cases, count))
    return cells
