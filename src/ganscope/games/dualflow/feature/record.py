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
from ganscope.games.dualflow.game import Tracked, each_run, varied_runs
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


def tracked_runs(game: "FeatureGAN", run: Any) -> Tracked:
    """What the verdicts on all cells and replicas of a run are made of."""
    points = each_run(run, "generated_points", "time", "point", "axis")
    runs, records = points.shape[:2]
    w2 = each_run(run, "w2", "time")
    unknown = np.any(np.isnan(w2) & np.all(np.isfinite(points), axis=(2, 3)), axis=1)
    if np.any(unknown):
        w2 = np.where(unknown[:, None], each_run(run, "sliced_w2", "time"), w2)
    widths = varied_runs(run).get("bandwidth", np.zeros(0)).tolist()
    games = {width: game.replace(bandwidth=width) for width in set(widths)}
    owns = [games[width] for width in widths] or [game] * runs
    deviation = math.sqrt(float(observables.total_variance(np.asarray(game.real))))
    with np.errstate(invalid="ignore", over="ignore"):
        size = np.sqrt(np.mean(np.sum(points**2, axis=-1), axis=-1))
        if "discriminator" in run and not game.fast:
            coefficients = each_run(run, "discriminator", "time", "feature")
            for k, own in enumerate(owns):  # cells of a batch are as wide as the widest of them
                assert own.map is not None
                size[k] = np.hypot(size[k], np.linalg.norm(coefficients[k, :, : own.map.size], axis=-1))
        quantiles = np.moveaxis(np.quantile(points, (0.1, 0.5, 0.9), axis=2), 0, 2).reshape(runs, records, -1)
    occupied, dispersed = each_run(run, "occupancy", "time", "mode")[:, -1], each_run(run, "dispersion", "time")[:, -1]
    rows = zip(owns, occupied, dispersed, strict=True)
    missing = [_missing(own.target_modes.weights, held, float(share), deviation) for own, held, share in rows]
    reference = np.full(runs, deviation) if deviation > 0 else w2[:, 0]
    return Tracked(w2, size, quantiles, reference, np.array(missing, object), algebraic=np.zeros(runs, bool))


def _missing(weights: Array, occupied: Array, dispersed: float, deviation: float) -> str | None:
    """Which part of the target is missing at the end of a run."""
    if np.any(occupied < 0.25 * weights):
        which = int(np.argmin(occupied - weights))
        return (
            f"Mode {which + 1} of {len(weights)} holds {occupied[which]:.3g} of the generated mass, "
            f"{weights[which]:.3g} of the real one."
        )
    return f"The variance is {dispersed:.3g} of the target's." if deviation > 0 and dispersed < 0.05 else None
