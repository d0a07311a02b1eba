"""Whether a collapsed cloud tears itself apart: the same two questions for every game of particles."""

import inspect
from collections.abc import Callable
from typing import Any

from ganscope.core.errors import NotApplicable, unknown_name


def transverse_exponent(game: Any, mean_mobility: float | None = None, **options: Any) -> float:
    r"""Curvature of the discriminator under a fully collapsed cloud, averaged along its orbit.

    A cloud at one point X moves by dX/dt = mean_mobility grad D(X), against a discriminator that is trained on X alone;
    a small relative displacement grows at the rate relative_mobility times this number: the mean of D''(X(t)) in one
    dimension, the top Lyapunov exponent of the Hessian of D in several. Positive: the discriminator digs a dip under
    the cloud and tears it apart. Negative: collapse is stable.

    Args:
        game: A `TorusGAN`, or a `ParticleGAN` whose discriminator is smooth.
        mean_mobility: Mobility of the centre of mass, > 0; None is the game's own.
        options: For a `TorusGAN` `scheme` ("second_order" or "first_order"), `horizon` (None: 200 / discriminator_lr),
            `step_size` and `starts` (None: they resolve the orbit, from 0.2 + 0.09 j); for a `ParticleGAN` `iterations`
            (2000), `starts` (number of orbits, 4) and `seed`.

    Returns:
        Curvature, per unit of length squared.

    Raises:
        NotApplicable: If the game has no such number.
        ParameterError: If an option is out of its range.

    References:
        The particles: Durr, Mroueh, Tu, Wang. Effective dynamics of generative adversarial networks.
        Phys. Rev. X 13, 041004 (2023). The exponent is derived here.
    """
    if not hasattr(game, "transverse_exponent"):
        raise NotApplicable(f"{type(game).__name__} has no particles that could collapse")
    _check_options(game.transverse_exponent, options)
    return float(game.transverse_exponent(mean_mobility, **options))


def critical_mobility(game: Any, **options: Any) -> float:
    """The mean mobility beyond which a collapsed cloud stays together.

    The first downward zero crossing of `transverse_exponent`.

    Args:
        game: A `TorusGAN`.
        options: `scheme` ("second_order" or "first_order"), `horizon` and `step_size` of the orbits, see
            `transverse_exponent`.

    Returns:
        Mean mobility; infinite if a collapsed cloud is torn apart at every mobility that was tried, 0 if at none, NaN
        if it is marginal.

    Raises:
        NotApplicable: If the game has no such number.
        ParameterError: If an option is out of its range.
    """
    if not hasattr(game, "critical_mobility"):
        raise NotApplicable(f"{type(game).__name__} has no critical mobility that could be computed")
    _check_options(game.critical_mobility, options)
    return float(game.critical_mobility(**options))


def _check_options(method: Callable[..., Any], options: dict[str, Any]) -> None:
    known = list(inspect.signature(method).parameters)
    for name in options:
        if name not in known:
            raise unknown_name("option", name, known)
