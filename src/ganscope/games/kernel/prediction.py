"""What theory says about a kernel GAN: where it ends, whether that is stable, how fast, and what would be best."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from ganscope.analysis.spectrum import stability_of
from ganscope.core.cells import predictions_of
from ganscope.core.checks import one_of
from ganscope.core.errors import NotApplicable, ParameterError, unknown_name
from ganscope.core.outcome import Equilibrium, Outcome, Prediction, Predictions, Spectrum
from ganscope.dynamics.rules import FLOW, RULES, Rule, check_momentum
from ganscope.games.kernel import recommendation
from ganscope.games.kernel.equilibria import DENSE, descend, equilibrium, label, newton, residual, snapped
from ganscope.games.kernel.good_minimum import (
    Stiffness,
    conditioning,
    disc_multipliers,
    good_minimum,
    length_scale,
    matches_data,
    mode_multipliers,
)
from ganscope.games.kernel.landscape import Landscape, describe, isolation
from ganscope.games.kernel.linearisation import neutral_modes, neutral_tolerance, spectrum_at
from ganscope.games.kernel.neighbourhoods import REACH
from ganscope.games.kernel.operators import squared_distances
from ganscope.games.kernel.random_features import FeatureKernel

if TYPE_CHECKING:
    from ganscope.games.kernel.model import KernelGAN

Array = npt.NDArray[np.float64]

DEFAULT_RULE = RULES[0]
# Multipliers that turn or change sides this close to the unit circle make a prediction near critical.
_CRITICAL = 2e-3
# Kernel widths per iteration below which a point beyond the kernel's reach counts as stuck.
_STUCK = 1e-6
# A force below this does not grow into a motion within a usual run.
_KICK = 1e-30
# Kernel widths in one iteration beyond which an unstable orbit need not stay where the kernel reaches.
_THROWN = 3.0
# Kernel widths from the data within which the descent has reached them, where the valley is too flat to say more.
_CLOSE = 1e-3
# Kernel widths from its resting place within which a start does not get lost on the way.
_AT_HOME = 0.5
# Coordinates beyond which a resting place is not polished.
_PATIENT = 300
# The isolated formulas hold while true points are further apart than so many bandwidths.
_ISOLATED = 3.0


class _View:
    """A game seen with another kernel: the one that random features stand for."""

    def __init__(self, game: "KernelGAN", kernel: Any) -> None:
        self.game, self.kernel = game, kernel

    def __getattr__(self, name: str) -> Any:
        return getattr(self.game, name)


def effective(game: "KernelGAN", seed: int = 0) -> Any:
    """The game that theory speaks about: with random features, the one with their kernel."""
    if game.representation != "random_features":
        return game
    return _View(game, FeatureKernel.of(game.kernel, game.axes, game.features, seed))


def spectrum(game: "KernelGAN", at: Any = None, rule: str | None = None, **options: Any) -> Spectrum:
    """Spectrum of the game linearised at generated points and their best discriminator.

    Args:
        game: The game.
        at: Generated points, shape `[M, axes]`; None for the equilibrium next to the game's own.
        rule: None for the flow, or an update rule.
        options: `momentum` of heavy_ball; `seed` of the random features; `count` of values for large games.
    """
    for name in options:
        if name not in ("momentum", "seed", "count"):
            raise unknown_name("option", name, ["momentum", "seed", "count"])
    seen = effective(game, options.pop("seed", 0))
    points = equilibrium(seen).state if at is None else at
    return spectrum_at(seen, points, rule, **options)


def predict(
    game: "KernelGAN",
    level: str | None = None,
    rule: str | None = None,
    step_size: float | None = None,
    momentum: float = 0.0,
    known: "dict[Any, _Place] | None" = None,
) -> Prediction:
    """What theory says; the rule is `alternating` unless another one, or `flow`, is asked for.

    `momentum` is that of heavy_ball. Resting places are looked up in `known`, and added to it.
    """
    if level is not None:
        one_of("level", level, game.levels)
    if step_size is not None:
        raise ParameterError("step_size", step_size, "nothing: the kernel GAN has learning rates")
    rule = DEFAULT_RULE if rule is None else one_of("rule", rule, (*RULES, FLOW))
    how = Rule(rule, check_momentum(rule, momentum))
    about: dict[str, Any] = {"level": level or "gda", "rule": rule, "game": game}
    if not game.kernel.differentiable:
        reason = f"kernel {type(game.kernel).__name__} is not differentiable at coincident points: there is no theory"
        return Prediction(Outcome.UNDECIDED, "unknown", math.nan, (reason,), **about)
    if game.regularization == 0:
        return _unregularized(game, how, about)
    seen = effective(game)
    try:
        place = _place(game, seen, known)
    except NotApplicable as reason:
        return Prediction(Outcome.UNDECIDED, "unknown", math.nan, (str(reason), *_facts(game)), **about)
    state, caveats, modes, end = place.state, place.caveats, place.modes, place.end
    values = spectrum_at(seen, state, *how, modes=modes)
    rest = Equilibrium(state, values, stability_of(values), place.label)
    outcome, detail, margin, reasons = _verdict(seen, rest, end, how, modes)
    bistable = outcome in (Outcome.CONVERGED, Outcome.COLLAPSED) and _lost_for_good(seen)
    away = float(np.max(np.abs(state - game.generated_points))) / length_scale(seen.kernel)
    if bistable:
        caveats = (*caveats, "bistable: a point that gets out of the kernel's reach on the way would flee for good")
    best, advice = recommendation.recommend(seen, state, how, modes, place.wide)
    return Prediction(
        outcome,
        detail,
        margin,
        (*reasons, *place.facts, *caveats, *advice),
        end.near_critical or (bistable and away > _AT_HOME) or _is_critical(values),
        thresholds=recommendation.thresholds(seen, state, how, modes),
        equilibria=[rest],
        rates=_rates(seen, values, how, modes),
        best=best,
        **about,
    )


def predict_cells(
    game: "KernelGAN",
    over: Mapping[str, Array],
    level: str | None = None,
    rule: str | None = None,
    step_size: float | None = None,
    momentum: float = 0.0,
) -> Predictions:
    """`predict` of many variants of a game; those that rest at the same place look for it once."""
    known: dict[Any, _Place] = {}
    rows = (dict(zip(over, row, strict=True)) for row in zip(*over.values(), strict=True))
    return predictions_of(predict(game.replace(**row), level, rule, step_size, momentum, known) for row in rows)


class _Place(NamedTuple):
    """Where a game rests, and what does not depend on its rates and its regularization there."""

    state: Array
    caveats: tuple[str, ...]
    label: str
    modes: Stiffness | None
    end: Landscape
    facts: tuple[str, ...]
    wide: recommendation.Width


def _place(game: "KernelGAN", seen: Any, known: "dict[Any, _Place] | None") -> _Place:
    """What is known about the resting place; held points are all that makes it depend on rates.

    Variants of one game differ in bandwidth, start, rates and regularization.
    """
    held = _out_of_reach(seen) if game.generated_points.size <= DENSE else np.zeros(0, np.bool_)
    key = game.bandwidth, game.generated_points.tobytes(), held.tobytes()
    if known is not None and key in known:
        return known[key]
    state, caveats = resting_place(seen, held)
    modes = conditioning(seen, state) if matches_data(seen, state) else None
    wide = recommendation.recommended_width(seen, state, modes is not None)
    place = _Place(state, caveats, _label(seen, state), modes, describe(game, state), _facts(game), wide)
    if known is not None:
        known[key] = place
    return place


def resting_place(game: Any, held: npt.NDArray[np.bool_] | None = None) -> tuple[Array, tuple[str, ...]]:
    """Where the descent of MMD^2 from the generated points ends, and what must be said about it.

    Very large games are not followed: there, the data themselves.

    Raises:
        NotApplicable: If such a game cannot match the data one to one.
    """
    if game.generated_points.size <= DENSE:
        held = _out_of_reach(game) if held is None else held
        low = descend(game, game.generated_points, held=held)
        if np.any(held):
            return low, (f"{np.sum(held)} generated points start beyond the kernel's reach and stay there",)
        return _polished(game, low), ()
    matched = good_minimum(game)
    if matched is None:
        raise NotApplicable(
            f"theory follows at most {DENSE} coordinates of generated points, unless they can match the data one to one"
        )
    far = float(np.max(np.linalg.norm(matched - game.generated_points, axis=1))) / length_scale(game.kernel)
    return matched, (f"assumes that training reaches the data; the farthest point has {far:.2g} kernel widths to go",)


def _polished(game: Any, low: Array) -> Array:
    """The equilibrium beside the end of a descent: the data themselves, if they are close by."""
    length, few = length_scale(game.kernel), low.size <= _PATIENT
    if few:
        root = newton(game, low)
        if root.converged and float(np.max(np.abs(root.state - low))) <= length:
            low = snapped(game, root.state)
    matched = good_minimum(game, low)
    close = (_CLOSE if few else 1.0) * length
    return matched if matched is not None and float(np.max(np.abs(matched - low))) <= close else low


def _out_of_reach(game: Any) -> npt.NDArray[np.bool_]:
    """Generated points whose start is so far from everything that training would not move them in a lifetime."""
    pull = np.linalg.norm(residual(game, game.generated_points), axis=1) / game.regularization
    distance = cKDTree(game.real_points).query(game.generated_points)[0]
    length = length_scale(game.kernel)
    result: npt.NDArray[np.bool_] = (game.speeds * pull < _STUCK * length) & (distance > REACH * length)
    return result


def _label(game: Any, points: Array) -> str:
    return label(game, points) if points.size <= DENSE or matches_data(game, points) else "minimum"


def _verdict(
    game: Any, rest: Equilibrium, end: Landscape, how: Rule, modes: Stiffness | None
) -> tuple[Outcome, str, float, tuple[str, ...]]:
    values = rest.spectrum
    forgotten = disc_multipliers(game.forgetting, *how)
    if values.is_map and np.max(np.abs(forgotten)) > 1:
        reason = f"discriminator_lr times regularization is {game.forgetting:.3g}: the discriminator overshoots itself"
        return Outcome.DIVERGED, "diverging", 1 - float(np.max(np.abs(forgotten))), (reason,)
    rates = _rates(game, values, how, modes)
    margin = 1 - rates["spectral_radius"] if values.is_map else values.rate
    lead = _leading(game, rest)
    neutral = neutral_modes(game, rest.state, values)
    words = (f"{neutral} neutral modes are left out",) if neutral else ()
    if rest.stability == "unstable":
        turning = abs(lead.imag) > 1e-9 * max(1.0, abs(lead))
        size = f"leading multiplier of modulus {abs(lead):.6g}" if values.is_map else f"growth rate {lead.real:.4g}"
        flips = values.is_map and not turning and lead.real < 0
        word = "diverge_oscillatory" if turning else ("flip" if flips else "diverge_monotone")
        kicks = _kicks_of_free_points(game, rest.state)
        if len(kicks) and not turning and not flips:
            if np.any(kicks > _KICK):
                reason = f"{size}: generated points beyond the kernel's reach flee their own trail"
                return Outcome.OSCILLATING, "propelled", margin, (reason, *words)
            reason = "generated points beyond the kernel's reach would flee their own trail if anything pushed them"
            return end.outcome, end.detail, end.margin, (*end.reasons, reason)
        thrown = _longest_step(game, rest.state)
        if values.is_map and thrown > _THROWN:
            reason = f"{size}; steps of up to {thrown:.2g} kernel widths can throw points out of the kernel's reach"
            return Outcome.UNDECIDED, word, margin, (reason, *words)
        if turning:
            return Outcome.OSCILLATING, word, margin, (f"{size}, turning: the orbit stays bounded", *words)
        if flips:
            return Outcome.OSCILLATING, word, margin, (f"{size}, changing sides in every iteration", *words)
        if rest.label in ("minimum", "split", "good_minimum"):
            reason = f"{size} at a minimum: the discriminator drives more than it damps, so the points must turn"
            return Outcome.OSCILLATING, word, margin, (reason, *words)
        return Outcome.UNDECIDED, word, margin, (f"{size}: the points leave, theory does not say where to", *words)
    if rest.stability == "marginal":
        return Outcome.UNDECIDED, "marginal", 0.0, ("no mode grows and none decays", *words)
    if end.outcome is not Outcome.CONVERGED:
        return end.outcome, end.detail, end.margin, (*end.reasons, *words)
    detail = "converge_" + ("oscillatory" if rest.spectrum.label == "stable_spiral" else "monotone")
    if modes is not None and _coincide(game, rest.state) and neutral:
        detail = "algebraic"
        words = (f"{neutral} neutral modes decay like a power of time",)
    return Outcome.CONVERGED, detail, margin, (*end.reasons, *words)


def _kicks_of_free_points(game: Any, points: Array) -> Array:
    """Forces, up to a factor, on the points that are out of the kernel's reach."""
    distance = cKDTree(game.real_points).query(points)[0]
    free = distance > REACH * length_scale(game.kernel)
    forces: Array = np.linalg.norm(residual(game, points), axis=1)[free]
    return forces


def _lost_for_good(game: Any) -> bool:
    """Whether a generated point that gets free of all others would propel itself away."""
    curvature = 1.0 / length_scale(game.kernel) ** 2
    swing = game.speeds / game.discriminator_lr * game.generated_mass * curvature
    return bool(np.max(swing) > game.regularization**2)


def _longest_step(game: Any, points: Array) -> float:
    """Bound on what a generated point moves in an iteration, in kernel widths, by the masses within its reach."""
    width = length_scale(game.kernel)
    mass = np.zeros(len(points))
    for others, weights in ((game.real_points, game.real_mass), (points, game.generated_mass)):
        for rows in np.array_split(np.arange(len(points)), max(1, len(points) * len(others) // 10**6)):
            mass[rows] += (squared_distances(points[rows], others) <= (REACH * width) ** 2) @ weights
    return float(np.max(game.speeds * mass) / game.regularization * math.exp(-0.5) / width**2)


def _leading(game: Any, rest: Equilibrium) -> complex:
    values = np.asarray(rest.spectrum.values)
    tolerance = neutral_tolerance(game, rest.state)
    moving = np.abs(values - 1.0 if rest.spectrum.is_map else values) > tolerance
    return complex(values[np.argmax(moving)])


def _coincide(game: Any, points: Array) -> bool:
    return len(np.unique(np.round(points / length_scale(game.kernel), 6), axis=0)) < len(points)


def _is_critical(values: Spectrum) -> bool:
    """Whether a turning or alternating mode is close to the stability boundary."""
    all_values = np.asarray(values.values)
    if not values.is_map:
        turning = np.abs(all_values.imag) > 1e-9
        return bool(np.any(np.abs(all_values.real[turning]) < _CRITICAL * np.abs(all_values[turning])))
    turning = (np.abs(all_values.imag) > 1e-9) | (all_values.real < 0)
    return bool(np.any(np.abs(np.abs(all_values[turning]) - 1) < _CRITICAL))


def _facts(game: "KernelGAN") -> tuple[str, ...]:
    """What the points alone say."""
    facts = []
    apart = isolation(game.real_points)
    if math.isfinite(apart) and apart < _ISOLATED * game.bandwidth:
        facts.append(
            f"true points are as close as {apart / game.bandwidth:.2g} bandwidths: they are not isolated, and a "
            "narrower kernel would converge faster"
        )
    surplus = game.real_mass.sum() - game.generated_mass.sum()
    if abs(surplus) > 1e-9:
        facts.append(f"generated_mass sums to {surplus:.3g} {'less' if surplus > 0 else 'more'} than real_mass")
    if len(game.generated_points) > 300 and game.axes > 2 and game.representation == "auto":
        facts.append("representation='random_features' would simulate this faster, to percent accuracy")
    return tuple(facts)


def _rates(game: Any, values: Spectrum, how: Rule, modes: Stiffness | None) -> dict[str, Any]:
    unit = game.discriminator_lr
    rates: dict[str, Any] = {}
    if values.is_map:
        radius = math.exp(-values.rate)
        if modes is not None and modes.smallest > 0:  # modes so slow that the label leaves them out as neutral
            couplings = game.generator_lr * game.discriminator_lr * modes.values
            radius = max(radius, float(np.max(np.abs(mode_multipliers(couplings, game.forgetting, *how)))))
        rates["spectral_radius"] = radius
        rates["per_iteration"] = -math.log(radius) if radius > 0 else math.inf
        rates["per_time"] = rates["per_iteration"] / unit
        rates["iterations_per_decade"] = math.log(10) / rates["per_iteration"] if radius < 1 else math.inf
    else:
        rates["per_time"] = values.rate
    rates["period"] = values.period
    if modes is not None:
        rates["stiffest"], rates["softest"] = modes.largest, modes.smallest
        rates["conditioning"] = modes.conditioning
        rates["conditioning_is_a_bound"] = not modes.certain
    return rates


def _unregularized(game: "KernelGAN", how: Rule, about: dict[str, Any]) -> Prediction:
    """regularization = 0: no unique equilibrium; at a good minimum the modes are known all the same."""
    reasons = ["regularization = 0 has no unique equilibrium"]
    rates: dict[str, Any] = {}
    seen = effective(game.replace(regularization=1.0))
    matched = good_minimum(seen)
    if matched is not None and how.name != FLOW:
        modes = conditioning(seen, matched)
        couplings = game.generator_lr * game.discriminator_lr * modes.values
        radius = float(np.max(np.abs(mode_multipliers(couplings, 0.0, *how))))
        rates = {"spectral_radius": radius, "stiffest": modes.largest, "softest": modes.smallest}
        word = "grow" if radius > 1 + 1e-9 else ("neither grow nor decay" if radius > 1 - 1e-9 else "decay")
        reasons.append(
            f"small displacements from the data {word} under {how.name} updates (spectral radius {radius:.6g})"
        )
    return Prediction(Outcome.UNDECIDED, "unknown", math.nan, tuple(reasons), rates=rates, **about)
