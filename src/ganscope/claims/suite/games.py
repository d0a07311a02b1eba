"""A configuration as a real game: its losses, the penalty in force, and its training from one checkpoint to another.

Games of one architecture and loss share their functions and so what is compiled for them, whatever the numbers: R1 is
no part of their losses but a change of them. A penalty on slopes away from 1 is part of the losses.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from ganscope.claims.suite.distribution import FIXED_LATENTS, LATENT_SIZE, Configuration
from ganscope.claims.suite.networks import discriminator_of, generator_of, initial
from ganscope.claims.suite.targets import Target, generator, target
from ganscope.core.game import Players
from ganscope.diagnose.change import Change
from ganscope.diagnose.jax_functions.backend import JaxBackend
from ganscope.diagnose.jax_functions.programs import Program, flatten, own_samples, structure_of
from ganscope.diagnose.rule import UpdateRule
from ganscope.diagnose.training import Memory, Trained, TrainingRequest

Losses = Callable[..., tuple[Any, Any]]


# Score over which the corner of a hinge is rounded.
_ROUNDING = 0.3

# Purposes of random streams; 0 is the initial parameters.
_FIXED = 1


@dataclass(frozen=True, eq=False)
class SuiteGame:
    """A configuration at a checkpoint, with what the instruments ask of a game.

    Attributes:
        configuration: What it is.
        target: Its data.
        backend: Networks, losses and data at the checkpoint.
        memory: The optimizers' memory there; None before the first iteration.
    """

    configuration: Configuration
    target: Target
    backend: JaxBackend
    memory: Memory | None = None

    @property
    def rule(self) -> UpdateRule:
        """The update rule with the second moments of the checkpoint."""
        rule = self.configuration.rule
        if self.memory is None:
            return rule
        players = []
        for k, player in enumerate((rule.generator, rule.discriminator)):
            remembered = {"first_moment": self.memory.first[k]}
            if player.adaptive:
                remembered |= {"second_moment": self.memory.second[k], "step": self.memory.steps[k]}
            players.append(player.replace(**remembered))
        return rule.replace(generator=players[0], discriminator=players[1])

    @property
    def gradient_penalty(self) -> float:
        """Weight of R1 at present."""
        return self.configuration.gamma if self.configuration.penalty == "r1" else 0.0

    @property
    def change(self) -> Change:
        """R1 at present."""
        return Change(added=self.gradient_penalty)

    @property
    def has_other_penalty(self) -> bool:
        """Whether the losses hold a penalty of another kind."""
        return self.configuration.penalty != "r1" and self.configuration.gamma > 0

    @property
    def train_batch_size(self) -> int:
        """Of every minibatch."""
        return self.configuration.batch_size

    def with_gamma(self, gamma: float) -> Change:
        """R1 of another weight instead of any penalty."""
        return Change(added=gamma, removed=1.0 if self.has_other_penalty else 0.0)

    def rounded(self) -> "SuiteGame":
        """The same game with the corners of its hinge rounded, so that the damping on them has a derivative."""
        chosen, program = self.configuration, self.backend.program
        slope = chosen.gamma if chosen.penalty == "slope1" else 0.0
        losses = losses_of(f"rounded {chosen.loss}", chosen.network, chosen.activation, slope)
        backend = JaxBackend(replace(program, losses=losses), self.backend.point, self.target.draw, latents)
        return replace(self, backend=backend)

    def train(self, record_at: Any, seed: int, change: Change | None = None) -> "tuple[SuiteGame, Trained]":
        """Train on from here; the game where training ends, and the run.

        Args:
            record_at: Iterations from here on at which the outputs at the fixed latents are recorded.
            seed: Of the minibatches.
            change: Of the losses; None is the penalty in force.
        """
        request = TrainingRequest(
            rule=self.configuration.rule,
            record_at=np.asarray(record_at, np.int64),
            batch_size=self.configuration.batch_size,
            seed=seed,
            start=self.backend.point,
            memory=self.memory,
            latents=self.backend.latents(self.configuration.stream(_FIXED), FIXED_LATENTS),
            change=self.change if change is None else change,
        )
        trained = self.backend.train(request)
        there = SuiteGame(self.configuration, self.target, self.backend.at(trained.point), trained.memory)
        return there, trained


def game_of(configuration: Configuration) -> SuiteGame:
    """The game of a configuration before its first iteration."""
    goal = target(configuration.data, configuration.data_scale)
    network, activation = configuration.network, configuration.activation
    theta, phi = initial(configuration, goal.axes)
    slope = configuration.gamma if configuration.penalty == "slope1" else 0.0
    program = Program(
        losses=losses_of(configuration.loss, network, activation, slope),
        generator=generator_of(network, activation),
        discriminator=discriminator_of(network, activation),
        penalty="r1",
        other_penalty=slope_penalty_of(network, activation, slope) if slope > 0 else None,
        real=own_samples,
        generator_structure=structure_of("generator", theta),
        discriminator_structure=structure_of("discriminator", phi),
    )
    point = Players(flatten(theta), flatten(phi))
    return SuiteGame(configuration, goal, JaxBackend(program, point, goal.draw, latents))


def outputs_of(runs: list[Trained]) -> npt.NDArray[np.float64]:
    """Outputs of runs that follow one another; the first record of every run but the first is the last one's end."""
    return np.concatenate([run.outputs[min(k, 1) :] for k, run in enumerate(runs)])


@functools.cache
def losses_of(loss: str, network: str, activation: str, slope: float) -> Losses:
    """(theta, phi, batch, z, key) -> (L_G, L_D), the discriminator high on real data; with a slope penalty's weight."""
    generate, judge = generator_of(network, activation), discriminator_of(network, activation)
    pair = PAIRS[loss]

    def losses(theta: Any, phi: Any, batch: Any, z: Any, key: Any) -> tuple[Any, Any]:
        return pair(judge(phi, batch), judge(phi, generate(theta, z)))

    if slope == 0:
        return losses
    penalty = slope_penalty_of(network, activation, slope)

    def penalised(*game: Any) -> tuple[Any, Any]:
        of_generator, of_discriminator = losses(*game)
        return of_generator, of_discriminator + penalty(*game)

    return penalised


def _non_saturating(real: Any, fake: Any) -> tuple[Any, Any]:
    softplus = jax.nn.softplus
    return softplus(-fake).mean(), softplus(-real).mean() + softplus(fake).mean()


def _wasserstein(real: Any, fake: Any) -> tuple[Any, Any]:
    return -fake.mean(), fake.mean() - real.mean()


def _hinge(real: Any, fake: Any) -> tuple[Any, Any]:
    return -fake.mean(), jax.nn.relu(1 - real).mean() + jax.nn.relu(1 + fake).mean()


def _rounded_hinge(real: Any, fake: Any) -> tuple[Any, Any]:
    def corner(u: Any) -> Any:
        return _ROUNDING * jax.nn.softplus(u / _ROUNDING)

    return -fake.mean(), corner(1 - real).mean() + corner(1 + fake).mean()


def _least_squares(real: Any, fake: Any) -> tuple[Any, Any]:
    return ((fake - 1) ** 2).mean() / 2, ((real - 1) ** 2).mean() / 2 + (fake**2).mean() / 2


# Losses of the players as functions of the scores of real and generated samples, discriminator high on real data.
PAIRS = {
    "ns": _non_saturating,
    "wgan": _wasserstein,
    "hinge": _hinge,
    "rounded hinge": _rounded_hinge,
    "lsgan": _least_squares,
}


@functools.cache
def slope_penalty_of(network: str, activation: str, weight: float) -> Callable[..., Any]:
    """(weight / 2) mean (|grad_x D| - 1)^2 at random points between real and generated samples.

    References:
        Gulrajani, Ahmed, Arjovsky, Dumoulin, Courville. Improved training of Wasserstein GANs. NeurIPS 2017.
    """
    generate, judge = generator_of(network, activation), discriminator_of(network, activation)

    def penalty(theta: Any, phi: Any, batch: Any, z: Any, key: Any) -> Any:
        share = jax.random.uniform(key, (batch.shape[0], 1), batch.dtype)
        between = share * batch + (1 - share) * generate(theta, z)
        slopes = jax.grad(lambda x: judge(phi, x).sum())(between)
        # the root is not differentiable where a slope is exactly 0
        return 0.5 * weight * jnp.mean((jnp.sqrt(jnp.sum(slopes**2, axis=1) + 1e-12) - 1) ** 2)

    return penalty


def latents(key: Any, count: int) -> Any:
    """Normal latents `[count, 8]`."""
    return generator(key).standard_normal((count, LATENT_SIZE), np.float32)
