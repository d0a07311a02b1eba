"""The arrays of a store: their metadata, which Zarr writes, and their chunks, which are written here.

Numbers are stored without compression and texts in Zarr's own encoding: the arrays are small, and a chunk is then
written in a tenth of the time that Zarr takes.
"""

import itertools
import math
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import zarr
from numcodecs import VLenUTF8

from ganscope.sweep.measures import DONE, FAILED, MISSING, blank
from ganscope.sweep.tiles import Tiling

Place = tuple[int, ...]

LEDGER, CELL_STATUS = "ledger", "status"
_TEXT = VLenUTF8()
# What the numbers of a variable mean, for readers that know the convention.
_FLAGS: Mapping[str, dict[str, Any]] = {
    CELL_STATUS: {"flag_values": [MISSING, DONE, FAILED], "flag_meanings": "missing done failed"},
    "agreement": {"flag_values": [-1, 0, 1], "flag_meanings": "undecided differ agree"},
}


@dataclass(frozen=True)
class Variable:
    """An array of a store, over the axes of the grid and perhaps further dimensions.

    Attributes:
        name: Its name.
        dims: Names of the dimensions after the axes.
        sizes: Their lengths.
        dtype: Of the values; object means texts.
        chunk: Lengths of a chunk along those dimensions; longer ones take several chunks.
    """

    name: str
    dims: tuple[str, ...]
    sizes: tuple[int, ...]
    dtype: np.dtype[Any]
    chunk: tuple[int, ...]

    @property
    def blocks(self) -> Iterator[Place]:
        """Numbers of the chunks along the dimensions after the axes."""
        return itertools.product(*(range(-(-n // c)) for n, c in zip(self.sizes, self.chunk, strict=True)))

    @property
    def _is_text(self) -> bool:
        return self.dtype.kind == "O"

    def holds(self, dims: tuple[str, ...], values: npt.NDArray[Any]) -> bool:
        """Whether the values of some cells fit in without a change."""
        return (
            dims == self.dims
            and all(mine >= theirs for mine, theirs in zip(self.sizes, values.shape[1:], strict=True))
            and (values.dtype if self._is_text else np.result_type(self.dtype, values.dtype)) == self.dtype
        )

    def make(self, store: Path, tiling: Tiling, axes: tuple[str, ...]) -> None:
        """Create the metadata, or replace it by that of a longer array; chunks stay where they are."""
        # in the folder of an array Zarr looks for no others, so that nobody sees what is unfinished
        scratch = store / LEDGER / f".{uuid.uuid4().hex[:8]}.part"
        zarr.create_array(
            scratch,
            shape=(*tiling.shape, *self.sizes),
            chunks=(*tiling.tile, *self.chunk),
            dtype="str" if self._is_text else self.dtype,
            compressors=None,
            fill_value="" if self._is_text else blank((), self.dtype, self.name)[()],
            dimension_names=(*axes, *self.dims),
            attributes=_FLAGS.get(self.name, {}),
        )
        target = store / self.name
        if target.exists():
            os.replace(scratch / "zarr.json", target / "zarr.json")
            shutil.rmtree(scratch)
        else:
            os.rename(scratch, target)

    def chunk_path(self, store: Path, tiling: Tiling, number: int, place: Place) -> Path:
        """The file of one of a tile's chunks."""
        return store.joinpath(self.name, "c", *map(str, (*tiling.corner(number), *place)))

    def encoded(self, tiling: Tiling, number: int, place: Place, values: npt.NDArray[Any]) -> bytes:
        """One of a tile's chunks as on disk, from the values `[cells, ...]`; empty if it would hold nothing."""
        part = values.reshape(*tiling.block_shape(number), *values.shape[1:])[self._inner(place)]
        if self._is_text and not (part != "").any():
            return b""
        chunk = (*tiling.tile, *self.chunk)
        if part.shape != chunk:
            full = blank(chunk, self.dtype, self.name)
            full[tuple(slice(n) for n in part.shape)] = part
            part = full
        if self._is_text:
            return bytes(_TEXT.encode(np.ascontiguousarray(part).ravel()))
        return np.ascontiguousarray(part, self.dtype.newbyteorder("<")).tobytes()

    def read(self, store: Path, tiling: Tiling, number: int) -> npt.NDArray[Any] | None:
        """The values of a tile, shape `[cells, ...]`; None if there are none."""
        found = False
        chunk = (*tiling.tile, *self.chunk)
        padded = tuple(-(-n // c) * c for n, c in zip(self.sizes, self.chunk, strict=True))
        values = blank((*tiling.tile, *padded), self.dtype, self.name)
        for place in self.blocks:
            try:
                content = self.chunk_path(store, tiling, number, place).read_bytes()
            except FileNotFoundError:
                continue
            flat = (
                np.asarray(_TEXT.decode(content), object)
                if self._is_text
                else np.frombuffer(content, self.dtype.newbyteorder("<"))
            )
            values[self._inner(place)] = flat.reshape(chunk)
            found = True
        if not found:
            return None
        shape = tiling.block_shape(number)
        cut = values[tuple(slice(n) for n in (*shape, *self.sizes))]
        return cut.reshape(math.prod(shape), *self.sizes).copy()

    def _inner(self, place: Place) -> tuple[Any, ...]:
        """The part of a tile's values that one of its chunks holds, all cells of it."""
        return (..., *(slice(k * c, (k + 1) * c) for k, c in zip(place, self.chunk, strict=True)))


def write_file(target: Path, content: bytes) -> None:
    """Write a file atomically; its folder is made if need be.

    Raises:
        OSError: If the disk refuses; nothing is left behind.
    """
    scratch = target.with_name(f".{target.name}.{os.getpid()}.{uuid.uuid4().hex[:6]}.part")
    try:
        try:
            descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        except FileNotFoundError:
            target.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
        os.replace(scratch, target)
    except OSError:
        scratch.unlink(missing_ok=True)
        raise
