r"""What became of a run of the solvable model, judged on the last quarter of its time span.

    not finite, or z or S_jj beyond 1e4                       diverging
    the overlaps move                                         oscillating
    every recovery >= 0.7                                     success
    every recovery < 0.3                                      no_learning
    every recovery either                                     mode_collapse
    otherwise                                                 partial

In the limit of infinite dimension "move" means that a recovery or an activity q_i / sqrt(z) covers more than 0.05. At
finite dimension n a silent discriminator still fluctuates by a few times n^{-1/2}, so that its peak-to-peak value
over a window always exceeds 6 n^{-1/2}; there the standard deviation of q_i / sqrt(z) is compared with
max(0.05 / (2 sqrt 2), 6 n^{-1/2}), a sine's peak-to-peak value of 0.05 having the former. Near the stability line
fluctuations of a silent state grow; where the silent state at the run's own mean overlaps is stable, three times its
linear-noise deviation counts as silence, too.

A window over which the overlaps only drift in one direction has not settled: the horizon was too short. Nor is
there a verdict where the silent state at the run's own overlaps would be left within the window, and yet the movement
does not rise above the fluctuations of so small a dimension.
"""

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ganscope.core.outcome import Outcome, Verdict, Verdicts, median_of, undecided_cells
from ganscope.core.results import stacked, varied_values
from ganscope.games.solvable.cells import Cells
from ganscope.games.solvable.drift import NODES, game_drift, latent_atoms
from ganscope.games.solvable.silent_noise import silent_deviations
from ganscope.games.solvable.state import ESCAPED

if TYPE_CHECKING:
    import xarray as xr

    from ganscope.games.solvable.model import SolvableGAN

Array = npt.NDArray[np.float64]

LEARNED, UNLEARNED = 0.7, 0.3
MOVEMENT = 0.05
FINITE_SIZE = 6.0
SPAN = 0.25
MIN_RECORDS = 100
# The slowest rate is the generator's: generator_lr * horizon must reach this (horizon 200 at the default rate).
MIN_GENERATOR_TIME = 8.0
# Below this dimension a run alone cannot tell a weak oscillation from fluctuations of a silent state.
SMALL_DIMENSION = 400
# Numbers in one block of the drift, whose expectations need many per cell for some latents.
_BLOCK = 1 << 22

OUTCOMES = {
    "success/silent": Outcome.CONVERGED,
    "success/active": Outcome.CONVERGED,
    "oscillating": Outcome.OSCILLATING,
    "mode_collapse": Outcome.COLLAPSED,
    "partial": Outcome.COLLAPSED,
    "no_learning": Outcome.UNINFORMATIVE,
    "diverging": Outcome.DIVERGED,
    "unknown": Outcome.UNDECIDED,
}


class Judgement(NamedTuple):
    """Labels and the numbers behind them, over the leading axes of the records."""

    detail: npt.NDArray[Any]
    margin: Array
    recovery: Array
    movement: Array
    threshold: Array
    activity: Array
    drifting: npt.NDArray[np.bool_]


def labels(
    times: Array,
    recovery: Array,
    signal: Array,
    lengths: Array,
    dimension: float = np.inf,
    silent_deviation: Array | None = None,
) -> Judgement:
    """Labels of many runs at once.

    Args:
        times: Shape `[records]`.
        recovery: Shape `[..., records, features]`.
        signal: q_i / sqrt(z) with its sign, shape `[..., records, features]`.
        lengths: z and the diagonal of S, shape `[..., records, 1 + columns]`.
        dimension: Of the run; infinite for the limit.
        silent_deviation: Deviation of the signal that a silent state would show, `[..., features]`; NaN where unknown,
            infinite where a silent state would be left.

    Returns:
        Labels (see the keys of `OUTCOMES`), margins and measures, shape `[...]` (`recovery` has `features` last).
    """
    inside = times >= times[0] + (1.0 - SPAN) * (times[-1] - times[0])
    late, heard = recovery[..., inside, :], signal[..., inside, :]
    with np.errstate(invalid="ignore", over="ignore"):
        escaped = ~(np.isfinite(lengths).all((-2, -1)) & (lengths.max((-2, -1)) < ESCAPED))
        final = late[..., -1, :] if np.isinf(dimension) else late.mean(-2)
        span = np.ptp(late, axis=-2).max(-1)
        swing = np.ptp(heard, axis=-2)
        if np.isinf(dimension):
            movement = np.maximum(span, swing.max(-1))
            threshold = np.full(movement.shape, MOVEMENT)
            moves = movement > threshold
            excess = movement - threshold
            hidden = np.zeros_like(moves)
            active = np.abs(heard[..., -1, :]).max(-1)
            is_active = active >= MOVEMENT
            drifting = moves & (np.minimum(_one_way(late), _one_way(heard)).min(-1) > 0.95)
        else:
            finite = FINITE_SIZE / np.sqrt(dimension)
            deviation = heard.std(-2)
            expected = np.zeros_like(deviation) if silent_deviation is None else silent_deviation
            silent = np.where(np.isfinite(expected), 3.0 * expected, 0.0)
            limits = np.maximum(max(MOVEMENT / np.sqrt(8.0), finite), silent)
            worst = np.argmax(deviation / limits, axis=-1)[..., None]
            movement = np.take_along_axis(deviation, worst, -1)[..., 0]
            threshold = np.take_along_axis(np.broadcast_to(limits, deviation.shape), worst, -1)[..., 0]
            widest = max(MOVEMENT, finite)
            moves = (movement > threshold) | (span > widest)
            excess = np.maximum(movement - threshold, span - widest)
            flat = (_detrended(heard).std(-2) <= limits).all(-1) & (np.ptp(_detrended(late), axis=-2) <= widest).all(-1)
            drifting = moves & flat
            active = np.sqrt((heard**2).mean(-2)).max(-1)
            is_active = active > widest
            hidden = np.isinf(expected).any(-1) & ~moves & ~is_active
    learned, unlearned = final >= LEARNED, final < UNLEARNED
    detail = np.full(movement.shape, "partial", dtype=object)
    detail[(learned | unlearned).all(-1)] = "mode_collapse"
    detail[unlearned.all(-1)] = "no_learning"
    detail[learned.all(-1) & is_active] = "success/active"
    detail[learned.all(-1) & ~is_active] = "success/silent"
    detail[moves] = "oscillating"
    detail[drifting | hidden] = "unknown"
    detail[escaped] = "diverging"
    settled = np.minimum(np.abs(final - LEARNED), np.abs(final - UNLEARNED)).min(-1)
    margin = np.where(moves, excess, np.minimum(settled, -excess))
    margin = np.where(escaped | drifting | hidden, np.nan, margin)
    return Judgement(detail, margin, final, movement, threshold, active, drifting)


def _one_way(series: Array) -> Array:
    """Net change over total variation along the records, `[..., features]`; 1 for series that hardly move."""
    steps = np.diff(series, axis=-2)
    total = np.abs(steps).sum(-2)
    result: Array = np.where(np.ptp(series, axis=-2) > MOVEMENT, np.abs(steps.sum(-2)) / np.maximum(total, 1e-300), 1.0)
    return result


def _detrended(series: Array) -> Array:
    """The series without its straight line along the records: what is left of a drift is small, of a cycle is not."""
    line = np.linspace(-1.0, 1.0, series.shape[-2])[:, None]
    centred = series - series.mean(-2, keepdims=True)
    slope = (centred * line).sum(-2, keepdims=True) / (line**2).sum()
    result: Array = centred - slope * line
    return result


class _Decision(NamedTuple):
    """The verdicts on the cells of a batch, and what the reasons for them are made of; arrays over `[cells]`.

    Attributes:
        judged: Of every replica alone, `[cells, replicas]`.
        voted: The label on which the replicas agree by majority, before the rules below.
        chosen: The replicas that have it, `[cells, replicas]`.
        reached: generator_lr times the duration of the run.
        unseen: Movement of the overlaps between the last two records of a run of the limit; 0 elsewhere.
        detail, margin: The verdict.
        votes: The outcome of every replica alone, shape `[cells, replicas]`.
    """

    judged: Judgement
    voted: npt.NDArray[Any]
    chosen: npt.NDArray[np.bool_]
    reached: Array
    unseen: Array
    detail: npt.NDArray[Any]
    margin: Array
    votes: npt.NDArray[Any]


def _decide(game: "SolvableGAN", run: "xr.Dataset") -> _Decision:
    """The verdicts on all cells of a run; replicas are judged one by one and vote."""
    times = run.time.values
    duration, dimension = float(times[-1] - times[0]), float(run.attrs.get("dimension", np.inf))
    cells = Cells.of(game, varied_values(run) if "cell" in run.dims else {})
    q, z = stacked(run, "q", "time", "feature"), stacked(run, "z", "time")
    P, S = stacked(run, "P", "time", "feature", "column"), stacked(run, "S", "time", "column", "other_column")
    with np.errstate(invalid="ignore", divide="ignore"):
        signal = q / np.sqrt(z)[..., None]
    lengths = np.concatenate([z[..., None], np.diagonal(S, axis1=-2, axis2=-1)], axis=-1)
    deviation = None
    if np.isfinite(dimension):
        late = slice(-(len(times) // 4), None)
        known = np.isfinite(lengths).all((-2, -1))
        deviation = np.full((*known.shape, game.features), np.nan)
        means = P[:, :, late].mean(2)[known], S[:, :, late].mean(2)[known]
        deviation[known] = silent_deviations(cells[np.nonzero(known)[0]], *means, dimension, SPAN * duration)
    judged = labels(times, stacked(run, "recovery", "time", "feature"), signal, lengths, dimension, deviation)

    names = np.array(sorted(OUTCOMES), object)  # of equally frequent labels the first one counts
    votes = np.stack([(judged.detail == name).sum(1) for name in names], axis=1)
    voted = names[votes.argmax(1)]
    chosen = judged.detail == voted[:, None]
    reached = cells.generator_lr * duration
    detail = np.where((reached < MIN_GENERATOR_TIME) & (voted != "diverging"), "unknown", voted)
    margin = np.where(np.isin(detail, ["unknown", "diverging"]), np.nan, median_of(judged.margin, chosen))
    unseen = np.zeros(len(detail))
    resting = np.flatnonzero(~np.isin(detail, ["unknown", "diverging", "oscillating"]))
    if np.isinf(dimension) and len(resting):
        last = (P[resting, 0, -1], q[resting, 0, -1], stacked(run, "r", "time", "column")[resting, 0, -1])
        ends = [value.reshape(len(resting), -1) for value in (*last, S[resting, 0, -1], z[resting, 0, -1])]
        unseen[resting] = _speeds(cells[resting], np.concatenate(ends, axis=1)) * float(times[-1] - times[-2])
        seen = unseen > MOVEMENT
        detail, margin = np.where(seen, "oscillating", detail), np.where(seen, unseen - MOVEMENT, margin)
    alone = np.where((reached < MIN_GENERATOR_TIME)[:, None] & (judged.detail != "diverging"), "unknown", judged.detail)
    return _Decision(judged, voted, chosen, reached, unseen, detail, margin, _outcomes(alone))


def _outcomes(detail: npt.NDArray[Any]) -> npt.NDArray[Any]:
    result = np.empty(detail.shape, object)
    for label, outcome in OUTCOMES.items():
        result[detail == label] = str(outcome)
    return result


def _speeds(cells: Cells, states: Array) -> Array:
    """Largest rates of change of an overlap at the end of runs of the limit: records may fall in step with a cycle."""
    rate, _ = game_drift(cells.game)
    atoms = sum(len(support) for support in latent_atoms(cells.game) if support is not None)
    block = max(1, _BLOCK // max(1, atoms * NODES))
    result = np.empty(len(states))
    for start in range(0, len(states), block):
        part = slice(start, start + block)
        velocity = rate(states[part], cells.rows[part])
        result[part] = np.abs(velocity[:, : cells.game.layout.S]).max(1)
    return result


def classify_cells(game: "SolvableGAN", run: "xr.Dataset") -> Verdicts:
    """The verdicts on all cells of a batch, as `classify` gives them."""
    if run.sizes["time"] < MIN_RECORDS:
        return undecided_cells(run.sizes["cell"])
    decided = _decide(game, run)
    near = np.zeros(len(decided.detail), bool)
    return Verdicts(_outcomes(decided.detail), decided.detail.astype(object), decided.margin, near, decided.votes)


def classify(game: "SolvableGAN", run: "xr.Dataset") -> Verdict:
    """The verdict on one run; replicas are judged one by one and vote.

    `margin` is in units of overlap: how far the movement, or a recovery, is from the value that would have changed
    the label (the median over replicas that agree).
    """
    times = run.time.values
    if len(times) < MIN_RECORDS:
        return _undecided(f"{len(times)} records, {MIN_RECORDS} are needed: leave save_at to its default")
    decided = _decide(game, run)
    dimension = float(run.attrs.get("dimension", np.inf))
    judged = Judgement(*(values[0] for values in decided.judged))
    voted, detail = str(decided.voted[0]), str(decided.detail[0])
    if voted != "diverging" and decided.reached[0] < MIN_GENERATOR_TIME:
        needed = MIN_GENERATOR_TIME / game.generator_lr
        return _undecided(f"horizon too short: {times[-1] - times[0]:g}, at least {needed:g} at this generator_lr")
    if voted == "unknown":
        if judged.drifting.any():
            return _undecided("horizon too short: the overlaps are still on their way in one direction")
        return _undecided(
            f"dimension {dimension:g} is too small: the silent state at these overlaps is unstable, but the activity "
            f"does not rise above its fluctuations; compare its rms with the chain's at the same dimension"
        )
    reasons = _reasons(judged, decided.chosen[0], dimension, voted, len(judged.detail))
    if detail != voted:
        unseen = f"records look at rest, but the overlaps move by about {decided.unseen[0]:.3g} between two of them"
        reasons = [unseen, *reasons]
    return Verdict(OUTCOMES[detail], detail, float(decided.margin[0]), tuple(reasons))


def _undecided(reason: str) -> Verdict:
    return Verdict(Outcome.UNDECIDED, "unknown", float("nan"), (reason,))


def _reasons(judged: Judgement, chosen: Any, dimension: float, detail: str, replicas: int) -> list[str]:
    reasons = []
    if replicas > 1:
        reasons.append(f"{int(chosen.sum())} of {replicas} replicas are {detail}")
    if detail == "diverging":
        return [*reasons, "the overlaps leave every bounded region"]
    recovery = ", ".join(f"{v:.3f}" for v in judged.recovery[chosen].mean(0))
    reasons.append(f"recovery per feature {recovery} (learned from {LEARNED}, unlearned below {UNLEARNED})")
    measure = "peak-to-peak movement" if np.isinf(dimension) else "deviation of the activity"
    movement, threshold = np.median(judged.movement[chosen]), np.median(judged.threshold[chosen])
    relation = "above" if movement > threshold else "within"
    reasons.append(f"{measure} over the last quarter {movement:.3g}, {relation} {threshold:.3g}")
    activity = np.median(judged.activity[chosen])
    reasons.append(f"the discriminator's largest activity is {activity:.3g}")
    if dimension < SMALL_DIMENSION:
        reasons.append(
            f"dimension {dimension:g} is small: compare the rms activity with the chain's to see a weak oscillation"
        )
    return reasons
