"""Claims of what the diagnosis is worth on trained GANs: a suite of random small ones, and a monitored run.

The suite is read from the cache if the present rules made one there. Otherwise it is run, 72 configurations in about
half an hour on two cores; what is finished is kept if it is stopped.
"""

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ganscope.claims.claim import Evidence, claims_of
from ganscope.claims.confrontation import confront
from ganscope.claims.suite import advice_scores, verdict_scores
from ganscope.claims.suite.folder import ADVICE, VERDICT, Folder, cached_place, finished_suite, read_units
from ganscope.claims.suite.forks import arm_name
from ganscope.claims.suite.running import run_suite
from ganscope.claims.suite.tables import cheap_of, spectra_of, twins_of
from ganscope.claims.suite.targets import target
from ganscope.claims.suite.verdict_scores import Unit
from ganscope.core.errors import NotApplicable, StoreError
from ganscope.core.parallel import cores
from ganscope.core.progress import report
from ganscope.diagnose.monitoring.monitor import Monitor

claim = claims_of("diagnose")

SEED, CONFIGURATIONS = 2026, 72
# Fewer configurations prove nothing.
_LEAST, _LEAST_FORKED = 60, 50
# Checkpoints of the first tenth of training, where nothing but theory is at hand.
_EARLY = (20, 100, 400)


@functools.cache
def _suite() -> Path:
    """The folder of a finished suite."""
    found = finished_suite(_LEAST)
    if found is not None:
        return found
    folder = Folder(cached_place(SEED), SEED)
    numbers = [("main", k) for k in range(CONFIGURATIONS)]
    failed = run_suite(folder, numbers, workers=min(cores(), 8), tell=_told)
    if len(failed) > CONFIGURATIONS - _LEAST:
        raise StoreError(f"{folder.path}: {len(failed)} configurations failed, the first one with: {failed[0]}")
    return folder.path


def _told(line: str, done: int, total: int) -> None:
    report("suite of random GANs", done, total)


def _verdicts() -> list[Unit]:
    return list(read_units(_suite(), VERDICT, ["main"]))


def _forks() -> list[Unit]:
    return advice_scores.alive(read_units(_suite(), ADVICE, ["main"]))


def _share(of: Sequence[bool]) -> float:
    return float(np.mean(of)) if of else float("nan")


@claim(
    "D10",
    "The rightmost eigenvalue of a trained GAN's Jacobian is positive, that of runs which converge included",
    source="derived",
    fast=False,
)
def positive_rightmost() -> Evidence:
    units = _verdicts()
    healthy = [unit for unit in units if unit["observed"]["outcome"] == "converged"]
    rows: dict[str, Any] = {}
    for name, some in (("all runs", units), ("runs that converged", healthy)):
        values = spectra_of(some)
        rows[f"share of positive ones, {name}, {len(values)} checkpoints"] = (
            0.9,
            _share([v > 0 for v in values]),
            "at least",
        )
    return confront(rows)


@claim(
    "D11",
    "A predicted wander above 0.1 data radii in the first tenth of training forecasts that a run will not converge",
    source="derived",
    fast=False,
)
def verdicts_come_true() -> Evidence:
    units = _verdicts()
    rows: dict[str, Any] = {"configurations": (_LEAST, len(units), "at least")}
    for iteration in _EARLY:
        table = verdict_scores.qualities(verdict_scores.cases_at(units, iteration), fitted=False)
        accuracy = table[verdict_scores.PREDICTED].balanced_accuracy
        rows[f"balanced accuracy at iteration {iteration}"] = 0.72, accuracy, "at least"
    return confront(rows)


@claim(
    "D12",
    "The predicted wander forecasts better than the sign of the rightmost eigenvalue and than a large gradient norm",
    source="derived",
    fast=False,
)
def verdicts_beat_baselines() -> Evidence:
    units = _verdicts()
    rows: dict[str, Any] = {}
    for iteration in _EARLY:
        table = verdict_scores.qualities(verdict_scores.cases_at(units, iteration), fitted=False)
        accuracy = table[verdict_scores.PREDICTED].balanced_accuracy
        for baseline in (verdict_scores.RIGHTMOST, verdict_scores.GRADIENT):
            ahead = accuracy - table[baseline].balanced_accuracy
            rows[f"balanced accuracy over that of {baseline}, iteration {iteration}"] = 0.1, ahead, "at least"
    return confront(rows)


@claim(
    "D13",
    "Runs that do not converge as they are converge more often at a penalty of one squared data radius where that is "
    "predicted to cure them than where it is not",
    source="derived",
    fast=False,
)
def what_ifs_come_true() -> Evidence:
    found = advice_scores.what_ifs(_forks(), 1.0)
    cases = f"{found.cured} cured, {found.not_cured} not cured"
    return confront({f"difference of the shares, {cases}": (0.3, found.difference, "at least")})


@claim(
    "D14",
    "The advised gradient penalty brings samples nearer to the data than the given one, wins more often than it loses, "
    "and does better than the same advice given to other runs",
    source="derived",
    fast=False,
)
def advice_helps() -> Evidence:
    units, pick = _forks(), advice_scores.picks()[advice_scores.ADVISED]
    found = advice_scores.fared(units, pick)
    mean, deviation = advice_scores.shuffled(units, pick)
    return confront(
        {
            "configurations": (_LEAST_FORKED, found.cases, "at least"),
            f"lift over the given penalty (standard error {found.error:.2f})": (0.3, found.lift, "at least"),
            f"wins per loss ({found.win:.2f} / {found.lose:.2f})": (2, found.win / max(found.lose, 1e-9), "at least"),
            f"deviations above shuffled advice ({mean:.2f})": (1.5, (found.lift - mean) / deviation, "at least"),
        }
    )


@claim(
    "D15",
    "The advised gradient penalty is not behind a fixed one of one squared data radius",
    source="derived",
    fast=False,
)
def advice_against_a_constant() -> Evidence:
    picks = advice_scores.picks()
    found = advice_scores.fared(_forks(), picks[advice_scores.ADVISED], picks[arm_name(1.0)])
    return confront({f"lift (standard error {found.error:.2f})": (-0.05, found.lift, "at least")})


@claim(
    "D16",
    "Two runs from almost the same state part at the predicted multiplier's modulus, within 0.02 over 20 iterations",
    source="derived",
    fast=False,
)
def twin_forks() -> Evidence:
    close = [twin["close"] for twin in twins_of(_verdicts())]
    return confront({f"share of {len(close)} checkpoints": (0.9, _share(close), "at least")})


@claim(
    "D17",
    "A monitor of a PyTorch GAN on digits keeps its budget of 5 % of all time from iteration 4000 on, warm-up apart",
    source="derived",
    fast=False,
)
def monitor_budget() -> Evidence:
    try:
        from ganscope.diagnose.torch_modules.reference import training
    except ModuleNotFoundError:
        raise NotApplicable("this claim needs PyTorch: pip install 'ganscope[torch]'") from None
    game, iteration = training(target("digits").reals)
    monitor, shares = Monitor(game, budget=0.05), []
    for k in range(1, 6001):
        iteration()
        monitor.step()
        if k >= 4000 and k % 200 == 0:
            shares.append(monitor.overhead)
    rows = {"largest share of the monitor from iteration 4000 on": (0.05, max(shares), "at most")}
    return confront(rows | {"readings": (1, len(monitor.history), "at least")})


@claim(
    "D17b",
    "A measurement with 8 modes, 128 samples and 8 minibatches falls on the full one's side of 0.1 data radii",
    source="derived",
    fast=False,
)
def cheap_setting() -> Evidence:
    same = cheap_of(_verdicts())
    return confront({f"share of {len(same)} checkpoints": (0.9, _share(same), "at least")})
