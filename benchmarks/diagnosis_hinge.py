"""Where the curvature of a hinge sits: the diagnosis of hinge GANs with the loss as it is, and smoothed in measuring.

    python benchmarks/diagnosis_hinge.py [--seconds 480] [--seed 77]

Random hinge GANs of the suite's distribution are trained with the hinge itself. At iterations 100 and 400 the forecast
is made with max(0, u), and with .3 softplus(u / .3) in its place; only the measurement differs.
"""

import os

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NPROC"):
    os.environ[name] = "1"

import argparse
import time

from ganscope.core.caches import prepare_jax

prepare_jax()

import numpy as np

from ganscope.claims.suite import instruments
from ganscope.claims.suite.distribution import ITERATIONS, RECORD_EVERY, Configuration, configuration
from ganscope.claims.suite.games import SuiteGame, game_of, outputs_of
from ganscope.claims.suite.labels import observe
from ganscope.claims.suite.statistics import quality
from ganscope.claims.suite.verdicts import CHECKPOINTS, train_stretch
from ganscope.diagnose.theory import virtual

PLACES = (1, 2)  # of the checkpoints 100 and 400


def wander(game: SuiteGame, place: int) -> float:
    """Predicted wander, from one full batch."""
    return virtual.forecast(instruments.measurements(game, instruments.FULL, place, 1)[0]).predicted_wander


def run(chosen: Configuration) -> tuple[bool, dict[int, list[float]]]:
    """Whether a run fails to converge, and what was forecast at its checkpoints."""
    game, runs, told = game_of(chosen), [], {}
    for place in range(len(CHECKPOINTS) + 1):
        game, stretch = train_stretch(game, place)
        runs.append(stretch)
        if not stretch.finite:
            break
        if place in PLACES:
            told[CHECKPOINTS[place]] = [wander(game, place), wander(game.rounded(), place)]
    outputs = outputs_of(runs)
    lost = ITERATIONS // RECORD_EVERY + 1 - len(outputs)
    outputs = np.concatenate([outputs, np.full((lost, *outputs.shape[1:]), np.nan)])
    return observe(outputs, game.target).outcome != "converged", told


def main() -> None:
    """Run for some minutes, then print balanced accuracies."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=480.0)
    parser.add_argument("--seed", type=int, default=77)
    options = parser.parse_args()
    began, found, number = time.perf_counter(), [], 0
    while time.perf_counter() - began < options.seconds:
        chosen = configuration(options.seed, number)
        number += 1
        if chosen.loss == "hinge":
            found.append(run(chosen))
    for place in PLACES:
        iteration = CHECKPOINTS[place]
        cases = [(fails, told[iteration]) for fails, told in found if iteration in told]
        truth = [fails for fails, _ in cases]
        for k, name in enumerate(("as it is", "rounded")):
            scores = [told[k] for _, told in cases]
            made = quality(scores, [score > 0.1 for score in scores], truth)
            print(f"iteration {iteration}, {name}: balanced accuracy {made.balanced_accuracy:.2f} "
                  f"[{made.low:.2f}, {made.high:.2f}], AUC {made.auc:.2f}, {made.cases} runs")  # fmt: skip


if __name__ == "__main__":
    main()
