"""The derivative of a PyTorch game's velocity: one graph per point, replayed for every block of directions."""

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ganscope.core.errors import ParameterError
from ganscope.core.game import Players
from ganscope.diagnose.backend import Draw, Linearised, Point
from ganscope.diagnose.change import Change
from ganscope.diagnose.torch_modules.copies import numpy_of, tensors_of
from ganscope.diagnose.torch_modules.functions import memory_errors
from ganscope.diagnose.torch_modules.products import Products, gradient

if TYPE_CHECKING:
    from ganscope.diagnose.torch_modules.backend import TorchBackend

Array = npt.NDArray[np.float64]


class TorchLinearised(Linearised):
    """Products with J at one point; the graphs of its parts are built when they are first needed."""

    def __init__(self, backend: "TorchBackend", point: Point, draw: Draw, change: Change) -> None:
        self._backend, self._draw, self._change = backend, draw, change
        self._leaves = backend.leaves(point)
        count = len(tensors_of(draw.latents)[0])
        self._block = backend.block(count, sum(backend.sizes))
        with second_derivatives("losses"):
            losses = backend.loss_tensors(*self._leaves, draw, change)
        self._gradients = []
        for name, loss, leaf in zip(("generator loss", "discriminator loss"), losses, self._leaves, strict=True):
            with second_derivatives(name):
                self._gradients.append(gradient(loss, leaf, create_graph=True))
        self.velocity = Players(*(-numpy_of(part) for part in self._gradients))
        self._parts: dict[str, Products] = {}

    def products(self, directions: Array) -> Array:
        """J x."""
        made = self._products("field", self._gradients, self._leaves).products(self._rows(directions))
        return -np.concatenate([numpy_of(part) for part in made], axis=1)

    def block_products(self, of: int, by: int, directions: Array) -> Array:
        """One block of J."""
        part = self._block_of(of, by)
        return -numpy_of(part.products([self._backend.networks.vector(directions)])[0])

    def mixed_adjoints(self, directions: Array) -> Array:
        """B^T x."""
        part = self._block_of(0, 1)
        return -numpy_of(part.adjoints([self._backend.networks.vector(directions)])[0])

    def penalty_products(self, directions: Array) -> Array:
        """The unit penalty's own derivative."""
        if "penalty" not in self._parts:
            with second_derivatives("penalty"):
                penalty = self._backend.penalty_tensor(*self._leaves, self._draw, self._change)
                slope = gradient(penalty, self._leaves[1], create_graph=True)
            self._parts["penalty"] = _Named("penalty", [slope], self._leaves, self._block)
        return -numpy_of(self._parts["penalty"].products(self._rows(directions))[0])

    def _block_of(self, of: int, by: int) -> Products:
        return self._products(f"block {of} {by}", self._gradients[of : of + 1], self._leaves[by : by + 1])

    def _products(self, name: str, outputs: list[Tensor], inputs: tuple[Tensor, ...]) -> Products:
        if name not in self._parts:
            self._parts[name] = _Named("losses", outputs, inputs, self._block)
        return self._parts[name]

    def _rows(self, directions: Array) -> list[Tensor]:
        rows = self._backend.networks.vector(directions)
        return list(torch.split(rows, list(self._backend.sizes), dim=1))


class _Named(Products):
    """Products whose failures name a function of the user."""

    def __init__(self, name: str, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._name = name

    def products(self, rows: Any) -> list[Tensor]:
        with second_derivatives(self._name):
            return super().products(rows)

    def adjoints(self, rows: Any) -> list[Tensor]:
        with second_derivatives(self._name):
            return super().adjoints(rows)


@contextlib.contextmanager
def second_derivatives(name: str) -> Iterator[None]:
    """Name the function whose derivatives torch cannot take."""
    try:
        with memory_errors():
            yield
    except (RuntimeError, NotImplementedError) as error:
        raise ParameterError(
            name,
            f"{type(error).__name__}: {error}",
            "operations that can be differentiated twice (no fused kernels without second derivatives, no "
            "once_differentiable functions)",
        ) from error
