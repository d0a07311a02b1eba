"""Samples beside data: distances, coverage and the rule on collapse, against formulas written out."""

import math

import numpy as np
import pytest
from formula_backend import FormulaBackend

import ganscope as gs
from ganscope.diagnose.samples.collapse import order_statistics
from ganscope.diagnose.samples.statistics import effective_rank, energy_distance, neighbour_numbers


def ring(count, seed, modes=range(8), std=0.1):
    rng = np.random.default_rng(seed)
    angle = rng.choice(list(modes), count) * np.pi / 4
    return np.stack([np.cos(angle), np.sin(angle)], 1) + std * rng.standard_normal((count, 2))


CENTRES = np.stack([np.cos(np.arange(8) * np.pi / 4), np.sin(np.arange(8) * np.pi / 4)], 1)


def test_energy_distance_is_the_double_sum_without_its_diagonal():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((7, 3)), rng.standard_normal((5, 3)) + 2
    between = np.mean([np.linalg.norm(a - b) for a in x for b in y])
    within = [
        np.mean([np.linalg.norm(a - b) for i, a in enumerate(s) for j, b in enumerate(s) if i != j]) for s in (x, y)
    ]
    assert energy_distance(x, y) == pytest.approx(2 * between - sum(within), rel=1e-13)
    assert energy_distance(x, x) == 0  # negative by chance: clipped


def test_energy_distance_of_shifted_normals_on_a_line():
    """E|N(m, 2)| has a closed form: 2 E|x - y| - 2 E|x - x'| for x ~ N(0, 1), y ~ N(m, 1)."""
    rng = np.random.default_rng(1)
    m = 1.5
    exact = 2 * (2 / math.sqrt(math.pi) * math.exp(-m * m / 4) + m * math.erf(m / 2)) - 4 / math.sqrt(math.pi)
    x, y = rng.standard_normal((3000, 1)), m + rng.standard_normal((3000, 1))
    # the standard error at 3000 points is about 0.03
    assert energy_distance(x, y) == pytest.approx(exact, abs=0.12)


def test_coverage_and_density_are_those_of_the_definition():
    rng = np.random.default_rng(2)
    data, samples, k = rng.standard_normal((40, 2)), 0.5 * rng.standard_normal((15, 2)), 3
    reference, held = data[:20], data[20:]

    def covered(points):
        hits, total = 0, 0
        for i, r in enumerate(reference):
            radius = sorted(np.linalg.norm(r - s) for j, s in enumerate(reference) if j != i)[k - 1]
            inside = [np.linalg.norm(r - p) <= radius for p in points]
            hits, total = hits + any(inside), total + sum(inside)
        return hits / len(reference), total / (k * len(points))

    raw, relative, density = neighbour_numbers(samples, data, k)
    assert raw == covered(samples)[0]
    assert density == pytest.approx(covered(samples)[1], rel=1e-14)
    assert relative == pytest.approx(raw / covered(held[:15])[0], rel=1e-14)


def test_effective_rank_from_eigenvalues():
    points = np.random.default_rng(3).standard_normal((50, 6)) * [5, 3, 1, 1, 0.1, 0]
    for x in (points, points[:4]):
        values = np.linalg.eigvalsh(np.cov(x.T))
        assert effective_rank(x) == pytest.approx(values.sum() ** 2 / (values**2).sum(), rel=1e-12)
    assert effective_rank(np.ones((5, 3))) == 0


def test_healthy_samples_have_not_collapsed():
    found = gs.is_collapsed(ring(600, 1), ring(5000, 2), modes=(CENTRES, 0.1))
    assert not found
    assert not found.diverged
    # 256 against 256 points: coverage scatters by some percent, spread by sqrt(2 / 256)
    assert found.knn_coverage == pytest.approx(1, abs=0.1)
    assert found.spread == pytest.approx(1, abs=0.1)
    assert found.density == pytest.approx(1, abs=0.25)
    assert found.energy_distance < 0.05
    assert found.soft_coverage > 0.9
    assert found.effective_rank == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("options", [{}, {"modes": (CENTRES, 0.1)}])
def test_one_mode_or_two_neighbouring_ones_are_a_collapse(options):
    for modes in ([3], [3, 4]):
        found = gs.is_collapsed(ring(256, 1, modes), ring(2000, 2), **options)
        assert found
        assert found.knn_coverage < 1 / 3
        assert found.spread < 0.5
        assert found.reasons


def test_a_point_is_a_collapse_even_in_the_middle_of_the_data():
    data = np.random.default_rng(0).standard_normal((600, 3))
    found = gs.is_collapsed(np.zeros((100, 3)), data)
    assert found
    assert found.spread == 0
    assert found.effective_rank == 0


def test_blurred_or_scaled_samples_and_outliers_have_not_collapsed():
    data = ring(2000, 2)
    blurred = gs.is_collapsed(ring(256, 1, std=0.5), data)
    assert not blurred
    assert blurred.density < 0.5
    outliers = ring(256, 1)
    outliers[:3] = 30 * outliers[:3]
    found = gs.is_collapsed(outliers, data)
    assert not found
    assert found.diverged
    assert found.largest_excursion > 20
    opposite = gs.is_collapsed(ring(256, 1, [0, 4]), data)  # two modes as wide as all: not by this rule
    assert not opposite
    assert opposite.knn_coverage < 0.5


def test_rotation_shift_and_scale_change_nothing():
    rng = np.random.default_rng(4)
    turn = np.linalg.qr(rng.standard_normal((5, 5)))[0]
    samples, data = rng.standard_normal((200, 5)) * 0.7, rng.standard_normal((700, 5)) * [2, 1, 1, 1, 0.5]
    one = gs.is_collapsed(samples, data)
    for scale in (1e-3, 1.0, 1e4):
        other = gs.is_collapsed(scale * samples @ turn + 3, scale * data @ turn + 3)
        for name in ("spread", "knn_coverage", "density", "effective_rank", "energy_distance", "largest_excursion"):
            # rounding of the shift by 3 against coordinates of 1e-3
            assert getattr(other, name) == pytest.approx(getattr(one, name), rel=1e-9), name


def test_equal_seeds_give_equal_answers_and_shapes_are_flattened():
    rng = np.random.default_rng(5)
    samples, data = rng.standard_normal((400, 2, 3)), rng.standard_normal((900, 2, 3))
    one = gs.is_collapsed(samples, data, seed=3)
    flat = gs.is_collapsed(samples.reshape(400, 6).astype(np.float32), data.reshape(900, 6), seed=3)
    assert one.knn_coverage == flat.knn_coverage
    assert one.spread == pytest.approx(flat.spread, rel=1e-6)  # float32
    assert set(one.to_dict()) >= {"knn_coverage", "density", "spread", "effective_rank", "energy_distance", "real"}


def test_samples_that_are_not_finite_are_a_result():
    data = ring(500, 2)
    samples = ring(50, 1)
    samples[7, 0] = math.nan
    for broken in (samples, np.full((50, 2), math.inf), np.full((50, 2), 1e200)):
        found = gs.is_collapsed(broken, data)
        assert not found
        assert found.diverged
        assert "diverged" in found.reasons[0]


def test_many_coordinates_are_compared_in_principal_components():
    rng = np.random.default_rng(6)
    basis = rng.standard_normal((3, 100))
    data, good = rng.standard_normal((600, 3)) @ basis, rng.standard_normal((200, 3)) @ basis
    found = gs.is_collapsed(good, data)
    assert "64 principal components of 100" in found.notes[0]
    assert not found
    low = gs.is_collapsed(good @ np.linalg.pinv(basis), data @ np.linalg.pinv(basis))
    assert abs(found.knn_coverage - low.knn_coverage) < 0.15  # other norms, same cloud
    featured = gs.is_collapsed(good, data, features=lambda rows: rows @ np.linalg.pinv(basis))
    assert featured.knn_coverage == pytest.approx(low.knn_coverage, rel=1e-12)
    pair = gs.is_collapsed(good, data, features=(good @ np.linalg.pinv(basis), data @ np.linalg.pinv(basis)))
    assert pair.energy_distance == pytest.approx(low.energy_distance, rel=1e-12)


def test_digits_with_labels():
    datasets = pytest.importorskip("sklearn.datasets")
    digits = datasets.load_digits()
    images, labels = digits.images, digits.target
    half = np.random.default_rng(0).permutation(len(images))
    train, test = half[:900], half[900:]
    healthy = gs.is_collapsed(images[test], images[train], labels=labels[train])
    assert not healthy
    assert healthy.soft_coverage > 0.9
    zeros = images[labels == 0][:100] * 0.5 + images[labels == 0].mean(axis=0) * 0.5
    lost = gs.is_collapsed(zeros, images[train], labels=labels[train])
    assert lost
    assert lost.soft_coverage < 0.25
    assert "soft coverage" in lost.reasons[0]


@pytest.mark.parametrize(
    "changes, name",
    [
        ({"samples": np.zeros((5, 2))}, "samples"),
        ({"data": np.zeros((10, 2))}, "data"),
        ({"data": np.ones((100, 2))}, "data"),
        ({"data": np.full((100, 2), math.nan)}, "data"),
        ({"samples": np.zeros((50, 3))}, "samples"),
        ({"samples": [["a", "b"]] * 50}, "samples"),
        ({"samples": 3.0}, "samples"),
        ({"k": 0}, "k"),
        ({"seed": -1}, "seed"),
        ({"labels": [1, 2]}, "labels"),
        ({"labels": np.zeros(400), "modes": (CENTRES, 0.1)}, "modes"),
        ({"modes": CENTRES}, "modes"),
        ({"modes": (np.zeros((2, 3)), 0.1)}, "modes"),
        ({"modes": (np.zeros((0, 2)), 0.1)}, "modes"),
        ({"modes": (CENTRES, -1.0)}, "modes"),
        ({"features": 3}, "features"),
        ({"features": lambda rows: rows[:2]}, "features"),
        ({"features": (np.zeros((3, 2)), np.zeros((400, 2)))}, "features"),
        ({"data_radius": 0}, "data_radius"),
    ],
)
def test_bad_input_is_named(changes, name):
    given = {"samples": ring(50, 1), "data": ring(400, 2)} | changes
    with pytest.raises(gs.ParameterError) as error:
        gs.is_collapsed(given.pop("samples"), given.pop("data"), **given)
    assert error.value.name == name


def test_a_checkpoint_is_looked_at_through_its_backend():
    backend = FormulaBackend(np.zeros((4, 4)), 2, start=[0, 0, 3.0, 4.0])
    found = order_statistics(backend, data_radius=2.0)
    assert not found
    assert found.discriminator_slope == pytest.approx(5.0 * 2.0)
    assert found.energy_distance < 0.05
    narrow = FormulaBackend(np.zeros((4, 4)), 2, width=0.1)
    assert order_statistics(narrow)


def test_equal_laws_of_many_coordinates_have_not_collapsed():
    """Principal axes follow the rows that they are fitted to, so those rows must not be the ones compared."""
    rng = np.random.default_rng(0)
    samples, data = rng.standard_normal((128, 2000)), rng.standard_normal((256, 2000))
    found = gs.is_collapsed(samples, data)
    assert not found
    assert found.spread == pytest.approx(samples.var(axis=0).sum() / data.var(axis=0).sum(), rel=1e-12)
    assert found.spread == pytest.approx(1, abs=0.05)
    assert found.knn_coverage == pytest.approx(1, abs=0.2)  # 64 reference points
    assert gs.is_collapsed(0.1 * samples, data)
    labelled = gs.is_collapsed(samples, data, labels=np.arange(256) % 3)
    assert labelled.soft_coverage > 0.8


def test_neighbours_are_fewer_than_the_rows_they_are_sought_among():
    rng = np.random.default_rng(1)
    for axes, most in ((2, 255), (100, 127)):
        samples, data = rng.standard_normal((700, axes)), rng.standard_normal((2000, axes))
        assert not gs.is_collapsed(samples, data, k=most)
        with pytest.raises(gs.ParameterError, match=f"k = {most + 1}: expected less than {most + 1}"):
            gs.is_collapsed(samples, data, k=most + 1)


def test_the_width_of_the_modes_decides_how_samples_between_them_count():
    """Half of the samples at one mode, half between it and the next: a posterior by hand."""
    x = np.concatenate([np.tile(CENTRES[0], (60, 1)), np.tile(0.7 * CENTRES[0] + 0.3 * CENTRES[1], (60, 1))])
    for std in (0.1, 0.15):
        weights = np.exp(-(np.linalg.norm(x[:, None] - CENTRES, axis=2) ** 2) / (2 * std**2))
        shares = (weights / weights.sum(axis=1, keepdims=True)).mean(axis=0)
        exact = np.exp(-np.sum(shares * np.log(shares))) / 8
        assert gs.is_collapsed(x, ring(400, 2), modes=(CENTRES, std)).soft_coverage == pytest.approx(exact, rel=1e-12)
    assert gs.is_collapsed(x, ring(400, 2), modes=(CENTRES, 0.0)).soft_coverage == 1 / 8
    # modes that overlap are told apart all the same, as by the order parameters
    wide = gs.is_collapsed(x, ring(400, 2), modes=(CENTRES, 5.0)).soft_coverage
    assert wide == pytest.approx(gs.order_parameters(x, CENTRES).soft_coverage, rel=1e-12)
