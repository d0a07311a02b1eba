"""Update maps, the virtual equilibrium and predicted wander: worked numbers, brute force and invariances."""

import math

import numpy as np
import pytest
from diagnose_measurements import plain, random_measurement, rule_of
from hypothesis import given
from hypothesis import strategies as st

import ganscope as gs
from ganscope.diagnose.instruments.mode_damping import critical_penalty, damping_ratio, friction
from ganscope.diagnose.instruments.update_map import memory_multipliers, multipliers
from ganscope.diagnose.rule import Player, UpdateRule
from ganscope.diagnose.theory.virtual import (
    WANDER_CAP,
    decay,
    forecast,
    growth,
    noise_covariance,
    virtual_jacobian,
    virtual_map,
)
from ganscope.diagnose.theory.what_if import with_penalty

RULES = {
    "sim": rule_of("simultaneous"),
    "alt": rule_of(),
    "alt5": rule_of(discriminator_steps=5),
    "alt_momentum": rule_of(kind="momentum", momentum=0.9),
    "sim_momentum": rule_of("simultaneous", kind="momentum", momentum=0.9),
    "alt_adam5": rule_of(kind="adam", beta1=0.5),
    "sim_adam5": rule_of("simultaneous", kind="adam", beta1=0.5),
    "alt_adam9": rule_of(kind="adam", beta1=0.9),
}
# Radius of the map of the Dirac-GAN, both rates 0.1, by gradient penalty; columns as in RULES.
DIRAC = {
    0.0: (1.0012492197, 1.0, 1.0, 1.1179226624, 1.1210984071, 1.0024575453, 1.0036624115, 1.0130016778),
    0.3: (
        0.9861541462,
        0.9848857802,
        0.9266790306,
        1.0875515105,
        1.0911616214,
        0.9871747793,
        0.988516343,
        1.0030863606,
    ),
    1.0: (0.95, 0.96, 0.9739991611, 0.9796879592, 0.9486833028, 0.958392613, 0.9470381913, 0.9534690737),
    2.0: (
        0.9866025404,
        0.9867929583,
        0.9874219091,
        0.9554342740,
        0.9486832981,
        0.9866139184,
        0.9864154592,
        0.9846775389,
    ),
}
ANGLES = {0.0: (0.0499584, 0.05000521, 0.11186171), 0.3: (0.04838551, 0.04802982, 0.08310389)}


def dirac(gamma, generator=0.1, discriminator=0.1):
    root = np.sqrt([generator, discriminator])
    return np.outer(root, root) * np.array([[0.0, 0.5], [-0.5, -gamma]])


def radius(jacobian, rule, split=1):
    return multipliers(gs.update_map(jacobian, split, rule)).radius


@pytest.mark.parametrize("gamma", DIRAC)
def test_dirac_radii_are_those_of_the_worked_table(gamma):
    for (name, rule), expected in zip(RULES.items(), DIRAC[gamma], strict=True):
        # The flow has a double eigenvalue at 1: an error of 1e-16 in the matrix is one of 1e-8 in the root.
        tolerance = 1e-6 if gamma == 1.0 and name.startswith("sim") else 1e-9
        assert radius(dirac(gamma), rule) == pytest.approx(expected, abs=tolerance), name


@pytest.mark.parametrize("gamma", ANGLES)
def test_dirac_angles(gamma):
    for name, expected in zip(("sim", "alt", "alt5"), ANGLES[gamma], strict=True):
        found = multipliers(gs.update_map(dirac(gamma), 1, RULES[name]))
        assert np.angle(found.values[found.leading_rotation]) == pytest.approx(expected, abs=1e-8)
        assert found.period[0] == pytest.approx(2 * math.pi / expected, rel=1e-6)


def test_dirac_with_different_rates():
    expected = {"sim": 0.9937303457, "alt": 0.9924716621, "alt5": 0.9629208183}
    for name, value in expected.items():
        assert radius(dirac(0.3, 0.2, 0.05), RULES[name]) == pytest.approx(value, abs=1e-9)


@pytest.mark.parametrize(
    "name, rates, best, smallest",
    [
        ("sim", (0.1, 0.1), 1.0, 0.95),
        ("alt", (0.1, 0.1), 0.975, 0.95),
        ("alt5", (0.1, 0.1), 0.442, 0.893136),
        ("alt_adam9", (0.1, 0.1), 1.166, 0.950527),
        ("alt_adam5", (0.1, 0.1), 0.973, 0.946974),
        ("sim", (0.2, 0.05), 2.0, None),
        ("alt", (0.2, 0.05), 1.95, None),
    ],
)
def test_best_penalty_of_the_dirac_gan(name, rates, best, smallest):
    grid = np.round(np.arange(best - 0.05, best + 0.05, 0.001), 3)
    radii = [radius(dirac(gamma, *rates), RULES[name]) for gamma in grid]
    assert grid[int(np.argmin(radii))] == pytest.approx(best, abs=1e-9)
    if smallest is not None:
        # The worked number was rounded to six places, and the minimum is a cusp of square-root shape.
        assert min(radii) == pytest.approx(smallest, abs=1e-6)


@pytest.mark.parametrize(
    "name, least",
    [("sim", 0.026), ("alt", 0.0), ("alt_adam5", 0.05), ("alt_adam9", 0.382), ("alt_momentum", 0.892)],
)
def test_penalty_from_which_the_dirac_gan_is_stable(name, least):
    assert radius(dirac(least + 0.001), RULES[name]) < 1
    assert radius(dirac(max(least - 0.0015, 0.0)), RULES[name]) >= 1 - 1e-12


def test_bilinear_game():
    coupling = np.diag([1.0, 0.5])
    jacobian = 0.1 * np.block([[np.zeros((2, 2)), coupling], [-coupling, np.zeros((2, 2))]])
    expected = {
        "sim": 1.0049875621,
        "alt": 1.0,
        "alt_momentum": 1.1921415639,
        "alt_adam5": 1.0093749061,
        "sim_adam5": 1.0137500366,
    }
    for name, value in expected.items():
        assert radius(jacobian, RULES[name], 2) == pytest.approx(value, abs=1e-9)


def linear_quadratic(mean, spread, gamma):
    square = mean**2 + spread**2
    return np.array(
        [
            [0, 0, 1, mean],
            [0, 0, 0, spread],
            [-1, 0, -gamma, -gamma * mean],
            [-mean, -spread, -gamma * mean, -gamma * square],
        ]
    )


def test_linear_quadratic_gan():
    eigenvalues = np.linalg.eigvals(linear_quadratic(1, 0.5, 1))
    assert np.sort(eigenvalues.real)[[0, -1]] == pytest.approx([-1.0663911093, -0.0586088907], abs=1e-9)
    centred = 0.1 * linear_quadratic(0, 0.5, 1)
    expected = {"sim": 0.9886859967, "alt": 0.9874208829, "alt5": 0.9386669768, "alt_adam9": 1.0050189425}
    for name, value in expected.items():
        assert radius(centred, RULES[name], 2) == pytest.approx(value, abs=1e-9)
    shifted = 0.1 * linear_quadratic(1, 0.5, 1)
    assert radius(shifted, RULES["sim"], 2) == pytest.approx(0.9947112142, abs=1e-9)
    assert radius(shifted, RULES["alt"], 2) == pytest.approx(0.9941218345, abs=1e-9)


@given(st.integers(0, 10**6), st.floats(0.0, 0.95), st.booleans())
def test_closed_form_of_simultaneous_memory(seed, beta, adam):
    jacobian = 0.3 * np.random.default_rng(seed).normal(size=(5, 5))
    options = {"kind": "adam", "beta1": beta} if adam else {"kind": "momentum", "momentum": beta}
    rule = rule_of("simultaneous", **options)
    matrix = gs.update_map(jacobian, 2, rule)
    closed = memory_multipliers(np.linalg.eigvals(jacobian), beta, rule.generator.kappa)
    # The characteristic polynomial at each closed root, by the resolvent: no eigenvalues are paired.
    for root in closed.ravel():
        assert np.linalg.svd(matrix - root * np.eye(10), compute_uv=False)[-1] < 1e-12


def test_update_map_steps_like_the_optimizers():
    """Against the recursions written out, with different memories of the players and several discriminator steps."""
    rng = np.random.default_rng(3)
    jacobian = 0.2 * rng.normal(size=(5, 5))
    rule = UpdateRule("alternating", 3, plain("adam", beta1=0.7), plain("momentum", momentum=0.4))
    w, m = rng.normal(size=5), rng.normal(size=5)
    after = gs.update_map(jacobian, 2, rule) @ np.concatenate([w, m])
    for _ in range(3):
        m[2:] = 0.4 * m[2:] + (jacobian @ w)[2:]
        w[2:] += m[2:]
    m[:2] = 0.7 * m[:2] + 0.3 * (jacobian @ w)[:2]
    w[:2] += m[:2]
    np.testing.assert_allclose(after, np.concatenate([w, m]), rtol=1e-12)


def test_plain_steps_add_multipliers_of_zero():
    jacobian = dirac(0.3)
    values = multipliers(gs.update_map(jacobian, 1, "simultaneous")).values
    plain_steps = np.linalg.eigvals(np.eye(2) + jacobian)
    np.testing.assert_allclose(np.sort_complex(values[:2]), np.sort_complex(plain_steps), rtol=1e-12)
    assert np.all(values[2:] == 0)
    # Whitened or not, the multipliers are the same.
    whitened, raw = dirac(0.3, 0.2, 0.05), np.diag([0.2, 0.05]) @ dirac(0.3, 1, 1)
    assert radius(whitened, "alternating") == pytest.approx(radius(raw, "alternating"), rel=1e-12)


def test_flips_are_labelled():
    found = multipliers(gs.update_map(np.diag([0.01, -2.5]), 1, "simultaneous"))
    assert found.values[0] == pytest.approx(-1.5)
    assert found.flip[0]
    assert not found.flip[1]
    assert found.radius == pytest.approx(1.5)
    assert found.radius_without_flips == pytest.approx(1.01)
    assert found.leading_rotation is None
    assert found.period[1] == math.inf


@pytest.mark.parametrize(
    "jacobian, size, rule, name",
    [
        (np.zeros((2, 3)), 1, "simultaneous", "jacobian"),
        (np.zeros(4), 1, "simultaneous", "jacobian"),
        ([[0.0, np.nan], [0.0, 0.0]], 1, "simultaneous", "jacobian"),
        (np.zeros((2, 2), complex), 1, "simultaneous", "jacobian"),
        (np.zeros((1, 1)), 1, "simultaneous", "jacobian"),
        (np.zeros((2, 2)), 0, "simultaneous", "generator_size"),
        (np.zeros((2, 2)), 2, "simultaneous", "generator_size"),
        (np.zeros((2, 2)), 1.5, "simultaneous", "generator_size"),
        (np.zeros((2, 2)), 1, "simultanous", "rule"),
        (np.zeros((2, 2)), 1, None, "rule"),
    ],
)
def test_update_map_refuses(jacobian, size, rule, name):
    with pytest.raises(gs.ParameterError, match=name):
        gs.update_map(jacobian, size, rule)


def test_virtual_jacobian_keeps_rotation_and_damping():
    jacobian = random_measurement(seed=5).jacobian
    jacobian[5, 5] += 0.5  # makes the discriminator's block indefinite, as data and fakes that differ do
    virtual = virtual_jacobian(jacobian, 3)
    assert np.all(virtual[:3, :3] == 0)
    np.testing.assert_array_equal(virtual[:3, 3:], jacobian[:3, 3:])
    np.testing.assert_array_equal(virtual[3:, :3], -jacobian[:3, 3:].T)
    own = jacobian[3:, 3:]
    symmetric, kept = 0.5 * (own + own.T), virtual[3:, 3:]
    # The nearest negative semidefinite matrix: what is left out is positive semidefinite and orthogonal to it.
    left = symmetric - kept
    assert np.linalg.eigvalsh(symmetric).max() > 0.1
    assert np.linalg.eigvalsh(symmetric).min() < -0.01
    assert np.linalg.eigvalsh(kept).max() < 1e-14
    assert np.linalg.eigvalsh(left).min() > -1e-14
    assert np.abs(left @ kept).max() < 1e-14
    clamped = np.linalg.eigvalsh(virtual_jacobian(jacobian * 100, 3, limit=0.7)[3:, 3:])
    assert clamped.min() == pytest.approx(-0.7)


@pytest.mark.parametrize(
    "rule, limit",
    [(RULES["alt"], 1.0), (RULES["alt_momentum"], 1.9), (RULES["alt_adam5"], 3.0)],
)
def test_clamp_stops_at_half_the_flip_limit(rule, limit):
    strong = with_penalty(random_measurement(rule=rule), 1e4)
    axis = np.linalg.eigvalsh(
        virtual_jacobian(strong.jacobian, 3, (1 + rule.discriminator.memory) / rule.discriminator.kappa)[3:, 3:]
    )
    assert axis.min() == pytest.approx(-limit, rel=1e-12)
    assert forecast(strong).predicted_wander == WANDER_CAP
    assert forecast(strong, clamp=True).predicted_wander < 10
    # A friction of twice the limit is where a single step starts to flip.
    assert radius(np.diag([0.0, -2 * limit * 1.001]), rule) > 1
    assert radius(np.diag([0.0, -2 * limit * 0.999]), rule) == pytest.approx(1.0)


def brute_force_sum(measurement, iterations, start):
    """sum_{t < iterations} M^t P (M^T)^t, term by term."""
    matrix, total, term = virtual_map(measurement), 0.0, start
    for _ in range(iterations):
        total = total + term
        term = matrix @ term @ matrix.T
    return total


@pytest.mark.parametrize("name", RULES)
def test_predicted_wander_is_the_sum_of_its_terms(name):
    one = random_measurement(seed=2, rule=RULES[name])
    noise = noise_covariance(one.noise, one.modes, one.rule)
    covariance = brute_force_sum(one, 1024, noise)[:3, :3]
    centre = one.outputs.mean(axis=1)
    wander = math.sqrt(np.einsum("rd,sd,rs->", centre, centre, covariance)) / one.data_radius
    particle = np.einsum("rld,sld,rs->", one.outputs, one.outputs, covariance) / one.outputs.shape[1]
    found = forecast(one)
    assert found.predicted_wander == pytest.approx(wander, rel=1e-9)
    assert found.particle_wander == pytest.approx(math.sqrt(particle) / one.data_radius, rel=1e-9)


@pytest.mark.parametrize("name", ["sim", "alt5", "alt_adam9"])
def test_horizon_cost_is_that_of_stepping_through_time(name):
    one = random_measurement(seed=4, rule=RULES[name])
    matrix = virtual_map(one)
    flat = one.outputs.reshape(3, -1)
    # Every mode is displaced in turn; the samples then lie 0.3 R away, root mean square over modes and latents.
    amount = 0.3 * one.data_radius / math.sqrt((one.outputs**2).sum() / 5)
    states, total = amount * np.eye(12)[:, :3], 0.0
    for _ in range(256):
        total += ((states[:3].T @ flat) ** 2).sum() / 5
        states = matrix @ states
    noise = brute_force_sum(one, 256, noise_covariance(one.noise, 3, one.rule))[:3, :3]
    driven = np.trace(flat.T @ noise @ flat) / 5
    expected = (total / 256 + driven) / one.data_radius**2
    assert forecast(one).horizon_cost == pytest.approx(expected, rel=1e-9)
    assert forecast(one, horizon=16, advice_horizon=256).horizon_cost == pytest.approx(expected, rel=1e-9)


def simulated_wander(one, iterations, replicas, substeps, seed=0):
    """Mean squared wander of noisy linear training and its standard error, written as the optimizers step.

    With `substeps` every discriminator step has noise of its own; without, one kick per iteration, sqrt(n_D) as large.
    """
    rng = np.random.default_rng(seed)
    modes, rule = one.modes, one.rule
    jacobian = virtual_jacobian(one.jacobian, modes)
    covariance = one.noise.T @ one.noise / (len(one.noise) - 1)
    root = np.linalg.cholesky(covariance + 1e-18 * np.eye(2 * modes)).T
    gen, dis, steps = rule.generator, rule.discriminator, rule.discriminator_steps
    w, m = np.zeros((replicas, 2 * modes)), np.zeros((replicas, 2 * modes))
    g, d = slice(0, modes), slice(modes, None)
    for _ in range(iterations):
        kick = rng.normal(size=(replicas, 2 * modes)) @ root
        for _ in range(steps):
            own = (rng.normal(size=kick.shape) @ root)[:, d] if substeps else 0.0
            m[:, d] = dis.memory * m[:, d] + dis.kappa * ((w @ jacobian.T)[:, d] + own)
            w[:, d] += m[:, d]
        m[:, g] = gen.memory * m[:, g] + gen.kappa * ((w @ jacobian.T)[:, g] + (kick[:, g] if substeps else 0.0))
        w[:, g] += m[:, g]
        if not substeps:
            both = kick * np.repeat([gen.kappa, dis.kappa * math.sqrt(steps)], modes)
            m += both
            w += both
    squares = ((w[:, g] @ one.outputs.mean(axis=1) / one.data_radius) ** 2).sum(axis=1)
    return squares.mean(), squares.std(ddof=1) / math.sqrt(replicas)


@pytest.mark.parametrize("kind", ["momentum", "adam"])
def test_noise_law_against_simulated_training(kind):
    memory = {"momentum": 0.5} if kind == "momentum" else {"beta1": 0.5}
    one = random_measurement(seed=6, rule=rule_of(discriminator_steps=3, kind=kind, **memory))
    mean, error = simulated_wander(one, 128, 20000, substeps=False)
    assert abs(mean - forecast(one, horizon=128).predicted_wander ** 2) < 4 * error
    assert error < 0.02 * mean


def test_noise_of_several_discriminator_steps_adds_up():
    """Kicks of their own at every step: the same law where the game moves little per iteration."""
    slow = random_measurement(seed=6, speed=0.01, rule=rule_of(discriminator_steps=3, kind="adam", beta1=0.5))
    mean, error = simulated_wander(slow, 256, 10000, substeps=True)
    # What happens between the steps of one iteration is of the order of the Jacobian, here about 1 % per step.
    assert abs(mean - forecast(slow, horizon=256).predicted_wander ** 2) < 4 * error + 0.03 * mean


def rotated(one, seed):
    """The same game in other orthonormal coordinates of the modes of both players."""
    rng = np.random.default_rng(seed)
    turns = [np.linalg.qr(rng.normal(size=(one.modes, one.modes)))[0] for _ in range(2)]
    both = np.zeros_like(one.jacobian)
    both[: one.modes, : one.modes], both[one.modes :, one.modes :] = turns
    return one.replace(
        jacobian=both.T @ one.jacobian @ both,
        noise=one.noise @ both,
        outputs=np.einsum("rld,rs->sld", one.outputs, turns[0]),
    )


@pytest.mark.parametrize("name", ["alt5", "alt_adam5"])
def test_numbers_do_not_depend_on_coordinates_or_scale(name):
    one = random_measurement(seed=8, rule=RULES[name])
    reference = forecast(one, clamp=True)
    for same in (rotated(one, 1), one.replace(outputs=one.outputs * 100, data_radius=one.data_radius * 100)):
        found = forecast(same, clamp=True)
        assert found.predicted_wander == pytest.approx(reference.predicted_wander, rel=1e-10)
        assert found.particle_wander == pytest.approx(reference.particle_wander, rel=1e-10)
        assert found.horizon_cost == pytest.approx(reference.horizon_cost, rel=1e-10)
    assert growth(rotated(one, 2)) == pytest.approx(growth(one), rel=1e-12)


@given(st.integers(0, 1000), st.floats(0.01, 10.0))
def test_rescaled_discriminator_parameters_change_nothing(seed, factor):
    """Discriminator parameters counted in other units: learning rates absorb it, the whitened game is the same."""
    rng = np.random.default_rng(seed)
    field, noise, rates = rng.normal(size=(4, 4)), rng.normal(size=(8, 4)), np.array([0.1, 0.1, 0.02, 0.02])
    units = np.array([1.0, 1.0, factor, factor])
    wanders = []
    # phi -> factor phi turns dv/dphi into dv/dphi / factor, once for rows and once for columns of the gradient field.
    for jacobian, errors, eta in (
        (field, noise, rates),
        (field / np.outer(units, units), noise / units, rates * units**2),
    ):
        root = np.sqrt(eta)
        whitened = np.outer(root, root) * jacobian
        base = random_measurement(modes=2)
        one = base.replace(jacobian=whitened, noise=errors * root)
        wanders.append(forecast(one, 64).predicted_wander)
    assert wanders[0] == pytest.approx(wanders[1], rel=1e-8)


def test_unstable_and_dead_games_are_numbers():
    wild = random_measurement(speed=50.0, friction=20.0)
    assert forecast(wild).predicted_wander == WANDER_CAP
    assert forecast(wild).particle_wander == WANDER_CAP
    assert forecast(wild).horizon_cost == math.inf
    broken = wild.replace(jacobian=np.full_like(wild.jacobian, np.nan))
    assert forecast(broken).predicted_wander == WANDER_CAP
    assert growth(broken) == math.inf
    assert decay(broken, 10) == 1.0
    dead = random_measurement().replace(outputs=np.zeros((3, 5, 2)))
    assert forecast(dead).predicted_wander == 0.0
    assert math.isnan(forecast(dead).horizon_cost)
    silent = random_measurement()
    silent = silent.replace(noise=np.zeros_like(silent.noise))
    assert forecast(silent).predicted_wander == 0.0
    with pytest.raises(gs.NotApplicable, match="generator"):
        forecast(random_measurement().replace(outputs=None))
    with pytest.raises(gs.NotApplicable, match="data radius"):
        forecast(random_measurement(radius=0.0))


def test_decay_against_stepping():
    one = random_measurement(seed=9, gamma=3.0)
    matrix, states = virtual_map(one), np.eye(12)[:, :3]
    for _ in range(37):
        states = matrix @ states
    centre = one.outputs.mean(axis=1)
    expected = np.linalg.norm(states[:3].T @ centre) / np.linalg.norm(centre)
    assert 0.01 < expected < 0.99
    assert decay(one, 37) == pytest.approx(expected, rel=1e-10)
    assert decay(one, 0) == 1.0
    assert decay(random_measurement(speed=1.0, friction=0.0, gamma=0.0, rule=RULES["sim"]), 500) == 1.0


def test_mode_damping():
    one = random_measurement(seed=3, gamma=0.2)
    np.testing.assert_allclose(friction(one), -np.diag(one.jacobian)[3:])
    np.testing.assert_allclose(damping_ratio(one), friction(one) / (2 * one.sigma))
    penalties = critical_penalty(one)
    for mode, gamma in enumerate(penalties):
        ratio = damping_ratio(with_penalty(one, gamma))[mode]
        assert ratio == pytest.approx(1.0) if gamma > 0 else ratio >= 1
    still = one.replace(sigma=np.zeros(3))
    assert np.all(np.isinf(damping_ratio(still)))
    with pytest.raises(gs.NotApplicable, match="penalty"):
        critical_penalty(one.replace(penalty=None))


def test_rmsprop_has_the_memory_of_momentum():
    rule = UpdateRule("alternating", 1, Player("rmsprop", 0.1, momentum=0.9), Player("rmsprop", 0.1, momentum=0.9))
    assert radius(dirac(0.3), rule) == pytest.approx(DIRAC[0.3][3], abs=1e-9)
