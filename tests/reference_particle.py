"""The particle model of GAN training, transcribed naively: float64 NumPy, loops where they read better.

Everything is a function of explicit arrays (initial weights, minibatches, kernel), so that another implementation can
be confronted with it step by step. It does not import `ganscope`. Derivatives are written by hand: `pull_back` is the
one reverse pass, and it runs through a forward tangent, which is what the gradient of a gradient penalty needs.

A network is a list of layers (W [out, in], b [out]) with entries of order one (NTK parametrisation):

    h^1 = sqrt(sw2 / fan_in) W^1 x + sqrt(sb2) b^1,  h^{l+1} = sqrt(sw2 / width) W^{l+1} phi(h^l) + sqrt(sb2) b^{l+1}.

The discriminator is high on real data: it ascends mean f(D(real)) + mean f(-D(particles)) - penalty, with f(t) = t
(wgan) or f(t) = -log(1 + exp(-t)) (gan), and the particles move up f(D).
"""

import itertools
from dataclasses import dataclass

import numpy as np
from scipy.special import erf

ROOT_PI = np.sqrt(np.pi)

# phi, phi', phi''. The kink of relu counts as flat, as in the usual software.
ACTIVATIONS = {
    "linear": (lambda h: h, np.ones_like, np.zeros_like),
    "relu": (lambda h: np.maximum(h, 0.0), lambda h: (h > 0) * 1.0, np.zeros_like),
    "tanh": (np.tanh, lambda h: 1 - np.tanh(h) ** 2, lambda h: -2 * np.tanh(h) * (1 - np.tanh(h) ** 2)),
    "sin": (np.sin, np.cos, lambda h: -np.sin(h)),
    "softplus": (
        lambda h: np.logaddexp(0.0, h),
        lambda h: 1 / (1 + np.exp(-h)),
        lambda h: 1 / (2 + np.exp(-h) + np.exp(h)),
    ),
    "erf": (erf, lambda h: 2 / ROOT_PI * np.exp(-(h**2)), lambda h: -4 / ROOT_PI * h * np.exp(-(h**2))),
}


# ---------------------------------------------------------------------------------------------- networks


@dataclass(frozen=True)
class Network:
    """What is not trained. `fan_in` divides sw2 in the first layer (None: the input dimension)."""

    activation: str
    weight_variance: float
    bias_variance: float
    fan_in: float | None = None

    def scales(self, layers):
        """sqrt(sw2 / fan_in) of every layer."""
        inputs = [W.shape[1] for W, _ in layers]
        if self.fan_in is not None:
            inputs[0] = self.fan_in
        return [np.sqrt(self.weight_variance / n) for n in inputs]


def draw_layers(rng, sizes):
    """Standard normal weights and biases for sizes = (input, width, ..., output)."""
    return [(rng.standard_normal((m, n)), rng.standard_normal(m)) for n, m in itertools.pairwise(sizes)]


def forward(network, layers, x, tangent=None):
    """Outputs [P, out]; their derivatives along the input directions `tangent` [P, in]; and what `pull_back` needs."""
    phi, slope, _ = ACTIVATIONS[network.activation]
    a = np.asarray(x, dtype=float)
    ta = np.zeros_like(a) if tangent is None else np.asarray(tangent, dtype=float)
    record = []
    for depth, ((W, b), scale) in enumerate(zip(layers, network.scales(layers), strict=True)):
        h = scale * a @ W.T + np.sqrt(network.bias_variance) * b
        th = scale * ta @ W.T
        record.append((a, ta, h, th))
        if depth < len(layers) - 1:
            a, ta = phi(h), slope(h) * th
    return h, th, record


def pull_back(network, layers, x, on_value, on_slope=None):
    """Gradient of sum_p on_value_p . net(x_p) + on_slope_p . grad net(x_p) with respect to weights, and inputs.

    on_value is [P, out]; on_slope [P, in] is an input direction and needs a single output. The returned input gradient
    leaves the directions fixed.
    """
    _, slope, curvature = ACTIVATIONS[network.activation]
    _, _, record = forward(network, layers, x, on_slope)
    H = np.asarray(on_value, dtype=float)
    TH = np.zeros_like(H) if on_slope is None else np.ones((len(H), 1))
    gradient = []
    scales = network.scales(layers)
    for depth in reversed(range(len(layers))):
        W, _ = layers[depth]
        a, ta, _, _ = record[depth]
        gradient.append((scales[depth] * (H.T @ a + TH.T @ ta), np.sqrt(network.bias_variance) * H.sum(axis=0)))
        A, TA = scales[depth] * H @ W, scales[depth] * TH @ W
        if depth > 0:
            h, th = record[depth - 1][2:]
            H, TH = slope(h) * A + curvature(h) * th * TA, slope(h) * TA
    return gradient[::-1], A


# ---------------------------------------------------------------------------------------------- discriminators


@dataclass
class MLPDiscriminator:
    """A single-output network; `centred` subtracts the network it started as. Weight decay pulls towards `anchor`."""

    network: Network
    layers: list
    start: list
    centred: bool = True
    anchor: list | None = None  # None: the origin of weight space

    def value(self, x):
        out = forward(self.network, self.layers, x)[0][:, 0]
        return out - forward(self.network, self.start, x)[0][:, 0] if self.centred else out

    def grad(self, x):
        ones = np.ones((len(x), 1))
        out = pull_back(self.network, self.layers, x, ones)[1]
        return out - pull_back(self.network, self.start, x, ones)[1] if self.centred else out

    def parameters(self):
        return np.concatenate([p.ravel() for layer in self.layers for p in layer])

    def pulled(self, x, on_value, on_slope):
        """Parameter gradient of sum on_value D(x) + on_slope . grad D(x)."""
        pairs, _ = pull_back(self.network, self.layers, x, np.asarray(on_value)[:, None], on_slope)
        return np.concatenate([p.ravel() for pair in pairs for p in pair])

    def decay(self):
        origin = 0.0 if self.anchor is None else np.concatenate([p.ravel() for layer in self.anchor for p in layer])
        return self.parameters() - origin

    def moved(self, step):
        layers, used = [], 0
        for W, b in self.layers:
            new_W = W + step[used : used + W.size].reshape(W.shape)
            used += W.size
            layers.append((new_W, b + step[used : used + b.size]))
            used += b.size
        return MLPDiscriminator(self.network, layers, self.start, self.centred, self.anchor)


@dataclass
class FeatureDiscriminator:
    """D(x) = w . phi(x), phi_j(x) = sqrt(2/F) cos(Omega_j . x + b_j); its kernel is phi(x) . phi(y)."""

    frequencies: np.ndarray  # [F, d]
    phases: np.ndarray  # [F]
    weights: np.ndarray  # [F]

    def features(self, x):
        return np.sqrt(2 / len(self.phases)) * np.cos(x @ self.frequencies.T + self.phases)

    def feature_slopes(self, x):
        """[P, F, d]."""
        angle = x @ self.frequencies.T + self.phases
        return -np.sqrt(2 / len(self.phases)) * np.sin(angle)[:, :, None] * self.frequencies[None]

    def value(self, x):
        return self.features(x) @ self.weights

    def grad(self, x):
        return np.einsum("pfd,f->pd", self.feature_slopes(x), self.weights)

    def parameters(self):
        return self.weights

    def pulled(self, x, on_value, on_slope):
        out = np.asarray(on_value) @ self.features(x)
        return out if on_slope is None else out + np.einsum("pfd,pd->f", self.feature_slopes(x), on_slope)

    def decay(self):
        return self.weights

    def moved(self, step):
        return FeatureDiscriminator(self.frequencies, self.phases, self.weights + step)


# ---------------------------------------------------------------------------------------------- the objective


def f(t, loss):
    return t if loss == "wgan" else -np.logaddexp(0.0, -t)


def f_slope(t, loss):
    return np.ones_like(t) if loss == "wgan" else 1 / (1 + np.exp(t))


def penalty_measure(penalty, real, particles, extra=None):
    """Points [P, d] and weights [P] over which the penalty is averaged.

    `extra`: for "uniform" the points themselves, for "gp1" the mixing fractions [n] of interpolates between real
    points (fraction 1) and particles (fraction 0), both in order and from the beginning again where they run out.
    """
    if penalty == "none":
        return real[:0], np.zeros(0)
    if penalty == "r1":
        points, weights = real, np.full(len(real), 1 / len(real))
    elif penalty == "r2":
        points, weights = particles, np.full(len(particles), 1 / len(particles))
    elif penalty == "r12":
        points = np.concatenate([real, particles])
        weights = np.concatenate([np.full(len(p), 0.5 / len(p)) for p in (real, particles)])
    elif penalty == "uniform":
        points, weights = extra, np.full(len(extra), 1 / len(extra))
    elif penalty == "gp1":
        u, k = np.asarray(extra)[:, None], np.arange(len(extra))
        points = u * real[k % len(real)] + (1 - u) * particles[k % len(particles)]
        weights = np.full(len(u), 1 / len(u))
    else:
        raise ValueError(penalty)
    return points, weights


def objective(discriminator, real, particles, points, weights, *, loss="wgan", gamma=0.0, decay=0.0, target_slope=0.0):
    """What the discriminator ascends. `target_slope` is 1 for gp1 and 0 for every zero-centred penalty."""
    gain = np.mean(f(discriminator.value(real), loss)) + np.mean(f(-discriminator.value(particles), loss))
    length = np.linalg.norm(discriminator.grad(points), axis=1)
    penalty = 0.5 * gamma * np.sum(weights * (length - target_slope) ** 2)
    return gain - penalty - 0.5 * decay * np.sum(discriminator.decay() ** 2)


def objective_gradient(
    discriminator, real, particles, points, weights, *, loss="wgan", gamma=0.0, decay=0.0, target_slope=0.0
):
    """Its gradient in the parameters, as one flat array (layer by layer, weights before biases)."""
    on_real = f_slope(discriminator.value(real), loss) / len(real)
    on_particles = -f_slope(-discriminator.value(particles), loss) / len(particles)
    out = discriminator.pulled(real, on_real, None) + discriminator.pulled(particles, on_particles, None)
    if len(points):
        slopes = discriminator.grad(points)
        length = np.linalg.norm(slopes, axis=1)
        # derivative of (length - target)^2 / 2 along the slope; zero-centred: the slope itself
        pull = 1 - target_slope / np.where(length > 0, length, np.inf)
        out = out - discriminator.pulled(points, np.zeros(len(points)), gamma * (weights * pull)[:, None] * slopes)
    return out - decay * discriminator.decay()


def drive(discriminator, x, loss):
    """g_i, the slope of f(D) at the particles."""
    return f_slope(discriminator.value(x), loss)[:, None] * discriminator.grad(x)


# ---------------------------------------------------------------------------------------------- particles


def two_number_move(g, relative_step, coupling):
    """Displacements relative_step (g - gbar) + coupling relative_step gbar."""
    mean = g.mean(axis=0)
    return relative_step * (g - mean) + coupling * relative_step * mean


def kernel_move(g, kernel, generator_lr):
    """Displacements (generator_lr / N) sum_j Gamma_ij g_j, Gamma [N, N, d, d], one pair at a time."""
    out = np.zeros_like(g)
    for i in range(len(g)):
        for j in range(len(g)):
            out[i] += kernel[i, j] @ g[j]
    return generator_lr / len(g) * out


def two_number_kernel(same, cross, particles, dimension):
    """Gamma [N, N, d, d] of a kernel with two values."""
    scalar = np.full((particles, particles), float(cross))
    np.fill_diagonal(scalar, same)
    return scalar[:, :, None, None] * np.eye(dimension)


def train_step(
    discriminator, x, real, move, *, discriminator_lr, penalty="r1", extra=None, rule="alternating", **terms
):
    """One iteration: len(real) discriminator steps (real is [n_D, n, d]), then the particles.

    `move` maps drives [N, d] to displacements; `extra` is a list, one entry per discriminator step; `terms` are loss,
    gamma and decay. Under "simultaneous" the particles see the discriminator from before its
    steps; "alternating" moves the discriminator first, "generator_first" the particles.
    """
    loss = terms.get("loss", "wgan")
    before, fixed = discriminator, x
    if rule == "generator_first":
        x = x + move(drive(discriminator, x, loss))
    seen = x
    for inner, batch in enumerate(real):
        points, weights = penalty_measure(penalty, batch, seen, None if extra is None else extra[inner])
        gradient = objective_gradient(
            discriminator, batch, seen, points, weights, target_slope=1.0 if penalty == "gp1" else 0.0, **terms
        )
        discriminator = discriminator.moved(discriminator_lr * gradient)
    if rule == "alternating":
        x = fixed + move(drive(discriminator, fixed, loss))
    if rule == "simultaneous":
        x = fixed + move(drive(before, fixed, loss))
    return discriminator, x


def train(discriminator, x, real, move, *, extra=None, **options):
    """Positions [steps + 1, N, d] for real [steps, n_D, n, d]; and the last discriminator."""
    record = [x]
    for step, batches in enumerate(real):
        discriminator, x = train_step(
            discriminator, x, batches, move, extra=None if extra is None else extra[step], **options
        )
        record.append(x)
    return np.array(record), discriminator


# ---------------------------------------------------------------------------------------------- real generators


def jacobians(network, layers, latents):
    """d output / d parameters, [N, out, parameters], one latent and one output at a time."""
    outputs = layers[-1][0].shape[0]
    rows = []
    for z in latents:
        row = []
        for component in range(outputs):
            pairs, _ = pull_back(network, layers, z[None], np.eye(outputs)[component][None])
            row.append(np.concatenate([p.ravel() for pair in pairs for p in pair]))
        rows.append(row)
    return np.array(rows)


def generator_kernel(network, layers, latents):
    """Gamma_ij = J_i J_j^T, [N, N, out, out]."""
    J = jacobians(network, layers, latents)
    return np.einsum("iap,jbp->ijab", J, J)


def generator_step(network, layers, latents, g, generator_lr):
    """Gradient ascent of mean f(D(G(z))) in the generator's parameters, for given drives g [N, out] at its outputs."""
    gradient, _ = pull_back(network, layers, latents, g / len(latents))
    return [(W + generator_lr * gW, b + generator_lr * gb) for (W, b), (gW, gb) in zip(layers, gradient, strict=True)]


# ---------------------------------------------------------------------------------------------- order parameters


def occupancy(x, modes, capture_radius):
    """Fraction of all particles whose nearest mode is m, within the radius."""
    counts = np.zeros(len(modes))
    for point in x:
        distance = np.linalg.norm(modes - point, axis=1)
        nearest = int(np.argmin(distance))
        if distance[nearest] <= capture_radius:
            counts[nearest] += 1
    return counts / len(x)


def soft_coverage(x, modes, separation):
    """exp(entropy of mean responsibilities) / M, responsibilities of width separation / 4."""
    shares = np.zeros(len(modes))
    for point in x:
        score = -np.sum((modes - point) ** 2, axis=1) / (2 * (separation / 4) ** 2)
        weight = np.exp(score - score.max())
        shares += weight / weight.sum() / len(x)
    shares = shares[shares > 0]
    return float(np.exp(-np.sum(shares * np.log(shares))) / len(modes))


def summary(x, modes, capture_radius, separation, target_variance):
    """Coverage, entropy, kl, soft coverage, spread and quality of one cloud."""
    o = occupancy(x, modes, capture_radius)
    p = o[o > 0] / max(o.sum(), 1e-300)
    entropy = -np.sum(p * np.log(p)) / np.log(len(modes)) if len(p) else 0.0
    return dict(
        occupancy=o,
        coverage=float(np.mean(o >= 0.25 / len(modes))),
        entropy=float(entropy),
        kl=float((1 - entropy) * np.log(len(modes))),
        soft_coverage=soft_coverage(x, modes, separation),
        spread=float(np.sum(np.var(x, axis=0)) / target_variance),
        quality=float(o.sum()),
    )


def wander(centres, scale):
    """Sum over axes of the time deviation of the centre of mass [T, d], in units of `scale`."""
    return float(np.sum(np.std(centres, axis=0)) / scale)
