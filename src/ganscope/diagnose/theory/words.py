"""Predicted wanders and costs in words: beyond some size they only say that the linear picture fails."""

import math

from ganscope.diagnose.theory.virtual import WANDER_CAP

# A predicted wander above this, in data radii, is the sign of a linear instability; costs are its squares.
UNSTABLE = 10.0


def wander_words(wander: float) -> str:
    """A predicted wander, in data radii; of an instability the number stands in brackets."""
    if not wander > UNSTABLE:
        return f"{wander:.3g}"
    return "unstable [unbounded]" if wander >= WANDER_CAP else f"unstable [{wander:.4g}]"


def cost_words(cost: float) -> str:
    """A horizon cost, in squared data radii; of an instability its size says nothing."""
    return "unstable" if cost > UNSTABLE**2 or math.isinf(cost) else f"{cost:.3g}"
