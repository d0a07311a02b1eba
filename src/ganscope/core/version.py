"""The version of the installed package."""

import functools
import hashlib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


def package_version() -> str:
    """Version of the installed package, or `unknown` when it is run from a folder."""
    try:
        return version("ganscope")
    except PackageNotFoundError:
        return "unknown"


# What decides the numbers of a sweep: everything below the rooms that draw and talk.
_ROOMS = ("core", "dynamics", "analysis", "games")


@functools.cache
def code_digest() -> int:
    """64 bits that name the code which computes: the package's sources and the version."""
    package = Path(__file__).resolve().parent.parent
    digest = hashlib.blake2b(package_version().encode(), digest_size=8)
    measures = package / "sweep" / "measures.py"
    for path in sorted([*(p for room in _ROOMS for p in (package / room).rglob("*.py")), measures]):
        digest.update(str(path.relative_to(package)).encode() + path.read_bytes())
    return int.from_bytes(digest.digest(), "little")
