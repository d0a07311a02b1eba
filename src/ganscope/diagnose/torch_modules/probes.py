"""Traps of PyTorch modules and losses that a diagnosis can fall into, each looked for before it starts."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

from ganscope.diagnose.backend import Draw
from ganscope.diagnose.change import UNCHANGED
from ganscope.diagnose.rule import YOUNG_STEPS, UpdateRule
from ganscope.diagnose.torch_modules.backend import TorchBackend
from ganscope.diagnose.torch_modules.copies import PLAYERS, Networks, copied, spectral_norms
from ganscope.diagnose.torch_modules.derivatives import wrong_derivatives
from ganscope.diagnose.torch_modules.products import recording

# Minibatches of the probes; their seed is their own.
_COUNT = 32
_SEED = 0x70726F62


class Found(NamedTuple):
    """One probe: `status` is ok, warning, error or skipped."""

    id: str
    trap: str
    status: str
    message: str


def torch_probes(backend: TorchBackend, rule: UpdateRule | None = None) -> list[Found]:
    """Look for every trap that is PyTorch's own.

    Args:
        backend: Networks, losses and data.
        rule: The update rule, for the age of second moments.

    Returns:
        Probes T2 to T8 and T11, in this order.
    """
    with recording():
        draw = backend.draw(_SEED, _COUNT)
        moved = _moved_buffers(backend, draw)
        return [
            _randomness(backend, draw),
            _batch_coupling(backend, moved),
            _spectral_norm(backend, moved),
            _frozen(backend),
            _shared(backend),
            _precision(backend, draw),
            _derivatives(backend, draw),
            _young_moments(rule),
        ]


def _randomness(backend: TorchBackend, draw: Draw) -> Found:
    trap = "non-deterministic losses"
    leaves = backend.leaves(backend.point)
    told = []
    for seed in (1, 2, 2):
        pair = backend.loss_tensors(*leaves, draw, UNCHANGED, global_seed=seed)
        told.append([float(loss.detach()) for loss in pair])
    same = [np.array_equal(told[0], other, equal_nan=True) for other in told[1:]]
    if all(same):
        return Found("T2", trap, "ok", "equal keys give equal losses, bit for bit")
    drops = _named(backend, lambda m: isinstance(m, _DropoutNd | nn.AlphaDropout) and m.training and m.p > 0)
    hint = (
        f"dropout is active in {_listed(drops)}: put these parts in eval mode"
        if drops
        else ("draw noise from `key` (torch.randn(..., generator=key)), or use eval mode")
    )
    players = [who for k, who in enumerate(PLAYERS) if len({row[k] for row in told}) > 1]
    return Found("T2", trap, "error", f"the {_listed(players)} loss differs between calls with equal keys: {hint}")


def _moved_buffers(backend: TorchBackend, draw: Draw) -> list[str]:
    """Buffers that evaluating the losses moves, in copies that are free to."""
    networks = Networks(copied(*backend.modules), backend.names, backend.dtype, frozen_norms=False)
    before = {name: buffer.clone() for name, buffer in networks.buffers.items()}
    key = backend.key
    with backend.evaluation(draw.key):
        networks.pair(backend.functions.losses, draw.batch, draw.latents, key(draw.key))
    after = dict(networks.pair.named_buffers())
    return [n for n, old in before.items() if n not in after or not torch.equal(after[n], old)]


def _batch_coupling(backend: TorchBackend, moved: list[str]) -> Found:
    trap = "batch-coupled"
    coupled = _named(backend, lambda m: isinstance(m, _BatchNorm) and (m.training or m.running_mean is None))
    norms = [f"{who}.{n}" for who, n, _ in _spectral_parts(backend)]
    others = [n for n in moved if not any(n.startswith(part) for part in [*coupled, *norms])]
    kept = f"; buffers that the losses move ({_listed(others)}) are put back before every evaluation" if others else ""
    if not coupled:
        return Found("T3", trap, "ok", "no BatchNorm in train mode" + kept)
    return Found(
        "T3",
        trap,
        "warning",
        f"batch-coupled: BatchNorm in train mode in {_listed(coupled)} couples the samples of a batch, so results hold "
        "for this batch size; running statistics are put back before every evaluation" + kept,
    )


def _spectral_parts(backend: TorchBackend) -> list[tuple[str, str, nn.Module]]:
    """Parts with a spectral norm of their own, not of a part within."""
    return [
        (who, name, part)
        for who, module in zip(PLAYERS, backend.modules, strict=True)
        for name, part in module.named_modules()
        if spectral_norms(part) and not any(spectral_norms(child) for child in part.children())
    ]


def _spectral_norm(backend: TorchBackend, moved: list[str]) -> Found:
    trap = "spectral norm moves its singular vectors"
    parts = _spectral_parts(backend)
    if not parts:
        return Found("T4", trap, "ok", "no spectral norm")
    names = [f"{who}.{name}".removesuffix(".parametrizations.weight.0") for who, name, _ in parts]
    moving = [n for n in moved if any(n.startswith(name) for name in names)]
    if not moving:
        return Found("T4", trap, "ok", f"spectral norm in {_listed(names)} is in eval mode: nothing moves")
    return Found(
        "T4",
        trap,
        "warning",
        f"spectral norm in {_listed(names)} moves its singular vectors at every call: they are frozen here, and the "
        "singular value stays a function of the weights",
    )


def _frozen(backend: TorchBackend) -> Found:
    trap = "frozen parameters"
    names = [
        f"{who}.{n}"
        for who, module, own in zip(PLAYERS, backend.modules, backend.names, strict=True)
        for n, _ in module.named_parameters()
        if n not in own
    ]
    if not names:
        return Found("T5", trap, "ok", "all parameters move")
    return Found("T5", trap, "warning", f"excluded, since training does not move them: {_listed(names, 20)}")


def _shared(backend: TorchBackend) -> Found:
    trap = "shared parameters"
    owners: list[dict[int, str]] = []
    twice = 0
    for module in backend.modules:
        tensors = dict(module.named_parameters(remove_duplicate=False))
        owners.append({p.untyped_storage().data_ptr(): name for name, p in tensors.items() if p.requires_grad})
        twice += len(tensors) - len(dict(module.named_parameters()))
    both = sorted(set(owners[0]) & set(owners[1]) - {0})
    if both:
        names = [f"generator.{owners[0][place]} = discriminator.{owners[1][place]}" for place in both]
        return Found("T6", trap, "error", f"shared parameters: not a two-player game ({_listed(names)})")
    once = f"; {twice} tied parameter(s) within a player are counted once" if twice else ""
    return Found("T6", trap, "ok", "the players share no parameters" + once)


def _precision(backend: TorchBackend, draw: Draw) -> Found:
    trap = "half precision"
    if backend.refusal:
        told = f"a layer refuses float64 ({backend.refusal}): measured in float32, margin below 1e-4 not resolvable"
        return Found("T7", trap, "warning", told)
    if backend.dtype != torch.float64:
        return Found("T7", trap, "warning", "measured in float32: margin below 1e-4 not resolvable")
    losses = backend.loss_tensors(*backend.leaves(backend.point), draw, UNCHANGED)
    narrow = [
        f"{who} loss ({loss.dtype})" for who, loss in zip(PLAYERS, losses, strict=True) if loss.dtype != torch.float64
    ]
    if narrow:
        told = f"{_listed(narrow)}: a conversion inside the losses costs precision, margin below 1e-4 not resolvable"
        return Found("T7", trap, "warning", told)
    half = {p.dtype for m in backend.modules for p in m.parameters()} & {torch.float16, torch.bfloat16}
    return Found(
        "T7", trap, "ok", "measured on float64 copies, without autocast" + (" of half precision" if half else "")
    )


def _derivatives(backend: TorchBackend, draw: Draw) -> Found:
    """Whether derivatives are what they seem."""
    trap = "second derivatives"
    wrong = wrong_derivatives(backend, draw, np.random.default_rng(_SEED))
    if wrong is None:
        return Found("T8", trap, "skipped", "parameters or losses are not finite")
    if wrong.message:
        return Found("T8", trap, "error" if wrong.certain else "warning", wrong.message)
    return Found("T8", trap, "ok", "first and second derivatives agree with finite differences")


def _young_moments(rule: UpdateRule | None) -> Found:
    trap = "young second moments"
    if rule is None:
        return Found("T11", trap, "skipped", "no update rule was given")
    young = []
    for who, player in zip(PLAYERS, (rule.generator, rule.discriminator), strict=True):
        missing = player.second_moment is None
        if player.adaptive and (missing or (player.step is not None and player.step < YOUNG_STEPS)):
            young.append(f"{who} ({'none' if missing else f'{player.step} steps'})")
    if not young:
        return Found("T11", trap, "ok", "second moments are old enough, or not used")
    told = f"second moments of {_listed(young)} are missing or young: they are estimated from minibatches"
    return Found("T11", trap, "warning", told)


def _named(backend: TorchBackend, wanted: Callable[[Any], bool]) -> list[str]:
    return [
        f"{who}.{name}" if name else who
        for who, module in zip(PLAYERS, backend.modules, strict=True)
        for name, part in module.named_modules()
        if wanted(part)
    ]


def _listed(names: list[str], most: int = 6) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
