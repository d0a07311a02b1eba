"""What theory says about the cells of a sweep that was only simulated."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from ganscope.core.errors import NotApplicable
from ganscope.core.grids import linspace, logspace
from ganscope.core.results import game_of
from ganscope.sweep.execution.trial import in_words, try_cells
from ganscope.sweep.execution.work import Job, work
from ganscope.sweep.measures import DONE, VERDICT, agreement
from ganscope.sweep.plan import Plan, make_plan
from ganscope.sweep.sweep import sweep as measure


def with_theory(sweep: xr.Dataset, patience: float | None = None) -> xr.Dataset:
    """A sweep with the predictions of its cells and where they agree, as the measure `both` has them.

    Args:
        sweep: A sweep with outcomes of simulations.
        patience: Seconds that theory may take; None is as long as it takes.

    Returns:
        The sweep with `predicted_outcome`, `predicted_detail`, `predicted_margin`, `predicted_near_critical`,
        thresholds, rates and best values, and `agreement`. Along axes that theory does not know, such as `dimension`,
        it says the same.

    Raises:
        NotApplicable: If the sweep has no outcomes of simulations, its game cannot be rebuilt, or theory would take
            longer than that.
    """
    if "predicted_outcome" in sweep:
        return sweep
    if sweep.attrs.get("measure") != "simulate" or "outcome" not in sweep:
        raise NotApplicable("theory is compared with outcomes of simulations, which this sweep does not hold")
    asked = json.loads(sweep.attrs["sweep"])
    bare = xr.Dataset(attrs={"game": sweep.attrs["game"]})
    if str(sweep.attrs["game"]).startswith("not available"):
        raise NotApplicable("the game has parameters that are Python functions, which a store does not hold")
    game = game_of(bare)
    theory = {"level", "rule", "step_size", *game.prediction_options}
    known = {*game.parameter_names(), *game.varied_parameters(), *theory}
    over = {name: _values(game, name, recipe) for name, recipe in asked["over"].items() if name in known}
    settings = {name: value for name, value in asked["settings"].items() if name in theory - set(over)}
    level = None if "level" in over else asked["level"]
    if patience is not None:
        _refuse_if_slow(make_plan(game, over, "predict", level, 1, 0, settings) if over else None, patience)
    if over:
        said = measure(game, over, "predict", level, **settings)
    else:  # nothing varies that theory knows
        name = game.parameter_names()[0]
        said = measure(game, {name: [getattr(game, name)]}, "predict", level, **settings).isel({name: 0}, drop=True)
    said = said.drop_vars(["status", "message"])
    said = said.rename({name: f"predicted_{name}" for name in VERDICT})
    both = sweep.assign({name: values.broadcast_like(sweep.outcome) for name, values in said.data_vars.items()})
    dims = sweep.outcome.dims
    own = {name: both[name].transpose(*dims, ...) for name in said.data_vars}
    done = sweep.status.values == DONE
    agree = agreement(sweep.outcome.values, own["predicted_outcome"].values)
    return sweep.assign({**own, "agreement": (dims, np.where(done, agree, -1).astype(np.int8))})


def _refuse_if_slow(plan: Plan | None, patience: float) -> None:
    if plan is None:
        return
    job = Job(plan, Path(), 0)
    seconds = plan.cells * try_cells(plan, lambda task: work(job, task)).seconds
    if seconds > patience:
        raise NotApplicable(f"theory would take about {in_words(seconds)}")


def _values(game: Any, name: str, recipe: dict[str, Any]) -> Any:
    """The values of an axis from how they were made."""
    if "values" in recipe:
        return [game.decode(name, value) for value in recipe["values"]]
    return (logspace if recipe.get("log") else linspace)(recipe["start"], recipe["stop"], recipe["num"])
