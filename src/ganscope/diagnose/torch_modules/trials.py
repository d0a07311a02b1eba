"""What the user's functions can do and keep to, found out by calling them before anything rests on it."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ganscope.core.errors import ParameterError
from ganscope.diagnose.backend import Draw
from ganscope.diagnose.change import UNCHANGED, Change
from ganscope.diagnose.torch_modules.kept import kept, kept_inputs
from ganscope.diagnose.torch_modules.products import saved_bytes

if TYPE_CHECKING:
    from ganscope.diagnose.torch_modules.backend import TorchBackend

# Sizes of the first two minibatches: what a function saves for its gradients is measured as a + b count.
_FIRST_COUNTS = (8, 16)
# What to give where a player cannot be called on its own.
_HINTS = {
    "generate": "the generator cannot be called on latents alone: give generate=(generator, latents)",
    "score": "the discriminator cannot be called on samples alone: give score=(discriminator, x, source)",
    "penalty": "the unit penalty cannot be evaluated: give penalty=(generator, discriminator, batch, latents, key)",
}


def settle_precision(backend: "TorchBackend") -> str:
    """Call the losses for the first time, in float64 or else in float32; returns why float64 failed."""
    with kept(backend.modules):
        refusal: Exception | None = None
        for dtype in (torch.float64, torch.float32):
            if dtype != backend.dtype:
                backend.adopt(dtype)
            try:
                _first_call(backend)
            except ParameterError:
                raise
            except Exception as error:  # the user's own code may raise anything
                refusal = refusal or error
                continue
            return "" if refusal is None else _told(refusal)
    assert refusal is not None
    raise ParameterError(
        "losses",
        _told(refusal),
        "a function (generator, discriminator, batch, latents, key) that runs on copies of the modules and changes "
        "nothing of them: no requires_grad_(), clipping or steps inside",
    ) from refusal


def _first_call(backend: "TorchBackend") -> None:
    saved = []
    backend.noise_known = False
    for count in _FIRST_COUNTS:
        draw = backend.draw(count, count)
        theta, phi = backend.leaves(backend.networks.point())
        with (
            kept_inputs("losses", draw.batch, draw.latents),
            saved_bytes() as weights,
            backend.networks.instance_noise(0.0, 0) as calls,
        ):
            before = (theta.detach().clone(), phi.detach().clone())
            found = backend.loss_tensors(theta, phi, draw, UNCHANGED)
        backend.noise_known = len(calls) > 0
        same = (torch.equal(a.detach().nan_to_num(), b.nan_to_num()) for a, b in zip((theta, phi), before, strict=True))
        if not all(same):
            raise ParameterError("losses", "changes parameters in place", "a function that updates nothing")
        if not any(_depends(loss, leaf) for loss, leaf in zip(found, (theta, phi), strict=True)):
            raise ParameterError(
                "losses",
                "do not depend on the modules they are called with",
                "losses of the generator and discriminator given as arguments (copies), with gradients enabled",
            )
        saved.append(sum(weights.values()))
    slope = max(saved[1] - saved[0], 0) / (_FIRST_COUNTS[1] - _FIRST_COUNTS[0])
    backend.saved = (max(saved[0] - slope * _FIRST_COUNTS[0], 0.0), slope)


def learn_abilities(backend: "TorchBackend") -> None:
    """Find out whether the players can be called on their own; what the user gave must work, defaults need not."""
    draw = backend.draw(_FIRST_COUNTS[0], _FIRST_COUNTS[0])
    own, point = backend.functions, backend.point
    backend.samples_known = backend.scores_known = backend.penalty_known = True
    backend.missing = {}
    with kept(backend.modules):
        _works(backend, "real", own.real or "the batch", lambda: backend.real_samples(draw))
        backend.samples_known = _works(
            backend, "generate", own.generate, lambda: backend.outputs(point[0], draw.latents)
        )
        backend.scores_known = _works(backend, "score", own.score, lambda: _real_scores(backend, draw))
        backend.penalty_known = own.penalty is not None and (callable(own.penalty) or backend.scores_known)
        backend.penalty_sees_generator = callable(own.penalty)
        if backend.penalty_known:
            given = own.penalty if callable(own.penalty) else own.score
            leaves = backend.leaves(point)
            backend.penalty_known = _works(backend, "penalty", given, lambda: backend.penalty_tensor(*leaves, draw))
        if own.other_penalty is not None:
            change = Change(removed=1.0)
            _works(backend, "other_penalty", own.other_penalty, lambda: backend.losses(point, draw, change))


def _real_scores(backend: "TorchBackend", draw: Draw) -> None:
    theta, phi = (backend.networks.vector(part) for part in backend.point)
    real = backend.functions.real_samples(draw.batch).to(backend.dtype)
    with backend.evaluation(draw.key):
        backend.networks.run(theta, phi, lambda g, d: backend.functions.scores(d, real, draw.batch))


def _works(backend: "TorchBackend", name: str, given: Any, call: Callable[[], Any]) -> bool:
    try:
        call()
    except Exception as error:  # the user's own code may raise anything
        if given is None:
            backend.missing[name] = f"{_HINTS[name]} ({_told(error)})"
            return False
        if isinstance(error, ParameterError):
            raise
        raise ParameterError(name, _told(error), "a function that runs on the copies") from error
    return True


def try_batch(backend: "TorchBackend", count: int) -> None:
    """Call the losses for a batch of that size.

    Raises:
        ParameterError: If that fails; the error names the size.
    """
    with kept(backend.modules):
        draw = backend.draw(count, count)
        try:
            backend.loss_tensors(*backend.leaves(backend.point), draw, UNCHANGED)
        except (ParameterError, MemoryError):
            raise
        except Exception as error:  # the user's own code may raise anything
            told = f"fails for a batch of {count}: {_told(error)}"
            raise ParameterError("losses", told, "a function that runs for batches of every size in use") from error


def _depends(loss: Tensor, leaf: Tensor) -> bool:
    if not loss.requires_grad:
        return False
    return torch.autograd.grad(loss, leaf, retain_graph=True, allow_unused=True)[0] is not None


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
