"""What a run of particles on a circle shows: positions, coefficients, order parameters, and the verdict on it."""

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ganscope.core.errors import ParameterError
from ganscope.core.game import Request, Variable
from ganscope.core.outcome import Verdict, vote
from ganscope.games.particle.motion import wander
from ganscope.games.particle.order_parameters import CAPTURE_SHARE, order_parameters
from ganscope.games.particle.torus.fourier import PERIOD, mode_centres, target_variance
from ganscope.games.particle.verdict import classify_series

if TYPE_CHECKING:
    from ganscope.games.particle.torus.model import TorusGAN

Array = npt.NDArray[np.float64]

_JUDGED = ("soft_coverage", "spread", "coverage", "quality", "wander")


def observed(
    game: "TorusGAN", request: Request, positions: Array, coefficients: npt.NDArray[np.complex128]
) -> dict[str, Variable]:
    """Variables of a run; a state that is not finite is NaN, and so is everything after it."""
    lost = ~(np.all(np.isfinite(positions), axis=-1) & np.all(np.isfinite(coefficients), axis=-1))
    lost = np.maximum.accumulate(lost, axis=2)
    positions[lost], coefficients[lost] = np.nan, np.nan
    variables: dict[str, Variable] = {
        "positions": (("time", "particle"), positions),
        "discriminator": (("time", "frequency"), coefficients),
    }
    widths = request.over.get("mode_width", np.full(request.cells, game.mode_width))
    scales = np.array([[_capture_radius(game.modes, w), target_variance(game.modes, w)] for w in widths])
    for scale in np.unique(scales, axis=0):
        cells = np.flatnonzero(np.all(scales == scale, axis=1))
        for name, values in _observables(game, request.schedule.times, positions[cells], *scale).items():
            dims = ("time", "mode") if name == "occupancy" else ("time",)
            if name not in variables:
                variables[name] = (dims, np.empty((request.cells, *values.shape[1:])))
            variables[name][1][cells] = values
    return variables


def _capture_radius(modes: int, mode_width: float) -> float:
    return max(3 * mode_width, CAPTURE_SHARE * PERIOD / modes)


def _observables(
    game: "TorusGAN", times: Array, positions: Array, capture_radius: float, variance: float
) -> dict[str, Array]:
    """Order parameters with distances along the circle, by name, from positions `[..., time, particle]`."""
    known = order_parameters(positions, mode_centres(game.modes), capture_radius, variance or None, PERIOD)
    return {**known._asdict(), "wander": wander(times, positions[..., None], _scale(variance))}


def _scale(variance: float) -> float:
    """Unit of `wander`: the root of the target's circular variance, 1 for a target that is a single point."""
    return math.sqrt(variance) if variance > 0 else 1.0


def classify(game: "TorusGAN", run: Any) -> Verdict:
    """The verdict on a run; replicas are judged one by one and vote.

    Raises:
        ParameterError: If the run lacks a variable that the verdict is made of.
    """
    for name in ("positions", *_JUDGED):
        if name not in run or "time" not in run[name].dims:
            raise ParameterError("run", list(run.data_vars), f"a run of the torus GAN, with {name} over time")
    if "replica" in run.dims:
        return vote([_classify_one(game, run.isel(replica=i)) for i in range(run.sizes["replica"])])
    return _classify_one(game, run)


def _classify_one(game: "TorusGAN", run: Any) -> Verdict:
    series = {name: run[name].values for name in _JUDGED}
    if target_variance(game.modes, game.mode_width) == 0:
        # the target is a point: the circular variance itself is the spread
        gone = np.exp(1j * run.positions.transpose("time", "particle").values)
        series["spread"] = 1 - np.abs(np.mean(gone, axis=1)) ** 2
    return classify_series(
        positions=run.positions.transpose("time", "particle").values,
        **series,
        target_mean=0.0,
        scale=_scale(target_variance(game.modes, game.mode_width)),
        modes=game.modes,
        periodic=True,
    )
