"""The spectrum of a real game at its checkpoint, for `gs.spectrum`."""

from typing import TYPE_CHECKING

import numpy as np

from ganscope.analysis.spectrum import spectrum_from_values
from ganscope.core.errors import NotApplicable
from ganscope.core.outcome import Spectrum
from ganscope.diagnose.instruments.rotation import whitening
from ganscope.diagnose.instruments.update_map import update_map
from ganscope.diagnose.settings import DiagnoseSettings
from ganscope.diagnose.theory.predicted import measured_as

if TYPE_CHECKING:
    from ganscope.diagnose.real_game import RealGame

# Matrices up to this order are solved whole, within seconds; the reduced game stands for larger ones.
LARGEST_DENSE = 2000


def local_spectrum(game: "RealGame", rule: str | None) -> Spectrum:
    """Eigenvalues of the whitened Jacobian, or multipliers of the update map with the order `rule`."""
    sizes = game.backend.sizes
    settings = DiagnoseSettings.from_options({}, sizes=(sizes.generator, sizes.discriminator))
    memories = (
        1 if rule is None else 1 + any(player.memory > 0 for player in (game.rule.generator, game.rule.discriminator))
    )
    if memories * sum(sizes) <= LARGEST_DENSE:
        unit = whitening(game.backend, game.rule, game.train_batch_size, settings.seed, game.change)
        draw = game.backend.draw(settings.seed, settings.batch_size)
        linearised = game.backend.linearise(game.backend.point, draw, game.change)
        jacobian = (linearised.products(np.diag(unit.both)) * unit.both).T
        if not np.all(np.isfinite(jacobian)):
            raise NotApplicable("the Jacobian is not finite here: there is no spectrum")
        split = sizes.generator
    else:
        jacobian = measured_as(game, settings)[0].jacobian
        split = len(jacobian) // 2
    if rule is None:
        return spectrum_from_values(np.linalg.eigvals(jacobian))
    own = game.rule if rule == game.order else game.rule.replace(order=rule)
    return spectrum_from_values(np.linalg.eigvals(update_map(jacobian, split, own)), is_map=True)
