"""`ganscope doctor`: is this machine's numerical software fit for use?"""

import importlib.metadata
import platform
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ganscope.cli.output import print_json, say, shown, table, wrapped
from ganscope.core.compiled import cache_directory
from ganscope.core.parallel import cores
from ganscope.core.random import philox4x32
from ganscope.core.simulate import simulate
from ganscope.core.version import package_version
from ganscope.games.solvable.model import SolvableGAN

_PACKAGES = ("numpy", "scipy", "numba", "jax", "jaxlib", "xarray", "zarr", "pydantic", "typer", "rich", "matplotlib")
_OPTIONAL = ("scikit-learn", "torch")
KNOWN_BAD = {
    ("jax", "0.10.2"): "computes wrong numbers on the CPU: install another version",
    ("jax", "0.11.0"): "computes wrong numbers on the CPU: install another version",
    ("jaxlib", "0.10.2"): "computes wrong numbers on the CPU: install another version",
    ("jaxlib", "0.11.0"): "computes wrong numbers on the CPU: install another version",
}


def examine(as_json: bool) -> int:
    """Look at everything and report; the exit status is 1 if a check failed."""
    versions = {name: version_of(name) for name in (*_PACKAGES, *_OPTIONAL)}
    known_bad = [f"{n} {v} {KNOWN_BAD[n, v]}" for n, v in versions.items() if v and (n, v) in KNOWN_BAD]
    canaries = {name: _outcome(canary) for name, canary in CANARIES.items()}
    cache = _cache()
    passed = not known_bad and all(text == "ok" for text in canaries.values()) and cache["writable"]
    if as_json:
        print_json(
            {
                "ok": passed,
                "python": platform.python_version(),
                "platform": platform.platform(),
                "packages": versions,
                "known_bad": known_bad,
                "canaries": canaries,
                "cores": cores(),
                "cache": cache,
                "version": package_version(),
            }
        )
        return int(not passed)
    say(f"ganscope {package_version()}, Python {platform.python_version()}, {cores()} cores")
    say(platform.platform())
    say()
    say(
        table(
            ["package", "version"], [[name, version or "not installed"] for name, version in versions.items()], left=2
        )
    )
    say()
    say(table(["check", "result"], [[name, text] for name, text in canaries.items()], left=2))
    say()
    writable = "writable" if cache["writable"] else "NOT WRITABLE: every command compiles anew"
    say(f"compiled kernels: {cache['path']} ({shown(cache['bytes'] / 1e6, 3)} MB, {writable})")
    for line in known_bad:
        say(wrapped(f"KNOWN BAD: {line}", "  "))
    say("all is well" if passed else "SOMETHING IS WRONG")
    return int(not passed)


def version_of(package: str) -> str | None:
    """Version of an installed package, None if it is not there."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _outcome(canary: Callable[[], str]) -> str:
    try:
        return canary()
    except Exception as error:  # a canary that dies is a finding, whatever killed it
        return f"FAILED: {type(error).__name__}: {error}"


def _random_bits() -> str:
    words = [f"{int(word):08x}" for word in philox4x32(0, 0, 0, 0, 0, 0)]
    return "ok" if words == ["6627e8d5", "e169c58d", "bc57ac4c", "9b00dbd8"] else f"FAILED: {' '.join(words)}"


def _jax_numbers() -> str:
    """A vmapped small matrix-vector product followed by a sum, above 16384 (float64) and 32768 (float32) lanes.

    The sum matters: the product alone comes out right in the versions that get this wrong.
    """
    import jax

    matrix = np.array([[1, 2, 0], [0, 1, 0], [3, 0, 1]])
    for dtype, lanes in ((np.float64, 20_000), (np.float32, 40_000)):
        count = np.arange(lanes) % 97
        points = np.stack([count, count + 1, 2 * count], axis=1)
        exact = ((points @ matrix.T) ** 2).sum(axis=1)
        A, x = matrix.astype(dtype), points.astype(dtype)
        with jax.enable_x64(dtype is np.float64):
            squares = jax.jit(jax.vmap(lambda v, A=A: ((A @ v) ** 2).sum()))(x)
        wrong = int(np.sum(np.asarray(squares) != exact))
        if wrong:
            return f"FAILED: {wrong} of {lanes} {np.dtype(dtype).name} results are wrong"
    return "ok"


def _chain_step() -> str:
    run = simulate(SolvableGAN(), "chain", dimension=100, iterations=10)
    return "ok" if all(np.isfinite(run[name].values).all() for name in run.data_vars) else "FAILED: not finite"


CANARIES: dict[str, Callable[[], str]] = {
    "random bits (Philox4x32-10)": _random_bits,
    "JAX against NumPy": _jax_numbers,
    "ten steps of a chain": _chain_step,
}


def _cache() -> dict[str, Any]:
    folder = cache_directory()
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) if folder.is_dir() else 0
    return {"path": str(folder), "bytes": size, "writable": _writable(folder)}


def _writable(folder: Path) -> bool:
    probe = folder / f".{uuid.uuid4().hex[:8]}.part"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"")
        probe.unlink()
    except OSError:
        return False
    return True
