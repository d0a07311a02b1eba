"""Pictures of sweeps: which cells have which colour, which marks stand where, and that they can be told apart."""

import itertools

import numpy as np
import pytest
import xarray as xr
from matplotlib.collections import LineCollection, QuadMesh
from matplotlib.colors import to_rgb
from synthetic_sweeps import interrupted, synthetic_sweep

import ganscope as gs
from ganscope.cli import agreement
from ganscope.figures import regions, style
from ganscope.figures.diagram import draw_sweep
from ganscope.figures.sweep_view import cell_edges, choose_view, scale_of
from ganscope.sweep.agreement.diagrams import Diagram, Margin

GAME = gs.SolvableGAN(feature_variance=(5, 3))
NOISE, RATE = gs.linspace(0.2, 6, 9), gs.logspace(0.01, 0.4, 7)


@pytest.fixture(scope="module")
def theory():
    return synthetic_sweep(GAME, {"data_noise": NOISE, "generator_lr": RATE})


@pytest.fixture(scope="module")
def both():
    return synthetic_sweep(GAME, {"data_noise": NOISE, "generator_lr": RATE}, "both", "ode", horizon=100)


def cells(figure, panel=0):
    """The codes of the coloured cells of a panel, `[y, x]`."""
    (mesh,) = [c for c in figure.axes[panel].collections if isinstance(c, QuadMesh)]
    return np.ma.filled(np.ma.asarray(mesh.get_array()).astype(np.int8), regions.MISSING)


def texts(figure):
    """The caption and the legend."""
    found = [figure.get_supxlabel()]
    for legend in figure.legends:
        found += [legend.get_title().get_text(), *(text.get_text() for text in legend.get_texts())]
    return " ".join(" ".join(found).split())


def marks(axes):
    """Places of the marks of simulated outcomes, with their marker and the width of their edge."""
    known = {look.marker for look in regions.OUTCOMES.values()}
    return [
        (line.get_marker(), line.get_markeredgewidth(), np.transpose(line.get_data()))
        for line in axes.lines
        if line.get_linestyle() == "None" and line.get_marker() in known and len(line.get_xdata())
    ]


# Matrices of Machado, Oliveira and Fernandes (2009) for complete loss of one kind of cones, on linear RGB.
SIGHT = {
    "all colours": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
}
XYZ = np.array([[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.072175], [0.0193339, 0.119192, 0.9503041]])


def lab(colour, sight):
    """CIE L*a*b* of an sRGB colour as somebody sees it, white at D65."""
    rgb = np.array(to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    seen = XYZ @ np.clip(np.array(SIGHT[sight]) @ linear, 0, 1) / XYZ.sum(axis=1)
    f = np.where(seen > 216 / 24389, np.cbrt(seen), (24389 / 27 * seen + 16) / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("sight", SIGHT)
def test_outcomes_can_be_told_apart_by_everybody(sight):
    # A difference of 2.3 is just noticeable side by side; 14 is seen at once across a picture.
    seen = [lab(look.colour, sight) for look in regions.OUTCOMES.values()]
    assert min(np.linalg.norm(a - b) for a, b in itertools.combinations(seen, 2)) > 14


def test_outcomes_are_ordered_in_lightness_alone():
    lightness = sorted(lab(look.colour, "all colours")[0] for look in regions.OUTCOMES.values())
    assert min(np.diff(lightness)) > 12
    assert set(regions.OUTCOMES) == {str(outcome) for outcome in gs.Outcome}
    for field in ("letter", "marker"):  # cues without colour
        assert len({getattr(look, field) for look in regions.OUTCOMES.values()}) == len(regions.OUTCOMES)


def test_edges_lie_between_the_places():
    np.testing.assert_allclose(cell_edges(np.array([1.0, 2.0, 4.0]), False), [0.5, 1.5, 3.0, 5.0])
    np.testing.assert_allclose(cell_edges(np.array([1.0, 4.0, 64.0]), True), [0.5, 2.0, 16.0, 256.0])
    assert cell_edges(np.array([0.1, 1.0]), False)[0] == 0  # a positive parameter
    for places, log in ((np.array([3.0]), False), (np.array([3.0]), True), (np.array([0.0]), False)):
        low, high = cell_edges(places, log)
        assert low < places[0] < high


@pytest.mark.parametrize(
    "values, log",
    [
        (gs.logspace(0.1, 10, 5), True),
        (gs.linspace(0.1, 10, 5), False),
        ([0.01, 0.02, 0.04, 0.08], True),
        ([1.0, 2.0, 3.0, 10.0], False),
        ([-1.0, 1.0, 10.0], False),
    ],
)
def test_an_axis_is_logarithmic_where_its_values_are(values, log):
    sweep = synthetic_sweep(gs.DiracGAN(), {"gradient_penalty": np.abs(values)})
    sweep = sweep.assign_coords(gradient_penalty=np.asarray(values))
    if hasattr(values, "recipe"):
        assert '"start"' in synthetic_sweep(gs.DiracGAN(), {"gradient_penalty": values}).attrs["sweep"]
        sweep = synthetic_sweep(gs.DiracGAN(), {"gradient_penalty": values})
    assert scale_of(sweep, "gradient_penalty").log is log


def test_cells_have_the_colours_of_their_outcomes(theory):
    figure = gs.plot(theory)
    names = list(regions.OUTCOMES)
    expected = np.vectorize(names.index)(theory.outcome.values).T
    np.testing.assert_array_equal(cells(figure), expected)
    axes = figure.axes[0]
    assert axes.get_xlabel().startswith("data_noise")
    assert axes.get_ylabel().startswith("generator_lr")
    assert axes.get_xscale() == "linear"
    assert axes.get_yscale() == "log"
    said = texts(figure)
    for name, count in zip(*np.unique(theory.outcome.values.astype(str), return_counts=True), strict=True):
        assert f"{regions.OUTCOMES[name].letter} {name}: {count}" in said
        letters = [t for t in axes.texts if t.get_text() == regions.OUTCOMES[name].letter]
        assert letters, "every outcome has its letter in the picture"
    assert "feature_variance = (5, 3)" in said
    assert "data_noise =" not in said


def test_letters_stand_in_their_regions(theory):
    figure = gs.plot(theory)
    letter_of = {look.letter: name for name, look in regions.OUTCOMES.items()}
    for text in figure.axes[0].texts:
        x, y = text.get_position()
        assert theory.outcome.sel(data_noise=x, generator_lr=y, method="nearest").item() == letter_of[text.get_text()]


def test_values_in_any_order_are_drawn_in_their_places(theory):
    shuffled = theory.isel(data_noise=np.random.default_rng(0).permutation(9), generator_lr=slice(None, None, -1))
    np.testing.assert_array_equal(cells(gs.plot(shuffled)), cells(gs.plot(theory)))


def test_theory_is_areas_and_simulation_marks(both):
    figure = gs.plot(both)
    names = list(regions.OUTCOMES)
    np.testing.assert_array_equal(cells(figure), np.vectorize(names.index)(both.predicted_outcome.values).T)
    found = marks(figure.axes[0])
    assert sum(len(places) for *_, places in found) == both.sizes["data_noise"] * both.sizes["generator_lr"]
    for marker, _, places in found:
        for x, y in places:
            outcome = both.outcome.sel(data_noise=x, generator_lr=y, method="nearest").item()
            assert regions.OUTCOMES[outcome].marker == marker
    assert f"they agree in {np.sum(both.agreement.values == 1)} of {np.sum(both.agreement.values >= 0)}" in texts(
        figure
    )


def test_marks_are_thinned_on_a_fine_lattice_and_disagreements_never():
    rng = np.random.default_rng(1)
    n = 120
    predicted = np.full((n, n), 0, np.int8)
    simulated = np.where(rng.random((n, n)) < 0.02, 1, 0).astype(np.int8)
    said = regions.agreement(predicted, simulated, np.zeros((n, n), bool))
    _, axes = style.panels(1, 1)
    values = np.arange(n, dtype=float)
    sweep = xr.Dataset({"status": (("a", "b"), np.ones((n, n)))}, {"a": values, "b": values})
    regions.marks(axes[0, 0], scale_of(sweep, "a"), scale_of(sweep, "b"), simulated, said)
    found = {marker: places for marker, _, places in marks(axes[0, 0])}
    differ = np.argwhere(simulated == 1)
    assert {tuple(p) for p in found["s"].astype(int)} == {(x, y) for y, x in differ}
    assert 500 < len(found["o"]) <= 48**2


def test_disagreements_are_framed_unless_near_critical():
    predicted, simulated = np.array([[0, 0, 0, 5, -1, 6]], np.int8), np.array([[0, 1, 1, 0, 0, 0]], np.int8)
    said = regions.agreement(predicted, simulated, np.array([[0, 0, 1, 0, 0, 0]], bool))
    np.testing.assert_array_equal(said.same, [[True, False, False, False, False, False]])
    np.testing.assert_array_equal(said.apart, [[False, True, False, False, False, False]])
    np.testing.assert_array_equal(said.near, [[False, False, True, False, False, False]])


def test_boundaries_run_between_cells_of_different_outcomes(both):
    simulated = both.assign_attrs(measure="simulate")
    figure = gs.plot(simulated)
    names = list(regions.OUTCOMES)
    np.testing.assert_array_equal(cells(figure), np.vectorize(names.index)(both.outcome.values).T)
    codes = np.vectorize(names.index)(both.predicted_outcome.values)
    expected = np.sum(codes[1:] != codes[:-1]) + np.sum(codes[:, 1:] != codes[:, :-1])
    lines = [c for c in figure.axes[0].collections if isinstance(c, LineCollection)]
    segments = [s for c in lines for s in c.get_segments()]
    assert len(segments) == expected
    x, y = scale_of(both, "data_noise"), scale_of(both, "generator_lr")
    for start, end in segments:  # every piece has different outcomes on its two sides
        middle = (start + end) / 2
        across = np.array([1.0, 0.0]) if start[0] == end[0] else np.array([0.0, 1.0])
        sides = []
        for sign in (-1, 1):
            column = np.searchsorted(x.edges, middle[0] + sign * across[0] * 1e-9) - 1
            row = np.searchsorted(y.edges, middle[1] * (1 + sign * across[1] * 1e-9)) - 1
            sides.append(codes[column, row])
        assert sides[0] != sides[1]


def test_missing_cells_are_empty_and_failed_ones_have_a_cross(theory):
    done = np.ones((9, 7), bool)
    done[2:4, 1:3] = False
    figure = gs.plot(interrupted(theory, done, [(5, 5)]))
    drawn = cells(figure)
    np.testing.assert_array_equal(drawn.T == regions.MISSING, ~done)
    assert drawn[5, 5] == regions.FAILED
    (cross,) = [line for line in figure.axes[0].lines if line.get_marker() == "x"]
    np.testing.assert_allclose(np.transpose(cross.get_data()), [[NOISE[5], RATE[5]]])
    assert "failed: 1" in texts(figure)
    assert "not computed yet: 4" in texts(figure)


def test_nothing_is_drawn_of_a_sweep_that_has_not_begun(theory):
    empty = interrupted(theory, np.zeros((9, 7), bool))
    assert np.all(cells(gs.plot(empty)) == regions.MISSING)
    gs.plot(empty, variable="margin")


def test_one_axis_has_a_strip_and_lines():
    sweep = synthetic_sweep(GAME, {"data_noise": NOISE}, "simulate", "chain", replicas=3, horizon=20, dimension=50)
    figure = gs.plot(sweep)
    names = list(regions.OUTCOMES)
    np.testing.assert_array_equal(cells(figure)[0], np.vectorize(names.index)(sweep.outcome.values))
    (row,) = [axes for axes in figure.axes if axes.get_title(loc="left") == "recovery"]
    bars = row.containers[0]
    np.testing.assert_allclose(bars[0].get_ydata(), sweep.recovery.values[..., 0].mean(axis=1), rtol=1e-12)
    half = sweep.recovery.values[..., 0].std(axis=1)
    segments = np.array(bars[2][0].get_segments())
    np.testing.assert_allclose(segments[:, 1, 1] - segments[:, 0, 1], 2 * half, atol=1e-12)
    assert "3 replicas" in texts(figure)
    assert len(figure.axes) <= 6


def test_one_axis_counts_theory_and_simulation(both):
    line = both.isel(data_noise=2).copy(deep=True)
    for name, words in (("predicted_outcome", ["converged"] * 4 + ["diverged"] * 3), ("outcome", ["oscillating"] * 7)):
        line[name].values[:] = words
    figure = gs.plot(line)
    said = texts(figure)
    for name, counts in (("converged", (4, 0)), ("diverged", (3, 0)), ("oscillating", (0, 7))):
        assert f"{regions.OUTCOMES[name].letter} {name}: {counts[0]}, simulated {counts[1]}" in said
    strips = figure.axes[:2]
    assert [axes.get_yticklabels()[0].get_text() for axes in strips] == ["theory", "simulation"]
    assert strips[0].get_xscale() == "log"  # there are minor ticks
    figure.draw_without_rendering()
    ticks = [tick for axes in strips for which in (False, True) for tick in axes.xaxis.get_ticklines(which)]
    assert ticks
    assert not any(tick.get_visible() for tick in ticks)


def test_letters_stand_between_the_marks_of_cells(both):
    figure = gs.plot(both)
    letters = [np.array(text.get_position()) for text in figure.axes[0].texts]
    assert letters
    edges = scale_of(both, "data_noise").edges[1:-1], scale_of(both, "generator_lr").edges[1:-1]
    for letter in letters:
        assert all(np.isclose(along, place, rtol=1e-12).any() for along, place in zip(edges, letter, strict=True))


def test_the_legend_says_what_the_near_cells_are(both):
    odd = both.copy(deep=True)
    odd.predicted_outcome.values[:] = "converged"
    odd.outcome.values[:] = "converged"
    odd.outcome.values[0, :3] = "diverged"
    odd.near_critical.values[:] = False
    odd.predicted_near_critical.values[:] = False
    odd.predicted_near_critical.values[0, :2] = True
    assert "differ, near critical: 2" in texts(gs.plot(odd))
    with style.drawing():
        said = texts(draw_sweep(odd, close="within the margin"))
    assert "differ, within the margin: 2" in said
    assert "they differ: 1" in said
    assert "near critical" not in said


@pytest.mark.parametrize("margin, word", [(None, "near critical"), ("the first cell", "within the margin")])
def test_a_diagram_with_a_margin_of_its_own_says_so(monkeypatch, tmp_path, both, margin, word):
    drawn = []
    monkeypatch.setattr(agreement, "write", lambda figure, path: drawn.append(figure) or path)
    odd = both.copy(deep=True)
    odd.predicted_outcome.values[:] = "converged"
    odd.outcome.values[:] = "oscillating"
    covers = np.zeros(odd.status.shape, bool)
    covers[0, 0] = True
    for name in ("near_critical", "predicted_near_critical"):
        odd[name].values[:] = covers if margin is None else False
    over = {"data_noise": NOISE, "generator_lr": RATE}
    own = None if margin is None else Margin(margin, lambda result: covers)
    agreement._draw(Diagram("solvable:own", "own", GAME, over, over, margin=own), odd, tmp_path / "own.png")
    assert f"differ, {word}: 1" in texts(drawn[0])


def test_panels_have_the_whole_names_of_levels(theory):
    levels = ["explicit", "explicit_sequential", "a_level_that_is_much_too_long_to_read"]
    wide = xr.concat([theory] * 3, "level").assign_coords(level=levels).assign_attrs(theory.attrs)
    for name in wide.data_vars:
        wide[name] = wide[name].transpose("data_noise", "generator_lr", "level", ...)
    titles = [axes.get_title().replace("\n", " ") for axes in gs.plot(wide, x="data_noise", y="generator_lr").axes]
    assert titles[:2] == ["level = explicit", "level = explicit_sequential"]
    assert titles[2] == "level = a_level_that_is_much_to\N{HORIZONTAL ELLIPSIS}"


def test_a_named_axis_has_rows_with_names():
    sweep = synthetic_sweep(gs.DiracGAN(), {"gradient_penalty": [0.1, 0.5, 1.0]}, "predict")
    wide = xr.concat([sweep, sweep, sweep], "rule").assign_coords(
        rule=["simultaneous", '{"name": "RBF", "w": 1}', "[5, 3]"]
    )
    wide = wide.assign_attrs(sweep.attrs)
    for name in wide.data_vars:
        wide[name] = wide[name].transpose("rule", "gradient_penalty", ...)
    axes = gs.plot(wide).axes[0]
    assert axes.get_ylabel() == "rule"  # names read better as rows, although this axis comes first
    assert [t.get_text() for t in axes.get_yticklabels()] == ["simultaneous", "RBF(w 1)", "(5, 3)"]
    line = gs.plot(wide.isel(gradient_penalty=[0]))
    assert next(t.get_text() for t in line.axes[-1].get_xticklabels()) == "simultaneous"


def test_infinite_values_are_names():
    sweep = synthetic_sweep(gs.DiracGAN(), {"gradient_penalty": [0.1, 0.5, 1.0]})
    sweep = sweep.assign_coords(gradient_penalty=[0.1, 0.5, np.inf])
    assert scale_of(sweep, "gradient_penalty").names == ("0.1", "0.5", "inf")
    gs.plot(sweep)


@pytest.fixture(scope="module")
def four():
    over = {"data_noise": [1.0, 3.0], "generator_lr": [0.02, 0.2, 0.4]}
    over |= {"discriminator_lr": gs.linspace(0.1, 0.4, 15), "generator_noise": [1.0, 2.0]}
    return synthetic_sweep(GAME, over)


def test_further_axes_have_panels_or_their_first_value(four):
    figure = gs.plot(four)
    assert len(figure.axes) == 12
    said = texts(figure)
    assert "12 of 15 values of discriminator_lr" in said
    assert "generator_noise = 1" in said
    titles = [axes.get_title() for axes in figure.axes]
    assert titles[0] == "discriminator_lr = 0.1"
    assert titles[-1] == "discriminator_lr = 0.4"
    names = list(regions.OUTCOMES)
    expected = np.vectorize(names.index)(four.outcome.values[:, :, 14, 0]).T
    np.testing.assert_array_equal(cells(figure, 11), expected)


def test_the_plane_can_be_chosen(four):
    figure = gs.plot(four, x="discriminator_lr", y="data_noise", at={"generator_noise": 2, "generator_lr": 0.19})
    names = list(regions.OUTCOMES)
    np.testing.assert_array_equal(cells(figure), np.vectorize(names.index)(four.outcome.values[:, 1, :, 1]))
    assert "generator_lr = 0.2" in texts(figure)  # the nearest one
    at = {"generator_noise": 2, "generator_lr": 0.4, "data_noise": 1}
    assert choose_view(four, at=at).y is None
    gs.plot(four, at=at)


@pytest.mark.parametrize(
    "view, text",
    [
        ({"x": "noise"}, "data_noise"),
        ({"x": "data_noise", "y": "data_noise"}, "another axis"),
        ({"x": "data_noise", "at": {"data_noise": 1}}, "not held"),
        ({"at": {"nose": 1}}, "one of"),
        ({"at": {"data_noise": 100}}, "from 1 to 3"),
        ({"at": {"data_noise": "many"}}, "from 1 to 3"),
        ({"at": {"data_noise": 1, "generator_lr": 0.2, "discriminator_lr": 0.1, "generator_noise": 2}}, "left to draw"),
        ({"variable": "w2"}, "one of"),
        ({"variable": "threshold_upper"}, r"threshold_upper\[0\]"),
        ({"variable": "threshold_upper[9]"}, r"threshold_upper\[0\]"),
        ({"variable": "outcomes"}, "one of"),
        ({"variable": ""}, "one of"),
    ],
)
def test_what_cannot_be_drawn_is_refused(four, view, text):
    with pytest.raises(gs.ParameterError, match=text):
        gs.plot(four, **view)


def test_a_variable_is_a_heat_map(both):
    figure = gs.plot(both, variable="recovery[1]")
    (mesh,) = [c for c in figure.axes[0].collections if isinstance(c, QuadMesh)]
    np.testing.assert_array_equal(np.ma.filled(mesh.get_array(), np.nan), both.recovery.values[..., 1].T)
    assert figure.axes[1].get_ylabel() == "recovery[1]"


def test_a_measure_of_the_users_own_is_a_heat_map_of_its_first_number():
    over = {"a": np.arange(4.0), "b": np.arange(3.0)}
    size = np.arange(12.0).reshape(4, 3)
    data = {"status": (("a", "b"), np.ones((4, 3), np.int8)), "word": (("a", "b"), np.full((4, 3), "x", object))}
    data["size"] = (("a", "b", "replica"), np.stack([size, size + 1], -1))
    sweep = xr.Dataset(data, over, {"sweep": "{}", "measure": "mine"})
    figure = gs.plot(sweep)
    (mesh,) = [c for c in figure.axes[0].collections if isinstance(c, QuadMesh)]
    np.testing.assert_array_equal(mesh.get_array(), size.T + 0.5)
    with pytest.raises(gs.NotApplicable, match="neither outcomes nor numbers"):
        gs.plot(sweep.drop_vars("size"))
    gs.plot(sweep.isel(b=0))


def test_options_of_sweeps_are_refused_elsewhere():
    run = gs.simulate(gs.DiracGAN(), "flow", horizon=1)
    with pytest.raises(gs.ParameterError, match="goes with a sweep"):
        gs.plot(run, x="theta")
    with pytest.raises(gs.ParameterError, match="thing"):
        gs.plot([run, "x"])


def circle(name_x="data_noise", name_y="generator_lr", **attrs):
    """A closed boundary around a disc."""
    turn = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    data = {"error_x": ("point", np.full(40, 0.2)), "error_y": ("point", np.zeros(40))}
    data |= {"outcome_a": ("point", np.full(40, "converged", object)), "segment": ("point", np.zeros(40, np.int64))}
    data |= {
        "outcome_b": ("point", np.full(40, "diverged", object)),
        "sample_outcome": ("sample", np.array(["diverged"])),
    }
    data |= {f"sample_{name}": ("sample", [0.5]) for name in (name_x, name_y)}
    coords = {name_x: ("point", 3 + np.cos(turn)), name_y: ("point", 0.2 + 0.1 * np.sin(turn))}
    own = {"over": [name_x, name_y], "ranges": [[0.2, 6.0], [0.01, 0.4]], "log": [0, 0], "closed_segments": [0]}
    return xr.Dataset(data, coords, own | {"evaluations": 9, "measure": "simulate", "game": gs.to_json(GAME)} | attrs)


def test_a_boundary_is_drawn_alone_and_over_a_sweep(theory):
    curve = circle()
    for figure in (gs.plot(curve), gs.plot([theory, curve]), gs.plot([curve, circle(measure="predict")])):
        lines = [line for line in figure.axes[0].lines if len(line.get_xdata()) == 41]
        assert lines, "the closed curve ends where it began"
        np.testing.assert_array_equal(lines[0].get_xdata()[[0, -1]], curve.data_noise.values[[0, 0]])
        assert figure.axes[0].containers, "errors that can be seen have bars"
        assert "converged | diverged" in texts(figure)
    swapped = gs.plot([theory, curve], x="generator_lr")
    assert any(np.array_equal(line.get_ydata()[:40], curve.data_noise.values) for line in swapped.axes[0].lines)
    with pytest.raises(gs.ParameterError, match="a curve over"):
        gs.plot([theory, circle(name_x="discriminator_lr")])
    with pytest.raises(gs.ParameterError, match="a curve over"):
        gs.plot([curve, circle(name_x="discriminator_lr")])
    empty = curve.isel(point=slice(0)).assign_attrs(closed_segments=[], message="no boundary found")
    assert "no boundary found" in texts(gs.plot(empty))


def test_equilibria_are_solid_where_stable():
    curve = gs.continuation(GAME, "data_noise", (0.2, 6.0))
    figure = gs.plot(curve)
    stable = curve.stable.values
    growth = [line for line in figure.axes[1].lines if len(line.get_xdata()) > 2]
    solid = [line for line in growth if line.get_linestyle() == "-"]
    dashed = [line for line in growth if line.get_linestyle() == "--"]
    assert sum(len(line.get_xdata()) for line in solid) in (stable.sum(), stable.sum() + len(solid))
    assert dashed
    for kind in curve.kind.values:
        assert kind.replace("_", " ") in texts(figure).lower().replace("_", " ")
    line = synthetic_sweep(GAME, {"data_noise": NOISE})
    over = gs.plot([line, curve])
    upright = [a for a in over.axes[0].lines if len(a.get_xdata()) == 2 and np.ptp(a.get_xdata()) == 0]
    np.testing.assert_allclose(sorted(a.get_xdata()[0] for a in upright), np.sort(curve.location.values))


def test_equal_components_of_an_equilibrium_are_both_seen():
    curve = gs.continuation(GAME, "data_noise", (0.2, 6.0)).copy(deep=True)
    curve.state.values[:, 1] = curve.state.values[:, 0] = np.linspace(0, 1, len(curve.state))
    figure = gs.plot(curve)
    names = curve.component.values.tolist()
    assert f"{names[1]} (on {names[0]})" in texts(figure)
    colours = [style.feature_colour(k) for k in range(2)]
    widths = [{a.get_linewidth() for a in figure.axes[0].lines if a.get_color() == colour} for colour in colours]
    assert min(widths[0]) > max(widths[1]), "the upper line leaves a rim of the lower one"


@pytest.mark.parametrize("suffix", [".png", ".pdf", ".svg"])
def test_a_diagram_is_written(theory, tmp_path, suffix):
    gs.plot(theory, tmp_path / f"map{suffix}")
    assert (tmp_path / f"map{suffix}").stat().st_size > 1000


def test_nothing_overlaps_at_the_width_of_a_column(both):
    figure = gs.plot(both)
    assert figure.get_figwidth() <= 4.7  # at 80 mm its letters of 8 points have 5.4
    figure.draw_without_rendering()
    width, height = figure.canvas.get_width_height()
    (legend,) = figure.legends
    box = legend.get_window_extent()
    axes = figure.axes[0].get_tightbbox()
    assert box.y1 <= axes.y0
    assert box.x0 >= 0
    assert box.x1 <= width
    assert axes.y1 <= height
