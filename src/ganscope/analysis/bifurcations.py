"""Where the stability of a followed zero changes, and what kind of change it is; see `continuation` for the kinds."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq

from ganscope.analysis.pairing import pair

Array = npt.NDArray[np.float64]
Complex = npt.NDArray[np.complex128]

KINDS = ("fold", "branch_point", "hopf", "neimark_sacker", "flip")
# Halvings of a step in search of the place where a value passes the boundary of stability.
_HALVINGS = 24
# Share of its modulus that the imaginary part of a value must have to count as rotating.
_ROTATES = 1e-4
# Shares of a step around a change, at which its critical value is followed.
_POLISH, _SHORT = 6, 1e-13
_AROUND = (-4e-3, -2e-3, 2e-3, 4e-3)


class Zero(Protocol):
    """What is asked of a point of a branch."""

    @property
    def state(self) -> Array: ...
    @property
    def parameter(self) -> float: ...
    @property
    def values(self) -> Complex: ...
    @property
    def arc(self) -> float: ...
    @property
    def turn(self) -> float: ...


@dataclass(frozen=True)
class Bifurcation:
    """A place on a branch where its stability, or the number of its neighbours, changes.

    Attributes:
        kind: One of `KINDS`.
        parameter: Where.
        state: The zero there, shape `[n]`.
        frequency: Of the critical pair, in radians per unit of time or per iteration; pi at a flip, else 0.
        value: The critical eigenvalue or multiplier, positive frequency.
        arc: Arc length.
        gained: How many growing values there are more behind it, along increasing arc length; 0 if unknown.
    """

    kind: str
    parameter: float
    state: Array
    frequency: float
    value: complex
    arc: float
    gained: int


def growth(values: Complex, is_map: bool) -> Array:
    """Growth rates per unit of time, or per iteration."""
    if not is_map:
        return np.asarray(values.real, np.float64)
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(np.abs(values)), np.float64)


def growing(values: Complex, is_map: bool, neutral: float) -> npt.NDArray[np.bool_]:
    """Which values grow; those of a symmetry do not count."""
    moving = np.abs(values - 1.0 if is_map else values) > neutral
    return np.asarray(moving & (growth(values, is_map) > 0), np.bool_)


def leading_growth(values: Complex, is_map: bool, neutral: float) -> float:
    """Growth rate of the value that decides stability; -inf if all are neutral."""
    moving = np.abs(values - 1.0 if is_map else values) > neutral
    return float(np.max(growth(values, is_map)[moving], initial=-math.inf))


def kind_of(value: complex, is_map: bool) -> tuple[str, float]:
    """Kind of the change at which a value passes the boundary of stability, and its frequency."""
    if not is_map:
        rotates = abs(value.imag) > _ROTATES * abs(value)
        return ("hopf", abs(value.imag)) if rotates else ("branch_point", 0.0)
    angle = abs(float(np.angle(value)))
    if angle < _ROTATES:
        return "branch_point", 0.0
    if value.imag == 0 or math.pi - angle < 1e-9:
        return "flip", math.pi
    return "neimark_sacker", angle


def fold(at: Callable[[float], Any], first: Zero, second: Zero, is_map: bool) -> Bifurcation:
    """The fold between two points whose tangents go different ways along the parameter."""
    share = float(brentq(lambda s: _turn(at, s, first, second), 0.0, 1.0, xtol=1e-13, rtol=1e-13))
    zero = at(share)
    return Bifurcation("fold", zero.parameter, zero.state, 0.0, 1.0 + 0j if is_map else 0j, zero.arc, 0)


def _turn(at: Callable[[float], Any], share: float, first: Zero, second: Zero) -> float:
    return first.turn if share <= 0 else second.turn if share >= 1 else float(at(share).turn)


def changes(
    at: Callable[[float], Any], first: Zero, second: Zero, is_map: bool, neutral: float, folds: Sequence[float]
) -> list[Bifurcation]:
    """All changes of stability between two neighbouring points, folds left out.

    Args:
        at: The zero at a share 0 .. 1 of the step.
        first, second: The zeros at its ends.
        is_map, neutral: As in `continuation.follow`.
        folds: Arc lengths of folds within the step.
    """
    length = abs(second.arc - first.arc)
    found = []
    for low, high in _brackets(at, 0.0, first, 1.0, second, is_map, neutral, 0):
        event = _located(at, low, high, is_map, neutral)
        zero_kind = event.kind == "branch_point"
        if zero_kind and any(abs(event.arc - arc) < 1e-2 * length for arc in folds):
            continue
        found.append(event)
    return found


Bracket = tuple[tuple[float, Any], tuple[float, Any]]


def _brackets(
    at: Callable[[float], Any],
    low: float,
    first: Any,
    high: float,
    second: Any,
    is_map: bool,
    neutral: float,
    depth: int,
) -> list[Bracket]:
    """Short intervals in which values pass the boundary, by halving."""
    if not _crossing(first.values, second.values, is_map, neutral):
        return []
    if depth >= _HALVINGS:
        changed = int(np.sum(growing(first.values, is_map, neutral))) != int(
            np.sum(growing(second.values, is_map, neutral))
        )
        return [((low, first), (high, second))] if changed else []
    share = (low + high) / 2
    middle = at(share)
    return [
        *_brackets(at, low, first, share, middle, is_map, neutral, depth + 1),
        *_brackets(at, share, middle, high, second, is_map, neutral, depth + 1),
    ]


def _crossing(first: Complex, second: Complex, is_map: bool, neutral: float) -> bool:
    """Whether values pass the boundary between two points, in the same direction or in opposite ones."""
    a, b = growing(first, is_map, neutral), growing(second, is_map, neutral)
    if int(np.sum(a)) != int(np.sum(b)):
        return True
    if len(first) != len(second) or not np.any(a):
        return False
    _, partners = pair(first, second)
    return bool(np.any(growing(partners, is_map, neutral) != a))


def _located(at: Callable[[float], Any], low: Any, high: Any, is_map: bool, neutral: float) -> Bifurcation:
    """The change within a short interval, polished by the growth of its critical value around there."""
    (left, first), (right, second) = low, high
    before = int(np.sum(growing(first.values, is_map, neutral)))
    after = int(np.sum(growing(second.values, is_map, neutral)))
    wilder = second if after > before else first
    grown = wilder.values[growing(wilder.values, is_map, neutral)]
    value = complex(grown[np.argmin(growth(grown, is_map))])
    share = (left + right) / 2
    # at a branch point itself nothing can be computed well: from both sides, by a polynomial
    near = [_near(at, share + offset, value, is_map, neutral) for offset in _AROUND]
    rates = np.array([_rate(v, is_map) for _, v in near])
    places = share + np.array(_AROUND)
    share = _root(places, rates, share)
    weights = _lagrange(places, share)
    states = np.array([zero.state for zero, _ in near])
    value = complex(weights @ np.array([complex(v.real, abs(v.imag)) for _, v in near]))
    kinds = {kind_of(v, is_map)[0] for _, v in near}
    kind = kind_of(value if len(kinds) > 1 else near[1][1], is_map)[0]
    sense = 1 if second.arc > first.arc else -1
    gained = sense * (after - before)
    if kind == "branch_point":
        parameter, arc = (float(weights @ [getattr(zero, name) for zero, _ in near]) for name in ("parameter", "arc"))
        return Bifurcation(kind, parameter, weights @ states, 0.0, complex(value.real), arc, gained)
    zero, value = _polished(at, share, value, is_map, neutral)
    value = complex(value.real, abs(value.imag))
    frequency = math.pi if kind == "flip" else abs(float(np.angle(value))) if is_map else value.imag
    return Bifurcation(kind, zero.parameter, zero.state, frequency, value, zero.arc, gained)


def _polished(
    at: Callable[[float], Any], share: float, value: complex, is_map: bool, neutral: float
) -> tuple[Any, complex]:
    """The zero where the growth of a value vanishes, by secant steps from nearby."""
    before, now = share + _AROUND[2] / 10, share
    rate = _rate(_near(at, before, value, is_map, neutral)[1], is_map)
    zero, value = _near(at, now, value, is_map, neutral)
    for _ in range(_POLISH):
        here = _rate(value, is_map)
        if here in (0.0, rate):
            break
        ahead = now - here * (now - before) / (here - rate)
        if not abs(ahead - share) < _AROUND[3] or abs(ahead - now) < _SHORT:
            break
        before, rate, now = now, here, ahead
        zero, value = _near(at, now, value, is_map, neutral)
    return zero, value


def _root(places: Array, rates: Array, guess: float) -> float:
    """Where the polynomial through some growth rates vanishes, next to a guess; the guess if it does not."""
    width = float(np.ptp(places))
    ends = guess - width, guess + width
    values = [float(_lagrange(places, end) @ rates) for end in ends]
    if not values[0] * values[1] < 0:
        return guess
    return float(brentq(lambda s: float(_lagrange(places, s) @ rates), *ends, xtol=1e-15, rtol=1e-14))


def _lagrange(places: Array, at: float) -> Array:
    """Weights that interpolate values at some places."""
    others = [np.delete(places, k) for k in range(len(places))]
    return np.array([np.prod((at - o) / (x - o)) for x, o in zip(places, others, strict=True)])


def _near(
    at: Callable[[float], Any], share: float, value: complex, is_map: bool, neutral: float
) -> tuple[Any, complex]:
    """The zero at a share, and its value next to another one; those of a symmetry do not count."""
    zero = at(share)
    moving = zero.values[np.abs(zero.values - 1.0 if is_map else zero.values) > neutral]
    candidates = moving if len(moving) else zero.values
    return zero, complex(candidates[np.argmin(np.abs(candidates - value))])


def _rate(value: complex, is_map: bool) -> float:
    return float(growth(np.array([value], np.complex128), is_map)[0])
