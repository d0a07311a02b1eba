r"""GAN training as particles: a generator of finite pool, seen through its outputs and its kernel.

The generator's outputs x_1 .. x_N climb the slope g_i of the discriminator at their places, coupled by the kernel of
the network that makes them. A wide generator with many latent dimensions has only two kernel numbers, one for a
particle with itself and one for two different particles, hence two mobilities per iteration:

    x_i <- x_i + relative_mobility (g_i - mean g) + mean_mobility mean g

    relative_mobility = generator_lr (same_kernel - cross_kernel) / N
    mean_mobility     = generator_lr (same_kernel + (N - 1) cross_kernel) / N
    coupling          = mean_mobility / relative_mobility

The discriminator, a network or a kernel, ascends  E_real f(D) + E_particles f(-D) - penalty  by plain gradient steps on
minibatches, with f(t) = t (loss "wgan") or f(t) = -log(1 + exp(-t)) ("gan"). Time counts iterations.

References:
    Durr, Mroueh, Tu, Wang. Effective dynamics of generative adversarial networks. Phys. Rev. X 13, 041004 (2023).
    Jacot, Gabriel, Hongler. Neural tangent kernel. NeurIPS 2018.
    Mescheder, Geiger, Nowozin. Which training methods for GANs do actually converge? ICML 2018.
"""

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from ganscope.core.checks import integer, number, numbers_in, one_length, one_of, point_array, real_array
from ganscope.core.errors import ParameterError, unknown_name
from ganscope.core.game import Game, Level, Request, Variable
from ganscope.core.outcome import Prediction, Spectrum, Verdict, Verdicts
from ganscope.games.kernel.kernels import KERNELS, Kernel, kernel_from_dict
from ganscope.games.particle.cloud import levels
from ganscope.games.particle.cloud.kernel_matrix import kernel_matrix, two_numbers
from ganscope.games.particle.cloud.target import LAYOUTS, Target, clusters, grid, ring, separation
from ganscope.games.particle.coupling import mobilities

Array = npt.NDArray[np.float64]

# Activations of a discriminator, with the weight variance that each is used with when none is given.
ACTIVATIONS = {"relu": 2.0, "tanh": 1.5, "sin": 1.0, "softplus": 2.0, "erf": 1.5}
PENALTIES = ("none", "r1", "r2", "r12", "uniform", "gp1")
LOSSES = ("wgan", "gan")
_RANGES: dict[str, dict[str, Any]] = {
    "coupling": {"above": 0},
    "same_kernel": {"above": 0},
    "cross_kernel": {},
    "radius": {"above": 0},
    "mode_width": {"at_least": 0},
    "relative_step": {"above": 0},
    "generator_lr": {"above": 0},
    "discriminator_lr": {"above": 0},
    "gradient_penalty": {"at_least": 0},
    "regularization": {"at_least": 0},
    "initial_std": {"above": 0},
    "weight_variance": {"above": 0},
    "bias_variance": {"at_least": 0},
}
_COUNTS: dict[str, dict[str, Any]] = {
    name: {"at_least": 1}
    for name in ("discriminator_steps", "discriminator_width", "discriminator_depth", "real_batch", "features")
}
_DEFAULT_STEP, _DEFAULT_KERNEL = 0.01, (1.0, 0.2)


class ModeWidthWarning(UserWarning):
    """The modes of a target are so wide that they merge."""


class PenaltyWarning(UserWarning):
    """A gradient penalty that does not damp the equilibrium."""


@dataclass(frozen=True, eq=False)
class ParticleGAN(Game):
    """Particles coupled by a generator's kernel, against a network or a kernel that learns from samples.

    `predict` speaks about level "particles" with alternating updates unless told otherwise. `horizon` and
    `iterations` are the same: time counts iterations of the generator.

    Args:
        particles: Number N of particles, the generator's pool of latents, >= 2.
        coupling: Coupling number mean_mobility / relative_mobility, > 0; excludes the kernel numbers.
        same_kernel: Kernel of a particle with itself, > 0 (1 when nothing says the coupling).
        cross_kernel: Kernel of two particles, between -same_kernel / (N - 1) and same_kernel (0.2).
        modes: Number of Gaussian modes of the target, or their centres, shape `[M, d]`.
        radius: Radius of the ring, or half the side of the grid.
        mode_width: Standard deviation of every mode.
        real_points: A target of your own instead of modes, shape `[S, d]`; order parameters then count the classes of
            `labels`, or else the points themselves, or `modes` cells of k-means where there are more points than that.
        relative_step: Mobility of relative motion per iteration, > 0 (0.01); excludes `generator_lr`.
        discriminator_lr: Learning rate of the discriminator's parameters, > 0.
        gradient_penalty: Strength gamma >= 0 of (gamma / 2) E |grad D|^2.
        regularization: Weight decay lambda >= 0 towards the initial discriminator, which is zero as a function.
        discriminator_steps: Steps of the discriminator per iteration, >= 1.
        penalty: Where the gradient is taken: "r1" at real points, "r2" at particles, "r12" their average, "uniform" in
            the box of the target; "gp1" asks for slope 1 between real points and particles; "none".
        loss: "wgan" or "gan" (non-saturating).
        initial_std: Standard deviation of the initial particles about the origin (or the mean of real points), > 0.
        initial: Initial particles, shape `[N, d]`, instead.
        real_batch: Real points per step of the discriminator; None: all real points in every step.
        discriminator: "mlp", or a kernel such as `RBF(1.0)`, which learns with random features.
        discriminator_activation: "relu", "tanh", "sin", "softplus" or "erf".
        discriminator_width, discriminator_depth: Hidden units per layer, and hidden layers.
        weight_variance, bias_variance: Of the network in the kernel parametrisation; None: 2 for relu and softplus, 1.5
            for tanh and erf, 1 for sin.
        generator_lr: Learning rate of the generator; needs the kernel numbers, or `generator_kernel`.
        generator_kernel: A measured kernel instead of two numbers, shape `[N, N]` or `[N, N, d, d]`, symmetric and
            positive semidefinite.
        layout: Where `modes` modes stand: on a "ring", or on a square "grid" (a square number of modes).
        labels: Class of every real point, shape `[S]`.
        input_size: The first layer sees |x|^2 / input_size; None: the dimension d of the data.
        features: Number of random features of a kernel discriminator.

    Run variables over `time`: `positions` (particle, axis); `occupancy` (mode), `coverage`, `soft_coverage`,
    `entropy`, `kl`, `spread` and `quality`, see `gs.order_parameters`; `wander`, the standard deviation of the centre
    over the last quarter of the time so far, summed over the axes, in units of the root of the target's variance;
    `slope`, the root mean square slope of the discriminator at the particles, and `rigidity`, the share of the squared
    push that is common to all.

    Raises:
        ParameterError: If a parameter is out of its range, or two exclude each other.

    References:
        Durr, Mroueh, Tu, Wang. Effective dynamics of generative adversarial networks. Phys. Rev. X 13, 041004 (2023).
    """

    model: ClassVar[str] = "particle"
    levels: ClassVar[Mapping[str, Level]] = levels.LEVELS

    particles: int = 64
    coupling: float | None = None
    same_kernel: float | None = None
    cross_kernel: float | None = None
    modes: Any = 8
    radius: float = 1.0
    mode_width: float = 0.05
    real_points: Any = None
    relative_step: float | None = None
    discriminator_lr: float = 0.05
    gradient_penalty: float = 0.3
    regularization: float = 0.0
    discriminator_steps: int = 1
    penalty: str = "r1"
    loss: str = "wgan"
    initial_std: float = 0.25
    initial: Any = None
    real_batch: int | None = 128
    discriminator: Any = "mlp"
    discriminator_activation: str = "relu"
    discriminator_width: int = 64
    discriminator_depth: int = 2
    weight_variance: float | None = None
    bias_variance: float = 0.1
    generator_lr: float | None = None
    generator_kernel: Any = None
    layout: str = "ring"
    labels: Any = None
    input_size: float | None = None
    features: int = 1024

    def __post_init__(self) -> None:
        self._set("particles", integer("particles", self.particles, at_least=2))
        for name, allowed in _RANGES.items():
            value = getattr(self, name)
            if value is not None:
                self._set(name, number(name, value, **allowed))
        for name, allowed in _COUNTS.items():
            if name != "real_batch" or self.real_batch is not None:
                self._set(name, integer(name, getattr(self, name), **allowed))
        if self.input_size is not None:
            self._set("input_size", number("input_size", self.input_size, above=0))
        one_of("penalty", self.penalty, PENALTIES)
        one_of("loss", self.loss, LOSSES)
        one_of("layout", self.layout, LAYOUTS)
        one_of("discriminator_activation", self.discriminator_activation, ACTIVATIONS)
        self._check_discriminator()
        self._check_target()
        self._check_start()
        self._check_motion()
        if self.penalty == "gp1" and self.gradient_penalty > 0:
            warnings.warn(
                "penalty 'gp1' is centred on slope 1: it does not damp the equilibrium; 'r1' does",
                PenaltyWarning,
                stacklevel=3,
            )

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)

    def _check_discriminator(self) -> None:
        if isinstance(self.discriminator, Mapping):
            self._set("discriminator", kernel_from_dict(self.discriminator, "discriminator"))
        if self.discriminator != "mlp" and not isinstance(self.discriminator, Kernel):
            expected = f"'mlp', or a kernel: {', '.join(KERNELS)}, for example RBF(1.0)"
            raise ParameterError("discriminator", self.discriminator, expected)

    def _check_target(self) -> None:
        if self.real_points is not None:
            points = point_array("real_points", self.real_points)
            self._set("real_points", points)
            if self.labels is not None:
                self._set("labels", _labels(self.labels, len(points)))
            self._set("modes", integer("modes", self.modes, at_least=1))
            return
        if self.labels is not None:
            raise ParameterError("labels", "given", "nothing: labels belong to real_points")
        if self.real_batch is None:
            raise ParameterError("real_batch", None, "an integer >= 1: None, all points, needs real_points")
        if np.ndim(self.modes) > 0:
            self._set("modes", point_array("modes", self.modes))
        else:
            modes = integer("modes", self.modes, at_least=1)
            self._set("modes", modes)
            if self.layout == "grid" and math.isqrt(modes) ** 2 != modes:
                raise ParameterError("modes", modes, "a square number such as 25 for layout 'grid'")
        apart = separation(self._centres())
        if apart == 0:
            raise ParameterError("modes", "centres", "centres that differ from each other")
        if self.mode_width > apart / 2:
            warnings.warn(
                f"mode_width {self.mode_width:g} exceeds half the distance of neighbouring modes, {apart:.4g}: "
                "the modes merge",
                ModeWidthWarning,
                stacklevel=4,
            )

    def _check_start(self) -> None:
        if self.initial is None:
            return
        start = point_array("initial", self.initial)
        if start.shape != (self.particles, self.axes):
            raise ParameterError("initial", f"shape {start.shape}", f"shape {(self.particles, self.axes)}: [N, d]")
        self._set("initial", start)

    def _check_motion(self) -> None:
        if self.generator_kernel is not None:
            for name in ("coupling", "same_kernel", "cross_kernel"):
                if getattr(self, name) is not None:
                    raise ParameterError(name, getattr(self, name), "nothing, since generator_kernel is given")
            self._set("generator_kernel", kernel_matrix(self.generator_kernel, self.particles, self.axes))
        elif self.coupling is not None:
            for name in ("same_kernel", "cross_kernel"):
                if getattr(self, name) is not None:
                    raise ParameterError(
                        name, getattr(self, name), "nothing, since coupling is given: give one or the other"
                    )
            if self.generator_lr is not None:
                expected = "relative_step instead: a coupling number alone does not say how fast particles move"
                raise ParameterError("generator_lr", self.generator_lr, expected)
        if self.generator_lr is not None and self.relative_step is not None:
            raise ParameterError("generator_lr", self.generator_lr, "either generator_lr or relative_step, not both")
        self._motion  # noqa: B018 - checks the bounds of the kernel numbers

    def replace(self, **changes: Any) -> "ParticleGAN":
        """The same game with some parameters changed; what was warned about before is not said again."""
        with warnings.catch_warnings():
            if not {"modes", "radius", "mode_width", "layout"} & set(changes):
                warnings.simplefilter("ignore", ModeWidthWarning)
            if not {"penalty", "gradient_penalty"} & set(changes):
                warnings.simplefilter("ignore", PenaltyWarning)
            return super().replace(**changes)

    @cached_property
    def _motion(self) -> tuple[float, float]:
        """Mobilities per iteration of relative and of mean motion."""
        if self.coupling is not None:
            step = _DEFAULT_STEP if self.relative_step is None else self.relative_step
            return step, step * self.coupling
        if self.generator_kernel is not None:
            same, cross = two_numbers(self.generator_kernel)
        else:
            same = _DEFAULT_KERNEL[0] if self.same_kernel is None else self.same_kernel
            cross = _DEFAULT_KERNEL[1] if self.cross_kernel is None else self.cross_kernel
        unit = mobilities(same, cross, self.particles)
        if self.generator_lr is not None:
            return unit.relative * self.generator_lr, unit.mean * self.generator_lr
        if unit.relative <= 0:
            expected = "generator_lr instead: with cross_kernel = same_kernel all particles move as one body"
            raise ParameterError("relative_step", self.relative_step, expected)
        step = _DEFAULT_STEP if self.relative_step is None else self.relative_step
        return step, step * unit.mean / unit.relative

    @property
    def relative_mobility(self) -> float:
        """Distance per slope that a particle moves against the cloud, per iteration."""
        return self._motion[0]

    @property
    def mean_mobility(self) -> float:
        """Distance per slope that the whole cloud moves, per iteration."""
        return self._motion[1]

    @property
    def coupling_number(self) -> float:
        """mean_mobility / relative_mobility; infinite for a rigid body."""
        return self.mean_mobility / self.relative_mobility if self.relative_mobility > 0 else math.inf

    @property
    def kernel_speed(self) -> float:
        """The learning rate by which `generator_kernel` is multiplied, whichever of the two speeds was given."""
        if self.generator_lr is not None:
            return self.generator_lr
        same, cross = two_numbers(self.generator_kernel)
        return self.relative_mobility * self.particles / (same - cross)

    @property
    def hidden_variance(self) -> float:
        """Weight variance of the discriminator in force."""
        return ACTIVATIONS[self.discriminator_activation] if self.weight_variance is None else self.weight_variance

    @property
    def axes(self) -> int:
        """Dimension d of the data."""
        return int((self.real_points if self.real_points is not None else self._centres()).shape[1])

    def _centres(self) -> Array:
        if isinstance(self.modes, np.ndarray):
            return self.modes
        return (ring if self.layout == "ring" else grid)(self.modes, self.radius)

    @cached_property
    def target(self) -> Target:
        """The law that the particles shall learn."""
        if self.real_points is None:
            centres = self._centres()
            return Target(centres, self.mode_width, centres)
        centres, labels = clusters(self.real_points, self.labels, self.modes)
        return Target(self.real_points, 0.0, centres, labels)

    def varied_parameters(self) -> tuple[str, ...]:
        return (*_RANGES, *_COUNTS, "initial")

    def check_cells(self, over: Mapping[str, Any]) -> tuple[dict[str, Array], int]:
        checked: dict[str, Array] = {}
        for name, values in over.items():
            if name == "initial":
                array = real_array(name, values)
                if array.ndim != 3 or array.shape[1:] != (self.particles, self.axes):
                    shape = f"shape {array.shape}"
                    raise ParameterError(name, shape, f"(cells, {self.particles}, {self.axes}), one start per cell")
            elif name in _RANGES or name in _COUNTS:
                array = numbers_in(name, values, **(_RANGES | _COUNTS)[name])
                if array.ndim != 1:
                    raise ParameterError(name, values, "a one-dimensional array, one value per cell")
                if name in _COUNTS and np.any(array != np.floor(array)):
                    raise ParameterError(name, values, "integers, one per cell")
            else:
                raise unknown_name("over", name, self.varied_parameters())
            checked[name] = array
        return checked, one_length(checked)

    def trajectories(self, request: Request) -> dict[str, Variable]:
        from ganscope.games.particle.cloud import simulation

        return simulation.trajectories(self, request)

    def predict(
        self, level: str | None = None, rule: str | None = None, step_size: float | None = None, **options: Any
    ) -> Prediction:
        from ganscope.games.particle.cloud import prediction

        return prediction.predict(self, level, rule, step_size, **options)

    def classify(self, run: Any, **options: Any) -> Verdict:
        del options  # there are none
        from ganscope.games.particle.cloud import observables

        return observables.classify(self, run)

    def classify_cells(self, run: Any, **options: Any) -> Verdicts:
        del options  # there are none
        from ganscope.games.particle.cloud import observables

        return observables.classify_cells(self, run)

    def transverse_exponent(
        self, mean_mobility: float | None = None, iterations: int = 2000, starts: int = 4, seed: int = 0
    ) -> float:
        """Growth of a collapsed cloud's spread per relative mobility, see `transverse.transverse_exponent`."""
        from ganscope.games.particle.cloud import transverse

        return transverse.transverse_exponent(self, mean_mobility, iterations=iterations, starts=starts, seed=seed)

    def linear_spectrum(self, at: Any = None, rule: str | None = None, **options: Any) -> Spectrum:
        from ganscope.games.particle.cloud import linearisation

        return linearisation.spectrum(self, at, rule, **options)


def _labels(value: Any, count: int) -> npt.NDArray[np.int64]:
    labels = real_array("labels", value, ndim=1, expected="integers, one class per real point")
    if len(labels) != count or np.any(labels != np.floor(labels)):
        raise ParameterError("labels", f"{len(labels)} values", f"{count} integers, one class per real point")
    result = labels.astype(np.int64)
    result.flags.writeable = False
    return result
