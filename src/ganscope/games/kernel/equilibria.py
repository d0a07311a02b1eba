r"""Equilibria of the kernel GAN: critical points of the distance to the data.

For fixed generated points the best discriminator is f* = (sum_i p_i K(x_i, .) - sum_j q_j K(z_j, .)) / regularization,
and the payoff there is MMD^2 / (2 regularization). So the game rests exactly where

    r_j(Z) = sum_i p_i grad K(z_j, x_i) - sum_k q_k grad K(z_j, z_k) = 0,

whatever the rule and the learning rates. Attracting or not, it is a minimum if Q G Q / regularization - Q C, the
Hessian of MMD^2 / (2 regularization), has no negative eigenvalue.

References:
    Becker, Pandit, Rangan, Fletcher. Instability and Local Minima in GAN Training with Kernel Discriminators. 2022.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.spatial import cKDTree

from ganscope.analysis.newton import RCOND, Root
from ganscope.analysis.newton import newton as solve
from ganscope.analysis.spectrum import stability_of
from ganscope.core.checks import real_array
from ganscope.core.errors import NotApplicable, ParameterError
from ganscope.core.outcome import Equilibrium
from ganscope.games.kernel.good_minimum import good_minimum, length_scale, matches_data, require_theory
from ganscope.games.kernel.linearisation import spectrum_at
from ganscope.games.kernel.operators import GradientGram, force, hessian_sum, potential

Array = npt.NDArray[np.float64]

# Coordinates up to which Newton's steps and the Hessian are computed.
DENSE = 1500
# Below this share of the stiffest direction an eigenvalue of the Hessian counts as zero.
FLAT = 1e-9
# Points further from a true point than so many widths belong to none; closer than so many to each other, they coincide.
CAPTURE, COINCIDENT = 3.0, 1e-6
# Newton's method from a given start may move the points so many widths; further away, it has left the neighbourhood.
_NEAR = 1.0
_SETTLING_STEPS, _KICKS = 200, 5
# Beyond so many coordinates a descent is settled by few steps, and no way off a saddle is looked for.
_PATIENT, _FEW_STEPS = 300, 5
# Residuals up to so many times their rounding error count as rest.
_AT_REST = 1e4
_SNAP = 1e-4


def mmd_squared(game: Any, points: Array) -> float:
    """Squared maximum mean discrepancy of generated points from the data, for masses of any sum."""
    real, mass = game.real_points, game.real_mass
    own = float(mass @ potential(game.kernel, real, real, mass))
    return own + _height_and_slope(game, np.asarray(points, np.float64))[0]


def residual(game: Any, points: Array) -> Array:
    """r_j(Z), regularization times the gradient of the best discriminator at its points, shape `[M, axes]`."""
    here = np.asarray(points, np.float64)
    attraction = force(game.kernel, here, game.real_points, game.real_mass)
    result: Array = attraction - force(game.kernel, here, here, game.generated_mass)
    return result


def residual_slope(game: Any, points: Array) -> Array:
    """Jacobian of the residual, shape `[M axes, M axes]`."""
    count, axes = points.shape
    result: Array = -GradientGram(game.kernel, points).dense() * np.repeat(game.generated_mass, axes)
    own = hessian_sum(game.kernel, points, game.real_points, game.real_mass)
    own -= hessian_sum(game.kernel, points, points, game.generated_mass)
    every = np.arange(count)
    result.reshape(count, axes, count, axes)[every, :, every, :] += own
    return result


def stiffness(game: Any, points: Array) -> Array:
    """Eigenvalues of the Hessian of MMD^2 / (2 regularization) in the points, increasing, shape `[M axes]`.

    Raises:
        NotApplicable: If there are more than 1500 coordinates.
    """
    require_theory(game)
    _require_dense(points)
    weight = np.repeat(game.generated_mass, points.shape[1])
    matrix = -weight[:, None] * residual_slope(game, points) / game.regularization
    values: Array = np.linalg.eigvalsh((matrix + matrix.T) / 2)
    return values


def newton(game: Any, start: Array) -> Root:
    """A critical point near `start` by Newton's method with least squares; its state has the shape of the points.

    Raises:
        ParameterError: If regularization is 0 or the start does not fit.
        NotApplicable: If the kernel is not differentiable or there are more than 1500 coordinates.
    """
    require_theory(game)
    points = _checked(game, start)
    _require_dense(points)
    shape = points.shape
    root = solve(
        lambda z: residual(game, z.reshape(shape)).ravel(),
        lambda z: residual_slope(game, z.reshape(shape)),
        points.ravel(),
        scale=length_scale(game.kernel),
        tolerance=_rounding(game, points),
    )
    return Root(root.state.reshape(shape), root.residual, root.iterations, root.converged)


def descend(game: Any, start: Array, perturbation: float = 1e-6, seed: int = 0, held: Any = None) -> Array:
    """Points where the descent of MMD^2 from `start` ends, with a quasi-Newton method and then, up to 1500
    coordinates, Newton steps along which MMD^2 falls whatever the sign of its curvature.

    Args:
        game: The game.
        start: Shape `[M, axes]`.
        perturbation: Standard deviation, in widths of the kernel, of a random displacement of the start: symmetric
            starts would stay symmetric.
        seed: Of the displacement.
        held: Generated points that stay where they are, a mask of shape `[M]`; None for none.
    """
    require_theory(game)
    points = _checked(game, start)
    free = np.ones(len(points), np.bool_) if held is None else ~np.asarray(held, np.bool_)
    if not np.any(free):
        return points
    length = length_scale(game.kernel)
    noise = perturbation * np.random.default_rng(seed).standard_normal(points.shape) * free[:, None]
    # In units of the width, and of the slope that a single point meets.
    unit = float(np.max(game.generated_mass)) * max(float(np.max(game.real_mass)), float(np.max(game.generated_mass)))

    def height(flat: Array) -> tuple[float, Array]:
        value, slope = _height_and_slope(game, length * flat.reshape(points.shape))
        return value / unit, (slope * free[:, None]).ravel() * length / unit

    options = {"maxiter": 5000, "maxfun": 20000, "maxcor": 20, "gtol": 1e-9, "ftol": 0.0, "maxls": 40}
    found = minimize(height, (points / length + noise).ravel(), jac=True, method="L-BFGS-B", options=options)
    low = length * np.asarray(found.x, np.float64).reshape(points.shape)
    if low.size > DENSE:
        return low
    coordinates = np.repeat(free, points.shape[1])
    large = low.size > _PATIENT
    low = _settle(game, low, coordinates, _FEW_STEPS if large else _SETTLING_STEPS)
    for kick in range(0 if large else _KICKS):  # points that met on the way down may have to part again
        if not _is_saddle(game, low):
            break
        noise = perturbation * np.random.default_rng((seed, kick)).standard_normal(points.shape)
        low = _settle(game, low + length * noise, coordinates, _SETTLING_STEPS)
    return low


def _settle(game: Any, points: Array, free: npt.NDArray[np.bool_], steps: int) -> Array:
    """Newton steps down MMD^2 along the free coordinates, with the absolute values of its curvatures."""
    weight, length = np.repeat(game.generated_mass, points.shape[1]), length_scale(game.kernel)
    height = _height_and_slope(game, points)[0]
    slack = 1e-15 * max(float(game.real_mass.sum()), float(game.generated_mass.sum())) ** 2
    for _ in range(steps):
        slope = -weight * residual(game, points).ravel() * free
        matrix = -weight[:, None] * residual_slope(game, points) * np.outer(free, free)
        values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
        size = np.abs(values)
        damped = size + float(np.max(np.abs(slope))) / length
        along = np.where(size > RCOND * np.max(size), vectors.T @ slope / damped, 0.0)
        step = -(vectors @ np.clip(along, -length, length)).reshape(points.shape)
        for _ in range(20):
            new = _height_and_slope(game, points + step)[0]
            if new <= height + slack:
                break
            step /= 2
        else:
            return points
        points, height = points + step, min(new, height)
        if np.max(np.abs(step)) < 1e-10 * length:
            break
    return points


def snapped(game: Any, points: Array) -> Array:
    """The points, with those beside a true point put on it if that leaves them no less at rest.

    Where masses balance the valley around a true point is so flat that nothing else finds its bottom.
    """
    distance, nearest = cKDTree(game.real_points).query(points)
    beside = distance < _SNAP * length_scale(game.kernel)
    moved = np.where(beside[:, None], game.real_points[nearest], points)
    allowed = max(_rounding(game, points), float(np.max(np.abs(residual(game, points)))))
    return moved if np.max(np.abs(residual(game, moved))) <= allowed else points


def _rounding(game: Any, points: Array) -> float:
    """Rounding error of the residual, generously."""
    length = length_scale(game.kernel)
    mass = max(float(game.real_mass.sum()), float(game.generated_mass.sum()))
    return 1e-14 * mass / length * (1.0 + float(np.max(np.abs(points))) / length)


def equilibrium(game: Any, start: Any = None) -> Equilibrium:
    """An equilibrium of the kernel GAN.

    Without `start`: the data itself, if the generated points can take the true points' places with the same masses;
    otherwise where descending MMD^2 from the game's generated points ends. With `start`: the critical point next to it
    by Newton's method, a saddle included; if there is none within a width of the kernel, where the descent ends.

    Args:
        game: The game, regularization > 0.
        start: Points, shape `[M, axes]`.

    Returns:
        `state` the points, shape `[M, axes]`; `spectrum` of the flow, per unit of time; `label` one of `good_minimum`
        (the data are matched), `saddle`, `split` (a minimum where surplus points stand around a true point), `minimum`.

    Raises:
        ParameterError: If regularization is 0 or the start does not fit.
        NotApplicable: If the kernel is not differentiable, no equilibrium was found, or there are more than 1500
            coordinates and the data cannot be matched.

    References:
        Becker, Pandit, Rangan, Fletcher. Instability and Local Minima in GAN Training with Kernel Discriminators. 2022.
    """
    require_theory(game)
    points = good_minimum(game) if start is None else None
    if points is None:
        points = _found(game, start)
    spectrum = spectrum_at(game, points)
    return Equilibrium(points, spectrum, stability_of(spectrum), label(game, points))


def _found(game: Any, start: Any) -> Array:
    begin = _checked(game, game.generated_points if start is None else start)
    if matches_data(game, begin):
        return begin
    if start is not None:
        near = newton(game, begin)
        moved = np.max(np.abs(near.state - begin)) / length_scale(game.kernel)
        if near.converged and moved <= _NEAR:
            return near.state
    low = descend(game, begin)
    root = newton(game, low)
    # Newton's method must only polish: from a flat valley it could leave for a saddle.
    moved = np.max(np.abs(root.state - low)) / length_scale(game.kernel)
    points = root.state if root.converged and moved <= _NEAR else low
    # In a valley that is flat to third order, positions are known worse than forces.
    remaining = float(np.max(np.abs(residual(game, points))))
    if remaining > _AT_REST * _rounding(game, points):
        raise NotApplicable(f"no equilibrium found near the start: a residual of {remaining:.1e} remains; give another")
    return snapped(game, points)


def label(game: Any, points: Array) -> str:
    """`good_minimum`, `saddle`, `split` or `minimum`, see `equilibrium`."""
    if matches_data(game, points):
        return "good_minimum"
    if _is_saddle(game, points):
        return "saddle"
    return "split" if _is_split(game, points) else "minimum"


def flat_directions(game: Any, points: Array) -> int:
    """How many directions of the points leave MMD^2 unchanged to second order: rotations, translations, free points."""
    values = stiffness(game, points)
    return int(np.sum(np.abs(values) <= FLAT * max(_stiffest(game), float(values[-1]))))


def _is_saddle(game: Any, points: Array) -> bool:
    values = stiffness(game, points)
    return bool(values[0] < -FLAT * max(_stiffest(game), float(values[-1])))


def _stiffest(game: Any) -> float:
    """Scale of the stiffness: that of a single generated point of the largest mass."""
    pull = float(np.max(game.generated_mass)) / length_scale(game.kernel)
    return pull**2 / float(game.regularization)


def _is_split(game: Any, points: Array) -> bool:
    """Whether points of one neighbourhood, with more mass than the data there, stand apart from each other."""
    length = length_scale(game.kernel)
    distance, nearest = cKDTree(game.real_points).query(points)
    for place in np.unique(nearest[distance < CAPTURE * length]):
        here = (nearest == place) & (distance < CAPTURE * length)
        spread = float(np.max(np.ptp(points[here], axis=0)))
        if spread > COINCIDENT * length and game.generated_mass[here].sum() > game.real_mass[place]:
            return True
    return False


def _height_and_slope(game: Any, points: Array) -> tuple[float, Array]:
    """The part of MMD^2 that depends on the generated points, and its gradient in them."""
    q = game.generated_mass
    kernel, p = game.kernel, game.real_mass
    cross, pull = (term(kernel, points, game.real_points, p) for term in (potential, force))
    own, push = (term(kernel, points, points, q) for term in (potential, force))
    return float(q @ (own - 2.0 * cross)), -2.0 * q[:, None] * (pull - push)


def _require_dense(points: Array) -> None:
    if points.size > DENSE:
        raise NotApplicable(
            f"equilibria are computed for at most {DENSE} coordinates (points x axes), not {points.size}"
        )


def _checked(game: Any, points: Any) -> Array:
    array = real_array("start", points)
    array = array[:, None] if array.ndim == 1 else array
    if array.shape != game.generated_points.shape:
        raise ParameterError("start", f"shape {array.shape}", f"shape {game.generated_points.shape}")
    return array
