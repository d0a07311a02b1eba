"""A real game whose networks are PyTorch modules."""

import contextlib
import copy
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from ganscope.core.errors import NotApplicable, ParameterError
from ganscope.core.game import Players
from ganscope.diagnose.backend import Backend, Draw, Linearised, Point
from ganscope.diagnose.change import UNCHANGED, Change
from ganscope.diagnose.torch_modules.copies import (
    Networks,
    copied,
    moving_names,
    numpy_of,
    own_settings,
    working,
)
from ganscope.diagnose.torch_modules.data import Source
from ganscope.diagnose.torch_modules.draws import Draws
from ganscope.diagnose.torch_modules.functions import UserFunctions, memory_errors
from ganscope.diagnose.torch_modules.linearised import TorchLinearised
from ganscope.diagnose.torch_modules.normalisations import PlainNormalisations
from ganscope.diagnose.torch_modules.optimizers import Extras
from ganscope.diagnose.torch_modules.products import Block, Products, gradient, recording
from ganscope.diagnose.torch_modules.trials import learn_abilities, settle_precision, try_batch
from ganscope.diagnose.training import Trained, TrainingRequest

Array = npt.NDArray[np.float64]


class TorchBackend(Backend):
    """Networks, losses and data of a PyTorch game.

    The user's modules are copied and never called. Copies keep the modes (train, eval) of their parts; their buffers
    are the same before every evaluation, and singular vectors of spectral norms stay as they are.

    Args:
        generator, discriminator: The user's modules, at the checkpoint.
        functions: The user's functions.
        data, latents: (key, n) -> batch, (key, n) -> latents.
        moved: Ids of the parameters that the optimizers hold; None: all that require gradients.
        extras: What the players' optimizers do beyond the rule, for training runs.

    Attributes:
        functions: The user's functions.
        modules: The user's own modules.
        networks: The private copies.
        dtype: Working precision, float64 unless a layer refuses it.
        training_dtype: Of the user's own parameters.
        refusal: What a layer said that refused float64, else an empty text.
        missing: Why `generate`, `score` or `penalty` cannot be called where it is not given, with what to give.
        saved: (a, b): the losses of n samples save a + b n bytes for their gradients.

    Raises:
        ParameterError: If a function cannot be called as stated, its results are not what is stated, it writes into
            its arguments, or the losses do not depend on the modules that they are called with.
    """

    name = "torch"

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        functions: UserFunctions,
        data: Source,
        latents: Source,
        moved: set[int] | None = None,
        extras: Players | None = None,
    ) -> None:
        self.modules, self.functions = Players(generator, discriminator), functions
        self.extras = extras or Players(Extras(), Extras())
        self._sources = data, latents
        names = moving_names(self.modules, moved)
        for who, own in zip(("generator", "discriminator"), names, strict=True):
            if not own:
                raise ParameterError(who, "no parameter that training moves", "at least one that requires gradients")
        self.names = names
        self.training_dtype = _common_dtype([*generator.parameters(), *discriminator.parameters()])
        self.missing: dict[str, str] = {}
        self.saved = (0.0, 0.0)
        self.adopt(torch.float64)
        self.refusal = settle_precision(self)
        self.point = self.networks.point()
        learn_abilities(self)

    def adopt(self, dtype: torch.dtype, modules: Players | None = None) -> None:
        """Take new private copies, of the user's modules or others like them, in another precision."""
        self.networks = Networks(copied(*(modules or self.modules)), self.names, dtype)
        self.dtype, self.device, self.sizes = dtype, self.networks.device, self.networks.sizes
        self._draws = Draws(*self._sources, dtype, self.device)

    @property
    def precision(self) -> np.dtype[Any]:
        """The working precision, as NumPy calls it."""
        return np.dtype(np.float64 if self.dtype == torch.float64 else np.float32)

    def at(self, point: Point) -> "TorchBackend":
        """The same game at another checkpoint."""
        other = copy.copy(self)
        other.point = Players(*(np.array(part, np.float64) for part in point))
        return other

    @recording()
    def in_precision(self, dtype: Any) -> "TorchBackend":
        """The same game, measured in float64 or float32; in float32 alone where a layer refuses float64."""
        wanted = torch.float32 if np.dtype(dtype) == np.float32 or self.refusal else torch.float64
        if wanted == self.dtype:
            return self
        other, pair = copy.copy(self), self.networks.pair
        other.adopt(wanted, Players(pair.generator, pair.discriminator))
        return other

    # Draws -------------------------------------------------------------------------------------------------------

    def draw(self, seed: int, count: int) -> Draw:
        """A minibatch."""
        return self._draws.one(seed, count)

    def draws(self, seed: int, count: int, number: int) -> Sequence[Draw]:
        """Independent minibatches."""
        return self._draws.several(seed, count, number)

    def latents(self, seed: int, count: int) -> Any:
        """Latents alone."""
        return self._draws.latents(seed, count)

    def key(self, seed: int) -> torch.Generator:
        """The key of that seed."""
        return self._draws.key(seed)

    def try_out(self, count: int) -> None:
        """Call the losses once for a batch of that size; a `ParameterError` tells the size and what failed."""
        try_batch(self, count)

    # Losses and velocities -----------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def evaluation(self, seed: int) -> Iterator[None]:
        """The settings under which the user's functions are called."""
        with own_settings(self.dtype, self.device, seed), PlainNormalisations(), memory_errors():
            yield

    def loss_tensors(
        self, theta: Tensor, phi: Tensor, draw: Draw, change: Change, global_seed: int | None = None
    ) -> tuple[Tensor, Tensor]:
        """Both losses with their graphs; `global_seed` seeds the random streams that the losses should not use."""
        batch, latents, seed = self._inputs(draw)
        with (
            self.evaluation(seed if global_seed is None else global_seed),
            self.networks.instance_noise(change.instance_noise, seed),
        ):
            found: tuple[Tensor, Tensor] = self.networks.run(
                theta, phi, self.functions.both_losses, batch, latents, lambda: self.key(seed), change
            )
            return found

    def _inputs(self, draw: Draw) -> tuple[Any, Any, int]:
        """Batch and latents in the working precision, and the seed of their key, which may be a key itself."""
        batch, latents = (working(part, self.dtype, self.device) for part in (draw.batch, draw.latents))
        return batch, latents, draw.key.initial_seed() if isinstance(draw.key, torch.Generator) else int(draw.key)

    def penalty_tensor(self, theta: Tensor, phi: Tensor, draw: Draw, change: Change = UNCHANGED) -> Tensor:
        """The unit penalty with its graph."""
        if not self.penalty_known:
            raise ParameterError("penalty", None, "a unit penalty, or score= so that R1 can be taken")
        batch, latents, seed = self._inputs(draw)
        with self.evaluation(seed), self.networks.instance_noise(change.instance_noise, seed):
            penalty: Tensor = self.networks.run(theta, phi, self.functions.unit_penalty, batch, latents, self.key(seed))
            return penalty

    def leaves(self, point: Point) -> tuple[Tensor, Tensor]:
        """Both players' parameters as leaves of a new graph."""
        theta, phi = (self.networks.vector(part, leaf=True) for part in point)
        return theta, phi

    def losses(self, point: Point, draw: Draw, change: Change = UNCHANGED) -> Players:
        """Both losses as floats."""
        found = self.loss_tensors(*self.leaves(point), draw, change)
        return Players(*(float(loss.detach()) for loss in found))

    def velocity(self, point: Point, draw: Draw, change: Change = UNCHANGED) -> Players:
        """The velocity."""
        theta, phi = self.leaves(point)
        generator_loss, discriminator_loss = self.loss_tensors(theta, phi, draw, change)
        with memory_errors():
            slopes = (gradient(generator_loss, theta, keep=True), gradient(discriminator_loss, phi))
        return Players(*(-numpy_of(slope) for slope in slopes))

    def velocities(self, point: Point, draws: Sequence[Draw], change: Change = UNCHANGED) -> Array:
        """The velocity for several minibatches."""
        return np.stack([np.concatenate(self.velocity(point, draw, change)) for draw in draws])

    @recording()
    def linearise(self, point: Point, draw: Draw, change: Change = UNCHANGED) -> Linearised:
        """The derivative of the velocity."""
        return TorchLinearised(self, point, draw, change)

    def block(self, count: int, row_size: int) -> Block:
        """How rows of directions go through a graph for a minibatch of `count` samples."""
        return Block(self.saved[0] + self.saved[1] * count, row_size * self.dtype.itemsize)

    # Outputs -------------------------------------------------------------------------------------------------------

    def _samples(self, theta: Tensor, latents: Any) -> Tensor:
        if not self.samples_known:
            raise NotApplicable("the generator cannot be called on its own: give generate=(generator, latents)")
        with self.evaluation(0):
            phi = self.networks.vector(self.point.discriminator)
            made: Tensor = self.networks.run(theta, phi, lambda g, d: self.functions.samples(g, latents))
            return made.reshape(len(made), -1)

    def outputs(self, generator: Array, latents: Any) -> Array:
        """Generated samples."""
        with torch.no_grad():
            latents = working(latents, self.dtype, self.device)
        return numpy_of(self._samples(self.networks.vector(generator), latents))

    @recording()
    def output_products(self, generator: Array, latents: Any, directions: Array) -> Array:
        """Derivative of the outputs along rows."""
        theta = self.networks.vector(generator, leaf=True)
        made = self._samples(theta, working(latents, self.dtype, self.device))
        products = Products([made], [theta], self.block(len(made), self.sizes.generator))
        return numpy_of(products.products([self.networks.vector(directions)])[0])

    @recording()
    def output_gradients(self, generator: Array, latents: Any, weights: Array) -> Array:
        """Gradients of single outputs."""
        theta = self.networks.vector(generator, leaf=True)
        made = self._samples(theta, working(latents, self.dtype, self.device))
        rows = torch.diag_embed(made.new_ones(len(made)))[:, :, None] * self.networks.vector(weights)
        products = Products([made], [theta], self.block(len(made), self.sizes.generator))
        return numpy_of(products.adjoints([rows])[0])

    def real_samples(self, draw: Draw) -> Array:
        """The real samples of a draw."""
        real = self.functions.real_samples(draw.batch)
        return numpy_of(real).reshape(len(real), -1)

    def score_slopes(self, point: Point, draw: Draw) -> tuple[Array, Array]:
        """Slopes of the score at real samples, traces of its Hessian at fakes."""
        if not self.scores_known:
            raise NotApplicable("the discriminator cannot be called on its own: give score=(discriminator, samples)")
        theta, phi = (self.networks.vector(part) for part in point)
        batch, latents, seed = self._inputs(draw)
        with self.evaluation(seed):
            real = self.functions.real_samples(batch).detach().to(self.dtype).clone().requires_grad_()
            made = self.networks.run(theta, phi, lambda g, d: self.functions.samples(g, latents))
            fake = made.detach().clone().requires_grad_()
            scores = self.networks.run(theta, phi, lambda g, d: self.functions.scores(d, real, batch))
            slopes = gradient(scores.sum(), real)
            scores = self.networks.run(theta, phi, lambda g, d: self.functions.scores(d, fake, latents))
            signs = torch.randint(2, fake.shape, generator=self.key(0), device=self.device).to(self.dtype) * 2 - 1
            along = gradient((gradient(scores.sum(), fake, create_graph=True) * signs).sum(), fake)
        size = slopes.reshape(len(slopes), -1).norm(dim=1)
        return numpy_of(size), numpy_of((along * signs).reshape(len(fake), -1).sum(1))

    def train(self, request: TrainingRequest) -> Trained:
        """Train by a rule."""
        from ganscope.diagnose.torch_modules.training import train  # it needs this module's draws

        return train(self, request)


def _common_dtype(parameters: Sequence[Tensor]) -> torch.dtype:
    """One precision for training: the parameters' own, the widest if they differ."""
    widest = torch.float16 if all(p.dtype == torch.float16 for p in parameters) else parameters[0].dtype
    for parameter in parameters:
        if parameter.is_complex():
            raise ParameterError("generator", "complex parameters", "real parameters")
        widest = torch.promote_types(widest, parameter.dtype)
    return widest
