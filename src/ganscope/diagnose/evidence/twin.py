r"""Is the linearisation right? Two runs that start almost alike, against the multiplier that it predicts.

One minibatch is held fixed, so that the iteration is a map on (theta, phi, m_G, m_D), the memories in the parameters'
own units. With second moments frozen its derivative is exact: one Jacobian product of the velocity per inner step, each
at the point where that step is made. Arnoldi iteration finds its leading rotating pair (mu, r). A run from the
checkpoint and one from checkpoint + eps Re r then differ by

    d_t / eps  =  Re(c_t r) + ...,     c_t = mu^t  to first order,

and the drift of both, which is no equilibrium's, cancels. Amplitudes c_t fitted in the plane of Re r and Im r give the
observed multiplier. For modes that decay the other directions soon outweigh this one: the amplitude is what counts.

References:
    Gidel, Hemmat, Pezeshki, Le Priol, Huang, Lacoste-Julien, Mitliagkas. Negative momentum for improved game
    dynamics. AISTATS 2019.
"""

import cmath
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ganscope.diagnose.backend import Backend, Draw
from ganscope.diagnose.change import UNCHANGED, Change
from ganscope.diagnose.evidence.frozen_batch import FrozenBatch, State
from ganscope.diagnose.instruments.arnoldi import EigenPairs, eigenpairs
from ganscope.diagnose.instruments.rotation import Whitening
from ganscope.diagnose.instruments.update_map import FLIP_ANGLE
from ganscope.diagnose.rule import UpdateRule
from ganscope.diagnose.training import Memory

Array = npt.NDArray[np.float64]
ComplexArray = npt.NDArray[np.complex128]

# Agreement that passes: of moduli, and of angles relative or in radians.
MODULUS_TOLERANCE, ANGLE_SHARE, ANGLE_TOLERANCE = 0.02, 0.1, 0.01
# An eigenpair that misses its own equation by more proves nothing.
LARGEST_RESIDUAL = 1e-8
# The linear picture ends where the difference of the runs is off by this share.
HORIZON_ERROR = 0.5
# Pairs that turn at least this fast, compared with the fastest, are candidates; the most lasting of them leads.
_SLOWEST = 0.1
# An imaginary part below this is rounding.
_REAL = 1e-10


@dataclass(frozen=True)
class TwinFork:
    """Predicted and observed multiplier of the leading pair.

    Attributes:
        passed: Whether frozen and live runs both agree with the prediction.
        predicted: Modulus and angle (radians per iteration) of the multiplier.
        observed: Likewise from the runs, second moments alive as in training.
        observed_frozen: Likewise with second moments frozen as in the prediction.
        residual: Of the eigenpair.
        one_step_error: Relative error of the predicted difference after one iteration, second moments frozen.
        errors: Relative errors of the predicted difference after 1, 2, ... iterations, second moments alive.
        horizon: Iterations until that error passes 50 %; one more than were run if it never did.
        rotating: Whether the pair turns; False: no rotation anywhere, the largest real multiplier was followed.
        notes: Why it failed, if for another reason than disagreement.
    """

    passed: bool
    predicted: tuple[float, float]
    observed: tuple[float, float]
    observed_frozen: tuple[float, float]
    residual: float
    one_step_error: float
    errors: tuple[float, ...]
    horizon: int
    rotating: bool
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {name: _plain(getattr(self, name)) for name in self.__dataclass_fields__}


def twin_fork(
    backend: Backend,
    rule: UpdateRule,
    unit: Whitening,
    draw: Draw,
    memory: Memory | None = None,
    *,
    change: Change = UNCHANGED,
    iterations: int = 20,
    epsilon: float = 1e-6,
    krylov: int = 60,
    restarts: int = 20,
    seed: int = 0,
) -> TwinFork:
    """Check the leading rotating multiplier of the user's own iteration by two runs on one fixed minibatch.

    Args:
        backend: The checkpoint, in float64.
        rule: The update rule.
        unit: Whitening: square roots of learning rates times frozen preconditioners.
        draw: The minibatch.
        memory: The optimizers' memory; None is that of the rule's players, or none.
        change: Of the discriminator's loss.
        iterations: Of both runs.
        epsilon: Distance of the starts, in the parameters' own units: whitened ones may be huge where second moments
            vanish.
        krylov, restarts: Of the Arnoldi iteration; games of up to 200 parameters are solved whole.
        seed: Of its start.

    Returns:
        The comparison; failures are results, too.
    """
    frozen = FrozenBatch(backend, rule, unit, draw, change)
    start = frozen.start(memory)
    derivative = frozen.derivative(start)
    pairs = eigenpairs(derivative, frozen.size, "LI", 8, krylov, 1e-11, restarts, seed)
    if not np.any(_rotating(pairs.values)):
        pairs = eigenpairs(derivative, frozen.size, "LM", 4, krylov, 1e-11, restarts, seed)
    found = leading(pairs)
    if found is None:
        return _failed("no eigenpair of the iteration converged")
    mu, vector, residual = found
    vector = _balanced(vector)
    raw = vector.real[: frozen.size // 2] * unit.both
    epsilon = epsilon / max(float(np.linalg.norm(raw)), 1e-300)
    with np.errstate(all="ignore"):
        predicted = np.real(np.power(mu, np.arange(iterations + 1.0))[:, None] * vector)
        runs = [_difference(frozen, start, vector.real, iterations, epsilon, live) for live in (False, True)]
        bounded = all(np.isfinite(np.linalg.norm(run)) for run in (predicted, *runs))
    if not bounded:
        return _failed("the runs left every bounded region", mu, residual)
    errors = [np.linalg.norm(run - predicted, axis=1) / np.linalg.norm(predicted, axis=1) for run in runs]
    observed = [observed_multiplier(run, vector) for run in runs]
    late = np.flatnonzero(errors[1] > HORIZON_ERROR)
    notes = () if residual <= LARGEST_RESIDUAL else (f"the eigenpair has converged to {residual:.1g} only",)
    return TwinFork(
        passed=not notes and all(agrees(mu, seen) for seen in observed),
        predicted=cmath.polar(mu),
        observed=cmath.polar(observed[1]),
        observed_frozen=cmath.polar(observed[0]),
        residual=residual,
        one_step_error=float(errors[0][1]),
        errors=tuple(float(e) for e in errors[1][1:]),
        horizon=int(late[0]) if len(late) else iterations + 1,
        rotating=abs(mu.imag) > _REAL,
        notes=notes,
    )


def agrees(predicted: complex, observed: complex) -> bool:
    """Whether moduli are within 0.02 and angles within 10 % or 0.01 rad."""
    apart = abs(cmath.phase(observed) - cmath.phase(predicted))
    apart = min(apart, 2 * math.pi - apart)
    close = apart <= max(ANGLE_TOLERANCE, ANGLE_SHARE * abs(cmath.phase(predicted)))
    return close and abs(abs(observed) - abs(predicted)) <= MODULUS_TOLERANCE


def leading(pairs: EigenPairs) -> tuple[complex, ComplexArray, float] | None:
    """The most lasting of the pairs that turn about as fast as the fastest; else the largest real one; else None."""
    if not len(pairs.values):
        return None
    turning = _rotating(pairs.values)
    if np.any(turning):
        turning &= pairs.values.imag >= _SLOWEST * np.max(pairs.values.imag[turning])
    candidates = np.flatnonzero(turning) if np.any(turning) else np.arange(len(pairs.values))
    best = candidates[np.argmax(np.abs(pairs.values[candidates]))]
    return complex(pairs.values[best]), pairs.vectors[best], float(pairs.residuals[best])


def observed_multiplier(differences: Array, vector: ComplexArray) -> complex:
    """The factor from one difference of two runs to the next, in the plane of an eigenvector.

    Args:
        differences: `[iterations + 1, size]`, over the distance of the starts.
        vector: The eigenvector `[size]`; a real one spans a line.
    """
    if np.linalg.norm(vector.imag) <= _REAL:
        amplitudes = (differences @ vector.real / (vector.real @ vector.real)).astype(np.complex128)
    else:
        # Re(c r) = Re c Re r - Im c Im r
        plane = np.stack([vector.real, -vector.imag], axis=1)
        parts = np.linalg.lstsq(plane, differences.T, rcond=None)[0]
        amplitudes = parts[0] + 1j * parts[1]
    before, after = amplitudes[:-1], amplitudes[1:]
    return complex(np.vdot(before, after) / np.vdot(before, before))


def _rotating(values: ComplexArray) -> npt.NDArray[np.bool_]:
    return (values.imag > _REAL) & (np.abs(np.angle(values)) <= FLIP_ANGLE)


def _balanced(vector: ComplexArray) -> ComplexArray:
    """The eigenvector with the phase that makes its parts orthogonal, the real one the longer."""
    square = complex(np.sum(vector**2))
    turned = vector * cmath.exp(-0.5j * cmath.phase(square)) if square != 0 else vector
    return turned / np.linalg.norm(turned.real)


def _difference(
    frozen: FrozenBatch, start: State, direction: Array, iterations: int, epsilon: float, live: bool
) -> Array:
    """Difference of the two runs over their first distance, `[iterations + 1, size]`."""
    first, second = start, frozen.moved(start, epsilon * direction)
    rows = [frozen.vector(second) - frozen.vector(first)]
    for _ in range(iterations):
        first, second = frozen.step(first, live), frozen.step(second, live)
        rows.append(frozen.vector(second) - frozen.vector(first))
    return np.array(rows) / epsilon


def _failed(why: str, mu: complex = complex(math.nan, math.nan), residual: float = math.nan) -> TwinFork:
    nowhere = (math.nan, math.nan)
    predicted = nowhere if cmath.isnan(mu) else cmath.polar(mu)
    return TwinFork(False, predicted, nowhere, nowhere, residual, math.nan, (), 0, mu.imag > _REAL, (why,))


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
