r"""Quadratic games: two quadratic energies, the testing ground on which everything about dual flows is known exactly.

    E1(x, y) = x'A1 x / 2 + x'B1 y + c1.x        x' = -generator_lr (A1 x + B1 y + c1)
    E2(x, y) = y'A2 y / 2 + y'B2 x + c2.y        y' = -discriminator_lr (A2 y + B2 x + c2)

The game is zero-sum if B2 = -B1'. With A1 = A2 = 0 besides, it is bilinear, and the flow goes around the equilibrium.

References:
    Turinici. Convergence dynamics of generative adversarial networks: the dual metric flows. 2020.
    Isobe, Shimoyama. On gradient descent-ascent flows in metric spaces. 2025.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from scipy.linalg import expm

from ganscope.core.checks import real_array
from ganscope.core.errors import NotApplicable, ParameterError
from ganscope.core.game import Level, Players, Request, Variable
from ganscope.core.outcome import Prediction, Predictions, Spectrum
from ganscope.core.smooth import SmoothField
from ganscope.games.dualflow.failures import NoUniqueEquilibrium
from ganscope.games.dualflow.game import SPEEDS, DualGame, Tracked, each_run, varied_runs
from ganscope.games.dualflow.levels import dual_levels
from ganscope.games.dualflow.quadratic import engine as linear_engine
from ganscope.games.dualflow.quadratic.cells import Cells, no_equilibrium, slowest_periods
from ganscope.games.dualflow.quadratic.pair import QuadraticPair
from ganscope.games.dualflow.questions import scheme_spectrum
from ganscope.games.dualflow.theory.affine import Linear
from ganscope.games.dualflow.theory.rates import Constants, Suprema

Array = npt.NDArray[np.float64]

# Rounding that an asymmetry may come from, relative to the largest entry.
_ASYMMETRY = 1e-12
# Points along a flow at which its speed is computed: steps of this share of the inverse size of J, up to so many.
_FINE, _MOST_POINTS = 0.02, 2**18


@dataclass(frozen=True, eq=False)
class QuadraticGame(DualGame):
    """Two quadratic energies; n numbers of the generator, m of the discriminator.

    `predict` speaks about the flow unless a scheme is asked for. Runs hold `generator` and `discriminator`, and seen
    from the nearest equilibrium, NaN where there is none: `distance` (Euclidean, both players together) and `lyapunov`,
    |x - x*|^2 / generator_lr + |y - y*|^2 / discriminator_lr; in zero-sum games with positive definite A1 and A2 also
    `saddle_gap`.

    Args:
        A1: Shape `[n, n]`, symmetric; a number stands for a 1 x 1 matrix here and below.
        B1: Shape `[n, m]`.
        A2: Shape `[m, m]`, symmetric.
        B2: Shape `[m, n]`.
        c1, c2: Shapes `[n]` and `[m]`; None for zeros.
        generator_lr, discriminator_lr: Speeds, > 0.
        initial: Start, a pair of arrays of shapes `[n]` and `[m]` or one array of n + m numbers; None: ones for the
            generator, zeros for the discriminator.

    Raises:
        ParameterError: If a parameter is out of its range, a shape does not fit, or A1 or A2 is not symmetric.

    References:
        Turinici. Convergence dynamics of generative adversarial networks: the dual metric flows. 2020.
    """

    model: ClassVar[str] = "quadratic"
    levels: ClassVar[Mapping[str, Level]] = dual_levels()
    numeric: ClassVar[Mapping[str, Mapping[str, Any]]] = SPEEDS
    arrays: ClassVar[tuple[str, ...]] = ("A1", "B1", "A2", "B2", "c1", "c2", "initial")

    A1: Any
    B1: Any
    A2: Any
    B2: Any
    c1: Any = None
    c2: Any = None
    generator_lr: float = 1.0
    discriminator_lr: float = 1.0
    initial: Any = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "_followed", tuple(k for k in ("c1", "c2", "initial") if getattr(self, k) is None))
        a1, a2 = _square("A1", self.A1), _square("A2", self.A2)
        n, m = len(a1), len(a2)
        x0, y0 = np.ones(n), np.zeros(m)
        checked = {
            "A1": a1,
            "B1": _shaped("B1", self.B1, (n, m)),
            "A2": a2,
            "B2": _shaped("B2", self.B2, (m, n)),
            "c1": np.zeros(n) if self.c1 is None else _shaped("c1", self.c1, (n,)),
            "c2": np.zeros(m) if self.c2 is None else _shaped("c2", self.c2, (m,)),
            "initial": np.concatenate([x0, y0]) if self.initial is None else _start(self.initial, n, m),
        }
        for name, array in checked.items():
            array.flags.writeable = False
            object.__setattr__(self, name, array)
        self.check_numbers()

    @property
    def generator_size(self) -> int:
        """The number n of the generator's coordinates."""
        return len(self.A1)

    @property
    def start(self) -> Players:
        """Initial states of both players."""
        return self.split(self.initial)

    @property
    def is_zero_sum(self) -> bool:
        """Whether the players' couplings are opposite, B2 = -B1'."""
        return bool(np.array_equal(self.B2, -self.B1.T))

    def split(self, z: Array) -> Players:
        """The players' parts of joint states `[..., n + m]`."""
        return Players(z[..., : self.generator_size], z[..., self.generator_size :])

    def pair(self) -> QuadraticPair:
        return QuadraticPair(self)

    def linearisation(self) -> Linear:
        """The flow z' = J z + b, which is linear."""
        cells = self.cells({}, 1)
        return Linear(cells.linear.jacobian[0], cells.linear.offset[0], self.generator_size)

    def equilibrium(self) -> Players:
        """Where both players rest.

        Raises:
            NoUniqueEquilibrium: If there is no such point, or more than one.
        """
        cells = self.cells({}, 1)
        if not cells.unique[0]:
            raise NoUniqueEquilibrium(no_equilibrium(cells))
        return self.split(cells.centre[0])

    def constants(self) -> Constants:
        """Moduli of convexity and cross-Lipschitz constants, which hold everywhere."""
        return Constants(*(float(values[0]) for values in self.cells({}, 1).constants))

    def suprema(self, horizon: float) -> Suprema:
        """Largest speeds and accelerations of both players along the exact flow up to a horizon.

        Computed on a fine grid and raised by what can hide between its points.
        """
        j, b, _ = self.linearisation()
        size = float(np.linalg.norm(j, 2))
        points = int(min(_MOST_POINTS, max(64, horizon * size / _FINE)))
        h = horizon / points
        velocity = (j @ self.initial + b)[:, None]
        power = expm(h * j)
        while velocity.shape[1] <= points:
            velocity = np.concatenate([velocity, power @ velocity], axis=1)
            power = power @ power
        velocity = velocity[:, : points + 1]
        hidden = (h * size) ** 2 / 8 * np.exp(h * size)
        found = []
        for rows in (velocity, j @ velocity):
            slack = hidden * float(np.max(np.linalg.norm(rows, axis=0)))
            found.append(Players(*(float(np.max(np.linalg.norm(part, axis=1))) + slack for part in self.split(rows.T))))
        return Suprema(*found)

    def slowest_period(self) -> float:
        """Period of the slowest rotation of the flow; NaN where nothing rotates."""
        period = float(slowest_periods(np.linalg.eigvals(self.linearisation().jacobian)[None].astype(np.complex128))[0])
        return period if np.isfinite(period) else np.nan

    def check_varied(self, name: str, values: Any) -> Array:
        n, m = self.generator_size, len(self.A2)
        shapes = dict(zip(self.arrays, [(n, n), (n, m), (m, m), (m, n), (n,), (m,), (n + m,)], strict=True))
        array, shape = real_array(name, values), shapes[name]
        as_numbers = array.ndim == 1 and np.prod(shape) == 1
        if not as_numbers and (array.ndim == 0 or array.shape[1:] != shape):
            raise ParameterError(
                name, f"shape {array.shape}", f"an array of shape (cells, {', '.join(map(str, shape))})"
            )
        if name in ("A1", "A2") and not as_numbers:
            for matrix in array:
                _symmetric(name, matrix)
        return array

    def cells(self, over: Mapping[str, Array], count: int) -> Cells:
        """The games of a batch; checked parameters that vary, and the number of cells."""

        def column(name: str) -> Array:
            own = np.asarray(getattr(self, name), np.float64)
            given = over.get(name)
            return np.broadcast_to(own, (count, *own.shape)) if given is None else given.reshape(count, *own.shape)

        a1, a2 = column("A1"), column("A2")
        a1, a2 = (a1 + np.swapaxes(a1, 1, 2)) / 2, (a2 + np.swapaxes(a2, 1, 2)) / 2
        matrix = np.concatenate(
            [np.concatenate([a1, column("B1")], axis=2), np.concatenate([column("B2"), a2], axis=2)], axis=1
        )
        offset = np.concatenate([column("c1"), column("c2")], axis=1)
        eta = [column("generator_lr"), column("discriminator_lr")]
        speeds = np.concatenate([np.tile(e[:, None], (1, a.shape[1])) for e, a in zip(eta, (a1, a2), strict=True)], 1)
        return Cells.of(matrix, offset, speeds, column("initial"), self.generator_size)

    def trajectories(self, request: Request) -> dict[str, Variable]:
        cells = self.cells(request.over, request.cells)
        states = linear_engine.trajectories(request, cells.linear, cells.start)
        distance, lyapunov = cells.distances(states)
        variables: dict[str, Variable] = {
            "generator": (("time", "generator_axis"), states[:, None, :, : self.generator_size]),
            "discriminator": (("time", "discriminator_axis"), states[:, None, :, self.generator_size :]),
            "distance": (("time",), distance[:, None]),
            "lyapunov": (("time",), lyapunov[:, None]),
        }
        gap = cells.saddle_gaps(states)
        if not np.all(np.isnan(gap)):
            variables["saddle_gap"] = (("time",), gap[:, None])
        return variables

    def states(self, run: Any) -> tuple[Array, Array]:
        return run.generator.values, run.discriminator.values

    def tracked_runs(self, run: Any) -> Tracked:
        parts = [each_run(run, name, "time", f"{name}_axis") for name in ("generator", "discriminator")]
        z = np.concatenate(parts, axis=-1)
        cells = self.cells(varied_runs(run), len(z))
        away, nowhere = cells.displacements(z), ~cells.exists
        away[nowhere] = z[nowhere] - cells.centre[nowhere, None]  # from the point where the field is weakest
        with np.errstate(over="ignore", invalid="ignore"):
            size, distance = (np.sqrt(np.einsum("ctk,ctk->ct", values, values)) for values in (z, away))
        none, never = np.full(len(z), None), np.zeros(len(z), bool)
        return Tracked(distance, size, z, distance[:, 0], none, algebraic=never)

    def rotation(self, run: Any) -> float:
        del run
        return self.slowest_period()

    def predict(
        self, level: str | None = None, rule: str | None = None, step_size: float | None = None, **options: Any
    ) -> Prediction:
        del options  # there are none
        from ganscope.games.dualflow.quadratic import prediction as quadratic_prediction

        return quadratic_prediction.predict(self, level, rule, step_size)

    def predict_cells(
        self, over: Mapping[str, Any], level: str | None, rule: str | None, step_size: float | None, **options: Any
    ) -> Predictions:
        del options  # there are none
        from ganscope.games.dualflow.quadratic import prediction as quadratic_prediction

        return quadratic_prediction.predict_cells(self, over, level, rule, step_size)

    def smooth_field(
        self, level: str | None = None, rule: str | None = None, step_size: float | None = None, start: Any = None
    ) -> SmoothField:
        from ganscope.games.dualflow.branch import quadratic_field

        return quadratic_field(self, level, rule, step_size, start)

    def linear_spectrum(self, at: Any = None, rule: str | None = None, **options: Any) -> Spectrum:
        """Eigenvalues of the flow, or multipliers of a scheme; the same at every point.

        Args:
            at: Ignored.
            rule: None or "flow" for the flow, otherwise a scheme.
            options: `step_size` (0.02), `order`, `discriminator_steps` of the scheme.

        Raises:
            StepTooLarge: If a step of the scheme has no solution.
        """
        del at
        return scheme_spectrum(self.linearisation(), rule, options)


def saddle_gap(game: QuadraticGame, x: npt.ArrayLike, y: npt.ArrayLike) -> Array:
    """How much both players together could still gain against the other's state: zero exactly at equilibrium.

    With U(x, y) = x'A1 x / 2 + c1.x + x'B1 y - y'A2 y / 2 - c2.y it is max U(x, .) - min U(., y).

    Args:
        game: A zero-sum quadratic game, B2 = -B1', with positive definite A1 and A2.
        x: Generator states, shape `[..., n]`; a number if n = 1.
        y: Discriminator states, shape `[..., m]`; a number if m = 1.

    Returns:
        Shape `[...]`, >= 0.

    Raises:
        NotApplicable: For other games.
        ParameterError: If a shape does not fit.

    References:
        Isobe, Shimoyama. On gradient descent-ascent flows in metric spaces. 2025.
    """
    if not isinstance(game, QuadraticGame):
        raise NotApplicable(f"the saddle gap is for quadratic games, not {type(game).__name__}")
    lam1, lam2, _, _ = game.constants()
    if not game.is_zero_sum or lam1 <= 0 or lam2 <= 0:
        raise NotApplicable("the saddle gap needs a zero-sum game (B2 = -B1') with positive definite A1 and A2")
    parts = []
    for name, value, size in (("x", x, game.generator_size), ("y", y, len(game.A2))):
        array = np.atleast_1d(real_array(name, value))
        if array.shape[-1] != size:
            raise ParameterError(name, f"shape {array.shape}", f"an array of shape (..., {size})")
        parts.append(array)
    first, second = parts[0], parts[1]
    lead = np.broadcast_shapes(first.shape[:-1], second.shape[:-1])
    z = np.concatenate([np.broadcast_to(p, (*lead, p.shape[-1])) for p in (first, second)], axis=-1)
    gaps = game.cells({}, 1).saddle_gaps(z.reshape(1, -1, z.shape[-1]))
    return np.asarray(gaps.reshape(lead)[()])


def _square(name: str, value: Any) -> Array:
    array = real_array(name, value)
    array = array.reshape(1, 1) if array.ndim == 0 else array
    if array.ndim != 2 or array.shape[0] != array.shape[1] or array.size == 0:
        raise ParameterError(name, f"shape {array.shape}", "a number or a square matrix")
    return _symmetric(name, array)


def _symmetric(name: str, matrix: Array) -> Array:
    """A matrix whose two halves are equal but for rounding, made exactly equal."""
    if np.max(np.abs(matrix - matrix.T)) > _ASYMMETRY * np.max(np.abs(matrix)):
        raise ParameterError(name, matrix, "a symmetric matrix")
    return np.asarray((matrix + matrix.T) / 2)


def _shaped(name: str, value: Any, shape: tuple[int, ...]) -> Array:
    array = real_array(name, value)
    if array.ndim == 0 and all(length == 1 for length in shape):
        array = array.reshape(shape)
    if array.shape != shape:
        raise ParameterError(name, f"shape {array.shape}", f"an array of shape {shape}, as A1 and A2 say")
    return array


def _start(value: Any, n: int, m: int) -> Array:
    """A start as one array, from a pair of arrays or from n + m numbers."""
    if isinstance(value, list | tuple) and len(value) == 2:
        parts = [np.atleast_1d(real_array("initial", part)) for part in value]
        if (parts[0].shape, parts[1].shape) == ((n,), (m,)):
            return np.concatenate(parts)
        raise ParameterError("initial", value, f"a pair of arrays of shapes ({n},) and ({m},)")
    array = real_array("initial", value)
    if array.shape != (n + m,):
        raise ParameterError("initial", f"shape {array.shape}", f"a pair of arrays of shapes ({n},) and ({m},)")
    return array
