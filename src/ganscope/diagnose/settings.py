"""Every parameter of a diagnosis, checked before any work starts."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ganscope.core.checks import integer, number, numbers_in, one_of
from ganscope.core.errors import ParameterError, unknown_name
from ganscope.core.random import stream_of
from ganscope.diagnose.theory.advice import GRID
from ganscope.diagnose.theory.virtual import ADVICE_HORIZON, HORIZON

CONVENTIONS = ("half", "full")
DTYPES = ("float64", "float32")
LARGEST_MODES = 128
_LARGEST_SEED = 2**48
_HORIZONS = (16, 65536)

# A cheap measurement: on small GANs it fell on the full one's side of the threshold in 30 of 31 cases.
_CHEAP = {"modes": 8, "batch_size": 128, "noise_batches": 8}
QUICK: dict[str, Any] = _CHEAP | {"batches": 1, "fork_iterations": 0}

# Integers and their lowest values.
_INTEGERS = {
    "modes": 1,
    "oversample": 0,
    "power_rounds": 1,
    "batch_size": 8,
    "batches": 1,
    "eigenvalues": 1,
    "krylov": 1,
    "fixed_latents": 16,
    "fork_iterations": 0,
    "fork_seeds": 0,
    "seed": 0,
}


@dataclass(frozen=True)
class DiagnoseSettings:
    """How a real game is diagnosed.

    Args:
        modes: Rotation modes of the reduced game, 1 to the smallest of both players' parameters and 128.
        oversample, power_rounds: Extra directions and rounds of the randomised decomposition.
        batch_size: Samples of the batch on which the Jacobian is taken.
        batches: Repeats with other batches.
        noise_batches: Minibatches for the noise covariance, at least 4.
        train_batch_size: Size of those minibatches; None takes the game's.
        horizon, advice_horizon: Iterations of predicted wander and of the horizon cost, powers of two, 16 to 65536.
        threshold: Of wander, in data radii.
        gammas: Gradient penalties that advice tries, in squared data radii, increasing.
        convention: In which gradient penalties are told first: `half`, (gamma/2) E|grad D|^2, or `full` without 1/2.
        dtype: Of the spectra.
        full_spectrum: Whether the rightmost eigenvalues of the whole Jacobian are computed and reported.
        eigenvalues, krylov, tol: Of that: how many, dimension of the Krylov space, relative accuracy.
        fixed_latents: Latents whose outputs are followed.
        fork_iterations, fork_seeds: Length and number of the forked races; 0 runs none.
        every: Iterations between the monitor's cheap readings; None lets the budget decide.
        budget: Share of training time that the monitor may take.
        monitor_setting: Settings of the monitor's measurements: modes, batch_size, noise_batches.
        seed: Of everything random.
    """

    modes: int = 24
    oversample: int = 8
    power_rounds: int = 3
    batch_size: int = 512
    batches: int = 3
    noise_batches: int = 24
    train_batch_size: int | None = None
    horizon: int = HORIZON
    advice_horizon: int = ADVICE_HORIZON
    threshold: float = 0.1
    gammas: tuple[float, ...] = GRID
    convention: str = "half"
    dtype: str = "float64"
    full_spectrum: bool = False
    eigenvalues: int = 8
    krylov: int = 60
    tol: float = 1e-6
    fixed_latents: int = 256
    fork_iterations: int = 400
    fork_seeds: int = 2
    every: int | None = None
    budget: float = 0.05
    monitor_setting: Mapping[str, int] = dataclasses.field(default_factory=lambda: dict(_CHEAP))
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in _INTEGERS.items():
            self._set(name, integer(name, getattr(self, name), at_least=least))
        if self.seed >= _LARGEST_SEED:  # the libraries' generators take smaller ones
            self._set("seed", stream_of(f"seed {self.seed}") % _LARGEST_SEED)
        for name in ("train_batch_size", "every"):
            if getattr(self, name) is not None:
                self._set(name, integer(name, getattr(self, name), at_least=1))
        self._set("noise_batches", _noise_batches(self.noise_batches))
        for name in ("horizon", "advice_horizon"):
            self._set(name, _horizon(name, getattr(self, name)))
        for name in ("threshold", "tol"):
            self._set(name, number(name, getattr(self, name), above=0))
        if not 0 < number("budget", self.budget) <= 1:
            raise ParameterError("budget", self.budget, "a number in (0, 1]")
        if self.modes > LARGEST_MODES:
            raise ParameterError("modes", self.modes, f"an integer from 1 to {LARGEST_MODES}")
        if self.krylov <= 2 * self.eigenvalues + 1:
            raise ParameterError("krylov", self.krylov, f"more than 2 eigenvalues + 1 = {2 * self.eigenvalues + 1}")
        if not isinstance(self.full_spectrum, bool | np.bool_):
            raise ParameterError("full_spectrum", self.full_spectrum, "True or False")
        one_of("convention", self.convention, CONVENTIONS)
        one_of("dtype", self.dtype, DTYPES)
        self._set("gammas", _grid(self.gammas))
        self._set("monitor_setting", _monitor_setting(self.monitor_setting))

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)

    @classmethod
    def from_options(
        cls, options: Mapping[str, Any], *, quick: bool = False, sizes: tuple[int, int] | None = None
    ) -> "DiagnoseSettings":
        """Settings from keyword arguments.

        Args:
            options: Names and values.
            quick: Cheaper defaults: one small measurement and no forked races.
            sizes: Numbers of parameters, generator first. The default of `modes` is lowered to what they allow, a value
                that was given is not.

        Raises:
            ParameterError: If a name is unknown or a value out of range.
        """
        known = [field.name for field in dataclasses.fields(cls)]
        for name in options:
            if name not in known:
                raise unknown_name("parameter", name, known)
        values = (QUICK if quick else {}) | dict(options)
        if sizes is not None and "modes" not in options:
            values["modes"] = min(values.get("modes", cls.modes), modes_bound(sizes))
        settings = cls(**values)
        return settings if sizes is None else settings.checked_for(sizes)

    def checked_for(self, sizes: tuple[int, int], train_batch_size: int | None = None) -> "DiagnoseSettings":
        """The settings for players of known sizes.

        Args:
            sizes: Numbers of parameters, generator first.
            train_batch_size: The game's, used where the settings have none.

        Raises:
            ParameterError: If there are more modes than parameters of a player.
        """
        bound = modes_bound(sizes)
        if self.modes > bound:
            parts = f"the smallest of the players' {sizes[0]} and {sizes[1]} parameters and {LARGEST_MODES}"
            raise ParameterError("modes", self.modes, f"an integer from 1 to {bound}, {parts}")
        if self.train_batch_size is None and train_batch_size is not None:
            return dataclasses.replace(self, train_batch_size=train_batch_size)
        return self

    @property
    def required_train_batch_size(self) -> int:
        """Size of the training minibatches.

        Raises:
            ParameterError: If neither the settings nor the game say it.
        """
        if self.train_batch_size is None:
            raise ParameterError(
                "train_batch_size", None, "the batch size of training, an integer >= 1: it is required"
            )
        return self.train_batch_size

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is admissible but doubtful."""
        told = []
        if self.dtype == "float32":
            told.append("dtype = 'float32': a margin below 1e-4 is not resolvable")
        if self.batch_size < 64:
            told.append(f"batch_size = {self.batch_size}: below 64 samples the Jacobian scatters from batch to batch")
        return tuple(told)

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return values | {"gammas": list(self.gammas), "monitor_setting": dict(self.monitor_setting)}


def modes_bound(sizes: tuple[int, int]) -> int:
    """The largest number of rotation modes for players of these sizes."""
    return min(*sizes, LARGEST_MODES)


def _horizon(name: str, value: Any) -> int:
    low, high = _HORIZONS
    expected = f"a power of two from {low} to {high} ({name} must be a power of two)"
    try:
        steps = integer(name, value, at_least=low)
    except ParameterError:
        raise ParameterError(name, value, expected) from None
    if steps > high or steps & (steps - 1):
        raise ParameterError(name, value, expected)
    return steps


def _noise_batches(value: Any) -> int:
    try:
        return integer("noise_batches", value, at_least=4)
    except ParameterError:
        raise ParameterError("noise_batches", value, "an integer >= 4 (noise_batches must be at least 4)") from None


def _grid(values: Any) -> tuple[float, ...]:
    grid = numbers_in("gammas", values, at_least=0)
    if grid.ndim != 1 or len(grid) == 0 or np.any(np.diff(grid) <= 0):
        raise ParameterError("gammas", values, "increasing finite numbers >= 0, in units of the squared data radius")
    return tuple(float(value) for value in grid)


def _monitor_setting(given: Any) -> dict[str, int]:
    if not isinstance(given, Mapping):
        raise ParameterError("monitor_setting", given, f"a mapping with {', '.join(_CHEAP)}")
    for name in given:
        if name not in _CHEAP:
            raise unknown_name("monitor_setting", name, _CHEAP)
    setting = _CHEAP | dict(given)
    checked = {name: integer(name, setting[name], at_least=_INTEGERS[name]) for name in ("modes", "batch_size")}
    if checked["modes"] > LARGEST_MODES:
        raise ParameterError("modes", checked["modes"], f"an integer from 1 to {LARGEST_MODES}")
    return checked | {"noise_batches": _noise_batches(setting["noise_batches"])}
