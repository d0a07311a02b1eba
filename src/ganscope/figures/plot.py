"""`plot`: the picture of a run, of runs over each other, of a prediction, of a sweep, of a curve or a diagnosis."""

import importlib
import os
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import xarray as xr
from matplotlib.figure import Figure

from ganscope.core.errors import NotApplicable, ParameterError
from ganscope.core.outcome import Prediction
from ganscope.core.results import game_of
from ganscope.figures import curves, style
from ganscope.figures.diagnosis import draw_diagnosis
from ganscope.figures.diagnosis_reading import is_diagnosis, report_of
from ganscope.figures.diagram import draw_sweep

# Where the pictures of a model are: modules with `draw_runs` and `draw_prediction`, imported when one is asked for.
_PICTURES = {
    "solvable": "ganscope.figures.solvable_runs",
    "kernel": "ganscope.figures.kernel_runs",
    "dirac": "ganscope.figures.dualflow_runs",
    "quadratic": "ganscope.figures.dualflow_runs",
    "clipped": "ganscope.figures.dualflow_runs",
    "lq": "ganscope.figures.dualflow_runs",
    "feature": "ganscope.figures.dualflow_runs",
    "particle": "ganscope.figures.particle_runs",
    "torus": "ganscope.figures.particle_runs",
    "real": "ganscope.figures.real_runs",
}
_ACCEPTED = (
    "a run made by simulate, a list of runs of one game, or a Prediction; also a sweep, boundaries, or a Diagnosis"
)


def plot(
    thing: Any,
    path: str | os.PathLike[str] | None = None,
    *,
    title: str | None = None,
    x: str | None = None,
    y: str | None = None,
    at: Mapping[str, Any] | None = None,
    variable: str | None = None,
) -> Figure:
    """The picture of a run, of several runs, of a prediction, of a sweep, of boundaries, or of a diagnosis.

    Theory (levels `ode`, `linear`, `flow`) is drawn as lines; simulations are points, the mean and standard deviation
    over replicas or the dots of a single run, and paths in a plane. Every feature has the same colour in all figures. A
    run that diverges is drawn until it ends, which a cross marks.

    Of a sweep, outcomes are areas, apart in lightness as well as in colour and marked by letters. Where it holds theory
    and simulation, the areas are theory's, lines its boundaries, marks the simulated outcomes, and marks that disagree
    have a frame. Over one axis, outcomes are a strip, and observables lines; further axes have panels.

    Args:
        thing: A run made by `simulate`, a list of runs of one game, which are drawn over each other, a `Prediction`, a
            sweep, a list of a sweep and boundaries to draw over it, one or several boundaries, or a continued
            equilibrium. Also a `Diagnosis`, or the dictionary of one.
        path: File to write, PNG unless the suffix is `.pdf` or `.svg`; it appears complete or not at all.
        title: Above the figure, for example the verdict; None is a plain one. The parameters stand below it.
        x, y: Of a sweep: the axes of the plane; the first two that vary.
        at: Of a sweep: values of further axes by name, a number meaning the nearest one. Of the axes that remain, the
            first has a panel for each of up to 12 values, the others stand at their first values.
        variable: Of a sweep: an observable to show instead of the outcomes, such as `w2` or `recovery[0]`.

    Returns:
        A Matplotlib figure that belongs to no window and no pyplot state.

    Raises:
        ParameterError: If `thing` is something else, the runs are of different games, the suffix, an axis or a variable
            is unknown, or a boundary is over other parameters.
        NotApplicable: If the game or what the sweep holds has no picture.
        StoreError: If the file cannot be written.
    """
    with style.drawing():
        figure = _drawn(thing, title, {"x": x, "y": y, "at": at, "variable": variable})
    if path is not None:
        style.write(figure, path)
    return figure


def _drawn(thing: Any, title: str | None, view: dict[str, Any]) -> Figure:
    """The figure by the kind of thing."""
    things = list(thing) if isinstance(thing, list | tuple) else [thing]
    if things and _is_sweep(things[0]) and all(map(_is_curve, things[1:])):
        return draw_sweep(things[0], title, overlays=things[1:], **view)
    for name, value in view.items():
        if value is not None:
            raise ParameterError(name, value, "nothing: it goes with a sweep")
    if isinstance(thing, Prediction):
        return _prediction(thing, title)
    if is_diagnosis(thing):
        return draw_diagnosis(report_of(thing), title)
    if things and all(map(_is_curve, things)):
        return curves.draw_curves(things, title)
    return _runs(thing, title)


def _is_sweep(thing: Any) -> bool:
    return isinstance(thing, xr.Dataset) and "sweep" in thing.attrs and "status" in thing


def _is_curve(thing: Any) -> bool:
    return curves.is_boundary(thing) or curves.is_continuation(thing)


def _pictures(game: Any, of: str) -> Any:
    """The module that draws a game."""
    if getattr(game, "model", None) not in _PICTURES:
        raise NotApplicable(f"there is no picture of {of} for {type(game).__name__}")
    return importlib.import_module(_PICTURES[game.model])


def _prediction(prediction: Prediction, title: str | None) -> Figure:
    figure: Figure = _pictures(prediction.game, "predictions").draw_prediction(prediction, title)
    return figure


def _runs(thing: Any, title: str | None) -> Figure:
    runs: Sequence[Any] = thing if isinstance(thing, list | tuple) else [thing]
    if not runs or not all(isinstance(run, xr.Dataset) and "game" in run.attrs for run in runs):
        raise ParameterError("thing", thing if runs else "an empty list", _ACCEPTED)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what a game has to say it said when it was made
        games = [game_of(run) for run in runs]
    for run, game in zip(runs, games, strict=True):
        if run.attrs.get("level") not in game.levels or "time" not in run.dims:
            raise ParameterError("thing", f"a data set of level {run.attrs.get('level')!r}", _ACCEPTED)
        if game != games[0]:
            raise ParameterError("thing", f"runs of {games[0]} and {game}", "runs of the same game")
    figure: Figure = _pictures(games[0], "runs").draw_runs(runs, games[0], title)
    return figure
