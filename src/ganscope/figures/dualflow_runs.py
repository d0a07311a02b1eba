"""Pictures of the dual flows' runs and predictions: where the players go, how far from the target, and what is kept.

The flow is drawn as lines, the schemes as points. Games of two numbers show their plane with the orbit that theory
gives; clouds of points show their paths over the target.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ganscope.core.outcome import Prediction
from ganscope.figures import dualflow_predictions, style
from ganscope.figures.dualflow_clouds import feature_panels
from ganscope.figures.dualflow_gaussians import gaussian_panels
from ganscope.figures.dualflow_look import DASHED, DOTTED, TIME, cross_entry, plane
from ganscope.figures.dualflow_shown import path, positive_axis, series, shown_runs
from ganscope.figures.dualflow_words import parameters
from ganscope.figures.shown import Shown
from ganscope.games.dualflow.clipped.model import ClippedGAN
from ganscope.games.dualflow.dirac.model import DiracGAN
from ganscope.games.dualflow.quadratic.model import QuadraticGame
from ganscope.games.dualflow.theory import orbits

_TURN = np.linspace(0.0, 2 * np.pi, 361)
_GENERATOR, _DISCRIMINATOR = style.feature_colour(0), style.feature_colour(1)
# Coordinates of a player that have a colour each.
_COLOURED = 8
_TITLES = {
    "dirac": "Dirac-GAN",
    "quadratic": "Quadratic game",
    "clipped": "Clipped GAN",
    "lq": "Linear-quadratic GAN",
    "feature": "Feature GAN",
}


def draw_runs(runs: Sequence[xr.Dataset], game: Any, title: str | None) -> Figure:
    """Runs of one game over each other: where the players go, over time, and their distance from the end."""
    shown = shown_runs(runs)
    draw = _PANELS[game.model]
    wide = 4.3 if game.model == "feature" else 3.9
    figure, axes = style.panels(1, 3, size=(wide, 3.2))
    entries = draw(axes[0], shown, game)
    style.letter(axes[0])
    entries += [one.entry for one in shown]
    if not all(one.whole for one in shown):
        entries.append(cross_entry())
    columns = len(entries) if len(entries) < 6 else math.ceil(len(entries) / 2)
    style.finish(figure, title or _TITLES[game.model], parameters(game), entries, columns)
    return figure


def draw_prediction(prediction: Prediction, title: str | None) -> Figure:
    """Spectra of equilibria, the largest stable steps, and the start with what theory says about its way."""
    return dualflow_predictions.draw(prediction, title)


def _courses(axes: Axes, shown: Sequence[Shown], names: Sequence[str]) -> None:
    """The generator's and the discriminator's number over time: colours of a single run, otherwise dashes and marks."""
    for one in shown:
        for k, name in enumerate(names):
            values = one.run[name].values
            values = values[..., 0] if "generator_axis" in one.run.dims else values
            colour = (_GENERATOR, _DISCRIMINATOR)[k] if len(shown) == 1 else one.colour
            if one.marker is None:
                series(axes, one, values, colour, linestyle="-" if k == 0 or len(shown) == 1 else DASHED)
            else:
                face = {"markerfacecolor": "white"} if k and len(shown) > 1 else {}
                series(axes, one, values, colour, **face)
    axes.axhline(0.0, color=style.FAINT, linewidth=0.5)
    axes.set_xlabel(TIME)
    axes.margins(x=0.02)


def _both(shown: Sequence[Shown]) -> list[Artist]:
    """Legend entries that tell the players apart."""
    if len(shown) == 1:
        return [style.sample_line("generator", _GENERATOR), style.sample_line("discriminator", _DISCRIMINATOR)]
    return [
        style.sample_line("generator, or full", style.FAINT),
        style.sample_line("discriminator, or open", style.FAINT, DASHED),
    ]


def _dirac_panels(axes: Sequence[Axes], shown: Sequence[Shown], game: DiracGAN) -> list[Artist]:
    """The plane, both players over time, and the radius that the flow without a penalty conserves."""
    field, course, radius = axes
    eta = (game.generator_lr, game.discriminator_lr)
    start = math.sqrt(orbits.radius_squared(game.initial[0], game.initial[1], *eta))
    circle = [start * math.sqrt(eta[0]) * np.cos(_TURN), start * math.sqrt(eta[1]) * np.sin(_TURN)]
    field.plot(*circle, color=style.FAINT, linewidth=0.9, linestyle=DASHED)
    for one in shown:
        path(field, one, one.run.generator.values, one.run.discriminator.values)
    field.plot(0.0, 0.0, marker="+", color=style.INK, markersize=9, linestyle="")
    plane(field, "generator theta  [length]", "discriminator psi  [1 / length]", equal=False)
    _courses(course, shown, ("generator", "discriminator"))
    course.set_ylabel("theta  [length], psi  [1 / length]")
    for one in shown:
        series(radius, one, one.run.radius.values, one.colour)
    radius.axhline(start, color=style.FAINT, linewidth=0.9, linestyle=DASHED)
    entries: list[Artist] = [
        *_both(shown),
        style.sample_line("radius at the start", style.FAINT, DASHED, linewidth=0.9),
        style.sample_points("equilibrium", "+", style.INK),
    ]
    if game.loss == "nonsaturating" and game.gradient_penalty == 0:
        times = np.linspace(0.0, max(float(one.times[-1]) for one in shown), 201)
        law = orbits.nonsaturating_limit(*eta)
        radius.plot(times, 1 / np.sqrt(times / law + 1 / start**2), color=style.FAINT, linestyle=DOTTED)
        entries.append(style.sample_line("power law of theory", style.FAINT, DOTTED))
    positive_axis(radius, [one.run.radius.values for one in shown])
    radius.set_xlabel(TIME)
    radius.set_ylabel("radius  [1]")
    radius.margins(x=0.02)
    for panel, text in zip(
        axes, ("plane of both players", "both players", "distance from the equilibrium"), strict=True
    ):
        panel.set_title(text)
    return entries


def _quadratic_panels(axes: Sequence[Axes], shown: Sequence[Shown], game: QuadraticGame) -> list[Artist]:
    """The plane of two numbers, or the generator's coordinates; both players over time; distance and Lyapunov bound."""
    first, course, distance = axes
    scalar = game.generator_size == 1 and len(game.A2) == 1
    entries: list[Artist] = []
    if scalar:
        entries += _scalar_plane(first, shown, game)
        _courses(course, shown, ("generator", "discriminator"))
        entries += _both(shown)
        course.set_title("both players")
        course.set_ylabel("x, y  [1]")
    else:
        for panel, name in ((first, "generator"), (course, "discriminator")):
            for one in shown:
                values = one.run[name].values
                for k in range(min(values.shape[-1], _COLOURED)):
                    series(panel, one, values[..., k], style.feature_colour(k))
            count = one.run[name].shape[-1]
            more = f", the first {_COLOURED} of {count}" if count > _COLOURED else ""
            panel.set_title(f"{name}'s coordinates{more}")
            panel.set_ylabel(f"{name}  [1]")
            panel.set_xlabel(TIME)
            panel.margins(x=0.02)
    course.set_xlabel(TIME)
    course.margins(x=0.02)
    entries += _lyapunov_panel(distance, shown, game)
    return entries


def _scalar_plane(axes: Axes, shown: Sequence[Shown], game: QuadraticGame) -> list[Artist]:
    """The plane of two numbers with its equilibrium and, of a bilinear game, the orbit of the flow."""
    entries: list[Artist] = []
    for one in shown:
        path(axes, one, one.run.generator.values[..., 0], one.run.discriminator.values[..., 0])
    rest = game.cells({}, 1)
    if rest.unique[0]:
        centre = rest.centre[0]
        axes.plot(*centre, marker="+", color=style.INK, markersize=9, linestyle="")
        entries.append(style.sample_points("equilibrium", "+", style.INK))
        if game.is_zero_sum and not np.any(game.A1) and not np.any(game.A2):
            eta = np.sqrt([game.generator_lr, game.discriminator_lr])
            reach = float(np.linalg.norm((game.initial - centre) / eta))
            axes.plot(
                centre[0] + reach * eta[0] * np.cos(_TURN), centre[1] + reach * eta[1] * np.sin(_TURN),
                color=style.FAINT, linewidth=0.9, linestyle=DASHED,
            )  # fmt: skip
            entries.append(style.sample_line("conserved by the flow", style.FAINT, DASHED, linewidth=0.9))
    plane(axes, "generator x  [1]", "discriminator y  [1]", equal=False)
    axes.set_title("plane of both players")
    return entries


def _lyapunov_panel(axes: Axes, shown: Sequence[Shown], game: QuadraticGame) -> list[Artist]:
    """Distance from the equilibrium, and the bound of theory where the convexities give one."""
    entries: list[Artist] = []
    values = [one.run.lyapunov.values for one in shown]
    axes.set_title("squared distance by speeds")
    axes.set_xlabel(TIME)
    axes.set_ylabel("x\N{SUPERSCRIPT TWO} / generator_lr + y\N{SUPERSCRIPT TWO} / discriminator_lr  [1]", fontsize=8)
    axes.margins(x=0.02)
    if not any(np.any(np.isfinite(v)) for v in values):
        axes.text(0.5, 0.5, "no equilibrium", transform=axes.transAxes, ha="center", fontsize=8)
        return entries
    for one, value in zip(shown, values, strict=True):
        series(axes, one, value, one.colour)
    lam1, lam2, _, _ = game.constants()
    if game.is_zero_sum and min(lam1, lam2) >= 0:
        rate = min(game.generator_lr * lam1, game.discriminator_lr * lam2)
        times = np.linspace(0.0, max(float(one.times[-1]) for one in shown), 201)
        bound = float(values[0].ravel()[0]) * np.exp(-2 * rate * times)
        axes.plot(times, bound, color=style.FAINT, linewidth=0.9, linestyle=DASHED)
        entries.append(style.sample_line("upper bound for the flow", style.FAINT, DASHED, linewidth=0.9))
        values = [*values, bound]
    positive_axis(axes, values)
    return entries


def _clipped_panels(axes: Sequence[Axes], shown: Sequence[Shown], game: ClippedGAN) -> list[Artist]:
    """The plane with the walls and the final orbit, both players over time, amplitude and width."""
    field, course, size = axes
    eta = (game.generator_lr, game.discriminator_lr)
    facts = game.predict().thresholds
    for wall in (-game.clip, game.clip):
        field.axhline(wall, color=style.FAINT, linewidth=2.0, alpha=0.5)
    reach = facts["amplitude"]
    field.plot(
        reach * math.sqrt(eta[0] / eta[1]) * np.cos(_TURN), reach * np.sin(_TURN), color=style.FAINT, linewidth=0.9,
        linestyle=DASHED,
    )  # fmt: skip
    middle = "mean" if game.mean_field else "discriminator"
    for one in shown:
        path(field, one, one.run.generator.values, one.run[middle].values)
        if game.mean_field and len(shown) == 1:
            omega = one.run.discriminator.values
            style.band(course, one.times, omega.min(axis=-1), omega.max(axis=-1), _DISCRIMINATOR)
    plane(field, "generator theta  [1]", ("mean omega" if game.mean_field else "omega") + "  [1]", equal=False)
    _courses(course, shown, ("generator", middle))
    course.set_ylabel("theta, omega  [1]")
    horizon = max(float(one.times[-1]) for one in shown)
    entries: list[Artist] = [
        *_both(shown),
        style.sample_line("wall", style.FAINT, linewidth=2.0, alpha=0.5),
        style.sample_line("final orbit of theory", style.FAINT, DASHED, linewidth=0.9),
    ]
    if 0 < facts["capture_time"] < horizon:
        course.axvline(facts["capture_time"], color=style.INK, linewidth=0.9, linestyle=DOTTED)
        entries.append(style.sample_line("capture of theory", style.INK, DOTTED, linewidth=0.9))
    names = ["amplitude", "width"] if game.mean_field else ["amplitude"]
    for name in names:
        for one in shown:
            series(size, one, one.run[name].values, one.colour)
        if name in facts:
            size.axhline(facts[name], color=style.FAINT, linewidth=0.9, linestyle=DASHED)
    size.set_ylim(bottom=0.0)
    size.set_xlabel(TIME)
    size.set_ylabel(f"{', '.join(names)}  [1]")
    size.margins(x=0.02)
    for panel, text in zip(axes, ("plane of both players", "both players", " and ".join(names)), strict=True):
        panel.set_title(text)
    return entries


_PANELS: dict[str, Callable[[Any, Sequence[Shown], Any], list[Artist]]] = {
    "dirac": _dirac_panels,
    "quadratic": _quadratic_panels,
    "clipped": _clipped_panels,
    "lq": gaussian_panels,
    "feature": feature_panels,
}
