"""The panel of a diagnosis that weighs gradient penalties: predictions, the advice and forks that were trained."""

from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator

from ganscope.figures import style
from ganscope.figures.diagnosis_look import BLUE, GREEN, ORANGE, SHADE, VIOLET, legend_above, remark
from ganscope.figures.diagnosis_reading import Array, Report, number, numbers, section
from ganscope.figures.diagnosis_tables import fork_points
from ganscope.figures.diagnosis_words import threshold

# Wanders and costs between which the picture tells them apart.
_LOWEST, _HIGHEST = 1e-4, 10.0
# Zero stands this factor left of the smallest positive value, on a logarithmic axis.
_GAP = 4.0


def draw_gamma(axes: Axes, report: Report) -> None:
    """Predicted wander and horizon cost against the gradient penalty, in data radii and their squares."""
    sweep = section(report, "gamma_sweep")
    gammas, wander, cost = (numbers(sweep.get(key)) for key in ("gamma", "predicted_wander", "horizon_cost"))
    given, advised = (number(sweep.get(key)) for key in ("given", "advised"))
    forks = fork_points(report)
    positive = [g for g in (*gammas, given, advised, *(fork[1] for fork in forks)) if np.isfinite(g) and g > 0]
    zero, largest = min(positive, default=0.1) / _GAP, max(positive, default=1.0)

    def place(values: Any) -> npt.NDArray[np.float64]:
        return np.where(np.asarray(values) > 0, values, zero)

    axes.set(xscale="log", yscale="log", xlim=(zero / 1.6, largest * 1.6))
    heights = np.concatenate([wander, cost, [score for *_, score in forks], [threshold(report)]])
    heights = np.clip(heights[np.isfinite(heights)], _LOWEST, _HIGHEST)
    bottom, top = float(heights.min()) / 4, float(heights.max()) * 3
    axes.set_ylim(bottom, top)
    _draw_range(axes, place(numbers(sweep.get("clip"))))
    for values, colour, dashes, marker, label in (
        (wander, BLUE, "-", "o", "wander [R]"),
        (cost, VIOLET, (0, (5, 1.5)), "s", "cost [R²]"),
    ):
        if len(values) == len(gammas):
            shown = np.clip(values, _LOWEST / 10, 1e3 * _HIGHEST)
            axes.plot(place(gammas), shown, color=colour, linestyle=dashes, marker=marker, markersize=3.2, label=label)
    _draw_marks(axes, float(place(given)), float(place(advised)), np.isfinite(given), np.isfinite(advised))
    _draw_forks(axes, [(float(place(value)), score) for _, value, score in forks], top)
    axes.axhline(threshold(report), color=style.FAINT, linewidth=0.9, linestyle=(0, (1.5, 1.2)), zorder=1.2)
    remark(axes, f"limit {threshold(report):g}", (0.005, threshold(report)), "axes fraction", "data", up=2)
    _ticks(axes, zero, largest)
    axes.set_xlabel("gradient penalty γ  [of (γ/2) E|∇D|²]")
    axes.set_ylabel("in data radii R, or R²")
    legend_above(axes)


def _draw_range(axes: Axes, clip: Array) -> None:
    """The range that advice keeps to."""
    if len(clip) != 2:
        return
    axes.axvspan(float(clip[0]), float(clip[1]), color=SHADE, linewidth=0, zorder=0.5)
    remark(axes, "advised range", (float(clip[0]), 0.02), "data", "axes fraction", right=4)


def _draw_marks(axes: Axes, given: float, advised: float, has_given: bool, has_advised: bool) -> None:
    """Lines at the given and the advised value, their names beside them, apart from each other."""
    left = not (has_advised and given > advised)
    for value, there, name, colour, dashes, on_left in (
        (given, has_given, "given", ORANGE, "-", left),
        (advised, has_advised, "advised", GREEN, (0, (5, 1.5)), not left),
    ):
        if there:
            axes.axvline(value, color=colour, linewidth=1.5, linestyle=dashes, zorder=1.5)
            first = axes.get_xlim()[0]
            near_edge = np.log(value / first) < 0.15 * np.log(axes.get_xlim()[1] / first)
            shift, ha = (-3, "right") if on_left and not near_edge else (3, "left")
            remark(axes, name, (value, 0.97), "data", "axes fraction", ha=ha, va="top", right=shift, colour=colour)


def _draw_forks(axes: Axes, forks: list[tuple[float, float]], top: float) -> None:
    """Diamonds where a fork was trained; an arrow at the upper rim where it ran away."""
    for k, (value, score) in enumerate(forks):
        fled = not score < top
        axes.plot(
            [value], [top / 1.3 if fled else max(score, _LOWEST)], linestyle="", marker="^" if fled else "D",
            color=style.INK, markersize=5, markeredgecolor="white", markeredgewidth=0.6, zorder=5,
            label="trained fork [R]" if k == 0 else None,
        )  # fmt: skip


def _ticks(axes: Axes, zero: float, largest: float) -> None:
    decades = [d for d in 10.0 ** np.arange(-12, 13) if zero * _GAP / 1.5 <= d <= 1.6 * largest]
    axes.xaxis.set_major_locator(FixedLocator([zero, *decades]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: "0" if value <= 1.01 * zero else style.number(value)))
    axes.yaxis.set_major_locator(LogLocator(numticks=7))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: style.number(value)))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_minor_locator(NullLocator())
