"""A run's own recent past: generated samples at fixed latents, and how far their centre of mass wanders.

wander = sqrt(sum over axes of the variance over time of the centre of mass) / R,   R = data radius.
"""

import functools
import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ganscope.core.checks import number
from ganscope.core.errors import ParameterError

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class History:
    """Equally spaced records of a run, oldest first.

    Args:
        outputs: Generated samples at fixed latents, `[records, latents, d]`; NaN or infinite where the run broke down.
        data_radius: R = sqrt(trace Cov(data)).
        largest_generator_gradient: Largest norm so far of the generator's gradient, if it was followed.
    """

    outputs: Array
    data_radius: float
    largest_generator_gradient: float | None = None

    def __post_init__(self) -> None:
        outputs = np.asarray(self.outputs, np.float64)
        if outputs.ndim != 3 or outputs.size == 0:
            raise ParameterError("outputs", f"shape {outputs.shape}", "an array of shape (records, latents, axes)")
        number("data_radius", self.data_radius, above=0)
        object.__setattr__(self, "outputs", outputs)

    @property
    def records(self) -> int:
        """Number of records."""
        return len(self.outputs)

    @functools.cached_property
    def finite(self) -> bool:
        """Whether no record broke down."""
        return bool(np.all(np.isfinite(self.outputs)))

    @functools.cached_property
    def centre(self) -> Array:
        """Centre of mass in data radii, `[records, d]`."""
        with np.errstate(all="ignore"):
            centre: Array = self.outputs.mean(axis=1) / self.data_radius
        return centre

    @property
    def observed_wander(self) -> float:
        """Wander over the last half of the records; NaN with fewer than four."""
        return wander(self.centre[self.records // 2 :]) if self.records >= 4 else math.nan

    @property
    def growth_per_quarter(self) -> float:
        """Factor by which wander grows from quarter to quarter of the last half, geometric mean; NaN if too short."""
        window = self.centre[self.records // 2 :]
        if len(window) < 8:
            return math.nan
        quarters = [wander(part) for part in np.array_split(window, 4)]
        first, last = quarters[0], quarters[-1]
        if not (math.isfinite(first) and math.isfinite(last)) or first == 0:
            return math.nan if first == 0 and last == 0 else math.inf
        return float((last / first) ** (1 / 3))


def wander(centre: Array) -> float:
    """Root of the summed variances over time of a path `[records, d]`; infinite if it left the numbers."""
    with np.errstate(all="ignore"):
        total = float(centre.var(axis=0).sum())
    return math.sqrt(total) if math.isfinite(total) else math.inf
