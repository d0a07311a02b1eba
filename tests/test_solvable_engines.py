"""Engines of the solvable model: against worked numbers, against the naive transcription, and against each other."""

import numpy as np
import pytest
import reference_solvable as reference
from conftest import packed
from scipy.integrate import solve_ivp

import ganscope as gs
from ganscope.core.random import replica_streams
from ganscope.games.solvable import links
from ganscope.games.solvable.chain import chain_kernel
from ganscope.games.solvable.drift import drift, game_drift, make_drift
from ganscope.games.solvable.fluctuations import increment_covariance
from ganscope.games.solvable.limit import ode_solver
from ganscope.games.solvable.packing import Layout
from ganscope.games.solvable.sgd import sgd_kernel
from ganscope.games.solvable.step import step_kernel

SOFT_START = gs.MacroState([[0.3, 0.1], [0.05, 0.25]], [0.3, 0.2], [0.1, 0.08], [[1.05, 0.1], [0.1, 0.95]], 1.1)

# Worked numbers: dP, dq, dr, dS, dz at the start of setting W.
DRIFTS = {
    "hard quadratic": (
        {},
        "0.0054 0.0028032 0.0039 0.001728 0.1794816 0.0458544 -0.0127728 -0.00131968 0 0.00256 0.00256 0 0",
    ),
    "soft quadratic": (
        {"regularization": 10},
        "0.006 0.00288 0.004 0.00192 0.2652 0.103 0.016 0.0216 0.004 0.00256 0.00256 0.001536 0.571456",
    ),
    "soft, other lengths": (
        {"regularization": 10, "initial": SOFT_START},
        "0.0000049950 0.0048783350 0.0030008325 0.0069158375 0.2053992032 0.0631328022 -0.0137319339 0.0006117889 "
        "-0.0379650350 0.00256 0.00256 0.0395043650 0.1649168237",
    ),
    "hard tanh": (
        {"link": "tanh"},
        "0.0025597011 0.0013287693 0.0018486730 0.0008191044 0.0884120190 0.0269626225 -0.0047928933 0.0010145796 "
        "0 0.0012134879 0.0012134879 0 0",
    ),
    "hard tanh rademacher": (
        {"link": "tanh", "latent": "rademacher"},
        "0.0025751195 0.0013317199 0.0018598085 0.0008209232 0.0940014331 0.0268533506 -0.0033219662 0.0015215171 "
        "0 0.0012190668 0.0012190668 0 0",
    ),
    "soft logistic": (
        {"link": "logistic", "regularization": 10},
        "0.0048907942 0.0023475813 0.0032605295 0.0015650542 -0.0630681686 -0.0490134008 -0.0773788660 -0.0435602769 "
        "0.0032605295 0.0020867389 0.0020867389 0.0012520432 -0.3942008169",
    ),
}
ODE_STATES = {
    1: "0.3075381918 0.1038370561 0.0543218234 0.251930432 0.5090491545 0.2298725054 0.1085921238 0.0835976921 "
    "1 0.0026304877 0.0026304877 1 1",
    5: "0.389362936 0.132957054 0.0694517418 0.2569726164 0.801958689 0.0445951965 0.1762733294 0.0803539258 "
    "1 0.0183073966 0.0183073966 1 1",
    20: "0.8303169237 0.2442516535 -0.0204909875 0.2397022932 0.6129932525 -0.1895514852 0.3687755493 0.0838025231 "
    "1 0.1145027477 0.1145027477 1 1",
}
REGIMES = {  # noise, time: P_11 P_12 P_21 P_22 q_1 q_2 r_1 r_2
    (2, 50): "0.937642 0.023461 -0.049239 0.102085 0.013060 -0.384831 0.083005 -0.021518",
    (2, 100): "0.939428 0.025499 -0.010543 0.588357 -0.003982 -0.699868 0.001913 -0.247624",
    (2, 400): "0.939365 0.021443 -0.016468 0.921388 0 0 0 0",
    (4, 50): "0.329557 0.002480 0.001645 0.100291 0.468472 -0.000519 0.087468 0.000751",
    (4, 100): "0.684295 0.004329 0.000577 0.100287 0.238920 -0.000926 0.109124 0.000655",
    (4, 400): "0.745171 0.004647 0.000037 0.100285",
}
STRUCTURES = [
    {},
    {"regularization": 10.0},
    {"link": "tanh"},
    {"link": "logistic", "regularization": 10.0},
    {"generator_noise": 0.7, "latent_variance": (4.0, 2.0)},
]


def numbers(text):
    return np.array([float(v) for v in text.split()])


@pytest.mark.parametrize("name", DRIFTS)
def test_drift_gives_the_worked_numbers(name, setting_w):
    parameters, expected = DRIFTS[name]
    game = gs.SolvableGAN(**{"initial": setting_w, **parameters})
    # The numbers are printed to ten digits; one of them is off by half a unit more.
    np.testing.assert_allclose(game.velocity(game.start).vector(), numbers(expected), atol=2e-10)


def test_ode_gives_the_worked_states(setting_w):
    run = gs.simulate(gs.SolvableGAN(initial=setting_w), "ode", save_at=list(ODE_STATES))
    np.testing.assert_allclose(packed(run), [numbers(v) for v in ODE_STATES.values()], atol=1e-6)


@pytest.mark.parametrize("noise, time", REGIMES)
def test_ode_gives_the_regimes_of_the_paper(noise, time):
    expected = numbers(REGIMES[noise, time])
    run = gs.simulate(gs.SolvableGAN(data_noise=noise), "ode", save_at=[time])
    np.testing.assert_allclose(packed(run)[0, : len(expected)], expected, atol=1e-4)


def random_game(rng, features, columns, **parameters):
    rows = rng.standard_normal((features + columns + 1, 40))
    if "regularization" not in parameters:
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    rows[:features] = np.linalg.qr(rows[:features].T)[0].T
    gram = rows @ rows.T / (1 if "regularization" not in parameters else np.diag([1.0] * len(rows)).sum() ** 0)
    if "regularization" in parameters:
        lengths = np.append(np.ones(features), rng.uniform(0.8, 1.2, columns + 1))
        scale = lengths / np.sqrt(np.diag(gram))
        gram = gram * np.outer(scale, scale)
    state = gs.MacroState(
        gram[:features, features:-1],
        gram[:features, -1],
        gram[features:-1, -1],
        gram[features:-1, features:-1],
        gram[-1, -1],
    )
    return gs.SolvableGAN(
        **{
            "feature_variance": rng.uniform(1, 5, features),
            "latent_variance": rng.uniform(1, 5, columns),
            "initial": state,
            **parameters,
        }
    )


def as_setting(game):
    names = reference.Setting.__dataclass_fields__
    return reference.Setting(**{name: getattr(game, name) for name in names})


@pytest.mark.parametrize("parameters", STRUCTURES)
@pytest.mark.parametrize("features, columns", [(1, 1), (2, 2), (3, 2), (2, 3)])
def test_drift_is_the_naive_transcription(parameters, features, columns):
    rng = np.random.default_rng(features + 10 * columns)
    parameters = {k: v for k, v in parameters.items() if k != "latent_variance"}
    game = random_game(rng, features, columns, **parameters)
    state = reference.unpack(game.start.vector(), features, columns)
    naive = reference.pack(reference.drift(as_setting(game), state))
    np.testing.assert_allclose(drift(game, game.start.vector()), naive, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("parameters", STRUCTURES)
@pytest.mark.parametrize("lanes", [1, 32])
def test_compiled_ode_solves_the_reference_drift(parameters, lanes, setting_w):
    game = gs.SolvableGAN(**{"initial": setting_w, **parameters})
    solver = ode_solver(2, 2, game.hard, game.link, lanes)
    start, times = game.start.vector(), np.array([0.0, 0.5, 3.0])
    out, status = np.empty((1, 3, len(start))), np.zeros(1, int)
    solver(start[None], game.rows(), times, 1e-10, 1e-13, 1e4, out, status)
    rate, _ = game_drift(game)
    column = game.rows()[:, 0]
    exact = solve_ivp(lambda t, x: rate(x, column), (0, 3), start, "DOP853", times, rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(out[0], exact.y.T, atol=1e-8)
    assert status[0] == 0


@pytest.mark.parametrize("parameters", STRUCTURES)
def test_drift_runs_on_jax(parameters, setting_w):
    import jax
    import jax.numpy as jnp

    game = gs.SolvableGAN(**{"initial": setting_w, **parameters})
    x, column = game.start.vector(), game.rows()[:, 0]
    with jax.enable_x64(True):
        rate, _ = make_drift(jnp, 2, 2, game.hard, game.link)
        theirs = np.asarray(jax.jit(jax.vmap(rate, (0, None)))(jnp.stack([x, 0.9 * x]), jnp.asarray(column)))
    np.testing.assert_allclose(theirs[0], drift(game, x), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", links.NAMES)
def test_compiled_links_are_the_array_links(name):
    s = np.linspace(-30, 30, 4001)
    for ours, theirs in zip(links.compiled_pair(name), links.array_pair(name, 0.5), strict=True):
        values = np.array([ours(v, 0.5) for v in s])
        np.testing.assert_allclose(values, theirs(s), rtol=1e-12, atol=1e-14)


def test_the_exponential_is_accurate():
    x = np.linspace(-690, 690, 20001)
    ours = np.array([links.exponential(v) for v in x])
    np.testing.assert_allclose(ours, np.exp(x), rtol=5e-16)


@pytest.mark.parametrize("alternating", [False, True])
@pytest.mark.parametrize("hard", [True, False])
@pytest.mark.parametrize("link", links.NAMES)
def test_one_step_on_the_overlaps_is_the_step_on_the_weights(link, hard, alternating):
    """Pathwise: the literal update of U, V, w with given samples, then overlaps, against the step on overlaps."""
    rng = np.random.default_rng(3)
    features, columns, n, bias = 3, 2, 9, 0.5
    U = np.linalg.qr(rng.standard_normal((n, features)))[0]
    V, w = rng.standard_normal((n, columns)), rng.standard_normal(n)
    if hard:
        V, w = V / np.linalg.norm(V, axis=0), w / np.linalg.norm(w)
    game = gs.SolvableGAN(
        (5, 3, 2), (4, 2), 2.0, 1.5, link=link, regularization=np.inf if hard else 3.0, initial="random"
    )
    f, f_fake = links.array_pair(link, bias)
    tau, tau_g, lam = game.discriminator_lr, game.generator_lr, game.regularization
    c = rng.standard_normal(features)
    c1, c2 = rng.standard_normal((2, columns))
    a, a1, a2 = rng.standard_normal((3, n))
    noise, fake_noise = np.sqrt(game.data_noise), np.sqrt(game.generator_noise)
    y, y1, y2 = U @ c + noise * a, V @ c1 + fake_noise * a1, V @ c2 + fake_noise * a2
    phi, phi1 = f(y @ w), f_fake(y1 @ w)

    def h(x):
        return np.tanh(x - 1)

    new_w = w + tau / n * (phi * y - phi1 * y1 - (0 if hard else lam * h(w @ w) * w))
    seen = new_w if alternating else w
    penalty = 0 if hard else lam * V * h(np.sum(V**2, axis=0))
    new_V = V + tau_g / n * (f_fake(y2 @ seen) * np.outer(seen, c2) - penalty)
    if hard:
        new_w, new_V = new_w / np.linalg.norm(new_w), new_V / np.linalg.norm(new_V, axis=0)
    expected = np.concatenate(
        [(U.T @ new_V).ravel(), U.T @ new_w, new_V.T @ new_w, (new_V.T @ new_V).ravel(), [new_w @ new_w]]
    )

    g = noise * phi * a - fake_noise * phi1 * a1
    step = step_kernel(features, columns, hard, links.compiled_pair(link)[1], alternating)
    P, q, r, S = U.T @ V, U.T @ w, V.T @ w, V.T @ V
    keep, give = np.empty(columns), np.empty(columns)
    work, new_q, new_r = np.empty((columns, columns)), np.empty(features), np.empty(columns)
    s3 = (a2 @ seen) / np.linalg.norm(seen)
    z, _, _ = step(
        P, q, r, S, float(w @ w), c, c1, c2, U.T @ g, V.T @ g, float(w @ g), float(g @ g), phi, phi1, s3, fake_noise,
        bias, game.rows(), 0, float(n), keep, give, work, new_q, new_r,
    )  # fmt: skip
    ours = np.concatenate([P.ravel(), q, r, S.ravel(), [z]])
    np.testing.assert_allclose(ours, expected, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(V * keep + np.outer(seen, give), new_V, rtol=1e-12, atol=1e-13)


def moments_agree(ours, theirs, limit=4.5):
    """Means and all second central moments of two samples `[replicas, size]` within `limit` standard errors."""
    moving = theirs.std(0) > 1e-6
    np.testing.assert_allclose(ours[:, ~moving], theirs[:, ~moving], atol=1e-5)
    ours, theirs = ours[:, moving], theirs[:, moving]

    def check(x, y):
        spread = np.sqrt(x.var(0) / len(x) + y.var(0) / len(y))
        worst = np.max(np.abs(x.mean(0) - y.mean(0)) / spread)
        assert worst < limit, f"{worst:.2f} standard errors"

    check(ours, theirs)
    squares = [
        (d[:, :, None] * d[:, None, :]).reshape(len(d), -1) for d in (ours - ours.mean(0), theirs - theirs.mean(0))
    ]
    check(*squares)


LAWS = [
    ("chain", {}, None),
    ("chain", {"regularization": 10.0, "link": "logistic"}, "alternating"),
    ("chain", {"link": "tanh", "latent": "rademacher"}, None),
    ("sgd", {}, "alternating"),
    ("sgd", {"regularization": 10.0, "link": "tanh"}, None),
]


@pytest.mark.parametrize("level, parameters, rule", LAWS)
def test_finite_levels_have_the_law_of_the_literal_algorithm(level, parameters, rule, setting_w):
    game = gs.SolvableGAN(**{"initial": setting_w, **parameters})
    replicas, n, steps = (8000, 20, 30) if level == "chain" else (3000, 20, 30)
    run = gs.simulate(game, level, dimension=n, iterations=steps, save_at=[steps], replicas=replicas, rule=rule)
    rng = np.random.default_rng(1)
    setting = as_setting(game)
    U, V, w = reference.start_weights(reference.unpack(setting_w.vector(), 2, 2), n, rng)
    V, w = np.repeat(V[None], replicas, 0), np.repeat(w[None], replicas, 0)
    V, w = reference.sgd_batch(setting, U, V, w, steps, rng, alternating=rule == "alternating")
    moments_agree(packed(run)[:, 0], reference.pack(reference.overlaps(U, V, w)))


def test_chain_covers_the_smallest_dimension_and_singular_starts():
    start = gs.MacroState([[1.0]], [0.6], [0.6])  # P = 1: V lies on U, the Gram matrix is singular
    for n in (3, 4, 5):  # 0, 1 and 2 degrees of freedom outside the span
        game = gs.SolvableGAN(5.0, initial=start)
        run = gs.simulate(game, "chain", dimension=n, iterations=20, save_at=[20], replicas=4000)
        states = reference.unpack(np.tile(start.vector(), (4000, 1)), 1, 1)
        rng = np.random.default_rng(n)
        for _ in range(20):
            states = reference.chain_step(as_setting(game), states, n, rng)
        moments_agree(packed(run)[:, 0], reference.pack(states))


def test_lanes_and_single_chains_have_the_same_bits():
    game = gs.SolvableGAN()
    many = gs.simulate(game, "chain", dimension=50, iterations=200, replicas=40, seed=4)
    one = gs.simulate(game, "chain", dimension=50, iterations=200, seed=4)
    assert np.array_equal(packed(many)[0], packed(one))


def test_chain_does_not_depend_on_what_is_recorded():
    game = gs.SolvableGAN()
    often = gs.simulate(game, "chain", dimension=100, iterations=900)
    once = gs.simulate(game, "chain", dimension=100, iterations=900, save_at=[900])
    assert np.array_equal(packed(often)[-1], packed(once)[0])
    often = gs.simulate(game, "sgd", dimension=100, iterations=900)
    once = gs.simulate(game, "sgd", dimension=100, iterations=900, save_at=[900])
    assert np.array_equal(packed(often)[-1], packed(once)[0])


@pytest.mark.parametrize("level", ["chain", "sgd", "ode"])
def test_threads_do_not_change_a_bit(level, monkeypatch):
    game = gs.SolvableGAN()
    over = {"data_noise": np.linspace(1, 4, 9)}
    options = {} if level == "ode" else {"dimension": 30, "replicas": 5, "seed": 3}
    results = []
    for threads in ("1", "2", "5"):
        monkeypatch.setenv("GANSCOPE_THREADS", threads)
        results.append(packed(gs.simulate_many(game, over, level, horizon=3, **options)))
    assert np.array_equal(results[0], results[1])
    assert np.array_equal(results[0], results[2])


@pytest.mark.parametrize("level", ["chain", "sgd", "sde", "ode"])
def test_a_cell_of_many_is_the_run_of_its_own_game(level):
    game = gs.SolvableGAN()
    over = {"data_noise": [1.0, 2.5, 4.0], "feature_variance": [[5, 3], [4, 2], [6, 1]]}
    options = {} if level == "ode" else {"dimension": 30, "replicas": 2, "seed": 3}
    many = gs.simulate_many(game, over, level, horizon=2, **options)
    assert many.sizes["cell"] == 3
    for cell in range(3):
        own = gs.SolvableGAN(feature_variance=over["feature_variance"][cell], data_noise=over["data_noise"][cell])
        run = gs.simulate(own, level, horizon=2, **options)
        assert np.array_equal(packed(many.isel(cell=cell)), packed(run))


def test_streams_differ_between_games_levels_seeds_and_replicas():
    base = gs.SolvableGAN()
    runs = [gs.simulate(base, "chain", dimension=30, iterations=5, seed=seed, replicas=2) for seed in (0, 1)]
    ends = [packed(run)[k, -1, 0] for run in runs for k in range(2)]
    assert len(set(ends)) == 4
    assert not np.any(replica_streams(1, 4) == replica_streams(2, 4))


def test_sgd_follows_the_ode_with_an_error_that_shrinks(setting_w):
    game = gs.SolvableGAN(initial=setting_w)
    ode = packed(gs.simulate(game, "ode", save_at=[1.0, 2.0]))
    errors = [
        np.linalg.norm(
            packed(gs.simulate(game, "sgd", dimension=n, save_at=[1.0, 2.0], replicas=20)) - ode, axis=-1
        ).mean()
        for n in (100, 10_000)
    ]
    assert 6 < errors[0] / errors[1] < 16  # a factor of 10 for n^(-1/2)


def test_rows_of_the_sde_reproduce_the_ode(setting_w):
    game = gs.SolvableGAN(initial=setting_w)
    times = [0.0, 1.0, 4.0, 20.0]
    ode = packed(gs.simulate(game, "ode", save_at=times))
    rows = packed(gs.simulate(game, "sde", dimension=40_000, save_at=times, replicas=4, seed=2))
    np.testing.assert_allclose(rows[:, 0], np.repeat(ode[:1], 4, 0), atol=1e-9)
    assert np.abs(rows.mean(0) - ode).max() < 0.01  # 4 x 40000 rows of order one


def test_the_real_features_of_a_chain_may_be_data(setting_w):
    rng = np.random.default_rng(0)
    rows = rng.exponential(size=(5000, 2)) - 1
    rows -= rows.mean(0)
    values, axes = np.linalg.eigh(rows.T @ rows / len(rows))
    rows = rows @ axes / np.sqrt(values) * np.sqrt([5.0, 3.0])
    game = gs.SolvableGAN(None, latent=rows, latent_variance=(5, 3), initial=setting_w)
    np.testing.assert_allclose(game.feature_variance, (5, 3))
    chain = packed(gs.simulate(game, "chain", dimension=2000, save_at=[3.0], replicas=64))[:, 0]
    ode = packed(gs.simulate(gs.SolvableGAN(initial=setting_w), "ode", save_at=[3.0]))[0]
    assert np.all(np.abs(chain.mean(0) - ode) < 4.5 * chain.std(0) / 8 + 5 / 2000)


def test_a_pair_of_callables_is_the_named_link(setting_w):
    def f(s):
        return np.tanh(s)

    custom = gs.SolvableGAN(initial=setting_w, link=(f, f))
    named = gs.SolvableGAN(initial=setting_w, link="tanh")
    np.testing.assert_allclose(
        packed(gs.simulate(custom, "ode", save_at=[2.0])), packed(gs.simulate(named, "ode", save_at=[2.0])), atol=1e-7
    )
    run = gs.simulate(custom, "chain", dimension=50, iterations=20)
    assert np.isfinite(packed(run)).all()
    assert gs.classify(run).outcome == "undecided"
    with pytest.raises(gs.NotApplicable, match="link is a Python function"):
        gs.to_json(custom)


def test_a_soft_run_below_its_limit_diverges_and_is_kept():
    game = gs.SolvableGAN(5.0, data_noise=4.0, regularization=3.0, initial=gs.MacroState([[0.1]], [0.1]))
    for level in ("ode", "chain"):
        options = {"dimension": 100} if level == "chain" else {}
        run = gs.simulate(game, level, horizon=200, **options)
        assert run.z.values[0] == 1.0
        assert not np.isfinite(run.z.values[-1]) or run.z.values[-1] > 1e4
        assert gs.classify(run).outcome == "diverged"


def test_a_stiff_soft_run_is_finished_by_the_implicit_solver():
    game = gs.SolvableGAN(5.0, regularization=1e6, initial=gs.MacroState([[0.3]], [0.2]))
    hard = gs.SolvableGAN(5.0, initial=gs.MacroState([[0.3]], [0.2]))
    stiff = packed(gs.simulate(game, "ode", save_at=[10.0], rtol=1e-8))
    np.testing.assert_allclose(stiff, packed(gs.simulate(hard, "ode", save_at=[10.0])), atol=1e-4)


def test_soft_approaches_hard_like_one_over_the_regularization():
    start = gs.MacroState(0.3 * np.eye(2), [0.2, 0.2])
    hard = packed(gs.simulate(gs.SolvableGAN(initial=start), "ode", save_at=[10.0]))
    for strength, expected in ((10, 0.409), (30, 0.140), (100, 0.0426), (300, 0.0143)):
        game = gs.SolvableGAN(initial=start, regularization=strength)
        soft = packed(gs.simulate(game, "ode", save_at=[10.0]))
        assert np.abs(soft - hard).max() == pytest.approx(expected, rel=5e-3)


def test_increment_covariance_gives_the_worked_numbers(setting_w):
    expected = numbers(
        "0.00123591744 0.00085471362 0.00064466064 0.00032478797 0.84106970893 0.66032348553 0.84442628954 "
        "0.64825403574 0 0.00021181824 0.00021181824 0 0"
    )
    game = gs.SolvableGAN(initial=setting_w)
    np.testing.assert_allclose(np.diag(increment_covariance(game, setting_w.vector())), expected, atol=1e-10)


@pytest.mark.parametrize("hard", [True, False])
def test_increment_covariance_is_the_naive_one(hard):
    rng = np.random.default_rng(8)
    game = random_game(rng, 3, 2, generator_noise=0.7, **({} if hard else {"regularization": 5.0}))
    x = game.start.vector()
    if not hard:
        naive = reference.increment_covariance(as_setting(game), reference.unpack(x, 3, 2))
        np.testing.assert_allclose(increment_covariance(game, x), naive, rtol=1e-9, atol=1e-12)
    else:
        naive = reference.increment_covariance(as_setting(game), reference.unpack(x, 3, 2))
        np.testing.assert_allclose(increment_covariance(game, x), naive, rtol=1e-9, atol=1e-12)


def test_fluctuations_give_the_worked_covariance(setting_w):
    expected = numbers(
        "0.0180033916 0.0086358631 0.0039646243 0.0015961505 0.7454379351 1.7471125886 0.3796096771 0.3811091719 "
        "0 0.0019545502 0.0019545502 0 0"
    )
    result = gs.fluctuations(gs.SolvableGAN(initial=setting_w), save_at=[2.0])
    np.testing.assert_allclose(np.diag(result.covariance.values[0]), expected, rtol=1e-4, atol=1e-9)
    assert list(result.component.values[:5]) == ["P_11", "P_12", "P_21", "P_22", "q_1"]


def test_replica_overlap_gives_the_worked_numbers_and_the_simulation(setting_w):
    game = gs.SolvableGAN(initial=setting_w)
    overlap = gs.replica_overlap(game, save_at=[0, 1, 2, 4])
    np.testing.assert_allclose(overlap.discriminator_overlap, [1, 0.72466, 0.64972, 0.67282], atol=1e-5)
    np.testing.assert_allclose(overlap.cross_overlap[0], setting_w.r)
    np.testing.assert_allclose(overlap.generator_overlap[0], setting_w.S)


def test_memory_of_sgd_does_not_grow_with_the_steps():
    import tracemalloc

    game = gs.SolvableGAN()
    gs.simulate(game, "sgd", dimension=1000, iterations=10)
    peaks = []
    for steps in (64, 6400):
        tracemalloc.start()
        gs.simulate(game, "sgd", dimension=50_000, iterations=steps // 64, save_at=[1])
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.1 * peaks[0]


def test_kernels_are_shared_between_equal_structures():
    first = chain_kernel(2, 2, True, "quadratic", "gaussian", False, 1)
    assert chain_kernel(2, 2, True, "quadratic", "gaussian", False, 1) is first
    assert sgd_kernel(2, 2, True, "quadratic", "gaussian", False) is sgd_kernel(
        2, 2, True, "quadratic", "gaussian", False
    )
    assert Layout(2, 2).size == 13


def test_a_diverging_cell_of_the_sde_does_not_stop_the_others():
    game = gs.SolvableGAN(regularization=0.1)
    runs = gs.simulate_many(game, {"regularization": [0.1, 20.0]}, "sde", dimension=50, horizon=50)
    assert np.isnan(runs.z.values[0, -1])
    assert runs.z.values[0, 0] == pytest.approx(1.0)
    assert np.isfinite(packed(runs)[1]).all()
    with pytest.raises(gs.NotApplicable, match="leaves every bounded region"):
        gs.fluctuations(game, 50, [0.0, 50.0])
    assert np.isfinite(gs.fluctuations(game.replace(regularization=20.0), 20, [0.0, 20.0]).covariance).all()
    with pytest.raises(gs.ParameterError, match="level 'sde' follows the ODE"):
        gs.simulate(gs.SolvableGAN(initial="random"), "sde", dimension=50)


def test_a_long_fast_oscillation_stays_in_the_compiled_solver():
    run = gs.simulate(gs.SolvableGAN(feature_variance=1e3), "ode", horizon=400, rtol=1e-6)
    assert np.isfinite(packed(run)).all()
