r"""Whether a collapsed cloud of a `ParticleGAN` tears itself apart.

Particles that coincide stay together and move as one body, x <- x + mean_mobility grad f(D)(x), beside a
discriminator that is trained against that one point. A small relative displacement grows by

    delta <- delta + relative_mobility (d/dx grad f(D))(x) delta

along this orbit. Its mean logarithmic growth per iteration over relative_mobility is the transverse exponent, a
curvature: positive where the discriminator digs a dip under the cloud for long enough to tear it apart.
"""

import functools
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ganscope.core.checks import integer, number
from ganscope.core.errors import NotApplicable
from ganscope.games.kernel.kernels import Kernel

if TYPE_CHECKING:
    from ganscope.games.particle.cloud.model import ParticleGAN

Array = npt.NDArray[np.float64]

# Iterations whose minibatches are drawn at once.
_STRETCH = 250
# Share of an orbit that is dropped before averaging.
_DROPPED = 1 / 3


def transverse_exponent(
    game: "ParticleGAN", mean_mobility: float | None = None, *, iterations: int = 2000, starts: int = 4, seed: int = 0
) -> float:
    r"""Growth of a collapsed cloud's relative spread per iteration, over the relative mobility.

    The orbit is that of alternating updates with the game's minibatches, discriminator first; the first third
    is dropped, and several starts (each with its own network and minibatches) are averaged, since orbits may be
    chaotic. In several dimensions it is the top Lyapunov exponent, which depends a little on the relative mobility.

    Args:
        game: The game; its discriminator must have second derivatives.
        mean_mobility: Mobility of the cloud per iteration, > 0; None: the game's own.
        iterations: Length of an orbit.
        starts: Number of orbits, from normal starts with the game's `initial_std`.
        seed: Of starts, networks and minibatches.

    Returns:
        Curvature, per squared length; NaN if an orbit is lost to infinity.

    Raises:
        NotApplicable: For "relu", whose slopes are constant between kinks, and kernels that are not smooth; and for a
            rigid body, which has no relative motion.
        ParameterError: If an argument is out of its range.

    References:
        The particles: Durr, Mroueh, Tu, Wang. Phys. Rev. X 13, 041004 (2023). The exponent is derived here.
    """
    _require_smooth(game)
    mobility = game.mean_mobility if mean_mobility is None else number("mean_mobility", mean_mobility, above=0)
    iterations, starts = integer("iterations", iterations, at_least=3), integer("starts", starts, at_least=1)
    seed = integer("seed", seed)
    if game.relative_mobility <= 0:
        raise NotApplicable("with cross_kernel = same_kernel particles cannot move against each other")
    kept = int(_DROPPED * iterations)
    grown = [
        growth(game, float(mobility), *_start(game, seed, stream), iterations, seed, stream)[kept:]
        for stream in range(starts)
    ]
    return float(np.mean(grown)) / game.relative_mobility


def _require_smooth(game: "ParticleGAN") -> None:
    if isinstance(game.discriminator, Kernel):
        game.discriminator.require_differentiable()
    elif game.discriminator_activation == "relu":
        raise NotApplicable(
            "a relu discriminator has no curvature between its kinks: use tanh, softplus, sin, erf or a kernel"
        )
    if game.generator_kernel is not None:
        raise NotApplicable("the transverse exponent is that of two kernel numbers, not of a generator_kernel")


def _start(game: "ParticleGAN", seed: int, stream: int) -> tuple[Array, Array]:
    """A normal start of the cloud and a direction, each `[1, d]`."""
    from ganscope.games.particle.cloud import noise

    drawn = noise.normals((2, game.axes), noise.START, 0, seed, stream).astype(np.float64)
    centre = np.zeros(game.axes) if game.real_points is None else game.target.mean
    return centre + game.initial_std * drawn[:1], drawn[1:] / np.linalg.norm(drawn[1])


def growth(
    game: "ParticleGAN", mean_mobility: float, place: Array, apart: Array, iterations: int, seed: int, stream: int
) -> Array:
    """Logarithmic growth of a relative displacement in every iteration of one orbit, shape `[iterations]`.

    Args:
        game: The game.
        mean_mobility: Mobility of the cloud per iteration.
        place, apart: Start of the cloud and direction of the displacement, each `[1, d]`.
        iterations: Length of the orbit.
        seed, stream: Of the network and the minibatches.
    """
    import jax

    from ganscope.games.particle.cloud import training
    from ganscope.games.particle.cloud.discriminators import discriminator_of, start_of
    from ganscope.games.particle.cloud.simulation import Lane

    start, first_steps = start_of(game, seed, stream), "discriminator_first"
    kind, motion = discriminator_of(game), training.TWO_NUMBERS
    form = training.Form(kind, game.penalty, game.loss, game.discriminator_steps, first_steps, motion)
    fixed = training.Fixed(start.parameters, start.fixed, start.rates, np.stack(game.target.box), ())
    settings = training.Settings(
        game.relative_mobility, mean_mobility, game.discriminator_lr, game.gradient_penalty, game.regularization
    )
    lane = Lane(game, form, fixed, settings, training.State(start.parameters, None, place), seed, stream)
    result = np.empty(iterations)
    with jax.enable_x64(False), jax.default_matmul_precision("float32"):
        fixed, settings = _single((fixed, settings))
        carry = (start.parameters, *_single((place, apart)))
        for first in range(0, iterations, _STRETCH):
            count = min(_STRETCH, iterations - first)
            carry, logs = _orbit(form)(carry, fixed, settings, lane.noise(first, _STRETCH, _STRETCH))
            result[first : first + count] = np.asarray(logs)[:count]
    return result


def _single(tree: Any) -> Any:
    """A tree of arrays and numbers in float32."""
    import jax

    return jax.tree.map(lambda leaf: np.asarray(leaf, np.float32), tree)


@functools.cache
def _orbit(form: Any) -> Any:
    """The compiled stretch of an orbit: (parameters, place, displacement), and the logarithms of the growth."""
    import jax
    import jax.numpy as jnp

    from ganscope.games.particle.cloud import training

    def run(carry: Any, fixed: Any, settings: Any, noise: Any) -> Any:
        def iteration(carry: Any, k: Any) -> Any:
            parameters, place, apart = carry
            parameters = training.learn(form, parameters, place, fixed, settings, noise, k)

            def slopes(x: Any) -> Any:
                return training.slopes_of(form, parameters, fixed, x)

            slope, bend = jax.jvp(slopes, (place,), (apart,))
            grown = apart + settings.relative * bend
            size = jnp.sqrt((grown * grown).sum())
            return (parameters, place + settings.mean * slope, grown / size), jnp.log(size)

        return jax.lax.scan(iteration, carry, jnp.arange(_STRETCH))

    return jax.jit(run)
