"""The kernel GAN's critical points as zeros of a smooth field, with the spectrum of an update rule there."""

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ganscope.core.checks import one_of, real_array
from ganscope.core.errors import NotApplicable, ParameterError
from ganscope.core.smooth import SmoothField
from ganscope.dynamics.rules import FLOW, RULES
from ganscope.games.kernel.equilibria import DENSE, equilibrium, residual, residual_slope
from ganscope.games.kernel.good_minimum import length_scale, require_theory
from ganscope.games.kernel.linearisation import neutral_tolerance, spectrum_at

if TYPE_CHECKING:
    from ganscope.games.kernel.model import KernelGAN

Array = npt.NDArray[np.float64]


def smooth_field(
    game: "KernelGAN", level: str | None, rule: str | None, step_size: float | None, start: Any
) -> SmoothField:
    """The residual of `equilibria`, and the spectrum of a rule (None: the flow).

    `start` is an array of points `[M, axes]`, or None for the equilibrium that `gs.equilibrium` finds (or its label).
    """
    del level
    if rule is not None:
        one_of("rule", rule, (*RULES, FLOW))
    if step_size is not None:
        raise ParameterError("step_size", step_size, "nothing: the kernel GAN has learning rates")
    require_theory(game)
    if game.representation == "random_features":
        raise NotApplicable("with random features the equilibria move with every draw; use another representation")
    shape = game.generated_points.shape
    if game.generated_points.size > DENSE:
        raise NotApplicable(f"equilibria are followed for at most {DENSE} coordinates (points x axes)")
    points = _points(game, start)

    def values(z: Array) -> npt.NDArray[np.complex128]:
        return np.asarray(spectrum_at(game, z.reshape(shape), rule).values, np.complex128)

    neutral = neutral_tolerance(game, points)
    is_map = rule not in (None, FLOW)
    return SmoothField(
        lambda z: residual(game, z.reshape(shape)).ravel(),
        lambda z: residual_slope(game, z.reshape(shape)),
        values,
        is_map,
        points.ravel(),
        tuple(f"generated_points[{j},{c}]" for j in range(shape[0]) for c in range(shape[1])),
        length_scale(game.kernel),
        neutral if is_map else neutral / game.discriminator_lr,
    )


def _points(game: "KernelGAN", start: Any) -> Array:
    if start is None or isinstance(start, str):
        found = equilibrium(game)
        if isinstance(start, str) and start != found.label:
            raise ParameterError(
                "start", start, f"{found.label!r}, points of shape {game.generated_points.shape} or None"
            )
        return np.asarray(found.state, np.float64)
    array = real_array("start", start)
    array = array.reshape(game.generated_points.shape) if array.shape == (game.generated_points.size,) else array
    if array.shape != game.generated_points.shape:
        raise ParameterError("start", f"shape {array.shape}", f"shape {game.generated_points.shape}")
    return array
