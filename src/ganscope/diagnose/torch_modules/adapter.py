"""From a user's PyTorch training script to the parts of a real game: networks, update rule and what else is known."""

from collections.abc import Callable
from typing import Any

import numpy as np
from torch import nn

from ganscope.core.checks import integer
from ganscope.core.errors import ParameterError
from ganscope.core.game import Players
from ganscope.diagnose.rule import UpdateRule
from ganscope.diagnose.torch_modules.backend import TorchBackend
from ganscope.diagnose.torch_modules.checkpoint import load_checkpoint, loaded
from ganscope.diagnose.torch_modules.copies import PLAYERS, moving_names, unwrapped
from ganscope.diagnose.torch_modules.data import data_source, default_batch_size, latent_source
from ganscope.diagnose.torch_modules.functions import UserFunctions
from ganscope.diagnose.torch_modules.kept import kept
from ganscope.diagnose.torch_modules.optimizers import (
    check_optimizer,
    held_parameters,
    read_optimizer,
    stateless_parameters,
)
from ganscope.diagnose.torch_modules.products import recording

__all__ = ["load_checkpoint", "loaded", "torch_parts"]

_OPTIMIZERS = ("optimizer_g", "optimizer_d")
# Samples with which parameters without any gradient are looked for.
_COUNT = 16


def torch_parts(
    generator: nn.Module,
    discriminator: nn.Module,
    losses: Callable[..., Any],
    data: Any,
    latents: Any,
    optimizer_g: Any,
    optimizer_d: Any,
    *,
    discriminator_steps: int = 1,
    order: str = "alternating",
    penalty: Callable[..., Any] | str | None = "r1",
    other_penalty: Callable[..., Any] | None = None,
    generate: Callable[..., Any] | None = None,
    score: Callable[..., Any] | None = None,
    real: Callable[[Any], Any] | None = None,
    train_batch_size: int | None = None,
) -> tuple[TorchBackend, UpdateRule, dict[str, Any]]:
    """Networks, update rule and facts of a PyTorch game. Nothing of the user's is changed.

    Args:
        generator, discriminator: The modules, at the checkpoint, in the modes in which they train. A wrapper for
            compilation or data parallelism is taken off.
        losses: (generator, discriminator, batch, latents, key) -> (L_G, L_D), two scalars, both minimised. It is
            called with float64 copies of the modules, and must use these, keep the graph of the generated samples (no
            `detach`), draw any noise from `key` (a `torch.Generator`), and update nothing. The penalty in use is part
            of L_D.
        data: (key, n) -> batch; or a tensor or array of samples, a tuple of such with labels, a map-style Dataset or a
            DataLoader of one.
        latents: (key, n) -> latents, or the number of axes of standard normal ones.
        optimizer_g, optimizer_d: torch.optim's SGD, Adam, AdamW or RMSprop that train the modules, or a `Player`.
            Learning rates may differ between groups of parameters.
        discriminator_steps, order: As in `UpdateRule`.
        penalty: The unit penalty: "r1", half the mean squared gradient of the score at the real samples of a batch; a
            function called like `losses`; or None.
        other_penalty: A penalty of another kind inside L_D, weight included, called like `losses`; advice replaces it.
        generate: (generator, latents) -> samples. None: the module called with the latents (a tuple of them as
            separate arguments), first of several outputs.
        score: (discriminator, samples) or (discriminator, samples, source) -> scores, where source is the batch of real
            samples and the latents of generated ones, for labels. None: the module, first of several outputs.
        real: batch -> real samples. None: the batch, or its first entry.
        train_batch_size: Samples per minibatch of training; None takes a DataLoader's.

    Returns:
        The backend; the rule, with learning rates and moments from the optimizers; and facts: `train_batch_size` (or
        None), `frozen` (names of parameters that training does not move), `missing` (what cannot be looked at, why, and
        what to give), `notes` (sentences).

    Raises:
        ParameterError: If something is not of its stated kind, optimizers do not hold the parameters of their modules
            or are of an unknown kind, or a function does not run or keep to what is stated.
    """
    modules = Players(unwrapped("generator", generator), unwrapped("discriminator", discriminator))
    functions = UserFunctions(losses, penalty, other_penalty, generate, score, real)
    if train_batch_size is None:
        train_batch_size = default_batch_size(data)
    if train_batch_size is not None:
        train_batch_size = integer("train_batch_size", train_batch_size, at_least=1)
    sources = data_source(data), latent_source(latents)
    optimizers = Players(optimizer_g, optimizer_d)
    for name, optimizer, own, other in zip(_OPTIMIZERS, optimizers, modules, modules[::-1], strict=True):
        check_optimizer(name, optimizer, own, other)
    # numbers of the rule are checked before the networks are called for the first time
    UpdateRule(order, discriminator_steps)

    def parts(moved: set[int]) -> tuple[TorchBackend, UpdateRule, list[str]]:
        names = moving_names(modules, moved)
        read = [
            read_optimizer(name, optimizer, module, own)
            for name, optimizer, module, own in zip(_OPTIMIZERS, optimizers, modules, names, strict=True)
            if own or _nothing_moves(name)
        ]
        rule = UpdateRule(order, discriminator_steps, read[0][0], read[1][0])
        backend = TorchBackend(*modules, functions, *sources, moved, Players(read[0][1], read[1][1]))
        return backend, rule, [note for _, _, notes in read for note in notes]

    # torch's inference mode would make copies that cannot be differentiated
    with recording(), kept(modules, optimizers):
        moved = _moved(optimizers, modules)
        backend, rule, notes = parts(moved)
        idle = _idle(backend, optimizers)
        if idle:
            backend, rule, notes = parts(moved - idle)
        if train_batch_size is not None:
            backend.try_out(train_batch_size)
    frozen = [
        f"{who}.{n}"
        for who, module, own in zip(PLAYERS, modules, backend.names, strict=True)
        for n, _ in module.named_parameters()
        if n not in own
    ]
    facts = {"train_batch_size": train_batch_size, "frozen": frozen, "missing": backend.missing, "notes": notes}
    return backend, rule, facts


def _idle(backend: TorchBackend, optimizers: Players) -> set[int]:
    """Ids of parameters that optimizers have passed over so far, and that get no gradient here either: unused layers.

    PyTorch leaves a parameter without gradient where it is, weight decay included.
    """
    stateless = set().union(*(stateless_parameters(optimizer) for optimizer in optimizers))
    if not stateless:
        return stateless
    draw = backend.draw(0, _COUNT)
    idle: set[int] = set()
    networks = backend.networks
    velocity = backend.velocity(backend.point, draw)
    for k, module in enumerate(backend.modules):
        tensors = dict(module.named_parameters())
        slopes = np.split(velocity[k], np.cumsum(networks.lengths[k])[:-1])
        found = {id(tensors[name]) for name, slope in zip(backend.names[k], slopes, strict=True) if not np.any(slope)}
        idle |= found & stateless
    return idle


def _moved(optimizers: Players, modules: Players) -> set[int]:
    """Ids of the parameters that training moves."""
    moved: set[int] = set()
    for optimizer, module in zip(optimizers, modules, strict=True):
        held = held_parameters(optimizer)
        moved |= {id(p) for p in module.parameters()} if held is None else held
    return moved


def _nothing_moves(name: str) -> bool:
    expected = "an optimizer of parameters that train: call requires_grad_(True) where a step has switched it off"
    raise ParameterError(name, "holds no parameter that requires gradients", expected)
