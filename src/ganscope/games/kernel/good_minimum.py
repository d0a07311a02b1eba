r"""The good minimum: generated points lie on the true ones with the same masses, so that the discriminator rests.

There f* = 0 and its Hessians vanish. With h_j the speeds, D = diag(sqrt(h_j q_j / generator_lr)) and g_i the
eigenvalues of the symmetric matrix D G D (Q G Q for weighting "loss"), every mode is an isolated neighbourhood of
balanced masses with coupling P_i = generator_lr discriminator_lr g_i and forgetting a = discriminator_lr lambda:

    u^2 + a u + P_i = 0 for the eigenvalues u per iteration;   alternating: mu^2 - (2 - a - P_i) mu + 1 - a = 0.

References:
    Becker, Pandit, Rangan, Fletcher. Local Convergence of Gradient Descent-Ascent for Training GANs. 2023.
    Polyak. Some methods of speeding up the convergence of iteration methods. 1964 (the optimum of alternating updates).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.linalg import eigh_tridiagonal
from scipy.optimize import linear_sum_assignment, minimize
from scipy.spatial import cKDTree

from ganscope.core.checks import number, one_of
from ganscope.core.errors import NotApplicable, ParameterError
from ganscope.dynamics.rules import FLOW, RULES, check_momentum, multipliers, quadratic_roots
from ganscope.games.kernel.operators import GradientGram

Array = npt.NDArray[np.float64]
Complex = npt.NDArray[np.complex128]

# Up to this size D G D is decomposed as a whole; above, only its ends are found.
DENSE = 3000
# Above this conditioning the slowest mode is bounded, not computed, where the matrix is not decomposed as a whole.
CERTAIN_CONDITIONING = 1e3
_SLOW_TOLERANCE = 1e-4
_MATCH = 1e-12


@dataclass(frozen=True)
class Stiffness:
    """Ends of the spectrum of D G D at a good minimum.

    Attributes:
        largest: Largest eigenvalue g_max.
        smallest: Smallest eigenvalue g_min, or an upper bound of it.
        certain: Whether `smallest` is the eigenvalue; if not, it is an upper bound and the slowest mode is numerically
            neutral: slower than anything computed.
        values: The eigenvalues that were computed, decreasing: all, or some from both ends, with `smallest` last.
    """

    largest: float
    smallest: float
    certain: bool
    values: Array

    @property
    def conditioning(self) -> float:
        """g_max / g_min, a lower bound of it unless `certain`; infinite for a neutral mode."""
        return self.largest / self.smallest if self.smallest > 0 else math.inf


def matches_data(game: Any, points: Array) -> bool:
    """Whether points carry the data's masses: every generated point on a true one, with the same mass in each place."""
    if abs(game.real_mass.sum() - game.generated_mass.sum()) > _MATCH * game.real_mass.sum():
        return False
    scale = max(float(np.ptp(game.real_points, axis=0).max()), length_scale(game.kernel))
    tree = cKDTree(np.unique(game.real_points + 0.0, axis=0))  # equal true points are one place; -0 is 0
    distance, nearest = tree.query(points)
    if np.any(distance > _MATCH * scale):
        return False
    real = np.bincount(tree.query(game.real_points)[1], game.real_mass, tree.n)
    generated = np.bincount(nearest, game.generated_mass, tree.n)
    return bool(np.all(np.abs(real - generated) <= _MATCH * real.max()))


def good_minimum(game: Any, near: Array | None = None) -> Array | None:
    """The true points, each given to a generated point of the same mass; None if the masses do not match one to one.

    Args:
        game: The game.
        near: Points to be moved as little as possible (in mean square), shape `[M, axes]`; None for the game's own.
    """
    real, generated = game.real_mass, game.generated_mass
    if len(real) != len(generated) or np.any(np.abs(np.sort(real) - np.sort(generated)) > _MATCH * np.max(real)):
        return None
    here = np.asarray(game.generated_points if near is None else near, np.float64)
    rank_real, rank_generated = np.argsort(real, kind="stable"), np.argsort(generated, kind="stable")
    result = np.empty_like(here)
    # Points of equal mass may be exchanged: one assignment for each mass.
    edges = np.flatnonzero(np.diff(real[rank_real]) > 2 * _MATCH * np.max(real)) + 1
    for true, own in zip(np.split(rank_real, edges), np.split(rank_generated, edges), strict=True):
        cost = np.zeros((len(own), len(true)))
        for axis in range(here.shape[1]):
            cost += np.square(here[own, None, axis] - game.real_points[None, true, axis])
        _, partner = linear_sum_assignment(cost)
        result[own] = game.real_points[true[partner]]
    return result


def length_scale(kernel: Any) -> float:
    """The length on which forces of a kernel vary, 1 / sqrt(curvature), whatever the kind of the kernel."""
    curvature = np.asarray(kernel.curvature, np.float64)
    return float(1.0 / np.sqrt(np.linalg.norm(curvature, 2) if curvature.ndim == 2 else curvature))


def good_minimum_modes(game: Any, points: Array | None = None) -> Array:
    """All eigenvalues g_i of D G D, decreasing, shape `[M axes]`.

    Args:
        game: The game.
        points: Where the generated points lie; None for the assignment of `good_minimum`.

    Raises:
        NotApplicable: If the points do not match the data, the kernel is not differentiable, or M axes > 3000; see
            `conditioning`.
    """
    points = _matched(game, points)
    if points.size > DENSE:
        raise NotApplicable(f"all modes are computed for at most {DENSE} coordinates, not {points.size}")
    return _all_modes(game, points)


def conditioning(game: Any, points: Array | None = None, count: int = 6) -> Stiffness:
    """Both ends of the spectrum of D G D at a good minimum, for any number of points.

    Args:
        game: The game.
        points: Where the generated points lie; None for the assignment of `good_minimum`.
        count: How many eigenvalues from each end beyond 3000 coordinates.

    Returns:
        Beyond 3000 coordinates, by Lanczos iterations: the smallest eigenvalue is computed where the conditioning is
        below 1e3, otherwise bounded.

    Raises:
        NotApplicable: If the points do not match the data or the kernel is not differentiable.
    """
    points = _matched(game, points)
    if points.size <= DENSE:
        values = _all_modes(game, points)
        resolved = values[-1] > values[0] * len(values) * np.finfo(float).eps
        return Stiffness(float(values[0]), float(values[-1]), bool(resolved), values)
    gram, weight = GradientGram(game.kernel, points), _weights(game, points)
    return lanczos_ends(lambda v: weight * (gram @ (weight * v)), points.size, count)


def _matched(game: Any, points: Array | None) -> Array:
    require_theory(game)
    chosen = good_minimum(game) if points is None else np.asarray(points, np.float64)
    if chosen is None or (points is not None and not matches_data(game, chosen)):
        raise NotApplicable("generated points and masses do not match the true ones: there is no good minimum")
    return np.asarray(chosen)


def require_theory(game: Any) -> None:
    """Refuse what has no linearisation: regularization = 0, and kernels that are not differentiable.

    Raises:
        ParameterError: If regularization is 0.
        NotApplicable: If the kernel has no gradient where points meet.
    """
    game.require_regularization()
    game.kernel.require_differentiable()


def _weights(game: Any, points: Array) -> Array:
    weight: Array = np.repeat(game.speeds * game.generated_mass / game.generator_lr, points.shape[1])
    result: Array = np.sqrt(weight)
    return result


def _all_modes(game: Any, points: Array) -> Array:
    weight = _weights(game, points)
    matrix = weight[:, None] * GradientGram(game.kernel, points).dense() * weight
    values = np.asarray(np.linalg.eigvalsh(matrix)[::-1], np.float64)
    return np.maximum(values, 0.0)


def lanczos_ends(
    product: Callable[[Array], Array], size: int, count: int = 6, tolerance: float = 1e-9, max_products: int = 700
) -> Stiffness:
    """Ends of the spectrum of a symmetric positive semidefinite operator, by Lanczos with full reorthogonalisation.

    Args:
        product: The operator on flat vectors.
        size: Their length.
        count: How many Ritz values of each end to return, those of the lower end only as far as they are certain;
            copies of a multiple eigenvalue count once.
        tolerance: Error of the largest values, relative to the largest; the smallest is good to 1e-4 of itself when
            `certain`.
        max_products: Give up on the lower end after so many products.

    Returns:
        Ritz values lie inside the spectrum: the smallest is always an upper bound.
    """
    basis = np.empty((min(max_products, size) + 1, size))
    start = np.random.default_rng(0).standard_normal(size)
    basis[0] = start / np.linalg.norm(start)
    diagonal, beside = [], []
    for step in range(min(max_products, size)):
        w = product(basis[step])
        diagonal.append(float(basis[step] @ w))
        for _ in range(2):
            w = w - basis[: step + 1].T @ (basis[: step + 1] @ w)
        beside.append(float(np.linalg.norm(w)))
        exhausted = beside[-1] <= 1e-14 * max(map(abs, diagonal)) or step + 1 == size
        if not exhausted:
            basis[step + 1] = w / beside[-1]
        if not (exhausted or (step >= 20 and step % 10 == 0)):
            continue
        ritz, vectors = eigh_tridiagonal(np.array(diagonal), np.array(beside[:-1]))
        error = np.zeros(len(ritz)) if exhausted else beside[-1] * np.abs(vectors[-1])
        top, bottom = ritz[-1], ritz[0]
        ill = bottom * CERTAIN_CONDITIONING < top
        certain = bool(not ill and error[0] <= _SLOW_TOLERANCE * bottom)
        if exhausted or (np.all(error[-count:] <= tolerance * top) and (ill or certain)):
            break
    number = np.arange(len(ritz))
    shown = (number >= len(ritz) - count) | ((number < count) & (error <= _SLOW_TOLERANCE * ritz)) | (number == 0)
    return Stiffness(float(top), max(float(bottom), 0.0), certain, np.maximum(ritz[shown][::-1], 0.0))


def mode_multipliers(coupling: npt.ArrayLike, forgetting: float, rule: str | None, momentum: float = 0.0) -> Complex:
    """Multipliers per iteration of modes with coupling P = generator_lr discriminator_lr g.

    Args:
        coupling: P, any shape.
        forgetting: a = discriminator_lr regularization.
        rule: An update rule; None or `flow` for eigenvalues of the flow, per iteration.
        momentum: Of `heavy_ball`.

    Returns:
        Shape `[..., branches]`: 2, or 4 for `optimistic` and `heavy_ball`.
    """
    P = np.asarray(coupling, np.float64)
    if rule == "alternating":
        check_momentum(rule, momentum)
        return quadratic_roots(-(2.0 - forgetting - P), (1.0 - forgetting) + 0 * P)
    u = quadratic_roots(forgetting + 0 * P, P)
    if rule in (None, FLOW):
        return u
    branches = multipliers(u, str(rule), momentum)
    return branches.reshape(*P.shape, -1)


def disc_multipliers(forgetting: float, rule: str | None, momentum: float = 0.0) -> Complex:
    """Multipliers of the parts of the discriminator that are flat at all generated points: 1 or 2 of them."""
    if rule in (None, FLOW):
        return np.array([-forgetting], np.complex128)
    if rule == "alternating":
        return np.array([1.0 - forgetting], np.complex128)
    return multipliers(-forgetting, str(rule), momentum).ravel()


def best_rates(largest: float, smallest: float, rule: str = "alternating", momentum: float = 0.0) -> dict[str, float]:
    r"""Learning rates with the smallest spectral radius at a good minimum, discriminator included.

    With kappa = g_max / g_min: `alternating` is heavy-ball descent, optimal at spectral radius
    (sqrt(kappa) - 1) / (sqrt(kappa) + 1); for `simultaneous` the complex pair of g_max, the real pair of g_min and the
    discriminator meet at (2 kappa - 1) / (2 kappa + 1). Other rules are optimised numerically.

    Args:
        largest: g_max, > 0, see `conditioning`.
        smallest: g_min, > 0.
        rule: An update rule.
        momentum: Of `heavy_ball`.

    Returns:
        `forgetting` (discriminator_lr times regularization), `lr_product` (discriminator_lr times generator_lr),
        `spectral_radius` (of all modes).

    Raises:
        ParameterError: If a value is out of range.
        NotApplicable: If `smallest` is 0: a neutral mode has no rate.
    """
    one_of("rule", rule, RULES)
    momentum = check_momentum(rule, momentum)
    largest = number("largest", largest, above=0)
    smallest = number("smallest", smallest, at_least=0)
    if smallest == 0:
        raise NotApplicable("a neutral mode (smallest = 0) has no best learning rates")
    if smallest > largest:
        raise ParameterError("smallest", smallest, f"at most largest = {largest:g}")
    kappa = largest / smallest
    if rule == "alternating":
        root = math.sqrt(kappa)
        radius = (root - 1) / (root + 1)
        forgetting, lr_product = 1 - radius**2, 4 / (math.sqrt(largest) + math.sqrt(smallest)) ** 2
    elif rule == "simultaneous":
        radius, decay = (2 * kappa - 1) / (2 * kappa + 1), 2 / (2 * kappa + 1)
        forgetting, lr_product = 2 - decay, 2 * decay * (1 - decay) / smallest
    else:
        forgetting, coupling, radius = _numerical_best(kappa, rule, momentum)
        lr_product = coupling / smallest
    return {"forgetting": forgetting, "lr_product": lr_product, "spectral_radius": radius}


@lru_cache(256)  # cells of a sweep share the modes of their resting place
def _numerical_best(kappa: float, rule: str, momentum: float) -> tuple[float, float, float]:
    """Forgetting, coupling of the slowest mode, and spectral radius."""
    ratios = np.geomspace(1.0, kappa, 65)

    def radius(x: Array) -> float:
        forgetting, coupling = np.exp(x)
        modes = np.abs(mode_multipliers(coupling * ratios, forgetting, rule, momentum))
        return float(max(modes.max(), np.abs(disc_multipliers(forgetting, rule, momentum)).max()))

    starts = [np.array([math.log(a), math.log(p)]) for a in (0.1, 0.5, 1.0) for p in (0.03 / kappa, 0.3 / kappa)]
    options = {"xatol": 1e-12, "fatol": 1e-14, "maxiter": 4000, "maxfev": 4000}
    found = min((minimize(radius, x, method="Nelder-Mead", options=options) for x in starts), key=lambda r: r.fun)
    # A simplex can stall in the kink of a maximum: start afresh where it stopped.
    found = minimize(radius, found.x, method="Nelder-Mead", options=options)
    forgetting, coupling = np.exp(found.x)
    return float(forgetting), float(coupling), float(found.fun)
