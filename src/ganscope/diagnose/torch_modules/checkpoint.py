"""Checkpoints of PyTorch games: files of tensors, from which nothing is run that a file could bring along."""

import contextlib
import pickle
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ganscope.core.errors import ParameterError
from ganscope.diagnose.torch_modules.copies import unwrapped
from ganscope.diagnose.torch_modules.kept import Belongings
from ganscope.diagnose.torch_modules.optimizer_states import check_optimizer_state, whole_number

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
        optimizer_g, optimizer_d: Their optimizers, or None (or a `Player`) to leave the states out.

    Returns:
        `iteration` (the file's `iteration`, `step` or `global_step`, or None) and `loaded`, the names of what was
        found.

    Raises:
        ParameterError: If the file is missing, is no file of tensors, has another layout, or does not fit; the first
            misfit is named, and nothing is loaded.
    """
    with loaded(path, generator, discriminator, optimizer_g, optimizer_d) as told:
        return told


@contextlib.contextmanager
def loaded(
    path: str | Path, generator: nn.Module, discriminator: nn.Module, optimizer_g: Any = None, optimizer_d: Any = None
) -> Iterator[dict[str, Any]]:
    """As `load_checkpoint`; whatever is raised inside the `with` block puts modules and optimizers back, too."""
    content = _tensors(path)
    if not isinstance(content, Mapping):
        raise ParameterError("checkpoint", str(path), f"{_LAYOUT}; it holds a {type(content).__name__}")
    parts = {_plain(key): value for key, value in content.items() if isinstance(key, str)}
    modules = {
        "generator": unwrapped("generator", generator),
        "discriminator": unwrapped("discriminator", discriminator),
    }
    pending: list[tuple[str, Any, dict[str, Any]]] = []
    for name, module in modules.items():
        state = _first(parts, _MODULES[name])
        if not isinstance(state, Mapping):
            known = ", ".join(sorted(map(str, content))[:12])
            raise ParameterError("checkpoint", str(path), f"{_LAYOUT}; it has no {name}, its keys are {known}")
        pending.append((name, module, _fitting(name, state, module)))
    optimizers = {"optimizer_g": optimizer_g, "optimizer_d": optimizer_d}
    for name, optimizer in optimizers.items():
        state = _first(parts, _OPTIMIZERS[name])
        if state is not None and isinstance(optimizer, torch.optim.Optimizer):
            check_optimizer_state(name, state, optimizer)
            pending.append((name, optimizer, dict(state)))
    told = _first(parts, ("iteration", "step", "globalstep", "iterations"))
    iteration = None if told is None else whole_number("iteration", told)
    before = Belongings(list(modules.values()), list(optimizers.values()))
    try:
        for name, target, state in pending:
            try:
                with torch.inference_mode(False):
                    target.load_state_dict(state)
            except Exception as error:  # a module may have hooks of its own for this
                raise ParameterError("checkpoint", f"{name}: {error}", f"a state of the {name} given") from error
        yield {"iteration": iteration, "loaded": [name for name, _, _ in pending]}
    except BaseException:
        before.put_back()
        raise


def _tensors(path: str | Path) -> Any:
    expected = "a file of tensors, written by torch.save({'generator': generator.state_dict(), ...})"
    if not Path(path).is_file():
        raise ParameterError("checkpoint", str(path), "an existing file")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        named = re.search(r"GLOBAL (\S+)", str(error))
        told = f"it holds a {named[1]}" if named else str(error).splitlines()[0]
        safe = "other Python objects are not loaded, since they could run code: save the file without them"
        raise ParameterError("checkpoint", str(path), f"{expected}; {told}, and {safe}") from None
    except (RuntimeError, EOFError, ValueError, KeyError, OSError, TypeError, AttributeError) as error:
        told = " ".join(str(error).split()) or type(error).__name__
        raise ParameterError("checkpoint", str(path), f"{expected}; reading it failed with: {told}") from None


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
        if isinstance(given[key], Tensor) and not _plain_numbers(given[key]):
            raise ParameterError("checkpoint", f"{name}.{key} of {given[key].dtype}", "real numbers, without gaps")
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


def _plain_numbers(tensor: Tensor) -> bool:
    return not (tensor.is_complex() or tensor.is_quantized or tensor.layout != torch.strided)


def _unwrapped_name(key: str, own: Mapping[str, Any]) -> str:
    while key not in own and key.startswith(_WRAPPERS):
        key = key.removeprefix(next(prefix for prefix in _WRAPPERS if key.startswith(prefix)))
    return key
