"""Claims of the kernel model about how simulations hold the discriminator: history, Fourier grid, random features."""

from typing import Any

import numpy as np

from ganscope.analysis.linear_prediction import recurrence_roots
from ganscope.analysis.pairing import largest_distance
from ganscope.claims.claim import Evidence, claims_of
from ganscope.claims.confrontation import confront, largest
from ganscope.claims.kernel_settings import (
    Array,
    neighbourhood_game,
    neighbourhood_of,
)
from ganscope.core.simulate import simulate
from ganscope.games.kernel.kernels import RBF
from ganscope.games.kernel.model import KernelGAN
from ganscope.games.kernel.random_features import FeatureKernel

claim = claims_of("kernel")


@claim(
    "C19",
    "All representations of the discriminator give the same run within their stated errors: 8 points, 4 true points, "
    "400 iterations",
    source="extension",
    fast=True,
)
def representations() -> Evidence:
    corners = np.array([[-1.5, -1.5], [1.5, -1.5], [-1.5, 1.5], [1.5, 1.5]])
    start = np.repeat(corners, 2, axis=0) + np.random.default_rng(0).uniform(-0.3, 0.3, (8, 2))
    game = KernelGAN(corners, start, kernel=RBF(0.6), generator_lr=1.0)

    def path(representation: str, seed: int = 0, features: int = 2, **options: Any) -> Array:
        own = game.replace(representation=representation, features=features)
        run = simulate(own, "gda", iterations=400, save_at=range(0, 401, 20), seed=seed, **options)
        points: Array = run.generated_points.values
        return points

    exact = path("history", tolerance=1e-300)
    rows: dict[str, Any] = {
        f"history cut at {cut:g}": (0, largest(path("history", tolerance=cut) - exact), 20 * cut)
        for cut in (1e-6, 1e-10)
    }
    rows["Fourier grid"] = 0, largest(path("fourier_grid") - exact), 1e-12
    errors = [
        np.mean([largest(path("random_features", seed, features, precision="double") - exact) for seed in range(16)])
        for features in (512, 2048, 8192)
    ]
    rows["random features 512, 2048, 8192: mean error"] = [0, 0, 0], errors, 0.05
    rows["random features: error over that of 4 times as many"] = (
        2.15,
        [errors[0] / errors[1], errors[1] / errors[2]],
        0.65,
    )
    return confront(rows)


@claim(
    "C20",
    "Random features have a curvature of their own, of relative spread 2 / sqrt(features), and runs follow the closed "
    "form with it",
    source="derived",
    fast=True,
)
def random_curvature() -> Evidence:
    rows: dict[str, Any] = {}
    for features in (64, 1024):
        drawn = [FeatureKernel.of(RBF(0.7), 1, features, seed).curvature.item() for seed in range(400)]
        spread = float(np.std(drawn, ddof=1)) * 0.7**2
        rows[f"spread with {features} features, of 2 / sqrt({features})"] = 1, spread * np.sqrt(features) / 2, 0.15
    for rule in ("simultaneous", "alternating"):
        errors = []
        for seed in range(5):
            game = neighbourhood_game(
                0.5, 0.4, kernel=RBF(0.7), representation="random_features", features=256, discriminator_lr=0.4
            )
            run = simulate(game, "gda", rule=rule, iterations=10, seed=seed, precision="double")
            found = recurrence_roots(run.generated_points.values[:, :, 0], 2)
            own = FeatureKernel.of(game.kernel, 1, 256, seed).curvature.item()
            closed = [neighbourhood_of(game, gamma).families(rule)["mean"] for gamma in (own, game.kernel.curvature)]
            errors.append([largest_distance(found, wanted) for wanted in closed])
        of_features, of_kernel = np.transpose(errors)
        rows[f"{rule}: distance from the spectrum with their curvature"] = 0, of_features.max(), 1e-10
        rows[f"{rule}: farther than 1e-4 from that with the kernel's"] = True, bool(of_kernel.min() > 1e-4), "exact"
    return confront(rows)
