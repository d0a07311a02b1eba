"""Levels of the particle GAN, and their options.

particles   particles coupled by the game's two kernel numbers, or by its `generator_kernel`
network     a real wide generator, trained by gradient steps against the same discriminator; `motion` replaces it by
            particles with its measured kernel, or with the two numbers of that kernel, from the same start and with
            the same minibatches
"""

from typing import Any

from ganscope.core.checks import integer, number, one_of
from ganscope.core.errors import ParameterError
from ganscope.core.game import Level
from ganscope.games.particle.generator.activations import ACTIVATIONS

RULES = ("alternating", "simultaneous")
ORDERS = ("discriminator_first", "generator_first")
MOTIONS = ("network", "measured_kernel", "two_numbers")
NETWORK = "network"


def _per_iteration(game: Any, dimension: int | None, step_size: float | None) -> float:
    del game, dimension, step_size
    return 1.0


_COMMON: dict[str, Any] = {"order": ORDERS[0]}

LEVELS = {
    "particles": Level(RULES, stochastic=True, steps_per_unit=_per_iteration, default_iterations=1000, options=_COMMON),
    NETWORK: Level(
        RULES,
        stochastic=True,
        steps_per_unit=_per_iteration,
        default_iterations=600,
        options=_COMMON
        | {
            "motion": MOTIONS[0],
            "generator_depth": 2,
            "generator_activation": "relu",
            "generator_width": 512,
            "generator_weight_variance": 2.0,
            "generator_bias_variance": 0.0,
            "latent_dimension": 512,
            "keep_mean": False,
        },
    ),
}


def check_rule(rule: str, discriminator_steps: int) -> None:
    """Refuse simultaneous steps with several steps of the discriminator.

    Raises:
        ParameterError: If both are asked for.
    """
    if rule == "simultaneous" and discriminator_steps > 1:
        expected = f"'alternating', since discriminator_steps is {discriminator_steps}"
        raise ParameterError("rule", rule, expected)


def check_options(options: dict[str, Any]) -> dict[str, Any]:
    """The options of a level, checked.

    Raises:
        ParameterError: If one is out of its range.
    """
    checked = dict(options)
    one_of("order", checked["order"], ORDERS)
    if "motion" not in checked:
        return checked
    one_of("motion", checked["motion"], MOTIONS)
    if not isinstance(checked["keep_mean"], bool):
        raise ParameterError("keep_mean", checked["keep_mean"], "True or False")
    one_of("generator_activation", checked["generator_activation"], ACTIVATIONS)
    for name, least in (("generator_depth", 1), ("generator_width", 1), ("latent_dimension", 2)):
        checked[name] = integer(name, checked[name], at_least=least)
    checked["generator_weight_variance"] = number(
        "generator_weight_variance", checked["generator_weight_variance"], above=0
    )
    checked["generator_bias_variance"] = number(
        "generator_bias_variance", checked["generator_bias_variance"], at_least=0
    )
    return checked
