"""Points from data: rows, principal components, class means of handwritten digits, and how far apart they are."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree
from scipy.spatial.distance import pdist

from ganscope.core.checks import integer, one_of, real_array
from ganscope.core.errors import NotApplicable, ParameterError

Array = npt.NDArray[np.float64]

STARTS = ("near", "random")
# Up to so many points every pair counts for the median; above, those of a random subset of this size.
_ALL_PAIRS = 3000
# Displacement of a start beside the true points, in smallest distances between them: small enough for linear theory.
_NEAR = 1e-5


@dataclass(frozen=True)
class Distances:
    """How far apart points lie.

    Attributes:
        smallest: Distance of the closest two different points; infinite for one point.
        median: Median over all pairs, NaN for one point; beyond 3000 points, over the pairs of a seeded subset.
    """

    smallest: float
    median: float


def distances(points: npt.ArrayLike, seed: int = 0) -> Distances:
    """Smallest and median distance between points, shape `[N, d]`.

    Args:
        points: The points; a list of numbers is points on a line.
        seed: Of the subset whose pairs are taken beyond 3000 points.

    Raises:
        ParameterError: If the points are not finite numbers.
    """
    rows = _rows(points)
    different = np.unique(rows + 0.0, axis=0)
    if len(different) < 2:
        return Distances(np.inf, np.nan)
    smallest = float(np.min(cKDTree(different).query(different, k=2)[0][:, 1]))
    if len(rows) > _ALL_PAIRS:
        rows = rows[np.random.default_rng(seed).choice(len(rows), _ALL_PAIRS, replace=False)]
    return Distances(smallest, float(np.median(pdist(rows))))


def principal_components(points: npt.ArrayLike, components: int) -> Array:
    """Coordinates of centred points along the axes of their largest variance, shape `[N, components]`.

    Args:
        points: Shape `[N, d]`.
        components: How many axes, at most min(N, d).

    Raises:
        ParameterError: If there are not so many.
    """
    rows = _rows(points)
    components = integer("components", components, at_least=1)
    if components > min(rows.shape):
        raise ParameterError("components", components, f"at most {min(rows.shape)} for data of shape {rows.shape}")
    centred = rows - rows.mean(axis=0)
    _, _, axes = np.linalg.svd(centred, full_matrices=False)
    # The sign of an axis is a matter of convention: its largest entry is positive.
    signs = np.sign(axes[np.arange(len(axes)), np.argmax(np.abs(axes), axis=1)])
    result: Array = centred @ (signs[:, None] * axes)[:components].T
    return result


def distinct(points: npt.ArrayLike, mass: npt.ArrayLike | None = None) -> tuple[Array, Array]:
    """Different points in the order of their first appearance, shape `[n, d]`, and their masses, those of copies added.

    Args:
        points: Shape `[N, d]`.
        mass: Shape `[N]`; None for 1 / N each.
    """
    rows = _rows(points)
    weights = np.full(len(rows), 1.0 / len(rows)) if mass is None else np.asarray(mass, np.float64)
    _, first, place = np.unique(rows + 0.0, axis=0, return_index=True, return_inverse=True)
    order = np.argsort(first)
    sums = np.bincount(place.ravel(), weights)
    return rows[first[order]], np.asarray(sums[order], np.float64)


def class_means(points: npt.ArrayLike, labels: npt.ArrayLike) -> tuple[Array, Array]:
    """Mean of every class, shape `[classes, d]`, by increasing label, and the classes' shares of the points.

    Raises:
        ParameterError: If there is not one label per point.
    """
    rows = _rows(points)
    names = np.asarray(labels).ravel()
    if len(names) != len(rows):
        raise ParameterError("labels", f"{len(names)} labels", f"one per point, {len(rows)}")
    kinds, place = np.unique(names, return_inverse=True)
    means = np.array([rows[place == k].mean(axis=0) for k in range(len(kinds))])
    return means, np.bincount(place) / len(rows)


def digits(components: int = 10, means: bool = True) -> tuple[Array, Array]:
    """scikit-learn's 1797 handwritten digits as points: pixels / 16, centred, along principal axes of the images.

    Args:
        components: How many axes, 1 .. 64.
        means: The means of the ten classes, with the classes' shares as masses; otherwise every image.

    Returns:
        Points `[10 or 1797, components]` and masses.

    Raises:
        NotApplicable: If scikit-learn is not installed.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise NotApplicable(
            "the digits come with scikit-learn, which is not installed: pip install 'ganscope[examples]'"
        ) from None
    images = load_digits()
    scores = principal_components(np.asarray(images.data, np.float64) / 16.0, components)
    return class_means(scores, images.target) if means else (scores, np.full(len(scores), 1.0 / len(scores)))


def starting_points(points: npt.ArrayLike, count: int | None = None, start: str = "near", seed: int = 0) -> Array:
    """Where generated points start, shape `[count, d]`.

    Args:
        points: The true points, shape `[N, d]`.
        count: How many generated points; None for N.
        start: `near`: true points, displaced by normal numbers of 1e-5 of their smallest distance; fewer are a random
            choice of them, more go round again. `random`: normal, with mean and covariance of the true points.
        seed: Of the random numbers.

    Raises:
        ParameterError: If an argument is out of range.
    """
    rows = _rows(points)
    count = len(rows) if count is None else integer("count", count, at_least=1)
    one_of("start", start, STARTS)
    random = np.random.default_rng(seed)
    if start == "random":
        centred = (rows - rows.mean(axis=0)) / np.sqrt(len(rows))
        return np.asarray(rows.mean(axis=0) + random.standard_normal((count, len(rows))) @ centred)
    chosen = np.arange(count) % len(rows) if count >= len(rows) else random.permutation(len(rows))[:count]
    smallest = distances(rows).smallest
    scale = _NEAR * (smallest if np.isfinite(smallest) else 1.0)
    return np.asarray(rows[chosen] + scale * random.standard_normal((count, rows.shape[1])))


def _rows(points: Any) -> Array:
    rows = real_array("points", points, expected="finite numbers of shape (points, axes)")
    rows = rows[:, None] if rows.ndim == 1 else rows
    if rows.ndim != 2 or rows.size == 0:
        raise ParameterError("points", f"shape {rows.shape}", "an array of shape (points, axes), at least one point")
    return rows
