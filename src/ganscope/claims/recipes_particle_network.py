r"""The data of the figures about real generators and real data: kernels of wide networks, and handwritten digits.

Every recipe returns labelled data sets by name; `figures.particle_network` draws them. Sizes are arguments, so that a
recipe can be run small.

References:
    Durr, Mroueh, Tu, Wang. Effective dynamics of generative adversarial networks. Phys. Rev. X 13, 041004 (2023).
    Jacot, Gabriel, Hongler. Neural tangent kernel. NeurIPS 2018.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from ganscope.claims.recipes_particle import settled
from ganscope.core.simulate import simulate, simulate_many
from ganscope.games.particle.cloud.data import digits as digit_points
from ganscope.games.particle.cloud.model import ParticleGAN
from ganscope.games.particle.generator.empirical import full_kernel
from ganscope.games.particle.generator.network_kernel import network_kernel
from ganscope.games.particle.generator.wide import WideGenerator

Array = npt.NDArray[np.float64]
Data = dict[str, xr.Dataset]

# Networks of F1: activation, weight variance, bias variance.
NETWORKS = (
    ("relu", 2.0, 0.0),
    ("relu", 2.0, 0.1),
    ("relu", 2.0, 0.25),
    ("tanh", 1.5, 0.0),
    ("tanh", 1.5, 0.1),
    ("erf", 1.0, 0.0),
    ("erf", 1.0, 0.1),
)
# Generators of F3: activation, depth, weight variance, bias variance; from free particles to nearly a rigid body.
GENERATORS = (("tanh", 2, 1.5, 0.0), ("relu", 2, 2.0, 0.0), ("relu", 3, 2.0, 2.0))
MOTIONS = ("network", "measured_kernel", "two_numbers")


def kernel_ratios(
    depths: Sequence[int] = (1, 2, 3, 4, 5, 6, 8, 11, 16, 23, 32, 45, 64, 90, 128, 180, 256, 300),
    networks: Sequence[tuple[str, float, float]] = NETWORKS, measured_depths: Sequence[int] = (1, 3, 8),
    samples: int = 4, width: int = 512, latents: int = 16,
) -> Data:  # fmt: skip
    """F1: the ratio of both kernel numbers against depth, for several generators.

    Returns:
        `theory`: `ratio` over `network` and `depth`. `measured`: the same over `network`, `depth` and `sample`, of
        random networks of finite width. Both with `activation`, `weight_variance` and `bias_variance` over `network`.
    """
    theory = [[network_kernel(depth, *network).ratio for depth in depths] for network in networks]
    measured = np.empty((len(networks), len(measured_depths), samples))
    for i, (activation, weights, biases) in enumerate(networks):
        for j, depth in enumerate(measured_depths):
            generator = WideGenerator(1, depth, activation, width, 512, weights, biases)
            for seed in range(samples):
                same, cross = _entries(generator, latents, seed)
                measured[i, j, seed] = cross.mean() / same.mean()
    columns: dict[str, Any] = {
        name: ("network", [network[i] for network in networks])
        for i, name in enumerate(("activation", "weight_variance", "bias_variance"))
    }
    attrs = {"width": width, "latents": latents, "latent_dimension": 512, "samples": samples}
    return {
        "theory": xr.Dataset({"ratio": (("network", "depth"), theory), **columns}, {"depth": list(depths)}, attrs),
        "measured": xr.Dataset(
            {"ratio": (("network", "depth", "sample"), measured), **columns}, {"depth": list(measured_depths)}, attrs
        ),
    }


def _entries(generator: WideGenerator, count: int, seed: int) -> tuple[Array, Array]:
    """Diagonal entries, and those off the diagonal, of the kernel of a random network with one output."""
    kernel = full_kernel(generator.apply, generator.initial(seed), generator.latents(count, seed))[:, :, 0, 0]
    return np.diagonal(kernel), kernel[np.triu_indices(count, 1)]


def kernel_spread(
    latent_dimensions: Sequence[int] = (8, 16, 32, 64, 128, 256), widths: Sequence[int] = (64, 128, 256, 512, 1024),
    width: int = 1024, latent_dimension: int = 512, latents: int = 48, samples: int = 3, networks: int = 12,
    bins: int = 48,
) -> Data:  # fmt: skip
    """F2: how far the kernel of a finite generator is from two numbers (relu, two hidden layers).

    Returns:
        `histogram`: `density` of cross kernels over `latent_dimension` and `value`. `cross`: their standard deviation
        `spread` over `latent_dimension` and `sample`. `same`: the standard deviation `spread` of same kernels over
        networks and latents, over `width`, with its standard error `error`. The attributes hold what theory says.
    """
    theory = network_kernel(2)
    edges = np.linspace(theory.cross_kernel - 2.2, theory.cross_kernel + 3.0, bins + 1)
    density = np.empty((len(latent_dimensions), bins))
    spread = np.empty((len(latent_dimensions), samples))
    for i, dimension in enumerate(latent_dimensions):
        generator = WideGenerator(1, 2, "relu", width, dimension)
        cross = np.stack([_entries(generator, latents, seed)[1] for seed in range(samples)])
        density[i] = np.histogram(cross, edges)[0] / cross.size / np.diff(edges)
        spread[i] = cross.std(axis=1)
    same, error = np.empty(len(widths)), np.empty(len(widths))
    for i, units in enumerate(widths):
        generator = WideGenerator(1, 2, "relu", units, latent_dimension)
        values = np.stack([_entries(generator, 16, seed)[0] for seed in range(networks)])
        same[i] = values.std()
        each = [np.delete(values, k, axis=0).std() for k in range(networks)]
        error[i] = np.sqrt((networks - 1) * np.var(each))
    attrs = {
        "same_kernel": theory.same_kernel,
        "cross_kernel": theory.cross_kernel,
        "slope": theory.slope,
        "latents": latents,
        "networks": networks,
        "samples": samples,
    }
    over = {"latent_dimension": list(latent_dimensions)}
    return {
        "histogram": xr.Dataset(
            {"density": (("latent_dimension", "value"), density)},
            over | {"value": (edges[1:] + edges[:-1]) / 2},
            attrs,
        ),
        "cross": xr.Dataset({"spread": (("latent_dimension", "sample"), spread)}, over, attrs | {"width": width}),
        "same": xr.Dataset(
            {"spread": ("width", same), "error": ("width", error)},
            {"width": list(widths)},
            attrs | {"latent_dimension": latent_dimension},
        ),
    }


def real_generator(
    generators: Sequence[tuple[str, int, float, float]] = GENERATORS, particles: int = 48, width: int = 512,
    latent_dimension: int = 512, relative_step: float = 0.005, iterations: int = 100, seeds: int = 2,
) -> Data:  # fmt: skip
    """F3: a real generator in training, and particles with its measured kernel or with two numbers in its place.

    Returns:
        `runs`: `positions` over `generator`, `motion`, `time`, `particle` and `axis` for the first seed; the relative
        error `error`, rms distance from the real generator over the rms distance that it has travelled, over
        `generator`, `motion` (without the real one), `seed` and `time`, NaN at the start; over `generator`,
        `activation`, `depth`, `weight_variance`, `bias_variance` and `coupling`. `target`: `centres` of the modes.
    """
    positions, errors, couplings = [], [], []
    game = ParticleGAN(particles=particles, coupling=1.0, relative_step=relative_step)
    for activation, depth, weights, biases in generators:
        coupling = network_kernel(depth, activation, weights, biases).coupling(particles)
        own = game.replace(coupling=coupling)
        options: dict[str, Any] = dict(
            generator_activation=activation, generator_depth=depth, generator_weight_variance=weights,
            generator_bias_variance=biases, generator_width=width, latent_dimension=latent_dimension,
        )  # fmt: skip
        x = np.array(
            [
                [
                    simulate(own, "network", iterations=iterations, seed=seed, motion=motion, **options).positions
                    for motion in MOTIONS
                ]
                for seed in range(seeds)
            ]
        )
        apart = np.sqrt(np.mean((x[:, 1:] - x[:, :1]) ** 2, axis=(-2, -1)))
        travelled = np.sqrt(np.mean((x[:, :1] - x[:, :1, :1]) ** 2, axis=(-2, -1)))
        with np.errstate(invalid="ignore", divide="ignore"):
            errors.append(np.where(travelled > 0, apart / travelled, np.nan).swapaxes(0, 1))
        positions.append(x[0])
        couplings.append(coupling)
    columns: dict[str, Any] = {
        name: ("generator", [generator[i] for generator in generators])
        for i, name in enumerate(("activation", "depth", "weight_variance", "bias_variance"))
    }
    runs = xr.Dataset(
        {
            "positions": (("generator", "motion", "time", "particle", "axis"), np.stack(positions)),
            "error": (("generator", "replacement", "seed", "time"), np.stack(errors)),
            "coupling": ("generator", couplings),
            **columns,
        },
        {"motion": list(MOTIONS), "replacement": list(MOTIONS[1:]), "time": np.arange(iterations + 1)},
        {
            "particles": particles,
            "width": width,
            "latent_dimension": latent_dimension,
            "relative_step": relative_step,
            "seeds": seeds,
        },
    )
    target = xr.Dataset({"centres": (("mode", "axis"), game.target.centres)})
    return {"runs": runs, "target": target}


def digits_game(coupling: float = 1.0, **changes: Any) -> ParticleGAN:
    """The game of the handwritten digits."""
    points, labels = digit_points()
    options: dict[str, Any] = dict(
        particles=100, coupling=coupling, real_points=points, labels=labels, real_batch=100, input_size=2,
        discriminator_lr=0.005, relative_step=0.05, gradient_penalty=0.3, initial_std=0.25,
    )  # fmt: skip
    return ParticleGAN(**(options | changes))


def digits(
    couplings: Sequence[float] = (1.0, 16.0, 32.0, 64.0, 128.0), replicas: int = 3, iterations: int = 1000,
    particles: int = 100,
) -> Data:  # fmt: skip
    """F11: particles before handwritten digits, against the coupling number.

    Returns:
        `order`: order parameters at the end of the runs over `coupling` and `replica`; over `coupling`, `final`, the
        particles of the first replica at the end, `(particle, axis)`, and `shares` of the ten classes there. `data`:
        `points` `(sample, axis)` and `labels`.
    """
    game = digits_game(particles=particles)
    every = max(1, iterations // 100)
    run = simulate_many(
        game, {"coupling": np.asarray(couplings, np.float64)}, "particles", iterations=iterations, replicas=replicas,
        save_at=np.arange(0, iterations + 1, every),
    )  # fmt: skip
    order = xr.Dataset(
        {name: (("coupling", "replica"), values) for name, values in settled(run).items()}
        | {
            "final": (("coupling", "particle", "axis"), run.positions.isel(time=-1, replica=0).values),
            "shares": (("coupling", "digit"), run.occupancy.isel(time=-1, replica=0).values),
        },
        {"coupling": list(couplings), "digit": np.arange(run.sizes["mode"])},
        {
            "replicas": replicas,
            "iterations": iterations,
            "particles": particles,
            "scale": game.target.scale,
            "discriminator_lr": game.discriminator_lr,
            "relative_step": game.relative_mobility,
            "gradient_penalty": game.gradient_penalty,
        },
    )
    data = xr.Dataset({"points": (("sample", "axis"), game.real_points), "labels": ("sample", game.labels)})
    return {"order": order, "data": data}
