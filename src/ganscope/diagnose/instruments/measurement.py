r"""One measurement of a real game: the reduced game, its outputs and its noise; all that verdict and what-ifs need.

Coordinates are whitened: a parameter is counted in units of sqrt(learning rate * preconditioner), so that the
eigenvalues of the Jacobian J are offsets of multipliers per step. With the leading singular vectors U, V of the mixed
block B = dF_G/dw_D as columns of Q = blockdiag(U, V), the reduced game is Q^T J Q, of order 2r, and affine in the
gradient penalty: J(gamma) = J_0 + gamma J_R.
"""

import dataclasses
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ganscope.diagnose.rule import UpdateRule

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Measurement:
    """A reduced game at one checkpoint, from one batch, r rotation modes.

    Attributes:
        rule: The update rule in force.
        sigma: Singular values of the mixed block, rotation per iteration of every mode, `[r]`, decreasing.
        jacobian: Reduced Jacobian of the game as it is, `[2r, 2r]`, generator first, per iteration.
        without_penalty: The same without any gradient penalty, `[2r, 2r]`; J_0.
        penalty: Reduced Jacobian of the unit gradient penalty, `[2r, 2r]`; J_R; None where there is none to vary.
        gamma: Weight of the unit penalty at present, convention (gamma/2) E|grad D|^2. Of a game with another kind of
            penalty, 0; `without_penalty` then leaves that one out, and jacobian is not without_penalty + gamma penalty.
        outputs: Change of generated samples per unit of every generator mode, `[r, latents, d]`; None without a
            generator to call.
        noise: Whitened velocity of single minibatches in the reduced coordinates, centred, `[minibatches, 2r]`.
        batch_size: Size of those minibatches.
        data_radius: R = sqrt(trace Cov(data)).
        gradient_norms: Norms of the players' mean velocities in their own coordinates, generator first.
        signal_to_noise: |mean velocity|^2 / trace of its minibatch covariance, whitened.
        floored: Whether a preconditioner had to be floored.
    """

    rule: UpdateRule
    sigma: Array
    jacobian: Array
    without_penalty: Array
    penalty: Array | None
    gamma: float
    outputs: Array | None
    noise: Array
    batch_size: int
    data_radius: float
    gradient_norms: tuple[float, float]
    signal_to_noise: float
    floored: bool = False

    @property
    def modes(self) -> int:
        """r."""
        return len(self.sigma)

    def replace(self, **changes: object) -> "Measurement":
        """The same measurement with some entries changed."""
        return dataclasses.replace(self, **changes)  # type: ignore[arg-type]
