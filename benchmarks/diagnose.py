"""Times the diagnosis of real GANs: products, whole measurements, a large net, the monitor, and the usual code.

    python benchmarks/diagnose.py [--write] [--quick]

Contenders are interleaved in one process on one core, medians of CPU time; `monitor` is wall time of a training loop,
`large` wall time, too. An idle machine is needed. `--write` puts the whole table into docs/benchmarks.md.
"""

import itertools
import resource
import sys
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import harness  # first: it sets the threads
import numpy as np
import torch
from harness import Row, race
from torch.nn.functional import softplus

import ganscope as gs
from ganscope.core.caches import prepare_jax

prepare_jax()
import jax
import jax.numpy as jnp

from ganscope.diagnose.instruments.measure import measure
from ganscope.diagnose.monitoring.quick_reading import quick_reading
from ganscope.diagnose.settings import DiagnoseSettings
from ganscope.diagnose.torch_modules.reference import training

torch.set_num_threads(1)
LATENTS, AXES, GAMMA, BATCH = 8, 2, 0.3, 512
# Widths of two hidden layers that make games of about 5 thousand and a million parameters.
SMALL, LARGE = 48, 704


def layers(width: int, into: int, out: int, rng: np.random.Generator) -> list[tuple[np.ndarray, np.ndarray]]:
    widths = (into, width, width, out)
    return [(rng.normal(size=pair) / np.sqrt(pair[0]), np.zeros(pair[1])) for pair in itertools.pairwise(widths)]


def ring(count: int, rng: np.random.Generator) -> np.ndarray:
    angle = 2 * np.pi * rng.integers(0, 8, count) / 8
    return np.stack([np.cos(angle), np.sin(angle)], axis=1) + 0.1 * rng.normal(size=(count, 2))


def networks(width: int) -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    return layers(width, LATENTS, AXES, rng), layers(width, AXES, 1, rng)


def perceptron(parameters: Any, x: Any) -> Any:
    for weights, bias in parameters[:-1]:
        x = jnp.tanh(x @ weights + bias)
    return x @ parameters[-1][0] + parameters[-1][1]


def jax_losses(theta: Any, phi: Any, batch: Any, z: Any, key: Any) -> tuple[Any, Any]:
    """Non-saturating loss with R1."""
    real, fake = perceptron(phi, batch), perceptron(phi, perceptron(theta, z))
    slopes = jax.grad(lambda x: perceptron(phi, x).sum())(batch)
    penalty = 0.5 * GAMMA * (slopes**2).sum(axis=1).mean()
    return jax.nn.softplus(-fake).mean(), (jax.nn.softplus(-real) + jax.nn.softplus(fake)).mean() + penalty


def jax_game(width: int) -> gs.RealGame:
    single = jax.tree.map(np.float32, networks(width))
    points = jnp.asarray(ring(4096, np.random.default_rng(1)), jnp.float32)
    player = gs.Player("sgd", 1e-2)
    return gs.RealGame(
        jax_losses, *single, gs.UpdateRule(generator=player, discriminator=player),
        lambda key, n: points[jax.random.randint(key, (n,), 0, len(points))], LATENTS,
        generator=perceptron, discriminator=perceptron, gamma=GAMMA, train_batch_size=128,
    )  # fmt: skip


def modules(width: int) -> tuple[torch.nn.Sequential, torch.nn.Sequential]:
    made = []
    for player in networks(width):
        parts: list[torch.nn.Module] = []
        for weights, bias in player:
            linear = torch.nn.Linear(*weights.shape, dtype=torch.float64)
            linear.weight.data, linear.bias.data = torch.tensor(weights.T.copy()), torch.tensor(bias)
            parts += [linear, torch.nn.Tanh()]
        made.append(torch.nn.Sequential(*parts[:-1]))
    return made[0], made[1]


def torch_losses(generator: Any, discriminator: Any, batch: Any, z: Any, key: Any) -> tuple[Any, Any]:
    points = batch.detach().clone().requires_grad_()
    real, fake = discriminator(points), discriminator(generator(z))
    slopes = torch.autograd.grad(real.sum(), points, create_graph=True)[0]
    penalty = 0.5 * GAMMA * (slopes**2).sum(dim=1).mean()
    return softplus(-fake).mean(), (softplus(-real) + softplus(fake)).mean() + penalty


def torch_game(width: int) -> gs.RealGame:
    players = modules(width)
    optimizers = [torch.optim.SGD(player.parameters(), lr=1e-2) for player in players]
    data = torch.tensor(ring(4096, np.random.default_rng(1)))
    return gs.RealGame.from_torch(
        *players, torch_losses, data, LATENTS, *optimizers, gamma=GAMMA, train_batch_size=128
    )  # fmt: skip


def size(game: gs.RealGame) -> int:
    return int(sum(game.backend.sizes))


def linear(game: gs.RealGame, batch: int, rows: int) -> SimpleNamespace:
    """Products with some rows, and as many velocities at the same batch."""
    backend = game.backend
    draw = backend.draw(0, batch)
    held = backend.linearise(backend.point, draw)
    directions = np.random.default_rng(0).normal(size=(rows, size(game)))
    return SimpleNamespace(
        products=lambda: held.products(directions),
        velocities=lambda: [backend.velocity(backend.point, draw) for _ in range(rows)],
    )


def products(rounds: int) -> list[Row]:
    """A row of 16 products against a field evaluation each."""
    rows = []
    for width, bars in ((SMALL, ("<= 2.5x", "<= 4.5x")), (LARGE, ("<= 3x", "<= 4.5x"))):
        batch, few = (BATCH, rounds) if width == SMALL else (64, 3)
        for game, name, bar in ((jax_game(width), "JAX", bars[0]), (torch_game(width), "PyTorch", bars[1])):
            part = linear(game, batch, 16)
            spent = race({"product": part.products, "velocity": part.velocities}, few)
            one = 1e3 * spent["velocity"] / 16
            text = f"{spent['product'] / spent['velocity']:.2f}x a field evaluation of {one:.2f} ms"
            rows.append((f"Jacobian product, {name} float64, {size(game):,} parameters, batch {batch}", text, bar))
    return rows


def measurement(rounds: int) -> list[Row]:
    """Whole measurements after compilation."""
    rows = []
    for game, name in ((jax_game(SMALL), "JAX"), (torch_game(SMALL), "PyTorch")):
        sizes = (int(game.backend.sizes[0]), int(game.backend.sizes[1]))
        full = DiagnoseSettings.from_options({}, sizes=sizes)
        quick = DiagnoseSettings.from_options({}, quick=True, sizes=sizes)
        spent = race(
            {
                "full": lambda game=game, full=full: measure(game, full, 0),
                "quick": lambda game=game, quick=quick: measure(game, quick, 0),
                "reading": lambda game=game: quick_reading(game, modes=8, batch_size=128, noise_batches=8),
                "whole": lambda game=game: gs.diagnose(game.replace(), quick=True, seed=next(_SEEDS)),
            },
            rounds,
        )
        what = f"{name}, {size(game):,} parameters"
        bar = ("<= 0.5 s", "<= 0.05 s") if name == "JAX" else ("", "")
        rows += [
            (f"measurement, {what}, 24 modes, batch {BATCH}", f"{spent['full']:.2f} s", bar[0]),
            (f"measurement, {what}, 8 modes, batch 128", f"{spent['quick']:.3f} s", bar[1]),
            (f"the same with the generator's kernel (monitor), {what}", f"{spent['reading']:.3f} s", ""),
            (f"gs.diagnose(quick=True), {what}", f"{spent['whole']:.3f} s", ""),
        ]
    return rows


_SEEDS = iter(range(10**6))


def large(rounds: int) -> list[Row]:
    """A million parameters, one batch; compilation included."""
    game = jax_game(LARGE)
    settings = DiagnoseSettings.from_options({}, sizes=(int(game.backend.sizes[0]), int(game.backend.sizes[1])))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    start, spent = time.perf_counter(), time.process_time()
    measure(game, settings, 0)
    seconds, spent = time.perf_counter() - start, time.process_time() - spent
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    what = f"measurement, JAX, {size(game):,} parameters, 24 modes, batch {BATCH}, with compilation"
    return [
        (what, f"{seconds:.0f} s ({spent:.0f} s of one core), {peak:.2f} GiB ({before:.2f} before)", "< 180 s, < 4 GiB")
    ]


def monitor(rounds: int) -> list[Row]:
    """Training on digits with a monitor: its share of wall time from iteration 4000 on, by a clock around it."""
    from sklearn.datasets import load_digits

    pixels = load_digits().data / 8.0 - 1.0
    game, iteration = training(pixels)
    watch = gs.Monitor(game, planned_iterations=6000)
    own, since, shares = 0.0, time.perf_counter(), []
    for k in range(1, 6001):
        iteration()
        began = time.perf_counter()
        watch.step()
        now = time.perf_counter()
        own += now - began
        if k >= 4000 and k % 100 == 0:
            apart = watch.warm_up_seconds
            shares.append((own - apart) / (now - since - apart))
    readings = sum(one.margin is not None for one in watch.history)
    own_count = f"{shares[-1]:.1%} at the end, {watch.overhead:.1%} by its own count"
    text = f"at most {max(shares):.1%}, {own_count}; {readings} dear readings"
    return [(f"monitor, digits, PyTorch, {size(game):,} parameters, 6000 iterations, warm-up "
             f"{watch.warm_up_seconds:.1f} s apart", text, "<= 5 % from iteration 4000")]  # fmt: skip


def peers(rounds: int) -> list[Row]:
    """Products of the package against double backward passes written by hand in PyTorch, one net, one batch."""
    rows = []
    ours, theirs = linear(jax_game(SMALL), BATCH, 16), linear(torch_game(SMALL), BATCH, 16)
    spent = race({"jax": ours.products, "torch": theirs.products, "usual": usual(SMALL, 16)}, rounds)
    for name, key in (("JAX", "jax"), ("PyTorch", "torch")):
        text = f"{1e3 * spent[key] / 16:.2f} ms per product, {spent['usual'] / spent[key]:.2f}x as fast"
        rows.append((f"{name} against double backward in PyTorch, batch {BATCH}", text, "> 1x"))
    return rows


def usual(width: int, count: int) -> Callable[[], object]:
    """J x as it is usually written: gradients with graph, then for every direction a product by two backward passes."""
    generator, discriminator = modules(width)
    batch = torch.tensor(ring(BATCH, np.random.default_rng(1)))
    z = torch.tensor(np.random.default_rng(2).normal(size=(BATCH, LATENTS)))
    own = [list(player.parameters()) for player in (generator, discriminator)]
    everything = own[0] + own[1]
    draws = np.random.default_rng(0)
    directions = [[torch.tensor(draws.normal(size=p.shape)) for p in everything] for _ in range(count)]

    def run() -> object:
        losses = torch_losses(generator, discriminator, batch, z, None)
        field = [
            -g
            for loss, mine in zip(losses, own, strict=True)
            for g in torch.autograd.grad(loss, mine, create_graph=True)
        ]  # fmt: skip
        made = []
        for direction in directions:
            dummies = [torch.zeros_like(v).requires_grad_() for v in field]
            adjoint = torch.autograd.grad(field, everything, dummies, create_graph=True, allow_unused=True)
            pairs = [(a, d) for a, d in zip(adjoint, direction, strict=True) if a is not None]
            made.append(torch.autograd.grad([a for a, _ in pairs], dummies, [d for _, d in pairs], allow_unused=True))
        return made

    return run


PARTS = {"products": products, "measurement": measurement, "large": large, "monitor": monitor, "peers": peers}


def parts(rounds: int) -> list[Callable[[], list[Row]]]:
    chosen = [_part] if _part else list(PARTS)
    return [lambda name=name: PARTS[name](rounds) for name in chosen]


_part = ""
if __name__ == "__main__":
    if "--part" in sys.argv:
        place = sys.argv.index("--part")
        _part = sys.argv[place + 1] if place + 1 < len(sys.argv) else ""
        if _part not in PARTS or "--write" in sys.argv:
            sys.exit(f"--part takes one of {', '.join(PARTS)}, and does not go with --write")
        del sys.argv[place : place + 2]
    about = (
        f"Non-saturating loss with R1, two hidden layers of {SMALL} or {LARGE} tanh units, data on a ring; the usual "
        f"code is PyTorch {torch.__version__} with two backward passes per product. Training is on 8 x 8 digits."
    )
    harness.main("diagnose", __doc__, parts, about)
