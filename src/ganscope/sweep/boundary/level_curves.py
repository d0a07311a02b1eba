"""Curves in a plane of two parameters on which an equilibrium of a smooth game loses its stability.

The leading growth rate of the equilibrium (the spectral abscissa of a flow, the logarithm of the spectral radius of a
map) is a function on the plane. A coarse scan finds where it changes sign, and every curve of zeros is followed by its
arc length, with the equilibrium solved for anew at every point.
"""

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from scipy.optimize import brentq

from ganscope.analysis.bifurcations import growth, kind_of
from ganscope.analysis.continuation import follow
from ganscope.analysis.newton import newton
from ganscope.core.errors import NotApplicable, ParameterError
from ganscope.core.game import Game
from ganscope.core.simulate import predict
from ganscope.sweep.boundary.branches import STEP_SIZE, field_at
from ganscope.sweep.boundary.probe import Probe

Array = npt.NDArray[np.float64]

# Step along a curve, and half the width of differences, as shares of the ranges.
_STEP, _DIFFERENCE = 1 / 32, 1e-5
# How well a curve is known, and how far from it the outcomes on its sides are asked for.
_ERROR, _ASIDE = 1e-8, 1e-4
# Residual per slope and scale, up to which an equilibrium counts as found.
_SOLVED = 1e-6


@dataclass
class Growth:
    """The leading growth rate of an equilibrium over the plane; NaN where there is no equilibrium.

    Attributes:
        probe: The plane.
        level, rule: Of the linearisation.
        start: As in `continuation`.
        symmetric: How many values are those of a symmetry everywhere.
        evaluations: How often an equilibrium was solved for.
    """

    probe: Probe
    level: str | None
    rule: str | None
    start: Any
    symmetric: int = 0
    is_map: bool = False
    evaluations: int = 0
    _solved: list[tuple[Array, Array]] = field(default_factory=list)
    _known: dict[tuple[float, float], complex | None] = field(default_factory=dict)

    def values(self, place: tuple[float, float]) -> tuple[npt.NDArray[np.complex128], float]:
        """Eigenvalues or multipliers at shares of both ranges, and up to where they are neutral."""
        given = {name: float(value) for name, value in self.probe.values_at(place).items()}
        game: Game = self.probe.game
        smooth = field_at(game, given, self.level, self.rule, self.probe.step_size, self._guess(place))
        self.is_map = smooth.is_map
        root = newton(smooth.residual, smooth.slope, smooth.start, smooth.scale)
        slope = float(np.max(np.abs(smooth.slope(root.state)), initial=0.0))
        if root.residual > _SOLVED * max(slope, 1e-300) * smooth.scale:
            raise NotApplicable("no equilibrium here")
        self.evaluations += 1
        if self._follows:
            self._solved.append((np.array(place), root.state))
        return smooth.values(root.state), smooth.neutral

    @property
    def _follows(self) -> bool:
        """Whether the equilibrium is one that the user gave as a state, to be followed from place to place."""
        return self.start is not None and not isinstance(self.start, str)

    def _guess(self, place: tuple[float, float]) -> Any:
        if not self._follows or not self._solved:
            return self.start
        return min(self._solved, key=lambda item: float(np.sum((item[0] - place) ** 2)))[1]

    def leading(self, place: tuple[float, float]) -> complex | None:
        """The value that decides stability; those of a symmetry do not count."""
        if place not in self._known:
            try:
                values, _ = self.values(place)
            except (NotApplicable, ParameterError, ArithmeticError, RuntimeError, np.linalg.LinAlgError):
                self._known[place] = None
            else:
                far = np.argsort(np.abs(values - 1.0 if self.is_map else values), kind="stable")[self.symmetric :]
                kept = values[far]
                self._known[place] = complex(kept[np.argmax(growth(kept, self.is_map))]) if len(kept) else None
        return self._known[place]

    def __call__(self, x: float, y: float) -> float:
        value = self.leading((x, y))
        return math.nan if value is None else float(growth(np.array([value]), self.is_map)[0])


def critical_curves(
    probe: Probe, between: tuple[str, str] | None, coarse: int, start: Any, attrs: dict[str, Any]
) -> xr.Dataset:
    """The data set of `boundary` with method `continue`."""
    for axis in probe.axes:
        numeric = axis.name == STEP_SIZE or axis.name in {
            *probe.game.parameter_names(),
            *probe.game.varied_parameters(),
        }
        if axis.whole or not numeric:
            raise ParameterError("over", axis.name, "a parameter that is a real number, or step_size")
    rate = _prepared(probe, start)
    ticks = np.linspace(0.0, 1.0, max(coarse // 2, 4) + 1)
    scan = np.array([[rate(float(x), float(y)) for y in ticks] for x in ticks])
    paths = _paths(rate, ticks, scan)
    pieces = [piece for path in paths for piece in _labelled(probe, path, between)]
    pieces.sort(key=lambda piece: -len(piece[0]))
    return _dataset(probe, rate, pieces, between, len(paths), attrs)


def _prepared(probe: Probe, start: Any) -> Growth:
    """The growth rate, with the rule that theory speaks about and the number of symmetric values."""
    middle = probe.values_at((0.5, 0.5))
    own = {name: value for name, value in middle.items() if name != STEP_SIZE}
    game = probe.game.replace(**own) if own else probe.game
    said = predict(game, probe.level, probe.rule, middle.get(STEP_SIZE, probe.step_size))
    rate = Growth(probe, said.level, said.rule, start)
    counts, last = [], None
    for place in [(0.5, 0.5), (0.31, 0.37), (0.67, 0.29), (0.27, 0.71), (0.73, 0.63)]:
        try:
            values, neutral = rate.values(place)
        except (NotApplicable, ArithmeticError, RuntimeError, np.linalg.LinAlgError) as error:
            last = error
            continue
        counts.append(int(np.sum(np.abs(values - 1.0 if rate.is_map else values) <= neutral)))
    if not counts:
        raise NotApplicable(f"no equilibrium can be followed in this plane: {last}")
    rate.symmetric = min(counts)
    return rate


def _paths(rate: Growth, ticks: Array, scan: Array) -> list[Array]:
    """Every curve of zeros that crosses a line of the scan, as places `[points, 2]`."""
    paths: list[Array] = []
    for axis in (0, 1):
        values = scan if axis == 0 else scan.T
        for line in range(len(ticks)):
            for k in range(len(ticks) - 1):
                low, high = values[k, line], values[k + 1, line]
                if not low * high < 0:  # False for NaN
                    continue
                edge = (axis, float(ticks[line]), float(ticks[k]), float(ticks[k + 1]))
                if not any(_crosses(path, *edge) for path in paths):
                    paths.append(_path(rate, *edge))
    return paths


def _crosses(path: Array, axis: int, line: float, low: float, high: float) -> bool:
    """Whether a path crosses a piece of a line, or ends there."""
    slack = 0.05 * (high - low)
    along, across = path[:, axis], path[:, 1 - axis] - line
    at_end = (np.abs(across) < 1e-6) & (along > low - slack) & (along < high + slack)
    if np.any(at_end):
        return True
    passing = np.flatnonzero(across[:-1] * across[1:] < 0)
    share = across[passing] / (across[passing] - across[passing + 1])
    places = along[passing] + share * (along[passing + 1] - along[passing])
    return bool(np.any((places > low - slack) & (places < high + slack)))


def _path(rate: Growth, axis: int, line: float, low: float, high: float) -> Array:
    """The curve of zeros through a piece of a line."""

    def at(x: float, y: float) -> float:
        return rate(x, y) if 0 <= x <= 1 and 0 <= y <= 1 else math.nan

    def on_line(t: float) -> float:
        value = rate(t, line) if axis == 0 else rate(line, t)
        return value if math.isfinite(value) else 0.0

    root = float(brentq(on_line, low, high, xtol=1e-13, rtol=1e-13))
    x, y = (root, line) if axis == 0 else (line, root)

    def slope(u: Array, p: float) -> Array:
        below, above = max(u[0] - _DIFFERENCE, 0.0), min(u[0] + _DIFFERENCE, 1.0)
        return np.array([[(at(p, above) - at(p, below)) / (above - below)]])

    try:
        branch = follow(
            lambda u, p: np.array([at(p, float(u[0]))]),
            [y],
            x,
            (0.0, 1.0),
            jacobian=slope,
            scale=1.0,
            largest_step=_STEP,
            inside=lambda u: bool(0 <= u[0] <= 1),
            detect=False,
        )
    except (NotApplicable, np.linalg.LinAlgError):
        return np.array([[x, y]])
    return np.array([[point.parameter, point.state[0]] for point in branch.points])


Piece = tuple[Array, tuple[str, str]]


def _labelled(probe: Probe, path: Array, between: tuple[str, str] | None) -> list[Piece]:
    """The pieces of a path that separate the outcomes asked for, with what theory says on both sides."""
    if len(path) > 1:
        way = np.gradient(path, axis=0)
        way /= np.maximum(np.linalg.norm(way, axis=1), 1e-300)[:, None]
    else:
        way = np.array([[math.sqrt(0.5), math.sqrt(0.5)]])
    aside = _ASIDE * np.stack([-way[:, 1], way[:, 0]], axis=1)
    sides = [np.clip(path + sign * aside, 0.0, 1.0) for sign in (1, -1)]
    left, right = (probe([(float(x), float(y)) for x, y in side]) for side in sides)
    pairs = [(a[0], b[0]) for a, b in zip(left, right, strict=True)]
    pieces: list[Piece] = []
    first = 0
    for k in range(1, len(path) + 1):
        if k == len(path) or pairs[k] != pairs[first]:
            if between is None or set(pairs[first]) == set(between):
                pieces.append((path[first:k], between or pairs[first]))
            first = k
    return pieces


def _dataset(
    probe: Probe,
    rate: Growth,
    pieces: list[Piece],
    between: tuple[str, str] | None,
    paths: int,
    attrs: dict[str, Any],
) -> xr.Dataset:
    places = np.concatenate([path for path, _ in pieces]) if pieces else np.zeros((0, 2))
    values = [rate.leading((float(x), float(y))) for x, y in places]
    kinds = [("", math.nan) if value is None else kind_of(value, rate.is_map) for value in values]
    lengths = [len(path) for path, _ in pieces]
    data: dict[str, Any] = {}
    for k, name in enumerate(("x", "y")):
        low, high = (np.asarray(probe.axes[k].value(places[:, k] + sign * _ERROR)) for sign in (-1, 1))
        data[f"error_{name}"] = ("point", (high - low) / 2)
    for k, name in enumerate(("outcome_a", "outcome_b")):
        data[name] = ("point", np.repeat(np.array([pair[k] for _, pair in pieces], object), lengths))
    data["segment"] = ("point", np.repeat(np.arange(len(pieces)), lengths).astype(np.int64))
    data["bifurcation"] = ("point", np.array([kind for kind, _ in kinds], object))
    data["frequency"] = ("point", np.array([frequency for _, frequency in kinds], np.float64))
    coords = {
        axis.name: ("point", np.asarray(axis.value(places[:, k]), np.float64)) for k, axis in enumerate(probe.axes)
    }
    asked = probe.asked()
    for k, axis in enumerate(probe.axes):
        data[f"sample_{axis.name}"] = ("sample", np.array([values[k] for values, _ in asked], np.float64))
    data["sample_outcome"] = ("sample", np.array([votes[0] for _, votes in asked], object))
    closed = [k for k, (path, _) in enumerate(pieces) if len(path) > 3 and np.hypot(*(path[0] - path[-1])) < _STEP]
    message = ""
    if not pieces:
        message = (
            "no change of stability found"
            if paths == 0
            else (
                f"no curve separates {between[0]} and {between[1]}; {paths} separate other outcomes" if between else ""
            )
        )
    attrs |= {
        "between": list(between) if between is not None else [],
        "evaluations": rate.evaluations + probe.evaluations,
        "symmetric": rate.symmetric,
        "closed_segments": closed,
        "failures": probe.failures[:20],
        "message": message,
    }
    return xr.Dataset(data, coords, attrs)
