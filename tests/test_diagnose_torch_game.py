"""A user's PyTorch training script under diagnosis: few lines, nothing changed, the same verbs as any game."""

import hashlib
import random

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional
from typer.testing import CliRunner

import ganscope as gs
from ganscope.cli.main import app

SMALL = dict(modes=4, batch_size=32, batches=1, noise_batches=4, fork_iterations=4, fork_seeds=2)


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def ring(key, n):
    angle = 2 * np.pi * torch.randint(0, 8, (n,), generator=key) / 8
    return torch.stack([angle.cos(), angle.sin()], dim=1) + 0.1 * torch.randn(n, 2, generator=key)


def losses(generator, discriminator, batch, z, key):
    fake, real = discriminator(generator(z)), discriminator(batch)
    return functional.softplus(-fake).mean(), functional.softplus(-real).mean() + functional.softplus(fake).mean()


class Script:
    """What a training script has at hand."""

    def __init__(self, steps=30, rate=1e-3):
        torch.manual_seed(0)
        self.generator = nn.Sequential(nn.Linear(4, 12), nn.BatchNorm1d(12), nn.Tanh(), nn.Linear(12, 2))
        self.discriminator = nn.Sequential(nn.Linear(2, 12), nn.LeakyReLU(0.2), nn.Linear(12, 1))
        self.optimizer_g = torch.optim.Adam(self.generator.parameters(), rate, betas=(0.5, 0.99))
        self.optimizer_d = torch.optim.Adam(self.discriminator.parameters(), rate, betas=(0.5, 0.99))
        self.train(steps)

    def train(self, steps):
        key = torch.Generator().manual_seed(1)
        for _ in range(steps):
            for optimizer, which in ((self.optimizer_d, 1), (self.optimizer_g, 0)):
                batch, z = ring(key, 32), torch.randn(32, 4, generator=key)
                optimizer.zero_grad()
                losses(self.generator, self.discriminator, batch, z, key)[which].backward()
                optimizer.step()

    def game(self, **options):
        given = dict(train_batch_size=32) | options
        return gs.RealGame.from_torch(
            self.generator, self.discriminator, losses, ring, 4, self.optimizer_g, self.optimizer_d, **given
        )

    def digest(self):
        told = hashlib.blake2b()
        for module in (self.generator, self.discriminator):
            for name, value in module.state_dict(keep_vars=True).items():
                told.update(f"{name} {value.dtype} {value.requires_grad}".encode())
                told.update(value.detach().numpy().tobytes())
                told.update(b"-" if value.grad is None else value.grad.numpy().tobytes())
            told.update(str([m.training for m in module.modules()]).encode())
        for optimizer in (self.optimizer_g, self.optimizer_d):
            for state in optimizer.state.values():
                told.update(b"".join(torch.as_tensor(v).numpy().tobytes() for v in state.values()))
        told.update(torch.get_rng_state().numpy().tobytes())
        legacy = np.random.get_state()[1].tolist()  # noqa: NPY002 (the state that a user's script may rely on)
        told.update(repr((legacy, random.getstate())).encode())
        return told.hexdigest()


@pytest.fixture(scope="module")
def script():
    return Script()


def test_a_whole_diagnosis_changes_nothing_of_the_user_s(script):
    """Probes, measurements, twin forks and forked races included."""
    before = script.digest()
    found = gs.diagnose(script.game(), **SMALL)
    assert script.digest() == before
    assert found.outcome in list(gs.Outcome)
    told = {probe.id: probe for probe in found.probes}
    assert told["T3"].status == "warning"  # BatchNorm in train mode couples the samples
    assert found.verification["twin"] is not None


def test_two_diagnoses_agree_and_seeds_matter(script):
    one, two, other = (gs.diagnose(script.game(), quick=True, seed=seed) for seed in (0, 0, 1))
    assert one.score == two.score
    assert one.score != other.score


def test_the_game_follows_its_modules():
    script = Script(steps=5)
    game = script.game()
    script.train(3)
    later = game.refreshed()
    assert later != game
    assert later.rule.generator.step == 8
    parameters = torch.cat([p.detach().double().ravel() for p in script.generator.parameters()]).numpy()
    np.testing.assert_array_equal(np.sort(later.backend.point.generator), np.sort(parameters))


def test_the_verbs_of_every_game(script):
    game = script.game()
    run = gs.simulate(game, level="training", iterations=6, seed=0)
    np.testing.assert_array_equal(
        run["generated_points"], gs.simulate(game, level="training", iterations=6, seed=0)["generated_points"]
    )
    assert gs.classify(run).detail == "too_short"
    assert gs.spectrum(game).values.shape == (sum(game.backend.sizes),)
    swept = gs.predict_many(game, {"gradient_penalty": [0.0, 1.0]})
    assert swept["rate_predicted_wander"].dims == ("cell",)


def test_detached_samples_are_refused(script):
    def detached(generator, discriminator, batch, z, key):
        fake = generator(z)
        return losses(generator, discriminator, batch, z, key)[0], functional.softplus(
            discriminator(fake.detach())
        ).mean() + functional.softplus(-discriminator(batch)).mean()

    game = gs.RealGame.from_torch(
        script.generator, script.discriminator, detached, ring, 4, script.optimizer_g, script.optimizer_d,
        train_batch_size=32,
    )  # fmt: skip
    with pytest.raises(gs.TrapError, match="remove detach"):
        gs.diagnose(game, **SMALL)


def test_a_monitor_in_the_training_loop(tmp_path):
    script = Script(steps=0)
    monitor = gs.Monitor(script.game(), every=5, log=tmp_path / "run.log", modes=4, batch_size=32, noise_batches=4)
    readings = []
    for _ in range(25):
        script.train(1)
        reading = monitor.step()
        if reading is not None:
            readings.append(reading)
    assert [r.iteration for r in readings][:4] == [5, 10, 15, 20]
    assert any(r.margin is not None for r in readings)
    found = gs.diagnose(script.game(), quick=True, history=monitor)
    assert len(found.report["history"]) == len(monitor.history)


def test_a_monitor_lets_training_go_on_where_no_game_can_be_read():
    script = Script(steps=0)
    monitor = gs.Monitor(script.game(), every=5, modes=4, batch_size=32, noise_batches=4)
    told = []
    for k in range(40):
        script.train(1)
        script.discriminator.requires_grad_(k < 8)  # switched off for the generator's step, and left so
        script.optimizer_g.param_groups[0]["lr"] = 0.0 if k > 20 else 1e-3  # a schedule that ends at 0
        reading = monitor.step()
        script.discriminator.requires_grad_(True)
        if reading is not None:
            told.append((reading.iteration, *reading.warnings))
    assert [iteration for iteration, *_ in told] == [5, 10, 25]
    assert told[0] == (5,)
    assert "requires_grad_(True)" in told[1][1]
    assert "learning rates > 0" in told[2][1]


FACTORY = """
import numpy as np
import torch
from torch import nn
from torch.nn import functional
import ganscope as gs

torch.set_num_threads(1)

def losses(G, D, batch, z, key):
    fake, real = D(G(z)), D(batch)
    return functional.softplus(-fake).mean(), functional.softplus(-real).mean() + functional.softplus(fake).mean()

def gan():
    torch.manual_seed(0)
    G, D = (nn.Sequential(nn.Linear(2, 6), nn.Tanh(), nn.Linear(6, out)) for out in (2, 1))
    optimizers = [torch.optim.SGD(m.parameters(), 0.05) for m in (G, D)]
    data = torch.randn(256, 2)
    return gs.RealGame.from_torch(G, D, losses, data, 2, *optimizers, train_batch_size=16)
"""


def test_the_command_with_a_checkpoint(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(FACTORY)
    weights = [nn.Sequential(nn.Linear(2, 6), nn.Tanh(), nn.Linear(6, out)) for out in (2, 1)]
    torch.save({"generator": weights[0].state_dict(), "discriminator": weights[1].state_dict()}, "there.pt")
    call = lambda *more: CliRunner().invoke(app, ["diagnose", "mine.py:gan", "--quick", *more])
    here, there = call("--json"), call("--json", "--checkpoint", "there.pt")
    assert (here.exit_code, there.exit_code) == (0, 0), here.output + there.output
    assert here.stdout != there.stdout
    torch.save({"generator": weights[1].state_dict(), "discriminator": weights[1].state_dict()}, "other.pt")
    misfit = call("--checkpoint", "other.pt")
    assert misfit.exit_code == 2
    assert "2.weight" in misfit.output or "shape" in misfit.output
    (tmp_path / "text.pt").write_text("no tensors")
    assert call("--checkpoint", "text.pt").exit_code == 2
