"""Names of the games: where each class lives, so that a saved game can be rebuilt without importing the others.

The table is declared in `ganscope/__init__.py`, beside the public names; this module knows no game.
"""

import importlib
from typing import Any

from ganscope.core.errors import unknown_name

_HOMES: dict[str, str] = {}
# Models of which files hold runs, but never the game itself.
_RECORDED: set[str] = set()


def declare(**homes: str) -> None:
    """Declare games as `model = "module:Class"`."""
    _HOMES.update(homes)


def declare_recorded(**homes: str) -> None:
    """Declare what saved runs say of games that cannot be written down, likewise."""
    _HOMES.update(homes)
    _RECORDED.update(homes)


def models() -> list[str]:
    """The names that `model` may take in files."""
    return sorted(_HOMES.keys() - _RECORDED)


def game_class(model: str) -> Any:
    """The class of a game by its model name.

    Raises:
        ParameterError: If there is no such model.
    """
    if model not in _HOMES:
        raise unknown_name("model", model, models())
    module, name = _HOMES[model].split(":")
    return getattr(importlib.import_module(module), name)
