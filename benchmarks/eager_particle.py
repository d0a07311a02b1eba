"""The ring of particles as a researcher would write it in eager PyTorch: the yardstick of benchmarks/particle.py."""

import itertools
import math
from collections.abc import Callable

import torch

ACTIVATIONS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {"relu": torch.relu, "tanh": torch.tanh}


class Network(torch.nn.Module):
    """Two hidden layers in the kernel parametrisation; zero as a function at the start."""

    def __init__(self, width: int, activation: str, weight_variance: float, bias_variance: float) -> None:
        super().__init__()
        sizes = [2, width, width, 1]
        self.activation = ACTIVATIONS[activation]
        self.weight_scale = [math.sqrt(weight_variance / inputs) for inputs in sizes[:-1]]
        self.bias_scale = math.sqrt(bias_variance)
        self.weights = torch.nn.ParameterList(torch.randn(a, b) for a, b in itertools.pairwise(sizes))
        self.biases = torch.nn.ParameterList(torch.randn(b) for b in sizes[1:])
        self.frozen = [p.detach().clone() for p in (*self.weights, *self.biases)]

    def evaluate(self, parameters: list[torch.Tensor], x: torch.Tensor) -> torch.Tensor:
        for layer in range(3):
            x = self.weight_scale[layer] * (x @ parameters[layer]) + self.bias_scale * parameters[3 + layer]
            x = self.activation(x) if layer < 2 else x
        return x[:, 0]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.evaluate([*self.weights, *self.biases], x) - self.evaluate(self.frozen, x)


def train(
    network: Network,
    particles: torch.Tensor,
    coupling: float,
    relative_step: float,
    discriminator_lr: float,
    discriminator_steps: int,
    gradient_penalty: float,
    batch: int,
    iterations: int,
) -> torch.Tensor:
    """Alternating training on a ring of eight modes; returns the particles."""
    angles = torch.arange(8) * math.pi / 4
    centres = torch.stack([torch.cos(angles), torch.sin(angles)], dim=1)
    optimiser = torch.optim.SGD(network.parameters(), lr=discriminator_lr)
    x = particles
    for _ in range(iterations):
        for _ in range(discriminator_steps):
            real = centres[torch.randint(8, (batch,))] + 0.05 * torch.randn(batch, 2)
            real.requires_grad_(True)
            values = network(real)
            (slopes,) = torch.autograd.grad(values.sum(), real, create_graph=True)
            penalty = gradient_penalty / 2 * (slopes**2).sum(1).mean()
            loss = network(x).mean() - values.mean() + penalty
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        x = x.detach().requires_grad_(True)
        (slopes,) = torch.autograd.grad(network(x).sum(), x)
        with torch.no_grad():
            mean = slopes.mean(0)
            x = x + relative_step * (slopes - mean) + coupling * relative_step * mean
    return x.detach()
