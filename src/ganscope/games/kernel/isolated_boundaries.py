r"""Where an isolated neighbourhood loses its stability, and the parameters with which it converges fastest.

With u^2 + S u + P = 0 for the mean family (see `isolated_formulas`), it leaves the unit circle

    through a real multiplier    at u = -r:  r^2 - r S + P = 0,   r = 2, 2 (1 + momentum), 2/3 (multiplier -1), 1 (+1)
    through a pair, turning      simultaneous   S - P = 0
                                 heavy_ball     m S^2 / (1 + m)^2 + (1 - m)^2 S / (1 + m) - P = 0,  m the momentum
                                 optimistic     S (1 - 2 P) - P (3 P - 1) = 0
                                 extragradient  S + P + S P - S^2 - P^2 = 0
                                 flow           S = 0

for simultaneous, heavy_ball, optimistic and extragradient steps in this order; `alternating` ones at (2 - a)(2 - b) = k
and at (1 - a)(1 - b) = 1. All of this is linear or quadratic in the speed, and quadratic in the regularization.

References:
    Becker, Pandit, Rangan, Fletcher. Local Convergence of Gradient Descent-Ascent for Training GANs. 2023: the spiral
    boundary and the balance of families of simultaneous steps. The rest is derived here.
"""

import math
import sys
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.optimize

from ganscope.core.errors import NotApplicable
from ganscope.dynamics.rules import FLOW
from ganscope.games.kernel import isolated_formulas
from ganscope.games.kernel.isolated_formulas import NEUTRAL, Couplings, surplus

Array = npt.NDArray[np.float64]

# A root counts as a boundary if the radius of the family is 1 there up to this, the square root of rounding: elsewhere
# another multiplier has left the unit circle before.
_ON_CIRCLE = 1e-6
# Where the masses differ between points there is no closed form: a radius is followed through so many values of a
# parameter, over so many decades either side of its natural scale.
_SCAN, _DECADES = 481, 6.0
# Neutral motions have radius 1 up to rounding, which this must exceed.
_SLACK = 1e-11


class Place(NamedTuple):
    """Numbers of a neighbourhood whose points all move at the same speed; see `isolated_formulas.couplings`."""

    real_mass: float
    generated_mass: float
    points: int
    curvature: float
    regularization: Any
    speed: Any
    discriminator_lr: float

    @property
    def surplus(self) -> float:
        return float(surplus(self.real_mass, self.generated_mass))

    @property
    def couplings(self) -> Couplings:
        return isolated_formulas.couplings(
            self.real_mass,
            self.generated_mass,
            self.curvature,
            self.regularization,
            self.speed,
            self.discriminator_lr,
        )


def real_limit(rule: str, momentum: float) -> float:
    """A real eigenvalue u of the velocity's Jacobian, learning rates included, is stable for -real_limit < u < 0."""
    limits = {"extragradient": 1.0, "optimistic": 2 / 3, "heavy_ball": 2 * (1 + momentum), FLOW: math.inf}
    return limits.get(rule, 2.0)


def boundaries(place: Place, rule: str, momentum: float) -> dict[str, float]:
    """Boundaries of a rule, speeds in the place of generator learning rates; see `IsolatedNeighbourhood.boundaries`."""
    limit = real_limit(rule, momentum)
    forgetting = place.discriminator_lr * place.regularization
    pull = place.speed * place.curvature * place.surplus
    several = place.points > 1
    relative_speed = relative_strength = math.inf
    if several and place.surplus > 0:
        pin = place.curvature * place.surplus  # may be below the range of a float
        relative_speed = limit * place.regularization / pin if pin > 0 else math.inf
        relative_strength = pull / limit
    elif several and place.surplus < 0:
        relative_speed = 0.0
    else:
        relative_strength = 0.0
    spirals = _crossings(place, "speed", _spiral_speeds(place, rule, momentum), rule, momentum)
    if forgetting == 0 and rule in ("simultaneous", "heavy_ball"):
        spirals = [0.0]  # every speed spirals out
    flips = _crossings(place, "speed", _flip_speeds(place, rule, limit), rule, momentum)
    strengths = {
        "spiral": _crossings(place, "regularization", _spiral_strengths(place, rule, momentum), rule, momentum),
        "flip": _crossings(place, "regularization", _flip_strengths(place, rule, limit), rule, momentum),
    }
    spiral, flip = (min(found, default=math.inf) for found in (spirals, flips))
    found = {
        "generator_lr_spiral": spiral,
        "generator_lr_flip": flip,
        "generator_lr_relative": relative_speed,
        "generator_lr_limit": min(spiral, flip, relative_speed) if forgetting <= limit else 0.0,
    }
    for name, values in strengths.items():
        found[f"regularization_{name}_low"] = min(values, default=math.inf)
        found[f"regularization_{name}_high"] = max(values, default=math.inf)
    found["regularization_relative"] = relative_strength
    found |= discriminator_limits(place.regularization, place.discriminator_lr, limit)
    edges = [*strengths["spiral"], *strengths["flip"], relative_strength, found["regularization_discriminator"]]

    def radius(strength: Array) -> Array:
        return isolated_formulas.radii(
            place._replace(regularization=strength).couplings, place.points, rule, momentum
        ).all

    low, high = last_stable_interval(edges, radius)
    return found | {"regularization_stable_low": low, "regularization_stable_high": high}


def discriminator_limits(regularization: float, discriminator_lr: float, limit: float) -> dict[str, float]:
    """Where the discriminator by itself loses its stability."""
    return {
        "regularization_discriminator": limit / discriminator_lr,
        "discriminator_lr_limit": limit / regularization if regularization > 0 else math.inf,
    }


def last_stable_interval(edges: Iterable[float], radius: Callable[[Array], Array]) -> tuple[float, float]:
    """The interval of largest values, between edges, in which nothing grows; infinity twice if there is none."""
    inner = sorted({edge for edge in edges if 0 < edge < math.inf})
    ends = [0.0, *inner, math.inf]
    roots = np.sqrt(inner)
    middles = [1.0] if not inner else [inner[0] / 2, *(roots[1:] * roots[:-1]), min(2 * inner[-1], sys.float_info.max)]
    stable = radius(np.array(middles)) <= 1 + NEUTRAL
    if not np.any(stable):
        return math.inf, math.inf
    last = int(np.flatnonzero(stable)[-1])
    first = last
    while first > 0 and stable[first - 1]:
        first -= 1
    return ends[first], ends[last + 1]


def scanned_crossings(radius: Callable[[float], float], scale: float) -> list[float]:
    """Where a radius passes through 1, by bracketing on a logarithmic grid around `scale`."""

    def excess(logarithm: float) -> float:
        return radius(math.exp(logarithm)) - 1.0 - _SLACK

    centre = math.log(min(max(scale, 1e-290), 1e290))
    grid = centre + np.linspace(-_DECADES, _DECADES, _SCAN) * math.log(10)
    values = np.array([excess(x) for x in grid])
    brackets = np.flatnonzero((values[:-1] > 0) != (values[1:] > 0))
    return [math.exp(scipy.optimize.brentq(excess, grid[i], grid[i + 1], xtol=1e-13)) for i in brackets]


def best(place: Place, rule: str, momentum: float) -> dict[str, float]:
    """Fastest convergence, speeds in the place of generator learning rates; see `IsolatedNeighbourhood.best`."""
    if place.points > 1 and place.surplus < 0:
        raise NotApplicable(
            "generated_mass exceeds real_mass with several points: they part whatever the learning rates are"
        )
    if rule == FLOW:
        return _best_flow(place)
    ratio, balanced = place.surplus / place.real_mass, place.surplus == 0
    share = 1.0 if balanced else math.sqrt(place.generated_mass) / math.sqrt(place.real_mass)
    if place.points == 1 or balanced:
        known = {
            "simultaneous": (share / (2 + share), (2 + 2 * share) / (2 + share), 4 / (2 + share) / (2 + share)),
            "alternating": (0.0, 1.0, 1.0),
        }
    else:
        spread = math.sqrt((1 - ratio) / (1 + ratio))
        slow = (1 - math.sqrt(ratio)) / (1 + math.sqrt(ratio))
        known = {
            "simultaneous": (spread, 1 - spread, 2 / (1 + ratio)),
            "alternating": (slow, 1 - slow, (1 - slow) ** 2 / ratio),
        }
    radius, forgetting, product = known[rule] if rule in known else _searched_best(place, rule, momentum)
    found = {
        "regularization": forgetting / place.discriminator_lr,
        "generator_lr": product / place.discriminator_lr / place.curvature / place.real_mass,
        "discriminator_lr": place.discriminator_lr,
        "spectral_radius": radius,
        "rate": math.inf if radius == 0 else -math.log(radius),
    }
    return found | (_critical_damping(place) if rule == "simultaneous" else {})


def _best_flow(place: Place) -> dict[str, float]:
    """The regularization with the fastest flow: critical damping, or the balance of the families."""
    force = place.speed * place.curvature / place.discriminator_lr
    if place.points > 1 and place.surplus > 0:
        strength = rate = math.sqrt(force * place.surplus)
    else:
        strength = math.sqrt(force) * (math.sqrt(place.real_mass) + math.sqrt(place.generated_mass))
        rate = math.sqrt(force * place.real_mass)
    return {
        "regularization": strength,
        "generator_lr": place.speed,
        "discriminator_lr": place.discriminator_lr,
        "spectral_radius": math.exp(-rate * place.discriminator_lr),
        "rate": rate,
    }


def _critical_damping(place: Place) -> dict[str, float]:
    """Best regularization at the given speed, and best speed at the given regularization, of the mean family alone."""
    p, q, lr = place.real_mass, place.generated_mass, place.discriminator_lr
    roots = math.sqrt(p) + math.sqrt(q)
    product = lr * place.speed * place.curvature * p
    found = {
        "regularization_at_generator_lr": math.sqrt(place.speed * place.curvature / lr) * roots,
        "mean_radius_at_generator_lr": abs(1 - math.sqrt(product)),
    }
    if place.regularization > 0:
        # The modulus of a pair falls with the speed where pinning is stronger than the discriminator's memory.
        if place.surplus > lr * place.regularization * p:
            roots = place.surplus / roots
        root_of_speed = math.sqrt(lr) * place.regularization / (math.sqrt(place.curvature) * roots)
        speed = root_of_speed * root_of_speed
        radius = abs(1 - lr * place.regularization * math.sqrt(p) / roots)
        found |= {"generator_lr_at_regularization": speed, "mean_radius_at_regularization": radius}
    return found


def _searched_best(place: Place, rule: str, momentum: float) -> tuple[float, float, float]:
    """Radius, forgetting and product of the fastest convergence, by a grid that closes in."""
    ratio = place.surplus / place.real_mass
    counted = place.points if ratio else 1  # balanced points stay neutral among each other
    half = np.log(np.array([300.0, 3000.0]))
    centre = np.log(np.array([real_limit(rule, momentum), 4.0])) - half
    steps, lowest = np.linspace(-1, 1, 61), math.inf
    for _ in range(80):
        a, product = (np.exp(c + h * steps) for c, h in zip(centre, half, strict=True))
        forgetting, product = np.meshgrid(a, product, indexing="ij")
        pinning = ratio * product / forgetting
        numbers = Couplings(forgetting, pinning, forgetting + pinning, product, 1.0)
        radius = isolated_formulas.radii(numbers, counted, rule, momentum).all
        at = np.unravel_index(int(np.argmin(radius)), radius.shape)
        if radius[at] < lowest:
            lowest = float(radius[at])
            centre = np.log(np.array([forgetting[at], product[at]]))
        half = 0.7 * half
    a, product = np.exp(centre)
    return lowest, float(a), float(product)


def _crossings(place: Place, name: str, values: Iterable[float], rule: str, momentum: float) -> list[float]:
    """The values of `speed` or `regularization` at which the mean family is on the unit circle."""
    tried = np.array([value for value in values if 0 < value < math.inf])
    varied: dict[str, Any] = {name: tried}
    numbers = place._replace(**varied).couplings
    found = isolated_formulas.radii(numbers, place.points, rule, momentum).mean
    return [float(value) for value in tried[np.abs(found - 1) < _ON_CIRCLE]]


def _slopes(place: Place) -> tuple[float, float, float, float]:
    """Forgetting; a unit of speed, of natural size; and what pinning and product are per such unit."""
    numbers = place.couplings
    pinning, product = float(numbers.pinning), float(numbers.product)
    size = max(abs(pinning), product, sys.float_info.min)
    return float(numbers.forgetting), pinning / size, product / size, place.speed / size


def _flip_speeds(place: Place, rule: str, limit: float) -> list[float]:
    a, c, e, unit = _slopes(place)
    if rule == FLOW:
        return []
    if rule == "alternating":
        found = _ratio(2 * (2 - a), (2 - a) * c + e - a * c)
    else:
        found = _ratio(limit * (limit - a), limit * c - e)
    return [unit * value for value in found]


def _spiral_speeds(place: Place, rule: str, momentum: float) -> list[float]:
    a, c, e, unit = _slopes(place)
    if rule == FLOW:
        found = _ratio(-a, c)
    elif rule == "alternating":
        found = _ratio(a, (a - 1) * c)
    else:
        ss, s, sp, p, pp = _spiral_form(rule, momentum)
        linear = 2 * ss * a * c + s * c + sp * a * e + p * e
        found = _real_roots(ss * c * c + sp * c * e + pp * e * e, linear, (ss * a + s) * a)
    return [unit * value for value in found]


def _flip_strengths(place: Place, rule: str, limit: float) -> list[float]:
    lr, pull, product = _fixed(place)
    if rule == FLOW:
        return []
    if rule == "alternating":
        return _real_roots(2 * lr, -(4 + 2 * lr * pull - product), 2 * pull)
    return _real_roots(lr, -(limit + product / limit), pull)


def _spiral_strengths(place: Place, rule: str, momentum: float) -> list[float]:
    lr, pull, product = _fixed(place)
    if rule == FLOW:
        dampings = [0.0]
    elif rule == "alternating":
        dampings = [lr * pull]
    else:
        ss, s, sp, p, pp = _spiral_form(rule, momentum)
        dampings = _real_roots(ss, s + sp * product, (p + pp * product) * product)
    return [strength for damping in dampings for strength in _real_roots(lr, -damping, pull)]


def _fixed(place: Place) -> tuple[float, float, float]:
    """What does not depend on the regularization: the discriminator's rate, pinning times regularization, product."""
    pull = place.speed * place.curvature * place.surplus
    return place.discriminator_lr, pull, place.discriminator_lr * place.speed * place.curvature * place.real_mass


def _spiral_form(rule: str, momentum: float) -> tuple[float, float, float, float, float]:
    """Coefficients of S^2, S, S P, P, P^2 in the form that vanishes where a pair turns on the unit circle."""
    forms = {
        "simultaneous": (0.0, 1.0, 0.0, -1.0, 0.0),
        "heavy_ball": (momentum / (1 + momentum) ** 2, (1 - momentum) ** 2 / (1 + momentum), 0.0, -1.0, 0.0),
        "optimistic": (0.0, 1.0, -2.0, 1.0, -3.0),
        "extragradient": (-1.0, 1.0, 1.0, 1.0, -1.0),
    }
    return forms[rule]


def _ratio(numerator: float, denominator: float) -> list[float]:
    return [numerator / denominator] if denominator != 0 else []


def _real_roots(quadratic: float, linear: float, constant: float) -> list[float]:
    """Real roots of a polynomial of degree up to two, without cancellation."""
    if quadratic == 0:
        return _ratio(-constant, linear)
    discriminant = linear * linear - 4 * quadratic * constant
    if not math.isfinite(discriminant):  # squares beyond the range of a float: factor by factor
        product = 2 * math.sqrt(abs(quadratic)) * math.sqrt(abs(constant))
        outer, inner = abs(linear) + product, abs(linear) - product
        same = (quadratic > 0) == (constant > 0)
        root = math.sqrt(outer) * math.copysign(math.sqrt(abs(inner)), inner) if same else math.hypot(linear, product)
    else:
        root = math.copysign(math.sqrt(abs(discriminant)), discriminant)
    if root < 0:
        return []
    large = -0.5 * (linear + math.copysign(root, linear))
    return [large / quadratic, *_ratio(constant, large)]
