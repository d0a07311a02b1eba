r"""From real data to a solvable GAN: principal components become features, the rest becomes noise.

With lambda_i the eigenvalues of the sample covariance (divisor: number of samples), the discarded ones have the mean
eta_0, the noise floor; a kept component is a feature of variance lambda_i - eta_0 in noise of variance eta_0 plus what
is added. Data projected on the kept components have no floor, and features of variance lambda_i.
"""

import csv
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ganscope.core.checks import integer, number, one_of
from ganscope.core.errors import ParameterError

if TYPE_CHECKING:
    from ganscope.games.solvable.model import SolvableGAN

Array = npt.NDArray[np.float64]

# The leading eigenvalue after scaling: the strength at which the default learning rates are comfortable.
REFERENCE_STRENGTH = 5.0
# A component is a feature when it stands this far above the edge of the noise's own spectrum.
EDGE_FACTOR = 1.05
MAX_FEATURES = 16


@dataclass(frozen=True)
class FitReport:
    """What a fit saw in the data.

    Attributes:
        samples, dimension: Shape of the data.
        eigenvalues: Of the covariance of the scaled data, decreasing, shape `[min(samples, dimension)]`.
        kept: How many components become features.
        scale: Factor by which the data were multiplied.
        noise_floor: Mean of the discarded eigenvalues.
        feature_variance: Eigenvalues of the kept components minus the floor.
        window: (low, high) variance of noise, equal on both sides, between which every kept feature is learned and the
            discriminator falls silent, for data projected on the kept components.
        window_with_floor: The same for the data as they are; the floor is part of the noise.
    """

    samples: int
    dimension: int
    eigenvalues: Array
    kept: int
    scale: float
    noise_floor: float
    feature_variance: tuple[float, ...]
    window: tuple[float, float]
    window_with_floor: tuple[float, float]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "samples": self.samples,
            "dimension": self.dimension,
            "eigenvalues": self.eigenvalues[:MAX_FEATURES].tolist(),
            "kept": self.kept,
            "scale": self.scale,
            "noise_floor": self.noise_floor,
            "feature_variance": list(self.feature_variance),
            "window": {"low": self.window[0], "high": self.window[1]},
            "window_with_floor": {"low": self.window_with_floor[0], "high": self.window_with_floor[1]},
        }


def read_table(path: str | os.PathLike[str]) -> Array:
    """Numbers from a `.npy` or `.csv` file (comma separated; one header line is allowed), rows = samples.

    Raises:
        ParameterError: If the file is missing, empty, of another kind, or holds anything but numbers.
    """
    file = Path(path)
    if not file.is_file():
        raise ParameterError("data", str(path), "an existing .npy or .csv file")
    if file.suffix == ".npy":
        try:
            content = np.load(file, allow_pickle=False)
        except (ValueError, OSError, EOFError) as error:
            raise ParameterError("data", str(path), f"an array of numbers in .npy format ({error})") from None
        if content.dtype.kind not in "fiu":
            raise ParameterError("data", str(path), f"numbers, not {content.dtype}")
        result: Array = content.astype(np.float64)
        return result
    if file.suffix != ".csv":
        raise ParameterError("data", str(path), "a file that ends in .npy or .csv")
    return _read_csv(file)


def _read_csv(file: Path) -> Array:
    try:
        with file.open(newline="", encoding="utf-8") as stream:
            lines = [row for row in csv.reader(stream) if any(cell.strip() for cell in row)]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ParameterError("data", str(file), f"a text file of numbers ({error})") from None
    if lines and not _is_number(lines[0][0]):
        lines = lines[1:]
    if not lines:
        raise ParameterError("data", str(file), "rows of numbers; the file has none")
    width = len(lines[0])
    rows = np.empty((len(lines), width))
    for i, line in enumerate(lines):
        if len(line) != width:
            raise ParameterError("data", str(file), f"rows of {width} numbers; row {i + 1} has {len(line)}")
        for j, cell in enumerate(line):
            if not _is_number(cell):
                kind = "a missing value" if not cell.strip() else f"{cell.strip()!r}"
                raise ParameterError("data", str(file), f"numbers; row {i + 1}, column {j + 1} is {kind}")
            rows[i, j] = float(cell)
    return rows


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def check_samples(data: Any, constant_columns: str | None = None) -> Array:
    """Samples `[samples, dimension]`, finite, at least two rows, without constant columns.

    A column of a file that never varies is refused: it is an index, a label or a mistake more often than data. In an
    array a column that is zero throughout passes, as a coordinate without signal (a dark pixel).

    Args:
        data: Array, or the path of a `.npy` or `.csv` file.
        constant_columns: `keep` lets every constant column pass, `refuse` none; None is the rule above.

    Raises:
        ParameterError: Saying what is wrong and where.
    """
    if constant_columns is not None:
        one_of("constant_columns", constant_columns, ["keep", "refuse"])
    from_file = isinstance(data, str | os.PathLike)
    if from_file:
        data = read_table(data)
    if np.iscomplexobj(data):
        raise ParameterError("data", "complex numbers", "an array of real numbers (samples, dimension)")
    try:
        rows = np.asarray(data, np.float64)
    except (TypeError, ValueError):
        raise ParameterError("data", type(data).__name__, "an array of numbers (samples, dimension)") from None
    if rows.ndim != 2:
        raise ParameterError("data", f"array of shape {rows.shape}", "two dimensions (samples, dimension)")
    samples, dimension = rows.shape
    if samples < 2 or dimension < 1:
        raise ParameterError("data", f"array of shape {rows.shape}", "at least 2 rows (samples) and 1 column")
    bad = np.argwhere(~np.isfinite(rows))
    if len(bad):
        i, j = bad[0]
        text = f"{len(bad)} missing or infinite value(s), the first in row {i + 1}, column {j + 1}"
        raise ParameterError("data", text, "finite numbers: drop or fill them first")
    constant = np.ptp(rows, axis=0) == 0
    if constant_columns is None and not from_file and not constant.all():
        constant &= rows[0] != 0
    if constant.any() and (constant_columns != "keep" or constant.all()):
        first = f"{int(constant.sum())} constant column(s), the first is column {int(np.argmax(constant)) + 1}"
        raise ParameterError("data", first, "columns that vary: drop them, or pass constant_columns='keep'")
    return rows


def _components(rows: Array) -> tuple[Array, Array, Array]:
    """Eigenvalues of the covariance, decreasing, the axes `[dimension, count]`, and the column means."""
    mean = rows.mean(axis=0)
    centred = rows - mean
    if rows.shape[0] >= rows.shape[1]:
        values, vectors = np.linalg.eigh(centred.T @ centred / len(rows))
        order = np.argsort(values)[::-1]
        return np.clip(values[order], 0.0, None), vectors[:, order], mean
    _, singular, axes = np.linalg.svd(centred, full_matrices=False)
    return singular**2 / len(rows), axes.T, mean


def _features_above_floor(eigenvalues: Array, samples: int, dimension: int) -> int:
    """How many eigenvalues stand above the Marchenko-Pastur edge of the noise that the others make."""
    total = eigenvalues.sum()
    limit = min(MAX_FEATURES, dimension - 1, samples - 1)
    kept = 0
    while kept < limit:
        rest = dimension - kept
        floor = (total - eigenvalues[:kept].sum()) / rest
        edge = floor * (1.0 + np.sqrt(rest / samples)) ** 2
        if eigenvalues[kept] <= EDGE_FACTOR * edge:
            break
        kept += 1
    return max(kept, 1)


def _window(strengths: Array, game_rates: tuple[float, float], floor: float) -> tuple[float, float]:
    """Noise variance, equal on both sides, from where the strongest feature settles to where the weakest is seen."""
    discriminator_lr, generator_lr = game_rates
    low = np.sqrt(strengths.max() * generator_lr / (2.0 * discriminator_lr**2))
    high = np.sqrt(strengths.min() / discriminator_lr)
    return max(float(low) - floor, 0.0), float(high) - floor


def describe(
    data: Any,
    features: int | None = None,
    *,
    scale: Any = "auto",
    constant_columns: str | None = None,
    discriminator_lr: float = 0.2,
    generator_lr: float = 0.04,
) -> FitReport:
    """Eigenvalues, noise floor and noise windows of a data set.

    Args:
        data: Array `[samples, dimension]`, or the path of a `.npy` or `.csv` file.
        features: How many principal components become features; None keeps those above the edge of the spectrum
            that pure noise of the discarded components' strength would have (Marchenko and Pastur), at most 16.
        scale: Factor on the data; `"auto"` makes the leading eigenvalue 5, None leaves them.
        constant_columns: As in `check_samples`.
        discriminator_lr, generator_lr: Learning rates for which the windows are computed.

    Raises:
        ParameterError: If the data are not finite numbers, constant, or have too few rows or columns.
    """
    rows = check_samples(data, constant_columns)
    samples, dimension = rows.shape
    eigenvalues, _, _ = _components(rows)
    rank = int(np.sum(eigenvalues > 1e-12 * eigenvalues[0]))
    if features is None:
        kept = min(_features_above_floor(eigenvalues, samples, dimension), rank)
    else:
        kept = integer("features", features, at_least=1)
        if kept > rank:
            raise ParameterError("features", features, f"at most {rank}, the rank of the data")
    factor = _scale_factor(scale, eigenvalues[0])
    eigenvalues = eigenvalues * factor**2
    rest = dimension - kept
    floor = float(eigenvalues[kept:].sum() / rest) if rest > 0 else 0.0
    strengths = eigenvalues[:kept] - floor
    if np.any(strengths <= 0):
        raise ParameterError("features", features, f"fewer: component {kept} does not stand above the noise floor")
    rates = (number("discriminator_lr", discriminator_lr, above=0), number("generator_lr", generator_lr, above=0))
    return FitReport(
        samples,
        dimension,
        eigenvalues,
        kept,
        factor,
        floor,
        tuple(float(v) for v in strengths),
        _window(eigenvalues[:kept], rates, 0.0),
        _window(strengths, rates, floor),
    )


def _scale_factor(scale: Any, leading: float) -> float:
    if scale is None:
        return 1.0
    if isinstance(scale, str):
        one_of("scale", scale, ["auto"])
        return float(np.sqrt(REFERENCE_STRENGTH / leading))
    return number("scale", scale, above=0)


def component_scores(data: Any, features: int, scale: Any = "auto") -> Array:
    """Scores of the leading principal components of the scaled data, `[samples, features]`, centred, uncorrelated.

    They can be the `latent` of a `SolvableGAN`: real, non-Gaussian latents in a model of any dimension.
    """
    rows = check_samples(data, "keep")
    eigenvalues, axes, mean = _components(rows)
    return np.asarray((rows - mean) @ axes[:, :features] * _scale_factor(scale, eigenvalues[0]))


def fit(
    data: Any,
    features: int | None = None,
    *,
    scale: Any = "auto",
    added_noise: float = 0.0,
    latent: str = "gaussian",
    constant_columns: str | None = None,
    **parameters: Any,
) -> "SolvableGAN":
    """A solvable GAN whose features are the data's leading principal components.

    Args:
        data, features, scale, constant_columns: As in `describe`.
        added_noise: Variance of noise added to every coordinate of the (scaled) data.
        latent: `gaussian`, or `empirical` for the components' own scores, brought to the features' variances.
        parameters: Further parameters of `SolvableGAN`.

    Returns:
        The game, with `feature_variance` the kept eigenvalues minus the noise floor and `data_noise` the floor plus
        `added_noise`.

    Raises:
        ParameterError: As `describe`, or for parameters that the data decide.
    """
    from ganscope.games.solvable.model import SolvableGAN

    for name in ("feature_variance", "data_noise"):
        if name in parameters:
            raise ParameterError(name, parameters[name], "nothing: the data decide it (see added_noise and scale)")
    one_of("latent", latent, ["gaussian", "empirical"])
    rates = {name: parameters[name] for name in ("discriminator_lr", "generator_lr") if name in parameters}
    report = describe(data, features, scale=scale, constant_columns=constant_columns, **rates)
    noise = report.noise_floor + number("added_noise", added_noise, at_least=0)
    variance: tuple[float, ...] | None = report.feature_variance
    rows: Any = "gaussian"
    if latent == "empirical":
        scores = component_scores(data, report.kept, scale)
        rows = scores * np.sqrt(np.array(report.feature_variance) / np.mean(scores**2, axis=0))
        variance = None
    return SolvableGAN(feature_variance=variance, data_noise=noise, latent=rows, **parameters)
