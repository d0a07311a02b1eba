"""Why does it oscillate? A PyTorch GAN from the symptom to the cause, and on to a run that comes to rest.

Claim: what a GAN will do is written in the weights it has now. Adam with the settings that PyTorch proposes trains a
small GAN on a ring of eight modes; its samples run about. After 400 iterations the diagnosis says that they will go on
doing so, that rotation is the reason (modes with damping far below one), and which gradient penalty would damp it. A
forked race tests that, and the same checkpoint goes on twice: as it was, and with the penalty that was advised.

What to notice: the wander of the last quarter of each run, and the damping ratios before and after. Training is
chaotic: with another build of PyTorch the numbers differ. Needs it: `pip install "ganscope[torch]"`.
"""

import copy

import matplotlib.pyplot as plt
import numpy as np
import torch
from gans import torch_ring

import ganscope as gs

torch.set_num_threads(1)
LATER = 2600


def told(name, records):
    """Wander of the samples' centre over the last quarter of a run, in data radii, and what the samples are worth."""
    late, real = records[-len(records) // 4 :], torch_ring.data(torch.Generator().manual_seed(9), 512).numpy()
    radius = np.sqrt(real.var(axis=0).sum())
    wander = np.sqrt(late.mean(axis=1).var(axis=0).sum()) / radius
    distance = gs.is_collapsed(late[-1], real).energy_distance
    print(f"{name}: wander {wander:.3f} data radii, energy distance {distance:.3f}")


# The symptom, and the diagnosis of it.
gan = torch_ring.made()
before = torch_ring.train(gan, 400)
diagnosis = gs.diagnose(torch_ring.game(gan, iteration=400))
print(diagnosis)
print("damping ratios", np.round(diagnosis.report["spectrum"]["damping_ratio"][:4], 2))
gs.report(diagnosis, "oscillating.html")

# The same checkpoint goes on twice.
advice = diagnosis.advice[0]
print(f"{advice.wording} {advice.parameter} = {advice.value}: {advice.verification}")
gamma = advice.value if advice.parameter == "gradient_penalty" else 0.0
runs = {}
for name, gradient_penalty in (("as it was", 0.0), ("as advised", gamma)):
    branch = torch_ring.GAN(*copy.deepcopy(tuple(gan)))  # in one go: optimizers and modules stay together
    runs[name] = torch_ring.train(branch, LATER, gradient_penalty, seed=6)
    told(name, runs[name])
again = gs.diagnose(torch_ring.game(branch, gamma, iteration=400 + LATER), quick=True, history=runs["as advised"])
print("then:", again.outcome, np.round(again.report["spectrum"]["damping_ratio"][:4], 2))

# Before and after.
figure, axes = plt.subplots(1, 3, figsize=(12, 3.8), layout="constrained")
for axis, (name, records) in zip(axes, runs.items(), strict=False):
    axis.scatter(*torch_ring.data(torch.Generator().manual_seed(9), 512).T, s=4, color="0.8", label="data")
    axis.scatter(*records[-1].T, s=6, color="tab:red", label="samples")
    centre = np.concatenate([before, records]).mean(axis=1)
    axis.plot(*centre.T, lw=0.8, color="tab:blue", label="their centre, so far")
    axis.set(
        title=f"{name}, iteration {400 + LATER}", xlabel="x", ylabel="y", aspect="equal", xlim=(-2, 2), ylim=(-2, 2)
    )
axes[0].legend(loc="lower left", fontsize="small")
for name, records in runs.items():
    axes[2].plot(400 + 20 * np.arange(len(records)), records.mean(axis=1)[:, 0], label=name)
axes[2].plot(20 * np.arange(len(before)), before.mean(axis=1)[:, 0], color="0.5", label="until the diagnosis")
axes[2].set(title="Centre of the samples", xlabel="iteration", ylabel="x")
axes[2].legend(fontsize="small")
figure.savefig("why_does_it_oscillate.png", dpi=110)
print("see why_does_it_oscillate.png and oscillating.html")
