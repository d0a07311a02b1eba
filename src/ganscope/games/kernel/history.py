r"""The discriminator as what it is: a sum over every place where points have been.

    f = alpha sum_i p_i K(x_i, .) + sum_s c_s sum_j q_j K(z_j^(s), .)

where slice s holds the generated points of one evaluation of the velocity. Every rule moves f within the span of
these functions, so a discriminator is a short list of coefficients, and the rules of `dynamics.rules` act on that
list. An old slice fades like (1 - forgetting)^age; those that together can change f by less than a tolerance are
dropped, and their place is used again.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from ganscope.core.errors import ParameterError
from ganscope.dynamics.rules import CODES, DISCRIMINATOR, EVALUATIONS, GENERATOR, make_step
from ganscope.games.kernel.kernels import Kernel
from ganscope.games.kernel.sums import kernel_gradient, kernel_values

Array = npt.NDArray[np.float64]

# Places in the list of coefficients: of the true points, of the initial generated points; slices follow.
_REAL, _START, _SLICES = 0, 1, 2
# Beyond this many iterations, the fading of a slice is not followed: everything is kept.
_LONGEST = 200_000


def impulse_response(rule: str, momentum: float, forgetting: float, share: float, iterations: int) -> Array:
    """Size of a slice's coefficient by its age in iterations, for a slice that entered with coefficient `share`.

    It is that of the rule itself, applied to f -> f - forgetting f with one push in the first iteration.
    """
    slots = EVALUATIONS[rule]
    asked = [0]

    def velocity(part: int, g: Array, d: Array, vg: Array, vd: Array, context: Any) -> None:
        if part != GENERATOR:
            vd[:] = -forgetting * d
            if asked[0] < slots:
                vd[asked[0]] -= share
            asked[0] += 1

    step = make_step(velocity)
    g, d = np.zeros(1), np.zeros(slots)
    memory = np.zeros((2, slots))
    sizes = np.empty(iterations)
    for k in range(iterations):
        with np.errstate(over="ignore", invalid="ignore"):
            step(CODES[rule], momentum, k == 0, g, d, np.zeros(1), np.zeros(slots), np.zeros((2, 1)), memory, None)
            sizes[k] = np.sum(np.abs(d))
        if sizes[k] < 1e-30 * share or not math.isfinite(sizes[k]):
            sizes[k + 1 :] = 0.0 if math.isfinite(sizes[k]) else math.inf
            break
    return sizes


def window(
    rule: str, momentum: float, forgetting: float, share: float, mass: float, tolerance: float, iterations: int
) -> int:
    """How many iterations of slices to keep so that the dropped ones change |f| by at most `tolerance`."""
    length = min(iterations, _LONGEST)
    if forgetting <= 0 or length == 0:
        return iterations
    sizes = impulse_response(rule, momentum, forgetting, share, length)
    if not np.all(np.isfinite(sizes)):
        return iterations
    # What lies beyond the last age followed fades geometrically, like the last two ages.
    ratio = (sizes[-1] / sizes[-2]) if length > 1 and sizes[-2] > 0 else 0.0
    beyond = sizes[-1] * ratio / (1 - ratio) if ratio < 1 else math.inf
    tails = mass * (np.cumsum(sizes[::-1])[::-1] + beyond)
    enough = np.flatnonzero(tails <= tolerance)
    return int(enough[0]) + 1 if len(enough) else iterations


class History:
    """One trajectory with a growing, or truncated, list of slices.

    Args:
        kernel: The kernel.
        real, generated: Points and masses: the true ones, and the generated ones at the start.
        regularization: Given if the discriminator starts as the best one for the initial points; None: it starts at 0.
        rule, momentum: Update rule.
        slices: How many slices are kept.
        precision: Of the kernel sums, a NumPy type.

    Attributes:
        rates: Discriminator learning rate and forgetting; set them, and `speeds`, before every advance.
        speeds: Step of every generated point along the gradient, `[M]`.
    """

    def __init__(
        self,
        kernel: Kernel,
        real: tuple[Array, Array],
        generated: tuple[Array, Array],
        regularization: float | None,
        rule: str,
        momentum: float,
        slices: int,
        precision: Any,
    ) -> None:
        self.kernel, self.rule, self.momentum = kernel, rule, momentum
        points, self.mass = generated
        self.shape, self.real_mass = points.shape, real[1]
        self.rates, self.speeds = np.zeros(2), np.zeros(len(points))
        count, axes = self.shape
        try:
            self.centres = np.zeros((axes, slices + 1, count), precision)
        except MemoryError:
            size = axes * (slices + 1) * count * np.dtype(precision).itemsize / 2**30
            raise ParameterError(
                "tolerance", f"a history of {slices} slices, {size:.3g} GiB", "a larger tolerance, or fewer iterations"
            ) from None
        self.real_centres = np.ascontiguousarray(real[0].T.astype(precision))
        self.centres[:, 0] = points.T
        self.filled, self.next = 1, 0
        self.g = points.ravel().copy()
        self.d = np.zeros(_SLICES + slices)
        if regularization is not None:
            self.d[_REAL], self.d[_START] = 1 / regularization, -1 / regularization
        self.vg, self.vd = np.zeros_like(self.g), np.zeros_like(self.d)
        self.mg, self.md = np.zeros((2, len(self.g))), np.zeros((2, len(self.d)))
        self.begun = False
        self._step = make_step(self._velocity)

    def advance(self) -> None:
        """One iteration; nothing happens where the points are no longer finite."""
        if not np.all(np.isfinite(self.g)):
            return
        self._clear(EVALUATIONS[self.rule])
        code, first = CODES[self.rule], not self.begun
        with np.errstate(over="ignore", invalid="ignore"):
            self._step(code, self.momentum, first, self.g, self.d, self.vg, self.vd, self.mg, self.md, None)
        self.begun = True

    @property
    def points(self) -> Array:
        """The generated points, shape `[M, axes]`."""
        return self.g.reshape(self.shape)

    def gradient(self, points: Array) -> Array:
        """Gradient of the discriminator, shape `[points, axes]`."""
        return self._sum(kernel_gradient, points)

    def values(self, points: Array) -> Array:
        """The discriminator, shape `[points]`."""
        return self._sum(kernel_values, points)

    def _sum(self, function: Any, points: Array) -> Array:
        real = self.centres.dtype
        total: Array = function(self.kernel, points, self.real_centres, (self.d[_REAL] * self.real_mass).astype(real))
        weights = (self.d[_START : _START + self.filled, None] * self.mass).astype(real).ravel()
        total += function(self.kernel, points, self.centres.reshape(len(self.centres), -1), weights)
        return total

    def _clear(self, evaluations: int) -> None:
        """Make room: the oldest slices leave the discriminator and the rule's memory."""
        slices = len(self.d) - _SLICES
        for i in range(evaluations):
            place = _SLICES + (self.next + i) % slices
            for coefficients in (self.d, self.vd, *self.md):
                coefficients[place] = 0.0

    def _velocity(self, part: int, g: Array, d: Array, vg: Array, vd: Array, context: Any) -> None:
        points = g.reshape(self.shape)
        if part != GENERATOR:
            slices = len(d) - _SLICES
            slot = self.next
            self.next = (slot + 1) % slices
            self.centres[:, 1 + slot] = points.T
            self.filled = max(self.filled, slot + 2)
            lr, forgetting = self.rates
            np.multiply(d, -forgetting, out=vd)
            vd[_REAL] += lr
            vd[_SLICES + slot] -= lr
        if part != DISCRIMINATOR:
            vg[:] = (self.speeds[:, None] * self.gradient(points)).ravel()
