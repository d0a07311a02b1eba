"""A PyTorch GAN on a ring of eight modes: a training script, and the few lines that hand it over.

    ganscope diagnose examples/gans/torch_ring.py:ring      # Adam as PyTorch sets it up, no penalty: it oscillates
    ganscope diagnose examples/gans/torch_ring.py:damped    # the same, gone on with the penalty that is advised

A factory is a function that returns a `gs.RealGame`; here it trains for some seconds first, so that there is something
to diagnose. With `--checkpoint last.pt` it loads that instead. Needs PyTorch: `pip install "ganscope[torch]"`.
"""

from typing import NamedTuple

import torch
from torch import nn
from torch.nn.functional import softplus

import ganscope as gs

BATCH, LATENTS, TRAINED = 128, 4, 400
ANGLES = 2 * torch.pi * torch.arange(8) / 8
MODES = torch.stack([ANGLES.cos(), ANGLES.sin()], dim=1)


class GAN(NamedTuple):
    """What a training script holds."""

    generator: nn.Module
    discriminator: nn.Module
    optimizer_g: torch.optim.Optimizer
    optimizer_d: torch.optim.Optimizer


# The training script -----------------------------------------------------------------------------------------------


def made(seed=5, width=32):
    """Two small networks, and Adam with the settings that PyTorch proposes."""
    torch.manual_seed(seed)
    generator, discriminator = (
        nn.Sequential(
            nn.Linear(inputs, width), nn.Tanh(), nn.Linear(width, width), nn.Tanh(), nn.Linear(width, outputs)
        )
        for inputs, outputs in ((LATENTS, 2), (2, 1))
    )
    optimizers = (torch.optim.Adam(module.parameters(), lr=1e-3) for module in (generator, discriminator))
    return GAN(generator, discriminator, *optimizers)


def data(key, n):
    """Points of the ring; `key` is a torch.Generator."""
    return MODES[torch.randint(8, (n,), generator=key)] + 0.1 * torch.randn(n, 2, generator=key)


def slope_penalty(discriminator, x):
    """R1: half the mean squared gradient of the scores at real samples."""
    x = x.detach().requires_grad_(True)
    (slopes,) = torch.autograd.grad(discriminator(x).sum(), x, create_graph=True)
    return 0.5 * slopes.square().sum(dim=1).mean()


def train(gan, iterations, gradient_penalty=0.0, seed=5):
    """Train, alternating; returns the outputs at fixed latents every 20 iterations, `[records, 256, 2]`."""
    key, records = torch.Generator().manual_seed(seed), []
    fixed = torch.randn(256, LATENTS, generator=torch.Generator().manual_seed(1))
    for k in range(iterations):
        if k % 20 == 0:
            records.append(gan.generator(fixed).detach())
        x, fake = data(key, BATCH), gan.generator(torch.randn(BATCH, LATENTS, generator=key)).detach()
        loss = softplus(-gan.discriminator(x)).mean() + softplus(gan.discriminator(fake)).mean()
        if gradient_penalty > 0:
            loss = loss + gradient_penalty * slope_penalty(gan.discriminator, x)
        gan.optimizer_d.zero_grad()
        loss.backward()
        gan.optimizer_d.step()
        loss = softplus(-gan.discriminator(gan.generator(torch.randn(BATCH, LATENTS, generator=key)))).mean()
        gan.optimizer_g.zero_grad()
        loss.backward()
        gan.optimizer_g.step()
    return torch.stack(records).numpy()


# Handing it over ---------------------------------------------------------------------------------------------------


def game(gan, gradient_penalty=0.0, iteration=None):
    """The GAN as a real game."""

    def losses(generator, discriminator, x, z, key):
        fake = generator(z)  # not detached: the diagnosis differentiates through it
        loss_d = softplus(-discriminator(x)).mean() + softplus(discriminator(fake)).mean()
        loss_d = loss_d + gradient_penalty * slope_penalty(discriminator, x)
        return softplus(-discriminator(fake)).mean(), loss_d

    return gs.RealGame.from_torch(
        gan.generator, gan.discriminator, losses, data, LATENTS, gan.optimizer_g, gan.optimizer_d,
        gamma=gradient_penalty, train_batch_size=BATCH, iteration=iteration,
    )  # fmt: skip


def ring(checkpoint=None):
    """The first 400 iterations, without a gradient penalty."""
    gan = made()
    if checkpoint is not None:
        return game(gan).load_checkpoint(checkpoint)
    train(gan, TRAINED)
    return game(gan, iteration=TRAINED)


def damped(gradient_penalty=10.0):
    """From there on 800 more with a penalty."""
    gan = made()
    train(gan, TRAINED)
    train(gan, 2 * TRAINED, gradient_penalty, seed=6)
    return game(gan, gradient_penalty, iteration=3 * TRAINED)
