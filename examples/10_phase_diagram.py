"""A phase diagram with a measure of one's own: how soon does a generator learn the weak feature?

Claim: how long it takes is a matter of the generator's speed. Over a factor of eight in speed, time x generator_lr
hardly changes; noise decides whether the feature is found at all.

What to notice: the measure sees the whole run of a cell, not only its end. Where the feature is never learned it says
NaN, and the sweep goes on. The result is an xarray data set over the two parameters.
"""

import numpy as np

import ganscope as gs


def learning(run):
    """When the weak feature is first recovered by 0.7; NaN if never."""
    learned = np.flatnonzero(run.recovery.isel(feature=1).values >= 0.7)
    return {"learned_at": run.time.values[learned[0]] if len(learned) else np.nan}


game = gs.SolvableGAN(feature_variance=(5, 3), discriminator_lr=0.2)
over = {"data_noise": gs.linspace(0.6, 3.6, 11), "generator_lr": [0.01, 0.02, 0.04, 0.08]}
sweep = gs.sweep(game, over, learning, level="ode", horizon=1000)

print("generator_lr  learned up to noise  median of time x generator_lr")
for lr in over["generator_lr"]:
    at = sweep.learned_at.sel(generator_lr=lr).dropna("data_noise")
    print(f"{lr:12g}  {float(at.data_noise.max()):19.2g}  {float((at * lr).median()):29.2f}")
gs.plot(sweep, path="learned_at.png")
