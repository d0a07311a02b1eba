r"""Generators against the energy distance on a line, in the limit of a fast discriminator: every quantile on its own.

Quantile u of the generator moves by x' = (generator_lr / critic_penalty) (u - F(x)), with F the distribution function
of the data. A point mass splits at once, and reaches every mode in the end.

References:
    Turinici. Convergence dynamics of generative adversarial networks: the dual metric flows. 2020.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from ganscope.core.checks import number, numbers_in, real_array
from ganscope.core.errors import ParameterError

Array = npt.NDArray[np.float64]


def coverage_law(
    time: Any,
    half_distance: float,
    radius: float,
    generator_lr: float = 1.0,
    critic_penalty: float = 1.0,
    weights: Any = (0.5, 0.5),
    start: float = 0.0,
) -> Array:
    """Share of two narrow modes that a generator covers which starts as a point in the gap, by the energy distance.

    Quantile u crosses the gap at the constant speed generator_lr / critic_penalty times |u - left weight|.

    Args:
        time: One time or many, >= 0.
        half_distance: The modes lie at +-half_distance.
        radius: A point counts as covering a mode within this distance of it; less than half_distance.
        generator_lr, critic_penalty: Of the game, > 0.
        weights: Of the left and the right mode, of sum 1.
        start: Where the point is; further than the radius from both modes.

    Returns:
        Shape of `time`: for equal weights 1 - 2 critic_penalty (half_distance - radius) / (generator_lr time), from
        the moment that both modes are reached.

    Raises:
        ParameterError: If an argument is out of its range.

    References:
        Turinici. Convergence dynamics of generative adversarial networks: the dual metric flows. 2020.
    """
    times = numbers_in("time", time, at_least=0)
    distance = number("half_distance", half_distance, above=0)
    reach = number("radius", radius, above=0)
    speed = number("generator_lr", generator_lr, above=0) / number("critic_penalty", critic_penalty, above=0)
    shares = numbers_in("weights", weights, shape=(2,), above=0)
    if abs(shares.sum() - 1) > 1e-9:
        raise ParameterError("weights", weights, "two numbers of sum 1")
    place = number("start", start)
    gaps = distance - reach + np.array([place, -place])
    if np.any(gaps < 0):
        raise ParameterError("start", start, f"a place further than radius = {reach:g} from +-{distance:g}")
    with np.errstate(divide="ignore", invalid="ignore"):
        missed = np.where(gaps == 0, 0.0, gaps / (speed * times[..., None]))
    result: Array = np.sum(np.clip(shares - missed, 0.0, None), axis=-1)
    return result


def uniform_energy_quantiles(
    start: Any,
    levels: Any,
    time: float,
    low: float = 0.0,
    high: float = 1.0,
    generator_lr: float = 1.0,
    critic_penalty: float = 1.0,
) -> Array:
    """Quantiles of the generator under the energy distance of uniform data, in closed form.

    Every quantile goes on its own, x' = (generator_lr / critic_penalty) (u - F(x)) with F the data's distribution
    function: at constant speed outside of [low, high], by an exponential inside.

    Args:
        start: Quantiles at time 0, broadcast with `levels`.
        levels: Levels u in [0, 1].
        time: Time that has passed, >= 0.
        low, high: Ends of the uniform data.
        generator_lr, critic_penalty: Of the game, > 0.

    Raises:
        ParameterError: If an argument is out of its range.

    References:
        Szekely, Rizzo. Energy statistics: a class of statistics based on distances. 2013.
    """
    place, level = np.broadcast_arrays(real_array("start", start), numbers_in("levels", levels, at_least=0))
    if np.any(level > 1):
        raise ParameterError("levels", levels, "numbers within [0, 1]")
    left, right = number("low", low), number("high", high)
    if not right > left:
        raise ParameterError("high", high, f"a number > low = {left:g}")
    duration = number("time", time, at_least=0)
    duration *= number("generator_lr", generator_lr, above=0) / number("critic_penalty", critic_penalty, above=0)
    width = right - left
    # outside: how long it takes to come in, then the rest of the time inside
    edge = np.clip(place, left, right)
    speed = np.where(place < left, level, level - 1.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        entry = np.where(speed == 0, np.inf, (edge - place) / speed)
    entry = np.where(place == edge, 0.0, entry)
    inside = np.maximum(duration - entry, 0.0)
    target = left + width * level
    arrived = target + (edge - target) * np.exp(-inside / width)
    return np.where(entry <= duration, arrived, place + speed * duration)
