"""Ctrl-C is heard even where Python or a library loses it.

A signal handler runs between any two steps of the program. If these belong to a finalizer or to the callback of a weak
reference, Python reports the KeyboardInterrupt as one that it ignores and goes on: `repeated` sends the signal again.
JAX calls Python back in places that swallow every exception without a word: `heeded` remembers the signal.
"""

import _thread
import contextlib
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

_PAUSE = 0.02
"""Seconds after which a lost Ctrl-C is sent again: the finalizer that lost it has mostly ended by then."""


@contextlib.contextmanager
def repeated() -> Iterator[None]:
    """Within the block a KeyboardInterrupt that Python ignores is raised again shortly afterwards."""
    before = sys.unraisablehook

    def hook(unraisable: Any) -> None:
        if issubclass(unraisable.exc_type, KeyboardInterrupt):
            again = threading.Timer(_PAUSE, _interrupt)
            again.daemon = True
            again.start()
        else:
            before(unraisable)

    sys.unraisablehook = hook
    try:
        yield
    finally:
        sys.unraisablehook = before


def _interrupt() -> None:
    """Sends Ctrl-C to the main thread, from another one; also wakes it where it waits, if the system can do that."""
    main = threading.main_thread().ident
    if hasattr(signal, "pthread_kill") and main is not None:
        signal.pthread_kill(main, signal.SIGINT)
    else:
        _thread.interrupt_main()


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
