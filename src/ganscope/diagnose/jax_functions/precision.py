"""In which precision JAX computes."""

import contextlib
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

from ganscope.diagnose.host_random import lent_streams


@contextlib.contextmanager
def precision(dtype: Any = np.float64) -> Iterator[None]:
    """Compute in float64, or in the user's float32, whatever the user's own setting.

    What the user's functions draw from global random streams while they are traced stays unseen outside.
    """
    with lent_streams(0), jax.enable_x64(np.dtype(dtype) == np.float64), jax.default_matmul_precision("highest"):
        yield
