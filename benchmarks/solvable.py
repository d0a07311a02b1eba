"""Times the engines of the solvable model against the code a researcher would write, and prints the ratios.

Everything runs on one core, contenders interleaved in one process; figures are medians of several rounds of CPU time.
`--write` puts the table into docs/benchmarks.md; `--quick` takes fewer rounds.
"""

import statistics
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import harness  # first: it sets the threads
import numpy as np
import reference_solvable as reference
from harness import ROOT, Row, race
from scipy.integrate import solve_ivp

import ganscope as gs
from ganscope.core.compiled import compiled
from ganscope.core.random import fill_normals
from ganscope.games.solvable.drift import make_drift

START = gs.MacroState([[0.3, 0.1], [0.05, 0.25]], [0.3, 0.2])
GAME = gs.SolvableGAN(initial=START)


def sgd_rows(rounds: int) -> list[Row]:
    """SGD on every weight against the float64 loop with three noise vectors, and against drawing normals."""

    @compiled(cache=False)
    def draw(out: np.ndarray, steps: int) -> None:
        for step in range(steps):
            fill_normals(out, 0, 0, step, np.uint32(1), np.uint32(2))

    rows = []
    rng = np.random.default_rng(0)
    for n, bar in ((1000, 50), (10_000, 50), (100_000, 35)):
        steps, few = 20_000_000 // n, max(4, 1_000_000 // n)
        weights = reference.start_weights(reference.unpack(START.vector(), 2, 2), n, rng)
        out = np.empty((n + 63) // 64 * 64, np.float32)
        result = race(
            {
                "ours": lambda n=n, steps=steps: gs.simulate(
                    GAME, "sgd", dimension=n, iterations=steps, save_at=[steps]
                ),
                "setup": lambda n=n: gs.simulate(GAME, "sgd", dimension=n, iterations=1, save_at=[1]),
                "naive": lambda few=few, w=weights: reference.sgd(reference.Setting(), *w, few, rng),
                "normals": lambda steps=steps, out=out: draw(out, steps),
            },
            rounds,
        )
        ours = (result["ours"] - result["setup"]) / steps / n * 1e9
        naive = result["naive"] / few / n * 1e9
        normals = result["normals"] / steps / n * 1e9
        rows.append(
            (
                f"sgd, dimension {n:,}",
                f"{ours:.2f} ns per weight and step, {naive / ours:.0f}x; {ours / normals:.2f}x the normals",
                f">= {bar}x, <= 2.5x",
            )
        )
    return rows


def chain_rows(rounds: int) -> list[Row]:
    """The exact chain against one NumPy step, alone and in company."""
    steps, few, lanes = 500_000, 300, 10_000
    state = reference.unpack(START.vector(), 2, 2)
    rng = np.random.default_rng(0)

    def naive() -> None:
        now = state
        for _ in range(few):
            now = reference.chain_step_single(reference.Setting(), now, 1000, rng)

    def alone(n: int) -> Callable[[], object]:
        return lambda: gs.simulate(GAME, "chain", dimension=n, iterations=steps, save_at=[steps])

    result = race(
        {
            "small": alone(100),
            "large": alone(10**9),
            "naive": naive,
            "many": lambda: gs.simulate(GAME, "chain", dimension=1000, iterations=400, save_at=[400], replicas=lanes),
        },
        rounds,
    )
    step, numpy_step = result["small"] / steps, result["naive"] / few
    per_replica = result["many"] / 400 / lanes
    alone_text = f"{step * 1e9:.0f} ns per step, {1e-6 / step:.1f} M steps/s, {numpy_step / step:.0f}x"
    many_text = f"{per_replica * 1e9:.1f} ns per replica and step, {numpy_step / per_replica:.0f}x"
    flat_text = f"{result['large'] / result['small']:.3f} of the time per step"
    return [
        ("chain, one replica", alone_text, ">= 100x, >= 4 M/s"),
        ("chain, dimension 1e9 against 1e2", flat_text, "within 10 %"),
        ("chain, 10,000 replicas", many_text, ">= 350x"),
    ]


def ode_rows(rounds: int) -> list[Row]:
    """A 100 x 100 map of the ODE to time 200 against SciPy in a loop and diffrax under vmap."""
    import diffrax
    import jax
    import jax.numpy as jnp

    rates, noises = (g.ravel() for g in np.meshgrid(np.linspace(0.02, 0.5, 100), np.linspace(0.1, 4, 100)))
    over = {"discriminator_lr": rates, "generator_lr": rates / 4, "data_noise": noises}
    columns = np.tile(GAME.rows(), (1, len(rates)))
    columns[0], columns[1], columns[2], columns[3] = rates, rates / 4, noises, noises
    sample = np.arange(0, len(rates), 1000)
    numpy_rate, _ = make_drift(np, 2, 2, True, "quadratic")

    def scipy_loop() -> None:
        for cell in sample:
            column = columns[:, cell]
            solve_ivp(lambda t, x, c=column: numpy_rate(x, c), (0, 200), START.vector(), rtol=1e-6, atol=1e-9)

    with jax.enable_x64(True):
        jax_rate, _ = make_drift(jnp, 2, 2, True, "quadratic")
        term = diffrax.ODETerm(lambda t, x, c: jax_rate(x, c))

        @jax.jit
        @jax.vmap
        def solve(column: jax.Array) -> jax.Array:
            result = diffrax.diffeqsolve(
                term, diffrax.Tsit5(), 0.0, 200.0, 1e-2, jnp.asarray(START.vector()), args=column,
                stepsize_controller=diffrax.PIDController(rtol=1e-6, atol=1e-9),
                saveat=diffrax.SaveAt(t1=True), max_steps=100_000, throw=False,
            )  # fmt: skip
            return result.ys[0]

        batch = jnp.asarray(columns.T)
        result = race(
            {
                "ours": lambda: gs.simulate_many(GAME, over, "ode", save_at=[200.0], rtol=1e-6, atol=1e-9),
                "scipy": scipy_loop,
                "diffrax": lambda: jax.block_until_ready(solve(batch)),
            },
            rounds,
        )
    scipy = result["scipy"] * len(rates) / len(sample)
    return [
        (
            "ODE, 100 x 100 map to time 200",
            f"{result['ours']:.2f} s, {scipy / result['ours']:.0f}x solve_ivp (from {len(sample)} points), "
            f"{result['diffrax'] / result['ours']:.0f}x diffrax",
            ">= 300x, >= 20x",
        )
    ]


def memory_rows() -> list[Row]:
    """Peak memory of SGD at dimension 1e6, in units of its weights, for few and for more steps."""
    n = 10**6
    weights = 5 * n * 4
    peaks = []
    for steps in (1, 20):
        tracemalloc.start()
        gs.simulate(GAME, "sgd", dimension=n, iterations=steps, save_at=[steps])
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    return [
        (
            "sgd, dimension 1e6, peak memory",
            f"{peaks[0] / 1e6:.0f} MB after 1 step, {peaks[1] / 1e6:.0f} MB after 20 (weights {weights / 1e6:.0f} MB)",
            "does not grow",
        )
    ]


def command_rows() -> list[Row]:
    """Start of the command line, and what a repeated run compiles."""
    command = [str(Path(sys.executable).with_name("ganscope")), "--help"]
    walls = []
    for _ in range(9):
        start = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        walls.append(time.perf_counter() - start)
    return [("ganscope --help", f"{statistics.median(walls):.2f} s", "< 0.3 s"), repeated_run()]


def repeated_run() -> Row:
    """How many kernels a second `ganscope run` writes into the cache of compiled code."""
    import tempfile

    from ganscope.core.compiled import cache_directory

    command = [str(Path(sys.executable).with_name("ganscope")), "run", str(ROOT / "examples" / "soft.toml")]
    with tempfile.TemporaryDirectory() as folder:
        counts = []
        for attempt in ("first", "second"):
            subprocess.run([*command, "--out", f"{folder}/{attempt}"], check=False, capture_output=True)
            counts.append({(p.name, p.stat().st_mtime_ns) for p in cache_directory().iterdir()})
    new = len(counts[1] - counts[0])
    return ("a repeated ganscope run", f"{new} files of compiled code written", "0")


def parts(rounds: int) -> list[Callable[[], list[Row]]]:
    return [lambda: sgd_rows(rounds), lambda: chain_rows(rounds), lambda: ode_rows(3), memory_rows, command_rows]


if __name__ == "__main__":
    harness.main(
        "solvable",
        __doc__,
        parts,
        "The naive code is the plain NumPy transcription in `tests/reference_solvable.py`, SciPy's `solve_ivp` in a "
        "Python loop, and diffrax's Tsit5 under `vmap`.",
    )
