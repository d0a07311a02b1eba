"""Instruments on JAX games: worked numbers of the seeded perceptrons, products against dense matrices."""

import itertools

import numpy as np
import pytest
from scipy.linalg import block_diag
from small_gans import detached, nonsaturating, perceptron, ring_game, scores, seeded, seeded_game

import ganscope as gs
from ganscope.core.game import Players
from ganscope.diagnose.change import Change
from ganscope.diagnose.instruments.measure import measure
from ganscope.diagnose.instruments.rotation import directions, projected, rotation_modes, whitening
from ganscope.diagnose.instruments.update_map import update_map
from ganscope.diagnose.settings import DiagnoseSettings
from ganscope.diagnose.theory.virtual import forecast, virtual_jacobian

SIZES = (242, 205)


@pytest.fixture(scope="module")
def backend():
    return seeded_game().backend


@pytest.fixture(scope="module")
def jacobians(backend):
    """The dense Jacobian without and with a penalty, from products with unit vectors."""
    draw, eye = backend.draw(0, 64), np.eye(sum(SIZES))
    return {g: backend.linearise(backend.point, draw, Change(added=g)).products(eye).T for g in (0.0, 0.3)}


def test_the_seeded_perceptrons_are_the_ones_that_were_meant():
    _, _, data, latents = seeded()
    np.testing.assert_allclose(data[0], [0.9772717, -0.07540218], atol=5e-8)
    assert latents[0, 0] == pytest.approx(-1.49217178, abs=5e-9)


def test_losses_penalty_and_velocity(backend):
    draw = backend.draw(0, 64)
    losses = backend.losses(backend.point, draw)
    assert losses.generator == pytest.approx(0.652482537666446, abs=1e-13)
    assert losses.discriminator == pytest.approx(1.39696857773881, abs=1e-13)
    with_penalty = backend.losses(backend.point, draw, Change(added=1.0))
    assert with_penalty.discriminator - losses.discriminator == pytest.approx(0.02240970397911, abs=1e-13)
    velocity = backend.velocity(backend.point, draw, Change(added=0.3))
    assert np.linalg.norm(velocity.generator) == pytest.approx(0.163438579090, abs=1e-11)
    assert np.linalg.norm(velocity.discriminator) == pytest.approx(0.231628368995, abs=1e-11)


@pytest.mark.parametrize(
    "gamma, trace, rightmost, fastest",
    [
        (0.0, -2.31077013916, 0.281207599098, -0.606639806905 + 1.981181426537j),
        (0.3, -4.56811579442, 0.290501580578, -1.305009447215 + 1.559730823878j),
    ],
)
def test_spectrum_of_the_seeded_perceptrons(jacobians, gamma, trace, rightmost, fastest):
    values = np.linalg.eigvals(jacobians[gamma])
    assert np.trace(jacobians[gamma]) == pytest.approx(trace, abs=1e-10)
    assert values.real.max() == pytest.approx(rightmost, abs=1e-8)
    assert abs(values[values.imag.argmax()] - fastest) < 1e-8
    assert (values.real > 1e-9).sum() == 225 or gamma > 0


def test_products_are_finite_differences_of_the_velocity(backend, jacobians):
    draw, step = backend.draw(0, 64), 1e-6
    rng = np.random.default_rng(1)
    row = rng.standard_normal(sum(SIZES))
    ends = []
    for sign in (1, -1):
        moved = Players(backend.point[0] + sign * step * row[:242], backend.point[1] + sign * step * row[242:])
        ends.append(np.concatenate(backend.velocity(moved, draw, Change(added=0.3))))
    # central differences: rounding 1e-16 / 1e-6 against the third derivative times 1e-12
    np.testing.assert_allclose((ends[0] - ends[1]) / (2 * step), jacobians[0.3] @ row, atol=1e-8)


def test_blocks_agree_with_the_whole(backend, jacobians):
    linearised = backend.linearise(backend.point, backend.draw(0, 64), Change(added=0.3))
    cuts = (slice(0, 242), slice(242, 447))
    for of, by in itertools.product((0, 1), repeat=2):
        rows = np.eye(backend.sizes[by])
        block = jacobians[0.3][cuts[of], cuts[by]]
        np.testing.assert_allclose(linearised.block_products(of, by, rows).T, block, atol=1e-13)
    mixed = jacobians[0.3][:242, 242:]
    np.testing.assert_allclose(linearised.mixed_products(np.eye(205)).T, mixed, atol=1e-14)
    np.testing.assert_allclose(linearised.mixed_adjoints(np.eye(242)), mixed, atol=1e-14)
    penalty = np.zeros_like(jacobians[0.0])
    penalty[242:] = linearised.penalty_products(np.eye(447)).T
    np.testing.assert_allclose(jacobians[0.0] + 0.3 * penalty, jacobians[0.3], atol=1e-10)
    assert not penalty[242:, :242].any()


def test_singular_values_and_virtual_equilibrium(backend, jacobians):
    expected = {
        0.0: (-0.634995022674 + 1.978811892900j, -0.00844843306748),
        0.3: (-1.332828720697 + 1.570528318322j, -0.00968703384916),
    }
    left, sigma, right = np.linalg.svd(jacobians[0.0][:242, 242:])
    np.testing.assert_allclose(sigma[:4], [2.08543463, 1.04750633, 0.33894923, 0.21841209], atol=5e-9)
    basis = np.zeros((447, 16))
    basis[:242, :8], basis[242:, 8:] = left[:, :8], right[:8].T
    rule = gs.UpdateRule()
    for gamma, (fastest, rightmost) in expected.items():
        virtual = virtual_jacobian(basis.T @ jacobians[gamma] @ basis, 8)
        values = np.linalg.eigvals(virtual)
        assert abs(values[values.imag.argmax()] - fastest) < 1e-9
        assert values.real.max() == pytest.approx(rightmost, abs=1e-10)
    for order, radius in (("simultaneous", 0.9990312966), ("alternating", 0.9990322953)):
        matrix = update_map(0.1 * virtual, 8, rule.replace(order=order))
        assert np.abs(np.linalg.eigvals(matrix)).max() == pytest.approx(radius, abs=1e-10)
    heavy = gs.Player("momentum", 1.0, momentum=0.9)
    values = np.linalg.eigvals(update_map(0.1 * virtual, 8, gs.UpdateRule("alternating", 2, heavy, heavy)))
    leading = values[np.abs(values).argmax()]
    assert (abs(leading), abs(np.angle(leading))) == pytest.approx((1.0745282939, 0.14925266), abs=2e-9)
    slow = gs.Player("adam", 1.0, beta1=0.5)
    with_memory = gs.UpdateRule("alternating", 1, slow, slow)
    for chosen, radius in ((gs.UpdateRule("simultaneous"), 1.0290501581), (with_memory, 1.0282648490)):
        values = np.linalg.eigvals(update_map(0.1 * jacobians[0.3], 242, chosen))
        assert np.abs(values).max() == pytest.approx(radius, abs=1e-9)


def test_randomised_modes_are_those_of_the_dense_matrix(backend, jacobians):
    linearised = backend.linearise(backend.point, backend.draw(0, 64))
    player = gs.Player("sgd", 0.1)
    rule = gs.UpdateRule(generator=player, discriminator=gs.Player("sgd", 0.02))
    unit = whitening(backend, rule, 64, 0)
    found = rotation_modes(linearised, unit, 24)
    sigma = np.linalg.svd(np.sqrt(0.1 * 0.02) * jacobians[0.0][:242, 242:])[1]
    np.testing.assert_allclose(found.sigma[:4], sigma[:4], rtol=1e-10)
    np.testing.assert_allclose(found.sigma, sigma[:24], rtol=1e-2)
    for part in (found.generator, found.discriminator):
        np.testing.assert_allclose(part @ part.T, np.eye(24), atol=1e-12)


def test_the_reduced_game_is_the_projected_jacobian(backend, jacobians):
    rate = 0.1
    game = seeded_game(rate=rate).replace(gradient_penalty=0.3)
    measured = measure(game, DiagnoseSettings(modes=6, batch_size=64), seed=0)
    unit = whitening(backend, game.rule, 64, 0)
    rotation = rotation_modes(backend.linearise(backend.point, backend.draw(0, 64), game.change), unit, 6)
    basis = block_diag(*directions(rotation, unit)) / unit.both
    np.testing.assert_allclose(np.abs(measured.jacobian), np.abs(basis @ (rate * jacobians[0.3]) @ basis.T), atol=1e-9)
    np.testing.assert_allclose(measured.without_penalty + 0.3 * measured.penalty, measured.jacobian, atol=1e-12)
    assert projected(np.ones((1, 447)), rotation, unit).shape == (1, 12)


def test_outputs_move_as_the_generator_says(backend):
    rng = np.random.default_rng(2)
    row, latents = rng.standard_normal(242), backend.latents(0, 16)
    ends = [backend.outputs(backend.point[0] + sign * 1e-6 * row, latents) for sign in (1, -1)]
    moved = backend.output_products(backend.point[0], latents, row[None])[0]
    np.testing.assert_allclose((ends[0] - ends[1]) / 2e-6, moved, atol=1e-8)
    weights = np.array([0.3, -1.2])
    gradients = backend.output_gradients(backend.point[0], latents, weights)
    np.testing.assert_allclose(gradients @ row, moved @ weights, atol=1e-12)


def test_minibatches_are_independent_and_repeatable():
    backend = ring_game().backend
    one, two = backend.draws(3, 16, 2)
    assert not np.array_equal(one.batch, two.batch)
    assert not np.array_equal(one.latents, two.latents)
    again = backend.draws(3, 16, 2)
    np.testing.assert_array_equal(again[1].batch, two.batch)
    rows = backend.velocities(backend.point, again)
    each = [np.concatenate(backend.velocity(backend.point, draw)) for draw in (one, two)]
    np.testing.assert_allclose(rows, each, atol=1e-14)
    np.testing.assert_allclose(backend.velocities(backend.point, [one, two]), each, atol=1e-14)


@pytest.mark.parametrize("scale", [0.1, 10.0])
def test_predictions_do_not_depend_on_the_scale_of_the_data(scale):
    """x -> scale x with rates that follow: the same wander, an advised penalty scale^2 as large."""

    def rescaled(factor):
        generator, discriminator, data, latents = seeded()
        generator[-1] = tuple(factor * part for part in generator[-1])
        discriminator[0] = (discriminator[0][0] / factor, discriminator[0][1])
        rates = [np.full(p.size, 0.05) for layer in generator for p in layer]
        for place in (-2, -1):
            rates[place] = rates[place] * factor**2
        slow = [np.full(p.size, 0.05) for layer in discriminator for p in layer]
        slow[0] = slow[0] / factor**2
        rule = gs.UpdateRule(
            generator=gs.Player("sgd", np.concatenate(rates)), discriminator=gs.Player("sgd", np.concatenate(slow))
        )
        rows = np.random.default_rng(5)
        order = [rows.integers(0, 64, 4096) for _ in range(2)]
        return gs.RealGame(
            nonsaturating, generator, discriminator, rule,
            lambda key, n: factor * data[order[0][:n]], lambda key, n: latents[order[1][:n]],
            generator=perceptron, discriminator=scores, train_batch_size=16,
        )  # fmt: skip

    small = dict(modes=6, batch_size=64, batches=1, noise_batches=8, fork_iterations=0)
    plain, large = (gs.diagnose(rescaled(factor), **small) for factor in (1.0, scale))
    assert large.predicted_wander == pytest.approx(plain.predicted_wander, rel=1e-8)
    for one, two in zip(plain.gamma_sweep.gamma, large.gamma_sweep.gamma, strict=True):
        assert two == pytest.approx(scale**2 * one, rel=1e-8)
    assert large.gamma_sweep.advised == pytest.approx(scale**2 * plain.gamma_sweep.advised, rel=1e-8)
    np.testing.assert_allclose(large.gamma_sweep.horizon_cost, plain.gamma_sweep.horizon_cost, rtol=1e-8)


def test_detached_samples_make_the_mixed_block_of_the_discriminator_vanish():
    game = seeded_game(detached)
    backend = game.backend
    whole = backend.linearise(backend.point, backend.draw(0, 64)).products(np.eye(447)).T
    assert not whole[242:, :242].any()
    with pytest.raises(gs.TrapError, match="does not depend on the generator's parameters: remove detach"):
        gs.diagnose(game, modes=4, batches=1)


def test_wander_is_the_forecast_of_the_measurement():
    game = ring_game()
    settings = dict(modes=8, batch_size=64, batches=1, noise_batches=8)
    found = gs.diagnose(game, fork_iterations=0, **settings)
    again = measure(game, DiagnoseSettings(**settings), seed=0)
    assert forecast(again).predicted_wander == pytest.approx(found.predicted_wander, rel=1e-9)
