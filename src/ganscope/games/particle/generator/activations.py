r"""Gaussian averages of activation functions: what a wide network does to the covariance of two inputs.

For (u, v) Gaussian with variances q1, q2 and covariance c, and an activation phi,

    values   E[phi(u) phi(v)]
    slopes   E[phi'(u) phi'(v)]      = d values / dc
    bends    E[phi''(u) phi''(v)]    = d slopes / dc      (Price's theorem)

Most are closed forms. Those of the logistic family are sums, which follow from one fact: the logistic law is a
Gaussian whose standard deviation is 2 K, with K of Kolmogorov's law, so that

    tanh(x) = E erf(x / (sqrt(2) K)),   sigmoid(x) = P(2 K xi < x),   softplus(x) = E relu(x + 2 K xi),   xi normal.

Averages of tanh, sigmoid and softplus are therefore those of erf, step and relu, averaged over two values of K. The
average over K is a trapezoidal sum in log K, whose error falls geometrically because the density vanishes doubly
exponentially at both ends: below 1e-12 whatever the variances, while Gauss-Hermite quadrature fails for large ones.

References:
    Cho, Saul. Kernel methods for deep learning. NeurIPS 2009 (relu).
    Williams. Computing with infinite networks. NeurIPS 1997 (erf).
    Tsuchida, Pearce, van der Heide, Roosta, Gallagher. Avoiding kernel fixed points. AAAI 2021 (gelu).
    Andrews, Mallows. Scale mixtures of normal distributions. J. R. Stat. Soc. B 36, 99 (1974).
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ganscope.core.checks import number, numbers_in, one_of
from ganscope.core.errors import ParameterError

Array = npt.NDArray[np.float64]

# Cosines may exceed 1 by rounding of the caller's; they are taken as 1.
COSINE_SLACK = 1e-9
_TAU = 2 * np.pi
# Points times pairs of nodes held at once by the averages over Kolmogorov's law.
_MOST_TERMS = 2**20


class Moments(NamedTuple):
    """Gaussian averages of an activation for two inputs, arrays of one shape."""

    values: Any
    slopes: Any
    bends: Any


def _gap(q1: Array, q2: Array, c: Array) -> Array:
    """The determinant q1 q2 - c^2, without cancellation where the inputs coincide; at least 0."""
    mean = np.sqrt(q1 * q2)
    return np.maximum((mean - c) * (mean + c), 0.0)


def _linear(q1: Array, q2: Array, c: Array, slope: float) -> Moments:
    return Moments(c + 0.0, np.ones_like(c), np.zeros_like(c))


def _relu(q1: Array, q2: Array, c: Array, slope: float) -> Moments:
    root = np.sqrt(_gap(q1, q2, c))
    within = np.pi - np.arctan2(root, c)  # exact at cosines +-1
    with np.errstate(divide="ignore"):
        return Moments((root + c * within) / _TAU, within / _TAU, 1.0 / (_TAU * root))


def _leaky_relu(q1: Array, q2: Array, c: Array, slope: float) -> Moments:
    same, opposite = _relu(q1, q2, c, slope), _relu(q1, q2, -c, slope)
    squares, product = 1.0 + slope**2, 2.0 * slope
    bends = (1.0 - slope) ** 2 * same.bends if slope != 1.0 else np.zeros_like(c)
    return Moments(
        squares * same.values - product * opposite.values, squares * same.slopes + product * opposite.slopes, bends
    )


def _erf(q1: Array, q2: Array, c: Array, slope: float) -> Moments:
    square = 1.0 + 2.0 * (q1 + q2) + 4.0 * _gap(q1, q2, c)
    root = np.sqrt(square)
    return Moments(np.arctan2(2.0 * c, root) * 2 / np.pi, 4 / np.pi / root, 16 / np.pi * c / (square * root))


def _sin(q1: Array, q2: Array, c: Array, slope: float) -> Moments:
    size = np.abs(c)
    front = 0.5 * np.exp(size - 0.5 * (q1 + q2))
    odd, even = -np.sign(c) * front * np.expm1(-2.0 * size), front * (1.0 + np.exp(-2.0 * size))
    return Moments(odd, even, odd)


def _cos(q1: Array, q2: Array, c: Array, slope: float) -> Moments:
    odd, even, _ = _sin(q1, q2, c, slope)
    return Moments(even, odd, even)


def _gelu(q1: Array, q2: Array, c: Array, slope: float) -> Moments:
    # Written without differences of large numbers: gap + c^2 = q1 q2, square = (1 + q1)(1 + q2) - c^2.
    gap = _gap(q1, q2, c)
    square = 1.0 + q1 + q2 + gap
    root = np.sqrt(square)
    angle = np.arctan2(c, root)
    first, second = 1.0 / (1.0 + q1), 1.0 / (1.0 + q2)
    both = first + second
    inner = gap + both * c**2
    rest = (1.0 + first * q2 + second * q1 + both * gap) / square
    values = c / 4 + (c * angle + inner / root) / _TAU
    slopes = 0.25 + (angle + c * (2.0 * both - rest) / root) / _TAU
    bends = 2.0 * both + (c**2 * (4.0 * both - 3.0 * rest) + inner) / square
    return Moments(values, slopes, bends / (_TAU * root))


@functools.cache
def _kolmogorov() -> tuple[Array, Array]:
    """Nodes and weights for averages over Kolmogorov's law, from its two classical series."""
    log_nodes = np.linspace(np.log(0.17), np.log(4.6), 28)
    nodes = np.exp(log_nodes)
    j = np.arange(1, 12)[:, None]
    tail = 8 * nodes * np.sum((-1.0) ** (j - 1) * j**2 * np.exp(-2.0 * j**2 * nodes**2), axis=0)
    rate = (2 * j - 1) ** 2 * np.pi**2 / 8
    head = np.sqrt(_TAU) * np.sum(np.exp(-rate / nodes**2) * (2 * rate / nodes**4 - 1 / nodes**2), axis=0)
    weights = np.where(nodes < 0.9, head, tail) * nodes
    return nodes, weights / weights.sum()


def _mixed(
    q1: Array, q2: Array, c: Array, scale: float, terms: Callable[[Array, Array, Array], tuple[Array, Array, Array]]
) -> Moments:
    """Averages of `terms(square, root, c)` over two independent s, t = scale K: square = (q1 + s^2)(q2 + t^2) - c^2."""
    nodes, weights = _kolmogorov()
    noise = np.square(scale * nodes)
    first, second = np.repeat(noise, len(noise)), np.tile(noise, len(noise))
    weight = np.outer(weights, weights).ravel()
    out = np.empty((3, c.size))
    flat = [np.ravel(x) for x in np.broadcast_arrays(q1, q2, c)]
    chunk = max(1, _MOST_TERMS // weight.size)
    for start in range(0, c.size, chunk):
        p1, p2, p = (x[start : start + chunk, None] for x in flat)
        square = _gap(p1, p2, p) + p1 * second + p2 * first + first * second
        for row, term in zip(out, terms(square, np.sqrt(square), p), strict=True):
            row[start : start + chunk] = term @ weight
    return Moments(*(row.reshape(c.shape) for row in out))


def _tanh(q1: Array, q2: Array, c: Array, slope: float) -> Moments:
    mixed = _mixed(q1, q2, c, 1.0, lambda square, root, c: (np.arctan2(c, root), 1.0 / root, c / (square * root)))
    return Moments(*(2 / np.pi * x for x in mixed))


def _sigmoid(q1: Array, q2: Array, c: Array, slope: float) -> Moments:
    mixed = _mixed(q1, q2, c, 2.0, lambda square, root, c: (np.arctan2(c, root), 1.0 / root, c / (square * root)))
    return Moments(0.25 + mixed.values / _TAU, mixed.slopes / _TAU, mixed.bends / _TAU)


def _softplus(q1: Array, q2: Array, c: Array, slope: float) -> Moments:
    def terms(square: Array, root: Array, c: Array) -> tuple[Array, Array, Array]:
        within = np.pi / 2 + np.arctan2(c, root)
        return root + c * within, within, 1.0 / root

    return Moments(*(x / _TAU for x in _mixed(q1, q2, c, 2.0, terms)))


_TABLE: dict[str, Callable[[Array, Array, Array, float], Moments]] = {
    "relu": _relu,
    "leaky_relu": _leaky_relu,
    "linear": _linear,
    "erf": _erf,
    "sin": _sin,
    "cos": _cos,
    "tanh": _tanh,
    "gelu": _gelu,
    "sigmoid": _sigmoid,
    "softplus": _softplus,
}
ACTIVATIONS: tuple[str, ...] = tuple(_TABLE)

# phi(s x) = s phi(x) for s > 0: covariances may be rescaled at will.
HOMOGENEOUS = ("relu", "leaky_relu", "linear")
# phi'(0) of those with phi(0) = 0, which are linear for variances near 0.
SLOPE_AT_ZERO = {"erf": 2 / np.sqrt(np.pi), "sin": 1.0, "tanh": 1.0, "gelu": 0.5}
# Those that grow like relu: relu itself for huge variances.
LIKE_RELU = ("gelu", "softplus")


def check_activation(name: str, activation: Any, negative_slope: Any) -> tuple[str, float]:
    """The name of an activation and the slope of `leaky_relu` for negative inputs, checked.

    Raises:
        ParameterError: If the name is unknown or the slope is not a finite number of modulus <= 1e6.
    """
    slope = number("negative_slope", negative_slope)
    if abs(slope) > 1e6:
        raise ParameterError("negative_slope", slope, "a number between -1e6 and 1e6")
    return one_of(name, activation, ACTIVATIONS), slope


def unchecked_moments(activation: str, q1: Array, q2: Array, c12: Array, negative_slope: float) -> Moments:
    """`moments` for arrays of one shape, not checked."""
    return _TABLE[activation](q1, q2, c12, negative_slope)


def check_covariance(q1: Any, q2: Any, c12: Any) -> tuple[Array, Array, Array]:
    """Variances and covariances, broadcast against each other, with |c12| <= sqrt(q1 q2).

    Raises:
        ParameterError: If the shapes do not fit, a variance is negative, or a covariance is out of its range.
    """
    q1, q2 = numbers_in("q1", q1, at_least=0), numbers_in("q2", q2, at_least=0)
    c12 = numbers_in("c12", c12)
    try:
        q1, q2, c12 = np.broadcast_arrays(q1, q2, c12)
    except ValueError:
        shapes = f"shapes {q1.shape}, {q2.shape}, {c12.shape}"
        raise ParameterError("q1, q2, c12", shapes, "arrays that broadcast against each other") from None
    if max(np.max(q1, initial=0.0), np.max(q2, initial=0.0)) > 1e100:
        raise ParameterError("q1, q2", max(np.max(q1), np.max(q2)), "numbers of at most 1e100")
    largest = np.sqrt(q1 * q2)
    if np.any(np.abs(c12) > largest * (1 + COSINE_SLACK)):
        raise ParameterError("c12", c12, "covariances with |c12| <= sqrt(q1 q2)")
    return q1, q2, np.clip(c12, -largest, largest)


def moments(activation: str, q1: Any, q2: Any, c12: Any, negative_slope: float = 0.01) -> Moments:
    """Gaussian averages E[phi phi], E[phi' phi'], E[phi'' phi''] of an activation for two inputs.

    Args:
        activation: `relu`, `leaky_relu`, `linear`, `erf`, `sin`, `cos`, `tanh`, `gelu`, `sigmoid` or `softplus`.
        q1: Variance of the first input, >= 0; arrays broadcast.
        q2: Variance of the second input, >= 0.
        c12: Their covariance, |c12| <= sqrt(q1 q2).
        negative_slope: Slope of `leaky_relu` for negative inputs.

    Returns:
        `.values`, `.slopes`, `.bends`; the bends of relu are infinite where the inputs are parallel.

    Raises:
        ParameterError: If a parameter is out of its range.
    """
    name, slope = check_activation("activation", activation, negative_slope)
    return unchecked_moments(name, *check_covariance(q1, q2, c12), slope)
