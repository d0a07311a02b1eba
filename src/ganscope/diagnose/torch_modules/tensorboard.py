"""TensorBoard's writer, which comes with PyTorch if the package `tensorboard` is there."""

import importlib.util
import os
from collections.abc import Callable


def scalar_writer(folder: str | os.PathLike[str]) -> Callable[[str, float, int], None] | None:
    """A function (tag, value, iteration) that writes scalars to a folder; None without PyTorch and TensorBoard.

    Args:
        folder: Where event files go.
    """
    if importlib.util.find_spec("torch") is None or importlib.util.find_spec("tensorboard") is None:
        return None
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:  # a version that does not go with this PyTorch
        return None
    writer = SummaryWriter(str(folder))

    def write(tag: str, value: float, iteration: int) -> None:
        writer.add_scalar(tag, value, iteration)
        writer.flush()

    return write
