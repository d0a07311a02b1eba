"""A real GAN as a game like any other: what-ifs, predictions, sweeps, training; and what is refused."""

import random
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_gans import detached, nonsaturating, perceptron, ring_data, ring_game, scores, seeded, seeded_game

import ganscope as gs
from ganscope.diagnose.instruments.measure import measure
from ganscope.diagnose.jax_functions.probes import jax_probes, loss_precision
from ganscope.diagnose.memory_bound import within_memory
from ganscope.diagnose.settings import DiagnoseSettings

SMALL = dict(modes=6, batch_size=64, batches=1, noise_batches=8)


@pytest.fixture(scope="module")
def game():
    return ring_game()


def test_a_prediction_is_the_diagnosis_of_the_same_game(game):
    told, found = gs.predict(game), gs.diagnose(game, fork_iterations=0)
    assert (told.outcome, told.detail, told.margin) == (found.outcome, found.detail, pytest.approx(found.margin))
    assert told.rates["predicted_wander"] == pytest.approx(found.predicted_wander)
    assert told.best["gradient_penalty"] == pytest.approx(found.gamma_sweep.advised)


def test_a_what_if_is_what_a_new_measurement_finds(game):
    """Frozen weights: the affine and the scaled measurement against one taken under the new setting."""
    changes = dict(gradient_penalty=0.5, generator_lr=3e-3, discriminator_lr=5e-4, train_batch_size=32)
    what_if = game.replace(**changes)
    told = gs.predict(what_if).rates
    fresh = ring_game(
        rule=gs.UpdateRule(
            generator=gs.Player("adam", 3e-3, beta1=0.5, beta2=0.99),
            discriminator=gs.Player("adam", 5e-4, beta1=0.5, beta2=0.99),
        )
    ).replace(gradient_penalty=0.5)
    fresh.origin, fresh.measured = fresh, {}
    again = gs.predict(fresh).rates
    # second moments are estimated with the penalty in force or without: a few percent of the rates
    for name in ("rotation", "damping_ratio", "predicted_wander"):
        assert again[name] == pytest.approx(told[name], rel=0.15), name
    assert told["rotation"] != pytest.approx(gs.predict(game).rates["rotation"], rel=0.05)


def test_settings_of_a_what_if(game):
    changed = game.replace(gradient_penalty=2.0, beta1=0.9, discriminator_steps=3, train_batch_size=64)
    assert (changed.gradient_penalty, changed.beta1, changed.discriminator_steps) == (2.0, 0.9, 3)
    assert changed.train_batch_size == 64
    assert game.gradient_penalty == 0.0
    assert changed != game
    assert game.replace() == game
    assert changed.origin is game


def test_learning_rates_of_single_parameters_keep_their_ratios(game):
    rates = np.linspace(1e-3, 2e-3, game.backend.sizes.generator)
    rule = game.rule.replace(generator=gs.Player("sgd", rates))
    own = ring_game(rule=rule)
    np.testing.assert_allclose(own.replace(generator_lr=1e-2).rule.generator.learning_rate, 5 * rates)


@pytest.mark.parametrize(
    "changes, message",
    [
        (dict(gamma=1.0), "expected one of beta1"),
        (dict(generator_lr=0.0), "generator_lr = 0"),
        (dict(gradient_penalty=-1.0), "gradient_penalty = -1"),
        (dict(momentum=0.5), "no player has momentum"),
        (dict(beta1=1.0), r"beta1 = 1.0: expected a number in \[0, 1\)"),
        (dict(discriminator_steps=0), "discriminator_steps = 0"),
        (dict(order="sequential"), "order = 'sequential'"),
        (dict(order="simultaneous", discriminator_steps=2), "1 where both players move simultaneously"),
        (dict(instance_noise=0.1), "no keyword argument instance_noise"),
        (dict(train_batch_size=0), "train_batch_size = 0"),
    ],
)
def test_bad_what_ifs(game, changes, message):
    with pytest.raises(gs.ParameterError, match=message):
        game.replace(**changes)


def test_many_what_ifs_at_once_are_the_single_ones(game):
    over = {"gradient_penalty": [0.0, 1.0], "generator_lr": [1e-3, 1e-4]}
    many = gs.predict_many(game, over)
    for cell in range(2):
        one = gs.predict(game.replace(**{name: values[cell] for name, values in over.items()}))
        assert many["outcome"].values[cell] == str(one.outcome)
        assert many["rate_predicted_wander"].values[cell] == pytest.approx(one.rates["predicted_wander"], rel=1e-12)


def test_a_sweep_over_what_ifs(game, tmp_path):
    over = {"gradient_penalty": gs.linspace(0.0, 2.0, 3), "order": ["alternating", "simultaneous"]}
    swept = gs.sweep(game, over=over, store=tmp_path / "what_if.zarr", workers=1)
    assert swept["status"].sizes == {"gradient_penalty": 3, "order": 2}
    assert (swept["status"].values == 1).all()
    one = gs.predict(game.replace(gradient_penalty=1.0, order="simultaneous"))
    found = swept["rate_predicted_wander"].sel(gradient_penalty=1.0, order="simultaneous")
    assert float(found) == pytest.approx(one.rates["predicted_wander"], rel=1e-12)
    again = gs.sweep(game, over=over, store=tmp_path / "what_if.zarr", workers=1)
    np.testing.assert_array_equal(again["margin"].values, swept["margin"].values)


def test_training_is_repeatable_and_moves_the_samples(game):
    run = gs.simulate(game, level="training", iterations=40, seed=1)
    again = gs.simulate(game, level="training", iterations=40, seed=1)
    other = gs.simulate(game, level="training", iterations=40, seed=2)
    np.testing.assert_array_equal(run["generated_points"], again["generated_points"])
    assert not np.array_equal(run["generated_points"], other["generated_points"])
    points = run["generated_points"]
    assert points.dims == ("time", "sample", "axis")
    latents_at_start = np.asarray(points.isel(time=0))
    assert float(np.abs(points.isel(time=-1) - latents_at_start).max()) > 1e-3
    assert gs.classify(run).outcome in list(gs.Outcome)


def test_a_large_penalty_calms_a_batch_of_training_runs(game):
    runs = gs.simulate_many(
        game, {"gradient_penalty": [0.0, 300.0]}, "training", iterations=30, save_at=[0, 10, 20, 30]
    )
    alone = gs.simulate(game.replace(gradient_penalty=300.0), level="training", iterations=30, save_at=[0, 10, 20, 30])
    np.testing.assert_array_equal(runs["generated_points"].isel(cell=1), alone["generated_points"])
    assert not np.array_equal(runs["generated_points"].isel(cell=0), runs["generated_points"].isel(cell=1))


def test_a_run_that_breaks_down_is_a_result():
    wild = ring_game("sgd", 1e6)
    run = gs.simulate(wild, level="training", iterations=200)
    assert gs.classify(run).outcome == "diverged"
    assert np.isnan(run["generated_points"].isel(time=-1)).all() or float(np.abs(run["generated_points"]).max()) > 20


def test_spectrum_of_the_whole_game_and_of_its_map():
    small = seeded_game(rate=0.1).replace(gradient_penalty=0.3)
    flow = gs.spectrum(small)
    assert flow.values[0].real == pytest.approx(0.1 * 0.290501580578, abs=1e-9)
    assert np.abs(gs.spectrum(small, rule="simultaneous").multipliers).max() == pytest.approx(1.0290501581, abs=1e-9)
    elsewhere = gs.spectrum(small, at=small.backend.point)
    np.testing.assert_allclose(elsewhere.values, flow.values)


def test_another_checkpoint_of_the_same_game(game, tmp_path):
    shifted = [np.asarray(part) + 0.01 for part in game.backend.point]
    moved = game.at(*shifted)
    np.testing.assert_array_equal(moved.backend.point[0], shifted[0])
    assert moved != game
    np.savez(tmp_path / "weights.npz", generator=shifted[0], discriminator=shifted[1])
    assert game.load_checkpoint(tmp_path / "weights.npz") == moved
    np.savez(tmp_path / "short.npz", generator=shifted[0][:-1], discriminator=shifted[1])
    with pytest.raises(gs.ParameterError, match="arrays generator and discriminator with"):
        game.load_checkpoint(tmp_path / "short.npz")
    (tmp_path / "text.npz").write_text("no archive")
    with pytest.raises(gs.ParameterError, match=r"an \.npz file of arrays"):
        game.load_checkpoint(tmp_path / "text.npz")
    np.savez(tmp_path / "objects.npz", generator=np.array([{}], object), discriminator=shifted[1])
    with pytest.raises(gs.ParameterError, match=r"an \.npz file of arrays"):
        game.load_checkpoint(tmp_path / "objects.npz")
    with pytest.raises(gs.ParameterError, match="a file that exists"):
        game.load_checkpoint(tmp_path / "nowhere.npz")
    with pytest.raises(gs.ParameterError, match="like the game's own parameters"):
        game.at(shifted[0][:-1], shifted[1])
    with pytest.raises(gs.NotApplicable, match=r"use at\(...\)"):
        game.refreshed()


def test_lazy_regularisation_is_averaged():
    def with_penalty(theta, phi, batch, z, key):
        slopes = jax.grad(lambda x: scores(phi, x).sum())(batch)
        generator_loss, discriminator_loss = nonsaturating(theta, phi, batch, z, key)
        return generator_loss, discriminator_loss + 8.0 * 0.5 * jnp.mean(jnp.sum(slopes**2, axis=1))

    lazy = seeded_game(with_penalty, gamma=8.0, penalty_interval=16)
    steady = seeded_game().replace(gradient_penalty=0.5)
    assert lazy.gradient_penalty == 0.5
    one, two = (g.backend.velocity(g.backend.point, g.backend.draw(0, 64), g.change) for g in (lazy, steady))
    np.testing.assert_allclose(one.discriminator, two.discriminator, atol=1e-12)
    assert {p.id: p.status for p in gs.probes(lazy)}["T9"] == "warning"


def test_another_kind_of_penalty_is_replaced_by_the_advised_one():
    def slope(theta, phi, batch, z, key):
        slopes = jax.grad(lambda x: scores(phi, x).sum())(batch)
        return 10.0 * jnp.mean((jnp.sqrt(jnp.sum(slopes**2, axis=1)) - 1) ** 2)

    def with_slope(theta, phi, batch, z, key):
        generator_loss, discriminator_loss = nonsaturating(theta, phi, batch, z, key)
        return generator_loss, discriminator_loss + slope(theta, phi, batch, z, key)

    own = seeded_game(with_slope, other_penalty=slope).replace(gradient_penalty=0.3)
    plain = seeded_game().replace(gradient_penalty=0.3)
    one, two = (g.backend.velocity(g.backend.point, g.backend.draw(0, 64), g.change) for g in (own, plain))
    np.testing.assert_allclose(one.discriminator, two.discriminator, atol=1e-12)
    measured = [measure(g, DiagnoseSettings(**SMALL), seed=0) for g in (own, plain)]
    ends = [np.linalg.eigvals(m.without_penalty).real.min() for m in measured]
    assert ends[0] == pytest.approx(ends[1], rel=1e-6)


def _probed(game):
    return {probe.id: probe for probe in gs.probes(game)}


def test_probes_of_a_healthy_game(game):
    found = _probed(game)
    assert list(found) == [f"T{k}" for k in range(1, 13)]
    assert {probe.status for name, probe in found.items() if name != "T11"} == {"ok"}
    assert found["T11"].status == "warning"


def test_probe_of_detached_samples():
    assert _probed(seeded_game(detached))["T1"].status == "error"


def test_probe_of_a_discriminator_that_the_generator_does_not_see():
    def blind(theta, phi, batch, z, key):
        return nonsaturating(theta, jax.lax.stop_gradient(phi), batch, z, key)[0], nonsaturating(
            theta, phi, batch, z, key
        )[1]

    found = _probed(seeded_game(blind))["T1"]
    assert found.status == "error"
    assert "discriminator's parameters" in found.message


def test_probe_of_losses_with_noise_of_their_own():
    state = np.random.default_rng(0)

    def noisy(theta, phi, batch, z, key):
        drawn = jax.pure_callback(lambda: np.asarray(state.standard_normal()), jax.ShapeDtypeStruct((), z.dtype))
        g, d = nonsaturating(theta, phi, batch, z, key)
        return g * (1 + 0.1 * jax.lax.stop_gradient(drawn)), d

    game = seeded_game(noisy)
    assert _probed(game)["T2"].status == "error"
    with pytest.raises(gs.TrapError, match="take all noise from `key`"):
        gs.diagnose(game, **SMALL)


def test_noise_from_the_key_is_no_trap():
    def noisy(theta, phi, batch, z, key):
        return nonsaturating(theta, phi, batch + 0.1 * jax.random.normal(key, batch.shape), z, key)

    assert _probed(seeded_game(noisy))["T2"].status == "ok"


def test_probe_of_a_loss_without_a_second_derivative():
    @jax.custom_vjp
    def odd(x):
        return jnp.sum(x**2)

    odd.defvjp(lambda x: (odd(x), x), lambda x, g: (2 * g * x,))

    def with_odd(theta, phi, batch, z, key):
        g, d = nonsaturating(theta, phi, batch, z, key)
        return g, d + 1e-3 * odd(phi[0][0])

    found = _probed(seeded_game(with_odd))["T8"]
    assert found.status in ("error", "ok")  # forward over reverse works through custom rules in some versions
    if found.status == "error":
        assert "the discriminator's loss has no second derivative" in found.message


def _scalar_game(losses, latents=1, **options):
    """Samples theta + z / 10, scores phi . (x, x^2)."""
    given = dict(generator=lambda t, z: t + 0.1 * z, discriminator=_moments, train_batch_size=16) | options
    data = given.pop("data", np.random.default_rng(0).normal(size=(50, 1)))
    return gs.RealGame(losses, np.array(0.5), np.array([0.2, -0.3]), gs.UpdateRule(), data, latents, **given)


def _moments(phi, x):
    return phi[0] * x[:, 0] + phi[1] * x[:, 0] ** 2


def test_low_precision_inside_the_losses_is_no_detachment():
    """Of numbers with eight bits differences are zeros and steps: they cannot say that samples are detached."""

    def narrow(phi, x):
        return _moments(phi.astype(jnp.bfloat16), x.astype(jnp.bfloat16)).astype(jnp.float32)

    def losses(theta, phi, batch, z, key):
        fake, real = narrow(phi, theta + 0.1 * z), narrow(phi, batch)
        return jnp.exp(-fake).mean(), jnp.exp(-real).mean() + jnp.exp(fake).mean()

    found = _probed(_scalar_game(losses))
    assert found["T1"].status == "ok"
    assert (found["T7"].status, found["T8"].status) == ("warning", "skipped")
    assert "bfloat16" in found["T7"].message


def test_noise_may_be_drawn_in_low_precision():
    @jax.jit
    def losses(theta, phi, batch, z, key):
        fake = _moments(phi, theta + 0.1 * z + 0.1 * jax.random.uniform(key, z.shape, jnp.float32))
        return -fake.mean(), fake.mean() - _moments(phi, batch).mean()

    def narrowing(theta, *others):
        return losses(theta.astype(jnp.float32), *others)

    assert loss_precision(_scalar_game(losses).backend) == np.float64
    assert loss_precision(_scalar_game(narrowing).backend) == np.float32


def test_constants_beside_latents_and_narrow_data():
    def losses(theta, phi, batch, z, key):
        fake = _moments(phi, theta + z["scale"] * z["z"])
        return -fake.mean(), fake.mean() - _moments(phi, batch).mean()

    game = _scalar_game(
        losses,
        lambda key, n: {"scale": np.array(0.1), "z": jax.random.normal(key, (n, 1))},
        generator=lambda t, z: t + z["scale"] * z["z"],
        data=lambda key, n: jax.random.normal(key, (n, 1), jnp.bfloat16),
    )
    backend, draw = game.backend, game.backend.draw(0, 7)
    assert draw.batch.dtype == np.float64
    slopes, bends = backend.score_slopes(backend.point, draw)
    assert slopes == pytest.approx(np.abs(0.2 - 0.6 * draw.batch[:, 0]))
    assert bends == pytest.approx(np.full(7, -0.6))
    gradients = backend.output_gradients(backend.point.generator, draw.latents, np.ones(1))
    assert gradients == pytest.approx(np.ones((7, 1)))


def test_probe_of_a_player_without_gradient():
    def flat(theta, phi, batch, z, key):
        g, d = nonsaturating(theta, phi, batch, z, key)
        return 0.0 * g, d

    assert _probed(seeded_game(flat))["T10"].status == "warning"


def test_what_is_not_linearised_is_told():
    game = seeded_game(gradient_clipping=True, averaged_generator=True)
    found = _probed(game)["T12"]
    assert found.status == "warning"
    assert "gradient clipping is not linearised" in found.message
    told = gs.diagnose(game, **SMALL, fork_iterations=0)
    assert any("gradient clipping" in sentence for sentence in told.assumptions)


def test_weights_that_are_not_finite_are_a_verdict():
    generator, discriminator, data, _ = seeded()
    generator[0][0][0, 0] = np.nan
    rule = gs.UpdateRule()
    game = gs.RealGame(
        nonsaturating, generator, discriminator, rule, data, 4,
        generator=perceptron, discriminator=scores, train_batch_size=16,
    )  # fmt: skip
    found = gs.diagnose(game)
    assert (found.outcome, found.detail) == ("diverged", "nonfinite")
    assert not found.measurements
    assert found.to_dict()["prediction"]["predicted_wander"]["median"] == "nan"


def test_losses_that_are_not_finite_are_a_verdict():
    def infinite(theta, phi, batch, z, key):
        g, d = nonsaturating(theta, phi, batch, z, key)
        return g, d + jnp.log(jnp.zeros(()))

    assert gs.diagnose(seeded_game(infinite), **SMALL).outcome == "diverged"


@pytest.mark.parametrize(
    "losses, message",
    [
        (lambda theta, phi, batch, z, key: nonsaturating(theta, phi, batch, z, key)[0], "two scalars"),
        (lambda theta, phi, batch, z, key: (scores(phi, batch), scores(phi, batch).sum()), "scalar"),
        (lambda theta, phi: (0.0, 0.0), "losses"),
    ],
)
def test_losses_of_the_wrong_shape(losses, message):
    with pytest.raises(gs.ParameterError, match=message):
        seeded_game(losses)


def test_what_a_game_is_made_of_is_checked():
    generator, discriminator, data, _ = seeded()
    rule = gs.UpdateRule()

    def made(theta=generator, phi=discriminator, **changes):
        given = dict(losses=nonsaturating, rule=rule, data=data, latents=4) | changes
        losses, own_rule, rows, size = (given.pop(k) for k in ("losses", "rule", "data", "latents"))
        return gs.RealGame(losses, theta, phi, own_rule, rows, size, **given)

    with pytest.raises(gs.ParameterError, match="floating-point arrays only"):
        made(theta=[np.arange(3)])
    with pytest.raises(gs.ParameterError, match="shared parameters: not a two-player game"):
        made(phi=[*discriminator, generator[0]])
    with pytest.raises(gs.ParameterError, match=r"gs\.UpdateRule"):
        made(rule="adam")
    with pytest.raises(gs.ParameterError, match="losses"):
        made(losses=None)
    with pytest.raises(gs.ParameterError, match="one row per sample"):
        made(data="rows")
    with pytest.raises(gs.ParameterError, match=r"samples of type int64.*floating-point"):
        made(data=np.arange(40).reshape(20, 2), discriminator=scores)
    with pytest.raises(gs.ParameterError, match="latents"):
        made(latents=0)
    with pytest.raises(gs.ParameterError, match="gamma"):
        made(gamma=-1.0)
    with pytest.raises(gs.ParameterError, match="penalty"):
        made(penalty="r2")
    with pytest.raises(gs.ParameterError, match="one number per parameter, 242"):
        made(rule=gs.UpdateRule(generator=gs.Player("adam", 1e-3, second_moment=np.ones(5))))
    with pytest.raises(gs.ParameterError, match="train_batch_size"):
        gs.diagnose(made())
    with pytest.raises(gs.ParameterError, match=r"a gs\.RealGame"):
        gs.diagnose("game")
    with pytest.raises(gs.NotApplicable, match="cannot be written to JSON"):
        gs.to_json(made())


@pytest.mark.parametrize(
    "player, message",
    [
        (dict(kind="lion"), "one of adam, momentum, rmsprop, sgd"),
        (dict(learning_rate=0.0), "learning_rate"),
        (dict(learning_rate=True), "learning_rate = True"),
        (dict(learning_rate="0.1"), "learning_rate = '0.1'"),
        (dict(learning_rate=np.nan), "learning_rate"),
        (dict(kind="momentum", momentum=1.0), r"momentum = 1.0: expected a number in \[0, 1\)"),
        (dict(kind="adam", beta1=-0.1), "beta1"),
        (dict(kind="adam", beta2=1.0), r"beta2 = 1.0: expected a number in \(0, 1\)"),
        (dict(eps=-1.0), "eps"),
        (dict(step=-1), "step"),
    ],
)
def test_bad_players(player, message):
    with pytest.raises(gs.ParameterError, match=message):
        gs.Player(**player)


def test_a_game_without_a_generator_reports_spectra_alone():
    game = seeded_game(generator=None)
    found = gs.diagnose(game, **SMALL)
    assert (found.outcome, found.detail) == ("undecided", "no_score")
    assert len(found.report["spectrum"]["sigma"]) == 6
    assert found.report["samples"] is None
    assert not found.what_if


def test_a_game_without_a_discriminator_has_no_penalty_to_vary():
    game = seeded_game(discriminator=None)
    found = gs.diagnose(game, **SMALL)
    assert found.gamma_sweep is None
    with pytest.raises(gs.ParameterError, match="neither a unit penalty nor a discriminator"):
        game.replace(gradient_penalty=1.0)


def test_a_report_is_strict_json_and_comes_back(game, tmp_path):
    import json

    found = gs.diagnose(game, **SMALL, fork_iterations=0)
    found.save(tmp_path / "report.json")
    told = json.loads((tmp_path / "report.json").read_text(), parse_constant=lambda name: pytest.fail(name))
    assert told == found.to_dict()
    assert told["verdict"]["outcome"] == str(found.outcome)
    assert str(found).startswith(str(found.outcome))


def test_advice_is_told_in_the_convention_that_was_asked_for(game):
    half, full = (str(gs.diagnose(game, **SMALL, fork_iterations=0, convention=c)) for c in ("half", "full"))
    first, second = (re.search(r"gradient_penalty = (\S+) .*?\[(\S+) ", text).groups() for text in (half, full))
    assert first == second[::-1]
    assert float(first[0]) == pytest.approx(2 * float(first[1]), rel=1e-3)


def test_history_of_a_run_counts_from_forty_records_on(game):
    run = gs.simulate(game, level="training", iterations=100, save_at=list(range(0, 101, 2)))
    found = gs.diagnose(game, **SMALL, fork_iterations=0, history=run)
    observed = found.report["prediction"]["observed_wander"]
    assert found.score == pytest.approx(np.sqrt(found.predicted_wander * observed), rel=1e-6)
    short = gs.diagnose(game, **SMALL, fork_iterations=0, history=run.isel(time=slice(0, 20)))
    assert short.score == pytest.approx(found.predicted_wander)
    with pytest.raises(gs.ParameterError, match="history"):
        gs.diagnose(game, **SMALL, history=gs.simulate(gs.DiracGAN(), level="flow", horizon=1.0))


def test_advice_is_raced_against_the_given_penalty():
    wild = ring_game(rate=1e-2)
    found = gs.diagnose(wild, **SMALL, fork_iterations=20, fork_seeds=2)
    forks = found.verification["forks"]
    if any(one.parameter == "gradient_penalty" for one in found.advice):
        assert [arm["name"] for arm in forks["arms"]] == ["given", "advised", "reference"]
        assert all(len(arm["scores"]) == 2 for arm in forks["arms"])
        assert found.advice[0].verification == forks["verdict"]


def test_out_of_memory_halves_the_batch_twice_and_then_estimates(game):
    tried = []

    def greedy(settings):
        tried.append(settings.batch_size)
        raise RuntimeError("RESOURCE_EXHAUSTED: out of memory")

    with pytest.raises(MemoryError, match="GiB"):
        within_memory(greedy, DiagnoseSettings(), game)
    assert tried == [512, 256, 128]
    assert within_memory(lambda s: s.batch_size, DiagnoseSettings(), game)[0] == 512
    with pytest.raises(RuntimeError, match="something else"):
        within_memory(lambda s: (_ for _ in ()).throw(RuntimeError("something else")), DiagnoseSettings(), game)


def test_trees_of_other_libraries(game):
    """Equinox modules, partitioned; dictionaries of dictionaries as Flax has them; optax's moments as trees."""
    import equinox as eqx

    keys = jax.random.split(jax.random.key(0))
    modules = [eqx.nn.MLP(4, 2, 8, 1, key=keys[0]), eqx.nn.MLP(2, "scalar", 8, 1, key=keys[1])]
    (theta, static_g), (phi, static_d) = (eqx.partition(module, eqx.is_inexact_array) for module in modules)

    def generate(parameters, z):
        return jax.vmap(eqx.combine(parameters, static_g))(z)

    def score(parameters, x):
        return jax.vmap(eqx.combine(parameters, static_d))(x)

    def losses(theta, phi, batch, z, key):
        fake, real = score(phi, generate(theta, z)), score(phi, batch)
        return jax.nn.softplus(-fake).mean(), jax.nn.softplus(-real).mean() + jax.nn.softplus(fake).mean()

    rule = gs.UpdateRule(
        generator=gs.Player("adam", 1e-3, second_moment=jax.tree.map(jnp.ones_like, theta), step=100),
        discriminator=gs.Player("sgd", 1e-2),
    )
    own = gs.RealGame.from_jax(
        losses, theta, phi, rule, ring_data, 4, generator=generate, discriminator=score, train_batch_size=16
    )
    assert own.backend.sizes == (4 * 8 + 8 + 8 * 2 + 2, 2 * 8 + 8 + 8 + 1)
    assert gs.diagnose(own, **SMALL, fork_iterations=0).outcome in list(gs.Outcome)


def test_a_loss_that_is_detached_in_part_is_refused():
    def partly(theta, phi, batch, z, key):
        whole, cut = nonsaturating(theta, phi, batch, z, key), detached(theta, phi, batch, z, key)
        return whole[0], 0.8 * whole[1] + 0.2 * cut[1]

    assert _probed(seeded_game(partly))["T1"].status == "error"


def test_losses_that_break_down_on_larger_batches_are_a_verdict():
    def fragile(theta, phi, batch, z, key):
        g, d = nonsaturating(theta, phi, batch, z, key)
        return g, d * (np.nan if len(batch) > 64 else 1.0)

    game = seeded_game(fragile, train_batch_size=80)
    assert gs.diagnose(game, modes=4, batch_size=64, batches=1, noise_batches=4).outcome == "diverged"
    assert gs.diagnose(game, modes=4, batch_size=128, batches=1, noise_batches=4).outcome == "diverged"
    assert gs.predict(game).outcome == "diverged"


def test_order_and_discriminator_steps_change_together():
    game = seeded_game(rule=gs.UpdateRule("simultaneous"))
    changed = game.replace(discriminator_steps=5, order="alternating")
    assert (changed.order, changed.discriminator_steps) == ("alternating", 5)


def test_counts_of_optax_are_steps():
    assert gs.Player("adam", 1e-3, step=jnp.asarray(7)).step == 7
    with pytest.raises(gs.ParameterError, match="step"):
        gs.Player("adam", 1e-3, step=jnp.asarray([7]))
    with pytest.raises(gs.ParameterError, match="learning_rate"):
        gs.Player("sgd", "x")


def test_second_moments_that_say_nothing_are_estimated():
    def with_moments(second):
        player = gs.Player("adam", 1e-3, second_moment=second, step=100)
        return ring_game(rule=gs.UpdateRule(generator=player, discriminator=gs.Player("sgd", 1e-3)))

    sizes = ring_game().backend.sizes
    assert _probed(with_moments(np.zeros(sizes.generator)))["T11"].status == "warning"
    assert _probed(with_moments(np.ones(sizes.generator)))["T11"].status == "ok"
    with pytest.raises(gs.ParameterError, match="second_moment"):
        gs.predict(with_moments(-np.ones(sizes.generator)))


def test_a_first_moment_alone_starts_afresh():
    """Without second moments its steps would be divided by zero."""
    sizes = ring_game().backend.sizes
    player = gs.Player("adam", 1e-3, first_moment=np.ones(sizes.generator))
    plain = gs.UpdateRule(generator=gs.Player("adam", 1e-3), discriminator=gs.Player("sgd", 1e-3))
    runs = [
        gs.simulate(ring_game(rule=rule), level="training", iterations=3)["generated_points"]
        for rule in (plain, plain.replace(generator=player))
    ]
    np.testing.assert_array_equal(*runs)


def test_very_large_seeds_are_seeds(game):
    found = gs.diagnose(game, **SMALL, fork_iterations=2, seed=2**64 - 1)
    assert found.outcome in list(gs.Outcome)


def test_a_history_is_of_the_game_s_own_samples(game):
    with pytest.raises(gs.ParameterError, match="samples with 7 axes"):
        gs.diagnose(game, **SMALL, fork_iterations=0, history=np.zeros((50, 16, 7)))
    run = gs.simulate(game, level="training", iterations=2, replicas=2)
    with pytest.raises(gs.ParameterError, match="one run: select"):
        gs.diagnose(game, **SMALL, fork_iterations=0, history=run)


def test_classes_of_the_data_tell_soft_coverage(game):
    found = gs.diagnose(game, **SMALL, fork_iterations=0, labels=lambda batch: np.arctan2(*batch.T) > 0)
    assert 0 < found.report["samples"]["soft_coverage"] <= 1


def _loaded(run, path):
    return gs.load(gs.save(run, path))


def test_a_run_that_was_read_from_a_file_is_judged_and_compared_like_the_run(game, tmp_path):
    run = gs.simulate(game, level="training", iterations=20)
    read = _loaded(run, tmp_path / "run.zarr")
    assert gs.classify(read) == gs.classify(run)
    for one, other in ((run, read), (read, run), (read, read)):
        assert gs.compare(one, other).attrs["summary"]["spread"]["largest"] == 0
    assert len(gs.plot([run, read]).axes) == 4
    changed = gs.simulate(game.replace(gradient_penalty=0.3), level="training", iterations=20)
    for one in (run, read):
        with pytest.raises(gs.ParameterError, match=r"another game \(gradient_penalty = 0.3\)"):
            gs.compare(one, changed)
    with pytest.raises(gs.NotApplicable, match="neither the functions nor the weights"):
        game.recorded().predict()
    with pytest.raises(gs.NotApplicable):
        gs.to_json(game)


def test_cells_that_were_read_from_a_file_are_those_of_the_batch(game, tmp_path):
    over = {"gradient_penalty": [0.1, 0.3], "discriminator_steps": [1, 2]}
    runs = gs.simulate_many(game, over, level="training", iterations=10)
    read = _loaded(runs, tmp_path / "runs.zarr")
    assert list(gs.classify_many(read).outcome.values) == list(gs.classify_many(runs).outcome.values)
    one, other = read.isel(cell=1), runs.isel(cell=1)
    assert gs.classify(one) == gs.classify(other)
    assert gs.compare(one, other).attrs["summary"]["spread"]["largest"] == 0
    with pytest.raises(gs.ParameterError, match="another game"):
        gs.compare(one, runs.isel(cell=0))


def test_a_record_follows_the_what_ifs_of_its_game():
    sgd = ring_game("sgd", 0.1)
    for changes in (
        dict(momentum=0.5), dict(gradient_penalty=0.1 + 0.2), dict(generator_lr=0.3), dict(order="simultaneous"),
        dict(discriminator_steps=3), dict(train_batch_size=64),
    ):  # fmt: skip
        real, record = sgd.replace(**changes), sgd.recorded().replace(**changes)
        assert real == record
        assert record == real
        assert hash(real) == hash(record)
        assert real != sgd.recorded()
        assert record.rule.generator.kind == real.rule.generator.kind


def _global_streams():
    return str(np.random.get_state()), random.getstate()  # noqa: NPY002


def _noisy(theta, phi, batch, z, key):
    return nonsaturating(theta, phi, batch + np.random.normal(size=batch.shape), z, key)  # noqa: NPY002


def _random_weight(theta, phi, batch, z, key):
    generator_loss, discriminator_loss = nonsaturating(theta, phi, batch, z, key)
    return random.random() * generator_loss, discriminator_loss


_OWN = np.random.default_rng(0)


def _own_noise(theta, phi, batch, z, key):
    generator_loss, discriminator_loss = nonsaturating(theta, phi, batch, z, key)
    return generator_loss, discriminator_loss * _OWN.random()


@pytest.mark.parametrize("losses", [_noisy, _random_weight, _own_noise, jax.jit(_noisy)])
def test_randomness_that_compilation_would_freeze(losses):
    before = _global_streams()
    name, _, status, message = jax_probes(seeded_game(losses).backend)[0]
    assert (name, status) == ("T2", "error")
    assert "`losses`" in message
    assert _global_streams() == before


def test_frozen_randomness_stops_a_diagnosis():
    before = _global_streams()
    with pytest.raises(gs.TrapError, match="take all noise from `key`"):
        gs.diagnose(seeded_game(_noisy), **SMALL, fork_iterations=0)
    assert _global_streams() == before


def test_randomness_from_the_key_and_loops_are_no_hidden_randomness():
    def losses(theta, phi, batch, z, key):
        def louder(k, noisy):
            return noisy + 0.1 * jax.random.normal(jax.random.fold_in(key, k), batch.shape)

        return nonsaturating(theta, phi, jax.lax.fori_loop(0, 3, louder, batch), z, key)

    assert jax_probes(seeded_game(losses).backend)[0][2] == "ok"


def _with_data(data, latents=4):
    generator, discriminator, _, _ = seeded()
    given = dict(generator=perceptron, discriminator=scores, train_batch_size=16)
    return gs.RealGame(nonsaturating, generator, discriminator, gs.UpdateRule(), data, latents, **given)


def test_data_of_a_global_random_state_are_seeded_and_told():
    points = seeded()[2]
    before = _global_streams()
    own = _with_data(lambda key, n: points[np.random.randint(64, size=n)])  # noqa: NPY002
    name, _, status, message = jax_probes(own.backend)[0]
    assert (name, status) == ("T2", "warning")
    assert "`data`" in message
    first, second = own.backend.draws(0, 16, 2)
    assert np.any(first.batch != second.batch)
    np.testing.assert_array_equal(own.backend.draw(5, 16).batch, own.backend.draw(5, 16).batch)
    gs.simulate(own, level="training", iterations=3)
    assert _global_streams() == before
    _, _, status, message = jax_probes(_with_data(lambda key, n: points[_OWN.integers(64, size=n)]).backend)[0]
    assert (status, "`data`" in message) == ("error", True)


def test_data_and_latents_of_a_fixed_number_of_rows_are_refused():
    points, latents = seeded()[2], seeded()[3]
    for data in (lambda key, n: points, lambda key, n: (points, points[:, 0]), lambda key, n: {"x": points, "w": 2.0}):
        with pytest.raises(gs.ParameterError, match=r"data = .*64 rows"):
            _with_data(data)
    with pytest.raises(gs.ParameterError, match=r"latents = .*64 rows"):
        _with_data(ring_data, lambda key, n: latents)
    short = _with_data(lambda key, n: points[:n])
    with pytest.raises(gs.ParameterError, match=r"data = .*64 rows where n = 128"):
        short.backend.draw(0, 128)


def test_checkpoints_that_are_none(game, tmp_path):
    sizes = game.backend.sizes
    np.save(tmp_path / "single.npy", np.zeros(3))
    text = np.full(sizes.generator, "a")
    np.savez(tmp_path / "text.npz", generator=text, discriminator=np.zeros(sizes.discriminator))
    for name in ("single.npy", "text.npz"):
        with pytest.raises(gs.ParameterError, match="checkpoint"):
            game.load_checkpoint(tmp_path / name)
    np.savez(tmp_path / "good.npz", generator=np.zeros(sizes.generator), discriminator=np.zeros(sizes.discriminator))
    assert not np.any(game.load_checkpoint(tmp_path / "good.npz").backend.point.generator)
