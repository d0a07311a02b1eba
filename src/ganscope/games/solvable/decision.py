"""What the decision rule says about solvable GANs, whether it applies, and the same in words.

The rule is derived for the hard constraint.
"""

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.sparse.csgraph import connected_components

from ganscope.core.outcome import Verdict
from ganscope.games.solvable import phases
from ganscope.games.solvable.cells import Cells
from ganscope.games.solvable.locked import active_states
from ganscope.games.solvable.packing import VARIANCES
from ganscope.games.solvable.phase_rule import Array, Flags, outcome_of, phase, phase_margin, relative_distance
from ganscope.games.solvable.silence import Silence
from ganscope.games.solvable.state import recovery
from ganscope.games.solvable.tangent import attracts

if TYPE_CHECKING:
    from ganscope.games.solvable.model import SolvableGAN

NEAR_CRITICAL = 0.05
# Below this overlap a run counts a feature as only partly recovered.
_RECOVERED = 0.7
# A start with a recovery from here on is not small.
_LARGE_RECOVERY = 0.5
# Thresholds are only good to rounding.
_ROUNDING = 1e-9
# Points of the two successive grids on which the edge of a lock is looked for, and how many are tried together.
_LOCK_GRID, _TOGETHER = 401, 40


class Decision(NamedTuple):
    """What the rule says, one entry per cell.

    Attributes:
        phase: Names of phases.
        margin: See `predict`.
        near: Whether a threshold, or another phase, is within `NEAR_CRITICAL`.
        mixed: Whether a silent state whose columns mix the features may be stable beside an oscillation.
        lower, upper: The thresholds.
        copying: Whether all columns can copy one feature.
    """

    phase: npt.NDArray[np.str_]
    margin: Array
    near: Flags
    mixed: Flags
    lower: Array
    upper: Array
    copying: Flags


def decide(cells: Cells, about: Silence, copying: Flags) -> Decision:
    """The phases with their margins, where the rule applies (see `unmet`)."""
    strengths = cells.feature_variance
    lower, upper = np.asarray(phases.lower_threshold(about)), np.asarray(phases.upper_threshold(about))
    locking = locks(cells, upper)
    name = phase(strengths, lower, upper, locking, copying)
    margin = phase_margin(strengths, lower, upper, locking, copying)
    high = strengths > upper[:, None]
    alone = np.flatnonzero((high.sum(-1) == 1) & ~copying)
    margin[alone] = np.minimum(margin[alone], lock_margins(cells[alone], strengths[alone, np.argmax(high[alone], -1)]))
    mean = strengths.mean(-1)
    turning = name == "oscillating"
    mixed = turning & (mean < upper * (1 - _ROUNDING))
    margin = np.where(turning, np.where(mixed, 0.0, np.minimum(margin, relative_distance(mean, upper))), margin)
    nearest = np.minimum(relative_distance(strengths, lower[:, None]), relative_distance(strengths, upper[:, None]))
    near = np.minimum(margin, nearest.min(-1)) <= NEAR_CRITICAL
    return Decision(name, margin, near, mixed, lower, upper, copying)


def verdict(game: "SolvableGAN", about: Silence, said: Decision) -> Verdict:
    """The phase of one game, the only cell of `said`, with its margin and its reasons."""
    name, lower, upper = str(said.phase[0]), float(said.lower[0]), float(said.upper[0])
    outcome, detail = outcome_of(name, game.features)
    reasons = [_standing(game, i, lower, upper) for i in range(game.features)]
    reasons.append(_conclusion(game, about, name, np.array(game.feature_variance) > lower, bool(said.copying[0])))
    if said.mixed[0]:
        reasons.append(
            f"near critical: the mean of feature_variance, {np.mean(game.feature_variance):.6g}, is below the upper "
            "threshold, so that a silent state whose columns mix the features may be stable; about every second run of "
            "this kind ends in one"
        )
    elif said.near[0]:
        reasons.append(
            f"near critical: a change of feature_variance by {NEAR_CRITICAL:.0%} reaches a threshold; relaxation is "
            "slow there, and overlaps may end anywhere"
        )
    return Verdict(outcome, detail, float(said.margin[0]), tuple(reasons), bool(said.near[0]))


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


def locks(cells: Cells, upper: Array) -> Flags:
    """Whether each feature above the upper threshold, were it alone, has a stable active recovery; False below."""
    high = cells.feature_variance > upper[:, None]
    if cells.hard:
        return high & _locks_alone(cells, cells.feature_variance)
    result = np.zeros_like(high)
    found = [
        (place, active_states(cells[place[0]], cells.feature_variance[tuple(place)])) for place in np.argwhere(high)
    ]
    places = np.array([place for place, states in found if states])
    if len(places) == 0:
        return result
    lone = cells.game.replace(feature_variance=(1.0,), latent_variance=(1.0,), latent="gaussian", initial=None)
    variances = np.repeat(cells.feature_variance[tuple(places.T)][:, None], 2, axis=-1)
    rows = np.concatenate([cells.rows[places[:, 0], :VARIANCES], variances], axis=-1)
    result[tuple(places.T)] = attracts(lone, np.array([states[0] for _, states in found if states]), rows)
    return result


def _locks_alone(cells: Cells, variances: Array) -> Flags:
    """Whether single features of these strengths, `[cells, ...]`, lock under the hard constraint."""
    numbers = cells.data_noise, cells.generator_noise, cells.discriminator_lr, cells.generator_lr
    return phases.active_recovery_attracts(variances, *(number[:, None] for number in numbers))


def lock_margins(cells: Cells, variances: Array) -> Array:
    """Relative change of one high feature's strength that makes or breaks its lock; hard constraint only.

    Infinite under a soft penalty, and where no change does it.
    """
    result = np.full(len(cells), math.inf)
    if not cells.hard or len(cells) == 0:
        return result
    now = _locks_alone(cells, variances[:, None])

    def first_change(which: npt.NDArray[np.intp], distances: Array) -> npt.NDArray[np.intp]:
        """Index of the first of `distances`, `[which or 1, points]`, at which a lock is made or broken, or -1."""
        first = np.full(len(which), -1)
        left = np.arange(len(which))
        for start in range(0, distances.shape[1], _TOGETHER):
            away = np.broadcast_to(distances, (len(which), distances.shape[1]))[left, start : start + _TOGETHER]
            own, value = cells[which[left]], variances[which[left], None]
            changed = (_locks_alone(own, value * (1 - away)) != now[which[left]]) | (
                _locks_alone(own, value / (1 - away)) != now[which[left]]
            )
            hit = changed.any(-1)
            first[left[hit]] = start + np.argmax(changed[hit], axis=-1)
            left = left[~hit]
            if len(left) == 0:
                break
        return first

    coarse = np.linspace(0.0, 1.0, _LOCK_GRID)[1:-1]
    first = first_change(np.arange(len(cells)), coarse[None])
    which = np.flatnonzero(first >= 0)
    if len(which):
        fine = coarse[first[which], None] - np.linspace(coarse[0], 0.0, _LOCK_GRID)[1:]
        result[which] = fine[np.arange(len(which)), first_change(which, fine)]
    return result


def unmet(cells: Cells, about: Silence) -> dict[str, Flags]:
    """What keeps the decision rule from applying: sentences (their numbers are the first cell's), and in which cells.

    The soft penalty is no obstacle: over 500 integrations of the ODE to the rule's horizon, at penalties from 0.5 to
    infinity, the rule named the phase that the run reached, except where it ends with overlaps near those
    that count as recovered, or where a lock competes with an oscillation.
    """
    game, every = cells.game, np.ones(len(cells), bool)
    found: dict[str, Flags] = {}
    if game.link != "quadratic":
        found["link is not quadratic, and the decision rule is established for the quadratic link only"] = every
    if game.features != game.columns:
        words = (
            f"feature_variance has {game.features} features and latent_variance {game.columns} columns: "
            "the decision rule needs as many columns as features"
        )
        found[words] = every
    else:
        words = "latent_variance differs from feature_variance, which the decision rule takes as equal"
        equal = np.isclose(cells.feature_variance, cells.latent_variance, rtol=1e-9, atol=0)
        found[words] = np.asarray(~equal.all(-1))
    ordered = np.sort(cells.feature_variance, axis=-1)
    words = "feature_variance has equal entries, and the decision rule needs distinct ones"
    found[words] = np.asarray((np.diff(ordered) <= 1e-9 * ordered[:, 1:]).any(-1))
    speed = about.speed_ratio * about.length
    stretched = "" if game.hard else f", times the discriminator's squared length {about.length[0]:.4g},"
    words = f"generator_lr / discriminator_lr{stretched} is {speed[0]:.4g}; the decision rule needs less than 2"
    found[words] = speed >= 2
    return found | dict.fromkeys(_unmet_by_start(game), every)


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
