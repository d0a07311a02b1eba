r"""How many of the known modes or classes of the data samples use: an effective share, smooth in the samples.

With labels, the k nearest data points of a sample vote. With centres mu_m of M modes a sample belongs to mode m in
proportion to exp(-|x - mu_m|^2 / (2 s^2)): s is the modes' standard deviation, which makes this the posterior of an
even mixture, but at most a quarter of the distance between neighbouring modes, since modes that overlap would share
every sample. exp(entropy) of the mean shares, over M, is the soft coverage, 1 / M to 1.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial.distance import cdist, pdist

from ganscope.core.checks import number, real_array
from ganscope.core.errors import ParameterError
from ganscope.games.particle.labelled import labelled_order_parameters
from ganscope.games.particle.order_parameters import effective_share

Array = npt.NDArray[np.float64]
# Centres `[M, d]` and their standard deviation.
Modes = tuple[npt.ArrayLike, float]

# Largest width of the soft assignment over the distance between neighbouring modes.
_WIDEST = 0.25


def checked_labels(labels: npt.ArrayLike | None, count: int) -> npt.NDArray[Any] | None:
    """Labels, one for each of `count` rows."""
    if labels is None:
        return None
    names = np.asarray(labels)
    if names.shape != (count,):
        raise ParameterError("labels", f"shape {names.shape}", f"one label per row of the data, shape ({count},)")
    return names


def checked_modes(modes: Modes | None) -> tuple[Array, float] | None:
    """Centres `[M, d]`, no two alike, and their standard deviation."""
    if modes is None:
        return None
    if not isinstance(modes, tuple | list) or len(modes) != 2:
        raise ParameterError("modes", modes, "a pair of centres, shape [M, d], and their standard deviation")
    centres, deviation = real_array("modes", modes[0], ndim=2), number("modes", modes[1], at_least=0)
    if not centres.size:
        raise ParameterError("modes", f"centres of shape {centres.shape}", "at least one centre")
    if len(centres) > 1 and np.min(pdist(centres)) == 0:
        raise ParameterError("modes", centres, "modes of which no two coincide")
    return centres, deviation


def soft_coverage_of_classes(samples: Array, data: Array, labels: npt.NDArray[Any], k: int) -> float:
    """The effective share of the classes, by the votes of the k nearest data points of each sample."""
    return float(labelled_order_parameters(samples, data, labels, neighbours=k).soft_coverage)


def soft_coverage_of_modes(samples: Array, centres: Array, deviation: float) -> float:
    """The effective share of the modes, by nearness.

    Args:
        samples: Shape `[n, d]`.
        centres: Shape `[M, d]`.
        deviation: Standard deviation of the modes; 0 assigns every sample to the nearest one.
    """
    if centres.shape[1] != samples.shape[1]:
        raise ParameterError("modes", f"shape {centres.shape}", f"centres with {samples.shape[1]} coordinates")
    if len(centres) == 1:
        return 1.0
    squares = cdist(samples, centres, "sqeuclidean")
    excess = squares - squares.min(axis=1, keepdims=True)
    width = min(deviation, _WIDEST * float(np.min(pdist(centres))))
    with np.errstate(over="ignore"):  # a narrow width: infinitely less likely
        weights = np.exp(-excess / (2 * width * width)) if width > math.sqrt(np.finfo(float).tiny) else excess == 0
    shares = weights / weights.sum(axis=1, keepdims=True)
    return float(effective_share(shares.mean(axis=0)))
