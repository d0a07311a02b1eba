"""Measuring a block of cells: one batch call per group, and what failed or was odd about single cells.

A cell that raises never stops the others: its batch is halved until the cell is alone, and the error becomes its
message.
"""

import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from ganscope.core.cells import classify_many, predict_many
from ganscope.core.errors import NotApplicable, ParameterError
from ganscope.core.game import Game
from ganscope.core.outcome import Outcome
from ganscope.core.simulate import simulate, simulate_many
from ganscope.sweep.plan import Measure, Plan, split_settings

MISSING, DONE, FAILED = 0, 1, 2

# Names of the dimensions of one cell's values, and the values of all cells: `[cells, *dimensions]`.
Column = tuple[tuple[str, ...], npt.NDArray[Any]]

# What a variable is like: the names of its dimensions, and whether it holds a text, a number or a complex number.
Kind = tuple[tuple[str, ...], str]


def kind_of(dims: tuple[str, ...], dtype: np.dtype[Any]) -> Kind:
    """The kind of a variable."""
    return dims, {"O": "text", "c": "complex number"}.get(dtype.kind, "number")


VERDICT = ("outcome", "detail", "margin", "near_critical")


@dataclass
class Block:
    """The results of some cells.

    Attributes:
        status: MISSING, DONE or FAILED, shape `[cells]`, int8.
        message: What was wrong or odd with a cell, shape `[cells]`, texts.
        columns: Values by name; cells that failed hold NaN, False or an empty text.
    """

    status: npt.NDArray[np.int8]
    message: npt.NDArray[np.object_]
    columns: dict[str, Column] = field(default_factory=dict)

    @classmethod
    def empty(cls, cells: int) -> "Block":
        """A block without results."""
        return cls(np.zeros(cells, np.int8), np.full(cells, "", object))

    def __len__(self) -> int:
        return len(self.status)

    def put(self, rows: npt.NDArray[np.int64], other: "Block") -> None:
        """Set some of the rows to the results of another block.

        Raises:
            ParameterError: If a variable has another kind or other dimensions there.
        """
        for name, column in other.columns.items():
            mine = self.columns.get(name)
            self.columns[name] = _merged(name, len(self), mine, rows, column)
        self.status[rows] = other.status
        self.message[rows] = other.message

    def take(self, rows: npt.NDArray[np.int64]) -> "Block":
        """Some of the rows."""
        columns = {name: (dims, values[rows]) for name, (dims, values) in self.columns.items()}
        return Block(self.status[rows], self.message[rows], columns)


def _merged(name: str, cells: int, mine: Column | None, rows: npt.NDArray[np.int64], theirs: Column) -> Column:
    dims, values = theirs
    if mine is None:
        out = blank((cells, *values.shape[1:]), values.dtype, name)
    else:
        _refuse_another_kind(name, kind_of(dims, values.dtype), kind_of(mine[0], mine[1].dtype))
        shape = tuple(max(pair) for pair in zip(mine[1].shape[1:], values.shape[1:], strict=True))
        dtype = values.dtype if values.dtype.kind == "O" else np.result_type(mine[1], values)
        out = mine[1]
        if (out.shape[1:], out.dtype) != (shape, dtype):  # room for more
            out = blank((cells, *shape), dtype, name)
            out[(slice(None), *(slice(n) for n in mine[1].shape[1:]))] = mine[1]
    inner = tuple(slice(n) for n in values.shape[1:])
    target = out[(slice(None), *inner)]
    target[rows] = values
    return dims, out


def _refuse_another_kind(name: str, kind: Kind, other: Kind | None) -> None:
    if other is not None and kind != other:
        raise ParameterError(name, _in_words(kind), f"{_in_words(other)}, as in other cells")


def _in_words(kind: Kind) -> str:
    dims, sort = kind
    return f"a {sort}" + (f" over {', '.join(dims)}" if dims else "")


def blank(shape: tuple[int, ...], dtype: Any, name: str = "") -> npt.NDArray[Any]:
    """An array that holds nothing yet: NaN, False, empty texts, and no agreement."""
    dtype = np.dtype(dtype)
    if dtype.kind == "O":
        return np.full(shape, "", object)
    return np.full(shape, np.nan if dtype.kind in "fc" else -1 if name == "agreement" else 0, dtype)


@dataclass(frozen=True)
class _Group:
    """Cells that differ only by what one batch call can vary.

    Attributes:
        rows: Where they stand in the block.
        game: The game with everything else that the cells share.
        level, settings: Likewise.
        over: Values that differ, by parameter, one per cell.
    """

    rows: npt.NDArray[np.int64]
    game: Game
    level: str | None
    settings: Mapping[str, Any]
    over: Mapping[str, npt.NDArray[Any]]

    def part(self, rows: slice) -> "_Group":
        return _Group(self.rows[rows], self.game, self.level, self.settings, {k: v[rows] for k, v in self.over.items()})


def evaluate(plan: Plan, cells: npt.NDArray[np.int64], known: Mapping[str, Kind] | None = None) -> Block:
    """Measure some cells.

    Args:
        plan: The sweep.
        cells: Numbers of the cells, in the order of the raveled grid.
        known: Kinds that variables have in other cells; a cell whose own measure returns another kind has failed.

    Returns:
        Their results, in the order of `cells`.
    """
    block = Block.empty(len(cells))
    for rows, make in _groups(plan, cells):
        try:
            group = make()
        except Exception as error:  # a combination of values that is no game
            block.put(rows, _failure(len(rows), error))
        else:
            _attempt(plan, group, block, known or {})
    return block


def _groups(plan: Plan, cells: npt.NDArray[np.int64]) -> Iterator[tuple[npt.NDArray[np.int64], Callable[[], _Group]]]:
    index = np.stack(np.unravel_index(cells, plan.shape)) if len(cells) else np.empty((len(plan.shape), 0), np.int64)
    grouped = plan.grouped
    keys, which = np.unique(index[grouped], axis=1, return_inverse=True)
    for number in range(keys.shape[1]):
        rows = np.flatnonzero(which == number)
        own = {plan.axes[k].name: plan.axes[k].values[i] for k, i in zip(grouped, keys[:, number], strict=True)}
        over = {axis.name: axis.array[index[k, rows]] for k, axis in enumerate(plan.axes) if axis.name in plan.batched}
        yield rows, lambda rows=rows, own=own, over=over: _group(plan, rows, own, over)  # type: ignore[misc]


def _group(plan: Plan, rows: npt.NDArray[np.int64], own: Mapping[str, Any], over: Mapping[str, Any]) -> _Group:
    known = {*plan.game.parameter_names(), *plan.game.varied_parameters()}
    parameters = {name: value for name, value in own.items() if name in known}
    settings = {**plan.settings, **{name: value for name, value in own.items() if name not in known}}
    level = settings.pop("level", plan.level)
    return _Group(rows, plan.game.replace(**parameters) if parameters else plan.game, level, settings, over)


def _attempt(plan: Plan, group: _Group, block: Block, known: Mapping[str, Kind]) -> None:
    """Measure a group; where that raises, in halves, and at last each cell's own game by itself."""
    try:
        result = _measure(plan, group, known)
        block.put(group.rows, result)
    except (Exception, SystemExit) as error:
        count = len(group.rows)
        if count == 1 and not group.over:
            block.put(group.rows, _failure(1, error))
            return
        if count == 1:  # a batch may refuse what a single game takes
            _alone(plan, group, block, known)
            return
        _attempt(plan, group.part(slice(None, count // 2)), block, known)
        _attempt(plan, group.part(slice(count // 2, None)), block, known)


def _alone(plan: Plan, group: _Group, block: Block, known: Mapping[str, Kind]) -> None:
    own = {name: values[0] for name, values in group.over.items()}
    try:
        game = group.game.replace(**own)
    except Exception as error:
        block.put(group.rows, _failure(1, error))
    else:
        _attempt(plan, _Group(group.rows, game, group.level, group.settings, {}), block, known)


def _failure(cells: int, error: BaseException) -> Block:
    return failed(cells, f"{type(error).__name__}: {' '.join(str(error).split())}")


def failed(cells: int, message: str) -> Block:
    """Cells that have no result, and why."""
    return Block(np.full(cells, FAILED, np.int8), np.full(cells, _writable(message), object))


def _writable(text: str) -> str:
    """A text that can be written as UTF-8."""
    return text.encode("utf-8", "backslashreplace").decode()


def _measure(plan: Plan, group: _Group, known: Mapping[str, Kind]) -> Block:
    theory, simulation = split_settings(plan, group.settings, group.level)
    cells = len(group.rows)
    block = Block(np.full(cells, DONE, np.int8), np.full(cells, "", object))
    if plan.measure == "predict":
        block.columns = _predicted(group, theory, "")
        return block
    run = _run(plan, group, simulation)
    names = {axis.name for axis in plan.axes}
    if not isinstance(plan.measure, str):
        return _without_stopped(_own(plan.measure, run, RESERVED | names, known), run)
    block.columns = _judged(run) | _final(run, names)
    if plan.measure == "both":
        block.columns |= _predicted(group, theory, "predicted_")
        outcomes = (block.columns[name][1] for name in ("outcome", "predicted_outcome"))
        block.columns["agreement"] = ((), agreement(*outcomes))
    return _without_stopped(block, run)


def _without_stopped(block: Block, run: xr.Dataset) -> Block:
    """A cell with a step that has no solution fails, as `simulate` of its game does; a batch only notes it."""
    notes = [str(note).partition(": ") for note in np.atleast_1d(run.attrs.get("failures", []))]
    stopped = {int(cell.removeprefix("cell ")): message for cell, _, message in notes}
    if not stopped:
        return block
    result = Block.empty(len(block))
    going = np.array([k for k in range(len(block)) if k not in stopped], np.int64)
    result.put(going, block.take(going))
    for cell, message in stopped.items():
        result.put(np.array([cell]), failed(1, message))
    return result


def _run(plan: Plan, group: _Group, settings: dict[str, Any]) -> xr.Dataset:
    """The runs of a group, with a leading dimension `cell`."""
    common = {"replicas": plan.replicas, "seed": plan.seed, **settings}
    assert group.level is not None
    if group.over:
        return simulate_many(group.game, group.over, group.level, **common)
    run = simulate(group.game, group.level, **common)
    encoding = dict(run.encoding)
    run = run.expand_dims("cell")
    run.encoding = encoding
    return run


def _judged(run: xr.Dataset) -> dict[str, Column]:
    """The verdicts, `undecided` where the level has none."""
    cells = run.sizes["cell"]
    try:
        verdicts = classify_many(run)
    except NotApplicable:
        said = {"outcome": Outcome.UNDECIDED, "detail": "unknown"}
        return {
            **{name: ((), np.full(cells, str(text), object)) for name, text in said.items()},
            "margin": ((), np.full(cells, np.nan)),
            "near_critical": ((), np.zeros(cells, bool)),
        }
    return {str(name): (tuple(map(str, values.dims[1:])), values.values) for name, values in verdicts.data_vars.items()}


def _final(run: xr.Dataset, axes: set[str]) -> dict[str, Column]:
    """The last record of every observable, as `final_NAME` where an axis has the name."""
    last = run.isel(time=-1) if "time" in run.dims else run
    columns: dict[str, Column] = {}
    for name, variable in last.data_vars.items():
        if "cell" in variable.dims:
            ordered = variable.transpose("cell", *(d for d in ("replica",) if d in variable.dims), ...)
            own = f"final_{name}" if name in axes else str(name)
            columns[own] = (tuple(map(str, ordered.dims[1:])), _storable(ordered.values))
    return columns


def _predicted(group: _Group, theory: Mapping[str, Any], prefix: str) -> dict[str, Column]:
    if group.over:
        said = predict_many(group.game, group.over, group.level, **theory)
    else:
        name = group.game.parameter_names()[0]
        said = predict_many(group.game, {name: [getattr(group.game, name)]}, group.level, **theory)
    return {
        (prefix if name in VERDICT else "") + str(name): (
            tuple(map(str, said[name].dims[1:])),
            said[name].values,
        )
        for name in said.data_vars
    }


def agreement(simulated: npt.NDArray[Any], predicted: npt.NDArray[Any]) -> npt.NDArray[np.int8]:
    """1 where the outcomes of simulation and theory agree, 0 where they differ, -1 where one of them is undecided."""
    decided = (simulated != str(Outcome.UNDECIDED)) & (predicted != str(Outcome.UNDECIDED))
    return np.where(decided, simulated == predicted, -1).astype(np.int8)


def _own(measure: Measure, run: xr.Dataset, taken: frozenset[str], known: Mapping[str, Kind]) -> Block:
    """A measure of the user's own, cell by cell."""
    cells = run.sizes["cell"]
    block = Block.empty(cells)
    for cell in range(cells):
        row = np.array([cell])
        try:
            values = {name: _column(name, value) for name, value in _items(measure(run.isel(cell=cell)), taken)}
            for name, (dims, array) in values.items():
                _refuse_another_kind(name, kind_of(dims, array.dtype), known.get(name))
            one = Block(np.full(1, DONE, np.int8), np.array([_oddity(values)], object), values)
            block.put(row, one)
        except (Exception, SystemExit) as error:
            block.put(row, _failure(1, error))
    return block


def _items(returned: Any, taken: frozenset[str]) -> list[tuple[str, Any]]:
    if not isinstance(returned, Mapping) or not all(isinstance(name, str) and name.isidentifier() for name in returned):
        raise ParameterError("measure", returned, "a dict from names to numbers, texts or arrays")
    for name in returned:
        if name in taken:
            raise ParameterError("measure", name, f"other names than {', '.join(sorted(taken))}")
    return list(returned.items())


RESERVED = frozenset({"status", "message", "ledger", "tile", "entry", "replica"})


def _column(name: str, value: Any) -> Column:
    """One cell's value of a user's measure."""
    if isinstance(value, str):
        return (), np.array([_writable(str(value))], object)
    if isinstance(value, xr.DataArray):
        value = value.values
    array = np.asarray(value)
    if array.dtype.kind not in "fciub":
        raise ParameterError(name, value, "a number, a text, or an array of numbers")
    dims = tuple(f"{name}_index" if array.ndim == 1 else f"{name}_index_{k}" for k in range(array.ndim))
    # of one width whatever the cell, so that no cell decides for the others
    return dims, array[None].astype(np.complex128 if array.dtype.kind == "c" else np.float64)


def _storable(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Integers and truth values as float64, in which NaN can say that there is nothing."""
    if values.dtype.kind in "iub":
        return values.astype(np.float64)
    return values.astype(object) if values.dtype.kind in "UT" else values


def _oddity(values: Mapping[str, Column]) -> str:
    bad = [name for name, (_, v) in values.items() if v.dtype.kind in "fc" and not np.isfinite(v).all()]
    return f"not finite: {', '.join(bad)}" if bad else ""


def quietly(plan: Plan, cells: npt.NDArray[np.int64], known: Mapping[str, Kind]) -> Block:
    """`evaluate` without the warnings of single cells, which would be many."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return evaluate(plan, cells, known)
