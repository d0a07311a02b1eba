"""Generated samples at fixed latents over a run's last records: where they are, how they move, how far they wander."""

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ganscope.diagnose.samples.history import wander

Array = npt.NDArray[np.float64]

# Records over which wander is observed, and the fewest that tell anything.
WINDOW, _FEWEST = 20, 5
# Centres of mass with more coordinates are not written down.
_LARGEST_WRITTEN = 64


class OutputTrail:
    """The last records of a run.

    Args:
        real: Real samples `[n, d]`.
        data_radius: R.
    """

    def __init__(self, real: Array, data_radius: float) -> None:
        self._mean, self._variance = real.mean(axis=0), float(real.var(axis=0).sum())
        self._radius = data_radius
        self._centres: deque[Array] = deque(maxlen=WINDOW)
        self._last: Array | None = None
        self._speed: float | None = None
        self.records = 0

    def seen(self, outputs: Array) -> dict[str, float]:
        """Spread and centre of samples `[latents, d]`."""
        with np.errstate(all="ignore"):
            centre = outputs.mean(axis=0)
            return {
                "spread": float(outputs.var(axis=0).sum()) / self._variance,
                "centre": float(np.linalg.norm(centre - self._mean)) / self._radius,
            }

    def add(self, outputs: Array) -> dict[str, Any]:
        """Record samples; returns what of it is to be written down."""
        with np.errstate(all="ignore"):
            if self._last is not None:
                moves = np.sum((outputs - self._last) ** 2, axis=1)
                self._speed = float(np.sqrt(np.mean(moves))) / self._radius
            self._last = outputs
            centre = outputs.mean(axis=0)
        self._centres.append(centre)
        self.records += 1
        return {"centre_of_mass": centre.tolist()} if len(centre) <= _LARGEST_WRITTEN else {}

    def motion(self) -> dict[str, float | None]:
        """Speed since the last record; wander over the last ones, and its growth between their halves."""
        path = np.array(self._centres) / self._radius
        if len(path) < _FEWEST:
            return {"speed": self._speed}
        half = len(path) // 2
        before, after = wander(path[:half]), wander(path[half:])
        growth = after / before if before > 0 and len(path) >= 2 * _FEWEST else None
        return {"speed": self._speed, "observed_wander": wander(path), "wander_growth": growth}

    def restore(self, entries: Iterable[Mapping[str, Any]]) -> None:
        """Records as an earlier process wrote them down."""
        written = [entry["centre_of_mass"] for entry in entries if "centre_of_mass" in entry]
        self._centres = deque((np.asarray(c, np.float64) for c in written), maxlen=WINDOW)
        self.records, self._last, self._speed = len(written), None, None
