"""What goes wrong in PyTorch scripts under diagnosis: it is named before work starts, and the user's objects stay."""

import copy
import types

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import ganscope as gs
from ganscope.core.errors import ParameterError
from ganscope.core.game import Players
from ganscope.diagnose.evidence.training_runs import memory_of
from ganscope.diagnose.rule import Player
from ganscope.diagnose.torch_modules.adapter import load_checkpoint, torch_parts
from ganscope.diagnose.torch_modules.probes import torch_probes
from ganscope.diagnose.training import TrainingRequest

POINTS = np.random.default_rng(0).normal(size=(64, 2))
SMALL = dict(modes=4, batch_size=32, batches=1, noise_batches=4, fork_iterations=4, fork_seeds=1)
SGD = (Player("sgd", 0.1), Player("sgd", 0.1))


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def losses(generator, discriminator, batch, latents, key):
    fake, real = discriminator(generator(latents)), discriminator(batch)
    return F.softplus(-fake).mean(), F.softplus(fake).mean() + F.softplus(-real).mean()


def networks(activation=nn.Tanh, seed=0):
    torch.manual_seed(seed)
    return tuple(nn.Sequential(nn.Linear(i, 8), activation(), nn.Linear(8, o)) for i, o in ((3, 2), (2, 1)))


def adams(modules, **options):
    return [torch.optim.Adam(module.parameters(), 1e-2, **options) for module in modules]


def stepped(
    modules, optimizers, count=3, batches=lambda k, i: (POINTS[:16], np.random.default_rng(k).normal(size=(16, 3)))
):
    """A hand-written loop of alternating steps."""
    for k in range(count):
        for which in (1, 0):
            batch, latents = (torch.tensor(part, dtype=torch.float32) for part in batches(k, 1 if which else 0))
            optimizers[which].zero_grad()
            losses(*modules, batch, latents, None)[which].backward()
            optimizers[which].step()
    return modules


def of_request(backend, seed):
    """The minibatches that a training run of that seed sees."""

    def batches(iteration, inner):
        source = np.random.SeedSequence([0x62617463, seed, iteration, inner])
        draw = backend.draw(int(source.generate_state(1)[0]), 16)
        return draw.batch.numpy(), draw.latents.numpy()

    return batches


def assert_forks_are_the_users_loop(modules, optimizers, iterations=6):
    """What a forked run says of the parameters, against torch's own optimizers on the same minibatches."""
    backend, rule, facts = torch_parts(*modules, losses, POINTS, 3, *optimizers)
    start, memory = backend.point, memory_of(rule, backend.sizes)
    run = backend.train(TrainingRequest(rule, np.array([0, iterations]), 16, 3, start, memory, backend.latents(0, 4)))
    stepped(modules, optimizers, iterations, of_request(backend, 3))
    for module, names, found in zip(modules, backend.names, run.point, strict=True):
        tensors = dict(module.named_parameters())
        expected = np.concatenate([tensors[name].detach().numpy().ravel() for name in names])
        assert found == pytest.approx(expected, abs=1e-6)  # float32 rounding of few steps
    return backend, rule, facts


class WithUnused(nn.Module):
    """A generator with a layer that its forward pass forgets, until it is told to use it."""

    def __init__(self):
        super().__init__()
        self.net, self.late, self.used = networks()[0], nn.Linear(2, 2), False

    def forward(self, z):
        made = self.net(z)
        return self.late(made) if self.used else made


def test_a_layer_without_gradients_stands_still_and_ages_nobody():
    modules = (WithUnused(), networks()[1])
    optimizers = adams(modules, weight_decay=0.1)
    stepped(modules, optimizers, 5)
    before = modules[0].late.weight.clone()
    backend, rule, facts = assert_forks_are_the_users_loop(modules, optimizers)
    assert rule.generator.step == 5
    assert facts["frozen"] == ["generator.late.weight", "generator.late.bias"]
    assert "late" in {found.id: found for found in torch_probes(backend, rule)}["T5"].message
    assert torch.equal(before, modules[0].late.weight)


def test_a_layer_that_comes_in_late_has_steps_of_its_own():
    modules = (WithUnused(), networks()[1])
    optimizers = adams(modules)
    stepped(modules, optimizers, 5)
    modules[0].used = True
    _, rule, facts = assert_forks_are_the_users_loop(modules, optimizers)
    assert facts["frozen"] == []
    assert rule.generator.step == 5
    # now its own six steps beside eleven of the others
    _, rule, _ = assert_forks_are_the_users_loop(modules, optimizers)
    assert rule.generator.step == 6


@pytest.mark.parametrize("steps", [0, 3])
def test_the_first_memory_of_a_dampened_optimizer_is_undamped(steps):
    modules = networks()
    optimizers = [torch.optim.SGD(m.parameters(), 0.1, momentum=0.9, dampening=0.5) for m in modules]
    stepped(modules, optimizers, steps)
    assert_forks_are_the_users_loop(modules, optimizers)


def test_float32_takes_kinks_for_kinks():
    modules = networks(nn.ReLU)
    stepped(modules, adams(modules), 20)
    backend, rule, _ = torch_parts(*modules, losses, POINTS, 3, *SGD)
    single = backend.in_precision("float32")
    assert (backend.precision, single.precision) == (np.float64, np.float32)
    assert {found.id: found for found in torch_probes(single, rule)}["T8"].status == "ok"
    game = gs.RealGame.from_torch(*modules, losses, POINTS, 3, *adams(modules), train_batch_size=16)
    found = gs.diagnose(game, dtype="float32", quick=True, **SMALL)
    assert {p.id: p for p in found.probes}["T8"].status in ("ok", "skipped")


# Checkpoints ------------------------------------------------------------


def content_of(modules, optimizers, **more):
    states = [copy.deepcopy(one.state_dict()) for one in (*modules, *optimizers)]
    return dict(zip(("generator", "discriminator", "optimizer_g", "optimizer_d"), states, strict=True)) | more


def changed(content, *path, value=None):
    """The content with one entry changed, or taken out."""
    content = copy.deepcopy(content)
    place = content
    for key in path[:-1]:
        place = place[key]
    if value is None:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return content


def everything(modules, optimizers):
    return copy.deepcopy([one.state_dict() for one in (*modules, *optimizers)])


def equal(a, b):
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(equal(a[key], b[key]) for key in a)
    return len(a) == len(b) and all(map(equal, a, b)) if isinstance(a, list | tuple) else a == b


GROUP = ("optimizer_d", "param_groups", 0)
MISFITS = {
    "without betas": (*GROUP, "betas"),
    "without lr": (*GROUP, "lr"),
    "lr = 'x'": (*GROUP, "lr", "x"),
    "lr = nan": (*GROUP, "lr", float("nan")),
    "betas = 0.5": (*GROUP, "betas", 0.5),
    "parameters per group": (*GROUP, "params", [0]),
    "state of parameter 0: int": ("optimizer_d", "state", 0, 3),
    "no optimizer_d: exp_avg of": ("optimizer_d", "state", 0, "exp_avg"),
    r"exp_avg of parameter 0 of shape \(\)": ("optimizer_d", "state", 0, "exp_avg", torch.tensor(1.0)),
    "exp_avg of parameter 1: torch.complex64": ("optimizer_d", "state", 1, "exp_avg", torch.zeros(8) * 1j),
    "step of parameter 0": ("optimizer_d", "state", 0, "step", 1.5),
    "of the parameters": ("optimizer_d", "state", 9, {}),
    "optimizer_d: str": ("optimizer_d", "later"),
    "complex64": ("discriminator", "0.weight", torch.zeros(8, 2) * 1j),
    "iteration = tensor": ("iteration", torch.tensor([1, 2])),
    "iteration = nan": ("iteration", float("nan")),
    "iteration = soon": ("iteration", "soon"),
    "iteration = True": ("iteration", True),
}


@pytest.mark.parametrize("message", MISFITS)
def test_a_checkpoint_that_does_not_fit_changes_nothing(tmp_path, message):
    source = networks(seed=5)
    optimizers = adams(source)
    content = content_of(stepped(source, optimizers), optimizers, iteration=7)
    path = MISFITS[message]
    taken_out = isinstance(path[-1], str) and path[-1] in ("betas", "lr", "exp_avg")
    content = changed(content, *path) if taken_out else changed(content, *path[:-1], value=path[-1])
    torch.save(content, tmp_path / "c.pt")
    modules = networks(seed=6)
    optimizers = adams(modules)
    stepped(modules, optimizers)
    before = everything(modules, optimizers)
    with pytest.raises(ParameterError, match=message):
        load_checkpoint(tmp_path / "c.pt", *modules, *optimizers)
    assert equal(everything(modules, optimizers), before)


@pytest.mark.parametrize("steps", [0, 3])
@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.RMSprop, torch.optim.Adam, torch.optim.AdamW])
def test_a_checkpoint_of_every_kind_of_optimizer(tmp_path, kind, steps):
    source = (WithUnused(), networks(seed=5)[1])
    optimizers = [kind(module.parameters(), lr=1e-3) for module in source]
    torch.save(content_of(stepped(source, optimizers, steps), optimizers), tmp_path / "c.pt")
    modules = (WithUnused(), networks(seed=6)[1])
    others = [kind(module.parameters(), lr=1e-2) for module in modules]
    assert load_checkpoint(tmp_path / "c.pt", *modules, *others)["iteration"] is None
    assert equal(everything(modules, others), everything(source, optimizers))


@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.RMSprop, torch.optim.AdamW])
def test_a_checkpoint_of_another_optimizer(tmp_path, kind):
    source = networks(seed=5)
    optimizers = adams(source)
    torch.save(content_of(stepped(source, optimizers), optimizers), tmp_path / "c.pt")
    modules = networks(seed=6)
    optimizers = [kind(module.parameters(), lr=1e-3) for module in modules]
    before = everything(modules, optimizers)
    with pytest.raises(ParameterError, match=f"optimizer_g .*{kind.__name__}"):
        load_checkpoint(tmp_path / "c.pt", *modules, *optimizers)
    assert equal(everything(modules, optimizers), before)


def test_a_game_at_a_checkpoint_has_its_iteration_and_takes_all_or_nothing(tmp_path):
    source = networks(seed=5)
    optimizers = adams(source)
    content = content_of(stepped(source, optimizers), optimizers, iteration=torch.tensor(300))
    torch.save(content, tmp_path / "c.pt")
    modules = networks(seed=6)
    optimizers = adams(modules)
    game = gs.RealGame.from_torch(*modules, losses, POINTS, 3, *optimizers, train_batch_size=16, iteration=5)
    later = game.load_checkpoint(tmp_path / "c.pt")
    assert (later.iteration, later.rule.generator.step, later.refreshed().iteration) == (300, 3, 300)
    # fits, but no game can be read from it: a learning rate of zero
    stepped(source, adams(source))
    worse = changed(content, "optimizer_g", "param_groups", 0, "lr", value=0.0) | {"generator": source[0].state_dict()}
    torch.save(worse, tmp_path / "worse.pt")
    before, state = everything(modules, optimizers), optimizers[0].state
    with pytest.raises(ParameterError, match="learning rates"):
        game.load_checkpoint(tmp_path / "worse.pt")
    assert equal(everything(modules, optimizers), before)
    assert optimizers[0].state is state


def test_a_checkpoint_without_optimizers_says_whose_moments_are_in_use(tmp_path):
    source, modules = networks(seed=5), networks(seed=6)
    weights = dict(zip(("generator", "discriminator"), (one.state_dict() for one in source), strict=True))
    torch.save(weights, tmp_path / "c.pt")
    optimizers = adams(modules)
    game = gs.RealGame.from_torch(*modules, losses, POINTS, 3, *optimizers, train_batch_size=16)
    assert game.load_checkpoint(tmp_path / "c.pt").notes == ()  # a new optimizer has nothing to keep
    stepped(modules, optimizers)
    notes = game.load_checkpoint(tmp_path / "c.pt").notes
    assert [note.split(":")[0] for note in notes] == ["optimizer_g", "optimizer_d"]
    assert "no state" in notes[0]


def test_an_object_in_a_checkpoint_is_named(tmp_path):
    content = content_of(networks(), adams(networks()), args=types.SimpleNamespace(lr=1))
    path = tmp_path / ("long name " * 12) / "c.pt"  # a value is cut where it is long, what is wrong must not be
    path.parent.mkdir()
    torch.save(content, path)
    with pytest.raises(ParameterError, match=r"types.SimpleNamespace, and .*save the file without"):
        load_checkpoint(path, *networks())


# User functions ------------------------------------------------------------


class Conditional(nn.Module):
    def __init__(self):
        super().__init__()
        self.read = nn.Linear(3, 1)

    def forward(self, x, label):
        return self.read(torch.cat([x, label[:, None].to(x.dtype)], dim=1))


def test_a_conditional_discriminator_without_scores_says_what_to_give():
    def conditional(generator, discriminator, batch, latents, key):
        with_labels = lambda x: discriminator(x, batch[1])
        return losses(generator, with_labels, batch[0], latents, key)

    modules = (networks()[0], Conditional())
    data = (POINTS, np.arange(64) % 2)
    game = gs.RealGame.from_torch(*modules, conditional, data, 3, *adams(modules), train_batch_size=16)
    told = r"give score=\(discriminator, x, source\)"
    with pytest.raises(ParameterError, match="score="):
        game.replace(gradient_penalty=1.0)
    assert "score=(discriminator, x, source)" in game.missing
    assert any("score=(discriminator, x, source)" in note for note in game.notes)
    options = dict(train_batch_size=16, gamma=1.0, penalty_interval=4)
    with pytest.raises(ParameterError, match=told):
        gs.RealGame.from_torch(*modules, conditional, data, 3, *adams(modules), **options)


def test_a_closure_that_is_refused_has_damaged_nothing():
    modules = networks()
    optimizers = adams(modules)
    stepped(modules, optimizers)
    before = everything(modules, optimizers)

    def stepping(generator, discriminator, batch, latents, key):
        optimizers[1].step()
        optimizers[0].param_groups[0]["lr"] *= 0.5
        return losses(generator, discriminator, batch, latents, key)

    with pytest.raises(ParameterError, match="optimizer steps"):
        torch_parts(*modules, stepping, POINTS, 3, *optimizers)
    assert equal(everything(modules, optimizers), before)
    # an optimizer that had no state yet has none afterwards
    fresh = adams(modules)

    def loading(generator, discriminator, batch, latents, key):
        fresh[0].load_state_dict(optimizers[0].state_dict())
        return losses(generator, discriminator, batch, latents, key)

    with pytest.raises(ParameterError, match="original modules"):
        torch_parts(*modules, loading, POINTS, 3, *fresh)
    assert not fresh[0].state

    points = torch.tensor(POINTS)

    def writing(generator, discriminator, batch, latents, key):
        batch.add_(1.0)
        return losses(generator, discriminator, batch, latents, key)

    with pytest.raises(ParameterError, match="writes into its inputs"):
        torch_parts(*modules, writing, lambda key, n: points[:n], 3, *optimizers)
    assert torch.equal(points, torch.tensor(POINTS))


def test_losses_that_fail_at_one_batch_size():
    def picky(generator, discriminator, batch, latents, key):
        if len(batch) > 20:
            raise ValueError("too many")
        return losses(generator, discriminator, batch, latents, key)

    with pytest.raises(ParameterError, match=r"losses.* batch of 24: ValueError: too many"):
        torch_parts(*networks(), picky, POINTS, 3, *SGD, train_batch_size=24)
    backend, _, _ = torch_parts(*networks(), picky, POINTS, 3, *SGD, train_batch_size=16)
    backend.try_out(20)
    with pytest.raises(ParameterError, match=r"losses.* batch of 64"):
        backend.try_out(64)


def test_failing_sources_are_called_by_their_names():
    def failing(key, n):
        raise ValueError("no file")

    with pytest.raises(ParameterError, match=r"^data = .*ValueError: no file"):
        torch_parts(*networks(), losses, failing, 3, *SGD)
    with pytest.raises(ParameterError, match=r"^latents = .*ValueError: no file"):
        torch_parts(*networks(), losses, POINTS, failing, *SGD)
    with pytest.raises(ParameterError, match=r"^real = .*KeyError"):
        torch_parts(*networks(), losses, POINTS, 3, *SGD, real=lambda batch: {}["x"])


@pytest.mark.parametrize("name", ["learning_rate", "second_moment", "first_moment"])
def test_players_with_arrays_of_another_length(name):
    wrong = Player("adam", **{name: np.full(5, 0.1)})
    with pytest.raises(ParameterError, match=f"{name} = '5 numbers'.*optimizer_d, 33"):
        torch_parts(*networks(), losses, POINTS, 3, Player("adam"), wrong)
    # arrays as the modules have them are laid out flat
    modules = networks()
    like = [torch.full_like(p, 0.1) for p in modules[1].parameters()]
    _, rule, _ = torch_parts(*modules, losses, POINTS, 3, SGD[0], Player("adam", second_moment=like))
    assert rule.discriminator.second_moment == pytest.approx(np.full(33, 0.1))


def test_inference_mode_is_left():
    modules = networks()
    optimizers = adams(modules)
    options = dict(train_batch_size=16)
    outside = gs.diagnose(gs.RealGame.from_torch(*modules, losses, POINTS, 3, *optimizers, **options), **SMALL)
    with torch.inference_mode():
        data = torch.tensor(POINTS)
        inside = gs.diagnose(gs.RealGame.from_torch(*modules, losses, data, 3, *optimizers, **options), **SMALL)
        assert torch.is_inference_mode_enabled()
    assert inside.score == outside.score
    with torch.inference_mode():
        modules = networks()
    made = gs.RealGame.from_torch(*modules, losses, data, 3, *SGD, **options)
    assert made.backend.sizes == Players(50, 33)


# Layers ------------------------------------------------------------


class Critic(nn.Module):
    def __init__(self, norm):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(2, 8), norm(8), nn.Tanh(), nn.Linear(8, 1))

    def forward(self, x):
        return self.layers(x)


@pytest.mark.parametrize("norm", [nn.BatchNorm1d, nn.LayerNorm])
def test_r1_of_a_normalised_discriminator_is_differentiated(norm):
    torch.manual_seed(0)
    first = torch.nn.utils.parametrizations.weight_norm(nn.Linear(3, 8))
    modules = nn.Sequential(first, nn.Tanh(), nn.Linear(8, 2)), Critic(norm)
    backend, _, _ = torch_parts(*modules, losses, POINTS, 3, *SGD)
    found = {probe.id: probe for probe in torch_probes(backend)}["T8"]
    assert (found.status, found.message) == ("ok", "first and second derivatives agree with finite differences")
    assert backend.penalty_known


@pytest.mark.filterwarnings("ignore:`torch.jit.script_method`:DeprecationWarning")
def test_wrappers_within_wrappers_and_compiled_parts_are_called_as_they_are_written():
    generator, discriminator = networks()
    parts = nn.Sequential(torch.compile(generator[0]), *generator[1:])
    optimizers = (torch.optim.SGD(module.parameters(), 0.1) for module in (generator, discriminator))
    wrapped = nn.DataParallel(torch.compile(discriminator))
    backend, _, _ = torch_parts(parts, wrapped, losses, POINTS, 3, *optimizers)
    plain, _, _ = torch_parts(generator, discriminator, losses, POINTS, 3, *SGD)
    draw = plain.draw(0, 8)
    rows = np.eye(sum(plain.sizes))[:3]
    found, expected = (b.linearise(b.point, draw).products(rows) for b in (backend, plain))
    np.testing.assert_array_equal(found, expected)


def test_losses_rounded_to_float32_are_no_wrong_derivatives():
    def with_labels(generator, discriminator, batch, latents, key):
        ones = torch.ones(len(batch), 1, dtype=torch.float32)
        fake, real = discriminator(generator(latents)), discriminator(batch)
        cost = F.binary_cross_entropy_with_logits
        return cost(fake, ones), cost(real, ones) + cost(fake, 0 * ones)

    backend, _, _ = torch_parts(*networks(), with_labels, POINTS, 3, *SGD)
    found = {probe.id: probe.status for probe in torch_probes(backend)}
    assert (found["T7"], found["T8"]) == ("warning", "ok")


def test_samples_with_a_graph_are_samples():
    samples = torch.randn(40, 2, generator=torch.Generator().manual_seed(0)).requires_grad_()
    data = torch.randn(80, 2, generator=torch.Generator().manual_seed(1))
    weights = torch.eye(2, dtype=torch.float64, requires_grad=True)
    found = gs.is_collapsed(samples, data, features=lambda rows: torch.tensor(rows).double() @ weights)
    assert found.spread == gs.is_collapsed(samples.detach().numpy(), data.numpy()).spread
    assert len(repr(found)) < 800  # without the points themselves


def test_a_kink_close_by_is_no_missing_derivative():
    def kinked(generator, discriminator, batch, latents, key):
        first, second = losses(generator, discriminator, batch, latents, key)
        return first, second + F.relu(discriminator[2].bias - 1e-7).sum()

    modules = networks()
    with torch.no_grad():
        modules[1][2].bias.zero_()
    game = gs.RealGame.from_torch(*modules, kinked, POINTS, 3, *SGD, train_batch_size=16)
    found = {probe.id: probe for probe in gs.probes(game)}["T8"]
    assert (found.status, found.message) == ("ok", "")


def test_lazy_layers_have_to_be_called_first():
    with pytest.raises(ParameterError, match=r"generator.*called once"):
        torch_parts(nn.LazyLinear(2), networks()[1], losses, POINTS, 3, *SGD)
