"""What the solvable model's claims share: a generic start, packed states, and comparisons."""

from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from ganscope.games.solvable.model import SolvableGAN
from ganscope.games.solvable.state import MacroState

Array = npt.NDArray[np.float64]

# Overlaps far from any symmetry; r = P'q = (0.1, 0.08), S = I, z = 1.
GENERIC = MacroState([[0.3, 0.1], [0.05, 0.25]], [0.3, 0.2])


def generic_game(**parameters: Any) -> SolvableGAN:
    """Strengths (5, 3), noise 2, default learning rates, from the generic start."""
    return SolvableGAN(**{"initial": GENERIC, **parameters})


def packed(run: xr.Dataset) -> Array:
    """Overlaps of a run as rows of numbers: P row-major, q, r, S row-major, z; shape `[..., time, size]`."""
    lead = run.z.shape
    parts = [run[name].values.reshape(*lead, -1) for name in ("P", "q", "r", "S", "z")]
    return np.concatenate(parts, axis=-1)


def within(measured: Any, expected: Any, tolerance: Any) -> bool:
    """Whether numbers agree, each within an absolute tolerance; False if one is not finite."""
    return bool(np.all(np.abs(np.subtract(measured, expected)) <= tolerance))
