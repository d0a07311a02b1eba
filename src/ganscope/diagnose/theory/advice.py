r"""Which gradient penalty to try, and what else: advice from the horizon cost of what-ifs.

The advised penalty has the smallest horizon cost H on a grid in units of R^2 (squared data radii), clipped to the range
in which advice was measured to help. Horizon costs of several batches are combined by their median, so that one batch
on which the linear model runs away decides nothing.

How much a change is predicted to gain is told in E = ln(energy distance / R + 0.01). A cloud shifted by a small delta
has an energy distance of about |delta|^2 / R from where it was, and H is such a squared displacement in units of R^2;
with a factor of one between them, the predicted fall of E is ln(H_given + 0.01) - ln(H_advised + 0.01).
"""

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ganscope.core.checks import number, numbers_in
from ganscope.core.errors import ParameterError
from ganscope.core.outcome import Outcome
from ganscope.diagnose.instruments.measurement import Measurement
from ganscope.diagnose.theory.virtual import ADVICE_HORIZON, HORIZON
from ganscope.diagnose.theory.what_if import Setting, WhatIf, evaluate
from ganscope.diagnose.theory.words import cost_words, wander_words

# Penalties tried, and the range that is recommended, in squared data radii.
GRID = (0.0, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
CLIP = (0.3, 10.0)
# Where no penalty of the grid keeps the linear model finite: a fixed penalty that did well on the whole.
_FALLBACK = 1.0
# Costs that agree to this are equal; the smaller penalty is advised.
_TIE = 1e-9
# Momentum or beta1 from which it is worth trying without.
_STRONG_MEMORY = 0.5
_SMALLER_RATES = 0.3
# E gains less than this: not worth touching a run that is about to converge.
_WORTHWHILE = 0.05
_FLOOR_OF_E = 0.01


@dataclass(frozen=True)
class Advice:
    """One thing to do.

    Attributes:
        parameter: What to change; `none` where nothing should be.
        value: To what; None where nothing is to be changed.
        value_full_convention: Of a gradient penalty, the same in the convention gamma E|grad D|^2 without 1/2.
        unclipped: Of a gradient penalty, the value of smallest horizon cost; NaN where all costs are infinite.
        why: The numbers behind it.
        wording: `will` (measured to predict), `try` or `leave it`.
        verification: `confirmed`, `refuted` or `inconclusive` after a forked race; before it `not verified`.
    """

    parameter: str
    value: Any
    value_full_convention: float | None
    unclipped: float | None
    why: str
    wording: str
    verification: str = "not verified"

    def to_dict(self) -> dict[str, Any]:
        """As the report has it."""
        return dataclasses.asdict(self)


@dataclass(frozen=True)
class GammaSweep:
    """Gradient penalties against what they are predicted to do.

    Attributes:
        gamma, gamma_over_r2: The grid, in the units of the penalty and in squared data radii.
        predicted_wander, horizon_cost: One per value, medians over the batches.
        given: The game as it is, with its own penalty.
        given_gamma: Weight of its unit penalty.
        advised, advised_unclipped: In the units of the penalty; the latter NaN where all costs are infinite.
        clip: The recommended range, likewise.
    """

    gamma: tuple[float, ...]
    gamma_over_r2: tuple[float, ...]
    predicted_wander: tuple[float, ...]
    horizon_cost: tuple[float, ...]
    given: WhatIf
    given_gamma: float
    advised: float
    advised_unclipped: float
    clip: tuple[float, float]

    def to_dict(self) -> dict[str, Any]:
        """As the report has it."""
        names = ("gamma", "gamma_over_r2", "predicted_wander", "horizon_cost", "clip")
        told: dict[str, Any] = {name: list(getattr(self, name)) for name in names}
        return told | {
            "given": self.given_gamma,
            "advised": self.advised,
            "advised_unclipped": self.advised_unclipped,
        }


def gamma_sweep(
    measurements: Sequence[Measurement],
    gammas: Sequence[float] = GRID,
    clip: tuple[float, float] = CLIP,
    horizon: int = HORIZON,
    advice_horizon: int = ADVICE_HORIZON,
) -> GammaSweep:
    """Predicted wander and horizon cost on a grid of gradient penalties, and the penalty that they advise.

    Args:
        measurements: One per batch.
        gammas: Grid in squared data radii, increasing.
        clip: Range of advised values, likewise.
        horizon, advice_horizon: Iterations, powers of two.

    Raises:
        NotApplicable: If the game has no unit penalty to vary.
        ParameterError: If the grid is empty, negative or not increasing.
    """
    grid = numbers_in("gammas", gammas, at_least=0)
    if grid.ndim != 1 or len(grid) == 0 or np.any(np.diff(grid) <= 0):
        raise ParameterError("gammas", gammas, "increasing numbers >= 0, at least one")
    if not measurements:
        raise ParameterError("measurements", measurements, "at least one measurement")
    square = measurements[0].data_radius ** 2
    options = {"horizon": horizon, "advice_horizon": advice_horizon}
    told = [evaluate(measurements, Setting(gradient_penalty=float(g * square)), **options) for g in grid]
    costs = np.array([one.horizon_cost for one in told])
    best = _argmin(costs)
    unclipped = math.nan if best is None else float(grid[best])
    advised = _FALLBACK if best is None else unclipped
    return GammaSweep(
        gamma=tuple(float(g * square) for g in grid),
        gamma_over_r2=tuple(float(g) for g in grid),
        predicted_wander=tuple(one.predicted_wander for one in told),
        horizon_cost=tuple(one.horizon_cost for one in told),
        given=evaluate(measurements, Setting(), **options),
        given_gamma=measurements[0].gamma,
        advised=min(max(advised, clip[0]), clip[1]) * square,
        advised_unclipped=unclipped * square,
        clip=(clip[0] * square, clip[1] * square),
    )


def _argmin(costs: np.ndarray[Any, np.dtype[np.float64]]) -> int | None:
    """Place of the smallest cost, the first one of equal ones; None if none is finite."""
    finite = np.where(np.isfinite(costs), costs, np.inf)
    least = float(finite.min())
    return None if math.isinf(least) else int(np.flatnonzero(finite <= least * (1 + _TIE))[0])


def predicted_gain(given: WhatIf, advised: WhatIf) -> float:
    """Predicted fall of E = ln(energy distance / R + 0.01), positive for the better; NaN if both costs are infinite."""
    costs = np.array([given.horizon_cost, advised.horizon_cost])
    if np.isinf(costs).all():
        return math.nan
    with np.errstate(over="ignore"):
        before, after = np.log(costs + _FLOOR_OF_E)
    return float(before - after)


def advise(
    measurements: Sequence[Measurement],
    outcome: Outcome,
    sweep: GammaSweep | None,
    *,
    threshold: float = 0.1,
    observed_wander: float | None = None,
    remaining_iterations: int | None = None,
    horizon: int = HORIZON,
    advice_horizon: int = ADVICE_HORIZON,
) -> tuple[Advice, ...]:
    """What to do, in the order in which to do it; every entry is judged with the earlier ones applied.

    The gradient penalty first; where wander is still predicted above the threshold, no memory where it is strong; then
    smaller learning rates. Nothing is to be changed in a run that is about to converge and would gain little.

    Args:
        measurements: One per batch.
        outcome: The verdict on the run as it is.
        sweep: From `gamma_sweep`; None where the penalty cannot be varied.
        threshold: Of predicted wander, in data radii.
        observed_wander, remaining_iterations: As `evaluate` takes them.
        horizon, advice_horizon: Iterations, powers of two.

    Returns:
        At least one entry, unless the linear model has nothing to say: without generated samples, and where the
        predicted wander vanishes because the discriminator is dead or saturated.
    """
    number("threshold", threshold, above=0)
    options: dict[str, Any] = {"horizon": horizon, "advice_horizon": advice_horizon}
    orbit = options | {"observed_wander": observed_wander, "remaining_iterations": remaining_iterations}
    given = sweep.given if sweep else evaluate(measurements, Setting(), **options)
    if outcome == Outcome.UNINFORMATIVE or not given.predicted_wander > 0:
        return ()
    chosen, now, advice = Setting(), given, []
    if sweep:
        with_penalty = Setting(gradient_penalty=sweep.advised)
        then = evaluate(measurements, with_penalty, **options)
        gain = predicted_gain(given, then)
        if outcome == Outcome.CONVERGED and not gain >= _WORTHWHILE:
            return (
                _leave(f"the run is predicted to converge, and the best penalty would change little: {_gain(gain)}"),
            )
        if not _same_game(measurements[0], sweep.advised):
            advice.append(_penalty_advice(sweep, given, then, gain, threshold))
            chosen, now = with_penalty, then
    elif outcome == Outcome.CONVERGED:
        return (_leave("the run is predicted to converge"),)
    memory = _without_memory(measurements[0])
    if memory and now.predicted_wander > threshold:
        lighter = dataclasses.replace(chosen, **memory)
        then = evaluate(measurements, lighter, **options)
        why = f"memory needs a minimum friction: {_change(now, then)} at equal effective speed"
        advice += [Advice(name, value, None, None, why, "try") for name, value in memory.items()]
        chosen, now = lighter, then
    if now.predicted_wander > threshold:
        slower = dataclasses.replace(chosen, learning_rate_scale=_SMALLER_RATES)
        then = evaluate(measurements, slower, **orbit)
        why = f"{_change(now, then)}; smaller steps average more noise but may freeze the orbit the run is on"
        advice.append(Advice("learning_rate_scale", _SMALLER_RATES, None, None, why, "try"))
    return tuple(advice) or (_leave("no change is predicted to help"),)


def _penalty_advice(sweep: GammaSweep, given: WhatIf, then: WhatIf, gain: float, threshold: float) -> Advice:
    """The advised penalty; a promise only where such predictions were verified and this one says cured."""
    cost = f"horizon cost {cost_words(given.horizon_cost)} -> {cost_words(then.horizon_cost)}, {_gain(gain)}"
    quiet = max(given.predicted_wander, then.predicted_wander) <= threshold
    change = f"{_change(given, then)}, below the limit of {threshold:g} either way" if quiet else _change(given, then)
    why = f"{cost}; {change}" if given.predicted_wander <= threshold else f"{change}; {cost}"
    if math.isnan(sweep.advised_unclipped):
        why += "; no penalty of the grid keeps the linear model finite: a fixed one squared data radius"
    elif not math.isclose(sweep.advised, sweep.advised_unclipped):
        low, high = sweep.clip
        why += f"; {sweep.advised_unclipped:.4g} clipped to the range {low:.4g} to {high:.4g} in which advice helped"
    cured = then.predicted_wander <= threshold < given.predicted_wander
    promised = then.status == "predicted" and cured
    wording = "will" if promised else "try"
    return Advice("gradient_penalty", sweep.advised, sweep.advised / 2, sweep.advised_unclipped, why, wording)


def _same_game(measurement: Measurement, gamma: float) -> bool:
    """Whether the game has this penalty already, and no other kind of penalty."""
    if measurement.penalty is None or not math.isclose(measurement.gamma, gamma, rel_tol=1e-6):
        return False
    own = measurement.without_penalty + measurement.gamma * measurement.penalty
    return bool(np.allclose(measurement.jacobian, own, rtol=1e-6, atol=1e-9 * np.abs(measurement.jacobian).max()))


def _without_memory(measurement: Measurement) -> dict[str, Any]:
    """The memories to take away: momentum or beta1 of 0 where a player's is strong."""
    players = (measurement.rule.generator, measurement.rule.discriminator)
    strong = [player for player in players if player.memory >= _STRONG_MEMORY]
    return {"beta1" if player.kind == "adam" else "momentum": 0.0 for player in strong}


def _leave(why: str) -> Advice:
    return Advice("none", None, None, None, why, "leave it")


def _change(before: WhatIf, after: WhatIf) -> str:
    first, second = (wander_words(one.predicted_wander) for one in (before, after))
    return f"predicted wander {first} -> {second} data radii"


def _gain(gain: float) -> str:
    return f"predicted change of ln(energy distance / R + 0.01): {-gain:+.2g}"
