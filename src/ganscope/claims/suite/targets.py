"""The data of the suite: where to draw it from, its radius, its modes, and reals to compare with."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
import numpy.typing as npt

from ganscope.core.errors import NotApplicable

Array = npt.NDArray[np.float64]

_STD = 0.1
_COMPONENTS = 16
_VARIANCE = 2.0
_REALS = 1024


@dataclass(frozen=True, eq=False)
class Target:
    """A data distribution.

    Attributes:
        draw: (key, n) -> samples `[n, d]`, float32.
        reals: Fixed samples `[1024, d]`.
        modes: Centres of its modes or classes, `[M, d]`.
        mean: `[d]`.
        radius: sqrt(trace Cov).
    """

    draw: Callable[[Any, int], Any]
    reals: Array
    modes: Array
    mean: Array
    radius: float

    @property
    def axes(self) -> int:
        """d."""
        return len(self.mean)

    @functools.cached_property
    def apart(self) -> float:
        """Mean distance of two of the fixed samples."""
        return mean_distance(self.reals)


def distances(x: Array, y: Array) -> Array:
    """|x_i - y_j|, `[n, m]`."""
    squares = (x**2).sum(axis=1)[:, None] + (y**2).sum(axis=1) - 2 * x @ y.T
    found: Array = np.sqrt(np.maximum(squares, 0))
    return found


def mean_distance(x: Array) -> float:
    """E|x - x'| over different points."""
    return float(distances(x, x).sum() / (len(x) * (len(x) - 1)))


def generator(key: Any) -> np.random.Generator:
    """NumPy's random numbers, keyed by a JAX key: five times as fast for normal ones."""
    return np.random.default_rng(np.asarray(jax.random.key_data(key)).tolist())


@functools.cache
def target(name: str, scale: float = 1.0) -> Target:
    """The data of a name, times a factor.

    Raises:
        NotApplicable: If scikit-learn, which ships the digits, is not installed.
    """
    if name in ("digits", "images"):
        return _of_table(*_digits(name == "images"), scale)
    angles = 2 * np.pi * np.arange(8) / 8
    grid = np.array([(x, y) for x in (-1.0, 0.0, 1.0) for y in (-1.0, 0.0, 1.0)])
    modes = scale * (np.stack([np.cos(angles), np.sin(angles)], axis=1) if name == "ring" else grid)
    held = np.asarray(modes, np.float32)

    def draw(key: Any, count: int) -> Any:
        rng = generator(key)
        noise = np.float32(scale * _STD) * rng.standard_normal((count, 2), np.float32)
        return held[rng.integers(len(held), size=count)] + noise

    rng = np.random.default_rng(1)
    reals = modes[rng.integers(len(modes), size=_REALS)] + scale * _STD * rng.normal(size=(_REALS, 2))
    variance = float(np.sum(modes.var(axis=0))) + 2 * (scale * _STD) ** 2
    return Target(draw, reals, modes, modes.mean(axis=0), float(np.sqrt(variance)))


def _of_table(table: Array, classes: npt.NDArray[np.int64], scale: float) -> Target:
    table = scale * table
    held = np.asarray(table, np.float32)

    def draw(key: Any, count: int) -> Any:
        return held[generator(key).integers(len(held), size=count)]

    reals = table[np.random.default_rng(1).permutation(len(table))[:_REALS]]
    modes = np.stack([table[classes == c].mean(axis=0) for c in np.unique(classes)])
    return Target(draw, reals, modes, table.mean(axis=0), float(np.sqrt(table.var(axis=0).sum())))


@functools.cache
def _digits(images: bool) -> tuple[Array, npt.NDArray[np.int64]]:
    """Handwritten digits, centred, of total variance 2: all 64 pixels, or the leading 16 principal components."""
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise NotApplicable("the digits need scikit-learn: pip install 'ganscope[examples]'") from None
    known: Any = load_digits()
    pixels = np.asarray(known.data, np.float64)
    table = pixels - pixels.mean(axis=0)
    if not images:
        table = table @ np.linalg.svd(table, full_matrices=False)[2][:_COMPONENTS].T
    return table * np.sqrt(_VARIANCE / table.var(axis=0).sum()), np.asarray(known.target, np.int64)
