r"""Games that are linear: every scheme is an affine map, and the flow a matrix exponential.

    z = (x, y)        z' = J z + b        one step of a scheme: z+ = P z + q

Nothing is iterated in solving a step: proximal steps, `nash` and `midpoint` are linear equations, solved once per run.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ganscope.games.dualflow.failures import StepTooLarge
from ganscope.games.dualflow.levels import (
    EXPLICIT,
    EXPLICIT_SEQUENTIAL,
    JKO,
    JKO_SEQUENTIAL,
    MIDPOINT,
    NASH,
    ORDERS,
)

Array = npt.NDArray[np.float64]


class Linear(NamedTuple):
    """A linear game, or the linearisation of a game: z' = J z + b, generator first.

    Attributes:
        jacobian: J, shape `[..., N, N]`.
        offset: b, shape `[..., N]`.
        generator_size: How many coordinates are the generator's.
    """

    jacobian: Array
    offset: Array
    generator_size: int


def affine_step(
    linear: Linear, scheme: str, step_size: npt.ArrayLike, order: str = ORDERS[0], discriminator_steps: int = 1
) -> tuple[Array, Array]:
    """Matrix and offset of one step of a scheme.

    Args:
        linear: The game, or many of them along leading axes.
        scheme: One of `levels.SCHEMES`.
        step_size: Broadcast with the leading axes.
        order: Who moves first in sequential schemes.
        discriminator_steps: Steps of the discriminator per step of the generator; `nash` and `midpoint` have one.

    Returns:
        P, shape `[..., N, N]`, and q, shape `[..., N]`; NaN where the step has no solution, because a proximal problem
        is not strictly convex or the linear equations are singular.
    """
    j, b, n = linear
    size = j.shape[-1]
    tau = np.asarray(step_size, np.float64)
    lead = np.broadcast_shapes(j.shape[:-2], tau.shape)
    tau = np.broadcast_to(tau, lead)[..., None, None]
    j, b = np.broadcast_to(j, (*lead, size, size)), np.broadcast_to(b, (*lead, size))[..., None]
    one = np.broadcast_to(np.eye(size), j.shape)
    # (P | q) side by side; a player's move replaces its own rows
    rate = np.concatenate([j, b], axis=-1)
    if scheme in (NASH, MIDPOINT):
        share = 1.0 if scheme == NASH else 0.5
        right = np.concatenate([one + tau * (1 - share) * j, tau * b], axis=-1)
        solved = solve(one - tau * share * j, right)
        if scheme == NASH:
            solved = np.where(_convex(linear, tau)[..., None, None], solved, np.nan)
        return solved[..., :size], solved[..., size]
    implicit = scheme in (JKO, JKO_SEQUENTIAL)
    generator = _move(rate, slice(0, n), tau, implicit, 1)
    discriminator = _move(rate, slice(n, size), tau, implicit, discriminator_steps)
    if scheme in (EXPLICIT, JKO):
        joint = np.concatenate([generator[..., :n, :], discriminator[..., n:, :]], axis=-2)
    else:
        assert scheme in (EXPLICIT_SEQUENTIAL, JKO_SEQUENTIAL)
        first, second = (generator, discriminator) if order == ORDERS[0] else (discriminator, generator)
        joint = second[..., :size] @ first
        joint[..., size] += second[..., size]
    if implicit:
        joint = np.where(_convex(linear, tau)[..., None, None], joint, np.nan)
    return joint[..., :size], joint[..., size]


def _move(rate: Array, rows: slice, tau: Array, implicit: bool, repeats: int) -> Array:
    """The map (P | q) by which one player moves, some times in a row, while the other one waits."""
    size = rate.shape[-2]
    own = tau * rate[..., rows, rows]
    push = tau * rate[..., rows, :]
    push[..., :, rows] = 0.0
    one = np.broadcast_to(np.eye(own.shape[-1]), own.shape)
    if implicit:
        solved = solve(one - own, np.concatenate([one, push], axis=-1))
        hold, push = solved[..., : own.shape[-1]], solved[..., own.shape[-1] :]
    else:
        hold = one + own
    if repeats > 1:
        # the power of ((M, 1), (0, 1)) holds M^k and 1 + M + ... + M^(k-1)
        stage = np.concatenate([np.concatenate([hold, one], -1), np.concatenate([np.zeros_like(one), one], -1)], -2)
        power = np.linalg.matrix_power(np.nan_to_num(stage, nan=0.0), repeats)
        inner = own.shape[-1]
        hold, push = power[..., :inner, :inner], power[..., :inner, inner:] @ push
    move = np.zeros_like(rate)
    move[..., np.arange(size), np.arange(size)] = 1.0
    push[..., :, rows] = hold
    move[..., rows, :] = push
    return move


def _convex(linear: Linear, tau: Array) -> npt.NDArray[np.bool_]:
    """Whether the proximal problems of both players are strictly convex: the blocks are minus a speed times a Hessian.

    Their eigenvalues are real, since the Hessians are symmetric.
    """
    j, _, n = linear
    t = tau[..., 0, 0]
    largest = np.maximum(_top(j[..., :n, :n]), _top(j[..., n:, n:]))
    answer: npt.NDArray[np.bool_] = t * largest < 1.0
    return answer


def _top(block: Array) -> Array:
    return np.asarray(np.linalg.eigvalsh((block + np.swapaxes(block, -1, -2)) / 2)[..., -1], np.float64)


def solve(matrix: Array, right: Array) -> Array:
    """Solutions of linear equations along leading axes, NaN where the matrix is singular."""
    try:
        return np.asarray(np.linalg.solve(matrix, right), np.float64)
    except np.linalg.LinAlgError:
        regular = np.linalg.matrix_rank(matrix) == matrix.shape[-1]
        safe = np.where(regular[..., None, None], matrix, np.eye(matrix.shape[-1]))
        return np.asarray(np.where(regular[..., None, None], np.linalg.solve(safe, right), np.nan), np.float64)


def spectral_radius(matrix: Array) -> Array:
    """Largest modulus of an eigenvalue, along leading axes; infinite where the matrix is not finite."""
    good = np.all(np.isfinite(matrix), axis=(-2, -1))
    safe = np.where(good[..., None, None], matrix, 0.0)
    return np.asarray(np.where(good, np.max(np.abs(np.linalg.eigvals(safe)), axis=-1), np.inf))


def no_step(scheme: str, step_size: float) -> StepTooLarge:
    """The error of a step that has no solution."""
    return StepTooLarge(
        f"a step of {scheme} has no unique solution at step_size = {step_size:g}: step_size times the speed times the "
        "negative curvature of an energy is 1 or more, or the equations are singular; reduce step_size"
    )
