"""What is added to or taken from a game's discriminator loss: penalties, and noise on the samples."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Change:
    """A changed discriminator loss: L_D + added * unit penalty - removed * other penalty, noise on all samples.

    Attributes:
        added: What is added to the weight gamma of the unit gradient penalty that the losses hold already.
        removed: 1 takes the game's `other_penalty` (which a gradient penalty would replace) out, 0 leaves it.
        instance_noise: Standard deviation of noise on real and generated samples before the discriminator.
    """

    added: float = 0.0
    removed: float = 0.0
    instance_noise: float = 0.0


UNCHANGED = Change()
