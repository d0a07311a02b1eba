"""A user's GAN from `FILE.py:FACTORY`: the file is imported, the function called, what goes wrong is told.

Nothing heavy is imported here: the command line knows this module's error before it knows what it is asked.
"""

import contextlib
import importlib.util
import inspect
import sys
import traceback
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ganscope.core.errors import NotApplicable, ParameterError, StoreError, nearest


class UserCodeError(RuntimeError):
    """The user's own file failed, or is not what was asked for; the text names the file and the line."""


def load_game(place: str, checkpoint: Path | None = None) -> Any:
    """Import a file, call its factory, and load a checkpoint.

    Args:
        place: `FILE.py:FACTORY`; the function takes nothing, or the argument `checkpoint`.
        checkpoint: File of weights: handed to a factory with that argument, otherwise loaded into the game.

    Returns:
        The `RealGame`.

    Raises:
        ParameterError: If `place` is not of this form or there is no such function.
        StoreError: If a file does not exist.
        UserCodeError: If the file or its function fails or returns something else.
    """
    path, name = _split(place)
    if checkpoint is not None and not checkpoint.is_file():
        raise StoreError(f"{checkpoint} {'is not a file' if checkpoint.exists() else 'does not exist'}")
    with _importable(path.parent):
        factory = _factory(_module(path), path, name)
        takes_checkpoint = _check_arguments(factory, path, name, checkpoint)
        with told(path, f"{name}()"):
            game = factory(checkpoint=str(checkpoint)) if takes_checkpoint and checkpoint else factory()
    from ganscope.diagnose.real_game import RealGame

    if not isinstance(game, RealGame):
        raise UserCodeError(f"{path}: {name}() returned {_described(game)}: expected a gs.RealGame")
    if checkpoint is not None and not takes_checkpoint:
        with told(path, f"loading {checkpoint}"):
            game = game.load_checkpoint(checkpoint)
    return game


def _split(place: str) -> tuple[Path, str]:
    file, colon, name = place.rpartition(":")
    if not colon or not file or not name or not name.isidentifier():
        raise ParameterError("FILE.py:FACTORY", place, "a Python file, a colon and the name of a function in it")
    path = Path(file)
    if path.suffix != ".py":
        raise ParameterError("FILE.py:FACTORY", place, "a file that ends in .py")
    if not path.is_file():
        raise StoreError(f"{path} {'is not a file' if path.exists() else 'does not exist'}")
    return path, name


@contextlib.contextmanager
def _importable(folder: Path) -> Iterator[None]:
    """The file's own folder comes first where modules are looked for, as if it were run."""
    entry = str(folder.resolve())
    sys.path.insert(0, entry)
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):
            sys.path.remove(entry)


def _module(path: Path) -> types.ModuleType:
    """The file as a module of its own, under a name that hides no other."""
    name = f"ganscope_user_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path.resolve())
    if spec is None or spec.loader is None:
        raise UserCodeError(f"{path} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickles look for it there
    try:
        with told(path, "importing it"):
            spec.loader.exec_module(module)
    except BaseException:
        sys.modules.pop(name, None)
        raise
    return module


def _factory(module: types.ModuleType, path: Path, name: str) -> Callable[..., Any]:
    factory = getattr(module, name, None)
    if factory is None:
        functions = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        raise UserCodeError(f"{path} has no function {name!r}.{nearest(name, functions)}")
    if not callable(factory):
        raise UserCodeError(f"{path}: {name} is {_described(factory)}: expected a function that returns a gs.RealGame")
    return factory  # type: ignore[no-any-return]


def _check_arguments(factory: Callable[..., Any], path: Path, name: str, checkpoint: Path | None) -> bool:
    """Whether the factory takes a checkpoint.

    Raises:
        UserCodeError: If it needs what it cannot be given.
    """
    try:
        arguments = inspect.signature(factory).parameters
    except (TypeError, ValueError):  # of some compiled functions nothing is known
        return False
    fixed = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    needed = [key for key, value in arguments.items() if value.default is value.empty and value.kind not in fixed]
    if needed == ["checkpoint"] and checkpoint is None:
        raise UserCodeError(f"{path}: {name}(checkpoint) needs a file of weights: --checkpoint PATH")
    if [key for key in needed if key != "checkpoint"]:
        raise UserCodeError(
            f"{path}: {name}({', '.join(needed)}) needs arguments: a factory is called with none, or with checkpoint"
        )
    return "checkpoint" in arguments


@contextlib.contextmanager
def told(path: Path, what: str, *, only_there: bool = False) -> Iterator[None]:
    """Errors from within the block in a line that names the user's file and line.

    Args:
        path: The user's file.
        what: What was being done.
        only_there: Leave errors alone that do not pass through the user's file: they are ours.
    """
    try:
        yield
    except (ParameterError, StoreError, NotApplicable, UserCodeError, MemoryError):
        raise
    except (Exception, SystemExit) as error:
        line = _line(error, path)
        if only_there and line is None:
            raise
        where = f"{path}, line {line}" if line is not None else f"{path}"
        text = str(error.msg if isinstance(error, SyntaxError) else error) or "no message"
        raise UserCodeError(f"{where}: {what}: {type(error).__name__}: {text}") from error


def _line(error: BaseException, path: Path) -> int | None:
    """The last line of the user's file that an error passed."""
    own = path.resolve()
    if isinstance(error, SyntaxError) and error.filename and Path(error.filename).resolve() == own:
        return error.lineno
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename) == own]
    return lines[-1] if lines else None


def _described(value: Any) -> str:
    """A value's type, and the value where it is short."""
    text = " ".join(repr(value).split())
    return f"{text} ({type(value).__name__})" if len(text) <= 60 else f"a {type(value).__name__}"
