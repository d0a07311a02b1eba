"""How good a forecast is: areas under curves, balanced accuracies with their scatter, and a fitted baseline."""

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Truth = npt.NDArray[np.bool_]

_RESAMPLES = 2000
_PENALTIES = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
_OUTER, _INNER, _REPEATS = 5, 4, 5


@dataclass(frozen=True)
class Quality:
    """Of a forecast.

    Attributes:
        balanced_accuracy: Mean of the shares right among the true and among the false; NaN if one is missing.
        low, high: 90 % bootstrap interval of it.
        auc: Chance that a true case scores above a false one, ties half.
        right, cases: Counts.
    """

    balanced_accuracy: float
    low: float
    high: float
    auc: float
    right: int
    cases: int


def quality(scores: npt.ArrayLike, forecast: npt.ArrayLike, truth: npt.ArrayLike) -> Quality:
    """Judge a forecast.

    Args:
        scores: Larger where the forecast leans to true; may be infinite.
        forecast: What is forecast.
        truth: What happened.
    """
    score, said, real = np.asarray(scores, np.float64), np.asarray(forecast, bool), np.asarray(truth, bool)
    rng = np.random.default_rng(0)
    resampled = []
    for _ in range(_RESAMPLES if len(real) else 0):
        chosen = rng.integers(len(real), size=len(real))
        resampled.append(balanced_accuracy(said[chosen], real[chosen]))
    known = np.array([value for value in resampled if not math.isnan(value)])
    low, high = np.quantile(known, [0.05, 0.95]) if len(known) else (math.nan, math.nan)
    return Quality(
        balanced_accuracy(said, real), float(low), float(high), auc(score, real), int(np.sum(said == real)), len(real)
    )


def balanced_accuracy(said: Truth, real: Truth) -> float:
    """Mean of sensitivity and specificity; NaN without both kinds of cases."""
    if real.all() or not real.any():
        return math.nan
    return float((said[real].mean() + (~said[~real]).mean()) / 2)


def auc(scores: Array, real: Truth) -> float:
    """Area under the receiver operating characteristic; NaN without both kinds of cases."""
    if real.all() or not real.any():
        return math.nan
    above, below = scores[real][:, None], scores[~real][None]
    return float(np.mean((above > below) + 0.5 * (above == below)))


def logistic_forecast(features: Array, truth: Truth, seed: int = 0) -> Array:
    """Chances of true by a ridge logistic regression that has not seen the case, mean over random partitions.

    The strength of the ridge is chosen by cross-validation within the cases that were seen.

    Args:
        features: `[cases, features]`.
        truth: What happened, both kinds at least `_OUTER` times.
        seed: Of the partitions.
    """
    rng, total = np.random.default_rng(seed), np.zeros(len(truth))
    for _ in range(_REPEATS):
        total += _cross_validated(features, truth, _OUTER, rng, fitted_logistic)
    return total / _REPEATS


@dataclass(frozen=True, eq=False)
class Logistic:
    """A logistic regression on standardised features; weights with the intercept first."""

    centre: Array
    scale: Array
    weights: Array

    def __call__(self, features: Array) -> Array:
        """Chances of true, `[cases]`."""
        return _sigmoid(_design(features, self.centre, self.scale) @ self.weights)


Fit = Callable[[Array, Truth], Callable[[Array], Array]]


def _cross_validated(features: Array, truth: Truth, folds: int, rng: np.random.Generator, fit: Fit) -> Array:
    fold = np.empty(len(truth), int)
    for kind in (False, True):  # every fold sees its share of both
        cases = rng.permutation(np.flatnonzero(truth == kind))
        fold[cases] = np.arange(len(cases)) % folds
    chances = np.empty(len(truth))
    for k in range(folds):
        seen = fold != k
        chances[~seen] = fit(features[seen], truth[seen])(features[~seen])
    return chances


def fitted_logistic(features: Array, truth: Truth) -> Logistic:
    """A ridge logistic regression whose strength is chosen by cross-validation."""
    losses = []
    for ridge in _PENALTIES:
        # every strength meets the same folds
        fit = functools.partial(_ridge, ridge)
        chances = _cross_validated(features, truth, _INNER, np.random.default_rng(1), fit)
        losses.append(-np.mean(np.log(np.where(truth, chances, 1 - chances) + 1e-12)))
    return _ridge(_PENALTIES[int(np.argmin(losses))], features, truth)


def _ridge(ridge: float, features: Array, truth: Truth) -> Logistic:
    """Newton's method for a logistic regression on standardised features; the intercept is free."""
    centre, size = features.mean(axis=0), features.std(axis=0)
    size = np.where(size > 0, size, 1.0)
    x = _design(features, centre, size)
    weights = np.zeros(x.shape[1])
    shrink = ridge * np.eye(x.shape[1])
    shrink[0, 0] = 1e-6  # separable cases would send it to infinity
    for _ in range(30):
        chances = _sigmoid(x @ weights)
        slope = x.T @ (truth - chances) - shrink @ weights
        curvature = (x * (chances * (1 - chances))[:, None]).T @ x + shrink
        step = np.linalg.solve(curvature, slope)
        weights = weights + step
        if np.max(np.abs(step)) < 1e-8:
            break
    return Logistic(centre, size, weights)


def _design(features: Array, centre: Array, scale: Array) -> Array:
    return np.column_stack([np.ones(len(features)), (features - centre) / scale])


def _sigmoid(x: Array) -> Array:
    return 0.5 * (1 + np.tanh(x / 2))


def mean_and_error(values: Sequence[float] | Array) -> tuple[float, float]:
    """Mean and its standard error; NaN where there are too few."""
    found = np.asarray(values, np.float64)
    if len(found) < 2:
        return (float(found.mean()) if len(found) else math.nan), math.nan
    return float(found.mean()), float(found.std(ddof=1) / math.sqrt(len(found)))
