"""What theory says about a solvable GAN without simulating it: `predict`, and the spectrum of its ODE."""

import dataclasses
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ganscope.core.checks import one_of
from ganscope.core.errors import NotApplicable, ParameterError, unknown_name
from ganscope.core.outcome import Equilibrium, Outcome, Prediction, Predictions, Spectrum, Verdict
from ganscope.core.simulate import check_rule
from ganscope.games.solvable import phases
from ganscope.games.solvable.cells import Cells
from ganscope.games.solvable.copying import copies_attract
from ganscope.games.solvable.decision import NEAR_CRITICAL, decide, unmet, verdict
from ganscope.games.solvable.equilibria import copying_is_relevant, known_equilibria, matched_features
from ganscope.games.solvable.phase_rule import PHASES, Flags, outcome_of, relative_distance
from ganscope.games.solvable.recommendation import recommended
from ganscope.games.solvable.silence import (
    NoStationaryLength,
    Silence,
    grows,
    silence,
    silences,
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
# Cells whose temporary arrays fit the processor's cache.
_TOGETHER = 1024


# Numbers of many cells by name, and in which cells each is known: `[cells]`, or `[cells, features]`.
Numbers = dict[str, tuple[Array, Flags]]


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
    _check(game, level, rule, step_size)
    cells = Cells.of(game)
    about = silences(cells)
    equilibria: list[Equilibrium] = []
    if np.isnan(about.length[0]):
        verdict = _without_length(game)
    else:
        equilibria = known_equilibria(game, silence(game))
        verdict = _with_length(cells, about, equilibria)
    return Prediction(
        verdict.outcome,
        verdict.detail,
        verdict.margin,
        verdict.reasons,
        verdict.near_critical,
        _of_one(_thresholds(cells, about)),
        equilibria,
        _of_one(_rates(cells, about)) | (_spectra(game) if equilibria else {}),
        _of_one(_everywhere(recommended(cells))),
        level,
        rule,
        step_size,
        game,
    )


def predict_cells(
    game: "SolvableGAN",
    over: Mapping[str, Array],
    level: str | None = None,
    rule: str | None = None,
    step_size: float | None = None,
) -> Predictions:
    """`predict` for many variants of a game, in arrays: no equilibria, spectra or reasons."""
    _check(game, level, rule, step_size)
    cells = Cells.of(game, over)
    parts = [_together(cells[start : start + _TOGETHER]) for start in range(0, len(cells), _TOGETHER)]
    numbers: Numbers = {}
    for name in dict.fromkeys(name for part in parts for name in part.numbers):
        values, known = zip(*(part.numbers[name] for part in parts), strict=True)
        numbers[name] = np.concatenate(values), np.concatenate(known)
    return Predictions(
        np.concatenate([part.outcome for part in parts]),
        np.concatenate([part.detail for part in parts]),
        np.concatenate([part.margin for part in parts]),
        np.concatenate([part.near for part in parts]),
        {name: _where(known, values) for name, (values, known) in numbers.items() if known.any()},
    )


class _Said(NamedTuple):
    outcome: npt.NDArray[np.object_]
    detail: npt.NDArray[np.object_]
    margin: Array
    near: Flags
    numbers: Numbers


def _together(cells: Cells) -> _Said:
    """What theory says about so many cells that temporary arrays fit the processor's cache."""
    about = silences(cells)
    outcome, detail = (np.full(len(cells), word, object) for word in (str(Outcome.UNDECIDED), "unknown"))
    margin, near = np.full(len(cells), math.nan), np.zeros(len(cells), bool)
    lost = np.flatnonzero(np.isnan(about.length))
    if len(lost):
        growing, margin[lost], near[lost] = _lost(cells[lost])
        outcome[lost[growing]], detail[lost[growing]] = str(Outcome.DIVERGED), "diverging"
    ruled = ~np.isnan(about.length) & ~np.any([*unmet(cells, about).values()], axis=0)
    which = np.flatnonzero(ruled)
    if len(which):
        own, here = cells[which], Silence(*(part[which] for part in about))
        copying = np.zeros(len(which), bool)
        likely = np.flatnonzero(copying_is_relevant(own, here))
        if len(likely):
            copying[likely] = copies_attract(own[likely])
        said = decide(own, here, copying)
        margin[which], near[which] = said.margin, said.near
        for name in PHASES:
            word, label = outcome_of(str(name), cells.features)
            outcome[which[said.phase == name]], detail[which[said.phase == name]] = str(word), label
    numbers = {
        f"{kind}_{name}": values
        for kind, found in (
            ("threshold", _thresholds(cells, about)),
            ("rate", _rates(cells, about)),
            ("best", _everywhere(recommended(cells))),
        )
        for name, values in found.items()
    }
    return _Said(outcome, detail, margin, near, numbers)


def _check(game: "SolvableGAN", level: str | None, rule: str | None, step_size: float | None) -> None:
    name = "ode" if level is None else one_of("level", level, game.levels)
    check_rule(rule, name, game.levels[name])
    if step_size is not None:
        raise ParameterError("step_size", step_size, f"nothing: level {name!r} has no step size")


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


def _thresholds(cells: Cells, about: Silence) -> Numbers:
    strengths, wide = cells.feature_variance, Silence(*(part[..., None] for part in about))
    every, known = np.ones(len(cells), bool), ~np.isnan(about.length)[:, None]
    own = matched_features(cells) & known
    numbers = {
        "lower": np.where(known, phases.lower_threshold(wide) + 0 * strengths, math.nan),
        "upper": np.where(own, phases.upper_threshold(wide), math.nan),
        "critical_overlap": np.where(own, phases.critical_overlap(strengths, wide), math.nan),
        "slow_overlap": np.where(own, phases.slow_overlap(strengths, wide), math.nan),
    }
    found: Numbers = {name: (values, every) for name, values in numbers.items()}
    pinning = _pinning_variances(cells, about)
    if pinning is not None:
        noises_and_rates = cells.data_noise, cells.generator_noise, cells.discriminator_lr, cells.generator_lr
        overlap = phases.pinned_critical_overlap(strengths, pinning[:, None], *(v[:, None] for v in noises_and_rates))
        found["pinned_overlap"] = np.where(own, overlap, math.nan), np.isfinite(pinning)
    if cells.link == "quadratic" and not cells.hard:
        found["regularization"] = smallest_regularization(cells), every
    return found


def _rates(cells: Cells, about: Silence) -> Numbers:
    strengths, wide = cells.feature_variance, Silence(*(part[..., None] for part in about))
    known = ~np.isnan(about.length)
    growth = cells.discriminator_lr[:, None] * (wide.real_slope * strengths + wide.pull)
    found: Numbers = {"uninformed_growth": (growth, known)}
    whole = known & matched_features(cells).all(-1)
    if whole.any():
        leading = phases.silent_mode(strengths, 1.0, wide, cells.discriminator_lr[:, None])[..., 0]
        turning = leading.imag != 0
        period = np.where(turning, 2 * math.pi / np.where(turning, leading.imag, 1.0), math.inf)
        found["perfect_growth"], found["perfect_frequency"] = (leading.real, whole), (leading.imag, whole)
        found["perfect_period"] = period, whole
    return found


def _pinning_variances(cells: Cells, about: Silence) -> Array | None:
    """Strength of the strongest visible feature without a generator column, NaN where there is none.

    None beyond the hard constraint and the quadratic link.
    """
    unmodelled = cells.feature_variance[:, cells.columns :]
    if unmodelled.shape[1] == 0 or not cells.hard or cells.link != "quadratic":
        return None
    strongest = unmodelled.max(-1)
    pinning: Array = np.where(strongest > phases.lower_threshold(about), strongest, math.nan)
    return pinning


def _everywhere(values: Mapping[str, Array]) -> Numbers:
    return {name: (array, np.ones(len(array), bool)) for name, array in values.items()}


def _of_one(numbers: Numbers) -> dict[str, Any]:
    """The numbers of the only cell, as Python has them."""
    return {name: values[0].tolist() for name, (values, known) in numbers.items() if known[0]}


def _where(known: Flags, values: Array) -> Array:
    """The values where they are known, elsewhere NaN."""
    result: Array = np.where(known.reshape(-1, *[1] * (values.ndim - 1)), values, math.nan)
    return result


def _spectra(game: "SolvableGAN") -> dict[str, Any]:
    perfect = np.eye(game.features, game.columns)
    return {
        "uninformed_eigenvalues": _eigenvalues(silent_matrix(game, 0 * perfect)),
        "perfect_eigenvalues": _eigenvalues(silent_matrix(game, perfect)),
    }


def _eigenvalues(matrix: Array) -> list[list[float]]:
    values = np.linalg.eigvals(matrix)
    ordered = values[np.lexsort((-values.imag, -values.real))]
    return [[float(v.real), float(v.imag)] for v in ordered]


def _with_length(cells: Cells, about: Silence, equilibria: list[Equilibrium]) -> Verdict:
    """The verdict on one game whose silent discriminator keeps a length."""
    reasons = [words for words, about_it in unmet(cells, about).items() if about_it[0]]
    said = Verdict(Outcome.UNDECIDED, "unknown", math.nan, tuple(reasons))
    if not reasons:
        copying = any(e.label == "active_collapse" and e.stability == "stable" for e in equilibria)
        said = verdict(cells.game, silence(cells.game), decide(cells, about, np.array([copying])))
    pinning = _pinning_variances(cells, about)
    if pinning is not None and np.isfinite(pinning[0]):
        said = dataclasses.replace(said, reasons=(*said.reasons, _PINNED))
    return said


def _without_length(game: "SolvableGAN") -> Verdict:
    """The verdict when the soft penalty does not give the discriminator a length."""
    growing, margin, near = (values[0].item() for values in _lost(Cells.of(game)))
    try:
        stationary_length(game)
    except NoStationaryLength as error:
        reason = str(error)
    if growing:
        hint = "not far below that limit a fast generator may hold the discriminator back, in a bounded oscillation"
        return Verdict(Outcome.DIVERGED, "diverging", margin, (reason, hint), near)
    hint = "the thresholds are those of a discriminator that keeps a length: theory does not tell what happens"
    return Verdict(Outcome.UNDECIDED, "unknown", margin, (reason, hint), near)


def _lost(cells: Cells) -> tuple[Flags, Array, Flags]:
    """Of cells without a stationary length: whether it grows, the margin, and whether that is near critical."""
    margin = np.full(len(cells), math.nan)
    if cells.link == "quadratic":
        margin = relative_distance(cells.regularization, smallest_regularization(cells))
    return grows(cells), margin, margin <= NEAR_CRITICAL
