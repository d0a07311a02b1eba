"""What belongs to the user while functions of theirs run: kept as it was, put back and refused where they change it."""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ganscope.core.errors import ParameterError
from ganscope.diagnose.torch_modules.copies import tensors_of


class Belongings:
    """Modules and optimizers as they are now, to be put back.

    Args:
        modules: Whose parameters, buffers and gradients are kept.
        optimizers: Whose settings and states are kept; what is no optimizer of PyTorch is passed over.
    """

    def __init__(self, modules: Sequence[nn.Module], optimizers: Sequence[Any] = ()) -> None:
        tensors = [t for module in modules for t in [*module.parameters(), *module.buffers()]]
        self._tensors = [
            (t, t.detach().clone(), t.grad, None if t.grad is None else t.grad.detach().clone()) for t in tensors
        ]
        known = [one for one in optimizers if isinstance(one, torch.optim.Optimizer)]
        self._optimizers = [
            (one, one.state, _Kept(one.state), one.param_groups, [_Kept(group) for group in one.param_groups])
            for one in known
        ]

    def put_back(self) -> bool:
        """Make everything as it was; whether anything was not."""
        changed = False
        with torch.no_grad():
            for tensor, value, gradient, of_gradient in self._tensors:
                changed |= _put_back(tensor, value)
                if tensor.grad is not gradient:
                    tensor.grad = gradient
                    changed = True
                if gradient is not None and of_gradient is not None:
                    changed |= _put_back(gradient, of_gradient)
            for optimizer, state, entries, groups, settings in self._optimizers:
                changed |= optimizer.state is not state or optimizer.param_groups is not groups
                optimizer.state, optimizer.param_groups = state, groups
                changed |= entries.put_back()
                for setting in settings:
                    changed |= setting.put_back()
        return changed


class _Kept:
    """A dictionary of an optimizer, with dictionaries inside, as it is now."""

    def __init__(self, own: dict[Any, Any]) -> None:
        self._own, self._items = own, dict(own)
        self._inner = {key: _Kept(value) for key, value in own.items() if isinstance(value, dict)}
        self._values = {key: value.detach().clone() for key, value in own.items() if isinstance(value, Tensor)}

    def put_back(self) -> bool:
        changed = self._own.keys() != self._items.keys() or any(
            self._own[key] is not value for key, value in self._items.items()
        )
        if changed:
            self._own.clear()
            self._own.update(self._items)
        for inner in self._inner.values():
            changed |= inner.put_back()
        for key, value in self._values.items():
            changed |= _put_back(self._items[key], value)
        return changed


def _put_back(tensor: Tensor, value: Tensor) -> bool:
    if _same(tensor, value):
        return False
    tensor.data.copy_(value)
    return True


@contextlib.contextmanager
def kept_inputs(name: str, *values: Any) -> Iterator[None]:
    """Refuse a function that writes into the tensors it is called with."""
    tensors = [t for value in values for t in tensors_of(value)]
    before = [t.clone() for t in tensors]
    yield
    if not all(_same(tensor, old) for tensor, old in zip(tensors, before, strict=True)):
        raise ParameterError(name, "writes into its inputs", "a function that leaves batch and latents as they are")


@contextlib.contextmanager
def kept(modules: Sequence[nn.Module], optimizers: Sequence[Any] = ()) -> Iterator[None]:
    """Refuse functions that move the user's own modules or optimizers, which they may know; put them back first."""
    belongings = Belongings(modules, optimizers)
    changed = False
    try:
        yield
    finally:
        changed = belongings.put_back()
    if changed:
        raise ParameterError(
            "losses",
            "changes parameters, buffers, gradients or optimizers of the original modules",
            "a pure function of the modules it is called with: no optimizer steps, backward() or clipping inside",
        )


def _same(a: Tensor, b: Tensor) -> bool:
    if a.shape != b.shape:
        return False
    return torch.equal(a, b) or torch.equal(torch.nan_to_num(a), torch.nan_to_num(b))
