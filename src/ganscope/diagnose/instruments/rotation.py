r"""Whitened coordinates, and the subspace in which the two players turn about each other.

A parameter is counted in units of s = sqrt(learning rate * preconditioner), w = parameters / s, which moves both
players' learning rates into the Jacobian J = dF/dw of the whitened velocity F = s v. Its mixed block B = dF_G/dw_D has
the singular values sigma_k: what two players in mode k would rotate per iteration if nothing damped them.

References:
    Halko, Martinsson, Tropp. Finding structure with randomness. SIAM Review 53, 217 (2011).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ganscope.core.errors import ParameterError
from ganscope.core.game import Players
from ganscope.diagnose.backend import Backend, Linearised
from ganscope.diagnose.change import UNCHANGED, Change
from ganscope.diagnose.rule import YOUNG_STEPS, Player, UpdateRule, scale

Array = npt.NDArray[np.float64]


class NotFinite(RuntimeError):
    """Losses or their derivatives are not finite where a measurement needs them: the run has diverged."""


@dataclass(frozen=True, eq=False)
class Whitening:
    """The unit of every parameter.

    Attributes:
        generator, discriminator: s, shapes `[n_G]` and `[n_D]`.
        floored: Whether a preconditioner had to be floored.
        estimated: Whether second moments were missing or too young, and came from minibatches.
    """

    generator: Array
    discriminator: Array
    floored: bool
    estimated: bool

    @property
    def both(self) -> Array:
        """Both players' units, generator first."""
        return np.concatenate([self.generator, self.discriminator])


def needs_second_moments(player: Player) -> bool:
    """Whether an adaptive optimizer's second moments are missing, all zero, or too young to be trusted.

    Raises:
        ParameterError: If some are negative or not finite.
    """
    if not player.adaptive:
        return False
    if player.second_moment is None or (player.step is not None and player.step < YOUNG_STEPS):
        return True
    stored = np.asarray(player.second_moment, np.float64)
    if not np.all(np.isfinite(stored)) or np.any(stored < 0):
        raise ParameterError("second_moment", "negative or not finite", "running means of squared gradients")
    return not np.any(stored)


def whitening(backend: Backend, rule: UpdateRule, batch_size: int, seed: int, change: Change = UNCHANGED) -> Whitening:
    """The units at a checkpoint; second moments that are missing or young come from YOUNG_STEPS minibatches."""
    players = (rule.generator, rule.discriminator)
    missing = [needs_second_moments(player) for player in players]
    squares: tuple[Array | None, Array | None] = (None, None)
    if any(missing):
        rows = backend.velocities(backend.point, backend.draws(seed, batch_size, YOUNG_STEPS), change)
        mean = (rows**2).mean(axis=0)
        squares = (mean[: backend.sizes.generator], mean[backend.sizes.generator :])
    units, floored = [], False
    for player, absent, own, size in zip(players, missing, squares, backend.sizes, strict=True):
        # an estimate is of the mean itself, which has no youth to be corrected for
        unit, low = scale(player.replace(step=None), own) if absent else scale(player, player.second_moment)
        units.append(np.broadcast_to(np.asarray(unit, np.float64), size).copy())
        floored |= low
    return Whitening(units[0], units[1], floored, any(missing))


@dataclass(frozen=True, eq=False)
class Rotation:
    """Leading singular vectors of the whitened mixed block, as rows.

    Attributes:
        sigma: Singular values, `[r]`, decreasing.
        generator, discriminator: U and V as rows, `[r, n_G]` and `[r, n_D]`, orthonormal, in whitened coordinates.
    """

    sigma: Array
    generator: Array
    discriminator: Array


def rotation_modes(
    linearised: Linearised,
    unit: Whitening,
    modes: int,
    oversample: int = 8,
    power_rounds: int = 3,
    seed: int = 0,
) -> Rotation:
    """The leading modes of the mixed block by a randomised singular value decomposition.

    Args:
        linearised: Of the velocity.
        unit: Whitening.
        modes: r, at most the number of parameters of either player.
        oversample: Further directions that are carried along.
        power_rounds: Rounds of power iteration, each two blocks of products.
        seed: Of the random start.
    """
    n_g, n_d = len(unit.generator), len(unit.discriminator)
    width = min(modes + oversample, n_g, n_d)
    rng = np.random.default_rng(seed)
    right = _orthonormal(rng.standard_normal((width, n_d)))
    for _ in range(power_rounds):
        left = _orthonormal(_forward(linearised, unit, right))
        right = _orthonormal(_back(linearised, unit, left))
    image = _finite(_forward(linearised, unit, right))  # rows B v_j
    vectors, sigma, turn = np.linalg.svd(image.T, full_matrices=False)
    return Rotation(np.abs(sigma[:modes]), np.ascontiguousarray(vectors.T[:modes]), turn[:modes] @ right)


def _forward(linearised: Linearised, unit: Whitening, rows: Array) -> Array:
    return linearised.mixed_products(rows * unit.discriminator) * unit.generator


def _back(linearised: Linearised, unit: Whitening, rows: Array) -> Array:
    return linearised.mixed_adjoints(rows * unit.generator) * unit.discriminator


def _finite(rows: Array) -> Array:
    if not np.all(np.isfinite(rows)):
        raise NotFinite("the derivative of the velocity is not finite on the batch of the measurement")
    return rows


def _orthonormal(rows: Array) -> Array:
    basis: Array = np.linalg.qr(_finite(rows).T)[0].T
    return np.ascontiguousarray(basis)


def directions(rotation: Rotation, unit: Whitening) -> Players:
    """The modes in the user's own coordinates: rows `[r, n_G]` of the generator, `[r, n_D]` of the discriminator."""
    return Players(rotation.generator * unit.generator, rotation.discriminator * unit.discriminator)


def projected(rows: Array, rotation: Rotation, unit: Whitening) -> Array:
    """Coordinates of velocities `[k, n]` in the basis, `[k, 2r]`."""
    basis, n_g = directions(rotation, unit), rotation.generator.shape[1]
    return np.concatenate([rows[:, :n_g] @ basis.generator.T, rows[:, n_g:] @ basis.discriminator.T], axis=1)


def reduced(linearised: Linearised, rotation: Rotation, unit: Whitening) -> Array:
    """Q^T J Q, `[2r, 2r]`, generator first; of the generator's mixed block, diag(sigma), nothing has to be computed."""
    rows = directions(rotation, unit)

    def block(of: int, by: int) -> Array:
        block: Array = rows[of] @ linearised.block_products(of, by, rows[by]).T
        return block

    return np.block([[block(0, 0), np.diag(rotation.sigma)], [block(1, 0), block(1, 1)]])


def damping(jacobian: Array, sigma: Array) -> Players:
    """Friction c_k = -V_k^T J_DD V_k and damping ratio zeta_k = c_k / (2 sigma_k) of every mode, each `[r]`."""
    friction = -np.diag(jacobian)[len(sigma) :]
    with np.errstate(divide="ignore", invalid="ignore"):
        return Players(friction, friction / (2 * sigma))
