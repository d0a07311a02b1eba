r"""What is known about the linear-quadratic GAN: where it rests, when collapsed states hold, and how it orbits.

A generator of rank r < d rests where W L = 0. For data centred at 0 those states are r principal components of the
data, with W = (S* - L L') / (2 quadratic_penalty), at distance sqrt(sum of the missed eigenvalues). Beside one, the
component i of the generator turns towards a missed one j, with eigenvalues lambda_i and lambda_j, by

    [ generator_lr lambda_j / (2 rho)           generator_lr sqrt(lambda_i)  ]
    [ -discriminator_lr sqrt(lambda_i) / 2      -discriminator_lr rho        ]      rho = quadratic_penalty

which is stable if lambda_i > lambda_j and discriminator_lr / generator_lr > lambda_j / (2 rho^2). So only the r largest
components hold, and only against a discriminator faster than the ratio with lambda_{r+1}. The mean can escape too:
along a missed component j the same matrix has generator_lr and -discriminator_lr off its diagonal, and in its corner
-discriminator_lr linear_penalty, so that it needs lambda_j < 2 quadratic_penalty / linear_penalty; otherwise the
generator rests with its mean off the data's, where the square of the displacement stands in for a variance.

On a line, without penalty and centred, u = log(std / target std) moves in a potential,
u'' = Omega^2 (1 - exp(2 u)) / 2 with Omega = target std sqrt(generator_lr discriminator_lr).

References:
    Turinici. Convergence dynamics of generative adversarial networks: the dual metric flows. 2020.
"""

import itertools
import math
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.integrate import quad
from scipy.optimize import brentq

from ganscope.analysis.bisection import bisect
from ganscope.analysis.newton import newton
from ganscope.core.checks import integer, number
from ganscope.core.errors import ParameterError
from ganscope.games.dualflow.lq.gaussian import as_covariance, factor_w2
from ganscope.games.dualflow.lq.parts import parts_of
from ganscope.games.dualflow.lq.state import Field, LqState

Array = npt.NDArray[np.float64]

# Subsets of components, and coordinates of a state, beyond which only the largest subset of a size is listed.
_MOST_SUBSETS, MOST_COORDINATES = 64, 150
# Real parts, relative to the fastest rate, that count as neutral.
_NEUTRAL = 1e-9
# Eigenvalues below this share of the largest one count as zero.
_ZERO = 1e-12


def principal_components(covariance: Any) -> tuple[Array, Array]:
    """Eigenvalues of a covariance in decreasing order, shape `[d]`, and its eigenvectors as columns, `[d, d]`."""
    array = np.asarray(covariance, np.float64)
    values, vectors = np.linalg.eigh(np.atleast_2d(array))
    values = np.where(values > _ZERO * max(values[-1], 0.0), values, 0.0)
    return values[::-1].copy(), vectors[:, ::-1].copy()


def collapse_distance(target_covariance: Any, rank: int) -> float:
    """W2 between centred data and the best generator of a given rank: the root of the sum of missed eigenvalues.

    Args:
        target_covariance: Shape `[d, d]`, or a variance.
        rank: Of the generator's covariance, >= 0.

    Raises:
        ParameterError: If the matrix is no covariance, or the rank no such number.

    References:
        Feizi, Farnia, Ginart, Tse. Understanding GANs: the LQG setting. 2017.
    """
    size = int(np.sqrt(np.size(target_covariance)))
    values, _ = principal_components(as_covariance("target_covariance", target_covariance, size))
    return float(np.sqrt(np.sum(values[integer("rank", rank) :])))


def critical_speed_ratio(target_covariance: Any, rank: int, quadratic_penalty: float) -> float:
    """The ratio discriminator_lr / generator_lr above which a centred generator of a given rank settles.

    Below it the generator wanders among principal components.

    Args:
        target_covariance: Covariance of the data, shape `[d, d]`.
        rank: Of the generator's covariance, >= 0.
        quadratic_penalty: Of the discriminator, > 0.

    Returns:
        The largest missed eigenvalue over 2 quadratic_penalty^2; 0 if nothing is missed.

    Raises:
        ParameterError: If the matrix is no covariance, the rank no such number, or the penalty not positive.

    References:
        Feizi, Farnia, Ginart, Tse. Understanding GANs: the LQG setting. 2017.
    """
    penalty = number("quadratic_penalty", quadratic_penalty, above=0)
    size = int(np.sqrt(np.size(target_covariance)))
    values, _ = principal_components(as_covariance("target_covariance", target_covariance, size))
    rank = integer("rank", rank)
    return float(values[rank] / (2 * penalty**2)) if rank < len(values) else 0.0


def equilibria(field: Field, rank: int) -> list[tuple[str, LqState]]:
    """Equilibria with covariances of at most the given rank, with a label each, the one closest to the data first.

    Of large games only the most important ones are listed. For data that are not centred at 0 the collapsed ones are
    found by Newton's method, from those of centred data.

    Args:
        field: The flow.
        rank: Of the generator's covariance, at most the number of columns of the field.

    Returns:
        Labels such as `full` or `components 1, 2`, or `components 1, mean along 2`.
    """
    values, vectors = principal_components(field.target_covariance)
    positive = int(np.sum(values > 0))
    full = full_equilibrium(field, rank)
    found = [] if full is None else [full]
    large = len(field.shape_only) > MOST_COORDINATES
    if field.quadratic_penalty == 0 or (large and found):
        return found
    subsets = [tuple(range(rank))] if large else _subsets(positive, min(rank, positive))
    for chosen in subsets:
        if len(chosen) == positive:
            continue
        label = "components " + ", ".join(str(k + 1) for k in chosen) if chosen else "point"
        candidates = [(label, _collapsed(field, values, vectors, chosen, None, 1))]
        for j in range(positive):
            if j not in chosen and field.linear_penalty > 0:
                # the two signs mirror each other around 0
                for sign in (1, -1) if np.any(field.target_mean) else (1,):
                    state = _collapsed(field, values, vectors, chosen, j, sign)
                    candidates.append((f"{label}, mean along {j + 1}", state))
        for name, state in candidates:
            polished = None if state is None else _polished(field, state, len(chosen))
            if polished is not None and not any(_same(polished, other) for _, other in found):
                found.append((name, polished))
    return sorted(found, key=lambda item: target_distance(field, item[1]))


def full_equilibrium(field: Field, rank: int) -> tuple[str, LqState] | None:
    """The equilibrium at the target, with its label; None if the rank is too low for it. Arguments as `equilibria`."""
    values, vectors = principal_components(field.target_covariance)
    positive = int(np.sum(values > 0))
    if rank < positive:
        return None
    factor = np.zeros((field.axes, field.columns))
    factor[:, :positive] = vectors[:, :positive] * np.sqrt(values[:positive])
    return "full", LqState(field.target_mean, factor, np.zeros(field.axes), np.zeros((field.axes, field.axes)))


def _subsets(count: int, largest: int) -> list[tuple[int, ...]]:
    """Subsets of components, the largest ones first; only the first ones of each size if there are too many."""
    total = sum(math.comb(count, size) for size in range(largest + 1))
    sizes = range(largest, -1, -1)
    if total > _MOST_SUBSETS:
        return [tuple(range(size)) for size in sizes]
    return [subset for size in sizes for subset in itertools.combinations(range(count), size)]


def _collapsed(
    field: Field, values: Array, vectors: Array, chosen: tuple[int, ...], beside: int | None, sign: int
) -> LqState | None:
    """The equilibrium on some components, with the mean off the target along another one if `beside` names it."""
    factor = np.zeros((field.axes, field.columns))
    factor[:, : len(chosen)] = vectors[:, list(chosen)] * np.sqrt(values[list(chosen)])
    mean = field.target_mean.copy()
    if beside is not None:
        square = values[beside] - 2 * field.quadratic_penalty / field.linear_penalty
        if square <= 0:
            return None
        mean = mean + vectors[:, beside] * (sign * np.sqrt(square))
    # where linear_penalty is 0 the mean has to match, and w is what balances W there
    shift = field.target_mean - mean
    moment = field.target_covariance + np.outer(field.target_mean, field.target_mean)
    quadratic = (moment - factor @ factor.T - np.outer(mean, mean)) / (2 * field.quadratic_penalty)
    linear = shift / field.linear_penalty if field.linear_penalty > 0 else -quadratic @ mean
    return LqState(mean, factor, linear, quadratic)


def _polished(field: Field, state: LqState, rank: int) -> LqState | None:
    """The equilibrium next to a guess, None if there is none of that rank near."""
    z = field.pack(state)
    size = 1.0 + float(np.max(np.abs(z)))
    if np.max(np.abs(field.velocity(z))) <= 1e-13 * size**3:
        return state
    root = newton(field.velocity, field.linearisation, z, scale=size)
    if not root.converged or root.residual > 1e-9 * size**3:
        return None
    end = field.state(root.state)
    spread = np.linalg.svd(end.factor, compute_uv=False)
    return end if int(np.sum(spread > 1e-6 * size)) == rank else None


def _same(a: LqState, b: LqState) -> bool:
    """Whether two equilibria are one: rotations of a factor's columns change nothing."""
    scale = 1e-6 * (1.0 + float(np.max(np.abs(a.covariance))) + float(np.max(np.abs(a.mean))))
    return bool(np.max(np.abs(a.mean - b.mean)) < scale and np.max(np.abs(a.covariance - b.covariance)) < scale)


def target_distance(field: Field, state: LqState) -> float:
    """W2 between a state's law and the data."""
    values, vectors = principal_components(field.target_covariance)
    return float(factor_w2(state.mean - field.target_mean, state.factor, vectors * np.sqrt(values)))


def critical_ratio_at(field: Field, state: LqState, shape_only: bool = False) -> float:
    """The ratio discriminator_lr / generator_lr above which an equilibrium is stable.

    Args:
        field: The flow.
        state: The equilibrium; where it lies does not depend on the speeds.
        shape_only: Only against perturbations that leave mean and w where they are.

    Returns:
        0 if it is stable at every ratio, infinity if at none.
    """
    parts = parts_of(field, state, shape_only)

    def stable(ratios: Array) -> npt.NDArray[np.bool_]:
        values = parts.values(np.ones(np.size(ratios)), np.ravel(ratios))
        size = np.abs(values)
        moving = size > _NEUTRAL * np.maximum(size.max(axis=-1, keepdims=True), 1e-300)
        growing = moving & (values.real >= 0)
        return np.asarray(moving.any(axis=-1) & ~growing.any(axis=-1)).reshape(np.shape(ratios))

    low, high = np.array([1e-6]), np.array([1e6])
    if bool(stable(low)[0]):
        return 0.0
    if not bool(stable(high)[0]):
        return math.inf
    return float(bisect(stable, low, high, relative_tolerance=1e-12, log=True)[0])


def turning_points(
    std: float,
    target_std: float = 1.0,
    quadratic: float = 0.0,
    generator_lr: float = 1.0,
    discriminator_lr: float = 1.0,
) -> tuple[float, float]:
    """Smallest and largest standard deviation on the orbit of a centred generator on a line without penalty.

    Args:
        std: Standard deviation at some moment, > 0.
        target_std: That of the data, > 0.
        quadratic: W at the same moment.
        generator_lr, discriminator_lr: Speeds, > 0.

    Raises:
        ParameterError: If an argument is out of its range.

    References:
        Feizi, Farnia, Ginart, Tse. Understanding GANs: the LQG setting. 2017.
    """
    low, high = _orbit(std, target_std, quadratic, generator_lr, discriminator_lr)
    return target_std * math.exp(low), target_std * math.exp(high)


def orbit_period(
    std: float,
    target_std: float = 1.0,
    quadratic: float = 0.0,
    generator_lr: float = 1.0,
    discriminator_lr: float = 1.0,
) -> float:
    """Period of the orbit of a centred generator on a line without penalty, by quadrature.

    It grows with the amplitude from `small_period`.

    Args:
        std: Standard deviation at some moment, > 0.
        target_std: That of the data, > 0.
        quadratic: W at the same moment.
        generator_lr, discriminator_lr: Speeds, > 0.

    Returns:
        The period, in time.

    Raises:
        ParameterError: If an argument is out of its range.

    References:
        Feizi, Farnia, Ginart, Tse. Understanding GANs: the LQG setting. 2017.
    """
    low, high = _orbit(std, target_std, quadratic, generator_lr, discriminator_lr)
    return orbit_duration(low, high) / (target_std * math.sqrt(generator_lr * discriminator_lr))


def orbit_duration(low: float, high: float) -> float:
    """Period of an orbit between turning points of u = log(std / target_std), in units of 1 / Omega."""
    half = (high - low) / 2
    if half < 1e-5:
        # u'' = -Omega^2 (u + u^2 + ...): the period grows with the square of the amplitude
        return 2 * math.pi * (1 + half**2 / 6)

    def time(angle: float) -> float:
        """Time per angle, where u is the middle of the ends plus half sin(angle)."""
        # measured from the nearer end, where the square vanishes
        end, sign = (high, 1.0) if angle > 0 else (low, -1.0)
        gap = sign * 2 * half * math.sin((math.pi / 2 - abs(angle)) / 2) ** 2
        square = (math.exp(2 * end) * -math.expm1(-2 * gap) - 2 * gap) / 2
        return half * math.cos(angle) / math.sqrt(square) if square > 0 else 0.0

    # rounding may keep it from its tolerance, by little
    pieces = (-math.pi / 2, 0.0, math.pi / 2)
    total = sum(
        quad(time, a, b, epsabs=0.0, epsrel=1e-12, limit=500, full_output=1)[0] for a, b in itertools.pairwise(pieces)
    )
    return float(2 * total)


def small_period(target_std: float = 1.0, generator_lr: float = 1.0, discriminator_lr: float = 1.0) -> float:
    """Period of small oscillations of the standard deviation without penalty.

    Args:
        target_std: Of the data, > 0, along the principal direction that oscillates.
        generator_lr, discriminator_lr: Speeds, > 0.

    Raises:
        ParameterError: If an argument is out of its range.

    References:
        Feizi, Farnia, Ginart, Tse. Understanding GANs: the LQG setting. 2017.
    """
    speeds = number("generator_lr", generator_lr, above=0) * number("discriminator_lr", discriminator_lr, above=0)
    return 2 * math.pi / (number("target_std", target_std, above=0) * math.sqrt(speeds))


def _orbit(
    std: float, target_std: float, quadratic: float, generator_lr: float, discriminator_lr: float
) -> tuple[float, float]:
    """Turning points of u = log(std / target_std)."""
    std, target = number("std", std, above=0), number("target_std", target_std, above=0)
    slow = number("generator_lr", generator_lr, above=0)
    fast = number("discriminator_lr", discriminator_lr, above=0)
    quadratic = number("quadratic", quadratic)
    return orbit_ends(std, target, quadratic, slow / fast * quadratic**2)


def orbit_ends(std: float, target: float, quadratic: float, ratio: float) -> tuple[float, float]:
    """Turning points of u = log(std / target), for generator_lr / discriminator_lr times the square of W as `ratio`."""
    start = math.log(std / target)
    if start > 300:
        raise ParameterError("std", std, "a number that is not astronomically larger than target_std")
    # u' = generator_lr W
    excess = math.expm1(2 * start) - 2 * start + 2 * ratio / target**2
    if excess <= 0:
        return 0.0, 0.0

    def surplus(u: float) -> float:
        return math.expm1(2 * u) - 2 * u - excess

    def root(a: float, b: float) -> float:
        return float(brentq(surplus, a, b, xtol=1e-16, rtol=4 * np.finfo(float).eps))

    low = start if quadratic == 0 and start < 0 else root(-(excess + 1) / 2 - 1e-9, 0.0)
    high = start if quadratic == 0 and start > 0 else root(0.0, 0.5 * math.log1p(2 * excess) + 1.0)
    return low, high
