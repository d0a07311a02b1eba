"""Small measurements made by hand, for tests of what is computed from measurements."""

import numpy as np

from ganscope.diagnose.instruments.measurement import Measurement
from ganscope.diagnose.rule import Player, UpdateRule
from ganscope.diagnose.theory.virtual import forecast


def plain(kind="sgd", **options):
    return Player(kind=kind, learning_rate=0.1, **options)


def rule_of(order="alternating", discriminator_steps=1, **options):
    return UpdateRule(order, discriminator_steps, plain(**options), plain(**options))


def random_measurement(
    seed=0, modes=3, rule=None, gamma=0.5, speed=0.1, friction=0.3, latents=5, axes=2, radius=1.5, extra=0.0
):
    """A reduced game with rotation, an indefinite generator block, friction, a penalty and noise."""
    rng = np.random.default_rng(seed)
    size = 2 * modes
    sigma = speed * np.sort(rng.uniform(0.3, 1.0, modes))[::-1]
    bare = 0.3 * speed * rng.normal(size=(size, size))
    bare[:modes, modes:] = np.diag(sigma)
    bare[modes:, :modes] -= np.diag(sigma)
    root = rng.normal(size=(modes, modes))
    bare[modes:, modes:] -= friction * speed * root @ root.T
    penalty = np.zeros((size, size))
    root = rng.normal(size=(modes, modes))
    penalty[modes:, modes:] = -speed * (root @ root.T / modes + 0.5 * np.eye(modes))
    penalty[modes:, :modes] = 0.1 * speed * rng.normal(size=(modes, modes))
    noise = 1e-2 * rng.normal(size=(24, size))
    return Measurement(
        rule=rule or rule_of(),
        sigma=sigma,
        jacobian=bare + gamma * penalty + extra * np.eye(size),
        without_penalty=bare,
        penalty=penalty,
        gamma=gamma,
        outputs=rng.normal(size=(modes, latents, axes)),
        noise=noise - noise.mean(axis=0),
        batch_size=128,
        data_radius=radius,
        gradient_norms=(1.0, 1.0),
        signal_to_noise=0.1,
    )


def with_wander(measurement, wander, horizon=1024):
    """The same with another generator read-out, so that a given wander is predicted."""
    predicted = forecast(measurement, horizon).predicted_wander
    return measurement.replace(outputs=measurement.outputs * wander / predicted)
