r"""The Dirac-GAN, the smallest game in which GAN training can orbit instead of converge.

The data are a point mass at 0, the generator is a point mass at theta, and the discriminator is D(x) = psi x, high on
real data. With the slopes S that a loss gives to the generator and to the discriminator,

    theta' = generator_lr S_g psi,    psi' = discriminator_lr (-S_d theta - gradient_penalty psi)

    bilinear         S_g = S_d = 1
    saturating       S_g = S_d = 1 / (1 + exp(-theta psi))
    nonsaturating    S_g = 1 / (1 + exp(theta psi)),  S_d = 1 / (1 + exp(-theta psi))

References:
    Mescheder, Geiger, Nowozin. Which training methods for GANs do actually converge? ICML 2018.
    Turinici. Convergence dynamics of generative adversarial networks: the dual metric flows. 2020.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from ganscope.core.checks import one_of, real_array
from ganscope.core.compiled import writeable
from ganscope.core.errors import NotApplicable, ParameterError
from ganscope.core.game import Level, Players, Request, Variable
from ganscope.core.outcome import Prediction, Predictions, Spectrum
from ganscope.core.smooth import SmoothField
from ganscope.games.dualflow import levels
from ganscope.games.dualflow.dirac import engine as dirac_engine
from ganscope.games.dualflow.dirac.cells import Cells
from ganscope.games.dualflow.failures import NashNotConverged, ProxNotConverged, StepTooLarge
from ganscope.games.dualflow.game import SPEEDS, DualGame, Tracked, fail
from ganscope.games.dualflow.pair import Pair
from ganscope.games.dualflow.quadratic.model import QuadraticGame
from ganscope.games.dualflow.spaces import Euclidean
from ganscope.games.dualflow.theory.affine import Linear
from ganscope.games.dualflow.theory.rates import Constants, Suprema

Array = npt.NDArray[np.float64]

# Largest |d(v S(v)) / dv| of the logistic function S: how strongly the players act on each other at most.
_COUPLING = 1.0998394
_POINT = Euclidean((1,))


class DiracPair(Pair):
    """The two gradient flows of a Dirac-GAN; states have shape `[1]`.

    Args:
        loss: Name of the loss.
        gradient_penalty: Strength of the penalty.
        generator_lr, discriminator_lr: The speeds.
    """

    def __init__(self, loss: str, gradient_penalty: float, generator_lr: float, discriminator_lr: float) -> None:
        self.loss, self.gradient_penalty = loss, gradient_penalty
        self.spaces = Players(_POINT, _POINT)
        self.speeds = Players(generator_lr, discriminator_lr)
        self._code = dirac_engine.LOSSES.index(loss)

    def energy(self, player: int, x: Array, y: Array) -> float:
        theta, psi = float(x[0]), float(y[0])
        v = theta * psi
        if player == 0:
            return float((-v, -np.logaddexp(0, v), np.logaddexp(0, -v))[self._code])
        return float(v if self.loss == "bilinear" else np.logaddexp(0, v)) + self.gradient_penalty * psi**2 / 2

    def gradient(self, player: int, x: Array, y: Array) -> Array:
        slope = dirac_engine.gradient(player, self._code, self.gradient_penalty, float(x[0]), float(y[0]))
        return np.array([slope])

    def prox(self, player: int, x: Array, y: Array, step: float, tolerance: float, iterations: int) -> Array:
        theta, psi, h = float(x[0]), float(y[0]), step * self.speeds[player]
        value, status, residual = dirac_engine.prox(
            player, self._code, self.gradient_penalty, theta, psi, h, tolerance, iterations
        )
        if status != dirac_engine.DONE:
            raise step_failure(self, np.array([status, iterations, residual, theta, psi, step]))
        return np.array([value])

    def convexity(self, player: int, x: Array, y: Array) -> float:
        if player == 1:
            return self.gradient_penalty
        return -(float(y[0]) ** 2) / 4 if self.loss == "saturating" else 0.0

    def test_points(self, player: int) -> list[Array]:
        return [np.zeros(1)]

    def contraction(self, x: Array, y: Array, step: float) -> float:
        coupling = 1.0 if self.loss == "bilinear" else _COUPLING
        h1, h2 = step * self.speeds.generator, step * self.speeds.discriminator
        own = (1 + h1 * self.convexity(0, x, y)) * (1 + h2 * self.gradient_penalty)
        return h1 * h2 * coupling**2 / own if own > 0 else math.inf


def step_failure(pair: DiracPair, end: Array) -> Exception:
    """The error of a step without solution, from what `dirac_engine.run_scheme` says about it."""
    status, iterations, left, theta, psi, step = (float(v) for v in end)
    if status == dirac_engine.TOO_LARGE:
        return StepTooLarge(
            "the generator's proximal problem is not strictly convex: step_size generator_lr psi^2 must be below 4, "
            f"but step_size = {step:g} met psi = {psi:.6g}; reduce step_size"
        )
    if status == dirac_engine.NO_PROX:
        return ProxNotConverged(int(iterations), left)
    contraction = pair.contraction(np.array([theta]), np.array([psi]), step)
    return NashNotConverged(int(iterations), left, contraction)


@dataclass(frozen=True, eq=False)
class DiracGAN(DualGame):
    """The Dirac-GAN of Mescheder, Geiger and Nowozin (2018) as a dual flow.

    `predict` speaks about the flow unless a level is named; the flow is the linear one in closed form for the bilinear
    loss, and integrated to about `tolerance` (1e-10) per step otherwise.

    Args:
        loss: `bilinear`, `saturating` or `nonsaturating`.
        gradient_penalty: Strength gamma >= 0 of the penalty gamma/2 psi^2 on the slope of the discriminator (R1).
        generator_lr: Speed of theta, > 0.
        discriminator_lr: Speed of psi, > 0.
        initial: Start (theta, psi).

    Run variables over `time`: `generator` (theta), `discriminator` (psi), and `radius`,
    sqrt(theta^2 / generator_lr + psi^2 / discriminator_lr), which the bilinear and the saturating flow conserve
    without a penalty.

    Raises:
        ParameterError: If a parameter is out of its range.

    References:
        Mescheder, Geiger, Nowozin. Which training methods for GANs do actually converge? ICML 2018.
    """

    model: ClassVar[str] = "dirac"
    levels: ClassVar[Mapping[str, Level]] = levels.dual_levels()
    numeric: ClassVar[Mapping[str, Mapping[str, Any]]] = {"gradient_penalty": {"at_least": 0}, **SPEEDS}
    arrays: ClassVar[tuple[str, ...]] = ("initial",)

    loss: str = "bilinear"
    gradient_penalty: float = 0.0
    generator_lr: float = 1.0
    discriminator_lr: float = 1.0
    initial: Any = (1.0, 0.0)

    def __post_init__(self) -> None:
        one_of("loss", self.loss, dirac_engine.LOSSES)
        self.check_numbers()
        start = real_array("initial", self.initial, expected="two finite numbers (theta, psi)")
        if start.shape != (2,):
            raise ParameterError("initial", self.initial, "two finite numbers (theta, psi)")
        object.__setattr__(self, "initial", tuple(float(v) for v in start))

    @property
    def slope(self) -> float:
        """Slope of the loss at the equilibrium: 1 for the bilinear one, 1/2 for the others."""
        return 1.0 if self.loss == "bilinear" else 0.5

    def check_varied(self, name: str, values: Any) -> Array:
        starts = real_array(name, values, expected="finite numbers of shape (cells, 2)")
        if starts.ndim != 2 or starts.shape[1] != 2:
            raise ParameterError(name, f"shape {starts.shape}", "finite numbers of shape (cells, 2)")
        return starts

    def pair(self) -> DiracPair:
        return DiracPair(self.loss, self.gradient_penalty, self.generator_lr, self.discriminator_lr)

    def states(self, run: Any) -> tuple[Array, Array]:
        return run.generator.values[:, None], run.discriminator.values[:, None]

    def linearisation(self) -> Linear:
        """The game near its equilibrium (0, 0), where every loss but the bilinear one has half its slope."""
        jacobian, offset, size = Cells.of(self).linear
        return Linear(jacobian[0], offset[0], size)

    def _quadratic(self) -> QuadraticGame:
        """The bilinear loss as a game of quadratic forms."""
        if self.loss != "bilinear":
            raise NotApplicable(f"loss {self.loss!r} has no convexity and Lipschitz constants that hold everywhere")
        speeds = {"generator_lr": self.generator_lr, "discriminator_lr": self.discriminator_lr}
        return QuadraticGame(0.0, -1.0, self.gradient_penalty, 1.0, initial=self.initial, **speeds)

    def constants(self) -> Constants:
        """Moduli of convexity and cross-Lipschitz constants of the bilinear loss.

        Raises:
            NotApplicable: For another loss.
        """
        return self._quadratic().constants()

    def suprema(self, horizon: float) -> Suprema:
        """Largest speeds and accelerations of both players along the flow of the bilinear loss.

        Raises:
            NotApplicable: For another loss.
        """
        return self._quadratic().suprema(horizon)

    def jacobian(self, theta: float, psi: float) -> Array:
        """Jacobian of the velocity (theta', psi'), shape `[2, 2]`."""
        v = theta * psi
        s = float(dirac_engine.logistic(v))
        bend = s * float(dirac_engine.logistic(-v))
        if self.loss == "bilinear":
            by_theta, by_psi, push, own = 0.0, 1.0, 1.0, 0.0
        else:
            sign = 1.0 if self.loss == "saturating" else -1.0
            by_theta, by_psi = sign * psi**2 * bend, (s if sign > 0 else 1 - s) + sign * v * bend
            push, own = s + v * bend, theta**2 * bend
        speeds = np.array([[self.generator_lr], [self.discriminator_lr]])
        slopes = np.array([[by_theta, by_psi], [-push, -own - self.gradient_penalty]])
        return np.asarray(speeds * slopes)

    def trajectories(self, request: Request) -> dict[str, Variable]:
        options = levels.check_options(request.options)
        columns = [self.column(request, n) for n in ("generator_lr", "discriminator_lr", "gradient_penalty")]
        numbers = np.stack(columns, axis=1)
        own = np.broadcast_to(np.array(self.initial), (request.cells, 2))
        starts = writeable(np.ascontiguousarray(request.over.get("initial", own)))
        out = np.empty((request.cells, len(request.schedule.times), 2))
        loss = dirac_engine.LOSSES.index(self.loss)
        if request.level == levels.FLOW:
            times = writeable(request.schedule.times)
            dirac_engine.run_flow(loss, numbers, starts, times, options["tolerance"], out)
        else:
            self._run_scheme(request, options, loss, numbers, starts, out)
        theta, psi = out[:, None, :, 0], out[:, None, :, 1]
        eta1, eta2 = (numbers[:, k, None, None] for k in (0, 1))
        radius = np.hypot(theta / np.sqrt(eta1), psi / np.sqrt(eta2))
        return {"generator": (("time",), theta), "discriminator": (("time",), psi), "radius": (("time",), radius)}

    def _run_scheme(
        self, request: Request, options: dict[str, Any], loss: int, numbers: Array, starts: Array, out: Array
    ) -> None:
        counts, sizes = levels.stride_arrays(request)
        end = np.zeros((request.cells, 6))
        dirac_engine.run_scheme(
            levels.CODES[request.level],
            loss,
            options.get("order", levels.ORDERS[0]) == levels.ORDERS[0],
            options.get("discriminator_steps", 1),
            numbers,
            starts,
            counts,
            sizes,
            options.get("prox_tolerance", 0.0),
            options.get("prox_iterations", 0),
            out,
            end,
        )
        for cell in np.flatnonzero(end[:, 0] != dirac_engine.DONE):
            eta1, eta2, gamma = (float(v) for v in numbers[cell])
            fail(request, int(cell), step_failure(DiracPair(self.loss, gamma, eta1, eta2), end[cell]))

    def tracked_runs(self, run: Any) -> Tracked:
        from ganscope.games.dualflow.dirac import prediction as dirac_prediction

        return dirac_prediction.tracked_runs(self, run)

    def rotation(self, run: Any) -> float:
        from ganscope.games.dualflow.dirac import prediction as dirac_prediction

        return dirac_prediction.rotation(self, run)

    def predict(
        self, level: str | None = None, rule: str | None = None, step_size: float | None = None, **options: Any
    ) -> Prediction:
        from ganscope.games.dualflow.dirac import prediction as dirac_prediction

        return dirac_prediction.predict(self, level, rule, step_size)

    def predict_cells(
        self, over: Mapping[str, Any], level: str | None, rule: str | None, step_size: float | None, **options: Any
    ) -> Predictions:
        from ganscope.games.dualflow.dirac import prediction as dirac_prediction

        del options  # there are none
        return dirac_prediction.predict_cells(self, over, level, rule, step_size)

    def smooth_field(
        self, level: str | None = None, rule: str | None = None, step_size: float | None = None, start: Any = None
    ) -> SmoothField:
        from ganscope.games.dualflow.branch import dirac_field

        return dirac_field(self, level, rule, step_size, start)

    def linear_spectrum(self, at: Any = None, rule: str | None = None, **options: Any) -> Spectrum:
        from ganscope.games.dualflow.dirac import prediction as dirac_prediction

        return dirac_prediction.spectrum(self, at, rule, **options)
