"""Data smoothed by a kernel: the landscape that a collapsed generator climbs."""

from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.integrate import solve_ivp
from scipy.optimize import brentq

from ganscope.core.checks import number, numbers_in, real_array
from ganscope.core.errors import ParameterError
from ganscope.games.kernel.kernels import RBF, Kernel, RBFSum

Array = npt.NDArray[np.float64]

# Points per width of the narrowest kernel on which a line is searched for modes, and the most there are.
_PER_WIDTH, _MOST = 40, 4_000_000
# Numbers in one block of differences.
_BLOCK = 1 << 20
# Slopes below this, relative to the steepest that a kernel has, are none: the start is a place of rest.
_LEVEL = 1e-14
# Modes closer than this share of the kernel's width are one.
_SAME = 1e-4
# Places from which an ascent to the modes starts, at most.
_STARTS = 300
# Mean shifts that gather the data into groups, and how close their members are then, in widths.
_SHIFTS, _NEAR = 100, 0.02
# Longest ascent in more dimensions, and the mean shift, in widths, from where Newton's method takes over.
_ASCENTS, _ARRIVED = 10_000.0, 1e-3


def as_points(name: str, value: Any) -> Array:
    """Points of shape `[N, d]`; a list of numbers is points on a line.

    Raises:
        ParameterError: If there are none, or the shape is another one.
    """
    array = real_array(name, value)
    array = array[:, None] if array.ndim == 1 else array
    if array.ndim != 2 or array.size == 0:
        raise ParameterError(name, f"shape {array.shape}", "an array of shape (points, axes), at least one point")
    return array


def as_kernel(value: Any) -> Kernel:
    """A differentiable kernel; a number is the bandwidth of a Gaussian one.

    Raises:
        NotApplicable: If the kernel is not differentiable where points meet.
    """
    kernel = value if isinstance(value, Kernel) else RBF(number("bandwidth", value, above=0))
    kernel.require_differentiable()
    return kernel


class Smoothed:
    """The function sum_i p_i k(x, y_i) of data y_i with masses p_i.

    Args:
        points: Shape `[N, d]`; a list of numbers is points on a line.
        kernel: A kernel, or the bandwidth of a Gaussian one.
        mass: Shape `[N]`, > 0, scaled to sum 1; None for equal masses.
    """

    def __init__(self, points: Any, kernel: Any, mass: Any = None) -> None:
        self.points, self.kernel = as_points("real_points", points), as_kernel(kernel)
        count = len(self.points)
        weights = np.ones(count) if mass is None else numbers_in("real_mass", mass, shape=(count,), above=0)
        self.mass = weights / weights.sum()
        narrowest = min(self.kernel.bandwidths) if isinstance(self.kernel, RBFSum) else self.kernel.width
        self.width = float(narrowest)

    @property
    def mean(self) -> Array:
        """Mean of the data, shape `[d]`."""
        return np.asarray(self.mass @ self.points)

    def value(self, x: Array) -> Array:
        """Heights at places of shape `[..., d]`."""
        result: Array = self.kernel.value(x[..., None, :] - self.points) @ self.mass
        return result

    def gradient(self, x: Array) -> Array:
        """Slopes at places of shape `[..., d]`."""
        result: Array = np.einsum("...na,n->...a", self.kernel.gradient(x[..., None, :] - self.points), self.mass)
        return result

    def hessian(self, x: Array) -> Array:
        """Second derivatives at places of shape `[..., d]`."""
        result: Array = np.einsum("...nab,n->...ab", self.kernel.hessian(x[..., None, :] - self.points), self.mass)
        return result

    def modes(self) -> Array:
        """Places of all local maxima that are found, shape `[modes, d]`, the highest first."""
        if self.points.shape[1] == 1:
            found = self._modes_on_line()
        else:
            ends = [self._ascend(place) for place in self._gathered()]
            found = self._apart([x for x in ends if np.linalg.eigvalsh(self.hessian(x))[-1] < 0], _SAME)
        return found[np.argsort(-self.value(found), kind="stable")]

    def climb(self, start: Any) -> Array:
        """Where the gradient's flow leads from a start, shape `[d]`; the start itself where it is level."""
        x = np.atleast_1d(real_array("start", start))
        if x.shape != self.points.shape[1:]:
            raise ParameterError("start", f"shape {x.shape}", f"a place with {self.points.shape[1]} coordinates")
        pull = self._shift(x)
        if not np.linalg.norm(pull) > _LEVEL * (self.width + np.max(np.abs(x))):
            return x
        if len(x) == 1:
            return self._next_on_line(float(x[0]), float(np.sign(pull[0])))
        return self._ascend(x)

    def _shift(self, x: Array) -> Array:
        """The way to the mean of the data as seen through the kernel: parallel to the gradient, and never tiny.

        Far from all data, where the kernel cannot be represented, the way to the nearest of them.
        """
        r = self.points - x
        s = np.sum(r * r, axis=1)
        weights = -self.kernel.slope(s) * self.mass
        if not weights.sum() > 1e-290:
            weights = (s == s.min()) * self.mass
        result: Array = weights @ r / weights.sum()
        return result

    def _gathered(self) -> Array:
        """The data after mean shifts towards the modes, one place for each group, shape `[groups, d]`."""
        places = []
        rows = max(1, _BLOCK // self.points.size)
        start = np.unique(self.points, axis=0)
        start = start[:: -(-len(start) // _STARTS)]  # evenly, in the order of the first coordinate
        for k in range(0, len(start), rows):
            x = start[k : k + rows]
            for _ in range(_SHIFTS):
                r = self.points - x[:, None]
                weights = -self.kernel.slope(np.sum(r * r, axis=-1)) * self.mass
                x = x + np.einsum("kn,kna->ka", weights / weights.sum(axis=1, keepdims=True), r)
            places.append(x)
        return self._apart(np.concatenate(places), _NEAR)

    def _apart(self, places: Any, share: float) -> Array:
        """Places without those that lie within a share of the kernel's width of an earlier one."""
        kept: list[Array] = []
        for x in places:
            if all(np.linalg.norm(x - other) > share * self.width for other in kept):
                kept.append(x)
        return np.array(kept).reshape(-1, self.points.shape[1])

    def _slope(self, x: Array) -> Array:
        """Slopes on a line at places `[n]`, block by block."""
        rows = max(1, _BLOCK // len(self.points))
        parts = [self.gradient(x[k : k + rows, None])[:, 0] for k in range(0, len(x), rows)]
        return np.concatenate(parts)

    def _grid(self) -> Array:
        """Places around the data, fine within reach of them; on a line all modes lie between the first and the last."""
        low, high = float(self.points.min()), float(self.points.max())
        step = self.width / _PER_WIDTH
        margin = 2 * step
        count = int(np.ceil((high - low + 2 * margin) / step)) + 1
        if count <= _MOST // 10:
            return np.linspace(low - margin, high + margin, count)
        # far apart for the kernel: only around the points
        offsets = np.arange(-4 * _PER_WIDTH, 4 * _PER_WIDTH + 1) * step
        grid = np.unique(np.clip(np.unique(self.points)[:, None] + offsets, low - margin, high + margin))
        if len(grid) > _MOST:
            raise ParameterError("real_points", f"{len(self.points)} points", "points less far apart for the kernel")
        return grid

    def _modes_on_line(self) -> Array:
        grid = self._grid()
        slope = self._slope(grid)
        peaks = []
        rising = np.flatnonzero(slope != 0)
        for a, b in pairwise(rising):
            if slope[a] > 0 > slope[b]:
                peaks.append(self._zero(float(grid[a]), float(grid[b])))
        return np.array(peaks).reshape(-1, 1)

    def _zero(self, a: float, b: float) -> float:
        return float(
            brentq(lambda x: float(self.gradient(np.array([x]))[0]), a, b, xtol=1e-15 * (1 + abs(a)), rtol=1e-15)
        )

    def _next_on_line(self, x: float, sign: float) -> Array:
        """The first mode on the way uphill."""
        grid = self._grid()
        ahead = grid[grid > x] if sign > 0 else grid[grid < x][::-1]
        places = np.concatenate([[x], ahead])
        slopes = sign * self._slope(places)
        turned = np.flatnonzero(slopes[1:] < 0)
        if len(turned) == 0:
            return np.array([float(places[-1])])
        last = int(turned[0]) + 1
        before = np.flatnonzero(slopes[:last] > 0)
        if len(before) == 0:  # so far away that the slope cannot be represented
            near = self.points[np.argmin(np.abs(self.points[:, 0] - x)), 0]
            modes = self._modes_on_line()[:, 0]
            return np.array([modes[np.argmin(np.abs(modes - near))]])
        a, b = sorted((float(places[before[-1]]), float(places[last])))
        return np.array([self._zero(a, b)])

    def _ascend(self, x: Array) -> Array:
        """Along the gradient, then Newton's method."""

        def arrived(t: float, place: Array) -> float:
            del t
            return float(np.linalg.norm(self._shift(place))) - _ARRIVED * self.width

        arrived.terminal = True  # type: ignore[attr-defined]
        if arrived(0.0, x) > 0:
            span, accuracy = (0.0, _ASCENTS), {"rtol": 1e-7, "atol": 1e-9 * self.width}
            x = solve_ivp(lambda t, place: self._shift(place), span, x, events=arrived, **accuracy).y[:, -1]
        for _ in range(50):
            bend = self.hessian(x)
            if np.linalg.eigvalsh(bend)[-1] >= 0:
                break
            step = np.linalg.solve(bend, self.gradient(x))
            if not np.linalg.norm(step) < self.width:
                break
            x = x - step
            if np.linalg.norm(step) <= 1e-15 * (self.width + np.max(np.abs(x))):
                break
        return x
