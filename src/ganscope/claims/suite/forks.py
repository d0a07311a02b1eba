"""One configuration forked at a tenth of its training: what would other gradient penalties have done? A unit."""

import time
from typing import Any

import numpy as np

from ganscope.claims.suite import instruments
from ganscope.claims.suite.distribution import ITERATIONS, RECORD_EVERY, Configuration
from ganscope.claims.suite.games import SuiteGame, game_of
from ganscope.claims.suite.labels import observe
from ganscope.claims.suite.verdicts import CHECKPOINTS, train_stretch
from ganscope.diagnose.theory.advice import gamma_sweep

FORKED_AT = 400
# Gradient penalties of the arms, in squared data radii; advice is one of them after its clip.
ARMS = (0.1, 0.3, 1.0, 3.0, 10.0)
RACE_ITERATIONS = 800
GIVEN, FIXED = "given", "gamma 1"
_TRAINING, _RACE = 200, 201


def advice_unit(configuration: Configuration) -> dict[str, Any]:
    """Fork, train every arm to the end with new minibatches, label; and race the arms for a while with others."""
    started = time.perf_counter()
    game = game_of(configuration)
    place = CHECKPOINTS.index(FORKED_AT)
    unit: dict[str, Any] = {"configuration": configuration.to_dict(), "data_radius": game.target.radius}
    for k in range(place + 1):
        game, run = train_stretch(game, k)
        if not run.finite:
            return {**unit, "alive": False, "seconds": {"all": time.perf_counter() - started}}
    measured = instruments.measurements(game, instruments.FULL, place, instruments.BATCHES)
    sweep = gamma_sweep(measured)
    square = game.target.radius**2
    begin = time.perf_counter()
    return {
        **unit,
        "alive": True,
        "predicted": instruments.diagnosis(measured),
        "sweep": sweep.to_dict(),
        "given_what_if": sweep.given.to_dict(),
        "advised": sweep.advised / square,
        "advised_unclipped": sweep.advised_unclipped / square,
        "arms": _arms(game, ITERATIONS - FORKED_AT, configuration.stream(_TRAINING)),
        "race": _arms(game, RACE_ITERATIONS, configuration.stream(_RACE)),
        "seconds": {"training": time.perf_counter() - begin, "all": time.perf_counter() - started},
    }


def _arms(game: SuiteGame, iterations: int, seed: int) -> dict[str, Any]:
    """What every arm showed in its last quarter; all see the same minibatches."""
    square = game.target.radius**2
    changes = {GIVEN: game.change} | {arm_name(gamma): game.with_gamma(gamma * square) for gamma in ARMS}
    if game.configuration.data_scale != 1:
        changes[FIXED] = game.with_gamma(1.0)
    record_at = np.arange(0, iterations + 1, RECORD_EVERY)
    runs = {name: game.train(record_at, seed, change)[1] for name, change in changes.items()}
    return {name: observe(run.outputs, game.target).to_dict() for name, run in runs.items()}


def arm_name(gamma: float) -> str:
    """Of a gradient penalty in squared data radii."""
    return f"{gamma:g} R2"
