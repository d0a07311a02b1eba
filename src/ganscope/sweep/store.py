"""The store of a sweep: one Zarr directory that holds the results and is itself the ledger of what is done.

    STORE.zarr/zarr.json            attributes: what the sweep is, and which code computed it
    STORE.zarr/NAME/c/i/j           one chunk of a variable: the cells of one tile
    STORE.zarr/ledger/c/K/0         the entry of tile K: status, parameters, code, attempts, checksum, microseconds

Every file is written under another name and renamed, the ledger's entry last, so that a process may be killed at any
moment: a tile is done when its entry says so and its chunks have the checksum that the entry holds. Tiles share no
file, and hence may be written by different processes. Metadata is written by one process, the driver, alone.
"""

import hashlib
import json
import math
import shutil
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import zarr

from ganscope.core.errors import ParameterError, StoreError
from ganscope.core.store import put_in_place
from ganscope.sweep.measures import FAILED, MISSING, Block, Kind, kind_of
from ganscope.sweep.tiles import Tiling
from ganscope.sweep.variables import CELL_STATUS, LEDGER, Variable, write_file

# Entries of the ledger, and what the first of them may be.
ENTRIES = ("status", "parameters", "code", "attempts", "checksum", "microseconds")
STATUS, PARAMETERS, CODE, ATTEMPTS, CHECKSUM, MICROSECONDS = range(len(ENTRIES))
WAITING, FINISHED, STARTED, PARTIAL = 0, 1, 2, 3
# The code of a tile whose cells were computed by several versions.
SEVERAL = 1

_TILE, _ENTRY, _MESSAGE = "tile", "entry", "message"


class SchemaChanged(Exception):
    """A block has a variable that the store does not have yet, or not so large."""


class SweepStore:
    """A store on disk, open for reading and for writing tiles.

    Attributes:
        path: The directory.
        tiling: The grid and its tiles.
        axes: Names of the dimensions of the grid.
        variables: By name, in the order of writing, with `message` and, last, `status`.
        attributes: Of the store.
    """

    def __init__(self, path: Path) -> None:
        """Open a store.

        Raises:
            StoreError: If there is none, or it is not the store of a sweep.
        """
        self.path = Path(path)
        if not self.path.exists():
            raise StoreError(f"{path} does not exist")
        try:
            group = zarr.open_group(self.path, mode="r", use_consolidated=False)
            self.attributes: dict[str, Any] = dict(group.attrs)
            self.sweep: dict[str, Any] = json.loads(self.attributes["sweep"])
        except Exception as error:
            raise StoreError(f"{path} is not the store of a sweep ({type(error).__name__})") from None
        try:
            arrays = dict(group.arrays())
            status, ledger = arrays[CELL_STATUS], arrays[LEDGER]
            names = [str(name) for name in self.sweep.get("axes", status.metadata.dimension_names)]  # type: ignore[union-attr]
            self.labels = {name: np.asarray(arrays[name][:]) for name in names}
        except Exception as error:
            raise StoreError(f"{path} is damaged ({type(error).__name__}: {error}): replace it (--force)") from None
        dims = {
            name: tuple(map(str, getattr(array.metadata, "dimension_names", None) or ()))
            for name, array in arrays.items()
        }
        self.axes = dims[CELL_STATUS]
        self.tiling = Tiling(status.shape, status.chunks)
        if ledger.shape != (len(self.tiling), len(ENTRIES)):
            raise StoreError(f"{path} is damaged: its ledger does not fit its grid")
        if self.axes != tuple(names) or self.attributes.get("labels", labels_digest(self.labels)) != labels_digest(
            self.labels
        ):
            raise StoreError(f"{path} is damaged: its coordinates have changed; replace it (--force)")
        depth = len(self.axes)
        self.variables = {
            name: Variable(
                name,
                dims[name][depth:],
                array.shape[depth:],
                np.dtype(object) if array.dtype.kind in "OT" else np.dtype(array.dtype),
                array.chunks[depth:],
            )
            for name, array in _status_last(arrays).items()
            if dims[name][:depth] == self.axes and name not in self.axes
        }
        as_written = all(
            arrays[name].compressors == () and arrays[name].chunks[:depth] == self.tiling.tile
            for name in self.variables
        )
        if not as_written or ledger.compressors != () or ledger.chunks != (1, len(ENTRIES)):
            raise StoreError(f"{path} is a copy in other chunks: it can be read (gs.load), but not gone on with")

    def labels_of(self, number: int) -> list[npt.NDArray[Any]]:
        """The coordinates of a tile on every axis."""
        return [own[k] for own, k in zip(self.labels.values(), self.tiling.ranges(number), strict=True)]

    # -- tiles ---------------------------------------------------------------------------------------------------------

    def fits(self, block: Block) -> bool:
        """Whether a block can be written without a change of the schema."""
        return all(name in self.variables and self.variables[name].holds(*c) for name, c in block.columns.items())

    @property
    def kinds(self) -> dict[str, Kind]:
        """What the variables are like."""
        return {name: kind_of(variable.dims, variable.dtype) for name, variable in self.variables.items()}

    def check_driver(self) -> None:
        """See that the store is still the one that was opened.

        A process that outlives its driver must not write into a store which another driver has grown or replaced.

        Raises:
            StoreError: If another driver has it.
        """
        if str(self.attributes.get("driver", "")).encode() not in (self.path / "zarr.json").read_bytes():
            raise StoreError(f"{self.path} has another driver by now")

    def start(self, number: int) -> int:
        """Note that work on a tile begins; returns which attempt it is."""
        self.check_driver()
        entry = self.entry(number)
        entry[ATTEMPTS] += 1
        if entry[STATUS] != PARTIAL:
            entry[STATUS] = STARTED
        self._write_entry(number, entry)
        return int(entry[ATTEMPTS])

    def write(self, number: int, block: Block, parameters: int, code: int, seconds: float) -> None:
        """Write all cells of a tile, then its entry in the ledger.

        Args:
            number: Of the tile.
            block: All its cells.
            parameters: The number that names their parameters.
            code: The version that computed those which were missing; beside cells of another one it becomes SEVERAL.
            seconds: What that took.

        Raises:
            SchemaChanged: If the block does not fit; nothing is written.
            OSError: If the disk refuses.
        """
        if not self.fits(block):
            raise SchemaChanged
        self.check_driver()
        columns = {
            CELL_STATUS: ((), block.status),
            _MESSAGE: ((), block.message),
            **block.columns,
        }
        check = hashlib.blake2b(digest_size=8)
        for name, variable in self.variables.items():
            values = columns[name][1] if name in columns else None
            for place in variable.blocks:
                content = b"" if values is None else variable.encoded(self.tiling, number, place, values)
                target = variable.chunk_path(self.path, self.tiling, number, place)
                if content:
                    write_file(target, content)
                    check.update(f"{name} {place} ".encode() + content)
                elif target.exists():
                    target.unlink()
        entry = self.entry(number)
        done = int((block.status == MISSING).sum()) == 0
        if entry[STATUS] == PARTIAL and entry[CODE] != code:
            code = SEVERAL
        entry[[STATUS, PARAMETERS, CODE]] = FINISHED if done else PARTIAL, parameters, code
        entry[CHECKSUM] = int.from_bytes(check.digest(), "little")
        entry[MICROSECONDS] = round(seconds * 1e6)
        self._write_entry(number, entry)

    def read(self, number: int, *names: str) -> Block:
        """The cells of a tile, finished or not; with names, only these variables of them."""
        block = Block.empty(math.prod(self.tiling.block_shape(number)))
        for name, variable in self.variables.items():
            if names and name not in names:
                continue
            values = variable.read(self.path, self.tiling, number)
            if values is None:
                continue
            if name == CELL_STATUS:
                block.status = values
            elif name == _MESSAGE:
                block.message = values
            else:
                block.columns[name] = (variable.dims, values)
        return block

    # -- the ledger ----------------------------------------------------------------------------------------------------

    def entry(self, number: int) -> npt.NDArray[np.uint64]:
        """The ledger's entry of a tile; zeros where nothing was done."""
        try:
            entry = np.fromfile(self._entry_path(number), "<u8")
        except FileNotFoundError:
            entry = np.zeros(0, np.uint64)
        return entry if len(entry) == len(ENTRIES) else np.zeros(len(ENTRIES), np.uint64)

    def ledger(self) -> npt.NDArray[np.uint64]:
        """All entries, shape `[tiles, entries]`."""
        return np.stack([self.entry(number) for number in range(len(self.tiling))])

    def finished_cells(self) -> int:
        """Cells of the tiles that are finished."""
        return sum(len(self.tiling.cells(int(k))) for k in np.flatnonzero(self.ledger()[:, STATUS] == FINISHED))

    def _entry_path(self, number: int) -> Path:
        return self.path / LEDGER / "c" / str(number) / "0"

    def _write_entry(self, number: int, entry: npt.NDArray[np.uint64]) -> None:
        write_file(self._entry_path(number), entry.astype("<u8").tobytes())

    def forget(self, number: int) -> None:
        """Take back that a tile is done; its chunks count for nothing from then on."""
        entry = self.entry(number)
        attempts = entry[ATTEMPTS]
        entry[:] = 0
        entry[ATTEMPTS] = attempts
        self._write_entry(number, entry)
        for variable in reversed(self.variables.values()):
            for place in variable.blocks:
                variable.chunk_path(self.path, self.tiling, number, place).unlink(missing_ok=True)

    def take_back(self, number: int, block: Block) -> None:
        """Make the failed cells of a tile missing again; `block` is what it holds."""
        entry = self.entry(number)
        rows = block.status == FAILED
        if rows.all():  # nothing of it stays
            self.forget(number)
            return
        block.status[rows], block.message[rows] = MISSING, ""
        self.write(number, block, int(entry[PARAMETERS]), int(entry[CODE]), float(entry[MICROSECONDS]) * 1e-6)

    def checksum(self, number: int) -> int:
        """Of a tile's chunks as they stand on disk."""
        check = hashlib.blake2b(digest_size=8)
        for name, variable in self.variables.items():
            for place in variable.blocks:
                try:
                    content = variable.chunk_path(self.path, self.tiling, number, place).read_bytes()
                except FileNotFoundError:
                    continue
                check.update(f"{name} {place} ".encode() + content)
        return int.from_bytes(check.digest(), "little")

    def damaged(self, parameters: Callable[[int], int]) -> list[int]:
        """Tiles that the ledger says are done, in part or whole, but that are not what it says.

        Their chunks have another checksum, or they are of other parameters than `parameters` names for their number.
        """
        ledger = self.ledger()
        claimed = np.flatnonzero(np.isin(ledger[:, STATUS], (FINISHED, PARTIAL))).tolist()
        names = [parameters(k) for k in claimed]
        checks = [self.checksum(k) for k in claimed]
        told = zip(claimed, names, checks, strict=True)
        return [k for k, name, check in told if (name, check) != (int(ledger[k, PARAMETERS]), int(ledger[k, CHECKSUM]))]

    # -- the schema; only the driver changes it ------------------------------------------------------------------------

    def extend(self, block: Block) -> None:
        """Make room for the variables of a block.

        Raises:
            ParameterError: If a variable was of another kind before.
        """
        sizes = {d: n for v in self.variables.values() for d, n in zip(v.dims, v.sizes, strict=True)}
        for dims, values in block.columns.values():
            for d, n in zip(dims, values.shape[1:], strict=True):
                sizes[d] = max(n, sizes.get(d, 0))
        wanted = dict(self.variables)
        for name, (dims, values) in block.columns.items():
            old = self.variables.get(name)
            if old is not None and (old.dims != dims or (old.dtype.kind == "O") != (values.dtype.kind == "O")):
                raise ParameterError(name, f"values over {dims}", f"values over {old.dims}, as in other cells")
            if old is not None and np.result_type(old.dtype, values.dtype) != old.dtype and old.dtype.kind != "O":
                raise ParameterError(name, str(values.dtype), f"{old.dtype}, as in other cells")
            wanted[name] = old or Variable(name, dims, values.shape[1:], values.dtype, values.shape[1:])
        for name, variable in wanted.items():
            grown = tuple(sizes[d] for d in variable.dims)
            chunk = tuple(max(1, c) for c in variable.chunk)
            variable = Variable(name, variable.dims, grown, variable.dtype, chunk)
            if self.variables.get(name) != variable:
                variable.make(self.path, self.tiling, self.axes)
                self.variables[name] = variable
        self.variables = _status_last(self.variables)

    def set_attributes(self, **attributes: Any) -> None:
        """Change attributes of the store."""
        self.attributes |= attributes
        group = zarr.open_group(self.path, mode="r+", use_consolidated=False)
        group.attrs.update(attributes)


def create_store(
    path: Path, axes: Mapping[str, npt.NDArray[Any]], tile: tuple[int, ...], attributes: Mapping[str, Any]
) -> SweepStore:
    """A new store without results, in the place of what stands there; it appears complete or not at all.

    Raises:
        StoreError: If it cannot be written.
    """
    scratch = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.part")
    tiling = Tiling(tuple(len(labels) for labels in axes.values()), tile)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        group = zarr.create_group(scratch, attributes={**attributes, "labels": labels_digest(axes)})
        for name, labels in axes.items():
            text = labels.dtype.kind == "O"
            array = group.create_array(
                name, shape=labels.shape, dtype="str" if text else labels.dtype, dimension_names=(name,)
            )
            array[:] = labels
        entries = group.create_array(_ENTRY, shape=(len(ENTRIES),), dtype="str", dimension_names=(_ENTRY,))
        entries[:] = np.array(ENTRIES, object)
        group.create_array(
            LEDGER,
            shape=(len(tiling), len(ENTRIES)),
            chunks=(1, len(ENTRIES)),
            dtype="uint64",
            compressors=None,
            dimension_names=(_TILE, _ENTRY),
        )
        names = tuple(axes)
        Variable(CELL_STATUS, (), (), np.dtype(np.int8), ()).make(scratch, tiling, names)
        Variable(_MESSAGE, (), (), np.dtype(object), ()).make(scratch, tiling, names)
        put_in_place(scratch, path)
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return SweepStore(path)


def _status_last(variables: Mapping[str, Any]) -> dict[str, Any]:
    """In the order of writing: a cell that says it is done has everything else by then."""
    return dict(sorted(variables.items(), key=lambda item: (item[0] == CELL_STATUS, item[0])))


def labels_digest(labels: Mapping[str, npt.NDArray[Any]]) -> str:
    """A short text that names the coordinates of a grid."""
    plain = {
        name: own.tolist() if own.dtype.kind in "OT" else own.astype(float).tolist() for name, own in labels.items()
    }
    return hashlib.blake2b(json.dumps(plain).encode(), digest_size=8).hexdigest()
