"""The product's confidences and its baseline, from finished units of the suite."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ganscope.claims.suite.distribution import ITERATIONS, Configuration
from ganscope.claims.suite.folder import VERDICT, read_units
from ganscope.claims.suite.statistics import fitted_logistic
from ganscope.claims.suite.verdict_scores import Unit, measured_cells
from ganscope.claims.suite.verdicts import CHECKPOINTS
from ganscope.core.store import write_text
from ganscope.diagnose.theory.hyper_parameters import NAMES, features

# Shares of fewer cases than this say nothing.
_FEWEST = 5


def write_calibration(folders: Sequence[str | Path], path: str | Path) -> None:
    """Write the calibration of run folders as the data file that the diagnosis reads."""
    units = [unit for folder in folders for unit in read_units(folder, VERDICT, ["main"])]
    write_text(Path(path), json.dumps(calibrated(units), indent=1) + "\n")


def calibrated(units: Sequence[Unit]) -> dict[str, Any]:
    """Measured shares by margin and checkpoint, and a regression on hyper-parameters.

    Args:
        units: Finished verdict units of the main axis.
    """
    cells = [
        {
            "leaning": cell.leaning,
            "least": cell.least,
            "most": cell.most if math.isfinite(cell.most) else None,
            "progress": cell.progress,
            "share": cell.share,
            "cases": cell.cases[0],
        }
        for cell in measured_cells(units, CHECKPOINTS, ITERATIONS)
        if cell.cases[0] >= _FEWEST
    ]
    known = np.array([_features(unit) for unit in units])
    fitted = fitted_logistic(known, np.array([unit["observed"]["outcome"] != "converged" for unit in units]))
    seeds = list(dict.fromkeys(str(unit["configuration"]["seed"]) for unit in units))
    return {
        "source": f"this project's benchmark, {len(units)} small GANs, {'seeds' if len(seeds) > 1 else 'seed'} "
        + " and ".join(seeds),
        "cells": cells,
        "hyper_parameters": {
            "names": list(NAMES),
            "centre": fitted.centre.tolist(),
            "scale": fitted.scale.tolist(),
            "weights": fitted.weights.tolist(),
        },
    }


def _features(unit: Unit) -> Any:
    configuration = Configuration(**unit["configuration"])
    gamma = configuration.gamma if configuration.penalty == "r1" else 0.0
    return features(configuration.rule, gamma, unit["data_radius"])
