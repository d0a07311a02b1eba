"""The global random streams of NumPy and Python, lent to the user's functions and put back where they were."""

import contextlib
import random
import threading
from collections.abc import Iterator

import numpy as np

# Whether this thread's streams are lent already: then they need no second rescue.
_lent = threading.local()


@contextlib.contextmanager
def lent_streams(seed: int) -> Iterator[None]:
    """Seed both global streams for a while, then put them back: what draws from them is reproducible, and unseen.

    Within another one, the streams are seeded anew and are the outer one's to put back.

    Args:
        seed: Taken modulo 2**32.
    """
    outer = not getattr(_lent, "entered", False)
    kept = (np.random.get_state(), random.getstate()) if outer else None  # noqa: NPY002
    _lent.entered = True
    try:
        np.random.seed(seed % 2**32)  # noqa: NPY002
        random.seed(seed)
        yield
    finally:
        if kept is not None:
            _lent.entered = False
            np.random.set_state(kept[0])  # noqa: NPY002
            random.setstate(kept[1])
