"""PyTorch optimizers read and reproduced, training against a hand-written loop, checkpoints, traps."""

import os

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from ganscope.core.errors import ParameterError
from ganscope.core.game import Players
from ganscope.diagnose.rule import Player, UpdateRule
from ganscope.diagnose.torch_modules.adapter import load_checkpoint, torch_parts
from ganscope.diagnose.torch_modules.probes import torch_probes
from ganscope.diagnose.training import Memory, TrainingRequest


def losses(generator, discriminator, batch, latents, key):
    fake, real = discriminator(generator(latents)), discriminator(batch)
    return F.softplus(-fake).mean(), F.softplus(fake).mean() + F.softplus(-real).mean()


def networks(seed=0, width=8):
    torch.manual_seed(seed)
    # no bias before BatchNorm: its gradient is rounding error, which Adam would blow up
    generator = nn.Sequential(nn.Linear(3, width, bias=False), nn.BatchNorm1d(width), nn.Tanh(), nn.Linear(width, 2))
    first = nn.utils.parametrizations.spectral_norm(nn.Linear(2, width))
    return generator, nn.Sequential(first, nn.LeakyReLU(0.2), nn.Linear(width, 1))


POINTS = np.random.default_rng(0).normal(size=(64, 2))

OPTIMIZERS = {
    "sgd": lambda p: torch.optim.SGD(p, 0.05),
    "momentum": lambda p: torch.optim.SGD(p, 0.02, momentum=0.8),
    "nesterov": lambda p: torch.optim.SGD(p, 0.02, momentum=0.8, nesterov=True, weight_decay=0.01),
    "adam": lambda p: torch.optim.Adam(p, 1e-2, (0.5, 0.99)),
    "adam_decay": lambda p: torch.optim.Adam(p, 1e-2, (0.9, 0.99), weight_decay=0.1),
    "adamw": lambda p: torch.optim.AdamW(p, 1e-2, (0.0, 0.9), weight_decay=0.1),
    "rmsprop": lambda p: torch.optim.RMSprop(p, 1e-3, alpha=0.9),
    "rmsprop_momentum": lambda p: torch.optim.RMSprop(p, 1e-3, momentum=0.5),
}


def users_loop(generator, discriminator, optimizers, backend, request):
    """What a user would write, with the very minibatches of the request."""
    steps, order = request.rule.discriminator_steps, request.rule.order
    for iteration in range(int(request.record_at[-1])):

        def gradients(player, inner, iteration=iteration):
            source = np.random.SeedSequence([0x62617463, request.seed, iteration, inner])
            draw = backend.draw(int(source.generate_state(1)[0]), request.batch_size)
            loss = losses(generator, discriminator, draw.batch.float(), draw.latents.float(), None)[player]
            for optimizer in optimizers:
                optimizer.zero_grad()
            loss.backward()
            module = (generator, discriminator)[player]
            return [(p, p.grad.clone()) for p in module.parameters()]

        def step(player, found):
            for parameter, slope in found:
                parameter.grad = slope
            optimizers[player].step()

        held = []
        for inner in range(1, steps + 1):
            held = gradients(1, inner)
            if order == "alternating":
                step(1, held)
        own = gradients(0, 0)
        if order == "simultaneous":
            for optimizer in optimizers:
                optimizer.zero_grad()
            step(1, held)
        step(0, own)


def flat(module):
    return torch.cat([p.detach().reshape(-1) for p in module.parameters()]).numpy()


def start_of(backend, rule):
    def vector(value, size):
        return np.zeros(size) if value is None else np.asarray(value)

    players = (rule.generator, rule.discriminator)
    first = Players(*(vector(p.first_moment, n) for p, n in zip(players, backend.sizes, strict=True)))
    second = Players(*(vector(p.second_moment, n) for p, n in zip(players, backend.sizes, strict=True)))
    return Memory(first, second, Players(*(p.step or 0 for p in players)))


@pytest.mark.parametrize("kind", OPTIMIZERS)
@pytest.mark.parametrize("order, steps", [("alternating", 2), ("simultaneous", 1)])
def test_training_is_the_users_own_loop(kind, order, steps):
    generator, discriminator = networks()
    optimizers = [OPTIMIZERS[kind](module.parameters()) for module in (generator, discriminator)]
    for _ in range(3):  # moments, running statistics and singular vectors are on their way
        pair = losses(generator, discriminator, torch.tensor(POINTS[:16]).float(), torch.randn(16, 3), None)
        for loss, optimizer in zip(pair, optimizers, strict=True):
            optimizer.zero_grad()
            loss.backward(retain_graph=True)
        for optimizer in optimizers:
            optimizer.step()
    backend, rule, _ = torch_parts(
        generator, discriminator, losses, POINTS, 3, *optimizers, discriminator_steps=steps, order=order
    )
    request = TrainingRequest(
        rule, np.array([0, 5, 20]), 16, 3, backend.point, start_of(backend, rule), backend.latents(0, 10)
    )
    run = backend.train(request)
    assert run.finite
    assert run.outputs.shape == (3, 10, 2)
    assert run.gradient_norms[0].tolist() == [0, 0]
    again = backend.train(request)
    assert np.array_equal(run.outputs, again.outputs)
    users_loop(generator, discriminator, optimizers, backend, request)
    # float32 rounding of fused and plain updates, over 20 iterations
    assert run.point.generator == pytest.approx(flat(generator), abs=1e-6)
    assert run.point.discriminator == pytest.approx(flat(discriminator), abs=1e-6)
    if "adam" in kind:
        exact = optimizers[0].state[next(generator.parameters())]
        assert run.memory.second.generator[:24] == pytest.approx(
            exact["exp_avg_sq"].numpy().ravel(), rel=1e-3, abs=1e-9
        )
        assert run.memory.steps.generator == int(exact["step"])


def test_training_can_be_cut_in_two():
    generator, discriminator = networks()
    for module in (generator, discriminator):
        module.eval()
    optimizers = [torch.optim.Adam(module.parameters(), 1e-2) for module in (generator, discriminator)]
    backend, rule, _ = torch_parts(generator, discriminator, losses, POINTS, 3, *optimizers)
    latents = backend.latents(0, 4)
    whole = backend.train(TrainingRequest(rule, np.array([0, 10]), 8, 1, backend.point, None, latents))
    first = backend.train(TrainingRequest(rule, np.array([0, 10]), 8, 1, backend.point, None, latents))
    assert np.array_equal(whole.point.generator, first.point.generator)
    assert whole.memory.steps == (10, 10)


def test_a_run_that_breaks_down_is_a_result():
    generator, discriminator = networks()
    players = (Player("sgd", 1e30), Player("sgd", 1e30))
    backend, rule, _ = torch_parts(generator, discriminator, losses, POINTS, 3, *players)
    run = backend.train(TrainingRequest(rule, np.array([0, 1, 50]), 8, 0, backend.point, None, backend.latents(0, 4)))
    assert not run.finite
    assert np.isfinite(run.outputs[0]).all()
    assert np.isnan(run.outputs[-1]).all()


def test_groups_have_their_own_rates_and_the_rest_stands_still():
    generator, discriminator = networks()
    last = generator[3]
    optimizer_g = torch.optim.Adam([{"params": generator[0].parameters(), "lr": 1e-3}, {"params": last.weight}], 5e-3)
    optimizer_d = torch.optim.SGD(discriminator.parameters(), 0.1)
    discriminator[2].bias.requires_grad_(False)
    backend, rule, facts = torch_parts(generator, discriminator, losses, POINTS, 3, optimizer_g, optimizer_d)
    assert backend.sizes.generator == 3 * 8 + 16
    rates = np.asarray(rule.generator.learning_rate)
    assert rates.tolist() == [1e-3] * 24 + [5e-3] * 16
    assert facts["frozen"] == ["generator.1.weight", "generator.1.bias", "generator.3.bias", "discriminator.2.bias"]
    run = backend.train(TrainingRequest(rule, np.array([0, 1]), 8, 0, backend.point, None, backend.latents(0, 4)))
    moved = np.abs(run.point.generator - backend.point.generator)
    # Adam's first step is the learning rate
    assert moved == pytest.approx(rates, rel=1e-2)


def test_moments_are_read_and_dampening_is_a_smaller_rate():
    generator, discriminator = networks()
    optimizer_g = torch.optim.Adam(generator.parameters(), 1e-3, (0.5, 0.9), eps=1e-7)
    optimizer_d = torch.optim.SGD(discriminator.parameters(), 0.1, momentum=0.5, dampening=0.2)
    for optimizer, module in ((optimizer_g, generator), (optimizer_d, discriminator)):
        for parameter in module.parameters():
            parameter.grad = torch.ones_like(parameter)
        optimizer.step()
    _, rule, facts = torch_parts(generator, discriminator, losses, POINTS, 3, optimizer_g, optimizer_d)
    player = rule.generator
    assert (player.kind, player.beta1, player.beta2, player.eps, player.step) == ("adam", 0.5, 0.9, 1e-7, 1)
    assert player.second_moment == pytest.approx(np.full(len(player.second_moment), 0.1), rel=1e-6)
    assert player.first_moment == pytest.approx(np.full(len(player.first_moment), 0.5), rel=1e-6)
    other = rule.discriminator
    assert (other.kind, other.momentum) == ("momentum", 0.5)
    assert other.learning_rate == pytest.approx(0.08)
    assert any("dampening" in note for note in facts["notes"])


def test_data_of_every_kind_and_the_batch_size_of_a_loader():
    modules = networks()
    players = (Player("sgd", 0.1), Player("sgd", 0.1))
    data = TensorDataset(torch.tensor(POINTS).float())

    def first(generator, discriminator, batch, latents, key):
        return losses(generator, discriminator, batch[0], latents, key)

    for given, size in ((DataLoader(data, batch_size=24), 24), (data, None)):
        backend, _, facts = torch_parts(*modules, first, given, 3, *players)
        assert facts["train_batch_size"] == size
        samples = backend.real_samples(backend.draw(0, 9))
        distance = np.abs(samples[:, None] - POINTS.astype(np.float32)).sum(2).min(1)
        assert distance.max() == 0
    labels = torch.arange(64)
    backend, _, _ = torch_parts(*modules, first, (torch.tensor(POINTS), labels), 3, *players)
    batch = backend.draw(0, 9).batch
    assert np.array_equal(batch[0], POINTS[batch[1]])


def test_optimizers_that_do_not_fit():
    generator, discriminator = networks()
    good = (torch.optim.SGD(generator.parameters(), 0.1), torch.optim.SGD(discriminator.parameters(), 0.1))

    def parts(optimizer_g, optimizer_d=good[1], **options):
        return torch_parts(generator, discriminator, losses, POINTS, 3, optimizer_g, optimizer_d, **options)

    parts(*good)
    bad = {
        "other player": good[1],
        "one player": torch.optim.SGD([*generator.parameters(), *discriminator.parameters()], 0.1),
        "this player's": torch.optim.SGD(networks()[0].parameters(), 0.1),
        "SGD, Adam, AdamW or RMSprop": torch.optim.Adagrad(generator.parameters(), 0.1),
        "minimises": torch.optim.SGD(generator.parameters(), 0.1, maximize=True),
        "learning rates > 0": torch.optim.SGD(generator.parameters(), 0.0),
        "one betas": torch.optim.Adam(
            [{"params": [generator[0].weight], "betas": (0.5, 0.9)}, {"params": [generator[3].bias]}]
        ),
        "Player": 3.0,
    }
    for message, optimizer in bad.items():
        with pytest.raises(ParameterError, match=message):
            parts(optimizer)
    wrong = dict(train_batch_size=0, discriminator_steps=0, order="together")
    for name, value in wrong.items():
        with pytest.raises(ParameterError, match=name):
            parts(*good, **{name: value})
    with pytest.raises(ParameterError, match="simultaneously"):
        parts(*good, order="simultaneous", discriminator_steps=2)
    with pytest.raises(ParameterError, match="generator"):
        torch_parts("generator", discriminator, losses, POINTS, 3, *good)


def test_user_functions_that_fail():
    modules = networks()
    players = (Player("sgd", 0.1), Player("sgd", 0.1))

    def raising(generator, discriminator, batch, latents, key):
        raise KeyError("labels")

    cases = {
        "losses": dict(losses=lambda generator, discriminator: None),
        "KeyError": dict(losses=raising),
        "data": dict(data=lambda: None),
        "for n = 8": dict(data=lambda key, n: torch.zeros(5, 2)),
        "latents": dict(latents=lambda key, n: None),
        "generate": dict(generate=lambda generator: None),
        "score": dict(score=lambda discriminator, x: x.sum()),
        "penalty": dict(penalty=lambda *a: torch.zeros(3)),
        "real": dict(real=lambda batch: 3),
    }
    for message, options in cases.items():
        arguments = dict(losses=losses, data=POINTS, latents=3) | options
        given = [arguments.pop(name) for name in ("losses", "data", "latents")]
        with pytest.raises(ParameterError, match=message):
            torch_parts(*modules, *given, *players, **arguments)


# Traps ------------------------------------------------------------


PLAYERS = (Player("sgd", 0.1), Player("sgd", 0.1))


def probed(generator, discriminator, function=losses, players=PLAYERS, **options):
    backend, rule, _ = torch_parts(generator, discriminator, function, POINTS, 3, *players, **options)
    return {found.id: found for found in torch_probes(backend, rule)}


def plain():
    torch.manual_seed(0)
    generator = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 2))
    return generator, nn.Sequential(nn.Linear(2, 8), nn.LeakyReLU(0.2), nn.Linear(8, 1))


def test_a_clean_game_has_no_traps():
    found = probed(*plain())
    assert list(found) == ["T2", "T3", "T4", "T5", "T6", "T7", "T8", "T11"]
    assert {one.status for one in found.values()} == {"ok"}, found


def test_dropout_and_noise_that_is_not_from_the_key():
    generator, discriminator = plain()
    found = probed(generator, nn.Sequential(discriminator, nn.Linear(1, 9), nn.Dropout(0.5), nn.Linear(9, 1)))
    assert found["T2"].status == "error"
    assert "discriminator.2" in found["T2"].message

    def noisy(generator, discriminator, batch, latents, key, stream=None):
        return losses(generator, discriminator, batch + 0.1 * torch.randn(batch.shape, generator=stream), latents, key)

    assert probed(generator, discriminator, noisy)["T2"].status == "error"
    keyed = lambda g, d, batch, z, key: noisy(g, d, batch, z, key, key)
    assert probed(generator, discriminator, keyed)["T2"].status == "ok"


def test_batch_and_spectral_normalisation():
    found = probed(*networks())
    assert found["T3"].status == "warning"
    assert "generator.1" in found["T3"].message
    assert found["T4"].status == "warning"
    generator, discriminator = networks()
    found = probed(generator.eval(), discriminator.eval())
    assert (found["T3"].status, found["T4"].status) == ("ok", "ok")
    generator, discriminator = plain()
    old = nn.Sequential(nn.utils.spectral_norm(nn.Linear(2, 8)), nn.Tanh(), nn.utils.spectral_norm(nn.Linear(8, 1)))
    found = probed(generator, old)
    assert found["T4"].status == "warning"
    assert found["T8"].status == "ok"


def test_frozen_and_shared_parameters():
    generator, discriminator = plain()
    generator[0].weight.requires_grad_(False)
    found = probed(generator, discriminator)
    assert found["T5"].status == "warning"
    assert "generator.0.weight" in found["T5"].message
    generator, discriminator = plain()
    square = nn.Linear(2, 2)
    found = probed(nn.Sequential(generator, square), nn.Sequential(square, discriminator))
    assert found["T6"].status == "error"
    assert "not a two-player game" in found["T6"].message


class OnlySingle(nn.Module):
    """A layer whose kernel has no double precision."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(8, 8)

    def forward(self, x):
        if x.dtype != torch.float32:
            raise RuntimeError("not implemented for 'Double'")
        return self.layer(x)


def test_a_layer_that_refuses_double_precision():
    generator, discriminator = plain()
    generator = nn.Sequential(nn.Linear(3, 8), OnlySingle(), nn.Tanh(), nn.Linear(8, 2))
    found = probed(generator, discriminator)
    assert found["T7"].status == "warning"
    assert "1e-4 not resolvable" in found["T7"].message
    assert found["T8"].status == "ok"


class OnceSquare(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, slope):
        return 2 * ctx.saved_tensors[0] * slope


def test_losses_without_second_derivatives_are_named():
    def once(generator, discriminator, batch, latents, key):
        pair = losses(generator, discriminator, batch, latents, key)
        return pair[0], pair[1] + OnceSquare.apply(discriminator(batch)).mean()

    found = probed(*plain(), once)["T8"]
    assert found.status == "error"
    assert found.message.startswith("discriminator loss")

    def dead_penalty(generator, discriminator, batch, latents, key):
        pair = losses(generator, discriminator, batch, latents, key)
        x = batch.detach().clone().requires_grad_()
        (slope,) = torch.autograd.grad(discriminator(x).sum(), x)
        return pair[0], pair[1] + slope.square().sum(1).mean()

    found = probed(*plain(), dead_penalty)["T8"]
    assert found.status == "error"
    assert "create_graph" in found.message

    # where autograd notices, the products themselves fail with the name of the trap
    def twice(generator, discriminator, batch, latents, key):
        pair = losses(generator, discriminator, batch, latents, key)
        return pair[0], pair[1] + F.pdist(torch.cat([discriminator(batch), batch], 1)).mean()

    assert "not implemented" in probed(*plain(), twice)["T8"].message
    backend, _, _ = torch_parts(*plain(), twice, POINTS, 3, Player(), Player())
    with pytest.raises(ParameterError, match="twice"):
        backend.linearise(backend.point, backend.draw(0, 8)).products(np.ones((1, sum(backend.sizes))))


def test_young_second_moments():
    generator, discriminator = plain()
    optimizers = [torch.optim.Adam(module.parameters()) for module in (generator, discriminator)]
    assert probed(generator, discriminator, players=optimizers)["T11"].status == "warning"


# Checkpoints ------------------------------------------------------------


def saved(path, names=("generator", "discriminator", "optimizer_g", "optimizer_d"), prefix=""):
    modules = networks(seed=5)
    optimizers = [torch.optim.Adam(module.parameters(), 1e-2) for module in modules]
    for module, optimizer in zip(modules, optimizers, strict=True):
        for parameter in module.parameters():
            parameter.grad = torch.ones_like(parameter)
        optimizer.step()
    states = [{prefix + name: value for name, value in module.state_dict().items()} for module in modules]
    states += [optimizer.state_dict() for optimizer in optimizers]
    torch.save(dict(zip(names, states, strict=True)) | {"iteration": 7}, path)
    return modules


@pytest.mark.parametrize(
    "names, prefix",
    [
        (("generator", "discriminator", "optimizer_g", "optimizer_d"), ""),
        (("netG", "netD", "optimizerG", "optimizerD"), "module."),
        (("G_state_dict", "D_state_dict", "optG", "optD"), "_orig_mod."),
    ],
)
def test_checkpoints_of_common_layouts(tmp_path, names, prefix):
    source = saved(tmp_path / "c.pt", names, prefix)
    modules = networks(seed=6)
    optimizers = [torch.optim.Adam(module.parameters(), 1e-2) for module in modules]
    told = load_checkpoint(tmp_path / "c.pt", *modules, *optimizers)
    assert told["iteration"] == 7
    assert set(told["loaded"]) == {"generator", "discriminator", "optimizer_g", "optimizer_d"}
    for module, other in zip(modules, source, strict=True):
        assert np.array_equal(flat(module), flat(other))
    assert int(optimizers[0].state[modules[0][0].weight]["step"]) == 1


class Evil:
    def __reduce__(self):
        return os.system, ("touch ran",)


def test_checkpoints_that_do_not_fit_change_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    saved("good.pt")
    content = torch.load("good.pt", weights_only=True)
    torch.save({"generator": Evil(), "discriminator": {}}, "evil.pt")
    (tmp_path / "text.pt").write_text("no tensors here")
    (tmp_path / "empty.pt").write_bytes(b"")
    torch.save(torch.zeros(3), "tensor.pt")
    torch.save({"weights": content["generator"]}, "layout.pt")
    torch.save(content | {"optimizer_d": content["optimizer_g"]}, "optimizer.pt")
    missing = {k: v for k, v in content["discriminator"].items() if k != "2.bias"}
    torch.save(content | {"discriminator": missing}, "missing.pt")
    modules = networks(seed=6)
    optimizers = [torch.optim.Adam(module.parameters(), 1e-2) for module in modules]
    before = [flat(module) for module in modules]
    cases = {
        "absent.pt": "existing file",
        "evil.pt": "could run code",
        "text.pt": "file of tensors",
        "empty.pt": "file of tensors",
        "tensor.pt": "dictionary",
        "layout.pt": "no generator",
        "optimizer.pt": "optimizer_d",
        "missing.pt": "no discriminator.2.bias",
    }
    for path, message in cases.items():
        with pytest.raises(ParameterError, match=message):
            load_checkpoint(path, *modules, *optimizers)
    wide = networks(width=9)
    with pytest.raises(ParameterError, match=r"generator\.0\.weight of shape \(8, 3\)"):
        load_checkpoint("good.pt", *wide)
    assert not (tmp_path / "ran").exists()
    assert all(np.array_equal(a, flat(m)) for a, m in zip(before, modules, strict=True))


def test_a_rule_with_changed_rates_trains_with_them():
    modules = plain()
    backend, rule, _ = torch_parts(*modules, losses, POINTS, 3, Player("sgd", 0.1), Player("sgd", 0.1))
    latents = backend.latents(0, 3)
    ends = []
    for rate in (0.1, 0.2):
        changed = UpdateRule(generator=rule.generator.replace(learning_rate=rate), discriminator=rule.discriminator)
        run = backend.train(TrainingRequest(changed, np.array([0, 1]), 8, 0, backend.point, None, latents))
        ends.append(run.point.generator - backend.point.generator)
    # one step of gradient descent is proportional to its rate, up to float32 rounding of the parameters
    assert 2 * ends[0] == pytest.approx(ends[1], abs=1e-6)


def test_fused_attention_has_second_derivatives_here():
    class Attention(nn.Module):
        def __init__(self):
            super().__init__()
            self.rise, self.read = nn.Linear(1, 12), nn.Linear(8, 1)

        def forward(self, x):
            q, k, v = self.rise(x[:, :, None]).chunk(3, dim=-1)
            return self.read(F.scaled_dot_product_attention(q, k, v).flatten(1))

    found = probed(plain()[0], Attention())
    assert found["T8"].status == "ok"
    backend, _, _ = torch_parts(plain()[0], Attention(), losses, POINTS, 3, *PLAYERS)
    linear = backend.linearise(backend.point, backend.draw(0, 8))
    assert np.isfinite(linear.products(np.ones((5, sum(backend.sizes))))).all()
