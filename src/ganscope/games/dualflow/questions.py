"""Questions that every dual flow is asked in the same words: about which level, at which step, with which options."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ganscope.analysis.spectrum import Spectra, spectra_from_values
from ganscope.core.checks import number, one_of
from ganscope.core.errors import ParameterError, unknown_name
from ganscope.core.outcome import Outcome, Spectrum
from ganscope.games.dualflow import levels
from ganscope.games.dualflow.levels import FLOW, MIDPOINT, NASH, SCHEMES
from ganscope.games.dualflow.theory.affine import Linear, affine_step, no_step

# Eigenvalues this small, relative to the largest entry, are neutral.
_NEUTRAL = 1e-9
SPECTRUM_OPTIONS = ("step_size", "order", "discriminator_steps")


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


def scheme_spectrum(linear: Linear, rule: str | None, options: Mapping[str, Any]) -> Spectrum:
    """Spectrum of a linear game: eigenvalues of its flow, or multipliers of a scheme.

    Args:
        linear: The game, without leading axes.
        rule: None or "flow", or a scheme.
        options: `step_size` (0.02), `order` and `discriminator_steps` of a scheme; only sequential ones look at the
            order.

    Raises:
        StepTooLarge: If a step has no solution.
        ParameterError: If a name or a value is wrong.
    """
    j, b, n = linear
    return scheme_spectra(Linear(j[None], b[None], n), rule, options).one()


def scheme_spectra(
    linear: Linear, rule: str | None, options: Mapping[str, Any], unsolved: npt.NDArray[np.bool_] | None = None
) -> Spectra:
    """`scheme_spectrum` of many linear games, along one leading axis.

    Args:
        linear, rule, options: As there.
        unsolved: Filled with whether a step has no solution, shape `[cells]`, instead of raising the error; the spectra
            there are those of a map that moves nothing.
    """
    if rule is None or rule == FLOW:
        if options:
            name = next(iter(options))
            raise ParameterError(name, options[name], "nothing: the flow has no steps")
        scale = np.max(np.abs(linear.jacobian), axis=(-2, -1), initial=0.0)
        return spectra_from_values(np.linalg.eigvals(linear.jacobian), neutral=np.maximum(_NEUTRAL * scale, 1e-300))
    one_of("rule", rule, (FLOW, *SCHEMES))
    for name in options:
        if name not in SPECTRUM_OPTIONS:
            raise unknown_name("option", name, SPECTRUM_OPTIONS)
    step = number("step_size", options.get("step_size", levels.DEFAULT_STEP), above=0)
    rest = levels.check_options({k: v for k, v in options.items() if k != "step_size"})
    if rule in (NASH, MIDPOINT) and rest.get("discriminator_steps", 1) != 1:
        raise ParameterError("discriminator_steps", rest["discriminator_steps"], f"1: {rule} moves both players once")
    matrix, _ = affine_step(linear, rule, step, **rest)
    lost = np.asarray(~np.isfinite(matrix).all(axis=(-2, -1)))
    if unsolved is not None:
        unsolved[:] = lost
        matrix = np.where(lost[:, None, None], np.eye(matrix.shape[-1]), matrix)
    elif lost.any():
        raise no_step(rule, step)
    move = np.max(np.abs(matrix - np.eye(matrix.shape[-1])), axis=(-2, -1))
    neutral = np.maximum(_NEUTRAL * np.minimum(move, 1.0), 1e-15)
    return spectra_from_values(np.linalg.eigvals(matrix), is_map=True, neutral=neutral)
