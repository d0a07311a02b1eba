r"""What the eigenvalues of a linearised flow, or the multipliers of a linearised map, say about motion near a point.

A mode of a flow goes like exp(s t), a mode of a map like mu^k; with log |mu| in the place of Re s and arg mu in the
place of Im s both are read in the same way.
"""

import math

import numpy as np
import numpy.typing as npt

from ganscope.core.outcome import Spectrum

NEUTRAL = 1e-9


def spectrum_of(matrix: npt.ArrayLike, *, is_map: bool = False, neutral: float = NEUTRAL) -> Spectrum:
    """Spectrum of a linearised flow or map.

    Args:
        matrix: Jacobian, shape `[n, n]`, real or complex.
        is_map: Whether the matrix advances one iteration (multipliers) rather than being a rate (eigenvalues).
        neutral: See `spectrum_from_values`; raise it when the matrix itself carries a larger error. The eigenvalue
            zero of a defective matrix is only good to the square root of that error.

    Returns:
        See `spectrum_from_values`.
    """
    return spectrum_from_values(np.linalg.eigvals(np.asarray(matrix)), is_map=is_map, neutral=neutral)


def spectrum_from_values(values: npt.ArrayLike, *, is_map: bool = False, neutral: float = NEUTRAL) -> Spectrum:
    """Spectrum from eigenvalues (flow) or multipliers (map) that are already known.

    A continuum of equilibria gives eigenvalues 0 (multipliers 1) along itself. They stay in the list, but say nothing
    about the motion towards or away from the continuum, so values within `neutral` of 0 (of 1) are left out when the
    label, the rate and the period are judged. A mode that is neutral because the point stands exactly on a stability
    boundary, without rotating, is left out too.

    Args:
        values: Shape `[n]`, in any order.
        is_map: Whether these are multipliers.
        neutral: Distance from 0 (from 1) up to which a value counts as neutral; also the growth and the frequency, per
            unit of time or per iteration, below which a mode neither grows nor decays, or does not rotate.

    Returns:
        Values by decreasing real part (flow) or modulus (map), positive frequency first within a pair. The label
        describes the leading value that is not neutral: `stable_node` or `stable_spiral` when it decays, `centre` when
        it does neither (or when every value is neutral), `unstable_spiral` when it grows and rotates, and when it
        grows without rotating `saddle` if another value decays, `unstable_node` if none does. `rate` and `period`
        belong to that same value; a real negative multiplier alternates, which is period 2.
    """
    given = np.asarray(values, np.complex128)
    size = np.abs(given) if is_map else given.real
    ordered = given[np.lexsort((-given.imag, -size))]
    growth, frequency = _growth_and_frequency(ordered, is_map)
    moving = np.abs(ordered - 1.0 if is_map else ordered) > neutral
    if not np.any(moving):
        return Spectrum(ordered, is_map, "centre", 0.0, math.inf)
    lead = int(np.argmax(moving))
    angle = float(frequency[lead])
    label = _label(growth[moving], angle, ordered[lead].imag != 0, neutral)
    period = 2 * math.pi / angle if angle > neutral else math.inf
    return Spectrum(ordered, is_map, label, -float(growth[lead]), period)


def stability_of(spectrum: Spectrum) -> str:
    """`stable`, `marginal` or `unstable`: what the label of a spectrum says, neutral values left out."""
    if spectrum.label == "centre":
        return "marginal"
    return "stable" if spectrum.label.startswith("stable") else "unstable"


def _growth_and_frequency(
    values: npt.NDArray[np.complex128], is_map: bool
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    if not is_map:
        return values.real, np.abs(values.imag)
    with np.errstate(divide="ignore"):  # a multiplier 0 decays at once
        return np.log(np.abs(values)), np.abs(np.angle(values))


def _label(growth: npt.NDArray[np.float64], frequency: float, paired: bool, neutral: float) -> str:
    """Name of the motion of the first of several modes, by decreasing growth."""
    spiral = paired and frequency > neutral
    if growth[0] < -neutral:
        return "stable_spiral" if spiral else "stable_node"
    if growth[0] <= neutral:
        return "centre"
    if spiral:
        return "unstable_spiral"
    return "saddle" if growth[-1] < -neutral else "unstable_node"
