"""Checkpoints of PyTorch games: files of tensors, from which nothing is run that a file could bring along."""

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ganscope.core.errors import ParameterError

_MODULES = {
    "generator": ("generator", "netg", "g", "gen", "modelg", "gmodel", "netgenerator"),
    "discriminator": ("discriminator", "netd", "d", "dis", "disc", "modeld", "dmodel", "critic", "netdiscriminator"),
}
_OPTIMIZERS = {
    "optimizer_g": (
        "optimizerg",
        "optimg",
        "optg",
        "goptimizer",
        "goptim",
        "gopt",
        "optimizergenerator",
        "generatoroptimizer",
    ),
    "optimizer_d": (
        "optimizerd",
        "optimd",
        "optd",
        "doptimizer",
        "doptim",
        "dopt",
        "optimizerdiscriminator",
        "discriminatoroptimizer",
    ),
}
_LAYOUT = (
    'a dictionary {"generator": state_dict, "discriminator": state_dict, "optimizer_g": state_dict, '
    '"optimizer_d": state_dict} (or netG/netD, G/D, optimizerG/optimizerD)'
)
_WRAPPERS = ("module.", "_orig_mod.")


def load_checkpoint(
    path: str | Path, generator: nn.Module, discriminator: nn.Module, optimizer_g: Any = None, optimizer_d: Any = None
) -> dict[str, Any]:
    """Load a checkpoint into the user's modules and optimizers; all of it or nothing.

    The file is read with `torch.load(weights_only=True)`: tensors, numbers, texts and containers of them. It holds a
    dictionary with the state dictionaries of both modules, under `generator` and `discriminator` (or netG and netD, G
    and D, with or without `_state_dict`), and if it has them, of the optimizers, under `optimizer_g` and `optimizer_d`
    (or optimizerG and optimizerD, optG and optD). Names may carry the prefix of a wrapper (`module.`, `_orig_mod.`).

    Args:
        path: The file.
        generator, discriminator: Modules with the file's structure, changed in place.
        optimizer_g, optimizer_d: Their optimizers, or None to leave the states out.

    Returns:
        `iteration` (the file's `iteration`, `step` or `global_step`, or None) and `loaded`, the names of what was
        found.

    Raises:
        ParameterError: If the file is missing, is no file of tensors, has another layout, or does not fit; the first
            misfit is named, and nothing is loaded.
    """
    content = _tensors(path)
    if not isinstance(content, Mapping):
        raise ParameterError("checkpoint", f"{path}: {type(content).__name__}", _LAYOUT)
    parts = {_plain(key): value for key, value in content.items() if isinstance(key, str)}
    states: dict[str, dict[str, Any]] = {}
    for name, module in (("generator", generator), ("discriminator", discriminator)):
        state = _first(parts, _MODULES[name])
        if not isinstance(state, Mapping):
            known = ", ".join(sorted(map(str, content))[:12])
            raise ParameterError("checkpoint", f"{path} with the keys {known}", f"{_LAYOUT}; it has no {name}")
        states[name] = _fitting(name, state, module)
    found = dict.fromkeys(states)
    pending = []
    for name, optimizer in (("optimizer_g", optimizer_g), ("optimizer_d", optimizer_d)):
        state = _first(parts, _OPTIMIZERS[name])
        if optimizer is not None and isinstance(state, Mapping):
            _check_optimizer_state(name, state, optimizer)
            pending.append((optimizer, state))
            found[name] = None
    generator.load_state_dict(states["generator"])
    discriminator.load_state_dict(states["discriminator"])
    for optimizer, state in pending:
        optimizer.load_state_dict(dict(state))
    number = _first(parts, ("iteration", "step", "globalstep", "iterations"))
    return {"iteration": int(number) if isinstance(number, int | float | Tensor) else None, "loaded": list(found)}


def _tensors(path: str | Path) -> Any:
    expected = "a file of tensors, written by torch.save({'generator': generator.state_dict(), ...})"
    if not Path(path).is_file():
        raise ParameterError("checkpoint", str(path), "an existing file")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        told = str(error).splitlines()[0]
        raise ParameterError(
            "checkpoint",
            f"{path}: {told}",
            f"{expected}; other Python objects are not loaded, since they could run code",
        ) from None
    except (RuntimeError, EOFError, ValueError, KeyError, OSError, TypeError, AttributeError) as error:
        raise ParameterError("checkpoint", f"{path}: {error}", expected) from None


def _plain(key: str) -> str:
    """A key without case, separators and the words that say what it holds."""
    plain = key.lower().replace("_", "").replace("-", "").replace(".", "")
    for word in ("statedict", "state"):
        if plain != word and plain.endswith(word):
            plain = plain.removesuffix(word)
    return plain


def _first(parts: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    return next((parts[name] for name in names if name in parts), None)


def _fitting(name: str, state: Mapping[Any, Any], module: nn.Module) -> dict[str, Any]:
    """The state with the module's own names, if it fits."""
    own = module.state_dict()
    given = {_unwrapped_name(str(key), own): value for key, value in state.items()}
    for key, value in own.items():
        if key not in given:
            raise ParameterError("checkpoint", f"no {name}.{key}", f"the parameters of the {name} given")
        if isinstance(value, Tensor):
            shape = tuple(given[key].shape) if isinstance(given[key], Tensor) else type(given[key]).__name__
            if shape != tuple(value.shape):
                raise ParameterError("checkpoint", f"{name}.{key} of shape {shape}", f"shape {tuple(value.shape)}")
    for key in given:
        if key not in own:
            raise ParameterError(
                "checkpoint", f"{name}.{key}", f"a parameter of the {name} given: it has none of that name"
            )
    return given


def _unwrapped_name(key: str, own: Mapping[str, Any]) -> str:
    while key not in own and key.startswith(_WRAPPERS):
        key = key.removeprefix(next(prefix for prefix in _WRAPPERS if key.startswith(prefix)))
    return key


def _check_optimizer_state(name: str, state: Mapping[Any, Any], optimizer: Any) -> None:
    groups = state.get("param_groups")
    own = optimizer.param_groups
    if not isinstance(groups, list) or not isinstance(state.get("state"), Mapping):
        raise ParameterError(
            "checkpoint", f"{name} with the keys {sorted(map(str, state))}", "an optimizer's state_dict"
        )
    sizes, expected = [len(g.get("params", ())) for g in groups], [len(g["params"]) for g in own]
    if sizes != expected:
        raise ParameterError("checkpoint", f"{name} with {sizes} parameters per group", f"{expected}")
    numbers = [k for g in groups for k in g["params"]]
    tensors = [p for g in own for p in g["params"]]
    for number, parameter in zip(numbers, tensors, strict=True):
        for key, value in state["state"].get(number, {}).items():
            if isinstance(value, Tensor) and value.ndim and value.shape != parameter.shape:
                told = f"{name}: {key} of parameter {number} of shape {tuple(value.shape)}"
                raise ParameterError("checkpoint", told, f"shape {tuple(parameter.shape)}")
