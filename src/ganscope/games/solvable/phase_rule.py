"""The decision rule of the solvable GAN: the phase that its feature strengths select, and the nearest other phase.

A feature is low when a silent discriminator cannot see it (strength at most the lower threshold), high when no silent
state can hold it (above the upper threshold), and otherwise in the window.

    all low                                   no_learning
    all in the window                         success
    some low, the others in the window        mode_collapse: those in the window are kept
    some high, the columns can copy one       active_lock: the discriminator may stay on one feature
    one high, and alone it would lock         active_lock
    otherwise some high                       oscillating: the discriminator cannot stay on two features

A feature locks alone when its active recovery is stable; columns can copy when the state in which all of them generate
the strongest feature, under an active discriminator, is stable.

Strengths and locks have a last axis of features; everything broadcasts over the axes before it.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from ganscope.core.outcome import Outcome

Array = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

PHASES = np.array(["no_learning", "success", "mode_collapse", "active_lock", "oscillating"])
_NO_LEARNING, _SUCCESS, _MODE_COLLAPSE, _ACTIVE_LOCK, _OSCILLATING = range(5)


def phase(strengths: Array, lower: Any, upper: Any, locks: Flags, copying: Any = False) -> Any:
    """The phase of the table above; `locks` says of each feature whether it locks alone."""
    return PHASES[_phase(strengths, lower, upper, locks, copying)]


def _phase(strengths: Array, lower: Any, upper: Any, locks: Flags, copying: Any) -> npt.NDArray[np.intp]:
    low, high = strengths <= np.asarray(lower)[..., None], strengths > np.asarray(upper)[..., None]
    count = high.sum(-1)
    locked = copying | ((count == 1) & (high & locks).any(-1))
    held = np.where(low.any(-1), _MODE_COLLAPSE, _SUCCESS)
    result: npt.NDArray[np.intp] = np.where(
        low.all(-1), _NO_LEARNING, np.where(count == 0, held, np.where(locked, _ACTIVE_LOCK, _OSCILLATING))
    )
    return result


def outcome_of(name: str, features: int) -> tuple[Outcome, str]:
    """The common outcome and the finer label of a phase."""
    if name == "active_lock":
        if features == 1:
            return Outcome.CONVERGED, "success/active"
        return Outcome.UNDECIDED, "active_lock_possible"
    return {
        "no_learning": (Outcome.UNINFORMATIVE, "no_learning"),
        "oscillating": (Outcome.OSCILLATING, "oscillating"),
        "mode_collapse": (Outcome.COLLAPSED, "mode_collapse"),
        "success": (Outcome.CONVERGED, "success/silent"),
    }[name]


def relative_distance(strength: npt.ArrayLike, threshold: npt.ArrayLike) -> Array:
    """|strength - threshold| over the larger of the two, between 0 and 1."""
    strength = np.asarray(strength, np.float64)
    finite = np.isfinite(threshold)
    threshold = np.where(finite, threshold, 0.0)
    result: Array = np.where(finite, np.abs(strength - threshold) / np.maximum(strength, threshold), 1.0)
    return result


def phase_margin(strengths: Array, lower: Any, upper: Any, locks: Flags, copying: Any = False) -> Any:
    """Smallest relative change of feature strengths, of all at once, that leads across thresholds into another phase.

    Infinite if there is no other phase. The edge of a lock is not a threshold.
    """
    bottom, top = np.asarray(lower)[..., None], np.asarray(upper)[..., None]
    low, high = strengths <= bottom, strengths > top
    to_lower, to_upper = relative_distance(strengths, bottom), relative_distance(strengths, top)
    become_low = np.where(low, 0.0, to_lower)
    become_high = np.where(high, 0.0, to_upper)
    become_middle = np.where(low, to_lower, np.where(high, to_upper, 0.0))
    become_not_high = np.minimum(become_low, become_middle)
    copying = np.asarray(copying)
    # costs of single changes and where they lead, along a last axis of possibilities
    costs = [become_low.max(-1)[..., None], become_middle.max(-1)[..., None]]
    ends: list[Any] = [_NO_LEARNING, _SUCCESS]
    # one feature becomes high, and no other is
    costs.append(np.maximum(become_high, _largest_other(become_not_high)))
    ends.append(np.where(copying[..., None] | locks, _ACTIVE_LOCK, _OSCILLATING))
    features = strengths.shape[-1]
    if features > 1:
        costs.append(np.sort(become_high, axis=-1)[..., 1:2])  # two become high
        ends.append(np.where(copying, _ACTIVE_LOCK, _OSCILLATING)[..., None])
        pairs = np.maximum(become_low[..., :, None], become_middle[..., None, :]) + np.diag(np.full(features, math.inf))
        split = np.maximum(pairs.min((-2, -1)), become_not_high.max(-1))  # one low, one in the window, none high
        costs.append(split[..., None])
        ends.append(_MODE_COLLAPSE)
    current = _phase(strengths, lower, upper, locks, copying)[..., None]
    away = [np.where(current != end, cost, math.inf).min(-1) for cost, end in zip(costs, ends, strict=True)]
    return np.min(away, axis=0)


def _largest_other(costs: Array) -> Array:
    """The largest of the other entries along the last axis, for each; 0 if there are none."""
    if costs.shape[-1] == 1:
        return np.zeros_like(costs)
    two = np.sort(costs, axis=-1)[..., -2:]
    place = np.arange(costs.shape[-1]) == np.argmax(costs, axis=-1)[..., None]
    result: Array = np.where(place, two[..., :1], two[..., 1:])
    return result
