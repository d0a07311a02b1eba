r"""The solvable GAN of Wang, Hu and Lu, written a second time: slow, literal, float64 NumPy.

This file is the oracle of the tests and the baseline of the benchmarks. It does not import `ganscope`, and it follows
the formulas of the specification one by one (sections in brackets). A real sample is y = U c + sqrt(data_noise) a, a
fake is V c~ + sqrt(generator_noise) a~, the discriminator is one neuron w, and the macroscopic state holds

    P = U^T V,   q = U^T w,   r = V^T w,   S = V^T V,   z = w^T w.

Arrays named in the plural or called "batched" carry a leading replica axis.

References:
    Wang, Hu, Lu. A solvable high-dimensional model of GAN. NeurIPS 2019, arXiv:1805.08349.
"""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Link = Callable[[Array], Array]


@dataclass(frozen=True)
class Setting:
    """Parameters [1]; both variances and both noises are variances, `regularization = inf` is the hard mode."""

    feature_variance: tuple[float, ...] = (5.0, 3.0)
    latent_variance: tuple[float, ...] = (5.0, 3.0)
    data_noise: float = 2.0
    generator_noise: float = 2.0
    discriminator_lr: float = 0.2
    generator_lr: float = 0.04
    regularization: float = math.inf
    link: str = "quadratic"
    link_bias: float = 0.5
    latent: str = "gaussian"

    @property
    def hard(self) -> bool:
        return math.isinf(self.regularization)

    @property
    def constants(self) -> tuple[float, float, float, float, float]:
        """(tau, tau~, lambda, eta_T, eta_G), the letters of the formulas."""
        rates = self.discriminator_lr, self.generator_lr
        return *rates, self.regularization, self.data_noise, self.generator_noise


@dataclass(frozen=True)
class State:
    """Overlaps P [dT, dG], q [dT], r [dG], S [dG, dG], z []; batched states have one more axis in front."""

    P: Array
    q: Array
    r: Array
    S: Array
    z: Array | float


def pack(state: State) -> Array:
    """One vector (per replica): P row-major, q, r, S row-major, z."""
    lead = np.shape(state.z)
    parts = (state.P, state.q, state.r, state.S, state.z)
    return np.concatenate([np.reshape(part, (*lead, -1)) for part in parts], axis=-1)


def unpack(vector: Array, features: int, columns: int) -> State:
    lead = vector.shape[:-1]
    ends = np.cumsum([features * columns, features, columns, columns * columns])
    P, q, r, S, z = np.split(vector, ends, axis=-1)
    return State(P.reshape(*lead, features, columns), q, r, S.reshape(*lead, columns, columns), z[..., 0])


def overlaps(U: Array, V: Array, w: Array) -> State:
    """Macroscopic state of weights U [n, dT], V [n, dG], w [n]; V and w may be batched."""
    Ut, Vt, column = np.swapaxes(U, -1, -2), np.swapaxes(V, -1, -2), w[..., None]
    return State(Ut @ V, (Ut @ column)[..., 0], (Vt @ column)[..., 0], Vt @ V, np.sum(w * w, axis=-1))


def gram(state: State) -> Array:
    """K, the Gram matrix of [U V w] [2]; batched if `state` is."""
    features, columns = state.P.shape[-2:]
    m = features + columns + 1
    U, V = slice(0, features), slice(features, m - 1)
    K = np.empty((*np.shape(state.z), m, m))
    K[..., U, U], K[..., V, V], K[..., -1, -1] = np.eye(features), state.S, state.z
    K[..., U, V], K[..., U, -1], K[..., V, -1] = state.P, state.q, state.r
    K[..., V, U], K[..., -1, U], K[..., -1, V] = np.swapaxes(state.P, -1, -2), state.q, state.r
    return K


def recovery(P: Array, S: Array) -> Array:
    """Length of the projection of every feature on the span of the generator's columns [2]."""
    return np.sqrt(np.diag(P @ np.linalg.pinv(S, rcond=1e-10) @ P.T))


def links(setting: Setting) -> tuple[Link, Link]:
    """(f, f~), the slopes of the two terms of the objective in the discriminator's scalar input [1]."""
    sigmoid = lambda x: (1 + np.tanh(x / 2)) / 2
    bias = setting.link_bias
    return {
        "quadratic": (lambda s: s, lambda s: s),
        "tanh": (np.tanh, np.tanh),
        "logistic": (lambda s: s * sigmoid(bias - s**2 / 2), lambda s: s * sigmoid(s**2 / 2 - bias)),
    }[setting.link]


def h(x: Array | float) -> Array:
    """Slope of the regulariser H(x) = log cosh(x - 1)."""
    return np.tanh(np.asarray(x) - 1)


def draw_latents(setting: Setting, variance: tuple[float, ...], rng: np.random.Generator, *lead: int) -> Array:
    shape = (*lead, len(variance))
    unit = rng.choice((-1.0, 1.0), shape) if setting.latent == "rademacher" else rng.standard_normal(shape)
    return np.sqrt(variance) * unit


# The limiting ODE [3]. An average is (A, B, F2, Fs) = (E[f c], sqrt(noise / z) E[f e], E[f^2], E[f s])
# with s = c^T overlap + sqrt(noise z) e, for the real sample (overlap = q) or the fake (overlap = r).


def averages(setting: Setting, link: Link, variance: tuple, noise: float, overlap: Array, z: float) -> tuple:
    nodes, weights = np.polynomial.hermite_e.hermegauss(81)
    weights = weights / weights.sum()
    Lam = np.array(variance)
    if setting.latent == "gaussian":
        sigma2 = overlap @ (Lam * overlap) + noise * z
        s = np.sqrt(sigma2) * nodes
        F2, Fs = weights @ link(s) ** 2, weights @ (link(s) * s)
        k = Fs / sigma2 if sigma2 > 0 else 0.0  # at sigma2 = 0 it multiplies zeros only
        return k * Lam * overlap, k * noise, F2, Fs
    atoms = np.sqrt(Lam) * np.array(list(itertools.product((-1.0, 1.0), repeat=len(Lam))))
    s = (atoms @ overlap)[:, None] + np.sqrt(noise * z) * nodes  # [atoms, nodes]
    f = link(s)
    A = np.mean((f @ weights)[:, None] * atoms, axis=0)
    B = np.sqrt(noise / z) * np.mean((f * nodes) @ weights)
    return A, B, np.mean(f**2 @ weights), np.mean((f * s) @ weights)


def assemble_drift(setting: Setting, state: State, real: tuple, fake: tuple) -> State:
    """The right-hand side of the ODE, given the averages over the real sample and over the fake."""
    P, q, r, S, z = state.P, state.q, state.r, state.S, state.z
    tau, tau_g, lam, eta_T, eta_G = setting.constants
    (A, B, F2, Fs), (A_g, B_g, F2_g, Fs_g) = real, fake
    noise_power = eta_T * F2 + eta_G * F2_g
    if setting.hard:
        m_w = (Fs - Fs_g + tau / 2 * noise_power) / z
        D = np.diag(r * A_g / np.diag(S))
    else:
        m_w = lam * h(z)
        D = np.diag(lam * h(np.diag(S)))
    kappa = B - B_g - m_w
    return State(
        P=tau_g * (np.outer(q, A_g) - P @ D),
        q=tau * (A - P @ A_g + kappa * q),
        r=tau * (P.T @ A - S @ A_g + kappa * r) + tau_g * (z * A_g - D @ r),
        S=tau_g * (np.outer(r, A_g) + np.outer(A_g, r) - S @ D - D @ S),
        z=2 * tau * (Fs - Fs_g - m_w * z) + tau**2 * noise_power,
    )


def drift(setting: Setting, state: State) -> State:
    """dP/dt, dq/dt, ... with the averages by 81-point Gauss-Hermite quadrature."""
    f, f_fake = links(setting)
    real = averages(setting, f, setting.feature_variance, setting.data_noise, state.q, state.z)
    fake = averages(setting, f_fake, setting.latent_variance, setting.generator_noise, state.r, state.z)
    return assemble_drift(setting, state, real, fake)


def drift_by_monte_carlo(setting: Setting, state: State, samples: int, rng: np.random.Generator) -> State:
    """The same drift with every average replaced by a sample mean."""

    def sampled(link: Link, variance: tuple, noise: float, overlap: Array) -> tuple:
        c, e = draw_latents(setting, variance, rng, samples), rng.standard_normal(samples)
        s = c @ overlap + np.sqrt(noise * state.z) * e
        f = link(s)
        return f @ c / samples, np.sqrt(noise / state.z) * np.mean(f * e), np.mean(f**2), np.mean(f * s)

    f, f_fake = links(setting)
    real = sampled(f, setting.feature_variance, setting.data_noise, state.q)
    fake = sampled(f_fake, setting.latent_variance, setting.generator_noise, state.r)
    return assemble_drift(setting, state, real, fake)


def start_weights(state: State, n: int, rng: np.random.Generator) -> tuple[Array, Array, Array]:
    """Weights (U, V, w) whose overlaps are exactly `state`: [U V w] = Q L^T with K = L L^T [1]."""
    K = gram(state)
    L = np.linalg.cholesky(K + 1e-15 * np.eye(len(K)))
    Q, _ = np.linalg.qr(rng.standard_normal((n, len(K))))
    features = len(state.q)
    U, V, w = np.split(Q @ L.T, [features, len(K) - 1], axis=1)
    return U, V, w[:, 0]


def sgd(
    setting: Setting, U: Array, V: Array, w: Array, steps: int, rng: np.random.Generator, alternating: bool = False
) -> tuple[Array, Array]:
    """Online SGD [1] of one replica, (V, w) after `steps` steps; `alternating`: the generator sees the raw w'."""
    f, f_fake = links(setting)
    n = len(w)
    tau, tau_g, lam, eta_T, eta_G = setting.constants
    for _ in range(steps):
        y = U @ draw_latents(setting, setting.feature_variance, rng) + np.sqrt(eta_T) * rng.standard_normal(n)
        fake1 = V @ draw_latents(setting, setting.latent_variance, rng) + np.sqrt(eta_G) * rng.standard_normal(n)
        c2 = draw_latents(setting, setting.latent_variance, rng)
        fake2 = V @ c2 + np.sqrt(eta_G) * rng.standard_normal(n)

        ascent = f(y @ w) * y - f_fake(fake1 @ w) * fake1
        if not setting.hard:
            ascent -= lam * h(w @ w) * w
        w_new = w + tau / n * ascent
        w_seen = w_new if alternating else w
        descent = f_fake(fake2 @ w_seen) * np.outer(w_seen, c2)
        if not setting.hard:
            descent -= lam * V * h(np.sum(V**2, axis=0))
        V_new = V + tau_g / n * descent
        if setting.hard:
            w_new = w_new / np.linalg.norm(w_new)
            V_new = V_new / np.linalg.norm(V_new, axis=0)
        V, w = V_new, w_new
    return V, w


def sgd_batch(
    setting: Setting, U: Array, V: Array, w: Array, steps: int, rng: np.random.Generator, alternating: bool = False
) -> tuple[Array, Array]:
    """`sgd` for V [replicas, n, dG] and w [replicas, n], with U [n, dT] shared or batched."""
    f, f_fake = links(setting)
    replicas, n = w.shape
    tau, tau_g, lam, eta_T, eta_G = setting.constants
    sample = lambda weights, c, eta: (weights @ c[..., None])[..., 0] + np.sqrt(eta) * rng.standard_normal(w.shape)
    dot = lambda a, b: np.sum(a * b, axis=1, keepdims=True)
    for _ in range(steps):
        y = sample(U, draw_latents(setting, setting.feature_variance, rng, replicas), eta_T)
        fake1 = sample(V, draw_latents(setting, setting.latent_variance, rng, replicas), eta_G)
        c2 = draw_latents(setting, setting.latent_variance, rng, replicas)
        fake2 = sample(V, c2, eta_G)

        decay_w = 0.0 if setting.hard else lam * h(dot(w, w)) * w
        decay_V = 0.0 if setting.hard else lam * h(np.sum(V**2, axis=1, keepdims=True)) * V
        w_new = w + tau / n * (f(dot(y, w)) * y - f_fake(dot(fake1, w)) * fake1 - decay_w)
        w_seen = w_new if alternating else w
        b = f_fake(dot(fake2, w_seen)) * c2
        V_new = V + tau_g / n * (w_seen[:, :, None] * b[:, None, :] - decay_V)
        if setting.hard:
            w_new = w_new / np.linalg.norm(w_new, axis=1, keepdims=True)
            V_new = V_new / np.linalg.norm(V_new, axis=1, keepdims=True)
        V, w = V_new, w_new
    return V, w


def chain_step_single(
    setting: Setting, state: State, n: int, rng: np.random.Generator, alternating: bool = False
) -> State:
    """One step of the exact reduced chain [5.1]; the numbered comments are the steps of the specification."""
    P, q, r, S, z = state.P, state.q, state.r, state.S, state.z
    f, f_fake = links(setting)
    tau, tau_g, lam, eta_T, eta_G = setting.constants
    features, K = len(q), gram(state)
    m = len(K)
    values, vectors = np.linalg.eigh(K)
    root = vectors * np.sqrt(np.maximum(values, 0)) @ vectors.T
    kept = values > 1e-13 * m
    inverse = vectors[:, kept] / values[kept] @ vectors[:, kept].T

    # 1.
    c = draw_latents(setting, setting.feature_variance, rng)
    c1, c2 = (draw_latents(setting, setting.latent_variance, rng) for _ in range(2))
    pi, pi1 = root @ rng.standard_normal(m), root @ rng.standard_normal(m)
    e2 = rng.standard_normal()
    chi2 = 2 * rng.standard_gamma((n - kept.sum()) / 2)  # a chi-square, also with 0 degrees of freedom (n = m)
    # 2. and 3.
    phi = f(c @ q + np.sqrt(eta_T) * pi[-1])
    phi1 = f_fake(c1 @ r + np.sqrt(eta_G) * pi1[-1])
    gamma = np.sqrt(eta_T) * phi * pi - np.sqrt(eta_G) * phi1 * pi1
    zeta = (eta_T * phi**2 + eta_G * phi1**2) * chi2
    # 4. and 5.
    alpha = np.concatenate([phi * c, -phi1 * c1, [0.0 if setting.hard else -lam * h(z)]])
    beta = K @ alpha + gamma
    length2 = alpha @ K @ alpha + 2 * alpha @ gamma + gamma @ inverse @ gamma + zeta
    q_new = q + tau / n * beta[:features]
    z_new = z + 2 * tau / n * beta[-1] + (tau / n) ** 2 * length2
    y_r = r + tau / n * beta[features:-1]
    y_z = z + tau / n * beta[-1]
    # 6. The generator sees w, or w' when alternating: then w^T w' is w'^T w' as well.
    seen_q, seen_r, seen_z, cross = (q_new, y_r, z_new, z_new) if alternating else (q, r, z, y_z)
    b = f_fake(c2 @ seen_r + np.sqrt(eta_G * seen_z) * e2) * c2
    G = np.eye(len(r)) if setting.hard else np.eye(len(r)) - tau_g * lam / n * np.diag(h(np.diag(S)))
    P_new = P @ G + tau_g / n * np.outer(seen_q, b)
    S_new = G @ S @ G + tau_g / n * (np.outer(G @ seen_r, b) + np.outer(b, G @ seen_r))
    S_new = S_new + (tau_g / n) ** 2 * seen_z * np.outer(b, b)
    r_new = G @ y_r + tau_g / n * cross * b
    if not setting.hard:
        return State(P_new, q_new, r_new, S_new, z_new)
    # 7.
    N = np.diag(np.diag(S_new) ** -0.5)
    return State(P_new @ N, q_new / np.sqrt(z_new), N @ r_new / np.sqrt(z_new), N @ S_new @ N, 1.0)


def chain_step(setting: Setting, states: State, n: int, rng: np.random.Generator, alternating: bool = False) -> State:
    """`chain_step_single` for states with a leading replica axis."""
    P, q, r, S, z = states.P, states.q, states.r, states.S, states.z
    f, f_fake = links(setting)
    tau, tau_g, lam, eta_T, eta_G = setting.constants
    (replicas, features), K = q.shape, gram(states)
    m = K.shape[-1]
    values, vectors = np.linalg.eigh(K)
    root = np.einsum("aik,ak,ajk->aij", vectors, np.sqrt(np.maximum(values, 0)), vectors)
    kept = values > 1e-13 * m
    inverse = np.einsum("aik,ak,ajk->aij", vectors, kept / np.where(kept, values, 1), vectors)
    apply = lambda matrix, vector: np.einsum("aij,aj->ai", matrix, vector)
    dot = lambda x, y: np.einsum("ai,ai->a", x, y)
    outer = lambda x, y: np.einsum("ai,aj->aij", x, y)

    c = draw_latents(setting, setting.feature_variance, rng, replicas)
    c1, c2 = (draw_latents(setting, setting.latent_variance, rng, replicas) for _ in range(2))
    pi, pi1 = (apply(root, rng.standard_normal((replicas, m))) for _ in range(2))
    e2 = rng.standard_normal(replicas)
    chi2 = 2 * rng.standard_gamma((n - kept.sum(axis=1)) / 2)
    phi = f(dot(c, q) + np.sqrt(eta_T) * pi[:, -1])
    phi1 = f_fake(dot(c1, r) + np.sqrt(eta_G) * pi1[:, -1])
    gamma = np.sqrt(eta_T) * phi[:, None] * pi - np.sqrt(eta_G) * phi1[:, None] * pi1
    zeta = (eta_T * phi**2 + eta_G * phi1**2) * chi2
    last = np.zeros(replicas) if setting.hard else -lam * h(z)
    alpha = np.concatenate([phi[:, None] * c, -phi1[:, None] * c1, last[:, None]], axis=1)
    beta = apply(K, alpha) + gamma
    length2 = dot(alpha, apply(K, alpha)) + 2 * dot(alpha, gamma) + dot(gamma, apply(inverse, gamma)) + zeta
    q_new = q + tau / n * beta[:, :features]
    z_new = z + 2 * tau / n * beta[:, -1] + (tau / n) ** 2 * length2
    y_r = r + tau / n * beta[:, features:-1]
    y_z = z + tau / n * beta[:, -1]
    seen_q, seen_r, seen_z, cross = (q_new, y_r, z_new, z_new) if alternating else (q, r, z, y_z)
    b = f_fake(dot(c2, seen_r) + np.sqrt(eta_G * seen_z) * e2)[:, None] * c2
    G = np.ones_like(r) if setting.hard else 1 - tau_g * lam / n * h(np.einsum("ajj->aj", S))  # the diagonal
    P_new = P * G[:, None, :] + tau_g / n * outer(seen_q, b)
    S_new = outer(G, G) * S + tau_g / n * (outer(G * seen_r, b) + outer(b, G * seen_r))
    S_new = S_new + (tau_g / n) ** 2 * seen_z[:, None, None] * outer(b, b)
    r_new = G * y_r + tau_g / n * cross[:, None] * b
    if not setting.hard:
        return State(P_new, q_new, r_new, S_new, z_new)
    N, w_norm = np.einsum("ajj->aj", S_new) ** -0.5, np.sqrt(z_new)[:, None]
    return State(P_new * N[:, None, :], q_new / w_norm, N * r_new / w_norm, outer(N, N) * S_new, np.ones(replicas))


def increment_covariance(setting: Setting, state: State) -> Array:
    """Sigma of the linear-noise approximation [5.2], packed; closed form for the quadratic link, Gaussian latents."""
    if (setting.link, setting.latent) != ("quadratic", "gaussian"):
        raise ValueError(f"no closed form for link={setting.link!r}, latent={setting.latent!r}; sample it instead")
    P, q, r, S, z = state.P, state.q, state.r, state.S, state.z
    tau, tau_g, _, eta_T, eta_G = setting.constants
    Lam, Lam_g = np.diag(setting.feature_variance), np.diag(setting.latent_variance)
    (features, columns), K = P.shape, gram(state)
    m = len(K)
    BU, BV = K[:, :features], K[:, features:-1]
    Cy, Cfake = BU @ Lam @ BU.T + eta_T * K, BV @ Lam_g @ BV.T + eta_G * K
    product = lambda C: C[-1, -1] * C + np.outer(C[:, -1], C[-1, :])  # Cov(s y_i, s y_j), y on [U V w]
    cov_b = (r @ Lam_g @ r + eta_G * z) * Lam_g + np.outer(Lam_g @ r, Lam_g @ r)

    def response(real: Array, fake: Array, b: Array) -> Array:
        """The packed increment, linear in s y, s~ y~ (on U, V, w; the last entries are s^2, s~^2) and b."""
        phi_P = tau_g * np.outer(q, b)
        phi_q = tau * (real - fake)[:features]
        phi_r = tau * (real - fake)[features:-1] + tau_g * z * b
        phi_S = tau_g * (np.outer(r, b) + np.outer(b, r))
        phi_z = 2 * tau * (real - fake)[-1] + tau**2 * (eta_T * real[-1] + eta_G * fake[-1])
        if not setting.hard:
            return pack(State(phi_P, phi_q, phi_r, phi_S, phi_z))
        length = np.diag(phi_S)
        return pack(
            State(
                P=phi_P - P * length / 2,
                q=phi_q - q * phi_z / 2,
                r=phi_r - r * (phi_z + length) / 2,
                S=phi_S - S * (length[:, None] + length) / 2,
                z=0.0,
            )
        )

    no_y, no_b = np.zeros(m), np.zeros(columns)
    by_real = np.transpose([response(unit, no_y, no_b) for unit in np.eye(m)])
    by_fake = np.transpose([response(no_y, unit, no_b) for unit in np.eye(m)])
    by_step = np.transpose([response(no_y, no_y, unit) for unit in np.eye(columns)])
    return by_real @ product(Cy) @ by_real.T + by_fake @ product(Cfake) @ by_fake.T + by_step @ cov_b @ by_step.T


def increment_covariance_by_sampling(
    setting: Setting, state: State, samples: int, rng: np.random.Generator, n: int = 10**7
) -> Array:
    """Sigma for any link and latents: the covariance of n x (one chain step), up to O(1/n)."""
    start = pack(state)
    states = unpack(np.tile(start, (samples, 1)), *state.P.shape)
    return np.cov(n * (pack(chain_step(setting, states, n, rng)) - start), rowvar=False)
