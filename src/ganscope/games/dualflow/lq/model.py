r"""The linear-quadratic WGAN: normal laws against a quadratic discriminator.

The generator's law has mean m and covariance S = L L', the discriminator is D(x) = w.x + x' W x / 2, high on real data,
and

    m' = generator_lr (W m + w)                              L' = generator_lr W L
    w' = discriminator_lr (m* - m - linear_penalty w)
    W' = discriminator_lr ((S* + m* m*' - S - m m') / 2 - quadratic_penalty W)

Only the first two moments matter: any law that is moved by this discriminator has these moments. The rank of S never
changes, so that a generator that starts collapsed keeps missing directions: it rests at principal components of the
target while the discriminator is fast enough, and wanders between them otherwise.

References:
    Turinici. Convergence dynamics of generative adversarial networks: the dual metric flows. 2020.
    Feizi, Farnia, Ginart, Tse. Understanding GANs: the LQG setting. 2017.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from ganscope.core.checks import numbers_in, real_array
from ganscope.core.errors import NotApplicable, ParameterError, unknown_name
from ganscope.core.game import Level, Request, Variable
from ganscope.core.outcome import Prediction, Predictions, Spectrum
from ganscope.core.smooth import SmoothField
from ganscope.games.dualflow.game import SPEEDS, DualGame, Tracked, each_run, varied_runs
from ganscope.games.dualflow.levels import dual_levels
from ganscope.games.dualflow.lq import prediction as lq_prediction
from ganscope.games.dualflow.lq import simulation as lq_run
from ganscope.games.dualflow.lq.gaussian import as_covariance, as_symmetric, as_vector, factor_of
from ganscope.games.dualflow.lq.pair import LqPair
from ganscope.games.dualflow.lq.state import Field, LqState

Array = npt.NDArray[np.float64]

STARTS = ("zero", "equilibrium")
# Below this share of the target's total variance a generator counts as collapsed.
_DISPERSED = 0.05
# Standard normal quantile of the level 90 %.
_NINETY = 1.2815515655446004


@dataclass(frozen=True, eq=False)
class QuadraticGAN(DualGame):
    """The linear-quadratic WGAN (LQ-WGAN): a law known by its mean and covariance against a quadratic discriminator.

    `predict` speaks about the flow unless `level` names a scheme, which it then judges at `step_size`.

    Args:
        target_mean: Mean of the data, shape `[d]`; in one dimension a number will do, here and below.
        target_covariance: Covariance of the data, shape `[d, d]`.
        mean: Where the generator's mean starts, shape `[d]`.
        covariance: The generator's covariance at the start, shape `[d, d]`; it may be singular. Its factor gets as many
            columns as it has directions (eigenvalues above 1e-12 of the largest one).
        factor: Instead of `covariance`, a matrix L of shape `[d, r]` with covariance L L'.
        critic_penalty: Weight >= 0 of half the squared norms of w and W, where no other is given.
        linear_penalty: Weight >= 0 of half the squared norm of w.
        quadratic_penalty: Weight >= 0 of half the squared Frobenius norm of W.
        generator_lr: Speed of the generator, > 0.
        discriminator_lr: Speed of the discriminator, > 0.
        initial_discriminator: `zero`; `equilibrium`, the best one against the generator's start, which needs penalties
            > 0; or a pair `(w, W)`.

    Run variables over `time`: `mean`, `covariance`, `factor`, `linear` (w), `quadratic` (W), `w2`, `distance`. Ask for
    `run["mean"]`, since `run.mean` is a method of data sets.

    Raises:
        ParameterError: If a parameter is out of its range, a covariance is not symmetric and positive semidefinite,
            or not exactly one of `covariance` and `factor` is given.

    References:
        Feizi, Farnia, Ginart, Tse (2017); Turinici (2020).
    """

    model: ClassVar[str] = "lq"
    levels: ClassVar[Mapping[str, Level]] = dual_levels(midpoint=False)
    numeric: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "critic_penalty": {"at_least": 0},
        "linear_penalty": {"at_least": 0},
        "quadratic_penalty": {"at_least": 0},
        **SPEEDS,
    }
    arrays: ClassVar[tuple[str, ...]] = ("target_mean", "target_covariance", "mean", "covariance", "factor")
    followers: ClassVar[Mapping[str, str]] = {"linear_penalty": "critic_penalty", "quadratic_penalty": "critic_penalty"}

    target_mean: Any
    target_covariance: Any
    mean: Any
    covariance: Any = None
    factor: Any = None
    critic_penalty: float = 0.5
    linear_penalty: Any = None
    quadratic_penalty: Any = None
    generator_lr: float = 1.0
    discriminator_lr: float = 1.0
    initial_discriminator: Any = "zero"

    def __post_init__(self) -> None:
        self.settle_followers()
        self.check_numbers()
        target = as_vector("target_mean", self.target_mean)
        size = len(target)
        self._keep("target_mean", target)
        self._keep("target_covariance", as_covariance("target_covariance", self.target_covariance, size))
        self._keep("mean", as_vector("mean", self.mean, size))
        if (self.covariance is None) == (self.factor is None):
            given = "neither" if self.factor is None else "both"
            raise ParameterError("covariance", given, "exactly one of covariance and factor")
        for name in ("covariance", "factor"):
            if getattr(self, name) is not None:
                self._keep(name, self._checked(name, getattr(self, name)))
        object.__setattr__(self, "initial_discriminator", self._checked_start(self.initial_discriminator))
        if self.initial_discriminator == "equilibrium":
            for name in ("linear_penalty", "quadratic_penalty"):
                if getattr(self, name) == 0:
                    raise ParameterError(name, 0.0, "a number > 0, since initial_discriminator is 'equilibrium'")

    def _keep(self, name: str, array: Array) -> None:
        array.setflags(write=False)
        object.__setattr__(self, name, array)

    def _checked(self, name: str, value: Any) -> Array:
        """An array-valued parameter in its full shape."""
        size = len(self.target_mean)
        if name in ("target_mean", "mean"):
            return as_vector(name, value, size)
        if name in ("target_covariance", "covariance"):
            return as_covariance(name, value, size)
        array = real_array(name, value)
        array = array.reshape(1, 1) if array.ndim == 0 else array
        array = array[None] if array.ndim == 1 and size == 1 else array
        if array.ndim != 2 or array.shape[0] != size or array.shape[1] == 0:
            raise ParameterError(name, f"shape {array.shape}", f"shape ({size}, r) with r >= 1")
        return array

    def _checked_start(self, value: Any) -> Any:
        if isinstance(value, str):
            if value not in STARTS:
                raise unknown_name("initial_discriminator", value, STARTS)
            return value
        if not isinstance(value, list | tuple) or len(value) != 2:
            expected = f"{', '.join(map(repr, STARTS))} or a pair (w, W)"
            raise ParameterError("initial_discriminator", value, expected)
        size = len(self.target_mean)
        linear = as_vector("initial_discriminator", value[0], size)
        quadratic = as_symmetric("initial_discriminator", value[1], size)
        return tuple(linear.tolist()), tuple(map(tuple, quadratic.tolist()))

    @property
    def axes(self) -> int:
        """Dimension d of the space that the laws live in."""
        return len(self.target_mean)

    @property
    def initial_factor(self) -> Array:
        """L at the start, shape `[d, r]`."""
        own: Array = self.factor
        return factor_of(self.covariance) if own is None else own

    @property
    def rank(self) -> int:
        """Rank of the generator's covariance, which no step changes."""
        return lq_run.rank_of(self.initial_factor)

    @property
    def initial(self) -> LqState:
        """The state at the start."""
        return self.state_at(self.mean, self.initial_factor)

    def state_at(self, mean: Array, factor: Array) -> LqState:
        """A law with the discriminator that the game starts with."""
        if self.initial_discriminator == "zero":
            return LqState(mean, factor, np.zeros(self.axes), np.zeros((self.axes, self.axes)))
        if self.initial_discriminator == "equilibrium":
            moment = factor @ factor.T + np.outer(mean, mean)
            wanted = self.target_covariance + np.outer(self.target_mean, self.target_mean)
            quadratic = (wanted - moment) / (2 * self.quadratic_penalty)
            return LqState(mean, factor, (self.target_mean - mean) / self.linear_penalty, quadratic)
        return LqState(mean, factor, *self.initial_discriminator)

    def field(self, columns: int | None = None) -> Field:
        """The flow at speeds 1, for a factor with as many columns as the generator's unless said otherwise."""
        return Field(
            self.target_mean,
            self.target_covariance,
            self.linear_penalty,
            self.quadratic_penalty,
            self.initial_factor.shape[1] if columns is None else columns,
        )

    def replace(self, **changes: Any) -> "QuadraticGAN":
        """The same game with some parameters changed; a new covariance takes the place of a factor, and vice versa."""
        for name, other in (("covariance", "factor"), ("factor", "covariance")):
            if changes.get(name) is not None and other not in changes:
                changes = {**changes, other: None}
        return super().replace(**changes)

    def check_varied(self, name: str, values: Any) -> Array:
        array = real_array(name, values)
        if array.ndim == 0 or len(array) == 0:
            raise ParameterError(name, values, "an array with a leading axis of cells")
        return np.stack([self._checked(name, row) for row in array])

    def check_cells(self, over: Mapping[str, Any]) -> tuple[dict[str, Array], int]:
        if "covariance" in over and "factor" in over:
            raise ParameterError("over", sorted(over), "one of covariance and factor")
        checked, cells = super().check_cells(over)
        if self.initial_discriminator == "equilibrium":
            for name in ("critic_penalty", "linear_penalty", "quadratic_penalty"):
                if name in checked:
                    numbers_in(name, checked[name], above=0)
        return checked, cells

    def column(self, request: Request, name: str) -> Array:
        follows = name in self.followed and name not in request.over and self.followers[name] in request.over
        return super().column(request, self.followers[name] if follows else name)

    def trajectories(self, request: Request) -> dict[str, Variable]:
        return lq_run.trajectories(self, request)

    def pair(self) -> LqPair:
        return LqPair(self)

    def states(self, run: Any) -> tuple[Array, Array]:
        count = run.sizes["time"]
        x = [run[name].values.reshape(count, -1) for name in ("mean", "factor")]
        y = [run[name].values.reshape(count, -1) for name in ("linear", "quadratic")]
        return np.concatenate(x, axis=1), np.concatenate(y, axis=1)

    def tracked_runs(self, run: Any) -> Tracked:
        mean, w2 = each_run(run, "mean", "time", "axis"), each_run(run, "w2", "time")
        variances = np.einsum("ctaa->cta", each_run(run, "covariance", "time", "axis", "other_axis"))
        others = {"factor": ("axis", "column"), "linear": ("axis",), "quadratic": ("axis", "other_axis")}
        with np.errstate(over="ignore", invalid="ignore"):
            squares = np.sum(mean**2, axis=-1)
            for name, dims in others.items():
                squares = squares + np.sum(each_run(run, name, "time", *dims).reshape(*w2.shape, -1) ** 2, axis=-1)
        reach = _NINETY * np.sqrt(np.maximum(variances, 0.0))
        # an orbit is narrow only for a while
        widest = np.max(np.sum(variances[:, -max(1, w2.shape[1] // 4) :], axis=-1), axis=1)
        varied = varied_runs(run)
        targets = varied.get("target_covariance", self.target_covariance[None])
        deviation = np.broadcast_to(np.sqrt(np.einsum("caa->c", targets)), len(w2))
        reference = np.where(deviation > 0, deviation, np.where(w2[:, 0] != 0, w2[:, 0], 1.0))
        missing = self._missing(varied, targets, widest)
        coordinates = np.concatenate([mean - reach, mean, mean + reach], axis=-1)
        algebraic = np.zeros(len(w2), bool)
        return Tracked(w2, np.sqrt(squares), coordinates, reference, np.array(missing, object), algebraic=algebraic)

    def rotation(self, run: Any) -> float:
        del run
        return lq_prediction.period(self)

    def _missing(self, varied: Mapping[str, Array], targets: Array, variances: Array) -> list[str | None]:
        """Why generators that end with these total variances leave part of their targets out, shape `[runs]`."""
        if "covariance" in varied:
            ranks = [lq_run.rank_of(factor_of(own)) for own in varied["covariance"]]
        else:
            ranks = [lq_run.rank_of(own) for own in varied.get("factor", [self.initial_factor])]
        wanted = [factor_of(target) for target in targets]
        known = ranks, [lq_run.rank_of(own) for own in wanted], [np.sum(own**2) for own in wanted], variances
        rows = zip(*(np.broadcast_to(values, len(variances)).tolist() for values in known), strict=True)
        return [_left_out(*row) for row in rows]

    def predict(
        self, level: str | None = None, rule: str | None = None, step_size: float | None = None, **options: Any
    ) -> Prediction:
        del options
        return lq_prediction.predict(self, level, rule, step_size)

    def predict_cells(
        self, over: Mapping[str, Any], level: str | None, rule: str | None, step_size: float | None, **options: Any
    ) -> Predictions:
        del options
        return lq_prediction.predict_cells(self, over, level, rule, step_size)

    def largest_step(self, level: str, **options: Any) -> float:
        """Largest stable step of a scheme at the equilibrium closest to the target; see `gs.largest_step`."""
        state = lq_prediction.best_equilibrium(self)
        if state is None:
            raise NotApplicable("with quadratic_penalty 0 a generator of lower rank than the target never rests")
        return lq_prediction.largest_step(self, state, level, **options)

    def smooth_field(
        self, level: str | None = None, rule: str | None = None, step_size: float | None = None, start: Any = None
    ) -> SmoothField:
        from ganscope.games.dualflow.branch import lq_field

        return lq_field(self, level, rule, step_size, start)

    def linear_spectrum(self, at: Any = None, rule: str | None = None, **options: Any) -> Spectrum:
        """Eigenvalues of the flow, or multipliers of a scheme, at an equilibrium.

        Rotations of the columns of the factor change nothing and show as neutral values.

        Args:
            at: An `LqState`, or a tuple (mean, factor, linear, quadratic); None for the equilibrium with the rank of
                the generator that is closest to the target.
            rule: None or "flow", or the name of a scheme.
            options: `step_size` (0.02), `order`, `discriminator_steps` of a scheme.

        Raises:
            NotApplicable: If there is no equilibrium of that rank.
            ParameterError: If an option is unknown or out of range.
        """
        if at is None:
            found = lq_prediction.best_equilibrium(self)
            if found is None:
                raise NotApplicable("with quadratic_penalty 0 a generator of lower rank than the target never rests")
            at = found
        elif not isinstance(at, LqState):
            if not isinstance(at, list | tuple) or len(at) != 4:
                raise ParameterError("at", at, "a state (mean, factor, linear, quadratic)")
            size = self.axes
            at = LqState(
                as_vector("mean", at[0], size),
                self._checked("factor", at[1]),
                as_vector("linear", at[2], size),
                as_symmetric("quadratic", at[3], size),
            )
        return lq_prediction.spectrum_at(self, at, rule, **options)


def _left_out(rank: int, full: int, total: float, variance: float) -> str | None:
    """What a law of this rank and total variance lacks of a target of rank `full` and total variance `total`."""
    if total == 0:
        return None
    if variance < _DISPERSED * total:
        return f"the generator's total variance is {variance / total:.3g} of the target's"
    return f"the generator's covariance has rank {rank}, the target's {full}" if rank < full else None
