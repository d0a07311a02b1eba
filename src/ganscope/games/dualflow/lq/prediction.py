"""What theory says about a linear-quadratic GAN: where it ends, how fast, and at which speeds and steps it changes."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ganscope.analysis.spectrum import spectrum_of, stability_of
from ganscope.core.checks import number, one_of
from ganscope.core.errors import unknown_name
from ganscope.core.outcome import Equilibrium, Prediction, Predictions, Spectrum
from ganscope.games.dualflow.answers import Answers, Numbers, chosen, everywhere, gathered, of_one
from ganscope.games.dualflow.levels import FLOW, SCHEMES, check_options, step_of
from ganscope.games.dualflow.lq.parts import NEUTRAL, Parts, parts_of
from ganscope.games.dualflow.lq.simulation import rank_of
from ganscope.games.dualflow.lq.state import Field, LqState, scheme_matrix
from ganscope.games.dualflow.lq.theory import (
    MOST_COORDINATES,
    collapse_distance,
    critical_ratio_at,
    critical_speed_ratio,
    equilibria,
    full_equilibrium,
    orbit_duration,
    orbit_ends,
    principal_components,
    small_period,
    target_distance,
)
from ganscope.games.dualflow.questions import asked

if TYPE_CHECKING:
    from ganscope.games.dualflow.lq.model import QuadraticGAN

Array = npt.NDArray[np.float64]

# The midpoint rule is for flat spaces only.
_SCHEMES = SCHEMES[:-1]
# Relative distance from a critical ratio that is close to critical; growth, per unit of time or per step, that is none.
_CLOSE, _MARGINAL = 0.02, 1e-9
# Share of the critical ratio of the smallest component below which violent starts were seen to lose a direction.
_SLOW = 0.01
# Entries in the target's principal directions that a start counts as lying in, relative to its size.
_ALIGNED = 1e-15


def spectrum_at(
    game: "QuadraticGAN", state: LqState, rule: str | None = None, step_size: float | None = None, **options: Any
) -> Spectrum:
    """Spectrum of the flow (rule None) or of a scheme at a state; see `QuadraticGAN.spectrum`."""
    matrix = _flow_matrix(game, state)
    if rule is None or rule == FLOW:
        if step_size is not None or options:
            raise unknown_name("option", next(iter(options), "step_size"), ["at", "rule"])
        return spectrum_of(matrix, neutral=NEUTRAL)
    scheme = one_of("rule", rule, (FLOW, *_SCHEMES))
    known = [name for name in ("order", "discriminator_steps") if name in game.levels[scheme].options]
    for name in options:
        if name not in known:
            raise unknown_name("option", name, ["step_size", *known])
    step = number("step_size", step_of(step_size), above=0)
    split = game.axes * (1 + state.factor.shape[1])
    return spectrum_of(
        scheme_matrix(matrix, split, scheme, step, **check_options(options)), is_map=True, neutral=NEUTRAL
    )


def _flow_matrix(game: "QuadraticGAN", state: LqState) -> Array:
    field = game.field(state.factor.shape[1])
    return field.with_speeds(field.linearisation(field.pack(state)), game.generator_lr, game.discriminator_lr)


def best_equilibrium(game: "QuadraticGAN") -> LqState | None:
    """The equilibrium closest to the target among those that the generator's rank allows."""
    states = _Case.of(game).states
    return states[0][1] if states else None


def period(game: "QuadraticGAN") -> float:
    """Period of the slowest rotation that matters, NaN if there is none."""
    orbit = _line_orbit(game, np.array([game.generator_lr]), np.array([game.discriminator_lr]))
    if orbit:
        return float(orbit["period"][0])
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


def _line_orbit(game: "QuadraticGAN", generator_lr: Array, discriminator_lr: Array) -> dict[str, Array]:
    """Turning points and period on a line without penalty and centred, `[cells]`; nothing elsewhere."""
    if game.axes > 1 or game.quadratic_penalty != 0 or not _centred(game) or game.rank == 0:
        return {}
    target = float(np.sqrt(game.target_covariance[0, 0]))
    if target == 0:
        return {}
    std, quadratic = float(np.linalg.norm(game.initial_factor)), float(game.initial.quadratic[0, 0])
    # what the orbit depends on beside its start at rest
    ratios, which = np.unique(generator_lr / discriminator_lr * quadratic**2, return_inverse=True)
    ends = [orbit_ends(std, target, quadratic, float(ratio)) for ratio in ratios]
    low, high = np.array(ends)[which].T
    duration = np.array([orbit_duration(*own) for own in ends])[which]
    period = duration / (target * np.sqrt(generator_lr * discriminator_lr))
    return {"lowest_std": target * np.exp(low), "highest_std": target * np.exp(high), "period": period}


@dataclass(frozen=True)
class _Case:
    """A game at many speeds, and what is said about it.

    Attributes:
        game: The game; its own speeds play no part.
        generator_lr, discriminator_lr: Shape `[cells]`.
        scheme: The scheme that is spoken about, None for the flow.
        step: Its step size.
    """

    game: "QuadraticGAN"
    generator_lr: Array
    discriminator_lr: Array
    scheme: str | None = None
    step: float = 0.0

    @classmethod
    def of(cls, game: "QuadraticGAN", scheme: str | None = None, step: float = 0.0) -> "_Case":
        """A game at its own speeds."""
        return cls(game, np.array([game.generator_lr]), np.array([game.discriminator_lr]), scheme, step)

    def __len__(self) -> int:
        return len(self.generator_lr)

    @cached_property
    def rank(self) -> int:
        """Rank of the generator's covariance."""
        return self.game.rank

    @cached_property
    def target_rank(self) -> int:
        """Rank of the target's covariance."""
        return rank_of(self.game.target_covariance)

    @property
    def full(self) -> bool:
        """Whether the generator has rank enough for the target."""
        return self.rank >= self.target_rank

    @cached_property
    def field(self) -> Field:
        """The flow, for a factor of as many columns as its rank."""
        return self.game.field(max(self.rank, 1))

    @cached_property
    def centred(self) -> bool:
        """Whether mean and w stay at 0 for ever."""
        return _centred(self.game)

    @cached_property
    def equilibria(self) -> list[tuple[str, LqState]]:
        """All that are listed, the closest to the target first."""
        return equilibria(self.field, self.rank)

    @cached_property
    def states(self) -> list[tuple[str, LqState]]:
        """Those that the generator's rank allows."""
        if self.full:
            own = full_equilibrium(self.field, self.rank)
            return [] if own is None else [own]
        return [(name, state) for name, state in self.equilibria if rank_of(state.factor) == self.rank]

    @cached_property
    def excitable(self) -> list[Parts]:
        """The linearisations at these, against perturbations that the start can excite."""
        return [parts_of(self.field, state, self.centred) for _, state in self.states]

    @cached_property
    def best(self) -> Parts:
        """The linearisation at the first of them."""
        return parts_of(self.field, self.states[0][1]) if self.centred else self.excitable[0]

    @property
    def asked(self) -> tuple[Any, ...]:
        """What `Parts` wants to know."""
        return self.generator_lr, self.discriminator_lr, self.scheme, self.step

    @cached_property
    def growth(self) -> Array:
        """Growth of the largest perturbation that the start can excite, at each of the states; `[states, cells]`."""
        return np.reshape([parts.growth(*self.asked) for parts in self.excitable], (-1, len(self)))

    @cached_property
    def ratio(self) -> Array:
        """Ratio of the speeds, `[cells]`."""
        return self.discriminator_lr / self.generator_lr

    @cached_property
    def critical(self) -> float:
        """Speed ratio above which the equilibrium closest to the target holds, for a generator of low rank."""
        game = self.game
        if game.quadratic_penalty == 0 or not self.states:
            return math.inf
        if self.centred and self.rank > 0:
            return critical_speed_ratio(game.target_covariance, self.rank, game.quadratic_penalty)
        return critical_ratio_at(self.field, self.states[0][1], self.centred)

    @cached_property
    def missed(self) -> float:
        """W2 that a generator of low rank misses at least."""
        return collapse_distance(self.game.target_covariance, self.rank)

    @cached_property
    def aligned(self) -> bool:
        """Whether a generator of low rank starts on principal components, so that it never turns."""
        return _aligned(self) or (self.rank == 0 and self.centred)

    @cached_property
    def squeezed(self) -> npt.NDArray[np.bool_]:
        """Where the discriminator is so slow that a generator of full rank was seen to lose a direction, `[cells]`."""
        game = self.game
        if game.axes == 1 or self.target_rank == 0:
            return np.zeros(len(self), bool)
        if game.quadratic_penalty == 0:
            return np.ones(len(self), bool)
        critical = critical_speed_ratio(game.target_covariance, self.target_rank - 1, game.quadratic_penalty)
        return np.asarray(self.ratio < _SLOW * critical)


def predict(game: "QuadraticGAN", level: str | None, rule: str | None, step_size: float | None) -> Prediction:
    """What theory says; see `QuadraticGAN`."""
    level, step = asked(game, level, rule, step_size)
    scheme = None if level == FLOW else level
    case = _Case.of(game, scheme, step)
    answers = _answers(case)
    return Prediction(
        *answers.heads,
        tuple(_reasons(case, answers)),
        bool(answers.near[0]),
        thresholds=of_one(answers.thresholds),
        equilibria=_equilibria(case),
        rates=of_one(answers.rates),
        level=level,
        step_size=None if scheme is None else step,
        game=game,
    )


def predict_cells(
    game: "QuadraticGAN", over: Mapping[str, Array], level: str | None, rule: str | None, step_size: float | None
) -> Predictions:
    """`predict` for many variants of a game; those that differ in their speeds only are one case."""
    level, step = asked(game, level, rule, step_size)
    cells = len(next(iter(over.values())))
    speeds = [over.get(name, np.full(cells, getattr(game, name))) for name in ("generator_lr", "discriminator_lr")]
    others = {name: values for name, values in over.items() if name not in ("generator_lr", "discriminator_lr")}
    rows = [values.reshape(cells, -1) for values in others.values()] or [np.zeros((cells, 1))]
    _, first, label = np.unique(np.concatenate(rows, axis=1), axis=0, return_index=True, return_inverse=True)
    order = np.argsort(label.ravel(), kind="stable")
    groups = np.split(order, np.cumsum(np.bincount(label.ravel()))[:-1])
    parts = []
    for one, which in zip(first, groups, strict=True):
        own = game.replace(**{name: values[one] for name, values in others.items()}) if others else game
        case = _Case(own, speeds[0][which], speeds[1][which], None if level == FLOW else level, step)
        parts.append((which, _answers(case)))
    return gathered(parts, cells).predictions()


def _answers(case: _Case) -> Answers:
    label, margin, near = _of_full_rank(case) if case.full else _of_low_rank(case)
    rates: dict[str, Any] = {}
    if case.states:
        rates["rate"], rates["period"] = case.best.pace(*case.asked)
    return Answers(label, margin, near, _thresholds(case), everywhere(rates, len(case)))


def _equilibria(case: _Case) -> list[Equilibrium]:
    found = []
    for name, state in case.equilibria:
        values = spectrum_at(case.game, state, case.scheme, case.step if case.scheme else None)
        found.append(Equilibrium(state, values, stability_of(values), name))
    return found


def _thresholds(case: _Case) -> Numbers:
    game = case.game
    found: dict[str, Any] = {"speed_ratio": case.ratio}
    values, _ = principal_components(game.target_covariance)
    if not case.full:
        found["collapse_w2"], found["critical_speed_ratio"] = case.missed, case.critical
        if game.linear_penalty > 0:
            found["mean_escape_variance"] = 2 * game.quadratic_penalty / game.linear_penalty
    strong = values[: case.rank][values[: case.rank] > 0]
    if len(strong):
        units = np.array([small_period(math.sqrt(v)) for v in strong])
        found["small_period"] = units / np.sqrt(case.generator_lr * case.discriminator_lr)[:, None]
    found |= _line_orbit(game, case.generator_lr, case.discriminator_lr)
    numbers = everywhere(found, len(case))
    if len(case.field.shape_only) <= MOST_COORDINATES and case.states:
        parts, speeds = case.excitable[0], (case.generator_lr, case.discriminator_lr)
        stable = parts.growth(*speeds) <= NEUTRAL
        if stable.any():
            for scheme in _SCHEMES:
                numbers[f"largest_step_{scheme}"] = parts.largest_steps(*speeds, scheme), stable
    return numbers


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
    parts = parts_of(game.field(state.factor.shape[1]), state, _centred(game))
    if options.get("discriminator_steps", 1) > 1:
        parts = Parts(parts.modes[:0], [*((mode, 1) for mode in parts.modes), *parts.blocks])
    speeds = np.array([game.generator_lr]), np.array([game.discriminator_lr])
    return float(parts.largest_steps(*speeds, scheme, **options)[0])


def _resting(game: "QuadraticGAN") -> bool:
    """Whether the start is the target with an idle discriminator."""
    start, field = game.initial, game.field()
    idle = not (np.any(start.linear) or np.any(start.quadratic))
    scale = float(np.sqrt(np.trace(game.target_covariance))) + float(np.max(np.abs(game.target_mean)))
    return idle and target_distance(field, start) <= 1e-12 * scale


def _of_full_rank(case: _Case) -> tuple[npt.NDArray[np.object_], Array, npt.NDArray[np.bool_]]:
    """Labels, margins and whether they are near critical."""
    cells, growth = len(case), case.growth[0]
    if _resting(case.game):
        return chosen(cells, (True, "converged")), np.full(cells, math.inf), np.zeros(cells, bool)
    neutral, decays = np.abs(growth) <= _MARGINAL, growth < 0
    label = chosen(cells, (neutral, "orbiting"), (decays, "converged"), (True, "unknown"))
    return label, np.where(decays & ~neutral, -growth, growth), neutral | (decays & case.squeezed)


def _of_low_rank(case: _Case) -> tuple[npt.NDArray[np.object_], Array, npt.NDArray[np.bool_]]:
    """Labels, margins and whether they are near critical."""
    cells, critical = len(case), case.critical
    if case.game.quadratic_penalty == 0:
        return chosen(cells, (True, "cycling")), np.full(cells, math.inf), np.full(cells, case.scheme is not None)
    margin = case.ratio - critical
    if case.aligned:
        return chosen(cells, (True, "settled")), margin, case.ratio < critical
    holds = (case.growth < 0).any(axis=0)
    near = np.abs(margin) < _CLOSE * critical if math.isfinite(critical) else np.zeros(cells, bool)
    return chosen(cells, (holds, "settled"), (True, "cycling")), margin, near


def _reasons(case: _Case, answers: Answers) -> list[str]:
    """The answer about a single game, in words."""
    return _why_full(case, str(answers.detail[0])) if case.full else _why_low(case)


def _why_full(case: _Case, label: str) -> list[str]:
    game, growth = case.game, float(case.growth[0, 0])
    name = "the flow" if case.scheme is None else f"{case.scheme} with step_size {case.step:g}"
    unit = "per unit of time" if case.scheme is None else "per step"
    if _resting(game):
        return ["the generator starts at the target"]
    if label == "orbiting":
        reasons = [
            f"without quadratic_penalty small deviations of the covariance neither grow nor decay under {name}: it "
            "orbits the target"
        ]
        if game.axes == 1 and case.scheme is None:
            reasons.append("on a line every orbit is closed")
        reasons.append("without penalty there is no margin: any damping would end the orbit, any anti-damping open it")
        return reasons
    if label == "converged":
        reasons = [f"the target is the only equilibrium of full rank, and deviations decay at {-growth:.4g} {unit}"]
        if case.scheme is not None:
            reasons.append(f"{name} is judged beside the target; far from it a step may be too long all the same")
        elif game.axes == 1 and case.centred:
            reasons.append(
                "on a line and centred, the invariant of the unpenalised game decreases: it always converges"
            )
        else:
            reasons.append("that every start of full rank gets there is observed, not proved")
        if case.squeezed[0]:
            reasons.append(
                "against so slow a discriminator a start far from the target can squeeze a direction for good and end "
                "collapsed"
            )
        return reasons
    reasons = [f"deviations from the target grow at {growth:.4g} {unit} under {name}"]
    largest = largest_step(game, case.states[0][1], case.scheme) if case.scheme else 0.0
    if largest > 0:
        reasons.append(f"it converges or orbits for step_size below {largest:.4g}")
    reasons.append(
        "the run spirals away from the target, and may squeeze a direction so long that it counts as collapsed"
    )
    return reasons


def _aligned(case: _Case) -> bool:
    """Whether the generator starts on principal components, so that it never turns."""
    game, start = case.game, case.game.initial
    if not case.centred:
        return False
    _, vectors = principal_components(game.target_covariance)
    rows = np.max(np.abs(vectors.T @ start.factor), axis=1)
    used = rows > _ALIGNED * np.max(np.abs(start.factor), initial=0.0)
    if int(np.sum(used)) != case.rank:
        return False
    block = np.abs(vectors.T @ start.quadratic @ vectors)[np.ix_(~used, used)]
    return bool(np.max(block, initial=0.0) <= _ALIGNED * np.max(np.abs(start.quadratic), initial=0.0))


def _why_low(case: _Case) -> list[str]:
    game = case.game
    reasons = [
        f"the generator's covariance keeps its rank {case.rank} below the target's {case.target_rank}: it misses at "
        f"least {case.missed:.4g} of W2"
    ]
    if game.quadratic_penalty == 0:
        reasons.append("without quadratic_penalty the discriminator grows along what is missed: nothing rests")
        if case.scheme is not None:
            reasons.append(
                "in the long run every step_size is too long for it: the run blows up, or a step has no solution"
            )
        return reasons
    if case.aligned:
        reasons.append(
            "it starts exactly on principal components and stays there; the smallest perturbation would tell whether "
            "that holds"
        )
        return reasons
    holding = np.flatnonzero(case.growth[:, 0] < 0)
    word = "settles" if len(holding) else "finds no rest and wanders"
    reasons.append(
        f"discriminator_lr / generator_lr = {float(case.ratio[0]):.4g}, and the collapsed state next to the target "
        f"holds above {case.critical:.4g}: it {word}"
    )
    if len(holding):
        name, state = case.states[holding[0]]
        if holding[0] > 0:
            reasons.append(f"the state that holds is {name}")
        reasons.append(f"W2 stays at {target_distance(case.field, state):.4g}")
    return reasons
