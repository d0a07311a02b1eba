"""`ganscope diagnose`: a user's real GAN, from its factory to a verdict, advice and a page."""

import contextvars
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ganscope.cli.diagnosis_text import tell_diagnosis
from ganscope.cli.factory import UserCodeError, load_game, told
from ganscope.cli.interrupts import heeded
from ganscope.cli.monitor_history import read_history
from ganscope.cli.output import print_json, say, spoken_aside
from ganscope.cli.progress import progress_bar
from ganscope.cli.show_diagnosis import PAGE, SAVED, page_target
from ganscope.core.errors import ParameterError, StoreError
from ganscope.core.progress import report as report_progress
from ganscope.diagnose.diagnose import diagnose
from ganscope.diagnose.probes import TrapError
from ganscope.diagnose.settings import DiagnoseSettings
from ganscope.figures.diagnosis_page import report
from ganscope.figures.diagnosis_reading import report_of


def diagnose_file(
    place: str,
    checkpoint: Path | None,
    options: dict[str, Any],
    *,
    quick: bool = False,
    history: Path | None = None,
    html: Path | None = None,
    out: Path | None = None,
    force: bool = False,
    as_json: bool = False,
) -> int:
    """Load a game, diagnose it, tell and keep the result; returns the exit status.

    Args:
        place: `FILE.py:FACTORY`.
        checkpoint: File of weights.
        options: Settings of `diagnose` by name.
        quick: One cheap measurement, no forks.
        history: Log of the run's monitor.
        html: Page to write.
        out: Folder for the report and its page.
        force: Replace what the folder holds.
        as_json: Print one JSON object instead of text.
    """
    DiagnoseSettings.from_options(options, quick=quick)
    target = None if html is None else page_target(html)
    if out is not None:
        _check_folder(out, force)
    if history is not None:
        read_history(history)  # what it is of is known when the game is
    with spoken_aside():  # what the user's own code prints is not our result
        game = load_game(place, checkpoint)
        if history is not None:
            sizes = [int(size) for size in game.backend.sizes]
            options = options | {"history": read_history(history, {"backend": game.backend.name, "sizes": sizes})}
        with progress_bar(), told(Path(place.rpartition(":")[0]), "diagnosing the game", only_there=True):
            diagnosis = _diagnosed(game, quick, options)
    content = report_of(diagnosis)
    written = []
    if out is not None:
        diagnosis.save(out / SAVED)
        written += [out / SAVED, report(content, out / PAGE)]
    if target is not None:
        written.append(report(content, target))
    if as_json:
        print_json(content)
        return 0
    tell_diagnosis(content)
    for path in written:
        say(f"written to {path}")
    return 0


def _diagnosed(game: Any, quick: bool, options: dict[str, Any]) -> Any:
    """The diagnosis; between its stages a Ctrl-C that was lost is heard.

    Raises:
        UserCodeError: If a probe found what would falsify it.
    """
    around = contextvars.copy_context()  # where the bar listens
    try:
        with heeded() as check:

            def progress(*told: Any) -> None:
                check()
                around.run(report_progress, *told)

            diagnosis = diagnose(game, quick=quick, progress=progress, **options)
            check()
            return diagnosis
    except TrapError as error:
        raise UserCodeError(f"the game cannot be diagnosed: {error}") from error


def read_settings(texts: Sequence[str], seed: int | None) -> dict[str, Any]:
    """Settings from texts such as `modes=12` or `gammas=[0,1,3]`.

    Raises:
        ParameterError: If a text is something else, or a name occurs twice.
    """
    settings: dict[str, Any] = {} if seed is None else {"seed": seed}
    for text in texts:
        name, sign, value = (part.strip() for part in text.partition("="))
        if not sign or not name or not value or name in settings:
            raise ParameterError("--set", text, "NAME=VALUE, every name once")
        settings[name.replace("-", "_")] = _value(value)
    return settings


def _value(text: str) -> Any:
    """A number, a list or a truth value as JSON has them; anything else is a name."""
    named = {"true": True, "false": False, "none": None}
    if text.lower() in named:
        return named[text.lower()]
    try:
        return json.loads(text)
    except ValueError:
        return text


def _check_folder(out: Path, force: bool) -> None:
    if out.exists() and not out.is_dir():
        raise StoreError(f"{out} is a file: --out is a folder")
    if (out / SAVED).exists() and not force:
        raise StoreError(f"{out / SAVED} exists; choose another --out, or pass --force to replace it")
