"""`ganscope sweep`: from an experiment file to a phase diagram."""

import shlex
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ganscope.cli.experiment import read_sweep
from ganscope.cli.output import spoken_aside
from ganscope.cli.progress import progress_bar
from ganscope.cli.show_sweep import show_sweep
from ganscope.core.errors import ParameterError, StoreError
from ganscope.sweep.sweep import sweep


def sweep_file(path: Path, out: Path | None, variant: str | None, options: dict[str, Any], as_json: bool) -> int:
    """Sweep what a file asks for, then show it; returns the exit status."""
    asked = read_sweep(path, variant)
    store = out or Path("runs") / f"{path.stem}{f'-{variant}' if variant else ''}.zarr"
    if store.suffix != ".zarr":
        raise ParameterError("--out", str(store), f"a store, for example {store.with_suffix('.zarr')}")
    _refuse_contradictions(options)
    resume = _command(path, store, variant, options)
    if options["time_limit"] is None:
        options["time_limit"] = asked.time_limit
    if store.exists() and not options["resume"] and not options["force"]:
        raise StoreError(f"{store} exists: go on with it ({resume}), replace it (--force) or choose another --out")
    try:
        with progress_bar(counted=True), spoken_aside(), warnings.catch_warnings():
            warnings.simplefilter("default")
            result = sweep(asked.game, asked.over, store=store, **asked.arguments, **options)
    except KeyboardInterrupt as interrupt:
        if not store.exists():
            raise
        kept = str(interrupt) or f"what is finished is kept in {store}"
        raise KeyboardInterrupt(f"{kept}; go on with: {resume}") from None
    return show_sweep(store, result, as_json=as_json)


def _refuse_contradictions(options: dict[str, Any]) -> None:
    """Options that do not go with each other.

    Raises:
        ParameterError: If there are any.
    """
    for name in ("retry", "any_version"):
        if options[name] and not options["resume"]:
            raise ParameterError(f"--{name.replace('_', '-')}", True, "--resume with it")
    if options["force"] and options["resume"]:
        raise ParameterError("--force", True, "either --force or --resume, not both")
    if options["scheduler"] == "local" and options["workers"] == 0:
        raise ParameterError("--workers", 0, "at least 1 with --scheduler local")
    if options["scheduler"] not in (None, "local") and options["workers"] is not None:
        raise ParameterError(
            "--workers", options["workers"], "nothing with the address of a scheduler, who has its own"
        )


def _command(path: Path, store: Path, variant: str | None, options: Mapping[str, Any]) -> str:
    """The command that goes on with a sweep in the same manner."""
    words = ["ganscope", "sweep", str(path), "--out", str(store), "--resume"]
    for name, value in {"variant": variant, **options}.items():
        flag = f"--{name.replace('_', '-')}"
        if name in ("variant", "workers", "scheduler", "time_limit") and value is not None:
            words += [flag, f"{value:g}" if name == "time_limit" else str(value)]
        elif name == "any_version" and value:
            words.append(flag)
    return shlex.join(words)
