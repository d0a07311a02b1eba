"""Limits of the learning rates, and the parameters that converge fastest.

A wide kernel pulls points from afar but makes the modes of close true points slow; a narrow one converges fast but does
not feel points beyond some bandwidths. The recommended bandwidth is the narrowest that still captures the start.
"""

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq, minimize
from scipy.spatial import cKDTree

from ganscope.core.errors import NotApplicable
from ganscope.dynamics.rules import FLOW, Rule, update_map
from ganscope.games.kernel.good_minimum import Stiffness, best_rates, conditioning, good_minimum
from ganscope.games.kernel.kernels import Kernel, with_bandwidth
from ganscope.games.kernel.landscape import isolation
from ganscope.games.kernel.linearisation import discriminator_hessians, jacobian, neutral_tolerance

Array = npt.NDArray[np.float64]

# Coordinates up to which learning rates are searched with the exact Jacobian.
_SEARCHED = 120
# Curvature of the best discriminator times regularization, below which it does not act on the points.
_NO_FORCE = 1e-12
# Logarithms of rates beyond which none is tried.
_FARTHEST = 14.0
# A start this many bandwidths from its true point still feels a fifth of the largest force.
_CAPTURE = 2.5
# Bandwidths per smallest distance of true points at which they count as isolated from each other.
_ISOLATED = 3.0


def thresholds(game: Any, points: Array, rule: Rule, modes: Stiffness | None) -> dict[str, Any]:
    """Learning rates and regularization at which the resting place changes its stability, by name."""
    found: dict[str, Any] = {}
    if rule.name != FLOW:
        found["discriminator_lr"] = 2 / game.regularization
    if modes is not None and rule.name == "alternating":
        room = 2 * (2 - game.forgetting)
        found["generator_lr"] = room / (game.discriminator_lr * modes.largest) if room > 0 else 0.0
    elif modes is not None and rule.name == "simultaneous":
        found["generator_lr"] = game.regularization / modes.largest
        found["regularization"] = game.generator_lr * modes.largest
    elif points.size <= _SEARCHED:
        limit = _largest_generator_lr(game, points, rule)
        if limit is not None:
            found["generator_lr"] = limit
    return found


def _radius(J: Array, size: int, rule: Rule, neutral: float) -> float:
    """Largest modulus of the multipliers of visible modes, neutral ones left out; for the flow, exp of the rate."""
    if rule.name == FLOW:
        values = np.linalg.eigvals(J)
        moving = np.abs(values) > neutral
        with np.errstate(over="ignore"):
            return float(np.exp(np.max(values.real[moving], initial=-math.inf)))
    values = np.linalg.eigvals(update_map(J, size, *rule))
    moving = np.abs(values - 1) > neutral
    return float(np.max(np.abs(values[moving]), initial=0.0))


def _largest_generator_lr(game: Any, points: Array, rule: Rule) -> float | None:
    """The generator learning rate up to which the resting place is stable; None if it is not, or always."""
    size, neutral = points.size, neutral_tolerance(game, points)
    J = jacobian(game, points)

    def excess(factor: float) -> float:
        scaled = J.copy()
        scaled[:size] *= factor
        return _radius(scaled, size, rule, neutral) - 1

    factors = np.geomspace(1e-3, 1e4, 71)
    signs = [excess(f) > 1e-12 for f in factors]
    if signs[0] or not any(signs):
        return None
    first = int(np.argmax(signs))
    factor = brentq(excess, factors[first - 1], factors[first], xtol=1e-12, rtol=1e-10)
    return float(game.generator_lr * factor)


def recommend(
    game: Any, points: Array, rule: Rule, modes: Stiffness | None, wide: "Width"
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The parameters that converge fastest, by name, and the reasons behind them.

    `regularization`, `generator_lr` and `spectral_radius` are for the game's kernel and discriminator_lr; `bandwidth`
    is the narrowest that captures the start, and `at_bandwidth` what is best there.
    """
    best, advice = _at(game, points, rule, modes)
    if not isinstance(game.kernel, Kernel):
        return best, advice
    best["bandwidth"] = wide.width
    advice = (*advice, wide.words)
    if wide.modes is not None:
        there, _ = _at(game, points, rule, wide.modes)  # which asks a good minimum for its modes only
        if there:
            best["at_bandwidth"] = there
    return best, advice


class Width(NamedTuple):
    """The recommended bandwidth, in words, and the modes of a good minimum there if it is another one."""

    width: float
    words: str
    modes: Stiffness | None


def recommended_width(game: Any, points: Array, matched: bool) -> Width:
    """What `recommend` needs to know about bandwidths; it does not depend on rates and regularization."""
    if not isinstance(game.kernel, Kernel):
        return Width(math.nan, "", None)
    width, words = bandwidth(game)
    if not matched or abs(width / game.bandwidth - 1) <= 1e-6:
        return Width(width, words, None)
    return Width(width, words, conditioning(game.replace(kernel=with_bandwidth(game.kernel, width)), points))


def _at(game: Any, points: Array, rule: Rule, modes: Stiffness | None) -> tuple[dict[str, Any], tuple[str, ...]]:
    if rule.name == FLOW:
        return {}, ()
    if modes is not None:
        if modes.smallest <= 0:
            return {}, ("a neutral mode has no best learning rates",)
        found = best_rates(modes.largest, modes.smallest, *rule)
        words = (
            () if modes.certain else ("the slowest mode is numerically neutral: rates are for the slowest one found",)
        )
        lr = game.discriminator_lr
        return {
            "regularization": found["forgetting"] / lr,
            "generator_lr": found["lr_product"] / lr,
            "discriminator_lr": lr,
            "spectral_radius": found["spectral_radius"],
            "conditioning": modes.conditioning,
        }, words
    if float(np.max(np.abs(discriminator_hessians(game, points)))) * game.regularization < _NO_FORCE:
        return {}, ("no discriminator holds the points there: there are no best learning rates",)
    if points.size > _SEARCHED:
        return {}, (
            f"best learning rates are searched for at most {_SEARCHED} coordinates where the data are not matched",
        )
    return _searched(game, points, rule), ()


def _searched(game: Any, points: Array, rule: Rule) -> dict[str, Any]:
    """Regularization and generator learning rate with the smallest spectral radius at a resting place.

    The resting place depends on neither.
    """
    size, lr, neutral = points.size, game.discriminator_lr, neutral_tolerance(game, points)

    def radius(x: Array) -> float:
        if np.max(np.abs(x)) > _FARTHEST:
            return 10.0
        regularization, generator_lr = (float(v) for v in np.exp(x))
        trial = game.replace(regularization=regularization, generator_lr=generator_lr)
        forgotten = abs(1 - lr * regularization) if rule.name in ("alternating", "simultaneous") else 0.0
        return max(forgotten, _radius(jacobian(trial, points), size, rule, neutral))

    start = np.log([game.regularization, game.generator_lr])
    options = {"xatol": 1e-8, "fatol": 1e-10, "maxiter": 400}
    starts = [start, np.log([0.5 / lr, game.generator_lr])]
    found = min((minimize(radius, x, method="Nelder-Mead", options=options) for x in starts), key=lambda r: r.fun)
    regularization, generator_lr = (float(v) for v in np.exp(found.x))
    return {
        "regularization": regularization,
        "generator_lr": generator_lr,
        "discriminator_lr": lr,
        "spectral_radius": float(found.fun),
    }


def bandwidth(game: Any) -> tuple[float, str]:
    """The recommended bandwidth, and the trade-off in words."""
    apart = isolation(game.real_points)
    far = float(np.max(_distances_to_go(game)))
    narrow = apart / _ISOLATED if math.isfinite(apart) else game.bandwidth
    needed = far / _CAPTURE
    width = max(narrow, needed)
    words = f"bandwidth {width:.3g} is recommended: "
    if needed > narrow:
        words += (
            f"the start, up to {far:.3g} from the data, needs a kernel this wide to be captured; "
            f"{narrow:.3g} or less would converge fastest from nearby"
        )
    elif math.isfinite(apart):
        words += (
            f"a third of the smallest distance between true points, {apart:.3g}; wider kernels capture starts from "
            "further away but converge more slowly"
        )
    else:
        words += f"with a single true point it only has to capture the start, {far:.3g} away"
    return width, words


def _distances_to_go(game: Any) -> Array:
    """Distance of every generated point from the true point that it can take, or from the nearest."""
    try:
        matched = good_minimum(game) if len(game.real_points) <= 3000 else None
    except NotApplicable:
        matched = None
    if matched is not None:
        result: Array = np.linalg.norm(matched - game.generated_points, axis=1)
        return result
    distance: Array = cKDTree(game.real_points).query(game.generated_points)[0]
    return distance
