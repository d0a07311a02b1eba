"""Equilibria followed through a parameter: bifurcations against closed forms, on plain fields and on games."""

import json
import math

import numpy as np
import pytest

import ganscope as gs
from ganscope.analysis.bifurcations import kind_of
from ganscope.analysis.continuation import follow


def found(branch):
    return [(event.kind, event.parameter, event.frequency) for event in branch.bifurcations]


def assert_events(events, expected, atol=1e-9):
    assert [kind for kind, *_ in events] == [kind for kind, *_ in expected]
    for (_, place, frequency), (_, known, turning) in zip(events, expected, strict=True):
        assert place == pytest.approx(known, abs=atol)
        assert frequency == pytest.approx(turning, abs=1e-6)


def test_a_fold_is_passed_and_found():
    branch = follow(lambda u, p: u**2 + p, [1.0], -1.0, (-2, 1))
    # the turning point of a parabola: the tangent's sign change is located to the corrector's tolerance
    assert_events(found(branch), [("fold", 0.0, 0.0)])
    ends = [branch.points[0], branch.points[-1]]
    assert [point.parameter for point in ends] == [-2.0, -2.0]
    assert sorted(float(point.state[0]) for point in ends) == pytest.approx([-math.sqrt(2), math.sqrt(2)])
    for point in branch.points:
        assert abs(point.state[0] ** 2 + point.parameter) < 1e-12


def test_both_folds_of_a_cusp():
    branch = follow(lambda u, p: p + u - u**3, [0.0], 0.0, (-2, 2))
    edge = 2 / math.sqrt(27)
    assert_events(found(branch), [("fold", -edge, 0.0), ("fold", edge, 0.0)])


def test_a_circle_of_zeros_closes():
    branch = follow(lambda u, p: u**2 + p**2 - 1, [1.0], 0.0, (-2, 2))
    assert branch.ends == ("closed", "closed")
    assert sorted(event.parameter for event in branch.bifurcations) == pytest.approx([-1.0, 1.0], abs=1e-9)


def normal_form(u, p):
    x, y = u
    r = x * x + y * y
    return np.array([p * x - 2 * y - x * r, 2 * x + p * y - y * r])


def normal_form_slope(u, p):
    x, y = u
    return np.array([[p - 3 * x * x - y * y, -2 - 2 * x * y], [2 - 2 * x * y, p - x * x - 3 * y * y]])


@pytest.mark.parametrize("slope", [None, normal_form_slope])
def test_hopf_normal_form_with_and_without_a_jacobian(slope):
    branch = follow(normal_form, [0, 0], -1.0, (-1, 1.3), jacobian=slope)
    assert_events(found(branch), [("hopf", 0.0, 2.0)])
    assert branch.bifurcations[0].gained == 2


@pytest.mark.parametrize("a", [0.6, 1.3])
def test_hopf_of_the_brusselator(a):
    def field(u, b):
        return np.array([a - (b + 1) * u[0] + u[0] ** 2 * u[1], b * u[0] - u[0] ** 2 * u[1]])

    assert_events(found(follow(field, [a, 1 / a], 1.0, (0.5, 4))), [("hopf", 1 + a * a, a)])


def test_two_real_eigenvalues_of_opposite_sign_are_no_hopf():
    # their sum vanishes at p = 1/2, which tests on sums of pairs take for a crossing
    branch = follow(lambda u, p: np.array([p * u[0] + u[1], u[0] - 0.5 * u[1]]), [0, 0], 0.0, (0, 3))
    assert branch.bifurcations == []
    assert {point.unstable for point in branch.points} == {1}


def test_logistic_map_loses_zero_and_then_flips():
    branch = follow(lambda u, p: p * u * (1 - u) - u, [0.5], 2.0, (0.2, 3.7), is_map=True)
    assert_events(found(branch), [("branch_point", 1.0, 0.0), ("flip", 3.0, math.pi)])


def test_delayed_logistic_map_turns_by_a_sixth():
    def step(u, p):
        return np.array([p * u[0] * (1 - u[1]) - u[0], u[0] - u[1]])

    branch = follow(step, [1 / 3, 1 / 3], 1.5, (0.5, 2.3), is_map=True)
    assert_events(found(branch), [("branch_point", 1.0, 0.0), ("neimark_sacker", 2.0, math.pi / 3)])


@pytest.mark.parametrize("begin", [-0.5, 0.0])
def test_a_pitchfork_is_a_branch_point_even_at_the_start(begin):
    branch = follow(lambda u, p: p * u - u**3, [0.0], begin, (-1, 1))
    assert_events(found(branch), [("branch_point", 0.0, 0.0)])


def test_a_symmetry_is_counted_and_does_not_disturb():
    def field(u, p):  # u[0] is free
        return np.array([0 * u[0], (p - 0.3) * u[1], p - u[2]])

    branch = follow(field, [0.3, 0, 0], 0.0, (-1, 1))
    assert branch.neutral == 1
    assert_events(found(branch), [("branch_point", 0.3, 0.0)])
    assert {float(point.state[0]) for point in branch.points} == {0.3}


def test_opposite_changes_within_one_step_are_both_found():
    def turning(growth, frequency, u):
        return np.array([growth * u[0] - frequency * u[1], frequency * u[0] + growth * u[1]])

    def field(u, p):
        return np.concatenate([turning(p, 1.0, u[:2]), turning(-p - 1e-3, 3.0, u[2:])])

    assert_events(found(follow(field, np.zeros(4), -1.0, (-1, 1.3))), [("hopf", -1e-3, 3.0), ("hopf", 0.0, 1.0)])


def test_kinds_of_values():
    assert kind_of(2j, False) == ("hopf", 2.0)
    assert kind_of(1e-13 + 0j, False) == ("branch_point", 0.0)
    assert kind_of(-1 + 0j, True) == ("flip", math.pi)
    assert kind_of(complex(np.exp(0.7j)), True)[0] == "neimark_sacker"


def test_plain_field_bad_input():
    with pytest.raises(gs.ParameterError, match="range"):
        follow(lambda u, p: u, [0.0], 0.0, (1, 0))
    with pytest.raises(gs.ParameterError, match="parameter"):
        follow(lambda u, p: u, [0.0], 2.0, (0, 1))
    with pytest.raises(gs.NotApplicable, match="no equilibrium"):
        follow(lambda u, p: u**2 + 1, [0.3], 0.0, (-1, 1))


def kernel_game(**changes):
    numbers = dict(discriminator_lr=0.2, regularization=0.8, generator_lr=0.5, kernel=gs.RBF(1.0)) | changes
    return gs.KernelGAN([[0.0]], [[0.0]], real_mass=[1.0], generated_mass=[1.0], **numbers)


def places(branch, kind):
    return branch.location.values[branch.kind.values == kind]


@pytest.mark.parametrize("over, within, at", [("generator_lr", (0.1, 2), 0.8), ("bandwidth", (0.3, 3), None)])
def test_kernel_spiral_threshold(over, within, at):
    game = kernel_game()
    branch = gs.continuation(game, over, within, rule="simultaneous")
    # generator_lr = regularization bandwidth^2 / masses, in closed form
    expected = at if at is not None else math.sqrt(game.generator_lr / game.regularization)
    assert places(branch, "neimark_sacker") == pytest.approx([expected], abs=1e-9)
    assert list(branch.kind.values) == ["neimark_sacker"]


def test_kernel_flip_of_alternating_steps():
    branch = gs.continuation(kernel_game(), "generator_lr", (0.1, 30), rule="alternating")
    assert list(branch.kind.values) == ["flip"]
    assert places(branch, "flip") == pytest.approx([2 * (2 - 0.16) / 0.2], abs=1e-8)


def test_kernel_points_move_with_the_bandwidth():
    game = gs.KernelGAN([[0.0], [1.5]], [[0.2]], generated_mass=[1.0], regularization=0.8)
    branch = gs.continuation(game, "bandwidth", (0.8, 3.0), start=[[0.2]])
    for k in (0, -1):
        there = game.replace(bandwidth=float(branch.bandwidth[k]))
        near = gs.equilibrium(there, branch.state.values[k].reshape(1, 1))
        assert near.state.ravel() == pytest.approx(branch.state.values[k], abs=1e-9)
        eigenvalues = branch.eigenvalues.values[k]
        assert np.sort_complex(near.spectrum.eigenvalues) == pytest.approx(np.sort_complex(eigenvalues), abs=1e-7)


def test_solvable_thresholds():
    game = gs.SolvableGAN(feature_variance=(5, 3))
    perfect = gs.continuation(game, "data_noise", (0.5, 6), start="silent_perfect")
    # upper threshold: discriminator_lr^2 / generator_lr noise_level = strength, with noise_level = 2 data_noise^2
    upper = np.sqrt(np.array([3, 5]) * game.generator_lr / game.discriminator_lr**2 / 2)
    assert places(perfect, "hopf") == pytest.approx(upper, abs=1e-9)
    blank = gs.continuation(game, "data_noise", (0.5, 6), start="silent_uninformed")
    lower = np.sqrt(np.array([3, 5]) / game.discriminator_lr)
    assert places(blank, "branch_point") == pytest.approx(lower, abs=1e-9)
    assert perfect.attrs["neutral"] == 5  # four overlaps and the angle of the columns
    at = game.replace(data_noise=float(upper[1]))
    assert gs.predict(at).thresholds["upper"][0] == pytest.approx(5.0)


def test_solvable_active_recovery_turns_back_at_its_fold():
    game = gs.SolvableGAN(feature_variance=4.0, data_noise=1.0, generator_lr=0.1)
    branch = gs.continuation(game, "data_noise", (0.2, 6), start="active_recovery")
    assert list(branch.kind.values) == ["fold"]
    edge = float(branch.location[0])

    def exists(noise):
        return any(e.label == "active_recovery" for e in gs.predict(game.replace(data_noise=noise)).equilibria)

    assert exists(edge - 1e-4)
    assert not exists(edge + 1e-4)


@pytest.mark.parametrize("loss", ["bilinear", "saturating"])
def test_dirac_spectrum_and_largest_steps(loss):
    game = gs.DiracGAN(loss, gradient_penalty=0.5)
    branch = gs.continuation(game, "gradient_penalty", (0.1, 2))
    gamma, slope = branch.gradient_penalty.values, 1.0 if loss == "bilinear" else 0.5
    leading = -gamma / 2 + np.sqrt(gamma**2 / 4 - slope**2 + 0j)
    # a double eigenvalue is only good to the square root of rounding
    assert branch.eigenvalues.values[:, 0] == pytest.approx(leading, abs=1e-7)
    steps = gs.continuation(game, "step_size", (0.01, 3), rule="explicit")
    assert places(steps, "neimark_sacker") == pytest.approx([gs.largest_step(game, "explicit")], abs=1e-9)


def test_quadratic_game_and_lq_gan():
    game = gs.QuadraticGame(0.1, -1.0, 0.3, 1.0)
    steps = gs.continuation(game, "step_size", (0.01, 3), rule="explicit")
    assert places(steps, "neimark_sacker") == pytest.approx([gs.largest_step(game, "explicit")], abs=1e-9)
    # the trace A1 + A2 of the flow vanishes
    curvature = gs.continuation(game, "A1", (-1, 1))
    assert places(curvature, "hopf") == pytest.approx([-0.3], abs=1e-9)
    target = [[2.0, 0.0], [0.0, 1.0]]
    lq = gs.QuadraticGAN([0, 0], target, [0, 0], factor=[[1.0], [0.2]], critic_penalty=0.6, discriminator_lr=3)
    branch = gs.continuation(lq, "discriminator_lr", (0.3, 6))
    assert places(branch, "hopf") == pytest.approx([gs.critical_speed_ratio(target, 1, 0.6)], abs=1e-9)


def test_torus_spectrum_along_a_branch():
    game = gs.TorusGAN(particles=10, frequencies=4, modes=2, mode_width=0.3)
    branch = gs.continuation(game, "gradient_penalty", (0.1, 1))
    for k in (0, -1):
        there = game.replace(gradient_penalty=float(branch.gradient_penalty[k]))
        leading = gs.spectrum(there).eigenvalues[0]
        assert branch.eigenvalues.values[k, 0].real == pytest.approx(leading.real, abs=1e-7)


def test_result_can_be_kept(tmp_path):
    game = gs.DiracGAN(gradient_penalty=0.5)
    branch = gs.continuation(game, "step_size", (0.01, 3), rule="explicit")
    path = gs.save(branch, tmp_path / "branch.zarr")
    loaded = gs.load(path)
    assert gs.from_json(loaded.attrs["game"]) == game
    listed = json.loads(loaded.attrs["bifurcations"])
    assert [event["kind"] for event in listed] == list(loaded.kind.values)
    assert listed[0]["step_size"] == pytest.approx(float(branch.location[0]))
    assert np.array_equal(branch.stable, branch.growth < 0)


@pytest.mark.parametrize(
    "arguments, text",
    [
        (dict(over="generatr_lr", range=(0.1, 1)), "Did you mean 'generator_lr'"),
        (dict(over="generator_lr", range=(1, 0.1)), "lower one first"),
        (dict(over="generator_lr", range=(-1, 1)), "generator_lr = -1"),
        (dict(over="generator_lr", range=(math.nan, 1)), "range"),
        (dict(over="generator_lr", range=3), "two finite numbers"),
        (dict(over="feature_variance", range=(0.1, 1)), "one number"),
        (dict(over="link", range=(0.1, 1)), "one number"),
        (dict(over="step_size", range=(0.1, 1)), "step_size"),
        (dict(over="data_noise", range=(0.1, 1), rule="nash"), "rule"),
        (dict(over="data_noise", range=(0.1, 1), start="nowhere"), "start"),
        (dict(over="data_noise", range=(0.1, 1), largest_step=0), "largest_step"),
    ],
)
def test_bad_input_is_refused(arguments, text):
    with pytest.raises(gs.ParameterError, match=text):
        gs.continuation(gs.SolvableGAN(), **arguments)


def test_games_that_cannot_be_followed_say_so():
    game = gs.ClippedGAN(1.0)
    with pytest.raises(gs.NotApplicable, match="ClippedGAN has no equilibrium that can be followed"):
        gs.continuation(game, "clip", (0.5, 1.0))
    with pytest.raises(gs.ParameterError, match="game"):
        gs.continuation("solvable", "data_noise", (0, 1))
