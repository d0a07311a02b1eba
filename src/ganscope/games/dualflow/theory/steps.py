r"""How large the steps of a scheme may be: what a step does to a rotation, with damping and without.

A zero-sum game of two numbers, or a mode of a larger one, is

    x' = -p x - generator_lr s y        y' = discriminator_lr s x - q y

with p = generator_lr lam1, q = discriminator_lr lam2; s is the strength of the coupling.

References:
    Turinici. Convergence dynamics of generative adversarial networks: the dual metric flows. 2020.
    Mescheder, Nowozin, Geiger. The numerics of GANs. NeurIPS 2017.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from ganscope.core.checks import numbers_in, one_of
from ganscope.core.errors import NotApplicable
from ganscope.games.dualflow.levels import (
    EXPLICIT,
    EXPLICIT_SEQUENTIAL,
    JKO,
    JKO_SEQUENTIAL,
    MIDPOINT,
    NASH,
    ORDERS,
    SCHEMES,
    check_options,
)
from ganscope.games.dualflow.theory.affine import Linear, affine_step

Array = npt.NDArray[np.float64]

# Step sizes that are looked at, in units of the inverse size of the field's matrix, before halving begins.
_SMALLEST, _LARGEST = 1e-7, 1e8
# How many per decade, for games of few coordinates and for larger ones.
_FEW, _PER_DECADE, _COARSE = 8, 60, 16
_HALVINGS = 60
# Eigenvalues are good to this much times the condition number of their vectors.
_ROUNDING = 8 * np.finfo(float).eps
_NEUTRAL = 1e-9


def bilinear_modulus(scheme: str, kappa: npt.ArrayLike) -> Array:
    """Factor per step of the distance to equilibrium in the bilinear game E1 = s x y = -E2, which the flow conserves.

    Args:
        scheme: A scheme; the order of the players makes no difference.
        kappa: step_size s sqrt(generator_lr discriminator_lr), >= 0, any shape.

    Returns:
        Largest modulus of the multipliers, in the shape of kappa. Sequential schemes conserve a tilted ellipse below
        kappa = 2, at 2 they grow linearly.

    Raises:
        ParameterError: If the scheme is unknown or kappa is negative.

    References:
        Zhang, Yu. Convergence of gradient methods on bilinear zero-sum games. ICLR 2020.
    """
    one_of("scheme", scheme, SCHEMES)
    kappa = numbers_in("kappa", kappa, at_least=0)
    if scheme in (EXPLICIT, JKO):
        return np.asarray(np.hypot(1.0, kappa))[()]
    if scheme == NASH:
        return np.asarray(1.0 / np.hypot(1.0, kappa))[()]
    if scheme == MIDPOINT:
        return np.ones_like(kappa)[()]
    # the larger root of m + 1/m = kappa^2 - 2
    half = np.maximum(kappa, 2.0) / 2
    return np.square(half + np.sqrt((half - 1) * (half + 1)))[()]


def largest_stable_step(
    scheme: str,
    strength: npt.ArrayLike,
    generator_convexity: npt.ArrayLike = 0.0,
    discriminator_convexity: npt.ArrayLike = 0.0,
    generator_lr: npt.ArrayLike = 1.0,
    discriminator_lr: npt.ArrayLike = 1.0,
) -> Array:
    """Largest step size at which a zero-sum game of two numbers is stable, in closed form.

    The energies are E1 = lam1 x^2 / 2 + s x y and E2 = lam2 y^2 / 2 - s x y. All arguments broadcast, so that a whole
    map is one call.

    Args:
        scheme: A scheme; the order of the players makes no difference.
        strength: The coupling s.
        generator_convexity, discriminator_convexity: The dampings lam1 and lam2, >= 0.
        generator_lr, discriminator_lr: Speeds, > 0.

    Returns:
        The step size below which every start is attracted; infinite if every step is stable. Without any damping
        nothing is attracted: `explicit` and `jko` give 0, the others the bound up to which motion stays bounded.

    Raises:
        ParameterError: If the scheme is unknown or a value is out of its range.

    References:
        Turinici. Convergence dynamics of generative adversarial networks: the dual metric flows. 2020.
    """
    one_of("scheme", scheme, SCHEMES)
    s = numbers_in("strength", strength)
    lam1 = numbers_in("generator_convexity", generator_convexity, at_least=0)
    lam2 = numbers_in("discriminator_convexity", discriminator_convexity, at_least=0)
    eta1 = numbers_in("generator_lr", generator_lr, above=0)
    eta2 = numbers_in("discriminator_lr", discriminator_lr, above=0)
    return _largest(scheme, eta1 * lam1, eta2 * lam2, eta1 * eta2 * s**2)


def _largest(scheme: str, p: Any, q: Any, coupling: Any) -> Array:
    """`largest_stable_step` from the two dampings per unit of time and the squared frequency of the rotation."""
    p, q, coupling = np.broadcast_arrays(p, q, coupling)
    if scheme in (NASH, MIDPOINT):
        return np.full(p.shape, np.inf)[()]
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        total, product, apart = p + q, p * q, (p - q) ** 2
        turning = np.sqrt(apart + 4 * coupling)
        if scheme == EXPLICIT:
            real = total + np.sqrt(np.maximum(apart - 4 * coupling, 0.0))
            largest = np.where(apart < 4 * coupling, total / (product + coupling), 4.0 / real)
        elif scheme == EXPLICIT_SEQUENTIAL:
            largest = np.asarray(4.0 / (turning + total))
        elif scheme == JKO:
            largest = np.where(coupling > product, total / (coupling - product), np.inf)
        else:
            assert scheme == JKO_SEQUENTIAL
            # 4 / (turning - total), without the difference of two close numbers
            largest = np.where(coupling > product, (turning + total) / (coupling - product), np.inf)
    result: Array = largest[()]
    return result


def largest_step(game: Any, level: str, order: str = ORDERS[0], discriminator_steps: int = 1) -> float:
    """Largest step size up to which a scheme is stable at a game's equilibrium.

    In closed form where the game falls apart into modes of two numbers (see `largest_stable_step`), and for `explicit`,
    `nash` and `midpoint`; otherwise the first step size at which the spectral radius of the scheme's linearisation
    passes 1, by bisection.

    Args:
        game: A game that has a linearisation, such as `QuadraticGame` or `DiracGAN`.
        level: A scheme.
        order: Who moves first in sequential schemes.
        discriminator_steps: Steps of the discriminator per step of the generator.

    Returns:
        The step size; infinite if every step is stable, 0 if none is. Where the flow neither attracts nor repels, the
        bound up to which motion stays bounded. A step without solution counts as unstable.

    Raises:
        NotApplicable: If the level is no scheme, or the game has no linearisation.
        ParameterError: If the level or an option is unknown.

    References:
        Zhang, Yu. Convergence of gradient methods on bilinear zero-sum games. ICLR 2020.
    """
    one_of("level", level, game.levels)
    if level not in SCHEMES:
        raise NotApplicable(f"level {level!r} takes no steps: largest_step is for {', '.join(SCHEMES)}")
    if hasattr(game, "largest_step"):
        found: float = game.largest_step(
            level, **check_options({"order": order, "discriminator_steps": discriminator_steps})
        )
        return found
    if not hasattr(game, "linearisation"):
        raise NotApplicable(f"{type(game).__name__} has no linearisation at an equilibrium")
    checked = check_options({"order": order, "discriminator_steps": discriminator_steps})
    return largest_step_of(game.linearisation(), level, checked["order"], checked["discriminator_steps"])


def largest_step_of(linear: Linear, scheme: str, order: str = ORDERS[0], discriminator_steps: int = 1) -> float:
    """`largest_step` of a linear game; arguments as there, checked."""
    j = linear.jacobian
    scale = float(np.linalg.norm(j, 2))
    if scale == 0:
        return np.inf
    if discriminator_steps == 1:
        modes = _modes(linear)
        if modes is not None:
            return float(np.min(_largest(scheme, *modes))) + 0.0  # no -0
    values = np.linalg.eigvals(j)
    moving = values[np.abs(values) > _NEUTRAL * scale]
    if np.any(values.real > _NEUTRAL * scale):
        return 0.0
    if scheme == EXPLICIT and discriminator_steps == 1:
        reach = -2 * moving.real / np.abs(moving) ** 2
        return float(np.min(np.where(reach > _NEUTRAL / scale, reach, 0.0), initial=np.inf))
    own = _own_curvature(linear)
    if scheme == MIDPOINT or (scheme == NASH and own.max() <= 0):
        return np.inf
    n = linear.generator_size
    coupling = np.linalg.norm(j[:n, n:], 2) * np.linalg.norm(j[n:, :n], 2)
    if scheme in (JKO, JKO_SEQUENTIAL) and own.max() < 0 and own[0] * own[1] > coupling:
        return np.inf

    def unstable(tau: Array) -> npt.NDArray[np.bool_]:
        return _unstable(linear, scheme, tau, order, discriminator_steps)

    return _first_change(unstable, _SMALLEST / scale, _LARGEST / scale, _PER_DECADE if len(j) <= _FEW else _COARSE)


def _first_change(unstable: Callable[[Array], npt.NDArray[np.bool_]], low: float, high: float, density: int) -> float:
    """Where steps become unstable for the first time: 0 if they are from the start, infinity if they never do."""
    if unstable(np.array([low]))[0]:
        return 0.0
    while low < high:
        # a decade at a time
        steps = low * 10.0 ** (np.arange(1, density + 1) / density)
        found = np.flatnonzero(unstable(steps))
        if len(found) == 0:
            low = float(steps[-1])
            continue
        first = int(found[0])
        low, high = low if first == 0 else float(steps[first - 1]), float(steps[first])
        for _ in range(_HALVINGS):
            middle = low + (high - low) / 2
            low, high = (low, middle) if unstable(np.array([middle]))[0] else (middle, high)
        return low + (high - low) / 2
    return np.inf


def _modes(linear: Linear) -> tuple[Array, Array, Array] | None:
    """Dampings and squared frequencies of the modes of a game that falls apart into games of two numbers."""
    j, n = linear.jacobian, linear.generator_size
    own = [j[:n, :n], j[n:, n:]]
    p, q = -float(own[0][0, 0]), -float(own[1][0, 0])
    if (
        p < 0
        or q < 0
        or any(not np.array_equal(block, -d * np.eye(len(block))) for block, d in zip(own, (p, q), strict=True))
    ):
        return None
    to_generator, to_discriminator = j[:n, n:], j[n:, :n]
    # opposite up to the ratio of the speeds
    a, b = float(np.max(np.abs(to_generator))), float(np.max(np.abs(to_discriminator)))
    if (a == 0) != (b == 0) or not np.allclose(
        b * to_generator, -a * to_discriminator.T, rtol=1e-12, atol=1e-15 * a * b
    ):
        return None
    strengths = np.linalg.svd(to_generator, compute_uv=False) ** 2 * (b / a if a > 0 else 0.0)
    lone = np.zeros(abs(2 * n - len(j)))
    squares = np.concatenate([strengths, lone])
    # a coordinate without partner keeps its own damping only
    free = np.concatenate([np.ones(len(strengths), bool), np.zeros(len(lone), bool)])
    more_generator = n > len(j) - n
    return (
        np.where(free | more_generator, p, 0.0),
        np.where(free | (not more_generator), q, 0.0),
        squares,
    )


def _own_curvature(linear: Linear) -> Array:
    """Largest growth rate of each player on its own; negative if its energy is strictly convex."""
    j, n = linear.jacobian, linear.generator_size
    return np.array([np.linalg.eigvalsh((block + block.T) / 2)[-1] for block in (j[:n, :n], j[n:, n:])])


def _unstable(linear: Linear, scheme: str, tau: Array, order: str, repeats: int) -> npt.NDArray[np.bool_]:
    """Whether steps of these sizes grow, rounding of the eigenvalues left aside."""
    j, b, n = linear
    matrices, _ = affine_step(Linear(j[None], b[None], n), scheme, tau, order, repeats)
    solved = np.all(np.isfinite(matrices), axis=(-2, -1))
    safe = np.where(solved[:, None, None], matrices, 0.0)
    values, vectors = np.linalg.eig(safe)
    # at a double eigenvalue the vectors coincide, and the rounding error is a square root
    condition = np.minimum(np.linalg.cond(vectors), 1e8)
    size = np.max(np.abs(values), axis=-1)
    answer: npt.NDArray[np.bool_] = ~solved | (size > 1 + _ROUNDING * condition * np.maximum(1.0, size))
    return answer
