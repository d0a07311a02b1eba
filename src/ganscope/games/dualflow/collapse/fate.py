r"""Why and where kernel GANs collapse: points against a discriminator from a reproducing kernel Hilbert space.

The discriminator moves by $f' = \eta_d (k * \nu - k * \mu - \rho f)$, high on real data $\nu$, and generated points by
$x' = \eta_g \nabla f(x)$, with $\eta$ the players' speeds and $\rho$ the critic_penalty.

    support          a smooth discriminator moves points by a diffeomorphism: atoms never split
    fate of a point  a generator that is one point climbs to a mode of the smoothed data k * nu; with
                     sigma = (curvature + second derivative of k * nu) / rho it settles there if
                     discriminator_lr / generator_lr > sigma / rho, and a cloud around it widens like
                     exp(generator_lr sigma t)

References:
    Turinici. Convergence dynamics of generative adversarial networks: the dual metric flows. 2020.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ganscope.core.checks import number
from ganscope.games.dualflow.collapse.smoothed import Smoothed, as_points

Array = npt.NDArray[np.float64]

# Points closer than this are one atom.
_TOGETHER = 1e-9


@dataclass(frozen=True)
class Support:
    """What the start of a generator rules out for ever.

    Attributes:
        atoms: Number of different points.
        rank: Rank of the covariance.
        atoms_kept: Whether the number of atoms cannot grow.
        rank_kept: Whether the rank of the covariance cannot change.
        reasons: The same in sentences.
    """

    atoms: int
    rank: int
    atoms_kept: bool
    rank_kept: bool
    reasons: tuple[str, ...]


def support_invariance(points: Any, smooth: bool = True, affine: bool = False) -> Support:
    """What a discriminator cannot undo in the support of a generator.

    Args:
        points: Generated points, shape `[M, d]`; a list of numbers is points on a line.
        smooth: Whether the discriminator's gradient is Lipschitz: it moves points by a diffeomorphism. The energy
            distance in its exact quantile form is not; it splits atoms at once.
        affine: Whether the gradient is affine (linear and quadratic features): points move by one affine map.

    References:
        Turinici (2020), whose setting this is; derived in docs/theory/dualflow.md.
    """
    array = as_points("points", points)
    scale = max(1.0, float(np.max(np.abs(array))))
    atoms = len(np.unique(np.round(array / (_TOGETHER * scale)), axis=0))
    centred = array - array.mean(axis=0)
    rank = int(np.linalg.matrix_rank(centred, tol=_TOGETHER * scale * np.sqrt(len(array))))
    reasons = []
    if smooth and atoms < len(array):
        reasons.append(
            f"{len(array)} points share {atoms} places: a smooth discriminator moves points that coincide alike, so "
            "there will never be more"
        )
    if affine and rank < array.shape[1]:
        reasons.append(f"the covariance has rank {rank} < {array.shape[1]}, which no quadratic discriminator changes")
    if not smooth:
        reasons.append("points that coincide are split at once")
    return Support(atoms, rank, smooth, smooth and affine, tuple(reasons))


@dataclass(frozen=True, eq=False)
class DiracFate:
    """What becomes of a generator that has collapsed to one point.

    Attributes:
        mode: Where a fast discriminator takes it, shape `[d]`.
        sigma: Largest growth of a width per generator_lr: (curvature + largest eigenvalue of the Hessian of the
            smoothed data at the mode) / critic_penalty.
        sigmas: The same for every principal direction of that Hessian, shape `[d]`, increasing.
        directions: Those directions as columns, shape `[d, d]`.
        critical_speed_ratio: discriminator_lr / generator_lr above which it settles there; below it cycles or hops.
            Infinity if the place is no mode.
        hopf_frequency: Angular frequency of the first motion that sets in below, per unit of time.
        width_growth_rate: generator_lr sigma, at which an infinitely small cloud widens.
        eigenvalues: Of the motion of the point and the discriminator's slope beside the mode, shape `[2 d]`.
        settles: Whether it stays at the mode.
    """

    mode: Array
    sigma: float
    sigmas: Array
    directions: Array
    critical_speed_ratio: float
    hopf_frequency: float
    width_growth_rate: float
    eigenvalues: npt.NDArray[np.complex128]
    settles: bool


def smoothed_modes(real_points: Any, kernel: Any, real_mass: Any = None) -> Array:
    """All modes of the data smoothed by a kernel, where a collapsed generator can end.

    On a line all of them; in more dimensions those that an ascent from any of the data finds.

    Args:
        real_points: Shape `[N, d]`; a list of numbers is points on a line.
        kernel: A kernel, or the bandwidth of a Gaussian one.
        real_mass: Masses, shape `[N]`, scaled to sum 1; None for equal ones.

    Returns:
        Shape `[modes, d]`, the highest first.

    Raises:
        ParameterError: If an argument is out of its range.
        NotApplicable: If the kernel is not differentiable where points meet.

    References:
        Turinici (2020), whose setting this is; derived in docs/theory/dualflow.md.
    """
    return Smoothed(real_points, kernel, real_mass).modes()


def dirac_fate(
    real_points: Any,
    kernel: Any,
    critic_penalty: float,
    generator_lr: float = 1.0,
    discriminator_lr: float = 1.0,
    start: Any = None,
    real_mass: Any = None,
) -> DiracFate:
    """What becomes of a generator that is a single point, or many points in one place.

    Args:
        real_points: Shape `[N, d]`; a list of numbers is points on a line.
        kernel: A kernel, or the bandwidth of a Gaussian one.
        critic_penalty: Of the discriminator, > 0.
        generator_lr, discriminator_lr: Speeds, > 0.
        start: Where the generator is, shape `[d]`; None for the mean of the data.
        real_mass: Masses of the data, shape `[N]`, scaled to sum 1; None for equal ones.

    Raises:
        ParameterError: If an argument is out of its range.
        NotApplicable: If the kernel is not differentiable where points meet.

    References:
        Turinici. Convergence dynamics of generative adversarial networks: the dual metric flows. 2020.
    """
    penalty = number("critic_penalty", critic_penalty, above=0)
    slow = number("generator_lr", generator_lr, above=0)
    fast = number("discriminator_lr", discriminator_lr, above=0)
    data = Smoothed(real_points, kernel, real_mass)
    mode = data.climb(data.mean if start is None else start)
    bends, directions = np.linalg.eigh(data.hessian(mode))
    curvature = data.kernel.curvature
    sigmas = np.maximum(curvature + bends, 0.0) / penalty
    # position and slope of the discriminator there, for every direction on its own
    trace, product = slow * sigmas - fast * penalty, -slow * fast * bends
    root = np.sqrt(trace**2 / 4 - product + 0j)
    values = np.concatenate([trace / 2 + root, trace / 2 - root])
    last = int(np.argmax(sigmas))
    is_mode = bool(bends[-1] < 0)
    return DiracFate(
        mode,
        float(sigmas[last]),
        sigmas,
        directions,
        float(sigmas[last] / penalty) if is_mode else np.inf,
        float(slow * np.sqrt(sigmas[last] * -bends[last] / penalty)) if is_mode else np.nan,
        float(slow * sigmas[last]),
        values[np.lexsort((-values.imag, -values.real))],
        is_mode and fast / slow > float(sigmas[last] / penalty),
    )


def mode_mean_switch(half_distance: float, std: float) -> float:
    """Bandwidth of a Gaussian kernel above which two normal modes are smoothed into one.

    Below it a collapsed generator climbs to one of the modes at +-half_distance, above it to the mean between them.

    Args:
        half_distance: c > 0; the modes have equal weights.
        std: Standard deviation of either mode, >= 0.

    Returns:
        sqrt(c^2 - std^2), or 0 where the modes overlap so much that every bandwidth leads to the mean.

    Raises:
        ParameterError: If an argument is out of its range.

    References:
        Turinici (2020), whose setting this is; derived in docs/theory/dualflow.md.
    """
    distance, width = number("half_distance", half_distance, above=0), number("std", std, at_least=0)
    return float(np.sqrt(max(distance**2 - width**2, 0.0)))
