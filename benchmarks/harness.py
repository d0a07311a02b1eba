"""What the benchmarks share: one core, contenders interleaved, medians of CPU time, and the table in the documents."""

import argparse
import os
import platform
import re
import statistics
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

# Before the libraries that read them are imported.
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "GANSCOPE_THREADS", "NPROC"):
    os.environ[name] = "1"
os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"
ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "benchmarks.md"
sys.path.insert(0, str(ROOT / "tests"))

import numpy as np

# What was timed, the result in words, and the bar.
Row = tuple[str, str, str]

_PREFACE = """# Benchmarks

Measured by `make bench`: one core, contenders interleaved in one process, medians of CPU time.
"""


def race(contenders: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median CPU seconds of each contender over interleaved rounds, after one warm-up round."""
    for run in contenders.values():
        run()
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, run in contenders.items():
            start = time.process_time()
            run()
            seconds[name].append(time.process_time() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


def main(model: str, about: str | None, parts: Callable[[int], list[Callable[[], list[Row]]]], naive: str) -> None:
    """Run the parts of a model's benchmark, print every row, and write the table if asked to."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--write", action="store_true", help="put the table into docs/benchmarks.md")
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    options = parser.parse_args()
    rows = []
    for part in parts(3 if options.quick else 7):
        for row in part():
            rows.append(row)
            print(f"{row[0]}\n    {row[1]}   [bar: {row[2]}]", flush=True)
    if options.write:
        _write(model, rows, naive)


def _write(model: str, rows: list[Row], naive: str) -> None:
    """Replace the model's section of the page, or add it."""
    text = PAGE.read_text() if PAGE.exists() else ""
    sections = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", text, re.S | re.M))
    machine = f"Machine: {_processor()}, Python {platform.python_version()}, NumPy {np.__version__}."
    table = "\n".join(["| what | measured | bar |", "|---|---|---|", *(f"| {a} | {b} | {c} |" for a, b, c in rows)])
    sections[model] = f"\n{textwrap.fill(naive, 118)}\n\n{machine}\n\n{table}\n\n"
    body = "".join(f"## {name}\n{section.rstrip()}\n\n" for name, section in sorted(sections.items()))
    PAGE.write_text(f"{_PREFACE}\n{body}".rstrip() + "\n")


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text()
        return next(line.split(":", 1)[1].strip() for line in text.splitlines() if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or "unknown"
