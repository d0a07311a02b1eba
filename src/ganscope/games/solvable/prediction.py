"""What theory says about a solvable GAN without simulating it: `predict`, and the spectrum of its ODE."""

import dataclasses
import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ganscope.core.checks import one_of
from ganscope.core.errors import NotApplicable, ParameterError, unknown_name
from ganscope.core.outcome import Equilibrium, Outcome, Prediction, Spectrum, Verdict
from ganscope.core.simulate import check_rule
from ganscope.games.solvable import phases
from ganscope.games.solvable.decision import NEAR_CRITICAL, decide
from ganscope.games.solvable.equilibria import known_equilibria, matched
from ganscope.games.solvable.phase_rule import relative_distance
from ganscope.games.solvable.recommendation import recommended
from ganscope.games.solvable.silence import (
    NoStationaryLength,
    Silence,
    silence,
    silent_matrix,
    smallest_regularization,
    stationary_length,
)
from ganscope.games.solvable.state import MacroState
from ganscope.games.solvable.tangent import macro_spectrum

if TYPE_CHECKING:
    from ganscope.games.solvable.model import SolvableGAN

Array = npt.NDArray[np.float64]

_RULES = ("simultaneous", "alternating")
_PINNED = (
    "a feature without a generator column lies above the lower threshold: the discriminator can stay pinned on it, "
    "which ends oscillations (equilibrium `pinned`)"
)


class _Facts(NamedTuple):
    thresholds: dict[str, Any]
    equilibria: list[Equilibrium]
    rates: dict[str, Any]


def predict(
    game: "SolvableGAN", level: str | None = None, rule: str | None = None, step_size: float | None = None
) -> Prediction:
    """The phase that the parameters select, for long runs from small generic starts in high dimension.

    The statement is about the limit of infinite dimension (level `ode`, the default), which the other levels and both
    update rules, simultaneous and alternating, share.

    Args:
        game: The game.
        level, rule: What the statement is about; they are recorded and change nothing.
        step_size: None; no level of this game has one.

    Returns:
        `margin` is the smallest relative change of feature strengths that leads to another phase, `near_critical` a
        margin within 5 %. `thresholds` has one number per feature: `lower` and `upper` (the same for all features;
        NaN for features without a matching generator column), `critical_overlap` and `slow_overlap` (a successful run
        ends with an overlap between the two), with unmodelled features `pinned_overlap`, and under a soft penalty the
        number `regularization`, its lower limit. `rates`, per unit of time: `uninformed_growth` of each feature's
        overlap with the discriminator at P = 0; at P = I `perfect_growth` (negative: decay), `perfect_frequency` and
        `perfect_period` of each feature's pair; all eigenvalues of both states as pairs [real, imaginary] in
        `uninformed_eigenvalues` and `perfect_eigenvalues`. For `best` see `recommended`.

    Raises:
        ParameterError: If the level is unknown, the level has no such rule, or `step_size` is given.
    """
    name = "ode" if level is None else one_of("level", level, game.levels)
    check_rule(rule, name, game.levels[name])
    if step_size is not None:
        raise ParameterError("step_size", step_size, f"nothing: level {name!r} has no step size")
    try:
        about = silence(game)
    except NoStationaryLength as error:
        verdict, facts = _without_length(game, error), _Facts(_no_thresholds(game), [], {})
    else:
        facts = _Facts(_thresholds(game, about), known_equilibria(game, about), _rates(game, about))
        verdict = decide(game, about, facts.equilibria)
        if _pinning_variance(game, about) is not None:
            verdict = dataclasses.replace(verdict, reasons=(*verdict.reasons, _PINNED))
    return Prediction(
        verdict.outcome,
        verdict.detail,
        verdict.margin,
        verdict.reasons,
        verdict.near_critical,
        *facts,
        recommended(game),
        level,
        rule,
        step_size,
        game,
    )


def spectrum(game: "SolvableGAN", at: Any = None, rule: str | None = None, **options: Any) -> Spectrum:
    """Eigenvalues of the ODE at a macroscopic state, per unit of time; see `tangent.macro_spectrum`.

    Args:
        game: The game.
        at: A `MacroState`, at which the ODE need not rest; None is the silent state (q = r = 0) with the P and S of
            the game's own start, at the discriminator's stationary length.
        rule: None, `simultaneous` or `alternating`: both have the same limit, the ODE.
        options: None is known.

    Raises:
        NotApplicable: If `rule` is another one, or `at` is None and the start is random.
        ParameterError: If the state does not fit the game, or an option is given.
    """
    if rule is not None and rule not in _RULES:
        raise NotApplicable(
            f"rule = {rule!r}: the spectrum is that of the limiting ODE, which {' and '.join(_RULES)} updates share"
        )
    if options:
        raise unknown_name("option", sorted(options)[0], ["at", "rule"])
    if at is None:
        start = game.start
        S = start.S if game.hard else np.eye(game.columns)
        return macro_spectrum(game, MacroState(start.P, np.zeros(game.features), S=S, z=stationary_length(game)))
    if not isinstance(at, MacroState):
        raise ParameterError("at", at, "a MacroState or None")
    if at.P.shape != (game.features, game.columns):
        raise ParameterError("at", at.P.shape, f"a MacroState with P of shape {(game.features, game.columns)}")
    norms = np.append(np.diag(at.S), at.z)
    if game.hard and not np.allclose(norms, 1.0, rtol=0, atol=1e-10):
        raise ParameterError("at", norms, "squared lengths S_jj = 1 and z = 1, which regularization = inf keeps")
    return macro_spectrum(game, at)


def _thresholds(game: "SolvableGAN", about: Silence) -> dict[str, Any]:
    strengths = np.array(game.feature_variance)
    own = np.array([matched(game, i) for i in range(game.features)])
    numbers = {
        "lower": np.full(game.features, float(phases.lower_threshold(about))),
        "upper": np.where(own, phases.upper_threshold(about), math.nan),
        "critical_overlap": np.where(own, phases.critical_overlap(strengths, about), math.nan),
        "slow_overlap": np.where(own, phases.slow_overlap(strengths, about), math.nan),
    }
    thresholds: dict[str, Any] = {key: [float(v) for v in values] for key, values in numbers.items()}
    pinning = _pinning_variance(game, about)
    if pinning is not None:
        overlap = phases.pinned_critical_overlap(
            strengths, pinning, game.data_noise, game.generator_noise, game.discriminator_lr, game.generator_lr
        )
        thresholds["pinned_overlap"] = [float(v) for v in np.where(own, overlap, math.nan)]
    if game.link == "quadratic" and not game.hard:
        thresholds["regularization"] = smallest_regularization(game)
    return thresholds


def _rates(game: "SolvableGAN", about: Silence) -> dict[str, Any]:
    strengths = np.array(game.feature_variance)
    perfect = np.eye(game.features, game.columns)
    rates: dict[str, Any] = {
        "uninformed_growth": [float(v) for v in game.discriminator_lr * (about.real_slope * strengths + about.pull)],
        "uninformed_eigenvalues": _eigenvalues(silent_matrix(game, 0 * perfect)),
        "perfect_eigenvalues": _eigenvalues(silent_matrix(game, perfect)),
    }
    if all(matched(game, i) for i in range(game.features)):
        leading = phases.silent_mode(strengths, 1.0, about, game.discriminator_lr)[:, 0]
        rates["perfect_growth"] = [float(v) for v in leading.real]
        rates["perfect_frequency"] = [float(v) for v in leading.imag]
        rates["perfect_period"] = [2 * math.pi / float(v) if v else math.inf for v in leading.imag]
    return rates


def _eigenvalues(matrix: Array) -> list[list[float]]:
    values = np.linalg.eigvals(matrix)
    ordered = values[np.lexsort((-values.imag, -values.real))]
    return [[float(v.real), float(v.imag)] for v in ordered]


def _pinning_variance(game: "SolvableGAN", about: Silence) -> float | None:
    """Strength of the strongest visible feature without a generator column; hard constraint and quadratic link only."""
    unmodelled = game.feature_variance[game.columns :]
    if not unmodelled or not game.hard or game.link != "quadratic":
        return None
    strongest = max(unmodelled)
    return strongest if strongest > phases.lower_threshold(about) else None


def _no_thresholds(game: "SolvableGAN") -> dict[str, Any]:
    names = ("lower", "upper", "critical_overlap", "slow_overlap")
    thresholds: dict[str, Any] = {name: [math.nan] * game.features for name in names}
    if game.link == "quadratic":
        thresholds["regularization"] = smallest_regularization(game)
    return thresholds


def _without_length(game: "SolvableGAN", error: NoStationaryLength) -> Verdict:
    """The verdict when the soft penalty does not give the discriminator a length."""
    margin = math.nan
    if game.link == "quadratic":
        margin = float(relative_distance(game.regularization, smallest_regularization(game)))
    near = bool(margin <= NEAR_CRITICAL)
    if error.grows:
        hint = "not far below that limit a fast generator may hold the discriminator back, in a bounded oscillation"
        return Verdict(Outcome.DIVERGED, "diverging", margin, (str(error), hint), near)
    hint = "the thresholds are those of a discriminator that keeps a length: theory does not tell what happens"
    return Verdict(Outcome.UNDECIDED, "unknown", margin, (str(error), hint), near)
