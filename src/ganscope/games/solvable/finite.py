"""Runs of finite dimension: the exact chain and SGD on every weight, over cells and replicas and cores."""

import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ganscope.core.checks import one_of
from ganscope.core.errors import ParameterError
from ganscope.core.game import Request
from ganscope.core.parallel import Task, run_tasks
from ganscope.core.random import keys
from ganscope.games.solvable import chain, sgd, starts

if TYPE_CHECKING:
    from ganscope.games.solvable.model import SolvableGAN

Array = npt.NDArray[np.float64]

# Work between two chances to stop, in lane steps of the chain and in weight updates of SGD.
_CHAIN_WORK, _SGD_WORK = 500_000, 30_000_000
# Up to this many chains run one by one, more of them side by side in the lanes of a vector unit.
_FEW_CHAINS = 8


def run_chain(game: "SolvableGAN", request: Request) -> Array:
    """States of the exact chain, shape `[cells, replicas, records, size]`."""
    dimension, streams = _dimension(request), _streams(request)
    least = game.features + game.columns + 1
    if dimension < least:
        raise ParameterError("dimension", dimension, f"an integer >= {least}, features plus columns plus one")
    jobs = streams.size
    lanes = 1 if jobs <= _FEW_CHAINS else chain.LANES
    kernel = chain.chain_kernel(game.features, game.columns, game.hard, game.link, _law(game), _late(request), lanes)
    stops, seed = _iterations(request), request.seed
    parameters = np.repeat(game.rows(request.over, request.cells), request.replicas, axis=1)
    job_keys = keys(seed, streams.ravel())
    out = np.empty((jobs, len(stops), game.layout.size))
    shared = None if game.initial == "random" else game.start.vector()
    atoms = _atoms(game)

    def block(first_job: int) -> Task:
        def work(tick: Callable[[float], None]) -> None:
            index = np.minimum(first_job + np.arange(lanes), jobs - 1)  # the last block repeats its last chain
            used = min(lanes, jobs - first_job)
            if shared is None:
                x = np.stack([starts.chain_start(game, dimension, seed, s) for s in streams.ravel()[index]], axis=1)
            else:
                x = np.repeat(shared[:, None], lanes, axis=1)
            recorded = 0
            if stops[0] == 0:
                out[first_job : first_job + used, 0] = x[:, :used].T
                recorded = 1
            for first, last in _windows(int(stops[-1]), max(1, _CHAIN_WORK // lanes)):
                inside = int(np.searchsorted(stops, last, side="right"))
                buffer = np.empty((inside - recorded, *x.shape))
                arguments = (parameters[:, index], job_keys[index], atoms, float(dimension), first, last)
                kernel(x, *arguments, stops[recorded:inside], buffer)
                out[first_job : first_job + used, recorded:inside] = buffer[:, :, :used].transpose(2, 0, 1)
                recorded = inside
                tick(float((last - first) * used))

        return work

    run_tasks([block(b) for b in range(0, jobs, lanes)], "chain", float(stops[-1]) * jobs)
    return out.reshape(*streams.shape, len(stops), -1)


def run_sgd(game: "SolvableGAN", request: Request) -> tuple[Array, dict[str, Array]]:
    """States of SGD as `run_chain`, and, if asked for, the weights U, V, w at every record."""
    dimension, streams = _dimension(request), _streams(request)
    frame = one_of("frame", request.options["frame"], starts.FRAMES)
    double = dimension > sgd.FLOAT64_DIMENSION
    kernel = sgd.sgd_kernel(game.features, game.columns, game.hard, game.link, _law(game), _late(request), double)
    stops = _iterations(request)
    parameters = np.repeat(game.rows(request.over, request.cells), request.replicas, axis=1)
    job_keys = keys(request.seed, streams.ravel())
    dtype = np.float64 if double else np.float32
    jobs, columns = streams.size, game.columns
    out = np.empty((jobs, len(stops), game.layout.size))
    keep_rows = bool(request.options["keep_rows"])
    kept = np.empty((jobs, len(stops) if keep_rows else 0, columns + 1, dimension), dtype)
    real = np.empty((jobs if keep_rows else 0, game.features, dimension), dtype)
    starts.check(game, dimension, frame)
    atoms = _atoms(game)

    def run(job: int) -> Task:
        def work(tick: Callable[[float], None]) -> None:
            rows = starts.weights(game, dimension, request.seed, int(streams.flat[job]), frame, dtype)
            if keep_rows:
                real[job] = rows[: game.features]
            arguments = (np.ascontiguousarray(parameters[:, job : job + 1]), job_keys[job], atoms)
            recorded = 0
            length = max(sgd.MEASURE_EVERY, _SGD_WORK // dimension // sgd.MEASURE_EVERY * sgd.MEASURE_EVERY)
            for first, last in _windows(int(stops[-1]), length):
                inside = int(np.searchsorted(stops, last, side="right" if last == stops[-1] else "left"))
                window = slice(recorded, inside)
                kernel(rows, *arguments, first, last, stops[window], out[job, window], kept[job, window])
                recorded = inside
                tick(float(last - first))

        return work

    run_tasks([run(job) for job in range(jobs)], "sgd", float(stops[-1]) * jobs)
    states = out.reshape(*streams.shape, len(stops), -1)
    if not keep_rows:
        return states, {}
    kept = kept.reshape(*streams.shape, len(stops), columns + 1, dimension)
    rows_out = {
        "U": real.reshape(*streams.shape, game.features, dimension).swapaxes(-1, -2),
        "V": kept[..., :columns, :].swapaxes(-1, -2),
        "w": kept[..., columns, :],
    }
    return states, rows_out


def _windows(end: int, length: int) -> list[tuple[int, int]]:
    """Consecutive step ranges (first, last) that cover 0 .. end; one empty range when there is no step."""
    edges = [*range(0, end, length), end]
    return list(itertools.pairwise(edges)) or [(0, 0)]


def _dimension(request: Request) -> int:
    assert request.dimension is not None
    return request.dimension


def _streams(request: Request) -> npt.NDArray[np.uint64]:
    assert request.streams is not None
    return request.streams


def _iterations(request: Request) -> npt.NDArray[np.int64]:
    assert request.schedule.iterations is not None
    return request.schedule.iterations


def _late(request: Request) -> bool:
    return request.rule == "alternating"


def _law(game: "SolvableGAN") -> str:
    return game.latent if isinstance(game.latent, str) else "empirical"


def _atoms(game: "SolvableGAN") -> Any:
    return np.zeros((1, game.features)) if isinstance(game.latent, str) else game.latent
