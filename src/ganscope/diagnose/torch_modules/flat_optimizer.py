"""Steps of PyTorch's optimizers on one flat vector of parameters."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ganscope.diagnose.rule import Player
from ganscope.diagnose.torch_modules.optimizers import Extras


class FlatOptimizer:
    """An optimizer on one flat vector, step by step as torch.optim's, in the vector's own precision.

    Args:
        player: The optimizer; its moments are not looked at.
        extras: What it does besides.
        parameters: The vector, changed in place.
        first, second: Moments at the start, changed in place.
        steps: Steps that they have seen.
    """

    def __init__(
        self, player: Player, extras: Extras, parameters: Tensor, first: Tensor, second: Tensor, steps: int
    ) -> None:
        self.player, self.extras = player, extras
        self.parameters, self.first, self.second, self.steps = parameters, first, second, steps
        self._rate = _on(parameters, player.learning_rate)
        self._decay = _on(parameters, extras.weight_decay)
        self._older = _on(parameters, extras.older)
        self._fresh = extras.undamped != 1 and not bool(first.any())
        update: dict[str, Callable[[Tensor], Tensor]] = {
            "sgd": lambda gradient: gradient,
            "momentum": self._momentum,
            "adam": self._adam,
            "rmsprop": self._rmsprop,
        }
        self._update = update[player.kind]

    def step(self, gradient: Tensor) -> None:
        """One step against a gradient."""
        self.steps += 1
        decays = isinstance(self._decay, Tensor) or self._decay != 0
        if decays and self.extras.decoupled:
            self.parameters.mul_(1 - self._rate * self._decay)
        elif decays:
            gradient = gradient + self._decay * self.parameters
        move = self._update(gradient)
        if isinstance(self._rate, Tensor):
            self.parameters.sub_(self._rate * move)
        else:
            self.parameters.add_(move, alpha=-self._rate)

    def _momentum(self, gradient: Tensor) -> Tensor:
        self.first.mul_(self.player.momentum).add_(gradient, alpha=1 / self.extras.undamped if self._fresh else 1)
        self._fresh = False
        if self.extras.nesterov:
            return torch.add(gradient, self.first, alpha=self.player.momentum)
        return self.first

    def _adam(self, gradient: Tensor) -> Tensor:
        player = self.player
        self.first.lerp_(gradient, 1 - player.beta1)
        self.second.mul_(player.beta2).addcmul_(gradient, gradient, value=1 - player.beta2)
        steps = self.steps + self._older
        age = (1 - player.beta1**steps, 1 - player.beta2**steps)
        youth = age[1].sqrt() if isinstance(age[1], Tensor) else math.sqrt(age[1])
        root = (self.second.sqrt() / youth).add_(player.eps)
        move: Tensor = (self.first / root).div_(age[0])
        return move

    def _rmsprop(self, gradient: Tensor) -> Tensor:
        player = self.player
        self.second.mul_(player.beta2).addcmul_(gradient, gradient, value=1 - player.beta2)
        move = gradient / self.second.sqrt().add_(player.eps)
        if player.momentum == 0:
            return move
        self.first.mul_(player.momentum).add_(move)
        return self.first


def _on(vector: Tensor, value: Any) -> Any:
    """A number, or an array as a tensor beside the parameters."""
    array = np.asarray(value, np.float64)
    return float(array) if array.ndim == 0 else torch.tensor(array, dtype=vector.dtype, device=vector.device)
