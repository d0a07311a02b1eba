"""How a grid is cut into tiles, each of which is a whole number of chunks of the store."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Tiling:
    """A grid and the tiles that cover it, numbered in the order of the raveled grid of tiles.

    Attributes:
        shape: Of the grid.
        tile: Shape of a tile; the last one along an axis may be cut off.
    """

    shape: tuple[int, ...]
    tile: tuple[int, ...]

    @property
    def counts(self) -> tuple[int, ...]:
        """Tiles along every axis."""
        return tuple(-(-n // t) for n, t in zip(self.shape, self.tile, strict=True))

    def __len__(self) -> int:
        return math.prod(self.counts)

    def corner(self, number: int) -> tuple[int, ...]:
        """Where a tile stands in the grid of tiles."""
        return tuple(int(k) for k in np.unravel_index(number, self.counts))

    def ranges(self, number: int) -> tuple[npt.NDArray[np.int64], ...]:
        """Positions that a tile takes on every axis."""
        return tuple(
            np.arange(k * t, min((k + 1) * t, n), dtype=np.int64)
            for k, t, n in zip(self.corner(number), self.tile, self.shape, strict=True)
        )

    def block_shape(self, number: int) -> tuple[int, ...]:
        """Cells of a tile along every axis."""
        return tuple(len(r) for r in self.ranges(number))

    def cells(self, number: int) -> npt.NDArray[np.int64]:
        """Numbers of a tile's cells in the raveled grid."""
        grid = np.meshgrid(*self.ranges(number), indexing="ij")
        return np.ravel_multi_index([g.ravel() for g in grid], self.shape).astype(np.int64)

    def spread_out(self) -> list[int]:
        """All tiles, in an order in which the first ones already lie all over the grid."""
        count = len(self)
        bits = max(1, (count - 1).bit_length())
        number = np.arange(1 << bits, dtype=np.int64)
        reverse = np.zeros_like(number)
        for k in range(bits):
            reverse |= ((number >> k) & 1) << (bits - 1 - k)
        return [int(k) for k in reverse if k < count]


def choose_tile(shape: tuple[int, ...], grouped: list[int], cells: int, at_most: int) -> tuple[int, ...]:
    """A tile of about `cells` cells.

    Axes that one batch call can vary are filled first, the others only when those are used up, so that a tile is one
    call where that is possible. `at_most` bounds the cells of a tile.
    """
    tile = [1] * len(shape)
    wanted = max(1, min(cells, at_most))
    order = [k for k in range(len(shape)) if k not in grouped]
    for axes in (order, grouped):
        room = wanted // math.prod(tile)
        for place, k in enumerate(sorted(axes, key=lambda k: shape[k])):
            side = max(1, round(room ** (1 / (len(axes) - place))))
            tile[k] = _even(shape[k], min(side, shape[k]))
            room = max(1, room // tile[k])
    return tuple(tile)


def _even(length: int, side: int) -> int:
    """A side that cuts a length into equal parts, as nearly as possible."""
    return -(-length // -(-length // side))
