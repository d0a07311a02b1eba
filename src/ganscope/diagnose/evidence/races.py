"""Is the advice right? Short races from the checkpoint, with and without it, on the same minibatches.

An arm's score is its distance from the data over the last half of the race: energy distance over the data radius, mean
over records; infinite where the run broke down. An arm is better than the given one if it comes more than 5 % nearer;
0.01 is added to both scores, below which the distances of healthy runs are noise.

References:
    Szekely, Rizzo. Energy statistics. J. Stat. Plan. Inference 143, 1249 (2013).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ganscope.core import progress as progress_reports
from ganscope.core.checks import integer, number
from ganscope.core.errors import NotApplicable, ParameterError
from ganscope.core.game import Players
from ganscope.core.random import check_seed
from ganscope.diagnose.backend import Backend
from ganscope.diagnose.change import UNCHANGED, Change
from ganscope.diagnose.rule import UpdateRule
from ganscope.diagnose.samples.statistics import energy_distance
from ganscope.diagnose.training import Memory, TrainingRequest

GIVEN, ADVISED = "given", "advised"
# An improvement counts from this share on; distances below the noise level do not.
IMPROVEMENT, NOISE_LEVEL = 0.05, 0.01
# Generated and real samples compared, and records of which the second half is looked at.
LATENTS, REALS, RECORDS = 256, 512, 20
_SEED_APART = 17_011


@dataclass(frozen=True)
class Arm:
    """One way to go on.

    Attributes:
        name: `given`, `advised` or any other.
        change: Of the discriminator's loss.
        rule: The update rule; None is the given one.
        gradient_penalty: What it trains with, to be told.
    """

    name: str
    change: Change = UNCHANGED
    rule: UpdateRule | None = None
    gradient_penalty: float | None = None


@dataclass(frozen=True)
class ArmResult:
    """How an arm fared.

    Attributes:
        name, gradient_penalty: Of the arm.
        scores: One per seed; infinite where the run broke down.
        outcome: Compared with the given arm: `confirmed`, `refuted` or `inconclusive`; `given` for itself.
    """

    name: str
    gradient_penalty: float | None
    scores: tuple[float, ...]
    outcome: str

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "name": self.name,
            "gradient_penalty": self.gradient_penalty,
            "scores": list(self.scores),
            "outcome": self.outcome,
        }


@dataclass(frozen=True)
class Race:
    """A forked race.

    Attributes:
        iterations: Length of every run.
        seeds: Runs per arm.
        arms: Results, in the order of the arms.
        verdict: That of the advised arm (or of the first one beside the given); `not verified` if nothing was run.
    """

    iterations: int
    seeds: int
    arms: tuple[ArmResult, ...]
    verdict: str

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        arms = [arm.to_dict() for arm in self.arms]
        return {"iterations": self.iterations, "seeds": self.seeds, "arms": arms, "verdict": self.verdict}


def race(
    backend: Backend,
    rule: UpdateRule,
    arms: Sequence[Arm],
    *,
    memory: Memory | None = None,
    start: Players | None = None,
    batch_size: int,
    data_radius: float,
    iterations: int = 400,
    seeds: int = 2,
    seed: int = 0,
    progress: Callable[[float, float], None] | None = None,
) -> Race:
    """Train every arm from the checkpoint for a while, and compare.

    Args:
        backend: The checkpoint.
        rule: The given update rule.
        arms: The first one named `given` is what the others are compared with.
        memory: The optimizers' memory at the start; None is none.
        start: Parameters; None is the checkpoint.
        batch_size: Of training.
        data_radius: R.
        iterations: Of every run; 0 runs nothing.
        seeds: Runs per arm; 0 runs nothing. Minibatches depend on them alone, not on the arm.
        seed: Of the race.
        progress: Called with the amount done and the total; None reports to `ganscope.core.progress`.

    Raises:
        ParameterError: If a number is out of range, or there is no given arm.
        NotApplicable: If the generator cannot be called on its own.
    """
    iterations, seeds = integer("fork_iterations", iterations), integer("fork_seeds", seeds)
    batch_size, seed = integer("train_batch_size", batch_size, at_least=1), check_seed(seed)
    radius = number("data_radius", data_radius, above=0)
    names = [arm.name for arm in arms]
    if GIVEN not in names or len(set(names)) < len(names):
        raise ParameterError("arms", names, f"different names, {GIVEN!r} among them")
    if iterations == 0 or seeds == 0:
        return Race(iterations, seeds, (), "not verified")
    if not backend.samples_known:
        raise NotApplicable("a race is judged by its samples: the generator has to be callable on its own")
    record_at = np.unique(np.linspace(0, iterations, RECORDS + 1).round().astype(np.int64))
    late = record_at > iterations / 2
    latents = backend.latents(seed + _SEED_APART, LATENTS)
    real = backend.real_samples(backend.draw(seed + _SEED_APART, REALS))
    tell = progress or (lambda done, total: progress_reports.report("forked races", done, total))
    scores: dict[str, list[float]] = {name: [] for name in names}
    total = float(seeds * len(arms))
    for run in range(seeds):
        for place, arm in enumerate(arms):
            tell(run * len(arms) + place, total)
            request = TrainingRequest(
                rule=arm.rule or rule,
                record_at=record_at,
                batch_size=batch_size,
                seed=seed + _SEED_APART + run,
                start=start or backend.point,
                memory=memory,
                latents=latents,
                change=arm.change,
            )
            trained = backend.train(request)
            scores[arm.name].append(_score(trained.outputs[late], real, radius) if trained.finite else math.inf)
    tell(total, total)
    given = scores[GIVEN]
    results = tuple(
        ArmResult(
            arm.name,
            arm.gradient_penalty,
            tuple(scores[arm.name]),
            GIVEN if arm.name == GIVEN else compared(given, scores[arm.name]),
        )
        for arm in arms
    )
    judged = [result for result in results if result.name == ADVISED] or [r for r in results if r.name != GIVEN]
    return Race(iterations, seeds, results, judged[0].outcome if judged else "not verified")


def compared(given: Sequence[float], other: Sequence[float]) -> str:
    """`confirmed` if the other is better by more than 5 % with every seed, `refuted` if worse with every seed.

    Args:
        given, other: Scores, one per seed, possibly infinite.
    """
    pairs = [(a + NOISE_LEVEL, b + NOISE_LEVEL) for a, b in zip(given, other, strict=True)]
    if all(b < (1 - IMPROVEMENT) * a for a, b in pairs):
        return "confirmed"
    return "refuted" if all(b > a for a, b in pairs) else "inconclusive"


def _score(outputs: Any, real: Any, radius: float) -> float:
    if not np.all(np.isfinite(outputs)) or np.max(np.abs(outputs)) > 1e100:
        return math.inf
    return float(np.mean([energy_distance(points, real) for points in outputs])) / radius
