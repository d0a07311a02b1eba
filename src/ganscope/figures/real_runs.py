"""Pictures of training runs of a user's own GAN: where its samples went, how far from the data, and how restlessly.

Everything is in data radii, R = sqrt(trace Cov(data)), and along the data's own principal axes.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ganscope.core.errors import NotApplicable
from ganscope.core.outcome import Prediction
from ganscope.figures import style
from ganscope.figures.shown import Shown, first_replica

Array = npt.NDArray[np.float64]

# A run ends where a sample is so many data radii from the data.
_BLOWUP = 1e3
# Wander is taken over the last eighth of the records, but no fewer than these; above the limit a run does not settle.
_WINDOW, _FEWEST, _LIMIT = 8, 4, 0.1
# Smaller values are drawn as this one, on logarithmic axes.
_FLOORS = {"energy_distance": 1e-3, "spread": 1e-3, "gradient_norm": 1e-6, "wander": 1e-3}
# An axis that spans a larger factor has room for powers of ten alone.
_WIDE = 1e3
# The view ends so many data radii from the data's mean, whatever escapes.
_VIEW = 3.0
_MARKS = ("o", "s", "^", "D", "v", "P", "<", ">")
_START = style.feature_colour(4)


def draw_runs(runs: Sequence[xr.Dataset], game: Any, title: str | None) -> Figure:
    """Runs of one game over each other: samples over the data, distance and spread, wander, and gradient norms."""
    shown = [_shown(run, k, runs) for k, run in enumerate(runs)]
    figure, axes = style.panels(1, 4, size=(3.5, 3.2))
    places, distance, motion, gradients = axes[0]
    entries = _places(places, shown)
    entries += _two(distance, shown, [("energy distance", "energy_distance"), ("spread", "spread")])
    distance.set_ylabel("energy distance  [R],\nspread  [data's variance]")
    distance.set_title("distance from the data")
    _draw_wander(motion, shown)
    players = [("generator", "gradient_norm", 0), ("discriminator", "gradient_norm", 1)]
    entries += _two(gradients, shown, players, first=2)
    gradients.set_ylabel("gradient norm  [1]")
    gradients.set_title("gradients")
    end = max(float(one.times[-1]) for one in shown) or 1.0
    for panel in (distance, motion, gradients):
        panel.set_xlabel("time  [iterations]")
        panel.set_xlim(-0.02 * end, 1.02 * end)
    for panel in (distance, motion, gradients):
        panel.set_yscale("log")
        low, high = panel.get_ylim()
        if high < _WIDE * low:
            style.log_axis(panel.yaxis)
    if len(shown) > 1:
        entries.append(style.sample_points("open: spread, discriminator", "o", style.FAINT, filled=False))
    style.letter(axes[0])
    entries += [one.entry for one in shown] if len(shown) > 1 else []
    if not all(one.whole for one in shown):
        entries.append(style.sample_points("breaks down", "X", style.FAINT))
    columns = len(entries) if len(entries) < 8 else -(-len(entries) // 2)
    style.finish(figure, title or "Training of a real GAN", parameters(game, shown), entries, columns)
    return figure


def draw_prediction(prediction: Prediction, title: str | None) -> Figure:
    """There is none: the picture of what is predicted of a real GAN is that of its diagnosis."""
    raise NotApplicable("there is no picture of a prediction for a real GAN: plot what gs.diagnose returns")


def parameters(game: Any, shown: Sequence[Shown]) -> str:
    """The settings that the picture must state."""
    texts = [f"{game.order} updates, {game.discriminator_steps} discriminator step(s)"]
    for name in ("generator", "discriminator"):
        player = getattr(game.rule, name)
        texts.append(f"{name} {player.kind}, learning rate {style.number(getattr(game, f'{name}_lr'))}")
    texts.append(f"gradient_penalty = {style.number(game.gradient_penalty)}")
    texts.append(f"batches of {game.train_batch_size}")
    return f"{'; '.join(texts)}; R = {style.number(_frame(shown[0].run)[1])}"


def _shown(run: xr.Dataset, place: int, runs: Sequence[xr.Dataset]) -> Shown:
    """A run with its look, NaN from where it breaks down on."""
    label = f"seed {run.attrs['seed']}" + (f", {run.sizes['replica']} replicas" if "replica" in run.dims else "")
    if len({str(other.attrs.get("rule")) for other in runs}) > 1:
        label = f"{run.attrs.get('rule')}, {label}"
    middle, radius, _ = _frame(run)
    far = abs(run.generated_points - xr.DataArray(middle, dims="axis")).max(["sample", "axis"], skipna=False)
    broken = (~(far <= _BLOWUP * radius)).astype(np.int64).cumsum("time") > 0
    kept = {name: run[name].where(~broken) for name in run.data_vars if "time" in run[name].dims}
    cut = run.assign(kept)
    colour = style.feature_colour(place if place < 4 else place + 1)
    return Shown(cut, np.asarray(run.time.values, np.float64), _MARKS[place % len(_MARKS)], colour, label)


def _frame(run: xr.Dataset) -> tuple[Array, float, Array]:
    """Mean of the data `[d]`, data radius, and its principal axes `[d, 2]` (`[1, 1]` on a line)."""
    real = np.asarray(first_replica(run).real_points.transpose("real_sample", "axis").values, np.float64)
    middle = real.mean(axis=0)
    principal = np.linalg.svd(real - middle, full_matrices=False)[2][:2].T
    # of the two directions of an axis the one in which its largest component grows
    signs = np.sign(principal[np.argmax(np.abs(principal), axis=0), np.arange(principal.shape[1])])
    radius = float(np.sqrt(real.var(axis=0, ddof=1).sum()))
    return middle, radius or 1.0, principal * signs


def _places(axes: Axes, shown: Sequence[Shown]) -> list[Artist]:
    """The data, the samples at the start, and those at the end of every run."""
    middle, radius, principal = _frame(shown[0].run)

    def seen(points: xr.DataArray) -> Array:
        return np.asarray((points.transpose(..., "axis").values - middle) @ principal / radius, np.float64)

    clouds = [first_replica(one.run).generated_points.transpose("time", "sample", "axis") for one in shown]
    parts = [("data", seen(first_replica(shown[0].run).real_points), style.FAINT, True)]
    parts.append(("samples at the start", seen(clouds[0][0]), _START, False))
    for one, cloud in zip(shown, clouds, strict=True):
        end = "last samples" if one.last < len(one.times) - 1 else "samples at the end"
        parts.append((end, seen(cloud[one.last]), one.colour, True))
    draw = _in_plane if principal.shape[1] == 2 else _on_line
    for name, points, colour, filled in parts:
        draw(axes, points[np.isfinite(points).all(axis=1)], colour, filled, name == "data")
    size = max(float(np.max(np.abs(points), initial=0.0, where=np.isfinite(points))) for _, points, *_ in parts)
    half = 1.08 * min(max(size, 0.1), _VIEW)
    axes.set_xlim(-half, half)
    axes.set_xlabel("first principal axis of the data  [R]")
    if principal.shape[1] == 2:
        axes.set(ylim=(-half, half), aspect="equal")
        axes.set_ylabel("second principal axis  [R]")
    axes.set_title("samples over the data")
    named = {name: (colour if len(shown) == 1 else style.FAINT, filled) for name, _, colour, filled in parts}
    named |= {"data": (style.FAINT, True), "samples at the start": (_START, False)}
    kept = [name for name in named if len(shown) == 1 or name in ("data", "samples at the start")]
    return [style.sample_points(name, "o", named[name][0], filled=named[name][1]) for name in kept]


def _in_plane(axes: Axes, points: Array, colour: str, filled: bool, behind: bool) -> None:
    axes.plot(
        *points.T, linestyle="", marker="o", color=colour, markersize=2.6, alpha=0.45 if behind else 0.8,
        markerfacecolor=colour if filled else "none", markeredgewidth=0.0 if filled else 0.6, zorder=1 if behind else 2,
    )  # fmt: skip


def _on_line(axes: Axes, points: Array, colour: str, filled: bool, behind: bool) -> None:
    """Histograms, of data on a line."""
    edges = np.linspace(-_VIEW, _VIEW, 61)
    look: dict[str, Any] = (
        {"histtype": "stepfilled", "alpha": 0.3} if behind else {"histtype": "step", "linewidth": 1.4}
    )
    axes.hist(points[:, 0], edges.tolist(), density=True, color=colour, linestyle="-" if filled else ":", **look)
    axes.set_ylabel("density  [1 / R]")


def _two(axes: Axes, shown: Sequence[Shown], parts: Sequence[tuple[Any, ...]], first: int = 0) -> list[Artist]:
    """Two quantities over time: a colour each for a single run, otherwise full and open points.

    Args:
        axes: Where to draw.
        shown: The runs.
        parts: What each is called, its variable, and of a variable with players the player.
        first: Which mark and colour the first one has.
    """
    single = len(shown) == 1
    entries: list[Artist] = []
    for k, (text, name, *player) in enumerate(parts):
        colour, marker = style.feature_colour(first + k), _MARKS[first + k]
        for one in shown:
            values = one.run[name].isel(player=player[0]) if player else one.run[name]
            samples = np.atleast_2d(np.asarray(values.transpose(..., "time").values, np.float64))
            samples = np.maximum(samples, _FLOORS[name])
            if player:
                samples[:, one.times == 0] = np.nan  # no gradient was computed yet
            style.points(
                axes, one.times, samples, colour if single else one.colour, marker if single else one.marker or "o",
                filled=single or k == 0,
            )  # fmt: skip
        entries.append(style.sample_points(text, marker, colour))
    return entries if single else []


def _draw_wander(axes: Axes, shown: Sequence[Shown]) -> None:
    """Wander of every run, and the limit."""
    for one in shown:
        style.points(axes, one.times, _wander(one.run), one.colour, one.marker or "o")
    axes.axhline(_LIMIT, color=style.FAINT, linewidth=0.9, linestyle=(0, (5, 1.5)), zorder=1)
    axes.annotate(
        f"limit {_LIMIT:g}", (0.01, _LIMIT), xycoords=("axes fraction", "data"), xytext=(0, 3),
        textcoords="offset points", fontsize=8, color=style.FAINT,
        bbox={"facecolor": "white", "alpha": 0.75, "edgecolor": "none", "pad": 0.5},
    )  # fmt: skip
    axes.set_ylabel(f"wander over {_window(len(shown[0].times))} records  [R]")
    axes.set_title("motion of the centre of mass")


def _window(records: int) -> int:
    """Over how many of its last records a wander is taken."""
    return max(_FEWEST, records // _WINDOW)


def _wander(run: xr.Dataset) -> Array:
    """Wander of the centre of mass over the last records, in data radii, `[replicas, records]`; NaN where too few."""
    _, radius, _ = _frame(run)
    centre = run.generated_points.mean("sample", skipna=False).transpose(..., "time", "axis").values / radius
    paths = centre.reshape(-1, *centre.shape[-2:])
    records = paths.shape[1]
    window = _window(records)
    told = np.full(paths.shape[:2], np.nan)
    for k in range(_FEWEST - 1, records):
        part = paths[:, max(0, k + 1 - window) : k + 1]
        told[:, k] = np.sqrt(part.var(axis=1).sum(axis=-1))
    return np.maximum(told, _FLOORS["wander"])
