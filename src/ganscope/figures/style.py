"""How every picture looks: colours, marks, lettering, and how a figure becomes a file.

A feature has the same colour in every figure, a level of description the same mark. Theory is drawn as lines,
simulation as points with error bars. The colours of features are Okabe and Ito's, which
people with colour-blindness can tell apart.

References:
    Okabe, Ito. Color universal design. 2008.
"""

import contextlib
import io
import math
import os
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import numpy.typing as npt
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from ganscope.core import store
from ganscope.core.checks import one_of

Array = npt.NDArray[Any]

_FEATURES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#666666", "#000000")
_DASHES = ("-", (0, (5, 1.5)), (0, (1.5, 1.2)), (0, (5, 1.5, 1.2, 1.5)))
# Levels that draw random numbers are points; each has its own mark.
_MARKS = {"chain": "o", "sgd": "s", "sde": "^"}
# Phases are areas: lighter than the lines on them, and apart in lightness as well as in hue.
PHASES = {
    "success/silent": ("#A6CFEA", "converged, silent discriminator"),
    "success/active": ("#4A90C4", "converged, active discriminator"),
    "oscillating": ("#F2A35E", "oscillating"),
    "mode_collapse": ("#CDB2D9", "collapsed"),
    "partial": ("#F8EDB0", "partial recovery"),
    "no_learning": ("#CFCFCF", "nothing learned"),
    "diverging": ("#4A4A4A", "diverged"),
    "unknown": ("#FFFFFF", "undecided"),
}
# What the centre of mass of an isolated neighbourhood does.
MOTIONS = {
    "converge_monotone": ("#A6CFEA", "converges monotonely", "o"),
    "converge_oscillatory": ("#4A90C4", "converges, oscillating", "s"),
    "marginal": ("#FFFFFF", "marginal", "*"),
    "diverge_oscillatory": ("#F2A35E", "spirals outwards", "^"),
    "diverge_monotone": ("#4A4A4A", "flips outwards", "v"),
    "undecided": ("#FFFFFF", "undecided", "x"),
}
# Families of motions of an isolated neighbourhood.
FAMILIES = {
    "discriminator": ("#CFCFCF", "discriminator alone"),
    "relative": ("#F2A35E", "points among each other"),
    "mean_real": ("#A6CFEA", "centre of mass, monotone"),
    "mean_turning": ("#2F6FA3", "centre of mass, oscillating"),
}
# Colour, dashes and mark of an update rule.
_RULES: dict[str, tuple[str, Any, str]] = {
    "alternating": ("#0072B2", "-", "o"),
    "simultaneous": ("#D55E00", (0, (5, 1.5)), "s"),
    "extragradient": ("#009E73", (0, (5, 1.5, 1.2, 1.5)), "^"),
    "optimistic": ("#CC79A7", (0, (1.5, 1.2)), "D"),
    "heavy_ball": ("#666666", (0, (8, 2, 1.2, 2, 1.2, 2)), "v"),
    "flow": ("#000000", "-", "P"),
}
INK, FAINT = "#222222", "#666666"
# Widths of a figure's panels, in inches.
PANEL_WIDTH, PANEL_HEIGHT = 4.2, 2.7
DPI = 150
FORMATS = {".png": "png", ".pdf": "pdf", ".svg": "svg"}
TIME = "time  [iterations / dimension]"
# How many points a series shows: fewer with error bars than as bare dots.
_WITH_BARS, _DOTS = 26, 101

_SETTINGS: dict[Any, Any] = {
    "font.size": 9.0,
    "font.family": ["DejaVu Sans"],
    "axes.titlesize": 9.5,
    "axes.labelsize": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "axes.axisbelow": True,
    "axes.formatter.useoffset": False,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": 8.0,
    "ytick.labelsize": 8.0,
    "legend.fontsize": 8.0,
    "legend.frameon": False,
    "legend.handlelength": 2.2,
    "lines.linewidth": 1.5,
    "lines.markersize": 3.6,
    "errorbar.capsize": 1.8,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "figure.dpi": 100.0,
    "svg.fonttype": "none",
    "pdf.fonttype": 42,
}


@contextlib.contextmanager
def drawing() -> Iterator[None]:
    """Settings in force while a figure is made; the user's own are untouched."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_SETTINGS)
        yield


def feature_colour(feature: int) -> str:
    """Colour of a feature, counted from 0; repeats after eight, see `feature_dashes`."""
    return _FEATURES[feature % len(_FEATURES)]


def feature_dashes(feature: int) -> Any:
    """Line style that tells features of one colour apart; solid for the first eight."""
    return _DASHES[feature // len(_FEATURES) % len(_DASHES)]


def column_dashes(offset: int) -> Any:
    """Line style of an overlap P_ij by j - i: solid for a feature's own column."""
    return _DASHES[offset % len(_DASHES)]


def rule_look(rule: str) -> tuple[str, Any, str]:
    """Colour, dashes and mark of an update rule."""
    return _RULES[rule]


def mark(level: str) -> str:
    """Mark of a level's points."""
    return _MARKS.get(level, "D")


def panels(rows: int, columns: int, *, size: tuple[float, float] | None = None, **options: Any) -> tuple[Figure, Any]:
    """A figure and its axes `[rows, columns]`; `size` is one panel's, in inches. Pyplot is not involved."""
    width, height = size or (PANEL_WIDTH, PANEL_HEIGHT)
    figure = Figure(figsize=(width * columns, height * rows + 0.7), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False, **options)


def finish(
    figure: Figure, title: str, caption: str, handles: Sequence[Artist] = (), columns: int | None = None
) -> None:
    """The title above; below the panels, where they cover no data, the caption with the parameters and the legend."""
    width = figure.get_figwidth()
    figure.suptitle(textwrap.fill(title, int(width * 11)), fontsize=10.5, fontweight="bold")
    text = textwrap.fill(caption, int(width * 14))
    if not handles:
        figure.supxlabel(text, fontsize=8, color=FAINT)
        return
    count = columns or min(len(handles), max(1, int(width / 1.9)))
    legend = figure.legend(handles=handles, loc="outside lower center", ncols=count, title=text, title_fontsize=8)
    legend.get_title().set_color(FAINT)
    legend.get_title().set_horizontalalignment("center")


def log_axis(axis: Axis) -> None:
    """Logarithmic ticks at 1, 2, 5 times powers of ten, as plain numbers."""
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0), numticks=20))
    axis.set_minor_locator(LogLocator(subs=range(1, 10), numticks=99))
    axis.set_major_formatter(FuncFormatter(lambda value, _: number(value)))
    axis.set_minor_formatter(NullFormatter())


def letter(axes: Sequence[Axes]) -> None:
    """(a), (b), ... before the titles of the panels."""
    for k, panel in enumerate(axes):
        panel.set_title(f"({chr(97 + k)})  {panel.get_title()}", loc="left")
        panel.set_title("", loc="center")


def sample_line(label: str, colour: str = INK, dashes: Any = "-", **options: Any) -> Line2D:
    """Legend entry of a line."""
    return Line2D([], [], color=colour, linestyle=dashes, label=label, **options)


def sample_points(label: str, marker: str, colour: str = INK, filled: bool = True) -> Line2D:
    """Legend entry of points."""
    face = colour if filled else "white"
    return Line2D([], [], color=colour, linestyle="", marker=marker, markerfacecolor=face, label=label)


def line(axes: Axes, x: Array, y: Array, colour: str, **options: Any) -> None:
    """Theory: a line, or a dot if it has a single record. It stops where the values stop being finite, at a cross."""
    axes.plot(x, np.where(np.isfinite(y), y, np.nan), color=colour, marker="." if len(x) == 1 else "", **options)
    _mark_end(axes, x, y, colour)


def points(
    axes: Axes, x: Array, samples: Array, colour: str, marker: str = "o", filled: bool = True, **options: Any
) -> None:
    """Simulation: mean and standard deviation over the rows of `samples`, or the dots of a single run.

    Args:
        axes: Where to draw.
        x: Shape `[records]`.
        samples: Shape `[replicas, records]`; values that are not finite are left out, and a cross marks where the last
            replica ends.
        colour, marker, filled: How the points look.
        options: Further options of the artist.
    """
    finite = np.isfinite(samples)
    shown = np.flatnonzero(finite.any(axis=0))
    if len(shown) == 0:
        return
    chosen = shown[thin(len(shown), _DOTS if len(samples) == 1 else _WITH_BARS)]
    kept = np.ma.masked_array(np.where(finite, samples, 0.0), ~finite)
    mean, deviation = (part.filled(np.nan) for part in (kept.mean(axis=0), kept.std(axis=0)))
    face = colour if filled else "white"
    look: dict[str, Any] = dict(color=colour, linestyle="", marker=marker, markerfacecolor=face) | options
    if len(samples) == 1:
        look["markersize"] = 0.55 * look.get("markersize", matplotlib.rcParams["lines.markersize"])
        axes.plot(x[chosen], mean[chosen], markeredgewidth=0.5, **look)
    else:
        axes.errorbar(x[chosen], mean[chosen], deviation[chosen], elinewidth=0.8, markeredgewidth=0.8, **look)
    _mark_end(axes, x, mean, colour)


def thin(count: int, most: int) -> npt.NDArray[np.int64]:
    """At most `most` (plus one) of `count` indices, equally spaced, from the first on."""
    return np.arange(0, count, max(1, math.ceil((count - 1) / most)))


def _mark_end(axes: Axes, x: Array, y: Array, colour: str) -> None:
    """A cross at the last finite value, if values that are not finite follow it."""
    finite = np.flatnonzero(np.isfinite(y))
    if len(finite) and finite[-1] < len(y) - 1:
        last = finite[-1]
        axes.plot(x[last], y[last], color=colour, marker="X", markersize=8, markeredgecolor="white", zorder=5)


def band(axes: Axes, x: Array, low: Array, high: Array, colour: str) -> None:
    """A range that theory gives."""
    axes.fill_between(x, low, high, color=colour, alpha=0.18, linewidth=0, zorder=1)


def areas(axes: Axes, x: Array, y: Array, codes: Array, colours: Sequence[str]) -> None:
    """Codes `[y, x]`, indices into `colours`, as coloured cells."""
    axes.pcolormesh(
        x, y, codes, cmap=ListedColormap(list(colours)), vmin=-0.5, vmax=len(colours) - 0.5, shading="nearest",
        rasterized=True, linewidth=0,
    )  # fmt: skip


def number(value: float) -> str:
    """A number as a caption shows it: at most four significant digits; powers of ten for large ones."""
    if math.isfinite(value) and value != 0 and (abs(value) >= 1e5 or abs(value) < 1e-4):
        return f"{value:.3g}".replace("e+0", "e").replace("e+", "e").replace("e-0", "e-")
    return f"{value:.4g}" if not float(value).is_integer() else f"{value:.0f}"


def write(figure: Figure, path: str | os.PathLike[str], dpi: int = DPI) -> Path:
    """Write a figure to a file, PNG unless the suffix says PDF or SVG; it appears complete or not at all.

    Raises:
        ParameterError: If the suffix names another format.
        StoreError: If the file cannot be written.
    """
    target = Path(path)
    suffix = one_of("path", target.suffix.lower() or ".png", FORMATS)
    buffer = io.BytesIO()
    with drawing():
        figure.savefig(buffer, format=FORMATS[suffix], dpi=dpi)
    return store.write_bytes(target.with_suffix(suffix) if not target.suffix else target, buffer.getvalue())
