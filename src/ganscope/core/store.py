"""Saving and loading runs: Zarr folders, written atomically, refused when they are not what was asked for."""

import contextlib
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import xarray as xr

from ganscope.core.errors import StoreError


def save(dataset: xr.Dataset, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
    """Write a data set to a Zarr folder; it appears complete or not at all.

    Args:
        dataset: What to save; attributes may be anything that JSON can hold.
        path: Folder to create; its parents are made.
        overwrite: Replace what stands there.

    Returns:
        The path.

    Raises:
        StoreError: If the path exists and `overwrite` is not given, or it cannot be written (nothing is left behind).
    """
    target = Path(path)
    if target.exists() and not overwrite:
        raise StoreError(f"{target} exists; choose another path or pass overwrite=True (--force)")
    scratch = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.part")
    clean = dataset.copy()
    clean.encoding = {}
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        clean.to_zarr(scratch, mode="w", consolidated=False)
        put_in_place(scratch, target)
    except OSError as error:
        raise StoreError(f"cannot write {target}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return target


def put_in_place(scratch: Path, target: Path) -> None:
    """Rename the finished folder; an old one is moved aside first and removed last."""
    aside = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.old")
    if target.exists():
        os.rename(target, aside)
    try:
        os.rename(scratch, target)
    except OSError:
        if aside.exists():
            os.rename(aside, target)
        raise
    if aside.is_dir():
        shutil.rmtree(aside, ignore_errors=True)
    elif aside.exists():
        aside.unlink()


def load(path: str | os.PathLike[str]) -> xr.Dataset:
    """Open a data set that `save` or `sweep` wrote; numbers are read from disk when they are used.

    Raises:
        StoreError: If there is nothing, or not a Zarr folder.
    """
    target = Path(path)
    if not target.exists():
        raise StoreError(f"{target} does not exist")
    try:
        dataset: xr.Dataset = xr.open_zarr(target, chunks=None, consolidated=False)
        # NumPy's own texts of variable length are news to much that reads data sets
        texts = [name for name, variable in dataset.variables.items() if variable.dtype.kind == "T"]
        dataset = dataset.assign({name: dataset[name].astype(object) for name in texts})
        # a folder is listed in any order
        return xr.Dataset({name: dataset[name] for name in _ordered(dataset)}, dataset.coords, dataset.attrs)
    except Exception as error:  # zarr and xarray raise many kinds for a folder that is not theirs
        raise StoreError(f"{target} is not a saved run: {error}") from error


# What one looks for first stands first.
_FIRST = ("status", "message", "outcome", "detail", "margin", "near_critical", "share", "replica_outcome", "agreement")


def _ordered(dataset: xr.Dataset) -> list[str]:
    """Names of the variables, in an order that is the same whenever the data set is read."""
    last = len(_FIRST)
    names = [str(name) for name in dataset.data_vars]
    return sorted(names, key=lambda name: (_FIRST.index(name) if name in _FIRST else last, name))


def write_text(path: str | os.PathLike[str], text: str) -> Path:
    """Write a text file atomically.

    Raises:
        StoreError: If it cannot be written.
    """
    return write_bytes(path, text.encode())


def write_bytes(path: str | os.PathLike[str], content: bytes) -> Path:
    """Write a file atomically.

    Raises:
        StoreError: If it cannot be written.
    """
    with appearing(path) as scratch:
        scratch.write_bytes(content)
    return Path(path)


@contextlib.contextmanager
def appearing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A scratch file to write, which takes the place of `path` when it is complete; folders are made.

    Raises:
        StoreError: If it cannot be written; nothing is left behind.
    """
    target = Path(path)
    scratch = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield scratch
        os.replace(scratch, target)
    except OSError as error:
        raise StoreError(f"cannot write {target}: {error.strerror or error}") from error
    finally:
        with contextlib.suppress(OSError):
            scratch.unlink()
