"""Where compiled code is kept between processes, `GANSCOPE_CACHE_DIR` or the user's cache; how JAX shall run."""

import hashlib
import os
import platform
from pathlib import Path

import platformdirs


def cache_root() -> Path:
    """The folder that holds everything."""
    return Path(os.environ.get("GANSCOPE_CACHE_DIR") or platformdirs.user_cache_dir("ganscope", appauthor=False))


def prepare_jax() -> None:
    """Ask JAX to keep what it compiles and to use one thread per program; call before JAX is imported.

    Settings of the user's own have the say. Small networks run a third slower where XLA prepares them for several
    threads; runs are spread over threads here. Programs are for one kind of processor, which a home directory on
    several machines may not tell. Reading one back, JAX logs two tuning flags as unknown features of the machine; its
    log is therefore silenced, too.
    """
    folder = cache_root() / f"jax-{hashlib.blake2b(_processor().encode(), digest_size=6).hexdigest()}"
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(folder))
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.2")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("NPROC", "1")


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return f"{platform.machine()} {platform.processor()}"
    return next((line for line in lines if line.startswith(("flags", "Features"))), platform.machine())
