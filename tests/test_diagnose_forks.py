"""Iteration maps, twin runs, forked races, whole spectra and kernels of checkpoints, against explicit matrices."""

import itertools
import math
import warnings

import numpy as np
import pytest
from formula_backend import FormulaBackend, rotating_matrix

import ganscope as gs
from ganscope.core.game import Players
from ganscope.diagnose.change import Change
from ganscope.diagnose.evidence.frozen_batch import FrozenBatch
from ganscope.diagnose.evidence.races import Arm, compared, race
from ganscope.diagnose.evidence.twin import agrees, observed_multiplier, twin_fork
from ganscope.diagnose.instruments.arnoldi import eigenpairs, whole_matrix
from ganscope.diagnose.instruments.full_spectrum import full_spectrum
from ganscope.diagnose.instruments.generator_kernel import (
    collapse_risk,
    generator_kernel,
    kernel_matrix,
    robust_coupling,
)
from ganscope.diagnose.instruments.rotation import Whitening, whitening
from ganscope.diagnose.instruments.update_map import iteration_matrix, update_map
from ganscope.diagnose.rule import Player, UpdateRule
from ganscope.diagnose.training import Memory

PLAYERS = {
    "sgd": Player("sgd", 0.1),
    "momentum": Player("momentum", 0.02, momentum=0.8),
    "adam": Player("adam", 0.01, beta1=0.5, beta2=0.99, step=500),
    "rmsprop": Player("rmsprop", 0.01, beta2=0.99, momentum=0.3),
}


def backend_of(size=4, cubic=0.05, seed=0, noise=0.1):
    rng = np.random.default_rng(seed)
    start = 0.5 * rng.standard_normal(2 * size)
    return FormulaBackend(rotating_matrix(size, rng), size, start=start, cubic=cubic, noise=noise)


def rule_of(kind, **options):
    rng = np.random.default_rng(5)
    player = PLAYERS[kind]
    if player.adaptive:
        player = player.replace(second_moment=rng.uniform(0.01, 0.3, 4), first_moment=rng.standard_normal(4))
    return UpdateRule(generator=player, discriminator=player.replace(learning_rate=2 * player.learning_rate), **options)


def unit_of(backend, rule):
    return whitening(backend, rule, 16, 0)


def whitened(matrix, unit):
    return unit.both[:, None] * matrix * unit.both


@pytest.mark.parametrize("kind", PLAYERS)
@pytest.mark.parametrize("order", ["simultaneous", "alternating"])
def test_the_derivative_of_an_iteration_is_the_update_map(kind, order):
    """Exactly, if the generator's rows of the Jacobian are taken after the discriminator's step."""
    backend, rule = backend_of(), rule_of(kind, order=order)
    unit = unit_of(backend, rule)
    frozen = FrozenBatch(backend, rule, unit, backend.draw(0, 16))
    start = frozen.start()
    matrix = whole_matrix(frozen.derivative(start), frozen.size)
    rows = backend.jacobian(backend.point)
    if order == "alternating":
        after = Players(backend.point[0], frozen.step(start)[1].parameters)
        rows = np.concatenate([backend.jacobian(after)[:4], rows[4:]])
    expected = update_map(whitened(rows, unit), 4, rule)
    # both are sums of a few products of numbers of order one
    assert np.max(np.abs(matrix - expected)) < 1e-12


@pytest.mark.parametrize("kind", PLAYERS)
@pytest.mark.parametrize("steps", [1, 3])
def test_the_derivative_of_an_iteration_is_its_difference_quotient(kind, steps):
    backend, rule = backend_of(), rule_of(kind, discriminator_steps=steps)
    frozen = FrozenBatch(backend, rule, unit_of(backend, rule), backend.draw(1, 16))
    start = frozen.start()
    direction = np.random.default_rng(2).standard_normal(frozen.size)
    h = 1e-5
    ends = [frozen.vector(frozen.step(frozen.moved(start, s * h * direction))) for s in (1, -1)]
    quotient = (ends[0] - ends[1]) / (2 * h)
    product = frozen.derivative(start)(direction[None])[0]
    # central difference: rounding 1e-16 |w| / h, and h^2 of a cubic
    assert np.max(np.abs(quotient - product)) < 1e-8 * np.max(np.abs(product))


def test_with_several_steps_equality_holds_at_a_fixed_point_only():
    rng = np.random.default_rng(0)
    rule = rule_of("momentum", discriminator_steps=3)
    for start, equal in ((np.zeros(8), True), (rng.standard_normal(8), False)):
        backend = FormulaBackend(rotating_matrix(4, np.random.default_rng(1)), 4, start=start, cubic=0.3)
        unit = unit_of(backend, rule)
        frozen = FrozenBatch(backend, rule, unit, backend.draw(0, 16))
        matrix = whole_matrix(frozen.derivative(frozen.start()), frozen.size)
        expected = iteration_matrix(whitened(backend.jacobian(backend.point), unit), 4, rule)
        assert (np.max(np.abs(matrix - expected)) < 1e-12) == equal


@pytest.mark.parametrize("kind", ["adam", "rmsprop", "momentum"])
def test_a_live_iteration_is_the_optimizer_step_by_step(kind):
    """Against the textbook update of every optimizer, in the parameters' own units."""
    backend, rule = backend_of(), rule_of(kind)
    first = Players(*(0.1 * np.arange(1, 5.0) for _ in range(2)))
    second = Players(*(0.02 * np.arange(1, 5.0) for _ in range(2)))
    memory = Memory(first, second, Players(30, 60))
    draw = backend.draw(0, 16)
    frozen = FrozenBatch(backend, rule, unit_of(backend, rule), draw)
    state = frozen.start(memory)
    point = [np.array(p) for p in backend.point]
    m, nu, t = [np.array(f) for f in first], [np.array(s) for s in second], [30, 60]
    for _ in range(3):
        state = frozen.step(state, live=True)
        for k in (1, 0):
            player = (rule.generator, rule.discriminator)[k]
            g, t[k] = -backend.velocity(Players(*point), draw)[k], t[k] + 1
            if kind == "momentum":
                m[k] = player.momentum * m[k] + g
                point[k] -= player.learning_rate * m[k]
                continue
            nu[k] = player.beta2 * nu[k] + (1 - player.beta2) * g**2
            if kind == "rmsprop":
                m[k] = player.momentum * m[k] + g / (np.sqrt(nu[k]) + player.eps)
                point[k] -= player.learning_rate * m[k]
            else:
                m[k] = player.beta1 * m[k] + (1 - player.beta1) * g
                root = np.sqrt(nu[k] / (1 - player.beta2 ** t[k])) + player.eps
                point[k] -= player.learning_rate * m[k] / (1 - player.beta1 ** t[k]) / root
    for k in (0, 1):
        # three steps of rounding
        np.testing.assert_allclose(state[k].parameters, point[k], rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("kind", ["sgd", "momentum"])
@pytest.mark.parametrize("steps", [1, 2])
def test_twin_runs_of_a_linear_game_show_its_exact_multiplier(kind, steps):
    backend, rule = backend_of(cubic=0.0), rule_of(kind, discriminator_steps=steps)
    unit = unit_of(backend, rule)
    found = twin_fork(backend, rule, unit, backend.draw(0, 16))
    values = np.linalg.eigvals(iteration_matrix(whitened(backend.matrix, unit), 4, rule))
    mu = found.predicted[0] * np.exp(1j * found.predicted[1])
    assert np.min(np.abs(values - mu)) < 1e-12
    assert found.passed
    assert found.rotating
    # differences of 1e-6 between numbers of order one keep nine digits; several decay below that
    assert found.observed[0] == pytest.approx(found.predicted[0], abs=1e-7)
    assert found.observed[1] == pytest.approx(found.predicted[1], abs=1e-7)
    assert found.one_step_error < 1e-8
    assert found.horizon == 21
    assert found.to_dict()["passed"] is True


def test_twin_runs_away_from_equilibrium_with_living_second_moments():
    backend, rule = backend_of(cubic=0.02), rule_of("adam")
    found = twin_fork(backend, rule, unit_of(backend, rule), backend.draw(0, 16))
    assert found.residual < 1e-12
    assert found.one_step_error < 1e-5  # epsilon times the curvature
    assert found.passed
    assert 1 <= found.horizon <= 21
    assert found.errors[0] < 0.05  # what 20 steps of second moments change in one


def test_a_wrong_linearisation_fails():
    """A scale that is not the rule's own predicts another multiplier than the runs with living moments show."""
    backend, rule = backend_of(cubic=0.0), rule_of("adam")
    unit = unit_of(backend, rule)
    wrong = Whitening(3 * unit.generator, 3 * unit.discriminator, False, False)
    assert not twin_fork(backend, rule, wrong, backend.draw(0, 16)).passed


def test_without_rotation_the_largest_real_multiplier_is_followed():
    backend = FormulaBackend(np.diag([-0.5, -0.2, -0.9, -0.3]), 2, start=[1.0, 2.0, 3.0, 4.0])
    rule = UpdateRule(generator=Player("sgd", 0.5), discriminator=Player("sgd", 0.5))
    found = twin_fork(backend, rule, unit_of(backend, rule), backend.draw(0, 16))
    assert not found.rotating
    assert found.predicted == pytest.approx((0.9, 0.0))
    assert found.passed


def test_runs_that_break_down_are_a_failed_comparison():
    backend = FormulaBackend(np.eye(4), 2, start=[1e100] * 4, cubic=1.0)
    rule = UpdateRule(generator=Player("sgd", 1.0), discriminator=Player("sgd", 1.0))
    with np.errstate(all="ignore"):
        found = twin_fork(backend, rule, unit_of(backend, rule), backend.draw(0, 16))
    assert not found.passed
    assert found.notes


def test_amplitudes_in_the_plane_of_an_eigenvector():
    rng = np.random.default_rng(0)
    r = rng.standard_normal(9) + 1j * rng.standard_normal(9)
    mu = 0.97 * np.exp(0.3j)
    rows = np.array([np.real(mu**t * r) for t in range(12)])
    assert observed_multiplier(rows, r) == pytest.approx(mu, abs=1e-13)
    assert agrees(mu, 0.955 * np.exp(0.32j))
    assert not agrees(mu, 0.94 * np.exp(0.3j))
    assert not agrees(mu, 0.97 * np.exp(0.35j))


def test_a_larger_penalty_wins_a_race_that_it_provably_wins():
    """The bilinear game spirals outwards without a penalty and settles with one of the size of its frequency."""
    backend = FormulaBackend(np.kron([[0, 1], [-1, 0]], np.eye(2)), 2, start=[1.0, 0.5, 0.0, 0.0], noise=0.05)
    rule = UpdateRule(generator=Player("momentum", 0.1, momentum=0.3), discriminator=Player("sgd", 0.1))
    arms = [Arm("given", gradient_penalty=0.0), Arm("advised", Change(added=1.0), gradient_penalty=1.0)]
    heard = []
    setting = dict(batch_size=8, data_radius=math.sqrt(2), iterations=200, seeds=2)
    found = race(backend, rule, arms, **setting, progress=lambda done, total: heard.append((done, total)))
    assert found.verdict == "confirmed"
    assert found.arms[1].outcome == "confirmed"
    assert found.arms[0].outcome == "given"
    assert min(found.arms[0].scores) > 10 * max(found.arms[1].scores)
    assert heard[-1] == (4, 4)
    assert race(backend, rule, arms, **setting).to_dict() == found.to_dict()
    worse = [Arm("given", Change(added=1.0)), Arm("advised")]
    assert race(backend, rule, worse, **setting).verdict == "refuted"


def test_arms_see_the_same_minibatches():
    backend = backend_of()
    rule = UpdateRule(generator=Player("sgd", 0.05), discriminator=Player("sgd", 0.05))
    found = race(backend, rule, [Arm("given"), Arm("again")], batch_size=8, data_radius=2.0, iterations=30)
    assert found.arms[0].scores == found.arms[1].scores
    assert found.verdict == "inconclusive"


def test_a_run_that_breaks_down_scores_infinity():
    backend = FormulaBackend(np.kron([[0, 1], [-1, 0]], np.eye(2)), 2, start=[1.0, 0.5, 0, 0], cubic=-1.0)
    rule = UpdateRule(generator=Player("sgd", 0.5), discriminator=Player("sgd", 0.5))
    with np.errstate(all="ignore"):
        found = race(backend, rule, [Arm("given"), Arm("x")], batch_size=8, data_radius=1.0, iterations=100, seeds=1)
    assert found.arms[0].scores == (math.inf,)
    assert found.verdict == "inconclusive"


@pytest.mark.parametrize("setting", [{"iterations": 0}, {"seeds": 0}])
def test_no_race_verifies_nothing(setting):
    found = race(backend_of(), rule_of("sgd"), [Arm("given")], batch_size=8, data_radius=1.0, **setting)
    assert found.verdict == "not verified"
    assert found.arms == ()


def test_bad_races_are_refused():
    setting = dict(batch_size=8, data_radius=1.0)
    for arms in ([], [Arm("advised")], [Arm("given"), Arm("given")]):
        with pytest.raises(gs.ParameterError, match="arms"):
            race(backend_of(), rule_of("sgd"), arms, **setting)
    with pytest.raises(gs.ParameterError, match="fork_iterations"):
        race(backend_of(), rule_of("sgd"), [Arm("given")], **setting, iterations=-1)
    with pytest.raises(gs.ParameterError, match="data_radius"):
        race(backend_of(), rule_of("sgd"), [Arm("given")], batch_size=8, data_radius=0.0)


def test_the_rule_on_scores():
    assert compared([1.0, 1.0], [0.9, 0.5]) == "confirmed"
    assert compared([1.0, 1.0], [0.9, 0.99]) == "inconclusive"
    assert compared([1.0, 1.0], [1.1, math.inf]) == "refuted"
    assert compared([math.inf, math.inf], [1.0, 2.0]) == "confirmed"
    assert compared([0.0005, 0.0004], [0.0002, 0.0]) == "inconclusive"  # noise


def test_arnoldi_finds_the_ends_of_a_large_matrix():
    rng = np.random.default_rng(0)
    n = 500
    # rotating pairs and real values well apart, in a basis that is not orthogonal
    blocks = np.zeros((n, n))
    for k in range(250):
        a, b = (-0.01 * k, 0.002 * k) if k % 2 else (0.3 - 0.003 * k, 0.0)
        blocks[2 * k : 2 * k + 2, 2 * k : 2 * k + 2] = [[a, b], [-b, a - (b == 0) * 0.001]]
    basis = np.eye(n) + 0.3 * rng.standard_normal((n, n)) / math.sqrt(n)
    matrix = basis @ blocks @ np.linalg.inv(basis)
    exact = np.linalg.eigvals(blocks)
    products = lambda rows: rows @ matrix.T
    for which, key in (("LI", np.imag), ("LM", np.abs), ("LR", np.real)):
        found = eigenpairs(products, n, which, 4, 60, 1e-8, 200, 0)
        assert len(found.values) >= 1
        assert np.all(found.residuals < 1e-6)
        best = np.max(key(exact))
        assert key(found.values[0]) == pytest.approx(best, abs=1e-6)
        for value in found.values:
            assert np.min(np.abs(exact - value)) < 1e-5
    assert len(eigenpairs(products, n, "LR", 8, 18, 1e-14, 1, 0).values) <= 8  # out of restarts: no exception


def test_the_full_spectrum_is_that_of_the_whitened_jacobian():
    backend, rule = backend_of(), rule_of("sgd")
    unit = unit_of(backend, rule)
    found = full_spectrum(backend, rule, unit, data_radius=2.0, eigenvalues=4, batches=2)
    values = np.linalg.eigvals(whitened(backend.jacobian(backend.point), unit))
    assert found.dense
    assert found.rightmost[0].eigenvalue.real == pytest.approx(values.real.max(), rel=1e-12)
    assert found.fastest[0].eigenvalue.imag == pytest.approx(values.imag.max(), rel=1e-12)
    assert abs(found.largest[0].eigenvalue) == pytest.approx(np.abs(values).max(), rel=1e-12)
    assert all(mode.residual < 1e-13 for mode in found.rightmost)
    assert found.batches[0] == (found.rightmost[0].eigenvalue.real,) * 3  # the batches differ by a constant push
    # samples move with the generator's parameters, one for one
    value, vectors = np.linalg.eig(whitened(backend.jacobian(backend.point), unit))
    k = np.argmin(np.abs(value - found.fastest[0].eigenvalue))
    expected = np.linalg.norm(unit.generator * vectors[:4, k]) / 2.0
    assert found.fastest[0].visibility == pytest.approx(expected, rel=1e-10)
    assert set(found.to_dict()["rightmost"][0]) == {"real", "imaginary", "residual", "visibility", "label"}


def test_modes_are_labelled():
    matrix = np.diag([-0.1, -0.2, -2.5, -0.3]).astype(float)
    matrix[0, 3], matrix[3, 0] = 1.0, -1.0
    backend = FormulaBackend(matrix, 2)
    rule = UpdateRule(generator=Player("sgd", 1.0), discriminator=Player("sgd", 1.0))
    found = full_spectrum(backend, rule, unit_of(backend, rule), 1.0, eigenvalues=4, batches=1)
    assert sorted(mode.label for mode in found.largest) == ["flip", "real", "rotating"]


@pytest.mark.parametrize(
    "setting, name",
    [
        ({"krylov": 17}, "krylov"),
        ({"eigenvalues": 0}, "eigenvalues"),
        ({"batches": 0}, "batches"),
        ({"batch_size": 4}, "batch_size"),
        ({"tol": 0.0}, "tol"),
    ],
)
def test_bad_settings_of_the_full_spectrum_are_named(setting, name):
    backend, rule = backend_of(), rule_of("sgd")
    with pytest.raises(gs.ParameterError) as error:
        full_spectrum(backend, rule, unit_of(backend, rule), 1.0, **setting)
    assert error.value.name == name


def network_game():
    """A small generator on a ring, its functions beside it."""
    import jax.numpy as jnp

    rng = np.random.default_rng(7)

    def layers(*sizes):
        return [
            (rng.standard_normal((a, b)) / np.sqrt(a), 0.1 * rng.standard_normal(b))
            for a, b in itertools.pairwise(sizes)
        ]

    def network(weights, x):
        for w, b in weights[:-1]:
            x = jnp.tanh(x @ w + b)
        return x @ weights[-1][0] + weights[-1][1]

    def losses(theta, phi, batch, z, key):
        fake, real = network(phi, network(theta, z)), network(phi, batch)
        soft = lambda s: jnp.logaddexp(0.0, s)
        return jnp.mean(soft(-fake)), jnp.mean(soft(-real)) + jnp.mean(soft(fake))

    def data(key, n):
        import jax

        return jax.random.normal(key, (n, 2))

    rule = UpdateRule(generator=Player("sgd", 0.1), discriminator=Player("sgd", 0.1))
    theta, phi = layers(4, 12, 2), layers(2, 12, 1)
    score = lambda phi, x: network(phi, x)[:, 0]
    game = gs.RealGame(losses, theta, phi, rule, data, 4, generator=network, discriminator=score, train_batch_size=16)
    return game, network, theta


def test_the_kernel_of_a_network_against_the_package_s_other_measurement():
    game, network, theta = network_game()
    backend = game.backend
    scale = np.full(backend.sizes[0], 0.5)
    found = generator_kernel(backend, scale, latents=12, probes=3, draw=backend.draw(0, 64), damping_ratio=0.5)
    # over all sign vectors of two outputs (1, 1) and (1, -1) the mean is the trace
    latents = backend.latents(0 + 13_001, 12)
    rows = [backend.output_gradients(backend.point[0], latents, np.eye(2)[k]) * scale for k in range(2)]
    exact = sum(r @ r.T for r in rows) / 2
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", gs.KernelMeasurementWarning)  # a narrow network's kernel is no two numbers
        other = gs.empirical_kernel(network, theta, latents, exact=True)
    # the package's other measurement runs in float32
    np.testing.assert_allclose(exact, 0.25 * other.matrix, rtol=1e-4, atol=1e-5)
    many = kernel_matrix(backend, scale, 12, 400, 0, 2**30)
    # 400 sign vectors: relative error about 1 / 20 of the entries between outputs
    assert np.max(np.abs(many - exact)) < 0.1 * np.mean(np.diag(exact))
    assert found.coupling_robust == pytest.approx(found.coupling, rel=1e-9)
    assert robust_coupling(np.ones((5, 5))) == math.inf
    assert found.laplacian is not None
    assert math.copysign(1, found.relative_growth) == math.copysign(1, found.laplacian)
    assert "unvalidated" in found.statement
    assert found.to_dict()["risk"] in ("low", "raised", "high")


def test_a_small_memory_gives_a_kernel_of_as_many_latents():
    game, _, _ = network_game()
    backend = game.backend
    scale = np.ones(backend.sizes[0])
    n = backend.sizes[0]
    chunked = kernel_matrix(backend, scale, 7, 1, 0, 3 * 16 * n)
    signs = np.random.default_rng(0).integers(0, 2, (1, 2))[0] * 2.0 - 1.0
    latents = [backend.latents(13_001 + k, min(3, 7 - k)) for k in (0, 3, 6)]
    rows = np.concatenate([backend.output_gradients(backend.point[0], z, signs) for z in latents])
    np.testing.assert_allclose(chunked, rows @ rows.T / 2, rtol=1e-12)


def test_samples_that_move_as_one_are_a_rigid_body():
    backend = backend_of()
    found = generator_kernel(backend, np.ones(4), draw=backend.draw(0, 16))
    assert found.coupling == math.inf
    assert found.risk == "high"


def test_levels_of_risk():
    assert collapse_risk(3.0, None, None)[0] == "low"
    assert collapse_risk(16.0, None, None)[0] == "raised"
    assert collapse_risk(40.0, None, None)[0] == "high"
    assert collapse_risk(3.0, 0.1, -1.0)[0] == "raised"
    assert collapse_risk(16.0, 2.0, 1.0)[0] == "low"
    assert collapse_risk(40.0, 0.1, -1.0)[0] == "high"


def test_the_iteration_of_networks_with_adam_has_the_update_map_as_its_derivative():
    game, _, _ = network_game()
    backend = game.backend
    rng = np.random.default_rng(3)
    players = [Player("adam", 0.01, beta1=0.5, beta2=0.99, second_moment=rng.uniform(0.1, 1, n), step=50)
               for n in backend.sizes]  # fmt: skip
    rule = UpdateRule("simultaneous", 1, *players)
    unit, draw = whitening(backend, rule, 16, 0), backend.draw(0, 16)
    frozen = FrozenBatch(backend, rule, unit, draw)
    start = frozen.start()
    products = frozen.derivative(start)
    n = sum(backend.sizes)
    dense = whole_matrix(backend.linearise(backend.point, draw).products, n)
    expected = iteration_matrix(whitened(dense, unit), backend.sizes[0], rule)
    rows = rng.standard_normal((1, frozen.size))
    assert np.max(np.abs(products(rows) - rows @ expected.T)) < 1e-10
    h = 1e-4
    ends = [frozen.vector(frozen.step(frozen.moved(start, s * h * rows[0]))) for s in (1, -1)]
    quotient = (ends[0] - ends[1]) / (2 * h)
    # h^2 of the third derivative, and rounding of states of size |w| / h
    assert np.max(np.abs(quotient - products(rows)[0])) < 1e-6 * np.max(np.abs(quotient))
