"""Pictures of boundaries between outcomes and of equilibria followed through a parameter, alone or over a sweep.

A boundary is a line with error bars where they can be seen; the points that were evaluated to find it are faint marks
of their outcomes. Equilibria are solid where they are stable and dashed where they are not.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ganscope.core.errors import ParameterError
from ganscope.figures import regions, style
from ganscope.figures.sweep_view import axis_label
from ganscope.figures.sweep_words import finish, parameters_of

_DASHES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1.5, 1.2)), (0, (5, 1.5, 1.2, 1.5)))
# Of several boundaries, each has its ink; a white rim keeps the line apart from what lies below it.
_INKS = ("#000000", "#B00020", "#00563F", "#003B6F")
_UNSTABLE: Any = (0, (3.5, 1.5))  # in widths of a line
# Errors below this share of a panel cannot be seen; at most so many bars and samples are drawn.
_SEEN, _MOST_BARS, _MOST_SAMPLES = 0.012, 40, 3000
_MOST_LINES = 6
# Lines that are nearer to each other than this share of a panel, at more than this share of their points, coincide.
_CLOSE, _COMMON = 0.006, 0.1
_WIDTH, _WIDER = 1.4, 1.8
# Up to so many pairs of outcomes beside a boundary have dashes of their own.
_TOLD = 2
_MEASURES = {"predict": "theory", "simulate": "simulation"}
_BIFURCATIONS = {
    "fold": ("o", "fold"),
    "branch_point": ("X", "branch point"),
    "hopf": ("s", "Hopf"),
    "neimark_sacker": ("D", "Neimark-Sacker"),
    "flip": ("^", "flip"),
}


def is_boundary(dataset: Any) -> bool:
    """Whether a data set is a boundary between outcomes."""
    return isinstance(dataset, xr.Dataset) and {"segment", "error_x", "error_y"} <= set(dataset.variables)


def is_continuation(dataset: Any) -> bool:
    """Whether a data set is an equilibrium followed through a parameter."""
    return isinstance(dataset, xr.Dataset) and {"stable", "growth", "location"} <= set(dataset.variables)


def names_of(curve: xr.Dataset) -> list[str]:
    """The parameters over which a boundary or a continued equilibrium is."""
    over = curve.attrs["over"]
    return [over] if isinstance(over, str) else [str(name) for name in over]


def check_over(curve: xr.Dataset, axes: Sequence[str]) -> None:
    """Refuse a curve over other parameters than those of a plane.

    Raises:
        ParameterError: If it is.
    """
    if set(names_of(curve)) != set(axes):
        raise ParameterError("thing", f"a curve over {', '.join(names_of(curve))}", f"one over {', '.join(axes)}")


def draw_over(axes: Axes, curve: xr.Dataset, x: str, y: str, number: int = 0) -> None:
    """The lines of a boundary over the plane of x and y; `number` tells several boundaries apart."""
    names = names_of(curve)
    errors = {names[0]: curve.error_x.values, names[1]: curve.error_y.values}
    limits = {x: axes.get_xlim(), y: axes.get_ylim()}
    ink = _INKS[number % len(_INKS)]
    for pair, rows in _pieces(curve):
        dashes = _dashes(curve, pair, number)
        at = {name: np.asarray(curve[name].values)[rows] for name in names}
        axes.plot(at[x], at[y], color="white", linewidth=3.0, alpha=0.7, zorder=8.4, marker="." * (len(rows) == 1))
        axes.plot(at[x], at[y], color=ink, linewidth=1.5, linestyle=dashes, zorder=8.5, marker="." * (len(rows) == 1))
        seen = np.zeros(len(rows), bool)
        for name in names:
            seen |= errors[name][rows] > _SEEN * abs(limits[name][1] - limits[name][0])
        if np.any(seen):
            few = style.thin(len(rows), _MOST_BARS)
            bars = {name: errors[name][rows][few] for name in names}
            axes.errorbar(
                at[x][few], at[y][few], xerr=_bar(bars[x]), yerr=_bar(bars[y]), color=ink, linestyle="",
                elinewidth=0.9, capsize=1.6, zorder=8.6,
            )  # fmt: skip


def _bar(errors: npt.NDArray[Any]) -> npt.NDArray[Any] | None:
    return np.where(np.isfinite(errors), errors, 0.0) if np.any(errors > 0) else None


def _dashes(curve: xr.Dataset, pair: tuple[str, str], number: int) -> Any:
    """Dashes tell two pairs of outcomes apart; of more, what lies beside the lines says which they are."""
    pairs = _pairs(curve)
    return _DASHES[(number + (pairs.index(pair) if len(pairs) <= _TOLD else 0)) % len(_DASHES)]


def _pairs(curve: xr.Dataset) -> list[tuple[str, str]]:
    """The pairs of outcomes that a boundary separates."""
    sides = zip(
        *(np.asarray(curve[name].values).astype(str).tolist() for name in ("outcome_a", "outcome_b")), strict=True
    )
    return sorted({(min(pair), max(pair)) for pair in sides})


def _pieces(curve: xr.Dataset) -> Iterator[tuple[tuple[str, str], npt.NDArray[np.intp]]]:
    """The points of every connected piece with the outcomes on its sides; a closed piece ends where it starts."""
    segment = np.asarray(curve.segment.values)
    sides = [np.asarray(curve[name].values).astype(str) for name in ("outcome_a", "outcome_b")]
    closed = {int(k) for k in np.atleast_1d(curve.attrs.get("closed_segments", []))}
    for number in np.unique(segment):
        rows = np.flatnonzero(segment == number)
        pair = (str(sides[0][rows[0]]), str(sides[1][rows[0]]))
        yield (min(pair), max(pair)), np.append(rows, rows[:1]) if int(number) in closed else rows


def entries(curves: Sequence[xr.Dataset]) -> list[Artist]:
    """Legend entries of boundaries."""
    found: list[Artist] = []
    for number, curve in enumerate(curves):
        if is_boundary(curve):
            pairs, by = _pairs(curve), _by(curve) if len(curves) > 1 else ""
            told = [(pair, f"{pair[0]} | {pair[1]}{by}") for pair in pairs]
            if len(pairs) > _TOLD:
                told = [(pairs[0], f"boundary{by}")]
            ink = _INKS[number % len(_INKS)]
            found += [style.sample_line(label, ink, _dashes(curve, pair, number)) for pair, label in told]
        else:
            found += _bifurcation_lines(curve)
    return found


def _by(curve: xr.Dataset) -> str:
    measure = str(curve.attrs.get("measure", ""))
    return f", {_MEASURES.get(measure, measure)} {curve.attrs.get('level', '')}".rstrip()


def _bifurcation_lines(curve: xr.Dataset) -> list[Artist]:
    kinds = dict.fromkeys(np.asarray(curve.kind.values).astype(str).tolist())
    return [style.sample_line(_look(kind)[1], style.INK, _DASHES[k % len(_DASHES)]) for k, kind in enumerate(kinds)]


def draw_bifurcations(axes: Axes, curve: xr.Dataset) -> None:
    """Vertical lines where a continued equilibrium changes its nature, over a sweep of the same parameter."""
    kinds = np.asarray(curve.kind.values).astype(str).tolist()
    for kind, place in zip(kinds, curve.location.values, strict=True):
        dashes = _DASHES[list(dict.fromkeys(kinds)).index(kind) % len(_DASHES)]
        axes.axvline(place, color=style.INK, linewidth=1.0, linestyle=dashes, zorder=7)


def _look(kind: str) -> tuple[str, str]:
    return _BIFURCATIONS.get(kind, ("P", kind.replace("_", " ")))


def draw_curves(curves: Sequence[xr.Dataset], title: str | None = None) -> Figure:
    """Boundaries in one plane, or one continued equilibrium.

    Raises:
        ParameterError: If boundaries are over different parameters, or continued equilibria are several.
    """
    first = curves[0]
    if is_continuation(first):
        if len(curves) > 1:
            raise ParameterError("thing", f"{len(curves)} data sets", "one continued equilibrium")
        return _draw_continuation(first, title)
    for other in curves[1:]:
        check_over(other, names_of(first))
    return _draw_boundaries(curves, title)


def _draw_boundaries(curves: Sequence[xr.Dataset], title: str | None) -> Figure:
    first = curves[0]
    x, y = names_of(first)
    figure, grid = style.panels(1, 1, size=(4.6, 3.5))
    axes = grid[0, 0]
    log = dict(zip((x, y), first.attrs.get("log", (0, 0)), strict=True))
    ends = dict(zip((x, y), first.attrs["ranges"], strict=True))
    for name, axis, scale, limit in (
        (x, axes.xaxis, axes.set_xscale, axes.set_xlim),
        (y, axes.yaxis, axes.set_yscale, axes.set_ylim),
    ):
        if log[name]:
            scale("log")
            style.log_axis(axis)
        else:
            axis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
        limit(*ends[name])
        axis.set_label_text(axis_label(name))
    found = _samples(axes, first, x, y)
    for number, curve in enumerate(curves):
        draw_over(axes, curve, x, y, number)
    remarks = [
        f"{curve.attrs.get('evaluations', '?')} evaluations{_by(curve)}"
        + (f", {curve.attrs['replicas']} replicas" if int(curve.attrs.get("replicas", 1)) > 1 else "")
        for curve in curves
    ]
    remarks += [curve.attrs["message"] for curve in curves if curve.attrs.get("message")]
    text = "; ".join(filter(None, [parameters_of(first, (x, y)), *remarks]))
    finish(figure, title or "Boundaries between outcomes", text, [*entries(curves), *found])
    return figure


def _samples(axes: Axes, curve: xr.Dataset, x: str, y: str) -> list[Artist]:
    """What was evaluated to find a boundary, as faint marks of the outcomes."""
    if "sample_outcome" not in curve:
        return []
    codes = regions.outcome_codes(np.asarray(curve.sample_outcome.values))
    kept = style.thin(len(codes), _MOST_SAMPLES) if len(codes) else np.zeros(0, np.int64)
    found: list[Artist] = []
    for code, (name, look) in enumerate(regions.OUTCOMES.items()):
        mine = kept[codes[kept] == code]
        if len(mine):
            mark: dict[str, Any] = dict(linestyle="", marker=look.marker, color=look.colour)
            mark |= dict(markeredgecolor=style.FAINT, markeredgewidth=0.2)
            places = [np.asarray(curve[f"sample_{axis}"].values)[mine] for axis in (x, y)]
            axes.plot(*places, markersize=2.4, zorder=2, rasterized=len(mine) > 1000, **mark)
            found += axes.plot([], [], markersize=5, label=f"{name} (evaluated)", **mark)
    return found


def _draw_continuation(curve: xr.Dataset, title: str | None) -> Figure:
    """The state and its leading growth rate against the parameter."""
    (over,) = names_of(curve)
    place = np.asarray(curve[over].values)
    stable = np.asarray(curve.stable.values, bool)
    figure, grid = style.panels(2, 1, size=(4.6, 2.2), sharex=True)
    state_panel, growth_panel = grid[:, 0]
    states = np.asarray(curve.state.values)
    names = [str(name) for name in np.asarray(curve.component.values).tolist()] if "component" in curve else []
    spread = np.nan_to_num(np.ptp(states, axis=0)) if len(states) else np.zeros(states.shape[1])
    chosen = np.sort(np.argsort(-spread, kind="stable")[:_MOST_LINES])
    common = _common(states[:, chosen])
    widths = [_WIDTH + _WIDER * int(np.sum(row[k + 1 :] > _COMMON)) for k, row in enumerate(common)]
    for k, column in enumerate(chosen):
        _branch(state_panel, place, states[:, column], stable, style.feature_colour(k), widths[k])
    _branch(growth_panel, place, np.asarray(curve.growth.values), stable, style.INK)
    growth_panel.axhline(0.0, color=style.FAINT, linewidth=0.6, zorder=1)
    is_map = "multipliers" in curve
    kinds = np.asarray(curve.kind.values).astype(str)
    where = np.asarray(curve.location.values)
    for kind in dict.fromkeys(kinds.tolist()):
        mine = kinds == kind
        look: dict[str, Any] = dict(linestyle="", marker=_look(kind)[0], color=style.INK, markerfacecolor="white")
        look |= dict(markersize=5.5, zorder=5)
        for column in chosen:
            state_panel.plot(where[mine], np.asarray(curve.critical_state.values)[mine][:, column], **look)
        growth_panel.plot(where[mine], np.zeros(mine.sum()), **look)
    state_panel.set_ylabel("state")
    growth_panel.set_ylabel("growth  [1 / iteration]" if is_map else "growth  [1 / time]")
    growth_panel.set_xlabel(axis_label(over))
    growth_panel.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    figure.align_ylabels([state_panel, growth_panel])
    texts = [names[column] if names else f"[{column}]" for column in chosen]
    equal = [next((j for j in range(k) if common[k, j] == 1), None) for k in range(len(chosen))]
    found: list[Artist] = [
        style.sample_line(
            text if same is None else f"{text} (on {texts[same]})", style.feature_colour(k), linewidth=widths[k]
        )
        for k, (text, same) in enumerate(zip(texts, equal, strict=True))
    ]
    found += [style.sample_line("stable")] * bool(stable.any())
    found += [style.sample_line("unstable", dashes=_UNSTABLE)] * bool((~stable).any())
    for kind in dict.fromkeys(kinds.tolist()):
        places = ", ".join(style.number(float(v)) for v in where[kinds == kind][:3])
        found.append(style.sample_points(f"{_look(kind)[1]} at {places}", _look(kind)[0], filled=False))
    shown = (
        f"{len(chosen)} of {states.shape[1]} components, those that change most"
        if len(chosen) < states.shape[1] and np.any(spread > 0)
        else ""
    )
    rule = f"rule {curve.attrs['rule']}" if curve.attrs.get("rule") else ""
    text = "; ".join(filter(None, [parameters_of(curve, (over,)), rule, shown]))
    finish(figure, title or f"Equilibrium against {over}", text, found)
    return figure


def _common(states: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """At which share of the points `[points, lines]` two lines hide each other: shape `[lines, lines]`."""
    finite = states[np.isfinite(states)]
    near = _CLOSE * float(np.ptp(finite)) if len(finite) else 0.0
    hidden = np.abs(states[:, :, None] - states[:, None, :]) <= near
    return np.asarray(hidden.mean(axis=0) if len(states) else np.zeros(hidden.shape[1:]), np.float64)


def _branch(
    axes: Axes,
    x: npt.NDArray[Any],
    y: npt.NDArray[Any],
    stable: npt.NDArray[np.bool_],
    colour: str,
    width: float = _WIDTH,
) -> None:
    """A line along the branch: solid where stable, dashed elsewhere; a piece begins where the one before ends."""
    if len(x) == 1:
        axes.plot(
            x, y, color=colour, marker="o", markersize=3 + width, markerfacecolor=colour if stable[0] else "white"
        )
    breaks = np.flatnonzero(np.diff(stable.astype(int))) + 1
    even = (_UNSTABLE[0], tuple(part * _WIDTH / width for part in _UNSTABLE[1]))  # as long for lines of any width
    for start, stop in zip([0, *breaks], [*breaks, len(x)], strict=True):
        piece = slice(max(start - 1, 0), stop)
        dashes = "-" if len(stable) and stable[start] else even
        axes.plot(x[piece], y[piece], color=colour, linestyle=dashes, linewidth=width)
