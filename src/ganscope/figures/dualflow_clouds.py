"""Pictures of clouds of particles: paths over the target, distances from it, and how its modes are covered."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.lines import Line2D
from matplotlib.patches import Circle, Patch

from ganscope.figures import style
from ganscope.figures.dualflow_look import DASHED, DOTTED, TIME, Array, plane
from ganscope.figures.dualflow_shown import positive_axis, series
from ganscope.figures.shown import Shown, first_replica
from ganscope.games.dualflow.feature.model import FeatureGAN

# Up to so many particles have full paths of their own; modes that have a curve each.
_FEW, _MODES = 24, 8
# The view ends so many sizes of the target from it, whatever escapes.
_VIEW = 2.0


def feature_panels(axes: Sequence[Axes], shown: Sequence[Shown], game: FeatureGAN) -> list[Artist]:
    """Particles over time or in a plane, distances from the target, and coverage of its modes."""
    places, distance, cover = axes
    entries = _line(places, shown, game) if game.axes == 1 else _plane(places, shown, game)
    entries += _distances(distance, shown)
    entries += _coverage(cover, shown, game)
    return entries


def view(points: Sequence[Array], game: FeatureGAN) -> tuple[Array, Array]:
    """Corners of what is shown: the target and the particles, unless they go too far."""
    real = np.asarray(game.real)
    low, high = real.min(axis=0), real.max(axis=0)
    reach = _VIEW * max(float(np.max(high - low)), float(game.target_modes.radius))
    limits = low - reach, high + reach
    start = np.asarray(game.generated_points)
    for cloud in [*points, start]:
        visited = np.where(np.isfinite(cloud), cloud, real[0]).reshape(-1, game.axes)
        low, high = np.minimum(low, visited.min(axis=0)), np.maximum(high, visited.max(axis=0))
    low = np.maximum(low, np.minimum(limits[0], start.min(axis=0)))
    high = np.minimum(high, np.maximum(limits[1], start.max(axis=0)))
    pad = 0.06 * np.maximum(high - low, 0.5 * game.target_modes.radius)
    low, high = low - pad, high + pad
    if game.axes > 1:  # a square, so that lengths agree
        half = 0.5 * float(np.max((high - low)[:2]))
        low, high = 0.5 * (low + high) - half, 0.5 * (low + high) + half
    return low, high


def _clouds(shown: Sequence[Shown]) -> list[Array]:
    """Particles of the first replica of every run, `[records, N, axes]`."""
    return [first_replica(one.run).generated_points.transpose("time", "point", "axis").values for one in shown]


def _line(axes: Axes, shown: Sequence[Shown], game: FeatureGAN) -> list[Artist]:
    """Particles on a line over time; the modes as bands, the target's quantiles at the right edge."""
    real, modes = np.asarray(game.real)[:, 0], game.target_modes
    several = len(modes.weights) > 1
    for centre in modes.centres[:, 0] if several else ():
        axes.axhspan(centre - modes.radius, centre + modes.radius, color=style.FAINT, alpha=0.12, linewidth=0)
    edge: dict[str, Any] = dict(transform=axes.get_yaxis_transform(), clip_on=False, linestyle="")
    axes.plot(
        np.full(len(real), 1.015), real, color=style.INK, marker="_", markersize=5, rasterized=len(real) > 500,
        alpha=min(1.0, max(0.15, 100 / len(real))), **edge,
    )  # fmt: skip
    clouds = _clouds(shown)
    for one, cloud in zip(shown, clouds, strict=True):
        paths = cloud[..., 0].T
        if one.marker is not None and paths.shape[0] <= _FEW:
            for row in paths:
                series(axes, one, row, one.colour)
            continue
        _lines(axes, [np.column_stack([one.times, row]) for row in paths], one.colour)
        if one.last < len(one.times) - 1:
            _crosses(axes, np.column_stack([np.full(len(paths), one.times[one.last]), cloud[one.last, :, 0]]), one)
    low, high = view(clouds, game)
    axes.set_xlim(-0.02 * shown[0].times[-1], 1.005 * max(float(one.times[-1]) for one in shown))
    axes.set_ylim(low[0], high[0])
    axes.set_xlabel(TIME)
    axes.set_ylabel("place  [length]")
    axes.set_title("particles")
    entries: list[Artist] = [
        Line2D([], [], color=style.INK, marker="_", linestyle="", label="real points (right edge)")
    ]
    if several:
        entries.append(Patch(facecolor=style.FAINT, alpha=0.25, label=f"within {modes.radius:.3g} of a mode"))
    return entries


def _lines(axes: Axes, paths: Sequence[Array], colour: str) -> None:
    """Paths as one artist; each ends where it stops being finite."""
    whole = [path[np.isfinite(path).all(axis=1)] for path in paths]
    many = len(whole) > _FEW
    look: dict[str, Any] = dict(linewidths=0.6 if many else 1.1, alpha=max(0.25, min(0.9, 40 / len(whole))))
    axes.add_collection(LineCollection(whole, colors=colour, rasterized=many, zorder=2, **look), autolim=False)


def _crosses(axes: Axes, places: Array, one: Shown) -> None:
    """Crosses where the particles of a run stop being finite."""
    axes.plot(*places.T, color=one.colour, marker="X", markersize=7, markeredgecolor="white", linestyle="", zorder=5)


def _plane(axes: Axes, shown: Sequence[Shown], game: FeatureGAN) -> list[Artist]:
    """Paths in the plane of the first two coordinates over the target and its modes, with starts and ends."""
    real, modes = np.asarray(game.real)[:, :2], game.target_modes
    several = game.axes == 2 and len(modes.weights) > 1
    if several:
        for centre in modes.centres:
            axes.add_patch(Circle(tuple(centre), modes.radius, color=style.FAINT, alpha=0.12, linewidth=0))
    axes.plot(*real.T, ".", color=style.FAINT, markersize=2.0 if len(real) > _FEW else 5.0, rasterized=len(real) > 500)
    clouds = _clouds(shown)
    many = clouds[0].shape[1] > _FEW
    size = 2.6 if many else 4.5
    for one, cloud in zip(shown, clouds, strict=True):
        _lines(axes, [cloud[:, j, :2] for j in range(cloud.shape[1])], one.colour)
        axes.plot(*cloud[one.last, :, :2].T, linestyle="", marker=one.marker or "o", color=one.colour, markersize=size,
                  zorder=4)  # fmt: skip
        if one.last < len(cloud) - 1:
            _crosses(axes, cloud[one.last, :, :2], one)
    axes.plot(*clouds[0][0, :, :2].T, linestyle="", marker="o", color=style.INK, markerfacecolor="white",
              markersize=size, markeredgewidth=0.6, zorder=3)  # fmt: skip
    low, high = view(clouds, game)
    axes.set_xlim(low[0], high[0])
    axes.set_ylim(low[1], high[1])
    more = "" if game.axes == 2 else f" (of {game.axes})"
    plane(axes, f"first coordinate{more}  [length]", "second coordinate  [length]", equal=False)
    axes.set_aspect("equal")
    axes.set_title("particles")
    entries: list[Artist] = [
        style.sample_points("real points", ".", style.FAINT),
        style.sample_points("start", "o", style.INK, filled=False),
        style.sample_points("end", "o", style.FAINT),
    ]
    if several:
        entries.append(Patch(facecolor=style.FAINT, alpha=0.25, label=f"within {modes.radius:.3g} of a mode"))
    return entries


def _distances(axes: Axes, shown: Sequence[Shown]) -> list[Artist]:
    """W2, MMD and the discriminator's gap; several runs have a colour each, and their dashes or size tell apart."""
    apart = "sliced_w2" if any(not np.all(np.isfinite(one.run.w2.values)) and "sliced_w2" in one.run for one in shown) \
        else "w2"  # fmt: skip
    names = {apart: "sliced W2" if apart == "sliced_w2" else "W2", "mmd": "MMD"}
    if (
        len(shown) == 1
        and "discriminator_gap" in shown[0].run
        and np.any(shown[0].run.discriminator_gap.values > 1e-15)
    ):
        names["discriminator_gap"] = "gap of the discriminator"
    everything: list[Array] = []
    entries: list[Artist] = []
    for k, (name, text) in enumerate(names.items()):
        for one in shown:
            values = np.asarray(one.run[name].values)
            colour = one.colour if len(shown) > 1 else style.feature_colour(k)
            options: dict[str, Any] = {"linestyle": ("-", DASHED, DOTTED)[k]} if one.marker is None else {}
            if one.marker is not None and k and len(shown) > 1:
                options["alpha"] = 0.45
            series(axes, one, values, colour, **options)
            everything.append(values)
        if len(shown) == 1 and shown[0].marker:
            entries.append(style.sample_points(text, shown[0].marker, style.feature_colour(k)))
        elif len(shown) == 1:
            entries.append(style.sample_line(text, style.feature_colour(k), ("-", DASHED, DOTTED)[k]))
    if len(shown) > 1:
        entries.append(style.sample_line(f"{names[apart]}; MMD dashed or faint", style.FAINT))
    positive_axis(axes, everything)
    axes.set_xlabel(TIME)
    axes.set_ylabel("W2  [length], MMD  [1]" + (", gap  [1]" if "discriminator_gap" in names else ""))
    axes.set_title("distance from the target")
    axes.margins(x=0.02)
    return entries


def _coverage(axes: Axes, shown: Sequence[Shown], game: FeatureGAN) -> list[Artist]:
    """Mass coverage, and of a single run the occupancy of every mode; of a target without modes its variance."""
    modes = len(game.target_modes.weights)
    if modes == 1 and not np.all(np.isnan(shown[0].run.dispersion.values)):
        for one in shown:
            series(axes, one, one.run.dispersion.values, one.colour)
        axes.axhline(1.0, color=style.FAINT, linewidth=0.8, linestyle=DOTTED)
        axes.set_ylim(bottom=0.0)
        axes.set_xlabel(TIME)
        axes.set_ylabel("variance over that of the target  [1]")
        axes.set_title("spread")
        axes.margins(x=0.02)
        return []
    for one in shown:
        if len(shown) == 1 and 1 < modes <= _MODES:
            occupied = first_replica(one.run).occupancy.transpose("time", "mode").values
            for k in range(modes):
                axes.plot(one.times, occupied[:, k], color=style.feature_colour(k), linewidth=0.9)
            for weight in np.unique(game.target_modes.weights):
                axes.axhline(weight, color=style.FAINT, linewidth=0.8, linestyle=DOTTED)
        series(axes, one, one.run.mass_coverage.values, one.colour)
    axes.set_ylim(-0.04, 1.04)
    axes.set_xlabel(TIME)
    axes.set_ylabel("share of the mass  [1]")
    axes.margins(x=0.02)
    if len(shown) == 1 and 1 < modes <= _MODES:
        axes.set_title("coverage, and mass in each mode")
        return [
            style.sample_line(f"in each of {modes} modes", style.feature_colour(0), linewidth=0.9),
            style.sample_line("weights of the modes", style.FAINT, DOTTED, linewidth=0.8),
        ]
    axes.set_title(f"coverage of {modes} mode{'s' * (modes > 1)}")
    return []
