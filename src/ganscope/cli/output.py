"""What the commands print: tables that read well at 80 columns, and strict JSON."""

import contextlib
import math
import os
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import typer

from ganscope.core.plain import to_json_text

WIDTH = 80


def say(text: str = "") -> None:
    """A line for people, on standard output."""
    typer.echo(text)


def note(text: str) -> None:
    """A line about what is going on, on standard error."""
    typer.echo(text, err=True)


def print_json(content: Any) -> None:
    """The one JSON object of a command with `--json`."""
    typer.echo(to_json_text(content))


@contextlib.contextmanager
def spoken_aside() -> Iterator[None]:
    """What engines and their processes print goes to standard error: standard output is for the result."""
    sys.stdout.flush()
    kept = os.dup(1)
    try:
        os.dup2(2, 1)
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


def wrapped(text: str, indent: str = "") -> str:
    """A paragraph; `indent` stands before its second and further lines."""
    return textwrap.fill(text, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def shown(value: Any, digits: int = 4, *, inner: bool = False) -> str:
    """A value as a table shows it; a dash where there is none. Lists `inner` to other lists have brackets."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float | complex):
        return f"{value + 0:.{digits}g}"  # no negative zero
    if isinstance(value, Mapping):
        return ", ".join(f"{k} {shown(v, digits, inner=True)}" for k, v in value.items())
    if isinstance(value, list | tuple):
        text = ", ".join(shown(v, digits, inner=True) for v in value)
        return f"[{text}]" if inner else text
    return str(value)


def table(header: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """Columns as wide as their contents, two spaces between them; the first `left` to the left, others to the right."""
    lines = [header, *rows]
    widths = [max(len(line[k]) for line in lines) for k in range(len(header))]
    cells = [
        "  ".join(
            text.ljust(w) if k < left else text.rjust(w) for k, (text, w) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    ]
    return "\n".join(line.rstrip() for line in cells)
