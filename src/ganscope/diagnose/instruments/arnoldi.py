"""Some eigenvalues of a large real matrix that is known by its products only, each with its residual.

References:
    Lehoucq, Sorensen, Yang. ARPACK users' guide. SIAM 1998.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse.linalg import ArpackError, ArpackNoConvergence, LinearOperator, eigs

Array = npt.NDArray[np.float64]
ComplexArray = npt.NDArray[np.complex128]
# Products of a real matrix with rows of directions, `[k, n] -> [k, n]`.
Products = Callable[[Array], Array]

# Matrices up to this order are made whole: all their eigenvalues cost less than a few restarts.
LARGEST_DENSE = 400
# What every end of the spectrum sorts by, the first one first.
_ENDS: dict[str, Callable[[ComplexArray], Array]] = {
    "LR": lambda values: values.real,
    "LM": lambda values: np.abs(values),
    "LI": lambda values: np.abs(values.imag),
}


@dataclass(frozen=True, eq=False)
class EigenPairs:
    """Eigenvalues with non-negative imaginary part (their conjugates are eigenvalues, too), the extreme one first.

    Attributes:
        values: `[k]`.
        vectors: Unit vectors as rows, `[k, n]`.
        residuals: |A x - mu x|, computed from the products themselves, `[k]`.
    """

    values: ComplexArray
    vectors: ComplexArray
    residuals: Array


def whole_matrix(products: Products, size: int) -> Array:
    """The matrix itself, column by column."""
    return np.ascontiguousarray(products(np.eye(size)).T)


def eigenpairs(
    products: Products,
    size: int,
    which: str,
    count: int = 8,
    krylov: int = 60,
    tolerance: float = 1e-6,
    restarts: int = 20,
    seed: int = 0,
    matrix: Array | None = None,
) -> EigenPairs:
    """Eigenvalues at one end of the spectrum; what has not converged after some restarts is left out.

    Args:
        products: The matrix.
        size: Its order n.
        which: `LR` (largest real part), `LM` (modulus) or `LI` (size of the imaginary part).
        count: Eigenvalues asked for; of a conjugate pair one is returned.
        krylov: Dimension of the search space, more than 2 count + 1.
        tolerance: Relative accuracy that ends the search.
        restarts: At most so many.
        seed: Of the random start.
        matrix: The matrix itself if it is at hand; matrices of order up to LARGEST_DENSE are made.

    Returns:
        The pairs found, perhaps none.
    """
    if matrix is None and size <= max(LARGEST_DENSE, krylov):
        matrix = whole_matrix(products, size)
    if matrix is not None:
        if not np.all(np.isfinite(matrix)):
            return _pairs(products, np.zeros(0), np.zeros((size, 0)), which, count)
        values, columns = np.linalg.eig(matrix)
        return _pairs(lambda rows: rows @ matrix.T, values, columns, which, count)
    operator = LinearOperator((size, size), matvec=lambda x: products(x.reshape(1, -1))[0], dtype=np.float64)
    start = np.random.default_rng(seed).standard_normal(size)
    try:
        values, columns = eigs(operator, count, which=which, ncv=krylov, tol=tolerance, maxiter=restarts, v0=start)
    except ArpackNoConvergence as stopped:
        values, columns = stopped.eigenvalues, stopped.eigenvectors
    except ArpackError:  # a start in an invariant subspace, or products that are not finite
        values, columns = np.zeros(0), np.zeros((size, 0))
    return _pairs(products, values, columns, which, count)


def _pairs(products: Products, values: Array, columns: Array, which: str, count: int) -> EigenPairs:
    """The upper ones of all pairs, sorted, with residuals."""
    upper = np.flatnonzero(values.imag >= 0)
    found = values[upper].astype(np.complex128)
    chosen = np.argsort(-_ENDS[which](found), kind="stable")[:count]
    rows = columns[:, upper[chosen]].T.astype(np.complex128)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    if not len(rows):
        return EigenPairs(found[chosen], rows, np.zeros(0))
    # One row at a time, as in the iteration: other numbers of rows would be other compiled programs.
    moved = np.array([products(row.real[None])[0] + 1j * products(row.imag[None])[0] for row in rows])
    residuals = np.linalg.norm(moved - found[chosen, None] * rows, axis=1)
    return EigenPairs(found[chosen], rows, residuals)
