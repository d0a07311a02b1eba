"""One configuration trained to its end, with a diagnosis at four checkpoints on the way: a unit of the suite."""

import time
from typing import Any

import numpy as np
import numpy.typing as npt

from ganscope.claims.suite import instruments
from ganscope.claims.suite.distribution import ITERATIONS, RECORD_EVERY, Configuration
from ganscope.claims.suite.games import SuiteGame, game_of, outputs_of
from ganscope.claims.suite.labels import observe, wander_so_far
from ganscope.diagnose.training import Trained

CHECKPOINTS = (20, 100, 400, 1600)
# Costly second looks take turns by the configuration's number: twin forks and the whole spectrum at late checkpoints,
# the cheap setting at all of them.
TWIN_AT, SPECTRUM_AT = (400, 1600), 1600
_TURNS = 3


def verdict_unit(configuration: Configuration) -> dict[str, Any]:
    """Train, measure at the checkpoints, label."""
    started = time.perf_counter()
    game, runs, checkpoints = game_of(configuration), [], []
    seconds = {"training": 0.0, "measuring": 0.0}
    for k in range(len(CHECKPOINTS) + 1):
        begin = time.perf_counter()
        game, run = train_stretch(game, k)
        runs.append(run)
        seconds["training"] += time.perf_counter() - begin
        if not run.finite:
            break
        if k < len(CHECKPOINTS):
            begin = time.perf_counter()
            checkpoints.append(_reading(game, outputs_of(runs), k))
            seconds["measuring"] += time.perf_counter() - begin
    outputs = outputs_of(runs)
    missing = ITERATIONS // RECORD_EVERY + 1 - len(outputs)
    outputs = np.concatenate([outputs, np.full((missing, *outputs.shape[1:]), np.nan)])
    seconds["all"] = time.perf_counter() - started
    return {
        "configuration": configuration.to_dict(),
        "data_radius": game.target.radius,
        "parameters": list(game.backend.sizes),
        "observed": observe(outputs, game.target).to_dict(),
        "checkpoints": checkpoints,
        "seconds": seconds,
    }


def train_stretch(game: SuiteGame, k: int) -> tuple[SuiteGame, Trained]:
    """Train from one checkpoint to the next, number k; the last stretch ends with the run."""
    marks = (0, *CHECKPOINTS, ITERATIONS)
    record_at = np.arange(0, marks[k + 1] - marks[k] + 1, RECORD_EVERY)
    return game.train(record_at, game.configuration.stream(100 + k))


def _reading(game: SuiteGame, outputs: npt.NDArray[np.float64], k: int) -> dict[str, Any]:
    iteration, number = CHECKPOINTS[k], game.configuration.number
    reading: dict[str, Any] = {"iteration": iteration, "so_far": _so_far(outputs, game)}
    # a convolution's products take half a second each on a full batch
    large = game.configuration.network == "conv"
    size, batches = (instruments.CHEAP, 1) if large else (instruments.FULL, instruments.BATCHES)
    reading |= instruments.timed_diagnosis(game, size, k, batches)
    if game.configuration.loss == "hinge":
        reading["rounded"] = instruments.timed_diagnosis(game.rounded(), size, k, batches)
    reading["coupling"] = instruments.coupling(game)
    if number % _TURNS == 2 and not large:
        reading["cheap"] = instruments.timed_diagnosis(game, instruments.CHEAP, k, 1)
    if number % _TURNS == 0 and iteration in TWIN_AT:
        reading["twin"] = instruments.twin(game)
    if number % _TURNS == 1 and iteration == SPECTRUM_AT:
        reading["rightmost"] = instruments.rightmost(game)
    return reading


def _so_far(outputs: npt.NDArray[np.float64], game: SuiteGame) -> dict[str, Any]:
    """What the run's own past says: its wander, and the class that would be observed if it ended here."""
    if len(outputs) < 4:
        return {"records": len(outputs), "wander": None, "observed": None}
    wander = wander_so_far(outputs, game.target.radius)
    return {"records": len(outputs), "wander": wander, "observed": observe(outputs, game.target).to_dict()}
