"""The demo behind `make demo`: three regimes of GAN training, the same question asked of handwritten digits, both again
for a discriminator with a kernel, what seven ways of stepping make of one game, samples that hold on
to each other, a real GAN, and a phase diagram.

Every step is a command that you can type yourself; this script types them in order and says where the pictures are.
"""

import subprocess
import sys
import time
from pathlib import Path

EXAMPLES = Path(__file__).resolve().parent
OUTPUT = EXAMPLES.parent / "demo-output"

# --force: a demo that is run again makes everything anew.
STEPS = [
    (
        "Predict, simulate and compare four noise levels: success, oscillation, collapse, nothing learned.",
        ["run", str(EXAMPLES / "regimes.toml"), "--out", str(OUTPUT / "regimes"), "--force"],
    ),
    (
        "Draw the three regimes: theory as lines, the finite-size chain as points.",
        ["figure", "solvable:F1", "--out", str(OUTPUT)],
    ),
    (
        "Fit the model to scikit-learn's handwritten digits and predict what a GAN learns of them.",
        ["fit", "digits", "--noise", "2.5", "--out", str(OUTPUT / "digits.toml"), "--force"],
    ),
    (
        "Simulate that model and compare it with the prediction.",
        ["run", str(OUTPUT / "digits.toml"), "--out", str(OUTPUT / "digits"), "--force"],
    ),
    (
        "Train on the digits themselves at six noise levels, beside the exact chain.",
        ["figure", "solvable:F8", "--out", str(OUTPUT)],
    ),
    (
        "A discriminator with a kernel: settling, cycling, splitting, and kernels too narrow and wide enough.",
        ["run", str(EXAMPLES / "kernel_phases.toml"), "--out", str(OUTPUT / "kernel"), "--force"],
    ),
    (
        "Predict which bandwidth and learning rates suit ten points that learn the mean digits.",
        ["predict", "digits", "--components", "5", "--out", str(OUTPUT / "kernel_digits.toml"), "--force"],
    ),
    (
        "Simulate them, and compare with the exact linear theory.",
        ["run", str(OUTPUT / "kernel_digits.toml"), "--out", str(OUTPUT / "kernel_digits"), "--force"],
    ),
    (
        "The Dirac-GAN as a dual flow: some schemes spiral outwards, some close the orbit, one spirals inwards.",
        ["run", str(EXAMPLES / "dirac_orbits.toml"), "--out", str(OUTPUT / "dirac"), "--force"],
    ),
    (
        "A ring of eight modes: samples that are free find all of them, samples tied together hop between them.",
        ["run", str(EXAMPLES / "ring.toml"), "--out", str(OUTPUT / "ring"), "--force"],
    ),
    (
        "The same as a moving picture: a cloud that starts on one spot.",
        ["show", str(OUTPUT / "ring" / "narrow" / "particles.zarr"), "--animate"],
    ),
    (
        "A real GAN in JAX, 1000 iterations old: will it settle, and which gradient penalty would help?",
        [
            "diagnose",
            str(EXAMPLES / "gans" / "jax_grid.py") + ":grid",
            "--quick",
            "--out",
            str(OUTPUT / "diagnosis"),
            "--force",
        ],
    ),
    (
        "A phase diagram: 750 games over noise and learning rate, each predicted and simulated.",
        [
            "sweep",
            str(EXAMPLES / "phase_diagram.toml"),
            "--out",
            str(OUTPUT / "phase_diagram.zarr"),
            "--force",
        ],
    ),
]


def main() -> int:
    start = time.perf_counter()
    for text, arguments in STEPS:
        shown = [Path(a).relative_to(Path.cwd()) if Path(a).is_relative_to(Path.cwd()) else a for a in arguments]
        print(f"\n# {text}\n$ ganscope {' '.join(str(a) for a in shown)}", flush=True)
        status = subprocess.run([sys.executable, "-m", "ganscope", *arguments], check=False).returncode
        if status:
            print(f"ganscope ended with status {status}", file=sys.stderr)
            return status
    print(f"\nDone in {time.perf_counter() - start:.0f} s. Pictures:")
    for picture in sorted([*OUTPUT.rglob("*.png"), *OUTPUT.rglob("*.gif"), *OUTPUT.rglob("*.html")]):
        print(f"  {picture.relative_to(OUTPUT.parent)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
