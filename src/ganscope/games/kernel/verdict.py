"""The verdict on a run of the kernel GAN: where it ends, and how it gets there.

A run that settles is judged by its end: which true points are covered, whether surplus points stand apart around one of
them. A run that does not is judged by its tail: a cycle, a drift, or nothing that can be told yet. Beside an
equilibrium, `local_motion` reads the leading multipliers off the trajectory.
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ganscope.analysis.linear_prediction import recurrence_roots
from ganscope.core.errors import NotApplicable, ParameterError
from ganscope.core.outcome import Outcome, Verdict, Verdicts, columns, undecided_cells
from ganscope.core.results import stacked, varied_values
from ganscope.dynamics.rules import FLOW
from ganscope.games.kernel.equilibria import DENSE, newton
from ganscope.games.kernel.good_minimum import disc_multipliers, length_scale
from ganscope.games.kernel.landscape import describe

if TYPE_CHECKING:
    from ganscope.games.kernel.model import KernelGAN

Array = npt.NDArray[np.float64]

FEWEST_RECORDS = 100
# Points beyond this many bandwidths from all data have escaped.
_ESCAPED = 1e6
# Equilibrium points this close, in bandwidths, are one neighbourhood.
_TOGETHER = 1e-6
# Records of linear motion without which nothing is said about it.
_FEWEST_LINEAR = 6
# The tail of a run, as a share of its records, and the windows whose largest distances are compared.
_TAIL = 0.2
_EARLY, _LATE = (0.1, 0.4), 0.3
# In bandwidths: movement that counts as rest; a start this close to the equilibrium is a perturbation, judged only
# while it stays close; distances below the last one are rounding.
_REST, _SMALL, _LINEAR, _ROUNDING = 1e-3, 1e-3, 0.1, 1e-13
# The end must be this much closer than before to be called an approach.
_APPROACH = 0.9
# Growth of the discriminator's distance from the best one that no bounded orbit shows.
_BLOWN_UP = 1e6
# A movement that fades by less than this from one fifth of a run to the next is a cycle.
_FADING = 0.97
# Bandwidths that a point must cover in the last fifth to be called propelled.
_FAR = 0.5
# Share of a drift in the movement of the tail above which it is called one.
_STEADY = 0.9


@dataclass(frozen=True)
class LocalMotion:
    """Motion near an equilibrium, read off a trajectory.

    Attributes:
        label: `converge_` or `diverge_`, `monotone` or `oscillatory`; `undecided` if the record is too short.
        multipliers: Leading roots of the recurrence of the displacements, per record.
        growth: Largest distance late in the linear part over that early in it.
    """

    label: str
    multipliers: npt.NDArray[np.complex128]
    growth: float


def local_motion(game: "KernelGAN", points: Array, equilibrium: Array, rule: str) -> LocalMotion:
    """Whether a trajectory grows or shrinks near an equilibrium, and whether it turns.

    Args:
        game: The game.
        points: Trajectory, equally spaced, shape `[records, M, axes]`.
        equilibrium: Shape `[M, axes]`.
        rule: Its update rule, which says how many modes a coordinate has.
    """
    length = length_scale(game.kernel)
    away = (points - equilibrium) / length
    distance = np.sqrt(np.sum(away**2, axis=(1, 2)))
    keep = len(distance)
    if distance[0] < _SMALL:
        keep = min(keep, _first(distance > _LINEAR, keep))
    still_to_come = np.maximum.accumulate(distance[::-1])[::-1]
    keep = min(keep, _first(still_to_come < _ROUNDING, keep))
    distance, away = distance[:keep], away[:keep]
    if keep < _FEWEST_LINEAR:
        return LocalMotion("undecided", np.full(2, np.nan, np.complex128), math.nan)
    early = distance[int(_EARLY[0] * keep) : int(_EARLY[1] * keep)].max()
    growth = float(distance[-max(1, int(_LATE * keep)) :].max() / early) if early > 0 else math.nan
    order = 4 if rule in ("optimistic", "heavy_ball") else 2
    start = int(0.3 * keep)
    if np.max(np.ptp(equilibrium, axis=0)) < _TOGETHER * length:  # one neighbourhood: its centre, and all else
        mean = np.einsum("kja,j->ka", away, game.generated_mass / game.generated_mass.sum())
        candidates = [recurrence_roots(mean[start:], order)]
        if len(equilibrium) > 1:
            relative = (away - mean[:, None])[start:].reshape(keep - start, -1)
            candidates.append(recurrence_roots(relative, order // 2))
    else:
        candidates = [recurrence_roots(away[start:].reshape(keep - start, -1), order)]
    roots = max(candidates, key=lambda r: float(np.abs(r[0])) if np.isfinite(r[0]) else -1.0)
    if not np.isfinite(roots[0]):
        return LocalMotion("undecided", roots, growth)
    turns = abs(roots[0].imag) > 1e-6 * max(1.0, abs(roots[0]))
    word = "diverge" if growth > 1 else "converge"
    return LocalMotion(f"{word}_{'oscillatory' if turns else 'monotone'}", roots, growth)


def _first(condition: npt.NDArray[np.bool_], none: int) -> int:
    found = np.flatnonzero(condition)
    return int(found[0]) if len(found) else none


def classify(game: "KernelGAN", run: Any) -> Verdict:
    """The verdict on one run.

    Raises:
        ParameterError: If the run has no generated points over time.
    """
    points, gap = _recorded(game, run)
    if points.shape[1] < FEWEST_RECORDS:
        reason = f"{points.shape[1]} records; a verdict needs at least {FEWEST_RECORDS}"
        return Verdict(Outcome.UNDECIDED, "unknown", math.nan, (reason,))
    return _judge(game, points[0], gap[0], str(run.attrs.get("rule", FLOW)))


def classify_cells(game: "KernelGAN", run: Any) -> Verdicts:
    """The verdicts on all cells of a batch, as `classify` gives them, one after the other: each has its equilibrium.

    Raises:
        ParameterError: If the run has no generated points over time.
    """
    points, gap = _recorded(game, run)
    if points.shape[1] < FEWEST_RECORDS:
        return undecided_cells(len(points))
    varied, rule = varied_values(run), str(run.attrs.get("rule", FLOW))
    rows = [{name: values[k] for name, values in varied.items()} for k in range(len(points))]
    said = [_judge(game.replace(**row), points[k], gap[k], rule) for k, row in enumerate(rows)]
    outcome, detail, margin, near_critical = columns(said)
    return Verdicts(outcome, detail, margin, near_critical, votes=outcome[:, None])


def _recorded(game: "KernelGAN", run: Any) -> tuple[Array, Array]:
    """Points `[cells, records, M, axes]` and discriminator gaps `[cells, records]` of a run, NaN where not recorded.

    Raises:
        ParameterError: If the run has no generated points over time, of the game's shape.
    """
    if "generated_points" not in run or "time" not in run.generated_points.dims:
        raise ParameterError("run", list(run.data_vars), "a run of the kernel GAN, with generated_points over time")
    if set(run.generated_points.dims) - {"cell"} != {"time", "point", "axis"}:
        raise ParameterError("run", run.generated_points.dims, "generated_points with dimensions time, point and axis")
    points = stacked(run, "generated_points", "time", "point", "axis")[:, 0]
    if points.shape[2:] != game.generated_points.shape:
        raise ParameterError("run", f"points of shape {points.shape[2:]}", f"all of {game.generated_points.shape}")
    known = "discriminator_gap" in run
    return points, stacked(run, "discriminator_gap", "time")[:, 0] if known else np.full(points.shape[:2], np.nan)


def _judge(game: "KernelGAN", points: Array, gap: Array, rule: str) -> Verdict:
    """The verdict on one run, from its points `[records, M, axes]` and the gap of its discriminator `[records]`."""
    length = length_scale(game.kernel) if game.kernel.differentiable else game.bandwidth
    away = np.abs(points - game.real_points.mean(axis=0)).max(axis=(1, 2))
    limit = _ESCAPED * max(length, float(np.ptp(game.real_points, axis=0).max()))
    if not np.all(np.isfinite(points)):
        last = int(np.argmin(np.isfinite(away)))
        return Verdict(Outcome.DIVERGED, "nonfinite", math.nan, (f"not finite from record {last} on",))
    if _overshoots(game, gap, rule):
        reason = f"the discriminator grows without bound: it forgets {game.forgetting:.3g} of itself per iteration"
        return Verdict(Outcome.DIVERGED, "diverging", math.nan, (reason,))
    if away.max() > limit:
        return Verdict(Outcome.DIVERGED, "escaped", math.nan, (f"points are {away.max():.3g} away from the data",))
    tail, before = _last_fifths(points)
    movement, earlier = _amplitude(tail) / length, _amplitude(before) / length
    reference = _reference(game, points[-1], length)
    settled = points[-1] if reference is None else reference
    distance = np.sqrt(np.sum((points - settled) ** 2, axis=(1, 2))) / length
    late, early = (distance[a:b].max() for a, b in _windows(len(distance)))
    if movement < _REST:
        if distance[0] < _SMALL and late > early and distance[-1] > 10 * _ROUNDING:
            return _leaving(game, points, settled, rule, late / early)
        return _settled(game, points, settled, rule, distance, movement)
    if reference is not None and late < _APPROACH * early and movement < _FADING * earlier:
        return _settled(game, points, settled, rule, distance, movement)
    return _restless(game, points, tail, length, movement, earlier)


def _last_fifths(points: Array) -> tuple[Array, Array]:
    """The last fifth of the records, and the fifth before."""
    count = max(2, int(_TAIL * len(points)))
    return points[-count:], points[-2 * count : -count]


def _overshoots(game: "KernelGAN", gap: Array, rule: str) -> bool:
    """Whether the discriminator blows up, where its generated points do not feel it any more."""
    if np.all(np.isnan(gap)):
        return rule != FLOW and float(np.max(np.abs(disc_multipliers(game.forgetting, rule)))) > 1 + 1e-9
    late, early = (gap[a:b].max() for a, b in _windows(len(gap)))
    return not np.isfinite(late) or bool(late > _BLOWN_UP * max(early, gap[0]))


def _windows(records: int) -> tuple[tuple[int, int], tuple[int, int]]:
    return (records - max(1, int(_LATE * records)), records), (int(_EARLY[0] * records), int(_EARLY[1] * records))


def _amplitude(tail: Array) -> float:
    """Largest amplitude of a point over the tail: sqrt(2) times the deviation, summed over the axes in square."""
    return float(np.sqrt(2 * tail.var(axis=0).sum(axis=-1)).max())


def _reference(game: "KernelGAN", points: Array, length: float) -> Array | None:
    """The equilibrium next to where a run ended, if there is one within a bandwidth."""
    if points.size > DENSE or game.regularization == 0:
        return None
    try:
        root = newton(game, points)
    except (NotApplicable, ParameterError, np.linalg.LinAlgError):
        return None
    near = float(np.max(np.abs(root.state - points))) <= length
    state: Array = root.state
    return state if near and root.converged else None


def _settled(game: "KernelGAN", points: Array, settled: Array, rule: str, distance: Array, movement: float) -> Verdict:
    """A run that rests, or approaches rest."""
    end = describe(game, settled)
    detail = end.detail
    if end.outcome is Outcome.CONVERGED:
        motion = local_motion(game, points, settled, rule)
        if _algebraic(distance):
            detail = "algebraic"
        elif motion.label.startswith("converge"):
            detail = motion.label
        else:
            detail = "converging"
    reasons = (*end.reasons, f"movement over the last fifth: {movement:.2g} bandwidths")
    return Verdict(end.outcome, detail, end.margin, reasons, end.near_critical)


def _algebraic(distance: Array) -> bool:
    """Whether distances fall like a power of time rather than exponentially: log-log is straighter than log."""
    k = np.arange(len(distance))
    keep = (k >= max(1, len(k) // 10)) & (distance > _ROUNDING)
    if np.sum(keep) < 20 or distance[keep][-1] > 0.98 * distance[keep][0]:
        return False
    y, k = np.log(distance[keep]), k[keep]
    power, exponential = (np.polyfit(x, y, 1, full=True)[1] for x in (np.log(k), k.astype(float)))
    return bool(len(power) and len(exponential) and power[0] < 0.1 * exponential[0])


def _leaving(game: "KernelGAN", points: Array, settled: Array, rule: str, growth: float) -> Verdict:
    """A small perturbation of an equilibrium that grows, too slowly to tell where to."""
    motion = local_motion(game, points, settled, rule)
    reason = f"the distance from the equilibrium grew {growth:.3g} times"
    if motion.label.endswith("oscillatory"):
        return Verdict(Outcome.OSCILLATING, "diverge_oscillatory", math.nan, (f"{reason}, turning",))
    root = motion.multipliers[0]
    if np.isfinite(root) and root.real < 0:
        return Verdict(Outcome.OSCILLATING, "flip", math.nan, (f"{reason}, changing sides",))
    return Verdict(Outcome.UNDECIDED, "diverge_monotone", math.nan, (f"{reason}; where to is not seen yet",))


def _restless(game: "KernelGAN", points: Array, tail: Array, length: float, movement: float, earlier: float) -> Verdict:
    """A run that neither rests nor approaches a known place of rest."""
    steps = np.diff(tail, axis=0).reshape(len(tail) - 1, -1)
    path, way = np.abs(steps).sum(axis=0), np.abs(steps.sum(axis=0))
    fastest = int(np.argmax(path))
    if way[fastest] > _STEADY * path[fastest]:
        speeds = np.abs(steps[:, fastest])
        middle = len(speeds) // 2
        if speeds[middle:].mean() > _STEADY * speeds[:middle].mean() and way[fastest] > _FAR * length:
            return Verdict(
                Outcome.OSCILLATING, "propelled", math.nan, ("a generated point moves on at a steady speed",)
            )
        reason = f"points still move one way, {movement:.2g} bandwidths in the last fifth: the run is too short"
        return Verdict(Outcome.UNDECIDED, "unknown", math.nan, (reason, *describe(game, points[-1]).reasons))
    reason = f"amplitude {movement:.3g} bandwidths over the last fifth, {earlier:.3g} over the one before"
    if movement < _FADING * earlier:
        return Verdict(Outcome.UNDECIDED, "unknown", math.nan, (reason, "it may come to rest: the run is too short"))
    return Verdict(Outcome.OSCILLATING, "limit_cycle", movement, (reason,))
