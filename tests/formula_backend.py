"""A backend whose velocity is a formula, so that everything about it is known: no networks, no library."""

import copy

import numpy as np

from ganscope.core.game import Players
from ganscope.diagnose.backend import Backend, Draw, Linearised
from ganscope.diagnose.change import UNCHANGED
from ganscope.diagnose.training import Memory, Trained


class FormulaBackend(Backend):
    """v(w) = A w + noise of the draw - cubic w^3, samples x_i = theta + width z_i, unit penalty |phi|^2 / 2.

    Args:
        matrix: A, generator first.
        generator_size: Number of generator parameters, the dimension of the samples.
        start: Checkpoint `[n]`.
        cubic: Strength of the nonlinear part.
        noise: Of every draw.
        width: Of the samples.
        data: Real samples `[m, d]`.
    """

    name = "formula"
    samples_known, scores_known, penalty_known, noise_known = True, True, True, False

    def __init__(self, matrix, generator_size, start=None, cubic=0.0, noise=0.0, width=1.0, data=None):
        self.matrix = np.asarray(matrix, float)
        n = len(self.matrix)
        self.sizes = Players(generator_size, n - generator_size)
        self.cubic, self.noise, self.width = cubic, noise, width
        self.data = np.random.default_rng(9).standard_normal((2000, generator_size)) if data is None else data
        self.point = self.split(np.zeros(n) if start is None else np.asarray(start, float))

    def split(self, w):
        return Players(w[: self.sizes.generator], w[self.sizes.generator :])

    def at(self, point):
        other = copy.copy(self)
        other.point = Players(*(np.asarray(p, float) for p in point))
        return other

    def draw(self, seed, count):
        rng = np.random.default_rng([seed, count])
        push = self.noise * rng.standard_normal(sum(self.sizes)) / np.sqrt(count)
        return Draw(self.data[rng.integers(0, len(self.data), count)], self.latents(seed, count), push)

    def draws(self, seed, count, number):
        return [self.draw(seed * 1000 + k, count) for k in range(number)]

    def losses(self, point, draw, change=UNCHANGED):
        raise NotImplementedError

    def velocity(self, point, draw, change=UNCHANGED):
        w = np.concatenate(point)
        v = self.matrix @ w + draw.key - self.cubic * w**3
        v[self.sizes.generator :] -= change.added * point[1]
        return self.split(v)

    def velocities(self, point, draws, change=UNCHANGED):
        return np.stack([np.concatenate(self.velocity(point, d, change)) for d in draws])

    def jacobian(self, point, change=UNCHANGED):
        w = np.concatenate(point)
        penalty = np.where(np.arange(len(w)) >= self.sizes.generator, change.added, 0.0)
        return self.matrix - np.diag(3 * self.cubic * w**2 + penalty)

    def linearise(self, point, draw, change=UNCHANGED):
        return FormulaLinearised(self, point, draw, change)

    def outputs(self, generator, latents):
        return generator + self.width * latents

    def output_products(self, generator, latents, directions):
        return np.repeat(directions[:, None, :], len(latents), axis=1)

    def output_gradients(self, generator, latents, weights):
        return np.repeat(np.asarray(weights)[None], len(latents), axis=0)

    def latents(self, seed, count):
        return np.random.default_rng([77, seed]).standard_normal((count, self.sizes.generator))

    def real_samples(self, draw):
        return draw.batch

    def score_slopes(self, point, draw):
        return np.full(len(draw.batch), np.linalg.norm(point[1])), np.zeros(len(draw.batch))

    def train(self, request):
        """Plain gradient steps and momentum."""
        rule, point = request.rule, request.start
        memory = Players(*(np.zeros(n) for n in self.sizes)) if request.memory is None else request.memory.first
        rows, norms, k = [], [], 0
        for record in request.record_at:
            while k < record:
                steps = rule.discriminator_steps
                for j in range(steps + 1):
                    mover = 1 if j < steps else 0
                    v = self.velocity(point, self.draw(request.seed * 7919 + k * (steps + 1) + j, 8), request.change)
                    player = rule.discriminator if mover else rule.generator
                    m = player.memory * memory[mover] - player.kappa * v[mover]
                    p = point[mover] - player.learning_rate * m
                    point = point._replace(**{Players._fields[mover]: p})
                    memory = memory._replace(**{Players._fields[mover]: m})
                k += 1
            rows.append(self.outputs(point[0], request.latents))
            norms.append([1.0, 1.0])
        finite = bool(np.all(np.isfinite(np.concatenate(point))))
        zeros = Players(*(np.zeros(n) for n in self.sizes))
        return Trained(np.array(rows), np.array(norms), point, Memory(memory, zeros, Players(k, k)), finite)


class FormulaLinearised(Linearised):
    def __init__(self, backend, point, draw, change):
        self.whole, self.split = backend.jacobian(point, change), backend.sizes.generator
        self.velocity = backend.velocity(point, draw, change)

    def products(self, directions):
        return directions @ self.whole.T

    def block_products(self, of, by, directions):
        parts = slice(0, self.split), slice(self.split, None)
        return directions @ self.whole[parts[of], parts[by]].T

    def mixed_adjoints(self, directions):
        return directions @ self.whole[: self.split, self.split :]

    def penalty_products(self, directions):
        return -directions[:, self.split :]


class FormulaGame:
    """What a monitor needs of a real game."""

    train_batch_size = 16
    planned_iterations = None

    def __init__(self, backend, rule):
        self.backend, self.rule = backend, rule

    def refreshed(self):
        return self

    def at(self, generator_parameters, discriminator_parameters, rule=None):
        point = Players(generator_parameters, discriminator_parameters)
        return FormulaGame(self.backend.at(point), self.rule if rule is None else rule)


def rotating_matrix(size, rng, friction=0.3):
    """A game of `size` modes with skew mixed blocks and damped discriminators."""
    mixed = rng.standard_normal((size, size)) / np.sqrt(size)
    return np.block([[np.zeros((size, size)), mixed], [-mixed.T, -friction * np.eye(size)]])
