r"""Exponential, sine and cosine as short polynomials, which LLVM turns into vector instructions inside a loop.

Taylor series after reduction to a small interval, so that every coefficient speaks for itself. Accuracy, in units of
the last place of the result: about 1 for the exponential, about 2 for sine and cosine at arguments of some turns.
"""

import math

import numpy as np

from ganscope.core.compiled import compiled, float32_of_bits, float64_of_bits

_f32, _i32, _i64 = np.float32, np.int32, np.int64

_LOG2_E = 1.0 / math.log(2.0)
# ln 2 in two parts, the first with so few bits that its products with whole numbers are exact.
_LN2_HIGH = float.fromhex("0x1.62e42feep-1")
_LN2_LOW = 1.90821492927058770002e-10
_LN2_HIGH_32, _LN2_LOW_32 = 0.693359375, -2.12194440054690583e-4


@compiled(inline=True, fastmath={"contract"})
def exponential64(x):
    """exp(x) for x <= 0 in float64; 0 below -708, and for NaN."""
    x = max(x, -745.0)
    n = np.floor(x * _LOG2_E + 0.5)
    r = (x - n * _LN2_HIGH) - n * _LN2_LOW
    p = 1 / 479001600
    p = p * r + 1 / 39916800
    p = p * r + 1 / 3628800
    p = p * r + 1 / 362880
    p = p * r + 1 / 40320
    p = p * r + 1 / 5040
    p = p * r + 1 / 720
    p = p * r + 1 / 120
    p = p * r + 1 / 24
    p = p * r + 1 / 6
    p = p * r + 0.5
    p = p * r + 1.0
    p = p * r + 1.0
    scaled = p * float64_of_bits(_i64(_i64(max(n, -1022.0)) + _i64(1023)) << _i64(52))
    return scaled if n >= -1021.0 else 0.0


@compiled(inline=True, fastmath={"contract"})
def exponential32(x):
    """exp(x) for x <= 0 in float32; 0 below -87, and for NaN."""
    x = max(x, _f32(-100.0))
    n = np.floor(x * _f32(_LOG2_E) + _f32(0.5))
    r = (x - n * _f32(_LN2_HIGH_32)) - n * _f32(_LN2_LOW_32)
    p = _f32(1 / 5040)
    p = p * r + _f32(1 / 720)
    p = p * r + _f32(1 / 120)
    p = p * r + _f32(1 / 24)
    p = p * r + _f32(1 / 6)
    p = p * r + _f32(0.5)
    p = p * r + _f32(1.0)
    p = p * r + _f32(1.0)
    scaled = p * float32_of_bits(_i32(_i32(_i32(max(n, _f32(-126.0))) + _i32(127)) << _i32(23)))
    return scaled if n >= _f32(-125.0) else _f32(0.0)


@compiled(inline=True, fastmath={"contract"})
def sine_cosine64(turns):
    """Sine and cosine of an angle given in turns, float64."""
    q = np.floor(4.0 * turns + 0.5)
    x = (turns - 0.25 * q) * (2 * math.pi)
    z = x * x
    s = -1 / 1307674368000
    s = s * z + 1 / 6227020800
    s = s * z - 1 / 39916800
    s = s * z + 1 / 362880
    s = s * z - 1 / 5040
    s = s * z + 1 / 120
    s = s * z - 1 / 6
    s = s * z * x + x
    c = 1 / 20922789888000
    c = c * z - 1 / 87178291200
    c = c * z + 1 / 479001600
    c = c * z - 1 / 3628800
    c = c * z + 1 / 40320
    c = c * z - 1 / 720
    c = c * z + 1 / 24
    c = c * z - 0.5
    c = c * z + 1.0
    k = _i64(q) & _i64(3)
    odd = (k & _i64(1)) != _i64(0)
    sine = c if odd else s
    cosine = s if odd else c
    sine = -sine if k >= _i64(2) else sine
    cosine = -cosine if (k == _i64(1)) | (k == _i64(2)) else cosine
    return sine, cosine


@compiled(inline=True, fastmath={"contract"})
def sine_cosine32(turns):
    """Sine and cosine of an angle given in turns, float32."""
    q = np.floor(_f32(4.0) * turns + _f32(0.5))
    x = (turns - _f32(0.25) * q) * _f32(2 * math.pi)
    z = x * x
    s = _f32(1 / 362880)
    s = s * z - _f32(1 / 5040)
    s = s * z + _f32(1 / 120)
    s = s * z - _f32(1 / 6)
    s = s * z * x + x
    c = _f32(1 / 40320)
    c = c * z - _f32(1 / 720)
    c = c * z + _f32(1 / 24)
    c = c * z - _f32(0.5)
    c = c * z + _f32(1.0)
    k = _i32(q) & _i32(3)
    odd = (k & _i32(1)) != _i32(0)
    sine = c if odd else s
    cosine = s if odd else c
    sine = -sine if k >= _i32(2) else sine
    cosine = -cosine if (k == _i32(1)) | (k == _i32(2)) else cosine
    return sine, cosine
