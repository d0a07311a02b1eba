"""Opening the store of a sweep: whether it is the same experiment, whole, and by the same code; what is left to do."""

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from ganscope.core.errors import StoreError
from ganscope.core.results import game_text
from ganscope.core.version import package_version
from ganscope.sweep.execution.work import Job
from ganscope.sweep.growth import grow
from ganscope.sweep.measures import FAILED
from ganscope.sweep.plan import Plan
from ganscope.sweep.store import CODE, FINISHED, PARTIAL, SEVERAL, STATUS, SweepStore


class OtherVersion(StoreError):
    """The store was computed by another version of the code."""


class SweepWarning(UserWarning):
    """Something in a store was not as it should be and has been mended."""


def attributes_of(plan: Plan, job: Job) -> dict[str, Any]:
    """The attributes of a store: what the sweep is, who computes it and with which code."""
    identity = plan.identity()
    over = {axis.name: dict(axis.recipe) for axis in plan.axes}
    said: dict[str, Any] = {
        "sweep": json.dumps(identity | {"over": over}),
        "game": game_text(plan.game),
        "measure": identity["measure"],
    }
    if plan.level is not None:
        said["level"] = plan.level
    said |= {"replicas": plan.replicas, "seed": str(plan.seed), "version": package_version()}
    return said | {"code": f"{job.code:016x}", "driver": job.driver}


def reopened(store: SweepStore, plan: Plan, job: Job, any_version: bool) -> SweepStore:
    """A store that may be gone on with: the same experiment, whole tiles, perhaps a larger grid.

    Raises:
        StoreError: If it is another experiment or another version of the code.
    """
    theirs = {name: value for name, value in store.sweep.items() if name != "over"}
    mine = json.loads(json.dumps(plan.identity()))
    for name in mine:
        if theirs.get(name) != mine[name]:
            raise StoreError(
                f"{store.path} holds another experiment: its {name} is {_short(theirs.get(name))}, not "
                f"{_short(mine[name])}; choose another store, or replace it (--force)"
            )
    ledger = store.ledger()
    foreign = {int(code) for code in ledger[np.isin(ledger[:, STATUS], (FINISHED, PARTIAL)), CODE]} - {job.code}
    if foreign and not any_version:
        names = ", ".join("several in one tile" if code == SEVERAL else f"{code:016x}" for code in sorted(foreign))
        raise OtherVersion(
            f"{store.path} was computed by another version of the code ({store.attributes.get('version')}, {names}): "
            f"replace it (--force), or keep its cells beside new ones (any_version=True, --any-version)"
        )
    damaged = store.damaged(lambda tile: plan.cells_digest(store.labels_of(tile)))
    for tile in damaged:
        store.forget(tile)
    if damaged:
        names = ", ".join(map(str, damaged[:5])) + (" ..." if len(damaged) > 5 else "")
        share = f"{len(damaged)} of {len(store.tiling)} tiles"
        warnings.warn(
            f"{store.path}: {share} were damaged (tile {names}) and are computed again", SweepWarning, stacklevel=4
        )
    attributes = attributes_of(plan, job)
    if any(not np.array_equal(axis.labels, store.labels[axis.name]) for axis in plan.axes):
        store = grow(store, plan, attributes)
    else:
        store.set_attributes(**(attributes if foreign else {"driver": job.driver}))
    return store


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) < 80 else text[:77] + "..."


def refuse_foreign(path: Path) -> None:
    """What is replaced must be a sweep, if perhaps a damaged one.

    Raises:
        StoreError: If it is something else.
    """
    if not path.exists():
        return
    try:
        attributes = json.loads((path / "zarr.json").read_text())["attributes"]
    except (OSError, ValueError, KeyError, TypeError):
        attributes = {}
    if "sweep" not in attributes:
        raise StoreError(f"{path} is not the store of a sweep: choose another")


def complete(path: Path, plan: Plan) -> bool:
    """Whether a store holds all that a plan asks for, by whatever code."""
    store = SweepStore(path)
    mine = json.loads(json.dumps(plan.identity()))
    same = {name: value for name, value in store.sweep.items() if name != "over"} == mine
    grid = same and all(np.array_equal(axis.labels, store.labels[axis.name]) for axis in plan.axes)
    return grid and bool((store.ledger()[:, STATUS] == FINISHED).all())


def unfinished(store: SweepStore, retry: bool) -> list[int]:
    """Tiles that are not finished; to `retry`, also those with failed cells, which are taken back."""
    finished = store.ledger()[:, STATUS] == FINISHED
    if retry:
        for tile in np.flatnonzero(finished):
            if (store.read(int(tile), "status").status == FAILED).any():
                store.take_back(int(tile), store.read(int(tile)))
                finished[tile] = False
    return [tile for tile in store.tiling.spread_out() if not finished[tile]]
