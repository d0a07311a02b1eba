"""`plot`: the picture of a run, of several runs of one game over each other, or of a prediction."""

import os
from collections.abc import Sequence
from typing import Any

import xarray as xr
from matplotlib.figure import Figure

from ganscope.core.errors import NotApplicable, ParameterError
from ganscope.core.outcome import Prediction
from ganscope.core.results import game_of
from ganscope.figures import solvable_runs, style
from ganscope.games.solvable.model import SolvableGAN

_ACCEPTED = "a run made by simulate, a list of runs of one game, or a Prediction"


def plot(thing: Any, path: str | os.PathLike[str] | None = None, *, title: str | None = None) -> Figure:
    """The picture of a run, of several runs, or of a prediction.

    Limits (level `ode`) are lines; simulations are points, the mean and standard deviation over replicas or the dots
    of a single run. Every feature has the same colour in all figures. A run that diverges is drawn until it ends, which
    a cross marks.

    Args:
        thing: A run made by `simulate`, a list of runs of one game, which are drawn over each other, or a `Prediction`.
        path: File to write, PNG unless the suffix is `.pdf` or `.svg`; it appears complete or not at all.
        title: Above the figure, for example the verdict; None is a plain one. The parameters stand below it.

    Returns:
        A Matplotlib figure that belongs to no window and no pyplot state.

    Raises:
        ParameterError: If `thing` is something else, the runs are of different games, or the suffix is unknown.
        NotApplicable: If the game has no picture.
        StoreError: If the file cannot be written.
    """
    with style.drawing():
        figure = _prediction(thing, title) if isinstance(thing, Prediction) else _runs(thing, title)
    if path is not None:
        style.write(figure, path)
    return figure


def _prediction(prediction: Prediction, title: str | None) -> Figure:
    if not isinstance(prediction.game, SolvableGAN):
        raise NotApplicable(f"there is no picture of predictions for {type(prediction.game).__name__}")
    return solvable_runs.draw_prediction(prediction, title)


def _runs(thing: Any, title: str | None) -> Figure:
    runs: Sequence[Any] = thing if isinstance(thing, list | tuple) else [thing]
    if not runs or not all(isinstance(run, xr.Dataset) and "game" in run.attrs for run in runs):
        raise ParameterError("thing", thing if runs else "an empty list", _ACCEPTED)
    games = [game_of(run) for run in runs]
    for run, game in zip(runs, games, strict=True):
        if run.attrs.get("level") not in game.levels or "time" not in run.dims:
            raise ParameterError("thing", f"a data set of level {run.attrs.get('level')!r}", _ACCEPTED)
        if game != games[0]:
            raise ParameterError("thing", f"runs of {games[0]} and {game}", "runs of the same game")
    if not isinstance(games[0], SolvableGAN):
        raise NotApplicable(f"there is no picture of runs of {type(games[0]).__name__}")
    return solvable_runs.draw_runs(runs, games[0], title)
