"""What theory says about a `FeatureGAN`: which starts collapse for ever, where a collapsed generator goes, how the
matched data are approached, and how long steps may be. There is no theory of where a general start ends."""

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ganscope.analysis.spectrum import spectrum_of, stability_of
from ganscope.core.checks import number
from ganscope.core.errors import NotApplicable, unknown_name
from ganscope.core.outcome import Equilibrium, Outcome, Prediction, Spectrum
from ganscope.games.dualflow import observables
from ganscope.games.dualflow.collapse.fate import DiracFate, dirac_fate, smoothed_modes
from ganscope.games.dualflow.collapse.local_modes import local_modes
from ganscope.games.dualflow.failures import StepTooLarge
from ganscope.games.dualflow.feature import linearisation as local
from ganscope.games.dualflow.levels import EXPLICIT_SEQUENTIAL, FLOW, JKO_SEQUENTIAL, NASH, SCHEMES, check_options
from ganscope.games.dualflow.questions import SPECTRUM_OPTIONS, Answer, asked, scheme_spectrum
from ganscope.games.dualflow.theory.affine import Linear
from ganscope.games.dualflow.theory.rates import comparison_rate, zero_sum_rate
from ganscope.games.dualflow.theory.steps import largest_stable_step

if TYPE_CHECKING:
    from ganscope.games.dualflow.feature.model import FeatureGAN

Array = npt.NDArray[np.float64]

# The midpoint rule is for flat spaces only.
_SCHEMES = SCHEMES[:-1]
# Schemes under which undamped rotations stay bounded.
_TURNING = (EXPLICIT_SEQUENTIAL, JKO_SEQUENTIAL)
# Relative distance from a critical speed ratio, or a largest step, that is close to critical.
_CLOSE = 0.05
# Share of the target's standard deviation that counts as no distance, as in the verdict.
_SETTLED = 0.01
# W2, in standard deviations of the target, below which a start counts as matched.
_MATCHED = 1e-6
# Speed of a discriminator, relative to the generator's, that counts as infinite.
_INSTANT = 1e12
# Real points beyond which an equilibrium is not written down in full.
_FEW = 500
# Eigenvalues this small belong to motions that the discriminator does not see.
_NEUTRAL = 1e-9


def predict(
    game: "FeatureGAN", level: str | None = None, rule: str | None = None, step_size: float | None = None, **_: Any
) -> Prediction:
    """What theory says; see `FeatureGAN`.

    Raises:
        ParameterError: If a level, rule or step size is not one of this game's.
    """
    name, step = asked(game, level, rule, step_size)
    thresholds, rates, best, reasons = _facts(game)
    fate = _fate(game)
    answer, near = _answer(game, fate, name, step)
    if fate is not None:
        thresholds |= _of_fate(fate, game)
        rates["width_growth"] = fate.width_growth_rate
    limit = thresholds.get(f"largest_step_{name}", math.inf)
    if name != FLOW and step > limit and answer.outcome is not Outcome.COLLAPSED:
        text = f"steps of {name} longer than {limit:.4g} leave the matched data, and step_size = {step:g}"
        answer = Answer(Outcome.UNDECIDED, "unknown", math.nan, (f"{text}: where to is not known", *answer.reasons))
    near = near or answer.detail == "orbiting"  # no penalty, no margin
    near = near or (name != FLOW and abs(step - limit) < _CLOSE * limit)
    return Prediction(
        answer.outcome,
        answer.detail,
        answer.margin,
        (*answer.reasons, *reasons),
        near,
        thresholds=thresholds,
        equilibria=_equilibria(game, fate, name, step),
        rates=rates,
        best=best,
        level=name,
        step_size=None if name == FLOW else step,
        game=game,
    )


def _facts(game: "FeatureGAN") -> tuple[dict[str, Any], dict[str, Any], dict[str, Any], list[str]]:
    """Thresholds, rates, best values and sentences that hold whatever the start."""
    thresholds: dict[str, Any] = {"speed_ratio": game.discriminator_lr / game.generator_lr}
    rates: dict[str, Any] = {}
    best: dict[str, Any] = {}
    reasons: list[str] = []
    try:
        strengths = local.strengths(game)
    except NotApplicable:
        strengths = np.empty(0)
    if len(strengths) and game.ridge == 0 and not game.fast:
        s, speeds = np.sqrt(strengths), (game.generator_lr, game.discriminator_lr)
        modes = local_modes(np.diag(strengths), game.critic_penalty, *speeds)
        turning = np.abs(modes.roots.imag).max(axis=1)
        turning = turning[turning > 0]
        if len(turning):
            thresholds["period"] = float(2 * math.pi / turning.max())
        if game.critic_penalty > 0:
            thresholds["overdamped_above_critic_penalty"] = float(modes.best_penalty.max())
            best["critic_penalty"] = float(modes.best_penalty[0])
            rates["fastest_mode"] = -float(modes.roots[0].real.max())
            seen = strengths > 1e-6 * strengths[0]
            rates["slowest_seen_mode"] = -float(modes.roots[seen].real.max())
        for scheme in _SCHEMES:
            steps = largest_stable_step(scheme, s, 0.0, game.critic_penalty, *speeds)
            thresholds[f"largest_step_{scheme}"] = float(np.min(steps))
    elif len(strengths) and game.ridge == 0:
        rates["fastest_mode"] = game.generator_lr * float(strengths[0]) / game.critic_penalty
        stable = 2 / rates["fastest_mode"]
        for scheme in _SCHEMES:
            thresholds[f"largest_step_{scheme}"] = stable if scheme.startswith("explicit") else math.inf
    try:
        constants = local.constants(game)
    except NotApplicable:
        return thresholds, rates, best, reasons
    speeds = (game.generator_lr, game.discriminator_lr)
    rates["generator_convexity"] = float(constants.generator_convexity)
    rates["discriminator_convexity"] = float(constants.discriminator_convexity)
    rates["cross_lipschitz"] = float(constants.generator_lipschitz)
    rates["comparison"] = float(comparison_rate(*constants, *speeds))
    if constants.generator_convexity > 0:
        rates["contraction"] = float(zero_sum_rate(constants[0], constants[1], *speeds))
        reasons.append(
            f"the ridge makes any two runs approach each other at a rate of at least {rates['contraction']:.3g}; the "
            "place where they meet lies between the data and the centre of the ridge"
        )
    return thresholds, rates, best, reasons


def _fate(game: "FeatureGAN") -> DiracFate | None:
    """What becomes of a generator whose points all coincide, where that is known."""
    if game.metric is None or not game.metric.differentiable or game.entropy or game.ridge or game.clip is not None:
        return None
    if int(observables.atoms(game.generated_points)) > 1 or game.critic_penalty == 0 or game.bandwidth_schedule:
        return None
    # A kernel of height h is one of height 1 with the discriminator's speed and penalty h times and 1 / h as large.
    height = game.height
    speed = _INSTANT * game.generator_lr if game.fast else game.discriminator_lr * height
    return dirac_fate(
        np.array(game.real),
        game.metric,
        game.critic_penalty / height,
        game.generator_lr,
        speed,
        game.generated_points[0],
    )


def _of_fate(fate: DiracFate, game: "FeatureGAN") -> dict[str, Any]:
    return {
        "mode": fate.mode.tolist(),
        "smoothed_modes": smoothed_modes(np.array(game.real), game.metric).tolist(),
        "collapse_w2": float(np.sqrt(np.mean(np.sum((np.asarray(game.real) - fate.mode) ** 2, axis=1)))),
        "sigma": fate.sigma,
        "critical_speed_ratio": fate.critical_speed_ratio / game.height,
        "hopf_period": 2 * math.pi / fate.hopf_frequency if fate.hopf_frequency > 0 else math.nan,
    }


def _answer(game: "FeatureGAN", fate: DiracFate | None, level: str, step: float) -> tuple[Answer, bool]:
    """Outcome with its reasons, and whether it is close to another one."""
    real, start = np.asarray(game.real), np.asarray(game.generated_points)
    deviation = math.sqrt(float(observables.total_variance(real)))
    places, modes = int(observables.atoms(start)), len(game.target_modes.weights)
    if fate is not None and deviation > 0:
        return _of_point(game, fate, level, step)
    splits = game.entropy > 0 or (game.name == "energy" and game.fast and game.axes == 1)
    if not splits and (places < modes or (places == 1 and deviation > 0)):
        reason = f"{len(start)} points share {places} places and can never be more, fewer than the target needs"
        return Answer(Outcome.COLLAPSED, "unknown", math.nan, (reason,)), False
    if game.name == "energy" and game.fast and game.axes == 1 and game.ridge == 0:
        return _quantiles(game, deviation, level, step), False
    if game.name in ("linear", "quadratic"):
        return _moments(game, deviation, level), False
    at_rest = not isinstance(game.initial_discriminator, np.ndarray) or not np.any(game.initial_discriminator)
    if start.shape == real.shape and game.ridge == 0 and game.entropy == 0 and at_rest:
        w2 = float(observables.w2_over_time(start[None], real)[0])
        if w2 <= _MATCHED * max(deviation, 1e-300):
            return Answer(Outcome.CONVERGED, "converge_monotone", math.nan, ("it starts at the matched data",)), False
    reason = (
        "there is no theory of where a general start ends: near the data the linear modes say how it is approached, "
        "far from them a kernel's force fades with the distance"
    )
    return Answer(Outcome.UNDECIDED, "unknown", math.nan, (reason,)), False


def _of_point(game: "FeatureGAN", fate: DiracFate, level: str, step: float) -> tuple[Answer, bool]:
    """A generator whose points all coincide: it rests at a mode of the smoothed data, or moves on for ever."""
    where = ", ".join(f"{v:.5g}" for v in fate.mode)
    together = "all points coincide and stay together"
    grows = f"a cloud around it would widen at rate {fate.width_growth_rate:.3g}"
    ratio, critical = game.discriminator_lr / game.generator_lr, fate.critical_speed_ratio / game.height
    margin = math.inf if game.fast or critical == 0 else ratio / critical - 1
    near = abs(margin) < _CLOSE
    speeds = "the discriminator is fast" if game.fast else f"discriminator_lr / generator_lr = {ratio:.4g}"
    if not game.fast:
        speeds += f" {'exceeds' if fate.settles else 'is below'} {critical:.4g}"
    if not fate.settles:
        reason = (
            f"{together}: they do not settle at the mode {where} of the smoothed data, since {speeds}; "
            "they cycle, hop or escape"
        )
        return Answer(Outcome.COLLAPSED, "cycling", -margin, (reason,)), near
    if level != FLOW:
        radius = _radius_of_point(game, fate, level, step)
        if not radius < 1:
            reason = (
                f"{together}; the flow settles at the mode {where} of the smoothed data, but steps of {level} with "
                f"step_size = {step:g} do not: they cycle, hop or escape"
            )
            return Answer(Outcome.UNDECIDED, "unknown", math.nan, (reason,)), near
    reason = f"{together}: they settle at the mode {where} of the smoothed data, since {speeds}; {grows}"
    return Answer(Outcome.COLLAPSED, "settled", margin, (reason,)), near


def _radius_of_point(game: "FeatureGAN", fate: DiracFate, level: str, step: float) -> float:
    """Spectral radius of a step of a scheme for the place of a point at its mode; infinite if it has no solution."""
    if game.map is None:
        return math.nan if step * game.generator_lr * fate.sigma >= 1 else 0.0
    place = fate.mode[None]
    linear = local.linearised(game, place, local.best_coefficients(game, place))
    try:
        values = (
            _fast_spectrum(linear, level, step) if game.fast else scheme_spectrum(linear, level, {"step_size": step})
        )
    except StepTooLarge:
        return math.inf
    return float(np.max(np.abs(values.multipliers)))


def _quantiles(game: "FeatureGAN", deviation: float, level: str, step: float) -> Answer:
    """The energy distance's flow on a line: every quantile goes to its own quantile of the target."""
    count, real = len(game.generated_points), np.sort(np.asarray(game.real)[:, 0])
    reason = "every quantile moves towards its own quantile of the target, on its own"
    if isinstance(game.real_points, np.ndarray):
        ranks = (np.arange(count) + 0.5) / count
        ends = real[np.minimum((ranks * len(real)).astype(int), len(real) - 1)]
        floor = float(observables.w2_over_time(ends[None, :, None], real[:, None])[0])
        if floor > _SETTLED * deviation:
            reason += f"; {count} points cannot come closer to {len(real)} than W2 = {floor:.4g}"
            return Answer(Outcome.UNDECIDED, "unknown", math.nan, (reason,))
        jump = step * game.generator_lr / game.critic_penalty / len(real)
        if level.startswith("explicit") and jump > _SETTLED * deviation:
            reason += f"; explicit steps jump to and fro around real points by up to {jump:.3g}"
            return Answer(Outcome.UNDECIDED, "unknown", math.nan, (reason,))
    return Answer(Outcome.CONVERGED, "converging", math.nan, (reason,))


def _moments(game: "FeatureGAN", deviation: float, level: str) -> Answer:
    """Features that see moments only: the law keeps its shape up to an affine map."""
    real, start = np.asarray(game.real), np.asarray(game.generated_points)
    linear = game.name == "linear"
    what = "means" if linear else "means and covariances"
    if game.critic_penalty == 0 and game.ridge == 0 and not game.fast:
        if level in (FLOW, *_TURNING):
            reason = f"{what} go around those of the target for ever, since critic_penalty = 0"
            return Answer(Outcome.OSCILLATING, "orbiting", math.nan, (reason,))
        if linear and level != NASH:
            reason = f"{what} spiral away from those of the target under {level}, since critic_penalty = 0"
            return Answer(Outcome.DIVERGED, "diverging", math.nan, (reason,))
        if not linear:
            reason = f"{what} would go around for ever in the flow; where the errors of {level} take them is not known"
            return Answer(Outcome.UNDECIDED, "unknown", math.nan, (reason,))
    centred = start - start.mean(axis=0)
    rank = int(np.linalg.matrix_rank(centred, tol=1e-9 * (1 + float(np.abs(centred).max()))))
    if rank < game.axes and not linear and deviation > 0:
        reason = f"the covariance has rank {rank} < {game.axes} for ever: points move by one affine map"
        return Answer(Outcome.COLLAPSED, "unknown", math.nan, (reason,))
    if game.axes == 1 and start.shape == real.shape and game.ridge == 0:
        shape, goal = np.sort(centred[:, 0]), np.sort((real - real.mean(axis=0))[:, 0])
        if not linear:
            shape, goal = shape / np.std(shape), goal / max(float(np.std(goal)), 1e-300)
        if np.allclose(shape, goal, rtol=0, atol=1e-9 * (1 + deviation)):
            reason = f"the target is an affine image of the start, and the discriminator matches {what}"
            return Answer(Outcome.CONVERGED, "converge_oscillatory", math.nan, (reason,))
    reason = f"the discriminator matches {what} only; the shape of the law stays that of the start"
    return Answer(Outcome.UNDECIDED, "unknown", math.nan, (reason,))


def _equilibria(game: "FeatureGAN", fate: DiracFate | None, level: str, step: float) -> list[Equilibrium]:
    """The matched data, or the resting place of a generator that is one point."""
    rule, options = (None, {}) if level == FLOW else (level, {"step_size": step})
    try:
        values = spectrum(game, None, rule, **options)
    except (NotApplicable, StepTooLarge):
        return []
    if fate is not None and game.map is not None:
        state: dict[str, Any] = {"generated_points": [fate.mode.tolist()]}
        return [Equilibrium(state, values, stability_of(values), "collapsed")]
    state = {"discriminator": 0.0}
    if len(game.real) <= _FEW:
        state["generated_points"] = np.asarray(game.real).tolist()
    return [Equilibrium(state, values, stability_of(values), "matched_data")]


def _fast_spectrum(linear: Linear, scheme: str, step: float) -> Spectrum:
    """Steps of the generator alone: proximal ones are implicit Euler steps."""
    one = np.eye(len(linear.jacobian))
    explicit = scheme.startswith("explicit")
    matrix = one + step * linear.jacobian if explicit else np.linalg.inv(one - step * linear.jacobian)
    return spectrum_of(matrix, is_map=True, neutral=_NEUTRAL)


def spectrum(game: "FeatureGAN", at: Any = None, rule: str | None = None, **options: Any) -> Spectrum:
    """Spectrum of the flow or of a scheme.

    Args:
        game: The game.
        at: Points `[N, d]`, which then face the best discriminator, or points and coefficients; None is the matched
            data, or the resting place of a generator that is one point.
        rule: None or "flow", or a scheme.
        options: `step_size`, `order`, `discriminator_steps` of a scheme.

    Raises:
        NotApplicable: If the features have no linearisation, or it has too many rows.
        ParameterError: If an argument is unknown or out of its range.
    """
    if at is None:
        fate = _fate(game)
        if fate is None or game.map is None:
            linear = local.matched_modes(game)
        else:
            # one point for the place, another one for every width: all widths are alike
            points = np.repeat(fate.mode[None], min(len(game.generated_points), 2), axis=0)
            linear = local.linearised(game, points, local.best_coefficients(game, points))
    elif game.map is None:
        raise NotApplicable(f"features = {game.name!r} have no Jacobian here")
    else:
        linear = local.linearised(game, *local.state_of(game, at))
    if game.fast and rule not in (None, FLOW):
        for name in options:
            if name not in SPECTRUM_OPTIONS:
                raise unknown_name("option", name, SPECTRUM_OPTIONS)
        check_options({k: v for k, v in options.items() if k != "step_size"})
        step = number("step_size", options.get("step_size", asked(game, rule, None, None)[1]), above=0)
        return _fast_spectrum(linear, rule, step)
    return scheme_spectrum(linear, rule, options)
