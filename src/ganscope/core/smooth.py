"""A game's motion near its equilibria as plain smooth functions of a packed state."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Complex = npt.NDArray[np.complex128]


@dataclass(frozen=True)
class SmoothField:
    """What following an equilibrium needs to know of a game: where it rests, and how it moves beside that.

    Attributes:
        residual: From a packed state `[n]` to `[m]`; zero exactly where the game rests.
        slope: Jacobian of the residual, `[m, n]`.
        values: Eigenvalues of the flow per unit of time, or multipliers of an update rule per iteration, at a state
            at rest; in any order.
        is_map: Whether the values are multipliers.
        start: A state at rest or close to it, `[n]`.
        names: Names of the packed numbers.
        scale: Length on which the residual varies.
        neutral: Distance from 0 (from 1 for a map) up to which a value is a symmetry's, and says nothing.
    """

    residual: Callable[[Array], Array]
    slope: Callable[[Array], Array]
    values: Callable[[Array], Complex]
    is_map: bool
    start: Array
    names: tuple[str, ...]
    scale: float = 1.0
    neutral: float = 1e-9
