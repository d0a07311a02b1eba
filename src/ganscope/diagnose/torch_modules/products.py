r"""Derivatives of functions of flat tensors as products with blocks of rows, from a graph that is built once.

For y(x) with graph, an adjoint y'^T u is one backward pass. A product y' d is one too: h(u) = y'^T u is linear in a
dummy u, so the backward pass of d through h is (dh/du)^T d = y' d (the double-backward trick). Neither evaluates the
losses again.

References:
    Pearlmutter. Fast exact multiplication by the Hessian. Neural Computation 1994.
"""

import contextlib
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

# Rows go through a graph side by side only where one row's activations are smaller than this: with larger ones,
# caches overflow and one row after the other is faster (measured on CPU).
_SMALL_BYTES = 2**20
# Rows side by side hold about this many bytes of intermediate results together.
_BLOCK_BYTES = 2**26
# Intermediate results of a backward pass, in units of the activations that the forward pass saved.
_LIVE_SHARE = 4
_WIDEST_BLOCK = 32


@contextlib.contextmanager
def recording() -> Iterator[None]:
    """Gradients on, whatever mode the caller is in."""
    with torch.inference_mode(False), torch.enable_grad():
        yield


class Block:
    """How blocks of rows go through a graph.

    Args:
        saved_bytes: What one forward pass saves for its gradients, in bytes.
        row_bytes: One row of directions and products.
    """

    def __init__(self, saved_bytes: float, row_bytes: float) -> None:
        fits = _BLOCK_BYTES / (_LIVE_SHARE * (saved_bytes + row_bytes) + 1.0)
        small = saved_bytes + row_bytes <= _SMALL_BYTES
        self.rows = max(1, min(int(fits), _WIDEST_BLOCK)) if small else 1

    def backward(self, outputs: Sequence[Tensor], inputs: Sequence[Tensor], rows: Sequence[Tensor]) -> list[Tensor]:
        """Sum over outputs of rows^T d(output)/d(input), for every input; rows are `[k, *output.shape]`."""
        parts = []
        # outputs that are constants have no graph, and no derivative
        moving = [(o, r) for o, r in zip(outputs, rows, strict=True) if o.requires_grad]
        count = len(rows[0])
        if not moving or count == 0:
            return [torch.zeros((count, *x.shape), dtype=x.dtype, device=x.device) for x in inputs]
        start = 0
        while start < count:
            stop = min(start + self.rows, count)
            parts.append(self._stretch([o for o, _ in moving], inputs, [r[start:stop] for _, r in moving]))
            start = stop
        return [torch.cat(columns) for columns in zip(*parts, strict=True)]

    def _stretch(self, outputs: Sequence[Tensor], inputs: Sequence[Tensor], rows: Sequence[Tensor]) -> list[Tensor]:
        if len(rows[0]) > 1:
            try:
                return _gradients(outputs, inputs, rows, batched=True)
            except RuntimeError:  # some backward function cannot be batched: one row after the other
                self.rows = 1
        single = [_gradients(outputs, inputs, [r[k] for r in rows]) for k in range(len(rows[0]))]
        return [torch.stack(columns) for columns in zip(*single, strict=True)]


class Products:
    """The derivative of some outputs by some inputs.

    Args:
        outputs: Tensors with a graph, built with `create_graph`.
        inputs: Leaves of that graph.
        block: How rows go through it.
    """

    def __init__(self, outputs: Sequence[Tensor], inputs: Sequence[Tensor], block: Block) -> None:
        self._outputs, self._inputs, self._block = list(outputs), list(inputs), block
        self._dummies: list[Tensor] | None = None
        self._adjoint: list[Tensor] = []

    @recording()
    def adjoints(self, rows: Sequence[Tensor]) -> list[Tensor]:
        """Rows of the outputs' shapes to rows of the inputs'."""
        return self._block.backward(self._outputs, self._inputs, rows)

    @recording()
    def products(self, rows: Sequence[Tensor]) -> list[Tensor]:
        """Rows of the inputs' shapes to rows of the outputs'."""
        if self._dummies is None:
            dummies = [torch.zeros_like(output).requires_grad_() for output in self._outputs]
            moving = [(o, d) for o, d in zip(self._outputs, dummies, strict=True) if o.requires_grad]
            if moving:
                outputs, seeds = [o for o, _ in moving], [d for _, d in moving]
                self._adjoint = _gradients(outputs, self._inputs, seeds, create_graph=True)
            else:
                self._adjoint = [torch.zeros_like(x) for x in self._inputs]
            self._dummies = dummies
        return self._block.backward(self._adjoint, self._dummies, rows)


@contextlib.contextmanager
def saved_bytes() -> Iterator[dict[int, int]]:
    """What is saved for gradients meanwhile, in bytes by address."""
    weights: dict[int, int] = {}

    def weigh(tensor: Tensor) -> Tensor:
        weights[tensor.data_ptr()] = tensor.numel() * tensor.element_size()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(weigh, lambda tensor: tensor):
        yield weights


def gradient(value: Tensor, leaf: Tensor, *, create_graph: bool = False, keep: bool = False) -> Tensor:
    """Gradient of a scalar by one leaf; zeros where it does not depend on it."""
    if not value.requires_grad:
        return torch.zeros_like(leaf)
    with recording():
        found: Tensor = torch.autograd.grad(
            value, leaf, create_graph=create_graph, retain_graph=keep or create_graph, materialize_grads=True
        )[0]
    return found


def _gradients(
    outputs: Sequence[Tensor],
    inputs: Sequence[Tensor],
    rows: Sequence[Tensor],
    *,
    batched: bool = False,
    create_graph: bool = False,
) -> list[Tensor]:
    with recording():
        found = torch.autograd.grad(
            list(outputs),
            list(inputs),
            list(rows),
            retain_graph=True,
            create_graph=create_graph,
            is_grads_batched=batched,
            allow_unused=True,
        )
    lead = rows[0].shape[:1] if batched else ()
    # zeros for inputs that nothing depends on
    return [x.new_zeros((*lead, *x.shape)) if g is None else g for g, x in zip(found, inputs, strict=True)]
