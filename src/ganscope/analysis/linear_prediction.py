"""Multipliers of a linear recurrence from the trajectory that it made."""

import numpy as np
import numpy.typing as npt


def recurrence_roots(series: npt.ArrayLike, order: int) -> npt.NDArray[np.complex128]:
    """Roots of the recurrence x_{k+order} = c_1 x_{k+order-1} + ... + c_order x_k that fits a trajectory best.

    A trajectory that is a sum of `order` modes mu^k gives their multipliers; all components share them. Records are
    divided by the size of what precedes them, so that the end of a decaying trajectory counts as much as its beginning.

    Args:
        series: Shape `[records]` or `[records, components]`, equally spaced.
        order: Number of modes.

    Returns:
        Shape `[order]`, the largest modulus first; NaN if there are too few records or they do not vary.
    """
    x = np.asarray(series, np.float64)
    x = x.reshape(len(x), -1)
    rows = len(x) - order
    if rows < order or not np.all(np.isfinite(x)):
        return np.full(order, np.nan, np.complex128)
    past = np.stack([x[order - 1 - k : order - 1 - k + rows] for k in range(order)], axis=-1)
    size = np.sqrt(np.sum(past**2, axis=(1, 2)))
    if not np.all(size > 0):
        return np.full(order, np.nan, np.complex128)
    matrix = (past / size[:, None, None]).reshape(-1, order)
    target = (x[order:] / size[:, None]).reshape(-1)
    coefficients, _, rank, _ = np.linalg.lstsq(matrix, target, rcond=1e-13)
    if rank == 0:
        return np.full(order, np.nan, np.complex128)
    roots = np.roots(np.concatenate([[1.0], -coefficients])).astype(np.complex128)
    roots = np.concatenate([roots, np.zeros(order - len(roots))])
    return roots[np.argsort(-np.abs(roots), kind="stable")]
