r"""Feature maps phi, whose linear combinations D(x) = a . phi(x) are the discriminators of a `FeatureGAN`.

    linear       x                                             sees means only
    quadratic    x, and x x^T / 2 entry by entry               sees means and covariances
    fourier      on a line: 1, cos(pi j x / L), sin(pi j x / L) with weights that sum to the Gaussian kernel, as long as
                 points stay closer together than 2 L - 6 bandwidths; periodic beyond
    sobolev1d    on a line: integrals of hat functions on equal nodes, for which |a| is about the root of the integral
                 of D'^2, and the distance of laws is the energy distance
    random       cos(w . x), sin(w . x) with normal random w: approximately the Gaussian kernel
    frequencies  the same with frequencies w of one's own

For a kernel k(x, x') = phi(x) . phi(x'), the Euclidean distance of coefficients is the distance of functions in the
kernel's space, and the distance of mean features is the maximum mean discrepancy.

References:
    Rahimi, Recht. Random features for large-scale kernel machines. 2007.
    Szekely, Rizzo. Energy statistics: a class of statistics based on distances. 2013.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

# Numbers of the kinds of maps, as compiled code knows them.
POLYNOMIAL, HARMONIC, WAVES, SOBOLEV = range(4)
# Frequencies up to this many inverse bandwidths: the Gaussian kernel to rounding.
_CUT = 8.5


@dataclass(frozen=True)
class FeatureMap:
    """A map from points to features, every feature with an amplitude in front.

    Attributes:
        kind: One of the constants of this module.
        axes: Dimension d of the points.
        table: Frequencies in turns per unit of length, shape `[d, J]`, for WAVES; else empty.
        amplitudes: Shape `[p]`, one per feature. HARMONIC: constant, J cosines, J sines; WAVES: J cosines, J sines;
            POLYNOMIAL: d coordinates, and d * d products if there are so many; SOBOLEV: one per node.
        geometry: HARMONIC: turns per unit of length of the first harmonic. SOBOLEV: first node, spacing.
    """

    kind: int
    axes: int
    table: Array
    amplitudes: Array
    geometry: Array

    @property
    def size(self) -> int:
        """Number of features p."""
        return len(self.amplitudes)

    def values(self, points: Array) -> Array:
        """Features of points, shape `[..., N, d]` to `[..., N, p]`: the formulas, for tests and small sets."""
        x = np.asarray(points, np.float64)
        if self.kind == POLYNOMIAL:
            products = (x[..., :, None] * x[..., None, :]).reshape(*x.shape[:-1], -1)
            base = np.concatenate([x, products], axis=-1)[..., : self.size]
        elif self.kind == HARMONIC:
            phase = 2 * math.pi * self.geometry[0] * x * np.arange(1, self.size // 2 + 1)
            base = np.concatenate([np.ones_like(x), np.cos(phase), np.sin(phase)], axis=-1)
        elif self.kind == WAVES:
            phase = 2 * math.pi * (x @ self.table)
            base = np.concatenate([np.cos(phase), np.sin(phase)], axis=-1)
        else:
            first, spacing = self.geometry
            s = np.clip((x - first) / spacing - np.arange(self.size), -1.0, 1.0)
            base = np.where(s < 0, (1 + s) ** 2 / 2, 1 - (1 - s) ** 2 / 2)
        return np.asarray(base * self.amplitudes)

    def slopes(self, points: Array) -> Array:
        """Derivatives of the features at points, shape `[N, d]` to `[N, d, p]`."""
        x = np.asarray(points, np.float64)
        count = len(x)
        if self.kind == POLYNOMIAL:
            one = np.eye(self.axes)
            # d(x_k x_m) / dx_n
            products = np.einsum("kn,im->inkm", one, x) + np.einsum("mn,ik->inkm", one, x)
            first = np.broadcast_to(one, (count, self.axes, self.axes))
            base = np.concatenate([first, products.reshape(count, self.axes, -1)], axis=-1)[..., : self.size]
        elif self.kind == HARMONIC:
            wave = 2 * math.pi * self.geometry[0] * np.arange(1, self.size // 2 + 1)
            phase = x[..., None] * wave
            base = np.concatenate([np.zeros((count, 1, 1)), -wave * np.sin(phase), wave * np.cos(phase)], axis=-1)
        elif self.kind == WAVES:
            phase = 2 * math.pi * (x @ self.table)[:, None, :]
            wave = 2 * math.pi * self.table[None]
            base = np.concatenate([-wave * np.sin(phase), wave * np.cos(phase)], axis=-1)
        else:
            start, spacing = self.geometry
            s = (x[..., None] - start) / spacing - np.arange(self.size)
            base = np.maximum(1 - np.abs(s), 0.0) / spacing
        return np.asarray(base * self.amplitudes)


def _map(
    kind: int, axes: int, amplitudes: Array, table: Array | None = None, geometry: tuple[float, ...] = ()
) -> FeatureMap:
    table = np.empty((axes, 0)) if table is None else np.ascontiguousarray(table)
    return FeatureMap(kind, axes, table, np.ascontiguousarray(amplitudes), np.array([*geometry, 0.0, 0.0][:2]))


def polynomial(axes: int, quadratic: bool) -> FeatureMap:
    """Coordinates, and with `quadratic` also half of their products."""
    amplitudes = np.concatenate([np.ones(axes), np.full(axes * axes if quadratic else 0, 0.5)])
    return _map(POLYNOMIAL, axes, amplitudes)


def harmonics_needed(bandwidth: float, half_period: float) -> int:
    """Harmonics beyond which the Gaussian kernel's weights are rounding."""
    return math.ceil(_CUT * half_period / (math.pi * bandwidth))


def fourier(bandwidths: Array, half_period: float, harmonics: int) -> FeatureMap:
    """The Gaussian kernel on a circle of circumference 2 half_period, or the sum of several.

    Args:
        bandwidths: Shape `[parts]`.
        half_period: L, > 0.
        harmonics: J, at least 1.
    """
    j = np.arange(harmonics + 1)
    powers = np.zeros(harmonics + 1)
    for bandwidth in bandwidths:
        part = np.where(j == 0, 1.0, 2.0) * np.exp(-0.5 * (math.pi * j * bandwidth / half_period) ** 2)
        powers += part / part.sum()
    amplitudes = np.sqrt(powers)
    return _map(HARMONIC, 1, np.concatenate([amplitudes, amplitudes[1:]]), geometry=(0.5 / half_period,))


def waves(frequencies: Array, total: float = 1.0) -> FeatureMap:
    """Cosines and sines of given angular frequencies, shape `[J, d]`, with equal weights of sum `total`."""
    count, axes = frequencies.shape
    return _map(WAVES, axes, np.full(2 * count, math.sqrt(total / count)), frequencies.T / (2 * math.pi))


def random_frequencies(axes: int, bandwidths: Array, count: int, seed: int) -> Array:
    """Normal frequencies for a Gaussian kernel, or in turns for the sum of several, shape `[count, axes]`."""
    normals = np.random.default_rng(seed).normal(size=(count, axes))
    return np.asarray(normals / bandwidths[np.arange(count) % len(bandwidths), None])


def sobolev(half_period: float, nodes: int) -> FeatureMap:
    """Integrals of hat functions on equal nodes of [-half_period, half_period]."""
    spacing = 2 * half_period / (nodes - 1)
    return _map(SOBOLEV, 1, np.full(nodes, math.sqrt(spacing)), geometry=(-half_period, spacing))
