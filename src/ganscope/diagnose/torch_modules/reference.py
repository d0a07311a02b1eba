"""A small PyTorch GAN from given weights, and the fingerprint of everything that belongs to its user."""

import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from ganscope.diagnose.backend import Draw
from ganscope.diagnose.real_game import RealGame

_GAMMA = 0.3


def reference_game(generator: Any, discriminator: Any, real: Any, latents: Any) -> tuple[RealGame, Draw]:
    """A game with the non-saturating loss and plain gradient steps, and the batch of all its data.

    Args:
        generator, discriminator: Layers as (weights `[in, out]`, biases), tanh between them.
        real: Data `[n, d]`.
        latents: `[n, l]`.
    """
    players = [_network(layers) for layers in (generator, discriminator)]
    optimizers = [torch.optim.SGD(player.parameters(), lr=0.1) for player in players]
    data = torch.tensor(np.asarray(real), dtype=torch.float64)
    game = RealGame.from_torch(
        players[0],
        players[1],
        _losses,
        data,
        np.shape(latents)[1],
        optimizers[0],
        optimizers[1],
        train_batch_size=32,
    )
    draw = Draw(data, torch.tensor(np.asarray(latents), dtype=torch.float64), torch.Generator().manual_seed(0))
    return game, draw


def training(real: Any, width: int = 48, batch_size: int = 128) -> tuple[RealGame, Callable[[], None]]:
    """A GAN on some data, as one writes it with PyTorch (Adam, R1), and what makes one iteration of its training.

    Args:
        real: Data `[n, d]`.
        width: Of two hidden layers.
        batch_size: Of a minibatch.
    """
    axes, latents = np.shape(real)[1], 8
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        generator, discriminator = _plain(latents, width, axes), _plain(axes, width, 1)
    of_generator = torch.optim.Adam(generator.parameters(), lr=1e-3, betas=(0.5, 0.99))
    of_discriminator = torch.optim.Adam(discriminator.parameters(), lr=1e-3, betas=(0.5, 0.99))
    data, source = torch.tensor(np.asarray(real), dtype=torch.float32), torch.Generator().manual_seed(1)

    def losses(generator: Any, discriminator: Any, batch: Any, z: Any, key: Any) -> tuple[Tensor, Tensor]:
        points = batch.detach().clone().requires_grad_()
        slopes = torch.autograd.grad(discriminator(points).sum(), points, create_graph=True)[0]
        plain = _losses(generator, discriminator, batch, z, key)
        return plain[0], plain[1] + 0.5 * _GAMMA * (slopes**2).sum(dim=1).mean()

    def iteration() -> None:
        batch = data[torch.randint(len(data), (batch_size,), generator=source)]
        for optimizer, which in ((of_discriminator, 1), (of_generator, 0)):
            z = torch.randn(batch_size, latents, generator=source)
            optimizer.zero_grad()
            torch.autograd.backward(losses(generator, discriminator, batch, z, None)[which])
            optimizer.step()

    game = RealGame.from_torch(
        generator,
        discriminator,
        losses,
        data,
        latents,
        of_generator,
        of_discriminator,
        gamma=_GAMMA,
        train_batch_size=batch_size,
    )
    return game, iteration


def _plain(into: int, width: int, out: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(into, width), nn.Tanh(), nn.Linear(width, width), nn.Tanh(), nn.Linear(width, out))


def fingerprint(game: RealGame) -> dict[str, str]:
    """Digests of what belongs to the user of a PyTorch game: two that are equal are equal bit by bit."""
    found = {"random numbers": _digest(torch.get_rng_state())}
    for player, module, optimizer in zip(
        ("generator", "discriminator"), game._modules[:2], game._modules[2:], strict=True
    ):
        for name, value in module.state_dict().items():
            found[f"{player}.{name}"] = _digest(value)
        for name, parameter in module.named_parameters():
            found[f"{player}.{name} gradient"] = str(parameter.requires_grad) + (
                "" if parameter.grad is None else _digest(parameter.grad)
            )
        found[f"{player} modes"] = str([part.training for part in module.modules()])
        found[f"{player} optimizer"] = repr(optimizer.state_dict())
    return found


def _digest(value: Tensor) -> str:
    return hashlib.blake2b(value.detach().cpu().contiguous().numpy().tobytes(), digest_size=12).hexdigest()


def _network(layers: Any) -> nn.Sequential:
    parts: list[nn.Module] = []
    for weights, biases in layers:
        into, out = np.shape(weights)
        linear = nn.Linear(into, out, dtype=torch.float64)
        with torch.no_grad():
            linear.weight.copy_(torch.tensor(np.asarray(weights).T))
            linear.bias.copy_(torch.tensor(np.asarray(biases)))
        parts += [linear, nn.Tanh()]
    return nn.Sequential(*parts[:-1])


def _losses(generator: Any, discriminator: Any, batch: Any, z: Any, key: Any) -> tuple[Tensor, Tensor]:
    real, fake = discriminator(batch), discriminator(generator(z))
    return softplus(-fake).mean(), softplus(-real).mean() + softplus(fake).mean()
