"""Outcomes as areas and marks: colours, letters, outlines, and what stands in the legend.

An outcome has its colour, its letter and its mark in every picture. The colours are apart in lightness alone, so that
they can be told in greyscale and by colour-blind people; the letters and marks do without colour altogether.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import ListedColormap
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle
from matplotlib.patheffects import AbstractPathEffect, Stroke, withStroke
from scipy import ndimage

from ganscope.figures import style
from ganscope.figures.sweep_view import Scale

Codes = npt.NDArray[np.int8]


class Look(NamedTuple):
    """How an outcome is drawn: the colour of its cells, the letter on them, the mark of a simulated cell."""

    colour: str
    letter: str
    marker: str


OUTCOMES = {
    "converged": Look("#3D8BCD", "C", "o"),
    "oscillating": Look("#F39C33", "O", "s"),
    "collapsed": Look("#8A3F93", "M", "v"),
    "uninformative": Look("#CFD2D6", "U", "D"),
    "diverged": Look("#33302F", "D", "^"),
    "undecided": Look("#FFF7C2", "?", "P"),
}
# Codes of cells: the number of their outcome, or one of these.
MISSING, FAILED = -1, len(OUTCOMES)
FAILED_STATUS = 2
EMPTY = "#C4C4C4"
# Along an axis of more cells, marks are thinned.
MOST_MARKS = 48
# A region gets a letter if a square of this share of the panel fits into it; so many regions of an outcome do.
_ROOM, _MOST_LETTERS = 0.07, 3


def outcome_codes(outcome: npt.NDArray[Any], status: npt.NDArray[Any] | None = None) -> Codes:
    """Numbers of outcomes, `MISSING` where there is none, `FAILED` where the cell failed."""
    texts = np.asarray(outcome).astype(str)
    codes = np.full(texts.shape, MISSING, np.int8)
    for code, name in enumerate(OUTCOMES):
        codes[texts == name] = code
    if status is not None:
        codes[np.asarray(status) == FAILED_STATUS] = FAILED
        codes[np.asarray(status) == 0] = MISSING
    return codes


def fill(axes: Axes, x: Scale, y: Scale, codes: Codes) -> None:
    """Cells `[y, x]` in the colours of their outcomes; missing ones hatched, failed ones with a cross."""
    _background(axes, x, y, bool(np.any(codes == MISSING)))
    colours = ListedColormap([*(look.colour for look in OUTCOMES.values()), "#FFFFFF"])
    shown = np.ma.masked_equal(codes, MISSING)
    axes.pcolormesh(x.edges, y.edges, shown, cmap=colours, vmin=-0.5, vmax=FAILED + 0.5, rasterized=True, linewidth=0)
    crosses(axes, x, y, codes == FAILED)


def heat(axes: Axes, x: Scale, y: Scale, values: npt.NDArray[Any], failed: npt.NDArray[Any], norm: Any) -> Any:
    """Numbers `[y, x]` as colours; cells without one hatched, failed ones with a cross."""
    _background(axes, x, y, not np.all(np.isfinite(values)))
    shown = np.ma.masked_invalid(values)
    mesh = axes.pcolormesh(x.edges, y.edges, shown, cmap="cividis", norm=norm, rasterized=True, linewidth=0)
    crosses(axes, x, y, failed)
    return mesh


def _background(axes: Axes, x: Scale, y: Scale, hatched: bool) -> None:
    axes.set_axisbelow(False)
    for side in ("top", "right"):
        axes.spines[side].set_visible(True)
    if hatched:
        area = (x.edges[-1] - x.edges[0], y.edges[-1] - y.edges[0])
        axes.add_patch(Rectangle((x.edges[0], y.edges[0]), *area, **_HATCHED, zorder=0))


_HATCHED: dict[str, Any] = {"facecolor": "white", "edgecolor": EMPTY, "hatch": "//////", "linewidth": 0.0}


def crosses(axes: Axes, x: Scale, y: Scale, where: npt.NDArray[Any]) -> None:
    """A cross on every cell of a mask `[y, x]`."""
    rows, columns = np.nonzero(where)
    size = np.clip(0.6 * cell_size(axes, x, y), 2.0, 6.0)
    look: dict[str, Any] = dict(linestyle="", marker="x", color="#B00020", markersize=size, markeredgewidth=1.1)
    axes.plot(x.places[columns], y.places[rows], zorder=6, rasterized=len(rows) > 2000, **look)


def cell_size(axes: Axes, x: Scale, y: Scale) -> float:
    """Width or height of a cell, whichever is smaller, in points; roughly, before the layout is known."""
    width, height = axes.figure.get_size_inches() / _grid(axes)  # type: ignore[union-attr]
    return float(72 * 0.75 * min(width / len(x.places), height / len(y.places)))


def _grid(axes: Axes) -> npt.NDArray[Any]:
    place = axes.get_subplotspec()
    return np.array([1, 1] if place is None else place.get_gridspec().get_geometry()[::-1])


def outline(axes: Axes, x: Scale, y: Scale, codes: Codes, **look: Any) -> None:
    """Lines between cells `[y, x]` of different outcomes."""
    options: dict[str, Any] = dict(color="#000000", linewidths=1.3, capstyle="round", zorder=4) | look
    segments = list(_steps(x.edges, y.edges, codes))
    segments += [s[:, :, ::-1] for s in _steps(y.edges, x.edges, codes.T)]
    count = sum(map(len, segments))
    axes.add_collection(
        LineCollection(list(np.concatenate(segments)), rasterized=count > 5000, **options), autolim=False
    )


def _steps(along: npt.NDArray[Any], across: npt.NDArray[Any], codes: Codes) -> Iterator[npt.NDArray[np.float64]]:
    """Pieces `[pieces, 2, 2]` of the lines between neighbours along the last axis of codes."""
    left, right = codes[:, :-1], codes[:, 1:]
    decided = [(side != MISSING) & (side != FAILED) for side in (left, right)]
    rows, columns = np.nonzero((left != right) & decided[0] & decided[1])
    place = along[columns + 1]
    start, end = np.stack([place, across[rows]], -1), np.stack([place, across[rows + 1]], -1)
    yield np.stack([start, end], 1).reshape(-1, 2, 2)


def letters(
    axes: Axes, x: Scale, y: Scale, codes: Codes, avoid: npt.NDArray[Any] | None = None, between: bool = False
) -> None:
    """The letter of every outcome in the widest places of its largest regions; not on cells to `avoid`.

    Where cells have marks, letters stand `between` four cells of the outcome, and are left out if there are none.
    """
    sampling = (1 / codes.shape[0], 1 / codes.shape[1])
    across, up = (x.edges[1:-1], y.edges[1:-1]) if between else (x.places, y.places)
    for code, look in enumerate(OUTCOMES.values()):
        mine = codes == code
        if avoid is not None and (between or np.any(mine & ~avoid)):
            mine = mine & ~avoid
        if between:
            mine = mine[:-1, :-1] & mine[1:, :-1] & mine[:-1, 1:] & mine[1:, 1:]
        if not np.any(mine):
            continue
        labels, count = ndimage.label(mine)
        depth = ndimage.distance_transform_edt(np.pad(mine, 1), sampling=sampling)[1:-1, 1:-1]
        room = 2 * np.asarray(ndimage.maximum(depth, labels, np.arange(1, count + 1)))
        chosen = [k for k in np.argsort(-room)[:_MOST_LETTERS] if room[k] >= _ROOM or k == np.argmax(room)]
        for k in chosen:
            row, column = _middle((labels == k + 1) & (depth >= 0.499 * room[k]))
            axes.text(
                across[column], up[row], look.letter, ha="center", va="center", fontsize=8, fontweight="bold",
                color="#000000", zorder=8, path_effects=[withStroke(linewidth=2.2, foreground="white")],
            )  # fmt: skip


def _middle(mask: npt.NDArray[Any]) -> tuple[int, int]:
    """The cell of a mask that is nearest to the mean of its cells."""
    places = np.argwhere(mask)
    nearest = places[np.argmin(np.sum((places - places.mean(axis=0)) ** 2, axis=1))]
    return int(nearest[0]), int(nearest[1])


def near_dots(axes: Axes, x: Scale, y: Scale, near: npt.NDArray[Any]) -> None:
    """A faint dot on cells that are near critical, thinned."""
    shown = near & thinned(near.shape)
    rows, columns = np.nonzero(shown)
    size = float(np.clip(0.3 * cell_size(axes, x, y), 1.0, 2.4))
    look: dict[str, Any] = dict(linestyle="", marker="o", markersize=size, markeredgewidth=0.25)
    look |= dict(markerfacecolor="white", markeredgecolor="#555555", alpha=0.8)
    axes.plot(x.places[columns], y.places[rows], zorder=3, **look)


def thinned(shape: tuple[int, ...]) -> npt.NDArray[np.bool_]:
    """Which cells of a lattice show marks: all, or equally spaced ones of a fine lattice."""
    masks = [np.isin(np.arange(n), style.thin(n, MOST_MARKS - 1)) for n in shape]
    return np.logical_and.outer(masks[0], masks[1])


class Agreement(NamedTuple):
    """Where two outcomes agree and where they differ, over cells `[y, x]`.

    Attributes:
        same: Both decide, equally.
        near: They differ, and one of them is near critical.
        apart: They differ, and neither is near critical.
    """

    same: npt.NDArray[np.bool_]
    near: npt.NDArray[np.bool_]
    apart: npt.NDArray[np.bool_]


def agreement(predicted: Codes, simulated: Codes, near: npt.NDArray[Any]) -> Agreement:
    """Compare outcomes; a side that is undecided, missing or failed neither agrees nor differs."""
    undecided = list(OUTCOMES).index("undecided")
    decided = np.ones(predicted.shape, bool)
    for codes in (predicted, simulated):
        decided &= (codes >= 0) & (codes < undecided)
    same, near = decided & (predicted == simulated), np.asarray(near, bool)
    return Agreement(same, decided & ~same & near, decided & ~same & ~near)


def marks(axes: Axes, x: Scale, y: Scale, simulated: Codes, said: Agreement) -> None:
    """Simulated outcomes as marks: thinned where they agree with theory, all and framed where they differ."""
    size = 0.62 * cell_size(axes, x, y)
    few = thinned(simulated.shape)
    spared = max(1.0, min(size * max(n / MOST_MARKS for n in simulated.shape), 0.62 * 72 * 0.05))
    plain = float(np.clip(max(size, spared if min(few.shape) and not few.all() else 0), 1.2, 4.6))
    loud = float(np.clip(1.25 * size, 1.6, 7.0))
    quiet = few & ~said.near & ~said.apart
    for code, (name, look) in enumerate(OUTCOMES.items()):
        mine = simulated == code
        kinds = (
            (mine & quiet, plain * (0.75 if name == "undecided" else 1.0), 0.35, _rim(name), 5),
            (mine & said.near, max(plain, 0.8 * loud), 0.1 * loud, "#000000", 6),
            (mine & said.apart, loud, 0.22 * loud, "#000000", 7),
        )
        for where, big, edge, ink, order in kinds:
            rows, columns = np.nonzero(where)
            if len(rows):
                axes.plot(
                    x.places[columns], y.places[rows], linestyle="", marker=look.marker, markersize=big,
                    markerfacecolor=look.colour, markeredgecolor=ink, markeredgewidth=edge, zorder=order,
                    rasterized=len(rows) > 2000, clip_on=True,
                    path_effects=_framed(big, edge, name) if order > 5 else None,
                )  # fmt: skip


def _framed(size: float, edge: float, name: str) -> list[AbstractPathEffect]:
    """A white halo around a black frame, for dark areas; for a dark mark also a white line within the frame."""
    halo, inner = min(0.8, 0.15 * size), min(0.7, 0.13 * size)
    if name != "diverged":
        return [withStroke(linewidth=edge + 2 * halo, foreground="white")]
    widths = ((inner + 2 * edge + 2 * halo, "white"), (inner + 2 * edge, "black"), (inner, "white"))
    return [Stroke(linewidth=width, foreground=ink) for width, ink in widths]


def _rim(name: str) -> str:
    """What keeps a mark apart from an area of its own colour."""
    return "#666666" if name == "undecided" else "white"


def area_entries(codes: Codes, simulated: Codes | None = None) -> list[Any]:
    """Legend entries of the outcomes that there are, with their letters and how often they occur, simulated too."""
    return [_area(OUTCOMES[name], label) for name, label in _counted(codes, simulated)]


def _counted(codes: Codes, simulated: Codes | None) -> Iterator[tuple[str, str]]:
    """The outcomes that there are, with a text that counts them."""
    for code, name in enumerate(OUTCOMES):
        counts = [int(np.count_nonzero(side == code)) for side in (codes, simulated) if side is not None]
        if any(counts):
            yield name, f"{name}: {', simulated '.join(map(str, counts))}"


def marked_entries(predicted: Codes, simulated: Codes) -> list[Any]:
    """Legend entries of areas with the marks of the same outcome, with both counts."""
    entries: list[Any] = []
    for name, label in _counted(predicted, simulated):
        look = OUTCOMES[name]
        entries.append((_area(look, label), _mark(look.marker, look.colour, _rim(name), 5.0, 0.8, label)))
    return entries


def _area(look: Look, label: str) -> Patch:
    return Patch(facecolor=look.colour, edgecolor=style.FAINT, linewidth=0.4, label=f"{look.letter}  {label}")


def _mark(marker: str, face: str, ink: str, size: float, edge: float, label: str) -> Line2D:
    return Line2D(
        [], [], linestyle="", marker=marker, markersize=size, markerfacecolor=face, markeredgecolor=ink,
        markeredgewidth=edge, label=label,
    )  # fmt: skip


def difference_entries(said: Agreement, close: str) -> list[Artist]:
    """Legend entries of marks where theory and simulation differ; `close` says what the near cells are."""
    entries: list[Artist] = []
    if np.any(said.apart):
        entries.append(_mark("o", "white", "#000000", 6.0, 1.5, f"they differ: {np.count_nonzero(said.apart)}"))
    if np.any(said.near):
        text = f"differ, {close}: {np.count_nonzero(said.near)}"
        entries.append(_mark("o", "white", "#000000", 5.0, 0.6, text))
    return entries


def state_entries(failed: int, missing: int, near: int = 0, close: str = "near critical") -> list[Artist]:
    """Legend entries of cells without a result, and of those near critical (or `close`) where dots show them."""
    entries: list[Artist] = []
    if near:
        entries.append(_mark("o", "white", "#555555", 2.6, 0.4, f"{close}: {near}"))
    if failed:
        entries.append(_mark("x", "#B00020", "#B00020", 5.0, 1.2, f"failed: {failed}"))
    if missing:
        entries.append(Patch(**_HATCHED, label=f"not computed yet: {missing}"))
    return entries
