"""The figures of dual flows with a few numbers, from the data of `claims.recipes_dualflow`.

Every function takes the data sets of its recipe, by name, and returns a figure. None of them simulates.

References:
    Turinici. Convergence dynamics of generative adversarial networks: the dual metric flows. 2020.
    Delgadino, Suassuna, Cabrera. Generative Adversarial Networks: Dynamics. JMLR 26, 2025.
"""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import xarray as xr
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ganscope.figures import style
from ganscope.figures.dualflow_look import (
    DASHED,
    DOTTED,
    FLOW,
    plane,
    scheme_colour,
    scheme_entry,
    scheme_mark,
    scheme_points,
    words,
)

Array = npt.NDArray[np.float64]
Data = Mapping[str, xr.Dataset]

_GENERATOR, _DISCRIMINATOR = "generator x  [1]", "discriminator y  [1]"
_CONVEXITY = "convexity of the discriminator's energy  [1]"
# Schemes that coincide on the bilinear game, with what becomes of them.
_PAIRS = (
    ("outwards", ("explicit", "jko")),
    ("closed", ("explicit_sequential", "jko_sequential")),
    ("inwards", ("nash",)),
)


def bilinear_orbits(data: Data) -> Figure:
    """F1: orbits of the bilinear game under five schemes."""
    runs, flow = data["runs"], data["flow"]
    kappa = runs.attrs["step_size"] * runs.attrs["strength"]
    figure, axes = style.panels(1, 4, size=(3.25, 3.1))
    steps = runs.iteration.values
    for panel, (what, levels) in zip(axes[0], _PAIRS, strict=False):
        panel.plot(flow.x.values, flow.y.values, color=FLOW, linewidth=1.1)
        modulus = float(runs.modulus.sel(scheme=levels[0]))
        panel.plot(*_theory_path(levels[0], kappa, modulus, steps), color=scheme_colour(levels[0]), linewidth=1.0)
        for level, size, filled in zip(levels, (5.2, 2.0), (len(levels) == 1, True), strict=False):
            one = runs.sel(scheme=level).isel(iteration=slice(None, None, 3 if what == "closed" else 1))
            scheme_points(panel, one.x.values, one.y.values, level, 3.4 if len(levels) == 1 else size, filled)
        end = float(runs.radius.sel(scheme=levels[0])[-1])
        panel.set_title(f"{what}: radius {style.number(end)} at the end", fontsize=8.5)
        plane(panel, _GENERATOR, _DISCRIMINATOR)
    course = axes[0, 3]
    for what, levels in _PAIRS:
        del what
        for level, filled in zip(levels, (len(levels) == 1, True), strict=False):
            one = runs.sel(scheme=level)
            every = steps % max(1, len(steps) // 25) == 0
            scheme_points(course, steps[every], one.radius.values[every], level, 2.0 if filled else 5.0, filled)
        course.plot(steps, _radius(levels[0], kappa, runs, steps), color=scheme_colour(levels[0]), linewidth=1.0)
    course.axhline(1.0, color=FLOW, linewidth=1.1)
    course.set_yscale("log")
    style.log_axis(course.yaxis)
    course.set_xlabel("iteration  [number]")
    course.set_ylabel("distance from equilibrium  [1]")
    course.set_title("growth and decay")
    style.letter(axes[0])
    handles: list[Artist] = [style.sample_line("flow, and theory of each scheme", FLOW)]
    handles += [
        scheme_entry(level, len(levels) == 1 or k == 1) for _, levels in _PAIRS for k, level in enumerate(levels)
    ]
    caption = (
        f"E1 = s x y = \N{MINUS SIGN}E2 with s = {runs.attrs['strength']:g}, generator_lr = discriminator_lr = 1, "
        f"step_size = {runs.attrs['step_size']:g}, {steps[-1]} iterations from (1, 0)"
    )
    style.finish(figure, "The bilinear game: only the fully implicit scheme goes inwards", caption, handles, 6)
    return figure


def _theory_path(level: str, kappa: float, modulus: float, steps: Array) -> tuple[Array, Array]:
    """Where theory puts a scheme's points: a spiral, or the ellipse that the sequential ones conserve."""
    if level == "explicit_sequential":
        angle = np.linspace(0.0, 2 * np.pi, 361)
        radius = 1 / np.sqrt(1 - kappa / 2 * np.sin(2 * angle))
        return radius * np.cos(angle), radius * np.sin(angle)
    fine = np.linspace(0.0, float(steps[-1]), 20 * len(steps))
    radius, angle = modulus**fine, np.arctan(kappa) * fine
    return radius * np.cos(angle), radius * np.sin(angle)


def _radius(level: str, kappa: float, runs: xr.Dataset, steps: Array) -> Array:
    """The distance from equilibrium that theory gives after every step."""
    if level != "explicit_sequential":
        return float(runs.modulus.sel(scheme=level)) ** np.asarray(steps, np.float64)
    # the linear map of one step in its eigenvectors
    step = np.array([[1.0, -kappa], [kappa, 1.0 - kappa**2]])
    values, vectors = np.linalg.eig(step)
    weights = np.linalg.solve(vectors, np.array([1.0, 0.0]))
    return np.asarray(np.linalg.norm(((weights * values[None] ** steps[:, None]) @ vectors.T).real, axis=1))


def scheme_errors(data: Data) -> Figure:
    """F2: errors of the schemes against the step size."""
    errors = data["errors"]
    figure, axes = style.panels(1, 1, size=(6.0, 4.2))
    panel = axes[0, 0]
    sizes = errors.step_size.values
    handles: list[Artist] = []
    for level in errors.scheme.values.tolist():
        one = errors.sel(scheme=level)
        order = 2 if level == "midpoint" else 1
        last = int(np.argmin(sizes))
        colour = scheme_colour(level)
        panel.plot(sizes, float(one.error[last]) * (sizes / sizes[last]) ** order, color=colour, linewidth=0.9)
        scheme_points(panel, sizes, one.error.values, level, 5.0)
        if np.all(np.isfinite(one.bound.values)):
            panel.plot(sizes, one.bound.values, color=colour, linestyle=DASHED, linewidth=1.1)
        handles.append(scheme_entry(level))
    panel.set_xscale("log")
    panel.set_yscale("log")
    style.log_axis(panel.xaxis)
    panel.set_xlabel("step_size  [time]")
    panel.set_ylabel(f"distance from the flow at time {errors.attrs['horizon']:g}  [1]")
    handles += [
        style.sample_line("slope 1, and slope 2 of midpoint", style.FAINT, linewidth=0.9),
        style.sample_line("upper bound of theory (jko, jko sequential)", style.FAINT, DASHED, linewidth=1.1),
    ]
    caption = (
        "zero-sum quadratic game with A1 = 0.2, A2 = 0.5, B1 = 1, generator_lr = 1, discriminator_lr = "
        f"{errors.attrs['discriminator_lr']:g}, from (1, \N{MINUS SIGN}0.5)"
    )
    style.finish(figure, "Every scheme approaches one dual flow", caption, handles, 3)
    return figure


def largest_steps(data: Data) -> Figure:
    """F3: the largest stable step sizes."""
    theory, simulated = data["theory"], data["simulated"]
    figure, axes = style.panels(1, 2, size=(4.6, 3.6))
    strength, lam1 = theory.attrs["strength"], theory.attrs["generator_convexity"]
    edge = strength**2 / lam1
    handles: list[Artist] = []
    x, places = theory.convexity.values, simulated.convexity.values
    for panel, widest, tallest in zip(axes[0], (6.0, float(x[-1])), (8.0, 100.0), strict=True):
        for level in theory.scheme.values.tolist():
            steps, found = theory.largest_step.sel(scheme=level).values, simulated.largest_step.sel(scheme=level).values
            shown = (places <= widest) & (found < tallest)
            panel.plot(x, np.where(np.isfinite(steps), steps, np.nan), color=scheme_colour(level))
            scheme_points(panel, places[shown], found[shown], level, 4.4)
        panel.set_xlim(-0.02 * widest, 1.02 * widest)
        panel.set_yscale("log")
        style.log_axis(panel.yaxis)
        panel.set_ylim(0.06, tallest)
        panel.set_xlabel(_CONVEXITY)
        panel.set_ylabel("largest stable step_size  [time]")
    axes[0, 0].set_title("order of the schemes")
    wide = axes[0, 1]
    wide.set_title("convexity enough for proximal steps of any size")
    if edge < x[-1]:
        wide.axvline(edge, color=style.FAINT, linewidth=0.9, linestyle=DOTTED)
        wide.axvspan(edge, wide.get_xlim()[1], color=scheme_colour("jko_sequential"), alpha=0.10, linewidth=0)
        wide.text(edge - 0.15, 0.075, "every step stable\nfor jko, jko sequential  \N{RIGHTWARDS ARROW}", ha="right",
                  fontsize=8, color=style.FAINT)  # fmt: skip
    style.letter(axes[0])
    for level in theory.scheme.values.tolist():
        handles.append(
            style.sample_line("nash: every step is stable", "white")
            if level == "nash"
            else style.sample_line(words(level), scheme_colour(level), marker=scheme_mark(level), markersize=4.4)
        )
    handles.append(style.sample_line("product of the convexities = s\N{SUPERSCRIPT TWO}", style.FAINT, DOTTED))
    caption = (
        f"zero-sum game of two numbers with coupling s = {strength:g}, convexity {lam1:g} of the generator's energy, "
        f"generator_lr = discriminator_lr = 1; lines: theory, points: where runs of {theory.attrs['iterations']} "
        "iterations begin to grow"
    )
    style.finish(figure, "How large a step may be", caption, handles, 3)
    return figure


def width_orbits(data: Data) -> Figure:
    """F4: a generator's standard deviation against its quadratic discriminator."""
    runs, orbits = data["runs"], data["orbits"]
    penalties, starts = runs.penalty.values.tolist(), runs.start.values.tolist()
    figure, axes = style.panels(1, len(penalties) + 1, size=(3.9, 3.5))
    for panel, penalty in zip(axes[0], penalties, strict=False):
        for k, start in enumerate(starts):
            one = runs.sel(penalty=penalty, start=start)
            colour = style.feature_colour(k)
            line = orbits.sel(start=start) if penalty == 0 else one
            panel.plot(line["std"].values, line.quadratic.values, color=colour, linewidth=1.1)
            every = style.thin(runs.sizes["time"], 150 if penalty == 0 else 300)
            if penalty == 0:
                every = every[runs.time.values[every] < 7.0]
            panel.plot(
                one.scheme_std.values[every], one.scheme_quadratic.values[every], linestyle="", marker="o",
                color=colour, markersize=2.6, markerfacecolor="white", markeredgewidth=0.7,
            )  # fmt: skip
            if penalty == 0:
                highest = float(orbits.highest.sel(start=start))
                panel.plot(highest, 0.0, marker="|", color=style.INK, markersize=9)
                inside = highest == orbits.highest.max()
                panel.annotate(
                    f"{highest:.5f}", (highest, 0.0), xytext=(-6 if inside else 6, -3), textcoords="offset points",
                    ha="right" if inside else "left", fontsize=8,
                )  # fmt: skip
        panel.plot(1.0, 0.0, marker="+", color=style.INK, markersize=9, linestyle="")
        kind = "closed orbits" if penalty == 0 else "spirals into the target"
        panel.set_title(f"critic_penalty = {penalty:g}: {kind}")
        plane(panel, "standard deviation  [length]", "W, high on real  [1 / time]", equal=False)
    for k, start in enumerate(starts):
        for penalty in penalties:
            dashes = "-" if penalty == 0 else DASHED
            values = runs.energy.sel(penalty=penalty, start=start).values
            axes[0, -1].plot(runs.time.values, values - 0.25, color=style.feature_colour(k), linestyle=dashes)
    axes[0, -1].set_yscale("log")
    axes[0, -1].set_ylim(bottom=1e-7)
    axes[0, -1].set_xlabel("time  [1]")
    axes[0, -1].set_ylabel("energy above its minimum  [1]")
    axes[0, -1].set_title("conserved, or lost to the penalty")
    style.letter(axes[0])
    handles: list[Artist] = [
        style.sample_line(f"start at standard deviation {start:g}", style.feature_colour(k))
        for k, start in enumerate(starts)
    ]
    handles += [
        style.sample_line("line: conserved energy, or the flow", style.FAINT),
        style.sample_points(f"jko sequential, step_size = {runs.attrs['step_size']:g}", "o", style.FAINT, False),
        style.sample_points("target", "+", style.INK),
    ]
    if len(penalties) > 1:
        handles.append(style.sample_line(f"(c) critic_penalty = {penalties[-1]:g}", style.FAINT, DASHED))
    caption = (
        f"linear-quadratic GAN on a line, both laws centred, target standard deviation {runs.attrs['target_std']:g}, "
        "generator_lr = discriminator_lr = 1; ticks: turning points of theory"
    )
    style.finish(figure, "Orbits of the width, and what a critic penalty does to them", caption, handles, 3)
    return figure


def clipping(data: Data) -> Figure:
    """F10: a clipped discriminator on its way to a periodic orbit."""
    scalar, scheme, field = data["scalar"], data["scheme"], data["field"]
    figure, axes = style.panels(1, 4, size=(3.3, 3.2), gridspec_kw={"width_ratios": [1.15, 1, 1, 1]})
    path, course, cloud, limits = axes[0]
    clip, captured = scalar.attrs["clip"], scalar.attrs["capture_time"]
    green, blue, orange = style.feature_colour(2), style.feature_colour(0), style.feature_colour(1)
    for wall in (-clip, clip):
        path.axhline(wall, color=style.FAINT, linewidth=2.0, alpha=0.5)
    path.plot(scalar.theta.values, scalar.omega.values, color=style.INK, linewidth=1.1)
    few = np.flatnonzero(scheme.time.values < captured + scalar.attrs["period"])
    path.plot(
        scheme.theta.values[few], scheme.omega.values[few], color=green, linestyle="", marker="^", markersize=3.0,
        markerfacecolor="none", markeredgewidth=0.7,
    )  # fmt: skip
    path.plot(0.0, np.interp(captured, scalar.time.values, scalar.omega.values), "o", color=orange, markersize=5.5)
    plane(path, "generator theta  [1]", "discriminator omega  [1]", equal=False)
    path.set_title("one weight: along the wall, then round")
    every = style.thin(scheme.sizes["time"], 66)
    for name, colour in (("theta", blue), ("omega", orange)):
        course.plot(scalar.time.values, scalar[name].values, color=colour, linewidth=1.1)
        course.plot(
            scheme.time.values[every], scheme[name].values[every], color=colour, linestyle="", marker="^",
            markersize=3.0, markerfacecolor="white", markeredgewidth=0.7,
        )  # fmt: skip
    course.axvline(captured, color=style.INK, linewidth=0.9, linestyle=DOTTED)
    course.text(captured + 0.3, 2.6, f"captured at {captured:.3f}", fontsize=8)
    course.set_xlabel("time  [1]")
    course.set_ylabel("theta, omega  [1]")
    course.set_title("periodic for ever")
    _mean_field(cloud, limits, field, (blue, orange, green))
    style.letter(axes[0])
    handles = [
        style.sample_line("exact flow", style.INK),
        style.sample_points(
            f"explicit sequential, step_size = {scheme.attrs['step_size']:g}", "^", green, filled=False
        ),
        style.sample_line("theta", blue),
        style.sample_line("omega; mean of all omega", orange),
        style.sample_points("capture", "o", orange),
        style.sample_line("width of the omegas", green),
        style.sample_line("limit of theory", style.FAINT, DASHED),
        style.sample_line("wall", style.FAINT, linewidth=2.0, alpha=0.5),
    ]
    about = field.attrs
    caption = (
        f"generator_lr = discriminator_lr = 1, clip = {clip:g}; (a, b) from theta = 3, omega = 0; (c, d) "
        f"{about['parameters']} weights uniform on [\N{MINUS SIGN}{about['spread']:g}, {about['spread']:g}], "
        f"theta = {about['theta']:g}"
    )
    style.finish(figure, "Weight clipping never converges", caption, handles, 4)
    return figure


def _mean_field(cloud: Axes, limits: Axes, field: xr.Dataset, colours: tuple[str, str, str]) -> None:
    """Range of the weights, generator, width and amplitude of the mean field."""
    blue, orange, green = colours
    times, about = field.time.values, field.attrs
    early = times <= 25.0
    for wall in (-about["clip"], about["clip"]):
        cloud.axhline(wall, color=style.FAINT, linewidth=2.0, alpha=0.5)
    style.band(cloud, times[early], field.low.values[early], field.high.values[early], orange)
    cloud.plot(times[early], field["mean"].values[early], color=orange, linewidth=1.1)
    cloud.plot(times[early], field.theta.values[early], color=blue, linewidth=1.1)
    cloud.set_xlabel("time  [1]")
    cloud.set_ylabel("theta, range of omega  [1]")
    cloud.set_title("many weights")
    for name, colour in (("amplitude", orange), ("width", green)):
        limits.plot(times, field[name].values, color=colour)
        limits.axhline(about[name], color=style.FAINT, linewidth=1.0, linestyle=DASHED)
        limits.annotate(
            f"{name} {about[name]:.3f}", (times[-1], about[name]), xytext=(0, -11), textcoords="offset points",
            ha="right", fontsize=8,
        )  # fmt: skip
    limits.set_ylim(bottom=0.0)
    limits.set_xlabel("time  [1]")
    limits.set_ylabel("amplitude, width  [1]")
    limits.set_title("what the walls leave")
