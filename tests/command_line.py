"""What tests of the command line share."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import ganscope as gs


def only_json(result):
    """The one JSON object on standard output, with nothing that strict JSON does not know."""

    def refuse(text):
        raise AssertionError(f"{text} is not JSON")

    assert result.exit_code in (0, 1), result.output
    assert result.stdout.count("\n") == 1
    content = json.loads(result.stdout, parse_constant=refuse)
    assert isinstance(content, dict)
    return content


def refused(result, *parts):
    """Status 2, one line on standard error that holds the parts, nothing on standard output."""
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert result.stderr.startswith("ganscope: error: ")
    assert result.stderr.count("\n") == 1
    for part in parts:
        assert part in result.stderr


def environment():
    source = str(Path(gs.__file__).resolve().parent.parent)
    return os.environ | {"PYTHONPATH": os.pathsep.join([source, os.environ.get("PYTHONPATH", "")])}


def started(folder, *arguments, appears):
    """The command, running in a folder, once a path has appeared there (or the command has ended).

    It hears Ctrl-C even if a shell that started the tests in the background told its children not to.
    """
    listen = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    process = subprocess.Popen(
        [sys.executable, "-c", listen + "from ganscope.cli.main import main; main()", *arguments],
        cwd=folder,
        env=environment(),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    while not list(Path(folder).glob(appears)) and process.poll() is None:
        time.sleep(0.01)
    return process


def ctrl_c(process):
    """Press Ctrl-C: the command ends soon, with status 130 and nothing on standard output; returns standard error."""
    process.send_signal(signal.SIGINT)
    try:
        out, err = process.communicate(timeout=120)
    finally:
        process.kill()
    assert (process.returncode, out) == (130, ""), err
    return err


def interrupted(folder, appears, after=0.0):
    """Run x.toml in a folder and press Ctrl-C some seconds after a path has appeared there; returns standard error."""
    process = started(folder, "run", "x.toml", "--json", appears=appears)
    time.sleep(after)
    return ctrl_c(process)
