r"""The data of the solvable model's figures: one recipe per figure, beside the claims that it illustrates.

Every recipe returns labelled data sets by name; `figures.solvable` draws them. Sizes are arguments, so that a recipe
can be run small; the defaults are those of the published figures and take seconds to a minute on two cores.

Games are those of the claims: features of variance (5, 3) or 5 alone, discriminator_lr 0.2, generator_lr 0.04, hard
constraint, quadratic link, started at P = 0.1 I, q = 0.1 unless a recipe says otherwise.

References:
    Wang, Hu, Lu. A Solvable High-Dimensional Model of GAN. NeurIPS 2019.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.stats
import xarray as xr

from ganscope.core.errors import NotApplicable
from ganscope.core.grids import linspace, logspace
from ganscope.core.results import compare
from ganscope.core.simulate import classify, simulate, simulate_many
from ganscope.games.solvable import phases
from ganscope.games.solvable.data import component_scores
from ganscope.games.solvable.fluctuations import fluctuations
from ganscope.games.solvable.fluctuations import replica_overlap as replica_theory
from ganscope.games.solvable.model import SolvableGAN
from ganscope.games.solvable.silence import quadratic_silence, silence, silent_matrix
from ganscope.games.solvable.state import MacroState
from ganscope.games.solvable.verdict import labels

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Data = dict[str, xr.Dataset]

# A start away from every symmetry, at which finite-size errors are compared.
GENERIC_START = MacroState([[0.3, 0.1], [0.05, 0.25]], [0.3, 0.2])
# Runs of a phase diagram last until generator_lr * feature_variance * time reaches this: 2000 units of time at the
# default rates and strength 5, five times what the rule for a single run asks for, since they slow down at a boundary.
GENERATOR_TIME = 400.0
# Records of the last quarter: closer than a period, which records of the whole run are not.
_LATE_RECORDS = 600
_BISECTIONS = 50


def regimes(
    noises: Sequence[float] = (2.0, 1.0, 4.0),
    horizon: float = 200.0,
    dimension: int = 1000,
    replicas: int = 16,
    seed: int = 0,
) -> Data:
    """F1: success, oscillation and mode collapse by the background noise alone.

    Returns:
        `limit` (with its verdict, `detail`) and `chain`, runs with dimension `cell`, and `fluctuations`, the limit of
        n Cov as `covariance` `(cell, time, component, other_component)`.
    """
    game = SolvableGAN()
    over = {"data_noise": np.asarray(noises)}
    limit = simulate_many(game, over, "ode", horizon=horizon)
    details = [classify(limit.isel(cell=k)).detail for k in range(len(noises))]
    return {
        "limit": limit.assign(detail=("cell", details)),
        "chain": simulate_many(game, over, "chain", horizon=horizon, dimension=dimension, replicas=replicas, seed=seed),
        "fluctuations": xr.concat(
            [fluctuations(game.replace(data_noise=noise), horizon=horizon) for noise in noises],
            "cell",
            combine_attrs="drop",
        ),
    }


def error_against_dimension(
    sgd_dimensions: Sequence[int] = (200, 1000, 5000),
    chain_dimensions: Sequence[int] = (100, 1000, 10_000, 100_000, 1_000_000),
    replicas: int = 32,
    seed: int = 0,
) -> Data:
    """F2: distance from the limit falls as dimension^{-1/2}.

    Returns:
        `sgd` and `chain`: `error` `(dimension, replica)`, the largest Euclidean distance of the macroscopic state from
        the limit at times 0, 1, 2, 3, 4.
    """
    game = SolvableGAN(initial=GENERIC_START)
    times = np.arange(5.0)
    limit = simulate(game, "ode", save_at=times)

    def errors(level: str, dimensions: Sequence[int]) -> xr.Dataset:
        rows = []
        for dimension in dimensions:
            run = simulate(game, level, dimension=dimension, replicas=replicas, seed=seed, save_at=times)
            apart = compare(run, limit)
            squared = sum(apart[name] ** 2 for name in ("P", "q", "r", "S", "z"))
            rows.append(np.atleast_1d(np.sqrt(np.asarray(squared)).max(axis=-1)))
        attrs = {"game": limit.attrs["game"], "level": level, "replicas": replicas}
        return xr.Dataset({"error": (("dimension", "replica"), rows)}, {"dimension": list(dimensions)}, attrs)

    return {"sgd": errors("sgd", sgd_dimensions), "chain": errors("chain", chain_dimensions)}


def phase_diagrams(num: int = 72, duration: float = GENERATOR_TIME) -> Data:
    """F3: what becomes of one feature, by noise and speed ratio, and by feature strength and noise.

    Args:
        num: Grid points per axis.
        duration: Runs last until generator_lr * feature_variance * time reaches this.

    Returns:
        `speed`: `detail` `(speed_ratio, data_noise)` at feature variance 5; `strength`: `detail`
        `(data_noise, feature_variance)` at speed ratio 0.2. Both with the analytic boundaries: `visible` (strength
        equals the lower threshold), `silent` (equals the upper one), `active` (active recovery exists beyond) and
        `active_stable` (and attracts).
    """
    return {"speed": _speed_diagram(num, duration), "strength": _strength_diagram(num, duration)}


def _speed_diagram(num: int, duration: float) -> xr.Dataset:
    strength, rate = 5.0, 0.2
    noises, ratios = linspace(0.05, 6.0, num), logspace(0.02, 2.0, num)
    game = SolvableGAN(feature_variance=strength, discriminator_lr=rate)
    detail = np.stack([judged(game.replace(generator_lr=r * rate), {"data_noise": noises}, duration) for r in ratios])
    fine = np.linspace(0.05, 6.0, 600)

    def lies_above(ratio: Array) -> Mask:
        return np.asarray(phases.upper_threshold(quadratic_silence(fine, fine, rate, ratio * rate)) < strength)

    def exists(ratio: Array) -> Mask:
        return np.asarray(np.isfinite(phases.active_recovery(strength, fine, fine, rate, ratio * rate).P[..., 0]))

    def attracts(ratio: Array) -> Mask:
        return phases.active_recovery_attracts(strength, fine, fine, rate, ratio * rate)

    visible = phases.lower_threshold(quadratic_silence(fine, fine, rate, rate)) < strength
    tests = {"silent": lies_above, "active": exists, "active_stable": attracts}
    edges = {name: _edge(test, 1e-4, 3.0, len(fine)) for name, test in tests.items()}
    edges["silent"] = np.where(visible, edges["silent"], np.nan)
    return xr.Dataset(
        {"detail": (("speed_ratio", "data_noise"), detail)} | {k: ("noise", v) for k, v in edges.items()},
        {"data_noise": noises, "speed_ratio": ratios, "noise": fine},
        {
            "feature_variance": strength,
            "discriminator_lr": rate,
            "duration": duration,
            "visible": float(np.sqrt(strength / rate)),
        },
    )


def _strength_diagram(num: int, duration: float) -> xr.Dataset:
    ratio, rate = 0.2, 0.2
    strengths, noises = logspace(0.2, 20.0, num), linspace(0.05, 6.0, num)
    game = SolvableGAN(discriminator_lr=rate, generator_lr=ratio * rate)
    columns = [judged(game.replace(feature_variance=v), {"data_noise": noises}, duration) for v in strengths]
    detail = np.stack(columns, axis=1)
    fine = np.geomspace(0.2, 20.0, 600)

    def sees(level: Array) -> Mask:
        return np.asarray(phases.lower_threshold(quadratic_silence(level, level, rate, ratio * rate)) > fine)

    def settles(level: Array) -> Mask:
        return np.asarray(phases.upper_threshold(quadratic_silence(level, level, rate, ratio * rate)) > fine)

    def ends(level: Array) -> Mask:
        return ~np.isfinite(phases.active_recovery(fine, level, level, rate, ratio * rate).P[..., 0])

    def repels(level: Array) -> Mask:
        return ~phases.active_recovery_attracts(fine, level, level, rate, ratio * rate)

    tests = {"visible": sees, "silent": settles, "active": ends, "active_stable": repels}
    edges = {name: _edge(test, 1e-3, 20.0, len(fine)) for name, test in tests.items()}
    return xr.Dataset(
        {"detail": (("data_noise", "feature_variance"), detail)} | {k: ("strength", v) for k, v in edges.items()},
        {"data_noise": noises, "feature_variance": strengths, "strength": fine},
        {"speed_ratio": ratio, "discriminator_lr": rate, "duration": duration},
    )


def _edge(test: Callable[[Array], Mask], low: float, high: float, count: int) -> Array:
    """Where a condition that holds above, and not below, an edge sets in, by bisection in the logarithm; NaN if it
    holds nowhere in the range."""
    below, above = np.full(count, np.log(low)), np.full(count, np.log(high))
    never = ~test(np.exp(above))
    for _ in range(_BISECTIONS):
        middle = 0.5 * (below + above)
        holds = test(np.exp(middle))
        below, above = np.where(holds, below, middle), np.where(holds, middle, above)
    return np.where(never, np.nan, np.exp(above))


def judged(game: SolvableGAN, over: dict[str, Any], duration: float = GENERATOR_TIME) -> npt.NDArray[Any]:
    """Labels of the limit of one-feature games for many parameter settings, shape `[cells]`."""
    end = duration / (game.generator_lr * game.feature_variance[0])
    times = np.concatenate([[0.0], np.linspace(0.75 * end, end, _LATE_RECORDS)])
    run = simulate_many(game, over, "ode", save_at=times, rtol=1e-7, atol=1e-10)
    signal = run.q.values / np.sqrt(run.z.values)[..., None]
    lengths = np.concatenate([run.z.values[..., None], np.diagonal(run.S.values, axis1=-2, axis2=-1)], axis=-1)
    return labels(times, run.recovery.values, signal, lengths).detail.astype(str)


def silent_spectrum(num: int = 401) -> Data:
    """F4: eigenvalues of the silent states along P = p I, for features of variance 5 and 3 at noise 2.

    Returns:
        `theory`: `eigenvalue` `(overlap, feature, pair)` in closed form; `matrix`: those of the whole linearisation,
        as a matrix, at fewer overlaps, `value` `(overlap, eigenvalue)`.
    """
    game = SolvableGAN()
    about = silence(game)
    overlaps, few = np.linspace(0.0, 1.0, num), np.linspace(0.0, 1.0, 21)
    strengths = np.array(game.feature_variance)
    closed = phases.silent_mode(strengths, overlaps[:, None], about, game.discriminator_lr)
    whole = np.stack([np.linalg.eigvals(silent_matrix(game, p * np.eye(game.features))) for p in few])
    theory = xr.Dataset(
        {
            "eigenvalue": (("overlap", "feature", "pair"), closed),
            "critical_overlap": ("feature", phases.critical_overlap(strengths, about)),
        },
        {"overlap": overlaps, "feature_variance": ("feature", strengths)},
        _parameters(game),
    )
    return {"theory": theory, "matrix": xr.Dataset({"value": (("overlap", "eigenvalue"), whole)}, {"overlap": few})}


def weight_law(dimension: int = 4000, time: float = 4.0, seed: int = 0) -> Data:
    """F5: single weights of SGD against their limiting law, with U_i = +-1 / sqrt(dimension).

    Returns:
        `weights`: `weight` sqrt(dimension) w_i and `sign` of U_i over `row`, with q(time) of the limit and the p-values
        of the Kolmogorov-Smirnov tests as attributes.
    """
    game = SolvableGAN(feature_variance=5.0, initial=MacroState([[0.3]], [0.3], [0.09]))
    run = simulate(game, "sgd", dimension=dimension, save_at=[0.0, time], seed=seed, frame="signs", keep_rows=True)
    limit = simulate(game, "ode", save_at=[0.0, time]).isel(time=-1)
    overlap = float(limit.q.item())
    weight = np.sqrt(dimension) * run.w.values[-1].astype(np.float64)
    sign = np.sign(run.U.values[:, 0])
    standard = (weight - overlap * sign) / np.sqrt(1.0 - overlap**2)
    p_values = {f"p_value_{name}": float(scipy.stats.kstest(standard[sign == s], "norm").pvalue) for s, name in _SIGNS}
    attrs = _parameters(game) | {"q": overlap, "dimension": dimension, "time": time, "seed": seed} | p_values
    return {"weights": xr.Dataset({"weight": ("row", weight), "sign": ("row", sign)}, attrs=attrs)}


_SIGNS = ((1.0, "plus"), (-1.0, "minus"))


def replica_overlap(horizon: float = 20.0, dimension: int = 1000, pairs: int = 8, seed: int = 0) -> Data:
    """F6: two runs from the same weights with independent data drift apart, although their overlaps with U agree.

    Returns:
        `theory` as `gs.replica_overlap` with the limit's `P`, `q`; `sgd`: the same names, `(pair, time, ...)`.
    """
    game = SolvableGAN(initial=GENERIC_START)
    theory = replica_theory(game, horizon=horizon)
    times = np.linspace(0.0, horizon, 21)
    run = simulate(game, "sgd", dimension=dimension, replicas=2 * pairs, save_at=times, seed=seed, keep_rows=True)
    first, second = run.isel(replica=slice(0, None, 2)), run.isel(replica=slice(1, None, 2))
    V, w = first.V.values.astype(np.float64), first.w.values.astype(np.float64)
    other_V, other_w = (np.empty_like(x) for x in (V, w))
    for k in range(pairs):
        turn = _turn(_start(second, k), _start(first, k))
        other_V[k] = turn @ second.V.values[k]
        other_w[k] = second.w.values[k] @ turn.T
    twins = xr.Dataset(
        {
            "discriminator_overlap": (("pair", "time"), np.einsum("ptn,ptn->pt", w, other_w)),
            "cross_overlap": (("pair", "time", "column"), np.einsum("ptnc,ptn->ptc", V, other_w)),
            "generator_overlap": (
                ("pair", "time", "column", "other_column"),
                np.einsum("ptnc,ptnd->ptcd", V, other_V),
            ),
            "q": (("pair", "time", "feature"), first.q.values),
            "other_q": (("pair", "time", "feature"), second.q.values),
        },
        {"time": times},
        {"dimension": dimension, "pairs": pairs, "seed": seed},
    )
    limit = simulate(game, "ode", horizon=horizon)
    return {"theory": theory.assign(q=limit.q, z=limit.z).assign_attrs(_parameters(game)), "sgd": twins}


def _start(run: xr.Dataset, pair: int) -> Array:
    """Weights [U V w] at time 0, `[dimension, features + columns + 1]`."""
    U, V, w = (run[name].values[pair].astype(np.float64) for name in ("U", "V", "w"))
    return np.column_stack([U, V[0], w[0]])


def _turn(source: Array, target: Array) -> Array:
    """A rotation that takes the columns of `source` to those of `target`, which have the same Gram matrix.

    The noise is isotropic, so a turned run is as good a run: one that started from the same weights as the other.
    """
    bases = []
    for columns in (source, target):
        basis, triangle = np.linalg.qr(columns, mode="complete")
        signs = np.ones(len(basis))
        signs[: columns.shape[1]] = np.sign(np.diag(triangle))
        bases.append(basis * signs)
    result: Array = bases[1] @ bases[0].T
    return result


def small_rates(
    factors: Sequence[float] = (1.0, 0.5, 0.1),
    horizon: float = 400.0,
    dimension: int = 1000,
    replicas: int = 16,
    seed: int = 0,
) -> Data:
    """F7: the same game with both learning rates made smaller, over the same rescaled time.

    Returns:
        `limit`: `overlap` P_11 and `activity` `(factor, time)`, time in units of 1 / factor; factor 0 is the limit of
        vanishing rates. `chain`: `overlap` at finite `dimension`, `(factor, replica, time)`.
    """
    game = SolvableGAN()
    slow = np.linspace(0.0, horizon, 801)
    few = np.linspace(0.0, horizon, 41)

    def scaled(factor: float) -> SolvableGAN:
        return game.replace(discriminator_lr=factor * game.discriminator_lr, generator_lr=factor * game.generator_lr)

    runs = [simulate(scaled(e), "ode", save_at=slow / e).assign_coords(time=slow) for e in factors]
    runs.append(simulate(game, "ode", save_at=slow, small_rate_limit=True))
    limit = xr.concat([run[["P", "q", "activity"]] for run in runs], "factor", combine_attrs="drop")
    chains = [
        simulate(scaled(e), "chain", dimension=dimension, replicas=replicas, save_at=few / e, seed=seed)
        .drop_vars("iteration")
        .assign_coords(time=few)[["P", "q", "activity"]]
        for e in factors
    ]
    chain = xr.concat(chains, "factor", combine_attrs="drop")
    return {
        "limit": limit.assign_coords(factor=[*factors, 0.0]).assign_attrs(_parameters(game)),
        "chain": chain.assign_coords(factor=list(factors)).assign_attrs(dimension=dimension, replicas=replicas),
    }


def digits_scores(components: int = 2) -> Array:
    """Scores of the handwritten digits on their leading principal axes, scaled so that the first has variance 5.

    Returns:
        Shape `[1797, components]`, centred and uncorrelated.

    Raises:
        NotApplicable: If scikit-learn, which brings the digits, is not installed.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise NotApplicable("the digits come with scikit-learn: pip install 'ganscope[examples]'") from None
    return component_scores(load_digits().data, components)


def digits(
    noises: Sequence[float] = (0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0),
    horizon: float = 400.0,
    replicas: int = 16,
    seed: int = 0,
) -> Data:
    """F8: handwritten digits, their two leading principal components in the 64 dimensions of their pixels, plus noise.

    Returns:
        `digits` (SGD that draws digits) and `chain` (the exact chain with Gaussian latents of the same variances):
        means over the last quarter, `recovery` and `loudness`, the rms of q_i times sqrt(64), both
        `(cell, replica, feature)`. Attributes `visible` and `silent`: the noises at which each feature meets its lower
        and its upper threshold. `theory`: `critical_overlap` and `slow_overlap` over noises between the two.
    """
    scores = digits_scores()
    real = SolvableGAN(feature_variance=None, latent=scores, initial="random")
    gaussian = SolvableGAN(feature_variance=real.feature_variance, initial="random")
    pixels = 64
    over = {"data_noise": np.asarray(noises)}

    def late(game: SolvableGAN, level: str) -> xr.Dataset:
        run = simulate_many(game, over, level, dimension=pixels, horizon=horizon, replicas=replicas, seed=seed)
        last = run.sel(time=slice(0.75 * horizon, None))
        if "replica" not in last.dims:
            last = last.expand_dims("replica")
        return xr.Dataset(
            {
                "recovery": last.recovery.mean("time"),
                "loudness": np.sqrt((last.q**2).mean("time") * pixels),
            },
        ).transpose("cell", "replica", "feature")

    strengths = np.array(gaussian.feature_variance)
    unit = quadratic_silence(1.0, 1.0, gaussian.discriminator_lr, gaussian.generator_lr)
    attrs = _parameters(gaussian) | {
        "dimension": pixels,
        "replicas": replicas,
        "visible": np.sqrt(strengths / phases.lower_threshold(unit)).tolist(),
        "silent": np.sqrt(strengths / phases.upper_threshold(unit)).tolist(),
    }
    return {
        "digits": late(real, "sgd").assign_attrs(attrs),
        "chain": late(gaussian, "chain").assign_attrs(attrs),
        "theory": _silent_ends(strengths, np.array(attrs["silent"]), np.array(attrs["visible"]), gaussian),
    }


def _silent_ends(strengths: Array, low: Array, high: Array, game: SolvableGAN, num: int = 200) -> xr.Dataset:
    """Overlaps between which silent ends lie, by noise from `low` to `high` of each feature."""
    noise = np.linspace(low, high, num)
    about = quadratic_silence(noise, noise, game.discriminator_lr, game.generator_lr)
    overlaps = {name: getattr(phases, name)(strengths, about) for name in ("critical_overlap", "slow_overlap")}
    named = {name: (("level", "feature"), values) for name, values in overlaps.items()}
    return xr.Dataset(named, {"data_noise": (("level", "feature"), noise)})


def end_points(
    generator_lrs: Sequence[float] = (0.0025, 0.005, 0.01, 0.02, 0.04, 0.08, 0.12),
    dimension: int = 4000,
    replicas: int = 8,
    seed: int = 0,
    num: int = 60,
) -> Data:
    """F9: the overlap at which successful runs end, by the generator's rate, between its two bounds.

    Feature variance 5, noise 3. The limit runs until generator_lr * horizon = 40; runs of finite dimension until 10,
    since their noise carries them slowly further.

    Returns:
        `theory`: `critical_overlap`, `slow_overlap` and `end` of the limit over `generator_lr`; `chain`: `end`
        `(generator_lr, replica)`.
    """
    game = SolvableGAN(feature_variance=5.0, data_noise=3.0)
    strength, noise, rate = 5.0, game.data_noise, game.discriminator_lr
    rates = np.geomspace(min(generator_lrs) / 1.25, 0.143, num)
    about = quadratic_silence(noise, noise, rate, rates)
    ends = [
        simulate(game.replace(generator_lr=r), "ode", save_at=[0.0, 40.0 / r]).recovery.values[-1, 0] for r in rates
    ]
    theory = xr.Dataset(
        {
            "critical_overlap": ("generator_lr", phases.critical_overlap(strength, about)),
            "slow_overlap": ("generator_lr", phases.slow_overlap(np.full(num, strength), about)),
            "end": ("generator_lr", np.array(ends)),
        },
        {"generator_lr": rates},
        _parameters(game),
    )
    rows = []
    for r in generator_lrs:
        run = simulate(
            game.replace(generator_lr=r), "chain", dimension=dimension, replicas=replicas, save_at=[10.0 / r], seed=seed
        )
        rows.append(np.atleast_3d(run.recovery.values)[..., -1, 0].ravel())
    chain = xr.Dataset(
        {"end": (("generator_lr", "replica"), np.array(rows))},
        {"generator_lr": list(generator_lrs)},
        {"dimension": dimension, "replicas": replicas},
    )
    return {"theory": theory, "chain": chain}


def _parameters(game: SolvableGAN) -> dict[str, Any]:
    """The parameters that a caption needs."""
    names = ("feature_variance", "data_noise", "discriminator_lr", "generator_lr")
    return {name: getattr(game, name) for name in names}
