r"""A `FeatureGAN` beside a state: the Jacobian of its flow, its modes where the data are matched, constants and bounds.

Where generated and real law agree and D = 0, the flow falls apart into damped oscillators, one for each eigenvalue
s_k^2 of the Gram matrix of the features' gradients:

    r^2 + critic_penalty discriminator_lr r + generator_lr discriminator_lr s_k^2 = 0

In coordinates of length one per particle, x_i / sqrt(N), both players' couplings are transposes of each other.
"""

import math
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ganscope.core.errors import NotApplicable, ParameterError
from ganscope.core.game import Players
from ganscope.games.dualflow.collapse.local_modes import kernel_gradient_gram
from ganscope.games.dualflow.feature.pair import bend_bound, mean_features, slope_bound
from ganscope.games.dualflow.feature.sums import field
from ganscope.games.dualflow.theory.affine import Linear
from ganscope.games.dualflow.theory.rates import Constants, Suprema

if TYPE_CHECKING:
    from ganscope.games.dualflow.feature.model import FeatureGAN

Array = npt.NDArray[np.float64]

# Numbers in a matrix whose eigenvalues take seconds.
LARGEST = 2500
# Strengths below this share of the largest are neutral.
_NEUTRAL = 1e-12
# Records from which the largest accelerations of a flow are taken.
_FINE = 4001


def best_coefficients(game: "FeatureGAN", points: Array) -> Array:
    """Coefficients of the best discriminator against some points, shape `[p]`."""
    assert game.map is not None
    game.require_penalty("a discriminator at its best")
    gap = mean_features(game.map, game.real) - mean_features(game.map, points)
    return np.asarray(gap / game.critic_penalty)


def strengths(game: "FeatureGAN") -> Array:
    """Strengths s_k^2 of the modes where the data are matched, in decreasing order, without neutral ones.

    Raises:
        NotApplicable: If the features have no gradients, or there are too many of them.
    """
    points = np.asarray(game.real)
    rows = points.size
    if game.map is not None:
        if min(rows, game.map.size) > LARGEST:
            raise NotApplicable(f"modes of {rows} coordinates and {game.map.size} features: at most {LARGEST}")
        slopes = game.map.slopes(points).reshape(rows, -1) / math.sqrt(len(points))
        gram = slopes.T @ slopes if slopes.shape[1] <= rows else slopes @ slopes.T
    elif game.name == "history" and rows <= LARGEST:
        assert game.metric is not None
        gram = game.height * kernel_gradient_gram(points, game.metric)
    else:
        raise NotApplicable(f"features = {game.name!r} with {rows} coordinates have no linear theory")
    values = np.linalg.eigvalsh(gram)[::-1]
    return np.asarray(values[values > _NEUTRAL * max(float(values[0]), 0.0)])


def matched_modes(game: "FeatureGAN") -> Linear:
    """The linearisation where the data are matched, in the coordinates of its modes; neutral motions are left out.

    Raises:
        NotApplicable: If that is no equilibrium or has no linearisation.
    """
    if game.ridge > 0:
        raise NotApplicable("with a ridge the matched data are no equilibrium")
    s = np.sqrt(strengths(game))
    slow, fast, penalty = game.generator_lr, game.discriminator_lr, game.critic_penalty
    if game.fast:
        return Linear(np.diag(-slow * s**2 / penalty), np.zeros(len(s)), len(s))
    zero = np.zeros((len(s), len(s)))
    jacobian = np.block([[zero, np.diag(slow * s)], [np.diag(-fast * s), -fast * penalty * np.eye(len(s))]])
    return Linear(jacobian, np.zeros(2 * len(s)), len(s))


def linearised(game: "FeatureGAN", points: Array, coefficients: Array) -> Linear:
    """The Jacobian of the flow at any state, particles (times 1 / sqrt(N)) before coefficients.

    Raises:
        NotApplicable: If there are no coefficients, or too many numbers.
    """
    m = game.map
    if m is None or game.entropy:
        raise NotApplicable(f"features = {game.name!r} (entropy = {game.entropy:g}) have no Jacobian here")
    count, axes = points.shape
    size = points.size + (0 if game.fast else m.size)
    if size > LARGEST:
        raise NotApplicable(f"the Jacobian has {size} rows: at most {LARGEST}")
    gradient, hessian = np.empty((count, axes)), np.empty((count, axes, axes))
    field(m.kind, points, coefficients, m.table, m.amplitudes, m.geometry, True, gradient, hessian)
    own = np.zeros((points.size, points.size))
    for i in range(count):
        block = slice(i * axes, (i + 1) * axes)
        own[block, block] = hessian[i] - game.ridge * np.eye(axes)
    slopes = m.slopes(points).reshape(points.size, -1) / math.sqrt(count)
    slow, fast, penalty = game.generator_lr, game.discriminator_lr, game.critic_penalty
    if game.fast:
        own -= slopes @ slopes.T / penalty
        return Linear(slow * own, np.zeros(size), points.size)
    critic = -penalty * np.eye(m.size)
    jacobian = np.block([[slow * own, slow * slopes], [-fast * slopes.T, fast * critic]])
    return Linear(jacobian, np.zeros(size), points.size)


def state_of(game: "FeatureGAN", at: object) -> tuple[Array, Array]:
    """Points and coefficients from what a caller calls a state: points alone have the best discriminator.

    Raises:
        ParameterError: If shapes do not fit.
    """
    assert game.map is not None
    pair = at if isinstance(at, Players | tuple) and len(at) == 2 else (at, None)
    given = np.asarray(pair[0], np.float64)
    points = np.array(given[:, None] if given.ndim == 1 else given)
    if points.ndim != 2 or points.shape[1] != game.axes or not np.all(np.isfinite(points)):
        raise ParameterError(
            "at", f"shape {given.shape}", f"points of shape (N, {game.axes}), or points and coefficients"
        )
    if pair[1] is None:
        return points, best_coefficients(game, points)
    coefficients = np.array(pair[1], np.float64)
    if coefficients.shape != (game.map.size,) or not np.all(np.isfinite(coefficients)):
        raise ParameterError(
            "at", f"coefficients of shape {coefficients.shape}", f"{game.map.size} finite coefficients"
        )
    return points, coefficients


def largest_discriminator(game: "FeatureGAN") -> float:
    """A bound on |a| at all times: its first value, or that of a discriminator between laws that do not overlap.

    Raises:
        NotApplicable: Without penalty, or if the features are not bounded.
    """
    if game.map is None or not math.isfinite(slope_bound(game.map)) or game.name == "linear":
        raise NotApplicable(f"features = {game.name!r} have no bound on the discriminator")
    if game.critic_penalty == 0:
        raise NotApplicable("without critic_penalty the discriminator has no bound")
    start = game.initial_discriminator
    first = 0.0
    if isinstance(start, np.ndarray):
        first = float(np.linalg.norm(start))
    elif game.starts_at_best:
        first = float(np.linalg.norm(best_coefficients(game, np.asarray(game.generated_points))))
    # A kernel with values >= 0 keeps two mean features within a right angle; others need not.
    height = math.sqrt(float(np.sum(game.map.amplitudes**2)) / 2) if game.name != "fourier" else math.sqrt(game.height)
    reach = math.sqrt(2) if game.name == "fourier" else 2.0
    return max(first, reach * height / game.critic_penalty)


def constants(game: "FeatureGAN") -> Constants:
    """Moduli of convexity and Lipschitz constants that hold at all times.

    Raises:
        NotApplicable: If the features are not bounded, or there is no penalty.
    """
    if game.fast or game.bandwidth_schedule is not None:
        raise NotApplicable("constants are for a discriminator that follows a flow of its own, at one bandwidth")
    largest = largest_discriminator(game)
    assert game.map is not None
    unit = np.zeros(game.map.size)
    unit[0] = largest
    coupling = slope_bound(game.map)
    return Constants(game.ridge - bend_bound(game.map, unit), game.critic_penalty, coupling, coupling)


def suprema(game: "FeatureGAN", horizon: float) -> Suprema:
    """Largest speeds and accelerations of both players along the flow, in their metrics."""
    from ganscope.core.simulate import simulate

    times = np.linspace(0.0, horizon, _FINE)
    run = simulate(game.replace(mode_radius=game.target_modes.radius), "flow", save_at=times)
    pair = game.pair()
    points, coefficients = game.states(run)
    x = np.stack([-game.generator_lr * pair.gradient(0, p, a) for p, a in zip(points, coefficients, strict=True)])
    y = np.stack([-game.discriminator_lr * pair.gradient(1, p, a) for p, a in zip(points, coefficients, strict=True)])

    def largest(v: Array, average: bool) -> tuple[float, float]:
        flat = v.reshape(len(v), -1)
        weight = 1 / math.sqrt(v.shape[1]) if average else 1.0
        bend = np.gradient(flat, times, axis=0)
        return weight * float(np.linalg.norm(flat, axis=1).max()), weight * float(np.linalg.norm(bend, axis=1).max())

    first, second = largest(x, True), largest(y, False)
    return Suprema(Players(first[0], second[0]), Players(first[1], second[1]))
