"""Adaptive refinement of a plane of outcomes: only cells whose corners differ are divided, down to a resolution.

The plane is a lattice of (size + 1)^2 points with integer coordinates; a cell is a square (i, j, side) whose side is a
power of two. Dividing a cell asks for its centre and the middles of its sides. A middle that differs from what the
undivided cell beside it assumes divides that cell as well, so that a boundary is never lost between a fine and a coarse
cell. What is asked for in one round is asked for at once.

With several votes per point the outcome of a point is what most votes say, and a cell whose corners differ no more than
chance makes them is not divided: there the lattice is finer than the width over which the votes change.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

Place = tuple[int, int]
Cell = tuple[int, int, int]
# One outcome per replica; a single one without replicas.
Votes = tuple[str, ...]
Evaluator = Callable[[Sequence[Place]], Sequence[Votes]]

# 95 % quantile of the chi-squared distribution with three degrees of freedom: four corners and their mean.
_CHANCE = 7.815


@dataclass
class Refined:
    """A refined plane.

    Attributes:
        size: Cells of the finest lattice along every axis.
        between: The two outcomes whose boundary is followed; None for any two.
        votes: Of every point that was asked for, in the order of asking.
        labels: The outcome of every such point.
        leaves: Undivided cells.
        complete: Whether refinement ended by itself rather than by the limit on evaluations.
    """

    size: int
    between: tuple[str, str] | None
    votes: dict[Place, Votes] = field(default_factory=dict)
    labels: dict[Place, str] = field(default_factory=dict)
    leaves: set[Cell] = field(default_factory=set)
    complete: bool = True

    def differ(self, first: str, second: str) -> bool:
        """Whether a boundary that counts runs between two outcomes."""
        if self.between is None:
            return first != second
        return {first, second} == set(self.between)

    def side(self, start: Place, stop: Place) -> list[Place]:
        """The points that are known on a side of a cell, in order."""
        middle = ((start[0] + stop[0]) // 2, (start[1] + stop[1]) // 2)
        if max(abs(stop[0] - start[0]), abs(stop[1] - start[1])) < 2 or middle not in self.labels:
            return [start, stop]
        return self.side(start, middle)[:-1] + self.side(middle, stop)

    def outline(self, cell: Cell) -> list[Place]:
        """The known points around a cell, anticlockwise from its lower corner, which comes first only."""
        corners = corners_of(cell)
        sides = [self.side(a, b) for a, b in zip(corners, [*corners[1:], corners[0]], strict=True)]
        return [point for side in sides for point in side[:-1]]

    def is_mixed(self, cell: Cell) -> bool:
        """Whether a boundary that counts runs through a cell."""
        seen = {self.labels[point] for point in self.outline(cell)}
        return len(seen) > 1 if self.between is None else seen >= set(self.between)


def corners_of(cell: Cell) -> list[Place]:
    """The corners of a cell, anticlockwise from the lower one."""
    i, j, side = cell
    return [(i, j), (i + side, j), (i + side, j + side), (i, j + side)]


def majority(votes: Votes) -> str:
    """What most votes say; of equally frequent outcomes the first by name."""
    if len(votes) == 1:
        return votes[0]
    return min(Counter(votes).items(), key=lambda item: (-item[1], item[0]))[0]


def refine(
    evaluate: Evaluator,
    size: int,
    coarse: int,
    between: tuple[str, str] | None = None,
    most_evaluations: int | None = None,
    told: Callable[[int, int], None] | None = None,
) -> Refined:
    """Refine a plane of outcomes.

    Args:
        evaluate: The votes at some points, all asked for at once; every point is asked for once.
        size: Cells of the finest lattice along every axis, a power of two.
        coarse: Cells of the first lattice, a power of two of at most `size`; a region that is thinner than its cells
            may be missed.
        between: The outcomes whose boundary matters; None for any two.
        most_evaluations: Stop before more points than this would be asked for; None for no limit.
        told: Called after every round with the number of points and the side of the smallest cells.
    """
    plane = Refined(size, between)
    step = size // coarse
    ticks = range(0, size + 1, step)
    _ask(plane, evaluate, [(i, j) for i in ticks for j in ticks])
    plane.leaves = {(i, j, step) for i in ticks[:-1] for j in ticks[:-1]}
    waiting = {cell for cell in plane.leaves if _worth(plane, cell)}
    while waiting:
        children = [child for cell in sorted(waiting) for child in _quarters(cell)]
        corners = (point for child in children for point in corners_of(child))
        new = [point for point in dict.fromkeys(corners) if point not in plane.labels]
        if most_evaluations is not None and len(plane.labels) + len(new) > most_evaluations:
            plane.complete = False
            break
        _ask(plane, evaluate, new)
        plane.leaves -= waiting
        plane.leaves |= set(children)
        beside = {cell for point in new for cell in _around(plane, point, step)}
        waiting = {cell for cell in beside | set(children) if _worth(plane, cell)}
        if told is not None:
            told(len(plane.labels), min((cell[2] for cell in children), default=1))
    return plane


def absorb_isolated(plane: Refined) -> int:
    """Give single points of the finest lattice the outcome around them; returns how many there were.

    A point that stands alone along both axes is no region at this resolution: it lies exactly on a boundary, where
    theory calls a case marginal, or it is a speck of a verdict that could not decide.
    """
    changed: dict[Place, str] = {}
    for (i, j), label in plane.labels.items():
        beside = [plane.labels.get(point) for point in ((i - 1, j), (i + 1, j), (i, j - 1), (i, j + 1))]
        known = [other for other in beside if other is not None]
        if len(known) > 2 and label not in known:
            changed[i, j] = majority(tuple(known))
    plane.labels.update(changed)
    return len(changed)


def _ask(plane: Refined, evaluate: Evaluator, points: Sequence[Place]) -> None:
    if not points:
        return
    for point, votes in zip(points, evaluate(points), strict=True):
        plane.votes[point] = votes
        plane.labels[point] = majority(votes)


def _quarters(cell: Cell) -> Iterator[Cell]:
    i, j, side = cell
    half = side // 2
    for a in (i, i + half):
        for b in (j, j + half):
            yield a, b, half


def _around(plane: Refined, point: Place, largest: int) -> Iterator[Cell]:
    """The leaves that a point lies in or on."""
    for a in (point[0] - 1, point[0]):
        for b in (point[1] - 1, point[1]):
            side = 1
            while side <= largest:
                cell = (a // side * side, b // side * side, side)
                if cell in plane.leaves:
                    yield cell
                    break
                side *= 2


def _worth(plane: Refined, cell: Cell) -> bool:
    """Whether a cell shall be divided."""
    return cell[2] > 1 and plane.is_mixed(cell) and not _by_chance(plane, cell)


def _by_chance(plane: Refined, cell: Cell) -> bool:
    """Whether the votes at the corners differ no more than draws of equal chances do."""
    corners = [plane.votes[point] for point in corners_of(cell)]
    replicas = len(corners[0])
    if replicas == 1:
        return False
    hits = np.array([share_of(votes, second(plane, corners)) * replicas for votes in corners])
    share = float(np.mean(hits)) / replicas
    if share in (0.0, 1.0):  # the corners agree, the points between them do not
        return False
    return float(np.sum((hits - replicas * share) ** 2)) / (replicas * share * (1 - share)) < _CHANCE


def second(plane: Refined, votes: Iterable[Votes]) -> str:
    """The outcome that is counted: the second of the two, or what most votes say."""
    if plane.between is not None:
        return plane.between[1]
    return Counter(vote for some in votes for vote in some).most_common(1)[0][0]


def share_of(votes: Votes, outcome: str) -> float:
    """Share of the votes for an outcome."""
    return votes.count(outcome) / len(votes)
