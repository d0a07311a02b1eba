"""The parameters of particle GANs as captions show them."""

from typing import Any

import numpy as np

from ganscope.figures import style
from ganscope.games.particle.cloud.model import ParticleGAN
from ganscope.games.particle.torus.model import TorusGAN

_USUAL: dict[str, Any] = {"regularization": 0.0, "loss": "wgan", "discriminator_steps": 1}


def parameters(game: Any) -> str:
    """The parameters that a picture must state."""
    texts = _circle(game) if isinstance(game, TorusGAN) else _cloud(game)
    texts += [f"{name} = {style.number(getattr(game, name))}" for name in ("discriminator_lr", "gradient_penalty")]
    for name, usual in _USUAL.items():
        value = getattr(game, name, usual)
        if value != usual:
            texts.append(f"{name} = {value if isinstance(value, str) else style.number(value)}")
    return ", ".join(texts)


def _circle(game: TorusGAN) -> list[str]:
    texts = [
        f"{game.particles} particles on a circle with {_count(game.modes, 'mode')}, mode_width = "
        f"{style.number(game.mode_width)}",
        f"relative_mobility = {style.number(game.relative_mobility)}",
        f"mean_mobility = {style.number(game.mean_mobility)}",
    ]
    kernel = f"kernel {game.spectrum}"
    if game.spectrum != "flat":
        kernel += f" with bandwidth {style.number(game.bandwidth)}"
    return [*texts, f"{kernel} up to wavenumber {game.frequencies}"]


def _cloud(game: ParticleGAN) -> list[str]:
    texts = [f"{game.particles} particles, coupling {style.number(game.coupling_number)}", _target(game)]
    if game.relative_mobility > 0:
        texts.append(f"relative_step = {style.number(game.relative_mobility)}")
    if isinstance(game.discriminator, str):
        name = f"{game.discriminator_activation} discriminator"
        if (game.discriminator_depth, game.discriminator_width) != (2, 64):
            name += f" of {_count(game.discriminator_depth, 'layer')} of {game.discriminator_width}"
    else:
        name = f"kernel {type(game.discriminator).__name__} with {game.features} features"
    texts.append(name)
    if game.penalty != "r1":
        texts.append(f"penalty {game.penalty}")
    start = "given start" if game.initial is not None else f"initial_std = {style.number(game.initial_std)}"
    return [*texts, start]


def _target(game: ParticleGAN) -> str:
    if game.real_points is not None:
        return f"{_count(len(game.real_points), 'real point')} in {_count(game.axes, 'dimension')}"
    width = f"mode_width = {style.number(game.mode_width)}"
    if isinstance(game.modes, np.ndarray):
        return f"{_count(len(game.modes), 'mode')} in {_count(game.axes, 'dimension')}, {width}"
    return f"{game.layout} of {_count(game.modes, 'mode')}, radius {style.number(game.radius)}, {width}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"
