r"""The macroscopic state: overlaps of features U, generator V and discriminator w, and what is read off them.

P = U'V,   q = U'w,   r = V'w,   S = V'V,   z = w'w,     Gram matrix K = [[I, P, q], [P', S, r], [q', r', z]].
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ganscope.core.checks import number, real_array
from ganscope.core.errors import ParameterError
from ganscope.games.solvable.packing import Layout

Array = npt.NDArray[np.float64]

# A squared length beyond this has left every bounded region: the penalty's stationary lengths are below 20.
ESCAPED = 1e4


@dataclass(frozen=True, eq=False)
class MacroState:
    """Overlaps of the solvable model at one time.

    Args:
        P: Features and generator columns, shape `[features, columns]`.
        q: Features and discriminator, shape `[features]`.
        r: Generator and discriminator, shape `[columns]`; default P'q.
        S: Generator with itself, shape `[columns, columns]`; default the identity.
        z: Squared length of the discriminator.

    Raises:
        ParameterError: If the shapes disagree, a value is not finite, or the Gram matrix has an eigenvalue
            below -1e-10.
    """

    P: Array
    q: Array
    r: Array
    S: Array
    z: float

    def __init__(self, P: Any, q: Any, r: Any = None, S: Any = None, z: Any = 1.0) -> None:
        P = real_array("P", P, ndim=2)
        features, columns = P.shape
        q = real_array("q", q, ndim=1)
        if q.shape != (features,):
            raise ParameterError("q", q, f"{features} numbers, one per row of P")
        r = P.T @ q if r is None else real_array("r", r, ndim=1)
        if r.shape != (columns,):
            raise ParameterError("r", r, f"{columns} numbers, one per column of P")
        S = np.eye(columns) if S is None else real_array("S", S, ndim=2)
        if S.shape != (columns, columns) or not np.allclose(S, S.T, rtol=0, atol=1e-12):
            raise ParameterError("S", S, f"a symmetric {columns} x {columns} matrix")
        for name, value in (("P", P), ("q", q), ("r", r), ("S", S), ("z", number("z", z, above=0))):
            object.__setattr__(self, name, value)
        lowest = float(np.linalg.eigvalsh(self.gram)[0])
        if lowest < -1e-10:
            raise ParameterError(
                "initial state",
                f"Gram matrix with eigenvalue {lowest:.3g}",
                "the Gram matrix of vectors (P, q, r, S, z)",
            )

    @property
    def gram(self) -> Array:
        """K, shape `[features + columns + 1] * 2`, positive semidefinite."""
        features = len(self.q)
        return np.block(
            [
                [np.eye(features), self.P, self.q[:, None]],
                [self.P.T, self.S, self.r[:, None]],
                [self.q[None], self.r[None], np.array([[self.z]])],
            ]
        )

    @classmethod
    def unchecked(cls, P: Array, q: Array, r: Array, S: Array, z: float) -> "MacroState":
        """A state from arrays that are known to be one: no check, no copy."""
        state = object.__new__(cls)
        for name, value in (("P", P), ("q", q), ("r", r), ("S", S), ("z", z)):
            object.__setattr__(state, name, value)
        return state

    @classmethod
    def from_vector(cls, vector: npt.ArrayLike, features: int, columns: int) -> "MacroState":
        """The state from its row of numbers (see `packing.Layout`), without checks."""
        x = np.asarray(vector, np.float64)
        at = Layout(features, columns)
        return cls.unchecked(
            x[: at.q].reshape(features, columns),
            x[at.q : at.r],
            x[at.r : at.S],
            x[at.S : at.z].reshape(columns, columns),
            float(x[at.z]),
        )

    def vector(self) -> Array:
        """The state as a row of numbers: P row-major, q, r, S row-major, z."""
        return np.concatenate([self.P.ravel(), self.q, self.r, self.S.ravel(), [self.z]])

    def to_dict(self) -> dict[str, Any]:
        """Plain lists, the arguments of the constructor."""
        return {
            "P": self.P.tolist(),
            "q": self.q.tolist(),
            "r": self.r.tolist(),
            "S": self.S.tolist(),
            "z": float(self.z),
        }

    def __eq__(self, other: object) -> bool:
        return isinstance(other, MacroState) and np.array_equal(self.vector(), other.vector())

    def __hash__(self) -> int:
        return hash(self.vector().tobytes())


def recovery(P: Array, S: Array) -> Array:
    """Length of each feature's projection on the span of the generator, in [0, 1]; rotation invariant.

    rec_i = sqrt((P S^+ P')_ii), with singular values of S below 1e-10 of the largest treated as zero.

    Args:
        P: Shape `[..., features, columns]`.
        S: Shape `[..., columns, columns]`.

    Returns:
        Shape `[..., features]`; NaN where the state is not finite.
    """
    finite = np.asarray(np.isfinite(S).all(axis=(-2, -1)) & np.isfinite(P).all(axis=(-2, -1)))
    safe = np.where(finite[..., None, None], S, np.eye(S.shape[-1]))
    values, vectors = np.linalg.eigh(safe)
    kept = values > 1e-10 * values[..., -1:]
    inverse = np.where(kept, 1.0 / np.where(kept, values, 1.0), 0.0)
    projected = np.where(finite[..., None, None], P, np.nan) @ vectors
    squared = np.einsum("...ik,...k->...i", projected**2, inverse)
    result: Array = np.sqrt(np.clip(squared, 0.0, 1.0))
    return result


def activity(q: Array, z: Array) -> Array:
    """|q_i| / sqrt(z): how much of the discriminator lies along each feature, shape `[..., features]`."""
    result: Array = np.abs(q) / np.sqrt(np.maximum(z, np.finfo(float).tiny))[..., None]
    return result
