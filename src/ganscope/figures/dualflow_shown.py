"""Runs of dual flows as they are drawn: colour, mark and label of each, and how its quantities become artists."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from ganscope.figures import style
from ganscope.figures.dualflow_look import Array, scheme_colour, scheme_mark, words
from ganscope.figures.shown import Shown
from ganscope.games.dualflow.levels import FLOW, ORDERS, step_of

# A run ends where its state is so many times larger than it began.
_BLOWUP = 1e6
# Points of a scheme's path in a plane, and replicas whose paths are drawn.
_POINTS, _PATHS = 400, 3


def shown_runs(runs: Sequence[xr.Dataset]) -> list[Shown]:
    """Runs with colours, marks and labels, the flow last; a second run of a level takes a new colour."""
    marks = ("<", ">", "X", "p", "h", "*", "d")
    shown: list[Shown] = []
    for given in runs:
        run = _until_it_blows_up(given)
        level = str(run.attrs["level"])
        again = sum(one.run.attrs["level"] == level for one in shown)
        colour, marker = scheme_colour(level), scheme_mark(level)
        if again:
            colour = style.feature_colour(again + 1)
            marker = marks[(again - 1) % len(marks)] if marker else None
        shown.append(Shown(run, np.asarray(run.time.values, np.float64), marker, colour, _label(run, level)))
    return sorted(shown, key=lambda one: one.marker is None)


def _until_it_blows_up(run: xr.Dataset) -> xr.Dataset:
    """A run with NaN from where it leaves every bounded region."""
    beyond = xr.zeros_like(run.time, dtype=bool)
    for name in ("generated_points", "generator", "mean", "covariance", "discriminator", "quadratic"):
        if name not in run or "time" not in run[name].dims:
            continue
        others = [d for d in run[name].dims if d not in ("time", "replica")]
        size: xr.DataArray = abs(run[name]).max(others, skipna=False)
        beyond = beyond | ~(size <= _BLOWUP * (1 + size.isel(time=0, drop=True)))
    if not bool(beyond.any()):
        return run
    after = beyond.astype(np.int64).cumsum("time") > 0
    cut = run.where(~after)
    cut.attrs = run.attrs
    return cut


def _label(run: xr.Dataset, level: str) -> str:
    if level == FLOW:
        return "flow"
    parts = [words(level), f"step_size = {style.number(step_of(run.attrs.get('step_size')))}"]
    if run.attrs.get("order", ORDERS[0]) != ORDERS[0]:
        parts.append(words(run.attrs["order"]))
    if run.attrs.get("discriminator_steps", 1) != 1:
        parts.append(f"discriminator_steps = {run.attrs['discriminator_steps']}")
    if run.attrs.get("batch") is not None:
        parts.append(f"batch = {run.attrs['batch']}")
    if "replica" in run.dims:
        parts.append(f"{run.sizes['replica']} replicas")
    return ", ".join(parts)


def series(axes: Axes, one: Shown, values: Array, colour: str, **options: Any) -> None:
    """A quantity over time, `[records]` or `[replicas, records]`: points of a scheme, a line of the flow."""
    samples = np.atleast_2d(np.asarray(values, np.float64))
    if one.marker is None:
        style.line(axes, one.times, samples[0], colour, zorder=3, linewidth=1.2, **options)
    else:
        style.points(axes, one.times, samples, colour, one.marker, zorder=2, **options)


def path(axes: Axes, one: Shown, x: Array, y: Array) -> None:
    """A path in a plane, its start open; a cross where it stops being finite."""
    for across, up in zip(np.atleast_2d(x)[:_PATHS], np.atleast_2d(y)[:_PATHS], strict=True):
        finite = np.flatnonzero(np.isfinite(across) & np.isfinite(up))
        if len(finite) == 0:
            continue
        end = finite[-1] + 1
        if one.marker is None:
            axes.plot(across[:end], up[:end], color=one.colour, linewidth=1.2, zorder=3)
        else:
            few = style.thin(end, _POINTS)
            look: dict[str, Any] = dict(color=one.colour, zorder=2)
            axes.plot(across[few], up[few], marker=one.marker, linestyle="", markersize=2.6, **look)
        axes.plot(across[0], up[0], marker="o", color=one.colour, markerfacecolor="white", markersize=5, zorder=4)
        if end < len(across):
            axes.plot(
                across[end - 1], up[end - 1], color=one.colour, marker="X", markersize=8, markeredgecolor="white",
                zorder=5, linestyle="",
            )  # fmt: skip


def positive_axis(axes: Axes, values: Sequence[Array], decades: float = 1.5) -> None:
    """A logarithmic axis where positive values span so many decades, otherwise one from 0; rounding is cut off."""
    finite = np.concatenate([np.ravel(v)[np.isfinite(np.ravel(v))] for v in values])
    finite = finite[finite > 0]
    if len(finite) == 0:
        return
    high = float(finite.max())
    low = max(float(finite.min()), 1e-16 * high, 1e-17)
    if high > low * 10**decades:
        axes.set_autoscaley_on(False)  # it would round values near the smallest number to 0
        axes.set_ylim(low / 2, min(2 * high, 1e308))
        axes.set_yscale("log")
    else:
        axes.set_ylim(0.0, 1.08 * high)
