r"""The exact linearisation of the kernel GAN at any finite point set.

At generated points z with their best discriminator f*, perturbations of the points, delta, and of the gradients of the
discriminator there, y_j = grad (f - f*)(z_j), close on each other. Per iteration, generator first,

    velocity of delta   H y + H C delta                       H = diag(h_j),  C = blockdiag(Hess f*(z_j))
    velocity of y       - a y - discriminator_lr G Q delta    G = [d_x d_y^T K(z_j, z_k)],  Q = diag(q_j)

with a = discriminator_lr regularization. Parts of f that are flat at all generated points are forgotten at rate a on
their own: the spectrum of the whole map is that of these 2 M axes coordinates and the multiplier of -a.
Neutral modes (rotations of a split state, translations) have eigenvalue 0 and are not unstable.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.linalg import expm
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigs

from ganscope.analysis.spectrum import spectrum_from_values
from ganscope.core.checks import one_of, real_array
from ganscope.core.errors import NotApplicable, ParameterError
from ganscope.core.outcome import Spectrum
from ganscope.dynamics.rules import (
    BOTH,
    CODES,
    DISCRIMINATOR,
    FLOW,
    GENERATOR,
    RULES,
    check_momentum,
    make_step,
    multipliers,
)
from ganscope.games.kernel.good_minimum import (
    DENSE,
    Stiffness,
    best_rates,
    conditioning,
    disc_multipliers,
    good_minimum_modes,
    length_scale,
    matches_data,
    mode_multipliers,
    require_theory,
)
from ganscope.games.kernel.operators import GradientGram, force, hessian_sum

__all__ = [
    "Stiffness",
    "best_rates",
    "conditioning",
    "discriminator_gradients",
    "discriminator_hessians",
    "good_minimum_modes",
    "gradient_gram",
    "jacobian",
    "linear_trajectory",
    "mode_multipliers",
    "neutral_modes",
    "neutral_tolerance",
    "spectrum_at",
]

Array = npt.NDArray[np.float64]
Complex = npt.NDArray[np.complex128]

# Relative to the largest rate: a double eigenvalue is only good to the square root of the rounding error.
NEUTRAL = 1e-7
# Far from rest nothing is neutral only because of the motion.
_RESTLESS = 1e-5
# Eigenvalues of large matrices that are computed.
_LEADING = 8


def discriminator_gradients(game: Any, points: Array, at: Array | None = None) -> Array:
    """grad f* of the best discriminator for generated `points`, at some other points or at themselves, `[n, axes]`."""
    here = points if at is None else at
    attraction = force(game.kernel, here, game.real_points, game.real_mass)
    result: Array = attraction - force(game.kernel, here, points, game.generated_mass)
    return result / float(game.regularization)


def discriminator_hessians(game: Any, points: Array) -> Array:
    """Hess f* of the best discriminator for generated `points`, at themselves, shape `[M, axes, axes]`."""
    attraction = hessian_sum(game.kernel, points, game.real_points, game.real_mass)
    result: Array = attraction - hessian_sum(game.kernel, points, points, game.generated_mass)
    return result / float(game.regularization)


def gradient_gram(game: Any, points: Array) -> Array:
    """The matrix G of inner products of the kernel's gradients at some points, shape `[M axes, M axes]`."""
    return GradientGram(game.kernel, points).dense()


def jacobian(game: Any, points: Array) -> Array:
    """Jacobian of the velocity per iteration in (delta, y), for `dynamics.rules.update_map`.

    Args:
        game: The game, regularization > 0.
        points: Generated points, shape `[M, axes]`; at equilibrium for a statement about long times.

    Returns:
        Shape `[2 M axes, 2 M axes]`; the first half of the coordinates is the generator's.

    Raises:
        ParameterError: If regularization is 0.
        NotApplicable: If the kernel is not differentiable where points meet.
    """
    require_theory(game)
    points = np.asarray(points, np.float64)
    count, axes = points.shape
    n = count * axes
    result = np.zeros((2 * n, 2 * n))
    block = result[:n, :n].reshape(count, axes, count, axes)
    every = np.arange(count)
    block[every, :, every, :] = game.speeds[:, None, None] * discriminator_hessians(game, points)
    result[np.arange(n), n + np.arange(n)] = np.repeat(game.speeds, axes)
    result[n:, :n] = -game.discriminator_lr * gradient_gram(game, points) * np.repeat(game.generated_mass, axes)
    result[n + np.arange(n), n + np.arange(n)] = -game.forgetting
    return result


def spectrum_at(
    game: Any,
    points: Array,
    rule: str | None = None,
    momentum: float = 0.0,
    count: int = _LEADING,
    modes: Stiffness | None = None,
) -> Spectrum:
    """Spectrum of the whole game linearised at generated points and their best discriminator.

    Everything is computed while there are at most 3000 coordinates, 2 M axes (6000 at a good minimum). Beyond that the
    spectrum holds some leading values: at a good minimum those of both ends of the stiffness, the slowest mode perhaps
    as a bound (it is no faster, see `conditioning`); elsewhere what Arnoldi iterations find, which can miss some.

    Args:
        game: The game, regularization > 0.
        points: Generated points, shape `[M, axes]`.
        rule: An update rule; None or `flow` for the flow.
        momentum: Of `heavy_ball`.
        count: How many values beyond the limit.
        modes: The modes of a good minimum, if they are known to be there.

    Returns:
        Multipliers per iteration, or for the flow eigenvalues per unit of time, discriminator_lr * iterations. The
        forgetting of flat parts of the discriminator is in the list once. Values within the tolerance of neutral modes
        do not count for the label, see `neutral_modes`.

    Raises:
        ParameterError: If the rule is unknown, a value is out of range, or regularization is 0.
        NotApplicable: If the kernel is not differentiable, or the iterations find nothing.
    """
    require_theory(game)
    points = _checked_points(game, points)
    momentum = _checked_rule(rule, momentum)
    is_map = rule not in (None, FLOW)
    if modes is not None or matches_data(game, points):
        modes = conditioning(game, points, count) if modes is None else modes
        couplings = game.generator_lr * game.discriminator_lr * modes.values
        values = mode_multipliers(couplings, game.forgetting, rule, momentum).ravel()
    elif 2 * points.size <= DENSE:
        values = _dense_values(game, points, rule, momentum)
    else:
        values = _leading_values(game, points, rule, momentum, count)
    values = np.concatenate([values, disc_multipliers(game.forgetting, rule, momentum)])
    tolerance = neutral_tolerance(game, points)
    if not is_map:
        values, tolerance = values / game.discriminator_lr, tolerance / game.discriminator_lr
    return spectrum_from_values(values, is_map=is_map, neutral=tolerance)


def neutral_tolerance(game: Any, points: Array) -> float:
    """Rate per iteration below which a mode counts as neutral.

    It covers the error of a double eigenvalue, and what a point that is not quite at rest does to rotations: their
    eigenvalue is the force over the radius instead of 0.
    """
    length = length_scale(game.kernel)
    swing = math.sqrt(float(np.max(game.discriminator_lr * game.speeds * game.generated_mass))) / length
    scale = min(1.0, max(float(game.forgetting), swing))
    restless = game.speeds * np.linalg.norm(discriminator_gradients(game, points), axis=1) / length
    return max(NEUTRAL * scale, min(10.0 * float(np.max(restless)), _RESTLESS * scale))


def neutral_modes(game: Any, points: Array, spectrum: Spectrum) -> int:
    """How many values of a spectrum are neutral: eigenvalue 0 or multiplier 1 within the tolerance."""
    tolerance = neutral_tolerance(game, points)
    if spectrum.is_map:
        return int(np.sum(np.abs(spectrum.values - 1.0) <= tolerance))
    return int(np.sum(np.abs(spectrum.values) <= tolerance / game.discriminator_lr))


def linear_trajectory(
    game: Any, points_star: Array, iterations: Any, rule: str = "alternating", momentum: float = 0.0
) -> Array:
    """Generated points as the linearisation at an equilibrium moves them, from the game's own start.

    The start is delta = Z_0 - Z* and y = grad (f_0 - f*)(Z*), with f_0 zero or, for initial_discriminator
    "equilibrium", the best discriminator for Z_0.

    Args:
        game: The game, regularization > 0.
        points_star: The equilibrium Z*, shape `[M, axes]`.
        iterations: Iteration numbers to record, increasing, shape `[records]`; for `flow` any numbers >= 0.
        rule: An update rule, or `flow`.
        momentum: Of `heavy_ball`.

    Returns:
        Shape `[records, M, axes]`.

    Raises:
        ParameterError: If the rule is unknown, a value is out of range, or regularization is 0.
        NotApplicable: If the kernel is not differentiable, or `flow` is asked for beyond 3000 coordinates.
    """
    require_theory(game)
    momentum = _checked_rule(rule, momentum)
    star = _checked_points(game, points_star)
    records = real_array("iterations", list(iterations), ndim=1)
    whole = rule == FLOW or np.all(records == np.round(records))
    if not whole or np.any(np.diff(records, prepend=0.0) < 0):
        raise ParameterError("iterations", iterations, "an increasing list of iteration numbers >= 0")
    g = (game.generated_points - star).ravel()
    d = -discriminator_gradients(game, star)
    if game.initial_discriminator == "equilibrium":
        d += discriminator_gradients(game, game.generated_points, at=star)
    d = d.ravel()
    if rule == FLOW:
        return _flow_path(game, star, np.concatenate([g, d]), records)
    advance = make_step(_LinearVelocity(game, star).into)
    out = np.empty((len(records), *star.shape))
    vg, vd, mg, md = np.empty_like(g), np.empty_like(d), np.zeros((1, len(g))), np.zeros((1, len(d)))
    done = 0
    with np.errstate(over="ignore", invalid="ignore"):
        for record, last in enumerate(records.astype(np.int64)):
            for k in range(done, last):
                advance(CODES[rule], momentum, k == 0, g, d, vg, vd, mg, md, None)
            done = last
            out[record] = star + g.reshape(star.shape)
    return out


class _LinearVelocity:
    """The Jacobian as an operator on flat (delta, y), without a table of its entries."""

    def __init__(self, game: Any, points: Array) -> None:
        self._shape = points.shape
        self._speeds, self._mass = game.speeds[:, None], game.generated_mass[:, None]
        self._curvature = discriminator_hessians(game, points)
        self._gram = GradientGram(game.kernel, points)
        self._forgetting, self._rate = game.forgetting, game.discriminator_lr

    def generator(self, g: Array, d: Array) -> Array:
        delta, y = g.reshape(self._shape), d.reshape(self._shape)
        moved: Array = self._speeds * (y + np.einsum("jce,je->jc", self._curvature, delta))
        return moved.ravel()

    def discriminator(self, g: Array, d: Array) -> Array:
        pulled = self._gram @ (self._mass * g.reshape(self._shape))
        moved: Array = -self._forgetting * d - self._rate * pulled.ravel()
        return moved

    def into(self, part: int, g: Array, d: Array, vg: Array, vd: Array, context: Any) -> None:
        """As `dynamics.rules.make_step` asks for it."""
        if part in (BOTH, GENERATOR):
            vg[:] = self.generator(g, d)
        if part in (BOTH, DISCRIMINATOR):
            vd[:] = self.discriminator(g, d)

    def __matmul__(self, w: Array) -> Array:
        g, d = np.split(w, 2)
        return np.concatenate([self.generator(g, d), self.discriminator(g, d)])

    def alternating(self, w: Array) -> Array:
        """One iteration of alternating updates, the discriminator first."""
        g, d = np.split(w, 2)
        d = d + self.discriminator(g, d)
        return np.concatenate([g + self.generator(g, d), d])


def _dense_values(game: Any, points: Array, rule: str | None, momentum: float) -> Complex:
    J = jacobian(game, points)
    if rule == "alternating":
        # (1 + J_generator)(1 + J_discriminator) - 1 without the ones, which would cost digits of slow modes.
        half = points.size
        change = J.copy()
        change[:half] += J[:half, half:] @ J[half:]
        return 1.0 + np.linalg.eigvals(change).astype(np.complex128)
    u = np.linalg.eigvals(J).astype(np.complex128)
    return u if rule in (None, FLOW) else multipliers(u, str(rule), momentum).ravel()


def _leading_values(game: Any, points: Array, rule: str | None, momentum: float, count: int) -> Complex:
    """Arnoldi iterations on one step of the rule, or on the flow."""
    J, n = _LinearVelocity(game, points), 2 * points.size

    def step(w: Array) -> Array:
        w = np.asarray(w, np.float64).ravel()
        if rule in (None, FLOW):
            return J @ w
        if rule == "alternating":
            return J.alternating(w)
        if rule == "simultaneous":
            return w + J @ w
        if rule == "extragradient":
            return w + J @ (w + J @ w)
        now, before = np.split(w, 2)
        if rule == "optimistic":
            return np.concatenate([now + J @ (2 * now - before), now])
        return np.concatenate([(1 + momentum) * now - momentum * before + J @ now, now])

    size = 2 * n if rule in ("optimistic", "heavy_ball") else n
    operator = LinearOperator((size, size), matvec=step, dtype=np.float64)
    which, first = ("LR" if rule in (None, FLOW) else "LM"), np.random.default_rng(0).standard_normal(size)
    try:
        found = eigs(
            operator, count, which=which, v0=first, ncv=8 * count, tol=1e-9, maxiter=60, return_eigenvectors=False
        )
    except ArpackNoConvergence as partial:
        found = partial.eigenvalues
    if len(found) == 0:
        raise NotApplicable(f"no leading eigenvalue of {size} could be computed; use fewer points")
    return np.asarray(found, np.complex128)


def _flow_path(game: Any, star: Array, start: Array, records: Array) -> Array:
    if 2 * star.size > DENSE:
        raise NotApplicable(f"the linear flow is for at most {DENSE} coordinates, not {2 * star.size}")
    J = jacobian(game, star)
    ahead: dict[float, Array] = {}
    out, state = np.empty((len(records), *star.shape)), start
    for record, gap in enumerate(np.round(np.diff(records, prepend=0.0), 12).tolist()):
        if gap not in ahead:
            ahead[gap] = expm(J * gap)
        state = ahead[gap] @ state
        out[record] = star + state[: star.size].reshape(star.shape)
    return out


def _checked_points(game: Any, points: Any) -> Array:
    array = real_array("points", points)
    array = array[:, None] if array.ndim == 1 else array
    if array.shape != game.generated_points.shape:
        raise ParameterError("points", f"shape {array.shape}", f"shape {game.generated_points.shape}")
    return array


def _checked_rule(rule: str | None, momentum: Any) -> float:
    if rule is not None:
        one_of("rule", rule, (*RULES, FLOW))
    return check_momentum(rule, momentum)
