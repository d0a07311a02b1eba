r"""A user's own GAN at a checkpoint, as a game like any other.

Both losses are minimised; the discriminator is high on real data. The velocity is v = (-grad_theta L_G, -grad_phi L_D);
`gradient_penalty` gamma multiplies (1/2) E_real |grad_x D|^2. What is swept, predicted and replaced are what-ifs: the
weights stay those of the checkpoint.
"""

import copy
import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from ganscope.core.checks import integer, number, one_length, one_of, real_array
from ganscope.core.errors import NotApplicable, ParameterError, unknown_name
from ganscope.core.game import Game, Level, Players, Request, Variable
from ganscope.core.outcome import Prediction, Spectrum, Verdict
from ganscope.diagnose.backend import Backend
from ganscope.diagnose.change import Change
from ganscope.diagnose.recorded_game import RecordedGame
from ganscope.diagnose.rule import ORDERS, Player, UpdateRule

Array = npt.NDArray[np.float64]

# What a what-if can change, in the order in which it is applied.
WHAT_IFS = (
    "gradient_penalty",
    "generator_lr",
    "discriminator_lr",
    "momentum",
    "beta1",
    "discriminator_steps",
    "order",
    "train_batch_size",
    "instance_noise",
)
# What-ifs that are the update rule's own.
_OF_THE_RULE = ("discriminator_steps", "order")


class RealGame(Game):
    """A GAN of the user's own, its losses as JAX functions; `from_torch` takes PyTorch modules.

    Args:
        losses: (theta, phi, batch, z, key) -> (L_G, L_D): scalars, both minimised, any penalty inside L_D; theta and
            phi are trees of parameters like the two that follow. It must not detach generated samples
            (`stop_gradient`), and takes all randomness from `key`.
        generator_parameters, discriminator_parameters: Trees of floating-point arrays, the checkpoint.
        rule: How the players are trained.
        data: (key, n) -> batch, or arrays with one row per sample, drawn from with replacement.
        latents: (key, n) -> z, or the number of standard normals per sample.
        generator: (theta, z) -> samples `[n, ...]`; without it only spectra are reported.
        discriminator: (phi, x) -> scores `[n]`; needed for R1 and for collapse risk.
        penalty: The unit gradient penalty that gamma multiplies: "r1", or (theta, phi, batch, z, key) -> scalar.
        other_penalty: The term of L_D, likewise, that a gradient penalty would replace: a slope-1 penalty, say.
        real: batch -> real samples `[n, ...]`; None: the batch itself, or its first entry.
        gamma: Weight of the unit penalty inside `losses`, 0 if there is none.
        train_batch_size: Size of the training minibatches; `diagnose` needs it.
        penalty_interval: k, if the penalty stands in the loss every k-th step only, with the weight that `gamma` says;
            the diagnosis takes the average gamma / k.
        gradient_clipping, weight_clipping, averaged_generator: Whether training does that; none of it is linearised.
        iteration: Of the checkpoint, if known.
        planned_iterations: Length of the whole training, if known.

    Raises:
        ParameterError: If something has the wrong type or shape, or the players share parameters.
    """

    model: ClassVar[str] = "real"
    levels: ClassVar[Mapping[str, Level]] = {
        "training": Level(
            rules=ORDERS,
            stochastic=True,
            steps_per_unit=lambda game, dimension, step_size: 1.0,
            default_iterations=400,
            options={"fixed_latents": 256},
        )
    }

    def __init__(
        self,
        losses: Callable[..., Any],
        generator_parameters: Any,
        discriminator_parameters: Any,
        rule: UpdateRule,
        data: Any,
        latents: Any,
        *,
        generator: Callable[..., Any] | None = None,
        discriminator: Callable[..., Any] | None = None,
        penalty: Callable[..., Any] | str | None = "r1",
        other_penalty: Callable[..., Any] | None = None,
        real: Callable[[Any], Any] | None = None,
        gamma: float = 0.0,
        train_batch_size: int | None = None,
        penalty_interval: int = 1,
        gradient_clipping: bool = False,
        weight_clipping: bool = False,
        averaged_generator: bool = False,
        iteration: int | None = None,
        planned_iterations: int | None = None,
    ) -> None:
        from ganscope.diagnose.jax_functions.adapter import jax_parts  # JAX is imported where it is needed

        backend, rule = jax_parts(
            losses, generator_parameters, discriminator_parameters, rule, data, latents,
            generator, discriminator, penalty, other_penalty, real,
        )  # fmt: skip
        self._settle(
            backend, rule, gamma, other_penalty is not None, train_batch_size, penalty_interval,
            _untold(gradient_clipping, weight_clipping, averaged_generator), iteration, planned_iterations,
        )  # fmt: skip

    def _settle(
        self,
        backend: Backend,
        rule: UpdateRule,
        gamma: float,
        has_other_penalty: bool,
        train_batch_size: int | None,
        penalty_interval: int,
        notes: tuple[str, ...],
        iteration: int | None,
        planned_iterations: int | None,
    ) -> None:
        gamma = number("gamma", gamma, at_least=0)
        interval = integer("penalty_interval", penalty_interval, at_least=1)
        if train_batch_size is not None:
            train_batch_size = integer("train_batch_size", train_batch_size, at_least=1)
        if interval > 1 and gamma > 0 and not backend.penalty_known:
            expected = f"1 where the penalty itself is not given{self._hint}"
            raise ParameterError("penalty_interval", interval, expected)
        self.backend, self.rule = backend, rule
        self.gamma = gamma
        self.change = Change(added=gamma / interval - gamma)
        self.has_other_penalty = has_other_penalty
        self.penalty_interval = interval
        self.notes = notes
        self.iteration = None if iteration is None else integer("iteration", iteration)
        self.planned_iterations = (
            None if planned_iterations is None else integer("planned_iterations", planned_iterations, at_least=1)
        )
        self._train_batch_size = train_batch_size
        self.origin: RealGame = self  # the game as handed over, of which this one is a what-if
        self.measured: dict[Any, Any] = {}  # measurements of the origin, by their settings
        self._reread: Callable[[], RealGame] | None = None

    # Made of other things -----------------------------------------------------------------------------------------

    @classmethod
    def from_jax(
        cls,
        losses: Callable[..., Any],
        generator_parameters: Any,
        discriminator_parameters: Any,
        rule: UpdateRule,
        data: Any,
        latents: Any,
        **options: Any,
    ) -> "RealGame":
        """The same as calling the class: trees of arrays, such as those of Flax, Haiku or a partitioned Equinox module.

        Of an optax state, pass `nu`, `mu` and `count` to `Player(second_moment=..., first_moment=..., step=...)`.
        """
        return cls(losses, generator_parameters, discriminator_parameters, rule, data, latents, **options)

    @classmethod
    def from_torch(
        cls,
        generator: Any,
        discriminator: Any,
        losses: Callable[..., Any],
        data: Any,
        latents: Any,
        optimizer_g: Any,
        optimizer_d: Any,
        *,
        order: str = "alternating",
        discriminator_steps: int = 1,
        penalty: Callable[..., Any] | str | None = "r1",
        other_penalty: Callable[..., Any] | None = None,
        generate: Callable[..., Any] | None = None,
        score: Callable[..., Any] | None = None,
        real: Callable[[Any], Any] | None = None,
        gamma: float = 0.0,
        train_batch_size: int | None = None,
        penalty_interval: int = 1,
        gradient_clipping: bool = False,
        weight_clipping: bool = False,
        averaged_generator: bool = False,
        iteration: int | None = None,
        planned_iterations: int | None = None,
    ) -> "RealGame":
        """A game of PyTorch modules and optimizers, which are only read.

        Args:
            generator, discriminator: The modules, at the checkpoint.
            losses: (generator, discriminator, batch, z, key) -> (L_G, L_D): called with float64 copies of the modules;
                scalars, both minimised, any penalty inside L_D, generated samples not detached. `key` is a seeded
                `torch.Generator` for all randomness.
            data: (key, n) -> batch, a tensor (rows are drawn with replacement), or a DataLoader or Dataset of tensors.
            latents: (key, n) -> z, or the number of standard normals per sample.
            optimizer_g, optimizer_d: SGD, Adam, AdamW or RMSprop of `torch.optim`, each with its module's parameters.
            order, discriminator_steps: Of one training iteration.
            generate: (generator, z) -> samples `[n, ...]`; None calls `generator(z)`.
            score: (discriminator, x) or (discriminator, x, source) -> scores `[n]`, where source is the batch or the
                latents that x comes from, for labels; None calls `discriminator(x)`.
            penalty, other_penalty: As of the class, called as (generator, discriminator, batch, z, key).
            real, gamma, train_batch_size, penalty_interval, ...: As of the class.

        Raises:
            ParameterError: If something has the wrong type, the optimizers do not hold the modules' parameters, or the
                players share some.
            ModuleNotFoundError: Without PyTorch: `pip install "ganscope[torch]"`.
        """
        from ganscope.diagnose.torch_modules.adapter import torch_parts  # PyTorch is optional

        def read() -> "RealGame":
            backend, rule, facts = torch_parts(
                generator, discriminator, losses, data, latents, optimizer_g, optimizer_d,
                order=order, discriminator_steps=discriminator_steps, penalty=penalty, other_penalty=other_penalty,
                generate=generate, score=score, real=real, train_batch_size=train_batch_size,
            )  # fmt: skip
            game = cls.__new__(cls)
            game.missing = "; ".join(facts["missing"].values())
            untold = _untold(gradient_clipping, weight_clipping, averaged_generator)
            game._settle(
                backend, rule, gamma, other_penalty is not None, facts["train_batch_size"], penalty_interval,
                (*untold, *facts["notes"], *facts["missing"].values()), iteration, planned_iterations,
            )  # fmt: skip
            game._reread = read
            game._modules = (generator, discriminator, optimizer_g, optimizer_d)
            return game

        return read()

    def refreshed(self) -> "RealGame":
        """The same game at the parameters and optimizer states that its PyTorch modules have now."""
        if self._reread is None:
            raise NotApplicable("a game of JAX functions does not change by itself: use at(...)")
        game = self._reread()
        game.iteration = self.iteration
        return game

    def at(
        self, generator_parameters: Any, discriminator_parameters: Any, rule: UpdateRule | None = None
    ) -> "RealGame":
        """The same game at another checkpoint: trees like those it was made of, or flat arrays.

        Args:
            generator_parameters, discriminator_parameters: The parameters.
            rule: With the optimizers' states there; None keeps the rule, with its second moments.
        """
        from ganscope.diagnose.jax_functions.adapter import checkpoint_of

        if self.backend.name != "jax":
            raise NotApplicable("a game of PyTorch modules is where its modules are: use refreshed()")
        game = copy.copy(self)
        game.backend, game.rule = checkpoint_of(
            self.backend, generator_parameters, discriminator_parameters, rule or self.rule
        )
        game.origin, game.measured = game, {}
        return game

    def load_checkpoint(self, path: str | Path) -> "RealGame":
        """The same game at a checkpoint file.

        Args:
            path: For PyTorch a file of `torch.save` with state dictionaries under `generator`, `discriminator` and, if
                the optimizers' states shall be read too, `optimizer_g`, `optimizer_d`; only tensors are loaded. The
                user's modules take these weights. For JAX an `.npz` file with the flat arrays `generator` and
                `discriminator`.

        Raises:
            ParameterError: If the file cannot be read as such or does not fit.
        """
        if self._reread is None:
            from ganscope.diagnose.jax_functions.adapter import read_checkpoint

            return self.at(*read_checkpoint(Path(path), self.backend.sizes))
        from ganscope.diagnose.torch_modules.adapter import loaded

        # a game that cannot be read from the new state leaves the user with the old one
        with loaded(path, *self._modules) as told:
            game = self.refreshed()
        if told["iteration"] is not None:
            game.iteration = told["iteration"]
        for name, optimizer in zip(("optimizer_g", "optimizer_d"), self._modules[2:], strict=True):
            if name not in told["loaded"] and getattr(optimizer, "state", None):
                game.notes += (f"{name}: the checkpoint has no state of it, so its present one was kept",)
        return game

    _modules: tuple[Any, ...] = ()
    missing: str = ""  # why a player cannot be called on its own, and what to give

    @property
    def _hint(self) -> str:
        return f" ({self.missing})" if self.missing else ""

    # Parameters ---------------------------------------------------------------------------------------------------

    @property
    def gradient_penalty(self) -> float:
        """Weight gamma of the unit penalty in force, convention (gamma/2) E|grad D|^2."""
        return self.gamma + self.change.added

    @property
    def train_batch_size(self) -> int:
        """Size of the training minibatches."""
        if self._train_batch_size is None:
            raise ParameterError("train_batch_size", None, "the size of the training minibatches (RealGame needs it)")
        return self._train_batch_size

    @property
    def generator_lr(self) -> float:
        """The generator's learning rate, the largest one where parameters have their own."""
        return float(np.max(self.rule.generator.learning_rate))

    @property
    def discriminator_lr(self) -> float:
        """The discriminator's learning rate, likewise."""
        return float(np.max(self.rule.discriminator.learning_rate))

    @property
    def momentum(self) -> float:
        """The larger momentum of the players, 0 without any."""
        return max(player.momentum for player in self._players)

    @property
    def beta1(self) -> float:
        """The larger beta1 of the players that use Adam, 0 without any."""
        return max((player.beta1 for player in self._players if player.kind == "adam"), default=0.0)

    @property
    def discriminator_steps(self) -> int:
        """Discriminator steps of an iteration."""
        return self.rule.discriminator_steps

    @property
    def order(self) -> str:
        """`alternating` or `simultaneous`."""
        return self.rule.order

    @property
    def instance_noise(self) -> float:
        """Standard deviation of noise that a what-if adds to all samples."""
        return self.change.instance_noise

    @property
    def _players(self) -> tuple[Player, Player]:
        return self.rule.generator, self.rule.discriminator

    @classmethod
    def parameter_names(cls) -> list[str]:
        """What a what-if can change."""
        return list(WHAT_IFS)

    def varied_parameters(self) -> tuple[str, ...]:
        """What one batch of training runs can vary: all numbers."""
        return tuple(name for name in WHAT_IFS if name != "order")

    def parameters(self) -> dict[str, Any]:
        """A real game is more than its settings: it cannot be written to JSON."""
        raise NotApplicable("a real game is made of functions and weights: it cannot be written to JSON")

    def recorded(self) -> RecordedGame:
        """What a saved run can tell of this game."""
        settings = {name: getattr(self, name) for name in WHAT_IFS if name != "train_batch_size"}
        return RecordedGame(
            backend=self.backend.name,
            weights=self._digest(),
            generator_kind=self.rule.generator.kind,
            discriminator_kind=self.rule.discriminator.kind,
            other_penalty=self.has_other_penalty and self.change.removed == 0,
            train_batch_size=self._train_batch_size,
            **settings,
        )

    def _digest(self) -> str:
        """Of the weights."""
        weights = hashlib.blake2b(digest_size=12)
        for part in self.backend.point:
            weights.update(np.ascontiguousarray(part).tobytes())
        return weights.hexdigest()

    def stream_name(self) -> str:
        """One text for equal games: backend, weights and settings."""
        settings = {name: getattr(self, name) for name in WHAT_IFS if name != "train_batch_size"}
        told = {"model": self.model, "backend": self.backend.name, "weights": self._digest()}
        return json.dumps(told | settings | {"train_batch_size": self._train_batch_size}, sort_keys=True)

    def replace(self, **changes: Any) -> Self:
        """A what-if: the same weights under other settings.

        Args:
            changes: Some of gradient_penalty (replaces a penalty of another kind), generator_lr, discriminator_lr,
                momentum and beta1 (of both players that have it), discriminator_steps, order, train_batch_size,
                instance_noise.
        """
        game = copy.copy(self)
        for name in changes:
            if name not in WHAT_IFS:
                raise unknown_name("parameter", name, WHAT_IFS)
        for name in WHAT_IFS:
            if name in changes and name not in _OF_THE_RULE:
                game._change(name, changes[name])
        together = {name: changes[name] for name in _OF_THE_RULE if name in changes}
        game.rule = game.rule.replace(**together)  # checked together: their order must not matter
        return game

    def _change(self, name: str, value: Any) -> None:
        added, removed, noise = self.change.added, self.change.removed, self.change.instance_noise
        if name == "gradient_penalty":
            gamma = number(name, value, at_least=0)
            if not self.backend.penalty_known:
                expected = f"nothing: the game has neither a unit penalty nor a discriminator{self._hint}"
                raise ParameterError(name, value, expected)
            self.change = Change(gamma - self.gamma, 1.0 if self.has_other_penalty else 0.0, noise)
        elif name == "instance_noise":
            if not self.backend.noise_known and number(name, value, at_least=0) > 0:
                raise ParameterError(name, value, "0: `losses` has no keyword argument instance_noise")
            self.change = Change(added, removed, number(name, value, at_least=0))
        elif name == "train_batch_size":
            self._train_batch_size = integer(name, value, at_least=1)
        elif name in ("generator_lr", "discriminator_lr"):
            which = name.removesuffix("_lr")
            player = getattr(self.rule, which)
            factor = number(name, value, above=0) / float(np.max(player.learning_rate))
            rate = np.asarray(player.learning_rate, np.float64) * factor
            self.rule = self.rule.replace(**{which: player.replace(learning_rate=rate if rate.ndim else float(rate))})
        else:
            new = self.rule.replace(
                generator=_with_memory(self.rule.generator, name, value),
                discriminator=_with_memory(self.rule.discriminator, name, value),
            )
            if new.generator is self.rule.generator and new.discriminator is self.rule.discriminator:
                raise ParameterError(name, value, f"nothing: no player has {name}")
            self.rule = new

    def __eq__(self, other: object) -> bool:
        return self.recorded() == other

    def __hash__(self) -> int:
        return hash(self.recorded())

    def check_cells(self, over: Mapping[str, Any]) -> tuple[dict[str, Array], int]:
        """Values of what-ifs with one entry per cell."""
        checked = {}
        for name, values in over.items():
            if name not in self.varied_parameters():
                raise unknown_name("over", name, self.varied_parameters())
            checked[name] = real_array(name, values, ndim=1)
        cells = one_length(checked)
        for cell in range(cells if checked else 0):
            self.replace(**{name: values[cell] for name, values in checked.items()})
        return checked, cells

    # What is done with it -----------------------------------------------------------------------------------------

    def trajectories(self, request: Request) -> dict[str, Variable]:
        """Train every cell and replica from the checkpoint."""
        from ganscope.diagnose.evidence.training_runs import trajectories

        return trajectories(self, request)

    def classify(self, run: Any, **options: Any) -> Verdict:
        """What became of a training run, from its recorded samples."""
        from ganscope.diagnose.samples.observed import observed

        return observed(run, **options)

    def predict(
        self, level: str | None = None, rule: str | None = None, step_size: float | None = None, **options: Any
    ) -> Prediction:
        """The virtual equilibrium's statement on this game, or on this what-if; None is the game's own rule."""
        from ganscope.diagnose.theory.predicted import predicted

        if level not in (None, "training") or step_size is not None:
            raise ParameterError("level", level, "None or 'training', and no step_size")
        return predicted(self if rule is None else self.replace(order=rule))

    def linear_spectrum(self, at: Any = None, rule: str | None = None, **options: Any) -> Spectrum:
        """The spectrum at the checkpoint, or at other parameters `(generator, discriminator)`.

        Eigenvalues of the whitened Jacobian, per iteration, or multipliers of the game's own update map with the order
        `rule`; of all parameters up to a few thousand of them, of the leading rotation modes beyond. They describe
        short times: where a run ends is another question.
        """
        from ganscope.diagnose.theory.local_spectrum import local_spectrum

        if options:
            raise unknown_name("option", sorted(options)[0], ["at", "rule"])
        game = self if at is None else self._elsewhere(at)
        return local_spectrum(game, None if rule is None else one_of("rule", rule, ORDERS))

    def _elsewhere(self, at: Any) -> "RealGame":
        """The game at other parameters `(generator, discriminator)`, flat arrays or, of JAX, trees."""
        try:
            generator, discriminator = at
        except (TypeError, ValueError):
            raise ParameterError("at", at, "a pair (generator, discriminator) of parameters") from None
        if self.backend.name == "jax":
            return self.at(generator, discriminator)
        point = Players(*(real_array("at", part, ndim=1) for part in (generator, discriminator)))
        if tuple(map(len, point)) != tuple(self.backend.sizes):
            raise ParameterError("at", tuple(map(len, point)), f"flat arrays of {tuple(self.backend.sizes)} numbers")
        game = copy.copy(self)
        game.backend = self.backend.at(point)
        game.origin, game.measured = game, {}
        return game


def _with_memory(player: Player, name: str, value: Any) -> Player:
    """Another momentum or beta1 where a player has one."""
    if name == "beta1":
        return player.replace(beta1=value) if player.kind == "adam" else player
    if player.kind == "rmsprop":
        return player.replace(momentum=value)
    return player.replace(kind="momentum", momentum=value) if player.kind in ("sgd", "momentum") else player


def _untold(gradient_clipping: bool, weight_clipping: bool, averaged_generator: bool) -> tuple[str, ...]:
    """What training does beyond the losses and the optimizers."""
    told = {
        "gradient clipping": gradient_clipping,
        "weight clipping": weight_clipping,
        "averaging of the generator's weights": averaged_generator,
    }
    return tuple(f"{name} is not linearised" for name, used in told.items() if used)
