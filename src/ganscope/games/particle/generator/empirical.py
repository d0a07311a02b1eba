r"""The measured kernel of a real generator: what its particles do to each other.

With J_i the derivative of output x_i = G(z_i) by all parameters, Gamma_ij = J_i J_j^T, a d x d matrix for each pair of
latents. Particles see the scalar kernel

    K_ij = trace(Gamma_ij) / d.

A random sign vector u, the same for all latents, gives s_i = J_i^T u and the estimate s_i . s_j / d, whose mean is K_ij
and which is exact if Gamma_ij is a multiple of the identity. Its variance over u and the products of sketches with
different sign vectors u, w measure what is not on the diagonal of Gamma_ij:

    sum over m != n of (Gamma_ij^mn)^2 = (Var[u'Gu] + E[(u'Gw)^2 - (u'Gw)(w'Gu)]) / 2,    G = Gamma_ij.

References:
    Jacot, Gabriel, Hongler. Neural tangent kernel. NeurIPS 2018.
    Durr, Mroueh, Tu, Wang. Effective dynamics of generative adversarial networks. Phys. Rev. X 13, 041004 (2023).
    Hutchinson. A stochastic estimator of the trace of the influence matrix. Commun. Stat. 19, 433 (1990).
"""

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from ganscope.core.checks import integer, real_array
from ganscope.core.errors import ParameterError
from ganscope.core.random import check_seed, normal_float32, stream_of
from ganscope.games.particle.generator import sketches
from ganscope.games.particle.generator.sketches import Leaf, Model, Rows

Array = npt.NDArray[np.float64]

_SIGNS, _CROSS_SIGNS = stream_of("empirical kernel: signs"), stream_of("empirical kernel: signs across outputs")
# Latents and sign vectors from which the entries between different outputs are estimated.
_CROSS_LATENTS, _CROSS_VECTORS = 16, 4
_CALLS = {"batch": "for all latents", "single": "for each latent"}
# Relative difference between an output on its own and among others from which latents count as coupled.
_COUPLED = 1e-3
_LARGEST_CROSS_OUTPUT, _LARGEST_CROSS_SPREAD, _LARGEST_DIFFERENCE = 0.2, 0.5, 0.3


class KernelMeasurementWarning(UserWarning):
    """A measured kernel is not well described by two numbers."""


@dataclass(frozen=True, eq=False)
class EmpiricalKernel:
    """The measured kernel of a generator.

    Args:
        matrix: Scalar kernel K_ij = trace(Gamma_ij) / d, shape `[N, N]`, read-only.
        same_kernel: Mean of its diagonal.
        cross_kernel: Mean off the diagonal.
        same_spread: Standard deviation of the diagonal.
        cross_spread: Standard deviation off the diagonal.
        cross_output: Root mean square of the entries of Gamma_ij between different outputs, over all pairs, divided by
            same_kernel; 0 for a single output.
        coupling: (same_kernel + (N - 1) cross_kernel) / (same_kernel - cross_kernel); infinite for a rigid body.
        coupling_robust: From the matrix's parts in common and in relative motion, with P = I - 11'/N:
            [1'K1 / N] / [trace(PKP) / (N - 1)]. For a symmetric matrix it is `coupling` again, up to rounding.
        coupling_median: `coupling` from medians instead of means, which single odd latents do not move.
        rate_spread: Relative standard deviation of the N - 1 rates of relative motion, the eigenvalues of PKP.
        exact: Whether derivatives of all outputs were taken, rather than random combinations of them.
    """

    matrix: Array
    same_kernel: float
    cross_kernel: float
    same_spread: float
    cross_spread: float
    cross_output: float
    coupling: float
    coupling_robust: float
    coupling_median: float
    rate_spread: float
    exact: bool

    def drift(self, other: "EmpiricalKernel") -> float:
        """How far the kernel has moved from another one, |K - K_other| / |K_other| in the Frobenius norm.

        Beyond 0.3 the assumption of a constant kernel is broken.

        Args:
            other: Kernel of the same latents, usually measured earlier in training.

        Returns:
            The relative distance, 0 for equal kernels.

        Raises:
            ParameterError: If it has another number of latents.
        """
        if not isinstance(other, EmpiricalKernel) or other.matrix.shape != self.matrix.shape:
            given = other.matrix.shape if isinstance(other, EmpiricalKernel) else other
            raise ParameterError("other", given, f"a measured kernel of shape {self.matrix.shape}")
        return float(np.linalg.norm(self.matrix - other.matrix) / np.linalg.norm(other.matrix))


def empirical_kernel(
    generator: Callable[..., Any],
    parameters: Any,
    latents: Any,
    probes: int = 4,
    exact: bool | None = None,
    seed: int = 0,
    memory: int = 2**30,
    batched: bool | None = None,
    preconditioner: Any = None,
) -> EmpiricalKernel:
    """Measure the kernel of a generator at some latents.

    The cost is one reverse differentiation per latent and probe, or per latent and output where that is exact and no
    dearer. Outputs that depend on all latents at once (batch normalisation) are noticed and differentiated as a whole
    batch; pass the latents of a whole training batch then.

    Args:
        generator: Function (parameters, latents) -> outputs that JAX can differentiate: of all latents,
            `[N, d_z] -> [N, d]`, or of one, `[d_z] -> [d]`.
        parameters: Any tree of arrays; leaves that are not floating-point numbers are held fixed.
        latents: Shape `[N, d_z]`, N >= 2. Give them one norm: a spread of norms spreads the kernel.
        probes: Random sign vectors >= 1 to average over.
        exact: Whether to take the derivatives of all d outputs; None: where d <= probes.
        seed: Integer that fixes the sign vectors.
        memory: Bytes >= 1 for derivatives held at once; with less, some are computed several times.
        batched: Whether `generator` takes all latents; None: find out.
        preconditioner: Tree like `parameters` of factors >= 0 by which gradients are multiplied, as Adam does; the
            kernel is then that of the preconditioned updates.

    Returns:
        The kernel, with warnings (`KernelMeasurementWarning`) where two numbers do not describe it: entries between
        outputs above 0.2 same_kernel, a spread off the diagonal above half of same_kernel - cross_kernel, or couplings
        from means and from medians that differ by more than 30 %.

    Raises:
        ParameterError: If an argument is out of its range, the generator gives outputs of another shape than above, or
            outputs or derivatives are not finite.
    """
    probes = integer("probes", probes, at_least=1)
    seed = check_seed(seed)
    measured = _prepare(generator, parameters, latents, batched, preconditioner, memory)
    count, outputs = measured.count, measured.outputs
    if count < 2:
        raise ParameterError("latents", f"shape {measured.latents.shape}", "shape [N, d_z] with N >= 2")
    if exact is not None and not isinstance(exact, bool):
        raise ParameterError("exact", exact, "True, False or None")
    exact = outputs <= probes if exact is None else exact
    if exact:
        gamma = measured.full()
        matrix = np.trace(gamma, axis1=2, axis2=3) / outputs
        cross = math.sqrt(_off_diagonal_squares(gamma) / max(1, count**2 * outputs * (outputs - 1)))
    else:
        matrix = np.zeros((count, count))
        for probe in range(probes):
            matrix += measured.sketch(_signs(outputs, seed, _SIGNS, probe)[None], np.arange(count)) / (probes * outputs)
        cross = measured.cross_outputs(seed)
    return _summary(matrix, cross, exact)


def full_kernel(
    generator: Callable[..., Any],
    parameters: Any,
    latents: Any,
    memory: int = 2**30,
    batched: bool | None = None,
    preconditioner: Any = None,
) -> Array:
    """The whole kernel Gamma of a generator, entry [i, j, m, n] = (dx_i^m / dtheta) . (dx_j^n / dtheta).

    The cost is one reverse differentiation per latent and output, or more when their derivatives do not fit into
    `memory`.

    Args:
        generator, parameters, latents, memory, batched, preconditioner: As for `empirical_kernel`, N >= 1.

    Returns:
        Shape `[N, N, d, d]`.

    Raises:
        ParameterError: As for `empirical_kernel`, and if the result is larger than `memory`.
    """
    return _prepare(generator, parameters, latents, batched, preconditioner, memory).full()


def kernel_product(
    generator: Callable[..., Any],
    parameters: Any,
    latents: Any,
    vectors: Any,
    batched: bool | None = None,
    preconditioner: Any = None,
) -> Array:
    """The whole kernel times a vector per latent, sum_j Gamma_ij v_j, at the cost of two differentiations.

    With v the discriminator's slopes it is the motion of all outputs in one gradient step, times N / generator_lr.

    Args:
        generator, parameters, latents, batched, preconditioner: As for `empirical_kernel`, N >= 1.
        vectors: Shape `[N, d]`.

    Returns:
        Shape `[N, d]`.

    Raises:
        ParameterError: As for `empirical_kernel`, and if `vectors` has another shape.
    """
    measured = _prepare(generator, parameters, latents, batched, preconditioner, 2**30)
    v = real_array("vectors", vectors)
    shape = (measured.count, measured.outputs)
    if v.shape != shape:
        raise ParameterError("vectors", f"shape {v.shape}", f"shape {shape}")
    slopes = jnp.asarray(v, measured.dtype)
    moved = sketches.product(measured.model, measured.leaves, measured.weights, measured.latents, slopes)
    return _finite("generator", np.asarray(moved, np.float64))


@dataclass(frozen=True, eq=False)
class _Measured:
    """A generator at some latents, ready to be differentiated."""

    model: Model
    leaves: list[Any]
    weights: list[Any] | None
    latents: Any
    outputs: int
    dtype: Any
    memory: int

    @property
    def count(self) -> int:
        return int(self.latents.shape[0])

    def sketch(self, vectors: npt.NDArray[np.float32], chosen: npt.NDArray[np.int64]) -> Array:
        """Inner products of J_i^T u, rows ordered by latent i of `chosen`, then by vector u of `vectors`."""
        kinds = len(vectors)
        index = np.repeat(chosen, kinds)
        arguments = (self.model, self.leaves, self.weights, self.latents)
        rows = Rows(*arguments, index, lambda numbers: vectors[numbers % kinds], self.memory)
        return _finite("generator", rows.gram())

    def full(self) -> Array:
        size = (self.count * self.outputs) ** 2 * 8
        if size > max(self.memory, 2**20):
            expected = f"at least {size} bytes, the size of the whole kernel of {self.outputs} outputs per latent"
            raise ParameterError("memory", self.memory, expected)
        gram = self.sketch(np.eye(self.outputs, dtype=np.float32), np.arange(self.count))
        return gram.reshape(self.count, self.outputs, self.count, self.outputs).transpose(0, 2, 1, 3)

    def cross_outputs(self, seed: int) -> float:
        """Root mean square of the entries between different outputs, from a few latents and sign vectors."""
        if self.outputs == 1:
            return 0.0
        chosen = np.unique(np.linspace(0, self.count - 1, min(self.count, _CROSS_LATENTS)).astype(np.int64))
        n, v = len(chosen), _CROSS_VECTORS
        signs = np.stack([_signs(self.outputs, seed, _CROSS_SIGNS, k) for k in range(v)])
        pairs = self.sketch(signs, chosen).reshape(n, v, n, v).transpose(0, 2, 1, 3)
        same = np.diagonal(pairs, axis1=2, axis2=3).var(axis=2, ddof=1)
        different = ~np.eye(v, dtype=bool)
        squares = (pairs**2 - pairs * pairs.transpose(0, 1, 3, 2))[:, :, different].mean(axis=2)
        entries = (same + squares) / (2 * self.outputs * (self.outputs - 1))
        on, off = np.trace(entries) / n, (entries.sum() - np.trace(entries)) / (n * (n - 1))
        return math.sqrt(max(0.0, float(on + (self.count - 1) * off) / self.count))


def _signs(size: int, seed: int, stream: int, number: int) -> npt.NDArray[np.float32]:
    normals = normal_float32(size, seed, stream, number)
    return np.where(normals > 0, np.float32(1), np.float32(-1))


def _off_diagonal_squares(gamma: Array) -> float:
    return float(np.sum(gamma**2) - np.sum(np.diagonal(gamma, axis1=2, axis2=3) ** 2))


def _finite(name: str, values: Array) -> Array:
    if not np.all(np.isfinite(values)):
        raise ParameterError(name, "outputs or derivatives with NaN or infinities", "finite ones at these parameters")
    return values


def _prepare(
    generator: Callable[..., Any], parameters: Any, latents: Any, batched: bool | None, preconditioner: Any, memory: int
) -> _Measured:
    if not callable(generator):
        raise ParameterError("generator", generator, "a function (parameters, latents) -> outputs")
    memory = integer("memory", memory, at_least=1)
    checked = real_array("latents", latents)
    if checked.ndim != 2 or 0 in checked.shape:
        raise ParameterError("latents", f"shape {checked.shape}", "shape [N, d_z]")
    z: Any = jnp.asarray(latents if np.asarray(latents).dtype.kind == "f" else checked.astype(np.float32))
    leaves, fixed, tree = _split(parameters)
    model = Model(_hashable(generator), "batch", tree, fixed)
    model, shape = _kind(model, leaves, z, batched)
    values = np.asarray(sketches.outputs(model, leaves, z))
    _finite("generator", values.astype(np.float64))
    if model.kind == "batch" and _is_coupled(model, leaves, z, values):
        model = model._replace(kind="coupled")
    weights = None if preconditioner is None else _weights(preconditioner, tree, fixed, leaves)
    return _Measured(model, leaves, weights, z, shape[1], values.dtype, memory)


def _split(parameters: Any) -> tuple[list[Any], tuple[Leaf | None, ...], Any]:
    """Floating-point leaves, the others in their places, and the structure."""
    all_leaves, tree = jax.tree.flatten(parameters)
    leaves: list[Any] = []
    fixed: list[Leaf | None] = []
    for leaf in all_leaves:
        kind = jnp.result_type(leaf)
        if jnp.issubdtype(kind, jnp.complexfloating):
            raise ParameterError("parameters", f"a leaf of type {kind}", "real arrays")
        moving = jnp.issubdtype(kind, jnp.floating)
        fixed.append(None if moving else Leaf(leaf))
        if moving:
            leaves.append(jnp.asarray(leaf))
    if not leaves:
        raise ParameterError("parameters", tree, "a tree with at least one floating-point array")
    return leaves, tuple(fixed), tree


def _weights(preconditioner: Any, tree: Any, fixed: tuple[Leaf | None, ...], leaves: list[Any]) -> list[Any]:
    given, found = jax.tree.flatten(preconditioner)
    if found != tree:
        raise ParameterError("preconditioner", found, f"a tree like the parameters', {tree}")
    weights = [jnp.asarray(w) for w, leaf in zip(given, fixed, strict=True) if leaf is None]
    for weight, leaf in zip(weights, leaves, strict=True):
        if weight.shape != leaf.shape or not bool(jnp.all(jnp.isfinite(weight) & (weight >= 0))):
            expected = f"an array of shape {leaf.shape} of finite numbers >= 0"
            raise ParameterError("preconditioner", f"an array of shape {weight.shape}", expected)
    return weights


def _hashable(generator: Callable[..., Any]) -> Callable[..., Any]:
    """The generator itself, or a function of it, to be told apart by compiled code."""
    try:
        hash(generator)
    except TypeError:
        return lambda parameters, latents: generator(parameters, latents)
    return generator


def _kind(model: Model, leaves: list[Any], latents: Any, batched: bool | None) -> tuple[Model, tuple[int, ...]]:
    """Whether the generator takes all latents or one, and the shape of all outputs."""
    found: list[str] = []
    refusal: ParameterError | None = None
    kinds = ("batch", "single") if batched is None else ("batch",) if batched else ("single",)
    for kind in kinds:
        candidate = model._replace(kind=kind)
        try:
            result = jax.eval_shape(candidate.outputs, leaves, latents)
        except Exception as error:  # whatever a user's function does with a shape that it was not written for
            if kind == kinds[0] and isinstance(error, ParameterError):
                refusal = error
            reason = str(error).splitlines()[0] if str(error) else ""
            found.append(f"{_CALLS[kind]} {type(error).__name__}: {reason}")
            continue
        shape = getattr(result, "shape", None)
        if shape is not None and len(shape) == 2 and shape[0] == latents.shape[0] and shape[1] > 0:
            return candidate, shape
        found.append(f"{_CALLS[kind]} {f'shape {shape}' if shape is not None else 'a tree of arrays'}")
    if refusal is not None:
        raise refusal
    expected = "outputs [N, d] for latents [N, d_z], or [d] for one latent [d_z] (flatten images); it gave"
    name = getattr(model.generator, "__qualname__", repr(model.generator))
    raise ParameterError("generator", name, f"{expected} {', '.join(found)} (latents {latents.shape})")


def _is_coupled(model: Model, leaves: list[Any], latents: Any, values: npt.NDArray[Any]) -> bool:
    """Whether an output changes when the other latents are left out."""
    try:
        alone = np.asarray(sketches.outputs(model, leaves, latents[:1]))
    except Exception:  # a function written for one number of latents
        return True
    if alone.shape != values[:1].shape:
        return True
    size = float(np.sqrt(np.mean(np.square(values, dtype=np.float64))))
    return not bool(np.all(np.abs(alone - values[:1]) <= _COUPLED * size))


def _coupling(same: float, cross: float, count: int) -> float:
    return (same + (count - 1) * cross) / (same - cross) if same > cross else math.inf


def _summary(matrix: Array, cross_entries: float, exact: bool) -> EmpiricalKernel:
    count = len(matrix)
    off = matrix[~np.eye(count, dtype=bool)]
    diagonal = np.diag(matrix)
    same, cross = float(diagonal.mean()), float(off.mean())
    if same <= 0:
        raise ParameterError("generator", "outputs that do not depend on the parameters", "a generator that can learn")
    centring = np.eye(count) - 1.0 / count
    relative = centring @ matrix @ centring
    rates = np.linalg.eigvalsh((relative + relative.T) / 2)
    # The eigenvalue 0 of the common motion is the one whose eigenvector is constant; all others count.
    rates = np.delete(rates, np.argmin(np.abs(rates)))
    mean_rate = float(np.trace(relative)) / (count - 1)
    common = float(matrix.sum()) / count
    matrix.flags.writeable = False
    result = EmpiricalKernel(
        matrix,
        same,
        cross,
        same_spread=float(diagonal.std()),
        cross_spread=float(off.std()),
        cross_output=cross_entries / same,
        coupling=_coupling(same, cross, count),
        coupling_robust=common / mean_rate if mean_rate > 0 else math.inf,
        coupling_median=_coupling(float(np.median(diagonal)), float(np.median(off)), count),
        rate_spread=float(rates.std() / mean_rate) if mean_rate > 0 else math.inf,
        exact=exact,
    )
    for message in _complaints(result):
        warnings.warn(f"the measured kernel is not two numbers: {message}", KernelMeasurementWarning, stacklevel=3)
    return result


def _complaints(kernel: EmpiricalKernel) -> list[str]:
    messages = []
    if kernel.cross_output > _LARGEST_CROSS_OUTPUT:
        messages.append(f"entries between outputs are {kernel.cross_output:.2g} of same_kernel: widen the generator")
    gap = abs(kernel.same_kernel - kernel.cross_kernel)
    if kernel.cross_spread > _LARGEST_CROSS_SPREAD * gap:
        messages.append(
            f"cross_kernel spreads by {kernel.cross_spread:.3g}, same_kernel - cross_kernel is {gap:.3g}: "
            "take more latent dimensions"
        )
    mean, median = kernel.coupling, kernel.coupling_median
    if math.isfinite(mean) != math.isfinite(median) or abs(mean - median) > _LARGEST_DIFFERENCE * abs(mean):
        messages.append(f"coupling is {mean:.3g} from means and {median:.3g} from medians: some latents stand out")
    return messages
