r"""Runs in the limit of infinite dimension: the ODE of the macroscopic state, and the SDE of single rows.

Given the ODE's solution, a row y = (v, w) of the scaled weights, sqrt(n) times V's and w's, follows a linear SDE

    dv = tau~ (w A~ - D v) dt
    dw = tau (u'A - v'A~ + kappa w) dt + tau sqrt(eta_T F2 + eta_G F2~) dB

whose transition over any interval is Gaussian: its propagator, its response to u and its covariance are integrated
together with the ODE, so rows jump from record to record without any step-size error.

References:
    Wang, Hu, Lu. A Solvable High-Dimensional Model of GAN. NeurIPS 2019.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from scipy.integrate import solve_ivp

from ganscope.core.checks import number, one_of
from ganscope.core.errors import ParameterError
from ganscope.core.game import Request
from ganscope.core.parallel import Task, run_tasks
from ganscope.core.random import VECTOR_NOISE, normal_float32
from ganscope.dynamics.dormand_prince import TOO_MANY_STEPS
from ganscope.games.solvable import limit, starts
from ganscope.games.solvable.drift import game_drift, latent_atoms
from ganscope.games.solvable.packing import DISCRIMINATOR_LR, GENERATOR_LR, REGULARIZATION, VARIANCES
from ganscope.games.solvable.state import ESCAPED

if TYPE_CHECKING:
    from ganscope.games.solvable.model import SolvableGAN

Array = npt.NDArray[np.float64]

_CELLS_PER_TASK = 1024
# An explicit method that takes more steps than this for the sake of stability alone is the wrong one.
_STIFF_STEPS = 1e6
# Larger states than this do not fit the compiled solver's stack.
_MAX_COMPILED_SIZE = 2000
_MAX_LANED_SIZE = 200


def run_ode(game: "SolvableGAN", request: Request) -> Array:
    """States of the limiting ODE, shape `[cells, 1, records, size]`; NaN after a divergence."""
    rtol = number("rtol", request.options["rtol"], above=0)
    atol = number("atol", request.options["atol"], above=0)
    slow_rates = bool(request.options["small_rate_limit"])
    parameters = game.rows(request.over, request.cells)
    start, times = game.start.vector(), request.schedule.times
    out = np.empty((request.cells, len(times), len(start)))
    status = np.full(request.cells, TOO_MANY_STEPS)
    stiff = is_stiff(parameters, float(times[-1]))
    quick = np.flatnonzero(~stiff)
    if _compilable(game) and not slow_rates and len(quick):
        lanes = 1 if len(quick) == 1 or len(start) > _MAX_LANED_SIZE else limit.LANES
        assert isinstance(game.link, str)
        solver = limit.ode_solver(game.features, game.columns, game.hard, game.link, lanes)

        def part(first: int) -> Task:
            def work(tick: Callable[[float], None]) -> None:
                chosen = quick[first : first + _CELLS_PER_TASK]
                beginnings = np.repeat(start[None], len(chosen), axis=0)
                found, ends = np.empty((len(chosen), *out.shape[1:])), np.empty(len(chosen), status.dtype)
                solver(beginnings, np.ascontiguousarray(parameters[:, chosen]), times, rtol, atol, ESCAPED, found, ends)
                out[chosen], status[chosen] = found, ends
                tick(float(len(chosen)))

            return work

        run_tasks([part(b) for b in range(0, len(quick), _CELLS_PER_TASK)], "ode", float(len(quick)))
    left = np.flatnonzero(status == TOO_MANY_STEPS)
    if len(left):
        rate, _ = game_drift(game, small_rate_limit=slow_rates)

        def finish(cell: int) -> Task:
            def work(tick: Callable[[float], None]) -> None:
                column = parameters[:, cell]
                out[cell] = integrate(lambda t, x: rate(x, column), start, times, rtol, atol, stiff=bool(stiff[cell]))
                tick(1.0)

            return work

        run_tasks([finish(int(cell)) for cell in left], "ode", float(len(left)))
    return out[:, None]


def _compilable(game: "SolvableGAN") -> bool:
    """Whether the compiled drift covers the game: closed-form or Gauss-Hermite moments, and a state of its size."""
    closed = isinstance(game.link, str) and all(atoms is None for atoms in latent_atoms(game))
    return closed and game.layout.size <= _MAX_COMPILED_SIZE


def is_stiff(parameters: Array, horizon: float) -> Any:
    """Whether the soft constraint alone would force an explicit method to very many steps, one value per column."""
    strength = np.where(np.isinf(parameters[REGULARIZATION]), 0.0, parameters[REGULARIZATION])
    fastest = 2.0 * strength * np.maximum(parameters[DISCRIMINATOR_LR], parameters[GENERATOR_LR])
    return fastest * horizon > _STIFF_STEPS


def integrate(
    field: Callable[[float, Array], Any],
    start: Array,
    times: Array,
    rtol: float,
    atol: float,
    stiff: bool,
    watched: int | None = None,
) -> Array:
    """Solution of an ODE at `times` by SciPy, `[times, size]`; NaN once a component before `watched` escapes."""

    def escapes(t: float, x: Array) -> float:
        del t
        return float(np.max(np.abs(x[:watched]))) - ESCAPED

    escapes.terminal = True  # type: ignore[attr-defined]
    result = np.full((len(times), len(start)), np.nan)
    if times[-1] == 0.0:
        result[:] = start
        return result
    with np.errstate(over="ignore", invalid="ignore"):
        solution = solve_ivp(
            field,
            (0.0, times[-1]),
            start,
            method="LSODA" if stiff else "DOP853",
            t_eval=times,
            rtol=max(rtol, 1e-12),
            atol=atol,
            events=escapes,
        )
    if len(solution.t):  # SciPy gives a list, not an array, when the first record was not reached
        result[: len(solution.t)] = solution.y.T
    return result


def run_sde(game: "SolvableGAN", request: Request) -> tuple[Array, dict[str, Array]]:
    """Overlaps measured on `dimension` rows, shape `[cells, replicas, records, size]`, and the weights if asked."""
    assert request.dimension is not None
    assert request.streams is not None
    count, times = request.dimension, request.schedule.times
    features, columns, replicas = game.features, game.columns, request.replicas
    frame = one_of("frame", request.options["frame"], starts.FRAMES)
    keep_rows = bool(request.options["keep_rows"])
    parameters = game.rows(request.over, request.cells)
    lead = (request.cells, replicas)
    out = np.full((*lead, len(times), game.layout.size), np.nan)
    kept = np.full((*lead, len(times) if keep_rows else 0, count, columns + 1), np.nan)
    real = np.empty((*lead, count, features))
    if isinstance(game.initial, str):
        raise ParameterError("initial", game.initial, "a MacroState: level 'sde' follows the ODE from its overlaps")
    beginning, streams, seed = game.start.vector(), request.streams, request.seed
    starts.check(game, count, frame)

    def run(cell: int) -> Task:
        def work(tick: Callable[[float], None]) -> None:
            y = np.empty((replicas, count, columns + 1))
            for replica in range(replicas):
                rows = np.sqrt(count) * starts.weights(game, count, seed, int(streams[cell, replica]), frame).T
                real[cell, replica], y[replica] = rows[:, :features], rows[:, features:]
            x, now = beginning, 0.0
            for record, time in enumerate(times):
                if time > now:
                    x, propagator, response, covariance = transition(game, parameters[:, cell], x, time - now)
                    if not np.isfinite(covariance).all():
                        break  # the overlaps have left every bounded region: the rest of the record stays NaN
                    values, vectors = np.linalg.eigh(covariance)
                    root = vectors * np.sqrt(np.clip(values, 0.0, None))
                    for replica in range(replicas):
                        noise = _row_noise(count, columns + 1, seed, int(streams[cell, replica]), record)
                        y[replica] = y[replica] @ propagator.T + real[cell, replica] @ response.T + noise @ root.T
                    now = float(time)
                for replica in range(replicas):
                    out[cell, replica, record] = _overlaps(real[cell, replica], y[replica])
                if keep_rows:
                    kept[cell, :, record] = y
                tick(1.0)

        return work

    run_tasks([run(cell) for cell in range(request.cells)], "sde", float(request.cells * len(times)))
    if not keep_rows:
        return out, {}
    scale = 1.0 / np.sqrt(count)  # weights as in sgd, not scaled rows
    return out, {"U": real * scale, "V": kept[..., :columns] * scale, "w": kept[..., columns] * scale}


def _row_noise(count: int, width: int, seed: int, stream: int, record: int) -> Array:
    """Independent normals `[count, width]` of one jump."""
    columns = [normal_float32(count, seed, stream, record * width + k, VECTOR_NOISE) for k in range(width)]
    return np.stack(columns, axis=1).astype(np.float64)


def _overlaps(u: Array, y: Array) -> Array:
    v, w = y[:, :-1], y[:, -1]
    parts: list[Any] = [(u.T @ v).ravel(), u.T @ w, v.T @ w, (v.T @ v).ravel(), [w @ w]]
    result: Array = np.concatenate(parts) / len(u)
    return result


def transition(game: "SolvableGAN", parameters: Array, x: Array, duration: float) -> tuple[Array, Array, Array, Array]:
    """The ODE's state after `duration`, and the rows' Gaussian transition over it.

    Returns:
        New packed state; propagator `[columns + 1] * 2`; response to u, `[columns + 1, features]`; covariance
        `[columns + 1] * 2`. A row moves as y' = propagator y + response u + N(0, covariance).
    """
    features, columns = game.features, game.columns
    m, size = columns + 1, len(x)
    rate, parts = game_drift(game)
    tau, tau_g = parameters[DISCRIMINATOR_LR], parameters[GENERATOR_LR]
    assert len(parameters) == VARIANCES + features + columns

    def field(t: float, state: Array) -> Array:
        del t
        now = state[:size]
        p = parts(now, parameters)
        generator = np.zeros((m, m))
        generator[:columns, :columns] = -tau_g * np.diag(p.columns)
        generator[:columns, columns] = tau_g * p.fake.correlation
        generator[columns, :columns] = -tau * p.fake.correlation
        generator[columns, columns] = tau * p.decay
        drive = np.zeros((m, features))
        drive[columns] = tau * p.real.correlation
        propagator = state[size : size + m * m].reshape(m, m)
        response = state[size + m * m : size + m * m + m * features].reshape(m, features)
        covariance = state[size + m * m + m * features :].reshape(m, m)
        spread = generator @ covariance
        spread = spread + spread.T
        spread[columns, columns] += tau**2 * p.diffusion
        return np.concatenate(
            [
                rate(now, parameters),
                (generator @ propagator).ravel(),
                (generator @ response + drive).ravel(),
                spread.ravel(),
            ]
        )

    beginning = np.concatenate([x, np.eye(m).ravel(), np.zeros(m * features + m * m)])
    stiff = bool(is_stiff(parameters, duration))
    end = integrate(field, beginning, np.array([duration]), 1e-9, 1e-12, stiff, watched=size)[0]
    return (
        end[:size],
        end[size : size + m * m].reshape(m, m),
        end[size + m * m : size + m * m + m * features].reshape(m, features),
        end[size + m * m + m * features :].reshape(m, m),
    )
