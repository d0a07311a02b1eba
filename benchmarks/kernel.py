"""Times the engines of the kernel GAN against the code a researcher would write, and prints the ratios.

Everything runs on one core, contenders interleaved in one process; figures are medians of several rounds of CPU time.
`--write` puts the table into docs/benchmarks.md; `--quick` takes fewer rounds.
"""

import subprocess
import sys
import time
from collections.abc import Callable

import harness  # first: it sets the threads
import numpy as np
import reference_kernel as reference
from harness import Row, race

import ganscope as gs
from ganscope.games.kernel import fourier_grid
from ganscope.games.kernel.data import digits
from ganscope.games.kernel.good_minimum import conditioning
from ganscope.games.kernel.isolated_formulas import family_radii
from ganscope.games.kernel.linearisation import spectrum_at
from ganscope.games.kernel.sums import kernel_gradient

POINTS, FEATURES, WINDOW = 1000, 1024, 200
# Slices of the window that the naive code computes; its time is proportional to their number.
SLICES = 2


def clouds(axes: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.standard_normal((POINTS, axes)), 0.5 * rng.standard_normal((POINTS, axes)) + 0.3


def feature_rows(rounds: int) -> list[Row]:
    """Random features against the float64 NumPy loop with the true points' features computed once."""
    rows = []
    mass = np.full(POINTS, 1 / POINTS)
    steps, few = 200, 3
    for axes in (2, 16):
        X, Z = clouds(axes)
        game = gs.KernelGAN(X, Z, representation="random_features", features=FEATURES, generator_lr=500.0)
        frequencies = reference.random_frequencies(1.0, axes, FEATURES, np.random.default_rng(0))

        def ours(count: int, precision: str, game: gs.KernelGAN = game) -> Callable[[], object]:
            return lambda: gs.simulate(game, "gda", iterations=count, save_at=[count], precision=precision)

        result = race(
            {
                "single": ours(steps, "single"),
                "setup": ours(1, "single"),
                "double": ours(steps, "double"),
                "naive": lambda X=X, Z=Z, f=frequencies: reference.feature_loop(
                    X, mass, Z, mass, f, 0.2, 500.0, 1.0, few
                ),
            },
            rounds,
        )
        naive = result["naive"] / few
        single, double = ((result[k] - result["setup"]) / (steps - 1) for k in ("single", "double"))
        rows.append(
            (
                f"random features, {POINTS} + {POINTS} points, {FEATURES} features, d = {axes}",
                f"{single * 1e3:.2f} ms per step, {naive / single:.0f}x; in double precision {double * 1e3:.2f} ms, "
                f"{naive / double:.0f}x",
                ">= 30x",
            )
        )
    return rows


def naive_window(Z: np.ndarray, slices: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Gradient of the discriminator from a window of slices `[slices, M, d]`, one broadcast per slice."""
    gradient = np.zeros_like(Z)
    for centres, weight in zip(slices, weights, strict=True):
        difference = Z[:, None, :] - centres[None, :, :]
        K = weight * np.exp(-np.sum(difference**2, axis=-1) / 2)
        gradient -= np.sum(K[..., None] * difference, axis=1)
    return gradient


def window_rows(rounds: int) -> list[Row]:
    """A window of 200 x 1000 centres: the Fourier grid, which needs no window, and direct sums."""
    rows = []
    for axes in (2, 16):
        X, Z = clouds(axes)
        rng = np.random.default_rng(1)
        slices = 0.7 * rng.standard_normal((WINDOW, POINTS, axes)) + 0.2
        ages = np.linspace(1, 0.2, WINDOW) * 1e-3
        weights = np.repeat(ages, POINTS)
        centres = np.ascontiguousarray(slices.reshape(-1, axes).T)
        single = centres.astype(np.float32), weights.astype(np.float32)
        contenders: dict[str, Callable[[], object]] = {
            "double": lambda Z=Z, c=centres, w=weights: kernel_gradient(gs.RBF(1.0), Z, c, w),
            "single": lambda Z=Z, s=single: kernel_gradient(gs.RBF(1.0), Z, *s),
            "naive": lambda Z=Z, s=slices, a=ages: naive_window(Z, s[:SLICES], a[:SLICES]),
        }
        if axes == 2:
            game = gs.KernelGAN(X, Z, representation="fourier_grid", generator_lr=500.0)
            for count in (101, 1):
                contenders[str(count)] = lambda n=count, game=game: gs.simulate(
                    game, "gda", iterations=n, save_at=[n], tolerance=1e-10, box=11.0
                )
        result = race(contenders, max(3, rounds // 2))
        naive = result["naive"] * WINDOW / SLICES
        direct = (
            f"{result['double'] * 1e3:.0f} ms, {naive / result['double']:.0f}x; "
            f"in single precision {result['single'] * 1e3:.0f} ms, {naive / result['single']:.0f}x"
        )
        if axes == 2:
            step = (result["101"] - result["1"]) / 100
            rows.append(
                (
                    f"Fourier grid instead of {WINDOW} x {POINTS} centres, d = 2",
                    f"{step * 1e3:.2f} ms per step, {naive / step:.0f}x; error of the kernel {grid_error():.0e}",
                    ">= 500x at 1e-10",
                )
            )
            rows.append((f"history, {WINDOW} x {POINTS} centres, d = 2", direct, ""))
        else:
            rows.append((f"history, {WINDOW} x {POINTS} centres, d = {axes}", direct, ">= 100x"))
    return rows


def grid_error() -> float:
    """Largest error of the kernel on a grid of tolerance 1e-10, at distances within the box."""
    cut = fourier_grid.cut_of(1e-10)
    period, counts = fourier_grid.sizes(np.ones((1, 1)), np.full((1, 2), 11.0), cut)
    waves = fourier_grid.grid(np.ones((1, 1)), np.ones(1), period, counts)
    omega = 2 * np.pi * waves.frequencies.reshape(4, -1)[:2]
    distances = np.linspace(-11.0, 11.0, 60)
    r = np.stack(np.meshgrid(distances, distances), -1).reshape(-1, 2)
    return float(np.max(np.abs(np.cos(r @ omega) @ waves.weights - gs.RBF(1.0).value(r))))


def memory_rows() -> list[Row]:
    """Peak memory of a process that runs 1e4 against 1e4 points."""
    code = (
        "import numpy as np, resource, ganscope as gs;"
        "r = np.random.default_rng(0);"
        "g = gs.KernelGAN(r.standard_normal((10000, 3)), r.standard_normal((10000, 3)), kernel=gs.Matern52(1.0));"
        "gs.simulate(g, 'gda', iterations=2);"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    kilobytes = int(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout)
    return [("10,000 + 10,000 points, history, peak memory", f"{kilobytes / 2**20:.2f} GiB", "< 2 GiB")]


def spectrum_rows() -> list[Row]:
    """Matrix-free spectra of all digits in ten axes, the generated points on the data."""
    points, _ = digits(10, means=False)
    apart = np.linalg.norm(points[:, None] - points[None], axis=-1)[np.triu_indices(len(points), 1)]
    rows = []
    for name, width in (("min / 5", apart.min() / 5), ("min", apart.min()), ("median", np.median(apart))):
        game = gs.KernelGAN(points, points, kernel=gs.RBF(float(width)))
        start = time.process_time()
        modes = conditioning(game, points)
        spectrum_at(game, points, "alternating")
        seconds = time.process_time() - start
        slowest = "computed" if modes.certain else "bounded: numerically neutral"
        text = f"{seconds:.1f} s for both ends; conditioning {modes.conditioning:.3g}, slowest mode {slowest}"
        rows.append((f"spectrum of {len(points)} points, d = 10, bandwidth {name}", text, "< 60 s"))
    return rows


def grid_rows(rounds: int) -> list[Row]:
    """A 100 x 100 map of the closed-form radii, in one call."""
    lr, strength = np.meshgrid(np.geomspace(0.02, 4, 100), np.geomspace(0.05, 6, 100))
    result = race({"map": lambda: family_radii(1.0, 0.8, 2, 1.0, strength, lr, 0.2, "alternating")}, rounds)
    return [("100 x 100 map of closed-form spectra", f"{result['map'] * 1e3:.1f} ms, one call", "one call")]


def parts(rounds: int) -> list[Callable[[], list[Row]]]:
    return [
        lambda: feature_rows(rounds),
        lambda: window_rows(rounds),
        memory_rows,
        spectrum_rows,
        lambda: grid_rows(rounds),
    ]


if __name__ == "__main__":
    harness.main(
        "kernel",
        __doc__,
        parts,
        "The naive code is NumPy in double precision as one writes it first, in `tests/reference_kernel.py` and in the "
        f"benchmark itself; that of the window is extrapolated from {SLICES} of {WINDOW} slices.",
    )
