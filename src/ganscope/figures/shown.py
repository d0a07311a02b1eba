"""A run as it is drawn: its colour, mark and label, and how far it goes."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import xarray as xr
from matplotlib.artist import Artist

from ganscope.figures import style

Array = npt.NDArray[np.float64]

# Variables that say where the generator is; a run has one of them.
_STATES = ("positions", "generated_points", "generator", "mean")


@dataclass(frozen=True)
class Shown:
    """One run as it is drawn.

    Attributes:
        run: The data set.
        times: Shape `[records]`.
        marker: Of its points; None draws lines, for theory.
        colour: Of the run.
        label: In the legend.
    """

    run: xr.Dataset
    times: Array
    marker: str | None
    colour: str
    label: str

    @property
    def entry(self) -> Artist:
        """Its legend entry."""
        if self.marker is None:
            return style.sample_line(self.label, self.colour)
        return style.sample_points(self.label, self.marker, self.colour)

    @property
    def state(self) -> xr.DataArray:
        """Where the generator is."""
        return self.run[next(name for name in _STATES if name in self.run)]

    @property
    def whole(self) -> bool:
        """Whether all of it is finite."""
        return bool(np.all(np.isfinite(self.state.values)))

    @property
    def last(self) -> int:
        """The last record in which the state of the first replica is finite; 0 if there is none."""
        values = first_replica(self.run)[self.state.name].transpose("time", ...).values
        finite = np.isfinite(values.reshape(len(self.times), -1)).all(axis=1)
        return int(np.flatnonzero(finite)[-1]) if finite.any() else 0


def first_replica(run: xr.Dataset) -> xr.Dataset:
    """A run, or its first replica."""
    return run.isel(replica=0) if "replica" in run.dims else run
