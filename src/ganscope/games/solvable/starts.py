"""Starts of finite size: macroscopic states and weights `[U V w]` that realise them."""

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ganscope.core.errors import ParameterError
from ganscope.core.random import FRAME, keys, normal_float32
from ganscope.games.solvable.state import MacroState

if TYPE_CHECKING:
    from ganscope.games.solvable.model import SolvableGAN

Array = npt.NDArray[np.float64]

FRAMES = ("random", "signs")


def chain_start(game: "SolvableGAN", dimension: int, seed: int, stream: int) -> Array:
    """Packed initial state of one run of a finite dimension."""
    if game.initial != "random":
        return game.start.vector()
    features, columns = game.features, game.columns
    random = np.random.Generator(np.random.Philox(key=keys(seed, np.uint64(stream))[0].astype(np.uint64)))
    # Directions V, w: coordinates along U, and Bartlett's triangular factor of the Gram matrix of the rest.
    along = random.standard_normal((features, columns + 1))
    rest = np.tril(random.standard_normal((columns + 1, columns + 1)), -1)
    freedom = dimension - features - np.arange(columns + 1)
    rest[np.diag_indices(columns + 1)] = np.sqrt(random.chisquare(np.maximum(freedom, 1)) * (freedom > 0))
    vectors = np.concatenate([along, rest.T])
    vectors /= np.linalg.norm(vectors, axis=0)
    gram = vectors.T @ vectors
    state = MacroState(
        vectors[:features, :columns],
        vectors[:features, columns],
        gram[:columns, columns],
        _unit_diagonal(gram[:columns, :columns]),
        1.0,
    )
    return state.vector()


def _unit_diagonal(gram: Array) -> Array:
    result = (gram + gram.T) / 2
    np.fill_diagonal(result, 1.0)
    return result


def weights(game: "SolvableGAN", dimension: int, seed: int, stream: int, frame: str) -> Array:
    """Weights as rows U, V, w, shape `[features + columns + 1, dimension]`, with the start's exact overlaps.

    Raises:
        ParameterError: If the dimension cannot hold the start.
    """
    features, columns = game.features, game.columns
    if dimension < features:
        raise _too_small(game, dimension)
    rows = np.empty((features + columns + 1, dimension))
    if frame == "signs":
        if dimension % 2**features:
            raise ParameterError("frame", frame, f"a dimension that is a multiple of {2**features}, not {dimension}")
        for i in range(features):
            rows[i] = np.where((np.arange(dimension) >> i) & 1, -1.0, 1.0) / np.sqrt(dimension)
    else:
        for i in range(features):
            rows[i] = _normals(dimension, seed, stream, i)
        rows[:features] = _orthonormal(rows[:features])
    U = rows[:features]
    fresh = np.stack([_normals(dimension, seed, stream, features + j) for j in range(columns + 1)])
    if game.initial == "random":
        rows[features:] = fresh / np.linalg.norm(fresh, axis=1, keepdims=True)
        return rows
    start = game.start
    along = np.column_stack([start.P, start.q])  # overlaps of V, w with U
    rest = start.gram[features:, features:] - along.T @ along
    values, vectors = np.linalg.eigh(rest)
    kept = values > 1e-13 * max(1.0, values[-1])
    if dimension < features + int(kept.sum()):
        raise _too_small(game, dimension)
    free = fresh[: int(kept.sum())]
    for _ in range(2):
        free = free - (free @ U.T) @ U
    frame_rows = _orthonormal(free) if len(free) else free
    rows[features:] = along.T @ U + (vectors[:, kept] * np.sqrt(values[kept])) @ frame_rows
    return rows


def _too_small(game: "SolvableGAN", dimension: int) -> ParameterError:
    least = game.features + game.columns + 1
    return ParameterError("dimension", dimension, f"an integer >= {least}, the number of features and columns plus one")


def _normals(dimension: int, seed: int, stream: int, row: int) -> Array:
    return normal_float32(dimension, seed, stream, row, FRAME).astype(np.float64)


def _orthonormal(rows: Array) -> Array:
    """Rows made orthonormal by Cholesky of their Gram matrix, twice."""
    for _ in range(2):
        rows = np.linalg.solve(np.linalg.cholesky(rows @ rows.T), rows)
    return rows
