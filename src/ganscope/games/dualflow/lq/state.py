"""A state of the linear-quadratic GAN, and the field and linearisation of its flow."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ganscope.core.plain import plain_dict
from ganscope.games.dualflow.levels import EXPLICIT, JKO, JKO_SEQUENTIAL, MIDPOINT, NASH, ORDERS

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class LqState:
    """A state of `QuadraticGAN`.

    Attributes:
        mean: Of the generator's law, shape `[d]`.
        factor: L with covariance L L', shape `[d, r]`.
        linear: w of the discriminator w.x + x' W x / 2, shape `[d]`.
        quadratic: W, symmetric, shape `[d, d]`.
    """

    mean: Any
    factor: Any
    linear: Any
    quadratic: Any

    def __post_init__(self) -> None:
        for name in ("mean", "factor", "linear", "quadratic"):
            object.__setattr__(self, name, np.array(getattr(self, name), np.float64))

    @property
    def covariance(self) -> Array:
        """L L', shape `[d, d]`."""
        return np.asarray(self.factor @ self.factor.T)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for strict JSON."""
        names = ("mean", "covariance", "factor", "linear", "quadratic")
        return plain_dict({name: getattr(self, name) for name in names})


@dataclass(frozen=True, eq=False)
class Field:
    """The flow without its speeds: how both players move at speed 1.

    Attributes:
        target_mean, target_covariance: Shapes `[d]` and `[d, d]`.
        linear_penalty, quadratic_penalty: Of the discriminator.
        columns: r, the columns of the generator's factor.
    """

    target_mean: Array
    target_covariance: Array
    linear_penalty: float
    quadratic_penalty: float
    columns: int

    @property
    def axes(self) -> int:
        """Dimension d of the points."""
        return len(self.target_mean)

    @property
    def split(self) -> int:
        """Where the generator's coordinates end."""
        return self.axes * (1 + self.columns)

    @property
    def shape_only(self) -> npt.NDArray[np.bool_]:
        """Which coordinates belong to L and W rather than to the mean and w."""
        d = self.axes
        blocks = [
            np.full(d, False),
            np.full(d * self.columns, True),
            np.full(d, False),
            np.full(d * (d + 1) // 2, True),
        ]
        return np.concatenate(blocks)

    def pack(self, state: LqState) -> Array:
        """Coordinates: mean, L, w and the upper triangle of W."""
        upper = np.triu_indices(self.axes)
        return np.concatenate([state.mean, state.factor.ravel(), state.linear, state.quadratic[upper]])

    def unpack(self, z: Array) -> tuple[Array, Array, Array, Array]:
        """Mean, L, w and W of coordinates with any leading axes."""
        d, r, lead = self.axes, self.columns, z.shape[:-1]
        mean, factor = z[..., :d], z[..., d : self.split].reshape(*lead, d, r)
        linear = z[..., self.split : self.split + d]
        rows, columns = np.triu_indices(d)
        quadratic = np.empty((*lead, d, d))
        quadratic[..., rows, columns] = z[..., self.split + d :]
        quadratic[..., columns, rows] = z[..., self.split + d :]
        return mean, factor, linear, quadratic

    def state(self, z: Array) -> LqState:
        """A state from its coordinates."""
        return LqState(*self.unpack(z))

    def velocity(self, z: Array) -> Array:
        """How both players move at speed 1, in coordinates with any leading axes."""
        mean, factor, linear, quadratic = self.unpack(z)
        moment = factor @ np.swapaxes(factor, -2, -1) + mean[..., :, None] * mean[..., None, :]
        wanted = self.target_covariance + np.outer(self.target_mean, self.target_mean)
        upper = np.triu_indices(self.axes)
        return np.concatenate(
            [
                (quadratic @ mean[..., None])[..., 0] + linear,
                (quadratic @ factor).reshape(*z.shape[:-1], -1),
                self.target_mean - mean - self.linear_penalty * linear,
                ((wanted - moment) / 2 - self.quadratic_penalty * quadratic)[..., upper[0], upper[1]],
            ],
            axis=-1,
        )

    def linearisation(self, z: Array) -> Array:
        """Jacobian of `velocity` at coordinates `[N]`: its columns are what displacements along each one become."""
        mean, factor, _, quadratic = self.unpack(z)
        d_mean, d_factor, d_linear, d_quadratic = self.unpack(np.eye(len(z)))
        half = d_factor @ factor.T + d_mean[:, :, None] * mean
        upper = np.triu_indices(self.axes)
        columns = [
            d_quadratic @ mean + d_mean @ quadratic + d_linear,
            (d_quadratic @ factor + quadratic @ d_factor).reshape(len(z), -1),
            -d_mean - self.linear_penalty * d_linear,
            (-(half + np.swapaxes(half, 1, 2)) / 2 - self.quadratic_penalty * d_quadratic)[:, upper[0], upper[1]],
        ]
        return np.concatenate(columns, axis=1).T.copy()

    def with_speeds(self, matrix: Array, generator_lr: float, discriminator_lr: float) -> Array:
        """A Jacobian of `velocity` times the speeds of the players."""
        speeds = np.where(np.arange(len(matrix)) < self.split, generator_lr, discriminator_lr)
        return np.asarray(speeds[:, None] * matrix)


def scheme_matrix(
    matrix: Array, split: int, scheme: str, step: npt.ArrayLike, order: str = ORDERS[0], discriminator_steps: int = 1
) -> Array:
    """What one step of a scheme does to a small displacement from an equilibrium.

    Args:
        matrix: Jacobian of the flow there, shape `[..., n, n]`.
        split: How many coordinates are the generator's; they come first.
        scheme: Of `levels.SCHEMES`.
        step: Step size, broadcast with the leading axes.
        order: Who moves first in sequential schemes.
        discriminator_steps: How often the discriminator moves per step of the generator.
    """
    size = matrix.shape[-1]
    change = np.asarray(step, np.float64)[..., None, None] * matrix
    one = np.broadcast_to(np.eye(size), change.shape)
    if scheme == NASH:
        return np.asarray(np.linalg.inv(one - change), np.float64)
    if scheme == MIDPOINT:
        return np.asarray(np.linalg.solve(one - change / 2, one + change / 2), np.float64)
    generator, discriminator = slice(0, split), slice(split, size)

    def moved(own: slice, repeats: int) -> Array:
        """The map that moves one player's coordinates and keeps the other's."""
        single = one.copy()
        if scheme in (JKO, JKO_SEQUENTIAL):
            here = one[..., own, own]
            rows = change[..., own, :].copy()
            rows[..., own] = here
            single[..., own, :] = np.linalg.solve(here - change[..., own, own], rows)
        else:
            single[..., own, :] += change[..., own, :]
        return np.asarray(np.linalg.matrix_power(single, repeats) if repeats > 1 else single)

    first, second = moved(generator, 1), moved(discriminator, discriminator_steps)
    if scheme in (EXPLICIT, JKO):
        return np.concatenate([first[..., generator, :], second[..., discriminator, :]], axis=-2)
    return np.asarray(second @ first if order == ORDERS[0] else first @ second)
