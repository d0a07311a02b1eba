"""Handwritten digits again: when do a hundred samples forget some of the ten classes?

Claim: mode collapse by coupling is no matter of rings. A hundred particles learn scikit-learn's digits in sixteen
principal components, and their classes, told by the five nearest images, are counted. With a small coupling number all
ten digits are there; with a large one the samples move as one body, and classes come and go.

What to notice: the centre of the cloud begins to wander before any class is lost, and `mean_product` in the prediction
is far below its limit throughout: this is no matter of too long steps. (With a discriminator four times as fast it
becomes one at coupling 128, since the slopes of the network grow.)
"""

import numpy as np

import ganscope as gs
from ganscope.games.particle.cloud.data import digits

images, labels = digits(16)
game = gs.ParticleGAN(
    particles=100,
    coupling=1,
    real_points=images,
    labels=labels,
    input_size=2,
    real_batch=100,
    discriminator_lr=0.005,
    relative_step=0.05,
)
couplings = np.array([1.0, 32.0, 128.0])
runs = gs.simulate_many(
    game, {"coupling": couplings}, "particles", iterations=1000, replicas=2, save_at=np.arange(0, 1001, 10)
)
late = runs.sel(time=slice(750, 1000)).mean(["time", "replica"])
for cell, coupling in enumerate(couplings):
    wander = float(runs.wander[cell, :, -1].mean())
    theory = gs.predict(game.replace(coupling=coupling))
    product, limit = theory.rates["mean_product"], theory.thresholds["mean_product"]
    print(
        f"coupling {coupling:3.0f}: coverage {float(late.coverage[cell]):.2f}, spread {float(late.spread[cell]):.2f}, "
        f"wander {wander:.2f}, {gs.classify(runs.isel(cell=cell)).detail}; mean_product {product:.2g} of {limit:.2g}"
    )
