r"""An isolated neighbourhood: one true point and the generated points near it, all others out of the kernel's reach.

Where true points are many bandwidths apart, training of a GAN with a kernel discriminator splits into neighbourhoods.
Near the state in which all generated points of a neighbourhood stand on its true point, the coordinates decouple, and
only the curvature gamma of the kernel enters. With delta_j the displacement of generated point j, of mass q_j and speed
h_j, and y the slope of the discriminator's deviation, one iteration of simultaneous steps changes

    delta_j by  h_j (y - gamma (p - q) / regularization delta_j)
    y       by  -discriminator_lr (regularization y + gamma sum_j q_j delta_j)

p is the mass of the true point, q that of all generated ones; h_j = generator_lr q_j (weighting "loss") or
generator_lr.

References:
    Becker, Pandit, Rangan, Fletcher. Local Convergence of Gradient Descent-Ascent for Training GANs. 2023.
    Becker, Pandit, Rangan, Fletcher. Instability and Local Minima in GAN Training with Kernel Discriminators. 2022.
"""

import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ganscope.analysis.spectrum import spectrum_from_values
from ganscope.core.checks import integer, number, numbers_in, one_of
from ganscope.core.errors import NotApplicable, ParameterError
from ganscope.core.outcome import Spectrum
from ganscope.dynamics.rules import FLOW, update_map
from ganscope.games.kernel import isolated_boundaries, isolated_formulas
from ganscope.games.kernel.isolated_boundaries import Place
from ganscope.games.kernel.isolated_formulas import check_rule
from ganscope.games.kernel.kernels import KERNELS, Kernel, kernel_from_dict

Array = npt.NDArray[np.float64]
Complex = npt.NDArray[np.complex128]

_UNEQUAL = (
    "generated points of different speeds and a surplus have no closed form here; "
    "give equal masses, a generated_mass that adds up to real_mass, or weighting='unit'"
)
# An imaginary part beyond this share of the matrix turns a pair; below it is rounding among eigenvalues that crowd.
_TURNS = 1e-9


@dataclass(frozen=True)
class IsolatedNeighbourhood:
    """One true point and the generated points near it, linearised where all of them stand on the true point.

    A rule of None is the flow. Spectra hold one coordinate axis, the others repeat it.

    Args:
        real_mass: Mass of the true point, > 0.
        generated_mass: Mass of all generated points together, which share it equally, or one mass per point, > 0.
        points: How many generated points; follows `generated_mass` when that is a list.
        curvature: Curvature of the kernel, > 0, per squared length; give this or `kernel`.
        kernel: A kernel such as `RBF(1.0)`, or a table `{"name": "RBF", "bandwidth": 1.0}`.
        regularization: Weight lambda of half the squared norm of the discriminator, >= 0; > 0 where the masses differ.
        generator_lr, discriminator_lr: Learning rates, > 0.
        weighting: `loss`: a point moves in proportion to its mass, as the payoff says; `unit`: all alike.

    Raises:
        ParameterError: If a parameter is out of its range.
        NotApplicable: If the kernel is not differentiable where points meet.
    """

    real_mass: float
    generated_mass: Any
    points: int = 1
    curvature: float | None = None
    kernel: Any = None
    regularization: float = 1.0
    generator_lr: float = 0.5
    discriminator_lr: float = 0.2
    weighting: str = "loss"

    def __post_init__(self) -> None:
        set_field = object.__setattr__
        for name in ("real_mass", "generator_lr", "discriminator_lr"):
            set_field(self, name, number(name, getattr(self, name), above=0))
        set_field(self, "regularization", number("regularization", self.regularization, at_least=0))
        set_field(self, "points", integer("points", self.points, at_least=1))
        if np.ndim(self.generated_mass) == 0:
            set_field(self, "generated_mass", number("generated_mass", self.generated_mass, above=0))
        else:
            masses = numbers_in("generated_mass", self.generated_mass, above=0)
            if masses.ndim != 1 or len(masses) == 0:
                raise ParameterError("generated_mass", self.generated_mass, "a number, or one number per point")
            if self.points not in (1, len(masses)):
                raise ParameterError("points", self.points, f"{len(masses)}, one per entry of generated_mass")
            set_field(self, "generated_mass", tuple(float(v) for v in masses))
            set_field(self, "points", len(masses))
        if isinstance(self.kernel, Mapping):
            set_field(self, "kernel", kernel_from_dict(self.kernel))
        if (self.curvature is None) == (self.kernel is None):
            raise ParameterError("curvature", self.curvature, "exactly one of curvature and kernel")
        if self.curvature is not None:
            set_field(self, "curvature", number("curvature", self.curvature, above=0))
        elif not isinstance(self.kernel, Kernel):
            raise ParameterError("kernel", self.kernel, f"one of {', '.join(KERNELS)}, for example RBF(1.0)")
        else:
            self.kernel.require_differentiable()
        one_of("weighting", self.weighting, ("loss", "unit"))
        self._check_range()

    def _check_range(self) -> None:
        """Refuse parameters whose products, the entries of the Jacobian, are beyond the range of a float."""
        lr, curvature = self.discriminator_lr, self.gamma
        with np.errstate(over="ignore", invalid="ignore"):
            mass, strength = max(self.real_mass, self.total_generated_mass), self.regularization
            speed = float(np.max(self.speeds))
            products = {
                "curvature": lr * curvature * mass,
                "generator_lr": max(speed * mass, speed * curvature * mass, lr * speed * curvature * mass),
                "discriminator_lr": lr * strength,
                "regularization": speed * curvature * abs(self.surplus) / strength if strength else 0.0,
            }
        for name, value in products.items():
            if not math.isfinite(value):
                expected = "a value whose products with the other parameters are below 1e308"
                raise ParameterError(name, getattr(self, name), expected)

    @property
    def masses(self) -> Array:
        """Mass of each generated point, shape `[points]`."""
        if isinstance(self.generated_mass, tuple):
            return np.array(self.generated_mass)
        return np.full(self.points, self.generated_mass / self.points)

    @property
    def total_generated_mass(self) -> float:
        """Mass of all generated points together."""
        return float(np.sum(self.generated_mass))

    @property
    def surplus(self) -> float:
        """real_mass minus the total generated mass: > 0 where generated points are missing, < 0 where too many are."""
        return float(isolated_formulas.surplus(self.real_mass, self.total_generated_mass))

    @property
    def speeds(self) -> Array:
        """Step of each generated point along the gradient of the discriminator, shape `[points]`."""
        return self.generator_lr * (self.masses if self.weighting == "loss" else np.ones(self.points))

    @property
    def gamma(self) -> float:
        """Curvature of the kernel, however it was given."""
        return float(self.kernel.curvature if self.curvature is None else self.curvature)

    @property
    def equal_speeds(self) -> bool:
        """Whether all generated points move alike, so that everything is in closed form."""
        return bool(np.ptp(self.speeds) <= 1e-14 * self.speeds.max())

    @property
    def closed_form(self) -> bool:
        """Whether the centre of mass decouples from relative motion: equal speeds, or no surplus to pin the points."""
        return self.equal_speeds or self.surplus == 0

    @property
    def forgetting(self) -> float:
        """The number a = discriminator_lr * regularization, the share of the discriminator lost in an iteration."""
        return self.discriminator_lr * self.regularization

    def jacobian(self) -> Array:
        """Jacobian of the velocity, learning rates included: displacements of the points first, then the slope.

        Returns:
            Shape `[points + 1, points + 1]`, per iteration; divide by discriminator_lr for rates per unit of time.

        Raises:
            ParameterError: If the regularization is 0 and the masses differ.
        """
        matrix = np.zeros((self.points + 1, self.points + 1))
        matrix[:-1, :-1] = -np.diag(self._pinnings)
        matrix[:-1, -1] = self.speeds
        matrix[-1, :-1] = -self.discriminator_lr * self.gamma * self.masses
        matrix[-1, -1] = -self.forgetting
        return matrix

    def secular_equation(self, u: Any, alternating: bool = False) -> Complex:
        """The function of u = multiplier - 1 that vanishes at the motions in which the discriminator takes part.

        u + a + w sum_j discriminator_lr gamma q_j h_j / (u + b_j), with b_j = gamma h_j surplus / regularization, and
        w = 1 for simultaneous, 1 + u for alternating steps. Points of equal speed that move against each other do so
        at u = -b_j, a pole.
        """
        u = np.asarray(u, np.complex128)
        weight = 1 + u if alternating else 1.0
        pull = self.discriminator_lr * self.gamma * self.masses * self.speeds
        return np.asarray(u + self.forgetting + weight * np.sum(pull / (u[..., None] + self._pinnings), axis=-1))

    def families(self, rule: str | None = None, momentum: float = 0.0) -> dict[str, Complex]:
        """Multipliers of a rule, or eigenvalues of the flow per unit of time, by family.

        Returns:
            `discriminator`: what the points do not feel (once), `relative`: the points among each other (points - 1
            times; empty for one point), `mean`: their centre of mass. Rules with memory have two multipliers for
            each; a value beyond the range of a float is infinite. Points of different speeds mix where there is a
            surplus: `mean` is then the pair that turns, or else the two motions with the largest share of the
            discriminator's slope and the mass-weighted mean.

        Raises:
            ParameterError: If the rule is unknown, or the regularization is 0 and the masses differ.
        """
        rule, momentum = check_rule(rule, momentum)
        if self.closed_form:
            found = isolated_formulas.families(self._place.couplings, rule, momentum)
            relative = np.tile(found.relative, self.points - 1)
            return {"discriminator": found.discriminator, "relative": relative, "mean": found.mean}
        relative, mean = self._mixed(rule == "alternating")
        alone = np.array([-self.forgetting + 0j])

        def lift(u: Complex) -> Complex:
            if rule == FLOW:
                return u / self.discriminator_lr
            return 1 + u if rule == "alternating" else isolated_formulas.lift(u, rule, momentum).ravel()

        return {"discriminator": lift(alone), "relative": lift(relative), "mean": lift(mean)}

    def spectrum(self, rule: str | None = None, momentum: float = 0.0) -> Spectrum:
        """All values of `families` as a spectrum, one coordinate axis.

        Args:
            rule: One of the five rules for multipliers; None or `flow` for eigenvalues per unit of time, which is
                1 / discriminator_lr iterations.
            momentum: Of `heavy_ball`.

        Raises:
            ParameterError: If the rule is unknown, or the regularization is 0 and the masses differ.
        """
        values = np.concatenate(list(self.families(rule, momentum).values()))
        return spectrum_from_values(values, is_map=check_rule(rule, momentum)[0] != FLOW)

    def radii(self, rule: str | None = None, momentum: float = 0.0) -> dict[str, float]:
        """Largest growth factor per iteration in each family; an iteration of the flow lasts discriminator_lr.

        Returns:
            `discriminator`, `relative` (NaN for one point), `mean`, `all` of them, and `points`: without the
            discriminator's own family, what the generated points show.
        """
        name, _ = check_rule(rule, momentum)
        found = {
            family: float(isolated_formulas.growth_factor(values, name, self.discriminator_lr))
            if len(values)
            else math.nan
            for family, values in self.families(rule, momentum).items()
        }
        moving = float(np.fmax(found["relative"], found["mean"]))
        return found | {"all": max(moving, found["discriminator"]), "points": moving}

    def stability(self, rule: str | None = None, momentum: float = 0.0) -> str:
        """What the centre of mass does: `converge_monotone`, `converge_oscillatory`, `diverge_...` or `marginal`.

        Relative motion is judged by `radii`: surplus points always part. `monotone` includes a sign that changes at
        every iteration, see `alternates`.
        """
        mean = self.families(rule, momentum)["mean"]
        return str(isolated_formulas.stability_label(mean, check_rule(rule, momentum)[0] != FLOW))

    def alternates(self, rule: str | None = None, momentum: float = 0.0) -> bool:
        """Whether the centre of mass changes sides at every iteration: its leading multiplier is real and negative."""
        if check_rule(rule, momentum)[0] == FLOW:
            return False
        return bool(isolated_formulas.flips(self.families(rule, momentum)["mean"]))

    def boundaries(self, rule: str | None = None, momentum: float = 0.0) -> dict[str, float]:
        """Values of one parameter, all others fixed, at which a family of motions stops decaying; infinity for never.

        Returns:
            `generator_lr_spiral`: the centre of mass starts to spiral outwards; `generator_lr_flip`: a real multiplier
            leaves through -1 (through 1 for `extragradient`, which then grows without changing sides);
            `generator_lr_relative`: the points leave each other, 0 if they always do; `generator_lr_limit`: the
            first of these, 0 if the discriminator alone is unstable.
            `regularization_spiral_low`, `_high`, `regularization_flip_low`, `_high`: the smallest and the largest value
            at which the same happens to the centre of mass, equal if there is one only;
            `regularization_relative`: what the points among each other need at least;
            `regularization_discriminator`, `discriminator_lr_limit`: what the discriminator alone bears at most.
            `regularization_stable_low`, `_high`: ends of the last interval in which nothing grows, infinity if none.

            A boundary is listed only where the family is on the unit circle there, not where it has left before.
            Points of different speeds with a surplus have the `_limit`, `_stable` and discriminator entries only,
            found by bracketing the radius.

        Raises:
            ParameterError: If the rule is unknown, or the regularization is 0 and the masses differ.
        """
        rule, momentum = check_rule(rule, momentum)
        if not self.closed_form:
            return self._scanned_boundaries(rule, momentum)
        found = isolated_boundaries.boundaries(self._place, rule, momentum)
        return {name: value / self._weight if name.startswith("generator") else value for name, value in found.items()}

    def oscillation_band(self) -> tuple[float, float]:
        r"""Bandwidths between which the centre of mass oscillates, under the flow and under simultaneous steps.

        sqrt(h / discriminator_lr) |sqrt p -+ sqrt q| / regularization, h the speed of the points.

        Returns:
            Lowest and highest bandwidth of a Gaussian kernel, or gamma^(-1/2) of any kernel.

        Raises:
            NotApplicable: If the points have different speeds and a surplus.
            ParameterError: If the regularization is 0 and the masses differ.
        """
        place = self._place
        real, generated = math.sqrt(self.real_mass), math.sqrt(self.total_generated_mass)
        gap = abs(real - generated) if self.surplus else 0.0
        if place.couplings.forgetting == 0:
            return 0.0, math.inf
        scale = math.sqrt(place.speed) / math.sqrt(self.discriminator_lr) / self.regularization
        return scale * gap if gap else 0.0, scale * (real + generated)

    def best(self, rule: str | None = "flow", momentum: float = 0.0) -> dict[str, float]:
        """Parameters with the fastest convergence: the smallest largest growth factor of all families that decay.

        The flow is optimised over the regularization at the given learning rates, as it speeds up without bound with
        the generator's. Rules are optimised over regularization and generator_lr at the given discriminator_lr; a third
        parameter would bring nothing. If the masses are equal, several points stay neutral among each other and only
        discriminator and centre of mass are counted. Closed forms, but a search for `extragradient`, `optimistic` and
        `heavy_ball`.

        Returns:
            `regularization`, `generator_lr`, `discriminator_lr`; `spectral_radius` per iteration; `rate`: per unit of
            time for the flow, -log(spectral_radius) per iteration for a rule. For `simultaneous` also, for the centre
            of mass alone, `regularization_at_generator_lr` with `mean_radius_at_generator_lr` (learning rates as
            given) and `generator_lr_at_regularization` with `mean_radius_at_regularization` (regularization as given,
            > 0).

        Raises:
            NotApplicable: If the points have different speeds and a surplus, or several of them have too much mass
                and so part.
        """
        rule, momentum = check_rule(rule, momentum)
        found = isolated_boundaries.best(self._place, rule, momentum)
        return {name: value / self._weight if name.startswith("generator") else value for name, value in found.items()}

    @property
    def _weight(self) -> float:
        """Speed of the centre of mass per generator_lr."""
        return self._speed / self.generator_lr

    @property
    def _speed(self) -> float:
        """Speed of the centre of mass."""
        return float(self.speeds[0] if self.equal_speeds else np.average(self.speeds, weights=self.masses))

    @property
    def _place(self) -> Place:
        if not self.closed_form:
            raise NotApplicable(_UNEQUAL)
        return Place(
            real_mass=self.real_mass,
            generated_mass=self.total_generated_mass,
            points=self.points,
            curvature=self.gamma,
            regularization=self.regularization,
            speed=self._speed,
            discriminator_lr=self.discriminator_lr,
        )

    @property
    def _pinnings(self) -> Array:
        """b_j = gamma h_j surplus / regularization of every point."""
        numbers = isolated_formulas.couplings(
            self.real_mass,
            self.total_generated_mass,
            self.gamma,
            self.regularization,
            self.speeds,
            self.discriminator_lr,
        )
        return np.asarray(numbers.pinning, np.float64)

    def _mixed(self, alternating: bool) -> tuple[Complex, Complex]:
        """Values u of points of different speeds: the relative motions and the two of the mean.

        With the slope in units of the displacements the Jacobian is antisymmetric but for its diagonal, and the mean
        lives in the plane of the slope and of the mass-weighted mean.
        """
        matrix = self.jacobian()
        if alternating:
            with np.errstate(over="ignore", invalid="ignore"):
                matrix = update_map(matrix, self.points, "alternating") - np.eye(self.points + 1)
            if not np.all(np.isfinite(matrix)):
                raise ParameterError("generator_lr", self.generator_lr, "a value whose multipliers are below 1e308")
        u, motions = np.linalg.eig(matrix)
        motions[-1] *= math.sqrt(self.generator_lr) / math.sqrt(self.discriminator_lr) / math.sqrt(self.gamma)
        motions /= np.abs(motions).max(axis=0)
        motions /= np.linalg.norm(motions, axis=0)
        centre = self.masses / self.masses.max()
        in_plane = np.abs(centre @ motions[:-1]) ** 2 / np.sum(centre**2) + np.abs(motions[-1]) ** 2
        turns = np.abs(u.imag) > _TURNS * np.abs(u).max()
        order = np.lexsort((-in_plane, ~turns))
        # At most one pair turns; the others are real, and lie between the poles of the secular equation.
        relative, mean = u[order[2:]].real, u[order[:2]]
        return relative.astype(np.complex128), mean.astype(np.complex128)

    def _scanned_boundaries(self, rule: str, momentum: float) -> dict[str, float]:
        def radius(name: str, value: float) -> float:
            values = {field: getattr(self, field) for field in self.__dataclass_fields__} | {name: value}
            return IsolatedNeighbourhood(**values).radii(rule, momentum)["all"]

        limit = isolated_boundaries.real_limit(rule, momentum)
        found = isolated_boundaries.discriminator_limits(self.regularization, self.discriminator_lr, limit)
        if self.surplus < 0:  # between any two poles of the secular equation, all at u > 0, lies a motion that grows
            unstable = {"generator_lr_limit": 0.0, "regularization_stable_low": math.inf}
            return found | unstable | {"regularization_stable_high": math.inf}
        pull = self.discriminator_lr * self.gamma * float(np.sum(self.masses * self.speeds))
        rate = self.generator_lr / max(pull, float(np.max(self._pinnings)), sys.float_info.min)
        rates = isolated_boundaries.scanned_crossings(lambda value: radius("generator_lr", value), rate)
        scale = 1.0 / self.discriminator_lr
        strengths = isolated_boundaries.scanned_crossings(lambda value: radius("regularization", value), scale)
        low, high = isolated_boundaries.last_stable_interval(
            strengths, lambda values: np.array([radius("regularization", float(v)) for v in values])
        )
        return found | {
            "generator_lr_limit": min(rates, default=math.inf) if self.forgetting <= limit else 0.0,
            "regularization_stable_low": low,
            "regularization_stable_high": high,
        }
