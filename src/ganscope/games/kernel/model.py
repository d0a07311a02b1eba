r"""GAN with a kernel discriminator: gradient descent-ascent of points against a function.

    payoff   sum_i p_i f(x_i) - sum_j q_j f(z_j) - (lambda / 2) |f|_H^2

which the discriminator f, an element of the space H of the kernel, ascends with rate discriminator_lr, and the
generated points z_j descend with rate generator_lr. Per iteration

    f    moves by   discriminator_lr (sum_i p_i K(x_i, .) - sum_j q_j K(z_j, .) - lambda f)
    z_j  moves by   h_j grad f(z_j),    h_j = generator_lr q_j (weighting "loss") or generator_lr ("unit")

Time is discriminator_lr * iterations.

References:
    Becker, Pandit, Rangan, Fletcher. Local Convergence of Gradient Descent-Ascent for Training GANs. 2023.
    Becker, Pandit, Rangan, Fletcher. Instability and Local Minima in GAN Training with Kernel Discriminators. 2022.
"""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from ganscope.core.checks import integer, number, numbers_in, one_length, one_of, point_array, real_array
from ganscope.core.errors import ParameterError, unknown_name
from ganscope.core.game import Game, Level, Request, Variable
from ganscope.core.outcome import Prediction, Predictions, Spectrum, Verdict, Verdicts
from ganscope.core.smooth import SmoothField
from ganscope.games.kernel import kernels, simulation
from ganscope.games.kernel.kernels import Kernel

Array = npt.NDArray[np.float64]

WEIGHTINGS = ("loss", "unit")
STARTS = ("zero", "equilibrium")
REPRESENTATIONS = ("auto", "history", "fourier_grid", "random_features")
_MOST_FEATURES = 10**7
_RANGES: dict[str, dict[str, Any]] = {
    "regularization": {"at_least": 0},
    "generator_lr": {"above": 0},
    "discriminator_lr": {"above": 0},
    "bandwidth": {"above": 0},
}


class MassWarning(UserWarning):
    """The masses of true and generated points have different sums."""


@dataclass(frozen=True, eq=False)
class KernelGAN(Game):
    """The GAN with a kernel discriminator of Becker, Pandit, Rangan and Fletcher (2022, 2023).

    `predict` speaks about `alternating` updates unless `rule` says otherwise; so does `simulate`. `horizon` is in units
    of time, discriminator_lr * iterations.

    Args:
        real_points: True points, shape `[N, d]`; a list of N numbers is N points on a line.
        generated_points: Where the generated points start, shape `[M, d]`.
        real_mass: Masses of the true points, shape `[N]`, > 0; None for 1 / N each.
        generated_mass: Masses of the generated points, shape `[M]`, > 0; None for 1 / M each. A warning tells when the
            sums of both differ by more than 1e-9.
        kernel: A kernel such as `RBF(1.0)`, or a table `{"name": "RBF", "bandwidth": 1.0}`.
        regularization: Weight lambda >= 0 of half the squared norm of the discriminator; theory needs > 0.
        generator_lr: Learning rate of the generated points, > 0.
        discriminator_lr: Learning rate of the discriminator, > 0.
        weighting: `loss`: a generated point moves in proportion to its mass, as the payoff says; `unit`: all alike.
        initial_discriminator: `zero`, or `equilibrium`: the best one for the initial generated points.
        representation: How simulations hold the discriminator: `fourier_grid` (Gaussian kernels, d <= 3), `history`
            (every kernel and dimension), `random_features` (approximate); `auto` takes the grid for Gaussian kernels in
            d <= 2 while it needs at most 4000 features, otherwise the history.
        features: Number of random features, even.

    Raises:
        ParameterError: If a parameter is out of its range.
    """

    model: ClassVar[str] = "kernel"
    levels: ClassVar[Mapping[str, Level]] = simulation.LEVELS
    prediction_options: ClassVar[tuple[str, ...]] = ("momentum",)

    real_points: Any
    generated_points: Any
    real_mass: Any = None
    generated_mass: Any = None
    kernel: Any = field(default_factory=lambda: kernels.RBF(1.0))
    regularization: float = 1.0
    generator_lr: float = 0.5
    discriminator_lr: float = 0.2
    weighting: str = "loss"
    initial_discriminator: str = "zero"
    representation: str = "auto"
    features: int = 1024

    def __post_init__(self) -> None:
        set_field = object.__setattr__
        for name in ("real_points", "generated_points"):
            set_field(self, name, point_array(name, getattr(self, name)))
        axes = self.real_points.shape[1]
        if self.generated_points.shape[1] != axes:
            shapes = f"d = {self.generated_points.shape[1]} columns"
            raise ParameterError("generated_points", shapes, f"d = {axes} columns, like real_points")
        for name, points in (("real_mass", self.real_points), ("generated_mass", self.generated_points)):
            given = getattr(self, name)
            mass = np.full(len(points), 1.0 / len(points)) if given is None else np.atleast_1d(given)
            set_field(self, name, _frozen(numbers_in(name, mass, shape=(len(points),), above=0)))
        if isinstance(self.kernel, Mapping):
            set_field(self, "kernel", kernels.kernel_from_dict(self.kernel))
        if not isinstance(self.kernel, Kernel):
            raise ParameterError("kernel", self.kernel, f"one of {', '.join(kernels.KERNELS)}, for example RBF(1.0)")
        for name in ("regularization", "generator_lr", "discriminator_lr"):
            set_field(self, name, number(name, getattr(self, name), **_RANGES[name]))
        one_of("weighting", self.weighting, WEIGHTINGS)
        one_of("initial_discriminator", self.initial_discriminator, STARTS)
        if self.initial_discriminator == "equilibrium":
            self.require_regularization()
        one_of("representation", self.representation, REPRESENTATIONS)
        features = integer("features", self.features, at_least=2)
        if features % 2 or features > _MOST_FEATURES:
            expected = f"an even number (a sine and a cosine per frequency) of at most {_MOST_FEATURES:g}"
            raise ParameterError("features", features, expected)
        set_field(self, "features", features)
        simulation.check_representation(self)
        real, generated = self.real_mass.sum(), self.generated_mass.sum()
        if abs(real - generated) > 1e-9:
            warnings.warn(
                f"real_mass sums to {real:.10g} and generated_mass to {generated:.10g}: "
                "the points cannot match the data exactly",
                MassWarning,
                stacklevel=3,
            )

    def require_regularization(self) -> None:
        """Refuse regularization = 0, which has no unique equilibrium.

        Raises:
            ParameterError: If it is 0.
        """
        if self.regularization == 0:
            raise ParameterError("regularization", 0.0, "a number > 0 here (0 has no unique equilibrium)")

    @property
    def axes(self) -> int:
        """Dimension d of the space that the points live in."""
        return int(self.real_points.shape[1])

    @property
    def speeds(self) -> Array:
        """Step h_j of every generated point along the gradient of the discriminator, shape `[M]`."""
        return np.asarray(self.generator_lr * self.shares)

    @property
    def shares(self) -> Array:
        """How a generated point's speed depends on its mass: the mass for weighting "loss", 1 for "unit"; `[M]`."""
        mass: Array = self.generated_mass
        return mass if self.weighting == "loss" else np.ones(len(mass))

    @property
    def forgetting(self) -> float:
        """The number a = discriminator_lr * regularization, the share of the discriminator lost in an iteration."""
        return self.discriminator_lr * self.regularization

    @property
    def bandwidth(self) -> float:
        """The kernel's bandwidth, which `replace` and batches may vary."""
        return float(self.kernel.bandwidth)

    def replace(self, **changes: Any) -> "KernelGAN":
        """The same game with some parameters changed; `bandwidth` stands for that of its kernel."""
        if "bandwidth" in changes:
            changes = dict(changes)
            bandwidth = number("bandwidth", changes.pop("bandwidth"), above=0)
            changes["kernel"] = kernels.with_bandwidth(changes.get("kernel", self.kernel), bandwidth)
        for points, mass in (("real_points", "real_mass"), ("generated_points", "generated_mass")):
            equal = np.all(getattr(self, mass) == 1.0 / len(getattr(self, mass)))
            if points in changes and mass not in changes and equal:
                changes = {**changes, mass: None}  # as many equal masses as there are points now
        if {"real_mass", "generated_mass"} & set(changes):
            return super().replace(**changes)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", MassWarning)  # the masses are those that were warned about before
            return super().replace(**changes)

    def varied_parameters(self) -> tuple[str, ...]:
        return (*_RANGES, "generated_points")

    def check_cells(self, over: Mapping[str, Any]) -> tuple[dict[str, Array], int]:
        checked: dict[str, Array] = {}
        for name, values in over.items():
            if name == "generated_points":
                array = real_array(name, values)
                if array.ndim != 3 or array.shape[1:] != self.generated_points.shape:
                    raise ParameterError(name, f"shape {array.shape}", f"(cells, *{self.generated_points.shape})")
            elif name in _RANGES:
                array = numbers_in(name, values, **_RANGES[name])
                if array.ndim != 1:
                    raise ParameterError(name, values, "a one-dimensional array, one value per cell")
            else:
                raise unknown_name("over", name, self.varied_parameters())
            checked[name] = array
        if "regularization" in checked and self.initial_discriminator == "equilibrium":
            numbers_in("regularization", over["regularization"], above=0)
        return checked, one_length(checked)

    def trajectories(self, request: Request) -> dict[str, Variable]:
        return simulation.trajectories(self, request)

    def predict(
        self, level: str | None = None, rule: str | None = None, step_size: float | None = None, **options: Any
    ) -> Prediction:
        from ganscope.games.kernel import prediction

        return prediction.predict(self, level, rule, step_size, **options)

    def predict_cells(
        self, over: Mapping[str, Any], level: str | None, rule: str | None, step_size: float | None, **options: Any
    ) -> Predictions | None:
        from ganscope.games.kernel import prediction

        return prediction.predict_cells(self, over, level, rule, step_size, **options)

    def classify(self, run: Any, **options: Any) -> Verdict:
        del options  # there are none
        from ganscope.games.kernel import verdict

        return verdict.classify(self, run)

    def classify_cells(self, run: Any, **options: Any) -> Verdicts:
        del options  # there are none
        from ganscope.games.kernel import verdict

        return verdict.classify_cells(self, run)

    def smooth_field(
        self, level: str | None = None, rule: str | None = None, step_size: float | None = None, start: Any = None
    ) -> SmoothField:
        from ganscope.games.kernel.branch import smooth_field

        return smooth_field(self, level, rule, step_size, start)

    def linear_spectrum(self, at: Any = None, rule: str | None = None, **options: Any) -> Spectrum:
        from ganscope.games.kernel import prediction

        return prediction.spectrum(self, at, rule, **options)


def _frozen(array: Array) -> Array:
    array.flags.writeable = False
    return array
