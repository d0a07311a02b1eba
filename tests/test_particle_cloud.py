"""Particles against a learning discriminator: the compiled engine against a naive transcription, and the rules."""

import json
import math

import jax.monitoring
import numpy as np
import pytest
import reference_particle as reference

import ganscope as gs
from ganscope.core.random import replica_streams, stream_of
from ganscope.games.particle.cloud import noise
from ganscope.games.particle.cloud.discriminators import start_of
from ganscope.games.particle.cloud.model import ModeWidthWarning, PenaltyWarning
from ganscope.games.particle.cloud.network_level import CouplingWarning
from ganscope.games.particle.cloud.target import clusters, grid, ring

STEPS = 5


def stream(game, level="particles"):
    return int(replica_streams(stream_of(f"{game.stream_name()}|{level}"), 1)[0])


def small(**changes):
    """A small game whose penalty and learning are strong enough that a wrong factor shows after a few steps."""
    options = dict(
        particles=12,
        coupling=3.0,
        relative_step=0.2,
        discriminator_lr=0.3,
        gradient_penalty=0.8,
        discriminator_width=16,
        real_batch=12,
    )
    return gs.ParticleGAN(**(options | changes))


def by_hand(game, seed=0, rule="alternating", steps=STEPS):
    """Positions `[steps + 1, N, d]` by the transcription, from the engine's own start and minibatches."""
    key = stream(game)
    if game.discriminator == "mlp":
        width, depth = game.discriminator_width, game.discriminator_depth
        sizes = [game.axes, *[width] * depth, 1]
        layers = []
        for k in range(depth + 1):
            draw = [
                noise.normals(s, noise.WEIGHTS, 2 * k + i, seed, key)
                for i, s in enumerate([tuple(sizes[k : k + 2]), (sizes[k + 1],)])
            ]
            layers.append((draw[0].T.astype(float), draw[1].astype(float)))
        network = reference.Network(
            game.discriminator_activation, game.hidden_variance, game.bias_variance, game.input_size
        )
        learner = reference.MLPDiscriminator(network, layers, layers, anchor=layers)
    else:
        omega, phase = start_of(game, seed, key).fixed
        learner = reference.FeatureDiscriminator(omega.T.astype(float), phase.astype(float), np.zeros(len(phase)))
    inner = game.discriminator_steps
    if game.real_batch is None:
        real = np.broadcast_to(game.target.sources, (steps * inner, *game.target.sources.shape))
    else:
        real = noise.minibatches(game.target, game.real_batch, 0, steps * inner, steps * inner, seed, key)
    real = real.reshape(steps, inner, *real.shape[1:]).astype(float)
    extra = None
    if game.penalty in ("uniform", "gp1"):
        u = noise.uniforms(real.shape[2] * game.axes, 0, steps * inner, steps * inner, seed, key)
        u = u.reshape(steps, inner, real.shape[2], game.axes).astype(float)
        low, high = game.target.box
        extra = low + (high - low) * u if game.penalty == "uniform" else u[..., 0]
    if game.initial is not None:
        x = game.initial
    else:
        centre = 0.0 if game.real_points is None else game.target.mean
        x = centre + game.initial_std * noise.normals((game.particles, game.axes), noise.START, 0, seed, key).astype(
            float
        )
    if game.relative_mobility == 0:
        move = lambda g: np.broadcast_to(game.mean_mobility * g.mean(axis=0), g.shape)
    elif game.generator_kernel is None:
        move = lambda g: reference.two_number_move(g, game.relative_mobility, game.coupling_number)
    else:
        kernel = game.generator_kernel
        kernel = kernel[:, :, None, None] * np.eye(game.axes) if kernel.ndim == 2 else kernel
        move = lambda g: reference.kernel_move(g, kernel, game.kernel_speed)
    return reference.train(
        learner,
        x,
        real,
        move,
        extra=extra,
        rule=rule,
        discriminator_lr=game.discriminator_lr,
        penalty=game.penalty,
        loss=game.loss,
        gamma=game.gradient_penalty,
        decay=game.regularization,
    )[0]


def assert_same_path(game, rule="alternating", atol=3e-6, **options):
    """Displacements agree to float32 accuracy: a few hundred operations of relative error 6e-8."""
    run = gs.simulate(game, "particles", iterations=STEPS, rule=rule, **options)
    expected = by_hand(game, rule=rule)
    moved = np.abs(expected[-1] - expected[0]).max()
    assert moved > 1e-2
    np.testing.assert_allclose(run.positions.values, expected, atol=atol * max(1.0, moved), rtol=2e-5)


@pytest.mark.parametrize("activation", ["relu", "tanh", "sin", "softplus", "erf"])
def test_the_engine_is_the_transcription_for_every_activation(activation):
    assert_same_path(small(discriminator_activation=activation))


@pytest.mark.parametrize("penalty", ["none", "r1", "r2", "r12", "uniform"])
@pytest.mark.parametrize("loss", ["wgan", "gan"])
def test_the_engine_is_the_transcription_for_every_penalty_and_loss(penalty, loss):
    assert_same_path(small(penalty=penalty, loss=loss, discriminator_activation="tanh", regularization=0.4))


def test_the_engine_is_the_transcription_for_the_penalty_that_is_centred_on_one():
    with pytest.warns(PenaltyWarning, match="does not damp"):
        game = small(penalty="gp1", discriminator_activation="softplus")
    assert_same_path(game)


@pytest.mark.parametrize(
    "changes",
    [
        dict(discriminator_steps=3),
        dict(discriminator_depth=1),
        dict(discriminator_depth=3, penalty="r12", loss="gan"),
        dict(discriminator_depth=4, discriminator_activation="tanh"),
        dict(weight_variance=0.7, bias_variance=0.0, input_size=5.0),
        dict(modes=9, layout="grid", radius=2.0, mode_width=0.3),
        dict(modes=[[0.0, 1.0, 2.0], [1.0, 0.0, -1.0]], mode_width=0.1),
        dict(modes=[-1.0, 0.5, 2.0], mode_width=0.1),
        dict(real_points=np.linspace(-1, 1, 20).reshape(10, 2), real_batch=None),
        dict(initial=np.linspace(-1, 1, 24).reshape(12, 2)),
        dict(discriminator=gs.RBF(0.7), features=64),
        dict(discriminator=gs.Matern32(0.9), features=50, penalty="r12", regularization=0.5),
        dict(coupling=None, same_kernel=2.0, cross_kernel=0.5, relative_step=None, generator_lr=3.0),
        dict(coupling=None, same_kernel=2.0, cross_kernel=2.0, relative_step=None, generator_lr=0.5),
        dict(coupling=None, same_kernel=2.0, cross_kernel=-0.1),
    ],
    ids=str,
)
def test_the_engine_is_the_transcription_for_other_shapes(changes):
    assert_same_path(small(**changes))


def test_a_measured_kernel_moves_particles_as_its_matrix_says():
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((12, 2, 40))
    full = np.einsum("iap,jbp->ijab", rows, rows) / 40
    for kernel in (full, full[:, :, 0, 0] + full[:, :, 1, 1]):
        assert_same_path(small(coupling=None, generator_kernel=kernel))
        assert_same_path(small(coupling=None, generator_kernel=kernel, relative_step=None, generator_lr=1.5))


def test_a_kernel_of_two_numbers_is_the_two_numbers():
    matrix = 0.5 + 1.5 * np.eye(12)
    two = small(coupling=None, same_kernel=2.0, cross_kernel=0.5)
    whole = small(coupling=None, generator_kernel=matrix)
    assert whole.coupling_number == pytest.approx(two.coupling_number, rel=1e-14)
    assert whole.mean_mobility == pytest.approx(two.mean_mobility, rel=1e-14)


def test_simultaneous_steps_use_the_old_discriminator():
    assert_same_path(small(), rule="simultaneous")
    with pytest.raises(gs.ParameterError, match="discriminator_steps is 2"):
        gs.simulate(small(discriminator_steps=2), "particles", iterations=3, rule="simultaneous")


def test_generator_first_moves_before_the_discriminator_has_learned():
    run = gs.simulate(small(), "particles", iterations=2, order="generator_first")
    # the discriminator starts at zero, so the first move is none
    assert np.array_equal(run.positions[0], run.positions[1])
    assert not np.array_equal(run.positions[1], run.positions[2])
    with pytest.raises(gs.ParameterError, match="generator_first"):
        gs.simulate(small(), "particles", iterations=2, order="generator")


def test_blocks_of_points_change_nothing_but_rounding():
    # 512 points are worked on in two blocks of 256, 1021 (a prime) in one
    for batch in (512, 1021):
        game = small(real_batch=batch, particles=768)
        assert_same_path(game)


def test_cells_and_replicas_are_bit_equal_to_runs_of_their_own():
    game = small(discriminator_steps=2, relative_step=0.02)
    over = {"coupling": np.array([1.0, 8.0, 40.0]), "gradient_penalty": np.array([0.0, 0.3, 0.6])}
    many = gs.simulate_many(game, over, "particles", iterations=30, replicas=3, seed=4)
    for cell in range(3):
        own = game.replace(**{name: values[cell] for name, values in over.items()})
        one = gs.simulate(own, "particles", iterations=30, replicas=3, seed=4)
        assert np.array_equal(many.positions[cell], one.positions)
        few = gs.simulate(own, "particles", iterations=30, replicas=1, seed=4)
        assert np.array_equal(few.positions, one.positions[0])


def test_what_is_recorded_does_not_change_the_run():
    game = small()
    every = gs.simulate(game, "particles", iterations=600)
    some = gs.simulate(game, "particles", iterations=600, save_at=[0, 7, 250, 251, 599, 600])
    assert np.array_equal(every.positions[some.iteration], some.positions)
    np.testing.assert_allclose(every.slope[some.iteration], some.slope, rtol=1e-6)


def test_order_parameters_of_a_run_are_those_of_its_positions():
    game = small(particles=40)
    run = gs.simulate(game, "particles", iterations=120)
    found = gs.order_parameters(
        run.positions.values, game.target.centres, game.target.capture_radius, game.target.variance
    )
    for name in ("coverage", "soft_coverage", "entropy", "kl", "spread", "quality", "occupancy"):
        np.testing.assert_array_equal(run[name].values, getattr(found, name))
    centre = run.positions.values[-31:].mean(axis=1)
    assert run.wander[-1].item() == pytest.approx(centre.std(axis=0).sum() / game.target.scale, rel=1e-9)
    assert np.all((run.rigidity.values[1:] >= 0) & (run.rigidity.values[1:] <= 1))


def test_a_run_that_blows_up_keeps_its_history():
    game = gs.ParticleGAN(coupling=64.0, relative_step=0.2, discriminator_lr=0.2, gradient_penalty=0.0)
    run = gs.simulate(game, "particles", iterations=200)
    verdict = gs.classify(run)
    assert verdict.outcome == gs.Outcome.DIVERGED
    finite = np.isfinite(run.positions.values).all(axis=(1, 2))
    assert finite[:5].all()
    assert not np.any(np.diff(finite.astype(int)) > 0)
    many = gs.simulate_many(game, {"relative_step": np.array([0.2, 0.001])}, "particles", iterations=200)
    assert np.isfinite(many.positions[1]).all()


def test_reference_outcomes_of_the_ring():
    outcomes = {}
    for coupling, std in ((4.0, 0.25), (64.0, 0.05)):
        game = gs.ParticleGAN(coupling=coupling, initial_std=std)
        outcomes[coupling] = gs.classify(gs.simulate(game, "particles", iterations=800, replicas=3))
    assert outcomes[4.0].outcome == gs.Outcome.CONVERGED
    assert outcomes[64.0].detail == "collapsed/hopping"


def test_games_survive_json_and_replace():
    kernel = np.eye(12) + 0.2
    games = [
        small(),
        small(coupling=None, generator_kernel=kernel),
        small(discriminator=gs.RBFSum((0.5, 1.0))),
        small(real_points=np.arange(20.0).reshape(10, 2), labels=[0, 1] * 5),
        small(modes=[[0.0, 1.0], [1.0, 0.0]]),
    ]
    for game in games:
        assert gs.from_json(gs.to_json(game)) == game
        assert json.loads(gs.to_json(game))["model"] == "particle"
    assert games[0].replace(coupling=9.0).coupling_number == 9.0


def test_defaults_are_those_of_two_kernel_numbers():
    game = gs.ParticleGAN()
    assert game.relative_mobility == 0.01
    assert game.coupling_number == pytest.approx((1 + 63 * 0.2) / 0.8)
    assert game.target.separation == pytest.approx(0.7653668647, abs=1e-10)
    assert game.target.capture_radius == pytest.approx(0.35 * 0.7653668647, rel=1e-9)
    assert game.target.variance == pytest.approx(1.005)


def test_targets():
    assert ring(4, 2.0) == pytest.approx(np.array([[2, 0], [0, 2], [-2, 0], [0, -2]]), abs=1e-15)
    assert grid(4, 3.0) == pytest.approx(np.array([[-3, -3], [-3, 3], [3, -3], [3, 3]]))
    assert grid(1, 3.0) == pytest.approx(np.zeros((1, 2)))
    points = np.random.default_rng(0).standard_normal((50, 2))
    assert len(clusters(points, None, 8)[0]) == 8
    assert len(clusters(points[:5], None, 8)[0]) == 5
    means, index = clusters(points, np.arange(50) % 3 + 7, 8)
    assert means[1] == pytest.approx(points[1::3].mean(axis=0))
    assert set(index) == {0, 1, 2}
    batch = noise.minibatches(gs.ParticleGAN(mode_width=0.2).target, 50000, 0, 1, 1, 0, 5)[0]
    # means and covariance of the ring within five standard errors of 50000 draws
    assert np.abs(batch.mean(axis=0)).max() < 5 * math.sqrt(0.54 / 50000)
    assert np.trace(np.cov(batch.T)) == pytest.approx(1.08, abs=5 * 0.3 * 2 / math.sqrt(50000))


@pytest.mark.parametrize(
    "changes, words",
    [
        (dict(particles=1), "particles"),
        (dict(particles=2.5), "particles"),
        (dict(same_kernel=0.0), "same_kernel"),
        (dict(same_kernel=1.0, cross_kernel=1.1), "cross_kernel"),
        (dict(same_kernel=1.0, cross_kernel=-0.5), "cross_kernel"),
        (dict(same_kernel=1.0, cross_kernel=1.0), "generator_lr instead"),
        (dict(coupling=0.0), "coupling"),
        (dict(coupling=4.0, same_kernel=1.0), "same_kernel"),
        (dict(coupling=4.0, cross_kernel=0.1), "cross_kernel"),
        (dict(coupling=4.0, generator_lr=0.1), "generator_lr"),
        (dict(generator_lr=0.1, relative_step=0.1), "not both"),
        (dict(generator_kernel=np.eye(64), coupling=3.0), "coupling"),
        (dict(generator_kernel=np.eye(3)), "shape"),
        (dict(generator_kernel=-np.eye(64)), "positive semidefinite"),
        (dict(generator_kernel=np.triu(np.ones((64, 64)))), "symmetric"),
        (dict(relative_step=0.0), "relative_step"),
        (dict(discriminator_lr=-1.0), "discriminator_lr"),
        (dict(discriminator_steps=0), "discriminator_steps"),
        (dict(gradient_penalty=-0.1), "gradient_penalty"),
        (dict(gradient_penalty=math.nan), "gradient_penalty"),
        (dict(regularization=-0.1), "regularization"),
        (dict(penalty="R1"), "r1"),
        (dict(loss="hinge"), "wgan"),
        (dict(layout="circle"), "ring"),
        (dict(modes=0), "modes"),
        (dict(modes=5, layout="grid"), "square number"),
        (dict(modes=[[0.0, 0.0], [0.0, 0.0]]), "modes"),
        (dict(radius=0.0), "radius"),
        (dict(mode_width=-0.1), "mode_width"),
        (dict(initial_std=0.0), "initial_std"),
        (dict(initial=np.zeros((3, 2))), "shape"),
        (dict(discriminator="cnn"), "mlp"),
        (dict(discriminator={"name": "RBG", "bandwidth": 1.0}), "discriminator.*RBF"),
        (dict(discriminator_activation="swish"), "relu"),
        (dict(discriminator_width=0), "discriminator_width"),
        (dict(discriminator_depth=0), "discriminator_depth"),
        (dict(real_batch=0), "real_batch"),
        (dict(real_batch=None), "real_points"),
        (dict(labels=[1, 2]), "real_points"),
        (dict(real_points=[[math.inf, 0.0]]), "real_points"),
        (dict(real_points=np.zeros((3, 2)), labels=[0, 1]), "labels"),
        (dict(input_size=0.0), "input_size"),
        (dict(weight_variance=0.0), "weight_variance"),
        (dict(bias_variance=-1.0), "bias_variance"),
        (dict(features=0), "features"),
    ],
    ids=str,
)
def test_bad_values_are_named(changes, words):
    with pytest.raises(gs.ParameterError, match=words):
        gs.ParticleGAN(**changes)


def test_wide_modes_warn():
    with pytest.warns(ModeWidthWarning, match="merge"):
        gs.ParticleGAN(mode_width=0.5)


def test_bad_requests_are_named():
    with pytest.raises(gs.ParameterError, match="over"):
        gs.simulate_many(small(), {"particles": [3, 4]}, "particles", iterations=3)
    with pytest.raises(gs.ParameterError, match="coupling"):
        gs.simulate_many(small(), {"coupling": [3.0, -4.0]}, "particles", iterations=3)
    with pytest.raises(gs.ParameterError, match="cross_kernel"):
        gs.simulate_many(small(coupling=None), {"cross_kernel": [0.1, 4.0]}, "particles", iterations=3)
    with pytest.raises(gs.ParameterError, match="initial"):
        gs.simulate_many(small(), {"initial": np.zeros((2, 3, 2))}, "particles", iterations=3)


NETWORK = dict(generator_width=64, latent_dimension=64)


def test_a_network_and_its_measured_kernel_start_together_and_part_slowly():
    kernel = gs.network_kernel(2, "relu")
    game = small(
        particles=16,
        coupling=None,
        same_kernel=kernel.same_kernel,
        cross_kernel=kernel.cross_kernel,
        relative_step=0.002,
    )
    runs = {
        motion: gs.simulate(game, "network", iterations=40, motion=motion, **NETWORK)
        for motion in ("network", "measured_kernel", "two_numbers")
    }
    start = runs["network"].positions[0].values
    # 32 numbers of a network of width 64
    assert np.sqrt(np.mean((start - start.mean(axis=0)) ** 2)) == pytest.approx(0.25, rel=0.4)
    assert np.abs(start.mean(axis=0)).max() < 1e-6
    travelled = np.sqrt(np.mean((runs["network"].positions[-1].values - start) ** 2))
    errors = {}
    for motion in ("measured_kernel", "two_numbers"):
        np.testing.assert_allclose(runs[motion].positions[0].values, start, atol=1e-6)
        gap = runs[motion].positions[-1].values - runs["network"].positions[-1].values
        errors[motion] = np.sqrt(np.mean(gap**2)) / travelled
    assert errors["measured_kernel"] < 0.1 < errors["two_numbers"]
    assert runs["network"].attrs["network_coupling"] == pytest.approx(game.coupling_number)


def test_the_outputs_of_a_network_may_be_left_as_they_are():
    kernel = gs.network_kernel(2, "relu")
    game = small(initial_std=math.sqrt(kernel.nngp(1.0) - kernel.nngp(0.0)), coupling=kernel.coupling(12))
    run = gs.simulate(game, "network", iterations=1, save_at=[0], keep_mean=True, **NETWORK)
    network = gs.WideGenerator(2, width=64, latent_dimension=64)
    key = stream(game, "network")
    outputs = network.apply(network.initial(0, key), network.latents(12, 0, key))
    np.testing.assert_allclose(run.positions[0], outputs, atol=1e-5)


def test_a_network_may_start_from_given_points():
    start = np.linspace(-1, 1, 24).reshape(12, 2)
    with pytest.warns(CouplingWarning, match="network_kernel"):
        run = gs.simulate(small(initial=start), "network", iterations=3, generator_activation="tanh", **NETWORK)
    np.testing.assert_allclose(run.positions[0], start, atol=1e-6)


@pytest.mark.parametrize(
    "options, words",
    [
        (dict(generator_width=0), "generator_width"),
        (dict(latent_dimension=1), "latent_dimension"),
        (dict(generator_activation="relo"), "relu"),
        (dict(motion="kernel"), "measured_kernel"),
        (dict(keep_mean=1), "True or False"),
        (dict(generator_weight_variance=-1.0), "generator_weight_variance"),
        (dict(generator_depth=0), "generator_depth"),
    ],
    ids=str,
)
def test_bad_options_of_the_network_level_are_named(options, words):
    with pytest.raises(gs.ParameterError, match=words):
        gs.simulate(small(), "network", iterations=3, **options)


def test_arguments_stand_in_their_documented_order():
    game = gs.ParticleGAN(16, 4.0, None, None, 6, 1.5, 0.07, None, 0.02, 0.03, 0.4, 0.1, 2, "r2", "gan", 0.3)
    assert (game.modes, game.radius, game.mode_width, game.relative_step) == (6, 1.5, 0.07, 0.02)
    assert (game.discriminator_lr, game.gradient_penalty, game.regularization) == (0.03, 0.4, 0.1)
    assert (game.discriminator_steps, game.penalty, game.loss, game.initial_std) == (2, "r2", "gan", 0.3)


def test_the_cross_kernel_does_not_scale_with_the_same_kernel():
    assert gs.ParticleGAN(same_kernel=4.0).coupling_number == pytest.approx((4 + 63 * 0.2) / 3.8)


def test_counts_may_differ_between_cells():
    game = small()
    many = gs.simulate_many(game, {"discriminator_steps": [1, 3], "real_batch": [12, 20]}, "particles", iterations=5)
    own = gs.simulate(game.replace(discriminator_steps=3, real_batch=20), "particles", iterations=5)
    assert np.array_equal(many.positions[1], own.positions)
    with pytest.raises(gs.ParameterError, match="integers"):
        gs.simulate_many(game, {"discriminator_steps": [1.5]}, "particles", iterations=5)


def test_too_few_latent_dimensions_for_two_numbers_warn():
    kernel = gs.network_kernel(2, "relu")
    game = small(particles=64, coupling=kernel.coupling(64))
    with pytest.warns(gs.KernelSpreadWarning, match="latent_dimension = 64"):
        gs.simulate(game, "network", iterations=1, generator_width=16, latent_dimension=64)


def test_a_run_without_its_order_parameters_is_refused_by_name():
    run = gs.simulate(small(), "particles", iterations=120)
    with pytest.raises(gs.ParameterError, match="wander"):
        gs.classify(run.drop_vars("wander"))
    assert gs.classify(run.transpose("axis", "particle", "mode", "time")) == gs.classify(run)


@pytest.mark.parametrize("motion, width", [(None, 9), ("network", 10), ("two_numbers", 11)])
def test_other_numbers_seeds_and_batches_compile_nothing(motion, width):
    level, options = ("network", NETWORK | {"motion": motion}) if motion else ("particles", {})
    compiled = []

    def listen(event, seconds, **about):
        if event.endswith("backend_compile_duration"):
            compiled.append(event)

    game = small(coupling=5.0, discriminator_width=width)
    gs.simulate(game, level, iterations=2, **options)
    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        over = {"coupling": [4.5, 5.5], "gradient_penalty": [0.1, 0.2]}
        gs.simulate_many(game, over, level, iterations=3, replicas=2, seed=1, **options)
        assert compiled == []
        gs.simulate(game.replace(discriminator_width=width + 10), level, iterations=2, **options)
        assert compiled  # the counter counts
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)
