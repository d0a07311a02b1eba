"""Claims of the diagnosis that are algebra: update maps, exact derivatives, whitened coordinates, untouched users.

What the diagnosis is worth on trained GANs stands in `diagnose_suite`.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from ganscope.claims.claim import Evidence, claims_of
from ganscope.claims.confrontation import confront, largest
from ganscope.claims.diagnose_settings import (
    LOSSES,
    dense_jacobian,
    jax_game,
    scaled,
    seeded,
    sgd,
    sizes,
    whole_batch,
    with_flat_discriminator,
)
from ganscope.core.errors import NotApplicable
from ganscope.diagnose.change import Change
from ganscope.diagnose.diagnose import diagnose
from ganscope.diagnose.evidence.frozen_batch import FrozenBatch
from ganscope.diagnose.instruments.arnoldi import eigenpairs, whole_matrix
from ganscope.diagnose.instruments.measure import measure
from ganscope.diagnose.instruments.rotation import rotation_modes, whitening
from ganscope.diagnose.instruments.update_map import iteration_matrix, memory_multipliers, multipliers, update_map
from ganscope.diagnose.probes import probes
from ganscope.diagnose.real_game import RealGame
from ganscope.diagnose.rule import Player, UpdateRule
from ganscope.diagnose.settings import DiagnoseSettings
from ganscope.diagnose.theory import virtual
from ganscope.diagnose.theory.advice import gamma_sweep

claim = claims_of("diagnose")
Array = npt.NDArray[np.float64]


def _rule(order: str, kind: str = "sgd", memory: float = 0.0, steps: int = 1) -> UpdateRule:
    player = Player(kind, 0.1, beta1=memory) if kind == "adam" else Player(kind, 0.1, momentum=memory)
    return UpdateRule(order, steps, player, player)


_SIMULTANEOUS, _ALTERNATING = _rule("simultaneous"), _rule("alternating")
# Columns of the tables: rule by name.
_RULES = {
    "simultaneous": _SIMULTANEOUS,
    "alternating": _ALTERNATING,
    "alternating, 5 discriminator steps": _rule("alternating", steps=5),
    "alternating, momentum .9": _rule("alternating", "momentum", 0.9),
    "simultaneous, momentum .9": _rule("simultaneous", "momentum", 0.9),
    "alternating, Adam memory .5": _rule("alternating", "adam", 0.5),
    "simultaneous, Adam memory .5": _rule("simultaneous", "adam", 0.5),
    "alternating, Adam memory .9": _rule("alternating", "adam", 0.9),
}
_DIRAC = {
    0.0: (1.0012492197, 1, 1, 1.1179226624, 1.1210984071, 1.0024575453, 1.0036624115, 1.0130016778),
    0.3: (
        0.9861541462, 0.9848857802, 0.9266790306, 1.0875515105, 1.0911616214, 0.9871747793, 0.9885163430, 1.0030863606,
    ),
    1.0: (0.95, 0.96, 0.9739991611, 0.9796879592, 0.9486833028, 0.9583926130, 0.9470381913, 0.9534690737),
    2.0: (
        0.9866025404, 0.9867929583, 0.9874219091, 0.9554342740, 0.9486832981, 0.9866139184, 0.9864154592, 0.9846775389,
    ),
}  # fmt: skip


def _radius(jacobian: Any, split: int, rule: UpdateRule, rates: Any = 0.1) -> float:
    return multipliers(update_map(np.diag(np.broadcast_to(rates, len(jacobian))) @ jacobian, split, rule)).radius


def _dirac(gamma: float) -> Array:
    return np.array([[0, 0.5], [-0.5, -gamma]])


def _linear_quadratic(mean: float, deviation: float, gamma: float) -> Array:
    m, s, g = mean, deviation, gamma
    rows = [[0, 0, 1, m], [0, 0, 0, s], [-1, 0, -g, -g * m], [-m, -s, -g * m, -g * (m * m + s * s)]]
    return np.array(rows, float)


@claim(
    "D1",
    "The map of a whole training iteration has the worked spectral radii of the Dirac-GAN, a bilinear game and the "
    "linear-quadratic Wasserstein GAN, for simultaneous, alternating and repeated steps with and without memory",
    source="derived",
    fast=True,
)
def worked_radii() -> Evidence:
    rows: dict[str, Any] = {}
    for gamma, known in _DIRAC.items():
        for (name, rule), radius in zip(_RULES.items(), known, strict=True):
            # roots that meet are known to the root of rounding only
            tolerance = 1e-6 if gamma >= 1 else 1e-9
            rows[f"Dirac-GAN, penalty {gamma:g}, {name}"] = radius, _radius(_dirac(gamma), 1, rule), tolerance
    for name, radius in (
        ("simultaneous", 0.9937303457),
        ("alternating", 0.9924716621),
        ("alternating, 5 discriminator steps", 0.9629208183),
    ):
        found = _radius(_dirac(0.3), 1, _RULES[name], (0.2, 0.05))
        rows[f"Dirac-GAN, penalty 0.3, rates 0.2 and 0.05, {name}"] = radius, found, 1e-9
    bilinear = np.block([[np.zeros((2, 2)), np.diag([1, 0.5])], [-np.diag([1, 0.5]), np.zeros((2, 2))]])
    for name, radius in (
        ("simultaneous", 1.0049875621),
        ("alternating", 1.0),
        ("alternating, momentum .9", 1.1921415639),
        ("alternating, Adam memory .5", 1.0093749061),
        ("simultaneous, Adam memory .5", 1.0137500366),
    ):
        rows[f"bilinear, {name}"] = radius, _radius(bilinear, 2, _RULES[name]), 1e-9
    worked = {
        (0.0, 0.5): {
            "simultaneous": 0.9886859967,
            "alternating": 0.9874208829,
            "alternating, 5 discriminator steps": 0.9386669768,
            "alternating, Adam memory .9": 1.0050189425,
        },
        (1.0, 0.5): {"simultaneous": 0.9947112142, "alternating": 0.9941218345},
    }
    for (mean, deviation), radii in worked.items():
        jacobian = _linear_quadratic(mean, deviation, 1.0)
        for name, radius in radii.items():
            found = _radius(jacobian, 2, _RULES[name])
            rows[f"linear-quadratic, mean {mean:g}, deviation {deviation:g}, {name}"] = radius, found, 1e-9
    spectrum = np.sort_complex(np.linalg.eigvals(_linear_quadratic(1.0, 0.5, 1.0)))
    slow, fast = -0.0586088907 + 0.3373170310j, -1.0663911093 + 0.9977936764j
    error = largest(spectrum - np.sort_complex(np.array([slow, np.conj(slow), fast, np.conj(fast)])))
    rows["linear-quadratic, mean 1: largest error of the flow's eigenvalues"] = 0, error, 1e-9
    return confront(rows)


@claim(
    "D2",
    "With simultaneous steps and equal memory, every eigenvalue u of the flow gives the two roots of "
    "mu^2 - (1 + beta + kappa u) mu + beta = 0, and the matrix has no other multipliers",
    source="derived",
    fast=True,
)
def memory_formula() -> Evidence:
    rows: dict[str, Any] = {}
    rng = np.random.default_rng(2)
    jacobian = 0.1 * rng.normal(size=(7, 7))
    flow = np.linalg.eigvals(jacobian)
    for name, rule in _RULES.items():
        if rule.order == "simultaneous":
            player = rule.generator
            roots = memory_multipliers(flow, player.memory, player.kappa).ravel()
            found = np.linalg.eigvals(update_map(jacobian, 3, rule))
            apart = np.abs(roots[:, None] - found[None])
            error = max(apart.min(axis=0).max(), apart.min(axis=1).max())
            rows[f"largest distance of formula and matrix, {name}"] = 0, float(error), 1e-12
    return confront(rows)


# Of the seeded networks: whole batch, non-saturating loss, unscaled.
_SEEDED = {
    "generator loss": 0.652482537666446,
    "discriminator loss, no penalty": 1.39696857773881,
    "unit penalty": 0.02240970397911,
    "norm of the generator's velocity": 0.163438579090,
    "norm of the discriminator's velocity, penalty 0.3": 0.231628368995,
}
_SPECTRA = {
    0.0: (-2.31077013916, 0.281207599098, -0.606639806905 + 1.981181426537j),
    0.3: (-4.56811579442, 0.290501580578, -1.305009447215 + 1.559730823878j),
}
_SIGMA = (2.08543463, 1.04750633, 0.33894923, 0.21841209)


@claim(
    "D3",
    "A seeded pair of small networks has the same losses, velocities and spectra in JAX and in PyTorch, equal to the "
    "worked numbers, and products without a matrix give the dense matrix's rightmost and fastest eigenvalues",
    source="derived",
    fast=False,
)
def seeded_networks() -> Evidence:
    rows: dict[str, Any] = {}
    parts = seeded()
    games = {"JAX": (jax_game(parts), whole_batch(parts)), "PyTorch": _torch_game()}
    for library, (game, draw) in games.items():
        backend = game.backend
        losses = backend.losses(backend.point, draw)
        penalised = backend.losses(backend.point, draw, Change(added=1.0))
        velocity = backend.velocity(backend.point, draw, Change(added=0.3))
        found = (
            losses[0],
            losses[1],
            penalised[1] - losses[1],
            float(np.linalg.norm(velocity[0])),
            float(np.linalg.norm(velocity[1])),
        )
        for (name, known), measured in zip(_SEEDED.items(), found, strict=True):
            rows[f"{library}: {name}"] = known, measured, 1e-10
        for gamma, (trace, rightmost, fastest) in _SPECTRA.items():
            jacobian = dense_jacobian(game, draw, gamma)
            values = np.linalg.eigvals(jacobian)
            top = values[np.argmax(values.imag)]
            name = f"{library}, penalty {gamma:g}: "
            rows[name + "trace"] = trace, float(np.trace(jacobian)), 1e-8
            rows[name + "rightmost"] = rightmost, float(values.real.max()), 1e-8
            rows[name + "error of the fastest"] = 0, float(abs(top - fastest)), 1e-8
        block = dense_jacobian(game, draw)[: backend.sizes.generator, backend.sizes.generator :]
        sigma = np.linalg.svd(block, compute_uv=False)[:4]
        rows[f"{library}: largest error of the singular values"] = 0, largest(sigma - np.array(_SIGMA)), 1e-8
        linearised = backend.linearise(backend.point, draw, Change(added=0.3))
        for end, known in (("LR", _SPECTRA[0.3][1]), ("LI", _SPECTRA[0.3][2].imag)):
            pairs = eigenpairs(linearised.products, sum(backend.sizes), end, 4, 60, 1e-9, 40)
            value = pairs.values[0].real if end == "LR" else abs(pairs.values[0].imag)
            rows[f"{library}, penalty 0.3: {end} without a matrix"] = known, float(value), 1e-6
    return confront(rows)


def _torch_game() -> tuple[RealGame, Any]:
    """The seeded networks as a PyTorch game, and their batch.

    Raises:
        NotApplicable: Without PyTorch.
    """
    try:
        from ganscope.diagnose.torch_modules.reference import reference_game
    except ModuleNotFoundError:
        raise NotApplicable("this claim needs PyTorch: pip install 'ganscope[torch]'") from None
    parts = seeded()
    return reference_game(parts.generator, parts.discriminator, parts.real, parts.latents)


@claim(
    "D4",
    "The derivative of a whole training iteration, second moments frozen, is the map built from the Jacobian: exactly "
    "for simultaneous steps, and for alternating ones if the generator's rows are taken after the discriminator's step",
    source="derived",
    fast=False,
)
def derivative_of_an_iteration() -> Evidence:
    rows: dict[str, Any] = {}
    parts = seeded((3, 6, 2), (2, 6, 1))
    draw, split = whole_batch(parts), sizes(parts).generator
    rng = np.random.default_rng(4)
    moments = [rng.uniform(0.5, 2.0, size=n) for n in sizes(parts)]
    for name, rule in _RULES.items():
        if rule.discriminator_steps > 1:
            continue
        if rule.generator.kind == "adam":
            aged = [
                player.replace(second_moment=m, step=1000)
                for player, m in zip((rule.generator, rule.discriminator), moments, strict=True)
            ]
            rule = rule.replace(generator=aged[0], discriminator=aged[1])
        game = jax_game(parts, rule)
        unit = whitening(game.backend, rule, 32, 0)
        frozen = FrozenBatch(game.backend, rule, unit, draw)
        state = frozen.start()
        exact = whole_matrix(frozen.derivative(state), frozen.size)
        here = dense_jacobian(game, draw) * np.outer(unit.both, unit.both)
        if rule.order == "alternating":
            moved = frozen.step(state).discriminator.parameters
            there = dense_jacobian(game.at(game.backend.point.generator, moved), draw) * np.outer(unit.both, unit.both)
            here = np.concatenate([there[:split], here[split:]])
        rows[f"largest error of the map, {name}"] = 0, largest(exact - iteration_matrix(here, split, rule)), 1e-10
        direction = rng.normal(size=frozen.size)
        ends = [frozen.vector(frozen.step(frozen.moved(state, sign * 1e-5 * direction))) for sign in (1, -1)]
        slope = (ends[0] - ends[1]) / 2e-5
        rows[f"largest error of a finite difference, {name}"] = 0, largest(slope - exact @ direction), 1e-6
    return confront(rows)


@claim(
    "D5",
    "The Jacobian is affine in the gradient penalty: that of the game without it plus gamma times the unit penalty's",
    source="derived",
    fast=True,
)
def affine_in_the_penalty() -> Evidence:
    parts = seeded()
    game, draw = jax_game(parts), whole_batch(parts)
    linearised = game.backend.linearise(game.backend.point, draw)
    size, split = sum(game.backend.sizes), game.backend.sizes.generator
    own = np.zeros((size, size))
    own[split:] = linearised.penalty_products(np.eye(size)).T
    bare = dense_jacobian(game, draw)
    errors = {f"penalty {g:g}": largest(dense_jacobian(game, draw, g) - bare - g * own) for g in (0.3, 3.0)}
    return confront({"largest error": (0, errors, 1e-10)})


@claim(
    "D6",
    "Detached generated samples make the derivative of the discriminator's velocity by the generator exactly zero, and "
    "the probe that stands before every diagnosis says so",
    source="derived",
    fast=False,
)
def detached_samples() -> Evidence:
    parts = seeded()
    split = sizes(parts).generator
    rows: dict[str, Any] = {}
    for name, detached, size, status in (
        ("as it should be", False, "above", "ok"),
        ("detached", True, "exact", "error"),
    ):
        game = jax_game(parts, detached=detached)
        block = dense_jacobian(game, whole_batch(parts))[split:, :split]
        rows[f"largest entry of the mixed block, {name}"] = 0, largest(block), size
        found = {probe.id: probe.status for probe in probes(game)}["T1"]
        rows[f"probe, {name}"] = status, found, "exact"
    return confront(rows)


@claim(
    "D7",
    "A diagnosis leaves a PyTorch user's weights, gradients, buffers, modes, optimizers and random numbers untouched",
    source="derived",
    fast=False,
)
def nothing_is_touched() -> Evidence:
    game, _ = _torch_game()
    from ganscope.diagnose.torch_modules.reference import fingerprint

    before = fingerprint(game)
    diagnose(game, quick=True, train_batch_size=32, modes=6)
    after = fingerprint(game)
    changed = [name for name in before if before[name] != after[name]]
    return [], changed, "exact", not changed


@claim(
    "D8",
    "Three rounds of power iteration give the four leading singular values of the mixed block to rounding",
    source="derived",
    fast=True,
)
def randomised_decomposition() -> Evidence:
    parts = seeded()
    game, draw = jax_game(parts), whole_batch(parts)
    unit = whitening(game.backend, game.rule, 32, 0)
    split = game.backend.sizes.generator
    block = (dense_jacobian(game, draw) * np.outer(unit.both, unit.both))[:split, split:]
    dense = np.linalg.svd(block, compute_uv=False)
    linearised = game.backend.linearise(game.backend.point, draw)
    rows: dict[str, Any] = {}
    for seed in range(3):
        found = rotation_modes(linearised, unit, 24, seed=seed).sigma
        rows[f"largest error of the four leading ones, seed {seed}"] = 0, largest(found[:4] - dense[:4]), 1e-10
        rows[f"largest error of all 24, seed {seed}"] = 0, largest(found - dense[:24]), 1e-3
    return confront(rows)


@claim(
    "D9",
    "Where the discriminator is flat the generator's own block vanishes and the mixed blocks are opposite, for the "
    "non-saturating loss at score 0, least squares at 1/2, hinge inside its margin and Wasserstein",
    source="derived",
    fast=False,
)
def flat_discriminator() -> Evidence:
    rows: dict[str, Any] = {}
    for loss, (_, level) in LOSSES.items():
        parts = with_flat_discriminator(seeded(), level)
        split = sizes(parts).generator
        jacobian = dense_jacobian(jax_game(parts, loss=loss), whole_batch(parts))
        forth, back = jacobian[:split, split:], jacobian[split:, :split]
        rows[f"largest entry of the generator's block, {loss}"] = 0, largest(jacobian[:split, :split]), 1e-12
        rows[f"largest entry of the mixed blocks' sum, {loss}"] = 0, largest(forth + back.T), 1e-12
        rows[f"largest entry of a mixed block, {loss}"] = 0.01, largest(forth), "above"
    return confront(rows)


@claim(
    "D18",
    "Data, read-out and first weights in other units, with rates that follow, leave the predicted wander as it is and "
    "multiply the advised gradient penalty by the square of the unit",
    source="derived",
    fast=False,
)
def units_of_length() -> Evidence:
    parts = seeded()
    settings = DiagnoseSettings(modes=16, batch_size=64, noise_batches=8)
    rows: dict[str, Any] = {}
    given = measure(jax_game(parts, sgd()), settings, 0)
    wander, advised = virtual.forecast(given).predicted_wander, gamma_sweep([given])
    for factor in (0.1, 10.0):
        game = jax_game(*scaled(parts, factor))
        found = measure(game, settings, 0)
        share = virtual.forecast(found).predicted_wander / wander
        rows[f"predicted wander over that in the old unit, factor {factor:g}"] = 1, share, 1e-8
        costs = np.array(gamma_sweep([found]).horizon_cost) / np.array(advised.horizon_cost)
        rows[f"horizon costs likewise, factor {factor:g}"] = 1, costs, 1e-8
        ratio = gamma_sweep([found]).advised / advised.advised / factor**2
        rows[f"advised penalty over squared factor, factor {factor:g}"] = 1, ratio, 1e-8
    return confront(rows)
