"""What a run of particles on a circle shows: positions, coefficients, order parameters, and the verdict on it."""

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ganscope.core.errors import ParameterError
from ganscope.core.game import Request, Variable
from ganscope.core.outcome import Verdict, Verdicts, vote
from ganscope.core.results import stacked, varied_values
from ganscope.games.particle.motion import wander
from ganscope.games.particle.order_parameters import CAPTURE_SHARE, order_parameters
from ganscope.games.particle.torus.fourier import PERIOD, mode_centres, target_variance
from ganscope.games.particle.verdict import classify_runs, classify_series

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
    _check(run)
    if "replica" in run.dims:
        return vote([_classify_one(game, run.isel(replica=i)) for i in range(run.sizes["replica"])])
    return _classify_one(game, run)


def classify_cells(game: "TorusGAN", run: Any) -> Verdicts:
    """The verdicts on all cells of a batch, as `classify` gives them.

    Raises:
        ParameterError: If the run lacks a variable that the verdict is made of.
    """
    _check(run)
    widths = varied_values(run).get("mode_width", np.full(run.sizes["cell"], game.mode_width))
    variances = np.array([target_variance(game.modes, float(width)) for width in widths])
    variances = np.repeat(variances, run.sizes.get("replica", 1))
    positions, series = _judged(run, variances)
    scales = np.array([_scale(variance) for variance in variances.tolist()])
    middle = np.zeros((len(positions), 1))
    return classify_runs(positions, series, middle, scales, game.modes, run.sizes["cell"], periodic=True)


def _check(run: Any) -> None:
    for name in ("positions", *_JUDGED):
        if name not in run or "time" not in run[name].dims:
            raise ParameterError("run", list(run.data_vars), f"a run of the torus GAN, with {name} over time")


def _classify_one(game: "TorusGAN", run: Any) -> Verdict:
    variance = target_variance(game.modes, game.mode_width)
    positions, series = _judged(run, np.array([variance]))
    return classify_series(
        positions=positions[0],
        **{name: values[0] for name, values in series.items()},
        target_mean=0.0,
        scale=_scale(variance),
        modes=game.modes,
        periodic=True,
    )


def _judged(run: Any, variances: Array) -> tuple[Array, dict[str, Array]]:
    """Positions `[runs, time, particle, 1]` and series of all cells and replicas of a run, one after the other."""
    positions = stacked(run, "positions", "time", "particle")
    positions = positions.reshape(-1, *positions.shape[2:])
    series = {name: stacked(run, name, "time").reshape(len(positions), -1) for name in _JUDGED}
    points = np.flatnonzero(variances == 0)
    if len(points):  # the target is a point: the circular variance itself is the spread
        series["spread"] = series["spread"].copy()
        series["spread"][points] = 1 - np.abs(np.mean(np.exp(1j * positions[points]), axis=-1)) ** 2
    return positions[..., None], series
