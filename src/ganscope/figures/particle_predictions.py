"""Pictures of predictions about particles: spectra, rates against the gradient penalty, and the start."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from matplotlib.ticker import MaxNLocator

from ganscope.core.outcome import Equilibrium, Prediction
from ganscope.figures import style
from ganscope.figures.particle_look import DASHED, DOTTED, PENALTY, Array, modes_in_plane
from ganscope.figures.particle_shown import Plane, plane_of
from ganscope.figures.particle_words import parameters
from ganscope.games.particle.damping import mode_rates
from ganscope.games.particle.torus.fourier import kernel_spectrum
from ganscope.games.particle.torus.model import TorusGAN
from ganscope.games.particle.torus.wavenumbers import VISIBLE

_TURN = np.linspace(0.0, 2 * np.pi, 361)
_FATES = {"stable": style.feature_colour(0), "marginal": style.FAINT, "unstable": style.feature_colour(1)}
_DASHES = ("-", DASHED, (0, (5, 1.5, 1.2, 1.5)), DOTTED)
# Wavenumbers of a circle that have a line each.
_WAVES = 6


def draw(prediction: Prediction, title: str | None) -> Figure:
    """The spectrum next to the target, rates against the gradient penalty, and the start before the target."""
    game = prediction.game
    figure, axes = style.panels(1, 3, size=(3.9, 3.3))
    entries = _spectrum(axes[0, 0], prediction.equilibria)
    entries += _rates(axes[0, 1], prediction)
    entries += _start(axes[0, 2], game)
    style.letter(axes[0])
    near = ", near critical" if prediction.near_critical else ""
    heading = title or f"Prediction: {prediction.outcome}  ({prediction.detail.replace('_', ' ')}{near})"
    caption = "; ".join([f"{parameters(game)}, level {prediction.level or 'particles'}", *prediction.reasons[:1]])
    style.finish(figure, heading, caption, entries, min(4, len(entries)))
    return figure


def _spectrum(axes: Axes, equilibria: Sequence[Equilibrium]) -> list[Artist]:
    """Eigenvalues or multipliers in the complex plane."""
    axes.set_title("spectrum where particles match")
    is_map = bool(equilibria) and equilibria[0].spectrum.is_map
    unit = "[multiplier per iteration]" if is_map else "[1 / time]"
    axes.set_xlabel(f"real part  {unit}")
    axes.set_ylabel(f"imaginary part  {unit}")
    if not equilibria:
        axes.text(0.5, 0.5, "no rest with a known spectrum", transform=axes.transAxes, ha="center", fontsize=8)
        return []
    rest = equilibria[0]
    values, colour = np.asarray(rest.spectrum.values), _FATES[rest.stability]
    axes.plot(values.real, values.imag, color=colour, marker="o", linestyle="", markersize=3.5, alpha=0.8, zorder=3)
    axes.axhline(0.0, color=style.FAINT, linewidth=0.4)
    low, high = values.real.min(), values.real.max()
    tall = float(np.abs(values.imag).max())
    if is_map:
        # closer points where the circle is seen from near by
        turn = np.pi * np.linspace(-1.0, 1.0, 1201) ** 3
        axes.plot(np.cos(turn), np.sin(turn), color=style.INK, linewidth=0.9)
        high = max(high, 1.0)
        tall = max(tall, 1e-3)
    else:
        axes.axvline(0.0, color=style.INK, linewidth=0.9)
        high = max(high, 0.0)
    pad = 0.12 * max(high - low, 1e-6)
    axes.set_xlim(low - pad, high + pad)
    axes.set_ylim(-1.2 * tall or -1.0, 1.2 * tall or 1.0)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    return [style.sample_points(f"{rest.label}: {rest.stability}", "o", colour)]


def _rates(axes: Axes, prediction: Prediction) -> list[Artist]:
    """Decay rates of the modes against the gradient penalty, with the best one and the game's own."""
    game = prediction.game
    axes.set_title("damping of single motions")
    axes.set_xlabel(PENALTY)
    axes.set_ylabel("decay rate  [1 / time]" if isinstance(game, TorusGAN) else "decay rate  [1 / iteration]")
    modes = _waves(game) if isinstance(game, TorusGAN) else _motions(prediction)
    if not modes:
        axes.text(0.5, 0.5, "no motion with a known rate", transform=axes.transAxes, ha="center", fontsize=8)
        return []
    own = [2 / math.sqrt(stiffness / mobility) for _, mobility, stiffness, _ in modes]
    best = prediction.best.get("gradient_penalty", math.nan)
    marked = [v for v in (best, game.gradient_penalty, *own) if math.isfinite(v) and v > 0]
    fine = np.geomspace(min(marked) / 8, max(marked) * 8, 401)
    entries: list[Artist] = []
    least, top = math.inf, 0.0
    for k, (text, mobility, stiffness, damping) in enumerate(modes):
        rates = mode_rates(mobility, stiffness, fine, damping, game.loss)
        look: dict[str, Any] = dict(color=style.feature_colour(k), linestyle=_DASHES[k % len(_DASHES)], linewidth=1.2)
        axes.plot(fine, rates, **look)
        entries.append(style.sample_line(text, look["color"], look["linestyle"]))
        least, top = min(least, float(np.min(rates))), max(top, float(np.max(rates)))
    if math.isfinite(best) and best > 0:
        axes.axvline(best, color=style.INK, linewidth=0.9, linestyle=DOTTED)
        text = f"best: {style.number(best)} (without the 1/2: {style.number(best / 2)})"
        entries.append(style.sample_line(text, style.INK, DOTTED))
    if game.gradient_penalty > 0:
        axes.axvline(game.gradient_penalty, color=style.FAINT, linewidth=2.4, alpha=0.4)
        text = f"the game's own: {style.number(game.gradient_penalty)}"
        entries.append(style.sample_line(text, style.FAINT, linewidth=2.4, alpha=0.4))
    axes.set_xscale("log")
    axes.set_xlim(fine[0], fine[-1])
    axes.set_yscale("log")
    axes.set_ylim(max(least, 1e-6 * top) / 2, top * 2)
    return entries


# Name, mobility, stiffness (both per unit of time) and further damping of a motion.
_Mode = tuple[str, float, float, float]


def _motions(prediction: Prediction) -> list[_Mode]:
    """The cloud as a whole, and the softest and stiffest motions of particles against each other."""
    game, rates = prediction.game, prediction.rates
    if "mean_stiffness" not in rates:
        return []
    steps = game.discriminator_steps
    damping = steps * game.discriminator_lr * game.regularization
    modes: list[_Mode] = [("the cloud as a whole", game.mean_mobility, steps * rates["mean_stiffness"], damping)]
    relative = rates.get("relative_stiffness", [])
    for value, text in zip(relative, ("softest relative motion", "stiffest relative motion"), strict=False):
        modes.append((text, game.relative_mobility, steps * value, damping))
    largest = max(stiffness for _, _, stiffness, _ in modes)
    return [mode for mode in modes if mode[1] > 0 and mode[2] > 1e-12 * largest]


def _waves(game: TorusGAN) -> list[_Mode]:
    """Waves of an evenly filled circle that the discriminator sees; of many, some with the first and the last."""
    k = np.arange(1.0, min(game.frequencies, (game.particles - 1) // 2) + 1)
    kernel = game.discriminator_lr * kernel_spectrum(game.spectrum, k, game.bandwidth, game.exponent)
    seen = np.flatnonzero(kernel >= VISIBLE * kernel[:1]) if game.relative_mobility > 0 else k[:0]
    few = np.unique(np.linspace(0, len(seen) - 1, min(_WAVES, len(seen))).astype(int))
    forgetting = game.discriminator_lr * game.regularization + (0.5 * kernel if game.loss == "gan" else 0.0 * kernel)
    return [
        (f"wavenumber {k[i]:g}", game.relative_mobility, float(k[i] ** 2 * kernel[i]), float(forgetting[i]))
        for i in seen[few]
    ]


def _start(axes: Axes, game: Any) -> list[Artist]:
    """The start before the target, in the plane or on the circle."""
    axes.set_title("start and target")
    blue = style.feature_colour(0)
    if isinstance(game, TorusGAN) or game.axes > 1:
        plane = plane_of(game)
        low, high = plane.low, plane.high
        if not isinstance(game, TorusGAN):
            low, high = _around(plane, game)
        axes.set_xlim(low[0], high[0])
        axes.set_ylim(low[1], high[1])
        axes.set_aspect("equal")
        axes.set_xlabel(plane.labels[0])
        axes.set_ylabel(plane.labels[1])
        if isinstance(game, TorusGAN):
            return _circle_start(axes, game, plane.centres)
        entries: list[Artist] = []
        if plane.sources is not None:
            axes.plot(*plane.sources.T, ".", color="#AAAAAA", markersize=2.5, rasterized=len(plane.sources) > 500)
            entries.append(style.sample_points("real points", ".", "#AAAAAA"))
        elif game.axes == 2:
            modes_in_plane(axes, plane.centres, game.target.capture_radius, game.mode_width)
            entries.append(style.sample_points("modes, with their standard deviation", "o", style.FAINT, filled=False))
        else:
            axes.plot(*plane.centres.T, "+", color=style.FAINT, markersize=8)
            entries.append(style.sample_points("modes", "+", style.FAINT))
        if game.initial is not None:
            axes.plot(*plane.project(game.initial).T, "o", color=blue, markersize=3, linestyle="")
            return [*entries, style.sample_points("start", "o", blue)]
        centre = plane.project(_middle(game)[None])[0]
        axes.add_patch(Circle(tuple(centre), game.initial_std, fill=False, color=blue, linewidth=1.3))
        return [*entries, style.sample_line("start: standard deviation", blue)]
    return _line_start(axes, game, blue)


def _middle(game: Any) -> Array:
    """Mean of the initial particles of a cloud."""
    return np.asarray(game.target.mean if game.real_points is not None else np.zeros(game.axes))


def _around(plane: Plane, game: Any) -> tuple[Array, Array]:
    """Corners of a square that holds the target and the start."""
    if game.initial is not None:
        start = plane.project(game.initial)
    else:
        start = plane.project(_middle(game)[None]) + 1.1 * game.initial_std * np.array([[-1.0, -1.0], [1.0, 1.0]])
    low, high = np.minimum(plane.low, start.min(axis=0)), np.maximum(plane.high, start.max(axis=0))
    half, middle = 0.52 * float(np.max(high - low)), 0.5 * (low + high)
    return middle - half, middle + half


def _circle_start(axes: Axes, game: TorusGAN, centres: Array) -> list[Artist]:
    """Modes around the circle, and the start: places, or a standard deviation to each side of 0."""
    axes.plot(np.cos(_TURN), np.sin(_TURN), color=style.FAINT, linewidth=0.7)
    wide = max(game.mode_width, 0.02)
    for centre in centres:
        angle = math.atan2(centre[1], centre[0]) + np.linspace(-wide, wide, 21)
        axes.plot(np.cos(angle), np.sin(angle), color=style.FAINT, linewidth=6.0, alpha=0.5, solid_capstyle="butt")
    blue = style.feature_colour(0)
    if game.initial_positions is None:
        angle = np.linspace(-game.initial_std, game.initial_std, 101)
        axes.plot(1.12 * np.cos(angle), 1.12 * np.sin(angle), color=blue, linewidth=2.0)
        start = style.sample_line("start: within a standard deviation", blue, linewidth=2.0)
    else:
        x = game.initial_positions
        axes.plot(1.08 * np.cos(x), 1.08 * np.sin(x), "o", color=blue, markersize=3, linestyle="", alpha=0.8)
        start = style.sample_points("start", "o", blue)
    return [style.sample_line("modes, within a standard deviation", style.FAINT, linewidth=6.0, alpha=0.5), start]


def _line_start(axes: Axes, game: Any, blue: str) -> list[Artist]:
    """Densities of the target and of the start on a line."""
    target = game.target
    sources = target.sources[:, 0]
    wide = max(target.width, 0.02 * max(float(np.ptp(sources)), target.capture_radius))
    if game.initial is not None:
        start, std = game.initial[:, 0], wide
    else:
        start, std = _middle(game), game.initial_std
    low = min(sources.min() - 4 * wide, start.min() - 4 * std)
    high = max(sources.max() + 4 * wide, start.max() + 4 * std)
    x = np.linspace(low, high, 401)

    def density(points: Array, width: float) -> Array:
        bumps = np.exp(-0.5 * ((x[:, None] - points) / width) ** 2) / (width * math.sqrt(2 * math.pi))
        return np.asarray(bumps.mean(axis=1))

    axes.fill_between(x, density(sources, wide), color=style.FAINT, alpha=0.3, linewidth=0)
    axes.plot(x, density(start, std), color=blue)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("place  [length]")
    axes.set_ylabel("density  [1 / length]")
    return [style.sample_line("target", style.FAINT, linewidth=6.0, alpha=0.3), style.sample_line("start", blue)]
