"""Shared settings: one thread per library, no window system, fixed examples for property tests."""

import os
from pathlib import Path

# Before NumPy is imported: many threads on few busy cores are slower than one.
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")
os.environ.setdefault("MPLBACKEND", "Agg")

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from typer.testing import CliRunner

import ganscope as gs
from ganscope.cli.main import app

settings.register_profile(
    "ganscope", deadline=None, derandomize=True, max_examples=25, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("ganscope")


@pytest.fixture(scope="session")
def setting_w():
    """The start of the worked numbers: two features, overlaps far from any symmetry."""
    return gs.MacroState([[0.3, 0.1], [0.05, 0.25]], [0.3, 0.2])


@pytest.fixture
def cli(tmp_path, monkeypatch):
    """Calls the command in an empty folder; `file` writes an experiment there first."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments, file=None):
        if file is not None:
            Path("x.toml").write_text(file)
        return CliRunner().invoke(app, [str(a) for a in arguments])

    return call


def packed(run):
    """A run's overlaps as rows of numbers, `[..., time, size]`."""
    parts = []
    for name in ("P", "q", "r", "S", "z"):
        lead = [d for d in ("cell", "replica", "time") if d in run[name].dims]
        values = run[name].transpose(*lead, ...).values
        parts.append(values.reshape(*values.shape[: len(lead)], -1))
    return np.concatenate(parts, axis=-1)
