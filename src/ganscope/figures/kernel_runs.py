"""Pictures of the kernel GAN's runs and predictions: where the points go, how fast, and which data they stand for.

On a line and in a plane the points themselves are drawn, in more dimensions their distances from the data. A single run
of a few points gives every point its colour; several runs have one colour each.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from ganscope.core.outcome import Equilibrium, Prediction, Spectrum
from ganscope.figures import style
from ganscope.games.kernel.linearisation import neutral_tolerance
from ganscope.games.kernel.model import KernelGAN
from ganscope.games.kernel.operators import potential
from ganscope.games.kernel.prediction import effective

Array = npt.NDArray[np.float64]

TIME = "time  [discriminator_lr \N{MULTIPLICATION SIGN} iterations]"
# Up to so many generated points have a colour each; up to so many are drawn with full marks and paths.
_COLOURED, _FEW = 8, 20
# Up to so many true points have a bar of mass each.
_BARS = 16
# Squared distances and lengths below these are rounding.
_FLOOR_SQUARE, _FLOOR = 1e-17, 1e-16
# The view ends so many bandwidths from the data, whatever escapes.
_VIEW = 12.0
_PIXELS = 121
# A discriminator this flat, relative to the data's own potential, is shown as flat.
_FLAT = 1e-2


class Shown(NamedTuple):
    """One run as it is drawn.

    Attributes:
        times: Shape `[records]`.
        points: Shape `[records, M, axes]`.
        run: The data set.
        marker: Of its points; None draws lines, for the linear theory.
        colour: Of the run, where points have none of their own.
        label: In the legend.
    """

    times: Array
    points: Array
    run: xr.Dataset
    marker: str | None
    colour: str
    label: str

    @property
    def last(self) -> int:
        """The last record in which all is finite; 0 if there is none."""
        whole = np.isfinite(self.points).all(axis=(1, 2))
        return int(np.flatnonzero(whole)[-1]) if whole.any() else 0


def draw_runs(runs: Sequence[xr.Dataset], game: KernelGAN, title: str | None) -> Figure:
    """Runs of one game over each other: points, squared MMD, and mass near every true point."""
    shown = _shown(runs)
    simulated = [one for one in shown if one.marker] or shown
    own_colours = len(simulated) == 1 and len(game.generated_points) <= _COLOURED and game.axes != 2
    widths = [0.9, 1.0, 1.0] if game.axes == 2 else [1.15, 0.9, 0.9]
    figure, axes = style.panels(1, 3, size=(4.0, 3.1), gridspec_kw={"width_ratios": widths})
    where, discrepancy, mass = axes[0]
    draw = {1: _line_panel, 2: _plane_panel}.get(game.axes, _distance_panel)
    entries = draw(where, shown, game, own_colours)
    for one in shown:
        values = np.maximum(one.run.mmd2.values, _FLOOR_SQUARE)
        _series(discrepancy, one, values, style.INK if own_colours else one.colour)
    discrepancy.set_yscale("log")
    discrepancy.set_xlabel(TIME)
    discrepancy.set_ylabel("squared MMD  [1]")
    discrepancy.margins(x=0.02)
    if len(game.real_points) <= _BARS:
        entries += _mass_panel(mass, simulated, game, own_colours)
    else:
        _coverage_panel(mass, shown, len(game.real_points))
    for panel, text in zip(axes[0], ("generated points", "distance from the data", "share of the data"), strict=True):
        panel.set_title(text)
    style.letter(axes[0])
    caption = parameters(game)
    if not all(np.isfinite(one.points).all() for one in shown):
        caption += "; a cross marks where values stop being finite"
    if game.axes <= 2 and not all(_seen(one, *_view(shown, game)) for one in shown):
        caption += "; points leave the view"
    entries += [_run_entry(one, own_colours) for one in shown]
    style.finish(
        figure,
        title or "Kernel GAN",
        caption,
        entries,
        columns=len(entries) if len(entries) < 6 else math.ceil(len(entries) / 2),
    )
    return figure


def _shown(runs: Sequence[xr.Dataset]) -> list[Shown]:
    """Runs with colours, marks and labels; a simulation and the theory of the same rule share their colour."""
    rules = list(dict.fromkeys(str(run.attrs.get("rule", "flow")) for run in runs))
    marks = ("o", "s", "^", "D", "v", "P", "<", ">")
    shown: list[Shown] = []
    for run in runs:
        rule = str(run.attrs.get("rule", "flow"))
        place = rules.index(rule)
        same = sum(one.run.attrs.get("rule") == rule and one.run.attrs["level"] == run.attrs["level"] for one in shown)
        level = run.attrs["level"]
        label = f"{level}, {rule}"
        if run.attrs.get("representation") == "random_features":
            label += f", random features, seed {run.attrs['seed']}"
        colour = style.feature_colour(place + same * len(rules))
        marker = None if level == "linear" else marks[(place + same * len(rules)) % len(marks)]
        times = np.asarray(run.time.values, np.float64)
        shown.append(Shown(times, np.asarray(run.generated_points.values), run, marker, colour, label))
    return sorted(shown, key=lambda one: one.marker is None)


def _run_entry(one: Shown, own_colours: bool) -> Artist:
    colour = style.INK if own_colours else one.colour
    return style.sample_points(one.label, one.marker, colour) if one.marker else style.sample_line(one.label, colour)


def _series(axes: Axes, one: Shown, values: Array, colour: str) -> None:
    """A quantity over time: points of a simulation, a line of theory."""
    if one.marker is None:
        style.line(axes, one.times, values, colour, zorder=3, linewidth=1.0)
    else:
        style.points(axes, one.times, values[None], colour, one.marker, zorder=2)


def _view(shown: Sequence[Shown], game: KernelGAN) -> tuple[Array, Array]:
    """Corners of what is shown of space: the data and the points, unless they go too far."""
    real = game.real_points
    low, high = real.min(axis=0), real.max(axis=0)
    reach = max(_VIEW * game.bandwidth, float(np.max(high - low)))
    for one in [one for one in shown if one.marker] or shown:
        visited = np.where(np.isfinite(one.points), one.points, real[0]).reshape(-1, game.axes)
        low, high = np.minimum(low, visited.min(axis=0)), np.maximum(high, visited.max(axis=0))
    low, high = np.maximum(low, real.min(axis=0) - reach), np.minimum(high, real.max(axis=0) + reach)
    least = game.bandwidth if game.axes == 2 else 0.1 * game.bandwidth
    pad = np.maximum(0.06 * (high - low), min(least, 0.5 * float(np.max(high - low)) or least))
    return low - pad, high + pad


def _seen(one: Shown, low: Array, high: Array) -> bool:
    """Whether a run stays in view while it is finite."""
    points = one.points[np.isfinite(one.points).all(axis=(1, 2))]
    return bool(np.all((points >= low) & (points <= high)))


def _line_panel(axes: Axes, shown: Sequence[Shown], game: KernelGAN, own_colours: bool) -> list[Artist]:
    """Points on a line against time, the true ones as lines."""
    count, masses = len(game.real_points), game.real_mass / game.real_mass.max()
    if count <= _FEW:
        for x, mass in zip(game.real_points[:, 0], masses, strict=True):
            wide = 0.8 + 1.6 * mass if count <= _COLOURED else 0.8
            axes.axhline(x, color=style.INK, linewidth=wide, alpha=0.35, zorder=1)
    else:
        look: dict[str, Any] = dict(transform=axes.get_yaxis_transform(), clip_on=False, alpha=min(1.0, 100 / count))
        axes.plot(
            np.full(count, 1.015), game.real_points[:, 0], color=style.INK, marker="_", linestyle="", rasterized=True,
            **look,
        )  # fmt: skip
    many = len(game.generated_points) > _FEW
    for one in shown:
        if many:
            paths = [np.column_stack([one.times, x]) for x in one.points[:, :, 0].T]
            _paths(axes, paths, one.colour, faint=True)
            continue
        for j, path in enumerate(one.points[:, :, 0].T):
            _series(axes, one, path, style.feature_colour(j) if own_colours else one.colour)
    low, high = _view(shown, game)
    axes.set_ylim(low[0], high[0])
    axes.set_xlabel(TIME)
    axes.set_ylabel("place  [length]")
    axes.margins(x=0.02)
    words = "true points" if count <= _FEW else "true points (right edge)"
    return [style.sample_line(words, alpha=0.35, linewidth=2.0)]


def _paths(axes: Axes, paths: Sequence[Array], colour: str, faint: bool, dashes: Any = "-") -> None:
    """Many paths as one artist; a path ends where it stops being finite."""
    whole = [path[np.isfinite(path).all(axis=1)] for path in paths]
    thin = min(0.3, max(0.06, 60 / max(1, len(whole))))
    look: dict[str, Any] = dict(linewidths=0.35, alpha=thin) if faint else dict(linewidths=0.9, alpha=0.85)
    lines = LineCollection(whole, colors=colour, linestyles=dashes, rasterized=faint, zorder=2, **look)
    axes.add_collection(lines, autolim=False)
    first = [path[0] for path in whole if len(path)]
    last = [path[-1] for path in whole if len(path)]
    if first:
        axes.update_datalim(np.concatenate([first, last]))
        axes.autoscale_view()


def _plane_panel(axes: Axes, shown: Sequence[Shown], game: KernelGAN, own_colours: bool) -> list[Artist]:
    """Paths in the plane over the true points, and the best discriminator for the last points of the first run."""
    del own_colours
    low, high = _view(shown, game)
    half = 0.5 * float(np.max(high - low))  # a square view, so that lengths agree
    low, high = 0.5 * (low + high) - half, 0.5 * (low + high) + half
    first = shown[0]
    end = first.points[first.last]
    if np.isfinite(end).all():
        heat_map(axes, *discriminator_on_grid(game, end, low, high))
    true_points(axes, game)
    many = len(game.generated_points) > _FEW
    for one in shown:
        paths = [one.points[:, j] for j in range(one.points.shape[1])]
        _paths(axes, paths, one.colour, many, "-" if one.marker else (0, (3, 1.5)))
        if one.marker is None and len(shown) > 1:
            continue
        start_and_end(axes, one.points[0], one.points[one.last], one.colour, one.marker or "D", many)
        if one.last < len(one.points) - 1:
            x = one.points[one.last]
            axes.plot(*x.T, color=one.colour, marker="X", markersize=8, markeredgecolor="white", linestyle="", zorder=5)
    axes.set_xlim(low[0], high[0])
    axes.set_ylim(low[1], high[1])
    axes.set_aspect("equal")
    axes.set_xlabel("first coordinate  [length]")
    axes.set_ylabel("second coordinate  [length]")
    marker = first.marker or "D"
    entries: list[Artist] = [
        Line2D(
            [], [], color=style.INK, linestyle="", marker="+", markersize=8, markeredgewidth=1.6, label="true points"
        ),
        style.sample_points("start", marker, style.FAINT, filled=False),
        style.sample_points("end", marker, style.FAINT),
    ]
    if np.isfinite(end).all():
        entries.append(Patch(facecolor="#F6D5B5", edgecolor="#B35806", label="best discriminator at the end, high"))
    return entries


def true_points(axes: Axes, game: KernelGAN) -> None:
    """True points in a plane, the area of their marks by mass."""
    few = len(game.real_points) <= _FEW
    size = (150.0 if few else 20.0) * game.real_mass / game.real_mass.max()
    x, y = game.real_points.T
    axes.scatter(x, y, s=size, c=style.INK, marker="+", linewidths=1.6 if few else 0.6, zorder=4, rasterized=not few)


def start_and_end(axes: Axes, start: Array, end: Array, colour: str, marker: str, many: bool) -> None:
    """First and last places of generated points, open and full."""
    look: dict[str, Any] = dict(color=colour, linestyle="", marker=marker, rasterized=many)
    look |= dict(markersize=1.6, markeredgewidth=0.3) if many else dict(markersize=4.0, markeredgewidth=0.9)
    axes.plot(*start.T, markerfacecolor="white", zorder=3, **look)
    axes.plot(*end.T, zorder=5, **look)


def discriminator_on_grid(game: KernelGAN, points: Array, low: Array, high: Array) -> tuple[Array, Array, Array, float]:
    """The best discriminator for generated points on a grid of a plane.

    Returns:
        Coordinates `[x]` and `[y]`, values `[y, x]`, and the value below which it counts as flat. Without
        regularization its scale is arbitrary.
    """
    x, y = (np.linspace(low[k], high[k], _PIXELS) for k in range(2))
    at = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    strength = game.regularization or 1.0
    data = potential(game.kernel, at, game.real_points, game.real_mass) / strength
    value = data - potential(game.kernel, at, points, game.generated_mass) / strength
    return x, y, value.reshape(_PIXELS, _PIXELS), _FLAT * float(np.abs(data).max())


def heat_map(axes: Axes, x: Array, y: Array, value: Array, flat: float) -> Any:
    """A function in the plane as a faint background with level sets: orange high, purple low."""
    largest = max(float(np.abs(value).max()), flat)
    image = axes.pcolormesh(
        x, y, value, cmap="PuOr_r", vmin=-largest, vmax=largest, shading="nearest", alpha=0.45, rasterized=True,
        linewidth=0, zorder=0,
    )  # fmt: skip
    levels = [level for level in largest * np.linspace(-0.9, 0.9, 10) if value.min() < level < value.max()]
    if levels and np.ptp(value) > flat:
        axes.contour(x, y, value, levels, colors="#8A7F74", linewidths=0.4, linestyles="-", zorder=1)
    return image


def _distance_panel(axes: Axes, shown: Sequence[Shown], game: KernelGAN, own_colours: bool) -> list[Artist]:
    """Distances to the nearest true point, or their quantiles."""
    del game
    entries: list[Artist] = []
    for one in shown:
        distance = np.maximum(one.run.distance.values, _FLOOR)
        if distance.shape[1] <= _COLOURED:
            for j, values in enumerate(distance.T):
                _series(axes, one, values, style.feature_colour(j) if own_colours else one.colour)
            continue
        low, middle, high = np.quantile(distance, [0.1, 0.5, 0.9], axis=1)
        if one.marker or len(shown) == 1:
            style.band(axes, one.times, low, high, one.colour)
        _series(axes, one, middle, one.colour)
    if shown[0].points.shape[1] > _COLOURED:
        entries = [Patch(facecolor=style.FAINT, alpha=0.3, label="80 % of the points around their median")]
    values = np.concatenate([one.run.distance.values.ravel() for one in shown])
    values = values[np.isfinite(values)]
    if len(values) and values.max() > 10 * values.min():
        axes.set_yscale("log")
    axes.set_xlabel(TIME)
    axes.set_ylabel("distance to the nearest true point  [length]")
    axes.margins(x=0.02)
    return entries


def _mass_panel(axes: Axes, shown: Sequence[Shown], game: KernelGAN, own_colours: bool) -> list[Artist]:
    """Generated mass near every true point at the end, against the true mass."""
    count = len(game.real_points)
    mass = np.stack([one.run.mass.values[one.last] for one in shown])
    free = game.generated_mass.sum() - mass.sum(axis=1)
    stray = bool(np.any(np.nan_to_num(free) > 1e-9 * game.generated_mass.sum()))
    places = np.arange(count)
    wide = 0.7 / len(shown)
    for k, one in enumerate(shown):
        heights = np.append(mass[k], free[k]) if stray else mass[k]
        at = np.arange(len(heights)) + (k - (len(shown) - 1) / 2) * wide
        hatch = "" if k == 0 else ("//", "..", "xx", "\\\\")[(k - 1) % 4]
        colour = style.FAINT if own_colours else one.colour
        axes.bar(at, heights, wide * 0.9, color=colour, alpha=0.75, hatch=hatch, edgecolor="white", linewidth=0)
    for x, level in zip(places, game.real_mass, strict=True):
        axes.plot([x - 0.42, x + 0.42], [level, level], color=style.INK, linewidth=2.0, solid_capstyle="butt")
    every = max(1, count // 8)
    ticks = [*places[::every], *([count] if stray else [])]
    axes.set_xticks(ticks, [*(str(k + 1) for k in places[::every]), *(["none"] if stray else [])])
    axes.set_xlim(-0.6, count - 0.4 + stray)
    axes.set_xlabel("nearest true point  [number]")
    axes.set_ylabel("mass at the end  [1]")
    return [style.sample_line("true mass", linewidth=2.0)]


def _coverage_panel(axes: Axes, shown: Sequence[Shown], count: int) -> None:
    """Share of the true points with a generated point within a bandwidth."""
    for one in shown:
        _series(axes, one, one.run.covered.values / count, one.colour)
    axes.set_ylim(-0.04, 1.04)
    axes.set_xlabel(TIME)
    axes.set_ylabel(f"covered of {count} true points  [share]")
    axes.margins(x=0.02)


def parameters(game: KernelGAN) -> str:
    """The parameters that a picture must state: the points, the kernel, the rates, and what is not the default."""

    def counted(count: int, kind: str) -> str:
        return f"{count} {kind} point{'s' * (count > 1)}"

    real, generated = (
        counted(len(p), kind) for p, kind in ((game.real_points, "true"), (game.generated_points, "generated"))
    )
    texts = [f"{real} and {generated} in {game.axes} dimension{'s' * (game.axes > 1)}", kernel_text(game.kernel)]
    for name in ("regularization", "discriminator_lr", "generator_lr"):
        texts.append(f"{name} = {style.number(getattr(game, name))}")
    real_sum, generated_sum = (float(np.sum(m)) for m in (game.real_mass, game.generated_mass))
    if abs(real_sum - generated_sum) > 1e-9:
        texts.append(f"masses {style.number(real_sum)} and {style.number(generated_sum)}")
    if game.weighting != "loss":
        texts.append(f"weighting = {game.weighting}")
    if game.initial_discriminator != "zero":
        texts.append(f"initial_discriminator = {game.initial_discriminator}")
    if game.representation == "random_features":
        texts.append(f"{game.features} random features")
    return ", ".join(texts)


def kernel_text(kernel: Any) -> str:
    """A kernel as a caption shows it."""

    def value_text(value: Any) -> str:
        if isinstance(value, list | tuple):
            return f"({', '.join(style.number(float(v)) for v in value)})"
        return style.number(float(value))

    content = dict(kernel.to_dict())
    name = content.pop("name")
    return f"{name} with {', '.join(f'{key} = {value_text(value)}' for key, value in content.items())}"


def draw_prediction(prediction: Prediction, title: str | None) -> Figure:
    """The spectrum of the equilibrium in the complex plane and by size, and the equilibrium on a line or in a plane."""
    game: KernelGAN = prediction.game
    count = 3 if game.axes <= 2 else 2
    figure, axes = style.panels(1, count, size=(3.7, 3.4))
    rest = prediction.equilibria[0] if prediction.equilibria else None
    handles: list[Artist] = []
    if rest is None:
        for panel in axes[0, :2]:
            panel.text(0.5, 0.5, "no equilibrium is known", transform=panel.transAxes, ha="center", fontsize=8)
        _complex_labels(axes[0, 0], is_map=True)
        _size_labels(axes[0, 1], is_map=True)
    else:
        fates = _fates(game, rest)
        _complex_panel(axes[0, 0], rest.spectrum, fates)
        _size_panel(axes[0, 1], rest.spectrum, fates)
        handles = _fate_entries(fates)
    if count == 3:
        handles += _equilibrium_panel(axes[0, 2], game, rest)
    style.letter(axes[0])
    near = ", near critical" if prediction.near_critical else ""
    rule = f", {prediction.rule}" if prediction.rule else ""
    caption = "; ".join([parameters(game) + rule, *prediction.reasons[:1]])
    heading = title or f"Prediction: {prediction.outcome}  ({prediction.detail}{near})"
    style.finish(figure, heading, caption, handles)
    return figure


# What becomes of a mode: colour, and whether its mark is full.
_FATES = {
    "decays": (style.feature_colour(0), True),
    "neutral": (style.FAINT, False),
    "grows": (style.feature_colour(1), False),
}


def _fates(game: KernelGAN, rest: Equilibrium) -> npt.NDArray[np.str_]:
    """What becomes of every mode; neutral within what the game's theory resolves, shape `[modes]`."""
    values, seen = np.asarray(rest.spectrum.values), effective(game)
    tolerance = neutral_tolerance(seen, np.asarray(rest.state))
    growth, away = (np.abs(values) - 1.0, values - 1.0) if rest.spectrum.is_map else (values.real, values)
    if not rest.spectrum.is_map:
        tolerance /= game.discriminator_lr
    neutral = (np.abs(away) <= tolerance) | (np.abs(growth) <= 1e-9)
    return np.where(neutral, "neutral", np.where(growth < 0, "decays", "grows"))


def _fate_entries(fates: npt.NDArray[np.str_]) -> list[Artist]:
    return [style.sample_points(f"mode {n}", "o", *look) for n, look in _FATES.items() if n in fates]


def _complex_panel(axes: Axes, spectrum: Spectrum, fates: npt.NDArray[np.str_]) -> None:
    """Values in the complex plane."""
    values = np.asarray(spectrum.values)
    if spectrum.is_map:
        turn = np.linspace(0, 2 * np.pi, 361)
        axes.plot(np.cos(turn), np.sin(turn), color=style.INK, linewidth=0.9)
        axes.set_aspect("equal")
    else:
        axes.axvline(0.0, color=style.INK, linewidth=0.9)
    axes.axhline(0.0, color=style.FAINT, linewidth=0.4)
    _modes(axes, values.real, values.imag, fates)
    axes.margins(0.1)
    axes.set_title("spectrum at the equilibrium")
    _complex_labels(axes, spectrum.is_map)


def _modes(axes: Axes, x: Array, y: Array, fates: npt.NDArray[np.str_]) -> None:
    """Modes as points that tell what becomes of them."""
    many = len(x) > 200
    for name, (colour, filled) in _FATES.items():
        mine = (fates == name) & np.isfinite(x) & np.isfinite(y)
        if np.any(mine):
            axes.plot(
                x[mine], y[mine], color=colour, linestyle="", marker="o", markersize=2.5 if many else 5.0,
                markerfacecolor=colour if filled else "none", markeredgewidth=0.9, rasterized=many, zorder=3,
            )  # fmt: skip


def _complex_labels(axes: Axes, is_map: bool) -> None:
    unit = "[multiplier per iteration]" if is_map else "[1 / time]"
    axes.set_xlabel(f"real part  {unit}")
    axes.set_ylabel(f"imaginary part  {unit}")


def _size_panel(axes: Axes, spectrum: Spectrum, fates: npt.NDArray[np.str_]) -> None:
    """Moduli of multipliers, or real parts of eigenvalues, by size; they come in this order."""
    values = np.asarray(spectrum.values)
    sizes = np.abs(values) if spectrum.is_map else values.real
    axes.axhline(1.0 if spectrum.is_map else 0.0, color=style.INK, linewidth=0.9)
    _modes(axes, np.arange(1.0, len(sizes) + 1), sizes, fates)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    leading = sizes[fates != "neutral"]
    what = "modulus" if spectrum.is_map else "real part"
    axes.set_title(f"leading {what}: {_close_to_one(leading[0])}" if len(leading) else "all modes are neutral")
    _size_labels(axes, spectrum.is_map)


def _close_to_one(value: float) -> str:
    """A number, by its difference from 1 where that is small."""
    if not 0 < abs(value - 1) < 1e-3:
        return f"{value:.6g}"
    return f"1 {'+' if value > 1 else chr(0x2212)} {style.number(abs(value - 1))}"


def _size_labels(axes: Axes, is_map: bool) -> None:
    axes.set_xlabel("rank  [number]")
    axes.set_ylabel("modulus  [growth per iteration]" if is_map else "real part  [1 / time]")


def _equilibrium_panel(axes: Axes, game: KernelGAN, rest: Equilibrium | None) -> list[Artist]:
    """Start, equilibrium and true points, on a line by their masses, or in a plane."""
    start = game.generated_points
    end = None if rest is None else np.asarray(rest.state)
    colour, many = style.feature_colour(0), len(start) > _FEW
    axes.set_title("equilibrium" if rest is None else f"equilibrium: {rest.label.replace('_', ' ')}")
    if game.axes == 1:
        few = len(game.real_points) <= _FEW
        axes.vlines(
            game.real_points[:, 0], 0, game.real_mass, color=style.INK, linewidth=2.0 if few else 0.5, alpha=0.6
        )
        look: dict[str, Any] = dict(color=colour, linestyle="", marker="o", rasterized=many)
        look["markersize"] = 2.0 if many else 5.0
        axes.plot(start[:, 0], game.generated_mass, markerfacecolor="white", **look)
        if end is not None:
            axes.plot(end[:, 0], game.generated_mass, **look)
        axes.set_ylim(bottom=0)
        axes.margins(0.08)
        axes.set_xlabel("place  [length]")
        axes.set_ylabel("mass  [1]")
        true: Artist = style.sample_line("true points", alpha=0.6, linewidth=2.0)
    else:
        true_points(axes, game)
        start_and_end(axes, start, start if end is None else end, colour, "o", many)
        if end is not None and not many:
            _paths(axes, [np.stack([a, b]) for a, b in zip(start, end, strict=True)], style.FAINT, True)
        axes.margins(0.1)
        axes.set_aspect("equal", adjustable="datalim")
        axes.set_xlabel("first coordinate  [length]")
        axes.set_ylabel("second coordinate  [length]")
        true = Line2D(
            [], [], color=style.INK, linestyle="", marker="+", markersize=8, markeredgewidth=1.6, label="true points"
        )
    entries = [true, style.sample_points("generated points, start", "o", colour, filled=False)]
    if end is not None:
        entries.append(style.sample_points("generated points, equilibrium", "o", colour))
    return entries
