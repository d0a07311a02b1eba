r"""Friction of single rotation modes: how strongly each is damped, and the penalty that would damp it critically.

With V_k the discriminator's direction of mode k, of natural rotation sigma_k per iteration,

    c_k = -V_k^T J_DD V_k,   zeta_k = c_k / (2 sigma_k),   gamma_k = max(0, (2 sigma_k - c_k(gamma = 0)) / r_k),

r_k the friction that a unit gradient penalty adds. zeta = 1 is critical damping of the mode on its own.
"""

import numpy as np
import numpy.typing as npt

from ganscope.core.errors import NotApplicable
from ganscope.diagnose.instruments.measurement import Measurement

Array = npt.NDArray[np.float64]


def friction(measurement: Measurement) -> Array:
    """c_k per iteration, `[r]`."""
    return _friction(measurement.jacobian, measurement.modes)


def damping_ratio(measurement: Measurement) -> Array:
    """zeta_k, `[r]`; infinite, or NaN without friction, where a mode does not rotate."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio: Array = friction(measurement) / (2 * measurement.sigma)
    return ratio


def critical_penalty(measurement: Measurement) -> Array:
    """gamma_k, `[r]`, in the units of the gradient penalty; infinite where the penalty adds no friction to a mode.

    Raises:
        NotApplicable: If the game has no unit penalty to vary.
    """
    if measurement.penalty is None:
        raise NotApplicable("no gradient penalty can be varied: give the game a discriminator(phi, x) or a penalty")
    missing = 2 * measurement.sigma - _friction(measurement.without_penalty, measurement.modes)
    added = _friction(measurement.penalty, measurement.modes)
    needed = np.divide(missing, added, out=np.full(len(missing), np.inf), where=added > 0)
    return np.where(missing > 0, needed, 0.0)


def _friction(jacobian: Array, split: int) -> Array:
    return -np.diag(jacobian)[split:]
