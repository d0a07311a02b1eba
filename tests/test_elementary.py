"""Exponential, sine and cosine against NumPy, over their whole ranges."""

import numpy as np
import pytest

from ganscope.core import elementary
from ganscope.core.compiled import compiled


def mapped(function, x):
    """The function over an array, as kernels use it: inlined into a loop."""

    @compiled(cache=False)
    def loop(x, first, second):
        for k in range(len(x)):
            first[k], second[k] = function(x[k])

    outs = np.empty_like(x), np.empty_like(x)
    loop(x, *outs)
    return outs


def exponentials(function, x):
    @compiled(cache=False)
    def loop(x, out):
        for k in range(len(x)):
            out[k] = function(x[k])

    out = np.empty_like(x)
    loop(x, out)
    return out


@pytest.mark.parametrize(
    "function, real, lowest, error",
    [(elementary.exponential64, np.float64, -707.0, 4e-16), (elementary.exponential32, np.float32, -86.0, 2e-7)],
)
def test_exponential(function, real, lowest, error):
    x = np.concatenate([np.linspace(lowest, 0, 20001), -np.geomspace(1e-30, 1, 500)]).astype(real)
    exact = np.exp(x.astype(np.longdouble))
    assert np.max(np.abs(exponentials(function, x) / exact - 1)) < error
    far = np.array([-1e3, -1e8, -np.inf], real)
    assert np.all(exponentials(function, far) == 0)


@pytest.mark.parametrize(
    "function, real, error",
    [(elementary.sine_cosine64, np.float64, 4e-15), (elementary.sine_cosine32, np.float32, 1e-6)],
)
def test_sine_and_cosine_of_turns(function, real, error):
    turns = np.concatenate([np.linspace(-3, 3, 20001), np.arange(-8, 9) / 8]).astype(real)
    sine, cosine = mapped(function, turns)
    angle = 2 * np.pi * turns.astype(np.longdouble)
    assert np.max(np.abs(sine - np.sin(angle))) < error
    assert np.max(np.abs(cosine - np.cos(angle))) < error
    quarter = np.array([0.0, 0.25, 0.5, 0.75, 1.0], real)
    sine, cosine = mapped(function, quarter)
    np.testing.assert_array_equal(np.round(sine), [0, 1, 0, -1, 0])
    np.testing.assert_array_equal(np.round(cosine), [1, 0, -1, 0, 1])
