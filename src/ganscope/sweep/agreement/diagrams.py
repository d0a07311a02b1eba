"""The phase diagrams of the four models on which theory is confronted with simulation, cell by cell.

A diagram is a sweep, and a margin that is fixed with it: cells that lie on a boundary of the theory, or where theory
leaves open what a run counts as, are not held against it. What the margin is follows from the theory and the rules of
the verdicts alone. `examples/sweeps` has the same experiments as files.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from ganscope.core.errors import unknown_name
from ganscope.core.game import Game
from ganscope.core.grids import linspace, logspace
from ganscope.core.results import base_game
from ganscope.games.dualflow.dirac.model import DiracGAN
from ganscope.games.dualflow.levels import SCHEMES
from ganscope.games.kernel.model import KernelGAN
from ganscope.games.particle.cloud.model import ParticleGAN
from ganscope.games.particle.torus.fourier import PERIOD
from ganscope.games.particle.torus.model import TorusGAN
from ganscope.games.solvable.model import SolvableGAN
from ganscope.games.solvable.phases import active_recovery
from ganscope.games.solvable.verdict import LEARNED

Mask = npt.NDArray[np.bool_]

# Shares of agreeing cells that are asked for: where theory is exact or local, and where it is an approximation.
_EXACT, _GOOD = 0.99, 0.95


@dataclass(frozen=True)
class Margin:
    """Cells that are left out of the share, beside those that theory or a verdict calls near critical.

    Attributes:
        words: What they are.
        covers: From the finished sweep to the cells, over its axes.
    """

    words: str
    covers: Callable[[xr.Dataset], Mask]


@dataclass(frozen=True)
class Diagram:
    """One phase diagram.

    Attributes:
        name: Model and name, for example `kernel:rate-bandwidth`.
        title: What it is.
        game, over, level, settings, replicas: As `sweep` takes them.
        fast: A smaller grid over the same axes.
        measure: `both`, or `simulate` where theory says nothing.
        margin: What is left out of the share beside near critical cells.
        least: The share of agreeing cells that is asked for; None without theory.
        shown: Observable to draw instead of outcomes.
    """

    name: str
    title: str
    game: Game
    over: Mapping[str, Any]
    fast: Mapping[str, Any]
    level: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    replicas: int = 1
    measure: str = "both"
    margin: Margin | None = None
    least: float | None = _GOOD
    shown: str | None = None

    @property
    def model(self) -> str:
        """The model's name, before the colon."""
        return self.name.split(":")[0]

    @property
    def stem(self) -> str:
        """The name as file names have it."""
        return self.name.replace(":", "_").replace("-", "_")


def _open_recovery(sweep: xr.Dataset) -> Mask:
    """Whether theory does not promise that the features which it says are learned are recovered enough to count."""
    said = np.asarray(sweep.predicted_detail.values).astype(str)
    low, high = (np.asarray(sweep[f"threshold_{name}_overlap"].values) for name in ("critical", "slow"))
    silently = np.isin(said, ["success/silent", "mode_collapse"]) & ((high > 0) & (low < LEARNED)).any(-1)
    return np.asarray(silently | ((said == "success/active") & (_active_overlap(sweep) < LEARNED)))


def _active_overlap(sweep: xr.Dataset) -> npt.NDArray[np.float64]:
    """The overlap of active recovery in every cell of a game with one feature; NaN where there is none."""
    game = base_game(sweep)
    assert isinstance(game, SolvableGAN)
    if game.features > 1:
        return np.full(sweep.status.shape, np.nan)
    names = ("feature_variance", "data_noise", "discriminator_lr", "generator_lr")
    given = [sweep[name] if name in sweep.coords else xr.DataArray(np.ravel(getattr(game, name))[0]) for name in names]
    cells = xr.broadcast(sweep.status, *given)[1:]
    strength, noise, own, other = (cell.transpose(*sweep.status.dims).values for cell in cells)
    return np.asarray(active_recovery(strength, noise, noise, own, other).P[..., 0])


def _too_slow(sweep: xr.Dataset) -> Mask:
    """Whether the start outlasts half of the run: theory's own rate changes its width too little to tell the ends."""
    start, modes = _TORUS.initial_std, _TORUS.modes
    change = np.abs(np.asarray(sweep.rate_growth_of_collapsed_spread.values)) * _LONG / 2
    return np.asarray(change < math.log(PERIOD / modes / start))


_OVERLAPS = Margin(
    f"cells where theory does not promise an overlap of {LEARNED}, from which on a run counts as having learned: the "
    "overlap of active recovery, or the critical overlap beyond which a silent state is stable, is smaller",
    _open_recovery,
)
_SLOW = Margin(
    "cells where by theory's own rate a cloud of the initial width needs more than half of the run to reach the next "
    "mode, or as long to shrink by as much",
    _too_slow,
)

_RULES = ["alternating", "simultaneous"]
_ONE = SolvableGAN(feature_variance=5.0, discriminator_lr=0.2)
_TWO = SolvableGAN(feature_variance=(5.0, 3.0), discriminator_lr=0.2)
_NEIGHBOURHOOD: dict[str, Any] = {"real_points": [[0.0]], "real_mass": [1.0], "discriminator_lr": 0.2}
# Less than a thousandth of a bandwidth from the true point: a perturbation, of which the verdict asks if it grows.
_BESIDE = [[5e-5]]
_LONG = 2000.0
# Runs of every cell of a stochastic level, whose majority decides.
_VOTES = 3
_TORUS = TorusGAN(
    particles=16,
    modes=2,
    gradient_penalty=0.0,
    regularization=0.5,
    relative_mobility=0.05,
    mean_mobility=1.5,
    initial_std=0.02,
)


def _solvable() -> Iterator[Diagram]:
    long = {"horizon": 8000.0}
    noise_rate = {"data_noise": linspace(0.1, 6.0, 48), "generator_lr": logspace(0.004, 0.36, 48)}
    noise_rate_fast = {"data_noise": linspace(0.1, 6.0, 8), "generator_lr": logspace(0.004, 0.36, 8)}
    yield Diagram(
        "solvable:noise-rate",
        "One feature: noise against the learning rate of the generator",
        _ONE,
        noise_rate,
        noise_rate_fast,
        "ode",
        long,
        margin=_OVERLAPS,
    )
    yield Diagram(
        "solvable:noise-rate-two",
        "Two features: noise against the learning rate of the generator",
        _TWO,
        noise_rate,
        noise_rate_fast,
        "ode",
        long,
        margin=_OVERLAPS,
    )
    yield Diagram(
        "solvable:strength-noise",
        "One feature: its strength against noise",
        _ONE.replace(generator_lr=0.04),
        {"feature_variance": logspace(0.2, 20.0, 48), "data_noise": linspace(0.1, 6.0, 48)},
        {"feature_variance": logspace(0.2, 20.0, 8), "data_noise": linspace(0.1, 6.0, 8)},
        "ode",
        long,
        margin=_OVERLAPS,
    )


def _kernel() -> Iterator[Diagram]:
    every = {"iterations": 1000}
    yield Diagram(
        "kernel:rate-regularization",
        "A generated point beside a true one: learning rate against regularization",
        KernelGAN(**_NEIGHBOURHOOD, generated_points=_BESIDE, generated_mass=[1.0]),
        {
            "generator_lr": logspace(0.02, 4.0, 32),
            "regularization": logspace(0.05, 6.0, 32),
            "rule": _RULES,
        },
        {"generator_lr": logspace(0.02, 4.0, 6), "regularization": logspace(0.05, 6.0, 6), "rule": _RULES},
        "gda",
        every,
        least=_EXACT,
    )
    yield Diagram(
        "kernel:rate-bandwidth",
        "A generated point beside a true one: learning rate against the width of the kernel",
        KernelGAN(**_NEIGHBOURHOOD, generated_points=_BESIDE, generated_mass=[1.0]),
        {"generator_lr": logspace(0.01, 1.0, 32), "bandwidth": logspace(0.08, 3.0, 32), "rule": _RULES},
        {"generator_lr": logspace(0.01, 1.0, 6), "bandwidth": logspace(0.08, 3.0, 6), "rule": _RULES},
        "gda",
        every,
        least=_EXACT,
    )


def _dualflow() -> Iterator[Diagram]:
    levels, many = list(SCHEMES), {"iterations": 2000}
    yield Diagram(
        "dualflow:step-penalty",
        "Stable steps of the bilinear Dirac-GAN: step size against gradient penalty, six schemes",
        DiracGAN(loss="bilinear"),
        {"step_size": logspace(0.05, 8.0, 32), "gradient_penalty": logspace(0.05, 4.0, 32), "level": levels},
        {"step_size": logspace(0.05, 8.0, 8), "gradient_penalty": logspace(0.05, 4.0, 8), "level": levels},
        None,
        many,
        least=_EXACT,
    )
    yield Diagram(
        "dualflow:step-rate",
        "Steps of the saturating Dirac-GAN: step size against the speed of the generator, six schemes",
        DiracGAN(loss="saturating", gradient_penalty=0.5),
        {"step_size": logspace(0.05, 4.0, 32), "generator_lr": logspace(0.05, 4.0, 32), "level": levels},
        {"step_size": logspace(0.05, 4.0, 8), "generator_lr": logspace(0.05, 4.0, 8), "level": levels},
        None,
        many,
    )


def _particle() -> Iterator[Diagram]:
    settings = {"horizon": _LONG}
    yield Diagram(
        "particle:mobility-width",
        "Narrow clouds on a circle: mobility of the centre against the width of the modes",
        _TORUS,
        {"mean_mobility": logspace(0.3, 20.0, 16), "mode_width": linspace(0.05, 0.5, 16)},
        {"mean_mobility": logspace(0.3, 20.0, 4), "mode_width": linspace(0.05, 0.5, 3)},
        "particles",
        settings,
        replicas=_VOTES,
        margin=_SLOW,
    )
    yield Diagram(
        "particle:relative-width",
        "Narrow clouds on a circle: relative mobility against the width of the modes",
        _TORUS,
        {"relative_mobility": logspace(0.01, 0.3, 12), "mode_width": linspace(0.05, 0.5, 12)},
        {"relative_mobility": logspace(0.01, 0.3, 3), "mode_width": linspace(0.05, 0.5, 3)},
        "particles",
        settings,
        replicas=_VOTES,
        margin=_SLOW,
    )
    yield Diagram(
        "particle:ring",
        "A ring of eight modes: soft coverage by coupling and width of the modes",
        ParticleGAN(particles=64, modes=8, coupling=16.0),
        {"coupling": logspace(1.0, 64.0, 10), "mode_width": linspace(0.02, 0.3, 6)},
        {"coupling": logspace(1.0, 64.0, 2), "mode_width": linspace(0.05, 0.2, 2)},
        "particles",
        {"iterations": 800},
        replicas=_VOTES,
        measure="simulate",
        least=None,
        shown="soft_coverage",
    )


def diagrams() -> dict[str, Diagram]:
    """All diagrams by name, model after model."""
    return {one.name: one for make in (_solvable, _kernel, _dualflow, _particle) for one in make()}


def select(names: Sequence[str]) -> list[Diagram]:
    """Diagrams by their names or their models'; all of them without names.

    Raises:
        ParameterError: If there is no such diagram or model.
    """
    known = diagrams()
    models = list(dict.fromkeys(one.model for one in known.values()))
    chosen: dict[str, Diagram] = {}
    for name in names or models:
        if name not in known and name not in models:
            raise unknown_name("diagram", name, [*models, *known])
        chosen |= {key: one for key, one in known.items() if name in (key, one.model)}
    return list(chosen.values())
