r"""The data of the dual flows' figures of a few numbers: one recipe per figure, beside the claims that it illustrates.

Every recipe returns labelled data sets by name; `figures.dualflow` draws them. Sizes are arguments, so that a recipe
can be run small. The figures about laws have their recipes in `recipes_dualflow_laws`.

References:
    Turinici. Convergence dynamics of generative adversarial networks: the dual metric flows. 2020.
    Ambrosio, Gigli, Savare. Gradient Flows in Metric Spaces and in the Space of Probability Measures. 2008.
    Delgadino, Suassuna, Cabrera. Generative Adversarial Networks: Dynamics. JMLR 26, 2025.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from ganscope.core.simulate import predict, simulate, simulate_many
from ganscope.games.dualflow.clipped.model import ClippedGAN
from ganscope.games.dualflow.levels import (
    EXPLICIT,
    EXPLICIT_SEQUENTIAL,
    FLOW,
    JKO,
    JKO_SEQUENTIAL,
    NASH,
    SCHEMES,
)
from ganscope.games.dualflow.lq.model import QuadraticGAN
from ganscope.games.dualflow.lq.theory import turning_points
from ganscope.games.dualflow.quadratic.model import QuadraticGame
from ganscope.games.dualflow.theory.rates import scheme_error_bound
from ganscope.games.dualflow.theory.steps import bilinear_modulus, largest_stable_step

Array = npt.NDArray[np.float64]
Data = dict[str, xr.Dataset]

# The schemes of metric spaces; the midpoint rule needs a flat one.
METRIC_SCHEMES = (EXPLICIT, EXPLICIT_SEQUENTIAL, JKO, JKO_SEQUENTIAL, NASH)
_ROUNDS = 20


def bilinear_orbits(step_size: float = 0.2, iterations: int = 100, strength: float = 1.0) -> Data:
    """F1: the bilinear game E1 = s x y = -E2 under five schemes, from (1, 0).

    Returns:
        `runs`: over `scheme` and `iteration`, `x`, `y`, and `radius`, their distance from the equilibrium; over
        `scheme` `modulus`, the factor per step that theory gives. `flow`: `x` and `y` over `time`, one turn.
    """
    game = QuadraticGame(0.0, strength, 0.0, -strength, initial=(1.0, 0.0))
    every = np.arange(iterations + 1)
    runs = [
        simulate(game, level, iterations=iterations, step_size=step_size, save_at=every) for level in METRIC_SCHEMES
    ]
    names = ("scheme", "iteration")
    data = xr.Dataset(
        {
            "x": (names, np.stack([run.generator.values[:, 0] for run in runs])),
            "y": (names, np.stack([run.discriminator.values[:, 0] for run in runs])),
            "radius": (names, np.stack([run.distance.values for run in runs])),
            "modulus": ("scheme", [float(bilinear_modulus(n, step_size * strength)) for n in METRIC_SCHEMES]),
        },
        {"scheme": list(METRIC_SCHEMES), "iteration": every},
        {"step_size": step_size, "strength": strength},
    )
    flow = simulate(game, FLOW, horizon=float(predict(game).thresholds["period"]))
    turn = xr.Dataset(
        {"x": ("time", flow.generator.values[:, 0]), "y": ("time", flow.discriminator.values[:, 0])},
        {"time": flow.time.values},
    )
    return {"runs": data, "flow": turn}


def damped_game() -> QuadraticGame:
    """The game on which the order of the schemes is measured."""
    return QuadraticGame(0.2, 1.0, 0.5, -1.0, discriminator_lr=2.0, initial=(1.0, -0.5))


def scheme_errors(steps: Sequence[int] = (50, 100, 200, 400, 800), horizon: float = 4.0) -> Data:
    """F2: distance of every scheme from the flow at the end of a run, against the step size.

    Returns:
        `errors`: over `scheme` and `steps`, `error`, the distance at the end; `bound` of theory, NaN where there is
        none; `step_size` over `steps`.
    """
    game = damped_game()
    exact = simulate(game, FLOW, save_at=[horizon])
    end = np.append(exact.generator.values, exact.discriminator.values)
    sizes = horizon / np.asarray(steps, np.float64)
    error, bound = (np.full((len(SCHEMES), len(sizes)), np.nan) for _ in range(2))
    for i, level in enumerate(SCHEMES):
        for k, (count, size) in enumerate(zip(steps, sizes.tolist(), strict=True)):
            run = simulate(game, level, iterations=count, step_size=size, save_at=[count])
            error[i, k] = np.linalg.norm(np.append(run.generator.values, run.discriminator.values) - end)
            if level in (JKO, JKO_SEQUENTIAL):
                found = scheme_error_bound(game, level, size, horizon)
                bound[i, k] = np.hypot(found.generator, found.discriminator)
    names = ("scheme", "steps")
    data = xr.Dataset(
        {"error": (names, error), "bound": (names, bound), "step_size": ("steps", sizes)},
        {"scheme": list(SCHEMES), "steps": list(steps)},
        {"horizon": horizon, "discriminator_lr": game.discriminator_lr},
    )
    return {"errors": data}


def largest_steps(
    num: int = 641, widest: float = 16.0, num_simulated: int = 17, iterations: int = 2000, strength: float = 2.0,
    generator_convexity: float = 0.3,
) -> Data:  # fmt: skip
    """F3: the largest stable step size against the convexity of the discriminator's energy.

    Returns:
        `theory`: `largest_step` `(scheme, convexity)`, infinite where every step is stable. `simulated`: the same where
        runs begin to grow, NaN where that is beyond all steps tried.
    """
    fine, coarse = np.linspace(0.0, widest, num), np.linspace(0.0, widest, num_simulated)
    theory = [largest_stable_step(level, strength, generator_convexity, fine) for level in METRIC_SCHEMES]
    measured = [_growing_from(level, strength, generator_convexity, coarse, iterations) for level in METRIC_SCHEMES]
    attrs = {"strength": strength, "generator_convexity": generator_convexity, "iterations": iterations}
    names = ("scheme", "convexity")
    schemes = list(METRIC_SCHEMES)
    return {
        "theory": xr.Dataset(
            {"largest_step": (names, np.stack(theory))}, {"scheme": schemes, "convexity": fine}, attrs
        ),
        "simulated": xr.Dataset(
            {"largest_step": (names, np.stack(measured))}, {"scheme": schemes, "convexity": coarse}, attrs
        ),
    }


def _growing_from(level: str, strength: float, lam1: float, lam2: Array, iterations: int) -> Array:
    """Step sizes at which runs turn from decay to growth, by bisection, one per convexity lam2; NaN beyond 100.

    A scheme knows the step size only by its products with the speeds, so that a batch may vary it.
    """
    game = QuadraticGame(lam1, strength, 1.0, -strength, initial=(1.0, 0.5))
    half = np.arange(iterations // 4)
    low, high = np.full(len(lam2), 1e-3), np.full(len(lam2), 100.0)

    def grows(step: Array) -> npt.NDArray[np.bool_]:
        over = {"generator_lr": step, "discriminator_lr": step, "A2": lam2}
        saved = np.concatenate([half + iterations // 2, half + 3 * iterations // 4])
        run = simulate_many(game, over, level, iterations=iterations, step_size=1.0, save_at=saved)
        size = np.where(np.isnan(run.distance.values), np.inf, run.distance.values)
        early, late = size[:, : len(half)].max(axis=1), size[:, len(half) :].max(axis=1)
        return np.asarray((late > early) | np.isinf(late))

    ever = grows(high)
    for _ in range(_ROUNDS):
        middle = np.sqrt(low * high)
        up = grows(middle)
        high, low = np.where(up, middle, high), np.where(up, low, middle)
    return np.where(ever, np.sqrt(low * high), np.nan)


def width_orbits(
    stds: Sequence[float] = (0.5, 0.9), penalties: Sequence[float] = (0.0, 0.5), horizon: float = 30.0,
    step_size: float = 0.05, records: int = 601,
) -> Data:  # fmt: skip
    """F4: standard deviation of a generator on a line against the quadratic part of its discriminator.

    Returns:
        `runs`: over `penalty`, `start` (a standard deviation) and `time`, `std`, `quadratic` and `energy`, which the
        flow conserves without a penalty; `scheme_std`, `scheme_quadratic`, the same by `jko_sequential`. `orbits`: over
        `start`, the turning points `lowest`, `highest`, and over `angle` the closed orbits `std`, `quadratic` that
        theory gives without a penalty.
    """
    times = np.linspace(0.0, horizon, records)
    shape = (len(penalties), len(stds), records)
    found = {name: np.empty(shape) for name in ("std", "quadratic", "scheme_std", "scheme_quadratic")}
    starts = np.square(np.asarray(stds, np.float64))[:, None, None]
    for k, penalty in enumerate(penalties):
        game = QuadraticGAN(0.0, 1.0, 0.0, 0.25, critic_penalty=float(penalty))
        for level, prefix in ((FLOW, ""), (JKO_SEQUENTIAL, "scheme_")):
            size: dict[str, Any] = {} if level == FLOW else {"step_size": step_size}
            run = simulate_many(game, {"covariance": starts}, level, save_at=times, **size)
            found[prefix + "std"][k] = np.sqrt(run.covariance.values[..., 0, 0])
            found[prefix + "quadratic"][k] = run.quadratic.values[..., 0, 0]
    energy = found["quadratic"] ** 2 / 2 + (found["std"] ** 2 - 2 * np.log(found["std"])) / 4
    names = ("penalty", "start", "time")
    runs = xr.Dataset(
        {name: (names, values) for name, values in found.items()} | {"energy": (names, energy)},
        {"penalty": list(penalties), "start": list(stds), "time": times},
        {"step_size": step_size, "target_std": 1.0},
    )
    return {"runs": runs, "orbits": _orbits(stds)}


def _orbits(stds: Sequence[float], points: int = 201) -> xr.Dataset:
    """Level sets of the conserved energy through (std, 0), around the target's standard deviation 1."""
    ends = np.array([turning_points(float(std)) for std in stds])
    angle = np.linspace(0.0, 2 * np.pi, points)
    middle, half = ends.mean(axis=1, keepdims=True), np.diff(ends, axis=1) / 2
    std = middle - half * np.cos(angle)
    level = (ends[:, :1] ** 2 - 2 * np.log(ends[:, :1])) / 4
    square = np.maximum(2 * (level - (std**2 - 2 * np.log(std)) / 4), 0.0)
    names = ("start", "angle")
    return xr.Dataset(
        {
            "lowest": ("start", ends[:, 0]),
            "highest": ("start", ends[:, 1]),
            "std": (names, std),
            "quadratic": (names, np.sqrt(square) * np.sign(np.sin(angle))),
        },
        {"start": list(stds), "angle": angle},
    )


def clipping(
    horizon: float = 20.0, step_size: float = 0.1, parameters: int = 201, spread: float = 0.3, long: float = 60.0,
    records: int = 401,
) -> Data:  # fmt: skip
    """F10: a clipped discriminator, one weight and the mean field of many.

    Returns:
        `scalar`: `theta` and `omega` over `time`, exact; `scheme`: the same by `explicit_sequential`. `field`: over
        `time`, `theta`, `mean`, `low`, `high`, `width` and `amplitude` of the mean field, exact. Their attributes hold
        what theory says.
    """
    alone = ClippedGAN(clip=1.0, initial=(3.0, 0.0))
    facts = predict(alone).thresholds
    times = np.linspace(0.0, horizon, records)
    runs = [
        simulate(alone, FLOW, save_at=times),
        simulate(alone, EXPLICIT_SEQUENTIAL, horizon=horizon, step_size=step_size),
    ]
    scalar, scheme = (
        xr.Dataset(
            {"theta": ("time", run.generator.values), "omega": ("time", run.discriminator.values)},
            {"time": run.time.values},
            {"clip": 1.0, "step_size": step_size} | {n: facts[n] for n in ("capture_time", "period", "amplitude")},
        )
        for run in runs
    )
    many = ClippedGAN(clip=1.0, initial=(0.9, np.linspace(-spread, spread, parameters)))
    limit = predict(many).thresholds
    run = simulate(many, FLOW, save_at=np.linspace(0.0, long, records))
    omega = run.discriminator.values
    columns = {
        "theta": run.generator.values,
        "mean": run["mean"].values,
        "low": omega.min(axis=1),
        "high": omega.max(axis=1),
        "width": run.width.values,
        "amplitude": run.amplitude.values,
    }
    field = xr.Dataset(
        {name: ("time", values) for name, values in columns.items()},
        {"time": run.time.values},
        {"clip": 1.0, "spread": spread, "parameters": parameters, "theta": 0.9}
        | {name: limit[name] for name in ("width", "amplitude", "period")},
    )
    return {"scalar": scalar, "scheme": scheme, "field": field}
