"""Real games in PyTorch: worked numbers, products against dense and finite differences, untouched user objects."""

import hashlib
import itertools
import random

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.autograd import gradgradcheck

from ganscope.core.errors import ParameterError
from ganscope.core.game import Players
from ganscope.diagnose.change import Change
from ganscope.diagnose.torch_modules.adapter import torch_parts
from ganscope.diagnose.torch_modules.backend import TorchBackend
from ganscope.diagnose.torch_modules.data import data_source, latent_source
from ganscope.diagnose.torch_modules.functions import UserFunctions
from ganscope.diagnose.torch_modules.normalisations import PlainNormalisations


def r1(discriminator, x):
    x = x.detach().clone().requires_grad_()
    (slope,) = torch.autograd.grad(discriminator(x).sum(), x, create_graph=True)
    return 0.5 * slope.reshape(len(x), -1).square().sum(1).mean()


def non_saturating(gamma=0.0):
    def losses(generator, discriminator, batch, latents, key):
        fake, real = discriminator(generator(latents)), discriminator(batch)
        loss = F.softplus(fake).mean() + F.softplus(-real).mean()
        return F.softplus(-fake).mean(), loss + gamma * r1(discriminator, batch) if gamma else loss

    return losses


def seeded_network(stream, sizes):
    layers = []
    for wide, out in itertools.pairwise(sizes):
        layer = nn.Linear(wide, out, dtype=torch.float64)
        layer.weight.data = torch.tensor((stream.standard_normal((wide, out)) / np.sqrt(wide)).T.copy())
        layer.bias.data = torch.tensor(0.1 * stream.standard_normal(out))
        layers += [layer, nn.Tanh()]
    return nn.Sequential(*layers[:-1])


@pytest.fixture(scope="module")
def seeded():
    """The seeded MLP game: networks 4-12-12-2 and 2-12-12-1, 64 points near a ring of 8, their latents."""
    stream = np.random.default_rng(7)
    generator, discriminator = seeded_network(stream, [4, 12, 12, 2]), seeded_network(stream, [2, 12, 12, 1])
    angle = 2 * np.pi * (np.arange(64) % 8) / 8
    points = np.stack([np.cos(angle), np.sin(angle)], axis=1) + 0.1 * stream.standard_normal((64, 2))
    latents = stream.standard_normal((64, 4))

    def game(losses, **options):
        functions = UserFunctions(losses, **options)
        whole = (lambda key, n: torch.tensor(points[:n]), lambda key, n: torch.tensor(latents[:n]))
        return TorchBackend(generator, discriminator, functions, *whole)

    return game


def dense(backend, draw, change=None):
    linear = backend.linearise(backend.point, draw, *([] if change is None else [change]))
    return linear.products(np.eye(sum(backend.sizes))).T


def differences(backend, draw, step=1e-5):
    """The Jacobian by central differences of velocities: no second derivatives anywhere."""
    whole = np.concatenate(backend.point)
    columns = []
    for k in range(len(whole)):
        ends = []
        for sign in (1, -1):
            moved = whole.copy()
            moved[k] += sign * step
            ends.append(np.concatenate(backend.velocity(split(backend, moved), draw)))
        columns.append((ends[0] - ends[1]) / (2 * step))
    return np.stack(columns, axis=1)


def split(backend, whole):
    return Players(whole[: backend.sizes[0]], whole[backend.sizes[0] :])


def test_worked_numbers_of_the_seeded_network(seeded):
    backend = seeded(non_saturating(0.0))
    draw = backend.draw(0, 64)
    assert backend.sizes == (242, 205)
    assert backend.losses(backend.point, draw) == pytest.approx((0.652482537666446, 1.39696857773881), abs=1e-12)
    penalty = backend.penalty_tensor(*backend.leaves(backend.point), draw)
    assert penalty.item() == pytest.approx(0.02240970397911, abs=1e-12)
    jacobian = dense(backend, draw)
    values = np.linalg.eigvals(jacobian)
    assert np.trace(jacobian) == pytest.approx(-2.31077013916, abs=1e-8)
    assert values.real.max() == pytest.approx(0.281207599098, abs=1e-8)
    assert values[values.imag.argmax()] == pytest.approx(-0.606639806905 + 1.981181426537j, abs=1e-8)
    assert (values.real > 1e-9).sum() == 225
    sigma = np.linalg.svd(jacobian[:242, 242:], compute_uv=False)
    assert sigma[:4] == pytest.approx([2.08543463, 1.04750633, 0.33894923, 0.21841209], abs=1e-8)


def test_worked_numbers_with_the_penalty(seeded):
    backend = seeded(non_saturating(0.3))
    draw = backend.draw(0, 64)
    norms = [np.linalg.norm(part) for part in backend.velocity(backend.point, draw)]
    assert norms == pytest.approx([0.163438579090, 0.231628368995], abs=1e-11)
    jacobian = dense(backend, draw)
    values = np.linalg.eigvals(jacobian)
    assert np.trace(jacobian) == pytest.approx(-4.56811579442, abs=1e-8)
    assert values.real.max() == pytest.approx(0.290501580578, abs=1e-8)
    assert values[values.imag.argmax()] == pytest.approx(-1.305009447215 + 1.559730823878j, abs=1e-8)


def test_the_jacobian_is_affine_in_the_penalty(seeded):
    given, plain = seeded(non_saturating(0.3)), seeded(non_saturating())
    draw = plain.draw(0, 64)
    jacobian, free = dense(given, draw), dense(plain, draw)
    penalty = plain.linearise(plain.point, draw).penalty_products(np.eye(447)).T
    assert np.abs(jacobian[:242] - free[:242]).max() < 1e-10
    assert np.abs(jacobian[242:] - free[242:] - 0.3 * penalty).max() < 1e-10
    assert np.abs(dense(plain, draw, Change(added=0.3)) - jacobian).max() < 1e-10
    assert np.abs(dense(given, draw, Change(added=-0.3)) - free).max() < 1e-10


def test_products_agree_with_differences_and_with_nested_transforms(seeded):
    backend = seeded(non_saturating(0.3))
    draw = backend.draw(0, 16)
    jacobian = dense(backend, draw)
    # central differences with step 1e-5: truncation 1e-10, rounding 1e-11
    assert np.abs(jacobian - differences(backend, draw)).max() < 1e-6

    def field(theta, phi):
        def losses(theta, phi):
            return backend.networks.run(theta, phi, non_saturating(), draw.batch, draw.latents, None)

        own = torch.func.grad(lambda t: losses(t, phi)[0])(theta)
        return own, torch.func.grad(lambda p: losses(theta, p)[1])(phi)

    plain = seeded(non_saturating())
    leaves = [torch.tensor(part) for part in plain.point]
    blocks = torch.func.jacrev(field, argnums=(0, 1))(*leaves)
    reference = -np.block([[np.asarray(block) for block in row] for row in blocks])
    assert np.abs(dense(plain, draw) - reference).max() < 1e-12


def test_blocks_agree_with_the_whole(seeded):
    backend = seeded(non_saturating(0.3))
    draw = backend.draw(0, 32)
    jacobian, linear = dense(backend, draw), backend.linearise(backend.point, draw)
    cuts = (slice(0, 242), slice(242, 447))
    for of, by in itertools.product((0, 1), repeat=2):
        block = linear.block_products(of, by, np.eye(backend.sizes[by])).T
        assert np.abs(block - jacobian[cuts[of], cuts[by]]).max() < 1e-13
    assert np.abs(linear.mixed_adjoints(np.eye(242)) - jacobian[:242, 242:]).max() < 1e-13
    velocity = backend.velocity(backend.point, draw)
    assert all(np.allclose(a, b, atol=1e-15) for a, b in zip(linear.velocity, velocity, strict=True))
    assert linear.products(np.zeros((0, 447))).shape == (0, 447)


def test_single_rows_and_blocks_agree(seeded):
    backend = seeded(non_saturating(0.3))
    draw = backend.draw(0, 64)
    directions = np.random.default_rng(0).standard_normal((37, 447))
    linear = backend.linearise(backend.point, draw)
    assert linear._block.rows > 1
    blocked = linear.products(directions)
    linear._block.rows = 1
    assert np.abs(blocked - linear.products(directions)).max() < 1e-12


def test_detached_fakes_erase_the_mixed_block(seeded):
    def detached(generator, discriminator, batch, latents, key):
        fake = generator(latents)
        loss = F.softplus(discriminator(fake.detach())).mean() + F.softplus(-discriminator(batch)).mean()
        return F.softplus(-discriminator(fake)).mean(), loss

    backend = seeded(detached)
    jacobian = dense(backend, backend.draw(0, 16))
    assert not jacobian[242:, :242].any()
    assert jacobian[:242, 242:].any()


def test_outputs_and_their_derivatives(seeded):
    backend = seeded(non_saturating())
    theta, latents = backend.point.generator, backend.latents(3, 5)
    made = backend.outputs(theta, latents)
    directions = np.random.default_rng(1).standard_normal((4, 242))
    along = backend.output_products(theta, latents, directions)
    step = 1e-6
    for k, direction in enumerate(directions):
        ends = [backend.outputs(theta + sign * step * direction, latents) for sign in (1, -1)]
        assert np.abs((ends[0] - ends[1]) / (2 * step) - along[k]).max() < 1e-8
    weights = np.array([0.3, -1.2])
    slopes = backend.output_gradients(theta, latents, weights)
    assert np.abs(slopes @ directions.T - np.einsum("kcd,d->ck", along, weights)).max() < 1e-12
    assert made.shape == (5, 2)


def test_slopes_of_a_quadratic_score():
    class Quadratic(nn.Module):
        def __init__(self):
            super().__init__()
            self.curvature = nn.Parameter(torch.tensor([1.0, 3.0]))

        def forward(self, x):
            return 0.5 * (self.curvature * x**2).sum(1, keepdim=True)

    points = torch.tensor([[1.0, 1.0], [2.0, 0.0]])
    backend = TorchBackend(
        nn.Linear(2, 2),
        Quadratic(),
        UserFunctions(non_saturating()),
        lambda key, n: points[:1].repeat(n, 1),
        latent_source(2),
    )
    slopes, traces = backend.score_slopes(backend.point, backend.draw(0, 3))
    assert slopes == pytest.approx(np.full(3, np.sqrt(10)))
    assert traces == pytest.approx(np.full(3, 4.0))


class ConvolutionalGame:
    """8x8 images, batch and spectral normalisation of both styles, in train mode."""

    def __init__(self):
        torch.manual_seed(0)
        self.generator = nn.Sequential(
            nn.Linear(6, 32), nn.Unflatten(1, (8, 2, 2)),
            nn.ConvTranspose2d(8, 8, 4, 2, 1), nn.BatchNorm2d(8), nn.ReLU(),
            nn.ConvTranspose2d(8, 1, 4, 2, 1), nn.Tanh(),
        )  # fmt: skip
        self.discriminator = nn.Sequential(
            nn.utils.spectral_norm(nn.Conv2d(1, 6, 4, 2, 1)),
            nn.LeakyReLU(0.2),
            nn.utils.parametrizations.spectral_norm(nn.Conv2d(6, 8, 4, 2, 1)),
            nn.Softplus(), nn.Flatten(), nn.Linear(32, 1),
        )  # fmt: skip
        self.data = torch.randn(100, 1, 8, 8)
        self.optimizers = [
            torch.optim.Adam(module.parameters(), 1e-3, (0.5, 0.99)) for module in (self.generator, self.discriminator)
        ]
        # steps as the user takes them: buffers move, gradients and moments are there
        for _ in range(2):
            for loss, optimizer in zip(self.losses(16), self.optimizers, strict=True):
                optimizer.zero_grad()
                loss.backward(retain_graph=True)
            for optimizer in self.optimizers:
                optimizer.step()

    def losses(self, count):
        batch, latents = self.data[:count], torch.randn(count, 6)
        return non_saturating()(self.generator, self.discriminator, batch, latents, None)

    def parts(self, **options):
        return torch_parts(
            self.generator, self.discriminator, non_saturating(), self.data, 6, *self.optimizers, **options
        )


def fingerprint(*modules, optimizers=()):
    """A hash of everything of the user's that could move."""
    seen = hashlib.sha256()
    for module in modules:
        for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
            seen.update(f"{name} {tensor.requires_grad} {tensor.dtype}".encode() + tensor.detach().numpy().tobytes())
            if tensor.grad is not None:
                seen.update(tensor.grad.numpy().tobytes())
        for name, part in module.named_modules():
            seen.update(f"{name} {part.training} {len(part._forward_pre_hooks)} {len(part._forward_hooks)}".encode())
    for optimizer in optimizers:
        for state in optimizer.state.values():
            for value in state.values():
                seen.update(np.asarray(value).tobytes())
    seen.update(torch.get_rng_state().numpy().tobytes())
    seen.update(repr((np.random.get_state(), random.getstate())).encode())  # noqa: NPY002
    seen.update(f"{torch.get_default_dtype()} {torch.get_num_threads()} {torch.is_grad_enabled()}".encode())
    return seen.hexdigest()


def exercise(backend):
    draw = backend.draw(1, 12)
    linear = backend.linearise(backend.point, draw, Change(added=0.5, instance_noise=0.1))
    rows = np.random.default_rng(0).standard_normal((3, sum(backend.sizes)))
    linear.products(rows)
    linear.penalty_products(rows)
    linear.mixed_products(rows[:, backend.sizes[0] :])
    linear.mixed_adjoints(rows[:, : backend.sizes[0]])
    backend.velocities(backend.point, backend.draws(2, 8, 2))
    backend.output_products(backend.point[0], draw.latents, rows[:, : backend.sizes[0]])
    backend.score_slopes(backend.point, draw)


def test_the_users_objects_stay_bit_for_bit():
    from ganscope.diagnose.torch_modules.probes import torch_probes

    game = ConvolutionalGame()
    before = fingerprint(game.generator, game.discriminator, optimizers=game.optimizers)
    with torch.no_grad():  # a script may stand in any grad mode
        backend, rule, _ = game.parts()
        exercise(backend)
        torch_probes(backend, rule)
    assert fingerprint(game.generator, game.discriminator, optimizers=game.optimizers) == before


def test_buffers_never_drift_and_frozen_norms_are_functions_of_the_weights():
    game = ConvolutionalGame()
    backend, _, _ = game.parts()
    draw = backend.draw(0, 16)
    velocity = np.concatenate(backend.velocity(backend.point, draw))
    exercise(backend)
    assert np.array_equal(velocity, np.concatenate(backend.velocity(backend.point, draw)))
    # the field's derivative sees sigma(W): differences of velocities know nothing of how norms are differentiated
    linear = backend.linearise(backend.point, draw)
    whole = np.concatenate(backend.point)
    direction = np.random.default_rng(0).standard_normal(len(whole))
    direction[: backend.sizes[0]] = 0
    ends = []
    for sign in (1, -1):
        ends.append(np.concatenate(backend.velocity(split(backend, whole + sign * 1e-7 * direction), draw)))
    along = linear.products(direction[None])[0]
    assert np.linalg.norm((ends[0] - ends[1]) / 2e-7 - along) < 1e-4 * np.linalg.norm(along)
    # a spectral norm divides by sigma: scaling the first layer's weights changes no score, nor any other gradient
    name = backend.networks.full_names[1].index("discriminator.0.weight_orig")
    start = sum(backend.networks.lengths[1][:name])
    scaled = backend.point[1].copy()
    scaled[start : start + backend.networks.lengths[1][name]] *= 1.7
    other = backend.losses(Players(backend.point[0], scaled), draw)
    assert other == pytest.approx(backend.losses(backend.point, draw), rel=1e-12)


@pytest.mark.parametrize(
    "layer, shape",
    [
        (lambda: nn.BatchNorm1d(3), (4, 3)),
        (lambda: nn.BatchNorm2d(2, affine=False, momentum=None), (2, 2, 2, 2)),
        (lambda: nn.BatchNorm1d(2, track_running_stats=False), (4, 2)),
        (lambda: nn.InstanceNorm1d(2, affine=True, track_running_stats=True), (2, 2, 4)),
        (lambda: nn.InstanceNorm1d(2), (2, 2, 4)),
        (lambda: nn.LayerNorm((2, 3)), (2, 2, 3)),
        (lambda: nn.LayerNorm(4, elementwise_affine=False), (2, 4)),
    ],
)
def test_normalisations_are_the_layers_own_and_have_third_derivatives(layer, shape):
    torch.manual_seed(0)
    own, plain = layer().double(), layer().double()
    for a, b in zip(own.parameters(), plain.parameters(), strict=True):
        a.data.normal_()
        b.data.copy_(a)
    for training in (True, True, False):
        x = torch.randn(shape, dtype=torch.float64)
        expected = own.train(training)(x)
        with PlainNormalisations():
            found = plain.train(training)(x)
        torch.testing.assert_close(found, expected, rtol=1e-13, atol=1e-13)
        for a, b in zip(own.buffers(), plain.buffers(), strict=True):
            torch.testing.assert_close(b, a, rtol=1e-13, atol=1e-13)

    def slope(x):
        with PlainNormalisations():
            return torch.autograd.grad(plain(x).pow(3).sum(), x, create_graph=True)[0]

    plain.train()
    assert gradgradcheck(slope, (x.requires_grad_(),))


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_weight_normalisation_has_second_derivatives(axis):
    torch.manual_seed(0)
    v = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    g = torch.norm_except_dim(v, 2, axis).detach().requires_grad_()

    def weight(v, g):
        with PlainNormalisations():
            return torch._weight_norm(v, g, axis)

    torch.testing.assert_close(weight(v, g), v, rtol=1e-14, atol=1e-14)  # g is the length of v
    assert gradgradcheck(weight, (v, g))


def test_equal_seeds_give_equal_draws_and_others_do_not():
    backend, _, _ = ConvolutionalGame().parts()
    first, again, other = backend.draw(5, 9), backend.draw(5, 9), backend.draw(6, 9)
    assert torch.equal(first.batch, again.batch)
    assert torch.equal(first.latents, again.latents)
    assert not torch.equal(first.latents, other.latents)
    several = backend.draws(5, 9, 2)
    assert not torch.equal(several[0].batch, several[1].batch)
    assert torch.equal(backend.latents(5, 9), first.latents)


def test_instance_noise_reaches_the_discriminator_and_is_the_same_in_every_call(seeded):
    backend = seeded(non_saturating())
    draw = backend.draw(0, 32)
    assert backend.noise_known
    noisy = [backend.losses(backend.point, draw, Change(instance_noise=0.5)) for _ in range(2)]
    assert noisy[0] == noisy[1]
    assert noisy[0] != backend.losses(backend.point, draw)


def test_tied_weights_count_once_and_both_uses_move():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Linear(3, 3), nn.Linear(3, 3)
            self.second.weight = self.first.weight

        def forward(self, z):
            return self.second(torch.tanh(self.first(z)))

    torch.manual_seed(1)
    functions = UserFunctions(non_saturating())
    discriminator = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
    backend = TorchBackend(Tied(), discriminator, functions, data_source(torch.randn(50, 3)), latent_source(3))
    assert backend.sizes.generator == 9 + 3 + 3
    draw = backend.draw(0, 10)
    assert np.abs(dense(backend, draw) - differences(backend, draw)).max() < 1e-6


def test_conditional_networks_with_several_outputs():
    class Generator(nn.Module):
        def __init__(self):
            super().__init__()
            self.classes, self.read = nn.Embedding(3, 4), nn.Linear(6, 2)

        def forward(self, z, label):
            hidden = torch.cat([z, self.classes(label)], dim=1)
            return self.read(hidden), hidden

    class Discriminator(nn.Module):
        def __init__(self):
            super().__init__()
            self.classes, self.read = nn.Embedding(3, 8), nn.Linear(2, 8)

        def forward(self, x, label):
            features = torch.tanh(self.read(x))
            return (features * self.classes(label)).sum(1), features

    def losses(generator, discriminator, batch, latents, key):
        x, label = batch
        fake = discriminator(generator(*latents)[0], latents[1])[0]
        real = discriminator(x, label)[0]
        return F.softplus(-fake).mean(), F.softplus(fake).mean() + F.softplus(-real).mean()

    def latents(key, n):
        return torch.randn(n, 2, generator=key), torch.randint(3, (n,), generator=key)

    torch.manual_seed(2)
    modules = Generator(), Discriminator()
    data = (torch.randn(40, 2), torch.randint(3, (40,)))
    optimizers = [torch.optim.SGD(module.parameters(), 0.1) for module in modules]
    # without score= the discriminator cannot be called on samples alone: no penalty to vary, and it says why
    backend, _, facts = torch_parts(*modules, losses, data, latents, *optimizers)
    assert (backend.samples_known, backend.scores_known, backend.penalty_known) == (True, False, False)
    assert "score" in facts["missing"]
    options = dict(score=lambda d, x, source: d(x, source[1])[0])
    backend, _, facts = torch_parts(*modules, losses, data, latents, *optimizers, **options)
    assert facts["missing"] == {}
    draw = backend.draw(0, 12)
    assert draw.batch[1].dtype == torch.int64
    assert np.abs(dense(backend, draw) - differences(backend, draw)).max() < 1e-6
    assert backend.outputs(backend.point[0], draw.latents).shape == (12, 2)
    assert backend.linearise(backend.point, draw).penalty_products(np.eye(sum(backend.sizes))[:2]).shape[1] > 0
    assert backend.score_slopes(backend.point, draw)[0].shape == (12,)


def test_half_precision_modules_are_measured_in_float64(seeded):
    torch.manual_seed(3)
    generator = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 2)).to(torch.bfloat16)
    discriminator = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 1)).half()
    functions = UserFunctions(non_saturating())
    data = data_source(np.random.default_rng(0).normal(size=(30, 2)))
    backend = TorchBackend(generator, discriminator, functions, data, latent_source(2))
    assert backend.dtype == torch.float64
    assert generator[0].weight.dtype == torch.bfloat16
    draw = backend.draw(0, 8)
    assert np.abs(dense(backend, draw) - differences(backend, draw)).max() < 1e-6


def test_a_custom_penalty_and_one_of_another_kind(seeded):
    def slope_one(generator, discriminator, batch, latents, key):
        x = (0.5 * batch.detach() + 0.5 * generator(latents)).requires_grad_()
        (slope,) = torch.autograd.grad(discriminator(x).sum(), x, create_graph=True)
        return (slope.norm(dim=1) - 1).square().mean()

    def losses(generator, discriminator, batch, latents, key):
        pair = non_saturating()(generator, discriminator, batch, latents, key)
        return pair[0], pair[1] + slope_one(generator, discriminator, batch, latents, key)

    backend, plain = seeded(losses, other_penalty=slope_one), seeded(non_saturating())
    draw = backend.draw(0, 16)
    removed = dense(backend, draw, Change(removed=1.0))
    assert np.abs(removed - dense(plain, draw)).max() < 1e-12
    custom = seeded(losses, penalty=slope_one)
    # a penalty that sees the generator has columns of the generator's too
    penalty = custom.linearise(custom.point, draw).penalty_products(np.eye(447)).T
    assert np.abs(dense(custom, draw)[242:] - dense(plain, draw)[242:] - penalty).max() < 1e-12
    assert penalty[:, :242].any()


def mutated(kind):
    def losses(generator, discriminator, batch, latents, key):
        first, second = non_saturating()(generator, discriminator, batch, latents, key)
        if kind == "batch":
            batch.mul_(2.0)
        if kind == "parameters":
            with torch.no_grad():
                for parameter in discriminator.parameters():
                    parameter.clamp_(-0.01, 0.01)
        found = {
            "three": (first, second, second),
            "one": first,
            "vector": (first, torch.stack([second, second])),
            "text": (first, "loss"),
            "detached": (first.detach(), second.detach()),
        }
        return found.get(kind, (first, second))

    return losses


@pytest.mark.parametrize("kind", ["batch", "parameters", "three", "one", "vector", "text", "detached"])
def test_losses_that_do_not_keep_to_the_rules(seeded, kind):
    with pytest.raises(ParameterError, match="loss"):
        seeded(mutated(kind))


def test_losses_that_move_the_users_own_modules():
    torch.manual_seed(4)
    generator, discriminator = nn.Linear(2, 2), nn.Linear(2, 1)
    optimizer = torch.optim.SGD(discriminator.parameters(), 0.1)

    def losses(own_generator, own_discriminator, batch, latents, key):
        pair = non_saturating()(generator, discriminator, batch, latents, key)
        pair[1].backward()
        optimizer.step()
        return non_saturating()(own_generator, own_discriminator, batch, latents, key)

    data = data_source(torch.randn(9, 2))
    before = fingerprint(generator, discriminator)
    with pytest.raises(ParameterError, match="original modules"):
        TorchBackend(generator, discriminator, UserFunctions(losses), data, latent_source(2))
    assert discriminator.weight.grad is None
    assert fingerprint(generator, discriminator) == before


def test_losses_of_other_modules_than_those_given(seeded):
    generator, discriminator = nn.Linear(4, 2).double(), nn.Linear(2, 1).double()

    def losses(own_generator, own_discriminator, batch, latents, key):
        return non_saturating()(generator, discriminator, batch, latents, key)

    with pytest.raises(ParameterError, match="given as arguments"):
        seeded(losses)


@pytest.mark.parametrize(
    "given",
    [dict(losses=3), dict(penalty="r2"), dict(generate=1), dict(score="x"), dict(real=2), dict(other_penalty=0.5)],
)
def test_functions_of_the_wrong_type(given):
    with pytest.raises(ParameterError, match=next(iter(given))):
        UserFunctions(**(dict(losses=non_saturating()) | given))


@pytest.mark.parametrize(
    "data",
    [3.5, "ring", [], np.zeros((0, 2)), (np.zeros((3, 2)), np.zeros(4)), np.array([[np.nan]]), np.array([["a", "b"]])],
)
def test_data_of_the_wrong_type(data):
    with pytest.raises(ParameterError, match="data"):
        data_source(data)


@pytest.mark.parametrize("latents", [0, -1, 2.5, "normal", None])
def test_latents_of_the_wrong_type(latents):
    with pytest.raises(ParameterError, match="latents"):
        latent_source(latents)
