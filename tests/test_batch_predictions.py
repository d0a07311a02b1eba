"""`predict_many` says of every cell what `predict` says of that cell's own game."""

import math

import numpy as np
import pytest

import ganscope as gs
from ganscope.core.cells import predictions_of
from ganscope.games.dualflow.lq.parts import parts_of
from ganscope.games.dualflow.lq.state import Field, scheme_matrix
from ganscope.games.dualflow.lq.theory import equilibria
from ganscope.games.dualflow.theory.steps import largest_of_modes
from ganscope.games.particle.torus.collapse import critical_mobility
from ganscope.games.solvable import phases
from ganscope.games.solvable.cells import Cells
from ganscope.games.solvable.copying import copying_states
from ganscope.games.solvable.drift import game_drift

CELLS = 24


def random(seed):
    return np.random.default_rng(seed)


def spread(rng, low, high, count=CELLS):
    """Numbers over orders of magnitude."""
    return np.exp(rng.uniform(math.log(low), math.log(high), count))


def assert_many_is_each(game, over, **options):
    """Texts and flags exactly; numbers to 1e-9, which is what another order of summation may change."""
    many = gs.predict_many(game, over, **options)
    rows = [dict(zip(over, row, strict=True)) for row in zip(*over.values(), strict=True)]
    each = predictions_of(gs.predict(game.replace(**row), **options) for row in rows)
    for name in ("outcome", "detail", "near_critical"):
        np.testing.assert_array_equal(many[name].values, getattr(each, name), err_msg=name)
    numbers = {"margin": each.margin, **each.numbers}
    assert set(many.data_vars) == {"outcome", "detail", "near_critical", *numbers}
    for name, expected in numbers.items():
        np.testing.assert_allclose(many[name].values, expected, rtol=1e-9, atol=1e-12, err_msg=name)
    return many


# The solvable GAN.

SOLVABLE = {
    "two features": ({}, ("data_noise", "generator_lr")),
    "one feature": ({"feature_variance": 5.0}, ("data_noise", "discriminator_lr")),
    "weak noise": ({"feature_variance": (7, 0.9)}, ("data_noise", "generator_noise", "generator_lr")),
    "three features": ({"feature_variance": (5, 3, 1)}, ("feature_variance", "data_noise")),
    "soft": ({"regularization": 5.0}, ("regularization", "data_noise", "generator_lr")),
    "unmodelled": ({"latent_variance": (5.0,)}, ("data_noise", "generator_lr")),
    "other latents": ({"feature_variance": (5, 3)}, ("latent_variance", "data_noise")),
    "soft tanh": ({"link": "tanh", "regularization": 2.0}, ("regularization", "data_noise")),
    "logistic": ({"link": "logistic"}, ("link_bias", "discriminator_lr")),
    "random start": ({"initial": "random"}, ("data_noise", "generator_noise")),
}
RANGES = {
    "data_noise": (0.05, 6),
    "generator_noise": (0.05, 6),
    "generator_lr": (0.005, 0.5),
    "discriminator_lr": (0.02, 2),
    "regularization": (0.3, 50),
    "link_bias": (0.1, 2),
}


@pytest.mark.parametrize("case", SOLVABLE)
def test_solvable_cells(case):
    parameters, names = SOLVABLE[case]
    game, rng = gs.SolvableGAN(**parameters), random(len(case))
    over = {}
    for name in names:
        if name == "feature_variance":
            over[name] = np.stack([spread(rng, 0.5, 9) for _ in range(game.features)], axis=1)
        elif name == "latent_variance":  # some cells match the features, others do not
            over[name] = np.stack([np.where(rng.random(CELLS) < 0.5, 5.0, 4.0), np.full(CELLS, 3.0)], axis=1)
        else:
            over[name] = spread(rng, *RANGES[name])
            if name == "data_noise":
                over[name][:2] = 0.0, 5.0  # no noise, and exactly on a threshold
    assert_many_is_each(game, over)


def test_many_cells_do_not_depend_on_their_company():
    rng = random(1)
    over = {"data_noise": spread(rng, 0.05, 6, 2500), "generator_lr": spread(rng, 0.005, 0.5, 2500)}
    whole = gs.predict_many(gs.SolvableGAN(), over)
    part = gs.predict_many(gs.SolvableGAN(), {name: values[700:1900] for name, values in over.items()})
    for name in part.data_vars:
        np.testing.assert_array_equal(part[name].values, whole[name].values[700:1900], err_msg=name)


def test_copying_states_are_at_rest_in_the_drift():
    rng, game = random(2), gs.SolvableGAN((6.8, 0.96), regularization=30.0)
    for soft in (False, True):
        base = game if soft else game.replace(regularization=math.inf)
        cells = Cells.of(base, {"data_noise": spread(rng, 0.05, 0.6), "generator_lr": spread(rng, 0.1, 0.3)})
        states = copying_states(cells)
        found = np.isfinite(states[:, 0])
        assert found.sum() > CELLS / 4
        rate, _ = game_drift(base)
        assert np.abs(rate(states[found], cells.rows[found])).max() < 1e-9  # Newton stops at 1e-11 of terms near 10


def test_locks_attract_where_the_eigenvalues_say_so():
    rng = random(3)
    numbers = [spread(rng, *bounds, 4000) for bounds in ((0.2, 9), (0.02, 4), (0.02, 4), (0.02, 2), (0.002, 2))]
    J = phases.active_recovery_jacobian(*numbers)
    exists = np.isfinite(J).all((-2, -1))
    leading = np.linalg.eigvals(J[exists]).real.max(-1)
    clear = np.abs(leading) > 1e-9  # of rates near 1: closer to zero rounding decides
    attracts = phases.active_recovery_attracts(*numbers)
    assert not attracts[~exists].any()
    np.testing.assert_array_equal(attracts[exists][clear], leading[clear] < 0)
    assert 0 < attracts.sum() < exists.sum()


# The other models.

POINTS = gs.KernelGAN([0.0, 4.0, 8.0], [0.3, 4.2, 7.5])
LONE = gs.KernelGAN([0.0], [0.3])
QUADRATIC = gs.QuadraticGame(A1=np.eye(2), B1=np.eye(2), A2=np.eye(2), B2=-np.eye(2))
LQ = gs.QuadraticGAN(target_mean=[1.0, 0.0], target_covariance=np.eye(2), mean=[0.0, 0.0], covariance=np.eye(2))
OTHERS = {
    "kernel rates": (POINTS, {"generator_lr": (0.01, 20), "regularization": (0.05, 20)}, {}),
    "kernel bandwidth": (POINTS, {"generator_lr": (0.01, 5), "bandwidth": (0.3, 5)}, {"rule": "simultaneous"}),
    "kernel flow": (LONE, {"discriminator_lr": (0.01, 5), "regularization": (0.1, 5)}, {"rule": "flow"}),
    "kernel extragradient": (LONE, {"discriminator_lr": (0.5, 5)}, {"rule": "extragradient"}),
    "dirac": (gs.DiracGAN(loss="saturating"), {"gradient_penalty": (0.01, 3), "generator_lr": (0.1, 3)}, {}),
    "dirac steps": (gs.DiracGAN(), {"gradient_penalty": (0.01, 3)}, {"level": "explicit", "step_size": 0.7}),
    "quadratic": (QUADRATIC, {"generator_lr": (0.1, 3)}, {}),
    "quadratic steps": (QUADRATIC, {"generator_lr": (0.1, 3)}, {"level": "jko", "step_size": 0.3}),
    "clipped": (gs.ClippedGAN(clip=0.5), {"clip": (0.1, 3), "generator_lr": (0.1, 3)}, {}),
    "lq": (LQ, {"generator_lr": (0.1, 3), "discriminator_lr": (0.1, 3)}, {}),
    "torus": (
        gs.TorusGAN(particles=8, modes=3, frequencies=6, initial_std=0.05),
        {"relative_mobility": (0.01, 1), "mean_mobility": (0.1, 20)},
        {},
    ),
}


@pytest.mark.parametrize("case", OTHERS)
def test_cells_of_other_models(case):
    game, bounds, options = OTHERS[case]
    rng = random(len(case))
    count = 6 if case in ("lq", "torus", "kernel extragradient") else 12
    over = {name: spread(rng, *limits, count) for name, limits in bounds.items()}
    assert_many_is_each(game, over, **options)


# The dual flows: random games of each, at every level.

SCHEMES = ("explicit", "explicit_sequential", "jko", "jko_sequential", "nash", "midpoint")


def levels(midpoint=True):
    """Options of the flow, and of every scheme at short and at long steps."""
    schemes = SCHEMES if midpoint else SCHEMES[:-1]
    return [{}, *({"level": name, "step_size": step} for name in schemes for step in (0.05, 0.9, 3.0))]


def symmetric(rng, size, count):
    a = rng.normal(size=(count, size, size))
    return a + np.swapaxes(a, 1, 2) + 2 * rng.random((count, 1, 1)) * np.eye(size)


@pytest.mark.parametrize("loss", ["bilinear", "saturating", "nonsaturating"])
def test_dirac_cells_at_every_level(loss):
    rng = random(len(loss))
    over = {"gradient_penalty": spread(rng, 0.01, 3), "generator_lr": spread(rng, 0.1, 3)}
    over["gradient_penalty"][:8] = 0.0
    over["initial"] = rng.normal(size=(CELLS, 2))
    over["initial"][5:10] = 0.0
    for options in levels():
        assert_many_is_each(gs.DiracGAN(loss=loss), over, **options)


@pytest.mark.parametrize("mean_field", [False, True])
def test_clipped_cells_at_every_level(mean_field):
    rng = random(7)
    start = (1.0, (0.1, -0.05, 0.08)) if mean_field else (1.0, 0.05)
    over = {"clip": spread(rng, 0.1, 3), "discriminator_lr": spread(rng, 0.1, 3)}
    over["initial"] = rng.normal(size=(CELLS, 4 if mean_field else 2))
    over["initial"][:, 1:] *= 0.1 / np.abs(over["initial"][:, 1:]).max(axis=1, keepdims=True)
    over["initial"][3] = 0.0
    for options in levels(midpoint=False):
        assert_many_is_each(gs.ClippedGAN(clip=0.5, initial=start), over, **options)


def test_quadratic_cells_at_every_level():
    rng, count = random(8), 12
    zero = np.zeros((count, 2, 2))
    B1 = rng.normal(size=(count, 2, 2))
    B1[4] = 0.0  # then nothing couples the players, and some cells have no unique equilibrium
    A2 = symmetric(rng, 2, count)
    A1 = np.where((np.arange(count) < 4)[:, None, None], zero, symmetric(rng, 2, count))
    A1[4:6] = A2[5] = 0.0
    c1 = rng.normal(size=(count, 2))
    c1[4] = 0.0
    B2 = np.where((rng.random(count) < 0.5)[:, None, None], -np.swapaxes(B1, 1, 2), rng.normal(size=(count, 2, 2)))
    over = {"A1": A1, "B1": B1, "A2": A2, "B2": B2, "c1": c1, "generator_lr": spread(rng, 0.1, 3, count)}
    for options in ({}, {"level": "jko", "step_size": 0.9}, {"level": "nash", "step_size": 3.0}):
        assert_many_is_each(QUADRATIC, over, **options)


def test_modal_quadratic_cells_at_every_level():
    rng, game = random(9), gs.QuadraticGame(np.eye(2), [[1.0], [0.5]], 0.0, [[-1.0, -0.5]])
    for options in levels():
        many = {"generator_lr": spread(rng, 0.1, 3, 6), "c2": rng.normal(size=(6, 1))}
        assert_many_is_each(game, many, **options)


def covariance(rng, rank, size=2):
    factor = rng.normal(size=(size, rank))
    return factor @ factor.T


LQ_CASES = {
    "full": (1.0, 2, {"generator_lr": (0.05, 5), "discriminator_lr": (0.005, 5)}),
    "penalties": (1.0, 2, {"linear_penalty": (0.1, 3), "quadratic_penalty": (0.1, 3)}),
    "centred": (0.0, 2, {"critic_penalty": (0.1, 3), "generator_lr": (0.05, 5)}),
    "low rank": (0.0, 1, {"generator_lr": (0.05, 5), "discriminator_lr": (0.05, 5)}),
    "low rank off centre": (0.6, 1, {"generator_lr": (0.05, 5), "discriminator_lr": (0.05, 5)}),
    "low rank penalty": (0.0, 1, {"critic_penalty": (0.1, 3)}),
}


@pytest.mark.parametrize("case", LQ_CASES)
def test_lq_cells(case):
    centre, rank, bounds = LQ_CASES[case]
    rng = random(len(case))
    mean, target = centre * rng.normal(size=2), covariance(rng, 2)
    game = gs.QuadraticGAN(mean, target, 0.5 * mean, factor=rng.normal(size=(2, rank)))
    for options in ({}, {"level": "explicit", "step_size": 0.9}, {"level": "jko_sequential", "step_size": 0.3}):
        over = {name: spread(rng, *limits, 5) for name, limits in bounds.items()}
        if "critic_penalty" in over:
            over["critic_penalty"][0] = 0.0
        assert_many_is_each(game, over, **options)


def test_lq_cells_of_different_ranks_and_targets():
    rng, count = random(11), 6
    over = {
        "covariance": np.stack([covariance(rng, 1 + k % 2) for k in range(count)]),
        "target_covariance": np.stack([covariance(rng, 1 + k // 3) for k in range(count)]),
        "discriminator_lr": spread(rng, 0.05, 5, count),
    }
    game = gs.QuadraticGAN([0.0, 0.0], np.eye(2), [0.0, 0.0], covariance=np.eye(2))
    assert_many_is_each(game, over)
    line = gs.QuadraticGAN(0.0, 4.0, 0.0, covariance=1.0, critic_penalty=0.0, initial_discriminator=([0.0], [[0.3]]))
    assert_many_is_each(line, {"generator_lr": spread(rng, 0.1, 3, 6), "critic_penalty": [0.0] * 5 + [0.5]})


def test_parts_of_a_linearisation_have_its_eigenvalues():
    rng, speeds = random(12), (0.7, 1.3)
    for size, centred in [(1, 0), (2, 0), (2, 1), (3, 0), (3, 1)]:
        mean = centred * rng.normal(size=size)
        field = Field(mean, covariance(rng, size, size), rng.random() + 0.2, rng.random() + 0.2, size)
        for _, state in equilibria(field, size):
            whole = np.linalg.eigvals(field.with_speeds(field.linearisation(field.pack(state)), *speeds))
            parts = parts_of(field, state).values(*(np.array([speed]) for speed in speeds))[0]
            for ours, theirs in ((whole, parts), (parts, whole)):
                moving = ours[np.abs(ours) > 1e-6]
                # a double eigenvalue is only good to the root of the rounding error
                assert all(np.abs(theirs - value).min() < 1e-6 for value in moving)


@pytest.mark.parametrize("scheme", SCHEMES[:-1])
def test_largest_steps_of_modes_are_where_multipliers_leave_the_unit_circle(scheme):
    rng = random(13)
    for _ in range(40):
        p, q, coupling = rng.uniform(-1, 2), rng.uniform(0, 3), rng.uniform(0, 4)
        if p + q < 0.05 or p * q + coupling < 0.05:
            continue
        flow = np.array([[-p, 1.0], [-coupling, -q]])
        largest = float(largest_of_modes(scheme, p, q, coupling))
        steps = np.array([0.01, 0.9, 0.999, 1.001]) * (largest if np.isfinite(largest) else 1e3)
        radius = [np.abs(np.linalg.eigvals(scheme_matrix(flow, 1, scheme, step))).max() for step in steps]
        assert max(radius[:3]) < 1
        assert (radius[3] > 1) == np.isfinite(largest)


def test_names_that_no_batch_varies():
    losses = ["bilinear", "saturating", "nonsaturating", "bilinear"]
    assert_many_is_each(gs.DiracGAN(), {"loss": losses, "gradient_penalty": [0.0, 0.5, 0.0, 1.0]})
    assert_many_is_each(gs.SolvableGAN(), {"link": ["quadratic", "tanh", "logistic"], "data_noise": [0.5, 2.0, 2.0]})
    assert_many_is_each(POINTS, {"kernel": [gs.RBF(1.0), gs.RationalQuadratic(1.0)], "generator_lr": [0.5, 0.1]})


def test_a_fast_centre_is_torn_apart_alike():
    # Broad modes: the search ends where average times mobility no longer changes, well below the farthest mobility.
    found = critical_mobility(gs.TorusGAN(mode_width=0.3))
    assert found.mean_mobility == math.inf
    assert "alike from" in found.reason


@pytest.mark.parametrize(
    "game, over, options, message",
    [
        (gs.SolvableGAN(), {"data_noise": [1.0, -1.0]}, {}, "data_noise"),
        (gs.SolvableGAN(), {"data_noise": [1.0, math.nan]}, {}, "data_noise"),
        (gs.SolvableGAN(), {"data_noise": [1.0, 2.0], "generator_lr": [1.0]}, {}, "over"),
        (gs.SolvableGAN(), {}, {}, "over"),
        (gs.SolvableGAN(), {"noise": [1.0]}, {}, "noise"),
        (gs.SolvableGAN(), {"data_noise": [1.0]}, {"level": "flow"}, "level"),
        (gs.SolvableGAN(), {"data_noise": [1.0]}, {"rule": "nash"}, "rule"),
        (gs.SolvableGAN(), {"data_noise": [1.0]}, {"step_size": 0.1}, "step_size"),
        (gs.SolvableGAN(), {"data_noise": [1.0]}, {"momentum": 0.1}, "momentum"),
        (gs.SolvableGAN(), {"feature_variance": [[1.0, 2.0, 3.0]]}, {}, "feature_variance"),
        (POINTS, {"generator_lr": [0.0]}, {}, "generator_lr"),
        (POINTS, {"generator_lr": [0.1]}, {"rule": "nash"}, "rule"),
        (POINTS, {"bandwidth": [-1.0]}, {}, "bandwidth"),
    ],
)
def test_bad_input(game, over, options, message):
    with pytest.raises(gs.ParameterError, match=message):
        gs.predict_many(game, over, **options)
