"""A `FeatureGAN` as a pair of gradient flows, one in Wasserstein space and one among the coefficients of features."""

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ganscope.core.game import Players
from ganscope.games.dualflow.failures import ProxNotConverged, StepTooLarge
from ganscope.games.dualflow.feature import engine
from ganscope.games.dualflow.feature.maps import HARMONIC, POLYNOMIAL, WAVES, FeatureMap
from ganscope.games.dualflow.feature.sums import field, mean
from ganscope.games.dualflow.pair import Pair
from ganscope.games.dualflow.spaces import Box, Euclidean, Particles, Quantiles

if TYPE_CHECKING:
    from ganscope.games.dualflow.feature.model import FeatureGAN

Array = npt.NDArray[np.float64]

TOO_LARGE = (
    "a proximal problem of the generator is not strictly convex: step_size * generator_lr * |curvature of the "
    "discriminator| >= 1; reduce step_size"
)


def pair_of(game: "FeatureGAN") -> Pair:
    """The pair behind a game, by the way its discriminator is held."""
    from ganscope.games.dualflow.feature import history as feature_history
    from ganscope.games.dualflow.feature import limit as feature_limit

    if game.fast:
        return feature_limit.limit_of(game)
    return FeaturePair(game) if game.map is not None else feature_history.HistoryPair(game)


def space_of(points: Array) -> Euclidean:
    """The space of laws that points belong to."""
    return Quantiles(points.shape) if points.shape[1] == 1 else Particles(points.shape)


def targets(game: "FeatureGAN") -> list[Array]:
    """The real law, where it has as many points as the generator."""
    return [np.asarray(game.real)] if game.real.shape == game.generated_points.shape else []


def mean_features(features: FeatureMap, points: Array) -> Array:
    """Mean features of points `[N, d]`, shape `[p]`."""
    out = np.empty(features.size)
    mean(features.kind, np.array(points), features.table, features.amplitudes, features.geometry, out)
    return out


def discriminator_gradient(features: FeatureMap, points: Array, a: Array) -> Array:
    """Gradient of a . phi at points, shape `[N, d]`."""
    out, unused = np.empty(points.shape), np.empty((1, points.shape[1], points.shape[1]))
    field(
        features.kind, np.array(points), np.array(a), features.table, features.amplitudes, features.geometry, False,
        out, unused,
    )  # fmt: skip
    return out


class FeaturePair(Pair):
    """The dual flow of particles and coefficients.

    Args:
        game: Its parameters.
    """

    def __init__(self, game: "FeatureGAN") -> None:
        assert game.map is not None
        self.game, self.map = game, game.map
        shape = (game.map.size,)
        critic = Euclidean(shape) if game.clip is None else Box(shape, game.clip)
        self.spaces = Players(space_of(game.generated_points), critic)
        self.speeds = Players(game.generator_lr, game.discriminator_lr)
        self.target = mean_features(self.map, game.real)

    def _away(self, x: Array) -> Array:
        return np.asarray(x - np.asarray(self.game.center))

    def energy(self, player: int, x: Array, y: Array) -> float:
        game = self.game
        if player:
            difference = mean_features(self.map, x) - self.target
            return float(y @ difference + 0.5 * game.critic_penalty * (y @ y))
        total = -float(np.mean(self.map.values(x) @ y))
        total += 0.5 * game.ridge * float(np.mean(np.sum(self._away(x) ** 2, axis=-1)))
        if game.entropy:
            gaps = np.diff(np.sort(x[:, 0]))
            total -= game.entropy / len(x) * float(np.sum(np.log(len(x) * gaps)))
        return total

    def gradient(self, player: int, x: Array, y: Array) -> Array:
        game = self.game
        if player:
            return np.asarray(mean_features(self.map, x) - self.target + game.critic_penalty * y)
        result = -discriminator_gradient(self.map, x, y) + game.ridge * self._away(x)
        if game.entropy:
            force = game.entropy / np.diff(x[:, 0])
            result[:-1, 0] += force
            result[1:, 0] -= force
        return result

    def prox(self, player: int, x: Array, y: Array, step: float, tolerance: float, iterations: int) -> Array:
        game = self.game
        if player:
            s = step * game.discriminator_lr
            new = (y + s * (self.target - mean_features(self.map, x))) / (1 + s * game.critic_penalty)
            return np.asarray(new if game.clip is None else np.clip(new, -game.clip, game.clip))
        out, info = np.empty(x.shape), np.zeros(2)
        centre = np.broadcast_to(np.asarray(game.center, np.float64), (game.axes,)).copy()
        solver, speed = np.array([tolerance, iterations]), step * game.generator_lr
        m = self.map
        status = engine.generate(
            True, m.kind, np.array(x), np.array(y), m.table, m.amplitudes, m.geometry, centre, speed, game.ridge,
            game.entropy, solver, out, info,
        )  # fmt: skip
        if status == engine.TOO_LARGE:
            raise StepTooLarge(TOO_LARGE)
        if status == engine.TIED:
            game.require_distinct()
        if status == engine.NO_PROX:
            raise ProxNotConverged(int(info[0]), float(info[1]))
        return out

    def convexity(self, player: int, x: Array, y: Array) -> float:
        if player:
            return self.game.critic_penalty
        return self.game.ridge - bend_bound(self.map, y)

    def contraction(self, x: Array, y: Array, step: float) -> float:
        game, m = self.game, self.map
        coupling = slope_bound(m)
        below = (1 + step * game.generator_lr * self.convexity(0, x, y)) * (
            1 + step * game.discriminator_lr * game.critic_penalty
        )
        return float(step**2 * game.generator_lr * game.discriminator_lr * coupling**2 / below) if below > 0 else np.inf

    def test_points(self, player: int) -> list[Array]:
        return [np.zeros(self.map.size)] if player else targets(self.game)


def _wave_numbers(m: FeatureMap) -> Array:
    """Squared wave number of every feature, shape `[p]`."""
    if m.kind == HARMONIC:
        j = np.arange(1, m.size // 2 + 1)
        squares = (2 * np.pi * m.geometry[0] * j) ** 2
        return np.concatenate([[0.0], squares, squares])
    squares = np.sum((2 * np.pi * m.table) ** 2, axis=0)
    return np.concatenate([squares, squares])


def bend_bound(m: FeatureMap, a: Array) -> float:
    """A bound on the largest curvature of a . phi; for a Gaussian kernel on a line sqrt(3) |a| / bandwidth^2."""
    if m.kind in (HARMONIC, WAVES):
        # Cosine and sine of a frequency contribute amplitude^2 (cos^2 + sin^2) to the squared norm of phi''.
        norm = np.sqrt(np.sum(m.amplitudes**2 * _wave_numbers(m) ** 2) / 2)
        return float(np.linalg.norm(a) * norm)
    if m.kind == POLYNOMIAL:
        if m.size == m.axes:
            return 0.0
        w = (m.amplitudes * a)[m.axes :].reshape(m.axes, m.axes)
        return float(np.linalg.eigvalsh(w + w.T)[-1])
    return float(np.max(np.diff(m.amplitudes * a)) / m.geometry[1] ** 2)


def slope_bound(m: FeatureMap) -> float:
    """Lipschitz constant of grad (a . phi) in a; 1 / bandwidth for a Gaussian kernel, infinite if unbounded."""
    if m.kind in (HARMONIC, WAVES):
        return float(np.sqrt(np.sum(m.amplitudes**2 * _wave_numbers(m)) / 2))
    return 1.0 if m.kind == POLYNOMIAL and m.size == m.axes else np.inf
