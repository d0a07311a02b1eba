"""Runs of particles as they are drawn: colour, mark and label of each, and the plane in which clouds are seen."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from ganscope.figures import style
from ganscope.figures.particle_look import Array
from ganscope.figures.shown import Shown, first_replica
from ganscope.games.particle.torus.fourier import PERIOD, mode_centres
from ganscope.games.particle.torus.model import TorusGAN

# A run ends where a particle is so many target scales (or so many turns of a circle) from the target.
_BLOWUP, _TURNS = 1e3, 1e6
# The view ends so many sizes of the target from it, whatever escapes.
_VIEW = 1.0
_LOOKS = {
    "particles": (style.feature_colour(0), "o"),
    "network": (style.feature_colour(1), "s"),
    "measured_kernel": (style.feature_colour(2), "^"),
    "two_numbers": (style.feature_colour(3), "D"),
    "linear": (style.INK, None),
}
_MARKS = ("v", "P", "<", ">", "p", "h", "*", "d")


def cloud_of(run: xr.Dataset) -> Array:
    """Positions of the first replica of a run, `[records, N, d]`; on a circle d = 1."""
    first = first_replica(run)
    if "axis" not in first.positions.dims:
        return np.asarray(first.positions.transpose("time", "particle").values, np.float64)[..., None]
    return np.asarray(first.positions.transpose("time", "particle", "axis").values, np.float64)


def shown_runs(runs: Sequence[xr.Dataset], game: Any) -> list[Shown]:
    """Runs with colours, marks and labels, theory last; a second run of a kind takes a new colour."""
    shown: list[Shown] = []
    labels = [_label(run) for run in runs]
    for given, label in zip(runs, labels, strict=True):
        run = until_it_blows_up(given, game)
        kind = _kind(run)
        colour, marker = _LOOKS[kind]
        again = sum(_kind(one.run) == kind for one in shown)
        if again:
            colour = style.feature_colour(again + 3)
            marker = _MARKS[(again - 1) % len(_MARKS)] if marker else None
        if labels.count(label) > 1:
            label = f"{label}, seed {run.attrs['seed']}"
        shown.append(Shown(run, np.asarray(run.time.values, np.float64), marker, colour, label))
    return sorted(shown, key=lambda one: one.marker is None)


def _kind(run: xr.Dataset) -> str:
    level = str(run.attrs["level"])
    return str(run.attrs.get("motion", level)) if level == "network" else level


def _label(run: xr.Dataset) -> str:
    kind = _kind(run)
    parts = {
        "measured_kernel": "particles with the network's measured kernel",
        "two_numbers": "particles with two numbers of that kernel",
        "linear": "linear theory",
    }
    texts = [parts.get(kind, kind)]
    if run.attrs["level"] == "network":
        texts.append(f"{run.attrs['generator_activation']} generator")
    if run.attrs.get("rule", "alternating") != "alternating":
        texts.append(str(run.attrs["rule"]))
    if run.attrs.get("order", "discriminator_first") != "discriminator_first":
        texts.append("generator first")
    if run.attrs.get("scheme", "second_order") != "second_order":
        texts.append("first order")
    if run.attrs.get("step_size") is not None:
        texts.append(f"step_size = {style.number(run.attrs['step_size'])}")
    if "replica" in run.dims:
        texts.append(f"{run.sizes['replica']} replicas")
    return ", ".join(texts)


def until_it_blows_up(run: xr.Dataset, game: Any) -> xr.Dataset:
    """A run with NaN from where a particle leaves every bounded region."""
    size = abs(run.positions).max([d for d in run.positions.dims if d not in ("time", "replica")], skipna=False)
    start = size.isel(time=0, drop=True)
    if isinstance(game, TorusGAN):
        limit = _TURNS * PERIOD + start
    else:
        limit = _BLOWUP * (game.target.scale + float(np.abs(game.target.mean).max())) + start
    beyond = ~(size <= limit)
    if not bool(beyond.any()):
        return run
    cut = run.where(~(beyond.astype(np.int64).cumsum("time") > 0))
    cut.attrs = run.attrs
    return cut


def series(axes: Axes, one: Shown, values: Any, colour: str, **options: Any) -> None:
    """A quantity over time, `[records]` or `[replicas, records]`: points of a simulation, a line of linear theory."""
    array = values.transpose(..., "time").values if isinstance(values, xr.DataArray) else values
    samples = np.atleast_2d(np.asarray(array, np.float64))
    if one.marker is None:
        options.pop("filled", None)
        style.line(axes, one.times, samples[0], colour, zorder=3, linewidth=1.2, **options)
    else:
        style.points(axes, one.times, samples, colour, options.pop("marker", one.marker), zorder=2, **options)


class Plane(NamedTuple):
    """The plane in which a cloud of at least two dimensions, or on a circle, is seen.

    Attributes:
        origin, axes: Projection of a point x: (x - origin) @ axes, shapes `[d]` and `[d, 2]`; None on a circle.
        low, high: Corners of what is shown.
        labels: Of both axes.
        centres: Modes in the plane, `[M, 2]`.
        sources: Real points in the plane, `[S, 2]`, or None.
    """

    origin: Array | None
    axes: Array | None
    low: Array
    high: Array
    labels: tuple[str, str]
    centres: Array
    sources: Array | None

    def project(self, x: Array) -> Array:
        """Places `[..., 2]` of positions `[..., d]`."""
        if self.axes is None or self.origin is None:
            return np.concatenate([np.cos(x), np.sin(x)], axis=-1)
        return np.asarray((x - self.origin) @ self.axes)


def plane_of(game: Any, clouds: Sequence[Array] = ()) -> Plane:
    """The plane of a game: its own, the principal axes of its target, or the plane of the circle."""
    if isinstance(game, TorusGAN):
        centres = mode_centres(game.modes)[:, None]
        places = np.concatenate([np.cos(centres), np.sin(centres)], axis=1)
        half = np.full(2, 1.45)
        return Plane(None, None, -half, half, ("cos x  [1]", "sin x  [1]"), places, None)
    target = game.target
    if game.axes == 2:
        origin, basis = np.zeros(2), np.eye(2)
        labels = ("first coordinate  [length]", "second coordinate  [length]")
    else:
        origin = target.mean
        basis = np.linalg.svd(target.sources - origin, full_matrices=True)[2][:2].T
        labels = ("first principal axis  [length]", "second principal axis  [length]")
    free = Plane(origin, basis, np.zeros(2), np.zeros(2), labels, np.zeros((0, 2)), None)
    sources = free.project(target.sources)
    room = 3 * target.width if game.real_points is not None or game.axes > 2 else target.capture_radius
    low, high = sources.min(axis=0) - room, sources.max(axis=0) + room
    size = max(float(np.max(high - low)), 2 * target.capture_radius)
    limits = low - _VIEW * size, high + _VIEW * size
    for cloud in clouds:
        places = free.project(cloud).reshape(-1, 2)
        places = places[np.isfinite(places).all(axis=1)]
        if len(places):
            low, high = np.minimum(low, places.min(axis=0)), np.maximum(high, places.max(axis=0))
    low, high = np.maximum(low, limits[0]), np.minimum(high, limits[1])
    half = 0.53 * max(float(np.max(high - low)), 1e-3 * size, 1e-12)
    middle = 0.5 * (low + high)
    shown = sources if game.real_points is not None else None
    return free._replace(low=middle - half, high=middle + half, centres=free.project(target.centres), sources=shown)
