"""What the numbers of a diagnosis rest on, in sentences that always go with them."""

from collections.abc import Sequence

import numpy as np

from ganscope.diagnose.instruments.measurement import Measurement

# Squared mean velocity over the trace of its minibatch covariance.
NEAR_STATIONARY, DRIFTING = 0.5, 3.0


def assumptions(measurements: Sequence[Measurement]) -> tuple[str, ...]:
    """Stationarity, frozen preconditioner and batch size of a diagnosis.

    Args:
        measurements: One per batch; none gives no sentence.
    """
    if not measurements:
        return ()
    first = measurements[0]
    ratio = float(np.median([one.signal_to_noise for one in measurements]))
    told = [f"Signal-to-noise ratio of the velocity {ratio:.3g}: {_stationarity(ratio)}."]
    if first.rule.generator.adaptive or first.rule.discriminator.adaptive:
        told.append("The preconditioners of the optimizers are frozen as they are at the checkpoint.")
    if any(one.floored for one in measurements):
        told.append("Very small second moments were raised to a floor (preconditioner floored).")
    told.append(f"Minibatch noise is that of training batches of {first.batch_size}.")
    told.append("Weights, kernels and noise stay as they are at the checkpoint over the whole horizon.")
    return tuple(told)


def _stationarity(ratio: float) -> str:
    if ratio > DRIFTING:
        return "drifting, away from an equilibrium; local growth holds for about 5-20 iterations"
    return "near-stationary" if ratio < NEAR_STATIONARY else "neither stationary nor clearly drifting"
