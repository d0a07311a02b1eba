r"""What the limit leaves out: finite-size fluctuations around it, and the randomness of single weights.

Linear noise: sqrt(n) (X - x) has covariance C with dC/dt = J C + C J' + Sigma along the ODE, C(0) = 0, where J is
the Jacobian of the drift and Sigma the covariance of n times one step's increment. It is valid while fluctuations are
small, and fails when the path leaves an unstable point.

Replica overlap: two runs from the same weights with independent data keep an overlap rho = w_a'w_b that obeys the
ODE without its tau^2 term; it falls below z because the weights stay random while the overlaps with U do not.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from ganscope.analysis.linearisation import jacobian
from ganscope.core.errors import NotApplicable, ParameterError
from ganscope.core.game import to_json
from ganscope.core.schedule import make_schedule
from ganscope.core.version import package_version
from ganscope.games.solvable.drift import game_drift
from ganscope.games.solvable.flow import integrate, is_stiff
from ganscope.games.solvable.packing import (
    DATA_NOISE,
    DISCRIMINATOR_LR,
    GENERATOR_LR,
    GENERATOR_NOISE,
    VARIANCES,
)
from ganscope.games.solvable.state import MacroState

if TYPE_CHECKING:
    from ganscope.games.solvable.model import SolvableGAN

Array = npt.NDArray[np.float64]


def _solve(game: "SolvableGAN", field: Any, start: Array, times: Array) -> Array:
    """Values at `times`, shape `[times, len(start)]`.

    Raises:
        NotApplicable: If the overlaps leave every bounded region.
    """
    stiff = bool(is_stiff(game.rows()[:, 0], float(times[-1])))
    result = integrate(field, start, times, 1e-8, 1e-11, stiff, watched=game.layout.size)
    if not np.isfinite(result).all():
        raise NotApplicable("the path leaves every bounded region: there is nothing to fluctuate about")
    return result


def _check(game: Any) -> None:
    from ganscope.games.solvable.model import SolvableGAN

    if not isinstance(game, SolvableGAN):
        raise ParameterError("game", type(game).__name__, "a SolvableGAN")


def increment_covariance(game: "SolvableGAN", x: Array) -> Array:
    r"""Sigma: covariance of n times one SGD step's increment of the packed state, at leading order.

    The real sample, the discriminator's fake and the generator's fake are independent, so Sigma is a sum of three
    parts, each a covariance of products of Gaussians pushed through the linear map from products to increments; in
    hard mode through the derivative of the normalisation as well.

    Args:
        game: A game with the quadratic link and Gaussian latents.
        x: Packed state, shape `[size]`.

    Returns:
        Shape `[size, size]`.

    Raises:
        NotApplicable: For other links or latents, whose fourth moments enter.
    """
    if game.link != "quadratic" or not (isinstance(game.latent, str) and game.latent == "gaussian"):
        raise NotApplicable("fluctuations need link = 'quadratic' and latent = 'gaussian': fourth moments enter")
    p, at = game.rows()[:, 0], game.layout
    features, columns = game.features, game.columns
    state = MacroState.from_vector(x, features, columns)
    P, q, r, S, z = state.P, state.q, state.r, state.S, state.z
    gram, m = state.gram, features + columns + 1
    tau, tau_g = p[DISCRIMINATOR_LR], p[GENERATOR_LR]
    real_variance = np.diag(p[VARIANCES : VARIANCES + features])
    fake_variance = np.diag(p[VARIANCES + features :])

    def products(covariance: Array) -> Array:
        """Covariance of s y_i, with s the last component of a Gaussian vector y."""
        last = covariance[-1]
        return np.asarray(covariance[-1, -1] * covariance + np.outer(last, last))

    # Columns: products s y_i of the samples' projections y on [U V w]; rows: the packed increments they cause.
    def discriminator_map(noise: float, sign: float) -> Array:
        """Increments per product: q and r along their own row, z along w and through the noise's length."""
        rows = np.zeros((at.size, m))
        rows[at.q : at.r, :features] = sign * tau * np.eye(features)
        rows[at.r : at.S, features : m - 1] = sign * tau * np.eye(columns)
        rows[at.z, m - 1] = sign * 2 * tau + tau**2 * noise  # s times s is the last product
        return rows

    from_u = gram[:, :features]
    from_v = gram[:, features : m - 1]
    real = products(from_u @ real_variance @ from_u.T + p[DATA_NOISE] * gram)
    fake = products(from_v @ fake_variance @ from_v.T + p[GENERATOR_NOISE] * gram)
    along = fake_variance @ r
    generator = (r @ along + p[GENERATOR_NOISE] * z) * fake_variance + np.outer(along, along)
    generator_map = np.zeros((at.size, columns))
    for j in range(columns):
        unit = np.zeros(columns)
        unit[j] = tau_g
        generator_map[: at.q, j] = np.outer(q, unit).ravel()
        generator_map[at.r : at.S, j] = z * unit
        generator_map[at.S : at.z, j] = (np.outer(r, unit) + np.outer(unit, r)).ravel()
    maps = [discriminator_map(p[DATA_NOISE], 1.0), discriminator_map(p[GENERATOR_NOISE], -1.0), generator_map]
    if game.hard:
        projection = _normalisation(P, q, r, S)
        maps = [projection @ rows for rows in maps]
    total: Array = sum(rows @ cov @ rows.T for rows, cov in zip(maps, (real, fake, generator), strict=True))
    return total


def _normalisation(P: Array, q: Array, r: Array, S: Array) -> Array:
    """Derivative of the normalisation of w and of every column of V, at unit lengths, `[size, size]`."""
    features, columns = P.shape
    size = features * columns + features + columns + columns**2 + 1
    at_q = features * columns
    at_r, at_s, at_z = at_q + features, at_q + features + columns, size - 1
    result = np.eye(size)
    diagonal = [at_s + j * columns + j for j in range(columns)]
    for j in range(columns):
        for i in range(features):
            result[i * columns + j, diagonal[j]] -= P[i, j] / 2
        result[at_r + j, at_z] -= r[j] / 2
        result[at_r + j, diagonal[j]] -= r[j] / 2
        for i in range(columns):
            result[at_s + i * columns + j, diagonal[i]] -= S[i, j] / 2
            result[at_s + i * columns + j, diagonal[j]] -= S[i, j] / 2
    for i in range(features):
        result[at_q + i, at_z] -= q[i] / 2
    result[at_z] = 0.0
    return result


def fluctuations(game: "SolvableGAN", horizon: float | None = None, save_at: Any = None) -> xr.Dataset:
    """Covariance of the finite-size fluctuations along the ODE: the limit of n Cov(P, q, r, S, z).

    Args:
        game: A game with the quadratic link and Gaussian latents, started from fixed overlaps.
        horizon: Length in time.
        save_at: Times to record; None gives 201 equally spaced ones.

    Returns:
        `covariance` `(time, component, other_component)` in the packing P row-major, q, r, S row-major, z (times
        1 / n it is the covariance at dimension n), and `state` `(time, component)`, the ODE's path.

    Raises:
        NotApplicable: For other links or latents, or if the path diverges.
    """
    _check(game)
    start = game.start.vector()
    increment_covariance(game, start)  # refuses before any work
    times = make_schedule(horizon, None, save_at, per_unit=None, default_horizon=400.0).times
    parameters, size = game.rows()[:, 0], len(start)
    rate, _ = game_drift(game)

    def field(t: float, packed: Array) -> Array:
        del t
        x, covariance = packed[:size], packed[size:].reshape(size, size)
        J = jacobian(lambda y: rate(y, parameters), x)
        spread = J @ covariance
        return np.concatenate([rate(x, parameters), (spread + spread.T + increment_covariance(game, x)).ravel()])

    solution = _solve(game, field, np.concatenate([start, np.zeros(size**2)]), times)
    names = component_names(game)
    return xr.Dataset(
        {
            "state": (("time", "component"), solution[:, :size]),
            "covariance": (("time", "component", "other_component"), solution[:, size:].reshape(-1, size, size)),
        },
        {"time": times, "component": names, "other_component": names},
        {"game": to_json(game), "level": "fluctuations", "version": package_version()},
    )


def component_names(game: "SolvableGAN") -> npt.NDArray[Any]:
    """Names of the packed components, `P_11`, ..., `z`, as an object array."""
    features, columns = range(1, game.features + 1), range(1, game.columns + 1)
    names = [f"P_{i}{j}" for i in features for j in columns] + [f"q_{i}" for i in features]
    names += [f"r_{j}" for j in columns] + [f"S_{j}{k}" for j in columns for k in columns] + ["z"]
    return np.array(names, dtype=object)


def replica_overlap(game: "SolvableGAN", horizon: float | None = None, save_at: Any = None) -> xr.Dataset:
    """Overlaps between two runs from the same weights with independent data, in the limit of infinite dimension.

    d rho/dt = 2 tau (q'A - A~'R + kappa rho)
    dR/dt    = tau (P'A - T A~ + kappa R) + tau~ (rho A~ - D R)
    dT/dt    = tau~ (R A~' + A~ R' - T D - D T),        rho(0) = z, R(0) = r, T(0) = S.

    Args:
        game: The game, started from fixed overlaps.
        horizon: Length in time.
        save_at: Times to record; None gives 201 equally spaced ones.

    Returns:
        `discriminator_overlap` rho `(time)`, `cross_overlap` R `(time, column)`, `generator_overlap` T
        `(time, column, other_column)`.

    Raises:
        NotApplicable: If the start is random or the path diverges.
    """
    _check(game)
    start, at = game.start.vector(), game.layout
    times = make_schedule(horizon, None, save_at, per_unit=None, default_horizon=400.0).times
    parameters, columns = game.rows()[:, 0], game.columns
    tau, tau_g = parameters[DISCRIMINATOR_LR], parameters[GENERATOR_LR]
    rate, parts = game_drift(game)

    def field(t: float, packed: Array) -> Array:
        del t
        x, rest = packed[: at.size], packed[at.size :]
        state = MacroState.from_vector(x, game.features, columns)
        now = parts(x, parameters)
        A, A_fake, kappa, D = now.real.correlation, now.fake.correlation, now.decay, now.columns
        rho, R, T = rest[0], rest[1 : 1 + columns], rest[1 + columns :].reshape(columns, columns)
        d_rho = 2 * tau * (state.q @ A - A_fake @ R + kappa * rho)
        d_R = tau * (state.P.T @ A - T @ A_fake + kappa * R) + tau_g * (rho * A_fake - D * R)
        grow = np.outer(R, A_fake) - T * D
        return np.concatenate([rate(x, parameters), [d_rho], d_R, tau_g * (grow + grow.T).ravel()])

    beginning = np.concatenate([start, [start[at.z]], start[at.r : at.S], start[at.S : at.z]])
    solution = _solve(game, field, beginning, times)[:, at.size :]
    return xr.Dataset(
        {
            "discriminator_overlap": ("time", solution[:, 0]),
            "cross_overlap": (("time", "column"), solution[:, 1 : 1 + columns]),
            "generator_overlap": (
                ("time", "column", "other_column"),
                solution[:, 1 + columns :].reshape(-1, columns, columns),
            ),
        },
        {"time": times},
        {"game": to_json(game), "level": "replica_overlap", "version": package_version()},
    )
