"""Claims of the dual flows about proximal steps of the generator in Wasserstein space."""

from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment, minimize_scalar
from scipy.spatial.distance import cdist

from ganscope.claims.claim import Evidence, claims_of
from ganscope.claims.confrontation import confront
from ganscope.claims.dualflow_settings import (
    normal_points,
)
from ganscope.core.simulate import simulate
from ganscope.games.dualflow.feature.model import FeatureGAN
from ganscope.games.dualflow.lq.gaussian import entropic_gaussian_step

claim = claims_of("dualflow")


@claim(
    "20",
    "The generator's proximal step in Wasserstein space moves every point on its own: pairing each point with its own "
    "image is an optimal transport",
    source="derived",
    fast=True,
)
def pointwise_prox() -> Evidence:
    rng = np.random.default_rng(20)
    rows: dict[str, Any] = {}
    for axes in (1, 2, 3):
        gaps, moved = [], []
        for _ in range(5):
            game = FeatureGAN(
                rng.normal(size=(40, axes)), rng.normal(size=(300, axes)), features=rng.normal(size=(20, axes)),
                initial_discriminator=rng.normal(size=40),
            )  # fmt: skip
            bend = -game.pair().convexity(0, game.generated_points, np.asarray(game.initial_discriminator))
            new = simulate(game, "jko", step_size=0.9 / bend, iterations=1, save_at=[1]).generated_points.values[0]
            cost = cdist(game.generated_points, new, "sqeuclidean")
            best, own = cost[linear_sum_assignment(cost)].mean(), np.diag(cost).mean()
            gaps.append(float(own - best))
            moved.append(float(np.sqrt(own)))
        rows[f"cost of the identity over the least one, d = {axes}"] = 0, max(gaps), 1e-12
        rows[f"mean motion, d = {axes}"] = 0.01, min(moved), "above"
    return confront(rows)


@claim(
    "21",
    "Proximal steps with entropy and confinement keep normal laws normal, with a width in closed form, which points "
    "on a line follow up to their number",
    source="derived",
    fast=True,
)
def entropic_steps() -> Evidence:
    rows: dict[str, Any] = {}
    width, entropy, steps, step = 0.3, 0.5, 40, 0.05
    for _ in range(steps):
        width = entropic_gaussian_step(width, step, entropy, 1.0)
    rows["width by the closed form"] = 0.7004267694, width, 1e-9
    for count, share in ((100, 0.007), (400, 0.003)):
        rows[f"width of {count} points over it"] = 1, _entropic_width(count, step, steps, entropy) / width, share
    rows["width of 200 points"] = 0.6986712377, _entropic_width(200, step, steps, entropy), 1e-6
    errors = []
    for std, tau, eps, ridge in ((0.3, 0.05, 0.5, 1.0), (2.0, 1.5, 0.1, 0.3), (0.01, 0.2, 1.0, 0.0)):

        def problem(s: Any, std: float = std, tau: float = tau, eps: float = eps, ridge: float = ridge) -> float:
            """What the proximal step lowers, for a normal law of width s."""
            return float((s - std) ** 2 / (2 * tau) + ridge * s**2 / 2 - eps * np.log(s))

        found = minimize_scalar(problem, bounds=(1e-3, 5.0), method="bounded", options={"xatol": 1e-10}).x
        errors.append(abs(found - entropic_gaussian_step(std, tau, eps, ridge)))
    rows["closed form and direct minimisation"] = 0, max(errors), 1e-6
    return confront(rows)


def _entropic_width(count: int, step_size: float, steps: int, entropy: float) -> float:
    """Standard deviation of points after proximal steps against a discriminator that stays 0."""
    start = 0.3 * normal_points(count)
    # a discriminator that compares means, which agree
    game = FeatureGAN([0.0], start - start.mean(), features="linear", entropy=entropy, ridge=1.0)
    run = simulate(game, "jko", step_size=step_size, iterations=steps, save_at=[steps])
    return float(np.std(run.generated_points.values[-1]))
