"""The suite of the diagnosis: training by the user's rule, observed classes, scores, and a folder that resumes."""

import dataclasses
import itertools
import json
import math

import jax
import numpy as np
import pytest

import ganscope as gs
from ganscope.claims.suite import advice_scores, statistics, verdict_scores
from ganscope.claims.suite.calibrate import calibrated
from ganscope.claims.suite.distribution import AXES, configuration
from ganscope.claims.suite.folder import ADVICE, VERDICT, Folder, read_units, write_unit
from ganscope.claims.suite.games import PAIRS, game_of, losses_of, outputs_of
from ganscope.claims.suite.labels import energy_distance, observe, soft_coverage
from ganscope.claims.suite.tables import report
from ganscope.claims.suite.targets import target
from ganscope.core.game import Players
from ganscope.diagnose.backend import Draw
from ganscope.diagnose.change import Change
from ganscope.diagnose.instruments.measurement import Measurement
from ganscope.diagnose.jax_functions.backend import JaxBackend
from ganscope.diagnose.jax_functions.programs import Program, flatten, own_samples, structure_of
from ganscope.diagnose.rule import Player, UpdateRule
from ganscope.diagnose.theory.hyper_parameters import Baseline, features
from ganscope.diagnose.theory.validated import outside
from ganscope.diagnose.training import Memory, TrainingRequest

GENERATOR_SIZES, DISCRIMINATOR_SIZES = (3, 5, 2), (2, 5, 1)


def layers(sizes, seed):
    rng = np.random.default_rng(seed)
    return [(rng.normal(size=(a, b)) / np.sqrt(a), 0.1 * rng.normal(size=b)) for a, b in itertools.pairwise(sizes)]


def network(parameters, x):
    for weights, biases in parameters[:-1]:
        x = jax.numpy.tanh(x @ weights + biases)
    return x @ parameters[-1][0] + parameters[-1][1]


def scores(phi, x):
    return network(phi, x)[:, 0]


def losses(theta, phi, batch, z, key):
    fake = scores(phi, network(theta, z))
    return jax.nn.softplus(-fake).mean(), jax.nn.softplus(-scores(phi, batch)).mean() + jax.nn.softplus(fake).mean()


def seeded(key):
    return np.random.default_rng(np.asarray(jax.random.key_data(key)).tolist())


@pytest.fixture(scope="module")
def backend():
    theta, phi = layers(GENERATOR_SIZES, 1), layers(DISCRIMINATOR_SIZES, 2)
    program = Program(
        losses, network, scores, "r1", None, own_samples, structure_of("theta", theta), structure_of("phi", phi)
    )
    point = Players(flatten(theta), flatten(phi))
    data, latents = (lambda key, n: seeded(key).normal(size=(n, 2))), (lambda key, n: seeded(key).normal(size=(n, 3)))
    return JaxBackend(program, point, data, latents, dtype=np.float64)


def request(backend, rule, records, **options):
    values = {"batch_size": 16, "seed": 3, "start": backend.point, "memory": None, "change": Change()}
    return TrainingRequest(
        rule=rule, record_at=np.array(records), latents=backend.latents(9, 6), **{**values, **options}
    )


class Recorded:
    """A backend whose minibatches are kept, to train with them by other means."""

    def __init__(self, backend):
        self.kept, self._backend = [], backend

    def __getattr__(self, name):
        return getattr(self._backend, name)

    def draw(self, seed, count):
        self.kept.append(self._backend.draw(seed, count))
        return self.kept[-1]


def minibatch(recorded, inner, iteration, size):
    whole, rows = recorded.kept[inner], slice(iteration * size, (iteration + 1) * size)
    return Draw(whole.batch[rows], whole.latents[rows], jax.random.split(whole.key, 60)[iteration])


def test_steps_are_those_of_the_torch_optimizers(backend):
    torch = pytest.importorskip("torch")
    adam = Player("adam", 0.02, beta1=0.5, beta2=0.9)
    cases = {
        "sgd": (Player("sgd", 0.3), lambda p: torch.optim.SGD([p], lr=0.3)),
        "momentum": (Player("momentum", 0.1, momentum=0.8), lambda p: torch.optim.SGD([p], lr=0.1, momentum=0.8)),
        "adam": (adam, lambda p: torch.optim.Adam([p], lr=0.02, betas=(0.5, 0.9))),
        "rmsprop": (
            Player("rmsprop", 0.02, beta2=0.9, momentum=0.3),
            lambda p: torch.optim.RMSprop([p], lr=0.02, alpha=0.9, momentum=0.3),
        ),
    }
    from ganscope.diagnose.jax_functions.training import train

    for order, steps in (("alternating", 1), ("alternating", 3), ("simultaneous", 1)):
        for name, (player, optimizer) in cases.items():
            recorded = Recorded(backend)
            rule = UpdateRule(order, steps, player, player)
            found = train(recorded, request(backend, rule, [0, 7], change=Change(added=0.4)))
            theta, phi = (torch.tensor(np.array(part), requires_grad=True) for part in backend.point)
            optimizers = optimizer(theta), optimizer(phi)

            def gradient(which, draw, seen=None, theta=theta, phi=phi):
                point = Players(theta.detach().numpy(), phi.detach().numpy() if seen is None else seen)
                return torch.tensor(-backend.velocity(point, draw, Change(added=0.4))[which])

            for k in range(7):
                before = phi.detach().numpy().copy()
                for inner in range(steps):
                    phi.grad = gradient(1, minibatch(recorded, 1 + inner, k, 16))
                    optimizers[1].step()
                theta.grad = gradient(0, minibatch(recorded, 0, k, 16), before if order == "simultaneous" else None)
                optimizers[0].step()
            # both in float64; Adam's denominators are formed in another order
            assert np.allclose(found.point.generator, theta.detach().numpy(), atol=1e-11), (name, order, steps)
            assert np.allclose(found.point.discriminator, phi.detach().numpy(), atol=1e-11), (name, order, steps)
            assert found.memory.steps == (7, 7 * steps)


def test_training_in_two_stretches_with_its_memory_follows_the_same_law(backend):
    rule = UpdateRule("alternating", 2, Player("adam", 0.01, beta1=0.9), Player("adam", 0.02, beta1=0.5))
    first = backend.train(request(backend, rule, [0, 60]))
    # minibatches are keyed by the iteration since the start of a request, so the second stretch repeats the first's
    again = backend.train(request(backend, rule, [0, 60], start=first.point, memory=first.memory))
    fresh = backend.train(request(backend, rule, [0, 60], start=first.point))
    assert again.memory.steps == (120, 240)
    assert fresh.memory.steps == (60, 120)
    assert not np.allclose(again.point.generator, fresh.point.generator)
    assert np.array_equal(again.outputs[0], first.outputs[-1])


def test_minibatches_depend_on_the_seed_and_neither_on_rule_nor_on_change(backend):
    seen = {}
    for steps, change in ((1, Change()), (3, Change(added=1.0))):
        recorded = Recorded(backend)
        from ganscope.diagnose.jax_functions.training import train

        train(recorded, request(backend, UpdateRule(discriminator_steps=steps), [0, 61], change=change))
        seen[steps] = recorded.kept
    assert np.array_equal(seen[1][0].batch, seen[3][0].batch)  # the generator's
    assert np.array_equal(seen[1][1].latents, seen[3][1].latents)  # the first discriminator step's
    assert not np.array_equal(seen[3][1].batch, seen[3][2].batch)
    assert not np.array_equal(seen[1][0].batch, seen[1][2].batch)  # the next chunk


def test_records_fall_on_any_iteration_and_a_longer_run_begins_like_a_shorter_one(backend):
    rule = UpdateRule("alternating", 5, Player("sgd", 0.1), Player("sgd", 0.1))
    few, many = (backend.train(request(backend, rule, records)) for records in ([0, 130], [0, 1, 7, 59, 60, 61, 130]))
    assert many.outputs.shape == (7, 6, 2)
    assert np.allclose(few.outputs[-1], many.outputs[-1], rtol=0, atol=1e-12)  # other cuts, the same steps
    assert np.allclose(few.point.discriminator, many.point.discriminator, rtol=0, atol=1e-12)
    assert np.all(np.isfinite(many.gradient_norms))
    assert np.all(many.gradient_norms[1:] > 0)


def test_a_run_that_breaks_down_ends_early_with_its_history(backend):
    def exploding(theta, phi, batch, z, key):
        made = network(theta, z)
        return -(made**2).mean() * 1e6, (phi[-1][1] ** 2).sum()

    bad = JaxBackend(
        dataclasses.replace(backend.program, losses=exploding), backend.point, backend._data, backend._latents
    )
    found = bad.train(request(bad, UpdateRule(generator=Player("sgd", 1.0)), [0, 20, 40, 60]))
    assert not found.finite
    assert np.all(np.isfinite(found.outputs[0]))
    assert np.all(np.isnan(found.outputs[-1]))


# The distribution -----------------------------------------------------------------------------------------------------


def test_a_configuration_is_a_pure_function_of_seed_axis_and_number():
    assert configuration(4, 7) == configuration(4, 7)
    assert configuration(4, 7) != configuration(5, 7)
    assert configuration(4, 7, "scale") != configuration(4, 7)
    with pytest.raises(gs.ParameterError, match="Did you mean 'width'"):
        configuration(0, 0, "widht")


def test_the_distribution_is_the_stated_one():
    drawn = [configuration(1, k) for k in range(2000)]
    share = lambda of: np.mean([bool(of(c)) for c in drawn])
    # shares of 2000 scatter by at most 0.011; four of that
    for of, wanted in (
        (lambda c: c.data == "ring", 0.5),
        (lambda c: c.data == "digits", 0.25),
        (lambda c: c.loss == "wgan", 0.25),
        (lambda c: c.optimizer == "adam", 0.5),
        (lambda c: c.gamma == 0, 0.2),
        (lambda c: c.gamma >= 1, 0.3),
        (lambda c: c.discriminator_steps == 5, 0.2),
        (lambda c: c.order == "simultaneous", 0.18),
        (lambda c: c.penalty == "slope1", 0.075),
        (lambda c: c.width == 48, 0.5),
        (lambda c: c.activation == "tanh", 0.5),
    ):
        assert abs(share(of) - wanted) < 0.045, wanted
    adam = [math.log10(math.sqrt(c.generator_lr * c.discriminator_lr)) for c in drawn if c.optimizer == "adam"]
    assert -3.7 <= min(adam) < -3.68
    assert -2.02 < max(adam) <= -2
    ratios = [math.log10(c.discriminator_lr / c.generator_lr) for c in drawn]
    assert -0.6 <= min(ratios) < -0.59
    assert {c.memory for c in drawn if c.optimizer == "adam"} == {0.0, 0.5, 0.9}
    assert {c.order for c in drawn if c.discriminator_steps > 1} == {"alternating"}


def test_every_axis_changes_what_it_says():
    plain = configuration(3, 0)
    for axis in AXES[1:]:
        drawn = configuration(3, 0, axis)
        told = (
            drawn.width,
            drawn.depth,
            drawn.batch_size,
            drawn.data_scale,
            drawn.network,
            drawn.optimizer,
            drawn.data,
        )
        assert told != (plain.width, 2, 128, 1.0, "mlp", drawn.optimizer, drawn.data) or drawn.optimizer == "rmsprop"


@pytest.mark.parametrize("axis", ["main", "batchnorm", "spectralnorm", "images"])
def test_a_game_of_every_kind_of_network_trains(axis):
    config = dataclasses.replace(
        configuration(3, 0, axis), batch_size=8, width=min(configuration(3, 0, axis).width, 24)
    )
    game = game_of(config)
    there, run = game.train(np.array([0, 2]), 5)
    assert run.outputs.shape == (2, 256, game.target.axes)
    assert run.finite
    assert there.rule.generator.kind == config.optimizer
    assert not np.array_equal(there.backend.point.generator, game.backend.point.generator)


def test_losses_are_the_textbook_ones():
    config = dataclasses.replace(configuration(3, 0), network="mlp", activation="tanh")
    game = game_of(config)
    draw = game.backend.draw(1, 32)
    theta, phi = game.backend.program.trees(*game.backend.point)
    program = game.backend.program
    real = np.asarray(program.discriminator(phi, draw.batch))
    fake = np.asarray(program.discriminator(phi, program.generator(theta, draw.latents)))
    known = {
        "ns": (np.log1p(np.exp(-fake)).mean(), np.log1p(np.exp(-real)).mean() + np.log1p(np.exp(fake)).mean()),
        "wgan": (-fake.mean(), fake.mean() - real.mean()),
        "hinge": (-fake.mean(), np.maximum(0, 1 - real).mean() + np.maximum(0, 1 + fake).mean()),
        "lsgan": (((fake - 1) ** 2).mean() / 2, ((real - 1) ** 2).mean() / 2 + (fake**2).mean() / 2),
    }
    for name, pair in known.items():
        found = losses_of(name, "mlp", "tanh", 0.0)(theta, phi, draw.batch, draw.latents, draw.key)
        assert np.allclose(np.asarray(found, float), pair, rtol=2e-6), name  # float32


def test_a_rounded_hinge_differs_at_its_corners_alone():
    far, corner = np.array([8.0, -8.0]), np.array([1.0])
    for scores in ((far, far), (far, -far), (-far, far)):
        assert np.allclose(PAIRS["rounded hinge"](*scores), PAIRS["hinge"](*scores), atol=1e-8)
    assert np.allclose(PAIRS["rounded hinge"](corner, -corner)[1], 2 * 0.3 * math.log(2))
    game = game_of(dataclasses.replace(configuration(3, 0), loss="hinge", batch_size=8))
    draw = game.backend.draw(0, 64)
    plain, rounded = (
        game.backend.losses(game.backend.point, draw),
        game.rounded().backend.losses(game.backend.point, draw),
    )
    assert plain.generator == rounded.generator
    assert plain.discriminator < rounded.discriminator < plain.discriminator + 2 * 0.3 * math.log(2)


@pytest.mark.parametrize(
    "name, radius", [("ring", math.sqrt(1.02)), ("grid", math.sqrt(4 / 3 + 0.02)), ("digits", math.sqrt(2))]
)
def test_targets_have_their_radius_and_scale(name, radius):
    for scale in (1.0, 10.0):
        goal = target(name, scale)
        assert goal.radius == pytest.approx(scale * radius, rel=1e-12)
        drawn = goal.draw(jax.random.key(0), 20000)
        # variances of 20000 samples scatter by about 1 %
        assert math.sqrt(drawn.var(axis=0).sum()) == pytest.approx(goal.radius, rel=0.02)
        assert soft_coverage(goal.reals, goal.modes) > 0.97


# Labels ---------------------------------------------------------------------------------------------------------------


def records(target_, moved=lambda k: 0.0, spread=1.0, count=40):
    points = target_.reals[:256] - target_.mean
    return np.stack([target_.mean + spread * points + np.array([moved(k), 0.0]) for k in range(count)])


def test_observed_classes():
    ring = target("ring")
    cases = {
        "converged": records(ring, lambda k: 1e-4 * k),
        "oscillating": records(ring, lambda k: 0.3 * math.sin(k)),
        "collapsed": records(ring, spread=0.1),
        "uninformative": records(ring, lambda k: 2.0),
        "undecided": records(ring, lambda k: 0.6 + 0.002 * k),
        "diverged": records(ring, lambda k: 25.0),
    }
    for outcome, outputs in cases.items():
        assert observe(outputs, ring).outcome == outcome
        found = observe(outputs, ring).to_dict()
        assert verdict_scores.outcome_of(found) == outcome
        json.dumps(found, allow_nan=False)
    broken = cases["converged"].copy()
    broken[-1, 0, 0] = np.nan
    assert observe(broken, ring).outcome == "diverged"
    assert observe(broken, ring).score == pytest.approx(math.log(20.01))
    breathing = np.concatenate([records(ring, spread=1 + 0.2 * (k % 2), count=1) for k in range(40)])
    assert observe(breathing, ring).outcome == "oscillating"
    assert verdict_scores.outcome_of(observe(cases["oscillating"], ring).to_dict(), limit=0.5) != "oscillating"


def test_energy_distance_is_the_unbiased_sum_over_pairs():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(7, 3)), rng.normal(size=(9, 3)) + 1
    distance = lambda a, b: np.linalg.norm(a - b)
    between = np.mean([distance(a, b) for a in x for b in y])
    within = [np.mean([distance(a, b) for i, a in enumerate(s) for j, b in enumerate(s) if i != j]) for s in (x, y)]
    assert energy_distance(x, y) == pytest.approx(2 * between - sum(within), rel=1e-9)
    assert energy_distance(x, x) == 0


# Scores ---------------------------------------------------------------------------------------------------------------


def test_areas_and_accuracies_are_those_of_scikit_learn():
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(1)
    truth = rng.random(60) < 0.4
    values = np.round(rng.normal(size=60) + truth, 1)  # with ties
    assert statistics.auc(values, truth) == pytest.approx(metrics.roc_auc_score(truth, values), abs=1e-12)
    known = metrics.balanced_accuracy_score(truth, values > 0.5)
    found = statistics.quality(values, values > 0.5, truth)
    assert found.balanced_accuracy == pytest.approx(known, abs=1e-12)
    assert found.low < known < found.high
    values[:5] = np.inf
    assert 0 <= statistics.auc(values, truth) <= 1
    assert math.isnan(statistics.quality([1.0, 2.0], [True, True], [True, True]).balanced_accuracy)


def test_the_ridge_is_that_of_scikit_learn():
    linear = pytest.importorskip("sklearn.linear_model")
    rng = np.random.default_rng(2)
    features = rng.normal(size=(80, 3)) * (1, 5, 0.1)
    truth = rng.random(80) < 1 / (1 + np.exp(-features[:, 0]))
    scaled = (features - features.mean(axis=0)) / features.std(axis=0)
    known = linear.LogisticRegression(C=1 / 0.7, tol=1e-10).fit(scaled, truth).predict_proba(scaled)[:, 1]
    # ours shrinks the intercept by 1e-6, theirs not at all
    assert np.allclose(statistics._ridge(0.7, features, truth)(features), known, atol=1e-5)


def test_fitted_forecasts_have_not_seen_the_case():
    rng = np.random.default_rng(3)
    chances = statistics.logistic_forecast(rng.normal(size=(60, 12)), rng.random(60) < 0.5)
    truth = np.random.default_rng(3)
    truth.normal(size=(60, 12))
    # noise cannot be forecast: five standard deviations of 0.075 about 1/2 would be 0.88
    assert statistics.auc(chances, truth.random(60) < 0.5) < 0.85


def made_unit(k, good, predicted):
    past = {"records": 6, "wander": 0.01, "observed": {"outcome": "converged"}}
    observed = {"outcome": "converged" if good else "oscillating", "wander": 0.01 if good else 0.5, "breathing": 0.01}
    observed |= {"motion": 0.1, "energy_distance": 0.01, "soft_coverage": 0.9}
    reading = {"predicted_wander": predicted, "gradient_norm": 1.0 + k, "rightmost_reduced": 0.1, "radius_full": None}
    reading |= {"so_far": past, "twin": {"predicted": [0.9, 0.1], "observed": [0.91, 0.1]}, "rightmost": 0.2}
    reading["cheap"] = {"predicted_wander": predicted * 1.1}
    checkpoints = [reading | {"iteration": iteration} for iteration in (20, 100, 400, 1600)]
    config = configuration(1, k).to_dict()
    return {"configuration": config, "observed": observed, "checkpoints": checkpoints, "seconds": {"all": 1.0}}


def made_fork(k, lifts):
    arm = lambda lift: {"score": -lift, "outcome": "converged" if lift > 0 else "oscillating", "soft_coverage": 0.5}
    names = ["given", "0.1 R2", "0.3 R2", "1 R2", "3 R2", "10 R2"]
    arms = {name: arm(lift) for name, lift in zip(names, [0.0, *lifts], strict=True)}
    sweep = {
        "gamma_over_r2": [0.0, 0.1, 0.3, 1.0, 3.0, 10.0],
        "predicted_wander": [1, 1, 1, 0.05 if k % 2 else 1, 1, None],
    }
    return {"alive": True, "advised_unclipped": 3.0, "arms": arms, "race": arms, "sweep": sweep}


def test_verdicts_are_scored():
    units = [made_unit(k, k % 2 == 0, 0.01 if k % 2 == 0 else 1.0) for k in range(24)]
    cases = verdict_scores.cases_at(units, 100)
    table = verdict_scores.qualities(cases)
    assert table[verdict_scores.PREDICTED].balanced_accuracy == 1
    assert table[verdict_scores.RIGHTMOST].balanced_accuracy == 0.5
    assert table[verdict_scores.MAJORITY].auc == 0.5
    assert table[verdict_scores.WANDER].balanced_accuracy == 0.5
    assert verdict_scores.ROUNDED not in table
    for case in cases[:4]:  # of hinges, one of which is wrong with the corners on
        case.reading["rounded"] = {"predicted_wander": case.reading["predicted_wander"]}
    cases[0].reading["predicted_wander"] = 1.0
    table = verdict_scores.qualities(cases)
    assert table[verdict_scores.ROUNDED].balanced_accuracy == 1 > table[verdict_scores.PREDICTED].balanced_accuracy
    cases[0].reading["predicted_wander"] = 0.01
    bins = verdict_scores.calibration(cases)
    assert sum(b.cases for b in bins) == 24
    assert [b.converged for b in bins] == [0, 0, 0, 0, 0, 12]
    cells = verdict_scores.measured_cells(units, [100], 4000)
    assert [(cell.leaning, cell.share, cell.cases) for cell in cells] == [
        ("not converging", 1.0, (12, 12)),
        ("converging", 1.0, (12, 12)),
    ]
    assert all(cell.least == pytest.approx(math.log(5)) and cell.most == math.inf for cell in cells)
    assert verdict_scores.score(0.4, {"records": 39, "wander": 0.1}) == 0.4
    assert verdict_scores.score(0.4, {"records": 40, "wander": 0.1}) == pytest.approx(0.2)
    assert verdict_scores.score(1e9, {"records": 40, "wander": None}) == pytest.approx(10)


def test_the_product_s_calibration_is_that_of_the_units(tmp_path):
    units = [made_unit(k, k % 2 == 0, 0.01 if k % 2 == 0 else 1.0) | {"data_radius": 1.0} for k in range(24)]
    told = calibrated(units)
    assert [(c["leaning"], c["share"], c["cases"]) for c in told["cells"]][:2] == [
        ("not converging", 1.0, 12),
        ("converging", 1.0, 12),
    ]
    assert told["source"].endswith("24 small GANs, seed 1")
    other = [unit | {"configuration": unit["configuration"] | {"seed": 2}} for unit in units]
    assert calibrated(units + other)["source"].endswith("48 small GANs, seeds 1 and 2")
    baseline = told["hyper_parameters"]
    assert len(baseline["weights"]) == len(baseline["names"]) + 1 == len(baseline["centre"]) + 1
    rule = configuration(1, 0).rule
    known = features(rule, 0.0, 1.0)
    chance = Baseline(*(tuple(baseline[name]) for name in ("centre", "scale", "weights"))).chance(known)
    assert 0 < chance < 1
    assert len(calibrated([*units[:4], *units[4:]])["cells"]) == len(told["cells"])
    assert not [c for c in calibrated(units[:8])["cells"] if c["cases"] < 5]


def test_what_the_benchmark_has_covered():
    class Sizes:
        sizes = (1000, 2000)

    usual = Measurement(
        gs.UpdateRule(), np.ones(1), np.zeros((2, 2)), np.zeros((2, 2)), None, 0.0, np.zeros((1, 4, 2)),
        np.zeros((4, 2)), 128, 1.0, (1.0, 1.0), 0.1,
    )  # fmt: skip
    assert outside(Sizes(), [usual]) == ()
    assert outside(Sizes(), []) == ()
    for changed, word in (
        (dict(batch_size=4), "batches of 4"),
        (dict(data_radius=1000.0), "data radius of 1e"),
        (dict(outputs=np.zeros((1, 4, 784))), "samples with 784 axes"),
    ):
        assert word in outside(Sizes(), [usual.replace(**changed)])[0]
    Sizes.sizes = (1000, 10**7)
    assert "10,000,000 parameters" in outside(Sizes(), [usual])[0]


def test_advice_is_scored_against_its_shuffled_control():
    units = [made_fork(k, [0.1, 0.2, 0.3, 1.0, -1.0]) for k in range(10)]
    picks = advice_scores.picks()
    found = advice_scores.fared(units, picks[advice_scores.ADVISED])
    assert (found.lift, found.win, found.lose, found.converged) == (1.0, 1.0, 0.0, 1.0)
    assert advice_scores.fared(units, picks["10 R2"]).lose == 1
    assert advice_scores.fared(units, picks[advice_scores.BEST]).lift == 1
    assert advice_scores.shuffled(units, picks[advice_scores.ADVISED]) == (1.0, 0.0)  # the same advice for all
    cured = advice_scores.what_ifs(units, 1.0)
    assert (cured.cured, cured.not_cured) == (5, 5)
    assert cured.difference == 0
    assert advice_scores.advised_within(0.1, 10.0)({"advised_unclipped": 0.01}) == "0.1 R2"
    assert advice_scores.advised_within(0.3, 10.0)({"advised_unclipped": None}) == "1 R2"


# The folder -----------------------------------------------------------------------------------------------------------


def test_a_folder_resumes_its_own_suite_and_refuses_others(tmp_path):
    folder = Folder(tmp_path / "suite", 3)
    for k in range(12):
        write_unit(folder.path, f"main-{k:04d}", VERDICT, made_unit(k, k % 3 == 0, 0.01 * 4**k))
        write_unit(folder.path, f"main-{k:04d}", ADVICE, made_fork(k, [0.1, 0.2, 0.3, 1.0, -1.0]))
    again = Folder(tmp_path / "suite", 3)
    assert again.has("main-0003", VERDICT)
    assert not again.has("main-0012", VERDICT)
    assert len(read_units(folder.path, VERDICT, ["main"])) == 12
    with pytest.raises(gs.StoreError, match="seed 3"):
        Folder(tmp_path / "suite", 4)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").write_text("")
    with pytest.raises(gs.StoreError, match="no suite"):
        Folder(tmp_path / "other", 3)
    with pytest.raises(gs.StoreError, match="no suite"):
        read_units(tmp_path, VERDICT, ["main"])
    tables = report(folder.path)
    for title in ("Observed classes", "Verdicts", "Calibration", "Further measurements", "Advice", "What-ifs"):
        assert f"### {title}" in tables
    assert "nan" not in tables
    assert tables.startswith("### Observed classes\n\n12 configurations")
    assert report(folder.path, folder.path).startswith("### Observed classes\n\n24 configurations")


def test_stretches_join_without_repeating_a_record():
    game = game_of(dataclasses.replace(configuration(3, 1), batch_size=4))
    middle, first = game.train(np.array([0, 20]), 1)
    _, second = middle.train(np.array([0, 20, 40]), 2)
    joined = outputs_of([first, second])
    assert len(joined) == 4
    assert np.array_equal(first.outputs[-1], second.outputs[0])


def test_memory_is_handed_on(backend):
    rule = UpdateRule("alternating", 1, Player("adam", 0.01), Player("adam", 0.01))
    zeros = Players(*(np.zeros(n) for n in backend.sizes))
    none = backend.train(request(backend, rule, [0, 5]))
    nothing = backend.train(request(backend, rule, [0, 5], memory=Memory(zeros, zeros, Players(0, 0))))
    assert np.array_equal(none.point.generator, nothing.point.generator)
