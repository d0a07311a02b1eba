"""Results as files that other programs read: NetCDF, and tables of comma-separated values."""

import itertools
import math
import os
from collections.abc import Callable, Hashable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from ganscope.core.errors import NotApplicable, ParameterError
from ganscope.core.plain import to_json_text
from ganscope.core.store import appearing

# What a table's rows stand for where the data set is no sweep; whatever else there is becomes columns.
_ROWS = ("cell", "branch", "point", "replica", "time")
# A table of more columns is refused, and so many values are held at once while one is written.
_MOST_COLUMNS, _BLOCK = 5000, 2_000_000
# Dimensions of what belongs to the store rather than to the results.
_BOOKKEEPING = frozenset({"tile", "entry"})
_INT32 = np.iinfo(np.int32)


def export(dataset: xr.Dataset, path: str | os.PathLike[str]) -> Path:
    """Write a run, a sweep, a boundary or any other result as NetCDF or as a table.

    NetCDF is of the classic kind, which every reader knows. It has no complex numbers, which become `NAME_real` and
    `NAME_imaginary`; and no integers of 64 bits: those that do not fit into 32 become float64 where that is exact, and
    texts otherwise. Attributes that it cannot hold become JSON texts.

    A table has one row per cell of a sweep and replica (of a run: per cell, replica and time), with the parameters
    first. Arrays become columns `NAME[0]`, `NAME[0,1]`, ...; complex numbers `NAME.real` and `NAME.imag`; a missing
    number is an empty field. Numbers have all their digits. Arrays that no row stands for are left out.

    Args:
        dataset: What to write; the bookkeeping of a sweep's store is left out.
        path: A file `.nc` or `.csv`; it appears complete or not at all.

    Returns:
        The path.

    Raises:
        ParameterError: If the suffix is another one, or `dataset` is no data set.
        NotApplicable: If a table would have more than 5000 columns.
        StoreError: If the file cannot be written.
    """
    target = Path(path)
    writers: dict[str, Callable[[xr.Dataset, Path], None]] = {".nc": _write_netcdf, ".csv": _write_table}
    if target.suffix.lower() not in writers:
        raise ParameterError("path", str(target), "a file that ends with .nc (NetCDF) or .csv (a table)")
    if not isinstance(dataset, xr.Dataset):
        raise ParameterError("dataset", type(dataset).__name__, "a data set, for example of simulate or sweep")
    results = dataset.drop_vars([name for name, v in dataset.variables.items() if _BOOKKEEPING & set(v.dims)])
    with appearing(target) as scratch:
        writers[target.suffix.lower()](results, scratch)
    return target


def _write_netcdf(dataset: xr.Dataset, path: Path) -> None:
    variables: dict[Hashable, Any] = {}
    coordinates: set[Hashable] = set()
    for name, variable in dataset.variables.items():
        for new, values in _classic(str(name), np.asarray(variable.values)):
            variables[new] = (variable.dims, values, _classic_attributes(variable.attrs))
            coordinates |= {new} if name in dataset.coords else set()
    plain = xr.Dataset(variables, attrs=_classic_attributes(dataset.attrs)).set_coords(list(coordinates))
    plain.to_netcdf(path, engine="scipy")


def _classic(name: str, values: npt.NDArray[Any]) -> Iterator[tuple[str, npt.NDArray[Any]]]:
    """A variable as classic NetCDF can hold it, by name."""
    if values.dtype.kind == "c":
        yield f"{name}_real", values.real
        yield f"{name}_imaginary", values.imag
    elif values.dtype.kind in "iu" and not _fits(values):
        exact = np.all(np.abs(values.astype(np.float64)) <= 2.0**53)
        yield name, values.astype(np.float64) if exact else values.astype(str).astype(object)
    elif values.dtype.kind in "UT":
        yield name, values.astype(object)
    else:
        yield name, values


def _fits(values: Any) -> bool:
    """Whether integers fit into 32 bits."""
    return bool(np.all((np.asarray(values) >= _INT32.min) & (np.asarray(values) <= _INT32.max)))


def _classic_attributes(attrs: Any) -> dict[Hashable, Any]:
    return {name: _classic_attribute(value) for name, value in attrs.items() if value is not None}


def _classic_attribute(value: Any) -> Any:
    if isinstance(value, bool | np.bool_):
        return str(bool(value)).lower()
    if isinstance(value, int | np.integer):
        return value if _fits(value) else str(value)
    return value if isinstance(value, str | float) else to_json_text(value)


def _write_table(dataset: xr.Dataset, path: Path) -> None:
    dataset = dataset if dataset.dims else dataset.expand_dims("row")
    rows = row_dimensions(dataset)
    foreign = [name for name, v in dataset.variables.items() if v.dims and not set(v.dims) & set(rows)]
    dataset = dataset.drop_vars(foreign)
    count = sum(_columns_of(dataset[name], rows) for name in dataset.variables)
    if count > _MOST_COLUMNS:
        raise NotApplicable(f"a table of {count} columns would be too wide: export to a .nc file instead")
    first, sizes = rows[0], [dataset.sizes[name] for name in rows]
    step = max(1, _BLOCK // max(1, math.prod(sizes[1:]) * count))
    with open(path, "w", encoding="utf-8", newline="") as file:
        for start in range(0, max(sizes[0], 1), step):
            block = dataset.isel({first: slice(start, start + step)})
            columns = dict(_columns(block, rows))
            frame = xr.Dataset({name: ("row", values) for name, values in columns.items()}).to_dataframe()
            frame.to_csv(file, index=False, header=start == 0, lineterminator="\n")


def row_dimensions(dataset: xr.Dataset) -> tuple[str, ...]:
    """The dimensions whose combinations are the rows of a table: the axes of a sweep, and replicas."""
    axes = sweep_axes(dataset) if "sweep" in dataset.attrs else ()
    known = ("replica",) if axes else _ROWS
    rows = (*axes, *(name for name in known if name in dataset.dims))
    return rows or tuple(str(name) for name in itertools.islice(dataset.dims, 1))


def sweep_axes(sweep: xr.Dataset) -> tuple[str, ...]:
    """The axes of a sweep's data set, in their order."""
    return tuple(str(name) for name in sweep["status"].dims) if "status" in sweep else ()


def _columns_of(variable: xr.DataArray, rows: Sequence[str]) -> int:
    count = math.prod(size for name, size in variable.sizes.items() if name not in rows)
    return count * (2 if variable.dtype.kind == "c" else 1)


def _columns(block: xr.Dataset, rows: Sequence[str]) -> Iterator[tuple[str, npt.NDArray[Any]]]:
    """The columns of a table by their names: parameters first, the last of `rows` varies fastest."""
    shape = tuple(block.sizes[name] for name in rows)
    for name in rows:
        if name not in block.variables:
            block = block.assign_coords({name: np.arange(block.sizes[name])})
    first = [*rows, *(name for name in block.coords if name not in rows)]
    for name in [*first, *block.data_vars]:
        variable = block[name]
        inner = [d for d in variable.dims if d not in rows]
        outer = [d for d in rows if d in variable.dims]
        values = np.asarray(variable.transpose(*outer, *inner).values)
        lined = values.reshape([block.sizes[d] if d in outer else 1 for d in rows] + list(values.shape[len(outer) :]))
        full = np.broadcast_to(lined, shape + values.shape[len(outer) :])
        for index in np.ndindex(*values.shape[len(outer) :]):
            label = f"{name}[{','.join(map(str, index))}]" if inner else str(name)
            yield from _plain_columns(label, full[(..., *index)].reshape(-1))


def _plain_columns(label: str, values: npt.NDArray[Any]) -> Iterator[tuple[str, npt.NDArray[Any]]]:
    if values.dtype.kind == "c":
        yield f"{label}.real", values.real
        yield f"{label}.imag", values.imag
    else:
        yield label, values.astype(object) if values.dtype.kind in "UT" else values
