r"""What-if: one measurement, other settings. Weights, kernels and noise stay frozen; nothing is trained or re-measured.

    gradient penalty gamma:      J = J_0 + gamma J_R
    learning rates x s_G, s_D:   J -> D J D, e -> e D, O -> sqrt(s_G) O, with D = diag(sqrt s_G, sqrt s_D)
    memory beta -> b:            at equal effective speed kappa * learning rate / (1 - beta): momentum also changes the
                                 learning rate by (1 - b) / (1 - beta), Adam does not; then another update map
    order, discriminator steps:  another update map
    batch size b -> b':          e -> e sqrt(b / b')

Each change of a `Measurement` is again a `Measurement`, so whatever applies to one applies to the other. Instance noise
changes the blocks themselves: the game has to be measured again with it.

References:
    Mandt, Hoffman, Blei. Stochastic gradient descent as approximate Bayesian inference. JMLR 2017.
"""

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ganscope.core.checks import integer, number, one_of
from ganscope.core.errors import NotApplicable, ParameterError
from ganscope.diagnose.instruments.measurement import Measurement
from ganscope.diagnose.rule import ORDERS, Player
from ganscope.diagnose.theory import virtual

# Penalties up to this many squared data radii: measured to predict; beyond the second number they did not.
PREDICTED_UP_TO = 1.0
ESTIMATED_UP_TO = 3.0

_RATES = ("learning_rate_scale", "generator_lr", "discriminator_lr")


@dataclass(frozen=True)
class Setting:
    """Changed parameters; None leaves one as it is.

    Args:
        gradient_penalty: Weight gamma of the unit penalty, convention (gamma/2) E|grad D|^2, replacing any other kind.
        learning_rate_scale: Factor of both learning rates.
        generator_lr, discriminator_lr: Learning rates, where a player has one for all its parameters.
        momentum: Of all players with plain or momentum steps or RMSprop, at equal effective speed.
        beta1: Of all players with Adam, at equal effective speed.
        discriminator_steps: Per iteration.
        order: `alternating` or `simultaneous`.
        train_batch_size: Size of the training minibatches.
        instance_noise: Standard deviation; says what the measurement was taken with, and changes nothing in it.
    """

    gradient_penalty: float | None = None
    learning_rate_scale: float | None = None
    generator_lr: float | None = None
    discriminator_lr: float | None = None
    momentum: float | None = None
    beta1: float | None = None
    discriminator_steps: int | None = None
    order: str | None = None
    train_batch_size: int | None = None
    instance_noise: float | None = None

    def __post_init__(self) -> None:
        for name, value in self.to_dict().items():
            if name in ("gradient_penalty", "instance_noise"):
                number(name, value, at_least=0)
            elif name in _RATES:
                number(name, value, above=0)
            elif name in ("momentum", "beta1") and not 0 <= number(name, value) < 1:
                raise ParameterError(name, value, "a number in [0, 1)")
            elif name in ("discriminator_steps", "train_batch_size"):
                object.__setattr__(self, name, integer(name, value, at_least=1))
            elif name == "order":
                one_of(name, value, ORDERS)

    def to_dict(self) -> dict[str, Any]:
        """The changed parameters alone."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {name: value for name, value in values.items() if value is not None}

    @property
    def changes_rates(self) -> bool:
        """Whether it changes a learning rate."""
        return any(name in _RATES for name in self.to_dict())


def changed(measurement: Measurement, setting: Setting) -> Measurement:
    """The measurement that the same weights would give under another setting.

    Memory is changed first, at equal effective speed; learning rates that are given as such then hold as given.

    Raises:
        NotApplicable: If the game has no unit penalty to vary, no player with such a memory, or one learning rate per
            parameter where a single one is asked for.
        ParameterError: If the new rule is none: several discriminator steps cannot be simultaneous.
    """
    new = measurement
    if setting.gradient_penalty is not None:
        new = with_penalty(new, setting.gradient_penalty)
    if setting.momentum is not None:
        new = _with_memory(new, "momentum", setting.momentum)
    if setting.beta1 is not None:
        new = _with_memory(new, "beta1", setting.beta1)
    if setting.learning_rate_scale is not None:
        new = scaled_rates(new, setting.learning_rate_scale, setting.learning_rate_scale)
    if setting.generator_lr is not None:
        new = scaled_rates(new, _ratio("generator_lr", setting.generator_lr, new.rule.generator), 1.0)
    if setting.discriminator_lr is not None:
        new = scaled_rates(new, 1.0, _ratio("discriminator_lr", setting.discriminator_lr, new.rule.discriminator))
    moves = {name: value for name, value in setting.to_dict().items() if name in ("discriminator_steps", "order")}
    if moves:
        new = new.replace(rule=new.rule.replace(**moves))
    if setting.train_batch_size is not None:
        factor = math.sqrt(new.batch_size / setting.train_batch_size)
        new = new.replace(noise=new.noise * factor, batch_size=setting.train_batch_size)
    return new


def with_penalty(measurement: Measurement, gamma: float) -> Measurement:
    """The game with the unit penalty at weight gamma, and without any other kind of penalty.

    Raises:
        NotApplicable: If there is no unit penalty to vary.
    """
    if measurement.penalty is None:
        raise NotApplicable("no gradient penalty can be varied: give the game a discriminator(phi, x) or a penalty")
    jacobian = measurement.without_penalty + gamma * measurement.penalty
    return measurement.replace(jacobian=jacobian, gamma=gamma)


def scaled_rates(measurement: Measurement, generator: float, discriminator: float) -> Measurement:
    """The game with learning rates multiplied by two factors."""
    split = measurement.modes
    root = np.full(len(measurement.jacobian), math.sqrt(discriminator))
    root[:split] = math.sqrt(generator)
    both = np.outer(root, root)
    rule = measurement.rule
    return measurement.replace(
        rule=rule.replace(
            generator=_with_rate(rule.generator, generator), discriminator=_with_rate(rule.discriminator, discriminator)
        ),
        sigma=measurement.sigma * math.sqrt(generator * discriminator),
        jacobian=measurement.jacobian * both,
        without_penalty=measurement.without_penalty * both,
        penalty=None if measurement.penalty is None else measurement.penalty * both,
        outputs=None if measurement.outputs is None else measurement.outputs * math.sqrt(generator),
        noise=measurement.noise * root,
    )


def _with_rate(player: Player, factor: float) -> Player:
    return player.replace(learning_rate=np.asarray(player.learning_rate, np.float64) * factor)


def _ratio(name: str, rate: float, player: Player) -> float:
    given = np.asarray(player.learning_rate, np.float64)
    if given.size == 0 or np.ptp(given) > 0:
        raise NotApplicable(f"{name}: this player has one learning rate per parameter; use learning_rate_scale")
    return rate / float(given.flat[0])


def _with_memory(measurement: Measurement, name: str, memory: float) -> Measurement:
    """Momentum or beta1 of the players that have it, at equal effective speed."""
    rule = measurement.rule
    kinds = ("adam",) if name == "beta1" else ("sgd", "momentum", "rmsprop")
    players, factors = [rule.generator, rule.discriminator], [1.0, 1.0]
    if not any(player.kind in kinds for player in players):
        raise NotApplicable(f"{name}: no player has it ({rule.generator.kind}, {rule.discriminator.kind})")
    for place, player in enumerate(players):
        if player.kind in kinds:
            players[place] = player.replace(**{name: memory})
            factors[place] = 1.0 if name == "beta1" else (1 - memory) / (1 - player.momentum)
    rule = rule.replace(generator=players[0], discriminator=players[1])
    return scaled_rates(measurement.replace(rule=rule), *factors)


@dataclass(frozen=True)
class WhatIf:
    """What theory says about a changed setting.

    Attributes:
        setting: The change.
        predicted_wander: Median over the batches, in data radii; NaN without a generator to call.
        horizon_cost: Likewise, in squared data radii.
        status: `predicted` (measured to predict), `estimate` (local and linear) or `unvalidated` (measured not to).
        note: What to know about the numbers, or an empty text.
    """

    setting: Setting
    predicted_wander: float
    horizon_cost: float
    status: str
    note: str

    def to_dict(self) -> dict[str, Any]:
        """As the report has it; numbers may be infinite or NaN."""
        return dataclasses.asdict(self) | {"setting": self.setting.to_dict()}


def evaluate(
    measurements: Measurement | Sequence[Measurement],
    setting: Setting,
    *,
    observed_wander: float | None = None,
    remaining_iterations: int | None = None,
    horizon: int = virtual.HORIZON,
    advice_horizon: int = virtual.ADVICE_HORIZON,
) -> WhatIf:
    """Predicted wander and horizon cost under a changed setting, as the median over the batches.

    Damping rates are clipped at half the flip limit: penalty curvature is measured at weights trained without it.

    Args:
        measurements: Of the game as it is, one per batch; with instance noise, already measured with it.
        setting: The change; without any, the game as it is.
        observed_wander, remaining_iterations: The run's own wander in data radii and the iterations to go. A smaller
            learning rate counts less noise but freezes the orbit the run is on: where both are given, what the
            remaining iterations leave of it is added, in squares.
        horizon, advice_horizon: Iterations, powers of two.

    Raises:
        NotApplicable, ParameterError: As `changed`.
    """
    given = [measurements] if isinstance(measurements, Measurement) else list(measurements)
    if not given:
        raise ParameterError("measurements", given, "at least one measurement")
    new = [changed(one, setting) for one in given]
    status, note = _status(setting, given[0])
    if any(one.outputs is None for one in new):
        return WhatIf(setting, math.nan, math.nan, status, "needs a generator that can be called")
    forecasts = [virtual.forecast(one, horizon, advice_horizon, clamp=True) for one in new]
    wander = float(np.median([one.predicted_wander for one in forecasts]))
    cost = float(np.median([one.horizon_cost for one in forecasts]))
    if setting.changes_rates and observed_wander is not None and remaining_iterations is not None:
        number("observed_wander", observed_wander, at_least=0)
        integer("remaining_iterations", remaining_iterations, at_least=0)
        left = float(np.median([virtual.decay(one, remaining_iterations, clamp=True) for one in new]))
        wander = min(math.hypot(wander, observed_wander * left), virtual.WANDER_CAP)
        note += f"; {left:.2g} of the present orbit would be left at the end of the run"
    return WhatIf(setting, wander, cost, status, note)


def _status(setting: Setting, measurement: Measurement) -> tuple[str, str]:
    """How far the numbers can be trusted, from what was measured on trained GANs."""
    change = setting.to_dict()
    if not change:
        return "predicted", ""
    square = measurement.data_radius**2
    radii = setting.gradient_penalty / square if setting.gradient_penalty and square > 0 else 0.0
    slack = 1 + 1e-9  # a penalty of exactly so many squared radii may have been rounded up
    if radii > ESTIMATED_UP_TO * slack:
        return "unvalidated", "beyond 3 squared data radii the prediction carried little information"
    if set(change) == {"gradient_penalty"}:
        if radii <= PREDICTED_UP_TO * slack:
            return "predicted", ""
        return "estimate", "verified up to 1 squared data radius only"
    if setting.changes_rates:
        return "estimate", "local linear estimate: did not verify for learning rates, too optimistic"
    return "estimate", "local linear estimate, unverified"
