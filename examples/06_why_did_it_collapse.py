"""Why did it collapse? What kernel width and speeds decide for a collapsed generator, and what brings modes back.

Claim: a collapsed generator is one point, and two questions about it have closed answers. Where does it go? To a mode
of the data smoothed by the kernel: one of the two, or the empty middle if the kernel is wide. Does it rest there? Only
if the discriminator is fast enough. Whether the missing mode comes back is another question, about the reach of the
discriminator.

What to notice: the run switches from cycling to resting just where `critical_speed_ratio` says. Resting at a mode is no
cure: of the four discriminators that look at a collapsed cloud, those that pull at any distance find both modes.
"""

import numpy as np
from scipy.stats import norm

import ganscope as gs

data = gs.Mixture((norm(-2, 0.25), norm(2, 0.25)))
levels = (np.arange(64) + 0.5) / 64
points = data.ppf(levels)

# Where does a point go, and does it rest?
print(f"up to bandwidth {gs.mode_mean_switch(2, 0.25):.3f} a point climbs to a mode, beyond to the middle between them")
fate = gs.dirac_fate(points, 0.5, critic_penalty=1, start=0.5)
print(f"from 0.5 it goes to {fate.mode[0]:.3f}, and rests for speed ratios above {fate.critical_speed_ratio:.3f}")
for share in (0.8, 1.2):
    game = gs.FeatureGAN(points, fate.mode + 0.01, bandwidth=0.5, discriminator_lr=share * fate.critical_speed_ratio)
    run = gs.simulate(game, "flow", horizon=300)
    late = run.generated_points.values[len(run.time) // 2 :]
    print(f"{share} of it: late motion {np.ptp(late):.3f}; {gs.classify(run).outcome}, {gs.classify(run).detail}")

# Which discriminators bring the other mode back?
start = 2 + 0.1 * norm.ppf(levels)
for name, chosen in {
    "kernel of width 0.5": dict(bandwidth=0.5, discriminator_lr=20),
    "kernel of width 2": dict(bandwidth=2, discriminator_lr=20),
    "energy distance": dict(features="energy", fast=True),
    "width 4 to 0.5": dict(fast=True, bandwidth_schedule=(4, 0.5), bandwidth=0.5),
}.items():
    game = gs.FeatureGAN(data, start, modes=[-2, 2], mode_radius=0.75, **chosen)
    run = gs.simulate(game, "flow", horizon=40)
    print(f"{name}: coverage {run.mass_coverage.values[-1]:.3f}, W2 {run.w2.values[-1]:.3f}")
