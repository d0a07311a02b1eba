r"""The data of the kernel GAN's figures: one recipe per figure, beside the claims that it illustrates.

Every recipe returns labelled data sets by name; `figures.kernel` draws them. Sizes are arguments, so that a recipe
can be run small; the defaults are those of the published figures and take seconds each on two cores.

References:
    Becker, Pandit, Rangan, Fletcher. Local Convergence of Gradient Descent-Ascent for Training GANs. 2023.
    Becker, Pandit, Rangan, Fletcher. Instability and Local Minima in GAN Training with Kernel Discriminators. 2022.
    Becker, Pandit, Rangan, Fletcher. GAN Training With Kernel Discriminators: What Parameters Control Convergence
    Rates? IEEE Transactions on Signal Processing, 2025.
"""

import contextlib
import math
import time
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from scipy.spatial.distance import pdist

from ganscope.analysis.linear_prediction import recurrence_roots
from ganscope.core.simulate import simulate, simulate_many
from ganscope.dynamics.rules import RULES
from ganscope.games.kernel.data import digits as digit_points
from ganscope.games.kernel.end_states import (
    algebraic_decay,
    collapse_escape_law,
    collapse_escape_rate,
    cycle_amplitude,
    split_radius,
)
from ganscope.games.kernel.good_minimum import mode_multipliers
from ganscope.games.kernel.isolated import IsolatedNeighbourhood
from ganscope.games.kernel.isolated_formulas import couplings, families, family_radii, stability_label
from ganscope.games.kernel.kernels import RBF
from ganscope.games.kernel.linearisation import gradient_gram
from ganscope.games.kernel.model import KernelGAN
from ganscope.games.kernel.operators import potential
from ganscope.games.kernel.verdict import local_motion

Array = npt.NDArray[np.float64]
Data = dict[str, xr.Dataset]

FAMILIES = ("discriminator", "relative", "mean_real", "mean_turning")
# The published maps: two generated points of total mass 0.8 near a true point of mass 1, generator_lr =
# discriminator_lr, and a speed of generator_lr times the total mass.
_REAL, _GENERATED = 1.0, 0.8
# Radii of a row that differ by less are equal but for rounding.
_EQUAL = 1e-12
# A perturbation in bandwidths that leaves a run in the linear range, and one small enough to tell growth from decay.
_SMALL, _TINY = 1e-5, 1e-6
_MODES_OF = {"optimistic": 4, "heavy_ball": 4}
_MOMENTUM = 0.2
# The two worked neighbourhoods: one generated point of the data's mass, and two that lack a third of it.
_EXAMPLES: dict[str, dict[str, Any]] = {
    "one": dict(real_mass=1.0, generated_mass=(1.0,), bandwidth=1.0, generator_lr=0.6, regularization=1.2),
    "two": dict(real_mass=0.3, generated_mass=(0.1, 0.1), bandwidth=0.5, generator_lr=1.5, regularization=1.2),
}
_DISCRIMINATOR_LR = 0.2


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Neighbourhoods with a surplus are meant: no warning that the masses differ."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="real_mass sums to")
        yield


def _plane(num: int, discriminator_lr: Any) -> tuple[Array, Array, Any]:
    """Bandwidths, regularizations and radii of the published plane; `discriminator_lr` a number or an array."""
    bandwidth, regularization = np.linspace(0.01, 1.0, num), np.linspace(0.01, 10.0, num)
    rate = np.asarray(discriminator_lr)[..., None, None]
    found = family_radii(
        _REAL,
        _GENERATED,
        points=2,
        curvature=1.0 / bandwidth**2,
        regularization=regularization[:, None],
        generator_lr=_GENERATED * rate,
        discriminator_lr=rate,
        rule="simultaneous",
        weighting="unit",
    )
    return bandwidth, regularization, found


def _curves(regularization: Array) -> dict[str, Any]:
    """Bandwidths by regularization: the edges of oscillation, and where discriminator and relative motion tie."""
    scale = math.sqrt(_GENERATED) / regularization
    gap, reach = (abs(math.sqrt(_REAL) + sign * math.sqrt(_GENERATED)) for sign in (-1, 1))
    tie = math.sqrt(_GENERATED * (_REAL - _GENERATED)) / regularization
    names = ("oscillates_from", "oscillates_to", "tie")
    return {name: ("regularization", v) for name, v in zip(names, (scale * gap, scale * reach, tie), strict=True)}


def radius_maps(num: int = 100, discriminator_lrs: Sequence[float] = (0.1, 0.01, 0.001)) -> Data:
    """F1: the squared spectral radius over bandwidth and regularization, at three learning rates.

    Returns:
        `map`: `squared_radius` `(discriminator_lr, regularization, bandwidth)`, and `oscillates` `(regularization,
        bandwidth)`; over `regularization`, `oscillates_from`, `oscillates_to` and `tie` are bandwidths, and
        `flat_from`, `flat_to` `(discriminator_lr, regularization)` those between which the row's minimum is attained.
    """
    rates = np.asarray(discriminator_lrs, np.float64)
    bandwidth, regularization, found = _plane(num, rates)
    least = found.all <= found.all.min(axis=-1, keepdims=True) * (1 + _EQUAL)
    first, last = least.argmax(axis=-1), num - 1 - least[..., ::-1].argmax(axis=-1)
    curves = _curves(regularization)
    inside = (curves["oscillates_from"][1][:, None] < bandwidth) & (bandwidth < curves["oscillates_to"][1][:, None])
    plane = ("discriminator_lr", "regularization")
    data = xr.Dataset(
        {
            "squared_radius": ((*plane, "bandwidth"), found.all**2),
            "oscillates": (("regularization", "bandwidth"), inside),
            "flat_from": (plane, bandwidth[first]),
            "flat_to": (plane, bandwidth[last]),
        }
        | curves,
        {"discriminator_lr": rates, "regularization": regularization, "bandwidth": bandwidth},
        {"real_mass": _REAL, "generated_mass": _GENERATED, "speed_ratio": 1.0},
    )
    return {"map": data}


def dominating_family(num: int = 400, discriminator_lr: float = 0.01) -> Data:
    """F2: which family of motions decays most slowly, over the same plane.

    Returns:
        `map`: `family`, an index into `FAMILIES`, and `radius`, both `(regularization, bandwidth)`; curves as in F1.
    """
    bandwidth, regularization, found = _plane(num, discriminator_lr)
    curves = _curves(regularization)
    turning = (curves["oscillates_from"][1][:, None] < bandwidth) & (bandwidth < curves["oscillates_to"][1][:, None])
    radii = np.stack([found.discriminator, found.relative, found.mean])
    leading = radii.argmax(axis=0)
    family = np.where((leading == 2) & turning, 3, leading)
    data = xr.Dataset(
        {"family": (("regularization", "bandwidth"), family), "radius": (("regularization", "bandwidth"), found.all)}
        | curves,
        {"regularization": regularization, "bandwidth": bandwidth},
        {
            "real_mass": _REAL,
            "generated_mass": _GENERATED,
            "speed_ratio": 1.0,
            "discriminator_lr": discriminator_lr,
            "families": list(FAMILIES),
        },
    )
    return {"map": data}


def _neighbourhood(mass: float = 1.0, **parameters: Any) -> KernelGAN:
    """One true point at 0 and one generated point of a mass, a perturbation of the equilibrium."""
    return KernelGAN([0.0], [_TINY], real_mass=[1.0], generated_mass=[mass], initial_discriminator="equilibrium",
                     discriminator_lr=_DISCRIMINATOR_LR, **parameters)  # fmt: skip


def _phases(parameters: dict[str, Any], mass: float) -> npt.NDArray[np.str_]:
    """Labels of the centre of mass under simultaneous steps, for one point."""
    values = dict(bandwidth=1.0, regularization=1.0, discriminator_lr=_DISCRIMINATOR_LR) | parameters
    rate = values["generator_lr"]
    numbers = couplings(
        1.0, mass, 1.0 / values["bandwidth"] ** 2, values["regularization"], rate * mass, values["discriminator_lr"]
    )
    return stability_label(families(numbers, "simultaneous").mean, is_map=True)


def phase_diagrams(num: int = 12, resolution: int = 241, iterations: int = 1500) -> Data:
    """F3: phases that theory predicts and those that runs from a tiny perturbation show, simultaneous steps.

    Returns:
        `balanced` and `lacking` over `generator_lr` and `regularization` with as much generated mass as real, and with
        0.8 of it; `bandwidth` over both learning rates, equal, and `bandwidth`, with 0.8. In each, `predicted` `(y, x)`
        on a fine grid, `simulated` and `expected` `(cell_y, cell_x)`.
    """
    rates, strengths = (0.02, 4.0), (0.05, 6.0)
    diagrams = {
        "balanced": (1.0, ("generator_lr", rates), ("regularization", strengths)),
        "lacking": (0.8, ("generator_lr", rates), ("regularization", strengths)),
        "bandwidth": (0.8, ("discriminator_lr", (0.01, 1.0)), ("bandwidth", (0.08, 3.0))),
    }
    return {name: _phase_diagram(*about, num, resolution, iterations) for name, about in diagrams.items()}


def _phase_diagram(
    mass: float,
    x: tuple[str, tuple[float, float]],
    y: tuple[str, tuple[float, float]],
    num: int,
    resolution: int,
    iterations: int,
) -> xr.Dataset:
    def grid(count: int, beyond: float) -> tuple[Array, Array]:
        """Both axes, `beyond` cells longer than the range at either end."""
        horizontal, vertical = (
            np.geomspace(low * (low / high) ** (beyond / (num - 1)), high * (high / low) ** (beyond / (num - 1)), count)
            for low, high in (x[1], y[1])
        )
        return horizontal, vertical

    def both(horizontal: Array, vertical: Array) -> dict[str, Array]:
        values = {x[0]: horizontal[None, :], y[0]: vertical[:, None]}
        return values | ({"generator_lr": values["discriminator_lr"]} if x[0] == "discriminator_lr" else {})

    fine, coarse = grid(resolution, 0.5), grid(num, 0.0)
    predicted, expected = (_phases(both(*g), mass) for g in (fine, coarse))
    over = {name: np.broadcast_to(v, (num, num)).ravel() for name, v in both(*coarse).items()}
    width = over.get("bandwidth", np.ones(num * num))
    with _quiet():
        game = _neighbourhood(mass)
        run = simulate_many(
            game, over | {"generated_points": _TINY * width[:, None, None]}, "gda", rule="simultaneous",
            iterations=iterations, save_at=np.arange(iterations + 1),
        )  # fmt: skip
        points = run.generated_points.values
        labels = [_motion(game.replace(bandwidth=w), points[k]) for k, w in enumerate(width.tolist())]
    return xr.Dataset(
        {
            "predicted": (("y", "x"), predicted),
            "expected": (("cell_y", "cell_x"), expected),
            "simulated": (("cell_y", "cell_x"), np.reshape(labels, (num, num))),
        },
        {"x": fine[0], "y": fine[1], "cell_x": coarse[0], "cell_y": coarse[1]},
        {
            "x_name": x[0],
            "y_name": y[0],
            "generated_mass": mass,
            "iterations": iterations,
            "discriminator_lr": _DISCRIMINATOR_LR,
        },
    )


def _motion(game: KernelGAN, points: Array) -> str:
    """What a run of simultaneous steps from a tiny perturbation of the point at 0 shows."""
    label = local_motion(game, points, np.zeros((1, 1)), "simultaneous").label
    if label != "undecided":
        return label
    # Growth or decay so fast that the linear part has but a few records.
    lead = _leading_roots(points[:, :, 0] / game.bandwidth, 2, limit=0.1)[0]
    if not np.isfinite(lead):
        return label
    turns = abs(lead.imag) > 1e-6 * abs(lead)
    return f"{'diverge' if abs(lead) > 1 else 'converge'}_{'oscillatory' if turns else 'monotone'}"


def root_locus(num: int = 401, num_simulated: int = 4, iterations: int = 400) -> Data:
    """F4: multipliers of the centre of mass in the unit disc as one parameter sweeps, for the five rules.

    One generated point with the data's mass.

    Returns:
        By parameter: `multiplier` `(rule, value, branch)` complex, NaN for absent branches, of theory, and
        `measured` `(rule, run, branch)`, read off simulations at `run_value`.
    """
    base = dict(generator_lr=0.6, regularization=1.2, bandwidth=1.0)
    data: Data = {}
    for name, ratios in (("generator_lr", (0.1, 40.0)), ("regularization", (0.05, 6.0)), ("bandwidth", (0.15, 3.0))):
        values = base[name] * np.geomspace(*ratios, num)
        chosen = values[np.linspace(0, num - 1, num_simulated + 2).astype(int)[1:-1]]
        theory, measured = np.full((2, len(RULES), 1, 4), np.nan, np.complex128)
        theory, measured = np.tile(theory, (1, num, 1)), np.tile(measured, (1, num_simulated, 1))
        for r, rule in enumerate(RULES):
            here = base | {name: values}
            numbers = couplings(
                1.0, 1.0, 1.0 / np.square(here["bandwidth"]), here["regularization"], here["generator_lr"],
                _DISCRIMINATOR_LR,
            )  # fmt: skip
            momentum = _MOMENTUM if rule == "heavy_ball" else 0.0
            mean = families(numbers, rule, momentum).mean
            theory[r, :, : mean.shape[-1]] = mean
            options: dict[str, Any] = {"momentum": momentum} if momentum else {}
            game = _neighbourhood(kernel=RBF(base["bandwidth"]), **{k: v for k, v in base.items() if k != "bandwidth"})
            run = simulate_many(game, {name: chosen}, "gda", rule=rule, iterations=iterations, **options)
            for k, points in enumerate(run.generated_points.values):
                roots = _leading_roots(points[:, :, 0], _MODES_OF.get(rule, 2))
                measured[r, k, : len(roots)] = roots
        dims = ("rule", "value", "branch")
        data[name] = xr.Dataset(
            {"multiplier": (dims, theory), "measured": (("rule", "run", "branch"), measured)},
            {"rule": list(RULES), "value": values, "run_value": ("run", chosen)},
            base | {"discriminator_lr": _DISCRIMINATOR_LR, "momentum": _MOMENTUM, "iterations": iterations},
        )
    return data


def _leading_roots(series: Array, modes: int, limit: float = 3e-3) -> npt.NDArray[np.complex128]:
    """The two leading multipliers of a trajectory, `[records, components]`, where it is above rounding and linear."""
    size = np.abs(series).max(axis=1)
    keep = int((size >= limit).argmax()) if (size >= limit).any() else len(size)
    # A single record may lie at 0 on the way through it: rounding begins where nothing larger follows.
    audible = np.flatnonzero(size[:keep] > 1e-13)
    keep = int(audible[-1]) + 1 if len(audible) else 0
    return recurrence_roots(series[:keep], modes)[:2]


def decay(iterations: int = 120, offset: float = 0.1) -> Data:
    """F5: the distance from the equilibrium, simulated and linear, for the five rules and two neighbourhoods.

    Returns:
        `one` (as much generated as real mass, one point) and `two` (two points that lack a third of it): `simulated`
        and `linear` `(rule, time)`, the Euclidean distance of all points from the equilibrium, and
        `radius` `(rule)`, the growth factor per iteration of what the points show.
    """
    data: Data = {}
    for name, example in _EXAMPLES.items():
        width, masses = example["bandwidth"], example["generated_mass"]
        start = offset * width * np.array([1.0, -0.4])[: len(masses)]
        rates = {key: example[key] for key in ("generator_lr", "regularization")}
        with _quiet():
            game = KernelGAN(
                [0.0], start, real_mass=[example["real_mass"]], generated_mass=masses, kernel=RBF(width),
                initial_discriminator="equilibrium", discriminator_lr=_DISCRIMINATOR_LR, **rates,
            )  # fmt: skip
            place = IsolatedNeighbourhood(
                example["real_mass"], masses, kernel=RBF(width), discriminator_lr=_DISCRIMINATOR_LR, **rates
            )
            rows: dict[str, list[Array]] = {"gda": [], "linear": []}
            radius = []
            for rule in RULES:
                options: dict[str, Any] = {"momentum": _MOMENTUM} if rule == "heavy_ball" else {}
                radius.append(place.radii(rule, options.get("momentum", 0.0))["points"])
                for level, found in rows.items():
                    run = simulate(game, level, rule=rule, iterations=iterations, **options)
                    found.append(np.linalg.norm(run.generated_points.values.reshape(iterations + 1, -1), axis=1))
        data[name] = xr.Dataset(
            {
                "simulated": (("rule", "iteration"), np.array(rows["gda"])),
                "linear": (("rule", "iteration"), np.array(rows["linear"])),
                "radius": ("rule", radius),
            },
            {"rule": list(RULES), "iteration": np.arange(iterations + 1)},
            example | {"discriminator_lr": _DISCRIMINATOR_LR, "momentum": _MOMENTUM, "start": start.tolist()},
        )
    return data


def square_start(seed: int = 0) -> KernelGAN:
    """Eight points around the corners of a square: one, two, two and three of them, at four equal masses."""
    corners = np.array([[-2.0, -2.0], [2.0, -2.0], [-2.0, 2.0], [2.0, 2.0]])
    offsets = np.random.default_rng(seed).uniform(-0.3, 0.3, (8, 2)) / math.sqrt(2)
    return KernelGAN(corners, corners[[0, 1, 1, 2, 2, 3, 3, 3]] + offsets, kernel=RBF(0.5), generator_lr=1.0)


def mass_mismatch(iterations: int = 2000, pixels: int = 161, seed: int = 0) -> Data:
    """F6: generated points that start unevenly among the true ones: exact hits, slow closing, and a split.

    Returns:
        `run`: the run; `discriminator`: the best one for the points at its end, `value` `(y, x)`. Its attributes are
        what theory says: `split_radius` of the three points of the overfull corner; `algebraic`, the coefficient of
        iterations^(-1/2) in the distance of the pairs; `radius`, the growth factor per iteration of the single point.
    """
    game = square_start(seed)
    run = simulate(game, "gda", rule="simultaneous", iterations=iterations, save_at=_early(iterations))
    axis = np.linspace(-3.2, 3.2, pixels)
    at = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    end = run.generated_points.values[-1]
    value = potential(game.kernel, at, game.real_points, game.real_mass)
    value = (value - potential(game.kernel, at, end, game.generated_mass)) / game.regularization
    rates: dict[str, Any] = dict(regularization=game.regularization, generator_lr=game.generator_lr)
    alone = IsolatedNeighbourhood(0.25, 0.125, kernel=game.kernel, discriminator_lr=game.discriminator_lr, **rates)
    attrs = {
        "split_radius": float(split_radius(0.25, 0.375, 3, game.bandwidth)),
        "algebraic": float(algebraic_decay(0.25, game.kernel.curvature, **rates)),
        "radius": alone.radii("simultaneous")["points"],
    }
    field = xr.Dataset({"value": (("y", "x"), value.reshape(pixels, pixels))}, {"x": axis, "y": axis}, attrs)
    return {"run": run, "discriminator": field}


def _early(iterations: int, num: int = 200) -> npt.NDArray[np.int64]:
    """Iteration numbers, denser at the beginning, where most happens."""
    return np.unique(np.rint(np.concatenate([[0], np.geomspace(1, iterations, num)])).astype(np.int64))


def digits(
    components: Sequence[int] = (5, 10),
    widths: Sequence[float] = (0.2, 1 / 3, 0.5, 0.7, 1.0, 1.4, 2.0),
    iterations: int = 600,
    num: int = 81,
) -> Data:
    """F7: how slowly generated points approach the mean images of ten digits, by the bandwidth.

    generator_lr is half of regularization over the largest stiffness, so that the stiffest mode is the same at every
    bandwidth; bandwidths are in units of the smallest distance between means.

    Returns:
        `theory`: `radius` `(rule, components, width)` of what the points show, `isolated` `(components, width)`, the
        formula of isolated points (simultaneous steps), and `conditioning` `(components, width)`. `simulated`:
        `radius` `(rule, components, width)`, from runs that start along the stiffest and the softest mode. Attributes
        `smallest` and `median` are distances between means.
    """
    lr, rules = _DISCRIMINATOR_LR, ("simultaneous", "alternating")
    fine = np.geomspace(0.7 * min(widths), 1.4 * max(widths), num)
    shape = (len(rules), len(components))
    radius, measured = np.empty((*shape, num)), np.empty((*shape, len(widths)))
    isolated, kappa = np.empty((2, len(components), num))
    smallest, median = [], []
    for c, count in enumerate(components):
        means, mass = digit_points(count)
        apart = pdist(means)
        smallest.append(float(apart.min()))
        median.append(float(np.median(apart)))
        game = KernelGAN(means, means, real_mass=mass, generated_mass=mass, discriminator_lr=lr)
        for k, width in enumerate(fine * apart.min()):
            here, values, _ = _stiffness(game, width)
            kappa[c, k] = values[-1] / values[0]
            coupling = lr * here.generator_lr * values
            for r, rule in enumerate(rules):
                radius[r, c, k] = np.abs(mode_multipliers(coupling, here.forgetting, rule)).max()
            alone = family_radii(
                mass, mass, 1, here.kernel.curvature, here.regularization, here.generator_lr, lr, "simultaneous"
            )
            isolated[c, k] = alone.points.max()
        for k, width in enumerate(np.asarray(widths) * apart.min()):
            here, _, vectors = _stiffness(game, width)
            ends = vectors[:, [0, -1]]
            kick = (ends[:, 0] + ends[:, 1]).reshape(means.shape)
            here = here.replace(generated_points=means + _SMALL * width * kick)
            for r, rule in enumerate(rules):
                run = simulate(here, "gda", rule=rule, iterations=iterations)
                away = run.generated_points.values[: 1 + iterations] - means
                along = away.reshape(len(away), -1) @ ends
                measured[r, c, k] = max(float(np.abs(recurrence_roots(_audible(x), 2)[0])) for x in along.T)
    coords = {"rule": list(rules), "components": list(components)}
    named = ("rule", "components", "width")
    theory = xr.Dataset(
        {"radius": (named, radius), "isolated": (named[1:], isolated), "conditioning": (named[1:], kappa)},
        coords | {"width": fine},
        {"discriminator_lr": lr, "regularization": 1.0, "smallest": smallest, "median": median},
    )
    simulated = xr.Dataset({"radius": (named, measured)}, coords | {"width": list(widths)})
    return {"theory": theory, "simulated": simulated}


def _stiffness(game: KernelGAN, bandwidth: float) -> tuple[KernelGAN, Array, Array]:
    """The game at another bandwidth with generator_lr at half its limit, and its stiffness by modes, increasing."""
    here = game.replace(bandwidth=float(bandwidth))
    mass = np.repeat(here.generated_mass, here.axes)
    values, vectors = np.linalg.eigh(mass[:, None] * gradient_gram(here, here.real_points) * mass)
    return here.replace(generator_lr=0.5 * here.regularization / float(values[-1])), values, vectors


def _audible(series: Array) -> Array:
    """The beginning of a decaying series, before rounding and the square of its start are heard."""
    quiet = np.flatnonzero(np.abs(series) < 1e-4 * np.abs(series[0]))
    return series[: max(40, int(quiet[0]) if len(quiet) else len(series))]


def escape(bandwidths: Sequence[float] = (0.75, 1.05, 1.5, 2.1, 3.0, 4.2, 6.0, 8.5), num: int = 101) -> Data:
    """F8: how long two points stay together between two true ones, by the bandwidth.

    Returns:
        `theory`: `time` in iterations, the inverse growth rate, and `law`, that of wide kernels, over `bandwidth`;
        `simulated`: `time` over `bandwidth`, from the growth of the distance of two points that nearly coincide.
    """
    real, mass = np.array([[-1.0], [1.0]]), np.array([0.5, 0.5])
    game = KernelGAN(real, [[0.0], [0.0]], generator_lr=1.0, regularization=1.0, initial_discriminator="equilibrium")
    speed = float(game.speeds[0])
    fine = np.geomspace(0.8 * min(bandwidths), 1.25 * max(bandwidths), num)

    def inverse(function: Any, width: float) -> float:
        return 1.0 / float(function(real, mass, RBF(width), speed, game.regularization))

    measured = []
    for width in bandwidths:
        expected = inverse(collapse_escape_rate, width)
        start = _TINY * width * np.array([[1.0], [-1.0]])
        # Until the distance has grown by e^6 or so: it stays far below a bandwidth.
        end = math.ceil(6 * expected)
        here = game.replace(bandwidth=float(width), generated_points=start)
        run = simulate(here, "gda", iterations=end, save_at=np.unique(np.linspace(0, end, 101).astype(int)))
        apart = np.log(np.abs(np.diff(run.generated_points.values[..., 0], axis=1))[:, 0])
        late = slice(len(apart) // 2, None)
        slope = np.polyfit(run.iteration.values[late], apart[late], 1)[0]
        measured.append(1.0 / math.expm1(slope))
    attrs = {
        "real_points": "\N{MINUS SIGN}1 and 1",
        "speed": speed,
        "regularization": 1.0,
        "discriminator_lr": _DISCRIMINATOR_LR,
    }
    theory = xr.Dataset(
        {
            "time": ("bandwidth", [inverse(collapse_escape_rate, w) for w in fine]),
            "law": ("bandwidth", [inverse(collapse_escape_law, w) for w in fine]),
        },
        {"bandwidth": fine},
        attrs | {"generator_lr": 1.0},
    )
    return {"theory": theory, "simulated": xr.Dataset({"time": ("bandwidth", measured)}, {"bandwidth": [*bandwidths]})}


def representations(
    iterations: int = 1500,
    tolerances: Sequence[float] = (1e-2, 1e-4, 1e-6, 1e-8, 1e-10),
    grid_tolerances: Sequence[float] = (1e-2, 1e-4, 1e-6, 1e-8, 1e-10, 1e-12, 1e-14),
    features: Sequence[int] = (128, 512, 2048, 8192),
    seeds: int = 5,
    repeats: int = 2,
) -> Data:
    """F9: what the three representations of the discriminator cost, and what error they make.

    Returns:
        `history`, `fourier_grid` and `random_features`, over `setting`: `error`, the largest distance of a coordinate
        from the full history over the whole run (for random features the mean over seeds, with `spread`, the standard
        deviation), and `seconds`, the least of some repetitions. Attribute `full_seconds`: of the full history.
    """
    rng = np.random.default_rng(0)
    corners = 1.5 * np.array([[-1.0, -1.0], [1.0, -1.0], [-1.0, 1.0], [1.0, 1.0]])
    start = np.repeat(corners, 2, axis=0) + rng.uniform(-0.5, 0.5, (8, 2))
    game = KernelGAN(corners, start, kernel=RBF(0.6), generator_lr=1.0, regularization=1.0)

    def timed(representation: str, seed: int = 0, **options: Any) -> tuple[Array, float]:
        size = {"features": options.pop("features")} if "features" in options else {}
        here = game.replace(representation=representation, **size)
        simulate(here, "gda", iterations=2, seed=seed, **options)  # compiles
        best = math.inf
        for _ in range(1 if size else repeats):  # random features are timed once per seed
            begin = time.perf_counter()
            run = simulate(here, "gda", iterations=iterations, seed=seed, **options)
            best = min(best, time.perf_counter() - begin)
        return run.generated_points.values, best

    full, full_seconds = timed("history", tolerance=1e-40)
    rows: dict[str, list[tuple[float, float, float, float]]] = {}
    for name, chosen in (("history", tolerances), ("fourier_grid", grid_tolerances)):
        rows[name] = []
        for tolerance in chosen:
            points, seconds = timed(name, tolerance=tolerance)
            rows[name].append((tolerance, float(np.abs(points - full).max()), 0.0, seconds))
    rows["random_features"] = []
    for count in features:
        found = [timed("random_features", seed, features=count) for seed in range(seeds)]
        errors = np.array([np.abs(points - full).max() for points, _ in found])
        rows["random_features"].append((count, errors.mean(), errors.std(), min(seconds for _, seconds in found)))
    attrs = {"full_seconds": full_seconds, "iterations": iterations, "seeds": seeds, "bandwidth": 0.6}
    attrs |= {"generator_lr": 1.0, "discriminator_lr": _DISCRIMINATOR_LR, "regularization": 1.0}
    data: Data = {}
    for name, found_rows in rows.items():
        setting, error, spread, seconds_ = np.array(found_rows, np.float64).T
        variables = {"error": ("setting", error), "spread": ("setting", spread), "seconds": ("setting", seconds_)}
        data[name] = xr.Dataset(variables, {"setting": setting}, attrs)
    return data


def cycles(
    ratios: Sequence[float] = (0.95, 1.02, 1.05, 1.1, 1.15, 1.2, 1.3, 1.4, 1.5),
    forgettings: Sequence[float] = (0.01, 0.04, 0.16),
    iterations: int = 40_000,
    records: int = 2000,
) -> Data:
    """F10: the amplitude of the cycle beyond the spiral boundary, by how far beyond.

    One generated point with the data's mass, simultaneous steps. `ratio` is discriminator_lr generator_lr curvature
    over `forgetting` = discriminator_lr regularization, and 1 at the boundary.

    Returns:
        `theory`: `amplitude` `(forgetting, ratio)` to leading order; `simulated`: the same over the last fifth of a
        run, sqrt(2) times the standard deviation. In bandwidths.
    """
    lr, fine = _DISCRIMINATOR_LR, np.linspace(min(ratios), max(ratios), 201)
    last = np.unique(np.linspace(0.8 * iterations, iterations, records).astype(int))

    def law(forgetting: float, ratio: Any) -> Array:
        strength = forgetting / lr
        return np.asarray(cycle_amplitude(1.0, 1.0, strength, np.asarray(ratio) * strength, lr))

    simulated = []
    for forgetting in forgettings:
        strength, wanted = forgetting / lr, np.asarray(ratios)
        starts = np.maximum(law(forgetting, wanted), 0.05)[:, None, None]
        game = KernelGAN([0.0], [1.0], regularization=strength, discriminator_lr=lr)
        over = {"generator_lr": wanted * strength, "generated_points": starts}
        run = simulate_many(game, over, "gda", rule="simultaneous", iterations=iterations, save_at=last)
        simulated.append(math.sqrt(2) * run.generated_points.values[..., 0, 0].std(axis=1))
    dims = ("forgetting", "ratio")
    coords = {"forgetting": list(forgettings)}
    attrs = {"discriminator_lr": lr, "iterations": iterations}
    theory = xr.Dataset({"amplitude": (dims, [law(a, fine) for a in forgettings])}, coords | {"ratio": fine}, attrs)
    measured = xr.Dataset({"amplitude": (dims, simulated)}, coords | {"ratio": list(ratios)}, attrs)
    return {"theory": theory, "simulated": measured}


def single_point(
    bandwidths: Sequence[float] = (0.1, 1.0, 10.0),
    regularizations: Sequence[float] = (1.0, 0.1, 0.01),
    rates: Sequence[tuple[float, float]] = ((1.0, 0.1), (0.1, 0.1), (0.1, 0.01), (0.01, 0.01)),
    iterations: int = 1000,
) -> Data:
    """F11: one true and one generated point on a line, by bandwidth, regularization and both learning rates.

    Returns:
        `runs`: `simulated` and `linear`, the squared distance `(bandwidth, regularization, rate, iteration)`;
        `discriminator_lr` and `generator_lr` over `rate`.
    """
    shape = (len(bandwidths), len(regularizations), len(rates), iterations + 1)
    found = {"gda": np.empty(shape), "linear": np.empty(shape)}
    records = np.arange(iterations + 1)
    for b, width in enumerate(bandwidths):
        for r, strength in enumerate(regularizations):
            game = KernelGAN([0.0], [0.1], kernel=RBF(width), regularization=strength)
            lrs = np.array(rates, np.float64)
            over = {"discriminator_lr": lrs[:, 0], "generator_lr": lrs[:, 1]}
            for level, squares in found.items():
                with np.errstate(over="ignore", invalid="ignore"):
                    run = simulate_many(game, over, level, rule="alternating", iterations=iterations, save_at=records)
                    squares[b, r] = run.generated_points.values[..., 0, 0] ** 2
    dims = ("bandwidth", "regularization", "rate", "iteration")
    runs = xr.Dataset(
        {"simulated": (dims, found["gda"]), "linear": (dims, found["linear"])},
        {
            "bandwidth": list(bandwidths),
            "regularization": list(regularizations),
            "discriminator_lr": ("rate", [d for d, _ in rates]),
            "generator_lr": ("rate", [g for _, g in rates]),
            "iteration": records,
        },
        {"start": 0.1},
    )
    return {"runs": runs}
