"""What a run of the particle GAN shows: positions and order parameters over time."""

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ganscope.core.errors import ParameterError
from ganscope.core.game import Variable
from ganscope.core.outcome import Verdict, Verdicts, vote
from ganscope.core.results import stacked, varied_values
from ganscope.games.particle.cloud.target import Target
from ganscope.games.particle.labelled import labelled_order_parameters
from ganscope.games.particle.motion import wander
from ganscope.games.particle.order_parameters import OrderParameters, order_parameters
from ganscope.games.particle.verdict import classify_runs, classify_series

if TYPE_CHECKING:
    from ganscope.games.particle.cloud.model import ParticleGAN

Array = npt.NDArray[np.float64]

# What a verdict looks at beside the positions.
_JUDGED = ("soft_coverage", "spread", "coverage", "quality", "wander")
# Nearest real points that vote on the class of a particle.
NEIGHBOURS = 5


def observed(cells: "list[ParticleGAN]", times: Array, positions: Array, sizes: Array) -> dict[str, Variable]:
    """The variables of a run.

    Args:
        cells: The game of every cell.
        times: Shape `[records]`.
        positions: Shape `[cells, replicas, records, N, d]`.
        sizes: mean |g|^2 and |mean g|^2 of the slopes g, shape `[cells, replicas, records, 2]`.
    """
    found = [order_of(game.target, positions[i]) for i, game in enumerate(cells)]
    wanders = [wander(times, positions[i], game.target.scale) for i, game in enumerate(cells)]

    def over_time(name: str) -> Variable:
        return ("time",), np.stack([getattr(parameters, name) for parameters in found])

    with np.errstate(invalid="ignore", divide="ignore"):
        rigidity = np.where(sizes[..., 0] > 0, sizes[..., 1] / sizes[..., 0], np.nan)
    return {
        "positions": (("time", "particle", "axis"), positions),
        "occupancy": (("time", "mode"), np.stack([parameters.occupancy for parameters in found])),
        **{name: over_time(name) for name in ("coverage", "soft_coverage", "entropy", "kl", "spread", "quality")},
        "wander": (("time",), np.stack(wanders)),
        "slope": (("time",), np.sqrt(sizes[..., 0])),
        "rigidity": (("time",), np.minimum(rigidity, 1.0)),
    }


def order_of(target: Target, positions: Array) -> OrderParameters:
    """Order parameters of positions `[..., N, d]` in front of a target."""
    variance = target.variance or None
    if target.labels is not None:
        neighbours = min(NEIGHBOURS, len(target.sources))
        return labelled_order_parameters(positions, target.sources, target.labels, neighbours, variance)
    return order_parameters(positions, target.centres, target.capture_radius, variance)


def classify(game: "ParticleGAN", run: Any) -> Verdict:
    """The verdict on a run; replicas are judged one by one and vote.

    Raises:
        ParameterError: If the run lacks a variable that the verdict is made of.
    """
    _check(run)
    if "replica" in run.dims:
        return vote([_classify_one(game, run.isel(replica=i)) for i in range(run.sizes["replica"])])
    return _classify_one(game, run)


def classify_cells(game: "ParticleGAN", run: Any) -> Verdicts:
    """The verdicts on all cells of a batch, as `classify` gives them.

    Raises:
        ParameterError: If the run lacks a variable that the verdict is made of.
    """
    _check(run)
    cells, varied = run.sizes["cell"], varied_values(run)
    moved = [name for name in ("radius", "mode_width") if name in varied and game.real_points is None]
    targets = [game.replace(**{name: varied[name][k] for name in moved}).target for k in range(cells if moved else 1)]
    means, scales = np.stack([target.mean for target in targets]), np.array([target.scale for target in targets])
    positions, series = _judged(run)
    times = len(positions) // len(targets)
    means, scales = np.repeat(means, times, axis=0), np.repeat(scales, times)
    return classify_runs(positions, series, means, scales, run.sizes["mode"], cells)


def _check(run: Any) -> None:
    missing = [name for name in ("positions", *_JUDGED) if name not in run]
    if missing:
        raise ParameterError("run", f"without {', '.join(missing)}", "a run with all its order parameters")


def _classify_one(game: "ParticleGAN", run: Any) -> Verdict:
    positions, series = _judged(run)
    return classify_series(
        positions=positions[0],
        **{name: values[0] for name, values in series.items()},
        target_mean=game.target.mean,
        scale=game.target.scale,
        modes=run.sizes["mode"],
    )


def _judged(run: Any) -> tuple[Array, dict[str, Array]]:
    """Positions `[runs, time, particle, axis]` and series of all cells and replicas of a run, one after the other."""
    positions = stacked(run, "positions", "time", "particle", "axis")
    positions = positions.reshape(-1, *positions.shape[2:])
    return positions, {name: stacked(run, name, "time").reshape(len(positions), -1) for name in _JUDGED}
