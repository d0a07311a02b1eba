r"""The linear map of one whole training iteration, optimizer memory included.

State (w_G, w_D, m_G, m_D): both players' parameters in units of sqrt(learning rate * preconditioner), and their
memories. With beta and kappa of each player (see `ganscope.diagnose.rule`) and a Jacobian J in rows G and D,

    D step (matrix S_D):  m_D <- beta m_D + kappa (J_DG w_G + J_DD w_D),   w_D <- w_D + m_D
    G step (matrix S_G):  m_G <- beta m_G + kappa (J_GG w_G + J_GD w_D),   w_G <- w_G + m_G
    alternating:          M = S_G S_D^{n_D};    simultaneous: both from the old state.

Eigenvalues of M are multipliers: a mode grows by |mu| and turns by arg mu per iteration.

References:
    Gidel, Hemmat, Pezeshki, Le Priol, Huang, Lacoste-Julien, Mitliagkas. Negative momentum for improved game
    dynamics. AISTATS 2019.
    Mescheder, Geiger, Nowozin. Which training methods for GANs do actually converge? ICML 2018.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ganscope.core.checks import integer, number, one_of, real_array
from ganscope.core.errors import ParameterError
from ganscope.diagnose.rule import ORDERS, Player, UpdateRule

Array = npt.NDArray[np.float64]
ComplexArray = npt.NDArray[np.complex128]

# Multipliers that turn by more than this are steps beyond the edge of stability of a steep direction, not a rotation
# of the two players: a rotating pair of a GAN turns by a small angle per iteration.
FLIP_ANGLE = 2.5


def update_map(jacobian: Any, generator_size: int, rule: UpdateRule | str) -> Array:
    r"""Matrix of one training iteration on $(w_G, w_D, m_G, m_D)$.

    Learning rates and preconditioners belong into the Jacobian: scale it to
    $\mathrm{diag}(\sqrt{\eta p})\,\partial v/\partial w\,\mathrm{diag}(\sqrt{\eta p})$ (or to $\mathrm{diag}(\eta p)\,
    \partial v/\partial w$, which has the same multipliers). Of the rule only order, discriminator steps, momentum and
    beta1 are looked at.

    Args:
        jacobian: Derivative of the velocity, rates included, shape `[d, d]`, the generator's rows and columns first;
            real and finite, per step.
        generator_size: Number of generator rows, 1 to d - 1.
        rule: The update rule, or `simultaneous` or `alternating` for plain gradient steps in that order.

    Returns:
        Real matrix `[2 d, 2 d]`. The memory has rows for every player, so that all rules act on one state; a player
        without momentum adds multipliers that are exactly 0.

    Raises:
        ParameterError: If the Jacobian is not square, not real or not finite, or generator_size is out of range.

    References:
        Gidel et al. Negative momentum for improved game dynamics. AISTATS 2019.
    """
    matrix = real_array("jacobian", jacobian, ndim=2, expected="a square matrix of finite real numbers")
    size = len(matrix)
    if matrix.shape != (size, size) or size < 2:
        raise ParameterError("jacobian", f"shape {matrix.shape}", "a square matrix of at least 2 rows")
    split = integer("generator_size", generator_size, at_least=1)
    if split >= size:
        raise ParameterError(
            "generator_size", generator_size, f"an integer from 1 to {size - 1}, the last row's player"
        )
    if isinstance(rule, str):
        rule = UpdateRule(order=one_of("rule", rule, ORDERS))
    if not isinstance(rule, UpdateRule):
        raise ParameterError("rule", rule, "a gs.UpdateRule, 'simultaneous' or 'alternating'")
    return iteration_matrix(matrix, split, rule)


def iteration_matrix(jacobian: Array, split: int, rule: UpdateRule) -> Array:
    """`update_map` of what has been checked already."""
    size = len(jacobian)
    generator = _step(jacobian, slice(0, split), rule.generator)
    discriminator = _step(jacobian, slice(split, size), rule.discriminator)
    if rule.order == "simultaneous":
        return generator + discriminator - np.eye(2 * size)
    whole: Array = generator @ np.linalg.matrix_power(discriminator, rule.discriminator_steps)
    return whole


def _step(jacobian: Array, rows: slice, player: Player) -> Array:
    """S_G or S_D: one step of the player that owns these rows; the other one's rows are those of the identity."""
    size = len(jacobian)
    memory = slice(size + rows.start, size + rows.stop)
    own = np.eye(rows.stop - rows.start)
    step = np.eye(2 * size)
    step[memory, :size] = player.kappa * jacobian[rows]
    step[memory, memory] = player.memory * own
    step[rows] += step[memory]
    return step


@dataclass(frozen=True)
class Multipliers:
    """Multipliers of an update map, by decreasing modulus.

    Attributes:
        values: Complex, of conjugate pairs the one with the positive angle first.
        flip: Whether a multiplier turns by more than FLIP_ANGLE per iteration.
        period: Iterations per turn; infinite for positive real multipliers.
    """

    values: ComplexArray
    flip: npt.NDArray[np.bool_]
    period: Array

    @property
    def growth(self) -> Array:
        """Growth factors per iteration."""
        return np.abs(self.values)

    @property
    def radius(self) -> float:
        """The largest modulus."""
        return float(self.growth.max(initial=0.0))

    @property
    def radius_without_flips(self) -> float:
        """The largest modulus of those that are no flips; 0 if all are."""
        return float(self.growth[~self.flip].max(initial=0.0))

    @property
    def leading_rotation(self) -> int | None:
        """Place of the multiplier of largest modulus that rotates: neither real nor a flip; None if none does."""
        rotating = np.flatnonzero(~self.flip & (self.values.imag > 0))
        return int(rotating[0]) if len(rotating) else None


def multipliers(matrix: Array) -> Multipliers:
    """Eigenvalues of an update map, sorted and labelled.

    Args:
        matrix: Real, square, finite, as `update_map` returns it.
    """
    values = np.linalg.eigvals(matrix).astype(np.complex128)
    # Moduli of a conjugate pair may differ in the last digit: rounding keeps pairs together, the upper one first.
    with np.errstate(over="ignore"):
        rank = np.lexsort((-values.imag, -values.real.round(12), -np.abs(values).round(12)))
    values = values[rank]
    angle = np.abs(np.angle(values))
    turns = np.divide(2 * math.pi, angle, out=np.full(len(values), math.inf), where=angle > 0)
    return Multipliers(values, angle > FLIP_ANGLE, turns)


def memory_multipliers(eigenvalues: Any, beta: float, kappa: float) -> ComplexArray:
    r"""Multipliers of simultaneous steps with equal memory, in closed form.

    Every eigenvalue u of the Jacobian gives the two roots of $\mu^2 - (1 + \beta + \kappa u) \mu + \beta = 0$.

    Args:
        eigenvalues: Of the Jacobian with rates included, `[d]`.
        beta: Momentum or beta1 of both players, in [0, 1).
        kappa: 1 for momentum, 1 - beta1 for Adam.

    Returns:
        Shape `[2, d]`, the root of larger modulus first.
    """
    if not 0 <= number("beta", beta) < 1:
        raise ParameterError("beta", beta, "a number in [0, 1)")
    half = 0.5 * (1 + beta + number("kappa", kappa, above=0) * np.asarray(eigenvalues, np.complex128))
    root = np.sqrt(half**2 - beta)
    larger = np.where(np.abs(half + root) >= np.abs(half - root), half + root, half - root)
    # The product of the roots is beta: dividing loses no digits where they differ much.
    smaller = np.divide(beta, larger, out=np.zeros_like(larger), where=larger != 0)
    return np.stack([larger, smaller])
