r"""Metric spaces in which the players of a dual flow live.

    Euclidean        vectors, $|a - b|_2$; the coefficients of a discriminator are such a vector
    Box              vectors with every coordinate in [-clip, clip]
    Quantiles        laws on a line by N equal masses: W2 is the root mean square of sorted differences
    Particles        laws in d dimensions by N equal masses: W2 by assignment

A metric gradient in a space of laws has no factor 1/N: it is the velocity of the single particle.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ganscope.analysis.distances import w2
from ganscope.core.checks import number, real_array
from ganscope.core.errors import ParameterError

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Euclidean:
    """Arrays of one shape with the Euclidean distance.

    Args:
        shape: Of a point.
    """

    shape: tuple[int, ...]

    def check(self, name: str, point: Any) -> Array:
        """A point of the space.

        Raises:
            ParameterError: If it has another shape or is not finite.
        """
        array = real_array(name, point)
        if array.shape != self.shape:
            raise ParameterError(name, f"shape {array.shape}", f"an array of shape {self.shape}")
        return array

    def nearest(self, point: Array) -> Array:
        """The point of the space next to an array of its shape."""
        return point

    def distance_squared(self, a: Array, b: Array) -> float:
        """Square of the distance of two points."""
        return float(np.sum(np.square(np.asarray(a) - np.asarray(b))))

    def distance(self, a: Array, b: Array) -> float:
        """Distance of two points."""
        return float(np.sqrt(self.distance_squared(a, b)))


@dataclass(frozen=True)
class Box(Euclidean):
    """A box of Euclidean space: every coordinate within [-clip, clip].

    Args:
        shape: Of a point.
        clip: Half the side, > 0.
    """

    clip: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "clip", number("clip", self.clip, above=0))

    def check(self, name: str, point: Any) -> Array:
        array = super().check(name, point)
        if np.any(np.abs(array) > self.clip):
            raise ParameterError(name, point, f"numbers within [-{self.clip:g}, {self.clip:g}]")
        return array

    def nearest(self, point: Array) -> Array:
        return np.clip(point, -self.clip, self.clip)


@dataclass(frozen=True)
class Quantiles(Euclidean):
    """Laws on a line, each N points of mass 1/N, shape `[N]` or `[N, 1]`; their order does not matter."""

    def distance_squared(self, a: Array, b: Array) -> float:
        first, second = np.sort(np.ravel(a)), np.sort(np.ravel(b))
        return float(np.mean(np.square(first - second)))


@dataclass(frozen=True)
class Particles(Euclidean):
    """Laws in several dimensions, each N points of mass 1/N, shape `[N, d]`; their order does not matter."""

    def distance_squared(self, a: Array, b: Array) -> float:
        return w2(a, b) ** 2
