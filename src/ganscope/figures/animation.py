"""Animations of runs of particles: the cloud over its target, and its order parameters as they grow.

GIF files need no program beyond Matplotlib and Pillow; MP4 files need ffmpeg.
"""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from matplotlib.animation import AbstractMovieWriter, FFMpegWriter, PillowWriter
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ganscope.core import store
from ganscope.core.checks import integer
from ganscope.core.errors import NotApplicable, ParameterError
from ganscope.core.progress import report
from ganscope.core.results import game_of
from ganscope.figures import style
from ganscope.figures.particle_look import CLOUD, Array, modes_in_plane
from ganscope.figures.particle_shown import cloud_of, plane_of, until_it_blows_up
from ganscope.games.particle.torus.model import TorusGAN

MODELS = ("particle", "torus")
FRAMES, _PER_SECOND = 120, 12
# Size of a picture in inches, and dots per inch.
_SIZE, _DPI = (4.7, 5.7), 80
# How far the discriminator reaches from the circle, and points of its curve.
_HEIGHT, _POINTS = 0.3, 241
_STRIP = (("soft_coverage", "soft coverage"), ("coverage", "coverage"), ("spread", "spread"), ("wander", "wander"))
_DASHES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1.2, 1.2)), (0, (5, 1.5, 1.2, 1.5)))


class Film(NamedTuple):
    """A figure whose artists move.

    Attributes:
        figure: The figure.
        records: Which records of the run become frames.
        show: Makes the figure show the record of a number.
    """

    figure: Figure
    records: Array
    show: Callable[[int], None]


def animate(run: xr.Dataset, path: str | os.PathLike[str], frames: int = FRAMES, title: str | None = None) -> Path:
    """Write a run of particles as an animation; the file appears complete or not at all.

    Of a run with replicas the first one is shown. A run that diverges ends where it leaves every bounded region.

    Args:
        run: A run of a `ParticleGAN` or a `TorusGAN`, made by `simulate`.
        path: File to write, GIF unless the suffix is `.mp4`, which needs ffmpeg.
        frames: At most so many records are shown, equally spaced, the first and the last among them; >= 2.
        title: Before the time in the title; None is the game's name.

    Returns:
        The file.

    Raises:
        NotApplicable: If it is a run of another game.
        ParameterError: If it is no run, or the suffix or the number of frames is out of range.
        StoreError: If the file cannot be written.
    """
    frames = integer("frames", frames, at_least=2)
    target = Path(path)
    target = target if target.suffix else target.with_suffix(".gif")
    writer = _writer(target.suffix.lower())
    game = game_of(run)
    if game.model not in MODELS:
        raise NotApplicable(
            f"only runs of particles can be animated (ParticleGAN, TorusGAN), not {type(game).__name__}"
        )
    if "time" not in run.dims or "positions" not in run:
        raise ParameterError("run", list(run.data_vars), "a run with positions over time")
    with style.drawing(), tempfile.TemporaryDirectory() as folder:
        film = make_film(run, game, frames, title)
        scratch = Path(folder) / f"film{target.suffix.lower()}"
        with writer.saving(film.figure, str(scratch), _DPI):
            for k, record in enumerate(film.records.astype(int).tolist()):
                film.show(record)
                writer.grab_frame()
                report("animation", float(k + 1), float(len(film.records)))
        return store.write_bytes(target, scratch.read_bytes())


def _writer(suffix: str) -> AbstractMovieWriter:
    if suffix == ".gif":
        return PillowWriter(fps=_PER_SECOND)
    if suffix != ".mp4":
        raise ParameterError("path", suffix, "a file .gif, or .mp4 where ffmpeg is installed")
    if not FFMpegWriter.isAvailable():
        raise ParameterError("path", suffix, "a file .gif: .mp4 needs the program ffmpeg, which is not installed")
    return FFMpegWriter(fps=_PER_SECOND)


def make_film(run: xr.Dataset, game: Any, frames: int, title: str | None = None) -> Film:
    """The figure of an animation, and what moves on it."""
    cut = until_it_blows_up(run.isel(replica=0) if "replica" in run.dims else run, game)
    cloud = cloud_of(cut)
    finite = np.flatnonzero(np.isfinite(cloud).all(axis=(1, 2)))
    last = int(finite[-1]) if len(finite) else 0
    records = np.unique(np.round(np.linspace(0, last, min(frames, last + 1))))
    figure = Figure(figsize=_SIZE)
    places, strip = figure.add_axes((0.16, 0.4, 0.78, 0.53)), figure.add_axes((0.16, 0.085, 0.78, 0.18))
    if isinstance(game, TorusGAN):
        move = _circle(places, cut, cloud, game)
    elif game.axes == 1:
        move = _line(places, cloud, game)
    else:
        move = _plane(places, cloud, game)
    grow = _strip(strip, cut, last)
    name = title or ("Particles on a circle" if isinstance(game, TorusGAN) else "Particle GAN")
    heading = figure.suptitle("", fontsize=10.5, fontweight="bold", y=0.975)
    times = cut.time.values
    lost = last < len(times) - 1

    def show(record: int) -> None:
        move(record)
        grow(record)
        when = f"time {times[record]:.2f}" if isinstance(game, TorusGAN) else f"iteration {times[record]:.0f}"
        ends = ", leaves every bounded region" if lost and record == last else ""
        heading.set_text(f"{name}: {when}{ends}")

    return Film(figure, records, show)


def _plane(axes: Axes, cloud: Array, game: Any) -> Callable[[int], None]:
    """A cloud over its target in a plane."""
    plane = plane_of(game, [cloud])
    if plane.sources is not None:
        axes.plot(*plane.sources.T, ".", color="#BBBBBB", markersize=2.0)
    elif game.axes == 2:
        modes_in_plane(axes, plane.centres, game.target.capture_radius, game.mode_width)
    else:
        axes.plot(*plane.centres.T, "+", color=style.FAINT, markersize=8)
    places = plane.project(cloud)
    (points,) = axes.plot([], [], "o", color=CLOUD, markersize=3.6, markeredgewidth=0, alpha=0.85)
    axes.set_xlim(plane.low[0], plane.high[0])
    axes.set_ylim(plane.low[1], plane.high[1])
    axes.set_aspect("equal")
    axes.set_xlabel(plane.labels[0])
    axes.set_ylabel(plane.labels[1])
    return lambda record: points.set_data(*places[record].T)


def _circle(axes: Axes, run: xr.Dataset, cloud: Array, game: TorusGAN) -> Callable[[int], None]:
    """Particles on their circle with its modes, and the discriminator as a curve around it."""
    plane = plane_of(game)
    angle = np.linspace(0.0, 2 * np.pi, _POINTS)
    axes.plot(np.cos(angle), np.sin(angle), color=style.FAINT, linewidth=0.7)
    wide = max(game.mode_width, 0.02)
    for centre in plane.centres:
        arc = np.arctan2(centre[1], centre[0]) + np.linspace(-wide, wide, 21)
        axes.plot(np.cos(arc), np.sin(arc), color=style.FAINT, linewidth=7.0, alpha=0.4, solid_capstyle="butt")
    coefficients = run.discriminator.transpose("time", "frequency").values
    k = np.arange(1, coefficients.shape[1] + 1)
    heights = 2 * np.real(np.where(np.isfinite(coefficients), coefficients, 0.0) @ np.exp(1j * k[:, None] * angle))
    largest = float(np.max(np.abs(heights))) or 1.0
    radius = 1 + _HEIGHT * heights / largest
    (curve,) = axes.plot([], [], color=style.feature_colour(1), linewidth=1.1, label="discriminator, from the circle")
    (points,) = axes.plot([], [], "o", color=CLOUD, markersize=4.0, markeredgewidth=0, alpha=0.8, label="particles")
    axes.set_xlim(plane.low[0], plane.high[0])
    axes.set_ylim(plane.low[1], plane.high[1])
    axes.set_aspect("equal")
    axes.set_xlabel(plane.labels[0])
    axes.set_ylabel(plane.labels[1])
    axes.legend(loc="center", fontsize=7.5)
    places = plane.project(cloud)

    def move(record: int) -> None:
        points.set_data(*places[record].T)
        curve.set_data(radius[record] * np.cos(angle), radius[record] * np.sin(angle))

    return move


def _line(axes: Axes, cloud: Array, game: Any) -> Callable[[int], None]:
    """Particles on a line, one above the other, over the modes."""
    target = game.target
    sources = target.sources[:, 0]
    reach = max(float(np.ptp(sources)), 2 * target.capture_radius)
    finite = cloud[np.isfinite(cloud)]
    low, high = sources.min() - 4 * target.width, sources.max() + 4 * target.width
    low = max(min(low, float(finite.min(initial=low))), low - reach)
    high = min(max(high, float(finite.max(initial=high))), high + reach)
    if game.real_points is None:
        for centre in target.centres[:, 0]:
            axes.axvspan(
                centre - target.capture_radius, centre + target.capture_radius, color=style.FAINT, alpha=0.12,
                linewidth=0,
            )  # fmt: skip
    else:
        axes.plot(sources, np.full(len(sources), -0.06), "|", color=style.FAINT, markersize=8, alpha=0.5)
    heights = (np.arange(cloud.shape[1]) + 0.5) / cloud.shape[1]
    (points,) = axes.plot([], [], "o", color=CLOUD, markersize=3.6, markeredgewidth=0, alpha=0.85)
    pad = 0.04 * (high - low)
    axes.set_xlim(low - pad, high + pad)
    axes.set_ylim(-0.12, 1.04)
    axes.set_xlabel("place  [length]")
    axes.set_ylabel("particle  [number / particles]")
    return lambda record: points.set_data(cloud[record, :, 0], heights)


def _strip(axes: Axes, run: xr.Dataset, last: int) -> Callable[[int], None]:
    """Order parameters up to the present."""
    times, lines = run.time.values, []
    top = 1.0
    for k, (name, text) in enumerate(_STRIP):
        values = run[name].values
        (line,) = axes.plot([], [], color=style.feature_colour(k), linestyle=_DASHES[k], linewidth=1.2, label=text)
        lines.append((line, values))
        finite = values[: last + 1][np.isfinite(values[: last + 1])]
        top = max(top, float(np.quantile(finite, 0.98))) if len(finite) else top
    axes.set_xlim(0.0, float(times[last]) or 1.0)
    axes.set_ylim(0.0, 1.06 * top)
    axes.set_xlabel(
        "time  [iterations]"
        if "axis" in run.positions.dims
        else "time  [step_size \N{MULTIPLICATION SIGN} iterations]",
        labelpad=1,
    )
    axes.set_ylabel("[1]")
    axes.legend(
        loc="lower center", bbox_to_anchor=(0.48, 0.98), ncols=4, fontsize=7.5, handlelength=1.8, columnspacing=1.2
    )

    def grow(record: int) -> None:
        for line, values in lines:
            line.set_data(times[: record + 1], values[: record + 1])

    return grow
