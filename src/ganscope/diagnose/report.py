"""The report of a diagnosis: everything that was found, as plain values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ganscope.core.version import package_version
from ganscope.diagnose.evidence.races import Race
from ganscope.diagnose.evidence.twin import TwinFork
from ganscope.diagnose.instruments.full_spectrum import FullSpectrum
from ganscope.diagnose.instruments.generator_kernel import GeneratorKernel
from ganscope.diagnose.instruments.measurement import Measurement
from ganscope.diagnose.instruments.mode_damping import damping_ratio, friction
from ganscope.diagnose.instruments.update_map import multipliers, update_map
from ganscope.diagnose.probes import Probe
from ganscope.diagnose.real_game import RealGame
from ganscope.diagnose.samples.collapse import Collapse
from ganscope.diagnose.samples.history import History
from ganscope.diagnose.settings import DiagnoseSettings
from ganscope.diagnose.theory import virtual
from ganscope.diagnose.theory.advice import Advice, GammaSweep
from ganscope.diagnose.theory.assumptions import assumptions
from ganscope.diagnose.theory.verdict import Judgement
from ganscope.diagnose.theory.what_if import WhatIf


@dataclass(frozen=True, eq=False)
class Findings:
    """What the stages of a diagnosis found; None or empty where a stage was left out.

    Attributes:
        probes, measurements, samples, history, kernel, spectrum, judgement, gamma_sweep, what_ifs, advice, twin, forks:
            In the order of the stages.
        notes: Sentences that the numbers rest on, beyond those that always do.
        by_batch_size: Predicted wander by the size of the batch, where the batch couples its samples.
    """

    probes: Sequence[Probe]
    measurements: Sequence[Measurement]
    samples: Collapse | None
    history: History | None
    kernel: GeneratorKernel | None
    spectrum: FullSpectrum | None
    judgement: Judgement
    gamma_sweep: GammaSweep | None
    what_ifs: Sequence[WhatIf]
    advice: Sequence[Advice]
    twin: TwinFork | None
    forks: Race | None
    notes: Sequence[str]
    by_batch_size: Mapping[int, float]


def report_of(
    game: RealGame,
    settings: DiagnoseSettings,
    found: Findings,
    *,
    quick: bool,
    readings: Sequence[Mapping[str, Any]],
    cost: Mapping[str, Any],
) -> dict[str, Any]:
    """The report of a diagnosis; floats may be infinite or NaN.

    Args:
        game: The game.
        settings: In force.
        found: By the stages.
        quick: Whether it was a quick one.
        readings: Of a monitor, if there is one.
        cost: Seconds and what they are worth.
    """
    measurements, samples = found.measurements, found.samples
    warned = [f"{probe.id}: {probe.message}" for probe in found.probes if probe.status == "warning"]
    observed = found.history.observed_wander if found.history is not None else None
    return {
        "version": package_version(),
        "game": {
            "backend": game.backend.name,
            "generator_parameters": int(game.backend.sizes.generator),
            "discriminator_parameters": int(game.backend.sizes.discriminator),
            "rule": game.rule.to_dict(),
            "gradient_penalty": game.gradient_penalty,
            "gradient_penalty_full_convention": game.gradient_penalty / 2,
            "other_penalty": game.has_other_penalty and game.change.removed == 0,
            "data_radius": measurements[0].data_radius if measurements else float("nan"),
            "train_batch_size": game.train_batch_size,
            "iteration": game.iteration,
        },
        "probes": [probe.to_dict() for probe in found.probes],
        "assumptions": [*assumptions(measurements), *warned, *found.notes],
        "spectrum": _spectrum(measurements, found.spectrum),
        "prediction": _prediction(measurements, observed, settings) | {"by_batch_size": dict(found.by_batch_size)},
        "verdict": found.judgement.to_dict(),
        "what_if": [one.to_dict() for one in found.what_ifs],
        "gamma_sweep": found.gamma_sweep.to_dict() if found.gamma_sweep else None,
        "advice": [one.to_dict() for one in found.advice],
        "verification": {
            "twin": found.twin.to_dict() if found.twin else None,
            "forks": found.forks.to_dict() if found.forks else None,
        },
        "kernel": found.kernel.to_dict() if found.kernel is not None else None,
        "samples": samples.to_dict() if samples is not None else None,
        "history": list(readings),
        "cost": dict(cost),
        "provenance": {"seed": settings.seed, "quick": quick, "settings": settings.to_dict()},
    }


def _spectrum(measurements: Sequence[Measurement], whole: FullSpectrum | None) -> dict[str, Any]:
    """Rotation, damping and multipliers of the reduced game; the first batch, except for numbers over all of them."""
    if not measurements:
        return {}
    first = measurements[0]
    own = multipliers(virtual.virtual_map(first))
    full = multipliers(update_map(first.jacobian, first.modes, first.rule))
    leading = own.values[0] if len(own.values) else 0j
    turning = abs(np.angle(leading))
    return {
        "sigma": first.sigma.tolist(),
        "friction": friction(first).tolist(),
        "damping_ratio": damping_ratio(first).tolist(),
        "multipliers_virtual": [[v.real, v.imag] for v in own.values.tolist()],
        "multipliers_full": [[v.real, v.imag] for v in full.values.tolist()],
        "radius_virtual": float(abs(leading)),
        "radius_full": float(abs(full.values[0])) if len(full.values) else 0.0,
        "rightmost": [mode.to_dict() for mode in whole.rightmost] if whole else [],
        "batches": [
            {"real_min": low, "real_median": middle, "real_max": high} for low, middle, high in whole.batches
        ] if whole else [],
        "period": float(2 * np.pi / turning) if turning > 1e-12 else float("inf"),
        "growth": float(abs(leading)),
    }  # fmt: skip


def _prediction(
    measurements: Sequence[Measurement], observed: float | None, settings: DiagnoseSettings
) -> dict[str, Any]:
    nothing = float("nan")
    told: dict[str, Any] = {
        "predicted_wander": {"min": nothing, "median": nothing, "max": nothing},
        "particle_wander": nothing,
        "growth_virtual": nothing,
        "signal_to_noise": nothing,
        "observed_wander": observed,
    }
    if not measurements:
        return told
    told["growth_virtual"] = float(np.median([virtual.growth(one) for one in measurements]))
    told["signal_to_noise"] = float(np.median([one.signal_to_noise for one in measurements]))
    if measurements[0].outputs is not None:
        seen = [virtual.forecast(one, settings.horizon, settings.advice_horizon) for one in measurements]
        wander = [one.predicted_wander for one in seen]
        told["predicted_wander"] = {
            "min": float(min(wander)),
            "median": float(np.median(wander)),
            "max": float(max(wander)),
        }
        told["particle_wander"] = float(np.median([one.particle_wander for one in seen]))
    return told
