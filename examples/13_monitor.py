"""A training loop with a monitor: does it warn before the samples show it?

Claim: a small measurement of the game, taken now and then within a budget of time, says on which side of the border a
run is while it trains. The same GAN on a ring trains twice beside a monitor, without a gradient penalty and with one.

What to notice: the margin, ln(0.1 / score), is negative where the samples will not settle, and the warnings come from
it. The first readings are an advance on the budget: so short a run shows more overhead than the 5 % of a long one.
Needs PyTorch: `pip install "ganscope[torch]"`.
"""

import torch
from gans import torch_ring

import ganscope as gs

torch.set_num_threads(1)
for gradient_penalty in (0.0, 10.0):
    gan = torch_ring.made()
    game = torch_ring.game(gan, gradient_penalty)
    monitor = gs.Monitor(game, log=f"run_{gradient_penalty:g}.jsonl")
    for iteration in range(20, 801, 20):
        torch_ring.train(gan, 20, gradient_penalty, seed=iteration)
        reading = monitor.step(iteration=iteration)  # in a loop of your own: monitor.step() in every iteration
        for warning in reading.warnings if reading else ():
            print(f"  iteration {iteration}: {warning}")
    print(f"gradient penalty {gradient_penalty:g}")
    print(monitor.table())
