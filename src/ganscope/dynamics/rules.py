r"""Update rules: how an iteration moves two players, for every game.

With the state W = (generator, discriminator) and the velocity F(W), learning rates included,

    alternating      the discriminator moves first, the generator sees it:  d' = d + F_d(g, d),  g' = g + F_g(g, d')
    simultaneous     W' = W + F(W)
    extragradient    V = W + F(W),  W' = W + F(V)
    optimistic       W' = W + 2 F(W) - F(W of the step before); the first step is simultaneous
    heavy_ball       W' = W + F(W) + momentum (W - W of the step before); the first step is simultaneous
    flow             dW/dt = F(W), by one classical Runge-Kutta step of order 4

`make_step` turns a velocity into the step of every rule, `update_map` a Jacobian into its linearisation, `multipliers`
an eigenvalue into its multipliers.

References:
    Korpelevich. The extragradient method. Matecon 12, 1976.
    Popov. A modification of the Arrow-Hurwicz method. Math. Notes 28, 1980.
    Polyak. Some methods of speeding up the convergence of iteration methods. 1964.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ganscope.core.checks import number, one_of
from ganscope.core.compiled import compiled
from ganscope.core.errors import NotApplicable, ParameterError

Array = npt.NDArray[np.float64]

RULES = ("alternating", "simultaneous", "extragradient", "optimistic", "heavy_ball")
FLOW = "flow"
# Numbers of the rules, as compiled code knows them.
ALTERNATING, SIMULTANEOUS, EXTRAGRADIENT, OPTIMISTIC, HEAVY_BALL, RUNGE_KUTTA = range(6)
CODES = {name: code for code, name in enumerate((*RULES, FLOW))}

# What a step asks of a velocity: both players, the discriminator alone, or the generator alone at the point where the
# discriminator was just asked, whose intermediate results it may use again.
BOTH, DISCRIMINATOR, GENERATOR = 0, 1, 2

# Velocities that a step of a rule asks for, at different points.
EVALUATIONS = dict.fromkeys(RULES, 1) | {"extragradient": 2, FLOW: 4}


@compiled
def _add(x, factor, v):  # type: ignore[no-untyped-def]
    for i in range(len(x)):
        x[i] += factor * v[i]


@compiled
def _copy(x, source):  # type: ignore[no-untyped-def]
    for i in range(len(x)):
        x[i] = source[i]


@compiled
def _move(rule, stage, momentum, first, x, v, memory):  # type: ignore[no-untyped-def]
    """What one player does with its velocity, after every stage of a step."""
    if rule == EXTRAGRADIENT:
        if stage == 0:
            _copy(memory[0], x)
        else:
            _copy(x, memory[0])
        _add(x, 1.0, v)
    elif rule == OPTIMISTIC:
        if first:
            _copy(memory[0], v)
        _add(x, 2.0, v)
        _add(x, -1.0, memory[0])
        _copy(memory[0], v)
    elif rule == HEAVY_BALL:
        if first:
            _copy(memory[0], x)
        _add(v, momentum, x)
        _add(v, -momentum, memory[0])
        _copy(memory[0], x)
        _add(x, 1.0, v)
    elif rule == RUNGE_KUTTA:
        if stage == 0:
            _copy(memory[0], x)
            _copy(memory[1], x)
        _add(memory[1], 1.0 / 6.0 if stage == 0 or stage == 3 else 1.0 / 3.0, v)
        if stage == 3:
            _copy(x, memory[1])
        else:
            _copy(x, memory[0])
            _add(x, 1.0 if stage == 2 else 0.5, v)
    else:
        _add(x, 1.0, v)


def make_step(velocity: Callable[..., Any]) -> Callable[..., None]:
    """One step of any rule, as a plain function: call it with NumPy arrays, or compile it if `velocity` is compiled.

    Args:
        velocity: `velocity(part, g, d, vg, vd, context)` writes F_g into `vg` and F_d into `vd`, or the one that
            `part` asks for.

    Returns:
        `step(rule, momentum, first, g, d, vg, vd, mg, md, context)`, which moves the flat arrays `g` and `d` in place.
        `vg`, `vd` are scratch; `mg`, `md` are the memory of a rule and belong to one trajectory; `first` says that
        there is no step before. `mg` and `md` have a leading axis of 1; of 2 for the flow.
    """

    def step(rule, momentum, first, g, d, vg, vd, mg, md, context):  # type: ignore[no-untyped-def]
        stages = 4 if rule == RUNGE_KUTTA else (2 if rule in (EXTRAGRADIENT, ALTERNATING) else 1)
        for stage in range(stages):
            part = BOTH if rule != ALTERNATING else (DISCRIMINATOR if stage == 0 else GENERATOR)
            velocity(part, g, d, vg, vd, context)
            if part != DISCRIMINATOR:
                _move(rule, stage, momentum, first, g, vg, mg)
            if part != GENERATOR:
                _move(rule, stage, momentum, first, d, vd, md)

    return step


class Rule(NamedTuple):
    """An update rule with its momentum."""

    name: str
    momentum: float = 0.0


def check_momentum(rule: str | None, momentum: Any) -> float:
    """The momentum of a rule, in (-1, 1); only `heavy_ball` takes one other than 0.

    Raises:
        ParameterError: If it is out of range or the rule has none.
    """
    checked = number("momentum", momentum)
    if not -1 < checked < 1:
        raise ParameterError("momentum", momentum, "a number in (-1, 1)")
    if checked and rule != "heavy_ball":
        raise ParameterError("momentum", momentum, f"0: rule {rule!r} has no momentum, only 'heavy_ball' has")
    return checked


def update_map(
    jacobian: npt.ArrayLike, generator_size: int, rule: str, momentum: float = 0.0, order: str = "discriminator"
) -> Array:
    """Matrix of one iteration of a rule near an equilibrium.

    Args:
        jacobian: Jacobian of the velocity (learning rates included), shape `[n, n]`, the generator's coordinates first.
        generator_size: How many coordinates the generator has.
        rule: One of the five rules.
        momentum: Of `heavy_ball`.
        order: Who moves first when `alternating`: `discriminator` or `generator`.

    Returns:
        Shape `[n, n]`, or `[2n, 2n]` for `optimistic` and `heavy_ball`, whose state is the pair of now and before.

    Raises:
        ParameterError: If the rule is unknown or a value is out of range.
    """
    one_of("rule", rule, RULES)
    one_of("order", order, ("discriminator", "generator"))
    momentum = check_momentum(rule, momentum)
    J = np.asarray(jacobian, np.float64)
    n = len(J)
    one, zero = np.eye(n), np.zeros((n, n))
    if rule == "simultaneous":
        return one + J
    if rule == "alternating":
        generator = np.arange(n) < generator_size
        moves_generator, moves_discriminator = one + J * generator[:, None], one + J * ~generator[:, None]
        first, second = moves_discriminator, moves_generator
        if order == "generator":
            first, second = second, first
        result: Array = second @ first
        return result
    if rule == "extragradient":
        return one + J + J @ J
    if rule == "optimistic":
        return np.block([[one + 2 * J, -J], [one, zero]])
    return np.block([[(1 + momentum) * one + J, -momentum * one], [one, zero]])


def multipliers(values: npt.ArrayLike, rule: str, momentum: float = 0.0) -> npt.NDArray[np.complex128]:
    """Multipliers of a rule from the eigenvalues u of the velocity's Jacobian, learning rates included.

    Args:
        values: Eigenvalues u, any shape.
        rule: A rule that moves both players alike; for `alternating` the multipliers are no function of u.
        momentum: Of `heavy_ball`.

    Returns:
        Shape `[..., branches]`, with two branches for `optimistic` and `heavy_ball`.

    Raises:
        NotApplicable: For `alternating`.
    """
    one_of("rule", rule, RULES)
    momentum = check_momentum(rule, momentum)
    u = np.asarray(values, np.complex128)
    if rule == "alternating":
        raise NotApplicable("the multipliers of 'alternating' are no function of the eigenvalues of the flow")
    if rule == "simultaneous":
        return (1 + u)[..., None]
    if rule == "extragradient":
        return (1 + u + u * u)[..., None]
    if rule == "optimistic":
        return quadratic_roots(-(1 + 2 * u), u)
    return quadratic_roots(-(1 + momentum + u), momentum + 0 * u)


def quadratic_roots(b: npt.ArrayLike, c: npt.ArrayLike) -> npt.NDArray[np.complex128]:
    """Both roots of x^2 + b x + c = 0, the larger one first, without cancellation; shape `[..., 2]`."""
    b, c = np.asarray(b, np.complex128), np.asarray(c, np.complex128)
    root = np.sqrt(b * b - 4 * c)
    root = np.where((np.conj(b) * root).real < 0, -root, root)
    large = -0.5 * (b + root)
    with np.errstate(divide="ignore", invalid="ignore"):
        small = np.where(large == 0, 0.0, c / large)
    return np.stack([large, small], axis=-1)
