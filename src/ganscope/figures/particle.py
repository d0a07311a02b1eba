"""The figures of particles on a ring, from the data of `claims.recipes_particle`.

Every function takes the data sets of its recipe, by name, and returns a figure. None of them simulates.

References:
    Durr, Mroueh, Tu, Wang. Effective dynamics of generative adversarial networks. Phys. Rev. X 13, 041004 (2023).
"""

from collections.abc import Mapping

import numpy as np
import xarray as xr
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ganscope.figures import style
from ganscope.figures.particle_look import (
    ACTIVATIONS,
    CLOUD,
    COUPLING,
    DASHED,
    DOTTED,
    PENALTY,
    Array,
    activation_entry,
    bars,
    capture_entry,
    couplings_axis,
    edges,
    modes_in_plane,
)

Data = Mapping[str, xr.Dataset]

_RING = "ring of 8 modes with radius 1, 64 particles"


def order_parameters_against_coupling(data: Data) -> Figure:
    """F4: order parameters against the coupling number."""
    order = data["order"]
    chi = order.coupling.values
    figure, axes = style.panels(1, 4, size=(3.3, 2.9))
    panels = (
        ("soft_coverage", "soft coverage", "soft coverage  [share of the modes]", 0.6),
        ("coverage", "coverage", "coverage  [share of the modes]", 0.5),
        ("spread", "width of the cloud", "spread  [variance over the target's]", None),
        ("wander", "motion of the centre", "wander  [target scales]", 0.25),
    )
    for panel, (name, title, label, level) in zip(axes[0], panels, strict=True):
        for activation in order.discriminator.values.tolist():
            colour, marker, dashes = ACTIVATIONS[activation]
            bars(panel, chi, order[name].sel(discriminator=activation).values, colour, marker, linestyle=dashes)
        if level is not None:
            panel.axhline(level, color=style.FAINT, linewidth=0.8, linestyle=DOTTED)
        panel.set_xscale("log")
        couplings_axis(panel.xaxis, chi)
        panel.set_xlabel(COUPLING)
        panel.set_ylabel(label)
        panel.set_ylim(bottom=-0.03)
        panel.set_title(title)
    style.letter(axes[0])
    handles: list[Artist] = [activation_entry(name, line=True) for name in order.discriminator.values.tolist()]
    handles.append(style.sample_line("where a phase is said to end", style.FAINT, DOTTED, linewidth=0.8))
    caption = (
        f"{_RING}, mode_width = {order.attrs['mode_width']:g}; averages over the last quarter of "
        f"{order.attrs['iterations']} iterations, mean and standard deviation of {order.attrs['replicas']} runs; lines "
        "only join the points"
    )
    style.finish(
        figure, "Strong coupling collapses the cloud, sooner before tanh and sin than before relu", caption, handles
    )
    return figure


def phase_diagrams(data: Data) -> Figure:
    """F5: soft coverage over mode width and coupling number."""
    phases = data["phases"]
    names = phases.discriminator.values.tolist()
    chi, widths = phases.coupling.values, phases.mode_width.values
    figure, axes = style.panels(1, len(names), size=(3.5, 3.3), sharey=True)
    for panel, name in zip(axes[0], names, strict=True):
        one = phases.sel(discriminator=name)
        image = panel.pcolormesh(
            edges(widths), edges(chi), one.soft_coverage.transpose("coupling", "mode_width").values, cmap="cividis",
            vmin=0.125, vmax=1.0, rasterized=True,
        )  # fmt: skip
        critical = one.critical.values
        known = np.isfinite(critical) & (critical > 0)
        look = dict(marker="o", markersize=5, markerfacecolor="white", markeredgecolor=style.INK, linewidth=1.8)
        panel.plot(widths[known], critical[known], color="white", clip_on=False, zorder=4, **look)
        panel.set_xscale("log")
        panel.set_yscale("log")
        couplings_axis(panel.yaxis, chi)
        couplings_axis(panel.xaxis, widths)
        panel.set_xlim(edges(widths)[[0, -1]])
        panel.set_ylim(edges(chi)[[0, -1]])
        panel.set_xlabel("mode_width  [length]")
        panel.set_title(f"{name} discriminator")
    axes[0, 0].set_ylabel(COUPLING)
    for panel in axes[0, 1:]:
        panel.set_ylabel(COUPLING)
        panel.yaxis.label.set_visible(False)
    bar = figure.colorbar(image, ax=axes[0, -1], label="soft coverage  [share of the modes]", pad=0.03)
    bar.outline.set_visible(False)
    style.letter(axes[0])
    handles: list[Artist] = [
        style.sample_line("soft coverage 0.6 (critical coupling)", style.INK, marker="o", markerfacecolor="white")
    ]
    finer = phases.attrs.get("finer")
    more = f" ({finer[1]} runs of {finer[2]} iterations at mode_width = {finer[0]:g})" if finer else ""
    caption = (
        f"{_RING}; last quarter of {phases.attrs['iterations']} iterations, mean of {phases.attrs['replicas']} "
        f"runs{more}"
    )
    style.finish(figure, "Where the cloud collapses depends on the discriminator", caption, handles)
    return figure


def angular_spectra(data: Data) -> Figure:
    """F6: angular spectra of discriminators beside the target's harmonics, and the boundaries that go with them."""
    spectra, target, boundary = data["spectra"], data["target"], data["boundary"]
    names = spectra.discriminator.values.tolist()
    figure, axes = style.panels(1, 4, size=(3.45, 3.2))
    _spectra(axes[0, 0], spectra, int(boundary.attrs["modes"]))
    ring = axes[0, 1]
    for k, width in enumerate(target.mode_width.values.tolist()):
        shift = 0.5 * (k - (target.sizes["mode_width"] - 1) / 2)
        ring.bar(
            target.harmonic.values + shift, target.share.sel(mode_width=width).values, 0.5,
            color=(style.INK, "#AAAAAA", "#DDDDDD")[k % 3], label=f"mode_width = {width:g}",
        )  # fmt: skip
    ring.set_xlim(-0.5, float(spectra.harmonic.values[-1]) + 1)
    ring.set_ylim(0, 1.3)
    ring.set_yticks([0.0, 0.5, 1.0])
    ring.set_xlabel("harmonic of the angle  [number]")
    ring.set_ylabel("harmonic of the target  [1]")
    ring.set_title("what tells modes from a ring")
    ring.legend(loc="upper right", ncols=1)
    for panel, (x, y, label, title) in zip(
        axes[0, 2:],
        (
            ("ratio", "collapse", "critical coupling  [1]", "where the cloud collapses"),
            ("first", "motion", "coupling where motion begins  [1]", "where the centre begins to move"),
        ),
        strict=True,
    ):
        for name in names:
            colour, marker, _ = ACTIVATIONS[name]
            one = boundary.sel(discriminator=name)
            value, factor = float(one[y]), float(one[f"{y}_error"])
            if not 0 < value < np.inf:
                continue
            error = [[value - value / factor], [value * factor - value]] if np.isfinite(factor) else None
            panel.errorbar(float(one[x]), value, error, color=colour, marker=marker, markersize=6, elinewidth=0.9)
            odd = name == "softplus" and y == "collapse"
            text = "softplus breaks\nthe order" if odd else name
            if y != "collapse":  # told by the legend: two of them all but coincide
                continue
            panel.annotate(
                text, (float(one[x]), value), xytext=(7, -3 if not odd else -14), textcoords="offset points",
                fontsize=8, color=colour, va="center",
            )  # fmt: skip
        panel.set_title(title)
        panel.set_yscale("log")
        style.log_axis(panel.yaxis)
        panel.set_ylabel(label)
        panel.margins(0.18)
    axes[0, 2].set_xscale("log")
    axes[0, 2].set_xlim(1e-8, 1.0)
    axes[0, 2].set_xlabel("harmonic 8 over harmonic 1 of the kernel  [1]")
    axes[0, 3].set_xlim(0.2, 0.82)
    axes[0, 3].set_xlabel("harmonic 1 of the kernel  [1]")
    for panel in axes[0, 2:]:
        low, high = panel.get_ylim()
        panel.set_ylim(low / 1.15, high * 1.15)
    style.letter(axes[0])
    handles: list[Artist] = [activation_entry(name, line=True) for name in names]
    caption = (
        f"kernels of networks of depth {spectra.attrs['depth']} on the circle of radius 1, bias_variance = "
        f"{spectra.attrs['bias_variance']:g}: lines of infinite width, points of {spectra.sizes['network']} networks "
        f"of width {spectra.attrs['width']} (mean and standard deviation); (c), (d) {_RING}, mode_width = "
        f"{boundary.attrs['mode_width']:g}, {boundary.attrs['replicas']} runs of {boundary.attrs['iterations']} "
        "iterations with jackknife errors: soft coverage 0.6 and wander 0.25"
    )
    style.finish(
        figure, "The frequency principle orders most discriminators, but not softplus: it is no law", caption, handles
    )
    return figure


def _spectra(axes: Axes, spectra: xr.Dataset, modes: int) -> None:
    """Coefficients of kernels against the harmonic: infinite width as lines, networks as points."""
    m = spectra.harmonic.values
    for name in spectra.discriminator.values.tolist():
        colour, marker, dashes = ACTIVATIONS[name]
        one = spectra.sel(discriminator=name)
        shown = (m > 0) & (one.kernel.values > 1e-12)
        axes.plot(m[shown], one.kernel.values[shown], color=colour, linestyle=dashes, linewidth=1.1)
        points = np.flatnonzero((m > 0) & (m <= 12) & (one.kernel.values > 1e-8))
        mean, deviation = one.measured.values.mean(axis=0)[points], one.measured.values.std(axis=0)[points]
        axes.errorbar(
            m[points], mean, [np.minimum(deviation, 0.8 * mean), deviation], color=colour, marker=marker,
            markersize=3.2, linestyle="", elinewidth=0.9,
        )  # fmt: skip
    for multiple in np.arange(modes, m[-1] + 1, modes):
        axes.axvline(multiple, color=style.FAINT, linewidth=0.7, linestyle=DOTTED, zorder=0)
    axes.set_yscale("log")
    axes.set_ylim(1e-12, 2.0)
    axes.set_xlabel("harmonic of the angle  [number]")
    axes.set_ylabel("coefficient of the kernel  [1]")
    axes.set_title("what a discriminator learns soon")


def boundary_shifts(data: Data) -> Figure:
    """F9: the critical coupling against the gradient penalty and the discriminator's steps."""
    figure, axes = style.panels(1, 2, size=(4.4, 3.3))
    for panel, kind, name, label in (
        (axes[0, 0], "penalty", "gradient_penalty", PENALTY),
        (axes[0, 1], "steps", "discriminator_steps", "discriminator_steps  [per iteration]"),
    ):
        one = data[kind]
        largest = float(one.attrs["largest"])
        x = np.arange(one.sizes[name], dtype=np.float64)
        for phase, colour, marker, shift in (("soft", CLOUD, "o", -0.06), ("hard", style.feature_colour(1), "s", 0.06)):
            _boundary(panel, x + shift, one[phase].values, one[f"{phase}_error"].values, largest, colour, marker)
        panel.set_yscale("log")
        couplings_axis(panel.yaxis, (1, 2, 4, 8, 16, 32, 64))
        panel.set_ylim(3.2, 1.6 * largest)
        panel.axhline(largest, color=style.FAINT, linewidth=0.8, linestyle=DOTTED)
        panel.set_xticks(x, [style.number(float(v)) for v in one[name].values])
        panel.set_xlim(-0.5, len(x) - 0.5)
        panel.set_xlabel(label)
        panel.set_ylabel("critical coupling  [1]")
    axes[0, 0].set_title("friction")
    axes[0, 1].set_title("a faster discriminator")
    style.letter(axes[0])
    handles: list[Artist] = [
        style.sample_points("soft coverage 0.6", "o", CLOUD),
        style.sample_points("coverage 0.5", "s", style.feature_colour(1), filled=False),
        style.sample_points("not reached up to the largest coupling", "^", style.FAINT),
        style.sample_line("largest coupling simulated", style.FAINT, DOTTED, linewidth=0.8),
    ]
    penalty, steps = data["penalty"].attrs, data["steps"].attrs
    caption = (
        f"{_RING}, mode_width = {penalty['mode_width']:g}, relu discriminator; {penalty['iterations']} iterations, "
        f"{penalty['replicas']} runs (a) and {steps['replicas']} runs (b) per point, 4 at the defaults, with jackknife "
        "errors; lines only join the points"
    )
    style.finish(figure, "Friction and a faster discriminator keep the modes at stronger coupling", caption, handles, 2)
    return figure


def _boundary(axes: Axes, x: Array, values: Array, factors: Array, largest: float, colour: str, marker: str) -> None:
    """Boundaries with their errors; an arrowhead where nothing crosses up to the largest coupling."""
    known = np.isfinite(values) & (values > 0)
    shown, error = values[known], np.where(np.isfinite(factors), factors, 1.0)[known]
    face = colour if marker == "o" else "white"
    axes.errorbar(
        x[known], shown, [shown - shown / error, shown * error - shown], color=colour,
        marker=marker, markersize=5.5, markerfacecolor=face, elinewidth=0.9, linewidth=0.8,
        linestyle="-" if marker == "o" else DASHED,
    )  # fmt: skip
    beyond = np.isposinf(values)
    axes.plot(
        x[beyond], np.full(int(beyond.sum()), 1.25 * largest), color=colour, marker="^", markersize=7, linestyle="",
        markerfacecolor=face,
    )  # fmt: skip


def snapshots(data: Data) -> Figure:
    """F10: particles on the ring at several couplings and times."""
    clouds = data["clouds"]
    chi, times = clouds.coupling.values.tolist(), clouds.iteration.values.tolist()
    figure, axes = style.panels(len(chi), len(times), size=(2.25, 2.25), sharex=True, sharey=True)
    centres, radius = clouds.centres.values, float(clouds.attrs["capture_radius"])
    half = 1.8 * float(np.abs(centres).max())
    for row, coupling in zip(axes, chi, strict=True):
        for panel, time in zip(row, times, strict=True):
            one = clouds.sel(coupling=coupling, iteration=time)
            modes_in_plane(panel, centres, radius, float(clouds.attrs["mode_width"]))
            panel.plot(*one.positions.values.T, ".", color=CLOUD, markersize=3.6, alpha=0.75)
            panel.text(
                0.03, 0.97, f"{float(one.soft_coverage):.2f}", transform=panel.transAxes, ha="left", va="top",
                fontsize=8, color=style.INK,
            )  # fmt: skip
            panel.set_xlim(-half, half)
            panel.set_ylim(-half, half)
            panel.set_aspect("equal")
            panel.set_xlabel("first coordinate  [length]", fontsize=7.5)
            panel.set_ylabel("second coordinate  [length]", fontsize=7.5)
            panel.label_outer()
            panel.set_title(f"coupling {style.number(coupling)}, iteration {time}", fontsize=8.5)
    handles: list[Artist] = [
        style.sample_points("particles", ".", CLOUD),
        style.sample_points("modes, with their standard deviation", "o", style.FAINT, filled=False),
        capture_entry(radius),
    ]
    caption = (
        f"{_RING}, relu discriminator, mode_width = {clouds.attrs['mode_width']:g}, start with standard deviation "
        f"{clouds.attrs['initial_std']:g}; numbers: soft coverage"
    )
    style.finish(figure, "Free particles find all modes, strongly coupled ones chase them together", caption, handles)
    return figure
