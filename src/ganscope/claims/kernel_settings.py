"""What the kernel model's claims share: a neighbourhood far from all others, and games with few points."""

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt

from ganscope.games.kernel.isolated import IsolatedNeighbourhood
from ganscope.games.kernel.kernels import RBF
from ganscope.games.kernel.model import KernelGAN

Array = npt.NDArray[np.float64]
Complex = npt.NDArray[np.complex128]

RULES = ("simultaneous", "alternating", "extragradient", "optimistic", "heavy_ball")
# Displacement, in bandwidths, within which the relative error of linearisation is 1e-12.
SMALL = 1e-6


def momentum_of(rule: str) -> float:
    """The momentum that claims use: only one rule has any."""
    return 0.2 if rule == "heavy_ball" else 0.0


def unbalanced(*points: Any, **parameters: Any) -> KernelGAN:
    """A game whose masses may differ on purpose: it is one neighbourhood out of many."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="real_mass sums to")
        return KernelGAN(*points, **parameters)


def neighbourhood_game(real_mass: float, generated_mass: float, points: int = 1, **parameters: Any) -> KernelGAN:
    """One true point at 0 on a line and generated points of equal mass beside it, without any symmetry.

    The discriminator is the best one for them, so that only their displacement sets them in motion.
    """
    kernel = parameters.pop("kernel", RBF(1.0))
    start = SMALL * kernel.width * np.array([0.9, -0.5, 0.3])[:points]
    mass = np.full(points, generated_mass / points)
    given = {"real_mass": [real_mass], "generated_mass": mass, "kernel": kernel, "initial_discriminator": "equilibrium"}
    return unbalanced([0.0], start, **{**given, **parameters})


def neighbourhood_of(game: KernelGAN, curvature: float | None = None) -> IsolatedNeighbourhood:
    """The closed forms for a `neighbourhood_game`, if asked for with another curvature."""
    return IsolatedNeighbourhood(
        real_mass=float(game.real_mass.sum()),
        generated_mass=float(game.generated_mass.sum()),
        points=len(game.generated_mass),
        curvature=game.kernel.curvature if curvature is None else curvature,
        regularization=game.regularization,
        generator_lr=game.generator_lr,
        discriminator_lr=game.discriminator_lr,
        weighting=game.weighting,
    )
