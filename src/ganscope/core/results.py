"""Runs as labelled data sets that carry everything needed to rebuild the game, and their distances."""

from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from ganscope.core.errors import NotApplicable, ParameterError
from ganscope.core.game import Game, Request, Variable, from_json, to_json
from ganscope.core.version import package_version

# Attribute of the runs of a game that cannot be written down: what can, as JSON.
_RECORDED = "recorded_game"


def run_dataset(game: Game, request: Request, variables: dict[str, Variable], many: bool) -> xr.Dataset:
    """Label the variables `[cells, replicas, ...]` of a request; single cells and replicas lose their dimension."""
    lead: tuple[str, ...] = (("cell",) if many else ()) + (("replica",) if request.replicas > 1 else ())
    index = (slice(None) if many else 0, slice(None) if request.replicas > 1 else 0)
    data = {name: ((*lead, *dims), values[index]) for name, (dims, values) in variables.items()}
    coords: dict[str, Any] = {}
    unit = game.levels[request.level].time_unit
    if unit is not None and unit in request.over and request.schedule.iterations is not None:
        # every cell has times of its own
        own = request.over[unit][:, None] * request.schedule.iterations
        coords["cell_time"] = (("cell", "time"), own, {"long_name": "time"})
    else:
        coords["time"] = ("time", request.schedule.times, {"long_name": "time"})
    if request.schedule.iterations is not None:
        coords["iteration"] = ("time", request.schedule.iterations)
    if many:
        for name, values in request.over.items():
            coords[_coordinate(name, data)] = (("cell", *_index_names(name, values.ndim - 1)), values)
    text = game_text(game)
    attrs: dict[str, Any] = {
        "game": text,
        "level": request.level,
        "seed": str(request.seed),
        "version": package_version(),
    }
    if request.rule is not None:
        attrs["rule"] = request.rule
    if request.dimension is not None:
        attrs["dimension"] = request.dimension
    attrs["replicas"] = request.replicas
    if request.step_size is not None:
        attrs["step_size"] = request.step_size
    attrs |= {name: value for name, value in request.options.items() if isinstance(value, str | int | float | bool)}
    attrs |= request.notes
    if many:
        attrs["over"] = list(request.over)
    recorded = game.recorded()
    if recorded is not game:
        attrs[_RECORDED] = to_json(recorded)
    run = xr.Dataset(data, coords, attrs)
    if text.startswith("not available"):
        run.encoding["game"] = game  # a game made of Python functions stays with the run, in this process only
    return run


def game_text(game: Game) -> str:
    """The attribute `game`: JSON that rebuilds it, or why there is none."""
    try:
        return to_json(game)
    except NotApplicable as error:
        return f"not available: {error}"


def _coordinate(name: str, variables: Any) -> str:
    """The coordinate that holds a varied parameter; a start is told from the variable that it starts."""
    return f"initial_{name}" if name in variables else name


def _index_names(name: str, count: int) -> list[str]:
    """Dimensions of a parameter that is an array in every cell."""
    return [f"{name}_index" if count == 1 else f"{name}_index_{k}" for k in range(count)]


def game_of(run: xr.Dataset) -> Game:
    """The game that made a run, with the parameters of its cell where one was selected."""
    if not isinstance(run, xr.Dataset) or "game" not in run.attrs:
        raise ParameterError("run", type(run).__name__, "a data set made by simulate, with the attribute 'game'")
    if "cell" in run.dims:
        raise ParameterError("run", f"{run.sizes['cell']} cells", "one cell: select it with run.isel(cell=...)")
    varied = {name: value if value.ndim else value.item() for name, value in varied_values(run).items()}
    return base_game(run).replace(**varied) if varied else base_game(run)


def base_game(run: xr.Dataset) -> Game:
    """The game that made a run or a batch, with its own value of the parameters that a batch varies."""
    if "game" in run.encoding:
        game: Game = run.encoding["game"]
        return game
    return from_json(run.attrs.get(_RECORDED, run.attrs["game"]))


def _refuse_others(run: xr.Dataset, reference: xr.Dataset) -> None:
    """Refuse runs of different games, saying in what they differ."""
    one, other = game_of(run).recorded(), game_of(reference).recorded()
    if one == other:
        return
    mine, theirs = (_told(game) for game in (one, other))
    names = ["model"]
    if type(one) is type(other):
        names = [n for n in one.parameter_names() if not np.array_equal(getattr(one, n), getattr(other, n))]
    found, wanted = (", ".join(f"{name} = {told[name]}" for name in names) for told in (theirs, mine))
    raise ParameterError("reference", f"a run of another game ({found})", f"a run of the same game ({wanted})")


def _told(game: Game) -> dict[str, str]:
    """Model and parameters as short texts."""
    texts = {"model": game.model} | {
        name: " ".join(repr(getattr(game, name)).split()) for name in game.parameter_names()
    }
    return {name: text if len(text) <= 60 else text[:57] + "..." for name, text in texts.items()}


def varied_values(run: xr.Dataset) -> dict[str, Any]:
    """The parameters that a batch varies: with a leading axis of cells, or those of the cell that was selected."""
    over = run.attrs.get("over", ())
    # a file gives a list of one text back as that text
    names = {str(name): _coordinate(name, run.data_vars) for name in ([over] if isinstance(over, str) else over)}
    found = {name: run.coords[place].variable for name, place in names.items() if place in run.coords}
    return {name: values.transpose(*sorted(values.dims, key=_rank)).values for name, values in found.items()}


def _rank(dim: Any) -> tuple[bool, str]:
    """The place of a dimension of a varied parameter: the cell first, then the indices in their order."""
    return dim != "cell", str(dim)


def stacked(run: xr.Dataset, name: str, *dims: str) -> npt.NDArray[Any]:
    """A variable as `[cells, replicas, *dims]`, whatever the order of its dimensions; a missing one has length 1."""
    variable = run[name].variable
    lead = [dim for dim in ("cell", "replica") if dim in variable.dims]
    values: npt.NDArray[Any] = variable.transpose(*lead, *dims).values
    rest = values.shape[len(lead) :]
    return values.reshape(*(variable.sizes.get(dim, 1) for dim in ("cell", "replica")), *rest)


def compare(run: xr.Dataset, reference: xr.Dataset) -> xr.Dataset:
    """Distances between two runs of the same game, per observable and over time.

    The distance of an observable is the Euclidean norm of the difference over its components; replicas of the
    reference are averaged, replicas of `run` are kept. The reference is interpolated linearly to the run's times.

    Args:
        run: A run, for example of level `chain`.
        reference: Another run of the same game, for example of level `ode`.

    Returns:
        One variable per shared observable over `time` (and `replica`); `attrs["summary"]` maps each to the mean over
        time and replicas, the largest value of the mean over replicas, and the value at the end.

    Raises:
        ParameterError: If the runs are of different games or share no time.
    """
    _refuse_others(run, reference)
    start = max(float(run.time[0]), float(reference.time[0]))
    end = min(float(run.time[-1]), float(reference.time[-1]))
    times = run.time.values[(run.time.values >= start) & (run.time.values <= end)]
    if len(times) == 0:
        raise ParameterError("reference", f"times {start:g} to {end:g}", "times that overlap with the run's")
    ours = run.isel(time=np.isin(run.time.values, times))
    theirs = (reference.mean("replica") if "replica" in reference.dims else reference).drop_vars(
        "iteration", errors="ignore"
    )
    theirs = theirs.interp(time=times) if not np.array_equal(theirs.time.values, times) else theirs
    distances, summary = {}, {}
    for name in run.data_vars:
        if name not in reference.data_vars or "time" not in run[name].dims:
            continue
        difference = ours[name] - theirs[name]
        components = [d for d in difference.dims if d not in ("time", "replica")]
        squares: xr.DataArray = (abs(difference) ** 2).sum(components, skipna=False)
        distance = squares**0.5
        average = distance.mean("replica") if "replica" in distance.dims else distance
        distances[name] = distance
        summary[str(name)] = {
            "mean": float(average.mean()),
            "largest": float(average.max()),
            "final": float(average.isel(time=-1)),
        }
    attrs = {
        "summary": summary,
        "run_level": run.attrs["level"],
        "reference_level": reference.attrs["level"],
        "game": run.attrs["game"],
    }
    return xr.Dataset(distances, attrs=attrs)
