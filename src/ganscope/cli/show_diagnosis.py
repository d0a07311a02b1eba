"""`ganscope show` of a saved diagnosis: told again, and its page or its picture made again."""

from pathlib import Path

from ganscope.cli.diagnosis_text import tell_diagnosis
from ganscope.cli.output import print_json, say
from ganscope.core.errors import StoreError
from ganscope.figures.diagnosis_page import page_path, report
from ganscope.figures.diagnosis_reading import load_report
from ganscope.figures.plot import plot
from ganscope.figures.style import FORMATS

SAVED, PAGE = "diagnosis.json", "diagnosis.html"


def is_saved_diagnosis(path: Path) -> bool:
    """Whether a path is a file in which a diagnosis may be, or a folder that `diagnose --out` wrote."""
    return path.suffix == ".json" or (path / SAVED).is_file()


def show_diagnosis(path: Path, out: Path | None, as_json: bool = False) -> int:
    """Tell a saved diagnosis and make its page, or its picture, again; returns the exit status."""
    file = path / SAVED if path.is_dir() else path
    target = out or file.with_suffix(".html")
    content = load_report(file)
    if target.suffix.lower() in FORMATS:
        plot(content, target)
    else:
        target = report(content, page_target(target))
    if as_json:
        print_json({**content, "path": str(file), "picture": str(target)})
        return 0
    tell_diagnosis(content)
    say(f"drawn in {target}")
    return 0


def page_target(html: Path) -> Path:
    """The file of a page that was asked for.

    Raises:
        StoreError: If it is a folder.
        ParameterError: If its suffix names another format.
    """
    if html.is_dir():
        raise StoreError(f"{html} is a folder: give a file, for example {html / PAGE}")
    return page_path(html)
