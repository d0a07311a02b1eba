"""Pictures of sweeps: phase diagrams over two axes, panels over a third, heat maps of one observable.

Outcomes are areas. With both measures, the areas are theory's, lines are its boundaries, and marks are the simulated
outcomes; a mark that disagrees with its area is framed. Boundaries found by other means can be drawn over it.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure

from ganscope.core.errors import NotApplicable
from ganscope.core.export import sweep_axes
from ganscope.figures import curves, regions, style
from ganscope.figures.diagram_lines import draw_lines
from ganscope.figures.sweep_view import (
    Scale,
    View,
    choose_view,
    component,
    fixed_texts,
    is_numeric,
    panel,
    scale_of,
)
from ganscope.figures.sweep_words import caption, finish, heading

# Width and height of a single plane and of one of several panels, in inches.
_PLANE, _SMALL = (4.6, 3.5), (2.3, 2.1)
_COLUMNS = 3
# Positive values that spread over a larger range have a logarithmic colour scale, which ends at the widest one.
_WIDE_RANGE, _WIDEST = 1000.0, 1e9
_NOT_RESULTS = ("status", "margin", "near_critical", "share", "agreement")


def draw_sweep(
    sweep: xr.Dataset,
    title: str | None = None,
    *,
    x: str | None = None,
    y: str | None = None,
    at: Mapping[str, Any] | None = None,
    variable: str | None = None,
    overlays: Sequence[xr.Dataset] = (),
    close: str = "near critical",
) -> Figure:
    """A sweep as a diagram.

    Args:
        sweep: The sweep, finished or not.
        title: Above the figure.
        x, y: Axes of the plane; the first two that vary.
        at: Values of further axes; of the remaining ones the first has panels, the others their first values.
        variable: An observable to draw as colours instead of outcomes, for example `w2` or `recovery[0]`.
        overlays: Boundaries and continued equilibria over the same axes, drawn as lines.
        close: What the legend calls cells that are marked as near critical.

    Raises:
        ParameterError: If an axis, a value or the variable does not exist, or a boundary is over other axes.
        NotApplicable: If there is nothing to draw.
    """
    view = choose_view(sweep, x, y, at)
    for overlay in overlays:
        curves.check_over(overlay, [name for name in (view.x, view.y) if name is not None])
    outcome = variable if variable in ("outcome", "predicted_outcome") and variable in sweep else _outcome(sweep)
    if view.y is None:
        return draw_lines(sweep, view, title, variable, overlays)
    if outcome is None or (variable is not None and variable != outcome):
        return _heat_map(sweep, view, title, component_name(sweep, variable), overlays)
    return _phases(sweep, view, title, outcome, overlays, close)


def _outcome(sweep: xr.Dataset) -> str | None:
    """The variable that holds the common outcomes, or None."""
    if "outcome" not in sweep:
        return None
    known = {"", *regions.OUTCOMES}
    return "outcome" if set(np.unique(np.asarray(sweep.outcome.values).astype(str))) <= known else None


def component_name(sweep: xr.Dataset, variable: str | None) -> str:
    """The variable to draw: the one asked for, otherwise the first that is a number per cell."""
    if variable is not None:
        return variable
    axes = set(sweep_axes(sweep))
    for name, values in sweep.data_vars.items():
        if str(name) not in _NOT_RESULTS and is_numeric(values) and axes <= set(values.dims):
            inner = [d for d in values.dims if d not in axes and d != "replica"]
            return f"{name}[{','.join('0' * len(inner))}]" if inner else str(name)
    raise NotApplicable("there is no picture of this sweep: it has neither outcomes nor numbers")


def _layout(sweep: xr.Dataset, view: View) -> tuple[Figure, list[Axes], Scale, Scale]:
    """A figure with a panel per part, their axes labelled."""
    assert view.y is not None
    parts, scales = view.parts(), (scale_of(sweep, view.x), scale_of(sweep, view.y))
    columns = min(len(parts), _COLUMNS)
    rows = math.ceil(len(parts) / columns)
    size = _PLANE if len(parts) == 1 else (_SMALL if columns == _COLUMNS else (2.9, 2.6))
    figure, grid = style.panels(rows, columns, size=size)
    panels = list(grid.ravel())
    for k, axes in enumerate(panels):
        if k >= len(parts):
            axes.set_axis_off()
            continue
        scales[0].apply(axes, "x")
        scales[1].apply(axes, "y")
        if len(parts) > 1:
            assert view.panels is not None
            axes.set_title(fixed_texts(sweep, {view.panels[0]: parts[k][view.panels[0]]})[0], fontsize=8.5)
            axes.tick_params(labelsize=7)
            if k % columns:
                axes.set_ylabel("")
                axes.tick_params(labelleft=False)
            if k + columns < len(parts):
                axes.set_xlabel("")
                axes.tick_params(labelbottom=False)
    return figure, panels[: len(parts)], *scales


def _phases(
    sweep: xr.Dataset, view: View, title: str | None, outcome: str, overlays: Sequence[xr.Dataset], close: str
) -> Figure:
    """Outcomes as areas, with marks and lines where there are two of them."""
    figure, panels, x, y = _layout(sweep, view)
    both = "predicted_outcome" in sweep and outcome == "outcome"
    marked = both and sweep.attrs.get("measure") == "both"
    drawn_theory = any(overlay.attrs.get("measure") == "predict" for overlay in overlays)
    drawn: dict[str, list[Any]] = {"areas": [], "marks": [], "same": [], "near": [], "apart": [], "dots": []}
    for axes, part in zip(panels, view.parts(), strict=True):
        status = panel(sweep, "status", view, part)
        codes = regions.outcome_codes(panel(sweep, outcome, view, part), status)
        near = _flag(sweep, "predicted_near_critical" if outcome != "outcome" else "near_critical", view, part)
        said = None
        if both:
            theory = regions.outcome_codes(panel(sweep, "predicted_outcome", view, part), status)
            near = near | _flag(sweep, "predicted_near_critical", view, part)
            said = regions.agreement(theory, codes, near)
            for name, mask in said._asdict().items():
                drawn[name].append(mask)
            if not drawn_theory:
                regions.outline(axes, x, y, theory)
        if marked and said is not None:
            drawn["marks"].append(codes)
            regions.marks(axes, x, y, codes, said)
            codes, avoid = theory, said.near | said.apart
        else:
            regions.near_dots(axes, x, y, near & (codes >= 0))
            drawn["dots"].append(near & (codes >= 0))
            avoid = near
        regions.fill(axes, x, y, codes)
        regions.letters(axes, x, y, codes, avoid, between=marked)
        drawn["areas"].append(codes)
        for k, overlay in enumerate(overlays):
            curves.draw_over(axes, overlay, x.name, y.name, k)
    flat = {name: np.concatenate([np.ravel(p) for p in found]) for name, found in drawn.items() if found}
    entries = regions.marked_entries(flat["areas"], flat["marks"]) if marked else regions.area_entries(flat["areas"])
    remarks = []
    if marked:
        remarks.append("areas: theory; marks: simulation")
    elif both:
        remarks.append("areas: simulation")
    if both:
        entries += [style.sample_line("boundary of theory", "#000000", linewidth=1.3)] * (not drawn_theory)
        found = regions.Agreement(*(flat[name] for name in ("same", "near", "apart")))
        entries += regions.difference_entries(found, close) if marked else []
        remarks.append(agreement_text(found))
    entries += curves.entries(overlays)
    counts = [int(np.count_nonzero(flat["areas"] == code)) for code in (regions.FAILED, regions.MISSING)]
    dots = int(np.count_nonzero(flat["dots"])) if "dots" in flat else 0
    entries += regions.state_entries(counts[0], counts[1], dots, close)
    _finish(figure, sweep, view, title, entries, remarks)
    return figure


def agreement_text(said: regions.Agreement) -> str:
    """The share of cells where theory and simulation agree, among those where both decide."""
    same, near, apart = (int(np.count_nonzero(mask)) for mask in said)
    if same + near + apart == 0:
        return "nowhere do both theory and simulation decide"
    return f"they agree in {same} of {same + near + apart} cells where both decide"


def _flag(sweep: xr.Dataset, name: str, view: View, part: Mapping[str, int]) -> Any:
    if name in sweep:
        return panel(sweep, name, view, part).astype(bool)
    return np.zeros(panel(sweep, "status", view, part).shape, bool)


def _heat_map(sweep: xr.Dataset, view: View, title: str | None, name: str, overlays: Sequence[xr.Dataset]) -> Figure:
    """One number per cell as colours."""
    data = sweep[["status"]].assign(shown=_mean(component(sweep, name)))
    figure, panels, x, y = _layout(sweep, view)
    values = [panel(data, "shown", view, part) for part in view.parts()]
    status = [panel(data, "status", view, part) for part in view.parts()]
    values = [np.where(s == 1, v, np.nan) for v, s in zip(values, status, strict=True)]
    norm = _norm(np.concatenate([v.ravel() for v in values]))
    mesh: Any = None
    for axes, shown, state in zip(panels, values, status, strict=True):
        mesh = regions.heat(axes, x, y, shown, state == regions.FAILED_STATUS, norm)
        for k, overlay in enumerate(overlays):
            curves.draw_over(axes, overlay, x.name, y.name, k)
    bar = figure.colorbar(mesh, ax=panels, aspect=30, pad=0.02)
    bar.set_label(f"{name}{'  (mean over replicas)' if 'replica' in sweep[name.split('[')[0]].dims else ''}")
    states = np.concatenate([s.ravel() for s in status])
    entries = curves.entries(overlays)
    entries += regions.state_entries(int(np.sum(states == regions.FAILED_STATUS)), int(np.sum(states == 0)))
    _finish(figure, sweep, view, title or f"{name} over {x.name} and {y.name}", entries, [])
    return figure


def _mean(values: xr.DataArray) -> xr.DataArray:
    return values.mean("replica") if "replica" in values.dims else values


def _norm(values: Any) -> Normalize:
    finite = values[np.isfinite(values)]
    if len(finite) == 0:
        return Normalize(0.0, 1.0)
    low, high = float(finite.min()), float(finite.max())
    spread = low > 0 and high > _WIDE_RANGE * max(low, float(np.median(finite)) / _WIDE_RANGE**0.5)
    return LogNorm(max(low, high / _WIDEST), high) if spread else Normalize(low, high)


def _finish(
    figure: Figure, sweep: xr.Dataset, view: View, title: str | None, entries: list[Any], remarks: list[str]
) -> None:
    finish(figure, title or heading(sweep, view), caption(sweep, view, *remarks), entries)
