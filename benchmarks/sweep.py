"""Times sweeps: large maps, what a tile costs beside its cells, boundaries, and Dask with two workers against one.

Wall time on all cores, since a sweep is what uses them; an idle machine is needed. `--write` puts the table into
docs/benchmarks.md; `--quick` takes smaller maps.
"""

import contextlib
import functools
import os
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import harness  # first: it sets the threads
import numpy as np
from harness import Row

for name in ("GANSCOPE_THREADS", "XLA_FLAGS"):
    os.environ.pop(name, None)

import ganscope as gs
from ganscope.core.parallel import cores
from ganscope.sweep.execution import trial
from ganscope.sweep.store import MICROSECONDS, SweepStore
from ganscope.sweep.tiles import choose_tile

GAME = gs.SolvableGAN(feature_variance=5.0)
CORES = cores()


def swept(folder: Path, over: dict[str, Any], *arguments: Any, **more: Any) -> tuple[float, float, int]:
    """Wall seconds of a sweep, seconds in which a worker measured cells, and tiles."""
    start = time.perf_counter()
    gs.sweep(GAME, over, *arguments, store=folder / "s.zarr", **more)
    wall = time.perf_counter() - start
    spent = SweepStore(folder / "s.zarr").ledger()[:, MICROSECONDS].astype(float)
    return wall, spent.sum() * 1e-6, len(spent)


def with_folder(part: Callable[[Path, bool], list[Row]], quick: bool) -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        return part(Path(folder), quick)


def plane(count: int) -> dict[str, Any]:
    return {"data_noise": gs.linspace(0.1, 8, count), "generator_lr": gs.linspace(0.02, 0.2, count)}


def million_cells(folder: Path, quick: bool) -> list[Row]:
    """A map of a million ODEs, and how long it takes to see that it is finished."""
    side = 250 if quick else 1000
    wall, engine, tiles = swept(folder, plane(side), "simulate", "ode", horizon=400)
    here = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    memory = (here + CORES * resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss) / 1024**2
    share = engine / (CORES * wall)
    again, _, _ = swept(folder, plane(side), "simulate", "ode", horizon=400)
    what = f"solvable `ode`, horizon 400, {side} x {side} cells"
    return [
        (what, f"{wall:.0f} s, {memory:.2f} GiB in all; {share:.0%} of it in the engine, {tiles} tiles",
         "< 60 s, < 2 GiB"),
        (f"the same finished store, every checksum verified, {tiles} tiles", f"{again:.2f} s", "nothing computed"),
    ]  # fmt: skip


def million_predictions(folder: Path, quick: bool) -> list[Row]:
    side = 250 if quick else 1000
    wall, _, _ = swept(folder, plane(side), "predict", "ode")
    return [(f"solvable, predictions alone, {side} x {side} cells", f"{wall:.0f} s", "")]


def chains(folder: Path, quick: bool) -> list[Row]:
    """Exact chains at dimension 1000 with replicas."""
    side, replicas = (16 if quick else 64), 16
    more = dict(dimension=1000, horizon=100, replicas=replicas)
    wall, engine, _ = swept(folder, plane(side), "simulate", "chain", **more)
    steps = side * side * replicas * 1e5
    text = f"{wall:.0f} s, {wall * CORES / steps * 1e9:.0f} ns of a core per replica-step; "
    what = (
        f"`chain`, dimension 1000, {side} x {side} cells x {replicas} replicas to time 100 ({steps:.2g} replica-steps)"
    )
    return [(what, text + f"{engine / (CORES * wall):.0%} in the engine", "< 300 s")]


def tile_cost(folder: Path, quick: bool) -> list[Row]:
    """What a tile costs beside its cells, with 12 variables of numbers, in this process and in two others."""
    rows: list[Row] = []
    count, seconds = (20 if quick else 240), 0.2

    def measure(run: Any) -> dict[str, float]:
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            pass
        return {f"v{k}": float(k) for k in range(12)}

    def one_cell(shape: Any, grouped: Any, cells: int, at_most: int) -> tuple[int, ...]:
        return choose_tile(shape, grouped, 1, at_most)

    with tiles_by(one_cell):
        for workers in (0, CORES):
            place = folder / str(workers)
            over = {"data_noise": gs.linspace(1, 6, count)}
            swept(place, over, measure, "ode", horizon=1, save_at=[1.0], workers=workers)
            wall, tiles = steady(place)
            hands = max(1, workers)
            engine = tiles * SweepStore(place / "s.zarr").ledger()[:, MICROSECONDS].mean() * 1e-6
            lost = (wall * hands - engine) / tiles
            what = f"tiles of {seconds:.1f} s, 12 variables, {workers or 'no'} other processes"
            text = f"{engine / (wall * hands):.1%} in the engine, {1e3 * lost:.1f} ms per tile beside it"
            rows.append((what, text, ">= 90 %, < 15 ms"))
    return rows


@contextlib.contextmanager
def tiles_by(choose: Callable[..., tuple[int, ...]]) -> Iterator[None]:
    """Tiles of another shape than the sweep would choose."""
    original, trial.choose_tile = trial.choose_tile, choose
    try:
        yield
    finally:
        trial.choose_tile = original


def steady(folder: Path) -> tuple[float, int]:
    """Seconds between the end of the first quarter of the tiles and of the last one, and the number of tiles between.

    This leaves out the start of the processes.
    """
    written = np.sort([path.stat().st_mtime for path in (folder / "s.zarr" / "ledger" / "c").glob("*/0")])
    first = len(written) // 4
    return float(written[-1] - written[first]), len(written) - 1 - first


def boundaries(folder: Path, quick: bool) -> list[Row]:
    """The boundary between two outcomes at 1/1024 of both axes."""
    del folder
    resolution = 1 / (256 if quick else 1024)
    ranges = ((0.1, 8.0), (0.02, 0.2))
    rows = []
    for measure, more in (("predict", {}), ("simulate", dict(horizon=1000))):
        start = time.perf_counter()
        found = gs.boundary(
            GAME, ("data_noise", "generator_lr"), ranges, measure=measure, level="ode", resolution=resolution, **more
        )
        wall, count = time.perf_counter() - start, found.sizes["sample"]
        text = f"{count} evaluations, {count * resolution**2:.2%} of the plane, {wall:.1f} s"
        rows.append((f"boundary, {measure}, resolution 1/{round(1 / resolution)} of both axes", text, "<= 3 %"))
    return rows


def dask(folder: Path, quick: bool) -> list[Row]:
    """Two local Dask workers against one, on tiles of a second."""
    walls = {}
    side = 24 if quick else 48
    over = {"data_noise": gs.linspace(0.1, 8, side), "generator_lr": gs.linspace(0.02, 0.2, 16_000)}
    with tiles_by(lambda shape, grouped, cells, at_most: (1, shape[1])):
        for workers in (1, 2):
            place = folder / str(workers)
            _, engine, tiles = swept(place, over, "simulate", "ode", horizon=400, workers=workers, scheduler="local")
            walls[workers] = steady(place)[0]
    what = f"Dask, 2 local workers against 1, {tiles} tiles of {engine / tiles:.1f} s"
    return [(what, f"{walls[1] / walls[2]:.2f}x", ">= 1.7x")]


def parts(rounds: int) -> list[Callable[[], list[Row]]]:
    quick = rounds < 7
    every = (tile_cost, million_cells, million_predictions, chains, boundaries, dask)
    return [functools.partial(with_folder, part, quick) for part in every]


if __name__ == "__main__":
    about = (
        "Wall time on all cores of the machine below; in the engine is the time in which a worker measures cells and "
        "classifies them."
    )
    harness.main("sweep", __doc__, parts, about)
