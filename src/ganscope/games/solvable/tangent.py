"""The ODE of the solvable GAN on the independent numbers of its state, and its spectrum there."""

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ganscope.analysis.linearisation import jacobian
from ganscope.analysis.spectrum import spectrum_from_values
from ganscope.core.outcome import Spectrum
from ganscope.games.solvable.drift import game_drift
from ganscope.games.solvable.state import MacroState

if TYPE_CHECKING:
    from ganscope.games.solvable.model import SolvableGAN

Array = npt.NDArray[np.float64]

# Errors of the finite differences are near 1e-12; the eigenvalue 0 of a Jordan block feels their square root.
NEUTRAL = 1e-5


def macro_spectrum(game: "SolvableGAN", state: MacroState) -> Spectrum:
    """Spectrum of the ODE linearised at a macroscopic state, in inverse time.

    One eigenvalue for each independent number of the state: P, q, r, S with its diagonal once, z. The hard constraint
    conserves z and the diagonal of S, which gives `columns` + 1 eigenvalues that are exactly 0; the others are those on
    its tangent space. Silent states form a continuum, with an eigenvalue 0 for each of its directions. Neutral values
    (below 1e-5, what finite differences resolve at a defective eigenvalue) do not count for the label.
    """
    values = eigenvalues(game, state.vector(), game.rows()[:, 0])
    conserved = game.columns + 1 if game.hard else 0
    return spectrum_from_values(np.append(values, np.zeros(conserved)), neutral=NEUTRAL)


def attracts(game: "SolvableGAN", states: Array, rows: Array) -> npt.NDArray[np.bool_]:
    """Whether `macro_spectrum` would call packed states `[cells, size]` stable, each with its own parameters."""
    if len(states) == 0:
        return np.zeros(0, bool)
    values = eigenvalues(game, states, rows)
    moving = np.abs(values) > NEUTRAL
    result: npt.NDArray[np.bool_] = moving.any(-1) & (np.where(moving, values.real, -np.inf).max(-1) < -NEUTRAL)
    return result


def eigenvalues(game: "SolvableGAN", states: Array, rows: Array) -> Any:
    """Eigenvalues at packed states `[..., size]` along the numbers that are free to move.

    Args:
        game: The structure.
        states: Shape `[..., size]`.
        rows: Parameters `[..., rows]`, see `packing`.
    """
    axes = independent_numbers(game)
    picked = np.argmax(axes != 0, axis=1)
    rate, _ = game_drift(game)
    base, own = states[..., None, None, :], rows[..., None, None, :]

    def field(y: Array) -> Array:
        moved: Array = rate(base + (y - base[..., picked]) @ axes, own)[..., picked]
        return moved

    return np.linalg.eigvals(jacobian(field, states[..., picked]))


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
