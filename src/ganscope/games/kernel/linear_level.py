"""Level `linear`: what the linearisation at the equilibrium makes of the game's own start."""

from typing import TYPE_CHECKING

import numpy as np

from ganscope.core.game import Request
from ganscope.dynamics.rules import FLOW
from ganscope.games.kernel.cells import Cells, Record
from ganscope.games.kernel.equilibria import equilibrium
from ganscope.games.kernel.linearisation import linear_trajectory
from ganscope.games.kernel.sums import mmd_squared

if TYPE_CHECKING:
    from ganscope.games.kernel.model import KernelGAN


def run_linear(game: "KernelGAN", request: Request, cells: Cells, rule: str, momentum: float) -> Record:
    """Trajectories of all cells, one after another; the squared MMD is that of the points."""
    times, records = request.schedule.times, len(request.schedule.times)
    found = Record.empty(len(cells), records, game.generated_points.shape)
    for k in range(len(cells)):
        own = game.replace(**{name: values[k] for name, values in request.over.items()})
        steps = times / own.discriminator_lr if rule == FLOW else request.schedule.iterations
        path = linear_trajectory(own, equilibrium(own).state, steps, rule, momentum)
        found.points[k] = path
        for record, points in enumerate(path):
            if np.all(np.isfinite(points)):
                found.mmd2[k, record] = mmd_squared(
                    own.kernel, own.real_points, own.real_mass, points, own.generated_mass
                )
    return found
