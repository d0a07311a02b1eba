"""Ctrl-C is heard even where a library loses it: JAX calls Python back in places that swallow every exception."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any


@contextlib.contextmanager
def heeded() -> Iterator[Callable[[], None]]:
    """Remembers Ctrl-C within the block; what it yields raises KeyboardInterrupt if there was one."""
    heard: list[int] = []
    before = signal.getsignal(signal.SIGINT)

    def remember(number: int, frame: Any) -> None:
        heard.append(number)
        if callable(before):
            before(number, frame)

    def check() -> None:
        if heard:
            raise KeyboardInterrupt

    if not callable(before) or threading.current_thread() is not threading.main_thread():
        yield check
        return
    signal.signal(signal.SIGINT, remember)
    try:
        yield check
    finally:
        signal.signal(signal.SIGINT, before)
