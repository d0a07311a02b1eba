r"""Matched particles under steps of finite size: when a mode of the linear theory decays, and how fast.

With a mode's mobility a and stiffness b per step, and its friction beta = b gradient_penalty + damping per step (see
`damping`), n steps of the discriminator make P = (1 - beta)^n of the slope G and, at a displacement xi, subtract
b_n xi with b_n = b (1 - P) / beta, before the particles move by a G ("alternating"); in "simultaneous" steps they move
by the old G.

References:
    Mescheder, Geiger, Nowozin. Which training methods for GANs do actually converge? ICML 2018, for alternating against
    simultaneous steps. The maps and their optima are worked out here.
"""

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq, minimize_scalar

from ganscope.core.checks import integer, number, numbers_in, one_of
from ganscope.core.errors import ParameterError
from ganscope.games.particle.damping import modes

Array = npt.NDArray[np.float64]

RULES = ("alternating", "simultaneous")
# Frictions tried before the search for the best one is refined.
_TRIED = 400


class BestFriction(NamedTuple):
    """The friction per step of the discriminator at which a mode of the discrete map decays fastest.

    Attributes:
        friction: b * gradient_penalty + damping, per step.
        radius: Spectral radius there.
    """

    friction: float
    radius: float


def _map(a: Array, b: Array, friction: Array, steps: int, rule: str) -> tuple[Array, Array]:
    """Trace and determinant of the map of (xi, G) over one iteration."""
    if rule == "simultaneous":
        return 2 - friction, 1 - friction + a * b
    kept, forgotten = _inner_steps(friction, steps)
    return 1 + kept - a * b * forgotten, kept


def _inner_steps(friction: Array, steps: int) -> tuple[Array, Array]:
    """What n steps keep of a slope, P = (1 - beta)^n, and what they add up of a constant push, (1 - P) / beta."""
    kept = (1 - friction) ** steps
    small = friction < 0.5
    exponent = steps * np.log1p(-np.where(small, friction, 0.0))
    loss = np.where(small, -np.expm1(exponent), 1 - kept)
    safe = np.where(friction > 0, friction, 1.0)
    return kept, np.where(friction > 0, loss / safe, float(steps))


def _check_map(rule: str, discriminator_steps: int) -> int:
    steps = integer("discriminator_steps", discriminator_steps, at_least=1)
    if one_of("rule", rule, RULES) == "simultaneous" and steps > 1:
        raise ParameterError("discriminator_steps", steps, "1 with simultaneous steps; more need rule 'alternating'")
    return steps


def discrete_mode_multipliers(
    a: npt.ArrayLike,
    b: npt.ArrayLike,
    friction: npt.ArrayLike = 0.0,
    discriminator_steps: int = 1,
    rule: str = "alternating",
) -> npt.NDArray[np.complex128]:
    """Multipliers of a mode per iteration, shape `[..., 2]`, the larger one first; see `discrete_mode_radius`."""
    steps = _check_map(rule, discriminator_steps)
    mobility, stiffness, beta = modes(("a", a), ("b", b), ("friction", friction))
    trace, determinant = _map(mobility, stiffness, beta, steps, rule)
    half = 0.5 * trace
    root = np.sqrt(half * half - determinant + 0j)
    outer = half + np.where(half < 0, -1.0, 1.0) * root.real
    inner = np.divide(determinant, outer, out=np.zeros_like(outer), where=outer != 0)
    rings = root.imag > 0
    first = np.where(rings, half + 1j * root.imag, outer)
    return np.stack([first, np.where(rings, np.conj(first), inner)], axis=-1)


def discrete_mode_radius(
    a: npt.ArrayLike,
    b: npt.ArrayLike,
    friction: npt.ArrayLike = 0.0,
    discriminator_steps: int = 1,
    rule: str = "alternating",
) -> Any:
    """Spectral radius of a mode of matched particles under steps of finite size; below 1 the mode decays.

    Args:
        a: Mobility of the mode per iteration, >= 0; a number or an array, as are the next two. With the logistic loss,
            a / 2.
        b: Stiffness per step of the discriminator, >= 0; with the logistic loss, b / 2.
        friction: b * gradient_penalty + damping per step of the discriminator (with the b that is not halved), >= 0.
        discriminator_steps: Steps of the discriminator per iteration, >= 1; 1 with simultaneous steps.
        rule: "alternating" (discriminator first, particles by the new slopes) or "simultaneous".

    Returns:
        The radius, a number or an array.

    Raises:
        ParameterError: If a number is out of its range, shapes do not go together, or several steps of the
            discriminator are asked for with simultaneous steps.

    References:
        Derived here; the particles are those of Durr, Mroueh, Tu, Wang. Phys. Rev. X 13, 041004 (2023).
    """
    return np.abs(discrete_mode_multipliers(a, b, friction, discriminator_steps, rule)[..., 0])[()]


def largest_stable_product(
    friction: npt.ArrayLike = 0.0, discriminator_steps: int = 1, rule: str = "alternating"
) -> Any:
    """The value of a b (both per step) at which a mode of the discrete map becomes unstable.

    Alternating steps: 2 (1 + P) beta / (1 - P) with P = (1 - beta)^n, that is 4 / n without friction. Simultaneous
    steps: the friction itself; without friction every mode grows.

    Args:
        friction: beta >= 0 per step of the discriminator, a number or an array.
        discriminator_steps: Steps of the discriminator per iteration, >= 1.
        rule: "alternating" or "simultaneous".

    Returns:
        The largest stable product, a number or an array; 0 if the friction alone overshoots (alternating: beta >= 2;
        simultaneous: beta >= 4). With simultaneous steps and beta > 2 the product must also exceed 2 beta - 4.

    Raises:
        ParameterError: If a number is out of its range.

    References:
        Derived here.
    """
    steps = _check_map(rule, discriminator_steps)
    beta = numbers_in("friction", friction, at_least=0)
    if rule == "simultaneous":
        return np.where(beta < 4, beta, 0.0)[()]
    kept, forgotten = _inner_steps(np.minimum(beta, 2.0), steps)
    return np.where(beta < 2, 2 * (1 + kept) / np.where(beta < 2, forgotten, 1.0), 0.0)[()]


def best_friction(a: float, b: float, rule: str = "alternating", discriminator_steps: int = 1) -> BestFriction:
    """The friction at which a mode of the discrete map decays fastest.

    With one step of the discriminator: 2 sqrt(ab) - ab for alternating and 2 sqrt(ab) for simultaneous steps, with
    spectral radius |1 - sqrt(ab)| in both (a b < 4). With several, the friction at which both multipliers meet at a
    positive number, unless a search over [0, 2] finds a better one, which happens for a b near 1 and beyond.

    Args:
        a: Mobility of the mode per iteration, > 0.
        b: Stiffness per step of the discriminator, > 0.
        rule: "alternating" or "simultaneous".
        discriminator_steps: Steps of the discriminator per iteration.

    Returns:
        The friction per step, b * gradient_penalty + damping, and the spectral radius there.

    Raises:
        ParameterError: If a number is out of its range.

    References:
        Derived here.
    """
    steps = _check_map(rule, discriminator_steps)
    product = number("a", a, above=0) * number("b", b, above=0)
    if rule == "simultaneous":
        return BestFriction(2 * math.sqrt(product), abs(1 - math.sqrt(product)))
    if steps == 1 and product < 4:
        return BestFriction(2 * math.sqrt(product) - product, abs(1 - math.sqrt(product)))
    tried = np.linspace(0, 2, _TRIED + 1)

    def radius(friction: Any) -> Any:
        return discrete_mode_radius(product, 1.0, friction, steps)

    best = int(np.argmin(radius(tried)))
    around = tried[max(best - 1, 0)], tried[min(best + 1, _TRIED)]
    found = minimize_scalar(radius, bounds=around, method="bounded", options={"xatol": 1e-12})
    candidates = [BestFriction(float(x), float(radius(x))) for x in (found.x, tried[best])]
    if product < 1:
        # Both multipliers are q = sqrt(P): a b (1 + q) = beta (1 - q) with beta = 1 - q^(2 / n).
        q = brentq(lambda q: product * (1 + q) - (1 - q ** (2 / steps)) * (1 - q), 0.0, 1.0, xtol=1e-15)
        candidates.append(BestFriction(1 - q ** (2 / steps), q))
    return min(candidates, key=lambda candidate: candidate.radius)
