"""The ODE of the solvable GAN on the independent numbers of its state, and its spectrum there."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ganscope.analysis.linearisation import jacobian
from ganscope.analysis.spectrum import spectrum_from_values
from ganscope.core.outcome import Spectrum
from ganscope.games.solvable.drift import drift
from ganscope.games.solvable.state import MacroState

if TYPE_CHECKING:
    from ganscope.games.solvable.model import SolvableGAN

Array = npt.NDArray[np.float64]
Field = Callable[[Array], Array]

# Errors of the finite differences are near 1e-12; the eigenvalue 0 of a Jordan block feels their square root.
NEUTRAL = 1e-5


def macro_spectrum(game: "SolvableGAN", state: MacroState) -> Spectrum:
    """Spectrum of the ODE linearised at a macroscopic state, in inverse time.

    One eigenvalue for each independent number of the state: P, q, r, S with its diagonal once, z. The hard constraint
    conserves z and the diagonal of S, which gives `columns` + 1 eigenvalues that are exactly 0; the others are those on
    its tangent space. Silent states form a continuum, with an eigenvalue 0 for each of its directions. Neutral values
    (below 1e-5, what finite differences resolve at a defective eigenvalue) do not count for the label.
    """
    rate, _, y = on_numbers(game, state, independent_numbers(game))
    values = np.linalg.eigvals(jacobian(rate, y))
    conserved = game.columns + 1 if game.hard else 0
    return spectrum_from_values(np.append(values, np.zeros(conserved)), neutral=NEUTRAL)


def independent_numbers(game: "SolvableGAN") -> Array:
    """Directions of the packed state that are free to move: one row each, of zeros and ones."""
    at, columns = game.layout, game.columns
    rows = list(np.eye(at.size)[: at.S])
    for j in range(columns):
        for k in range(j + 1 if game.hard else j, columns):
            row = np.zeros(at.size)
            row[[at.S + j * columns + k, at.S + k * columns + j]] = 1.0
            rows.append(row)
    if not game.hard:
        rows.append(np.eye(at.size)[at.z])
    return np.array(rows)


def on_numbers(
    game: "SolvableGAN", state: MacroState, axes: Array
) -> tuple[Callable[[Array], Array], Callable[[Array], Array], Array]:
    """The drift as a function of the numbers along some axes, how to unfold these into a state, and their values."""
    base, picked = state.vector(), np.argmax(axes != 0, axis=1)

    def unfold(y: Array) -> Array:
        unfolded: Array = base + (y - base[picked]) @ axes
        return unfolded

    def rate(y: Array) -> Array:
        moved: Array = drift(game, unfold(y))[..., picked]
        return moved

    return rate, unfold, base[picked]
