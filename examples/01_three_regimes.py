"""Noise decides how a GAN trains: too little and it oscillates, too much and it forgets.

Claim: with feature strengths 5 and 3, noise variance 2 gives success, 1 oscillation, 4 the loss of the weak feature.
The same three words come out of the closed-form thresholds, the limiting ODE and the exact chain at dimension 1000.

What to notice: features are learned one after the other. The discriminator finds the strong one, the generator
follows, the discriminator falls silent there and moves on to the weak one.
"""

import ganscope as gs

for noise in (2.0, 1.0, 4.0):
    game = gs.SolvableGAN(feature_variance=(5, 3), data_noise=noise)
    prediction = gs.predict(game)
    ode = gs.simulate(game, level="ode", horizon=400)
    chain = gs.simulate(game, level="chain", dimension=1000, horizon=400, replicas=4, seed=0)
    words = [str(v.outcome) for v in (prediction, gs.classify(ode), gs.classify(chain))]
    low, high = prediction.thresholds["lower"][0], prediction.thresholds["upper"][0]
    print(f"noise {noise:g}: window {low:.2g} .. {high:.2g}; predicted {words[0]}, ode {words[1]}, chain {words[2]}")
    gs.plot([ode, chain], path=f"demo-output/regime_noise_{noise:g}.png")
