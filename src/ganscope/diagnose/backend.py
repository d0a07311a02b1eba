r"""What the instruments ask of the library that holds the networks; JAX and PyTorch answer in NumPy.

Every number is in the user's own coordinates: scaling by learning rates and preconditioners happens in the instruments,
once for both libraries. Parameters are flat float64 vectors, generator first; blocks of directions are rows, `[k, n]`.
The velocity is v = (-grad_theta L_G, -grad_phi L_D), the direction in which a small gradient step moves both players.
"""

import abc
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ganscope.core.game import Players
from ganscope.diagnose.change import UNCHANGED, Change
from ganscope.diagnose.training import Trained, TrainingRequest

Array = npt.NDArray[np.float64]
# A checkpoint: flat parameters of the generator `[n_G]` and of the discriminator `[n_D]`.
Point = Players


@dataclass(frozen=True)
class Draw:
    """A minibatch as the losses take it, in the library's own types: data, latents, the key of all other noise."""

    batch: Any
    latents: Any
    key: Any


class Linearised(abc.ABC):
    """The velocity's derivative at one point, for one draw and one change, as products with blocks of directions."""

    velocity: Players

    @abc.abstractmethod
    def products(self, directions: Array) -> Array:
        """J x for rows x of both players' parameters: `[k, n] -> [k, n]`."""

    @abc.abstractmethod
    def block_products(self, of: int, by: int, directions: Array) -> Array:
        """One block of J: player `of`'s velocity along rows of player `by`'s parameters, `[k, n_by] -> [k, n_of]`.

        Generator 0, discriminator 1; cheaper than the same entries out of whole products.
        """

    def mixed_products(self, directions: Array) -> Array:
        """B y = (d v_G / d phi) y for rows y of the discriminator's parameters: `[k, n_D] -> [k, n_G]`."""
        return self.block_products(0, 1, directions)

    @abc.abstractmethod
    def mixed_adjoints(self, directions: Array) -> Array:
        """B^T x for rows x of the generator's parameters: `[k, n_G] -> [k, n_D]`."""

    @abc.abstractmethod
    def penalty_products(self, directions: Array) -> Array:
        """Derivative of -grad_phi of the unit penalty: `[k, n] -> [k, n_D]`."""


class Backend(abc.ABC):
    """Networks, losses and data of one checkpoint.

    Attributes:
        name: `jax` or `torch`.
        sizes: Numbers of parameters of the players.
        point: The checkpoint.
        samples_known: Whether the generator can be called on its own, so that outputs can be looked at.
        scores_known: Whether the discriminator can be called on its own.
        penalty_known: Whether the unit penalty can be evaluated, so that gamma can be varied.
        penalty_sees_generator: Whether it can depend on generated samples, unlike R1.
        noise_known: Whether instance noise can be added.
    """

    name: str
    sizes: Players
    point: Point
    samples_known: bool
    scores_known: bool
    penalty_known: bool
    penalty_sees_generator: bool
    noise_known: bool

    @abc.abstractmethod
    def at(self, point: Point) -> "Backend":
        """The same game at another checkpoint."""

    def try_out(self, count: int) -> None:
        """See whether a batch of `count` can be drawn, and in PyTorch whether the losses can be evaluated on it.

        Raises:
            ParameterError: If the user's functions fail there.
        """
        self.draw(0, count)

    @abc.abstractmethod
    def draw(self, seed: int, count: int) -> Draw:
        """A minibatch of `count` samples and latents; equal seeds give equal draws."""

    @abc.abstractmethod
    def draws(self, seed: int, count: int, number: int) -> Sequence[Draw]:
        """Several independent minibatches."""

    @abc.abstractmethod
    def losses(self, point: Point, draw: Draw, change: Change = UNCHANGED) -> Players:
        """Both losses as floats."""

    @abc.abstractmethod
    def velocity(self, point: Point, draw: Draw, change: Change = UNCHANGED) -> Players:
        """The velocity, one flat array per player."""

    @abc.abstractmethod
    def velocities(self, point: Point, draws: Sequence[Draw], change: Change = UNCHANGED) -> Array:
        """The velocity for several minibatches of one size, `[number, n]`, generator first."""

    @abc.abstractmethod
    def linearise(self, point: Point, draw: Draw, change: Change = UNCHANGED) -> Linearised:
        """The derivative of the velocity."""

    @abc.abstractmethod
    def outputs(self, generator: Array, latents: Any) -> Array:
        """Generated samples, flattened to `[count, d]`."""

    @abc.abstractmethod
    def output_products(self, generator: Array, latents: Any, directions: Array) -> Array:
        """Derivative of the outputs along rows of the generator's parameters: `[k, n_G] -> [k, count, d]`."""

    @abc.abstractmethod
    def output_gradients(self, generator: Array, latents: Any, weights: Array) -> Array:
        """Gradient of weights `[d]` . G(z_i) by the generator's parameters for every latent, `[count, n_G]`."""

    @abc.abstractmethod
    def latents(self, seed: int, count: int) -> Any:
        """Latents alone."""

    @abc.abstractmethod
    def real_samples(self, draw: Draw) -> Array:
        """The real samples of a draw, flattened to `[count, d]`."""

    @abc.abstractmethod
    def score_slopes(self, point: Point, draw: Draw) -> tuple[Array, Array]:
        """|grad_x D| at the real samples of a draw, `[count]`, and the trace of the Hessian of D by x at its fakes,
        `[count]` (estimated with one random sign vector per sample)."""

    @abc.abstractmethod
    def train(self, request: TrainingRequest) -> Trained:
        """Train from a point by a rule, in the precision of the user's own parameters."""
