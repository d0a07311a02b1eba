r"""What the eigenvalues of a linearised flow, or the multipliers of a linearised map, say about motion near a point.

A mode of a flow goes like exp(s t), a mode of a map like mu^k; with log |mu| in the place of Re s and arg mu in the
place of Im s both are read in the same way.
"""

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ganscope.core.outcome import Spectrum

NEUTRAL = 1e-9

# The labels of a spectrum, by the codes that arrays of them hold; the stable ones come between the other two kinds.
LABELS = np.array(["centre", "stable_node", "stable_spiral", "unstable_spiral", "saddle", "unstable_node"])
_CENTRE, _NODE, _SPIRAL, _OUTWARD, _SADDLE, _SOURCE = range(len(LABELS))


class Spectra(NamedTuple):
    """The spectra of many linearisations of one size, as arrays over cells; see `Spectrum`.

    Attributes:
        values: In the order of `Spectrum`, shape `[cells, n]`.
        is_map: Whether they are multipliers.
        code: Places of the labels in `LABELS`, shape `[cells]`.
        rate, period: Shape `[cells]`.
    """

    values: npt.NDArray[np.complex128]
    is_map: bool
    code: npt.NDArray[np.int64]
    rate: npt.NDArray[np.float64]
    period: npt.NDArray[np.float64]

    @property
    def radius(self) -> npt.NDArray[np.float64]:
        """Largest modulus, shape `[cells]`."""
        return np.asarray(np.abs(self.values).max(axis=-1))

    @property
    def stable(self) -> npt.NDArray[np.bool_]:
        """Where `stability_of` says so."""
        return np.asarray((self.code == _NODE) | (self.code == _SPIRAL))

    @property
    def marginal(self) -> npt.NDArray[np.bool_]:
        """Where `stability_of` says so."""
        return np.asarray(self.code == _CENTRE)

    @property
    def spiralling(self) -> npt.NDArray[np.bool_]:
        """Where the label is `stable_spiral`."""
        return np.asarray(self.code == _SPIRAL)

    def one(self, cell: int = 0) -> Spectrum:
        """The spectrum of one cell."""
        label, rate, period = str(LABELS[self.code[cell]]), float(self.rate[cell]), float(self.period[cell])
        return Spectrum(self.values[cell], self.is_map, label, rate, period)


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
    return spectra_from_values(np.asarray(values)[None], is_map=is_map, neutral=neutral).one()


def spectra_from_values(values: npt.ArrayLike, *, is_map: bool = False, neutral: npt.ArrayLike = NEUTRAL) -> Spectra:
    """`spectrum_from_values` for many linearisations at once.

    Args:
        values: Shape `[cells, n]`.
        is_map: Whether these are multipliers.
        neutral: One for all, or shape `[cells]`.
    """
    given = np.asarray(values, np.complex128)
    size = np.abs(given) if is_map else given.real
    ordered = np.take_along_axis(given, np.lexsort((-given.imag, -size), axis=-1), axis=-1)
    growth, frequency = _growth_and_frequency(ordered, is_map)
    limit = np.broadcast_to(np.asarray(neutral, np.float64), len(given))
    moving = np.abs(ordered - 1.0 if is_map else ordered) > limit[:, None]
    rows, first = np.arange(len(given)), moving.argmax(axis=-1)
    last = given.shape[-1] - 1 - moving[:, ::-1].argmax(axis=-1)
    lead, angle, none = growth[rows, first], frequency[rows, first], ~moving.any(axis=-1)
    turning = angle > limit
    spiral = turning & (ordered.imag[rows, first] != 0)
    unpaired = np.where(growth[rows, last] < -limit, _SADDLE, _SOURCE)
    growing = np.where(spiral, _OUTWARD, unpaired)
    decaying = np.where(spiral, _SPIRAL, _NODE)
    code = np.where(lead < -limit, decaying, np.where(none | (lead <= limit), _CENTRE, growing))
    code[none] = _CENTRE
    turning &= ~none
    period = np.where(turning, 2 * math.pi / np.where(turning, angle, 1.0), math.inf)
    return Spectra(ordered, is_map, code, np.where(none, 0.0, -lead), period)


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
