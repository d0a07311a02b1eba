r"""The virtual equilibrium: the game as it would be where it should come to rest, and how far noise drives it there.

Away from an equilibrium the generator's own block and the indefinite part of the discriminator's block carry large
positive eigenvalues that vanish where fakes match data. From a reduced Jacobian with blocks A, B, C, E we keep

    J_v = [[0, B], [-B^T, E_-]],     E_- = negative semidefinite part of (E + E^T)/2,

the rotation and the damping. With M the update map of J_v and N the noise that one iteration adds,

    C_T = sum_{t<T} M^t N (M^T)^t,   wander^2 = sum_{rs} <o_r, o_s> C_rs / R^2,

where o_r is the change of the generated samples' mean per unit of generator mode r. Sums over T = 2^k iterations take k
doublings: C_2T = C_T + M^T C_T (M^T)^T.

References:
    Mescheder, Geiger, Nowozin. Which training methods for GANs do actually converge? ICML 2018.
    Mandt, Hoffman, Blei. Stochastic gradient descent as approximate Bayesian inference. JMLR 2017.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ganscope.core.errors import NotApplicable
from ganscope.diagnose.instruments.measurement import Measurement
from ganscope.diagnose.instruments.update_map import iteration_matrix, multipliers
from ganscope.diagnose.rule import Player, UpdateRule

Array = npt.NDArray[np.float64]

# Wander, in data radii, that stands for every larger one and for overflow.
WANDER_CAP = 1e9
HORIZON = 1024
ADVICE_HORIZON = 256
# Root mean square displacement of the samples, in data radii, from which the horizon cost starts.
DISPLACEMENT = 0.3
# Products of at most so many multiplications are computed by BLAS on the calling thread.
_ONE_THREAD = 200_000
# Powers of a contracting map below this are no different from 0; without it they end in slow denormal numbers.
_NEGLIGIBLE = 1e-100


def damping_limit(player: Player) -> float:
    """(1 + beta) / kappa: damping per step at half the flip limit, beyond which more damping no longer helps."""
    return (1.0 + player.memory) / player.kappa


def virtual_jacobian(jacobian: Array, split: int, limit: float | None = None) -> Array:
    """J_v.

    Args:
        jacobian: `[d, d]`, the first `split` rows the generator's.
        split: Number of generator rows.
        limit: Damping rates are clipped to it; None clips nothing. Curvature of a penalty that is measured at weights
            trained without it is far too large: the discriminator flattens within tens of iterations.
    """
    own = jacobian[split:, split:]
    rates, axes = np.linalg.eigh(0.5 * (own + own.T))
    rates = np.minimum(rates, 0.0) if limit is None else np.clip(rates, -limit, 0.0)
    virtual = np.zeros_like(jacobian)
    virtual[:split, split:] = jacobian[:split, split:]
    virtual[split:, :split] = -jacobian[:split, split:].T
    virtual[split:, split:] = (axes * rates) @ axes.T
    return virtual


def virtual_map(measurement: Measurement, clamp: bool = False) -> Array:
    """Update map of the virtual equilibrium, `[4r, 4r]`; `clamp` clips the damping rates as advice does."""
    rule, split = measurement.rule, measurement.modes
    limit = damping_limit(rule.discriminator) if clamp else None
    return iteration_matrix(virtual_jacobian(measurement.jacobian, split, limit), split, rule)


def noise_covariance(noise: Array, split: int, rule: UpdateRule) -> Array:
    """Covariance of what minibatch noise adds to the state in one iteration, `[2d, 2d]`.

    A gradient error e reaches the memory as kappa e, and with it the parameters; the errors of n_D discriminator steps
    are independent, so that their sum is sqrt(n_D) as large.

    Args:
        noise: Velocity of single minibatches, centred, `[minibatches, d]`.
        split: Number of generator columns.
        rule: The update rule.
    """
    size = np.ones(noise.shape[1])
    size[:split] = rule.generator.kappa
    size[split:] = rule.discriminator.kappa * math.sqrt(rule.discriminator_steps)
    kicks = np.tile(noise * size, 2)
    covariance: Array = kicks.T @ kicks / (len(noise) - 1)
    return covariance


def doublings(matrix: Array, covariances: Array, horizon: int) -> Iterator[tuple[int, Array]]:
    """T = 1, 2, 4 ... `horizon`, each with sum_{t<T} M^t P (M^T)^t for every P of `covariances` `[k, n, n]`.

    Sums that overflow come as infinities or NaN.
    """
    power, sums, time = matrix, covariances, 1
    yield time, sums
    while time < horizon:
        with np.errstate(all="ignore"):
            sums = sums + np.stack([_product(_product(power, one), power.T) for one in sums])
            power = _product(power, power)
        power[np.abs(power) < _NEGLIGIBLE] = 0.0
        time *= 2
        yield time, sums


def _product(left: Array, right: Array) -> Array:
    """left @ right, in panels small enough for one thread.

    BLAS threads wait for each other actively: where training keeps the cores busy, that makes the small products here a
    hundred times slower.
    """
    width = _ONE_THREAD // left.size
    if width < 8:
        whole: Array = left @ right
        return whole
    return np.concatenate([left @ right[:, i : i + width] for i in range(0, right.shape[1], width)], axis=1)


@dataclass(frozen=True)
class Visibility:
    """Generator modes as they are seen in the samples, in units of R^2 per squared unit of a mode, `[r, r]`.

    Attributes:
        mean: Inner products of the changes of the samples' centre of mass.
        particle: Inner products of the changes of single samples, mean over the latents.
    """

    mean: Array
    particle: Array


def visibility(measurement: Measurement) -> Visibility:
    """How generator modes move the samples.

    Raises:
        NotApplicable: Without a generator that can be called, or with data that has no extent.
    """
    outputs, radius = measurement.outputs, measurement.data_radius
    if outputs is None:
        raise NotApplicable("predicted wander needs generated samples: give the game a generator(theta, z)")
    if not (math.isfinite(radius) and radius > 0):
        raise NotApplicable(f"the data radius is {radius:g}: distances cannot be counted in units of it")
    scaled = outputs / radius
    centre = scaled.mean(axis=1)
    flat = scaled.reshape(len(scaled), -1)
    return Visibility(centre @ centre.T, flat @ flat.T / outputs.shape[1])


@dataclass(frozen=True)
class Forecast:
    """What minibatch noise and a displaced generator do at the virtual equilibrium.

    Attributes:
        predicted_wander: Wander of the samples' centre of mass over the horizon, in data radii, at most WANDER_CAP.
        particle_wander: The same of single samples.
        horizon_cost: Mean output variance over the advice horizon after a displacement of rms DISPLACEMENT R, plus
            the variance driven by noise at its end, in units of R^2; infinite where it overflows, NaN if no generator
            mode moves the samples.
    """

    predicted_wander: float
    particle_wander: float
    horizon_cost: float


def forecast(
    measurement: Measurement, horizon: int = HORIZON, advice_horizon: int = ADVICE_HORIZON, clamp: bool = False
) -> Forecast:
    """Predicted wander and horizon cost of one measurement.

    Args:
        measurement: The reduced game, changed or not.
        horizon, advice_horizon: Iterations, powers of two.
        clamp: Clip damping rates at half the flip limit, as what-ifs and advice do.

    Raises:
        NotApplicable: As `visibility`.
    """
    seen = visibility(measurement)
    split = measurement.modes
    noise = noise_covariance(measurement.noise, split, measurement.rule)
    if not (np.all(np.isfinite(measurement.jacobian)) and np.all(np.isfinite(noise))):
        return Forecast(WANDER_CAP, WANDER_CAP, math.inf)
    visible = float(np.trace(seen.particle))
    start = np.zeros_like(noise)
    start[:split, :split] = np.eye(split) * (DISPLACEMENT**2 / visible if visible > 0 else math.nan)
    wander = particle = cost = math.nan
    both = np.stack([noise, start]) if visible > 0 else noise[None]
    for time, sums in doublings(virtual_map(measurement, clamp), both, max(horizon, advice_horizon)):
        if time == horizon:
            wander, particle = _wander(seen.mean, sums[0]), _wander(seen.particle, sums[0])
        if time == advice_horizon and visible > 0:
            cost = _variance(seen.particle, sums[0]) + _variance(seen.particle, sums[1]) / advice_horizon
    return Forecast(wander, particle, cost)


def _variance(visible: Array, covariance: Array) -> float:
    """Output variance of a state's covariance, in units of R^2; infinite where the covariance overflowed."""
    with np.errstate(all="ignore"):
        total = float(np.sum(visible * covariance[: len(visible), : len(visible)]))
    return max(total, 0.0) if math.isfinite(total) else math.inf


def _wander(visible: Array, covariance: Array) -> float:
    return min(math.sqrt(_variance(visible, covariance)), WANDER_CAP)


def growth(measurement: Measurement, clamp: bool = False) -> float:
    """rho_v, the largest modulus of a multiplier of the virtual map that is no flip, per iteration."""
    if not np.all(np.isfinite(measurement.jacobian)):
        return math.inf
    return multipliers(virtual_map(measurement, clamp)).radius_without_flips


def decay(measurement: Measurement, iterations: int, clamp: bool = False) -> float:
    """Share that is left of a wander of the centre of mass after some iterations without noise, from 0 to 1.

    Root mean square over generator displacements, isotropic in the modes; what the samples do not show does not count.
    A motion that grows is counted as lasting: the linear model does not know where it saturates.
    """
    seen = visibility(measurement).mean
    start = float(np.trace(seen))
    if start <= 0 or not np.all(np.isfinite(measurement.jacobian)):
        return 1.0
    with np.errstate(all="ignore"):
        moved = np.linalg.matrix_power(virtual_map(measurement, clamp), iterations)
        moved = moved[: measurement.modes, : measurement.modes]
        left = _variance(seen, moved @ moved.T)
    return min(math.sqrt(left / start), 1.0)
