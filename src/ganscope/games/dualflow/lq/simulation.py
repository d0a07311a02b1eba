"""Runs of the linear-quadratic GAN: from a request to the compiled engine and back to named variables."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ganscope.core.game import Request, Variable
from ganscope.games.dualflow.failures import NashNotConverged, StepTooLarge
from ganscope.games.dualflow.game import fail
from ganscope.games.dualflow.levels import (
    EXPLICIT_SEQUENTIAL,
    FLOW,
    JKO,
    JKO_SEQUENTIAL,
    NASH,
    NASH_ROUNDS,
    NASH_TOLERANCE,
    ORDERS,
    check_options,
    step_of,
    stride_arrays,
)
from ganscope.games.dualflow.lq.engine import NO_NASH, TOO_LARGE, run_flow, run_scheme
from ganscope.games.dualflow.lq.gaussian import factor_of, factor_w2
from ganscope.games.dualflow.lq.state import LqState

if TYPE_CHECKING:
    from ganscope.games.dualflow.lq.model import QuadraticGAN

Array = npt.NDArray[np.float64]

# Singular values below this share of the largest one do not count towards the rank of a factor.
_RANK = 1e-12
# Entries that should vanish, relative to the size of the matrix, for the invariant to exist.
_COMMUTES = 1e-12


def rank_of(factor: Array) -> int:
    """Rank of a factor."""
    values = np.linalg.svd(factor, compute_uv=False)
    return int(np.sum(values > _RANK * values[0])) if values[0] > 0 else 0


def reduced(factor: Array) -> tuple[Array, Array]:
    """A factor as the product of one with as many columns as its rank (at least one) and orthonormal rows.

    Steps act on the left, so that the second part never changes, and no rounding error adds a rank.
    """
    rank = max(1, rank_of(factor))
    if rank == factor.shape[1]:
        return factor, np.eye(rank)
    left, values, right = np.linalg.svd(factor, full_matrices=False)
    return left[:, :rank] * values[:rank], right[:rank]


def trajectories(game: "QuadraticGAN", request: Request) -> dict[str, Variable]:
    """Run a request and label the result."""
    options = check_options(request.options)
    names = ("generator_lr", "discriminator_lr", "linear_penalty", "quadratic_penalty")
    columns = np.stack([game.column(request, name) for name in names], axis=1)
    cells = [_Cell(game, request.over, k, columns[k]) for k in range(request.cells)]
    numbers = np.stack([cell.numbers for cell in cells])
    widest = max(cell.right.shape[1] for cell in cells)
    records, d = len(request.schedule.times), game.axes
    values: dict[str, Array] = {
        "mean": np.full((len(cells), records, d), np.nan),
        "covariance": np.full((len(cells), records, d, d), np.nan),
        "factor": np.full((len(cells), records, d, widest), np.nan),
        "linear": np.full((len(cells), records, d), np.nan),
        "quadratic": np.full((len(cells), records, d, d), np.nan),
    }
    ranks: npt.NDArray[np.int64] = np.array([cell.left.shape[1] for cell in cells])
    for rank in sorted(set(ranks.tolist())):
        which = np.flatnonzero(ranks == rank)
        states = _run(game, request, options, [cells[k] for k in which], numbers[which], which, rank)
        for cell, record in zip(which.tolist(), states, strict=True):
            _fill(values, cell, record, d, rank, cells[cell].right)
    means, factors = np.stack([cell.target_mean for cell in cells]), np.zeros((len(cells), 1, d, d))
    for k, one in enumerate(cells):
        factors[k, 0, :, : one.target_factor.shape[1]] = one.target_factor
    values["w2"] = factor_w2(values["mean"] - means[:, None], values["factor"], factors)
    with np.errstate(over="ignore", invalid="ignore"):
        sizes = np.sum(values["linear"] ** 2, axis=-1) + np.sum(values["quadratic"] ** 2, axis=(-2, -1))
        values["distance"] = np.sqrt(values["w2"] ** 2 + sizes)
    invariants = [_invariant(cell, values, k) for k, cell in enumerate(cells)]
    if any(row is not None for row in invariants):
        values["invariant"] = np.stack([np.full(records, np.nan) if row is None else row for row in invariants])
    dims = {
        "mean": ("time", "axis"),
        "covariance": ("time", "axis", "other_axis"),
        "factor": ("time", "axis", "column"),
        "linear": ("time", "axis"),
        "quadratic": ("time", "axis", "other_axis"),
    }
    return {name: (dims.get(name, ("time",)), array[:, None]) for name, array in values.items()}


class _Cell:
    """The start and the numbers of one cell."""

    def __init__(self, game: "QuadraticGAN", over: Mapping[str, Array], k: int, numbers: Array) -> None:
        def own(name: str) -> Any:
            return over[name][k] if name in over else getattr(game, name)

        self.target_mean, self.target_covariance = own("target_mean"), own("target_covariance")
        self.target_factor = factor_of(self.target_covariance)
        self.speeds, penalties = numbers[:2], numbers[2:]
        self.quadratic_penalty = float(penalties[1])
        moment = self.target_covariance + np.outer(self.target_mean, self.target_mean)
        self.numbers = np.concatenate([numbers, self.target_mean, moment.ravel()])
        if "covariance" in over:
            self.factor: Array = factor_of(over["covariance"][k])
        else:
            self.factor = over["factor"][k] if "factor" in over else game.initial_factor
        self.left, self.right = reduced(self.factor)
        mean = own("mean")
        if game.initial_discriminator == "equilibrium":
            gap = (moment - (self.factor @ self.factor.T + np.outer(mean, mean))) / (2 * penalties[1])
            self.start = LqState(mean, self.left, (self.target_mean - mean) / penalties[0], gap)
        else:
            start = game.state_at(mean, self.factor)
            self.start = LqState(mean, self.left, start.linear, start.quadratic)

    @property
    def flat(self) -> Array:
        """The start as the engine wants it."""
        start = self.start
        return np.concatenate([start.mean, start.factor.ravel(), start.linear, start.quadratic.ravel()])


def _run(
    game: "QuadraticGAN",
    request: Request,
    options: dict[str, Any],
    cells: list[_Cell],
    numbers: Array,
    which: npt.NDArray[np.int64],
    rank: int,
) -> Array:
    """States `[cells, records, size]` of cells of one rank; NaN after an end."""
    start = np.stack([cell.flat for cell in cells])
    sizes = np.array([game.axes, rank])
    status = np.zeros(len(cells), np.int64)
    out = np.full((len(cells), len(request.schedule.times), start.shape[1]), np.nan)
    if request.level == FLOW:
        run_flow(start, numbers, sizes, np.array(request.schedule.times), options["tolerance"], out, status)
        return out
    counts, steps = stride_arrays(request)
    flags = np.array(
        [
            request.level in (JKO, JKO_SEQUENTIAL, NASH),
            request.level in (EXPLICIT_SEQUENTIAL, JKO_SEQUENTIAL),
            request.level == NASH,
            options.get("order") == ORDERS[1],
            options.get("discriminator_steps", 1),
        ],
        np.int64,
    )
    change = np.zeros(len(cells))
    run_scheme(start, numbers, sizes, counts, steps, flags, NASH_ROUNDS, NASH_TOLERANCE, out, status, change)
    for k, cell in enumerate(which):
        if status[k] == TOO_LARGE:
            error: Exception = StepTooLarge(
                "the generator's proximal problem is not strictly convex: step_size * generator_lr times the largest "
                "eigenvalue of the discriminator's W reached 1; reduce step_size"
            )
            fail(request, int(cell), error)
        elif status[k] == NO_NASH:
            bound = np.inf
            if not request.over:
                begin = cells[k].start
                x, y = [begin.mean, cells[k].factor.ravel()], [begin.linear, begin.quadratic.ravel()]
                bound = game.pair().contraction(np.concatenate(x), np.concatenate(y), step_of(request.step_size))
            fail(request, int(cell), NashNotConverged(NASH_ROUNDS, float(change[k]), bound))
    return out


def _fill(values: dict[str, Array], k: int, record: Array, d: int, rank: int, right: Array) -> None:
    """Take the states of one cell apart."""
    count, laws = len(record), d + d * rank
    left = record[:, d:laws].reshape(count, d, rank)
    values["mean"][k], values["linear"][k] = record[:, :d], record[:, laws : laws + d]
    values["quadratic"][k] = record[:, laws + d :].reshape(count, d, d)
    with np.errstate(over="ignore", invalid="ignore"):
        values["covariance"][k] = left @ np.swapaxes(left, -2, -1)
        factor = left if right.shape[0] == right.shape[1] else left @ right
    values["factor"][k] = np.where(np.isnan(record[:, :1, None]), np.nan, 0.0)
    values["factor"][k, :, :, : factor.shape[2]] = factor


def _invariant(cell: _Cell, values: dict[str, Array], k: int) -> Array | None:
    r"""$|W|^2 / (2 discriminator_lr) + (tr S - tr(S* log S)) / (4 generator_lr)$, where the flow conserves it.

    That is: without quadratic penalty, both laws centred at 0, the generator of full rank, and S and W commuting with
    the target's covariance from the start; on a line they always do, as they do for a target that is alike in all
    directions.
    """
    start, target = cell.start, cell.target_covariance
    centred = not (np.any(cell.target_mean) or np.any(start.mean) or np.any(start.linear))
    if cell.quadratic_penalty != 0 or not centred or cell.left.shape[1] < len(target) or rank_of(cell.left) == 0:
        return None
    if np.ptp(np.linalg.eigvalsh(target)) > _COMMUTES * np.trace(target):
        for matrix in (cell.left @ cell.left.T, start.quadratic):
            if np.max(np.abs(matrix @ target - target @ matrix)) > _COMMUTES * np.max(np.abs(matrix)) * np.trace(
                target
            ):
                return None
        if np.max(np.abs(start.quadratic @ start.covariance - start.covariance @ start.quadratic)) > _COMMUTES:
            return None
    with np.errstate(over="ignore"):
        squares = np.sum(values["quadratic"][k] ** 2, axis=(-2, -1))
    covariance = values["covariance"][k]
    result = np.full(len(covariance), np.nan)
    fine = np.isfinite(covariance).all(axis=(-2, -1)) & np.isfinite(squares)
    scales, vectors = np.linalg.eigh(covariance[fine])
    weights = np.sum(vectors * (target @ vectors), axis=-2)
    with np.errstate(divide="ignore", invalid="ignore"):
        energy = np.sum(scales - weights * np.log(scales), axis=-1)
    result[fine] = squares[fine] / (2 * cell.speeds[1]) + energy / (4 * cell.speeds[0])
    return result
