"""Random small GANs: a configuration is a pure function of the suite's seed, its axis and its number.

The main axis is the one on which the rules of the diagnosis were made. Every other axis changes one thing that they
have not seen: wide and deep networks, other batches and scales of the data, normalisation layers, RMSprop, images.
"""

import dataclasses
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from ganscope.core.errors import unknown_name
from ganscope.diagnose.rule import Player, UpdateRule

ITERATIONS = 4000
RECORD_EVERY = 20
FIXED_LATENTS = 256
LATENT_SIZE = 8
BETA2 = 0.99

LOSSES = ("ns", "wgan", "hinge", "lsgan")
GAMMAS = (0.0, 0.0, 0.001, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)


@dataclass(frozen=True)
class Configuration:
    """One random GAN.

    Attributes:
        axis, number, seed: What it was drawn from.
        data: `ring`, `grid`, `digits` (16 principal components) or `images` (8x8 digits).
        data_scale: Factor on the data.
        loss: `ns`, `wgan`, `hinge` or `lsgan`.
        penalty: `r1`, or `slope1` (the slope held at 1 between real and generated samples).
        gamma: Weight of that penalty, convention gamma/2.
        optimizer: `sgd`, `momentum`, `adam` or `rmsprop`.
        generator_lr, discriminator_lr: Learning rates.
        memory: momentum or beta1.
        discriminator_steps, order: Of the update rule.
        network: `mlp`, `batchnorm`, `spectralnorm` (of the discriminator) or `conv`.
        width, depth, activation: Of both networks.
        batch_size: Of every minibatch.
    """

    axis: str
    number: int
    seed: int
    data: str
    data_scale: float
    loss: str
    penalty: str
    gamma: float
    optimizer: str
    generator_lr: float
    discriminator_lr: float
    memory: float
    discriminator_steps: int
    order: str
    network: str
    width: int
    depth: int
    activation: str
    batch_size: int

    @property
    def name(self) -> str:
        """Short and unique within a suite."""
        return f"{self.axis}-{self.number:04d}"

    @property
    def rule(self) -> UpdateRule:
        """The update rule, with optimizers that remember nothing yet."""

        def player(rate: float) -> Player:
            if self.optimizer == "adam":
                return Player("adam", rate, beta1=self.memory, beta2=BETA2)
            if self.optimizer == "rmsprop":
                return Player("rmsprop", rate, beta2=BETA2)
            return Player(self.optimizer, rate, momentum=self.memory)

        return UpdateRule(
            self.order, self.discriminator_steps, player(self.generator_lr), player(self.discriminator_lr)
        )

    def stream(self, purpose: int) -> int:
        """A random seed of this configuration's own for some purpose."""
        return int(np.random.SeedSequence([*self._entropy(), purpose]).generate_state(1)[0] >> 1)

    def _entropy(self) -> tuple[int, int, int]:
        return self.seed, zlib.crc32(self.axis.encode()), self.number

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return dataclasses.asdict(self)


# What an axis changes: per number, in turns.
_AXES: dict[str, tuple[dict[str, Any], ...]] = {
    "main": ({},),
    "width": ({"width": 64}, {"width": 128}, {"width": 256}),
    "depth": ({"depth": 3}, {"depth": 4}),
    "batch": ({"batch_size": 32}, {"batch_size": 64}, {"batch_size": 256}, {"batch_size": 512}),
    "scale": ({"data_scale": 0.1}, {"data_scale": 10.0}),
    "batchnorm": ({"network": "batchnorm"},),
    "spectralnorm": ({"network": "spectralnorm"},),
    "rmsprop": ({"optimizer": "rmsprop"},),
    "images": ({"network": "conv", "data": "images"},),
}
AXES = tuple(_AXES)


def configuration(seed: int, number: int, axis: str = "main") -> Configuration:
    """The configuration of a number.

    Args:
        seed: Of the suite.
        number: From 0 on.
        axis: `main`, or one of the widened axes.

    Raises:
        ParameterError: For an unknown axis.
    """
    if axis not in _AXES:
        raise unknown_name("axis", axis, AXES)
    rng = np.random.default_rng([seed, zlib.crc32(axis.encode()), number])
    changed = _AXES[axis][number % len(_AXES[axis])]
    data = str(rng.choice(["ring", "ring", "grid", "digits"]))
    loss = str(rng.choice(LOSSES))
    optimizer = str(rng.choice(["sgd", "momentum", "adam", "adam"]))
    beta1 = float(rng.choice([0.0, 0.5, 0.9]))
    uniform, ratio = rng.uniform(), 10 ** rng.uniform(-0.6, 0.6)
    gamma = float(rng.choice(GAMMAS))
    slope = bool(rng.uniform() < 0.3)
    steps = int(rng.choice([1, 1, 1, 2, 5]))
    simultaneous = bool(rng.uniform() < 0.3)
    width, activation = int(rng.choice([24, 48])), str(rng.choice(["tanh", "leaky_relu"]))
    optimizer = changed.get("optimizer", optimizer)
    low, high = {"sgd": (-1.7, 0.0), "momentum": (-2.7, -1.0)}.get(optimizer, (-3.7, -2.0))
    rate = 10 ** (low + (high - low) * uniform)
    drawn = {
        "data": data,
        "data_scale": 1.0,
        "loss": loss,
        "penalty": "slope1" if loss == "wgan" and slope else "r1",
        "gamma": gamma,
        "optimizer": optimizer,
        "generator_lr": float(rate / np.sqrt(ratio)),
        "discriminator_lr": float(rate * np.sqrt(ratio)),
        "memory": {"momentum": 0.9, "adam": beta1}.get(optimizer, 0.0),
        "discriminator_steps": steps,
        "order": "simultaneous" if steps == 1 and simultaneous else "alternating",
        "network": "mlp",
        "width": width,
        "depth": 2,
        "activation": activation,
        "batch_size": 128,
    }
    return Configuration(axis, number, seed, **{**drawn, **changed})
