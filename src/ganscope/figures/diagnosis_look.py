"""What the panels of a diagnosis have in common: colours, small remarks, legends above."""

from typing import Any

from matplotlib.axes import Axes

from ganscope.figures import style

BLUE, ORANGE, GREEN, VIOLET = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
SHADE = "#E6EEF4"


def remark(
    axes: Axes,
    text: str,
    at: tuple[float, float],
    x: str = "axes fraction",
    y: str = "axes fraction",
    *,
    right: float = 0,
    up: float = 0,
    colour: str = style.FAINT,
    **options: Any,
) -> None:
    """A small remark at a place, whose two numbers may be of different coordinates, moved by some points."""
    axes.annotate(
        text, at, xycoords=(x, y), xytext=(right, up), textcoords="offset points", fontsize=8, color=colour, **options
    )


def legend_above(axes: Axes, **options: Any) -> None:
    """The legend above the axes, where it covers nothing."""
    look = {"ncols": 3, "borderpad": 0.1, "columnspacing": 1.2, "handletextpad": 0.5} | options
    axes.legend(loc="lower left", bbox_to_anchor=(-0.02, 1.0), **look)
