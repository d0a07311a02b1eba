r"""The GAN with a kernel discriminator, written a second time: slow, literal, float64 NumPy.

This file is the oracle of the tests and the baseline of the benchmarks. It does not import `ganscope`. True points X
[N, d] with masses p, generated points Z [M, d] with masses q, and a discriminator f that is kept as what it is, a sum
of kernels that grows with every step. With A = sum_i p_i K(x_i, .), the two velocities are

    F_f(f, Z)   = eta_d (A - sum_j q_j K(z_j, .)) - eta_d lam f
    F_z(f, Z)_j = h_j grad f(z_j),      h_j = eta_g q_j ("loss") or eta_g ("unit").

References:
    Becker, Pandit, Rangan, Fletcher. Local Convergence of Gradient Descent-Ascent for Training GANs. 2023.
    Becker, Pandit, Rangan, Fletcher. Instability and Local Minima in GAN Training with Kernel Discriminators. 2022.
"""

import itertools
import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import solve_ivp

Array = NDArray[np.float64]

METHODS = ("simultaneous", "alternating", "extragradient", "optimistic", "heavy_ball")


# Kernels: K(x, y) = value(s) with s = |x - y|^2, grad_x K = 2 slope(s) (x - y).


@dataclass(frozen=True)
class Kernel:
    """`value` and `slope` are phi and phi' as functions of the squared distance; `width` is the kernel's bandwidth."""

    value: Callable[[Array], Array]
    slope: Callable[[Array], Array]
    width: float

    def between(self, x: Array, y: Array) -> Array:
        """K(x_i, y_j), shape `[len(x), len(y)]`."""
        return self.value(squared_distances(x, y))

    def gradients(self, x: Array, y: Array) -> Array:
        """grad_x K(x_i, y_j), shape `[len(x), len(y), d]`; 0 where the points meet."""
        difference = x[:, None, :] - y[None, :, :]
        s = np.sum(difference**2, axis=-1)
        slope = np.where(s > 0, self.slope(np.where(s > 0, s, 1.0)), 0.0)
        return 2 * slope[..., None] * difference


def squared_distances(x: Array, y: Array) -> Array:
    return np.sum((x[:, None, :] - y[None, :, :]) ** 2, axis=-1)


def rbf(sigma: float) -> Kernel:
    phi = lambda s: np.exp(-s / (2 * sigma**2))
    return Kernel(phi, lambda s: -phi(s) / (2 * sigma**2), sigma)


def rq(sigma: float, alpha: float) -> Kernel:
    b = lambda s: 1 + s / (2 * alpha * sigma**2)
    return Kernel(lambda s: b(s) ** -alpha, lambda s: -(b(s) ** (-alpha - 1)) / (2 * sigma**2), sigma)


def matern32(ell: float) -> Kernel:
    u = lambda s: np.sqrt(3 * s) / ell
    return Kernel(lambda s: (1 + u(s)) * np.exp(-u(s)), lambda s: -3 / (2 * ell**2) * np.exp(-u(s)), ell)


def matern52(ell: float) -> Kernel:
    u = lambda s: np.sqrt(5 * s) / ell
    phi = lambda s: (1 + u(s) + u(s) ** 2 / 3) * np.exp(-u(s))
    return Kernel(phi, lambda s: -5 / (6 * ell**2) * (1 + u(s)) * np.exp(-u(s)), ell)


def rbf_sum(sigmas: tuple[float, ...], weights: tuple[float, ...]) -> Kernel:
    """`weights` sum to one; the bandwidth is that of the Gaussian with the same curvature."""
    parts = [rbf(sigma) for sigma in sigmas]
    curvature = sum(w / sigma**2 for w, sigma in zip(weights, sigmas, strict=True))
    return Kernel(
        lambda s: sum(w * part.value(s) for w, part in zip(weights, parts, strict=True)),
        lambda s: sum(w * part.slope(s) for w, part in zip(weights, parts, strict=True)),
        1 / math.sqrt(curvature),
    )


def laplace(ell: float) -> Kernel:
    phi = lambda s: np.exp(-np.sqrt(s) / ell)
    return Kernel(phi, lambda s: -phi(s) / (2 * ell * np.sqrt(s)), ell)


# The discriminator.


@dataclass(frozen=True)
class Function:
    """The function sum_n weights[n] K(centres[n], .), every centre ever used included."""

    kernel: Kernel
    centres: Array
    weights: Array

    def __call__(self, points: Array) -> Array:
        return self.kernel.between(points, self.centres) @ self.weights

    def gradient(self, points: Array) -> Array:
        return np.einsum("mnd,n->md", self.kernel.gradients(points, self.centres), self.weights)

    def norm(self) -> float:
        """Norm in the space of the kernel."""
        square = self.weights @ self.kernel.between(self.centres, self.centres) @ self.weights
        return math.sqrt(max(square, 0.0))


def combine(*terms: tuple[float, Function]) -> Function:
    """A linear combination: the lists one after the other, then equal centres collected."""
    centres = np.concatenate([f.centres for _, f in terms])
    weights = np.concatenate([c * f.weights for c, f in terms])
    unique, position = np.unique(centres, axis=0, return_inverse=True)
    total = np.zeros(len(unique))
    np.add.at(total, position.ravel(), weights)
    return Function(terms[0][1].kernel, unique, total)


def best_function(X: Array, p: Array, Z: Array, q: Array, kernel: Kernel, lam: float) -> Function:
    """f* = (A - sum_j q_j K(z_j, .)) / lam, the best discriminator for fixed generated points."""
    return combine((1 / lam, Function(kernel, X, p)), (-1 / lam, Function(kernel, Z, q)))


# The five methods.


def run(
    X: Array,
    p: Array,
    Z: Array,
    q: Array,
    kernel: Kernel,
    eta_d: float,
    eta_g: float,
    lam: float,
    method: str,
    weighting: str = "loss",
    f0: str = "zero",
    beta: float = 0.0,
    steps: int = 100,
) -> tuple[Array, Function]:
    """Generated points after 0, 1, ..., steps updates, `[steps + 1, M, d]`, and the discriminator at the end."""
    A = Function(kernel, X, p)
    h = eta_g * (q if weighting == "loss" else np.ones(len(q)))

    def F_f(f: Function, Z: Array) -> Function:
        return combine((eta_d, A), (-eta_d, Function(kernel, Z, q)), (-eta_d * lam, f))

    def F_z(f: Function, Z: Array) -> Array:
        return h[:, None] * f.gradient(Z)

    f = Function(kernel, X, np.zeros(len(X))) if f0 == "zero" else best_function(X, p, Z, q, kernel, lam)
    f_before, Z_before = f, Z
    trajectory = [Z]
    for _ in range(steps):
        if method == "simultaneous":
            f_new = combine((1, f), (1, F_f(f, Z)))
            Z_new = Z + F_z(f, Z)
        elif method == "alternating":
            f_new = combine((1, f), (1, F_f(f, Z)))
            Z_new = Z + F_z(f_new, Z)
        elif method == "extragradient":
            f_ahead = combine((1, f), (1, F_f(f, Z)))
            Z_ahead = Z + F_z(f, Z)
            f_new = combine((1, f), (1, F_f(f_ahead, Z_ahead)))
            Z_new = Z + F_z(f_ahead, Z_ahead)
        elif method == "optimistic":
            f_new = combine((1, f), (2, F_f(f, Z)), (-1, F_f(f_before, Z_before)))
            Z_new = Z + 2 * F_z(f, Z) - F_z(f_before, Z_before)
        elif method == "heavy_ball":
            f_new = combine((1, f), (1, F_f(f, Z)), (beta, f), (-beta, f_before))
            Z_new = Z + F_z(f, Z) + beta * (Z - Z_before)
        else:
            raise ValueError(method)
        f_before, Z_before = f, Z
        f, Z = f_new, Z_new
        trajectory.append(Z)
    return np.array(trajectory), f


# Fourier features of the Gaussian kernel, on a grid of frequencies (exact) or drawn at random. A kernel is
# sum_n weight_n cos(omega_n . (x - y)), so the features of x are sqrt(weight_n) (cos omega_n . x, sin omega_n . x).


def grid_frequencies(sigma: float, d: int, diameter: float, cut: float = 9.0) -> tuple[Array, Array]:
    """Frequencies `[n, d]` and weights `[n]` of the Gaussian kernel repeated with period diameter + cut * sigma."""
    period = diameter + cut * sigma
    last = math.ceil(cut * period / (2 * math.pi * sigma))
    numbers = np.array(list(itertools.product(range(-last, last + 1), repeat=d)))
    omega = 2 * math.pi / period * numbers
    weight = (sigma * math.sqrt(2 * math.pi) / period) ** d * np.exp(-(sigma**2) * np.sum(omega**2, axis=1) / 2)
    return omega, weight


def random_frequencies(sigma: float, d: int, features: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """Random Fourier features of the Gaussian kernel: features / 2 frequencies of equal weight."""
    return rng.standard_normal((features // 2, d)) / sigma, np.full(features // 2, 2 / features)


def features_of(points: Array, omega: Array, weight: Array) -> Array:
    phase = points @ omega.T
    return np.concatenate([np.sqrt(weight) * np.cos(phase), np.sqrt(weight) * np.sin(phase)], axis=1)


def feature_gradients(points: Array, omega: Array, weight: Array, theta: Array) -> Array:
    """Gradient of theta . features, shape `[points, d]`."""
    phase = points @ omega.T
    cosines, sines = np.split(theta, 2)
    return (np.sqrt(weight) * (sines * np.cos(phase) - cosines * np.sin(phase))) @ omega


def feature_loop(
    X: Array,
    p: Array,
    Z: Array,
    q: Array,
    frequencies: tuple[Array, Array],
    eta_d: float,
    eta_g: float,
    lam: float,
    steps: int,
    method: str = "alternating",
) -> tuple[Array, Array]:
    """What one writes first with Fourier features: generated points `[steps + 1, M, d]` and theta at the end."""
    theta = np.zeros(2 * len(frequencies[1]))
    real = p @ features_of(X, *frequencies)
    trajectory = [Z]
    for _ in range(steps):
        theta_new = theta + eta_d * (real - q @ features_of(Z, *frequencies) - lam * theta)
        seen = theta_new if method == "alternating" else theta
        Z = Z + eta_g * q[:, None] * feature_gradients(Z, *frequencies, seen)
        theta = theta_new
        trajectory.append(Z)
    return np.array(trajectory), theta


def windowed_loop(
    X: Array,
    p: Array,
    Z: Array,
    q: Array,
    sigma: float,
    eta_d: float,
    eta_g: float,
    lam: float,
    window: int,
    steps: int,
) -> Array:
    """What one writes first with kernels: alternating steps, broadcasting over the last `window` sets of points."""
    past: deque[Array] = deque(maxlen=window)
    real_weight = 0.0
    trajectory = [Z]
    for _ in range(steps):
        real_weight = (1 - eta_d * lam) * real_weight + eta_d
        past.appendleft(Z)
        ages = np.arange(len(past))
        centres = np.concatenate([X, *past])
        weights = np.concatenate([real_weight * p, -np.outer(eta_d * (1 - eta_d * lam) ** ages, q).ravel()])
        difference = Z[:, None, :] - centres[None, :, :]
        K = np.exp(-np.sum(difference**2, axis=-1) / (2 * sigma**2))
        gradient = -np.sum((weights * K)[..., None] * difference, axis=1) / sigma**2
        Z = Z + eta_g * q[:, None] * gradient
        trajectory.append(Z)
    return np.array(trajectory)


def flow(
    X: Array,
    p: Array,
    Z: Array,
    q: Array,
    sigma: float,
    eta_d: float,
    eta_g: float,
    lam: float,
    times: Array,
    weighting: str = "loss",
    f0: str = "zero",
    diameter: float = 12.0,
) -> Array:
    """Generated points of the continuous-time limit at `times` (unit: 1 / eta_d steps), Gaussian kernel, d = 1.

    df/dt = A - sum_j q_j K(z_j, .) - lam f,   dz_j/dt = h_j / eta_d grad f(z_j).
    """
    frequencies = grid_frequencies(sigma, 1, diameter)
    size = 2 * len(frequencies[1])
    speed = eta_g / eta_d * (q if weighting == "loss" else np.ones(len(q)))
    real = p @ features_of(X, *frequencies)

    def velocity(_: float, state: Array) -> Array:
        theta, points = state[:size], state[size:, None]
        pull = real - q @ features_of(points, *frequencies) - lam * theta
        return np.concatenate([pull, speed * feature_gradients(points, *frequencies, theta)[:, 0]])

    theta = np.zeros(size) if f0 == "zero" else (real - q @ features_of(Z, *frequencies)) / lam
    span = (0.0, float(times[-1]))
    start = np.concatenate([theta, Z[:, 0]])
    solution = solve_ivp(velocity, span, start, method="DOP853", t_eval=times, rtol=1e-12, atol=1e-13)
    if not solution.success:
        raise RuntimeError(solution.message)
    return solution.y[size:].T[:, :, None]


# What is seen of a run.


def mmd2(X: Array, p: Array, Z: Array, q: Array, kernel: Kernel) -> float:
    K = kernel.between
    return float(p @ K(X, X) @ p - 2 * p @ K(X, Z) @ q + q @ K(Z, Z) @ q)


def nearest_distances(X: Array, Z: Array) -> Array:
    """Distance of every generated point to the nearest true point, shape `[M]`."""
    return np.sqrt(squared_distances(Z, X)).min(axis=1)


def mass_per_neighbourhood(X: Array, Z: Array, q: Array, width: float) -> tuple[Array, float]:
    """Generated mass assigned to each true point, the nearest one within 3 widths, `[N]`; and what is left, free."""
    distance = np.sqrt(squared_distances(Z, X))
    mass, free = np.zeros(len(X)), 0.0
    for j, row in enumerate(distance):
        i = int(np.argmin(row))
        if row[i] <= 3 * width:
            mass[i] += q[j]
        else:
            free += q[j]
    return mass, free


def covered(X: Array, Z: Array, width: float) -> int:
    """How many true points have a generated point within one width."""
    return int(np.sum(np.sqrt(squared_distances(X, Z)).min(axis=1) <= width))
