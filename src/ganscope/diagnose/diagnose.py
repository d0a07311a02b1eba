"""`diagnose`: what a real GAN will do next, why, what to change, and the evidence."""

import contextlib
import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ganscope.core.errors import ParameterError
from ganscope.core.outcome import Outcome
from ganscope.core.progress import listening, report, step_of
from ganscope.diagnose.diagnosis import Diagnosis
from ganscope.diagnose.evidence.races import Arm, Race, race
from ganscope.diagnose.evidence.training_runs import memory_of
from ganscope.diagnose.evidence.twin import TwinFork, twin_fork
from ganscope.diagnose.instruments.full_spectrum import FullSpectrum, full_spectrum
from ganscope.diagnose.instruments.generator_kernel import GeneratorKernel, generator_kernel
from ganscope.diagnose.instruments.measurement import Measurement
from ganscope.diagnose.instruments.mode_damping import damping_ratio
from ganscope.diagnose.instruments.rotation import NotFinite, whitening
from ganscope.diagnose.memory_bound import within_memory
from ganscope.diagnose.past import history_of, readings_of
from ganscope.diagnose.probes import ERROR, WARNING, Probe, TrapError, probes
from ganscope.diagnose.real_game import RealGame
from ganscope.diagnose.report import Findings, report_of
from ganscope.diagnose.samples.collapse import Collapse, order_statistics
from ganscope.diagnose.samples.history import History
from ganscope.diagnose.settings import DiagnoseSettings
from ganscope.diagnose.theory import virtual
from ganscope.diagnose.theory.advice import Advice, GammaSweep, advise, gamma_sweep
from ganscope.diagnose.theory.predicted import measurements_of
from ganscope.diagnose.theory.validated import outside
from ganscope.diagnose.theory.verdict import Judgement, judge
from ganscope.diagnose.theory.what_if import Setting, WhatIf, evaluate

Array = npt.NDArray[np.float64]
Progress = Callable[..., None]

# Forked races last this share of the planned training, but no less than the default: strong penalties slow the
# transient, which short races mistake for harm; and no longer than this.
_RACE_SHARE, _LONGEST_RACE = 0.05, 2000
# Iterations below which a generator has hardly been trained.
_YOUNG = 100
_STAGES = ("probes", "measurement", "samples", "spectrum", "advice", "twin forks", "forked races")


def diagnose(
    game: RealGame,
    *,
    quick: bool = False,
    history: Any = None,
    labels: Any = None,
    modes_of_data: Any = None,
    features: Any = None,
    progress: Progress | None = None,
    **settings: Any,
) -> Diagnosis:
    """Diagnose a real GAN at its checkpoint.

    The verdict rests on the virtual equilibrium: the mixed blocks of the game and the damping part of the
    discriminator's block, put through the actual update rule and driven by the measured minibatch noise. It says how
    far the samples will wander; 0.1 data radii separate runs that settle from runs that do not. The rightmost
    eigenvalue is reported and decides nothing: it is positive at healthy checkpoints, too.

    Args:
        game: The real game; it needs `train_batch_size`.
        quick: One small measurement instead of three full ones, no forked races.
        history: The run so far: records of the outputs at fixed latents, `[records, latents, d]` equally spaced, a
            training run of `simulate`, or the run's `Monitor`. From 40 records on the observed wander counts.
        labels: batch -> class of every real sample, for the collapse check; modes_of_data, features: as `is_collapsed`
            takes them.
        progress: Called as (label, done, total); None reports to whoever listens.
        settings: Any of `DiagnoseSettings`: modes, batch_size, batches, noise_batches, horizon, threshold, gammas,
            convention, dtype, full_spectrum, fork_iterations, fork_seeds, seed, ...

    Returns:
        The verdict with margin, confidence and its source, what-ifs, advice, verification and cost. Weights that are
        not finite give the verdict `diverged` and no spectrum.

    Raises:
        ParameterError: If a setting is unknown or out of range, or the batch size of training is not known.
        TrapError: If a probe finds what would falsify the diagnosis, such as detached generated samples.
        MemoryError: If even a quarter of the batch does not fit; the message holds the estimate.

    References:
        Mescheder, Nowozin, Geiger. The numerics of GANs. NeurIPS 2017.
    """
    if not isinstance(game, RealGame):
        raise ParameterError("game", type(game).__name__, "a gs.RealGame, from_torch(...) or from_jax(...)")
    sizes = game.backend.sizes
    chosen = DiagnoseSettings.from_options(settings, quick=quick, sizes=(sizes.generator, sizes.discriminator))
    if chosen.train_batch_size is not None:
        game = game.replace(train_batch_size=chosen.train_batch_size)
    batch_size = chosen.checked_for((sizes.generator, sizes.discriminator), game._train_batch_size)
    _ = batch_size.required_train_batch_size
    if "fork_iterations" not in settings and game.planned_iterations and not quick:
        share = round(_RACE_SHARE * game.planned_iterations)
        length = min(max(chosen.fork_iterations, share), _LONGEST_RACE)
        chosen = dataclasses.replace(chosen, fork_iterations=length)
    if chosen.dtype == "float32" and hasattr(game.backend, "in_precision"):
        game = _in_precision(game, np.float32)
    with listening(progress) if progress is not None else contextlib.nullcontext():
        return _Run(game, chosen, quick, history, (labels, modes_of_data, features)).diagnosis()


def _in_precision(game: RealGame, dtype: Any) -> RealGame:
    lowered = game.replace()
    lowered.backend = game.backend.in_precision(dtype)  # type: ignore[attr-defined]
    lowered.origin, lowered.measured = lowered, {}
    return lowered


class _Run:
    """One diagnosis, stage by stage."""

    def __init__(
        self, game: RealGame, settings: DiagnoseSettings, quick: bool, history: Any, knowledge: tuple[Any, Any, Any]
    ) -> None:
        self.game, self.settings, self.quick = game, settings, quick
        self.started = time.perf_counter()
        self.seconds: dict[str, float] = {}
        self.compile_seconds: float | None = None
        self.history = history
        self.knowledge = knowledge
        self.notes: list[str] = list(settings.warnings)
        self.by_batch_size: dict[int, float] = {}

    @contextlib.contextmanager
    def _stage(self, name: str) -> Iterator[None]:
        began = time.perf_counter()
        with step_of("diagnosis", _STAGES.index(name), len(_STAGES), name):
            yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - began

    def diagnosis(self) -> Diagnosis:
        game, settings = self.game, self.settings
        finite = all(bool(np.all(np.isfinite(part))) for part in game.backend.point)
        found: list[Probe] = []
        if finite:
            game.backend.try_out(settings.batch_size)
            with self._stage("probes"):
                found = probes(game, settings.seed, settings.batch_size)
            if any(probe.status == ERROR for probe in found):
                raise TrapError(found)
        measurements: Sequence[Measurement] = []
        with self._stage("measurement"):
            finite = finite and self._losses_finite()
            try:
                if finite:
                    measurements, self.settings = within_memory(self._measured, settings, game)
                    settings = self.settings
                    self._both_sizes(found, measurements)
            except NotFinite:
                finite, measurements = False, []
        with self._stage("samples"):
            samples = self._samples() if finite else None
            seen = measurements[0].outputs if measurements else None
            radius = measurements[0].data_radius if measurements else 1.0
            history = history_of(self.history, None if seen is None else seen.shape[2], radius)
        with self._stage("spectrum"):
            kernel = self._kernel(measurements)
            whole = self._full_spectrum(measurements)
        judged = judge(
            measurements,
            samples,
            history,
            finite=finite,
            progress=_progress(game),
            threshold=settings.threshold,
            horizon=settings.horizon,
            collapse_risk=kernel.risk if kernel else None,
        )
        judged = self._validated(self._at_the_start(judged), measurements)
        with self._stage("advice"):
            sweep, what_ifs, advice = self._advice(measurements, judged, history)
        with self._stage("twin forks"):
            twin = self._twin(measurements)
        with self._stage("forked races"):
            forks = self._race(advice, measurements)
        advice = tuple(_verified(one, forks) for one in advice)
        report("diagnosis", len(_STAGES), len(_STAGES), "done")
        findings = Findings(
            found, measurements, samples, history, kernel, whole, judged, sweep, what_ifs, advice, twin, forks,
            self.notes, self.by_batch_size,
        )  # fmt: skip
        readings, cost = readings_of(self.history), self._cost(measurements)
        told = report_of(game, settings, findings, quick=self.quick, readings=readings, cost=cost)
        wander = told["prediction"]["predicted_wander"]["median"]
        return Diagnosis(
            judged, wander, tuple(told["assumptions"]), tuple(found), what_ifs, advice, told["verification"],
            tuple(measurements), sweep, told,
        )  # fmt: skip

    def _at_the_start(self, judged: Judgement) -> Judgement:
        """Samples of a generator that has hardly been trained look collapsed."""
        player = self.game.rule.generator
        steps = [n for n in (self.game.iteration, player.step) if n is not None]
        young = max(steps) < _YOUNG if steps else player.adaptive and player.second_moment is None
        if judged.outcome != Outcome.COLLAPSED or not young:
            return judged
        told = "at the start of training this is normal: diagnose again after some hundred iterations"
        return dataclasses.replace(judged, reasons=(*judged.reasons, told))

    def _validated(self, judged: Judgement, measurements: Sequence[Measurement]) -> Judgement:
        """No confidence where nothing like this game was in the benchmark; quick measurements are not what it used."""
        if self.quick and judged.confidence is not None:
            source = f"{judged.confidence_source}, measured with the full setting"
            judged = dataclasses.replace(judged, confidence_source=source)
        told = outside(self.game.backend, measurements)
        if not told or judged.confidence is None:
            return judged
        source = f"unvalidated: the benchmark had nothing with {' or '.join(told)}"
        return dataclasses.replace(judged, confidence=None, confidence_source=source)

    def _losses_finite(self) -> bool:
        backend = self.game.backend
        losses = backend.losses(backend.point, backend.draw(self.settings.seed, 64), self.game.change)
        return bool(np.all(np.isfinite(losses)))

    # Stages ------------------------------------------------------------------------------------------------------

    def _measured(self, settings: DiagnoseSettings) -> list[Measurement]:
        """All batches; what the first one takes longer than the others is compilation."""
        began: list[float] = []

        def tell(batch: int, batches: int) -> None:
            report("measurement", batch, batches)
            began.append(time.perf_counter())

        made = measurements_of(self.game, settings, tell)
        spent = np.diff([*began, time.perf_counter()])
        if len(spent) > 1:
            self.compile_seconds = max(float(spent[0] - np.median(spent[1:])), 0.0)
        return made

    def _both_sizes(self, found: Sequence[Probe], measurements: Sequence[Measurement]) -> None:
        """Samples that the batch couples: what the training's own batch size says, beside that of the measurement."""
        coupled = any(probe.id == "T3" and probe.status == WARNING for probe in found)
        size = max(self.game.train_batch_size, 8)
        if not coupled or size == self.settings.batch_size or measurements[0].outputs is None:
            return
        own = measurements_of(self.game, dataclasses.replace(self.settings, batch_size=size, batches=1))
        wander = [virtual.forecast(one, self.settings.horizon).predicted_wander for one in (*measurements, *own)]
        self.by_batch_size = {self.settings.batch_size: float(np.median(wander[:-1])), size: wander[-1]}
        self.notes.append(
            "batch-coupled samples: predicted wander "
            + " and ".join(f"{w:.3g} data radii on batches of {n}" for n, w in self.by_batch_size.items())
        )

    def _samples(self) -> Collapse | None:
        labels, modes, features = self.knowledge
        return order_statistics(self.game.backend, self.settings.seed, labels, modes, features)

    def _kernel(self, measurements: Sequence[Measurement]) -> GeneratorKernel | None:
        if self.quick or not measurements or not self.game.backend.samples_known:
            return None
        unit = self._unit()
        backend = self.game.backend
        try:
            return generator_kernel(
                backend,
                unit.generator,
                preconditioned=self.game.rule.generator.adaptive,
                damping_ratio=float(np.median([damping_ratio(one)[0] for one in measurements])),
                draw=backend.draw(self.settings.seed, 256),
                seed=self.settings.seed,
            )
        except ParameterError as error:
            self.notes.append(f"The generator's kernel could not be measured: {error}")
            return None

    def _unit(self) -> Any:
        game = self.game
        return whitening(game.backend, game.rule, game.train_batch_size, self.settings.seed, game.change)

    def _full_spectrum(self, measurements: Sequence[Measurement]) -> FullSpectrum | None:
        settings = self.settings
        if not settings.full_spectrum or not measurements:
            return None
        return full_spectrum(
            self.game.backend,
            self.game.rule,
            self._unit(),
            measurements[0].data_radius,
            change=self.game.change,
            batch_size=settings.batch_size,
            batches=settings.batches,
            eigenvalues=settings.eigenvalues,
            krylov=settings.krylov,
            tol=settings.tol,
            seed=settings.seed,
        )

    def _advice(
        self, measurements: Sequence[Measurement], judged: Judgement, history: History | None
    ) -> tuple[GammaSweep | None, tuple[WhatIf, ...], tuple[Advice, ...]]:
        settings = self.settings
        if not measurements or measurements[0].outputs is None:
            return None, (), ()
        horizons: dict[str, Any] = {"horizon": settings.horizon, "advice_horizon": settings.advice_horizon}
        sweep = None
        if measurements[0].penalty is not None:
            sweep = gamma_sweep(measurements, settings.gammas, **horizons)
        observed = history.observed_wander if history is not None and np.isfinite(history.observed_wander) else None
        orbit: dict[str, Any] = {"observed_wander": observed, "remaining_iterations": _remaining(self.game)}
        what_ifs = [evaluate(measurements, one, **orbit, **horizons) for one in _settings_to_try(measurements, sweep)]
        what_ifs += self._noise_what_ifs(measurements, horizons)
        advice = advise(measurements, judged.outcome, sweep, threshold=settings.threshold, **orbit, **horizons)
        return sweep, tuple(what_ifs), advice

    def _noise_what_ifs(self, measurements: Sequence[Measurement], horizons: dict[str, Any]) -> list[WhatIf]:
        """Instance noise changes the blocks themselves: the game is measured again with it."""
        if self.quick or not self.game.backend.noise_known or self.game.instance_noise > 0:
            return []
        std = 0.1 * measurements[0].data_radius
        noisy = self.game.replace(instance_noise=std)
        fewer = dataclasses.replace(self.settings, batches=1)
        again = measurements_of(noisy, fewer)
        told = evaluate(again, Setting(instance_noise=std), **horizons)
        return [dataclasses.replace(told, status="estimate")]

    def _twin(self, measurements: Sequence[Measurement]) -> TwinFork | None:
        if self.quick or not measurements:
            return None
        backend = self.game.backend
        draw = backend.draw(self.settings.seed, self.settings.batch_size)
        return twin_fork(backend, self.game.rule, self._unit(), draw, change=self.game.change, seed=self.settings.seed)

    def _race(self, advice: Sequence[Advice], measurements: Sequence[Measurement]) -> Race | None:
        settings, game = self.settings, self.game
        penalty = next((one for one in advice if one.parameter == "gradient_penalty"), None)
        if not measurements or settings.fork_iterations == 0 or settings.fork_seeds == 0 or penalty is None:
            return None
        square = measurements[0].data_radius ** 2
        arms = [Arm("given", game.change, None, game.gradient_penalty)]
        for name, gamma in (("advised", penalty.value), ("reference", square)):
            changed = game.replace(gradient_penalty=gamma)
            arms.append(Arm(name, changed.change, None, gamma))
        return race(
            game.backend,
            game.rule,
            arms,
            memory=memory_of(game.rule, game.backend.sizes),
            batch_size=game.train_batch_size,
            data_radius=measurements[0].data_radius,
            iterations=settings.fork_iterations,
            seeds=settings.fork_seeds,
            seed=settings.seed,
        )

    def _cost(self, measurements: Sequence[Measurement]) -> dict[str, Any]:
        """Seconds, and what they are worth without compilation of the measurement, as far as that is known.

        An iteration is discriminator_steps + 1 gradients, of one player each.
        """
        game, settings = self.game, self.settings
        seconds = time.perf_counter() - self.started
        told: dict[str, Any] = {
            "seconds": seconds,
            "compile_seconds": self.compile_seconds,
            "stages": dict(self.seconds),
        }
        width, modes = settings.modes + settings.oversample, settings.modes
        products = settings.batches * (width * (2 * settings.power_rounds + 1) + 4 * modes)
        told["jacobian_products"] = products if measurements else 0
        told["iterations_equivalent"] = None
        if measurements:
            draws = game.backend.draws(settings.seed, game.train_batch_size, 4)
            began = time.perf_counter()
            game.backend.velocities(game.backend.point, draws, game.change)
            one = (time.perf_counter() - began) / 4
            told["iterations_equivalent"] = (seconds - (self.compile_seconds or 0.0)) / (
                one * (game.discriminator_steps + 1) / 2
            )
        return told


def _settings_to_try(measurements: Sequence[Measurement], sweep: GammaSweep | None) -> list[Setting]:
    """The changes that every report shows."""
    rule = measurements[0].rule
    tried = [Setting()]
    if sweep is not None:
        tried += [Setting(gradient_penalty=gamma) for gamma in sweep.gamma]
    tried += [Setting(learning_rate_scale=0.3), Setting(learning_rate_scale=0.1)]
    kinds = {rule.generator.kind, rule.discriminator.kind}
    if "adam" in kinds and max(rule.generator.beta1, rule.discriminator.beta1) > 0:
        tried.append(Setting(beta1=0.0))
    if max(rule.generator.momentum, rule.discriminator.momentum) > 0 and kinds != {"adam"}:
        tried.append(Setting(momentum=0.0))
    if rule.order == "alternating":
        tried += [Setting(discriminator_steps=n) for n in (1, 2, 4) if n != rule.discriminator_steps]
    tried.append(Setting(train_batch_size=4 * measurements[0].batch_size))
    return tried


def _verified(advice: Advice, forks: Race | None) -> Advice:
    if advice.parameter != "gradient_penalty" or forks is None:
        return advice
    return dataclasses.replace(advice, verification=forks.verdict)


def _progress(game: RealGame) -> float | None:
    if game.iteration is None or not game.planned_iterations:
        return None
    return game.iteration / game.planned_iterations


def _remaining(game: RealGame) -> int | None:
    if game.iteration is None or game.planned_iterations is None:
        return None
    return max(game.planned_iterations - game.iteration, 0)
