r"""PyTorch's optimizers: what they hold, as the linear theory and a forked training run take it.

Dampening d of SGD is a smaller learning rate: with m' = m / (1 - d), the memory obeys m' <- momentum m' + g and the
parameters move by lr (1 - d) m'. The first memory of all is m = g, undamped. Weight decay and Nesterov's momentum are
used by training runs, and not linearised.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from ganscope.core.errors import ParameterError
from ganscope.diagnose.rule import Player
from ganscope.diagnose.torch_modules.copies import numpy_of, tensors_of

Array = npt.NDArray[np.float64]

KNOWN = "torch.optim.SGD, Adam, AdamW or RMSprop, or a gs.Player"
_ADAM = (torch.optim.Adam, torch.optim.AdamW)


@dataclass(frozen=True)
class Extras:
    """What an optimizer does beyond a `Player`.

    Attributes:
        weight_decay: One number, or one per parameter, flat.
        decoupled: Whether weights shrink by learning rate * decay beside the gradient (AdamW) rather than through it.
        nesterov: Of SGD.
        undamped: Of SGD, 1 - dampening.
        older: Steps that Adam has made with single parameters beyond the player's `step`, flat; 0 where all agree.
    """

    weight_decay: Any = 0.0
    decoupled: bool = False
    nesterov: bool = False
    undamped: float = 1.0
    older: Any = 0


def held_parameters(optimizer: Any) -> set[int] | None:
    """Ids of the parameters that an optimizer moves; None where it does not say (a `Player`)."""
    if isinstance(optimizer, Player):
        return None
    return {id(p) for group in optimizer.param_groups for p in group["params"]}


def check_optimizer(name: str, optimizer: Any, own: nn.Module, other: nn.Module) -> None:
    """Refuse an optimizer of another kind, of the other player, or of other modules.

    Args:
        name: `optimizer_g` or `optimizer_d`.
        optimizer: What the user gave.
        own, other: The modules of its player and of the other one.

    Raises:
        ParameterError: As said.
    """
    if isinstance(optimizer, Player):
        return
    if type(optimizer) not in (torch.optim.SGD, *_ADAM, torch.optim.RMSprop):
        raise ParameterError(name, type(optimizer).__name__, KNOWN)
    held = held_parameters(optimizer) or set()
    mine, theirs = ({id(p) for p in module.parameters()} for module in (own, other))
    if not held & mine:
        hint = ": it holds those of the other player" if held & theirs else ""
        raise ParameterError(name, type(optimizer).__name__, f"an optimizer of this player's parameters{hint}")
    if held & (theirs - mine):
        raise ParameterError(
            name, type(optimizer).__name__, "an optimizer of one player, without the other's parameters"
        )
    for group in optimizer.param_groups:
        if group.get("maximize"):
            raise ParameterError(name, "maximize=True", "an optimizer that minimises: both losses are minimised")


def read_optimizer(
    name: str, optimizer: Any, module: nn.Module, names: Sequence[str]
) -> tuple[Player, Extras, list[str]]:
    """A PyTorch optimizer as a player of the rule.

    Args:
        name: `optimizer_g` or `optimizer_d`, for messages.
        optimizer: SGD, Adam, AdamW or RMSprop, checked; a `Player` is taken as it is.
        module: Its module.
        names: The parameters that training moves, in the order of the flat vector.

    Returns:
        The player, with learning rates and moments as flat arrays in that order; what it does besides; notes.

    Raises:
        ParameterError: If groups differ in anything but learning rate and weight decay, a number is out of range, or
            a `Player` has arrays of another length.
    """
    tensors = dict(module.named_parameters())
    order = [tensors[n] for n in names]
    if isinstance(optimizer, Player):
        return _fitted(name, optimizer, sum(p.numel() for p in order)), Extras(), []
    groups = {id(p): group for group in optimizer.param_groups for p in group["params"]}
    own = [groups[id(p)] for p in order]
    read = _Reader(name, order, own, optimizer.state)
    rate, decay = read.per_parameter("lr"), read.per_parameter("weight_decay")
    notes: list[str] = []
    if np.any(decay):
        notes.append(f"{name}: weight decay is part of forked training runs, not of the linearisation")
    if isinstance(optimizer, _ADAM):
        beta1, beta2 = read.one("betas")
        amsgrad = bool(read.one("amsgrad"))
        if amsgrad:
            notes.append(f"{name}: amsgrad is taken as Adam with the largest second moments so far")
        second = read.state("max_exp_avg_sq" if amsgrad else "exp_avg_sq")
        player = Player(
            "adam",
            rate,
            beta1=float(beta1),
            beta2=float(beta2),
            eps=float(read.one("eps")),
            second_moment=second,
            step=read.step(),
            first_moment=read.state("exp_avg"),
        )
        first = own[0]
        decoupled = isinstance(optimizer, torch.optim.AdamW) or bool(first.get("decoupled_weight_decay", False))
        return player, Extras(decay, decoupled, older=read.older()), notes
    momentum = float(read.one("momentum"))
    if isinstance(optimizer, torch.optim.RMSprop):
        if read.one("centered"):
            notes.append(f"{name}: centred second moments are taken as raw ones")
        player = Player(
            "rmsprop",
            rate,
            momentum=momentum,
            beta2=float(read.one("alpha")),
            eps=float(read.one("eps")),
            second_moment=read.state("square_avg"),
            step=read.step(),
            first_moment=read.state("momentum_buffer"),
        )
        return player, Extras(decay), notes
    undamped = 1.0 - float(read.one("dampening")) if momentum > 0 else 1.0
    if undamped <= 0:
        raise ParameterError(name, f"dampening = {1 - undamped}", "a dampening below 1")
    if undamped != 1:
        notes.append(f"{name}: dampening {1 - undamped:g} is taken into the learning rate")
    nesterov = bool(read.one("nesterov"))
    if nesterov:
        notes.append(f"{name}: Nesterov's momentum is part of forked training runs, and linearised as plain momentum")
    memory = read.state("momentum_buffer")
    player = Player(
        "momentum" if momentum > 0 else "sgd",
        rate * undamped,
        momentum=momentum,
        first_moment=None if memory is None else memory / undamped,
    )
    return player, Extras(decay, nesterov=nesterov, undamped=undamped), notes


def stateless_parameters(optimizer: Any) -> set[int]:
    """Ids of parameters that an optimizer has never moved, while it has moved others: they had no gradient so far."""
    if isinstance(optimizer, Player):
        return set()
    held = [p for group in optimizer.param_groups for p in group["params"] if p.requires_grad]
    without = {id(p) for p in held if not optimizer.state.get(p)}
    return without if len(without) < len(held) else set()


def _fitted(name: str, player: Player, size: int) -> Player:
    """A player with its moments as flat arrays of the right length."""
    changes = {}
    for moment in ("second_moment", "first_moment"):
        given = getattr(player, moment)
        if given is None:
            continue
        parts = tensors_of(given)
        try:
            flat = np.concatenate([numpy_of(t).ravel() for t in parts] or [np.asarray(given, np.float64).ravel()])
        except (TypeError, ValueError):
            raise ParameterError(moment, given, f"numbers, one per parameter of {name}, {size}") from None
        if len(flat) != size:
            raise ParameterError(moment, f"{len(flat)} numbers", f"one number per parameter of {name}, {size}")
        changes[moment] = flat
    rate = np.asarray(player.learning_rate, np.float64)
    if rate.ndim and len(rate) != size:
        raise ParameterError("learning_rate", f"{len(rate)} numbers", f"one number per parameter of {name}, {size}")
    return player.replace(**changes) if changes else player


class _Reader:
    """Settings and states of the groups that parameters belong to."""

    def __init__(self, name: str, order: Sequence[Tensor], groups: list[dict[str, Any]], state: Any) -> None:
        self._name, self._order, self._groups, self._state = name, order, groups, state

    def one(self, key: str) -> Any:
        """A setting that all groups share."""
        values = [group.get(key) for group in self._groups]
        if any(value != values[0] for value in values):
            told = ", ".join(dict.fromkeys(map(str, values)))
            raise ParameterError(self._name, f"{key} = {told}", f"one {key} for all groups of a player")
        return values[0]

    def per_parameter(self, key: str) -> Any:
        """A setting as one number, or a flat array where groups differ."""
        values = [float(group.get(key, 0.0)) for group in self._groups]
        if key == "lr" and not all(np.isfinite(v) and v > 0 for v in values):
            raise ParameterError(
                self._name, f"lr = {values}", "finite learning rates > 0 (freeze what should not move)"
            )
        if len(set(values)) == 1:
            return values[0]
        return np.concatenate([np.full(p.numel(), v) for p, v in zip(self._order, values, strict=True)])

    def state(self, key: str) -> Array | None:
        """A state, flat; zeros for parameters that have none, None if none has any."""
        found = [self._state.get(p, {}).get(key) for p in self._order]
        if all(value is None for value in found):
            return None
        pairs = zip(found, self._order, strict=True)
        return np.concatenate([np.zeros(p.numel()) if v is None else numpy_of(v).ravel() for v, p in pairs])

    def step(self) -> int:
        """Steps of the youngest parameter that has made any; one without a state has had no gradient so far."""
        return min((int(own["step"]) for own in self._states() if "step" in own), default=0)

    def older(self) -> Any:
        """Steps of single parameters beyond `step()`, flat; 0 where all agree."""
        steps = [int(own.get("step", 0)) for own in self._states()]
        if len(set(steps)) == 1:
            return 0
        beyond = np.subtract(steps, self.step())
        return np.repeat(beyond, [p.numel() for p in self._order])

    def _states(self) -> list[Any]:
        return [self._state.get(p, {}) for p in self._order]
