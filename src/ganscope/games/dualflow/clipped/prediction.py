"""What theory says about the clipped game: its flow, and every scheme at its step size."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ganscope.analysis.spectrum import Spectra, stability_of
from ganscope.core.checks import real_array
from ganscope.core.errors import NotApplicable
from ganscope.core.game import Players
from ganscope.core.outcome import Equilibrium, Prediction, Predictions, Spectrum
from ganscope.games.dualflow.answers import Answers, chosen, everywhere, of_one
from ganscope.games.dualflow.clipped.model import exact_flow, inside
from ganscope.games.dualflow.game import Tracked, each_run, varied_runs
from ganscope.games.dualflow.levels import EXPLICIT, FLOW, JKO, NASH, SCHEMES
from ganscope.games.dualflow.questions import asked, scheme_spectra, scheme_spectrum
from ganscope.games.dualflow.theory import orbits
from ganscope.games.dualflow.theory.affine import Linear
from ganscope.games.dualflow.theory.steps import largest_steps

if TYPE_CHECKING:
    from ganscope.games.dualflow.clipped.model import ClippedGAN

Array = npt.NDArray[np.float64]

# Half turns without a loss at the wall after which an orbit counts as settled.
_SETTLED = 4


def spectrum(game: "ClippedGAN", at: Any = None, rule: str | None = None, **options: Any) -> Spectrum:
    """Spectrum of theta and the mean of omega while no omega touches the wall.

    Raises:
        NotApplicable: If `at` is a state on the wall.
    """
    if at is not None:
        state = real_array("at", np.append(at[0], at[1]), expected="a state (theta, omega)")
        if np.any(np.abs(state[1:]) >= game.clip):
            raise NotApplicable("at the wall the flow is not smooth: it has no linearisation there")
    return scheme_spectrum(game.linearisation(), rule, options)


def tracked_runs(game: "ClippedGAN", run: Any) -> Tracked:
    """What the verdicts are made of: the distance of theta and the mean of omega from (0, 0).

    A start far outside is no measure of the orbit that it ends on, so the reference is at most the largest orbit.
    """
    theta = each_run(run, "generator", "time")
    omega = each_run(run, "discriminator", "time", *(["parameter"] if game.mean_field else []))
    omega = omega.reshape(*theta.shape, -1)
    path = np.stack([theta, np.mean(omega, axis=-1)], axis=-1)
    distance = np.hypot(path[..., 0], path[..., 1])
    size = np.hypot(theta, np.sqrt(np.mean(omega**2, axis=-1)))
    varied = varied_runs(run)
    clip, *speeds = (varied.get(name, getattr(game, name)) for name in ("clip", "generator_lr", "discriminator_lr"))
    largest = clip * np.sqrt(1 + np.divide(*speeds))
    first = np.atleast_2d(varied.get("initial", game.start))
    start = np.hypot(first[:, 0], np.mean(first[:, 1:], axis=1))
    reference = np.broadcast_to(np.where(start > 0, np.minimum(start, largest), largest), len(path))
    return Tracked(distance, size, path, reference, np.full(len(path), None), algebraic=np.zeros(len(path), bool))


def rotation(game: "ClippedGAN") -> float:
    """Period of the final orbit, and the time to it, behind which the second half of a run must lie."""
    facts = _facts(_Cells.of(game))
    return float(facts["period"][0] + facts["capture_time"][0] / 2)


@dataclass(frozen=True)
class _Cells:
    """The parameters of the cells, `[cells]`; those of one game are the only cell.

    Attributes:
        clip, generator_lr, discriminator_lr: As in the game.
        start: theta and all omega, shape `[cells, 1 + K]`.
        mean_field: Whether omega is an array.
    """

    clip: Array
    generator_lr: Array
    discriminator_lr: Array
    start: Array
    mean_field: bool

    @classmethod
    def of(cls, game: "ClippedGAN", over: Mapping[str, Array] | None = None) -> "_Cells":
        """A game's variants; without any, the game itself."""
        over = over or {}
        count = len(next(iter(over.values()))) if over else 1
        names = ("clip", "generator_lr", "discriminator_lr")
        columns = [over.get(name, np.full(count, getattr(game, name))) for name in names]
        start = over.get("initial", np.broadcast_to(game.start, (count, len(game.start))))
        return cls(columns[0], columns[1], columns[2], start, game.mean_field)

    def __len__(self) -> int:
        return len(self.start)

    @cached_property
    def mean(self) -> Array:
        """Mean of omega at the start."""
        return np.asarray(self.start[:, 1:].mean(axis=-1))

    @cached_property
    def turning(self) -> Array:
        """Angular speed inside the box."""
        return np.asarray(orbits.turning(self.generator_lr, self.discriminator_lr))

    @cached_property
    def room(self) -> Array:
        """How far the mean of omega can swing to both sides before some omega meets the wall."""
        return np.asarray(self.clip - np.abs(self.start[:, 1:] - self.mean[:, None]).max(axis=-1))

    @cached_property
    def amplitude(self) -> Array:
        """How far it would swing if nothing stopped it."""
        speeds = self.generator_lr, self.discriminator_lr
        return np.asarray(orbits.clipped_amplitude(self.start[:, 0], self.mean, *speeds))

    @cached_property
    def linear(self) -> Linear:
        """theta and the mean of omega inside the box."""
        return inside(self.generator_lr, self.discriminator_lr)

    def reach(self, step: float) -> Array:
        """How far the mean of omega swings on the ellipse that sequential steps stay on, if they are short enough."""
        speeds = self.generator_lr, self.discriminator_lr
        squared = orbits.radius_squared(self.start[:, 0], self.mean, *speeds) + step * self.start[:, 0] * self.mean
        short = np.where(step * self.turning < 2, 1 - (step * self.turning) ** 2 / 4, 1.0)
        return np.asarray(np.sqrt(self.discriminator_lr * np.maximum(squared, 0.0) / short))


def predict(game: "ClippedGAN", level: str | None, rule: str | None, step_size: float | None) -> Prediction:
    """What theory says: about the flow, or about a scheme at a step size."""
    name, step = asked(game, level, rule, step_size)
    cells = _Cells.of(game)
    spectra = _spectra(cells, name, step)
    answers, values = _answers(cells, name, step, spectra), spectra.one()
    return Prediction(
        *answers.heads,
        _reasons(cells, answers, name, step),
        thresholds=of_one(answers.thresholds),
        equilibria=[Equilibrium(Players(0.0, 0.0), values, stability_of(values), "equilibrium")],
        rates=of_one(answers.rates),
        level=level,
        rule=rule,
        step_size=step_size,
        game=game,
    )


def predict_cells(
    game: "ClippedGAN", over: Mapping[str, Array], level: str | None, rule: str | None, step_size: float | None
) -> Predictions:
    """`predict` for many variants of a game, in arrays: no equilibria or reasons."""
    name, step = asked(game, level, rule, step_size)
    cells = _Cells.of(game, over)
    return _answers(cells, name, step, _spectra(cells, name, step)).predictions()


def _spectra(cells: _Cells, name: str, step: float) -> Spectra:
    return scheme_spectra(cells.linear, name, {} if name == FLOW else {"step_size": step})


def _answers(cells: _Cells, name: str, step: float, spectra: Spectra) -> Answers:
    facts = _facts(cells)
    detail, margin = _of_flow(cells) if name == FLOW else _of_scheme(cells, name, step, spectra)
    resting = (cells.start[:, 0] == 0) & (cells.mean == 0)
    detail[resting], margin[resting] = "at_equilibrium", math.nan
    limits = largest_steps(cells.linear, SCHEMES[:-1])
    thresholds = facts | {f"largest_step_{s}": limit for s, limit in limits.items()}
    rates = {"period": facts["period"]} if name == FLOW else {"spectral_radius": spectra.radius}
    count = len(cells)
    return Answers(detail, margin, np.zeros(count, bool), everywhere(thresholds, count), everywhere(rates, count))


def _facts(cells: _Cells) -> dict[str, Array]:
    """Named values of the flow: its final orbit, and when it is reached."""
    count, size = cells.start.shape
    numbers = np.stack([cells.clip, cells.generator_lr, cells.discriminator_lr], axis=1)
    summary = exact_flow(numbers, cells.start, np.empty(0), np.empty((count, 0, size)), _SETTLED)
    captured, amplitude, width = summary.T
    facts = {
        "period": orbits.bilinear_periods(cells.turning, np.zeros(count)),
        "capture_time": captured,
        "initial_amplitude": cells.amplitude,
        "amplitude": amplitude,
        "generator_amplitude": amplitude * np.sqrt(cells.generator_lr / cells.discriminator_lr),
    }
    return facts | ({"width": width} if cells.mean_field else {})


def _of_flow(cells: _Cells) -> tuple[npt.NDArray[np.object_], Array]:
    """Labels and margins."""
    free = cells.amplitude <= cells.room
    return chosen(len(cells), (free, "orbiting"), (True, "limit_cycle")), np.abs(cells.room - cells.amplitude)


def _of_scheme(cells: _Cells, name: str, step: float, spectra: Spectra) -> tuple[npt.NDArray[np.object_], Array]:
    """Labels and margins."""
    margin, angle = 1 - spectra.radius, step * cells.turning
    if name == NASH:
        return chosen(len(cells), (True, "converge_oscillatory")), margin
    if name in (EXPLICIT, JKO):
        return chosen(len(cells), (True, "limit_cycle")), margin
    reach, long = cells.reach(step), angle >= 2
    detail = chosen(len(cells), (long, "limit_cycle"), (reach <= cells.room, "orbiting"), (True, "limit_cycle"))
    return detail, np.where(long, 2 - angle, np.abs(reach - cells.room))


def _reasons(cells: _Cells, answers: Answers, name: str, step: float) -> tuple[str, ...]:
    """The answer about a single game, in words."""
    if answers.detail[0] == "at_equilibrium":
        return ("theta and the mean of omega are 0, where nothing moves",)
    room = cells.room[0]
    if name == FLOW:
        before, facts = cells.amplitude[0], of_one(answers.thresholds)
        if before <= room:
            free = f"omega would need an amplitude above {room:.6g} to meet the wall; with {before:.6g} it turns freely"
            return (free,)
        words = (
            f"omega reaches the wall (amplitude {before:.6g}, room {room:.6g}) and ends on a periodic orbit of "
            f"amplitude {facts['amplitude']:.6g}, at time {facts['capture_time']:.6g}"
        )
        return words, "clipping never converges"
    radius = of_one(answers.rates)["spectral_radius"]
    words = f"away from the wall the spectral radius of {name} at step_size = {step:g} is {radius:.9g}"
    if name == NASH:
        return (words,)
    if name in (EXPLICIT, JKO):
        return words, "every step leads outwards, until the wall stops it"
    if step * cells.turning[0] >= 2:
        return words, "the players overshoot each other in every step, and only the wall stops it"
    reach = cells.reach(step)[0]
    reason = f"steps stay on an ellipse on which omega reaches {reach:.6g}, with room for {room:.6g} before the wall"
    return words, reason
