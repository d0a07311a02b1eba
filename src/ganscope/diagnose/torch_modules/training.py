"""Training a PyTorch game by its own rule, on copies of the user's modules in their own precision and modes.

Buffers move as in the user's own loop: running statistics of BatchNorm and singular vectors of spectral norms.
"""

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ganscope.core.game import Players
from ganscope.diagnose.change import Change
from ganscope.diagnose.torch_modules.copies import (
    Networks,
    Pair,
    copied,
    numpy_of,
    own_settings,
    private_randomness,
    working,
)
from ganscope.diagnose.torch_modules.flat_optimizer import FlatOptimizer
from ganscope.diagnose.torch_modules.optimizers import Extras
from ganscope.diagnose.torch_modules.products import recording
from ganscope.diagnose.training import Memory, Trained, TrainingRequest

if TYPE_CHECKING:
    from ganscope.diagnose.torch_modules.backend import TorchBackend

Array = npt.NDArray[np.float64]

# Marks the random stream of minibatches.
_STREAM = 0x62617463


def train(backend: "TorchBackend", request: TrainingRequest) -> Trained:
    """Train from a point by a rule, in the precision of the user's own parameters.

    Every step has a minibatch of its own, which depends on the seed, the iteration and the step's place in it only.

    Args:
        backend: Losses, networks and data.
        request: What is asked for.

    Returns:
        The run. It ends early where a number is no longer finite, with NaN for the records left out.
    """
    # one rescue of the user's random streams for the whole run
    with private_randomness(request.seed), recording():
        return _train(backend, request)


def _train(backend: "TorchBackend", request: TrainingRequest) -> Trained:
    run = _Run(backend, request)
    records = len(request.record_at)
    outputs: list[Array] = []
    norms: list[tuple[float, float]] = []
    done = 0
    for record in request.record_at:
        while done < record and run.finite():
            run.iterate(done)
            done += 1
        if done < record:
            break
        if backend.samples_known:
            outputs.append(run.outputs())
        norms.append(run.gradient_norms())
        if not run.finite():
            break
    finite = run.finite() and all(bool(np.isfinite(part).all()) for part in outputs[-1:])
    shown = _filled(outputs, records) if outputs else np.full((records, 0, 0), np.nan)
    notes = {"iterations": done}
    return Trained(shown, _filled(norms, records), run.point(), run.memory(), finite, notes)


class _Run:
    """Both players on their way."""

    def __init__(self, backend: "TorchBackend", request: TrainingRequest) -> None:
        self.backend, self.request, self.rule = backend, request, request.rule
        self.dtype = backend.training_dtype
        pair: Pair = copied(*backend.modules)
        _adopt_state(pair, backend.networks.pair)  # the backend's copies hold the buffers of its checkpoint
        self.networks = Networks(pair, backend.names, self.dtype, frozen_norms=False)
        tensors = dict(pair.named_parameters(remove_duplicate=False))
        self.parameters = Players(*([tensors[name] for name in own] for own in self.networks.full_names))
        self.device = self.networks.device
        self.optimizers = Players(*(self._optimizer(k) for k in (0, 1)))
        self.norms = [torch.zeros(()), torch.zeros(())]
        with torch.no_grad():
            self.latents = working(request.latents, self.dtype, self.device)

    def _optimizer(self, k: int) -> FlatOptimizer:
        flat = self.networks.vector(self.request.start[k])
        self._lay_into(k, flat)
        memory = self.request.memory
        moments = [torch.zeros_like(flat) for _ in range(2)]
        steps = 0
        if memory is not None:
            moments = [self.networks.vector(memory.first[k]), self.networks.vector(memory.second[k])]
            steps = int(memory.steps[k])
        player = (self.rule.generator, self.rule.discriminator)[k]
        extras: Extras = self.backend.extras[k]
        if steps == 0:  # a new optimizer, whatever the user's own has done
            extras = dataclasses.replace(extras, older=0)
        return FlatOptimizer(player, extras, flat, moments[0], moments[1], steps)

    def _lay_into(self, k: int, flat: Tensor) -> None:
        """Make the copies' parameters views of one vector, so that its steps move them."""
        parts = torch.split(flat, self.networks.lengths[k])
        for parameter, part, shape in zip(self.parameters[k], parts, self.networks.shapes[k], strict=True):
            parameter.data = part.view(shape)

    def iterate(self, iteration: int) -> None:
        """One training iteration."""
        slopes = []
        simultaneous = self.rule.order == "simultaneous"
        for inner in range(1, self.rule.discriminator_steps + 1):
            slopes = self._gradient(1, iteration, inner)
            if not simultaneous:
                self._step(1, slopes)
        own = self._gradient(0, iteration, 0)
        if simultaneous:
            self._step(1, slopes)
        self._step(0, own)

    def _gradient(self, player: int, iteration: int, inner: int) -> list[Tensor]:
        source = np.random.SeedSequence([_STREAM, self.request.seed, iteration, inner])
        draw = self.backend.draw(int(source.generate_state(1)[0]), self.request.batch_size)
        batch, latents = (working(part, self.dtype, self.device) for part in (draw.batch, draw.latents))
        change: Change = self.request.change
        with self._settings(draw.key), self.networks.instance_noise(change.instance_noise, draw.key):
            losses = self.networks.pair(
                self.backend.functions.both_losses, batch, latents, lambda: self.backend.key(draw.key), change
            )
            if not losses[player].requires_grad:
                return [torch.zeros_like(parameter) for parameter in self.parameters[player]]
            return list(torch.autograd.grad(losses[player], self.parameters[player], materialize_grads=True))

    def _step(self, player: int, slopes: list[Tensor]) -> None:
        with torch.no_grad():
            flat = torch.cat([slope.reshape(-1) for slope in slopes])
            self.norms[player] = flat.norm()
            self.optimizers[player].step(flat)

    @contextlib.contextmanager
    def _settings(self, seed: int) -> Iterator[None]:
        with own_settings(self.dtype, self.device, seed):
            yield

    def outputs(self) -> Array:
        """Generated samples at the fixed latents; buffers are as before."""
        self.networks.buffers = dict(self.networks.pair.named_buffers())
        with self._settings(0), torch.no_grad():
            flat = (self.optimizers[0].parameters, self.optimizers[1].parameters)
            made = self.networks.run(*flat, lambda g, d: self.backend.functions.samples(g, self.latents))
        return numpy_of(made).reshape(len(made), -1)

    def finite(self) -> bool:
        """Whether all parameters are finite."""
        return all(bool(torch.isfinite(one.parameters).all()) for one in self.optimizers)

    def gradient_norms(self) -> tuple[float, float]:
        """Norms of the last gradients."""
        return float(self.norms[0]), float(self.norms[1])

    def point(self) -> Players:
        """Flat parameters."""
        return Players(*(numpy_of(one.parameters).copy() for one in self.optimizers))

    def memory(self) -> Memory:
        """What the optimizers remember."""
        first, second = (
            Players(*(numpy_of(getattr(one, part)).copy() for one in self.optimizers)) for part in ("first", "second")
        )
        return Memory(first, second, Players(*(one.steps for one in self.optimizers)))


def _adopt_state(pair: Pair, source: Pair) -> None:
    """Parameters and buffers of another pair of the same structure."""
    with torch.no_grad():
        for own, other in ((pair.parameters(), source.parameters()), (pair.buffers(), source.buffers())):
            for tensor, value in zip(own, other, strict=True):
                tensor.copy_(value)


def _filled(rows: Any, records: int) -> Array:
    """Rows one above the other, NaN below the last one."""
    full = np.full((records, *np.shape(rows[0])), np.nan)
    full[: len(rows)] = rows
    return full
