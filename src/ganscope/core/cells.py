"""Verdicts and predictions for many cells at once, labelled like the batch of runs they belong to."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from ganscope.core.errors import ParameterError, unknown_name
from ganscope.core.game import Game
from ganscope.core.outcome import Prediction, Predictions, Verdicts, columns, undecided_cells
from ganscope.core.results import base_game, varied_values
from ganscope.core.simulate import predict


def classify_many(run: xr.Dataset, **options: Any) -> xr.Dataset:
    """The verdicts on all cells of a batch of runs.

    Every cell has the verdict that `classify` gives it alone.

    Args:
        run: A data set made by `simulate_many`.
        options: Thresholds that the game lets a caller set, as in `classify`.

    Returns:
        `outcome`, `detail`, `margin` and `near_critical` over `cell`; with replicas, whose votes decide, also
        `replica_outcome` over `cell` and `replica`, and `share`, that of the replicas that have the cell's outcome.

    Raises:
        ParameterError: If the data set has no `cell` dimension or does not carry its game, or an option is unknown.
    """
    if not isinstance(run, xr.Dataset) or "cell" not in run.dims:
        raise ParameterError("run", type(run).__name__, "a data set made by simulate_many, with a dimension 'cell'")
    if "game" not in run.attrs:
        raise ParameterError("run", list(run.attrs), "a data set made by simulate_many, with the attribute 'game'")
    game = base_game(run)
    for name in options:
        if name not in game.verdict_options:
            raise unknown_name("option", name, game.verdict_options)
    verdicts = game.classify_cells(run, **options) if run.sizes["cell"] else undecided_cells(0)
    if verdicts is None:
        verdicts = _one_by_one(game, run, options)
    data: dict[str, Any] = {
        name: ("cell", getattr(verdicts, name)) for name in ("outcome", "detail", "margin", "near_critical")
    }
    if "replica" in run.dims:
        data["share"] = ("cell", verdicts.share)
        alone = np.broadcast_to(verdicts.votes, (run.sizes["cell"], run.sizes["replica"]))
        data["replica_outcome"] = (("cell", "replica"), alone)
    return xr.Dataset(data, _coordinates(run))


def _coordinates(run: xr.Dataset) -> dict[Any, Any]:
    """What the cells differ in, without the times of their records."""
    return {
        name: values.transpose("cell", ...)
        for name, values in run.coords.items()
        if "cell" in values.dims and "time" not in values.dims
    }


def _one_by_one(game: Game, run: xr.Dataset, options: Mapping[str, Any]) -> Verdicts:
    varied, verdicts, votes = varied_values(run), [], []
    for cell in range(run.sizes["cell"]):
        own = game.replace(**{name: values[cell] for name, values in varied.items()}) if varied else game
        one = run.isel(cell=cell)
        verdict = own.classify(one, **options)
        verdicts.append(verdict)
        alone = [own.classify(one.isel(replica=k), **options) for k in range(run.sizes.get("replica", 0))]
        votes.append([str(single.outcome) for single in alone or [verdict]])
    return Verdicts(*columns(verdicts), np.array(votes, object))


def predict_many(
    game: Game,
    over: Mapping[str, Any],
    level: str | None = None,
    rule: str | None = None,
    step_size: float | None = None,
    **options: Any,
) -> xr.Dataset:
    """What theory says about many variants of a game.

    Every cell has the prediction that `predict` gives its own game.

    Args:
        game: The game whose parameters are varied.
        over: Values of parameters, one per cell; of any parameter, numeric or not.
        level, rule, step_size, options: As in `predict`.

    Returns:
        `outcome`, `detail`, `margin` and `near_critical` over `cell`, and thresholds, rates and best values that are
        numbers as `threshold_NAME`, `rate_NAME` and `best_NAME` (NaN in cells that have none; with a further dimension
        where there is one value per feature).

    Raises:
        ParameterError: If a name is unknown, the arrays have different lengths, or a value is out of range.
    """
    lengths = {name: len(values) for name, values in over.items()}
    if len(set(lengths.values())) != 1:
        raise ParameterError("over", lengths, "at least one parameter, and equally many values of each")
    known = {*game.parameter_names(), *game.varied_parameters()}
    for name in over:
        if name not in known:
            raise unknown_name("over", name, known)
    for name in options:
        if name not in game.prediction_options:
            raise unknown_name("option", name, ["level", "rule", "step_size", *game.prediction_options])
    said = None
    if set(over) <= set(game.varied_parameters()):
        said = game.predict_cells(game.check_cells(over)[0], level, rule, step_size, **options)
    if said is None:
        rows = (dict(zip(over, row, strict=True)) for row in zip(*over.values(), strict=True))
        said = predictions_of(predict(game.replace(**row), level, rule, step_size, **options) for row in rows)
    data: dict[str, Any] = {
        name: ("cell", getattr(said, name)) for name in ("outcome", "detail", "margin", "near_critical")
    }
    for name, values in said.numbers.items():
        data[name] = (("cell", f"{name}_index")[: values.ndim], values)
    return xr.Dataset(data)


def predictions_of(predictions: Iterable[Prediction]) -> Predictions:
    """Single predictions as arrays over cells."""
    said = list(predictions)
    rows = [_numbers(one) for one in said]
    names = dict.fromkeys(name for row in rows for name in row)
    return Predictions(*columns(said), {name: _padded([row.get(name) for row in rows]) for name in names})


def _numbers(prediction: Prediction) -> dict[str, npt.NDArray[np.float64]]:
    """Everything in a prediction that is a number, or one number per feature."""
    found = {}
    for kind, values in (("threshold", prediction.thresholds), ("rate", prediction.rates), ("best", prediction.best)):
        for name, value in values.items():
            array = np.asarray(value if value is not None else np.nan)
            if array.dtype.kind == "O" and array.ndim == 1 and array.size:  # numbers, some of them missing
                plain = [np.nan if v is None else v for v in array]
                array = np.asarray(plain) if all(np.ndim(v) == 0 for v in plain) else array
            if array.dtype.kind in "fiu" and array.ndim <= 1:
                found[f"{kind}_{name}"] = array.astype(np.float64)
    return found


def _padded(values: Sequence[npt.NDArray[np.float64] | None]) -> npt.NDArray[np.float64]:
    """Numbers, or lists of them, as one array; NaN where a cell has none or fewer."""
    ndim = max(v.ndim for v in values if v is not None)
    if ndim == 0:
        return np.array([np.nan if v is None else float(v) for v in values])
    count = max(v.size for v in values if v is not None)
    out = np.full((len(values), count), np.nan)
    for row, value in zip(out, values, strict=True):
        if value is not None:
            row[: value.size] = value
    return out
