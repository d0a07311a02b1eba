"""A store for a larger grid that keeps every finished cell of a smaller one."""

import os
import shutil
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ganscope.core.errors import StoreError
from ganscope.core.store import put_in_place
from ganscope.sweep.measures import MISSING, Block, blank
from ganscope.sweep.plan import Plan
from ganscope.sweep.store import CODE, SEVERAL, SweepStore, create_store


def grow(old: SweepStore, plan: Plan, attributes: dict[str, Any]) -> SweepStore:
    """Replace a store by one whose grid has more values, with the results of the old one.

    Tiles whose cells are all there are done; of the others only the missing cells will be computed.

    Args:
        old: The store, locked by the caller.
        plan: The larger sweep; its axes contain those of the store.
        attributes: Of the new store.

    Raises:
        StoreError: If the grid lacks values that the store has, or the disk refuses.
    """
    places = []
    for axis in plan.axes:
        found = axis.positions_in(old.labels[axis.name])
        if found is None:
            gone = sorted(set(old.labels[axis.name].tolist()) - set(axis.labels.tolist()), key=str)
            raise StoreError(
                f"{old.path} has cells that the new grid lacks: {axis.name} = {gone[0]}; keep the old values, or "
                f"choose another store"
            )
        places.append(found)
    scratch = old.path.with_name(f".{old.path.name}.{uuid.uuid4().hex[:8]}.grown")
    try:
        new = create_store(scratch, {axis.name: axis.labels for axis in plan.axes}, old.tiling.tile, attributes)
        whole = _whole(old)
        new.extend(whole)
        where = np.full(plan.shape, -1, np.int64)
        where[np.ix_(*places)] = np.arange(len(whole)).reshape(old.tiling.shape)
        codes = _codes(old)
        for tile in range(len(new.tiling)):
            source = where.ravel()[new.tiling.cells(tile)]
            rows = np.flatnonzero(source >= 0)
            block = Block.empty(len(source))
            block.put(rows, whole.take(source[rows]))
            if (block.status != MISSING).any():
                kept = {int(codes[k]) for k in source[rows] if whole.status[k] != MISSING}
                code = kept.pop() if len(kept) == 1 else SEVERAL
                new.write(tile, block, plan.cells_digest(new.labels_of(tile)), code, 0.0)
        put_in_place(scratch, old.path)
    except OSError as error:
        raise StoreError(f"cannot write {old.path}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return SweepStore(old.path)


def _whole(store: SweepStore) -> Block:
    """All cells of a store."""
    cells = int(np.prod(store.tiling.shape))
    whole = Block.empty(cells)
    for name, variable in store.variables.items():
        if name not in ("status", "message"):
            whole.columns[name] = (variable.dims, blank((cells, *variable.sizes), variable.dtype))
    for tile in range(len(store.tiling)):
        whole.put(store.tiling.cells(tile), store.read(tile))
    return whole


def _codes(store: SweepStore) -> npt.NDArray[np.uint64]:
    """The code that computed every cell."""
    codes = np.zeros(int(np.prod(store.tiling.shape)), np.uint64)
    for tile in range(len(store.tiling)):
        codes[store.tiling.cells(tile)] = store.entry(tile)[CODE]
    return codes


def tidy(path: Path) -> None:
    """Put back a store whose replacement was interrupted between two renames, and remove what else was left over."""
    if not path.exists():
        aside = sorted(path.parent.glob(f".{path.name}.*.old"))
        if len(aside) == 1:
            os.rename(aside[0], path)
    for suffix in ("old", "part", "grown"):
        for left in path.parent.glob(f".{path.name}.*.{suffix}"):
            shutil.rmtree(left, ignore_errors=True)
