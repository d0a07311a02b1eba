"""Running units of the suite on several processes: what is finished stays, what is missing is made."""

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import Any

from ganscope.claims.suite.distribution import configuration
from ganscope.claims.suite.folder import ADVICE, VERDICT, Folder, write_unit
from ganscope.core.caches import prepare_jax

PARTS = (VERDICT, ADVICE)

# Axis and number of a configuration.
Number = tuple[str, int]


def run_suite(
    folder: Folder,
    numbers: Iterable[Number],
    parts: Sequence[str] = PARTS,
    workers: int = 2,
    tell: Callable[[str, int, int], None] = lambda line, done, total: None,
) -> list[str]:
    """Make every unit that is missing.

    Args:
        folder: Where units stand.
        numbers: Configurations.
        parts: Of every configuration.
        workers: Processes; 1 works in this one.
        tell: Called with a line per finished configuration, how many are done, and of how many.

    Returns:
        What failed, a line each.
    """
    tasks = []
    for axis, number in numbers:
        name = configuration(folder.seed, number, axis).name
        missing = tuple(part for part in parts if not folder.has(name, part))
        if missing:
            tasks.append((str(folder.path), folder.seed, axis, number, missing))
    started, failed = time.perf_counter(), []
    for done, line in enumerate(_lines(tasks, workers), 1):
        left = (time.perf_counter() - started) / done * (len(tasks) - done)
        tell(f"{line} (about {left / 60:.0f} minutes left)", done, len(tasks))
        if " failed: " in line:
            failed.append(line)
    return failed


def _lines(tasks: list[tuple[str, int, str, int, tuple[str, ...]]], workers: int) -> Iterable[str]:
    if workers <= 1 or len(tasks) <= 1:
        yield from map(_work, tasks)
        return
    # JAX runs threads, which a fork would not survive
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, _prepare) as pool:
        futures = [pool.submit(_work, task) for task in tasks]
        try:
            for future in as_completed(futures):
                yield future.result()
        except BaseException:
            for future in futures:
                future.cancel()
            for process in list(pool._processes.values()):
                process.terminate()
            raise


def _prepare() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = "1"
    prepare_jax()


def _work(task: tuple[str, int, str, int, tuple[str, ...]]) -> str:
    """Make the missing parts of one configuration; a line about them."""
    path, seed, axis, number, parts = task
    prepare_jax()
    import jax

    from ganscope.claims.suite.forks import advice_unit
    from ganscope.claims.suite.verdicts import verdict_unit

    config = configuration(seed, number, axis)
    begin = time.perf_counter()
    units: dict[str, Callable[[Any], dict[str, Any]]] = {VERDICT: verdict_unit, ADVICE: advice_unit}
    told = []
    try:
        for part in parts:
            unit = units[part](config)
            write_unit(path, config.name, part, unit)
            told.append(_summary(part, unit))
    except Exception as error:  # one configuration must not stop the others
        return f"{config.name} failed: {type(error).__name__}: {error}"
    finally:
        jax.clear_caches()  # type: ignore[no-untyped-call]  # hardly two configurations share a program
    return f"{config.name} {', '.join(told)}, {time.perf_counter() - begin:.0f} s"


def _summary(part: str, unit: dict[str, Any]) -> str:
    if part == VERDICT:
        return str(unit["observed"]["outcome"])
    return f"advised {unit['advised']:g} R2" if unit["alive"] else "broke down early"
