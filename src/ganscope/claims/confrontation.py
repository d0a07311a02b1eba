"""How claims set what was expected against what was measured."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ganscope.claims.claim import Evidence

# How a measured number compares with the expected one where the tolerance is a word.
_COMPARISONS: dict[str, Any] = {
    "exact": np.equal,
    "at least": np.greater_equal,
    "at most": np.less_equal,
    "above": np.greater,
    "below": np.less,
}


def confront(rows: Mapping[str, tuple[Any, Any, Any]]) -> Evidence:
    """A claim from rows of expected, measured and tolerance.

    Args:
        rows: By name; the measured side may be several results by name. A tolerance is absolute, or one of the texts
            "exact", "at least", "at most", "above", "below".
    """
    passed = all(_holds(*row) for row in rows.values())
    expected, measured, tolerance = ({name: row[k] for name, row in rows.items()} for k in range(3))
    return expected, measured, tolerance, passed


def confront_shares(rows: Mapping[str, tuple[float, Any]], tolerance: float) -> Evidence:
    """A claim from rows of an expected number and measured ones, with one relative tolerance for all.

    Args:
        rows: By name; the measured side is a number, or several by name.
        tolerance: Share of the expected number.
    """
    expected, measured = ({name: row[k] for name, row in rows.items()} for k in range(2))
    errors = [
        abs(number / wanted - 1)
        for wanted, found in rows.values()
        for number in (found.values() if isinstance(found, Mapping) else [found])
    ]
    summary, error = "largest relative error", float(np.max(errors))
    return {**expected, summary: 0}, {**measured, summary: error}, {summary: tolerance}, error <= tolerance


def confront_factors(rows: Mapping[str, tuple[float, Any]], factor: float) -> Evidence:
    """A claim from rows of an expected positive number and measured ones, which may differ by a factor.

    Args:
        rows: By name; the measured side is a number, or several by name.
        factor: Largest ratio, either way.
    """
    expected, measured = ({name: row[k] for name, row in rows.items()} for k in range(2))
    ratios = [
        found / wanted
        for wanted, result in rows.values()
        for found in (result.values() if isinstance(result, Mapping) else [result])
    ]
    name, worst = "largest factor off", float(np.exp(np.max(np.abs(np.log(ratios)))))
    return {**expected, name: 1}, {**measured, name: worst}, {name: factor}, worst <= factor


def _holds(expected: Any, measured: Any, tolerance: Any) -> bool:
    if isinstance(measured, Mapping):
        return all(_holds(expected, value, tolerance) for value in measured.values())
    wanted, found = np.asarray(expected), np.asarray(measured)
    if isinstance(tolerance, str):
        return bool(np.all(_COMPARISONS[tolerance](found, wanted)))
    return bool(np.all(np.abs(found - wanted) <= tolerance))


def largest(values: Any) -> float:
    """Largest absolute value."""
    return float(np.max(np.abs(values)))
