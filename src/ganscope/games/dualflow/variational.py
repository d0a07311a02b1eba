r"""Discrete variational inequalities: whether a recorded run is one of proximal steps, and whether of this dual flow.

A curve x is a gradient flow of a lam-convex energy E at speed eta if for every point z

    (1/2) d/dt d(x, z)^2 + eta lam/2 d(x, z)^2 <= eta [E(z) - E(x)].

For a step from x to x+ of size tau there are two discrete forms of it,

    D(z) = [d(x+, z)^2 - d(x, z)^2] / (2 tau eta) + lam/2 d(x+, z)^2 - [E(z) - E(x+)]
    R(z) = D(z) + d(x+, x)^2 / (2 tau eta)

    certificate    largest R, the energy taken at the partner that the step used: at most rounding for proximal steps
    defect         largest max(0, D) / d(x+, z), the energy taken at the partner's new state: of the order of tau for
                   every scheme, zero for `nash`; it stays when speeds or signs are wrong

References:
    Ambrosio, Gigli, Savare. Gradient Flows in Metric Spaces and in the Space of Probability Measures. 2008.
    Muratori, Savare. Gradient flows and evolution variational inequalities in metric spaces. 2020.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from ganscope.core.checks import number
from ganscope.core.errors import NotApplicable, ParameterError
from ganscope.core.game import Players
from ganscope.core.results import game_of
from ganscope.games.dualflow.game import DualGame
from ganscope.games.dualflow.levels import EXPLICIT, JKO, MIDPOINT, NASH, ORDERS, SCHEMES
from ganscope.games.dualflow.pair import Pair

Array = npt.NDArray[np.float64]

# Test points nearer than this to the new state say nothing about its defect.
_NEAREST = 1e-3
# Slopes of a defect over the step size that first order allows; a defect below the last number is none.
FIRST_ORDER = (0.7, 1.3)
_NO_DEFECT = 1e-9


def certificate(
    run: xr.Dataset, *, game: DualGame | None = None, step_size: float | None = None, test_points: Any = None
) -> Players:
    """How much a run's steps violate the variational inequality of proximal steps, for each player.

    At most rounding (1e-9 of the terms) for `jko`, `jko_sequential` and `nash`; equal to it, from both sides, where the
    energy is quadratic with one curvature in all directions. Explicit steps are not proximal and may give more.

    Args:
        run: A run of a scheme level with every iteration recorded; only its finite part is looked at.
        game: Whose energies and speeds are tested; None: the game that made the run.
        step_size: The step size that is tested; None: as the run's times say.
        test_points: A pair of lists of states, as the game's `pair()` takes them, of generator and discriminator. None:
            the first state, the target or the equilibrium, the middle and the last state.

    Returns:
        The largest value over steps and test points, a number for each player.

    Raises:
        NotApplicable: For the flow, `midpoint`, fast discriminators, several discriminator steps, minibatches, noise.
        ParameterError: If the run does not hold every iteration, or an argument does not fit.

    References:
        Turinici. Convergence dynamics of generative adversarial networks: the dual metric flows. 2020.
        Muratori, Savare. Gradient flows and evolution variational inequalities in metric spaces. 2020.
    """
    return _largest(certificates(run, game=game, step_size=step_size, test_points=test_points))


def certificates(
    run: xr.Dataset, *, game: DualGame | None = None, step_size: float | None = None, test_points: Any = None
) -> xr.Dataset:
    """What `certificate` is the largest of: the largest value of every step.

    Returns:
        Variables `generator` and `discriminator` over `time`, the end of a step; NaN after the run's finite part.
    """
    steps = _Steps(run, game, step_size, test_points)
    if steps.level == MIDPOINT:
        raise NotApplicable("a step of the midpoint rule is not proximal: it has no certificate; use defect")
    return steps.data([_certificate(steps, player) for player in (0, 1)])


def defect(
    run: xr.Dataset, *, game: DualGame | None = None, step_size: float | None = None, test_points: Any = None
) -> Players:
    """How far a run is from solving the dual flow, for each player; of the order of the step size if it does.

    Args:
        run, game, step_size, test_points: As in `certificate`, `midpoint` included; test points within 1e-3 of a state
            are left out there.

    Returns:
        The largest value over steps and test points, at least 0, a number for each player.

    Raises:
        NotApplicable, ParameterError: As `certificate`.

    References:
        Turinici. Convergence dynamics of generative adversarial networks: the dual metric flows. 2020.
    """
    return _largest(defects(run, game=game, step_size=step_size, test_points=test_points))


def defects(
    run: xr.Dataset, *, game: DualGame | None = None, step_size: float | None = None, test_points: Any = None
) -> xr.Dataset:
    """What `defect` is the largest of: the largest value of every step, as `certificates`."""
    steps = _Steps(run, game, step_size, test_points)
    return steps.data([_defect(steps, player) for player in (0, 1)])


@dataclass(frozen=True)
class Consistency:
    """Whether runs with decreasing step sizes approach a dual flow.

    Attributes:
        step_sizes: Increasing, shape `[runs]`.
        defects: A player's defects, shape `[runs]`, for each player.
        slope: Slope of the logarithm of the defect over that of the step size, for each player; NaN if some run has no
            defect.
        consistent: Whether each slope lies in [0.7, 1.3], or the run with the smallest step size has no defect.
    """

    step_sizes: Array
    defects: Players
    slope: Players
    consistent: bool


def consistency(
    runs: Sequence[xr.Dataset], *, game: DualGame | None = None, step_sizes: Any = None, test_points: Any = None
) -> Consistency:
    """Whether the defect of runs vanishes with the step size as that of a dual flow does.

    Args:
        runs: At least three runs of one scheme with different step sizes.
        game: As in `defect`.
        step_sizes: The step sizes that are tested, one per run; None: as the runs' times say.
        test_points: As in `defect`.

    Raises:
        NotApplicable, ParameterError: As `defect`; also for fewer than three different step sizes.

    References:
        Turinici (2020), whose setting this is; derived in docs/theory/dualflow.md.
    """
    taken = [None] * len(runs) if step_sizes is None else [number("step_sizes", s, above=0) for s in step_sizes]
    if len(taken) != len(runs):
        raise ParameterError("step_sizes", step_sizes, f"{len(runs)} step sizes, one per run")
    sizes = np.array([_first_step(run) if s is None else s for run, s in zip(runs, taken, strict=True)])
    if len(np.unique(sizes)) < 3:
        raise ParameterError("runs", f"step sizes {sizes.tolist()}", "runs with at least three different step sizes")
    found = np.array(
        [defect(run, game=game, step_size=s, test_points=test_points) for run, s in zip(runs, taken, strict=True)]
    )
    order = np.argsort(sizes)
    sizes, found = sizes[order], found[order]
    slopes, good = [], True
    for values in found.T:
        seen = np.all(values > _NO_DEFECT)
        slope = float(np.polyfit(np.log(sizes), np.log(values), 1)[0]) if seen else np.nan
        slopes.append(slope)
        good &= values[0] <= _NO_DEFECT or FIRST_ORDER[0] <= slope <= FIRST_ORDER[1]
    return Consistency(sizes, Players(found[:, 0], found[:, 1]), Players(*slopes), bool(good))


def _largest(data: xr.Dataset) -> Players:
    return Players(*(float(data[name].max()) for name in Players._fields))


def _first_step(run: xr.Dataset) -> float:
    return float(run.time[1] - run.time[0]) if run.sizes.get("time", 0) > 1 else np.nan


class _Steps:
    """The steps of a run, checked, with what they are tested against."""

    def __init__(self, run: xr.Dataset, game: Any, step_size: Any, test_points: Any) -> None:
        self.run = run
        self.game = _checked_game(run, game)
        self.level = str(run.attrs["level"])
        self.order = str(run.attrs.get("order", ORDERS[0]))
        self.pair: Pair = self.game.pair()
        x, y = self.game.states(run)
        lost = np.flatnonzero(
            [not (np.all(np.isfinite(a)) and np.all(np.isfinite(b))) for a, b in zip(x, y, strict=True)]
        )
        finite = int(lost[0]) if len(lost) else len(x)
        if finite < 2:
            raise NotApplicable("the run has no step between finite states")
        self.states = Players(np.asarray(x[:finite], np.float64), np.asarray(y[:finite], np.float64))
        sizes = np.diff(np.asarray(run.time.values, np.float64))
        if step_size is not None:
            sizes = np.full(len(sizes), number("step_size", step_size, above=0))
        self.sizes = sizes[: finite - 1]
        self.points = Players(*(self._test_points(player, test_points) for player in (0, 1)))

    def _test_points(self, player: int, given: Any) -> list[Array]:
        own, space = self.states[player], self.pair.spaces[player]
        if given is None:
            return [own[0], *self.pair.test_points(player), own[(len(own) - 1) // 2], own[-1]]
        if not isinstance(given, list | tuple) or len(given) != 2 or not len(given[player]):
            raise ParameterError("test_points", given, "a pair of lists of states, of generator and discriminator")
        return [space.check("test_points", point) for point in given[player]]

    def used(self, player: int, n: int) -> Array:
        """The partner's state that a player's step n looked at."""
        partner = self.states[1 - player]
        if self.level == NASH:
            return np.asarray(partner[n + 1])
        if self.level in (EXPLICIT, JKO):
            return np.asarray(partner[n])
        first = 0 if self.order == ORDERS[0] else 1
        return np.asarray(partner[n] if player == first else partner[n + 1])

    def new(self, player: int, n: int) -> Array:
        """The partner's state after step n."""
        return np.asarray(self.states[1 - player][n + 1])

    def data(self, values: list[Array]) -> xr.Dataset:
        """Values of both players at the end of every step."""
        time = self.run.time.isel(time=slice(1, None))
        filled = [np.concatenate([v, np.full(len(time) - len(v), np.nan)]) for v in values]
        return xr.Dataset({name: ("time", v) for name, v in zip(Players._fields, filled, strict=True)}, {"time": time})


def _checked_game(run: xr.Dataset, game: Any) -> DualGame:
    """The game of a run whose steps can be tested."""
    own = game_of(run)
    if not isinstance(own, DualGame):
        raise NotApplicable(f"variational inequalities are for dual flows, not for {type(own).__name__}")
    if game is not None and type(game) is not type(own):
        raise ParameterError("game", type(game).__name__, f"a {type(own).__name__}, like the run's")
    if run.attrs.get("level") not in SCHEMES:
        raise NotApplicable(
            f"level {run.attrs.get('level')!r} has no steps to test; simulate one of {', '.join(SCHEMES)}"
        )
    if "replica" in run.dims:
        raise ParameterError(
            "run", f"{run.sizes['replica']} replicas", "one replica: select it with run.isel(replica=...)"
        )
    if getattr(own, "fast", False):
        raise NotApplicable("with a fast discriminator there is only one gradient flow, not a pair of them")
    if int(run.attrs.get("discriminator_steps", 1)) > 1:
        raise NotApplicable("the inequalities are for one discriminator step per generator step, not for several")
    if run.attrs.get("batch") not in (None, "None"):
        raise NotApplicable("the steps of a run with minibatches are random: no inequality holds for each of them")
    if getattr(own, "bandwidth_schedule", None) is not None:
        raise NotApplicable("with a bandwidth_schedule the energies change from step to step")
    if str(run.attrs["level"]).startswith(EXPLICIT) and getattr(own, "entropy", 0.0) > 0:
        raise NotApplicable("explicit steps add noise in place of entropy: no inequality holds for each of them")
    iterations = run.coords.get("iteration")
    if iterations is None or run.sizes["time"] < 2 or np.any(np.diff(iterations.values) != 1):
        raise ParameterError(
            "run", "a run with iterations left out", "every iteration: simulate with iterations=n, save_at=range(n + 1)"
        )
    return own if game is None else game


def _terms(steps: _Steps, player: int, n: int, partner: Array) -> Iterator[tuple[float, float]]:
    """D(z) and d(x+, z) of one step for every test point z."""
    pair, space = steps.pair, steps.pair.spaces[player]
    old, new = steps.states[player][n], steps.states[player][n + 1]

    def energy(z: Array) -> float:
        return pair.energy(player, z, partner) if player == 0 else pair.energy(player, partner, z)

    convexity = pair.convexity(player, *((new, partner) if player == 0 else (partner, new)))
    pace = 2 * steps.sizes[n] * steps.pair.speeds[player]
    now = energy(new)
    for z in steps.points[player]:
        squared = space.distance_squared(new, z)
        approach = (squared - space.distance_squared(old, z)) / pace
        yield approach + convexity / 2 * squared - (energy(z) - now), float(np.sqrt(squared))


def _certificate(steps: _Steps, player: int) -> Array:
    """Largest R of every step of a player."""
    result = np.empty(len(steps.sizes))
    own, space = steps.states[player], steps.pair.spaces[player]
    for n, size in enumerate(steps.sizes):
        moved = space.distance_squared(own[n + 1], own[n]) / (2 * size * steps.pair.speeds[player])
        result[n] = moved + max(value for value, _ in _terms(steps, player, n, steps.used(player, n)))
    return result


def _defect(steps: _Steps, player: int) -> Array:
    """Largest max(0, D) / d(x+, z) of every step of a player."""
    result = np.zeros(len(steps.sizes))
    for n in range(len(steps.sizes)):
        far = [value / away for value, away in _terms(steps, player, n, steps.new(player, n)) if away > _NEAREST]
        result[n] = max([0.0, *far])
    return result
