"""Reports of progress from long computations to whoever listens; nobody listens by default."""

import contextlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar

# Called with (label, amount done, total amount), and sometimes with a note.
Listener = Callable[..., None]

_listener: ContextVar[Listener | None] = ContextVar("listener", default=None)


@contextlib.contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Send progress reports from within the block to `listener`."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


@contextlib.contextmanager
def unheard() -> Iterator[None]:
    """Keep reports from within the block to itself: it is part of something that reports itself."""
    token = _listener.set(None)
    try:
        yield
    finally:
        _listener.reset(token)


@contextlib.contextmanager
def step_of(label: str, start: float, total: float, note: str = "") -> Iterator[None]:
    """Report a block as the step from `start` to `start + 1` of something larger, as far as its own reports say."""
    outer = _listener.get()

    def inner(_: str, done: float, amount: float, *__: str) -> None:
        if outer is not None and amount > 0:
            outer(label, start + min(done / amount, 1.0), total, *([note] if note else []))

    report(label, start, total, note)
    with listening(inner):
        yield


def report(label: str, done: float, total: float, note: str = "") -> None:
    """Say that `done` of `total` is finished, and perhaps a word about it."""
    listener = _listener.get()
    if listener is not None:
        listener(label, done, total, *([note] if note else []))
