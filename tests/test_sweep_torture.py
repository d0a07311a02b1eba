"""Sweeps whose processes are killed at random moments: workers, the driver, the scheduler of a cluster.

Whatever is killed, the store ends with the bits of a serial run that nobody disturbed, and a tile that was finished is
never computed again. `GANSCOPE_TORTURE` is the number of kills of every kind; `make torture` takes 20.
"""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import ganscope as gs
from ganscope.sweep.store import FINISHED, STATUS, SweepStore

ROUNDS = int(os.environ.get("GANSCOPE_TORTURE", "2"))
PATIENCE = 240.0

DRIVER = """
import json, sys
import ganscope as gs
from ganscope.sweep.execution import trial
from ganscope.sweep.tiles import choose_tile

trial.choose_tile = lambda shape, grouped, cells, at_most: choose_tile(shape, grouped, 16, at_most)
game = gs.SolvableGAN(feature_variance=(5, 3), data_noise=2.0)
over = {"data_noise": gs.linspace(0.5, 6, 16), "generator_lr": gs.linspace(0.02, 0.08, 32)}
more = json.loads(sys.argv[2])
gs.sweep(game, over, "simulate", "chain", dimension=100, horizon=150, replicas=40, store=sys.argv[1], **more)
"""


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The store of a serial run, which also compiles what the others need."""
    store = tmp_path_factory.mktemp("serial") / "s.zarr"
    subprocess.run([sys.executable, "-c", DRIVER, str(store), '{"workers": 0}'], check=True, timeout=PATIENCE)
    return store


def start(store, **more):
    return subprocess.Popen(
        [sys.executable, "-c", DRIVER, str(store), json.dumps(more)], stderr=subprocess.PIPE, text=True
    )


def children(pid):
    listed = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in listed.read_text().split()] if listed.exists() else []


def finished(store):
    """The ledger's entries of finished tiles; none before there is a store."""
    if not store.exists():
        return {}
    ledger = SweepStore(store).ledger()
    return {k: tuple(entry) for k, entry in enumerate(ledger.tolist()) if entry[STATUS] == FINISHED}


def wait_for(driver, store, at_least):
    """Wait until some tiles are finished, or the driver has ended well."""
    deadline = time.monotonic() + PATIENCE
    while len(finished(store)) < at_least and driver.poll() != 0:
        assert driver.poll() is None, driver.communicate()[1]
        assert time.monotonic() < deadline, "the sweep makes no progress"
        time.sleep(0.02)


def assert_same_bits(store, reference):
    """Every chunk of every variable; of the ledger what does not tell how and when."""
    one, other = SweepStore(store), SweepStore(reference)
    assert one.tiling == other.tiling
    assert one.variables == other.variables
    for tile in range(len(one.tiling)):
        assert one.checksum(tile) == other.checksum(tile) == int(one.entry(tile)[4]), tile
    assert np.array_equal(one.ledger()[:, [0, 1, 2, 4]], other.ledger()[:, [0, 1, 2, 4]])
    assert (gs.load(store).status == 1).all()


def assert_kept(before, after):
    """Finished tiles have the entries that they had: number of attempts, checksum and time."""
    assert {k: after[k] for k in before} == before


def test_workers_and_drivers_that_are_killed(tmp_path, undisturbed):
    dice, store, kills = random.Random(1), tmp_path / "s.zarr", {"worker": 0, "driver": 0}
    tiles = len(SweepStore(undisturbed).tiling)
    while min(kills.values()) < ROUNDS:
        kind = min(kills, key=kills.get)
        before = finished(store)
        if len(before) > 0.8 * tiles:  # little is left to be disturbed: from the beginning
            end(start(store, workers=2))
            assert_same_bits(store, undisturbed)
            assert_kept(before, finished(store))
            store, before = store.with_name(f"{kills}.zarr"), {}
        driver = start(store, workers=2)
        try:
            wait_for(driver, store, len(before) + 1)
            time.sleep(dice.uniform(0, 0.3))
            victim = dice.choice(children(driver.pid) or [driver.pid]) if kind == "worker" else driver.pid
            if victim == driver.pid:
                kind = "driver"
            with contextlib.suppress(ProcessLookupError):
                os.kill(victim, signal.SIGKILL)
            kills[kind] += 1
            if kind == "worker":
                wait_for(driver, store, min(tiles, len(finished(store)) + 2))
        finally:
            driver.kill()
            driver.communicate()
        assert_kept(before, finished(store))
    end(start(store, workers=2))
    assert_same_bits(store, undisturbed)


def end(driver):
    """Let a driver come to its end."""
    _, said = driver.communicate(timeout=PATIENCE)
    assert driver.returncode == 0, said


def test_workers_end_with_their_driver(tmp_path):
    driver = start(tmp_path / "s.zarr", workers=2)
    try:
        wait_for(driver, tmp_path / "s.zarr", 1)
        workers = children(driver.pid)
        assert len(workers) == 2
    finally:
        driver.kill()
        driver.communicate()
    deadline = time.monotonic() + 20
    while any(Path(f"/proc/{worker}/cmdline").exists() for worker in workers):
        state = [Path(f"/proc/{worker}/status") for worker in workers]
        if all(not path.exists() or "zombie" in path.read_text() for path in state):
            break
        assert time.monotonic() < deadline, "orphans"
        time.sleep(0.1)


class DaskCluster:
    """A scheduler and two workers as processes that can be killed."""

    def __init__(self, folder):
        self.file = folder / f"scheduler-{time.monotonic_ns()}.json"
        self.folder = folder
        quiet = dict(stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=folder, start_new_session=True)
        self.options = quiet
        command = [sys.executable, "-m", "dask", "scheduler", "--host", "127.0.0.1", "--port", "0"]
        self.scheduler = subprocess.Popen(
            [*command, "--scheduler-file", self.file, "--no-dashboard", "--no-show"], **quiet
        )
        self.workers = [self.hire(), self.hire()]
        deadline = time.monotonic() + PATIENCE
        while not self.file.exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        self.address = json.loads(self.file.read_text())["address"]

    def hire(self):
        command = [sys.executable, "-m", "dask", "worker", "--scheduler-file", self.file, "--nthreads", "1"]
        environment = os.environ | {"GANSCOPE_THREADS": "1"}
        return subprocess.Popen([*command, "--no-dashboard", "--no-nanny"], env=environment, **self.options)

    def close(self):
        for process in (self.scheduler, *self.workers):
            process.kill()
            process.wait()


def test_workers_and_schedulers_of_a_cluster_that_are_killed(tmp_path, undisturbed):
    pytest.importorskip("distributed")
    dice, store = random.Random(2), tmp_path / "s.zarr"
    kinds = ["scheduler", "worker", "driver"]
    tiles = len(SweepStore(undisturbed).tiling)
    cluster = DaskCluster(tmp_path)
    try:
        for kill in range(max(1, ROUNDS * len(kinds) // 2)):
            kind = kinds[kill % len(kinds)]
            before = finished(store)
            if len(before) > 0.8 * tiles:
                end(start(store, scheduler=cluster.address))
                assert_same_bits(store, undisturbed)
                store, before = store.with_name(f"{kill}.zarr"), {}
            driver = start(store, scheduler=cluster.address)
            try:
                wait_for(driver, store, len(before) + 1)
                time.sleep(dice.uniform(0, 0.2))
                if kind == "worker":
                    victim = dice.randrange(2)
                    cluster.workers[victim].kill()
                    cluster.workers[victim].wait()
                    cluster.workers[victim] = cluster.hire()
                    wait_for(driver, store, min(tiles, len(finished(store)) + 2))
                elif kind == "scheduler":
                    cluster.scheduler.kill()
                    _, said = driver.communicate(timeout=PATIENCE)
                    assert driver.returncode == 0 or "StoreError" in said, said
                    cluster.close()
                    cluster = DaskCluster(tmp_path)
            finally:
                driver.kill()
                driver.communicate()
            assert_kept(before, finished(store))
        end(start(store, scheduler=cluster.address))
        assert_same_bits(store, undisturbed)
    finally:
        cluster.close()
