"""What theory says about particles on a circle: the linear theory of the target's surroundings, and of collapse.

A cloud that starts broad is judged by the linear theory around the configuration that matches the target, a cloud that
starts narrow by whether collapse is stable. Where collapse is stable both ends exist, and a start in between may go
either way.
"""

import functools
import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ganscope.analysis.spectrum import stability_of
from ganscope.core.checks import number, one_of
from ganscope.core.errors import NotApplicable, ParameterError
from ganscope.core.outcome import Equilibrium, Outcome, Prediction, Spectrum
from ganscope.games.particle.torus import collapse, linear
from ganscope.games.particle.torus.fourier import PERIOD, largest_frequency, rates
from ganscope.games.particle.torus.rest import Rest, rest
from ganscope.games.particle.torus.simulation import LEVELS, SCHEMES, TOO_COARSE, check_step, step_of
from ganscope.games.particle.torus.wavenumbers import Waves, best_overall, waves

if TYPE_CHECKING:
    from ganscope.games.particle.torus.model import TorusGAN

Array = npt.NDArray[np.float64]

# A start is narrow up to this share of the distance between modes, and broad from this circular variance on.
NARROW, BROAD = 0.1, 0.5
# Starts of the orbit of a collapsed cloud, this far apart: orbits can be chaotic, or start on a symmetry.
_STARTS, _APART = 28, 1e-3
# Steps times wavenumbers of an orbit beyond which the critical mobility is not looked for.
_MOST_WORK = 1e6
# Relative distance from the critical mobility that counts as near.
_NEAR = 0.12


# What the motion of a collapsed cloud does not depend on; the mobilities must not both be 0.
_ALIKE: dict[str, Any] = {"particles": 2, "relative_mobility": 1.0, "initial_std": 1.0, "initial_positions": None}


class _Answer(NamedTuple):
    outcome: Outcome
    detail: str
    margin: float
    reasons: tuple[str, ...]


class _Near(NamedTuple):
    """The linear theory next to the target: where it is, and the spectra of flow and steps; or why there is none."""

    rest: Rest | None
    flow: Spectrum | None
    steps: Spectrum | None
    reason: str


def predict(
    game: "TorusGAN",
    level: str | None = None,
    rule: str | None = None,
    step_size: float | None = None,
    scheme: str = SCHEMES[0],
) -> Prediction:
    """What theory says about a run.

    Raises:
        ParameterError: If there is no such level, rule or scheme, or the step size is out of range.
    """
    name = "particles" if level is None else one_of("level", level, LEVELS)
    scheme = one_of("scheme", scheme, SCHEMES)
    if rule not in (None, "flow") and not (name == "particles" and rule == "alternating"):
        raise ParameterError("rule", rule, f"None, flow{' or alternating' if name == 'particles' else ''}")
    if step_size is not None and name == "linear":
        raise ParameterError("step_size", step_size, "nothing: level 'linear' has no step size")
    step = step_of(None if step_size is None else number("step_size", step_size, above=0))
    modes, near = waves(game), _near(game, scheme, step if name == "particles" else None)
    thresholds, best, advice = _advice(game, modes, step)
    known = _rates(near, modes)
    near_critical = False
    if name == "linear":
        answer = _by_linear_theory(game, near)
    else:
        check_step(rates(game), step, stacklevel=5)
        answer = _by_linear_theory(game, near)
        if game.modes > 1:
            bend, crossing = _bend(game, scheme, step), _crossing(game, scheme, step)
            thresholds["critical_mobility"] = crossing.mean_mobility
            known["growth_of_collapsed_spread"] = game.relative_mobility * bend
            margin = _margin(game, crossing)
            near_critical = abs(margin) < _NEAR or (not math.isnan(margin) and (margin > 0) != (bend > 0))
            answer = _by_start(game, answer, bend, crossing)
    neutral = answer.detail == "orbiting"  # no friction at all: everything that is not linear decides
    return Prediction(
        *answer[:3],
        (*answer.reasons, *advice),
        near_critical=near_critical or neutral,
        thresholds=thresholds,
        equilibria=_equilibria(near),
        rates=known,
        best=best,
        level=level,
        rule=rule,
        step_size=step_size,
        game=game,
    )


def _near(game: "TorusGAN", scheme: str, step: float | None) -> _Near:
    try:
        found = rest(game, game.initial_positions)
        part = linear.blocks(game, found.positions, found.coefficients)
    except NotApplicable as error:
        return _Near(None, None, None, str(error))
    flow, steps = linear.flow_spectrum(part), None if step is None else linear.step_spectrum(part, scheme, step)
    if found.mismatch == 0:
        return _Near(found, flow, steps, "the particles can match the target at every wavenumber")
    words = f"the particles cannot match the target: at rest {found.mismatch:.3g} is left of a coefficient"
    return _Near(found, flow, steps, words)


def _by_linear_theory(game: "TorusGAN", near: _Near) -> _Answer:
    """The end of a run that starts next to the target."""
    if near.flow is None:
        return _Answer(Outcome.UNDECIDED, "no_rest", math.nan, (near.reason,))
    unseen = _undetectable(game, near)
    rate = near.flow.rate
    if game.gradient_penalty == 0 and game.regularization == 0 and game.loss == "wgan":
        words = "without gradient_penalty and regularization nothing damps: the particles swing for ever"
        return _Answer(Outcome.OSCILLATING, "orbiting", 0.0, (near.reason, words, *unseen))
    if near.flow.label == "centre":
        words = "nothing that the discriminator sees can move: every mode is neutral"
        return _Answer(Outcome.UNDECIDED, "marginal", 0.0, (near.reason, words, *unseen))
    if rate < 0:
        words = f"this configuration is unstable, with growth rate {-rate:.3g}: where to is beyond linear theory"
        return _Answer(Outcome.UNDECIDED, "unstable", rate, (near.reason, words, *unseen))
    if near.steps is not None and near.steps.rate < 0:
        words = (
            f"the flow is stable, but these time steps are not: a mode grows by {-near.steps.rate:.3g} per iteration, "
            "a discrete instability that shorter steps cure"
        )
        return _Answer(Outcome.OSCILLATING, "discrete_instability", near.steps.rate, (near.reason, words, *unseen))
    manner = "converge_oscillatory" if near.flow.period < math.inf else "converge_monotone"
    words = f"displacements from there die out, the slowest ones at the rate {rate:.3g}"
    return _Answer(Outcome.CONVERGED, manner, rate, (near.reason, words, *unseen))


def _undetectable(game: "TorusGAN", near: _Near) -> tuple[str, ...]:
    """How many directions never relax, because the discriminator does not see them."""
    assert near.flow is not None
    assert near.rest is not None
    part = linear.blocks(game, near.rest.positions, near.rest.coefficients)
    seen = part.drive > 0
    hidden = game.particles - int(np.linalg.matrix_rank(part.moments[seen])) if np.any(seen) else game.particles
    names = np.unique(np.tile(part.rate.wavenumber, 2)[~seen]).astype(int)
    words: tuple[str, ...] = ()
    if hidden > 0 and near.rest.mismatch == 0:
        words = (
            f"{hidden} of {game.particles} directions are undetectable: they change no wavenumber up to "
            f"{game.frequencies}, and never relax",
        )
    if len(names):
        words += (f"the kernel vanishes at wavenumbers {', '.join(map(str, names))}: they are undetectable",)
    return words


def _bend(game: "TorusGAN", scheme: str, step: float) -> float:
    """Average bend under a collapsed cloud that starts where this game's cloud does."""
    centre = 0.0
    if game.initial_positions is not None:
        centre = float(np.angle(np.mean(np.exp(1j * game.initial_positions))))
    return _remembered_bend(game.replace(**_ALIKE, mean_mobility=game.mean_mobility), scheme, step, centre)


@functools.lru_cache(maxsize=4096)
def _remembered_bend(game: "TorusGAN", scheme: str, step: float, centre: float) -> float:
    """Remembered for games that differ only in what it does not depend on."""
    starts = centre + _APART * (np.arange(_STARTS) + 0.5)
    return collapse.transverse_exponent(game, scheme=scheme, step_size=step, starts=starts)


def start_width(game: "TorusGAN") -> tuple[float, float]:
    """Standard deviation along the circle of the initial cloud, and its circular variance."""
    if game.initial_positions is None:
        return game.initial_std, -math.expm1(-(game.initial_std**2))
    turned = np.exp(1j * (game.initial_positions - game.initial_positions[0]))
    centre = float(np.angle(np.mean(turned)))
    away = np.angle(turned * np.exp(-1j * centre))
    return float(np.std(away)), max(0.0, 1 - float(np.abs(np.mean(turned))) ** 2)


def _crossing(game: "TorusGAN", scheme: str, step: float) -> collapse.Crossing:
    """The critical mobility, in continuous time for steps of second order; of those of first order at their size."""
    if collapse.work(game) > _MOST_WORK:
        words = "the critical mobility was not looked for, as steps must be very short: gs.critical_mobility does"
        return collapse.Crossing(math.nan, words)
    alike = game.replace(**_ALIKE, mean_mobility=1.0)
    return _remembered_crossing(alike, scheme, step if scheme == "first_order" else None)


@functools.lru_cache(maxsize=1024)
def _remembered_crossing(game: "TorusGAN", scheme: str, step: float | None) -> collapse.Crossing:
    """Remembered for games that differ only in what it does not depend on."""
    return collapse.critical_mobility(game, scheme=scheme, step_size=step)


def _by_start(game: "TorusGAN", linear_theory: _Answer, bend: float, crossing: collapse.Crossing) -> _Answer:
    """The end of a run from the game's own start, given what linear theory says next to the target."""
    width, variance = start_width(game)
    apart, margin, growth = PERIOD / game.modes, _margin(game, crossing), game.relative_mobility * bend
    narrow, broad = width <= NARROW * apart, variance >= BROAD
    start = f"the initial cloud has standard deviation {width:.3g}, the modes are {apart:.3g} apart"
    words = f"the spread of a collapsed cloud changes at the rate {growth:.3g} = relative_mobility times {bend:.3g}"
    if game.relative_mobility == 0:
        rigid = "relative_mobility is 0: the cloud moves as one body and keeps its shape"
        if narrow:
            return _Answer(Outcome.COLLAPSED, "mode_collapse", 0.0, (rigid, start))
        return _Answer(Outcome.UNDECIDED, "rigid", math.nan, (rigid, start))
    if bend > 0:
        torn = f"{words}: collapse is unstable, and the cloud spreads; {crossing.reason}"
        between = (
            "on its way to the target the cloud can be caught in a local minimum of the mismatch, which linear theory "
            "does not see; sharp kernels and strong friction favour that"
        )
        own = linear_theory.margin if broad else margin
        return _Answer(linear_theory.outcome, linear_theory.detail, own, (start, torn, *linear_theory.reasons, between))
    stays = f"{words}: a collapsed cloud is stable; {crossing.reason}"
    if margin > 0:  # a search with orbits of another length says otherwise
        margin = math.nan
    if narrow:
        return _Answer(Outcome.COLLAPSED, "mode_collapse", margin, (stays, f"{start}: it collapses"))
    bistable = "both ends are stable here (bistability): narrow starts collapse, broad ones do not"
    if broad:
        reasons = (f"{start}: it is broad", stays, bistable, *linear_theory.reasons)
        return _Answer(linear_theory.outcome, linear_theory.detail, linear_theory.margin, reasons)
    return _Answer(
        Outcome.UNDECIDED, "bistable", margin, (stays, bistable, f"{start}: in between, it may go either way")
    )


def _margin(game: "TorusGAN", crossing: collapse.Crossing) -> float:
    """log(critical / own mobility of the centre): positive where collapse is unstable."""
    if math.isnan(crossing.mean_mobility):
        return math.nan
    with np.errstate(divide="ignore"):
        return float(np.log(crossing.mean_mobility) - np.log(game.mean_mobility)) if game.mean_mobility else math.inf


def _advice(game: "TorusGAN", modes: Waves, step: float) -> tuple[dict[str, Any], dict[str, Any], tuple[str, ...]]:
    fastest = float(np.max(largest_frequency(rates(game))))
    thresholds: dict[str, Any] = {
        "best_gradient_penalty": [float(v) for v in modes.best_gradient_penalty],
        "largest_step": TOO_COARSE / fastest if fastest > 0 else math.inf,
    }
    penalty, rate, highest = best_overall(game, modes)
    if highest == 0:
        return thresholds, {}, ("no wave of the circle can relax: relative motion is frozen or invisible",)
    words = (
        f"on an evenly filled circle, gradient_penalty = {penalty:.6g} damps wavenumbers 1 to {highest} best, the "
        f"slowest at the rate {rate:.3g}; in the convention without the factor 1/2, {penalty / 2:.6g}"
    )
    best = {"gradient_penalty": penalty, "gradient_penalty_without_half": penalty / 2, "rate": rate}
    return thresholds, best, (words,)


def _rates(near: _Near, modes: Waves) -> dict[str, Any]:
    known: dict[str, Any] = {"by_wavenumber": [float(v) for v in modes.rates]}
    if near.flow is not None:
        known |= {"per_time": near.flow.rate, "period": near.flow.period}
    if near.steps is not None:
        known["per_iteration"] = near.steps.rate
    return known


def _equilibria(near: _Near) -> list[Equilibrium]:
    if near.rest is None or near.flow is None:
        return []
    label = "matched" if near.rest.mismatch == 0 else "balanced"
    state = {"positions": near.rest.positions, "discriminator": near.rest.coefficients}
    return [Equilibrium(state, near.flow, stability_of(near.flow), label)]
