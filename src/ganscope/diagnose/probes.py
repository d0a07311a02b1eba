"""What would make a diagnosis wrong without anybody noticing: probed before every one of them.

Each probe ends as ok, warning or error, with the advice in words; an error stops the diagnosis.

References:
    Mescheder, Nowozin, Geiger. The numerics of GANs. NeurIPS 2017.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt

from ganscope.core.game import Players
from ganscope.diagnose.backend import Draw, Linearised
from ganscope.diagnose.instruments.rotation import needs_second_moments

if TYPE_CHECKING:
    from ganscope.diagnose.real_game import RealGame

Array = npt.NDArray[np.float64]

OK, WARNING, ERROR, SKIPPED = "ok", "warning", "error", "skipped"

# Samples on which the probes evaluate the losses.
_BATCH = 64
# Relative step of finite differences, and how far a derivative may lie from them.
_STEP, _AGREES = 1e-5, 1e-4
# Shares of that step for those that cross a kink: one crossing outweighs everything else.
_FINER, _FINEST = 0.25, (1e-2, 1e-3)
# A share of a mixed block that derivatives miss, and that no kink explains, has been detached.
_PART = 0.01

TRAPS = {
    "T1": "generated samples detached",
    "T2": "losses not deterministic",
    "T3": "samples coupled by the batch",
    "T4": "spectral normalisation drifting",
    "T5": "frozen parameters",
    "T6": "shared parameters",
    "T7": "low precision",
    "T8": "no second derivative",
    "T9": "lazy regularisation",
    "T10": "a player without gradient",
    "T11": "second moments missing or young",
    "T12": "what is not linearised",
}
DETACHED = (
    "the discriminator loss does not depend on the generator's parameters: remove detach/stop_gradient from the loss "
    "given to the diagnosis"
)
_DETACHED_SCORES = (
    "the generator loss does not depend on the discriminator's parameters: remove detach/stop_gradient from the loss "
    "given to the diagnosis"
)


class TrapError(ValueError):
    """A trap that would falsify the diagnosis; `probes` holds all that were probed."""

    def __init__(self, probes: "Sequence[Probe]") -> None:
        self.probes = tuple(probes)
        super().__init__("; ".join(f"{p.id}: {p.message}" for p in probes if p.status == ERROR))


@dataclass(frozen=True)
class Probe:
    """What a probe found.

    Attributes:
        id: `T1` to `T12`.
        trap: What was looked for.
        status: `ok`, `warning`, `error` or `skipped`.
        message: What was found, and what to do about it.
    """

    id: str
    trap: str
    status: str
    message: str

    def to_dict(self) -> dict[str, str]:
        """Plain values."""
        return {"id": self.id, "trap": self.trap, "status": self.status, "message": self.message}


def probes(game: "RealGame", seed: int = 0, batch_size: int = _BATCH) -> list[Probe]:
    """Probe a real game for everything that would falsify its diagnosis; nothing of the user's is changed.

    Args:
        game: The real game.
        seed: Of the batch and the directions.
        batch_size: Samples of the batch; `diagnose` takes that of its measurement, whose programs then serve both.

    Returns:
        One per trap, in their order; an error among them makes `diagnose` raise `TrapError`.
    """
    found = {p.id: p for p in _of_library(game)}
    for probe in _of_losses(game, seed, batch_size):
        known = found.get(probe.id)
        if known is None or known.status in (OK, SKIPPED):
            found[probe.id] = probe
    for probe in (_lazy(game), _moments(game), _not_linearised(game)):
        found[probe.id] = probe
    return [found.get(name, Probe(name, TRAPS[name], OK, "")) for name in TRAPS]


def _probe(name: str, status: str, message: str = "") -> Probe:
    return Probe(name, TRAPS[name], status, message)


def _of_library(game: "RealGame") -> list[Probe]:
    """What only the library can tell, such as the modes of modules."""
    if game.backend.name == "torch":
        from ganscope.diagnose.torch_modules.probes import torch_probes  # PyTorch is optional

        return [Probe(*one) for one in torch_probes(cast(Any, game.backend))]
    if game.backend.name == "jax":
        from ganscope.diagnose.jax_functions.probes import jax_probes  # JAX is imported where it is needed

        return [Probe(*one) for one in jax_probes(cast(Any, game.backend))]
    return []


def _of_losses(game: "RealGame", seed: int, batch_size: int) -> list[Probe]:
    backend, point = game.backend, game.backend.point
    draw = backend.draw(seed, batch_size)
    first, second = (backend.velocity(point, draw, game.change) for _ in range(2))
    losses = [backend.losses(point, draw, game.change) for _ in range(2)]
    same = all(np.array_equal(a, b, equal_nan=True) for a, b in zip(first, second, strict=True)) and np.array_equal(
        losses[0], losses[1], equal_nan=True
    )
    if not same:
        worst = max(float(np.max(np.abs(a - b), initial=0.0)) for a, b in zip(first, second, strict=True))
        hint = "switch dropout off (eval mode), or take all noise from `key`"
        return [_probe("T2", ERROR, f"two evaluations with one key differ by up to {worst:.3g}: {hint}")]
    told = [_probe("T2", OK)]
    if not all(np.all(np.isfinite(v)) for v in first):
        return told  # the verdict says so
    told.append(_gradients(first))
    try:
        linearised = backend.linearise(point, draw, game.change)
        told += _derivatives(game, linearised, draw, seed)
    except Exception as error:  # whatever the user's own operations raise
        told.append(_probe("T8", ERROR, f"{_failing_loss(game, draw)} has no second derivative: {_one_line(error)}"))
    return told


def _gradients(velocity: Players) -> Probe:
    """A player that does not move at all."""
    for name, part in zip(("generator", "discriminator"), velocity, strict=True):
        if not np.any(part):
            return _probe("T10", WARNING, f"the {name} receives no gradient at all: uninformative candidate")
    return _probe("T10", OK)


def _derivatives(game: "RealGame", linearised: Linearised, draw: Draw, seed: int) -> list[Probe]:
    """Products against central differences of the velocity, along one random direction for each player."""
    n_g = game.backend.sizes.generator
    rng = np.random.default_rng(seed)
    held = _loss_precision(game)
    single, coarse = held.itemsize <= 4, held.itemsize < 4
    directions = [rng.standard_normal(size) for size in game.backend.sizes]
    rows = np.zeros((2, sum(game.backend.sizes)))
    rows[0, :n_g], rows[1, n_g:] = directions
    made = np.stack([_along(linearised, directions[by], by) for by in (0, 1)])
    if not np.all(np.isfinite(made)):
        return [_probe("T8", ERROR, f"{_failing_loss(game, draw)} has a second derivative that is not finite")]
    seen = finer = made
    if not coarse:  # below float32 differences are all rounding: derivatives that vanish are all that can be seen
        seen = np.stack([_difference(game, draw, rows[k], k, single) for k in range(2)])
        finer = np.stack([_difference(game, draw, rows[k], k, single, _FINER) for k in range(2)])
    told = []
    detached = _blind(made[0, n_g:], seen[0, n_g:], finer[0, n_g:], game, 0)
    unscored = _blind(made[1, :n_g], seen[1, :n_g], finer[1, :n_g], game, 1)
    if detached is not None:
        told.append(_probe("T1", ERROR, DETACHED + detached))
    elif unscored is not None:
        told.append(_probe("T1", ERROR, _DETACHED_SCORES + unscored))
    else:
        told.append(_probe("T1", OK))
    apart = np.minimum(_apart(made, seen), _apart(made, finer))
    for share in () if single else _FINEST:
        if not np.max(apart) <= _AGREES:
            finest = np.stack([_difference(game, draw, rows[k], k, single, share) for k in range(2)])
            apart = np.fmin(apart, _apart(made, finest))
    error = float(np.max(apart))
    if single:  # steps that rounding allows cross the kinks of leaky rectifiers
        told.append(_probe("T8", SKIPPED, f"finite differences say nothing in {held}"))
    elif told[-1].status == OK and np.any(seen) and not error <= _AGREES:
        message = f"a derivative of the velocity differs from finite differences by {error:.2g}: a loss term"
        told.append(_probe("T8", WARNING, f"{message} is not differentiated twice, or kinked at this point"))
    else:
        told.append(_probe("T8", OK))
    return told


def _loss_precision(game: "RealGame") -> Any:
    """The lowest precision in which the losses compute."""
    if game.backend.name == "jax":
        from ganscope.diagnose.jax_functions.probes import loss_precision  # JAX is imported where it is needed

        return loss_precision(cast(Any, game.backend))
    return np.dtype(getattr(game.backend, "precision", np.float64))


def _apart(made: Array, seen: Array) -> Array:
    """Relative distances of derivatives from differences, row by row."""
    return np.asarray(np.linalg.norm(made - seen, axis=1) / np.maximum(np.linalg.norm(seen, axis=1), 1e-12))


def _along(linearised: Linearised, direction: Array, by: int) -> Array:
    """Derivative of the whole velocity along one direction of a player's parameters, `[n]`."""
    return np.concatenate([linearised.block_products(of, by, direction[None])[0] for of in (0, 1)])


def _blind(made: Array, seen: Array, finer: Array, game: "RealGame", player: int) -> str | None:
    """Why a mixed block says that one player's loss does not see the other; None if it does.

    A loss that is detached in part differs from both its differences, by the same amount; at a kink these differ.
    """
    if not np.any(made):
        if np.any(seen):
            return f" (finite differences see {np.linalg.norm(seen):.3g}, the derivative is 0)"
        velocity = game.backend.velocity(game.backend.point, game.backend.draw(0, _BATCH), game.change)
        return " (the mixed block is exactly 0)" if np.any(velocity[1 - player]) else None
    missed, size = float(np.linalg.norm(made - finer)), float(np.linalg.norm(finer))
    steady = float(np.linalg.norm(seen - finer)) < 0.1 * missed
    return (
        f" (finite differences see {size:.3g}, {missed:.3g} of it missed)" if steady and missed > _PART * size else None
    )


def _difference(game: "RealGame", draw: Draw, row: Array, player: int, single: bool, share: float = 1.0) -> Array:
    """Central difference of the velocity along a row of directions, with a share of the usual step."""
    point, n_g = game.backend.point, game.backend.sizes.generator
    parts = (row[:n_g], row[n_g:])
    length = float(np.linalg.norm(parts[player]))
    step = share * (1e-3 if single else _STEP) * max(float(np.linalg.norm(point[player])), 1.0) / length
    ends = []
    for sign in (1.0, -1.0):
        moved = Players(*(p + sign * step * d for p, d in zip(point, parts, strict=True)))
        ends.append(np.concatenate(game.backend.velocity(moved, draw, game.change)))
    return np.asarray((ends[0] - ends[1]) / (2 * step))


def _failing_loss(game: "RealGame", draw: Draw) -> str:
    """Which loss cannot be differentiated twice, as far as products tell."""
    n_g = game.backend.sizes.generator
    try:
        linearised = game.backend.linearise(game.backend.point, draw, game.change)
        row = np.zeros((1, sum(game.backend.sizes)))
        row[0, n_g:] = 1.0
        if np.all(np.isfinite(linearised.mixed_products(row[:, n_g:]))):
            return "the discriminator's loss"
    except Exception:  # the same failure again: it is the generator's
        return "the generator's loss"
    return "the generator's loss"


def _lazy(game: "RealGame") -> Probe:
    if game.penalty_interval == 1:
        return _probe("T9", OK)
    told = f"the penalty stands in every {game.penalty_interval}th step: its average {game.gradient_penalty:g} is used"
    return _probe("T9", WARNING, told)


def _moments(game: "RealGame") -> Probe:
    young = [name for name in ("generator", "discriminator") if needs_second_moments(getattr(game.rule, name))]
    if not young:
        return _probe("T11", OK)
    return _probe("T11", WARNING, f"second moments of the {' and '.join(young)} are estimated from 20 minibatches")


def _not_linearised(game: "RealGame") -> Probe:
    return _probe("T12", WARNING, "; ".join(game.notes)) if game.notes else _probe("T12", OK)


def _one_line(error: Any) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= 160 else text[:157] + "..."
