"""Runs step by step, for discriminators without a feature map and for proximal steps of the fast limit."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from scipy.integrate import solve_ivp

from ganscope.core.game import Request
from ganscope.games.dualflow import schemes
from ganscope.games.dualflow.feature.history import HistoryPair
from ganscope.games.dualflow.feature.limit import LimitPair
from ganscope.games.dualflow.feature.quantile_flow import QuantilePair
from ganscope.games.dualflow.levels import (
    FLOW,
    IMPLICIT,
    JKO,
    strides,
)
from ganscope.games.kernel import fourier_grid
from ganscope.games.kernel.model import KernelGAN

if TYPE_CHECKING:
    from ganscope.games.dualflow.feature.model import FeatureGAN

Array = npt.NDArray[np.float64]


def scheme(game: "FeatureGAN", request: Request, options: dict[str, Any]) -> Iterator[tuple[int, Array]]:
    """A scheme step by step, for discriminators without a feature map and for proximal steps of the fast limit."""
    pair = game.pair()
    x: Any = np.array(game.generated_points)
    y: Any = pair.start() if isinstance(pair, HistoryPair) else np.empty(0)
    limited = isinstance(pair, LimitPair)
    known = {k: v for k, v in options.items() if k not in ("batch", "tolerance")}
    level = (JKO if request.level in IMPLICIT else "explicit") if limited else request.level
    if limited:
        known = {k: v for k, v in known.items() if k.startswith("prox")}
    for n, pieces in enumerate(strides(request)):
        for steps, step in pieces:
            for _ in range(steps):
                x, y = schemes.step(pair, level, x, y, step, **known)
                if not np.all(np.isfinite(x)):
                    return
        yield n, x


def flow(game: "FeatureGAN", request: Request, options: dict[str, Any]) -> Iterator[tuple[int, Array]]:
    """The flow, for discriminators without a feature map."""
    times = request.schedule.times
    if not game.fast:
        yield from enumerate(_history_flow(game, times, options["tolerance"]))
        return
    pair = game.pair()
    assert isinstance(pair, LimitPair)
    if isinstance(pair, QuantilePair):
        yield from enumerate(pair.trajectory(times, options["tolerance"]))
        return
    shape = game.generated_points.shape
    nothing = np.empty(0)

    def velocity(t: float, flat: Array) -> Array:
        return np.asarray(-game.generator_lr * pair.gradient(0, flat.reshape(shape), nothing).ravel())

    start = np.array(game.generated_points).ravel()
    tolerance = max(options["tolerance"], 1e-12)
    smooth = game.name != "energy"
    if times[-1] > 0:
        method = "DOP853" if smooth else "RK45"
        if not smooth:
            tolerance = max(tolerance, 1e-6)
        found = solve_ivp(velocity, (0.0, times[-1]), start, method, times, rtol=tolerance, atol=tolerance)
        yield from enumerate(found.y.T.reshape(-1, *shape))
    else:
        yield 0, start.reshape(shape)


def _history_flow(game: "FeatureGAN", times: Array, tolerance: float) -> Array:
    """The flow of a kernel's discriminator without features of its own.

    Gaussian kernels have exact features, on a line those of `fourier`; otherwise it is the flow of a `KernelGAN` whose
    points all move alike, on a grid of waves where there is one, and with the whole history else.
    """
    from ganscope.core.simulate import simulate

    kernel, height = game.metric, game.height
    assert kernel is not None
    if game.axes == 1 and game.kernel is None:
        run = simulate(game.replace(features="fourier"), FLOW, save_at=times, tolerance=tolerance)
        return np.asarray(run.generated_points.values)
    waves = fourier_grid.supports(kernel, game.axes)
    # A kernel of height h is one of height 1 with the discriminator's speed and penalty h times and 1 / h as large.
    speed, penalty = game.discriminator_lr * height, game.critic_penalty / height
    same = KernelGAN(
        game.real, game.generated_points, kernel=kernel, regularization=penalty, generator_lr=game.generator_lr,
        discriminator_lr=speed, weighting="unit", representation="fourier_grid" if waves else "history",
        initial_discriminator=game.initial_discriminator,
    )  # fmt: skip
    # The whole history makes every step dear: its own tolerance, unless another one was asked for.
    asked = tolerance if waves or tolerance != game.levels[FLOW].options["tolerance"] else None
    run = simulate(same, "gda", rule=FLOW, save_at=times * speed, tolerance=asked)
    return np.asarray(run.generated_points.values)
