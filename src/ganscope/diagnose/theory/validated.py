"""What the benchmark has covered: outside of it the verdict has no measured confidence, and says so."""

from collections.abc import Sequence

from ganscope.diagnose.backend import Backend
from ganscope.diagnose.instruments.measurement import Measurement

# Ranges of the benchmark's games: parameters of a player, axes of a sample, minibatches of training, data radii. On
# wider and deeper networks the verdict was no better than a coin.
PARAMETERS = (600, 5_000)
AXES = (2, 16)
BATCHES = (32, 512)
RADII = (0.1, 15.0)


def outside(backend: Backend, measurements: Sequence[Measurement]) -> tuple[str, ...]:
    """In what a game lies outside of everything that the benchmark has covered, in words.

    Args:
        backend: The game.
        measurements: One per batch; none says nothing.
    """
    if not measurements:
        return ()
    first = measurements[0]
    told = []
    smallest, largest = min(backend.sizes), max(backend.sizes)
    if smallest < PARAMETERS[0] or largest > PARAMETERS[1]:
        told.append(f"{smallest:,} and {largest:,} parameters (measured: {PARAMETERS[0]:,} to {PARAMETERS[1]:,})")
    if not BATCHES[0] <= first.batch_size <= BATCHES[1]:
        told.append(f"batches of {first.batch_size} (measured: {BATCHES[0]} to {BATCHES[1]})")
    if first.outputs is not None and not AXES[0] <= first.outputs.shape[2] <= AXES[1]:
        told.append(f"samples with {first.outputs.shape[2]} axes (measured: {AXES[0]} to {AXES[1]})")
    if not RADII[0] <= first.data_radius <= RADII[1]:
        told.append(f"a data radius of {first.data_radius:.3g} (measured: {RADII[0]:g} to {RADII[1]:g})")
    return tuple(told)
