"""The ODE of the solvable GAN as a smooth field, so that its equilibria can be followed through parameters."""

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ganscope.analysis.linearisation import jacobian
from ganscope.core.errors import NotApplicable, ParameterError
from ganscope.core.simulate import check_rule
from ganscope.core.smooth import SmoothField
from ganscope.games.solvable.drift import drift
from ganscope.games.solvable.silence import stationary_length
from ganscope.games.solvable.state import MacroState
from ganscope.games.solvable.tangent import NEUTRAL, independent_numbers

if TYPE_CHECKING:
    from ganscope.games.solvable.model import SolvableGAN

Array = npt.NDArray[np.float64]

_SILENT = ("silent_uninformed", "silent_perfect", "silent_collapsed")
_LABELS = (*_SILENT, "discriminator_wins", "pinned", "generator_locks", "active_recovery", "active_collapse")


def smooth_field(
    game: "SolvableGAN", level: str | None, rule: str | None, step_size: float | None, start: Any
) -> SmoothField:
    """The ODE on the independent numbers of the state.

    `start` is a `MacroState`, the numbers themselves, the label of an equilibrium that `predict` lists, or None: the
    silent state with the P of the game's own start.
    """
    if rule not in (None, "flow"):
        check_rule(rule, "sgd", game.levels["sgd"])  # both rules have the same limit
    if step_size is not None:
        raise ParameterError("step_size", step_size, "nothing: no level of this game has one")
    del level
    axes = independent_numbers(game)
    picked = np.argmax(axes != 0, axis=1)
    if isinstance(start, np.ndarray):
        columns, at = game.columns, game.layout
        base = np.zeros(at.size)
        base[at.S : at.z] = np.eye(columns).ravel()
        base[at.z] = 1.0
        if start.shape != picked.shape or not np.all(np.isfinite(start)):
            raise ParameterError("start", start, f"{len(picked)} finite numbers")
        base = base + (start - base[picked]) @ axes
    else:
        base = _state(game, start).vector()

    def rate(x: Array) -> Array:
        moved: Array = drift(game, base + (x - base[picked]) @ axes)[..., picked]
        return moved

    def values(x: Array) -> npt.NDArray[np.complex128]:
        return np.linalg.eigvals(jacobian(rate, x)).astype(np.complex128)

    every = _names(game)
    names = tuple(every[k] for k in picked)
    return SmoothField(rate, lambda x: jacobian(rate, x), values, False, base[picked], names, 1.0, NEUTRAL)


def _state(game: "SolvableGAN", start: Any) -> MacroState:
    if start is None:
        own = None if isinstance(game.initial, str) else game.start
        overlap = np.zeros((game.features, game.columns)) if own is None else own.P
        S = own.S if game.hard and own is not None else np.eye(game.columns)
        return MacroState(overlap, np.zeros(game.features), S=S, z=stationary_length(game))
    if isinstance(start, MacroState):
        if start.P.shape != (game.features, game.columns):
            raise ParameterError(
                "start", start.P.shape, f"a MacroState with P of shape {(game.features, game.columns)}"
            )
        norms = np.append(np.diag(start.S), start.z)
        if game.hard and not np.allclose(norms, 1.0, rtol=0, atol=1e-10):
            raise ParameterError("start", norms, "squared lengths S_jj = 1 and z = 1, which regularization = inf keeps")
        return start
    if isinstance(start, str) and start in ("silent_perfect", "silent_uninformed"):
        overlap = (start == "silent_perfect") * np.eye(game.features, game.columns)
        return MacroState(overlap, np.zeros(game.features), z=stationary_length(game))
    known = {equilibrium.label: equilibrium.state for equilibrium in reversed(game.predict().equilibria)}
    if isinstance(start, str) and start in known:
        return known[start]  # type: ignore[no-any-return]
    if isinstance(start, str) and start in _LABELS:
        raise NotApplicable(f"the game has no equilibrium {start!r} here; it has {', '.join(sorted(known))}")
    raise ParameterError("start", start, f"a MacroState, None, or one of {', '.join(sorted(known))}")


def _names(game: "SolvableGAN") -> list[str]:
    features, columns = range(game.features), range(game.columns)
    names = [f"P[{i},{j}]" for i in features for j in columns] + [f"q[{i}]" for i in features]
    names += [f"r[{j}]" for j in columns] + [f"S[{j},{k}]" for j in columns for k in columns]
    return [*names, "z"]
