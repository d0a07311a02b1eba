"""Starts of finite size: macroscopic states and weights `[U V w]` that realise them."""

from typing import TYPE_CHECKING, Any

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


def check(game: "SolvableGAN", dimension: int, frame: str) -> None:
    """Refuse a dimension that cannot hold the start, before any work.

    Raises:
        ParameterError: If there is no room for the start's vectors, or the frame does not fit.
    """
    features, count = game.features, game.features + game.columns + 1
    needed = features if game.initial == "random" else _root(game.start.gram, features).shape[1]
    if dimension < needed:
        expected = f"an integer >= {count}, the number of features and columns plus one"
        raise ParameterError("dimension", dimension, expected)
    if frame == "signs" and dimension % 2**features:
        raise ParameterError("frame", frame, f"a dimension that is a multiple of {2**features}, not {dimension}")


def weights(
    game: "SolvableGAN", dimension: int, seed: int, stream: int, frame: str, dtype: type = np.float64
) -> npt.NDArray[Any]:
    """Weights as rows U, V, w, shape `[features + columns + 1, dimension]`, with the start's exact overlaps.

    Random rows, made orthonormal, are mixed by a root of the start's Gram matrix; all in place, block by block. The
    dimension has passed `check`.
    """
    features, count = game.features, game.features + game.columns + 1
    rows: npt.NDArray[Any] = np.empty((count, dimension), dtype)
    for k in range(count):
        if frame == "signs" and k < features:
            rows[k] = np.where((np.arange(dimension) >> k) & 1, -1.0, 1.0) / np.sqrt(dimension)
        else:
            rows[k] = normal_float32(dimension, seed, stream, k, FRAME)
    if game.initial == "random":
        _mix(rows[:features], _orthonormalizer(rows[:features]))
        _mix(rows[features:], np.diag(1.0 / np.sqrt(np.diag(_gram(rows[features:])))))
        return rows
    target = _root(game.start.gram, features)
    needed = target.shape[1]
    used = rows[:needed]
    _mix(used, _orthonormalizer(used))
    mixed = target @ _orthonormalizer(used)
    # Rows of the target beyond `needed` are combinations of the first ones: their own random content is not used.
    rows[needed:] = 0.0
    _mix(rows, np.pad(mixed, ((0, 0), (0, count - needed))))
    return rows


def _root(gram: Array, features: int) -> Array:
    """R with R R' = gram, identity on the features, shape `[count, rank]`."""
    along = gram[features:, :features]
    values, vectors = np.linalg.eigh(gram[features:, features:] - along @ along.T)
    kept = values > 1e-13 * max(1.0, values[-1])
    rest = vectors[:, kept] * np.sqrt(values[kept])
    return np.block([[np.eye(features), np.zeros((features, rest.shape[1]))], [along, rest]])


_COORDINATES = 65_536


def _gram(rows: npt.NDArray[Any]) -> Array:
    """Inner products of the rows in float64, without a float64 copy of them."""
    total = np.zeros((len(rows), len(rows)))
    for start in range(0, rows.shape[1], _COORDINATES):
        block = rows[:, start : start + _COORDINATES].astype(np.float64)
        total += block @ block.T
    return total


def _orthonormalizer(rows: npt.NDArray[Any]) -> Array:
    """The lower triangular matrix that makes the rows orthonormal."""
    result: Array = np.linalg.inv(np.linalg.cholesky(_gram(rows)))
    return result


def _mix(rows: npt.NDArray[Any], matrix: Array) -> None:
    """rows <- matrix @ rows, in place."""
    for start in range(0, rows.shape[1], _COORDINATES):
        block = rows[:, start : start + _COORDINATES]
        block[:] = matrix @ block.astype(np.float64)
