"""How schemes and clouds of the dual flows look in every picture."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from ganscope.figures import style

Array = npt.NDArray[np.float64]

DASHED, DOTTED = (0, (5, 1.5)), (0, (1.2, 1.2))
TIME = "time  [step_size \N{MULTIPLICATION SIGN} iterations]"
# Colour and mark of a scheme; black is the flow's.
SCHEMES = {
    "explicit": ("#D55E00", "s"),
    "explicit_sequential": ("#009E73", "^"),
    "jko": ("#E69F00", "o"),
    "jko_sequential": ("#0072B2", "D"),
    "nash": ("#CC79A7", "P"),
    "midpoint": ("#666666", "v"),
}
FLOW = style.INK


def scheme_colour(level: str) -> str:
    """Colour of a scheme, or of the flow."""
    return SCHEMES[level][0] if level in SCHEMES else FLOW


def scheme_mark(level: str) -> str | None:
    """Mark of a scheme's points; None for the flow, which is a line."""
    return SCHEMES[level][1] if level in SCHEMES else None


def words(level: str) -> str:
    """The name of a scheme as a legend shows it."""
    return level.replace("_", " ")


def scheme_points(axes: Axes, x: Array, y: Array, level: str, size: float = 4.5, filled: bool = True) -> None:
    """Points of a scheme, every one."""
    colour, marker = SCHEMES[level]
    axes.plot(
        x, y, linestyle="", marker=marker, color=colour, markersize=size, markerfacecolor=colour if filled else "none",
        markeredgewidth=0.9, zorder=3,
    )  # fmt: skip


def scheme_entry(level: str, filled: bool = True) -> Artist:
    """Legend entry of a scheme's points."""
    colour, marker = SCHEMES[level]
    return style.sample_points(words(level), marker, colour, filled)


def strips(
    axes: Axes, rows: Sequence[tuple[str, Array, str]], modes: Sequence[float], radius: float, low: float, high: float
) -> list[Artist]:
    """Places of clouds on a line, one row per cloud from the top, over the neighbourhoods of the modes.

    Args:
        axes: Where to draw.
        rows: Name, points and colour of every cloud.
        modes, radius: Centres of the modes, and how far each reaches.
        low, high: What is shown.
    """
    for mode in modes:
        axes.axvspan(mode - radius, mode + radius, color=style.FAINT, alpha=0.12, linewidth=0)
    spread = np.linspace(-0.28, 0.28, 7)
    for k, (_, points, colour) in enumerate(rows):
        ordered = np.sort(points)
        height = -k + spread[np.arange(len(ordered)) * 3 % len(spread)]
        axes.plot(ordered, height, linestyle="", marker="o", markersize=2.6, color=colour, alpha=0.8)
    axes.set_yticks(-np.arange(len(rows), dtype=np.float64), [name for name, _, _ in rows])
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(-len(rows) + 0.45, 0.55)
    axes.set_xlim(low, high)
    axes.set_xlabel("place  [length]")
    return [Patch(facecolor=style.FAINT, alpha=0.25, label=f"within {radius:.3g} of a mode")]


def plane(axes: Axes, x: str, y: str, equal: bool = True) -> None:
    """Labels of a plane."""
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    if equal:
        axes.set_aspect("equal", adjustable="datalim")


def cross_entry() -> Artist:
    """Legend entry of where a run ends before its time."""
    look: dict[str, Any] = dict(color=style.FAINT, marker="X", markersize=7, markeredgecolor="white")
    return Line2D([], [], linestyle="", label="leaves every bounded region", **look)
