"""What the particle claims share: runs on the ring, where their order parameters cross a level, and comparisons."""

import functools
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ganscope.claims.recipes_particle import HARD_LEVEL, SOFT_LEVEL, WANDER_LEVEL, boundary, settled
from ganscope.core.simulate import simulate_many
from ganscope.games.particle.cloud.angular import angular_spectrum, network_angle_kernel
from ganscope.games.particle.cloud.model import ACTIVATIONS, ParticleGAN
from ganscope.games.particle.torus.model import TorusGAN

Array = npt.NDArray[np.float64]

WIDTHS = (0.05, 0.2)
# Coupling numbers that hold a discriminator's transitions between them, in factors of 2.
COUPLINGS = {
    "relu": (8.0, 16.0, 32.0, 64.0),
    "tanh": (8.0, 16.0, 32.0),
    "sin": (4.0, 8.0, 16.0, 32.0),
    "softplus": (8.0, 16.0, 32.0, 64.0),
}
# Transitions scatter from run to run: means over 4 runs by up to a factor 1.6.
REPLICAS = {"relu": 16, "tanh": 16, "sin": 16, "softplus": 8}
_ITERATIONS, _EVERY = 800, 10


@functools.cache
def ring_ends(couplings: tuple[float, ...], replicas: int, **changes: Any) -> dict[str, Array]:
    """Order parameters over the last quarter of runs of 800 iterations, by name, shape `[coupling, replica]`."""
    game = ParticleGAN(coupling=1.0, **changes)
    return settled(ring_runs(game, couplings, replicas))


def ring_runs(game: ParticleGAN, couplings: tuple[float, ...], replicas: int) -> Any:
    """The runs of one game with several coupling numbers, in one batch."""
    saved = np.arange(0, _ITERATIONS + 1, _EVERY)
    over = {"coupling": couplings}
    return simulate_many(game, over, "particles", iterations=_ITERATIONS, replicas=replicas, save_at=saved)


def discriminator_ends(activation: str, mode_width: float) -> dict[str, Array]:
    """`ring_ends` for a discriminator at the default rates, at the couplings of `COUPLINGS`."""
    changes: dict[str, Any] = {"discriminator_activation": activation, "mode_width": mode_width}
    return ring_ends(COUPLINGS[activation], REPLICAS[activation], **changes)


def transitions(couplings: tuple[float, ...], ends: Mapping[str, Array]) -> dict[str, float]:
    """Couplings where the mean over runs crosses a level, and their standard errors as factors.

    `soft`: soft coverage falls below 0.6; `hard`: coverage below 0.5; `motion`: wander rises above 0.25. Infinite if
    that is beyond the last coupling, 0 if below the first.
    """
    found: dict[str, float] = {}
    for name, variable, level, falling in (
        ("soft", "soft_coverage", SOFT_LEVEL, True),
        ("hard", "coverage", HARD_LEVEL, True),
        ("motion", "wander", WANDER_LEVEL, False),
    ):
        found[name], found[f"{name}, error"] = boundary(couplings, ends[variable], level, falling)
    return found


def discriminator_transitions(activation: str, mode_width: float) -> dict[str, float]:
    """`transitions` of a discriminator at the default rates."""
    return transitions(COUPLINGS[activation], discriminator_ends(activation, mode_width))


def harmonics(activation: str) -> tuple[float, float]:
    """First angular coefficient of the kernel of the default discriminator on the ring, and the eighth over it."""
    game = ParticleGAN(discriminator_activation=activation)
    kernel = network_angle_kernel(
        game.discriminator_depth, activation, ACTIVATIONS[activation], game.bias_variance, game.axes, game.radius
    )
    first, eighth = angular_spectrum([1, 8], kernel)
    return float(first), float(eighth / first)


def circle(**changes: Any) -> TorusGAN:
    """Two narrow modes on the circle before a smooth kernel, with weight decay as the only friction."""
    given = {
        "particles": 32,
        "relative_mobility": 0.01,
        "mean_mobility": 0.5,
        "modes": 2,
        "mode_width": 0.1,
        "bandwidth": 0.5,
        "frequencies": 12,
        "gradient_penalty": 0.0,
        "regularization": 0.5,
    }
    return TorusGAN(**{**given, **changes})


def even_circle(particles: int, **changes: Any) -> tuple[TorusGAN, Array]:
    """A target that is even to a discriminator with three frequencies, and evenly spaced particles before it."""
    given = {
        "particles": particles,
        "relative_mobility": 0.5,
        "mean_mobility": 0.5,
        "modes": 8,
        "mode_width": 0.0,
        "bandwidth": 0.5,
        "frequencies": 3,
    }
    return TorusGAN(**{**given, **changes}), 2 * np.pi * np.arange(particles) / particles
