r"""Where points of a GAN with a kernel discriminator end up beyond the linear theory: split, cycling, fleeing, huddled.

* Surplus mass parts: several generated points settle on a regular simplex around their true point.
* Past the spiral boundary a point does not escape but circles its true point.
* With equal masses several points reach their true point only like iterations^(-1/2).
* A point far from all true points flees its own trail in the discriminator.
* Points that all stand together at the middle of the data leave each other slowly under a wide kernel.

References:
    Becker, Pandit, Rangan, Fletcher. Instability and Local Minima in GAN Training with Kernel Discriminators. 2022. The
    closed forms are derived here.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.special

from ganscope.core.checks import number, numbers_in, one_of, real_array
from ganscope.core.errors import NotApplicable, ParameterError
from ganscope.games.kernel.isolated_formulas import checked_points, surplus
from ganscope.games.kernel.kernels import Kernel

Array = npt.NDArray[np.float64]

# From this argument on the speed's integral is summed as a series, whose error, like that of the closed form with its
# cancellation, is then below 1e-10.
_SERIES_FROM = 20.0
_SERIES = (3 / 2, -15 / 4, 105 / 8, -945 / 16, 10395 / 32, -135135 / 64)
_BISECTIONS = 64
_NEWTON_STEPS = 100


def split_radius(real_mass: Any, generated_mass: Any, points: Any, bandwidth: Any) -> Any:
    r"""Distance from their true point at which surplus points of equal mass settle, under a Gaussian kernel.

    bandwidth sqrt(2 (m - 1) / (m + 1) ln(q / p)) for m points on a regular simplex, which needs m - 1 axes at least.
    The state branches off from the common point where the masses are equal.

    Args:
        real_mass: Mass p of the true point, > 0.
        generated_mass: Mass q of all its generated points together, > 0.
        points: How many they are, >= 1.
        bandwidth: Of the Gaussian kernel, > 0.

    Returns:
        Of the broadcast shape, in units of length; 0 without a surplus of generated mass, or for a single point.

    Raises:
        ParameterError: If a value is out of its range.
    """
    p, q = numbers_in("real_mass", real_mass, above=0), numbers_in("generated_mass", generated_mass, above=0)
    m, width = checked_points(points), numbers_in("bandwidth", bandwidth, above=0)
    excess = np.where(surplus(p, q) < 0, np.log(q / p), 0.0)
    return np.asarray(width * np.sqrt(2 * (m - 1) / (m + 1) * excess))[()]


def cycle_amplitude(
    mass: Any, curvature: Any, regularization: Any, generator_lr: Any, discriminator_lr: Any, weighting: str = "loss"
) -> Any:
    r"""Amplitude of the small cycle on which one point circles its true point just past the spiral boundary.

    sqrt(4 / 3 (P - a) regularization / (h gamma^2 p)) with P = discriminator_lr h gamma p and
    a = discriminator_lr regularization: for simultaneous steps in one dimension, a Gaussian kernel, and equal masses of
    the true and the generated point. To leading order: within 3 % for a <= 0.04 and P / a <= 1.1.

    Args:
        mass: Mass p of both points, > 0.
        curvature: Of the kernel, > 0, per squared length.
        regularization: > 0.
        generator_lr, discriminator_lr: Learning rates, > 0.
        weighting: `loss`: the point's speed h is generator_lr mass; `unit`: generator_lr.

    Returns:
        Of the broadcast shape, in units of length; 0 where the true point is stable.

    Raises:
        ParameterError: If a value is out of its range.
    """
    p, gamma, strength, speed, lr = _checked(mass, curvature, regularization, generator_lr, discriminator_lr, weighting)
    excess = np.maximum(lr * (speed * gamma * p - strength), 0.0)
    return np.sqrt(4 / 3 * excess * strength / (speed * gamma**2 * p))[()]


def algebraic_decay(
    mass: Any, curvature: Any, regularization: Any, generator_lr: Any, points: int = 2, weighting: str = "loss"
) -> Any:
    r"""Coefficient c of the slow return of two points to their true point at equal masses: c / sqrt(iterations).

    Both points, each of half the mass, stand opposite each other at c / sqrt(iterations) from the true point, with
    c = sqrt(regularization / (3 h gamma^2 mass)), for a Gaussian kernel on a line, where the relative motion is neutral
    to first order.

    Args:
        mass: Mass of the true point, and of both generated points together, > 0.
        curvature: Of the kernel, > 0, per squared length.
        regularization: > 0.
        generator_lr: Learning rate of the points, > 0.
        points: 2; other numbers are not covered.
        weighting: `loss`: the speed h of a point is generator_lr mass / 2; `unit`: generator_lr.

    Returns:
        Of the broadcast shape, in units of length.

    Raises:
        ParameterError: If a value is out of its range.
        NotApplicable: For other than two points.
    """
    if points != 2:
        raise NotApplicable("the algebraic decay is known for points = 2")
    p, gamma, strength, speed, _ = _checked(mass, curvature, regularization, generator_lr, 1.0, weighting)
    speed = speed / 2 if weighting == "loss" else speed
    return np.sqrt(strength / (3 * speed * gamma**2 * p))[()]


def propulsion_threshold(speed_ratio: Any, generated_mass: Any, curvature: Any, points: Any = 1) -> Any:
    """Regularization below which generated points far from all data can flee their own trail.

    generated_mass sqrt(speed_ratio curvature / points), of `points` coinciding points of equal mass.

    Args:
        speed_ratio: generator_lr / discriminator_lr, > 0.
        generated_mass: Mass of all the points together, > 0.
        curvature: Of the kernel, > 0, per squared length.
        points: How many they are, >= 1.

    Raises:
        ParameterError: If a value is out of its range.
    """
    ratio, mass = numbers_in("speed_ratio", speed_ratio, above=0), numbers_in("generated_mass", generated_mass, above=0)
    gamma, count = numbers_in("curvature", curvature, above=0), checked_points(points)
    return (mass * np.sqrt(ratio * gamma / count))[()]


def propulsion_speed(speed_ratio: Any, generated_mass: Any, curvature: Any, regularization: Any) -> Any:
    r"""Speed at which a single generated point far from all data flees its own trail, once kicked (Gaussian kernel).

    The v > 0 with 1 = speed_ratio mass^2 curvature I(v), where

        I(v) = int_0^inf s exp(-regularization s - curvature v^2 s^2 / 2) ds.

    The point moves with speed generator_lr mass along the gradient (weighting `loss`), in the limit of small learning
    rates. As the regularization goes to 0 the speed goes to mass sqrt(speed_ratio).

    Args:
        speed_ratio: generator_lr / discriminator_lr, > 0.
        generated_mass: Mass of the point, > 0.
        curvature: Of the kernel, > 0, per squared length.
        regularization: >= 0.

    Returns:
        Of the broadcast shape, in length per unit of time, which is 1 / discriminator_lr iterations; 0 from
        `propulsion_threshold` on.

    Raises:
        ParameterError: If a value is out of its range.
    """
    threshold = propulsion_threshold(speed_ratio, generated_mass, curvature)
    strength = numbers_in("regularization", regularization, at_least=0)
    ratio, mass, gamma = (np.asarray(v, np.float64) for v in (speed_ratio, generated_mass, curvature))
    slowest = mass * np.sqrt(ratio) + 0 * strength
    target = np.square(strength / threshold)
    moving = (target > 0) & (target < 1)
    target = np.where(moving, target, 0.5)
    # regularization^2 I(v) grows from 0 to 1 with x = regularization / (v sqrt(2 curvature)); these bound the root.
    low, high = np.sqrt(target / 2), np.sqrt(1.5 / (1 - target))
    for _ in range(_BISECTIONS):
        middle = np.sqrt(low * high)
        below = _trail(middle) < target
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    speed = np.where(moving, strength / (np.sqrt(low * high) * np.sqrt(2 * gamma)), 0.0)
    return np.where(strength == 0, slowest, speed)[()]


def _trail(x: Array) -> Array:
    """2 x^2 (1 - sqrt(pi) x erfcx(x))."""
    near = np.minimum(x, _SERIES_FROM)
    closed = 2 * near**2 * (1 - math.sqrt(math.pi) * near * scipy.special.erfcx(near))
    inverse = 1 / np.maximum(x, _SERIES_FROM) ** 2
    series = 1 - inverse * np.polynomial.polynomial.polyval(inverse, _SERIES)
    return np.where(x < _SERIES_FROM, closed, series)


def collapse_point(real_points: Any, real_mass: Any, kernel: Kernel) -> Array:
    """The point at which the data's pull sum_i p_i grad K vanishes, by Newton's method from the weighted mean.

    Args:
        real_points: True points, shape `[N, d]`; a list of N numbers is N points on a line.
        real_mass: Their masses, shape `[N]`, > 0.
        kernel: A differentiable kernel.

    Returns:
        Shape `[d]`.

    Raises:
        ParameterError: If a value is out of its range.
        NotApplicable: If the kernel is not differentiable where points meet, or Newton's method does not arrive.
    """
    points, mass = _data(real_points, real_mass)
    kernel.require_differentiable()
    z = mass @ points / mass.sum()
    spread = float(np.abs(points - z).max())
    for _ in range(_NEWTON_STEPS):
        pull = mass @ kernel.gradient(z - points)
        bend = np.tensordot(mass, kernel.hessian(z - points), 1)
        in_reach = bool(np.any(kernel.value(z - points) > 0))
        if in_reach and not np.any(pull):
            return np.asarray(z)
        if not in_reach or not np.any(bend):
            break
        step = np.linalg.lstsq(bend, pull, rcond=None)[0]
        z = z - step
        if not np.all(np.isfinite(z)) or np.abs(z - points).max() > 4 * spread:
            break
        if np.abs(step).max() <= 1e-13 * spread:
            return np.asarray(z)
    raise NotApplicable("Newton's method from the weighted mean finds no point near the data where their pull vanishes")


def collapse_escape_rate(
    real_points: Any, real_mass: Any, kernel: Kernel, speed: Any, regularization: Any, generated_mass: Any = None
) -> float:
    r"""Growth per iteration with which points that stand together at `collapse_point` leave each other.

    The largest eigenvalue of (speed / regularization) (Hess A + q curvature I), with A = sum_i p_i K(x_i, .) and q the
    mass of all generated points: the multiplier of simultaneous and alternating steps is one plus it. It is positive
    unless all true points coincide.

    Args:
        real_points: True points, shape `[N, d]`; a list of N numbers is N points on a line.
        real_mass: Their masses, shape `[N]`, > 0.
        kernel: A differentiable kernel.
        speed: Step of a generated point along the gradient, generator_lr times its mass, > 0.
        regularization: > 0.
        generated_mass: Mass of all generated points, > 0; None for that of the data.

    Raises:
        ParameterError: If a value is out of its range.
        NotApplicable: See `collapse_point`.
    """
    points, mass = _data(real_points, real_mass)
    rate = number("speed", speed, above=0) / number("regularization", regularization, above=0)
    total = mass.sum() if generated_mass is None else number("generated_mass", generated_mass, above=0)
    r = collapse_point(points, mass, kernel) - points
    bend = np.tensordot(mass, kernel.hessian(r), 1)
    return rate * float(np.linalg.eigvalsh(bend)[-1] + total * kernel.curvature)


def collapse_escape_law(real_points: Any, real_mass: Any, kernel: Kernel, speed: Any, regularization: Any) -> float:
    r"""`collapse_escape_rate` for a kernel much wider than the data, and as much generated as real mass.

    (speed / regularization) 4 phi''(0) (sum_i p_i |r_i|^2 / 2 + largest eigenvalue of sum_i p_i r_i r_i^T), with r_i
    the true points seen from their weighted mean and K = phi(|x - y|^2). For the Gaussian 4 phi''(0) = 1 / bandwidth^4:
    points stay together for about bandwidth^4 iterations.

    Args:
        real_points, real_mass, kernel, speed, regularization: As for `collapse_escape_rate`.

    Raises:
        ParameterError: If a value is out of its range.
        NotApplicable: If the kernel has no second derivative of phi at 0.
    """
    points, mass = _data(real_points, real_mass)
    kernel.require_differentiable()
    fourth = 4 * float(kernel.bend(np.array(0.0)))
    if fourth == 0:
        raise NotApplicable(f"kernel {type(kernel).__name__} is not smooth enough at coincident points for this law")
    rate = number("speed", speed, above=0) / number("regularization", regularization, above=0)
    r = points - mass @ points / mass.sum()
    scatter = (mass[:, None] * r).T @ r
    return rate * fourth * float(0.5 * np.trace(scatter) + np.linalg.eigvalsh(scatter)[-1])


def _checked(
    mass: Any, curvature: Any, regularization: Any, generator_lr: Any, discriminator_lr: Any, weighting: str
) -> tuple[Array, Array, Array, Array, Array]:
    """Mass, curvature, regularization, speed and discriminator_lr, checked."""
    p, gamma = numbers_in("mass", mass, above=0), numbers_in("curvature", curvature, above=0)
    strength = numbers_in("regularization", regularization, above=0)
    rate = numbers_in("generator_lr", generator_lr, above=0)
    one_of("weighting", weighting, ("loss", "unit"))
    speed = rate * p if weighting == "loss" else rate
    return p, gamma, strength, speed, numbers_in("discriminator_lr", discriminator_lr, above=0)


def _data(real_points: Any, real_mass: Any) -> tuple[Array, Array]:
    points = real_array("real_points", real_points, expected="finite numbers of shape (points, axes)")
    points = points[:, None] if points.ndim == 1 else points
    if points.ndim != 2 or points.size == 0:
        raise ParameterError("real_points", f"shape {points.shape}", "an array of shape (points, axes)")
    return points, numbers_in("real_mass", real_mass, shape=(len(points),), above=0)
