"""Levels of the solvable model, and the labelled variables of a run."""

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ganscope.core.game import Level, Request, Variable
from ganscope.games.solvable.finite import run_chain, run_sgd
from ganscope.games.solvable.flow import run_ode, run_sde
from ganscope.games.solvable.state import activity, recovery

if TYPE_CHECKING:
    from ganscope.games.solvable.model import SolvableGAN


def _per_unit(game: Any, dimension: int | None, step_size: float | None) -> float:
    del game, step_size
    assert dimension is not None
    return float(dimension)


_ROWS = {"keep_rows": False, "frame": "random"}

LEVELS = {
    "ode": Level(options={"rtol": 1e-9, "atol": 1e-12, "small_rate_limit": False}),
    "chain": Level(("simultaneous", "alternating"), stochastic=True, dimensional=True, steps_per_unit=_per_unit),
    "sgd": Level(
        ("simultaneous", "alternating"), stochastic=True, dimensional=True, steps_per_unit=_per_unit, options=_ROWS
    ),
    "sde": Level(stochastic=True, dimensional=True, options=_ROWS),
}


def trajectories(game: "SolvableGAN", request: Request) -> dict[str, Variable]:
    """Run a request and label the result."""
    rows: dict[str, npt.NDArray[Any]] = {}
    if request.level == "ode":
        states = run_ode(game, request)
    elif request.level == "chain":
        states = run_chain(game, request)
    elif request.level == "sgd":
        states, rows = run_sgd(game, request)
    else:
        states, rows = run_sde(game, request)
    variables = observables(game, states)
    for name, dims in (("U", ("row", "feature")), ("V", ("time", "row", "column")), ("w", ("time", "row"))):
        if name in rows:
            variables[name] = (dims, rows[name])
    return variables


def observables(game: "SolvableGAN", states: npt.NDArray[np.float64]) -> dict[str, Variable]:
    """Variables over time from packed states `[..., records, size]`."""
    at, lead = game.layout, states.shape[:-1]
    P = states[..., : at.q].reshape(*lead, game.features, game.columns)
    q, r = states[..., at.q : at.r], states[..., at.r : at.S]
    S = states[..., at.S : at.z].reshape(*lead, game.columns, game.columns)
    z = states[..., at.z]
    return {
        "P": (("time", "feature", "column"), P),
        "q": (("time", "feature"), q),
        "r": (("time", "column"), r),
        "S": (("time", "column", "other_column"), S),
        "z": (("time",), z),
        "recovery": (("time", "feature"), recovery(P, S)),
        "activity": (("time", "feature"), activity(q, z)),
    }
