"""Watching a training run from inside: a callback that takes readings within a budget of time and warns early.

Cheap readings look at generated samples at fixed latents; dear ones predict, from a small measurement of the game, how
far the samples will wander, at iterations 20, 100, 200, 400 and so on. With S the predicted wander, or its geometric
mean with the observed one once there are 40 records, the margin is ln(0.1 / S): positive on the converging side.
"""

import hashlib
import math
import sys
import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
import numpy.typing as npt

from ganscope.core.checks import integer
from ganscope.core.errors import NotApplicable, ParameterError, StoreError, unknown_name
from ganscope.diagnose.backend import Backend
from ganscope.diagnose.instruments.measure import data_radius
from ganscope.diagnose.monitoring.budget import Budget
from ganscope.diagnose.monitoring.gradient_trail import GradientTrail
from ganscope.diagnose.monitoring.log import MonitorLog, superseded, table
from ganscope.diagnose.monitoring.output_trail import OutputTrail
from ganscope.diagnose.monitoring.quick_reading import quick_reading
from ganscope.diagnose.monitoring.reading import FIELDS, Reading, judged
from ganscope.diagnose.rule import UpdateRule
from ganscope.diagnose.samples.statistics import neighbour_numbers
from ganscope.diagnose.settings import DiagnoseSettings
from ganscope.diagnose.torch_modules.tensorboard import scalar_writer

Array = npt.NDArray[np.float64]
Measure = Callable[..., Mapping[str, Any]]

# Dear readings: here, then at every doubling.
FIRST_READINGS = (20, 100)
# Spacing of cheap readings before their cost is known, and the part of the budget that they may use.
_SPACING, _CHEAP_PART = 20, 0.5
_OUTPUTS, _MEASUREMENT = "outputs", "measurement"
_SEED_APART, _REALS, _NEIGHBOURS = 19_001, 512, 5
_STATE = (
    "generator", "discriminator", "generator_second_moment", "discriminator_second_moment", "generator_step",
    "discriminator_step",
)  # fmt: skip


class Watched(Protocol):
    """What of a real game is watched."""

    @property
    def backend(self) -> Backend: ...
    @property
    def rule(self) -> UpdateRule: ...
    def refreshed(self) -> "Watched": ...
    def at(self, generator_parameters: Any, discriminator_parameters: Any, rule: Any = None) -> "Watched": ...


class Monitor:
    """Watch a training run; call `step` once per iteration.

        monitor = gs.Monitor(game, log="run.jsonl")
        for k in range(iterations):
            ...
            reading = monitor.step()

    Args:
        game: The real game. One made of PyTorch modules is read where it lives; one of JAX needs `step`'s `state`.
        every: Iterations between cheap readings; None lets the budget decide, at least 20.
        budget: Share of all time that the monitor may take, in (0, 1]; kept from iteration 4000 on, or from the planned
            end if that is earlier: the first readings are an advance. Compilation is apart, see `warm_up_seconds`.
        log: File of readings, lines of JSON; an existing one is continued. None keeps them in memory. If TensorBoard is
            installed, scalars go to a folder beside it, too.
        planned_iterations: Length of the run; None takes the game's, if it knows.
        seed: Of latents and data.
        fixed_latents: Latents whose outputs are followed, at least 16.
        clock: Seconds; for tests.
        measure: (game, seed=..., settings...) -> numbers of a dear reading; None is the package's own.
        monitor_setting: Settings of the measurement: `modes` (8), `batch_size` (128), `noise_batches` (8).

    Raises:
        ParameterError: If a parameter is out of range or unknown.
        StoreError: If the log is something else, or of another game.

    References:
        Berard, Gidel, Almahairi, Vincent, Lacoste-Julien. A closer look at the optimization landscapes of generative
        adversarial networks. ICLR 2020.
    """

    def __init__(
        self,
        game: Watched,
        every: int | None = None,
        budget: float = 0.05,
        log: Any = None,
        planned_iterations: int | None = None,
        seed: int = 0,
        fixed_latents: int = 256,
        clock: Callable[[], float] = time.perf_counter,
        measure: Measure | None = None,
        **monitor_setting: Any,
    ) -> None:
        for method in ("refreshed", "at", "backend"):
            if not hasattr(game, method):
                raise ParameterError("game", game, "a gs.RealGame")
        nested = monitor_setting.pop("monitor_setting", {})
        settings = DiagnoseSettings(
            every=every,
            budget=budget,
            seed=seed,
            fixed_latents=fixed_latents,
            monitor_setting={**nested, **monitor_setting} if isinstance(nested, Mapping) else nested,
        )
        if planned_iterations is None:
            planned_iterations = getattr(game, "planned_iterations", None)
        else:
            planned_iterations = integer("planned_iterations", planned_iterations, at_least=1)
        backend = game.backend
        self._game, self._seed = game, settings.seed
        self._setting = self._fitted(settings.monitor_setting, backend, "modes" in {**nested, **monitor_setting})
        self._measure = measure or cast(Measure, quick_reading)
        self._radius = data_radius(backend)
        self._budget = Budget(settings.budget, clock, planned_iterations)
        self._every, self._given_every = settings.every or _SPACING, settings.every is not None
        self._gradients = GradientTrail()
        self._hashes: tuple[str, ...] | None = None
        self._trail: OutputTrail | None = None
        if backend.samples_known:
            self._latents = backend.latents(settings.seed + _SEED_APART, settings.fixed_latents)
            self._real = backend.real_samples(backend.draw(settings.seed + _SEED_APART, _REALS))
            self._trail = OutputTrail(self._real, self._radius)
        self._entries: list[dict[str, Any]] = []
        self._log = self._scalars = None
        self._iteration = 0
        self._diverged, self._unreadable = False, ""
        self._next_outputs, self._next_measurement = self._every, FIRST_READINGS[0]
        if log is not None:
            identity = {"backend": backend.name, "sizes": [int(n) for n in backend.sizes], "latents": fixed_latents}
            self._log = MonitorLog(log, identity)
            self._scalars = scalar_writer(Path(log).with_suffix(".tensorboard"))
            self._go_on(self._log.entries)

    @staticmethod
    def _fitted(setting: Mapping[str, int], backend: Backend, given: bool) -> dict[str, int]:
        """The settings, with a default number of modes that is no larger than the players allow."""
        most = int(min(backend.sizes))
        if given and setting["modes"] > most:
            raise ParameterError("modes", setting["modes"], f"an integer from 1 to {most}, the smaller player's size")
        return {**setting, "modes": min(setting["modes"], most)}

    @property
    def history(self) -> list[Reading]:
        """All readings, those that the log held before included."""
        return [Reading.from_dict(entry) for entry in self._entries]

    @property
    def centres(self) -> Array:
        """Centres of mass of the samples at all records, `[records, d]`; no rows above 64 axes."""
        rows = [entry["centre_of_mass"] for entry in self._entries if "centre_of_mass" in entry]
        return np.array(rows, np.float64).reshape(len(rows), -1)

    @property
    def overhead(self) -> float:
        """The monitor's share of all time since its first step, warm-up apart."""
        return self._budget.overhead()

    @property
    def warm_up_seconds(self) -> float:
        """Time of the first readings, which compile what they need."""
        return self._budget.warm_up

    def table(self) -> str:
        """All readings as an aligned table."""
        return table(self._entries)

    def step(self, state: Any = None, iteration: int | None = None, gradients: Any = None) -> Reading | None:
        """Take a reading if one is due.

        Args:
            state: Where the run is: nothing for PyTorch modules, which are read themselves; otherwise the parameters
                `(generator, discriminator)`, or a dictionary with `generator`, `discriminator` and perhaps
                `generator_second_moment`, `generator_step` and the same of the discriminator (Adam's, RMSprop's).
            iteration: Iterations done; None counts the calls.
            gradients: The last gradients `(generator, discriminator)`, arrays or trees of them, for readings.

        Returns:
            A reading, or None if none is due.

        Raises:
            ParameterError: If the state does not fit the game.
        """
        if getattr(iteration, "ndim", None) == 0:  # a step count of JAX is an array
            iteration = np.asarray(iteration).item()
        iteration = self._iteration + 1 if iteration is None else integer("iteration", iteration)
        if iteration <= self._iteration:
            self._go_back(iteration)
        self._iteration = iteration
        since = self._budget.enter(iteration)
        outputs_due = iteration >= self._next_outputs
        if outputs_due:
            self._next_outputs = (iteration // self._every + 1) * self._every
            outputs_due = self._budget.affordable(_OUTPUTS, iteration, _CHEAP_PART)
        measurement_due = iteration >= self._next_measurement and self._budget.affordable(_MEASUREMENT, iteration)
        reading = None
        if outputs_due or measurement_due:
            if "jax" in sys.modules:  # what is still being computed is training's own time
                sys.modules["jax"].block_until_ready((state, gradients))
                since = self._budget.clock()
            reading = self._read(state, gradients, outputs_due, measurement_due, since)
        self._budget.leave(iteration, since)
        return reading

    def _read(
        self, state: Any, gradients: Any, outputs_due: bool, measurement_due: bool, since: float
    ) -> Reading | None:
        if measurement_due:  # whatever comes of it: a run that has broken down is not measured at every iteration
            self._next_measurement = _next_after(self._iteration)
        try:
            game = self._current(state)
        except ParameterError as error:
            if state is not None:
                raise
            return self._unread(error, since)
        self._unreadable = ""
        found: dict[str, Any] = {"iteration": self._iteration}
        told = self._updates(game.backend)
        finite = all(bool(np.all(np.isfinite(part))) for part in game.backend.point)
        if not finite:  # said once: nothing that comes after it is news
            told = [] if self._diverged else ["parameters are not finite: the run has diverged"]
        self._diverged = not finite
        found |= self._gradients.add(gradients)
        record: dict[str, Any] = {}
        outputs = None
        if finite and self._trail is not None:
            outputs = game.backend.outputs(game.backend.point.generator, self._latents)
            found |= self._trail.seen(outputs)
            if outputs_due:
                record = self._trail.add(outputs)
            found |= self._trail.motion()
        middle = self._budget.clock()
        self._budget.account(_OUTPUTS, middle - since)
        if measurement_due and finite:
            numbers, again = self._measured(game, outputs, told)
            found |= numbers
            self._budget.account(_MEASUREMENT, self._budget.clock() - middle, again)
            before = [entry["margin"] for entry in self._entries if entry.get("margin") is not None]
            score, more = judged(found, before, self._trail.records if self._trail is not None else 0)
            found |= score
            told += more
        self._space_out()
        reading = Reading(**found, overhead=self._budget.overhead(since), warnings=tuple(told))
        self._keep(reading, record)
        return reading

    def _unread(self, error: ParameterError, since: float) -> Reading | None:
        """Modules and optimizers of which no game can be made now, such as at a learning rate of 0: training goes on.

        Said once, until they can be read again or the reason is another.
        """
        before, self._unreadable = self._unreadable, str(error)
        if before == str(error):
            return None
        told = (f"the game cannot be read: {error}",)
        reading = Reading(self._iteration, overhead=self._budget.overhead(since), warnings=told)
        self._keep(reading, {})
        return reading

    def _measured(self, game: Watched, outputs: Array | None, told: list[str]) -> tuple[dict[str, Any], float | None]:
        """Numbers of a dear reading, and what it will cost the next time, told by the first one.

        A first measurement that would not fit into the budget was perhaps mostly compilation: a second one tells.
        """
        began = self._budget.clock()
        try:
            numbers = self._measure(game, seed=self._seed, **self._setting)
            again = self._budget.clock() - began
            if not self._budget.warm(_MEASUREMENT) and again > 0.5 * self._budget.allowance(self._iteration):
                numbers = self._measure(game, seed=self._seed, **self._setting)
                again = self._budget.clock() - began - again
        except (RuntimeError, MemoryError, NotApplicable, ParameterError, np.linalg.LinAlgError) as error:
            # Memory that ran out, or numbers that did, such as second moments that overflow: training goes on.
            told.append(f"the measurement failed: {' '.join(str(error).split())[:200]}")
            return {}, None
        found = {k: v for k, v in numbers.items() if k in FIELDS and v is not None}
        if outputs is not None:
            found["knn_coverage"] = neighbour_numbers(outputs, self._real, _NEIGHBOURS)[1]
        return found, again

    def _updates(self, backend: Backend) -> list[str]:
        """Warnings about players that have not moved since the last reading."""
        now = tuple(hashlib.blake2b(np.ascontiguousarray(part).tobytes()).hexdigest() for part in backend.point)
        before, self._hashes = self._hashes, now
        if before is None:
            return []
        names = ("generator", "discriminator")
        return [f"{name} not updated" for name, a, b in zip(names, before, now, strict=True) if a == b]

    def _current(self, state: Any) -> Watched:
        if state is None:
            return self._game.refreshed()
        if not isinstance(state, Mapping):
            if not isinstance(state, tuple | list) or len(state) != 2:
                raise ParameterError("state", type(state).__name__, "(generator, discriminator) or a dictionary")
            return self._game.at(state[0], state[1])
        for name in state:
            if name not in _STATE:
                raise unknown_name("state", name, _STATE)
        if "generator" not in state or "discriminator" not in state:
            raise ParameterError("state", sorted(state), "a dictionary with generator and discriminator")
        rule = self._game.rule
        for name in ("generator", "discriminator"):
            known = {"second_moment": state.get(f"{name}_second_moment"), "step": state.get(f"{name}_step")}
            given = {key: value for key, value in known.items() if value is not None}
            rule = rule.replace(**{name: getattr(rule, name).replace(**given)})
        return self._game.at(state["generator"], state["discriminator"], rule)

    def _space_out(self) -> None:
        """Once the cost of cheap readings is known, the spacing that they can keep."""
        if self._given_every or self._every != _SPACING:
            return
        interval = self._budget.interval(_OUTPUTS, _CHEAP_PART)
        if interval is not None and interval > _SPACING:
            self._every = _SPACING * math.ceil(interval / _SPACING)
            self._next_outputs = (self._iteration // self._every + 1) * self._every

    def _keep(self, reading: Reading, record: dict[str, Any]) -> None:
        entry = reading.to_dict() | record
        self._entries = [*superseded(self._entries, self._iteration), entry]
        if self._log is not None:
            try:
                self._log.write(entry)
            except StoreError as error:
                warnings.warn(f"{error}; the monitor goes on without it", stacklevel=4)
                self._log = None
        if self._scalars is not None:
            for name, value in entry.items():
                if isinstance(value, float) and math.isfinite(value):
                    self._scalars(f"ganscope/{name}", value, self._iteration)

    def _go_on(self, entries: list[dict[str, Any]]) -> None:
        """Continue after these entries."""
        self._entries = list(entries)
        self._iteration = entries[-1]["iteration"] if entries else 0
        if self._trail is not None:
            self._trail.restore(entries)
        self._next_outputs = (self._iteration // self._every + 1) * self._every
        measured = [entry["iteration"] for entry in entries if entry.get("margin") is not None]
        self._next_measurement = _next_after(measured[-1]) if measured else FIRST_READINGS[0]
        self._diverged = False

    def _go_back(self, iteration: int) -> None:
        """The run went on from an earlier checkpoint: what came after it is superseded."""
        self._go_on(superseded(self._entries, iteration))
        self._hashes = None


def _next_after(iteration: int) -> int:
    """Where the next dear reading is due."""
    later = 2 * FIRST_READINGS[-1]
    while later <= iteration:
        later *= 2
    return next((k for k in FIRST_READINGS if k > iteration), later)
