"""Claims of the dual flows about closed forms: the limit of a fast discriminator, local modes, orbits."""

import math
from typing import Any

import numpy as np

from ganscope.claims.claim import Evidence, claims_of
from ganscope.claims.confrontation import confront
from ganscope.claims.dualflow_settings import (
    kernel_game,
    normal_points,
)
from ganscope.core.simulate import simulate
from ganscope.games.dualflow.clipped.model import ClippedGAN
from ganscope.games.dualflow.collapse.local_modes import kernel_gradient_gram, local_modes
from ganscope.games.dualflow.dirac.model import DiracGAN
from ganscope.games.dualflow.feature.model import FeatureGAN
from ganscope.games.dualflow.theory.orbits import bilinear_period, capture_time, nonsaturating_limit, saturating_period

claim = claims_of("dualflow")


@claim(
    "9",
    "Against a fast discriminator a kernel GAN is a gradient flow of MMD^2, up to a distance that falls like 1 over "
    "discriminator_lr",
    source="derived",
    fast=True,
)
def fast_discriminator() -> Evidence:
    rows: dict[str, Any] = {}
    for penalty, eta1 in ((1.0, 1.0), (0.5, 0.7)):
        game = kernel_game(critic_penalty=penalty, generator_lr=eta1, initial_discriminator="equilibrium")
        limit = simulate(game.replace(fast=True), "flow", save_at=[0, 1]).generated_points.values[-1]
        scaled = []
        for eta2 in (20.0, 40.0, 80.0):
            run = simulate(game.replace(discriminator_lr=eta2), "flow", save_at=[0, 1])
            scaled.append(eta2 * float(np.sqrt(np.mean((run.generated_points.values[-1] - limit) ** 2))))
        name = f"W2 times discriminator_lr, critic_penalty {penalty:g}, generator_lr {eta1:g}"
        rows[f"{name}, over its mean"] = 1, [s / float(np.mean(scaled)) for s in scaled], 0.05
        if penalty == 1:
            known = [0.007267 * 20, 0.003666 * 40, 0.00184 * 80]
            rows[name] = known, scaled, [0.01 * k for k in known]
    return confront(rows)


@claim(
    "10",
    "Beside the data a kernel GAN is a set of damped oscillators, one for each eigenvalue of the Gram matrix of the "
    "features' gradients",
    source="derived",
    fast=True,
)
def linear_response() -> Evidence:
    real, amplitude, times = normal_points(32), 1e-4, np.linspace(0, 10, 51)
    gram = kernel_gradient_gram(real, 1.0)
    vectors = np.linalg.eigh(gram)[1][:, ::-1]
    shift = amplitude * np.cos(1.0 + 2.0 * real)
    rows: dict[str, Any] = {}
    for penalty, eta1, eta2 in ((1.0, 1.0, 1.0), (3.0, 1.0, 1.0), (0.4, 0.6, 2.0)):
        modes = local_modes(gram, penalty, eta1, eta2)
        slow, fast = modes.roots.T
        # at rest in the beginning, like the discriminator; neutral directions stay
        motion = ((slow * np.exp(np.outer(times, fast)) - fast * np.exp(np.outer(times, slow))) / (slow - fast)).real
        along = vectors.T @ shift
        moved = np.concatenate([motion, np.ones((len(times), len(real) - len(slow)))], axis=1)
        wanted = (moved * along) @ vectors.T
        game = FeatureGAN(
            real, real + shift, half_period=8.0, critic_penalty=penalty, generator_lr=eta1, discriminator_lr=eta2
        )
        run = simulate(game, "flow", save_at=times, tolerance=1e-13)
        error = float(np.max(np.abs(run.generated_points.values[..., 0] - real - wanted)))
        rows[f"error, critic_penalty {penalty:g}, speeds {eta1:g} and {eta2:g}"] = 0, error, 1e-6
        rows[f"the same over a motion of {amplitude:g}"] = 0, error / amplitude, 1e-2
    rows["three strongest"] = [0.39779531, 0.35579579, 0.11127886], local_modes(gram, 1.0).strengths[:3], 1e-6
    first = local_modes(gram, 1.0).roots[0, 0]
    rows["first root, critic_penalty 1"] = [-0.5, 0.38444156], [float(first.real), float(abs(first.imag))], 1e-6
    rows["first roots, critic_penalty 3"] = [-0.13904273, -2.86095727], local_modes(gram, 3.0).roots[0].real, 1e-6
    return confront(rows)


def _crossing(game: DiracGAN, horizon: float) -> float:
    """When a run from (theta, 0), theta > 0, is there again: psi passes 0 downwards."""
    run = simulate(game, "flow", save_at=np.linspace(0, horizon, 201), tolerance=1e-13)
    psi, theta = run.discriminator.values, run.generator.values
    # psi turns negative first, since the data lie below theta
    k = int(np.flatnonzero((psi[1:-1] > 0) & (psi[2:] <= 0) & (theta[2:] > 0))[0]) + 1
    time = float(run.time[k])
    for _ in range(6):
        at = simulate(game, "flow", save_at=[0.0, time], tolerance=1e-13)
        theta_now, psi_now = float(at.generator[-1]), float(at.discriminator[-1])
        pull = game.discriminator_lr * theta_now / (1 + math.exp(-theta_now * psi_now))
        time += psi_now / pull
    return time


@claim(
    "17",
    "The saturating Dirac-GAN orbits with the period of a Bessel function; the nonsaturating one converges, but like "
    "1 over the root of time",
    source="derived",
    fast=True,
)
def dirac_orbits() -> Evidence:
    rows: dict[str, Any] = {}
    known = {0.5: 12.5909383, 1.0: 12.9652484, 1.5: 14.7173060}
    for start, period in known.items():
        rows[f"period from theta = {start:g}"] = period, _crossing(DiracGAN("saturating", initial=(start, 0)), 20), 1e-6
    for start, eta1, eta2 in ((0.5, 1.0, 1.0), (1.5, 1.0, 1.0), (0.8, 0.4, 3.0)):
        game = DiracGAN("saturating", 0.0, eta1, eta2, (start, 0.0))
        wanted = saturating_period(start, 0.0, eta1, eta2)
        rows[f"period by theory from {start:g}, speeds {eta1:g} and {eta2:g}"] = wanted, _crossing(game, 22), 1e-8
    late = simulate(DiracGAN("nonsaturating", initial=(1.0, 0.5)), "flow", save_at=[0, 4000])
    decay = float(late.radius[-1]) ** 2 * 4000
    rows["nonsaturating, R^2 time at time 4000"] = 7.975, decay, 0.075
    game = DiracGAN("nonsaturating", 0.0, 0.5, 3.0, (1.0, 0.5))
    seen = float(simulate(game, "flow", save_at=[0, 10_000]).radius[-1]) ** 2 * 10_000
    rows["the same over its limit, speeds 0.5 and 3"] = 1, seen / nonsaturating_limit(0.5, 3.0), 0.0125
    for loss, state in (("saturating", (0.21212963, -0.65469061)), ("nonsaturating", (-0.03376959, -0.51308363))):
        end = simulate(DiracGAN(loss, 0.3, initial=(1.0, -0.5)), "flow", save_at=[0, 3])
        rows[f"{loss}, gradient_penalty 0.3, at time 3"] = state, [float(end[n][-1]) for n in _BOTH], 1e-6
    return confront(rows)


_BOTH = ("generator", "discriminator")


@claim(
    "18",
    "The clipped GAN is captured at the time of the closed form, and then repeats itself for ever with the period of "
    "the unclipped game; its exact flow is that of tiny steps",
    source="derived",
    fast=True,
)
def clipped_orbits() -> Evidence:
    rows: dict[str, Any] = {}
    known = (
        (ClippedGAN(1.0, initial=(3.0, 0.0)), (-0.2888658706, 0.9573695777), 3.1682640342),
        (ClippedGAN(0.5, 2.0, 0.5, initial=(2.0, 0.0)), (0.5806871386, 0.4070631644), 2.2556495832),
    )
    for game, state, captured in known:
        clip, eta1, eta2 = game.clip, game.generator_lr, game.discriminator_lr
        name = f"clip {clip:g}, speeds {eta1:g} and {eta2:g}"
        times = np.linspace(0, 12.3, 124)
        flow = simulate(game, "flow", save_at=times)
        steps = simulate(game, "explicit_sequential", step_size=1e-5, save_at=times)
        errors = {player: float(np.max(np.abs(flow[player].values - steps[player].values))) for player in _BOTH}
        rows[f"{name}, flow and steps of 1e-5"] = 0, errors, 1e-4
        rows[f"{name}, at time 12.3"] = state, [float(flow[n][-1]) for n in _BOTH], 1e-6
        theta, omega = game.initial
        capture, period = capture_time(theta, omega, clip, eta1, eta2), bilinear_period(eta1, eta2)
        rows[f"{name}, capture"] = captured, capture, 1e-8
        after = simulate(game, "flow", save_at=capture + np.linspace(0, period, 101))
        again = simulate(game, "flow", save_at=capture + 9 * period + np.linspace(0, period, 101))
        drift = {player: float(np.max(np.abs(after[player].values - again[player].values))) for player in _BOTH}
        rows[f"{name}, nine periods later"] = 0, drift, 1e-9
        amplitudes = [float(after.amplitude.min()), float(after.amplitude.max())]
        rows[f"{name}, amplitude after capture"] = clip, amplitudes, 1e-9
        before = simulate(game, "flow", save_at=[0, 0.99 * capture]).amplitude[-1]
        rows[f"{name}, amplitude before capture"] = clip * (1 + 1e-6), float(before), "above"
    return confront(rows)


@claim(
    "19",
    "Clipping narrows a population of weights and never widens it; it ends on a periodic orbit with twice its "
    "amplitude plus its width at most twice the clip",
    source="derived",
    fast=True,
)
def clipped_population() -> Evidence:
    rng = np.random.default_rng(19)
    wide = ClippedGAN(1.0, initial=(0.9, np.linspace(-0.3, 0.3, 201)))
    games: dict[str, ClippedGAN] = {"theta = 0.9, omega in [-0.3, 0.3]": wide}
    for k in range(4):
        clip, eta1, eta2 = rng.uniform(0.3, 1.5), rng.uniform(0.5, 2.0), rng.uniform(0.5, 2.0)
        omega = clip * rng.uniform(-1, 1, 30)
        games[f"random {k + 1}"] = ClippedGAN(clip, eta1, eta2, (rng.uniform(-2, 2), omega))
    rows: dict[str, Any] = {}
    for name, game in games.items():
        runs = {
            "flow": simulate(game, "flow", save_at=np.linspace(0, 300, 3001)),
            "steps of 1e-3": simulate(game, "explicit_sequential", step_size=1e-3, save_at=np.linspace(0, 300, 3001)),
        }
        growth = {level: float(np.max(np.diff(run.width.values))) for level, run in runs.items()}
        rows[f"{name}, largest growth of the width"] = 1e-12, growth, "at most"
        ends = {}
        for level, run in runs.items():
            ends[level] = 2 * float(run.amplitude[-300:].max()) + float(run.width[-1]) - 2 * game.clip
        rows[f"{name}, 2 amplitude + width - 2 clip"] = 1e-3, ends, "at most"
    end = simulate(wide, "explicit_sequential", step_size=1e-3, horizon=60.0)
    rows["width and amplitude at time 60"] = [0.263, 0.854], [float(end[n][-1]) for n in ("width", "amplitude")], 2e-3
    one = simulate(ClippedGAN(1.0, initial=(3.0, np.linspace(-0.5, 0.5, 201))), "flow", save_at=[0, 0.1682, 1.0])
    rows["theta = 3, omega in [-0.5, 0.5]: width at 0, 0.168 and 1"] = [1, 1, 0], one.width.values, 1e-2
    return confront(rows)
