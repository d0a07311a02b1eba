"""What theory says about a real game or one of its what-ifs, from measurements of the game as it was handed over."""

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ganscope.core.outcome import Outcome, Prediction
from ganscope.diagnose.instruments.measure import data_radius, measure
from ganscope.diagnose.instruments.measurement import Measurement
from ganscope.diagnose.instruments.mode_damping import damping_ratio
from ganscope.diagnose.instruments.rotation import NotFinite, whitening
from ganscope.diagnose.samples.collapse import order_statistics
from ganscope.diagnose.settings import DiagnoseSettings
from ganscope.diagnose.theory import virtual
from ganscope.diagnose.theory.advice import gamma_sweep
from ganscope.diagnose.theory.verdict import judge
from ganscope.diagnose.theory.what_if import scaled_rates, with_penalty

if TYPE_CHECKING:
    from ganscope.diagnose.real_game import RealGame


def measurements_of(
    game: "RealGame", settings: DiagnoseSettings, tell: Callable[[int, int], None] | None = None
) -> list[Measurement]:
    """Measurements on `batches` batches, kept with the game, so that what-ifs of one checkpoint share them."""
    size = settings.train_batch_size or game.train_batch_size
    key = (settings.modes, settings.oversample, settings.power_rounds, settings.batch_size, settings.batches,
           settings.noise_batches, size, settings.seed, game.change, id(game.rule))  # fmt: skip
    known = game.measured.get(key)
    if known is None:
        measured = game if size == game._train_batch_size else game.replace(train_batch_size=size)
        unit = whitening(game.backend, game.rule, size, settings.seed, game.change)
        radius = data_radius(game.backend)
        known = []
        for batch in range(settings.batches):
            if tell:
                tell(batch, settings.batches)
            known.append(measure(measured, settings, settings.seed * 1000 + batch, unit, radius))
        game.measured[key] = known
    return list(known)


def as_in(game: "RealGame", measurement: Measurement) -> Measurement:
    """The measurement of the game as handed over, under the settings of a what-if."""
    origin, new = game.origin, measurement
    if game.change != origin.change:
        new = with_penalty(new, game.gradient_penalty)
    ratios = [
        float(np.max(mine.learning_rate)) / float(np.max(old.learning_rate))
        for mine, old in zip(game._players, origin._players, strict=True)
    ]
    if ratios != [1.0, 1.0]:
        new = scaled_rates(new, *ratios)
    if game._train_batch_size is not None and game.train_batch_size != new.batch_size:
        factor = math.sqrt(new.batch_size / game.train_batch_size)
        new = new.replace(noise=new.noise * factor, batch_size=game.train_batch_size)
    return new.replace(rule=game.rule)


def measured_as(game: "RealGame", settings: DiagnoseSettings) -> list[Measurement]:
    """Measurements under the game's own settings: of its origin where nothing has to be measured again."""
    if game.instance_noise != game.origin.instance_noise:
        return measurements_of(game, settings)
    if game.origin is game:
        return measurements_of(game, settings)
    return [as_in(game, one) for one in measurements_of(game.origin, settings)]


def predicted(game: "RealGame") -> Prediction:
    """The verdict, the predicted wander and the advised penalty of a game or a what-if, by the default settings."""
    sizes = tuple(game.backend.sizes)
    settings = DiagnoseSettings.from_options({}, sizes=(sizes[0], sizes[1]))
    finite = all(bool(np.all(np.isfinite(part))) for part in game.backend.point)
    measurements: Sequence[Measurement] = []
    if finite:
        try:
            measurements = measured_as(game, settings)
        except NotFinite:
            finite = False
    samples = _samples(game, settings)
    judged = judge(measurements, samples, finite=finite, threshold=settings.threshold, horizon=settings.horizon)
    rates: dict[str, Any] = {}
    best: dict[str, Any] = {}
    if measurements:
        rates = {
            "growth_virtual": float(np.median([virtual.growth(one) for one in measurements])),
            "rotation": float(np.median([one.sigma[0] for one in measurements])),
            "damping_ratio": float(np.median([damping_ratio(one)[0] for one in measurements])),
        }
        if measurements[0].outputs is not None:
            told = [virtual.forecast(one, settings.horizon, settings.advice_horizon) for one in measurements]
            rates["predicted_wander"] = float(np.median([one.predicted_wander for one in told]))
            rates["horizon_cost"] = float(np.median([one.horizon_cost for one in told]))
            if measurements[0].penalty is not None and judged.outcome != Outcome.UNINFORMATIVE:
                sweep = gamma_sweep(measurements, settings.gammas)
                best["gradient_penalty"] = sweep.advised
    return Prediction(
        judged.outcome,
        judged.detail,
        judged.margin,
        judged.reasons,
        judged.near_critical,
        thresholds={"wander": settings.threshold},
        rates=rates,
        best=best,
        level="training",
        rule=game.order,
        game=game,
    )


def _samples(game: "RealGame", settings: DiagnoseSettings) -> Any:
    """The present samples, which no what-if changes."""
    key = ("samples", settings.seed)
    if key not in game.origin.measured:
        game.origin.measured[key] = order_statistics(game.backend, settings.seed)
    return game.origin.measured[key]
