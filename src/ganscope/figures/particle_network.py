"""The figures about real generators and real data, from the data of `claims.recipes_particle_network`.

Every function takes the data sets of its recipe, by name, and returns a figure. None of them simulates.

References:
    Durr, Mroueh, Tu, Wang. Effective dynamics of generative adversarial networks. Phys. Rev. X 13, 041004 (2023).
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from ganscope.figures import style
from ganscope.figures.particle_look import (
    ACTIVATIONS,
    CLOUD,
    COUPLING,
    DASHED,
    DOTTED,
    bars,
    couplings_axis,
)

Data = Mapping[str, xr.Dataset]

_DASHES = ("-", DASHED, DOTTED)
# Particles of F3 whose paths are shown.
_PATHS = 10


def kernel_ratios(data: Data) -> Figure:
    """F1: the ratio of both kernel numbers against depth."""
    theory, measured = data["theory"], data["measured"]
    figure, axes = style.panels(1, 1, size=(6.6, 4.0))
    panel = axes[0, 0]
    handles: list[Artist] = []
    seen: dict[str, int] = {}
    for i in range(theory.sizes["network"]):
        one, points = theory.isel(network=i), measured.isel(network=i)
        activation = str(one.activation.values)
        colour, marker, _ = ACTIVATIONS[activation]
        dashes = _DASHES[seen.get(activation, 0) % 3]
        seen[activation] = seen.get(activation, 0) + 1
        biased = float(one.bias_variance) > 0 or activation == "relu"
        # odd activations without biases are all alike: their lines lie on each other
        wide = 1.5 if biased else 3.6 - 1.6 * (activation == "erf")
        panel.plot(one.depth.values, one.ratio.values, color=colour, linestyle=dashes, linewidth=wide)
        bars(
            panel, points.depth.values, points.ratio.values, colour, marker, linestyle="",
            markerfacecolor=colour if dashes == "-" else "white",
        )  # fmt: skip
        text = (
            f"{activation}, weight_variance {float(one.weight_variance):g}, bias_variance {float(one.bias_variance):g}"
        )
        handles.append(style.sample_line(text, colour, dashes, marker=marker, linewidth=wide))
    panel.axhline(0.25, color=style.FAINT, linewidth=0.7)
    panel.annotate("1/4: limit of relu without biases", (18.0, 0.25), xytext=(0, -11), textcoords="offset points",
                   fontsize=7.5, color=style.FAINT)  # fmt: skip
    panel.set_xscale("log")
    style.log_axis(panel.xaxis)
    panel.set_ylim(-0.04, 1.04)
    panel.set_xlabel("depth  [hidden layers]")
    panel.set_ylabel("cross_kernel / same_kernel  [1]")
    attrs = measured.attrs
    caption = (
        f"lines: infinitely wide networks, orthogonal latents; points: {attrs['samples']} random networks of width "
        f"{attrs['width']}, {attrs['latents']} latents of dimension {attrs['latent_dimension']}, mean and standard "
        "deviation"
    )
    style.finish(figure, "How strongly a generator couples its outputs", caption, handles, 2)
    return figure


def kernel_spread(data: Data) -> Figure:
    """F2: histograms and standard deviations of the kernel of finite generators."""
    histogram, cross, same = data["histogram"], data["cross"], data["same"]
    figure, axes = style.panels(1, 3, size=(4.0, 3.2))
    shapes, spread, widths = axes[0]
    dimensions = histogram.latent_dimension.values
    shades = np.linspace(0.75, 0.0, len(dimensions))
    handles: list[Artist] = []
    for k, dimension in enumerate(dimensions.tolist()):
        colour = to_hex((shades[k] * 0.9, shades[k] * 0.95, 0.35 + 0.6 * shades[k]))
        shapes.step(histogram.value.values, histogram.density.values[k], where="mid", color=colour, linewidth=1.1)
        handles.append(style.sample_line(f"latent_dimension {dimension}", colour))
    shapes.axvline(histogram.attrs["cross_kernel"], color=style.feature_colour(1), linestyle=DASHED)
    shapes.set_xlabel("kernel of two different latents  [1]")
    shapes.set_ylabel("density  [1]")
    shapes.set_title("cross_kernel, pair by pair")
    shapes.set_ylim(bottom=0)
    fine = np.geomspace(dimensions[0] / 1.3, dimensions[-1] * 1.3, 50)
    spread.plot(fine, abs(cross.attrs["slope"]) / np.sqrt(fine), color=style.INK)
    bars(spread, dimensions, cross.spread.values, CLOUD, "o", linestyle="")
    spread.set_xlabel("latent_dimension  [1]")
    spread.set_ylabel("standard deviation of cross_kernel  [1]")
    spread.set_title("slope / \N{SQUARE ROOT}latent_dimension")
    units = same.width.values
    prefactor = float(np.exp(np.mean(np.log(same.spread.values * np.sqrt(units)))))
    fine = np.geomspace(units[0] / 1.3, units[-1] * 1.3, 50)
    widths.plot(fine, prefactor / np.sqrt(fine), color=style.INK)
    widths.errorbar(units, same.spread.values, same.error.values, color=CLOUD, marker="o", linestyle="", markersize=4.5,
                    elinewidth=0.9)  # fmt: skip
    widths.set_xlabel("width  [hidden units]")
    widths.set_ylabel("standard deviation of same_kernel  [1]")
    widths.set_title(f"{prefactor:.1f} / \N{SQUARE ROOT}width, fitted")
    for panel in (spread, widths):
        panel.set_xscale("log")
        panel.set_yscale("log")
        style.log_axis(panel.yaxis)
    couplings_axis(spread.xaxis, dimensions)
    couplings_axis(widths.xaxis, units)
    style.letter(axes[0])
    handles += [
        style.sample_line(f"theory, {histogram.attrs['cross_kernel']:.4f}", style.feature_colour(1), DASHED),
        style.sample_line("power -1/2", style.INK),
        style.sample_points("measured", "o", CLOUD),
    ]
    caption = (
        f"relu generators with two hidden layers and one output, weight_variance = 2; (a), (b) width "
        f"{cross.attrs['width']}, {cross.attrs['samples']} networks of {cross.attrs['latents']} latents; (c) "
        f"latent_dimension {same.attrs['latent_dimension']}, {same.attrs['networks']} networks of 16 latents, "
        "jackknife errors; the line in (b) leaves out what a finite width adds"
    )
    style.finish(figure, "A generator has two kernel numbers if latents are many-dimensional", caption, handles, 5)
    return figure


def real_generator(data: Data) -> Figure:
    """F3: a real generator, and particles in its place."""
    runs, centres = data["runs"], data["target"].centres.values
    count = runs.sizes["generator"]
    figure, axes = style.panels(1, count + 1, size=(3.5, 3.4))
    network, whole, two = style.INK, style.feature_colour(0), style.feature_colour(1)
    for i, panel in enumerate(axes[0, :count]):
        one = runs.isel(generator=i)
        x = one.positions.values[:, :, :_PATHS]
        panel.add_collection(LineCollection(list(x[1].swapaxes(0, 1)), colors=whole, linewidths=1.0, zorder=3))
        panel.add_collection(
            LineCollection(list(x[2].swapaxes(0, 1)), colors=two, linewidths=1.0, linestyles=[DASHED], zorder=2)
        )
        few = style.thin(len(runs.time), 20)
        panel.plot(*x[0, few].reshape(-1, 2).T, ".", color=network, markersize=3.0, zorder=4)
        panel.plot(*x[0, 0].T, "o", color=network, markerfacecolor="white", markersize=4.5, zorder=5)
        inside = np.concatenate([x.reshape(-1, 2)])
        low, high = inside.min(axis=0), inside.max(axis=0)
        half = 0.55 * float(np.max(high - low))
        middle = (low + high) / 2
        panel.plot(*centres.T, "+", color=style.FAINT, markersize=8)
        panel.set_xlim(middle[0] - half, middle[0] + half)
        panel.set_ylim(middle[1] - half, middle[1] + half)
        panel.set_aspect("equal")
        panel.set_xlabel("first coordinate  [length]")
        panel.set_ylabel("second coordinate  [length]")
        panel.set_title(f"{_name(one)}: coupling {float(one.coupling):.3g}")
    _errors(axes[0, count], runs, (whole, two))
    style.letter(axes[0])
    handles: list[Artist] = [
        style.sample_points("real generator", ".", network),
        style.sample_line("particles, its measured kernel", whole),
        style.sample_line("particles, two numbers of that kernel", two, DASHED),
        style.sample_points("start", "o", network, filled=False),
    ]
    handles += [
        style.sample_points(f"error: {_name(runs.isel(generator=i))}", ("o", "s", "^", "D")[i % 4], style.FAINT)
        for i in range(count)
    ]
    attrs = runs.attrs
    caption = (
        f"{attrs['particles']} particles before a ring of 8 modes, relu discriminator, relative_step = "
        f"{attrs['relative_step']:g}, generators of width {attrs['width']} with latent_dimension "
        f"{attrs['latent_dimension']}; {_PATHS} of the particles for {int(runs.time[-1])} iterations; errors: mean of "
        f"{attrs['seeds']} networks and their standard deviation"
    )
    style.finish(figure, "Particles coupled by the kernel follow real training for a while", caption, handles, 4)
    return figure


def _name(one: xr.Dataset) -> str:
    biases = float(one.bias_variance)
    more = f", biases {biases:g}" if biases > 0 else ""
    return f"{one.activation.values!s}, depth {int(one.depth)}{more}"


def _errors(axes: Axes, runs: xr.Dataset, colours: tuple[str, str]) -> None:
    """Relative errors against the iteration: a mark for each generator, a colour for each replacement."""
    few = np.unique(np.round(np.geomspace(1, runs.sizes["time"] - 1, 12)).astype(int))
    for i in range(runs.sizes["generator"]):
        for j, colour in enumerate(colours):
            values = runs.error.values[i, j][:, few]
            look: dict[str, Any] = dict(markersize=4.0, linestyle="-" if j == 0 else DASHED)
            bars(axes, few, values.T, colour, ("o", "s", "^", "D")[i % 4], **look)
    axes.set_xscale("log")
    axes.set_yscale("log")
    style.log_axis(axes.xaxis)
    axes.set_ylim(1e-4, 8)
    for level in (0.1, 0.5):
        axes.axhline(level, color=style.FAINT, linewidth=0.7, linestyle=DOTTED)
    axes.set_xlabel("iteration  [number]")
    axes.set_ylabel("distance / distance travelled  [1]")
    axes.set_title("relative error")


def digits(data: Data) -> Figure:
    """F11: order parameters before handwritten digits, and clouds at weak and strong coupling."""
    order, points = data["order"], data["data"].points.values
    chi = order.coupling.values
    figure, axes = style.panels(1, 4, size=(3.4, 3.2))
    shares, motion = axes[0, :2]
    handles: list[Artist] = []
    for k, (name, text) in enumerate(
        (("coverage", "coverage of the ten digits"), ("entropy", "entropy of their shares"), ("spread", "spread"),
         ("quality", "as close to data as data"))
    ):  # fmt: skip
        colour, marker = style.feature_colour(k), ("o", "s", "^", "D")[k]
        bars(shares, chi, order[name].values, colour, marker)
        handles.append(style.sample_line(text, colour, marker=marker, linewidth=0.7))
    shares.axhline(0.5, color=style.FAINT, linewidth=0.7, linestyle=DOTTED)
    shares.set_ylim(-0.03, 1.2)
    shares.set_ylabel("order parameter  [1]")
    shares.set_title("what is covered")
    bars(motion, chi, order.wander.values, style.INK, "v")
    motion.set_ylim(bottom=0)
    motion.set_ylabel("wander  [target scales]")
    motion.set_title("motion of the centre")
    handles.append(style.sample_line("wander", style.INK, marker="v", linewidth=0.7))
    for panel in (shares, motion):
        panel.set_xscale("log")
        couplings_axis(panel.xaxis, chi)
        panel.set_xlabel(COUPLING)
    reach = 1.1 * np.abs(points[:, :2]).max()
    for panel, which in zip(axes[0, 2:], (0, -1), strict=True):
        panel.plot(*points[:, :2].T, ".", color="#BBBBBB", markersize=1.6, rasterized=True)
        panel.plot(*order.final.values[which][:, :2].T, ".", color=CLOUD, markersize=4.5)
        panel.set_xlim(-reach, reach)
        panel.set_ylim(-reach, reach)
        panel.set_aspect("equal")
        panel.set_xlabel("first principal axis  [length]")
        panel.set_ylabel("second principal axis  [length]")
        panel.set_title(f"end of a run, coupling {style.number(float(chi[which]))}")
    style.letter(axes[0])
    handles += [
        style.sample_points("images", ".", "#BBBBBB"),
        style.sample_points("particles", ".", CLOUD),
    ]
    attrs = order.attrs
    caption = (
        f"1797 handwritten digits in {points.shape[1]} principal components with total variance 2, "
        f"{attrs['particles']} particles, relu discriminator, discriminator_lr = {attrs['discriminator_lr']:g}, "
        f"relative_step = {attrs['relative_step']:g}, gradient_penalty = {attrs['gradient_penalty']:g}; last quarter "
        f"of {attrs['iterations']} iterations, mean and standard deviation of {attrs['replicas']} runs"
    )
    style.finish(figure, "Handwritten digits: the same transition in sixteen dimensions", caption, handles, 7)
    return figure
