"""The figures of the kernel GAN's papers, and of what goes beyond them, from the data of `claims.recipes_kernel`.

Every function takes the data sets of its recipe, by name, and returns a figure. None of them simulates.

References:
    Becker, Pandit, Rangan, Fletcher. Local Convergence of Gradient Descent-Ascent for Training GANs. 2023.
    Becker, Pandit, Rangan, Fletcher. Instability and Local Minima in GAN Training with Kernel Discriminators. 2022.
    Becker, Pandit, Rangan, Fletcher. GAN Training With Kernel Discriminators: What Parameters Control Convergence
    Rates? IEEE Transactions on Signal Processing, 2025.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
import numpy.typing as npt
import xarray as xr
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke

from ganscope.core.game import from_json
from ganscope.figures import style
from ganscope.figures.kernel_runs import heat_map, parameters, start_and_end, true_points
from ganscope.games.kernel.model import KernelGAN

Array = npt.NDArray[np.float64]
Data = Mapping[str, xr.Dataset]

_DOTTED, _DASHED = (0, (1.2, 1.2)), (0, (5, 1.5))
_BANDWIDTH, _REGULARIZATION = "bandwidth  [length]", "regularization  [1]"
_GROWS = "#D55E00"
# Look of the curves on the published plane: colour on dark maps, colour on light ones, dashes, text.
_CURVES: dict[str, tuple[str, str, Any, str]] = {
    "oscillates": ("#FFFFFF", "#000000", _DASHED, "edges of oscillation of the centre of mass"),
    "tie": ("#FFFFFF", "#000000", "-", "relative motion as slow as the discriminator"),
}


def _plane_curves(axes: Axes, data: xr.Dataset, light: bool) -> None:
    """Where the centre of mass oscillates, and where discriminator and relative motion tie."""
    strength = data.regularization.values
    for name, kind in (("oscillates_from", "oscillates"), ("oscillates_to", "oscillates"), ("tie", "tie")):
        dark_colour, light_colour, dashes, _ = _CURVES[kind]
        colour = light_colour if light else dark_colour
        axes.plot(data[name].values, strength, color=colour, linestyle=dashes, linewidth=1.2)
    axes.set_xlim(data.bandwidth.values[[0, -1]])
    axes.set_ylim(strength[[0, -1]])
    axes.set_xlabel(_BANDWIDTH)
    axes.set_ylabel(_REGULARIZATION)


def radius_maps(data: Data) -> Figure:
    """F1: the squared spectral radius over bandwidth and regularization."""
    maps = data["map"]
    rates = maps.discriminator_lr.values
    figure, axes = style.panels(1, len(rates), size=(4.0, 3.5))
    colours = matplotlib.colormaps["viridis"].with_extremes(over=_GROWS)
    for k, (panel, rate) in enumerate(zip(axes[0], rates, strict=True)):
        one = maps.isel(discriminator_lr=k)
        value = one.squared_radius.values
        image = panel.pcolormesh(
            maps.bandwidth.values, maps.regularization.values, value, cmap=colours, shading="nearest", rasterized=True,
            norm=Normalize(float(value.min()), 1.0), linewidth=0,
        )  # fmt: skip
        _plane_curves(panel, maps, light=False)
        for name in ("flat_from", "flat_to"):
            panel.plot(one[name].values, maps.regularization.values, ".", color="#000000", markersize=2.2)
        bar = figure.colorbar(image, ax=panel, extend="max", pad=0.02, aspect=28)
        bar.set_label("squared spectral radius  [1]", fontsize=8)
        panel.set_title(f"discriminator_lr = {rate:g}: {np.mean(value > 1):.2%} grows".replace("%", " %"))
    style.letter(axes[0])
    frame: dict[str, Any] = dict(edgecolor=style.FAINT, linewidth=0.4)
    grey = "#440154"
    handles = [
        Patch(facecolor=_GROWS, label="grows: radius above 1", **frame),
        *(_on_dark(text, dashes, grey) for _, _, dashes, text in _CURVES.values()),
        style.sample_points("ends of a row's minimum: all between is equally fast", ".", "#000000"),
    ]
    caption = (
        f"two generated points of total mass {maps.attrs['generated_mass']:g} near a true point of mass "
        f"{maps.attrs['real_mass']:g}, generator_lr = discriminator_lr, simultaneous steps, all families"
    )
    style.finish(figure, "Convergence of an isolated neighbourhood", caption, handles, 2)
    return figure


def _on_dark(label: str, dashes: Any, ground: str) -> Artist:
    """Legend entry of a white line, on the dark of the map."""
    line = style.sample_line(label, "#FFFFFF", dashes)
    line.set_path_effects([withStroke(linewidth=5.0, foreground=ground)])
    return line


def dominating_family(data: Data) -> Figure:
    """F2: which family decays most slowly."""
    maps = data["map"]
    figure, axes = style.panels(1, 1, size=(6.0, 4.4))
    panel = axes[0, 0]
    families = maps.attrs["families"]
    x, y = maps.bandwidth.values, maps.regularization.values
    style.areas(panel, x, y, maps.family.values, [style.FAMILIES[name][0] for name in families])
    _plane_curves(panel, maps, light=True)
    if np.any(maps.radius.values > 1):
        panel.contourf(x, y, maps.radius.values, [1.0, np.inf], colors="none", hatches=["////"])
        panel.contour(x, y, maps.radius.values, [1.0], colors=style.INK, linewidths=0.8)
    frame: dict[str, Any] = dict(edgecolor=style.FAINT, linewidth=0.4)
    present = set(np.unique(maps.family.values).tolist())
    handles: list[Artist] = [
        Patch(facecolor=style.FAMILIES[name][0], label=style.FAMILIES[name][1], **frame)
        for k, name in enumerate(families)
        if k in present
    ]
    handles.append(Patch(facecolor="white", hatch="////", label="grows: radius above 1", **frame))
    handles += [style.sample_line(text, colour, dashes, linewidth=1.2) for _, colour, dashes, text in _CURVES.values()]
    caption = (
        f"two generated points of total mass {maps.attrs['generated_mass']:g} near a true point of mass "
        f"{maps.attrs['real_mass']:g}, discriminator_lr = generator_lr = {maps.attrs['discriminator_lr']:g}, "
        "simultaneous steps"
    )
    style.finish(figure, "What decays most slowly", caption, handles, 2)
    return figure


def phase_diagrams(data: Data) -> Figure:
    """F3: predicted phases as areas, those of runs as marks."""
    figure, axes = style.panels(1, len(data), size=(4.1, 3.7))
    names = list(style.MOTIONS)
    used: set[str] = set()
    for panel, one in zip(axes[0], data.values(), strict=True):
        codes = np.vectorize(names.index)(one.predicted.values)
        style.areas(panel, one.x.values, one.y.values, codes, [style.MOTIONS[name][0] for name in names])
        x, y = np.meshgrid(one.cell_x.values, one.cell_y.values)
        for name, (_, _, marker) in style.MOTIONS.items():
            here = one.simulated.values == name
            if np.any(here):
                _cells(panel, x[here], y[here], marker)
        used |= set(one.predicted.values.ravel().tolist()) | set(one.simulated.values.ravel().tolist())
        agree = int(np.sum(one.simulated.values == one.expected.values))
        mass = one.attrs["generated_mass"]
        panel.set_title(f"generated mass {mass:g}: {agree} of {one.simulated.size} runs agree", fontsize=8.5)
        for axis, name in ((panel.xaxis, one.attrs["x_name"]), (panel.yaxis, one.attrs["y_name"])):
            (panel.set_xscale if axis is panel.xaxis else panel.set_yscale)("log")
            style.log_axis(axis)
            words = {"discriminator_lr": "discriminator_lr = generator_lr  [1]", "bandwidth": _BANDWIDTH}
            axis.set_label_text(words.get(name, f"{name}  [1]"))
        for tick in panel.get_xticklabels():
            tick.set_rotation(45)
    style.letter(axes[0])
    frame: dict[str, Any] = dict(edgecolor=style.FAINT, linewidth=0.4)
    handles: list[Artist] = []
    for name in (name for name in names if name in used):
        colour, text, marker = style.MOTIONS[name]
        handles += [Patch(facecolor=colour, label=f"theory: {text}", **frame), _cell_entry(f"run: {text}", marker)]
    first = next(iter(data.values()))
    caption = (
        f"one generated point near a true point of mass 1, simultaneous steps; where it is not an axis, "
        f"discriminator_lr = {first.attrs['discriminator_lr']:g}, bandwidth = 1, regularization = 1; runs of "
        f"{first.attrs['iterations']} iterations from a millionth of a bandwidth"
    )
    style.finish(figure, "Phases of an isolated point, predicted and simulated", caption, handles, 4)
    return figure


def _cells(axes: Axes, x: Array, y: Array, marker: str) -> None:
    """Runs as marks that stand out on light and on dark areas."""
    face = style.INK if marker == "x" else "white"
    axes.plot(
        x, y, linestyle="", marker=marker, markersize=4.4, markerfacecolor=face, markeredgecolor=style.INK,
        markeredgewidth=0.8,
    )  # fmt: skip


def _cell_entry(label: str, marker: str) -> Artist:
    look: dict[str, Any] = dict(markerfacecolor="white", markeredgecolor=style.INK, markeredgewidth=0.8)
    return Line2D([], [], linestyle="", marker=marker, label=label, markersize=4.4, **look)


def root_locus(data: Data) -> Figure:
    """F4: multipliers of the centre of mass as one parameter sweeps, by rule."""
    rules = next(iter(data.values())).rule.values.tolist()
    figure, axes = style.panels(len(data), len(rules), size=(2.35, 2.2), sharex=True, sharey=True)
    turn = np.linspace(0, 2 * np.pi, 361)
    for k, (name, one) in enumerate(data.items()):
        norm = LogNorm(float(one.value.min()), float(one.value.max()))
        for column, (panel, rule) in enumerate(zip(axes[k], rules, strict=True)):
            panel.fill(np.cos(turn), np.sin(turn), color="#EFEFEF", zorder=0)
            panel.plot(np.cos(turn), np.sin(turn), color=style.INK, linewidth=0.9)
            roots = one.multiplier.sel(rule=rule).values
            values = np.repeat(one.value.values[:, None], roots.shape[1], axis=1)
            look: dict[str, Any] = dict(cmap="viridis", norm=norm, s=4, linewidths=0, rasterized=True, zorder=2)
            image = panel.scatter(roots.real, roots.imag, c=values, **look)
            measured = one.measured.sel(rule=rule).values.ravel()
            panel.plot(
                measured.real, measured.imag, linestyle="", marker="o", markersize=4.2, markerfacecolor="none",
                color=_GROWS, markeredgewidth=1.0, zorder=3,
            )  # fmt: skip
            panel.set_xlim(-1.45, 1.45)
            panel.set_ylim(-1.45, 1.45)
            panel.set_aspect("equal")
            if k == 0:
                panel.set_title(rule.replace("_", " "))
            if k == len(data) - 1:
                panel.set_xlabel("real part  [1]")
            if column == 0:
                panel.set_ylabel("imaginary part  [1]")
        bar = figure.colorbar(image, ax=list(axes[k]), pad=0.01, aspect=16)
        style.log_axis(bar.ax.yaxis)
        bar.set_label(f"{name}  [{'length' if name == 'bandwidth' else '1'}]")
    about = one.attrs
    handles = [
        style.sample_line("theory: unit circle", linewidth=0.9),
        style.sample_points("theory, coloured by the parameter", ".", "#21918C"),
        style.sample_points("leading multipliers read off runs", "o", _GROWS, filled=False),
    ]
    caption = (
        f"one generated point with the mass of its true point; otherwise generator_lr = {about['generator_lr']:g}, "
        f"regularization = {about['regularization']:g}, bandwidth = {about['bandwidth']:g}, discriminator_lr = "
        f"{about['discriminator_lr']:g}; momentum of heavy ball {about['momentum']:g}"
    )
    style.finish(figure, "Multipliers of the centre of mass under five rules", caption, handles, 3)
    return figure


def decay(data: Data) -> Figure:
    """F5: the distance from equilibrium, simulated and linear."""
    figure, axes = style.panels(1, len(data), size=(4.8, 3.5))
    rules: list[str] = []
    for panel, one in zip(axes[0], data.values(), strict=True):
        width, rules = one.attrs["bandwidth"], one.rule.values.tolist()
        for rule in rules:
            colour, dashes, marker = style.rule_look(rule)
            mine = one.sel(rule=rule)
            steps = one.iteration.values
            few = style.thin(len(steps), 30)
            linear, simulated = (np.maximum(mine[n].values / width, 1e-16) for n in ("linear", "simulated"))
            panel.plot(steps, linear, color=colour, linestyle=dashes, linewidth=1.1)
            panel.plot(steps[few], simulated[few], color=colour, marker=marker, linestyle="", markersize=3.2)
        panel.set_yscale("log")
        panel.set_xlabel("iteration  [number]")
        panel.set_ylabel("distance from equilibrium  [bandwidths]")
        panel.margins(x=0.02)
        mass = np.sum(one.attrs["generated_mass"])
        points = len(one.attrs["generated_mass"])
        panel.set_title(
            f"{points} point{'s' * (points > 1)}, masses {one.attrs['real_mass']:g} real, {mass:g} generated"
        )
    style.letter(axes[0])
    handles: list[Artist] = []
    for rule in rules:
        colour, dashes, marker = style.rule_look(rule)
        handles.append(style.sample_line(rule.replace("_", " "), colour, dashes, marker=marker, markersize=3.6))
    about = [f"({chr(97 + k)}) {_worked(one.attrs)}" for k, one in enumerate(data.values())]
    caption = (
        f"{'; '.join(about)}; points: simulated, lines: linear theory from the same start; "
        f"momentum of heavy ball {one.attrs['momentum']:g}"
    )
    style.finish(figure, "Approach to equilibrium", caption, handles, len(handles))
    return figure


def _worked(about: Mapping[str, Any]) -> str:
    names = ("bandwidth", "regularization", "generator_lr", "discriminator_lr")
    return ", ".join(f"{name} = {about[name]:g}" for name in names)


def mass_mismatch(data: Data) -> Figure:
    """F6: paths in the plane, and the distances of the points from their true points."""
    run, field = data["run"], data["discriminator"]
    game = from_json(run.attrs["game"])
    assert isinstance(game, KernelGAN)
    figure, axes = style.panels(1, 2, size=(4.9, 4.0))
    plane, course = axes[0]
    points = run.generated_points.values
    image = heat_map(plane, field.x.values, field.y.values, field.value.values, 0.0)
    figure.colorbar(image, ax=plane, pad=0.02, aspect=28).set_label("discriminator at the end  [1]", fontsize=8)
    true_points(plane, game)
    groups = _corners(game, points[-1])
    distance, steps = run.distance.values, run.iteration.values
    handles: list[Artist] = []
    for j in range(points.shape[1]):
        colour, marker = _SURPLUS[groups[j]][:2]
        plane.plot(*points[:, j].T, color=colour, linewidth=1.0)
        start_and_end(plane, points[0, j : j + 1], points[-1, j : j + 1], colour, marker, many=False)
        shown = np.maximum(distance[1:, j], 1e-16)
        few = style.thin(len(shown), 60)
        course.plot(steps[1:][few], shown[few], color=colour, marker=marker, linestyle="", markersize=3.0)
    late = np.geomspace(max(20.0, float(steps[1])), float(steps[-1]), 50)
    course.plot(late, field.attrs["algebraic"] / np.sqrt(late), color=style.INK, linewidth=1.1, linestyle=_DASHED)
    course.axhline(field.attrs["split_radius"], color=style.INK, linewidth=1.1)
    single = np.flatnonzero(groups == 1)
    if len(single):
        away = distance[:, single[0]]
        linear = (away > 1e-11) & (away < 1e-2)
        if np.any(linear):
            # As high as the linear part reaches: the point oscillates below its envelope.
            height = np.max(np.log(away[linear]) - steps[linear] * np.log(field.attrs["radius"]))
            envelope = np.exp(height + steps[1:] * np.log(field.attrs["radius"]))
            course.plot(steps[1:], np.maximum(envelope, 1e-17), color=style.INK, linewidth=1.1, linestyle=_DOTTED)
    course.set_xscale("log")
    course.set_yscale("log")
    course.set_ylim(1e-16, 2.0)
    course.set_xlabel("iteration  [number]")
    course.set_ylabel("distance from the true point  [length]")
    course.set_title("three ways to settle")
    plane.set_aspect("equal")
    plane.set_xlim(field.x.values[[0, -1]])
    plane.set_ylim(field.y.values[[0, -1]])
    plane.set_xlabel("first coordinate  [length]")
    plane.set_ylabel("second coordinate  [length]")
    plane.set_title("paths, open: start, full: end")
    style.letter(axes[0])
    handles += [style.sample_points(text, marker, colour) for colour, marker, text in _SURPLUS.values()]
    handles += [
        style.sample_line("theory: rate of the single point", dashes=_DOTTED, linewidth=1.1),
        style.sample_line("theory: iterations$^{-1/2}$", dashes=_DASHED, linewidth=1.1),
        style.sample_line("theory: split radius", linewidth=1.1),
    ]
    caption = f"{parameters(game)}, {run.attrs['rule']} steps; crosses: true points of equal mass"
    style.finish(figure, "Mass in the wrong place stays there", caption, handles, 3)
    return figure


# Colour, mark and words by the number of generated points at a true point that is worth two.
_SURPLUS = {
    1: (style.feature_colour(0), "o", "one point where two belong: exact hit"),
    2: (style.feature_colour(2), "s", "two points: slow closing"),
    3: (style.feature_colour(1), "^", "three points: split"),
}


def _corners(game: KernelGAN, end: Array) -> npt.NDArray[np.int64]:
    """How many generated points share each one's true point, at most three, shape `[M]`."""
    apart = np.linalg.norm(end[:, None] - game.real_points[None], axis=-1)
    nearest = apart.argmin(axis=1)
    count = np.bincount(nearest, minlength=len(game.real_points))[nearest]
    return np.asarray(np.minimum(count, 3))


def digits(data: Data) -> Figure:
    """F7: convergence and conditioning on handwritten digits, by the bandwidth."""
    theory, simulated = data["theory"], data["simulated"]
    figure, axes = style.panels(1, 3, size=(3.9, 3.5))
    rules = theory.rule.values.tolist()
    counts = theory.components.values.tolist()
    for panel, rule in zip(axes[0], rules, strict=False):
        for c in range(len(counts)):
            colour, marker = style.feature_colour(c), ("o", "s", "^", "D")[c % 4]
            exact = 1 - theory.radius.sel(rule=rule).values[c]
            panel.plot(theory.width.values, exact, color=colour)
            if rule == "simultaneous":
                isolated = 1 - theory.isolated.values[c]
                panel.plot(theory.width.values, isolated, color=colour, linestyle=_DASHED, linewidth=1.0)
            measured = 1 - simulated.radius.sel(rule=rule).values[c]
            panel.plot(
                simulated.width.values, measured, color=colour, marker=marker, linestyle="", markersize=6 - 1.5 * c,
                markerfacecolor="white" if c == 0 else colour,
            )  # fmt: skip
        panel.set_ylabel("1 \N{MINUS SIGN} radius  [per iteration]")
        panel.set_title(f"{rule} steps")
    for c, _ in enumerate(counts):
        axes[0, 2].plot(theory.width.values, theory.conditioning.values[c], color=style.feature_colour(c))
    axes[0, 2].set_ylabel("conditioning  [1]")
    axes[0, 2].set_title("largest over smallest stiffness")
    for panel in axes[0]:
        panel.set_xscale("log")
        panel.set_yscale("log")
        style.log_axis(panel.xaxis)
        panel.axvline(1 / 3, color=style.FAINT, linewidth=0.8, linestyle=_DOTTED)
        for c, _ in enumerate(counts):
            median = theory.attrs["median"][c] / theory.attrs["smallest"][c]
            if theory.width[0] < median < theory.width[-1]:
                panel.axvline(median, color=style.feature_colour(c), linewidth=0.8, linestyle=_DOTTED)
        panel.set_xlabel("bandwidth / smallest distance  [1]")
    style.letter(axes[0])
    handles: list[Artist] = [
        style.sample_line(f"{count} components", style.feature_colour(c)) for c, count in enumerate(counts)
    ]
    handles += [
        style.sample_line("isolated points", style.FAINT, _DASHED, linewidth=1.0),
        style.sample_points("simulated", "o", style.FAINT),
        style.sample_line("a third of the smallest; median distances", style.FAINT, _DOTTED, linewidth=0.8),
    ]
    caption = (
        f"ten true points: the means of the digits on their leading principal components; as many generated points; "
        f"discriminator_lr = {theory.attrs['discriminator_lr']:g}, regularization = "
        f"{theory.attrs['regularization']:g}, generator_lr = regularization / (2 largest stiffness)"
    )
    style.finish(figure, "A wide kernel converges slowly", caption, handles, 5)
    return figure


def escape(data: Data) -> Figure:
    """F8: how long two points stay together between two true ones."""
    theory, simulated = data["theory"], data["simulated"]
    figure, axes = style.panels(1, 1, size=(5.4, 3.8))
    panel = axes[0, 0]
    panel.plot(theory.bandwidth.values, theory.time.values, color=style.feature_colour(0))
    panel.plot(theory.bandwidth.values, theory.law.values, color=style.feature_colour(0), linestyle=_DASHED)
    panel.plot(
        simulated.bandwidth.values, simulated.time.values, color=style.feature_colour(1), marker="o", linestyle="",
        markersize=5,
    )  # fmt: skip
    panel.set_xscale("log")
    panel.set_yscale("log")
    style.log_axis(panel.xaxis)
    panel.set_xlabel(_BANDWIDTH)
    panel.set_ylabel("escape time, 1 / growth rate  [iterations]")
    handles = [
        style.sample_line("theory", style.feature_colour(0)),
        style.sample_line("wide kernels: bandwidth$^4$", style.feature_colour(0), _DASHED),
        style.sample_points("simulated", "o", style.feature_colour(1)),
    ]
    caption = (
        f"true points at {theory.attrs['real_points']}, two generated points together at 0, RBF, regularization = "
        f"{theory.attrs['regularization']:g}, generator_lr = {theory.attrs['generator_lr']:g}, discriminator_lr = "
        f"{theory.attrs['discriminator_lr']:g}, alternating steps"
    )
    style.finish(figure, "A wide kernel keeps generated points together", caption, handles, 3)
    return figure


_REPRESENTATIONS = {
    "history": (style.feature_colour(0), "o", "truncated history"),
    "fourier_grid": (style.feature_colour(2), "s", "Fourier grid"),
    "random_features": (style.feature_colour(1), "^", "random features"),
}


def representations(data: Data) -> Figure:
    """F9: error of the representations against cost, and against what was asked for."""
    figure, axes = style.panels(1, 2, size=(4.7, 3.5), sharey=True)
    cost, asked = axes[0]
    for name, (colour, marker, _) in _REPRESENTATIONS.items():
        one = data[name]
        look: dict[str, Any] = dict(color=colour, marker=marker, linestyle="", markersize=5)
        relative = one.seconds.values / one.attrs["full_seconds"]
        error, spread = np.maximum(one.error.values, 1e-16), one.spread.values
        cost.errorbar(relative, error, spread if np.any(spread) else None, **look)
        if name == "random_features":
            for x, y, count in zip(relative, error, one.setting.values, strict=True):
                cost.annotate(f"{count:.0f}", (x, y), (5, 3), textcoords="offset points", fontsize=7)
        else:
            asked.plot(one.setting.values, error, **look)
    tolerances = np.concatenate([data[name].setting.values for name in ("history", "fourier_grid")])
    ends = np.array([tolerances.min() / 3, tolerances.max() * 3])
    asked.plot(ends, ends, color=style.INK, linewidth=1.0)
    for panel in (cost, asked):
        panel.set_xscale("log")
        panel.set_yscale("log")
    cost.set_ylabel("largest error of a coordinate  [length]")
    cost.set_xlabel("time of the run  [time of the full history]")
    asked.set_xlabel("tolerance asked for  [change of the discriminator]")
    asked.set_ylabel("largest error of a coordinate  [length]")
    cost.set_title("cost")
    asked.set_title("accuracy")
    style.letter(axes[0])
    about = data["history"].attrs
    handles: list[Artist] = [style.sample_points(text, marker, c) for c, marker, text in _REPRESENTATIONS.values()]
    handles.append(style.sample_line("error = tolerance", linewidth=1.0))
    caption = (
        f"4 true and 8 generated points in a plane, bandwidth = {about['bandwidth']:g}, regularization = "
        f"{about['regularization']:g}, discriminator_lr = {about['discriminator_lr']:g}, generator_lr = "
        f"{about['generator_lr']:g}; {about['iterations']} iterations against the full history "
        f"({style.number(round(about['full_seconds'], 3))} s on this machine); random features: mean and standard "
        f"deviation of {about['seeds']} seeds, labelled by their number"
    )
    style.finish(figure, "Three ways to hold the discriminator", caption, handles, 4)
    return figure


def cycles(data: Data) -> Figure:
    """F10: amplitude of the cycle beyond the spiral boundary."""
    theory, simulated = data["theory"], data["simulated"]
    figure, axes = style.panels(1, 1, size=(5.4, 3.8))
    panel = axes[0, 0]
    handles: list[Artist] = []
    for k, forgetting in enumerate(theory.forgetting.values):
        colour, marker = style.feature_colour(k), ("o", "s", "^", "D")[k % 4]
        panel.plot(theory.ratio.values, theory.amplitude.values[k], color=colour)
        panel.plot(
            simulated.ratio.values, simulated.amplitude.values[k], color=colour, marker=marker, linestyle="",
            markersize=5,
        )  # fmt: skip
        label = f"forgetting {forgetting:g}"
        handles.append(style.sample_line(label, colour, marker=marker, markersize=5))
    panel.set_xlabel("coupling / forgetting, 1 at the boundary  [1]")
    panel.set_ylabel("amplitude  [bandwidths]")
    caption = (
        f"one generated point with the mass of its true point on a line, simultaneous steps, discriminator_lr = "
        f"{theory.attrs['discriminator_lr']:g}; lines: theory to leading order; points: the last fifth of "
        f"{theory.attrs['iterations']} iterations; forgetting = discriminator_lr regularization"
    )
    style.finish(figure, "Beyond the spiral boundary points circle", caption, handles, 3)
    return figure


def single_point(data: Data) -> Figure:
    """F11: one point near one true point, by bandwidth, regularization and both rates."""
    runs = data["runs"]
    widths, strengths = runs.bandwidth.values, runs.regularization.values
    figure, axes = style.panels(len(strengths), len(widths), size=(3.5, 2.1), sharex=True, sharey=True)
    steps = runs.iteration.values
    few = style.thin(len(steps), 45)
    for r, strength in enumerate(strengths):
        for b, width in enumerate(widths):
            panel = axes[r, b]
            for k in range(runs.sizes["rate"]):
                one = runs.isel(bandwidth=b, regularization=r, rate=k)
                colour, marker = style.feature_colour(k), ("o", "s", "^", "D")[k % 4]
                simulated, linear = (_on_scale(one[name].values) for name in ("simulated", "linear"))
                panel.plot(steps, linear, color=colour, linewidth=0.8, alpha=0.8)
                panel.plot(steps[few], simulated[few], color=colour, marker=marker, linestyle="", markersize=2.6)
            panel.set_yscale("log")
            panel.set_ylim(_LEAST / 3, _MOST * 3)
            panel.set_title(f"bandwidth {width:g}, regularization {strength:g}", fontsize=8)
            if r == len(strengths) - 1:
                panel.set_xlabel("iteration  [number]")
            if b == 0:
                panel.set_ylabel("squared distance\n[length$^2$]")
    handles = [_rate_entry(runs, k) for k in range(runs.sizes["rate"])]
    caption = (
        f"one true and one generated point on a line, both of mass 1, start at distance {runs.attrs['start']:g}, RBF, "
        f"alternating steps; points: simulated, lines: linear theory; shown between {_LEAST:g} and {_MOST:g}"
    )
    style.finish(figure, "What controls convergence", caption, handles, 2)
    return figure


_LEAST, _MOST = 1e-16, 1e2


def _on_scale(values: Array) -> Array:
    """Values within the picture; what is beyond is not drawn, what is below lies on its edge."""
    with np.errstate(invalid="ignore"):
        return np.where(values > _MOST, np.nan, np.maximum(values, _LEAST))


def _rate_entry(runs: xr.Dataset, k: int) -> Artist:
    rates: Sequence[float] = [float(runs[name].values[k]) for name in ("discriminator_lr", "generator_lr")]
    label = f"discriminator_lr {rates[0]:g}, generator_lr {rates[1]:g}"
    return style.sample_line(label, style.feature_colour(k), marker=("o", "s", "^", "D")[k % 4], markersize=3.6)
