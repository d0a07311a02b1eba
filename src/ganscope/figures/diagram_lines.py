"""Pictures of sweeps over one axis: a strip of outcomes, the margin, and observables as lines."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ganscope.core.errors import NotApplicable
from ganscope.core.export import sweep_axes
from ganscope.figures import curves, regions, style
from ganscope.figures.sweep_view import Scale, View, component, components, is_numeric, panel, scale_of
from ganscope.figures.sweep_words import caption, finish, heading

_WIDTH, _STRIP, _PANEL = 4.6, 0.42, 1.25
_MOST_PANELS, _MOST_LINES, _MOST_DOTS = 4, 4, 101
# What is worth a look first, in this order.
_FIRST = ("recovery", "activity", "w2", "mmd", "mmd2", "distance", "soft_coverage", "coverage", "mass_coverage")
_OF_THEORY = ("threshold_", "rate_", "best_")
_ELSEWHERE = ("status", "margin", "near_critical", "share", "agreement", "predicted_margin", "predicted_near_critical")


def draw_lines(
    sweep: xr.Dataset, view: View, title: str | None, variable: str | None, overlays: Sequence[xr.Dataset] = ()
) -> Figure:
    """Outcomes, margin and up to four observables against one axis; error bars over replicas."""
    part = dict(view.fixed)
    x = scale_of(sweep, view.x)
    strips = [name for name in ("predicted_outcome", "outcome") if name in sweep]
    observables = [variable] if variable is not None else _observables(sweep, view)
    margins = [name for name in ("margin", "predicted_margin") if name in sweep and variable is None]
    margins = [name for name in margins if np.any(np.isfinite(panel(sweep, name, view, part)))]
    heights = [_STRIP] * len(strips) + [_PANEL] * (bool(margins) + len(observables))
    if not heights:
        raise NotApplicable("there is no picture of this sweep: it has neither outcomes nor numbers")
    figure, axes = style.panels(
        len(heights), 1, size=(_WIDTH, sum(heights) / len(heights)), gridspec_kw={"height_ratios": heights}, sharex=True
    )
    rows = list(axes[:, 0])
    status = panel(sweep, "status", view, part)
    entries = _strips(rows[: len(strips)], sweep, view, x, strips, status)
    if margins:
        _margin(rows[len(strips)], sweep, view, x, margins)
    for row, name in zip(rows[len(rows) - len(observables) :], observables, strict=True):
        _observable(row, sweep, view, x, name)
    for row in rows:
        x.apply(row, "x")
        row.label_outer()
        for overlay in overlays:
            curves.draw_bifurcations(row, overlay)
    entries += curves.entries(overlays)
    replicas = any("replica" in sweep[name.split("[")[0]].dims for name in observables)
    remark = "bars: standard deviation over replicas" if replicas else ""
    finish(figure, title or heading(sweep, view), caption(sweep, view, remark), entries)
    return figure


def _strips(
    rows: Sequence[Axes], sweep: xr.Dataset, view: View, x: Scale, names: Sequence[str], status: npt.NDArray[Any]
) -> list[Any]:
    """One row of coloured cells per verdict; of two, theory's stands above."""
    entries: list[Any] = []
    flat = Scale("", np.arange(1), np.zeros(1), np.array([-0.5, 0.5]), False, ("",))
    found: list[npt.NDArray[np.int8]] = []
    for row, name in zip(rows, names, strict=True):
        codes = regions.outcome_codes(panel(sweep, name, view, view.fixed), status)[None, :]
        x.apply(row, "x")
        row.set_ylim(-0.5, 0.5)
        regions.fill(row, x, flat, codes)
        regions.letters(row, x, flat, codes)
        simulation = "simulation" if len(names) > 1 else "outcome"
        row.set_yticks([0.0], ["theory" if name.startswith("predicted") else simulation], fontsize=7.5)
        row.tick_params(which="both", left=False, bottom=False)
        found.append(codes)
    if found:
        last = found[-1]
        entries += regions.area_entries(found[0], last if len(found) > 1 else None)
        entries += regions.state_entries(int(np.sum(last == regions.FAILED)), int(np.sum(last == regions.MISSING)))
    return entries


def _margin(row: Axes, sweep: xr.Dataset, view: View, x: Scale, names: Sequence[str]) -> None:
    row.axhline(0.0, color=style.FAINT, linewidth=0.5)
    for name in names:
        values = panel(sweep, name, view, view.fixed)
        colour = style.FAINT if name.startswith("predicted") else style.INK
        _line(row, x, values[:, None], colour, joined=name.startswith("predicted") or "predicted_margin" not in names)
    _name(row, "margin" if len(names) == 1 else "margin  (line: theory, points: simulation)")


def _observable(row: Axes, sweep: xr.Dataset, view: View, x: Scale, name: str) -> None:
    """An observable with its components: points with bars over replicas, or lines."""
    _name(row, name)
    names = components(sweep, name)
    for k, one in enumerate(names[:_MOST_LINES]):
        values = panel(sweep.assign(shown=component(sweep, one)), "shown", view, view.fixed)
        single = values.ndim == 1
        colour = style.INK if len(names) == 1 else style.feature_colour(k)
        _line(row, x, values[:, None] if single else values, colour, joined=single, label=one.removeprefix(name))
    if len(names) > 1:
        row.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=7, handlelength=1.0, borderpad=0.1)


def _name(row: Axes, text: str) -> None:
    """What a row shows, above it: names may be longer than the row is high."""
    row.set_title(text, loc="left", fontsize=8, pad=3)


def _line(row: Axes, x: Scale, samples: npt.NDArray[Any], colour: str, joined: bool, label: str | None = None) -> None:
    """Samples `[values, replicas]`: a line of single values, or means with standard deviations."""
    finite = np.isfinite(samples)
    kept = np.ma.masked_array(np.where(finite, samples, 0.0), ~finite)
    mean, deviation = (np.asarray(part.filled(np.nan), np.float64) for part in (kept.mean(axis=1), kept.std(axis=1)))
    joined = joined and x.names is None
    look: dict[str, Any] = dict(
        color=colour, label=label, marker="o" if len(mean) <= 60 or not joined else "", markersize=2.4
    )
    if samples.shape[1] == 1:
        row.plot(x.places, mean, linestyle="-" if joined else "", linewidth=1.1, **look)
        return
    chosen = style.thin(len(mean), _MOST_DOTS)
    row.errorbar(x.places[chosen], mean[chosen], deviation[chosen], linestyle="", elinewidth=0.8, **look)


def _observables(sweep: xr.Dataset, view: View) -> list[str]:
    """Up to four observables, those first that are worth a look and change; then scalars, then small arrays."""
    ranked = []
    simulated = sweep.attrs.get("measure") in ("simulate", "both")
    axes = set(sweep_axes(sweep))
    for place, (key, variable) in enumerate(sweep.data_vars.items()):
        name = str(key)
        if simulated and name.startswith(_OF_THEORY):
            continue
        if name in _ELSEWHERE or not is_numeric(variable) or not axes <= set(variable.dims):
            continue
        inner = [d for d in variable.dims if d not in axes and d != "replica"]
        components = int(np.prod([variable.sizes[d] for d in inner]))
        if components > _MOST_LINES or components == 0:
            continue
        values = np.abs(panel(sweep, name, view, view.fixed).astype(np.complex128))
        finite = values[np.isfinite(values)]
        if len(finite) == 0:
            continue
        flat = bool(finite.min() == finite.max())
        ranked.append((name not in _FIRST, flat, components > 1, place, name))
    return [name for *_, name in sorted(ranked)[:_MOST_PANELS]]
