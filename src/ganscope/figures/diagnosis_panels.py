"""The panels of a diagnosis: each is one question, drawn from the report alone."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.patches import Circle, Rectangle
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from ganscope.figures import diagnosis_tables as tables
from ganscope.figures import style
from ganscope.figures.diagnosis_gamma import draw_gamma
from ganscope.figures.diagnosis_look import BLUE, ORANGE, SHADE, legend_above, remark
from ganscope.figures.diagnosis_reading import Array, Report, entries, number, numbers, points, section

Complex = npt.NDArray[np.complex128]

# Multipliers farther out are drawn at the rim of the view, as arrows.
_VIEW = 1.25
_DOT = 4.2
# Left end of the enlarged part.
_ZOOM = 1.72


class Panel(NamedTuple):
    """One panel.

    Attributes:
        name: For files and identifiers.
        title: The question.
        caption: What is to be seen, also for those who do not see it.
        shown: Whether a report has what it takes.
        draw: Draws into axes.
        table: The numbers that are drawn.
    """

    name: str
    title: str
    caption: str
    shown: Callable[[Report], bool]
    draw: Callable[[Axes, Report], None]
    table: Callable[[Report], tables.Table]


def _complex(report: Report, key: str) -> Complex:
    pairs = points(section(report, "spectrum").get(key))
    values: Complex = pairs[:, 0] + 1j * pairs[:, 1]
    return values[np.isfinite(values)]


def draw_multipliers(axes: Axes, report: Report) -> None:
    """Multipliers per iteration in the unit disc, and beside it the neighbourhood of 1, where slow motions are."""
    full, virtual = _complex(report, "multipliers_full"), _complex(report, "multipliers_virtual")
    axes.add_patch(Circle((0, 0), 1, facecolor=SHADE, edgecolor=style.FAINT, linewidth=0.9, zorder=0.5))
    axes.plot([-_VIEW, _VIEW], [0, 0], color=style.FAINT, linewidth=0.4, zorder=0.8)
    axes.set_anchor("N")
    axes.set(aspect="equal", xlim=(-_VIEW - 0.05, 3.45), ylim=(-_VIEW - 0.05, _VIEW + 0.05))
    axes.set_xticks([-1, 0, 1])
    axes.set_yticks([-1, 0, 1])
    axes.spines["bottom"].set_bounds(-_VIEW - 0.05, _VIEW + 0.05)
    axes.set_xlabel("real part", loc="left")
    axes.set_ylabel("imaginary part")
    _draw_multipliers(axes, full, virtual, _VIEW)
    slow = np.abs(virtual[np.abs(virtual - 1) < 0.6] - 1)
    size = float(np.clip(1.25 * np.quantile(slow, 0.95) if len(slow) else 0.0, 1e-3, 0.6))
    zoom = axes.inset_axes((_ZOOM, -0.95, 1.73, 1.9), transform=axes.transData)
    zoom.set(xlim=(1 - size, 1 + 0.82 * size), ylim=(-size, size))
    angles = np.linspace(-1, 1, 201) * min(np.pi, 2.2 * size)
    zoom.fill_betweenx(np.sin(angles), -1, np.cos(angles), color=SHADE, linewidth=0, zorder=0.5)
    zoom.plot(np.cos(angles), np.sin(angles), color=style.FAINT, linewidth=0.9, zorder=0.6)
    _draw_multipliers(zoom, full, virtual, None)
    zoom.set_title("near 1", fontsize=8, color=style.FAINT)
    zoom.tick_params(labelsize=7.5)
    zoom.locator_params(nbins=3)
    _draw_frame(axes, size)
    handles = [
        style.sample_points("virtual equilibrium", "o", BLUE),
        style.sample_points("all blocks kept", "o", ORANGE, filled=False),
    ]
    if np.any(tables.is_flip(virtual)) or np.any(tables.is_flip(full)):
        handles.append(style.sample_points("flip", "v", style.INK, filled=False))
    legend_above(axes, handles=handles, handletextpad=0.1)


def _draw_frame(axes: Axes, size: float) -> None:
    """What is enlarged: a frame, and lines from it to the enlargement."""
    left, right = 1 - size, 1 + 0.82 * size
    frame = Rectangle((left, -size), right - left, 2 * size, facecolor="none", edgecolor=style.FAINT, linewidth=0.7)
    axes.add_patch(frame)
    for side in (-1, 1):
        axes.plot([right, _ZOOM], [side * size, side * 0.95], color=style.FAINT, linewidth=0.5, zorder=0.9)


def _draw_multipliers(axes: Axes, full: Complex, virtual: Complex, rim: float | None) -> None:
    for values, colour, filled in ((full, ORANGE, False), (virtual, BLUE, True)):
        if rim is not None:
            far = np.abs(values) > rim
            at = values[far] / np.abs(values[far]) * rim
            axes.plot(at.real, at.imag, "X", color=colour, markersize=6, markeredgecolor="white", zorder=4)
            values = values[~far]
        for flips, marker in ((False, "o"), (True, "v")):
            some = values[tables.is_flip(values) == flips]
            axes.plot(
                some.real, some.imag, linestyle="", marker=marker, color=colour, markersize=_DOT + 1.5 * (not filled),
                markerfacecolor=colour if filled else "none", markeredgewidth=0.9, alpha=0.85, zorder=3,
            )  # fmt: skip


def draw_modes(axes: Axes, report: Report) -> None:
    """Damping ratio against rotation of every mode."""
    spectrum = section(report, "spectrum")
    sigma, damping = numbers(spectrum.get("sigma")), numbers(spectrum.get("damping_ratio"))
    count = min(len(sigma), len(damping))
    sigma, damping = sigma[:count], damping[:count]
    kept = np.isfinite(sigma) & np.isfinite(damping) & (sigma > 0)
    sigma, damping = sigma[kept], damping[kept]
    axes.set_xscale("log")
    smallest = float(np.min(np.abs(damping[damping != 0]), initial=1.0))
    if np.any(damping <= 0):
        axes.set_yscale("symlog", linthresh=max(smallest, 1e-3))
    else:
        axes.set_yscale("log")
    low, high = (np.min(damping, initial=0.5), np.max(damping, initial=2.0))
    axes.set_ylim(low / 2 if low > 0 else 2 * low - 1e-3, high * 2)
    axes.axhspan(axes.get_ylim()[0], 1, color=SHADE, linewidth=0, zorder=0.5)
    axes.axhline(1, color=style.INK, linewidth=1.0, linestyle=(0, (5, 1.5)), zorder=2)
    axes.plot(
        sigma, damping, linestyle="", marker="o", color=BLUE, markersize=5, markeredgecolor="white", markeredgewidth=0.5
    )
    for k in range(min(3, len(sigma))):
        remark(axes, f"{k + 1}", (sigma[k], damping[k]), "data", "data", right=5, up=3, colour=style.INK)
    remark(axes, "ζ = 1", (0.01, 1), y="data", up=3, colour=style.INK)
    remark(axes, "overdamped", (0.99, 0.98), ha="right", va="top")
    remark(axes, "rotates", (0.99, 0.03), ha="right")
    axes.set_xlabel("rotation σ  [radians / iteration]")
    axes.set_ylabel("damping ratio ζ")
    axes.margins(x=0.12)
    if len(sigma) and np.max(sigma) < 3 * np.min(sigma):
        axes.set_xlim(np.min(sigma) / 2, np.max(sigma) * 2)
    for axis, values in ((axes.xaxis, sigma), (axes.yaxis, np.abs(damping[damping != 0]))):
        narrow = len(values) == 0 or values.max() < 100 * values.min()
        if axis.get_scale() == "log":
            axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if narrow else (1.0,), numticks=9))
        axis.set_major_formatter(FuncFormatter(lambda value, _: style.number(value)))
        axis.set_minor_formatter(NullFormatter())


def draw_samples(axes: Axes, report: Report) -> None:
    """Generated samples over real ones, along the data's first two principal axes."""
    content = section(report, "samples")
    real, fake = points(content.get("real")), points(content.get("fake"))
    axes.plot(
        *real.T, linestyle="", marker="o", color=style.FAINT, markersize=3, alpha=0.45, markeredgewidth=0, label="data"
    )
    axes.plot(
        *fake.T, linestyle="", marker="o", color=ORANGE, markersize=3, alpha=0.75, markeredgewidth=0, label="generated"
    )
    axes.set_aspect("equal", adjustable="datalim")
    axes.set_xlabel("first principal axis")
    axes.set_ylabel("second principal axis")
    axes.locator_params(nbins=5)
    legend_above(axes, markerscale=1.6, handletextpad=0.1)


def margins(report: Report) -> tuple[Array, Array]:
    """The monitor's margins: iterations and margins, where there are both."""
    readings = entries(report, "history")
    pairs = [(number(reading.get("iteration")), number(reading.get("margin"))) for reading in readings]
    values = np.array([pair for pair in pairs if all(map(np.isfinite, pair))], np.float64).reshape(-1, 2)
    return values[:, 0], values[:, 1]


def draw_history(axes: Axes, report: Report) -> None:
    """The margin at every reading of the monitor."""
    at, margin = margins(report)
    axes.plot(at, margin, color=BLUE, marker="o", markersize=4)
    low, high = min(-1.0, float(margin.min())), max(1.0, float(margin.max()))
    axes.set_ylim(low - 0.15 * (high - low), high + 0.15 * (high - low))
    axes.axhspan(-np.log(2), np.log(2), color=SHADE, linewidth=0, zorder=0.5)
    axes.axhline(0, color=style.INK, linewidth=1.0, linestyle=(0, (5, 1.5)))
    remark(axes, "converging side", (0.99, 0.97), ha="right", va="top")
    remark(axes, "not converging", (0.99, 0.03), ha="right")
    axes.set_xlabel("iteration")
    axes.set_ylabel("margin  [ln (limit / score)]")


PANELS = (
    Panel(
        "multipliers",
        "Does it settle?",
        "Multipliers of one training iteration. A motion inside the unit circle dies out, one outside grows; its angle "
        "is its rotation per iteration. Filled: the virtual equilibrium, which the verdict rests on. Hollow: all "
        "blocks kept; these are outside the circle in healthy runs, too. Crosses on the rim lie farther out.",
        lambda report: len(_complex(report, "multipliers_virtual")) > 0,
        draw_multipliers,
        tables.multipliers,
    ),
    Panel(
        "modes",
        "Which modes rotate, and what damps them?",
        "Every dot is a pair of directions, one of each player, that chase each other: how fast they rotate, and how "
        "strongly the discriminator's friction damps them. Above ζ = 1 a mode creeps home without turning.",
        lambda report: len(tables.modes(report).rows) > 0,
        draw_modes,
        tables.modes,
    ),
    Panel(
        "gamma",
        "What would another gradient penalty do?",
        "Predicted wander and horizon cost against the gradient penalty, weights and noise frozen. The least cost is "
        "advised, within the recommended range. Diamonds are forks of this run that were really trained.",
        lambda report: len(numbers(section(report, "gamma_sweep").get("gamma"))) > 0,
        draw_gamma,
        tables.gamma,
    ),
    Panel(
        "samples",
        "Where are the samples?",
        "Generated samples over the data, along the first two principal axes of the data.",
        lambda report: bool(section(report, "samples").get("real")) and bool(section(report, "samples").get("fake")),
        draw_samples,
        tables.samples,
    ),
    Panel(
        "history",
        "How did the margin develop?",
        "The margin at every reading of the monitor: positive on the converging side. Within the band the verdict is "
        "undecided.",
        lambda report: len(margins(report)[0]) > 0,
        draw_history,
        tables.history,
    ),
)


def panels_of(report: Report) -> list[Panel]:
    """The panels for which a report has the numbers."""
    return [panel for panel in PANELS if panel.shown(report)]
