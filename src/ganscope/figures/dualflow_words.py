"""The parameters of dual flows as captions show them."""

from typing import Any

import numpy as np

from ganscope.figures import style
from ganscope.games.dualflow.feature.laws import is_law
from ganscope.games.dualflow.feature.model import FeatureGAN

# Arrays of more numbers are told by their shape.
_MOST = 4


def array_text(value: Any) -> str:
    """A number or a small array as text; a larger one by its shape."""
    array = np.asarray(value, np.float64)
    if array.ndim == 0 or array.size == 1:
        return style.number(float(array.ravel()[0]))
    if array.size > _MOST:
        return " \N{MULTIPLICATION SIGN} ".join(str(n) for n in array.shape) + " numbers"
    rows = array.reshape(-1, array.shape[-1])
    return "; ".join("(" + ", ".join(style.number(float(v)) for v in row) + ")" for row in rows)


def parameters(game: Any) -> str:
    """The parameters that a picture must state."""
    texts = [*_OWN[game.model](game)]
    texts += [f"{name} = {style.number(getattr(game, name))}" for name in ("generator_lr", "discriminator_lr")]
    return ", ".join(texts)


def _dirac(game: Any) -> list[str]:
    return [
        f"{game.loss} loss",
        f"gradient_penalty = {style.number(game.gradient_penalty)}",
        f"start {array_text(game.initial)}",
    ]


def _quadratic(game: Any) -> list[str]:
    kind = "zero-sum" if game.is_zero_sum else "general-sum"
    texts = [f"{kind} game of {game.generator_size} and {len(game.A2)} numbers"]
    texts += [f"{name} = {array_text(getattr(game, name))}" for name in ("A1", "B1", "A2", "B2")]
    texts += [f"{name} = {array_text(getattr(game, name))}" for name in ("c1", "c2") if np.any(getattr(game, name))]
    return [*texts, f"start {array_text(game.initial)}"]


def _clipped(game: Any) -> list[str]:
    omega = np.atleast_1d(game.initial[1])
    if game.mean_field:
        start = f"{len(omega)} omegas from {style.number(omega.min())} to {style.number(omega.max())}"
    else:
        start = f"omega = {style.number(float(omega[0]))}"
    return [f"clip = {style.number(game.clip)}", f"start theta = {style.number(game.initial[0])}, {start}"]


def _lq(game: Any) -> list[str]:
    penalties = (game.linear_penalty, game.quadratic_penalty)
    texts = [
        f"{game.axes} dimension{'s' * (game.axes > 1)}, rank {game.rank}",
        f"target mean {array_text(game.target_mean)}, covariance {array_text(game.target_covariance)}",
        f"start mean {array_text(game.mean)}, covariance {array_text(game.initial.covariance)}",
    ]
    if penalties[0] == penalties[1]:
        return [*texts, f"critic_penalty = {style.number(penalties[0])}"]
    names = ("linear_penalty", "quadratic_penalty")
    return texts + [f"{name} = {style.number(value)}" for name, value in zip(names, penalties, strict=True)]


def _feature(game: FeatureGAN) -> list[str]:
    count, many = len(game.generated_points), len(game.real)
    law = "a distribution" if is_law(game.real_points) else f"{many} real point{'s' * (many > 1)}"
    texts = [f"{count} particle{'s' * (count > 1)} and {law} in {game.axes} dimension{'s' * (game.axes > 1)}"]
    texts.append(f"{game.name} features" if game.kernel is None else f"history of {type(game.kernel).__name__}")
    if game.bandwidth_schedule is not None:
        texts.append("bandwidth {:g} to {:g}".format(*game.bandwidth_schedule))
    elif game.name in ("fourier", "random") or (game.name == "history" and game.kernel is None):
        texts.append(f"bandwidth = {array_text(game.bandwidth)}")
    texts.append(f"critic_penalty = {style.number(game.critic_penalty)}")
    for name in ("ridge", "entropy", "clip"):
        value = getattr(game, name)
        if value:
            texts.append(f"{name} = {style.number(value)}")
    if isinstance(game.initial_discriminator, np.ndarray):
        texts.append("given discriminator")
    elif game.initial_discriminator != "zero":
        texts.append(f"initial_discriminator = {game.initial_discriminator}")
    return [*texts, "fast discriminator"] if game.fast else texts


_OWN: dict[str, Any] = {"dirac": _dirac, "quadratic": _quadratic, "clipped": _clipped, "lq": _lq, "feature": _feature}
