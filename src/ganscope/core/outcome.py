"""The verdict on a run or a prediction, in one vocabulary for every game."""

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ganscope.core.plain import plain_dict


class Outcome(enum.StrEnum):
    """What became of a run, or what theory says will; the model's finer label is kept beside it as `detail`."""

    CONVERGED = "converged"  # reached, or is approaching, the target
    OSCILLATING = "oscillating"  # neither settles nor escapes
    COLLAPSED = "collapsed"  # settled or moving with part of the target missing
    UNINFORMATIVE = "uninformative"  # nothing learned
    DIVERGED = "diverged"  # left every bounded region or became non-finite
    UNDECIDED = "undecided"  # no verdict; the reasons say why


@dataclass(frozen=True)
class Verdict:
    """The outcome of a run.

    Attributes:
        outcome: One of the common outcomes.
        detail: The model's finer label, for example `mode_collapse`.
        margin: Distance from the decision that would have changed the outcome, in the units that the reasons state;
            NaN where there is none.
        reasons: Sentences that say what was measured and which rule decided.
        near_critical: The decision is close; the outcome stands all the same.
    """

    outcome: Outcome
    detail: str
    margin: float
    reasons: tuple[str, ...] = ()
    near_critical: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Plain values for strict JSON: non-finite numbers are None."""
        return plain_dict(
            {
                "outcome": str(self.outcome),
                "detail": self.detail,
                "margin": self.margin,
                "near_critical": self.near_critical,
                "reasons": list(self.reasons),
            }
        )


def vote(verdicts: Sequence[Verdict]) -> Verdict:
    """The most frequent verdict on several replicas; near critical unless their outcomes agree."""
    voted = vote_of_cells(*(np.array([row]) for row in columns(verdicts)))
    outcome, detail = Outcome(voted.outcome[0]), str(voted.detail[0])
    chosen = [verdict for verdict in verdicts if (verdict.outcome, verdict.detail) == (outcome, detail)]
    said = f"{len(chosen)} of {len(verdicts)} replicas are {detail}, the first of them:"
    margin, near = float(voted.margin[0]), bool(voted.near_critical[0])
    return Verdict(outcome, detail, margin, (said, *chosen[0].reasons), near)


@dataclass(frozen=True)
class Verdicts:
    """The verdicts on many runs, as arrays over cells.

    Attributes:
        outcome: Values of `Outcome`, shape `[cells]`, Python texts.
        detail: The model's finer labels, likewise.
        margin: As in `Verdict`, shape `[cells]`.
        near_critical: Shape `[cells]`.
        votes: The outcome of every replica alone, shape `[cells, replicas]`.
    """

    outcome: npt.NDArray[np.object_]
    detail: npt.NDArray[np.object_]
    margin: npt.NDArray[np.float64]
    near_critical: npt.NDArray[np.bool_]
    votes: npt.NDArray[np.object_]

    @property
    def share(self) -> npt.NDArray[np.float64]:
        """Share of the replicas that have the outcome, shape `[cells]`."""
        share: npt.NDArray[np.float64] = (self.votes == self.outcome[:, None]).mean(axis=1)
        return share


def columns(said: Sequence[Any]) -> tuple[Any, Any, Any, Any]:
    """Outcomes, details, margins and flags of many verdicts or predictions, as arrays."""
    outcome = np.array([str(one.outcome) for one in said], object)
    detail = np.array([one.detail for one in said], object)
    margin = np.array([one.margin for one in said], np.float64)
    return outcome, detail, margin, np.array([one.near_critical for one in said], bool)


def vote_of_cells(
    outcome: npt.NDArray[np.object_],
    detail: npt.NDArray[np.object_],
    margin: npt.NDArray[np.float64],
    near_critical: npt.NDArray[np.bool_],
) -> Verdicts:
    """The most frequent verdict on the replicas of every cell, the first one of equally frequent ones.

    A cell is near critical unless the outcomes of its replicas agree. Its margin is the median over the replicas that
    have the verdict.

    Args:
        outcome, detail, margin, near_critical: As in `Verdicts`, shape `[cells, replicas]`.
    """
    numbers = np.unique(outcome.astype(str), return_inverse=True)[1]
    details, labels = np.unique(detail.astype(str), return_inverse=True)
    codes = numbers.reshape(outcome.shape) * len(details) + labels.reshape(outcome.shape)
    kinds = np.unique(codes)
    votes = np.stack([(codes == kind).sum(axis=1) for kind in kinds], axis=1)
    place = np.take_along_axis(votes, np.searchsorted(kinds, codes), axis=1).argmax(axis=1)[:, None]
    chosen = codes == np.take_along_axis(codes, place, axis=1)
    agree = outcome == np.take_along_axis(outcome, place, axis=1)
    return Verdicts(
        np.take_along_axis(outcome, place, axis=1)[:, 0],
        np.take_along_axis(detail, place, axis=1)[:, 0],
        median_of(margin, chosen),
        ~agree.all(axis=1) | (near_critical & chosen).any(axis=1),
        outcome,
    )


def undecided_cells(cells: int) -> Verdicts:
    """No verdict on any cell."""
    label = np.full(cells, "unknown", object)
    outcome = np.full(cells, str(Outcome.UNDECIDED), object)
    return Verdicts(outcome, label, np.full(cells, np.nan), np.zeros(cells, bool), outcome[:, None])


def median_of(values: npt.NDArray[np.float64], chosen: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """Median of the chosen values of every row, at least one; NaN if one of them is NaN."""
    ordered = np.sort(np.where(chosen & ~np.isnan(values), values, np.inf), axis=1)
    count = chosen.sum(axis=1)[:, None]
    middle = [np.take_along_axis(ordered, place, axis=1)[:, 0] for place in ((count - 1) // 2, count // 2)]
    return np.where((np.isnan(values) & chosen).any(axis=1), np.nan, 0.5 * (middle[0] + middle[1]))


@dataclass(frozen=True)
class Spectrum:
    """Eigenvalues of a linearised flow, or multipliers of a linearised map.

    Attributes:
        values: Complex numbers, the one that decides stability first: by decreasing real part for a flow, by
            decreasing modulus for a map.
        is_map: Whether the values are multipliers per iteration rather than eigenvalues per unit of time.
        label: What the leading pair means: `stable_node`, `stable_spiral`, `centre`, `unstable_node`,
            `unstable_spiral` or `saddle`.
        rate: Decay rate per unit of time or per iteration, negative when the leading pair grows.
        period: Period of the leading pair, in time or iterations; infinite when it does not rotate.
    """

    values: Any
    is_map: bool
    label: str
    rate: float
    period: float

    @property
    def eigenvalues(self) -> Any:
        """The eigenvalues of a flow."""
        if self.is_map:
            raise AttributeError("a map has multipliers, not eigenvalues")
        return self.values

    @property
    def multipliers(self) -> Any:
        """The multipliers of a map."""
        if not self.is_map:
            raise AttributeError("a flow has eigenvalues, not multipliers")
        return self.values

    def to_dict(self) -> dict[str, Any]:
        """Plain values for strict JSON; complex numbers as pairs [real, imaginary]."""
        key = "multipliers" if self.is_map else "eigenvalues"
        pairs = [[float(v.real), float(v.imag)] for v in self.values]
        return plain_dict({key: pairs, "label": self.label, "rate": self.rate, "period": self.period})


@dataclass(frozen=True)
class Equilibrium:
    """A point where the game rests.

    Attributes:
        state: The point, in the game's own state type.
        spectrum: Linearisation there.
        stability: `stable`, `marginal` or `unstable`.
        label: The game's name for it, for example `silent` or `discriminator_wins`.
    """

    state: Any
    spectrum: Spectrum
    stability: str
    label: str

    def to_dict(self) -> dict[str, Any]:
        """Plain values for strict JSON: non-finite numbers are None."""
        state = self.state.to_dict() if hasattr(self.state, "to_dict") else self.state
        return plain_dict(
            {
                "label": self.label,
                "stability": self.stability,
                "state": state,
                "spectrum": self.spectrum.to_dict(),
            }
        )


@dataclass(frozen=True)
class Prediction:
    """What theory says without simulating.

    Attributes:
        outcome, detail, margin, reasons, near_critical: As in `Verdict`.
        thresholds: Values at which the phase changes, by name; a list where there is one per feature.
        equilibria: The known ones, with their spectra.
        rates: Decay rates and frequencies, by name, per unit of time.
        best: Recommended parameter values, by name.
        level, rule, step_size: What was asked for; None means the game's default.
        game: The game.
    """

    outcome: Outcome
    detail: str
    margin: float
    reasons: tuple[str, ...]
    near_critical: bool = False
    thresholds: dict[str, Any] = field(default_factory=dict)
    equilibria: list[Equilibrium] = field(default_factory=list)
    rates: dict[str, Any] = field(default_factory=dict)
    best: dict[str, Any] = field(default_factory=dict)
    level: str | None = None
    rule: str | None = None
    step_size: float | None = None
    game: Any = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values for strict JSON: non-finite numbers are None."""
        return plain_dict(
            {
                "outcome": str(self.outcome),
                "detail": self.detail,
                "margin": self.margin,
                "near_critical": self.near_critical,
                "reasons": list(self.reasons),
                "thresholds": dict(self.thresholds),
                "equilibria": [equilibrium.to_dict() for equilibrium in self.equilibria],
                "rates": dict(self.rates),
                "best": dict(self.best),
                "level": self.level,
                "rule": self.rule,
                "step_size": self.step_size,
            }
        )


@dataclass(frozen=True)
class Predictions:
    """Predictions for many variants of a game, as arrays over cells.

    Attributes:
        outcome, detail, margin, near_critical: As in `Verdicts`.
        numbers: Thresholds, rates and best values as `threshold_NAME`, `rate_NAME` and `best_NAME`, shape `[cells]`, or
            `[cells, count]` where there is one per feature; NaN where a cell has none.
    """

    outcome: npt.NDArray[np.object_]
    detail: npt.NDArray[np.object_]
    margin: npt.NDArray[np.float64]
    near_critical: npt.NDArray[np.bool_]
    numbers: Mapping[str, npt.NDArray[np.float64]] = field(default_factory=dict)
