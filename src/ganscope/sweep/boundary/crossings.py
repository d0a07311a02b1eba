"""Curves through a refined plane of outcomes: where lattice lines cross a boundary, and in which order.

A crossing lies on a lattice line, between two neighbouring points of different outcomes: the boundary passes there, and
half of that interval is the error, along this line. Crossings that share a cell are neighbours on the curve.
"""

from collections import defaultdict
from dataclasses import dataclass

from ganscope.sweep.boundary.refinement import Cell, Place, Refined

Edge = tuple[Place, Place]


@dataclass(frozen=True)
class Crossing:
    """Where a lattice line crosses a boundary; lattice units.

    Attributes:
        axis: 0 if the line runs along x, 1 along y.
        line: Coordinate of the line on the other axis.
        low, high: Ends of the interval on the line that brackets the crossing.
        outcomes: Outcomes on the curve's two sides.
    """

    axis: int
    line: float
    low: float
    high: float
    outcomes: tuple[str, str]

    @property
    def centre(self) -> tuple[float, float]:
        """Middle of the bracket, as (x, y)."""
        middle = (self.low + self.high) / 2
        return (middle, self.line) if self.axis == 0 else (self.line, middle)


@dataclass(frozen=True)
class Segment:
    """A connected piece of a boundary, in order; `closed` if its end meets its beginning."""

    crossings: list[Crossing]
    closed: bool


def edges_of(plane: Refined, cell: Cell) -> list[Edge]:
    """The pieces of a cell's outline that a boundary crosses, anticlockwise, each from its lower end."""
    points = plane.outline(cell)
    pieces = zip(points, [*points[1:], points[0]], strict=True)
    return [(min(a, b), max(a, b)) for a, b in pieces if plane.differ(plane.labels[a], plane.labels[b])]


def curves(plane: Refined) -> list[Segment]:
    """The boundary as ordered pieces, the longest first; every piece separates the same two outcomes throughout."""
    neighbours: dict[Edge, list[Edge]] = defaultdict(list)
    for cell in sorted(plane.leaves):
        if not plane.is_mixed(cell):
            continue
        groups: dict[frozenset[str], list[Edge]] = defaultdict(list)
        for edge in edges_of(plane, cell):
            neighbours.setdefault(edge, [])
            groups[_pair(plane, edge)].append(edge)
        for group in groups.values():
            for a, b in zip(group[::2], group[1::2], strict=False):
                neighbours[a].append(b)
                neighbours[b].append(a)
    walks = _walks(neighbours)
    segments = [Segment(_crossings(plane, walk), closed) for walk, closed in walks]
    return sorted(segments, key=lambda segment: -len(segment.crossings))


def _pair(plane: Refined, edge: Edge) -> frozenset[str]:
    return frozenset(plane.labels[point] for point in edge)


def _walks(neighbours: dict[Edge, list[Edge]]) -> list[tuple[list[Edge], bool]]:
    """Paths through a graph in which nobody has more than two neighbours: from loose ends first, then loops."""
    left = dict.fromkeys(sorted(neighbours))
    ends = [edge for edge in left if len(neighbours[edge]) < 2]
    found = []
    for start in [*ends, *list(left)]:
        if start not in left:
            continue
        walk, here = [start], start
        del left[start]
        while True:
            ahead = [edge for edge in neighbours[here] if edge in left]
            if not ahead:
                break
            here = ahead[0]
            del left[here]
            walk.append(here)
        found.append((walk, len(walk) > 2 and start in neighbours[here]))
    return found


def _crossings(plane: Refined, walk: list[Edge]) -> list[Crossing]:
    outcomes = plane.between or (plane.labels[walk[0][0]], plane.labels[walk[0][1]])
    return [_crossing(edge, outcomes) for edge in walk]


def _crossing(edge: Edge, outcomes: tuple[str, str]) -> Crossing:
    (x, y), (u, v) = edge
    if y == v:
        return Crossing(0, y, x, u, outcomes)
    return Crossing(1, x, y, v, outcomes)
