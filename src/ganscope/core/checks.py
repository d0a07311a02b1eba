"""Checks of parameters: each returns the checked value or raises `ParameterError` with the admissible range.

They take scalars and arrays alike, so that a sweep over many cells is checked by the same line as one game.
"""

import math
import numbers
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ganscope.core.errors import ParameterError, unknown_name

Array = npt.NDArray[np.float64]


def real_array(name: str, value: Any, *, ndim: int | None = None, expected: str = "finite numbers") -> Array:
    """A float64 array without NaN or infinities."""
    array = _as_array(name, value, expected)
    if ndim is not None and array.ndim != ndim:
        raise ParameterError(name, value, f"{expected}, with {ndim} dimension(s), not {array.ndim}")
    if not np.all(np.isfinite(array)):
        raise ParameterError(name, value, f"{expected}, without NaN or infinities")
    return array


def point_array(name: str, value: Any) -> Array:
    """Points `[count, axes]`, at least one, not writeable; a list of numbers is points on a line."""
    points = real_array(name, value, expected="finite numbers of shape (points, axes)")
    if points.ndim == 1:
        points = points[:, None]
    if points.ndim != 2 or points.size == 0:
        raise ParameterError(name, f"shape {points.shape}", "an array of shape (points, axes), at least one point")
    points.flags.writeable = False
    return points


def _as_array(name: str, value: Any, expected: str) -> Array:
    """A new float64 array, so that a later change of the caller's array changes nothing here."""
    if isinstance(value, str | bytes | dict | bool):
        raise ParameterError(name, value, expected)
    try:
        if np.asarray(value).dtype.kind not in "fiu":
            raise ParameterError(name, value, expected)
        return np.array(value, np.float64)
    except (TypeError, ValueError):
        raise ParameterError(name, value, expected) from None


def number(
    name: str, value: Any, *, above: float | None = None, at_least: float | None = None, infinite: bool = False
) -> float:
    """A real number, strictly `above` or `at_least` a bound, finite unless `infinite`."""
    expected = _range_text("a", above, at_least, infinite)
    if isinstance(value, bool | str) or not isinstance(value, numbers.Real):
        array = np.asarray(value)
        if array.shape != () or array.dtype.kind not in "fiu":
            raise ParameterError(name, value, expected)
    result = float(value)
    _check_range(name, np.array(result), above, at_least, infinite, value, expected)
    return result


def numbers_in(
    name: str,
    value: Any,
    *,
    shape: tuple[int, ...] | None = None,
    above: float | None = None,
    at_least: float | None = None,
    infinite: bool = False,
) -> Array:
    """An array of numbers within a range; NaN is always refused."""
    expected = _range_text("", above, at_least, infinite)
    array = _as_array(name, value, expected)
    if shape is not None and array.shape != shape:
        raise ParameterError(name, value, f"{expected} of shape {shape}, not {array.shape}")
    _check_range(name, array, above, at_least, infinite, value, expected)
    return array


def _check_range(
    name: str, array: Array, above: float | None, at_least: float | None, infinite: bool, value: Any, expected: str
) -> None:
    allowed = ~np.isnan(array) if infinite else np.isfinite(array)
    if above is not None:
        allowed &= array > above
    if at_least is not None:
        allowed &= array >= at_least
    if not np.all(allowed):
        raise ParameterError(name, value, expected)


def _range_text(article: str, above: float | None, at_least: float | None, infinite: bool) -> str:
    kind = "number" if infinite else "finite number"
    text = f"{article} {kind}" if article else f"{kind}s"
    if above is not None:
        text += f" > {above:g}"
    if at_least is not None:
        text += f" >= {at_least:g}"
    return text + (" (infinity allowed)" if infinite else "")


def integer(name: str, value: Any, *, at_least: int = 0) -> int:
    """An integer of at least a bound; a float with an integer value is accepted, a boolean is not."""
    expected = f"an integer >= {at_least}"
    if isinstance(value, bool | str) or not isinstance(value, numbers.Real) or not math.isfinite(value):
        raise ParameterError(name, value, expected)
    result = int(float(value)) if not isinstance(value, numbers.Integral) else int(value)
    if result != value or result < at_least:
        raise ParameterError(name, value, expected)
    return result


def one_length(arrays: Mapping[str, Array]) -> int:
    """The common length of the parameters of a batch, one value per cell; 1 if none varies."""
    sizes = {len(values) for values in arrays.values()}
    if len(sizes) > 1 or 0 in sizes:
        given = {name: len(values) for name, values in arrays.items()}
        raise ParameterError("over", given, "arrays of one length, at least 1")
    return sizes.pop() if sizes else 1


def one_of(name: str, value: Any, known: Iterable[str]) -> str:
    """A name from a list; the error names the list and the nearest match."""
    known = list(known)
    if not isinstance(value, str) or value not in known:
        raise unknown_name(name, value, known)
    return value
