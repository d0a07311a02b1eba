r"""The solvable high-dimensional GAN: a low-rank-plus-noise source, a linear generator and a one-neuron discriminator.

    real sample   y  = U c  + sqrt(eta_T) a,     c  ~ covariance diag(feature_variance)
    fake sample   y~ = V c~ + sqrt(eta_G) a~,    c~ ~ covariance diag(latent_variance)
    payoff        F(D(y'w)) - F~(D(y~'w)) - (lambda/2) H(w'w) + (lambda/2) sum_j H((V'V)_jj)

which the discriminator w ascends and the generator V descends by online SGD with rates discriminator_lr / n and
generator_lr / n. As the dimension n grows, the overlaps P = U'V, q = U'w, r = V'w, S = V'V, z = w'w follow an ODE in
time t = iterations / n, while each weight stays random and follows an SDE.

References:
    Wang, Hu, Lu. A Solvable High-Dimensional Model of GAN. NeurIPS 2019.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from ganscope.core.checks import number, numbers_in, one_length, one_of, real_array
from ganscope.core.errors import NotApplicable, ParameterError, unknown_name
from ganscope.core.game import Game, Level, Request, Variable
from ganscope.core.outcome import Prediction, Predictions, Spectrum, Verdict, Verdicts
from ganscope.core.smooth import SmoothField
from ganscope.games.solvable import links, prediction, simulation, verdict
from ganscope.games.solvable.drift import drift
from ganscope.games.solvable.packing import (
    DATA_NOISE,
    DISCRIMINATOR_LR,
    GENERATOR_LR,
    GENERATOR_NOISE,
    LINK_BIAS,
    REGULARIZATION,
    VARIANCES,
    Layout,
)
from ganscope.games.solvable.state import MacroState

Array = npt.NDArray[np.float64]

LATENTS = ("gaussian", "rademacher")
_SWEPT = {
    "discriminator_lr": DISCRIMINATOR_LR,
    "generator_lr": GENERATOR_LR,
    "data_noise": DATA_NOISE,
    "generator_noise": GENERATOR_NOISE,
    "regularization": REGULARIZATION,
    "link_bias": LINK_BIAS,
}
# One value per feature, or per generator column.
_STRENGTHS = ("feature_variance", "latent_variance")
_RANGES: dict[str, dict[str, Any]] = {
    "discriminator_lr": {"above": 0},
    "generator_lr": {"above": 0},
    "data_noise": {"at_least": 0},
    "generator_noise": {"at_least": 0},
    "regularization": {"above": 0, "infinite": True},
    "link_bias": {},
}


@dataclass(frozen=True, eq=False)
class SolvableGAN(Game):
    """The solvable GAN of Wang, Hu and Lu (2019).

    `predict` speaks about the limit of infinite dimension (level `ode`), which is the same for simultaneous and
    alternating updates. `horizon` is in units of dimension iterations; the default of `simulate` is 400.

    Args:
        feature_variance: Variances of the features of the data, one per feature; None takes them from `latent`.
        latent_variance: Variances of the generator's latents, one per generator column; None follows
            `feature_variance`. The numbers of features and columns may differ.
        data_noise: Variance of the background noise of the data, per coordinate.
        generator_noise: Variance of the generator's noise; None follows `data_noise`.
        discriminator_lr: Learning rate of the discriminator, in units of 1 / dimension.
        generator_lr: Learning rate of the generator, in units of 1 / dimension.
        regularization: Strength of the penalty on the norms; infinite keeps the discriminator and every generator
            column at length 1 (hard constraint).
        link: `quadratic`, `tanh`, `logistic`, or a pair of callables (f, f~) of one float that numba can compile.
        link_bias: Bias of the logistic discriminator.
        latent: `gaussian`, `rademacher`, or an array `[samples, features]` whose rows are drawn as latents of the
            data (its columns centred and uncorrelated to 1e-6); the generator's latents are then Gaussian.
        initial: A `MacroState`; `"random"` for independent uniformly random directions in every run of finite
            dimension; None for P = 0.1 I, q = 0.1, r = P'q, S = I, z = 1.

    Raises:
        ParameterError: If a parameter is out of its range.
    """

    model: ClassVar[str] = "solvable"
    followers: ClassVar[Mapping[str, str]] = {"latent_variance": "feature_variance", "generator_noise": "data_noise"}
    levels: ClassVar[Mapping[str, Level]] = simulation.LEVELS

    feature_variance: Any = (5.0, 3.0)
    latent_variance: Any = None
    data_noise: float = 2.0
    generator_noise: Any = None
    discriminator_lr: float = 0.2
    generator_lr: float = 0.04
    regularization: float = math.inf
    link: Any = "quadratic"
    link_bias: float = 0.5
    latent: Any = "gaussian"
    initial: Any = None

    def __post_init__(self) -> None:
        set_field = object.__setattr__
        if not isinstance(self.latent, str):
            atoms = _latent_rows(self.latent)
            set_field(self, "latent", atoms)
            variance = _row_variance(atoms)
            if self.feature_variance is None:
                set_field(self, "feature_variance", tuple(variance))
            elif np.shape(self.feature_variance) != variance.shape or not np.allclose(
                self.feature_variance, variance, rtol=1e-6, atol=0
            ):
                raise ParameterError(
                    "feature_variance",
                    self.feature_variance,
                    f"the variances of the rows of latent, {variance}, or None",
                )
        else:
            one_of("latent", self.latent, LATENTS)
        self.settle_followers()
        for name in ("feature_variance", "latent_variance"):
            values = numbers_in(name, np.atleast_1d(getattr(self, name)), above=0)
            if values.ndim != 1 or len(values) == 0:
                raise ParameterError(name, getattr(self, name), "one positive number per feature, at least one")
            set_field(self, name, tuple(float(v) for v in values))
        for name, limits in _RANGES.items():
            set_field(self, name, number(name, getattr(self, name), **limits))
        self._check_link()
        self._check_initial()

    def _check_link(self) -> None:
        if isinstance(self.link, str):
            one_of("link", self.link, links.NAMES)
            return
        pair = tuple(self.link) if isinstance(self.link, list | tuple) else ()
        if len(pair) != 2 or not all(callable(f) for f in pair):
            raise ParameterError("link", self.link, f"one of {', '.join(links.NAMES)}, or a pair of callables")
        object.__setattr__(self, "link", pair)
        links.compiled_pair(pair)  # fails here rather than in the middle of a run

    def _check_initial(self) -> None:
        if self.initial is None or (isinstance(self.initial, str) and self.initial == "random"):
            return
        if isinstance(self.initial, str):
            raise unknown_name("initial", self.initial, ["random"])
        if not isinstance(self.initial, MacroState):
            raise ParameterError("initial", self.initial, "a MacroState, 'random' or None")
        shape = (len(self.feature_variance), len(self.latent_variance))
        if self.initial.P.shape != shape:
            raise ParameterError("initial", self.initial.P.shape, f"a MacroState with P of shape {shape}")
        norms = np.append(np.diag(self.initial.S), self.initial.z)
        if self.hard and not np.allclose(norms, 1.0, rtol=0, atol=1e-10):
            raise ParameterError(
                "initial", norms, "squared lengths S_jj = 1 and z = 1, which regularization = inf keeps"
            )

    @property
    def features(self) -> int:
        """Number of features of the data."""
        return len(self.feature_variance)

    @property
    def columns(self) -> int:
        """Number of generator columns."""
        return len(self.latent_variance)

    @property
    def layout(self) -> Layout:
        """Where the parts of a packed state stand."""
        return Layout(self.features, self.columns)

    @property
    def hard(self) -> bool:
        """Whether norms are kept at 1 rather than penalised."""
        return math.isinf(self.regularization)

    @property
    def start(self) -> MacroState:
        """The initial macroscopic state.

        Raises:
            NotApplicable: If the start is random, and so depends on the dimension.
        """
        if isinstance(self.initial, MacroState):
            return self.initial
        if self.initial == "random":
            raise NotApplicable("a random start has overlaps only at a finite dimension; give a MacroState instead")
        P = 0.1 * np.eye(self.features, self.columns)
        return MacroState(P, np.full(self.features, 0.1))

    def velocity(self, state: MacroState) -> MacroState:
        """Time derivative of the macroscopic state in the limit of infinite dimension."""
        rate = drift(self, state.vector())
        return MacroState.from_vector(rate, self.features, self.columns)

    def rows(self, over: Mapping[str, Array] | None = None, cells: int = 1) -> Array:
        """Parameters as a matrix `[rows, cells]`, see `packing`."""
        over = over or {}
        matrix = np.empty((VARIANCES + self.features + self.columns, cells))
        for name, row in _SWEPT.items():
            matrix[row] = self._cell_values(name, over)
        matrix[VARIANCES : VARIANCES + self.features] = np.transpose(
            np.atleast_2d(self._cell_values("feature_variance", over))
        )
        matrix[VARIANCES + self.features :] = np.transpose(np.atleast_2d(self._cell_values("latent_variance", over)))
        return matrix

    def _cell_values(self, name: str, over: Mapping[str, Array]) -> Any:
        if name in over:
            return over[name]
        if name in self.followed and self.followers[name] in over:
            return over[self.followers[name]]
        return getattr(self, name)

    def varied_parameters(self) -> tuple[str, ...]:
        given = () if isinstance(self.latent, str) else ("feature_variance",)  # rows of latents have their own
        return (*_SWEPT, *(name for name in _STRENGTHS if name not in given))

    def check_cells(self, over: Mapping[str, Any]) -> tuple[dict[str, Array], int]:
        checked: dict[str, Array] = {}
        for name, values in over.items():
            if name in _STRENGTHS:
                width = self.features if name == "feature_variance" else self.columns
                array = numbers_in(name, values, above=0)
                if array.ndim == 1 and width == 1:
                    array = array[:, None]
                if array.ndim != 2 or array.shape[1] != width:
                    raise ParameterError(name, values, f"an array of shape (cells, {width})")
                if name not in self.varied_parameters():
                    raise ParameterError(
                        name, values, "nothing: the latents are given as rows, with their own variance"
                    )
            elif name in _SWEPT:
                array = numbers_in(name, values, **_RANGES[name])
                if array.ndim != 1:
                    raise ParameterError(name, values, "a one-dimensional array, one value per cell")
                if name == "regularization" and not np.all(np.isinf(array) == self.hard):
                    raise ParameterError(name, values, "all infinite or all finite, like the game's own")
            else:
                raise unknown_name("over", name, self.varied_parameters())
            checked[name] = array
        return checked, one_length(checked)

    def trajectories(self, request: Request) -> dict[str, Variable]:
        return simulation.trajectories(self, request)

    def predict(
        self, level: str | None = None, rule: str | None = None, step_size: float | None = None, **options: Any
    ) -> Prediction:
        return prediction.predict(self, level, rule, step_size, **options)

    def predict_cells(
        self, over: Mapping[str, Any], level: str | None, rule: str | None, step_size: float | None, **options: Any
    ) -> Predictions | None:
        return prediction.predict_cells(self, over, level, rule, step_size, **options)

    def classify(self, run: Any, **options: Any) -> Verdict:
        del options  # there are none
        return verdict.classify(self, run)

    def classify_cells(self, run: Any, **options: Any) -> Verdicts:
        del options  # there are none
        return verdict.classify_cells(self, run)

    def linear_spectrum(self, at: Any = None, rule: str | None = None, **options: Any) -> Spectrum:
        return prediction.spectrum(self, at, rule, **options)

    def smooth_field(
        self, level: str | None = None, rule: str | None = None, step_size: float | None = None, start: Any = None
    ) -> SmoothField:
        from ganscope.games.solvable.branch import smooth_field

        return smooth_field(self, level, rule, step_size, start)

    @classmethod
    def fit(cls, data: Any, features: int | None = None, **options: Any) -> "SolvableGAN":
        """A game whose parameters come from data; see `ganscope.games.solvable.data.fit`."""
        from ganscope.games.solvable.data import fit

        return fit(data, features, **options)

    @classmethod
    def decode(cls, name: str, value: Any) -> Any:
        if name == "initial" and isinstance(value, Mapping):
            unknown = set(value) - {"P", "q", "r", "S", "z"}
            if unknown:
                raise unknown_name("initial", sorted(unknown)[0], ["P", "q", "r", "S", "z"])
            missing = {"P", "q"} - set(value)
            if missing:
                raise ParameterError("initial", dict(value), f"a table with {', '.join(sorted(missing))}")
            return MacroState(**value)
        return super().decode(name, value)


def _latent_rows(latent: Any) -> Array:
    rows = real_array("latent", latent, expected=f"one of {', '.join(LATENTS)}, or an array (samples, features)")
    if rows.ndim != 2 or rows.shape[0] < 2 or rows.shape[1] < 1:
        raise ParameterError("latent", f"array of shape {rows.shape}", "an array (samples, features), at least 2 rows")
    deviation = rows.std(axis=0)
    if np.any(deviation == 0):
        raise ParameterError("latent", f"column {int(np.argmin(deviation))}", "columns that vary")
    if np.any(np.abs(rows.mean(axis=0)) > 1e-6 * deviation):
        raise ParameterError("latent", rows.mean(axis=0), "columns with mean 0 to 1e-6 of their deviation")
    correlation = (rows / deviation).T @ (rows / deviation) / len(rows)
    if np.any(np.abs(correlation - np.diag(np.diag(correlation))) > 1e-6):
        raise ParameterError("latent", correlation, "columns that are uncorrelated to 1e-6: rotate to principal axes")
    return rows


def _row_variance(rows: Array) -> Array:
    variance: Array = np.mean(rows**2, axis=0)
    return variance
