"""The suite's tables, in Markdown, from whatever units are finished."""

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from ganscope.claims.suite import advice_scores, verdict_scores
from ganscope.claims.suite.advice_scores import ADVISED, Fared
from ganscope.claims.suite.distribution import AXES
from ganscope.claims.suite.folder import ADVICE, VERDICT, read_units
from ganscope.claims.suite.forks import FIXED, GIVEN, arm_name
from ganscope.claims.suite.statistics import Quality, quality
from ganscope.claims.suite.verdict_scores import Unit
from ganscope.claims.suite.verdicts import CHECKPOINTS

_LIMITS = (0.08, 0.1, 0.125, 0.16)


def report(*folders: str | Path) -> str:
    """All tables of one run folder, or of several together.

    Raises:
        StoreError: If one holds no suite.
    """

    def units(part: str, axis: str) -> list[Unit]:
        return [unit for folder in folders for unit in read_units(folder, part, [axis])]

    parts = []
    main, forks = units(VERDICT, "main"), units(ADVICE, "main")
    if main:
        parts += [
            _classes(main),
            _verdicts(main),
            _groups(main),
            _calibration(main),
            _sensitivity(main),
            _further(main),
        ]
    if advice_scores.alive(forks):
        parts += [_advice(forks), _what_ifs(forks)]
    wide = [_axis(axis, units(VERDICT, axis), units(ADVICE, axis)) for axis in AXES[1:]]
    if any(wide):
        parts.append("### Beyond the distribution\n\n" + _axes_head() + "\n".join(row for row in wide if row))
    return "\n\n".join(parts) + "\n"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _share(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.2f}"


def _signed(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:+.2f}"


def _quality(found: Quality | None) -> str:
    if found is None:
        return "-"
    return f"{_share(found.balanced_accuracy)} [{_share(found.low)}, {_share(found.high)}], AUC {_share(found.auc)}"


def _classes(units: Sequence[Unit]) -> str:
    counts = verdict_scores.classes(units)
    said = ", ".join(f"{count} {outcome}" for outcome, count in counts.items())
    seconds = [unit["seconds"]["all"] for unit in units]
    broken = {k: len(units) - len(verdict_scores.cases_at(units, k)) for k in CHECKPOINTS}
    lost = ", ".join(f"{count} at {k}" for k, count in broken.items())
    return (
        f"### Observed classes\n\n{len(units)} configurations: {said}. Not finite any more, and left out: {lost}. "
        f"Training and measuring one took {sum(seconds) / len(seconds):.0f} s on average, compilation included."
    )


def _verdicts(units: Sequence[Unit]) -> str:
    tables = [verdict_scores.qualities(verdict_scores.cases_at(units, k)) for k in CHECKPOINTS]
    names = list(dict.fromkeys(name for table in tables for name in table))
    head = ["forecast of `does not converge`", *(f"at {k}" for k in CHECKPOINTS)]
    rows = [[name, *(_quality(table.get(name)) for table in tables)] for name in names]
    counts = ", ".join(str(len(verdict_scores.cases_at(units, k))) for k in CHECKPOINTS)
    note = f"Balanced accuracy with its 90 % bootstrap interval, and area under the curve; {counts} cases."
    return f"### Verdicts\n\n{_table(head, rows)}\n\n{note}"


# What configurations are told apart by, to see where a verdict holds: title, key, values.
_GROUPS: tuple[tuple[str, str, tuple[Any, ...]], ...] = (
    ("loss", "loss", ("ns", "wgan", "hinge", "lsgan")),
    ("optimizer", "optimizer", ("sgd", "momentum", "adam")),
    ("memory", "memory", (0.0, 0.5, 0.9)),
    ("activation", "activation", ("tanh", "leaky_relu")),
    ("data", "data", ("ring", "grid", "digits")),
)


def _groups(units: Sequence[Unit]) -> str:
    """The forecast by S within parts of the suite: small numbers, to be read with care."""
    rows = []
    for title, key, values in _GROUPS:
        for value in values:
            part = [unit for unit in units if unit["configuration"][key] == value]
            rows.append([f"{title} {value}", str(len(part)), *(_part(part, k) for k in CHECKPOINTS)])
    smooth = [unit for unit in units if unit["configuration"]["loss"] != "hinge"]
    rows.append(["all but hinge", str(len(smooth)), *(_part(smooth, k) for k in CHECKPOINTS)])
    head = ["part", "configurations", *(f"at {k}" for k in CHECKPOINTS)]
    note = "Balanced accuracy and area under the curve of the forecast by S; the cases are few."
    return f"### Where the verdict holds\n\n{_table(head, rows)}\n\n{note}"


def _part(units: Sequence[Unit], iteration: int) -> str:
    cases = verdict_scores.cases_at(units, iteration)
    scores = [case.score for case in cases]
    truth = [case.fails() for case in cases]
    found = quality(scores, [score > verdict_scores.THRESHOLD for score in scores], truth)
    return f"{_share(found.balanced_accuracy)}, AUC {_share(found.auc)} ({found.cases})"


def _calibration(units: Sequence[Unit]) -> str:
    columns = [verdict_scores.calibration(verdict_scores.cases_at(units, k)) for k in CHECKPOINTS]
    rows = []
    for bins in zip(*columns, strict=True):
        least, most = bins[0].least, bins[0].most
        rows.append([f"{least:.2f} to {most:.2f}", *(f"{b.converged} of {b.cases}" for b in bins)])
    head = ["margin ln(0.1 / S)", *(f"converged, from {k}" for k in CHECKPOINTS)]
    return f"### Calibration\n\n{_table(head, rows)}"


def _sensitivity(units: Sequence[Unit]) -> str:
    rows = []
    for k in (100, 400):
        table = verdict_scores.sensitivity(verdict_scores.cases_at(units, k), _LIMITS)
        rows += [[f"{k}", f"{limit:g}", *(_share(table[limit][t]) for t in _LIMITS)] for limit in _LIMITS]
    head = ["checkpoint", "limit of the observed class", *(f"S > {t:g}" for t in _LIMITS)]
    return f"### Sensitivity of balanced accuracy to the two thresholds\n\n{_table(head, rows)}"


def _further(units: Sequence[Unit]) -> str:
    twins, spectra, cheap = twins_of(units), spectra_of(units), cheap_of(units)
    parts = [
        f"Twin forks: modulus within 0.02 at {sum(t['close'] for t in twins)} of {len(twins)} checkpoints.",
        f"Rightmost eigenvalue of the whole Jacobian positive at {sum(v > 0 for v in spectra)} of {len(spectra)}.",
        f"Cheap setting on the full one's side of 0.1 at {sum(cheap)} of {len(cheap)}.",
    ]
    return "### Further measurements\n\n" + "\n".join(parts)


def twins_of(units: Sequence[Unit]) -> list[dict[str, Any]]:
    """Twin forks whose eigenpair converged, `close` where the moduli agree within 0.02."""
    found = [reading["twin"] for unit in units for reading in unit["checkpoints"] if "twin" in reading]
    known = [t for t in found if None not in (*t["predicted"], *t["observed"])]
    return [{**t, "close": abs(t["predicted"][0] - t["observed"][0]) <= 0.02} for t in known]


def spectra_of(units: Sequence[Unit]) -> list[float]:
    """Rightmost eigenvalues of the whole Jacobian, where some converged."""
    found = [reading.get("rightmost") for unit in units for reading in unit["checkpoints"]]
    return [float(value) for value in found if value is not None]


def cheap_of(units: Sequence[Unit]) -> list[bool]:
    """Whether the cheap setting fell on the full one's side of the threshold, per checkpoint."""
    pairs = [
        (reading["predicted_wander"], reading["cheap"]["predicted_wander"])
        for unit in units
        for reading in unit["checkpoints"]
        if "cheap" in reading
    ]
    limit = verdict_scores.THRESHOLD
    return [(verdict_scores.number(a) > limit) == (verdict_scores.number(b) > limit) for a, b in pairs]


def _fared(found: Fared, control: tuple[float, float] | None, fixed: Fared) -> list[str]:
    dealt = f"{_signed(control[0])} (sd {_share(control[1])})" if control else ""
    return [
        f"{_signed(found.lift)} ({_share(found.error)})",
        f"{_share(found.win)} / {_share(found.lose)}",
        _share(found.converged),
        _share(found.coverage),
        dealt,
        f"{_signed(fixed.lift)} ({_share(fixed.error)}), {_share(fixed.win)} / {_share(fixed.lose)}",
    ]


def _advice(forks: Sequence[Unit]) -> str:
    units = advice_scores.alive(forks)
    fixed = advice_scores.picks()[arm_name(1.0)]
    head = [
        "arm",
        "lift over given (se)",
        "win / lose",
        "converged",
        "coverage",
        "shuffled",
        "against 1 R2 (se), win / lose",
    ]
    parts = [
        f"### Advice, forked at a tenth of training\n\n{len(units)} of {len(forks)} configurations were still finite."
    ]
    groups = {"all": units, "healthy as given": [u for u in units if advice_scores.healthy(u)]}
    groups["unhealthy as given"] = [u for u in units if not advice_scores.healthy(u)]
    for group, some in groups.items():
        rows = []
        for name, pick in advice_scores.picks().items():
            control = advice_scores.shuffled(some, pick) if name.startswith("advised") and len(some) > 1 else None
            rows.append(
                [name, *_fared(advice_scores.fared(some, pick), control, advice_scores.fared(some, pick, fixed))]
            )
        parts.append(f"{group}, {len(some)} configurations:\n\n{_table(head, rows)}")
    return "\n\n".join(parts)


def _what_ifs(forks: Sequence[Unit]) -> str:
    rows = []
    for gamma in (0.3, 1.0, 3.0, 10.0):
        found = advice_scores.what_ifs(advice_scores.alive(forks), gamma)
        cured, not_cured = (
            f"{_share(good / count) if count else '-'} ({count})"
            for good, count in ((found.cured_converged, found.cured), (found.not_cured_converged, found.not_cured))
        )
        rows.append([arm_name(gamma), cured, not_cured, _signed(found.difference)])
    head = ["penalty", "converged given predicted cured (cases)", "given predicted not cured (cases)", "difference"]
    return f"### What-ifs of runs that do not converge as they are\n\n{_table(head, rows)}"


_AXIS_COLUMNS = (
    "axis", "runs", "converged", "predicted wander at 100", "at 400", "S at 1600", "rightmost > 0 at 400",
    "advised: lift (se), win / lose", "converged given / 1 R2 / advised", "fixed gamma 1: lift (se)",
)  # fmt: skip


def _axes_head() -> str:
    return _table(_AXIS_COLUMNS, []) + "\n"


def _axis(axis: str, units: Sequence[Unit], forks: Sequence[Unit]) -> str:
    if not units:
        return ""
    cells = [axis, str(len(units)), str(verdict_scores.classes(units)["converged"])]
    for iteration, name in (
        (100, verdict_scores.PREDICTED),
        (400, verdict_scores.PREDICTED),
        (1600, verdict_scores.SCORE),
    ):
        cells.append(_quality(_found(units, iteration, name)))
    cells.append(_quality(_found(units, 400, verdict_scores.RIGHTMOST)))
    some, picks = advice_scores.alive(forks), advice_scores.picks()
    if not some:
        return "| " + " | ".join([*cells, "-", "-", "-"]) + " |"
    advised = advice_scores.fared(some, picks[ADVISED])
    cells.append(f"{_signed(advised.lift)} ({_share(advised.error)}), {_share(advised.win)} / {_share(advised.lose)}")
    ends = (advice_scores.fared(some, picks[name]).converged for name in (GIVEN, arm_name(1.0), ADVISED))
    cells.append(" / ".join(_share(end) for end in ends))
    scaled = [unit for unit in some if FIXED in unit["arms"]]
    fixed = advice_scores.fared(scaled, lambda unit: FIXED)
    cells.append(f"{_signed(fixed.lift)} ({_share(fixed.error)})" if scaled else "")
    return "| " + " | ".join(cells) + " |"


def _found(units: Sequence[Unit], iteration: int, name: str) -> Quality | None:
    cases = verdict_scores.cases_at(units, iteration)
    return verdict_scores.qualities(cases, fitted=False).get(name) if cases else None
