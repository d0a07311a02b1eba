"""Pictures of the linear-quadratic GAN: laws by their standard deviations, in a plane as ellipses."""

from collections.abc import Sequence

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes

from ganscope.figures import style
from ganscope.figures.dualflow_look import DASHED, DOTTED, TIME, Array, plane
from ganscope.figures.dualflow_shown import path, positive_axis, series
from ganscope.figures.shown import Shown
from ganscope.games.dualflow.lq.model import QuadraticGAN
from ganscope.games.dualflow.lq.theory import collapse_distance, principal_components

_TURN = np.linspace(0.0, 2 * np.pi, 121)


def gaussian_panels(axes: Sequence[Axes], shown: Sequence[Shown], game: QuadraticGAN) -> list[Artist]:
    """The law against the discriminator or in its plane, its standard deviations, and its distance from the target."""
    law, spread, distance = axes
    entries = _line(law, shown, game) if game.axes == 1 else _plane(law, shown, game)
    entries += _spreads(spread, shown, game)
    values = [one.run.w2.values for one in shown]
    for one, value in zip(shown, values, strict=True):
        series(distance, one, value, one.colour)
    if game.rank < game.axes:
        missed = collapse_distance(game.target_covariance, game.rank)
        if missed > 0:
            distance.axhline(missed, color=style.FAINT, linewidth=0.9, linestyle=DASHED)
            entries.append(style.sample_line(f"least for rank {game.rank}", style.FAINT, DASHED, linewidth=0.9))
    positive_axis(distance, values)
    distance.set_xlabel(TIME)
    distance.set_ylabel("W2 from the target  [length]")
    distance.set_title("distance from the target")
    distance.margins(x=0.02)
    return entries


def ellipse(mean: Array, covariance: Array) -> Array:
    """The curve one standard deviation around a law of the plane, shape `[2, points]`."""
    values, vectors = np.linalg.eigh(covariance)
    reach = np.sqrt(np.maximum(values, 0.0))
    return np.asarray(mean[:, None] + (vectors * reach) @ np.stack([np.cos(_TURN), np.sin(_TURN)]))


def _line(axes: Axes, shown: Sequence[Shown], game: QuadraticGAN) -> list[Artist]:
    """Standard deviation against the quadratic part of the discriminator, with the orbit where it is conserved."""
    entries: list[Artist] = []
    for one in shown:
        path(axes, one, np.sqrt(one.run.covariance.values[..., 0, 0]), one.run.quadratic.values[..., 0, 0])
    target = float(np.sqrt(game.target_covariance[0, 0]))
    facts = game.predict().thresholds
    if "lowest_std" in facts:
        x, y = conserved_orbit(game, facts["lowest_std"], facts["highest_std"])
        axes.plot(x, y, color=style.FAINT, linewidth=0.9, linestyle=DASHED)
        entries.append(style.sample_line("conserved energy", style.FAINT, DASHED, linewidth=0.9))
    axes.plot(target, 0.0, marker="+", color=style.INK, markersize=9, linestyle="")
    plane(axes, "standard deviation  [length]", "W, high on real  [1 / time]", equal=False)
    axes.set_title("width and discriminator")
    return [*entries, style.sample_points("target", "+", style.INK)]


def conserved_orbit(game: QuadraticGAN, lowest: float, highest: float) -> tuple[Array, Array]:
    """The closed orbit of the standard deviation on a line without penalty, between its turning points."""
    target = float(np.sqrt(game.target_covariance[0, 0]))
    middle, half = (lowest + highest) / 2, (highest - lowest) / 2
    std = middle - half * np.cos(_TURN)

    def potential(s: Array) -> Array:
        return np.asarray((s**2 - 2 * target**2 * np.log(s)) / (4 * game.generator_lr))

    kinetic = np.maximum(potential(np.array(lowest)) - potential(std), 0.0)
    return std, np.sqrt(2 * game.discriminator_lr * kinetic) * np.sign(np.sin(_TURN))


def _plane(axes: Axes, shown: Sequence[Shown], game: QuadraticGAN) -> list[Artist]:
    """Means and standard deviations in the plane of the first two coordinates, at start and end."""
    axes.plot(
        *ellipse(game.target_mean[:2], game.target_covariance[:2, :2]), color=style.INK, linewidth=2.0, alpha=0.35
    )
    axes.plot(*game.target_mean[:2], marker="+", color=style.INK, markersize=9, linestyle="")
    for one in shown:
        mean, covariance = one.run["mean"].values, one.run.covariance.values
        path(axes, one, mean[:, 0], mean[:, 1])
        axes.plot(*ellipse(mean[one.last, :2], covariance[one.last, :2, :2]), color=one.colour, linewidth=1.2)
    axes.plot(*ellipse(game.mean[:2], game.initial.covariance[:2, :2]), color=style.FAINT, linestyle=DOTTED)
    more = "" if game.axes == 2 else f" (of {game.axes})"
    plane(axes, f"first coordinate{more}  [length]", "second coordinate  [length]")
    axes.set_title("one standard deviation around the mean")
    return [
        style.sample_line("target", style.INK, linewidth=2.0, alpha=0.35),
        style.sample_line("start", style.FAINT, DOTTED),
    ]


def _spreads(axes: Axes, shown: Sequence[Shown], game: QuadraticGAN) -> list[Artist]:
    """Standard deviations along the principal directions of the law, and on a line also its mean."""
    wanted = np.sqrt(np.maximum(principal_components(game.target_covariance)[0], 0.0))
    for one in shown:
        covariance = one.run.covariance.values
        finite = np.isfinite(covariance).all(axis=(1, 2))
        values = np.full(covariance.shape[:2], np.nan)
        values[finite] = np.linalg.eigvalsh(covariance[finite])[:, ::-1]
        for k, column in enumerate(np.sqrt(np.maximum(values, 0.0)).T):
            series(axes, one, column, style.feature_colour(k))
        if game.axes == 1:
            series(axes, one, one.run["mean"].values[:, 0], style.feature_colour(1))
    for k, value in enumerate(wanted):
        axes.axhline(value, color=style.feature_colour(k), linewidth=0.9, linestyle=DOTTED)
    entries: list[Artist] = [style.sample_line("of the target", style.FAINT, DOTTED, linewidth=0.9)]
    if game.axes == 1:
        axes.axhline(float(game.target_mean[0]), color=style.feature_colour(1), linewidth=0.9, linestyle=DOTTED)
        entries += [
            style.sample_line("standard deviation", style.feature_colour(0)),
            style.sample_line("mean", style.feature_colour(1)),
        ]
    else:
        for k in range(min(len(wanted), 3)):
            entries.append(style.sample_line(f"standard deviation {k + 1}", style.feature_colour(k)))
    axes.set_xlabel(TIME)
    axes.set_ylabel("standard deviations" + (", mean" if game.axes == 1 else "") + "  [length]")
    axes.set_title("the law over time" if game.axes == 1 else "principal standard deviations")
    axes.margins(x=0.02)
    return entries
