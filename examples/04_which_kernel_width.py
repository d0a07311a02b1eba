"""Which bandwidth should a kernel discriminator have? One that reaches the start, and no wider.

Claim: the bandwidth acts through two numbers. Points further than some bandwidths from all data feel no pull, and modes
stay empty. And a bandwidth beyond the distance of true points makes the game ill-conditioned: even with the best
learning rates, the spectral radius approaches 1.

What to notice: `predict` says both before anything is run. The narrow kernel has the best spectral radius and leaves
modes empty; the recommended one is the narrowest that still captures the start.
"""

import numpy as np

import ganscope as gs

corners = [[-2, -2], [2, -2], [-2, 2], [2, 2]]
start = np.random.default_rng(0).normal(-1.2, 0.4, (4, 2))
game = gs.KernelGAN(corners, start, kernel=gs.RBF(0.5))
recommended = gs.predict(game).best["bandwidth"]
for bandwidth in (0.5, recommended, 4.0):
    at_data = gs.KernelGAN(corners, corners, kernel=gs.RBF(bandwidth))
    best = gs.predict(at_data).best  # fastest close to the data
    trial = game.replace(bandwidth=bandwidth, generator_lr=0.1 / gs.predict(at_data).rates["stiffest"])
    run = gs.simulate(trial, level="gda", iterations=4000)
    print(
        f"bandwidth {bandwidth:.2f}: conditioning {best['conditioning']:.3g}, best spectral radius "
        f"{best['spectral_radius']:.3f}; from afar predicted {gs.predict(trial).outcome}, seen "
        f"{gs.classify(run).outcome}, {run.covered.values[-1]:.0f} of 4 modes covered"
    )
gs.plot(run, path="demo-output/kernel_width.png")
