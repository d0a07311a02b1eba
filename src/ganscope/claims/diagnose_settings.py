"""Small real games with known numbers, in NumPy and JAX, that the claims of the diagnosis share."""

import functools
import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ganscope.core.caches import prepare_jax
from ganscope.core.game import Players
from ganscope.diagnose.backend import Draw
from ganscope.diagnose.change import Change
from ganscope.diagnose.real_game import RealGame
from ganscope.diagnose.rule import Player, UpdateRule

prepare_jax()

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402

from ganscope.claims.suite.games import PAIRS  # noqa: E402

Array = npt.NDArray[np.float64]
# Weights `[in, out]` and biases of every layer.
Layers = list[tuple[Array, Array]]

GENERATOR, DISCRIMINATOR = (4, 12, 12, 2), (2, 12, 12, 1)


@dataclass(frozen=True, eq=False)
class Seeded:
    """Two small networks and one batch, drawn from a seed: known numbers belong to the default one.

    Attributes:
        generator, discriminator: Layers, tanh between them.
        real: Points of a ring of 8 with noise, `[64, 2]`.
        latents: `[64, 4]`.
    """

    generator: Layers
    discriminator: Layers
    real: Array
    latents: Array


@functools.cache
def seeded(generator: tuple[int, ...] = GENERATOR, discriminator: tuple[int, ...] = DISCRIMINATOR) -> Seeded:
    """The networks of these layer sizes and their batch."""
    rng = np.random.default_rng(7)
    layers = [
        [(rng.normal(size=(a, b)) / np.sqrt(a), 0.1 * rng.normal(size=b)) for a, b in itertools.pairwise(s)]
        for s in (generator, discriminator)
    ]
    angles = 2 * np.pi * (np.arange(64) % 8) / 8
    real = np.stack([np.cos(angles), np.sin(angles)], axis=1) + 0.1 * rng.normal(size=(64, 2))
    return Seeded(layers[0], layers[1], real, rng.normal(size=(64, generator[0])))


def network(layers: Any, x: Any) -> Any:
    """A multilayer perceptron with tanh and a linear read-out."""
    for weights, biases in layers[:-1]:
        x = jnp.tanh(x @ weights + biases)
    return x @ layers[-1][0] + layers[-1][1]


def scores(phi: Any, x: Any) -> Any:
    """The discriminator's scores `[n]`."""
    return network(phi, x)[:, 0]


# By name: losses of the scores, and the constant score at which the virtual equilibrium is exact.
LOSSES = {
    "ns": (PAIRS["ns"], 0.0),
    "wgan": (PAIRS["wgan"], 0.0),
    "hinge": (PAIRS["hinge"], 0.3),
    "lsgan": (PAIRS["lsgan"], 0.5),
}


@functools.cache
def losses_of(name: str, detached: bool = False) -> Any:
    """(theta, phi, batch, z, key) -> (L_G, L_D); `detached` hides the generator from the discriminator's loss."""
    pair = LOSSES[name][0]

    def losses(theta: Any, phi: Any, batch: Any, z: Any, key: Any) -> tuple[Any, Any]:
        made, real = network(theta, z), scores(phi, batch)
        generator_loss = pair(real, scores(phi, made))[0]
        seen = jax.lax.stop_gradient(made) if detached else made
        return generator_loss, pair(real, scores(phi, seen))[1]

    return losses


def sgd(generator_lr: float = 0.1, discriminator_lr: float = 0.1, **options: Any) -> UpdateRule:
    """Plain gradient steps."""
    return UpdateRule(generator=Player("sgd", generator_lr), discriminator=Player("sgd", discriminator_lr), **options)


def jax_game(parts: Seeded, rule: UpdateRule | None = None, loss: str = "ns", detached: bool = False) -> RealGame:
    """The networks as a real game; its data is the one batch."""
    return RealGame(
        losses_of(loss, detached),
        parts.generator,
        parts.discriminator,
        rule or sgd(),
        parts.real,
        parts.latents.shape[1],
        generator=network,
        discriminator=scores,
        train_batch_size=32,
    )


def whole_batch(parts: Seeded) -> Draw:
    """The one batch."""
    return Draw(parts.real, parts.latents, jax.random.key(0))


def dense_jacobian(game: RealGame, draw: Draw, gamma: float = 0.0) -> Array:
    """Derivative of the velocity in the parameters' own coordinates, generator first, `[n, n]`."""
    linearised = game.backend.linearise(game.backend.point, draw, Change(added=gamma))
    return np.ascontiguousarray(linearised.products(np.eye(sum(game.backend.sizes))).T)


def with_flat_discriminator(parts: Seeded, level: float) -> Seeded:
    """The same with a discriminator that says `level` everywhere."""
    weights, biases = parts.discriminator[-1]
    flat = [*parts.discriminator[:-1], (np.zeros_like(weights), np.full_like(biases, level))]
    return Seeded(parts.generator, flat, parts.real, parts.latents)


def scaled(parts: Seeded, factor: float) -> tuple[Seeded, UpdateRule]:
    """Data, the generator's read-out and the discriminator's first weights for data `factor` times as large, and SGD
    with the rate of every rescaled parameter multiplied by the square of its own factor."""
    weights, biases = parts.generator[-1]
    generator = [*parts.generator[:-1], (factor * weights, factor * biases)]
    weights, biases = parts.discriminator[0]
    discriminator = [(weights / factor, biases), *parts.discriminator[1:]]
    rates = []
    for player, place, by in ((generator, -1, factor), (discriminator, 0, 1 / factor)):
        own = [[np.full(np.shape(leaf), 0.1) for leaf in layer] for layer in player]
        own[place] = [rate * (by**2 if k == 0 or place == -1 else 1) for k, rate in enumerate(own[place])]
        rates.append(np.concatenate([leaf.ravel() for layer in own for leaf in layer]))
    rule = UpdateRule(generator=Player("sgd", rates[0]), discriminator=Player("sgd", rates[1]))
    return Seeded(generator, discriminator, factor * parts.real, parts.latents), rule


def sizes(parts: Seeded) -> Players:
    """Numbers of parameters."""
    return Players(*(sum(w.size + b.size for w, b in layers) for layers in (parts.generator, parts.discriminator)))
