"""Measuring a real game once: one batch, the reduced game, what it does to the samples, and its minibatch noise."""

from typing import Protocol

import numpy as np
import numpy.typing as npt
from scipy.linalg import block_diag

from ganscope.diagnose.backend import Backend, Linearised
from ganscope.diagnose.change import Change
from ganscope.diagnose.host_random import lent_streams
from ganscope.diagnose.instruments.measurement import Measurement
from ganscope.diagnose.instruments.rotation import (
    NotFinite,
    Rotation,
    Whitening,
    directions,
    projected,
    reduced,
    rotation_modes,
    whitening,
)
from ganscope.diagnose.rule import UpdateRule

Array = npt.NDArray[np.float64]

# Latents at which the effect of every mode on the samples is followed.
OUTPUT_LATENTS = 128
# Real samples that tell the data radius.
RADIUS_SAMPLES = 2048


class Measurable(Protocol):
    """What of a real game is measured."""

    @property
    def backend(self) -> Backend: ...
    @property
    def rule(self) -> UpdateRule: ...
    @property
    def gradient_penalty(self) -> float: ...
    @property
    def change(self) -> Change: ...
    @property
    def train_batch_size(self) -> int: ...
    @property
    def has_other_penalty(self) -> bool: ...


class Settings(Protocol):
    """How large a measurement is."""

    @property
    def modes(self) -> int: ...
    @property
    def oversample(self) -> int: ...
    @property
    def power_rounds(self) -> int: ...
    @property
    def batch_size(self) -> int: ...
    @property
    def noise_batches(self) -> int: ...


@lent_streams(0)
def measure(
    game: Measurable, settings: Settings, seed: int, unit: Whitening | None = None, radius: float | None = None
) -> Measurement:
    """One measurement at the game's checkpoint.

    Args:
        game: The real game.
        settings: Sizes.
        seed: Of the batch, the minibatches and the random start; another seed is another batch.
        unit: Whitening, if known already; it does not depend on the batch.
        radius: Data radius, if known already.

    Returns:
        The reduced game with `modes` modes, fewer where a player has fewer parameters.
    """
    backend, point, change = game.backend, game.backend.point, game.change
    if unit is None:
        unit = whitening(backend, game.rule, game.train_batch_size, seed, change)
    batch = backend.draw(_seed(seed, 0), settings.batch_size)
    linearised = backend.linearise(point, batch, change)
    rotation = rotation_modes(linearised, unit, settings.modes, settings.oversample, settings.power_rounds, seed)
    jacobian = reduced(linearised, rotation, unit)
    penalty = _penalty(linearised, backend, rotation, unit)
    bare = jacobian
    if game.has_other_penalty:
        without = backend.linearise(point, batch, Change(change.added, 1.0, change.instance_noise))
        bare = reduced(without, rotation, unit)
    if penalty is not None:
        bare = bare - game.gradient_penalty * penalty
    minibatches = backend.draws(_seed(seed, 1), game.train_batch_size, settings.noise_batches)
    velocities = backend.velocities(point, minibatches, change)
    if not np.all(np.isfinite(velocities)) or not np.all(np.isfinite(jacobian)):
        raise NotFinite("velocities of training minibatches, or the Jacobian, are not finite")
    mean, noise = _mean_and_noise(velocities, unit)
    n_g = backend.sizes.generator
    outputs = None
    if backend.samples_known:
        latents = backend.latents(_seed(0, 2), OUTPUT_LATENTS)  # the same for every batch
        outputs = backend.output_products(point.generator, latents, directions(rotation, unit).generator)
    raw = velocities.mean(axis=0)
    return Measurement(
        rule=game.rule,
        sigma=rotation.sigma,
        jacobian=jacobian,
        without_penalty=bare,
        penalty=penalty,
        gamma=game.gradient_penalty,
        outputs=outputs,
        noise=projected(velocities - raw, rotation, unit),
        batch_size=game.train_batch_size,
        data_radius=data_radius(backend) if radius is None else radius,
        gradient_norms=(float(np.linalg.norm(raw[:n_g])), float(np.linalg.norm(raw[n_g:]))),
        signal_to_noise=float(mean / noise) if noise > 0 else float("inf"),
        floored=unit.floored,
    )


def data_radius(backend: Backend) -> float:
    """R, the root of the trace of the data's covariance."""
    real = backend.real_samples(backend.draw(_seed(0, 3), RADIUS_SAMPLES))
    return float(np.sqrt(real.var(axis=0, ddof=1).sum()))


def _penalty(linearised: Linearised, backend: Backend, rotation: Rotation, unit: Whitening) -> Array | None:
    """Q^T J_R Q: the penalty moves the discriminator alone."""
    if not backend.penalty_known:
        return None
    rows, r = directions(rotation, unit), len(rotation.sigma)
    first = 0 if backend.penalty_sees_generator else r
    made = linearised.penalty_products(block_diag(*rows)[first:])
    penalty = np.zeros((2 * r, 2 * r))
    penalty[r:, first:] = rows.discriminator @ made.T
    return penalty


def _mean_and_noise(velocities: Array, unit: Whitening) -> tuple[float, float]:
    """Squared norm of the mean whitened velocity, and the trace of the covariance of single minibatches."""
    whitened = velocities * unit.both
    return float((whitened.mean(axis=0) ** 2).sum()), float(whitened.var(axis=0, ddof=1).sum())


def _seed(seed: int, purpose: int) -> int:
    """Independent seeds for the parts of one measurement."""
    return int(np.random.SeedSequence([seed, purpose]).generate_state(1)[0] >> 1)
