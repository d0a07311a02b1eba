r"""Level "network": a real wide generator behind the particles, and what its measured kernel says about it.

The outputs are scaled so that, in the limit of infinite width, their standard deviation about their own mean is
`initial_std`, and shifted by one constant so that the mean starts where the particles of level "particles" do, unless
`keep_mean`; with `initial` given, every output is shifted to its own starting point. The learning rate of the
generator is the one at which relative motion has the game's relative_mobility, by the two numbers of the infinitely
wide network.
"""

import functools
import math
import warnings
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ganscope.games.particle.cloud import training
from ganscope.games.particle.cloud.kernel_matrix import two_numbers
from ganscope.games.particle.coupling import mobilities
from ganscope.games.particle.generator.empirical import full_kernel
from ganscope.games.particle.generator.wide import WideGenerator

if TYPE_CHECKING:
    from ganscope.games.particle.cloud.model import ParticleGAN

Array = npt.NDArray[np.float64]

# Share by which the coupling numbers of the game and of the network may differ without a warning.
_DIFFERENT = 0.3


class CouplingWarning(UserWarning):
    """The network behind the particles has another coupling number than the game."""


class Motion(NamedTuple):
    """How the particles of a run move, and where they start.

    Attributes:
        kind: TWO_NUMBERS, KERNEL or NETWORK of `training`.
        positions: Start, shape `[N, d]`, float32.
        relative, mean: As in `training.Settings`.
        data: As `training.Fixed.motion`.
        generator: Parameters of a network, or None.
        network: The network, or None.
    """

    kind: str
    positions: npt.NDArray[np.float32]
    relative: float
    mean: float
    data: Any
    generator: Any
    network: WideGenerator | None


@functools.cache
def _the_one(**description: Any) -> WideGenerator:
    """One object for equal descriptions: what is compiled for a method of it is found again."""
    return WideGenerator(**description)


def network_of(game: "ParticleGAN", options: dict[str, Any]) -> WideGenerator:
    """The generator that the options of level "network" describe."""
    return _the_one(
        outputs=game.axes,
        depth=options["generator_depth"],
        activation=options["generator_activation"],
        width=options["generator_width"],
        latent_dimension=options["latent_dimension"],
        weight_variance=options["generator_weight_variance"],
        bias_variance=options["generator_bias_variance"],
    )


def kernel_motion(kernel: Array, positions: npt.NDArray[np.float32], generator_lr: float) -> Motion:
    """Particles that move by a whole kernel, shape `[N, N]` or `[N, N, d, d]`."""
    if kernel.ndim == 4:
        count, axes = len(kernel), kernel.shape[2]
        kernel = kernel.transpose(0, 2, 1, 3).reshape(count * axes, count * axes)
    return Motion(training.KERNEL, positions, 0.0, generator_lr, kernel.astype(np.float32), None, None)


def motion_of(game: "ParticleGAN", options: dict[str, Any], seed: int, stream: int) -> Motion:
    """The network of one run, or the particles that stand for it, at their common start."""
    network = network_of(game, options)
    latents = network.latents(game.particles, seed, stream)
    parameters = network.initial(seed, stream)
    outputs = np.asarray(network.apply(parameters, latents), np.float64)
    numbers = network.kernel()
    scale = game.initial_std / math.sqrt(numbers.nngp(1.0) - numbers.nngp(0.0))
    if game.initial is not None:
        offset = game.initial - scale * outputs
    elif options["keep_mean"]:
        offset = np.zeros(game.axes)
    else:
        offset = (game.target.mean if game.real_points is not None else np.zeros(game.axes)) - scale * outputs.mean(
            axis=0
        )
    positions = (offset + scale * outputs).astype(np.float32)
    speed = game.relative_mobility * game.particles / (numbers.same_kernel - numbers.cross_kernel)
    if options["motion"] == training.NETWORK:
        single = np.float32
        data = (latents, np.broadcast_to(offset, outputs.shape).astype(single), single(scale))
        return Motion(training.NETWORK, positions, 0.0, speed / scale**2, data, parameters, network)
    kernel = np.asarray(full_kernel(network.apply, parameters, latents), np.float64)
    if options["motion"] == "measured_kernel":
        return kernel_motion(kernel, positions, speed)
    same, cross = two_numbers(kernel)
    unit = mobilities(same, cross, game.particles, speed)
    return Motion(training.TWO_NUMBERS, positions, unit.relative, unit.mean, (), None, None)


def check_coupling(game: "ParticleGAN", options: dict[str, Any]) -> float:
    """The coupling number of the network of a level; warns if the game has another one."""
    network = network_of(game, options)
    kernel = network.kernel()
    found, wanted = float(kernel.coupling(game.particles)), game.coupling_number
    if math.isfinite(found):
        kernel.rate_spread(game.particles, network.latent_dimension)  # warns where two numbers are too few
    if abs(found - wanted) > _DIFFERENT * wanted:
        warnings.warn(
            f"the network of level 'network' has coupling {found:.4g} with {game.particles} particles, the game "
            f"{wanted:.4g}: the levels show different games; take the kernel numbers from gs.network_kernel",
            CouplingWarning,
            stacklevel=5,
        )
    return found
