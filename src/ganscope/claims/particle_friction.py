"""Claims of the particle models about friction: how fast matched particles settle, and the penalty that is best."""

import math
from typing import Any

import numpy as np

from ganscope.analysis.linear_prediction import recurrence_roots
from ganscope.analysis.pairing import pair
from ganscope.claims.claim import Evidence, claims_of
from ganscope.claims.confrontation import confront
from ganscope.claims.particle_settings import Array, even_circle
from ganscope.core.simulate import simulate, simulate_many
from ganscope.games.particle.damping import best_gradient_penalty, mode_rates, mode_spectrum
from ganscope.games.particle.torus.fourier import kernel_spectrum
from ganscope.games.particle.torus.model import TorusGAN

claim = claims_of("particle")

_SMALL, _SAMPLE, _RECORDS = 1e-4, 0.25, 40


@claim(
    "C7",
    "On a circle evenly filled with particles, a wave of wavenumber k decays with the eigenvalues of one 2 x 2 block: "
    "mobility times k^2, the kernel's spectrum, and the friction of penalty and weight decay",
    source="derived",
    fast=True,
)
def wave_eigenvalues() -> Evidence:
    worked = {(2, 1.0): (-1.7214, -0.7047), (1, 0.5): (-0.2206 + 0.6266j, -0.2206 - 0.6266j)}
    rows: dict[str, Any] = {}
    for changes in ({}, {"spectrum": "power"}, {"loss": "gan"}, {"regularization": 0.2, "relative_mobility": 0.2}):
        errors = []
        for k in (1, 2, 3):
            for penalty in (0.2, 0.5, 1.0, 2.0):
                game, even = even_circle(64, gradient_penalty=penalty, **changes)
                known = _closed_form(game, k)
                found = _measured(game, even, k)
                errors.append(float(np.max(np.abs(np.subtract(*pair(found, known)))) / np.max(np.abs(known))))
                if not changes and (k, penalty) in worked:
                    numbers = np.array(worked[k, penalty], np.complex128)
                    error = float(np.max(np.abs(np.subtract(*pair(found, numbers)))))
                    rows[f"error of the worked eigenvalues, k = {k}, penalty {penalty:g}"] = 0, error, 1e-4
        name = ", ".join(f"{key} {value}" for key, value in changes.items()) or "default"
        rows[f"largest relative error of simulated eigenvalues, {name}"] = 0, max(errors), 1e-3
    return confront(rows)


def _closed_form(game: TorusGAN, k: int) -> Any:
    """Both eigenvalues of a wave of relative motion."""
    kernel = float(kernel_spectrum(game.spectrum, np.array([float(k)]), game.bandwidth, game.exponent)[0])
    stiffness = game.discriminator_lr * kernel
    # the logistic loss also damps by itself on an even background
    own = 0.5 * stiffness if game.loss == "gan" else 0.0
    damping = game.discriminator_lr * game.regularization + own
    penalty = game.gradient_penalty * k**2
    return mode_spectrum(game.relative_mobility * k**2, stiffness, penalty, damping, game.loss)


def _measured(game: TorusGAN, even: Array, k: int) -> Any:
    """Both eigenvalues of a wave, from the recurrence of a simulation that starts with a small one."""
    displaced = game.replace(initial_positions=even + _SMALL * np.cos(k * even))
    saved = _SAMPLE * np.arange(_RECORDS + 1)
    run = simulate(displaced, "particles", step_size=0.0025, save_at=saved)
    wave = np.exp(-1j * k * run.positions.values).mean(axis=1).imag
    return np.log(recurrence_roots(wave, 2).astype(np.complex128)) / _SAMPLE


@claim(
    "C8",
    "The rate of convergence has an interior maximum over the gradient penalty, and the time that simulations need is "
    "U-shaped with its least within a factor 1.5 of the predicted best penalty",
    source="paper",
    fast=True,
)
def best_penalty() -> Evidence:
    game, even = even_circle(64)
    k = np.arange(1.0, 4.0)
    stiffness = kernel_spectrum("gauss", k, game.bandwidth, game.exponent)
    # in units of displacement over k, every wave has the same mobility
    best = best_gradient_penalty(game.relative_mobility, k**2 * stiffness)
    penalties = np.geomspace(0.1, 9.05, 14)
    rates = mode_rates(game.relative_mobility, (k**2 * stiffness)[:, None], penalties).min(axis=0)
    times = _convergence_times(game, even, penalties)
    least = int(np.argmin(times))
    worked = np.array([0.1, 0.4, 1.13, 3.2, 9.05])
    return confront(
        {
            "best penalty": (1.1555, best.gradient_penalty, 5e-4),
            "rate there": (0.5096, best.rate, 5e-4),
            "log10 of the rates at a tenth and ten times the best, over the best": (
                -0.7,
                np.log10(rates[[0, -1]] / best.rate),
                "at most",
            ),
            "log of the fastest penalty over the best": (0, math.log(penalties[least] / best.gradient_penalty), 0.405),
            "shortening of the times up to the least one": (0, np.diff(times[: least + 1]).max(initial=-1), "below"),
            "lengthening beyond": (0, np.diff(times[least:]).min(initial=1), "above"),
            "times at penalties 0.1, 0.4, 1.13, 3.2, 9.05": (
                [131, 32, 13.7, 45, 131],
                _convergence_times(game, even, worked),
                # they depend on the waves of the start
                [13, 3.2, 1.4, 4.5, 13],
            ),
        }
    )


def _convergence_times(game: TorusGAN, even: Array, penalties: Array) -> Array:
    """Times from which on the squared MMD stays below a millionth of its start, from waves of amplitude 0.1 each."""
    k = np.arange(1.0, game.frequencies + 1)
    start = even + 0.1 * np.cos(k[:, None] * even + np.array([0.0, 2.0, 4.0])[:, None]).sum(axis=0)
    saved = 0.1 * np.arange(2001)
    over = {"gradient_penalty": penalties, "initial_positions": np.tile(start, (len(penalties), 1))}
    run = simulate_many(game, over, "particles", save_at=saved)
    moments = np.abs(np.stack([np.exp(-1j * n * run.positions.values).mean(axis=-1) for n in k])) ** 2
    mmd2 = np.tensordot(kernel_spectrum("gauss", k, game.bandwidth, game.exponent), moments, axes=1)
    above = mmd2 >= 1e-6 * mmd2[:, :1]
    last = above.shape[1] - 1 - np.argmax(above[:, ::-1], axis=1)
    times: Array = np.append(saved, np.inf)[last + 1]
    return times


@claim(
    "C9",
    "A mode is best damped by the penalty 2 sqrt(a / b), where it decays at the rate sqrt(a b); at half that penalty "
    "the rate is half, at twice it is 2 - sqrt(3) of it",
    source="derived",
    fast=True,
)
def critical_damping() -> Evidence:
    rng = np.random.default_rng(9)
    a, b = np.exp(rng.normal(0, 2, (2, 50)))
    best = [best_gradient_penalty(x, y) for x, y in zip(a, b, strict=True)]
    penalty, rate = np.array([found.gradient_penalty for found in best]), np.sqrt(a * b)
    rows: dict[str, Any] = {
        "best penalty over 2 sqrt(a / b)": (1, _range(penalty / (2 * np.sqrt(a / b))), 1e-9),
        "rate over sqrt(a b)": (1, _range(np.array([found.rate for found in best]) / rate), 1e-9),
        "rate at half the best penalty over the best": (0.5, _range(mode_rates(a, b, penalty / 2) / rate), 1e-9),
        "rate at twice the best penalty": (2 - math.sqrt(3), _range(mode_rates(a, b, 2 * penalty) / rate), 1e-9),
    }
    for x, y, wanted in ((0.02, 0.1, (0.8944271910, 0.0447213595)), (0.01, 0.15, (0.5163977795, 0.0387298335))):
        found = best_gradient_penalty(x, y)
        rows[f"best penalty and rate, a = {x}, b = {y}"] = wanted, (found.gradient_penalty, found.rate), 1e-9
    return confront(rows)


def _range(values: Array) -> list[float]:
    return [float(np.min(values)), float(np.max(values))]
