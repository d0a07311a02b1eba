"""Comparing two sets of complex numbers, such as eigenvalues, which have no stable order."""

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from ganscope.core.errors import ParameterError

Complex = npt.NDArray[np.complex128]


def pair(first: npt.ArrayLike, second: npt.ArrayLike) -> tuple[Complex, Complex]:
    """Two sets of as many complex numbers in an order that pairs them by least total distance.

    Args:
        first: Shape `[n]`, whose order is kept.
        second: Shape `[n]`.

    Returns:
        `first`, and `second` in the order of its partners.

    Raises:
        ParameterError: If the sizes differ.
    """
    a, b = np.asarray(first, np.complex128).ravel(), np.asarray(second, np.complex128).ravel()
    if len(a) != len(b):
        raise ParameterError("second", f"{len(b)} numbers", f"{len(a)}, as many as in first")
    _, partner = linear_sum_assignment(np.abs(a[:, None] - b[None, :]))
    return a, b[partner]


def largest_distance(first: npt.ArrayLike, second: npt.ArrayLike) -> float:
    """Largest distance between partners, see `pair`; 0 for two empty sets."""
    a, b = pair(first, second)
    return float(np.max(np.abs(a - b), initial=0.0))
