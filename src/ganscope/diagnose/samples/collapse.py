r"""Generated samples beside the data: do they cover it, how far are they from it, have they collapsed?

Nothing here knows about training; the numbers are those of `sample_statistics`, and

    spread   trace Cov(generated) / trace Cov(data)
    R        sqrt(trace Cov(data)), the data radius, unit of all lengths

References:
    Naeem, Oh, Uh, Choi, Yoo. Reliable fidelity and diversity metrics for generative models. ICML 2020.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ganscope.core.checks import integer, number, real_array
from ganscope.core.errors import ParameterError
from ganscope.core.random import check_seed
from ganscope.diagnose.backend import Backend
from ganscope.diagnose.samples.mode_shares import (
    Modes,
    checked_labels,
    checked_modes,
    soft_coverage_of_classes,
    soft_coverage_of_modes,
)
from ganscope.diagnose.samples.statistics import effective_rank, energy_distance, neighbour_numbers

Array = npt.NDArray[np.float64]

# Generated samples, and real ones on either side of the comparison.
COUNT = 256
# Coordinates from which neighbours say little: principal components of the data beyond.
LARGEST_DIMENSION = 64
# The rule: samples of next to no extent, or of little extent that leave most of the data alone.
POINT_SPREAD, NARROW_SPREAD, LEAST_COVERAGE, LEAST_SOFT_COVERAGE = 0.05, 0.5, 1 / 3, 0.35
# Samples so many data radii from the data's mean have left it for good.
LARGEST_EXCURSION = 20.0
# Samples so many data radii away have distances whose squares cannot be relied on.
_LARGEST = 1e100
# Latents that a checkpoint's own samples come from are drawn apart from every other use of a seed.
_SEED_APART = 7_001


@dataclass(frozen=True, eq=False)
class Collapse:
    """Whether samples have collapsed, and what was measured; true in a condition if they have.

    Attributes:
        collapsed: The rule's answer, see `is_collapsed`.
        diverged: Samples that are not finite, or farther than 20 data radii from the data's mean.
        knn_coverage: Covered share of the data over the same share for held-back data; about 1 for a perfect model.
        raw_coverage: Covered share of the data, 0 to 1.
        density: About 1 for a perfect model, 0 where no sample is near the data.
        spread: Trace of the samples' covariance over the data's.
        effective_rank: Number of directions in use over that of the data.
        energy_distance: Unbiased, at least 0, in data radii.
        soft_coverage: Effective share of the modes or classes in use, 0 to 1; None without modes or labels.
        largest_excursion: Largest distance of a sample from the data's mean, in data radii.
        centre: Distance of the samples' mean from the data's, in data radii.
        data_radius: R = sqrt(trace Cov(data)), in the samples' own coordinates (not those of features).
        discriminator_slope: Mean |grad_x D| at real samples times R; NaN where no discriminator was looked at.
        reasons: Sentences: what decided.
        notes: Sentences: what was done to the samples.
        real, fake: Points in the plane of the data's first two principal axes, shape `[<= 512, 2]`.
    """

    collapsed: bool
    diverged: bool
    knn_coverage: float
    raw_coverage: float
    density: float
    spread: float
    effective_rank: float
    energy_distance: float
    soft_coverage: float | None
    largest_excursion: float
    centre: float
    data_radius: float
    discriminator_slope: float
    reasons: tuple[str, ...]
    notes: tuple[str, ...]
    real: Array = field(repr=False)
    fake: Array = field(repr=False)

    def __bool__(self) -> bool:
        return self.collapsed

    def to_dict(self) -> dict[str, Any]:
        """Plain values, points as lists of pairs."""
        plain = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return plain | {
            "reasons": list(self.reasons),
            "notes": list(self.notes),
            "real": self.real.tolist(),
            "fake": self.fake.tolist(),
        }


def is_collapsed(
    samples: npt.ArrayLike,
    data: npt.ArrayLike,
    labels: npt.ArrayLike | None = None,
    modes: Modes | None = None,
    features: Callable[[Any], Any] | tuple[npt.ArrayLike, npt.ArrayLike] | None = None,
    k: int = 5,
    seed: int = 0,
    data_radius: float | None = None,
) -> Collapse:
    """Whether generated samples have collapsed to a small part of the data, from the samples alone.

    They have if their spread is below 0.05; or if it is below 0.5 and moreover they leave most of the data alone:
    a k-NN coverage below 1/3, or with known modes or labels a soft coverage below 0.35. So modes that are lost while
    the others still span the data do not count as collapse; `soft_coverage` tells. A blurred but broad cloud is no
    collapse either; `energy_distance` and `density` tell.

    At most 256 generated and 512 real samples are looked at, drawn with the seed. Beyond 64 coordinates distances
    say little: without `features`, neighbours and distances are those in the leading 64 principal components of one
    half of the data, between the samples and the other half, which `notes` says; spread, effective rank and centre
    are those of all coordinates.

    Args:
        samples: Generated, shape `[n, ...]`, flattened to `[n, d]`; at least 2 k of them.
        data: Real, shape `[m, ...]` with the same d; at least 4 k rows.
        labels: Class of each row of the data, shape `[m]`: soft coverage from votes of the k nearest data points.
        modes: Centres `[M, d]` and their standard deviation (of a mixture): soft coverage from nearness to them, that
            deviation wide, but no wider than a quarter of the distance between neighbouring modes; 0 counts the nearest
            mode alone. In the coordinates of the features, if there are any.
        features: What to compare instead of the samples themselves: a function from some rows to `[rows, d']`, or a
            pair of arrays, one row per sample and per row of the data.
        k: Neighbours, at least 1; fewer than half of the rows of the data that are looked at (a quarter in principal
            components).
        seed: Of the choice of rows.
        data_radius: R, if it is known; None: that of the rows looked at.

    Returns:
        The answer, usable as a condition. Samples that are not finite are `diverged`, not collapsed, and not an error.

    Raises:
        ParameterError: If there are too few samples, shapes do not fit, the data are not finite or do not vary, k is
            out of range, or both labels and modes are given.

    References:
        Naeem, Oh, Uh, Choi, Yoo. Reliable fidelity and diversity metrics for generative models. ICML 2020.
    """
    k = integer("k", k, at_least=1)
    generator = np.random.default_rng(check_seed(seed))
    samples, data = _detached(samples), _detached(data)
    fake, real = _rows("samples", samples, 2 * k), _rows("data", data, 4 * k)
    if fake.shape[1] != real.shape[1]:
        raise ParameterError("samples", f"shape {np.shape(samples)}", f"{real.shape[1]} numbers per row, as the data")
    if not np.all(np.isfinite(real)):
        raise ParameterError("data", "NaN or infinities", "finite numbers")
    names = checked_labels(labels, len(real))
    if names is not None and modes is not None:
        raise ParameterError("modes", "given beside labels", "modes or labels, not both")
    known_modes = checked_modes(modes)
    pair = _feature_pair(features, len(fake), len(real))
    chosen_real = _choice(generator, len(real), 2 * COUNT)
    chosen_fake = _choice(generator, len(fake), COUNT)
    reduced = features is None and real.shape[1] > LARGEST_DIMENSION
    fitted = len(chosen_real) // 2 if reduced else 0  # rows of the data for principal axes alone
    reference = (len(chosen_real) - fitted) // 2
    if k >= reference:
        raise ParameterError("k", k, f"less than {reference}, the rows of the data that neighbours are sought among")
    x = np.array(real[chosen_real], np.float64)
    radius = math.sqrt(float(np.sum(np.var(x, axis=0))))
    if not radius > 0:
        raise ParameterError("data", "equal rows", "data that vary")
    radius = radius if data_radius is None else number("data_radius", data_radius, above=0)
    excursion = _farthest(fake, x.mean(axis=0)) / radius
    if not excursion <= _LARGEST:  # NaN, too
        return _nothing_measured(fake, x, radius)
    y = np.array(fake[chosen_fake], np.float64)
    plane = _plane(x)
    views = ((x - x.mean(axis=0)) @ plane, (y - x.mean(axis=0)) @ plane)
    notes = []
    if features is not None:
        x = _featured("data", features, pair, 1, data, chosen_real)
        y = _featured("samples", features, pair, 0, samples, chosen_fake)
        if x.shape[1] != y.shape[1]:
            raise ParameterError("features", f"{y.shape[1]} and {x.shape[1]} numbers", "equally many for both")
        notes.append(f"compared {x.shape[1]} features of the samples")
    # What neighbours and distances are taken of.
    near_x, near_y = x, y
    if reduced:
        # Axes follow the rows that they are fitted to: the samples have to be compared with others.
        mean, axes = x[:fitted].mean(axis=0), _axes(x[:fitted], min(LARGEST_DIMENSION, fitted - 1))
        notes.append(f"neighbours in the data's leading {axes.shape[1]} principal components of {x.shape[1]}")
        if known_modes is not None and known_modes[0].shape[1] == x.shape[1]:
            known_modes = (known_modes[0] - mean) @ axes, known_modes[1]
        near_x, near_y = (x[fitted:] - mean) @ axes, (y - mean) @ axes
    # Lengths in features have a radius of their own.
    own_radius = radius if features is None else math.sqrt(float(np.sum(np.var(x, axis=0))))
    if not own_radius > 0:
        raise ParameterError("features", "equal for all data", "features that vary")
    soft = None
    if names is not None:
        soft = soft_coverage_of_classes(near_y, near_x, names[chosen_real[fitted:]], k)
    elif known_modes is not None:
        soft = soft_coverage_of_modes(near_y, *known_modes)
    raw, relative, density = neighbour_numbers(near_y, near_x, k)
    spread = float(np.sum(np.var(y, axis=0)) / np.sum(np.var(x, axis=0)))
    collapsed, reasons = collapse_rule(spread, relative, soft)
    diverged = excursion > LARGEST_EXCURSION
    if diverged:
        reasons.append(f"samples lie up to {excursion:.3g} data radii from the data's mean: diverged")
    return Collapse(
        collapsed=collapsed,
        diverged=diverged,
        knn_coverage=relative,
        raw_coverage=raw,
        density=density,
        spread=spread,
        effective_rank=effective_rank(y) / max(effective_rank(x[: len(y)]), 1.0),
        energy_distance=energy_distance(near_y, near_x) / own_radius,
        soft_coverage=soft,
        largest_excursion=excursion,
        centre=float(np.linalg.norm(y.mean(axis=0) - x.mean(axis=0))) / own_radius,
        data_radius=radius,
        discriminator_slope=math.nan,
        reasons=tuple(reasons),
        notes=tuple(notes),
        real=views[0],
        fake=views[1],
    )


def order_statistics(
    backend: Backend,
    seed: int = 0,
    labels: Callable[[Any], Any] | npt.ArrayLike | None = None,
    modes: Modes | None = None,
    features: Callable[[Any], Any] | None = None,
    data_radius: float | None = None,
) -> Collapse | None:
    """The present samples of a checkpoint beside its data; None where the generator cannot be called on its own.

    Args:
        backend: The checkpoint.
        seed: Of latents and data.
        labels: batch -> classes of its rows; or these themselves, which only data in a fixed order can have.
        modes, features, data_radius: As for `is_collapsed`.
    """
    if not backend.samples_known:
        return None
    draw = backend.draw(seed + _SEED_APART, 2 * COUNT)
    real = backend.real_samples(draw)
    fake = backend.outputs(backend.point.generator, backend.latents(seed + _SEED_APART, COUNT))
    names: Any = labels(draw.batch) if callable(labels) else labels
    found = is_collapsed(fake, real, names, modes, features, seed=seed, data_radius=data_radius)
    if not backend.scores_known:
        return found
    with np.errstate(all="ignore"):
        slope = float(np.mean(backend.score_slopes(backend.point, draw)[0])) * found.data_radius
    return replace(found, discriminator_slope=slope)


def _rows(name: str, value: Any, least: int) -> npt.NDArray[Any]:
    """Flattened rows in their own precision, which may hold NaN."""
    try:
        array = np.asarray(value)
    except (TypeError, ValueError, RuntimeError):  # ragged lists; tensors of a precision that NumPy does not know
        array = np.asarray(None)
    if array.dtype.kind not in "fiu" or array.ndim == 0:
        raise ParameterError(name, value, "an array of real numbers, shape [rows, ...]")
    if len(array) < least or not array.size:
        raise ParameterError(name, f"shape {array.shape}", f"at least {least} rows")
    return array.reshape(len(array), -1)


def _detached(value: Any) -> Any:
    """A tensor without its graph, in the host's memory; anything else as it is."""
    return value.detach().cpu() if hasattr(value, "detach") else value


def _feature_pair(features: Any, samples: int, data: int) -> tuple[Array, Array] | None:
    """Features given as two arrays, checked; None for a function or nothing."""
    if features is None or callable(features):
        return None
    if not isinstance(features, tuple | list) or len(features) != 2:
        raise ParameterError("features", features, "a function of rows, or features of samples and of data as a pair")
    pair = tuple(np.asarray(_detached(f)) for f in features)
    for array, count in zip(pair, (samples, data), strict=True):
        if array.ndim == 0 or len(array) != count:
            raise ParameterError("features", f"shape {array.shape}", f"one row per sample or row of data: {count}")
    return pair[0], pair[1]


def _featured(name: str, features: Any, pair: Any, which: int, rows: Any, chosen: npt.NDArray[np.int64]) -> Array:
    found = features(np.asarray(rows)[chosen]) if pair is None else pair[which][chosen]
    array = real_array("features", np.asarray(_detached(found)), expected=f"finite features of the {name}")
    if array.ndim == 0 or len(array) != len(chosen):
        raise ParameterError("features", f"shape {array.shape}", f"one row for each of {len(chosen)} rows")
    return array.reshape(len(array), -1)


def _choice(generator: np.random.Generator, count: int, wanted: int) -> npt.NDArray[np.int64]:
    return generator.permutation(count)[:wanted]


def _farthest(rows: npt.NDArray[Any], centre: Array) -> float:
    """Largest distance from a centre; NaN or infinite if a row is."""
    largest = 0.0
    with np.errstate(over="ignore", invalid="ignore"):
        for start in range(0, len(rows), 1024):
            apart = np.asarray(rows[start : start + 1024], np.float64) - centre
            largest = float(np.maximum(largest, np.max(np.linalg.norm(apart, axis=1))))
    return largest


def _axes(data: Array, count: int) -> Array:
    """The leading principal axes, shape `[d, count]`, fewer if there are fewer rows or coordinates."""
    axes: Array = np.linalg.svd(data - data.mean(axis=0), full_matrices=False)[2][:count].T
    return axes


def _plane(data: Array) -> Array:
    """The first two principal axes, shape `[d, 2]`; a line has a second axis of zeros."""
    axes = _axes(data, 2).T
    # Signs are free: fix them, so that pictures of one game look alike.
    axes = axes * np.sign(axes[np.arange(len(axes)), np.argmax(np.abs(axes), axis=1)])[:, None]
    return np.pad(axes, ((0, 2 - len(axes)), (0, 0))).T


def collapse_rule(spread: float, coverage: float, soft: float | None) -> tuple[bool, list[str]]:
    """Whether samples have collapsed, and why; coverage is that of neighbours over the real one, soft that of modes."""
    name, value, least = (
        ("k-NN coverage", coverage, LEAST_COVERAGE) if soft is None else ("soft coverage", soft, LEAST_SOFT_COVERAGE)
    )
    if spread < POINT_SPREAD:
        return True, [f"spread {spread:.3g} < {POINT_SPREAD:g}: next to a point"]
    said = f"spread {spread:.3g}, {name} {value:.3g}"
    if spread < NARROW_SPREAD and value < least:
        return True, [f"{said}: below {NARROW_SPREAD:g} and {least:.3g}"]
    return False, [f"{said}: not both below {NARROW_SPREAD:g} and {least:.3g}"]


def _nothing_measured(fake: npt.NDArray[Any], real: Array, radius: float) -> Collapse:
    lost = int(np.sum(~np.all(np.isfinite(fake), axis=1)))
    said = f"{lost} of {len(fake)} samples are not finite" if lost else "samples are beyond all bounds"
    nan = math.nan
    view = (real - real.mean(axis=0)) @ _plane(real)
    return Collapse(
        *(False, True, nan, nan, nan, nan, nan, nan, None, math.inf, nan, radius, nan, (f"{said}: diverged",), ()),
        real=view,
        fake=np.zeros((0, 2)),
    )
