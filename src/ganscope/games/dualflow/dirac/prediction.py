"""What theory says about the Dirac-GAN: its flow, and every scheme at its step size."""

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ganscope.analysis.spectrum import stability_of
from ganscope.core.checks import real_array
from ganscope.core.errors import NotApplicable, ParameterError
from ganscope.core.game import Players
from ganscope.core.outcome import Equilibrium, Outcome, Prediction, Spectrum
from ganscope.games.dualflow import levels
from ganscope.games.dualflow.game import Tracked, each_run, varied_runs
from ganscope.games.dualflow.levels import (
    EXPLICIT,
    EXPLICIT_SEQUENTIAL,
    FLOW,
    JKO,
    JKO_SEQUENTIAL,
    MIDPOINT,
    NASH,
    SCHEMES,
)
from ganscope.games.dualflow.questions import Answer, asked, scheme_spectrum
from ganscope.games.dualflow.theory import orbits
from ganscope.games.dualflow.theory.affine import Linear
from ganscope.games.dualflow.theory.steps import largest_step_of

if TYPE_CHECKING:
    from ganscope.games.dualflow.dirac.model import DiracGAN

# A spectral radius so close to 1 counts as 1; so close to a threshold, in relative terms, is near critical.
_NEUTRAL, _CRITICAL = 1e-9, 0.02
# Up to this angle per step the orbits of long steps are close to their estimates.
_SMALL_ANGLE = 1.0


def spectrum(game: "DiracGAN", at: Any = None, rule: str | None = None, **options: Any) -> Spectrum:
    """Spectrum of the flow at a point (theta, psi), or of a scheme at the equilibrium (0, 0).

    Raises:
        NotApplicable: If a scheme is asked for elsewhere.
    """
    linear = game.linearisation()
    if at is not None:
        point = real_array("at", at, expected="two finite numbers (theta, psi)")
        if point.shape != (2,):
            raise ParameterError("at", at, "two finite numbers (theta, psi)")
        if np.any(point != 0):
            if rule not in (None, FLOW):
                raise NotApplicable("the multipliers of a scheme describe motion near an equilibrium, here (0, 0)")
            linear = Linear(game.jacobian(*(float(v) for v in point)), np.zeros(2), 1)
    return scheme_spectrum(linear, rule, options)


# Schemes that circle outwards, and settle on a limit cycle if at all.
_GROWING = (EXPLICIT, JKO)


def tracked_runs(game: "DiracGAN", run: Any) -> Tracked:
    """What the verdicts are made of: the distance from (0, 0)."""
    path = np.stack([each_run(run, name, "time") for name in ("generator", "discriminator")], axis=-1)
    distance, varied = np.hypot(path[..., 0], path[..., 1]), varied_runs(run)
    start = np.hypot(*np.transpose(varied.get("initial", [game.initial])))
    unpenalised = varied.get("gradient_penalty", np.array([game.gradient_penalty])) == 0
    algebraic = unpenalised & (game.loss == "nonsaturating" and run.attrs["level"] not in _GROWING)
    reference, missing = np.where(start > 0, start, 1.0), np.full(len(path), None)
    columns = [np.broadcast_to(values, len(path)) for values in (reference, algebraic)]
    return Tracked(distance, distance, path, columns[0], missing, algebraic=columns[1])


def rotation(game: "DiracGAN", run: Any) -> float:
    """Period of the flow, or the time in which a scheme settles on its limit cycle if that is longer."""
    period = max(_period(game), _settling(game, run) if run.attrs["level"] in _GROWING else 0.0)
    return period if period < math.inf else math.nan


def _settling(game: "DiracGAN", run: Any) -> float:
    """Time in which simultaneous steps settle on a limit cycle, 0 where there is none."""
    if game.loss == "bilinear" or (game.loss == "saturating" and game.gradient_penalty == 0):
        return 0.0
    step = float(run.time[-1] / run.iteration[-1]) if float(run.iteration[-1]) > 0 else levels.DEFAULT_STEP
    growth = -scheme_spectrum(game.linearisation(), run.attrs["level"], {"step_size": step}).rate / step
    return 1 / growth if growth > 0 else 0.0


def _period(game: "DiracGAN") -> float:
    """Period of the flow; near the equilibrium, unless it is known on the orbit."""
    speeds = game.generator_lr, game.discriminator_lr
    if game.loss == "saturating" and game.gradient_penalty == 0:
        theta, psi = game.initial
        return orbits.saturating_period(theta, psi, *speeds)
    return orbits.bilinear_period(*speeds, game.slope, game.gradient_penalty)


def predict(game: "DiracGAN", level: str | None, rule: str | None, step_size: float | None) -> Prediction:
    """What theory says: about the flow, or about a scheme at a step size."""
    name, step = asked(game, level, rule, step_size)
    flow = name == FLOW
    values = scheme_spectrum(game.linearisation(), name, {} if flow else {"step_size": step})
    rest = Equilibrium(Players(0.0, 0.0), values, stability_of(values), "equilibrium")
    answer = _of_flow(game, values) if flow else _of_scheme(game, name, step, values)
    if game.initial == (0.0, 0.0):
        reason = "the start is the equilibrium, where nothing moves"
        answer = Answer(Outcome.CONVERGED, "at_equilibrium", math.nan, (reason, *answer.reasons))
    limits = {f"largest_step_{s}": largest_step_of(game.linearisation(), s) for s in SCHEMES}
    limit = limits.get(f"largest_step_{name}", math.inf)
    critical = 2 * game.slope * math.sqrt(game.generator_lr / game.discriminator_lr)
    advice = (
        f"gradient_penalty = {critical:.6g} damps best (critically); in the convention without the factor 1/2, "
        f"{critical / 2:.6g}"
    )
    return Prediction(
        *answer[:3],
        (*answer.reasons, advice),
        near_critical=_near_critical(game, name, step, limit),
        thresholds={"critical_gradient_penalty": critical, **_named(game, name, step, values), **limits},
        equilibria=[rest],
        rates=_rates(values, step),
        best={"gradient_penalty": critical, "gradient_penalty_without_half": critical / 2},
        level=level,
        rule=rule,
        step_size=step_size,
        game=game,
    )


def _near_critical(game: "DiracGAN", name: str, step: float, limit: float) -> bool:
    if game.gradient_penalty == 0:
        return game.loss == "saturating" and name in (EXPLICIT_SEQUENTIAL, JKO_SEQUENTIAL)
    return abs(step - limit) < _CRITICAL * limit < math.inf


def _of_flow(game: "DiracGAN", values: Spectrum) -> Answer:
    if game.gradient_penalty > 0:
        detail = _manner(values)
        words = (
            f"theta^2 / generator_lr + psi^2 / discriminator_lr falls until both are 0; close to there like "
            f"exp(-{values.rate:.6g} t)"
        )
        return Answer(Outcome.CONVERGED, detail, values.rate, (words,))
    if game.loss == "nonsaturating":
        limit = orbits.nonsaturating_limit(game.generator_lr, game.discriminator_lr)
        words = (
            "theta^2 / generator_lr + psi^2 / discriminator_lr falls like a power of time: its product with time "
            f"tends to {limit:.6g}"
        )
        return Answer(Outcome.CONVERGED, "algebraic", 0.0, (words,))
    words = f"theta^2 / generator_lr + psi^2 / discriminator_lr is conserved: an orbit of period {_period(game):.6g}"
    return Answer(Outcome.OSCILLATING, "orbiting", 0.0, (words,))


def _of_scheme(game: "DiracGAN", name: str, step: float, values: Spectrum) -> Answer:
    radius = float(np.max(np.abs(values.values)))
    margin = 1 - radius
    words = f"the spectral radius of {name} at step_size = {step:g} is {radius:.9g} at the equilibrium"
    local = () if game.loss == "bilinear" else ("this is known for starts near the equilibrium and moderate steps",)
    limit = _convex_step(game) if name in (JKO, JKO_SEQUENTIAL, NASH) else math.inf
    if step >= limit:
        hint = f"step_size must stay below {limit:.6g} for the generator's proximal problem to be convex on this orbit"
        return Answer(Outcome.UNDECIDED, "no_step", margin, (hint, words))
    if radius < 1 - _NEUTRAL:
        return Answer(Outcome.CONVERGED, _manner(values), margin, (words, *local))
    if radius > 1 + _NEUTRAL or _defective(values):
        return _growing(game, name, step, values, words)
    if game.loss == "nonsaturating":
        reason = "the linearisation turns without decay, and the loss itself damps, by a power of time"
        return Answer(Outcome.CONVERGED, "algebraic", 0.0, (words, reason, *local))
    reasons: tuple[str, ...] = (words,)
    if game.loss == "saturating" and name != MIDPOINT:
        reasons += ("the orbit drifts slowly: outwards for explicit_sequential, inwards for jko_sequential",)
    return Answer(Outcome.OSCILLATING, "orbiting", 0.0, reasons)


def _growing(game: "DiracGAN", name: str, step: float, values: Spectrum, words: str) -> Answer:
    """Where a scheme goes whose steps are too long."""
    margin = 1 - float(np.max(np.abs(values.values)))
    if game.loss == "bilinear":
        return Answer(Outcome.DIVERGED, "diverging", margin, (words, "the game is linear: nothing stops the growth"))
    turn = step * orbits.turning(game.generator_lr, game.discriminator_lr)
    overshoots = values.values[int(np.argmax(np.abs(values.values)))].real < 0  # a side each step: no cycle around it
    if name not in (EXPLICIT, JKO) or turn > _SMALL_ANGLE or overshoots:
        reason = "the equilibrium repels, and the steps are too long to say where to"
        return Answer(Outcome.UNDECIDED, "unstable", margin, (words, reason))
    if game.loss == "saturating" and game.gradient_penalty == 0:
        reason = "every step adds to theta^2 / generator_lr + psi^2 / discriminator_lr, the slower the larger it is"
        return Answer(Outcome.DIVERGED, "diverging", margin, (words, reason))
    radius = _cycle(game, step, values)
    reason = (
        "the growth ends on a limit cycle where theta^2 / generator_lr + psi^2 / discriminator_lr is about "
        f"{radius**2:.4g}"
    )
    return Answer(Outcome.OSCILLATING, "limit_cycle", margin, (words, reason))


def _cycle(game: "DiracGAN", step: float, values: Spectrum) -> float:
    """Radius of the limit cycle of simultaneous steps that are too long."""
    speeds = game.generator_lr, game.discriminator_lr
    if game.loss == "nonsaturating":
        return orbits.nonsaturating_cycle(max(-values.rate, 0.0) / step, *speeds)
    limit = 4 * game.gradient_penalty / game.generator_lr
    return orbits.saturating_cycle(max(step / limit, 1.0), *speeds)


def _convex_step(game: "DiracGAN") -> float:
    """Step size below which the saturating generator's proximal problem is convex on the whole first orbit."""
    theta, psi = game.initial
    squared = orbits.radius_squared(theta, psi, game.generator_lr, game.discriminator_lr)
    if game.loss != "saturating" or squared == 0:
        return math.inf
    return 4 / (game.generator_lr * game.discriminator_lr * squared)


def _named(game: "DiracGAN", name: str, step: float, values: Spectrum) -> dict[str, float]:
    """Named values of the flow, and of the scheme that was asked for."""
    known = {"period": _period(game)}
    if game.loss == "saturating":
        known["largest_convex_step"] = _convex_step(game)
    if game.gradient_penalty == 0 and game.loss == "nonsaturating":
        known["radius_squared_times_time"] = orbits.nonsaturating_limit(game.generator_lr, game.discriminator_lr)
    growing = name in (EXPLICIT, JKO) and values.rate < 0
    if growing and (game.loss == "nonsaturating" or (game.loss == "saturating" and game.gradient_penalty > 0)):
        known["limit_cycle_radius"] = _cycle(game, step, values)
    return known


def _manner(values: Spectrum) -> str:
    """How an approach to the equilibrium looks: turning or changing sides, or neither."""
    return "converge_oscillatory" if values.period < math.inf else "converge_monotone"


def _defective(values: Spectrum) -> bool:
    """Whether both multipliers are -1: a sequential scheme at its very limit grows like time."""
    return bool(np.max(np.abs(np.asarray(values.values) + 1)) < 1e-6)


def _rates(values: Spectrum, step: float) -> dict[str, float]:
    if not values.is_map:
        return {"per_time": values.rate, "period": values.period}
    return {
        "spectral_radius": float(np.max(np.abs(values.values))),
        "per_iteration": values.rate,
        "per_time": values.rate / step,
        "period": values.period * step,
    }
