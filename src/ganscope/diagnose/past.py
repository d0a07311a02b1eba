"""The run so far, in whatever form the user has it."""

import dataclasses
from typing import Any

import numpy as np
import xarray as xr

from ganscope.core.errors import ParameterError
from ganscope.diagnose.monitoring.monitor import Monitor
from ganscope.diagnose.samples.history import History


def history_of(given: Any, axes: int | None, data_radius: float) -> History | None:
    """What was given of the run so far, as records of outputs; a monitor remembers centres alone.

    Args:
        given: Records `[records, latents, d]`, a training run, a History, a Monitor, or None.
        axes: d of the game's samples, if known.
        data_radius: R.

    Raises:
        ParameterError: If it is something else, or of other samples.
    """
    if given is None:
        return None
    if isinstance(given, History):
        return _fitting(given, axes)
    if isinstance(given, Monitor):
        centres = given.centres  # of which wander is made: as good as one sample per record
        return History(centres[:, None], data_radius) if centres.size else None
    if isinstance(given, xr.Dataset):
        if "generated_points" not in given:
            raise ParameterError("history", list(given.data_vars), "a run of level 'training'")
        if set(given["generated_points"].dims) != {"time", "sample", "axis"}:
            raise ParameterError("history", given["generated_points"].dims, "one run: select a cell and a replica")
        points = given["generated_points"].transpose("time", "sample", "axis").values
        return _fitting(History(points, data_radius), axes)
    try:
        outputs = np.asarray(given, np.float64)
    except (TypeError, ValueError):
        raise ParameterError(
            "history", type(given).__name__, "an array (records, latents, d), a run or a Monitor"
        ) from None
    return _fitting(
        History(outputs.reshape(*outputs.shape[:2], -1) if outputs.ndim > 3 else outputs, data_radius), axes
    )


def _fitting(history: History, axes: int | None) -> History:
    """A history of samples of the game's own dimension."""
    if axes is not None and history.outputs.shape[2] != axes:
        raise ParameterError("history", f"samples with {history.outputs.shape[2]} axes", f"samples with {axes}")
    return history


def readings_of(given: Any) -> list[dict[str, Any]]:
    """The readings of a monitor, as plain values."""
    return [dataclasses.asdict(one) for one in given.history] if isinstance(given, Monitor) else []
