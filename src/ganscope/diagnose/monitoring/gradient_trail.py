"""Gradients that a training loop hands over: their norms, and how much of them is signal."""

from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ganscope.core.errors import ParameterError

Array = npt.NDArray[np.float64]

# Gradients from which signal and noise are told apart, and the fewest that tell.
WINDOW, _FEWEST = 20, 5
# Gradients of larger games are projected to this many random directions, which keeps squares up to some percent.
_SKETCH = 4096


class GradientTrail:
    """The last gradients of both players."""

    def __init__(self) -> None:
        self._rows: deque[Array] = deque(maxlen=WINDOW)

    def add(self, gradients: Any) -> dict[str, float]:
        """Norms of these gradients, and |mean|^2 / trace of the covariance of the last ones.

        Args:
            gradients: `(generator, discriminator)`, each an array or a tree of arrays; None is nothing.

        Raises:
            ParameterError: If it is no pair of arrays or trees of numbers.
        """
        if gradients is None:
            return {}
        if not isinstance(gradients, tuple | list) or len(gradients) != 2:
            raise ParameterError("gradients", type(gradients).__name__, "a pair (generator, discriminator)")
        generator, discriminator = (
            np.concatenate([np.zeros(0), *(np.ravel(leaf) for leaf in _leaves(tree))]) for tree in gradients
        )
        norms = {
            "generator_gradient": float(np.linalg.norm(generator)),
            "discriminator_gradient": float(np.linalg.norm(discriminator)),
        }
        row = _sketch(np.concatenate([generator, discriminator]))
        if self._rows and len(self._rows[0]) != len(row):
            self._rows.clear()
        self._rows.append(row)
        if len(self._rows) < _FEWEST:
            return norms
        rows = np.array(self._rows)
        noise = float(rows.var(axis=0, ddof=1).sum())
        # The mean of n gradients holds a share 1/n of the noise.
        signal = max(0.0, float(np.sum(rows.mean(axis=0) ** 2)) - noise / len(rows))
        return norms | ({"signal_to_noise": signal / noise} if noise > 0 else {})


def _leaves(tree: Any) -> Iterator[Array]:
    """All arrays of a tree of dictionaries, lists and tuples, tensors with and without gradients among them."""
    if tree is None:
        return
    if isinstance(tree, Mapping):
        tree = list(tree.values())
    if isinstance(tree, list | tuple) or hasattr(tree, "__next__"):
        for item in tree:
            yield from _leaves(item)
        return
    if hasattr(tree, "detach"):
        tree = tree.detach().cpu().double().numpy()
    array = np.asarray(tree)
    if array.dtype.kind not in "fiuV":  # V: bfloat16
        raise ParameterError("gradients", tree, "arrays or trees of numbers")
    yield array.astype(np.float64)


def _sketch(row: Array) -> Array:
    """Signed sums of entries, which keep inner products on average."""
    if len(row) <= _SKETCH:
        return row
    rng = np.random.default_rng(len(row))
    signs = rng.integers(0, 2, len(row)) * 2.0 - 1.0
    place = rng.integers(0, _SKETCH, len(row))
    return np.asarray(np.bincount(place, weights=signs * row, minlength=_SKETCH), np.float64)
