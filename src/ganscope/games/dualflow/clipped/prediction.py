"""What theory says about the clipped game: its flow, and every scheme at its step size."""

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ganscope.analysis.spectrum import stability_of
from ganscope.core.checks import real_array
from ganscope.core.errors import NotApplicable
from ganscope.core.game import Players
from ganscope.core.outcome import Equilibrium, Outcome, Prediction, Spectrum
from ganscope.games.dualflow.clipped.model import exact_flow
from ganscope.games.dualflow.game import Tracked, each_run, varied_runs
from ganscope.games.dualflow.levels import EXPLICIT, FLOW, JKO, NASH, SCHEMES
from ganscope.games.dualflow.questions import Answer, asked, scheme_spectrum
from ganscope.games.dualflow.theory import orbits
from ganscope.games.dualflow.theory.steps import largest_step_of

if TYPE_CHECKING:
    from ganscope.games.dualflow.clipped.model import ClippedGAN

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
    facts = _facts(game)
    return facts["period"] + facts["capture_time"] / 2


def predict(game: "ClippedGAN", level: str | None, rule: str | None, step_size: float | None) -> Prediction:
    """What theory says: about the flow, or about a scheme at a step size."""
    name, step = asked(game, level, rule, step_size)
    flow = name == FLOW
    linear = game.linearisation()
    values = scheme_spectrum(linear, name, {} if flow else {"step_size": step})
    facts = _facts(game)
    if game.start[0] == 0 and np.mean(game.start[1:]) == 0:
        reason = "theta and the mean of omega are 0, where nothing moves"
        answer = Answer(Outcome.CONVERGED, "at_equilibrium", math.nan, (reason,))
    else:
        answer = _of_flow(game, facts) if flow else _of_scheme(game, name, step, values)
    schemes = [s for s in SCHEMES if s in game.levels]
    rates = {"period": facts["period"]} if flow else {"spectral_radius": float(np.max(np.abs(values.values)))}
    return Prediction(
        *answer,
        thresholds=facts | {f"largest_step_{s}": largest_step_of(linear, s) + 0.0 for s in schemes},
        equilibria=[Equilibrium(Players(0.0, 0.0), values, stability_of(values), "equilibrium")],
        rates=rates,
        level=level,
        rule=rule,
        step_size=step_size,
        game=game,
    )


def _facts(game: "ClippedGAN") -> dict[str, float]:
    """Named values of the flow: its final orbit, and when it is reached."""
    numbers = np.array([[game.clip, game.generator_lr, game.discriminator_lr]])
    size = len(game.start)
    summary = exact_flow(numbers, game.start[None], np.empty(0), np.empty((1, 0, size)), _SETTLED)[0]
    captured, amplitude, width = (float(v) for v in summary)
    mean = float(np.mean(game.start[1:]))
    facts = {
        "period": orbits.bilinear_period(game.generator_lr, game.discriminator_lr),
        "capture_time": captured,
        "initial_amplitude": orbits.clipped_amplitude(game.start[0], mean, game.generator_lr, game.discriminator_lr),
        "amplitude": amplitude,
        "generator_amplitude": amplitude * math.sqrt(game.generator_lr / game.discriminator_lr),
    }
    return facts | ({"width": width} if game.mean_field else {})


def _room(game: "ClippedGAN") -> float:
    """How far the mean of omega can swing to both sides before some omega meets the wall."""
    omega = game.start[1:]
    return game.clip - float(np.max(np.abs(omega - np.mean(omega))))


def _of_flow(game: "ClippedGAN", facts: dict[str, float]) -> Answer:
    before, room = facts["initial_amplitude"], _room(game)
    if before <= room:
        words = f"omega would need an amplitude above {room:.6g} to meet the wall; with {before:.6g} it turns freely"
        return Answer(Outcome.OSCILLATING, "orbiting", room - before, (words,))
    words = (
        f"omega reaches the wall (amplitude {before:.6g}, room {room:.6g}) and ends on a periodic orbit of amplitude "
        f"{facts['amplitude']:.6g}, at time {facts['capture_time']:.6g}"
    )
    return Answer(Outcome.OSCILLATING, "limit_cycle", before - room, (words, "clipping never converges"))


def _of_scheme(game: "ClippedGAN", name: str, step: float, values: Spectrum) -> Answer:
    radius = float(np.max(np.abs(values.values)))
    words = f"away from the wall the spectral radius of {name} at step_size = {step:g} is {radius:.9g}"
    if name == NASH:
        return Answer(Outcome.CONVERGED, "converge_oscillatory", 1 - radius, (words,))
    angle = step * orbits.turning(game.generator_lr, game.discriminator_lr)
    if name in (EXPLICIT, JKO):
        reason = "every step leads outwards, until the wall stops it"
        return Answer(Outcome.OSCILLATING, "limit_cycle", 1 - radius, (words, reason))
    if angle >= 2:
        reason = "the players overshoot each other in every step, and only the wall stops it"
        return Answer(Outcome.OSCILLATING, "limit_cycle", 2 - angle, (words, reason))
    theta, mean = float(game.start[0]), float(np.mean(game.start[1:]))
    squared = orbits.radius_squared(theta, mean, game.generator_lr, game.discriminator_lr) + step * theta * mean
    reach, room = math.sqrt(game.discriminator_lr * squared / (1 - angle**2 / 4)), _room(game)
    reason = f"steps stay on an ellipse on which omega reaches {reach:.6g}, with room for {room:.6g} before the wall"
    return Answer(
        Outcome.OSCILLATING, "orbiting" if reach <= room else "limit_cycle", abs(reach - room), (words, reason)
    )
