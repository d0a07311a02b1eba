"""The macroscopic state as numbers in a row: P row-major, q, r, S row-major, z; and the parameters likewise.

Every engine of the model reads and writes these two rows, so that a batch of runs is a matrix.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Layout:
    """Where the parts of the state and of the parameters stand, for given numbers of features and columns."""

    features: int
    columns: int

    @property
    def q(self) -> int:
        return self.features * self.columns

    @property
    def r(self) -> int:
        return self.q + self.features

    @property
    def S(self) -> int:
        return self.r + self.columns

    @property
    def z(self) -> int:
        return self.S + self.columns**2

    @property
    def size(self) -> int:
        return self.z + 1


# Rows of the parameter matrix; the feature variances follow, then the latent variances.
DISCRIMINATOR_LR, GENERATOR_LR, DATA_NOISE, GENERATOR_NOISE, REGULARIZATION, LINK_BIAS, VARIANCES = range(7)
