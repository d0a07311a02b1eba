r"""Friction in the linear theory of matched particles: how a gradient penalty turns ringing into approach.

Near a configuration where every particle sits on its target, a displacement xi and the slope G of the discriminator
there obey, mode by mode,

    d xi/dt = a G,     dG/dt = -b xi - c G,     c = b gradient_penalty + damping,

with a the mobility of the mode, b the discriminator's learning rate times its stiffness against the mode, and
`damping` the discriminator's forgetting, discriminator_lr * regularization. The eigenvalues solve s^2 + c s + a b = 0:
underdamped (c < 2 sqrt(ab)) the mode decays at the rate c / 2 and rings, critically damped it decays at its best rate
sqrt(ab), overdamped it creeps. With the logistic loss both players see half the slope: a b becomes a b / 4, while the
penalty keeps its b.

`discrete_modes` has the same under steps of finite size.

References:
    Durr, Mroueh, Tu, Wang. Effective dynamics of generative adversarial networks. Phys. Rev. X 13, 041004 (2023): the
    gradient penalty as friction, best at an intermediate strength.
    Mescheder, Geiger, Nowozin. Which training methods for GANs do actually converge? ICML 2018: the penalty R1.
    The block and its optima are worked out here.
"""

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ganscope.core.checks import numbers_in, one_of
from ganscope.core.errors import ParameterError

Array = npt.NDArray[np.float64]

LOSSES = ("wgan", "gan")
# Halvings of the interval that holds the best penalty: enough for any two floats.
_HALVINGS = 1100


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


def modes(*given: tuple[str, Any]) -> list[Array]:
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
    mobility, stiffness, penalty, forgetting = modes(
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
    """Decay rates of modes of matched particles: minus the larger real part of their eigenvalues.

    Args:
        a, b, gradient_penalty, damping, loss: As in `mode_spectrum`.

    Returns:
        Rates per unit of time, a number or an array; 0 for modes that never relax.

    Raises:
        ParameterError: If a number is negative or not finite, or shapes do not go together.

    References:
        Durr, Mroueh, Tu, Wang. Phys. Rev. X 13, 041004 (2023), for the penalty as friction.
    """
    return (0.0 - mode_spectrum(a, b, gradient_penalty, damping, loss)[..., 0].real)[()]


def best_gradient_penalty(
    a: npt.ArrayLike, b: npt.ArrayLike, damping: npt.ArrayLike = 0.0, loss: str = "wgan"
) -> BestPenalty:
    """The gradient penalty at which the slowest of one or several modes decays fastest.

    A single mode is best when critically damped, at (2 sqrt(a b) - damping) / b, where it decays at the rate
    sqrt(a b). A mode's rate rises up to its own best penalty and falls beyond; hence the slowest rate of several modes
    has one maximum, at the best penalty of one of them or where a rising rate meets a falling one, and it is found
    exactly.

    Args:
        a: Mobilities of the modes, >= 0, a number or an array that broadcasts with `b`.
        b: Learning rate of the discriminator times its stiffnesses, >= 0.
        damping: discriminator_lr * regularization >= 0; an array where it differs between modes.
        loss: "wgan" or "gan", see `mode_spectrum`.

    Returns:
        The penalty and the rates. Modes with b = 0 (undetectable) or a = 0 (immovable) have rate 0 whatever the
        penalty: the overall rate is then 0, and the penalty is the best one for the others.

    Raises:
        ParameterError: If a number is negative or not finite, or shapes do not go together.

    References:
        Durr, Mroueh, Tu, Wang. Phys. Rev. X 13, 041004 (2023), for the maximum at intermediate strength.
    """
    mobility, stiffness, forgetting = modes(("a", a), ("b", b), ("damping", damping))
    if mobility.size == 0:
        raise ParameterError("a", mobility.tolist(), "at least one mode")
    product, undetectable = _product(mobility, stiffness, loss), stiffness == 0
    relaxing = product > 0
    penalty = math.nan
    if np.any(relaxing):
        penalty = _best(product[relaxing], stiffness[relaxing], forgetting[relaxing])
    rates = np.zeros(mobility.shape)
    rates[relaxing] = _rates(product[relaxing], stiffness[relaxing], penalty, forgetting[relaxing])
    return BestPenalty(penalty, float(np.min(rates)), rates, undetectable[()], penalty / 2)


def _rates(product: Array, stiffness: Array, penalty: float, damping: Array) -> Array:
    """Decay rates; a friction within rounding of the critical one counts as critical."""
    half = 0.5 * (stiffness * penalty + damping)
    excess = half * half - product
    critical = np.abs(excess) <= 16 * np.finfo(float).eps * product
    root = np.sqrt(np.where(critical, 0.0, np.maximum(excess, 0.0)))
    return np.where(excess > 0, product / np.maximum(half + root, np.finfo(float).tiny), half)


def _best(product: Array, stiffness: Array, damping: Array) -> float:
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
    if rising == falling or own[rising] == own[falling]:
        return float(own[falling])
    return min(max(_meeting(rising, falling, product, stiffness, damping), low), high)


def _slowest(product: Array, stiffness: Array, penalty: float, damping: Array) -> int:
    """The mode with the smallest rate; of several, one that falls beyond this penalty."""
    rates = _rates(product, stiffness, penalty, damping)
    own = (2 * np.sqrt(product) - damping) / stiffness
    return int(np.lexsort((own, rates))[0])


def _meeting(rising: int, falling: int, product: Array, stiffness: Array, damping: Array) -> float:
    """Penalty at which the rate of an underdamped mode, which rises, equals the slow rate of an overdamped one.

    With b, c for the stiffness and damping of the first and B, C for those of the other, whose slow rate r solves
    r^2 - (B gamma + C) r + product = 0, gamma = (2 r - c) / b.
    """
    b, c = float(stiffness[rising]), float(damping[rising])
    share, other = float(stiffness[falling]) / b, float(product[falling])
    square, linear = 2 * share - 1, float(damping[falling]) - c * share
    root = math.sqrt(max(linear * linear + 4 * square * other, 0.0))
    # The positive root that belongs to the slow branch, in the form that does not cancel.
    rate = 2 * other / (linear + root) if linear + root > 0 else math.inf
    return (2 * rate - c) / b
