"""A PyTorch GAN on handwritten digits: scikit-learn's 8 x 8 images, perceptrons, the settings of DCGAN and R1.

    ganscope diagnose examples/gans/torch_digits.py:digits

Digits have no known modes, so `gs.diagnose` compares with the images themselves, 64 numbers each. Needs PyTorch and
scikit-learn: `pip install "ganscope[torch,examples]"`.
"""

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn.functional import softplus

import ganscope as gs

BATCH, LATENTS, GRADIENT_PENALTY, TRAINED, PLANNED = 64, 16, 0.5, 600, 20_000


def slope_penalty(discriminator, x):
    """R1: half the mean squared gradient of the scores at real samples."""
    x = x.detach().requires_grad_(True)
    (slopes,) = torch.autograd.grad(discriminator(x).sum(), x, create_graph=True)
    return 0.5 * slopes.square().sum(dim=1).mean()


def losses(generator, discriminator, x, z, key):
    """Both losses, minimised; training detaches the generated samples in the second one, the diagnosis must not."""
    fake = generator(z)
    loss_d = softplus(-discriminator(x)).mean() + softplus(discriminator(fake)).mean()
    return softplus(-discriminator(fake)).mean(), loss_d + GRADIENT_PENALTY * slope_penalty(discriminator, x)


def digits(checkpoint=None):
    """Trains for some seconds, or loads a checkpoint, and returns the game."""
    torch.manual_seed(0)
    images = torch.tensor(load_digits().data / 8 - 1, dtype=torch.float32)  # pixels from -1 to 1
    generator = nn.Sequential(
        nn.Linear(LATENTS, 96), nn.LeakyReLU(0.2), nn.Linear(96, 96), nn.LeakyReLU(0.2), nn.Linear(96, 64), nn.Tanh()
    )
    discriminator = nn.Sequential(
        nn.Linear(64, 96), nn.LeakyReLU(0.2), nn.Linear(96, 96), nn.LeakyReLU(0.2), nn.Linear(96, 1)
    )
    optimizer_g = torch.optim.Adam(generator.parameters(), lr=5e-4, betas=(0.5, 0.999))
    optimizer_d = torch.optim.Adam(discriminator.parameters(), lr=5e-4, betas=(0.5, 0.999))
    for _ in range(0 if checkpoint else TRAINED):
        x = images[torch.randint(len(images), (BATCH,))]
        for optimizer, player in ((optimizer_d, 1), (optimizer_g, 0)):
            loss = losses(generator, discriminator, x, torch.randn(BATCH, LATENTS), None)[player]
            optimizer.zero_grad()
            loss.backward(inputs=optimizer.param_groups[0]["params"])
            optimizer.step()
    game = gs.RealGame.from_torch(
        generator, discriminator, losses, images, LATENTS, optimizer_g, optimizer_d,
        gamma=GRADIENT_PENALTY, train_batch_size=BATCH, iteration=None if checkpoint else TRAINED,
        planned_iterations=PLANNED,
    )  # fmt: skip
    return game.load_checkpoint(checkpoint) if checkpoint else game
