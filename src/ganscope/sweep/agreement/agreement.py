"""How often theory and simulation agree on a phase diagram, and where they do not.

A cell counts if both have a verdict, neither calls it near critical, and it is outside the diagram's own margin.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from ganscope.core.outcome import Outcome
from ganscope.sweep.agreement.diagrams import Diagram
from ganscope.sweep.measures import DONE
from ganscope.sweep.store import MICROSECONDS
from ganscope.sweep.sweep import sweep

_UNDECIDED = str(Outcome.UNDECIDED)


@dataclass(frozen=True)
class Difference:
    """One kind of disagreement outside the margin.

    Attributes:
        predicted, simulated: Outcome and detail of both sides.
        cells: How often.
        example: The axes' values of one such cell, the one in the middle of the list.
    """

    predicted: str
    simulated: str
    cells: int
    example: Mapping[str, float | str]


@dataclass(frozen=True)
class Agreement:
    """What a diagram has shown.

    Attributes:
        name: Of the diagram.
        grid: Values per axis.
        cells, failed: All cells, and those without a result.
        decided: Cells where theory and simulation both have a verdict.
        near: Those of them that are near critical or within the diagram's own margin.
        counted: The others.
        agree: Counted cells where both say the same.
        share: `agree` over `counted`; None where nothing is counted.
        share_of_decided: The same with the margin counted, too.
        least: The share that is asked for; None without theory.
        seconds: What the cells took, summed over processes.
        differences: Kinds of disagreement, the most frequent first.
    """

    name: str
    grid: Mapping[str, int]
    cells: int
    failed: int
    decided: int
    near: int
    counted: int
    agree: int
    share: float | None
    share_of_decided: float | None
    least: float | None
    seconds: float
    differences: tuple[Difference, ...]

    @property
    def passed(self) -> bool:
        """Whether the share is at least the one asked for; without theory, whether every cell has a result."""
        if self.least is None:
            return self.failed == 0
        return self.share is not None and self.share >= self.least

    def to_dict(self) -> dict[str, Any]:
        """Everything, for JSON."""
        return {**asdict(self), "passed": self.passed}


def store_of(diagram: Diagram, folder: Path, fast: bool) -> Path:
    """Where a diagram is kept; the fast grid has a store of its own."""
    return folder / f"{diagram.stem}{'_fast' * fast}.zarr"


def compute(
    diagram: Diagram, store: Path | None, fast: bool = False, workers: int | None = None, force: bool = False
) -> xr.Dataset:
    """The sweep of a diagram; a store that has it, or a part of it, is gone on with.

    Args:
        diagram: Which.
        store: Where to keep it; None keeps it in memory.
        fast: Compute the smaller grid.
        workers: Processes; None decides by the work.
        force: Replace a store.

    Raises:
        StoreError: If the store is another experiment's or another version's, or cannot be written.
    """
    return sweep(
        diagram.game,
        diagram.fast if fast else diagram.over,
        diagram.measure,
        diagram.level,
        replicas=diagram.replicas,
        store=store,
        workers=workers,
        force=force,
        **diagram.settings,
    )


def count(diagram: Diagram, result: xr.Dataset) -> Agreement:
    """How often theory and simulation agree on a finished sweep of a diagram."""
    done = np.asarray(result.status.values) == DONE
    names = [str(name) for name in result.status.dims]
    about: dict[str, Any] = {
        "name": diagram.name,
        "grid": {name: result.sizes[name] for name in names},
        "cells": done.size,
        "failed": int(np.sum(~done)),
        "least": diagram.least,
        "seconds": _seconds(result),
    }
    if diagram.measure != "both":
        about |= dict.fromkeys(("decided", "near", "counted", "agree"), 0) | {"share": None, "share_of_decided": None}
        return Agreement(**about, differences=())
    said = np.asarray(result.agreement.values)
    decided = done & (said >= 0)
    near = decided & within_margin(diagram, result)
    counted, same = decided & ~near, decided & (said == 1)
    agree = counted & same
    return Agreement(
        **about,
        decided=int(decided.sum()),
        near=int(near.sum()),
        counted=int(counted.sum()),
        agree=int(agree.sum()),
        share=_share(agree, counted),
        share_of_decided=_share(same, decided),
        differences=_differences(result, counted & ~same),
    )


def within_margin(diagram: Diagram, result: xr.Dataset) -> npt.NDArray[np.bool_]:
    """Cells that are near critical, to theory or to the verdict, or within the diagram's own margin."""
    near = np.asarray(result.near_critical.values, bool) | np.asarray(result.predicted_near_critical.values, bool)
    return near if diagram.margin is None else np.asarray(near | diagram.margin.covers(result))


def _share(part: npt.NDArray[np.bool_], whole: npt.NDArray[np.bool_]) -> float | None:
    return float(part.sum() / whole.sum()) if whole.any() else None


def _texts(result: xr.Dataset, name: str) -> npt.NDArray[np.str_]:
    return np.asarray(result[name].values).astype(str)


def _seconds(result: xr.Dataset) -> float:
    """What the cells took, as the ledger says."""
    return float(np.asarray(result.ledger.values)[:, MICROSECONDS].sum()) * 1e-6 if "ledger" in result else 0.0


def _differences(result: xr.Dataset, apart: npt.NDArray[np.bool_]) -> tuple[Difference, ...]:
    """The kinds of disagreement among some cells, each with an example."""
    sides = [
        np.char.add(np.char.add(_texts(result, f"{of}outcome"), ", "), _texts(result, f"{of}detail"))
        for of in ("predicted_", "")
    ]
    axes = {str(name): np.asarray(result[name].values).tolist() for name in result.status.dims}
    cells: dict[tuple[str, str], list[npt.NDArray[np.intp]]] = {}
    for place in np.argwhere(apart):
        cells.setdefault((str(sides[0][tuple(place)]), str(sides[1][tuple(place)])), []).append(place)
    found = []
    for kind, own in sorted(cells.items(), key=lambda item: -len(item[1])):
        middle = own[len(own) // 2]
        example = {name: values[k] for (name, values), k in zip(axes.items(), middle, strict=True)}
        found.append(Difference(*kind, len(own), example))
    return tuple(found)
