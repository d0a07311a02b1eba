"""Times the engines of the dual flows against the code a researcher would write, and prints the ratios.

Everything runs on one core, contenders interleaved in one process; figures are medians of several rounds of CPU time.
`--write` puts the table into docs/benchmarks.md; `--quick` takes fewer rounds.
"""

import math
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import harness  # first: it sets the threads
import numpy as np
from harness import Row, race
from scipy.stats import norm

import ganscope as gs

PARTICLES, WAVES = 10_000, 512
MILLION = 1_000_000
# Share of the steps that a slow contender takes; its time is proportional to their number.
SHARE = {"NumPy": 100, "Python": 10}
TAU, RHO, SPEED = 0.02, 1.0, 5.0

Array = np.ndarray


def last(game: Any, level: str, count: int, **options: Any) -> Callable[[], object]:
    """A run that only records its end."""
    return lambda: gs.simulate(game, level, iterations=count, save_at=[count], **options)


def per_step(result: dict[str, float], count: int, name: str = "ours", few: str = "setup") -> float:
    """Seconds of a step: everything else, such as the observables at the end, is in the run of one step, too."""
    return (result[name] - result[few]) / (count - 1)


class NaiveLine:
    """Gaussian kernel on a line by Fourier features, one NumPy array per formula; the critic high on real data."""

    def __init__(self, game: gs.FeatureGAN) -> None:
        half, ell = game.period, float(game.bandwidth)
        self.frequencies = np.pi * np.arange(1, (game.map.size - 1) // 2 + 1) / half
        powers = np.concatenate([[1.0], 2 * np.exp(-((self.frequencies * ell) ** 2) / 2)])
        self.roots = np.sqrt(powers / powers.sum())
        self.target = self.features(game.real[:, 0]).mean(axis=0)
        self.start = game.generated_points[:, 0]

    def features(self, x: Array) -> Array:
        angles = x[:, None] * self.frequencies
        ones = np.ones((len(x), 1))
        return np.concatenate([ones, np.cos(angles), np.sin(angles)], axis=1) * np.r_[self.roots, self.roots[1:]]

    def slopes(self, x: Array) -> Array:
        angles, weights = x[:, None] * self.frequencies, self.roots[1:] * self.frequencies
        return np.concatenate([np.zeros((len(x), 1)), -weights * np.sin(angles), weights * np.cos(angles)], axis=1)

    def bends(self, x: Array) -> Array:
        return -(np.r_[0, self.frequencies, self.frequencies] ** 2) * self.features(x)

    def explicit_sequential(self, steps: int) -> Array:
        x, a = self.start.copy(), np.zeros(len(self.target))
        for _ in range(steps):
            x = x + TAU * self.slopes(x) @ a
            a = a + TAU * SPEED * (self.target - self.features(x).mean(axis=0) - RHO * a)
        return x

    def jko_sequential(self, steps: int) -> Array:
        x, a = self.start.copy(), np.zeros(len(self.target))
        for _ in range(steps):
            z = x + TAU * self.slopes(x) @ a
            for _ in range(100):
                residual = z - x - TAU * self.slopes(z) @ a
                if np.max(np.abs(residual)) <= 1e-12 * (1 + np.max(np.abs(x))):
                    break
                z = z - residual / (1 - TAU * self.bends(z) @ a)
            x = z
            pull = self.target - self.features(x).mean(axis=0)
            a = (a + TAU * SPEED * pull) / (1 + TAU * SPEED * RHO)
        return x


def line_rows(rounds: int) -> list[Row]:
    """A law of 1e4 particles on a line against a Gaussian kernel."""
    levels = (np.arange(PARTICLES) + 0.5) / PARTICLES
    start = 1.5 + 0.5 * norm.ppf(levels)
    game = gs.FeatureGAN(norm.ppf(levels), start, bandwidth=1.0, half_period=8, discriminator_lr=SPEED)
    naive = NaiveLine(game)
    rows = []
    steps, few = 200, 5
    for level in ("explicit_sequential", "jko_sequential"):
        code = getattr(naive, level)
        ours = gs.simulate(game, level, step_size=TAU, iterations=few).generated_points.values[-1, :, 0]
        assert np.max(np.abs(ours - code(few))) < 1e-10
        contenders = {
            "ours": last(game, level, steps, step_size=TAU),
            "setup": last(game, level, 1, step_size=TAU),
            "naive": lambda code=code: code(few),
        }
        result = race(contenders, rounds)
        step, slow = per_step(result, steps), result["naive"] / few
        text = f"{step * 1e3:.2f} ms per step, {slow / step:.0f}x"
        what = f"kernel GAN on a line, {PARTICLES:,} particles, {game.map.size} features, `{level}`"
        rows.append((what, text, ">= 30x" if level == "explicit_sequential" else ""))
    return rows


def naive_waves(game: gs.FeatureGAN, frequencies: Array, steps: int) -> Array:
    """`explicit_sequential` with random waves in NumPy."""

    def features(x: Array) -> Array:
        angles = x @ frequencies.T
        return np.concatenate([np.cos(angles), np.sin(angles)], axis=1) / np.sqrt(len(frequencies))

    x, target = game.generated_points.copy(), features(game.real).mean(axis=0)
    a = np.zeros(len(target))
    for _ in range(steps):
        angles = x @ frequencies.T
        even, odd = np.split(a / np.sqrt(len(frequencies)), 2)
        x = x + TAU * (np.cos(angles) * odd - np.sin(angles) * even) @ frequencies
        a = a + TAU * SPEED * (target - features(x).mean(axis=0) - RHO * a)
    return x


def plane_rows(rounds: int) -> list[Row]:
    """Random waves in the plane."""
    rng = np.random.default_rng(0)
    count = 3000  # more than the exact W2 at the end takes
    frequencies = rng.standard_normal((WAVES, 2))
    real, start = rng.standard_normal((count, 2)), 0.5 * rng.standard_normal((count, 2)) + 1
    game = gs.FeatureGAN(real, start, features=frequencies, discriminator_lr=SPEED)
    steps, few, level = 50, 3, "explicit_sequential"
    ours = gs.simulate(game, level, step_size=TAU, iterations=few).generated_points.values[-1]
    assert np.max(np.abs(ours - naive_waves(game, frequencies, few))) < 1e-10
    contenders = {
        "ours": last(game, level, steps, step_size=TAU),
        "setup": last(game, level, 1, step_size=TAU),
        "naive": lambda: naive_waves(game, frequencies, few),
    }
    result = race(contenders, max(3, rounds // 2))
    step, slow = per_step(result, steps), result["naive"] / few
    what = f"kernel GAN in the plane, {count:,} particles, {WAVES} random waves, `{level}`"
    return [(what, f"{step * 1e3:.1f} ms per step, {slow / step:.0f}x", "")]


def numpy_dirac(steps: int) -> Array:
    z = np.array([1.0, 0.5])
    for _ in range(steps):
        slope = 1 / (1 + np.exp(-z[0] * z[1]))
        z = np.array([z[0] + TAU * slope * z[1], z[1]])
        slope = 1 / (1 + np.exp(-z[0] * z[1]))
        z = np.array([z[0], z[1] - TAU * slope * z[0]])
    return z


def python_dirac(steps: int) -> tuple[float, float]:
    theta, psi = 1.0, 0.5
    for _ in range(steps):
        theta += TAU * psi / (1 + math.exp(-theta * psi))
        psi -= TAU * theta / (1 + math.exp(-theta * psi))
    return theta, psi


def numpy_quadratic(steps: int) -> Array:
    z = np.array([1.0, -0.5])
    for _ in range(steps):
        z = np.array([z[0] - TAU * (0.001 * z[0] + z[1]), z[1]])
        z = np.array([z[0], z[1] - TAU * (0.001 * z[1] - z[0])])
    return z


def python_quadratic(steps: int) -> tuple[float, float]:
    x, y = 1.0, -0.5
    for _ in range(steps):
        x -= TAU * (0.001 * x + y)
        y -= TAU * (0.001 * y - x)
    return x, y


def scalar_rows(rounds: int) -> list[Row]:
    """A million steps of two numbers."""
    games = {
        "DiracGAN, saturating": (gs.DiracGAN("saturating", initial=(1, 0.5)), numpy_dirac, python_dirac),
        "QuadraticGame, 1 + 1": (
            gs.QuadraticGame(0.001, 1, 0.001, -1, initial=(1, -0.5)),
            numpy_quadratic,
            python_quadratic,
        ),
    }
    rows = []
    for name, (game, on_arrays, on_floats) in games.items():
        run = gs.simulate(game, "explicit_sequential", step_size=TAU, iterations=1000)
        end = np.ravel([run.generator.values[-1], run.discriminator.values[-1]])
        for code in (on_arrays, on_floats):
            assert np.max(np.abs(end - code(1000))) < 1e-12
        contenders: dict[str, Callable[[], object]] = {
            "ours": last(game, "explicit_sequential", MILLION, step_size=TAU),
            "NumPy": lambda code=on_arrays: code(MILLION // SHARE["NumPy"]),
            "Python": lambda code=on_floats: code(MILLION // SHARE["Python"]),
        }
        result = race(contenders, rounds)
        ours = result["ours"]
        ratios = {k: result[k] * share / ours for k, share in SHARE.items()}
        text = f"{ours * 1e3:.0f} ms, {ratios['NumPy']:.0f}x NumPy states, {ratios['Python']:.0f}x Python floats"
        rows.append((f"{name}: a million steps of `explicit_sequential`", text, ">= 50x, > 1x"))
    return rows


def map_rows(rounds: int) -> list[Row]:
    """A 100 x 100 map of largest stable steps."""
    lam, strength = np.meshgrid(np.linspace(0, 6, 100), np.linspace(0.1, 4, 100))

    def one_call() -> Array:
        return gs.largest_stable_step("jko_sequential", strength, 0.3, lam)

    def loop() -> Array:
        values = np.empty(lam.shape)
        for place in np.ndindex(*lam.shape):
            p, q, s = 0.3, lam[place], strength[place] ** 2
            values[place] = 4 / (math.sqrt((p - q) ** 2 + 4 * s) - (p + q)) if s > p * q else math.inf
        return values

    np.testing.assert_allclose(one_call(), loop(), rtol=1e-10)
    result = race({"ours": one_call, "loop": loop}, rounds)
    text = f"{result['ours'] * 1e3:.2f} ms, one call; {result['loop'] / result['ours']:.0f}x a loop in Python"
    return [("100 x 100 map of `largest_stable_step`", text, "one call")]


def numpy_field(start: Array, steps: int, tau: float) -> Array:
    theta, omega = 0.9, start.copy()
    for _ in range(steps):
        theta = theta + tau * omega.mean()
        omega = np.clip(omega - tau * theta, -1, 1)
    return omega


def field_rows(rounds: int) -> list[Row]:
    """Clipped weights in their mean field."""
    omega, tau, steps = np.linspace(-0.3, 0.3, 201), 1e-3, 60_000
    game = gs.ClippedGAN(initial=(0.9, omega))
    run = gs.simulate(game, "explicit_sequential", step_size=tau, iterations=1000)
    assert np.max(np.abs(run.discriminator.values[-1] - numpy_field(omega, 1000, tau))) < 1e-10
    contenders = {
        "ours": last(game, "explicit_sequential", steps, step_size=tau),
        "naive": lambda: numpy_field(omega, steps // 10, tau),
    }
    result = race(contenders, rounds)
    text = f"{result['ours'] / steps * 1e6:.2f} us per step, {result['naive'] * 10 / result['ours']:.0f}x"
    return [("ClippedGAN, 201 weights, `explicit_sequential`", text, "")]


def numpy_moments(game: gs.QuadraticGAN, steps: int) -> tuple[Array, Array]:
    """`explicit_sequential` on mean, factor and discriminator."""
    m, factor = game.mean.copy(), game.initial_factor.copy()
    goal = game.target_covariance + np.outer(game.target_mean, game.target_mean)
    w, W = np.zeros(2), np.zeros((2, 2))
    for _ in range(steps):
        m, factor = m + TAU * (W @ m + w), factor + TAU * (W @ factor)
        w = w + TAU * (game.target_mean - m - game.linear_penalty * w)
        W = W + TAU * ((goal - factor @ factor.T - np.outer(m, m)) / 2 - game.quadratic_penalty * W)
    return m, factor @ factor.T


def moment_rows(rounds: int) -> list[Row]:
    """Moments of a normal law in the plane."""
    game = gs.QuadraticGAN([0, 0], np.diag([1.0, 2.0]), [1, 0], [[0.5, 0.1], [0.1, 0.3]])
    run = gs.simulate(game, "explicit_sequential", step_size=TAU, iterations=500)
    assert np.max(np.abs(run.covariance.values[-1] - numpy_moments(game, 500)[1])) < 1e-10
    steps = 100_000
    contenders = {
        "ours": last(game, "explicit_sequential", steps, step_size=TAU),
        "naive": lambda: numpy_moments(game, steps // 50),
    }
    result = race(contenders, rounds)
    text = f"{result['ours'] / steps * 1e9:.0f} ns per step, {result['naive'] * 50 / result['ours']:.0f}x"
    return [("QuadraticGAN in the plane, `explicit_sequential`", text, "")]


def memory_rows() -> list[Row]:
    """How much the peak memory of a process grows with a run of 1e4 points, after one of 50."""
    code = (
        "import numpy as np, resource, ganscope as gs;"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss;"
        "r = np.random.default_rng(0);"
        "make = lambda n: gs.FeatureGAN(r.normal(size=(n, DIM)), r.normal(size=(n, DIM))MORE);"
        "run = lambda n: gs.simulate(make(n), 'explicit_sequential', iterations=2, save_at=[0, 2]);"
        "run(50); before = peak(); run(COUNT); print(peak() - before)"
    )
    rows = []
    for d, more, what in ((1, "", "on a line"), (2, ", features='random'", "in the plane, 512 random waves")):
        text = code.replace("COUNT", str(PARTICLES)).replace("DIM", str(d)).replace("MORE", more)
        done = subprocess.run([sys.executable, "-c", text], check=True, capture_output=True, text=True)
        mebibytes = int(done.stdout) / 2**10
        square = 8 * PARTICLES**2 / 2**20
        row = f"{PARTICLES:,} + {PARTICLES:,} points {what}, peak memory"
        rows.append(
            (
                row,
                f"grows by {mebibytes:.0f} MiB (one matrix of all pairs: {square:.0f} MiB)",
                "< a matrix of all pairs",
            )
        )
    return rows


def parts(rounds: int) -> list[Callable[[], list[Row]]]:
    return [
        lambda: line_rows(rounds),
        lambda: plane_rows(rounds),
        lambda: scalar_rows(rounds),
        lambda: map_rows(rounds),
        lambda: field_rows(rounds),
        lambda: moment_rows(rounds),
        memory_rows,
    ]


if __name__ == "__main__":
    harness.main(
        "dualflow",
        __doc__,
        parts,
        "The naive code is NumPy in double precision as one writes it first, in the benchmark itself, which checks "
        "that both compute the same; slow contenders take a share of the steps, and their time is extrapolated.",
    )
