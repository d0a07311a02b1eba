"""How strong should the gradient penalty be? Friction that is too weak rings, friction that is too strong creeps.

Claim: beside a target that it can match, a cloud of particles is a set of damped oscillators. Each of them has a
gradient penalty at which it is critically damped, and the slowest decides: theory names the penalty at which training
converges fastest, and the rate there, before anything is run.

What to notice: the times to converge make a valley whose bottom is where theory puts it; a factor of eight to either
side costs a factor of six to ten in time. The circle is the game on which all of this is exact. (Penalties are those of
(gamma / 2) E|grad D|^2; where a library leaves out the 1/2, take half.)
"""

import numpy as np

import ganscope as gs

# 64 particles, free of each other, before a discriminator with three wavenumbers that sees an even target.
game = gs.TorusGAN(relative_mobility=0.5, mean_mobility=0.5, modes=6, mode_width=0, frequencies=3)
best = gs.predict(game, "linear").best
print(f"theory: gradient_penalty {best['gradient_penalty']:.4f} is best, and converges at the rate {best['rate']:.4f}")

# The same one by one: a wave of wavenumber k has mobility m and stiffness k^2 K_k.
k = np.arange(1, 4)
stiffness = k**2 * np.exp(-((0.5 * k) ** 2) / 2)
own = [gs.best_gradient_penalty(0.5, b).gradient_penalty for b in stiffness]
print("best for each wavenumber alone:", np.round(own, 4), "; for all three:", end=" ")
print(round(gs.best_gradient_penalty(0.5, stiffness).gradient_penalty, 4))

# Displace the particles by three waves, and wait until the mismatch (MMD squared) has fallen by a factor of a million.
even = 2 * np.pi * np.arange(64) / 64
start = even + 0.1 * sum(np.cos(n * even + n) for n in k)
factors = np.array([1 / 8, 1 / 4, 1 / 2, 1, 2, 4, 8])
penalties = factors * best["gradient_penalty"]
runs = gs.simulate_many(
    game.replace(initial_positions=start), {"gradient_penalty": penalties}, "particles", save_at=np.arange(0, 250, 0.2)
)
moments = np.abs([np.exp(-1j * n * runs.positions.values).mean(axis=-1) for n in k]) ** 2
mismatch = np.tensordot(stiffness / k**2, moments, axes=1)
for penalty, factor, values in zip(penalties, factors, mismatch, strict=True):
    late = np.flatnonzero(values > 1e-6 * values[0])[-1]
    print(f"gradient_penalty {penalty:7.4f} ({factor:5.3f} of the best): time {runs.time.values[late]:6.1f}")
