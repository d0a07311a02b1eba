r"""How fast dual flows forget their starts, and how far the schemes are from them: what a few constants imply.

    convexity    lam1, lam2: E1(., y) and E2(x, .) minus lam/2 times a squared distance are convex
    lipschitz    L12, L21: slopes of each player's gradient in the other player's state

For two flows of one game the distances of the players obey d(t) <= exp(M t) d(0), componentwise, with

    M = [[-generator_lr lam1, generator_lr L12], [discriminator_lr L21, -discriminator_lr lam2]]

References:
    Turinici. Convergence dynamics of generative adversarial networks: the dual metric flows. 2020.
    Ambrosio, Gigli, Savare. Gradient flows in metric spaces and in the space of probability measures. 2008.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ganscope.core.checks import number, numbers_in, one_of
from ganscope.core.errors import NotApplicable
from ganscope.core.game import Players
from ganscope.games.dualflow.levels import JKO, JKO_SEQUENTIAL, NASH, ORDERS, SCHEMES

Array = npt.NDArray[np.float64]


class Constants(NamedTuple):
    """The constants of a game, by the names that the functions of this module use."""

    generator_convexity: Any
    discriminator_convexity: Any
    generator_lipschitz: Any
    discriminator_lipschitz: Any


class Suprema(NamedTuple):
    """Largest speeds and accelerations of both players along a flow, each in the player's own metric."""

    speed: Players
    acceleration: Players


@dataclass(frozen=True)
class ErrorBound:
    """How far a proximal scheme can be from the flow.

    Attributes:
        generator, discriminator: Bounds on the distance of each player's states, for every step up to the horizon.
        uniform: Bounds (generator, discriminator) that do not grow with the number of steps, or None where the
            comparison matrix does not decay. They use the speeds of the flow up to the horizon; after it, the flow of
            a game that decays is slower.
        residual: Bounds on the error of a single step, divided by the squared step size.
        steps: Number of steps.
    """

    generator: float
    discriminator: float
    uniform: Players | None
    residual: Players
    steps: int


def comparison_matrix(
    generator_convexity: npt.ArrayLike,
    discriminator_convexity: npt.ArrayLike,
    generator_lipschitz: npt.ArrayLike,
    discriminator_lipschitz: npt.ArrayLike,
    generator_lr: npt.ArrayLike = 1.0,
    discriminator_lr: npt.ArrayLike = 1.0,
) -> Array:
    """The matrix M with d(t) <= exp(M t) d(0) for the distances of two flows, componentwise.

    Args:
        generator_convexity, discriminator_convexity: Moduli of convexity, any sign.
        generator_lipschitz, discriminator_lipschitz: Cross-Lipschitz constants, >= 0.
        generator_lr, discriminator_lr: Speeds, > 0. All arguments broadcast.

    Returns:
        Shape `[..., 2, 2]`, per unit of time.

    Raises:
        ParameterError: If a value is out of its range.

    References:
        Turinici (2020), whose setting this is; derived in docs/theory/dualflow.md.
    """
    lam1, lam2, l12, l21, eta1, eta2 = _checked(
        generator_convexity,
        discriminator_convexity,
        generator_lipschitz,
        discriminator_lipschitz,
        generator_lr,
        discriminator_lr,
    )
    rows = [np.stack([-eta1 * lam1, eta1 * l12], axis=-1), np.stack([eta2 * l21, -eta2 * lam2], axis=-1)]
    return np.stack(rows, axis=-2)


def comparison_rate(
    generator_convexity: npt.ArrayLike,
    discriminator_convexity: npt.ArrayLike,
    generator_lipschitz: npt.ArrayLike,
    discriminator_lipschitz: npt.ArrayLike,
    generator_lr: npt.ArrayLike = 1.0,
    discriminator_lr: npt.ArrayLike = 1.0,
) -> Array:
    """Growth rate of the distance of two flows: the larger eigenvalue of `comparison_matrix`.

    Negative exactly if both convexities are positive and their product exceeds that of the Lipschitz constants
    (`small_gain`), whatever the speeds: then the flow contracts to one equilibrium at least at this rate.

    Args:
        generator_convexity, discriminator_convexity, generator_lipschitz, discriminator_lipschitz, generator_lr,
            discriminator_lr: As in `comparison_matrix`.

    Returns:
        The rate per unit of time, in the broadcast shape of the arguments.

    Raises:
        ParameterError: If a value is out of its range.

    References:
        Turinici (2020), whose setting this is; derived in docs/theory/dualflow.md.
    """
    lam1, lam2, l12, l21, eta1, eta2 = _checked(
        generator_convexity,
        discriminator_convexity,
        generator_lipschitz,
        discriminator_lipschitz,
        generator_lr,
        discriminator_lr,
    )
    p, q, coupling = eta1 * lam1, eta2 * lam2, eta1 * eta2 * l12 * l21
    half, root = (p + q) / 2, np.hypot((p - q) / 2, np.sqrt(coupling))
    # without the difference of two close numbers where there is decay
    safe = np.where(half > 0, half + root, 1.0)
    return np.where(half > 0, eta1 * eta2 * (l12 * l21 - lam1 * lam2) / safe, root - half)[()]


def small_gain(
    generator_convexity: npt.ArrayLike,
    discriminator_convexity: npt.ArrayLike,
    generator_lipschitz: npt.ArrayLike,
    discriminator_lipschitz: npt.ArrayLike,
) -> npt.NDArray[np.bool_]:
    """Whether both energies are more convex than they are coupled, so that the flow contracts at any speeds.

    Args:
        generator_convexity, discriminator_convexity: Moduli of convexity.
        generator_lipschitz, discriminator_lipschitz: Cross-Lipschitz constants, >= 0; all four broadcast.

    Returns:
        Booleans in the shape of the arguments broadcast.

    Raises:
        ParameterError: If a value is out of its range.

    References:
        Turinici (2020), whose setting this is; derived in docs/theory/dualflow.md.
    """
    lam1, lam2, l12, l21, _, _ = _checked(
        generator_convexity, discriminator_convexity, generator_lipschitz, discriminator_lipschitz, 1.0, 1.0
    )
    answer: npt.NDArray[np.bool_] = (lam1 > 0) & (lam2 > 0) & (lam1 * lam2 > l12 * l21)
    return answer


def zero_sum_rate(
    generator_convexity: npt.ArrayLike,
    discriminator_convexity: npt.ArrayLike,
    generator_lr: npt.ArrayLike = 1.0,
    discriminator_lr: npt.ArrayLike = 1.0,
) -> Array:
    """Decay rate of the distance of two flows of a zero-sum game, whatever the coupling.

    With V = d1^2 / generator_lr + d2^2 / discriminator_lr, the coupling cancels: V(t) <= exp(-2 rate t) V(0) with
    rate = min(generator_lr lam1, discriminator_lr lam2). A rate of 0 says that V never grows.

    Args:
        generator_convexity, discriminator_convexity: Moduli of convexity, any sign.
        generator_lr, discriminator_lr: Speeds, > 0. All arguments broadcast.

    Returns:
        The rate of sqrt(V) per unit of time, positive for decay.

    Raises:
        ParameterError: If a value is out of its range.

    References:
        Turinici (2020), whose setting this is; derived in docs/theory/dualflow.md.
    """
    lam1, lam2, _, _, eta1, eta2 = _checked(
        generator_convexity, discriminator_convexity, 0.0, 0.0, generator_lr, discriminator_lr
    )
    return np.minimum(eta1 * lam1, eta2 * lam2)[()]


def scheme_contraction(
    level: str,
    step_size: npt.ArrayLike,
    generator_convexity: npt.ArrayLike,
    discriminator_convexity: npt.ArrayLike,
    generator_lipschitz: npt.ArrayLike = 0.0,
    discriminator_lipschitz: npt.ArrayLike = 0.0,
    generator_lr: npt.ArrayLike = 1.0,
    discriminator_lr: npt.ArrayLike = 1.0,
    order: str = ORDERS[0],
) -> Array:
    """Factor per step by which two runs of a scheme approach each other at least, in the long run.

    For `jko` and `jko_sequential` the spectral radius of the iteration that bounds both players' distances: below 1
    for every step size exactly if `small_gain` holds. For `nash` the factor of sqrt(V) in a zero-sum game (see
    `zero_sum_rate`), 1 / (1 + step_size rate), in which the coupling plays no part.

    Args:
        level: `jko`, `jko_sequential` or `nash`.
        step_size: > 0.
        generator_convexity, discriminator_convexity, generator_lipschitz, discriminator_lipschitz, generator_lr,
            discriminator_lr: As in `comparison_matrix`; `nash` ignores the Lipschitz constants.
        order: Who moves first in `jko_sequential`; the factor is the same.

    Returns:
        The factor, in the broadcast shape of the arguments; infinite where a proximal step is not strictly convex.

    Raises:
        NotApplicable: For the other schemes, whose contraction these constants do not decide.
        ParameterError: If a value is out of its range.

    References:
        Turinici (2020), whose setting this is; derived in docs/theory/dualflow.md.
    """
    one_of("level", level, SCHEMES)
    one_of("order", order, ORDERS)
    tau = numbers_in("step_size", step_size, above=0)
    lam1, lam2, l12, l21, eta1, eta2 = _checked(
        generator_convexity,
        discriminator_convexity,
        generator_lipschitz,
        discriminator_lipschitz,
        generator_lr,
        discriminator_lr,
    )
    first, second = 1 + tau * eta1 * lam1, 1 + tau * eta2 * lam2
    convex = (first > 0) & (second > 0)
    if level == NASH:
        return np.where(convex, 1 / np.where(convex, np.minimum(first, second), 1.0), np.inf)[()]
    if level not in (JKO, JKO_SEQUENTIAL):
        raise NotApplicable(f"the contraction of {level} does not follow from convexity and Lipschitz constants")
    a, b = 1 / np.where(convex, first, 1.0), 1 / np.where(convex, second, 1.0)
    coupling = tau**2 * eta1 * eta2 * l12 * l21 * a * b
    # Perron root of [[a, u], [v, b]] with u v = coupling; by turns, v and b take another u v and v u
    trace = a + b + (coupling if level == JKO_SEQUENTIAL else 0.0)
    determinant = a * b - (0.0 if level == JKO_SEQUENTIAL else coupling)
    root = np.sqrt(np.maximum(trace**2 / 4 - determinant, 0.0))
    return np.where(convex, trace / 2 + root, np.inf)[()]


def scheme_error_bound(game: Any, level: str, step_size: float, horizon: float, order: str = ORDERS[0]) -> ErrorBound:
    """Bound on the distance between a run of `jko` or `jko_sequential` and the flow, from the flow's own speeds.

    A single step errs by at most step_size^2 times a residual that the largest speeds and accelerations give; the
    errors of both players then obey a linear recursion, which is summed up to the horizon.

    Args:
        game: A game with constants that hold everywhere: a `QuadraticGame`, or any with methods `constants()` and
            `suprema(horizon)`.
        level: `jko` or `jko_sequential`.
        step_size: > 0.
        horizon: Length of the run, > 0; the last step of a horizon that is no multiple of the step size is shorter.
        order: Who moves first in `jko_sequential`.

    Raises:
        NotApplicable: For other schemes or games, or if a proximal step is not strictly convex.
        ParameterError: If a value is out of its range.

    References:
        Turinici. Convergence dynamics of generative adversarial networks: the dual metric flows. 2020.
    """
    one_of("level", level, SCHEMES)
    one_of("order", order, ORDERS)
    tau, horizon = number("step_size", step_size, above=0), number("horizon", horizon, above=0)
    if level not in (JKO, JKO_SEQUENTIAL):
        raise NotApplicable(f"the bound is for jko and jko_sequential, not {level}")
    if not (hasattr(game, "constants") and hasattr(game, "suprema")):
        raise NotApplicable(f"{type(game).__name__} has no convexity and Lipschitz constants that hold everywhere")
    constants: Constants = game.constants()
    suprema: Suprema = game.suprema(horizon)
    residual = _residual(constants, suprema, game, level, order)
    # the horizon in whole steps, and a shorter one
    exact = horizon / tau
    whole = round(exact) if abs(exact - round(exact)) <= 1e-9 * max(1.0, exact) else int(exact)
    share = 0.0 if exact - whole <= 1e-9 * max(1.0, exact) else exact - whole
    error = np.array([0.0, 0.0, 1.0])
    for size, count in ((tau, whole), (share * tau, 1)):
        if size > 0 and count > 0:
            step = _error_step(constants, residual, game, level, order, size)
            error = np.linalg.matrix_power(step, count) @ error
    everything = (*constants, game.generator_lr, game.discriminator_lr)
    m = comparison_matrix(*everything)
    uniform = None
    if comparison_rate(*everything) < 0:
        uniform = Players(*(float(e) for e in tau * np.linalg.solve(-m, np.array(residual))))
    return ErrorBound(float(error[0]), float(error[1]), uniform, residual, whole + (share > 0))


def _residual(constants: Constants, suprema: Suprema, game: Any, level: str, order: str) -> Players:
    """Error of a single step, divided by its square: a player that looks at an old state errs by the other's speed."""
    stale = Players(
        game.generator_lr * constants.generator_lipschitz * suprema.speed.discriminator,
        game.discriminator_lr * constants.discriminator_lipschitz * suprema.speed.generator,
    )
    blind = [True, True]
    if level == JKO_SEQUENTIAL:
        blind[1 if order == ORDERS[0] else 0] = False
    return Players(*(float(suprema.acceleration[i] / 2 + (stale[i] if blind[i] else 0.0)) for i in (0, 1)))


def _error_step(constants: Constants, residual: Players, game: Any, level: str, order: str, tau: float) -> Array:
    """The recursion of the errors (generator, discriminator, 1) over one step, as a matrix."""
    eta = (game.generator_lr, game.discriminator_lr)
    lam = (constants.generator_convexity, constants.discriminator_convexity)
    cross = (constants.generator_lipschitz, constants.discriminator_lipschitz)
    moves = []
    for i in (0, 1):
        damped = 1 + tau * eta[i] * lam[i]
        if damped <= 0:
            raise NotApplicable(f"a proximal step of size {tau:g} is not strictly convex; reduce step_size")
        move = np.eye(3)
        move[i, i], move[i, 1 - i], move[i, 2] = 1.0, tau * eta[i] * cross[i], tau**2 * residual[i]
        move[i] /= damped
        moves.append(move)
    if level == JKO:
        joint: Array = np.stack([moves[0][0], moves[1][1], np.array([0.0, 0.0, 1.0])])
        return joint
    return moves[1] @ moves[0] if order == ORDERS[0] else moves[0] @ moves[1]


def _checked(lam1: Any, lam2: Any, l12: Any, l21: Any, eta1: Any, eta2: Any) -> tuple[Array, ...]:
    return tuple(
        np.broadcast_arrays(
            numbers_in("generator_convexity", lam1),
            numbers_in("discriminator_convexity", lam2),
            numbers_in("generator_lipschitz", l12, at_least=0),
            numbers_in("discriminator_lipschitz", l21, at_least=0),
            numbers_in("generator_lr", eta1, above=0),
            numbers_in("discriminator_lr", eta2, above=0),
        )
    )
