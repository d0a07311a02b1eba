"""Normalisations by plain operations, which can be differentiated as often as a penalty needs it.

PyTorch's own kernels save means and lengths and take them for constants in later derivatives: those of batch, instance
and layer normalisation in the third, which R1 needs, that of weight normalisation in the second.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode


class PlainNormalisations(TorchFunctionMode):
    """While it is entered, normalisations are made of plain operations; their values agree to rounding."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """The function itself, or the plain one in its place."""
        return _PLAIN.get(function, function)(*args, **(kwargs or {}))


def _batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    axes = [0, *range(2, input.ndim)]
    if training:
        mean, variance = _moments(input, axes)
        _remember(running_mean, running_var, mean, variance, momentum, input.numel() // input.shape[1])
    elif running_mean is None or running_var is None:
        raise RuntimeError("batch normalisation without statistics of its own or of the batch")
    else:
        mean, variance = (_by_channel(statistic, input) for statistic in (running_mean, running_var))
    return _by_weights((input - mean) * (variance + eps).rsqrt(), weight, bias)


def _instance_norm(
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    if not use_input_stats:
        return _batch_norm(input, running_mean, running_var, weight, bias, False, momentum, eps)
    mean, variance = _moments(input, range(2, input.ndim))
    _remember(running_mean, running_var, mean, variance, momentum, input[0, 0].numel())
    return _by_weights((input - mean) * (variance + eps).rsqrt(), weight, bias)


def _layer_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    mean, variance = _moments(input, range(-len(normalized_shape), 0))
    found = (input - mean) * (variance + eps).rsqrt()
    found = found if weight is None else found * weight
    return found if bias is None else found + bias


def _weight_norm(v: Tensor, g: Tensor, dim: int = 0) -> Tensor:
    return v * (g / torch.norm_except_dim(v, 2, dim))


_PLAIN: dict[Any, Callable[..., Tensor]] = {
    functional.batch_norm: _batch_norm,
    functional.instance_norm: _instance_norm,
    functional.layer_norm: _layer_norm,
    torch._weight_norm: _weight_norm,
}


def _moments(values: Tensor, axes: Sequence[int]) -> tuple[Tensor, Tensor]:
    mean = values.mean(list(axes), keepdim=True)
    return mean, (values - mean).square().mean(list(axes), keepdim=True)


def _by_channel(vector: Tensor, values: Tensor) -> Tensor:
    return vector.view(-1, *[1] * (values.ndim - 2))


def _by_weights(values: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    values = values if weight is None else values * _by_channel(weight, values)
    return values if bias is None else values + _by_channel(bias, values)


def _remember(
    running_mean: Tensor | None, running_var: Tensor | None, mean: Tensor, variance: Tensor, share: float, count: int
) -> None:
    """Move running statistics, whose variance is unbiased."""
    if running_mean is None or running_var is None:
        return
    channels = len(running_mean)
    with torch.no_grad():
        running_mean.lerp_(mean.reshape(-1, channels).mean(0), share)
        running_var.lerp_(variance.reshape(-1, channels).mean(0) * (count / max(count - 1, 1)), share)
