"""Real data: how much noise may a GAN see and still learn the two leading components of handwritten digits?

Claim: scaled so that the strongest component has variance 5, the two leading components are learned for noise
variances between 1.58 and 4.78: below, the discriminator keeps oscillating; above, the weaker one is out of sight.

What to notice: the same window comes out of SGD on the digits' own component scores, which are far from Gaussian.
"""

import numpy as np
from sklearn.datasets import load_digits

import ganscope as gs

digits = load_digits().data
for noise in (1.0, 3.0, 6.0):
    # Real, non-Gaussian latents in dimension 1000; the floor of the other components is left out.
    game = gs.fit(gs.SolvableGAN, digits, features=2, latent="empirical", added_noise=noise)
    run = gs.simulate(game, level="chain", dimension=1000, horizon=400, seed=1)
    recovery = np.round(run.recovery.values[-50:].mean(0), 2)
    predicted, seen = gs.predict(game).outcome, gs.classify(run).outcome
    print(f"added noise {noise:g}: predicted {predicted}, seen {seen}, recovery {recovery}")
