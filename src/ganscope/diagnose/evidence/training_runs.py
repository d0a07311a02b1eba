"""Level `training`: a real game trained from its checkpoint by its own rule, recorded at fixed latents."""

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ganscope.core.checks import integer
from ganscope.core.errors import NotApplicable
from ganscope.core.game import Players, Request, Variable
from ganscope.core.progress import report
from ganscope.core.random import stream_of
from ganscope.diagnose.rule import UpdateRule
from ganscope.diagnose.samples.statistics import energy_distance
from ganscope.diagnose.training import Memory, TrainingRequest

if TYPE_CHECKING:
    from ganscope.diagnose.real_game import RealGame

# Real samples that a run carries along, to be judged by.
REAL_SAMPLES = 512


def trajectories(game: "RealGame", request: Request) -> dict[str, Variable]:
    """Train every cell and replica; minibatches depend on the seed and the replica alone.

    Variables: `generated_points` (time, sample, axis), `real_points` (real_sample, axis), `gradient_norm` (time,
    player), and over time `spread` (tr Cov / tr Cov of the data) and `energy_distance`
    (E|x-y| - E|x-x'|/2 - E|y-y'|/2, in data radii); NaN from where a run broke down.
    """
    if not game.backend.samples_known:
        raise NotApplicable("training is watched through its samples: give the game a generator(theta, z)")
    count = integer("fixed_latents", request.options["fixed_latents"], at_least=16)
    latents = game.backend.latents(_seed(request.seed, "latents"), count)
    real = game.backend.real_samples(game.backend.draw(_seed(request.seed, "real"), REAL_SAMPLES))
    record_at = np.asarray(request.schedule.iterations, np.int64)
    points, norms = [], []
    total = request.cells * request.replicas
    for cell in range(request.cells):
        own = game.replace(**{name: values[cell] for name, values in request.over.items()})
        if request.rule is not None:
            own = own.replace(order=request.rule) if request.rule != own.order else own
        for replica in range(request.replicas):
            report("training", cell * request.replicas + replica, total)
            run = own.backend.train(
                TrainingRequest(
                    rule=own.rule,
                    record_at=record_at,
                    batch_size=own.train_batch_size,
                    seed=_seed(request.seed, f"minibatches {replica}"),
                    start=own.backend.point,
                    memory=memory_of(own.rule, own.backend.sizes),
                    latents=latents,
                    change=own.change,
                )
            )
            points.append(run.outputs)
            norms.append(run.gradient_norms)
    report("training", total, total)
    lead = (request.cells, request.replicas)
    made = np.stack(points).reshape(*lead, *points[0].shape)
    return {
        "generated_points": (("time", "sample", "axis"), made),
        "real_points": (("real_sample", "axis"), np.broadcast_to(real, (*lead, *real.shape)).copy()),
        "gradient_norm": (("time", "player"), np.stack(norms).reshape(*lead, len(record_at), 2)),
        "spread": (("time",), made.var(axis=-2, ddof=1).sum(axis=-1) / real.var(axis=0, ddof=1).sum()),
        "energy_distance": (("time",), _distances(made, real)),
    }


def _distances(made: npt.NDArray[np.float64], real: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    radius = float(np.sqrt(real.var(axis=0, ddof=1).sum()))
    rows = made.reshape(-1, *made.shape[-2:])
    good = [bool(np.all(np.isfinite(row)) and np.abs(row).max() < 1e100) for row in rows]
    told = [0.5 * energy_distance(row, real) / radius if fine else np.nan for row, fine in zip(rows, good, strict=True)]
    return np.array(told).reshape(made.shape[:-2])


def memory_of(rule: UpdateRule, sizes: Players) -> Memory:
    """The optimizers' memory as the players tell it; zeros where they tell nothing."""
    players = (rule.generator, rule.discriminator)
    # an adaptive optimizer without second moments is a fresh one: a first moment alone would meet a divisor of zero
    told = [
        player.second_moment is not None if player.adaptive else player.first_moment is not None for player in players
    ]
    first = [
        _moment(player.first_moment if known else None, size)
        for player, known, size in zip(players, told, sizes, strict=True)
    ]
    second = [_moment(player.second_moment, size) for player, size in zip(players, sizes, strict=True)]
    # second moments without a step count are as good as very old
    steps = [
        0 if not known else player.step if player.step is not None else 10**6
        for player, known in zip(players, told, strict=True)
    ]
    return Memory(Players(*first), Players(*second), Players(*steps))


def _moment(given: object, size: int) -> npt.NDArray[np.float64]:
    return np.zeros(size) if given is None else np.array(given, np.float64)


def _seed(seed: int, purpose: str) -> int:
    return stream_of(f"real game: {purpose} {seed}") >> 33
