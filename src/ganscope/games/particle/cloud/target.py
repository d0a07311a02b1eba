"""What the particles shall learn: Gaussian modes on a ring, on a grid or anywhere, or a user's own points."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.cluster.vq
import scipy.spatial

Array = npt.NDArray[np.float64]

LAYOUTS = ("ring", "grid")


def ring(modes: int, radius: float) -> Array:
    """Centres at equal angles on a circle, the first one on the first axis, shape `[modes, 2]`."""
    angle = 2 * np.pi * np.arange(modes) / modes
    return radius * np.stack([np.cos(angle), np.sin(angle)], axis=1)


def grid(modes: int, radius: float) -> Array:
    """Centres on a square grid that fills [-radius, radius]^2; `modes` is a square number; shape `[modes, 2]`."""
    side = math.isqrt(modes)
    line = np.linspace(-radius, radius, side) if side > 1 else np.zeros(1)
    return np.stack(np.meshgrid(line, line, indexing="ij"), axis=-1).reshape(-1, 2)


def separation(centres: Array) -> float:
    """Smallest distance between two different centres; infinite if there is only one."""
    if len(centres) < 2:
        return math.inf
    return float(scipy.spatial.cKDTree(centres).query(centres, k=2)[0][:, 1].min())


@dataclass(frozen=True)
class Target:
    """A law on R^d: every sample is one of the sources, equally likely, plus a normal of standard deviation `width`.

    Attributes:
        sources: Centres of the Gaussians, or a user's points, shape `[S, d]`.
        width: Standard deviation of the Gaussians along every axis; 0 for points.
        centres: The modes that order parameters count, shape `[M, d]`.
        labels: Class of every source, shape `[S]`, or None: the nearest centre decides.
    """

    sources: Array
    width: float
    centres: Array
    labels: npt.NDArray[np.int64] | None = None

    @property
    def mean(self) -> Array:
        """Mean of the law, shape `[d]`."""
        return np.asarray(self.sources.mean(axis=0))

    @property
    def variance(self) -> float:
        """Trace of the covariance."""
        return float(self.sources.var(axis=0).sum() + self.sources.shape[1] * self.width**2)

    @property
    def scale(self) -> float:
        """Square root of the trace of the covariance, the unit of `wander`; 1 for a single point."""
        return math.sqrt(self.variance) or 1.0

    @property
    def separation(self) -> float:
        """Distance between neighbouring modes."""
        return separation(self.centres)

    @property
    def capture_radius(self) -> float:
        """A particle is captured by the nearest mode within this distance: 3 widths or 0.35 separations."""
        if math.isinf(self.separation):
            return 3 * (self.width or self.scale)
        return max(3 * self.width, 0.35 * self.separation)

    @property
    def box(self) -> tuple[Array, Array]:
        """Lowest and highest corner of the box that holds the sources and three widths around them, each `[d]`."""
        return self.sources.min(axis=0) - 3 * self.width, self.sources.max(axis=0) + 3 * self.width


def clusters(points: Array, labels: Any, modes: int) -> tuple[Array, npt.NDArray[np.int64] | None]:
    """Modes of a cloud of points: class means, the points themselves where they are few, or k-means cells.

    Args:
        points: Shape `[S, d]`.
        labels: Class of every point, or None.
        modes: Number of cells where there are more points than that and no labels.
    """
    if labels is not None:
        classes, index = np.unique(labels, return_inverse=True)
        means = np.stack([points[index == k].mean(axis=0) for k in range(len(classes))])
        return means, index.astype(np.int64)
    distinct = np.unique(points, axis=0)
    if len(distinct) <= modes:
        return distinct, None
    spread = np.where(points.std(axis=0) > 0, points.std(axis=0), 1.0).max()
    centres, _ = scipy.cluster.vq.kmeans2(distinct / spread, modes, minit="++", seed=np.random.default_rng(0))
    return centres * spread, None
