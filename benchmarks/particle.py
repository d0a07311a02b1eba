"""Times the engines of the particle models against the code a researcher would write, and prints the ratios.

Everything runs on one core, contenders interleaved in one process; figures are medians of several rounds of CPU time.
`--write` puts the table into docs/benchmarks.md; `--quick` takes fewer rounds.
"""

import resource
import sys
import time
from collections.abc import Callable

import harness  # first: it sets the threads
import jax
import jax.numpy as jnp
import numpy as np
import torch
from eager_particle import Network, train
from harness import Row, race
from naive_torus import torus_steps

import ganscope as gs
from ganscope.games.particle.generator.wide import WideGenerator

RING, WIDTH, INNER = (256, 4096), 128, 5
torch.set_num_threads(1)


def flops(points: int, batch: int, activation: str) -> float:
    """Floating point operations of an iteration's matrix products.

    Per real point: two for the frozen network's slope, and for the value and the penalty six, or three with relu units;
    per particle three in each step of the discriminator, and four for its slope at the end.
    """
    product = 2 * (2 * WIDTH + WIDTH * WIDTH + WIDTH)
    return product * (INNER * ((5 if activation == "relu" else 8) * batch + 3 * points) + 4 * points)


def gemm_rate(rounds: int) -> float:
    """The fastest float32 matrix product of this machine on one core, in operations per second: of three libraries."""
    rng = np.random.default_rng(0)
    a = rng.standard_normal((2048, WIDTH), np.float32)
    w = rng.standard_normal((WIDTH, WIDTH), np.float32)
    ta, tw, repeat = torch.from_numpy(a), torch.from_numpy(w), 50
    product = jax.jit(lambda a, w: a @ w)
    result = race(
        {
            "numpy": lambda: [a @ w for _ in range(repeat)],
            "torch": lambda: [ta @ tw for _ in range(repeat)],
            "jax": lambda: [product(a, w).block_until_ready() for _ in range(repeat)],
        },
        rounds,
    )
    return 2 * 2048 * WIDTH * WIDTH * repeat / min(result.values())


def ring_rows(rounds: int) -> list[Row]:
    """The ring with five steps of the discriminator and the penalty on, against eager PyTorch."""
    rows = []
    ceiling = gemm_rate(rounds)
    for activation in ("relu", "tanh"):
        for points, steps, few in zip(RING, (40, 6), (10, 1), strict=True):
            game = gs.ParticleGAN(
                particles=points,
                coupling=4.0,
                real_batch=points,
                discriminator_width=WIDTH,
                discriminator_steps=INNER,
                discriminator_activation=activation,
            )
            network = Network(WIDTH, activation, game.hidden_variance, game.bias_variance)
            start = 0.25 * torch.randn(points, 2)

            def ours(count: int, game: gs.ParticleGAN = game) -> Callable[[], object]:
                return lambda: gs.simulate(game, "particles", iterations=count, save_at=[count])

            def eager(
                network: Network = network, start: torch.Tensor = start, points: int = points, few: int = few
            ) -> object:
                return train(network, start, 4.0, 0.01, 0.05, INNER, 0.3, points, few)

            result = race({"ours": ours(steps + 1), "setup": ours(1), "eager": eager}, rounds)
            seconds, naive = (result["ours"] - result["setup"]) / steps, result["eager"] / few
            rate = flops(points, points, activation) / seconds
            rows.append(
                (
                    f"ring, {points} particles, {activation} 2x{WIDTH}, {INNER} steps of the discriminator",
                    f"{1e3 * seconds:.1f} ms per iteration, {naive / seconds:.1f}x eager PyTorch; "
                    f"{rate / 1e9:.0f} GFLOP/s, {100 * rate / ceiling:.0f} % of the fastest matrix product",
                    ">= 2.5x; >= 60 %",
                )
            )
    return rows


def batch_rows(rounds: int) -> list[Row]:
    """The default ring at seven couplings and four seeds."""
    del rounds
    game = gs.ParticleGAN(coupling=1.0)
    gs.simulate(game, "particles", iterations=1)
    start = time.process_time()
    gs.simulate_many(game, {"coupling": [1.0, 2, 4, 8, 16, 32, 64]}, "particles", iterations=1000, replicas=4)
    seconds = time.process_time() - start
    return [("ring, 7 couplings x 4 seeds x 1000 iterations", f"{seconds:.1f} s, one compilation", "< 60 s")]


def coupling_rows(rounds: int) -> list[Row]:
    """Two kernel numbers against the product with the whole matrix."""
    count = 4096
    slopes = np.random.default_rng(0).standard_normal((count, 2))
    matrix = np.full((count, count), 0.2) + 0.8 * np.eye(count)
    result = race(
        {
            "numbers": lambda: [gs.apply_coupling(slopes, 1.0, 0.2, 1.0) for _ in range(100)],
            "matrix": lambda: matrix @ slopes / count,
        },
        rounds,
    )
    ours, naive = result["numbers"] / 100, result["matrix"]
    about = "coupling of 4096 particles by two numbers"
    return [(about, f"{1e6 * ours:.0f} us, {naive / ours:.0f}x the matrix", "O(N d), no N x N array")]


def torus_rows(rounds: int) -> list[Row]:
    """The torus with twelve frequencies against vectorised NumPy."""
    rows = []
    for points, steps, few, bar in ((64, 20000, 400, "15x"), (10**4, 400, 10, "20x")):
        start = np.random.default_rng(0).uniform(0, 2 * np.pi, points)
        game = gs.TorusGAN(particles=points, frequencies=12, initial_positions=start)
        for scheme in ("first_order", "second_order"):

            def ours(count: int, game: gs.TorusGAN = game, scheme: str = scheme) -> Callable[[], object]:
                return lambda: gs.simulate(game, "particles", iterations=count, save_at=[count], scheme=scheme)

            result = race(
                {
                    "ours": ours(steps + 1),
                    "setup": ours(1),
                    "naive": lambda game=game, scheme=scheme, few=few: torus_steps(game, scheme, 0.01, few),
                },
                rounds,
            )
            seconds, naive = (result["ours"] - result["setup"]) / steps, result["naive"] / few
            rows.append(
                (
                    f"torus, {points} particles, 12 frequencies, {scheme}",
                    f"{1e6 * seconds:.2f} us per step, {naive / seconds:.0f}x NumPy",
                    f">= {bar}",
                )
            )
    return rows


def kernel_rows(rounds: int) -> list[Row]:
    """The kernel of a generator with a million parameters, measured at 256 latents."""
    del rounds
    network = WideGenerator(outputs=2, depth=2, width=700, latent_dimension=700)
    parameters, latents = network.initial(0, 0), network.latents(256, 0, 0)
    count = sum(array.size for layer in parameters for array in layer)
    gs.empirical_kernel(network.apply, parameters, latents[:2], probes=1)
    jnp.zeros(1).block_until_ready()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.process_time()
    kernel = gs.empirical_kernel(network.apply, parameters, latents, probes=1)
    seconds = time.process_time() - start
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 2**20
    return [
        (
            f"kernel of a generator with {count / 1e6:.2f} million parameters at 256 latents, one probe",
            f"{seconds:.1f} s, memory +{grown:.2f} GiB; same kernel {kernel.same_kernel:.2f} (6 at infinite width)",
            "256 VJPs, < 2 GiB",
        )
    ]


if __name__ == "__main__":
    sys.exit(
        harness.main(
            "particle",
            __doc__,
            lambda rounds: [
                lambda f=f: f(rounds)  # type: ignore[misc]
                for f in (kernel_rows, ring_rows, batch_rows, coupling_rows, torus_rows)
            ],
            "The naive code is eager PyTorch for the ring (benchmarks/eager_particle.py, same network, same penalty, "
            f"PyTorch {torch.__version__}) and vectorised float64 NumPy for the torus (benchmarks/naive_torus.py).",
        )
    )
