"""One driver at a time for a store: a lock that the system releases when its holder dies.

The lock is a file beside the store, so that it holds while the store is made, replaced or grown; it is gone afterwards.
"""

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from ganscope.core.errors import StoreError

try:
    import fcntl
except ImportError:  # not a Unix: there is no lock then
    fcntl = None  # type: ignore[assignment]


@contextlib.contextmanager
def locked(store: Path) -> Iterator[None]:
    """Hold the lock of a store, which need not exist.

    Raises:
        StoreError: If another driver holds it, or the folder cannot be written.
    """
    path = store.with_name(f".{store.name}.lock")
    made = not store.parent.exists()
    try:
        store.parent.mkdir(parents=True, exist_ok=True)
        stream = _taken(store, path)
    except OSError as error:
        raise StoreError(f"cannot write {store}: {error.strerror or error}") from None
    with stream:
        stream.truncate(0)
        stream.write(f"process {os.getpid()} on {socket.gethostname()}")
        stream.flush()
        try:
            yield
        finally:
            path.unlink(missing_ok=True)
            if made:
                with contextlib.suppress(OSError):  # nothing was stored there
                    store.parent.rmdir()


def _taken(store: Path, path: Path) -> TextIO:
    while True:
        stream = path.open("a+")
        try:
            if fcntl is not None:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            stream.seek(0)
            holder = stream.read().strip() or "another driver"
            stream.close()
            raise StoreError(f"{store} is being written by {holder}") from None
        except OSError:
            return stream  # a file system without locks
        with contextlib.suppress(FileNotFoundError):
            if os.fstat(stream.fileno()).st_ino == path.stat().st_ino:
                return stream
        stream.close()  # its holder removed it between our two calls
