r"""Kernels of the discriminator: functions of the distance, K(x, y) = phi(|x - y|^2) with phi(0) = 1.

With r = x - y and s = |r|^2,

    grad_x K     = 2 phi'(s) r
    Hess_x K     = 2 phi'(s) I + 4 phi''(s) r r^T
    d_x d_y^T K  = -Hess_x K
    curvature    = -2 phi'(0), the slope of grad_x K where the points meet

Near coinciding points only the curvature matters, which is why isolated neighbourhoods know nothing else of a kernel.
"""

import abc
import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from ganscope.core.checks import number, numbers_in
from ganscope.core.errors import NotApplicable, ParameterError, unknown_name

Array = npt.NDArray[np.float64]

# Bandwidths beyond this, or its inverse, have squares that cannot be represented.
_SMALLEST = 1e-100
# Families of profiles, as compiled code distinguishes them; see `sums`.
GAUSSIANS, RATIONAL, MATERN32, MATERN52, LAPLACE = range(5)


@dataclass(frozen=True)
class Kernel(abc.ABC):
    """A kernel K(x, y) = phi(|x - y|^2) with phi(0) = 1; a frozen value."""

    bandwidth: Any

    family: ClassVar[int]
    # Whether grad K exists where points meet; without it there are no spectra and no equilibria.
    differentiable: ClassVar[bool] = True

    def __post_init__(self) -> None:
        bandwidth = number("bandwidth", self.bandwidth, above=0)
        if not _SMALLEST <= bandwidth <= 1 / _SMALLEST:
            raise ParameterError("bandwidth", bandwidth, f"a number between {_SMALLEST:g} and {1 / _SMALLEST:g}")
        object.__setattr__(self, "bandwidth", bandwidth)

    @property
    @abc.abstractmethod
    def curvature(self) -> float:
        """Slope of the kernel's gradient where two points meet, per squared length; infinite for `Laplace`."""

    @property
    @abc.abstractmethod
    def constants(self) -> Array:
        """The numbers that compiled code needs beside the family."""

    @abc.abstractmethod
    def profile(self, s: Any) -> Array:
        """phi at squared distances `s`, any shape."""

    @abc.abstractmethod
    def slope(self, s: Any) -> Array:
        """phi' at squared distances `s`, any shape."""

    @abc.abstractmethod
    def bend(self, s: Any) -> Array:
        """phi'' at squared distances `s`, any shape; where it is infinite at 0, 0 (its factor r r^T vanishes)."""

    @abc.abstractmethod
    def frequencies(self, normals: Array, gammas: Array, uniforms: Array) -> Array:
        """Frequencies with the kernel's spectral law, shape `[count, axes]`.

        Args:
            normals: Standard normals `[count, axes]`.
            gammas: Gamma variates of shape `mixing_shape` and scale 1, `[count]`.
            uniforms: Uniform numbers in [0, 1), `[count]`.
        """

    @property
    def mixing_shape(self) -> float:
        """Shape of the gamma law that mixes Gaussian spectra; infinite for a single Gaussian."""
        return math.inf

    @property
    def width(self) -> float:
        """The length 1 / sqrt(curvature) on which forces vary; the bandwidth where the curvature is infinite."""
        return 1.0 / math.sqrt(self.curvature) if math.isfinite(self.curvature) else float(self.bandwidth)

    def value(self, r: Any) -> Array:
        """K for differences `r` of shape `[..., axes]`."""
        return self.profile(np.sum(np.square(r), axis=-1))

    def gradient(self, r: Any) -> Array:
        """grad_x K for differences `r = x - y` of shape `[..., axes]`; 0 at r = 0."""
        r = np.asarray(r, np.float64)
        slope = self.slope(np.sum(r * r, axis=-1))
        return np.where(r == 0, 0.0, 2 * slope[..., None] * r) if not self.differentiable else 2 * slope[..., None] * r

    def hessian(self, r: Any) -> Array:
        """Hess_x K for differences `r` of shape `[..., axes]`: shape `[..., axes, axes]`.

        Raises:
            NotApplicable: If the kernel is not differentiable where points meet.
        """
        self.require_differentiable()
        r = np.asarray(r, np.float64)
        s = np.sum(r * r, axis=-1)
        outer = r[..., :, None] * r[..., None, :]
        identity = np.eye(r.shape[-1])
        result: Array = 2 * self.slope(s)[..., None, None] * identity + 4 * self.bend(s)[..., None, None] * outer
        return result

    def require_differentiable(self) -> None:
        """Refuse kernels whose gradient jumps where points meet.

        Raises:
            NotApplicable: If this is one.
        """
        if not self.differentiable:
            raise NotApplicable(f"kernel {type(self).__name__} is not differentiable at coincident points")

    def scaled(self, bandwidth: float) -> Self:
        """The same kernel with another bandwidth."""
        return dataclasses.replace(self, bandwidth=bandwidth)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, see `kernel_from_dict`."""
        return {
            "name": type(self).__name__,
            **{f.name: _plain(getattr(self, f.name)) for f in dataclasses.fields(self)},
        }


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


@dataclass(frozen=True)
class RBF(Kernel):
    """Gaussian kernel exp(-|x - y|^2 / (2 bandwidth^2)).

    Args:
        bandwidth: Length scale sigma > 0; the curvature is 1 / sigma^2.

    Raises:
        ParameterError: If the bandwidth is not a positive finite number.
    """

    family: ClassVar[int] = GAUSSIANS

    @property
    def curvature(self) -> float:
        return float(1.0 / self.bandwidth**2)

    @property
    def constants(self) -> Array:
        return np.array([1.0, 0.5 * self.curvature])

    def profile(self, s: Any) -> Array:
        result: Array = np.exp(-0.5 * self.curvature * np.asarray(s))
        return result

    def slope(self, s: Any) -> Array:
        result: Array = -0.5 * self.curvature * self.profile(s)
        return result

    def bend(self, s: Any) -> Array:
        result: Array = 0.25 * self.curvature**2 * self.profile(s)
        return result

    def frequencies(self, normals: Array, gammas: Array, uniforms: Array) -> Array:
        result: Array = normals / self.bandwidth
        return result


@dataclass(frozen=True)
class RationalQuadratic(Kernel):
    """Rational quadratic kernel (1 + |x - y|^2 / (2 alpha bandwidth^2))^(-alpha): Gaussians of many widths.

    Args:
        bandwidth: Length scale sigma > 0; the curvature is 1 / sigma^2.
        alpha: Weight of the tail, > 0; infinity would be the Gaussian.

    Raises:
        ParameterError: If a number is not positive and finite.
    """

    alpha: Any = 1.0
    family: ClassVar[int] = RATIONAL

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "alpha", number("alpha", self.alpha, above=0))

    @property
    def curvature(self) -> float:
        return float(1.0 / self.bandwidth**2)

    @property
    def constants(self) -> Array:
        return np.array([self.alpha, 0.5 * self.curvature / self.alpha])

    def _base(self, s: Any) -> Array:
        result: Array = 1.0 + 0.5 * self.curvature / self.alpha * np.asarray(s)
        return result

    def profile(self, s: Any) -> Array:
        result: Array = self._base(s) ** -self.alpha
        return result

    def slope(self, s: Any) -> Array:
        result: Array = -0.5 * self.curvature * self._base(s) ** (-self.alpha - 1)
        return result

    def bend(self, s: Any) -> Array:
        weight = (self.alpha + 1) / (4 * self.alpha) * self.curvature**2
        result: Array = weight * self._base(s) ** (-self.alpha - 2)
        return result

    @property
    def mixing_shape(self) -> float:
        return float(self.alpha)

    def frequencies(self, normals: Array, gammas: Array, uniforms: Array) -> Array:
        # A Gaussian kernel whose squared frequencies are scaled by a gamma variate of mean 1.
        result: Array = normals / self.bandwidth * np.sqrt(gammas / self.alpha)[:, None]
        return result


@dataclass(frozen=True)
class Matern32(Kernel):
    """Matern kernel of order 3/2, (1 + u) exp(-u) with u = sqrt(3) |x - y| / bandwidth.

    Its third derivative jumps where points meet.

    Args:
        bandwidth: Length scale ell > 0; the curvature is 3 / ell^2.

    Raises:
        ParameterError: If the bandwidth is not a positive finite number.
    """

    family: ClassVar[int] = MATERN32

    @property
    def curvature(self) -> float:
        return float(3.0 / self.bandwidth**2)

    @property
    def constants(self) -> Array:
        return np.array([self.curvature])

    def profile(self, s: Any) -> Array:
        u = np.sqrt(self.curvature * np.asarray(s))
        result: Array = (1 + u) * np.exp(-u)
        return result

    def slope(self, s: Any) -> Array:
        result: Array = -0.5 * self.curvature * np.exp(-np.sqrt(self.curvature * np.asarray(s)))
        return result

    def bend(self, s: Any) -> Array:
        u = np.sqrt(self.curvature * np.asarray(s))
        result: Array = np.where(u > 0, 0.25 * self.curvature**2 * np.exp(-u) / np.where(u > 0, u, 1.0), 0.0)
        return result

    @property
    def mixing_shape(self) -> float:
        return 1.5

    def frequencies(self, normals: Array, gammas: Array, uniforms: Array) -> Array:
        # Student's t with 3 degrees of freedom: a normal over the root of chi-square / 3 = gamma(3/2) / (3/2).
        result: Array = normals / self.bandwidth / np.sqrt(gammas / 1.5)[:, None]
        return result


@dataclass(frozen=True)
class Matern52(Kernel):
    """Matern kernel of order 5/2, (1 + u + u^2 / 3) exp(-u) with u = sqrt(5) |x - y| / bandwidth.

    Args:
        bandwidth: Length scale ell > 0; the curvature is 5 / (3 ell^2).

    Raises:
        ParameterError: If the bandwidth is not a positive finite number.
    """

    family: ClassVar[int] = MATERN52

    @property
    def curvature(self) -> float:
        return float(5.0 / (3.0 * self.bandwidth**2))

    @property
    def constants(self) -> Array:
        return np.array([5.0 / float(self.bandwidth) ** 2])

    def _u(self, s: Any) -> Array:
        result: Array = np.sqrt(5.0 * np.asarray(s)) / self.bandwidth
        return result

    def profile(self, s: Any) -> Array:
        u = self._u(s)
        result: Array = (1 + u + u * u / 3) * np.exp(-u)
        return result

    def slope(self, s: Any) -> Array:
        u = self._u(s)
        result: Array = -0.5 * self.curvature * (1 + u) * np.exp(-u)
        return result

    def bend(self, s: Any) -> Array:
        result: Array = 25.0 / (12.0 * float(self.bandwidth) ** 4) * np.exp(-self._u(s))
        return result

    @property
    def mixing_shape(self) -> float:
        return 2.5

    def frequencies(self, normals: Array, gammas: Array, uniforms: Array) -> Array:
        result: Array = normals / self.bandwidth / np.sqrt(gammas / 2.5)[:, None]
        return result


@dataclass(frozen=True)
class RBFSum(Kernel):
    """A weighted sum of Gaussian kernels.

    Args:
        bandwidths: Length scales, each > 0.
        weights: Positive weights, scaled to sum 1; None for equal ones.

    Raises:
        ParameterError: If there are none, a number is out of range, or the lengths differ.
    """

    bandwidth: Any = dataclasses.field(default=math.nan, init=False, repr=False)
    bandwidths: Any = (1.0,)
    weights: Any = None
    family: ClassVar[int] = GAUSSIANS

    def __post_init__(self) -> None:
        widths = numbers_in("bandwidths", np.atleast_1d(self.bandwidths), above=0)
        if widths.ndim != 1 or len(widths) == 0:
            raise ParameterError("bandwidths", self.bandwidths, "a list of positive numbers, at least one")
        weights = np.ones(len(widths)) if self.weights is None else np.atleast_1d(self.weights)
        weights = numbers_in("weights", weights, shape=widths.shape, above=0)
        weights = weights / weights.sum()
        object.__setattr__(self, "bandwidths", tuple(float(v) for v in widths))
        object.__setattr__(self, "weights", tuple(float(v) for v in weights))
        object.__setattr__(self, "bandwidth", 1.0 / math.sqrt(self.curvature))
        if np.max(widths) > 1 / _SMALLEST or np.min(widths) < _SMALLEST:
            raise ParameterError("bandwidths", self.bandwidths, f"numbers between {_SMALLEST:g} and {1 / _SMALLEST:g}")

    @property
    def curvature(self) -> float:
        return float(np.sum(np.asarray(self.weights) / np.square(self.bandwidths)))

    @property
    def constants(self) -> Array:
        result: Array = np.column_stack([self.weights, 0.5 / np.square(self.bandwidths)]).ravel()
        return result

    def _moments(self, s: Any, power: int) -> Array:
        s = np.asarray(s, np.float64)
        rate = 0.5 / np.square(self.bandwidths)
        result: Array = np.sum(np.asarray(self.weights) * (-rate) ** power * np.exp(-rate * s[..., None]), axis=-1)
        return result

    def profile(self, s: Any) -> Array:
        return self._moments(s, 0)

    def slope(self, s: Any) -> Array:
        return self._moments(s, 1)

    def bend(self, s: Any) -> Array:
        return self._moments(s, 2)

    def frequencies(self, normals: Array, gammas: Array, uniforms: Array) -> Array:
        part = np.minimum(np.searchsorted(np.cumsum(self.weights), uniforms, "right"), len(self.weights) - 1)
        result: Array = normals / np.asarray(self.bandwidths)[part][:, None]
        return result

    def scaled(self, bandwidth: float) -> "RBFSum":
        """All bandwidths by one factor, so that 1 / sqrt(curvature) becomes `bandwidth`."""
        bandwidth = number("bandwidth", bandwidth, above=0)
        return RBFSum(tuple(v * bandwidth / self.bandwidth for v in self.bandwidths), self.weights)

    def to_dict(self) -> dict[str, Any]:
        return {"name": "RBFSum", "bandwidths": list(self.bandwidths), "weights": list(self.weights)}


@dataclass(frozen=True)
class Laplace(Kernel):
    """Laplace kernel exp(-|x - y| / bandwidth), for simulation only: its gradient jumps where points meet.

    The gradient at zero distance counts as 0.

    Args:
        bandwidth: Length scale ell > 0; the curvature is infinite.

    Raises:
        ParameterError: If the bandwidth is not a positive finite number.
    """

    family: ClassVar[int] = LAPLACE
    differentiable: ClassVar[bool] = False

    @property
    def curvature(self) -> float:
        return math.inf

    @property
    def constants(self) -> Array:
        return np.array([1.0 / float(self.bandwidth)])

    def profile(self, s: Any) -> Array:
        result: Array = np.exp(-np.sqrt(np.asarray(s)) / self.bandwidth)
        return result

    def slope(self, s: Any) -> Array:
        distance = np.sqrt(np.asarray(s, np.float64))
        scale = np.where(distance > 0, distance, 1.0) * self.bandwidth
        result: Array = np.where(distance > 0, -0.5 * np.exp(-distance / self.bandwidth) / scale, 0.0)
        return result

    def bend(self, s: Any) -> Array:
        self.require_differentiable()
        raise AssertionError

    @property
    def mixing_shape(self) -> float:
        return 0.5

    def frequencies(self, normals: Array, gammas: Array, uniforms: Array) -> Array:
        # Student's t with one degree of freedom, the Cauchy law.
        result: Array = normals / self.bandwidth / np.sqrt(gammas / 0.5)[:, None]
        return result


KERNELS: dict[str, type[Kernel]] = {
    kernel.__name__: kernel for kernel in (RBF, RationalQuadratic, Matern32, Matern52, RBFSum, Laplace)
}


def with_bandwidth(kernel: Kernel, bandwidth: float) -> Kernel:
    """The same kernel with a bandwidth; itself if it has that one, so that nothing is rounded."""
    return kernel if bandwidth == kernel.bandwidth else kernel.scaled(bandwidth)


def kernel_from_dict(content: Mapping[str, Any], parameter: str = "kernel") -> Kernel:
    """A kernel from a table such as `{ name = "RBF", bandwidth = 1.0 }`, given for a parameter.

    Raises:
        ParameterError: If the name or a parameter is unknown, one is missing, or a value is out of range.
    """
    content = dict(content)
    name = content.pop("name", None)
    if name not in KERNELS:
        raise unknown_name(parameter, name, KERNELS)
    cls = KERNELS[name]
    known = [f.name for f in dataclasses.fields(cls) if f.init]
    for key in content:
        if key not in known:
            raise unknown_name(f"{parameter} {name}", key, known)
    if known[0] not in content:
        raise ParameterError(parameter, {"name": name, **content}, f"a table with {known[0]}")
    return cls(**content)
