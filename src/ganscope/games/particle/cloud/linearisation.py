r"""Linear theory of particles that sit on their targets, beside a discriminator that has nothing left to say.

With displacements xi of the particles and the discriminator's slopes G at their places,

    d xi/dt = (generator_lr / N) Gamma G
    d G/dt  = -(discriminator_lr / N) H (xi + gradient_penalty G) - discriminator_lr regularization G,

where H_ij = d_x d_y^T K(y_i, y_j) is made of the kernel K of the discriminator. The penalties r1, r2 and r12 are the
same here; "gp1" wants slopes of 1 and damps nothing at rest; "uniform" takes slopes all over the box of the target, so
that slopes there join the state. With the logistic loss both pushes are halved, and the discriminator's values at the
particles join the state too, since they pull it back.

Eigenvalues do not need H and Gamma to commute. In place of slopes and values the state holds their coordinates in the
range of their Gram matrix: what the discriminator cannot do is left out. Where the discriminator has more to its
state than slopes at the particles, the eigenvalues reported are those of the modes that move particles.

References:
    Durr, Mroueh, Tu, Wang. Effective dynamics of generative adversarial networks. Phys. Rev. X 13, 041004 (2023).
    Mescheder, Geiger, Nowozin. Which training methods for GANs do actually converge? ICML 2018.
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import scipy.linalg
from scipy.stats import qmc

from ganscope.analysis.spectrum import spectrum_from_values
from ganscope.core.checks import integer, number, one_of, real_array
from ganscope.core.errors import NotApplicable, ParameterError, unknown_name
from ganscope.core.outcome import Spectrum
from ganscope.games.particle.cloud import levels
from ganscope.games.particle.cloud.slope_gram import range_factor, slope_gram

if TYPE_CHECKING:
    from ganscope.games.particle.cloud.model import ParticleGAN

Array = npt.NDArray[np.float64]

# Largest state whose spectrum is computed, and most real points that stand in for particles when no place is given.
LARGEST, _MOST_PLACES = 2000, 500
# Nodes per axis, in one to three dimensions, where the "uniform" penalty is taken; in more, this many points.
_NODES, _POINTS = {1: 24, 2: 10, 3: 5}, 256


@dataclass(frozen=True)
class Linearisation:
    """A linearised game: xi moves by `push` c, and c by -`source` xi - `friction` c in every discriminator step.

    Attributes:
        push: Shape `[n, r]`, per iteration.
        source, friction: Shapes `[r, n]` and `[r, r]`, per step of the discriminator.
        discriminator_steps: Steps of the discriminator per iteration.
        stiffness: Answer of the slopes at the particles to their displacements for the loss "wgan", `[n, n]`, per step.
        directions: Slopes at the particles in terms of c, `[n, r]`.
        places: Where the particles sit, `[P, d]`.
    """

    push: Array
    source: Array
    friction: Array
    discriminator_steps: int
    stiffness: Array
    directions: Array
    places: Array

    def matrix(self, rule: str | None) -> Array:
        """Jacobian of the flow per iteration (rule None), or of the map of one iteration."""
        n, r = self.push.shape
        step = np.block([[np.zeros((n, n)), np.zeros((n, r))], [-self.source, -self.friction]])
        push = np.block([[np.zeros((n, n)), self.push], [np.zeros((r, n + r))]])
        if rule is None:
            return np.asarray(push + self.discriminator_steps * step)
        one = np.eye(n + r)
        if rule == "simultaneous":
            return np.asarray(one + push + step)
        return np.asarray((one + push) @ np.linalg.matrix_power(one + step, self.discriminator_steps))

    def spectrum(self, rule: str | None) -> Spectrum:
        """Eigenvalues of the flow per iteration (rule None), or multipliers of a rule."""
        if rule is not None:
            levels.check_rule(one_of("rule", rule, levels.RULES), self.discriminator_steps)
        n, r = self.push.shape
        matrix = self.matrix(rule)
        values = np.linalg.eigvals(matrix) if r <= n else _of_particles(matrix, n)
        return spectrum_from_values(values, is_map=rule is not None)


def _of_particles(matrix: Array, n: int) -> npt.NDArray[np.complex128]:
    """The 2 n eigenvalues whose modes move the first n coordinates most.

    The rest, in which the discriminator forgets what hardly moves a particle, is left out. The share of a mode is
    that of the coordinates in the product of its left and right eigenvectors: about a half against little.
    """
    values, left, right = scipy.linalg.eig(matrix, left=True)
    product = left.conj() * right
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.nan_to_num(np.abs(product[:n].sum(axis=0) / product.sum(axis=0)), nan=np.inf)
    least = np.sort(share)[-2 * n] * (1 - 1e-6)
    result: npt.NDArray[np.complex128] = values[share >= least]
    return result


def matched_spectrum(
    coupling_matrix: npt.ArrayLike,
    hessian: npt.ArrayLike,
    generator_lr: float = 1.0,
    discriminator_lr: float = 1.0,
    gradient_penalty: float = 0.0,
    regularization: float = 0.0,
    rule: str | None = None,
    discriminator_steps: int = 1,
    particles: int | None = None,
) -> Spectrum:
    """Spectrum of N particles on their targets, from the generator's kernel and the discriminator's slope kernel.

    Args:
        coupling_matrix: Kernel Gamma of the generator, shape `[N, N]` or `[N d, N d]`, particle by particle.
        hessian: H, mixed second derivatives d_x d_y^T K(y_i, y_j) of the discriminator's kernel, `[N d, N d]`.
        generator_lr, discriminator_lr: Learning rates, > 0.
        gradient_penalty, regularization: Strengths, >= 0.
        rule: None for the flow, "alternating" or "simultaneous" for steps of size 1.
        discriminator_steps: Steps of the discriminator per iteration; in the flow, a factor of its speed.
        particles: N; None: the size of `coupling_matrix`.

    Returns:
        Eigenvalues per unit of time, or multipliers; 2 N d of them if `hessian` has full rank.

    Raises:
        ParameterError: If shapes do not fit or a number is out of range.

    References:
        Durr, Mroueh, Tu, Wang. Phys. Rev. X 13, 041004 (2023), for the particles and the penalty as friction.
    """
    gamma, h = real_array("coupling_matrix", coupling_matrix, ndim=2), real_array("hessian", hessian, ndim=2)
    n, size = len(h), len(gamma)
    if h.shape != (n, n) or n == 0:
        raise ParameterError("hessian", h.shape, "a square matrix")
    count = size if particles is None else integer("particles", particles, at_least=1)
    if gamma.shape != (size, size) or size not in (count, n) or n % count:
        raise ParameterError("coupling_matrix", gamma.shape, f"[N, N] or [N d, N d] for a hessian of shape {h.shape}")
    generator_lr = number("generator_lr", generator_lr, above=0)
    lr = number("discriminator_lr", discriminator_lr, above=0)
    penalty = number("gradient_penalty", gradient_penalty, at_least=0)
    decay = number("regularization", regularization, at_least=0)
    factor = range_factor(h)
    forgetting = decay * np.eye(factor.shape[1])
    return Linearisation(
        push=generator_lr / count * np.kron(gamma, np.eye(n // size)) @ factor,
        source=lr / count * factor.T,
        friction=lr * (penalty / count * factor.T @ factor + forgetting),
        discriminator_steps=integer("discriminator_steps", discriminator_steps, at_least=1),
        stiffness=lr / count * factor @ factor.T,
        directions=factor,
        places=np.empty((0, n // count)),
    ).spectrum(rule)


def linearise(game: "ParticleGAN", at: Any = None, seed: int = 0, width: float | None = None) -> Linearisation:
    """The game linearised where particles sit on their targets.

    Args:
        game: The game.
        at: Places of the targets, shape `[P, d]`, each with the same share of the particles; None for the real points,
            or the centres of the modes (whose width is then neglected).
        seed: Of the initial network.
        width: None for the network's own width; `math.inf` for an infinitely wide one.

    Raises:
        NotApplicable: If the discriminator has no finite slopes, or the state is too large.
        ParameterError: If an argument is out of its range.
    """
    places = _places(game, at)
    if width is not None and not (isinstance(width, float) and math.isinf(width) and width > 0):
        raise ParameterError("width", width, "None, the network's own, or infinity")
    seed = integer("seed", seed)
    if game.generator_kernel is not None:
        places = places[np.arange(game.particles) % len(places)]
    count, axes = places.shape
    n = count * axes
    nodes, shares = _penalised(game, places)
    if n + (count + len(nodes)) * (axes + 1) > LARGEST:
        raise NotApplicable(
            f"{count} places in {axes} dimensions are too many for a dense spectrum; give fewer in `at`"
        )
    sites = np.concatenate([places, nodes])
    rows = len(sites) * axes
    gram = slope_gram(game, sites, seed, width is not None)
    logistic = game.loss == "gan"
    if not logistic:
        gram = gram[:rows, :rows]
    factor = range_factor(gram)
    slopes = factor[:n]
    half = 0.5 if logistic else 1.0
    weights = np.concatenate([np.repeat(game.gradient_penalty * shares, axes), np.full(len(gram) - rows, 0.5 / count)])
    weights[rows + count :] = 0.0
    lr = game.discriminator_lr
    return Linearisation(
        push=half * _motion(game, count, axes) @ slopes,
        source=lr * half / count * slopes.T,
        friction=lr * (factor.T * weights @ factor + game.regularization * np.eye(factor.shape[1])),
        discriminator_steps=game.discriminator_steps,
        stiffness=lr / count * slopes @ slopes.T,
        directions=slopes,
        places=places,
    )


def _places(game: "ParticleGAN", at: Any) -> Array:
    if at is None:
        few = game.target.sources.size <= _MOST_PLACES
        return np.asarray(game.target.sources if few else game.target.centres, np.float64)
    places = real_array("at", at)
    if places.ndim == 1 and game.axes == 1:
        places = places[:, None]
    if places.ndim != 2 or places.shape[1] != game.axes or len(places) == 0:
        raise ParameterError("at", places.shape, f"places of the targets, shape (places, {game.axes})")
    return places


def _penalised(game: "ParticleGAN", places: Array) -> tuple[Array, Array]:
    """Further places where the penalty is taken, and its weights there and at the particles (those first)."""
    count, axes = places.shape
    none = np.empty((0, axes))
    if game.penalty in ("none", "gp1"):
        return none, np.zeros(count)
    if game.penalty != "uniform":
        return none, np.full(count, 1.0 / count)
    low, high = game.target.box
    if axes in _NODES:
        node, weight = np.polynomial.legendre.leggauss(_NODES[axes])
        unit = np.stack(np.meshgrid(*[(node + 1) / 2] * axes, indexing="ij"), axis=-1).reshape(-1, axes)
        share = weight / 2
        for _ in range(axes - 1):
            share = np.outer(share, weight / 2).ravel()
    else:
        unit, share = qmc.Sobol(axes, seed=0).random(_POINTS), np.full(_POINTS, 1.0 / _POINTS)
    nodes: Array = np.asarray(low + (high - low) * unit, np.float64)
    return nodes, np.concatenate([np.zeros(count), share])


def _motion(game: "ParticleGAN", count: int, axes: int) -> Array:
    """What moves the particles at `count` places per iteration, from their slopes: `[count axes, count axes]`."""
    kernel = game.generator_kernel
    if kernel is None:
        relative, mean = game.relative_mobility, game.mean_mobility
        motion = relative * np.eye(count) + (mean - relative) / count
        return np.asarray(np.kron(motion, np.eye(axes)), np.float64)
    speed = game.kernel_speed / game.particles
    if kernel.ndim == 2:
        return np.asarray(speed * np.kron(kernel, np.eye(axes)), np.float64)
    return speed * np.asarray(kernel.transpose(0, 2, 1, 3)).reshape(count * axes, count * axes)


def spectrum(game: "ParticleGAN", at: Any = None, rule: str | None = None, **options: Any) -> Spectrum:
    """Spectrum of a `ParticleGAN` where its particles sit on their targets and the discriminator is flat.

    Particles that share a place move against each other unseen; of their motion only the mean is counted.

    Args:
        game: The game.
        at: Places of the targets, shape `[P, d]`, each with the same share of the particles; None for the real points,
            or the centres of the modes, whose width is then neglected.
        rule: None for the flow (a discriminator that takes several steps is faster by that factor), or "alternating" or
            "simultaneous".
        options: `seed` of the initial network; `width=math.inf` for an infinitely wide one.

    Returns:
        Eigenvalues per iteration, or multipliers.

    Raises:
        NotApplicable: If the discriminator has no finite slopes where points meet, or there are too many places.
        ParameterError: If an argument is out of its range.

    References:
        Durr, Mroueh, Tu, Wang. Phys. Rev. X 13, 041004 (2023), for the particles and the penalty as friction.
    """
    for name in options:
        if name not in ("seed", "width"):
            raise unknown_name("option", name, ["seed", "width"])
    return linearise(game, at, **options).spectrum(rule)
