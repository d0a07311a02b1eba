"""Where minibatches and latents come from: functions of a key, arrays, data sets or numbers of axes."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset, default_collate

from ganscope.core.checks import integer
from ganscope.core.errors import ParameterError
from ganscope.diagnose.torch_modules.copies import mapped, tensors_of

# (key, n) -> n samples
Source = Callable[[torch.Generator, int], Any]

_EXPECTED = (
    "a function (key, n) -> batch, a tensor or array of samples, a tuple of such with equal lengths, "
    "or a map-style Dataset or DataLoader"
)


def data_source(data: Any) -> Source:
    """Minibatches of real data; rows of arrays and items of data sets are drawn with replacement.

    Args:
        data: A function (key, n) -> batch, whose key is a `torch.Generator`; a tensor or array `[samples, ...]`, or a
            tuple of such (samples, labels); a map-style Dataset or a DataLoader of one, whose own order and batch size
            are not used, but whose `collate_fn` is.

    Raises:
        ParameterError: If it is anything else, is empty, or holds no numbers.
    """
    if isinstance(data, DataLoader):
        return _of_dataset(data.dataset, data.collate_fn if data.batch_size is not None else default_collate)
    if isinstance(data, TensorDataset):
        data = data.tensors
    if isinstance(data, Dataset):
        return _of_dataset(data, default_collate)
    if isinstance(data, list):
        try:
            data = np.asarray(data)
        except ValueError:
            raise ParameterError("data", type(data).__name__, _EXPECTED) from None
    if isinstance(data, Tensor | np.ndarray | tuple):
        return _of_rows(data)
    if callable(data):
        return data  # type: ignore[no-any-return]
    raise ParameterError("data", type(data).__name__, _EXPECTED)


def default_batch_size(data: Any) -> int | None:
    """The batch size of a DataLoader; None for everything else."""
    return data.batch_size if isinstance(data, DataLoader) else None


def latent_source(latents: Any) -> Source:
    """Latents: a function (key, n) -> latents, or a number of axes of standard normal latents.

    Raises:
        ParameterError: If it is neither.
    """
    if callable(latents):
        return latents  # type: ignore[no-any-return]
    expected = "a function (key, n) -> latents, or the number of axes of standard normal ones"
    try:
        axes = integer("latents", latents, at_least=1)
    except ParameterError:
        raise ParameterError("latents", latents, expected) from None

    def normal(key: torch.Generator, count: int) -> Tensor:
        return torch.randn(count, axes, generator=key, device=key.device)

    return normal


def _of_rows(data: Any) -> Source:
    try:
        rows = mapped(lambda t: t.detach(), data)
    except TypeError as error:  # arrays of texts or objects
        raise ParameterError("data", f"{type(data).__name__}: {error}", "arrays of numbers") from None
    found = tensors_of(rows)
    lengths = {len(t) if t.ndim else 0 for t in found}
    if not found or len(lengths) != 1 or 0 in lengths:
        raise ParameterError("data", [tuple(t.shape) for t in found], "arrays of one length, at least one sample")
    if any(t.is_floating_point() and not torch.isfinite(t).all() for t in found):
        raise ParameterError("data", "NaN or infinities", "finite numbers")
    length = lengths.pop()

    def resampled(key: torch.Generator, count: int) -> Any:
        chosen = torch.randint(length, (count,), generator=key, device=key.device)
        return mapped(lambda t: t[chosen.to(t.device)], rows)

    return resampled


def _of_dataset(dataset: Any, collate: Callable[[list[Any]], Any]) -> Source:
    if isinstance(dataset, IterableDataset) or not hasattr(dataset, "__len__"):
        raise ParameterError("data", type(dataset).__name__, "a data set that can be indexed, or a function (key, n)")
    length = len(dataset)
    if length == 0:
        raise ParameterError("data", "an empty data set", "at least one sample")
    if isinstance(dataset, TensorDataset) and collate is default_collate:
        rows = _of_rows(dataset.tensors)
        return lambda key, count: list(rows(key, count))

    def collated(key: torch.Generator, count: int) -> Any:
        chosen = torch.randint(length, (count,), generator=key, device=key.device).tolist()
        return collate([dataset[k] for k in chosen])

    return collated
