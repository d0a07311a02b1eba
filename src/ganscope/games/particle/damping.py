r"""Friction in the linear theory of matched particles: how a gradient penalty turns ringing into approach.

Near a configuration where every particle sits on its target, a displacement xi and the slope G of the discriminator
there obey, mode by mode,

    d xi/dt = a G,     dG/dt = -b xi - c G,     c = b gradient_penalty + damping,

with a the mobility of the mode, b the discriminator's learning rate times its stiffness against the mode, and
`damping` the discriminator's forgetting, discriminator_lr * regularization. The eigenvalues solve s^2 + c s + a b = 0:
underdamped (c < 2 sqrt(ab)) the mode decays at the rate c / 2 and rings, critically damped it decays at its best rate
sqrt(ab), overdamped it creeps. With the logistic loss both players see half the slope: a b becomes a b / 4, while the
penalty keeps its b.

In discrete time, with a, b and the friction beta = c per step, n steps of the discriminator make P = (1 - beta)^n of G
and subtract b_n xi, b_n = b (1 - P) / beta, before the particles move by a G ("alternating"); in "simultaneous" steps
the particles move by the old G.

References:
    Durr, Mroueh, Tu, Wang. Effective dynamics of generative adversarial networks. Phys. Rev. X 13, 041004 (2023): the
    gradient penalty as friction, best at an intermediate strength.
    Mescheder, Geiger, Nowozin. Which training methods for GANs do actually converge? ICML 2018: the penalty R1.
    The block, its discrete maps and their optima are worked out here.
"""

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq, minimize_scalar

from ganscope.core.checks import integer, number, numbers_in, one_of
from ganscope.core.errors import ParameterError

Array = npt.NDArray[np.float64]

LOSSES = ("wgan", "gan")
RULES = ("alternating", "simultaneous")
# Halvings of the interval that holds the best penalty: enough for any two floats.
_HALVINGS = 1100
# Frictions tried before the search for the best one is refined.
_TRIED = 400


class BestPenalty(NamedTuple):
    """The gradient penalty at which the slowest mode is fastest.

    Attributes:
        gradient_penalty: In the convention (gamma / 2) E|grad D|^2; 0 if any penalty only slows the modes, NaN if no
            mode is both movable and detectable.
        rate: Decay rate of the slowest of all modes there, per unit of time; 0 if one of them never relaxes.
        rates: Decay rate of every mode there.
        undetectable: Which modes the discriminator does not see (b = 0): they never relax.
        without_half: The same penalty in the convention gamma E|grad D|^2, half of `gradient_penalty`.
    """

    gradient_penalty: float
    rate: float
    rates: Array
    undetectable: Any
    without_half: float


class BestFriction(NamedTuple):
    """The friction per step of the discriminator at which a mode of the discrete map decays fastest.

    Attributes:
        friction: b * gradient_penalty + damping, per step.
        radius: Spectral radius there.
    """

    friction: float
    radius: float


def _modes(*given: tuple[str, Any]) -> list[Array]:
    """Numbers >= 0, broadcast against each other."""
    arrays = [numbers_in(name, value, at_least=0) for name, value in given]
    try:
        return list(np.broadcast_arrays(*arrays))
    except ValueError:
        shapes = ", ".join(f"{name} {array.shape}" for (name, _), array in zip(given, arrays, strict=True))
        raise ParameterError(given[1][0], arrays[1].shape, f"shapes that go together, not {shapes}") from None


def _product(a: Array, b: Array, loss: str) -> Array:
    """The product of the off-diagonal entries: squared frequency without friction."""
    return a * b / (1.0 if one_of("loss", loss, LOSSES) == "wgan" else 4.0)


def mode_spectrum(
    a: npt.ArrayLike,
    b: npt.ArrayLike,
    gradient_penalty: npt.ArrayLike = 0.0,
    damping: npt.ArrayLike = 0.0,
    loss: str = "wgan",
) -> npt.NDArray[np.complex128]:
    """Eigenvalues of a mode of matched particles: [-c +- sqrt(c^2 - 4 a b)] / 2 with c = b gradient_penalty + damping.

    Args:
        a: Mobility of the mode, >= 0; a number or an array, as is every argument.
        b: Learning rate of the discriminator times its stiffness against the mode, >= 0.
        gradient_penalty: Strength gamma >= 0 of (gamma / 2) E|grad D|^2.
        damping: discriminator_lr * regularization >= 0.
        loss: "wgan", or "gan" (logistic): then a b / 4 stands for a b. On a uniform background the logistic loss also
            adds b / (2 k^2) for the wavenumber k, half the discriminator's own rate there: pass it in `damping`.

    Returns:
        Shape `[..., 2]`, per unit of the time of a and b: the slower one first, of a pair that with positive
        imaginary part.

    Raises:
        ParameterError: If a number is negative or not finite, or shapes do not go together.

    References:
        Durr, Mroueh, Tu, Wang. Phys. Rev. X 13, 041004 (2023), for the penalty as friction.
    """
    mobility, stiffness, penalty, forgetting = _modes(
        ("a", a), ("b", b), ("gradient_penalty", gradient_penalty), ("damping", damping)
    )
    product, half = _product(mobility, stiffness, loss), 0.5 * (stiffness * penalty + forgetting)
    root = np.sqrt(half * half - product + 0j)
    fast = -half - root.real
    # The slow one as product / fast: -half + root would cancel.
    slow = np.divide(product, fast, out=np.zeros_like(fast), where=fast < 0)
    rings = root.imag > 0
    first = np.where(rings, -half + 1j * root.imag, slow)
    return np.stack([first, np.where(rings, np.conj(first), fast)], axis=-1)


def mode_rates(
    a: npt.ArrayLike,
    b: npt.ArrayLike,
    gradient_penalty: npt.ArrayLike = 0.0,
    damping: npt.ArrayLike = 0.0,
    loss: str = "wgan",
) -> Any:
    """Decay rates of modes, minus the larger real part of their eigenvalues; arguments as in `mode_spectrum`."""
    return (0.0 - mode_spectrum(a, b, gradient_penalty, damping, loss)[..., 0].real)[()]


def best_gradient_penalty(a: npt.ArrayLike, b: npt.ArrayLike, damping: float = 0.0, loss: str = "wgan") -> BestPenalty:
    """The gradient penalty at which the slowest of one or several modes decays fastest.

    A single mode is best when critically damped, at (2 sqrt(a b) - damping) / b, where it decays at the rate
    sqrt(a b). A mode's rate rises up to its own best penalty and falls beyond; hence the slowest rate of several modes
    has one maximum, at the best penalty of one of them or where a rising rate meets a falling one, and it is found
    exactly.

    Args:
        a: Mobilities of the modes, >= 0, a number or an array that broadcasts with `b`.
        b: Learning rate of the discriminator times its stiffnesses, >= 0.
        damping: discriminator_lr * regularization >= 0.
        loss: "wgan" or "gan", see `mode_spectrum`.

    Returns:
        The penalty and the rates. Modes with b = 0 (undetectable) or a = 0 (immovable) have rate 0 whatever the
        penalty: the overall rate is then 0, and the penalty is the best one for the others.

    Raises:
        ParameterError: If a number is negative or not finite, or shapes do not go together.

    References:
        Durr, Mroueh, Tu, Wang. Phys. Rev. X 13, 041004 (2023), for the maximum at intermediate strength.
    """
    forgetting = number("damping", damping, at_least=0)
    mobility, stiffness = _modes(("a", a), ("b", b))
    if mobility.size == 0:
        raise ParameterError("a", mobility.tolist(), "at least one mode")
    product, undetectable = _product(mobility, stiffness, loss), stiffness == 0
    relaxing = product > 0
    penalty = math.nan
    if np.any(relaxing):
        penalty = _best(product[relaxing], stiffness[relaxing], forgetting)
    rates = np.zeros(mobility.shape)
    rates[relaxing] = _rates(product[relaxing], stiffness[relaxing], penalty, forgetting)
    return BestPenalty(penalty, float(np.min(rates)), rates, undetectable[()], penalty / 2)


def _rates(product: Array, stiffness: Array, penalty: float, damping: float) -> Array:
    """Decay rates; a friction within rounding of the critical one counts as critical."""
    half = 0.5 * (stiffness * penalty + damping)
    excess = half * half - product
    critical = np.abs(excess) <= 16 * np.finfo(float).eps * product
    root = np.sqrt(np.where(critical, 0.0, np.maximum(excess, 0.0)))
    return np.where(excess > 0, product / np.maximum(half + root, np.finfo(float).tiny), half)


def _best(product: Array, stiffness: Array, damping: float) -> float:
    """Where the smallest of the rates, each of which rises and then falls, is largest."""
    own = np.maximum((2 * np.sqrt(product) - damping) / stiffness, 0.0)
    low, high = float(np.min(own)), float(np.max(own))
    rising = _slowest(product, stiffness, low, damping)
    if own[rising] <= low:
        return low
    falling = int(np.argmax(own))
    for _ in range(_HALVINGS):
        middle = low + (high - low) / 2
        if middle in (low, high):
            break
        slowest = _slowest(product, stiffness, middle, damping)
        if own[slowest] > middle:
            low, rising = middle, slowest
        else:
            high, falling = middle, slowest
    if stiffness[rising] == stiffness[falling]:
        return float(own[falling])
    return min(max(_meeting(stiffness[rising], product[falling], stiffness[falling], damping), low), high)


def _slowest(product: Array, stiffness: Array, penalty: float, damping: float) -> int:
    """The mode with the smallest rate; of several, one that falls beyond this penalty."""
    rates = _rates(product, stiffness, penalty, damping)
    own = (2 * np.sqrt(product) - damping) / stiffness
    return int(np.lexsort((own, rates))[0])


def _meeting(rising: float, product: float, falling: float, damping: float) -> float:
    """Penalty at which the rate (rising gamma + damping) / 2 of one mode equals the slow rate of an overdamped other.

    The slow rate r of the other solves r^2 - (falling gamma + damping) r + product = 0.
    """
    share = falling / rising
    square, linear = 2 * share - 1, damping * (1 - share)
    root = math.sqrt(max(linear * linear + 4 * square * product, 0.0))
    # The positive root that belongs to the slow branch, in the form that does not cancel.
    rate = 2 * product / (linear + root) if linear + root > 0 else math.inf
    return float((2 * rate - damping) / rising)


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
    mobility, stiffness, beta = _modes(("a", a), ("b", b), ("friction", friction))
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
