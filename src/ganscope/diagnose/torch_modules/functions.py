"""The user's own functions of a PyTorch game, and what they must keep to, found out by calling them once."""

import contextlib
import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ganscope.core.errors import ParameterError
from ganscope.diagnose.change import Change


@dataclass(frozen=True)
class UserFunctions:
    """What the user hands over; modules are private copies whenever one of these is called.

    Attributes:
        losses: (generator, discriminator, batch, latents, key) -> (L_G, L_D).
        penalty: Unit penalty, called alike, one scalar; "r1"; or None.
        other_penalty: A penalty of another kind that L_D contains, called alike, or None.
        generate: (generator, latents) -> samples; None calls the module, and takes the first of several outputs.
        score: (discriminator, samples) or (discriminator, samples, source) -> scores, where source is the batch that
            real samples came from, or the latents of generated ones (for labels); None calls the module.
        real: batch -> real samples; None takes the batch itself, or its first entry.
    """

    losses: Callable[..., Any]
    penalty: Callable[..., Any] | str | None = "r1"
    other_penalty: Callable[..., Any] | None = None
    generate: Callable[..., Any] | None = None
    score: Callable[..., Any] | None = None
    real: Callable[[Any], Any] | None = None

    def __post_init__(self) -> None:
        if not callable(self.losses):
            raise ParameterError("losses", self.losses, "a function (generator, discriminator, batch, latents, key)")
        if self.penalty is not None and self.penalty != "r1" and not callable(self.penalty):
            raise ParameterError("penalty", self.penalty, '"r1", None, or a function called like losses')
        for name in ("other_penalty", "generate", "score", "real"):
            if getattr(self, name) is not None and not callable(getattr(self, name)):
                raise ParameterError(name, getattr(self, name), "a function, or None")

    def real_samples(self, batch: Any) -> Tensor:
        """The real samples of a batch."""
        if self.real is not None:
            found = self.real(batch)
        else:
            found = batch[0] if isinstance(batch, tuple | list) and batch else batch
        if not isinstance(found, Tensor) or found.ndim < 1:
            raise ParameterError("real", type(found).__name__, "a tensor of samples: give real=(batch -> samples)")
        return found

    def samples(self, generator: nn.Module, latents: Any) -> Tensor:
        """Generated samples."""
        if self.generate is not None:
            made = self.generate(generator, latents)
        else:
            made = generator(*latents) if isinstance(latents, tuple | list) else generator(latents)
            made = made[0] if isinstance(made, tuple | list) else made
        if not isinstance(made, Tensor) or made.ndim < 1:
            raise ParameterError("generate", type(made).__name__, "a function that returns a tensor of samples")
        return made

    def scores(self, discriminator: nn.Module, samples: Tensor, source: Any) -> Tensor:
        """One score per sample, several summed."""
        if self.score is None:
            found = discriminator(samples)
            found = found[0] if isinstance(found, tuple | list) else found
        else:
            found = self.score(discriminator, samples, *([source] if _positional(self.score) >= 3 else []))
        if not isinstance(found, Tensor) or found.ndim < 1 or len(found) != len(samples):
            raise ParameterError("score", type(found).__name__, "a function that returns a tensor, one row per sample")
        return found.reshape(len(samples), -1).sum(1)

    def unit_penalty(
        self, generator: nn.Module, discriminator: nn.Module, batch: Any, latents: Any, key: torch.Generator
    ) -> Tensor:
        """The penalty that gamma multiplies; R1 is half the mean squared gradient of the score at real samples."""
        if callable(self.penalty):
            found = self.penalty(generator, discriminator, batch, latents, key)
            return scalar("penalty", found)
        samples = self.real_samples(batch).detach()
        samples = samples.clone() if samples.is_floating_point() else samples.to(torch.get_default_dtype())
        samples.requires_grad_()
        total = self.scores(discriminator, samples, batch).sum()
        slopes = torch.autograd.grad(total, samples, create_graph=True, materialize_grads=True)[0]
        return 0.5 * slopes.reshape(len(samples), -1).square().sum(1).mean()

    def both_losses(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        batch: Any,
        latents: Any,
        key: Callable[[], torch.Generator],
        change: Change,
    ) -> tuple[Tensor, Tensor]:
        """L_G and the changed L_D; `key` makes equal keys for every function."""
        generator_loss, discriminator_loss = pair_of_losses(
            self.losses(generator, discriminator, batch, latents, key())
        )
        if change.added:
            penalty = self.unit_penalty(generator, discriminator, batch, latents, key())
            discriminator_loss = discriminator_loss + change.added * penalty
        if change.removed and self.other_penalty is not None:
            penalty = scalar("other_penalty", self.other_penalty(generator, discriminator, batch, latents, key()))
            discriminator_loss = discriminator_loss - change.removed * penalty
        return generator_loss, discriminator_loss


def scalar(name: str, value: Any) -> Tensor:
    """A real scalar tensor without axes."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return torch.tensor(float(value))
    if not isinstance(value, Tensor):
        raise ParameterError(name, type(value).__name__, "a scalar tensor")
    if value.numel() != 1 or value.is_complex():
        raise ParameterError(
            name, f"shape {tuple(value.shape)}, {value.dtype}", "a real scalar: average over the batch"
        )
    return value.reshape(())


def pair_of_losses(found: Any) -> tuple[Tensor, Tensor]:
    """Both losses, checked."""
    if not isinstance(found, tuple | list) or len(found) != 2:
        told = f"{type(found).__name__} of {len(found)}" if isinstance(found, tuple | list) else type(found).__name__
        raise ParameterError("losses", told, "two scalars (generator loss, discriminator loss), in this order")
    return scalar("generator loss", found[0]), scalar("discriminator loss", found[1])


@contextlib.contextmanager
def memory_errors() -> Iterator[None]:
    """Torch's own errors for a full memory, as Python's."""
    try:
        yield
    except RuntimeError as error:
        if isinstance(error, torch.OutOfMemoryError) or "not enough memory" in str(error):
            raise MemoryError(str(error)) from error
        raise


def _positional(function: Callable[..., Any]) -> int:
    """How many positional arguments a function takes; many for *arguments."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return 2
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return 99
    return sum(p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in parameters)
