"""The figures of particles on a circle, from the data of `claims.recipes_particle_torus`.

Every function takes the data sets of its recipe, by name, and returns a figure. None of them simulates.

References:
    Durr, Mroueh, Tu, Wang. Effective dynamics of generative adversarial networks. Phys. Rev. X 13, 041004 (2023).
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ganscope.figures import style
from ganscope.figures.particle_look import DASHED, DOTTED, PENALTY

Data = Mapping[str, xr.Dataset]

_DASHES = ("-", DASHED, (0, (5, 1.5, 1.2, 1.5)), DOTTED)
_MARKS = ("o", "s", "^", "D")


def damping(data: Data) -> Figure:
    """F7: rates and convergence times against the gradient penalty, and eigenvalues."""
    theory, times, found = data["theory"], data["times"], data["eigenvalues"]
    best = float(theory.attrs["best"])
    figure, axes = style.panels(1, 3, size=(4.1, 3.4))
    rates, duration, plane = axes[0]
    x = theory.gradient_penalty.values
    for i, k in enumerate(theory.wavenumber.values.tolist()):
        colour, dashes, marker = style.feature_colour(i), _DASHES[i], _MARKS[i]
        rates.plot(x, theory.rate.sel(wavenumber=k).values, color=colour, linestyle=dashes)
        slowest = -found.measured.sel(wavenumber=k).values.real.max(axis=-1)
        rates.plot(found.gradient_penalty.values, slowest, color=colour, marker=marker, linestyle="", markersize=4.5)
    rates.plot(x, theory.rate.min("wavenumber").values, color=style.INK, linewidth=3.2, alpha=0.25)
    rates.set_xscale("log")
    rates.set_ylabel("decay rate  [1 / time]")
    rates.set_title("every wave has its own optimum")
    rates.set_ylim(0, 1.05 * float(theory.rate.max()))
    duration.plot(
        x, -math.log(theory.attrs["fall"]) / 2 / theory.rate.min("wavenumber").values, color=style.INK,
    )  # fmt: skip
    mean, deviation = (getattr(times.time, part)("replica", skipna=False).values for part in ("mean", "std"))
    duration.errorbar(
        times.gradient_penalty.values, mean, deviation, color=style.feature_colour(1), marker="o", markersize=4.5,
        linestyle="", elinewidth=0.9,
    )  # fmt: skip
    duration.set_xscale("log")
    duration.set_yscale("log")
    style.log_axis(duration.yaxis)
    duration.set_ylim(8, 400)
    duration.set_ylabel("time until MMD\N{SUPERSCRIPT TWO} is a millionth  [time]")
    duration.set_title("time to converge")
    for panel in (rates, duration):
        panel.axvline(best, color=style.FAINT, linewidth=0.9, linestyle=DOTTED)
        style.log_axis(panel.xaxis)
        panel.set_xlim(0.05, 20.0)
        panel.set_xlabel(PENALTY)
        panel.tick_params(axis="x", labelsize=7)
    _eigenvalues(plane, theory, found)
    style.letter(axes[0])
    handles: list[Artist] = [
        style.sample_line(f"wavenumber {k}", style.feature_colour(i), _DASHES[i], marker=_MARKS[i], markersize=4.5)
        for i, k in enumerate(theory.wavenumber.values.tolist())
    ]
    handles += [
        style.sample_line("slowest of all", style.INK, linewidth=3.2, alpha=0.25),
        style.sample_line("13.8 / (2 slowest rate)", style.INK),
        style.sample_points("simulated times", "o", style.feature_colour(1)),
        style.sample_line(f"optimum of theory, {best:.4f}", style.FAINT, DOTTED),
    ]
    shown = ", ".join(f"{value:g}" for value in found.gradient_penalty.values)
    caption = (
        f"{theory.attrs['particles']} particles on a circle before an even target, kernel gauss with bandwidth "
        f"{theory.attrs['bandwidth']:g} up to wavenumber {theory.sizes['wavenumber']}, mobilities "
        f"{theory.attrs['mobility']:g}, discriminator_lr = 1; lines: theory, points: simulations, from displacements "
        f"of amplitude {times.attrs['amplitude']:g} in (b) (mean and standard deviation of {times.sizes['replica']}), "
        f"{found.attrs['amplitude']:g} in (a) and (c), there at gradient_penalty = {shown}"
    )
    style.finish(figure, "A gradient penalty is a friction: best at intermediate strength", caption, handles, 4)
    return figure


def _eigenvalues(axes: Axes, theory: xr.Dataset, found: xr.Dataset) -> None:
    """Where eigenvalues go as the gradient penalty grows, and where simulations put them."""
    low = -5.0
    for i, k in enumerate(theory.wavenumber.values.tolist()):
        colour = style.feature_colour(i)
        pairs = theory.eigenvalue.sel(wavenumber=k).values
        for j in range(2):
            axes.plot(pairs[:, j].real, pairs[:, j].imag, color=colour, linestyle=_DASHES[i], linewidth=1.1)
        points = found.measured.sel(wavenumber=k).values.ravel()
        points = points[points.real > low]
        # an overdamped pair lies on the axis in all three: a little apart, so that none hides another
        lift = np.where(np.abs(points.imag) < 1e-9, 0.035 * (i - 1), 0.0)
        axes.plot(points.real, points.imag + lift, color=colour, marker=_MARKS[i], linestyle="", markersize=4.5)
    axes.axvline(0.0, color=style.INK, linewidth=0.9)
    axes.axhline(0.0, color=style.FAINT, linewidth=0.4)
    axes.set_xlim(low, 0.2)
    axes.set_xlabel("real part  [1 / time]")
    axes.set_ylabel("imaginary part  [1 / time]")
    axes.set_title("from ringing to creeping")


def transverse(data: Data) -> Figure:
    """F8: curvature under a collapsed cloud, and the growth of the spread of real clouds."""
    theory, found = data["theory"], data["simulated"]
    figure, axes = style.panels(1, 2, size=(4.8, 3.6))
    plain, scaled = axes[0]
    handles: list[Artist] = []
    for i in range(theory.sizes["setting"]):
        one, points = theory.isel(setting=i), found.isel(setting=i)
        colour, dashes, marker = style.feature_colour(i), _DASHES[i % 4], _MARKS[i % 4]
        penalty, decay = float(one.gradient_penalty), float(one.regularization)
        friction = f"regularization {decay:g}" if penalty == 0 else f"gradient_penalty {penalty:g}"
        text = f"{int(one.modes)} modes of width {float(one.mode_width):g}, {friction}"
        handles.append(style.sample_line(text, colour, dashes, marker=marker, markersize=4.5))
        mean, deviation = points.growth.mean("start").values, points.growth.std("start").values
        for panel, unit in ((plain, 1.0), (scaled, decay**2)):
            if unit == 0:
                continue
            x = one.mean_mobility.values / unit
            panel.plot(x, one.exponent.values * math.sqrt(unit), color=colour, linestyle=dashes, linewidth=1.2)
            panel.errorbar(
                points.mean_mobility.values / unit, mean * math.sqrt(unit), deviation * math.sqrt(unit), color=colour,
                marker=marker, linestyle="", markersize=4.5, elinewidth=0.9,
            )  # fmt: skip
    for panel in axes[0]:
        panel.axhline(0.0, color=style.INK, linewidth=0.9)
        panel.set_xscale("log")
        style.log_axis(panel.xaxis)
        panel.tick_params(axis="x", labelsize=7)
        look: dict[str, Any] = dict(transform=panel.transAxes, fontsize=8, color=style.FAINT)
        panel.text(0.985, 0.93, "torn apart", ha="right", **look)
        panel.text(0.02, 0.02, "stays collapsed", **look)
    plain.set_xlabel("mean_mobility  [1]")
    plain.set_ylabel("curvature under the cloud  [1 / length\N{SUPERSCRIPT TWO}]")
    plain.set_title("exponent of the relative spread")
    scaled.set_xlabel("mean_mobility / regularization\N{SUPERSCRIPT TWO}  [1]")
    scaled.set_ylabel("curvature \N{MULTIPLICATION SIGN} regularization  [1 / length\N{SUPERSCRIPT TWO}]")
    scaled.set_title("one law for all regularizations")
    style.letter(axes[0])
    attrs = found.attrs
    caption = (
        "circle, kernel gauss with bandwidth 0.5 up to wavenumber 12, discriminator_lr = 1; lines: curvature averaged "
        f"along the orbit of a point, points: growth rate of the spread of {attrs['particles']} particles over "
        f"relative_mobility = {attrs['relative_mobility']:g}, mean and standard deviation over {attrs['starts']} "
        f"starts, time {attrs['horizon'] / 3:.0f} to {attrs['horizon']:g}"
    )
    style.finish(figure, "A heavy cloud outruns the dip that would tear it apart", caption, handles, 2)
    return figure
