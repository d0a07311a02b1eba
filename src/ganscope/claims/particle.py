"""Claims of the particle models about the kernel of a wide generator: two numbers, their spread, and their coupling.

Friction of matched particles stands in `particle_friction`, collapsed clouds on the circle in `particle_collapse`, the
collapse transition of the ring in `particle_ring`, its discriminators in `particle_discriminators`, and real generators
in `particle_networks`.
"""

import math
from typing import Any

import numpy as np

from ganscope.claims.claim import Evidence, claims_of
from ganscope.claims.confrontation import confront, confront_factors
from ganscope.claims.particle_settings import (
    Array,
)
from ganscope.games.particle.coupling import apply_coupling, mobilities
from ganscope.games.particle.generator.empirical import full_kernel
from ganscope.games.particle.generator.network_kernel import NetworkKernel, network_kernel
from ganscope.games.particle.generator.wide import WideGenerator

claim = claims_of("particle")


def _kernel_of(network: WideGenerator, latents: Any, seed: int) -> Array:
    """Tangent kernel of one random network with a single output, shape `[N, N]`."""
    return np.asarray(full_kernel(network.apply, network.initial(seed), latents)[:, :, 0, 0], np.float64)


def _split(matrix: Array) -> tuple[Array, Array]:
    """The entries of a kernel on its diagonal, and off it."""
    return np.diag(matrix), matrix[~np.eye(len(matrix), dtype=bool)]


@claim(
    "C1",
    "For orthogonal latents the tangent kernel of a wide generator is one number on the diagonal and one off it: the "
    "recursion gives the worked numbers, and the mean over networks of width 1024 agrees with it within 2 %",
    source="paper",
    fast=False,
)
def two_numbers() -> Evidence:
    worked = {
        (1, "relu", 2.0, 0.0): (4.0, 2 / math.pi),
        (2, "relu", 2.0, 0.0): (6.0, 1.3714172726),
        (2, "relu", 2.0, 0.1): (6.6, 1.8001372924),
        (10, "relu", 2.0, 0.0): (22.0, 6.9587534240),
        (1, "tanh", 1.5, 0.1): (1.7425092, 0.1811724),
        (2, "tanh", 1.5, 0.1): (1.9454122, 0.2992601),
        (2, "gelu", 2.0, 0.0): (5.3874536, 0.8606785),
        (2, "sin", 1.0, 0.1): (1.2039387, 0.2751938),
    }
    rows: dict[str, Any] = {}
    for (depth, activation, weights, biases), numbers in worked.items():
        known = network_kernel(depth, activation, weights, biases)
        found = np.array([known.same_kernel, known.cross_kernel]) / numbers
        rows[f"recursion over the worked numbers, {activation}, depth {depth}, bias {biases:g}"] = 1, found, 1e-6
    latents = math.sqrt(512) * np.eye(8, 512, dtype=np.float32)
    for depth, activation, weights, biases in ((1, "relu", 2.0, 0.0), (2, "relu", 2.0, 0.0), (2, "tanh", 1.5, 0.1)):
        network = WideGenerator(1, depth, activation, 1024, 512, weights, biases)
        means = np.mean([[np.mean(p) for p in _split(_kernel_of(network, latents, s))] for s in range(32)], axis=0)
        known = network.kernel()
        shares = means / (known.same_kernel, known.cross_kernel)
        rows[f"32 networks over the recursion, {activation}, depth {depth}, bias {biases:g}"] = 1, shares, 0.02
    return confront(rows)


@claim(
    "C2",
    "Over pairs of latents the cross kernel spreads by slope / sqrt(latent dimension); over networks the same kernel "
    "spreads as width^(-1/2)",
    source="derived",
    fast=False,
)
def finite_sizes() -> Evidence:
    rows: dict[str, Any] = {}
    dimensions, widths = np.array([8, 16, 32, 64]), np.array([64, 256, 1024])
    for depth, activation, weights, biases in ((1, "relu", 2.0, 0.0), (1, "tanh", 1.5, 0.1)):
        networks = [WideGenerator(1, depth, activation, 1024, int(d), weights, biases) for d in dimensions]
        spread = np.array([_cross_spread(network) for network in networks])
        name = f"{activation}, depth {depth}"
        rows[f"exponent of the spread over pairs, {name}"] = -0.5, _exponent(dimensions, spread), 0.1
        shares = spread / [networks[0].kernel().cross_spread(int(d)) for d in dimensions]
        rows[f"spread over slope / sqrt(latent dimension), {name}"] = 1, shares, 0.15
    spread = np.array([_same_spread(WideGenerator(1, 2, "relu", int(width), 16)) for width in widths])
    rows["exponent of the spread over networks, relu, depth 2"] = -0.5, _exponent(widths, spread), 0.05
    rows["spread sqrt(width)"] = 15.2, spread * np.sqrt(widths), 1.5
    return confront(rows)


def _cross_spread(network: WideGenerator) -> float:
    """Standard deviation of the cross kernel over pairs of random latents, root mean square over four networks."""
    found = [np.var(_split(_kernel_of(network, network.latents(32, seed), seed))[1]) for seed in range(4)]
    return math.sqrt(float(np.mean(found)))


def _same_spread(network: WideGenerator) -> float:
    """Standard deviation of the same kernel over 256 networks with four latents each."""
    return float(np.std([_split(_kernel_of(network, network.latents(4, seed), seed))[0] for seed in range(256)]))


def _exponent(sizes: Any, values: Any) -> float:
    return float(np.polyfit(np.log(sizes), np.log(values), 1)[0])


@claim(
    "C3",
    "Generators with an odd activation and no bias have uncoupled particles; biases couple them, the more the larger "
    "they are, and relu couples them anyway",
    source="derived",
    fast=True,
)
def odd_activations() -> Evidence:
    rows: dict[str, Any] = {}
    variances = (0.0, 0.01, 0.1, 0.25, 1.0)
    for activation in ("linear", "erf", "tanh", "sin"):
        found = [abs(network_kernel(depth, activation, 1.3, 0.0).cross_kernel) for depth in (1, 2, 5)]
        rows[f"cross kernel without bias, {activation}"] = 0, found, 1e-12
    for activation in ("linear", "erf", "tanh", "sin", "relu"):
        for depth in (1, 3):
            kernels = [network_kernel(depth, activation, 1.3, biases) for biases in variances]
            name = f"{activation}, depth {depth}"
            rows[f"least cross kernel with a bias, {name}"] = 0, min(k.cross_kernel for k in kernels[1:]), "above"
            steps = np.diff([k.ratio for k in kernels])
            rows[f"least growth of the ratio with the bias, {name}"] = 0, float(steps.min()), "above"
    relu = [network_kernel(depth, "relu").cross_kernel for depth in (1, 2, 5)]
    rows["least cross kernel without bias, relu"] = 0, min(relu), "above"
    return confront(rows)


@claim(
    "C4",
    "For relu with weight variance 2 and no bias the same kernel is 2 (depth + 1), and the ratio of the kernel numbers "
    "peaks at depth 11 and decays slowly to 1/4",
    source="derived",
    fast=True,
)
def relu_depths() -> Evidence:
    kernels: list[NetworkKernel] = [network_kernel(depth) for depth in range(1, 301)]
    ratios = np.array([kernel.ratio for kernel in kernels])
    same = np.array([kernel.same_kernel / (2 * (kernel.depth + 1)) for kernel in kernels])
    deep = [network_kernel(depth).ratio - 0.25 for depth in (1000, 10000)]
    return confront(
        {
            "same kernel over 2 (depth + 1), depths 1 to 300": (1, [same.min(), same.max()], 1e-12),
            "depth of the largest ratio": (11, 1 + int(np.argmax(ratios)), "exact"),
            "largest ratio": (0.3164374, float(ratios.max()), 1e-7),
            "ratio at depth 300": (0.25930, float(ratios[-1]), 5e-6),
            "largest step of the ratio beyond depth 11": (0, float(np.diff(ratios[10:]).max()), "below"),
            "ratio less 1/4 at depth 10000": (0, deep[1], 1e-3),
            "ratio less 1/4 at depth 10000 over depth 1000": (0.5, deep[1] / deep[0], "below"),
        }
    )


@claim(
    "C5",
    "A kernel of two numbers, over the number of particles, has the mobility of the centre of mass once and that of "
    "relative motion N - 1 times as eigenvalues",
    source="derived",
    fast=True,
)
def mobilities_are_eigenvalues() -> Evidence:
    rows: dict[str, Any] = {}
    rng = np.random.default_rng(5)
    for same, cross, particles, lr in ((4.0, 2 / math.pi, 64, 1.0), (6.0, 1.3714172726, 48, 0.3), (1.0, -0.1, 5, 2.0)):
        gamma = cross * np.ones((particles, particles)) + (same - cross) * np.eye(particles)
        values = np.linalg.eigvalsh(lr / particles * gamma)
        known = mobilities(same, cross, particles, lr)
        wanted = np.sort(np.append(np.full(particles - 1, known.relative), known.mean))
        name = f"N = {particles}, kernel numbers {same:g} and {cross:.4g}"
        rows[f"largest error of the eigenvalues, {name}"] = 0, float(np.max(np.abs(values - wanted))), 1e-12
        slopes = rng.normal(size=(particles, 2))
        error = apply_coupling(slopes, same, cross, lr) - lr / particles * gamma @ slopes
        rows[f"largest error of the velocities, {name}"] = 0, float(np.max(np.abs(error))), 1e-12
    worked = mobilities(4.0, 2 / math.pi, 64, 1.0)
    expected, measured, tolerance, passed = confront_factors(
        {
            "mobility of relative motion": (0.0525528161, worked.relative),
            "mobility of the centre": (0.6891725884, worked.mean),
            "coupling": (13.1139040709, worked.coupling),
        },
        1 + 1e-9,
    )
    more = confront(rows)
    return expected | more[0], measured | more[1], tolerance | more[2], passed and more[3]
