"""Pictures: `gs.plot`, and the papers' figures by their numbers.

A figure is a recipe, which makes its data and stands beside its claim in `claims`, and a drawing, which stands here and
never simulates. Both are named in one table and imported when a figure is rebuilt.
"""

import importlib
import os
from pathlib import Path
from typing import Any, NamedTuple

from ganscope.core.errors import unknown_name


class Entry(NamedTuple):
    """One figure: its title, and the functions of one name in the modules of recipes and drawings of its model."""

    title: str
    model: str
    name: str


_FIGURES = {
    "solvable:F1": Entry("three regimes: success, oscillation, mode collapse", "solvable", "regimes"),
    "solvable:F2": Entry("error against dimension", "solvable", "error_against_dimension"),
    "solvable:F3": Entry("phase diagrams of one feature", "solvable", "phase_diagrams"),
    "solvable:F4": Entry("eigenvalues of the silent states", "solvable", "silent_spectrum"),
    "solvable:F5": Entry("law of single weights", "solvable", "weight_law"),
    "solvable:F6": Entry("overlap of two runs from the same weights", "solvable", "replica_overlap"),
    "solvable:F7": Entry("limit of small learning rates", "solvable", "small_rates"),
    "solvable:F8": Entry("handwritten digits with added noise", "solvable", "digits"),
    "solvable:F9": Entry("overlap at the end of a run against generator_lr", "solvable", "end_points"),
    "kernel:F1": Entry("spectral radius over bandwidth and regularization", "kernel", "radius_maps"),
    "kernel:F2": Entry("which family of motions decays most slowly", "kernel", "dominating_family"),
    "kernel:F3": Entry("phases of a neighbourhood, predicted and simulated", "kernel", "phase_diagrams"),
    "kernel:F4": Entry("root locus of the five update rules", "kernel", "root_locus"),
    "kernel:F5": Entry("approach to equilibrium, simulated and linear", "kernel", "decay"),
    "kernel:F6": Entry("uneven starts: exact hits, slow closing, split", "kernel", "mass_mismatch"),
    "kernel:F7": Entry("handwritten digits: convergence against bandwidth", "kernel", "digits"),
    "kernel:F8": Entry("escape from a common point against bandwidth", "kernel", "escape"),
    "kernel:F9": Entry("error of the discriminator's representations", "kernel", "representations"),
    "kernel:F10": Entry("cycles beyond the spiral boundary", "kernel", "cycles"),
    "kernel:F11": Entry("one point near one true point, by all parameters", "kernel", "single_point"),
    "dualflow:F1": Entry("the bilinear game under five schemes", "dualflow", "bilinear_orbits"),
    "dualflow:F2": Entry("distance from the flow against step_size", "dualflow", "scheme_errors"),
    "dualflow:F3": Entry("largest stable step_size against convexity", "dualflow", "largest_steps"),
    "dualflow:F4": Entry("width of a linear-quadratic GAN: orbits and spirals", "dualflow", "width_orbits"),
    "dualflow:F5": Entry("kernel GAN with a fast discriminator", "dualflow_laws", "fast_discriminator"),
    "dualflow:F6": Entry("mode collapse by the discriminator's metric", "dualflow_laws", "critics"),
    "dualflow:F7": Entry("entropy against mode collapse", "dualflow_laws", "entropy"),
    "dualflow:F8": Entry("defect in the variational inequality against step_size", "dualflow_laws", "step_defects"),
    "dualflow:F9": Entry("a collapsed generator, by discriminator_lr", "dualflow_laws", "point_positions"),
    "dualflow:F10": Entry("a clipped discriminator and its periodic orbits", "dualflow", "clipping"),
    "dualflow:F11": Entry("a ring of eight modes in the plane", "dualflow_laws", "ring"),
    "dualflow:F12": Entry("from a wide kernel to a narrow one", "dualflow_laws", "coarse_to_fine"),
    "particle:F1": Entry("how strongly a generator couples its outputs, by depth", "particle_network", "kernel_ratios"),
    "particle:F2": Entry("spread of the kernel of finite generators", "particle_network", "kernel_spread"),
    "particle:F3": Entry("a real generator and particles in its place", "particle_network", "real_generator"),
    "particle:F4": Entry(
        "order parameters against the coupling number", "particle", "order_parameters_against_coupling"
    ),
    "particle:F5": Entry("phase diagrams over mode width and coupling number", "particle", "phase_diagrams"),
    "particle:F6": Entry("angular spectra of discriminators", "particle", "angular_spectra"),
    "particle:F7": Entry("rates and times of convergence against gradient_penalty", "particle_torus", "damping"),
    "particle:F8": Entry("stability of a collapsed cloud against mean_mobility", "particle_torus", "transverse"),
    "particle:F9": Entry("critical coupling against friction and discriminator_steps", "particle", "boundary_shifts"),
    "particle:F10": Entry("snapshots of a ring at three couplings", "particle", "snapshots"),
    "particle:F11": Entry("handwritten digits against the coupling number", "particle_network", "digits"),
}


def catalogue() -> dict[str, str]:
    """The papers' figures: their titles, by names such as `solvable:F1`."""
    return {name: entry.title for name, entry in _FIGURES.items()}


def rebuild(name: str, out: str | os.PathLike[str], **sizes: Any) -> Path:
    """Make the data of a figure, draw it, and write it; the file appears complete or not at all.

    Args:
        name: One of `catalogue()`.
        out: Folder, where the figure becomes for example `solvable-F1.png`, or a file `.png`, `.pdf` or `.svg`.
        sizes: Arguments of the recipe, for a smaller or larger version.

    Returns:
        The file.

    Raises:
        ParameterError: If there is no such figure.
        NotApplicable: If a recipe needs data that are not installed.
        StoreError: If the file cannot be written.
    """
    if name not in _FIGURES:
        raise unknown_name("figure", name, _FIGURES)
    entry = _FIGURES[name]
    from ganscope.figures import style

    path = Path(out)
    if path.suffix.lower() not in style.FORMATS:
        path = path / f"{name.replace(':', '-')}.png"
    recipe = getattr(importlib.import_module(f"ganscope.claims.recipes_{entry.model}"), entry.name)
    draw = getattr(importlib.import_module(f"ganscope.figures.{entry.model}"), entry.name)
    data = recipe(**sizes)
    with style.drawing():
        figure = draw(data)
    return style.write(figure, path)
