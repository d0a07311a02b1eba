"""Pictures of the solvable model's runs and predictions.

Every feature has its colour; an overlap with a feature's own generator column is solid, or a full mark, one with
another column dashed, or an open mark.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from ganscope.core.outcome import Equilibrium, Prediction
from ganscope.figures import style
from ganscope.games.solvable.model import SolvableGAN

Array = npt.NDArray[np.float64]

# Up to this many single overlaps are drawn; beyond, each feature's recovery.
_FEW_OVERLAPS = 4
_NAMED_FEATURES = 8
_ALWAYS_STATED = ("feature_variance", "data_noise", "discriminator_lr", "generator_lr")
_SPARE_MARKS = ("D", "v", "P", "<", ">")
# Colours and marks of equilibria, by label.
_EQUILIBRIA = {
    "silent_uninformed": ("#666666", "s", "silent, nothing learned"),
    "silent_perfect": ("#009E73", "o", "silent, P = 1"),
    "silent_collapsed": ("#0072B2", "D", "silent, visible features learned"),
    "discriminator_wins": ("#D55E00", "^", "discriminator wins"),
    "generator_locks": ("#E69F00", "v", "generator locks"),
    "active_recovery": ("#CC79A7", "P", "active recovery"),
    "pinned": ("#56B4E9", "X", "pinned"),
}
_OTHER_MARKS = ("<", ">", "h", "*", "d", "p")


class Traces(NamedTuple):
    """What the panels show of a run.

    Attributes:
        times: Shape `[records]`.
        overlaps: |P_ij| / sqrt(S_jj), `[replicas, records, features, columns]`.
        recovery, activity: `[replicas, records, features]`.
        lengths: z and S_jj, `[replicas, records, 1 + columns]`.
        marker: Mark of its points; None draws lines.
        wide: Line width.
    """

    times: Array
    overlaps: Array
    recovery: Array
    activity: Array
    lengths: Array
    marker: str | None
    wide: float = 1.5


def traces(run: xr.Dataset, marker: str | None, wide: float = 1.5) -> Traces:
    """Panel data of one run (one cell)."""
    full = run if "replica" in run.dims else run.expand_dims("replica")
    P = full.P.transpose("replica", "time", "feature", "column").values
    S = full.S.transpose("replica", "time", "column", "other_column").values
    z = full.z.transpose("replica", "time").values
    squared = np.diagonal(S, axis1=-2, axis2=-1)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        overlaps = np.abs(P) / np.sqrt(squared)[..., None, :]
    recovery, activity = (
        full[name].transpose("replica", "time", "feature").values for name in ("recovery", "activity")
    )
    lengths = np.concatenate([z[..., None], squared], axis=-1)
    return Traces(full.time.values, overlaps, recovery, activity, lengths, marker, wide)


def draw_series(axes: Axes, shown: Traces, samples: Array, colour: str, dashes: Any = "-", filled: bool = True) -> None:
    """One quantity of a run, samples `[replicas, records]`: a line in a limit, points in a simulation."""
    if shown.marker is None:
        style.line(axes, shown.times, samples[0], colour, linestyle=dashes, linewidth=shown.wide, zorder=3)
    else:
        style.points(axes, shown.times, samples, colour, shown.marker, filled, zorder=2)


def overlap_panel(axes: Axes, shown: Traces) -> None:
    """|P_ij| / sqrt(S_jj) against time; recoveries if there are many overlaps."""
    features, columns = shown.overlaps.shape[2:]
    if features * columns > _FEW_OVERLAPS:
        for i in range(features):
            dashes = style.feature_dashes(i)
            draw_series(axes, shown, shown.recovery[..., i], style.feature_colour(i), dashes)
        axes.set_ylabel("recovery  [cosine]")
    else:
        for i in range(features):
            for j in range(columns):
                own = i == j
                values = shown.overlaps[..., i, j]
                draw_series(axes, shown, values, style.feature_colour(i), style.column_dashes(not own), own)
        axes.set_ylabel(r"overlap  $|P_{ij}|\,/\sqrt{S_{jj}}$  [cosine]")
    cosine_axis(axes)


def activity_panel(axes: Axes, shown: Traces) -> None:
    """|q_i| / sqrt(z) against time."""
    for i in range(shown.activity.shape[2]):
        draw_series(axes, shown, shown.activity[..., i], style.feature_colour(i), style.feature_dashes(i))
    axes.set_ylabel(r"activity  $|q_i|\,/\sqrt{z}$  [cosine]")
    cosine_axis(axes)


def cosine_axis(axes: Axes) -> None:
    """Both players' overlaps on the same scale, against time."""
    axes.set_ylim(-0.04, 1.04)
    axes.set_yticks(np.linspace(0.0, 1.0, 6))
    axes.set_xlabel(style.TIME)
    axes.margins(x=0.02)


def length_panel(axes: Axes, shown: Traces) -> None:
    """Squared lengths z and S_jj against time, where the soft penalty lets them move."""
    columns = shown.lengths.shape[-1] - 1
    draw_series(axes, shown, shown.lengths[..., 0], style.INK)
    for j in range(columns):
        draw_series(axes, shown, shown.lengths[..., 1 + j], style.feature_colour(j), style.column_dashes(1), False)
    axes.set_yscale("log")
    axes.set_xlabel(style.TIME)
    axes.set_ylabel(r"squared length  $z$, $S_{jj}$  [1]")
    axes.margins(x=0.02)


def draw_runs(runs: Sequence[xr.Dataset], game: SolvableGAN, title: str | None) -> Figure:
    """Runs of one game over each other: limits as lines, simulations as points."""
    shown: list[Traces] = []
    entries: list[Artist] = []
    free = list(_SPARE_MARKS)
    for run in runs:
        level, taken = run.attrs["level"], {trace.marker for trace in shown}
        if game.levels[level].stochastic:
            marker = style.mark(level)
            if marker in taken and free:
                marker = free.pop(0)
            shown.append(traces(run, marker))
            entries.append(style.sample_points(_run_label(run), marker))
        else:
            wide = 0.8 if None in taken else 1.5
            shown.append(traces(run, None, wide))
            entries.append(style.sample_line(_run_label(run), linewidth=wide))
    count = 2 if game.hard else 3
    figure, axes = style.panels(1, count, size=(4.2 if count == 2 else 3.6, 3.0))
    draws = (overlap_panel, activity_panel, length_panel)[:count]
    for panel, draw in zip(axes[0], draws, strict=True):
        for trace in sorted(shown, key=lambda trace: trace.marker is None):
            draw(panel, trace)
    caption = parameters(game)
    if any("replica" in run.dims for run in runs):
        caption += "; points: mean and standard deviation of the replicas"
    if not all(np.isfinite(trace.lengths).all() for trace in shown):
        caption += "; a cross marks where values stop being finite"
    extra = [style.sample_line("$z$"), *_column_entry()] if count == 3 else []
    marks = [trace.marker for trace in shown]
    features = feature_entries(game, None if None in marks else marks[0])
    style.finish(figure, title or "Solvable GAN", caption, [*features, *extra, *entries])
    return figure


def _run_label(run: xr.Dataset) -> str:
    level = run.attrs["level"]
    if "dimension" not in run.attrs:
        return f"{level} (infinite dimension)"
    replicas = run.sizes.get("replica", 1)
    several = f", {replicas} replicas" if replicas > 1 else f", seed {run.attrs['seed']}"
    return f"{level} (dimension {run.attrs['dimension']}{several})"


def _column_entry() -> list[Line2D]:
    return [style.sample_line(r"$S_{jj}$", dashes=style.column_dashes(1))]


def feature_entries(game: SolvableGAN, marker: str | None = None) -> list[Artist]:
    """Legend entries of the features, and of the two kinds of overlap where single ones are drawn.

    Args:
        game: The game.
        marker: Mark of the entries where a picture shows points only; None draws lines.
    """
    kinds = (("own column", "-", True), ("other column", style.column_dashes(1), False))
    single = 1 < game.features * game.columns <= _FEW_OVERLAPS
    entries: list[Artist] = []
    for i in range(min(game.features, _NAMED_FEATURES)):
        label, colour = f"feature {i + 1}", style.feature_colour(i)
        entries.append(style.sample_points(label, marker, colour) if marker else style.sample_line(label, colour))
    for label, dashes, filled in kinds if single else ():
        points, line = style.sample_points, style.sample_line
        entries.append(points(label, marker, style.FAINT, filled) if marker else line(label, style.FAINT, dashes))
    return entries


def parameters(game: SolvableGAN) -> str:
    """The parameters that a picture must state: the strengths, noise and rates, and what is not the default."""
    texts = []
    defaults = {"regularization": math.inf, "link": "quadratic", "latent": "gaussian", "initial": None}
    for name in game.parameter_names():
        value = getattr(game, name)
        if isinstance(value, np.ndarray):
            value = f"array {value.shape}"
        unsaid = name in game.followed or (name in defaults and value == defaults[name])
        if name == "link_bias":
            unsaid = game.link != "logistic"
        if name in _ALWAYS_STATED or not unsaid:
            texts.append(f"{name} = {value_text(value)}")
    return ", ".join(texts)


def value_text(value: Any) -> str:
    """A parameter as a caption shows it."""
    if isinstance(value, tuple):
        if any(callable(v) for v in value):
            return "own functions"
        texts = [style.number(v) for v in value[:_NAMED_FEATURES]] + (["..."] if len(value) > _NAMED_FEATURES else [])
        return f"({', '.join(texts)})" if len(texts) > 1 else texts[0]
    if isinstance(value, float | int):
        return style.number(float(value))
    return value if isinstance(value, str) else "given state"


def draw_prediction(prediction: Prediction, title: str | None) -> Figure:
    """Strengths against thresholds, the overlaps at which silent ends are stable, and the spectra of equilibria."""
    game: SolvableGAN = prediction.game
    figure, axes = style.panels(1, 3, size=(3.9, 3.3), gridspec_kw={"width_ratios": [1.1, 0.8, 1.1]})
    window, overlap, plane = axes[0]
    _window_panel(window, game, prediction.thresholds)
    _overlap_panel(overlap, game, prediction.thresholds)
    _spectra_panel(plane, prediction.equilibria)
    style.letter(axes[0])
    near = ", near critical" if prediction.near_critical else ""
    verdict = f"{prediction.outcome}  ({prediction.detail}{near})"
    caption = "; ".join([parameters(game), *prediction.reasons[:1]])
    style.finish(figure, title or f"Prediction: {verdict}", caption)
    return figure


# What becomes of a feature, by where its strength lies.
_ZONES = {
    "hidden": (style.PHASES["no_learning"][0], "not seen"),
    "window": (style.PHASES["success/silent"][0], "learned, then silent"),
    "restless": (style.PHASES["oscillating"][0], "never silent"),
    "unmodelled": (style.PHASES["mode_collapse"][0], "seen, no column"),
}


def _window_panel(axes: Axes, game: SolvableGAN, thresholds: dict[str, Any]) -> None:
    strengths = np.array(game.feature_variance)
    lower, upper = (np.array(thresholds[name], float) for name in ("lower", "upper"))
    known = np.concatenate([strengths, lower, upper])
    known = known[np.isfinite(known) & (known > 0)]
    low, high = known.min() / 2.5, known.max() * 2.5
    used: dict[str, Patch] = {}
    for i, strength in enumerate(strengths):
        for zone, start, end in _zones(lower[i], upper[i], low, high):
            colour, label = _ZONES[zone]
            axes.fill_betweenx([i - 0.3, i + 0.3], start, end, color=colour, linewidth=0)
            used[zone] = Patch(color=colour, label=label)
        for edge in (lower[i], upper[i]):
            if np.isfinite(edge) and low < edge < high:
                axes.plot([edge, edge], [i - 0.3, i + 0.3], color=style.INK, linewidth=1.0)
                _note(axes, edge, i - 0.3, style.number(edge))
        axes.plot(strength, i, marker="o", markersize=8, color=style.feature_colour(i), markeredgecolor="white")
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    style.log_axis(axes.xaxis)
    _feature_axis(axes, game)
    axes.set_xlabel("feature strength  [variance]")
    axes.set_title("strengths and thresholds")
    if not used:
        _note(axes, math.sqrt(low * high), -0.3, "no thresholds")
    _key_below(axes, [used[zone] for zone in _ZONES if zone in used])


def _zones(lower: float, upper: float, low: float, high: float) -> list[tuple[str, float, float]]:
    """Intervals of strength and what becomes of a feature there; none if the thresholds are unknown."""
    if not np.isfinite(lower):
        return []
    seen = min(max(lower, low), high)
    if math.isnan(upper):
        return [("hidden", low, seen), ("unmodelled", seen, high)]
    settled = min(max(upper, seen), high)
    return [("hidden", low, seen), ("window", seen, settled), ("restless", settled, high)]


def _note(axes: Axes, x: float, y: float, text: str) -> None:
    """A small text just above a point."""
    axes.annotate(text, (x, y), (0, 2), textcoords="offset points", ha="center", va="bottom", fontsize=7.5)


def _key_below(axes: Axes, handles: Sequence[Artist], columns: int = 3) -> None:
    """A panel's own legend, below its axis label."""
    if handles:
        look: dict[str, Any] = dict(handlelength=1.0, columnspacing=1.0, handletextpad=0.5)
        axes.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=columns, **look)


def _feature_axis(axes: Axes, game: SolvableGAN) -> None:
    axes.set_ylim(game.features - 0.5, -0.6)
    names = [f"feature {i + 1}" for i in range(game.features)]
    axes.set_yticks(range(game.features), names if game.features <= _NAMED_FEATURES else [""] * game.features)
    axes.tick_params(axis="y", length=0)


def _overlap_panel(axes: Axes, game: SolvableGAN, thresholds: dict[str, Any]) -> None:
    numbers = [np.array(thresholds[name], float) for name in ("lower", "upper", "critical_overlap", "slow_overlap")]
    pinned = np.array(thresholds.get("pinned_overlap", np.full(game.features, np.nan)), float)
    for i, (lower, upper, critical, slow) in enumerate(zip(*numbers, strict=True)):
        colour, strength = style.feature_colour(i), game.feature_variance[i]
        if lower < strength <= upper:
            axes.plot([critical, 1.0], [i, i], color=colour, linewidth=9, alpha=0.3, solid_capstyle="butt")
            axes.plot(critical, i, marker="|", markersize=14, markeredgewidth=1.6, color=colour)
            axes.plot(slow, i, marker="D", markersize=5, color=colour, markeredgecolor="white")
            text = f"{critical:.3f} to {slow:.3f}"
        elif math.isnan(lower):
            text = "unknown"
        elif strength <= lower:
            text = "not seen"
        else:
            text = "no column" if math.isnan(upper) else "no silent end is stable"
        if np.isfinite(pinned[i]):
            axes.plot(pinned[i], i, marker="X", markersize=7, color=colour, markeredgecolor="white")
            text += f"; pinned from {pinned[i]:.3f}"
        place = axes.get_yaxis_transform()
        axes.text(0.98, i - 0.2, text, fontsize=7.5, transform=place, ha="right", va="bottom")
    axes.set_xlim(0.0, 1.02)
    _feature_axis(axes, game)
    axes.set_yticklabels([])
    axes.set_xlabel(r"overlap  $|P_{ii}|$  [cosine]")
    axes.set_title("ends that attract")
    entries = [
        Line2D([], [], color=style.FAINT, marker="|", markersize=10, linestyle="", label="critical"),
        Line2D([], [], color=style.FAINT, marker="D", markersize=5, linestyle="", label="slow generator"),
    ]
    if np.isfinite(pinned).any():
        entries.append(Line2D([], [], color=style.FAINT, marker="X", markersize=6, linestyle="", label="pinned"))
    _key_below(axes, entries)


def _spectra_panel(axes: Axes, equilibria: Sequence[Equilibrium]) -> None:
    axes.axvline(0.0, color=style.INK, linewidth=0.8)
    axes.axhline(0.0, color=style.FAINT, linewidth=0.4)
    entries: dict[str, Line2D] = {}
    for equilibrium in equilibria:
        values = np.asarray(equilibrium.spectrum.values)
        colour, marker, text = equilibrium_look(equilibrium.label)
        stable = equilibrium.stability == "stable"
        look: dict[str, Any] = dict(color=colour, marker=marker, linestyle="", markersize=6, markeredgewidth=1.1)
        axes.plot(values.real, values.imag, markerfacecolor=colour if stable else "none", **look)
        label = f"{text}: {equilibrium.stability}"
        entries[label] = style.sample_points(label, marker, colour, stable)
    axes.set_xlabel("real part  [1 / time]")
    axes.set_ylabel("imaginary part  [1 / time]")
    axes.set_title("spectra of equilibria")
    if entries:
        axes.margins(0.1)
        _key_below(axes, list(entries.values()), columns=1 if len(entries) < 3 else 2)
    else:
        axes.text(0.5, 0.6, "no equilibrium in closed form", transform=axes.transAxes, ha="center", fontsize=8)


def equilibrium_look(label: str) -> tuple[str, str, str]:
    """Colour, mark and words of an equilibrium."""
    if label in _EQUILIBRIA:
        return _EQUILIBRIA[label]
    return style.INK, _OTHER_MARKS[sum(label.encode()) % len(_OTHER_MARKS)], label.replace("_", " ")
