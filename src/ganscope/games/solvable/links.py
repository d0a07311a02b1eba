r"""Links: the derivatives f and f~ of the discriminator's objective, which enter every level of the solvable model.

    link        discriminator                       f(s)                        f~(s)
    quadratic   D = s^2 / 2                         s                           s
    tanh        D = log cosh s                      tanh s                      tanh s
    logistic    D = sigmoid(s^2 / 2 - b), log D     s sigmoid(b - s^2 / 2)      s sigmoid(s^2 / 2 - b)
    a pair of callables                             the first                   the second

Each is written twice on purpose: for NumPy or JAX arrays, with the library's own functions, and for compiled kernels,
with an exponential that vectorises and gives the same bits in scalar and vector code. A test compares them.
"""

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ganscope.core.compiled import compiled, float64_of_bits, fused_multiply_add
from ganscope.core.errors import ParameterError

NAMES = ("quadratic", "tanh", "logistic")
Pair = tuple[Callable[[Any], Any], Callable[[Any], Any]]

_LOG2_E = 1.4426950408889634
_LN2_HIGH, _LN2_LOW = 0.6931471803691238, 1.9082149292705877e-10
_EXP_TAYLOR = tuple(1.0 / math.factorial(k) for k in range(14))


@compiled(inline=True)
def exponential(x):
    """exp(x) for float64, relative error below 4e-16; clipped to [-700, 700]."""
    x = min(max(x, -700.0), 700.0)
    k = np.floor(x * _LOG2_E + 0.5)
    r = fused_multiply_add(-k, _LN2_HIGH, x)
    r = fused_multiply_add(-k, _LN2_LOW, r)
    p = _EXP_TAYLOR[13]
    p = fused_multiply_add(p, r, _EXP_TAYLOR[12])
    p = fused_multiply_add(p, r, _EXP_TAYLOR[11])
    p = fused_multiply_add(p, r, _EXP_TAYLOR[10])
    p = fused_multiply_add(p, r, _EXP_TAYLOR[9])
    p = fused_multiply_add(p, r, _EXP_TAYLOR[8])
    p = fused_multiply_add(p, r, _EXP_TAYLOR[7])
    p = fused_multiply_add(p, r, _EXP_TAYLOR[6])
    p = fused_multiply_add(p, r, _EXP_TAYLOR[5])
    p = fused_multiply_add(p, r, _EXP_TAYLOR[4])
    p = fused_multiply_add(p, r, _EXP_TAYLOR[3])
    p = fused_multiply_add(p, r, _EXP_TAYLOR[2])
    p = fused_multiply_add(p, r, 1.0)
    p = fused_multiply_add(p, r, 1.0)
    return p * float64_of_bits((np.int64(k) + np.int64(1023)) << np.int64(52))


@compiled(inline=True)
def hyperbolic_tangent(x):
    """tanh(x) for float64, absolute error below 4e-16."""
    return 1.0 - 2.0 / (1.0 + exponential(2.0 * x))


@compiled(inline=True)
def norm_penalty(x):
    """h(x) = tanh(x - 1), the slope of the penalty log cosh(x - 1) on a squared norm."""
    return hyperbolic_tangent(x - 1.0)


@compiled(inline=True)
def _quadratic(s, bias):
    return s


@compiled(inline=True)
def _tanh(s, bias):
    return hyperbolic_tangent(s)


@compiled(inline=True)
def _logistic_real(s, bias):
    return s / (1.0 + exponential(0.5 * s * s - bias))


@compiled(inline=True)
def _logistic_fake(s, bias):
    return s / (1.0 + exponential(bias - 0.5 * s * s))


_COMPILED = {
    "quadratic": (_quadratic, _quadratic),
    "tanh": (_tanh, _tanh),
    "logistic": (_logistic_real, _logistic_fake),
}


def compiled_pair(link: "str | Pair") -> tuple[Any, Any]:
    """Compiled scalar functions f(s, bias) and f~(s, bias) for use inside kernels."""
    return _COMPILED[link] if isinstance(link, str) else (_compile_user(link[0]), _compile_user(link[1]))


@functools.cache
def _compile_user(function: Callable[[Any], Any]) -> Any:
    import numba

    inner = numba.njit(function, error_model="numpy")
    try:
        inner(0.5)
    except Exception as error:  # numba raises many kinds; all mean that this callable cannot enter a kernel
        raise ParameterError("link", function, "callables of one float that numba can compile") from error

    @numba.njit(error_model="numpy", nogil=True)
    def link(s, bias):
        return inner(s)

    return link


@functools.cache
def _ufunc(function: Callable[[Any], Any]) -> Any:
    import numba

    return numba.vectorize(["float64(float64)"])(function)


def array_pair(link: "str | Pair", bias: Any, xp: Any = np) -> Pair:
    """f and f~ for arrays of NumPy or JAX; `bias` broadcasts against the argument."""
    if not isinstance(link, str):
        return _ufunc(link[0]), _ufunc(link[1])
    if link == "quadratic":
        return (lambda s: s), (lambda s: s)
    if link == "tanh":
        return xp.tanh, xp.tanh

    def sigmoid(x: Any) -> Any:
        return 0.5 * (1.0 + xp.tanh(0.5 * x))

    return (lambda s: s * sigmoid(bias - 0.5 * s * s)), (lambda s: s * sigmoid(0.5 * s * s - bias))
