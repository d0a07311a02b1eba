"""Pictures of particles: what stands on them, what their data say, and animations of their runs."""

import importlib
import warnings

import numpy as np
import pytest
from command_line import refused
from matplotlib.collections import LineCollection
from PIL import Image

import ganscope as gs
from ganscope import figures
from ganscope.claims import recipes_particle as ring
from ganscope.claims import recipes_particle_network as networks
from ganscope.claims import recipes_particle_torus as torus
from ganscope.figures import animation, style
from ganscope.games.particle.cloud.data import digits
from ganscope.games.particle.damping import mode_spectrum

SMALL_NET = dict(discriminator_width=8, real_batch=16)
RING = gs.ParticleGAN(particles=12, coupling=8.0, **SMALL_NET)
LINE = gs.ParticleGAN(particles=10, coupling=3.0, modes=[-1.0, 0.5, 2.0], mode_width=0.1, **SMALL_NET)
SPACE = gs.ParticleGAN(particles=10, coupling=3.0, modes=np.eye(4) * [3.0, 2.0, 1.0, 0.5], **SMALL_NET)
POINTS = gs.ParticleGAN(
    particles=10, coupling=3.0, real_points=np.random.default_rng(0).normal(size=(40, 2)), modes=5, **SMALL_NET
)
KERNEL = gs.ParticleGAN(particles=10, coupling=3.0, discriminator=gs.RBF(0.7), features=32, real_batch=16)
CIRCLE = gs.TorusGAN(particles=12, modes=4, frequencies=6, regularization=0.1)
GAMES = [RING, LINE, SPACE, POINTS, KERNEL, CIRCLE]
NAMES = ["ring", "line", "space", "points", "kernel", "circle"]


def short(game, **options):
    size = dict(horizon=4.0) if isinstance(game, gs.TorusGAN) else dict(iterations=40)
    return gs.simulate(game, "particles", **(size | options))


def texts(figure):
    """The captions and legends of a figure."""
    found = [figure.get_supxlabel()]
    for legend in figure.legends:
        found += [legend.get_title().get_text(), *(text.get_text() for text in legend.get_texts())]
    return " ".join(" ".join(found).split())


def crosses(axes):
    return [line for line in axes.lines if line.get_marker() == "X"]


def panels_of(figure):
    """The panels of a figure, colour bars left out."""
    return [axes for axes in figure.axes if axes.get_label() != "<colorbar>"]


def assert_axes_are_labelled(figure):
    for k, axes in enumerate(panels_of(figure)):
        assert "[" in axes.get_xlabel(), f"panel {k} has no unit on x: {axes.get_xlabel()!r}"
        assert "[" in axes.get_ylabel(), f"panel {k} has no unit on y: {axes.get_ylabel()!r}"
    assert figure.get_suptitle()


@pytest.mark.parametrize("game", GAMES, ids=NAMES)
def test_runs_are_drawn(game):
    one, two = short(game), short(game, replicas=2, seed=1)
    for thing in (one, two, [one, two]):
        figure = gs.plot(thing)
        assert_axes_are_labelled(figure)
        assert len(figure.axes) == 4
        assert f"discriminator_lr = {game.discriminator_lr:g}" in texts(figure)
        assert f"{game.particles} particles" in texts(figure)
    assert "2 replicas" in texts(figure)
    assert "open, or dotted: coverage, wander" in texts(figure)


@pytest.mark.parametrize("game", GAMES, ids=NAMES)
def test_predictions_are_drawn(game):
    prediction = gs.predict(game)
    figure = gs.plot(prediction)
    assert_axes_are_labelled(figure)
    assert len(figure.axes) == 3
    assert str(prediction.outcome) in figure.get_suptitle()
    spectrum, rates, _ = figure.axes
    shown = next(line for line in spectrum.lines if line.get_marker() == "o")
    np.testing.assert_allclose(shown.get_xydata() @ [1, 1j], np.asarray(prediction.equilibria[0].spectrum.values))
    best = prediction.best["gradient_penalty"]
    marked = [line for line in rates.lines if len(line.get_xdata()) == 2]
    assert any(line.get_xdata()[0] == best for line in marked)
    assert f"without the 1/2: {style.number(best / 2)}" in texts(figure)


def test_the_best_penalty_of_a_circle_maximises_the_slowest_drawn_rate():
    game = CIRCLE.replace(regularization=0.0)
    rates = gs.plot(gs.predict(game)).axes[1]
    lines = [line for line in rates.lines if len(line.get_xdata()) > 2]
    slowest = np.min([line.get_ydata() for line in lines], axis=0)
    found = lines[0].get_xdata()[np.argmax(slowest)]
    # the drawn grid is spaced by less than 3 percent
    assert found == pytest.approx(gs.predict(game).best["gradient_penalty"], rel=0.04)


def test_a_ring_shows_its_particles_before_and_after():
    run = short(RING)
    places = gs.plot(run).axes[0]
    drawn = [line.get_xydata() for line in places.lines]
    assert any(np.array_equal(points, run.positions[0]) for points in drawn)
    assert any(np.array_equal(points, run.positions[-1]) for points in drawn)
    (paths,) = (c for c in places.collections if isinstance(c, LineCollection))
    np.testing.assert_array_equal(paths.get_segments()[0], run.positions[:, 0])
    assert len([patch for patch in places.patches if patch.radius == pytest.approx(RING.target.capture_radius)]) == 8
    assert np.ptp(places.get_xlim()) == pytest.approx(np.ptp(places.get_ylim()))


def test_order_parameters_are_those_of_the_run():
    run = short(RING)
    _, cover, motion, force = gs.plot(run).axes
    for axes, name in ((cover, "soft_coverage"), (cover, "coverage"), (motion, "spread"), (motion, "wander")):
        assert any(np.array_equal(line.get_ydata(), run[name]) for line in axes.lines), name
    kept = np.isfinite(run.rigidity.values)
    assert any(np.array_equal(line.get_ydata(), run.rigidity.values[kept]) for line in force.lines)


def test_paths_on_a_circle_break_where_it_is_cut_open():
    start = np.linspace(2.0, 2.6, 12)
    run = gs.simulate(CIRCLE.replace(mean_mobility=40.0, initial_positions=start), "particles", horizon=4.0)
    assert np.ptp(run.positions.values) > 2 * np.pi
    places = gs.plot(run).axes[0]
    (paths,) = (c for c in places.collections if isinstance(c, LineCollection))
    assert len(paths.get_segments()) > 12
    for path in paths.get_segments():
        assert np.all(np.abs(np.diff(path[:, 1])) <= np.pi)
        # an angle is that of the run, up to whole turns
        at = np.searchsorted(run.time.values, path[:, 0])
        turns = (path[:, 1][:, None] - run.positions.values[at]) / (2 * np.pi)
        assert np.min(np.abs(turns - np.round(turns)), axis=1).max() < 1e-9


def test_several_dimensions_are_seen_along_principal_axes():
    run = short(SPACE)
    places = gs.plot(run).axes[0]
    assert "principal axis" in places.get_xlabel()
    centres = next(line.get_xydata() for line in places.lines if line.get_marker() == "+")
    centred = SPACE.modes - SPACE.modes.mean(axis=0)
    variances = np.sort(np.linalg.eigvalsh(centred.T @ centred / 4))[::-1]
    np.testing.assert_allclose(np.var(centres, axis=0), variances[:2], rtol=1e-12)


def test_levels_and_theory_are_told_apart():
    game = RING.replace(coupling=gs.network_kernel(1, "relu").coupling(12))
    options = dict(generator_width=16, generator_depth=1, latent_dimension=64)
    network = gs.simulate(game, "network", iterations=20, **options)
    figure = gs.plot([short(game), network])
    assert "network, relu generator" in texts(figure)
    linear = gs.simulate(CIRCLE, "linear", horizon=4.0)
    figure = gs.plot([short(CIRCLE), linear])
    assert "linear theory" in texts(figure)
    assert any(np.array_equal(line.get_ydata(), linear.spread) for line in figure.axes[2].lines)


def test_equal_runs_of_two_seeds_have_labels_of_their_own():
    words = texts(gs.plot([short(RING), short(RING, seed=5)]))
    assert "particles, seed 0" in words
    assert "particles, seed 5" in words


def test_a_run_that_diverges_ends_at_a_cross():
    game = RING.replace(coupling=64.0, relative_step=2.0, discriminator_lr=2.0, gradient_penalty=0.0)
    run = gs.simulate(game, "particles", iterations=60)
    figure = gs.plot(run)
    assert all(crosses(axes) for axes in figure.axes)
    assert "leaves every bounded region" in texts(figure)
    lost = run.copy()
    for name in run.data_vars:
        lost[name] = run[name].where(run.time < 0)
    assert_axes_are_labelled(gs.plot(lost))


@pytest.mark.parametrize("game", GAMES, ids=NAMES)
def test_runs_that_stop_being_finite_are_drawn(game):
    run = short(game)
    for name in run.data_vars:
        run[name] = run[name].where(run.time < 0.6 * run.time[-1])
    figure = gs.plot(run)
    assert_axes_are_labelled(figure)
    assert all(crosses(axes) for axes in figure.axes)


# Arguments that make a recipe quick, and the number of panels.
FEW = dict(couplings=(1.0, 64.0), iterations=40, replicas=2)
SMALL = {
    "particle:F1": (
        dict(depths=(1, 3), networks=networks.NETWORKS[2:4], measured_depths=(1,), samples=2, width=32, latents=4), 1
    ),
    "particle:F2": (
        dict(latent_dimensions=(8, 16), widths=(16, 32), width=32, latent_dimension=16, latents=6, samples=2,
             networks=3, bins=8),
        3,
    ),
    "particle:F3": (
        dict(generators=networks.GENERATORS[:1], particles=8, width=16, latent_dimension=64, iterations=5, seeds=2),
        2,
    ),
    "particle:F4": (FEW, 4),
    "particle:F5": (
        dict(couplings=(1.0, 64.0), mode_widths=(0.05, 0.2), discriminators=("relu",), iterations=40, replicas=2,
             finer=(0.05, 2, 40)),
        1,
    ),
    "particle:F6": (FEW | dict(discriminators=("relu", "sin"), harmonics=10, networks=2), 4),
    "particle:F7": (dict(penalties=(0.4, 1.13), shown=(0.5, 2.0), replicas=2, particles=16, horizon=20.0, num=41), 3),
    "particle:F8": (
        dict(settings=torus.COLLAPSED[1:], low=0.5, high=4.0, num=3, num_simulated=2, starts=2, horizon=6.0,
             particles=4),
        2,
    ),
    "particle:F9": (
        dict(penalties=(0.0, 1.0), steps=(1, 2), couplings=(4.0, 64.0), replicas=2, replicas_of_steps=2, iterations=40),
        2,
    ),
    "particle:F10": (dict(couplings=(1.0, 64.0), iterations=(0, 5)), 4),
    "particle:F11": (dict(couplings=(1.0, 128.0), replicas=2, iterations=20, particles=20), 4),
}  # fmt: skip


def test_every_figure_of_the_catalogue_has_a_test():
    assert set(SMALL) == {name for name in figures.catalogue() if name.startswith("particle:")}


@pytest.mark.parametrize("name", SMALL)
def test_figures_are_drawn(name, tmp_path, monkeypatch):
    sizes, panels = SMALL[name]
    if name == "particle:F11":
        pytest.importorskip("sklearn")
    drawn = []
    write = style.write
    monkeypatch.setattr(style, "write", lambda figure, path: drawn.append(figure) or write(figure, path))
    path = figures.rebuild(name, tmp_path, **sizes)
    assert path.read_bytes().startswith(b"\x89PNG")
    (figure,) = drawn
    assert len(panels_of(figure)) == panels
    assert all(axes.lines or axes.collections or axes.patches for axes in panels_of(figure))
    if name != "particle:F10":  # shared axes are labelled at the rim
        assert_axes_are_labelled(figure)
    assert len(texts(figure)) > 100


def test_drawings_do_not_simulate():
    for name in (
        "particle", "particle_network", "particle_torus", "particle_runs", "particle_predictions", "particle_shown",
        "animation",
    ):  # fmt: skip
        drawn = vars(importlib.import_module(f"ganscope.figures.{name}"))
        assert not set(drawn) & {"simulate", "simulate_many"}


def test_recipes_speak_no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ring.order_parameters_against_coupling(couplings=(1.0, 2.0), discriminators=("relu",), iterations=20)
        torus.damping(**SMALL["particle:F7"][0])


def test_runs_that_figures_share_are_made_once():
    sizes = dict(couplings=(1.0, 32.0), iterations=20, replicas=2)
    order = ring.order_parameters_against_coupling(discriminators=("tanh",), mode_width=0.1, **sizes)["order"]
    before = ring._scan.cache_info().hits
    phases = ring.phase_diagrams(
        couplings=(1.0, 32.0), mode_widths=(0.1,), discriminators=("tanh",), finer=(0.1, 2, 20)
    )["phases"]
    assert ring._scan.cache_info().hits == before + 1
    np.testing.assert_array_equal(phases.soft_coverage[0, 0], order.soft_coverage[0].mean("replica"))


def test_settled_values_are_those_of_the_last_quarter():
    run = gs.simulate_many(RING, {"coupling": np.array([1.0, 8.0])}, "particles", iterations=80, replicas=2)
    found = ring.settled(run)
    np.testing.assert_allclose(found["coverage"], run.coverage.values[..., 60:].mean(axis=-1), rtol=1e-14)
    np.testing.assert_array_equal(found["wander"], run.wander.values[..., -1])


def test_crossings_are_linear_in_the_logarithm():
    chi = np.array([1.0, 4.0, 16.0])
    assert ring.crossing(chi, np.array([1.0, 0.8, 0.4]), 0.6) == pytest.approx(8.0)
    assert ring.crossing(chi, np.array([0.0, 0.2, 1.0]), 0.6, falling=False) == pytest.approx(8.0)
    assert ring.crossing(chi, np.array([1.0, 0.8, 0.7]), 0.6) == np.inf
    assert ring.crossing(chi, np.array([0.5, 0.8, 0.7]), 0.6) == 0.0


def test_the_jackknife_of_a_mean_is_its_standard_error():
    # for values that are linear in log coupling the crossing is a mean of logarithms, where the jackknife is exact
    chi, shifts = np.exp(np.linspace(0.0, 3.0, 7)), np.array([0.1, -0.2, 0.25, 0.05])
    samples = 1.0 - np.log(chi)[:, None] / 3 + shifts
    found, factor = ring.boundary(chi, samples, 0.5)
    places = 3 * (0.5 + shifts)
    assert np.log(found) == pytest.approx(places.mean())
    assert np.log(factor) == pytest.approx(places.std(ddof=1) / 2)
    assert np.isnan(ring.boundary(chi, samples[:, :1], 0.5)[1])


def test_angular_spectra_are_the_tabled_ones_and_those_of_networks():
    game, m = gs.ParticleGAN(), np.arange(9)
    expected = {"tanh": (0.54381, 3.054e-3, 4.380e-5), "sin": (0.29262, 3.559e-4, 9.006e-8),
                "softplus": (0.49020, 1.344e-4, 2.758e-8), "relu": (0.67396, 2.7360e-2, 5.36489e-3)}  # fmt: skip
    for name, values in expected.items():
        kernel = ring._infinite(name, game, m)
        np.testing.assert_allclose(kernel[[1, 4, 8]], values, rtol=5e-4)
        measured = ring._measured(name, game, m, 24)[:, :5]
        error = measured.std(axis=0) / np.sqrt(24 - 1)
        # five standard errors, and a twentieth for what a width of 64 changes in the mean
        assert np.all(np.abs(measured.mean(axis=0) - kernel[:5]) < 5 * error + 0.05 * kernel[:5]), name


def test_the_best_penalty_is_the_tabled_one_and_times_are_u_shaped():
    data = torus.damping(penalties=(0.1, 0.4, 1.13, 3.2, 9.05), replicas=3)
    assert data["theory"].attrs["best"] == pytest.approx(1.1555, abs=5e-4)
    assert data["theory"].attrs["best_rate"] == pytest.approx(0.5096, abs=5e-4)
    np.testing.assert_allclose(data["theory"].own_best, [1.5054, 0.9079, 0.8273], atol=5e-5)
    # times from other displacements of the same amplitude
    np.testing.assert_allclose(data["times"].time.mean("replica"), [131, 32, 13.7, 45, 131], rtol=0.1)


def test_measured_eigenvalues_are_those_of_theory():
    found = torus.damping(penalties=(1.0,), replicas=1, horizon=20.0)["eigenvalues"]
    k = found.wavenumber.values
    stiffness = k**2 * np.exp(-((0.5 * k) ** 2) / 2)
    theory = mode_spectrum(0.5, stiffness[:, None], found.gradient_penalty.values)
    # second-order steps of 0.01 change a rate r by about 0.01^2 r^3 / 6
    np.testing.assert_allclose(found.measured, theory, atol=2e-4)


def test_the_spread_of_a_collapsed_cloud_grows_as_the_exponent_says():
    data = torus.transverse(settings=torus.COLLAPSED[:1], low=0.6, high=1.6, num=2, num_simulated=2)
    np.testing.assert_allclose(data["theory"].exponent[0], [1.44, -0.66], atol=0.01)
    growth = data["simulated"].growth.mean("start")
    np.testing.assert_allclose(growth, data["theory"].exponent, rtol=0.1)


def test_kernel_ratios_are_the_tabled_ones():
    some = [networks.NETWORKS[i] for i in (0, 3, 4)]
    data = networks.kernel_ratios(
        depths=(1, 2, 300), networks=some, measured_depths=(1,), samples=3, width=256, latents=12
    )
    theory, measured = data["theory"], data["measured"]
    np.testing.assert_allclose(theory.ratio[0], [0.1591549431, 0.2285695454, 0.25930], rtol=2e-5)
    np.testing.assert_allclose(theory.ratio[2, :2], [0.1039722, 0.1538289], rtol=1e-5)
    np.testing.assert_array_equal(theory.ratio[1], 0.0)
    # 66 pairs of latents of spread slope / sqrt(512), three networks: 0.004 same_kernel, and more for the width
    np.testing.assert_allclose(measured.ratio.mean("sample")[:, 0], theory.ratio[:, 0], atol=0.02)


def test_the_spread_of_kernels_falls_with_width():
    data = networks.kernel_spread(
        latent_dimensions=(8,), widths=(64, 256), width=256, latents=24, samples=2, networks=12, bins=12
    )
    # 15.2 / sqrt(width), and four standard errors of a spread of twelve networks
    measured = data["same"].spread * np.sqrt(data["same"].width)
    assert bool((abs(measured - 15.2) < 4 * data["same"].error * np.sqrt(data["same"].width)).all())
    assert data["cross"].attrs["cross_kernel"] == pytest.approx(1.3714172726)


def test_particles_with_the_measured_kernel_follow_a_real_generator():
    runs = networks.real_generator(
        generators=networks.GENERATORS[1:2], particles=16, width=128, latent_dimension=128, iterations=10, seeds=1
    )["runs"]
    start = runs.positions.isel(time=0)
    assert bool((start == start.isel(motion=0)).all())
    error = runs.error.isel(generator=0, seed=0, time=-1)
    assert float(error.sel(replacement="measured_kernel")) < 0.05 < float(error.sel(replacement="two_numbers"))


def test_digits_are_scaled_to_a_variance_of_two():
    pytest.importorskip("sklearn")
    points, labels = digits()
    assert points.shape == (1797, 16)
    assert points.var(axis=0).sum() == pytest.approx(2.0)
    np.testing.assert_allclose(points.mean(axis=0), 0.0, atol=1e-14)
    variances = points.var(axis=0)
    assert np.all(np.diff(variances) < 0)
    assert sorted(set(labels.tolist())) == list(range(10))
    assert len(digits(components=3)[0][0]) == 3
    with pytest.raises(gs.ParameterError, match="components"):
        digits(components=65)


# animations


@pytest.mark.parametrize("game", GAMES, ids=NAMES)
def test_an_animation_has_its_frames(game, tmp_path):
    run = short(game)
    path = animation.animate(run, tmp_path / "film.gif", frames=7)
    with Image.open(path) as film:
        assert film.format == "GIF"
        assert film.n_frames == 7
        assert film.info["loop"] == 0
    assert [p.name for p in tmp_path.iterdir()] == ["film.gif"]


def test_frames_show_the_records_of_the_run():
    run = short(RING)
    film = animation.make_film(run, RING, 5)
    np.testing.assert_array_equal(film.records, [0, 10, 20, 30, 40])
    places, strip = film.figure.axes
    assert "[" in places.get_xlabel()
    for record in (0, 20, 40):
        film.show(record)
        points = next(line for line in places.lines if line.get_marker() == "o")
        np.testing.assert_array_equal(points.get_xydata(), run.positions[record])
        np.testing.assert_array_equal(strip.lines[0].get_ydata(), run.soft_coverage[: record + 1])
        assert f"iteration {record}" in film.figure.get_suptitle()


def test_a_film_of_a_circle_shows_the_discriminator():
    run = short(CIRCLE)
    film = animation.make_film(run, CIRCLE, 5)
    film.show(200)
    curve = next(line.get_xydata() for line in film.figure.axes[0].lines if "discriminator" in str(line.get_label()))
    angle = np.linspace(0.0, 2 * np.pi, len(curve))
    k = np.arange(1, 7)
    values = [2 * np.real(np.exp(1j * angle[:, None] * k) @ d) for d in run.discriminator.values]
    np.testing.assert_allclose(
        np.linalg.norm(curve, axis=1) - 1, 0.3 * values[200] / np.max(np.abs(values)), atol=1e-12
    )


def test_an_animation_ends_where_the_run_does(tmp_path):
    game = RING.replace(coupling=64.0, relative_step=2.0, discriminator_lr=2.0, gradient_penalty=0.0)
    run = gs.simulate(game, "particles", iterations=60)
    film = animation.make_film(run, game, 120)
    film.show(int(film.records[-1]))
    assert "leaves every bounded region" in film.figure.get_suptitle()
    assert len(film.records) < 61
    with Image.open(animation.animate(run, tmp_path / "end")) as picture:
        assert picture.n_frames == len(film.records)


def test_animations_refuse_what_they_cannot_show(tmp_path, monkeypatch):
    run = short(RING)
    with pytest.raises(gs.NotApplicable, match="DiracGAN"):
        animation.animate(gs.simulate(gs.DiracGAN("saturating"), "flow", horizon=1.0), tmp_path / "x.gif")
    with pytest.raises(gs.ParameterError, match="path"):
        animation.animate(run, tmp_path / "x.png")
    monkeypatch.setattr(animation.FFMpegWriter, "isAvailable", classmethod(lambda cls: False))
    with pytest.raises(gs.ParameterError, match="ffmpeg"):
        animation.animate(run, tmp_path / "x.mp4")
    with pytest.raises(gs.ParameterError, match="frames"):
        animation.animate(run, tmp_path / "x.gif", frames=1)
    with pytest.raises(gs.ParameterError, match="run"):
        animation.animate("run", tmp_path / "x.gif")
    many = gs.simulate_many(RING, {"coupling": np.array([1.0, 2.0])}, "particles", iterations=2)
    with pytest.raises(gs.ParameterError, match="one cell"):
        animation.animate(many, tmp_path / "x.gif")
    (tmp_path / "file").write_text("")
    with pytest.raises(gs.StoreError, match="cannot write"):
        animation.animate(run, tmp_path / "file" / "x.gif", frames=2)
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_show_animates_saved_runs(cli, tmp_path):
    run = gs.simulate(RING, "particles", iterations=2)
    gs.save(run, tmp_path / "out" / "particles.zarr")
    done = cli("show", "out/particles.zarr", "--animate", "--out", "film.gif")
    assert done.exit_code == 0, done.output
    assert "film.gif" in done.stdout
    with Image.open("film.gif") as film:
        assert film.n_frames == 3
    gs.save(run, tmp_path / "out" / "again.zarr")
    assert cli("show", "out", "--animate").exit_code == 0
    assert (tmp_path / "out" / "again.gif").exists()
    assert (tmp_path / "out" / "particles.gif").exists()
    refused(cli("show", "out", "--animate", "--out", "one.gif"), "holds several runs")
    refused(cli("show", "out/particles.zarr", "--animate", "--out", "one.png"), "a file .gif")
    refused(cli("show", "nowhere", "--animate"), "does not exist")
    gs.save(gs.simulate(gs.DiracGAN("saturating"), "flow", horizon=1.0), tmp_path / "dirac.zarr")
    refused(cli("show", "dirac.zarr", "--animate"), "only runs of particles can be animated")
