"""A batch of cells: their parameters, their course in time, and what is recorded of them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Cells:
    """Parameters of a batch of cells, each with a leading axis `[cells]`.

    Attributes:
        bandwidth, regularization, generator_lr, discriminator_lr: Shape `[cells]`.
        start: Shape `[cells, M, axes]`.
    """

    bandwidth: Array
    regularization: Array
    generator_lr: Array
    discriminator_lr: Array
    start: Array

    def __len__(self) -> int:
        return len(self.bandwidth)

    def __getitem__(self, which: Any) -> "Cells":
        return Cells(*(getattr(self, name)[which] for name in self.__dataclass_fields__))


@dataclass
class Record:
    """What is recorded of a batch: points `[cells, records, M, axes]`, squared MMD and gap `[cells, records]`."""

    points: Array
    mmd2: Array
    gap: Array

    @classmethod
    def empty(cls, cells: int, records: int, shape: tuple[int, ...]) -> "Record":
        return cls(*(np.full((cells, records, *more), np.nan) for more in (shape, (), ())))

    def put(self, which: Any, other: "Record") -> None:
        """Take over what was recorded of some of the cells."""
        for mine, theirs in ((self.points, other.points), (self.mmd2, other.mmd2), (self.gap, other.gap)):
            mine[which] = theirs


@dataclass(frozen=True)
class Course:
    """When a batch is recorded and how it moves in between.

    Attributes:
        counts: Steps done by every record, `[cells, records]`.
        pace: Share of an iteration that a step before every record is, `[cells, records]`: 1 for rules, less for the
            flow.
        rule, momentum: As in `simulate`.
    """

    counts: npt.NDArray[np.int64]
    pace: Array
    rule: str
    momentum: float

    def __getitem__(self, which: Any) -> "Course":
        return Course(self.counts[which], self.pace[which], self.rule, self.momentum)
