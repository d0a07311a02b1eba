"""Where compiled code is kept between processes: in the user's cache, or where `GANSCOPE_CACHE_DIR` says."""

import hashlib
import os
import platform
from pathlib import Path

import platformdirs


def cache_root() -> Path:
    """The folder that holds everything."""
    return Path(os.environ.get("GANSCOPE_CACHE_DIR") or platformdirs.user_cache_dir("ganscope", appauthor=False))


def keep_jax_programs() -> None:
    """Ask JAX to keep what it compiles, unless the user has settings of their own; call before JAX is imported.

    Programs are for one kind of processor, which a home directory on several machines may not tell. Reading one back,
    JAX logs two tuning flags as unknown features of the machine; its log is therefore silenced, too.
    """
    folder = cache_root() / f"jax-{hashlib.blake2b(_processor().encode(), digest_size=6).hexdigest()}"
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(folder))
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.2")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return f"{platform.machine()} {platform.processor()}"
    return next((line for line in lines if line.startswith(("flags", "Features"))), platform.machine())
