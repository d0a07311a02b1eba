r"""GAN training as particles on a circle in front of a discriminator with finitely many frequencies.

The generator's outputs are N particles x_i on a circle of length 2 pi, coupled through the generator's kernel: relative
motion and the motion of the centre have different mobilities. The discriminator, high on real data, is

    D(x) = 2 Re sum_{k=1..K} D_k exp(i k x)

and ascends mean D(target) - mean D(particles) in the metric of its kernel, with a gradient penalty that is averaged
over the whole circle (not over data, as R1 is), which keeps its wavenumbers apart; see `fourier` for the equations.
The target has M modes at 2 pi m / M, Gaussians of standard deviation `mode_width` wrapped around the circle.

The particle picture is that of the reference; this model on the circle is built here, so that it can be solved.

References:
    Durr, Mroueh, Tu, Wang. Effective dynamics of generative adversarial networks. Phys. Rev. X 13, 041004 (2023).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from ganscope.core.checks import integer, number, numbers_in, one_length, one_of, real_array
from ganscope.core.errors import ParameterError, unknown_name
from ganscope.core.game import Game, Level, Request, Variable
from ganscope.core.outcome import Prediction, Spectrum, Verdict, Verdicts
from ganscope.core.smooth import SmoothField
from ganscope.games.particle.torus import observables, simulation
from ganscope.games.particle.torus.fourier import LOSSES, SPECTRA

Array = npt.NDArray[np.float64]

_RANGES: dict[str, dict[str, Any]] = {
    "relative_mobility": {"at_least": 0},
    "mean_mobility": {"at_least": 0},
    "mode_width": {"at_least": 0},
    "bandwidth": {"above": 0},
    "discriminator_lr": {"above": 0},
    "gradient_penalty": {"at_least": 0},
    "regularization": {"at_least": 0},
    "exponent": {"above": 0},
    "initial_std": {"above": 0},
}


@dataclass(frozen=True, eq=False)
class TorusGAN(Game):
    """Particles on a circle of length 2 pi: the exactly solvable particle GAN.

    `predict` speaks about level `particles` unless a level is named; time is step_size * iterations.

    Args:
        particles: Number N of particles, >= 2.
        relative_mobility: Mobility of motion relative to the centre, >= 0.
        mean_mobility: Mobility of the centre, >= 0; not both 0. Their ratio is the `coupling_number`.
        modes: Number M >= 1 of modes of the target.
        mode_width: Standard deviation of a mode, >= 0.
        spectrum: Spectrum of the discriminator's kernel at wavenumber k: `gauss`, exp(-(bandwidth k)^2 / 2) (smooth);
            `power`, (1 + (bandwidth k)^2)^-exponent (as of relu networks); `flat`, 1.
        bandwidth: Length scale of that kernel, > 0.
        frequencies: Number K >= 1 of wavenumbers of the discriminator.
        discriminator_lr: Learning speed of the discriminator, > 0.
        gradient_penalty: Strength gamma >= 0 of the penalty gamma/2 mean |D'|^2 over the circle.
        regularization: Weight decay >= 0 of the discriminator.
        initial_positions: Where the particles start, shape `[N]`, any real numbers; None for normal draws about 0,
            which differ between replicas. The discriminator starts at 0.
        exponent: Of the spectrum `power`, > 0.
        loss: `wgan`, or `gan`, the logistic loss to linear order about an even match.
        initial_std: Standard deviation of normal starts, > 0.

    Run variables over `time`: `positions` (particle), not wrapped; `discriminator` (frequency), the complex D_k; and,
    with distances along the circle, `occupancy` (mode), `coverage`, `entropy`, `kl`, `soft_coverage`, `quality`,
    `spread` (circular variance 1 - |mean exp(i x)|^2 over the target's) and `wander` (standard deviation of the centre
    over the last quarter of the time so far, in units of the root of the target's circular variance). For a target that
    is a single point, `spread` is NaN and the unit of `wander` is 1.

    Raises:
        ParameterError: If a parameter is out of its range.

    References:
        Durr, Mroueh, Tu, Wang. Effective dynamics of generative adversarial networks. Phys. Rev. X 13, 041004 (2023).
    """

    model: ClassVar[str] = "torus"
    levels: ClassVar[Mapping[str, Level]] = simulation.LEVELS
    prediction_options: ClassVar[tuple[str, ...]] = ("scheme",)

    particles: int = 64
    relative_mobility: float = 0.05
    mean_mobility: float = 0.5
    modes: int = 8
    mode_width: float = 0.05
    spectrum: str = "gauss"
    bandwidth: float = 0.5
    frequencies: int = 12
    discriminator_lr: float = 1.0
    gradient_penalty: float = 0.3
    regularization: float = 0.0
    initial_positions: Any = None
    exponent: float = 1.0
    loss: str = "wgan"
    initial_std: float = 0.25

    def __post_init__(self) -> None:
        set_field = object.__setattr__
        for name, least in (("particles", 2), ("modes", 1), ("frequencies", 1)):
            set_field(self, name, integer(name, getattr(self, name), at_least=least))
        for name, bounds in _RANGES.items():
            set_field(self, name, number(name, getattr(self, name), **bounds))
        _check_mobilities(np.array(self.relative_mobility), np.array(self.mean_mobility))
        one_of("spectrum", self.spectrum, SPECTRA)
        one_of("loss", self.loss, LOSSES)
        if self.initial_positions is not None:
            start = real_array("initial_positions", self.initial_positions)
            if start.shape != (self.particles,):
                expected = f"shape {(self.particles,)}, one number per particle"
                raise ParameterError("initial_positions", f"shape {start.shape}", expected)
            start.flags.writeable = False
            set_field(self, "initial_positions", start)

    @property
    def coupling_number(self) -> float:
        """Mobility of the centre over that of relative motion; infinite for a rigid cloud."""
        return self.mean_mobility / self.relative_mobility if self.relative_mobility > 0 else math.inf

    def varied_parameters(self) -> tuple[str, ...]:
        return (*_RANGES, "initial_positions")

    def check_cells(self, over: Mapping[str, Any]) -> tuple[dict[str, Array], int]:
        checked: dict[str, Array] = {}
        for name, values in over.items():
            if name == "initial_positions":
                array = real_array(name, values)
                if array.ndim != 2 or array.shape[1] != self.particles:
                    raise ParameterError(name, f"shape {array.shape}", f"shape (cells, {self.particles})")
            elif name in _RANGES:
                array = numbers_in(name, values, **_RANGES[name])
                if array.ndim != 1:
                    raise ParameterError(name, values, "a one-dimensional array, one value per cell")
            else:
                raise unknown_name("over", name, self.varied_parameters())
            checked[name] = array
        cells = one_length(checked)
        relative = checked.get("relative_mobility", np.array(self.relative_mobility))
        _check_mobilities(relative, checked.get("mean_mobility", np.array(self.mean_mobility)))
        return checked, cells

    def trajectories(self, request: Request) -> dict[str, Variable]:
        return simulation.trajectories(self, request)

    def predict(
        self, level: str | None = None, rule: str | None = None, step_size: float | None = None, **options: Any
    ) -> Prediction:
        from ganscope.games.particle.torus import prediction

        return prediction.predict(self, level, rule, step_size, **options)

    def classify(self, run: Any, **options: Any) -> Verdict:
        del options  # there are none
        return observables.classify(self, run)

    def classify_cells(self, run: Any, **options: Any) -> Verdicts:
        del options  # there are none
        return observables.classify_cells(self, run)

    def linear_spectrum(self, at: Any = None, rule: str | None = None, **options: Any) -> Spectrum:
        from ganscope.games.particle.torus import linear

        return linear.spectrum(self, at, rule, **options)

    def smooth_field(
        self, level: str | None = None, rule: str | None = None, step_size: float | None = None, start: Any = None
    ) -> SmoothField:
        from ganscope.games.particle.torus.branch import smooth_field

        return smooth_field(self, level, rule, step_size, start)

    def transverse_exponent(
        self,
        mean_mobility: float | None = None,
        scheme: str = "second_order",
        horizon: float | None = None,
        step_size: float | None = None,
        starts: Any = None,
    ) -> float:
        """Average bend of the discriminator under a collapsed cloud, see `collapse.transverse_exponent`."""
        from ganscope.games.particle.torus import collapse

        return collapse.transverse_exponent(self, mean_mobility, scheme, horizon, step_size, starts)

    def critical_mobility(
        self, scheme: str = "second_order", horizon: float | None = None, step_size: float | None = None
    ) -> float:
        """Mobility of the centre beyond which a collapsed cloud stays one, see `collapse.critical_mobility`."""
        from ganscope.games.particle.torus import collapse

        return collapse.critical_mobility(self, scheme, horizon, step_size).mean_mobility


def _check_mobilities(relative: Array, mean: Array) -> None:
    if np.any((relative == 0) & (mean == 0)):
        raise ParameterError("mean_mobility", 0.0, "a number > 0 where relative_mobility is 0: something must move")
