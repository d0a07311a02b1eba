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

from scipy.optimize import brentq
from scipy.special import i0, ive

from ganscope.core.checks import number
from ganscope.core.errors import ParameterError


def _speeds(generator_lr: float, discriminator_lr: float) -> tuple[float, float]:
    return number("generator_lr", generator_lr, above=0), number("discriminator_lr", discriminator_lr, above=0)


def turning(generator_lr: float, discriminator_lr: float) -> float:
    """W = sqrt(generator_lr discriminator_lr), the angular speed of the bilinear game."""
    return math.sqrt(generator_lr) * math.sqrt(discriminator_lr)


def radius_squared(theta: float, psi: float, generator_lr: float, discriminator_lr: float) -> float:
    """R^2 = theta^2 / generator_lr + psi^2 / discriminator_lr."""
    return theta**2 / generator_lr + psi**2 / discriminator_lr


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
    frequency = turning(generator_lr, discriminator_lr) * slope
    damping = discriminator_lr * penalty / 2
    if damping >= frequency:
        return math.inf
    return 2 * math.pi / math.sqrt((frequency - damping) * (frequency + damping))


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
    squared = radius_squared(theta, psi, generator_lr, discriminator_lr)
    return 2 * math.pi / speed * (1 + float(i0(speed * squared / 2)))


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


def saturating_cycle(ratio: float, generator_lr: float, discriminator_lr: float) -> float:
    """Radius R of the limit cycle on which too long simultaneous steps of the damped saturating game end.

    Around a circle a step of size h adds h W pi R^2 and the penalty removes
    2 pi (penalty discriminator_lr / W) R^2 (1 + I0(W R^2 / 2)); they balance where
    I0(W R^2 / 2) = 2 ratio - 1. Right to leading order in the step size.

    Args:
        ratio: Step size in units of the largest stable one, >= 1.
        generator_lr, discriminator_lr: The speeds.
    """
    level = math.log(2 * ratio - 1)
    if level <= 0:
        return 0.0

    def excess(half: float) -> float:
        return math.log(float(ive(0, half))) + half - level

    half = brentq(excess, 0.0, level + 0.5 * math.log(2 * math.pi * (level + 10)) + 2)
    return math.sqrt(2 * half / turning(generator_lr, discriminator_lr))


def nonsaturating_cycle(growth: float, generator_lr: float, discriminator_lr: float) -> float:
    """Radius R of the limit cycle on which too long steps of the nonsaturating game end.

    A small circle grows by (R^2)' = 2 growth R^2 - W^2 R^4 / 8, hence R = 4 sqrt(growth) / W. Right while W R^2 is
    small.

    Args:
        growth: Growth rate of the linearised scheme per unit of time, >= 0.
        generator_lr, discriminator_lr: The speeds.
    """
    return 4 * math.sqrt(growth) / turning(generator_lr, discriminator_lr)


def clipped_amplitude(theta: float, omega: float, generator_lr: float, discriminator_lr: float) -> float:
    """A = sqrt(omega^2 + (discriminator_lr / generator_lr) theta^2), the reach of omega where nothing stops it."""
    return math.hypot(omega, theta * math.sqrt(discriminator_lr / generator_lr))


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
    speed = turning(generator_lr, discriminator_lr)
    along = abs(theta) * math.sqrt(discriminator_lr / generator_lr)
    height = omega if theta >= 0 else -omega
    slide_squared = along**2 + (height - clip) * (height + clip)
    if slide_squared <= 0:
        return 0.0
    slide = math.sqrt(slide_squared)
    angle = math.atan2(slide * height + clip * along, along * slide - height * clip)
    return (angle + slide / clip) / speed
