"""Where exactly does training stop converging? A boundary without filling the plane, and the equilibrium behind it.

Claim: a Dirac-GAN in explicit steps spirals outwards once the step size exceeds the gradient penalty. Refinement finds
that line by dividing only cells whose corners differ; continuation follows the equilibrium and finds the same point as
a Neimark-Sacker bifurcation; runs say the same as theory.

What to notice: how few evaluations it takes, out of those that the resolution stands for.
"""

import numpy as np

import ganscope as gs

game = gs.DiracGAN(gradient_penalty=0.5)
over, ranges = ("gradient_penalty", "step_size"), ((0.05, 0.5), (0.05, 0.5))

for measure, more in (("predict", {}), ("simulate", {"iterations": 2000})):
    curve = gs.boundary(game, over, ranges, ("converged", "diverged"), measure, 1 / 128, level="explicit", **more)
    far = float(np.abs(curve.step_size - curve.gradient_penalty).max())
    bar = float((curve.error_x + curve.error_y).max())
    print(
        f"{measure}: {curve.sizes['point']} points, {curve.evaluations} of {curve.lattice} evaluations, "
        f"at most {far:.4f} from the formula, error bars {bar:.4f}"
    )
gs.plot(curve, path="boundary.png")

branch = gs.continuation(game, "step_size", (0.05, 0.9), level="explicit")
for kind, place, period in zip(branch.kind.values, branch.location.values, branch.period.values, strict=True):
    print(f"followed: {kind} at step_size {place:.6f}, period {period:.1f} iterations")
