r"""How large the steps of a scheme may be: what a step does to a rotation, with damping and without.

A zero-sum game of two numbers, or a mode of a larger one, is

    x' = -p x - generator_lr s y        y' = discriminator_lr s x - q y

with p = generator_lr lam1, q = discriminator_lr lam2; s is the strength of the coupling.

References:
    Turinici. Convergence dynamics of generative adversarial networks: the dual metric flows. 2020.
    Mescheder, Nowozin, Geiger. The numerics of GANs. NeurIPS 2017.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ganscope.core.checks import numbers_in, one_of
from ganscope.core.errors import NotApplicable
from ganscope.games.dualflow.levels import (
    EXPLICIT,
    EXPLICIT_SEQUENTIAL,
    JKO,
    JKO_SEQUENTIAL,
    MIDPOINT,
    NASH,
    ORDERS,
    SCHEMES,
    check_options,
)
from ganscope.games.dualflow.theory.affine import Linear, affine_step

Array = npt.NDArray[np.float64]

# Step sizes that are looked at, in units of the inverse size of the field's matrix, before halving begins.
_SMALLEST, _LARGEST = 1e-7, 1e8
# How many per decade, for games of few coordinates and for larger ones.
_FEW, _PER_DECADE, _COARSE = 8, 60, 16
_HALVINGS = 60
# Eigenvalues are good to this much times the condition number of their vectors.
_ROUNDING = 8 * np.finfo(float).eps
# At a double eigenvalue the vectors coincide, and the rounding error is a square root.
_WORST = 1e8
_NEUTRAL = 1e-9


def bilinear_modulus(scheme: str, kappa: npt.ArrayLike) -> Array:
    """Factor per step of the distance to equilibrium in the bilinear game E1 = s x y = -E2, which the flow conserves.

    Args:
        scheme: A scheme; the order of the players makes no difference.
        kappa: step_size s sqrt(generator_lr discriminator_lr), >= 0, any shape.

    Returns:
        Largest modulus of the multipliers, in the shape of kappa. Sequential schemes conserve a tilted ellipse below
        kappa = 2, at 2 they grow linearly.

    Raises:
        ParameterError: If the scheme is unknown or kappa is negative.

    References:
        Zhang, Yu. Convergence of gradient methods on bilinear zero-sum games. ICLR 2020.
    """
    one_of("scheme", scheme, SCHEMES)
    kappa = numbers_in("kappa", kappa, at_least=0)
    if scheme in (EXPLICIT, JKO):
        return np.asarray(np.hypot(1.0, kappa))[()]
    if scheme == NASH:
        return np.asarray(1.0 / np.hypot(1.0, kappa))[()]
    if scheme == MIDPOINT:
        return np.ones_like(kappa)[()]
    # the larger root of m + 1/m = kappa^2 - 2
    half = np.maximum(kappa, 2.0) / 2
    return np.square(half + np.sqrt((half - 1) * (half + 1)))[()]


def largest_stable_step(
    scheme: str,
    strength: npt.ArrayLike,
    generator_convexity: npt.ArrayLike = 0.0,
    discriminator_convexity: npt.ArrayLike = 0.0,
    generator_lr: npt.ArrayLike = 1.0,
    discriminator_lr: npt.ArrayLike = 1.0,
) -> Array:
    """Largest step size at which a zero-sum game of two numbers is stable, in closed form.

    The energies are E1 = lam1 x^2 / 2 + s x y and E2 = lam2 y^2 / 2 - s x y. All arguments broadcast, so that a whole
    map is one call.

    Args:
        scheme: A scheme; the order of the players makes no difference.
        strength: The coupling s.
        generator_convexity, discriminator_convexity: The dampings lam1 and lam2, >= 0.
        generator_lr, discriminator_lr: Speeds, > 0.

    Returns:
        The step size below which every start is attracted; infinite if every step is stable. Without any damping
        nothing is attracted: `explicit` and `jko` give 0, the others the bound up to which motion stays bounded.

    Raises:
        ParameterError: If the scheme is unknown or a value is out of its range.

    References:
        Turinici. Convergence dynamics of generative adversarial networks: the dual metric flows. 2020.
    """
    one_of("scheme", scheme, SCHEMES)
    s = numbers_in("strength", strength)
    lam1 = numbers_in("generator_convexity", generator_convexity, at_least=0)
    lam2 = numbers_in("discriminator_convexity", discriminator_convexity, at_least=0)
    eta1 = numbers_in("generator_lr", generator_lr, above=0)
    eta2 = numbers_in("discriminator_lr", discriminator_lr, above=0)
    return largest_of_modes(scheme, eta1 * lam1, eta2 * lam2, eta1 * eta2 * s**2)


def largest_of_modes(scheme: str, p: Any, q: Any, coupling: Any) -> Array:
    """`largest_stable_step` from the two dampings per unit of time and the squared frequency of the rotation.

    One of the dampings may be negative, as long as the flow is stable: p + q >= 0 and p q + coupling >= 0. Steps grow
    before they are too long for the proximal problem of a concave energy, 1 / |p|.
    """
    p, q, coupling = np.broadcast_arrays(p, q, coupling)
    if scheme in (NASH, MIDPOINT):
        return np.full(p.shape, np.inf)[()]
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        total, product, apart = p + q, p * q, (p - q) ** 2
        turning = np.sqrt(apart + 4 * coupling)
        if scheme == EXPLICIT:
            real = total + np.sqrt(np.maximum(apart - 4 * coupling, 0.0))
            largest = np.where(apart < 4 * coupling, total / (product + coupling), 4.0 / real)
        elif scheme == EXPLICIT_SEQUENTIAL:
            largest = np.asarray(4.0 / (turning + total))
        elif scheme == JKO:
            largest = np.where(coupling > product, total / (coupling - product), np.inf)
        else:
            assert scheme == JKO_SEQUENTIAL
            # 4 / (turning - total), without the difference of two close numbers
            largest = np.where(coupling > product, (turning + total) / (coupling - product), np.inf)
            # the multipliers' product
            largest = np.where(product < 0, np.minimum(largest, -total / product), largest)
    result: Array = largest[()]
    return result


def largest_step(game: Any, level: str, order: str = ORDERS[0], discriminator_steps: int = 1) -> float:
    """Largest step size up to which a scheme is stable at a game's equilibrium.

    In closed form where the game falls apart into modes of two numbers (see `largest_stable_step`), and for `explicit`,
    `nash` and `midpoint`; otherwise the first step size at which the spectral radius of the scheme's linearisation
    passes 1, by bisection.

    Args:
        game: A game that has a linearisation, such as `QuadraticGame` or `DiracGAN`.
        level: A scheme.
        order: Who moves first in sequential schemes.
        discriminator_steps: Steps of the discriminator per step of the generator.

    Returns:
        The step size; infinite if every step is stable, 0 if none is. Where the flow neither attracts nor repels, the
        bound up to which motion stays bounded. A step without solution counts as unstable.

    Raises:
        NotApplicable: If the level is no scheme, or the game has no linearisation.
        ParameterError: If the level or an option is unknown.

    References:
        Zhang, Yu. Convergence of gradient methods on bilinear zero-sum games. ICLR 2020.
    """
    one_of("level", level, game.levels)
    if level not in SCHEMES:
        raise NotApplicable(f"level {level!r} takes no steps: largest_step is for {', '.join(SCHEMES)}")
    if hasattr(game, "largest_step"):
        found: float = game.largest_step(
            level, **check_options({"order": order, "discriminator_steps": discriminator_steps})
        )
        return found
    if not hasattr(game, "linearisation"):
        raise NotApplicable(f"{type(game).__name__} has no linearisation at an equilibrium")
    checked = check_options({"order": order, "discriminator_steps": discriminator_steps})
    return largest_step_of(game.linearisation(), level, checked["order"], checked["discriminator_steps"])


def largest_step_of(linear: Linear, scheme: str, order: str = ORDERS[0], discriminator_steps: int = 1) -> float:
    """`largest_step` of a linear game; arguments as there, checked."""
    j, b, n = linear
    cells = Linear(j[None], b[None], n)
    return float(largest_steps(cells, (scheme,), order, discriminator_steps)[scheme][0])


def largest_steps(
    linear: Linear, schemes: Sequence[str] = SCHEMES, order: str = ORDERS[0], discriminator_steps: int = 1
) -> dict[str, Array]:
    """`largest_step` of many linear games along one leading axis, for each scheme, `[cells]`; arguments checked."""
    j, b, n = linear
    scale = np.linalg.norm(j, 2, axis=(-2, -1))
    result = {scheme: np.full(len(j), np.inf) for scheme in schemes}
    moving = scale > 0
    if discriminator_steps == 1:
        apart, *modes = _modes(linear)
        for scheme in schemes:
            known = largest_of_modes(scheme, *modes).min(axis=-1) + 0.0  # no -0
            result[scheme] = np.where(apart & moving, known, np.inf)
        moving &= ~apart
    left = np.flatnonzero(moving)
    if len(left):
        rest = Linear(j[left], b[left], n)
        for scheme, steps in _whole(rest, scale[left], schemes, order, discriminator_steps).items():
            result[scheme][left] = steps
    return result


def _whole(linear: Linear, scale: Array, schemes: Sequence[str], order: str, repeats: int) -> dict[str, Array]:
    """`largest_steps` of games that do not fall apart, from the eigenvalues and by search; `scale` is their size."""
    j, b, n = linear
    values = np.linalg.eigvals(j)
    neutral, apart = _NEUTRAL * scale, np.abs(values)
    own, gain = _own_curvature(linear), _own_gain(linear)
    repelling = (values.real > neutral[:, None]).any(axis=-1)
    found = {}
    for scheme in schemes:
        steps = np.where(repelling, 0.0, np.inf)
        if scheme == EXPLICIT and repeats == 1:
            reach = -2 * values.real / np.where(apart > 0, apart, 1.0) ** 2
            reach = np.where(reach > _NEUTRAL / scale[:, None], reach, 0.0)
            reach = np.where(apart > neutral[:, None], reach, np.inf)
            found[scheme] = np.where(repelling, 0.0, reach.min(axis=-1))
            continue
        always = np.zeros(len(j), bool)
        if scheme == NASH:
            always = own.max(axis=-1) <= 0
        elif scheme in (JKO, JKO_SEQUENTIAL):
            always = (own.max(axis=-1) < 0) & (own[:, 0] * own[:, 1] > gain)
        left = np.flatnonzero(~(repelling | always | (scheme == MIDPOINT)))

        def unstable(which: npt.NDArray[np.intp], tau: Array, scheme: str = scheme) -> npt.NDArray[np.bool_]:
            return _unstable(Linear(j[which, None], b[which, None], n), scheme, tau, order, repeats)

        density = _PER_DECADE if j.shape[-1] <= _FEW else _COARSE
        first_changes(unstable, left, steps, _SMALLEST / scale, _LARGEST / scale, density)
        found[scheme] = steps
    return found


def first_changes(
    unstable: Callable[[npt.NDArray[np.intp], Array], npt.NDArray[np.bool_]],
    which: npt.NDArray[np.intp],
    steps: Array,
    low: Array,
    high: Array,
    density: int,
) -> None:
    """Fill in where steps become unstable for the first time: 0 if they are from the start, infinity if they never do.

    Args:
        unstable: Takes indices of cells and step sizes `[indices, sizes]`.
        which: Indices of the cells that are asked about.
        steps: Filled there, `[cells]`.
        low, high: Between which step sizes to look, `[cells]`.
        density: Step sizes per decade.
    """
    low = low.copy()
    if len(which) == 0:
        return
    lost = unstable(which, low[which, None])[:, 0]
    steps[which], which = np.where(lost, 0.0, np.inf), which[~lost]
    factors = 10.0 ** (np.arange(1, density + 1) / density)
    places, lows, highs = [], [], []
    while len(which):
        # a decade at a time
        tried = low[which, None] * factors
        found = unstable(which, tried)
        hit, first, rows = found.any(axis=-1), found.argmax(axis=-1), np.arange(len(which))
        before = np.where(first > 0, tried[rows, first - 1], low[which])
        places.append(which[hit])
        lows.append(before[hit])
        highs.append(tried[rows, first][hit])
        low[which] = tried[:, -1]
        which = which[~hit]
        which = which[low[which] < high[which]]
    if not places:
        return
    which, below, above = np.concatenate(places), np.concatenate(lows), np.concatenate(highs)
    for _ in range(_HALVINGS):
        middle = below + (above - below) / 2
        beyond = unstable(which, middle[:, None])[:, 0]
        below, above = np.where(beyond, below, middle), np.where(beyond, middle, above)
    steps[which] = below + (above - below) / 2


def _modes(linear: Linear) -> tuple[npt.NDArray[np.bool_], Array, Array, Array]:
    """Which games fall apart into games of two numbers; dampings and squared frequencies of these, `[cells, modes]`."""
    j, n = linear.jacobian, linear.generator_size
    m = j.shape[-1] - n
    first, second, to_generator, to_discriminator = j[:, :n, :n], j[:, n:, n:], j[:, :n, n:], j[:, n:, :n]
    p, q = -first[:, 0, 0], -second[:, 0, 0]
    apart = (p >= 0) & (q >= 0)
    for block, damping, size in ((first, p, n), (second, q, m)):
        apart &= (block == -damping[:, None, None] * np.eye(size)).all(axis=(-2, -1))
    # opposite up to the ratio of the speeds
    a, b = np.abs(to_generator).max(axis=(-2, -1)), np.abs(to_discriminator).max(axis=(-2, -1))
    there, back = b[:, None, None] * to_generator, -a[:, None, None] * np.swapaxes(to_discriminator, -1, -2)
    apart &= (a == 0) == (b == 0)
    close = 1e-15 * (a * b)[:, None, None] + 1e-12 * np.abs(back)
    apart &= (np.abs(there - back) <= close).all(axis=(-2, -1))
    ratio = np.where(a > 0, b / np.where(a > 0, a, 1.0), 0.0)
    strengths = np.linalg.svd(to_generator, compute_uv=False) ** 2 * ratio[:, None]
    lone = abs(n - m)
    squares = np.concatenate([strengths, np.zeros((len(j), lone))], axis=-1)
    # a coordinate without partner keeps its own damping only
    free = np.arange(squares.shape[-1]) < strengths.shape[-1]
    return (
        apart,
        np.where(free | (n > m), p[:, None], 0.0),
        np.where(free | (n < m), q[:, None], 0.0),
        squares,
    )


def _own_curvature(linear: Linear) -> Array:
    """Largest growth rate of each player on its own, `[cells, 2]`; negative if its energy is strictly convex."""
    j, n = linear.jacobian, linear.generator_size
    blocks = (j[:, :n, :n], j[:, n:, n:])
    return np.stack([np.linalg.eigvalsh((own + np.swapaxes(own, -1, -2)) / 2)[:, -1] for own in blocks], axis=-1)


def _own_gain(linear: Linear) -> Array:
    """How strongly the players act on each other, `[cells]`."""
    j, n = linear.jacobian, linear.generator_size
    gains = [np.linalg.norm(block, 2, axis=(-2, -1)) for block in (j[:, :n, n:], j[:, n:, :n])]
    return np.asarray(gains[0] * gains[1])


def _unstable(linear: Linear, scheme: str, tau: Array, order: str, repeats: int) -> npt.NDArray[np.bool_]:
    """Whether steps of these sizes grow, rounding of the eigenvalues left aside."""
    matrices, _ = affine_step(linear, scheme, tau, order, repeats)
    solved = np.asarray(np.isfinite(matrices).all(axis=(-2, -1)))
    safe = np.where(solved[..., None, None], matrices, 0.0)
    size = np.abs(np.linalg.eigvals(safe)).max(axis=-1)
    answer: npt.NDArray[np.bool_] = ~solved | (size > 1 + _ROUNDING * _WORST * np.maximum(1.0, size))
    close = solved & ~answer & (size > 1)
    if close.any():
        values, vectors = np.linalg.eig(safe[close])
        condition, size = np.minimum(np.linalg.cond(vectors), _WORST), np.abs(values).max(axis=-1)
        answer[close] = size > 1 + _ROUNDING * condition * np.maximum(1.0, size)
    return answer
