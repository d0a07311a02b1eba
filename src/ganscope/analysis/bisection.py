"""Boundaries between two outcomes, by bisection of many intervals at once."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from ganscope.core.checks import number, numbers_in, real_array
from ganscope.core.errors import ParameterError

Array = npt.NDArray[np.float64]

_HALVINGS = 100


def bisect(
    outcome: Callable[[Array], Any],
    low: npt.ArrayLike,
    high: npt.ArrayLike,
    relative_tolerance: float = 1e-6,
    log: bool = False,
) -> Array:
    """Where an outcome changes between `low` and `high`, for many cells together.

    Every halving asks for one value per cell in a single call, so that simulations run as one batch.

    Args:
        outcome: From one value per cell, shape `[cells]`, to one boolean per cell, or to one number, of which the sign
            counts (0 as positive).
        low: Ends of the intervals, a number or shape `[cells]`.
        high: The other ends, broadcast with `low`.
        relative_tolerance: Stop when every interval is shorter than this, relative to its larger end (in size), or
            after 100 halvings.
        log: Halve on a logarithmic scale; needs positive ends.

    Returns:
        Middle of the last interval, in the shape of `low` and `high` broadcast; NaN where both ends have one outcome.
        An outcome that changes several times gives one of the changes.

    Raises:
        ParameterError: If an end is not finite, or not positive on a logarithmic scale.
    """
    relative_tolerance = number("relative_tolerance", relative_tolerance, above=0)
    check = (lambda name, ends: numbers_in(name, ends, above=0)) if log else real_array
    first, second = np.broadcast_arrays(check("low", low), check("high", high))
    shape = first.shape
    a, b = first.ravel().copy(), second.ravel().copy()
    at_a, at_b = _decide(outcome, a), _decide(outcome, b)
    for _ in range(_HALVINGS):
        if np.all(np.abs(b - a) <= relative_tolerance * np.maximum(np.abs(a), np.abs(b))):
            break
        middle = np.sqrt(a) * np.sqrt(b) if log else a + (b - a) / 2
        as_a = _decide(outcome, middle) == at_a
        a, b = np.where(as_a, middle, a), np.where(as_a, b, middle)
    found = np.sqrt(a) * np.sqrt(b) if log else a + (b - a) / 2
    return np.where(at_a == at_b, np.nan, found).reshape(shape)


def _decide(outcome: Callable[[Array], Any], values: Array) -> npt.NDArray[np.bool_]:
    answer = np.asarray(outcome(values))
    if answer.shape != values.shape:
        raise ParameterError("outcome", f"an answer of shape {answer.shape}", f"one value per cell, {values.shape}")
    return answer if answer.dtype == np.bool_ else answer >= 0
