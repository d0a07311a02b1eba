"""What theory says about quadratic games."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ganscope.analysis.spectrum import Spectra, stability_of
from ganscope.core.outcome import Equilibrium, Prediction, Predictions, Spectrum
from ganscope.games.dualflow.answers import Answers, Flags, Numbers, chosen, everywhere, of_one
from ganscope.games.dualflow.levels import FLOW
from ganscope.games.dualflow.quadratic.cells import Cells, no_equilibrium, slowest_periods
from ganscope.games.dualflow.questions import asked, scheme_spectra
from ganscope.games.dualflow.theory.affine import no_step
from ganscope.games.dualflow.theory.rates import comparison_rate, scheme_contraction, small_gain, zero_sum_rate
from ganscope.games.dualflow.theory.steps import largest_steps

if TYPE_CHECKING:
    from ganscope.games.dualflow.quadratic.model import QuadraticGame

Array = npt.NDArray[np.float64]

# Decay that is this much slower than the rotation, or a step this close to the largest one, is near the boundary.
_NEAR = 1e-3


def _sentence(values: Spectrum) -> str:
    """What a spectrum says about a linear game with one equilibrium."""
    stability = stability_of(values)
    if values.is_map:
        lead = f"the spectral radius of a step is {math.exp(-values.rate):.9g}"
    else:
        lead = f"the slowest mode {'decays' if values.rate > 0 else 'grows'} at rate {abs(values.rate):.4g}"
    if stability == "unstable":
        return f"{lead}: every generic start moves away"
    if stability == "marginal":
        per = "a step" if values.is_map else "the flow"
        return f"{per} keeps some mode at its size: the run goes around for ever"
    return f"{lead}: every start is attracted"


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
    case = _Case.of(game.cells({}, 1), None if name == FLOW else name, step)
    answers = _answers(case)
    equilibria = []
    if case.cells.unique[0] and not case.lost[0]:
        values = case.spectra.one()
        equilibria = [Equilibrium(game.split(case.cells.centre[0]), values, stability_of(values), "equilibrium")]
    return Prediction(
        *answers.heads,
        _reasons(game, case, answers),
        bool(answers.near[0]),
        thresholds=of_one(answers.thresholds),
        equilibria=equilibria,
        rates=of_one(answers.rates),
        level=level,
        rule=rule,
        step_size=step_size,
        game=game,
    )


def predict_cells(
    game: "QuadraticGame", over: Mapping[str, Array], level: str | None, rule: str | None, step_size: float | None
) -> Predictions:
    """`predict` for many variants of a game, in arrays: no equilibria or reasons."""
    name, step = asked(game, level, rule, step_size)
    cells = game.cells(over, len(next(iter(over.values()))))
    return _answers(_Case.of(cells, None if name == FLOW else name, step)).predictions()


@dataclass(frozen=True)
class _Case:
    """Games, and what their spectra are.

    Attributes:
        cells: The games.
        scheme: The scheme that is spoken about, None for the flow.
        step: Its step size.
        flow: Spectra of the flows.
        spectra: Those of the scheme, or of the flows.
        lost: Where a step has no solution.
    """

    cells: Cells
    scheme: str | None
    step: float
    flow: Spectra
    spectra: Spectra
    lost: Flags

    @classmethod
    def of(cls, cells: Cells, scheme: str | None, step: float) -> "_Case":
        """The case of some games."""
        flow = scheme_spectra(cells.linear, None, {})
        lost = np.zeros(len(cells.start), bool)
        if scheme is None:
            return cls(cells, scheme, step, flow, flow, lost)
        return cls(cells, scheme, step, flow, scheme_spectra(cells.linear, scheme, {"step_size": step}, lost), lost)


def _answers(case: _Case) -> Answers:
    cells, spectra = case.cells, case.spectra
    count, one = len(case.lost), cells.unique
    drifting, neutral = ~one & ~cells.exists, np.zeros(count, bool)
    neutral[~one] = _are_only_neutral(cells.linear.jacobian[~one])
    unstable = ~(spectra.stable | spectra.marginal)
    detail = chosen(
        count,
        (case.lost, "no_step"),
        (drifting, "diverging"),
        (~one & neutral, "no_unique_equilibrium"),
        (unstable, "diverging"),
        (spectra.marginal, "orbiting"),
        (spectra.spiralling, "converge_oscillatory"),
        (True, "converge_monotone"),
    )
    margin = np.where(one & spectra.marginal, 0.0, spectra.rate)
    margin[case.lost | (~one & neutral & ~drifting)] = math.nan
    near = (np.abs(spectra.rate) > 0) & (np.abs(spectra.rate) < _NEAR * 2 * math.pi / spectra.period)
    limits = {f"largest_step_{name}": steps for name, steps in largest_steps(cells.linear).items()}
    thresholds = everywhere({**limits, "period": slowest_periods(case.flow.values)}, count)
    return Answers(detail, margin, near & ~spectra.marginal & one & ~case.lost, thresholds, _rates(case))


def _are_only_neutral(j: Array) -> Flags:
    """Whether the equilibria are all there is, or motion along them does not end; `[cells, N, N]`, singular."""
    if len(j) == 0:
        return np.zeros(0, bool)
    largest = np.abs(j).max(axis=(-2, -1))
    j = j / np.where(largest > 0, largest, 1.0)[:, None, None]
    return np.asarray((largest == 0) | (np.linalg.matrix_rank(j @ j) < np.linalg.matrix_rank(j)))


def _rates(case: _Case) -> Numbers:
    cells, spectra = case.cells, case.spectra
    count = len(case.lost)
    constants = cells.constants
    speeds = cells.speeds[:, 0], cells.speeds[:, -1]
    comparison = comparison_rate(*constants, *speeds)
    found = everywhere({**constants._asdict(), "comparison": comparison, "per_time": case.flow.rate}, count)
    zero_sum = cells.zero_sum
    found["zero_sum"] = np.asarray(zero_sum_rate(*constants[:2], *speeds)), zero_sum
    if case.scheme is not None:
        solved = ~case.lost
        found["spectral_radius"] = np.exp(-spectra.rate), solved
        found["per_iteration"] = spectra.rate, solved
        found["per_time"] = np.where(solved, spectra.rate / case.step, case.flow.rate), np.ones(count, bool)
    return found


def _reasons(game: "QuadraticGame", case: _Case, answers: Answers) -> tuple[str, ...]:
    """The answer about a single game, in words."""
    cells, facts = case.cells, _facts(game, of_one(answers.rates))
    if case.lost[0]:
        return (str(no_step(str(case.scheme), case.step)), *facts)
    if case.scheme is not None:
        facts = (*facts, *_about_scheme(game, case.scheme, case.step, of_one(answers.thresholds)))
    reason = _sentence(case.spectra.one())
    if cells.unique[0]:
        return (reason, *facts)
    if not cells.exists[0]:
        reason = "the state drifts away, since nothing is at rest"
    elif answers.detail[0] == "no_unique_equilibrium":
        reason = "some states stay where they are and others drift along the equilibria: the end depends on the start"
    else:
        reason = f"seen from the equilibria, {reason}; which of them is the nearest depends on the start"
    return (no_equilibrium(cells), reason, *facts)


def _facts(game: "QuadraticGame", rates: dict[str, Any]) -> tuple[str, ...]:
    """What the constants imply."""
    facts = []
    if bool(small_gain(*game.constants())):
        facts.append(
            f"the energies are more convex than they are coupled: distances of runs shrink at least at rate "
            f"{-rates['comparison']:.4g}, at any ratio of the speeds"
        )
    if rates.get("zero_sum", -1.0) >= 0:
        facts.append(f"the game is zero-sum: the square of the distance decays at least at rate {_twice(rates)}")
    return tuple(facts)


def _twice(rates: dict[str, Any]) -> str:
    return f"{2 * rates['zero_sum']:.4g}, whatever the coupling" if rates["zero_sum"] else "0, that is, never grows"


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
