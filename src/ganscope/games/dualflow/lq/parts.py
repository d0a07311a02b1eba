r"""The linearisation of a linear-quadratic GAN at an equilibrium, taken apart into parts that do not act on each other.

In the principal directions of the target most coordinates do not see each other. A part in which the generator damps
all its coordinates alike, and the discriminator its own, falls apart further, into modes of one coordinate each

    x' = generator_lr (-p x + y)        y' = discriminator_lr (-kappa x - q y)

Whatever the speeds, these parts stay apart, and so they do in a step of every scheme.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse.csgraph import connected_components

from ganscope.games.dualflow.levels import EXPLICIT, JKO, JKO_SEQUENTIAL, MIDPOINT, NASH
from ganscope.games.dualflow.lq.state import Field, LqState, scheme_matrix
from ganscope.games.dualflow.theory.steps import first_changes, largest_of_modes

Array = npt.NDArray[np.float64]

# Eigenvalues, or multipliers minus 1, that belong to continua of equilibria, beside the errors of a Jacobian.
NEUTRAL = 1e-7
# Entries this small, relative to the largest of their kind, are rounding errors.
_ROUNDING = 1e-12
# Largest steps are searched between these, in units of the inverse of the flow's fastest rate; step sizes per decade.
_SHORTEST, _LONGEST, _PER_DECADE = 1e-3, 1e4, 20


@dataclass(frozen=True)
class Parts:
    """A linearisation at speeds 1.

    Attributes:
        modes: Parts of one coordinate of each player; a player that lacks it rests. Shape `[modes, 2, 2]`.
        blocks: Other parts, and how many of their coordinates are the generator's.
    """

    modes: Array
    blocks: list[tuple[Array, int]]

    def values(
        self, generator_lr: Array, discriminator_lr: Array, scheme: str | None = None, step: float = 0.0
    ) -> npt.NDArray[np.complex128]:
        """Eigenvalues of the flow, or multipliers of a scheme, at many speeds `[cells]`; shape `[cells, values]`."""
        speeds, found = (generator_lr, discriminator_lr), []
        for matrix, split in [*([(self.modes, 1)] if len(self.modes) else []), *self.blocks]:
            flow = _with_speeds(matrix, split, *speeds)
            moved = flow if scheme is None else scheme_matrix(flow, split, scheme, step)
            found.append(np.linalg.eigvals(moved).reshape(len(generator_lr), -1))
        return np.concatenate(found, axis=1).astype(np.complex128)

    def pace(
        self, generator_lr: Array, discriminator_lr: Array, scheme: str | None = None, step: float = 0.0
    ) -> tuple[Array, Array]:
        """Decay rate of what decays slowest, at many speeds, and the period of the slowest rotation that decays so.

        Many modes of a game decay alike, so that rounding would choose between them.
        """
        values = self.values(generator_lr, discriminator_lr, scheme, step)
        growth = self.growth(generator_lr, discriminator_lr, scheme, step)
        moving = np.abs(values - (0.0 if scheme is None else 1.0)) > NEUTRAL
        with np.errstate(divide="ignore"):
            own = values.real if scheme is None else np.log(np.abs(values))
        angle = np.abs(values.imag if scheme is None else np.angle(values))
        slowest = np.where(moving & (own >= growth[:, None] - NEUTRAL), angle, np.inf).min(axis=-1)
        turning = np.isfinite(slowest) & (slowest > NEUTRAL)
        return 0.0 - growth, np.where(turning, 2 * math.pi / np.where(turning, slowest, 1.0), math.inf)

    def growth(
        self, generator_lr: Array, discriminator_lr: Array, scheme: str | None = None, step: float = 0.0
    ) -> Array:
        """Growth of what grows fastest, at many speeds: rate of the flow, log modulus of a scheme; 0 if all rests."""
        values = self.values(generator_lr, discriminator_lr, scheme, step)
        moving = np.abs(values - (0.0 if scheme is None else 1.0)) > NEUTRAL
        with np.errstate(divide="ignore"):
            growth = np.where(moving, values.real if scheme is None else np.log(np.abs(values)), -np.inf).max(axis=-1)
        return np.asarray(np.where(moving.any(axis=-1), growth, 0.0))

    def largest_steps(
        self, generator_lr: Array, discriminator_lr: Array, scheme: str, order: str = "", discriminator_steps: int = 1
    ) -> Array:
        """Largest steps at which a scheme does not leave an equilibrium that the flow does not leave, `[cells]`.

        Args:
            generator_lr, discriminator_lr: Shape `[cells]`.
            scheme: A scheme.
            order: Who moves first; that makes no difference to multipliers.
            discriminator_steps: Steps of the discriminator per step of the generator; with more than one, the modes
                have to stand among the blocks.
        """
        del order
        result = np.full(len(generator_lr), np.inf)
        if len(self.modes):
            p, q = (-speed[:, None] * self.modes[:, k, k] for k, speed in enumerate((generator_lr, discriminator_lr)))
            coupling = -self.modes[:, 0, 1] * self.modes[:, 1, 0]
            limits = largest_of_modes(scheme, p, q, (generator_lr * discriminator_lr)[:, None] * coupling)
            # a mode that does not decay may seem to grow, from rounding
            result = np.maximum(limits, 0.0).min(axis=-1)
        for matrix, split in self.blocks:
            flow = _with_speeds(matrix, split, generator_lr, discriminator_lr)
            result = np.minimum(result, _largest(flow, split, scheme, discriminator_steps))
        return result


def parts_of(field: Field, state: LqState, shape_only: bool = False) -> Parts:
    """The parts of a linearisation at an equilibrium.

    Args:
        field: The flow.
        state: The equilibrium.
        shape_only: Leave mean and w where they are.
    """
    values, vectors = np.linalg.eigh(field.target_covariance)
    turned = Field(
        vectors.T @ field.target_mean, np.diag(values), field.linear_penalty, field.quadratic_penalty, field.columns
    )
    own = LqState(
        vectors.T @ state.mean,
        vectors.T @ state.factor,
        vectors.T @ state.linear,
        vectors.T @ state.quadratic @ vectors,
    )
    size = max(float(np.abs(own.factor).max()), float(np.abs(own.mean).max()), math.sqrt(max(float(values[-1]), 0.0)))
    z = turned.pack(LqState(_clean(own.mean, size), _clean(own.factor, size), own.linear, _clean(own.quadratic)))
    matrix, split = turned.linearisation(z), turned.split
    if shape_only:
        keep = np.flatnonzero(turned.shape_only)
        matrix, split = matrix[np.ix_(keep, keep)], int(np.sum(turned.shape_only[:split]))
    return _taken_apart(matrix, split)


def _clean(array: Array, size: float | None = None) -> Array:
    """The array without what is nothing but rounding errors of numbers of a size."""
    largest = float(np.abs(array).max()) if size is None else size
    return np.where(np.abs(array) > _ROUNDING * largest, array, 0.0)


def _taken_apart(matrix: Array, split: int) -> Parts:
    count, label = connected_components(matrix != 0, directed=False)
    modes: list[Array] = []
    blocks = []
    for part in range(count):
        own = np.flatnonzero(label == part)
        block, first = matrix[np.ix_(own, own)], int(np.sum(own < split))
        found = _modes(block, first)
        if found is None:
            blocks.append((block, first))
        else:
            modes.extend(found)
    return Parts(np.reshape(modes, (-1, 2, 2)), blocks)


def _modes(block: Array, split: int) -> list[Array] | None:
    """The modes of a part, None if it does not fall apart."""
    x, y = slice(0, split), slice(split, len(block))
    rates = []
    for own in (block[x, x], block[y, y]):
        rate = float(own[0, 0]) if len(own) else 0.0
        if np.any(np.abs(own - rate * np.eye(len(own))) > _ROUNDING * np.abs(own).max(initial=0.0)):
            return None
        rates.append(rate)
    small = min(split, len(block) - split)
    to_x, to_y = block[x, y], block[y, x]
    turning = np.linalg.eigvals(to_y @ to_x if len(block) - split <= split else to_x @ to_y) if small else np.zeros(0)
    largest = np.abs(turning).max(initial=0.0)
    if np.any(np.abs(turning.imag) > 1e-9 * largest):
        return None
    found = []
    for value in turning.real:
        if abs(value) > 1e-12 * largest:
            found.append(np.array([[rates[0], 1.0], [value, rates[1]]]))
        else:
            found.append(np.diag(rates))
    lone = np.diag([rates[0], 0.0]) if split > small else np.diag([0.0, rates[1]])
    return found + [lone] * (len(block) - 2 * small)


def _with_speeds(matrix: Array, split: int, generator_lr: Array, discriminator_lr: Array) -> Array:
    """Matrices `[..., n, n]` at many speeds, `[cells, ..., n, n]`."""
    speeds = np.stack([generator_lr, discriminator_lr], axis=-1)
    rows = np.repeat(speeds, [split, matrix.shape[-1] - split], axis=-1)
    return np.asarray(rows.reshape(len(rows), *[1] * (matrix.ndim - 2), -1, 1) * matrix)


def _largest(flow: Array, split: int, scheme: str, discriminator_steps: int) -> Array:
    """Largest steps of parts that do not fall apart, `[cells, n, n]`."""
    values = np.linalg.eigvals(flow)
    size = np.abs(values)
    fastest = size.max(axis=-1)
    result = np.full(len(flow), np.inf)
    if scheme in (NASH, MIDPOINT):
        return result
    if scheme == EXPLICIT and discriminator_steps == 1:
        reach = -2 * values.real / np.where(size > 0, size, 1.0) ** 2
        reach = np.where(reach > 1e-9 / np.maximum(fastest, 1e-300)[:, None], reach, 0.0)
        return np.asarray(np.where(size > NEUTRAL, reach, np.inf).min(axis=-1))
    assert scheme in (EXPLICIT, JKO, JKO_SEQUENTIAL) or scheme.startswith(EXPLICIT)

    def leaves(which: npt.NDArray[np.intp], steps: Array) -> npt.NDArray[np.bool_]:
        matrices = scheme_matrix(flow[which, None], split, scheme, steps, discriminator_steps=discriminator_steps)
        # a marginal pair of multipliers is only good to the root of the rounding error
        allowed = 1 + 1e-9 + 1e-10 * steps * fastest[which, None]
        return np.asarray(np.abs(np.linalg.eigvals(matrices)).max(axis=-1) > allowed)

    which = np.flatnonzero(fastest > 0)
    safe = np.where(fastest > 0, fastest, 1.0)
    first_changes(leaves, which, result, _SHORTEST / safe, _LONGEST / safe * (1 - 1e-9), _PER_DECADE)
    return result
