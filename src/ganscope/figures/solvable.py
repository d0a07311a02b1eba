"""The figures of the solvable GAN's paper, and of what goes beyond it, from the data of `claims.recipes_solvable`.

Every function takes the data sets of its recipe, by name, and returns a figure. None of them simulates.

References:
    Wang, Hu, Lu. A Solvable High-Dimensional Model of GAN. NeurIPS 2019.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from ganscope.core.game import from_json
from ganscope.figures import style
from ganscope.figures.solvable_runs import (
    activity_panel,
    cosine_axis,
    feature_entries,
    overlap_panel,
    traces,
    value_text,
)
from ganscope.games.solvable.model import SolvableGAN

Array = npt.NDArray[np.float64]
Data = Mapping[str, xr.Dataset]

# Linear noise is drawn while it predicts a standard deviation below this; it does not hold beyond.
_SMALL_DEVIATION = 0.15
_TITLES = {"success/silent": "success", "mode_collapse": "mode collapse", "no_learning": "nothing learned"}


def regimes(data: Data) -> Figure:
    """F1: the three regimes, overlaps above and activities below."""
    limit, chain, fluctuations = data["limit"], data["chain"], data["fluctuations"]
    count, dimension = limit.sizes["cell"], chain.attrs["dimension"]
    game = from_json(limit.attrs["game"])
    assert isinstance(game, SolvableGAN)
    figure, axes = style.panels(2, count, size=(3.6, 2.6), sharex=True, sharey="row")
    deviation = np.sqrt(np.abs(np.diagonal(fluctuations.covariance.values, axis1=-2, axis2=-1)) / dimension)
    names = [str(name) for name in fluctuations.component.values]
    for k in range(count):
        shown, simulated = traces(limit.isel(cell=k), None), traces(chain.isel(cell=k), "o")
        valid = _before_breakdown(deviation[k])
        for i in range(game.features):
            overlap, signal = (deviation[k, :, names.index(name)] for name in (f"P_{i + 1}{i + 1}", f"q_{i + 1}"))
            times, colour = fluctuations.time.values[valid], style.feature_colour(i)
            _noise_band(axes[0, k], times, shown.overlaps[0, valid, i, i], overlap[valid], colour)
            _noise_band(axes[1, k], times, shown.activity[0, valid, i], signal[valid], colour)
            axes[1, k].plot(simulated.times, simulated.activity[0, :, i], color=colour, linewidth=0.6, alpha=0.55)
        for trace in (simulated, shown):
            overlap_panel(axes[0, k], trace)
            activity_panel(axes[1, k], trace)
        detail = str(limit.detail.values[k])
        axes[0, k].set_title(f"data_noise = {limit.data_noise.values[k]:g}: {_TITLES.get(detail, detail)}")
        axes[0, k].set_xlabel("")
        for panel in axes[:, k] if k else ():
            panel.set_ylabel("")
    style.letter(axes.ravel()[:count])
    replicas = chain.sizes.get("replica", 1)
    handles = [
        *feature_entries(game),
        style.sample_line("limit (ode)"),
        style.sample_points(f"chain, dimension {dimension}", "o"),
        Patch(color=style.FAINT, alpha=0.3, linewidth=0, label=r"$\pm$ 2 sd, linear noise"),
    ]
    caption = (
        f"{_stated(game, 'feature_variance', 'discriminator_lr', 'generator_lr')}, start P = 0.1 I, q = 0.1; points: "
        f"mean and standard deviation of {replicas} replicas, filled for a feature's own column; thin: one replica; "
        f"linear noise is shown while every deviation that it predicts is below {_SMALL_DEVIATION}"
    )
    style.finish(figure, "Background noise selects success, oscillation or mode collapse", caption, handles, 7)
    return figure


def _before_breakdown(deviation: Array) -> slice:
    """Records, of deviations `[records, components]`, up to the first at which linear noise is no longer small."""
    broken = np.flatnonzero((deviation > _SMALL_DEVIATION).any(axis=1))
    return slice(int(broken[0]) if len(broken) else len(deviation))


def _noise_band(axes: Axes, times: Array, centre: Array, deviation: Array, colour: str) -> None:
    """Two standard deviations around a limit."""
    style.band(axes, times, np.maximum(centre - 2 * deviation, 0.0), np.minimum(centre + 2 * deviation, 1.0), colour)


def error_against_dimension(data: Data) -> Figure:
    """F2: distance from the limit against dimension."""
    figure, axes = style.panels(1, 1, size=(5.2, 3.6))
    panel = axes[0, 0]
    handles: list[Artist] = []
    for name, marker, colour in (("chain", "o", style.feature_colour(0)), ("sgd", "s", style.feature_colour(1))):
        error, dimensions = data[name].error.values, data[name].dimension.values
        mean = error.mean(axis=1)
        panel.errorbar(
            dimensions, mean, error.std(axis=1), color=colour, marker=marker, linestyle="", elinewidth=0.8,
            markersize=5, markerfacecolor=colour if name == "chain" else "white", zorder=3,
        )  # fmt: skip
        slope = np.polyfit(np.log(dimensions), np.log(mean), 1)[0] if len(dimensions) > 1 else math.nan
        handles.append(style.sample_points(f"{name}, slope {_signed(slope)}", marker, colour, name == "chain"))
    chain = data["chain"]
    scale = float(np.exp(np.mean(np.log(chain.error.mean("replica").values * np.sqrt(chain.dimension.values)))))
    grid = np.geomspace(*_padded(np.concatenate([data[name].dimension.values for name in ("chain", "sgd")]), 1.6), 50)
    panel.plot(grid, scale / np.sqrt(grid), color=style.INK, linewidth=1.0)
    handles.append(style.sample_line(r"theory: slope $-1/2$"))
    panel.set_xscale("log")
    panel.set_yscale("log")
    panel.set_xlabel("dimension  [coordinates]")
    panel.set_ylabel("largest error of the macroscopic state\n[Euclidean distance of overlaps]")
    game = from_json(chain.attrs["game"])
    assert isinstance(game, SolvableGAN)
    caption = (
        f"{_stated(game, 'feature_variance', 'data_noise', 'discriminator_lr', 'generator_lr')}, start "
        f"P = ((0.3, 0.1), (0.05, 0.25)), q = (0.3, 0.2); distance from the limit, largest over times 0, 1, 2, 3, 4; "
        f"points: mean and standard deviation of {chain.attrs['replicas']} replicas"
    )
    style.finish(figure, "The limit is approached as dimension$^{-1/2}$", caption, handles, 3)
    return figure


def _signed(value: float) -> str:
    """A number to two digits, with a minus sign rather than a hyphen."""
    return f"{value:.2f}".replace("-", "\N{MINUS SIGN}")


def _padded(values: Array, factor: float) -> tuple[float, float]:
    return float(values.min()) / factor, float(values.max()) * factor


def phase_diagrams(data: Data) -> Figure:
    """F3: what becomes of one feature, with the boundaries that theory gives."""
    speed, strength = data["speed"], data["strength"]
    figure, axes = style.panels(1, 2, size=(4.6, 3.8))
    left, right = axes[0]
    used = [label for label in style.PHASES if label in speed.detail.values or label in strength.detail.values]
    _areas(left, speed.data_noise.values, speed.speed_ratio.values, speed.detail.values)
    left.axvline(speed.attrs["visible"], color=_CURVES["visible"][0], linestyle=_CURVES["visible"][1])
    for name in ("silent", "active", "active_stable"):
        left.plot(speed.noise.values, speed[name].values, color=_CURVES[name][0], linestyle=_CURVES[name][1])
    left.set_yscale("log")
    style.log_axis(left.yaxis)
    left.set_xlabel("data_noise = generator_noise  [variance]")
    left.set_ylabel("generator_lr / discriminator_lr  [1]")
    left.set_title(f"feature_variance = {speed.attrs['feature_variance']:g}")
    _areas(right, strength.feature_variance.values, strength.data_noise.values, strength.detail.values)
    for name, (colour, dashes, _) in _CURVES.items():
        right.plot(strength.strength.values, strength[name].values, color=colour, linestyle=dashes)
    right.set_xscale("log")
    style.log_axis(right.xaxis)
    right.set_xlabel("feature_variance  [variance]")
    right.set_ylabel("data_noise = generator_noise  [variance]")
    right.set_title(f"generator_lr / discriminator_lr = {strength.attrs['speed_ratio']:g}")
    for panel, grid in ((left, speed), (right, strength)):
        y, x = (grid[name].values for name in grid.detail.dims)
        panel.set_xlim(x[0], x[-1])
        panel.set_ylim(y[0], y[-1])
    style.letter(axes[0])
    edge: dict[str, Any] = dict(edgecolor=style.FAINT, linewidth=0.4)
    handles: list[Artist] = [
        Patch(facecolor=style.PHASES[name][0], label=style.PHASES[name][1], **edge) for name in used
    ]
    handles += [style.sample_line(text, colour, dashes) for colour, dashes, text in _CURVES.values()]
    caption = (
        f"one feature, discriminator_lr = {speed.attrs['discriminator_lr']:g}, start P = q = 0.1; areas: verdict on "
        f"runs of the limit until generator_lr * feature_variance * time = {speed.attrs['duration']:g}; lines: theory"
    )
    style.finish(figure, "Phases of one feature", caption, handles, 3)
    return figure


_CURVES: dict[str, tuple[str, Any, str]] = {
    "visible": ("#111111", (0, (1.5, 1.2)), "strength = lower threshold"),
    "silent": ("#111111", "-", "strength = upper threshold"),
    "active": ("#6A3D9A", (0, (5, 1.5)), "active recovery exists"),
    "active_stable": ("#6A3D9A", "-", "active recovery is stable"),
}


def _areas(axes: Axes, x: Array, y: Array, detail: npt.NDArray[Any]) -> None:
    """Labels `[y, x]` as coloured cells."""
    names = list(style.PHASES)
    codes = np.vectorize(names.index)(detail)
    colours = ListedColormap([colour for colour, _ in style.PHASES.values()])
    axes.pcolormesh(
        x, y, codes, cmap=colours, vmin=-0.5, vmax=len(names) - 0.5, shading="nearest", rasterized=True, linewidth=0
    )


def silent_spectrum(data: Data) -> Figure:
    """F4: eigenvalues of the silent states along P = p I."""
    theory, matrix = data["theory"], data["matrix"]
    figure, axes = style.panels(1, 2, size=(4.4, 3.3))
    values, overlaps = theory.eigenvalue.values, theory.overlap.values
    few = np.repeat(matrix.overlap.values, matrix.sizes["eigenvalue"])
    for panel, part, name in ((axes[0, 0], np.real, "real"), (axes[0, 1], np.imag, "imaginary")):
        panel.axhline(0.0, color=style.INK, linewidth=0.8)
        for i in range(theory.sizes["feature"]):
            for pair in range(2):
                panel.plot(overlaps, part(values[:, i, pair]), color=style.feature_colour(i))
            critical = float(theory.critical_overlap.values[i])
            panel.axvline(critical, color=style.feature_colour(i), linestyle=(0, (1.5, 1.5)), linewidth=1.0)
        panel.plot(
            few, part(matrix.value.values.ravel()), marker="o", markersize=3.4, markerfacecolor="white", linestyle="",
            color=style.INK, markeredgewidth=0.7,
        )  # fmt: skip
        panel.set_xlabel("overlap  p  [cosine]")
        panel.set_ylabel(f"{name} part of the eigenvalues  [1 / time]")
        panel.set_title(f"{name} part")
    for i, plateau in enumerate(values[-1, :, 0].real):
        critical = float(theory.critical_overlap.values[i])
        text = f"feature {i + 1}: $p_c$ = {critical:.6f},\nreal part beyond: {_signed(plateau)}"
        place: dict[str, Any] = dict(transform=axes[0, 1].transAxes, fontsize=8, va="bottom")
        axes[0, 1].text(0.05, 0.22 - 0.17 * i, text, color=style.feature_colour(i), **place)
    style.letter(axes[0])
    handles = [
        *(style.sample_line(f"feature {i + 1}, closed form", style.feature_colour(i)) for i in range(values.shape[1])),
        style.sample_line("critical overlap", style.FAINT, (0, (1.5, 1.5))),
        style.sample_points("eigenvalues of the whole matrix", "o", filled=False),
    ]
    style.finish(figure, "Silent states P = p I turn stable at the critical overlap", _said(theory), handles, 4)
    return figure


def weight_law(data: Data) -> Figure:
    """F5: single weights of SGD against their law, by the sign of the feature's entry."""
    weights = data["weights"]
    known, colour = weights.attrs, style.feature_colour(0)
    figure, axes = style.panels(1, 1, size=(5.4, 3.4))
    panel = axes[0, 0]
    spread = math.sqrt(1.0 - known["q"] ** 2)
    edges = np.linspace(-known["q"] - 4 * spread, known["q"] + 4 * spread, 61)
    centres, width = 0.5 * (edges[1:] + edges[:-1]), edges[1] - edges[0]
    fine = np.linspace(edges[0], edges[-1], 400)
    handles: list[Artist] = []
    for sign, name, dashes, filled in ((-1.0, "minus", (0, (5, 1.5)), False), (1.0, "plus", "-", True)):
        chosen = weights.weight.values[weights.sign.values == sign]
        counts = np.histogram(chosen, edges)[0]
        scale, seen = 1.0 / (len(chosen) * width), counts > 0
        panel.errorbar(
            centres[seen], counts[seen] * scale, np.sqrt(counts[seen]) * scale, color=colour, marker="s", linestyle="",
            markerfacecolor=colour if filled else "white", elinewidth=0.8,
        )  # fmt: skip
        density = np.exp(-0.5 * ((fine - sign * known["q"]) / spread) ** 2) / (spread * math.sqrt(2 * math.pi))
        panel.plot(fine, density, color=style.INK, linestyle=dashes, linewidth=1.2)
        text = "+" if sign > 0 else "\N{MINUS SIGN}"
        p_value = known[f"p_value_{name}"]
        handles.append(style.sample_points(f"sgd, U$_i$ {text} (KS p = {p_value:.2f})", "s", colour, filled))
        handles.append(style.sample_line(f"N({text}q, 1 \N{MINUS SIGN} q²)", dashes=dashes))
    panel.set_ylim(0, None)
    panel.set_xlabel(r"weight  $\sqrt{n}\,w_i$  [1]")
    panel.set_ylabel("density  [1]")
    caption = (
        f"{_said(weights)}; q = {known['q']:.5f} from the limit at time {known['time']:g}; points: one run of sgd, "
        f"dimension {known['dimension']}, error bars from the square root of the counts"
    )
    style.finish(figure, "Single weights stay random and follow their law", caption, handles, 2)
    return figure


def replica_overlap(data: Data) -> Figure:
    """F6: two runs from the same weights drift apart while their overlaps with the features agree."""
    theory, twins = data["theory"], data["sgd"]
    figure, axes = style.panels(1, 2, size=(4.4, 3.2))
    times = twins.time.values
    left, right = axes[0]
    style.line(left, theory.time.values, theory.discriminator_overlap.values, style.INK)
    style.points(left, times, twins.discriminator_overlap.values, style.INK, "s")
    columns = theory.sizes["column"]
    for j in range(columns):
        colour = style.feature_colour(j)
        style.line(left, theory.time.values, theory.generator_overlap.values[:, j, j], colour)
        style.points(left, times, twins.generator_overlap.values[:, :, j, j], colour, "s")
    left.set_ylabel("overlap between the two runs  [1]")
    left.set_title("between the runs")
    for i in range(theory.sizes["feature"]):
        colour = style.feature_colour(i)
        style.line(right, theory.time.values, np.abs(theory.q.values[:, i]), colour)
        both = np.concatenate([twins.q.values[..., i], twins.other_q.values[..., i]])
        style.points(right, times, np.abs(both), colour, "s")
    right.set_ylabel(r"overlap  $|q_i|$  [cosine]")
    right.set_title("of each run with the features")
    for panel in axes[0]:
        cosine_axis(panel)
    left.set_ylim(0.5, 1.03)
    style.letter(axes[0])
    handles: list[Artist] = [style.sample_line(r"discriminators, $w_a^\top w_b$")]
    handles += [
        style.sample_line(f"feature {j + 1}, its column", style.feature_colour(j), style.feature_dashes(j))
        for j in range(columns)
    ]
    handles += [style.sample_line("theory", style.FAINT), style.sample_points("sgd", "s", style.FAINT)]
    caption = (
        f"{_said(theory)}; sgd at dimension {twins.attrs['dimension']}: mean and standard deviation of "
        f"{twins.attrs['pairs']} pairs that share their start and nothing else"
    )
    style.finish(figure, "The macroscopic path is deterministic, the weights are not", caption, handles, 5)
    return figure


def small_rates(data: Data) -> Figure:
    """F7: with both rates small, noise no longer stops the oscillation."""
    limit, chain = data["limit"], data["chain"]
    factors = limit.factor.values
    figure, axes = style.panels(len(factors), 2, size=(4.4, 1.35), sharex=True, sharey="col")
    for row, factor in enumerate(factors):
        name = f"{factor:g}" if factor else "0 (vanishing rates)"
        for panel, variable in zip(axes[row], ("P", "activity"), strict=True):
            for i in range(limit.sizes["feature"]):
                colour = style.feature_colour(i)
                exact = limit[variable].values[row]
                exact = np.abs(exact[:, i, i]) if variable == "P" else exact[:, i]
                style.line(panel, limit.time.values, exact, colour, linewidth=1.1, zorder=3)
                if factor in chain.factor.values:
                    drawn = chain[variable].sel(factor=factor).values
                    drawn = np.abs(drawn[..., i, i]) if variable == "P" else drawn[..., i]
                    drawn = drawn[None] if drawn.ndim == 1 else drawn
                    style.points(panel, chain.time.values, drawn, colour, "o", markersize=2.4, zorder=2)
            panel.set_ylim(-0.04, 1.04)
            panel.set_yticks([0, 0.5, 1])
            panel.margins(x=0.01)
        axes[row, 0].set_title(f"rates \N{MULTIPLICATION SIGN} {name}", fontsize=8.5, loc="left")
    for column, label in enumerate((r"$|P_{ii}|$  [cosine]", r"$|q_i|$  [cosine]")):
        for row in range(len(factors)):
            axes[row, column].set_ylabel(label)
        axes[-1, column].set_xlabel("time \N{MULTIPLICATION SIGN} factor  [iterations / dimension]")
    handles = [
        *(style.sample_line(f"feature {i + 1}", style.feature_colour(i)) for i in range(limit.sizes["feature"])),
        style.sample_line("limit (ode)", style.FAINT),
        style.sample_points(f"chain, dimension {chain.attrs['dimension']}", "o", style.FAINT),
    ]
    caption = (
        f"{_said(limit)}, both rates times the factor; points: mean and standard deviation of "
        f"{chain.attrs['replicas']} replicas"
    )
    style.finish(figure, "With vanishing rates the noise has no say, and the game oscillates", caption, handles, 4)
    return figure


# Dashes of the noises at which a feature meets its thresholds.
_UPPER, _LOWER = (0, (6, 1.5, 1.2, 1.5)), (0, (1.5, 1.5))


def digits(data: Data) -> Figure:
    """F8: handwritten digits against the model with Gaussian latents, by the noise added."""
    real, model, theory = data["digits"], data["chain"], data["theory"]
    figure, axes = style.panels(1, 2, size=(4.5, 3.3))
    noise = real.data_noise.values
    shift = 0.045
    for panel, name in zip(axes[0], ("recovery", "loudness"), strict=True):
        for i in range(real.sizes["feature"]):
            colour = style.feature_colour(i)
            for source, marker, filled, offset in ((real, "s", True, -shift), (model, "o", False, shift)):
                samples = source[name].values[..., i]
                panel.errorbar(
                    noise + offset + (i - 0.5) * 4 * shift, samples.mean(axis=1), samples.std(axis=1), color=colour,
                    marker=marker, linestyle="", markersize=4.5, markerfacecolor=colour if filled else "white",
                    elinewidth=0.8, markeredgewidth=0.9,
                )  # fmt: skip
            for edge, dashes in ((real.attrs["silent"][i], _UPPER), (real.attrs["visible"][i], _LOWER)):
                panel.axvline(edge, color=colour, linestyle=dashes, linewidth=0.9, zorder=1)
            if name == "recovery":
                level = theory.isel(feature=i)
                panel.plot(level.data_noise.values, level.slow_overlap.values, color=colour, linewidth=1.2)
                panel.plot(level.data_noise.values, level.critical_overlap.values, color=colour, linewidth=1.2,
                           linestyle=style.column_dashes(1))  # fmt: skip
        panel.set_xlabel("data_noise = generator_noise  [variance]")
        panel.set_ylim(0, 1.03 if name == "recovery" else None)
    axes[0, 0].set_ylabel("recovery  [cosine]")
    axes[0, 0].set_title("recovery of the two leading components")
    axes[0, 1].set_ylabel(r"rms $q_i$ $\times$ $\sqrt{64}$  [1]")
    axes[0, 1].set_title("activity in the last quarter")
    style.letter(axes[0])
    handles = [
        *(style.sample_line(f"component {i + 1}", style.feature_colour(i)) for i in range(real.sizes["feature"])),
        style.sample_points("sgd on digits", "s", style.FAINT),
        style.sample_points("chain, Gaussian latents", "o", style.FAINT, False),
        style.sample_line("slow overlap", style.FAINT),
        style.sample_line("critical overlap", style.FAINT, style.column_dashes(1)),
        style.sample_line("strength = upper threshold", style.FAINT, _UPPER),
        style.sample_line("strength = lower threshold", style.FAINT, _LOWER),
    ]
    known = real.attrs
    caption = (
        f"two leading principal components of 1797 digits in {known['dimension']} dimensions, "
        f"{_said(real, 'data_noise')}, random starts; points: mean and standard deviation of {known['replicas']} "
        f"replicas, set apart sideways; lines: theory of infinite dimension"
    )
    style.finish(figure, "Handwritten digits behave as the Gaussian model says", caption, handles, 4)
    return figure


def end_points(data: Data) -> Figure:
    """F9: where successful runs end, between the critical overlap and the slow generator's limit."""
    theory, chain = data["theory"], data["chain"]
    figure, axes = style.panels(1, 1, size=(5.4, 3.5))
    panel, rates = axes[0, 0], theory.generator_lr.values
    critical, slow = theory.critical_overlap.values, theory.slow_overlap.values
    colour = style.feature_colour(0)
    style.band(panel, rates, critical, slow, style.FAINT)
    panel.plot(rates, slow, color=style.INK, linestyle=style.column_dashes(1))
    panel.plot(rates, critical, color=style.INK, linestyle=(0, (1.5, 1.2)))
    panel.plot(rates, theory.end.values, color=colour)
    samples = chain.end.values
    panel.errorbar(
        chain.generator_lr.values, samples.mean(axis=1), samples.std(axis=1), color=colour, marker="o", linestyle="",
        markersize=4.5, elinewidth=0.8,
    )  # fmt: skip
    panel.set_xscale("log")
    style.log_axis(panel.xaxis)
    panel.set_xlabel("generator_lr  [1]")
    panel.set_ylabel("overlap at the end  [cosine]")
    handles = [
        style.sample_line(f"slow generator, {slow[0]:.6f}", dashes=style.column_dashes(1)),
        style.sample_line("critical overlap", dashes=(0, (1.5, 1.2))),
        style.sample_line("end of the limit (ode)", colour),
        style.sample_points(f"chain, dimension {chain.attrs['dimension']}", "o", colour),
    ]
    caption = (
        f"{_said(theory, 'generator_lr')}; limit at generator_lr * time = 40; points: mean and standard deviation of "
        f"{chain.attrs['replicas']} replicas at generator_lr * time = 10, which noise of order dimension$^{{-1/2}}$ "
        f"carries beyond the limit's end"
    )
    style.finish(figure, "Where successful runs end", caption, handles, 2)
    return figure


def _stated(game: SolvableGAN, *names: str) -> str:
    return ", ".join(f"{name} = {value_text(getattr(game, name))}" for name in names)


def _said(dataset: xr.Dataset, *left_out: str) -> str:
    """The parameters that a recipe noted."""
    names = ("feature_variance", "data_noise", "discriminator_lr", "generator_lr")
    return ", ".join(f"{name} = {value_text(dataset.attrs[name])}" for name in names if name not in left_out)
