"""What is measured on a run of a `FeatureGAN`, and what its verdict is made of."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ganscope.core.game import Request
from ganscope.games.dualflow import observables
from ganscope.games.dualflow.feature.pair import mean_features
from ganscope.games.dualflow.feature.sums import mean
from ganscope.games.dualflow.game import Tracked
from ganscope.games.kernel.sums import mmd_squared

if TYPE_CHECKING:
    from ganscope.games.dualflow.feature.model import FeatureGAN

Array = npt.NDArray[np.float64]

# Dimensions of the variables that have more than time.
DIMENSIONS = {"occupancy": ("time", "mode")}


@dataclass
class Record:
    """States of a batch of lanes: points `[lanes, records, N, d]`, coefficients `[lanes, records, p]` if there are."""

    points: Array
    coefficients: Array


def observed(game: "FeatureGAN", request: Request, lanes: Any, record: Record) -> dict[str, Array]:
    """What is measured on the points; fills in the best discriminator where the discriminator is fast."""
    points, real, modes = record.points, np.asarray(game.real), game.target_modes
    occupied = observables.occupancy(points, modes)
    found = {
        "occupancy": occupied,
        "mass_coverage": observables.mass_coverage(occupied, modes),
        "dispersion": observables.dispersion(points, real),
        "atoms": observables.atoms(points).astype(np.float64),
        "energy_distance": np.stack([observables.energy_distance(lane, real) for lane in points]),
        "w2": np.stack([observables.w2_over_time(lane, real) for lane in points]),
    }
    if game.axes > 1:
        found["sliced_w2"] = np.stack([observables.sliced_w2_over_time(lane, real) for lane in points])
    penalty = game.column(request, "critic_penalty")[lanes // request.replicas][:, None]
    if game.map is None:
        found["mmd"] = np.sqrt(np.maximum(_mmd_squared(game, points, found["energy_distance"]), 0.0))
        return found
    m = game.map
    target, means = mean_features(m, real), np.empty((*points.shape[:2], m.size))
    for lane in range(len(points)):
        for n in range(points.shape[1]):
            mean(m.kind, points[lane, n], m.table, m.amplitudes, m.geometry, means[lane, n])
    gap = target - means
    found["mmd"] = np.linalg.norm(gap, axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        best = gap / penalty[..., None]
        if game.fast:
            record.coefficients[:] = best
        distance = np.sum((record.coefficients - best) ** 2, axis=-1)
        found["discriminator_gap"] = np.where(penalty > 0, penalty / 2 * distance, np.nan)
    return found


def _mmd_squared(game: "FeatureGAN", points: Array, energy: Array) -> Array:
    if game.name == "energy":
        return energy if game.axes == 1 else 2 * energy
    kernel, real = game.metric, np.array(game.real)
    assert kernel is not None
    equal, ours = np.full(len(real), 1 / len(real)), np.full(points.shape[2], 1 / points.shape[2])
    own = mmd_squared(kernel, real, equal, real[:1], np.zeros(1))
    result = np.full(points.shape[:2], np.nan)
    for place in np.ndindex(*result.shape):
        if np.all(np.isfinite(points[place])):
            result[place] = mmd_squared(kernel, real, equal, np.array(points[place]), ours, own)
    return game.height * result


def tracked(game: "FeatureGAN", run: Any) -> Tracked:
    """What the verdict on a run is made of."""
    points = run.generated_points.transpose("time", "point", "axis").values
    w2 = run.w2.values
    if np.any(np.isnan(w2[np.all(np.isfinite(points), axis=(1, 2))])):
        w2 = run.sliced_w2.values
    deviation = math.sqrt(float(observables.total_variance(np.asarray(game.real))))
    with np.errstate(invalid="ignore", over="ignore"):
        size = np.sqrt(np.mean(np.sum(points**2, axis=-1), axis=-1))
        if "discriminator" in run and not game.fast:
            size = np.hypot(size, np.linalg.norm(game.states(run)[1], axis=-1))
        quantiles = np.quantile(points, (0.1, 0.5, 0.9), axis=1).transpose(1, 0, 2).reshape(len(points), -1)
    occupied, weights = run.occupancy.transpose("time", "mode").values[-1], game.target_modes.weights
    missing = None
    if np.any(occupied < 0.25 * weights):
        which = int(np.argmin(occupied - weights))
        missing = (
            f"Mode {which + 1} of {len(weights)} holds {occupied[which]:.3g} of the generated mass, "
            f"{weights[which]:.3g} of the real one."
        )
    elif deviation > 0 and run.dispersion.values[-1] < 0.05:
        missing = f"The variance is {run.dispersion.values[-1]:.3g} of the target's."
    return Tracked(w2, size, quantiles, deviation if deviation > 0 else float(w2[0]), missing)
