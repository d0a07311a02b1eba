r"""How much a silent discriminator fluctuates at a finite dimension n, for many states at once.

In a stable silent state the overlaps (q, r) fluctuate about 0 with covariance X / n,

    M X + X M' + N = 0,    N = tau^2 [eta_T (G_u Lambda G_u' + eta_T G) + eta_G (G_v Lambda~ G_v' + eta_G G)]
                               + tau~^2 eta_G diag(0, Lambda~)

with M of `silence`, the Gram matrix G = [[I, P], [P', S]] of features and columns, and its two halves G_u and G_v of
columns. N is the part of `fluctuations.increment_covariance` that belongs to (q, r), at q = r = 0 and z = 1.
"""

import numpy as np
import numpy.typing as npt

from ganscope.games.solvable.cells import Cells
from ganscope.games.solvable.silence import silent_matrices

Array = npt.NDArray[np.float64]

# A perturbation of a silent state that grows by exp(LEFT_BEHIND) over the window leaves it.
LEFT_BEHIND = 3.0
# Doublings that suffice for states as near to the stability line as double precision can tell, and what is left then.
_DOUBLINGS, _NOTHING = 60, 1e-9


def silent_deviations(cells: Cells, P: Array, S: Array, dimension: float, window: float) -> Array:
    """Linear-noise deviation of q in the silent states with given P and S.

    Args:
        cells: The games, one per state.
        P, S: Overlaps, finite, shape `[states, features, columns]` and `[states, columns, columns]`.
        dimension: Of the runs.
        window: Length in time in which a state might be left.

    Returns:
        Shape `[states, features]`. NaN where it is unknown or the state is near its stability line from above; infinite
        where it is so unstable that it would be left within the window.
    """
    result = np.full((len(P), cells.features), np.nan)
    latent = cells.game.latent
    if cells.link != "quadratic" or not isinstance(latent, str) or latent != "gaussian":
        return result
    M = silent_matrices(cells, P, S)
    held = np.flatnonzero(np.isfinite(M).all((-2, -1)))  # a soft constraint below its limit has no silent state
    growth = np.full(len(P), np.nan)
    growth[held] = np.linalg.eigvals(M[held]).real.max(-1) if len(held) else np.nan
    with np.errstate(invalid="ignore"):
        result[(growth >= 0) & (growth * window > LEFT_BEHIND)] = np.inf
        stable = np.flatnonzero(growth < 0)
    if len(stable):
        covariance = lyapunov(M[stable], silent_increments(cells[stable], P[stable], S[stable]))
        variance = np.diagonal(covariance, axis1=-2, axis2=-1)[:, : cells.features]
        result[stable] = np.sqrt(np.clip(variance, 0, None) / dimension)
    return result


def silent_increments(cells: Cells, P: Array, S: Array) -> Array:
    """N, the covariance of n times one step's increment of (q, r) in silent states `[states, ...]`."""
    one = np.broadcast_to(np.eye(cells.features), (len(P), cells.features, cells.features))
    u = np.concatenate([one, np.swapaxes(P, -1, -2)], axis=-2)
    v = np.concatenate([P, S], axis=-2)
    gram = np.concatenate([u, v], axis=-1)
    data, made = cells.data_noise[:, None, None], cells.generator_noise[:, None, None]
    real = data * ((u * cells.feature_variance[:, None]) @ np.swapaxes(u, -1, -2) + data * gram)
    fake = made * ((v * cells.latent_variance[:, None]) @ np.swapaxes(v, -1, -2) + made * gram)
    result: Array = cells.discriminator_lr[:, None, None] ** 2 * (real + fake)
    columns = np.arange(cells.features, cells.features + cells.columns)
    own = cells.generator_lr**2 * cells.generator_noise
    result[:, columns, columns] += own[:, None] * cells.latent_variance
    return result


def lyapunov(M: Array, N: Array) -> Array:
    """X with M X + X M' + N = 0 for many stable M at once, all of shape `[count, size, size]`.

    With A = (a + M) / (a - M) the equation reads X = A X A' + 2 a N / ((a - M)(a - M)'), the sum of a geometric series
    that doubles its number of terms in every round.

    References:
        Smith. Matrix equation XA + BX = C. SIAM J. Appl. Math. 16 (1968).
    """
    one = np.eye(M.shape[-1])
    a = np.sqrt((M**2).sum((-2, -1), keepdims=True) / M.shape[-1])
    inverse = np.linalg.inv(a * one - M)
    A = inverse @ (a * one + M)
    X: Array = 2 * a * inverse @ N @ np.swapaxes(inverse, -1, -2)
    for _ in range(_DOUBLINGS):
        if np.abs(A).max() < _NOTHING:
            break
        X = X + A @ X @ np.swapaxes(A, -1, -2)
        A = A @ A
    return X
