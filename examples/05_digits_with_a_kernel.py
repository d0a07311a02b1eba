"""Real data: how fast do points learn the ten handwritten digits, and does the theory know?

Claim: with the generated points next to the class means, the error falls like spectral_radius ** iterations, which
`predict` computes without simulating. The recommended kernel, a third of the smallest distance between class means,
needs few iterations; the popular median distance is worse conditioned by a factor of thousands.

What to notice: prediction and measurement agree in every row, to some parts in a thousand (a fit of a slope sees the
beats of modes of equal speed). The wide kernel's slowest mode is alone only after thousands of iterations; comparing
with the linear level needs no such patience.
"""

import numpy as np

import ganscope as gs
from ganscope.games.kernel.data import digits, distances, starting_points

means, shares = digits(components=5)
apart = distances(means)
start = starting_points(means, seed=0)
print(f"distances between class means: smallest {apart.smallest:.4f}, median {apart.median:.4f}")
game = gs.KernelGAN(means, start, shares, shares, kernel=gs.RBF(apart.smallest / 3))
print(f"recommended bandwidth: {gs.predict(game).best['bandwidth']:.4f}")
for name, bandwidth in (("smallest / 3", apart.smallest / 3), ("smallest", apart.smallest), ("median", apart.median)):
    trial = game.replace(bandwidth=bandwidth)
    # Half of the largest stable generator learning rate of simultaneous updates.
    trial = trial.replace(generator_lr=0.5 * trial.regularization / gs.predict(trial).rates["stiffest"])
    predicted = gs.predict(trial).rates
    iterations = int(min(3 * predicted["iterations_per_decade"], 40_000)) + 100
    run = gs.simulate(trial, level="gda", iterations=iterations)
    linear = gs.simulate(trial, level="linear", iterations=iterations)
    error = np.linalg.norm(run.generated_points.values - means, axis=(1, 2))
    late = len(error) // 2
    measured = np.exp(np.polyfit(run.iteration.values[late:], np.log(error[late:]), 1)[0])
    gap = gs.compare(run, linear).attrs["summary"]["generated_points"]["largest"] / error[0]
    print(
        f"{name:>12}: conditioning {predicted['conditioning']:.4g}, spectral radius predicted "
        f"{predicted['spectral_radius']:.6f}, measured {measured:.6f}; the linear level is off by {gap:.0e} at most"
    )
