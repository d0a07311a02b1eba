r"""Orbits of the games of two scalars, in closed form.

With x = theta / sqrt(generator_lr), y = psi / sqrt(discriminator_lr), W = sqrt(generator_lr discriminator_lr) and
R^2 = x^2 + y^2 the flows without a penalty are rotations whose speed varies along the circle:

    bilinear         x' = W y,                  y' = -W x                   R constant
    saturating       x' = W y S(W x y),         y' = -W x S(W x y)          R constant
    nonsaturating    x' = W y S(-W x y),        y' = -W x S(W x y)          (R^2)' = -2 x y W tanh(W x y / 2)

with the logistic function S. The angle of the saturating game moves with speed W S(W R^2 sin(2 angle) / 2), whose
inverse integrates to a Bessel function; the radius of the nonsaturating one loses W^2 R^4 / 8 per unit of time, on
average over a small circle.

References:
    Mescheder, Geiger, Nowozin. Which training methods for GANs do actually converge? ICML 2018.
    Turinici. Convergence dynamics of generative adversarial networks: the dual metric flows. 2020.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import i0, ive

from ganscope.core.checks import number
from ganscope.core.errors import ParameterError

Array = npt.NDArray[np.float64]

# Newton steps towards the radius of a limit cycle; they close in from one side after the first.
_STEPS = 60


def _speeds(generator_lr: float, discriminator_lr: float) -> tuple[float, float]:
    return number("generator_lr", generator_lr, above=0), number("discriminator_lr", discriminator_lr, above=0)


def turning(generator_lr: Any, discriminator_lr: Any) -> Any:
    """W = sqrt(generator_lr discriminator_lr), the angular speed of the bilinear game; numbers or arrays."""
    return np.sqrt(generator_lr) * np.sqrt(discriminator_lr)


def radius_squared(theta: Any, psi: Any, generator_lr: Any, discriminator_lr: Any) -> Any:
    """R^2 = theta^2 / generator_lr + psi^2 / discriminator_lr; numbers or arrays."""
    return theta**2 / generator_lr + psi**2 / discriminator_lr


def bilinear_periods(frequency: Array, damping: Array) -> Array:
    """`bilinear_period` of many games, from W times the slope and discriminator_lr penalty / 2."""
    turns = damping < frequency
    squared = np.where(turns, (frequency - damping) * (frequency + damping), 1.0)
    return np.where(turns, 2 * math.pi / np.sqrt(squared), math.inf)


def saturating_periods(speed: Array, squared: Array) -> Array:
    """`saturating_period` of many games, from W and R^2."""
    with np.errstate(over="ignore"):
        return np.asarray(2 * math.pi / speed * (1 + i0(speed * squared / 2)))


def bilinear_period(generator_lr: float, discriminator_lr: float, slope: float = 1.0, penalty: float = 0.0) -> float:
    """Period of the linear game theta' = generator_lr slope psi, psi' = -discriminator_lr (slope theta + penalty psi).

    Infinite from the critical damping on: penalty >= 2 slope sqrt(generator_lr / discriminator_lr).

    Args:
        generator_lr, discriminator_lr: Speeds, > 0.
        slope: Of the loss, > 0: 1 for the bilinear one, 1/2 near the equilibrium of the others.
        penalty: gradient_penalty, >= 0.

    Raises:
        ParameterError: If a value is out of its range.

    References:
        Mescheder, Geiger, Nowozin. Which training methods for GANs do actually converge? ICML 2018.
    """
    generator_lr, discriminator_lr = _speeds(generator_lr, discriminator_lr)
    slope, penalty = number("slope", slope, above=0), number("penalty", penalty, at_least=0)
    frequency = np.array(turning(generator_lr, discriminator_lr) * slope)
    return float(bilinear_periods(frequency, np.array(discriminator_lr * penalty / 2)))


def saturating_period(
    theta: float, psi: float = 0.0, generator_lr: float = 1.0, discriminator_lr: float = 1.0
) -> float:
    """Period (2 pi / W) (1 + I0(W R^2 / 2)) of the saturating game without a penalty; infinite if it overflows.

    Args:
        theta, psi: Any point of the orbit.
        generator_lr, discriminator_lr: Speeds, > 0.

    Raises:
        ParameterError: If a value is out of its range.

    References:
        Mescheder, Geiger, Nowozin. Which training methods for GANs do actually converge? ICML 2018.
    """
    theta, psi = number("theta", theta), number("psi", psi)
    generator_lr, discriminator_lr = _speeds(generator_lr, discriminator_lr)
    speed = turning(generator_lr, discriminator_lr)
    return float(saturating_periods(speed, radius_squared(theta, psi, generator_lr, discriminator_lr)))


def nonsaturating_limit(generator_lr: float = 1.0, discriminator_lr: float = 1.0) -> float:
    """The limit 8 / W^2 of R^2 time in the nonsaturating game without a penalty.

    Args:
        generator_lr, discriminator_lr: Speeds, > 0.

    Raises:
        ParameterError: If a value is out of its range.

    References:
        Mescheder, Geiger, Nowozin. Which training methods for GANs do actually converge? ICML 2018.
    """
    generator_lr, discriminator_lr = _speeds(generator_lr, discriminator_lr)
    return 8 / (generator_lr * discriminator_lr)


def saturating_cycles(ratio: Array, speed: Array) -> Array:
    """Radius R of the limit cycle on which too long simultaneous steps of the damped saturating game end.

    Around a circle a step of size h adds h W pi R^2 and the penalty removes
    2 pi (penalty discriminator_lr / W) R^2 (1 + I0(W R^2 / 2)); they balance where
    I0(W R^2 / 2) = 2 ratio - 1. Right to leading order in the step size.

    Args:
        ratio: Step size in units of the largest stable one, >= 1, shape `[cells]`.
        speed: W, shape `[cells]`.
    """
    level = np.log(2 * ratio - 1)
    # log I0(x) < x^2 / 4 is convex, so that the first step goes beyond the root and the others come back
    half = 2 * np.sqrt(level)
    for _ in range(_STEPS):
        scaled = ive(0, half)
        slope = ive(1, half) / scaled
        last, half = half, half - (np.log(scaled) + half - level) / np.where(slope > 0, slope, 1.0)
        if np.all(np.abs(half - last) <= 1e-14 * half):
            break
    return np.asarray(np.sqrt(2 * np.maximum(half, 0.0) / speed))


def nonsaturating_cycles(growth: Array, speed: Array) -> Array:
    """Radius R of the limit cycle on which too long steps of the nonsaturating game end.

    A small circle grows by (R^2)' = 2 growth R^2 - W^2 R^4 / 8, hence R = 4 sqrt(growth) / W. Right while W R^2 is
    small.

    Args:
        growth: Growth rate of the linearised scheme per unit of time, >= 0, shape `[cells]`.
        speed: W, shape `[cells]`.
    """
    return np.asarray(4 * np.sqrt(growth) / speed)


def clipped_amplitude(theta: Any, omega: Any, generator_lr: Any, discriminator_lr: Any) -> Any:
    """A = sqrt(omega^2 + (discriminator_lr / generator_lr) theta^2), the reach of omega where nothing stops it."""
    return np.hypot(omega, theta * np.sqrt(discriminator_lr / generator_lr))


def capture_time(
    theta: float, omega: float, clip: float, generator_lr: float = 1.0, discriminator_lr: float = 1.0
) -> float:
    """When the clipped game gets on its periodic orbit: it has gone to the wall, along it, and leaves it at theta = 0.

    From (theta, 0): asin(clip / A) / W + sqrt(A^2 - clip^2) / (W clip). It is 0 for a start that never meets the wall.

    Args:
        theta, omega: The start, omega within the walls.
        clip: Where the walls are, > 0.
        generator_lr, discriminator_lr: Speeds, > 0.

    Raises:
        ParameterError: If a value is out of its range.

    References:
        Delgadino, Suassuna, Cabrera. Generative adversarial networks: dynamics. JMLR 26 (2025).
    """
    theta, omega, clip = number("theta", theta), number("omega", omega), number("clip", clip, above=0)
    if abs(omega) > clip:
        raise ParameterError("omega", omega, f"a number within [-{clip:g}, {clip:g}]")
    generator_lr, discriminator_lr = _speeds(generator_lr, discriminator_lr)
    speed = float(turning(generator_lr, discriminator_lr))
    along = abs(theta) * math.sqrt(discriminator_lr / generator_lr)
    height = omega if theta >= 0 else -omega
    slide_squared = along**2 + (height - clip) * (height + clip)
    if slide_squared <= 0:
        return 0.0
    slide = math.sqrt(slide_squared)
    angle = math.atan2(slide * height + clip * along, along * slide - height * clip)
    return (angle + slide / clip) / speed
