"""What can go wrong in the steps and the theory of dual flows, by name."""

from ganscope.core.errors import NotApplicable


class StepTooLarge(ValueError):
    """A proximal problem is not strictly convex: the step size must come down."""


class ProxNotConverged(RuntimeError):
    """The solver of a proximal step did not reach its tolerance.

    Args:
        iterations: How many it took.
        residual: What was left.
    """

    def __init__(self, iterations: int, residual: float) -> None:
        self.iterations, self.residual = iterations, residual
        super().__init__(
            f"a proximal step did not converge: residual {residual:.3g} after {iterations} iterations; reduce "
            "step_size, or raise prox_iterations or prox_tolerance"
        )


class NashNotConverged(RuntimeError):
    """The two players of a `nash` step did not settle on a common answer.

    Args:
        iterations: How many rounds it took.
        change: How far the last round still moved them.
        contraction: The bound on how much a round shrinks their distance; 1 or more promises nothing.
    """

    def __init__(self, iterations: int, change: float, contraction: float) -> None:
        self.iterations, self.change, self.contraction = iterations, change, contraction
        super().__init__(
            f"a nash step did not converge: it still moved by {change:.3g} after {iterations} rounds, with contraction "
            f"factor {contraction:.3g} (below 1 is safe); reduce step_size"
        )


class NashWarning(UserWarning):
    """The rounds of a `nash` step need not approach each other."""


class DegenerateQuantiles(ValueError):
    """The entropy of a law on a line needs points that are all different."""


class CouplingNotOptimal(RuntimeError):
    """A proximal step between laws moved points across each other: the pairing of old and new is not optimal."""


class NoUniqueEquilibrium(NotApplicable):
    """A quadratic game whose field is singular has no equilibrium, or a whole line of them."""


class DomainTooSmall(ValueError):
    """Points left the domain on which the features of the discriminator are what they stand for."""


class DomainWarning(UserWarning):
    """Points come close to the edge of the domain of the discriminator's features."""
