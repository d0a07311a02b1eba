"""A JAX GAN on a grid of nine modes: trees of arrays, Adam by hand, both players moving at once.

    ganscope diagnose examples/gans/jax_grid.py:grid

Any tree of arrays will do: of Flax or Haiku the parameters as they are, of Equinox the arrays of the module. A state of
optax goes into `gs.Player(second_moment=state.nu, first_moment=state.mu, step=state.count)`.
"""

from functools import partial

import jax
import jax.numpy as jnp

import ganscope as gs

BATCH, LATENTS, TRAINED, PLANNED = 128, 4, 1000, 8000
LEARNING_RATE, BETA1, BETA2, EPS = 1e-3, 0.5, 0.99, 1e-8


def network(parameters, x):
    """A perceptron with two hidden layers."""
    *hidden, (weights, bias) = parameters
    for w, b in hidden:
        x = jnp.tanh(x @ w + b)
    return x @ weights + bias


def scores(parameters, x):
    """Scores of the discriminator, high on real samples."""
    return network(parameters, x)[:, 0]


def losses(theta, phi, x, z, key):
    """Both losses of a non-saturating GAN, minimised; nothing stops a gradient."""
    fake, real = scores(phi, network(theta, z)), scores(phi, x)
    return jax.nn.softplus(-fake).mean(), jax.nn.softplus(-real).mean() + jax.nn.softplus(fake).mean()


def data(key, n):
    """Points around the corners, edges and centre of a square."""
    place, noise = jax.random.split(key)
    cells = jax.random.randint(place, (n, 2), -1, 2)
    return cells + 0.1 * jax.random.normal(noise, (n, 2))


def initial(key, sizes):
    """Weights and biases of a perceptron."""
    keys = jax.random.split(key, len(sizes) - 1)
    return [
        (jax.random.normal(k, (a, b)) / a**0.5, jnp.zeros(b))
        for k, a, b in zip(keys, sizes[:-1], sizes[1:], strict=True)
    ]


@partial(jax.jit, static_argnums=1)
def train(players, iterations):
    """Adam on both players at once; returns the players, and their first and second moments."""

    def iteration(state, k):
        players, first, second = state
        x, z = (
            data(jax.random.fold_in(jax.random.key(1), k), BATCH),
            jax.random.normal(jax.random.fold_in(jax.random.key(2), k), (BATCH, LATENTS)),
        )
        theta, phi = players
        gradients = (
            jax.grad(lambda t: losses(t, phi, x, z, None)[0])(theta),
            jax.grad(lambda p: losses(theta, p, x, z, None)[1])(phi),
        )
        first = jax.tree.map(lambda m, g: BETA1 * m + (1 - BETA1) * g, first, gradients)
        second = jax.tree.map(lambda m, g: BETA2 * m + (1 - BETA2) * g**2, second, gradients)
        young = (1 - BETA1 ** (k + 1)), (1 - BETA2 ** (k + 1))
        players = jax.tree.map(
            lambda p, m, v: p - LEARNING_RATE * (m / young[0]) / (jnp.sqrt(v / young[1]) + EPS), players, first, second
        )
        return (players, first, second), None

    nothing = jax.tree.map(jnp.zeros_like, players)
    return jax.lax.scan(iteration, (players, nothing, nothing), jnp.arange(iterations))[0]


def grid(checkpoint=None):
    """Trains for a moment, or loads an .npz file with the flat arrays `generator` and `discriminator`."""
    start = initial(jax.random.key(0), (LATENTS, 32, 32, 2)), initial(jax.random.key(3), (2, 32, 32, 1))
    players, first, second = train(start, 0 if checkpoint else TRAINED)
    adam = [
        gs.Player(
            "adam", LEARNING_RATE, beta1=BETA1, beta2=BETA2, eps=EPS, first_moment=m, second_moment=v,
            step=0 if checkpoint else TRAINED,
        )
        for m, v in zip(first, second, strict=True)
    ]  # fmt: skip
    game = gs.RealGame.from_jax(
        losses, *players, gs.UpdateRule("simultaneous", generator=adam[0], discriminator=adam[1]), data, LATENTS,
        generator=network, discriminator=scores, train_batch_size=BATCH,
        iteration=None if checkpoint else TRAINED, planned_iterations=PLANNED,
    )  # fmt: skip
    return game.load_checkpoint(checkpoint) if checkpoint else game
