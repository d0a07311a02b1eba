r"""The generator's kernel at a checkpoint: what a gradient for one sample does to the others; and the risk of collapse.

With s_i = (dG(z_i)/dw_G)^T u, in whitened parameters and with one random sign vector u for all latents,

    kappa_ij = s_i . s_j / d,     same kernel: mean of kappa_ii,     cross kernel: mean of kappa_ij, i != j,
    chi = (same + (N - 1) cross) / (same - cross),    chi_R = [1'kappa 1 / N] / [trace(P kappa P) / (N - 1)],

P = I - 11'/N. Samples that all share one parameter move as one (chi large), and a cloud that moves as one is chased
around by the discriminator instead of spreading over the data. Where all samples coincide, their relative distances
grow at the rate m_rel <trace Hess D> / d, m_rel = (same - cross) / N.

References:
    Durr, Mroueh, Tu, Wang. Effective dynamics of generative adversarial networks. Phys. Rev. X 13, 041004 (2023).
    Hutchinson. A stochastic estimator of the trace of the influence matrix. Commun. Stat. 19, 433 (1990).
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ganscope.core.checks import integer
from ganscope.core.errors import NotApplicable, ParameterError
from ganscope.core.random import check_seed
from ganscope.diagnose.backend import Backend, Draw

Array = npt.NDArray[np.float64]

LATENTS = 64
# Couplings of the particle model between which collapse sets in; for real networks a hypothesis.
RAISED, HIGH = 8.0, 32.0
RISKS = ("low", "raised", "high")
# Numbers of latents of one draw differ between chunks by their seeds.
_SEED_APART = 13_001


@dataclass(frozen=True, eq=False)
class GeneratorKernel:
    """The kernel at some latents, per iteration.

    Attributes:
        matrix: kappa, shape `[N, N]`.
        same_kernel, cross_kernel: Means on and off its diagonal.
        same_spread, cross_spread: Standard deviations there.
        coupling, coupling_robust: chi and chi_R; infinite if all samples move as one.
        preconditioned: Whether an adaptive optimizer's preconditioner is in it.
        laplacian: Mean trace of the Hessian of the discriminator at generated samples; None if it is not known.
        relative_growth: Rate at which coinciding samples would part, per iteration; None likewise.
        risk: `low`, `raised` or `high`.
        statement: A sentence on it.
    """

    matrix: Array
    same_kernel: float
    cross_kernel: float
    same_spread: float
    cross_spread: float
    coupling: float
    coupling_robust: float
    preconditioned: bool
    laplacian: float | None
    relative_growth: float | None
    risk: str
    statement: str

    def to_dict(self) -> dict[str, Any]:
        """Plain values, without the matrix."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "matrix"}


def generator_kernel(
    backend: Backend,
    unit: Array,
    *,
    preconditioned: bool = False,
    damping_ratio: float | None = None,
    draw: Draw | None = None,
    latents: int = LATENTS,
    probes: int = 1,
    seed: int = 0,
    memory: int = 2**30,
) -> GeneratorKernel:
    """Measure the kernel of a checkpoint's generator.

    Gradients of single samples are computed in chunks of latents; if they do not fit into `memory` together, chunks
    are computed again for every other chunk.

    Args:
        backend: The checkpoint.
        unit: Whitening of the generator's parameters, `[n_G]`.
        preconditioned: Whether the unit holds a preconditioner; told on.
        damping_ratio: Of the leading rotation mode, for the risk.
        draw: Real samples and latents for the discriminator's curvature; None leaves it out.
        latents: N, at least 2.
        probes: Sign vectors averaged over, at least 1; one is exact where all outputs have the same kernel.
        seed: Of latents and sign vectors.
        memory: Bytes for gradients held at once, at least 2^16; two single gradients are held in any case.

    Raises:
        NotApplicable: If the generator cannot be called on its own.
        ParameterError: If a number is out of range, or outputs do not depend on the parameters.

    References:
        Durr, Mroueh, Tu, Wang. Effective dynamics of generative adversarial networks. Phys. Rev. X 13, 041004 (2023).
    """
    latents, probes = integer("latents", latents, at_least=2), integer("probes", probes, at_least=1)
    seed, memory = check_seed(seed), integer("memory", memory, at_least=2**16)
    if not backend.samples_known:
        raise NotApplicable("the kernel needs the generator as a function of its parameters and latents")
    matrix = kernel_matrix(backend, unit, latents, probes, seed, memory)
    off = matrix[~np.eye(latents, dtype=bool)]
    same, cross = float(np.diag(matrix).mean()), float(off.mean())
    if not same > 0:
        raise ParameterError("generator", "outputs that do not depend on the parameters", "a generator that can learn")
    laplacian = growth = None
    if draw is not None and backend.scores_known:
        slopes = backend.score_slopes(backend.point, draw)[1]
        laplacian = float(np.mean(slopes))
        width = backend.outputs(backend.point.generator, draw.latents).shape[1]
        growth = (same - cross) / latents * laplacian / width
    coupling = _ratio(same + (latents - 1) * cross, same - cross)
    risk, statement = collapse_risk(coupling, damping_ratio, growth)
    return GeneratorKernel(
        matrix=matrix,
        same_kernel=same,
        cross_kernel=cross,
        same_spread=float(np.diag(matrix).std()),
        cross_spread=float(off.std()),
        coupling=coupling,
        coupling_robust=robust_coupling(matrix),
        preconditioned=preconditioned,
        laplacian=laplacian,
        relative_growth=growth,
        risk=risk,
        statement=statement,
    )


def kernel_matrix(backend: Backend, unit: Array, latents: int, probes: int, seed: int, memory: int) -> Array:
    """kappa, shape `[latents, latents]`, in chunks of which two fit into `memory` bytes."""
    fits = max(1, memory // (16 * backend.sizes.generator))
    chunk = latents if 2 * fits >= latents else fits
    starts = range(0, latents, chunk)
    drawn = [backend.latents(seed + _SEED_APART + k, min(chunk, latents - k)) for k in starts]
    width = backend.outputs(backend.point.generator, drawn[0]).shape[1]
    signs = np.random.default_rng(seed).integers(0, 2, (probes, width)) * 2.0 - 1.0
    matrix = np.zeros((latents, latents))
    for u in signs:
        for a, first in enumerate(starts):
            left = _gradients(backend, unit, drawn[a], u)
            for b, second in enumerate(starts[: a + 1]):
                right = left if b == a else _gradients(backend, unit, drawn[b], u)
                block = left @ right.T / (probes * width)
                matrix[first : first + len(left), second : second + len(right)] += block
                if b != a:
                    matrix[second : second + len(right), first : first + len(left)] += block.T
    return matrix


def robust_coupling(matrix: Array) -> float:
    """chi_R, from the parts of a kernel matrix in common and in relative motion."""
    count = len(matrix)
    common = float(matrix.sum()) / count
    relative = float(np.trace(matrix)) - common  # trace(PKP)
    return _ratio(common, relative / (count - 1))


def collapse_risk(coupling: float, damping_ratio: float | None, relative_growth: float | None) -> tuple[str, str]:
    """Low, raised or high, and why; thresholds of the particle model, unvalidated for networks.

    Couplings of 8 and 32 are the bounds. Under-damped rotation together with a discriminator that holds the samples
    together raises the risk by a level; damped rotation with one that parts them lowers it.

    Args:
        coupling: chi.
        damping_ratio: Of the leading rotation mode, None if unknown.
        relative_growth: Positive where the discriminator parts coinciding samples, None if unknown.
    """
    level = int(coupling >= RAISED) + int(coupling > HIGH)
    said = [f"coupling {coupling:.3g}"]
    if damping_ratio is not None:
        said.append(f"damping ratio {damping_ratio:.3g}")
    if relative_growth is not None:
        said.append(f"coinciding samples {'part' if relative_growth > 0 else 'stay together'}")
    if damping_ratio is not None and relative_growth is not None:
        if damping_ratio < 1 and relative_growth <= 0:
            level += 1
        elif damping_ratio >= 1 and relative_growth > 0:
            level -= 1
    risk = RISKS[min(max(level, 0), 2)]
    return risk, f"risk of collapse {risk} ({', '.join(said)}); unvalidated: thresholds are those of the particle model"


def _gradients(backend: Backend, unit: Array, latents: Any, signs: Array) -> Array:
    return backend.output_gradients(backend.point.generator, latents, signs) * unit


def _ratio(common: float, relative: float) -> float:
    # Rounding decides about the sign of a difference of equal numbers.
    return common / relative if relative > 1e-12 * abs(common) else math.inf
