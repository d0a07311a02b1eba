r"""Linearisation of a vector field or a map: its dense Jacobian by finite differences."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

# Steps from the point, in units of the step length, and their weights: exact for polynomials up to degree four.
_OFFSETS = np.array([-2.0, -1.0, 1.0, 2.0])
_WEIGHTS = np.array([1.0, -8.0, 8.0, -1.0]) / 12.0

# Balances the truncation error h^4 against the rounding error eps / h.
_RELATIVE_STEP = np.finfo(float).eps ** 0.2


def jacobian(field: Callable[[Array], Array], x: npt.ArrayLike) -> Array:
    r"""Jacobian $J_{ij} = \partial f_i / \partial x_j$ of a vector field, or of a map, at one point or at many.

    Central differences of fourth order, $12 h J_{\cdot j} = f(x - 2 h_j) - 8 f(x - h_j) + 8 f(x + h_j) - f(x + 2 h_j)$,
    with $h$ the power of two nearest to $7 \cdot 10^{-4} \max(1, |x_j|)$. The field is called once, on all the points
    of all the differences together.

    An entry is wrong by about $10^{-12}$ of the size of the field near the point, from rounding, and by
    $(h / \ell)^4 / 30$ of its slope where the field varies on a scale $\ell$; together below $10^{-10}$ for
    $\ell \ge \max(1, |x_j|)$ or so. Polynomials up to degree four have rounding errors only. Nothing is known about a
    field that is not smooth within two steps of the point.

    Args:
        field: Function from shape `[..., n]` to `[..., m]` that broadcasts over leading axes; usually `m = n`.
        x: The points, shape `[..., n]`.

    Returns:
        Shape `[..., m, n]`: row `i`, column `j` is the slope of component `i` along coordinate `j`.

    References:
        Fornberg. Generation of finite difference formulas on arbitrarily spaced grids. Math. Comp. 51 (1988).
    """
    points = np.asarray(x, np.float64)
    step = np.exp2(np.round(np.log2(_RELATIVE_STEP * np.maximum(1.0, np.abs(points)))))
    direction = np.eye(points.shape[-1])
    # [..., coordinate, offset, n]
    stencil = points[..., None, None, :] + (step[..., None] * direction)[..., None, :] * _OFFSETS[:, None]
    values = np.asarray(field(stencil), np.float64)
    slopes = np.einsum("...joi,o->...ij", values, _WEIGHTS)
    result: Array = slopes / step[..., None, :]
    return result
