"""Whether the state of an optimizer in a checkpoint fits the optimizer that shall take it."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ganscope.core.errors import ParameterError

_NUMBERS = ("lr", "momentum", "dampening", "weight_decay", "eps", "alpha")
_SETTINGS = (*_NUMBERS, "betas", "nesterov", "amsgrad", "centered")
_MOMENTS = ("exp_avg", "exp_avg_sq", "max_exp_avg_sq", "square_avg", "momentum_buffer", "grad_avg")
# Moments that every parameter which has moved has, by a setting that tells the kind of the optimizer.
_NEEDED = {"betas": ("exp_avg", "exp_avg_sq", "step"), "alpha": ("square_avg", "step")}


def check_optimizer_state(name: str, state: Any, optimizer: torch.optim.Optimizer) -> None:
    """Refuse a state that is not one of this optimizer.

    Args:
        name: `optimizer_g` or `optimizer_d`.
        state: What the file holds.
        optimizer: The user's.

    Raises:
        ParameterError: If it is of another kind of optimizer, of other parameters, or holds what is not a number; the
            first misfit is named.
    """
    if not isinstance(state, Mapping):
        raise ParameterError("checkpoint", f"{name}: {type(state).__name__}", "an optimizer's state_dict")
    groups, entries, own = state.get("param_groups"), state.get("state"), optimizer.param_groups
    if not (isinstance(groups, list) and all(map(_is_group, groups)) and isinstance(entries, Mapping)):
        raise ParameterError(
            "checkpoint", f"{name} with the keys {sorted(map(str, state))}", "an optimizer's state_dict"
        )
    sizes, expected = [len(g["params"]) for g in groups], [len(g["params"]) for g in own]
    if sizes != expected:
        raise ParameterError("checkpoint", f"{name} with {sizes} parameters per group", f"{expected}")
    for group in groups:
        _check_settings(name, group, optimizer)
    numbers = [k for g in groups for k in g["params"]]
    unknown = [k for k in entries if k not in numbers]
    if unknown or len(set(numbers)) != len(numbers):
        raise ParameterError("checkpoint", f"{name}: states of {[*entries]}", f"of the parameters {numbers}, each once")
    needed = next((moments for key, moments in _NEEDED.items() if key in optimizer.defaults), ())
    for number, parameter in zip(numbers, (p for g in own for p in g["params"]), strict=True):
        _check_entry(f"{name}: %s of parameter {number}", entries.get(number, {}), parameter, needed)


def whole_number(name: str, value: Any) -> int:
    """A count in a checkpoint, a number or a tensor with one."""
    if isinstance(value, Tensor) and value.numel() == 1 and not value.is_complex():
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ParameterError("checkpoint", f"{name} = {value}", "an integer >= 0")
    if value != int(value) or value < 0:
        raise ParameterError("checkpoint", f"{name} = {value}", "an integer >= 0")
    return int(value)


def _is_group(group: Any) -> bool:
    """Whether this is a dictionary with the numbers of parameters."""
    numbers = group.get("params") if isinstance(group, Mapping) else None
    return isinstance(numbers, list) and all(isinstance(k, int) for k in numbers)


def _check_settings(name: str, group: Mapping[str, Any], optimizer: torch.optim.Optimizer) -> None:
    kind = type(optimizer).__name__
    for key in _SETTINGS:
        if (key in group) != (key in optimizer.defaults):
            told = f"{name} {'with' if key in group else 'without'} {key}"
            raise ParameterError("checkpoint", told, f"a state of {kind}, the optimizer given")
    decoupled = optimizer.defaults.get("decoupled_weight_decay")
    if group.get("decoupled_weight_decay", decoupled) != decoupled:
        raise ParameterError("checkpoint", f"{name} of Adam or AdamW, the other one", f"a state of {kind}")
    for key in _NUMBERS:
        if key in group and not _is_number(group[key]):
            raise ParameterError("checkpoint", f"{name}: {key} = {group[key]!r}", "a finite number >= 0")
    betas = group.get("betas", (0, 0))
    if not (isinstance(betas, tuple | list) and len(betas) == 2 and all(map(_is_number, betas))):
        raise ParameterError("checkpoint", f"{name}: betas = {betas!r}", "two numbers")


def _is_number(value: Any) -> bool:
    if isinstance(value, Tensor) and value.numel() == 1 and not value.is_complex():
        value = value.item()
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value >= 0


def _check_entry(place: str, entry: Any, parameter: Tensor, needed: tuple[str, ...]) -> None:
    """The state of one parameter; `place` takes the name of a moment."""
    if not isinstance(entry, Mapping):
        raise ParameterError("checkpoint", f"{place % 'state'}: {type(entry).__name__}", "a dictionary of tensors")
    for key in needed:
        if entry and key not in entry:
            raise ParameterError("checkpoint", f"no {place % key}", "a state of the kind of optimizer given")
    if "step" in entry:
        whole_number(place % "step", entry["step"])
    for key in _MOMENTS:
        value = entry.get(key)
        if key not in entry or (value is None and key not in needed):
            continue
        if not isinstance(value, Tensor) or not value.is_floating_point() or value.layout != torch.strided:
            told = value.dtype if isinstance(value, Tensor) else type(value).__name__
            raise ParameterError("checkpoint", f"{place % key}: {told}", "a tensor of real numbers")
        if value.shape != parameter.shape:
            told = f"{place % key} of shape {tuple(value.shape)}"
            raise ParameterError("checkpoint", told, f"shape {tuple(parameter.shape)}")
