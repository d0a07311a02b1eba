"""What theory says about quadratic games."""

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ganscope.analysis.spectrum import stability_of
from ganscope.core.outcome import Equilibrium, Outcome, Prediction, Spectrum
from ganscope.games.dualflow.failures import NoUniqueEquilibrium, StepTooLarge
from ganscope.games.dualflow.levels import FLOW, SCHEMES
from ganscope.games.dualflow.questions import asked, scheme_spectrum
from ganscope.games.dualflow.theory.rates import comparison_rate, scheme_contraction, small_gain, zero_sum_rate
from ganscope.games.dualflow.theory.steps import largest_step

if TYPE_CHECKING:
    from ganscope.games.dualflow.quadratic.model import QuadraticGame

Array = npt.NDArray[np.float64]

# A growth below this share of the matrix counts as none.
_NEUTRAL = 1e-9
# Decay that is this much slower than the rotation, or a step this close to the largest one, is near the boundary.
_NEAR = 1e-3


def outcome_of(values: Spectrum) -> tuple[Outcome, str, str]:
    """Outcome, detail and a sentence for a linear game whose equilibrium has this spectrum."""
    stability = stability_of(values)
    if values.is_map:
        lead = f"the spectral radius of a step is {math.exp(-values.rate):.9g}"
    else:
        lead = f"the slowest mode {'decays' if values.rate > 0 else 'grows'} at rate {abs(values.rate):.4g}"
    if stability == "unstable":
        return Outcome.DIVERGED, "diverging", f"{lead}: every generic start moves away"
    if stability == "marginal":
        per = "a step" if values.is_map else "the flow"
        return Outcome.OSCILLATING, "orbiting", f"{per} keeps some mode at its size: the run goes around for ever"
    detail = "converge_oscillatory" if values.label == "stable_spiral" else "converge_monotone"
    return Outcome.CONVERGED, detail, f"{lead}: every start is attracted"


def predict(
    game: "QuadraticGame", level: str | None = None, rule: str | None = None, step_size: float | None = None
) -> Prediction:
    """What theory says about a quadratic game.

    Args:
        game: The game.
        level: None or "flow" speaks about the flow; a scheme about its steps.
        rule: None, or "flow".
        step_size: Of the scheme; None is 0.02.

    Returns:
        Outcome by the spectrum. `margin` is the decay rate of the slowest mode, per unit of time for the flow and per
        step for a scheme. `thresholds`: `largest_step_<scheme>` and `period`. `rates`: the four constants, what they
        imply (`comparison`, and `zero_sum` for zero-sum games), and `per_time`, the true rate of the slowest mode.

    Raises:
        ParameterError: If a level, rule or step size is not one of this game's.
    """
    name, step = asked(game, level, rule, step_size)
    scheme = None if name == FLOW else name
    about: dict[str, Any] = {"level": level, "rule": rule, "step_size": step_size, "game": game}
    thresholds = {f"largest_step_{name}": largest_step(game, name) for name in SCHEMES}
    flow = scheme_spectrum(game.linearisation(), None, {})
    thresholds["period"] = _period(game)
    rates, facts = _rates(game, flow)
    try:
        values = flow if scheme is None else scheme_spectrum(game.linearisation(), scheme, {"step_size": step})
    except StepTooLarge as error:
        return Prediction(
            Outcome.UNDECIDED, "no_step", math.nan, (str(error), *facts), thresholds=thresholds, rates=rates, **about
        )
    if scheme is not None:
        rates["spectral_radius"] = math.exp(-values.rate)
        rates["per_iteration"] = values.rate
        rates["per_time"] = values.rate / step
        facts = (*facts, *_about_scheme(game, scheme, step, thresholds))
    outcome, detail, reason = outcome_of(values)
    try:
        state = game.equilibrium()
    except NoUniqueEquilibrium as error:
        return _singular(game, values, str(error), facts, thresholds, rates, about)
    rest = Equilibrium(state, values, stability_of(values), "equilibrium")
    return Prediction(
        outcome,
        detail,
        0.0 if stability_of(values) == "marginal" else values.rate,
        (reason, *facts),
        _is_near(values),
        thresholds=thresholds,
        equilibria=[rest],
        rates=rates,
        **about,
    )


def _singular(
    game: "QuadraticGame",
    values: Spectrum,
    error: str,
    facts: tuple[str, ...],
    thresholds: dict[str, Any],
    rates: dict[str, Any],
    about: dict[str, Any],
) -> Prediction:
    """The field vanishes nowhere, or on a whole line: only growth is certain."""
    drifts = not game.cells({}, 1).exists[0]
    outcome, detail, reason = outcome_of(values)
    if drifts:
        outcome, detail, reason = Outcome.DIVERGED, "diverging", "the state drifts away, since nothing is at rest"
    elif _is_only_neutral(game):
        outcome, detail = Outcome.UNDECIDED, "no_unique_equilibrium"
        reason = "some states stay where they are and others drift along the equilibria: the end depends on the start"
    else:
        reason = f"seen from the equilibria, {reason}; which of them is the nearest depends on the start"
    margin = math.nan if outcome is Outcome.UNDECIDED else values.rate
    return Prediction(outcome, detail, margin, (error, reason, *facts), thresholds=thresholds, rates=rates, **about)


def _is_only_neutral(game: "QuadraticGame") -> bool:
    """Whether the equilibria are all there is, or motion along them does not end."""
    j = game.linearisation().jacobian
    if not np.any(j):
        return True
    j = j / np.max(np.abs(j))
    return bool(np.linalg.matrix_rank(j @ j) < np.linalg.matrix_rank(j))


def _rates(game: "QuadraticGame", flow: Spectrum) -> tuple[dict[str, Any], tuple[str, ...]]:
    constants = game.constants()
    comparison = float(comparison_rate(*constants, game.generator_lr, game.discriminator_lr))
    rates: dict[str, Any] = {**constants._asdict(), "comparison": comparison, "per_time": flow.rate}
    facts = []
    if bool(small_gain(*constants)):
        facts.append(
            f"the energies are more convex than they are coupled: distances of runs shrink at least at rate "
            f"{-comparison:.4g}, at any ratio of the speeds"
        )
    if game.is_zero_sum:
        rates["zero_sum"] = float(zero_sum_rate(*constants[:2], game.generator_lr, game.discriminator_lr))
        if rates["zero_sum"] >= 0:
            facts.append(f"the game is zero-sum: the square of the distance decays at least at rate {_twice(rates)}")
    return rates, tuple(facts)


def _twice(rates: dict[str, Any]) -> str:
    return f"{2 * rates['zero_sum']:.4g}, whatever the coupling" if rates["zero_sum"] else "0, that is, never grows"


def _period(game: "QuadraticGame") -> float:
    """Period of the slowest rotation of the flow; infinite where nothing rotates."""
    period = game.slowest_period()
    return period if math.isfinite(period) else math.inf


def _about_scheme(game: "QuadraticGame", scheme: str, tau: float, thresholds: dict[str, Any]) -> tuple[str, ...]:
    facts = [f"steps of {scheme} are stable up to step_size = {thresholds[f'largest_step_{scheme}']:.6g}"]
    if not np.any(game.A1) and not np.any(game.A2) and scheme.startswith("jko"):
        facts.append(f"the energies are linear in each player's own state: {scheme} equals {_explicit(scheme)}")
    constants = game.constants()
    if scheme.startswith("jko") and bool(small_gain(*constants)):
        factor = float(scheme_contraction(scheme, tau, *constants, game.generator_lr, game.discriminator_lr))
        facts.append(f"distances of runs shrink at least by the factor {factor:.6g} per step in the long run")
    return tuple(facts)


def _explicit(scheme: str) -> str:
    return scheme.replace("jko", "explicit")


def _is_near(values: Spectrum) -> bool:
    """Whether a mode decays or grows slowly against its rotation, without being exactly neutral."""
    return 0 < abs(values.rate) < _NEAR * 2 * math.pi / values.period and stability_of(values) != "marginal"
