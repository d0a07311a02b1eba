"""What the decision rule says about a solvable GAN, in words, and whether the rule applies.

The rule is derived for the hard constraint.
"""

import math
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from scipy.sparse.csgraph import connected_components

from ganscope.analysis.spectrum import stability_of
from ganscope.core.outcome import Equilibrium, Outcome, Verdict
from ganscope.games.solvable import phases
from ganscope.games.solvable.locked import active_states
from ganscope.games.solvable.phase_rule import Array, Flags, outcome_of, phase, phase_margin, relative_distance
from ganscope.games.solvable.silence import Silence
from ganscope.games.solvable.state import MacroState, recovery
from ganscope.games.solvable.tangent import macro_spectrum

if TYPE_CHECKING:
    from ganscope.games.solvable.model import SolvableGAN

NEAR_CRITICAL = 0.05
# Below this overlap a run counts a feature as only partly recovered.
_RECOVERED = 0.7
# A start with a recovery from here on is not small.
_LARGE_RECOVERY = 0.5
# Thresholds are only good to rounding.
_ROUNDING = 1e-9
# Points of the two successive grids on which the edge of a lock is looked for.
_LOCK_GRID = 401


def decide(game: "SolvableGAN", about: Silence, equilibria: list[Equilibrium]) -> Verdict:
    """The phase with its margin and its reasons, or why the decision rule does not apply."""
    unmet = unmet_preconditions(game, about)
    if unmet:
        return Verdict(Outcome.UNDECIDED, "unknown", math.nan, tuple(unmet))
    strengths = np.array(game.feature_variance)
    lower, upper = float(phases.lower_threshold(about)), float(phases.upper_threshold(about))
    locking = locks(game, upper)
    copying = any(e.label == "active_collapse" and e.stability == "stable" for e in equilibria)
    name = phase(strengths, lower, upper, locking, copying)
    outcome, detail = outcome_of(name, game.features)
    margin = phase_margin(strengths, lower, upper, locking, copying)
    high = strengths[strengths > upper]
    if len(high) == 1 and not copying:
        margin = min(margin, lock_margin(game, float(high[0])))
    mean = float(np.mean(strengths))
    mixed = name == "oscillating" and mean < upper * (1 - _ROUNDING)
    if name == "oscillating":
        margin = 0.0 if mixed else min(margin, float(relative_distance(mean, upper)))
    near = min(margin, *relative_distance(strengths, lower), *relative_distance(strengths, upper)) <= NEAR_CRITICAL
    reasons = [_standing(game, i, lower, upper) for i in range(game.features)]
    reasons.append(_conclusion(game, about, name, strengths > lower, copying))
    if mixed:
        reasons.append(
            f"near critical: the mean of feature_variance, {mean:.6g}, is below the upper threshold, so that a silent "
            "state whose columns mix the features may be stable; about every second run of this kind ends in one"
        )
    elif near:
        reasons.append(
            f"near critical: a change of feature_variance by {NEAR_CRITICAL:.0%} reaches a threshold; relaxation is "
            "slow there, and overlaps may end anywhere"
        )
    return Verdict(outcome, detail, float(margin), tuple(reasons), bool(near))


def _standing(game: "SolvableGAN", feature: int, lower: float, upper: float) -> str:
    value = game.feature_variance[feature]
    subject = f"feature {feature + 1} (feature_variance {value:.6g})"
    if value > upper:
        return f"{subject} is above the upper threshold {upper:.6g}: no column of its own can hold it silently"
    if value <= lower:
        return f"{subject} is not above the lower threshold {lower:.6g}: a silent discriminator does not see it"
    return (
        f"{subject} lies between the thresholds {lower:.6g} and {upper:.6g}: the generator can learn it and silence "
        "the discriminator"
    )


def _conclusion(game: "SolvableGAN", about: Silence, name: str, seen: Flags, copying: bool) -> str:
    if name == "no_learning":
        return "nothing is learned: less data_noise or a smaller discriminator_lr would make features visible"
    if name == "oscillating":
        return (
            "generator and discriminator chase each other: more data_noise or a smaller generator_lr would let the "
            "discriminator fall silent"
        )
    if name == "active_lock" and game.features == 1:
        overlap = active_states(game, game.feature_variance[0])[0][0]
        return (
            f"active recovery exists and is stable, with overlap {overlap:.3f}: the discriminator keeps hold of the "
            f"feature{_partial(overlap)}. Near the edge of its existence an oscillation is stable beside it, and the "
            "start decides"
        )
    if name == "active_lock" and copying:
        return (
            "a state in which every generator column copies the strongest feature, and the discriminator keeps hold of "
            "it, is stable (equilibrium `active_collapse`): in the long run the others tend to be lost, but theory "
            "does not exclude an oscillation"
        )
    if name == "active_lock":
        return (
            "if the feature above the upper threshold were alone, active recovery of it would be stable: the "
            "discriminator may stay on it for long and leave the others unlearned, or oscillate; theory does not tell"
        )
    low = np.min(phases.critical_overlap(game.feature_variance, about)[seen])
    high = np.max(phases.slow_overlap(game.feature_variance, about)[seen])
    kept = "all features are learned" if name == "success" else "the visible features are learned, the others never"
    return (
        f"{kept}; their overlaps end between critical_overlap (from {low:.3f}) and slow_overlap (up to {high:.3f})"
        f"{_partial(low)}"
    )


def _partial(overlap: float) -> str:
    return f", below {_RECOVERED} a run counts as partial" if overlap < _RECOVERED else ""


def locks(game: "SolvableGAN", upper: float) -> Flags:
    """Whether each feature above the upper threshold, were it alone, has a stable active recovery; False below."""
    return np.array([value > upper and _locks_alone(game, value) for value in game.feature_variance])


def _locks_alone(game: "SolvableGAN", variance: float) -> bool:
    if game.hard:
        noises = game.data_noise, game.generator_noise
        rates = game.discriminator_lr, game.generator_lr
        return bool(phases.active_recovery_attracts(variance, *noises, *rates))
    found = active_states(game, variance)
    if not found:
        return False
    alone = game.replace(feature_variance=(variance,), latent_variance=(variance,), latent="gaussian", initial=None)
    P, q, r, S, z = found[0]
    return stability_of(macro_spectrum(alone, MacroState([[P]], [q], [r], [[S]], z))) == "stable"


def lock_margin(game: "SolvableGAN", variance: float) -> float:
    """Relative change of one high feature's strength that makes or breaks its lock; hard constraint only.

    Infinite under a soft penalty, and where no change does it.
    """
    if not game.hard:
        return math.inf
    noises, rates = (game.data_noise, game.generator_noise), (game.discriminator_lr, game.generator_lr)
    now = _locks_alone(game, variance)

    def changed(distance: Array) -> npt.NDArray[np.intp]:
        weaker = phases.active_recovery_attracts(variance * (1 - distance), *noises, *rates)
        stronger = phases.active_recovery_attracts(variance / (1 - distance), *noises, *rates)
        return np.flatnonzero((weaker != now) | (stronger != now))

    coarse = np.linspace(0.0, 1.0, _LOCK_GRID)[1:-1]
    hits = changed(coarse)
    if len(hits) == 0:
        return math.inf
    fine = coarse[hits[0]] - np.linspace(coarse[0], 0.0, _LOCK_GRID)[1:]
    return float(fine[changed(fine)[0]])


def unmet_preconditions(game: "SolvableGAN", about: Silence) -> list[str]:
    """What keeps the decision rule from applying, as sentences; empty if it applies.

    The soft penalty is no obstacle: over 500 integrations of the ODE to the rule's horizon, at penalties from 0.5 to
    infinity, the rule named the phase that the run reached, except where it ends with overlaps near those
    that count as recovered, or where a lock competes with an oscillation.
    """
    reasons = []
    if game.link != "quadratic":
        reasons.append("link is not quadratic, and the decision rule is established for the quadratic link only")
    if game.features != game.columns:
        reasons.append(
            f"feature_variance has {game.features} features and latent_variance {game.columns} columns: "
            "the decision rule needs as many columns as features"
        )
    elif not np.allclose(game.feature_variance, game.latent_variance, rtol=1e-9, atol=0):
        reasons.append("latent_variance differs from feature_variance, which the decision rule takes as equal")
    ordered = np.sort(game.feature_variance)
    if np.any(np.diff(ordered) <= 1e-9 * ordered[1:]):
        reasons.append("feature_variance has equal entries, and the decision rule needs distinct ones")
    speed = about.speed_ratio * about.length
    if speed >= 2:
        stretched = "" if game.hard else f", times the discriminator's squared length {about.length:.4g},"
        reasons.append(
            f"generator_lr / discriminator_lr{stretched} is {speed:.4g}; the decision rule needs less than 2"
        )
    return reasons + _unmet_by_start(game)


def _unmet_by_start(game: "SolvableGAN") -> list[str]:
    if isinstance(game.initial, str):  # random directions: small and generic
        return []
    start = game.start
    if not np.any(start.q) and not np.any(start.r):
        return ["the start has q = r = 0: it is stationary, and the discriminator never moves towards a feature"]
    reasons = []
    recovered = recovery(start.P, start.S)
    if np.any(recovered >= _LARGE_RECOVERY):
        best = int(np.argmax(recovered))
        reasons.append(
            f"the start already recovers feature {best + 1} to {recovered[best]:.3g}: the decision rule is about "
            f"starts below {_LARGE_RECOVERY}, and which state a larger one reaches depends on the start"
        )
    _, part = connected_components(start.gram != 0, directed=False)
    cut_off = [f"feature {i + 1}" for i in range(game.features) if part[i] != part[-1]]
    cut_off += [f"column {j + 1}" for j in range(game.columns) if part[game.features + j] != part[-1]]
    if cut_off:
        reasons.append(
            f"the start gives {', '.join(cut_off)} no overlap that leads to the discriminator, and by symmetry none "
            "ever appears: a generic start has nonzero overlaps"
        )
    return reasons
