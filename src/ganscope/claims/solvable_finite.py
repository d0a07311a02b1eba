r"""Claims of the solvable model about runs of finite dimension: their limit, their law and their fluctuations.

Sample sizes are those that the tolerances need; seeds are fixed.
"""

from typing import Any

import numpy as np
from scipy.integrate import solve_ivp
from scipy.stats import kstest

from ganscope.claims.claim import Evidence, claims_of
from ganscope.claims.confrontation import largest
from ganscope.claims.solvable_settings import (
    GENERIC,
    Array,
    generic_game,
    packed,
    within,
)
from ganscope.core.random import keys
from ganscope.core.simulate import simulate
from ganscope.games.solvable import sgd, starts
from ganscope.games.solvable.drift import game_drift
from ganscope.games.solvable.fluctuations import fluctuations, replica_overlap
from ganscope.games.solvable.model import SolvableGAN
from ganscope.games.solvable.packing import DISCRIMINATOR_LR, GENERATOR_LR, GENERATOR_NOISE
from ganscope.games.solvable.state import MacroState

claim = claims_of("solvable")


@claim(
    "S1",
    "The overlaps of SGD follow the ODE with an error of order dimension^(-1/2): generic start, largest error over "
    "times 0, 1, 2, 3, 4, mean over replicas",
    source="paper",
    fast=False,
)
def sgd_follows_the_ode() -> Evidence:
    expected = {200: 0.154, 1000: 0.068, 5000: 0.032}
    replicas = {200: 256, 1000: 128, 5000: 64}
    times = np.arange(5.0)
    errors = {n: _sup_error("sgd", n, count, times) for n, count in replicas.items()}
    dimensions = 100 * 2 ** np.arange(7)
    chain = [_sup_error("chain", int(n), 256, np.arange(9.0)) for n in dimensions]
    slopes = _log_slope(list(errors), list(errors.values())), _log_slope(dimensions, chain)
    close = [abs(errors[n] - expected[n]) <= 0.15 * expected[n] for n in expected]
    names = [f"error at dimension {n}" for n in expected]
    return (
        {**dict(zip(names, expected.values(), strict=True)), "slope": -0.5, "slope of the chain, 100..6400": -0.5},
        {
            **dict(zip(names, errors.values(), strict=True)),
            "slope": slopes[0],
            "slope of the chain, 100..6400": slopes[1],
        },
        {"error": "15 %", "slope": 0.1},
        all(close) and within(slopes, -0.5, 0.1),
    )


def _sup_error(level: str, dimension: int, replicas: int, times: Array) -> float:
    """Largest Euclidean distance from the ODE over the times, mean over replicas."""
    game = generic_game()
    run = packed(simulate(game, level, dimension=dimension, replicas=replicas, save_at=times))
    distance = np.linalg.norm(run - packed(simulate(game, "ode", save_at=times)), axis=-1)
    return float(distance.max(axis=-1).mean())


def _log_slope(x: Any, y: Any) -> float:
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])


@claim(
    "S2",
    "dz/dt carries the squared length of the noise, and dS/dt no second-order term: generic start, regularization 10, "
    "time 2, chain of dimension 10^4, 30 replicas",
    source="paper",
    fast=True,
)
def second_order_terms() -> Evidence:
    game = generic_game(regularization=10.0)
    at, parameters = game.layout, game.rows()[:, 0]
    rate, parts = game_drift(game)
    tau, tau_g = parameters[DISCRIMINATOR_LR], parameters[GENERATOR_LR]
    latent = np.diag(game.latent_variance)

    def without_noise_length(t: float, x: Array) -> Any:
        result = np.array(rate(x, parameters))
        result[at.z] -= tau**2 * parts(x, parameters).diffusion
        return result

    def with_generator_square(t: float, x: Array) -> Any:
        result, r, z = np.array(rate(x, parameters)), x[at.r : at.S], x[at.z]
        along = latent @ r
        second_moment = (r @ along + parameters[GENERATOR_NOISE] * z) * latent + 2 * np.outer(along, along)
        result[at.S : at.z] += tau_g**2 * z * second_moment.ravel()
        return result

    ode = packed(simulate(game, "ode", save_at=[2.0]))[0]
    chain = packed(simulate(game, "chain", dimension=10**4, replicas=30, save_at=[2.0]))[:, 0]
    mean, error = chain.mean(0), chain.std(0, ddof=1) / np.sqrt(len(chain))
    wrong_z, wrong_s = (
        solve_ivp(field, (0.0, 2.0), GENERIC.vector(), rtol=1e-9, atol=1e-12).y[:, -1]
        for field in (without_noise_length, with_generator_square)
    )
    measured = {
        "largest deviation in standard errors": largest((mean - ode) / error),
        "without tau^2: q_1 moves by": float(wrong_z[at.q] - ode[at.q]),
        "without tau^2: standard errors from the chain": largest((mean - wrong_z)[at.q] / error[at.q]),
        "with tau~^2: S_11 moves by": float(wrong_s[at.S] - ode[at.S]),
        "with tau~^2: standard errors from the chain": largest((mean - wrong_s)[at.S] / error[at.S]),
    }
    values = list(measured.values())
    bounds = (0.0, 0.19, "> 4", 0.028, "> 4")
    return (
        dict(zip(measured, bounds, strict=True)),
        measured,
        {"standard errors": 4.0, "q_1": 0.005, "S_11": 0.001},
        values[0] <= 4
        and within(values[1], 0.19, 0.005)
        and values[2] > 4
        and within(values[3], 0.028, 0.001)
        and values[4] > 4,
    )


@claim(
    "S3",
    "Rows of the weights follow the SDE: one feature u = +-1, strength 5, start P = q = 0.3, dimension 4000, time 4: "
    "given u, the discriminator's weight is normal with mean q u and variance 1 - q^2",
    source="paper",
    fast=True,
)
def rows_follow_the_sde() -> Evidence:
    game = SolvableGAN((5.0,), initial=MacroState([[0.3]], [0.3]))
    q = float(simulate(game, "ode", save_at=[4.0]).q.item())
    measured: dict[str, Any] = {"q(4)": q}
    for level in ("sgd", "sde"):
        run = simulate(game, level, dimension=4000, save_at=[4.0], frame="signs", keep_rows=True)
        u, w = np.sqrt(4000) * run.U.values[:, 0], np.sqrt(4000) * run.w.values[0].astype(np.float64)
        standard = (w - q * u) / np.sqrt(1 - q**2)
        tests = [float(kstest(standard[np.sign(u) == sign], "norm").pvalue) for sign in (1, -1)]
        measured[f"p-values of {level}, u = 1 and -1"] = tests
    smallest = min(min(value) for name, value in measured.items() if name != "q(4)")
    return (
        {"q(4)": 0.80696, "p-values": "> 0.001"},
        measured,
        {"q(4)": 1e-5, "p-values": 0.001},
        within(q, 0.80696, 1e-5) and smallest > 0.001,
    )


@claim(
    "S4",
    "The overlaps are deterministic, the weights stay random: two runs from the same weights with independent data "
    "keep an overlap that falls; times 0, 1, 2, 4, SGD of dimension 1000, mean of 16 pairs",
    source="paper",
    fast=True,
)
def weights_stay_random() -> Evidence:
    expected = [1.0, 0.72466, 0.64972, 0.67282]
    game, times = generic_game(), [0.0, 1.0, 2.0, 4.0]
    theory = replica_overlap(game, save_at=times).discriminator_overlap.values
    pairs = np.array([_pair_overlap(game, 1000, times, pair) for pair in range(16)])
    simulated, error = pairs.mean(0), pairs.std(0, ddof=1) / np.sqrt(len(pairs))
    return (
        {"theory": expected, "simulation": expected},
        {"theory": theory, "simulation": simulated, "standard error of the simulation": error},
        {"theory": 1e-5, "simulation": 0.03},
        within(theory, expected, 1e-5) and within(simulated, expected, 0.03),
    )


def _pair_overlap(game: SolvableGAN, dimension: int, times: list[float], pair: int) -> Array:
    """w_a . w_b at the times, for two SGD runs from one start."""
    kernel = sgd.sgd_kernel(game.features, game.columns, game.hard, game.link, game.latent, False)
    stops = np.round(np.array(times) * dimension).astype(np.int64)
    start = starts.weights(game, dimension, 0, pair, "random").astype(np.float32)
    runs = []
    for stream in (2 * pair, 2 * pair + 1):
        overlaps = np.empty((len(stops), game.layout.size))
        kept = np.empty((len(stops), game.columns + 1, dimension), np.float32)
        atoms = np.zeros((1, game.features))
        key = keys(1, np.array([stream], np.uint64))[0]
        kernel(start.copy(), game.rows(), key, atoms, 0, int(stops[-1]), stops, overlaps, kept)
        runs.append(kept[:, -1].astype(np.float64))
    result: Array = (runs[0] * runs[1]).sum(-1)
    return result


@claim(
    "S10",
    "With the quadratic link latents enter the limit through their covariance alone: generic start, Gaussian against "
    "Rademacher latents, chain of dimension 2000, time 4, 200 replicas each",
    source="derived",
    fast=True,
)
def only_covariances_matter() -> Evidence:
    games = [generic_game(latent=latent) for latent in ("gaussian", "rademacher")]
    odes = [packed(simulate(game, "ode", horizon=20)) for game in games]
    chains = [packed(simulate(g, "chain", dimension=2000, replicas=200, save_at=[4.0]))[:, 0] for g in games]
    gap = np.abs(chains[0].mean(0) - chains[1].mean(0))
    error = np.sqrt(sum(chain.var(0, ddof=1) / len(chain) for chain in chains))
    moving = error > 0
    difference = largest(odes[0] - odes[1])
    return (
        {"largest difference of the ODEs": 0.0, "difference of the chains' means over its bound": "<= 1"},
        {
            "largest difference of the ODEs": difference,
            "difference of the chains' means over its bound": float((gap / (4 * error + 5 / 2000)).max()),
            "in standard errors": float((gap[moving] / error[moving]).max()),
        },
        {"ODE": 0.0, "bound": "4 standard errors + 5 / dimension"},
        difference == 0.0 and bool(np.all(gap <= 4 * error + 5 / 2000)),
    )


@claim(
    "S11",
    "The chain has the law of the full simulation: all means and second central moments at dimension 20 after 40 steps "
    "(10^4 replicas) and dimension 8 after 24 steps (2 10^4 replicas)",
    source="extension",
    fast=False,
)
def chain_is_exact() -> Evidence:
    one_feature = SolvableGAN((5.0,), initial=MacroState([[0.3]], [0.3]))
    cases = {
        "hard, quadratic, Gaussian": (generic_game(), 20, 40, 10_000),
        "soft, quadratic, Rademacher": (generic_game(regularization=10.0, latent="rademacher"), 20, 40, 10_000),
        "hard, tanh, Rademacher": (generic_game(link="tanh", latent="rademacher"), 20, 40, 10_000),
        "soft, logistic, Gaussian": (generic_game(regularization=10.0, link="logistic"), 20, 40, 10_000),
        "one feature, hard, quadratic": (one_feature, 8, 24, 20_000),
    }
    deviations, conserved = {}, 0.0
    for name, (game, dimension, steps, replicas) in cases.items():
        full, chain = (
            packed(simulate(game, level, dimension=dimension, iterations=steps, save_at=[steps], replicas=replicas))
            for level in ("sgd", "chain")
        )
        gap, error = _moment_gap(full[:, 0], chain[:, 0])
        fixed = _conserved_moments(game)
        deviations[name] = float((gap[~fixed] / error[~fixed]).max())
        conserved = max(conserved, float(gap[fixed].max(initial=0.0)))
    return (
        {"deviation": 0.0, "moments with a conserved length": 0.0},
        {
            "largest deviation in standard errors": deviations,
            "largest difference of moments with a conserved length": conserved,
        },
        {"standard errors": 4.5, "moments with a conserved length": 1e-6},
        max(deviations.values()) <= 4.5 and conserved <= 1e-6,
    )


def _moment_gap(a: Array, b: Array) -> tuple[Array, Array]:
    """Differences of the means and second central moments of two samples, and their combined standard errors."""
    means, variances = [], []
    for sample in (a, b):
        centred = sample - sample.mean(0)
        products = (centred[:, :, None] * centred[:, None, :]).reshape(len(sample), -1)
        moments = np.concatenate([sample, products], axis=1)
        means.append(moments.mean(0))
        variances.append(moments.var(0) / len(sample))
    return np.abs(means[0] - means[1]), np.sqrt(variances[0] + variances[1])


def _conserved_moments(game: SolvableGAN) -> Any:
    """Which of the means and second moments hold a length that the hard constraint keeps at 1, up to rounding."""
    at = game.layout
    fixed = np.zeros(at.size, bool)
    if game.hard:
        fixed[[at.z, *(at.S + j * (game.columns + 1) for j in range(game.columns))]] = True
    return np.concatenate([fixed, (fixed[:, None] | fixed).ravel()])


@claim(
    "S12",
    "dimension x covariance of the overlaps follows the linear-noise equation: generic start, hard and regularization "
    "10, dimension 2000, time 4, 2000 replicas; one chain of dimension 10^6 at time 0.5",
    source="extension",
    fast=True,
)
def linear_noise() -> Evidence:
    worked = [0.0180033916, 0.0086358631, 0.0039646243, 0.0015961505, 0.7454379351, 1.7471125886]
    worked += [0.3796096771, 0.3811091719, 0.0, 0.0019545502, 0.0019545502, 0.0, 0.0]
    games = {"hard": generic_game(), "soft": generic_game(regularization=10.0)}
    theory = {name: fluctuations(game, save_at=[0.5, 2.0, 4.0]).covariance.values for name, game in games.items()}
    distance = {}
    for name, game in games.items():
        sample = packed(simulate(game, "chain", dimension=2000, replicas=2000, save_at=[4.0]))[:, 0]
        wanted = theory[name][2]
        distance[name] = float(np.linalg.norm(2000 * np.cov(sample.T) - wanted) / np.linalg.norm(wanted))
    ode = packed(simulate(games["hard"], "ode", save_at=[0.5]))[0]
    chain = packed(simulate(games["hard"], "chain", dimension=10**6, save_at=[0.5]))[0]
    bound = 4 * np.sqrt(np.diag(theory["hard"][0]) / 1e6) + 1e-4
    diagonal = np.diag(theory["hard"][1])
    excess = float((np.abs(chain - ode) / bound).max())
    return (
        {"diagonal at time 2": worked, "relative distance": 0.0, "dimension 10^6: deviation over its bound": "<= 1"},
        {
            "diagonal at time 2": diagonal,
            "relative distance": distance,
            "dimension 10^6: deviation over its bound": excess,
        },
        {"diagonal": "1e-4 relative", "relative distance": 0.1, "bound": "4 predicted deviations + 1e-4"},
        within(diagonal, worked, 1e-4 * np.array(worked) + 1e-9) and max(distance.values()) < 0.1 and excess <= 1,
    )
