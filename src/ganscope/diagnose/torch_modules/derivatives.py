"""Whether derivatives of a PyTorch game agree with finite differences, which know nothing of autograd."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ganscope.core.errors import ParameterError
from ganscope.core.game import Players
from ganscope.diagnose.backend import Draw
from ganscope.diagnose.change import UNCHANGED
from ganscope.diagnose.torch_modules.backend import TorchBackend
from ganscope.diagnose.torch_modules.products import gradient

# Steps of finite differences, in units of the parameters' norm; kinks of activations spoil single ones.
_STEPS = (1e-5, 1e-6, 1e-7)
# Disagreement of derivatives with finite differences that counts as a wrong derivative.
_TOLERANCE = 1e-4
_SINGLE_STEPS = (1e-2, 1e-3)
_SINGLE_TOLERANCE = 0.1
_NOT_FINITE = "its derivatives are not finite"


class Wrong(NamedTuple):
    """What is wrong with derivatives, empty if nothing; `certain` unless rounding or kinks could be the reason."""

    message: str
    certain: bool = True


def wrong_derivatives(backend: TorchBackend, draw: Draw, random: np.random.Generator) -> Wrong | None:
    """Gradients against differences of losses, products against differences of gradients; the first that fails.

    Args:
        backend: The game; it is looked at in float64 where possible, since rounding in float32 asks for steps that
            cross kinks of activations.
        draw: A minibatch.
        random: Of the directions.

    Returns:
        What was found; None where parameters or losses are not finite.
    """
    backend = backend.in_precision(np.float64)
    point = backend.point
    losses = backend.losses(point, draw)
    if not all(np.isfinite(part).all() for part in (*point, *losses)):
        return None
    directions = [random.standard_normal(size) for size in backend.sizes]
    directions = [d / np.linalg.norm(d) for d in directions]
    functions: list[tuple[str, int, Callable[[Tensor, Tensor], Tensor]]] = [
        ("generator loss", 0, lambda t, p: backend.loss_tensors(t, p, draw, UNCHANGED)[0]),
        ("discriminator loss", 1, lambda t, p: backend.loss_tensors(t, p, draw, UNCHANGED)[1]),
    ]
    if backend.penalty_known:
        functions.append(("penalty", 1, lambda t, p: backend.penalty_tensor(t, p, draw)))
    for name, player, function in functions:
        try:
            found = _check(backend, function, player, directions[player])
        except (RuntimeError, NotImplementedError, ParameterError) as error:
            return Wrong(f"{name}: {error}")
        if found.message:
            return Wrong(f"{name}: {found.message}", found.certain)
    return Wrong("")


def _check(backend: TorchBackend, function: Any, player: int, direction: np.ndarray[Any, Any]) -> Wrong:
    """What is wrong with a function's derivatives by one player's parameters along a direction."""
    along = backend.networks.vector(direction)

    def at(shift: float) -> tuple[Tensor, Tensor]:
        point = [np.array(part) for part in backend.point]
        point[player] = point[player] + shift * direction
        leaves = backend.leaves(Players(*point))
        value = function(*leaves)
        slope = gradient(value, leaves[player], create_graph=True)
        return value.detach(), slope.detach()

    leaves = backend.leaves(backend.point)
    here = function(*leaves)
    # a loss may be rounded to less than the parameters are
    precise = backend.dtype == here.dtype == torch.float64
    unit = torch.finfo(here.dtype if backend.dtype == torch.float64 else backend.dtype).eps
    slope = gradient(here, leaves[player], create_graph=True)
    product = gradient((slope * along).sum(), leaves[player]).detach()
    if not (torch.isfinite(slope).all() and torch.isfinite(product).all()):
        return Wrong(_NOT_FINITE)
    tolerance = _TOLERANCE if precise else _SINGLE_TOLERANCE
    length = max(float(np.linalg.norm(backend.point[player])), 1e-3)
    first, second = [], []
    for step in _STEPS if precise else _SINGLE_STEPS:
        (above, slope_above), (below, slope_below) = at(step * length), at(-step * length)
        width = 2 * step * length
        steepness = float(slope.detach().norm()) + 1e-30
        rounding = unit * (abs(float(above)) + 1e-3) / width
        first.append(abs(float((above - below) / width - slope.detach() @ along)) / (steepness + rounding / tolerance))
        change = (slope_above - slope_below) / width
        floor = unit * steepness / width
        second.append(float((change - product).norm() / (change.norm() + product.norm() + floor / tolerance + 1e-30)))
    if min(first) > tolerance:
        return Wrong(
            f"its gradient disagrees with finite differences (relative {min(first):.1e}): some term has no gradient, "
            "such as a gradient penalty without create_graph=True, or a detached or thresholded part",
            precise,
        )
    if min(second) > tolerance:
        return Wrong(
            f"its second derivative disagrees with finite differences of its gradient (relative {min(second):.1e}): "
            "some operation lacks a true second derivative, such as one under torch.utils.checkpoint",
            precise,
        )
    return Wrong("")
