r"""Following the zeros of a smooth residual F(u, p) through a parameter, around folds, with the bifurcations met.

A branch is followed by its arc length: a step along the tangent, then Newton's shortest correction (the Moore-Penrose
inverse of the slope), so that a fold is nothing special. Lengths along the arc are those of
(u / scale, (p - low) / (high - low)). A symmetry that turns a zero into a continuum of zeros gives the slope zero
singular values; their number is counted, no step goes along them, and the result states it.

    fold             the tangent's share of the parameter changes sign
    branch_point     a real eigenvalue passes 0 (a multiplier 1) without a fold: transcritical, pitchfork
    hopf             a pair of complex eigenvalues of a flow passes the imaginary axis
    neimark_sacker   a pair of complex multipliers of a map passes the unit circle
    flip             a real multiplier of a map passes -1

References:
    Allgower, Georg. Introduction to Numerical Continuation Methods. SIAM 2003.
    Kuznetsov. Elements of Applied Bifurcation Theory. Springer 2004.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from ganscope.analysis import bifurcations
from ganscope.analysis.bifurcations import Bifurcation
from ganscope.analysis.linearisation import jacobian as differences
from ganscope.core.errors import NotApplicable, ParameterError

Array = npt.NDArray[np.float64]
Complex = npt.NDArray[np.complex128]

# Singular values of the slope below this share of the largest belong to neutral directions.
_RANK = 1e-9
_FLAT = 1e-11
_NEWTON_STEPS = 12
# Arc length, of the parameter's whole range, at which a branch is given up.
_SHORTEST = 1e-9
# Cosine between the tangents of neighbouring points, at least.
_STRAIGHT = 0.94
# Relative step of differences along the parameter.
_PARAMETER_STEP = 1e-4


@dataclass(frozen=True)
class Point:
    """A zero on a branch.

    Attributes:
        state: Shape `[n]`.
        parameter: Its value.
        values: Eigenvalues, or multipliers of a map.
        unstable: How many of them grow; neutral ones do not count.
        arc: Arc length from the start, negative in the backward direction.
        turn: The tangent's share of the parameter.
    """

    state: Array
    parameter: float
    values: Complex
    unstable: int
    arc: float
    turn: float


@dataclass(frozen=True)
class Branch:
    """A branch of zeros, by increasing arc length.

    Attributes:
        points: The zeros.
        bifurcations: What happens between them, in the same order.
        neutral: Number of directions along which zeros form a continuum.
        ends: Why each direction stopped, backward first: `range`, `closed`, `left`, `step`, `points`.
        evaluations: How often the residual was asked for.
    """

    points: list[Point]
    bifurcations: list[Bifurcation]
    neutral: int
    ends: tuple[str, str]
    evaluations: int


@dataclass
class Curve:
    """A residual on scaled coordinates w = (u / scale, (p - low) / width), and how to return to its zeros."""

    residual: Callable[[Array, float], Array]
    jacobian: Callable[[Array, float], Array] | None
    low: float
    width: float
    scale: float
    tolerance: float
    rank: int = 0
    evaluations: int = field(default=0)

    def value(self, w: Array) -> Array:
        """F at a scaled point."""
        self.evaluations += 1
        return np.asarray(self.residual(w[:-1] * self.scale, self.parameter(w)), np.float64)

    def parameter(self, w: Array) -> float:
        """p of a scaled point; within the range up to rounding."""
        return float(min(max(self.low + w[-1] * self.width, self.low), self.low + self.width))

    def state_slope(self, u: Array, p: float) -> Array:
        """dF/du."""
        if self.jacobian is not None:
            return np.asarray(self.jacobian(u, p), np.float64)
        return differences(lambda many: np.apply_along_axis(lambda one: self.residual(one, p), -1, many), u)

    def slope(self, w: Array) -> Array:
        """dF/dw, shape `[m, n + 1]`."""
        u, p = w[:-1] * self.scale, self.parameter(w)
        h = _PARAMETER_STEP * self.width
        if p - h < self.low or p + h > self.low + self.width:  # second order from within the range
            h = h if p - h < self.low else -h
            near = [self.residual(u, p + k * h) for k in (0, 1, 2)]
            along = (-3 * near[0] + 4 * near[1] - near[2]) / (2 * h)
        else:
            along = (self.residual(u, p + h) - self.residual(u, p - h)) / (2 * h)
        self.evaluations += 3
        return np.column_stack([self.state_slope(u, p) * self.scale, along * self.width])

    def split(self, slope: Array) -> tuple[Array, Array]:
        """Moore-Penrose inverse of a slope, and a basis of what it sends to zero (rows)."""
        left, sizes, right = np.linalg.svd(slope)
        r = self.rank
        # no step along a direction that is flat only here: at a branch point
        kept = sizes[:r] > _FLAT * max(float(sizes[0]), 1e-300)
        weight = np.where(kept, 1.0 / np.where(kept, sizes[:r], 1.0), 0.0)
        inverse = right[:r].T @ ((left[:, :r] * weight).T)
        return inverse, right[r:]

    def count(self, w: Array) -> int:
        """Rank of the slope."""
        sizes = np.linalg.svd(self.slope(w), compute_uv=False)
        return int(np.sum(sizes > _RANK * max(float(np.max(sizes, initial=0.0)), 1e-300)))

    def corrected(self, w: Array, fixed: bool = False) -> tuple[Array, int] | None:
        """The zero next to a point and the steps it took, None if there is none; `fixed`: at the same parameter."""
        size = math.inf
        for step in range(_NEWTON_STEPS):
            value = self.value(w)
            if not np.all(np.isfinite(value)):
                return None
            if fixed:
                slope = self.slope(w)[:, :-1]
                move = np.append(-np.linalg.lstsq(slope, value, rcond=_RANK)[0], 0.0)
            else:
                move = -self.split(self.slope(w))[0] @ value
            new = float(np.linalg.norm(move))
            if not new < max(4 * size, 0.5):  # False for NaN
                return None
            w, size = w + move, new
            if size <= self.tolerance * max(1.0, float(np.linalg.norm(w))):
                return w, step
        return (w, _NEWTON_STEPS) if size < 1e3 * self.tolerance else None

    def tangent(self, w: Array, like: Array) -> Array:
        """The unit tangent that continues another one."""
        _, basis = self.split(self.slope(w))
        along: Array = basis.T @ (basis @ like)
        size = float(np.linalg.norm(along))
        if size < 1e-8:
            along, size = basis[-1], 1.0
        return along / size


def follow(
    residual: Callable[[Array, float], Array],
    start: npt.ArrayLike,
    parameter: float,
    within: tuple[float, float],
    *,
    jacobian: Callable[[Array, float], Array] | None = None,
    values: Callable[[Array, float], npt.ArrayLike] | None = None,
    is_map: bool = False,
    scale: float | None = None,
    neutral: float = 1e-9,
    largest_step: float = 0.02,
    tolerance: float = 1e-11,
    most_points: int = 5000,
    inside: Callable[[Array], bool] | None = None,
    detect: bool = True,
) -> Branch:
    """The branch of zeros of F(u, p) through a start, in both directions, up to the ends of the parameter's range.

    Args:
        residual: F, from a state `[n]` and a number to `[m]`, usually m = n: a vector field, or G(u, p) - u for a map.
        start: State near a zero, shape `[n]`.
        parameter: Its parameter, within the range.
        within: Range (low, high) of the parameter; the residual is never asked for outside.
        jacobian: dF/du, `[m, n]`; None for central differences of fourth order.
        values: Eigenvalues of the linearised flow, or multipliers of the map, at a zero; None for those of dF/du (plus
            1 for a map).
        is_map: Whether the values are multipliers.
        scale: Length on which F varies with the state; None for the larger of 1 and the start's size.
        neutral: Distance from 0 (from 1) up to which values belong to a symmetry.
        largest_step: Longest step, as a share of the parameter's range and in units of the scale.
        tolerance: Scaled length of the last Newton step.
        most_points: Per direction.
        inside: Whether a state still belongs to the region of interest; None for everywhere.
        detect: Whether to look for bifurcations; folds are always found.

    Returns:
        The branch. Bifurcations are located to the precision of the values, folds to about the tolerance.

    Raises:
        ParameterError: If the range is empty, or the parameter outside.
        NotApplicable: If there is no zero near the start.
    """
    low, high = float(within[0]), float(within[1])
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ParameterError("range", within, "two finite numbers, the lower one first")
    if not low <= parameter <= high:
        raise ParameterError("parameter", parameter, f"a number from {low:g} to {high:g}")
    u = np.atleast_1d(np.asarray(start, np.float64))
    size = scale if scale is not None else max(1.0, float(np.max(np.abs(u), initial=0.0)))
    curve = Curve(residual, jacobian, low, high - low, size, tolerance)
    first = curve.corrected(np.append(u / size, (parameter - low) / (high - low)), fixed=True)
    if first is None:
        raise NotApplicable(f"no equilibrium found near the start at {parameter:g}: give another start")
    w, _ = first
    curve.rank = curve.count(w)
    tracker = _Tracker(curve, values, is_map, neutral, inside, largest_step, most_points, detect)
    axis = np.zeros(len(w))
    axis[-1] = 1.0
    if len(w) - 1 - np.linalg.matrix_rank(curve.slope(w)[:, :-1]) == 0:
        ahead = curve.tangent(w, axis)
    else:
        ahead = tracker.first_tangent(w, axis)
    origin = tracker.point(w, ahead, 0.0)
    forward, end = tracker.walk(w, ahead, 1)
    if end == "closed":
        backward, other = _Walk([], []), "closed"
    else:
        backward, other = tracker.walk(w, -ahead, -1)
    points = [*reversed(backward.points), origin, *forward.points]
    found = sorted([*backward.events, *forward.events], key=lambda event: event.arc)
    return Branch(points, found, len(w) - 1 - curve.rank, (other, end), curve.evaluations)


@dataclass
class _Walk:
    points: list[Point]
    events: list[Bifurcation]


@dataclass
class _Tracker:
    """One walk along a curve, with the events between its points."""

    curve: Curve
    given: Callable[[Array, float], npt.ArrayLike] | None
    is_map: bool
    neutral: float
    inside: Callable[[Array], bool] | None
    largest_step: float
    most_points: int
    detect: bool

    def values(self, w: Array) -> Complex:
        """Eigenvalues or multipliers at a zero."""
        if not self.detect:
            return np.zeros(0, np.complex128)
        u, p = w[:-1] * self.curve.scale, self.curve.parameter(w)
        if self.given is not None:
            return np.asarray(self.given(u, p), np.complex128)
        own = np.linalg.eigvals(self.curve.state_slope(u, p)).astype(np.complex128)
        return own + 1.0 if self.is_map else own

    def point(self, w: Array, tangent: Array, arc: float, sense: int = 1) -> Point:
        """A zero with everything that is reported of it."""
        values = self.values(w)
        unstable = int(np.sum(bifurcations.growing(values, self.is_map, self.neutral)))
        turn = sense * float(tangent[-1])
        return Point(w[:-1] * self.curve.scale, self.curve.parameter(w), values, unstable, arc, turn)

    def first_tangent(self, w: Array, axis: Array) -> Array:
        """The tangent at a start that may be a branch point: the rank is that of a neighbour."""
        ahead = self.curve.tangent(w, axis)
        for step in (1e-4, -1e-4):
            near = w + step * ahead
            if 0 <= near[-1] <= 1:
                zero = self.curve.corrected(near)
                if zero is not None:
                    self.curve.rank = max(self.curve.rank, self.curve.count(zero[0]))
                    return self.curve.tangent(zero[0], axis)
        return ahead

    def walk(self, w: Array, tangent: Array, sense: int) -> tuple[_Walk, str]:
        """Steps in one direction until something ends it."""
        done = _Walk([], [])
        arc, step = 0.0, self.largest_step / 4
        first, last = w, self.point(w, tangent, 0.0, sense)
        while len(done.points) < self.most_points:
            room = _room(w, tangent)
            if room <= 1e-14:
                return done, "range"
            ending = room <= step
            ahead = self._step(w, tangent, min(room, step), ending)
            if ahead is None:
                step /= 2
                if step < _SHORTEST:
                    return done, "step"
                continue
            new, way, steps = ahead
            length = min(room, step)
            if self.inside is not None and not self.inside(new[:-1] * self.curve.scale):
                if length <= 1e-6 * self.largest_step:
                    return done, "left"
                step = length / 2
                continue
            arc += float(np.linalg.norm(new - w))
            point = self.point(new, way, sense * arc, sense)
            done.events += self._events((w, tangent), (new, way), last, point, sense)
            done.points.append(point)
            if len(done.points) > 8 and np.linalg.norm(new - first) < 0.75 * length and _ahead_of(first, new, way):
                return done, "closed"
            w, tangent, last = new, way, point
            if ending:
                return done, "range"
            if steps <= 3:
                step = min(1.5 * step, self.largest_step)
        return done, "points"

    def _step(self, w: Array, tangent: Array, length: float, ending: bool) -> tuple[Array, Array, int] | None:
        found = self.curve.corrected(w + length * tangent, fixed=ending)
        if found is None:
            return None
        new, steps = found
        if not -1e-12 <= new[-1] <= 1 + 1e-12 or np.linalg.norm(new - w) > 2 * length:
            return None
        way = self.curve.tangent(new, tangent)
        return (new, way, steps) if float(way @ tangent) >= _STRAIGHT else None

    def _events(
        self, here: tuple[Array, Array], there: tuple[Array, Array], last: Point, point: Point, sense: int
    ) -> list[Bifurcation]:
        """Folds and changes of stability between two neighbouring points."""

        def at(share: float) -> Point:
            # a good first guess, lest the corrector finds another branch near a branch point
            guess = _between(here, there, share)
            found = self.curve.corrected(guess)
            w = guess if found is None else found[0]
            arc = last.arc + share * (point.arc - last.arc)
            return self.point(w, self.curve.tangent(w, here[1]), arc, sense)

        events = []
        if last.turn * point.turn < 0:
            events.append(bifurcations.fold(at, last, point, self.is_map))
        if self.detect:
            folds = [event.arc for event in events]
            events += bifurcations.changes(at, last, point, self.is_map, self.neutral, folds)
        return events


def _between(here: tuple[Array, Array], there: tuple[Array, Array], share: float) -> Array:
    """A cubic through two points with their tangents, of about the curve's own speed."""
    (w, way), (new, other) = here, there
    length, s = float(np.linalg.norm(new - w)), share
    cubic: Array = (2 * s**3 - 3 * s**2 + 1) * w + (3 * s**2 - 2 * s**3) * new
    cubic += length * ((s**3 - 2 * s**2 + s) * way + (s**3 - s**2) * other)
    return cubic


def _room(w: Array, tangent: Array) -> float:
    """Length along the tangent to the end of the parameter's range."""
    if tangent[-1] > 0:
        return float((1.0 - w[-1]) / tangent[-1])
    return float(-w[-1] / tangent[-1]) if tangent[-1] < 0 else math.inf


def _ahead_of(first: Array, new: Array, way: Array) -> bool:
    """Whether the first point lies in the direction of the walk."""
    return float((first - new) @ way) > 0
