"""Dual flows as smooth fields: they rest where the flow does, whatever the scheme, and a scheme moves beside that."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from ganscope.core.checks import number, one_of, real_array
from ganscope.core.errors import NotApplicable, ParameterError
from ganscope.core.smooth import SmoothField
from ganscope.games.dualflow.levels import FLOW, SCHEMES, step_of
from ganscope.games.dualflow.lq.state import scheme_matrix
from ganscope.games.dualflow.theory.affine import no_step

Array = npt.NDArray[np.float64]

# Eigenvalues this small, relative to the largest entry, are neutral.
_NEUTRAL = 1e-9


def dual_field(
    game: Any,
    velocity: Callable[[Array], Array],
    slope: Callable[[Array], Array],
    split: int,
    asked: tuple[str | None, str | None, float | None],
    start: Array,
    names: tuple[str, ...],
) -> SmoothField:
    """A flow, or one of its schemes.

    Args:
        game: The game.
        velocity: Of the flow, `[N]` to `[N]`.
        slope: Its Jacobian.
        split: How many coordinates are the generator's.
        asked: Level (or rule) and step size: None or `flow`, or a scheme with its step.
        start, names: Of the field.

    Raises:
        ParameterError: If there is no such scheme, or the flow is given a step size.
    """
    level, rule, step_size = asked
    scheme = rule if rule not in (None, FLOW) else level
    if scheme is None or scheme == FLOW:
        if step_size is not None:
            raise ParameterError("step_size", step_size, "nothing: the flow has no steps; name a scheme as rule")
        scheme = FLOW
    else:
        one_of("rule", scheme, [FLOW, *(name for name in SCHEMES if name in game.levels)])
    step = number("step_size", step_of(step_size), above=0)

    def values(z: Array) -> npt.NDArray[np.complex128]:
        matrix = slope(z)
        if scheme != FLOW:
            matrix = scheme_matrix(matrix, split, scheme, step)
            if not np.all(np.isfinite(matrix)):
                raise no_step(scheme, step)
        return np.linalg.eigvals(matrix).astype(np.complex128)

    size = float(np.max(np.abs(slope(start)), initial=0.0))
    neutral = _NEUTRAL * (size if scheme == FLOW else min(size * step, 1.0))
    return SmoothField(velocity, slope, values, scheme != FLOW, start, names, 1.0, max(neutral, 1e-14))


def dirac_field(game: Any, level: str | None, rule: str | None, step_size: float | None, start: Any) -> SmoothField:
    """`DiracGAN`: every loss has the one equilibrium (0, 0)."""
    point = np.zeros(2) if start is None else real_array("start", start)
    if point.shape != (2,):
        raise ParameterError("start", start, "two finite numbers (theta, psi), or None")
    pair = game.pair()

    def velocity(z: Array) -> Array:
        x, y = z[:1], z[1:]
        parts = [-speed * pair.gradient(player, x, y) for player, speed in enumerate(pair.speeds)]
        return np.concatenate(parts)

    def slope(z: Array) -> Array:
        return np.asarray(game.jacobian(float(z[0]), float(z[1])), np.float64)

    return dual_field(game, velocity, slope, 1, (level, rule, step_size), point, ("theta", "psi"))


def quadratic_field(game: Any, level: str | None, rule: str | None, step_size: float | None, start: Any) -> SmoothField:
    """`QuadraticGame`, whose flow is linear."""
    linear = game.linearisation()
    n, size = linear.generator_size, len(linear.offset)
    if start is None:
        point = np.concatenate([np.atleast_1d(part) for part in game.equilibrium()])
    else:
        point = real_array("start", start)
        if point.shape != (size,):
            raise ParameterError("start", start, f"{size} finite numbers, generator first, or None")
    names = tuple(f"generator[{k}]" if k < n else f"discriminator[{k - n}]" for k in range(size))
    return dual_field(
        game,
        lambda z: linear.jacobian @ z + linear.offset,
        lambda z: linear.jacobian,
        n,
        (level, rule, step_size),
        point,
        names,
    )


def lq_field(game: Any, level: str | None, rule: str | None, step_size: float | None, start: Any) -> SmoothField:
    """`QuadraticGAN` on its mean, factor, w and W; rotations of the factor's columns are a symmetry."""
    from ganscope.games.dualflow.lq import prediction
    from ganscope.games.dualflow.lq.state import LqState

    if isinstance(start, np.ndarray):
        d = game.axes
        columns = (len(start) - 2 * d - d * (d + 1) // 2) // d
        field = game.field(columns)
        if start.shape != (field.split + d + d * (d + 1) // 2,):
            raise ParameterError("start", start, "an LqState, the label of a predicted equilibrium, or None")
        start = field.state(start)
    state = prediction.best_equilibrium(game) if start is None else start
    if state is None:
        raise NotApplicable("with quadratic_penalty 0 a generator of lower rank than the target never rests")
    if isinstance(start, str):
        known = {equilibrium.label: equilibrium.state for equilibrium in game.predict().equilibria}
        state = known[one_of("start", start, known)]
    if not isinstance(state, LqState):
        raise ParameterError("start", start, "an LqState, the label of a predicted equilibrium, or None")
    field = game.field(state.factor.shape[1])
    z = field.pack(state)
    speeds = np.where(np.arange(len(z)) < field.split, game.generator_lr, game.discriminator_lr)
    d, r = field.axes, field.columns
    names = [f"mean[{i}]" for i in range(d)] + [f"factor[{i},{j}]" for i in range(d) for j in range(r)]
    names += [f"linear[{i}]" for i in range(d)] + [f"quadratic[{i},{j}]" for i in range(d) for j in range(i, d)]
    return dual_field(
        game,
        lambda x: speeds * field.velocity(x),
        lambda x: speeds[:, None] * field.linearisation(x),
        field.split,
        (level, rule, step_size),
        z,
        tuple(names),
    )
