"""Verdicts on all cells of a batch at once, against the verdicts on its cells one by one."""

from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.linalg
import xarray as xr

import ganscope as gs
from ganscope.core.outcome import Outcome, Verdict, median_of, vote, vote_of_cells
from ganscope.games.dualflow import verdict as dual_verdict
from ganscope.games.solvable.cells import Cells
from ganscope.games.solvable.fluctuations import increment_covariance
from ganscope.games.solvable.silence import silent_matrices, silent_matrix
from ganscope.games.solvable.silent_noise import lyapunov, silent_deviations, silent_increments
from ganscope.games.solvable.verdict import _speeds

DRAW = np.random.default_rng(5)


def uniform(low, high, *shape):
    return DRAW.uniform(low, high, shape or 8)


def diagonals(rows):
    return np.array([np.diag(row) for row in rows])


ONE = gs.SolvableGAN(feature_variance=(3.0,))
TWO = gs.SolvableGAN()
SOFT = gs.SolvableGAN(regularization=1.5)
TANH = gs.SolvableGAN(link="tanh")
ROWS = gs.SolvableGAN(feature_variance=None, latent=[[2.0, 1.0], [2.0, -1.0], [-2.0, 1.0], [-2.0, -1.0]])
DIRAC = gs.DiracGAN()
PLANES = gs.QuadraticGame(np.eye(2), np.ones((2, 1)), 0.0, -np.ones((1, 2)), c1=[1.0, 0.0])
LAWS = gs.QuadraticGAN([1.0, 0.0], [[2.0, 0.5], [0.5, 1.0]], [0.0, 0.0], covariance=[[1.0, 0.0], [0.0, 0.5]])
POINTS = np.sin(7.0 * np.arange(12)) + 3.0 * (np.arange(12) % 2)
FEATURES = gs.FeatureGAN(POINTS, np.sin(3.0 * np.arange(10)))
RING = gs.TorusGAN(particles=16)
KERNEL = gs.KernelGAN([[-1.0], [1.0]], [[-0.9], [0.7]])
CLOUD = gs.ParticleGAN(particles=8, discriminator_width=8)

RATES = 10 ** np.linspace(-2.2, 0.3, 8)
RECORDS = np.linspace(0.0, 200.0, 120)

# name: game, what varies, level, how long, and labels that must occur among the cells
BATCHES = {
    "limit": (ONE, {"data_noise": np.linspace(0.3, 3.5, 8), "generator_lr": RATES}, "ode", {}, {"unknown"}),
    "limit of two": (
        TWO,
        {"feature_variance": uniform(1, 6, 8, 2), "data_noise": np.linspace(0.5, 6, 8)},
        "ode",
        {},
        (),
    ),
    "soft limit": (SOFT, {"regularization": RATES, "data_noise": uniform(0.1, 6)}, "ode", {}, {"diverging"}),
    "other link": (TANH, {"data_noise": np.linspace(0.3, 4, 5)}, "ode", {"horizon": 250}, ()),
    "chain": (
        TWO,
        {"data_noise": np.linspace(0.3, 6, 8), "generator_lr": RATES[::-1] / 2},
        "chain",
        {"dimension": 300, "replicas": 5, "save_at": RECORDS},
        {"unknown"},
    ),
    "soft chain": (
        SOFT,
        {"regularization": RATES, "data_noise": np.full(8, 1.8)},
        "chain",
        {"dimension": 100, "replicas": 4, "save_at": RECORDS},
        {"diverging"},
    ),
    "weights": (ONE, {"data_noise": uniform(0.1, 5, 3)}, "sgd", {"dimension": 50, "save_at": RECORDS}, ()),
    "stochastic limit": (ONE, {"data_noise": uniform(0.1, 5, 3)}, "sde", {"dimension": 50, "save_at": RECORDS}, ()),
    "slope": (DIRAC, {"gradient_penalty": np.linspace(0, 2, 8)}, "flow", {"horizon": 60}, {"converged", "orbiting"}),
    "slow slope": (
        gs.DiracGAN("nonsaturating"),
        {"gradient_penalty": np.array([0.0, 0.5]), "initial": np.array([[1.0, 0.0], [0.0, 0.0]])},
        "flow",
        {"horizon": 2000},
        {"algebraic", "converged"},
    ),
    "steps": (
        DIRAC,
        {"gradient_penalty": np.array([0.0, 0.4, 1.0, 9.0, 30.0]), "generator_lr": np.array([1.0, 2.0, 0.1, 1.0, 1.0])},
        "explicit",
        {"step_size": 0.5, "iterations": 900},
        {"escaped"},
    ),
    "steps without solution": (
        gs.DiracGAN("saturating"),
        {"initial": np.array([[1.0, 1.0], [3.0, -3.0], [0.1, 4.0]])},
        "jko",
        {"step_size": 0.5, "iterations": 300},
        {"nonfinite"},
    ),
    "forms": (
        PLANES,
        {"A1": diagonals([[1.0, 0.5], [0.2, -0.1], [0.0, 0.0], [0.0, 1.0], [-30.0, 1.0]]), "generator_lr": RATES[3:]},
        "explicit",
        {"step_size": 0.1, "iterations": 3000},
        {"escaped"},
    ),
    "box": (gs.ClippedGAN(), {"clip": np.linspace(0.2, 2, 6)}, "flow", {"horizon": 50}, {"orbiting"}),
    "many boxes": (
        gs.ClippedGAN(initial=(1.0, [0.1, 0.2, -0.1])),
        {"initial": np.array([[1.0, 0.1, 0.2, 0.3], [0.0, 0.0, 0.0, 0.0]])},
        "explicit",
        {"step_size": 0.1, "horizon": 50},
        {"converged"},
    ),
    "laws": (
        LAWS,
        {
            "covariance": diagonals([[1.0, 0.5], [1.0, 0.0], [0.0, 0.3], [3.0, 0.2], [1.0, 2.0]]),
            "critic_penalty": np.array([0.5, 0.5, 0.0, 2.0, 0.1]),
        },
        "explicit",
        {"step_size": 0.05, "horizon": 20},
        (),
    ),
    "targets": (
        LAWS,
        {"target_covariance": diagonals([[1.0, 0.5], [1.0, 0.0], [0.0, 0.0], [400.0, 900.0]])},
        "explicit",
        {"step_size": 0.05, "horizon": 20},
        {"escaped"},
    ),
    "factors": (
        LAWS,
        {"factor": uniform(-1, 1, 3, 2, 1), "discriminator_lr": np.array([0.1, 1.0, 30.0])},
        "explicit",
        {"step_size": 0.5, "horizon": 100},
        {"escaped"},
    ),
    "clouds": (
        FEATURES,
        {"critic_penalty": uniform(0.1, 2, 3), "bandwidth": np.array([1.0, 0.7, 1.0])},
        "explicit",
        {"step_size": 0.05, "horizon": 10},
        (),
    ),
    "clouds that fly": (
        FEATURES,
        {"generator_lr": np.array([1.0, 1e5])},
        "explicit",
        {"step_size": 0.5, "horizon": 60},
        {"nonfinite"},
    ),
    "noisy clouds": (
        FEATURES.replace(entropy=0.05),
        {"critic_penalty": uniform(0.1, 2, 3), "bandwidth": np.array([0.8, 0.6, 0.8])},
        "explicit",
        {"step_size": 0.05, "horizon": 10, "replicas": 3},
        (),
    ),
    "ring": (
        RING,
        {"mode_width": np.append(uniform(0.05, 0.6, 5), 0.0), "mean_mobility": uniform(0.05, 1, 6)},
        "particles",
        {"iterations": 400},
        (),
    ),
    "ring of two": (
        gs.TorusGAN(particles=16, modes=2),
        {"relative_mobility": 10 ** np.linspace(-2, 1.5, 5)},
        "particles",
        {"iterations": 400, "replicas": 4},
        (),
    ),
    "one mode": (
        gs.TorusGAN(particles=16, modes=1),
        {"mode_width": np.array([0.0, 0.1, 0.3])},
        "particles",
        {"iterations": 300, "replicas": 2},
        {"orbiting"},
    ),
    "kernel": (
        KERNEL,
        {"generator_lr": uniform(0.1, 2, 5), "regularization": np.append(0.0, uniform(0.1, 3, 4))},
        "gda",
        {"iterations": 400},
        (),
    ),
    "kernel far": (
        KERNEL,
        {"generator_lr": 10 ** np.linspace(-1, 3, 5), "discriminator_lr": 10 ** np.linspace(-1, 1.5, 5)},
        "gda",
        {"iterations": 400, "rule": "simultaneous"},
        {"nonfinite"},
    ),
    "kernel starts": (
        KERNEL,
        {"generated_points": uniform(-2, 2, 4, 2, 1), "bandwidth": uniform(0.3, 2, 4)},
        "gda",
        {"rule": "flow", "horizon": 60},
        (),
    ),
    "cloud": (
        CLOUD,
        {"mode_width": np.array([0.05, 0.2]), "radius": np.array([0.5, 2.0])},
        "particles",
        {"iterations": 120},
        (),
    ),
    "cloud that flies": (
        CLOUD,
        {"discriminator_lr": np.array([0.05, 1e5])},
        "particles",
        {"iterations": 120, "replicas": 2},
        {"nonfinite"},
    ),
}


@pytest.fixture(scope="module", params=BATCHES)
def batch(request):
    """A batch of runs, and labels that must occur."""
    game, over, level, options, labels = BATCHES[request.param]
    return gs.simulate_many(game, over, level, **options), set(labels)


def assert_same(found, cell, run, **options):
    """A cell of `classify_many` says what `classify` says of its run."""
    alone, one = gs.classify(run, **options), found.isel(cell=cell)
    assert (one.outcome.item(), one.detail.item()) == (str(alone.outcome), alone.detail)
    assert bool(one.near_critical) == alone.near_critical
    # sums over records in another order, through thresholds of order 1e-2
    np.testing.assert_allclose(float(one.margin), alone.margin, rtol=1e-9, atol=1e-12)
    if "replica" in run.dims:
        each = [gs.classify(run.isel(replica=k), **options).outcome for k in range(run.sizes["replica"])]
        assert float(one.share) == pytest.approx(np.mean([outcome == alone.outcome for outcome in each]), abs=1e-12)


def test_every_cell_has_its_own_verdict(batch):
    run, labels = batch
    found = gs.classify_many(run)
    assert labels <= set(found.detail.values)
    assert ("share" in found) == ("replica" in run.dims)
    for cell in range(run.sizes["cell"]):
        assert_same(found, cell, run.isel(cell=cell))


def test_order_of_dimensions_and_choice_of_cells_do_not_matter(batch):
    run, _ = batch
    found = gs.classify_many(run)
    turned = gs.classify_many(run.transpose(*reversed(list(run.dims))))
    some = gs.classify_many(run.isel(cell=slice(1, None)))
    for variable in found:
        assert found[variable].dims == (("cell", "replica") if variable == "replica_outcome" else ("cell",))
        # sums over records in another order, and equations solved together with others
        xr.testing.assert_allclose(found[variable], turned[variable], rtol=1e-9)
        xr.testing.assert_allclose(some[variable], found[variable].isel(cell=slice(1, None)), rtol=1e-9)


def test_few_records_are_undecided(batch):
    run, _ = batch
    few = run.isel(time=slice(0, 50))
    found = gs.classify_many(few)
    assert set(found.outcome.values) == {"undecided"}
    assert np.all(np.isnan(found.margin))
    assert not np.any(found.near_critical)
    assert_same(found, 0, few.isel(cell=0))


def test_games_without_verdicts_on_batches_are_judged_cell_by_cell(monkeypatch):
    for name in ("steps", "noisy clouds"):
        game, over, level, options, _ = BATCHES[name]
        run = gs.simulate_many(game, over, level, **options)
        found = gs.classify_many(run)
        monkeypatch.setattr(type(game), "classify_cells", lambda self, run, **options: None)
        slow = gs.classify_many(run)
        for variable in ("outcome", "detail", "near_critical"):
            assert found[variable].equals(slow[variable])
        np.testing.assert_allclose(found.margin, slow.margin, rtol=1e-9)
        if "replica" in run.dims:
            np.testing.assert_allclose(found.share, slow.share, atol=1e-12)


def test_a_batch_from_a_file_and_one_without_cells():
    game, over, level, options, _ = BATCHES["box"]
    run = gs.simulate_many(game, over, level, **options)
    found = gs.classify_many(run)
    kept = run.assign_attrs(over="clip")  # what some formats make of a list of one text
    assert gs.classify_many(kept).margin.equals(found.margin)
    assert_same(found, 1, kept.isel(cell=1))
    assert gs.classify_many(run.isel(cell=slice(0, 0))).sizes["cell"] == 0


def test_thresholds_reach_every_cell():
    game, over, level, options, _ = BATCHES["steps"]
    run = gs.simulate_many(game, over, level, **options)
    for given in ({"blowup": 1e30}, {"settled": 0.5}, {"moving": 1e-3, "trend": 3.0}):
        found = gs.classify_many(run, **given)
        for cell in range(run.sizes["cell"]):
            assert_same(found, cell, run.isel(cell=cell), **given)
    assert not gs.classify_many(run, blowup=1e30).identical(gs.classify_many(run))


def test_bad_calls_are_refused():
    game, over, level, options, _ = BATCHES["steps"]
    run = gs.simulate_many(game, over, level, **options)
    with pytest.raises(gs.ParameterError, match="blowup"):
        gs.classify_many(run, blowup=0.5)
    with pytest.raises(gs.ParameterError, match="settled"):
        gs.classify_many(run, setled=0.5)
    with pytest.raises(gs.ParameterError, match="cell"):
        gs.classify_many(run.isel(cell=0))
    with pytest.raises(gs.ParameterError, match="run"):
        gs.classify_many(run.drop_attrs())
    with pytest.raises(gs.ParameterError, match="option"):
        gs.classify_many(gs.simulate_many(ONE, {"data_noise": [1.0]}, "ode", horizon=10), blowup=10.0)


# ---------------------------------------------------------------------------------------------------------------------
# What a batch may vary

GAMES = [
    ONE,
    SOFT,
    TANH,
    ROWS,
    DIRAC,
    gs.QuadraticGame(1.0, 1.0, 1.0, -1.0),
    PLANES,
    LAWS,
    FEATURES,
    gs.FeatureGAN(POINTS, np.zeros(3), features="energy"),
    gs.ClippedGAN(initial=(1.0, [0.1, 0.2])),
    KERNEL,
    RING,
    CLOUD,
]


def plausible(game, name):
    """Two values of a parameter, near the game's own."""
    own = getattr(game, name)
    missing = {
        "factor": lambda: game.initial_factor,
        "initial_positions": lambda: np.linspace(-1.0, 1.0, game.particles),
        "initial": lambda: np.full((game.particles, game.axes), 0.1),
    }
    if own is None and name in missing:
        own = missing[name]()
    if isinstance(own, tuple):
        own = np.hstack(own)
    if np.ndim(own) > 0:
        return np.stack([own, own])
    if own is None or own == 0:
        return np.array([0.5, 0.75])
    return np.array([own, 2 * own])


@pytest.mark.parametrize("game", GAMES, ids=lambda game: f"{game.model}")
def test_a_batch_varies_what_a_game_says_and_nothing_else(game):
    varied = game.varied_parameters()
    assert len(set(varied)) == len(varied)
    for name in varied:
        values = plausible(game, name)
        checked, cells = game.check_cells({name: values})
        assert cells == 2
        assert list(checked) == [name]
        game.replace(**{name: checked[name][1]})  # every cell has a game of its own
    for name in {*game.parameter_names(), "nonsense"} - set(varied):
        with pytest.raises(gs.ParameterError, match=name):
            gs.simulate_many(game, {name: np.array([0.5, 0.6])}, next(iter(game.levels)), horizon=1.0)


# ---------------------------------------------------------------------------------------------------------------------
# The parts


def silent_states(game, count):
    """Overlaps and Gram matrices of columns that are not orthogonal, and cells that differ."""
    draw = np.random.default_rng(11)
    vectors = draw.normal(size=(count, 12, game.features + game.columns))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    u, v = np.linalg.qr(vectors[..., : game.features])[0], vectors[..., game.features :]
    over = {
        "data_noise": np.linspace(1.0, 7.0, count),
        "generator_lr": draw.uniform(0.01, 0.2, count),
        "feature_variance": draw.uniform(0.5, 4, (count, game.features)),
    }
    games = [game.replace(**{name: values[k] for name, values in over.items()}) for k in range(count)]
    return Cells.of(game, over), games, np.swapaxes(u, 1, 2) @ v, np.swapaxes(v, 1, 2) @ v


@pytest.mark.parametrize(
    "game",
    [
        gs.SolvableGAN(feature_variance=(3.0, 2.0), latent_variance=(1.0, 2.0, 4.0), generator_noise=0.7),
        gs.SolvableGAN(feature_variance=(3.0, 2.0), regularization=30.0),
    ],
    ids=["hard", "soft"],
)
def test_silent_states_of_a_batch_are_those_of_its_cells(game):
    cells, games, P, S = silent_states(game, 6)
    M, N = silent_matrices(cells, P, S), silent_increments(cells, P, S)
    size = game.features + game.columns
    block = slice(game.layout.q, game.layout.S)
    deviations = silent_deviations(cells, P, S, 1000.0, 50.0)
    for k, own in enumerate(games):
        state = np.concatenate([P[k].ravel(), np.zeros(size), S[k].ravel(), [1.0]])
        general = increment_covariance(own, state)[block, block]
        np.testing.assert_allclose(M[k], silent_matrix(own, P[k], S[k]), rtol=1e-13, atol=1e-13)
        np.testing.assert_allclose(N[k], general, rtol=1e-12, atol=1e-13)
        growth = np.linalg.eigvals(M[k]).real.max()
        if growth < 0:
            covariance = scipy.linalg.solve_continuous_lyapunov(M[k], -general)
            expected = np.sqrt(np.diag(covariance)[: game.features] / 1000.0)
            np.testing.assert_allclose(deviations[k], expected, rtol=1e-8)
        else:
            assert np.all(np.isinf(deviations[k]) if growth * 50.0 > 3.0 else np.isnan(deviations[k]))
    assert np.any(np.isfinite(deviations))
    assert not np.all(np.isfinite(deviations))


def test_lyapunov_equations_near_the_stability_line():
    M = np.random.default_rng(12).normal(size=(5, 4, 4))
    gap = np.array([1.0, 1e-2, 1e-4, 1e-6, 10.0])
    M -= (np.linalg.eigvals(M).real.max(axis=1) + gap)[:, None, None] * np.eye(4)
    N = np.array([np.eye(4) + np.ones((4, 4))] * 5)
    for X, m, n, left in zip(lyapunov(M, N), M, N, gap, strict=True):
        # the equation is as ill-conditioned as the state is near its stability line
        np.testing.assert_allclose(X, scipy.linalg.solve_continuous_lyapunov(m, -n), rtol=1e-10 / min(left, 1.0))


@pytest.mark.parametrize("latent", ["gaussian", "rademacher"])
def test_speeds_of_a_batch_are_those_of_its_cells(latent, monkeypatch):
    game = gs.SolvableGAN(link="tanh", latent=latent)
    noise = np.array([0.5, 1.0, 2.0, 4.0, 5.0])
    state = game.start
    states = np.array([state.vector() * scale for scale in (1.0, 0.9, 0.8, 0.7, 0.6)])
    monkeypatch.setattr("ganscope.games.solvable.verdict._BLOCK", 1000)  # several blocks
    speeds = _speeds(Cells.of(game, {"data_noise": noise}), states)
    for speed, value, row in zip(speeds, noise, states, strict=True):
        own = game.replace(data_noise=value)
        rate = own.velocity(gs.MacroState.from_vector(row, game.features, game.columns))
        assert speed == pytest.approx(np.abs(rate.vector()[: game.layout.S]).max(), rel=1e-12)


def test_votes():
    kinds = [("converged", "a"), ("converged", "b"), ("diverged", "c")]
    draw = np.random.default_rng(13)
    picks = draw.integers(0, 3, (40, 5))
    margin, near = draw.uniform(-1, 1, (40, 5)), draw.uniform(size=(40, 5)) < 0.2
    margin[picks == 2] = np.nan
    outcome, detail = (np.array([[kinds[i][k] for i in row] for row in picks], object) for k in (0, 1))
    found = vote_of_cells(outcome, detail, margin, near)
    for cell, row in enumerate(picks):
        best, count = Counter(row.tolist()).most_common(1)[0]  # of equally frequent ones the first that occurs
        chosen = row == best
        assert (found.outcome[cell], found.detail[cell]) == kinds[best]
        np.testing.assert_allclose(found.margin[cell], np.median(margin[cell][chosen]))
        agree = [kinds[i][0] == kinds[best][0] for i in row]
        assert found.near_critical[cell] == (not all(agree) or near[cell][chosen].any())
        assert found.share[cell] == pytest.approx(np.mean(agree))
        said = [
            Verdict(Outcome(kinds[i][0]), kinds[i][1], float(m), (f"replica {k}",), bool(n))
            for k, (i, m, n) in enumerate(zip(row, margin[cell], near[cell], strict=True))
        ]
        alone = vote(said)
        assert (alone.outcome, alone.detail, alone.near_critical) == (
            *kinds[best],
            bool(found.near_critical[cell]),
        )
        assert alone.reasons[0].startswith(f"{count} of 5 replicas")
        assert alone.reasons[1] == f"replica {int(np.argmax(chosen))}"


def test_median_of_chosen_values():
    draw = np.random.default_rng(14)
    values, chosen = draw.normal(size=(30, 6)), draw.uniform(size=(30, 6)) < 0.6
    chosen[:, 0] = True
    expected = [np.median(row[which]) for row, which in zip(values, chosen, strict=True)]
    np.testing.assert_allclose(median_of(values, chosen), expected, rtol=1e-15)
    values[3, 0] = np.nan
    assert np.isnan(median_of(values, chosen)[3])


def test_rules_of_the_dual_flows_hold_one_by_one():
    """Made-up records, each of which only one rule fits, judged together and alone."""
    time = np.linspace(0.0, 20.0, 400)
    ones, wave = np.ones(400), np.sin(np.arange(400) / 3)
    cases = {
        "converged": (0.005 * ones, 0 * wave, "a mode is empty"),
        "settled": (ones, 0 * wave, "a mode is empty"),
        "cycling": (ones, wave, "a mode is empty"),
        "diverging": (np.linspace(1, 2, 400), 0 * wave, None),
        "converging": (np.exp(-time / 7), 0 * wave, None),
        "algebraic": (1 / np.sqrt(0.01 + time), 0 * wave, None),
        "orbiting": (ones, wave, None),
        "stalled": (ones, 0 * wave, None),
        "nonfinite": (np.where(time < 15, 1.0, np.nan), 0 * wave, None),
        "escaped": (np.where(time < 15, 1.0, 1e7), 0 * wave, None),
        "unknown": (np.where(time < 8, 1.0, np.nan), 0 * wave, None),
    }
    distance = np.array([case[0] for case in cases.values()])
    size = np.hypot(distance, 1)
    size[-1] = 1.0  # the state is known, its distance is not
    tracked = dual_verdict_tracked(distance, size, [case[1] for case in cases.values()], [c[2] for c in cases.values()])
    judged = dual_verdict.judge(tracked, time, dual_verdict.Thresholds())
    assert judged.detail.tolist() == list(cases)
    assert {*cases} == {*dual_verdict.OUTCOMES}


def dual_verdict_tracked(distance, size, moving, missing):
    return SimpleNamespace(
        distance=distance,
        size=size,
        coordinates=np.array(moving)[..., None],
        reference=np.ones(len(distance)),
        missing=np.array(missing, object),
        algebraic=np.zeros(len(distance), bool),
    )
