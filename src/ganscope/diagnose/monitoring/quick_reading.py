"""A cheap measurement for the monitor: what the game at hand is predicted to do, in a few numbers."""

from typing import TYPE_CHECKING, Any

from ganscope.diagnose.instruments.generator_kernel import generator_kernel
from ganscope.diagnose.instruments.measure import data_radius, measure
from ganscope.diagnose.instruments.mode_damping import damping_ratio
from ganscope.diagnose.instruments.rotation import whitening
from ganscope.diagnose.settings import DiagnoseSettings
from ganscope.diagnose.theory import virtual

if TYPE_CHECKING:
    from ganscope.diagnose.real_game import RealGame


def quick_reading(game: "RealGame", seed: int = 0, **setting: int) -> dict[str, Any]:
    """Predicted wander and what goes with it, from one small batch.

    Args:
        game: The game at the present checkpoint.
        seed: Of the batch.
        setting: `modes`, `batch_size`, `noise_batches`.

    Returns:
        `predicted_wander`, `growth_virtual`, `sigma_1`, `zeta_1`, `same_kernel`, `cross_kernel`, `coupling`; without a
        generator to call, growth, rotation and damping alone.
    """
    backend = game.backend
    settings = DiagnoseSettings.from_options(setting, quick=True, sizes=tuple(backend.sizes))
    unit = whitening(backend, game.rule, game.train_batch_size, seed, game.change)
    one = measure(game, settings, seed, unit, data_radius(backend))
    found: dict[str, Any] = {
        "growth_virtual": virtual.growth(one),
        "sigma_1": float(one.sigma[0]),
        "zeta_1": float(damping_ratio(one)[0]),
    }
    if one.outputs is not None:
        found["predicted_wander"] = virtual.forecast(one).predicted_wander
        adaptive = game.rule.generator.adaptive
        kernel = generator_kernel(backend, unit.generator, preconditioned=adaptive, seed=seed)
        found |= {name: getattr(kernel, name) for name in ("same_kernel", "cross_kernel", "coupling")}
    return found
