"""Errors that a user can meet, all with a text that says what was given, what was expected and what to do."""

import difflib
from collections.abc import Iterable
from typing import Any


class ParameterError(ValueError):
    """A parameter is out of its range; raised before any work starts.

    Args:
        name: Public name of the parameter.
        value: What was given.
        expected: The admissible values, in words.
    """

    def __init__(self, name: str, value: Any, expected: str) -> None:
        self.name, self.value, self.expected = name, value, expected
        super().__init__(f"{name} = {_short(value)}: expected {expected}")


class NotApplicable(ValueError):
    """The question has no answer for this game: the theory asked for does not cover it."""


class StoreError(RuntimeError):
    """A store cannot be read or written: missing, foreign, of another experiment, or the disk refuses."""


def _short(value: Any) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= 100 else text[:97] + "..."


def nearest(name: str, known: Iterable[str]) -> str:
    """' Did you mean ...?' for a misspelt name, or an empty text."""
    match = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f" Did you mean '{match[0]}'?" if match else ""


def unknown_name(kind: str, name: Any, known: Iterable[str]) -> ParameterError:
    """The error for a name that is not in a list: names the known ones and the nearest match."""
    known = sorted(known)
    return ParameterError(kind, name, f"one of {', '.join(known)}.{nearest(str(name), known)}")
