"""Sweeps put together by hand from batches, so that pictures and summaries are tested on real values."""

import json

import numpy as np
import xarray as xr

import ganscope as gs

VERDICT = ("outcome", "detail", "margin", "near_critical")


def synthetic_sweep(game, over, measure="predict", level=None, replicas=1, **settings):
    """What a sweep over the given axes holds."""
    names, shape = list(over), tuple(len(values) for values in over.values())
    mesh = np.meshgrid(*(np.asarray(values) for values in over.values()), indexing="ij")
    cells = {name: values.ravel() for name, values in zip(names, mesh, strict=True)}
    data = {"status": (names, np.ones(shape, np.int8)), "message": (names, np.full(shape, "", object))}

    def put(batch, prefix="", only=None):
        for name, values in batch.data_vars.items():
            if only is None or name in only:
                dims = [d for d in values.dims if d != "cell"]
                full = values.transpose("cell", *dims).values
                data[f"{prefix}{name}"] = ((*names, *dims), full.reshape(*shape, *full.shape[1:]))

    if measure != "simulate":
        theory = gs.predict_many(game, cells, level=level)
        put(theory, "predicted_" if measure == "both" else "", VERDICT)
        put(theory.drop_vars(VERDICT))
    if measure != "predict":
        run = gs.simulate_many(game, cells, level, replicas=replicas, **settings)
        put(run.isel(time=-1).drop_vars(["time", "iteration"], errors="ignore"))
        put(gs.classify_many(run))
    if measure == "both":
        mine, theirs = data["outcome"][1], data["predicted_outcome"][1]
        undecided = (mine == "undecided") | (theirs == "undecided")
        data["agreement"] = (names, np.where(undecided, -1, mine == theirs).astype(np.int8))
    recipes = {n: getattr(v, "recipe", None) or {"values": np.asarray(v).tolist()} for n, v in over.items()}
    about = {"game": json.loads(gs.to_json(game)), "over": recipes, "measure": measure, "level": level}
    about |= {"settings": settings, "replicas": replicas, "seed": 0}
    attrs = {"sweep": json.dumps(about), "game": gs.to_json(game), "measure": measure, "replicas": replicas}
    attrs |= {"seed": "0", "version": gs.__version__, "code": f"{17:016x}"} | ({"level": level} if level else {})
    return xr.Dataset(data, {name: np.asarray(values) for name, values in over.items()}, attrs)


def interrupted(sweep, done, failed=(), message="it raised"):
    """A sweep of which only the cells of a mask are done, and some failed."""
    sweep = sweep.copy(deep=True)
    empty = {"f": np.nan, "c": np.nan, "b": False, "i": 0, "O": ""}
    for values in sweep.data_vars.values():
        if values.dims[: done.ndim] == sweep.status.dims:
            values.values[~done] = empty[values.dtype.kind]
    for place in failed:
        sweep.status.values[place] = 2
        sweep.message.values[place] = message
        for name in ("outcome", "predicted_outcome"):
            if name in sweep:
                sweep[name].values[place] = ""
    return sweep


def with_ledger(sweep, codes):
    """The same with the ledger of a store: one finished tile per code."""
    names = ["status", "parameters", "code", "attempts", "checksum", "microseconds"]
    ledger = np.zeros((len(codes) + 1, len(names)), np.uint64)
    ledger[: len(codes), 0] = 1
    ledger[:, 2] = [*codes, 2**64 - 1]
    return sweep.assign(ledger=(("tile", "entry"), ledger)).assign_coords(entry=np.array(names, object))
