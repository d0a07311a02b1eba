"""The schemes, for any pair of gradient flows: the reference that compiled engines are tested against."""

import numpy as np
import numpy.typing as npt

from ganscope.games.dualflow.failures import NashNotConverged, ProxNotConverged
from ganscope.games.dualflow.levels import (
    EXPLICIT,
    EXPLICIT_SEQUENTIAL,
    JKO,
    JKO_SEQUENTIAL,
    MIDPOINT,
    NASH,
    NASH_ROUNDS,
    NASH_TOLERANCE,
    ORDERS,
)
from ganscope.games.dualflow.pair import Pair

Array = npt.NDArray[np.float64]


def step(
    pair: Pair,
    scheme: str,
    x: Array,
    y: Array,
    step_size: float,
    *,
    order: str = ORDERS[0],
    discriminator_steps: int = 1,
    prox_tolerance: float = 1e-12,
    prox_iterations: int = 100,
) -> tuple[Array, Array]:
    """One step of a scheme.

    Args:
        pair: What is stepped.
        scheme: One of `levels.SCHEMES`.
        x, y: States of generator and discriminator.
        step_size: The common time step.
        order: Who moves first in sequential schemes.
        discriminator_steps: How often the discriminator moves per step of the generator.
        prox_tolerance, prox_iterations: Of the solvers.

    Returns:
        The new states.

    Raises:
        StepTooLarge, ProxNotConverged, NashNotConverged: If a proximal step fails.
    """
    if scheme == NASH:
        return _nash(pair, x, y, step_size, prox_tolerance, prox_iterations)
    if scheme == MIDPOINT:
        return _midpoint(pair, x, y, step_size, prox_tolerance, prox_iterations)
    implicit = scheme in (JKO, JKO_SEQUENTIAL)

    def move(player: int, g: Array, d: Array) -> Array:
        if implicit:
            return pair.prox(player, g, d, step_size, prox_tolerance, prox_iterations)
        return pair.descend(player, g, d, step_size)

    def discriminate(g: Array, d: Array) -> Array:
        for _ in range(discriminator_steps):
            d = move(1, g, d)
        return d

    if scheme in (EXPLICIT, JKO):
        return move(0, x, y), discriminate(x, y)
    assert scheme in (EXPLICIT_SEQUENTIAL, JKO_SEQUENTIAL)
    if order == ORDERS[0]:
        x = move(0, x, y)
        return x, discriminate(x, y)
    y = discriminate(x, y)
    return move(0, x, y), y


def _nash(pair: Pair, x: Array, y: Array, step_size: float, tolerance: float, iterations: int) -> tuple[Array, Array]:
    """Both proximal problems at each other's solution, by turns."""
    new_x, new_y, change = x, y, np.inf
    for _ in range(NASH_ROUNDS):
        new_y = pair.prox(1, new_x, y, step_size, tolerance, iterations)
        moved = pair.prox(0, x, new_y, step_size, tolerance, iterations)
        change = float(np.max(np.abs(moved - new_x), initial=0.0))
        new_x = moved
        if change < NASH_TOLERANCE * (1 + float(np.max(np.abs(new_x), initial=0.0))):
            return new_x, pair.prox(1, new_x, y, step_size, tolerance, iterations)
        if not np.isfinite(change):
            break
    raise NashNotConverged(NASH_ROUNDS, change, pair.contraction(x, y, step_size))


def _midpoint(
    pair: Pair, x: Array, y: Array, step_size: float, tolerance: float, iterations: int
) -> tuple[Array, Array]:
    """The implicit midpoint rule, by fixed-point iteration."""
    new_x, new_y, change = x, y, np.inf
    for _ in range(iterations):
        middle = (x + new_x) / 2, (y + new_y) / 2
        next_x = x - step_size * pair.speeds[0] * pair.gradient(0, *middle)
        next_y = y - step_size * pair.speeds[1] * pair.gradient(1, *middle)
        change = max(float(np.max(np.abs(next_x - new_x), initial=0)), float(np.max(np.abs(next_y - new_y), initial=0)))
        new_x, new_y = next_x, next_y
        if change <= tolerance * (1 + float(np.max(np.abs(x), initial=0.0))):
            return new_x, new_y
    raise ProxNotConverged(iterations, change)
