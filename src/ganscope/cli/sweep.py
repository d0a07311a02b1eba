"""`ganscope sweep`: from an experiment file to a phase diagram."""

import shlex
import warnings
from pathlib import Path
from typing import Any

from ganscope.cli.experiment import read_sweep
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
    for name in ("retry", "any_version"):
        if options[name] and not options["resume"]:
            raise ParameterError(f"--{name.replace('_', '-')}", True, "--resume with it")
    if options["force"] and options["resume"]:
        raise ParameterError("--force", True, "either --force or --resume, not both")
    if options["time_limit"] is None:
        options["time_limit"] = asked.time_limit
    if store.exists() and not options["resume"] and not options["force"]:
        again = _command(path, store, variant, "--resume")
        raise StoreError(f"{store} exists: go on with it ({again}), replace it (--force) or choose another --out")
    try:
        with progress_bar(), warnings.catch_warnings():
            warnings.simplefilter("default")
            result = sweep(asked.game, asked.over, store=store, **asked.arguments, **options)
    except KeyboardInterrupt as interrupt:
        if not store.exists():
            raise
        raise KeyboardInterrupt(f"{interrupt}; go on with: {_command(path, store, variant, '--resume')}") from None
    return show_sweep(store, result, as_json=as_json)


def _command(path: Path, store: Path, variant: str | None, *more: str) -> str:
    words = ["ganscope", "sweep", str(path), "--out", str(store), *more]
    if variant is not None:
        words += ["--variant", variant]
    return shlex.join(words)
