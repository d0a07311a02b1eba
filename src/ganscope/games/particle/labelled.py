"""Order parameters in front of labelled data, whose classes take the place of modes."""

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from ganscope.core.checks import integer, number, real_array
from ganscope.core.errors import ParameterError
from ganscope.games.particle.order_parameters import (
    COVERED,
    LARGEST,
    ROUNDING,
    OrderParameters,
    as_positions,
    effective_share,
    evenness,
    shaped,
    trace_covariance,
)

# Share of the data whose own nearest neighbour says what "close to the data" means.
_CLOSE = 0.99


def labelled_order_parameters(
    positions: npt.ArrayLike,
    points: npt.ArrayLike,
    labels: npt.ArrayLike,
    neighbours: int = 5,
    target_variance: float | None = None,
) -> OrderParameters:
    """Order parameters of particles in front of labelled data, whose classes take the place of modes.

    Every particle gets the class that most of its nearest data points have (of several, the first one in sorted
    order), so that `occupancy` sums to 1 and `coverage`, `entropy` and `kl` follow by the formulas for modes. The soft
    coverage comes from the shares of the classes among those neighbours, averaged over the particles. `quality` is
    the share of particles that are as close to the data as the data are to each other: nearest data point no farther
    than the 99th percentile of the data's own nearest-neighbour distances.

    Args:
        positions: Particles, shape `[..., N, d]` with any leading axes.
        points: Data, shape `[n, d]`.
        labels: Class of each data point, shape `[n]`: numbers or texts.
        neighbours: How many nearest data points vote, at most n.
        target_variance: Trace of the target's covariance; None for that of the data.

    Returns:
        The order parameters; `occupancy` has one entry per class, in sorted order.

    Raises:
        ParameterError: If shapes do not fit or a number is out of range.
    """
    data = real_array("points", points, ndim=2)
    if len(data) < 2:
        raise ParameterError("points", data.shape, "data of shape [n, d], with at least two points")
    names = np.asarray(labels)
    if names.shape != (len(data),):
        raise ParameterError("labels", names.shape, f"one label per data point, shape ({len(data)},)")
    x = as_positions(positions)
    if x.ndim < 2 or x.shape[-1] != data.shape[1] or x.shape[-2] == 0:
        raise ParameterError("positions", x.shape, f"shape [..., particles, {data.shape[1]}], like points")
    neighbours = integer("neighbours", neighbours, at_least=1)
    if neighbours > len(data):
        raise ParameterError("neighbours", neighbours, f"at most {len(data)}, the number of data points")
    if target_variance is not None:
        variance = number("target_variance", target_variance, above=0)
    else:
        variance = float(trace_covariance(data))
    lead, particles = x.shape[:-2], x.shape[-2]
    flat = x.reshape(-1, *x.shape[-2:])
    lost = ~np.all(np.abs(flat) <= LARGEST, axis=(1, 2))
    flat = np.where(lost[:, None, None], 0.0, flat)
    tree = cKDTree(data)
    close = float(np.quantile(tree.query(data, k=2)[0][:, 1], _CLOSE))
    distance, index = tree.query(flat, k=list(range(1, neighbours + 1)))
    classes, of_point = np.unique(names, return_inverse=True)
    votes = np.stack([np.sum(of_point[index] == c, axis=2) for c in range(len(classes))], axis=1)
    owner = np.argmax(votes, axis=1)
    counts = np.stack([np.sum(owner == c, axis=1) for c in range(len(classes))], axis=1)
    entropy, kl = evenness(counts)
    result = (
        counts / particles,
        np.mean(COVERED * len(classes) * counts >= particles, axis=1),
        entropy,
        kl,
        effective_share(np.mean(votes / neighbours, axis=2)),
        trace_covariance(flat) / variance if variance > 0 else np.full(len(flat), np.nan),
        np.mean(distance[..., 0] <= close * (1 + ROUNDING), axis=1),
    )
    for values in result:
        values[lost] = np.nan
    return OrderParameters(*(shaped(values, lead) for values in result))
