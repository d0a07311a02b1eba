r"""GAN whose generator is a law and whose discriminator is a sum of features: kernel or IPM GAN in Wasserstein space.

The generator is a law mu of N particles x_i, the discriminator D(x) = a . phi(x), the real law nu. In the metrics of
Wasserstein and of the coefficients,

    x_i' = generator_lr (grad D(x_i) - ridge (x_i - center))
    a'   = discriminator_lr (Phi(nu) - Phi(mu) - critic_penalty a),      Phi(mu) = mean of phi under mu

With a fast discriminator a = (Phi(nu) - Phi(mu)) / critic_penalty at all times, and the generator follows the gradient
flow of MMD^2 / (2 critic_penalty).

References:
    Turinici. Convergence dynamics of generative adversarial networks: the dual metric flows. 2020.
    Arbel, Korba, Salim, Gretton. Maximum mean discrepancy gradient flow. NeurIPS 2019.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from ganscope.core.checks import numbers_in, real_array
from ganscope.core.errors import NotApplicable, ParameterError
from ganscope.core.game import Level, Request, Variable
from ganscope.core.outcome import Prediction, Spectrum
from ganscope.games.dualflow.failures import DegenerateQuantiles
from ganscope.games.dualflow.feature import checks
from ganscope.games.dualflow.feature import maps as feature_maps
from ganscope.games.dualflow.feature.laws import is_law, law_to_dict
from ganscope.games.dualflow.feature.maps import FeatureMap
from ganscope.games.dualflow.game import SPEEDS, DualGame, Tracked
from ganscope.games.dualflow.levels import dual_levels
from ganscope.games.dualflow.modes import Modes, modes_of
from ganscope.games.dualflow.pair import Pair
from ganscope.games.dualflow.theory.affine import Linear
from ganscope.games.dualflow.theory.rates import Constants, Suprema
from ganscope.games.kernel.kernels import RBF, Kernel, RBFSum

Array = npt.NDArray[np.float64]

_WITH_BANDWIDTH = ("fourier", "random", "history")
_WITHOUT_ENTROPY = ("history", "energy")
_HALF_PERIOD, _NODES, _RANDOM_FEATURES = 8.0, 641, 512
# Domain of hat functions, relative to the farthest point, where the usual one is too small.
_ROOM = 1.5
# Bandwidths between points and their images on the circle that keep the kernel what it is.
_PADDING = 6.0


@dataclass(frozen=True, eq=False)
class FeatureGAN(DualGame):
    """A GAN in Wasserstein space with a discriminator that is linear in features: kernel GAN, IPM GAN, Sobolev GAN.

    `predict` speaks about the flow unless `level` says otherwise.

    Args:
        real_points: Real points, shape `[M, d]`; a list of numbers is points on a line. On a line also a frozen
            distribution of `scipy.stats` or a `Mixture`, which stands for as many midpoint quantiles as there are
            generated points.
        generated_points: Where the particles start, shape `[N, d]`.
        features: `fourier` (Gaussian kernel, on a line), `sobolev1d` (energy distance by hat functions, on a line),
            `linear`, `quadratic`, `random` (Gaussian kernel, approximate), `history` (any kernel, exact, dear),
            `energy` (energy distance, exact: on a line and with `fast` by ranks, so that points that coincide may
            separate; kernel -|x - y| / 2 on a line, -|x - y| in more dimensions; without `fast` biased by 1 / N), or an
            array of angular frequencies, shape `[J, d]`.
        feature_count: Harmonics of `fourier` (None: as many as the bandwidth needs), frequencies of `random` (512).
        bandwidth: Of the Gaussian kernel, > 0; a list is the sum of several kernels.
        half_period: Half the circumference of the circle of `fourier`, or end of the domain of `sobolev1d`; None is 8,
            or more if the real points and the bandwidth need more; a warning tells when the start needs still more.
        nodes: Of `sobolev1d`, at least 3; None is 641.
        kernel: Of `history`, such as `Matern32(1.0)`; None is the Gaussian of `bandwidth`.
        keep_tolerance: Weights of the history below this are dropped.
        critic_penalty: Weight rho >= 0 of |a|^2 / 2; the fast limit needs > 0.
        ridge: Weight >= 0 of |x - center|^2 / 2, which confines the generator.
        center: Where the ridge is centred, a number or shape `[d]`.
        entropy: Weight >= 0 of the generator's entropy; proximal schemes and the flow need d = 1 and points that are
            all different, explicit schemes add noise.
        generator_lr: Speed of the generator, > 0.
        discriminator_lr: Speed of the discriminator, > 0.
        initial_discriminator: `zero`, `equilibrium` (the best one for the first points), or coefficients `[p]`.
        fast: Whether the discriminator is at its optimum at all times: the flow of MMD^2, or of the energy distance.
        bandwidth_schedule: `(start, end)`: the bandwidth goes geometrically from one to the other over the run, and
            the generator's speed is multiplied by max(1, bandwidth)^2.
        clip: Largest coefficient of the discriminator (weight clipping), > 0; None is none.
        modes: Centres of the target's modes, shape `[m, d]`, for occupancy and coverage; None finds them.
        mode_radius: Distance up to which a particle belongs to a mode, > 0; None is three standard deviations.
        feature_seed: Of the random frequencies.

    Raises:
        ParameterError: If a parameter is out of its range, or features do not fit the dimension.

    References:
        Turinici. Convergence dynamics of generative adversarial networks: the dual metric flows. 2020.
        Arbel, Korba, Salim, Gretton. Maximum mean discrepancy gradient flow. NeurIPS 2019.
    """

    model: ClassVar[str] = "feature"
    levels: ClassVar[Mapping[str, Level]] = dual_levels(midpoint=False, stochastic=True)
    numeric: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        **SPEEDS,
        "critic_penalty": {"at_least": 0},
        "ridge": {"at_least": 0},
        "entropy": {"at_least": 0},
    }

    real_points: Any
    generated_points: Any
    features: Any = "fourier"
    feature_count: int | None = None
    bandwidth: Any = 1.0
    half_period: float | None = None
    nodes: int | None = None
    kernel: Any = None
    keep_tolerance: float = 1e-12
    critic_penalty: float = 1.0
    ridge: float = 0.0
    center: Any = 0.0
    entropy: float = 0.0
    generator_lr: float = 1.0
    discriminator_lr: float = 1.0
    initial_discriminator: Any = "zero"
    fast: bool = False
    bandwidth_schedule: Any = None
    clip: float | None = None
    modes: Any = None
    mode_radius: float | None = None
    feature_seed: int = 0

    def __post_init__(self) -> None:
        self.check_numbers()
        checks.check(self)

    def require_penalty(self, what: str) -> None:
        """Refuse critic_penalty = 0, for which there is no best discriminator.

        Raises:
            ParameterError: If it is 0.
        """
        if self.critic_penalty == 0:
            raise ParameterError("critic_penalty", 0.0, f"a number > 0 with {what}")

    @property
    def starts_at_best(self) -> bool:
        """Whether the discriminator starts as the best one for the first points."""
        return isinstance(self.initial_discriminator, str) and self.initial_discriminator == checks.STARTS[1]

    @property
    def name(self) -> str:
        """Name of the features; `frequencies` for given ones."""
        return self.features if isinstance(self.features, str) else "frequencies"

    @property
    def axes(self) -> int:
        """Dimension d of the points."""
        return int(self.generated_points.shape[1])

    @cached_property
    def real(self) -> Array:
        """Real points, shape `[M, d]`: the given ones, or midpoint quantiles of the distribution."""
        if isinstance(self.real_points, np.ndarray):
            return self.real_points
        count = len(self.generated_points)
        quantiles: Array = self.real_points.ppf((np.arange(count) + 0.5) / count)[:, None]
        return quantiles

    @property
    def bandwidths(self) -> Array:
        """All bandwidths of the kernel, shape `[parts]`."""
        return np.atleast_1d(np.asarray(self.bandwidth, np.float64))

    @property
    def spread(self) -> float:
        """Largest distance of two points along an axis, real or generated."""
        everything = np.concatenate([self.real, self.generated_points])
        return float(np.ptp(everything))

    @cached_property
    def period(self) -> float:
        """The half period in force."""
        if self.half_period is not None:
            return self.half_period
        if self.name == "sobolev1d":
            largest = float(np.abs(self.real).max())
            return _HALF_PERIOD if largest < _HALF_PERIOD else _ROOM * largest
        widest = float(max(self.bandwidth_schedule or self.bandwidths))
        needed = float(np.ptp(self.real)) + _PADDING * widest
        return _HALF_PERIOD if needed < 2 * _HALF_PERIOD else needed

    @cached_property
    def map(self) -> FeatureMap | None:
        """The feature map; None for a history of kernels, and for the energy distance."""
        if self.name == "linear" or self.name == "quadratic":
            return feature_maps.polynomial(self.axes, self.name == "quadratic")
        if self.name == "fourier":
            smallest = float(min([*self.bandwidths, *(self.bandwidth_schedule or ())]))
            count = self.feature_count or feature_maps.harmonics_needed(smallest, self.period)
            if count > checks.MOST_FEATURES:
                raise ParameterError("bandwidth", self.bandwidth, f"larger: it needs {count} harmonics")
            return feature_maps.fourier(self.bandwidths, self.period, count)
        if self.name == "sobolev1d":
            return feature_maps.sobolev(self.period, self.nodes or _NODES)
        if self.name == "random":
            count = self.feature_count or _RANDOM_FEATURES
            frequencies = feature_maps.random_frequencies(self.axes, self.bandwidths, count, self.feature_seed)
            return feature_maps.waves(frequencies, len(self.bandwidths))
        return feature_maps.waves(self.features) if self.name == "frequencies" else None

    @cached_property
    def metric(self) -> Kernel | None:
        """The kernel that the features stand for, divided by its value at 0; None where it is none of the library's."""
        if self.name == "history" and self.kernel is not None:
            return self.kernel  # type: ignore[no-any-return]
        if self.name in _WITH_BANDWIDTH:
            widths = self.bandwidths
            return RBF(float(widths[0])) if len(widths) == 1 else RBFSum(tuple(widths))
        return None

    @property
    def height(self) -> float:
        """Value of the kernel at distance 0, by which `metric` is to be multiplied."""
        return float(len(self.bandwidths)) if self.name in _WITH_BANDWIDTH and self.kernel is None else 1.0

    @property
    def limits(self) -> tuple[float, float]:
        """Coordinates between which the features are what they stand for."""
        if self.name == "sobolev1d":
            return -self.period, self.period
        if self.name != "fourier":
            return -np.inf, np.inf
        room = 2 * self.period - _PADDING * max(self.bandwidth_schedule or self.bandwidths)
        return float(self.real.max()) - room, float(self.real.min()) + room

    @property
    def domain(self) -> tuple[float, float]:
        """Coordinates beyond which a run ends: off the nodes, or a whole circle away from a real point."""
        if self.name != "fourier":
            return self.limits
        around = 2 * self.period
        return float(self.real.max()) - around, float(self.real.min()) + around

    @cached_property
    def target_modes(self) -> Modes:
        """Modes of the target, for occupancy and coverage."""
        return modes_of(self.real, self.modes, self.mode_radius, length=float(self.bandwidths.max()))

    def require_distinct(self) -> None:
        """Refuse points that coincide, whose entropy is infinite.

        Raises:
            DegenerateQuantiles: If two generated points are equal.
        """
        if len(np.unique(self.generated_points)) < len(self.generated_points):
            raise DegenerateQuantiles("generated_points coincide: entropy needs points that are all different")

    def varied_parameters(self) -> tuple[str, ...]:
        width = ("bandwidth",) if self.name in _WITH_BANDWIDTH else ()
        numeric = (name for name in self.numeric if name != "entropy" or self.name not in _WITHOUT_ENTROPY)
        return (*numeric, *width, "generated_points")

    def check_cells(self, over: Mapping[str, Any]) -> tuple[dict[str, Array], int]:
        checked, cells = super().check_cells(over)
        if "critic_penalty" in checked and (self.fast or self.starts_at_best):
            numbers_in("critic_penalty", over["critic_penalty"], above=0)
        return checked, cells

    def check_varied(self, name: str, values: Any) -> Array:
        if name == "bandwidth":
            array = numbers_in(name, values, above=0)
            if array.ndim != 1:
                raise ParameterError(name, values, "a one-dimensional array, one value per cell")
            return array
        array = real_array(name, values)
        if array.ndim != 3 or array.shape[1:] != self.generated_points.shape:
            raise ParameterError(name, f"shape {array.shape}", f"(cells, *{self.generated_points.shape})")
        return array

    def encode(self, name: str, value: Any) -> Any:
        return law_to_dict(value) if is_law(value) else super().encode(name, value)

    def pair(self) -> Pair:
        from ganscope.games.dualflow.feature import pair as feature_pair

        return feature_pair.pair_of(self)

    def states(self, run: Any) -> tuple[Array, Array]:
        if "discriminator" not in run or self.map is None:
            raise NotApplicable(f"features = {self.name!r} record no coefficients of the discriminator")
        points = run.generated_points.transpose("time", "point", "axis").values
        # cells of a batch are as wide as the widest of them
        return points, run.discriminator.transpose("time", "feature").values[:, : self.map.size]

    def linearisation(self) -> Linear:
        """The flow beside the matched data, in the coordinates of its modes.

        Raises:
            NotApplicable: If that is no equilibrium or has no linearisation.
        """
        from ganscope.games.dualflow.feature.linearisation import matched_modes

        return matched_modes(self)

    def constants(self) -> Constants:
        """Moduli of convexity and Lipschitz constants that hold at all times.

        Raises:
            NotApplicable: If the features are not bounded, or there is no penalty.
        """
        from ganscope.games.dualflow.feature.linearisation import constants

        return constants(self)

    def suprema(self, horizon: float) -> Suprema:
        """Largest speeds and accelerations of both players along the flow."""
        from ganscope.games.dualflow.feature.linearisation import suprema

        return suprema(self, horizon)

    def tracked_runs(self, run: Any) -> Tracked:
        from ganscope.games.dualflow.feature import record

        return record.tracked_runs(self, run)

    def trajectories(self, request: Request) -> dict[str, Variable]:
        from ganscope.games.dualflow.feature import simulation as feature_simulation

        return feature_simulation.trajectories(self, request)

    def predict(
        self, level: str | None = None, rule: str | None = None, step_size: float | None = None, **options: Any
    ) -> Prediction:
        from ganscope.games.dualflow.feature import prediction as feature_prediction

        return feature_prediction.predict(self, level, rule, step_size, **options)

    def linear_spectrum(self, at: Any = None, rule: str | None = None, **options: Any) -> Spectrum:
        from ganscope.games.dualflow.feature import prediction as feature_prediction

        return feature_prediction.spectrum(self, at, rule, **options)

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.stream_name() == other.stream_name()

    __hash__ = DualGame.__hash__
