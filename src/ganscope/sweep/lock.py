"""One driver at a time for a store: a lock that the system releases when its holder dies."""

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from ganscope.core.errors import StoreError

try:
    import fcntl
except ImportError:  # not a Unix: two drivers are then only told apart by their manners
    fcntl = None  # type: ignore[assignment]


@contextlib.contextmanager
def locked(store: Path) -> Iterator[None]:
    """Hold the lock of a store.

    Raises:
        StoreError: If another driver holds it, or the store cannot be written.
    """
    path = store / "ledger" / ".driver"
    try:
        stream = path.open("a+")
    except OSError as error:
        raise StoreError(f"cannot write {store}: {error.strerror or error}") from None
    with stream:
        if fcntl is not None:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                stream.seek(0)
                raise StoreError(f"{store} is being written by {stream.read().strip() or 'another driver'}") from None
            except OSError:
                pass  # a file system without locks
        stream.truncate(0)
        stream.write(f"process {os.getpid()} on {socket.gethostname()}")
        stream.flush()
        yield
