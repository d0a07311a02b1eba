"""Following a game's equilibrium through one of its parameters, with the places where it changes its nature."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from ganscope.analysis.bifurcations import Bifurcation, growth
from ganscope.analysis.continuation import Branch, follow
from ganscope.core.checks import integer, number
from ganscope.core.errors import ParameterError, unknown_name
from ganscope.core.game import Game
from ganscope.core.plain import to_json_text
from ganscope.core.results import game_text
from ganscope.core.smooth import SmoothField
from ganscope.core.version import package_version

Array = npt.NDArray[np.float64]

STEP_SIZE = "step_size"


def continuation(
    game: Game,
    over: str,
    range: tuple[float, float],  # the public word
    start: Any = None,
    rule: str | None = None,
    step_size: float | None = None,
    *,
    level: str | None = None,
    largest_step: float = 0.02,
    most_points: int = 5000,
) -> xr.Dataset:
    r"""An equilibrium of a game as a function of one parameter, around folds, with its spectrum and its bifurcations.

    The branch starts at the game's own value of the parameter (at the nearer end of the range if it lies outside) and
    is followed in both directions by pseudo-arclength continuation until the parameter leaves the range.

    Args:
        game: A game whose state at rest is the zero of a smooth field: `SolvableGAN`, `KernelGAN`, `DiracGAN`,
            `QuadraticGame`, `QuadraticGAN`, `TorusGAN`.
        over: A parameter that is one number, or `step_size` of a scheme.
        range: (low, high) of the parameter, in its own units.
        start: A state near the equilibrium, in the game's own type; the label of an equilibrium that `predict` lists;
            None for the one next to the game's own state, as in `spectrum`.
        rule: None or "flow" for the flow, otherwise an update rule (or a scheme of a dual flow).
        step_size: Of a scheme; its default otherwise.
        level: A scheme of a dual flow may be given as a level instead.
        largest_step: Longest step along the branch, as a share of the range.
        most_points: At most so many points in each direction.

    Returns:
        Over `point`, by arc length: the parameter as a coordinate under its own name, `state` (`component`: the packed
        state), `eigenvalues` per unit of time or `multipliers` per iteration (`value`, complex, the one that decides
        stability first), `growth` of that one (per time or iteration; values of a symmetry left out), `stable`, and
        `unstable`, the number of growing ones. Over `bifurcation`: `kind` (fold, branch_point, hopf, neimark_sacker,
        flip), `location` (the parameter), `frequency` (radians per time or iteration), `period`, `critical_value` and
        `critical_state`. Attributes: `bifurcations` (the same as JSON text), `neutral` (directions along which
        equilibria form a continuum), `ends` (why each direction stopped), `game`, `over`, `range`, `rule`, `version`.
        Bifurcations are located to about 1e-9 of the range, as far as the spectrum itself is known so well.

    Raises:
        ParameterError: If the parameter is unknown or not one number, the range is empty, or a value is out of range.
        NotApplicable: If the game's equilibria cannot be followed, or none is found.

    References:
        Allgower, Georg. Introduction to Numerical Continuation Methods. SIAM 2003.
        Kuznetsov. Elements of Applied Bifurcation Theory. Springer 2004.
    """
    check_game(game)
    low, high = check_range("range", range)
    check_parameter(game, over)
    largest_step = number("largest_step", largest_step, above=0)
    most_points = integer("most_points", most_points, at_least=1)
    if over == STEP_SIZE and step_size is None:
        own = low
    else:
        own = float(number(over, step_size)) if over == STEP_SIZE else own_value(game, over)
    begin = min(max(own, low), high)
    first = field_at(game, {over: begin}, level, rule, step_size, start)
    for end in (low, high):  # bad ends are refused before any work
        field_at(game, {over: end}, level, rule, step_size, first.start)
    cache: dict[float, SmoothField] = {}

    def at(p: float) -> SmoothField:
        if p not in cache:
            if len(cache) > 64:
                cache.clear()
            cache[p] = field_at(game, {over: p}, level, rule, step_size, first.start)
        return cache[p]

    branch = follow(
        lambda u, p: at(p).residual(u),
        first.start,
        begin,
        (low, high),
        jacobian=lambda u, p: at(p).slope(u),
        values=lambda u, p: at(p).values(u),
        is_map=first.is_map,
        scale=first.scale,
        neutral=first.neutral,
        largest_step=largest_step,
        most_points=most_points,
    )
    return _dataset(game, over, (low, high), rule, step_size, level, first, branch)


def field_at(
    game: Game, values: dict[str, float], level: str | None, rule: str | None, step_size: float | None, start: Any
) -> SmoothField:
    """The smooth field of a game with some parameters changed; `step_size` may be one of them."""
    changes = {name: value for name, value in values.items() if name != STEP_SIZE}
    own = game.replace(**changes) if changes else game
    return own.smooth_field(level, rule, values.get(STEP_SIZE, step_size), start)


def check_game(game: Any) -> None:
    """Refuse what is no game."""
    if not isinstance(game, Game):
        raise ParameterError("game", type(game).__name__, "a game, such as gs.SolvableGAN(...)")


def check_range(name: str, ends: Any) -> tuple[float, float]:
    """Two finite numbers, the lower one first."""
    expected = "two finite numbers (low, high), the lower one first"
    try:
        low, high = ends
    except (TypeError, ValueError):
        raise ParameterError(name, ends, expected) from None
    low, high = number(name, low), number(name, high)
    if not low < high:
        raise ParameterError(name, ends, expected)
    return low, high


def check_parameter(game: Game, name: Any) -> None:
    """A name that stands for one number of the game, or `step_size`."""
    known = {*game.parameter_names(), *game.varied_parameters(), STEP_SIZE}
    if not isinstance(name, str) or name not in known:
        raise unknown_name("over", name, known)
    if name != STEP_SIZE:
        own_value(game, name)


def own_value(game: Game, name: str) -> float:
    """The game's own value of a parameter that is one number."""
    value = np.asarray(getattr(game, name))
    if value.dtype.kind not in "fiu" or value.size != 1:
        raise ParameterError("over", name, "a parameter that is one number")
    return float(value.reshape(()))


def _dataset(
    game: Game,
    over: str,
    ends: tuple[float, float],
    rule: str | None,
    step_size: float | None,
    level: str | None,
    field: SmoothField,
    branch: Branch,
) -> xr.Dataset:
    points, events = branch.points, branch.bifurcations
    width = max(len(point.values) for point in points)
    values = np.full((len(points), width), complex(math.nan, math.nan))
    leading = np.full(len(points), math.nan)
    for row, point in enumerate(points):
        size = growth(point.values, field.is_map)
        values[row, : len(size)] = point.values[np.lexsort((-point.values.imag, -size))]
        moving = np.abs(point.values - field.is_map) > field.neutral
        leading[row] = np.max(size[moving], initial=-math.inf) if np.any(moving) else 0.0
    spectrum = "multipliers" if field.is_map else "eigenvalues"
    data: dict[str, Any] = {
        "state": (("point", "component"), np.array([point.state for point in points])),
        spectrum: (("point", "value"), values),
        "growth": ("point", leading),
        "stable": ("point", leading < 0),
        "unstable": ("point", np.array([point.unstable for point in points], np.int64)),
        "arc_length": ("point", np.array([point.arc for point in points])),
        "kind": ("bifurcation", np.array([event.kind for event in events], object)),
        "location": ("bifurcation", np.array([event.parameter for event in events])),
        "frequency": ("bifurcation", np.array([event.frequency for event in events])),
        "period": ("bifurcation", np.array([_period(event) for event in events])),
        "critical_value": ("bifurcation", np.array([event.value for event in events], np.complex128)),
        "critical_state": (
            ("bifurcation", "component"),
            np.array([event.state for event in events]).reshape(len(events), len(field.names)),
        ),
    }
    names = np.array(field.names, object)
    coords = {over: ("point", np.array([point.parameter for point in points])), "component": names}
    listed = [
        {"kind": e.kind, over: e.parameter, "frequency": e.frequency, "period": _period(e), "value": e.value,
         "state": dict(zip(field.names, e.state.tolist(), strict=True)), "gained": e.gained}
        for e in events
    ]  # fmt: skip
    attrs = {
        "bifurcations": to_json_text(listed),
        "neutral": branch.neutral,
        "ends": list(branch.ends),
        "evaluations": branch.evaluations,
        "over": over,
        "range": list(ends),
        "rule": rule if rule is not None else level if level is not None and field.is_map else "flow",
        "version": package_version(),
        **({STEP_SIZE: step_size} if step_size is not None else {}),
        "game": game_text(game),
    }
    return xr.Dataset(data, coords, attrs)


def _period(event: Bifurcation) -> float:
    return 2 * math.pi / event.frequency if event.frequency > 0 else math.inf
