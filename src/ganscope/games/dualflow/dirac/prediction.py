"""What theory says about the Dirac-GAN: its flow, and every scheme at its step size."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ganscope.analysis.spectrum import Spectra, stability_of
from ganscope.core.checks import real_array
from ganscope.core.errors import NotApplicable, ParameterError
from ganscope.core.game import Players
from ganscope.core.outcome import Equilibrium, Prediction, Predictions, Spectrum
from ganscope.games.dualflow import levels
from ganscope.games.dualflow.answers import Answers, Flags, Numbers, chosen, everywhere, of_one
from ganscope.games.dualflow.dirac.cells import Cells
from ganscope.games.dualflow.game import Tracked, each_run, varied_runs
from ganscope.games.dualflow.levels import (
    EXPLICIT,
    EXPLICIT_SEQUENTIAL,
    FLOW,
    JKO,
    JKO_SEQUENTIAL,
    MIDPOINT,
    NASH,
)
from ganscope.games.dualflow.questions import asked, scheme_spectra, scheme_spectrum
from ganscope.games.dualflow.theory import orbits
from ganscope.games.dualflow.theory.affine import Linear
from ganscope.games.dualflow.theory.steps import largest_steps

if TYPE_CHECKING:
    from ganscope.games.dualflow.dirac.model import DiracGAN

Array = npt.NDArray[np.float64]

# A spectral radius so close to 1 counts as 1; so close to a threshold, in relative terms, is near critical.
_NEUTRAL, _CRITICAL = 1e-9, 0.02
# Up to this angle per step the orbits of long steps are close to their estimates.
_SMALL_ANGLE = 1.0


def spectrum(game: "DiracGAN", at: Any = None, rule: str | None = None, **options: Any) -> Spectrum:
    """Spectrum of the flow at a point (theta, psi), or of a scheme at the equilibrium (0, 0).

    Raises:
        NotApplicable: If a scheme is asked for elsewhere.
    """
    linear = game.linearisation()
    if at is not None:
        point = real_array("at", at, expected="two finite numbers (theta, psi)")
        if point.shape != (2,):
            raise ParameterError("at", at, "two finite numbers (theta, psi)")
        if np.any(point != 0):
            if rule not in (None, FLOW):
                raise NotApplicable("the multipliers of a scheme describe motion near an equilibrium, here (0, 0)")
            linear = Linear(game.jacobian(*(float(v) for v in point)), np.zeros(2), 1)
    return scheme_spectrum(linear, rule, options)


# Schemes that circle outwards, and settle on a limit cycle if at all.
_GROWING = (EXPLICIT, JKO)


def tracked_runs(game: "DiracGAN", run: Any) -> Tracked:
    """What the verdicts are made of: the distance from (0, 0)."""
    path = np.stack([each_run(run, name, "time") for name in ("generator", "discriminator")], axis=-1)
    distance, varied = np.hypot(path[..., 0], path[..., 1]), varied_runs(run)
    start = np.hypot(*np.transpose(varied.get("initial", [game.initial])))
    unpenalised = varied.get("gradient_penalty", np.array([game.gradient_penalty])) == 0
    algebraic = unpenalised & (game.loss == "nonsaturating" and run.attrs["level"] not in _GROWING)
    reference, missing = np.where(start > 0, start, 1.0), np.full(len(path), None)
    columns = [np.broadcast_to(values, len(path)) for values in (reference, algebraic)]
    return Tracked(distance, distance, path, columns[0], missing, algebraic=columns[1])


def rotation(game: "DiracGAN", run: Any) -> float:
    """Period of the flow, or the time in which a scheme settles on its limit cycle if that is longer."""
    period = max(float(Cells.of(game).period[0]), _settling(game, run) if run.attrs["level"] in _GROWING else 0.0)
    return period if period < math.inf else math.nan


def _settling(game: "DiracGAN", run: Any) -> float:
    """Time in which simultaneous steps settle on a limit cycle, 0 where there is none."""
    if game.loss == "bilinear" or (game.loss == "saturating" and game.gradient_penalty == 0):
        return 0.0
    step = float(run.time[-1] / run.iteration[-1]) if float(run.iteration[-1]) > 0 else levels.DEFAULT_STEP
    growth = -scheme_spectrum(game.linearisation(), run.attrs["level"], {"step_size": step}).rate / step
    return 1 / growth if growth > 0 else 0.0


def predict(game: "DiracGAN", level: str | None, rule: str | None, step_size: float | None) -> Prediction:
    """What theory says: about the flow, or about a scheme at a step size."""
    name, step = asked(game, level, rule, step_size)
    cells = Cells.of(game)
    spectra = _spectra(cells, name, step)
    answers, values = _answers(cells, name, step, spectra), spectra.one()
    critical = answers.best["gradient_penalty"][0][0]
    advice = (
        f"gradient_penalty = {critical:.6g} damps best (critically); in the convention without the factor 1/2, "
        f"{critical / 2:.6g}"
    )
    return Prediction(
        *answers.heads,
        (*_reasons(cells, answers, name, step, spectra), advice),
        near_critical=bool(answers.near[0]),
        thresholds=of_one(answers.thresholds),
        equilibria=[Equilibrium(Players(0.0, 0.0), values, stability_of(values), "equilibrium")],
        rates=of_one(answers.rates),
        best=of_one(answers.best),
        level=level,
        rule=rule,
        step_size=step_size,
        game=game,
    )


def predict_cells(
    game: "DiracGAN", over: Mapping[str, Array], level: str | None, rule: str | None, step_size: float | None
) -> Predictions:
    """`predict` for many variants of a game, in arrays: no equilibria or reasons."""
    name, step = asked(game, level, rule, step_size)
    cells = Cells.of(game, over)
    return _answers(cells, name, step, _spectra(cells, name, step)).predictions()


def _spectra(cells: Cells, name: str, step: float) -> Spectra:
    return scheme_spectra(cells.linear, name, {} if name == FLOW else {"step_size": step})


def _answers(cells: Cells, name: str, step: float, spectra: Spectra) -> Answers:
    steps = largest_steps(cells.linear)
    detail, margin = _of_flow(cells, spectra) if name == FLOW else _of_scheme(cells, name, step, spectra)
    resting = ~cells.initial.any(axis=-1)
    detail[resting], margin[resting] = "at_equilibrium", math.nan
    limits = {f"largest_step_{s}": limit for s, limit in steps.items()}
    critical = 2 * cells.slope * np.sqrt(cells.generator_lr / cells.discriminator_lr)
    numbers = {"critical_gradient_penalty": critical, "period": cells.period, **limits}
    if cells.loss == "saturating":
        numbers["largest_convex_step"] = cells.convex_step
    best = {"gradient_penalty": critical, "gradient_penalty_without_half": critical / 2}
    return Answers(
        detail,
        margin,
        _near_critical(cells, name, step, steps.get(name)),
        everywhere(numbers, len(cells)) | _somewhere(cells, name, step, spectra),
        everywhere(_rates(spectra, step), len(cells)),
        everywhere(best, len(cells)),
    )


def _near_critical(cells: Cells, name: str, step: float, limit: Array | None) -> Flags:
    unpenalised = cells.loss == "saturating" and name in (EXPLICIT_SEQUENTIAL, JKO_SEQUENTIAL)
    near = np.zeros(len(cells), bool)
    if limit is not None:
        finite = np.where(np.isfinite(limit), limit, 0.0)
        near = np.abs(step - finite) < _CRITICAL * finite
    return np.where(cells.penalised, near, unpenalised)


def _of_flow(cells: Cells, spectra: Spectra) -> tuple[npt.NDArray[np.object_], Array]:
    """Labels and margins."""
    bare = "algebraic" if cells.loss == "nonsaturating" else "orbiting"
    detail = chosen(len(cells), (~cells.penalised, bare), *_manners(spectra))
    return detail, np.where(cells.penalised, spectra.rate, 0.0)


def _of_scheme(cells: Cells, name: str, step: float, spectra: Spectra) -> tuple[npt.NDArray[np.object_], Array]:
    """Labels and margins."""
    radius = spectra.radius
    solved = step < cells.convex_step if name in (JKO, JKO_SEQUENTIAL, NASH) else np.ones(len(cells), bool)
    decays = radius < 1 - _NEUTRAL
    grows = ~decays & ((radius > 1 + _NEUTRAL) | _defective(spectra))
    # the cycle is that of a slow rotation; a step that overshoots for its penalty throws the slope further each time
    long = np.ones(len(cells), bool)
    if name in (EXPLICIT, JKO):
        long = (step * cells.turning > _SMALL_ANGLE) | (spectra.values[:, 0].real < 0)
    rules: list[tuple[Any, str]] = [(~solved, "no_step")]
    rules += [(decays & manner, label) for manner, label in _manners(spectra)]
    if cells.loss == "bilinear":
        rules += [(grows, "diverging")]
    else:
        endless = ~cells.penalised & (cells.loss == "saturating")
        rules += [(grows & long, "unstable"), (grows & endless, "diverging"), (grows, "limit_cycle")]
    detail = chosen(len(cells), *rules, (True, "algebraic" if cells.loss == "nonsaturating" else "orbiting"))
    return detail, np.where(~solved | decays | grows, 1 - radius, 0.0)


def _reasons(cells: Cells, answers: Answers, name: str, step: float, spectra: Spectra) -> tuple[str, ...]:
    """The answer about a single game, in words."""
    detail, values = str(answers.detail[0]), spectra.one()
    first: tuple[str, ...] = ()
    if detail == "at_equilibrium":
        # what holds for any other start is said as well
        said = _of_flow(cells, spectra) if name == FLOW else _of_scheme(cells, name, step, spectra)
        detail, first = str(said[0][0]), ("the start is the equilibrium, where nothing moves",)
    words = _why_flow(cells, detail, values) if name == FLOW else _why_scheme(cells, detail, name, step, values)
    return (*first, *words)


def _why_flow(cells: Cells, detail: str, values: Spectrum) -> tuple[str, ...]:
    conserved = "theta^2 / generator_lr + psi^2 / discriminator_lr"
    if cells.penalised[0]:
        return (f"{conserved} falls until both are 0; close to there like exp(-{values.rate:.6g} t)",)
    if detail == "algebraic":
        limit = orbits.nonsaturating_limit(float(cells.generator_lr[0]), float(cells.discriminator_lr[0]))
        return (f"{conserved} falls like a power of time: its product with time tends to {limit:.6g}",)
    return (f"{conserved} is conserved: an orbit of period {cells.period[0]:.6g}",)


def _why_scheme(cells: Cells, detail: str, name: str, step: float, values: Spectrum) -> tuple[str, ...]:
    radius = float(np.max(np.abs(values.values)))
    words = f"the spectral radius of {name} at step_size = {step:g} is {radius:.9g} at the equilibrium"
    local = () if cells.loss == "bilinear" else ("this is known for starts near the equilibrium and moderate steps",)
    if detail == "no_step":
        limit = cells.convex_step[0]
        hint = f"step_size must stay below {limit:.6g} for the generator's proximal problem to be convex on this orbit"
        return hint, words
    if detail.startswith("converge"):
        return words, *local
    if detail == "diverging" and cells.loss == "bilinear":
        return words, "the game is linear: nothing stops the growth"
    if detail == "unstable":
        return words, "the equilibrium repels, and the steps are too long to say where to"
    if detail == "diverging":
        return (
            words,
            "every step adds to theta^2 / generator_lr + psi^2 / discriminator_lr, the slower the larger it is",
        )
    if detail == "limit_cycle":
        ends = cells.cycle(step, np.array([-values.rate]))[0]
        reason = (
            "the growth ends on a limit cycle where theta^2 / generator_lr + psi^2 / discriminator_lr is about "
            f"{ends**2:.4g}"
        )
        return words, reason
    if detail == "algebraic":
        return words, "the linearisation turns without decay, and the loss itself damps, by a power of time", *local
    if cells.loss == "saturating" and name != MIDPOINT:
        return words, "the orbit drifts slowly: outwards for explicit_sequential, inwards for jko_sequential"
    return (words,)


def _rates(spectra: Spectra, step: float) -> dict[str, Array]:
    if not spectra.is_map:
        return {"per_time": spectra.rate, "period": spectra.period}
    return {
        "spectral_radius": spectra.radius,
        "per_iteration": spectra.rate,
        "per_time": spectra.rate / step,
        "period": spectra.period * step,
    }


def _somewhere(cells: Cells, name: str, step: float, spectra: Spectra) -> Numbers:
    """Thresholds that not all cells have."""
    found: Numbers = {}
    if cells.loss == "nonsaturating":
        found["radius_squared_times_time"] = 8 / (cells.generator_lr * cells.discriminator_lr), ~cells.penalised
    if name in (EXPLICIT, JKO) and cells.loss != "bilinear":
        growing = (spectra.rate < 0) & (cells.penalised | (cells.loss == "nonsaturating"))
        if growing.any():
            found["limit_cycle_radius"] = cells.cycle(step, -spectra.rate), growing
    return found


def _manners(spectra: Spectra) -> tuple[tuple[Any, str], tuple[Any, str]]:
    """How an approach to the equilibrium looks: turning or changing sides, or neither."""
    return (spectra.period < math.inf, "converge_oscillatory"), (spectra.period == math.inf, "converge_monotone")


def _defective(spectra: Spectra) -> Flags:
    """Whether both multipliers are -1: a sequential scheme at its very limit grows like time."""
    return np.asarray(np.abs(spectra.values + 1).max(axis=-1) < 1e-6)
