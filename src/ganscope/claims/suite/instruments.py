"""What the diagnosis says at a checkpoint of the suite: every number that a table may ask for."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ganscope.claims.suite.games import SuiteGame
from ganscope.diagnose.evidence.twin import twin_fork
from ganscope.diagnose.instruments.full_spectrum import full_spectrum
from ganscope.diagnose.instruments.generator_kernel import generator_kernel
from ganscope.diagnose.instruments.measure import measure
from ganscope.diagnose.instruments.measurement import Measurement
from ganscope.diagnose.instruments.mode_damping import damping_ratio
from ganscope.diagnose.instruments.rotation import whitening
from ganscope.diagnose.instruments.update_map import iteration_matrix, multipliers
from ganscope.diagnose.theory import virtual

BATCHES = 3


@dataclass(frozen=True)
class Size:
    """How large a measurement is."""

    modes: int = 24
    oversample: int = 8
    power_rounds: int = 3
    batch_size: int = 512
    noise_batches: int = 24


FULL = Size()
CHEAP = Size(modes=8, batch_size=128, noise_batches=8)


def measurements(game: SuiteGame, size: Size, checkpoint: int, batches: int) -> list[Measurement]:
    """Independent measurements of one checkpoint, numbered for their random streams."""
    seeds = [game.configuration.stream(1000 + 10 * checkpoint + batch) for batch in range(batches)]
    unit = whitening(game.backend, game.rule, game.train_batch_size, seeds[0], game.change)
    return [measure(game, size, seed, unit, game.target.radius) for seed in seeds]


def diagnosis(measured: Sequence[Measurement]) -> dict[str, Any]:
    """Numbers of one checkpoint, medians over the batches; `wanders` by batch."""
    rows = [_numbers(one) for one in measured]
    numbers = {name: float(np.median([row[name] for row in rows])) for name in rows[0]}
    return {**numbers, "wanders": [row["predicted_wander"] for row in rows]}


def timed_diagnosis(game: SuiteGame, size: Size, checkpoint: int, batches: int) -> dict[str, Any]:
    """The same with the seconds that one measurement took, compilation included where it is the first."""
    begin = time.perf_counter()
    found = diagnosis(measurements(game, size, checkpoint, batches))
    return {**found, "seconds": (time.perf_counter() - begin) / batches}


def _numbers(measurement: Measurement) -> dict[str, float]:
    seen, clamped = virtual.forecast(measurement), virtual.forecast(measurement, clamp=True)
    finite = bool(np.all(np.isfinite(measurement.jacobian)))
    real = np.linalg.eigvals(measurement.jacobian).real if finite else np.array([math.inf])
    whole = iteration_matrix(measurement.jacobian, measurement.modes, measurement.rule)
    return {
        "predicted_wander": seen.predicted_wander,
        "clamped_wander": clamped.predicted_wander,
        "particle_wander": seen.particle_wander,
        "horizon_cost": seen.horizon_cost,
        "growth": virtual.growth(measurement),
        "radius_full": multipliers(whole).radius if finite else math.inf,
        "rightmost_reduced": float(real.max()),
        "sigma": float(measurement.sigma[0]),
        "damping_ratio": float(damping_ratio(measurement)[0]),
        "gradient_norm": math.hypot(*measurement.gradient_norms),
        "signal_to_noise": measurement.signal_to_noise,
        "floored": float(measurement.floored),
    }


def coupling(game: SuiteGame) -> float:
    """chi of the generator's kernel."""
    unit = whitening(game.backend, game.rule, game.train_batch_size, 0, game.change).generator
    return generator_kernel(game.backend, unit).coupling


def rightmost(game: SuiteGame) -> float | None:
    """Largest real part of the whitened Jacobian's eigenvalues, per iteration; None where none converged."""
    unit = whitening(game.backend, game.rule, game.train_batch_size, 0, game.change)
    seed = game.configuration.stream(4000)
    options: dict[str, Any] = {"change": game.change, "batches": 1, "seed": seed}
    found = full_spectrum(game.backend, game.rule, unit, game.target.radius, **options).rightmost
    return max((mode.eigenvalue.real for mode in found), default=None)


def twin(game: SuiteGame) -> dict[str, Any]:
    """Predicted and observed multiplier of two runs that start almost alike."""
    unit = whitening(game.backend, game.rule, game.train_batch_size, 0, game.change)
    draw = game.backend.draw(game.configuration.stream(4001), game.train_batch_size)
    fork = twin_fork(game.backend, game.rule, unit, draw, game.memory, change=game.change)
    return {
        "passed": fork.passed,
        "predicted": list(fork.predicted),
        "observed": list(fork.observed),
        "observed_frozen": list(fork.observed_frozen),
        "residual": fork.residual,
        "one_step_error": fork.one_step_error,
        "horizon": fork.horizon,
        "notes": list(fork.notes),
    }
