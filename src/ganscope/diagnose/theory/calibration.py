"""How often verdicts were right: measured shares, by phase of training and distance from the threshold.

The numbers are data, not a model: each cell says in what share of the cases a forecast with this margin was right.
"""

import functools
import json
import math
from dataclasses import dataclass
from importlib import resources
from typing import Any

from ganscope.diagnose.theory.hyper_parameters import NAMES, Baseline

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


@functools.cache
def _shipped() -> dict[str, Any]:
    """The table that the benchmark wrote; a data file, so that running it again replaces it."""
    text = resources.files("ganscope.diagnose.theory").joinpath("calibration.json").read_text(encoding="utf-8")
    told: dict[str, Any] = json.loads(text)
    return told


@functools.cache
def shipped_calibration() -> Calibration:
    """Measured shares of the project's own benchmark."""
    told = _shipped()
    cells = (
        Cell(c["leaning"], c["least"], math.inf if c["most"] is None else c["most"], c["progress"], c["share"],
             (c["cases"], c["cases"]))
        for c in told["cells"]
    )  # fmt: skip
    return Calibration(told["source"], tuple(cells))


@functools.cache
def shipped_baseline() -> Baseline:
    """What hyper-parameters alone say, fitted on the runs of the same benchmark."""
    told = _shipped()["hyper_parameters"]
    if tuple(told["names"]) != NAMES:
        raise RuntimeError("calibration.json belongs to other features: run the benchmark with --calibrate")
    return Baseline(tuple(told["centre"]), tuple(told["scale"]), tuple(told["weights"]))
