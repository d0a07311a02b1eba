r"""The clipped bilinear game: a Dirac-GAN whose discriminator is kept 1-Lipschitz by clipping its weights.

    theta' = generator_lr mean(omega),    omega_j' = -discriminator_lr theta, stopped at the box |omega_j| <= clip

The data are a point mass at 0, the generator is one at theta, and D(x) = mean(omega) x is high on real data. One omega
is the Wasserstein GAN with clipped weights in its normal form, many are its mean field. Training never converges: what
the wall does not stop turns forever, and what it stops goes over into a periodic orbit that just touches it.

References:
    Arjovsky, Chintala, Bottou. Wasserstein GAN. ICML 2017.
    Delgadino, Suassuna, Cabrera. Generative Adversarial Networks: Dynamics. JMLR 26, 2025.
    Turinici. Convergence dynamics of generative adversarial networks: the dual metric flows. 2020.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from ganscope.core.checks import real_array
from ganscope.core.errors import ParameterError
from ganscope.core.game import Level, Players, Request, Variable
from ganscope.core.outcome import Prediction, Predictions, Spectrum
from ganscope.games.dualflow import levels
from ganscope.games.dualflow.clipped import engine as clipped_engine
from ganscope.games.dualflow.clipped import flow as clipped_flow
from ganscope.games.dualflow.game import SPEEDS, DualGame, Tracked
from ganscope.games.dualflow.pair import Pair
from ganscope.games.dualflow.spaces import Box, Euclidean
from ganscope.games.dualflow.theory.affine import Linear

Array = npt.NDArray[np.float64]

_START = "a start (theta, omega), omega a number or an array of numbers within [-clip, clip]"


class ClippedPair(Pair):
    """The two gradient flows of a clipped game: E1 = -theta mean(omega), E2 = theta sum(omega) on the box.

    Theta has shape `[1]`, omega `[K]`; the sum, so that every omega_j moves with the full force.

    Args:
        clip: Half the side of the box.
        generator_lr, discriminator_lr: The speeds.
        count: K.
    """

    def __init__(self, clip: float, generator_lr: float, discriminator_lr: float, count: int = 1) -> None:
        self.box = Box((count,), clip)
        self.spaces = Players(Euclidean((1,)), self.box)
        self.speeds = Players(generator_lr, discriminator_lr)

    def energy(self, player: int, x: Array, y: Array) -> float:
        slope = -float(np.mean(y)) if player == 0 else float(np.sum(y))
        return float(x[0]) * slope

    def gradient(self, player: int, x: Array, y: Array) -> Array:
        return np.array([-np.mean(y)]) if player == 0 else np.full(y.shape, x[0])

    def prox(self, player: int, x: Array, y: Array, step: float, tolerance: float, iterations: int) -> Array:
        moved = (x, y)[player] - step * self.speeds[player] * self.gradient(player, x, y)
        return np.asarray(moved) if player == 0 else self.box.nearest(moved)

    def convexity(self, player: int, x: Array, y: Array) -> float:
        return 0.0

    def test_points(self, player: int) -> list[Array]:
        return [np.zeros(self.spaces[player].shape)]

    def contraction(self, x: Array, y: Array, step: float) -> float:
        return float(step**2 * self.speeds.generator * self.speeds.discriminator)


@dataclass(frozen=True, eq=False)
class ClippedGAN(DualGame):
    """The Wasserstein GAN with clipped weights, in its normal form, as a dual flow.

    `predict` speaks about the flow unless a level is named; the flow is exact, from event to event. The energies are
    linear, so that `jko` equals `explicit` and `jko_sequential` equals `explicit_sequential`, both with clipped steps.

    Args:
        clip: Bound on every |omega_j|, > 0.
        generator_lr: Speed of theta, > 0.
        discriminator_lr: Speed of omega, > 0.
        initial: Start (theta, omega); omega is a number, or an array of K numbers for the mean field. One flat
            sequence theta, omega_1, ..., omega_K means the same.

    Run variables over `time`: `generator` (theta); `discriminator` (omega; with dimension `parameter` if it is an
    array); `amplitude`, sqrt(m^2 + (discriminator_lr / generator_lr) theta^2) with the mean m of omega; of a mean field
    also `mean` (m; ask for `run["mean"]`) and `width` (max omega - min omega).

    Raises:
        ParameterError: If a parameter is out of its range, or an omega outside the box.

    References:
        Arjovsky, Chintala, Bottou. Wasserstein GAN. ICML 2017.
        Delgadino, Suassuna, Cabrera. Generative adversarial networks: dynamics. JMLR 26 (2025).
    """

    model: ClassVar[str] = "clipped"
    levels: ClassVar[Mapping[str, Level]] = levels.dual_levels(midpoint=False)
    numeric: ClassVar[Mapping[str, Mapping[str, Any]]] = {"clip": {"above": 0}, **SPEEDS}
    arrays: ClassVar[tuple[str, ...]] = ("initial",)

    clip: float = 1.0
    generator_lr: float = 1.0
    discriminator_lr: float = 1.0
    initial: Any = (3.0, 0.0)

    def __post_init__(self) -> None:
        self.check_numbers()
        theta, omega = _start(self.initial)
        _within(self.initial, omega, self.clip)
        kept = float(omega) if omega.ndim == 0 else tuple(float(v) for v in omega)
        object.__setattr__(self, "initial", (theta, kept))

    @property
    def mean_field(self) -> bool:
        """Whether omega is an array."""
        return isinstance(self.initial[1], tuple)

    @property
    def start(self) -> Array:
        """theta and all omega, shape `[1 + K]`."""
        return np.append(self.initial[0], self.initial[1])

    def check_varied(self, name: str, values: Any) -> Array:
        size = len(self.start)
        starts = real_array(name, values, expected=f"finite numbers of shape (cells, {size})")
        if starts.ndim != 2 or starts.shape[1] != size:
            raise ParameterError(name, f"shape {starts.shape}", f"finite numbers of shape (cells, {size})")
        return starts

    def check_cells(self, over: Mapping[str, Any]) -> tuple[dict[str, Array], int]:
        checked, cells = super().check_cells(over)
        starts = np.atleast_2d(checked.get("initial", self.start))
        clip = np.reshape(checked.get("clip", self.clip), (-1, 1))
        _within(over.get("initial", self.initial), starts[:, 1:], clip)
        return checked, cells

    def pair(self) -> ClippedPair:
        return ClippedPair(self.clip, self.generator_lr, self.discriminator_lr, len(self.start) - 1)

    def states(self, run: Any) -> tuple[Array, Array]:
        theta, omega = run.generator.values, run.discriminator.values
        return theta[:, None], omega.reshape(len(theta), -1)

    def linearisation(self) -> Linear:
        """theta and the mean of omega inside the box."""
        jacobian, offset, size = inside(np.array([self.generator_lr]), np.array([self.discriminator_lr]))
        return Linear(jacobian[0], offset[0], size)

    def trajectories(self, request: Request) -> dict[str, Variable]:
        options = levels.check_options(request.options)
        numbers = np.stack([self.column(request, n) for n in ("clip", "generator_lr", "discriminator_lr")], axis=1)
        own = np.broadcast_to(self.start, (request.cells, len(self.start)))
        starts = np.array(request.over.get("initial", own))
        out = np.empty((request.cells, len(request.schedule.times), starts.shape[1]))
        if request.level == levels.FLOW:
            exact_flow(numbers, starts, np.array(request.schedule.times), out)
        else:
            counts, sizes = levels.stride_arrays(request)
            code = levels.CODES[request.level]
            first = options.get("order", levels.ORDERS[0]) == levels.ORDERS[0]
            repeats = options.get("discriminator_steps", 1)
            clipped_engine.run_scheme(code, first, repeats, numbers, starts, counts, sizes, out)
        return self._variables(numbers, out[:, None])

    def _variables(self, numbers: Array, states: Array) -> dict[str, Variable]:
        theta, omega = states[..., 0], states[..., 1:]
        mean = np.mean(omega, axis=-1)
        ratio = np.sqrt(numbers[:, 2] / numbers[:, 1])[:, None, None]
        variables: dict[str, Variable] = {"generator": (("time",), theta)}
        if self.mean_field:
            variables["discriminator"] = ("time", "parameter"), omega
            variables["mean"] = ("time",), mean
            variables["width"] = ("time",), np.max(omega, axis=-1) - np.min(omega, axis=-1)
        else:
            variables["discriminator"] = ("time",), omega[..., 0]
        variables["amplitude"] = ("time",), np.hypot(mean, ratio * theta)
        return variables

    def tracked_runs(self, run: Any) -> Tracked:
        from ganscope.games.dualflow.clipped import prediction as clipped_prediction

        return clipped_prediction.tracked_runs(self, run)

    def rotation(self, run: Any) -> float:
        from ganscope.games.dualflow.clipped import prediction as clipped_prediction

        del run
        return clipped_prediction.rotation(self)

    def predict(
        self, level: str | None = None, rule: str | None = None, step_size: float | None = None, **options: Any
    ) -> Prediction:
        from ganscope.games.dualflow.clipped import prediction as clipped_prediction

        return clipped_prediction.predict(self, level, rule, step_size)

    def predict_cells(
        self, over: Mapping[str, Any], level: str | None, rule: str | None, step_size: float | None, **options: Any
    ) -> Predictions:
        from ganscope.games.dualflow.clipped import prediction as clipped_prediction

        del options  # there are none
        return clipped_prediction.predict_cells(self, over, level, rule, step_size)

    def linear_spectrum(self, at: Any = None, rule: str | None = None, **options: Any) -> Spectrum:
        from ganscope.games.dualflow.clipped import prediction as clipped_prediction

        return clipped_prediction.spectrum(self, at, rule, **options)


def inside(generator_lr: Array, discriminator_lr: Array) -> Linear:
    """theta and the mean of omega inside the box, at speeds `[cells]`."""
    jacobian = np.zeros((len(generator_lr), 2, 2))
    jacobian[:, 0, 1], jacobian[:, 1, 0] = generator_lr, -discriminator_lr
    return Linear(jacobian, np.zeros((len(jacobian), 2)), 1)


def exact_flow(numbers: Array, starts: Array, times: Array, out: Array, settle: int = 0) -> Array:
    """`clipped_flow.run_flow` for omega in any order; returns its summary."""
    order = np.argsort(starts[:, 1:], axis=1, kind="stable")
    ascending = np.concatenate([starts[:, :1], np.take_along_axis(starts[:, 1:], order, axis=1)], axis=1)
    summary = np.zeros((len(starts), 3))
    clipped_flow.run_flow(numbers, ascending, times, settle, out, summary)
    back = np.argsort(order, axis=1, kind="stable")[:, None, :]
    out[:, :, 1:] = np.take_along_axis(out[:, :, 1:], back, axis=2)
    return summary


def _start(value: Any) -> tuple[float, Array]:
    """theta, and omega as a number or an array."""
    if isinstance(value, str | bytes | Mapping) or not hasattr(value, "__len__") or len(value) < 2:
        raise ParameterError("initial", value, _START)
    theta = real_array("initial", value[0], ndim=0, expected=_START)
    omega = real_array("initial", value[1] if len(value) == 2 else value[1:], expected=_START)
    if omega.ndim > 1 or omega.size == 0:
        raise ParameterError("initial", value, _START)
    return float(theta), omega


def _within(given: Any, omega: Array, clip: Any) -> None:
    if np.any(np.abs(omega) > clip):
        raise ParameterError("initial", given, _START)
