"""Known equilibria of the solvable GAN as macroscopic states with the spectrum of the ODE there.

Every closed form of `phases` becomes a `MacroState`; the spectrum is that of the whole ODE, by finite differences of
the drift, so that it owes nothing to the closed forms.
"""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ganscope.analysis.spectrum import stability_of
from ganscope.core.outcome import Equilibrium
from ganscope.games.solvable import phases
from ganscope.games.solvable.cells import Cells
from ganscope.games.solvable.copying import copying_state
from ganscope.games.solvable.locked import active_states
from ganscope.games.solvable.silence import Silence
from ganscope.games.solvable.state import MacroState
from ganscope.games.solvable.tangent import macro_spectrum

if TYPE_CHECKING:
    from ganscope.games.solvable.model import SolvableGAN

Flags = npt.NDArray[np.bool_]

# Equilibria with an active discriminator are listed for the strongest features, and left out for states larger than
# this, whose Jacobians would take seconds each.
_STRONGEST = 4
_LARGEST_STATE = 400


def known_equilibria(game: "SolvableGAN", about: Silence) -> list[Equilibrium]:
    """The equilibria that theory knows, with their spectra.

    Labels: `silent_uninformed` (P = 0), `silent_perfect` (P = I), `silent_collapsed` (P = 1 for the features above the
    lower threshold, if those are some but not all), `discriminator_wins` (one feature held, nothing generated), and
    for unmodelled features `pinned` (one of them held, everything else generated); with the hard constraint
    `generator_locks` (a column holds the discriminator); `active_recovery` (one feature recovered under an active
    discriminator, the others unlearned); and with several columns, where a feature is above the upper threshold,
    `active_collapse` (all columns copy the strongest feature, see `copying_state`). Those with an active discriminator
    are for the quadratic link, are listed for the strongest four features, and only while the state holds up to 400
    numbers.
    """
    states = list(_silent(game, about))
    if game.link == "quadratic" and game.layout.size <= _LARGEST_STATE:
        strongest = list(np.argsort(game.feature_variance)[::-1])
        states += _held(game, strongest)
        if game.hard:
            states += _locked(game)
        cells = Cells.of(game)
        own = matched_features(cells)[0]
        states += _active(game, [i for i in strongest if own[i]][:_STRONGEST])
        copying = copying_state(game) if copying_is_relevant(cells, about)[0] else None
        states += [] if copying is None else [("active_collapse", copying)]
    result = []
    for label, state in states:
        spectrum = macro_spectrum(game, state)
        result.append(Equilibrium(state, spectrum, stability_of(spectrum), label))
    return result


def matched_features(cells: Cells) -> Flags:
    """Whether features have a generator column of their own, with the same variance, `[cells, features]`."""
    own = np.zeros((len(cells), cells.features), bool)
    both = min(cells.features, cells.columns)
    strengths, made = cells.feature_variance[:, :both], cells.latent_variance[:, :both]
    own[:, :both] = np.isclose(made, strengths, rtol=1e-9, atol=0)
    return own


def copying_is_relevant(cells: Cells, about: Silence) -> Flags:
    """Whether the state in which all columns copy the strongest feature is looked for, `[cells]`."""
    able = cells.link == "quadratic" and cells.columns > 1 and cells.game.layout.size <= _LARGEST_STATE
    result: Flags = able & (cells.feature_variance.max(-1) > phases.upper_threshold(about))
    return result


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
