"""How particles, their targets and their discriminators look in every picture."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.patches import Circle, Patch
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from ganscope.figures import style

Array = npt.NDArray[np.float64]

DASHED, DOTTED = (0, (5, 1.5)), (0, (1.2, 1.2))
COUPLING = "coupling number  [1]"
PENALTY = "gradient_penalty  [1]"
# Colour, mark and dashes of a discriminator's activation.
ACTIVATIONS: dict[str, tuple[str, str, Any]] = {
    "relu": ("#0072B2", "o", "-"),
    "tanh": ("#D55E00", "s", DASHED),
    "sin": ("#009E73", "^", (0, (5, 1.5, 1.2, 1.5))),
    "softplus": ("#CC79A7", "D", DOTTED),
    "erf": ("#666666", "v", (0, (8, 2, 1.2, 2, 1.2, 2))),
}
CLOUD = style.feature_colour(0)


def activation_entry(name: str, line: bool = False) -> Artist:
    """Legend entry of a discriminator."""
    colour, marker, dashes = ACTIVATIONS[name]
    if line:
        return style.sample_line(name, colour, dashes, marker=marker)
    return style.sample_points(name, marker, colour)


def couplings_axis(axis: Any, values: Sequence[float]) -> None:
    """A logarithmic axis with a tick at every coupling number that was simulated."""
    axis.set_major_locator(FixedLocator([float(v) for v in values]))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: style.number(value)))


def edges(values: Sequence[float] | Array) -> Array:
    """Edges of cells around increasing positive values, halfway on a logarithmic axis."""
    logs = np.log(np.asarray(values, np.float64))
    if len(logs) == 1:
        return np.asarray(np.exp(logs[0] + np.array([-0.5, 0.5])))
    middle = (logs[1:] + logs[:-1]) / 2
    return np.asarray(np.exp(np.concatenate([[2 * logs[0] - middle[0]], middle, [2 * logs[-1] - middle[-1]]])))


def modes_in_plane(axes: Axes, centres: Array, capture_radius: float, mode_width: float = 0.0) -> None:
    """Modes of a target in a plane: how far they capture, and their width where it shows."""
    for centre in centres:
        axes.add_patch(Circle(tuple(centre), capture_radius, color=style.FAINT, alpha=0.12, linewidth=0))
        if mode_width > 0:
            axes.add_patch(Circle(tuple(centre), mode_width, fill=False, color=style.FAINT, linewidth=0.8))


def capture_entry(capture_radius: float) -> Artist:
    """Legend entry of the reach of a mode."""
    return Patch(facecolor=style.FAINT, alpha=0.25, label=f"captured: within {capture_radius:.3g} of a mode")


def bars(axes: Axes, x: Any, samples: Array, colour: str, marker: str, **options: Any) -> None:
    """Mean and standard deviation of samples `[x, replica]`, joined by a faint line that guides the eye."""
    mean, deviation = samples.mean(axis=1), samples.std(axis=1)
    look: dict[str, Any] = dict(color=colour, markersize=4.5, elinewidth=0.9, linewidth=0.7) | options
    axes.errorbar(x, mean, deviation if samples.shape[1] > 1 else None, marker=marker, **look)
