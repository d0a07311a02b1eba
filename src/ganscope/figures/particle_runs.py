"""Pictures of runs of particles: where they go, which modes they cover, and how they move together.

Simulations are drawn as points, linear theory as lines.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from ganscope.core.outcome import Prediction
from ganscope.figures import particle_predictions, style
from ganscope.figures.particle_look import DOTTED, Array, capture_entry, modes_in_plane
from ganscope.figures.particle_shown import cloud_of, plane_of, series, shown_runs
from ganscope.figures.particle_words import parameters
from ganscope.figures.shown import Shown
from ganscope.games.particle.order_parameters import CAPTURE_SHARE
from ganscope.games.particle.torus.fourier import PERIOD, mode_centres
from ganscope.games.particle.torus.model import TorusGAN

# Particles whose paths are drawn in a plane, and over time.
_PATHS, _COURSES = 5, 100
_TITLES = {"particle": "Particle GAN", "torus": "Particles on a circle"}


def draw_runs(runs: Sequence[xr.Dataset], game: Any, title: str | None) -> Figure:
    """Runs of one game over each other: particles, coverage, motion, and how rigid the cloud or how steep the game."""
    shown = shown_runs(runs, game)
    figure, axes = style.panels(1, 4, size=(3.5, 3.2))
    places, cover, motion, force = axes[0]
    if isinstance(game, TorusGAN):
        entries = _circle(places, shown, game)
    elif game.axes == 1:
        entries = _line(places, shown, game)
    else:
        entries = _plane(places, shown, game)
    entries += _two(cover, shown, ("soft_coverage", "coverage"), ("soft coverage", "coverage"))
    cover.set_ylim(-0.04, 1.06)
    cover.set_ylabel("share of the modes  [1]")
    cover.set_title("modes covered")
    entries += _two(motion, shown, ("spread", "wander"), ("spread", "wander"), first=2)
    motion.set_ylim(bottom=-0.03)
    motion.set_ylabel("spread  [target's variance],\nwander  [target's scale]")
    motion.set_title("width and motion of the cloud")
    if isinstance(game, TorusGAN):
        _discriminator(force, shown)
    else:
        _rigidity(force, shown)
    end = max(float(one.times[-1]) for one in shown) or 1.0
    for panel in (cover, motion, force):
        panel.set_xlabel(_time(game))
        panel.set_xlim(-0.02 * end, 1.02 * end)
    if len(shown) > 1:
        entries.append(style.sample_points("open, or dotted: coverage, wander", "o", style.FAINT, filled=False))
    style.letter(axes[0])
    entries += [one.entry for one in shown]
    if not all(one.whole for one in shown):
        look: dict[str, Any] = dict(color=style.FAINT, marker="X", markersize=7, markeredgecolor="white")
        entries.append(Line2D([], [], linestyle="", label="leaves every bounded region", **look))
    columns = len(entries) if len(entries) < 7 else math.ceil(len(entries) / 2)
    style.finish(figure, title or _TITLES[game.model], parameters(game), entries, columns)
    return figure


def draw_prediction(prediction: Prediction, title: str | None) -> Figure:
    """The spectrum next to the target, rates against the gradient penalty, and the start before the target."""
    return particle_predictions.draw(prediction, title)


def _time(game: Any) -> str:
    if isinstance(game, TorusGAN):
        return "time  [step_size \N{MULTIPLICATION SIGN} iterations]"
    return "time  [iterations]"


def _two(
    axes: Axes, shown: Sequence[Shown], names: tuple[str, str], texts: tuple[str, str], first: int = 0
) -> list[Artist]:
    """Two order parameters: a colour each for a single run, otherwise full and open points, or lines of two kinds."""
    single = len(shown) == 1
    for one in shown:
        for k, name in enumerate(names):
            colour = style.feature_colour(first + k) if single else one.colour
            marker = ("o", "s", "^", "D")[first + k]
            options: dict[str, Any] = {}
            if one.marker is None:
                options["linestyle"] = "-" if k == 0 else DOTTED
            else:
                options["filled"] = single or k == 0
                if single:
                    options["marker"] = marker
            series(axes, one, one.run[name], colour, **options)
    if single and shown[0].marker is None:
        return [
            style.sample_line(text, style.feature_colour(first + k), "-" if k == 0 else DOTTED)
            for k, text in enumerate(texts)
        ]
    if single:
        return [
            style.sample_points(text, ("o", "s", "^", "D")[first + k], style.feature_colour(first + k))
            for k, text in enumerate(texts)
        ]
    return []


def _rigidity(axes: Axes, shown: Sequence[Shown]) -> None:
    """Share of the push that moves the cloud as one body."""
    for one in shown:
        series(axes, one, one.run.rigidity, one.colour)
    axes.set_ylim(-0.04, 1.06)
    axes.set_ylabel("rigidity  [share of the squared push]")
    axes.set_title("pushed as one body")


def _discriminator(axes: Axes, shown: Sequence[Shown]) -> None:
    """Size of the discriminator."""
    low, high = math.inf, 0.0
    for one in shown:
        size = np.sqrt((abs(one.run.discriminator) ** 2).sum("frequency", skipna=False))
        series(axes, one, size, one.colour)
        positive = size.values[np.isfinite(size.values) & (size.values > 0)]
        if len(positive):
            low, high = min(low, float(positive.min())), max(high, float(positive.max()))
    if high > 0 and high / low > 100:
        axes.set_yscale("log")
        axes.set_ylim(max(low, 1e-17) / 2, 2 * high)
    elif high > 0:
        axes.set_ylim(0.0, 1.08 * high)
    axes.set_ylabel("root of the sum of |D_k|\N{SUPERSCRIPT TWO}  [1]")
    axes.set_title("size of the discriminator")


def _plane(axes: Axes, shown: Sequence[Shown], game: Any) -> list[Artist]:
    """Clouds at the end, with their starts and the paths of a few particles, over the target."""
    plane = plane_of(game, [cloud_of(one.run) for one in shown])
    entries: list[Artist] = []
    if plane.sources is not None:
        axes.plot(*plane.sources.T, ".", color="#BBBBBB", markersize=2.0 if len(plane.sources) > 100 else 4.5,
                  rasterized=len(plane.sources) > 500)  # fmt: skip
        entries.append(style.sample_points("real points", ".", "#BBBBBB"))
    elif game.axes == 2:
        modes_in_plane(axes, plane.centres, game.target.capture_radius, game.mode_width)
        axes.plot(*plane.centres.T, "+", color=style.INK, markersize=7, zorder=3.5)  # above the paths
        entries.append(style.sample_points("modes", "+", style.INK))
        entries.append(capture_entry(game.target.capture_radius))
    else:
        axes.plot(*plane.centres.T, "+", color=style.FAINT, markersize=8)
        entries.append(style.sample_points("modes", "+", style.FAINT))
    for k, one in enumerate(shown):
        cloud = plane.project(cloud_of(one.run))
        until = one.last + 1
        size = 3.6 if cloud.shape[1] <= 200 else 2.0
        few = np.linspace(0, cloud.shape[1] - 1, min(_PATHS, cloud.shape[1])).astype(int)
        axes.add_collection(
            LineCollection([cloud[:until, i] for i in few], colors=one.colour, linewidths=0.5, alpha=0.35, zorder=2),
            autolim=False,
        )
        if k == 0:
            axes.plot(*cloud[0].T, "o", color=style.INK, markerfacecolor="white", markersize=size, markeredgewidth=0.6,
                      linestyle="", zorder=3, alpha=0.7)  # fmt: skip
        axes.plot(*cloud[one.last].T, marker=one.marker or "o", color=one.colour, markersize=size, linestyle="",
                  markeredgewidth=0, alpha=0.85, zorder=4)  # fmt: skip
        if one.last < len(cloud) - 1:
            _crosses(axes, np.clip(cloud[one.last], plane.low, plane.high), one)
    axes.set_xlim(plane.low[0], plane.high[0])
    axes.set_ylim(plane.low[1], plane.high[1])
    axes.set_aspect("equal")
    axes.set_xlabel(plane.labels[0])
    axes.set_ylabel(plane.labels[1])
    axes.set_title("start, some paths, end")
    return [
        *entries,
        style.sample_points("start", "o", style.INK, filled=False),
        style.sample_line("paths of some particles", style.FAINT, linewidth=0.5),
    ]


def _crosses(axes: Axes, places: Array, one: Shown) -> None:
    """Crosses where the particles of a run stop being followed."""
    axes.plot(*places.T, color=one.colour, marker="X", markersize=7, markeredgecolor="white", linestyle="", zorder=5)


def _line(axes: Axes, shown: Sequence[Shown], game: Any) -> list[Artist]:
    """Particles on a line over time; the modes as bands, or the real points at the right edge."""
    target = game.target
    sources = target.sources[:, 0]
    reach = max(float(np.ptp(sources)), 2 * target.capture_radius)
    low, high = sources.min() - 3 * target.width, sources.max() + 3 * target.width
    limits = low - reach, high + reach
    for one in shown:
        finite = cloud_of(one.run)[np.isfinite(cloud_of(one.run))]
        if len(finite):
            low, high = min(low, float(finite.min())), max(high, float(finite.max()))
    low, high = max(low, limits[0]), min(high, limits[1])
    entries = _bands(axes, target.centres[:, 0], target.capture_radius) if game.real_points is None else []
    if game.real_points is not None:
        edge: dict[str, Any] = dict(transform=axes.get_yaxis_transform(), clip_on=False, linestyle="")
        axes.plot(np.full(len(sources), 1.015), sources, color=style.INK, marker="_", markersize=5, alpha=0.4, **edge)
        entries.append(Line2D([], [], color=style.INK, marker="_", linestyle="", label="real points (right edge)"))
    for one in shown:
        _courses(axes, one, cloud_of(one.run)[..., 0])
    pad = 0.04 * (high - low)
    axes.set_ylim(low - pad, high + pad)
    axes.set_ylabel("place  [length]")
    return _over_time(axes, shown, entries, game)


def _circle(axes: Axes, shown: Sequence[Shown], game: TorusGAN) -> list[Artist]:
    """Particles on a circle over time, cut open between two modes."""
    radius = max(3 * game.mode_width, CAPTURE_SHARE * PERIOD / game.modes)
    opening = -PERIOD / 2 / game.modes if game.modes > 1 else -PERIOD / 2
    centres = mode_centres(game.modes)
    entries = _bands(axes, centres, radius) if game.mode_width < PERIOD / 6 / game.modes else []
    for one in shown:
        wrapped = np.mod(cloud_of(one.run)[..., 0] - opening, PERIOD) + opening
        jumps = np.abs(np.diff(wrapped, axis=0)) > PERIOD / 2
        _courses(axes, one, wrapped, jumps)
    axes.set_ylim(opening, opening + PERIOD)
    axes.set_ylabel("angle  [radians]")
    return _over_time(axes, shown, entries, game)


def _bands(axes: Axes, centres: Array, radius: float) -> list[Artist]:
    for centre in centres:
        axes.axhspan(centre - radius, centre + radius, color=style.FAINT, alpha=0.12, linewidth=0)
    return [Patch(facecolor=style.FAINT, alpha=0.25, label=f"captured: within {radius:.3g} of a mode")]


def _courses(axes: Axes, one: Shown, places: Array, jumps: Any = None) -> None:
    """Places `[records, N]` over time as thin lines, broken at jumps; crosses where they end before their time."""
    few = np.linspace(0, places.shape[1] - 1, min(_COURSES, places.shape[1])).astype(int)
    pieces: list[Array] = []
    for i in few:
        path = np.column_stack([one.times, places[:, i]])[: one.last + 1]
        cuts: Any = [] if jumps is None else np.flatnonzero(jumps[: one.last, i]) + 1
        pieces += np.split(path, cuts)
    alpha = max(0.2, min(0.9, 24 / len(few)))
    alone = [piece[0] for piece in pieces if len(piece) == 1]
    if alone:
        axes.plot(*np.array(alone).T, ".", color=one.colour, markersize=2.0, alpha=alpha)
    axes.add_collection(
        LineCollection(pieces, colors=one.colour, linewidths=0.8, alpha=alpha, rasterized=len(few) > 24), autolim=False
    )
    if one.last < len(one.times) - 1:
        _crosses(axes, np.column_stack([np.full(len(few), one.times[one.last]), places[one.last, few]]), one)


def _over_time(axes: Axes, shown: Sequence[Shown], entries: list[Artist], game: Any) -> list[Artist]:
    end = max(float(one.times[-1]) for one in shown)
    axes.set_xlim(-0.02 * end, (1.005 * end) or 1.0)
    axes.set_xlabel(_time(game))
    axes.set_title("particles")
    return entries
