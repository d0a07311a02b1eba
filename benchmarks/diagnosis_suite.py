"""The diagnosis on random small GANs: trains them, diagnoses them on the way, forks them with advice, prints tables.

    python benchmarks/diagnosis_suite.py RUN_FOLDER --configurations 72 --seed 2026 --workers 2 --table TABLES.md

Every finished configuration is a file of RUN_FOLDER; the same command resumes after Ctrl-C.
"""

import os

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NPROC"):
    os.environ[name] = "1"

import argparse
import sys
from pathlib import Path

from ganscope.claims.suite.calibrate import write_calibration
from ganscope.claims.suite.distribution import AXES
from ganscope.claims.suite.folder import Folder, cached_place
from ganscope.claims.suite.running import PARTS, run_suite
from ganscope.claims.suite.tables import report
from ganscope.core.errors import StoreError
from ganscope.core.store import write_text


def show(line: str, done: int, total: int) -> None:
    """A finished configuration."""
    print(f"{done}/{total} {line}", flush=True)


# What stands above this line in a document is kept.
MARK = "<!-- Everything below is written by benchmarks/diagnosis_suite.py -->\n\n"


def before_tables(document: Path) -> str:
    """The part of a document that is kept, up to the mark."""
    text = document.read_text(encoding="utf-8") if document.exists() else ""
    return text[: text.index(MARK) + len(MARK)] if MARK in text else ""


def main() -> int:
    """Run what is missing, then print the tables of what is there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "folder", type=Path, metavar="RUN_FOLDER", nargs="?", help="default: where `ganscope claims` looks"
    )
    parser.add_argument("--configurations", type=int, default=72, help="per axis; of `widening` on each of its axes")
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--part", choices=[*PARTS, "widening", "tables"], help="default: verdict and advice")
    parser.add_argument("--axes", nargs="+", choices=AXES, help="default: all but the first for `widening`, else that")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument(
        "--with", type=Path, nargs="+", default=[], metavar="FOLDER", dest="others", help="of other seeds, in one table"
    )
    parser.add_argument("--table", type=Path, metavar="OUT.md", help="also write them there, below its mark")
    parser.add_argument("--calibrate", type=Path, metavar="OUT.json", help="also write the product's confidences there")
    options = parser.parse_args()
    options.folder = options.folder or cached_place(options.seed)
    axes = options.axes or (AXES[1:] if options.part == "widening" else AXES[:1])
    numbers = [(axis, k) for k in range(options.configurations) for axis in axes]
    parts = [options.part] if options.part in PARTS else PARTS
    failed: list[str] = []
    try:
        if options.part != "tables":
            folder = Folder(options.folder, options.seed)
            failed = run_suite(folder, numbers, parts, options.workers, show)
        tables = report(options.folder, *options.others)
    except StoreError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nstopped: what is finished is kept, the same command goes on from there", file=sys.stderr)
        return 130
    print(tables)
    if options.calibrate:
        write_calibration([options.folder, *options.others], options.calibrate)
    if options.table:
        write_text(options.table, before_tables(options.table) + tables)
    for line in failed:
        print(line, file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
