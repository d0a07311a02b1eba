r"""Normal laws as states of a generator: their Wasserstein distance, and what entropy and confinement do to them.

The flow of the energy $\int a |x|^2/2 \, d\mu + \epsilon \int \log \mu \, d\mu$ keeps a centred normal law normal (the
Ornstein-Uhlenbeck process), and so does its proximal step.

References:
    Dowson, Landau. The Frechet distance between multivariate normal distributions. 1982.
    Jordan, Kinderlehrer, Otto. The variational formulation of the Fokker-Planck equation. 1998.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from ganscope.core.checks import numbers_in, real_array
from ganscope.core.errors import ParameterError

Array = npt.NDArray[np.float64]

# Asymmetry, and eigenvalues relative to the largest one, that count as rounding errors.
_ROUNDING = 1e-12


def entropic_gaussian_step(std: Any, step_size: Any, entropy: Any, ridge: Any = 0.0) -> Any:
    """Standard deviation of a centred normal law after one proximal step in the Wasserstein metric.

    The step lowers ridge / 2 times the mean of |x|^2 minus `entropy` times the differential entropy. Arguments
    broadcast; in more dimensions it holds for every principal direction on its own.

    Args:
        std: Standard deviation before the step, >= 0.
        step_size: Step size times generator_lr, > 0.
        entropy: Weight of the entropy, >= 0.
        ridge: Strength of the confinement, >= 0.

    Returns:
        A float if all arguments are numbers, otherwise an array.

    Raises:
        ParameterError: If an argument is out of its range.

    References:
        Jordan, Kinderlehrer, Otto (1998).
    """
    before = numbers_in("std", std, at_least=0)
    step = numbers_in("step_size", step_size, above=0)
    weight = numbers_in("entropy", entropy, at_least=0)
    stiffness = 1.0 + step * numbers_in("ridge", ridge, at_least=0)
    after = (before + np.sqrt(before**2 + 4.0 * step * weight * stiffness)) / (2.0 * stiffness)
    return after if np.ndim(after) else float(after)


def entropic_gaussian_flow(std: Any, time: Any, entropy: Any, ridge: Any = 0.0) -> Any:
    """Standard deviation of a centred normal law under the flow that `entropic_gaussian_step` steps along.

    Args:
        std: Standard deviation at time 0, >= 0.
        time: Time times generator_lr, >= 0.
        entropy: Weight of the entropy, >= 0.
        ridge: Strength of the confinement, >= 0.

    Returns:
        A float if all arguments are numbers, otherwise an array.

    Raises:
        ParameterError: If an argument is out of its range.

    References:
        Jordan, Kinderlehrer, Otto. The variational formulation of the Fokker-Planck equation. 1998.
    """
    before, duration = numbers_in("std", std, at_least=0), numbers_in("time", time, at_least=0)
    weight, stiffness = numbers_in("entropy", entropy, at_least=0), numbers_in("ridge", ridge, at_least=0)
    decay = np.exp(-2.0 * stiffness * duration)
    # (1 - exp(-2 a t)) / a, which is 2 t without confinement
    confined = np.where(stiffness > 0, stiffness, 1.0)
    spread = np.where(stiffness > 0, -np.expm1(-2.0 * stiffness * duration) / confined, 2.0 * duration)
    after = np.sqrt(before**2 * decay + weight * spread)
    return after if np.ndim(after) else float(after)


def factor_w2(shift: Array, factor: Array, target: Array) -> Array:
    """W2 between normal laws whose covariances are given by factors, without loss of digits where they are close.

    The distance of the factors after the best rotation of one of them, which is the Bures distance.

    Args:
        shift: Differences of the means, shape `[..., d]`.
        factor: L with covariance L L', shape `[..., d, r]`.
        target: The other law's factor, shape `[d, s]` or with the same leading axes.

    Returns:
        Shape `[...]`; NaN where the input is not finite.
    """
    d, r, s = factor.shape[-2], factor.shape[-1], target.shape[-1]
    columns = max(d, r, s)
    first = _widened(factor, columns)
    second = np.broadcast_to(_widened(target, columns), first.shape)
    finite = np.asarray(np.isfinite(first).all(axis=(-2, -1)) & np.isfinite(second).all(axis=(-2, -1)))
    first = np.where(finite[..., None, None], first, 0.0)
    second = np.where(finite[..., None, None], second, 0.0)
    # states that run away meet numbers whose squares cannot be represented
    with np.errstate(over="ignore", invalid="ignore"):
        size = np.maximum(np.max(np.abs(first), axis=(-2, -1), keepdims=True), 1.0)
        left, _, right = np.linalg.svd(np.swapaxes(second, -2, -1) @ (first / size))
        gap = first - second @ (left @ right)
        squares = np.sum(np.square(gap), axis=(-2, -1)) + np.sum(np.square(shift), axis=-1)
        result: Array = np.where(finite, np.sqrt(squares), np.nan)
    return result


def _widened(factor: Array, columns: int) -> Array:
    """The factor with further columns of zeros."""
    missing = columns - factor.shape[-1]
    return np.concatenate([factor, np.zeros((*factor.shape[:-1], missing))], axis=-1) if missing else factor


def gaussian_w2(mean: Any, covariance: Any, other_mean: Any, other_covariance: Any) -> float:
    """Wasserstein distance of order 2 between two normal laws, which may be degenerate.

    Args:
        mean, other_mean: Shape `[d]`, or numbers on a line.
        covariance, other_covariance: Shape `[d, d]`, positive semidefinite, or variances on a line.

    Returns:
        The distance, a length.

    Raises:
        ParameterError: If a shape does not fit or a covariance is not symmetric and positive semidefinite.

    References:
        Dowson, Landau (1982).
    """
    first = as_vector("mean", mean)
    second = as_vector("other_mean", other_mean, len(first))
    factors = [
        factor_of(as_covariance(name, value, len(first)))
        for name, value in (("covariance", covariance), ("other_covariance", other_covariance))
    ]
    return float(factor_w2(first - second, *factors))


def as_vector(name: str, value: Any, size: int | None = None) -> Array:
    """A vector of finite numbers; a number is a vector of one.

    Raises:
        ParameterError: If it has another shape.
    """
    array = real_array(name, value)
    array = array.reshape(1) if array.ndim == 0 else array
    if array.ndim != 1 or len(array) == 0 or (size is not None and len(array) != size):
        expected = "a vector" if size is None else f"a vector of length {size}"
        raise ParameterError(name, f"shape {array.shape}", f"{expected} (a number in one dimension)")
    return array


def as_covariance(name: str, value: Any, size: int) -> Array:
    """A covariance matrix; a number is that of a law on a line.

    Raises:
        ParameterError: If it has another shape, is not symmetric, or has a negative eigenvalue, beyond rounding.
    """
    array = as_symmetric(name, value, size)
    values = np.linalg.eigvalsh(array)
    if values[0] < -_ROUNDING * max(values[-1], 0.0) or values[-1] < 0:
        raise ParameterError(name, value, f"a positive semidefinite matrix, but it has the eigenvalue {values[0]:.3g}")
    return array


def as_symmetric(name: str, value: Any, size: int) -> Array:
    """A symmetric matrix of finite numbers; a number is a matrix of one row.

    Raises:
        ParameterError: If it has another shape or is not symmetric.
    """
    array = real_array(name, value)
    array = array.reshape(1, 1) if array.ndim == 0 or array.shape == (1,) else array
    if array.shape != (size, size):
        expected = f"a symmetric matrix of shape {(size, size)}"
        raise ParameterError(name, f"shape {array.shape}", f"{expected} (a number in one dimension)")
    if np.max(np.abs(array - array.T)) > _ROUNDING * np.max(np.abs(array)):
        raise ParameterError(name, value, "a symmetric matrix")
    return (array + array.T) / 2


def factor_of(covariance: Array) -> Array:
    """A factor L with L L' = covariance and as many columns as its rank, at least one; directions by size.

    Args:
        covariance: Symmetric and positive semidefinite, shape `[d, d]`.
    """
    values, vectors = np.linalg.eigh(covariance)
    values, vectors = values[::-1], vectors[:, ::-1]
    rank = max(1, int(np.sum(values > _ROUNDING * max(values[0], 0.0))))
    result: Array = vectors[:, :rank] * np.sqrt(np.maximum(values[:rank], 0.0))
    return result
