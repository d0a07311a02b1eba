"""Small GANs for tests: the seeded multilayer perceptrons, and a ring of modes."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np

import ganscope as gs


def perceptron(parameters, x):
    for place, (weights, bias) in enumerate(parameters):
        x = x @ weights + bias
        if place < len(parameters) - 1:
            x = jnp.tanh(x)
    return x


def scores(parameters, x):
    return perceptron(parameters, x)[:, 0]


def nonsaturating(theta, phi, batch, z, key):
    fake, real = scores(phi, perceptron(theta, z)), scores(phi, batch)
    softplus = jax.nn.softplus
    return softplus(-fake).mean(), softplus(-real).mean() + softplus(fake).mean()


def detached(theta, phi, batch, z, key):
    """The loss as training scripts have it."""
    fake = perceptron(theta, z)
    cut, real = scores(phi, jax.lax.stop_gradient(fake)), scores(phi, batch)
    softplus = jax.nn.softplus
    return softplus(-scores(phi, fake)).mean(), softplus(-real).mean() + softplus(cut).mean()


def drawn(rng, widths):
    """Layers as (weights / sqrt(inputs), 0.1 * bias), standard normals."""
    return [(rng.normal(size=(a, b)) / np.sqrt(a), 0.1 * rng.normal(size=b)) for a, b in itertools.pairwise(widths)]


def seeded():
    """Generator 4-12-12-2, discriminator 2-12-12-1, 64 points on a ring of eight modes, and latents."""
    rng = np.random.default_rng(7)
    generator, discriminator = drawn(rng, (4, 12, 12, 2)), drawn(rng, (2, 12, 12, 1))
    angle = 2 * np.pi * (np.arange(64) % 8) / 8
    data = np.stack([np.cos(angle), np.sin(angle)], axis=1) + 0.1 * rng.normal(size=(64, 2))
    return generator, discriminator, data, rng.normal(size=(64, 4))


def seeded_game(losses=nonsaturating, rate=1.0, **options):
    """The seeded networks; every batch is the same 64 points, repeated."""
    generator, discriminator, data, latents = seeded()
    given = dict(generator=perceptron, discriminator=scores, train_batch_size=64) | options
    player = gs.Player("sgd", rate)
    rule = given.pop("rule", gs.UpdateRule(generator=player, discriminator=player))
    return gs.RealGame(
        losses,
        generator,
        discriminator,
        rule,
        lambda key, n: data[np.arange(n) % 64],
        lambda key, n: latents[np.arange(n) % 64],
        **given,
    )


def ring_data(key, n):
    angle, noise = jax.random.split(key)
    turn = 2 * jnp.pi * jax.random.randint(angle, (n,), 0, 8) / 8
    return jnp.stack([jnp.cos(turn), jnp.sin(turn)], axis=1) + 0.1 * jax.random.normal(noise, (n, 2))


def ring_game(kind="adam", rate=1e-3, width=16, **options):
    """A GAN on a ring of eight modes, at its start."""
    rng = np.random.default_rng(0)
    generator, discriminator = drawn(rng, (4, width, 2)), drawn(rng, (2, width, 1))
    single = jax.tree.map(lambda a: np.asarray(a, np.float32), (generator, discriminator))
    player = gs.Player(kind, rate, beta1=0.5, beta2=0.99, second_moment=None)
    given = dict(generator=perceptron, discriminator=scores, train_batch_size=32) | options
    rule = given.pop("rule", gs.UpdateRule(generator=player, discriminator=player))
    return gs.RealGame(nonsaturating, *single, rule, ring_data, 4, **given)
