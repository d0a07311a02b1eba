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
"""

import math

import numpy as np
import numpy.typing as npt

from ganscope.core.outcome import Outcome

Array = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


def phase(strengths: Array, lower: float, upper: float, locks: Flags, copying: bool = False) -> str:
    """The phase of the table above; `locks` says of each feature whether it locks alone."""
    high = np.flatnonzero(strengths > upper)
    if np.all(strengths <= lower):
        return "no_learning"
    if len(high) == 0:
        return "success" if np.all(strengths > lower) else "mode_collapse"
    return "active_lock" if copying or (len(high) == 1 and locks[high[0]]) else "oscillating"


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


def relative_distance(strength: npt.ArrayLike, threshold: float) -> Array:
    """|strength - threshold| over the larger of the two, between 0 and 1."""
    strength = np.asarray(strength, np.float64)
    size = np.maximum(strength, threshold)
    result: Array = np.abs(strength - threshold) / size if math.isfinite(threshold) else np.ones_like(strength)
    return result


def phase_margin(strengths: Array, lower: float, upper: float, locks: Flags, copying: bool = False) -> float:
    """Smallest relative change of feature strengths, of all at once, that leads across thresholds into another phase.

    Infinite if there is no other phase. The edge of a lock is not a threshold.
    """
    to_lower, to_upper = relative_distance(strengths, lower), relative_distance(strengths, upper)
    become_low = np.where(strengths <= lower, 0.0, to_lower)
    become_high = np.where(strengths > upper, 0.0, to_upper)
    become_middle = np.where(strengths <= lower, to_lower, np.where(strengths > upper, to_upper, 0.0))
    become_not_high = np.minimum(become_low, become_middle)
    every = range(len(strengths))

    def others(costs: Array, *left_out: int) -> float:
        return max((float(costs[j]) for j in every if j not in left_out), default=0.0)

    costs = [("no_learning", others(become_low)), ("success", others(become_middle))]
    costs += [
        (
            "active_lock" if copying or locks[i] else "oscillating",
            max(float(become_high[i]), others(become_not_high, i)),
        )
        for i in every
    ]
    if len(strengths) > 1:
        costs.append(("active_lock" if copying else "oscillating", float(np.sort(become_high)[1])))
        pairs = ((i, j) for i in every for j in every if i != j)
        split = (max(become_low[i], become_middle[j], others(become_not_high, i, j)) for i, j in pairs)
        costs.append(("mode_collapse", float(min(split))))
    current = phase(strengths, lower, upper, locks, copying)
    return min((cost for name, cost in costs if name != current), default=math.inf)
