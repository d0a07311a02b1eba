"""`ganscope agreement`: phase diagrams by theory and simulation, and how often the two agree."""

import os
import warnings
from collections.abc import Sequence
from pathlib import Path

import xarray as xr

from ganscope.cli.folder import prepare
from ganscope.cli.output import note, print_json, say, shown, table, wrapped
from ganscope.cli.progress import progress_bar
from ganscope.core.errors import ParameterError, StoreError
from ganscope.core.version import package_version
from ganscope.figures.diagram import draw_sweep
from ganscope.figures.style import drawing, write
from ganscope.sweep.agreement.agreement import Agreement, compute, count, store_of, within_margin
from ganscope.sweep.agreement.diagrams import Diagram, select
from ganscope.sweep.opening import OtherVersion

# The lines of a document between which the numbers stand.
_BEGIN, _END = "<!-- numbers: begin -->", "<!-- numbers: end -->"


def list_diagrams(names: list[str]) -> int:
    """Say which diagrams there are; returns the exit status."""
    for diagram in select(names):
        say(wrapped(f"{diagram.name:<27}{diagram.title}", " " * 27))
        grid = " x ".join(f"{name} {len(values)}" for name, values in diagram.over.items())
        say(wrapped(f"{'':<27}{grid}; {_asked(diagram)}", " " * 27))
    return 0


def _asked(diagram: Diagram) -> str:
    return "no theory" if diagram.least is None else f"at least {_percent(diagram.least)}"


def report(
    names: list[str], out: Path, *, fast: bool, workers: int | None, force: bool, document: Path | None, as_json: bool
) -> int:
    """Compute diagrams, or go on with them, draw them, and count; the exit status is 1 if a share is too small.

    Args:
        names: Diagrams or models; all of them if there are none.
        out: Folder of the stores and pictures.
        fast: The smaller grids.
        workers: Processes; None decides by the work.
        force: Replace stores.
        document: A file whose numbers are brought up to date.
        as_json: Print one JSON object.

    Raises:
        ParameterError: If a diagram is unknown, or a document wants the numbers of fast or of single diagrams.
        StoreError: If a store is another experiment's or version's, or a file cannot be written.
    """
    chosen = select(names)
    if document is not None:
        _around_numbers(document, fast or bool(names))
    prepare(out)
    found: list[Agreement] = []
    pictures: list[Path] = []
    for diagram in chosen:
        store = store_of(diagram, out, fast)
        result = _computed(diagram, store, fast, workers, force)
        found.append(count(diagram, result))
        pictures.append(_draw(diagram, result, store.with_suffix(".png")))
        if not as_json:
            note(f"{diagram.name}: {_said(found[-1])}")
    if document is not None:
        before, after = _around_numbers(document, False)  # it may have been edited meanwhile
        scratch = document.with_name(f".{document.name}.part")
        scratch.write_text(f"{before}\n\n{_markdown(found)}\n\n{after}", encoding="utf-8")
        os.replace(scratch, document)
    failed = [one.name for one in found if not one.passed]
    if as_json:
        content = [{**one.to_dict(), "picture": str(picture)} for one, picture in zip(found, pictures, strict=True)]
        print_json({"diagrams": content, "fast": fast, "passed": not failed, "version": package_version()})
    else:
        _tell(found, pictures)
        if failed:
            say(wrapped(f"TOO SMALL: {', '.join(failed)}", "  "))
    return int(bool(failed))


def _computed(diagram: Diagram, store: Path, fast: bool, workers: int | None, force: bool) -> xr.Dataset:
    try:
        with progress_bar(diagram.name), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of single cells; what matters is in their verdicts
            return compute(diagram, store, fast, workers, force)
    except KeyboardInterrupt as interrupt:
        raise KeyboardInterrupt(f"{interrupt}; the same command goes on") from None
    except OtherVersion:
        raise StoreError(f"{store} was computed by another version of the code: replace it (--force)") from None


def _draw(diagram: Diagram, result: xr.Dataset, path: Path) -> Path:
    """Draw a diagram; cells within its margin are shown as near critical ones are, and called what they are."""
    close = "near critical" if diagram.margin is None else "within the margin"
    if diagram.measure == "both":
        result = result.assign(predicted_near_critical=(result.status.dims, within_margin(diagram, result)))
    with drawing():
        figure = draw_sweep(result, diagram.title, variable=diagram.shown, close=close)
    return write(figure, path)


_HEADER = ("diagram", "cells", "decided", "margin", "agree", "of", "share", "asked", "all", "seconds")


def _rows(found: Sequence[Agreement]) -> list[list[str]]:
    rows = []
    for one in found:
        numbers = [one.decided, one.near, one.agree, one.counted] if one.least is not None else ["-"] * 4
        shares = [_percent(one.share), _percent(one.least), _percent(one.share_of_decided)]
        rows.append([one.name, str(one.cells), *map(str, numbers), *shares, shown(one.seconds, 3)])
    return rows


def _tell(found: Sequence[Agreement], pictures: Sequence[Path]) -> None:
    say(table(_HEADER, _rows(found)))
    say()
    words = "decided: by theory and simulation; margin: those near critical or within the stated margin; "
    say(wrapped(f"{words}all: the share with those of the margin"))
    for one, picture in zip(found, pictures, strict=True):
        say()
        say(f"{one.name}: {picture}")
        for line in _remarks(one):
            say(wrapped(f"  {line}", "    "))


def _remarks(one: Agreement) -> list[str]:
    lines = [f"{one.failed} cells have no result"] if one.failed else []
    for kind in one.differences:
        where = ", ".join(f"{name} {shown(value, 3)}" for name, value in kind.example.items())
        lines.append(f"{kind.cells} x theory {kind.predicted}; simulation {kind.simulated} (as at {where})")
    return lines


def _said(one: Agreement) -> str:
    if one.least is None:
        return f"{one.cells} cells, without theory"
    return f"{_percent(one.share)} of {one.counted} cells agree"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f} %"


def _around_numbers(document: Path, partial: bool) -> tuple[str, str]:
    """What stands before and after the numbers of a document."""
    if partial:
        raise ParameterError("--write", str(document), "all diagrams, and not the fast ones")
    try:
        text = document.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise StoreError(f"{document} cannot be read: {error}") from None
    before, begin, rest = text.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not begin or not end:
        raise StoreError(f"{document} has no lines {_BEGIN} and {_END} between which the numbers stand")
    return before + begin, end + after


def _markdown(found: Sequence[Agreement]) -> str:
    """The table and the disagreements, as a document has them."""
    lines = [" | ".join(row) for row in [_HEADER, [":--"] + ["--:"] * (len(_HEADER) - 1), *_rows(found)]]
    lines = [f"| {line} |" for line in lines]
    for one in found:
        remarks = _remarks(one)
        if remarks:
            lines += ["", f"`{one.name}`", "", *(f"- {line}" for line in remarks)]
    return "\n".join(lines)
