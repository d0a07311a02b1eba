"""Known equilibria of the solvable GAN as macroscopic states with the spectrum of the ODE there.

Every closed form of `phases` becomes a `MacroState`; the spectrum is that of the whole ODE, by finite differences of
the drift, so that it owes nothing to the closed forms.
"""

import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import scipy.optimize

from ganscope.analysis.linearisation import jacobian
from ganscope.analysis.spectrum import spectrum_from_values, stability_of
from ganscope.core.errors import ParameterError
from ganscope.core.outcome import Equilibrium, Spectrum
from ganscope.games.solvable import phases
from ganscope.games.solvable.drift import drift
from ganscope.games.solvable.silence import Silence
from ganscope.games.solvable.state import MacroState

if TYPE_CHECKING:
    from ganscope.games.solvable.model import SolvableGAN

Array = npt.NDArray[np.float64]

# Errors of the finite differences are near 1e-12; the eigenvalue 0 of a Jordan block feels their square root.
_NEUTRAL = 1e-5
# Equilibria with an active discriminator are listed for the strongest features, and left out for states larger than
# this, whose Jacobians would take seconds each.
_STRONGEST = 4
_LARGEST_STATE = 400
# What counts as at rest, and as a silent discriminator, for a root of Newton's method.
_AT_REST, _SILENT = 1e-11, 1e-3
# Soft active recovery is looked for on so many squared lengths of the column.
_LENGTHS = 2000


def macro_spectrum(game: "SolvableGAN", state: MacroState) -> Spectrum:
    """Spectrum of the ODE linearised at a macroscopic state, in inverse time.

    One eigenvalue for each independent number of the state: P, q, r, S with its diagonal once, z. The hard constraint
    conserves z and the diagonal of S, which gives `columns` + 1 eigenvalues that are exactly 0; the others are those on
    its tangent space. Silent states form a continuum, with an eigenvalue 0 for each of its directions. Neutral values
    (below 1e-5, what finite differences resolve at a defective eigenvalue) do not count for the label.
    """
    rate, _, y = _on_numbers(game, state, _independent_numbers(game))
    values = np.linalg.eigvals(jacobian(rate, y))
    conserved = game.columns + 1 if game.hard else 0
    return spectrum_from_values(np.append(values, np.zeros(conserved)), neutral=_NEUTRAL)


def _independent_numbers(game: "SolvableGAN") -> Array:
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


def _on_numbers(
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


def known_equilibria(game: "SolvableGAN", about: Silence) -> list[Equilibrium]:
    """The equilibria that theory knows, with their spectra.

    Labels: `silent_uninformed` (P = 0), `silent_perfect` (P = I), `silent_collapsed` (P = 1 for the features above the
    lower threshold, if those are some but not all), `discriminator_wins` (one feature held, nothing generated), and
    for unmodelled features `pinned` (one of them held, everything else generated); with the hard constraint
    `generator_locks` (a column holds the discriminator); `active_recovery` (one feature recovered under an active
    discriminator, the others unlearned); and with several columns `active_collapse` (all of them copy the strongest
    feature, see `copying_state`). Those with an active discriminator are for the quadratic link, are listed for the
    strongest four features, and only while the state holds up to 400 numbers.
    """
    states = list(_silent(game, about))
    if game.link == "quadratic" and game.layout.size <= _LARGEST_STATE:
        strongest = list(np.argsort(game.feature_variance)[::-1])
        states += _held(game, strongest)
        if game.hard:
            states += _locked(game)
        states += _active(game, [i for i in strongest if matched(game, i)][:_STRONGEST])
        copying = copying_state(game) if game.columns > 1 else None
        states += [] if copying is None else [("active_collapse", copying)]
    result = []
    for label, state in states:
        spectrum = macro_spectrum(game, state)
        result.append(Equilibrium(state, spectrum, stability_of(spectrum), label))
    return result


def matched(game: "SolvableGAN", feature: int) -> bool:
    """Whether a feature has a generator column of its own, with the same variance."""
    return feature < game.columns and bool(
        np.isclose(game.latent_variance[feature], game.feature_variance[feature], rtol=1e-9, atol=0)
    )


def _silent(game: "SolvableGAN", about: Silence) -> Iterator[tuple[str, MacroState]]:
    perfect = np.eye(game.features, game.columns)
    seen = np.asarray(game.feature_variance) > phases.lower_threshold(about)
    nothing = np.zeros(game.features)
    yield "silent_uninformed", MacroState(0 * perfect, nothing, z=about.length)
    yield "silent_perfect", MacroState(perfect, nothing, z=about.length)
    if np.any(seen) and not np.all(seen):
        yield "silent_collapsed", MacroState(seen[:, None] * perfect, nothing, z=about.length)


def _held(game: "SolvableGAN", strongest: list[int]) -> list[tuple[str, MacroState]]:
    """The discriminator on one feature that no column recovers; elsewhere nothing generated, or everything (pinned)."""
    states = []
    perfect = np.eye(game.features, game.columns)
    for label, candidates, P in (
        ("discriminator_wins", strongest, 0 * perfect),
        ("pinned", [i for i in strongest if i >= game.columns], perfect),
    ):
        for i in candidates[:_STRONGEST]:
            variance = game.feature_variance[i]
            cosine = phases.discriminator_wins(variance, game.data_noise, game.generator_noise, game.discriminator_lr)
            z = _held_length(game, variance)
            if np.isfinite(cosine) and z > 0:
                q = float(cosine) * math.sqrt(z) * np.eye(game.features)[i]
                states.append((label, MacroState(P, q, z=z)))
    return states


def _held_length(game: "SolvableGAN", variance: float) -> float:
    """Squared length of a discriminator that holds one feature; NaN where the soft penalty cannot stop it.

    lambda tanh(z - 1) = Lambda + eta_T - eta_G, so that kappa = -Lambda.
    """
    if game.hard:
        return 1.0
    pressed = (variance + game.data_noise - game.generator_noise) / game.regularization
    return 1.0 + math.atanh(pressed) if abs(pressed) < 1 else math.nan


def _locked(game: "SolvableGAN") -> list[tuple[str, MacroState]]:
    states = []
    for j in np.argsort(game.latent_variance)[::-1][:_STRONGEST]:
        noises = game.data_noise, game.generator_noise
        r = phases.generator_locks(game.latent_variance[j], *noises, game.discriminator_lr, game.generator_lr)
        if np.isfinite(r):
            nothing = np.zeros((game.features, game.columns))
            states.append(("generator_locks", MacroState(nothing, nothing[:, 0], float(r) * np.eye(game.columns)[j])))
    return states


def _active(game: "SolvableGAN", candidates: list[int]) -> list[tuple[str, MacroState]]:
    states = []
    for i in candidates:
        for P, q, r, S, z in active_states(game, game.feature_variance[i]):
            unit, column = np.eye(game.features)[i], np.eye(game.columns)[i]
            lengths = np.eye(game.columns) + (S - 1.0) * np.outer(column, column)
            state = MacroState(P * np.outer(unit, column), q * unit, r * column, lengths, z)
            states.append(("active_recovery", state))
    return states


def copying_state(game: "SolvableGAN") -> MacroState | None:
    """All generator columns copy the strongest feature, which the discriminator still holds: q = P_j r_j for each j.

    Without noise and with equal speeds of all columns the perfect copy P_j = q = r_j = S_jk = z = 1 is at rest; Newton's
    method starts there. None if it does not arrive at such a state. It is there at weak noise, and was found to be
    where all runs end for which it is stable (see `decision`), so it is the true end of a mode collapse at weak noise.
    """
    at, columns, strongest = game.layout, game.columns, int(np.argmax(game.feature_variance))
    unit = np.eye(game.features)[strongest]
    perfect = MacroState(np.outer(unit, np.ones(columns)), unit, np.ones(columns), np.ones((columns, columns)))
    axes = _independent_numbers(game)
    place = np.argmax(axes != 0, axis=1)
    other_P = (place < at.q) & (place // columns != strongest)
    other_q = (place >= at.q) & (place < at.r) & (place - at.q != strongest)
    rate, unfold, y = _on_numbers(game, perfect, axes[~(other_P | other_q)])
    with np.errstate(all="ignore"):
        found = scipy.optimize.root(rate, y, jac=lambda y: jacobian(rate, y), tol=1e-13).x
        arrived = np.abs(rate(found)).max() < _AT_REST
    state = MacroState.from_vector(unfold(found), game.features, columns)
    if not arrived or min(*np.abs(state.r), abs(state.q[strongest])) < _SILENT:
        return None
    try:
        return MacroState(state.P, state.q, state.r, state.S, state.z)
    except ParameterError:  # a root that no vectors realise
        return None


def active_states(game: "SolvableGAN", variance: float) -> list[tuple[float, float, float, float, float]]:
    """(P, q, r, S, z) of active recovery of one feature, hard or soft, the larger r first; possibly none."""
    if not game.hard:
        return _soft_active_states(game, variance)
    noises = game.data_noise, game.generator_noise
    found = phases.active_recovery(variance, *noises, game.discriminator_lr, game.generator_lr)
    rows = np.stack([found.P, found.q, found.r], axis=-1)
    return [(float(P), float(q), float(r), 1.0, 1.0) for P, q, r in rows if np.isfinite(r)]


def _soft_active_states(game: "SolvableGAN", variance: float) -> list[tuple[float, float, float, float, float]]:
    r"""Active recovery under a soft penalty: a root in the column's squared length S > 1.

    At rest  r^2 = S lambda h(S) / Lambda,  q = P r / S,  lambda h(z) = eta_T - eta_G - Lambda (S - 1)  and
    P^2 = S [1 - rho (z - r^2 / S)], which leaves dz/dt = 0.
    """
    tau, rho, lam = game.discriminator_lr, game.generator_lr / game.discriminator_lr, game.regularization
    eta_T, eta_G = game.data_noise, game.generator_noise

    def state(S: Array) -> tuple[Array, Array, Array, Array]:
        """P^2, q^2, r^2, z."""
        z = 1.0 + np.arctanh((eta_T - eta_G - variance * (S - 1.0)) / lam)
        r2 = S * lam * np.tanh(S - 1.0) / variance
        P2 = S * (1.0 - rho * (z - r2 / S))
        return P2, P2 * r2 / S**2, r2, z

    def balance(S: Array) -> Array:
        _, q2, r2, z = state(S)
        real, fake = variance * q2 + eta_T * z, variance * r2 + eta_G * z
        rate: Array = 2 * (real - fake - lam * np.tanh(z - 1.0) * z) + tau * (eta_T * real + eta_G * fake)
        return rate

    # z is real and positive for S - 1 between these two.
    low, high = max(0.0, (eta_T - eta_G - lam) / variance), (eta_T - eta_G + lam * math.tanh(1.0)) / variance
    if high <= low:
        return []
    grid = 1.0 + low + (high - low) * np.geomspace(1e-9, 1.0 - 1e-9, _LENGTHS)
    values = balance(grid)
    found = []
    for k in np.flatnonzero(values[:-1] * values[1:] < 0):
        S = float(scipy.optimize.brentq(balance, grid[k], grid[k + 1], xtol=1e-15, rtol=1e-15))
        P2, q2, r2, z = (float(value) for value in state(np.array(S)))
        if 0 <= P2 <= S and z > 0 and r2 <= S * z:
            found.append((math.sqrt(P2), math.sqrt(q2), math.sqrt(r2), S, z))
    return sorted(found, key=lambda row: -row[2])
