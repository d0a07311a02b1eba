"""Out of memory: the batch is halved, twice, and then the estimate is told."""

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from ganscope.diagnose.settings import DiagnoseSettings

if TYPE_CHECKING:
    from ganscope.diagnose.real_game import RealGame

T = TypeVar("T")

_HALVINGS, _SMALLEST = 2, 8


def within_memory(
    work: Callable[[DiagnoseSettings], T], settings: DiagnoseSettings, game: "RealGame"
) -> tuple[T, DiagnoseSettings]:
    """The result of work that may run out of memory, with the settings that it fitted with.

    Raises:
        MemoryError: If it does not fit with a quarter of the batch either.
    """
    for halving in range(_HALVINGS + 1):
        try:
            return work(settings), settings
        except (MemoryError, RuntimeError) as error:
            if not _is_memory(error):
                raise
            if halving == _HALVINGS or settings.batch_size // 2 < _SMALLEST:
                raise MemoryError(_estimate(settings, game)) from error
            settings = dataclasses.replace(settings, batch_size=settings.batch_size // 2)
    raise AssertionError("the last attempt returns or raises")


def _is_memory(error: BaseException) -> bool:
    text = str(error).lower()
    told = ("out of memory", "resource_exhausted", "not enough memory", "can't allocate memory", "failed to allocate")
    return isinstance(error, MemoryError) or any(words in text for words in told)


def _estimate(settings: DiagnoseSettings, game: "RealGame") -> str:
    size = sum(game.backend.sizes)
    width = settings.modes + settings.oversample
    blocks = 8 * size * (6 * width + settings.noise_batches)
    return (
        f"the measurement does not fit into memory with a batch of {settings.batch_size}: directions and velocities of "
        f"{size} parameters alone take {blocks / 2**30:.2g} GiB ({width} directions, {settings.noise_batches} "
        "minibatches), activations of the batch come on top; lower modes, oversample, noise_batches or batch_size"
    )
