"""`ganscope show` of a sweep: what is done, which outcomes there are, how well theory and simulation agree."""

import contextlib
import textwrap
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from ganscope.cli.output import WIDTH, print_json, say, shown, spoken_aside, table, wrapped
from ganscope.cli.predict import heading
from ganscope.cli.progress import progress_bar
from ganscope.core.errors import NotApplicable, ParameterError
from ganscope.core.export import export, sweep_axes
from ganscope.core.outcome import Outcome
from ganscope.core.results import game_of
from ganscope.figures.diagram import draw_sweep
from ganscope.figures.style import drawing, write
from ganscope.figures.sweep_view import description, scale_of, value_text
from ganscope.sweep.measures import DONE, FAILED
from ganscope.sweep.store import SEVERAL
from ganscope.sweep.theory import with_theory

_MOST_MESSAGES, _LONGEST_MESSAGE = 3, 200
# What the ledger says of tiles whose results count, in whole or in part.
_WITH_RESULTS = (1, 3)
# Seconds that theory may take unasked.
_PATIENCE = 3.0
_UNDECIDED = str(Outcome.UNDECIDED)


def is_sweep(dataset: xr.Dataset) -> bool:
    """Whether a data set is a sweep."""
    return "sweep" in dataset.attrs and "status" in dataset


def show_sweep(
    path: Path,
    sweep: xr.Dataset,
    out: Path | None = None,
    *,
    as_json: bool = False,
    table_file: Path | None = None,
    theory: bool | None = None,
    **view: Any,
) -> int:
    """Summarise a sweep, draw it and export it; returns the exit status.

    Args:
        path: Its store.
        sweep: What it holds, finished or not.
        out: Where to draw; None is beside the store.
        as_json: Print one JSON object.
        table_file: A file `.nc` or `.csv` for the results.
        theory: Whether to compare a sweep that was only simulated with theory; None does if that takes seconds.
        view: What is drawn, as `draw_sweep` takes it.

    Raises:
        ParameterError: If an axis, a variable or a suffix is unknown.
        StoreError: If a file cannot be written.
    """
    if table_file is not None:
        check_suffix(table_file)
    sweep = _compared(sweep, theory)
    content = summary(path, sweep)
    picture = _draw(sweep, out or path.with_suffix(".png"), view)
    content["picture"] = None if picture is None else str(picture)
    content["exported"] = None if table_file is None else str(export(sweep, table_file))
    if as_json:
        print_json(content)
    else:
        _tell(content, sweep)
    return 0


def _compared(sweep: xr.Dataset, theory: bool | None) -> xr.Dataset:
    """The sweep beside theory, where that is asked for, or costs next to nothing."""
    if theory is False or (theory is None and sweep.attrs.get("measure") != "simulate"):
        return sweep
    try:
        with progress_bar(), spoken_aside():
            return with_theory(sweep, None if theory else _PATIENCE)
    except (NotApplicable, ParameterError):
        if theory:
            raise
        return sweep


def check_suffix(path: Path) -> None:
    """Refuse a file that `export` cannot write, before anything is done.

    Raises:
        ParameterError: If its suffix is none of `.nc` and `.csv`.
    """
    if path.suffix.lower() not in (".nc", ".csv"):
        raise ParameterError("--export", str(path), "a file that ends with .nc (NetCDF) or .csv (a table)")


def _draw(sweep: xr.Dataset, picture: Path, view: dict[str, Any]) -> Path | None:
    """Draw what there is; before the first cell is done there may be nothing to draw."""
    try:
        with drawing():
            figure = draw_sweep(sweep, **view)
    except NotApplicable:
        return None
    return write(figure, picture)


def summary(path: Path, sweep: xr.Dataset) -> dict[str, Any]:
    """What there is to say about a sweep, for JSON."""
    status = np.asarray(sweep.status.values)
    counts = {name: int(np.sum(status == code)) for name, code in (("done", DONE), ("failed", FAILED))}
    counts = {"total": status.size, **counts, "missing": status.size - sum(counts.values())}
    said = {
        "path": str(path),
        "game": description(sweep).get("game"),
        "measure": sweep.attrs.get("measure"),
        "level": sweep.attrs.get("level"),
        "settings": description(sweep).get("settings"),
        "replicas": int(sweep.attrs.get("replicas", 1)),
        "seed": int(sweep.attrs["seed"]) if "seed" in sweep.attrs else None,
        "axes": {name: _axis(sweep, name) for name in sweep_axes(sweep)},
        "cells": counts,
        "outcomes": _outcomes(sweep, "outcome", status),
        "predicted_outcomes": _outcomes(sweep, "predicted_outcome", status),
        "agreement": _agreement(sweep, status),
        "failures": _failures(sweep, status),
        "version": sweep.attrs.get("version"),
        "codes": _codes(sweep),
    }
    return said


def _axis(sweep: xr.Dataset, name: str) -> dict[str, Any]:
    values = np.asarray(sweep[name].values)
    numeric = values.dtype.kind in "fiu"
    first, last = (values.min(), values.max()) if numeric else (values[0], values[-1])
    ends = {"first": _plain(first), "last": _plain(last)}
    if numeric:
        return {"values": len(values), **ends, "log": scale_of(sweep, name).log}
    return {"values": len(values), **ends, "names": [str(v) for v in values.tolist()]}


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value


def _texts(sweep: xr.Dataset, name: str) -> npt.NDArray[np.str_]:
    return np.asarray(sweep[name].values).astype(str)


def _outcomes(sweep: xr.Dataset, name: str, status: npt.NDArray[Any]) -> dict[str, Any] | None:
    """How often each outcome occurs among the cells that are done, and its share of them."""
    if name not in sweep:
        return None
    found = Counter(_texts(sweep, name)[status == DONE].tolist())
    found.pop("", None)
    total = sum(found.values())
    order = [*(str(outcome) for outcome in Outcome), *sorted(set(found) - {str(o) for o in Outcome})]
    return {name: {"count": found[name], "share": found[name] / total} for name in order if found[name]}


def _agreement(sweep: xr.Dataset, status: npt.NDArray[Any]) -> dict[str, Any] | None:
    """How often theory and simulation say the same; `share` is that among cells that are not near critical."""
    if "agreement" not in sweep:
        return None
    done, said = status == DONE, np.asarray(sweep.agreement.values)
    decided = done & (said >= 0)
    near = np.zeros(status.shape, bool)
    for name in ("near_critical", "predicted_near_critical"):
        if name in sweep:
            near |= np.asarray(sweep[name].values, bool)
    same, apart = decided & (said == 1), decided & ~near
    outside, agreeing = int(apart.sum()), int((same & apart).sum())
    return {
        "done": int(done.sum()),
        "decided": int(decided.sum()),
        "agree": int(same.sum()),
        "differ": int((decided & ~same).sum()),
        "outside": outside,
        "agree_outside": agreeing,
        "share": agreeing / outside if outside else None,
        "share_of_decided": int(same.sum()) / int(decided.sum()) if decided.any() else None,
        "share_of_done": int(same.sum()) / int(done.sum()) if done.any() else None,
    }


def _failures(sweep: xr.Dataset, status: npt.NDArray[Any]) -> list[dict[str, Any]]:
    """The most frequent messages of failed cells, with a cell where each occurred."""
    if "message" not in sweep:
        return []
    places = np.argwhere(status == FAILED)
    if not len(places):
        return []
    texts = _texts(sweep, "message")[tuple(places.T)]
    failures = []
    for text, count in Counter(texts.tolist()).most_common(_MOST_MESSAGES):
        place = places[np.flatnonzero(texts == text)[0]]
        cell = {
            name: _plain(np.asarray(sweep[name].values)[k]) for name, k in zip(sweep_axes(sweep), place, strict=True)
        }
        failures.append({"message": text, "count": count, "cell": cell})
    return failures


def _codes(sweep: xr.Dataset) -> list[str]:
    """The versions of the code that computed the cells; of a store, as its ledger says."""
    known = [str(sweep.attrs["code"])] if sweep.attrs.get("code") else []
    if "ledger" not in sweep or "entry" not in sweep.coords:
        return known
    entries = dict(zip(_texts(sweep, "entry").tolist(), np.asarray(sweep.ledger.values).T, strict=True))
    if "code" not in entries or "status" not in entries:
        return known
    used = np.unique(entries["code"][np.isin(entries["status"], _WITH_RESULTS)])
    return ["several in one tile" if code == SEVERAL else f"{int(code):016x}" for code in used] or known


def _tell(content: dict[str, Any], sweep: xr.Dataset) -> None:
    path, cells = content["path"], content["cells"]
    say(wrapped(f"{path}: {_title(content)}", "  "))
    with contextlib.suppress(ParameterError, NotApplicable):  # a game of Python functions: its results can be shown
        say(heading("", game_of(sweep), list(content["axes"])))
    say()
    rows = [[name, str(axis["values"]), *_range(axis)] for name, axis in content["axes"].items()]
    say(table(["axis", "values", "from", "to", ""], rows))
    say()
    parts = [f"{cells['done']} of {cells['total']} cells done"]
    parts += [f"{cells[name]} {name}" for name in ("failed", "missing") if cells[name]]
    say(", ".join(parts))
    if cells["missing"]:
        say(f"  the rest: ganscope sweep FILE.toml --out {path} --resume")
    _tell_outcomes(content)
    for failure in content["failures"]:
        text = failure["message"] or "no message"
        text = text if len(text) <= _LONGEST_MESSAGE else text[: _LONGEST_MESSAGE - 3] + "..."
        where = ", ".join(f"{name} = {value_text(value)}" for name, value in failure["cell"].items())
        often = f"failed {failure['count']} time{'s' * (failure['count'] > 1)}, for example at {where}"
        say(
            textwrap.fill(f"{often}: {' '.join(text.split())}", WIDTH, subsequent_indent="  ")
        )  # a message may hold long words
    codes = content["codes"]
    mixed = f"; THE CELLS ARE OF {len(codes)} VERSIONS OF THE CODE" if len(codes) > 1 else ""
    say(wrapped(f"version {content['version']}, code {', '.join(codes) or 'unknown'}{mixed}", "  "))
    if content["exported"]:
        say(f"exported to {content['exported']}")
    say(f"drawn in {content['picture']}" if content["picture"] else "nothing to draw yet")
    say()


def _title(content: dict[str, Any]) -> str:
    """What was measured, and how."""
    parts = [f"sweep, measure {str(content['measure']).split(' ')[0]}"]
    parts += [f"level {content['level']}"] if content["level"] and "level" not in content["axes"] else []
    parts += [f"{name} {shown(value)}" for name, value in (content["settings"] or {}).items()]
    parts += [f"{content['replicas']} replicas"] if content["replicas"] > 1 else []
    parts += [f"seed {content['seed']}"] if content["measure"] != "predict" and content["seed"] is not None else []
    return ", ".join(parts)


def _range(axis: dict[str, Any]) -> list[str]:
    if "names" in axis:
        return [value_text(axis["first"]), value_text(axis["last"]), "names"]
    return [shown(axis["first"]), shown(axis["last"]), "logarithmic" if axis["log"] else ""]


def _tell_outcomes(content: dict[str, Any]) -> None:
    """The table of outcomes, and the agreement."""
    mine, theirs = content["outcomes"], content["predicted_outcomes"]
    if mine:
        said = theirs or {}
        header = ["outcome", *(["predicted", "share", "simulated"] if said else ["cells"]), "share"]
        rows = []
        for name in dict.fromkeys([*said, *mine]):
            sides = [of.get(name, {"count": 0, "share": 0.0}) for of in ([said, mine] if said else [mine])]
            rows.append([name, *(text for side in sides for text in (str(side["count"]), _percent(side["share"])))])
        say()
        say(table(header, rows))
    agreement = content["agreement"]
    if agreement:
        say()
        text = f"theory and simulation agree in {_percent(agreement['share'])} of {agreement['outside']} cells where "
        text += "both decide and neither is near critical; "
        text += f"in {_percent(agreement['share_of_decided'])} of {agreement['decided']} where both decide; "
        say(wrapped(text + f"in {_percent(agreement['share_of_done'])} of all {agreement['done']} that are done", "  "))
    if mine or agreement:
        say()


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f} %"
