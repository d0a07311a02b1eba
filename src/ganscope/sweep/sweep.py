"""`sweep`: any game, level and measure over a grid, as a phase diagram in a store that survives crashes."""

import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from ganscope.core.checks import integer, number
from ganscope.core.errors import ParameterError, StoreError
from ganscope.core.game import Game
from ganscope.core.parallel import cores
from ganscope.core.store import load
from ganscope.core.version import code_digest
from ganscope.sweep.execution.cluster import Cluster
from ganscope.sweep.execution.crew import Crew
from ganscope.sweep.execution.driver import Driver, Executor
from ganscope.sweep.execution.here import Here
from ganscope.sweep.execution.trial import refuse_if_huge, tile_for, try_cells
from ganscope.sweep.execution.work import Job, counted
from ganscope.sweep.growth import tidy
from ganscope.sweep.lock import locked
from ganscope.sweep.measures import DONE
from ganscope.sweep.opening import attributes_of, complete, refuse_foreign, reopened, unfinished
from ganscope.sweep.plan import Plan, make_plan
from ganscope.sweep.store import FINISHED, MICROSECONDS, STATUS, SweepStore, create_store

# Below so many seconds of work it does not pay to start processes.
_WORTH_PROCESSES = 4.0


def sweep(
    game: Game,
    over: Mapping[str, Any],
    measure: str | Callable[[xr.Dataset], Mapping[str, Any]] = "predict",
    level: str | None = None,
    horizon: float | None = None,
    replicas: int = 1,
    seed: int = 0,
    store: str | os.PathLike[str] | None = None,
    workers: int | None = None,
    scheduler: str | None = None,
    resume: bool = True,
    *,
    time_limit: float | None = None,
    force: bool = False,
    any_version: bool = False,
    retry: bool = False,
    confirm: bool = False,
    **options: Any,
) -> xr.Dataset:
    """Measure a game on a grid of parameters: a phase diagram.

    Args:
        game: The game whose parameters are varied.
        over: Values by name, one axis each: `gs.linspace(...)`, `gs.logspace(...)` or a list. A name is a parameter of
            the game, numeric or not, or an argument of `simulate` such as `level`, `rule`, `step_size`, `dimension`.
        measure: `predict`, `simulate`, `both` (then `agreement` says where they agree), or a function of a cell's run
            that returns named numbers, texts or arrays.
        level: Of the simulation (default: the game's first) or of the prediction (default: the prediction's own).
        horizon, replicas, seed, options: As in `simulate`; for predictions `rule`, `step_size` and the game's options.
        store: Directory for the results, a Zarr group; None keeps them in memory.
        workers: Processes on this machine; None decides by the work, 0 stays in this process.
        scheduler: Address of a Dask scheduler, whose workers see the store under the same path; or `local`, a Dask
            cluster of `workers` processes on this machine.
        resume: Go on with a store of the same experiment; the grid may have grown. False refuses an existing store.
        time_limit: Seconds that a cell may take (and the tile it belongs to, before that is taken apart); not in this
            process.
        force: Replace an existing store.
        any_version: Keep what another version of the code has computed; the ledger says which tile is whose.
        retry: Measure cells again that failed.
        confirm: Start even if it takes days or fills disks.

    Returns:
        A data set over the axes, read from the store when it is used: `status` (0 missing, 1 done, 2 failed),
        `message`, `outcome`, `detail`, `margin`, `near_critical`; of simulations every observable at the end and, with
        replicas, the `share` of those that have the outcome; of predictions thresholds, rates and best values. Every
        cell equals, bit for bit, `simulate` of its own game, whatever the tiles, their order, the processes and the
        machine's threads.

    Raises:
        ParameterError: If something is unknown or out of range, or the grid is so large that it wants confirmation.
        StoreError: If the store is another experiment's, another version's, in use, or cannot be written.
        KeyboardInterrupt: With a text that says what is kept.
    """
    plan = make_plan(game, over, measure, level, replicas, seed, {"horizon": horizon, **options})
    workers = None if workers is None else integer("workers", workers, at_least=0)
    limit = None if time_limit is None else number("time_limit", time_limit, above=0)
    if limit is not None and workers == 0:
        raise ParameterError("time_limit", time_limit, "workers: a cell of this process cannot be stopped")
    if store is None and scheduler not in (None, "local"):
        raise ParameterError("store", store, "a directory that the workers of the scheduler see, too")
    if store is None:
        folder = Path(tempfile.mkdtemp(prefix="ganscope-"))
        try:
            result = _swept(plan, folder / "sweep.zarr", workers, scheduler, limit, confirm, any_version, retry).load()
            return result.drop_dims(["tile", "entry"])
        except KeyboardInterrupt:
            raise KeyboardInterrupt("nothing is kept: give a store to go on with") from None
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    if not isinstance(store, str | os.PathLike) or not str(store):
        raise ParameterError("store", store, "the path of a directory")
    if scheduler is not None and not isinstance(scheduler, str):
        raise ParameterError("scheduler", scheduler, "the address of a Dask scheduler, or 'local'")
    path = Path(store)
    if path.exists() and not force and not resume:
        raise StoreError(f"{path} exists; resume it (resume=True, --resume), replace it (--force) or choose another")
    with ExitStack() as stack:
        try:
            stack.enter_context(locked(path))
        except StoreError:
            if not force and path.exists() and not os.access(path.parent, os.W_OK) and complete(path, plan):
                return load(path)  # there is nothing to do
            raise
        try:
            return _swept(plan, path, workers, scheduler, limit, confirm, any_version, retry, force)
        except OSError as error:
            raise StoreError(f"cannot write {path}: {error.strerror or error}") from error


def _swept(
    plan: Plan,
    path: Path,
    workers: int | None,
    scheduler: str | None,
    limit: float | None,
    confirm: bool,
    any_version: bool,
    retry: bool,
    force: bool = False,
) -> xr.Dataset:
    """Create or open the store, and finish it."""
    job = Job(plan, path.absolute(), code_digest())
    tidy(path)
    if force:
        refuse_foreign(path)
    with ExitStack() as stack:
        if path.exists() and not force:
            store = reopened(SweepStore(path), plan, job, any_version)
            tiles = unfinished(store, retry)
            seconds = _remaining(store, tiles)
            executor = _executor(job, workers, scheduler, limit, seconds) if tiles else Here(job)
            stack.callback(executor.close)
            driver = Driver(job, executor)
            known = _known_cell(store)
            if known is not None:
                executor.warm_up(known)
        else:
            driver = _started(plan, job, workers, scheduler, limit, confirm, stack)
            tiles = SweepStore(path).tiling.spread_out()
        store = job.store(anew=True)
        _count_finished(driver, store, set(tiles))
        try:
            driver.run(tiles)
        except KeyboardInterrupt:
            raise KeyboardInterrupt(f"{store.finished_cells()} of {plan.cells} cells are kept in {path}") from None
    return load(path)


def _started(
    plan: Plan,
    job: Job,
    workers: int | None,
    scheduler: str | None,
    limit: float | None,
    confirm: bool,
    stack: ExitStack,
) -> Driver:
    """Try a few cells, create the store, and have an executor ready."""
    here = workers in (None, 0) and scheduler is None and limit is None
    executor: Executor = Here(job) if here else _executor(job, workers, scheduler, limit, np.inf)
    stack.callback(executor.close)
    driver = Driver(job, executor)
    estimate = try_cells(plan, driver.run_one)
    hands = executor.count if not here or workers == 0 else cores()
    if not confirm:
        refuse_if_huge(plan, estimate, hands)
    axes = {axis.name: axis.labels for axis in plan.axes}
    store = create_store(job.path, axes, tile_for(plan, estimate, hands, limit), attributes_of(plan, job))
    if estimate.block is not None and estimate.cell is not None:
        store.extend(estimate.block)
        executor.warm_up(estimate.cell)
    if here and workers is None and plan.cells * estimate.seconds > _WORTH_PROCESSES:
        driver.executor = executor = _executor(job, None, None, None, np.inf)
        stack.callback(executor.close)
    return driver


def _executor(job: Job, workers: int | None, scheduler: str | None, limit: float | None, seconds: float) -> Executor:
    """Who shall do about so many seconds of work."""
    if scheduler is not None:
        return Cluster(scheduler, job, workers, limit)
    if workers == 0 or (workers is None and limit is None and seconds < _WORTH_PROCESSES):
        return Here(job)
    return Crew(job, workers or cores(), limit)


def _remaining(store: SweepStore, tiles: list[int]) -> float:
    """Seconds of work left, as the finished tiles tell; infinite if there are none."""
    spent = store.ledger()[:, MICROSECONDS].astype(float)
    known = spent[spent > 0]
    return float(known.mean() * 1e-6 * len(tiles)) if len(known) else np.inf


def _count_finished(driver: Driver, store: SweepStore, tiles: set[int]) -> None:
    """Tell the driver what earlier ones have done."""
    for tile in range(len(store.tiling)):
        if tile not in tiles:
            counts = counted(store, tile)
            driver.counts += counts
            driver.done += counts.total()


def _known_cell(store: SweepStore) -> int | None:
    """A cell that could be measured, of one of the first finished tiles."""
    for tile in np.flatnonzero(store.ledger()[:, STATUS] == FINISHED)[:10]:
        good = np.flatnonzero(store.read(int(tile), "status").status == DONE)
        if len(good):
            return int(store.tiling.cells(int(tile))[good[0]])
    return None
