"""A slow, literal reference for `FeatureGAN`, independent of the package, with the discriminator HIGH ON GENERATED.

Every array of the discriminator is therefore minus the package's. Points have shape [points, axes]. Names as in the
literature: `tau` step size, `eta` the two speeds, `rho` the penalty of the critic, `ell` the bandwidth.

    E1(x, a) = mean_i [ a . phi(x_i) + ridge/2 |x_i - center|^2 ]
    E2(x, a) = a . (Phi(nu) - Phi(x)) + rho/2 |a|^2            Phi = mean of phi

The package's own code may not be imported here.
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy.integrate import solve_ivp
from scipy.linalg import solveh_banded
from scipy.optimize import linear_sum_assignment
from scipy.stats import norm

# ---------------------------------------------------------------------------------------------------------------------
# Laws


def levels(count):
    """Midpoints of `count` equal slices of [0, 1]."""
    return (np.arange(1, count + 1) - 0.5) / count


def normal_quantiles(count, mean=0.0, std=1.0):
    return (mean + std * norm.ppf(levels(count)))[:, None]


def mixture_cdf(z, c=2.0, s=0.25):
    return 0.5 * norm.cdf((z + c) / s) + 0.5 * norm.cdf((z - c) / s)


def bimodal_quantiles(count, c=2.0, s=0.25):
    """Midpoint quantiles of half N(-c, s^2), half N(c, s^2), by bisection of the distribution function."""
    low, high = np.full(count, -c - 12 * s), np.full(count, c + 12 * s)
    for _ in range(200):
        middle = (low + high) / 2
        below = mixture_cdf(middle, c, s) < levels(count)
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return ((low + high) / 2)[:, None]


def ring_modes(count=8, radius=2.0):
    angle = 2 * np.pi * np.arange(count) / count
    return radius * np.stack([np.cos(angle), np.sin(angle)], axis=1)


def ring(rng, count=256, modes=8, radius=2.0, std=0.1):
    """Targets: point i in mode i modulo the number of modes, plus noise."""
    return ring_modes(modes, radius)[np.arange(count) % modes] + std * rng.normal(size=(count, 2))


# ---------------------------------------------------------------------------------------------------------------------
# Features: values [points, p], first derivatives [points, p, axes], second derivatives [points, p, axes, axes]


class Linear:
    def __init__(self, axes=1):
        self.axes, self.p = axes, axes

    def phi(self, x):
        return x.copy()

    def first(self, x):
        return np.tile(np.eye(self.axes), (len(x), 1, 1))

    def second(self, x):
        return np.zeros((len(x), self.p, self.axes, self.axes))


class Quadratic:
    """(x, vec(x x^T) / 2): the critic is w.x + x^T W x / 2, and every entry of W is a coefficient."""

    def __init__(self, axes=1):
        self.axes, self.p = axes, axes + axes * axes

    def phi(self, x):
        return np.concatenate([x, 0.5 * np.einsum("ni,nj->nij", x, x).reshape(len(x), -1)], axis=1)

    def first(self, x):
        d = self.axes
        out = np.zeros((len(x), self.p, d))
        for n in range(len(x)):
            out[n, :d] = np.eye(d)
            for i in range(d):
                for j in range(d):
                    out[n, d + i * d + j, i] += 0.5 * x[n, j]
                    out[n, d + i * d + j, j] += 0.5 * x[n, i]
        return out

    def second(self, x):
        d = self.axes
        out = np.zeros((len(x), self.p, d, d))
        for i in range(d):
            for j in range(d):
                out[:, d + i * d + j, i, j] += 0.5
                out[:, d + i * d + j, j, i] += 0.5
        return out


class Fourier:
    """Features of the Gaussian kernel exp(-r^2 / 2 ell^2) on a circle of length 2 L."""

    def __init__(self, ell=1.0, L=8.0, J=None):
        self.axes = 1
        self.J = int(np.ceil(8.5 * L / (np.pi * ell))) if J is None else J
        j = np.arange(1, self.J + 1)
        c = np.concatenate([[1.0], 2 * np.exp(-((np.pi * j * ell / L) ** 2) / 2)])
        self.c = c / c.sum()
        self.w = np.pi * j / L
        self.p = 2 * self.J + 1

    def phi(self, x):
        r = np.sqrt(self.c[1:])
        u = x * self.w
        return np.concatenate([np.full((len(x), 1), np.sqrt(self.c[0])), r * np.cos(u), r * np.sin(u)], axis=1)

    def first(self, x):
        r = np.sqrt(self.c[1:]) * self.w
        u = x * self.w
        return np.concatenate([np.zeros((len(x), 1)), -r * np.sin(u), r * np.cos(u)], axis=1)[:, :, None]

    def second(self, x):
        r = np.sqrt(self.c[1:]) * self.w**2
        u = x * self.w
        return np.concatenate([np.zeros((len(x), 1)), -r * np.cos(u), -r * np.sin(u)], axis=1)[:, :, None, None]


class Sobolev:
    """sqrt(h) C((x - x_k) / h) on the nodes x_k of [-L, L]; C is the distribution function of the triangle density."""

    def __init__(self, L=8.0, K=641):
        self.axes, self.p = 1, K
        self.nodes, self.h = np.linspace(-L, L, K), 2 * L / (K - 1)

    def _s(self, x):
        return np.clip((x - self.nodes) / self.h, -1, 1)

    def phi(self, x):
        s = self._s(x)
        return np.sqrt(self.h) * np.where(s < 0, (1 + s) ** 2 / 2, 1 - (1 - s) ** 2 / 2)

    def first(self, x):
        return ((1 - np.abs(self._s(x))) / np.sqrt(self.h))[:, :, None]

    def second(self, x):
        s = (x - self.nodes) / self.h
        slope = np.where((s >= -1) & (s < 0), 1.0, np.where((s >= 0) & (s < 1), -1.0, 0.0))
        return (slope / self.h**1.5)[:, :, None, None]


class Random:
    """[cos(w_j x), sin(w_j x)] / sqrt(J) with given frequencies, shape [J, axes]."""

    def __init__(self, frequencies):
        self.w = np.asarray(frequencies, float)
        self.J, self.axes = self.w.shape
        self.p = 2 * self.J

    @classmethod
    def drawn(cls, axes, J, ell, seed):
        return cls(np.random.default_rng(seed).normal(size=(J, axes)) / ell)

    def phi(self, x):
        u = x @ self.w.T
        return np.concatenate([np.cos(u), np.sin(u)], axis=1) / np.sqrt(self.J)

    def first(self, x):
        u = x @ self.w.T
        return np.concatenate([-np.sin(u)[:, :, None] * self.w, np.cos(u)[:, :, None] * self.w], 1) / np.sqrt(self.J)

    def second(self, x):
        u = x @ self.w.T
        ww = np.einsum("ji,jk->jik", self.w, self.w)
        out = np.concatenate([-np.cos(u)[:, :, None, None] * ww, -np.sin(u)[:, :, None, None] * ww], axis=1)
        return out / np.sqrt(self.J)


# ---------------------------------------------------------------------------------------------------------------------
# The game


@dataclass(frozen=True)
class Reference:
    """A feature GAN.

    Args:
        features: One of the classes above, or a `History`.
        target: Points of the target, shape [points, axes].
        batch statistics are the full ones unless `target` is replaced.
    """

    features: object
    target: np.ndarray
    rho: float = 1.0
    eta: tuple = (1.0, 1.0)
    ridge: float = 0.0
    center: float = 0.0
    entropy: float = 0.0

    def difference(self, x):
        """Phi(mu) - Phi(nu)."""
        return self.features.phi(x).mean(0) - self.features.phi(self.target).mean(0)

    def mmd(self, x):
        return np.linalg.norm(self.difference(x))

    def best(self, x):
        """The critic's optimum."""
        return self.difference(x) / self.rho

    def force(self, x, a):
        """Gradient of V at every point, shape [points, axes]."""
        return np.einsum("p,npd->nd", a, self.features.first(x)) + self.ridge * (x - self.center)

    def curvature(self, x, a):
        d = x.shape[1]
        return np.einsum("p,npde->nde", a, self.features.second(x)) + self.ridge * np.eye(d)

    def critic_explicit(self, a, x, tau):
        return a - tau * self.eta[1] * (self.rho * a - self.difference(x))

    def critic_implicit(self, a, x, tau):
        return (a + tau * self.eta[1] * self.difference(x)) / (1 + tau * self.eta[1] * self.rho)

    def prox(self, x, a, tau):
        """Every point by itself: z + tau eta1 V'(z) = x, by Newton."""
        if self.entropy:
            return entropic_prox(self, x, a, tau)
        s = tau * self.eta[0]
        z = x - s * self.force(x, a)
        for _ in range(100):
            jacobian = np.eye(x.shape[1]) + s * self.curvature(z, a)
            if np.linalg.eigvalsh(jacobian).min() <= 0:
                raise ValueError("step too large")
            r = z - x + s * self.force(z, a)
            if np.abs(r).max() <= 1e-12 * (1 + np.abs(x).max()):
                return z
            z = z - np.linalg.solve(jacobian, r[:, :, None])[:, :, 0]
        raise RuntimeError("prox did not converge")


def entropic_prox(game, x, a, tau):
    """Sorted points of a line with the entropy of their gaps, by damped Newton with a tridiagonal matrix."""
    order = np.argsort(x[:, 0])
    X, s, eps = x[order, 0], tau * game.eta[0], game.entropy
    if np.diff(X).min() <= 0:
        raise ValueError("points coincide")

    def gradient(z):  # times the number of points: the metric gradient has no factor 1 / N
        g = (z - X) / s + game.force(z[:, None], a)[:, 0]
        inverse = 1 / np.diff(z)
        g[:-1] += eps * inverse
        g[1:] -= eps * inverse
        return g

    z = X.copy()
    for _ in range(200):
        g = gradient(z)
        size = np.linalg.norm(g)
        if np.abs(g).max() * s <= 1e-12 * (1 + np.abs(X).max()):
            break
        inverse = eps / np.diff(z) ** 2
        diagonal = 1 / s + game.curvature(z[:, None], a)[:, 0, 0]
        diagonal[:-1] += inverse
        diagonal[1:] += inverse
        move = solveh_banded(np.stack([np.concatenate([[0.0], -inverse]), diagonal]), -g)
        share = 1.0
        while share > 1e-12:
            trial = z + share * move
            if np.diff(trial).min() > 0 and np.linalg.norm(gradient(trial)) < size:
                break
            share /= 2
        else:
            break  # rounding stops the decrease
        z = trial
    out = np.empty_like(x)
    out[order, 0] = z
    return out


def step(game, scheme, x, a, tau, order="generator_first", n_disc=1):
    """One step of explicit, explicit_seq, jko, jko_seq or nash."""
    if scheme == "nash":
        new_x = x
        for _ in range(500):
            new_a = game.critic_implicit(a, new_x, tau)
            moved = game.prox(x, new_a, tau)
            change = np.abs(moved - new_x).max()
            new_x = moved
            if change < 1e-13 * (1 + np.abs(new_x).max()):
                return new_x, game.critic_implicit(a, new_x, tau)
        raise RuntimeError("nash did not converge")
    implicit = scheme.startswith("jko")

    def generate(x, a):
        return game.prox(x, a, tau) if implicit else x - tau * game.eta[0] * game.force(x, a)

    def discriminate(a, x):
        for _ in range(n_disc):
            a = game.critic_implicit(a, x, tau) if implicit else game.critic_explicit(a, x, tau)
        return a

    if not scheme.endswith("_seq"):
        return generate(x, a), discriminate(a, x)
    if order == "generator_first":
        new_x = generate(x, a)
        return new_x, discriminate(a, new_x)
    new_a = discriminate(a, x)
    return generate(x, new_a), new_a


def run(game, scheme, x, a, tau, steps, **options):
    """States after 0 .. steps steps: lists of x and a."""
    xs, As = [x], [a]
    for _ in range(steps):
        x, a = step(game, scheme, x, a, tau, **options)
        xs.append(x)
        As.append(a)
    return xs, As


def flow(game, x, a, times, rtol=1e-12, atol=1e-12):
    """The dual flow at the given times (first one 0): arrays [times, points, axes] and [times, p]."""
    N, d = x.shape

    def velocity(t, z):
        x, a = z[: N * d].reshape(N, d), z[N * d :]
        force = game.force(x, a)
        return np.concatenate([-game.eta[0] * force.ravel(), game.eta[1] * (game.difference(x) - game.rho * a)])

    z = solve_ivp(
        velocity, (0, times[-1]), np.concatenate([x.ravel(), a]), method="DOP853", t_eval=times, rtol=rtol, atol=atol
    ).y.T
    return z[:, : N * d].reshape(-1, N, d), z[:, N * d :]


def fast_force(game, x):
    """V' with the critic at its optimum."""
    return game.force(x, game.best(x))


def fast_flow(game, x, times, rtol=1e-12, atol=1e-12):
    """The limit of a fast critic, the MMD flow."""
    shape = x.shape

    def velocity(t, z):
        return -game.eta[0] * fast_force(game, z.reshape(shape)).ravel()

    y = solve_ivp(velocity, (0, times[-1]), x.ravel(), method="DOP853", t_eval=times, rtol=rtol, atol=atol).y.T
    return y.reshape(-1, *shape)


def scheduled(game, features_of, x, tau, steps, e0, e1):
    """Explicit steps of the fast limit with bandwidths e0 (e1/e0)^(k/(steps-1)), velocity -max(1, ell)^2 f'."""
    for k in range(steps):
        ell = e0 * (e1 / e0) ** (k / (steps - 1))
        game = replace(game, features=features_of(ell))
        x = x - tau * game.eta[0] * max(1.0, ell) ** 2 * fast_force(game, x)
    return x


class History:
    """The critic as sums of kernels centred at past clouds; a state is a list of (weight, cloud).

    f = sum_k w_k (m_{cloud_k} - m_target) with m_cloud(y) = mean_i exp(-|y - x_i|^2 / 2 ell^2).
    """

    def __init__(self, target, ell=1.0, rho=1.0, eta=(1.0, 1.0), keep=1e-12):
        self.target, self.ell, self.rho, self.eta, self.keep = target, ell, rho, eta, keep

    def kernel(self, y, z):
        difference = y[:, None, :] - z[None, :, :]
        return np.exp(-np.square(difference).sum(-1) / (2 * self.ell**2)), difference

    def mean_first(self, y, z):
        k, difference = self.kernel(y, z)
        return -np.einsum("nm,nmd->nd", k, difference) / self.ell**2 / len(z)

    def mean_second(self, y, z):
        k, difference = self.kernel(y, z)
        outer = np.einsum("nm,nmd,nme->nde", k, difference, difference) / self.ell**4
        return (outer - np.eye(y.shape[1]) * k.sum(1)[:, None, None] / self.ell**2) / len(z)

    def force(self, y, state):
        total = np.zeros_like(y)
        for weight, cloud in state:
            total += weight * (self.mean_first(y, cloud) - self.mean_first(y, self.target))
        return total

    def curvature(self, y, state):
        total = np.zeros((len(y), y.shape[1], y.shape[1]))
        for weight, cloud in state:
            total += weight * (self.mean_second(y, cloud) - self.mean_second(y, self.target))
        return total

    def _updated(self, state, x, shrink, weight):
        kept = [(w * shrink, cloud) for w, cloud in state if abs(w * shrink) >= self.keep]
        return [*kept, (weight, x.copy())]

    def critic_explicit(self, state, x, tau):
        return self._updated(state, x, 1 - tau * self.eta[1] * self.rho, tau * self.eta[1])

    def critic_implicit(self, state, x, tau):
        shrink = 1 / (1 + tau * self.eta[1] * self.rho)
        return self._updated(state, x, shrink, tau * self.eta[1] * shrink)

    entropy = 0.0
    prox = Reference.prox


def energy_quantile_step(cdf, x, tau, speed=1.0):
    """Proximal step of the energy-distance flow on a line; x sorted, shape [N]; speed = eta1 / rho.

    Quantile i solves z + tau speed F(z) = x_i + tau speed u_i, F the target's distribution function; where F jumps
    across the equation, the place of the jump is the solution. By bisection.
    """
    right = x + tau * speed * levels(len(x))
    low, high = right - tau * speed - 1e-9, right + 1e-9
    for _ in range(200):
        middle = (low + high) / 2
        below = middle + tau * speed * cdf(middle) < right
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return (low + high) / 2


def empirical_cdf(points):
    ordered = np.sort(np.ravel(points))
    return lambda z: np.searchsorted(ordered, z, side="right") / len(ordered)


def energy_velocity(x, y, rho=1.0):
    """Energy-distance flow in any dimension: (1/rho) [mean_j unit(x_i - x_j) - mean_k unit(x_i - y_k)], 0/0 = 0.

    To be added: points repel each other and are drawn to the target.
    """

    def units(a, b):
        difference = a[:, None, :] - b[None, :, :]
        size = np.sqrt(np.square(difference).sum(-1, keepdims=True))
        return np.divide(difference, size, out=np.zeros_like(difference), where=size > 0).mean(1)

    return (units(x, x) - units(x, y)) / rho


# ---------------------------------------------------------------------------------------------------------------------
# What is measured


def w2_line(x, y):
    return np.sqrt(np.mean((np.sort(np.ravel(x)) - np.sort(np.ravel(y))) ** 2))


def w2(x, y):
    cost = np.square(x[:, None, :] - y[None, :, :]).sum(-1)
    return np.sqrt(cost[linear_sum_assignment(cost)].mean())


def sliced_w2(x, y, directions=128):
    theta = np.pi * (np.arange(1, directions + 1) - 0.5) / directions
    return np.sqrt(np.mean([w2_line(x @ [np.cos(t), np.sin(t)], y @ [np.cos(t), np.sin(t)]) ** 2 for t in theta]))


def energy_distance_squared(x, y):
    def mean(a, b):
        return np.sqrt(np.square(a[:, None, :] - b[None, :, :]).sum(-1)).mean()

    return mean(x, y) - mean(x, x) / 2 - mean(y, y) / 2


def occupancy(x, modes, radius):
    return np.array([np.mean(np.linalg.norm(x - mode, axis=1) <= radius) for mode in modes])


def coverage(x, modes, radius, weights=None):
    weights = np.full(len(modes), 1 / len(modes)) if weights is None else weights
    return np.minimum(occupancy(x, modes, radius), weights).sum()
