r"""Numbers that compare two sets of points: distance, coverage of neighbourhoods, directions in use.

Of real points x_i with k-th neighbour distances r_i among themselves,

    k-NN coverage    share of the x_i with a generated sample within r_i, over the same share for held-back real points
    density          mean number of balls (x_i, r_i) around a generated sample, over k
    effective rank   (sum l)^2 / sum l^2 of the covariance's eigenvalues l
    energy distance  2 E|x - y| - E|x - x'| - E|y - y'|, a length

References:
    Naeem, Oh, Uh, Choi, Yoo. Reliable fidelity and diversity metrics for generative models. ICML 2020.
    Szekely, Rizzo. Energy statistics. J. Stat. Plan. Inference 143, 1249 (2013).
"""

import numpy as np
import numpy.typing as npt
from scipy.spatial.distance import cdist, pdist, squareform

from ganscope.core.checks import real_array
from ganscope.core.errors import ParameterError

Array = npt.NDArray[np.float64]


def energy_distance(x: npt.ArrayLike, y: npt.ArrayLike) -> float:
    """Unbiased energy distance 2 E|x - y| - E|x - x'| - E|y - y'| of two samples, 0 where chance makes it negative.

    Args:
        x: Shape `[n, d]`, n >= 2.
        y: Shape `[m, d]`, m >= 2.

    Returns:
        A length, in the units of the points.

    Raises:
        ParameterError: If shapes do not fit or numbers are not finite.

    References:
        Szekely, Rizzo. Energy statistics. J. Stat. Plan. Inference 143, 1249 (2013).
    """
    first, second = real_array("x", x, ndim=2), real_array("y", y, ndim=2)
    if len(first) < 2 or len(second) < 2 or first.shape[1] != second.shape[1] or not first.size:
        raise ParameterError("y", f"shape {second.shape}", f"two sets of at least 2 points, as x: {first.shape}")
    return max(0.0, 2 * float(cdist(first, second).mean()) - float(pdist(first).mean()) - float(pdist(second).mean()))


def neighbour_numbers(samples: Array, data: Array, k: int) -> tuple[float, float, float]:
    """Raw k-NN coverage, the same over that of held-back data, and the density.

    As many generated as held-back samples face the reference, since coverage grows with their number.

    Args:
        samples: Shape `[n, d]`.
        data: Shape `[m, d]`, in random order: one half is the reference, the other is held back.
        k: Neighbours, less than m / 2.
    """
    half = len(data) // 2
    reference, held_back = data[:half], data[half:]
    count = min(len(samples), len(held_back))
    own = squareform(pdist(reference))
    radii = np.partition(own, k, axis=1)[:, k]  # entry 0 is the point itself
    inside = cdist(reference, samples[:count]) <= radii[:, None]
    raw = float(np.mean(np.any(inside, axis=1)))
    attainable = float(np.mean(np.any(cdist(reference, held_back[:count]) <= radii[:, None], axis=1)))
    return raw, raw / max(attainable, 1 / half), float(np.sum(inside)) / (k * count)


def effective_rank(points: Array) -> float:
    """Participation ratio of the covariance's eigenvalues, 1 .. d; 0 for points that are all alike.

    Args:
        points: Shape `[n, d]`.
    """
    centred = points - points.mean(axis=0)
    size = float(np.max(np.abs(centred), initial=0.0))
    if size == 0:
        return 0.0
    centred = centred / size
    # Both Gram matrices have the eigenvalues; the smaller one is cheaper.
    gram = centred.T @ centred if centred.shape[0] >= centred.shape[1] else centred @ centred.T
    return float(np.trace(gram)) ** 2 / float(np.sum(gram * gram))
