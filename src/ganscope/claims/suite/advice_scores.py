"""Did the advice help? Lifts over the given penalty, their control by shuffled advice, and what-ifs come true."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ganscope.claims.suite.forks import ARMS, FIXED, GIVEN, arm_name
from ganscope.claims.suite.statistics import mean_and_error
from ganscope.claims.suite.verdict_scores import THRESHOLD, number

Array = npt.NDArray[np.float64]
Unit = Mapping[str, Any]
# The arm that a rule picks for a unit.
Pick = Callable[[Unit], str]

# Differences of E that count as a win or a loss.
NOTICED = 0.05
_DEALS = 100
ADVISED, RACE, BEST = "advised", "race of 800 iterations", "best arm in hindsight"


@dataclass(frozen=True)
class Fared:
    """How an arm fared against another one, over configurations.

    Attributes:
        lift, error: Mean fall of E = ln(energy distance / R + 0.01), and its standard error.
        win, lose: Shares with |difference| > 0.05.
        converged: Share of runs that ended converged.
        coverage: Mean soft coverage of modes or classes, 0 where a run broke down.
        cases: Number of configurations.
    """

    lift: float
    error: float
    win: float
    lose: float
    converged: float
    coverage: float
    cases: int


def alive(units: Sequence[Unit]) -> list[Unit]:
    """Units that could be forked."""
    return [unit for unit in units if unit["alive"]]


def healthy(unit: Unit) -> bool:
    """Whether going on with the given penalty converged."""
    return bool(unit["arms"][GIVEN]["outcome"] == "converged")


def picks() -> dict[str, Pick]:
    """The rules that are compared, by name."""
    table: dict[str, Pick] = {GIVEN: lambda unit: GIVEN}
    table |= {arm_name(gamma): _always(arm_name(gamma)) for gamma in ARMS}
    table[ADVISED] = advised_within(0.3, 10.0)
    table["advised, clip [0.1, 10] R2"] = advised_within(0.1, 10.0)
    table["advised, clip [1, 10] R2"] = advised_within(1.0, 10.0)
    table[RACE] = lambda unit: _least(unit["race"])
    table[BEST] = lambda unit: _least(unit["arms"])
    return table


def _always(name: str) -> Pick:
    return lambda unit: name


def advised_within(low: float, high: float) -> Pick:
    """The penalty of smallest horizon cost, clipped to a range of squared data radii."""

    def pick(unit: Unit) -> str:
        found = unit["advised_unclipped"]
        wanted = min(max(1.0 if found is None else found, low), high)
        return arm_name(min(ARMS, key=lambda gamma: abs(math.log(gamma / wanted))))

    return pick


def _least(arms: Mapping[str, Any]) -> str:
    names = [name for name in arms if name != FIXED]
    return min(names, key=lambda name: arms[name]["score"])


def fared(units: Sequence[Unit], pick: Pick, against: Pick = lambda unit: GIVEN) -> Fared:
    """A rule's arms against another rule's, over the units."""
    mine = [unit["arms"][pick(unit)] for unit in units]
    lifts = np.array(
        [unit["arms"][against(unit)]["score"] - own["score"] for unit, own in zip(units, mine, strict=True)]
    )
    lift, error = mean_and_error(lifts)
    share = np.mean if len(units) else (lambda _: math.nan)
    return Fared(
        lift,
        error,
        float(share(lifts > NOTICED)),
        float(share(lifts < -NOTICED)),
        float(share([own["outcome"] == "converged" for own in mine])),
        float(share([own["soft_coverage"] or 0.0 for own in mine])),
        len(units),
    )


def shuffled(units: Sequence[Unit], pick: Pick) -> tuple[float, float]:
    """Mean lift over the given arm when the same picks are dealt to other units, and its deviation over 100 deals."""
    names, rng = [pick(unit) for unit in units], np.random.default_rng(0)
    lifts = []
    for _ in range(_DEALS):
        dealt = rng.permutation(len(units))
        pairs = zip(units, dealt, strict=True)
        lifts.append(np.mean([unit["arms"][GIVEN]["score"] - unit["arms"][names[k]]["score"] for unit, k in pairs]))
    return float(np.mean(lifts)), float(np.std(lifts, ddof=1))


@dataclass(frozen=True)
class Cured:
    """Of runs that do not converge as they are: how many of those predicted cured, and not cured, then converged."""

    gamma: float
    cured: int
    cured_converged: int
    not_cured: int
    not_cured_converged: int

    @property
    def difference(self) -> float:
        """Share converged given predicted cured, less that given predicted not cured; NaN where one is empty."""
        if not (self.cured and self.not_cured):
            return math.nan
        return self.cured_converged / self.cured - self.not_cured_converged / self.not_cured


def what_ifs(units: Sequence[Unit], gamma: float) -> Cured:
    """The what-if of a penalty of so many squared data radii against what its arm did."""
    counts = np.zeros((2, 2), int)
    for unit in units:
        if healthy(unit):
            continue
        sweep = unit["sweep"]
        place = int(np.argmin([abs(g - gamma) for g in sweep["gamma_over_r2"]]))
        cured = number(sweep["predicted_wander"][place]) <= THRESHOLD
        counts[int(cured), int(unit["arms"][arm_name(gamma)]["outcome"] == "converged")] += 1
    return Cured(gamma, int(counts[1].sum()), int(counts[1, 1]), int(counts[0].sum()), int(counts[0, 1]))
