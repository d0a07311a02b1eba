"""Claims of the particle models about collapsed clouds on the circle: what tears them apart, and where that ends."""

import functools
import itertools
import math
from typing import Any

import numpy as np

from ganscope.claims.claim import Evidence, claims_of
from ganscope.claims.confrontation import confront, confront_factors
from ganscope.claims.particle_settings import (
    circle,
)
from ganscope.core.simulate import simulate
from ganscope.games.particle.collapse import critical_mobility, transverse_exponent
from ganscope.games.particle.torus.model import TorusGAN

claim = claims_of("particle")

_START, _HORIZON, _STEP = 0.2, 200.0, 0.01


@claim(
    "C10",
    "The spread of a collapsed cloud grows at the rate relative_mobility times the mean curvature of the discriminator "
    "under it, which changes sign with the mobility of the centre",
    source="derived",
    fast=True,
)
def growth_of_spread() -> Evidence:
    rows: dict[str, tuple[float, Any]] = {}
    signs = []
    for scheme in ("first_order", "second_order"):
        for mobility in (0.2, 0.8, 1.4, 4.0):
            game = circle(mean_mobility=mobility)
            bend = transverse_exponent(
                game, scheme=scheme, horizon=_HORIZON, step_size=_STEP, starts=np.array([_START])
            )
            known = game.relative_mobility * bend
            found = _growth(game, scheme)
            signs.append(math.copysign(1, found))
            # magnitudes: the signs are confronted below
            rows[f"mean mobility {mobility:g}, {scheme}"] = abs(known), abs(found)
    expected, measured, tolerance, passed = confront_factors(rows, 1.1)
    more = confront({"signs": ([1, 1, -1, -1] * 2, signs, "exact")})
    return expected | more[0], measured | more[1], tolerance | more[2], passed and more[3]


def _growth(game: TorusGAN, scheme: str) -> float:
    """Growth rate of the spread of a cloud of width 1e-6 around one point, over the last two thirds of a run."""
    noise = 1e-6 * np.random.default_rng(10).standard_normal(game.particles)
    cloud = game.replace(initial_positions=_START + noise - noise.mean())
    run = simulate(cloud, "particles", scheme=scheme, step_size=_STEP, save_at=[_HORIZON / 3, _HORIZON])
    spread = np.log(run.positions.values.std(axis=1))
    return float((spread[1] - spread[0]) / np.ptp(run.time.values))


@functools.cache
def _critical(**changes: Any) -> float:
    """Critical mobility, by the default steps and horizon."""
    return critical_mobility(circle(**changes))


@claim(
    "C11",
    "With weight decay or a gradient penalty alone, the critical mobility of a collapsed cloud is proportional to its "
    "square: doubled friction makes it four times as large, to four digits where orbits are rescaled alike",
    source="derived",
    fast=True,
)
def scaling_of_the_critical_mobility() -> Evidence:
    rows: dict[str, Any] = {}
    for name, low in (("regularization", 0.5), ("gradient_penalty", 0.3)):
        given = {"regularization": 0.0, name: low}
        twice = {**given, name: 2 * low}
        slow = critical_mobility(circle(**given), horizon=_HORIZON, step_size=_STEP)
        fast = critical_mobility(circle(**twice), horizon=_HORIZON / 2, step_size=_STEP / 2)
        rows[f"{name} doubled, times halved"] = 4, fast / slow, 4e-4
        rows[f"{name} doubled, default steps and horizon"] = 4, _critical(**twice) / _critical(**given), 0.8
    return confront(rows)


@claim(
    "C12",
    "The critical mobility of a collapsed cloud grows with the width of the modes and with their number: the worked "
    "table within 12 %, 15 % where the gradient penalty alone damps",
    source="derived",
    fast=True,
)
def table_of_critical_mobilities() -> Evidence:
    alone: dict[str, Any] = {"regularization": 0.0, "gradient_penalty": 0.3}
    decay: dict[str, tuple[dict[str, Any], float]] = {
        "two modes of width 0.1": ({}, 1.18),
        "width 0.3": ({"mode_width": 0.3}, 2.34),
        "width 0.5": ({"mode_width": 0.5}, 9.0),
        "four modes": ({"modes": 4}, 2.73),
        "regularization 1": ({"regularization": 1.0}, 4.70),
    }
    penalty: dict[str, tuple[dict[str, Any], float]] = {
        "penalty 0.3 alone": (alone, 1.8),
        "penalty 0.6 alone": ({**alone, "gradient_penalty": 0.6}, 7.6),
        "penalty 0.3, bandwidth 0.7": ({**alone, "bandwidth": 0.7}, 1.15),
        "penalty 0.3, kernel spectrum power": ({**alone, "spectrum": "power"}, 1.50),
    }
    rows: dict[str, Any] = {}
    for settings, share in ((decay, 0.12), (penalty, 0.15)):
        for name, (changes, worked) in settings.items():
            rows[name] = worked, _critical(**changes), share * worked
    widths = [_critical(**changes) for changes in ({}, {"mode_width": 0.3}, {"mode_width": 0.5})]
    rows["least factor from a width to the next"] = 1.5, min(b / a for a, b in itertools.pairwise(widths)), "at least"
    rows["factor from two modes to four"] = 1.5, _critical(modes=4) / widths[0], "at least"
    return confront(rows)
