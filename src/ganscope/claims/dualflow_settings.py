"""What the dual flows' claims share: games, step matrices and distances read off simulations."""

from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.stats
import xarray as xr

from ganscope.analysis.linear_prediction import recurrence_roots
from ganscope.core.simulate import simulate, simulate_many
from ganscope.games.dualflow.feature.laws import Mixture
from ganscope.games.dualflow.feature.model import FeatureGAN
from ganscope.games.dualflow.game import DualGame
from ganscope.games.dualflow.quadratic.model import QuadraticGame

Array = npt.NDArray[np.float64]

FIVE = ("explicit", "explicit_sequential", "jko", "jko_sequential", "nash")
# Two narrow modes of equal weight.
CENTRES, RADIUS = (-2.0, 2.0), 0.75


def two_modes(width: float) -> Mixture:
    """Two normal modes of equal weight, a width given."""
    return Mixture(tuple(scipy.stats.norm(centre, width) for centre in CENTRES))


TWO_MODES = two_modes(0.25)


def levels(count: int) -> Array:
    """Midpoints of equal masses."""
    return (np.arange(count) + 0.5) / count


def normal_points(count: int, mean: float = 0.0, std: float = 1.0) -> Array:
    """Midpoint quantiles of a normal law."""
    return np.asarray(scipy.stats.norm(mean, std).ppf(levels(count)))


def kernel_game(**changes: Any) -> FeatureGAN:
    """A Gaussian kernel of bandwidth 1 between 64 points of a normal law and 64 of the standard one."""
    given = {"real_points": normal_points(64), "generated_points": normal_points(64, 1.5, 0.5), "half_period": 8.0}
    return FeatureGAN(**{**given, **changes})


def two_mode_game(**changes: Any) -> FeatureGAN:
    """A generator of 64 points on one of two modes, against a fast discriminator."""
    given = {
        "real_points": TWO_MODES.ppf(levels(64)),
        "generated_points": normal_points(64, 2.0, 0.1),
        "discriminator_lr": 20.0,
        "modes": CENTRES,
        "mode_radius": RADIUS,
    }
    return FeatureGAN(**{**given, **changes})


def scalar_game(strength: float, convexities: tuple[float, float] = (0.0, 0.0), **changes: Any) -> QuadraticGame:
    """The zero-sum game of two numbers E1 = lam1 x^2 / 2 + s x y, E2 = lam2 y^2 / 2 - s x y."""
    return QuadraticGame(convexities[0], strength, convexities[1], -strength, **changes)


def _symmetric(rng: np.random.Generator, count: int, size: int, low: float, high: float) -> Array:
    """Symmetric matrices with eigenvalues between two numbers, shape `[count, size, size]`."""
    rotations = np.linalg.qr(rng.normal(size=(count, size, size)))[0]
    values = rng.uniform(low, high, (count, size))
    matrices = np.einsum("gij,gj,gkj->gik", rotations, values, rotations)
    return np.asarray((matrices + np.swapaxes(matrices, 1, 2)) / 2)


def random_games(rng: np.random.Generator, count: int, convexity: tuple[float, float]) -> dict[str, Array]:
    """Parameters of quadratic games of 2 and 3 numbers, one row per game."""
    return {
        "A1": _symmetric(rng, count, 2, *convexity),
        "B1": rng.normal(size=(count, 2, 3)),
        "A2": _symmetric(rng, count, 3, *convexity),
        "B2": rng.normal(size=(count, 3, 2)),
        "c1": rng.normal(size=(count, 2)),
        "c2": rng.normal(size=(count, 3)),
        "generator_lr": rng.uniform(0.3, 2.0, count),
        "discriminator_lr": rng.uniform(0.3, 2.0, count),
        "initial": rng.normal(size=(count, 5)),
    }


def game_of(drawn: dict[str, Array], cell: int) -> QuadraticGame:
    """One of the games that `random_games` has drawn."""
    return QuadraticGame(**{k: float(v[cell]) if v.ndim == 1 else v[cell] for k, v in drawn.items()})


def step_matrix(game: Any, level: str, step_size: float, **options: Any) -> Array:
    """What a step does to a linear game of two numbers at rest in 0, from one step of each unit vector."""
    run = simulate_many(game, {"initial": np.eye(2)}, level, step_size=step_size, iterations=1, save_at=[1], **options)
    moved = [run[name].values.reshape(2) for name in ("generator", "discriminator")]
    return np.stack(moved)


def radius(matrix: Array) -> Any:
    """Spectral radius of matrices `[..., n, n]`; infinite for a step that has no solution."""
    solved = np.all(np.isfinite(matrix), axis=(-2, -1))
    safe = np.where(solved[..., None, None], matrix, 0.0)
    return np.where(solved, np.max(np.abs(np.linalg.eigvals(safe)), axis=-1), np.inf)[()]


def apart(game: DualGame, run: xr.Dataset, other: xr.Dataset) -> Array:
    """Distances of both players between two runs of the same records, shape `[records, 2]`."""
    spaces, pairs = game.pair().spaces, zip(game.states(run), game.states(other), strict=True)
    return np.stack(
        [[space.distance(a, b) for a, b in zip(*pair, strict=True)] for space, pair in zip(spaces, pairs, strict=True)],
        axis=1,
    )


def order_of_convergence(
    game: DualGame, level: str, step_size: float, horizon: float, flow: xr.Dataset | None = None, **options: Any
) -> float:
    """Order at which a scheme approaches the flow, from step sizes tau / 4 and tau / 8, at its worst moment.

    Args:
        game: The game.
        level: The scheme.
        step_size: tau; a multiple of it is a fifth of the horizon.
        horizon: Length of the runs.
        flow: The flow at six equally spaced times; None: that of the game.
        options: Of the scheme.
    """
    times = np.linspace(0, horizon, 6)
    limit = simulate(game, "flow", save_at=times, tolerance=1e-12) if flow is None else flow
    errors = []
    for share in (1 / 4, 1 / 8):
        run = simulate(game, level, step_size=share * step_size, save_at=times, **options)
        errors.append(float(np.max(np.linalg.norm(apart(game, run, limit), axis=1))))
    return float(np.log2(errors[0] / errors[1]))


def rotation(series: Any, step: float) -> tuple[float, float]:
    """Growth rate and angular frequency of a rotation that is recorded at equal steps of time."""
    root = recurrence_roots(series, 2)[0]
    return float(np.log(np.abs(root)) / step), float(abs(np.angle(root)) / step)
