"""Which learning rate stops the oscillation? Theory says it before anything is run.

Claim: at noise variance 1 the default generator is too fast (or the noise too weak) and training oscillates. The
prediction recommends the largest generator learning rate that still settles; below it the ODE settles, above it not.

What to notice: the remedy is a slower generator or more noise, not a slower discriminator: without the noise of the
discriminator's own steps nothing would be stable at all.
"""

import ganscope as gs

game = gs.SolvableGAN(feature_variance=(5, 3), data_noise=1.0)
best = gs.predict(game).best
print("recommended:", {name: round(float(value), 4) for name, value in best.items()})
largest = float(best["generator_lr_max"])
for factor in (0.8, 1.5):
    trial = game.replace(generator_lr=factor * largest)
    run = gs.simulate(trial, level="ode", horizon=16 / trial.generator_lr)
    print(
        f"generator_lr {trial.generator_lr:.4f}: predicted {gs.predict(trial).outcome}, seen {gs.classify(run).outcome}"
    )
