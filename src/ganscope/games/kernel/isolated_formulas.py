r"""An isolated neighbourhood in closed form: multipliers, radii and labels, for arrays of parameters.

One true point of mass p, and around it `points` generated points of total mass q that all move at the same speed h
along the gradient of the discriminator. With the curvature gamma of the kernel and the surplus p - q, linearisation
leaves

    forgetting  a = discriminator_lr regularization
    pinning     b = h gamma (p - q) / regularization
    coupling    k = discriminator_lr h gamma q
    S = a + b,  P = a b + k = discriminator_lr h gamma p

and three families of motion. Under simultaneous steps, multiplier 1 + u,

    discriminator  u = -a                  what the generated points do not feel
    relative       u = -b                  of the generated points among each other; absent for one point
    mean           u^2 + S u + P = 0       of the centre of mass and the discriminator's slope

`alternating` steps have multipliers 1 - a, 1 - b and mu^2 - (2 - S - k) mu + (1 - a)(1 - b) = 0, the other rules those
that `dynamics.rules.multipliers` makes of u, the flow the eigenvalues u / discriminator_lr.

References:
    Becker, Pandit, Rangan, Fletcher. Local Convergence of Gradient Descent-Ascent for Training GANs. 2023. Other rules
    than simultaneous steps, and regularization 0, are derived here.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ganscope.core.checks import numbers_in, one_of
from ganscope.core.errors import ParameterError
from ganscope.dynamics.rules import FLOW, RULES, check_momentum, multipliers, quadratic_roots

Array = npt.NDArray[np.float64]
Complex = npt.NDArray[np.complex128]

# Growth per iteration (per unit of time for the flow) within which a mode neither grows nor decays, and the imaginary
# part, relative to the modulus, from which on it rotates.
NEUTRAL, ROTATING = 1e-9, 1e-12
# Eigenvalues beyond this cannot be squared; their multipliers are the leading terms, exact to rounding.
_LARGE = 1e150
# A surplus below this share of the masses is the rounding of their sums.
_ROUNDING = 1e-13


class Couplings(NamedTuple):
    """The numbers that decide everything: see the module's text; arrays that broadcast."""

    forgetting: Any
    pinning: Any
    damping: Any
    product: Any
    discriminator_lr: Any


class Families(NamedTuple):
    """Multipliers of the three families (eigenvalues for the flow), each of shape `[..., branches]`."""

    discriminator: Complex
    relative: Complex
    mean: Complex


class Radii(NamedTuple):
    """Growth factors per iteration: the largest modulus in each family.

    Attributes:
        discriminator: What the generated points do not feel.
        relative: Generated points among each other; NaN for a single one.
        mean: Centre of mass.
        all: The largest of these three.
        points: The larger of `relative` and `mean`, what the generated points show.
    """

    discriminator: Array
    relative: Array
    mean: Array
    all: Array
    points: Array


def surplus(real_mass: Any, generated_mass: Any) -> Any:
    """real_mass - generated_mass, exactly 0 where they differ by rounding only."""
    difference = np.asarray(real_mass) - np.asarray(generated_mass)
    return np.where(np.abs(difference) <= _ROUNDING * np.asarray(real_mass), 0.0, difference)


def checked_points(points: Any) -> Array:
    """Numbers of points, integers >= 1."""
    count = numbers_in("points", points, at_least=1)
    if np.any(count != np.floor(count)):
        raise ParameterError("points", points, "integers >= 1")
    return count


def couplings(
    real_mass: Any, generated_mass: Any, curvature: Any, regularization: Any, speed: Any, discriminator_lr: Any
) -> Couplings:
    """The dimensionless numbers of a neighbourhood.

    Args:
        real_mass, generated_mass: Mass of the true point, and of all its generated points together.
        curvature: Of the kernel, per squared length.
        regularization: Weight of the discriminator's norm.
        speed: Step h of a generated point along the gradient of the discriminator.
        discriminator_lr: Learning rate of the discriminator.

    Raises:
        ParameterError: If the regularization is 0 where the masses differ: that state is no equilibrium.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        pull = np.asarray(speed * curvature * surplus(real_mass, generated_mass), np.float64)
        strength = np.asarray(regularization, np.float64)
        if np.any((strength == 0) & (pull != 0)):
            raise ParameterError("regularization", 0.0, "a number > 0 where real_mass and generated_mass differ")
        forgetting = discriminator_lr * strength
        pinning = pull / np.where(strength == 0, 1.0, strength)
        product = discriminator_lr * speed * curvature * np.asarray(real_mass)
        return Couplings(forgetting, pinning, forgetting + pinning, product, discriminator_lr)


def check_rule(rule: str | None, momentum: float) -> tuple[str, float]:
    """The rule with None spelled out as the flow, and the momentum, both checked."""
    name = FLOW if rule is None else one_of("rule", rule, (*RULES, FLOW))
    return name, check_momentum(name, momentum)


def families(numbers: Couplings, rule: str | None = None, momentum: float = 0.0) -> Families:
    """Multipliers of the three families under a rule, or eigenvalues of the flow (None) per unit of time.

    Args:
        numbers: See `couplings`.
        rule: One of the five rules, or the flow.
        momentum: Of `heavy_ball`.

    Returns:
        Multipliers or eigenvalues; infinite where they are beyond the range of a float.

    Raises:
        ParameterError: If the rule is unknown or the momentum out of range.
    """
    rule, momentum = check_rule(rule, momentum)
    with np.errstate(over="ignore", invalid="ignore"):
        found = _families(numbers, rule, momentum)
    return Families(*(np.where(np.isfinite(values), values, np.inf + 0j) for values in found))


def _families(numbers: Couplings, rule: str, momentum: float) -> Families:
    a, b = np.asarray(numbers.forgetting), np.asarray(numbers.pinning)
    damping, product = np.asarray(numbers.damping), np.asarray(numbers.product)
    if rule == "alternating":
        coupling = product - a * b
        mean = _real_quadratic_roots(-(2 - damping - coupling), (1 - a) * (1 - b))
        return Families(_branch(1 - a), _branch(1 - b), mean)
    u = _real_quadratic_roots(damping, product)
    if rule == FLOW:
        scale = np.asarray(numbers.discriminator_lr)[..., None]
        return Families(_branch(-a) / scale, _branch(-b) / scale, u / scale)
    lifted = lift(u, rule, momentum)
    mean = lifted.reshape(*lifted.shape[:-2], lifted.shape[-2] * lifted.shape[-1])
    return Families(lift(-a, rule, momentum), lift(-b, rule, momentum), mean)


def lift(values: Any, rule: str, momentum: float) -> Complex:
    """`dynamics.rules.multipliers`, for eigenvalues of any size; infinite where a multiplier is beyond a float."""
    u = np.asarray(values, np.complex128)
    large = np.abs(u) > _LARGE
    found = multipliers(np.where(large, 0.0, u), rule, momentum)
    if not np.any(large):
        return found
    u = np.where(large, u, 1.0)
    with np.errstate(over="ignore", invalid="ignore"):
        leading = {
            "simultaneous": [u],
            "extragradient": [u * u],
            "optimistic": [2 * u, 0.5 + 0 * u],
            "heavy_ball": [u, momentum / u],
        }[rule]
    terms = np.stack(leading, axis=-1)
    terms = np.where(np.isfinite(terms), terms, np.inf + 0j)
    return np.asarray(np.where(large[..., None], terms, found))


def _real_quadratic_roots(b: Array, c: Array) -> Complex:
    """Roots of x^2 + b x + c = 0 with real coefficients of any size; scaling by powers of 2 is exact."""
    size = np.maximum(np.abs(b), np.sqrt(np.abs(c)))
    scale = np.ldexp(1.0, np.frexp(np.where(np.isfinite(size), size, 1.0))[1] - 1)
    return np.asarray(scale[..., None] * quadratic_roots(b / scale, c / scale / scale))


def growth_factor(values: Complex, rule: str, discriminator_lr: Any) -> Array:
    """Largest growth per iteration along the last axis; an iteration of the flow lasts `discriminator_lr`."""
    if rule == FLOW:
        with np.errstate(over="ignore"):  # infinite where it cannot be told
            return np.asarray(np.exp(np.max(values.real, axis=-1) * discriminator_lr))
    return np.asarray(np.max(np.abs(values), axis=-1))


def radii(numbers: Couplings, points: Any, rule: str | None = None, momentum: float = 0.0) -> Radii:
    """Radii of the families of `points` generated points."""
    found = families(numbers, rule, momentum)
    rule, _ = check_rule(rule, momentum)
    disc, relative, mean = (growth_factor(values, rule, numbers.discriminator_lr) for values in found)
    disc, relative, mean, points = np.broadcast_arrays(disc, relative, mean, points)
    relative = np.where(points > 1, relative, np.nan)
    moving = np.fmax(relative, mean)
    return Radii(disc.copy(), relative, mean.copy(), np.maximum(disc, moving), moving)


def family_radii(
    real_mass: Any,
    generated_mass: Any,
    points: Any = 1,
    curvature: Any = 1.0,
    regularization: Any = 1.0,
    generator_lr: Any = 0.5,
    discriminator_lr: Any = 0.2,
    rule: str | None = None,
    momentum: float = 0.0,
    weighting: str = "loss",
) -> Radii:
    """Spectral radii of the three families, for arrays of parameters: phase diagrams in one call.

    All numbers broadcast. The published maps of Becker et al. for several points give each of them the speed
    generator_lr q of the total mass q: `weighting="unit"` with generator_lr q in the place of generator_lr.

    Args:
        real_mass: Mass of the true point, > 0.
        generated_mass: Mass of all generated points together, > 0; they share it equally.
        points: How many generated points, >= 1.
        curvature: Of the kernel, > 0, per squared length: 1 / bandwidth^2 of the Gaussian.
        regularization: >= 0, and > 0 where the masses differ.
        generator_lr, discriminator_lr: Learning rates, > 0.
        rule: One of the five rules; None or `flow` for the flow, followed for the time discriminator_lr.
        momentum: Of `heavy_ball`.
        weighting: `loss`: speed generator_lr generated_mass / points; `unit`: generator_lr.

    Returns:
        Growth factors per iteration, each of the broadcast shape; infinite where beyond the range of a float.

    Raises:
        ParameterError: If a value is out of its range.
    """
    given = dict(real_mass=real_mass, generated_mass=generated_mass, curvature=curvature)
    given |= dict(generator_lr=generator_lr, discriminator_lr=discriminator_lr)
    p, q, curve, generator, discriminator = (numbers_in(name, value, above=0) for name, value in given.items())
    strength = numbers_in("regularization", regularization, at_least=0)
    count = checked_points(points)
    check_rule(rule, momentum)
    one_of("weighting", weighting, ("loss", "unit"))
    with np.errstate(over="ignore"):
        speed = generator * q / count if weighting == "loss" else generator
    return radii(couplings(p, q, curve, strength, speed, discriminator), count, rule, momentum)


def dominant(values: Complex, is_map: bool) -> Complex:
    """The value that decides along the last axis: of largest modulus for a map, of largest real part for a flow."""
    place = np.argmax(np.abs(values) if is_map else values.real, axis=-1)
    return np.asarray(np.take_along_axis(values, place[..., None], axis=-1)[..., 0])


def stability_label(values: Complex, is_map: bool) -> npt.NDArray[np.str_]:
    """`marginal`, or `converge_` or `diverge_` with `monotone` or `oscillatory`, by the value that decides.

    Args:
        values: Multipliers or eigenvalues of the mean family, shape `[..., branches]`.
        is_map: Whether they are multipliers.

    Returns:
        Shape `[...]`. A real negative multiplier, which changes sides at every step, is `monotone`; see `flips`.
    """
    lead = dominant(values, is_map)
    size = np.abs(lead)
    growth = size - 1.0 if is_map else lead.real
    rotates = np.abs(lead.imag) > ROTATING * np.maximum(1.0, size)
    text = np.where(growth < 0, "converge_", "diverge_")
    text = np.char.add(text, np.where(rotates, "oscillatory", "monotone"))
    return np.where(np.abs(growth) <= NEUTRAL, "marginal", text)


def flips(values: Complex) -> npt.NDArray[np.bool_]:
    """Whether the multiplier that decides is real and negative: the points change sides at every iteration."""
    lead = dominant(values, is_map=True)
    rotates = np.abs(lead.imag) > ROTATING * np.maximum(1.0, np.abs(lead))
    return np.asarray(~rotates & (lead.real < 0))


def _branch(value: Any) -> Complex:
    return np.asarray(value, np.complex128)[..., None]
