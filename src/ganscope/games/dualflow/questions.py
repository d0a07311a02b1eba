"""Questions that every dual flow is asked in the same words: about which level, at which step, with which options."""

from typing import Any, NamedTuple

from ganscope.analysis.spectrum import spectrum_of
from ganscope.core.checks import number, one_of
from ganscope.core.errors import ParameterError, unknown_name
from ganscope.core.outcome import Outcome, Spectrum
from ganscope.games.dualflow import levels
from ganscope.games.dualflow.affine import Linear, affine_step
from ganscope.games.dualflow.levels import FLOW, SCHEMES

_SPECTRUM_OPTIONS = ("step_size", "order", "discriminator_steps")


class Answer(NamedTuple):
    """The heart of a prediction."""

    outcome: Outcome
    detail: str
    margin: float
    reasons: tuple[str, ...]


def asked(game: Any, level: str | None, rule: str | None, step_size: float | None) -> tuple[str, float]:
    """The level that a prediction is about, and its step size.

    Raises:
        ParameterError: If there is no such level, a rule is given, or the flow is given a step size.
    """
    name = FLOW if level is None else one_of("level", level, game.levels)
    if rule not in (None, FLOW):
        raise ParameterError("rule", rule, "nothing: the schemes of a dual flow are levels")
    if step_size is not None:
        if name == FLOW:
            raise ParameterError("step_size", step_size, "nothing: level 'flow' has no step size")
        step_size = number("step_size", step_size, above=0)
    return name, levels.step_of(step_size)


def scheme_spectrum(linear: Linear, rule: str | None, options: dict[str, Any], neutral: float = 1e-9) -> Spectrum:
    """Spectrum of a linear game: of its flow, or of a scheme with `step_size`, `order` and `discriminator_steps`.

    Raises:
        ParameterError: If the rule or an option is unknown.
    """
    for name in options:
        if name not in _SPECTRUM_OPTIONS:
            raise unknown_name("option", name, _SPECTRUM_OPTIONS)
    if rule in (None, FLOW):
        return spectrum_of(linear.jacobian, neutral=neutral)
    one_of("rule", rule, (FLOW, *SCHEMES))
    step = number("step_size", options.get("step_size", levels.DEFAULT_STEP), above=0)
    rest = levels.check_options({k: v for k, v in options.items() if k != "step_size"})
    assert rule is not None
    matrix, _ = affine_step(linear, rule, step, **rest)
    return spectrum_of(matrix, is_map=True, neutral=neutral)
