"""Minibatches of a PyTorch game: seeded, in the working precision, and nobody's own tensors."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from ganscope.core.errors import ParameterError
from ganscope.diagnose.backend import Draw
from ganscope.diagnose.torch_modules.copies import mapped, own_settings, tensors_of, working
from ganscope.diagnose.torch_modules.data import Source


class Draws:
    """Seeded minibatches.

    Args:
        data, latents: (key, n) -> batch, (key, n) -> latents.
        dtype, device: Of what is drawn.
    """

    def __init__(self, data: Source, latents: Source, dtype: torch.dtype, device: torch.device) -> None:
        self._data, self._latents, self._dtype, self._device = data, latents, dtype, device

    def one(self, seed: int, count: int) -> Draw:
        """A minibatch."""
        return self._draw(np.random.SeedSequence(seed), count)

    def several(self, seed: int, count: int, number: int) -> Sequence[Draw]:
        """Independent minibatches."""
        return [self._draw(np.random.SeedSequence([seed, k]), count) for k in range(number)]

    def latents(self, seed: int, count: int) -> Any:
        """Latents alone."""
        return self._from("latents", self._latents, int(_seeds(np.random.SeedSequence(seed))[1]), count)

    def key(self, seed: int) -> torch.Generator:
        """The key of that seed."""
        return torch.Generator(self._device).manual_seed(seed)

    def _draw(self, source: np.random.SeedSequence, count: int) -> Draw:
        seeds = [int(seed) for seed in _seeds(source)]
        batch = self._from("data", self._data, seeds[0], count)
        return Draw(batch, self._from("latents", self._latents, seeds[1], count), seeds[2])

    def _from(self, name: str, source: Source, seed: int, count: int) -> Any:
        with own_settings(self._dtype, self._device, seed):
            try:
                # cloned: what comes may be a part of the user's own data, which the losses could write into
                values = mapped(lambda t: t.clone(), source(self.key(seed), count))
                values = working(values, self._dtype, self._device)
                found = tensors_of(values)
            except MemoryError:
                raise
            except Exception as error:  # the user's own code may raise anything
                told = f"{type(error).__name__}: {error}"
                raise ParameterError(name, told, f"a function (key, n) that runs; here n = {count}") from error
        if not found or (found[0].ndim and len(found[0]) != count):
            told = f"{len(found[0])} samples for n = {count}" if found else type(values).__name__
            raise ParameterError(name, told, "tensors with exactly n samples from (key, n)")
        return values


def _seeds(source: np.random.SeedSequence) -> npt.NDArray[np.uint64]:
    """Seeds of data, latents and everything else."""
    return source.generate_state(3, np.uint64) >> np.uint64(1)
