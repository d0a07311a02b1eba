"""The figures of dual flows of laws, from the data of `claims.recipes_dualflow_laws`.

Every function takes the data sets of its recipe, by name, and returns a figure. None of them simulates.

References:
    Turinici. Convergence dynamics of generative adversarial networks: the dual metric flows. 2020.
    Arbel, Korba, Salim, Gretton. Maximum mean discrepancy gradient flow. NeurIPS 2019.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import xarray as xr
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Patch

from ganscope.figures import style
from ganscope.figures.dualflow_look import DASHED, DOTTED, SCHEMES, scheme_entry, scheme_points, strips

Array = npt.NDArray[np.float64]
Data = Mapping[str, xr.Dataset]

_TIME, _W2, _COVERAGE = "time  [1]", "W2 from the target  [length]", "mass coverage  [share]"
_MODES = (-2.0, 2.0)
# A defect below this is none; where such points are drawn.
_NONE, _FLOOR = 1e-9, 2.5e-3
# Sizes of marks that lie on each other, and which are full.
_ON_EACH_OTHER = {"explicit": (10.0, False), "jko": (6.5, False), "jko_sequential": (3.0, True), "nash": (7.5, False)}


def fast_discriminator(data: Data) -> Figure:
    """F5: quantiles against time, and the distance from the limit of a fast discriminator."""
    dual, limit, distance = data["dual"], data["limit"], data["distance"]
    speeds, levels = dual.discriminator_lr.values.tolist(), dual.level.values.tolist()
    figure, axes = style.panels(1, len(speeds) + 1, size=(3.3, 3.2))
    for panel, speed in zip(axes[0], speeds, strict=False):
        for k, level in enumerate(levels):
            colour = style.feature_colour(k)
            panel.plot(limit.time.values, limit["quantile"].sel(level=level).values, color=colour, linewidth=1.2)
            values = dual["quantile"].sel(discriminator_lr=speed, level=level).values
            few = style.thin(len(values), 30)
            panel.plot(dual.time.values[few], values[few], color=colour, marker="o", linestyle="", markersize=2.6)
            panel.axhline(float(limit.target.sel(level=level)), color=colour, linewidth=0.8, linestyle=DOTTED)
        panel.set_xlabel(_TIME)
        panel.set_ylabel("quantile of the generator  [length]")
        panel.set_title(f"discriminator_lr = {speed:g}")
    for panel in axes[0, 1:-1]:
        panel.sharey(axes[0, 0])
    last = axes[0, -1]
    rates, apart = distance.rate.values, distance.distance.values
    last.plot(rates, apart[-1] * rates[-1] / rates, color=style.INK, linewidth=1.0)
    last.plot(rates, apart, color=style.INK, marker="o", linestyle="")
    last.set_xscale("log")
    last.set_yscale("log")
    style.log_axis(last.xaxis)
    style.log_axis(last.yaxis)
    last.set_xlabel("discriminator_lr  [1 / time]")
    last.set_ylabel("W2 from the limit at time 1  [length]")
    last.set_title("slope \N{MINUS SIGN}1")
    style.letter(axes[0])
    handles: list[Artist] = [
        style.sample_line(f"quantile {level:g}", style.feature_colour(k)) for k, level in enumerate(levels)
    ]
    handles += [
        style.sample_line("line: discriminator at its optimum at all times", style.FAINT),
        style.sample_points("points: dual flow", "o", style.FAINT),
        style.sample_line("target", style.FAINT, DOTTED),
    ]
    caption = (
        f"{dual.attrs['particles']} particles from N(1.5, 0.25) against N(0, 1), Gaussian kernel of bandwidth 1, "
        "critic_penalty = 1, generator_lr = 1; (d) from the best discriminator for the start"
    )
    style.finish(figure, "A fast discriminator makes the generator a gradient flow", caption, handles, 4)
    return figure


def _courses(
    coverage: Axes, w2: Axes, runs: xr.Dataset, name: str, colours: Sequence[str], dashes: Sequence[object]
) -> None:
    """Coverage and W2 over time."""
    times = runs.time.values
    for k, (colour, dash) in enumerate(zip(colours, dashes, strict=True)):
        one = runs.isel({name: k})
        coverage.plot(times, one.coverage.values, color=colour, linestyle=dash)
        w2.plot(times, one.w2.values, color=colour, linestyle=dash)
    coverage.set_ylim(-0.04, 1.04)
    w2.set_ylim(0.0, 1.06 * float(np.nanmax(runs.w2.values)))
    for panel, label in ((coverage, _COVERAGE), (w2, _W2)):
        panel.set_xlabel(_TIME)
        panel.set_ylabel(label)
        panel.margins(x=0.02)


def _ends(runs: xr.Dataset, k: int, name: str) -> str:
    one = runs.isel({name: k})
    return f"{float(one.coverage[-1]):.3f}\n{float(one.w2[-1]):.3f}"


def _beside(axes: Axes, runs: xr.Dataset, name: str, first: int, count: int) -> None:
    """Coverage and W2 at the end, at the right of the rows that belong to the runs."""
    for k in range(count):
        axes.text(
            1.02, -(k + first), _ends(runs, k, name), transform=axes.get_yaxis_transform(), fontsize=7.5, va="center"
        )
    axes.text(1.02, 0.55, "coverage\nW2", transform=axes.get_yaxis_transform(), fontsize=7.5, va="bottom")


def _reach(rows: Sequence[tuple[str, Array, str]]) -> tuple[float, float]:
    """What is shown of a line: all particles, and a little more than the modes."""
    places = np.concatenate([points for _, points, _ in rows])
    places = places[np.isfinite(places)]
    return min(-3.2, float(places.min()) - 0.3), max(3.2, float(places.max()) + 0.3)


def critics(data: Data) -> Figure:
    """F6: two modes against discriminators of different metrics."""
    figure, axes = style.panels(len(data), 3, size=(4.3, 2.7), gridspec_kw={"width_ratios": [1, 1, 1.15]})
    handles: list[Artist] = []
    for row, (start, runs) in zip(axes, data.items(), strict=True):
        names = runs.critic.values.tolist()
        colours = [style.feature_colour(k) for k in range(len(names))]
        start = f"coverage, {start}"
        _courses(row[0], row[1], runs, "critic", colours, ["-"] * len(names))
        short = [name.replace("Gaussian kernel, ", "") for name in names]
        rows = [("start", runs.start.values, style.FAINT)]
        rows += [(name, runs.points.values[k], colours[k]) for k, name in enumerate(short)]
        band = strips(row[2], rows, _MODES, runs.attrs["mode_radius"], *_reach(rows))
        _beside(row[2], runs, "critic", 1, len(names))
        for panel, text in zip(row, (start, "distance", f"particles at time {runs.time.values[-1]:g}"), strict=True):
            panel.set_title(text)
        handles = [style.sample_line(name, colour) for name, colour in zip(names, colours, strict=True)] + band
    style.letter(axes.ravel())
    about = next(iter(data.values())).attrs
    caption = (
        f"{about['particles']} particles against two normal modes at \N{PLUS-MINUS SIGN}2 of standard deviation 0.25; "
        f"generator_lr = 1, discriminator_lr = {about['discriminator_lr']:g}, critic_penalty = 1"
    )
    style.finish(figure, "What a discriminator's metric does to mode collapse", caption, handles, 5)
    return figure


def entropy(data: Data) -> Figure:
    """F7: entropy alone against mode collapse."""
    runs = data["runs"]
    values = runs.entropy.values.tolist()
    figure, axes = style.panels(1, 3, size=(4.3, 3.2), gridspec_kw={"width_ratios": [1, 1, 1.15]})
    colours = [style.feature_colour(k) for k in range(len(values))]
    _courses(axes[0, 0], axes[0, 1], runs, "entropy", colours, ["-"] * len(values))
    rows = [("target", runs.target.values, style.FAINT)]
    rows += [(f"{value:g}", runs.points.values[k], colours[k]) for k, value in enumerate(values)]
    band = strips(axes[0, 2], rows, _MODES, runs.attrs["mode_radius"], *_reach(rows))
    axes[0, 2].set_ylabel("entropy  [length\N{SUPERSCRIPT TWO} / time]")
    _beside(axes[0, 2], runs, "entropy", 1, len(values))
    titles = ("coverage rises a little", "the distance does not fall", f"particles at time {runs.time.values[-1]:g}")
    for panel, text in zip(axes[0], titles, strict=True):
        panel.set_title(text)
    style.letter(axes[0])
    about = runs.attrs
    handles = [style.sample_line(f"entropy = {v:g}", c) for v, c in zip(values, colours, strict=True)] + band
    caption = (
        f"{about['particles']} particles from N(2, 0.01) against two normal modes at \N{PLUS-MINUS SIGN}2 of standard "
        "deviation 0.25; Gaussian kernel of bandwidth 0.5, generator_lr = 1, discriminator_lr = "
        f"{about['discriminator_lr']:g}, critic_penalty = 1, no ridge, jko_sequential with step_size = "
        f"{about['step_size']:g}"
    )
    style.finish(figure, "Noise alone is no cure for a short-sighted discriminator", caption, handles, 5)
    return figure


def step_defects(data: Data) -> Figure:
    """F8: the defect in the variational inequality against the step size."""
    defects = data["defects"]
    figure, axes = style.panels(1, 2, size=(4.3, 3.5))
    sizes = defects.step_size.values
    wrong = style.feature_colour(6)
    for panel, player in zip(axes[0], ("generator", "discriminator"), strict=True):
        for level in defects.scheme.values.tolist():
            values = defects[player].sel(scheme=level).values
            if level not in SCHEMES:
                if np.all(values > _NONE):
                    panel.plot(sizes, values, color=wrong, marker="X", linestyle="", markersize=6)
                    panel.axhline(float(values.mean()), color=wrong, linewidth=0.9, linestyle=DASHED)
                continue
            drawn = np.where(values > _NONE, values, _FLOOR)
            scheme_points(panel, sizes, drawn, level, *_ON_EACH_OTHER[level])
            if np.all(values > _NONE):
                last = int(np.argmin(sizes))
                panel.plot(sizes, values[last] * sizes / sizes[last], color=SCHEMES[level][0], linewidth=0.9)
        panel.set_xscale("log")
        panel.set_yscale("log")
        panel.set_xticks(sizes, [style.number(size) for size in sizes])
        panel.set_xticks([], minor=True)
        panel.set_ylim(0.8 * _FLOOR, 0.25)
        ticks = [0.005, 0.01, 0.02, 0.05, 0.1, 0.2]
        panel.set_yticks([_FLOOR, *ticks], ["none", *(f"{tick:g}" for tick in ticks)])
        panel.set_yticks([], minor=True)
        panel.axhline(1.3 * _FLOOR, color=style.FAINT, linewidth=0.6, linestyle=DOTTED)
        panel.set_xlabel("step_size  [time]")
        panel.set_ylabel("defect  [energy / length]")
        panel.set_title(f"of the {player}")
    style.letter(axes[0])
    handles: list[Artist] = [scheme_entry(n, look[1]) for n, look in _ON_EACH_OTHER.items() if n in defects.scheme]
    handles += [
        style.sample_points("jko sequential, tested with twice its generator_lr", "X", wrong),
        style.sample_line("slope 1", style.FAINT, linewidth=0.9),
    ]
    caption = (
        f"{defects.attrs['particles']} particles from N(1.5, 0.25) against N(0, 1), Gaussian kernel of bandwidth 1, "
        f"critic_penalty = generator_lr = discriminator_lr = 1, runs up to time {defects.attrs['horizon']:g}"
    )
    style.finish(figure, "The defect vanishes with the step, unless the flow is another one", caption, handles, 3)
    return figure


def point_positions(data: Data) -> Figure:
    """F9: where a generator that is one point goes."""
    runs = data["runs"]
    speeds, critical = runs.discriminator_lr.values, runs.attrs["critical_ratio"]
    figure, axes = style.panels(1, 3, size=(4.1, 3.3), gridspec_kw={"width_ratios": [1.25, 1, 0.8]})
    slow, fast, ranges = axes[0]
    for k, speed in enumerate(speeds.tolist()):
        panel = fast if speed > critical else slow
        panel.plot(runs.time.values, runs.position.values[k], color=style.feature_colour(k), linewidth=1.1)
    for panel in (slow, fast):
        for mode in runs.attrs["modes"]:
            panel.axhline(mode, color=style.INK, linewidth=0.9, linestyle=DOTTED)
        panel.set_xlabel(_TIME)
        panel.set_ylabel("place of the point  [length]")
    slow.set_title(f"discriminator_lr below {critical:.3f}: cycles or escapes")
    fast.set_title("above: settles at the mode")
    fast.set_xlim(-0.5, min(20.0, float(runs.time.values[-1])))
    near = runs.position.values[speeds > critical]
    if near.size:
        fast.set_ylim(float(near.min()) - 0.1, float(near.max()) + 0.1)
    for k, speed in enumerate(speeds.tolist()):
        moved = max(float(runs["range"].values[k]), 1e-6)
        ranges.plot(speed, moved, color=style.feature_colour(k), marker="o", markersize=5)
    ranges.axvline(critical, color=style.INK, linewidth=1.0, linestyle=DASHED)
    ranges.set_xscale("log")
    ranges.set_yscale("log")
    style.log_axis(ranges.xaxis)
    for tick in ranges.get_xticklabels():
        tick.set_rotation(60)
    ranges.set_xlabel("discriminator_lr / generator_lr  [1]")
    ranges.set_ylabel("range in the last third  [length]")
    ranges.set_title("late motion")
    style.letter(axes[0])
    handles: list[Artist] = [
        style.sample_line(f"discriminator_lr = {speed:g}", style.feature_colour(k)) for k, speed in enumerate(speeds)
    ]
    handles += [
        style.sample_line("modes of the smoothed data", style.INK, DOTTED, linewidth=0.9),
        style.sample_line(f"critical ratio of theory, {critical:.4f}", style.INK, DASHED, linewidth=1.0),
    ]
    caption = (
        "one point from 0.5 against two normal modes at \N{PLUS-MINUS SIGN}2 of standard deviation 0.25 "
        f"({runs.attrs['particles']} quantiles), Gaussian kernel of bandwidth 0.5, critic_penalty = generator_lr = 1, "
        "flow; ranges below 1e-6 stand at 1e-6"
    )
    style.finish(figure, "A collapsed generator rests only against a fast discriminator", caption, handles, 4)
    return figure


def ring(data: Data) -> Figure:
    """F11: a ring of eight modes in the plane."""
    figure, axes = style.panels(len(data), 4, size=(3.3, 3.1))
    colours = [style.feature_colour(k) for k in (2, 0, 1)]
    names: list[str] = []
    first = next(iter(data.values()))
    for row, (start, runs) in zip(axes, data.items(), strict=True):
        names = runs.critic.values.tolist()
        seen = np.concatenate([runs.points.values.reshape(-1, 2), 1.3 * runs.centres.values])
        low, high = np.nanmin(seen, axis=0) - 0.2, np.nanmax(seen, axis=0) + 0.2
        for k, panel in enumerate(row[: len(names)]):
            for centre in runs.centres.values:
                panel.add_patch(Circle(tuple(centre), runs.attrs["mode_radius"], color=style.FAINT, alpha=0.12, lw=0))
            panel.plot(*runs.target.values.T, ".", color=style.FAINT, markersize=1.6, alpha=0.6)
            panel.plot(*runs.start.values.T, ".", color=style.INK, markersize=1.6)
            panel.plot(*runs.points.values[k].T, linestyle="", marker="o", color=colours[k % 3], markersize=2.6)
            share, apart = float(runs.coverage[k, -1]), float(runs.sliced_w2[k, -1])
            panel.set_title(f"coverage {share:.2f}, W2 {apart:.3f}", fontsize=8.5)
            panel.set_xlim(low[0], high[0])
            panel.set_ylim(low[1], high[1])
            panel.set_aspect("equal")
            panel.set_xlabel("first coordinate  [length]")
            panel.set_ylabel(f"from {'one mode' if start == 'mode' else 'the centre'}\nsecond coordinate  [length]")
        last = row[-1]
        for k in range(len(names)):
            last.plot(runs.time.values, runs.coverage.values[k], color=colours[k % 3])
            last.plot(runs.time.values, runs.sliced_w2.values[k], color=colours[k % 3], linestyle=DASHED)
        last.set_ylim(bottom=0.0)
        last.set_xlabel(_TIME)
        last.set_ylabel("coverage  [share], sliced W2  [length]")
        last.set_title("course", fontsize=8.5)
    style.letter(axes.ravel())
    handles: list[Artist] = [style.sample_points(name, "o", colours[k % 3]) for k, name in enumerate(names)]
    handles += [
        style.sample_points("target", ".", style.FAINT),
        style.sample_points("start", ".", style.INK),
        Patch(facecolor=style.FAINT, alpha=0.25, label=f"within {first.attrs['mode_radius']:g} of a mode"),
        style.sample_line("coverage", style.FAINT),
        style.sample_line("sliced W2", style.FAINT, DASHED),
    ]
    about = first.attrs
    caption = (
        f"{about['particles']} particles against eight modes on a circle of radius 2, standard deviation 0.1; energy "
        f"distance with a fast discriminator; Gaussian kernels by {about['features']} random features with "
        f"discriminator_lr = {about['discriminator_lr']:g}; generator_lr = critic_penalty = 1, explicit, "
        f"step_size = 0.05, up to time {first.time.values[-1]:g}"
    )
    style.finish(figure, "Modes in the plane: a long-range force finds them", caption, handles, 4)
    return figure


def coarse_to_fine(data: Data) -> Figure:
    """F12: a bandwidth that shrinks during training."""
    runs = data["runs"]
    names = runs.schedule.values.tolist()
    figure, axes = style.panels(1, 4, size=(3.4, 3.2), gridspec_kw={"width_ratios": [0.9, 1, 1, 1.3]})
    colours = [style.feature_colour(k) for k in range(len(names))]
    times = runs.time.values
    for k, colour in enumerate(colours):
        first, last = float(runs["first"][k]), float(runs["last"][k])
        axes[0, 0].plot(times, first * (last / first) ** (times / times[-1]), color=colour)
    axes[0, 0].set_yscale("log")
    style.log_axis(axes[0, 0].yaxis)
    axes[0, 0].set_xlabel(_TIME)
    axes[0, 0].set_ylabel("bandwidth  [length]")
    _courses(axes[0, 1], axes[0, 2], runs, "schedule", colours, ["-"] * len(names))
    rows = [("start", runs.start.values, style.INK), ("target", runs.target.values, style.FAINT)]
    short = [name.removeprefix("bandwidth ") if k < len(names) - 1 else "sum" for k, name in enumerate(names)]
    rows += [(name, runs.points.values[k], colours[k]) for k, name in enumerate(short)]
    band = strips(axes[0, 3], rows, _MODES, runs.attrs["mode_radius"], *_reach(rows))
    _beside(axes[0, 3], runs, "schedule", 2, len(names))
    titles = ("schedules", "coverage", "distance", f"particles at time {times[-1]:g}")
    for panel, text in zip(axes[0], titles, strict=True):
        panel.set_title(text)
    style.letter(axes[0])
    handles = [style.sample_line(name, colour) for name, colour in zip(names, colours, strict=True)] + band
    about = runs.attrs
    caption = (
        f"{about['particles']} particles from N(2, 0.01) against two normal modes at \N{PLUS-MINUS SIGN}2 of standard "
        "deviation 0.25; discriminator at its optimum in every explicit step (fast = True), step_size = "
        f"{about['step_size']:g} ({about['step_size_of_sum']:g} for the sum), generator_lr = max(1, bandwidth)"
        "\N{SUPERSCRIPT TWO}, of the sum 1; critic_penalty = 1"
    )
    style.finish(figure, "From coarse to fine: a cure for mode collapse", caption, handles, 3)
    return figure
