"""Handwritten digits as a target for particles."""

from typing import Any

import numpy as np
import numpy.typing as npt

from ganscope.core.errors import NotApplicable
from ganscope.games.kernel.data import principal_components

Array = npt.NDArray[np.float64]

# Total variance that the digits are scaled to: that of a ring of radius 1 is 1 along each of its two axes.
_VARIANCE = 2.0


def digits(components: int = 16) -> tuple[Array, npt.NDArray[np.int64]]:
    """scikit-learn's 1797 handwritten digits as points with classes, in units in which their total variance is 2.

    Pixels / 16, centred, along the principal axes of the images, divided by one number. With
    `ParticleGAN(real_points=points, labels=labels, input_size=2)` a network sees inputs of the same size as those of a
    ring of radius 1.

    Args:
        components: How many axes, 1 .. 64.

    Returns:
        Points `[1797, components]`, and the digit 0 .. 9 that each one shows.

    Raises:
        NotApplicable: If scikit-learn is not installed.
        ParameterError: If there are not so many axes.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise NotApplicable(
            "the digits come with scikit-learn, which is not installed: pip install 'ganscope[examples]'"
        ) from None
    images: Any = load_digits()
    scores = principal_components(np.asarray(images.data, np.float64) / 16.0, components)
    scale = np.sqrt(scores.var(axis=0).sum() / _VARIANCE)
    return np.asarray(scores / scale), np.asarray(images.target, np.int64)
