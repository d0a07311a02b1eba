"""The levels of a dual flow: the limit of vanishing step size, and the schemes that step towards it.

    explicit                both players take a gradient step, looking at the other's old state
    explicit_sequential     the second player looks at the first one's new state
    jko                     both solve a proximal problem, the other one frozen at its old state
    jko_sequential          the second player freezes the first one at its new state
    nash                    both solve their proximal problems at each other's new state: fully implicit
    midpoint                implicit midpoint rule, order 2

`jko` is implicit in each player's own variable only: for a game that is linear in both it equals `explicit`, and
`jko_sequential` equals `explicit_sequential`. Only `nash` spirals inwards there.

References:
    Turinici. Convergence dynamics of generative adversarial networks: the dual metric flows. 2020.
    Jordan, Kinderlehrer, Otto. The variational formulation of the Fokker-Planck equation. 1998.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ganscope.core.checks import integer, number, one_of
from ganscope.core.errors import ParameterError
from ganscope.core.game import Level, Request

FLOW = "flow"
EXPLICIT, EXPLICIT_SEQUENTIAL = "explicit", "explicit_sequential"
JKO, JKO_SEQUENTIAL, NASH, MIDPOINT = "jko", "jko_sequential", "nash", "midpoint"
SCHEMES = (EXPLICIT, EXPLICIT_SEQUENTIAL, JKO, JKO_SEQUENTIAL, NASH, MIDPOINT)
# Schemes whose generator solves a proximal problem.
IMPLICIT = (JKO, JKO_SEQUENTIAL, NASH)
# Numbers of the schemes, as compiled code knows them.
CODES = {name: code for code, name in enumerate(SCHEMES)}

ORDERS = ("generator_first", "discriminator_first")
DEFAULT_STEP, DEFAULT_HORIZON = 0.02, 20.0
MOST_DISCRIMINATOR_STEPS = 1000
NASH_ROUNDS, NASH_TOLERANCE = 500, 1e-13

_SOLVER = {"prox_tolerance": 1e-12, "prox_iterations": 100}
_STEPS = {"discriminator_steps": 1}
_OPTIONS: dict[str, dict[str, Any]] = {
    EXPLICIT: _STEPS,
    EXPLICIT_SEQUENTIAL: {"order": ORDERS[0], **_STEPS},
    JKO: _STEPS | _SOLVER,
    JKO_SEQUENTIAL: {"order": ORDERS[0], **_STEPS, **_SOLVER},
    NASH: _SOLVER,
    MIDPOINT: _SOLVER,
}


def _per_unit(game: Any, dimension: int | None, step_size: float | None) -> float:
    del game, dimension
    return 1.0 / step_of(step_size)


def step_of(step_size: float | None) -> float:
    """The step size in force."""
    return DEFAULT_STEP if step_size is None else step_size


def dual_levels(
    *, midpoint: bool = True, stochastic: bool = False, more: Mapping[str, Any] | None = None
) -> dict[str, Level]:
    """The levels of a game.

    Args:
        midpoint: Whether its spaces are flat, so that the midpoint rule makes sense.
        stochastic: Whether its schemes take minibatches (`batch`) and differ between replicas.
        more: Further options of every scheme, with their defaults.
    """
    levels = {FLOW: Level(default_horizon=DEFAULT_HORIZON, options={"tolerance": 1e-10})}
    for name in SCHEMES if midpoint else SCHEMES[:-1]:
        levels[name] = Level(
            stochastic=stochastic,
            steps_per_unit=_per_unit,
            takes_step_size=True,
            shortens=True,
            default_horizon=DEFAULT_HORIZON,
            options=_OPTIONS[name] | ({"batch": None} if stochastic and name != NASH else {}) | dict(more or {}),
        )
    return levels


def check_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a level, each in its range; options that the level does not have are left out.

    Raises:
        ParameterError: If one is out of its range.
    """
    checked = dict(options)
    if "order" in options:
        checked["order"] = one_of("order", options["order"], ORDERS)
    if "discriminator_steps" in options:
        steps = integer("discriminator_steps", options["discriminator_steps"], at_least=1)
        if steps > MOST_DISCRIMINATOR_STEPS:
            raise ParameterError("discriminator_steps", steps, f"an integer in 1 .. {MOST_DISCRIMINATOR_STEPS}")
        checked["discriminator_steps"] = steps
    if "prox_tolerance" in options:
        checked["prox_tolerance"] = number("prox_tolerance", options["prox_tolerance"], above=0)
    if "prox_iterations" in options:
        checked["prox_iterations"] = integer("prox_iterations", options["prox_iterations"], at_least=1)
    if "tolerance" in options:
        checked["tolerance"] = number("tolerance", options["tolerance"], above=0)
    if options.get("batch") is not None:
        checked["batch"] = integer("batch", options["batch"], at_least=1)
    return checked


def strides(request: Request) -> Iterator[list[tuple[int, float]]]:
    """What is done before each record of a scheme: a list of numbers of steps with their step size.

    The last step of a run whose horizon is no multiple of the step size is shorter.
    """
    step = step_of(request.step_size)
    schedule = request.schedule
    assert schedule.iterations is not None
    done, last = 0, len(schedule.iterations) - 1
    for k, count in enumerate(schedule.iterations):
        steps = int(count) - done
        done = int(count)
        if k == last and schedule.last_share < 1 and steps:
            yield [(steps - 1, step), (1, schedule.last_share * step)]
        else:
            yield [(steps, step)]


def stride_arrays(request: Request) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """`strides` as compiled loops take them: numbers and sizes of the steps before each record, both `[records, 2]`."""
    plan = list(strides(request))
    counts, sizes = np.zeros((len(plan), 2), np.int64), np.zeros((len(plan), 2))
    for record, parts in enumerate(plan):
        for k, (count, size) in enumerate(parts):
            counts[record, k], sizes[record, k] = count, size
    return counts, sizes
