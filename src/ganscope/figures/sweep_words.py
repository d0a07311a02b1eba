"""What stands around a sweep's picture: title, legend, and the caption with the parameters that do not vary."""

import importlib
import math
import re
import textwrap
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from matplotlib.legend_handler import HandlerTuple

from ganscope.core.errors import NotApplicable, ParameterError, StoreError
from ganscope.core.export import sweep_axes
from ganscope.core.results import game_of
from ganscope.figures import style
from ganscope.figures.sweep_view import View, description, fixed_texts

# Where the parameters of a game are put into words.
_WORDS = {
    "solvable": "solvable_runs",
    "kernel": "kernel_runs",
    "particle": "particle_words",
    "torus": "particle_words",
    **dict.fromkeys(("dirac", "quadratic", "clipped", "lq", "feature"), "dualflow_words"),
}
_ABOUT = {"predict": "theory", "simulate": "simulation", "both": "theory and simulation"}
_MOST_SETTINGS = 6
# What `style.panels` leaves for title and caption, in inches, less what the labels of the last axis take.
_ROOM = 0.45


def caption(sweep: xr.Dataset, view: View, *remarks: str) -> str:
    """The caption of a picture of a sweep."""
    return "; ".join(
        text for text in [parameters_of(sweep, sweep_axes(sweep)), _how(sweep), *_held(sweep, view), *remarks] if text
    )


def heading(sweep: xr.Dataset, view: View) -> str:
    """The plain title."""
    what = _ABOUT.get(str(sweep.attrs.get("measure")), "sweep")
    return f"Phase diagram: {what}" if view.y is not None else f"{what.capitalize()} against {view.x}"


def finish(figure: Figure, title: str, text: str, entries: Sequence[Any]) -> None:
    """Title, caption and legend; the figure becomes so much higher as they need.

    Args:
        figure: With its panels, as `style.panels` makes it.
        title, text: Above and below.
        entries: Artists with labels; a pair is drawn over each other and has the label of its first.
    """
    width = figure.get_figwidth()
    title, text = textwrap.fill(title, int(width * 11)), textwrap.fill(text, int(width * 14))
    figure.suptitle(title, fontsize=10.5, fontweight="bold")
    labels = [(entry[0] if isinstance(entry, tuple) else entry).get_label() for entry in entries]
    columns = next(count for count in (4, 3, 2, 1) if count == 1 or _legend_width(labels, count) < width)
    rows = math.ceil(len(entries) / columns)
    lines = [title.count("\n") + 1, text.count("\n") + 1]
    figure.set_figheight(figure.get_figheight() - _ROOM + 0.3 * lines[0] + 0.16 * lines[1] + 0.185 * rows)
    if not entries:
        figure.supxlabel(text, fontsize=8, color=style.FAINT)
        return
    legend = figure.legend(
        list(entries), labels, handler_map={tuple: HandlerTuple()}, loc="outside lower center",
        ncols=min(columns, len(entries)), title=text, title_fontsize=8,
    )  # fmt: skip
    legend.get_title().set_color(style.FAINT)
    legend.get_title().set_horizontalalignment("center")


def _legend_width(labels: Sequence[str], columns: int) -> float:
    """How wide a legend will be, in inches: every column is as wide as its longest text."""
    places = np.array_split(np.arange(len(labels)), min(columns, max(len(labels), 1)))
    return sum(0.56 + 0.057 * max(len(labels[k]) for k in column) for column in places if len(column))


def _without_axes(dataset: xr.Dataset) -> xr.Dataset:
    """What a data set says of its game, and not of what varies."""
    bare = xr.Dataset(attrs={"game": dataset.attrs["game"]} if "game" in dataset.attrs else {})
    bare.encoding = dict(dataset.encoding)
    return bare


def parameters_of(dataset: xr.Dataset, varied: Sequence[str]) -> str:
    """The parameters of the game of a data set, without those that are varied."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what the game has to say it said when it was made
            game = game_of(_without_axes(dataset))
    except (ParameterError, NotApplicable, StoreError):
        return str(dict(description(dataset).get("game") or {}).get("model", ""))
    if game.model not in _WORDS:
        return str(game.model)
    text: str = importlib.import_module(f"ganscope.figures.{_WORDS[game.model]}").parameters(game)
    for name in varied:
        text = re.sub(rf"(?:^|(?<=, )|(?<=; )){re.escape(name)}(?: =)? (?:\([^()]*\)|[^,;]*)(?:[,;] |$)", "", text)
    return text.rstrip(",; ")


def _how(sweep: xr.Dataset) -> str:
    """Level, settings, replicas and seed."""
    attrs, simulated = sweep.attrs, sweep.attrs.get("measure") != "predict"
    axes = sweep_axes(sweep)
    texts = [f"level {attrs['level']}"] if attrs.get("level") and "level" not in axes else []
    for name, value in list(dict(description(sweep).get("settings") or {}).items())[:_MOST_SETTINGS]:
        if value is not None and not isinstance(value, list | dict):
            texts.append(f"{name} {_short(value)}")
    if simulated and int(attrs.get("replicas", 1)) > 1:
        texts.append(f"{attrs['replicas']} replicas")
    if simulated and "seed" in attrs:
        texts.append(f"seed {attrs['seed']}")
    return ", ".join(texts)


def _short(value: Any) -> str:
    return style.number(value) if isinstance(value, int | float) and not isinstance(value, bool) else str(value)


def _held(sweep: xr.Dataset, view: View) -> list[str]:
    texts = [f"at {', '.join(fixed_texts(sweep, view.fixed))}"] if view.fixed else []
    if view.panels is not None and view.left_out:
        shown = len(view.panels[1])
        texts.append(f"{shown} of {shown + view.left_out} values of {view.panels[0]}, equally spaced")
    return texts
