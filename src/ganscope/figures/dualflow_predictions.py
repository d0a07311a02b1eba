"""Pictures of predictions about dual flows: spectra, stable steps, and the start with its way."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator
from scipy.linalg import expm

from ganscope.core.outcome import Equilibrium, Prediction
from ganscope.figures import style
from ganscope.figures.dualflow_clouds import view
from ganscope.figures.dualflow_gaussians import conserved_orbit
from ganscope.figures.dualflow_look import DASHED, DOTTED, SCHEMES, plane, scheme_colour, words
from ganscope.figures.dualflow_words import parameters
from ganscope.games.dualflow.levels import FLOW, step_of
from ganscope.games.dualflow.lq.theory import principal_components
from ganscope.games.dualflow.theory import orbits

_TURN = np.linspace(0.0, 2 * np.pi, 361)
_FATES = {"stable": style.feature_colour(0), "marginal": style.FAINT, "unstable": style.feature_colour(1)}
# Equilibria of a picture, and points of a cloud drawn one by one.
_EQUILIBRIA, _MANY = 4, 200
_MARKS = ("o", "s", "^", "D")
# A step that a bar shows where every step is stable, in units of the largest other one.
_BEYOND = 10.0


def draw(prediction: Prediction, title: str | None) -> Figure:
    """Spectra of equilibria, the largest stable steps, and the start with its way."""
    figure, axes = style.panels(1, 3, size=(3.9, 3.3))
    entries = _spectra(axes[0, 0], prediction.equilibria)
    entries += _steps(axes[0, 1], prediction)
    entries += _WAYS[prediction.game.model](axes[0, 2], prediction)
    style.letter(axes[0])
    near = ", near critical" if prediction.near_critical else ""
    level = prediction.level or FLOW
    said = words(level)
    if level != FLOW:
        said += f" with step_size = {style.number(step_of(prediction.step_size))}"
    caption = "; ".join([f"{parameters(prediction.game)}, {said}", *prediction.reasons[:1]])
    heading = title or f"Prediction: {prediction.outcome}  ({prediction.detail.replace('_', ' ')}{near})"
    style.finish(figure, heading, caption, entries)
    return figure


def _spectra(axes: Axes, equilibria: Sequence[Equilibrium]) -> list[Artist]:
    """Eigenvalues or multipliers of the first equilibria in the complex plane."""
    axes.set_title("spectrum at the equilibrium" if len(equilibria) < 2 else "spectra of equilibria")
    is_map = bool(equilibria) and equilibria[0].spectrum.is_map
    unit = "[multiplier per step]" if is_map else "[1 / time]"
    axes.set_xlabel(f"real part  {unit}")
    axes.set_ylabel(f"imaginary part  {unit}")
    if not equilibria:
        axes.text(0.5, 0.5, "no equilibrium with a known spectrum", transform=axes.transAxes, ha="center", fontsize=8)
        return []
    if is_map:
        axes.plot(np.cos(_TURN), np.sin(_TURN), color=style.INK, linewidth=0.9)
    else:
        axes.axvline(0.0, color=style.INK, linewidth=0.9)
    axes.axhline(0.0, color=style.FAINT, linewidth=0.4)
    entries: list[Artist] = []
    for k, rest in enumerate(equilibria[:_EQUILIBRIA]):
        values, colour = np.asarray(rest.spectrum.values), _FATES[rest.stability]
        look: dict[str, Any] = dict(color=colour, marker=_MARKS[k], linestyle="", markeredgewidth=1.0, markersize=5 + k)
        axes.plot(values.real, values.imag, markerfacecolor=colour if k == 0 else "none", **look)
        text = f"{rest.label.replace('_', ' ')}: {rest.stability}"
        entries.append(style.sample_points(text, _MARKS[k], colour, filled=k == 0))
    if is_map:
        axes.set_aspect("equal", adjustable="datalim")
    axes.margins(0.12)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    return entries


def _steps(axes: Axes, prediction: Prediction) -> list[Artist]:
    """The largest stable step of every scheme that the prediction names, as bars on a logarithmic axis."""
    axes.set_title("largest stable step_size")
    axes.set_xlabel("step_size  [time]")
    found = {n: prediction.thresholds.get(f"largest_step_{n}") for n in SCHEMES}
    limits = {n: float(v) for n, v in found.items() if v is not None and not math.isnan(float(v))}
    if not limits:
        axes.text(0.5, 0.5, "not known", transform=axes.transAxes, ha="center", fontsize=8)
        axes.set_yticks([])
        axes.set_ylabel("scheme  [name]")
        return []
    step = step_of(prediction.step_size)
    finite = [v for v in limits.values() if 0 < v < math.inf] + [step]
    low, high = min(finite) / 5, max(finite) * _BEYOND
    axes.set_xlim(low, high)
    axes.set_xscale("log")
    for k, (name, limit) in enumerate(limits.items()):
        axes.barh(-k, min(limit, high), 0.62, left=0.0, color=scheme_colour(name), alpha=0.75)
        text = "every step" if math.isinf(limit) else style.number(limit) if limit > 0 else "none is stable"
        inside = limit > math.sqrt(low * high) or math.isinf(limit)
        place = min(max(limit, low), high)
        axes.annotate(
            text, (place, -k), xytext=(-4 if inside else 4, 0), textcoords="offset points", va="center",
            ha="right" if inside else "left", fontsize=8, color="white" if inside else style.INK,
        )  # fmt: skip
    entries: list[Artist] = []
    if prediction.level not in (None, FLOW):
        axes.axvline(step, color=style.INK, linewidth=1.2, linestyle=DASHED, zorder=0.5)
        entries.append(style.sample_line(f"step_size = {style.number(step)}", style.INK, DASHED, linewidth=1.2))
    axes.set_xlim(low, high)
    axes.set_ylim(-len(limits) + 0.4, 0.6)
    axes.set_yticks(-np.arange(len(limits), dtype=np.float64), [words(name) for name in limits])
    axes.tick_params(axis="y", length=0)
    axes.set_ylabel("scheme  [name]")
    return entries


def _start_and_rest(axes: Axes, start: Any, rest: Any) -> list[Artist]:
    axes.plot(*start, marker="o", color=style.feature_colour(0), markerfacecolor="white", markersize=6, linestyle="")
    entries: list[Artist] = [style.sample_points("start", "o", style.feature_colour(0), filled=False)]
    if rest is not None:
        axes.plot(*rest, marker="+", color=style.INK, markersize=9, linestyle="")
        entries.append(style.sample_points("equilibrium", "+", style.INK))
    return entries


def _dirac_way(axes: Axes, prediction: Prediction) -> list[Artist]:
    """Start, equilibrium and the circle through the start, with the flow's arrows."""
    game = prediction.game
    eta = (game.generator_lr, game.discriminator_lr)
    reach = math.sqrt(orbits.radius_squared(game.initial[0], game.initial[1], *eta)) or 1.0
    axes.plot(
        reach * math.sqrt(eta[0]) * np.cos(_TURN), reach * math.sqrt(eta[1]) * np.sin(_TURN), color=style.FAINT,
        linestyle=DASHED, linewidth=0.9,
    )  # fmt: skip
    grid = np.linspace(-1.3, 1.3, 13) * reach
    theta, psi = np.meshgrid(grid * math.sqrt(eta[0]), grid * math.sqrt(eta[1]))
    pair = game.pair()
    moves = np.array(
        [
            [-eta[i] * float(pair.gradient(i, np.array([t]), np.array([p]))[0]) for i in (0, 1)]
            for t, p in zip(theta.ravel(), psi.ravel(), strict=True)
        ]
    )
    _arrows(axes, theta, psi, moves)
    axes.set_title("field of the flow")
    plane(axes, "generator theta  [length]", "discriminator psi  [1 / length]", equal=False)
    circle = style.sample_line("circle through the start", style.FAINT, DASHED, linewidth=0.9)
    return [*_start_and_rest(axes, game.initial, (0.0, 0.0)), circle]


def _arrows(axes: Axes, x: Any, y: Any, moves: Any) -> None:
    """Directions of a field, longer where it is stronger."""
    wide = np.array([np.ptp(x) or 1.0, np.ptp(y) or 1.0])
    scaled = moves / wide
    size = np.linalg.norm(scaled, axis=1, keepdims=True)
    largest = float(size.max()) or 1.0
    drawn = scaled / np.where(size > 0, size, 1.0) * np.sqrt(size / largest) * wide * 0.07
    axes.quiver(
        x, y, drawn[:, 0].reshape(x.shape), drawn[:, 1].reshape(x.shape), angles="xy", scale_units="xy", scale=1.0,
        color=style.FAINT, alpha=0.6, width=0.003, zorder=1,
    )  # fmt: skip


def _quadratic_way(axes: Axes, prediction: Prediction) -> list[Artist]:
    """The exact flow of two numbers in their plane, of more the distance from the equilibrium over time."""
    game = prediction.game
    cells = game.cells({}, 1)
    jacobian, _, size = game.linearisation()
    if not cells.unique[0]:
        axes.text(0.5, 0.5, "no unique equilibrium", transform=axes.transAxes, ha="center", fontsize=8)
        axes.set_xlabel("time  [1]")
        axes.set_ylabel("distance  [1]")
        axes.set_title("way of the flow")
        return []
    centre = cells.centre[0]
    values = np.linalg.eigvals(jacobian)
    scale = float(np.max(np.abs(values))) or 1.0
    slow = np.abs(values.real[np.abs(values.real) > 1e-9 * scale])
    horizon = min(6 / float(slow.min()) if len(slow) else math.inf, 12 * math.pi / scale * 2)
    times = np.linspace(0.0, horizon, 801)
    z = _exact(jacobian, game.initial - centre, times)
    axes.set_title("way of the flow")
    if size == 1 and len(jacobian) == 2:
        axes.plot(centre[0] + z[:, 0], centre[1] + z[:, 1], color=style.INK, linewidth=1.1)
        plane(axes, "generator x  [1]", "discriminator y  [1]", equal=False)
        return [*_start_and_rest(axes, game.initial, centre), style.sample_line("flow", style.INK)]
    axes.plot(times, np.linalg.norm(z[:, :size], axis=1), color=style.feature_colour(0))
    axes.plot(times, np.linalg.norm(z[:, size:], axis=1), color=style.feature_colour(1))
    axes.set_xlabel("time  [1]")
    axes.set_ylabel("distance from the equilibrium  [1]")
    return [
        style.sample_line("generator", style.feature_colour(0)),
        style.sample_line("discriminator", style.feature_colour(1)),
    ]


def _exact(jacobian: Any, start: Any, times: Any) -> Any:
    """exp(jacobian t) start at equally spaced times, shape `[times, size]`."""
    step = expm(jacobian * (times[1] - times[0]))
    z = np.empty((len(times), len(start)))
    z[0] = start
    for k in range(1, len(times)):
        z[k] = step @ z[k - 1]
    return z


def _clipped_way(axes: Axes, prediction: Prediction) -> list[Artist]:
    """Walls, start and the orbit on which it ends."""
    game, facts = prediction.game, prediction.thresholds
    for wall in (-game.clip, game.clip):
        axes.axhline(wall, color=style.FAINT, linewidth=2.0, alpha=0.5)
    across = facts["generator_amplitude"]
    axes.plot(across * np.cos(_TURN), facts["amplitude"] * np.sin(_TURN), color=style.INK, linewidth=1.1)
    axes.set_title(f"captured after {style.number(facts['capture_time'])}, period {style.number(facts['period'])}")
    plane(axes, "generator theta  [1]", ("mean omega" if game.mean_field else "omega") + "  [1]", equal=False)
    entries = _start_and_rest(axes, (game.start[0], float(np.mean(game.start[1:]))), (0.0, 0.0))
    walls = style.sample_line("wall", style.FAINT, linewidth=2.0, alpha=0.5)
    return [*entries, style.sample_line("final orbit", style.INK), walls]


def _lq_way(axes: Axes, prediction: Prediction) -> list[Artist]:
    """Standard deviations along principal directions of target, start and closest equilibrium; or the closed orbit."""
    game, facts = prediction.game, prediction.thresholds
    if "lowest_std" in facts:
        axes.plot(*conserved_orbit(game, facts["lowest_std"], facts["highest_std"]), color=style.INK, linewidth=1.1)
        axes.set_title(f"orbit of period {style.number(facts['period'])}")
        plane(axes, "standard deviation  [length]", "W, high on real  [1 / time]", equal=False)
        start = (math.sqrt(float(game.initial.covariance[0, 0])), float(game.initial.quadratic[0, 0]))
        target = (math.sqrt(float(game.target_covariance[0, 0])), 0.0)
        return [*_start_and_rest(axes, start, target), style.sample_line("conserved energy", style.INK)]
    looks = [("target", game.target_covariance, style.INK, "_", 16.0), ("start", game.initial.covariance,
             style.feature_colour(2), "o", 5.0)]  # fmt: skip
    if prediction.equilibria:
        rest = prediction.equilibria[0]
        looks.append((f"equilibrium: {rest.label}", rest.state.covariance, style.feature_colour(0), "D", 5.0))
    entries: list[Artist] = []
    for text, covariance, colour, marker, size in looks:
        values = np.sqrt(np.maximum(principal_components(covariance)[0], 0.0))
        face = "white" if text == "start" else colour
        axes.plot(
            np.arange(1, len(values) + 1), values, color=colour, marker=marker, linestyle="", markersize=size,
            markerfacecolor=face, markeredgewidth=2.0 if marker == "_" else 1.0,
        )  # fmt: skip
        entries.append(style.sample_points(text, marker, colour, filled=text != "start"))
    axes.set_xticks(np.arange(1, game.axes + 1)[:: max(1, game.axes // 8)])
    axes.set_xlim(0.4, game.axes + 0.6)
    axes.set_ylim(bottom=-0.05 * axes.get_ylim()[1])
    axes.set_xlabel("principal direction  [number]")
    axes.set_ylabel("standard deviation  [length]")
    axes.set_title("what the rank allows" if game.rank < game.axes else "widths")
    return entries


def _feature_way(axes: Axes, prediction: Prediction) -> list[Artist]:
    """Start and target, with the data as the kernel smooths them and the place a single point climbs to."""
    game, facts = prediction.game, prediction.thresholds
    real, start = np.asarray(game.real), np.asarray(game.generated_points)
    low, high = view([], game)
    modes, entries = game.target_modes, []
    axes.set_title("start and target")
    if game.axes == 1:
        entries = _smoothed(axes, game, low[0], high[0])
        for centre in modes.centres[:, 0] if len(modes.weights) > 1 else ():
            axes.axvspan(centre - modes.radius, centre + modes.radius, color=style.FAINT, alpha=0.12, linewidth=0)
        for points, colour, height in ((real, style.INK, -0.08), (start, style.feature_colour(0), -0.2)):
            axes.plot(points[:, 0], np.full(len(points), height), "|", color=colour, markersize=8, alpha=0.7)
        axes.set_ylim(-0.3, 1.1)
        axes.set_xlim(low[0], high[0])
        axes.set_xlabel("place  [length]")
        axes.set_ylabel("smoothed data by their maximum  [1]")
        axes.set_yticks([0.0, 0.5, 1.0])
        marker = "|"
    else:
        for points, colour in ((real, style.INK), (start, style.feature_colour(0))):
            many = len(points) > _MANY
            axes.plot(*points[:, :2].T, ".", color=colour, markersize=2.5 if many else 5.0, alpha=0.6, rasterized=many)
        axes.set_xlim(low[0], high[0])
        axes.set_ylim(low[1], high[1])
        plane(axes, "first coordinate  [length]", "second coordinate  [length]", equal=False)
        axes.set_aspect("equal")
        marker = "."
    entries += [
        style.sample_points("real points", marker, style.INK),
        style.sample_points("start", marker, style.feature_colour(0)),
    ]
    if game.axes == 1 and len(modes.weights) > 1:
        entries.append(Patch(facecolor=style.FAINT, alpha=0.25, label=f"within {modes.radius:.3g} of a mode"))
    if "mode" in facts:
        mode = facts["mode"]
        if game.axes == 1:
            axes.axvline(mode[0], color=style.feature_colour(1), linestyle=DOTTED)
        else:
            axes.plot(*mode[:2], marker="*", color=style.feature_colour(1), markersize=9, linestyle="")
        ratio = style.number(facts["critical_speed_ratio"])
        axes.set_title(f"speed ratio to settle: above {ratio}")
        look = dict(dashes=DOTTED) if game.axes == 1 else dict(dashes="", marker="*")
        entries.append(style.sample_line("mode that a single point climbs to", style.feature_colour(1), **look))
    return entries


def _smoothed(axes: Axes, game: Any, low: float, high: float) -> list[Artist]:
    """The data smoothed by the kernel of the features, in units of its maximum."""
    if game.metric is None or len(game.real) > 20 * _MANY:
        return []
    x = np.linspace(low, high, 301)
    values = game.metric.profile(np.square(x[:, None] - np.asarray(game.real)[None, :, 0])).mean(axis=1)
    axes.plot(x, values / values.max(), color=style.feature_colour(2))
    return [style.sample_line("data smoothed by the kernel", style.feature_colour(2))]


_WAYS = {
    "dirac": _dirac_way,
    "quadratic": _quadratic_way,
    "clipped": _clipped_way,
    "lq": _lq_way,
    "feature": _feature_way,
}
