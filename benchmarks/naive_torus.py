"""The torus as a researcher would write it in NumPy: the yardstick of benchmarks/particle.py."""

from typing import Any

import numpy as np


def torus_steps(game: Any, scheme: str, step_size: float, steps: int) -> np.ndarray:
    """Positions after some steps of a `TorusGAN` from its initial positions."""
    k = np.arange(1, game.frequencies + 1)
    modes = 2 * np.pi * np.arange(game.modes) / game.modes
    target = np.exp(-1j * np.outer(k, modes)).mean(axis=1) * np.exp(-((game.mode_width * k) ** 2) / 2)
    kernel = np.exp(-((game.bandwidth * k) ** 2) / 2)
    decay = game.discriminator_lr * (kernel * game.gradient_penalty * k**2 + game.regularization)

    def relax(D: np.ndarray, x: np.ndarray, time: float) -> np.ndarray:
        keep = np.exp(-decay * time)
        gain = np.where(decay > 0, (1 - keep) / np.where(decay > 0, decay, 1.0), time)
        return keep * D + gain * game.discriminator_lr * kernel * (target - np.exp(-1j * np.outer(k, x)).mean(axis=1))

    def velocity(D: np.ndarray, x: np.ndarray) -> np.ndarray:
        slope = 2 * np.real((1j * k * D) @ np.exp(1j * np.outer(k, x)))
        return game.relative_mobility * (slope - slope.mean()) + game.mean_mobility * slope.mean()

    x, D = np.array(game.initial_positions, float), np.zeros(len(k), complex)
    for _ in range(steps):
        if scheme == "first_order":
            D = relax(D, x, step_size)
            x = x + step_size * velocity(D, x)
        else:
            D = relax(D, x, step_size / 2)
            x = x + step_size * velocity(D, x + step_size / 2 * velocity(D, x))
            D = relax(D, x, step_size / 2)
    return x
