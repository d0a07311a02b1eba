"""The suite's run folder: one JSON file per unit, complete or not there, and what rules it was made by."""

import ast
import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ganscope.core.caches import cache_root
from ganscope.core.errors import StoreError
from ganscope.core.plain import to_json_text
from ganscope.core.store import write_text

MANIFEST = "suite.json"
VERDICT, ADVICE = "verdict", "advice"


def rules_digest() -> str:
    """Digest of the code that decides the suite's numbers, without its comments and documentation."""
    suite = Path(__file__).parent
    diagnose = suite.parents[1] / "diagnose"
    known = [path for name in _RULES for path in sorted(diagnose.glob(name))]
    known += [suite / f"{name}.py" for name in _UNITS]
    digest = hashlib.blake2b(digest_size=8)
    for path in sorted(known):
        digest.update(f"{path.name}\n{_code(path)}\n".encode())
    return digest.hexdigest()


# What the numbers of a unit depend on; judges of finished units (scores, tables) may change.
_RULES = (
    "rule.py", "instruments/*.py", "jax_functions/*.py", "theory/virtual.py", "theory/what_if.py", "theory/advice.py",
    "evidence/twin.py", "evidence/frozen_batch.py",
)  # fmt: skip
_UNITS = ("distribution", "forks", "games", "instruments", "labels", "networks", "targets", "verdicts")


def _code(path: Path) -> str:
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) or not body:
            continue
        first = body[0]
        if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
            body[:1] = [ast.Pass()]
    return ast.dump(tree)


class Folder:
    """A suite's units on disk.

    Args:
        path: Folder; made if it is not there.
        seed: Of the suite.

    Raises:
        StoreError: If the folder holds the units of another seed or of other rules.
    """

    def __init__(self, path: str | Path, seed: int) -> None:
        self.path, self.seed = Path(path), seed
        mine = {"seed": seed, "rules": rules_digest()}
        manifest = self.path / MANIFEST
        if manifest.exists():
            found = _read(manifest)
            if {name: found.get(name) for name in mine} != mine:
                raise StoreError(
                    f"{self.path} holds a suite of {_told(found)}, not of {_told(mine)}: choose another folder"
                )
        elif self.path.exists() and any(self.path.iterdir()):
            raise StoreError(f"{self.path} is not empty and holds no suite: choose another folder")
        else:
            write_text(manifest, json.dumps(mine, indent=1))

    def has(self, name: str, part: str) -> bool:
        """Whether a configuration's part is finished."""
        return _place(self.path, name, part).exists()


def write_unit(path: str | Path, name: str, part: str, unit: dict[str, Any]) -> None:
    """Finish a configuration's part."""
    write_text(_place(Path(path), name, part), to_json_text(unit))


def cached_place(seed: int) -> Path:
    """Where the suite of a seed stands unless one says otherwise: with other compiled and computed things."""
    return cache_root() / "suite" / f"{seed}-{rules_digest()}"


def finished_suite(least: int) -> Path | None:
    """A cached folder of the present rules with so many configurations forked and judged on the main axis."""
    for manifest in sorted((cache_root() / "suite").glob(f"*/{MANIFEST}")):
        if _read(manifest).get("rules") == rules_digest():
            counts = [len(list(manifest.parent.glob(f"main-*.{part}.json"))) for part in (VERDICT, ADVICE)]
            if min(counts) >= least:
                return manifest.parent
    return None


def read_units(path: str | Path, part: str, axes: Iterable[str]) -> list[dict[str, Any]]:
    """Finished units of some axes in the order of their names.

    Raises:
        StoreError: If there is no suite.
    """
    folder = Path(path)
    if not (folder / MANIFEST).exists():
        raise StoreError(f"{folder} holds no suite")
    return [_read(file) for axis in axes for file in sorted(folder.glob(f"{axis}-*.{part}.json"))]


def _place(path: Path, name: str, part: str) -> Path:
    return path / f"{name}.{part}.json"


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise StoreError(f"cannot read {path}: {error}") from error
    if not isinstance(found, dict):
        raise StoreError(f"{path} is no unit of a suite")
    return found


def _told(manifest: dict[str, Any]) -> str:
    return f"seed {manifest.get('seed')} and rules {manifest.get('rules')}"
