"""Verdicts on real GANs: every rule, their order, margins and confidences."""

import math
from dataclasses import dataclass

import numpy as np
import pytest
from diagnose_measurements import random_measurement, rule_of, with_wander

import ganscope as gs
from ganscope.core.outcome import Outcome
from ganscope.diagnose.samples.history import History, wander
from ganscope.diagnose.theory.assumptions import assumptions
from ganscope.diagnose.theory.calibration import (
    CONVERGING,
    NOT_CONVERGING,
    Calibration,
    Cell,
    shipped_baseline,
    shipped_calibration,
)
from ganscope.diagnose.theory.hyper_parameters import features
from ganscope.diagnose.theory.verdict import judge
from ganscope.diagnose.theory.virtual import growth


@dataclass(frozen=True)
class Summary:
    spread: float = 1.0
    knn_coverage: float = 0.95
    soft_coverage: float | None = None
    energy_distance: float = 0.03
    largest_excursion: float = 2.0
    discriminator_slope: float = 0.3


def at(wander, seed=0, **options):
    return with_wander(random_measurement(seed=seed, **options), wander)


def orbit(records, amplitude, growth_per_record=1.0, radius=2.0):
    """A cloud whose centre circles: its wander is the amplitude."""
    time = np.arange(records)
    size = amplitude * radius * growth_per_record**time
    # Quarter turns per record, so that every group of four has exactly this variance.
    centre = size[:, None] * np.stack([np.cos(time * np.pi / 2), np.sin(time * np.pi / 2)], axis=1)
    cloud = np.random.default_rng(0).normal(size=(16, 2))
    return History(centre[:, None] + cloud - cloud.mean(axis=0), radius)


@pytest.mark.parametrize(
    "score, samples, outcome, detail",
    [
        (0.01, Summary(), "converged", "quiet"),
        (0.01, Summary(energy_distance=0.11), "undecided", "quiet_but_not_there"),
        (0.01, None, "undecided", "quiet"),
        (0.06, Summary(), "undecided", "near_threshold"),
        (0.15, Summary(), "undecided", "near_threshold"),
        (0.3, Summary(), "oscillating", "wandering"),
        (1e5, Summary(), "oscillating", "wandering"),
    ],
)
def test_score_decides(score, samples, outcome, detail):
    found = judge([at(score)], samples)
    assert (found.outcome, found.detail) == (Outcome(outcome), detail)
    assert found.score == pytest.approx(score, rel=1e-9)
    assert found.margin == pytest.approx(math.log(0.1 / score), rel=1e-6)
    assert found.leaning == (CONVERGING if score <= 0.1 else NOT_CONVERGING)
    assert f"{score:.3g}" in " ".join(found.reasons)
    assert "not predicted reliably" in found.risk


def test_bands_follow_the_threshold():
    assert judge([at(0.3)], Summary(), threshold=1.0).outcome == Outcome.CONVERGED
    assert judge([at(0.06)], Summary(), threshold=0.02).outcome == Outcome.OSCILLATING
    assert judge([at(0.3)], Summary(), threshold=0.3).margin == pytest.approx(0.0, abs=1e-9)
    with pytest.raises(gs.ParameterError, match="threshold"):
        judge([at(0.3)], threshold=0.0)


PRESENT = [
    (Summary(largest_excursion=20.1), "diverged", "escaped"),
    (Summary(largest_excursion=math.nan), "diverged", "nonfinite"),
    (Summary(spread=0.049), "collapsed", "small_spread"),
    (Summary(soft_coverage=0.34, spread=0.49), "collapsed", "missing_modes"),
    (Summary(knn_coverage=0.33, spread=0.49), "collapsed", "missing_modes"),
    (Summary(energy_distance=0.21, discriminator_slope=0.9e-4), "uninformative", "flat_discriminator"),
]


@pytest.mark.parametrize("samples, outcome, detail", PRESENT)
def test_the_present_state_comes_first(samples, outcome, detail):
    found = judge([at(0.01)], samples)
    assert (found.outcome, found.detail) == (Outcome(outcome), detail)
    assert found.confidence is None
    assert "observed" in found.confidence_source
    assert not found.near_critical


@pytest.mark.parametrize(
    "samples",
    [
        Summary(largest_excursion=19.9),
        Summary(spread=0.06),
        Summary(soft_coverage=0.34, spread=0.51),
        Summary(soft_coverage=0.36, spread=0.49),
        # Where modes are known, neighbours are not asked.
        Summary(soft_coverage=0.9, knn_coverage=0.1, spread=0.4),
        Summary(knn_coverage=0.34, spread=0.49),
        Summary(discriminator_slope=0.0),
    ],
)
def test_just_inside_the_bounds(samples):
    assert judge([at(0.01)], samples).outcome == Outcome.CONVERGED


def test_order_of_the_rules():
    bad = Summary(largest_excursion=21, spread=0.01, energy_distance=1.0, discriminator_slope=0.0)
    dead = at(1e-7)
    assert judge([dead], bad).outcome == Outcome.DIVERGED
    assert judge([dead], bad, finite=False).detail == "nonfinite"
    assert judge([dead], Summary(spread=0.01)).outcome == Outcome.COLLAPSED
    assert judge([dead], Summary()).outcome == Outcome.UNINFORMATIVE


def test_saturated_is_never_health():
    for one in (
        at(0.9e-6),
        at(0.01).replace(outputs=np.zeros((3, 5, 2))),
        at(0.01).replace(sigma=np.array([0.9e-8, 0, 0])),
    ):
        found = judge([one], Summary())
        assert (found.outcome, found.detail) == (Outcome.UNINFORMATIVE, "saturated")
        assert "saturated" in found.reasons[0]
    assert judge([at(1.1e-6)], Summary()).outcome == Outcome.CONVERGED


def test_without_minibatch_noise_there_is_no_wander_to_predict():
    """Training on the whole data set: nothing is wrong with the discriminator."""
    still = at(0.01)
    still = still.replace(noise=0 * still.noise, signal_to_noise=math.inf)
    found = judge([still], Summary())
    assert (found.outcome, found.detail) == (Outcome.UNINFORMATIVE, "no_noise")
    assert "minibatches are all alike" in found.reasons[0]
    dead = still.replace(sigma=np.zeros(3))
    assert judge([dead], Summary()).detail == "saturated"


def test_vanishing_generator_gradient():
    still = at(0.01).replace(gradient_norms=(0.9e-8, 1.0))
    history = History(orbit(10, 0.01).outputs, 2.0, largest_generator_gradient=1.0)
    found = judge([still], Summary(energy_distance=0.3), history)
    assert (found.outcome, found.detail) == (Outcome.UNINFORMATIVE, "vanishing_gradient")
    assert judge([still], Summary(energy_distance=0.19), history).outcome != Outcome.UNINFORMATIVE
    assert judge([still], Summary(energy_distance=0.3)).outcome != Outcome.UNINFORMATIVE


def test_nothing_measured():
    found = judge([], finite=False)
    assert found.outcome == Outcome.DIVERGED
    assert math.isnan(found.margin)
    assert judge([], Summary()).detail == "no_score"
    assert judge([at(0.01).replace(outputs=None)], Summary()).outcome == Outcome.UNDECIDED
    broken = at(0.01)
    broken = broken.replace(jacobian=np.full_like(broken.jacobian, np.inf))
    assert judge([broken], Summary()).outcome == Outcome.DIVERGED


def test_history_counts_from_forty_records():
    early = judge([at(0.01)], Summary(), orbit(39, 1.0))
    assert early.outcome == Outcome.CONVERGED
    assert early.persistence == NOT_CONVERGING
    late = judge([at(0.01)], Summary(), orbit(40, 1.0))
    assert late.score == pytest.approx(math.sqrt(0.01 * 1.0), rel=1e-9)
    assert late.outcome == Outcome.UNDECIDED
    # Both are clipped: a run-away model counts as 10, a silent record as 1e-4.
    assert judge([at(1e6)], Summary(), orbit(40, 0.4)).score == pytest.approx(2.0, rel=1e-9)
    assert judge([at(0.04)], Summary(), orbit(40, 0.0)).score == pytest.approx(2e-3, rel=1e-9)
    assert judge([at(0.3)], Summary()).persistence is None
    assert judge([at(0.3)], Summary(), orbit(12, 0.05)).persistence == CONVERGING


def test_running_away():
    unstable = at(1.0, rule=rule_of("simultaneous", kind="momentum", momentum=0.9), gamma=0.0, friction=0.0)
    assert 1024 * math.log(growth(unstable)) > math.log(1e6)
    # Twenty records of the window in quarters of five: threefold per quarter.
    fast, slow = 3.2 ** (1 / 5), 2.7 ** (1 / 5)
    growing = orbit(40, 1e-8, fast)
    assert growing.growth_per_quarter == pytest.approx(3.2, rel=1e-9)
    assert judge([unstable], Summary(), orbit(40, 1e-3, fast)).outcome == Outcome.DIVERGED
    assert judge([unstable], Summary(), orbit(40, 1e-2, slow)).outcome == Outcome.OSCILLATING
    stable = at(1.0, gamma=2.0)
    assert growth(stable) < 1.001
    assert judge([stable], Summary(), orbit(40, 1e-3, fast)).outcome == Outcome.OSCILLATING
    assert judge([unstable], Summary()).outcome == Outcome.OSCILLATING


def test_broken_record():
    outputs = orbit(10, 0.1).outputs.copy()
    outputs[7:] = np.nan
    history = History(outputs, 2.0)
    assert judge([at(0.01)], Summary(), history).outcome == Outcome.DIVERGED
    assert history.observed_wander == math.inf


def test_batches_that_disagree_halve_the_margin():
    together = judge([at(w, seed) for seed, w in enumerate((0.02, 0.03, 0.04))], Summary())
    assert together.outcome == Outcome.CONVERGED
    assert together.score == pytest.approx(0.03, rel=1e-9)
    assert together.margin == pytest.approx(math.log(0.1 / 0.03), rel=1e-6)
    assert not together.near_critical
    apart = judge([at(w, seed) for seed, w in enumerate((0.02, 0.03, 0.2))], Summary())
    assert apart.outcome == Outcome.CONVERGED
    assert apart.margin == pytest.approx(0.5 * math.log(0.1 / 0.03), rel=1e-6)
    assert apart.near_critical
    assert "disagree" in " ".join(apart.reasons)


def test_near_critical_at_the_borders():
    for score in (0.045, 0.055, 0.09, 0.11, 0.18, 0.22):
        assert judge([at(score)], Summary()).near_critical
    for score in (0.02, 0.07, 0.14, 0.5):
        assert not judge([at(score)], Summary()).near_critical


def _table():
    """Two shares per phase of training, beyond a factor 2 from the threshold."""
    shares = {0.005: (0.88, 0.78), 0.025: (0.92, 0.73), 0.1: (0.86, 0.75), 0.4: (0.87, 0.83)}
    cells = [
        Cell(leaning, math.log(2.0), math.inf, phase, share, (20, 20))
        for phase, pair in shares.items()
        for leaning, share in zip((NOT_CONVERGING, CONVERGING), pair, strict=True)
    ]
    return shares, Calibration("a table", tuple(cells))


def test_confidence_is_the_measured_share():
    shares, table = _table()

    def told(score, **options):
        return judge([at(score)], Summary(), calibration=table, **options)

    for progress, (moving, quiet) in shares.items():
        assert told(0.5, progress=progress).confidence == moving
        assert told(0.01, progress=progress).confidence == quiet
    assert told(0.01, progress=0.9).confidence == 0.83
    assert told(0.01, progress=0.0).confidence == 0.78
    assert told(0.01).confidence == 0.73
    assert told(0.01).confidence_source == "a table"
    middle = told(0.12)
    assert middle.confidence is None
    assert "no share" in middle.confidence_source


def test_shipped_confidences_come_from_the_benchmark():
    table = shipped_calibration()
    assert "benchmark" in table.source
    assert {cell.progress for cell in table.cells} <= {0.005, 0.025, 0.1, 0.4}
    assert all(0 <= cell.share <= 1 and cell.least < cell.most and cell.cases[0] >= 5 for cell in table.cells)
    assert judge([at(0.01)], Summary(), progress=0.1).confidence_source == table.source


def test_what_hyper_parameters_alone_say():
    """The chance of the shipped regression, and its parts by hand."""
    baseline = shipped_baseline()
    rule = gs.UpdateRule(generator=gs.Player("adam", 1e-3, beta1=0.5), discriminator=gs.Player("adam", 2e-3))
    known = features(rule, 0.5, 2.0)
    assert known[:6] == pytest.approx([math.log(1e-3), math.log(2e-3), 0.5, math.log(0.126), 0.0, 0.0])
    assert known[6:].tolist() == [float(kind == "adam") for kind in ("sgd", "momentum", "adam", "rmsprop")]
    logit = baseline.weights[0] + sum(
        w * (x - c) / s for w, x, c, s in zip(baseline.weights[1:], known, baseline.centre, baseline.scale, strict=True)
    )
    assert baseline.chance(known) == pytest.approx(1 / (1 + math.exp(-logit)))
    assert 0 < judge([at(0.3)], Summary()).hyper_parameters < 1


def test_to_dict():
    told = judge([at(0.3)], Summary(), collapse_risk="raised").to_dict()
    assert told["outcome"] == "oscillating"
    assert told["baselines"]["persistence"] is None
    assert 0 < told["baselines"]["hyper_parameters"] < 1
    assert "raised (unvalidated)" in told["risk"]
    keys = {"outcome", "detail", "score", "margin", "confidence", "confidence_source", "leaning", "near_critical"}
    assert set(told) == keys | {"reasons", "risk", "baselines"}


def test_history_checks():
    with pytest.raises(gs.ParameterError, match="outputs"):
        History(np.zeros((3, 2)), 1.0)
    with pytest.raises(gs.ParameterError, match="data_radius"):
        History(np.zeros((3, 2, 2)), 0.0)
    assert math.isnan(orbit(3, 1.0).observed_wander)
    assert math.isnan(orbit(12, 1.0).growth_per_quarter)
    assert orbit(40, 0.7).observed_wander == pytest.approx(0.7, rel=1e-12)
    path = np.random.default_rng(0).normal(size=(30, 3))
    assert wander(path) == pytest.approx(math.sqrt(np.trace(np.cov(path.T, ddof=0))), rel=1e-12)


def test_assumptions():
    quiet = at(0.1)
    text = " ".join(assumptions([quiet]))
    assert "near-stationary" in text
    assert "batches of 128" in text
    assert "preconditioner" not in text
    adam = at(0.1, rule=rule_of(kind="adam", beta1=0.5)).replace(signal_to_noise=3.5, floored=True)
    text = " ".join(assumptions([adam]))
    assert "away from an equilibrium; local growth holds for about 5-20 iterations" in text
    assert "frozen" in text
    assert "floored" in text
    assert assumptions([]) == ()
