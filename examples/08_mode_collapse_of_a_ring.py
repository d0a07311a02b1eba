"""How strongly may the samples of a generator be tied together before it collapses? A ring of eight modes.

Claim: what a gradient step for one latent does to the output of another is a kernel, and of a wide generator only two
numbers of it matter: same latent, different latent. Together with the number of latents they make one coupling number.
Samples that are free of each other find all modes; samples that move as a body chase the discriminator from mode to
mode. The network behind the kernel does not matter: three real generators do what their two numbers say.

What to notice: the soft coverage falls from one towards an eighth as the coupling number grows, and the cloud begins to
wander while it still covers everything. Depth, biases and activation of a generator decide where on this scale it
stands, before it has seen any data.
"""

import numpy as np

import ganscope as gs

ring = gs.ParticleGAN(coupling=1, modes=8, mode_width=0.05)

# Particles with a given coupling number, two runs of each.
couplings = np.array([4.0, 16.0, 32.0, 128.0])
runs = gs.simulate_many(
    ring, {"coupling": couplings}, "particles", iterations=800, replicas=2, save_at=np.arange(0, 801, 5)
)
late = runs.sel(time=slice(600, 800)).mean(["time", "replica"])
for cell, coupling in enumerate(couplings):
    verdict = gs.classify(runs.isel(cell=cell))
    print(
        f"coupling {coupling:5.0f}: soft coverage {float(late.soft_coverage[cell]):.2f}, "
        f"wander {float(runs.wander[cell, :, -1].mean()):.2f}, {verdict.outcome} ({verdict.detail})"
    )

# Real generators with 64 latents: their coupling number, before any training, and what becomes of them.
for depth, activation, weights, biases in ((2, "tanh", 1.5, 0.0), (2, "relu", 2.0, 0.0), (3, "relu", 2.0, 2.0)):
    coupling = gs.network_kernel(depth, activation, weights, biases).coupling(64)
    run = gs.simulate(
        ring.replace(coupling=coupling),
        "network",
        iterations=500,
        save_at=np.arange(0, 501, 5),
        generator_depth=depth,
        generator_activation=activation,
        generator_weight_variance=weights,
        generator_bias_variance=biases,
        generator_width=256,
    )
    print(f"{depth} layers of {activation}, biases {biases:g}: coupling {coupling:.4g}, {gs.classify(run).detail}")

# The kernel of the last one, measured as you would measure your own.
network = gs.WideGenerator(2, 3, "relu", width=256, latent_dimension=512, weight_variance=2, bias_variance=2)
measured = gs.empirical_kernel(network.apply, network.initial(), network.latents(64))
print(
    f"measured: same {measured.same_kernel:.3g} +- {measured.same_spread:.2g}, cross {measured.cross_kernel:.3g} +- "
    f"{measured.cross_spread:.2g}, coupling {measured.coupling:.4g}"
)

# And its training as a film: all samples on one mode, until the discriminator has had enough of it.
print("see", gs.animate(run, "hopping.gif", frames=40))
