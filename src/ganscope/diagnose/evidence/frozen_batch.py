r"""The user's training iteration on one fixed minibatch, as a map, and its exact derivative.

State: parameters theta, phi and memories m_G, m_D, all whitened (in units of s = sqrt(learning rate * preconditioner)
of each parameter). With u = kappa s v of the moving player's velocity v,

    m <- beta m + u,   w <- w + m,

discriminator first and discriminator_steps times if alternating, both from the old state if simultaneous. Second
moments are frozen, which makes the preconditioner part of s; or alive, which makes the steps those of the optimizer.

References:
    Kingma, Ba. Adam: a method for stochastic optimization. ICLR 2015.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ganscope.core.errors import ParameterError
from ganscope.core.game import Players
from ganscope.diagnose.backend import Backend, Draw, Linearised
from ganscope.diagnose.change import UNCHANGED, Change
from ganscope.diagnose.instruments.arnoldi import Products
from ganscope.diagnose.instruments.rotation import Whitening, needs_second_moments
from ganscope.diagnose.rule import Player, UpdateRule
from ganscope.diagnose.training import Memory

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Side:
    """One player.

    Attributes:
        parameters: The user's own, `[n]`.
        memory: m, as a step of the parameters, `[n]`.
        second: Second moment as the optimizer stores it, `[n]`; looked at only while it is alive.
        steps: Steps that it has seen.
    """

    parameters: Array
    memory: Array
    second: Array
    steps: int


State = Players  # of Sides


class FrozenBatch:
    """One training iteration on a fixed minibatch.

    Args:
        backend: Losses and networks.
        rule: The update rule.
        unit: Whitening.
        draw: The minibatch.
        change: Of the discriminator's loss.
    """

    def __init__(
        self, backend: Backend, rule: UpdateRule, unit: Whitening, draw: Draw, change: Change = UNCHANGED
    ) -> None:
        self.backend, self.rule, self.draw, self.change = backend, rule, draw, change
        self.scales = Players(unit.generator, unit.discriminator)
        self.players = Players(rule.generator, rule.discriminator)
        self.size = 2 * sum(backend.sizes)

    def start(self, memory: Memory | None = None) -> State:
        """The checkpoint with its optimizers' memory; None: that of the rule's players, zero where they tell nothing.

        Raises:
            ParameterError: If a memory does not fit the parameters.
        """
        sides = []
        for k in (0, 1):
            player, parameters = self.players[k], np.asarray(self.backend.point[k], np.float64)
            given = (player.first_moment, player.second_moment, player.step)
            first, second, steps = given if memory is None else (memory.first[k], memory.second[k], memory.steps[k])
            if needs_second_moments(player):
                second, steps = None, None  # the scale was made of an estimate instead
            rate = np.asarray(player.learning_rate, np.float64)
            # Adam stores a mean gradient that the preconditioner meets later; the others store steps per learning rate.
            factor = self.scales[k] ** 2 if player.kind == "adam" else rate
            sides.append(
                Side(
                    parameters,
                    -factor * _moment("first_moment", first, parameters),
                    self._second_moment(k, second, steps, parameters),
                    int(steps) if steps is not None else 10**9,
                )
            )
        return Players(*sides)

    def _second_moment(self, k: int, stored: Any, steps: Any, parameters: Array) -> Array:
        """As stored, or what the scale was made of: a live run starts where the frozen one does."""
        player = self.players[k]
        if not player.adaptive:
            return np.zeros_like(parameters)
        if stored is not None and np.any(np.asarray(stored)):
            return _moment("second_moment", stored, parameters)
        rate = np.asarray(player.learning_rate, np.float64)
        root = np.maximum(rate / self.scales[k] ** 2 - player.eps, 0.0)
        youth = 1 - player.beta2 ** int(steps) if player.kind == "adam" and steps else 1.0
        return np.asarray(root**2 * youth)

    def step(self, state: State, live: bool = False) -> State:
        """One iteration; `live` moves the second moments, too."""
        generator, discriminator = state
        if self.rule.order == "simultaneous":
            velocity = self._velocity(state)
            return Players(
                self._moved(0, generator, velocity[0], live), self._moved(1, discriminator, velocity[1], live)
            )
        for _ in range(self.rule.discriminator_steps):
            here = Players(generator, discriminator)
            discriminator = self._moved(1, discriminator, self._velocity(here)[1], live)
        return Players(
            self._moved(0, generator, self._velocity(Players(generator, discriminator))[0], live), discriminator
        )

    def derivative(self, state: State) -> Products:
        """Products with the derivative of one iteration, second moments frozen: whitened rows `[k, size]` to the same.

        The velocity is linearised once at every point that the iteration passes.
        """
        stages: list[tuple[Linearised, tuple[int, ...]]] = []
        if self.rule.order == "simultaneous":
            stages.append((self._linearised(state), (0, 1)))
        else:
            generator, discriminator = state
            for _ in range(self.rule.discriminator_steps):
                here = Players(generator, discriminator)
                stages.append((self._linearised(here), (1,)))
                discriminator = self._moved(1, discriminator, stages[-1][0].velocity[1], live=False)
            stages.append((self._linearised(Players(generator, discriminator)), (0,)))
        n_g, n = self.backend.sizes.generator, sum(self.backend.sizes)
        parts = (slice(0, n_g), slice(n_g, n))

        def products(rows: Array) -> Array:
            w, m = rows[:, :n].copy(), rows[:, n:].copy()
            for linearised, movers in stages:
                before = [w[:, part] * scale for part, scale in zip(parts, self.scales, strict=True)]
                for k in movers:
                    own, player = parts[k], self.players[k]
                    force = sum(linearised.block_products(k, by, before[by]) for by in (0, 1)) * self.scales[k]
                    m[:, own] = player.memory * m[:, own] + player.kappa * force
                    w[:, own] += m[:, own]
            return np.concatenate([w, m], axis=1)

        return products

    def vector(self, state: State) -> Array:
        """A state as one whitened vector `[size]`."""
        parts = [side.parameters / s for side, s in zip(state, self.scales, strict=True)]
        return np.concatenate(parts + [side.memory / s for side, s in zip(state, self.scales, strict=True)])

    def moved(self, state: State, vector: Array) -> State:
        """A state displaced by a whitened vector."""
        n_g, n_d = self.backend.sizes
        cuts = np.split(vector, [n_g, n_g + n_d, 2 * n_g + n_d])
        return Players(
            *(
                replace(side, parameters=side.parameters + s * cuts[k], memory=side.memory + s * cuts[2 + k])
                for k, (side, s) in enumerate(zip(state, self.scales, strict=True))
            )
        )

    def _velocity(self, state: State) -> Players:
        return self.backend.velocity(_point(state), self.draw, self.change)

    def _linearised(self, state: State) -> Linearised:
        return self.backend.linearise(_point(state), self.draw, self.change)

    def _moved(self, k: int, side: Side, velocity: Array, live: bool) -> Side:
        """One player's step."""
        player: Player = self.players[k]
        if not (live and player.adaptive):
            memory = player.memory * side.memory + player.kappa * self.scales[k] ** 2 * velocity
            return replace(side, parameters=side.parameters + memory, memory=memory, steps=side.steps + 1)
        rate = np.asarray(player.learning_rate, np.float64)
        steps = side.steps + 1
        second = player.beta2 * side.second + (1 - player.beta2) * velocity**2
        if player.kind == "rmsprop":
            memory = player.memory * side.memory + rate * velocity / (np.sqrt(second) + player.eps)
            return Side(side.parameters + memory, memory, second, steps)
        # The memory is kept in units of the frozen scale, so that states compare; Adam's own is a mean gradient.
        memory = player.memory * side.memory + player.kappa * self.scales[k] ** 2 * velocity
        youth = 1 - player.beta2**steps
        factor = rate / (np.sqrt(second / youth) + player.eps) / self.scales[k] ** 2
        return Side(side.parameters + factor * memory / (1 - player.beta1**steps), memory, second, steps)


def _point(state: State) -> Players:
    return Players(state.generator.parameters, state.discriminator.parameters)


def _moment(name: str, value: Any, parameters: Array) -> Array:
    if value is None:
        return np.zeros_like(parameters)
    array = np.asarray(value, np.float64).reshape(-1)
    if array.shape != parameters.shape:
        raise ParameterError(name, f"shape {array.shape}", f"one number per parameter, shape {parameters.shape}")
    return array
