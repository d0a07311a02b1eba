"""How often verdicts were right: measured shares, by phase of training and distance from the threshold.

The numbers are data, not a model: each cell says in what share of the cases a forecast with this margin was right.
"""

import math
from dataclasses import dataclass

CONVERGING, NOT_CONVERGING = "converging", "not converging"


@dataclass(frozen=True)
class Cell:
    """One measured share.

    Attributes:
        leaning: The forecast, `converging` or `not converging`.
        least, most: Range of |margin|, `least` included.
        progress: Share of the planned iterations at which it was made.
        share: Of the forecasts that were right.
        cases: Smallest and largest possible number of cases behind the share.
    """

    leaning: str
    least: float
    most: float
    progress: float
    share: float
    cases: tuple[int, int]


@dataclass(frozen=True)
class Calibration:
    """A table of measured shares.

    Attributes:
        source: Where they were measured, in words.
        cells: The shares; where none applies there is no confidence to state.
    """

    source: str
    cells: tuple[Cell, ...]

    def confidence(self, leaning: str, margin: float, progress: float | None = None) -> float | None:
        """The share of right forecasts at this margin and phase of training.

        Args:
            leaning: The forecast.
            margin: Of the verdict; its sign does not matter.
            progress: Share of the planned iterations done; None, when it is not known, gives the lowest share of all
                phases.

        Returns:
            A share of the nearest phase (in the logarithm of progress), or None where nothing was measured.
        """
        size = abs(margin)
        known = [cell for cell in self.cells if cell.leaning == leaning and cell.least <= size < cell.most]
        if not known:
            return None
        if progress is None:
            return min(cell.share for cell in known)
        place = math.log(max(progress, 1e-12))
        return min(known, key=lambda cell: abs(math.log(cell.progress) - place)).share


# Scores beyond a factor 2 on either side of the threshold; between them neither forecast could be trusted.
_CLEAR = math.log(2.0)
_PHASES = (0.005, 0.025, 0.1, 0.4)


def _row(leaning: str, shares: tuple[float, ...], cases: tuple[int, int]) -> tuple[Cell, ...]:
    return tuple(
        Cell(leaning, _CLEAR, math.inf, phase, share, cases) for phase, share in zip(_PHASES, shares, strict=True)
    )


CALIBRATION = Calibration(
    source="prototype suite",
    cells=_row(NOT_CONVERGING, (0.88, 0.92, 0.88, 0.88), (26, 46))
    + _row(CONVERGING, (0.78, 0.73, 0.75, 0.83), (16, 29)),
)
