"""Reading the report of a diagnosis, which is all that its words, tables, panels and page know.

A report is what `Diagnosis.to_dict()` gives or what a saved JSON file holds: plain values, numbers that are not finite
as the texts `inf`, `-inf` and `nan`. Parts that a diagnosis left out are null, or missing.
"""

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ganscope.core.errors import ParameterError, StoreError
from ganscope.core.outcome import Outcome

Array = npt.NDArray[np.float64]
Report = Mapping[str, Any]

_EXPECTED = "a Diagnosis made by diagnose, its dictionary, or what its save wrote"
_SECTIONS = ("game", "spectrum", "prediction", "verdict", "gamma_sweep", "verification", "kernel", "samples", "cost")
_LISTS = ("probes", "assumptions", "what_if", "advice", "history")
# Without these two nothing is a report of a diagnosis.
_NEEDED = ("verdict", "spectrum")


def is_diagnosis(thing: Any) -> bool:
    """Whether something is a diagnosis or looks like the report of one."""
    if isinstance(thing, Mapping):
        return all(name in thing for name in _NEEDED)
    return bool(getattr(thing, "is_diagnosis", False)) and hasattr(thing, "to_dict")


def report_of(thing: Any) -> Report:
    """The checked report of a diagnosis, or of the dictionary of one.

    Raises:
        ParameterError: If it is something else, or a part of it has another shape than a report's.
    """
    if not is_diagnosis(thing):
        raise ParameterError("diagnosis", thing, _EXPECTED)
    report: Report = thing if isinstance(thing, Mapping) else thing.to_dict()
    for name in _SECTIONS:
        if not isinstance(report.get(name) or {}, Mapping):
            raise ParameterError(f"diagnosis['{name}']", report[name], "a dictionary")
    for name in _LISTS:
        if not isinstance(report.get(name) or [], list | tuple):
            raise ParameterError(f"diagnosis['{name}']", report[name], "a list")
    for name in ("probes", "what_if", "advice", "history"):
        for entry in report.get(name) or []:
            if not isinstance(entry, Mapping):
                raise ParameterError(f"diagnosis['{name}']", entry, "a list of dictionaries")
    outcome = report["verdict"].get("outcome")
    if outcome not in set(Outcome):
        raise ParameterError("diagnosis['verdict']['outcome']", outcome, f"one of {', '.join(Outcome)}")
    return report


def load_report(path: str | os.PathLike[str]) -> Report:
    """The report that a JSON file holds.

    Raises:
        StoreError: If there is none.
    """
    file = Path(path)
    if not file.is_file():
        raise StoreError(f"{file} {'is not a file' if file.exists() else 'does not exist'}")
    try:
        return report_of(json.loads(file.read_text(encoding="utf-8")))
    except (ValueError, OSError) as error:  # ParameterError and decoding errors are ValueErrors
        raise StoreError(f"{file} is not a saved diagnosis: {error}") from None


def section(report: Report, *names: str) -> Report:
    """A part of the report by its path; empty where it is missing or null."""
    part: Any = report
    for name in names:
        part = part.get(name) if isinstance(part, Mapping) else None
    return part if isinstance(part, Mapping) else {}


def entries(report: Report, name: str) -> list[Any]:
    """A list of the report; empty where it is missing or null."""
    return list(report.get(name) or [])


def number(value: Any) -> float:
    """A number of the report; NaN where there is none.

    Raises:
        ParameterError: If the value is none and means none.
    """
    if value is None:
        return math.nan
    try:
        return float(value)
    except (TypeError, ValueError):
        raise ParameterError("diagnosis", value, "a number, or 'inf', '-inf' or 'nan'") from None


def numbers(values: Any) -> Array:
    """Numbers of the report, shape `[n]`."""
    if values is not None and not isinstance(values, list | tuple):
        raise ParameterError("diagnosis", values, "a list of numbers")
    return np.array([number(value) for value in values or []], np.float64)


def points(values: Any) -> Array:
    """Points of a plane, shape `[n, 2]`; points on a line get a zero."""
    rows = [numbers(value) for value in values or []]
    return np.array([(*row, 0.0, 0.0)[:2] for row in rows], np.float64).reshape(-1, 2)
