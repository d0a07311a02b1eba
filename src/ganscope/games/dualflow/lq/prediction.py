"""What theory says about a linear-quadratic GAN: where it ends, how fast, and at which speeds and steps it changes."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ganscope.analysis.spectrum import spectrum_of, stability_of
from ganscope.core.checks import number, one_of
from ganscope.core.errors import unknown_name
from ganscope.core.outcome import Equilibrium, Outcome, Prediction, Spectrum
from ganscope.games.dualflow.levels import FLOW, SCHEMES, check_options, step_of
from ganscope.games.dualflow.lq.simulation import rank_of
from ganscope.games.dualflow.lq.state import Field, LqState, scheme_matrix
from ganscope.games.dualflow.lq.theory import (
    MOST_COORDINATES,
    collapse_distance,
    critical_ratio_at,
    critical_speed_ratio,
    equilibria,
    orbit_period,
    principal_components,
    small_period,
    target_distance,
    turning_points,
)
from ganscope.games.dualflow.questions import asked

if TYPE_CHECKING:
    from ganscope.games.dualflow.lq.model import QuadraticGAN

Array = npt.NDArray[np.float64]

# The midpoint rule is for flat spaces only.
_SCHEMES = SCHEMES[:-1]
# Eigenvalues, or multipliers minus 1, that belong to continua of equilibria, beside the errors of a Jacobian.
_NEUTRAL = 1e-7
# Relative distance from a critical ratio that is close to critical; growth, per unit of time or per step, that is none.
_CLOSE, _MARGINAL = 0.02, 1e-9
# Share of the critical ratio of the smallest component below which violent starts were seen to lose a direction.
_SLOW = 0.01
# Entries in the target's principal directions that a start counts as lying in, relative to its size.
_ALIGNED = 1e-15
# Largest steps are searched between these, in units of the inverse of the flow's fastest rate.
_SHORTEST, _LONGEST = 1e-3, 1e4


def spectrum_at(
    game: "QuadraticGAN", state: LqState, rule: str | None = None, step_size: float | None = None, **options: Any
) -> Spectrum:
    """Spectrum of the flow (rule None) or of a scheme at a state; see `QuadraticGAN.spectrum`."""
    matrix = _flow_matrix(game, state)
    if rule is None or rule == FLOW:
        if step_size is not None or options:
            raise unknown_name("option", next(iter(options), "step_size"), ["at", "rule"])
        return spectrum_of(matrix, neutral=_NEUTRAL)
    scheme = one_of("rule", rule, (FLOW, *_SCHEMES))
    known = [name for name in ("order", "discriminator_steps") if name in game.levels[scheme].options]
    for name in options:
        if name not in known:
            raise unknown_name("option", name, ["step_size", *known])
    step = number("step_size", step_of(step_size), above=0)
    split = game.axes * (1 + state.factor.shape[1])
    return spectrum_of(
        scheme_matrix(matrix, split, scheme, step, **check_options(options)), is_map=True, neutral=_NEUTRAL
    )


def _flow_matrix(game: "QuadraticGAN", state: LqState) -> Array:
    field = game.field(state.factor.shape[1])
    return field.with_speeds(field.linearisation(field.pack(state)), game.generator_lr, game.discriminator_lr)


def best_equilibrium(game: "QuadraticGAN") -> LqState | None:
    """The equilibrium closest to the target among those that the generator's rank allows."""
    found = _of_rank(game)
    return found[0][1] if found else None


def _of_rank(game: "QuadraticGAN") -> list[tuple[str, LqState]]:
    rank = game.rank
    field = game.field(max(rank, 1))
    states = equilibria(field, rank)
    most = min(rank, rank_of(game.target_covariance))
    return [(name, state) for name, state in states if rank_of(state.factor) == most]


def period(game: "QuadraticGAN") -> float:
    """Period of the slowest rotation that matters, NaN if there is none."""
    orbit = _line_orbit(game)
    if orbit is not None:
        return orbit["period"]
    state = best_equilibrium(game)
    if state is None:
        return math.nan
    values = np.linalg.eigvals(_flow_matrix(game, state))
    turning = np.abs(values.imag)[np.abs(values.imag) > np.maximum(np.abs(values.real), 1e-6)]
    return float(2 * math.pi / np.min(turning)) if len(turning) else math.nan


def _centred(game: "QuadraticGAN") -> bool:
    """Whether the mean and w stay at 0 for ever."""
    start = game.initial
    return not (np.any(game.target_mean) or np.any(game.mean) or np.any(start.linear))


def _line_orbit(game: "QuadraticGAN") -> dict[str, float] | None:
    """Turning points and period on a line without penalty and centred, None elsewhere."""
    if game.axes > 1 or game.quadratic_penalty != 0 or not _centred(game) or game.rank == 0:
        return None
    target = float(np.sqrt(game.target_covariance[0, 0]))
    if target == 0:
        return None
    about = (
        float(np.linalg.norm(game.initial_factor)),
        target,
        float(game.initial.quadratic[0, 0]),
        game.generator_lr,
        game.discriminator_lr,
    )
    low, high = turning_points(*about)
    return {"lowest_std": low, "highest_std": high, "period": orbit_period(*about)}


@dataclass(frozen=True)
class _Case:
    """What the verdict is made from.

    Attributes:
        game: The game.
        rank, target_rank: Of both covariances.
        states: Equilibria that the generator's rank allows, the closest to the target first.
        scheme: The scheme that is spoken about, None for the flow.
        step: Its step size.
    """

    game: "QuadraticGAN"
    rank: int
    target_rank: int
    states: list[tuple[str, LqState]]
    scheme: str | None
    step: float

    @property
    def full(self) -> bool:
        """Whether the generator has rank enough for the target."""
        return self.rank >= self.target_rank

    def growth(self, state: LqState) -> float:
        """Growth of the largest perturbation that the start can excite: rate of the flow, log modulus of a scheme."""
        field: Field = self.game.field(state.factor.shape[1])
        matrix = _flow_matrix(self.game, state)
        if self.scheme is not None:
            matrix = scheme_matrix(matrix, field.split, self.scheme, self.step)
        if _centred(self.game):
            keep = np.flatnonzero(field.shape_only)
            matrix = matrix[np.ix_(keep, keep)]
        values = np.linalg.eigvals(matrix)
        moving = values[np.abs(values - (0 if self.scheme is None else 1)) > _NEUTRAL]
        if len(moving) == 0:
            return 0.0
        if self.scheme is None:
            return float(np.max(moving.real))
        largest = float(np.max(np.abs(moving)))
        return math.log(largest) if largest > 0 else -math.inf


def predict(game: "QuadraticGAN", level: str | None, rule: str | None, step_size: float | None) -> Prediction:
    """What theory says; see `QuadraticGAN`."""
    level, step = asked(game, level, rule, step_size)
    scheme = None if level == FLOW else level
    target_rank = rank_of(game.target_covariance)
    case = _Case(game, game.rank, target_rank, _of_rank(game), scheme, step)
    outcome, detail, margin, reasons, near = _verdict(case)
    best = case.states[0][1] if case.states else None
    spectrum = None
    if best is not None:
        spectrum = spectrum_at(game, best, scheme, case.step if scheme else None)
    about: dict[str, Any] = {"level": level, "step_size": None if scheme is None else case.step, "game": game}
    return Prediction(
        outcome,
        detail,
        margin,
        tuple(reasons),
        near,
        thresholds=_thresholds(case),
        equilibria=_equilibria(case),
        rates={} if spectrum is None else {"rate": spectrum.rate, "period": spectrum.period},
        **about,
    )


def _equilibria(case: _Case) -> list[Equilibrium]:
    game, found = case.game, []
    for name, state in equilibria(game.field(max(case.rank, 1)), case.rank):
        values = spectrum_at(game, state, case.scheme, case.step if case.scheme else None)
        found.append(Equilibrium(state, values, stability_of(values), name))
    return found


def _thresholds(case: _Case) -> dict[str, Any]:
    game = case.game
    found: dict[str, Any] = {"speed_ratio": game.discriminator_lr / game.generator_lr}
    values, _ = principal_components(game.target_covariance)
    if not case.full:
        found["collapse_w2"] = collapse_distance(game.target_covariance, case.rank)
        found["critical_speed_ratio"] = _critical_ratio(case)
        if game.linear_penalty > 0:
            found["mean_escape_variance"] = 2 * game.quadratic_penalty / game.linear_penalty
    if values[0] > 0 and case.rank > 0:
        speeds = (game.generator_lr, game.discriminator_lr)
        found["small_period"] = [small_period(math.sqrt(v), *speeds) for v in values[: case.rank] if v > 0]
    found |= _line_orbit(game) or {}
    small = len(game.field(max(case.rank, 1)).shape_only) <= MOST_COORDINATES
    if small and case.states and _stable(game, case.states[0][1]):
        for scheme in _SCHEMES:
            found[f"largest_step_{scheme}"] = largest_step(game, case.states[0][1], scheme)
    return found


def _critical_ratio(case: _Case) -> float:
    """Speed ratio above which the equilibrium closest to the target holds."""
    game = case.game
    if game.quadratic_penalty == 0 or not case.states:
        return math.inf
    if _centred(game) and case.rank > 0:
        return critical_speed_ratio(game.target_covariance, case.rank, game.quadratic_penalty)
    state = case.states[0][1]
    return critical_ratio_at(game.field(state.factor.shape[1]), state, _centred(game))


def largest_step(game: "QuadraticGAN", state: LqState, scheme: str, **options: Any) -> float:
    """Largest step size at which a scheme does not leave a stable equilibrium of the flow.

    Args:
        game: The game.
        state: The equilibrium.
        scheme: A scheme.
        options: `order` and `discriminator_steps`.

    Returns:
        0 if it leaves at every step size, infinity if at none.
    """
    matrix = _flow_matrix(game, state)
    split = game.axes * (1 + state.factor.shape[1])
    if _centred(game):
        keep = game.field(state.factor.shape[1]).shape_only
        split = int(np.sum(keep[:split]))
        matrix = matrix[np.ix_(np.flatnonzero(keep), np.flatnonzero(keep))]
    fastest = float(np.max(np.abs(np.linalg.eigvals(matrix))))
    if fastest == 0:
        return math.inf

    def leaves(step: float) -> bool:
        values = np.linalg.eigvals(scheme_matrix(matrix, split, scheme, step, **options))
        # a marginal pair of multipliers is only good to the root of the rounding error
        return bool(np.max(np.abs(values)) > 1 + 1e-9 + 1e-10 * step * fastest)

    grid = np.geomspace(_SHORTEST, _LONGEST, 141) / fastest
    outside = next((k for k, step in enumerate(grid) if leaves(step)), None)
    if outside is None:
        return math.inf
    if outside == 0:
        return 0.0
    low, high = float(grid[outside - 1]), float(grid[outside])
    for _ in range(60):
        middle = math.sqrt(low * high)
        low, high = (low, middle) if leaves(middle) else (middle, high)
    return (low + high) / 2


def _stable(game: "QuadraticGAN", state: LqState) -> bool:
    return _Case(game, 0, 0, [], None, 1.0).growth(state) <= _NEUTRAL


def _verdict(case: _Case) -> tuple[Outcome, str, float, list[str], bool]:
    return _of_full_rank(case) if case.full else _of_low_rank(case)


def _resting(game: "QuadraticGAN") -> bool:
    """Whether the start is the target with an idle discriminator."""
    start, field = game.initial, game.field()
    idle = not (np.any(start.linear) or np.any(start.quadratic))
    scale = float(np.sqrt(np.trace(game.target_covariance))) + float(np.max(np.abs(game.target_mean)))
    return idle and target_distance(field, start) <= 1e-12 * scale


def _of_full_rank(case: _Case) -> tuple[Outcome, str, float, list[str], bool]:
    game, state = case.game, case.states[0][1]
    growth = case.growth(state)
    name = "the flow" if case.scheme is None else f"{case.scheme} with step_size {case.step:g}"
    unit = "per unit of time" if case.scheme is None else "per step"
    if _resting(game):
        return Outcome.CONVERGED, "converged", math.inf, ["the generator starts at the target"], False
    if abs(growth) <= _MARGINAL:
        reasons = [
            f"without quadratic_penalty small deviations of the covariance neither grow nor decay under {name}: it "
            "orbits the target"
        ]
        if game.axes == 1 and case.scheme is None:
            reasons.append("on a line every orbit is closed")
        reasons.append("without penalty there is no margin: any damping would end the orbit, any anti-damping open it")
        return Outcome.OSCILLATING, "orbiting", growth, reasons, True
    if growth < 0:
        reasons = [f"the target is the only equilibrium of full rank, and deviations decay at {-growth:.4g} {unit}"]
        if case.scheme is not None:
            reasons.append(f"{name} is judged beside the target; far from it a step may be too long all the same")
        elif game.axes == 1 and _centred(game):
            reasons.append(
                "on a line and centred, the invariant of the unpenalised game decreases: it always converges"
            )
        else:
            reasons.append("that every start of full rank gets there is observed, not proved")
        squeezed = _may_squeeze(case)
        if squeezed:
            reasons.append(
                "against so slow a discriminator a start far from the target can squeeze a direction for good and end "
                "collapsed"
            )
        return Outcome.CONVERGED, "converged", -growth, reasons, squeezed
    reasons = [f"deviations from the target grow at {growth:.4g} {unit} under {name}"]
    largest = largest_step(game, state, case.scheme) if case.scheme else 0.0
    if largest > 0:
        reasons.append(f"it converges or orbits for step_size below {largest:.4g}")
    reasons.append(
        "the run spirals away from the target, and may squeeze a direction so long that it counts as collapsed"
    )
    return Outcome.UNDECIDED, "unknown", growth, reasons, False


def _may_squeeze(case: _Case) -> bool:
    """Whether the discriminator is so slow that a generator of full rank was seen to lose a direction."""
    game = case.game
    if game.axes == 1 or case.target_rank == 0:
        return False
    if game.quadratic_penalty == 0:
        return True
    critical = critical_speed_ratio(game.target_covariance, case.target_rank - 1, game.quadratic_penalty)
    return game.discriminator_lr / game.generator_lr < _SLOW * critical


def _aligned(case: _Case) -> bool:
    """Whether the generator starts on principal components, so that it never turns."""
    game, start = case.game, case.game.initial
    if not _centred(game):
        return False
    _, vectors = principal_components(game.target_covariance)
    rows = np.max(np.abs(vectors.T @ start.factor), axis=1)
    used = rows > _ALIGNED * np.max(np.abs(start.factor), initial=0.0)
    if int(np.sum(used)) != case.rank:
        return False
    block = np.abs(vectors.T @ start.quadratic @ vectors)[np.ix_(~used, used)]
    return bool(np.max(block, initial=0.0) <= _ALIGNED * np.max(np.abs(start.quadratic), initial=0.0))


def _of_low_rank(case: _Case) -> tuple[Outcome, str, float, list[str], bool]:
    game = case.game
    ratio = game.discriminator_lr / game.generator_lr
    missed = collapse_distance(game.target_covariance, case.rank)
    reasons = [
        f"the generator's covariance keeps its rank {case.rank} below the target's {case.target_rank}: it misses at "
        f"least {missed:.4g} of W2"
    ]
    if game.quadratic_penalty == 0:
        reasons.append("without quadratic_penalty the discriminator grows along what is missed: nothing rests")
        if case.scheme is not None:
            reasons.append(
                "in the long run every step_size is too long for it: the run blows up, or a step has no solution"
            )
        return Outcome.COLLAPSED, "cycling", math.inf, reasons, case.scheme is not None
    critical = _critical_ratio(case)
    margin = ratio - critical
    near = abs(margin) < _CLOSE * critical if math.isfinite(critical) else False
    if _aligned(case) or (case.rank == 0 and _centred(game)):
        reasons.append(
            "it starts exactly on principal components and stays there; the smallest perturbation would tell whether "
            "that holds"
        )
        return Outcome.COLLAPSED, "settled", margin, reasons, ratio < critical
    holding = [(name, state) for name, state in case.states if case.growth(state) < 0]
    word = "settles" if holding else "finds no rest and wanders"
    reasons.append(
        f"discriminator_lr / generator_lr = {ratio:.4g}, and the collapsed state next to the target holds above "
        f"{critical:.4g}: it {word}"
    )
    if holding and holding[0] is not case.states[0]:
        reasons.append(f"the state that holds is {holding[0][0]}")
    if holding:
        reasons.append(f"W2 stays at {target_distance(game.field(max(case.rank, 1)), holding[0][1]):.4g}")
    return Outcome.COLLAPSED, "settled" if holding else "cycling", margin, reasons, near
