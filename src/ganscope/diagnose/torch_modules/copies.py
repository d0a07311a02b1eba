"""Private copies of the user's modules, called as functions of flat parameters; the user's own stay as they are."""

import contextlib
import copy
import random
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.parameter import is_lazy
from torch.nn.utils.parametrizations import _SpectralNorm
from torch.nn.utils.spectral_norm import SpectralNorm

from ganscope.core.errors import ParameterError
from ganscope.core.game import Players

PLAYERS = ("generator", "discriminator")


# Whether this thread's random streams are private already: then they need no second rescue.
_private = threading.local()


@contextlib.contextmanager
def private_randomness(seed: int) -> Iterator[None]:
    """Seed the global random streams of torch, NumPy and Python for a while, then put them back where they were."""
    devices = torch.cuda.is_available() and torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    if getattr(_private, "entered", False):
        _seed(seed, devices)
        yield
        return
    kept = (torch.get_rng_state(), np.random.get_state(), random.getstate())  # noqa: NPY002
    kept_devices = torch.cuda.get_rng_state_all() if devices else []
    _private.entered = True
    try:
        _seed(seed, devices)
        yield
    finally:
        _private.entered = False
        torch.set_rng_state(kept[0])
        np.random.set_state(kept[1])  # noqa: NPY002
        random.setstate(kept[2])
        if devices:
            torch.cuda.set_rng_state_all(kept_devices)


def _seed(seed: int, devices: bool) -> None:
    # not torch.manual_seed: that would also queue a seed for devices that are not in use yet
    torch.default_generator.manual_seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002
    random.seed(seed)
    if devices:
        torch.cuda.manual_seed_all(seed)


@contextlib.contextmanager
def own_settings(dtype: torch.dtype, device: torch.device, seed: int) -> Iterator[None]:
    """Gradients on, autocast off, new tensors in the working precision, private randomness; then as before."""
    default = torch.get_default_dtype()
    with (
        private_randomness(seed),
        torch.inference_mode(False),
        torch.enable_grad(),
        torch.autocast(device.type, enabled=False),
        # fused attention has no second derivatives
        sdpa_kernel(SDPBackend.MATH),
        # what inner modules and losses are compiled to has none either
        torch.compiler.set_stance("force_eager") if "torch._dynamo" in sys.modules else contextlib.nullcontext(),
    ):
        torch.set_default_dtype(dtype)
        try:
            yield
        finally:
            torch.set_default_dtype(default)


class Pair(nn.Module):
    """Both players in one module, so that one functional call replaces the parameters of both."""

    def __init__(self, generator: nn.Module, discriminator: nn.Module) -> None:
        super().__init__()
        self.generator, self.discriminator = generator, discriminator

    def forward(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """function(generator, discriminator, *arguments)."""
        return function(self.generator, self.discriminator, *arguments)


def unwrapped(name: str, module: Any) -> nn.Module:
    """The user's module without a wrapper for compilation or several devices.

    Raises:
        ParameterError: If it is no module, one compiled by TorchScript, whose parameters cannot be replaced, or one
            whose parameters have no shapes yet.
    """
    wrapped = None
    while wrapped is not module:
        wrapped, module = module, getattr(module, "_orig_mod", module)
        if isinstance(module, nn.DataParallel | nn.parallel.DistributedDataParallel):
            module = module.module
    if not isinstance(module, nn.Module):
        raise ParameterError(name, type(module).__name__, "a torch.nn.Module")
    if isinstance(module, torch.jit.ScriptModule):
        raise ParameterError(
            name, type(module).__name__, "a module that is not compiled by TorchScript: pass the original"
        )
    if any(is_lazy(tensor) for tensor in (*module.parameters(), *module.buffers())):
        raise ParameterError(name, "lazy layers that do not know their shapes", "a module that has been called once")
    return module


def copied(generator: nn.Module, discriminator: nn.Module) -> Pair:
    """Deep copies of both modules, made together so that what they share stays shared; without gradients."""
    memo: dict[int, Any] = {}
    for module in (generator, discriminator):
        for part in module.modules():
            for value in vars(part).values():
                # weights computed by the hooks of old-style normalisations are no leaves, which deepcopy refuses
                if isinstance(value, Tensor) and not value.is_leaf:
                    memo[id(value)] = value.detach().clone()
        for parameter in module.parameters():
            if parameter.grad is not None:
                memo[id(parameter.grad)] = None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pair = Pair(*copy.deepcopy((generator, discriminator), memo))
    pair.training = generator.training  # of the container alone; the players keep their own modes
    for parameter in pair.parameters():
        parameter.grad = None
    return pair


def spectral_norms(module: nn.Module) -> list[Any]:
    """The objects that normalise weights by their largest singular value, of both styles."""
    found: list[Any] = []
    for part in module.modules():
        if isinstance(part, _SpectralNorm):
            found.append(part)
        found.extend(hook for hook in part._forward_pre_hooks.values() if isinstance(hook, SpectralNorm))
    return found


def moving_names(modules: Players, moved: set[int] | None = None) -> Players:
    """Names of the parameters that training moves, each once and the generator's first.

    Args:
        modules: Both players' modules.
        moved: Ids of parameters that optimizers hold; None: all that require gradients.
    """
    seen: set[int] = set()
    names: list[list[str]] = []
    for module in modules:
        names.append([])
        for name, parameter in module.named_parameters():
            if parameter.requires_grad and (moved is None or id(parameter) in moved) and id(parameter) not in seen:
                names[-1].append(name)
                seen.add(id(parameter))
    return Players(*names)


class Networks:
    """Copies of both modules as functions of two flat vectors of parameters.

    Args:
        pair: The copies, owned from now on.
        names: Names of every player's parameters that move, in the order of the flat vector.
        dtype: The working precision.
        frozen_norms: Whether spectral norms keep their singular vectors; the singular value stays a function of the
            weights.
    """

    def __init__(self, pair: Pair, names: Players, dtype: torch.dtype, *, frozen_norms: bool = True) -> None:
        self.pair, self.names, self.dtype = pair.to(dtype), names, dtype
        if frozen_norms:
            for norm in spectral_norms(pair):
                norm.n_power_iterations = 0
        tensors = dict(pair.named_parameters(remove_duplicate=False))
        self.full_names = Players(*([f"{who}.{n}" for n in own] for who, own in zip(PLAYERS, names, strict=True)))
        self.shapes = Players(*([tensors[n].shape for n in own] for own in self.full_names))
        self.lengths = Players(*([shape.numel() for shape in own] for own in self.shapes))
        self.sizes = Players(*(sum(own) for own in self.lengths))
        first = next(iter(pair.parameters()), None)
        self.device = first.device if first is not None else torch.device("cpu")
        self.buffers = dict(pair.named_buffers())

    def point(self) -> Players:
        """Flat parameters of the copies, float64, generator first."""
        tensors = dict(self.pair.named_parameters(remove_duplicate=False))
        return Players(*(_flat([tensors[name] for name in own]) for own in self.full_names))

    def vector(self, values: Any, *, leaf: bool = False) -> Tensor:
        """A NumPy array on the networks' device in their precision; a leaf of a new graph if asked for."""
        with torch.inference_mode(False):
            vector = torch.tensor(np.asarray(values), dtype=self.dtype, device=self.device)
            return vector.requires_grad_() if leaf else vector

    def run(self, theta: Tensor, phi: Tensor, function: Callable[..., Any], *arguments: Any) -> Any:
        """function(generator, discriminator, *arguments) at a point; buffers are as they were before every call."""
        state = {name: buffer.clone() for name, buffer in self.buffers.items()}
        for flat, names, lengths, shapes in zip((theta, phi), self.full_names, self.lengths, self.shapes, strict=True):
            parts = torch.split(flat, lengths)
            state |= {n: part.view(shape) for n, part, shape in zip(names, parts, shapes, strict=True)}
        return torch.func.functional_call(self.pair, state, (function, *arguments))

    @contextlib.contextmanager
    def instance_noise(self, deviation: float, seed: int) -> Iterator[list[int]]:
        """Add noise to whatever the discriminator is called with; yields a list that grows with every call of it."""
        calls: list[int] = []
        stream = torch.Generator(self.device).manual_seed(seed)

        def noisy(module: nn.Module, arguments: tuple[Any, ...]) -> Any:
            del module
            calls.append(len(arguments))
            if deviation == 0 or not arguments or not isinstance(arguments[0], Tensor):
                return None
            samples = arguments[0]
            noise = torch.randn(samples.shape, generator=stream, dtype=samples.dtype, device=samples.device)
            return (samples + deviation * noise, *arguments[1:])

        hook = self.pair.discriminator.register_forward_pre_hook(noisy)
        try:
            yield calls
        finally:
            hook.remove()


def working(values: Any, dtype: torch.dtype, device: torch.device) -> Any:
    """Tensors of a nested tuple, list or dictionary, detached, floating ones in the working precision."""
    with torch.inference_mode(False):
        return mapped(lambda t: _own(t).to(device, dtype if t.is_floating_point() else t.dtype), values)


def _own(tensor: Tensor) -> Tensor:
    """Detached; a clone of what was made in inference mode, which could not be differentiated through."""
    return tensor.clone() if tensor.is_inference() else tensor.detach()


def mapped(function: Callable[[Tensor], Any], values: Any) -> Any:
    """A nested tuple, list or dictionary with a function applied to its tensors; arrays count as tensors."""
    if isinstance(values, np.ndarray):
        values = torch.from_numpy(np.array(values))
    if isinstance(values, Tensor):
        return function(values)
    if isinstance(values, dict):
        return {key: mapped(function, value) for key, value in values.items()}
    if isinstance(values, tuple | list):
        parts = [mapped(function, value) for value in values]
        return type(values)(*parts) if hasattr(values, "_fields") else type(values)(parts)
    return values


def tensors_of(values: Any) -> list[Tensor]:
    """All tensors of a nested tuple, list or dictionary."""
    found: list[Tensor] = []
    mapped(found.append, values)
    return found


def numpy_of(tensor: Tensor) -> np.ndarray[Any, np.dtype[np.float64]]:
    """A tensor as a float64 array."""
    return np.asarray(tensor.detach().to("cpu", torch.float64).numpy())


def _flat(tensors: Sequence[Tensor]) -> np.ndarray[Any, np.dtype[np.float64]]:
    parts = [numpy_of(tensor).ravel() for tensor in tensors]
    return np.concatenate(parts) if parts else np.zeros(0)
