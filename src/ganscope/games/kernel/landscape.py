"""What a resting place of the generated points means: which of the data they stand for, and which they miss.

True points are isolated from each other when they lie more than three bandwidths apart. Only then has each of them a
neighbourhood with a mass of its own.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from ganscope.core.outcome import Outcome
from ganscope.games.kernel.neighbourhoods import REACH, observe

if TYPE_CHECKING:
    from ganscope.games.kernel.model import KernelGAN

Array = npt.NDArray[np.float64]

# Points of one neighbourhood further apart than this, in bandwidths, are a split state, not one that is still closing.
_APART = 1e-2


@dataclass(frozen=True)
class Landscape:
    """What points at rest stand for.

    Attributes:
        outcome, detail: As in a verdict.
        margin: Share of the true points that are covered, of those that so many generated points can cover; when
            collapsed, the share that is missing.
        reasons: What was seen.
        near_critical: Whether coverage hangs on a point at the edge of a bandwidth.
        covered: Number of covered true points.
        split: True points with surplus mass whose generated points stand apart.
    """

    outcome: Outcome
    detail: str
    margin: float
    reasons: tuple[str, ...]
    near_critical: bool
    covered: int
    split: tuple[int, ...]


def isolation(real_points: Array) -> float:
    """Smallest distance between different true points; infinite for one."""
    different = np.unique(real_points + 0.0, axis=0)
    if len(different) < 2:
        return float("inf")
    return float(np.min(cKDTree(different).query(different, k=2)[0][:, 1]))


def describe(game: "KernelGAN", points: Array) -> Landscape:
    """What generated points at rest stand for, shape `[M, axes]`."""
    sigma, total = game.bandwidth, len(game.real_points)
    possible = min(total, len(points))
    distance, mass, seen = (part[0] for part in observe(points[None], game.real_points, game.generated_mass, sigma))
    covered = int(seen)
    free = np.flatnonzero(distance > REACH * sigma)
    share = min(1.0, covered / possible)
    reasons = [f"{covered} of {total} true points have a generated point within one bandwidth"]
    near = bool(np.any(np.abs(distance / sigma - 1) < 1e-2)) and share < 1
    if len(free) == len(points):
        reasons.append("no generated point is within three bandwidths of the data: their gradients vanish")
        return Landscape(Outcome.UNINFORMATIVE, "stalled", 1 - share, tuple(reasons), near, covered, ())
    if len(free):
        reasons.append(f"{len(free)} of {len(points)} generated points are beyond three bandwidths of all data")
    if share < 1:
        detail = "mode_collapse" if share <= 0.5 else "partially_collapsed"
        return Landscape(Outcome.COLLAPSED, detail, 1 - share, tuple(reasons), near, covered, ())
    split = _split(game, points, mass)
    if split:
        short = int(np.sum(mass < game.real_mass * (1 - 1e-9)))
        reasons.append(
            f"surplus points stand apart around {len(split)} true point{'s' * (len(split) > 1)}, {short} lack mass"
        )
        return Landscape(Outcome.COLLAPSED, "moved_to(split)", float("nan"), tuple(reasons), near, covered, split)
    if len(free):
        return Landscape(Outcome.COLLAPSED, "partial", len(free) / len(points), tuple(reasons), near, covered, ())
    return Landscape(Outcome.CONVERGED, "converging", share, tuple(reasons), near, covered, ())


def _split(game: "KernelGAN", points: Array, mass: Array) -> tuple[int, ...]:
    """Isolated true points with more mass than their own, held by points that stand apart from each other."""
    sigma = game.bandwidth
    if isolation(game.real_points) <= REACH * sigma:
        return ()
    distance, nearest = cKDTree(game.real_points).query(points)
    found = []
    for place in np.flatnonzero(mass > game.real_mass * (1 + 1e-9)):
        here = points[(nearest == place) & (distance <= REACH * sigma)]
        if len(here) > 1 and np.max(np.ptp(here, axis=0)) > _APART * sigma:
            found.append(int(place))
    return tuple(found)
